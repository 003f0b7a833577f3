"""Metrics computed from true and false positives and negatives, at one threshold or many.

All of them keep two histograms: the weight of positive and of negative labels between adjacent thresholds. The counts
above a threshold are computed from these at the end, so a step costs one addition per prediction for any number of
thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import limits, settings
from lamella.ir.dim import public_shape
from lamella.ir.spec import Shape, Spec
from lamella.losses.base import align_weight, divide_no_nan, squeeze_or_expand_to_same_rank
from lamella.metrics.base import Metric, State

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Thresholds = float | Sequence[float] | None
_BELOW_ALL = -1e10


class Counts(NamedTuple):
    """True and false positives and negatives: floats, one per threshold (and label)."""

    tp: Any
    fp: Any
    tn: Any
    fn: Any


def threshold_list(thresholds: Thresholds, default: float = 0.5) -> list[float]:
    """`thresholds` as a list of numbers from 0 to 1; None is the `default`.

    Raises:
        ValueError: one is out of range.
    """
    if thresholds is None:
        return [default]
    found = [thresholds] if isinstance(thresholds, int | float) else list(thresholds)
    wrong = [t for t in found if t is None or not 0 <= t <= 1]
    if wrong or not found:
        raise ValueError(f"thresholds must be numbers from 0 to 1, got {wrong or found}.")
    return [float(t) for t in found]


def even_thresholds(count: int) -> list[float]:
    """`count` evenly spaced thresholds from 0 to 1."""
    limits.reserve((count,))
    return [0.0, *((i + 1) * 1.0 / (count - 1) for i in range(count - 2)), 1.0]


class Confusion(Metric):
    """The base class: histograms of predictions between `thresholds`, given in any order.

    Args:
        thresholds: the thresholds; a prediction above one counts as positive.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        top_k: only the k highest predictions of a row can count as positive.
        class_id: the only column of the last axis that counts; None counts all.
        labels: None for one count over all predictions, or the number of columns that are counted separately.
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
                raise ValueError(
                    f"{type(self).__name__}: {word} must be an integer of at least {least}, got {value!r}."
                )
        self.thresholds = list(thresholds)
        limits.reserve((len(self.thresholds), labels or 1))
        self.top_k, self.class_id, self.labels = top_k, class_id, labels
        self._sorted = np.sort(np.asarray(self.thresholds))
        self._evenly = _is_even(self._sorted)

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Check that predictions have the axis that `top_k` and `class_id` refer to.

        Raises:
            ValueError: there is none, or it is too short.
        """
        width = prediction.shape[-1] if len(prediction.shape) > 1 else 0
        for option, value in (
            ("top_k", self.top_k),
            ("class_id", None if self.class_id is None else self.class_id + 1),
        ):
            if value is not None and value > width:
                shape = public_shape(prediction.shape)
                raise ShapeError(
                    f"metric {self.name!r}: {option}={getattr(self, option)} does not fit predictions {shape}."
                )

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """The weight of positive and of negative labels between adjacent thresholds, in ascending order."""
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

    def scores(self, y_pred: ArrayLike) -> Any:
        """The predictions that are compared with the thresholds."""
        return y_pred

    def weighed(self, x: ArrayLike) -> Any:
        """The weight of each prediction, before it is counted."""
        return x

    def _places(self, y_pred: ArrayLike) -> Tensor:
        """The number of thresholds below each prediction (int32)."""
        if not self._evenly:
            above = ops.greater(ops.expand_dims(y_pred, -1), self._sorted.astype(self.dtype))
            return ops.sum(ops.cast(above, "int32"), -1)
        # computed as in Keras, so that predictions at a threshold are rounded in the same way; NaN exceeds nothing
        steps = ops.ceil(ops.multiply(ops.clip(y_pred, 0.0, 1.0), float(len(self.thresholds) - 1)))
        places = ops.cast(ops.where(ops.greater(y_pred, 0.0), steps, 0.0), "int32")
        return ops.maximum(places, 1) if self._sorted[0] < 0 else places

    def _histogram(self, weight: Tensor, places: Tensor) -> Tensor:
        size = len(self.thresholds) + 1
        if self.labels is None:
            flat = (-1,)
            return ops.scatter_add(ops.reshape(weight, flat), ops.reshape(places, flat), axis=0, size=size)
        cells = ops.add(ops.multiply(places, self.labels), ops.arange(self.labels, dtype="int32"))
        summed = ops.scatter_add(ops.reshape(weight, (-1,)), ops.reshape(cells, (-1,)), axis=0, size=size * self.labels)
        return ops.reshape(summed, (size, self.labels))

    def counts(self, state: State) -> Counts:
        """The counts at each threshold, in the order in which the thresholds were given."""
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
    """True where an entry is among the k highest of its row; of equal entries the first count."""
    width = y_pred.shape[-1]
    mine, others = ops.expand_dims(y_pred, -1), ops.expand_dims(y_pred, -2)
    earlier = np.arange(width)[None, :] < np.arange(width)[:, None]
    better = ops.logical_or(ops.greater(others, mine), ops.logical_and(ops.equal(others, mine), earlier))
    return ops.less(ops.sum(ops.cast(better, "int32"), -1), k)


class _Count(Confusion):
    """One of the four counts: a number, or one per threshold.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
    """

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
    """True positives: the weight of positive labels with a prediction above each threshold.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: a threshold is out of range.

    Example:
        >>> from lamella.metrics import TruePositives
        >>> TruePositives()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.2])
        2.0
    """

    which = "tp"


class TrueNegatives(_Count):
    """True negatives: the weight of negative labels with a prediction up to each threshold.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: a threshold is out of range.

    Example:
        >>> from lamella.metrics import TrueNegatives
        >>> TrueNegatives()([0, 0, 1], [0.9, 0.1, 0.7])
        1.0
    """

    which = "tn"


class FalsePositives(_Count):
    """False positives: the weight of negative labels with a prediction above each threshold.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: a threshold is out of range.

    Example:
        >>> from lamella.metrics import FalsePositives
        >>> FalsePositives(thresholds=[0.5, 0.95])([0, 0, 1], [0.9, 0.1, 0.7])
        array([1., 0.], dtype=float32)
    """

    which = "fp"


class FalseNegatives(_Count):
    """False negatives: the weight of positive labels with a prediction up to each threshold.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: a threshold is out of range.

    Example:
        >>> from lamella.metrics import FalseNegatives
        >>> FalseNegatives()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.2])
        1.0
    """

    which = "fn"


class _Share(Confusion):
    """The base class of rates at each threshold."""

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
    """Precision: tp / (tp + fp), the share of positive labels among positive predictions; 0 if there are none.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5, or with `top_k` no threshold.
        top_k: only the k highest predictions of a row can count as positive.
        class_id: the only column of the last axis that counts; None counts all.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from lamella.metrics import Precision
        >>> round(Precision()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.2]), 3)
        0.667
        >>> Precision(top_k=1)([[0, 1], [0, 1]], [[0.1, 0.2], [0.8, 0.7]])
        0.5
    """

    def compute(self, state: State) -> Any:
        """A number, or one per threshold."""
        n = self.counts(state)
        return _single(divide_no_nan(n.tp, ops.add(n.tp, n.fp)))


class Recall(_Share):
    """Recall: tp / (tp + fn), the share of positive labels that are predicted positive; 0 if there are none.

    Args:
        thresholds: one or several numbers from 0 to 1; None is 0.5, or with `top_k` no threshold.
        top_k: only the k highest predictions of a row can count as positive.
        class_id: the only column of the last axis that counts; None counts all.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from lamella.metrics import Recall
        >>> Recall(thresholds=[0.1, 0.5])([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.2]).round(3)
        array([1.   , 0.667], dtype=float32)
    """

    def compute(self, state: State) -> Any:
        """A number, or one per threshold."""
        n = self.counts(state)
        return _single(divide_no_nan(n.tp, ops.add(n.tp, n.fn)))


class _AtLeast(Confusion):
    """The maximum of one rate over the thresholds at which another rate is at least a given value."""

    word: str
    """The name of the argument with this value."""

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        if isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"{type(self).__name__}: {self.word} must be from 0 to 1, got {value!r}.")
        if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int) or num_thresholds < 1:
            raise ValueError(
                f"{type(self).__name__}: num_thresholds must be a positive integer, got {num_thresholds!r}."
            )
        super().__init__(
            [0.5] if num_thresholds == 1 else even_thresholds(num_thresholds), name, dtype, class_id=class_id
        )
        self.value, self.num_thresholds = value, num_thresholds

    def best(self, constrained: Tensor, wanted: Tensor) -> Tensor:
        """The largest `wanted` where `constrained` is at least the value; 0 if there is no such threshold."""
        return ops.max(ops.where(ops.greater_equal(constrained, self.value), wanted, 0.0))

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and the arguments of the class."""
        own = {self.word: self.value, "num_thresholds": self.num_thresholds, "class_id": self.class_id}
        return {**super().get_config(), **own}


