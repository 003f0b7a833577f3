"""Sequences of batches: from a user's iterable or `PyDataset`, or read from rows that are not placed on the device.

Both kinds have an example batch (`sample`), the number of batches if it is known (`steps`), and whether several passes are
possible (`again`; a generator can be iterated once). `read` yields the batches of one pass.
"""

from __future__ import annotations

import itertools
import types
from array import array
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import tree
from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir import settings
from lamella.ir.spec import numpy_dtype
from lamella.training.arrays import is_array, is_sparse
from lamella.training.data import Data, check_finite, check_targets, free_specs, prepare
from lamella.training.pydataset import PyDataset, Workers

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel

Order = Callable[..., "np.ndarray | None"]
"""Gives the order of a pass: int32 numbers of rows (or of batches), None for the order they have."""


def in_order() -> None:
    """The order of an evaluation: rows as they are."""
    return None


_NUMBERS = (dict, str, bytes, tuple, range, array, memoryview, np.ndarray, np.generic)
"""Iterables that are not streams of batches."""

_AHEAD = 16
_AHEAD_BYTES = 32 << 20


def is_stream(x: Any) -> bool:
    """Whether `x` is an iterable of batches, and not itself an array.

    A list counts where it consists of tuples with arrays in them: `[(x, y), (x, y)]`.
    """
    if is_array(x) or is_sparse(x) or isinstance(x, _NUMBERS):
        return False
    if isinstance(x, list):
        batches: list[Any] = x
        return (
            bool(batches) and all(isinstance(b, tuple) for b in batches) and any(map(is_array, tree.leaves(batches[0])))
        )
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


class GivenBatches:
    """The batches of a generator, of anything that can be iterated, or of a `PyDataset`.

    A batch is `x`, or a tuple (or list) `(x,)`, `(x, y)`, `(x, y, sample_weight)`, each an array or a structure of arrays.
    The first batch is read immediately, and every batch is checked before it is used.

    Args:
        model: the model; it is built for the first batch where it has no input shape.
        compiled: its training configuration; None for predictions.
        x: what the user gave.
        class_weight: weights by class, for batches without sample weights.
        what: the name of x in error messages.

    Raises:
        ValueError: there is no batch, or the first one does not fit.
    """

    def __init__(
        self, model: TrainingModel, config: Configuration | None, x: Any, class_weight: Any = None, what: str = "x"
    ) -> None:
        self._model, self._config, self._given, self._what = model, config, x, what
        self._class_weight = class_weight
        self._indexed = isinstance(x, PyDataset) or not hasattr(x, "__iter__")
        self.steps = _length(x)
        self._workers = Workers(x) if self._indexed else None
        # other objects that return themselves from `iter` may start again there
        self.again = not isinstance(x, types.GeneratorType)
        self._first: Iterator[Any] | None = None
        if self._indexed:
            if self.steps == 0:
                raise self._empty()
            sample = x[0]
        else:
            rest = iter(x)
            try:
                sample = next(rest)
            except StopIteration:
                raise self._empty() from None
            self._first = itertools.chain([sample], rest)
        self.sample: Data = self._checked(sample, 0, None)

    def _empty(self) -> ShapeError:
        return ShapeError(f"{self._what} is a {_kind(self._given)} without a batch: there is nothing to go through.")

    @property
    def shuffles(self) -> int | None:
        """How many batches may be taken in another order: those of a `PyDataset` with an end, unless it has its own."""
        return self.steps if self._indexed and not getattr(self._given, "keeps_order", False) else None

    def read(self, order: Order, skip: int = 0) -> Generator[Data, None, None]:
        """Yield the batches of one pass, without the first `skip` if they can be accessed by number."""
        if self._workers is not None:
            _tell(self._given, "on_pass_begin")
            numbers = order()
            natural = itertools.count() if self.steps is None else range(self.steps)
            rest = itertools.islice(natural if numbers is None else map(int, numbers), skip, None)
            return self._read(self._workers.batches(rest), skip)
        batches, self._first = self._first or iter(self._given), None
        return self._read(batches)

    def _read(self, batches: Iterator[Any], number: int = 0) -> Generator[Data, None, None]:
        for batch in batches:
            yield self._checked(batch, number, self.sample)
            number += 1
        if self.steps is None and number and self.again:
            self.steps = number

    def _checked(self, batch: Any, number: int, like: Data | None) -> Data:
        """A batch as arrays that fit the model and, except for free dimensions, the first batch."""
        try:
            x, y, weight = _unpacked(batch)
            weights = self._class_weight
            if self._config is None:
                y = weight = weights = None
            elif weights is not None and weight is not None:
                raise ArgumentError("it has a sample_weight, and class_weight is given, too: give one of them.")
            data = prepare(self._model, x, y, weight, weights)
            if self._config is not None:
                check_targets(self._model, self._config, data)
            if like is not None and data.rows != like.rows and self._model.stateful_path is not None:
                raise ShapeError(f"it has {data.rows} rows, and stateful layers keep states for {like.rows}.")
            if like is not None and data.structure != like.structure:
                raise ShapeError(
                    f"it holds {', '.join(data.names)}, and the first batch {', '.join(like.names)}; they must be alike."
                )
            if like is not None and free_specs(self._model, data) != free_specs(self._model, like):
                raise ShapeError(
                    f"its rows are {_rows(data)}, and those of the first batch {_rows(like)}; they must be alike."
                )
        except (ShapeError, DTypeError, ValueError, TypeError) as error:
            raise type(error)(f"batch {number} of {self._what}: {error}") from None
        return data

    def epoch_begins(self) -> None:
        """Call the hook of the data set, if it has one."""
        _tell(self._given, "on_epoch_begin")

    def epoch_ends(self) -> None:
        """Call the hook of the data set, if it has one."""
        _tell(self._given, "on_epoch_end")

    def position(self) -> dict[str, int]:
        """The number of passes that have begun, if the data set counts them."""
        begun = getattr(self._given, "passes_begun", None)
        return {} if begun is None else {"passes": begun}

    def resume(self, position: dict[str, int]) -> None:
        """Continue from the `position` of another process; `read` starts the interrupted pass again."""
        if "passes" in position and hasattr(self._given, "passes_begun"):
            self._given.passes_begun = position["passes"] - bool(position["at"])

    def close(self) -> None:
        """Shut the workers down."""
        if self._workers is not None:
            self._workers.close()
            _tell(self._given, "on_passes_end")


