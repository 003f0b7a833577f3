"""Data sets of examples that have numbers, gathered into batches: what `*_dataset_from_*` and `split_dataset` return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lamella import host_random, tree
from lamella.errors import ArgumentError
from lamella.training.pydataset import PyDataset


class BatchedDataset(PyDataset):
    """A `PyDataset` of a known number of examples: a subclass writes `gather`, which reads some of them as a batch.

    A pass over a shuffled data set (an epoch of `fit`, a `predict`, a loop `for batch in dataset`) takes the examples in an
    order of its own. The orders follow from the seed and the number of the pass alone.

    Args:
        examples: how many examples there are.
        batch_size: examples per batch, the last one may have fewer; None makes each example a "batch" without the batch axis.
        shuffle: whether each pass takes the examples in another order.
        seed: an integer that the orders follow from; None takes one from `utils.set_random_seed`, or else NumPy's generator.

    Attributes:
        batch_size: as given.
        class_names: the names of the classes, where the data set has them; else None.
        passes_begun: how many passes a shuffled data set has begun.

    Raises:
        ArgumentError: `batch_size` is not a positive integer.
    """

    keeps_order = True

    def __init__(self, examples: int, batch_size: int | None, shuffle: bool = False, seed: int | None = None) -> None:
        super().__init__()
        self.examples, self.batch_size = examples, checked_batch_size(batch_size)
        self.class_names: list[str] | None = None
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

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass."""
        self.on_pass_begin()
        order = self._order  # another loop may begin meanwhile
        for index in range(len(self)):
            yield self._batch(index, order)

    def map(self, function: Callable[..., Any]) -> MappedDataset:
        """A data set of the batches that `function` makes of these.

        Args:
            function: of a batch; where batches are tuples, of `(x, y)` as two arguments.
        """
        return MappedDataset(self, function)


class MappedDataset(PyDataset):
    """The batches of a data set, each changed by a function.

    Args:
        dataset: where the batches come from.
        function: of a batch, or of `(x, y)` as two arguments.
    """

    keeps_order = True

    def __init__(self, dataset: BatchedDataset | MappedDataset, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise ArgumentError(f"map takes a function of a batch, got {type(function).__name__}.")
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset, self._function = dataset, function
        self.class_names = dataset.class_names

    @property
    def passes_begun(self) -> int:
        """How many passes were begun."""
        return self._dataset.passes_begun

    @passes_begun.setter
    def passes_begun(self, passes: int) -> None:
        self._dataset.passes_begun = passes

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the running pass."""
        return self._changed(self._dataset[index])

    def _changed(self, batch: Any) -> Any:
        return self._function(*batch) if isinstance(batch, tuple) else self._function(batch)

    def on_pass_begin(self) -> None:
        """Pass it on."""
        self._dataset.on_pass_begin()

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass."""
        return map(self._changed, self._dataset)

    def map(self, function: Callable[..., Any]) -> MappedDataset:
        """A data set of the batches that a further function makes of these.

        Args:
            function: of a batch, or of `(x, y)` as two arguments.
        """
        return MappedDataset(self, function)


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
