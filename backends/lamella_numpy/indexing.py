"""Kernels that read and add at integer positions; indices outside are moved to the nearest end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Scratch = dict[str, Any]

_FEW = 48
"""So many runs `reduceat` sums in the time of a round, which adds one update to each."""

_LONG = 8
"""The mean length of runs from which on `reduceat` is faster than so many rounds."""


def _moved_inside(indices: Array, size: int) -> Array:
    """Positions below `size`, compared in the dtype of `indices`: a large unsigned one must not turn negative."""
    last = min(size - 1, np.iinfo(indices.dtype).max)
    return np.maximum(np.minimum(indices, last), 0).astype(np.intp, copy=False)


def take(x: Array, indices: Array, *, axis: int, out: Array | None = None) -> Array:
    """Entries of x at `indices` along `axis`."""
    if indices.dtype == np.uint64:  # NumPy converts every other dtype to positions itself
        indices = _moved_inside(indices, x.shape[axis])
    return np.take(x, indices, axis=axis, out=out, mode="clip")


def scatter_add(
    updates: Array,
    indices: Array,
    *,
    axis: int,
    size: int,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """Zeros with `size` entries along `axis`, to which every update is added at its index: the transpose of `take`.

    `np.add.at` adds one number at a time; here updates are sorted by index, and the first of every index are added at
    once, then the second ones, and so on; when few runs of equal indices are left, or long ones, each is summed at once.
    A product with the one-hot matrix of the indices is faster only for a few dozen updates (by 15 microseconds), and an
    infinite update would spread in it.

    Args:
        updates: (before ..., the dimensions of indices ..., after ...), where there are `axis` dimensions before.
        indices: integers.
        axis: where the dimensions of `indices` begin, and where the new dimension goes.
        size: how many entries there are along it.
        out: a contiguous array to write into.
        scratch: unused; every kernel with temporaries takes one.
    """
    return _scattered(np.add, 0, updates, indices, axis, size, out)


def scatter_max(
    updates: Array,
    indices: Array,
    *,
    axis: int,
    size: int,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """The maxima of the updates at each of `size` indices; arguments as for `scatter_add`."""
    kind = updates.dtype.kind
    least = -np.inf if kind == "f" else False if kind == "b" else np.iinfo(updates.dtype).min
    return _scattered(np.maximum, least, updates, indices, axis, size, out)


def _scattered(
    ufunc: np.ufunc, fill: Any, updates: Array, indices: Array, axis: int, size: int, out: Array | None
) -> Array:
    before, after = updates.shape[:axis], updates.shape[axis + indices.ndim :]
    if out is None:
        out = np.empty((*before, size, *after), updates.dtype)
    width = math.prod(after)
    rows = updates.reshape(math.prod(before), indices.size, width)
    places = _moved_inside(indices.reshape(-1), size)
    target = out.reshape(len(rows), size, width)
    if not rows.size:
        target.fill(fill)
        return out
    # NumPy sorts 16-bit integers by their digits
    order = np.argsort(places.astype(np.uint16) if size <= 65536 else places, kind="stable")
    ordered = places[order]
    target.fill(fill)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.append(starts[1:], len(ordered))
    turn = 0
    while len(starts) > _FEW and (ends - starts).sum() <= _LONG * len(starts):
        to, added = ordered[starts], rows[:, order[starts]]
        target[:, to] = ufunc(target[:, to], added, dtype=target.dtype) if turn else added
        starts, turn = starts + 1, turn + 1
        more = starts < ends
        starts, ends = starts[more], ends[more]
    if len(starts):
        lengths = ends - starts
        begins = np.cumsum(lengths) - lengths
        rest = order[np.arange(lengths.sum()) + np.repeat(starts - begins, lengths)]
        to, added = ordered[starts], ufunc.reduceat(rows[:, rest], begins, axis=1, dtype=target.dtype)
        target[:, to] = ufunc(target[:, to], added, dtype=target.dtype)
    return out


def argsort(x: Array, *, axis: int) -> Array:
    """The int32 positions that put x in ascending order along `axis`; equal entries keep theirs, NaN comes last."""
    return np.argsort(x, axis, kind="stable").astype(np.int32)


def cumsum(x: Array, *, axis: int, out: Array | None = None) -> Array:
    """The running sums along `axis`, in x's dtype; 16-bit floats are added up in float32 and rounded once each."""
    if x.dtype != np.float16:
        return np.cumsum(x, axis, x.dtype, out)
    total = np.cumsum(x, axis, np.float32).astype(x.dtype)
    if out is None:
        return total
    out[...] = total
    return out
