"""Resizing of images: a product with a constant matrix per spatial dimension."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import ShapeError, unknown_name
from lamella.ir import limits, settings
from lamella.ir.dim import Dim, as_number, maximum, minimum
from lamella.ir.spec import is_float, spec_of
from lamella.ops.coerce import as_tensor
from lamella.ops.contraction import tensordot
from lamella.ops.elementwise import cast
from lamella.ops.indexing import take
from lamella.ops.shapes import getitem, moveaxis, pad
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _triangle(x: Tensor, xp: Any) -> Tensor:
    return xp.maximum(0.0, 1.0 - x)


def _keys_cubic(x: Tensor, xp: Any) -> Tensor:
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return xp.where(x >= 2.0, 0.0, xp.where(x >= 1.0, far, near))


def _lanczos(radius: float) -> Callable[[Any, Any], Any]:
    return lambda x, xp: xp.where(x > radius, 0.0, xp.sinc(x) * xp.sinc(x / radius))


KERNELS: dict[str, Callable[[Any, Any], Any]] = {
    "bilinear": _triangle,
    "bicubic": _keys_cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}
"""For each interpolation but "nearest" the weight of an input pixel as a function of its distance in pixels.

The second argument is the module that computes it: NumPy, or `lamella.ops` where the size of the image is left free."""

INTERPOLATIONS = ("nearest", *KERNELS)


@functools.lru_cache(maxsize=256)
def resize_matrix(size: int, new_size: int, interpolation: str, antialias: bool) -> np.ndarray:
    """The weight of every input pixel in every output pixel, `(size, new_size)`; the columns sum to 1.

    Output pixel j is centered at (j + 1/2) * size / new_size - 1/2 in the input. With `antialias` the kernel is widened
    where the image shrinks, so that every input pixel counts.

    References:
        R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech,
        and Signal Processing 29, 1981.
    """
    limits.reserve((size, new_size))
    step = size / new_size
    center = (np.arange(new_size) + 0.5) * step - 0.5
    distance = np.abs(center[None, :] - np.arange(size)[:, None]) / (max(step, 1.0) if antialias else 1.0)
    weights = KERNELS[interpolation](distance, np)
    matrix = weights / weights.sum(0, keepdims=True)
    matrix.flags.writeable = False
    return matrix


def _matrix_of_free_size(size: Any, new_size: Any, interpolation: str, antialias: bool) -> Any:
    """`resize_matrix` as equations, in float32, for an image whose size is left free."""
    from lamella import ops

    step = ops.divide(ops.cast(size, "float32"), as_number(new_size))
    center = (ops.arange(new_size, dtype="float32") + 0.5) * step - 0.5
    cells = ops.arange(size, dtype="float32")
    distance = ops.abs(ops.expand_dims(center, 0) - ops.expand_dims(cells, 1))
    distance = distance / ops.maximum(step, 1.0) if antialias else distance
    weights = KERNELS[interpolation](distance, ops)
    return weights / ops.sum(weights, 0, keepdims=True)


def nearest_cells(size: Any, new_size: Any) -> Any:
    """The input pixel (int32) that contains the center of each output pixel, in float32 as in `jax.image`."""
    if isinstance(size, Dim) or isinstance(new_size, Dim):
        from lamella import ops

        center = (ops.arange(new_size, dtype="float32") + 0.5) * ops.cast(size, "float32") / as_number(new_size)
        return ops.minimum(ops.cast(ops.floor(center), "int32"), size - 1)
    limits.reserve((new_size,))
    center = (np.arange(new_size, dtype=np.float32) + np.float32(0.5)) * np.float32(size) / np.float32(new_size)
    return np.minimum(np.floor(center), size - 1).astype(np.int32)


def resize(
    images: ArrayLike,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images resized to another height and width, as `keras.ops.image.resize`.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height. Integers become float32 unless the interpolation is "nearest".
        size: the new (height, width).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether the kernel is widened where the image shrinks, so that every pixel counts.
        crop_to_aspect_ratio: whether the image is cropped at its center to the aspect ratio of `size` first.
        pad_to_aspect_ratio: whether the image is padded on both sides to that aspect ratio first.
        fill_mode: "constant", the only one.
        fill_value: the value to pad with.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        The images with the new height and width.

    Raises:
        ShapeError: `images` has neither three nor four dimensions.
        UnknownNameError: the interpolation or the fill mode is not known.
        ValueError: both cropping and padding are asked for.

    References:
        R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech,
        and Signal Processing 29, 1981, https://doi.org/10.1109/TASSP.1981.1163711.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([[0.0, 4.0]], "float32").reshape(1, 2, 1)
        >>> ops.image.resize(x, (1, 4))[:, :, 0], ops.image.resize(x, (1, 4), "nearest")[:, :, 0]
        (array([[0., 1., 3., 4.]], dtype=float32), array([[0., 0., 4., 4.]], dtype=float32))
    """
    if interpolation not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    if fill_mode != "constant":
        raise unknown_name("fill_mode", fill_mode, ["constant"])
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio must not both be True.")
    x = as_tensor(images)
    ndim = spec_of(x).ndim
    if ndim not in (3, 4):
        raise ShapeError(f"images must have 4 dimensions, or 3 for a single one, got {spec_of(x)}.")
    rows = ndim - 3 if settings.layout_of(data_format) == "channels_last" else ndim - 2
    if crop_to_aspect_ratio:
        x = crop_to_ratio(x, rows, size)
    elif pad_to_aspect_ratio:
        x = pad_to_ratio(x, rows, size, fill_value)
    if interpolation != "nearest" and not is_float(spec_of(x).dtype):
        x = cast(x, "float32")
    for axis, new_size in zip((rows, rows + 1), size, strict=True):
        old = spec_of(x).shape[axis]
        if old == new_size:
            continue
        if interpolation == "nearest":
            x = take(x, nearest_cells(old, new_size), axis)
        else:
            made = _matrix_of_free_size if isinstance(old, Dim) or isinstance(new_size, Dim) else resize_matrix
            matrix = cast(made(old, new_size, interpolation, antialias), spec_of(x).dtype)
            x = moveaxis(tensordot(x, matrix, ((axis,), (0,))), -1, axis)
    return x


