"""Threefry-2x32 on NumPy: random bits as a pure function of (key, step, index).

Twenty rounds are about a hundred passes over two words, so counters are taken in blocks whose words stay in the
first- and second-level caches, and every pass is a uint32 ufunc in place.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from lamella.ops.random_bits import FOLD, PARITY, ROTATIONS

Array = np.ndarray[Any, Any]
Scratch = dict[str, Any]

BLOCK = 1 << 14
"""Counters at a time: three arrays of 64 KiB."""
WORD = 0xFFFFFFFF


def _constants(values: list[int]) -> list[Array]:
    """As 0-d arrays, which ufuncs take faster than Python or NumPy scalars."""
    return [np.asarray(value, np.uint32) for value in values]


_LEFT = [_constants(list(group)) for group in ROTATIONS]
_RIGHT = [_constants([32 - by for by in group]) for group in ROTATIONS]


def _keys(key0: int, key1: int) -> list[int]:
    return [key0, key1, key0 ^ key1 ^ PARITY]


def _rounds(keys: list[int], x0: Array, x1: Array, t: Array) -> None:
    """The block cipher in place, on counters to which the first keys are added already; t is a temporary."""
    add, xor, join, left, right = np.add, np.bitwise_xor, np.bitwise_or, np.left_shift, np.right_shift
    for group in range(5):
        for by, back in zip(_LEFT[group % 2], _RIGHT[group % 2], strict=True):
            add(x0, x1, x0)
            left(x1, by, t)
            right(x1, back, x1)
            join(x1, t, x1)
            xor(x1, x0, x1)
        first, second = _constants([keys[(group + 1) % 3], (keys[(group + 2) % 3] + group + 1) & WORD])
        add(x0, first, x0)
        add(x1, second, x1)


def threefry(key0: Any, key1: Any, x0: Any, x1: Any) -> tuple[Array, Array]:
    """The two words of one block for every pair of counter words x0 and x1 (uint32, of one shape) under one key."""
    keys = _keys(int(key0), int(key1))
    first, second = _constants(keys[:2])
    x0, x1 = np.add(np.atleast_1d(x0), first, dtype=np.uint32), np.add(np.atleast_1d(x1), second, dtype=np.uint32)
    _rounds(keys, x0, x1, np.empty_like(x1))
    return x0, x1


def _block_of(keys: list[int], x0: int, x1: int) -> tuple[int, int]:
    """One block in plain integers: a tenth of the time of the ufuncs on one element."""
    x0, x1 = (x0 + keys[0]) & WORD, (x1 + keys[1]) & WORD
    for group in range(5):
        for by in ROTATIONS[group % 2]:
            x0 = (x0 + x1) & WORD
            x1 = ((x1 << by) & WORD | x1 >> (32 - by)) ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & WORD
        x1 = (x1 + keys[(group + 2) % 3] + group + 1) & WORD
    return x0, x1


def fold_in(key: Array, *, data: int) -> Array:
    """A new key: threefry(key, (2**32 - 1, data))"""
    key0, key1 = key.tolist()
    return np.array(_block_of(_keys(key0, key1), FOLD, int(data) & WORD), np.uint32)


def random_bits(
    key: Array,
    step: Any,
    *,
    shape: tuple[int, ...],
    bits: int,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """Uniform bits of `shape`: uint32 (bits=32) or uint16 (bits=16).

    Block j is threefry(key, (step, j)); its two words are elements 2j and 2j + 1, or its four 16-bit lanes, low ones
    first, elements 4j to 4j + 3. So memory holds words in the order in which they are drawn.

    Args:
        key: uint32 (2,).
        step: uint32, the counter's high word.
        shape: of the result.
        bits: 16 or 32.
        out: a contiguous array to write into.
        scratch: keeps the words between calls.
    """
    if out is None:
        out = np.empty(shape, np.uint16 if bits == 16 else np.uint32)
    count, lanes = math.prod(shape), 64 // bits
    flat = out.reshape(-1)
    keys = _keys(*map(int, key))
    if scratch is None or "words" not in scratch:
        size = min(BLOCK, max(1, -(-count // lanes)))
        words = [np.empty(size, np.uint32) for _ in range(3)], np.arange(size, dtype=np.uint32)
        if scratch is not None:
            scratch["words"] = words
    else:
        words = scratch["words"]
    (x0, x1, t), counters = words
    size = len(counters)
    high = np.asarray((int(step) + keys[0]) & WORD, np.uint32)
    for start in range(0, -(-count // lanes), size):
        x0.fill(high)
        np.add(counters, np.asarray((start + keys[1]) & WORD, np.uint32), out=x1)
        _rounds(keys, x0, x1, t)
        part = flat[start * lanes : (start + size) * lanes]
        _interleave(x0, x1, part, lanes)
    return out


def _interleave(x0: Array, x1: Array, part: Array, lanes: int) -> None:
    """The words in order, x0[0], x1[0], x0[1] ..., cut into lanes, as many as `part` takes."""
    whole = len(part) // lanes
    words = part[: whole * lanes]
    if sys.byteorder == "little":
        pairs = words.view(np.uint32).reshape(-1, 2)
        pairs[:, 0], pairs[:, 1] = x0[:whole], x1[:whole]
    else:
        words.reshape(-1, lanes)[...] = _lanes(x0[:whole], x1[:whole], lanes)
    rest = part[whole * lanes :]
    if len(rest):
        rest[...] = _lanes(x0[whole : whole + 1], x1[whole : whole + 1], lanes)[0, : len(rest)]


def _lanes(x0: Array, x1: Array, lanes: int) -> Array:
    """(blocks, lanes), low lanes first, on a machine of any byte order."""
    halves = (x0, x1) if lanes == 2 else (x0 & 0xFFFF, x0 >> 16, x1 & 0xFFFF, x1 >> 16)
    return np.stack(halves, axis=1).astype(np.uint32 if lanes == 2 else np.uint16)
