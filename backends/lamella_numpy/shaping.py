"""Plain kernels: moving, repeating, cutting, joining and picking entries, and sums of products.

Results may be views of the operands; they are copied before a user gets them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.ir.spec import numpy_dtype

Array = np.ndarray[Any, Any]
Ints = tuple[int, ...]
Pairs = tuple[Ints, Ints]


def reshape(x: Array, *, shape: Ints) -> Array:
    """The same elements in row-major order under another shape"""
    return x.reshape(shape)


def transpose(x: Array, *, permutation: Ints) -> Array:
    """Axis i of the result is axis permutation[i] of x"""
    return x.transpose(permutation)


def broadcast(x: Array, *, shape: Ints, axes: Ints) -> Array:
    """Axis i of x becomes axis axes[i] of the result; x repeats along the others"""
    return np.broadcast_to(x.reshape([d if i in axes else 1 for i, d in enumerate(shape)]), shape)


def slice_(x: Array, *, start: Ints, stop: Ints, strides: Ints) -> Array:
    """Entries start, start + stride, ... below stop of every axis"""
    return x[(*map(slice, start, stop, strides), ...)]


def interior_slices(size: Ints, low: Ints, interior: Ints) -> tuple[Any, ...]:
    """The index of the entries of a padded array that come from the operand of `size`."""
    spans = zip(size, low, interior, strict=True)
    return (*[slice(a, a + (n - 1) * (i + 1) + 1 if n else a, i + 1) for n, a, i in spans], ...)


def pad(x: Array, *, low: Ints, high: Ints, interior: Ints, value: float) -> Array:
    """x with `low` entries of `value` before, `high` after and `interior` between neighbors of each axis"""
    sizes = zip(x.shape, low, high, interior, strict=True)
    result = np.full([a + b + d + max(d - 1, 0) * i for d, a, b, i in sizes], value, x.dtype)
    result[interior_slices(x.shape, low, interior)] = x
    return result


def concatenate(*xs: Array, axis: int) -> Array:
    """The operands one after the other along `axis`"""
    return np.concatenate(xs, axis)


def split(x: Array, *, sizes: Ints, axis: int) -> tuple[Array, ...]:
    """Consecutive parts of `sizes` along `axis`"""
    ends = np.cumsum(sizes).tolist()
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True))


def reverse(x: Array, *, axes: Ints) -> Array:
    """x with the order along `axes` reversed"""
    return np.flip(x, axes)


def iota(*, shape: Ints, dtype: str, axis: int) -> Array:
    """Every entry is its index along `axis`"""
    line = np.arange(shape[axis]).astype(numpy_dtype(dtype))
    return broadcast(line, shape=shape, axes=(axis,))


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """Entries of x at `indices` along `axis`; an index outside is moved to the nearest end"""
    if indices.dtype == np.uint64:  # does not convert to a signed index by itself
        indices = np.minimum(indices, np.uint64(x.shape[axis])).astype(np.intp)
    return np.take(x, indices, axis, mode="clip")


def contract(x: Array, y: Array, *, contracting: Pairs, batch: Pairs) -> Array:
    """Products of x and y summed over the `contracting` axes, one by one along the `batch` axes: a matrix product"""
    free_x = [a for a in range(x.ndim) if a not in contracting[0] and a not in batch[0]]
    free_y = [a for a in range(y.ndim) if a not in contracting[1] and a not in batch[1]]
    lead = tuple(x.shape[a] for a in batch[0])
    rows = tuple(x.shape[a] for a in free_x)
    columns = tuple(y.shape[a] for a in free_y)
    depth = int(np.prod([x.shape[a] for a in contracting[0]], dtype=int))
    left = x.transpose([*batch[0], *free_x, *contracting[0]]).reshape((*lead, int(np.prod(rows, dtype=int)), depth))
    right = y.transpose([*batch[1], *contracting[1], *free_y]).reshape((*lead, depth, int(np.prod(columns, dtype=int))))
    if x.dtype == np.float16:  # has no BLAS
        product = np.matmul(left.astype(np.float32), right.astype(np.float32)).astype(np.float16)
    else:
        product = np.matmul(left, right)
    return product.reshape((*lead, *rows, *columns))