def _recall(n: Counts) -> Tensor:
    return divide_no_nan(n.tp, ops.add(n.tp, n.fn))


def _precision(n: Counts) -> Tensor:
    return divide_no_nan(n.tp, ops.add(n.tp, n.fp))


def _specificity(n: Counts) -> Tensor:
    return divide_no_nan(n.tn, ops.add(n.tn, n.fp))


class SensitivityAtSpecificity(_AtLeast):
    """The largest sensitivity tp / (tp + fn) at a threshold where tn / (tn + fp) is at least `specificity`.

    Args:
        specificity: the least tn / (tn + fp), from 0 to 1.
        num_thresholds: the number of evenly spaced thresholds from 0 to 1.
        class_id: the only column of the last axis that counts; None counts all.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from lamella.metrics import SensitivityAtSpecificity
        >>> SensitivityAtSpecificity(0.5)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
        1.0
    """

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

    def compute(self, state: State) -> Tensor:
        """The best sensitivity."""
        n = self.counts(state)
        return self.best(_specificity(n), _recall(n))


class SpecificityAtSensitivity(_AtLeast):
    """The largest specificity tn / (tn + fp) at a threshold where tp / (tp + fn) is at least `sensitivity`.

    Args:
        sensitivity: the least tp / (tp + fn), from 0 to 1.
        num_thresholds: the number of evenly spaced thresholds from 0 to 1.
        class_id: the only column of the last axis that counts; None counts all.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from lamella.metrics import SpecificityAtSensitivity
        >>> SpecificityAtSensitivity(1.0)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
        0.5
    """

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

    def compute(self, state: State) -> Tensor:
        """The best specificity."""
        n = self.counts(state)
        return self.best(_recall(n), _specificity(n))


