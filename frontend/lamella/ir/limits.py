"""Bounds on what one trace may cost, for models that a file describes.

A configuration of a few bytes can ask for a loop written out a billion times, or for a constant of terabytes. Inside
`limited` a trace that goes beyond its bounds ends with an error, before anything is allocated; elsewhere nothing is counted.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from lamella.errors import ArgumentError
from lamella.ir.dim import Dimension, public_shape
from lamella.stacks import ThreadStack


class _Bounds:
    """What the traces inside one `limited` block may still use."""

    def __init__(self, equations: int, entries: int) -> None:
        self.equations = equations
        self.entries = entries


_BOUNDS: ThreadStack[_Bounds] = ThreadStack()


@contextmanager
def limited(equations: int, entries: int) -> Generator[None]:
    """Inside, all traces of this thread together may have so many equations, and so many entries of host constants."""
    with _BOUNDS.pushed(_Bounds(equations, entries)):
        yield


@contextmanager
def counted_before() -> Generator[None]:
    """Inside, nothing is counted: what is traced was traced before, piece by piece, and counted then."""
    with _BOUNDS.emptied():
        yield


def count_equation() -> None:
    """One more equation.

    Raises:
        ArgumentError: it is one too many.
    """
    if _BOUNDS.items:
        bounds = _BOUNDS.items[-1]
        bounds.equations -= 1
        if bounds.equations < 0:
            raise ArgumentError("the model is larger than a file may ask for: too many equations.")


def limiting() -> bool:
    """Whether bounds are in force."""
    return bool(_BOUNDS.items)


def reserve(shape: Sequence[Dimension]) -> None:
    """Called before a constant is made whose size follows from shapes and arguments.

    Raises:
        ArgumentError: it is larger than what is left.
    """
    if _BOUNDS.items:
        bounds = _BOUNDS.items[-1]
        bounds.entries -= math.prod(d for d in shape if isinstance(d, int))
        if bounds.entries < 0:
            raise ArgumentError(
                f"the model is larger than a file may ask for: it needs a constant of shape {public_shape(shape)}."
            )
