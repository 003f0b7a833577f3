"""The logs of every epoch as a line of a table."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import Any, TextIO

import numpy as np

from lamella.training.history import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of every epoch as a line of a CSV file.

    A run that goes on from a checkpoint goes on in its file, after the epochs the checkpoint knows of.

    Args:
        filename: the file.
        separator: what stands between two columns.
        append: keep what is in the file, and go on after it.

    Raises:
        OSError: in `fit`, where the file cannot be written.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.keys: list[str] | None = None
        self.csv_file: TextIO | None = None
        self._emptied = False
        self._size = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self._close()
        self.csv_file = open(self.filename, "a", newline="", encoding="utf-8")  # noqa: PTH123
        self.keys, self._emptied = None, self.append
        self._size = self.csv_file.tell() if self.append else 0

    def _file(self) -> TextIO:
        """The file, empty at first: emptied when the first line is due, since then a checkpoint was restored, if any."""
        assert self.csv_file is not None  # noqa: S101 - opened when training began
        if not self._emptied:
            self.csv_file.truncate(self._size)
            self._emptied = True
        return self.csv_file

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line, and the line of the columns' names before the first."""
        file, logs = self._file(), logs or {}
        header = self.keys is None and not self._size
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        writer = csv.writer(file, delimiter=self.sep)
        if header:
            writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *[_cell(logs.get(key, "NA")) for key in self.keys]])
        file.flush()
        self._size = file.tell()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._file()
        self._close()

    def _close(self) -> None:
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = None

    def get_state(self) -> dict[str, Any]:
        """The columns, and how much of the file is written."""
        return {"keys": self.keys, "size": self._size}

    def set_state(self, state: dict[str, Any]) -> None:
        """Drop what was written after the checkpoint."""
        assert self.csv_file is not None  # noqa: S101 - opened when training began
        there = os.fstat(self.csv_file.fileno()).st_size
        if there < state["size"]:  # the file is another one
            return
        self.csv_file.truncate(state["size"])
        self.keys, self._size, self._emptied = state["keys"], state["size"], True


def _cell(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0) or not isinstance(value, Iterable):
        return value
    return f'"[{", ".join(map(str, value))}]"'
