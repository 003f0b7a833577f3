"""Resizing single images with NumPy, for data that is read from files: each output cell is a sum over few input cells."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lamella.ops import resizing

INTERPOLATIONS = (*resizing.INTERPOLATIONS, "area", "gaussian", "mitchellcubic")


def _gaussian(x: Any) -> Any:
    """Standard deviation 1/2, cut off at three of them."""
    return np.where(x < 1.5, np.exp(-2.0 * x * x), 0.0)


def _mitchell(x: Any) -> Any:
    """The cubic of Mitchell and Netravali, B = C = 1/3."""
    near = (7.0 / 6.0 * x - 2.0) * x * x + 8.0 / 9.0
    far = ((-7.0 / 18.0 * x + 2.0) * x - 10.0 / 3.0) * x + 16.0 / 9.0
    return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, far, near))


def _matrix(size: int, new_size: int, interpolation: str) -> np.ndarray:
    """How much every input cell gives to every output cell, `(size, new_size)`."""
    if interpolation in resizing.KERNELS:
        return resizing.resize_matrix(size, new_size, interpolation, False)
    step = size / new_size
    if interpolation == "nearest":
        matrix = np.zeros((size, new_size))
        matrix[resizing.nearest_cells(size, new_size), np.arange(new_size)] = 1.0
        return matrix
    cells = np.arange(size)[:, None]
    if interpolation == "area":
        starts = np.arange(new_size) * step
        return np.maximum(np.minimum(cells + 1, starts + step) - np.maximum(cells, starts), 0.0) / step
    centers = (np.arange(new_size) + 0.5) * step - 0.5
    weights = (_gaussian if interpolation == "gaussian" else _mitchell)(np.abs(centers - cells))
    return weights / weights.sum(0)


@functools.lru_cache(maxsize=256)
def _contributions(size: int, new_size: int, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    """For each output cell the input cells that count and their weights (float32), both `(count, new_size)`."""
    matrix = _matrix(size, new_size, interpolation)
    counts = matrix != 0
    first = counts.argmax(0)
    reach = size - counts[::-1].argmax(0) - first
    cells = np.minimum(first + np.arange(reach.max())[:, None], size - 1)
    weights = matrix[cells, np.arange(new_size)]
    weights[np.arange(reach.max())[:, None] >= reach] = 0.0  # the last cell, again
    return cells, weights.astype(np.float32)


def resample(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """One image at another size, without antialiasing.

    Args:
        image: `(height, width, channels)`, float32.
        size: (height, width) of the result.
        interpolation: one of `INTERPOLATIONS`.
    """
    for axis, new_size in enumerate(size):
        if image.shape[axis] == new_size:
            continue
        cells, weights = _contributions(image.shape[axis], new_size, interpolation)
        shape = (-1, 1, 1) if axis == 0 else (-1, 1)
        parts = [image.take(c, axis) * w.reshape(shape) for c, w in zip(cells, weights, strict=True)]
        image = functools.reduce(np.add, parts)
    return image
