"""The coefficient of determination, and correlations of targets and predictions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.dim import as_number, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.losses.base import divide_no_nan, of_one_shape, operands
from lamella.metrics.base import MeanMetricWrapper, Metric, State
from lamella.tracebacks import user_level

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """Coefficient of determination: 1 - sum((y_true - y_pred)**2) / sum((y_true - mean)**2), averaged over outputs.

    Targets and predictions are `(batch, outputs)`. The sums of squares of two batches are combined around their means,
    which is accurate also for targets far from 0. An output whose targets are all equal has the value 0.

    Args:
        class_aggregation: "uniform_average", "variance_weighted_average", or None for one value per output.
        num_regressors: the number p of independent regressors, for the adjusted score 1 - (1 - r)(n - 1) / (n - p - 1),
            where n is the number of rows with a nonzero weight; 0 is the plain score.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is unknown or out of range.

    References:
        T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", COMPSTAT 1982, https://doi.org/10.1007/978-3-642-51461-6_3.

    Example:
        >>> from lamella.metrics import R2Score
        >>> R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]])
        0.5
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if class_aggregation not in AGGREGATIONS:
            raise ValueError(
                f"class_aggregation must be one of {', '.join(map(repr, AGGREGATIONS))}, got {class_aggregation!r}."
            )
        if isinstance(num_regressors, bool) or num_regressors < 0:
            raise ValueError(f"num_regressors must not be negative, got {num_regressors!r}.")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self._outputs = 1

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Set the number of outputs.

        Raises:
            ValueError: predictions are not `(batch, outputs)`, or the targets do not fit them.
        """
        outputs = public_shape(prediction.shape[1:])
        given = public_shape(y.shape[1:])
        if len(outputs) != 1 or given not in (outputs, () if outputs == (1,) else outputs):
            raise ShapeError(
                f"metric {self.name!r} takes targets and predictions (batch, outputs), got {('batch', *given)} and "
                f"{('batch', *outputs)}."
            )
        self._outputs = outputs[0]

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """Per output the weight, the mean, the sums of squares around it and of the residual; the number of rows."""
        each = {name: ((self._outputs,), self.dtype, 0.0) for name in ("weight", "mean", "squares", "residual")}
        return {**each, "num_samples": ((), self.dtype, 0.0)}

    def update(self, state: State, y_true: Any, y_pred: Any, weight: Any = None) -> State:
        """Combine a batch with the sums."""
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        y_true, y_pred = of_one_shape(y_true, y_pred)
        if weight is None:
            w = ops.ones_like(y_true)
            samples: Any = as_number(y_true.shape[0])
        else:
            w = ops.cast(weight, self.dtype)
            w = ops.broadcast_to(ops.reshape(w, (-1, 1)) if len(w.shape) == 1 else w, y_true.shape)
            samples = ops.sum(ops.cast(ops.any(ops.not_equal(w, 0.0), 1), self.dtype))
        amount = ops.sum(w, 0)
        mean = divide_no_nan(ops.sum(ops.multiply(w, y_true), 0), amount)
        squares = ops.sum(ops.multiply(w, ops.square(ops.subtract(y_true, mean))), 0)
        total = ops.add(state["weight"], amount)
        apart = ops.subtract(mean, state["mean"])
        share = divide_no_nan(amount, total)
        between = ops.multiply(ops.multiply(ops.square(apart), state["weight"]), share)
        residual = ops.sum(ops.multiply(w, ops.square(ops.subtract(y_true, y_pred))), 0)
        return {
            "weight": total,
            "mean": ops.add(state["mean"], ops.multiply(apart, share)),
            "squares": ops.add(ops.add(state["squares"], squares), between),
            "residual": ops.add(state["residual"], residual),
            "num_samples": ops.add(state["num_samples"], samples),
        }

    def compute(self, state: State) -> Tensor:
        """A number, or without an aggregation one per output."""
        squares = state["squares"]
        flat = ops.equal(squares, 0.0)
        score = ops.where(flat, 0.0, ops.subtract(1.0, ops.divide(state["residual"], ops.where(flat, 1.0, squares))))
        if self.class_aggregation == "uniform_average":
            score = ops.mean(score)
        elif self.class_aggregation == "variance_weighted_average":
            score = divide_no_nan(ops.sum(ops.multiply(squares, score)), ops.sum(squares))
        return self._adjusted(score, state["num_samples"]) if self.num_regressors else score

    def _adjusted(self, score: Any, samples: Any) -> Any:
        free = float(samples) - self.num_regressors - 1.0
        if free <= 0:
            warnings.warn(
                f"the adjusted R2 score needs more than {self.num_regressors + 1} rows for {self.num_regressors} "
                f"regressors, got {float(samples):g}; returning the plain score.",
                stacklevel=user_level(),
            )
            return score
        return ops.subtract(1.0, ops.multiply(ops.subtract(1.0, score), (float(samples) - 1.0) / free))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}


def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Pearson's correlation along `axis`: mean(a b) of targets and predictions standardized to mean 0 and deviation 1.

    The value is 0 where one of them is constant.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.
        axis: the axis of the values that are correlated.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.metrics import pearson_correlation
        >>> pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]).round(3)
        array([1.], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.multiply(_standard(y_true, axis), _standard(y_pred, axis)), axis)


def _standard(x: ArrayLike, axis: int) -> Tensor:
    centered = ops.subtract(x, ops.mean(x, axis, keepdims=True))
    return divide_no_nan(centered, ops.std(centered, axis, keepdims=True))


def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Lin's concordance correlation along `axis`: 2 cov / (var(y_true) + var(y_pred) + (mean difference)**2 + 1e-7).

    Unlike Pearson's, it is 1 only where predictions equal targets.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.
        axis: the axis of the values that are correlated.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989,
        https://doi.org/10.2307/2532051.

    Example:
        >>> from lamella.metrics import concordance_correlation
        >>> concordance_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]).round(3)
        array([0.364], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    means = [ops.mean(x, axis, keepdims=True) for x in (y_true, y_pred)]
    centered = [ops.subtract(x, mean) for x, mean in zip((y_true, y_pred), means, strict=True)]
    variances = ops.add(*(ops.var(x, axis, keepdims=True) for x in centered))
    scale = ops.add(variances, ops.square(ops.subtract(*means)))
    return ops.mean(ops.divide(ops.multiply(2.0, ops.multiply(*centered)), ops.add(scale, settings.epsilon())), axis)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean over rows of Pearson's correlation along `axis`; see `metrics.pearson_correlation`.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        axis: the axis of the values that are correlated.

    Example:
        >>> from lamella.metrics import PearsonCorrelation
        >>> round(PearsonCorrelation()([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0], [1.0, 3.0, 2.0]]), 3)
        0.75
    """

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean over rows of Lin's concordance correlation along `axis`; see `metrics.concordance_correlation`.

    Args:
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        axis: the axis of the values that are correlated.

    References:
        L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989,
        https://doi.org/10.2307/2532051.

    Example:
        >>> from lamella.metrics import ConcordanceCorrelation
        >>> round(ConcordanceCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]), 3)
        0.364
    """

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
