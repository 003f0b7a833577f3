"""Data sets of the text files in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import DataError
from lamella.utils.datasets import checked_batch_size, checked_count, refuse_format
from lamella.utils.directories import Files, LabeledFiles, Options, datasets_of


class TextFiles(LabeledFiles):
    """Text files, read when their batch is needed.

    Args:
        files: the files.
        label_mode: how labels are encoded.
        batch_size: files per batch, or None.
        max_length: characters of a text that are kept, or None.
        shuffle: whether each pass takes the files in another order.
        seed: of the orders.

    Attributes:
        file_paths: the paths, in the order before shuffling.
        class_names: the names of the classes, or None.
    """

    def __init__(
        self,
        files: Files,
        label_mode: str | None,
        batch_size: int | None,
        max_length: int | None,
        shuffle: bool,
        seed: int,
    ) -> None:
        super().__init__(files, label_mode, batch_size, shuffle, seed)
        self._max_length = max_length

    def read(self, paths: list[str]) -> np.ndarray:
        """The texts of these files, an object array `(batch,)`."""
        return np.fromiter((_text(path, self._max_length) for path in paths), object, len(paths))


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: None = None,
    verbose: bool = True,
) -> Any:
    """Return a data set of the `.txt` files in a folder, by default with one class per subfolder.

    Files are read, as UTF-8, when their batch is needed. Models take numbers: pass a function to `map` that converts
    the texts.

    Args:
        directory: the folder.
        labels: "inferred" numbers the subfolders in alphabetical order; None for no labels; or a list of one integer
            per file, in alphabetical order of the paths.
        label_mode: "int" for int32 labels of shape `(batch,)`, "categorical" for one-hot float32 `(batch, classes)`,
            "binary" for float32 `(batch, 1)` of 0 and 1, None for no labels.
        class_names: the subfolders to use, in the order of their class indices.
        batch_size: texts per batch; None yields single texts.
        max_length: the number of characters to which texts are truncated; None keeps them whole.
        shuffle: whether each pass shuffles the files; otherwise they are in alphabetical order.
        seed: the integer seed of the shuffling and of the split; required to split shuffled files.
        validation_split: the fraction of the files for validation.
        subset: "training", "validation", or "both" for a list of two data sets; only with `validation_split`.
        follow_links: whether symbolic links to folders are followed.
        format: selects a framework in Keras; must be None.
        verbose: whether to print the numbers of files and classes.

    Returns:
        A `PyDataset` with an attribute `class_names` and methods `map`, `take` and `skip`, or a list of two. Its
        batches are `(texts, labels)`, or the texts alone: an object array of shape `(batch,)`.

    Raises:
        ArgumentError: an option is unknown or contradicts another one, or `directory` is not a folder.
        DataError: the folder has no text files, labels do not match, or (when it is read) a file is not UTF-8.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> for name in ("bad", "good"):
        ...     pathlib.Path(folder.name, name).mkdir()
        ...     _ = pathlib.Path(folder.name, name, "1.txt").write_text(f"a {name} film")
        >>> dataset = text_dataset_from_directory(folder.name, shuffle=False)
        Found 2 files belonging to 2 classes.
        >>> dataset[0]
        (array(['a bad film', 'a good film'], dtype=object), array([0, 1], dtype=int32))
        >>> dataset.map(lambda x, y: (np.array([len(text) for text in x]), y))[0][0].tolist()
        [10, 11]
        >>> folder.cleanup()
    """
    refuse_format(format)
    size = checked_batch_size(batch_size)
    length = None if max_length is None else checked_count("max_length", max_length)
    options = Options(labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, verbose)

    def made(part: Files, shuffled: bool, seed: int) -> TextFiles:
        return TextFiles(part, label_mode, size, length, shuffled, seed)

    return datasets_of(directory, (".txt",), options, "text files", made)


def _text(path: str, max_length: int | None) -> str:
    """The text of a file.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return file.read() if max_length is None else file.read(max_length)
    except UnicodeDecodeError as error:
        raise DataError(
            f"the text file {path!r} is not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}; convert "
            "it, or move it out of the folder."
        ) from None
