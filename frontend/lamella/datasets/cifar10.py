"""CIFAR-10: 60,000 color photographs in ten classes.

Source: A. Krizhevsky, V. Nair and G. Hinton, https://www.cs.toronto.edu/~kriz/cifar.html.

License: none is stated; the photographs were collected from the web, and belong to those who made them.

Citation: A. Krizhevsky, Learning multiple layers of features from tiny images, University of Toronto, 2009.

Known harms: a labeled part of 80 Million Tiny Images, which its authors withdrew in 2020 for its derogatory labels and
offensive pictures (A. Birhane and V. Prabhu, Large image datasets: a pyrrhic win for computer vision?, 2021). About 3 % of
the test images have a near duplicate among the training images (B. Barz and J. Denzler, Do we train on test data?, 2020), and
some labels are wrong (C. Northcutt, A. Athalye and J. Mueller, Pervasive label errors in test sets, 2021).

Checked with: files of the same layout. The genuine file cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

import numpy as np

from lamella.datasets import sources
from lamella.datasets.cifar import load_batch

__all__ = ["load_data"]


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Color photographs of ten classes: `(x_train, y_train), (x_test, y_test)`.

    The labels are 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck. The files are in
    `~/.keras/datasets/cifar-10-batches-py-target`, and take 350 MB with the archive that they come in.

    Returns:
        Images of shapes (50000, 32, 32, 3) and (10000, 32, 32, 3), uint8 from 0 to 255, with the channels second where
        `config.image_data_format()` is "channels_first"; and labels of shapes (50000, 1) and (10000, 1), uint8.

    Raises:
        DownloadError: the files are not in the cache and cannot be downloaded.
        FormatError: a file is damaged, or holds anything but images and labels.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.cifar10.load_data()
        x_train = x_train.astype("float32") / 255
    """
    folder = sources.fetch("cifar-10-batches-py-target", extract=True) / "cifar-10-batches-py"
    batches = [load_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    x_train = np.concatenate([images for images, _ in batches])
    y_train = np.concatenate([labels for _, labels in batches])
    x_test, y_test = load_batch(folder / "test_batch")
    return (x_train, _column(y_train)), (x_test, _column(y_test))


def _column(labels: np.ndarray | list[int]) -> np.ndarray:
    return np.reshape(np.asarray(labels, np.uint8), (-1, 1))
