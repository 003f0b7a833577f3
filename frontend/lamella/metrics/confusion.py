"""Metrics made of true and false positives and negatives, at one threshold or many.

All of them keep the same two histograms: how much weight of positive and of negative labels lies between neighbouring
thresholds. What is counted above a threshold follows at the end, so a step costs one addition a prediction, however many
thresholds there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import limits, settings
from lamella.ir.dim import public_shape
from lamella.ir.spec import Shape, Spec
from lamella.losses.base import align_weight, divide_no_nan, squeeze_or_expand_to_same_rank
from lamella.metrics.base import Metric, State

Thresholds = float | Sequence[float] | None
_BELOW_ALL = -1e10


class Counts(NamedTuple):
    """True and false positives and negatives: floats, one for each threshold (and label)."""

    tp: Any
    fp: Any
    tn: Any
    fn: Any


def threshold_list(thresholds: Thresholds, default: float = 0.5) -> list[float]:
    """`thresholds` as a list of numbers from 0 to 1; None is the `default`.

    Raises:
        ValueError: one lies outside.
    """
    if thresholds is None:
        return [default]
    found = [thresholds] if isinstance(thresholds, int | float) else list(thresholds)
    wrong = [t for t in found if t is None or not 0 <= t <= 1]
    if wrong or not found:
        raise ValueError(f"thresholds must be numbers from 0 to 1, got {wrong or found}.")
    return [float(t) for t in found]


def even_thresholds(count: int) -> list[float]:
    """`count` thresholds from 0 to 1 with equal steps."""
    limits.reserve((count,))
    return [0.0, *((i + 1) * 1.0 / (count - 1) for i in range(count - 2)), 1.0]


class Confusion(Metric):
    """The base: what is counted at `thresholds`, given in any order.

    Args:
        thresholds: the thresholds; a prediction above one counts as positive.
        name: the key in logs.
        dtype: the dtype of the state.
        top_k: only the k highest predictions of a row can count as positive.
        class_id: only this column of the last axis counts.
        labels: None for one count over everything, or the number of columns that are counted apart.
    """

    def __init__(
        self,
        thresholds: Sequence[float],
        name: str | None = None,
        dtype: Any = None,
        *,
        top_k: int | None = None,
        class_id: int | None = None,
        labels: int | None = None,
    ) -> None:
        super().__init__(name, dtype)
        for word, value, least in (("top_k", top_k, 1), ("class_id", class_id, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{type(self).__name__} takes a whole number from {least} as {word}, got {value!r}.")
        self.thresholds = list(thresholds)
        limits.reserve((len(self.thresholds), labels or 1))
        self.top_k, self.class_id, self.labels = top_k, class_id, labels
        self._sorted = np.sort(np.asarray(self.thresholds))
        self._evenly = _is_even(self._sorted)

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Refuse predictions without the axis that `top_k` and `class_id` speak of.

        Raises:
            ValueError: there is none, or it is too short.
        """
        width = prediction.shape[-1] if len(prediction.shape) > 1 else 0
        for word, value in (("top_k", self.top_k), ("class_id", None if self.class_id is None else self.class_id + 1)):
            if value is not None and value > width:
                shape = public_shape(prediction.shape)
                raise ShapeError(
                    f"metric {self.name!r}: {word}={getattr(self, word)} does not fit predictions {shape}."
                )

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """The weight of positive and of negative labels between neighbouring thresholds, lowest first."""
        shape = (len(self.thresholds) + 1, *(() if self.labels is None else (self.labels,)))
        return {"positives": (shape, self.dtype, 0.0), "negatives": (shape, self.dtype, 0.0)}

    def update(self, state: State, y_true: Any, y_pred: Any, weight: Any = None) -> State:
        """Add the predictions of a batch to the histograms."""
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        if tuple(y_true.shape) != tuple(y_pred.shape):
            raise ShapeError(
                f"metric {self.name!r}: targets of shape {public_shape(y_true.shape)} do not fit predictions of shape "
                f"{public_shape(y_pred.shape)}."
            )
        y_pred = self.scores(y_pred)
        if self.top_k is not None:
            y_pred = ops.where(_among_top(y_pred, self.top_k), y_pred, _BELOW_ALL)
        if self.class_id is not None:
            y_true, y_pred = (x[..., self.class_id : self.class_id + 1] for x in (y_true, y_pred))
        positive = ops.cast(ops.not_equal(y_true, 0.0), self.dtype)
        negative = ops.subtract(1.0, positive)
        if weight is not None:
            weight = ops.cast(weight, self.dtype)
            if weight.shape:
                weight, _ = align_weight(weight, y_pred)
            positive, negative = ops.multiply(positive, weight), ops.multiply(negative, weight)
        positive, negative = self.weighed(positive), self.weighed(negative)
        places = self._places(y_pred)
        return {
            "positives": ops.add(state["positives"], self._histogram(positive, places)),
            "negatives": ops.add(state["negatives"], self._histogram(negative, places)),
        }

    def scores(self, y_pred: Any) -> Any:
        """The predictions as they are compared with the thresholds."""
        return y_pred

    def weighed(self, x: Any) -> Any:
        """The weight of each prediction, before it is counted."""
        return x

    def _places(self, y_pred: Any) -> Any:
        """How many thresholds each prediction exceeds (int32)."""
        if not self._evenly:
            above = ops.greater(ops.expand_dims(y_pred, -1), self._sorted.astype(self.dtype))
            return ops.sum(ops.cast(above, "int32"), -1)
        # computed, as Keras does: a prediction at a threshold must be rounded alike; NaN exceeds nothing
        steps = ops.ceil(ops.multiply(ops.clip(y_pred, 0.0, 1.0), float(len(self.thresholds) - 1)))
        places = ops.cast(ops.where(ops.greater(y_pred, 0.0), steps, 0.0), "int32")
        return ops.maximum(places, 1) if self._sorted[0] < 0 else places

    def _histogram(self, weight: Any, places: Any) -> Any:
        size = len(self.thresholds) + 1
        if self.labels is None:
            flat = (-1,)
            return ops.scatter_add(ops.reshape(weight, flat), ops.reshape(places, flat), axis=0, size=size)
        cells = ops.add(ops.multiply(places, self.labels), ops.arange(self.labels, dtype="int32"))
        summed = ops.scatter_add(ops.reshape(weight, (-1,)), ops.reshape(cells, (-1,)), axis=0, size=size * self.labels)
        return ops.reshape(summed, (size, self.labels))

    def counts(self, state: State) -> Counts:
        """What a state counts at each threshold, in the order the thresholds were given in."""
        order = np.argsort(np.argsort(np.asarray(self.thresholds), kind="stable"), kind="stable")
        size = len(self.thresholds) + 1
        above = (np.arange(size)[None, :] > order[:, None]).astype(self.dtype)  # histogram cells above each threshold
        tp, fp = ops.matmul(above, state["positives"]), ops.matmul(above, state["negatives"])
        fn, tn = (
            ops.matmul((1 - above).astype(self.dtype), state["positives"]),
            ops.matmul((1 - above).astype(self.dtype), state["negatives"]),
        )
        return Counts(tp, fp, tn, fn)


