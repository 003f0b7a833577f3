"""The progress bar for custom training loops."""

from __future__ import annotations

from typing import Any

from lamella.console import Progress
from lamella.training.history import Callback, Logs
from lamella.training.options import level


class ProgbarLogger(Callback):
    """Show the progress of a custom training loop in which a `CallbackList` calls the hooks.

    `fit`, `evaluate` and `predict` draw a progress bar themselves, depending on `verbose`, and ignore this callback.

    Example:
        >>> from lamella.callbacks import CallbackList
        >>> callbacks = CallbackList(add_progbar=True, epochs=1, steps=1, verbose=2)
        >>> callbacks.on_epoch_begin(0)
        >>> callbacks.on_train_batch_end(0, {"loss": 0.5})
        >>> callbacks.on_epoch_end(0, {"loss": 0.5})
        Epoch 1/1 - 1/1 - ... - loss: 0.5000
    """

    draws_progress = True

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._in_fit = False

    def _begin(self, epoch: int, epochs: int) -> None:
        verbose = self.params.get("verbose", 1)
        steps = self.params.get("steps")
        self._progress = Progress(epochs, steps, level(verbose))
        self._progress.begin_epoch(epoch)

    def _end(self, logs: Logs | None) -> None:
        if self._progress is not None:
            self._progress.end_epoch(dict(logs or {}))
        self._progress = None

    def _update(self, batch: int, logs: Any) -> None:
        if self._progress is not None:
            self._progress.update(batch + 1, lambda: dict(logs or {}))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Hide evaluations during training."""
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Show evaluations again."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the progress bar of the epoch."""
        self._begin(epoch, int(self.params.get("epochs", 1)))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the progress bar."""
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Finish the progress bar."""
        self._end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Start a progress bar, outside of training."""
        if not self._in_fit:
            self._begin(0, 0)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the progress bar."""
        if not self._in_fit:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Finish the progress bar."""
        if not self._in_fit:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Start a progress bar."""
        self._begin(0, 0)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the progress bar."""
        self._update(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Finish the progress bar."""
        self._end(None)
