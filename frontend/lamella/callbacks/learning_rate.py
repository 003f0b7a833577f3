"""Callbacks that set the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lamella.callbacks.monitor import MonitorCallback
from lamella.names import deprecated
from lamella.optimizers import MultiOptimizer
from lamella.training.history import Callback, Logs


def _optimizer_of(callback: Callback) -> Any:
    """The optimizer, whose learning rate is a number.

    Raises:
        ValueError: a schedule decides the rate, there are several, or the optimizer is of another framework.
    """
    optimizer = callback.model.optimizer
    if isinstance(optimizer, MultiOptimizer):
        raise ValueError(
            f"{type(callback).__name__}: a MultiOptimizer has one learning rate per optimizer. Set them one by one in "
            "a custom `on_epoch_begin`: `model.optimizer.optimizers[0].learning_rate = ...`."
        )
    if not hasattr(optimizer, "learning_rate"):
        raise ValueError(
            f"{type(callback).__name__}: the learning rate of this optimizer cannot be set; that of an optax "
            "transformation is fixed. Use one of lamella.optimizers."
        )
    if optimizer.schedule is not None:
        raise ValueError(
            f"{type(callback).__name__}: the learning rate is a {type(optimizer.schedule).__name__}, a function of "
            "the step. Compile with a number to set the rate per epoch."
        )
    return optimizer


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of every epoch, and logs it as `learning_rate`.

    Args:
        schedule: `schedule(epoch, learning_rate) -> float`; older functions take the epoch alone.
        verbose: 1 prints the rate.

    Raises:
        ValueError: in `fit`, where the rate cannot be set (before any work), or the schedule gives no float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuse a rate that cannot be set."""
        _optimizer_of(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        optimizer = _optimizer_of(self)
        rate = self.schedule(epoch, optimizer.learning_rate) if _takes_two(self.schedule) else self.schedule(epoch)
        if not isinstance(rate, float | np.floating):
            raise ValueError(
                f"LearningRateScheduler: the schedule must return a float, got {rate!r} for epoch {epoch}."
            )
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the rate."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with two positional arguments; asked beforehand, to leave its own errors alone."""
    import inspect

    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not say
        return True
    return True


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when `monitor` has not got better for `patience` epochs; logs the rate.

    Args:
        monitor: the key in the logs.
        factor: below 1.
        patience: epochs without improvement before the rate is reduced.
        verbose: 1 prints what is done.
        mode: "min", "max" or "auto".
        min_delta: smaller changes do not count as an improvement.
        cooldown: epochs after a reduction that do not count.
        min_lr: the rate is not reduced below this.
        **kwargs: `epsilon`, an earlier name of `min_delta`, which warns.

    Raises:
        ValueError: `factor` is 1 or more; in `fit`, where the rate cannot be set (before any work).
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        *,
        epsilon: float | None = None,
    ) -> None:
        if epsilon is not None:
            deprecated("'epsilon'", "'min_delta'")
            min_delta = epsilon

        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}.")
        self.factor, self.min_lr, self.patience = factor, min_lr, patience
        self.verbose, self.cooldown = verbose, cooldown
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run; refuse a rate that cannot be set."""
        _optimizer_of(self)
        self.best = None
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether a reduction was so lately that nothing is counted."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the rate, compare, and reduce it where patience is over."""
        self._decide_direction()
        logs = {} if logs is None else logs
        optimizer = _optimizer_of(self)
        logs["learning_rate"] = float(optimizer.learning_rate)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"ReduceLROnPlateau: there is no {self.monitor!r} in the logs; there are {', '.join(logs)}.",
                stacklevel=2,
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(optimizer, epoch):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, optimizer: Any, epoch: int) -> bool:
        # compared as Keras keeps both, in float32: a rate that was set to min_lr is not above it
        before = float(optimizer.learning_rate)
        if not np.float32(before) > np.float32(self.min_lr):
            return False
        optimizer.learning_rate = max(before * self.factor, self.min_lr)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}.")
        return True

    def get_state(self) -> dict[str, Any]:
        """The best so far, and how long ago that was."""
        return {key: getattr(self, key) for key in ("best", "wait", "cooldown_counter")}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue to wait."""
        vars(self).update(state)
