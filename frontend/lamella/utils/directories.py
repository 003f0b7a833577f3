"""Files in folders as labeled examples: the common part of the functions `*_dataset_from_directory`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamella import host_random
from lamella.console import say
from lamella.errors import ArgumentError, DataError, did_you_mean
from lamella.utils.arrays import to_categorical
from lamella.utils.datasets import BatchedDataset

LABEL_MODES = ("int", "categorical", "binary", None)
_SUBSETS = ("training", "validation", "both")


class Files(NamedTuple):
    """Files and their labels.

    Attributes:
        paths: the paths of the files.
        labels: int32 of shape `(files,)`, or None.
        class_names: the names of the classes, or None.
    """

    paths: list[str]
    labels: np.ndarray | None
    class_names: list[str] | None


class Options(NamedTuple):
    """The common arguments of `*_dataset_from_directory`, with Keras's meaning."""

    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    verbose: bool


class LabeledFiles(BatchedDataset):
    """Files that are read when their batch is needed: a subclass writes `read`.

    Args:
        files: the files.
        label_mode: how labels are encoded.
        batch_size: files per batch, or None.
        shuffle: whether each pass takes the files in another order.
        seed: of the orders.

    Attributes:
        file_paths: the paths, in the order before shuffling.
        class_names: the names of the classes, or None.
    """

    def __init__(self, files: Files, label_mode: str | None, batch_size: int | None, shuffle: bool, seed: int) -> None:
        super().__init__(len(files.paths), batch_size, shuffle, seed)
        self.file_paths, self.class_names = files.paths, files.class_names
        self._labels = encoded(files.labels, label_mode, len(files.class_names or ()))

    def gather(self, numbers: np.ndarray) -> Any:
        """What these files hold, and their labels where there are any."""
        x = self.read([self.file_paths[i] for i in numbers])
        return x if self._labels is None else (x, self._labels[numbers])

    def read(self, paths: list[str]) -> np.ndarray:
        """What these files hold, as a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its files hold: write `read`.")


def datasets_of(
    directory: str | os.PathLike[str],
    endings: tuple[str, ...],
    options: Options,
    what: str,
    made: Callable[[Files, bool, int], LabeledFiles],
) -> Any:
    """The data set of the files of a folder, or a list of two where `subset` is "both"; see `labeled_files`.

    Args:
        directory: the folder.
        endings: of the names of files that count.
        options: the arguments of the caller.
        what: what the files are, for messages.
        made: makes a data set of files, of whether they are shuffled, and of the seed.
    """
    parts, seed = labeled_files(directory, endings, options, what)
    # of two parts only that for training changes its order
    found = [made(part, options.shuffle and number == 0, seed) for number, part in enumerate(parts)]
    return found if len(found) > 1 else found[0]


def labeled_files(
    directory: str | os.PathLike[str], endings: tuple[str, ...], options: Options, what: str
) -> tuple[list[Files], int]:
    """The files of a folder, shuffled and split as Keras does, and the seed: one part, or two where `subset` is "both".

    Args:
        directory: the folder.
        endings: of the names of files that count, in small letters (".txt").
        options: the arguments of the caller.
        what: what the files are, for messages ("text files").

    Raises:
        ArgumentError: options contradict each other, or `directory` is not a folder.
        DataError: there are no such files, or labels and files do not fit.
    """
    _check(options)
    root = Path(directory)
    if not root.is_dir():
        raise ArgumentError(
            f"directory must be a folder with {what} in it, and {os.fspath(directory)!r} is not a folder."
        )
    labeled = None not in (options.labels, options.label_mode)
    inferred = labeled and options.labels == "inferred"
    paths, labels, names = _listed(root, endings, options, inferred)
    if not paths:
        where = "subfolders, one per class," if inferred else "folder"
        raise DataError(
            f"{os.fspath(directory)!r} has no {what} ({', '.join(endings)}) in its {where} to make a data set of."
        )
    if labeled and not inferred:
        if len(options.labels) != len(paths):
            raise DataError(
                f"labels must be one per file, got {len(options.labels)} labels for the {len(paths)} {what} in "
                f"{os.fspath(directory)!r}."
            )
        labels = list(options.labels)
        names = [str(label) for label in sorted(set(labels))]
    if options.verbose:
        classes = f" belonging to {len(names)} classes" if labeled else ""
        say(f"Found {len(paths)} files{classes}.")
    _check_mode(options.label_mode if labeled else None, labels, names)
    # Keras's seed: scripts that only call `np.random.seed` repeat
    seed = host_random.next_seed() % 2**32 if options.seed is None else int(options.seed)
    order = np.arange(len(paths))
    if options.shuffle:
        np.random.RandomState(seed).shuffle(order)  # Keras's order, so that the parts are those of Keras
    files = Files(
        [paths[i] for i in order],
        np.asarray(labels, np.int32)[order] if labeled else None,
        names if labeled else None,
    )
    return _parts(files, options, what), seed


def encoded(labels: np.ndarray | None, mode: str | None, classes: int) -> np.ndarray | None:
    """Labels as a data set gives them: int32 `(n,)`, one-hot float32 `(n, classes)` or float32 `(n, 1)`.

    Args:
        labels: int32 `(n,)`, or None for none.
        mode: "int", "categorical", "binary" or None.
        classes: how many classes there are.
    """
    if labels is None or mode is None:
        return None
    if mode == "int":
        return labels
    if mode == "binary":
        return labels.astype(np.float32)[:, None]
    return to_categorical(labels, classes).astype(np.float32)


def _check(options: Options) -> None:
    """Refuse options that mean nothing.

    Raises:
        ArgumentError: which one.
    """
    labels, split, subset = options.labels, options.validation_split, options.subset
    if isinstance(labels, str) and labels != "inferred":
        raise ArgumentError(f"labels={labels!r}: {did_you_mean(labels, ['inferred'])}")
    if labels is not None and not isinstance(labels, str | list | tuple):
        raise ArgumentError(
            f"labels must be 'inferred', None, or a list of one integer per file, got {type(labels).__name__}."
        )
    if options.class_names is not None and not isinstance(labels, str):
        raise ArgumentError(
            "class_names orders the subfolders of labels='inferred'; leave it out where labels are given."
        )
    if options.label_mode not in LABEL_MODES:
        raise ArgumentError(f"label_mode must be 'int', 'categorical', 'binary' or None, got {options.label_mode!r}.")
    if split is not None and not 0 < split < 1:
        raise ArgumentError(f"validation_split must be a fraction between 0 and 1, got {split!r}.")
    if subset is not None and subset not in _SUBSETS:
        raise ArgumentError(f"subset must be one of {', '.join(map(repr, _SUBSETS))}, got {subset!r}.")
    if (split is None) != (subset is None):
        raise ArgumentError(f"validation_split and subset come together, got {split!r} and {subset!r}.")
    if split is not None and options.shuffle and options.seed is None:
        raise ArgumentError(
            "validation_split of shuffled files needs a seed=: without one, the two parts would overlap; or write "
            "shuffle=False."
        )


def _check_mode(mode: str | None, labels: Sequence[Any], names: list[str]) -> None:
    """Refuse labels that cannot be encoded.

    Raises:
        ArgumentError: "binary" for other than two classes.
        DataError: labels are not integers that number the classes.
    """
    if mode is None:
        return
    if mode == "binary" and len(names) != 2:
        raise ArgumentError(f"label_mode='binary' needs two classes, got {len(names)}: {', '.join(names)!r:.200}.")
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, int | np.integer):
            raise DataError(f"labels must be integers, got {label!r}.")
        if mode != "int" and not 0 <= label < len(names):
            raise DataError(f"labels must be 0 to {len(names) - 1} for label_mode={mode!r}, got {label}.")


def _listed(
    root: Path, endings: tuple[str, ...], options: Options, inferred: bool
) -> tuple[list[str], list[int], list[str]]:
    """Paths, labels and names of classes, in alphabetical order; no labels and names where they are not inferred."""
    if not inferred:
        return files_below(root, endings, options.follow_links), [], []
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    names = folders if options.class_names is None else list(options.class_names)
    missing = [name for name in names if name not in folders]
    if missing or len(set(names)) != len(names):
        raise ArgumentError(
            f"class_names must be different names of subfolders of {os.fspath(root)!r}, got {names!r:.200}; "
            f"the subfolders are {folders!r:.200}."
        )
    paths: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        found = files_below(root / name, endings, options.follow_links)
        paths += found
        labels += [number] * len(found)
    return paths, labels, names


def files_below(folder: Path, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    """The paths of the files below a folder: folder by folder in alphabetical order, and so within each.

    Args:
        folder: the folder.
        endings: of the names of files that count, in small letters (".txt").
        follow_links: whether subfolders that are symbolic links are read.
    """
    walked = sorted(os.walk(folder, followlinks=follow_links), key=lambda entry: entry[0])
    return [
        str(Path(inner, name)) for inner, _, names in walked for name in sorted(names) if name.lower().endswith(endings)
    ]


def _parts(files: Files, options: Options, what: str) -> list[Files]:
    """The files, or the subset of them that was asked for, or both."""
    if options.validation_split is None:
        return [files]
    count = len(files.paths)
    at = count - int(options.validation_split * count)
    if at in (0, count):
        raise DataError(
            f"validation_split={options.validation_split} of {count} {what} leaves one of the two parts empty."
        )
    parts = {"training": slice(0, at), "validation": slice(at, count)}
    chosen = list(parts) if options.subset == "both" else [str(options.subset)]
    if options.verbose:
        for name in chosen:
            say(f"Using {len(range(count)[parts[name]])} files for {name}.")
    return [
        Files(files.paths[part], None if files.labels is None else files.labels[part], files.class_names)
        for part in (parts[name] for name in chosen)
    ]
