"""A run that was killed continues where it was."""

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
    """Keeps a checkpoint of the run in a folder, and continues from it when `fit` is called again.

    The file, `latest.npz`, needs NumPy alone. It holds weights, optimizer, learning rate, step and seed, where in which
    epoch the run is, its history, the running metrics, and what every callback remembers. It is written when all
    callbacks have had their turn, and atomically: a process may be killed at any moment, and the run that continues ends
    with weights bitwise identical to those of one that was never interrupted.

    What a generator yields next is the generator's: after a restart in the middle of an epoch, the steps that are left
    take what it yields from its beginning, unless it knows how far it had come.

    Args:
        backup_dir: a folder for this run alone; it is made where it is missing.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: keep the checkpoint before the last, too (`previous.npz`), and take it where the last is damaged.
        delete_checkpoint: remove the files when the run ends; the folder, too, if nothing else is in it.

    Raises:
        ValueError: no folder, or another `save_freq`; `FormatError` (in `fit`): the checkpoint is damaged or of another
            model; `DataError` (in `fit`): the processes of the run have different checkpoints.
        OSError: in `fit`, where the folder cannot be written to.
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
            raise ValueError("BackupAndRestore: backup_dir is empty; name a folder.")
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
                ", by a backup_dir that all of them see",
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
            # killed between the two renames
            return Checkpoint(self.model, self._previous)
        except FormatError as error:
            if not self._previous.exists():
                raise
            found = Checkpoint(self.model, self._previous)
            warnings.warn(f"{error} Continuing from {os.fspath(self._previous)!r}.", stacklevel=2)
            return found

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save where so many batches have gone by."""
        if self._is_due(batch):
            self._save_later()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if that is asked for."""
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
        """Remove the files, when every other callback is done, too."""
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
