"""What the two data sets of house prices share: a shuffled table, cut into two."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import ArgumentError


def check_split(test_split: Any) -> None:
    """Refuse a part that is not from 0 up to 1."""
    if isinstance(test_split, bool) or not isinstance(test_split, int | float | np.number) or not 0 <= test_split < 1:
        raise ArgumentError(f"test_split must be a number from 0 up to but not including 1, got {test_split!r}.")


def shuffled(generator: np.random.RandomState, *arrays: np.ndarray) -> list[np.ndarray]:
    """The rows of arrays in the order that Keras gives them."""
    order = np.arange(len(arrays[0]))
    generator.shuffle(order)
    return [array[order] for array in arrays]


def split(
    x: np.ndarray, y: np.ndarray, test_split: float, seed: Any
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The rows in the order of a seed, the last of them for tests."""
    x, y = shuffled(np.random.RandomState(seed), x, y)
    count = int(len(x) * (1 - test_split))
    return (x[:count].copy(), y[:count].copy()), (x[count:].copy(), y[count:].copy())
