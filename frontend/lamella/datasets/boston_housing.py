"""Boston house prices of 1978: 506 districts with 13 numbers each. It is here for old scripts only.

Source: D. Harrison and D. L. Rubinfeld, by StatLib of Carnegie Mellon University; Keras's copy `boston_housing.npz`.

License: none is stated.

Citation: D. Harrison and D. L. Rubinfeld, Hedonic prices and the demand for clean air, Journal of Environmental Economics and
Management 5, 1978.

Known harms: the column "B" is made of the share of Black residents, on the assumption that segregation raises the prices of
houses (M. Carlisle, Racist data destruction?, 2019). Do not use it, unless to show such faults; `california_housing` is
another table of house prices.

Checked with: files of the same layout. The genuine file cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

import warnings

import numpy as np

from lamella.datasets import sources, tables

__all__ = ["load_data"]


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int | None = 113
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Boston house prices, with a warning: `(x_train, y_train), (x_test, y_test)`.

    Args:
        path: the file's name in `~/.keras/datasets`, or an absolute path.
        test_split: the part of the rows that are for tests, from 0 up to 1.
        seed: of the order of the rows.

    Returns:
        Tables of shapes (404, 13) and (102, 13), and prices in thousands of dollars of shapes (404,) and (102,), in the
        floats of the file.

    Raises:
        ArgumentError: `test_split` is out of range.
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged.
    """
    tables.check_split(test_split)
    warnings.warn(
        "the Boston housing data hold a column made of the share of Black residents; use "
        "lamella.datasets.california_housing, unless to show what is wrong with them.",
        UserWarning,
        stacklevel=2,
    )
    x, y = sources.arrays("boston_housing.npz", path, "x", "y")
    return tables.split(x, y, test_split, seed)
