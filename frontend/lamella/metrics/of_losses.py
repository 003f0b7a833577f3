"""Losses watched as metrics: their mean over the samples of all batches."""

from __future__ import annotations

from typing import Any

from lamella import losses, ops
from lamella.losses.base import align_weight, operands
from lamella.losses.functions import class_numbers
from lamella.metrics.base import FunctionMetric, Mean, MeanMetricWrapper, State


class MeanSquaredError(FunctionMetric):
    """mean((y_true - y_pred)**2)"""

    function = staticmethod(losses.mean_squared_error)


class RootMeanSquaredError(Mean):
    """sqrt(mean((y_true - y_pred)**2))"""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update(self, state: State, y_true: Any, y_pred: Any, weight: Any = None) -> State:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add the squared errors of a batch."""
        y_true, y_pred = operands(y_true, y_pred)
        return self.accumulate(state, ops.square(ops.subtract(y_pred, y_true)), weight)

    def compute(self, state: State) -> Any:
        """The root of the mean."""
        return ops.sqrt(super().compute(state))


class MeanAbsoluteError(FunctionMetric):
    """mean(|y_true - y_pred|)"""

    function = staticmethod(losses.mean_absolute_error)


class MeanAbsolutePercentageError(FunctionMetric):
    """100 mean(|y_true - y_pred| / |y_true|)"""

    function = staticmethod(losses.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(FunctionMetric):
    """mean((log(1 + y_true) - log(1 + y_pred))**2)"""

    function = staticmethod(losses.mean_squared_logarithmic_error)


class LogCoshError(MeanMetricWrapper):
    """mean(log(cosh(y_pred - y_true)))"""

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class KLDivergence(FunctionMetric):
    """mean(sum(y_true log(y_true / y_pred)))"""

    function = staticmethod(losses.kl_divergence)


class Poisson(FunctionMetric):
    """mean(y_pred - y_true log(y_pred))"""

    function = staticmethod(losses.poisson)


class Hinge(FunctionMetric):
    """mean(max(1 - y_true y_pred, 0))"""

    function = staticmethod(losses.hinge)


class SquaredHinge(FunctionMetric):
    """mean(max(1 - y_true y_pred, 0)**2)"""

    function = staticmethod(losses.squared_hinge)


class CategoricalHinge(FunctionMetric):
    """mean(max(1 - score of the right class + best score of a wrong one, 0))"""

    function = staticmethod(losses.categorical_hinge)


def cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """cos(y_true, y_pred): the metric grows with likeness, the loss of this name falls"""
    return ops.negative(losses.cosine_similarity(y_true, y_pred, axis))


class CosineSimilarity(MeanMetricWrapper):
    """mean(cos(y_true, y_pred)) along `axis`: 1 for one direction, -1 for opposite ones"""

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine, name, dtype, axis=axis)


class BinaryCrossentropy(MeanMetricWrapper):
    """mean(-y log(p) - (1 - y) log(1 - p)); see `losses.binary_crossentropy`"""

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **options)


class CategoricalCrossentropy(MeanMetricWrapper):
    """mean(-sum(y_true log(p))); see `losses.categorical_crossentropy`"""

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name, dtype, **options)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """mean(-log(p[y_true])); see `losses.sparse_categorical_crossentropy`

    Args:
        name: the key in logs.
        dtype: the dtype of the state.
        from_logits: whether predictions are logits, not probabilities.
        axis: the axis of the classes.
        ignore_class: a label whose positions do not count.
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        axis: int = -1,
        ignore_class: int | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "axis": axis, "ignore_class": ignore_class}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **options)

    def update(self, state: State, y_true: Any, y_pred: Any, weight: Any = None) -> State:
        """Add the values of a batch, all but those of the ignored class."""
        values = ops.convert_to_tensor(self.fn(y_true, y_pred, **self.kwargs))
        words = self.kwargs["ignore_class"], self.kwargs["axis"]
        ignored = class_numbers(y_true, ops.convert_to_tensor(y_pred), *words)[1]
        if ignored is not None:
            counted = ops.cast(ops.logical_not(ignored), self.dtype)
            weight = counted if weight is None else ops.multiply(*align_weight(ops.cast(weight, self.dtype), counted))
        return self.accumulate(state, values, weight)
