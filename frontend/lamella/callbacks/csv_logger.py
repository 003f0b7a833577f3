"""The logs of every epoch as a row of a CSV file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lamella import processes
from lamella.training.history import Callback, Logs


class CSVLogger(Callback):
    """Write the logs of every epoch as a row of a CSV file.

    A run that continues from a checkpoint appends to its file, after the epochs of the checkpoint.

    Args:
        filename: the path of the file.
        separator: the separator of columns.
        append: whether to append to an existing file instead of replacing it.

    Raises:
        OSError: in `fit`, if the file cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from lamella.callbacks import CSVLogger
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "log.csv")
        ...     history = model.fit([[0.0]], [[2.0]], epochs=1, verbose=0, callbacks=[CSVLogger(path)])
        ...     path.read_text().split()
        ['epoch,loss,val_loss', '0,4.0,NA']
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.keys: list[str] | None = None
        self._size = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check that the file can be written."""
        with self._open() as file:
            self._size = file.tell() if self.append else 0
        self.keys = None

    def _open(self) -> TextIO:
        if processes.index():
            return io.StringIO()
        return open(self.filename, "a", newline="", encoding="utf-8")  # noqa: PTH123 - a path of any kind

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row, and the names of the columns before the first."""
        logs = logs or {}
        header = self.keys is None and not self._size
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        with self._open() as file:
            if header:  # only here is it known whether this run continues from a checkpoint
                file.truncate(0)
            writer = csv.writer(file, delimiter=self.sep)
            if header:
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *[_cell(logs.get(key, "NA")) for key in self.keys]])
            file.flush()
            self._size = file.tell()

    def get_state(self) -> dict[str, Any]:
        """The columns, and the size of the file."""
        return {"keys": self.keys, "size": self._size}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remove the rows written after the checkpoint."""
        if (
            processes.index() == 0 and Path(self.filename).stat().st_size >= state["size"]
        ):  # otherwise it is another file
            os.truncate(self.filename, state["size"])
            self.keys, self._size = state["keys"], state["size"]


def _cell(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0) or not isinstance(value, Iterable):
        return value
    return f'"[{", ".join(map(str, value))}]"'
