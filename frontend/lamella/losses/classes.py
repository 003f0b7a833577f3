"""The losses as classes, which all take `reduction`, `name` and `dtype`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.losses import check, functions
from lamella.losses.base import MEAN, FunctionLoss, LossFunctionWrapper

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class MeanSquaredError(FunctionLoss):
    """Mean squared error: mean((y_true - y_pred)**2).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import MeanSquaredError
        >>> float(MeanSquaredError()([[1.0, 2.0]], [[1.5, 1.0]]))
        0.625
        >>> MeanSquaredError(reduction="none")([[1.0, 2.0], [0.0, 0.0]], [[1.5, 1.0], [0.0, 0.0]])
        array([0.625, 0.   ], dtype=float32)
    """

    function = staticmethod(functions.mean_squared_error)
    targets = staticmethod(check.same_shape)


class MeanAbsoluteError(FunctionLoss):
    """Mean absolute error: mean(|y_true - y_pred|).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import MeanAbsoluteError
        >>> float(MeanAbsoluteError()([[1.0, 2.0]], [[1.5, 1.0]]))
        0.75
    """

    function = staticmethod(functions.mean_absolute_error)
    targets = staticmethod(check.same_shape)


class MeanAbsolutePercentageError(FunctionLoss):
    """Mean absolute percentage error: 100 mean(|y_true - y_pred| / |y_true|).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import MeanAbsolutePercentageError
        >>> float(MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.5, 1.0]]))
        50.0
    """

    function = staticmethod(functions.mean_absolute_percentage_error)
    targets = staticmethod(check.same_shape)


class MeanSquaredLogarithmicError(FunctionLoss):
    """Mean squared logarithmic error: mean((log(1 + y_true) - log(1 + y_pred))**2).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import MeanSquaredLogarithmicError
        >>> round(float(MeanSquaredLogarithmicError()([[1.0, 2.0]], [[1.5, 1.0]])), 4)
        0.1071
    """

    function = staticmethod(functions.mean_squared_logarithmic_error)
    targets = staticmethod(check.same_shape)


class Huber(LossFunctionWrapper):
    """Huber loss: e**2 / 2 up to an error of `delta`, and linear beyond.

    Args:
        delta: the error at which the loss becomes linear; positive.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `delta` is not positive, or `reduction` is unknown.

    References:
        P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964,
        https://doi.org/10.1214/aoms/1177703732.

    Example:
        >>> from lamella.losses import Huber
        >>> Huber(reduction="none")([[0.0], [0.0]], [[0.5], [10.0]])
        array([0.125, 9.5  ], dtype=float32)
    """

    targets = staticmethod(check.same_shape)

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str = "huber_loss", dtype: Any = None
    ) -> None:
        if not delta > 0:
            raise ValueError(f"Huber: delta must be positive, got {delta!r}.")
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


class LogCosh(FunctionLoss):
    """Logarithm of the hyperbolic cosine of the error: mean(log(cosh(y_pred - y_true))).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import LogCosh
        >>> round(float(LogCosh()([[1.0, 2.0]], [[1.5, 1.0]])), 4)
        0.2769
    """

    function = staticmethod(functions.log_cosh)
    targets = staticmethod(check.same_shape)


class KLDivergence(FunctionLoss):
    """Kullback-Leibler divergence: sum(y_true log(y_true / y_pred)).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    References:
        S. Kullback, R. A. Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22, 1951,
        https://doi.org/10.1214/aoms/1177729694.

    Example:
        >>> from lamella.losses import KLDivergence
        >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    function = staticmethod(functions.kl_divergence)
    targets = staticmethod(check.same_shape)


class Poisson(FunctionLoss):
    """Negative log likelihood of a Poisson distribution, up to a constant: mean(y_pred - y_true log(y_pred)).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import Poisson
        >>> round(float(Poisson()([[1.0, 2.0]], [[1.5, 1.0]])), 4)
        1.0473
    """

    function = staticmethod(functions.poisson)
    targets = staticmethod(check.same_shape)


class Hinge(FunctionLoss):
    """Hinge loss of labels -1 and 1 (or 0 and 1): mean(max(1 - y_true y_pred, 0)).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import Hinge
        >>> float(Hinge()([[-1.0, 1.0]], [[0.5, 0.75]]))
        0.875
    """

    function = staticmethod(functions.hinge)
    targets = staticmethod(check.same_shape)


