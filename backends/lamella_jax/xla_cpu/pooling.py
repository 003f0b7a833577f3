"""The gradient of max pooling in the form that XLA runs best on a CPU."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
from jax import lax

from lamella_jax import pooling
from lamella_jax.elementwise import like
from lamella_jax.platform_choice import choose
from lamella_jax.pooling import entries_at_offsets
from lamella_jax.windows import Array, Ints, Padding


def max_pool_gradient(g: Array, x: Array, y: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """g moved back to the first maximum of every window"""
    plain = partial(pooling.max_pool_gradient, window=window, strides=strides, padding=padding)
    if tuple(window) != tuple(strides) or any(itertools.chain(*padding)):
        return plain(g, x, y)
    return choose(partial(_disjoint, tuple(map(int, window))), plain, g, x, y)


def _disjoint(window: Ints, g: Array, x: Array, y: Array) -> Array:
    """The gradient for windows that do not overlap: each cell compares its offset with that of its window's first maximum."""
    n = len(window)
    out = y.shape[1:-1]
    parts = entries_at_offsets(x, window, window, ((0, 0),) * n, 0.0)
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


__all__ = ["max_pool_gradient"]
