"""Trigonometric and hyperbolic functions and their inverses, each defined in the mandatory ops."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamella.errors import DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ops.coerce import floating, floating_pair, full_of
from lamella.ops.comparison import bitwise_and, bitwise_or, equal, isnan, less, less_equal, where
from lamella.ops.elementwise import (
    abs_,
    add,
    cos,
    divide,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    sign,
    sin,
    sqrt,
    subtract,
)

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _like(x: Tensor, value: float) -> Tensor:
    return full_of(spec_of(x), value)


def _float(x: Spec) -> Spec:
    if not is_float(x.dtype):
        raise DTypeError(f"operands must be floats, got {x.dtype}.")
    return x


def _square_rest(x: Tensor) -> Tensor:
    """1 - x**2, exact near 1 and -1."""
    one = _like(x, 1)
    return multiply(subtract(one, x), add(one, x))


@op(prepare=floating)
def tan(x: Spec) -> Spec:
    """The tangent of x: sin(x) / cos(x).

    Args:
        x: array of angles in radians; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.tan([0.0, 1.0]).round(4)
        array([0.    , 1.5574], dtype=float32)
    """
    return _float(x)


@tan.define
def _(x: Any) -> Any:
    return divide(sin(x), cos(x))


@tan.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, add(multiply(y, y), _like(y, 1)))


@op(prepare=floating)
def sinh(x: Spec) -> Spec:
    """(exp(x) - exp(-x)) / 2, exact near 0

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sinh([-1.0, 0.0, 1.0]).round(4)
        array([-1.1752,  0.    ,  1.1752], dtype=float32)
    """
    return _float(x)


@sinh.define
def _(x: Any) -> Any:
    # The half is taken inside the exponential, which would overflow before the result does.
    halved = expm1(subtract(abs_(x), _like(x, math.log(2.0))))
    half_e = add(halved, _like(x, 0.5))  # Near 0 this is not exact, and (exp|x| - 1) / 2 is.
    near = multiply(expm1(minimum(abs_(x), _like(x, 1))), _like(x, 0.5))
    rise = where(less(abs_(x), _like(x, 1)), near, half_e)
    scaled = divide(rise, add(add(rise, rise), _like(x, 1)))
    return multiply(sign(x), where(less(_like(x, 20), abs_(x)), add(rise, _like(x, 0.5)), add(rise, scaled)))


@sinh.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, cosh(x))


@op(prepare=floating)
def cosh(x: Spec) -> Spec:
    """(exp(x) + exp(-x)) / 2

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.cosh([-1.0, 0.0, 1.0]).round(4)
        array([1.5431, 1.    , 1.5431], dtype=float32)
    """
    return _float(x)


@cosh.define
def _(x: Any) -> Any:
    half = _like(x, math.log(2.0))
    return add(exp(subtract(x, half)), exp(subtract(negative(x), half)))


@cosh.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, sinh(x))


@op(prepare=floating)
def arctan(x: Spec) -> Spec:
    """The angle in (-pi/2, pi/2) whose tangent is x.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float. The angles are in radians.

    References:
        S. L. Moshier, "Methods and programs for mathematical functions", 1989.

    Example:
        >>> from lamella import ops
        >>> ops.arctan([-1.0, 0.0, 1e9]).round(4)
        array([-0.7854,  0.    ,  1.5708], dtype=float32)
    """
    return _float(x)


_ARCTAN = (
    (
        -8.750608600031904122785e-1,
        -1.615753718733365076637e1,
        -7.500855792314704667340e1,
        -1.228866684490136173410e2,
        -6.485021904942025371773e1,
    ),
    (
        1.0,
        2.485846490142306297962e1,
        1.650270098316988542046e2,
        4.328810604912902668951e2,
        4.853903996359136964868e2,
        1.945506571482613964425e2,
    ),
)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    result = _like(x, coefficients[0])
    for c in coefficients[1:]:
        result = add(multiply(result, x), _like(x, c))
    return result


@arctan.define
def _(x: Any) -> Any:
    size, one = abs_(x), _like(x, 1)
    # A rational function up to 0.66; above it pi/4 or pi/2 is subtracted, on operands clipped to each range.
    steep, middle = less(_like(x, math.tan(3 * math.pi / 8)), size), less(_like(x, 0.66), size)
    inverse = negative(divide(one, maximum(size, one)))
    bounded = minimum(size, _like(x, 4.0))
    shifted = divide(subtract(bounded, one), add(bounded, one))
    reduced = where(steep, inverse, where(middle, shifted, minimum(size, one)))
    z = multiply(reduced, reduced)
    ratio = divide(_polynomial(_ARCTAN[0], z), _polynomial(_ARCTAN[1], z))
    angle = add(multiply(multiply(reduced, z), ratio), reduced)
    base = where(steep, _like(x, math.pi / 2), where(middle, _like(x, math.pi / 4), _like(x, 0)))
    return multiply(sign(x), where(isnan(x), x, add(base, angle)))


@arctan.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(g, add(multiply(x, x), _like(x, 1)))


@op(prepare=floating_pair)
def arctan2(x1: Spec, x2: Spec) -> Spec:
    """The angle in [-pi, pi] of the point with ordinate x1 and abscissa x2; the sign of a zero is significant.

    The derivative at the origin is NaN.

    Args:
        x1: the ordinate, an array or number.
        x2: the abscissa, an array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype. The angles are in radians.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.arctan2([1.0, 1.0, -0.0], [1.0, -1.0, -1.0]).round(4)
        array([ 0.7854,  2.3562, -3.1416], dtype=float32)
    """
    if x1 != x2:
        raise (DTypeError if x1.dtype != x2.dtype else ShapeError)(f"operands must have one spec, got {x1} and {x2}.")
    return _float(x1)


def _below(x: Any) -> Any:
    """Where the sign bit of `x` is set (-0.0 too)."""
    zero = equal(x, _like(x, 0))
    return bitwise_or(less(x, _like(x, 0)), bitwise_and(zero, less(divide(_like(x, 1), x), _like(x, 0))))


@arctan2.define
def _(x1: Any, x2: Any) -> Any:
    rise, run = abs_(x1), abs_(x2)
    low, high = minimum(rise, run), maximum(rise, run)
    zero, one = _like(x1, 0), _like(x1, 1)
    # Two zeros give the angle 0, two infinities pi/4.
    slope = where(
        equal(low, high), where(equal(high, zero), zero, one), divide(low, where(equal(high, zero), one, high))
    )
    angle = arctan(slope)
    angle = where(less(run, rise), subtract(_like(x1, math.pi / 2), angle), angle)
    angle = where(_below(x2), subtract(_like(x1, math.pi), angle), angle)
    missing = bitwise_or(isnan(x1), isnan(x2))
    return where(missing, add(x1, x2), where(_below(x1), negative(angle), angle))


@arctan2.def_vjp
def _(g: Tensor, y: Tensor, x1: Tensor, x2: Tensor) -> tuple[Tensor, ...]:
    over = divide(g, add(multiply(x1, x1), multiply(x2, x2)))
    return multiply(over, x2), negative(multiply(over, x1))


@op(prepare=floating)
def arcsin(x: Spec) -> Spec:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1].

    The derivative at -1 and 1 is infinite.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float. The angles are in radians.

    Example:
        >>> from lamella import ops
        >>> ops.arcsin([0.0, 0.5, 1.0]).round(4)
        array([0.    , 0.5236, 1.5708], dtype=float32)
    """
    return _float(x)


