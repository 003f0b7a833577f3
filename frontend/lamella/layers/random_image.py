"""Image layers that change their images at random in training, and hand them on as they are in inference.

Every image of a batch has draws of its own. The draws are those of `Layer.random_uniform`, so the same seed gives the same
picture on every backend, up to the rounding of the interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import public_shape
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import choice, layout, number, positive_integer
from lamella.ops.affine import INTERPOLATIONS
from lamella.ops.resizing import crop, crop_to_ratio, resize

Factor = float | Sequence[float]

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")
_FLIPS = {"horizontal": (1,), "vertical": (0,), "horizontal_and_vertical": (0, 1)}


class RandomImageLayer(Layer):
    """The base: images `(batch, height, width, channels)`, or a single one `(height, width, channels)`.

    The output is in the layer's compute dtype, in training and in inference. A call that is not told which it is trains, as
    in Keras; `predict` and `evaluate` tell it.
    """

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """Four dimensions, or three."""
        if spec.ndim not in (3, 4):
            raise ShapeError(f"expected images (batch, height, width, channels), got shape {public_shape(spec.shape)}.")

    def call(self, inputs: Any, training: bool = True) -> Any:
        """The images, changed in training."""
        x = ops.cast(inputs, self.compute_dtype)
        return self.changed(x) if training else x

    def changed(self, x: Any) -> Any:
        """The images after the draws of this step."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does to images: write `changed`.")

    def height_axis(self, x: Any) -> int:
        """The axis of the height; the width comes next."""
        return len(x.shape) - (3 if self.data_format == "channels_last" else 2)

    def size(self, x: Any) -> tuple[int, int]:
        """Height and width."""
        at = self.height_axis(x)
        return x.shape[at], x.shape[at + 1]

    def one_each(self, x: Any) -> tuple[int, ...]:
        """The shape of one number an image that broadcasts against the images."""
        return (1, 1, 1) if len(x.shape) == 3 else (x.shape[0], 1, 1, 1)

    def drawn(self, shape: Sequence[int], bounds: tuple[float, float]) -> Any:
        """Uniform numbers between the bounds, at least float32; where both are one number, that, and nothing is drawn."""
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        if bounds[0] == bounds[1]:
            return ops.full(shape, bounds[0], wide)
        return ops.cast(self.random_uniform(shape, *bounds, seed=self.seed), wide)

    def bounds(self, name: str, factor: Any, low: float = -1.0, high: float = 1.0) -> tuple[float, float]:
        """(lower, upper) of a factor given as a pair, or as a number for both directions.

        Raises:
            ValueError: a number lies outside `low`..`high`, or there are not two.
        """
        pair = isinstance(factor, list | tuple)
        if pair and len(factor) != 2:
            raise ValueError(f"{type(self).__name__}: {name} is a number or a pair of them, got {factor!r}.")
        values = [number(name, f, self) for f in (factor if pair else (factor,))]
        if any(not low <= f <= high for f in values):
            raise ValueError(f"{type(self).__name__}: {name} must lie between {low:g} and {high:g}, got {factor!r}.")
        least, most = (min(values), max(values)) if pair else (-abs(values[0]), abs(values[0]))
        return max(least, low), most


class RandomFlip(RandomImageLayer):
    """In training, mirrors every second image.

    Args:
        mode: "horizontal" (left and right change places), "vertical" (top and bottom), or "horizontal_and_vertical", where
            the one draw of an image decides about both, as in Keras.
        seed: makes the draws a function of this number instead of the layer's path.
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.mode = choice("mode", mode, list(_FLIPS), self)

    def changed(self, x: Any) -> Any:
        """Every image or its mirror image."""
        at = self.height_axis(x)
        flipped = ops.flip(x, tuple(at + offset for offset in _FLIPS[self.mode]))
        return ops.where(self.keep_mask(self.one_each(x), 0.5, seed=self.seed), flipped, x)


class AffineLayer(RandomImageLayer):
    """The base of the layers that move pixels: an affine transformation of the places, then interpolation."""

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.fill_mode = choice("fill_mode", fill_mode, _FILL_MODES, self)
        self.interpolation = choice("interpolation", interpolation, INTERPOLATIONS, self)
        self.fill_value = number("fill_value", fill_value, self)

    def transform(self, count: int, height: int, width: int) -> list[Any]:
        """(a0, a1, a2, b0, b1, b2): for output pixel (x, y) the place in the input; arrays `(count,)` or numbers."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it moves pixels: write `transform`.")

    def changed(self, x: Any) -> Any:
        """The images with their pixels moved."""
        count = 1 if len(x.shape) == 3 else x.shape[0]
        entries = [*self.transform(count, *self.size(x)), 0.0, 0.0]
        wide = next(e.dtype for e in entries if hasattr(e, "dtype"))
        columns = [e if hasattr(e, "dtype") else ops.full((count,), e, wide) for e in entries]
        return ops.affine_transform(
            x, ops.stack(columns, 1), self.interpolation, self.fill_mode, self.fill_value, self.data_format
        )


