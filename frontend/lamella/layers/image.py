"""Deterministic image layers: resizing and cropping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import Dim, public_shape
from lamella.ir.spec import Spec, is_float
from lamella.layers.base import Layer
from lamella.layers.checks import choice, layout, number, positive_integer
from lamella.ops.resizing import INTERPOLATIONS, crop, crop_to_ratio, resize

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

_LIMITS = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0), "uint16": (0.0, 65535.0), "int16": (-32768.0, 32767.0)}


class ImageLayer(Layer):
    """The base: images `(batch, height, width, channels)`, or a single one `(height, width, channels)`."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = positive_integer("height", height, self)
        self.width = positive_integer("width", width, self)
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """Check for four dimensions, or three."""
        if spec.ndim not in (3, 4):
            raise ShapeError(f"expected images (batch, height, width, channels), got shape {public_shape(spec.shape)}.")

    def rows(self, x: Tensor) -> int:
        """The axis of the height."""
        return len(x.shape) - (3 if self.data_format == "channels_last" else 2)


class Resizing(ImageLayer):
    """Resize images to `(height, width)`.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output the same
    with the new height and width. Integer images stay integers, rounded after the interpolation.

    Args:
        height: height of the output.
        width: width of the output.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether to crop the center of the images to the new aspect ratio first.
        pad_to_aspect_ratio: whether to pad the images on both sides to the new aspect ratio first.
        fill_mode: "constant", the only mode.
        fill_value: value to pad with.
        antialias: whether to widen the interpolation kernel where the images shrink.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: a size is not positive, or both `crop_to_aspect_ratio` and `pad_to_aspect_ratio` are True.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Resizing
        >>> Resizing(2, 2)(np.arange(16.0).reshape(4, 4, 1))[:, :, 0]
        array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)
        self.interpolation = choice("interpolation", interpolation, INTERPOLATIONS, self)
        self.fill_mode = choice("fill_mode", fill_mode, ["constant"], self)
        self.fill_value = number("fill_value", fill_value, self)
        self.antialias = bool(antialias)
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError("Resizing: images can be either cropped or padded to the aspect ratio, not both.")

    def call(self, inputs: Tensor) -> Tensor:
        """The resized images."""
        y = resize(
            inputs,
            (self.height, self.width),
            self.interpolation,
            self.antialias,
            self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio,
            self.fill_mode,
            self.fill_value,
            self.data_format,
        )
        if y.dtype == inputs.dtype:
            return y
        if not is_float(inputs.dtype):
            y = ops.round(y)
            if inputs.dtype in _LIMITS:
                y = ops.clip(y, *_LIMITS[inputs.dtype])
        return ops.cast(y, inputs.dtype)


class CenterCrop(ImageLayer):
    """Crop the center `height` x `width` pixels of images.

    Input shape `(batch, height, width, channels)`, or `(height, width, channels)` for a single image; output the same
    with the new height and width, in the compute dtype. Images that are too small are cropped to the aspect ratio and
    enlarged bilinearly instead.

    Args:
        height: number of rows to keep.
        width: number of columns to keep.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: a size is not positive.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import CenterCrop
        >>> CenterCrop(2, 2)(np.arange(16.0).reshape(4, 4, 1))[:, :, 0]
        array([[ 5.,  6.],
               [ 9., 10.]], dtype=float32)
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The center of the images, in the compute dtype."""
        x = ops.cast(inputs, self.compute_dtype)
        rows, size = self.rows(x), (self.height, self.width)
        left = [d - n for d, n in zip(x.shape[rows : rows + 2], size, strict=True)]

        def enlarged() -> Any:
            return resize(crop_to_ratio(x, rows, size), size, "bilinear", data_format=self.data_format)

        def middle() -> Any:
            y = x
            for axis, (count, more) in enumerate(zip(size, left, strict=True), start=rows):
                y = ops.take(y, ops.add(ops.arange(count), more // 2), axis)
            return y

        if any(isinstance(n, Dim) for n in left):
            return ops.cond(ops.logical_and(*[ops.greater_equal(n, 0) for n in left]), middle, enlarged)
        return crop(x, rows, (left[0] // 2, left[1] // 2), size) if min(left) >= 0 else enlarged()
