"""Sliding windows over n spatial dimensions: convolution with its two gradients, and pooling.

Layouts are fixed: operands (batch, spatial ..., channels), kernels (spatial ..., channels in / groups, channels out).
Layers with another `data_format` transpose around these ops. `padding` is one (low, high) pair per spatial dimension;
output position o reads the input at `o * stride - low + k * dilation` for every kernel offset k.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import DTypeError, ShapeError
from lamella.ir.dim import Dim, ceil_div, exceeds, public_shape, shapes_differ
from lamella.ir.dim import maximum as larger
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, promote, spec_of
from lamella.ops.coerce import full_of
from lamella.ops.comparison import bitwise_and, bitwise_not, bitwise_or, equal, select
from lamella.ops.contraction import contract
from lamella.ops.elementwise import add, cast, divide, maximum
from lamella.ops.shapes import broadcast, concatenate_, pad_, reshape, reshape_, slice_, transpose
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

Ints = tuple[Any, ...]
Padding = tuple[tuple[Any, Any], ...]


def window_positions(size: Any, window: int, stride: int, padding: tuple[Any, Any], dilation: int = 1) -> Any:
    """The number of positions of a window along a dimension of `size`; ceil(size / stride) for `same_padding`."""
    total = sum(padding)
    if isinstance(total, Dim) and total == sum(same_padding(size, window, stride, dilation)):
        return ceil_div(size, stride)
    places = (size + total - (window - 1) * dilation - 1) // stride + 1
    return 0 if exceeds(1, places) else places


def same_padding(size: Any, window: int, stride: int, dilation: int = 1) -> tuple[Any, Any]:
    """The padding (low, high) for ceil(size / stride) outputs; an odd entry goes to the high side, as in Keras.

    Args:
        size: the size of the dimension.
        window: the size of the window.
        stride: the steps of the window.
        dilation: the distance between the entries of the window.

    Returns:
        A pair of integers, or of dimensions where the size is left free.

    Example:
        >>> from lamella import ops
        >>> ops.same_padding(5, 2, 1), ops.same_padding(5, 3, 2)
        ((0, 1), (1, 1))
    """
    total = larger((ceil_div(size, stride) - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _spatial(x: Spec, n: int) -> Ints:
    if x.ndim != n + 2:
        raise ShapeError(f"expected (batch, {n} spatial dimensions, channels), got {x}.")
    return x.shape[1:-1]


def _positions(size: Ints, window: Ints, strides: Ints, padding: Padding, dilation: Ints) -> Ints:
    if not len(size) == len(window) == len(strides) == len(padding) == len(dilation):
        raise ShapeError(f"window {window}, strides {strides}, padding {padding}, dilation {dilation}: lengths differ.")
    out = tuple(
        window_positions(s, w, t, p, d) for s, w, t, p, d in zip(size, window, strides, padding, dilation, strict=True)
    )
    if 0 in out:
        raise ShapeError(
            f"a window of {window} (dilation {dilation}) does not fit into spatial dimensions {public_shape(size)} with "
            f"padding {padding}: axis {1 + out.index(0)} of (batch, *spatial, channels) is too short."
        )
    return out


@op
def convolve(x: Spec, kernel: Spec, *, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Spec:
    """Cross-correlation of x with a kernel: y[o] = sum over k of x[o * stride - low + k * dilation] @ kernel[k].

    It is what `conv` computes for one layout, with the padding in numbers.

    Args:
        x: array of floats `(batch, *spatial, channels)`.
        kernel: array of floats `(*window, channels / groups, filters)`.
        strides: one step per spatial dimension.
        padding: one pair (low, high) per spatial dimension.
        dilation: the distance between the kernel's entries, one per spatial dimension.
        groups: the number of groups of channels that are convolved separately.

    Returns:
        An array `(batch, *new spatial, filters)`.

    Raises:
        ShapeError: the kernel does not fit `x`, or the window is larger than the padded `x`.
        DTypeError: the operands are not floats of one dtype.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x, kernel = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1), np.array([-1.0, 1.0]).reshape(2, 1, 1)
        >>> ops.convolve(x, kernel, strides=(1,), padding=((1, 0),), dilation=(1,), groups=1).ravel()
        array([1., 1., 2.])
    """
    n = len(strides)
    size = _spatial(x, n)
    if kernel.ndim != n + 2:
        raise ShapeError(f"a kernel over {n} spatial dimensions must have {n + 2} dimensions, got {kernel}.")
    if x.dtype != kernel.dtype or not is_float(x.dtype):
        raise DTypeError(f"x and kernel must be floats of one dtype, got {x.dtype} and {kernel.dtype}.")
    if x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise ShapeError(f"kernel {kernel} with {groups} groups does not fit {x.shape[-1]} channels of {x}.")
    return Spec(
        (x.shape[0], *_positions(size, kernel.shape[:n], strides, padding, dilation), kernel.shape[-1]), x.dtype
    )


@op
def convolve_input_gradient(
    g: Spec, kernel: Spec, *, size: Ints, strides: Ints, padding: Padding, dilation: Ints, groups: int
) -> Spec:
    """The gradient of convolve with respect to x, whose spatial dimensions are `size`; a transposed convolution.

    Args:
        g: the cotangent of the convolution, `(batch, *new spatial, filters)`.
        kernel: array of floats `(*window, channels / groups, filters)`.
        size: the spatial dimensions of x.
        strides: one step per spatial dimension.
        padding: one pair (low, high) per spatial dimension.
        dilation: the distance between the kernel's entries, one per spatial dimension.
        groups: the number of groups of channels that are convolved separately.

    Returns:
        An array `(batch, *size, channels)`.

    Raises:
        ShapeError: `g` does not have the shape of the result of such a convolution.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> g, kernel = np.array([1.0, 10.0]).reshape(1, 2, 1), np.array([-1.0, 1.0]).reshape(2, 1, 1)
        >>> ops.convolve_input_gradient(
        ...     g, kernel, size=(3,), strides=(1,), padding=((0, 0),), dilation=(1,), groups=1
        ... ).ravel()
        array([-1., -9., 10.])
    """
    n = len(strides)
    if shapes_differ(_spatial(g, n), _positions(size, kernel.shape[:n], strides, padding, dilation)):
        raise ShapeError(f"{g} is not the result of a convolution of spatial size {size} with {kernel}.")
    if g.shape[-1] != kernel.shape[-1]:
        raise ShapeError(f"{g} does not have the {kernel.shape[-1]} output channels of {kernel}.")
    return Spec((g.shape[0], *size, kernel.shape[-2] * groups), g.dtype)


@op
def convolve_kernel_gradient(
    x: Spec, g: Spec, *, size: Ints, strides: Ints, padding: Padding, dilation: Ints, groups: int
) -> Spec:
    """The gradient of convolve with respect to the kernel, whose spatial dimensions are `size`."""
    n = len(strides)
    if shapes_differ(
        (g.shape[0], *_spatial(g, n)), (x.shape[0], *_positions(_spatial(x, n), size, strides, padding, dilation))
    ):
        raise ShapeError(f"{g} is not the result of a convolution of {x} with a kernel of spatial size {size}.")
    return Spec((*size, x.shape[-1] // groups, g.shape[-1]), x.dtype)


def _offsets(window: Ints) -> Iterator[Ints]:
    return itertools.product(*[range(int(k)) for k in window])


def _pad_spatial(x: Tensor, padding: Padding, value: float) -> Tensor:
    if all(n == 0 for n in itertools.chain(*padding)):
        return x
    low, high = (0, *[p[0] for p in padding], 0), (0, *[p[1] for p in padding], 0)
    return pad_.bind(x, low=low, high=high, interior=(0,) * len(low), value=value)


def _at_offset(x: Tensor, offset: Ints, out: Ints, strides: Ints, dilation: Ints) -> Tensor:
    """The entries of the padded `x` at one kernel offset, one per output position."""
    shape = spec_of(x).shape
    start = (0, *[t * d for t, d in zip(offset, dilation, strict=True)], 0)
    stop = (
        shape[0],
        *[a + (o - 1) * s + 1 for a, o, s in zip(start[1:-1], out, strides, strict=True)],
        shape[-1],
    )
    return slice_.bind(x, start=start, stop=stop, strides=(1, *strides, 1))


def _kernel_at(kernel: Tensor, offset: Ints) -> Tensor:
    shape = spec_of(kernel).shape
    n = len(offset)
    start, stop = (*offset, 0, 0), (*[t + 1 for t in offset], *shape[n:])
    return reshape(slice_.bind(kernel, start=start, stop=stop, strides=(1,) * (n + 2)), shape[n:])


def _grouped(x: Tensor, groups: int) -> Tensor:
    shape = spec_of(x).shape
    return reshape(x, (*shape[:-1], groups, shape[-1] // groups))


def _back_to_place(x: Tensor, offset: Ints, padded: Ints, strides: Ints, dilation: Ints) -> Tensor:
    """The transpose of `_at_offset`: entries placed among zeros of the padded spatial size."""
    out = spec_of(x).shape[1:-1]
    low = tuple(t * d for t, d in zip(offset, dilation, strict=True))
    high = tuple(p - a - (o - 1) * s - 1 for p, a, o, s in zip(padded, low, out, strides, strict=True))
    return pad_.bind(x, low=(0, *low, 0), high=(0, *high, 0), interior=(0, *[s - 1 for s in strides], 0), value=0.0)


def _crop(x: Tensor, padding: Padding, size: Ints) -> Tensor:
    shape = spec_of(x).shape
    start = (0, *[p[0] for p in padding], 0)
    stop = (shape[0], *[p[0] + s for p, s in zip(padding, size, strict=True)], shape[-1])
    return slice_.bind(x, start=start, stop=stop, strides=(1,) * len(shape))


def _total(terms: Iterator[Any]) -> Tensor:
    result = next(terms)
    for term in terms:
        result = add(result, term)
    return result


@convolve.define
def _(x: Tensor, kernel: Tensor, *, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Tensor:
    n = len(strides)
    window = spec_of(kernel).shape[:n]
    out = _positions(spec_of(x).shape[1:-1], window, strides, padding, dilation)
    padded = _pad_spatial(x, padding, 0.0)

    def term(offset: Ints) -> Tensor:
        part, weights = _at_offset(padded, offset, out, strides, dilation), _kernel_at(kernel, offset)
        if groups == 1:
            return contract.bind(part, weights, contracting=((n + 1,), (0,)), batch=((), ()))
        product = contract.bind(
            _grouped(part, groups), _grouped(weights, groups), contracting=((n + 2,), (0,)), batch=((n + 1,), (1,))
        )
        return _channels_last(product, n)

    return _total(term(offset) for offset in _offsets(window))


def _channels_last(product: Tensor, n: int) -> Tensor:
    """(groups, batch, spatial, channels) to (batch, spatial, groups * channels)."""
    moved = transpose(product, (*range(1, n + 2), 0, n + 2))
    shape = spec_of(moved).shape
    return reshape(moved, (*shape[:-2], shape[-2] * shape[-1]))


@convolve_input_gradient.define
def _(g: Tensor, kernel: Tensor, *, size: Ints, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Tensor:
    n = len(strides)
    window = spec_of(kernel).shape[:n]
    padded = tuple(s + sum(p) for s, p in zip(size, padding, strict=True))

    def term(offset: Ints) -> Tensor:
        weights = _kernel_at(kernel, offset)
        if groups == 1:
            part = contract.bind(g, weights, contracting=((n + 1,), (1,)), batch=((), ()))
        else:
            part = _channels_last(
                contract.bind(
                    _grouped(g, groups), _grouped(weights, groups), contracting=((n + 2,), (2,)), batch=((n + 1,), (1,))
                ),
                n,
            )
        return _back_to_place(part, offset, padded, strides, dilation)

    return _crop(_total(term(offset) for offset in _offsets(window)), padding, size)


@convolve_kernel_gradient.define
def _(x: Tensor, g: Tensor, *, size: Ints, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Tensor:
    n = len(strides)
    out = spec_of(g).shape[1:-1]
    padded = _pad_spatial(x, padding, 0.0)
    axes = tuple(range(n + 1))

    def term(offset: Ints) -> Tensor:
        part = _at_offset(padded, offset, out, strides, dilation)
        if groups == 1:
            weights = contract.bind(part, g, contracting=(axes, axes), batch=((), ()))
        else:
            product = contract.bind(
                _grouped(part, groups), _grouped(g, groups), contracting=(axes, axes), batch=((n + 1,), (n + 1,))
            )
            moved = transpose(product, (1, 0, 2))
            shape = spec_of(moved).shape
            weights = reshape(moved, (shape[0], shape[1] * shape[2]))
        return reshape_.bind(weights, shape=(1, *spec_of(weights).shape))

    stacked = concatenate_.bind(*[term(offset) for offset in _offsets(size)], axis=0)
    return reshape(stacked, (*size, *spec_of(stacked).shape[1:]))


def _kernel_size(kernel: Tensor) -> Ints:
    return spec_of(kernel).shape[:-2]


def _spatial_size(x: Tensor) -> Ints:
    return spec_of(x).shape[1:-1]


# A convolution is linear in either operand, so that the three ops are each other's derivatives.


@convolve.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, kernel: Tensor, **attrs: Any) -> tuple[Tensor, ...]:
    return (
        convolve_input_gradient.bind(g, kernel, size=_spatial_size(x), **attrs),
        convolve_kernel_gradient.bind(x, g, size=_kernel_size(kernel), **attrs),
    )


@convolve_input_gradient.def_vjp
def _(h: Tensor, y: Tensor, g: Tensor, kernel: Tensor, *, size: Ints, **attrs: Any) -> tuple[Tensor, ...]:
    return (
        convolve.bind(h, kernel, **attrs),
        convolve_kernel_gradient.bind(h, g, size=_kernel_size(kernel), **attrs),
    )


@convolve_kernel_gradient.def_vjp
def _(h: Tensor, y: Tensor, x: Tensor, g: Tensor, *, size: Ints, **attrs: Any) -> tuple[Tensor, ...]:
    return (
        convolve_input_gradient.bind(g, h, size=_spatial_size(x), **attrs),
        convolve.bind(x, h, **attrs),
    )


def _pooled(x: Spec, window: Ints, strides: Ints, padding: Padding) -> Spec:
    if not is_float(x.dtype):
        raise DTypeError(f"operands of pooling must be floats, got {x.dtype}.")
    size = _spatial(x, len(window))
    return Spec((x.shape[0], *_positions(size, window, strides, padding, (1,) * len(window)), x.shape[-1]), x.dtype)


@op
def max_pool(x: Spec, *, window: Ints, strides: Ints, padding: Padding) -> Spec:
    """The maximum of every window; padding counts as minus infinity; the first maximum takes the whole gradient."""
    return _pooled(x, window, strides, padding)


@op
def max_pool_gradient(g: Spec, x: Spec, y: Spec, *, window: Ints, strides: Ints, padding: Padding) -> Spec:
    """g at the first maximum of every window of x, whose pooled value is y"""
    if shapes_differ(_pooled(x, window, strides, padding).shape, y.shape) or g != y:
        raise ShapeError(f"{g} and {y} are not results of a pooling of {x}.")
    return x


@op
def average_pool(x: Spec, *, window: Ints, strides: Ints, padding: Padding) -> Spec:
    """The mean of every window over its entries without padding."""
    return _pooled(x, window, strides, padding)


@op
def average_pool_gradient(g: Spec, *, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Spec:
    """g shared equally among the entries without padding of every window over spatial `size`"""
    x = Spec((g.shape[0], *size, g.shape[-1]), g.dtype)
    if shapes_differ(_pooled(x, window, strides, padding).shape, g.shape):
        raise ShapeError(f"{g} is not the result of a pooling of spatial size {size}.")
    return x


def window_counts(size: Ints, window: Ints, strides: Ints, padding: Padding) -> np.ndarray:
    """The number of entries without padding in every window, of shape (1, positions ..., 1)."""
    counts = np.ones((), np.float64)
    for s, w, t, p in zip(size, window, strides, padding, strict=True):
        start = np.arange(window_positions(s, w, t, p)) * t - p[0]
        counts = np.multiply.outer(counts, np.minimum(start + w, s) - np.maximum(start, 0))
    return counts[None, ..., None]


def _counts(like: Any, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Any:
    from lamella.ops.coerce import as_tensor

    spec = spec_of(like)
    counts = as_tensor(window_counts(size, window, strides, padding)[0, ..., 0], spec.dtype)
    return broadcast.bind(counts, shape=spec.shape, axes=tuple(range(1, spec.ndim - 1)))


def _windows(x: Tensor, window: Ints, strides: Ints, padding: Padding, value: float) -> Iterator[Any]:
    ones = (1,) * len(window)
    out = _positions(_spatial_size(x), window, strides, padding, ones)
    padded = _pad_spatial(x, padding, value)
    return (_at_offset(padded, offset, out, strides, ones) for offset in _offsets(window))


def _spread_back(parts: Sequence[Any], size: Ints, window: Ints, strides: Ints, padding: Padding) -> Tensor:
    padded = tuple(s + sum(p) for s, p in zip(size, padding, strict=True))
    ones = (1,) * len(window)
    placed = (
        _back_to_place(part, offset, padded, strides, ones)
        for part, offset in zip(parts, _offsets(window), strict=True)
    )
    return _crop(_total(placed), padding, size)


@max_pool.define
def _(x: Tensor, *, window: Ints, strides: Ints, padding: Padding) -> Tensor:
    parts = _windows(x, window, strides, padding, -math.inf)
    result = next(parts)
    for part in parts:
        result = maximum(result, part)
    return result


@max_pool_gradient.define
def _(g: Tensor, x: Tensor, y: Tensor, *, window: Ints, strides: Ints, padding: Padding) -> Tensor:
    parts, zero, taken = [], full_of(spec_of(g), 0), None
    for part in _windows(x, window, strides, padding, -math.inf):
        hit = equal(part, y)
        first = hit if taken is None else bitwise_and(hit, bitwise_not(taken))
        taken = hit if taken is None else bitwise_or(taken, hit)
        parts.append(select.bind(first, g, zero))
    return _spread_back(parts, _spatial_size(x), window, strides, padding)


@average_pool.define
def _(x: Any, *, window: Ints, strides: Ints, padding: Padding) -> Any:
    dtype = spec_of(x).dtype
    total = _total(_windows(cast(x, promote(dtype, "float32")), window, strides, padding, 0.0))
    return cast(divide(total, _counts(total, _spatial_size(x), window, strides, padding)), dtype)


@average_pool_gradient.define
def _(g: Any, *, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Any:
    share = divide(g, _counts(g, size, window, strides, padding))
    return _spread_back([share] * math.prod(window), size, window, strides, padding)


@max_pool.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, **attrs: Any) -> Tensor:
    return max_pool_gradient.bind(g, x, y, **attrs)


@average_pool.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, **attrs: Any) -> Tensor:
    return average_pool_gradient.bind(g, size=_spatial_size(x), **attrs)


@average_pool_gradient.def_vjp
def _(h: Tensor, y: Tensor, g: Tensor, *, size: Ints, **attrs: Any) -> Tensor:
    return average_pool.bind(h, **attrs)


filter_functions(__name__)
