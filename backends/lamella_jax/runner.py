"""Training on JAX: the data is on the device, and one dispatch runs many steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamella.backend_api import Runner, State, StepProgram
from lamella.compiling import Reason, Recent, reason, rounded_up
from lamella_jax import elementwise, external, kernels, lowerings
from lamella_jax.precision import remembered
from lamella_jax.reports import reported

if TYPE_CHECKING:
    from lamella_jax.backend import JaxBackend

_ENTRIES = 16384
"""About so many row numbers go up with a dispatch: enough that it costs nothing a step, few enough to pad freely."""
_LEAST = 1 << 18
"""Bytes that a data set gets on the device at least: up to there any number of rows shares one compiled loop.

From 1 MiB of operands on JAX runs a program on a CPU in another thread, which costs a small one 40 us and more.
"""
_SENT_WITH_CALLS = 65536
"""Bytes: smaller arrays for a few steps go up with the dispatch, in less time than making arrays of JAX's takes."""
_LARGE = 64 << 20
"""Bytes of weights and slots from which on their memory is reused: two copies of a smaller state do no harm."""
_PROGRAMS = 16
"""How many compiled loops a runner keeps: one for each capacity of the data, and one more for single steps."""


class _Whole(tuple[Any, ...]):
    """A data set that was placed as a whole, and what of it is compiled in."""

    forms: tuple[Any, ...]


