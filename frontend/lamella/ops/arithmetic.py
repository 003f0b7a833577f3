"""Elementwise functions composed of others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import DTypeError
from lamella.ir.spec import DTYPES, dtype_name, is_float, is_integer, spec_of
from lamella.ops.coerce import floating, floating_pair, full_of, promoted
from lamella.ops.ordering import lowest
from lamella.tracebacks import filter_functions


def _like(x: Any, value: float) -> Any:
    return full_of(spec_of(x), value)


def exp2(x: Any) -> Any:
    """2 ** x"""
    (x,) = floating(x)
    return ops.exp(ops.multiply(x, _like(x, math.log(2.0))))


def log2(x: Any) -> Any:
    """The logarithm to base 2"""
    (x,) = floating(x)
    return ops.multiply(ops.log(x), _like(x, 1.0 / math.log(2.0)))


def log10(x: Any) -> Any:
    """The logarithm to base 10"""
    (x,) = floating(x)
    return ops.multiply(ops.log(x), _like(x, 1.0 / math.log(10.0)))


def cbrt(x: Any) -> Any:
    """The cube root, of either sign; the derivative at 0 is infinite"""
    (x,) = floating(x)
    return ops.multiply(ops.sign(x), ops.power(ops.abs(x), _like(x, 1.0 / 3.0)))


def hypot(x1: Any, x2: Any) -> Any:
    """sqrt(x1**2 + x2**2), without overflow; the derivative at (0, 0) is 0"""
    x1, x2 = floating_pair(x1, x2)
    a, b = ops.abs(x1), ops.abs(x2)
    large = ops.stop_gradient(ops.maximum(a, b))
    safe = ops.where(ops.logical_or(ops.equal(large, 0.0), ops.isinf(large)), 1.0, large)
    a, b = ops.divide(a, safe), ops.divide(b, safe)
    squares = ops.add(ops.square(a), ops.square(b))
    zero = ops.equal(squares, 0.0)
    return ops.where(zero, 0.0, ops.multiply(safe, ops.sqrt(ops.where(zero, 1.0, squares))))


def logaddexp(x1: Any, x2: Any) -> Any:
    """log(exp(x1) + exp(x2)), without overflow"""
    x1, x2 = floating_pair(x1, x2)
    # two equal infinities have no difference
    alike = ops.logical_and(ops.equal(x1, x2), ops.isinf(x1))
    apart = ops.subtract(ops.where(alike, 0.0, x1), ops.where(alike, 0.0, x2))
    high = ops.where(ops.greater_equal(x1, x2), x1, ops.where(ops.isnan(x1), x1, x2))
    return ops.add(high, ops.log1p(ops.exp(ops.negative(ops.abs(apart)))))


def logaddexp2(x1: Any, x2: Any) -> Any:
    """log2(2**x1 + 2**x2), without overflow"""
    x1, x2 = floating_pair(x1, x2)
    ln2 = math.log(2.0)
    return ops.divide(logaddexp(ops.multiply(x1, ln2), ops.multiply(x2, ln2)), ln2)


def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0"""
    (x,) = floating(x)
    zero = ops.equal(x, 0.0)
    y = ops.multiply(ops.where(zero, 1.0, x), math.pi)
    return ops.where(zero, 1.0, ops.divide(ops.sin(y), y))


def heaviside(x1: Any, x2: Any) -> Any:
    """0 where x1 < 0, x2 where it is 0, 1 where it is above; NaN stays"""
    x1, x2 = floating_pair(x1, x2)
    step = ops.where(ops.less(x1, 0.0), 0.0, ops.where(ops.equal(x1, 0.0), x2, 1.0))
    return ops.where(ops.isnan(x1), x1, step)


def fmax(x1: Any, x2: Any) -> Any:
    """The maximum, of which a NaN operand is no part"""
    x1, x2 = promoted(x1, x2)
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, ops.maximum(x1, x2)))


def fmin(x1: Any, x2: Any) -> Any:
    """The minimum, of which a NaN operand is no part"""
    x1, x2 = promoted(x1, x2)
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, ops.minimum(x1, x2)))


def fmod(x1: Any, x2: Any) -> Any:
    """x1 modulo x2, with the sign of x1 (C's rule)"""
    x1, x2 = promoted(x1, x2)
    return ops.multiply(ops.sign(x1), ops.mod(ops.abs(x1), ops.abs(x2)))


def trunc(x: Any) -> Any:
    """x without its fraction; its derivative is 0"""
    x = ops.convert_to_tensor(x)
    return x if not is_float(spec_of(x).dtype) else ops.multiply(ops.sign(x), ops.floor(ops.abs(x)))


def fabs(x: Any) -> Any:
    """|x|, as a float"""
    (x,) = floating(x)
    return ops.abs(x)


def deg2rad(x: Any) -> Any:
    """Degrees as radians"""
    (x,) = floating(x)
    return ops.multiply(x, math.pi / 180.0)


def rad2deg(x: Any) -> Any:
    """Radians as degrees"""
    (x,) = floating(x)
    return ops.multiply(x, 180.0 / math.pi)


