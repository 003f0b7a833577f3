"""Elementwise functions composed of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import DTypeError
from lamella.ir.spec import DTYPES, dtype_name, is_float, is_integer, spec_of
from lamella.ops.coerce import floating, floating_pair, full_of, promoted
from lamella.ops.ordering import lowest
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def _like(x: Tensor, value: float) -> Tensor:
    return full_of(spec_of(x), value)


def exp2(x: Any) -> Tensor:
    """2 ** x

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.exp2([-1.0, 0.0, 3.0]).round(4)
        array([0.5, 1. , 8. ], dtype=float32)
    """
    (x,) = floating(x)
    return ops.exp(ops.multiply(x, _like(x, math.log(2.0))))


def log2(x: Any) -> Tensor:
    """The logarithm to base 2; minus infinity at 0 and NaN below 0.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.log2([1.0, 8.0, 0.5]).round(4)
        array([ 0.,  3., -1.], dtype=float32)
    """
    (x,) = floating(x)
    return ops.multiply(ops.log(x), _like(x, 1.0 / math.log(2.0)))


def log10(x: Any) -> Tensor:
    """The logarithm to base 10; minus infinity at 0 and NaN below 0.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.log10([1.0, 1000.0, 0.1]).round(4)
        array([ 0.,  3., -1.], dtype=float32)
    """
    (x,) = floating(x)
    return ops.multiply(ops.log(x), _like(x, 1.0 / math.log(10.0)))


def cbrt(x: Any) -> Tensor:
    """The cube root, of either sign; the derivative at 0 is NaN.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.cbrt([-8.0, 0.0, 27.0]).round(4)
        array([-2.,  0.,  3.], dtype=float32)
    """
    (x,) = floating(x)
    return ops.multiply(ops.sign(x), ops.power(ops.abs(x), _like(x, 1.0 / 3.0)))


def hypot(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """sqrt(x1**2 + x2**2), without overflow; the derivative at (0, 0) is 0

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.hypot([3.0, 3e30], [4.0, 4e30])
        array([5.e+00, 5.e+30], dtype=float32)
    """
    x1, x2 = floating_pair(x1, x2)
    a, b = ops.abs(x1), ops.abs(x2)
    large = ops.stop_gradient(ops.maximum(a, b))
    safe = ops.where(ops.logical_or(ops.equal(large, 0.0), ops.isinf(large)), 1.0, large)
    a, b = ops.divide(a, safe), ops.divide(b, safe)
    squares = ops.add(ops.square(a), ops.square(b))
    zero = ops.equal(squares, 0.0)
    return ops.where(zero, 0.0, ops.multiply(safe, ops.sqrt(ops.where(zero, 1.0, squares))))


def logaddexp(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """log(exp(x1) + exp(x2)), without overflow

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.logaddexp([0.0, 100.0], [0.0, 100.0]).round(3)
        array([  0.693, 100.693], dtype=float32)
    """
    x1, x2 = floating_pair(x1, x2)
    # The difference of two equal infinities would be NaN.
    alike = ops.logical_and(ops.equal(x1, x2), ops.isinf(x1))
    apart = ops.subtract(ops.where(alike, 0.0, x1), ops.where(alike, 0.0, x2))
    high = ops.where(ops.greater_equal(x1, x2), x1, ops.where(ops.isnan(x1), x1, x2))
    return ops.add(high, ops.log1p(ops.exp(ops.negative(ops.abs(apart)))))


def logaddexp2(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """log2(2**x1 + 2**x2), without overflow

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.logaddexp2([0.0, 200.0], [0.0, 200.0]).round(3)
        array([  1., 201.], dtype=float32)
    """
    x1, x2 = floating_pair(x1, x2)
    ln2 = math.log(2.0)
    return ops.divide(logaddexp(ops.multiply(x1, ln2), ops.multiply(x2, ln2)), ln2)


def sinc(x: ArrayLike) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sinc([0.0, 0.5, 1.5]).round(4)
        array([ 1.    ,  0.6366, -0.2122], dtype=float32)
    """
    (x,) = floating(x)
    zero = ops.equal(x, 0.0)
    y = ops.multiply(ops.where(zero, 1.0, x), math.pi)
    return ops.where(zero, 1.0, ops.divide(ops.sin(y), y))


