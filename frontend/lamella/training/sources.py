"""The sources of the steps of an epoch: rows placed once, or streamed batches. The loop sees chunks of steps.

A source has `steps` (those of an epoch, None while it is not known), `chunks()` for the chunks of one epoch, `ended` (whether
its data ended before the epoch did), `nonfinite()` (which arrays of the last epoch held a NaN or an infinity) and `close()`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella import host_random
from lamella.ir.spec import Spec
from lamella.training.batches import Batches, GivenBatches, Order, ReadBatches, room_for
from lamella.training.data import Data, is_finite

if TYPE_CHECKING:
    from lamella.training.loop import Loop
    from lamella.training.protocol import TrainingModel
    from lamella.training.state import Compiled

STREAM_BYTES = 4 << 20
"""The approximate size of a chunk of a stream in bytes; at least one batch."""

_STREAM_STEPS = 256
_BLOCK = 65_536
_FIRST_CHUNK = 2
"""The number of steps of the first chunk: more than one shows the backend that chunks have several steps."""


class Chunk(NamedTuple):
    """A chunk of steps: rows as a runner's `place` returned them, and the rows of each batch.

    Attributes:
        data: what `place` returned.
        indices: int32 (steps, batch).
        real: float (steps, batch): 1 for a real row, 0 for padding.
        specs: those of a row of each array.
    """

    data: Any
    indices: np.ndarray
    real: np.ndarray
    specs: dict[str, Spec]


class Placed:
    """Rows in the memory of the device that runs the steps; an epoch is a matrix of row numbers.

    With `steps` an epoch has that many, and continues where the last one stopped; a new pass over the rows, in a new order,
    starts when all have been used.
    """

    ended = False
    streams = False

    def __init__(self, loop: Loop, data: Data, batch: int, order: Order, steps: int | None) -> None:
        self._loop, self._order = loop, order
        self._given, self._data = data, loop.place_all(data.arrays)
        self._limited, self._specs = steps is not None, data.row_specs
        count, full = data.rows, data.rows // batch
        rest = count - full * batch
        # if examples are independent, a short last batch is padded with a real row, since zeros could become NaN
        filled = bool(rest and loop.pads())
        self._full = full * batch
        places = np.arange((full + filled) * batch, dtype=np.int32)
        places[count:] = self._full
        self._index = self._places = places.reshape(-1, batch)
        self._real = np.ones(self._places.shape, loop.row_dtype)
        if filled:
            self._real[-1, rest:] = 0
        self._last = np.arange(self._full, count, dtype=np.int32)[None] if rest and not filled else None
        self._pass = len(self._index) + (self._last is not None)
        self.steps: int | None = steps or self._pass
        self._at = self._pass

    def position(self) -> dict[str, int]:
        """The position: the number of finished steps of the pass."""
        return {"at": self._at, "batch": self._index.shape[1]}

    def resume(self, position: dict[str, int]) -> None:
        """Continue from the `position` of another process's source of the same rows."""
        if position["at"] < self._pass:
            self._begin(again=True)
            self._at = position["at"]

    def chunks(self, stride: int | None, done: int = 0) -> Iterator[Chunk]:
        """The chunks of one epoch, behind its first `done` steps; `stride` steps a chunk, or as many as the loop wants."""
        left = (self._pass if self.steps is None else self.steps) - done
        if not self._limited and not done:
            self._at = self._pass
        while left:
            if self._at >= self._pass:
                self._begin()
            size = stride or self._loop.chunk_size()
            stop = min(self._at + min(size, left), len(self._index))
            if self._at < stop:
                chunk = Chunk(self._data, self._index[self._at : stop], self._real[self._at : stop], self._specs)
            else:
                assert self._last is not None  # noqa: S101 - what is left of the pass
                stop = self._pass
                chunk = Chunk(self._data, self._last, np.ones(self._last.shape, self._real.dtype), self._specs)
            left -= stop - self._at
            self._at = stop
            yield chunk

    def nonfinite(self) -> list[str]:
        """Which of the arrays hold a NaN or an infinity."""
        blocks = range(0, self._given.rows, _BLOCK)
        return [
            name
            for name, a in zip(self._given.names, self._given.arrays, strict=True)
            if not all(is_finite(a[at : at + _BLOCK]) for at in blocks)
        ]

    def _begin(self, *, again: bool = False) -> None:
        order = self._order(again)
        self._at = 0
        if order is not None:
            self._index = order.take(self._places)
            if self._last is not None:
                self._last = order[None, self._full :]

    def close(self) -> None:
        """Nothing is open."""


