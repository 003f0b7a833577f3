"""Small functions of arrays and batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import DataError
from lamella.ir import settings
from lamella.ir.spec import dtype_name, numpy_dtype


def to_categorical(y: Any, num_classes: int | None = None) -> np.ndarray:
    """Return integer labels in one-hot encoding.

    Args:
        y: integers from 0, of any shape; a last axis of size 1 is removed.
        num_classes: the number of classes; by default the largest label plus 1.

    Returns:
        An array of the default float dtype, of shape `(..., num_classes)`.

    Raises:
        ValueError: a label is negative or not less than `num_classes`.

    Example:
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    labels = labels.astype(np.int64)
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        raise DataError(f"labels must be in 0..{count - 1}, got {labels.min()}..{labels.max()}.")
    return np.eye(count, dtype=numpy_dtype(settings.floatx()))[labels]


def normalize(x: Any, axis: int = -1, order: int | float = 2) -> np.ndarray:
    """Return `x / ||x||`, with the norm taken along `axis`; vectors of zeros are unchanged.

    Args:
        x: an array.
        axis: the axis of the vectors.
        order: the order of the norm: 2 for the Euclidean norm, 1 for the sum of absolute values, `inf` for the maximum.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return a batch as `fit` takes it, without trailing None.

    Args:
        x: the inputs; a tuple or list of inputs is wrapped in a tuple.
        y: the targets, or None.
        sample_weight: the weights of the examples, or None.

    Returns:
        `x`, `(x, y)` or `(x, y, sample_weight)`.

    Example:
        >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2)
        (1, (1, 2))
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, tuple | list) else x


def standardize_dtype(dtype: Any) -> str:
    """Return the name of a dtype.

    Args:
        dtype: a string, a dtype of NumPy or of a backend, or None for `config.floatx()`.

    Returns:
        The name, for example "float32".

    Raises:
        DTypeError: lamella does not support the dtype.

    Example:
        >>> standardize_dtype(np.float64), standardize_dtype(None)
        ('float64', 'float32')
    """
    return settings.floatx() if dtype is None else dtype_name(dtype)
