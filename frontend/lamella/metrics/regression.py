"""How much of the targets predictions explain: the coefficient of determination, and correlations."""

from __future__ import annotations

import warnings
from typing import Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.dim import as_number, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.losses.base import divide_no_nan, of_one_shape, operands
from lamella.metrics.base import MeanMetricWrapper, Metric, State
from lamella.tracebacks import user_level

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """1 - sum((y_true - y_pred)**2) / sum((y_true - mean)**2) of each output, averaged; (batch, outputs)

    The sum of squares around the mean is joined from batch to batch around the mean so far, which keeps its digits where
    targets lie far from 0. An output whose targets are all equal has the value 0.

    Args:
        class_aggregation: "uniform_average", "variance_weighted_average", or None for one value an output.
        num_regressors: the number p of independent regressors, for the adjusted score 1 - (1 - r)(n - 1) / (n - p - 1),
            where n counts the rows with a weight other than 0; 0 is the plain score.
        name: the key in logs.
        dtype: the dtype of the state.

    References:
        T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
        1979.
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
        """See how many outputs there are.

        Raises:
            ValueError: predictions are not (batch, outputs), or the targets do not fit them.
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
        """For each output the weight, the mean, the sum of squares around it and the residual's; the number of rows."""
        each = {name: ((self._outputs,), self.dtype, 0.0) for name in ("weight", "mean", "squares", "residual")}
        return {**each, "num_samples": ((), self.dtype, 0.0)}

    def update(self, state: State, y_true: Any, y_pred: Any, weight: Any = None) -> State:
        """Join a batch to the sums."""
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

    def compute(self, state: State) -> Any:
        """A number, or without an aggregation one an output."""
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
                f"regressors, and has {float(samples):g}; this is the plain score.",
                stacklevel=user_level(),
            )
            return score
        return ops.subtract(1.0, ops.multiply(ops.subtract(1.0, score), (float(samples) - 1.0) / free))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """mean(a b), where a and b are y_true and y_pred less their means, divided by their deviations, along `axis`

    Without a deviation there is no correlation: the value is 0.
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.multiply(_standard(y_true, axis), _standard(y_pred, axis)), axis)


def _standard(x: Any, axis: int) -> Any:
    centred = ops.subtract(x, ops.mean(x, axis, keepdims=True))
    return divide_no_nan(centred, ops.std(centred, axis, keepdims=True))


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """2 cov / (var(y_true) + var(y_pred) + (difference of the means)**2 + 1e-7) along `axis`"""
    y_true, y_pred = operands(y_true, y_pred)
    means = [ops.mean(x, axis, keepdims=True) for x in (y_true, y_pred)]
    centred = [ops.subtract(x, mean) for x, mean in zip((y_true, y_pred), means, strict=True)]
    variances = ops.add(*(ops.var(x, axis, keepdims=True) for x in centred))
    scale = ops.add(variances, ops.square(ops.subtract(*means)))
    return ops.mean(ops.divide(ops.multiply(2.0, ops.multiply(*centred)), ops.add(scale, settings.epsilon())), axis)


class PearsonCorrelation(MeanMetricWrapper):
    """mean(Pearson's correlation of each row along `axis`); see `metrics.pearson_correlation`"""

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """mean(Lin's concordance correlation of each row along `axis`); see `metrics.concordance_correlation`"""

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
