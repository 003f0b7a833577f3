"""What CIFAR-10 and CIFAR-100 share: batches of images and labels, pickled by Python 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamella.datasets import sources
from lamella.errors import FormatError
from lamella.files import pickled
from lamella.ir.settings import image_data_format

_LARGEST = 2**28
"""Bytes of a batch: that of CIFAR-100 has 155 million."""


def load_batch(path: Path, label_key: str = "labels") -> tuple[np.ndarray, list[int]]:
    """The images of a batch in the layout that `image_data_format` names, uint8, and their labels.

    Raises:
        FormatError: the file is missing in what was downloaded, damaged, or of another layout.
    """
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise FormatError(
            f"{str(path)!r} is not there, or not a batch of images; remove its folder, and load it again."
        )
    with sources.reading(path):
        value = pickled.read(path.read_bytes(), repr(str(path)))
        entries = value if isinstance(value, dict) else {}
        images, labels = (entries.get(key.encode(), entries.get(key)) for key in ("data", label_key))
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3 * 32 * 32,):
            raise FormatError(f"{str(path)!r} holds no images of 32 x 32 pixels.")
        if (
            not isinstance(labels, list)
            or len(labels) != len(images)
            or any(type(label) is not int or not 0 <= label < 100 for label in labels)
        ):
            raise FormatError(f"{str(path)!r} does not hold one label for each image.")
    images = images.reshape(-1, 3, 32, 32)
    order = (0, 2, 3, 1) if image_data_format() == "channels_last" else (0, 1, 2, 3)
    return np.array(images.transpose(order), order="C"), labels
