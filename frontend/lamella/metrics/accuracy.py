"""How often predictions are right: functions to 0 or 1 a sample, and their means as metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError
from lamella.ir.spec import promote, spec_of
from lamella.losses.base import of_one_shape
from lamella.losses.functions import class_numbers
from lamella.metrics.base import FunctionMetric, MeanMetricWrapper


def _right(matches: Any) -> Any:
    return ops.cast(matches, "float32")


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_true == y_pred, else 0"""
    return _right(ops.equal(*of_one_shape(y_true, y_pred)))


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y_true == (y_pred > threshold), else 0"""
    y_true, y_pred = of_one_shape(y_true, y_pred)
    dtype = promote(spec_of(y_true).dtype, "float32")
    return _right(ops.equal(ops.cast(y_true, dtype), ops.cast(ops.greater(y_pred, threshold), dtype)))


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where argmax(y_true) == argmax(y_pred) over the last axis, else 0; of ties the first counts"""
    y_true, y_pred = of_one_shape(y_true, y_pred, squeeze=False)
    return _right(ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_true == argmax(y_pred) over the last axis, else 0; of ties the first counts"""
    y_true, y_pred = _labels(y_true, y_pred)
    return _right(ops.equal(y_true, ops.argmax(y_pred, -1)))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the class argmax(y_true) is among the k highest predictions, else 0; ties with the k-th count as in"""
    y_true, y_pred = of_one_shape(y_true, y_pred, squeeze=False)
    return _in_top(ops.argmax(y_true, -1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """1 where the class y_true is among the k highest predictions, else 0; ties with the k-th count as in

    Args:
        y_true: class numbers.
        y_pred: predictions (..., classes); with `from_sorted_ids` class numbers (..., n), the most probable first.
        k: how many of them.
        from_sorted_ids: whether `y_pred` holds class numbers.
    """
    labels, y_pred = _labels(y_true, y_pred)
    if from_sorted_ids:
        return _right(ops.any(ops.equal(ops.expand_dims(labels, -1), y_pred[..., :k]), -1))
    return _in_top(labels, y_pred, k)


def _labels(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Class numbers as int32 without a trailing 1."""
    y_pred = ops.convert_to_tensor(y_pred)
    return class_numbers(y_true, y_pred, None)[0], y_pred


def _in_top(labels: Any, y_pred: Any, k: int) -> Any:
    """Whether fewer than k predictions are higher than that of the label: no sorting needed. A NaN is never in."""
    hit = ops.one_hot(labels, y_pred.shape[-1], dtype="bool")
    # a label outside all classes finds no prediction: -inf, which everything exceeds
    own = ops.max(ops.where(hit, y_pred, float("-inf")), -1, keepdims=True)
    own = ops.where(ops.isnan(own), float("-inf"), own)
    higher = ops.sum(ops.cast(ops.greater(y_pred, own), "int32"), -1)
    return _right(ops.less(higher, k))


class Accuracy(FunctionMetric):
    """How often y_true == y_pred."""

    function = staticmethod(accuracy)


class BinaryAccuracy(MeanMetricWrapper):
    """How often y_true == (y_pred > threshold).

    >>> import numpy as np
    >>> BinaryAccuracy(threshold=0.0)(np.array([[1.0], [0.0]]), np.array([[0.3], [-2.0]]))
    1.0

    Args:
        name: the key in logs.
        dtype: the dtype of the state.
        threshold: a probability, or, for predictions that are logits, 0.

    Raises:
        ArgumentError: the threshold is not a number.
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
    """How often the highest prediction is the class of one-hot targets."""

    function = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(FunctionMetric):
    """How often the highest prediction is the class the target numbers."""

    function = staticmethod(sparse_categorical_accuracy)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class of one-hot targets is among the k highest predictions."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class the target numbers is among the k highest predictions.

    Args:
        k: how many of them.
        name: the key in logs.
        dtype: the dtype of the state.
        from_sorted_ids: whether the predictions are class numbers, the most probable first, instead of scores.
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=bool(from_sorted_ids))