def ldexp(x1: Any, x2: Any) -> Any:
    """x1 * 2**x2, for an integer x2"""
    (x1,) = floating(x1)
    x2 = ops.convert_to_tensor(x2)
    if not is_integer(spec_of(x2).dtype):
        raise DTypeError(f"the exponent of ldexp is an integer, got {spec_of(x2)}.")
    # in two factors: 2**x2 alone may leave the range that the result is in
    half = ops.floor_divide(x2, 2)
    two = full_of(spec_of(ops.zeros((), spec_of(x1).dtype)), 2.0)
    first = ops.power(two, ops.cast(half, spec_of(x1).dtype))
    second = ops.power(two, ops.cast(ops.subtract(x2, half), spec_of(x1).dtype))
    return ops.multiply(ops.multiply(x1, first), second)


def gcd(x1: Any, x2: Any) -> Any:
    """The greatest common divisor of integers, by Euclid's algorithm"""
    a, b = (ops.abs(x) for x in _integers(*promoted(x1, x2)))
    # of numbers below 2**n it takes at most 1.45 n steps
    bits = DTYPES[spec_of(a).dtype][1]

    def step(_: Any, pair: Any) -> Any:
        a, b = pair
        done = ops.equal(b, 0)
        return ops.where(done, a, b), ops.where(done, b, ops.mod(a, ops.where(done, 1, b)))

    return ops.fori_loop(0, math.ceil(1.45 * bits), step, (a, b))[0]


def lcm(x1: Any, x2: Any) -> Any:
    """The least common multiple of integers; 0 where one is 0"""
    x1, x2 = _integers(*promoted(x1, x2))
    divisor = gcd(x1, x2)
    return ops.abs(ops.multiply(ops.floor_divide(x1, ops.where(ops.equal(divisor, 0), 1, divisor)), x2))


def _integers(*xs: Any) -> tuple[Any, ...]:
    for x in xs:
        if not is_integer(spec_of(x).dtype):
            raise DTypeError(f"needs integers, got {spec_of(x)}.")
    return xs


def divide_no_nan(x1: Any, x2: Any) -> Any:
    """x1 / x2, and 0 where x2 is 0; the derivative there is 0"""
    x1, x2 = floating_pair(x1, x2)
    zero = ops.equal(x2, 0.0)
    return ops.where(zero, 0.0, ops.divide(x1, ops.where(zero, 1.0, x2)))


def isinf(x: Any) -> Any:
    """Where `x` is plus or minus infinity"""
    x = ops.convert_to_tensor(x)
    if not is_float(spec_of(x).dtype):
        return ops.zeros_like(x, "bool")
    return ops.equal(ops.abs(x), _like(x, math.inf))


def isposinf(x: Any) -> Any:
    """Where `x` is plus infinity"""
    x = ops.convert_to_tensor(x)
    return ops.logical_and(isinf(x), ops.greater(x, _like(x, 0)))


def isneginf(x: Any) -> Any:
    """Where `x` is minus infinity"""
    x = ops.convert_to_tensor(x)
    return ops.logical_and(isinf(x), ops.less(x, _like(x, 0)))


def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where |x1 - x2| <= atol + rtol |x2|; infinities are close where they are equal"""
    x1, x2 = floating_pair(x1, x2)
    near = ops.less_equal(ops.abs(ops.subtract(x1, x2)), ops.add(ops.multiply(ops.abs(x2), rtol), atol))
    finite = ops.logical_and(ops.isfinite(x1), ops.isfinite(x2))
    close = ops.where(finite, near, ops.equal(x1, x2))
    return ops.logical_or(close, ops.logical_and(ops.isnan(x1), ops.isnan(x2))) if equal_nan else close


def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |x1 - x2| <= atol + rtol |x2| everywhere"""
    return ops.all(isclose(x1, x2, rtol, atol, equal_nan))


def signbit(x: Any) -> Any:
    """Where the sign bit is set: below 0, and at -0.0 (not told of a NaN)"""
    x = ops.convert_to_tensor(x)
    if not is_float(spec_of(x).dtype):
        return ops.less(x, _like(x, 0))
    zero = ops.equal(x, 0.0)
    return ops.where(zero, ops.less(ops.divide(1.0, x), 0.0), ops.less(x, 0.0))


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN as `nan` and infinities as `posinf`, `neginf` (None: the largest and the least number of the dtype)"""
    x = ops.convert_to_tensor(x)
    dtype = spec_of(x).dtype
    if not is_float(dtype):
        return x
    most = 3.3895313892515355e38 if dtype == "bfloat16" else float(np.finfo(dtype).max)
    y = ops.where(isposinf(x), most if posinf is None else posinf, x)
    y = ops.where(isneginf(x), -most if neginf is None else neginf, y)
    return ops.where(ops.isnan(x), nan, y)


def saturate_cast(x: Any, dtype: Any) -> Any:
    """`x` in `dtype`; a number outside its range becomes the nearest end"""
    x, dtype = ops.convert_to_tensor(x), dtype_name(dtype)
    have = spec_of(x).dtype
    if "bool" in (have, dtype) or have == dtype or (is_float(dtype) and not is_float(have)):
        return ops.cast(x, dtype)
    low, high = _range(dtype)
    least, most = _range(have)
    # the ends as numbers of `have` inside the range
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


def round(x: Any, decimals: int = 0) -> Any:
    """`x` to `decimals` digits after the point, halves to even; its derivative is 0"""
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
