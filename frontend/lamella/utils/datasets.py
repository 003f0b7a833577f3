"""Data sets of numbered examples, gathered into batches: the results of `*_dataset_from_*` and `split_dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lamella import host_random, tree
from lamella.errors import ArgumentError
from lamella.training.pydataset import PyDataset

_HINTS = {
    "as_numpy_iterator": "loop over the data set itself",
    "batch": "give batch_size= where it is made",
    "cache": "leave it out, or gather the batches into a list",
    "cardinality": "write len(dataset)",
    "element_spec": "look at dataset[0]",
    "filter": "leave examples out before, or write a PyDataset",
    "prefetch": "leave it out; `dataset.workers = 4` computes batches ahead in threads",
    "repeat": "leave it out; fit begins again for each epoch",
    "shuffle": "give shuffle=True and seed= where it is made",
    "unbatch": "give batch_size=None where it is made",
}
"""Of the methods of `tf.data.Dataset` that data sets here do not have, what to write instead."""


class Dataset(PyDataset):
    """A `PyDataset` from which others can be derived."""

    keeps_order = True
    batch_size: int | None
    class_names: list[str] | None = None
    passes_begun = 0

    def map(self, function: Callable[..., Any]) -> MappedDataset:
        """Return a data set of the results of a function of the batches.

        Args:
            function: a function of a batch; if batches are tuples, of `(x, y)` as two arguments.

        Returns:
            A `PyDataset`.

        Raises:
            ArgumentError: `function` is not callable.

        Example:
            >>> ArrayDataset(np.arange(4.0), batch_size=2).map(lambda x: 2 * x)[1].tolist()
            [4.0, 6.0]
        """
        return MappedDataset(self, function)

    def take(self, count: int) -> PartialDataset:
        """Return a data set of the first batches of each pass.

        Args:
            count: the number of batches.

        Returns:
            A `PyDataset`.

        Raises:
            ArgumentError: `count` is not an integer from 0.

        Example:
            >>> [batch.tolist() for batch in ArrayDataset(np.arange(4), batch_size=2).take(1)]
            [[0, 1]]
        """
        return PartialDataset(self, 0, checked_count("count", count, 0))

    def skip(self, count: int) -> PartialDataset:
        """Return a data set of each pass without its first batches.

        If the data set is shuffled, different examples are skipped in each pass; see `split_dataset`.

        Args:
            count: the number of batches.

        Returns:
            A `PyDataset`.

        Raises:
            ArgumentError: `count` is not an integer from 0.

        Example:
            >>> [batch.tolist() for batch in ArrayDataset(np.arange(4), batch_size=2).skip(1)]
            [[2, 3]]
        """
        return PartialDataset(self, checked_count("count", count, 0), len(self))

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass."""
        return self.loop(range(len(self)))

    def loop(self, numbers: range) -> Iterator[Any]:
        """The batches with these numbers of one pass; no other batch is computed."""
        raise NotImplementedError(f"{type(self).__name__} does not define `loop`.")

    def __getattr__(self, name: str) -> Any:
        hint = _HINTS.get(name)
        told = f", which is a method of TensorFlow's data sets: {hint}." if hint else "."
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{told}", name=name, obj=self)


