"""Stop when a number stops getting better."""

from __future__ import annotations

import warnings
from typing import Any

from lamella.callbacks.monitor import MonitorCallback
from lamella.training.history import Logs


class EarlyStopping(MonitorCallback):
    """Ends `fit` when `monitor` has not got better for `patience` epochs.

    Args:
        monitor: the key in the logs.
        min_delta: smaller changes do not count as an improvement.
        patience: how many epochs without improvement end the run; with 0 the first one does.
        verbose: 1 prints what is done.
        mode: "min", "max" or "auto".
        baseline: an improvement that does not reach this value does not start the patience again.
        restore_best_weights: at the end, set the weights of the best epoch.
        start_from_epoch: epochs before this one are not looked at.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop where patience is over."""
        self._decide_direction()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Set the best weights, where that was asked for."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """The monitored value, or None with a warning where the logs lack it."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"EarlyStopping: there is no {self.monitor!r} in the logs; there are {', '.join(logs)}.", stacklevel=2
            )
        return value

    def get_state(self) -> dict[str, Any]:
        """The best so far, and how long ago that was."""
        return {key: getattr(self, key) for key in ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue to wait."""
        vars(self).update(state)