class ReadBatches:
    """Batches read from rows that are not placed: mapped from a file, sparse, or too many for the device.

    A thread reads ahead. Every batch is checked when it has been read.
    """

    again = True

    def __init__(self, model: TrainingModel, config: Configuration | None, data: Data, batch: int) -> None:
        self._model, self._config, self._data, self._batch = model, config, data, batch
        self.steps: int | None = -(-data.rows // batch)
        self.shuffles: int | None = data.rows
        self.sample = data
        row = max(data.nbytes // data.rows, 1)
        self._ahead = min(max(_AHEAD_BYTES // (row * batch), 1), _AHEAD)

    def read(self, order: Order, skip: int = 0) -> Generator[Data, None, None]:
        """One pass over the rows, behind the first `skip` batches."""
        return ahead(self._read(order(), skip), self._ahead)

    def _read(self, order: np.ndarray | None, skip: int) -> Generator[Data, None, None]:
        rows = self._data.rows
        for at in range(skip * self._batch, rows, self._batch):
            stop = min(at + self._batch, rows)
            batch = self._data[np.arange(at, stop) if order is None else order[at:stop]]
            if self._data.stored and self._config is not None:
                check_targets(self._model, self._config, batch)
            if self._data.stored and settings.checks_nan():
                check_finite(batch)
            yield batch

    def epoch_begins(self) -> None:
        """Do nothing: rows have no hook."""

    def epoch_ends(self) -> None:
        """Do nothing: rows have no hook."""

    def position(self) -> dict[str, int]:
        """The number of batches that have been read."""
        return {}

    def resume(self, position: dict[str, int]) -> None:
        """Nothing to restore."""

    def close(self) -> None:
        """The reading thread ends with its iterator."""


Batches = GivenBatches | ReadBatches


def ahead(items: Iterator[Any], depth: int) -> Generator[Any, None, None]:
    """Yield items that a thread computes up to `depth` in advance; its exceptions are raised here."""
    import queue
    import threading

    ready: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[Any, BaseException | None, bool]) -> None:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None, False))
                if stopped.is_set():
                    return
        except BaseException as error:  # raised again in the consumer
            put((None, error, True))
        else:
            put((None, None, True))

    thread = threading.Thread(target=work, name="lamella-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = ready.get()
            if error is not None:
                raise error
            if last:
                return
            yield item
    finally:
        stopped.set()
        thread.join(timeout=1.0)  # it may hang in the user's generator


def room_for(data: Data, capacity: int) -> list[np.ndarray]:
    """Empty arrays for `capacity` rows like those of `data`."""
    return [np.empty((capacity, *a.shape[1:]), numpy_dtype(a.dtype.name)) for a in data.arrays]


def _unpacked(batch: Any) -> tuple[Any, Any, Any]:
    if not isinstance(batch, tuple | list):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ShapeError(
            f"it is a {type(batch).__name__} of {len(batch)}; a batch is (x,), (x, y) or (x, y, sample_weight)."
        )
    return (*batch, None, None)[:3]  # pyright: ignore[reportReturnType]


def _length(x: Any) -> int | None:
    """The number of batches, where `x` says so."""
    if isinstance(x, PyDataset):
        return x.num_batches
    try:
        return len(x)
    except (TypeError, NotImplementedError):
        return None


def _rows(data: Data) -> str:
    return ", ".join(f"{name} {spec}" for name, spec in data.row_specs.items())


def _kind(x: Any) -> str:
    return "generator" if isinstance(x, types.GeneratorType) else type(x).__name__


def _tell(given: Any, hook: str) -> None:
    method = getattr(given, hook, None)
    if callable(method):
        method()