class BatchedDataset(Dataset):
    """A `PyDataset` of a known number of examples: a subclass defines `gather`, which returns some of them as a batch.

    A pass over a shuffled data set (an epoch of `fit`, a `predict`, a loop over it) has a different order each time, a
    function of the seed and of the number of the pass.

    Args:
        examples: the number of examples.
        batch_size: examples per batch; the last batch may be smaller. None yields single examples without the batch
            axis.
        shuffle: whether each pass shuffles the examples.
        seed: the integer seed of the shuffling; None takes the next one of `utils.set_random_seed`, otherwise of
            NumPy's generator.

    Attributes:
        batch_size: as given.
        class_names: the names of the classes, or None.
        passes_begun: the number of passes that have begun.

    Raises:
        ArgumentError: `batch_size` is not a positive integer.
    """

    def __init__(self, examples: int, batch_size: int | None, shuffle: bool = False, seed: int | None = None) -> None:
        super().__init__()
        self.examples, self.batch_size = examples, checked_batch_size(batch_size)
        self._orders: host_random.Orders | None = None
        self._order: np.ndarray | None = None
        self.passes_begun = 0
        if shuffle:
            key = host_random.key_from_seed(host_random.next_seed() if seed is None else seed)
            self._orders = host_random.Orders(host_random.fold(key, "examples"), examples)

    def gather(self, numbers: np.ndarray) -> Any:
        """The batch of the examples with these numbers, in their order.

        Args:
            numbers: int64 `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its examples are: write `gather`.")

    def __len__(self) -> int:
        """The number of batches."""
        return -(-self.examples // (self.batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the running pass.

        Raises:
            IndexError: there is no such batch.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} was asked of a data set of {len(self)} batches.")
        if self._order is None and self._orders is not None:
            self._order = self._orders[self.passes_begun]
        return self._batch(index % len(self), self._order)

    def _batch(self, index: int, order: np.ndarray | None) -> Any:
        size = self.batch_size or 1
        numbers = np.arange(index * size, min((index + 1) * size, self.examples))
        batch = self.gather(numbers if order is None else order[numbers].astype(np.int64))
        return tree.map_leaves(lambda leaf: leaf[0], batch) if self.batch_size is None else batch

    def on_pass_begin(self) -> None:
        """Take the next order."""
        if self._orders is not None:
            self._order = self._orders[self.passes_begun]
            self.passes_begun += 1

    def loop(self, numbers: range) -> Iterator[Any]:
        """The batches with these numbers of one pass."""
        self.on_pass_begin()
        order = self._order  # another loop may begin meanwhile
        for index in numbers:
            yield self._batch(index, order)


class _Derived(Dataset):
    """A data set made of another one, whose passes are its own."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self.batch_size, self.class_names = dataset.batch_size, dataset.class_names

    @property
    def passes_begun(self) -> int:
        """How many passes were begun."""
        return self._dataset.passes_begun

    @passes_begun.setter
    def passes_begun(self, passes: int) -> None:
        self._dataset.passes_begun = passes

    def on_pass_begin(self) -> None:
        """Pass it on."""
        self._dataset.on_pass_begin()


class MappedDataset(_Derived):
    """The batches of a data set, each changed by a function.

    Args:
        dataset: where the batches come from.
        function: of a batch, or of `(x, y)` as two arguments.

    Raises:
        ArgumentError: `function` is not a function.
    """

    def __init__(self, dataset: Dataset, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise ArgumentError(f"map takes a function of a batch, got {type(function).__name__}.")
        super().__init__(dataset)
        self._function = function

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the running pass."""
        return self._changed(self._dataset[index])

    def _changed(self, batch: Any) -> Any:
        return self._function(*batch) if isinstance(batch, tuple) else self._function(batch)

    def loop(self, numbers: range) -> Iterator[Any]:
        """The batches with these numbers of one pass."""
        return map(self._changed, self._dataset.loop(numbers))


class PartialDataset(_Derived):
    """Successive batches of a data set.

    Args:
        dataset: where the batches come from.
        start: the number of the first batch.
        stop: the number behind the last batch.
    """

    def __init__(self, dataset: Dataset, start: int, stop: int) -> None:
        super().__init__(dataset)
        self._numbers = range(len(dataset))[start:stop]

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the running pass.

        Raises:
            IndexError: there is no such batch.
        """
        return self._dataset[self._numbers[index]]

    def loop(self, numbers: range) -> Iterator[Any]:
        """The batches with these numbers of one pass."""
        return self._dataset.loop(self._numbers[numbers.start : numbers.stop])


class ArrayDataset(BatchedDataset):
    """The rows of arrays.

    Args:
        arrays: an array, or a structure of arrays with one row per example.
        batch_size: rows per batch, or None.
        shuffle: whether each pass takes the rows in another order.
        seed: of the orders.
    """

    def __init__(self, arrays: Any, batch_size: int | None, shuffle: bool = False, seed: int | None = None) -> None:
        super().__init__(len(next(tree.leaves(arrays))), batch_size, shuffle, seed)
        self._arrays = arrays

    def gather(self, numbers: np.ndarray) -> Any:
        """These rows."""
        return tree.map_leaves(lambda array: array[numbers], self._arrays)


def checked_batch_size(batch_size: Any) -> int | None:
    """`batch_size`, which is a positive integer or None.

    Raises:
        ArgumentError: it is not.
    """
    if batch_size is None:
        return None
    return checked_count("batch_size", batch_size)


def checked_count(name: str, value: Any, least: int = 1) -> int:
    """An argument that is an integer from `least`.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name} must be an integer from {least}, got {value!r}.")
    return int(value)


def refuse_format(chosen: Any) -> None:
    """Refuse Keras's choice between two kinds of data sets.

    Raises:
        ArgumentError: there is a choice.
    """
    if chosen is not None:
        raise ArgumentError(
            f"format={chosen!r} chooses a data set of TensorFlow or Grain, and lamella makes `utils.PyDataset`s of NumPy "
            "arrays on every backend: leave it out."
        )
