"""What the callbacks that watch one number of the logs share."""

from __future__ import annotations

import warnings
from typing import Any

from lamella import losses
from lamella.training.history import Callback

_UP = frozenset(
    """Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy TopKCategoricalAccuracy
    SparseTopKCategoricalAccuracy AUC Precision Recall PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity
    SpecificityAtSensitivity FBetaScore IoU CosineSimilarity PearsonCorrelation ConcordanceCorrelation R2Score""".split()
)
_DOWN = frozenset(
    """MeanSquaredError RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError
    LogCoshError KLDivergence Poisson Hinge SquaredHinge CategoricalHinge BinaryCrossentropy CategoricalCrossentropy
    SparseCategoricalCrossentropy""".split()
)


def direction_of(metric: Any) -> int:
    """1 where a greater value of the metric is better, -1 where a smaller one is, 0 where that is unknown.

    A metric of your own says so in an attribute `direction`, "up" or "down".
    """
    own = getattr(metric, "direction", None)
    if own in ("up", "down"):
        return 1 if own == "up" else -1
    kinds = {kind.__name__ for kind in type(metric).__mro__ if kind.__module__.startswith("lamella.")}
    if kinds & (_UP | _DOWN):
        return 1 if kinds & _UP else -1
    function = getattr(metric, "fn", None)
    return -1 if function is not None and getattr(losses, getattr(function, "__name__", ""), None) is function else 0


class MonitorCallback(Callback):
    """A callback that asks whether a number of the logs got better.

    Args:
        monitor: the key in the logs.
        mode: "min" (smaller is better), "max", or "auto": as the name says ("loss" gets smaller), or the metric of that
            name.
        baseline: the best value so far, or None.
        min_delta: smaller changes do not count as an improvement.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__}: unknown mode {mode!r}, using 'auto'.", stacklevel=3)
            mode = "auto"
        self.monitor, self.mode = monitor, mode
        self.best: float | None = baseline
        self.min_delta = abs(min_delta)
        self._sign = 0

    def _decide_direction(self) -> None:
        """Which way is better; known when the metrics are.

        Raises:
            ValueError: neither the mode nor the metric says so.
        """
        if not self._sign:
            self._sign = {"min": -1, "max": 1, "auto": 0}[self.mode] or self._direction()

    def _direction(self) -> int:
        name = self.monitor.removeprefix("val_")
        sign = -1 if name in self.model._compiled.configuration.objective.loss_logs else 0
        for label, metric in self._metrics():
            if label == name:
                sign = direction_of(metric) or sign
        if not sign:
            raise ValueError(
                f"{type(self).__name__}: nothing says whether a greater or a smaller {self.monitor!r} is better. Pass "
                "mode='max' or mode='min'."
            )
        return sign

    def _metrics(self) -> list[tuple[str, Any]]:
        objective = self.model._compiled.configuration.objective
        return [(rule.label, rule.metric) for rule in objective.chosen]

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        if self._sign < 0:
            return bool(value + self.min_delta < reference)
        return bool(value - self.min_delta > reference)
