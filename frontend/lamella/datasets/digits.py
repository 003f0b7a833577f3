"""The handwritten digits of UCI: 1,797 images of 8 x 8 pixels, which come with lamella and need no network.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, the part for tests of the UCI Machine Learning
Repository, https://archive.ics.uci.edu/dataset/80, as scikit-learn has it. The images are in another order here; nothing else
was changed.

License: Creative Commons Attribution 4.0 International, https://creativecommons.org/licenses/by/4.0/.

Citation: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49.

Known harms: 13 people wrote all of it, and their digits are in both parts; a model of them says little about others'.

Checked with: the genuine file, image by image against scikit-learn's `load_digits`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamella.files import npz

__all__ = ["load_data"]


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Small handwritten digits: `(x_train, y_train), (x_test, y_test)`, always split in the same way.

    A fifth of the images of each digit, drawn once, is for tests: the split is that of scikit-learn's
    `train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=7)`.

    Returns:
        Images of shapes (1437, 8, 8) and (360, 8, 8), uint8 from 0 (white) to 16 (black), and labels of shapes (1437,) and
        (360,), uint8 from 0 to 9.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_train.dtype, int(x_train.max()), y_test.shape
    ((1437, 8, 8), dtype('uint8'), 16, (360,))
    """
    names = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = npz.read_npz(Path(__file__).with_name("digits.npz"), *names)
    return (x_train, y_train), (x_test, y_test)
