"""Image layers that augment images at random in training, and return them unchanged in inference.

The draws are independent for every image of a batch. They are those of `Layer.random_uniform`, so that the same seed gives
the same image on every backend, up to the rounding of the interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import public_shape
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import choice, layout, number, positive_integer
from lamella.ops.affine import INTERPOLATIONS
from lamella.ops.resizing import crop, crop_to_ratio, resize

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

Factor = float | Sequence[float]

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")
_FLIPS = {"horizontal": (1,), "vertical": (0,), "horizontal_and_vertical": (0, 1)}


class RandomImageLayer(Layer):
    """The base: images `(batch, height, width, channels)`, or a single one `(height, width, channels)`.

    The output is in the compute dtype, in training and in inference. A call without `training` counts as training, as
    in Keras; `predict` and `evaluate` pass False.
    """

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """Check for four dimensions, or three."""
        if spec.ndim not in (3, 4):
            raise ShapeError(f"expected images (batch, height, width, channels), got shape {public_shape(spec.shape)}.")

    def call(self, inputs: Tensor, training: bool = True) -> Tensor:
        """The images, augmented in training."""
        x = ops.cast(inputs, self.compute_dtype)
        return self.changed(x) if training else x

    def changed(self, x: Any) -> Any:
        """The images, augmented by the draws of this step."""
        raise NotImplementedError(f"{type(self).__name__} must define `changed`.")

    def height_axis(self, x: Tensor) -> int:
        """The axis of the height; the width comes next."""
        return len(x.shape) - (3 if self.data_format == "channels_last" else 2)

    def size(self, x: Tensor) -> tuple[int, int]:
        """Height and width."""
        at = self.height_axis(x)
        return x.shape[at], x.shape[at + 1]

    def one_each(self, x: Tensor) -> tuple[int, ...]:
        """The shape of one number per image that broadcasts to the images."""
        return (1, 1, 1) if len(x.shape) == 3 else (x.shape[0], 1, 1, 1)

    def drawn(self, shape: Sequence[int], bounds: tuple[float, float]) -> Tensor:
        """Uniform numbers between the bounds, at least float32; equal bounds give that number, without a draw."""
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        if bounds[0] == bounds[1]:
            return ops.full(shape, bounds[0], wide)
        return self.random_uniform(shape, *bounds, seed=self.seed, dtype=wide)

    def bounds(self, name: str, factor: Any, low: float = -1.0, high: float = 1.0) -> tuple[float, float]:
        """The bounds (lower, upper) of a factor, a pair or a number for both directions.

        Raises:
            ValueError: a number is not between `low` and `high`, or there are not two.
        """
        pair = isinstance(factor, list | tuple)
        if pair and len(factor) != 2:
            raise ValueError(f"{type(self).__name__}: {name} must be a number or a pair of numbers, got {factor!r}.")
        values = [number(name, f, self) for f in (factor if pair else (factor,))]
        if any(not low <= f <= high for f in values):
            raise ValueError(f"{type(self).__name__}: {name} must be between {low:g} and {high:g}, got {factor!r}.")
        least, most = (min(values), max(values)) if pair else (-abs(values[0]), abs(values[0]))
        return max(least, low), most


class RandomFlip(RandomImageLayer):
    """In training, mirror each image with probability 1/2.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output of the
    same shape. With `training=False` the input is returned in the compute dtype; a call without `training` counts as
    training, as in Keras. The draws are the same on every backend, and independent for every image.

    Args:
        mode: "horizontal" (left and right), "vertical" (top and bottom), or "horizontal_and_vertical": both or neither,
            by one draw per image, as in Keras.
        seed: makes the draws depend on this integer instead of the layer's path.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        UnknownNameError: `mode` is none of these.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomFlip
        >>> images = np.array([[0.0, 1.0]] * 100).reshape(100, 1, 2, 1)
        >>> flipped = RandomFlip("horizontal", seed=1)(images, training=True)[:, 0, 0, 0]
        >>> bool(30 < flipped.sum() < 70)
        True
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

    def changed(self, x: Tensor) -> Tensor:
        """Each image, or its mirror image."""
        at = self.height_axis(x)
        flipped = ops.flip(x, tuple(at + offset for offset in _FLIPS[self.mode]))
        return ops.where(self.keep_mask(self.one_each(x), 0.5, seed=self.seed), flipped, x)


class AffineLayer(RandomImageLayer):
    """The base of the layers that move pixels: an affine transformation of the coordinates, then interpolation."""

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
        """(a0, a1, a2, b0, b1, b2): the coordinates in the input of output pixel (x, y); arrays `(count,)` or numbers."""
        raise NotImplementedError(f"{type(self).__name__} must define `transform`.")

    def changed(self, x: Tensor) -> Tensor:
        """The images with their pixels moved."""
        count = 1 if len(x.shape) == 3 else x.shape[0]
        entries = [*self.transform(count, *self.size(x)), 0.0, 0.0]
        wide = next(e.dtype for e in entries if hasattr(e, "dtype"))
        columns = [e if hasattr(e, "dtype") else ops.full((count,), e, wide) for e in entries]
        return ops.affine_transform(
            x, ops.stack(columns, 1), self.interpolation, self.fill_mode, self.fill_value, self.data_format
        )


