"""Convolution, pooling, padding and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape
from lamella.ops.resizing import INTERPOLATIONS
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Pair = int | Sequence[int]


def _is_first(data_format: str | None) -> bool:
    return settings.layout_of(data_format) == "channels_first"


def bias_add(x: ArrayLike, bias: Any, data_format: str | None = None) -> Tensor:
    """`x` plus one bias per channel, or per entry of all axes but the batch.

    Args:
        x: `(batch, ..., channels)`, or `(batch, channels, ...)` with channels first.
        bias: `(channels,)`, or an array with the axes of `x` with channels last, without the batch.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of the shape of `x`.

    Raises:
        ShapeError: the bias has another number of dimensions.

    Example:
        >>> from lamella import backend as K
        >>> K.bias_add([[1.0, 2.0], [3.0, 4.0]], [10.0, 20.0])
        array([[11., 22.],
               [13., 24.]], dtype=float32)
    """
    ndim, dims = ops.ndim(x), ops.ndim(bias)
    if dims not in (1, ndim - 1):
        raise ShapeError(f"K.bias_add: bias must have 1 or {ndim - 1} dimensions, got shape {_shown(bias)}.")
    if not _is_first(data_format):
        return ops.add(x, bias)
    bias = ops.moveaxis(bias, -1, 0) if dims > 1 else ops.reshape(bias, (-1, *[1] * (ndim - 2)))
    return ops.add(x, bias)


def _shown(x: Tensor) -> str:
    return str(public_shape(ops.shape(x)))


def conv1d(
    x: Tensor,
    kernel: Tensor,
    strides: Pair = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = 1,
) -> Tensor:
    """A convolution over time.

    Args:
        x: `(batch, time, channels)`, or with channels first.
        kernel: `(window, channels, filters)`.
        strides: the steps of the window.
        padding: "valid", "same" or "causal", as in `lamella.ops.conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries.

    Returns:
        An array `(batch, new time, filters)`, or with channels first.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.conv1d(ops.ones((1, 5, 2)), ops.ones((3, 2, 1)))[0, :, 0]
        array([6., 6., 6.], dtype=float32)
    """
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(
    x: Tensor,
    kernel: Tensor,
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Tensor:
    """A convolution over images.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        kernel: `(height, width, channels, filters)`.
        strides: the steps of the window, one number or (down, across).
        padding: "valid" or "same", as in `lamella.ops.conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries, one number or (down, across).

    Returns:
        An array `(batch, new height, new width, filters)`, or with channels first.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.conv2d(ops.ones((1, 5, 5, 3)), ops.ones((3, 3, 3, 8)), padding="same").shape
        (1, 5, 5, 8)
    """
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv3d(
    x: Tensor,
    kernel: Tensor,
    strides: Pair = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1, 1),
) -> Tensor:
    """A convolution over volumes.

    Args:
        x: `(batch, depth, height, width, channels)`, or with channels first.
        kernel: `(depth, height, width, channels, filters)`.
        strides: the steps of the window, one number or three.
        padding: "valid" or "same", as in `lamella.ops.conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries, one number or three.

    Returns:
        An array `(batch, new depth, new height, new width, filters)`, or with channels first.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.conv3d(ops.ones((1, 4, 4, 4, 1)), ops.ones((2, 2, 2, 1, 5))).shape
        (1, 3, 3, 3, 5)
    """
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def depthwise_conv2d(
    x: Tensor,
    depthwise_kernel: Tensor,
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Tensor:
    """Every channel convolved with separate kernels.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        depthwise_kernel: `(height, width, channels, multiplier)`.
        strides: the steps of the window, one number or (down, across).
        padding: "valid" or "same", as in `lamella.ops.conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries, one number or (down, across).

    Returns:
        An array `(batch, new height, new width, channels * multiplier)`, or with channels first.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.depthwise_conv2d(ops.ones((1, 5, 5, 3)), ops.ones((3, 3, 3, 2))).shape
        (1, 3, 3, 6)
    """
    return ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv2d(
    x: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Tensor:
    """`depthwise_conv2d`, then a convolution over windows of one pixel.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        depthwise_kernel: `(height, width, channels, multiplier)`.
        pointwise_kernel: `(1, 1, channels * multiplier, filters)`.
        strides: the steps of the window, one number or (down, across).
        padding: "valid" or "same", as in `lamella.ops.conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the entries of the first kernel, one number or (down, across).

    Returns:
        An array `(batch, new height, new width, filters)`, or with channels first.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.separable_conv2d(ops.ones((1, 5, 5, 3)), ops.ones((3, 3, 3, 2)), ops.ones((1, 1, 6, 4))).shape
        (1, 3, 3, 4)
    """
    return ops.separable_conv(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate)


def conv2d_transpose(
    x: Tensor,
    kernel: Tensor,
    output_shape: Sequence[Any],
    strides: Pair = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Pair = (1, 1),
) -> Tensor:
    """The transpose of the convolution that maps images of a given size to `x`.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        kernel: `(height, width, filters, channels)`.
        output_shape: the shape of the result, the batch first, which may be None.
        strides: the steps of the convolution.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries.

    Returns:
        An array of `output_shape`.

    Raises:
        ShapeError: the convolution does not map images of that size to the shape of `x`.

    Example:
        >>> from lamella import backend as K, ops
        >>> x, kernel = ops.ones((1, 2, 2, 1)), ops.ones((3, 3, 1, 1))
        >>> K.conv2d_transpose(x, kernel, (1, 4, 4, 1), strides=(2, 2), padding="same")[0, :, :, 0]
        array([[1., 1., 2., 1.],
               [1., 1., 2., 1.],
               [2., 2., 4., 2.],
               [1., 1., 2., 1.]], dtype=float32)
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


def _pool(
    x: Tensor, pool_size: Sequence[int], strides: Sequence[int], padding: str, data_format: str | None, pool_mode: str
) -> Tensor:
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise ArgumentError(f"pool_mode must be 'max' or 'avg', got {pool_mode!r}.")
    return pools[pool_mode](x, pool_size, strides, padding, data_format)


def pool2d(
    x: Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    """The largest entry ("max") or the mean ("avg") of every window of images.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        pool_size: (height, width) of the window.
        strides: the steps of the window, (down, across).
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        pool_mode: "max" or "avg".

    Returns:
        An array `(batch, new height, new width, channels)`, or with channels first.

    Raises:
        ArgumentError: `pool_mode` is neither.

    Example:
        >>> import numpy as np
        >>> from lamella import backend as K
        >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> K.pool2d(x, (2, 2), strides=(2, 2))[0, :, :, 0]
        array([[ 5.,  7.],
               [13., 15.]])
        >>> K.pool2d(x, (2, 2), strides=(2, 2), pool_mode="avg")[0, :, :, 0]
        array([[ 2.5,  4.5],
               [10.5, 12.5]])
    """
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def pool3d(
    x: Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int] = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    """The largest entry ("max") or the mean ("avg") of every window of volumes.

    Args:
        x: `(batch, depth, height, width, channels)`, or with channels first.
        pool_size: (depth, height, width) of the window.
        strides: the steps of the window, three numbers.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        pool_mode: "max" or "avg".

    Returns:
        An array `(batch, new depth, new height, new width, channels)`, or with channels first.

    Raises:
        ArgumentError: `pool_mode` is neither.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.pool3d(ops.ones((1, 4, 4, 4, 2)), (2, 2, 2), strides=(2, 2, 2)).shape
        (1, 2, 2, 2, 2)
    """
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def temporal_padding(x: Tensor, padding: Sequence[int] = (1, 1)) -> Tensor:
    """`(batch, time, features)` with steps of zeros before and after.

    Args:
        x: array of three dimensions.
        padding: the number of steps before and after.

    Returns:
        An array `(batch, longer time, features)`.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.temporal_padding(ops.ones((1, 2, 1)), (2, 1))[0, :, 0]
        array([0., 0., 1., 1., 0.], dtype=float32)
    """
    return ops.pad(x, ((0, 0), tuple(padding), (0, 0)))


def _pad(x: Tensor, padding: Sequence[Sequence[int]], data_format: str | None, n: int) -> Tensor:
    sides = [tuple(side) if isinstance(side, list | tuple) else () for side in padding]
    if len(sides) != n or any(len(side) != 2 for side in sides):
        raise ArgumentError(f"padding must be {n} pairs of integers, got {padding!r}.")
    return ops.pad(x, [(0, 0), (0, 0), *sides] if _is_first(data_format) else [(0, 0), *sides, (0, 0)])


def spatial_2d_padding(
    x: Tensor, padding: Sequence[Sequence[int]] = ((1, 1), (1, 1)), data_format: str | None = None
) -> Tensor:
    """Images with rows and columns of zeros around them.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        padding: ((above, below), (left, right)).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        The larger images.

    Raises:
        ArgumentError: `padding` is not two pairs.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.spatial_2d_padding(ops.ones((1, 1, 2, 1)), ((1, 0), (0, 2)))[0, :, :, 0]
        array([[0., 0., 0., 0.],
               [1., 1., 0., 0.]], dtype=float32)
    """
    return _pad(x, padding, data_format, 2)


def spatial_3d_padding(
    x: Tensor, padding: Sequence[Sequence[int]] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None
) -> Tensor:
    """Volumes with zeros around them.

    Args:
        x: `(batch, depth, height, width, channels)`, or with channels first.
        padding: three pairs (before, after).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        The larger volumes.

    Raises:
        ArgumentError: `padding` is not three pairs.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.spatial_3d_padding(ops.ones((1, 2, 2, 2, 1)), ((1, 1), (0, 0), (0, 3))).shape
        (1, 4, 2, 5, 1)
    """
    return _pad(x, padding, data_format, 3)


def resize_images(
    x: Tensor, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest"
) -> Tensor:
    """Images enlarged by whole factors.

    Args:
        x: `(batch, height, width, channels)`, or with channels first.
        height_factor: the factor of the height.
        width_factor: the factor of the width.
        data_format: "channels_last" or "channels_first".
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".

    Returns:
        The larger images.

    Raises:
        ArgumentError: the interpolation is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import backend as K
        >>> K.resize_images(np.array([1, 2]).reshape(1, 1, 2, 1), 2, 2, "channels_last")[0, :, :, 0]
        array([[1, 1, 2, 2],
               [1, 1, 2, 2]])
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


def resize_volumes(x: Tensor, depth_factor: int, height_factor: int, width_factor: int, data_format: str) -> Tensor:
    """Volumes with every entry repeated by whole factors.

    Args:
        x: `(batch, depth, height, width, channels)`, or with channels first.
        depth_factor: the factor of the depth.
        height_factor: the factor of the height.
        width_factor: the factor of the width.
        data_format: "channels_last" or "channels_first".

    Returns:
        The larger volumes.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.resize_volumes(ops.ones((1, 2, 2, 2, 1)), 1, 2, 3, "channels_last").shape
        (1, 2, 4, 6, 1)
    """
    for axis, factor in enumerate((depth_factor, height_factor, width_factor), 2 if _is_first(data_format) else 1):
        x = ops.repeat(x, factor, axis)
    return x


filter_functions(__name__)
