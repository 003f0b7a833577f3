"""`PyDataset`: batches by number, computed by Python code, by several workers if need be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lamella.errors import ArgumentError


class PyDataset:
    """A data set whose batches are computed when they are needed: subclass it and write two methods.

    `__getitem__(index)` returns batch number `index`, a tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)` of arrays with
    one row an example, or of lists, tuples and dicts of arrays, and `__len__()` the number of batches. `on_epoch_begin()` and
    `on_epoch_end()` may be overridden to change the data set between epochs. `fit(shuffle=True)` takes the batches in a new
    order in each epoch.

    Args:
        workers: how many threads (or processes) compute batches ahead. With 1 and no processes, `fit` computes each batch
            itself, when it needs it.
        use_multiprocessing: processes instead of threads. The data set must be picklable, and a script needs the
            `if __name__ == "__main__":` guard, because the processes are started anew and not forked: a fork of a process
            with JAX's threads in it may hang.
        max_queue_size: how many batches may lie ready, or be in work, at a time.

    Batches come in order, each once an epoch, whatever the number of workers.
    """

    keeps_order = False
    """Whether `fit(shuffle=True)` takes the batches in their order, as of a data set that shuffles its rows itself."""

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`."""
        raise NotImplementedError(f"{type(self).__name__} does not say what batch {index} is: write `__getitem__`.")

    def __len__(self) -> int:
        """The number of batches."""
        raise NotImplementedError(f"{type(self).__name__} does not say how many batches there are: write `__len__`.")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; override it to return None for a data set without an end."""
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        """The batches in order, computed one after another."""
        import itertools

        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""

    def on_pass_begin(self) -> None:
        """Called before each pass over the batches: of an epoch, an evaluation or a prediction.

        With `steps_per_epoch` one pass may serve several epochs, or one epoch may take several.
        """

    def on_passes_end(self) -> None:
        """Called when `fit`, `evaluate` or `predict` is done with the batches."""


class Workers:
    """Threads or processes that compute the batches of a `PyDataset`; the processes serve every epoch.

    Attributes:
        count: how many there are; 0 where batches are computed on the spot.
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
        """The batches of these numbers, in this order."""
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
        """Let the workers go."""
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