class RandomRotation(AffineLayer):
    """In training, rotate each image about its center by a random angle.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output of the
    same shape. With `training=False` the input is returned in the compute dtype; a call without `training` counts as
    training, as in Keras. The draws are the same on every backend, and independent for every image.

    Args:
        factor: largest angle in either direction as a fraction of a full turn, or the bounds (lower, upper) of the
            angle; from -1 to 1. Positive angles rotate counterclockwise.
        fill_mode: values outside the image: "reflect" (mirrored), "wrap" (repeated), "constant" (`fill_value`) or
            "nearest" (the pixel at the border).
        interpolation: "bilinear" or "nearest".
        seed: makes the draws depend on this integer instead of the layer's path.
        fill_value: value outside the image for fill_mode="constant".
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `factor` is out of range.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomRotation
        >>> layer = RandomRotation((0.25, 0.25), interpolation="nearest")  # always a quarter turn
        >>> layer(np.array([[1.0, 2.0], [3.0, 4.0]])[:, :, None], training=True)[:, :, 0]
        array([[2., 4.],
               [1., 3.]], dtype=float32)
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
        """cos, -sin; sin, cos, about the center."""
        low, high = self.factor
        angle = ops.multiply(self.drawn((count,), (low * 360.0, high * 360.0)), math.pi / 180.0)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = 0.5 * (width - 1), 0.5 * (height - 1)
        across = ops.add(ops.subtract(x, ops.multiply(cos, x)), ops.multiply(sin, y))
        down = ops.subtract(ops.subtract(y, ops.multiply(sin, x)), ops.multiply(cos, y))
        return [cos, ops.negative(sin), across, sin, cos, down]


class RandomTranslation(AffineLayer):
    """In training, shift each image by random amounts.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output of the
    same shape. With `training=False` the input is returned in the compute dtype; a call without `training` counts as
    training, as in Keras. The draws are the same on every backend, and independent for every image.

    Args:
        height_factor: largest shift in either direction as a fraction of the height, or the bounds (lower, upper); from
            -1 to 1. Positive shifts move the image down.
        width_factor: the same for the width; positive shifts move the image to the right.
        fill_mode: values outside the image: "reflect" (mirrored), "wrap" (repeated), "constant" (`fill_value`) or
            "nearest" (the pixel at the border).
        interpolation: "bilinear" or "nearest".
        seed: makes the draws depend on this integer instead of the layer's path.
        fill_value: value outside the image for fill_mode="constant".
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: a factor is out of range.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomTranslation
        >>> layer = RandomTranslation((0.5, 0.5), 0.0, "constant", "nearest")  # always down by half the height
        >>> layer(np.array([[1.0, 2.0], [3.0, 4.0]])[:, :, None], training=True)[:, :, 0]
        array([[0., 0.],
               [1., 2.]], dtype=float32)
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
    """In training, scale each image about its center by random factors.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output of the
    same shape. With `training=False` the input is returned in the compute dtype; a call without `training` counts as
    training, as in Keras. The draws are the same on every backend, and independent for every image.

    Args:
        height_factor: largest change in either direction as a fraction of the height, or the bounds (lower, upper);
            above -1, at most 1. Positive values zoom out, negative values zoom in.
        width_factor: the same for the width; None to use the draw for the height, which keeps the aspect ratio.
        fill_mode: values outside the image: "reflect" (mirrored), "wrap" (repeated), "constant" (`fill_value`) or
            "nearest" (the pixel at the border).
        interpolation: "bilinear" or "nearest".
        seed: makes the draws depend on this integer instead of the layer's path.
        fill_value: value outside the image for fill_mode="constant".
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: a factor is out of range.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomZoom
        >>> layer = RandomZoom((-0.5, -0.5), interpolation="nearest")  # always zoom in by two
        >>> layer(np.arange(16.0).reshape(4, 4, 1), training=True)[:, :, 0]
        array([[ 5.,  5.,  6.,  6.],
               [ 5.,  5.,  6.,  6.],
               [ 9.,  9., 10., 10.],
               [ 9.,  9., 10., 10.]], dtype=float32)
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
        """zoom, 0, x; 0, zoom, y, about the center."""
        tall = self.drawn((count,), _above_one(self.height_factor))
        wide = tall if self.width_factor is None else self.drawn((count,), _above_one(self.width_factor))
        across = ops.multiply(ops.subtract(1.0, wide), 0.5 * (width - 1))
        down = ops.multiply(ops.subtract(1.0, tall), 0.5 * (height - 1))
        return [wide, 0.0, across, 0.0, tall, down]


def _above_one(bounds: tuple[float, float]) -> tuple[float, float]:
    return 1.0 + bounds[0], 1.0 + bounds[1]


class ValueLayer(RandomImageLayer):
    """The base of the layers that change values and clip them to `value_range`."""

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not isinstance(value_range, list | tuple) or len(value_range) != 2:
            raise ValueError(f"{type(self).__name__}: value_range must be a pair of numbers, got {value_range!r}.")
        self.value_range = tuple(sorted(number("value_range", v, self) for v in value_range))

    def within(self, y: Tensor) -> Tensor:
        """The values in the compute dtype, clipped to the range."""
        return ops.clip(ops.cast(y, self.compute_dtype), *self.value_range)


class RandomContrast(ValueLayer):
    """In training, y = (x - mean) * contrast + mean, with a random contrast per image and its mean per channel.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output of the
    same shape. With `training=False` the input is returned in the compute dtype; a call without `training` counts as
    training, as in Keras. The draws are the same on every backend, and independent for every image.

    Args:
        factor: the contrast is between 1 - factor and 1 + factor, or, for a pair (lower, upper), between 1 - lower and
            1 + upper; from 0 to 1.
        value_range: the smallest and the largest value; the output is clipped to this range.
        seed: makes the draws depend on this integer instead of the layer's path.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `factor` is out of range, or `value_range` is not a pair.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomContrast
        >>> images = np.array([[100.0, 200.0]]).reshape(1, 1, 2, 1)
        >>> y = RandomContrast(0.5, seed=1)(images, training=True)
        >>> y.shape, y.mean().round().item()
        ((1, 1, 2, 1), 150.0)
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        both = factor if isinstance(factor, list | tuple) else (factor, factor)
        self.factor = self.bounds("factor", both, 0.0)

    def changed(self, x: Tensor) -> Tensor:
        """The images with a random contrast."""
        at = self.height_axis(x)
        contrast = self.drawn(self.one_each(x), (1.0 - self.factor[0], 1.0 + self.factor[1]))
        if len(x.shape) == 3:
            contrast = ops.reshape(contrast, (1, 1, 1))
        mean = ops.mean(x, (at, at + 1), keepdims=True)
        return self.within(ops.add(ops.multiply(ops.subtract(x, mean), ops.cast(contrast, x.dtype)), mean))