class SquaredHinge(FunctionLoss):
    """Squared hinge loss of labels -1 and 1 (or 0 and 1): mean(max(1 - y_true y_pred, 0)**2).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import SquaredHinge
        >>> round(float(SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.75]])), 4)
        1.1562
    """

    function = staticmethod(functions.squared_hinge)
    targets = staticmethod(check.same_shape)


class CategoricalHinge(FunctionLoss):
    """Multiclass hinge loss of one-hot labels: max(1 - score of the true class + largest other score, 0).

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import CategoricalHinge
        >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
        1.25
    """

    function = staticmethod(functions.categorical_hinge)
    targets = staticmethod(check.categorical)


class CosineSimilarity(LossFunctionWrapper):
    """Negative cosine similarity along `axis`: -1 for equal directions, 1 for opposite ones.

    Args:
        axis: the axis of the vectors.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import CosineSimilarity
        >>> CosineSimilarity(reduction="none")([[0.0, 1.0], [0.0, 1.0]], [[0.0, 5.0], [0.0, -3.0]])
        array([-1.,  1.], dtype=float32)
    """

    targets = staticmethod(check.same_shape)

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str = "cosine_similarity", dtype: Any = None
    ) -> None:
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


class BinaryCrossentropy(LossFunctionWrapper):
    """Binary crossentropy: mean(-y log(p) - (1 - y) log(1 - p)).

    Targets are labels y from 0 to 1, of the shape of the predictions. Probabilities are clipped to [1e-7, 1 - 1e-7].

    Args:
        from_logits: whether predictions are logits, p = sigmoid(y_pred), instead of probabilities.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / 2.
        axis: the axis of the mean.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `label_smoothing` is not from 0 to 1, or `reduction` is unknown.

    Example:
        >>> from lamella.losses import BinaryCrossentropy
        >>> round(float(BinaryCrossentropy()([[1.0], [0.0]], [[0.9], [0.5]])), 4)
        0.3993
        >>> round(float(BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])), 4)
        0.6931
    """

    targets = staticmethod(check.binary)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        check.fraction("label_smoothing", label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.binary_crossentropy, reduction, name, dtype, **options)


class CategoricalCrossentropy(LossFunctionWrapper):
    """Categorical crossentropy of one-hot labels: -sum(y_true log(p)).

    Targets and predictions have one column per class, `(batch, ..., classes)`. Probabilities are divided by their sum.

    Args:
        from_logits: whether predictions are logits, p = softmax(y_pred), instead of probabilities.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `label_smoothing` is not from 0 to 1, or `reduction` is unknown.

    Example:
        >>> from lamella.losses import CategoricalCrossentropy
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]])), 4)
        0.6931
    """

    targets = staticmethod(check.categorical)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        check.fraction("label_smoothing", label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_crossentropy, reduction, name, dtype, **options)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Categorical crossentropy of class numbers: -log(p[y_true]).

    Targets are integers `(batch, ...)` or `(batch, ..., 1)`, predictions `(batch, ..., classes)`. Targets equal to
    `ignore_class` are left out: the mean is over the others.

    Args:
        from_logits: whether predictions are logits, p = softmax(y_pred), instead of probabilities.
        ignore_class: a label that is left out, such as -1 for pixels without a label; None for none.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        axis: the axis of the classes.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import SparseCategoricalCrossentropy
        >>> loss = SparseCategoricalCrossentropy(ignore_class=-1)
        >>> round(float(loss([1, -1], [[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]])), 4)
        0.6931
    """

    targets = staticmethod(check.sparse)
    integer_targets = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(functions.sparse_categorical_crossentropy, reduction, name, dtype, **options)

    def call(self, y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
        """The values, one per class number."""
        return self.fn(y_true, y_pred, **self.kwargs)

    def mask(self, y_true: ArrayLike, y_pred: ArrayLike, values: ArrayLike) -> Tensor | None:
        """True where the target is not `ignore_class`."""
        y_pred = ops.convert_to_tensor(y_pred)
        ignored = functions.class_numbers(y_true, y_pred, self.kwargs["ignore_class"], self.kwargs["axis"])[1]
        return None if ignored is None else ops.logical_not(ignored)
