"""Functions that move entries and make arrays of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.spec import numpy_dtype
from lamella.ops import reshape as reshape
from lamella.tracebacks import filter_functions


def arange(start: int, stop: int | None = None, step: int = 1, dtype: Any = "int32") -> Any:
    """start, start + step ... below stop; with one argument 0 ... start - 1, and nothing where that is negative."""
    if stop is None and start < 0:
        start = 0
    return ops.cast(ops.arange(start, stop, step), dtype)


def batch_flatten(x: Any) -> Any:
    """`x` as rows: `(batch, ...)` to `(batch, features)`."""
    x = ops.convert_to_tensor(x)
    return ops.reshape(x, (x.shape[0], -1))


def cast(x: Any, dtype: Any) -> Any:
    """`x` in another dtype."""
    return ops.cast(x, dtype)


def cast_to_floatx(x: Any) -> Any:
    """`x` in `floatx`: NumPy arrays and numbers as NumPy arrays."""
    if isinstance(x, np.ndarray | list | tuple | int | float):
        return np.asarray(x, numpy_dtype(settings.floatx()))
    return ops.cast(x, settings.floatx())


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """The tensors one after the other along an axis."""
    return ops.concatenate(tensors, axis)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """`x` with an axis of size 1 more."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Any:
    """`x` as a vector."""
    return ops.reshape(x, (-1,))


def gather(reference: Any, indices: Any) -> Any:
    """The entries of the first axis of `reference` at `indices`."""
    return ops.take(reference, indices, axis=0)


def identity(x: Any, name: str | None = None) -> Any:
    """`x` itself; values have no names."""
    return x


def one_hot(indices: Any, num_classes: int) -> Any:
    """Vectors with a 1 at the class number: `(...)` to `(..., num_classes)`."""
    return ops.one_hot(indices, num_classes)


def ones_like(x: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Ones of the shape and, unless `dtype` is another, the dtype of `x`."""
    return ops.ones_like(x, dtype)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """`x` with axis `pattern[i]` in place i."""
    return ops.transpose(x, pattern)


def repeat(x: Any, n: int) -> Any:
    """`(batch, features)` to `(batch, n, features)`.

    Raises:
        ShapeError: `x` has not two dimensions.
    """
    if ops.ndim(x) != 2:
        raise ShapeError(f"K.repeat: x must have 2 dimensions, got {ops.ndim(x)}.")
    return ops.repeat(ops.expand_dims(x, 1), n, 1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Every slice along an axis `rep` times, as `np.repeat`."""
    return ops.repeat(x, rep, axis)


def reverse(x: Any, axes: int | Sequence[int]) -> Any:
    """`x` backwards along the axes."""
    return ops.flip(x, axes)


def squeeze(x: Any, axis: int) -> Any:
    """`x` without an axis of size 1."""
    return ops.squeeze(x, axis)


def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """The tensors beside each other, along a new axis."""
    return ops.stack(x, axis)


def tile(x: Any, n: int | Sequence[int]) -> Any:
    """`x` copied n times along its only axis, or `n[i]` times along axis i.

    Raises:
        ShapeError: there is not one number for each axis.
    """
    n = [n] if isinstance(n, int) else list(n)
    if len(n) != ops.ndim(x):
        raise ShapeError(f"K.tile: n must have one number per axis, got {n} for {ops.ndim(x)} dimensions.")
    return ops.tile(x, n)


def to_dense(tensor: Any) -> Any:
    """The tensor itself: none is sparse."""
    return tensor


def transpose(x: Any) -> Any:
    """`x` with its axes in the opposite order."""
    return ops.transpose(x)


def zeros_like(x: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Zeros of the shape and, unless `dtype` is another, the dtype of `x`."""
    return ops.zeros_like(x, dtype)


filter_functions(__name__)
