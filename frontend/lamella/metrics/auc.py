"""The area under a curve of two rates over a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError, unknown_name
from lamella.ir import settings
from lamella.ir.dim import public_shape
from lamella.ir.spec import Spec
from lamella.losses.base import divide_no_nan
from lamella.metrics.base import State
from lamella.metrics.confusion import Confusion, Counts, even_thresholds, threshold_list

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "minoring", "majoring")


class AUC(Confusion):
    """The area under the ROC curve (true over false positive rate), or under another curve, as a sum over thresholds.

    Targets are labels 0 and 1, predictions probabilities of the same shape.

    Args:
        num_thresholds: the number of thresholds, at least 2: 0 and 1, and equal steps between.
        curve: "ROC", "PR" (precision over recall) or "PRGAIN" (precision gain over recall gain).
        summation_method: "interpolation" (the trapezoidal rule; for "PR" the formula of Davis and Goadrich), "minoring"
            or "majoring" (the lower or upper sum).
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        thresholds: thresholds between 0 and 1, instead of `num_thresholds`.
        multi_label: whether predictions `(batch, labels)` have one curve per label, whose areas are averaged.
        num_labels: the number of labels; None uses the shape of the predictions.
        label_weights: with `multi_label` the weight of each label's area, otherwise of each column's predictions.
        from_logits: whether predictions are logits.

    Raises:
        ValueError: an argument is unknown or out of range.

    References:
        J. Davis, M. Goadrich, "The relationship between Precision-Recall and ROC curves", ICML 2006,
        https://doi.org/10.1145/1143844.1143874.
        P. Flach, M. Kull, "Precision-Recall-Gain curves: PR analysis done right", NeurIPS 2015,
        https://proceedings.neurips.cc/paper/2015/hash/33e8075e9970de0cfea955afd4644bb2-Abstract.html.

    Example:
        >>> from lamella.metrics import AUC
        >>> AUC(num_thresholds=3)([0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.3, 0.9])
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = _choice("curve", curve, CURVES)
        self.summation_method = _choice("summation method", summation_method, SUMMATIONS)
        if num_labels is not None and not multi_label:
            raise ValueError("AUC: num_labels requires multi_label=True.")
        if thresholds is None:
            if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int) or num_thresholds < 2:
                raise ValueError(f"AUC: num_thresholds must be an integer of at least 2, got {num_thresholds!r}.")
            inner = even_thresholds(num_thresholds)[1:-1]
        else:
            inner = sorted(threshold_list(list(thresholds)))
        # beyond 0 and 1, so that the curve reaches its end points
        self._own = None if thresholds is None else inner
        ends = (-settings.epsilon(), 1.0 + settings.epsilon())
        super().__init__([ends[0], *inner, ends[1]], name, dtype, labels=num_labels)
        self.num_thresholds = len(self.thresholds)
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Set the number of labels.

        Raises:
            ValueError: predictions are not `(batch, labels)`, or the numbers of labels differ.
        """
        shape = public_shape(prediction.shape)
        width = shape[-1] if len(shape) > 1 else 1
        if self.multi_label:
            if len(shape) != 2 or self.num_labels not in (None, width):
                wanted = "labels" if self.num_labels is None else self.num_labels
                raise ShapeError(
                    f"metric {self.name!r}: multi_label=True takes predictions (batch, {wanted}), got {shape}."
                )
            self.labels = width
        if self.label_weights is not None and len(self.label_weights) != width:
            raise ShapeError(
                f"metric {self.name!r} has {len(self.label_weights)} label_weights for predictions {shape}: expected one "
                "per label."
            )

    def scores(self, y_pred: ArrayLike) -> Any:
        """The predictions as probabilities."""
        return ops.sigmoid(y_pred) if self.from_logits else y_pred

    def weighed(self, x: ArrayLike) -> Any:
        """The weights of predictions, with label weights and a single curve times the weight of the column."""
        if self.label_weights is None or self.multi_label:
            return x
        return ops.multiply(x, np.asarray(self.label_weights, self.dtype))

    def compute(self, state: State) -> Tensor:
        """The area."""
        n = self.counts(state)
        if self.curve == "PR" and self.summation_method == "interpolation":
            pieces = _interpolated(n)
        else:
            x, y = {"ROC": _roc, "PR": _precision_recall, "PRGAIN": _gains}[self.curve](n)
            if self.summation_method == "interpolation":
                heights = ops.divide(ops.add(y[:-1], y[1:]), 2.0)
            else:
                heights = (ops.minimum if self.summation_method == "minoring" else ops.maximum)(y[:-1], y[1:])
            pieces = ops.multiply(ops.subtract(x[:-1], x[1:]), heights)
        areas = ops.sum(pieces, 0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = np.asarray(self.label_weights, self.dtype)
        return divide_no_nan(ops.sum(ops.multiply(areas, weights)), ops.sum(weights))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            **super().get_config(),
            "thresholds": self._own,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }


def _choice(what: str, given: str, known: tuple[str, ...]) -> str:
    for name in known:
        if isinstance(given, str) and given.lower() == name.lower():
            return name
    raise unknown_name(f"AUC {what}", given, known)


def _roc(n: Counts) -> tuple[Any, Any]:
    return divide_no_nan(n.fp, ops.add(n.fp, n.tn)), divide_no_nan(n.tp, ops.add(n.tp, n.fn))


def _precision_recall(n: Counts) -> tuple[Any, Any]:
    return divide_no_nan(n.tp, ops.add(n.tp, n.fn)), divide_no_nan(n.tp, ops.add(n.tp, n.fp))


def _gains(n: Counts) -> tuple[Any, Any]:
    """Recall gain and precision gain; 0 and 1 without true positives. A negative recall gain counts as 0."""
    scale = divide_no_nan(ops.add(n.tp, n.fn), ops.add(n.tn, n.fp))
    none = ops.equal(n.tp, 0.0)
    recall = ops.subtract(1.0, ops.multiply(scale, divide_no_nan(n.fn, n.tp)))
    precision = ops.subtract(1.0, ops.multiply(scale, divide_no_nan(n.fp, n.tp)))
    return ops.maximum(ops.where(none, 0.0, recall), 0.0), ops.where(none, 1.0, precision)


def _interpolated(n: Counts) -> Tensor:
    """The area under precision between adjacent thresholds, where true and predicted positives grow linearly.

    ratio (dTP + intercept log(P_b / P_a)) / positives, with P = TP + FP and ratio = dTP / dP.
    """
    found = ops.add(n.tp, n.fp)
    d_tp, d_found = ops.subtract(n.tp[:-1], n.tp[1:]), ops.subtract(found[:-1], found[1:])
    slope = divide_no_nan(d_tp, ops.maximum(d_found, 0.0))
    intercept = ops.subtract(n.tp[1:], ops.multiply(slope, found[1:]))
    both = ops.logical_and(ops.greater(found[:-1], 0.0), ops.greater(found[1:], 0.0))
    ratio = ops.where(both, divide_no_nan(found[:-1], ops.maximum(found[1:], 0.0)), 1.0)
    area = ops.multiply(slope, ops.add(d_tp, ops.multiply(intercept, ops.log(ratio))))
    return divide_no_nan(area, ops.maximum(ops.add(n.tp[1:], n.fn[1:]), 0.0))
