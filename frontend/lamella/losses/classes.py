"""The losses by class. Every one takes `reduction`, `name` and `dtype` besides what it names itself."""

from __future__ import annotations

from typing import Any

from lamella import ops
from lamella.losses import check, functions
from lamella.losses.base import MEAN, FunctionLoss, LossFunctionWrapper


class MeanSquaredError(FunctionLoss):
    """mean((y_true - y_pred)**2)

    >>> float(MeanSquaredError()([[1.0, 2.0]], [[1.5, 1.0]]))
    0.625
    """

    function = staticmethod(functions.mean_squared_error)
    targets = staticmethod(check.same_shape)


class MeanAbsoluteError(FunctionLoss):
    """mean(|y_true - y_pred|)

    >>> float(MeanAbsoluteError()([[1.0, 2.0]], [[1.5, 1.0]]))
    0.75
    """

    function = staticmethod(functions.mean_absolute_error)
    targets = staticmethod(check.same_shape)


class MeanAbsolutePercentageError(FunctionLoss):
    """100 mean(|y_true - y_pred| / |y_true|)

    >>> float(MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.5, 1.0]]))
    50.0
    """

    function = staticmethod(functions.mean_absolute_percentage_error)
    targets = staticmethod(check.same_shape)


class MeanSquaredLogarithmicError(FunctionLoss):
    """mean((log(1 + y_true) - log(1 + y_pred))**2)

    >>> round(float(MeanSquaredLogarithmicError()([[1.0, 2.0]], [[1.5, 1.0]])), 4)
    0.1071
    """

    function = staticmethod(functions.mean_squared_logarithmic_error)
    targets = staticmethod(check.same_shape)


class Huber(LossFunctionWrapper):
    """e**2 / 2 up to an error of `delta`, linear beyond.

    References:
        P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.
    """

    targets = staticmethod(check.same_shape)

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str = "huber_loss", dtype: Any = None
    ) -> None:
        if not delta > 0:
            raise ValueError(f"Huber: delta must be positive, got {delta!r}.")
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


class LogCosh(FunctionLoss):
    """mean(log(cosh(y_pred - y_true)))

    >>> round(float(LogCosh()([[1.0, 2.0]], [[1.5, 1.0]])), 4)
    0.2769
    """

    function = staticmethod(functions.log_cosh)
    targets = staticmethod(check.same_shape)


class KLDivergence(FunctionLoss):
    """sum(y_true log(y_true / y_pred))

    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """

    function = staticmethod(functions.kl_divergence)
    targets = staticmethod(check.same_shape)


class Poisson(FunctionLoss):
    """mean(y_pred - y_true log(y_pred))

    >>> round(float(Poisson()([[1.0, 2.0]], [[1.5, 1.0]])), 4)
    1.0473
    """

    function = staticmethod(functions.poisson)
    targets = staticmethod(check.same_shape)


class Hinge(FunctionLoss):
    """mean(max(1 - y_true y_pred, 0)), labels -1 and 1

    >>> float(Hinge()([[-1.0, 1.0]], [[0.5, 0.75]]))
    0.875
    """

    function = staticmethod(functions.hinge)
    targets = staticmethod(check.same_shape)


class SquaredHinge(FunctionLoss):
    """mean(max(1 - y_true y_pred, 0)**2), labels -1 and 1

    >>> round(float(SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.75]])), 4)
    1.1562
    """

    function = staticmethod(functions.squared_hinge)
    targets = staticmethod(check.same_shape)


class CategoricalHinge(FunctionLoss):
    """max(1 - score of the right class + best score of a wrong one, 0)

    >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
    1.25
    """

    function = staticmethod(functions.categorical_hinge)
    targets = staticmethod(check.categorical)


class CosineSimilarity(LossFunctionWrapper):
    """-cos(y_true, y_pred) along `axis`"""

    targets = staticmethod(check.same_shape)

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str = "cosine_similarity", dtype: Any = None
    ) -> None:
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


class BinaryCrossentropy(LossFunctionWrapper):
    """mean(-y log(p) - (1 - y) log(1 - p)); see `losses.binary_crossentropy` for the arguments"""

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
    """-sum(y_true log(p)), one column a class; see `losses.categorical_crossentropy` for the arguments"""

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
    """-log(p[y_true]), class numbers; see `losses.sparse_categorical_crossentropy` for the arguments

    Targets equal to `ignore_class` count for nothing: the mean is over the others.
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

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values, one a class number."""
        return self.fn(y_true, y_pred, **self.kwargs)

    def mask(self, y_true: Any, y_pred: Any, values: Any) -> Any:
        """Where the target is not `ignore_class`."""
        ignored = functions.class_numbers(y_true, y_pred, self.kwargs["ignore_class"], self.kwargs["axis"])[1]
        return None if ignored is None else ops.logical_not(ignored)
