"""Accuracies: functions with the value 0 or 1 per sample, and their means as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError
from lamella.ir.spec import promote, spec_of
from lamella.losses.base import of_one_shape
from lamella.losses.functions import class_numbers
from lamella.metrics.base import FunctionMetric, MeanMetricWrapper

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _right(matches: Tensor) -> Any:
    return ops.cast(matches, "float32")


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """1 where y_true == y_pred, else 0.

    Args:
        y_true: the targets, `(batch, ...)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.metrics import accuracy
        >>> accuracy([1, 2, 3], [1, 2, 0])
        array([1., 1., 0.], dtype=float32)
    """
    return _right(ops.equal(*of_one_shape(y_true, y_pred)))


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Tensor:
    """1 where y_true == (y_pred > threshold), else 0.

    Args:
        y_true: labels 0 and 1, `(batch, ...)`.
        y_pred: the predictions, of the same shape.
        threshold: predictions above it count as 1.

    Returns:
        `(batch, ...)`, float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.metrics import binary_accuracy
        >>> binary_accuracy([1, 0, 1], [0.9, 0.6, 0.8])
        array([1., 0., 1.], dtype=float32)
    """
    y_true, y_pred = of_one_shape(y_true, y_pred)
    dtype = promote(spec_of(y_true).dtype, "float32")
    return _right(ops.equal(ops.cast(y_true, dtype), ops.cast(ops.greater(y_pred, threshold), dtype)))


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """1 where argmax(y_true) == argmax(y_pred) over the last axis, else 0; of equal values the first counts.

    Args:
        y_true: one-hot labels, `(batch, ..., classes)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.metrics import categorical_accuracy
        >>> categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]])
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = of_one_shape(y_true, y_pred, squeeze=False)
    return _right(ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)))


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """1 where y_true == argmax(y_pred) over the last axis, else 0; of equal values the first counts.

    Args:
        y_true: class numbers, `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: the predictions, `(batch, ..., classes)`.

    Returns:
        `(batch, ...)`, float32.

    Raises:
        ShapeError: the class numbers do not have the shape of the predictions without the last axis.

    Example:
        >>> from lamella.metrics import sparse_categorical_accuracy
        >>> sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]])
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = _labels(y_true, y_pred)
    return _right(ops.equal(y_true, ops.argmax(y_pred, -1)))


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Tensor:
    """1 where the class argmax(y_true) is among the k highest predictions, else 0.

    Predictions that are equal to the k-th highest also count.

    Args:
        y_true: one-hot labels, `(batch, ..., classes)`.
        y_pred: the predictions, of the same shape.
        k: the number of predictions.

    Returns:
        `(batch, ...)`, float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.metrics import top_k_categorical_accuracy
        >>> top_k_categorical_accuracy([[0, 0, 1], [1, 0, 0]], [[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]], k=2)
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = of_one_shape(y_true, y_pred, squeeze=False)
    return _in_top(ops.argmax(y_true, -1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """1 where the class y_true is among the k highest predictions, else 0.

    Predictions that are equal to the k-th highest also count.

    Args:
        y_true: class numbers, `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: predictions `(batch, ..., classes)`; with `from_sorted_ids`, class numbers `(batch, ..., n)`, the most
            probable first.
        k: the number of predictions.
        from_sorted_ids: whether `y_pred` contains class numbers.

    Returns:
        `(batch, ...)`, float32.

    Raises:
        ShapeError: the class numbers do not have the shape of the predictions without the last axis.

    Example:
        >>> from lamella.metrics import sparse_top_k_categorical_accuracy
        >>> sparse_top_k_categorical_accuracy([2, 0], [[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]], k=2)
        array([1., 0.], dtype=float32)
    """
    labels, y_pred = _labels(y_true, y_pred)
    if from_sorted_ids:
        return _right(ops.any(ops.equal(ops.expand_dims(labels, -1), y_pred[..., :k]), -1))
    return _in_top(labels, y_pred, k)


def _labels(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Any, Any]:
    """Class numbers as int32 without a trailing 1."""
    y_pred = ops.convert_to_tensor(y_pred)
    return class_numbers(y_true, y_pred, None)[0], y_pred


def _in_top(labels: Any, y_pred: Any, k: int) -> Any:
    """1 where fewer than k predictions are higher than that of the label (no sorting); a NaN is never in the top."""
    hit = ops.one_hot(labels, y_pred.shape[-1], dtype="bool")
    # a label that is not a class has the prediction -inf, which all others exceed
    own = ops.max(ops.where(hit, y_pred, float("-inf")), -1, keepdims=True)
    own = ops.where(ops.isnan(own), float("-inf"), own)
    higher = ops.sum(ops.cast(ops.greater(y_pred, own), "int32"), -1)
    return _right(ops.less(higher, k))


class Accuracy(FunctionMetric):
    """Accuracy: the share of values with y_true == y_pred.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import Accuracy
        >>> Accuracy()([1, 2, 3, 4], [1, 2, 3, 0])
        0.75
    """

    function = staticmethod(accuracy)


class BinaryAccuracy(MeanMetricWrapper):
    """Binary accuracy: the share of values with y_true == (y_pred > threshold).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        threshold: a probability, or 0 for predictions that are logits.

    Raises:
        ArgumentError: the threshold is not a number.

    Example:
        >>> from lamella.metrics import BinaryAccuracy
        >>> BinaryAccuracy(threshold=0.0)([[1.0], [0.0], [0.0], [1.0]], [[0.3], [-2.0], [1.0], [3.0]])
        0.75
    """

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        if (
            isinstance(threshold, bool)
            or not isinstance(threshold, int | float | np.number)
            or not np.isfinite(threshold)
        ):
            raise ArgumentError(f"BinaryAccuracy: threshold must be a number, got {threshold!r}.")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(FunctionMetric):
    """Categorical accuracy: the share of samples whose highest prediction is the class of the one-hot target.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import CategoricalAccuracy
        >>> CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]])
        0.5
    """

    function = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(FunctionMetric):
    """Sparse categorical accuracy: the share of samples whose highest prediction is the class with the target's number.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import SparseCategoricalAccuracy
        >>> metric = SparseCategoricalAccuracy()
        >>> metric([1, 0], [[0.1, 0.9], [0.2, 0.8]])
        0.5
        >>> metric([1, 1], [[0.1, 0.9], [0.2, 0.8]])  # over both batches
        0.75
    """

    function = staticmethod(sparse_categorical_accuracy)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Top-k accuracy: the share of samples whose class, one-hot, is among the k highest predictions.

    Args:
        k: the number of predictions.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import TopKCategoricalAccuracy
        >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [1, 0, 0]], [[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]])
        0.5
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Sparse top-k accuracy: the share of samples whose class number is among the k highest predictions.

    Args:
        k: the number of predictions.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        from_sorted_ids: whether the predictions are class numbers, the most probable first, instead of scores.

    Example:
        >>> from lamella.metrics import SparseTopKCategoricalAccuracy
        >>> SparseTopKCategoricalAccuracy(k=2)([2, 0], [[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]])
        0.5
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=bool(from_sorted_ids))
