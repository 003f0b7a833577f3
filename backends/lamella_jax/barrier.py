"""A barrier that XLA does not see through, so that values behind it are computed again and not kept from before it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from lamella_jax.platform_choice import choose

Array = Any


def barrier(*operands: Array) -> tuple[Array, ...]:
    """The operands, each after all of them.

    On a CPU XLA removes `optimization_barrier` before it shares equal computations (so `jax.checkpoint` saves nothing
    there). Instead every bit is combined with a zero that only we know to be one: made of the last operand, the cotangent.
    """
    return tuple(choose(_with_unknown_zero, lambda *xs: tuple(lax.optimization_barrier(xs)), *operands))


def _with_unknown_zero(*operands: Array) -> tuple[Array, ...]:
    last = operands[-1]
    if not last.size:
        return operands
    first = _bits(lax.slice(last.reshape(-1), (0,), (1,)).reshape(()))
    top = lax.shift_right_logical(first, np.asarray(8 * first.dtype.itemsize - 1, first.dtype))
    is_two = lax.eq(top, np.asarray(2, first.dtype))  # a single bit is not, but XLA keeps no ranges
    return tuple([_combined(x, is_two) for x in operands])


def _combined(x: Array, zero: Array) -> Array:
    bits = _bits(x)
    mixed = lax.bitwise_xor(bits, jnp.broadcast_to(lax.convert_element_type(zero, bits.dtype), bits.shape))
    return lax.convert_element_type(mixed, x.dtype) if x.dtype == np.bool_ else lax.bitcast_convert_type(mixed, x.dtype)


def _bits(x: Array) -> Array:
    """The bits of the numbers as unsigned integers of the same size."""
    if x.dtype == np.bool_:
        return lax.convert_element_type(x, np.uint8)
    return lax.bitcast_convert_type(x, np.dtype(f"uint{8 * x.dtype.itemsize}"))


__all__ = ["barrier"]
