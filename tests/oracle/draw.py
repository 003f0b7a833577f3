"""Deterministic draws: the seed is the CRC-32 of the case's id, so re-recording asks the same questions."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from .rows import FreeCase

# Predictions keep this distance from every threshold, so that rounding cannot move one across.
_MARGIN = 0.02


def generator(case_id: str) -> np.random.RandomState:
    """Return the generator of a case. `RandomState` because its stream is frozen across NumPy versions."""
    return np.random.RandomState(zlib.crc32(case_id.encode()))


def weight(random: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a weight: variances positive, scales near one, kernels scaled by their fan-in."""
    if name in ("moving_variance", "moving_stddev", "renorm_stddev"):
        value = random.uniform(0.5, 2.0, shape)
    elif name == "gamma":
        value = 1.0 + 0.3 * random.standard_normal(shape)
    elif len(shape) == 1:
        value = 0.3 * random.standard_normal(shape)
    else:
        value = random.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
    return value.astype("float32")


def mask(random: np.random.RandomState, pattern: str, batch: int, steps: int) -> np.ndarray:
    """Draw a boolean mask (batch, steps), True where a step counts."""
    lengths = 1 + (np.arange(batch) * (steps - 1)) // max(batch - 1, 1)
    right = np.arange(steps)[None, :] < lengths[:, None]
    if pattern == "right":
        return right
    if pattern == "left":
        return right[:, ::-1].copy()
    holes = random.uniform(size=(batch, steps)) < 0.6
    # The first and last steps are masked in some rows and not in others.
    holes[0, 0], holes[1, 0], holes[0, -1], holes[1, -1] = False, True, True, False
    if pattern == "row":
        holes[2] = False
    return holes


def targets(random: np.random.RandomState, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw targets for predictions of a shape."""
    if kind == "normal":
        return random.standard_normal(shape).astype("float32")
    if kind == "binary":
        return random.randint(0, 2, shape).astype("float32")
    if kind == "soft_binary":
        return random.uniform(0.1, 0.9, shape).astype("float32")
    if kind == "soft":
        return predictions(random, "simplex", shape)
    if kind == "class":
        return random.randint(0, 3, shape).astype("float32")
    if kind == "sign":
        return np.where(random.uniform(size=shape) < 0.5, -1.0, 1.0).astype("float32")
    if kind == "positive":
        return predictions(random, kind, shape)
    if kind == "spelling":
        # at most half as many labels as steps, so that equal neighbours fit with a blank between
        length = shape[1] // 2
        spelt = random.randint(1, shape[2], (shape[0], length))
        return np.where(np.arange(length) < random.randint(1, length + 1, shape[0])[:, None], spelt, 0).astype("int32")
    labels = random.randint(0, shape[-1], shape[:-1])
    if kind == "one_hot":
        return np.eye(shape[-1], dtype="float32")[labels]
    labels = labels.astype("int32")
    return labels[..., None] if kind == "sparse_column" else labels


def predictions(random: np.random.RandomState, kind: str, shape: tuple[int, ...], threshold: float = 0.5) -> np.ndarray:
    """Draw predictions of a shape."""
    if kind == "normal":
        value = random.standard_normal(shape)
    elif kind == "class":
        value = random.randint(0, 3, shape)
    elif kind == "probability":
        value = random.uniform(0.05, 0.95, shape)
        value = np.where(np.abs(value - threshold) < _MARGIN, value + 2 * _MARGIN, value)
    elif kind == "positive":
        value = random.uniform(0.2, 3.0, shape)
    elif kind == "unit":
        value = random.standard_normal(shape)
        value = value / np.linalg.norm(value, axis=-1, keepdims=True)
    else:
        value = random.uniform(0.05, 1.0, shape)
        value = value / value.sum(axis=-1, keepdims=True)
    return value.astype("float32")


def sample_weight(random: np.random.RandomState, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw non-negative weights for predictions of a shape; one of them is zero, or all where the kind is "zero"."""
    shapes = {"row": shape[:1], "zero": shape[:1], "column": (shape[0], 1), "position": shape[:-1]}
    value = random.uniform(0.2, 2.0, shapes[kind])
    value[0 if kind != "zero" else slice(None)] = 0.0
    return value.astype("float32")


UPDATED = {"kernel": (4, 3), "bias": (3,), "cube": (2, 3, 2)}
"""The weights of an `UpdateCase`."""


def updates(case_id: str, infinite: tuple[int, ...] = (), steps: int = 20) -> tuple[dict[str, np.ndarray], list[dict]]:
    """Draw the weights of an `UpdateCase` and the gradients of each step; one entry of `infinite` steps is infinite."""
    random = generator(case_id)
    weights = {name: random.standard_normal(shape).astype("float32") for name, shape in UPDATED.items()}
    gradients = []
    for step in range(steps):
        drawn = {name: random.standard_normal(shape).astype("float32") for name, shape in UPDATED.items()}
        if step in infinite:
            drawn["bias"][1] = np.inf
        gradients.append(drawn)
    return weights, gradients


def free(
    case: FreeCase, described: list[dict[str, Any]], rows: int = 4
) -> tuple[list[np.ndarray], list[np.ndarray], np.random.RandomState]:
    """Draw the weights and the inputs of a `FreeCase`; its targets are standard normals of the generator returned.

    Args:
        case: the row.
        described: name and shape of every weight.
        rows: of an input.
    """
    random = generator(case.id)
    weights = [weight(random, found["name"], tuple(found["shape"])) for found in described]
    inputs = []
    for size in case.sizes:
        shape = (rows, *case.at(size))
        integers = case.input_dtype == "int32"
        x = (random.randint(1, 7, shape) if integers else random.standard_normal(shape)).astype(case.input_dtype)
        if case.padded:
            x[~mask(random, "right", rows, shape[1])[::-1]] = 0
        inputs.append(x)
    return weights, inputs, random
