"""Functions that make, join, split and rearrange arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import Dimension
from lamella.ir.interpret import to_numpy
from lamella.ir.program import Value
from lamella.ir.spec import is_float, promote, spec_of
from lamella.ir.trace import operand
from lamella.ops.coerce import common_dtype, dtype_argument, floating, normalize_axis
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor

span = slice  # Python's `slice`, whose name a function below takes.


def is_tensor(x: ArrayLike) -> bool:
    """Whether `x` is a symbolic value, a variable or an array; not a list or a Python number.

    Args:
        x: any object.

    Returns:
        A Python bool.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.is_tensor(np.ones(2)), ops.is_tensor([1.0, 1.0])
        (True, False)
    """
    x = operand(x)
    return isinstance(x, Value) or (hasattr(x, "shape") and hasattr(x, "dtype"))


def convert_to_numpy(x: ArrayLike) -> np.ndarray:
    """The entries of `x` as a NumPy array, a copy that may be written to.

    Args:
        x: an array, a variable, a list or a number.

    Returns:
        A NumPy array; bfloat16 becomes float32.

    Raises:
        TraceError: `x` is symbolic.

    Example:
        >>> from lamella import ops
        >>> ops.convert_to_numpy(ops.ones(2))
        array([1., 1.], dtype=float32)
    """
    return np.array(to_numpy(operand(x)))


def array(x: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """`x` as an array, of `dtype` where one is given.

    It is `convert_to_tensor`.

    Args:
        x: a value, a variable, an array, a number, or a nested list of numbers.
        dtype: the dtype of the result; None keeps that of `x`.

    Returns:
        A value or array of the shape of `x`.

    Raises:
        DTypeError: `x` has entries that are not numbers, or `dtype` is not a supported dtype.

    Example:
        >>> from lamella import ops
        >>> ops.array([1, 2, 3], "float32")
        array([1., 2., 3.], dtype=float32)
    """
    return ops.convert_to_tensor(x, dtype)


def copy(x: ArrayLike) -> Tensor:
    """The entries of `x`: a copy of a NumPy array, and otherwise `x` itself, because values do not change.

    Args:
        x: array.

    Returns:
        An array equal to `x`.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([1.0, 2.0])
        >>> y = ops.copy(x)
        >>> y[0] = 9.0
        >>> x
        array([1., 2.])
    """
    x = ops.convert_to_tensor(x)
    return np.array(x) if isinstance(x, np.ndarray) else x


def shape(x: ArrayLike) -> tuple[int, ...]:
    """The shape: a tuple of integers, because shapes are static.

    Args:
        x: array.

    Returns:
        A tuple with one entry per dimension. A size that a model leaves free is a dimension, with which sizes can be
        computed.

    Example:
        >>> from lamella import ops
        >>> ops.shape([[1, 2, 3], [4, 5, 6]])
        (2, 3)
    """
    return tuple(spec_of(ops.convert_to_tensor(x)).shape)


def ndim(x: Any) -> int:
    """The number of dimensions.

    Args:
        x: array.

    Returns:
        A Python integer.

    Example:
        >>> from lamella import ops
        >>> ops.ndim([[1, 2, 3], [4, 5, 6]])
        2
    """
    return spec_of(ops.convert_to_tensor(x)).ndim


def size(x: ArrayLike) -> int:
    """The number of entries.

    Args:
        x: array.

    Returns:
        A Python integer, or a dimension where a model leaves a size free.

    Example:
        >>> from lamella import ops
        >>> ops.size([[1, 2, 3], [4, 5, 6]])
        6
    """
    return spec_of(ops.convert_to_tensor(x)).size


def dtype(x: ArrayLike) -> str:
    """The name of the dtype.

    Args:
        x: array.

    Returns:
        A name such as "float32".

    Example:
        >>> from lamella import ops
        >>> ops.dtype([1.5, 2.5]), ops.dtype([1, 2])
        ('float32', 'int32')
    """
    return spec_of(ops.convert_to_tensor(x)).dtype


def empty(shape: Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """An array of `shape`; its entries are zeros.

    Args:
        shape: an integer or a sequence of integers.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array of `shape` in `dtype`.

    Example:
        >>> from lamella import ops
        >>> ops.empty((2, 2))
        array([[0., 0.],
               [0., 0.]], dtype=float32)
    """
    return ops.zeros(shape, dtype)


def empty_like(x: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """An array of the shape of `x`; its entries are zeros.

    Args:
        x: array.
        dtype: the dtype of the result; None takes that of `x`.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.empty_like([1, 2])
        array([0, 0], dtype=int32)
    """
    return ops.zeros_like(x, dtype)


def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """The identity matrix (n, n).

    Args:
        n: the number of rows and columns.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array `(n, n)` in `dtype`.

    Example:
        >>> from lamella import ops
        >>> ops.identity(2)
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    return ops.eye(n, dtype=dtype)


