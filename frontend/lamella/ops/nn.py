"""Ops that a layer names as one thing: softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from lamella.errors import DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ops.coerce import floating, normalize_axis
from lamella.ops.elementwise import divide, exp, log, multiply, subtract
from lamella.ops.reduction import _spread, reduce_max, reduce_sum
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


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along `axis`."""
    (x,) = floating(x)
    return softmax_.bind(x, axis=normalize_axis(axis, spec_of(x).ndim))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of softmax along `axis`, without ever leaving log space."""
    (x,) = floating(x)
    return log_softmax_.bind(x, axis=normalize_axis(axis, spec_of(x).ndim))


filter_functions(__name__)
