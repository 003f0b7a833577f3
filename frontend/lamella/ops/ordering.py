"""Ops along one axis: order, running sums, gathering and scattering along an axis; and maxima by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import DTypeError, ShapeError
from lamella.ir.dim import Dim, differ, shapes_differ
from lamella.ir.program import op
from lamella.ir.spec import DTYPES, Spec, is_integer, size_of, spec_of
from lamella.ops.coerce import as_tensor, broadcast_to, full_of
from lamella.ops.comparison import bitwise_and, bitwise_or, equal, isnan, less, select
from lamella.ops.elementwise import add, cast, convert, divide, maximum, minimum, multiply
from lamella.ops.indexing import scatter_add, take_
from lamella.ops.reduction import argmax_, reduce_max, reduce_sum
from lamella.ops.shapes import broadcast, iota, pad_, reshape_, reverse, slice_, transpose
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _along(x: Spec, axis: int) -> Spec:
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"axis {axis} is out of range for {x}.")
    return x


@op(differentiable=False, mixed_axes=lambda spec, attrs: (attrs["axis"],))
def argsort_(x: Spec, *, axis: int) -> Spec:
    """The int32 positions that put x in ascending order along `axis`; equal entries keep theirs, NaN comes last."""
    return Spec(_along(x, axis).shape, "int32")


@argsort_.define
def _(x: Any, *, axis: int) -> Any:
    shape = spec_of(x).shape
    count, last = shape[axis], len(shape) - 1
    order = (*[i for i in range(len(shape)) if i != axis], axis)
    x = transpose(x, order)
    pairs = (*spec_of(x).shape, count)
    mine = broadcast.bind(x, shape=pairs, axes=tuple(range(last + 1)))
    other = broadcast.bind(x, shape=pairs, axes=(*range(last), last + 1))
    here, there = (iota.bind(shape=pairs, dtype="int32", axis=a) for a in (last, last + 1))
    before = bitwise_or(less(other, mine), bitwise_and(isnan(mine), equal(other, other)))
    tied = bitwise_or(equal(other, mine), bitwise_and(isnan(mine), isnan(other)))
    ahead = bitwise_or(before, bitwise_and(tied, less(there, here)))
    rank = reduce_sum.bind(convert.bind(ahead, dtype="int32"), axes=(last + 1,))
    # position r holds the entry of rank r
    hit = equal(broadcast.bind(rank, shape=pairs, axes=tuple(range(last + 1))), there)
    found = argmax_.bind(hit, axis=last) if count != 0 else convert.bind(rank, dtype="int32")
    return transpose(found, [order.index(i) for i in range(len(order))])


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def cumsum_(x: Spec, *, axis: int) -> Spec:
    """The sums of the entries up to each one along `axis`, in x's dtype."""
    if x.dtype == "bool":
        raise DTypeError("a sum needs numbers, got bool: cast it first.")
    return _along(x, axis)


@cumsum_.define
def _(x: Any, *, axis: int) -> Any:
    shape, step = spec_of(x).shape, 1
    none = (0,) * len(shape)
    while step < shape[axis]:
        start = none
        stop = tuple(d - step if i == axis else d for i, d in enumerate(shape))
        low = tuple(step if i == axis else 0 for i in range(len(shape)))
        earlier = slice_.bind(x, start=start, stop=stop, strides=(1,) * len(shape))
        x = add(x, pad_.bind(earlier, low=low, high=none, interior=none, value=0.0))
        step *= 2
    return x


@cumsum_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    return reverse.bind(cumsum_.bind(reverse.bind(g, axes=(axis,)), axis=axis), axes=(axis,))


def _filled(like: Tensor, value: Any) -> Tensor:
    """`value`, which may be a dimension, in the shape and dtype of `like`."""
    spec = spec_of(like)
    return broadcast_to(as_tensor(value, spec.dtype), spec.shape) if isinstance(value, Dim) else full_of(spec, value)


def _positions(indices: Tensor, axis: int, size: int, shape: tuple[int, ...]) -> Tensor:
    """For every entry of `indices` the position in the flattened array of `shape` that it names along `axis`."""
    indices = cast(indices, "int32")
    inside = minimum(maximum(indices, full_of(spec_of(indices), 0)), _filled(indices, size - 1))
    have = spec_of(indices).shape
    total = multiply(inside, _filled(inside, size_of(shape[axis + 1 :])))
    for i, d in enumerate(have):
        if i != axis and d != 1:
            step = _filled(inside, size_of(shape[i + 1 :]))
            total = add(total, multiply(iota.bind(shape=have, dtype="int32", axis=i), step))
    return total