def tri(N: Dimension, M: Dimension | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """A matrix with ones on and below diagonal `k`, zeros above.

    Args:
        N: the number of rows.
        M: the number of columns; None is `N`.
        k: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array `(N, M)` in `dtype`.

    Example:
        >>> from lamella import ops
        >>> ops.tri(3), ops.tri(2, 3, k=1, dtype="int32")
        (array([[1., 0., 0.],
               [1., 1., 0.],
               [1., 1., 1.]], dtype=float32), array([[1, 1, 0],
               [1, 1, 1]], dtype=int32))
    """
    kind = dtype_argument(dtype, settings.floatx())
    return ops.cast(_lower(N, N if M is None else M, k), kind)


def _lower(rows: Dimension, columns: Dimension, k: int) -> Tensor:
    i, j = ops.expand_dims(ops.arange(rows), 1), ops.expand_dims(ops.arange(columns), 0)
    return ops.less_equal(j, ops.add(i, k))


def tril(x: ArrayLike, k: int = 0) -> Tensor:
    """Matrices with zeros above diagonal `k`.

    Args:
        x: array `(..., rows, columns)`.
        k: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `x` has less than two dimensions.

    Example:
        >>> from lamella import ops
        >>> ops.tril([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
        array([[1, 0, 0],
               [4, 5, 0],
               [7, 8, 9]], dtype=int32)
    """
    x = _matrices(x)
    return ops.where(_lower(x.shape[-2], x.shape[-1], k), x, ops.zeros((), spec_of(x).dtype))


def triu(x: ArrayLike, k: int = 0) -> Tensor:
    """Matrices with zeros below diagonal `k`.

    Args:
        x: array `(..., rows, columns)`.
        k: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `x` has less than two dimensions.

    Example:
        >>> from lamella import ops
        >>> ops.triu([[1, 2, 3], [4, 5, 6], [7, 8, 9]], k=1)
        array([[0, 2, 3],
               [0, 0, 6],
               [0, 0, 0]], dtype=int32)
    """
    x = _matrices(x)
    return ops.where(_lower(x.shape[-2], x.shape[-1], k - 1), ops.zeros((), spec_of(x).dtype), x)


def _matrices(x: ArrayLike) -> Tensor:
    x = ops.convert_to_tensor(x)
    if spec_of(x).ndim < 2:
        raise ShapeError(f"expected matrices, with at least 2 dimensions, got {spec_of(x)}.")
    return x


def diag(x: ArrayLike, k: int = 0) -> Tensor:
    """A matrix with the vector `x` on diagonal `k`, or diagonal `k` of the matrix `x`.

    Args:
        x: a vector `(n,)` or a matrix.
        k: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.

    Returns:
        For a vector an array `(n + |k|, n + |k|)`, for a matrix a vector.

    Raises:
        ShapeError: `x` has neither one nor two dimensions.

    Example:
        >>> from lamella import ops
        >>> ops.diag([1, 2]), ops.diag([[1, 2], [3, 4]])
        (array([[1, 0],
               [0, 2]], dtype=int32), array([1, 4], dtype=int32))
    """
    x = ops.convert_to_tensor(x)
    if spec_of(x).ndim == 2:
        return diagonal(x, k)
    if spec_of(x).ndim != 1:
        raise ShapeError(f"diag: x must be a vector or a matrix, got {spec_of(x)}.")
    n, extra = spec_of(x).shape[0], abs(k)
    row = ops.pad(x, ((max(k, 0), max(-k, 0)),)) if extra else x
    hit = ops.eye(n + extra, k=k, dtype="bool")
    # column j of diagonal k holds x[j - k]
    return ops.where(hit, ops.broadcast_to(row, (n + extra, n + extra)), ops.zeros((), spec_of(x).dtype))


def diagflat(x: ArrayLike, k: int = 0) -> Tensor:
    """A matrix with the entries of `x`, flattened, on diagonal `k`.

    Args:
        x: array of n entries.
        k: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.

    Returns:
        An array `(n + |k|, n + |k|)`.

    Example:
        >>> from lamella import ops
        >>> ops.diagflat([[1], [2]], k=-1)
        array([[0, 0, 0],
               [1, 0, 0],
               [0, 2, 0]], dtype=int32)
    """
    return diag(ops.reshape(x, (-1,)), k)


def diagonal(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Diagonal `offset` of the matrices along two axes, as the last axis.

    Args:
        x: array of at least two dimensions.
        offset: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.
        axis1: the axis of the rows.
        axis2: the axis of the columns.

    Returns:
        An array without the two axes, and with the diagonal as its last axis.

    Raises:
        ShapeError: `x` has less than two dimensions, or an axis is out of range.
        ArgumentError: both axes are the same.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 2, 3], [4, 5, 6]]
        >>> ops.diagonal(x), ops.diagonal(x, offset=1)
        (array([1, 5], dtype=int32), array([2, 6], dtype=int32))
    """
    x = _matrices(x)
    a, b = normalize_axis(axis1, spec_of(x).ndim), normalize_axis(axis2, spec_of(x).ndim)
    if a == b:
        raise ArgumentError(f"axis1 and axis2 must differ, both are {a}.")
    x = ops.moveaxis(x, (a, b), (-2, -1))
    *lead, rows, columns = spec_of(x).shape
    count = max(0, min(int(rows), int(columns) - offset) if offset >= 0 else min(int(rows) + offset, int(columns)))
    start = offset if offset >= 0 else -offset * int(columns)
    places = start + (int(columns) + 1) * np.arange(count)
    return ops.take(ops.reshape(x, (*lead, int(rows) * int(columns))), places, -1)


def trace(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum along diagonal `offset` of the matrices along two axes.

    Args:
        x: array of at least two dimensions.
        offset: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.
        axis1: the axis of the rows.
        axis2: the axis of the columns.

    Returns:
        An array without the two axes.

    Raises:
        ShapeError: `x` has less than two dimensions, or an axis is out of range.
        ArgumentError: both axes are the same.

    Example:
        >>> from lamella import ops
        >>> ops.trace([[1, 2], [3, 4]])
        array(5, dtype=int32)
    """
    return ops.sum(diagonal(x, offset, axis1, axis2), -1)


