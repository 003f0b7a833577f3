"""Small functions of arrays and batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import DataError
from lamella.ir import settings
from lamella.ir.spec import dtype_name, numpy_dtype


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


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What `fit` takes for a batch: `x`, `(x, y)` or `(x, y, sample_weight)`, the shortest that holds all.

    >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2)
    (1, (1, 2))

    Args:
        x: the inputs; a tuple or list of inputs is put into a tuple.
        y: the targets, or None.
        sample_weight: the weights of the rows, or None.
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, tuple | list) else x


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given as a string, a NumPy dtype or a framework's; None is `floatx`.

    >>> standardize_dtype(np.float64), standardize_dtype(None)
    ('float64', 'float32')

    Args:
        dtype: the dtype.

    Raises:
        DTypeError: lamella does not compute with it.
    """
    return settings.floatx() if dtype is None else dtype_name(dtype)
