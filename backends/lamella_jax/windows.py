"""Convolution, its gradients, and pooling, in forms that XLA runs well on a CPU, inside loops too.

JAX's own transposes of a convolution name their dimensions in an order that XLA's CPU compiler puts right only outside
loops; inside a `scan` they fall to a scalar loop, hundreds of times slower. So here the gradients are convolutions of the
standard order (NHWC, HWIO), matrix products, or sums over the taps of the window. On GPUs and TPUs, whose compilers know
JAX's own transposes, those are taken: `jax.lax.platform_dependent` decides when a function is lowered, so an export for
several platforms holds both.

Convolutions carry `custom_vjp` rules: forward-mode differentiation (`jax.jvp`) does not pass through them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax

from lamella.ops.window import window_counts
from lamella_jax.elementwise import aligned, like

Array = Any
Ints = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
_LETTERS = "DHW"


def _window(strides: Ints, padding: Padding, dilation: Ints, groups: int) -> tuple[Any, ...]:
    """The attributes as plain, hashable integers, with a leading dimension of 1 where there is one spatial dimension."""
    strides, dilation = tuple(map(int, strides)), tuple(map(int, dilation))
    padding = tuple((int(low), int(high)) for low, high in padding)
    if len(strides) == 1:
        strides, padding, dilation = (1, *strides), ((0, 0), *padding), (1, *dilation)
    return strides, padding, dilation, int(groups)


def _in_two_dimensions(
    n: int, function: Callable[..., Array], operands: Sequence[Array], axes: Ints, out: int
) -> Array:
    """One spatial dimension as two, the first of size 1: XLA's fast convolutions on a CPU have two."""
    # a custom rule gives each operand a cotangent that varies (inside `shard_map`) where any of them does
    operands = aligned(*operands)
    if n != 1:
        return function(*operands)
    wide = [lax.expand_dims(x, (axis,)) for x, axis in zip(operands, axes, strict=True)]
    return lax.squeeze(function(*wide), (out,))


