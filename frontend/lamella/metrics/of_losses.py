"""Losses as metrics: their mean over the samples of all batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import losses, ops
from lamella.losses.base import align_weight, operands
from lamella.losses.functions import class_numbers
from lamella.metrics.base import FunctionMetric, Mean, MeanMetricWrapper, State

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class MeanSquaredError(FunctionMetric):
    """Mean squared error: mean((y_true - y_pred)**2).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import MeanSquaredError
        >>> MeanSquaredError()([[1.0, 2.0]], [[1.5, 1.0]])
        0.625
    """

    function = staticmethod(losses.mean_squared_error)


class RootMeanSquaredError(Mean):
    """Root mean squared error: sqrt(mean((y_true - y_pred)**2)), with the mean over all batches.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import RootMeanSquaredError
        >>> RootMeanSquaredError()([[1.0], [2.0]], [[3.0], [2.0]], sample_weight=[1.0, 0.0])
        2.0
    """

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update(self, state: State, y_true: ArrayLike, y_pred: ArrayLike, weight: Tensor | None = None) -> State:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add the squared errors of a batch."""
        y_true, y_pred = operands(y_true, y_pred)
        return self.accumulate(state, ops.square(ops.subtract(y_pred, y_true)), weight)

    def compute(self, state: State) -> Tensor:
        """The root of the mean."""
        return ops.sqrt(super().compute(state))


class MeanAbsoluteError(FunctionMetric):
    """Mean absolute error: mean(|y_true - y_pred|).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import MeanAbsoluteError
        >>> MeanAbsoluteError()([[1.0, 2.0]], [[1.5, 1.0]])
        0.75
    """

    function = staticmethod(losses.mean_absolute_error)


class MeanAbsolutePercentageError(FunctionMetric):
    """Mean absolute percentage error: 100 mean(|y_true - y_pred| / |y_true|).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import MeanAbsolutePercentageError
        >>> MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.5, 1.0]])
        50.0
    """

    function = staticmethod(losses.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(FunctionMetric):
    """Mean squared logarithmic error: mean((log(1 + y_true) - log(1 + y_pred))**2).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import MeanSquaredLogarithmicError
        >>> round(MeanSquaredLogarithmicError()([[1.0, 2.0]], [[1.5, 1.0]]), 4)
        0.1071
    """

    function = staticmethod(losses.mean_squared_logarithmic_error)


class LogCoshError(MeanMetricWrapper):
    """Logarithm of the hyperbolic cosine of the error: mean(log(cosh(y_pred - y_true))).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import LogCoshError
        >>> round(LogCoshError()([[1.0, 2.0]], [[1.5, 1.0]]), 4)
        0.2769
    """

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class KLDivergence(FunctionMetric):
    """Kullback-Leibler divergence: mean(sum(y_true log(y_true / y_pred))).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import KLDivergence
        >>> round(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)
        0.1438
    """

    function = staticmethod(losses.kl_divergence)


class Poisson(FunctionMetric):
    """Negative log likelihood of a Poisson distribution, up to a constant: mean(y_pred - y_true log(y_pred)).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import Poisson
        >>> round(Poisson()([[1.0, 2.0]], [[1.5, 1.0]]), 4)
        1.0473
    """

    function = staticmethod(losses.poisson)


class Hinge(FunctionMetric):
    """Hinge loss of labels -1 and 1 (or 0 and 1): mean(max(1 - y_true y_pred, 0)).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import Hinge
        >>> Hinge()([[-1.0, 1.0]], [[0.5, 0.75]])
        0.875
    """

    function = staticmethod(losses.hinge)


class SquaredHinge(FunctionMetric):
    """Squared hinge loss of labels -1 and 1 (or 0 and 1): mean(max(1 - y_true y_pred, 0)**2).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import SquaredHinge
        >>> SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.75]])
        1.15625
    """

    function = staticmethod(losses.squared_hinge)


class CategoricalHinge(FunctionMetric):
    """Multiclass hinge loss: mean(max(1 - score of the true class + largest other score, 0)).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import CategoricalHinge
        >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]])
        1.25
    """

    function = staticmethod(losses.categorical_hinge)


def cosine(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """cos(y_true, y_pred), the negative of the loss `cosine_similarity`."""
    return ops.negative(losses.cosine_similarity(y_true, y_pred, axis))


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine similarity along `axis`: 1 for equal directions, -1 for opposite ones.

    The loss of this name is the negative.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        axis: the axis of the vectors.

    Example:
        >>> from lamella.metrics import CosineSimilarity
        >>> CosineSimilarity()([[0.0, 1.0], [0.0, 1.0]], [[0.0, 5.0], [3.0, 0.0]])
        0.5
    """

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine, name, dtype, axis=axis)


class BinaryCrossentropy(MeanMetricWrapper):
    """Binary crossentropy: mean(-y log(p) - (1 - y) log(1 - p)).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        from_logits: whether predictions are logits, p = sigmoid(y_pred), instead of probabilities.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / 2.

    Example:
        >>> from lamella.metrics import BinaryCrossentropy
        >>> round(BinaryCrossentropy()([[1.0], [0.0]], [[0.9], [0.5]]), 4)
        0.3993
    """

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
    """Categorical crossentropy of one-hot labels: mean(-sum(y_true log(p))).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        from_logits: whether predictions are logits, p = softmax(y_pred), instead of probabilities.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.

    Example:
        >>> from lamella.metrics import CategoricalCrossentropy
        >>> round(CategoricalCrossentropy()([[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]]), 4)
        0.6931
    """

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
    """Categorical crossentropy of class numbers: mean(-log(p[y_true])).

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        from_logits: whether predictions are logits, p = softmax(y_pred), instead of probabilities.
        axis: the axis of the classes.
        ignore_class: a label that is left out of the mean; None for none.

    Example:
        >>> from lamella.metrics import SparseCategoricalCrossentropy
        >>> metric = SparseCategoricalCrossentropy(ignore_class=-1)
        >>> round(metric([1, -1], [[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]]), 4)
        0.6931
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

    def update(self, state: State, y_true: ArrayLike, y_pred: ArrayLike, weight: Tensor | None = None) -> State:
        """Add the values of a batch, except those of the ignored class."""
        values = ops.convert_to_tensor(self.fn(y_true, y_pred, **self.kwargs))
        words = self.kwargs["ignore_class"], self.kwargs["axis"]
        ignored = class_numbers(y_true, ops.convert_to_tensor(y_pred), *words)[1]
        if ignored is not None:
            counted = ops.cast(ops.logical_not(ignored), self.dtype)
            weight = counted if weight is None else ops.multiply(*align_weight(ops.cast(weight, self.dtype), counted))
        return self.accumulate(state, values, weight)
