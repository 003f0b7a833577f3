"""`PyDataset`: a data set whose batches are computed by Python code, in several workers if desired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lamella.errors import ArgumentError


class PyDataset:
    """A data set whose batches are computed on demand: subclass it and define two methods.

    `__getitem__(index)` returns batch number `index`, a tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)` of arrays
    with the examples along the first axis, or of lists, tuples and dicts of such arrays. `__len__()` returns the number
    of batches. `on_epoch_begin()` and `on_epoch_end()` may change the data set between epochs. `fit(shuffle=True)`
    shuffles the order of the batches in each epoch; otherwise batches come in order, whatever the number of workers.

    Args:
        workers: the number of threads (or processes) that compute batches in advance. With 1 and no processes, `fit`
            computes each batch itself, when it needs it.
        use_multiprocessing: whether to use processes instead of threads. The data set must be picklable, and a script
            needs the guard `if __name__ == "__main__":`, because processes are spawned, not forked: forking a process
            in which JAX runs threads can deadlock.
        max_queue_size: the largest number of batches that are computed in advance.

    Example:
        >>> import numpy as np
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 2
        ...     def __getitem__(self, index):
        ...         x = np.arange(3.0) + 3 * index
        ...         return x, x**2
        >>> [y.tolist() for _, y in Squares()]
        [[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]
    """

    keeps_order = False
    """Whether `fit(shuffle=True)` takes the batches in their order, as of a data set that shuffles its rows itself."""

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Return batch number `index`."""
        raise NotImplementedError(f"{type(self).__name__} does not say what batch {index} is: write `__getitem__`.")

    def __len__(self) -> int:
        """Return the number of batches."""
        raise NotImplementedError(f"{type(self).__name__} does not say how many batches there are: write `__len__`.")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; a subclass returns None for an infinite data set."""
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the batches in order."""
        import itertools

        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Hook that is called before each epoch."""

    def on_epoch_end(self) -> None:
        """Hook that is called after each epoch."""

    def on_pass_begin(self) -> None:
        """Hook that is called before each pass over the batches: of an epoch, an evaluation or a prediction.

        With `steps_per_epoch` a pass may span several epochs, and an epoch several passes.
        """

    def on_passes_end(self) -> None:
        """Hook that is called when `fit`, `evaluate` or `predict` no longer needs the batches."""


class Workers:
    """Threads or processes that compute the batches of a `PyDataset`; processes are reused in every epoch.

    Attributes:
        count: the number of workers; 0 if batches are computed by the caller.
    """

    def __init__(self, dataset: Any) -> None:
        workers = int(getattr(dataset, "workers", 1))  # a subclass may not have called super().__init__
        self.processes = bool(getattr(dataset, "use_multiprocessing", False)) and workers > 0
        self.queued = int(getattr(dataset, "max_queue_size", 10))
        if workers < 0 or self.queued < 1:
            raise ArgumentError(
                f"a PyDataset needs workers from 0 and max_queue_size from 1, got {workers}, {self.queued}."
            )
        self.count = workers if workers > 1 or self.processes else 0
        self._dataset = dataset
        self._pool: Any = None
        self._sent: bytes | None = None

    def batches(self, order: Iterable[int]) -> Iterator[Any]:
        """Yield the batches with these numbers, in this order."""
        if not self.count:
            for index in order:
                yield self._dataset[index]
            return
        from collections import deque

        submit = self._submit()
        numbers = iter(order)
        pending: deque[Any] = deque()
        try:
            while True:
                while len(pending) < self.queued and (index := next(numbers, None)) is not None:
                    pending.append(submit(index))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _submit(self) -> Any:
        from concurrent import futures

        if not self.processes:
            self._pool = self._pool or futures.ThreadPoolExecutor(self.count, "lamella-batch")
            return lambda index: self._pool.submit(self._dataset.__getitem__, index)
        import multiprocessing
        import pickle

        # processes hold a copy: new ones where `on_epoch_end` has changed the data set
        state = pickle.dumps(self._dataset)
        if self._pool is None or state != self._sent:
            self.close()
            spawn = multiprocessing.get_context("spawn")
            self._pool = futures.ProcessPoolExecutor(self.count, spawn, _receive, (state,))
            self._sent = state
        return lambda index: self._pool.submit(_batch, index)

    def close(self) -> None:
        """Shut the workers down."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


_HERE: list[Sequence[Any]] = []
"""In a worker process: its copy of the data set."""


def _receive(state: bytes) -> None:
    import pickle

    _HERE[:] = [pickle.loads(state)]


def _batch(index: int) -> Any:
    return _HERE[0][index]