class Streamed:
    """Streamed batches, gathered into chunks.

    With `steps` an epoch takes that many and the next one continues after them; what can be iterated again starts again when
    it is used up. Without, an epoch is one pass.
    """

    streams = True

    def __init__(self, loop: Loop, batches: Batches, order: Order, steps: int | None) -> None:
        self._loop, self._batches, self._order, self._limit = loop, batches, order, steps
        self._batch = self._at = 0
        self._passing: Generator[Data, None, None] | None = None
        self._nonfinite: set[str] = set()
        self.ended = False

    @property
    def steps(self) -> int | None:
        """The steps of an epoch, None while it is not known."""
        return self._limit or self._batches.steps

    def position(self) -> dict[str, int]:
        """The position: the number of batches taken from the pass, and the size of the largest."""
        return {"at": self._at, "batch": self._batch, **self._batches.position()}

    def resume(self, position: dict[str, int]) -> None:
        """Continue from the `position` of another process's source, if the batches can be accessed by number."""
        self._at, self._batch = position["at"], position["batch"]
        self._batches.resume(position)
        if self._at:
            self._passing = self._batches.read(lambda: self._order(True), self._at)

    def chunks(self, stride: int | None, done: int = 0) -> Iterator[Chunk]:
        """The chunks of one epoch, behind its first `done` steps; `stride` steps a chunk, or as many as the loop wants."""
        self._batches.epoch_begins()
        self._nonfinite = set()
        gathered: _Gathered | None = None
        for batch in self._epoch(done):
            rows = batch.rows
            # a short batch is padded to the size of the previous ones
            size = self._batch if rows < self._batch and self._loop.pads() else rows
            self._batch = max(self._batch, rows)
            if gathered is not None and not gathered.takes(batch, size):
                yield self._chunk(gathered)
                gathered = None
            if gathered is None:
                wanted = stride or self._loop.chunk_size(_FIRST_CHUNK)
                gathered = _Gathered(batch, size, wanted, stride, self._loop.row_dtype)
            gathered.add(batch)
            if gathered.full:
                yield self._chunk(gathered)
                gathered = None
        if gathered is not None:
            yield self._chunk(gathered)
        self._batches.epoch_ends()

    def _chunk(self, gathered: _Gathered) -> Chunk:
        self._nonfinite |= gathered.nonfinite()  # the batches are not available when the loss is read
        return gathered.chunk(self._loop)

    def nonfinite(self) -> list[str]:
        """Which of the arrays of the last epoch held a NaN or an infinity."""
        return sorted(self._nonfinite)

    def _epoch(self, done: int) -> Iterator[Data]:
        if self._passing is None or (self._limit is None and not done):
            self._passing, self._at = self._batches.read(self._order), 0
        whole = self._limit or (self._batches.steps if done else None)
        left, fresh = None if whole is None else whole - done, False
        while left is None or left > 0:
            batch = next(self._passing, None)
            if batch is not None:
                fresh = False
                self._at += 1
                yield batch
                left = None if left is None else left - 1
            elif left is None:
                return
            elif self._batches.again and not fresh:
                self._passing, self._at, fresh = self._batches.read(self._order), 0, True
            else:
                self.ended = True
                return

    def close(self) -> None:
        """Stop reading."""
        if self._passing is not None:
            self._passing.close()
        self._passing = None
        self._batches.close()