class JaxRunner(Runner):
    """Runs a chunk as a loop on the device, whose number of iterations is an operand: one compilation serves every chunk.

    The row numbers come in a matrix of a fixed height, padded below; a longer chunk takes several dispatches. So chunks
    of 57, 57, 56 and 1 steps share one compiled function, and since every step runs in the same loop body, the numbers
    do not depend on how steps are cut into chunks. Where only single steps are ever run (`train_on_batch`), the matrix
    has two lines: with one, XLA leaves out looking the line up, fuses the loop's body otherwise, and rounds otherwise.
    `run` donates nothing: after an error or Ctrl-C the state before is whole. `donating` reuses the memory of weights and
    slots where they are large. The loop then has no second copy of them, neither in nor beside it.

    The number of rows is not part of what is compiled either: a data set is placed with a capacity from a coarse grid, and
    the rows behind the real ones are never read.

    With an external optimizer (an optax transformation) the leaves of its state follow the program's own in the state tuple.

    Attributes:
        external_names: a path for every leaf of the external optimizer's state, "foreign/0/mu/dense/kernel" and so on.
    """

    def __init__(self, backend: JaxBackend, step: StepProgram) -> None:
        self.backend = backend
        self.step = step
        self._count = len(step.state_names)
        program = backend.prepare(step.program)
        split = step.placement is not None
        self._outputs = kernels.function_of(program, alone=not split, split=split)
        self._programs: Recent[Any, Callable[..., Any]] = remembered(Recent(_PROGRAMS))
        self._program, self._reason = program, reason()
        self._external: Any = None
        foreign: list[Any] = []
        self.external_names: tuple[str, ...] = ()
        trained = {step.state_names.index(name): i for i, name in enumerate(step.gradient_names)}
        self._trained = trained if step.external_optimizer is not None else {}
        self._fixed = tuple(i for i, same in enumerate(step.invariant) if same and i not in self._trained)
        self._varying = tuple(i for i in range(self._count) if i not in self._fixed)
        self._row_dtype = np.dtype(step.program.input_specs[-1].dtype)
        if step.external_optimizer is not None:
            self._anywhere = kernels.function_of(program, split=split)
            params = {step.state_names[i]: step.program.input_specs[i] for i in self._trained}
            with backend.scope(step.program):
                held = external.checked_state(step.external_optimizer, params)
                foreign = jax.tree.leaves(held)
                self._external = jax.tree.structure(held)
                self.external_names = tuple(external.leaves_by_path(held))
        self._external_shapes = [leaf.shape for leaf in foreign]
        self._order = (*self._varying, *range(self._count, self._count + len(self.external_names)))
        at = {i: n for n, i in enumerate((*self._fixed, *self._order))}
        self._places = tuple(at[i] for i in range(len(at)))
        kinds = ("params/", "state/", "optimizer/", "foreign/")
        names = (*step.state_names, *self.external_names)
        leaves = list(zip(names, (*step.program.input_specs[: self._count], *foreign), strict=True))
        sizes = {
            i: math.prod(map(int, leaves[i][1].shape)) * np.dtype(leaves[i][1].dtype).itemsize
            for i in self._order
            if leaves[i][0].startswith(kinds)
        }
        self.donated = frozenset(sizes) if sum(sizes.values()) > _LARGE else frozenset()

    # ---- the contract ----

    def load(self, leaves: Sequence[Any]) -> State:
        """The state of these leaves; the external optimizer's own are made where they are not given."""
        specs = self.step.program.input_specs[: self._count]
        with self.backend.scope(self.step.program):
            dtypes = [*[s.dtype for s in specs], *[None] * (len(leaves) - len(specs))]
            leaves = self._filled(leaves, dtypes)
            # memory that XLA does not own, NumPy's, it would copy before it reuses it
            given = [self._donatable(a, dtypes[i]) if i in self.donated else a for i, a in enumerate(leaves)]
            placed = self.backend.asarrays(given, dtypes)
            own, rest = placed[: self._count], placed[self._count :]
            if self._external is not None and not rest:
                params = {self.step.state_names[i]: own[i] for i in self._trained}
                rest = jax.tree.leaves(external.initial(self.step.external_optimizer, params))
                # some transformations keep the very arrays that they are given
                held = set(map(id, own)) if self.donated else set[int]()
                rest = [self._donatable(np.asarray(a)) if id(a) in held else a for a in rest]
            return (*own, *rest)

    def _filled(self, leaves: Sequence[Any], dtypes: Sequence[str | None]) -> list[Any]:
        """The leaves; those that repeat one number are made on the device (small ones for a CPU are copied there)."""
        repeated = {
            i: a for i, a in enumerate(leaves) if isinstance(a, np.ndarray) and a.size > 1 and not any(a.strides)
        }
        size = sum(a.nbytes for a in repeated.values())
        if not repeated or (size < _LARGE and jax.default_backend() == "cpu"):
            return list(leaves)

        def slots() -> dict[int, Any]:
            return {i: lax.full(a.shape, a.flat[0], dtypes[i] or a.dtype) for i, a in repeated.items()}

        made = jax.jit(reported(slots, self._reason._replace(name="slots", cause="weights without a state")))()
        return [made.get(i, a) for i, a in enumerate(leaves)]

    def _donatable(self, array: Any, dtype: str | None = None) -> Any:
        """An array of NumPy's in memory that XLA owns; one of JAX's as it is."""
        return array if isinstance(array, jax.Array) else self.backend.fresh(array, dtype or array.dtype.name)

    def place(self, arrays: Sequence[Any]) -> Any:
        """Copy the data to the device, once for many chunks.

        What is wider than the program wants (float64 features, int64 labels) is narrowed first; what is narrower
        (uint8 pictures) stays so, and each batch is widened in the loop.
        """
        return self._placed(arrays, len(arrays[0]), _SENT_WITH_CALLS)

    def place_all(self, arrays: Sequence[Any]) -> Any:
        """Copy a data set to the device, with room for a number of rows that many data sets share."""
        rows = len(arrays[0])
        row = sum(math.prod(a.shape[1:]) * np.dtype(a.dtype).itemsize for a in arrays)
        placed = self._placed(arrays, rounded_up(max(rows, _LEAST // max(row, 1))))
        whole = _Whole(placed)
        whole.forms = _forms(placed)
        return whole

    def _placed(self, arrays: Sequence[Any], capacity: int, stays: int = -1) -> Any:
        """The arrays with room for `capacity` rows; those of at most `stays` bytes are not sent to the device yet."""
        specs = self.step.program.input_specs[self._count : -1]
        placed = []
        with self.backend.scope(self.step.program):
            for array, spec in zip(arrays, specs, strict=True):
                wide = np.dtype(array.dtype).itemsize >= np.dtype(spec.dtype).itemsize
                own = self.backend.own_copy(array, spec.dtype if wide else None, capacity)
                placed.append(own if own.nbytes <= stays else jax.device_put(own))
        return tuple(placed)

    def run(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> State:
        """Run one step for every line of `indices`; returns at once, the device continues working."""
        fixed, varying = tuple([state[i] for i in self._fixed]), tuple([state[i] for i in self._order])
        with self.backend.scope(self.step.program):
            for part in self._parts(data, indices, rows):
                _, varying = self._chunk((), varying, fixed, *part)
        leaves = (*fixed, *varying)
        return tuple([leaves[i] for i in self._places])

    def donating(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> Callable[[], State]:
        """A function that does what `run` does and reuses the memory of the leaves `donated`."""
        if not self.donated:
            return super().donating(state, data, indices, rows)
        mine, others = ([i for i in self._order if (i in self.donated) is of] for of in (True, False))
        fixed = tuple([state[i] for i in self._fixed])
        given, kept = tuple([state[i] for i in mine]), tuple([state[i] for i in others])
        with self.backend.scope(self.step.program):
            parts = [(tuple(part[0]), *part[1:]) for part in self._parts(data, indices, rows)]
            key = len(parts[0][2]), _forms(parts[0][0]), "donating"
            compiled = self._programs.get(key)
            if compiled is None:
                jitted = jax.jit(reported(self._steps, self._why(key)), donate_argnums=0)
                compiled = jitted.lower(given, kept, fixed, *parts[0]).compile()
                self._programs[key] = compiled

        def launch() -> State:
            nonlocal given, kept
            with self.backend.scope(self.step.program):
                for part in parts:
                    given, kept = compiled(given, kept, fixed, *part)
            return self._state(fixed, dict(zip((*mine, *others), (*given, *kept), strict=True)))

        return launch

    def is_lost(self, state: State) -> bool:
        """Whether the memory of a leaf was reused."""
        return any(leaf.is_deleted() for leaf in state)

    def wait(self, state: State) -> None:
        """Return when the device has computed `state`."""
        jax.block_until_ready(state)

    def _parts(self, data: Any, indices: np.ndarray, rows: np.ndarray) -> Iterable[tuple[Any, ...]]:
        """The data, the row numbers, the real rows and the number of steps of each dispatch."""
        steps, batch = indices.shape
        height = min(max(_ENTRIES // max(batch, 1), 16), 512)
        # a window of a stream has one loop, whatever the number of its steps
        few = steps == 1 and (height, _forms(data)) not in [key[:2] for key in self._programs]
        if few if isinstance(data, _Whole) else data[0].shape[0] == batch:
            height = 2
        return [
            (
                data,
                _of_height(indices[start : start + height], height, np.dtype(np.int32)),
                _of_height(rows[start : start + height], height, self._row_dtype),
                np.int32(min(height, steps - start)),
            )
            for start in range(0, steps, height)
        ]

    def _state(self, fixed: Sequence[Any], varying: dict[int, Any]) -> State:
        """The state of the leaves that never change and of the others, by position."""
        leaves = varying | dict(zip(self._fixed, fixed, strict=True))
        return tuple([leaves[i] for i in range(len(leaves))])

    # ---- what is compiled ----

    def _chunk(self, given: Any, kept: Any, fixed: Any, data: Any, numbers: Any, real: Any, iterations: Any) -> Any:
        """Up to `len(numbers)` steps in one dispatch, compiled for that many lines and for the capacity of the data."""
        key = len(real), _forms(data)
        compiled = self._programs.get(key)
        if compiled is None:
            compiled = kernels.jit(reported(self._steps, self._why(key)), self._program)
            self._programs[key] = compiled
        return compiled(given, kept, fixed, tuple(data), numbers, real, iterations)

    def _why(self, key: Any) -> Reason:
        """Why a loop is compiled for `key`."""
        before = [data for _, data, *_ in self._programs]
        if not before:
            return self._reason
        (rows, *_), dtype = key[1][0]
        if key[1] in before:
            cause = f"chunks of {'several steps' if key[0] > 2 else 'one step'}"
        elif any(data[0][0][0] == rows for data in before):
            cause = f"data of another dtype, x {dtype}"
        else:
            cause = f"another number of rows, room for {rows}"
        return self._reason._replace(cause=cause)

    def _steps(self, given: Any, kept: Any, fixed: Any, data: Any, numbers: Any, real: Any, iterations: Any) -> Any:
        """The leaves after some steps; the first ones, `given`, where they are donated, in the order they came in."""
        specs = self.step.program.input_specs[self._count :]
        count = len(given)
        order = self._order
        if count:
            order = sorted(order, key=lambda i: i not in self.donated)

        def step(i: Any, varying: Any) -> Any:
            rows = self._batch(data, numbers, i)
            batch = [elementwise.convert(a, dtype=s.dtype) for a, s in zip(rows, specs[:-1], strict=True)]
            present = lax.dynamic_index_in_dim(real, i, keepdims=False)
            return self._step(order, varying, fixed, batch, present)

        varying = self._laid_out(order, lax.fori_loop(np.int32(0), iterations, step, (*given, *kept)))
        return varying[:count], varying[count:]

    def _laid_out(self, order: Sequence[int], leaves: Any) -> Any:
        """The leaves at these positions, where they belong: on one device anywhere."""
        return leaves

    def _batch(self, data: Any, numbers: Any, i: Any) -> list[Any]:
        """The rows of step `i`."""
        line = lax.dynamic_index_in_dim(numbers, i, keepdims=False)
        return [lowerings.take(a, line, axis=0) for a in data]

    def _step(self, order: Sequence[int], varying: Any, fixed: Any, batch: Sequence[Any], present: Any) -> Any:
        state = self._state(fixed, dict(zip(order, varying, strict=True)))
        outputs = self._outputs(*state[: self._count], *batch, present)
        after, gradients = list(outputs[: self._count]), outputs[self._count :]
        if self._external is not None:
            after += self.external_update(
                after, gradients, state[self._count :], (*state[: self._count], *batch, present)
            )
        return tuple([after[i] for i in order])

    def external_update(
        self, after: list[Any], gradients: Sequence[Any], leaves: Sequence[Any], inputs: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """Let the external optimizer turn the gradients into updates; `after` gets the new weights."""
        names = {self.step.state_names[i]: (i, n) for i, n in self._trained.items()}

        def value_and_gradients(params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            """The loss of the batch, and its gradients, where the weights are others."""
            arrays = list(inputs)
            for name, (i, _) in names.items():
                arrays[i] = params[name]
            found = self._anywhere(*arrays)[self._count :]
            return found[-1], {name: found[n] for name, (_, n) in names.items()}

        params = {name: after[i] for name, (i, _) in names.items()}
        updates, new = external.update(
            self.step.external_optimizer,
            {name: gradients[n] for name, (_, n) in names.items()},
            jax.tree.unflatten(self._external, leaves),
            params,
            gradients[-1],
            value_and_gradients,
        )
        for name, (i, _) in names.items():
            after[i] = lax.convert_element_type(jnp.add(params[name], updates[name]), after[i].dtype)
        # a loop keeps the dtypes of what it carries, whatever the transformation's arithmetic made of them
        return [lax.convert_element_type(y, x.dtype) for x, y in zip(leaves, jax.tree.leaves(new), strict=True)]


def _forms(data: Sequence[Any]) -> tuple[Any, ...]:
    """What of placed data is compiled in."""
    return data.forms if isinstance(data, _Whole) else tuple([(a.shape, a.dtype) for a in data])


def _of_height(lines: np.ndarray, height: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The lines, followed by lines of zeros that no step reads."""
    if len(lines) == height:
        return np.ascontiguousarray(lines, dtype)
    padded = np.zeros((height, lines.shape[1]), dtype)
    padded[: len(lines)] = lines
    return padded
