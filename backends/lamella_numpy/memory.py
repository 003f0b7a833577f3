"""Laying buffers over each other: two may share memory when no line needs both."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella_numpy.views import Ints, Storage

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


def lay_out(storages: Sequence[Storage]) -> int:
    """Give every storage its offset in one arena and return the arena's size, in bytes.

    Time runs over the lines; where a buffer begins, the smallest gap that fits is taken, and gaps that touch are joined.
    """
    used = sorted((s for s in storages if s.first >= 0), key=lambda s: s.first)
    active: list[tuple[int, int, int, int]] = []  # (last line, number, offset, size)
    gaps: list[tuple[int, int]] = []  # (offset, size), by offset
    total = 0
    for number, storage in enumerate(used):
        while active and active[0][0] < storage.first:
            _, _, offset, size = heapq.heappop(active)
            _join(gaps, offset, size)
        size = max(ALIGNMENT, -(-storage.items * storage.dtype.itemsize // ALIGNMENT) * ALIGNMENT)
        fitting = [(room, offset) for offset, room in gaps if room >= size]
        if fitting:
            room, offset = min(fitting)
            place = gaps.index((offset, room))
            gaps[place : place + 1] = [(offset + size, room - size)] if room > size else []
        elif gaps and sum(gaps[-1]) == total:  # the last gap, made longer
            offset, room = gaps.pop()
            total += size - room
        else:
            offset = total
            total += size
        storage.offset = offset
        heapq.heappush(active, (storage.last, number, offset, size))
    return total


def _join(gaps: list[tuple[int, int]], offset: int, size: int) -> None:
    """Add a gap to the sorted list, merged with its neighbors."""
    place = next((i for i, gap in enumerate(gaps) if gap[0] > offset), len(gaps))
    if place < len(gaps) and offset + size == gaps[place][0]:
        size += gaps.pop(place)[1]
    if place and sum(gaps[place - 1]) == offset:
        before = gaps.pop(place - 1)
        offset, size, place = before[0], size + before[1], place - 1
    gaps.insert(place, (offset, size))


def arena(size: int) -> Callable[[int, Ints, np.dtype[Any]], np.ndarray[Any, Any]]:
    """Fresh memory of `size` bytes as a function `(offset, shape, dtype) -> array`."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT

    def room(offset: int, shape: Ints, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        return np.ndarray(shape, dtype, block, start + offset)

    return room
