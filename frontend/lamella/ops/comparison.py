"""Comparisons, selection and bits.

A NaN compares unequal to everything, itself included; of all ops here only `select` has a derivative.
"""

from __future__ import annotations

from typing import Any

from lamella.errors import DTypeError, ShapeError
from lamella.ir.builder import operand
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ops.coerce import as_tensor, common_dtype, full_of, promoted, stretched


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
def equal(x: Spec, y: Spec) -> Spec:
    """x == y"""
    return _compared(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def less(x: Spec, y: Spec) -> Spec:
    """x < y"""
    return _compared(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def less_equal(x: Spec, y: Spec) -> Spec:
    """x <= y"""
    return _compared(x, y)


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


@op(mandatory=True, prepare=promoted, differentiable=False)
def left_shift(x: Spec, y: Spec) -> Spec:
    """x * 2**y, without overflow bits, of integers; 0 <= y < the number of bits"""
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def right_shift(x: Spec, y: Spec) -> Spec:
    """x shifted right by y bits: filled with zeros for unsigned integers, with the sign for signed ones"""
    return _bits(x, y)


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


def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition holds, else `y`; the three broadcast, x and y are promoted."""
    items = [operand(x), operand(y)]
    dtype = common_dtype(*items)
    condition = logical(condition)
    return select.bind(*stretched(condition, *[as_tensor(i, dtype) for i in items]))


def logical(x: Any) -> Any:
    """`x` as bool: `x != 0`."""
    return as_tensor(x, "bool")


def not_equal(x: Any, y: Any) -> Any:
    """x != y"""
    return bitwise_not(equal(x, y))


def greater(x: Any, y: Any) -> Any:
    """x > y"""
    return less(y, x)


def greater_equal(x: Any, y: Any) -> Any:
    """x >= y"""
    return less_equal(y, x)


def logical_and(x: Any, y: Any) -> Any:
    """Both hold"""
    return bitwise_and(logical(x), logical(y))


def logical_or(x: Any, y: Any) -> Any:
    """One holds, or both"""
    return bitwise_or(logical(x), logical(y))


def logical_xor(x: Any, y: Any) -> Any:
    """Exactly one holds"""
    return bitwise_xor(logical(x), logical(y))


def logical_not(x: Any) -> Any:
    """It does not hold"""
    return bitwise_not(logical(x))


def isnan(x: Any) -> Any:
    """Where `x` is NaN"""
    x = as_tensor(x)
    return not_equal(x, x)
