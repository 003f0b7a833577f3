"""Convolution and its gradients in the forms that XLA runs well on a CPU, inside loops too.

JAX's own transposes of a convolution name their dimensions in an order that XLA's CPU compiler recognizes only outside
loops; inside a `scan` they become a scalar loop, hundreds of times slower. So here the gradients are convolutions of the
standard order (NHWC, HWIO), matrix products, or sums over kernel offsets, and `jax.grad` finds them as well.

Convolutions carry `custom_vjp` rules: forward-mode differentiation (`jax.jvp`) does not pass through them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamella.stacks import ThreadStack
from lamella_jax import windows
from lamella_jax.elementwise import aligned, like
from lamella_jax.platform_choice import choose
from lamella_jax.windows import Array, Ints, Padding, at_offset, kernel_offsets, padded_with

ROWS_TOGETHER: ThreadStack[bool] = ThreadStack()
"""Whether the rows of a batch are on several devices: a loop over them would bring them all together on each."""

Window = tuple[Ints, Padding, Ints, int]


def convolve(x: Array, kernel: Array, **attrs: Any) -> Array:
    """The op `convolve`, whose gradients are the two functions below"""
    return _convolve(_static(**attrs), *aligned(x, kernel))


def convolve_input_gradient(g: Array, kernel: Array, *, size: Ints, **attrs: Any) -> Array:
    """The gradient of convolve in x"""
    return _input_gradient(_static(**attrs), tuple(map(int, size)), *aligned(g, kernel))


def convolve_kernel_gradient(x: Array, g: Array, *, size: Ints, **attrs: Any) -> Array:
    """The gradient of convolve in the kernel"""
    return _kernel_gradient(_static(**attrs), tuple(map(int, size)), *aligned(x, g))


def convolve_for_fusion(x: Array, kernel: Array, **attrs: Any) -> Array:
    """The same in the form that XLA fuses with its consumers, without a custom derivative"""
    return windows.convolve(*_evened(_static(**attrs), x, kernel), **attrs)


def _static(*, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Window:
    """The attributes as plain, hashable integers."""
    edges = tuple((int(low), int(high)) for low, high in padding)
    return tuple(map(int, strides)), edges, tuple(map(int, dilation)), int(groups)


def _attrs(window: Window) -> dict[str, Any]:
    return dict(zip(("strides", "padding", "dilation", "groups"), window, strict=True))


# a convolution is linear in either operand, so the three are each other's derivatives


def _custom_vjp(static: int) -> Callable[[Callable[..., Array]], Any]:
    """A function with a custom derivative, whose first `static` arguments are not arrays."""
    return lambda function: jax.custom_vjp(function, nondiff_argnums=tuple(range(static)))


@_custom_vjp(1)
def _convolve(window: Window, x: Array, kernel: Array) -> Array:
    plain = partial(windows.convolve, **_attrs(window))
    if len(window[0]) != 3 and not _is_slowly_odd(window, kernel) and _lengthened(window, x, kernel) is None:
        return plain(x, kernel)
    return choose(partial(_correlate, window), plain, x, kernel)


def _convolve_forward(window: Window, x: Array, kernel: Array) -> tuple[Array, Any]:
    return _convolve(window, x, kernel), (x, kernel)


def _convolve_backward(window: Window, kept: Any, g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    dk = _kernel_gradient(window, kernel.shape[:-2], x, g)
    return _input_gradient(window, x.shape[1:-1], g, kernel), dk


_convolve.defvjp(_convolve_forward, _convolve_backward)


@_custom_vjp(2)
def _input_gradient(window: Window, size: Ints, g: Array, kernel: Array) -> Array:
    plain = partial(windows.convolve_input_gradient, size=size, **_attrs(window))
    return choose(partial(_canonical_input_gradient, window, size), plain, g, kernel)


def _input_gradient_forward(window: Window, size: Ints, g: Array, kernel: Array) -> tuple[Array, Any]:
    return _input_gradient(window, size, g, kernel), (g, kernel)


def _input_gradient_backward(window: Window, size: Ints, kept: Any, h: Array) -> tuple[Array, Array]:
    g, kernel = kept
    return _convolve(window, h, kernel), _kernel_gradient(window, kernel.shape[:-2], h, g)


_input_gradient.defvjp(_input_gradient_forward, _input_gradient_backward)


@_custom_vjp(2)
def _kernel_gradient(window: Window, size: Ints, x: Array, g: Array) -> Array:
    plain = partial(windows.convolve_kernel_gradient, size=size, **_attrs(window))
    return choose(partial(_canonical_kernel_gradient, window, size), plain, x, g)


def _kernel_gradient_forward(window: Window, size: Ints, x: Array, g: Array) -> tuple[Array, Any]:
    return _kernel_gradient(window, size, x, g), (x, g)


def _kernel_gradient_backward(window: Window, size: Ints, kept: Any, h: Array) -> tuple[Array, Array]:
    x, g = kept
    return _input_gradient(window, x.shape[1:-1], g, h), _convolve(window, x, h)


_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)


# ---- the forms for a CPU ----------------------------------------------------------------------------------------------


_LARGE = 1 << 25
"""From about so many multiply-adds on it pays to give a convolution to all cores, and to pad it for that."""


def _lengthened(window: Window, x: Array, kernel: Array) -> tuple[Padding, int, int] | None:
    """A padding with which XLA computes a convolution faster on a CPU, with the dimension to cut off again, and where.

    XLA (jaxlib 0.10.2) gives nearly every convolution to a library that computes it on one core, unless the kernel is
    large, and to another, which takes all cores, where the result is longer than x in some dimension. Where that is too
    much more work, one entry of padding still halves the time if there was none: the entries of a padded x are copied into
    the order in which they are multiplied, those of another are read where they are.
    """
    strides, padding, dilation, groups = window
    spatial, (inner, outer) = kernel.shape[:-2], kernel.shape[-2:]
    if len(strides) != 2 or groups > 1 or max(spatial) == 1:
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


def _is_slowly_odd(window: Window, kernel: Array) -> bool:
    """Whether a fourth input channel, of zeros, makes the convolution three to eight times faster.

    XLA (jaxlib 0.10.2, on a processor with AVX-512) is that slow where the number of products in a sum is odd, as with RGB
    inputs, and there are 17 to 32 output channels.
    """
    (*spatial, inner, outer), groups = kernel.shape, window[-1]
    few = groups == 1 and len(spatial) == 2 and min(spatial) > 1 and 3 <= inner < 16 and 16 < outer <= 32
    return few and math.prod(spatial) * inner % 2 == 1


def _evened(window: Window, x: Array, kernel: Array) -> tuple[Array, Array]:
    """x and the kernel, zero-padded by one channel where that helps."""
    if not _is_slowly_odd(window, kernel):
        return x, kernel
    images = lax.pad(x, like(x, 0), [(0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0)])
    return images, lax.pad(kernel, like(kernel, 0), [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0)])


def _correlate(window: Window, x: Array, kernel: Array) -> Array:
    """The convolution itself. XLA has no fast one of three dimensions: it is a sum of two-dimensional ones, of planes."""
    strides, padding, dilation, groups = window
    x, kernel = _evened(window, x, kernel)
    if len(strides) != 3:
        lengthened = _lengthened(window, x, kernel)
        if lengthened is None:
            return windows.convolve(x, kernel, **_attrs(window))
        longer, axis, length = lengthened
        return lax.slice_in_dim(
            windows.convolve(x, kernel, **_attrs((strides, longer, dilation, groups))), 0, length, axis=axis
        )
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


def _canonical_input_gradient(window: Window, size: Ints, g: Array, kernel: Array) -> Array:
    """g convolved with the reversed kernel, without strides: the strides divide the kernel offsets into phases.

    Positions i with one remainder of i + low by the stride meet every stride-th kernel offset only, at neighboring entries
    of g. So each phase is a small dense convolution, and together they cost what the forward one does. A dimension that is
    strided and dilated (Keras has none) spreads g out with zeros instead.
    """
    strides, padding, dilation, groups = window
    n = len(strides)
    out = g.shape[1:-1]
    phases = tuple(s if d == 1 else 1 for s, d in zip(strides, dilation, strict=True))
    spread = tuple(s // phase for s, phase in zip(strides, phases, strict=True))
    flipped = _flipped(kernel, groups)
    total = None
    for phase in itertools.product(*[range(count) for count in phases]):
        edges, back, limits = [], [], []
        for i, (first, count, s, d) in enumerate(zip(phase, phases, spread, dilation, strict=True)):
            offsets = len(range(first, kernel.shape[i], count))
            low = padding[i][0] - first
            places = range(max(-(-low // count), 0), (size[i] - 1 + low) // count + 1)
            reach = (offsets - 1) * d
            edges.append((reach - places.start, places.stop - ((out[i] - 1) * s + 1), s - 1))
            back.append((places.start * count - low, size[i] - 1 + low - (places.stop - 1) * count, count - 1))
            # in the reversed kernel the offsets first, first + count, ... are at the same distance from its end
            last = kernel.shape[i] - 1 - first
            limits.append((last - (offsets - 1) * count, last + 1, count) if offsets and places else None)
        if None in limits:
            continue
        start, stop, step = zip(*limits, strict=True)
        part = lax.slice(flipped, (*start, 0, 0), (*stop, *flipped.shape[n:]), (*step, 1, 1))
        rows = lax.pad(g, like(g, 0), [(0, 0, 0), *[(min(a, 0), min(b, 0), c) for a, b, c in edges], (0, 0, 0)])
        around = tuple((max(a, 0), max(b, 0)) for a, b, _ in edges)
        piece = _correlate(((1,) * n, around, dilation, groups), rows, part)
        piece = padded_with(piece, back, 0)
        total = piece if total is None else lax.add(total, piece)
    if total is None:  # the window meets padding only
        return aligned(lax.full((g.shape[0], *size, kernel.shape[n] * groups), 0, g.dtype), g)[0]
    return total


def _flipped(kernel: Array, groups: int) -> Array:
    """The kernel reversed in its spatial dimensions, with its input and output channels exchanged."""
    n = kernel.ndim - 2
    spatial, (inner, outer) = kernel.shape[:n], kernel.shape[n:]
    flipped = lax.rev(kernel, tuple(range(n)))
    if groups == 1:
        return lax.transpose(flipped, (*range(n), n + 1, n))
    parts = lax.reshape(flipped, (*spatial, inner, groups, outer // groups))
    return lax.reshape(lax.transpose(parts, (*range(n), n + 2, n + 1, n)), (*spatial, outer // groups, groups * inner))


_PATCHES = 1 << 20
"""About so many bytes of patches are made at a time: a second-level cache holds them until they are multiplied."""

_LINE = 32
"""From so many numbers on, one row of the window is worth a separate product."""

_MANY_ROWS = 3
"""From so many rows of a window on, a product per row saves more copying than it costs."""

_MANY_CHANNELS = 64
"""From so many channels on, a gradient that several products read is transposed first: XLA would multiply it by columns."""


def _canonical_kernel_gradient(window: Window, size: Ints, x: Array, g: Array) -> Array:
    """Matrix products of patches with g, some images at a time: the patch of a position is one row of a matrix.

    A patch holds one row of the window, so that the entries of x are copied once; the rows of the window meet them at other
    positions, each in a separate product. Where channels or rows are few, a patch holds the whole window. Up to three
    times faster than a product for all images at once, whose patches go out to memory and come back, and up to six times
    faster than the convolution with g as its kernel; no slower than either anywhere it was measured.
    """
    strides, padding, dilation, groups = window
    if groups > 1:
        return _grouped_kernel_gradient(window, size, x, g)
    count, out, inner, outer = g.shape[0], g.shape[1:-1], x.shape[-1], g.shape[-1]
    by_rows = size[-1] * inner >= _LINE and math.prod(size[:-1]) >= _MANY_ROWS
    rows = len(size) - 1 if by_rows else 0  # so many axes choose a row of the window
    still, ones = (0,) * (len(size) - rows), (1,) * len(size)
    line = math.prod(size[rows:]) * inner
    wide = jnp.promote_types(x.dtype, np.float32)  # what is added up from many products
    fitting = max(_PATCHES // (math.prod(out) * line * x.dtype.itemsize), 1)
    together = (
        count if ROWS_TOGETHER.top else math.gcd(count, 1 << fitting.bit_length() - 1) if isinstance(count, int) else 1
    )
    flat = together * math.prod(out)

    def add(totals: Sequence[Array], images: tuple[Array, Array]) -> tuple[Sequence[Array], None]:
        part, cotangents = images
        padded = padded_with(part, [(*edges, 0) for edges in padding], 0)
        places, steps = (*padded.shape[1 : rows + 1], *out[rows:]), (*ones[:rows], *strides[rows:])
        parts = [at_offset(padded, (*(0,) * rows, *k), places, steps, dilation) for k in kernel_offsets(size[rows:])]
        lines = lax.concatenate(parts, len(size) + 1)
        steps = (*strides[:rows], *ones[rows:])
        patches = [at_offset(lines, (*row, *still), out, steps, dilation) for row in kernel_offsets(size[:rows])]
        # a product with g on the left is up to twice as fast; where several products read many channels, g is transposed
        cotangents, axis = lax.reshape(cotangents, (flat, outer)), 0
        if by_rows and outer >= _MANY_CHANNELS:
            cotangents, axis = lax.optimization_barrier(lax.transpose(cotangents, (1, 0))), 1
        products = [
            lax.dot_general(
                cotangents, lax.reshape(p, (flat, line)), (((axis,), (0,)), ((), ())), preferred_element_type=wide
            )
            for p in patches
        ]
        return tuple(map(lax.add, totals, products)), None

    x_chunks, g_chunks = (lax.reshape(a, (count // together, together, *a.shape[1:])) for a in (x, g))
    zeros = aligned(lax.full((outer, line), 0, wide), x)[0]
    totals, _ = lax.scan(add, (zeros,) * math.prod(size[:rows]), (x_chunks, g_chunks))
    kernel = lax.concatenate([lax.transpose(lax.convert_element_type(t, x.dtype), (1, 0)) for t in totals], 0)
    return lax.reshape(kernel, (*size, inner, outer))


def _grouped_kernel_gradient(window: Window, size: Ints, x: Array, g: Array) -> Array:
    """One product per kernel offset: a convolution would compute every pair of groups and keep the equal ones."""
    strides, padding, dilation, groups = window
    n = len(strides)
    out = g.shape[1:-1]
    padded = padded_with(x, [(low, high, 0) for low, high in padding], 0)
    inner, outer = x.shape[-1] // groups, g.shape[-1] // groups
    grouped = lax.reshape(g, (*g.shape[:-1], groups, outer))
    axes = tuple(range(n + 1))
    parts = []
    for offset in kernel_offsets(size):
        part = lax.reshape(at_offset(padded, offset, out, strides, dilation), (g.shape[0], *out, groups, inner))
        if inner == 1:
            product = lax.reduce_sum(lax.mul(lax.broadcast_in_dim(part, grouped.shape, range(n + 3)), grouped), axes)
            parts.append(lax.reshape(product, (1, 1, groups * outer)))
        else:
            product = lax.dot_general(part, grouped, ((axes, axes), ((n + 1,), (n + 1,))))
            parts.append(lax.reshape(lax.transpose(product, (1, 0, 2)), (1, inner, groups * outer)))
    return lax.reshape(lax.concatenate(parts, 0), (*size, inner, groups * outer))


__all__ = ["convolve", "convolve_for_fusion", "convolve_input_gradient", "convolve_kernel_gradient"]