def _is_even(thresholds: np.ndarray) -> bool:
    count = len(thresholds)
    return count >= 3 and bool(np.allclose(thresholds, np.arange(count) / (count - 1), atol=settings.epsilon()))


def _among_top(y_pred: Any, k: int) -> Any:
    """Where an entry is among the k highest of its row; of ties the first count."""
    width = y_pred.shape[-1]
    mine, others = ops.expand_dims(y_pred, -1), ops.expand_dims(y_pred, -2)
    earlier = np.arange(width)[None, :] < np.arange(width)[:, None]
    better = ops.logical_or(ops.greater(others, mine), ops.logical_and(ops.equal(others, mine), earlier))
    return ops.less(ops.sum(ops.cast(better, "int32"), -1), k)


class _Count(Confusion):
    """One of the four counts: a number, or one for each threshold."""

    which: str

    def __init__(self, thresholds: Thresholds = None, name: str | None = None, dtype: Any = None) -> None:
        self._given = thresholds
        super().__init__(threshold_list(thresholds), name, dtype)

    def compute(self, state: State) -> Any:
        """The count."""
        return _single(getattr(self.counts(state), self.which))

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and thresholds."""
        return {**super().get_config(), "thresholds": self._given}


def _single(x: Any) -> Any:
    return x[0] if x.shape[0] == 1 else x


class TruePositives(_Count):
    """The weight of positive labels predicted above each threshold."""

    which = "tp"


class TrueNegatives(_Count):
    """The weight of negative labels not predicted above each threshold."""

    which = "tn"


class FalsePositives(_Count):
    """The weight of negative labels predicted above each threshold."""

    which = "fp"


class FalseNegatives(_Count):
    """The weight of positive labels not predicted above each threshold."""

    which = "fn"


class _Share(Confusion):
    """A share of the predictions, at each threshold."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self._given = thresholds
        found = threshold_list(thresholds, 0.5 if top_k is None else _BELOW_ALL)
        super().__init__(found, name, dtype, top_k=top_k, class_id=class_id)

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and the arguments of the class."""
        own = {"thresholds": self._given, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Share):
    """tp / (tp + fp): how many of those predicted positive are; 0 where none is.

    Args:
        thresholds: one or several numbers from 0 to 1; by default 0.5, or with `top_k` none.
        top_k: only the k highest predictions of a row can count as positive.
        class_id: only this column of the last axis counts.
        name: the key in logs.
        dtype: the dtype of the state.
    """

    def compute(self, state: State) -> Any:
        """A number, or one for each threshold."""
        n = self.counts(state)
        return _single(divide_no_nan(n.tp, ops.add(n.tp, n.fp)))


class Recall(_Share):
    """tp / (tp + fn): how many of the positive are predicted so; 0 where there is none. Arguments as for `Precision`."""

    def compute(self, state: State) -> Any:
        """A number, or one for each threshold."""
        n = self.counts(state)
        return _single(divide_no_nan(n.tp, ops.add(n.tp, n.fn)))


class _AtLeast(Confusion):
    """The best of one share among the thresholds where another is at least a given value."""

    word: str
    """The name of the argument that gives the value."""

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        if isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"{type(self).__name__} takes a {self.word} from 0 to 1, got {value!r}.")
        if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int) or num_thresholds < 1:
            raise ValueError(f"{type(self).__name__} takes a positive num_thresholds, got {num_thresholds!r}.")
        super().__init__(
            [0.5] if num_thresholds == 1 else even_thresholds(num_thresholds), name, dtype, class_id=class_id
        )
        self.value, self.num_thresholds = value, num_thresholds

    def best(self, constrained: Any, wanted: Any) -> Any:
        """The highest `wanted` where `constrained` is at least the value, and 0 where it nowhere is."""
        return ops.max(ops.where(ops.greater_equal(constrained, self.value), wanted, 0.0))

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and the arguments of the class."""
        own = {self.word: self.value, "num_thresholds": self.num_thresholds, "class_id": self.class_id}
        return {**super().get_config(), **own}


