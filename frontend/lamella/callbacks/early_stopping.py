"""Stop training when a value no longer improves."""

from __future__ import annotations

import warnings
from typing import Any

from lamella.callbacks.monitor import MonitorCallback
from lamella.training.history import Logs


class EarlyStopping(MonitorCallback):
    """End `fit` when `monitor` has not improved for `patience` epochs.

    Args:
        monitor: the key in the logs of the value to compare.
        min_delta: smaller changes do not count as improvements.
        patience: the number of epochs without improvement after which training ends; with 0, after the first one.
        verbose: 1 prints when training ends.
        mode: "min" (lower is better), "max", or "auto", which depends on the metric.
        baseline: an improvement that does not reach this value does not restart the count.
        restore_best_weights: whether to set the weights of the best epoch at the end.
        start_from_epoch: the first epoch that counts.

    Raises:
        ValueError: in `fit`, if `mode` is "auto" and the metric's direction is unknown.

    Example:
        >>> from lamella.callbacks import EarlyStopping
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> stop = EarlyStopping(monitor="loss", patience=2, min_delta=1e9)  # nothing improves that much
        >>> len(model.fit([[1.0]], [[2.0]], epochs=100, verbose=0, callbacks=[stop]).epoch)
        3
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
        """Discard the state of an earlier run."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare the value, and end training when the patience is exhausted."""
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
        """Set the best weights, with `restore_best_weights`."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """The monitored value, or None with a warning if it is not in the logs."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(f"EarlyStopping: {self.monitor!r} is not in the logs: {', '.join(logs)}.", stacklevel=2)
        return value

    def get_state(self) -> dict[str, Any]:
        """The best value so far, and the epochs since."""
        return {key: getattr(self, key) for key in ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        vars(self).update(state)
