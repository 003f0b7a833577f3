"""Random bits by lamella's own Threefry: a few uint32 ops, bit-equal to the definitions in `lamella.ops.random_bits`.

`jax.random` is not used: its bits depend on settings of the process, and it throws half of every block away.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from lamella.ops.random_bits import FOLD, PARITY, ROTATIONS

Array = Any


def _word(value: int) -> np.ndarray:
    return np.asarray(value, np.uint32)


def _rotate(x: Array, by: int) -> Array:
    return lax.bitwise_or(lax.shift_left(x, _word(by)), lax.shift_right_logical(x, _word(32 - by)))


def _threefry(key0: Array, key1: Array, x0: Array, x1: Array) -> tuple[Array, Array]:
    keys = (key0, key1, lax.bitwise_xor(lax.bitwise_xor(key0, key1), _word(PARITY)))
    x0, x1 = lax.add(x0, keys[0]), lax.add(x1, keys[1])
    for group in range(5):
        for by in ROTATIONS[group % 2]:
            x0 = lax.add(x0, x1)
            x1 = lax.bitwise_xor(_rotate(x1, by), x0)
        x0 = lax.add(x0, keys[(group + 1) % 3])
        x1 = lax.add(x1, lax.add(keys[(group + 2) % 3], _word(group + 1)))
    return x0, x1


def _words(key: Array) -> tuple[Array, Array]:
    return lax.index_in_dim(key, 0, keepdims=False), lax.index_in_dim(key, 1, keepdims=False)


def random_bits(key: Array, step: Array, *, shape: tuple[int, ...], bits: int) -> Array:
    """Uniform bits: lane i % lanes of the block i // lanes, low words and low halves first"""
    shape = tuple(shape)
    lanes = 64 // bits
    blocks = -(-math.prod(shape) // lanes)
    words = _threefry(*_words(key), lax.broadcast(step, (blocks,)), lax.iota(np.uint32, blocks))
    if bits == 16:
        words = [half for w in words for half in (w, lax.shift_right_logical(w, _word(16)))]
    # a narrower dtype keeps the low bits
    columns = [lax.expand_dims(lax.convert_element_type(w, f"uint{bits}"), (1,)) for w in words]
    flat = lax.reshape(lax.concatenate(columns, 1), (blocks * lanes,))
    return lax.reshape(lax.slice(flat, (0,), (math.prod(shape),)), shape)


def fold_in(key: Array, *, data: int) -> Array:
    """threefry(key, (2**32 - 1, data))"""
    word0, word1 = _threefry(*_words(key), _word(FOLD), _word(data))
    return jnp.stack([word0, word1])
