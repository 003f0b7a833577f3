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
        ValueError: the rate is a schedule, there are several, or the optimizer is external.
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
    """Set the learning rate at the beginning of every epoch, and log it as `learning_rate`.

    Args:
        schedule: a function `(epoch, learning_rate) -> float`; functions of the epoch alone are accepted.
        verbose: 1 prints the rate.

    Raises:
        ValueError: in `fit`, if the rate cannot be set (before the first step), or the schedule does not return a
            float.

    Example:
        >>> from lamella.callbacks import LearningRateScheduler
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> halved = LearningRateScheduler(lambda epoch, rate: float(rate) / 2)
        >>> model.fit([[1.0]], [[2.0]], epochs=3, verbose=0, callbacks=[halved]).history["learning_rate"]
        [0.005, 0.0025, 0.00125]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check that the rate can be set."""
        _optimizer_of(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate of the epoch."""
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
    """Whether a function accepts two positional arguments; checked before the call, whose TypeErrors are not caught."""
    import inspect

    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs; log the rate.

    Args:
        monitor: the key in the logs of the value to compare.
        factor: the factor, below 1.
        patience: the number of epochs without improvement after which the rate is reduced.
        verbose: 1 prints when the rate is reduced.
        mode: "min" (lower is better), "max", or "auto", which depends on the metric.
        min_delta: smaller changes do not count as improvements.
        cooldown: the number of epochs after a reduction that are not counted.
        min_lr: the lower bound of the rate.
        epsilon: an earlier name of `min_delta`, deprecated.

    Raises:
        ValueError: `factor` is 1 or more; in `fit`, if the rate cannot be set (before the first step).

    Example:
        >>> from lamella.callbacks import ReduceLROnPlateau
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)  # nothing improves that much
        >>> model.fit([[1.0]], [[2.0]], epochs=3, verbose=0, callbacks=[reduce]).history["learning_rate"]
        [0.01, 0.01, 0.005]
        >>> float(model.optimizer.learning_rate)
        0.0025
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
        """Discard the state of an earlier run, and check that the rate can be set."""
        _optimizer_of(self)
        self.best = None
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the last reduction was less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the rate, compare the value, and reduce the rate when the patience is exhausted."""
        self._decide_direction()
        logs = {} if logs is None else logs
        optimizer = _optimizer_of(self)
        logs["learning_rate"] = float(optimizer.learning_rate)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"ReduceLROnPlateau: {self.monitor!r} is not in the logs: {', '.join(logs)}.",
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
        # compared in float32, as in Keras: a rate that was set to min_lr is not above it
        before = float(optimizer.learning_rate)
        if not np.float32(before) > np.float32(self.min_lr):
            return False
        optimizer.learning_rate = max(before * self.factor, self.min_lr)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}.")
        return True

    def get_state(self) -> dict[str, Any]:
        """The best value so far, and the epochs since."""
        return {key: getattr(self, key) for key in ("best", "wait", "cooldown_counter")}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        vars(self).update(state)
