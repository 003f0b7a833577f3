"""Keras's progress bar, for custom training loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lamella.console import Progress
from lamella.errors import ArgumentError
from lamella.utils.datasets import checked_count


class Progbar:
    """A progress bar that shows averages of metrics.

    It is drawn like the progress of `fit`: on a terminal and in a notebook the line is redrawn in place, elsewhere only
    the last line is written.

    Args:
        target: the number of steps; None if it is not known.
        width: the width of the bar in characters.
        verbose: 0 writes nothing, 1 draws the line, 2 writes only the last line.
        interval: the minimum time between two updates of the line, in seconds.
        stateful_metrics: names of metrics that are shown as they are; others are averaged over the steps.
        stateless_metrics: names of metrics that are averaged; others are shown as they are. An alternative to
            `stateful_metrics`.
        unit_name: the unit of a step in the output.

    Raises:
        ArgumentError: `target`, `width` or `verbose` is not a valid number, or both kinds of names are given.

    Example:
        >>> bar = Progbar(target=2)
        >>> for step, loss in enumerate([0.5, 0.25], 1):
        ...     bar.update(step, [("loss", loss)])
        2/2 - ... - loss: 0.2500
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError("Progbar takes stateful_metrics or stateless_metrics, and got both.")
        self.target = None if target is None else checked_count("target", target, 0)
        self.width, self.verbose, self.interval, self.unit_name = (
            checked_count("width", width, 0),
            verbose,
            interval,
            unit_name,
        )
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, int]] = {}
        self._seen = 0
        self._progress = Progress(0, self.target or None, verbose, width=self.width, interval=interval, unit=unit_name)
        self._progress.begin_epoch()

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Report that `current` steps are done.

        Args:
            current: the number of steps done so far.
            values: pairs of a name and a number, or an array whose mean is taken, of the last step; they are weighted
                by the number of steps since the last call.
            finalize: whether this is the last call, whose values are shown as they are; by default whether `current`
                has reached `target`.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            number = float(np.mean(value))
            if finalize or not self._averaged(name):
                self._sums[name] = (number, 1)
            else:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + number * steps, count + steps)
        self._seen = current
        self._progress.update(current, self._shown)
        if finalize:
            self._progress.end_epoch(self._shown())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Report that `n` more steps are done.

        Args:
            n: the number of steps.
            values: as for `update`.
        """
        self.update(self._seen + n, values)

    def _averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def _shown(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self._sums.items()}
