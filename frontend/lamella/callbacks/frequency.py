"""Saving after every epoch, or after a number of batches."""

from __future__ import annotations

from typing import Any

from lamella.training.history import Callback, Logs


class SavesSometimes(Callback):
    """A callback that saves after every epoch (`save_freq="epoch"`) or every `save_freq` batches.

    Raises:
        ValueError: `save_freq` is neither "epoch" nor a positive integer.
    """

    save_freq: Any
    _batches_since = 0
    _first = 0

    def _set_frequency(self, save_freq: Any) -> None:
        whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not whole:
            raise ValueError(
                f"{type(self).__name__}: save_freq must be 'epoch' or a positive integer, got {save_freq!r}."
            )
        self.save_freq = save_freq

    def watches(self, hook: str) -> bool:
        """Batch hooks have an effect only if batches are counted, or a subclass overrides them."""
        if self.save_freq == "epoch" and "batch" in hook and hook not in vars(self):
            return not getattr(type(self), hook).__module__.startswith("lamella.")
        return super().watches(hook)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Record the first of the steps that run until the next hook."""
        self._first = batch
        super().on_train_batch_begin(batch, logs)

    def _is_due(self, batch: int) -> bool:
        """Whether to save after the batches up to `batch`."""
        if self.save_freq == "epoch":
            return False
        self._batches_since += batch + 1 - self._first
        if self._batches_since < self.save_freq:
            return False
        self._batches_since = 0
        return True
