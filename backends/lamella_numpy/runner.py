"""Chunks of training steps: one generated step over state that stays where it is.

The leaves that change live in a few long vectors, of which there are two sets: a step reads one and writes the other, then
they change roles. The source is compiled once and bound twice. A vector that the optimizer passes over after every other
reader has read it is the same one in both sets, which halves the memory that a step goes through. What a run is given and
what it returns are copies, so a run that is interrupted leaves the state before it whole. Tensors that an optimizer updates
by one `foreach` are stored end to end in its order; batches are gathered into fixed arrays; and what depends only on leaves
that never change is computed once per run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from lamella.backend_api import Backend, Runner, State, StepProgram
from lamella.errors import BackendError, ShapeError
from lamella.ir.program import Program, Value
from lamella.ir.spec import numpy_dtype
from lamella.ops import primitives as p
from lamella_numpy import blas, memory, pieces, views
from lamella_numpy.compiler import Bindings, Flat, generate
from lamella_numpy.elementwise import bfloat16
from lamella_numpy.lowering import dims

Array = np.ndarray[Any, Any]
_APART = 16
"""Elements: leaves that no `foreach` wants end to end begin at multiples of this."""


_KEPT = 16 << 20
"""Bytes of vectors and temporaries that a runner keeps from one `fit` to the next."""


class _Vectors:
    """Where every leaf, and every array of a batch, has its stretch of a vector.

    Attributes:
        stretches: for every input of the step program.
        sizes, dtypes: of every vector.
        moving: how many of the vectors, the first ones, hold leaves that change.
    """

    def __init__(self, program: Program, invariant: Sequence[bool]) -> None:
        self.inputs = program.inputs
        self.sizes: list[int] = []
        self.dtypes: list[np.dtype[Any]] = []
        self._stretches: dict[int, Flat] = {}
        changing = {i for i, fixed in enumerate(invariant) if not fixed}
        for wanted in _end_to_end(program, changing):
            if len(set(wanted)) == len(wanted) and not any(i in self._stretches for i in wanted):
                self._lay(wanted, 1)
        rest: dict[str, list[int]] = {}
        for i in sorted(changing - set(self._stretches)):
            rest.setdefault(self.inputs[i].spec.dtype, []).append(i)
        for leaves in rest.values():
            self._lay(leaves, _APART)
        self.moving = len(self.sizes)
        for i in range(len(self.inputs)):
            if i not in self._stretches:
                self._lay([i], 1)
        self.stretches = tuple(self._stretches[i] for i in range(len(self.inputs)))

    def _lay(self, leaves: Sequence[int], apart: int) -> None:
        starts, offset = [], 0
        for i in leaves:
            offset = -(-offset // apart) * apart
            starts.append(offset)
            offset += views.size(dims(self.inputs[i]))
        for i, start in zip(leaves, starts, strict=True):
            self._stretches[i] = Flat(len(self.sizes), start, offset)
        self.sizes.append(offset)
        self.dtypes.append(numpy_dtype(self.inputs[leaves[0]].spec.dtype))

    def make(self, first: int, last: int) -> list[Array]:
        """New vectors number `first` to `last`."""
        sized = zip(self.sizes[first:last], self.dtypes[first:last], strict=True)
        return [np.zeros(size, dtype) for size, dtype in sized]


def _end_to_end(program: Program, changing: set[int]) -> list[list[int]]:
    """Lists of leaves that a `foreach` reads or writes as one group."""
    read: dict[Value, int] = {v: i for i, v in enumerate(program.inputs) if i in changing}
    written: dict[Value, int] = {program.outputs[i]: i for i in sorted(changing, reverse=True)}
    found = []
    for equation in program.equations:
        if equation.op is p.foreach:
            tensors = equation.attrs["tensors"]
            for values, leaves in ((equation.inputs, read), (equation.outputs, written)):
                for start in range(0, len(values) - tensors + 1, tensors):
                    group = values[start : start + tensors]
                    if all(v in leaves for v in group):
                        found.append([leaves[v] for v in group])
    return found


class NumpyRunner(Runner):
    """Runs chunks of steps on one thread at a time."""

    def __init__(self, backend: Backend, step: StepProgram) -> None:
        if step.external_optimizer is not None:
            raise BackendError(f"Backend {backend.name!r} takes no optimizer of another framework.")
        self.backend = backend
        self.step = step
        program = backend.prepare(step.program)
        self._leaves = len(step.state_names)
        self._invariant = step.invariant
        self._program = program
        vectors = self._vectors = _Vectors(program, self._invariant)
        fixed = frozenset(i for i, same in enumerate(self._invariant) if same)
        targets = [False if same else vectors.stretches[i] for i, same in enumerate(self._invariant)]
        unread = [False] * (len(program.outputs) - self._leaves)
        made = self._generated = generate(program, Bindings(vectors.stretches, (*targets, *unread), fixed))
        sized = zip(vectors.sizes, vectors.dtypes, strict=True)
        self._bytes = made.arena + sum(size * dtype.itemsize for size, dtype in sized)
        self._shapes = [dims(v) for v in program.inputs]
        self._rounded = [v.spec.dtype == "bfloat16" for v in program.inputs]
        self._lock = threading.Lock()
        self._scope = blas.one_thread if pieces.is_large(program) else nullcontext
        self._allocate()

    def _allocate(self) -> None:
        """Make the vectors, and bind the step to both sets of them."""
        made, vectors = self._generated, self._vectors
        self._sides = [vectors.make(0, vectors.moving) for _ in "ab"]
        for k in made.in_place:
            self._sides[1][k] = self._sides[0][k]
        shared = self._shared = vectors.make(vectors.moving, len(vectors.sizes))
        room = memory.arena(made.arena)
        scratches: list[dict[Any, Any]] = [{} for _ in range(made.scratches)]
        a, b = self._sides
        frames = [
            made.make(room, made.constants, scratches, [*a, *shared], b),
            made.make(room, made.constants, scratches, [*b, *shared], a),
        ]
        self._views = [[self._view(i, side) for i in range(len(self._shapes))] for side in (0, 1)]
        self._side = 0
        self._held: list[Any] = [None] * self._leaves
        self._frames = frames  # the last, since an interruption may come at any line

    def release(self) -> None:
        """Free the vectors and the temporaries, where they are large, until the next run."""
        if self._bytes > _KEPT:
            with self._lock:
                self._frames = self._sides = self._shared = self._views = self._held = []

    @property
    def source(self) -> str:
        """The generated Python text of one step."""
        return self._generated.source

    def _view(self, i: int, side: int) -> Array:
        """Input `i` of the step program where the frame of `side` reads it."""
        flat = self._vectors.stretches[i]
        moving = self._vectors.moving
        vector = self._sides[side][flat.vector] if flat.vector < moving else self._shared[flat.vector - moving]
        return vector[flat.offset : flat.offset + views.size(self._shapes[i])].reshape(self._shapes[i])

    def place(self, arrays: Sequence[np.ndarray]) -> Any:
        """The data arrays, row-major; they stay in their dtype, and every batch is converted."""
        return tuple(np.ascontiguousarray(a) for a in arrays)

    def run(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> State:
        """Run one step for every line of `indices` and return the new state; see `Runner.run`."""
        with self._lock, np.errstate(all="ignore"), self._scope():
            if not self._frames:
                self._allocate()
            self._load(state)
            self._turn(data, np.asarray(indices), np.asarray(rows))
            return self._result(state)

    def _load(self, state: State) -> None:
        """Bring in the leaves that are not those of the last result."""
        if len(state) != self._leaves:
            raise ShapeError(f"the state has {self._leaves} leaves, got {len(state)}.")
        for i, (leaf, held) in enumerate(zip(state, self._held, strict=True)):
            if leaf is held:
                continue
            if np.shape(leaf) != self._shapes[i]:
                name = self.step.state_names[i]
                raise ShapeError(f"leaf {name!r} has shape {np.shape(leaf)}, expected {self._shapes[i]}.")
            self._held[i] = None  # an interruption may come at any line
            view = self._views[self._side][i]
            view[...] = leaf
            if self._rounded[i]:
                bfloat16(view, view)
            self._held[i] = leaf

    def _turn(self, data: Sequence[Array], indices: Array, rows: Array) -> None:
        """The steps themselves. What is held is forgotten: `_result` knows it again when they are done."""
        self._held = [None] * self._leaves
        (once, here), (twice, there) = self._frames if self._side == 0 else self._frames[::-1]
        if once is not None:
            once()
            twice()
        fetches = [self._fetch(self._leaves + i, array) for i, array in enumerate(data)]
        real = self._views[0][-1]
        for index, weight in zip(indices.astype(np.intp), rows, strict=True):
            for fetch in fetches:
                fetch(index)
            real[...] = weight
            here()
            here, there = there, here
        self._side ^= len(indices) & 1

    def _fetch(self, number: int, array: Array) -> Callable[[Array], Any]:
        """How rows of a data array come into the batch, input `number` of the step program."""
        batch, take, rounds = self._views[0][number], array.take, self._rounded[number]
        if array.dtype == batch.dtype and not rounds:
            return lambda index: take(index, 0, batch, "clip")
        fetched = np.empty(batch.shape, array.dtype)

        def fetch(index: Array) -> None:
            take(index, 0, fetched, "clip")
            batch[...] = fetched
            if rounds:
                bfloat16(batch, batch)

        return fetch

    def _result(self, state: State) -> State:
        """Fresh leaves; those that never change are the ones given."""
        leaves = zip(state, self._views[self._side][: len(state)], self._invariant, strict=True)
        result = tuple([leaf if same else view.copy() for leaf, view, same in leaves])
        self._held = list(result)
        return result
