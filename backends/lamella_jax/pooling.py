"""Pooling and its gradients, as sums and maxima over the kernel offsets of the window.

`lax.reduce_window` loses NaNs on a CPU (jaxlib 0.10.2 and 0.12.0), and its gradient is a scatter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial, reduce
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import max_dim, min_dim

from lamella.ir.dim import at, symbol
from lamella.ops.window import window_counts, window_positions
from lamella_jax.elementwise import like
from lamella_jax.windows import Array, Ints, Padding, at_offset, kernel_offsets, padded_with


def _positions(size: Any, window: int, stride: int) -> Any:
    """How many places a window has; with a symbolic dimension of JAX's in the form in which a program has it."""
    if isinstance(size, int):
        return (size - window) // stride + 1
    return at(window_positions(symbol("size"), window, stride, (0, 0)), {"size": size}, max_dim, min_dim)


def entries_at_offsets(x: Array, window: Ints, strides: Ints, padding: Padding, value: float) -> list[Array]:
    """The entries of `x` at each kernel offset of the window."""
    ones = (1,) * len(window)
    padded = padded_with(x, [(low, high, 0) for low, high in padding], value)
    out = tuple(map(_positions, padded.shape[1:-1], window, strides))
    return [at_offset(padded, offset, out, tuple(map(int, strides)), ones) for offset in kernel_offsets(window)]


def _spread_back(parts: Sequence[Array], size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The transpose of `entries_at_offsets`: parts back at their offsets, summed where windows overlap, without padding."""
    total = None
    for part, offset in zip(parts, kernel_offsets(window), strict=True):
        edges = [
            (t - low, d + low - t - ((o - 1) * s + 1), s - 1)
            for t, d, o, s, (low, _) in zip(offset, size, part.shape[1:-1], strides, padding, strict=True)
        ]
        placed = lax.pad(part, like(part, 0), [(0, 0, 0), *edges, (0, 0, 0)])
        total = placed if total is None else lax.add(total, placed)
    return total


def _firsts(parts: Sequence[Array], y: Array) -> Iterator[Array]:
    """For each kernel offset, where it holds the first maximum of its window."""
    taken = None
    for part in parts:
        hit = lax.eq(part, y)
        yield hit if taken is None else lax.bitwise_and(hit, lax.bitwise_not(taken))
        taken = hit if taken is None else lax.bitwise_or(taken, hit)


def max_pool(x: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The maximum of every window; the first one takes the whole gradient"""
    parts_of = partial(entries_at_offsets, window=window, strides=strides, padding=padding, value=-math.inf)

    @jax.custom_jvp
    def value(x: Array) -> Array:
        first, *rest = parts_of(x)
        for part in rest:
            first = lax.max(first, part)
        return first

    @value.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        y = value(*primals)
        moved = entries_at_offsets(tangents[0], window, strides, padding, 0.0)
        total = lax.full_like(y, 0)
        for first, t in zip(_firsts(parts_of(primals[0]), y), moved, strict=True):
            total = lax.add(total, lax.select(first, t, lax.full_like(t, 0)))
        return y, total

    return value(x)


def max_pool_gradient(g: Array, x: Array, y: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """g moved back to the first maximum of every window"""
    zero = lax.full_like(g, 0)
    parts = entries_at_offsets(x, window, strides, padding, -math.inf)
    return _spread_back(
        [lax.select(first, g, zero) for first in _firsts(parts, y)], x.shape[1:-1], window, strides, padding
    )


def _counts(like_: Array, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    if not all(isinstance(d, int) for d in size):  # a symbolic dimension of `jax.export`
        total, *rest = entries_at_offsets(lax.full((1, *size, 1), 1, like_.dtype), window, strides, padding, 0.0)
        counts = lax.reshape(reduce(lax.add, rest, total), total.shape[1:-1])
        return lax.broadcast_in_dim(counts, like_.shape, range(1, like_.ndim - 1))
    counts = window_counts(size, window, strides, padding)[0, ..., 0].astype(like_.dtype)
    if counts.size and (counts == counts.flat[0]).all():
        return np.asarray(counts.flat[0])
    return lax.broadcast_in_dim(counts, like_.shape, range(1, like_.ndim - 1))


def average_pool(x: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The mean of every window over its real cells; 16-bit floats are added up in float32 and rounded once"""
    wide = lax.convert_element_type(x, np.float32) if x.dtype.itemsize == 2 else x
    total, *rest = entries_at_offsets(wide, window, strides, padding, 0.0)
    for part in rest:
        total = lax.add(total, part)
    mean = lax.div(total, _counts(total, x.shape[1:-1], window, strides, padding))
    return lax.convert_element_type(mean, x.dtype)


def average_pool_gradient(g: Array, *, size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    """g shared equally among the real cells of every window"""
    share = lax.div(g, _counts(g, size, window, strides, padding))
    return _spread_back([share] * math.prod(window), size, window, strides, padding)
