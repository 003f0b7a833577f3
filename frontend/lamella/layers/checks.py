"""Checks of constructor arguments; their errors name the layer and the argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import unknown_name
from lamella.ir import settings

if TYPE_CHECKING:
    pass


def positive_integer(name: str, value: Any, layer: Any) -> int:
    """`value` as a positive int.

    Raises:
        ValueError: it is not a positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{type(layer).__name__}: {name} must be a positive integer, got {value!r}.")
    return int(value)


def fraction(name: str, value: Any, layer: Any) -> float:
    """`value` as a float from 0 to 1.

    Raises:
        ValueError: it is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise ValueError(f"{type(layer).__name__}: {name} must be a number from 0 to 1, got {value!r}.")
    return float(value)


def integers(name: str, value: Any, n: int, layer: Any, *, minimum: int = 1) -> tuple[int, ...]:
    """A number, or `n` of them, as a tuple of `n` ints of at least `minimum`.

    Raises:
        ValueError: there are not `n` of them, or one is too small.
    """
    items = (value,) * n if isinstance(value, int | np.integer) else value
    if (
        isinstance(items, str)
        or not isinstance(items, Sequence)
        or len(items) != n
        or any(isinstance(i, bool) or not isinstance(i, int | np.integer) or i < minimum for i in items)
    ):
        raise ValueError(
            f"{type(layer).__name__}: {name} must be an integer of at least {minimum}"
            + (f" or {n} of them" if n > 1 else "")
            + f", got {value!r}."
        )
    return tuple(int(i) for i in items)


def choice(name: str, value: Any, allowed: Sequence[str], layer: Any) -> str:
    """`value`, which must be one of `allowed`.

    Raises:
        UnknownNameError: it is not; the message gives the nearest allowed value.
    """
    chosen = value.lower() if isinstance(value, str) else value
    if chosen not in allowed:
        raise unknown_name(f"{name} of {type(layer).__name__}", value, allowed)
    return chosen


def layout(value: Any, layer: Any) -> str:
    """A `data_format`: "channels_last" or "channels_first"; None for `config.image_data_format()`.

    Raises:
        UnknownNameError: it is neither.
    """
    given = settings.image_data_format() if value is None else value
    return choice("data_format", given, ["channels_last", "channels_first"], layer)


def number(name: str, value: Any, layer: Any, *, minimum: float | None = None) -> float:
    """`value` as a finite float, of at least `minimum` if it is given.

    Raises:
        ValueError: it is not such a number.
    """
    fine = isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value)
    if not fine or (minimum is not None and value < minimum):
        raise ValueError(
            f"{type(layer).__name__}: {name} must be a number"
            + ("" if minimum is None else f" of at least {minimum:g}")
            + f", got {value!r}."
        )
    return float(value)


def pairs(name: str, value: Any, n: int, layer: Any) -> tuple[tuple[int, int], ...]:
    """`n` (low, high) pairs from a number, from `n` numbers (each for both sides) or from `n` pairs.

    Raises:
        ValueError: it is none of these, or a number is negative.
    """
    items = (value,) * n if isinstance(value, int | np.integer) else value
    if isinstance(items, str) or not isinstance(items, Sequence) or len(items) != n:
        raise ValueError(
            f"{type(layer).__name__}: {name} must be an integer, {n} integers or {n} pairs of them, got {value!r}."
        )
    made = [integers(f"{name}[{i}]", item, 2, layer, minimum=0) for i, item in enumerate(items)]
    return tuple((low, high) for low, high in made)
