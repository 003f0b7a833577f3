"""CIFAR-100: 60,000 color photographs in a hundred classes of twenty groups.

Source: A. Krizhevsky, V. Nair and G. Hinton, https://www.cs.toronto.edu/~kriz/cifar.html.

License: none is stated; the photographs were collected from the web, and belong to those who made them.

Citation: A. Krizhevsky, Learning multiple layers of features from tiny images, University of Toronto, 2009.

Known harms: those of CIFAR-10 (see `lamella.datasets.cifar10`). Five classes are of people (baby, boy, girl, man, woman), who
were photographed without being asked and sorted by their looks. About 10 % of the test images have a near duplicate among the
training images.

Checked with: files of the same layout. The genuine file cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

import numpy as np

from lamella.datasets import sources
from lamella.datasets.cifar import load_batch
from lamella.errors import ArgumentError

__all__ = ["load_data"]


def load_data(
    label_mode: str = "fine",
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Color photographs of a hundred classes: `(x_train, y_train), (x_test, y_test)`.

    The files are in `~/.keras/datasets/cifar-100-python-target`.

    Args:
        label_mode: "fine" for the hundred classes, "coarse" for their twenty groups.

    Returns:
        Images of shapes (50000, 32, 32, 3) and (10000, 32, 32, 3), uint8 from 0 to 255, with the channels second where
        `config.image_data_format()` is "channels_first"; and labels of shapes (50000, 1) and (10000, 1), int64.

    Raises:
        ArgumentError: `label_mode` is neither "fine" nor "coarse".
        DownloadError: the files are not in the cache and cannot be downloaded.
        FormatError: a file is damaged, or holds anything but images and labels.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.cifar100.load_data("coarse")
        x_train = x_train.astype("float32") / 255
    """
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(f"label_mode must be 'fine' or 'coarse', got {label_mode!r}.")
    folder = sources.fetch("cifar-100-python-target", extract=True) / "cifar-100-python"
    x_train, y_train = load_batch(folder / "train", f"{label_mode}_labels")
    x_test, y_test = load_batch(folder / "test", f"{label_mode}_labels")
    return (x_train, np.reshape(y_train, (-1, 1))), (x_test, np.reshape(y_test, (-1, 1)))
