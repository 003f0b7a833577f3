"""California house prices of 1990: 20,640 districts with 8 numbers each.

Source: R. K. Pace and R. Barry from the US census of 1990, by StatLib; Keras's copy `california_housing.npz`.

License: none is stated; the numbers of the census are in the public domain.

Citation: R. K. Pace and R. Barry, Sparse spatial autoregressions, Statistics and Probability Letters 33, 1997.

Known harms: incomes and places of small districts; the prices of 1990 are also those of segregation, and a model of them
repeats it. Prices above 500,000 dollars are cut off. It is not fit for decisions about houses or people.

Checked with: files of the same layout. The genuine file cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

import numpy as np

from lamella.datasets import sources, tables
from lamella.errors import ArgumentError

__all__ = ["load_data"]

_SMALL = 600


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int | None = 113
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """California house prices: `(x_train, y_train), (x_test, y_test)`.

    The columns are median income, median age of the houses, average numbers of rooms, of bedrooms, population, average
    number of people in a household, latitude, longitude.

    Args:
        version: "large" for all 20,640 rows, "small" for the first 600.
        path: the file's name in `~/.keras/datasets`, or an absolute path.
        test_split: the part of the rows that are for tests, from 0 up to 1.
        seed: of the order of the rows.

    Returns:
        Tables of shapes (16512, 8) and (4128, 8), and prices in dollars of shapes (16512,) and (4128,), in the floats of
        the file.

    Raises:
        ArgumentError: `version` is unknown, or `test_split` out of range.
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.california_housing.load_data("small")
    """
    tables.check_split(test_split)
    if version not in ("large", "small"):
        raise ArgumentError(f"version must be 'large' or 'small', got {version!r}.")
    x, y = sources.arrays("california_housing.npz", path, "x", "y")
    if version == "small":
        x, y = x[:_SMALL], y[:_SMALL]
    return tables.split(x, y, test_split, seed)
