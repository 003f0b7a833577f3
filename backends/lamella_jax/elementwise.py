"""Elementwise lowerings whose value or derivative is not exactly that of one `jax.lax` function.

Every derivative here is a `custom_jvp`, so that forward mode, reverse mode and `vmap` all find lamella's rule.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = Any


def is_float(x: Array) -> bool:
    """Whether `x` holds floats (bfloat16 too, which NumPy does not count among its own)."""
    return jnp.issubdtype(x.dtype, np.floating)


def like(x: Array, value: float) -> Array:
    """A scalar of the dtype of `x`; the lax functions spread it."""
    return np.asarray(value, x.dtype)


def aligned(*arrays: Array) -> tuple[Array, ...]:
    """The arrays, each varying over every mesh axis that one of them varies over (inside `shard_map`; else as they are)."""
    held = [_varying(x) for x in arrays]
    every = frozenset[str]().union(*held)
    if not every:
        return arrays
    return tuple(
        x if have == every else lax.pcast(x, tuple(every - have), to="varying")
        for x, have in zip(arrays, held, strict=True)
    )


def _varying(x: Array) -> frozenset[str]:
    kind = jax.typeof(x)
    # JAX 0.10.2 renamed `vma`
    return frozenset(kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else kind.vma)


def remainder(x: Array, y: Array) -> Array:
    """x modulo y, with the sign of y; lax.rem takes the sign of x"""
    rest = lax.rem(x, y)
    wrong = lax.bitwise_and(lax.ne(rest, like(x, 0)), lax.ne(lax.lt(rest, like(x, 0)), lax.lt(y, like(y, 0))))
    return lax.select(wrong, lax.add(rest, y), rest)


def floor_divide(x: Array, y: Array) -> Array:
    """floor(x / y); exact for integers, where the definition would go through float64"""
    if is_float(x):
        return lax.round(lax.div(lax.sub(x, remainder(x, y)), y), rounding_method=lax.RoundingMethod.TO_NEAREST_EVEN)
    quotient = lax.div(x, y)
    rest = lax.rem(x, y)
    low = lax.bitwise_and(lax.ne(rest, like(x, 0)), lax.ne(lax.lt(rest, like(x, 0)), lax.lt(y, like(y, 0))))
    return lax.select(low, lax.sub(quotient, like(x, 1)), quotient)


@jax.custom_jvp
def power(x: Array, y: Array) -> Array:
    """x ** y; the derivative in y is 0 where x <= 0, where JAX has NaN for negative x"""
    return lax.pow(x, y)


@power.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    z = power(x, y)
    zero, one = lax.full_like(x, 0), lax.full_like(x, 1)
    flat = lax.eq(y, zero)
    slope = lax.select(flat, zero, lax.mul(y, power(x, lax.select(flat, one, lax.sub(y, one)))))
    outside = lax.le(x, zero)
    logarithm = lax.select(outside, zero, lax.mul(z, lax.log(lax.select(outside, one, x))))
    return z, lax.add(lax.mul(dx, slope), lax.mul(dy, logarithm))


def absolute(x: Array) -> Array:
    """|x|; unsigned integers, which lax.abs refuses, are what they are"""
    return x if jnp.issubdtype(x.dtype, np.unsignedinteger) else lax.abs(x)


def convert(x: Array, *, dtype: str) -> Array:
    """x in another dtype; numbers become booleans by `x != 0`"""
    if dtype == "bool":
        return x if x.dtype == np.bool_ else lax.ne(x, like(x, 0))
    return lax.convert_element_type(x, np.dtype(dtype))


def round_half_even(x: Array) -> Array:
    """The nearest integer, halves to even"""
    return lax.round(x, rounding_method=lax.RoundingMethod.TO_NEAREST_EVEN)


@jax.custom_jvp
def clip(x: Array, x_min: Array, x_max: Array) -> Array:
    """min(max(x, x_min), x_max); at a bound x and the bound get half of the gradient each"""
    return lax.min(lax.max(x, x_min), x_max)


@clip.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, x_min, x_max = primals
    moved = clip_gradient(tangents[0], *primals)
    low = _beyond(lax.lt(x, x_min), lax.eq(x, x_min), tangents[1])
    high = _beyond(lax.gt(x, x_max), lax.eq(x, x_max), tangents[2])
    return clip(*primals), lax.add(moved, lax.add(low, high))


def _beyond(outside: Array, on: Array, t: Array) -> Array:
    """t outside, half of it on the bound, else 0."""
    return lax.select(outside, t, lax.select(on, lax.mul(t, like(t, 0.5)), lax.full_like(t, 0)))


def clip_gradient(g: Array, x: Array, x_min: Array, x_max: Array) -> Array:
    """g between the bounds, half of it on one, 0 outside"""
    on = lax.bitwise_or(lax.eq(x, x_min), lax.eq(x, x_max))
    half = lax.select(on, lax.mul(g, like(g, 0.5)), lax.full_like(g, 0))
    return lax.select(lax.bitwise_and(lax.lt(x_min, x), lax.lt(x, x_max)), g, half)


@jax.custom_jvp
def relu(x: Array) -> Array:
    """max(x, 0); the derivative at 0 is 0, where lax.max would share it"""
    return lax.max(x, like(x, 0))


@relu.defjvp
def _(primals: Any, tangents: Any) -> Any:
    y = relu(primals[0])
    return y, relu_gradient(tangents[0], y)


def relu_gradient(g: Array, y: Array) -> Array:
    """g where y > 0, else 0"""
    return lax.select(lax.gt(y, lax.full_like(y, 0)), g, lax.full_like(g, 0))


@jax.custom_jvp
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), the op's definition; a kernel for the sake of its derivative, which no overflow reaches"""
    one = like(x, 1)
    return lax.div(one, lax.add(lax.exp(lax.neg(x)), one))


@sigmoid.defjvp
def _(primals: Any, tangents: Any) -> Any:
    y = sigmoid(primals[0])
    return y, lax.mul(tangents[0], lax.mul(y, lax.sub(lax.full_like(y, 1), y)))


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """max(x, 0) + log1p(exp(-|x|)); the derivative is sigmoid(x) everywhere, at 0 too"""
    return lax.add(lax.max(x, like(x, 0)), lax.log1p(lax.exp(lax.neg(lax.abs(x)))))


@softplus.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return softplus(primals[0]), lax.mul(tangents[0], sigmoid(primals[0]))


def left_shift(x: Array, y: Array) -> Array:
    """x * 2**y"""
    return lax.shift_left(x, y)


def right_shift(x: Array, y: Array) -> Array:
    """x shifted right by y bits: zeros come in for unsigned integers, the sign for signed ones"""
    if jnp.issubdtype(x.dtype, np.unsignedinteger):
        return lax.shift_right_logical(x, y)
    return lax.shift_right_arithmetic(x, y)
