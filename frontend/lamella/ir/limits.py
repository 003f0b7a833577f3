"""Bounds on what one trace may cost, for models that a file describes.

A configuration of a few bytes can ask for a loop written out a billion times, or for a constant of terabytes. Inside
`limited` a trace that goes beyond its bounds ends with an error, before anything is allocated; elsewhere nothing is counted.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lamella.errors import ShapeError


class _Bounds(threading.local):
    """What is left in this thread; None where nothing is counted."""

    def __init__(self) -> None:
        self.equations: int | None = None
        self.entries = 0


_BOUNDS = _Bounds()


@contextmanager
def limited(equations: int, entries: int) -> Iterator[None]:
    """Inside, all traces of this thread together may have so many equations, and so many entries of host constants."""
    before = _BOUNDS.equations, _BOUNDS.entries
    _BOUNDS.equations, _BOUNDS.entries = equations, entries
    try:
        yield
    finally:
        _BOUNDS.equations, _BOUNDS.entries = before


def count_equation() -> None:
    """One more equation.

    Raises:
        ShapeError: it is one too many.
    """
    if _BOUNDS.equations is not None:
        _BOUNDS.equations -= 1
        if _BOUNDS.equations < 0:
            raise ShapeError("the model is larger than a file may ask for: too many equations.")


def reserve(shape: Sequence[int]) -> None:
    """Called before a constant is made whose size follows from shapes and arguments.

    Raises:
        ShapeError: it is larger than what is left.
    """
    if _BOUNDS.equations is not None:
        _BOUNDS.entries -= math.prod(int(d) for d in shape)
        if _BOUNDS.entries < 0:
            raise ShapeError(
                f"the model is larger than a file may ask for: it needs a constant of shape {tuple(map(int, shape))}."
            )