@arcsin.define
def _(x: Any) -> Any:
    return arctan2(x, sqrt(_square_rest(x)))


@arcsin.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(g, sqrt(_square_rest(x)))


@op(prepare=floating)
def arccos(x: Spec) -> Spec:
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1].

    The derivative at -1 and 1 is infinite.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float. The angles are in radians.

    Example:
        >>> from lamella import ops
        >>> ops.arccos([0.0, 0.5, 1.0]).round(4)
        array([1.5708, 1.0472, 0.    ], dtype=float32)
    """
    return _float(x)


@arccos.define
def _(x: Any) -> Any:
    return arctan2(sqrt(_square_rest(x)), x)


@arccos.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return negative(divide(g, sqrt(_square_rest(x))))


@op(prepare=floating)
def arcsinh(x: Spec) -> Spec:
    """log(x + sqrt(x**2 + 1)), exact near 0 and without overflow

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.arcsinh([-1.0, 0.0, 1e30]).round(4)
        array([-0.8814,  0.    , 69.7707], dtype=float32)
    """
    return _float(x)


@arcsinh.define
def _(x: Any) -> Any:
    size, one = abs_(x), _like(x, 1)
    small, large = minimum(size, one), maximum(size, one)
    square = multiply(small, small)
    near = log1p(add(small, divide(square, add(one, sqrt(add(one, square))))))
    inverse = divide(one, large)
    far = add(log(large), log1p(sqrt(add(one, multiply(inverse, inverse)))))
    return multiply(sign(x), where(less(size, one), near, far))


@arcsinh.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(g, sqrt(add(multiply(x, x), _like(x, 1))))


@op(prepare=floating)
def arccosh(x: Spec) -> Spec:
    """log(x + sqrt(x**2 - 1)); NaN below 1

    The derivative at 1 is infinite.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.arccosh([1.0, 2.0]).round(4)
        array([0.   , 1.317], dtype=float32)
    """
    return _float(x)


@arccosh.define
def _(x: Any) -> Any:
    above = subtract(x, _like(x, 1))
    return log1p(add(above, multiply(sqrt(above), sqrt(add(above, _like(x, 2))))))


@arccosh.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    one = _like(x, 1)
    return divide(g, multiply(sqrt(subtract(x, one)), sqrt(add(x, one))))


@op(prepare=floating)
def arctanh(x: Spec) -> Spec:
    """log((1 + x) / (1 - x)) / 2, exact near 0; infinite at -1 and 1, NaN outside

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.arctanh([-0.5, 0.0, 1.0]).round(4)
        array([-0.5493,  0.    ,     inf], dtype=float32)
    """
    return _float(x)


@arctanh.define
def _(x: Any) -> Any:
    size, one = abs_(x), _like(x, 1)
    ratio = divide(add(size, size), subtract(one, size))
    inside = where(less_equal(size, one), log1p(maximum(ratio, _like(x, 0))), log(negative(size)))
    return multiply(multiply(sign(x), inside), _like(x, 0.5))


@arctanh.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(g, _square_rest(x))
