"""Convolution and pooling with the arguments of Keras: paddings by name, either layout, and the kernels of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import Dim, ceil_div
from lamella.ir.spec import spec_of
from lamella.ops import primitives as p
from lamella.ops.coerce import common_dtype, floating
from lamella.ops.window import same_padding
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Ints = int | Sequence[int]


def window_padding(
    padding: str, size: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The (low, high) padding of each spatial dimension for "valid", "same" or "causal"."""
    if padding == "valid":
        return ((0, 0),) * len(window)
    if padding == "causal":
        return tuple(((w - 1) * d, 0) for w, d in zip(window, dilation, strict=True))
    return tuple(same_padding(s, w, t, d) for s, w, t, d in zip(size, window, strides, dilation, strict=True))


def output_padding_of(
    padding: str, window: int, stride: int, dilation: int, output_padding: int | None
) -> tuple[int, int]:
    """How far the window exceeds the two ends of the dilated input, as in Keras on JAX.

    Args:
        padding: "valid" or "same".
        window: the size of the kernel along the dimension.
        stride: the distance of two inputs in the output.
        dilation: the distance of two kernel offsets.
        output_padding: entries added on the high side; None adds as many as give `size * stride` outputs ("same") or
            keep every product of the last input ("valid").

    Returns:
        (low, high): the output has `(size - 1) * stride + 1 + low + high - (window - 1) * dilation` entries.
    """
    reach = (window - 1) * dilation
    if padding == "valid":
        extra = max(stride - reach - 1, 0) if output_padding is None else output_padding
        return reach, reach + extra
    total = stride + reach - 1 if output_padding is None else reach + (reach + 1) % 2 - 1 + output_padding
    low = min((total + 1) // 2, reach)
    return low, total - low


def adaptive_windows(size: Any, count: int) -> list[tuple[Any, Any]]:
    """The (start, stop) of `count` windows: floor(i * size / count) and ceil((i + 1) * size / count)."""
    return [(i * size // count, ceil_div((i + 1) * size, count)) for i in range(count)]


def transposed_convolution(
    x: ArrayLike,
    kernel: Any,
    strides: Sequence[int],
    padding: str,
    output_padding: Sequence[int | None],
    dilation: Sequence[int],
) -> Tensor:
    """`conv_transpose` of channels-last inputs with a kernel `(*window, filters, channels)`."""
    size, paddings = [], []
    window = [int(d) for d in spec_of(kernel).shape[:-2]]
    for d, w, s, t, o in zip(spec_of(x).shape[1:-1], window, strides, dilation, output_padding, strict=True):
        low, high = output_padding_of(padding, w, s, t, o)
        reach = (w - 1) * t
        size.append((d - 1) * s + 1 + low + high - reach)
        # The padding of the convolution that maps this size to that of x.
        paddings.append((reach - low, max(0, reach - high)))
    return p.convolve_input_gradient.bind(
        x, kernel, size=tuple(size), strides=tuple(strides), padding=tuple(paddings), dilation=tuple(dilation), groups=1
    )


def _inside(size: Any, windows: list[tuple[Any, Any]]) -> Any:
    """Whether each entry of a dimension of free size is in each window, `(size, windows)`."""
    cells = ops.expand_dims(ops.arange(size), 1)
    start, stop = (ops.stack([ops.cast(ends[i], "int32") for ends in windows]) for i in (0, 1))
    return ops.logical_and(ops.greater_equal(cells, start), ops.less(cells, stop))


def adaptive_mean(x: Any, axis: int, windows: list[tuple[Any, Any]]) -> Any:
    """The mean of each window along `axis`: a product with a constant matrix of 1 / length."""
    size = spec_of(x).shape[axis]
    if isinstance(size, Dim):
        hit = ops.cast(_inside(size, windows), x.dtype)
        hit = ops.divide(hit, ops.sum(hit, 0, keepdims=True))
        return ops.moveaxis(ops.tensordot(x, hit, ((axis,), (0,))), -1, axis)
    matrix = np.zeros((x.shape[axis], len(windows)))
    for i, (start, stop) in enumerate(windows):
        matrix[start:stop, i] = 1.0 / (stop - start)
    return ops.moveaxis(ops.tensordot(x, ops.cast(matrix, x.dtype), ((axis,), (0,))), -1, axis)


def adaptive_maximum(x: ArrayLike, axis: int, windows: list[tuple[Any, Any]]) -> Tensor:
    """The maximum of each window along `axis`, gathered from a max pooling for each length of windows."""
    size = spec_of(x).shape[axis]
    if isinstance(size, Dim):
        x = ops.expand_dims(ops.moveaxis(x, axis, -1), -1)
        return ops.moveaxis(ops.max(ops.where(_inside(size, windows), x, -np.inf), -2), -1, axis)
    pooled, place, offset = [], {}, 0
    spatial = spec_of(x).ndim - 2
    for length in sorted({stop - start for start, stop in windows}):
        window = tuple(length if i == axis else 1 for i in range(1, spatial + 1))
        pooled.append(p.max_pool.bind(x, window=window, strides=(1,) * spatial, padding=((0, 0),) * spatial))
        place[length] = offset
        offset += spec_of(pooled[-1]).shape[axis]
    chosen = np.array([place[stop - start] + start for start, stop in windows], np.int32)
    return ops.take(ops.concatenate(pooled, axis), chosen, axis)


def _each(name: str, value: Ints, n: int) -> tuple[int, ...]:
    found = (value,) * n if isinstance(value, int) else tuple(int(v) for v in value)
    if len(found) != n or min(found) < 1:
        raise ArgumentError(f"{name} must be a positive integer or {n} of them, got {value!r}.")
    return found


def _word(padding: str, *known: str) -> str:
    if padding.lower() not in known:
        raise ValueError(f"padding must be one of {', '.join(map(repr, known))}, got {padding!r}.")
    return padding.lower()


def _channels_last(x: Tensor, data_format: str | None) -> tuple[Any, bool]:
    if spec_of(x).ndim < 3:
        raise ShapeError(f"inputs must be (batch, spatial dimensions, channels), got {spec_of(x)}.")
    first = settings.layout_of(data_format) == "channels_first"
    return (ops.moveaxis(x, 1, -1) if first else x), first


def _operands(inputs: ArrayLike, *kernels: Any) -> list[Any]:
    items = [floating(x)[0] for x in (inputs, *kernels)]
    dtype = common_dtype(*items)
    return [ops.cast(x, dtype) for x in items]


def conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Ints = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
) -> Tensor:
    """The convolution (cross-correlation) of `inputs` with a kernel.

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        kernel: `(*window, channels / groups, filters)`; the number of groups of channels follows from its shape.
        strides: the steps of the window, one number or one per spatial dimension.
        padding: "valid" (none), "same" (zeros on both sides, for ceil(size / stride) outputs) or, for one spatial
            dimension, "causal" (zeros before the first entry).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries, one number or one per spatial dimension.

    Returns:
        An array of floats `(batch, *new spatial, filters)`, or with channels first.

    Raises:
        ShapeError: the kernel does not fit the inputs, or the window is larger than the padded inputs.
        ArgumentError: strides or dilation are not positive, or not one per spatial dimension.
        ValueError: the padding is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 2.0, 4.0, 8.0], "float32").reshape(1, 4, 1)
        >>> difference = np.array([-1.0, 1.0], "float32").reshape(2, 1, 1)
        >>> ops.conv(x, difference).ravel(), ops.conv(x, difference, padding="causal").ravel()
        (array([1., 2., 4.], dtype=float32), array([1., 1., 2., 4.], dtype=float32))
    """
    x, kernel = _operands(inputs, kernel)
    x, first = _channels_last(x, data_format)
    n = spec_of(x).ndim - 2
    word = _word(padding, *(("valid", "same", "causal") if n == 1 else ("valid", "same")))
    strides, dilation = _each("strides", strides, n), _each("dilation_rate", dilation_rate, n)
    if spec_of(kernel).ndim != n + 2 or not spec_of(kernel).shape[-2]:
        raise ShapeError(f"a kernel over {n} spatial dimensions must have {n + 2} dimensions, got {spec_of(kernel)}.")
    channels, group = spec_of(x).shape[-1], spec_of(kernel).shape[-2]
    if channels % group:
        raise ShapeError(
            f"{channels} channels do not divide into groups of {group}, those of kernel {spec_of(kernel)}."
        )
    y = p.convolve.bind(
        x,
        kernel,
        strides=strides,
        padding=window_padding(word, spec_of(x).shape[1:-1], spec_of(kernel).shape[:n], strides, dilation),
        dilation=dilation,
        groups=channels // group,
    )
    return ops.moveaxis(y, -1, 1) if first else y


def depthwise_conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Ints = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
) -> Tensor:
    """Every channel convolved with separate kernels.

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        kernel: `(*window, channels, multiplier)`: `multiplier` kernels per channel.
        strides: the steps of the window, one number or one per spatial dimension.
        padding: "valid", "same" or, for one spatial dimension, "causal", as in `conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries, one number or one per spatial dimension.

    Returns:
        An array of floats `(batch, *new spatial, channels * multiplier)`, or with channels first.

    Raises:
        ShapeError: the kernel does not fit the inputs, or the window is larger than the padded inputs.
        ArgumentError: strides or dilation are not positive, or not one per spatial dimension.
        ValueError: the padding is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], "float32").reshape(1, 3, 2)
        >>> ops.depthwise_conv(x, ops.ones((2, 2, 1)))[0]
        array([[ 3., 30.],
               [ 5., 50.]], dtype=float32)
    """
    kernel = ops.convert_to_tensor(kernel)
    *window, channels, multiplier = (int(d) for d in spec_of(kernel).shape)
    return conv(
        inputs, ops.reshape(kernel, (*window, 1, channels * multiplier)), strides, padding, data_format, dilation_rate
    )


def separable_conv(
    inputs: ArrayLike,
    depthwise_kernel: ArrayLike,
    pointwise_kernel: ArrayLike,
    strides: Ints = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
) -> Tensor:
    """`depthwise_conv`, then `conv` with a `pointwise_kernel` over windows of one entry.

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        depthwise_kernel: `(*window, channels, multiplier)`.
        pointwise_kernel: `(*ones, channels * multiplier, filters)`.
        strides: the steps of the window, one number or one per spatial dimension.
        padding: "valid", "same" or, for one spatial dimension, "causal", as in `conv`.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the entries of the first kernel, one number or one per spatial dimension.

    Returns:
        An array of floats `(batch, *new spatial, filters)`, or with channels first.

    Raises:
        ShapeError: a kernel does not fit, or the window is larger than the padded inputs.
        ArgumentError: strides or dilation are not positive, or not one per spatial dimension.
        ValueError: the padding is unknown.

    References:
        F. Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017,
        https://arxiv.org/abs/1610.02357.

    Example:
        >>> from lamella import ops
        >>> y = ops.separable_conv(ops.ones((1, 4, 4, 3)), ops.ones((2, 2, 3, 1)), ops.ones((1, 1, 3, 5)))
        >>> y.shape, float(y[0, 0, 0, 0])
        ((1, 3, 3, 5), 12.0)
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, data_format=data_format)


def conv_transpose(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Ints = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: Ints = 1,
) -> Tensor:
    """The transpose of a convolution: each input scales the kernel, and the results are added up `strides` apart.

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        kernel: `(*window, filters, channels)`.
        strides: the distance of two inputs in the output, one number or one per spatial dimension.
        padding: "valid" keeps everything; "same" gives `size * stride` outputs.
        output_padding: the number of entries that are added at the end, one number or one per spatial dimension; None
            chooses it by the padding.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.
        dilation_rate: the distance between the kernel's entries, one number or one per spatial dimension.

    Returns:
        An array of floats `(batch, *new spatial, filters)`, or with channels first.

    Raises:
        ShapeError: the kernel does not fit the inputs.
        ArgumentError: strides or dilation are not positive, or not one per spatial dimension.
        ValueError: the padding is unknown.

    References:
        V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
        https://arxiv.org/abs/1603.07285.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 10.0], "float32").reshape(1, 2, 1)
        >>> kernel = np.array([1.0, 2.0, 3.0], "float32").reshape(3, 1, 1)
        >>> ops.conv_transpose(x, kernel, strides=2).ravel()
        array([ 1.,  2., 13., 20., 30.], dtype=float32)
    """
    x, kernel = _operands(inputs, kernel)
    x, first = _channels_last(x, data_format)
    n = spec_of(x).ndim - 2
    extra: Sequence[int | None] = (
        (output_padding,) * n if output_padding is None or isinstance(output_padding, int) else tuple(output_padding)
    )
    steps, dilation = _each("strides", strides, n), _each("dilation_rate", dilation_rate, n)
    y = transposed_convolution(x, kernel, steps, _word(padding, "valid", "same"), extra, dilation)
    return ops.moveaxis(y, -1, 1) if first else y


def _pool(
    op: Any, inputs: ArrayLike, pool_size: Ints, strides: Ints | None, padding: str, data_format: str | None
) -> Tensor:
    x, first = _channels_last(floating(inputs)[0], data_format)
    n = spec_of(x).ndim - 2
    window = _each("pool_size", pool_size, n)
    steps = window if strides is None else _each("strides", strides, n)
    word = _word(padding, "valid", "same")
    places = window_padding(word, spec_of(x).shape[1:-1], window, steps, (1,) * n)
    y = op.bind(x, window=window, strides=steps, padding=places)
    return ops.moveaxis(y, -1, 1) if first else y


def max_pool(
    inputs: ArrayLike,
    pool_size: Ints,
    strides: Ints | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The maximum of every window; among equal entries the first one takes the gradient.

    Padding counts as minus infinity.

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        pool_size: the size of the window, one number or one per spatial dimension.
        strides: the steps of the window; None is `pool_size`.
        padding: "valid" (none) or "same" (for ceil(size / stride) outputs).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of floats `(batch, *new spatial, channels)`, or with channels first.

    Raises:
        ShapeError: `inputs` have less than three dimensions, or the window is larger than the padded inputs.
        ArgumentError: the window or the strides are not positive, or not one per spatial dimension.
        ValueError: the padding is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 5.0, 2.0, 3.0, 4.0], "float32").reshape(1, 5, 1)
        >>> ops.max_pool(x, 2).ravel(), ops.max_pool(x, 2, strides=1).ravel()
        (array([5., 3.], dtype=float32), array([5., 5., 3., 4.], dtype=float32))
        >>> ops.max_pool(x, 2, padding="same").ravel()
        array([5., 3., 4.], dtype=float32)
    """
    return _pool(p.max_pool, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: ArrayLike,
    pool_size: Ints,
    strides: Ints | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of every window; padding does not count.

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        pool_size: the size of the window, one number or one per spatial dimension.
        strides: the steps of the window; None is `pool_size`.
        padding: "valid" (none) or "same" (for ceil(size / stride) outputs).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of floats `(batch, *new spatial, channels)`, or with channels first.

    Raises:
        ShapeError: `inputs` have less than three dimensions, or the window is larger than the padded inputs.
        ArgumentError: the window or the strides are not positive, or not one per spatial dimension.
        ValueError: the padding is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 5.0, 2.0, 3.0, 4.0], "float32").reshape(1, 5, 1)
        >>> ops.average_pool(x, 2).ravel(), ops.average_pool(x, 2, padding="same").ravel()
        (array([3. , 2.5], dtype=float32), array([3. , 2.5, 4. ], dtype=float32))
    """
    return _pool(p.average_pool, inputs, pool_size, strides, padding, data_format)


def _adaptive(reduce: Any, inputs: ArrayLike, output_size: Ints, data_format: str | None) -> Tensor:
    y, first = _channels_last(floating(inputs)[0], data_format)
    for axis, count in enumerate(_each("output_size", output_size, spec_of(y).ndim - 2), start=1):
        y = reduce(y, axis, adaptive_windows(y.shape[axis], count))
    return ops.moveaxis(y, -1, 1) if first else y


def adaptive_max_pool(inputs: ArrayLike, output_size: Ints, data_format: str | None = None) -> Tensor:
    """The maxima of `output_size` windows, which overlap where the size does not divide.

    Window i covers the entries from floor(i * size / count) to below ceil((i + 1) * size / count).

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        output_size: the number of windows, one number or one per spatial dimension.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of floats `(batch, *output_size, channels)`, or with channels first.

    Raises:
        ShapeError: `inputs` have less than three dimensions.
        ArgumentError: `output_size` is not positive, or not one per spatial dimension.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 5.0, 2.0, 3.0, 4.0], "float32").reshape(1, 5, 1)
        >>> ops.adaptive_max_pool(x, 2).ravel()
        array([5., 4.], dtype=float32)
    """
    return _adaptive(adaptive_maximum, inputs, output_size, data_format)


def adaptive_average_pool(inputs: ArrayLike, output_size: Ints, data_format: str | None = None) -> Tensor:
    """The means of `output_size` windows, which overlap where the size does not divide.

    Window i covers the entries from floor(i * size / count) to below ceil((i + 1) * size / count).

    Args:
        inputs: `(batch, *spatial, channels)`, or with data_format "channels_first" `(batch, channels, *spatial)`.
        output_size: the number of windows, one number or one per spatial dimension.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of floats `(batch, *output_size, channels)`, or with channels first.

    Raises:
        ShapeError: `inputs` have less than three dimensions.
        ArgumentError: `output_size` is not positive, or not one per spatial dimension.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 5.0, 3.0, 3.0, 6.0], "float32").reshape(1, 5, 1)
        >>> ops.adaptive_average_pool(x, 2).ravel().round(4)
        array([3., 4.], dtype=float32)
    """
    return _adaptive(adaptive_mean, inputs, output_size, data_format)


filter_functions(__name__)
