"""The error function and related functions, approximated by rational functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamella.errors import DTypeError
from lamella.ir.program import op
from lamella.ir.spec import DTYPES, Spec, is_float, spec_of
from lamella.ops.coerce import floating, full_of
from lamella.ops.comparison import equal, isnan, less, where
from lamella.ops.elementwise import (
    abs_,
    add,
    divide,
    exp,
    floor,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    sign,
    sqrt,
    subtract,
)

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _like(x: Tensor, value: float) -> Tensor:
    return full_of(spec_of(x), value)


@op(prepare=floating)
def erf(x: Spec) -> Spec:
    """The error function 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x, to 1e-15 in float64.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23, 1969,
        https://doi.org/10.1090/S0025-5718-1969-0247736-4.

    Example:
        >>> from lamella import ops
        >>> ops.erf([-1.0, 0.0, 3.0]).round(4)
        array([-0.8427,  0.    ,  1.    ], dtype=float32)
    """
    if not is_float(x.dtype):
        raise DTypeError(f"operands must be floats, got {x.dtype}.")
    return x


_ERF_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERF_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_ERF_LARGE = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346047e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    result = _like(x, coefficients[0])
    for c in coefficients[1:]:
        result = add(multiply(result, x), _like(x, c))
    return result


def _ratio(table: tuple[tuple[float, ...], tuple[float, ...]], x: Tensor) -> Tensor:
    return divide(_polynomial(table[0], x), _polynomial(table[1], x))


def _parts(x: Tensor, end: float) -> tuple[Any, Any]:
    """erf(|x|) for |x| below 0.46875, and 1 - erf(|x|) above it and up to `end`.

    Each range is computed on operands clipped to it, so that the branches that are not taken stay finite.
    """
    size = abs_(x)
    small = minimum(size, _like(x, 0.5))
    near = multiply(small, _ratio(_ERF_SMALL, multiply(small, small)))
    middle = minimum(maximum(size, _like(x, 0.46875)), _like(x, 4.0))
    tail_middle = multiply(_bell(middle), _ratio(_ERF_MIDDLE, middle))
    large = minimum(maximum(size, _like(x, 4.0)), _like(x, end))
    inverse = divide(_like(x, 1.0), multiply(large, large))
    series = subtract(_like(x, 1.0 / math.sqrt(math.pi)), multiply(inverse, _ratio(_ERF_LARGE, inverse)))
    tail_large = multiply(divide(_bell(large), large), series)
    return near, where(less(size, _like(x, 4.0)), tail_middle, tail_large)


def _bell(x: Tensor) -> Tensor:
    """exp(-x**2) as two factors: the square of a number of few digits is exact, and no error is magnified."""
    short = multiply(floor(multiply(x, _like(x, 16.0))), _like(x, 1 / 16))
    rest = multiply(subtract(x, short), add(x, short))
    return multiply(exp(negative(multiply(short, short))), exp(negative(rest)))


@erf.define
def _(x: Tensor) -> Tensor:
    near, tail = _parts(x, 6.5)
    magnitude = where(less(abs_(x), _like(x, 0.46875)), near, subtract(_like(x, 1.0), tail))
    return multiply(sign(x), where(isnan(x), x, magnitude))


@erf.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    slope = multiply(exp(negative(multiply(x, x))), _like(x, 2.0 / math.sqrt(math.pi)))
    return multiply(g, slope)


@op(prepare=floating)
def erfc(x: Spec) -> Spec:
    """1 - erf(x), exact where that is small.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23, 1969,
        https://doi.org/10.1090/S0025-5718-1969-0247736-4.

    Example:
        >>> from lamella import ops
        >>> ops.erfc([0.0, 1.0]).round(4), float(ops.erfc(5.0)) > 0
        (array([1.    , 0.1573], dtype=float32), True)
    """
    if not is_float(x.dtype):
        raise DTypeError(f"operands must be floats, got {x.dtype}.")
    return x


@erfc.define
def _(x: Tensor) -> Tensor:
    near, tail = _parts(x, 30.0)
    two, positive = _like(x, 2.0), less(_like(x, 0.0), x)
    far = where(positive, tail, subtract(two, tail))
    close = subtract(_like(x, 1.0), multiply(sign(x), near))
    return where(isnan(x), x, where(less(abs_(x), _like(x, 0.46875)), close, far))


@erfc.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    slope = multiply(exp(negative(multiply(x, x))), _like(x, -2.0 / math.sqrt(math.pi)))
    return multiply(g, slope)


@op(prepare=floating)
def erfinv(x: Spec) -> Spec:
    """The number whose error function is x: infinite at -1 and 1, NaN outside.

    Giles's approximation, accurate to float32, followed by two Newton steps.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        M. Giles, "Approximating the erfinv function", GPU Computing Gems Jade Edition, 2011.

    Example:
        >>> from lamella import ops
        >>> ops.erfinv([-0.5, 0.0, 1.0]).round(4)
        array([-0.4769,  0.    ,     inf], dtype=float32)
    """
    if not is_float(x.dtype):
        raise DTypeError(f"operands must be floats, got {x.dtype}.")
    return x


_CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


@erfinv.define
def _(x: Tensor) -> Tensor:
    size, one = abs_(x), _like(x, 1.0)
    inside = where(less(size, one), size, _like(x, 0.5))
    w = negative(log(multiply(subtract(one, inside), add(one, inside))))
    near = _polynomial(_CENTRAL, subtract(minimum(w, _like(x, 5.0)), _like(x, 2.5)))
    far = _polynomial(_TAIL, subtract(sqrt(maximum(w, _like(x, 5.0))), _like(x, 3.0)))
    y = multiply(where(less(w, _like(x, 5.0)), near, far), inside)
    if DTYPES[spec_of(x).dtype][1] >= 32:
        for _ in range(2):
            # erf(y) - x as (1 - x) - erfc(y), which is precise near 1.
            short = subtract(subtract(one, inside), erfc(y))
            y = add(y, multiply(multiply(negative(short), exp(multiply(y, y))), _like(x, math.sqrt(math.pi) / 2)))
    edge = where(equal(size, one), _like(x, math.inf), _like(x, math.nan))
    return multiply(sign(x), where(isnan(x), x, where(less(size, one), y, edge)))


@erfinv.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, multiply(exp(multiply(y, y)), _like(x, math.sqrt(math.pi) / 2)))