class PrecisionAtRecall(_AtLeast):
    """The largest precision tp / (tp + fp) at a threshold where tp / (tp + fn) is at least `recall`.

    Args:
        recall: the least tp / (tp + fn), from 0 to 1.
        num_thresholds: the number of evenly spaced thresholds from 0 to 1.
        class_id: the only column of the last axis that counts; None counts all.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from lamella.metrics import PrecisionAtRecall
        >>> PrecisionAtRecall(0.5)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
        1.0
    """

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

    def compute(self, state: State) -> Tensor:
        """The best precision."""
        n = self.counts(state)
        return self.best(_recall(n), _precision(n))


class RecallAtPrecision(_AtLeast):
    """The largest recall tp / (tp + fn) at a threshold where tp / (tp + fp) is at least `precision`.

    Args:
        precision: the least tp / (tp + fp), from 0 to 1.
        num_thresholds: the number of evenly spaced thresholds from 0 to 1.
        class_id: the only column of the last axis that counts; None counts all.
        name: the key in logs.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from lamella.metrics import RecallAtPrecision
        >>> RecallAtPrecision(1.0)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
        0.5
    """

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

    def compute(self, state: State) -> Tensor:
        """The best recall."""
        n = self.counts(state)
        return self.best(_precision(n), _recall(n))