def convolve(x: Array, kernel: Array, *, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Array:
    """y[o] = sum over taps of x[o * stride - low + tap * dilation] @ kernel[tap]"""
    window = _window(strides, padding, dilation, groups)
    return _in_two_dimensions(len(strides), partial(_convolve, window), (x, kernel), (1, 0), 1)


def convolve_input_gradient(
    g: Array, kernel: Array, *, size: Ints, strides: Ints, padding: Padding, dilation: Ints, groups: int
) -> Array:
    """The gradient of convolve in x"""
    window = _window(strides, padding, dilation, groups)
    size = (1,) * (len(strides) == 1) + tuple(map(int, size))
    return _in_two_dimensions(len(strides), partial(_input_gradient, window, size), (g, kernel), (1, 0), 1)


def convolve_kernel_gradient(
    x: Array, g: Array, *, size: Ints, strides: Ints, padding: Padding, dilation: Ints, groups: int
) -> Array:
    """The gradient of convolve in the kernel"""
    window = _window(strides, padding, dilation, groups)
    size = (1,) * (len(strides) == 1) + tuple(map(int, size))
    return _in_two_dimensions(len(strides), partial(_kernel_gradient, window, size), (x, g), (1, 1), 0)


# a convolution is linear in either operand, so the three are each other's derivatives


def _custom_vjp(static: int) -> Callable[[Callable[..., Array]], Any]:
    """A function with a derivative of its own, whose first `static` arguments are no arrays."""
    return lambda function: jax.custom_vjp(function, nondiff_argnums=tuple(range(static)))


@_custom_vjp(1)
def _convolve(window: Any, x: Array, kernel: Array) -> Array:
    if len(window[0]) == 3:
        return lax.platform_dependent(x, kernel, cpu=partial(_correlate, window), default=partial(_native, window))
    return _native(window, x, kernel)


def _convolve_forward(window: Any, x: Array, kernel: Array) -> tuple[Array, Any]:
    return _convolve(window, x, kernel), (x, kernel)


def _convolve_backward(window: Any, kept: Any, g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return (
        _input_gradient(window, x.shape[1:-1], g, kernel),
        _kernel_gradient(window, kernel.shape[:-2], x, g),
    )


_convolve.defvjp(_convolve_forward, _convolve_backward)


@_custom_vjp(2)
def _input_gradient(window: Any, size: Ints, g: Array, kernel: Array) -> Array:
    return lax.platform_dependent(
        g, kernel, cpu=partial(_canonical_input_gradient, window, size), default=partial(_native_dx, window, size)
    )


def _input_gradient_forward(window: Any, size: Ints, g: Array, kernel: Array) -> tuple[Array, Any]:
    return _input_gradient(window, size, g, kernel), (g, kernel)


def _input_gradient_backward(window: Any, size: Ints, kept: Any, h: Array) -> tuple[Array, Array]:
    g, kernel = kept
    return _convolve(window, h, kernel), _kernel_gradient(window, kernel.shape[:-2], h, g)


_input_gradient.defvjp(_input_gradient_forward, _input_gradient_backward)


@_custom_vjp(2)
def _kernel_gradient(window: Any, size: Ints, x: Array, g: Array) -> Array:
    return lax.platform_dependent(
        x, g, cpu=partial(_canonical_kernel_gradient, window, size), default=partial(_native_dk, window, size)
    )


def _kernel_gradient_forward(window: Any, size: Ints, x: Array, g: Array) -> tuple[Array, Any]:
    return _kernel_gradient(window, size, x, g), (x, g)


def _kernel_gradient_backward(window: Any, size: Ints, kept: Any, h: Array) -> tuple[Array, Array]:
    x, g = kept
    return _input_gradient(window, x.shape[1:-1], g, h), _convolve(window, x, h)


_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)


# ---- JAX's own forms --------------------------------------------------------------------------------------------------


def _native(window: Any, x: Array, kernel: Array) -> Array:
    strides, padding, dilation, groups = window
    letters = _LETTERS[-len(strides) :] if len(strides) <= 3 else "abcdefgh"[: len(strides)]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=layout,
        feature_group_count=groups,
        preferred_element_type=x.dtype,
    )


def _native_dx(window: Any, size: Ints, g: Array, kernel: Array) -> Array:
    x = lax.full((g.shape[0], *size, kernel.shape[-2] * window[-1]), 0, g.dtype)
    return jax.vjp(lambda x: _native(window, x, kernel), aligned(x, g)[0])[1](g)[0]


