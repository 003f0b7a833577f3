"""Gathering and scattering at integer positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import DTypeError, ShapeError
from lamella.ir.dim import Dim, shapes_differ
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_integer, spec_of
from lamella.ops.coerce import as_tensor, dtype_argument, normalize_axis
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _indices(indices: Spec) -> None:
    if not is_integer(indices.dtype):
        raise DTypeError(f"indices must be integers, got {indices.dtype}.")


@op(mandatory=True)
def take_(x: Spec, indices: Spec, *, axis: int) -> Spec:
    """Entries of x at `indices` along `axis`; an index outside is moved to the nearest end, on every backend."""
    _indices(indices)
    if not 0 <= axis < x.ndim or x.shape[axis] == 0:
        raise ShapeError(f"cannot take along axis {axis} of {x}.")
    return Spec((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


@take_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> Any:
    return scatter_add.bind(g, indices, axis=axis, size=spec_of(x).shape[axis]), None


@op(mandatory=True)
def scatter_add(updates: Spec, indices: Spec, *, axis: int, size: int) -> Spec:
    """Zeros with `size` entries along `axis`, to which each update is added at its index (moved to the nearest end).

    Args:
        updates: array of numbers, with the shape of `indices` from `axis` on.
        indices: integer array.
        axis: the axis of the result along which the indices count, not negative.
        size: the size of the result along `axis`.

    Returns:
        An array in the dtype of `updates`, whose shape has `size` in the place of the shape of `indices`.

    Raises:
        DTypeError: `indices` are not integers.
        ShapeError: the shape of `updates` does not contain that of `indices` at `axis`.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.scatter_add(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 0]), axis=0, size=3)
        array([5., 0., 2.])
    """
    _indices(indices)
    if shapes_differ(updates.shape[axis : axis + indices.ndim], indices.shape):
        raise ShapeError(f"updates {updates} do not carry indices {indices} at axis {axis}.")
    return Spec((*updates.shape[:axis], size, *updates.shape[axis + indices.ndim :]), updates.dtype)


@scatter_add.def_vjp
def _(g: Tensor, y: Tensor, updates: Tensor, indices: Tensor, *, axis: int, size: int) -> Any:
    return take_.bind(g, indices, axis=axis), None


def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Tensor:
    """The entries of `x` at `indices` along `axis` (None: of the flattened array).

    A negative index counts from the end; one outside is moved to the nearest end, on every backend.

    Args:
        x: array.
        indices: integer array of any shape, or a number.
        axis: the axis; None works on the flattened array.

    Returns:
        An array in the dtype of `x`, whose shape has the shape of `indices` in the place of `axis`.

    Raises:
        DTypeError: `indices` are not integers.
        ShapeError: `axis` is out of range, or has no entries.

    Example:
        >>> from lamella import ops
        >>> x = [[10, 11, 12], [20, 21, 22]]
        >>> ops.take(x, [2, 0], axis=1), ops.take(x, -1)
        (array([[12, 10],
               [22, 20]], dtype=int32), array(22, dtype=int32))
    """
    from lamella.ops.shapes import reshape

    x, indices = as_tensor(x), as_tensor(indices)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalize_axis(axis, spec_of(x).ndim)
    return take_.bind(x, from_the_end(indices, spec_of(x).shape[axis]), axis=axis)


def from_the_end(indices: ArrayLike, size: int) -> Any:
    """`indices` with `size` added to negative ones."""
    from lamella.ops.comparison import less, where
    from lamella.ops.elementwise import add, cast

    _indices(spec_of(indices))
    if spec_of(indices).dtype.startswith("uint"):
        return indices
    if spec_of(indices).dtype in ("int8", "int16"):  # The sum may exceed their range.
        indices = cast(indices, "int32")
    if isinstance(indices, np.ndarray) and not (
        isinstance(size, Dim) and (indices < 0).any()
    ):  # The indices are known: no equation is needed.
        return np.where(indices < 0, indices + size, indices).astype(indices.dtype) if (indices < 0).any() else indices
    return where(less(indices, 0), add(indices, size), indices)


def one_hot(x: ArrayLike, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at the position that `x` gives along a new `axis`, 0 elsewhere

    Args:
        x: integer array of class indices; an index outside of 0 ... `num_classes` - 1 gives zeros only.
        num_classes: the size of the new axis.
        axis: the place of the new axis in the result.
        dtype: the dtype of the result; None is `floatx`.
        sparse: must be False; lamella has no sparse tensors.

    Returns:
        An array of one more dimension than `x`.

    Raises:
        DTypeError: `x` are not integers.
        ShapeError: `axis` is out of range.
        ValueError: `sparse` is True.

    Example:
        >>> from lamella import ops
        >>> ops.one_hot([0, 2, -1], 3, dtype="int32")
        array([[1, 0, 0],
               [0, 0, 1],
               [0, 0, 0]], dtype=int32)
    """
    if sparse:
        raise ValueError("one_hot(sparse=True): lamella has no sparse tensors.")
    from lamella.ir import settings
    from lamella.ops.comparison import equal
    from lamella.ops.elementwise import cast
    from lamella.ops.shapes import expand_dims, iota

    x = as_tensor(x)
    _indices(spec_of(x))
    place = normalize_axis(axis, spec_of(x).ndim + 1)
    shape = list(spec_of(x).shape)
    shape.insert(place, num_classes)
    classes = iota.bind(shape=tuple(shape), dtype=spec_of(x).dtype, axis=place)
    return cast(equal(expand_dims(x, place), classes), dtype_argument(dtype, settings.floatx()))


def take_along_axis(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Tensor:
    """The entries of `x` at `indices`, which have the rank of `x`, along `axis` (None: both flattened).

    For axis 0 of a matrix, result[i, j] is x[indices[i, j], j]. The other dimensions broadcast. A negative index counts
    from the end; one outside is moved to the nearest end.

    Args:
        x: array.
        indices: integer array with as many dimensions as `x`.
        axis: the axis; None works on the flattened array.

    Returns:
        An array of the shape of `indices` (broadcast against `x` in the other axes) in the dtype of `x`.

    Raises:
        DTypeError: `indices` are not integers.
        ShapeError: the numbers of dimensions differ, the other dimensions do not broadcast, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> x = [[30, 10, 20], [2, 3, 1]]
        >>> ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)
        array([[10, 20, 30],
               [ 1,  2,  3]], dtype=int32)
    """
    from lamella.ops.coerce import broadcast_shape, broadcast_to
    from lamella.ops.ordering import take_along_axis_
    from lamella.ops.shapes import reshape

    x, indices = as_tensor(x), as_tensor(indices)
    if axis is None:
        x, indices, axis = reshape(x, (-1,)), reshape(indices, (-1,)), 0
    have, given = spec_of(x).shape, spec_of(indices).shape
    if len(have) != len(given):
        raise ShapeError(f"take_along_axis needs indices with the {len(have)} dimensions of x, got {spec_of(indices)}.")
    axis = normalize_axis(axis, len(have))
    wide = broadcast_shape((*have[:axis], *have[axis + 1 :]), (*given[:axis], *given[axis + 1 :]))
    x = broadcast_to(x, (*wide[:axis], have[axis], *wide[axis:]))
    indices = broadcast_to(from_the_end(indices, int(have[axis])), (*wide[:axis], given[axis], *wide[axis:]))
    return take_along_axis_.bind(x, indices, axis=axis)


filter_functions(__name__)