class RandomRotation(AffineLayer):
    """In training, turns every image about its middle, by an angle of its own.

    Args:
        factor: the largest angle in full turns, both ways, or the bounds (lower, upper) of the angle; from -1 to 1. A
            positive angle turns counter-clockwise.
        fill_mode: what lies outside the image: "reflect" (the image mirrored), "wrap" (the image again), "constant"
            (`fill_value`) or "nearest" (the outermost pixels).
        interpolation: "bilinear" or "nearest".
        seed: makes the draws a function of this number instead of the layer's path.
        fill_value: for "constant".
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = self.bounds("factor", factor)

    def transform(self, count: int, height: int, width: int) -> list[Any]:
        """cos, -sin; sin, cos, about the middle."""
        low, high = self.factor
        angle = ops.multiply(self.drawn((count,), (low * 360.0, high * 360.0)), math.pi / 180.0)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = 0.5 * (width - 1), 0.5 * (height - 1)
        across = ops.add(ops.subtract(x, ops.multiply(cos, x)), ops.multiply(sin, y))
        down = ops.subtract(ops.subtract(y, ops.multiply(sin, x)), ops.multiply(cos, y))
        return [cos, ops.negative(sin), across, sin, cos, down]


class RandomTranslation(AffineLayer):
    """In training, shifts every image, by amounts of its own.

    Args:
        height_factor: the largest shift as a fraction of the height, both ways, or the bounds (lower, upper); from -1 to 1.
            A positive shift moves the image down.
        width_factor: likewise of the width; a positive shift moves the image to the right.
        fill_mode: what lies outside the image: "reflect" (the image mirrored), "wrap" (the image again), "constant"
            (`fill_value`) or "nearest" (the outermost pixels).
        interpolation: "bilinear" or "nearest".
        seed: makes the draws a function of this number instead of the layer's path.
        fill_value: for "constant".
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = self.bounds("height_factor", height_factor)
        self.width_factor = self.bounds("width_factor", width_factor)

    def transform(self, count: int, height: int, width: int) -> list[Any]:
        """1, 0, -right; 0, 1, -down."""
        down = ops.multiply(self.drawn((count,), self.height_factor), -float(height))
        right = ops.multiply(self.drawn((count,), self.width_factor), -float(width))
        return [1.0, 0.0, right, 0.0, 1.0, down]


