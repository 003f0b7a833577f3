"""Comparisons, selection and bits.

A NaN is unequal to every number, itself included. Only `select` has a derivative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ir.trace import operand
from lamella.ops.coerce import as_tensor, common_dtype, full_of, promoted, stretched
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _compared(x: Spec, y: Spec) -> Spec:
    if x != y:
        raise (DTypeError if x.dtype != y.dtype else ShapeError)(f"operands must have one spec, got {x} and {y}.")
    return Spec(x.shape, "bool")


def _bits(x: Spec, y: Spec) -> Spec:
    if x != y:
        raise (DTypeError if x.dtype != y.dtype else ShapeError)(f"operands must have one spec, got {x} and {y}.")
    if is_float(x.dtype):
        raise DTypeError(f"bitwise ops need integers or bool, got {x.dtype}.")
    return x


@op(mandatory=True, prepare=promoted, differentiable=False)
def equal(x1: Spec, x2: Spec) -> Spec:
    """x1 == x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape. A NaN is equal to nothing.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.equal([1, 2, 3], 2)
        array([False,  True, False])
    """
    return _compared(x1, x2)


@op(mandatory=True, prepare=promoted, differentiable=False)
def less(x1: Spec, x2: Spec) -> Spec:
    """x1 < x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape. False where an operand is NaN.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.less([1, 2, 3], 2)
        array([ True, False, False])
    """
    return _compared(x1, x2)


@op(mandatory=True, prepare=promoted, differentiable=False)
def less_equal(x1: Spec, x2: Spec) -> Spec:
    """x1 <= x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape. False where an operand is NaN.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.less_equal([1, 2, 3], 2)
        array([ True,  True, False])
    """
    return _compared(x1, x2)


@op(mandatory=True, prepare=promoted, differentiable=False)
def bitwise_and(x: Spec, y: Spec) -> Spec:
    """Bitwise and of integers, logical and of bool.

    Args:
        x: array or number, of integers or bool.
        y: the same; it broadcasts against `x`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: an operand is a float.

    Example:
        >>> from lamella import ops
        >>> ops.bitwise_and([0b1100, 0b0011], 0b0110)
        array([4, 2], dtype=int32)
    """
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def bitwise_or(x: Spec, y: Spec) -> Spec:
    """Bitwise or of integers, logical or of bool.

    Args:
        x: array or number, of integers or bool.
        y: the same; it broadcasts against `x`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: an operand is a float.

    Example:
        >>> from lamella import ops
        >>> ops.bitwise_or([0b1100, 0b0011], 0b0110)
        array([14,  7], dtype=int32)
    """
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def bitwise_xor(x: Spec, y: Spec) -> Spec:
    """Bitwise exclusive or of integers, inequality of bool.

    Args:
        x: array or number, of integers or bool.
        y: the same; it broadcasts against `x`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: an operand is a float.

    Example:
        >>> from lamella import ops
        >>> ops.bitwise_xor([0b1100, 0b0011], 0b0110)
        array([10,  5], dtype=int32)
    """
    return _bits(x, y)


@op(mandatory=True, prepare=lambda x: [as_tensor(x)], differentiable=False)
def bitwise_not(x: Spec) -> Spec:
    """Bitwise complement of integers, logical not of bool.

    Args:
        x: array of integers or bool.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        DTypeError: `x` is a float.

    Example:
        >>> from lamella import ops
        >>> ops.bitwise_not([0, 5]), ops.bitwise_not([True, False])
        (array([-1, -6], dtype=int32), array([False,  True]))
    """
    return _bits(x, x)


def _shifted(x: Spec, y: Spec) -> Spec:
    if x.dtype == "bool":
        raise DTypeError("operands of a shift must be integers, got bool: cast them first.")
    return _bits(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def left_shift(x: Spec, y: Spec) -> Spec:
    """x * 2**y, without overflow bits, of integers; 0 <= y < the number of bits

    Args:
        x: array or number, of integers.
        y: the number of bits to shift by; it broadcasts against `x`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: an operand is a float or bool.

    Example:
        >>> from lamella import ops
        >>> ops.left_shift([1, 5], [4, 1])
        array([16, 10], dtype=int32)
    """
    return _shifted(x, y)


@op(mandatory=True, prepare=promoted, differentiable=False)
def right_shift(x: Spec, y: Spec) -> Spec:
    """x shifted right by y bits: filled with zeros for unsigned integers, with the sign for signed ones

    Args:
        x: array or number, of integers.
        y: the number of bits to shift by; it broadcasts against `x`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: an operand is a float or bool.

    Example:
        >>> from lamella import ops
        >>> ops.right_shift([16, -16], 2)
        array([ 4, -4], dtype=int32)
    """
    return _shifted(x, y)


@op(mandatory=True)
def select(condition: Spec, x: Spec, y: Spec) -> Spec:
    """x where the condition holds, else y; NaN in the branch not taken does not spread"""
    if condition.dtype != "bool":
        raise DTypeError(f"the condition must be bool, got {condition.dtype}.")
    if x != y or condition.shape != x.shape:
        raise ShapeError(
            f"condition, x and y must have one shape, and x and y one dtype, got {condition}, {x} and {y}."
        )
    return x


@select.def_vjp
def _(g: Tensor, y: Tensor, condition: Tensor, a: Tensor, b: Tensor) -> Any:
    zero = full_of(spec_of(g), 0)
    return None, select.bind(condition, g, zero), select.bind(condition, zero, g)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    """`x1` where the condition holds, else `x2`; the three broadcast, x1 and x2 are promoted.

    Only the chosen entries get a gradient. A NaN or infinity among the entries that are not chosen does not spread to
    the result, but can still make the gradient NaN through the function that computed it.

    Args:
        condition: bool array; numbers hold where they are not 0.
        x1: array or number, taken where the condition holds.
        x2: array or number, taken where it does not.

    Returns:
        An array of the broadcast shape in the promoted dtype of `x1` and `x2`.

    Raises:
        ArgumentError: `x1` or `x2` is missing: the number of positions where a condition holds depends on the values.
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.where([True, False, True], [1.0, 2.0, 3.0], 0)
        array([1., 0., 3.], dtype=float32)
    """
    if x1 is None or x2 is None:
        raise ArgumentError(
            "where needs both x1 and x2: the number of positions where a condition holds is not known in advance."
        )
    items = [operand(x1), operand(x2)]
    dtype = common_dtype(*items)
    condition = logical(condition)
    return select.bind(*stretched(condition, *[as_tensor(i, dtype) for i in items]))


def logical(x: ArrayLike) -> Tensor:
    """`x` as bool: `x != 0`."""
    return as_tensor(x, "bool")


def not_equal(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 != x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape. True where an operand is NaN.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.not_equal([1, 2, 3], 2)
        array([ True, False,  True])
    """
    return bitwise_not(equal(x1, x2))


