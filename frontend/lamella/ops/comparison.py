"""Comparisons, selection and bits.

A NaN compares unequal to everything, itself included; of all ops here only `select` has a derivative.
"""

from __future__ import annotations

from typing import Any

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ir.trace import operand
from lamella.ops.coerce import as_tensor, common_dtype, full_of, promoted, stretched
from lamella.tracebacks import filter_functions


def _compared(x: Spec, y: Spec) -> Spec:
    if x != y:
        raise (DTypeError if x.dtype != y.dtype else ShapeError)(f"operands must have one spec, got {x} and {y}.")
    return Spec(x.shape, "bool")


def _bits(x: Spec, y: Spec) -> Spec:
    if x != y:
        raise (DTypeError if x.dtype != y.dtype else ShapeError)(f"operands must have one spec, got {x} and {y}.")
    if is_float(x.dtype):
        raise DTypeError(f"bits are for integers and bool, got {x.dtype}.")
    return x


@op(mandatory=True, prepare=promoted, differentiable=False)
def equal(x1: Spec, x2: Spec) -> Spec:
    """x1 == x2"""
    return _compared(x1, x2)


@op(mandatory=True, prepare=promoted, differentiable=False)
def less(x1: Spec, x2: Spec) -> Spec:
    """x1 < x2"""
    return _compared(x1, x2)


@op(mandatory=True, prepare=promoted, differentiable=False)
def less_equal(x1: Spec, x2: Spec) -> Spec:
    """x1 <= x2"""
    return _compared(x1, x2)


@op(mandatory=True, prepare=promoted, differentiable=False)
def bitwise_and(x: Spec, y: Spec) -> Spec:
    """Bitwise and of integers, logical and of bool"""
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def bitwise_or(x: Spec, y: Spec) -> Spec:
    """Bitwise or of integers, logical or of bool"""
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def bitwise_xor(x: Spec, y: Spec) -> Spec:
    """Bitwise exclusive or of integers, inequality of bool"""
    return _bits(x, y)


@op(mandatory=True, prepare=lambda x: [as_tensor(x)], differentiable=False)
def bitwise_not(x: Spec) -> Spec:
    """Bitwise complement of integers, logical not of bool"""
    return _bits(x, x)


def _shifted(x: Spec, y: Spec) -> Spec:
    if x.dtype == "bool":
        raise DTypeError("a shift of bool: convert it to an integer first.")
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def left_shift(x: Spec, y: Spec) -> Spec:
    """x * 2**y, without overflow bits, of integers; 0 <= y < the number of bits"""
    return _shifted(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def right_shift(x: Spec, y: Spec) -> Spec:
    """x shifted right by y bits: filled with zeros for unsigned integers, with the sign for signed ones"""
    return _shifted(x, y)


@op(mandatory=True)
def select(condition: Spec, x: Spec, y: Spec) -> Spec:
    """x where the condition holds, else y; NaN in the branch not taken does not spread"""
    if condition.dtype != "bool":
        raise DTypeError(f"the condition must be bool, got {condition.dtype}.")
    if x != y or condition.shape != x.shape:
        raise ShapeError(f"condition, x and y must fit, got {condition}, {x} and {y}.")
    return x


@select.def_vjp
def _(g: Any, y: Any, condition: Any, a: Any, b: Any) -> Any:
    zero = full_of(spec_of(g), 0)
    return None, select.bind(condition, g, zero), select.bind(condition, zero, g)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """`x1` where the condition holds, else `x2`; the three broadcast, x1 and x2 are promoted.

    Raises:
        ShapeError: `where(condition)` alone: how many positions it has is not known when a program is built.
    """
    if x1 is None or x2 is None:
        raise ArgumentError(
            "where needs both x1 and x2: the positions where a condition holds are not known beforehand."
        )
    items = [operand(x1), operand(x2)]
    dtype = common_dtype(*items)
    condition = logical(condition)
    return select.bind(*stretched(condition, *[as_tensor(i, dtype) for i in items]))


def logical(x: Any) -> Any:
    """`x` as bool: `x != 0`."""
    return as_tensor(x, "bool")


def not_equal(x1: Any, x2: Any) -> Any:
    """x1 != x2"""
    return bitwise_not(equal(x1, x2))


def greater(x1: Any, x2: Any) -> Any:
    """x1 > x2"""
    return less(x2, x1)


def greater_equal(x1: Any, x2: Any) -> Any:
    """x1 >= x2"""
    return less_equal(x2, x1)


def logical_and(x1: Any, x2: Any) -> Any:
    """Both hold"""
    return bitwise_and(logical(x1), logical(x2))


def logical_or(x1: Any, x2: Any) -> Any:
    """One holds, or both"""
    return bitwise_or(logical(x1), logical(x2))


def logical_xor(x1: Any, x2: Any) -> Any:
    """Exactly one holds"""
    return bitwise_xor(logical(x1), logical(x2))


def logical_not(x: Any) -> Any:
    """It does not hold"""
    return bitwise_not(logical(x))


def isnan(x: Any) -> Any:
    """Where `x` is NaN"""
    x = as_tensor(x)
    return not_equal(x, x)


filter_functions(__name__)
