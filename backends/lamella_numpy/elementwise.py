"""Plain kernels: arithmetic, comparisons and reductions, `(*arrays, **attributes) -> array` of the operands' dtype.

They allocate their results, and they broadcast, though a program never asks them to. Float16 sums are added up in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def bfloat16(x: Array, out: Array | None = None) -> Array:
    """Float32 `x` rounded to the nearest bfloat16 (ties to even), kept in float32; `out` may be `x` itself."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    # the addition would carry a NaN's mantissa away: it is made quiet instead
    missing = np.not_equal(x, x)
    if missing.any():
        rounded = np.where(missing, (bits | np.uint32(0x00400000)) & np.uint32(0xFFFF0000), rounded)
    values = rounded.view(np.float32)
    if out is None:
        return values
    out[...] = values
    return out


def convert(x: Array, *, dtype: str) -> Array:
    """x in another dtype; floats are truncated to integers, numbers become `x != 0` as bool."""
    if dtype == "bfloat16":
        return bfloat16(x.astype(np.float32))
    return whole(x, np.dtype(dtype)) if x.dtype.kind == "f" and np.dtype(dtype).kind in "iu" else x.astype(dtype)


def whole(x: Array, dtype: np.dtype[Any]) -> Array:
    """Floats truncated to integers; one outside their range becomes the nearest end and NaN 0, as XLA has it."""
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        y = x.astype(dtype)
    inside = np.logical_and(x > np.float64(limits.min) - 1, x < np.float64(limits.max) + 1)
    if inside.all():
        return y
    ends = np.where(x < 0, np.array(limits.min, dtype), np.array(limits.max, dtype))
    return np.where(inside, y, np.where(np.equal(x, x), ends, np.zeros((), dtype)))[()]


def select(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y."""
    return np.where(condition, x, y)


def relu(x: Array) -> Array:
    """max(x, 0)"""
    return np.maximum(x, np.zeros((), x.dtype))


def relu_gradient(g: Array, y: Array) -> Array:
    """g where y > 0, else 0"""
    return np.where(np.greater(y, 0), g, np.zeros((), g.dtype))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))"""
    one = np.ones((), x.dtype)
    return one / (np.exp(-x) + one)


def softplus(x: Array) -> Array:
    """max(x, 0) + log1p(exp(-|x|))"""
    return np.maximum(x, np.zeros((), x.dtype)) + np.log1p(np.exp(-np.abs(x)))


def softmax(x: Array, *, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along `axis`, shifted by the maximum"""
    result = np.exp(x - x.max(axis, keepdims=True))
    result /= _sum(result, (axis,), keepdims=True)
    return result


def log_softmax(x: Array, *, axis: int) -> Array:
    """x - log(sum(exp(x))) along `axis`, shifted by the maximum"""
    shifted = x - x.max(axis, keepdims=True)
    shifted -= np.log(_sum(np.exp(shifted), (axis,), keepdims=True))
    return shifted


def reduce_sum(x: Array, *, axes: tuple[int, ...]) -> Array:
    """The sum over `axes`, in x's dtype"""
    return _sum(x, axes)


def _sum(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    if x.dtype == np.float16:
        return np.add.reduce(x, axes, np.float32, keepdims=keepdims).astype(np.float16)
    return np.add.reduce(x, axes, x.dtype, keepdims=keepdims)


def reduce_max(x: Array, *, axes: tuple[int, ...]) -> Array:
    """The maximum over `axes`"""
    return np.maximum.reduce(x, axes)


def reduce_min(x: Array, *, axes: tuple[int, ...]) -> Array:
    """The minimum over `axes`"""
    return np.minimum.reduce(x, axes)


def argmax(x: Array, *, axis: int) -> Array:
    """The int32 index of the first maximum along `axis`"""
    return np.argmax(x, axis).astype(np.int32)
