"""Data sets of image files that are read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, unknown_name
from lamella.ir import settings
from lamella.utils import images
from lamella.utils.datasets import checked_batch_size, refuse_format
from lamella.utils.directories import Files, LabeledFiles, Options, datasets_of
from lamella.utils.resampling import INTERPOLATIONS, resample

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def default_workers() -> int:
    """Return the number of threads that read files in advance: Pillow decodes several images at a time."""
    return min(4, os.cpu_count() or 1)


class ImageFiles(LabeledFiles):
    """Image files, read when their batch is needed.

    Args:
        files: the files.
        label_mode: how labels are encoded.
        batch_size: files per batch, or None.
        shuffle: whether each pass takes the files in another order.
        seed: of the orders.
        options: the arguments of `_read`.

    Attributes:
        file_paths: the paths, in the order before shuffling.
        class_names: the names of the classes, or None.
        workers: how many threads read ahead in `fit`, `evaluate` and `predict`, at first as many as processors, 4 at most.
    """

    def __init__(
        self,
        files: Files,
        label_mode: str | None,
        batch_size: int | None,
        shuffle: bool,
        seed: int,
        options: dict[str, Any],
    ) -> None:
        super().__init__(files, label_mode, batch_size, shuffle, seed)
        self.workers = default_workers()
        self._options = options

    def read(self, paths: list[str]) -> np.ndarray:
        """These images, float32 `(batch, height, width, channels)`."""
        return np.stack([_read(path, **self._options) for path in paths])


def _read(
    path: str, color_mode: str, size: tuple[int, int], interpolation: str, crop: bool, pad: bool, data_format: str
) -> np.ndarray:
    """One image file as float32 of the size wanted."""
    x = images.img_to_array(images.load_img(path, color_mode), "channels_last", "float32")
    height, width = x.shape[:2]
    if crop:
        left, upper, right, lower = images.middle((width, height), size[1], size[0])
        x = resample(x[upper:lower, left:right], size, interpolation)
    elif pad:
        ratio = max(height / size[0], width / size[1])
        within = max(int(height / ratio), 1), max(int(width / ratio), 1)
        above, left = (max(int((have - now / ratio) / 2), 0) for have, now in zip(size, (height, width), strict=True))
        around = ((above, size[0] - within[0] - above), (left, size[1] - within[1] - left), (0, 0))
        x = np.pad(resample(x, within, interpolation), around)
    else:
        x = resample(x, size, interpolation)
    return x.transpose(2, 0, 1) if data_format == "channels_first" else x


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] | int = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: None = None,
    verbose: bool = True,
) -> Any:
    """Return the images in a folder as a `PyDataset` of batches, labeled by their subfolders.

    Files that end in .bmp, .gif, .jpeg, .jpg or .png are used; of an animation the first frame. They are read when they
    are needed, by several threads; the batches are a function of the seed alone.

    Args:
        directory: the folder.
        labels: "inferred" numbers the subfolders in alphabetical order; None for no labels; or a list of one label per
            file, in alphabetical order of the paths.
        label_mode: "int" for int32 labels of shape `(batch,)`, "categorical" for one-hot float32 `(batch, classes)`,
            "binary" for float32 `(batch, 1)` of two classes, or None for no labels.
        class_names: the subfolders in the order of their class indices; None for all, sorted.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images per batch; None yields single images.
        image_size: `(height, width)` of the results, or one number for both.
        shuffle: whether the images are shuffled in each epoch; otherwise they are sorted.
        seed: the seed of the shuffling and of the split; None draws one. The split is that of Keras for the same seed.
        validation_split: the fraction of the images for validation.
        subset: "training", "validation", or "both" for a list of two data sets.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian" or "mitchellcubic",
            without antialiasing.
        follow_links: whether symbolic links to folders are followed.
        crop_to_aspect_ratio: whether images are first cropped around their center to the aspect ratio of `image_size`.
        pad_to_aspect_ratio: whether images keep their aspect ratio and are padded with zeros.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        format: selects a framework in Keras; must be None.
        verbose: whether to print the number of files.

    Returns:
        A `PyDataset` with the attributes `class_names` and `file_paths`, or a list of two. Its batches are `(images,
        labels)`, or the images alone: float32 `(batch, height, width, channels)` from 0 to 255.

    Raises:
        ArgumentError: an argument is invalid, or contradicts another.
        DataError: the folder has no images; an image that cannot be read is named when its batch is computed.
        ImportError: Pillow is not installed.
        OSError: the folder cannot be read.

    Example:
        >>> import os, tempfile
        >>> from lamella.utils import save_img
        >>> folder = tempfile.TemporaryDirectory()
        >>> for name in ("cat", "dog"):
        ...     os.mkdir(os.path.join(folder.name, name))
        ...     save_img(os.path.join(folder.name, name, "1.png"), np.ones((8, 6, 3)))
        >>> data = image_dataset_from_directory(folder.name, image_size=(4, 4), seed=1)
        Found 2 files belonging to 2 classes.
        >>> data.class_names, [x.shape for x, y in data]
        (['cat', 'dog'], [(2, 4, 4, 3)])
        >>> folder.cleanup()
    """
    images.pillow("image_dataset_from_directory")
    refuse_format(format)
    images.check_loading(color_mode)
    if str(interpolation).lower() not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("images are either cropped or padded to the aspect ratio: set one of the two arguments.")
    reading = {
        "color_mode": color_mode,
        "size": images.size_of((image_size, image_size) if isinstance(image_size, int) else image_size, "image_size"),
        "interpolation": str(interpolation).lower(),
        "crop": crop_to_aspect_ratio,
        "pad": pad_to_aspect_ratio,
        "data_format": settings.layout_of(data_format),
    }
    size = checked_batch_size(batch_size)
    options = Options(labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, verbose)

    def made(part: Files, shuffled: bool, seed: int) -> ImageFiles:
        return ImageFiles(part, label_mode, size, shuffled, seed, reading)

    return datasets_of(directory, ENDINGS, options, "images", made)