class RandomZoom(AffineLayer):
    """In training, makes every image larger or smaller about its middle, by amounts of its own.

    Args:
        height_factor: the largest change as a fraction of the height, both ways, or the bounds (lower, upper); above -1, at
            most 1. Positive values zoom out, negative ones zoom in.
        width_factor: likewise of the width; None for the draw of the height, which keeps the aspect ratio.
        fill_mode: what lies outside the image: "reflect" (the image mirrored), "wrap" (the image again), "constant"
            (`fill_value`) or "nearest" (the outermost pixels).
        interpolation: "bilinear" or "nearest".
        seed: makes the draws a function of this number instead of the layer's path.
        fill_value: for "constant".
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        above = float(np.nextafter(-1.0, 0.0))
        self.height_factor = self.bounds("height_factor", height_factor, above)
        self.width_factor = None if width_factor is None else self.bounds("width_factor", width_factor, above)

    def transform(self, count: int, height: int, width: int) -> list[Any]:
        """zoom, 0, x; 0, zoom, y, about the middle."""
        tall = self.drawn((count,), _above_one(self.height_factor))
        wide = tall if self.width_factor is None else self.drawn((count,), _above_one(self.width_factor))
        across = ops.multiply(ops.subtract(1.0, wide), 0.5 * (width - 1))
        down = ops.multiply(ops.subtract(1.0, tall), 0.5 * (height - 1))
        return [wide, 0.0, across, 0.0, tall, down]


def _above_one(bounds: tuple[float, float]) -> tuple[float, float]:
    return 1.0 + bounds[0], 1.0 + bounds[1]


class ValueLayer(RandomImageLayer):
    """The base of the layers that change values and keep them within `value_range`."""

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not isinstance(value_range, list | tuple) or len(value_range) != 2:
            raise ValueError(f"{type(self).__name__}: value_range is a pair of numbers, got {value_range!r}.")
        self.value_range = tuple(sorted(number("value_range", v, self) for v in value_range))

    def within(self, y: Any) -> Any:
        """The values in the compute dtype, moved into the range."""
        return ops.clip(ops.cast(y, self.compute_dtype), *self.value_range)


class RandomContrast(ValueLayer):
    """In training, y = (x - mean) * contrast + mean for every image, its mean of each channel and a contrast of its own.

    Args:
        factor: the contrast lies between 1 - factor and 1 + factor, or, for a pair (lower, upper), between 1 - lower and
            1 + upper; from 0 to 1.
        value_range: the least and the largest value; the result is moved into this range.
        seed: makes the draws a function of this number instead of the layer's path.
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        both = factor if isinstance(factor, list | tuple) else (factor, factor)
        self.factor = self.bounds("factor", both, 0.0)

    def changed(self, x: Any) -> Any:
        """The images with another contrast."""
        at = self.height_axis(x)
        contrast = self.drawn(self.one_each(x), (1.0 - self.factor[0], 1.0 + self.factor[1]))
        if len(x.shape) == 3:
            contrast = ops.reshape(contrast, (1, 1, 1))
        mean = ops.mean(x, (at, at + 1), keepdims=True)
        return self.within(ops.add(ops.multiply(ops.subtract(x, mean), ops.cast(contrast, x.dtype)), mean))


class RandomBrightness(ValueLayer):
    """In training, y = x + delta for every image, with a delta of its own.

    Args:
        factor: delta lies between -factor and factor, as a fraction of the size of `value_range`, or between the bounds
            (lower, upper); from -1 to 1.
        value_range: the least and the largest value; the result is moved into this range.
        seed: makes the draws a function of this number instead of the layer's path.
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = self.bounds("factor", factor)

    def changed(self, x: Any) -> Any:
        """The images, brighter or darker."""
        low, high = self.value_range
        delta = ops.multiply(self.drawn(self.one_each(x), self.factor), high - low)
        return self.within(ops.add(x, ops.cast(delta, x.dtype)))


class RandomCrop(RandomImageLayer):
    """In training, a window of `height` x `width` at a random place, the same for all images of a batch.

    An image that is not larger than the window on both sides is cut from its middle instead, and enlarged bilinearly where
    something is missing. In inference: the largest window of the same aspect ratio, from the middle, resized.

    Args:
        height: the rows of the window.
        width: its columns.
        seed: makes the draws a function of this number instead of the layer's path.
        data_format: "channels_last" (default) or "channels_first".
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height = positive_integer("height", height, self)
        self.width = positive_integer("width", width, self)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """The windows."""
        x = ops.cast(inputs, self.compute_dtype)
        at, size = self.height_axis(x), (self.height, self.width)
        if not training:
            return resize(crop_to_ratio(x, at, size), size, data_format=self.data_format)
        if all(have > want for have, want in zip(self.size(x), size, strict=True)):
            return self.changed(x)
        height, width = self.size(x)
        kept = (
            max(min(height, width * self.height // self.width), 1),
            max(min(width, height * self.width // self.height), 1),
        )
        start = ((height - kept[0]) // 2, (width - kept[1]) // 2)
        window = (min(self.height, height - start[0]), min(self.width, width - start[1]))
        return resize(crop(x, at, start, window), size, data_format=self.data_format)

    def changed(self, x: Any) -> Any:
        """The window at the place drawn."""
        for axis, have, want in zip((0, 1), self.size(x), (self.height, self.width), strict=True):
            start = ops.cast(self.random_uniform((), 0.0, float(have - want + 1), seed=self.seed), "int32")
            x = ops.take(x, ops.add(ops.arange(want, dtype="int32"), start), self.height_axis(x) + axis)
        return x