def _native_dk(window: Any, size: Ints, x: Array, g: Array) -> Array:
    kernel = lax.full((*size, x.shape[-1] // window[-1], g.shape[-1]), 0, x.dtype)
    return jax.vjp(lambda kernel: _native(window, x, kernel), aligned(kernel, g)[0])[1](g)[0]


# ---- the forms for a CPU ----------------------------------------------------------------------------------------------


def _correlate(window: Any, x: Array, kernel: Array) -> Array:
    """The convolution itself: XLA has a fast one of two dimensions; three are a sum of planes, several times faster."""
    strides, padding, dilation, groups = window
    if len(strides) != 3:
        return _native(window, x, kernel)
    padded = _padded(x, [(*padding[0], 0), (0, 0, 0), (0, 0, 0)], 0)
    depth = (padded.shape[1] - (kernel.shape[0] - 1) * dilation[0] - 1) // strides[0] + 1
    total: Any = None
    for t in range(kernel.shape[0]):
        first = t * dilation[0]
        planes = lax.slice_in_dim(padded, first, first + (depth - 1) * strides[0] + 1, strides[0], axis=1)
        flat = lax.reshape(planes, (x.shape[0] * depth, *x.shape[2:]))
        part = _native((strides[1:], padding[1:], dilation[1:], groups), flat, kernel[t])
        total = part if total is None else lax.add(total, part)
    return lax.reshape(total, (x.shape[0], depth, *total.shape[1:]))


def _canonical_input_gradient(window: Any, size: Ints, g: Array, kernel: Array) -> Array:
    """g convolved with the kernel turned around, without strides: the strides part the taps into phases.

    Positions i with one remainder of i + low by the stride meet every stride-th tap only, at neighbouring entries of g.
    So each phase is a small dense convolution, and together they cost what the forward one does. A dimension that is
    strided and dilated (Keras has none) spreads g out with zeros instead.
    """
    strides, padding, dilation, groups = window
    n = len(strides)
    out = g.shape[1:-1]
    phases = tuple(s if d == 1 else 1 for s, d in zip(strides, dilation, strict=True))
    spread = tuple(s // phase for s, phase in zip(strides, phases, strict=True))
    turned = _turned(kernel, groups)
    total = None
    for phase in itertools.product(*[range(count) for count in phases]):
        edges, back, limits = [], [], []
        for i, (first, count, s, d) in enumerate(zip(phase, phases, spread, dilation, strict=True)):
            taps = len(range(first, kernel.shape[i], count))
            places = -(-(size[i] + padding[i][0]) // count)
            reach = (taps - 1) * d
            edges.append((reach, places - ((out[i] - 1) * s + 1), s - 1))
            low = first - padding[i][0]
            back.append((low, size[i] - low - ((places - 1) * count + 1), count - 1))
            # taps first, first + count, ... of the kernel stand, turned around, at the same distance from its end
            last = kernel.shape[i] - 1 - first
            limits.append((last - (taps - 1) * count, last + 1, count) if taps else None)
        if None in limits:
            continue
        start, stop, step = zip(*limits, strict=True)
        part = lax.slice(turned, (*start, 0, 0), (*stop, *turned.shape[n:]), (*step, 1, 1))
        rows = lax.pad(g, like(g, 0), [(0, 0, 0), *edges, (0, 0, 0)])
        piece = _correlate(((1,) * n, ((0, 0),) * n, dilation, groups), rows, part)
        piece = lax.pad(piece, like(g, 0), [(0, 0, 0), *back, (0, 0, 0)])
        total = piece if total is None else lax.add(total, piece)
    return total


def _turned(kernel: Array, groups: int) -> Array:
    """The kernel with its taps in reverse order and the channels it reads and writes exchanged."""
    n = kernel.ndim - 2
    spatial, (inner, outer) = kernel.shape[:n], kernel.shape[n:]
    turned = lax.rev(kernel, tuple(range(n)))
    if groups == 1:
        return lax.transpose(turned, (*range(n), n + 1, n))
    parts = lax.reshape(turned, (*spatial, inner, groups, outer // groups))
    return lax.reshape(lax.transpose(parts, (*range(n), n + 2, n + 1, n)), (*spatial, outer // groups, groups * inner))


def _canonical_kernel_gradient(window: Any, size: Ints, x: Array, g: Array) -> Array:
    """One matrix product for each row of the kernel.

    Its left operand has a line for every tap of the row and channel, its columns are the positions of all pictures, those
    of one position next to each other, so that lines are copied in long runs. Up to seven times faster than the
    convolution with g as its kernel, and no slower anywhere it was measured; all rows at once would be no faster and take
    a multiple of the memory.
    """
    strides, padding, dilation, groups = window
    if groups > 1:
        return _kernel_gradient_by_taps(window, size, x, g)
    n = len(strides)
    channels, out = x.shape[-1], g.shape[1:-1]
    spatial = range(1, n + 1)
    turned = lax.transpose(_padded(x, [(*edges, 0) for edges in padding], 0), (n + 1, *spatial, 0))
    flat = lax.reshape(lax.transpose(g, (*spatial, 0, n + 1)), (math.prod(g.shape[:-1]), g.shape[-1]))

    def met(tap: Ints) -> Array:
        start, stop = _reach(tap, out, strides, dilation)
        part = lax.slice(turned, (0, *start, 0), (channels, *stop, turned.shape[-1]), (1, *strides, 1))
        return lax.reshape(part, (channels, flat.shape[0]))

    rows = []
    for row in _taps(size[:-1]):
        lines = lax.concatenate([met((*row, t)) for t in range(size[-1])], 0)
        rows.append(lax.dot(lines, flat, preferred_element_type=x.dtype))
    return lax.reshape(lax.concatenate(rows, 0), (*size, channels, g.shape[-1]))


def _kernel_gradient_by_taps(window: Any, size: Ints, x: Array, g: Array) -> Array:
    """One product a tap: for groups, where a convolution would compute every pair of groups and keep the equal ones."""
    strides, padding, dilation, groups = window
    n = len(strides)
    out = g.shape[1:-1]
    padded = _padded(x, [(low, high, 0) for low, high in padding], 0)
    inner, outer = x.shape[-1] // groups, g.shape[-1] // groups
    grouped = lax.reshape(g, (*g.shape[:-1], groups, outer))
    axes = tuple(range(n + 1))
    taps = []
    for tap in _taps(size):
        part = lax.reshape(_at_tap(padded, tap, out, strides, dilation), (g.shape[0], *out, groups, inner))
        if inner == 1:
            product = lax.reduce_sum(lax.mul(lax.broadcast_in_dim(part, grouped.shape, range(n + 3)), grouped), axes)
            taps.append(lax.reshape(product, (1, 1, groups * outer)))
        else:
            product = lax.dot_general(part, grouped, ((axes, axes), ((n + 1,), (n + 1,))))
            taps.append(lax.reshape(lax.transpose(product, (1, 0, 2)), (1, inner, groups * outer)))
    return lax.reshape(lax.concatenate(taps, 0), (*size, inner, groups * outer))


def _taps(window: Ints) -> Iterator[Ints]:
    return itertools.product(*[range(int(k)) for k in window])


def _padded(x: Array, edges: Sequence[tuple[int, int, int]], value: float) -> Array:
    if not any(itertools.chain(*edges)):
        return x
    return lax.pad(x, like(x, value), [(0, 0, 0), *edges, (0, 0, 0)])


def _reach(tap: Ints, out: Ints, strides: Ints, dilation: Ints) -> tuple[list[int], list[int]]:
    """Where along each spatial dimension the entries begin and end that meet `tap`."""
    start = [t * d for t, d in zip(tap, dilation, strict=True)]
    return start, [a + (o - 1) * s + 1 for a, o, s in zip(start, out, strides, strict=True)]


def _at_tap(x: Array, tap: Ints, out: Ints, strides: Ints, dilation: Ints) -> Array:
    """The entries of the padded `x` that meet `tap`, one for each output position."""
    start, stop = _reach(tap, out, strides, dilation)
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


# ---- pooling ----------------------------------------------------------------------------------------------------------


def _parts(x: Array, window: Ints, strides: Ints, padding: Padding, value: float) -> list[Array]:
    """For every tap of the window the entries of `x` that it meets."""
    ones = (1,) * len(window)
    padded = _padded(x, [(int(low), int(high), 0) for low, high in padding], value)
    out = tuple((d - k) // s + 1 for d, k, s in zip(padded.shape[1:-1], window, strides, strict=True))
    return [_at_tap(padded, tap, out, tuple(map(int, strides)), ones) for tap in _taps(window)]


def _spread_back(parts: Sequence[Array], size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The transpose of `_parts`: every part back in its place, summed where windows overlap, the padding cut off."""
    total = None
    for part, tap in zip(parts, _taps(window), strict=True):
        edges = [
            (t - low, d + low - t - ((o - 1) * s + 1), s - 1)
            for t, d, o, s, (low, _) in zip(tap, size, part.shape[1:-1], strides, padding, strict=True)
        ]
        placed = lax.pad(part, like(part, 0), [(0, 0, 0), *edges, (0, 0, 0)])
        total = placed if total is None else lax.add(total, placed)
    return total


def _firsts(parts: Sequence[Array], y: Array) -> Iterator[Array]:
    """For every tap where it holds the first maximum of its window."""
    taken = None
    for part in parts:
        hit = lax.eq(part, y)
        yield hit if taken is None else lax.bitwise_and(hit, lax.bitwise_not(taken))
        taken = hit if taken is None else lax.bitwise_or(taken, hit)


def max_pool(x: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The maximum of every window; the first one takes the whole gradient"""
    parts_of = partial(_parts, window=window, strides=strides, padding=padding, value=-math.inf)

    @jax.custom_jvp
    def value(x: Array) -> Array:
        first, *rest = parts_of(x)
        for part in rest:
            first = lax.max(first, part)
        return first

    @value.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        y = value(*primals)
        moved = _parts(tangents[0], window, strides, padding, 0.0)
        total = lax.full_like(y, 0)
        for first, t in zip(_firsts(parts_of(primals[0]), y), moved, strict=True):
            total = lax.add(total, lax.select(first, t, lax.full_like(t, 0)))
        return y, total

    return value(x)


def max_pool_gradient(g: Array, x: Array, y: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """g moved back to the first maximum of every window"""
    if tuple(window) == tuple(strides) and not any(itertools.chain(*padding)):
        return _apart_max_pool_gradient(g, x, y, tuple(map(int, window)))
    zero = lax.full_like(g, 0)
    parts = _parts(x, window, strides, padding, -math.inf)
    return _spread_back(
        [lax.select(first, g, zero) for first in _firsts(parts, y)], x.shape[1:-1], window, strides, padding
    )


def _apart_max_pool_gradient(g: Array, x: Array, y: Array, window: Ints) -> Array:
    """Windows that do not overlap: each cell asks whether it is the first maximum of its window; twice as fast."""
    n = len(window)
    out = y.shape[1:-1]
    parts = _parts(x, window, window, ((0, 0),) * n, 0.0)
    kind = np.int8 if len(parts) <= 127 else np.int32
    number = lax.full(y.shape, len(parts), kind)  # no cell is the maximum of a window with a NaN
    for i in reversed(range(len(parts))):
        number = lax.select(lax.eq(parts[i], y), lax.full(y.shape, i, kind), number)
    # without the barrier every cell would search its window again
    number = lax.optimization_barrier(number)
    tiled = (x.shape[0], *itertools.chain(*zip(out, window, strict=True)), x.shape[-1])
    axes = (0, *range(1, 2 * n, 2), 2 * n + 1)
    cell = np.arange(len(parts), dtype=kind).reshape(window)
    here = lax.eq(
        lax.broadcast_in_dim(number, tiled, axes), lax.broadcast_in_dim(cell, tiled, tuple(range(2, 2 * n + 1, 2)))
    )
    moved = lax.select(here, lax.broadcast_in_dim(g, tiled, axes), lax.full(tiled, 0, g.dtype))
    whole = lax.reshape(moved, (x.shape[0], *[o * k for o, k in zip(out, window, strict=True)], x.shape[-1]))
    rest = [(0, d - o * k, 0) for d, o, k in zip(x.shape[1:-1], out, window, strict=True)]
    return lax.pad(whole, like(g, 0), [(0, 0, 0), *rest, (0, 0, 0)])


def _counts(like_: Array, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    counts = window_counts(size, window, strides, padding)[0, ..., 0].astype(like_.dtype)
    if counts.size and (counts == counts.flat[0]).all():
        return np.asarray(counts.flat[0])
    return lax.broadcast_in_dim(counts, like_.shape, range(1, like_.ndim - 1))


def average_pool(x: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The mean of every window over its real cells"""
    total, *rest = _parts(x, window, strides, padding, 0.0)
    for part in rest:
        total = lax.add(total, part)
    return lax.div(total, _counts(total, x.shape[1:-1], window, strides, padding))


def average_pool_gradient(g: Array, *, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    """g shared equally among the real cells of every window"""
    share = lax.div(g, _counts(g, tuple(map(int, size)), window, strides, padding))
    return _spread_back([share] * math.prod(window), tuple(map(int, size)), window, strides, padding)
