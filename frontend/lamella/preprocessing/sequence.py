"""Preprocessing of sequences: Keras's `preprocessing.sequence`."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.absent import no_attribute
from lamella.errors import ArgumentError, DataError, FormatError, ShapeError
from lamella.files.text import parsed
from lamella.names import shown
from lamella.training.pydataset import PyDataset
from lamella.utils.datasets import checked_count
from lamella.utils.sequences import pad_sequences as pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams", "timeseries_generator_from_json"]


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """Return the probability that `skipgrams` keeps the word of each rank: min(1, sqrt(sampling_factor / frequency)).

    The frequency of the word of rank r follows Zipf's law, about 1 / (r (log r + 0.577) + 1/2 - 1 / (12 r)).

    Args:
        size: the number of words.
        sampling_factor: the frequency above which words are subsampled.

    Returns:
        A float64 array of shape `(size,)`.

    Raises:
        ArgumentError: `size` is not a positive integer, or `sampling_factor` is not a positive number.

    References:
        T. Mikolov et al., "Distributed representations of words and phrases and their compositionality", 2013,
        https://arxiv.org/abs/1310.4546

    Example:
        >>> make_sampling_table(4).round(5).tolist()
        [0.00315, 0.00315, 0.00548, 0.00742]
    """
    checked_count("size", size)
    if not sampling_factor > 0:
        raise ArgumentError(f"sampling_factor must be a positive number, got {sampling_factor!r}.")
    rank = np.maximum(np.arange(size), 1)
    scaled = sampling_factor * (rank * (np.log(rank) + 0.577) + 0.5 - 1.0 / (12.0 * rank))
    return np.minimum(1.0, scaled / np.sqrt(scaled))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Any = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Return pairs of words of a sequence: neighbors, with label 1, and random pairs, with label 0.

    Random numbers come from Python's `random`, in Keras's order, so the same state of it gives the same pairs as Keras.
    As in Keras, words are drawn before `random.seed(seed)` is called for the shuffling; call `random.seed` before this
    function to make all of it reproducible.

    Args:
        sequence: indices of words; 0 is padding and is skipped.
        vocabulary_size: the largest index plus 1.
        window_size: the largest distance between the words of a pair.
        negative_samples: the number of pairs with label 0 per pair with label 1.
        shuffle: whether the pairs are shuffled.
        categorical: whether labels are [0, 1] and [1, 0] instead of 1 and 0.
        sampling_table: the probability that each word is used, as of `make_sampling_table`; None uses all words.
        seed: the seed of the shuffling; None draws one.

    Returns:
        `(couples, labels)`: lists of `[word, other word]` and of labels.

    Raises:
        ArgumentError: an argument is out of range.
        DataError: a word has no entry in `sampling_table`.

    References:
        T. Mikolov et al., "Efficient estimation of word representations in vector space", 2013,
        https://arxiv.org/abs/1301.3781

    Example:
        >>> random.seed(0)
        >>> couples, labels = skipgrams([1, 2, 3], vocabulary_size=4, window_size=1, seed=0)
        >>> sorted(pair for pair, label in zip(couples, labels) if label)
        [[1, 2], [2, 1], [2, 3], [3, 2]]
    """
    checked_count("vocabulary_size", vocabulary_size)
    checked_count("window_size", window_size, 0)
    if not negative_samples >= 0:
        raise ArgumentError(f"negative_samples must be a number from 0, got {negative_samples!r}.")
    words = np.asarray(sequence).tolist() if isinstance(sequence, np.ndarray) else list(sequence)
    if negative_samples and vocabulary_size < 2 and len(words) > 1:
        raise ArgumentError(f"vocabulary_size must be an integer from 2 to draw words from, got {vocabulary_size!r}.")
    table = None if sampling_table is None else np.asarray(sampling_table).tolist()
    if table is not None and words and not 0 <= min(words) <= max(words) < len(table):
        raise DataError(
            f"sampling_table has {len(table)} entries, and words are numbered {min(words)} to {max(words)}."
        )
    couples: list[list[int]] = []
    for place, word in enumerate(words):
        if not word or (table is not None and table[word] < random.random()):
            continue
        near = range(max(0, place - window_size), min(len(words), place + window_size + 1))
        couples += [[word, words[other]] for other in near if other != place and words[other]]
    yes, no = ([0, 1], [1, 0]) if categorical else (1, 0)
    labels: list[Any] = [yes] * len(couples)
    if negative_samples:
        drawn = int(len(couples) * negative_samples)
        firsts = [word for word, _ in couples]
        random.shuffle(firsts)
        couples += [[firsts[i % len(firsts)], random.randint(1, vocabulary_size - 1)] for i in range(drawn)]
        labels += [no] * drawn
    if shuffle:
        seed = random.randint(0, 10_000_000) if seed is None else seed
        for entries in (couples, labels):
            random.seed(seed)
            random.shuffle(entries)
    return couples, [list(label) for label in labels] if categorical else labels


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a time series, each with the target of the step that follows it.

    The window of step i contains the steps i - length, i - length + sampling_rate, and so on, before step i; its target
    is `targets[i]`. `utils.timeseries_dataset_from_array` is the newer interface.

    Args:
        data: an array or list of shape `(steps, ...)`.
        targets: an array or list of shape `(steps, ...)`.
        length: the number of steps that a window covers.
        sampling_rate: the distance between consecutive steps of a window, in steps.
        stride: the distance between the starts of consecutive windows, in steps.
        start_index: the first step that is used.
        end_index: the last step that is the target of a window; None for the last of all.
        shuffle: whether each batch draws its windows at random, with replacement, from NumPy's generator
            (`np.random.seed`).
        reverse: whether windows are reversed in time.
        batch_size: windows per batch; the last batch may be smaller.
        workers, use_multiprocessing, max_queue_size: as for `PyDataset`.
        **kwargs: the arguments of `PyDataset` above.

    Raises:
        ArgumentError: an argument is out of range, or the series is shorter than one window.
        ShapeError: `data` and `targets` have different lengths.

    Example:
        >>> series = np.arange(6.0)
        >>> batches = TimeseriesGenerator(series, series, length=2, batch_size=3)
        >>> x, y = batches[0]
        >>> x.tolist(), y.tolist()
        ([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]], [2.0, 3.0, 4.0])
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(data) != len(targets):
            raise ShapeError(f"data and targets must have one length, got {len(data)} and {len(targets)}.")
        self.data, self.targets = data, targets
        self.length, self.sampling_rate = checked_count("length", length), checked_count("sampling_rate", sampling_rate)
        self.stride, self.batch_size = checked_count("stride", stride), checked_count("batch_size", batch_size)
        self.start_index = checked_count("start_index", start_index, 0) + self.length
        self.end_index = len(data) - 1 if end_index is None else checked_count("end_index", end_index)
        self.shuffle, self.reverse = shuffle, reverse
        if self.end_index >= len(data):
            raise ArgumentError(
                f"end_index must be a row of data, of which there are {len(data)}, got {self.end_index}."
            )
        if self.start_index > self.end_index:
            raise ArgumentError(
                f"the first window, of start_index={start_index} and length={length}, belongs to row {self.start_index}, "
                f"which is behind the last row, {self.end_index}: no window is left."
            )

    def __len__(self) -> int:
        """The number of batches."""
        return -(-(self.end_index - self.start_index + 1) // (self.batch_size * self.stride))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `index`: windows `(batch, steps, ...)` and targets `(batch, ...)`."""
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, self.batch_size)  # noqa: NPY002 - as Keras draws
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        windows = np.array([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        targets = np.array([self.targets[row] for row in rows])
        return (windows[:, ::-1] if self.reverse else windows), targets

    def get_config(self) -> dict[str, Any]:
        """The arguments, with `data` and `targets` as JSON texts.

        Raises:
            DataError: their entries are not numbers or lists of numbers.
        """
        texts: dict[str, Any] = {}
        for name in ("data", "targets"):
            value = getattr(self, name)
            try:
                texts[name] = json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)
            except TypeError as error:
                raise DataError(f"{name} cannot be written as JSON: {error}.") from None
        names = ("length", "sampling_rate", "stride", "end_index", "shuffle", "reverse", "batch_size")
        return texts | {"start_index": self.start_index - self.length} | {name: getattr(self, name) for name in names}

    def to_json(self, **kwargs: Any) -> str:
        """The generator with its data as JSON, for `timeseries_generator_from_json`.

        Args:
            **kwargs: for `json.dumps`.

        Raises:
            DataError: `data` or `targets` cannot be written as JSON.
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def timeseries_generator_from_json(json_string: str) -> TimeseriesGenerator:
    """Return the generator that `TimeseriesGenerator.to_json` described.

    Args:
        json_string: the JSON text.

    Returns:
        The generator, whose data are arrays.

    Raises:
        FormatError: the text does not describe a generator.

    Example:
        >>> batches = TimeseriesGenerator(np.arange(6), np.arange(6), length=2, batch_size=3)
        >>> len(timeseries_generator_from_json(batches.to_json()))
        2
    """
    where = "the JSON of a TimeseriesGenerator"
    limits: dict[str, Any] = {"largest": 1 << 28, "entries": 20_000_000, "finite": False}
    found = parsed(json_string, where, **limits)
    config = found.get("config") if isinstance(found, dict) else None
    if (
        not isinstance(config, dict)
        or not isinstance(config.get("data"), str)
        or not isinstance(config.get("targets"), str)
    ):
        raise FormatError(f"{where} must hold a config with the texts data and targets, got {shown(found)}.")
    try:
        series = {name: np.array(parsed(config[name], f"{where}, {name}", **limits)) for name in ("data", "targets")}
        return TimeseriesGenerator(**{**config, **series})
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, FormatError) else FormatError(f"{where}: {error}") from None


def __getattr__(name: str) -> Any:
    raise no_attribute(__name__, name, __all__)
