"""Batches of image files, found in a folder or named by a table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import console
from lamella.errors import ArgumentError, DataError, unknown_name
from lamella.ir import settings
from lamella.preprocessing.iterator import ImageIterator
from lamella.tracebacks import user_level
from lamella.utils import images
from lamella.utils.directories import files_below

if TYPE_CHECKING:
    from lamella.preprocessing.image_generator import ImageDataGenerator

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
_SUBSETS = ("training", "validation")


class FileIterator(ImageIterator):
    """The base of the two: files, how they are read, and targets by `class_mode`.

    Attributes:
        filenames: the files, below `directory`.
        filepaths: their paths.
        samples: how many there are.
        class_indices: for each class its number, where `class_mode` has classes.
        classes: the number of the class of each file (for lists of classes, lists).
        image_shape: the shape of an image in a batch.
        sample_weight: the weights, or None.
    """

    class_indices: dict[str, int]
    filenames: list[str]
    classes: Any
    sample_weight: np.ndarray | None = None
    _targets: Any = None

    def _set_reading(
        self,
        generator: ImageDataGenerator | None,
        directory: Any,
        target_size: Any,
        color_mode: str,
        class_mode: str | None,
        class_modes: tuple[str, ...],
        data_format: str | None,
        subset: str | None,
        interpolation: str,
        keep_aspect_ratio: bool,
    ) -> None:
        """Check and keep how the files are read; before any folder is looked at."""
        images.pillow(type(self).__name__)
        images.check_loading(color_mode, target_size, interpolation)
        if class_mode not in (*class_modes, None):
            raise unknown_name("class_mode", class_mode, class_modes)
        if subset not in (*_SUBSETS, None):
            raise unknown_name("subset", subset, _SUBSETS)
        fraction = 0.0 if generator is None else generator._validation_split
        if subset == "validation" and not fraction:
            raise ArgumentError("subset='validation' needs ImageDataGenerator(validation_split=...).")
        self.directory, self.subset, self.class_mode = directory, subset, class_mode
        self.split = {"validation": (0.0, fraction), "training": (fraction, 1.0), None: None}[subset]
        self.target_size, self.color_mode = images.size_of(target_size, "target_size"), color_mode
        self.interpolation, self.keep_aspect_ratio = interpolation, keep_aspect_ratio
        channels = (images.CHANNELS[color_mode],)
        first = settings.layout_of(data_format) == "channels_first"
        self.image_shape = channels + self.target_size if first else self.target_size + channels

    def _within_split(self, count: int) -> slice:
        return slice(None) if self.split is None else slice(*(int(fraction * count) for fraction in self.split))

    @property
    def filepaths(self) -> list[str]:
        """The paths of the files."""
        return [os.path.join(self.directory, name) for name in self.filenames]  # noqa: PTH118 - strings, as in Keras

    @property
    def labels(self) -> Any:
        """The targets of all files: values of the table, or numbers of classes."""
        return self.classes if self._targets is None else self._targets

    def gather(self, passing: int, numbers: np.ndarray) -> Any:
        """Images, images and targets, or images, targets and weights."""
        x = self._changed((self._read(number) for number in numbers), passing, numbers)
        if self.class_mode is None:
            return x
        if self.class_mode == "input":
            y: Any = x.copy()
        elif self.class_mode == "multi_output":
            y = [values[numbers] for values in self._targets]
        elif self.class_mode == "raw":
            y = self._targets[numbers]
        elif self.class_mode == "categorical":
            y = np.zeros((len(numbers), len(self.class_indices)), self.dtype)
            for row, number in zip(y, numbers, strict=True):
                row[self.classes[number]] = 1
        else:
            y = np.array([self.classes[number] for number in numbers], self.dtype)
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[numbers])

    def _read(self, number: int) -> np.ndarray:
        image = images.load_img(
            os.path.join(self.directory, self.filenames[number]),  # noqa: PTH118
            self.color_mode,
            self.target_size,
            self.interpolation,
            self.keep_aspect_ratio,
        )
        return images.img_to_array(image, self.data_format, self.dtype)


class DirectoryIterator(FileIterator):
    """The images in a folder in batches, labeled by subfolder; made by `ImageDataGenerator.flow_from_directory`.

    Files that end with .png, .jpg, .jpeg, .bmp, .ppm, .tif or .tiff count. The arguments are those of
    `ImageDataGenerator.flow_from_directory`.

    Args:
        directory: the folder.
        image_data_generator: what changes the images, or None.
        target_size: (height, width) of the results.
        color_mode: "rgb", "rgba" or "grayscale".
        classes: the subfolders in the order of their labels; None is all of them, sorted.
        class_mode: "categorical", "binary", "sparse", "input" or None.
        batch_size: images per batch.
        shuffle: whether each epoch has another order.
        seed: of order and changes; None draws one.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        save_to_dir: a folder for what was computed.
        save_prefix: what the names of these files begin with.
        save_format: their format.
        follow_links: whether links to folders are followed.
        subset: "training" or "validation".
        interpolation: a filter of Pillow.
        keep_aspect_ratio: whether images are cropped first.
        dtype: of the batches; None is `config.floatx()`.

    Raises:
        ArgumentError: an argument has no meaning.
        DataError: there are no images.
        ImportError: Pillow is not installed.
        OSError: the folder cannot be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from lamella.preprocessing.image import DirectoryIterator, ImageDataGenerator
        >>> from lamella.utils import save_img
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("cats", "dogs"):
        ...     (folder / name).mkdir()
        ...     save_img(folder / name / "0.png", np.zeros((4, 4, 3)))
        >>> data = DirectoryIterator(folder, ImageDataGenerator(), target_size=(4, 4), batch_size=2)  # prints the count
        Found 2 images belonging to 2 classes.
        >>> data.class_indices, data[0][0].shape
        ({'cats': 0, 'dogs': 1}, (2, 4, 4, 3))
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: ImageDataGenerator | None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
    ) -> None:
        self._set_reading(
            image_data_generator, os.fspath(directory), target_size, color_mode, class_mode,
            ("categorical", "binary", "sparse", "input"), data_format, subset, interpolation, keep_aspect_ratio,
        )  # fmt: skip
        present = sorted(entry.name for entry in Path(directory).iterdir() if entry.is_dir())
        if missing := sorted(set(classes or ()) - set(present)):
            raise ArgumentError(f"classes must name subfolders of {os.fspath(directory)!r}: {missing} are not there.")
        names = list(classes or present)
        self.filenames, numbers = [], []
        for number, name in enumerate(names):
            found = files_below(Path(directory) / name, ENDINGS, follow_links)
            found = [os.path.relpath(path, directory) for path in found[self._within_split(len(found))]]
            self.filenames += found
            numbers += [number] * len(found)
        if not self.filenames:
            raise DataError(
                f"{os.fspath(directory)!r} has no images ({', '.join(ENDINGS)}) in its subfolders, one per class"
                + (f", for subset={subset!r}." if subset else ".")
            )
        self.samples, self.num_classes = len(self.filenames), len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.classes = np.array(numbers, "int32")
        console.say(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        super().__init__(
            self.samples, batch_size, shuffle, seed, image_data_generator, settings.layout_of(data_format),
            dtype or settings.floatx(), save_to_dir, save_prefix, save_format,
        )  # fmt: skip


class DataFrameIterator(FileIterator):
    """The image files that a table names, in batches; made by `ImageDataGenerator.flow_from_dataframe`.

    The arguments are those of `ImageDataGenerator.flow_from_dataframe`.

    Args:
        dataframe: a table whose columns are found by name.
        directory: the folder of the files, or None.
        image_data_generator: what changes the images, or None.
        x_col: the column of file names.
        y_col: the column of targets, or the columns.
        weight_col: the column of sample weights.
        target_size: (height, width) of the results.
        color_mode: "rgb", "rgba" or "grayscale".
        classes: the names of the classes in the order of their labels; None is all, sorted.
        class_mode: "categorical", "binary", "sparse", "raw", "multi_output", "input" or None.
        batch_size: images per batch.
        shuffle: whether each epoch has another order.
        seed: of order and changes; None draws one.
        data_format: "channels_last" or "channels_first".
        save_to_dir: a folder for what was computed.
        save_prefix: what the names of these files begin with.
        save_format: their format.
        subset: "training" or "validation".
        interpolation: a filter of Pillow.
        keep_aspect_ratio: whether images are cropped first.
        dtype: of the batches.
        validate_filenames: whether rows without a file are left out.

    Raises:
        ArgumentError: an argument has no meaning.
        DataError: there are no images, or a column has values of another kind than `class_mode` needs.
        ImportError: Pillow is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from lamella.preprocessing.image import DataFrameIterator
        >>> from lamella.utils import save_img
        >>> folder = Path(tempfile.mkdtemp())
        >>> save_img(folder / "a.png", np.zeros((4, 4, 3)))
        >>> table = {"filename": ["a.png"], "class": ["cat"]}
        >>> data = DataFrameIterator(table, folder, target_size=(4, 4), batch_size=1)
        Found 1 validated image filenames belonging to 1 classes.
        >>> data[0][0].shape
        (1, 4, 4, 3)
    """

    def __init__(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        image_data_generator: ImageDataGenerator | None = None,
        x_col: str = "filename",
        y_col: str | list[str] = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = "channels_last",
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = "float32",
        validate_filenames: bool = True,
    ) -> None:
        self._set_reading(
            image_data_generator, os.fspath(directory or ""), target_size, color_mode, class_mode,
            ("binary", "categorical", "input", "multi_output", "raw", "sparse"), data_format, subset, interpolation,
            keep_aspect_ratio,
        )  # fmt: skip
        names = _column(dataframe, x_col)
        if not all(isinstance(name, str) for name in names):
            raise DataError(f"column {x_col!r} must hold names of files, strings.")
        rows = np.arange(len(names))
        if validate_filenames:
            rows = self._valid(names, x_col)
        has_classes = class_mode in ("binary", "categorical", "sparse")
        numbers: dict[int, Any] = {}
        if has_classes:
            labels = _labels(dataframe, y_col, class_mode)
            found = {name for row in rows for name in _several(labels[row])}
            known = list(dict.fromkeys(classes)) if classes else sorted(found)
            if class_mode == "binary" and len(known) != 2:
                raise ArgumentError(f"class_mode='binary' needs two classes, and column {y_col!r} has {known}.")
            self.class_indices = {name: number for number, name in enumerate(known)}
            numbers = {int(row): _numbers(labels[row], self.class_indices) for row in rows}
            rows = np.array([row for row in numbers if numbers[row] is not None], np.intp)
        elif classes:
            warnings.warn(f"classes has no meaning for class_mode={class_mode!r}.", stacklevel=user_level())
        rows = rows[self._within_split(len(rows))]
        if not len(rows):
            raise DataError(f"no row of the table names an image below {self.directory or '.'!r} in column {x_col!r}.")
        self.filenames = [names[row] for row in rows]
        self.samples = len(rows)
        if has_classes:
            self.classes = [numbers[row] for row in rows]
        elif class_mode in ("raw", "multi_output"):
            self._targets = _targets(dataframe, y_col, class_mode, rows)
        if weight_col is not None:
            weights = np.asarray(dataframe[weight_col])
            if weights.dtype.kind not in "iuf":
                raise DataError(f"column {weight_col!r} must hold numbers, the weights; got {weights.dtype}.")
            self.sample_weight = weights[rows]
        kind = "validated" if validate_filenames else "non-validated"
        told = f" belonging to {len(self.class_indices)} classes" if has_classes else ""
        console.say(f"Found {self.samples} {kind} image filenames{told}.")
        super().__init__(
            self.samples, batch_size, shuffle, seed, image_data_generator, settings.layout_of(data_format), dtype,
            save_to_dir, save_prefix, save_format,
        )  # fmt: skip

    def _valid(self, names: list[str], x_col: str) -> np.ndarray:
        """The rows whose file is there and may be an image."""
        folder = Path(self.directory)
        valid = [name.lower().endswith(ENDINGS) and (folder / name).is_file() for name in names]
        if missing := [name for name, there in zip(names, valid, strict=True) if not there]:
            warnings.warn(
                f"{len(missing)} of {len(names)} names in column {x_col!r} are not images below {self.directory or '.'!r} "
                f"and are left out: {', '.join(map(repr, missing[:3]))}{', ...' if len(missing) > 3 else ''}.",
                stacklevel=user_level(),
            )
        return np.flatnonzero(valid)


def _column(table: Any, name: Any) -> list[Any]:
    try:
        return list(table[name])
    except (KeyError, TypeError) as error:
        known = list(getattr(table, "columns", table))
        raise unknown_name("column", name, [str(entry) for entry in known]) from error


def _labels(table: Any, y_col: Any, class_mode: str | None) -> list[Any]:
    """The names of classes in a column, checked."""
    values = _column(table, y_col)
    kinds = (str, list, tuple) if class_mode == "categorical" else str
    wrong = next((value for value in values if not isinstance(value, kinds)), None)
    if wrong is not None or any(value is None for value in values):
        expected = "names of classes or lists of them" if class_mode == "categorical" else "names of classes, strings"
        raise DataError(
            f"column {y_col!r} must hold {expected} for class_mode={class_mode!r}, got {wrong!r}; write them as "
            "strings, or use class_mode='raw' for numbers."
        )
    return values


def _several(label: Any) -> Sequence[str]:
    return [label] if isinstance(label, str) else label


def _numbers(label: Any, indices: dict[str, int]) -> Any:
    """The number of a label, or those of a list of labels that are known; None where none is."""
    if isinstance(label, str):
        return indices.get(label)
    return [indices[name] for name in label if name in indices] or None


def _targets(table: Any, y_col: Any, class_mode: str, rows: np.ndarray) -> Any:
    """The values of one column or several."""
    if class_mode == "multi_output":
        if not isinstance(y_col, list):
            raise ArgumentError(f"class_mode='multi_output' needs a list of columns as y_col, got {y_col!r}.")
        return [np.array(_column(table, name))[rows] for name in y_col]
    if isinstance(y_col, list):
        return np.stack([np.asarray(_column(table, name))[rows] for name in y_col], 1)
    return np.asarray(_column(table, y_col))[rows]
