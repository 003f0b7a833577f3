"""Ops that a layer names as one thing: softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.absent import forwarding
from lamella.errors import DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, size_of, spec_of
from lamella.ops.coerce import floating, normalize_axis
from lamella.ops.elementwise import divide, exp, log, multiply, subtract
from lamella.ops.reduction import _spread, reduce_max, reduce_sum
from lamella.ops.shapes import reshape, transpose
from lamella.tracebacks import filter_functions


def _normalized(x: Spec, axis: int) -> Spec:
    if not is_float(x.dtype):
        raise DTypeError(f"needs a float operand, got {x.dtype}.")
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"axis {axis} is out of range for {x}.")
    if x.shape[axis] == 0:
        raise ShapeError(f"a softmax over no entries: axis {axis} of {x}.")
    return x


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def softmax_(x: Spec, *, axis: int) -> Spec:
    """exp(x) / sum(exp(x)) along `axis`, shifted by the maximum"""
    return _normalized(x, axis)


@softmax_.define
def _(x: Any, *, axis: int) -> Any:
    shifted = exp(subtract(x, _spread(reduce_max.bind(x, axes=(axis,)), x, (axis,))))
    return divide(shifted, _spread(reduce_sum.bind(shifted, axes=(axis,)), x, (axis,)))


@softmax_.def_vjp
def _(g: Any, y: Any, x: Any, *, axis: int) -> Any:
    total = reduce_sum.bind(multiply(g, y), axes=(axis,))
    return multiply(y, subtract(g, _spread(total, y, (axis,))))


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def log_softmax_(x: Spec, *, axis: int) -> Spec:
    """x - log(sum(exp(x))) along `axis`, shifted by the maximum"""
    return _normalized(x, axis)


@log_softmax_.define
def _(x: Any, *, axis: int) -> Any:
    shifted = subtract(x, _spread(reduce_max.bind(x, axes=(axis,)), x, (axis,)))
    total = log(reduce_sum.bind(exp(shifted), axes=(axis,)))
    return subtract(shifted, _spread(total, x, (axis,)))


@log_softmax_.def_vjp
def _(g: Any, y: Any, x: Any, *, axis: int) -> Any:
    total = reduce_sum.bind(g, axes=(axis,))
    return subtract(g, multiply(exp(y), _spread(total, y, (axis,))))


def softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """exp(x) / sum(exp(x)) along `axis`, or over several axes."""
    return _along(softmax_, x, axis)


def log_softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """The logarithm of softmax along `axis`, or over several axes, without ever leaving log space."""
    return _along(log_softmax_, x, axis)


def _along(op: Any, x: Any, axis: int | Sequence[int]) -> Any:
    (x,) = floating(x)
    shape = spec_of(x).shape
    if not isinstance(axis, Sequence):
        return op.bind(x, axis=normalize_axis(axis, len(shape)))
    axes = [normalize_axis(a, len(shape)) for a in axis]
    order = [a for a in range(len(shape)) if a not in axes] + axes
    kept = tuple(shape[a] for a in order[: len(shape) - len(axes)])
    rows = reshape(transpose(x, order), (*kept, size_of(shape[a] for a in axes)))
    y = reshape(op.bind(rows, axis=len(kept)), tuple(shape[a] for a in order))
    return transpose(y, [order.index(a) for a in range(len(shape))])


filter_functions(__name__)

if not TYPE_CHECKING:
    __getattr__ = forwarding(__name__, ops)  # `ops.nn.relu` is `ops.relu`, as in Keras
