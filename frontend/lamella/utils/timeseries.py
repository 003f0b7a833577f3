"""Windows of a time series as a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError
from lamella.utils.datasets import BatchedDataset, checked_batch_size, checked_count, refuse_format


class Windows(BatchedDataset):
    """Windows that begin at `starts`, gathered when their batch is needed.

    Args:
        data: `(steps, ...)`.
        targets: `(steps, ...)`, or None.
        starts: int64 `(windows,)`: where windows begin.
        offsets: int64 `(length,)`: the steps of a window, counted from its begin.
        batch_size: windows per batch, or None.
        shuffle: whether each pass takes the windows in another order.
        seed: of the orders.
    """

    def __init__(
        self,
        data: np.ndarray,
        targets: np.ndarray | None,
        starts: np.ndarray,
        offsets: np.ndarray,
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
    ) -> None:
        super().__init__(len(starts), batch_size, shuffle, seed)
        self._data, self._targets, self._starts, self._offsets = data, targets, starts, offsets

    def gather(self, numbers: np.ndarray) -> Any:
        """These windows `(batch, length, ...)`, and their targets where there are any."""
        starts = self._starts[numbers]
        x = self._data[starts[:, None] + self._offsets]
        return x if self._targets is None else (x, self._targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: None = None,
) -> BatchedDataset:
    """Return a data set of sliding windows over a time series.

    The window that starts at step i contains the steps i, i + sampling_rate, i + 2 * sampling_rate, and so on. The
    series is stored once, however much windows overlap.

    Args:
        data: an array or list of shape `(steps, ...)`.
        targets: an array of shape `(steps, ...)`; `targets[i]` is the target of the window that starts at step i. None
            yields windows without targets.
        sequence_length: the number of steps in a window.
        sequence_stride: the distance between the starts of consecutive windows, in steps.
        sampling_rate: the distance between consecutive steps of a window, in steps.
        batch_size: windows per batch; None yields single windows.
        shuffle: whether each pass shuffles the windows.
        seed: the integer seed of the shuffling.
        start_index: the first step that is used; None is 0.
        end_index: one more than the last step that is used; None is the number of steps.
        format: selects a framework in Keras; must be None.

    Returns:
        A `PyDataset` with the methods `map`, `take` and `skip`. Its batches are `(windows, targets)` of shapes `(batch,
        sequence_length, ...)` and `(batch, ...)`, or the windows alone.

    Raises:
        ArgumentError: an argument is out of range.
        DataError: the series is shorter than one window.

    Example:
        >>> series = np.arange(10.0)
        >>> dataset = timeseries_dataset_from_array(series[:-3], series[3:], sequence_length=3, batch_size=2)
        >>> len(dataset)
        3
        >>> x, y = dataset[0]
        >>> x.tolist(), y.tolist()
        ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [3.0, 4.0])
    """
    refuse_format(format)
    series = np.asarray(data)
    wanted = None if targets is None else np.asarray(targets)
    for name, value in (("data", series), ("targets", wanted)):
        if value is not None and not value.ndim:
            raise ArgumentError(f"{name} must be an array with an axis of time steps, got {value!r}.")
    length = checked_count("sequence_length", sequence_length)
    stride, rate = checked_count("sequence_stride", sequence_stride), checked_count("sampling_rate", sampling_rate)
    steps = len(series)
    first = 0 if start_index is None else checked_count("start_index", start_index, 0)
    end = steps if end_index is None else checked_count("end_index", end_index)
    if end > steps or first >= end:
        raise ArgumentError(
            f"start_index and end_index must be two steps of the {steps} in data, the end behind the start; got {first} "
            f"and {end}."
        )
    reach = (length - 1) * rate
    windows = end - first - reach
    if wanted is not None:
        windows = min(windows, len(wanted) - first)
    if windows < 1:
        told = "" if wanted is None else f", and there are {len(wanted)} targets"
        raise DataError(
            f"a window of sequence_length={length} and sampling_rate={rate} takes {reach + 1} steps, and {end - first} are "
            f"given{told}: no window is left."
        )
    starts = np.arange(first, first + windows, stride)
    offsets = np.arange(0, reach + 1, rate)
    return Windows(series, wanted, starts, offsets, checked_batch_size(batch_size), shuffle, seed)
