"""Folders of text files as data sets."""

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
    """A data set of the `.txt` files of a folder, by default with a class for each of its subfolders.

    Batches are `(texts, labels)`: an object array `(batch,)` of strings, and labels as `label_mode` says; or the texts alone
    where there are no labels. A model takes numbers, which a function given to `map` makes of the texts. Files are read, as
    UTF-8, when their batch is needed.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("bad", "good"):
    ...     (folder / name).mkdir()
    ...     _ = (folder / name / "1.txt").write_text(f"a {name} film")
    >>> dataset = text_dataset_from_directory(folder, shuffle=False)
    Found 2 files belonging to 2 classes.
    >>> dataset[0]
    (array(['a bad film', 'a good film'], dtype=object), array([0, 1], dtype=int32))
    >>> from lamella.preprocessing.text import Tokenizer
    >>> words = Tokenizer()
    >>> words.fit_on_texts(text for texts, _ in dataset for text in texts)
    >>> numbered = dataset.map(lambda x, y: (words.texts_to_matrix(x), y))
    >>> numbered[0][0].shape
    (2, 5)

    Args:
        directory: the folder.
        labels: "inferred" numbers the subfolders, in alphabetical order; None gives no labels; a list of integers holds one
            label per file, in alphabetical order of their paths.
        label_mode: "int" gives int32 `(batch,)`, "categorical" one-hot float32 `(batch, classes)`, "binary" float32
            `(batch, 1)` of 0 and 1, None no labels.
        class_names: the subfolders that count, in the order that numbers them.
        batch_size: texts per batch; None gives single texts.
        max_length: characters of a text that are kept; None keeps all.
        shuffle: whether each pass takes the files in another order; without, the order is alphabetical.
        seed: an integer that all orders follow from, and the split; needed to split shuffled files.
        validation_split: the fraction of the files that is for validation.
        subset: "training", "validation", or "both" for a list of two data sets; only with `validation_split`.
        follow_links: whether subfolders that are symbolic links are read.
        format: chooses a framework in Keras; must be left out.
        verbose: whether the numbers of files and classes are printed.

    Returns:
        A `PyDataset` with an attribute `class_names` and methods `map`, `take` and `skip`, or a list of two.

    Raises:
        ArgumentError: an option is unknown or contradicts another one, or `directory` is not a folder.
        DataError: the folder has no text files, labels do not fit, or (when it is read) a file is not UTF-8.
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