class _Gathered:
    """Batches of one shape, copied end to end into arrays of a fixed height, so that the caller may reuse its arrays."""

    def __init__(self, like: Data, size: int, wanted: int, stride: int | None, row_dtype: str) -> None:
        row = max(sum(int(np.prod(a.shape[1:])) * a.dtype.itemsize for a in like.arrays), 1)
        steps = stride or min(max(STREAM_BYTES // (row * size), 1), _STREAM_STEPS)
        self._size, self._specs = size, like.row_specs
        self._arrays = room_for(like, steps * size)
        self._wanted = min(wanted, steps)
        self._index = np.zeros((self._wanted, size), np.int32)
        self._real = np.zeros((self._wanted, size), row_dtype)
        self._steps, self._rows = 0, 0

    def takes(self, batch: Data, size: int) -> bool:
        return self._size == size and self._specs == batch.row_specs

    @property
    def full(self) -> bool:
        return self._steps == self._wanted

    def add(self, batch: Data) -> None:
        start, count = self._rows, batch.rows
        for room, array in zip(self._arrays, batch.arrays, strict=True):
            room[start : start + count] = array
        self._index[self._steps, :count] = np.arange(start, start + count)
        self._index[self._steps, count:] = start
        self._real[self._steps, :count] = 1
        self._steps, self._rows = self._steps + 1, start + count

    def nonfinite(self) -> set[str]:
        pairs = zip(self._specs, self._arrays, strict=True)
        return {name for name, array in pairs if not is_finite(array[: self._rows])}

    def chunk(self, loop: Loop) -> Chunk:
        index, real = self._index[: self._steps], self._real[: self._steps]
        return Chunk(loop.place(self._arrays), index, real, self._specs)


Source = Placed | Streamed
Given = Data | GivenBatches
"""What `fit` was given: rows, or batches."""


class Shuffle:
    """The order of each pass: a function of the model's seed and of how many orders training has drawn.

    Args:
        model: the model, which has the seed.
        compiled: its state counts the orders.
        count: how many rows (or batches) there are; None where they cannot be reordered.
        mode: True for a new order, "batch" for one that leaves each row in its batch, False for none.
        batch: the batch size, for "batch".
    """

    def __init__(
        self, model: TrainingModel, compiled: Compiled, count: int | None, mode: bool | str, batch: int
    ) -> None:
        self._model, self._compiled, self._within, self._batch = model, compiled, mode == "batch", batch
        self._count = count if mode else None

    def __call__(self, again: bool = False) -> np.ndarray | None:
        """The next order; or `again` the last one drawn, which an interrupted run continues with."""
        if not self._count:
            return None
        state, wanted = self._compiled.state, (self._model.seed, self._count)  # a checkpoint contains a seed
        orders, epochs = state.orders, state.epochs + (not again)
        if orders[0] != wanted:
            key = host_random.fold(host_random.key_from_seed(self._model.seed), "shuffle")
            orders = (wanted, host_random.Orders(key, self._count))
        self._compiled.state = state._replace(epochs=epochs, orders=orders)
        order = orders[1][epochs]
        return order[np.argsort(order // self._batch, kind="stable")] if self._within else order


def open_source(
    model: TrainingModel,
    loop: Loop,
    given: Given,
    batch: int,
    *,
    steps: int | None = None,
    shuffle: bool | str = False,
) -> Source:
    """The source of steps on what was given: placed where it fits, else streamed."""
    compiled = loop.compiled
    if isinstance(given, GivenBatches):
        # whole batches are reordered, not rows: "batch" has no further meaning here
        order = Shuffle(model, compiled, given.shuffles, bool(shuffle), 1)
        return Streamed(loop, given, order, steps)
    order = Shuffle(model, compiled, given.rows, shuffle, batch)
    if fits(loop, given):
        return Placed(loop, given, batch, order, steps)
    return Streamed(loop, ReadBatches(model, compiled.configuration, given, batch), order, steps)


def fits(loop: Loop, data: Data) -> bool:
    """Whether the rows may be placed at once."""
    if data.stored:
        return False
    if loop.distribution is not None:
        return True  # rows stay on the host, and each device gets its part of a batch
    room = loop.compiled.configuration.backend.room()
    return room is None or data.nbytes <= room