class RandomBrightness(ValueLayer):
    """In training, y = x + delta, with a random delta per image.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output of the
    same shape. With `training=False` the input is returned in the compute dtype; a call without `training` counts as
    training, as in Keras. The draws are the same on every backend, and independent for every image.

    Args:
        factor: delta is between -factor and factor, as a fraction of the size of `value_range`, or between the bounds
            (lower, upper); from -1 to 1.
        value_range: the smallest and the largest value; the output is clipped to this range.
        seed: makes the draws depend on this integer instead of the layer's path.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `factor` is out of range, or `value_range` is not a pair.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomBrightness
        >>> layer = RandomBrightness((0.5, 0.5), value_range=(0, 1))  # always brighter by a half
        >>> layer(np.array([[0.25, 0.75]]).reshape(1, 1, 2, 1), training=True).ravel()
        array([0.75, 1.  ], dtype=float32)
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = self.bounds("factor", factor)

    def changed(self, x: Tensor) -> Tensor:
        """The images, brighter or darker."""
        low, high = self.value_range
        delta = ops.multiply(self.drawn(self.one_each(x), self.factor), high - low)
        return self.within(ops.add(x, ops.cast(delta, x.dtype)))


class RandomCrop(RandomImageLayer):
    """In training, crop a `height` x `width` window at a random position, the same for all images of a batch.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output the same
    with the new height and width. An image that is not larger than the window in both dimensions is cropped at the
    center instead, and enlarged bilinearly if needed. With `training=False` the largest centered window of the same
    aspect ratio is resized.

    Args:
        height: height of the window.
        width: width of the window.
        seed: makes the draws depend on this integer instead of the layer's path.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: a size is not positive.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RandomCrop
        >>> RandomCrop(2, 3)(np.ones((4, 8, 8, 1)), training=True).shape
        (4, 2, 3, 1)
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height = positive_integer("height", height, self)
        self.width = positive_integer("width", width, self)

    def call(self, inputs: Tensor, training: bool = True) -> Tensor:
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

    def changed(self, x: Tensor) -> Tensor:
        """The window at a random position."""
        for axis, have, want in zip((0, 1), self.size(x), (self.height, self.width), strict=True):
            start = ops.cast(self.random_uniform((), 0.0, float(have - want + 1), seed=self.seed), "int32")
            x = ops.take(x, ops.add(ops.arange(want, dtype="int32"), start), self.height_axis(x) + axis)
        return x