def _fits(x: Spec, indices: Spec, axis: int) -> None:
    if not is_integer(indices.dtype):
        raise DTypeError(f"indices must be integers, got {indices.dtype}.")
    _along(x, axis)
    if indices.ndim != x.ndim or any(
        differ(a, b) for i, (a, b) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != axis
    ):
        raise ShapeError(f"indices {indices} must have the shape of {x} but for axis {axis}.")


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def take_along_axis_(x: Spec, indices: Spec, *, axis: int) -> Spec:
    """For every entry of indices the entry of x it names along `axis` (moved to the nearest end)."""
    _fits(x, indices, axis)
    if x.shape[axis] == 0:
        raise ShapeError(f"cannot take along axis {axis} of {x}.")
    return Spec(indices.shape, x.dtype)


@take_along_axis_.define
def _(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    shape = spec_of(x).shape
    places = _positions(indices, axis, shape[axis], shape)
    if spec_of(x).size == 0:
        return full_of(Spec(spec_of(indices).shape, spec_of(x).dtype), 0)
    return take_.bind(reshape_.bind(x, shape=(spec_of(x).size,)), places, axis=0)


@take_along_axis_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> Any:
    return scatter_along_axis.bind(g, indices, axis=axis, size=spec_of(x).shape[axis]), None


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def scatter_along_axis(updates: Spec, indices: Spec, *, axis: int, size: int) -> Spec:
    """Zeros with `size` entries along `axis`, to which each update is added at the entry its index names along it."""
    _fits(updates, indices, axis)
    if shapes_differ(updates.shape, indices.shape):
        raise ShapeError(f"updates {updates} and indices {indices} must have one shape.")
    return Spec((*updates.shape[:axis], size, *updates.shape[axis + 1 :]), updates.dtype)


@scatter_along_axis.define
def _(updates: Tensor, indices: Tensor, *, axis: int, size: int) -> Tensor:
    spec = spec_of(updates)
    shape = (*spec.shape[:axis], size, *spec.shape[axis + 1 :])
    total, count = size_of(shape), spec.size
    if total == 0 or count == 0:
        return full_of(Spec(shape, spec.dtype), 0)
    places = reshape_.bind(_positions(indices, axis, size, shape), shape=(count,))
    flat = scatter_add.bind(reshape_.bind(updates, shape=(count,)), places, axis=0, size=total)
    return reshape_.bind(flat, shape=shape)


@scatter_along_axis.def_vjp
def _(g: Tensor, y: Tensor, updates: Tensor, indices: Tensor, *, axis: int, size: int) -> Any:
    return take_along_axis_.bind(g, indices, axis=axis), None


def lowest(dtype: str) -> Any:
    """What is below every number of `dtype`: minus infinity, the least integer, False."""
    kind, bits = DTYPES[dtype]
    return -np.inf if kind == "f" else -(2 ** (bits - 1)) if kind == "i" else 0


@op
def scatter_max(updates: Spec, indices: Spec, *, axis: int, size: int) -> Spec:
    """The maxima of the updates at each of `size` indices along `axis` (moved to the nearest end).

    An index without an update has minus infinity, or the least integer; ties share the gradient equally.
    """
    return scatter_add.result_specs((updates, indices), {"axis": axis, "size": size})[0]


@scatter_max.define
def _(updates: Any, indices: Any, *, axis: int, size: int) -> Any:
    spec, n = spec_of(updates), spec_of(indices).ndim
    before, after = spec.shape[:axis], spec.shape[axis + n :]
    count = spec_of(indices).size
    least = lowest(spec.dtype)
    if count == 0 or size == 0:
        return full_of(Spec((*before, size, *after), spec.dtype), least)
    flat = cast(reshape_.bind(indices, shape=(count,)), "int32")
    inside = minimum(maximum(flat, full_of(spec_of(flat), 0)), full_of(spec_of(flat), size - 1))
    wide = (*before, count, size, *after)
    at = axis + 1
    hit = equal(broadcast.bind(inside, shape=wide, axes=(axis,)), iota.bind(shape=wide, dtype="int32", axis=at))
    rows = reshape_.bind(updates, shape=(*before, count, *after))
    spread = broadcast.bind(rows, shape=wide, axes=(*range(at), *range(at + 1, len(wide))))
    return reduce_max.bind(select.bind(hit, spread, full_of(spec_of(spread), least)), axes=(axis,))


@scatter_max.def_vjp
def _(g: Tensor, y: Tensor, updates: Tensor, indices: Tensor, *, axis: int, size: int) -> Any:
    hit = equal(updates, take_.bind(y, indices, axis=axis))
    ones, zeros = full_of(spec_of(updates), 1), full_of(spec_of(updates), 0)
    winners = select.bind(hit, ones, zeros)
    count = scatter_add.bind(winners, indices, axis=axis, size=size)
    share = divide(g, maximum(count, broadcast_to(full_of(Spec((), spec_of(g).dtype), 1), spec_of(g).shape)))
    return select.bind(hit, take_.bind(share, indices, axis=axis), zeros), None


filter_functions(__name__)
