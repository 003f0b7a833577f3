"""Functions of images, `(batch, height, width, channels)` or a single image without the batch, as `keras.ops.image`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.absent import refusing
from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import Dim, public_shape
from lamella.ir.spec import is_float, promote, spec_of
from lamella.ops.affine import affine_transform as affine_transform
from lamella.ops.image_filters import extract_patches as extract_patches
from lamella.ops.image_filters import extract_patches_3d as extract_patches_3d
from lamella.ops.image_filters import gaussian_blur as gaussian_blur
from lamella.ops.image_filters import image_axes
from lamella.ops.image_filters import sobel_edges as sobel_edges
from lamella.ops.image_filters import ssim as ssim
from lamella.ops.image_places import elastic_transform as elastic_transform
from lamella.ops.image_places import map_coordinates as map_coordinates
from lamella.ops.image_places import perspective_transform as perspective_transform
from lamella.ops.image_places import scale_and_translate as scale_and_translate
from lamella.ops.resizing import resize as resize

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _of_three(before: int | None, after: int | None, target: int | None, names: str) -> None:
    given = (before, after, target)
    if given.count(None) != 1 or any(n is not None and (not isinstance(n, int) or n < 0) for n in given):
        raise ArgumentError(
            f"exactly two of {names} must be given, integers from 0; got {before}, {after} and {target}."
        )


def pad_images(
    images: ArrayLike,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with rows and columns of zeros around them.

    Two of `top_padding`, `bottom_padding` and `target_height` must be given, and two of `left_padding`, `right_padding`
    and `target_width`.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        top_padding: the number of rows above.
        left_padding: the number of columns on the left.
        bottom_padding: the number of rows below.
        right_padding: the number of columns on the right.
        target_height: the height of the result.
        target_width: the width of the result.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        The larger images, in the dtype of `images`.

    Raises:
        ArgumentError: not exactly two of three are given, or the target is smaller than the images.
        ShapeError: `images` has another number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.image.pad_images(np.ones((2, 2, 1)), 1, 0, target_height=4, target_width=3)[:, :, 0]
        array([[0., 0., 0.],
               [1., 1., 0.],
               [1., 1., 0.],
               [0., 0., 0.]])
    """
    _of_three(top_padding, bottom_padding, target_height, "top_padding, bottom_padding and target_height")
    _of_three(left_padding, right_padding, target_width, "left_padding, right_padding and target_width")
    x, rows, _ = image_axes(images, data_format)
    around: list[tuple[Any, Any]] = [(0, 0)] * len(x.shape)
    for axis, before, after, target in (
        (rows, top_padding, bottom_padding, target_height),
        (rows + 1, left_padding, right_padding, target_width),
    ):
        free = 0 if target is None else target - x.shape[axis] - (before or 0) - (after or 0)
        around[axis] = (free if before is None else before, free if after is None else after)
        if any(not isinstance(n, Dim) and n < 0 for n in around[axis]):
            raise ArgumentError(f"images of shape {public_shape(x.shape)} do not fit into a target of {target}.")
    return ops.pad(x, around)


