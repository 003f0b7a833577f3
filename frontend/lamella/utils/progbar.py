"""Keras's progress bar, for hand-written loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lamella.console import Progress
from lamella.errors import ArgumentError
from lamella.utils.datasets import checked_count


class Progbar:
    """A progress bar with averages of numbers, which ends with the last numbers it is given.

    It is drawn as `fit` draws its own: on a terminal and in a notebook the line is drawn over itself, anywhere else only the
    last one is written.

    >>> bar = Progbar(target=2)
    >>> for step, loss in enumerate([0.5, 0.25], 1):
    ...     bar.update(step, [("loss", loss)])
    2/2 - ... - loss: 0.2500

    Args:
        target: how many steps there will be; None where that is not known.
        width: characters of the bar.
        verbose: 0 writes nothing, 1 draws the line, 2 writes only the last.
        interval: the least seconds between two drawings of the line.
        stateful_metrics: names of numbers that are shown as they are; others are averaged over the steps.
        stateless_metrics: names of numbers that are averaged, and others are shown as they are; in the place of
            `stateful_metrics`.
        unit_name: what a step is called.

    Raises:
        ArgumentError: `target`, `width` or `verbose` is not such a number, or both kinds of names are given.
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
        """Note that `current` steps are done.

        Args:
            current: the steps done so far.
            values: pairs of a name and a number, or an array that is averaged: those of the last step, which count once per
                step since the last call.
            finalize: whether this is the last call, whose numbers are shown as they are; by default where `current` has
                reached `target`.
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
        """Note that `n` more steps are done.

        Args:
            n: how many.
            values: as for `update`.
        """
        self.update(self._seen + n, values)

    def _averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def _shown(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self._sums.items()}