def ravel(x: ArrayLike) -> Tensor:
    """`x` as a vector, in row-major order.

    Args:
        x: array.

    Returns:
        A vector with all entries of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.ravel([[1, 2], [3, 4]])
        array([1, 2, 3, 4], dtype=int32)
    """
    return ops.reshape(x, (-1,))


def append(x1: ArrayLike, x2: ArrayLike, axis: int | None = None) -> Any:
    """`x2` after `x1` along `axis` (None: both flattened).

    Args:
        x1: array.
        x2: array whose shape agrees with that of `x1` outside of `axis`.
        axis: the axis along which they are joined; None flattens both.

    Returns:
        An array in the promoted dtype.

    Raises:
        ShapeError: the shapes differ outside of `axis`, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.append([[1, 2]], [[3, 4]]), ops.append([[1, 2]], [[3, 4]], axis=0)
        (array([1, 2, 3, 4], dtype=int32), array([[1, 2],
               [3, 4]], dtype=int32))
    """
    return ops.concatenate([ravel(x1), ravel(x2)], 0) if axis is None else ops.concatenate([x1, x2], axis)


def fliplr(x: ArrayLike) -> Tensor:
    """`x` with the order along axis 1 reversed.

    Args:
        x: array of at least two dimensions.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `x` has less than two dimensions.

    Example:
        >>> from lamella import ops
        >>> ops.fliplr([[1, 2], [3, 4]])
        array([[2, 1],
               [4, 3]], dtype=int32)
    """
    return ops.flip(x, 1)


def flipud(x: ArrayLike) -> Tensor:
    """`x` with the order along axis 0 reversed.

    Args:
        x: array of at least one dimension.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `x` is a scalar.

    Example:
        >>> from lamella import ops
        >>> ops.flipud([[1, 2], [3, 4]])
        array([[3, 4],
               [1, 2]], dtype=int32)
    """
    return ops.flip(x, 0)


