"""Fashion-MNIST: 70,000 pictures of clothes, in the layout of MNIST.

Source: Zalando Research, https://github.com/zalandoresearch/fashion-mnist; Keras's copy of its four files.

License: MIT; copyright Zalando SE.

Citation: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms, arXiv:1708.07747, 2017.

Known harms: product photographs of one shop of one time, in its own classes; shirts, T-shirts and coats overlap, so that a
part of the labels cannot be told from the pictures.

Checked with: files of the same layout. The genuine files cannot be downloaded where lamella is tested.

References:
    The IDX format, http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from lamella.datasets import sources
from lamella.errors import FormatError

__all__ = ["load_data"]

_LARGEST = 2**28
"""Bytes of a file's content: the images for training have 47 million."""
_UINT8 = 8


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Pictures of clothes: `(x_train, y_train), (x_test, y_test)`.

    The labels are 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.
    The files are in `~/.keras/datasets/fashion-mnist`.

    Returns:
        Images of shapes (60000, 28, 28) and (10000, 28, 28), uint8 from 0 to 255, and labels of shapes (60000,) and
        (10000,), uint8 from 0 to 9.

    Raises:
        DownloadError: a file is not in the cache and cannot be downloaded.
        FormatError: a file is damaged.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.fashion_mnist.load_data()
        x_train = x_train[..., None].astype("float32") / 255
    """
    return _pair("train"), _pair("t10k")


def _pair(part: str) -> tuple[np.ndarray, np.ndarray]:
    folder = "datasets/fashion-mnist"
    labels, images = (sources.fetch(f"{part}-{kind}-ubyte.gz", "", folder) for kind in ("labels-idx1", "images-idx3"))
    y, x = _read(labels, 1), _read(images, 3)
    if len(x) != len(y):
        raise FormatError(f"{str(images)!r} has {len(x):,} images, and {str(labels)!r} {len(y):,} labels.")
    return x, y


def _read(path: Path, axes: int) -> np.ndarray:
    """The bytes of an IDX file, with so many axes."""
    with sources.reading(path):
        try:
            with gzip.open(path) as file:
                start = file.read(4 + 4 * axes)
                kind, *shape = struct.unpack(f">{1 + axes}I", start)
                size = math.prod(shape)
                if kind != _UINT8 << 8 | axes or size > _LARGEST:
                    raise FormatError(f"{str(path)!r} is not an IDX file of bytes with {axes} axes.")
                data = bytearray(file.read(size))
                if len(data) != size or file.read(1):  # at its end the checksum is compared
                    raise FormatError(f"{str(path)!r} has not the {size:,} bytes that it claims.")
        except (EOFError, zlib.error, struct.error, gzip.BadGzipFile) as error:
            raise FormatError(f"{str(path)!r} is not an IDX file, or it is damaged or cut short ({error}).") from None
        return np.frombuffer(data, np.uint8).reshape(shape)
