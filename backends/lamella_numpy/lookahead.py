"""Random bits for steps that follow each other: many steps' bits cost little more than one's."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from lamella_numpy.random_bits import BLOCK, random_bits, threefry

Array = np.ndarray[Any, Any]
AHEAD = 64
"""Steps at most that are drawn at once."""


def random_bits_ahead(
    key: Array, step: Any, *, shape: tuple[int, ...], bits: int, out: Array, scratch: dict[Any, Any]
) -> Array:
    """`random_bits`, the same numbers; where the last call was for the step before, later steps are drawn with this one.

    A round of the cipher is a hundred NumPy calls, whatever they work on: for small shapes the calls are the cost. The
    numbers are a pure function of key and step, so those drawn ahead may be kept, or never read.

    Args:
        key: uint32 (2,).
        step: uint32, the counter's high word.
        shape: of the result.
        bits: 16 or 32.
        out: a contiguous array to write into.
        scratch: keeps what was drawn ahead, for as long as the key stays the same.
    """
    count, lanes = math.prod(shape), 64 // bits
    blocks = -(-count // lanes)
    now, name = int(step), key.tobytes()
    drawn = scratch.get("ahead")
    if drawn is not None and drawn[0] == name and 0 <= now - drawn[1] < len(drawn[2]):
        out.reshape(-1)[...] = drawn[2][now - drawn[1], :count]
        return out
    before, scratch["before"] = scratch.get("before"), (name, now)
    steps = min(AHEAD, BLOCK // max(blocks, 1), 2**32 - now)
    if before != (name, now - 1) and not (drawn is not None and drawn[0] == name and now == drawn[1] + len(drawn[2])):
        steps = 1
    if steps < 2 or not count or sys.byteorder != "little":
        return random_bits(key, step, shape=shape, bits=bits, out=out, scratch=scratch)
    counters = np.arange(blocks, dtype=np.uint32)
    high = np.arange(now, now + steps).astype(np.uint32)
    first, second = threefry(key[0], key[1], np.repeat(high, blocks), np.tile(counters, steps))
    words = np.empty((steps, blocks, 2), np.uint32)
    words[..., 0], words[..., 1] = first.reshape(steps, blocks), second.reshape(steps, blocks)
    rows = words.reshape(steps, -1).view(out.dtype)  # the low half of a word comes first in memory
    scratch["ahead"] = (name, now, rows)
    out.reshape(-1)[...] = rows[0, :count]
    return out
