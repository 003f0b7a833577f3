"""MNIST: 70,000 handwritten digits.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, from Special Databases 1 and 3 of NIST; Keras's copy `mnist.npz`.

License: Creative Commons Attribution-Share Alike 3.0; copyright Yann LeCun and Corinna Cortes.

Citation: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition, Proceedings
of the IEEE 86(11), 1998.

Known harms: half of the writers were employees of the US Census Bureau, half high-school students; a model of their digits,
centered and scaled, says little about other writers, forms or cameras. It is too easy to tell good models from better ones.

Checked with: files of the same layout. The genuine file cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

import numpy as np

from lamella.datasets import sources

__all__ = ["load_data"]


def load_data(path: str = "mnist.npz") -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Handwritten digits: `(x_train, y_train), (x_test, y_test)`.

    Args:
        path: the file's name in `~/.keras/datasets`, or an absolute path.

    Returns:
        Images of shapes (60000, 28, 28) and (10000, 28, 28), uint8 from 0 to 255, and labels of shapes (60000,) and
        (10000,), uint8 from 0 to 9.

    Raises:
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.mnist.load_data()
        x_train = x_train[..., None].astype("float32") / 255
    """
    x_train, y_train, x_test, y_test = sources.arrays("mnist.npz", path, "x_train", "y_train", "x_test", "y_test")
    return (x_train, y_train), (x_test, y_test)
