"""Small helpers for scripts."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.spec import numpy_dtype
from lamella.names import deprecated
from lamella.random import set_random_seed as set_random_seed


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
        raise ShapeError(f"labels must lie in 0..{count - 1}, got {labels.min()}..{labels.max()}.")
    return np.eye(count, dtype=numpy_dtype(settings.floatx()))[labels]


def clear_session() -> None:
    """Nothing to clear: names and numbers belong to a model, not to the process. Kept so that old scripts run."""


__path__: list[str] = []  # so that `import lamella.utils.np_utils` comes to `lamella.old_modules`


def __getattr__(name: str) -> Any:
    """`from keras.utils import np_utils` of old tutorials: its functions are here today."""
    if name == "np_utils":
        deprecated("utils.np_utils", "lamella.utils")
        return sys.modules[__name__]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["clear_session", "set_random_seed", "to_categorical"]