def _recall(n: Counts) -> Any:
    return divide_no_nan(n.tp, ops.add(n.tp, n.fn))


def _precision(n: Counts) -> Any:
    return divide_no_nan(n.tp, ops.add(n.tp, n.fp))


def _specificity(n: Counts) -> Any:
    return divide_no_nan(n.tn, ops.add(n.tn, n.fp))


class SensitivityAtSpecificity(_AtLeast):
    """The highest tp / (tp + fn) at a threshold where tn / (tn + fp) is at least `specificity`."""

    word = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def compute(self, state: State) -> Any:
        """The best sensitivity."""
        n = self.counts(state)
        return self.best(_specificity(n), _recall(n))


class SpecificityAtSensitivity(_AtLeast):
    """The highest tn / (tn + fp) at a threshold where tp / (tp + fn) is at least `sensitivity`."""

    word = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def compute(self, state: State) -> Any:
        """The best specificity."""
        n = self.counts(state)
        return self.best(_recall(n), _specificity(n))


class PrecisionAtRecall(_AtLeast):
    """The highest tp / (tp + fp) at a threshold where tp / (tp + fn) is at least `recall`."""

    word = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def compute(self, state: State) -> Any:
        """The best precision."""
        n = self.counts(state)
        return self.best(_recall(n), _precision(n))


class RecallAtPrecision(_AtLeast):
    """The highest tp / (tp + fn) at a threshold where tp / (tp + fp) is at least `precision`."""

    word = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def compute(self, state: State) -> Any:
        """The best recall."""
        n = self.counts(state)
        return self.best(_precision(n), _recall(n))
