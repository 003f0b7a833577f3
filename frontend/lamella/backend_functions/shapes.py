"""Functions that rearrange arrays and make arrays like others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.spec import numpy_dtype
from lamella.ops import reshape as reshape
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def arange(start: int, stop: int | None = None, step: int = 1, dtype: DTypeLike = "int32") -> Any:
    """start, start + step, ... below stop; with one argument from 0 to below it

    Args:
        start: the first number, or the bound if it is the only argument; a negative bound gives an empty vector.
        stop: the bound, which is not included.
        step: the distance between two numbers.
        dtype: the dtype.

    Returns:
        A vector in `dtype`.

    Example:
        >>> from lamella import backend as K
        >>> K.arange(4), K.arange(1, 7, 2, dtype="float32")
        (array([0, 1, 2, 3], dtype=int32), array([1., 3., 5.], dtype=float32))
    """
    if stop is None and start < 0:
        start = 0
    return ops.cast(ops.arange(start, stop, step), dtype)


def batch_flatten(x: Tensor) -> Tensor:
    """`x` as rows: `(batch, ...)` to `(batch, features)`.

    Args:
        x: array of at least one dimension.

    Returns:
        An array of two dimensions.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.batch_flatten(ops.ones((2, 3, 4))).shape
        (2, 12)
    """
    x = ops.convert_to_tensor(x)
    return ops.reshape(x, (x.shape[0], -1))


def cast(x: Any, dtype: DTypeLike | None) -> Any:
    """`x` in another dtype.

    Args:
        x: array.
        dtype: the new dtype or its name.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.cast([1, 2], "float32")
        array([1., 2.], dtype=float32)
    """
    return ops.cast(x, dtype)


def cast_to_floatx(x: ArrayLike) -> Tensor:
    """`x` in `floatx`; NumPy arrays, lists and numbers become NumPy arrays.

    Args:
        x: array.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.cast_to_floatx([1, 2])
        array([1., 2.], dtype=float32)
    """
    if isinstance(x, np.ndarray | list | tuple | int | float):
        return np.asarray(x, numpy_dtype(settings.floatx()))
    return ops.cast(x, settings.floatx())


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """The arrays, promoted, one after the other along `axis`.

    Args:
        tensors: a sequence of arrays whose shapes agree outside of `axis`.
        axis: the axis along which they are joined.

    Returns:
        An array in the promoted dtype.

    Raises:
        ShapeError: the shapes differ outside of `axis`.

    Example:
        >>> from lamella import backend as K
        >>> K.concatenate([[[1, 2]], [[3]]])
        array([[1, 2, 3]], dtype=int32)
    """
    return ops.concatenate(tensors, axis)


def expand_dims(x: ArrayLike, axis: int = -1) -> Any:
    """`x` with a new axis of size 1.

    Args:
        x: array.
        axis: the position of the new axis in the result.

    Returns:
        An array with the same entries.

    Example:
        >>> from lamella import backend as K
        >>> K.expand_dims([1, 2, 3]).shape
        (3, 1)
    """
    return ops.expand_dims(x, axis)


def flatten(x: ArrayLike) -> Tensor:
    """`x` as a vector.

    Args:
        x: array.

    Returns:
        A vector with all entries of `x` in row-major order.

    Example:
        >>> from lamella import backend as K
        >>> K.flatten([[1, 2], [3, 4]])
        array([1, 2, 3, 4], dtype=int32)
    """
    return ops.reshape(x, (-1,))


def gather(reference: ArrayLike, indices: ArrayLike) -> Tensor:
    """The entries along the first axis of `reference` at `indices`.

    Args:
        reference: array.
        indices: integer array.

    Returns:
        An array with the shape of `indices` in the place of the first axis.

    Example:
        >>> from lamella import backend as K
        >>> K.gather([[1, 2], [3, 4], [5, 6]], [2, 0])
        array([[5, 6],
               [1, 2]], dtype=int32)
    """
    return ops.take(reference, indices, axis=0)


def identity(x: ArrayLike, name: str | None = None) -> Any:
    """`x` itself.

    Args:
        x: array.
        name: has no effect; values have no names.

    Returns:
        `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.identity([1, 2])
        [1, 2]
    """
    return x


def one_hot(indices: ArrayLike, num_classes: int) -> Any:
    """Vectors with a 1 at the class index: `(...)` to `(..., num_classes)`.

    Args:
        indices: integer array.
        num_classes: the number of classes.

    Returns:
        An array of `floatx`.

    Example:
        >>> from lamella import backend as K
        >>> K.one_hot([0, 2], 3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    return ops.one_hot(indices, num_classes)


def ones_like(x: ArrayLike, dtype: DTypeLike | None = None, name: str | None = None) -> Tensor:
    """Ones of the shape of `x`.

    Args:
        x: array.
        dtype: the dtype; None is that of `x`.
        name: has no effect.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.ones_like([[5, 6]])
        array([[1, 1]], dtype=int32)
    """
    return ops.ones_like(x, dtype)


def permute_dimensions(x: Tensor, pattern: Sequence[int]) -> Tensor:
    """`x` with its axes in the order `pattern`.

    Args:
        x: array.
        pattern: a permutation: axis i of the result is axis `pattern[i]` of `x`.

    Returns:
        An array with the permuted shape.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.permute_dimensions(ops.ones((2, 3, 4)), (0, 2, 1)).shape
        (2, 4, 3)
    """
    return ops.transpose(x, pattern)


def repeat(x: ArrayLike, n: int) -> Tensor:
    """Every row of a matrix `n` times along a new axis: `(batch, features)` to `(batch, n, features)`.

    Args:
        x: array `(batch, features)`.
        n: how many times.

    Returns:
        An array `(batch, n, features)`.

    Raises:
        ShapeError: `x` does not have two dimensions.

    Example:
        >>> from lamella import backend as K
        >>> K.repeat([[1, 2]], 3)[0]
        array([[1, 2],
               [1, 2],
               [1, 2]], dtype=int32)
    """
    if ops.ndim(x) != 2:
        raise ShapeError(f"K.repeat: x must have 2 dimensions, got {ops.ndim(x)}.")
    return ops.repeat(ops.expand_dims(x, 1), n, 1)


def repeat_elements(x: ArrayLike, rep: int, axis: int) -> Tensor:
    """Every slice along an axis `rep` times in a row, as `np.repeat`.

    Args:
        x: array.
        rep: how many times.
        axis: the axis.

    Returns:
        An array that is `rep` times as long along `axis`.

    Example:
        >>> from lamella import backend as K
        >>> K.repeat_elements([[1, 2], [3, 4]], 2, axis=1)
        array([[1, 1, 2, 2],
               [3, 3, 4, 4]], dtype=int32)
    """
    return ops.repeat(x, rep, axis)


def reverse(x: ArrayLike, axes: int | Sequence[int]) -> Tensor:
    """`x` with the order along the axes reversed.

    Args:
        x: array.
        axes: the axis or axes.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.reverse([[1, 2], [3, 4]], 0)
        array([[3, 4],
               [1, 2]], dtype=int32)
    """
    return ops.flip(x, axes)


def squeeze(x: ArrayLike, axis: int) -> Any:
    """`x` without an axis of size 1.

    Args:
        x: array.
        axis: the axis.

    Returns:
        An array with the same entries.

    Raises:
        ShapeError: the size of the axis is not 1.

    Example:
        >>> from lamella import backend as K
        >>> K.squeeze([[1], [2]], 1)
        array([1, 2], dtype=int32)
    """
    return ops.squeeze(x, axis)


def stack(x: Sequence[Any], axis: int = 0) -> Tensor:
    """The arrays, promoted, along a new axis.

    Args:
        x: a sequence of arrays of one shape.
        axis: the position of the new axis in the result.

    Returns:
        An array of one more dimension.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> from lamella import backend as K
        >>> K.stack([[1, 2], [3, 4]], axis=1)
        array([[1, 3],
               [2, 4]], dtype=int32)
    """
    return ops.stack(x, axis)


def tile(x: ArrayLike, n: int | Sequence[int]) -> Tensor:
    """`x` copied `n` times along its only axis, or `n[i]` times along axis i.

    Args:
        x: array.
        n: a number, or one per axis.

    Returns:
        An array in the dtype of `x`.

    Raises:
        ShapeError: there is not one number per axis.

    Example:
        >>> from lamella import backend as K
        >>> K.tile([[1, 2]], (2, 2))
        array([[1, 2, 1, 2],
               [1, 2, 1, 2]], dtype=int32)
    """
    n = [n] if isinstance(n, int) else list(n)
    if len(n) != ops.ndim(x):
        raise ShapeError(f"K.tile: n must have {ops.ndim(x)} numbers, one per dimension, got {n}.")
    return ops.tile(x, n)


def to_dense(tensor: ArrayLike) -> Any:
    """The tensor itself: lamella has no sparse tensors.

    Args:
        tensor: array.

    Returns:
        `tensor`.

    Example:
        >>> from lamella import backend as K
        >>> K.to_dense([1, 2])
        [1, 2]
    """
    return tensor


def transpose(x: ArrayLike) -> Tensor:
    """`x` with the order of its axes reversed.

    Args:
        x: array.

    Returns:
        An array with the reversed shape.

    Example:
        >>> from lamella import backend as K
        >>> K.transpose([[1, 2], [3, 4]])
        array([[1, 3],
               [2, 4]], dtype=int32)
    """
    return ops.transpose(x)


def zeros_like(x: ArrayLike, dtype: DTypeLike | None = None, name: str | None = None) -> Tensor:
    """Zeros of the shape of `x`.

    Args:
        x: array.
        dtype: the dtype; None is that of `x`.
        name: has no effect.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.zeros_like([[5, 6]])
        array([[0, 0]], dtype=int32)
    """
    return ops.zeros_like(x, dtype)


filter_functions(__name__)