def crop_to_ratio(x: ArrayLike, rows: int, size: tuple[int, int]) -> Tensor:
    """The center of the image, cropped to the aspect ratio of `size`; its height is axis `rows`."""
    height, width = spec_of(x).shape[rows : rows + 2]
    kept = (
        maximum(minimum(height, width * size[0] // size[1]), 1),
        maximum(minimum(width, height * size[1] // size[0]), 1),
    )
    return crop(x, rows, ((height - kept[0]) // 2, (width - kept[1]) // 2), kept)


def crop(x: ArrayLike, rows: int, start: tuple[Any, Any], size: tuple[Any, Any]) -> Tensor:
    """`size` rows and columns of the image from `start`; its height is axis `rows`."""
    key = [slice(None)] * spec_of(x).ndim
    for axis, low, count in zip((rows, rows + 1), start, size, strict=True):
        key[axis] = slice(low, low + count)
    return getitem(x, tuple(key))


def pad_to_ratio(x: Any, rows: int, size: tuple[int, int], fill_value: float) -> Any:
    """The image, padded equally on both sides to the aspect ratio of `size`; its height is axis `rows`."""
    height, width = spec_of(x).shape[rows : rows + 2]
    above = (maximum(height, width * size[0] // size[1]) - height) // 2
    beside = (maximum(width, height * size[1] // size[0]) - width) // 2
    if not isinstance(above, Dim) and above:
        beside = 0
    widths: list[tuple[Any, Any]] = [(0, 0)] * spec_of(x).ndim
    widths[rows : rows + 2] = [(above, above), (beside, beside)]
    return pad(x, widths, constant_values=fill_value)


filter_functions(__name__)
