"""Convolution, pooling, padding and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape
from lamella.ops.resizing import INTERPOLATIONS
from lamella.tracebacks import filter_functions

Pair = int | Sequence[int]


def _is_first(data_format: str | None) -> bool:
    return settings.layout_of(data_format) == "channels_first"


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """`x` plus a bias for each channel, or one for each cell of the other axes but the batch.

    Args:
        x: `(batch, ..., channels)`, or `(batch, channels, ...)` with channels first.
        bias: `(channels,)`, or the axes of `x` with channels last, without the batch.
        data_format: "channels_last" or "channels_first"; None is that of the process.

    Raises:
        ShapeError: the bias has another number of dimensions.
    """
    ndim, dims = ops.ndim(x), ops.ndim(bias)
    if dims not in (1, ndim - 1):
        raise ShapeError(f"K.bias_add: bias must have 1 or {ndim - 1} dimensions, got shape {_shown(bias)}.")
    if not _is_first(data_format):
        return ops.add(x, bias)
    bias = ops.moveaxis(bias, -1, 0) if dims > 1 else ops.reshape(bias, (-1, *[1] * (ndim - 2)))
    return ops.add(x, bias)


def _shown(x: Any) -> str:
    return str(public_shape(ops.shape(x)))


# ---- convolution ----


def conv1d(
    x: Any,
    kernel: Any,
    strides: Pair = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = 1,
) -> Any:
    """A convolution over time, with a kernel `(window, channels, filters)`; the padding may be "causal"."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(
    x: Any,
    kernel: Any,
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Any:
    """A convolution over images, with a kernel `(height, width, channels, filters)`."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv3d(
    x: Any,
    kernel: Any,
    strides: Pair = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1, 1),
) -> Any:
    """A convolution over volumes, with a kernel `(depth, height, width, channels, filters)`."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def depthwise_conv2d(
    x: Any,
    depthwise_kernel: Any,
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Any:
    """Every channel convolved separately, with a kernel `(height, width, channels, multiplier)`."""
    return ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv2d(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Any:
    """`depthwise_conv2d`, and then a convolution with a kernel `(1, 1, channels * multiplier, filters)`."""
    return ops.separable_conv(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate)


def conv2d_transpose(
    x: Any,
    kernel: Any,
    output_shape: Sequence[Any],
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Any:
    """The transpose of the convolution that makes `x` of images of a given size.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        kernel: `(height, width, filters, channels)`.
        output_shape: the shape of the result, the batch first, which may be None.
        strides: the steps of the convolution.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is that of the process.
        dilation_rate: the distance between the kernel's cells.

    Raises:
        ShapeError: the convolution does not make `x` of images of that size.
    """
    first = _is_first(data_format)
    x = ops.moveaxis(x, 1, -1) if first else ops.convert_to_tensor(x)
    batch, *wanted = [output_shape[i] for i in (0, 2, 3, 1)] if first and len(output_shape) == 4 else output_shape
    steps, dilation = ([n, n] if isinstance(n, int) else [*n] for n in (strides, dilation_rate))
    y = ops.conv_transpose(x, kernel, steps, "valid", data_format="channels_last", dilation_rate=dilation)
    misfit = ShapeError(
        f"K.conv2d_transpose: output_shape {tuple(output_shape)} does not belong to x of shape {_shown(x)}, kernel "
        f"{_shown(kernel)}, strides {tuple(steps)} and padding {padding!r}."
    )
    if len(wanted) != 3 or None in wanted or differ(wanted[2], ops.shape(y)[3]):
        raise misfit
    if batch is not None and differ(batch, ops.shape(y)[0]):
        raise misfit
    for axis in (0, 1):
        whole, size = ops.shape(y)[axis + 1], wanted[axis]
        window = (ops.shape(kernel)[axis] - 1) * dilation[axis] + 1
        back = size if padding == "same" else size - window + 1
        if differ(ops.shape(x)[axis + 1], -(-back // steps[axis])):
            raise misfit
        before = max(whole - size, 0) // 2 if padding == "same" else 0
        kept = min(whole - before, size)
        y = ops.getitem(y, (*[slice(None)] * (axis + 1), slice(before, before + kept)))
        y = ops.pad(y, [(0, size - kept if i == axis + 1 else 0) for i in range(4)]) if kept < size else y
    return ops.moveaxis(y, -1, 1) if first else y


# ---- pooling, padding, resizing ----


def _pool(
    x: Any, pool_size: Sequence[int], strides: Sequence[int], padding: str, data_format: str | None, pool_mode: str
) -> Any:
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise ArgumentError(f"pool_mode must be 'max' or 'avg', got {pool_mode!r}.")
    return pools[pool_mode](x, pool_size, strides, padding, data_format)


def pool2d(
    x: Any,
    pool_size: Sequence[int],
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Any:
    """The largest entry ("max") or the mean ("avg") of every window of images."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def pool3d(
    x: Any,
    pool_size: Sequence[int],
    strides: Sequence[int] = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Any:
    """The largest entry ("max") or the mean ("avg") of every window of volumes."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def temporal_padding(x: Any, padding: Sequence[int] = (1, 1)) -> Any:
    """`(batch, time, features)` with steps of zeros before and after."""
    return ops.pad(x, ((0, 0), tuple(padding), (0, 0)))


def _pad(x: Any, padding: Sequence[Sequence[int]], data_format: str | None, n: int) -> Any:
    sides = [tuple(side) if isinstance(side, list | tuple) else () for side in padding]
    if len(sides) != n or any(len(side) != 2 for side in sides):
        raise ArgumentError(f"padding must be {n} pairs of integers, got {padding!r}.")
    return ops.pad(x, [(0, 0), (0, 0), *sides] if _is_first(data_format) else [(0, 0), *sides, (0, 0)])


def spatial_2d_padding(
    x: Any, padding: Sequence[Sequence[int]] = ((1, 1), (1, 1)), data_format: str | None = None
) -> Any:
    """Images with rows and columns of zeros around them."""
    return _pad(x, padding, data_format, 2)


def spatial_3d_padding(
    x: Any, padding: Sequence[Sequence[int]] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None
) -> Any:
    """Volumes with zeros around them."""
    return _pad(x, padding, data_format, 3)


def resize_images(
    x: Any, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest"
) -> Any:
    """Images that are larger by whole factors.

    Args:
        x: the images.
        height_factor: by which the height grows.
        width_factor: by which the width grows.
        data_format: "channels_last" or "channels_first".
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".

    Raises:
        ArgumentError: the interpolation is another.
    """
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(
            f"K.resize_images: interpolation must be one of {', '.join(map(repr, INTERPOLATIONS))}, got {interpolation!r}."
        )
    height, width = (2, 3) if _is_first(data_format) else (1, 2)
    if interpolation == "nearest":
        return ops.repeat(ops.repeat(x, height_factor, height), width_factor, width)
    sizes = ops.shape(x)
    size = (sizes[height] * height_factor, sizes[width] * width_factor)
    return ops.image.resize(x, size, interpolation, data_format=data_format)


def resize_volumes(x: Any, depth_factor: int, height_factor: int, width_factor: int, data_format: str) -> Any:
    """Volumes with every cell repeated by whole factors."""
    for axis, factor in enumerate((depth_factor, height_factor, width_factor), 2 if _is_first(data_format) else 1):
        x = ops.repeat(x, factor, axis)
    return x


filter_functions(__name__)
