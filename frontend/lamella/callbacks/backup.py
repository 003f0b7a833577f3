"""Checkpoints from which an interrupted run continues."""

from __future__ import annotations

import glob
import hashlib
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from lamella import processes
from lamella.callbacks.frequency import SavesSometimes
from lamella.errors import FormatError
from lamella.files.atomic import remove_leftovers
from lamella.training.history import Logs


class BackupAndRestore(SavesSometimes):
    """Keep a checkpoint of the run in a folder, from which the next `fit` continues.

    The file, `latest.npz`, is read and written with NumPy alone. It contains weights, optimizer, learning rate, step
    and seed, the position in the epoch, the history, the running metrics, and the state of every callback. It is
    written after all other callbacks, and atomically: the process may be killed at any time, and a continued run ends
    with weights that are bitwise identical to those of an uninterrupted one.

    The position of a generator is not saved: after a restart in the middle of an epoch, the remaining steps take what
    it yields from its beginning, unless the generator itself resumes.

    Args:
        backup_dir: a folder for this run alone, created if it does not exist.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: whether to keep the previous checkpoint, too (`previous.npz`), and use it if the last is
            damaged.
        delete_checkpoint: whether to remove the files at the end of the run, and the folder if it is empty.

    Raises:
        ValueError: `backup_dir` is empty, or `save_freq` is invalid.
        FormatError: in `fit`, if the checkpoint is damaged or of another model.
        DataError: in `fit`, if the processes of the run have different checkpoints.
        OSError: in `fit`, if the folder cannot be written to.

    Example:
        >>> import os, tempfile
        >>> from lamella.callbacks import BackupAndRestore
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = BackupAndRestore(folder, delete_checkpoint=False)
        ...     history = model.fit([[1.0]], [[2.0]], epochs=2, verbose=0, callbacks=[backup])
        ...     os.listdir(folder)
        ...     model.fit([[1.0]], [[2.0]], epochs=3, verbose=0, callbacks=[backup]).epoch
        ['latest.npz']
        [0, 1, 2]
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir must not be empty.")
        self._set_frequency(save_freq)
        self.backup_dir = backup_dir
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint

    @property
    def _latest(self) -> Path:
        return Path(self.backup_dir) / "latest.npz"

    @property
    def _previous(self) -> Path:
        return Path(self.backup_dir) / "previous.npz"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Continue from the checkpoint, if there is one."""
        self._batches_since = 0
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        remove_leftovers(glob.escape(os.fspath(self._latest)))
        found = self._read()
        if processes.count() > 1:
            processes.agree(
                {"the SHA-256 of the checkpoint in backup_dir": None if found is None else _digest(found.path)},
                ", by a backup_dir that all of them share",
            )
        if found is not None:
            self.model._run.resume(found)

    def _read(self) -> Any:
        from lamella.training.checkpoint import Checkpoint

        try:
            return Checkpoint(self.model, self._latest)
        except FileNotFoundError:
            if not self._previous.exists():
                return None
            # the process was killed between the two renames
            return Checkpoint(self.model, self._previous)
        except FormatError as error:
            if not self._previous.exists():
                raise
            found = Checkpoint(self.model, self._previous)
            warnings.warn(f"{error} Continuing from {os.fspath(self._previous)!r}.", stacklevel=2)
            return found

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save if the number of batches is reached."""
        if self._is_due(batch):
            self._save_later()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save if `save_freq` is "epoch"."""
        if self.save_freq == "epoch":
            self._save_later()

    def _save_later(self) -> None:
        self.model._run.afterwards(self._save)

    def _save(self) -> None:
        from lamella.training import checkpoint

        if self.double_checkpoint:
            with processes.written_once() as mine, suppress(FileNotFoundError):
                if mine:
                    self._latest.replace(self._previous)
        checkpoint.save(self.model, self._latest, self.model._run.state())

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Remove the files after all other callbacks."""
        if self.delete_checkpoint:
            self.model._run.afterwards(self._delete)

    def _delete(self) -> None:
        with processes.written_once() as mine:
            if not mine:
                return
            for path in (self._previous, self._latest):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                Path(self.backup_dir).rmdir()


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
