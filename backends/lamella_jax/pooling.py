"""Pooling and its gradients, as sums and maxima over the taps of the window.

XLA's own window reductions lose a NaN on a CPU (jaxlib 0.10.2), so they are used only where there is none (`merging`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax

from lamella.ops.window import window_counts
from lamella_jax.elementwise import like
from lamella_jax.windows import Array, Ints, Padding, at_tap, padded_with, taps_of


def _parts(x: Array, window: Ints, strides: Ints, padding: Padding, value: float) -> list[Array]:
    """For every tap of the window the entries of `x` that it meets."""
    ones = (1,) * len(window)
    padded = padded_with(x, [(int(low), int(high), 0) for low, high in padding], value)
    out = tuple((d - k) // s + 1 for d, k, s in zip(padded.shape[1:-1], window, strides, strict=True))
    return [at_tap(padded, tap, out, tuple(map(int, strides)), ones) for tap in taps_of(window)]


def _spread_back(parts: Sequence[Array], size: Ints, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The transpose of `_parts`: every part back in its place, summed where windows overlap, the padding cut off."""
    total = None
    for part, tap in zip(parts, taps_of(window), strict=True):
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


def max_pool_without_nan(x: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The same of an x without NaNs, which XLA merges with what made x."""
    edges = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, like(x, -math.inf), lax.max, (1, *window, 1), (1, *strides, 1), edges)


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