def heaviside(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """0 where x1 < 0, x2 where it is 0, 1 where it is above; NaN stays

    The derivative with respect to x1 is 0 everywhere, and with respect to x2 it is 1 where x1 is 0.

    Args:
        x1: array or number.
        x2: the value at 0: array or number that broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.heaviside([-2.0, 0.0, 2.0], 0.5)
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x1, x2 = floating_pair(x1, x2)
    step = ops.where(ops.less(x1, 0.0), 0.0, ops.where(ops.equal(x1, 0.0), x2, 1.0))
    return ops.where(ops.isnan(x1), x1, step)


def fmax(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The maximum, ignoring NaN: NaN only where both operands are.

    Ties share the gradient equally.

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.fmax([1.0, float("nan"), 5.0], 3.0)
        array([3., 3., 5.], dtype=float32)
    """
    x1, x2 = promoted(x1, x2)
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, ops.maximum(x1, x2)))


def fmin(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The minimum, ignoring NaN: NaN only where both operands are.

    Ties share the gradient equally.

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.fmin([1.0, float("nan"), 5.0], 3.0)
        array([1., 3., 3.], dtype=float32)
    """
    x1, x2 = promoted(x1, x2)
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, ops.minimum(x1, x2)))


def fmod(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 modulo x2, with the sign of x1 (C's rule)

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> ops.fmod([-7, 7], 3), ops.mod([-7, 7], 3)
        (array([-1,  1], dtype=int32), array([2, 1], dtype=int32))
    """
    x1, x2 = promoted(x1, x2)
    return ops.multiply(ops.sign(x1), ops.mod(ops.abs(x1), ops.abs(x2)))


def trunc(x: ArrayLike) -> Tensor:
    """x without its fraction; its derivative is 0

    Args:
        x: array of numbers.

    Returns:
        An array of the shape and dtype of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.trunc([-1.7, 0.5, 2.9])
        array([-1.,  0.,  2.], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return x if not is_float(spec_of(x).dtype) else ops.multiply(ops.sign(x), ops.floor(ops.abs(x)))


def fabs(x: ArrayLike) -> Tensor:
    """|x|, as a float; the derivative at 0 is +1

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.fabs([-2, 3])
        array([2., 3.], dtype=float32)
    """
    (x,) = floating(x)
    return ops.abs(x)


def deg2rad(x: ArrayLike) -> Tensor:
    """Degrees converted to radians.

    Args:
        x: array of angles in degrees; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.deg2rad([0, 90, 180]).round(4)
        array([0.    , 1.5708, 3.1416], dtype=float32)
    """
    (x,) = floating(x)
    return ops.multiply(x, math.pi / 180.0)


def rad2deg(x: ArrayLike) -> Tensor:
    """Radians converted to degrees.

    Args:
        x: array of angles in radians; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.rad2deg([0.0, 1.0]).round(2)
        array([ 0. , 57.3], dtype=float32)
    """
    (x,) = floating(x)
    return ops.multiply(x, 180.0 / math.pi)


def ldexp(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 * 2**x2, for an integer x2

    Args:
        x1: array or number; integers and booleans are converted to `floatx`.
        x2: array or number of integers, the exponents; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the dtype of `x1`.

    Raises:
        DTypeError: `x2` is not an integer.
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.ldexp([1.0, 3.0], [4, -1])
        array([16. ,  1.5], dtype=float32)
    """
    (x1,) = floating(x1)
    x2 = ops.convert_to_tensor(x2)
    if not is_integer(spec_of(x2).dtype):
        raise DTypeError(f"the exponent of ldexp must be an integer, got {spec_of(x2)}.")
    # In two factors: 2**x2 alone may exceed the range of the dtype where the result does not.
    half = ops.floor_divide(x2, 2)
    two = full_of(spec_of(ops.zeros((), spec_of(x1).dtype)), 2.0)
    first = ops.power(two, ops.cast(half, spec_of(x1).dtype))
    second = ops.power(two, ops.cast(ops.subtract(x2, half), spec_of(x1).dtype))
    return ops.multiply(ops.multiply(x1, first), second)


def gcd(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The greatest common divisor of integers, by Euclid's algorithm.

    Args:
        x1: array or number, of integers.
        x2: the same; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        DTypeError: an operand is not an integer.
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.gcd([12, 18, 0], 8)
        array([4, 2, 8], dtype=int32)
    """
    a, b = (ops.abs(x) for x in _integers(*promoted(x1, x2)))
    # For numbers below 2**n it takes at most 1.45 n steps.
    bits = DTYPES[spec_of(a).dtype][1]

    def step(_: Tensor, pair: Sequence[Tensor]) -> Any:
        a, b = pair
        done = ops.equal(b, 0)
        return ops.where(done, a, b), ops.where(done, b, ops.mod(a, ops.where(done, 1, b)))

    return ops.fori_loop(0, math.ceil(1.45 * bits), step, (a, b))[0]


def lcm(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The least common multiple of integers; 0 where one is 0.

    Args:
        x1: array or number, of integers.
        x2: the same; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        DTypeError: an operand is not an integer.
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.lcm([4, 6, 0], 6)
        array([12,  6,  0], dtype=int32)
    """
    x1, x2 = _integers(*promoted(x1, x2))
    divisor = gcd(x1, x2)
    return ops.abs(ops.multiply(ops.floor_divide(x1, ops.where(ops.equal(divisor, 0), 1, divisor)), x2))


def _integers(*xs: Any) -> tuple[Any, ...]:
    for x in xs:
        if not is_integer(spec_of(x).dtype):
            raise DTypeError(f"operands must be integers, got {spec_of(x)}.")
    return xs


def divide_no_nan(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 / x2, and 0 where x2 is 0; the derivative there is 0

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.divide_no_nan([1.0, 2.0, 0.0], [2.0, 0.0, 0.0])
        array([0.5, 0. , 0. ], dtype=float32)
    """
    x1, x2 = floating_pair(x1, x2)
    zero = ops.equal(x2, 0.0)
    return ops.where(zero, 0.0, ops.divide(x1, ops.where(zero, 1.0, x2)))


def isinf(x: ArrayLike) -> Tensor:
    """Where `x` is plus or minus infinity.

    Args:
        x: array of numbers.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.isinf([1.0, float("inf"), float("-inf"), float("nan")])
        array([False,  True,  True, False])
    """
    x = ops.convert_to_tensor(x)
    if not is_float(spec_of(x).dtype):
        return ops.zeros_like(x, "bool")
    return ops.equal(ops.abs(x), _like(x, math.inf))


def isposinf(x: ArrayLike) -> Tensor:
    """Where `x` is plus infinity.

    Args:
        x: array of numbers.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.isposinf([1.0, float("inf"), float("-inf")])
        array([False,  True, False])
    """
    x = ops.convert_to_tensor(x)
    return ops.logical_and(isinf(x), ops.greater(x, _like(x, 0)))


def isneginf(x: ArrayLike) -> Tensor:
    """Where `x` is minus infinity.

    Args:
        x: array of numbers.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.isneginf([1.0, float("inf"), float("-inf")])
        array([False, False,  True])
    """
    x = ops.convert_to_tensor(x)
    return ops.logical_and(isinf(x), ops.less(x, _like(x, 0)))


def isclose(x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |x1 - x2| <= atol + rtol |x2|; infinities are close where they are equal.

    Args:
        x1: array or number.
        x2: array or number that `rtol` refers to; it broadcasts against `x1`.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        equal_nan: whether two NaN are close.

    Returns:
        A bool array of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.isclose([1.0, 1.0, float("nan")], [1.000001, 1.1, float("nan")])
        array([ True, False, False])
    """
    x1, x2 = floating_pair(x1, x2)
    near = ops.less_equal(ops.abs(ops.subtract(x1, x2)), ops.add(ops.multiply(ops.abs(x2), rtol), atol))
    finite = ops.logical_and(ops.isfinite(x1), ops.isfinite(x2))
    close = ops.where(finite, near, ops.equal(x1, x2))
    return ops.logical_or(close, ops.logical_and(ops.isnan(x1), ops.isnan(x2))) if equal_nan else close


def allclose(x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol |x2| everywhere.

    Args:
        x1: array or number.
        x2: array or number that `rtol` refers to; it broadcasts against `x1`.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        equal_nan: whether two NaN are close.

    Returns:
        A bool scalar.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.allclose([1.0, 2.0], [1.000001, 2.0]), ops.allclose([1.0, 2.0], 1.0)
        (array(True), array(False))
    """
    return ops.all(isclose(x1, x2, rtol, atol, equal_nan))


def signbit(x: ArrayLike) -> Tensor:
    """Where the sign bit is set: below 0, and at -0.0; False for every NaN.

    Args:
        x: array of numbers.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.signbit([-1.0, -0.0, 0.0, 1.0])
        array([ True,  True, False, False])
    """
    x = ops.convert_to_tensor(x)
    if not is_float(spec_of(x).dtype):
        return ops.less(x, _like(x, 0))
    zero = ops.equal(x, 0.0)
    return ops.where(zero, ops.less(ops.divide(1.0, x), 0.0), ops.less(x, 0.0))


def nan_to_num(x: ArrayLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """`x` with NaN and infinities replaced by numbers.

    The derivative at replaced entries is 0.

    Args:
        x: array of numbers.
        nan: replaces NaN.
        posinf: replaces plus infinity; None is the largest number of the dtype.
        neginf: replaces minus infinity; None is the lowest number of the dtype.

    Returns:
        An array of the shape and dtype of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.nan_to_num([1.0, float("nan"), float("inf")], nan=-1.0, posinf=100.0)
        array([  1.,  -1., 100.], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    dtype = spec_of(x).dtype
    if not is_float(dtype):
        return x
    most = 3.3895313892515355e38 if dtype == "bfloat16" else float(np.finfo(dtype).max)
    y = ops.where(isposinf(x), most if posinf is None else posinf, x)
    y = ops.where(isneginf(x), -most if neginf is None else neginf, y)
    return ops.where(ops.isnan(x), nan, y)


def saturate_cast(x: ArrayLike, dtype: DTypeLike) -> Tensor:
    """`x` in `dtype`; a number outside its range becomes the nearest end.

    Args:
        x: array of numbers.
        dtype: the dtype of the result.

    Returns:
        An array of the shape of `x` in `dtype`.

    Raises:
        DTypeError: `dtype` is not a supported dtype.

    Example:
        >>> from lamella import ops
        >>> ops.saturate_cast([-5.0, 100.7, 300.0], "uint8")
        array([  0, 100, 255], dtype=uint8)
    """
    x, dtype = ops.convert_to_tensor(x), dtype_name(dtype)
    have = spec_of(x).dtype
    if "bool" in (have, dtype) or have == dtype or (is_float(dtype) and not is_float(have)):
        return ops.cast(x, dtype)
    low, high = _range(dtype)
    least, most = _range(have)
    # The ends as numbers of `have` that are inside the range.
    low, high = max(low, least), min(high, most)
    if is_float(have) and is_integer(dtype):
        wide = np.dtype("float32" if have == "bfloat16" else have)
        high = float(np.nextafter(wide.type(high), wide.type(0))) if wide.type(high) > high else high
    clipped = ops.clip(x, _like(x, low), _like(x, high))
    edge = ops.cast(clipped, dtype)
    if is_float(have) and is_integer(dtype):
        edge = ops.where(ops.greater(x, _like(x, high)), full_of(spec_of(edge), _range(dtype)[1]), edge)
    return edge


def _range(dtype: str) -> tuple[float, float]:
    if is_float(dtype):
        most = 3.3895313892515355e38 if dtype == "bfloat16" else float(np.finfo(dtype).max)
        return -most, most
    bits = DTYPES[dtype][1]
    return lowest(dtype), 2 ** (bits - 1) - 1 if DTYPES[dtype][0] == "i" else 2**bits - 1


def round(x: ArrayLike, decimals: int = 0) -> Tensor:
    """`x` to `decimals` digits after the point, halves to even; its derivative is 0.

    Args:
        x: array of numbers.
        decimals: the digits after the point; a negative number rounds to tens, hundreds and so on.

    Returns:
        An array of the shape and dtype of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.round([0.5, 1.5, 2.567]), ops.round([0.125, 2.567], 1), ops.round([149, 151], -2)
        (array([0., 2., 3.], dtype=float32), array([0.1, 2.6], dtype=float32), array([100, 200], dtype=int32))
    """
    from lamella.ops.elementwise import round_

    x = ops.convert_to_tensor(x)
    if not is_float(spec_of(x).dtype):
        if decimals >= 0:
            return x
        scale = 10**-decimals
        return ops.cast(ops.multiply(round_(ops.divide(x, float(scale))), float(scale)), spec_of(x).dtype)
    if not decimals:
        return round_(x)
    scale = 10.0 ** abs(decimals)
    up, down = (ops.multiply, ops.divide) if decimals > 0 else (ops.divide, ops.multiply)
    return down(round_(up(x, scale)), scale)


filter_functions(__name__)
