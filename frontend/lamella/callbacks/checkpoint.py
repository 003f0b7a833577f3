"""Saving the model during training."""

from __future__ import annotations

import glob
import os
import string
import warnings
from pathlib import Path
from typing import Any

from lamella.callbacks.frequency import SavesSometimes
from lamella.callbacks.monitor import MonitorCallback
from lamella.errors import ArgumentError
from lamella.files.atomic import remove_leftovers
from lamella.names import deprecated
from lamella.training.history import Logs


class ModelCheckpoint(SavesSometimes, MonitorCallback):
    """Save the model after every epoch, after a number of batches, or whenever it is better than before.

    Files are written atomically: if the process is killed while it writes, the previous file is unchanged, and the
    incomplete one is removed when training begins again.

    Args:
        filepath: the path; `{epoch:02d}`, `{batch}` and the keys of the logs (`{val_loss:.2f}`) are filled in. Its
            suffix determines what is saved: ".keras", ".h5", ".hdf5" and ".safetensors" the whole model; with
            `save_weights_only` ".weights.h5", ".h5", ".hdf5" and ".safetensors" the weights, as `save_weights` does;
            and ".npz" a checkpoint for `model.load_checkpoint`, which returns `{"epoch": epochs done, "logs": the
            logs}`. ".npz" and ".safetensors" need NumPy alone, the others h5py.
        monitor: the key in the logs of the value to compare.
        verbose: 1 prints when the model is saved.
        save_best_only: whether to save only if `monitor` is better than before.
        save_weights_only: whether to save the weights alone.
        mode: "min" (lower is better), "max", or "auto", which depends on the metric.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: with `save_best_only`, save only what is better than this value.
        period: the number of epochs between files; deprecated, an argument of Keras 2.

    Raises:
        ValueError: the suffix of `filepath`, or `save_freq`, is invalid.
        ImportError: a package that the file format needs is not installed.
        KeyError: in `fit`, if the path contains a key that is not in the logs.
        OSError: in `fit`, if the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> from lamella.callbacks import ModelCheckpoint
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = ModelCheckpoint(folder + "/{epoch:02d}.npz")
        ...     history = model.fit([[1.0]], [[2.0]], epochs=2, verbose=0, callbacks=[checkpoint])
        ...     sorted(os.listdir(folder))
        ['01.npz', '02.npz']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        period: int | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        if period is not None:
            deprecated("'period'", "'save_freq', in batches")
        self.period = 1 if period is None else int(period)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_best_only, self.save_weights_only = verbose, save_best_only, save_weights_only
        self._set_frequency(save_freq)
        self._epoch = self._epochs_since = 0
        self._check_kind()
        self._pattern()

    def _check_kind(self) -> None:
        from lamella import saving

        kinds = saving.WEIGHTS if self.save_weights_only else (*saving.MODELS, ".npz")
        if not self.filepath.endswith(kinds) or (not self.save_weights_only and self.filepath.endswith(".weights.h5")):
            raise ValueError(
                f"ModelCheckpoint: with save_weights_only={self.save_weights_only} filepath must end in "
                f"{' or '.join(kinds)}, got {self.filepath!r}."
            )
        if self.filepath.endswith((".keras", ".h5", ".hdf5")):
            from lamella.saving.h5_writing import need_h5py

            need_h5py()

    def _pattern(self) -> str:
        """A `glob` pattern that matches every path that `filepath` may become."""
        try:
            parts = list(string.Formatter().parse(self.filepath))
        except ValueError as error:
            raise ArgumentError(
                f"ModelCheckpoint: filepath must be a format string, got {self.filepath!r} ({error}). "
                "Write '{{' for a brace."
            ) from None
        return "".join(glob.escape(text) + ("" if field is None else "*") for text, field, _, _ in parts)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Remove incomplete files of a process that was killed while it wrote."""
        remove_leftovers(self._pattern())
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Record the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save if the number of batches is reached."""
        if self._is_due(batch):
            self._save(self._epoch, batch, logs or {})
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save if `save_freq` is "epoch"."""
        if self.save_freq != "epoch":
            return
        self._epochs_since += 1
        if self._epochs_since >= self.period:
            self._epochs_since = 0
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".npz"):
            self.model.save_checkpoint(path, {"epoch": epoch + (batch is None), "logs": dict(logs)})
        elif self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        self.model._require_compiled().checkpoint = path
        self._tell(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        fields = {**logs, "epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1})}
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: filepath {self.filepath!r} contains {error}, which is not in the logs: {', '.join(logs)}."
            ) from None

    def _should_save(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._tell(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        self._decide_direction()
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"ModelCheckpoint: {self.monitor!r} is not in the logs, so every model is saved; the logs have "
                f"{', '.join(logs)}.",
                stacklevel=2,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._tell(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        self._tell(f"\nEpoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        self.best = current
        return True

    def _tell(self, text: str) -> None:
        if self.verbose > 0:
            print(text)

    def get_state(self) -> dict[str, Any]:
        """The best value so far, and the batches and epochs since the last file."""
        return {key: getattr(self, key) for key in ("best", "_batches_since", "_epochs_since")}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        vars(self).update(state)