def rot90(array: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """`array` rotated by `k` quarters of a circle, from the first of two axes towards the second.

    Args:
        array: array of at least two dimensions.
        k: the number of quarters; a negative one rotates the other way.
        axes: the two axes of the plane.

    Returns:
        An array in the dtype of `array`; for an odd `k` the two sizes are exchanged.

    Raises:
        ShapeError: an axis is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.rot90([[1, 2, 3], [4, 5, 6]])
        array([[3, 6],
               [2, 5],
               [1, 4]], dtype=int32)
    """
    a, b = axes
    for _ in range(k % 4):
        array = ops.swapaxes(ops.flip(array, b), a, b)
    return ops.convert_to_tensor(array)


def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """`x` shifted by `shift` along `axis` (None: flattened); entries that leave one end enter at the other.

    Args:
        x: array.
        shift: the number of positions; several for as many axes.
        axis: the axis or axes; None shifts the flattened array and keeps the shape.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range.
        ValueError: the numbers of shifts and axes differ.

    Example:
        >>> from lamella import ops
        >>> ops.roll([1, 2, 3, 4], 1), ops.roll([[1, 2, 3], [4, 5, 6]], -1, axis=1)
        (array([4, 1, 2, 3], dtype=int32), array([[2, 3, 1],
               [5, 6, 4]], dtype=int32))
    """
    x = ops.convert_to_tensor(x)
    if axis is None:
        return ops.reshape(roll(ravel(x), shift, 0), spec_of(x).shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    for a, s in zip(axes, shifts, strict=True):
        a = normalize_axis(a, spec_of(x).ndim)
        count = spec_of(x).shape[a]
        cut = -s % count if count else 0
        if cut:
            before = (span(None),) * a
            x = ops.concatenate([x[(*before, span(cut, None))], x[(*before, span(None, cut))]], a)
    return x


def _at_least(x: ArrayLike, ndim: int) -> Tensor:
    x = ops.convert_to_tensor(x)
    have = spec_of(x).shape
    if ndim == 3:
        return ops.reshape(x, {0: (1, 1, 1), 1: (1, *have, 1), 2: (*have, 1)}.get(len(have), have))
    return ops.reshape(x, (*[1] * (ndim - len(have)), *have))


def hstack(xs: Sequence[Any]) -> Tensor:
    """The operands, promoted, one after the other along axis 1 (vectors: axis 0).

    Args:
        xs: a sequence of arrays whose shapes agree outside of that axis.

    Returns:
        An array in the promoted dtype.

    Raises:
        ShapeError: the shapes differ outside of the axis.

    Example:
        >>> from lamella import ops
        >>> ops.hstack([[1, 2], [3]]), ops.hstack([[[1], [2]], [[3], [4]]])
        (array([1, 2, 3], dtype=int32), array([[1, 3],
               [2, 4]], dtype=int32))
    """
    items = [_at_least(x, 1) for x in xs]
    return ops.concatenate(items, 0 if spec_of(items[0]).ndim == 1 else 1)


def vstack(xs: Sequence[Any]) -> Tensor:
    """The operands, promoted, one below the other along axis 0, vectors as rows.

    Args:
        xs: a sequence of arrays whose shapes agree outside of axis 0.

    Returns:
        An array of at least two dimensions in the promoted dtype.

    Raises:
        ShapeError: the shapes differ outside of axis 0.

    Example:
        >>> from lamella import ops
        >>> ops.vstack([[1, 2], [[3, 4], [5, 6]]])
        array([[1, 2],
               [3, 4],
               [5, 6]], dtype=int32)
    """
    return ops.concatenate([_at_least(x, 2) for x in xs], 0)


def dstack(xs: Sequence[Any]) -> Tensor:
    """The operands, promoted, one behind the other along axis 2.

    Vectors `(n,)` count as `(1, n, 1)`, and matrices `(n, m)` as `(n, m, 1)`.

    Args:
        xs: a sequence of arrays whose shapes agree outside of axis 2.

    Returns:
        An array of at least three dimensions in the promoted dtype.

    Raises:
        ShapeError: the shapes differ outside of axis 2.

    Example:
        >>> from lamella import ops
        >>> ops.dstack([[1, 2], [3, 4]])
        array([[[1, 3],
                [2, 4]]], dtype=int32)
    """
    return ops.concatenate([_at_least(x, 3) for x in xs], 2)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """The slices along `axis`, as a list of `num`.

    Args:
        x: array.
        num: the expected number of slices; None does not check it.
        axis: the axis along which `x` is sliced, and which the slices do not have.

    Returns:
        A list of arrays.

    Raises:
        ShapeError: there are not `num` slices, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.unstack([[1, 2], [3, 4]], axis=1)
        [array([1, 3], dtype=int32), array([2, 4], dtype=int32)]
    """
    x = ops.convert_to_tensor(x)
    axis = normalize_axis(axis, spec_of(x).ndim)
    count = spec_of(x).shape[axis]
    if num not in (None, count):
        raise ShapeError(f"axis {axis} of {spec_of(x)} has {count} slices, not {num}.")
    return [x[(*[span(None)] * axis, i)] for i in range(count)]


def array_split(x: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """`split` into parts that need not be equal: the first ones are longer by one.

    Args:
        x: array.
        indices_or_sections: the number of parts, or the indices where a new part begins.
        axis: the axis to split.

    Returns:
        A list of arrays.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> [part.tolist() for part in ops.array_split([1, 2, 3, 4, 5], 3)]
        [[1, 2], [3, 4], [5]]
    """
    if not isinstance(indices_or_sections, int):
        return ops.split(x, indices_or_sections, axis)
    x, n = ops.convert_to_tensor(x), indices_or_sections
    count = spec_of(x).shape[normalize_axis(axis, spec_of(x).ndim)]
    lengths = [count // n + (i < count % n) for i in range(n)]
    return ops.split(x, [sum(lengths[:i]) for i in range(1, n)], axis)


def hsplit(x: ArrayLike, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """`split` along axis 1 (a vector: axis 0).

    Args:
        x: array.
        indices_or_sections: the number of equal parts, or the indices where a new part begins.

    Returns:
        A list of arrays.

    Raises:
        ShapeError: the size does not divide into so many parts.

    Example:
        >>> from lamella import ops
        >>> ops.hsplit([[1, 2], [3, 4]], 2)
        [array([[1],
               [3]], dtype=int32), array([[2],
               [4]], dtype=int32)]
    """
    return ops.split(x, indices_or_sections, 0 if ndim(x) == 1 else 1)


def vsplit(x: ArrayLike, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """`split` along axis 0.

    Args:
        x: array.
        indices_or_sections: the number of equal parts, or the indices where a new part begins.

    Returns:
        A list of arrays.

    Raises:
        ShapeError: the size does not divide into so many parts.

    Example:
        >>> from lamella import ops
        >>> ops.vsplit([[1, 2], [3, 4]], 2)
        [array([[1, 2]], dtype=int32), array([[3, 4]], dtype=int32)]
    """
    return ops.split(x, indices_or_sections, 0)


def dsplit(x: ArrayLike, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """`split` along axis 2.

    Args:
        x: array of at least three dimensions.
        indices_or_sections: the number of equal parts, or the indices where a new part begins.

    Returns:
        A list of arrays.

    Raises:
        ShapeError: the size does not divide into so many parts, or `x` has less than three dimensions.

    Example:
        >>> from lamella import ops
        >>> [part.shape for part in ops.dsplit(ops.ones((2, 3, 4)), [1])]
        [(2, 3, 1), (2, 3, 3)]
    """
    return ops.split(x, indices_or_sections, 2)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Any]:
    """The coordinates of a grid: for every vector an array over the grid of all of them that repeats its entries.

    Args:
        *x: one vector per axis of the grid.
        indexing: "xy" exchanges the first two axes of the grid, "ij" keeps the order of the vectors.

    Returns:
        A list with one array per vector; for "ij" the shape is the lengths of the vectors.

    Raises:
        ValueError: `indexing` is neither.

    Example:
        >>> from lamella import ops
        >>> ops.meshgrid([1, 2, 3], [10, 20])
        [array([[1, 2, 3],
               [1, 2, 3]], dtype=int32), array([[10, 10, 10],
               [20, 20, 20]], dtype=int32)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij', got {indexing!r}.")
    vectors = [ravel(v) for v in x]
    full = [spec_of(v).shape[0] for v in vectors]
    grids = [
        ops.broadcast_to(ops.reshape(v, [n if i == j else 1 for j, n in enumerate(full)]), full)
        for i, v in enumerate(vectors)
    ]
    return [ops.swapaxes(g, 0, 1) for g in grids] if indexing == "xy" and len(grids) > 1 else grids


def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` equally spaced numbers from `start` to `stop`, along a new `axis`.

    Args:
        start: the first number, or an array of first numbers.
        stop: the last number, an array or number that broadcasts against `start`.
        num: how many numbers.
        endpoint: whether `stop` is included; if not, the spacing is (stop - start) / num.
        retstep: whether the spacing is returned as well.
        dtype: the dtype; None is the promoted float dtype of the bounds. For integers the numbers are rounded down.
        axis: the position of the new axis in the result.

    Returns:
        The numbers, and with `retstep` a tuple of them and their spacing.

    Raises:
        ShapeError: the bounds do not broadcast, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.linspace(0, 1, 5), ops.linspace(0, 1, 4, endpoint=False)
        (array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32), array([0.  , 0.25, 0.5 , 0.75], dtype=float32))
    """
    kind = common_dtype(start, stop)
    kind = kind if is_float(kind) else settings.floatx()
    start, stop = (ops.cast(start, kind), ops.cast(stop, kind))
    parts = num - 1 if endpoint else num
    width = ops.subtract(stop, start)
    step = ops.divide(width, float(parts)) if parts > 0 else ops.full_like(width, math.nan)
    shape = spec_of(width).shape
    along = ops.reshape(ops.cast(ops.arange(num), kind), (num, *[1] * len(shape)))
    fraction = ops.divide(along, float(max(parts, 1)))
    # Computed from either end, so that both are exact.
    near, far = ops.add(start, ops.multiply(fraction, width)), ops.subtract(stop, ops.multiply(1.0 - fraction, width))
    y = ops.where(ops.less(fraction, 0.5), near, far)
    want = dtype_argument(dtype, kind)
    y = ops.floor(y) if is_float(kind) and not is_float(want) else y
    y = ops.moveaxis(ops.cast(y, want), 0, axis)
    return (y, step) if retstep else y


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> Tensor:
    """`base` to the powers `linspace(start, stop, num, endpoint)`.

    Args:
        start: the first exponent, or an array of first exponents.
        stop: the last exponent, an array or number that broadcasts against `start`.
        num: how many numbers.
        endpoint: whether `base ** stop` is included.
        base: the base of the powers.
        dtype: the dtype; None is the promoted float dtype of the bounds.
        axis: the position of the new axis in the result.

    Returns:
        An array with a new axis of size `num`.

    Raises:
        ShapeError: the bounds do not broadcast, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.logspace(0, 4, 3, base=2).round(3)
        array([ 1.,  4., 16.], dtype=float32)
    """
    y = linspace(start, stop, num, endpoint, axis=axis)
    y = ops.power(ops.cast(base, spec_of(y).dtype), y)
    return ops.cast(y, dtype_argument(dtype, spec_of(y).dtype))


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Tensor:
    """`num` numbers from `start` to `stop`, each the same multiple of the one before; both of one sign.

    Args:
        start: the first number, or an array of first numbers.
        stop: the last number, an array or number that broadcasts against `start`.
        num: how many numbers.
        endpoint: whether `stop` is included.
        dtype: the dtype; None is the promoted float dtype of the bounds.
        axis: the position of the new axis in the result.

    Returns:
        An array with a new axis of size `num`.

    Raises:
        ShapeError: the bounds do not broadcast, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.geomspace(1.0, 16.0, 5).round(4)
        array([ 1.,  2.,  4.,  8., 16.], dtype=float32)
    """
    kind = common_dtype(start, stop)
    kind = kind if is_float(kind) else settings.floatx()
    start, stop = (ops.cast(start, kind), ops.cast(stop, kind))
    logs = linspace(ops.log(ops.abs(start)), ops.log(ops.abs(stop)), num, endpoint, axis=0)
    y = ops.multiply(ops.sign(start), ops.exp(logs))
    place = ops.reshape(ops.arange(num), (num, *[1] * (spec_of(y).ndim - 1)))
    y = ops.where(ops.equal(place, 0), start, y)
    y = ops.where(ops.equal(place, num - 1), stop, y) if endpoint and num > 1 else y
    return ops.moveaxis(ops.cast(y, dtype_argument(dtype, kind)), 0, axis)


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers 0 ... N - 1 of the entries of a vector, one row per entry, highest first unless `increasing`.

    Args:
        x: a vector `(n,)`.
        N: the number of powers; None is n.
        increasing: whether the powers ascend from left to right.

    Returns:
        An array `(n, N)` in the dtype of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.vander([1, 2, 3]), ops.vander([2, 3], 4, increasing=True)
        (array([[1, 1, 1],
               [4, 2, 1],
               [9, 3, 1]], dtype=int32), array([[ 1,  2,  4,  8],
               [ 1,  3,  9, 27]], dtype=int32))
    """
    x = ops.convert_to_tensor(x)
    count = spec_of(x).shape[0] if N is None else N
    columns = [ops.ones_like(x)]
    for _ in range(count - 1):
        columns.append(ops.multiply(columns[-1], x))
    y = ops.stack(columns[:count], 1) if count else ops.zeros((spec_of(x).shape[0], 0), spec_of(x).dtype)
    return y if increasing else ops.flip(y, 1)


def get_item(x: ArrayLike, key: Any) -> Tensor:
    """`x[key]` for integers, slices, None, Ellipsis, and one array of integers.

    A negative integer counts from the end. Indices of an array that are outside are moved to the nearest end, as in
    `take`.

    Args:
        x: array.
        key: an index or a tuple of them, as in NumPy.

    Returns:
        An array in the dtype of `x`.

    Raises:
        ShapeError: there are more indices than axes, or an integer is out of range.
        ArgumentError: there is more than one array of indices.

    Example:
        >>> from lamella import ops
        >>> ops.get_item([[1, 2, 3], [4, 5, 6]], (..., -1))
        array([3, 6], dtype=int32)
    """
    return ops.getitem(x, key)


def slice(inputs: Any, start_indices: Any, shape: Sequence[int]) -> Any:
    """The block of `shape` that begins at `start_indices`, moved inside where it would exceed an end.

    Args:
        inputs: array.
        start_indices: one integer per axis: Python integers, or values of a trace.
        shape: the size of the block along every axis, Python integers.

    Returns:
        An array of `shape` in the dtype of `inputs`.

    Raises:
        ShapeError: the block is larger than `inputs`.
        ValueError: there is not one start and one size per axis.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 2, 3], [4, 5, 6]]
        >>> ops.slice(x, (0, 1), (2, 2)), ops.slice(x, (0, 2), (2, 2))
        (array([[2, 3],
               [5, 6]], dtype=int32), array([[2, 3],
               [5, 6]], dtype=int32))
    """
    inputs = ops.convert_to_tensor(inputs)
    for axis, (start, count, dim) in enumerate(zip(_starts(start_indices), shape, spec_of(inputs).shape, strict=True)):
        if not 0 <= count <= dim:
            raise ShapeError(f"a slice of shape {tuple(shape)} does not fit into {spec_of(inputs)}.")
        if count == dim:
            continue
        if isinstance(start, int):
            start = min(max(start, 0), int(dim) - count)
            inputs = inputs[(*[span(None)] * axis, span(start, start + count))]
        else:
            inside = ops.clip(start, 0, int(dim) - count)
            inputs = ops.primitives.take.bind(inputs, ops.add(inside, ops.arange(count)), axis=axis)
    return inputs


def slice_update(inputs: ArrayLike, start_indices: ArrayLike, updates: ArrayLike) -> Tensor:
    """`inputs` with the block at `start_indices` replaced by `updates`; it is moved inside where it exceeds an end.

    Args:
        inputs: array.
        start_indices: one integer per axis: Python integers, or values of a trace.
        updates: array with as many dimensions as `inputs`; it is converted to its dtype.

    Returns:
        An array of the shape and dtype of `inputs`.

    Raises:
        ShapeError: `updates` is larger than `inputs`.

    Example:
        >>> from lamella import ops
        >>> ops.slice_update([[0, 0, 0], [0, 0, 0]], (0, 1), [[7, 8]])
        array([[0, 7, 8],
               [0, 0, 0]], dtype=int32)
    """
    inputs = ops.convert_to_tensor(inputs)
    spec = spec_of(inputs)
    updates = ops.cast(updates, spec.dtype)
    inside, moved = ops.ones((), "bool"), updates
    for axis, start in enumerate(_starts(start_indices)):
        dim, count = spec.shape[axis], spec_of(updates).shape[axis]
        if count > dim:
            raise ShapeError(f"updates {spec_of(updates)} do not fit into {spec}.")
        if not count:
            return inputs
        place = ops.subtract(ops.arange(dim), ops.cast(ops.clip(start, 0, dim - count), "int32"))
        here = ops.logical_and(ops.greater_equal(place, 0), ops.less(place, count))
        inside = ops.logical_and(inside, ops.reshape(here, [dim if i == axis else 1 for i in range(spec.ndim)]))
        moved = ops.primitives.take.bind(moved, ops.clip(place, 0, count - 1), axis=axis)
    return ops.where(inside, moved, inputs)


def _starts(start_indices: Any) -> list[Any]:
    """The start along every axis, a Python integer where it is known."""
    if isinstance(start_indices, Value):
        return [start_indices[i] for i in range(len(start_indices))]
    found = []
    for start in start_indices:
        try:
            found.append(operator.index(start))
        except Exception:  # A traced integer raises an exception of its framework.
            found.append(ops.cast(start, "int32"))
    return found


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: ArrayLike = 0) -> Tensor:
    """Entry by entry the choice of the first condition that holds, or `default`.

    Args:
        condlist: bool arrays; they broadcast against the choices.
        choicelist: one array or number per condition.
        default: the result where no condition holds, an array or number.

    Returns:
        An array of the broadcast shape in the promoted dtype of the choices and the default.

    Raises:
        ArgumentError: there are no conditions, or there is not one choice per condition.
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> x = ops.array([-2, 0, 5, 50])
        >>> ops.select([x < 0, x > 10], [0, 10], default=x)
        array([ 0,  0,  5, 10], dtype=int32)
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ArgumentError(
            f"select needs one choice per condition, got {len(condlist)} conditions and {len(choicelist)} choices."
        )
    dtype = common_dtype(*choicelist, default)
    y = ops.cast(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        y = ops.where(condition, ops.cast(choice, dtype), y)
    return y


def kron(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The Kronecker product: every entry of `x1` times the whole of `x2`, arranged as blocks.

    Args:
        x1: array of numbers.
        x2: array of numbers.

    Returns:
        An array in the promoted dtype whose sizes are the products of theirs; the operand with less dimensions gets
        dimensions of 1 in front.

    Example:
        >>> from lamella import ops
        >>> ops.kron([[1, 2]], [[1, 0], [0, 1]])
        array([[1, 0, 2, 0],
               [0, 1, 0, 2]], dtype=int32)
    """
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    n = max(ndim(x1), ndim(x2))
    x1, x2 = _at_least_all(x1, n), _at_least_all(x2, n)
    wide = ops.multiply(
        ops.reshape(x1, [d for s in spec_of(x1).shape for d in (s, 1)]),
        ops.reshape(x2, [d for s in spec_of(x2).shape for d in (1, s)]),
    )
    return ops.reshape(wide, [int(a) * int(b) for a, b in zip(shape(x1), shape(x2), strict=True)])


def _at_least_all(x: Tensor, n: int) -> Tensor:
    return ops.reshape(x, (*[1] * (n - spec_of(x).ndim), *spec_of(x).shape))


def inner(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Sums of products over the last axes; a scalar multiplies every entry.

    Args:
        x1: array `(..., k)`, or a scalar.
        x2: array `(..., k)`, or a scalar.

    Returns:
        An array in the promoted dtype with the other axes of `x1`, then those of `x2`.

    Raises:
        ShapeError: the sizes of the last axes differ.

    Example:
        >>> from lamella import ops
        >>> ops.inner([1, 2], [3, 4]), ops.inner([[1, 2], [3, 4]], [1, 10])
        (array(11, dtype=int32), array([21, 43], dtype=int32))
    """
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    if not ndim(x1) or not ndim(x2):
        return ops.multiply(x1, x2)
    return ops.tensordot(x1, x2, ((-1,), (-1,)))


def vdot(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The sum of the products of all entries of two arrays, both flattened.

    Args:
        x1: array of numbers.
        x2: array with as many entries.

    Returns:
        A scalar in the promoted dtype.

    Raises:
        ShapeError: the numbers of entries differ.

    Example:
        >>> from lamella import ops
        >>> ops.vdot([[1, 2], [3, 4]], [[1, 1], [0, 10]])
        array(43, dtype=int32)
    """
    return ops.dot(ravel(x1), ravel(x2))


def cross(
    x1: ArrayLike, x2: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The vector products of vectors of 3 or 2 entries along `axisa` and `axisb`, along `axisc` of the result.

    For two vectors of 2 entries the result has no such axis: it is the third entry alone.

    Args:
        x1: array with 2 or 3 entries along `axisa`.
        x2: array with 2 or 3 entries along `axisb`; the other axes broadcast.
        axisa: the axis of the vectors of `x1`.
        axisb: the axis of the vectors of `x2`.
        axisc: the axis of the vectors of the result.
        axis: replaces all three axes.

    Returns:
        An array in the promoted dtype.

    Raises:
        ShapeError: the vectors do not have 2 or 3 entries, or the other axes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.cross([1, 0, 0], [0, 1, 0]), ops.cross([1, 2], [3, 4])
        (array([0, 0, 1], dtype=int32), array(-2, dtype=int32))
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = ops.moveaxis(x1, axisa, -1), ops.moveaxis(x2, axisb, -1)
    n, m = spec_of(a).shape[-1], spec_of(b).shape[-1]
    if n not in (2, 3) or m not in (2, 3):
        raise ShapeError(f"cross: vectors must have 2 or 3 entries, got {n} and {m}.")
    a0, a1, b0, b1 = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    third = ops.subtract(ops.multiply(a0, b1), ops.multiply(a1, b0))
    if n == m == 2:
        return third
    a2 = a[..., 2] if n == 3 else ops.zeros_like(a0)
    b2 = b[..., 2] if m == 3 else ops.zeros_like(b0)
    first = ops.subtract(ops.multiply(a1, b2), ops.multiply(a2, b1))
    second = ops.subtract(ops.multiply(a2, b0), ops.multiply(a0, b2))
    return ops.moveaxis(ops.stack([first, second, third], -1), -1, axisc)


def cdist(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The Euclidean distances between every row of `x` and every row of `y`; the derivative where they are equal is 0.

    Args:
        x: array `(..., n, features)`; integers are converted to `floatx`.
        y: array `(..., m, features)`; the leading axes broadcast.

    Returns:
        An array of floats `(..., n, m)`.

    Raises:
        ShapeError: the numbers of features differ, or the leading axes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.cdist([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 4.0]])
        array([[0., 4.],
               [5., 3.]], dtype=float32)
    """
    x, y = floating(x)[0], floating(y)[0]
    dtype = promote(spec_of(x).dtype, spec_of(y).dtype)
    x, y = (ops.cast(v, promote(dtype, "float32")) for v in (x, y))
    apart = ops.subtract(ops.expand_dims(x, -2), ops.expand_dims(y, -3))
    squares = ops.sum(ops.square(apart), -1)
    zero = ops.equal(squares, 0.0)
    return ops.cast(ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, squares))), dtype)


def _window(values: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(values, settings.floatx())


def bartlett(x: Any) -> Tensor:
    """The Bartlett window of `x` entries: a triangle from 0 to 1 and back.

    Args:
        x: the number of entries, a Python integer.

    Returns:
        A vector `(x,)` of `floatx`.

    Example:
        >>> from lamella import ops
        >>> ops.bartlett(5)
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window(np.bartlett(int(x)))


def blackman(x: Any) -> Tensor:
    """The Blackman window of `x` entries: 0.42 - 0.5 cos(2 pi n / (x - 1)) + 0.08 cos(4 pi n / (x - 1)).

    Args:
        x: the number of entries, a Python integer.

    Returns:
        A vector `(x,)` of `floatx`.

    Example:
        >>> from lamella import ops
        >>> ops.abs(ops.blackman(5)).round(4)
        array([0.  , 0.34, 1.  , 0.34, 0.  ], dtype=float32)
    """
    return _window(np.blackman(int(x)))


def hamming(x: Any) -> Tensor:
    """The Hamming window of `x` entries: 0.54 - 0.46 cos(2 pi n / (x - 1)).

    Args:
        x: the number of entries, a Python integer.

    Returns:
        A vector `(x,)` of `floatx`.

    Example:
        >>> from lamella import ops
        >>> ops.hamming(5).round(4)
        array([0.08, 0.54, 1.  , 0.54, 0.08], dtype=float32)
    """
    return _window(np.hamming(int(x)))


def hanning(x: Any) -> Tensor:
    """The Hann window of `x` entries: 0.5 - 0.5 cos(2 pi n / (x - 1)).

    Args:
        x: the number of entries, a Python integer.

    Returns:
        A vector `(x,)` of `floatx`.

    Example:
        >>> from lamella import ops
        >>> ops.hanning(5).round(4)
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window(np.hanning(int(x)))


def kaiser(x: Any, beta: float) -> Tensor:
    """The Kaiser window of `x` entries and shape `beta`.

    It is I0(beta sqrt(1 - (2 n / (x - 1) - 1)**2)) / I0(beta), with the modified Bessel function I0.

    Args:
        x: the number of entries, a Python integer.
        beta: the larger it is, the narrower is the window; 0 gives ones.

    Returns:
        A vector `(x,)` of `floatx`.

    Example:
        >>> from lamella import ops
        >>> ops.kaiser(5, 8.0).round(4)
        array([0.0023, 0.369 , 1.    , 0.369 , 0.0023], dtype=float32)
    """
    return _window(np.kaiser(int(x), float(beta)))


filter_functions(__name__)