def greater(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 > x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape. False where an operand is NaN.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.greater([1, 2, 3], 2)
        array([False, False,  True])
    """
    return less(x2, x1)


def greater_equal(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 >= x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape. False where an operand is NaN.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.greater_equal([1, 2, 3], 2)
        array([False,  True,  True])
    """
    return less_equal(x2, x1)


def logical_and(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Where both x1 and x2 hold.

    Args:
        x1: bool array; numbers hold where they are not 0.
        x2: the same; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.logical_and([True, True, False], [True, False, False])
        array([ True, False, False])
    """
    return bitwise_and(logical(x1), logical(x2))


def logical_or(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Where x1 or x2 holds, or both.

    Args:
        x1: bool array; numbers hold where they are not 0.
        x2: the same; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.logical_or([True, True, False], [True, False, False])
        array([ True,  True, False])
    """
    return bitwise_or(logical(x1), logical(x2))


def logical_xor(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Where exactly one of x1 and x2 holds.

    Args:
        x1: bool array; numbers hold where they are not 0.
        x2: the same; it broadcasts against `x1`.

    Returns:
        A bool array of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.logical_xor([True, True, False], [True, False, False])
        array([False,  True, False])
    """
    return bitwise_xor(logical(x1), logical(x2))


def logical_not(x: ArrayLike) -> Tensor:
    """Where x does not hold.

    Args:
        x: bool array; numbers hold where they are not 0.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.logical_not([0, 1, 2])
        array([ True, False, False])
    """
    return bitwise_not(logical(x))


def isnan(x: ArrayLike) -> Tensor:
    """Where `x` is NaN.

    Args:
        x: array of numbers.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.isnan([1.0, float("inf"), float("nan")])
        array([False, False,  True])
    """
    x = as_tensor(x)
    return not_equal(x, x)


filter_functions(__name__)
