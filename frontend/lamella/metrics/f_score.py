"""The F score: the weighted harmonic mean of precision and recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.dim import public_shape
from lamella.ir.spec import Shape, Spec
from lamella.losses.base import of_one_shape
from lamella.metrics.base import Metric, State

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """F-beta score: (1 + beta**2) precision recall / (beta**2 precision + recall).

    Targets and predictions are `(batch, classes)`.

    Args:
        average: None returns one value per class, an array; "micro" counts all classes together, "macro" averages the
            classes, "weighted" averages them by their number of positive labels.
        beta: how many times as important recall is as precision; positive.
        threshold: predictions above it are positive; None selects the highest of a row.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is unknown or out of range.

    Example:
        >>> from lamella.metrics import FBetaScore
        >>> metric = FBetaScore(beta=2.0, threshold=0.5)
        >>> metric([[1, 0], [1, 1]], [[0.9, 0.8], [0.2, 0.7]]).round(3)
        array([0.556, 0.833], dtype=float32)
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if average not in AVERAGES:
            raise ValueError(f"average must be one of {', '.join(map(repr, AVERAGES))}, got {average!r}.")
        if isinstance(beta, bool) or not beta > 0:
            raise ValueError(f"beta must be positive, got {beta!r}.")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, got {threshold!r}.")
        self.average, self.beta, self.threshold = average, float(beta), threshold
        self._classes = 1

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Set the number of classes.

        Raises:
            ValueError: targets or predictions are not `(batch, classes)`.
        """
        if len(prediction.shape) != 2 or tuple(y.shape[1:]) != tuple(prediction.shape[1:]):
            shapes = [public_shape(spec.shape) for spec in (y, prediction)]
            raise ShapeError(
                f"metric {self.name!r} takes targets and predictions (batch, classes), got {shapes[0]} and {shapes[1]}."
            )
        self._classes = prediction.shape[-1]

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """Counts per class: true and false positives, false negatives."""
        names = ("true_positives", "false_positives", "false_negatives")
        return {name: ((self._classes,), self.dtype, 0.0) for name in names}

    def update(self, state: State, y_true: ArrayLike, y_pred: ArrayLike, weight: Tensor | None = None) -> State:
        """Count a batch `(batch, classes)`."""
        y_true, y_pred = of_one_shape(ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype), squeeze=False)
        if self.threshold is None:
            highest = ops.greater_equal(y_pred, ops.max(y_pred, -1, keepdims=True))
            chosen = ops.logical_and(highest, ops.greater(ops.abs(y_pred), 1e-9))
        else:
            chosen = ops.greater(y_pred, self.threshold)
        chosen = ops.cast(chosen, self.dtype)
        one = 1.0 if weight is None else ops.reshape(ops.cast(weight, self.dtype), (-1, 1))
        counted = {
            "true_positives": ops.multiply(chosen, y_true),
            "false_positives": ops.multiply(chosen, ops.subtract(1.0, y_true)),
            "false_negatives": ops.multiply(ops.subtract(1.0, chosen), y_true),
        }
        return {name: ops.add(state[name], ops.sum(ops.multiply(x, one), 0)) for name, x in counted.items()}

    def compute(self, state: State) -> Tensor:
        """A number, or without an average one per class."""
        tp, fp, fn = state["true_positives"], state["false_positives"], state["false_negatives"]
        positives = ops.add(tp, fn)
        if self.average == "micro":
            tp, fp, fn = ops.sum(tp), ops.sum(fp), ops.sum(fn)
        epsilon = settings.epsilon()
        precision = ops.divide(tp, ops.add(ops.add(tp, fp), epsilon))
        recall = ops.divide(tp, ops.add(ops.add(tp, fn), epsilon))
        square = self.beta**2
        mean = ops.add(ops.add(ops.multiply(square, precision), recall), epsilon)
        score = ops.multiply(ops.divide(ops.multiply(precision, recall), mean), 1.0 + square)
        if self.average == "weighted":
            return ops.sum(ops.multiply(score, ops.divide(positives, ops.add(ops.sum(positives), epsilon))))
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """F1 score: 2 precision recall / (precision + recall).

    Targets and predictions are `(batch, classes)`.

    Args:
        average: None returns one value per class, an array; "micro" counts all classes together, "macro" averages the
            classes, "weighted" averages them by their number of positive labels.
        threshold: predictions above it are positive; None selects the highest of a row.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is unknown or out of range.

    Example:
        >>> from lamella.metrics import F1Score
        >>> round(F1Score(average="macro")([[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), 3)
        0.667
    """

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = "f1_score", dtype: Any = None
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        config = super().get_config()
        del config["beta"]
        return config