def crop_images(
    images: ArrayLike,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without some rows and columns at their edges.

    Two of `top_cropping`, `bottom_cropping` and `target_height` must be given, and two of `left_cropping`,
    `right_cropping` and `target_width`.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        top_cropping: the number of rows to remove above.
        left_cropping: the number of columns to remove on the left.
        bottom_cropping: the number of rows to remove below.
        right_cropping: the number of columns to remove on the right.
        target_height: the height of the result.
        target_width: the width of the result.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        The smaller images, in the dtype of `images`.

    Raises:
        ArgumentError: not exactly two of three are given, or the images are smaller than the rows and columns to keep
            and to remove.
        ShapeError: `images` has another number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.arange(9).reshape(3, 3, 1)
        >>> ops.image.crop_images(x, 1, 0, target_height=1, right_cropping=1)[:, :, 0]
        array([[3, 4]])
    """
    _of_three(top_cropping, bottom_cropping, target_height, "top_cropping, bottom_cropping and target_height")
    _of_three(left_cropping, right_cropping, target_width, "left_cropping, right_cropping and target_width")
    x, rows, _ = image_axes(images, data_format)
    kept = [slice(None)] * len(x.shape)
    for axis, before, after, target in (
        (rows, top_cropping, bottom_cropping, target_height),
        (rows + 1, left_cropping, right_cropping, target_width),
    ):
        size = x.shape[axis]
        start: Any = size - after - target if before is None and after is not None and target is not None else before
        stop: Any = size - after if after is not None else start + target
        if not any(isinstance(n, Dim) for n in (start, stop)) and not 0 <= start <= stop <= size:
            raise ArgumentError(
                f"images of shape {public_shape(x.shape)} are smaller than the rows and columns to keep and to remove."
            )
        kept[axis] = slice(start, stop)
    return x[tuple(kept)]


def rgb_to_grayscale(images: ArrayLike, data_format: str | None = None) -> Tensor:
    """0.2989 red + 0.587 green + 0.114 blue, with one channel; images of one channel stay as they are.

    Args:
        images: `(batch, height, width, 3)` or with one channel, or one image without the batch; with data_format
            "channels_first" the channels come before the height.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        Images of one channel, in the dtype of `images`.

    Raises:
        ShapeError: the images have neither 3 channels nor one, or another number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.image.rgb_to_grayscale(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])).round(4).ravel()
        array([0.2989, 0.587 ])
    """
    x, _, channel = image_axes(images, data_format)
    if x.shape[channel] == 1:
        return x
    red, green, blue = _channels(x, channel, "rgb_to_grayscale")
    dtype = spec_of(x).dtype
    wide = dtype if is_float(dtype) else promote(settings.floatx(), dtype)
    weighted = [ops.multiply(ops.cast(c, wide), w) for c, w in ((red, 0.2989), (green, 0.587), (blue, 0.114))]
    return ops.cast(ops.expand_dims(ops.add(ops.add(weighted[0], weighted[1]), weighted[2]), channel), dtype)


def rgb_to_hsv(images: ArrayLike, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value, each from 0 to 1, of red, green and blue.

    Args:
        images: floats from 0 to 1, `(batch, height, width, 3)`, or one image without the batch; with data_format
            "channels_first" the channels come before the height.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of the shape and dtype of `images`.

    Raises:
        ShapeError: the images do not have 3 channels, or have another number of dimensions.
        DTypeError: the images are not floats.

    References:
        A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978, https://doi.org/10.1145/965139.807361.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.image.rgb_to_hsv(np.array([[[0.0, 0.5, 0.0]]])).round(4).ravel()
        array([0.3333, 1.    , 0.5   ])
    """
    x, _, channel = image_axes(images, data_format)
    red, green, blue = _channels(x, channel, "rgb_to_hsv", floats=True)
    value = ops.maximum(ops.maximum(red, green), blue)
    spread = ops.subtract(value, ops.minimum(ops.minimum(red, green), blue))
    saturation = ops.divide(spread, ops.where(ops.greater(value, 0.0), value, 1.0))
    sixth = ops.divide(1.0, ops.multiply(ops.where(ops.greater(spread, 0.0), spread, 1.0), 6.0))
    of_green = ops.add(ops.multiply(sixth, ops.subtract(blue, red)), 2.0 / 6.0)
    of_blue = ops.add(ops.multiply(sixth, ops.subtract(red, green)), 4.0 / 6.0)
    hue = ops.where(ops.equal(value, green), of_green, of_blue)
    hue = ops.where(ops.equal(value, red), ops.multiply(sixth, ops.subtract(green, blue)), hue)
    hue = ops.where(ops.greater(spread, 0.0), hue, 0.0)
    return ops.stack([ops.where(ops.less(hue, 0.0), ops.add(hue, 1.0), hue), saturation, value], channel)


def hsv_to_rgb(images: ArrayLike, data_format: str | None = None) -> Tensor:
    """Red, green and blue of hue, saturation and value: the inverse of `rgb_to_hsv`.

    Args:
        images: floats, `(batch, height, width, 3)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height. Hues are taken modulo 1.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of the shape and dtype of `images`.

    Raises:
        ShapeError: the images do not have 3 channels, or have another number of dimensions.
        DTypeError: the images are not floats.

    References:
        A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978, https://doi.org/10.1145/965139.807361.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.image.hsv_to_rgb(np.array([[[0.0, 1.0, 0.5]]])).ravel()
        array([0.5, 0. , 0. ])
    """
    x, _, channel = image_axes(images, data_format)
    hue, saturation, value = _channels(x, channel, "hsv_to_rgb", floats=True)
    six = ops.multiply(ops.mod(hue, 1.0), 6.0)
    shares = (
        ops.subtract(ops.abs(ops.subtract(six, 3.0)), 1.0),
        ops.subtract(2.0, ops.abs(ops.subtract(six, 2.0))),
        ops.subtract(2.0, ops.abs(ops.subtract(six, 4.0))),
    )
    rest = ops.subtract(1.0, saturation)
    return ops.stack(
        [ops.multiply(value, ops.add(rest, ops.multiply(saturation, ops.clip(s, 0.0, 1.0)))) for s in shares], channel
    )


def _channels(x: Tensor, channel: int, what: str, *, floats: bool = False) -> list[Any]:
    if x.shape[channel] != 3:
        raise ShapeError(f"{what}: images must have 3 channels, got shape {public_shape(x.shape)}.")
    if floats and not is_float(spec_of(x).dtype):
        raise DTypeError(f"{what}: images must be floats, got {spec_of(x).dtype}: divide by 255.")
    return [ops.take(x, np.int32(i), axis=channel) for i in range(3)]


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
