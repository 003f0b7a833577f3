"""The base class of callbacks that compare one value of the logs."""

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
    """1 if higher values of the metric are better, -1 if lower values are, 0 if it is unknown.

    A custom metric declares an attribute `direction`, "up" or "down".
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
    """A callback that detects improvements of a value of the logs.

    Args:
        monitor: the key in the logs.
        mode: "min" (lower is better), "max", or "auto": lower for losses, otherwise by the metric of this name.
        baseline: the best value so far, or None.
        min_delta: smaller changes do not count as improvements.
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
        """Determine which direction is better, once the metrics are known.

        Raises:
            ValueError: neither the mode nor the metric determines it.
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
                f"{type(self).__name__}: whether a higher or a lower {self.monitor!r} is better is unknown. Pass "
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
