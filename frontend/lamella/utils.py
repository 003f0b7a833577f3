"""Small helpers for scripts."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.ir import settings
from lamella.ir.spec import numpy_dtype
from lamella.names import deprecated
from lamella.random import set_random_seed as set_random_seed
from lamella.training.pydataset import PyDataset as PyDataset
from lamella.training.train_step import unpack_x_y_sample_weight as unpack_x_y_sample_weight

Sequence = PyDataset
"""Keras 2's name of `PyDataset`."""


def to_categorical(y: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows for integer labels: `(...)` to `(..., num_classes)`; a trailing axis of 1 goes.

    Args:
        y: integers from 0.
        num_classes: the number of classes; by default the largest label and one.

    Raises:
        ValueError: a label is negative or too large.
    """
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    labels = labels.astype(np.int64)
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        raise DataError(f"labels must lie in 0..{count - 1}, got {labels.min()}..{labels.max()}.")
    return np.eye(count, dtype=numpy_dtype(settings.floatx()))[labels]


def normalize(x: Any, axis: int = -1, order: int | float = 2) -> np.ndarray:
    """x / ||x||, the norm of each vector along `axis`; a vector of zeros stays.

    Args:
        x: numbers.
        axis: the axis of the vectors.
        order: of the norm: 2 for the Euclidean one, 1 for the sum of sizes, `inf` for the largest.
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array (sequences, maxlen, ...), filled up with `value`.

    Args:
        sequences: a list of sequences, whose entries are numbers or arrays of one shape.
        maxlen: the length; by default that of the longest sequence. Longer ones are cut.
        dtype: of the result; `object` for strings.
        padding: where a short sequence is filled up: "pre" or "post".
        truncating: where a long one is cut: "pre" or "post".
        value: what fills up.

    Raises:
        ValueError: something is no sequence, entries differ in shape, or an option is unknown.
    """
    for name, chosen in (("padding", padding), ("truncating", truncating)):
        if chosen not in ("pre", "post"):
            raise ValueError(f"{name} is 'pre' or 'post', got {chosen!r}.")
    if not hasattr(sequences, "__len__"):
        raise ArgumentError(f"pad_sequences takes a list of sequences, got {type(sequences).__name__}.")
    for entry in sequences:
        if not hasattr(entry, "__len__"):
            raise ArgumentError(f"pad_sequences takes a list of sequences, and {entry!r} in it is none.")
    kind = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OSU":
        raise ValueError(f"the value {value!r} is no {kind.name}: use dtype=object for strings.")
    longest = max((len(entry) for entry in sequences), default=0)
    maxlen = longest if maxlen is None else int(maxlen)
    entries = [np.asarray(entry, kind) for entry in sequences]
    shape = next((entry.shape[1:] for entry in entries if len(entry)), ())
    padded = np.full((len(entries), maxlen, *shape), value, kind)
    for number, entry in enumerate(entries):
        if not len(entry) or not maxlen:
            continue
        if entry.shape[1:] != shape:
            raise ShapeError(f"sequence {number} has entries of shape {entry.shape[1:]}, those before it {shape}.")
        kept = entry[-maxlen:] if truncating == "pre" else entry[:maxlen]
        if padding == "pre":
            padded[number, maxlen - len(kept) :] = kept
        else:
            padded[number, : len(kept)] = kept
    return padded


def clear_session() -> None:
    """Nothing to clear: names and numbers belong to a model, not to the process. Kept so that old scripts run."""


__path__: list[str] = []  # so that `import lamella.utils.np_utils` comes to `lamella.compat.modules`


def __getattr__(name: str) -> Any:
    """`from keras.utils import np_utils` of old tutorials: its functions are here today."""
    if name == "np_utils":
        deprecated("utils.np_utils", "lamella.utils")
        return sys.modules[__name__]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "normalize",
    "pad_sequences",
    "set_random_seed",
    "to_categorical",
]
