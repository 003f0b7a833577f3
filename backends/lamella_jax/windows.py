"""Convolution and its gradients, in forms that XLA runs well on a CPU, inside loops too.

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
import jax.numpy as jnp
import numpy as np
from jax import lax

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


def convolve_plainly(x: Array, kernel: Array, *, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Array:
    """The same in the form that XLA merges with what follows, without a derivative of its own"""
    window = _window(strides, padding, dilation, groups)
    return _native(window, *_evened(window, x, kernel))


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
    if len(window[0]) == 3 or _is_slowly_odd(window, kernel) or _lengthened(window, x, kernel) is not None:
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


_LARGE = 1 << 25
"""From about so many multiply-adds on it pays to give a convolution to all cores, and to pad it for that."""


def _lengthened(window: Any, x: Array, kernel: Array) -> tuple[Padding, int, int] | None:
    """A padding with which XLA computes a convolution faster on a CPU, with the dimension to cut off again, and where.

    XLA (jaxlib 0.10.2) gives nearly every convolution to a library that computes it on one core, unless the kernel is
    large, and to another, which takes all cores, where the result is longer than x in some dimension. Where that is too
    much more work, one entry of padding still halves the time if there was none: the entries of a padded x are copied into
    the order in which they are multiplied, those of another are read where they lie.
    """
    strides, padding, dilation, groups = window
    spatial, (inner, outer) = kernel.shape[:-2], kernel.shape[-2:]
    if groups > 1 or max(spatial) == 1:
        return None
    sizes = x.shape[1:-1]
    out = [
        (d + low + high - (k - 1) * gap - 1) // s + 1
        for d, k, s, gap, (low, high) in zip(sizes, spatial, strides, dilation, padding, strict=True)
    ]
    rows = x.shape[0] if isinstance(x.shape[0], int) else 1
    products = rows * math.prod(out) * math.prod(spatial) * inner * outer
    axis = min(range(len(out)), key=lambda i: (sizes[i] + 1) / max(out[i], 1))
    more = max(sizes[axis] + 1 - out[axis], 0)
    if set(strides) != {1} or min(inner, outer) < 16 or products < _LARGE or more > 0.4 * out[axis]:
        if any(itertools.chain(*padding)) or math.prod(spatial) * inner < 128:
            return None
        axis, more = out.index(max(out)), 1
    longer = tuple((low, high + more * (i == axis)) for i, (low, high) in enumerate(padding))
    return longer, axis + 1, out[axis]


def _is_slowly_odd(window: Any, kernel: Array) -> bool:
    """Whether a channel of zeros more makes the convolution three to eight times faster.

    XLA (jaxlib 0.10.2, on a processor with AVX-512) is that slow where the number of products in a sum is odd, as with three
    colors, and 17 to 32 channels come out.
    """
    (*spatial, inner, outer), groups = kernel.shape, window[-1]
    few = groups == 1 and len(spatial) == 2 and min(spatial) > 1 and 3 <= inner < 16 and 16 < outer <= 32
    return few and math.prod(spatial) * inner % 2 == 1


def _evened(window: Any, x: Array, kernel: Array) -> tuple[Array, Array]:
    """x and the kernel, with that channel where it helps."""
    if not _is_slowly_odd(window, kernel):
        return x, kernel
    pictures = lax.pad(x, like(x, 0), [(0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0)])
    return pictures, lax.pad(kernel, like(kernel, 0), [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0)])


def _correlate(window: Any, x: Array, kernel: Array) -> Array:
    """The convolution itself: XLA has a fast one of two dimensions; three are a sum of planes, several times faster."""
    strides, padding, dilation, groups = window
    x, kernel = _evened(window, x, kernel)
    if len(strides) != 3:
        lengthened = _lengthened(window, x, kernel)
        if lengthened is None:
            return _native(window, x, kernel)
        longer, axis, length = lengthened
        return lax.slice_in_dim(_native((strides, longer, dilation, groups), x, kernel), 0, length, axis=axis)
    padded = padded_with(x, [(*padding[0], 0), (0, 0, 0), (0, 0, 0)], 0)
    depth = (padded.shape[1] - (kernel.shape[0] - 1) * dilation[0] - 1) // strides[0] + 1
    total: Any = None
    for t in range(kernel.shape[0]):
        first = t * dilation[0]
        planes = lax.slice_in_dim(padded, first, first + (depth - 1) * strides[0] + 1, strides[0], axis=1)
        flat = lax.reshape(planes, (x.shape[0] * depth, *x.shape[2:]))
        part = _correlate((strides[1:], padding[1:], dilation[1:], groups), flat, kernel[t])
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
            low = padding[i][0] - first
            places = range(max(-(-low // count), 0), (size[i] - 1 + low) // count + 1)
            reach = (taps - 1) * d
            edges.append((reach - places.start, places.stop - ((out[i] - 1) * s + 1), s - 1))
            back.append((places.start * count - low, size[i] - 1 + low - (places.stop - 1) * count, count - 1))
            # taps first, first + count, ... of the kernel stand, turned around, at the same distance from its end
            last = kernel.shape[i] - 1 - first
            limits.append((last - (taps - 1) * count, last + 1, count) if taps and places else None)
        if None in limits:
            continue
        start, stop, step = zip(*limits, strict=True)
        part = lax.slice(turned, (*start, 0, 0), (*stop, *turned.shape[n:]), (*step, 1, 1))
        rows = lax.pad(g, like(g, 0), [(0, 0, 0), *[(min(a, 0), min(b, 0), c) for a, b, c in edges], (0, 0, 0)])
        around = tuple((max(a, 0), max(b, 0)) for a, b, _ in edges)
        piece = _correlate(((1,) * n, around, dilation, groups), rows, part)
        piece = padded_with(piece, back, 0)
        total = piece if total is None else lax.add(total, piece)
    if total is None:  # the window meets padding only
        return aligned(lax.full((g.shape[0], *size, kernel.shape[n] * groups), 0, g.dtype), g)[0]
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


_PATCHES = 1 << 20
"""About so many bytes of patches lie side by side: a second-level cache holds them until they are multiplied."""

_LINE = 32
"""From so many numbers on, a row of the window makes a line that is worth a product of its own."""

_MANY_ROWS = 3
"""So many rows of a window save more copying than their products cost."""

_MANY_CHANNELS = 64
"""From so many channels on, a gradient that several products read is transposed first: XLA would multiply it by columns."""


def _canonical_kernel_gradient(window: Any, size: Ints, x: Array, g: Array) -> Array:
    """Matrix products of patches with g, some pictures at a time: a position's patch is a line, with its taps' channels.

    A line holds one row of the window, so that the entries of x are laid side by side once; the rows of the window meet
    them at other places, each in a product of its own. Where channels or rows are few, a line holds the whole window. Up to
    three times faster than a product for all pictures at once, whose patches go out to memory and come back, and up to six
    times faster than the convolution with g as its kernel; no slower than either anywhere it was measured.
    """
    strides, padding, dilation, groups = window
    if groups > 1:
        return _kernel_gradient_by_taps(window, size, x, g)
    count, out, inner, outer = g.shape[0], g.shape[1:-1], x.shape[-1], g.shape[-1]
    by_rows = size[-1] * inner >= _LINE and math.prod(size[:-1]) >= _MANY_ROWS
    rows = len(size) - 1 if by_rows else 0  # so many axes choose a row of the window
    still, ones = (0,) * (len(size) - rows), (1,) * len(size)
    line = math.prod(size[rows:]) * inner
    wide = jnp.promote_types(x.dtype, np.float32)  # what is added up from many products
    fitting = max(_PATCHES // (math.prod(out) * line * x.dtype.itemsize), 1)
    together = math.gcd(count, 1 << fitting.bit_length() - 1) if isinstance(count, int) else 1
    flat = together * math.prod(out)

    def add(totals: Sequence[Array], pictures: tuple[Array, Array]) -> tuple[Sequence[Array], None]:
        part, slopes = pictures
        padded = padded_with(part, [(*edges, 0) for edges in padding], 0)
        places, steps = (*padded.shape[1 : rows + 1], *out[rows:]), (*ones[:rows], *strides[rows:])
        taps = [at_tap(padded, (*(0,) * rows, *tap), places, steps, dilation) for tap in taps_of(size[rows:])]
        lines = lax.concatenate(taps, len(size) + 1)
        steps = (*strides[:rows], *ones[rows:])
        patches = [at_tap(lines, (*row, *still), out, steps, dilation) for row in taps_of(size[:rows])]
        # a product with g on the left is up to twice as fast; for many rows, many channels are read faster along the places
        slopes, axis = lax.reshape(slopes, (flat, outer)), 0
        if by_rows and outer >= _MANY_CHANNELS:
            slopes, axis = lax.optimization_barrier(lax.transpose(slopes, (1, 0))), 1
        products = [
            lax.dot_general(
                slopes, lax.reshape(p, (flat, line)), (((axis,), (0,)), ((), ())), preferred_element_type=wide
            )
            for p in patches
        ]
        return tuple(map(lax.add, totals, products)), None

    x_turns, g_turns = (lax.reshape(a, (count // together, together, *a.shape[1:])) for a in (x, g))
    zeros = aligned(lax.full((outer, line), 0, wide), x)[0]
    totals, _ = lax.scan(add, (zeros,) * math.prod(size[:rows]), (x_turns, g_turns))
    kernel = lax.concatenate([lax.transpose(lax.convert_element_type(t, x.dtype), (1, 0)) for t in totals], 0)
    return lax.reshape(kernel, (*size, inner, outer))


def _kernel_gradient_by_taps(window: Any, size: Ints, x: Array, g: Array) -> Array:
    """One product a tap: for groups, where a convolution would compute every pair of groups and keep the equal ones."""
    strides, padding, dilation, groups = window
    n = len(strides)
    out = g.shape[1:-1]
    padded = padded_with(x, [(low, high, 0) for low, high in padding], 0)
    inner, outer = x.shape[-1] // groups, g.shape[-1] // groups
    grouped = lax.reshape(g, (*g.shape[:-1], groups, outer))
    axes = tuple(range(n + 1))
    taps = []
    for tap in taps_of(size):
        part = lax.reshape(at_tap(padded, tap, out, strides, dilation), (g.shape[0], *out, groups, inner))
        if inner == 1:
            product = lax.reduce_sum(lax.mul(lax.broadcast_in_dim(part, grouped.shape, range(n + 3)), grouped), axes)
            taps.append(lax.reshape(product, (1, 1, groups * outer)))
        else:
            product = lax.dot_general(part, grouped, ((axes, axes), ((n + 1,), (n + 1,))))
            taps.append(lax.reshape(lax.transpose(product, (1, 0, 2)), (1, inner, groups * outer)))
    return lax.reshape(lax.concatenate(taps, 0), (*size, inner, groups * outer))


def taps_of(window: Ints) -> Iterator[Ints]:
    """The places in a window, row by row."""
    return itertools.product(*[range(int(k)) for k in window])


def padded_with(x: Array, edges: Sequence[tuple[int, int, int]], value: float) -> Array:
    """`x` with entries of `value` before, after and between those of each spatial dimension."""
    if not any(itertools.chain(*edges)):
        return x
    return lax.pad(x, like(x, value), [(0, 0, 0), *edges, (0, 0, 0)])


def _reach(tap: Ints, out: Ints, strides: Ints, dilation: Ints) -> tuple[list[int], list[int]]:
    """Where along each spatial dimension the entries begin and end that meet `tap`."""
    start = [t * d for t, d in zip(tap, dilation, strict=True)]
    return start, [a + (o - 1) * s + 1 for a, o, s in zip(start, out, strides, strict=True)]


def at_tap(x: Array, tap: Ints, out: Ints, strides: Ints, dilation: Ints) -> Array:
    """The entries of the padded `x` that meet `tap`, one for each output position."""
    start, stop = _reach(tap, out, strides, dilation)
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))
