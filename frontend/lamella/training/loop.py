"""Running steps: chunks of a compiled step program, with the model's weights always those of the last whole chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import random
from lamella.backend import Runner, State
from lamella.ir.spec import Rows, Spec
from lamella.models.lowering import trace_forward
from lamella.passes import mixing_equation
from lamella.training.data import Data
from lamella.training.step import BatchSpecs, Layout, build_step
from lamella.training.watched import WatchedRunner

if TYPE_CHECKING:
    from lamella.training.compiled import Compiled
    from lamella.training.model import TrainableModel

CHUNK_SECONDS = 0.25
"""About how long a chunk runs: Ctrl-C loses no more than this, and the progress bar moves."""

_FIRST_CHUNK = 8


class Loop:
    """The state of a run on one backend: leaves in a layout, and the runners for each shape of batch.

    Args:
        model: a built model.
        compiled: its training configuration.
        data: the rows; only shapes and dtypes are used here.
        training: whether steps train or evaluate.
    """

    def __init__(self, model: TrainableModel, compiled: Compiled, data: Data, *, training: bool) -> None:
        self.model, self.compiled, self.training = model, compiled, training
        self._specs = tuple(Spec(a.shape[1:], a.dtype.name) for a in data.arrays)
        self._has_y, self._weighted = data.y is not None, data.sample_weight is not None
        self.layout = Layout(model, compiled, self._batch(2).y, training=training)
        self._runners: dict[int, Runner] = {}
        self._mixes: bool | None = None
        self._seconds: float | None = None
        self._rates: dict[str, float] = {}
        self.state: State = ()
        self._template: Any = None
        self._cleared: dict[int, Any] = {}

    def fits(self, data: Data) -> bool:
        """Whether the loop's programs serve these arrays."""
        return (
            self._specs == tuple(Spec(a.shape[1:], a.dtype.name) for a in data.arrays)
            and self._has_y == (data.y is not None)
            and self._weighted == (data.sample_weight is not None)
        )

    def _batch(self, rows: int) -> BatchSpecs:
        specs = [Spec((Rows(rows), *s.shape), s.dtype) for s in self._specs]
        return BatchSpecs(rows, specs[0], specs[1] if self._has_y else None, self._weighted)

    def runner(self, rows: int) -> Runner:
        """Who runs steps on batches of `rows` rows."""
        if rows not in self._runners:
            build = partial(
                build_step, self.model, self.compiled, self.layout, self._batch(rows), training=self.training
            )
            runner = self.compiled.backend.runner(build())
            if self.compiled.run_eagerly:
                runner = WatchedRunner(runner, lambda feed: build(feed=feed))
            self._runners[rows] = runner
        return self._runners[rows]

    def pads(self) -> bool:
        """Whether a short batch may be filled up: no operation of the model lets rows influence each other."""
        if self._mixes is None:
            x = self._batch(4).x
            # with the penalties: an activity regularizer adds up rows, too
            forward = trace_forward(
                self.model, x, training=self.training, keyed=self.training, losses=True, frozen=self.compiled.frozen
            )
            self._mixes = mixing_equation(forward.program) is not None or not self._losses_keep_rows_apart()
        return not self._mixes

    def _losses_keep_rows_apart(self) -> bool:
        batch, out = self._batch(4), self.model.output_spec
        return self.compiled.keeps_rows_apart(batch.y, Spec((batch.x.shape[0], *out.shape[1:]), out.dtype))

    # ---- the state ----

    def begin(self, batch: int) -> None:
        """Take the model's weights, the optimizer's slots and new accumulators as the state, for steps of `batch` rows."""
        compiled, layout = self.compiled, self.layout
        leaves: dict[str, Any] = {name: variable.value for name, variable in layout.variables}
        if self.training:
            if layout.own:
                held = compiled.slot_arrays(layout)
                leaves |= {leaf: held[slot][key] for slot, group in layout.slots.items() for key, leaf in group.items()}
                self._rates = compiled.rates()
                leaves |= self._rates
            leaves["step"] = np.uint32(compiled.steps)
            leaves["key"] = random.key_from_seed(self.model.seed)
        for group in layout.metrics.values():
            leaves |= dict(group.values())
        values = [leaves[n] for n in layout.names]
        extra = compiled.foreign_state or ()
        self._template = self.runner(batch)
        self.state = self._template.load([*values, *extra])
        # leaves are never changed in place, so those an epoch starts from serve every epoch
        cleared = {leaf for group in layout.metrics.values() for leaf, _ in group.values()}
        self._cleared = {i: self.state[i] for i, name in enumerate(layout.names) if name in cleared}

    def place(self, data: Data) -> Any:
        """Bring the rows to where the steps run."""
        return self._template.place(data.arrays)

    def start_epoch(self) -> None:
        """Clear the accumulators, and read the learning rate again."""
        state = list(self.state)
        for i, leaf in self._cleared.items():
            state[i] = leaf
        self.state = tuple(state)
        rates = self._new_rates()
        if rates:
            self.replace(rates)

    def _new_rates(self) -> dict[str, float]:
        """The learning rates that somebody has set since the state got them."""
        rates = self.compiled.rates() if self.layout.own else {}
        changed = {leaf: rate for leaf, rate in rates.items() if rate != self._rates.get(leaf)}
        self._rates |= changed
        return changed

    def replace(self, leaves: dict[str, Any]) -> None:
        """Set some leaves."""
        backend, layout = self.compiled.backend, self.layout
        position = {name: i for i, name in enumerate(layout.names)}
        state = list(self.state)
        with backend.scope(self._template.step.program):
            for name, value in leaves.items():
                state[position[name]] = backend.asarray(np.asarray(value), layout.specs[name].dtype)
        self.state = tuple(state)

    def take_weights(self, other: Loop) -> None:
        """Evaluate with the weights that `other` has reached, without a copy."""
        mine = {name: i for i, (name) in enumerate(self.layout.names)}
        theirs = {id(v): other.state[i] for i, (_, v) in enumerate(other.layout.variables)}
        state = list(self.state)
        for name, variable in self.layout.variables:
            state[mine[name]] = theirs[id(variable)]
        self.state = tuple(state)

    def commit(self) -> None:
        """Give the model the state reached: weights, layer state, optimizer slots and the number of steps.

        After an evaluation only what layers assigned is new: the states of stateful layers.
        """
        names = self.layout.names
        at = {name: i for i, name in enumerate(names)}
        if not self.state:
            return
        if not self.training:
            for i, (_, variable) in enumerate(self.layout.variables):
                if not self._template.step.invariant[i]:
                    variable._value = self.state[i]
            return
        for i, (_, variable) in enumerate(self.layout.variables):
            variable._value = self.state[i]
        for slot, group in self.layout.slots.items():
            held = self.compiled.slots.setdefault(slot, {})
            held.update({key: self.state[at[leaf]] for key, leaf in group.items()})
        self.compiled.steps = int(self.compiled.backend.numpy(self.state[at["step"]]))
        if self.compiled.foreign:
            self.compiled.foreign_state = tuple(self.state[len(names) :])

    def adopt(self) -> None:
        """Take over weights that a callback has set since `commit`, and a new learning rate."""
        changed = {
            name: variable.value
            for i, (name, variable) in enumerate(self.layout.variables)
            if variable._value is not self.state[i]
        }
        changed |= self._new_rates()
        if changed:
            self.replace(changed)

    def finalize(self) -> None:
        """Give the weights the values that the optimizer wants them to end with (`use_ema`: their averages)."""
        layout, compiled = self.layout, self.compiled
        if not layout.own or not layout.trained or not self.state:
            return
        self.commit()
        variables = [v for _, v in layout.variables[: layout.trained]]
        slots = {
            slot: held[0] if 0 in held else [held.get(id(v)) for v in variables]
            for slot, held in compiled.slots.items()
        }
        names = [name for name, _ in layout.variables[: layout.trained]]
        final = compiled.optimizer.final_values([v._value for v in variables], slots)
        at = {name: i for i, name in enumerate(layout.names)}
        state = list(self.state)
        for name, value in zip(names, final, strict=True):
            state[at[name]] = value
        self.state = tuple(state)

    def evaluate(self, data: Any, rows: int, batch: int) -> dict[str, Any]:
        """Loss and metrics over all rows."""
        self.start_epoch()
        self.run(data, np.arange(rows, dtype=np.int32), batch, single=False)
        return self.logs()

    def logs(self) -> dict[str, Any]:
        """Loss and metrics accumulated since the epoch began: floats, or an array where a metric has several values."""
        numpy = self.compiled.backend.numpy
        at = {name: i for i, name in enumerate(self.layout.names)}

        def read(label: str) -> dict[str, np.ndarray]:
            return {n: numpy(self.state[at[leaf]]) for n, (leaf, _) in self.layout.metrics[label].items()}

        totals = read("loss")
        logs = {"loss": float(totals["total"]) / max(float(totals["count"]), 1.0)}
        for label, metric, _ in self.layout.metric_rules:
            logs[label] = metric.read(read(label))
        return dict(sorted(logs.items()))

    # ---- running ----

    def run(
        self, data: Any, order: np.ndarray, batch: int, *, single: bool, between: Callable[[int], bool] | None = None
    ) -> None:
        """Run all batches of `order` once.

        Args:
            data: the rows as `place` returned them.
            order: int32 row numbers.
            batch: rows a batch.
            single: one step a chunk, because somebody watches every batch.
            between: called with the number of steps done before each chunk and after the last; False ends the run.
        """
        done = 0
        for indices, real, rows in self._chunks(order, batch, single):
            if between is not None and not between(done):
                return
            runner = self.runner(rows)
            start = time.perf_counter()
            state = runner.run(self.state, data, indices, real)
            runner.wait(state)
            self._seconds = (time.perf_counter() - start) / len(indices)
            self.state = state
            done += len(indices)
        if between is not None:
            between(done)

    def _chunks(self, order: np.ndarray, batch: int, single: bool) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        full = len(order) // batch
        index = order[: full * batch].reshape(full, batch)
        rest = order[full * batch :]
        dtype = np.float64 if self._batch(1).row_dtype == "float64" else np.float32
        weights = np.ones((full, batch), dtype)
        if len(rest) and self.pads() and full:
            # a real row repeated: zeros could turn into NaN, which a weight of 0 does not remove
            index = np.concatenate([index, np.append(rest, np.full(batch - len(rest), rest[0], np.int32))[None]])
            weights = np.concatenate([weights, (np.arange(batch) < len(rest)).astype(dtype)[None]])
            rest = rest[:0]
        at = 0
        while at < len(index):
            size = 1 if single else self._chunk_size()
            yield index[at : at + size], weights[at : at + size], batch
            at += size
        if len(rest):
            yield rest[None], np.ones((1, len(rest)), dtype), len(rest)

    def _chunk_size(self) -> int:
        if self._seconds is None:
            return _FIRST_CHUNK
        return max(1, min(10_000, int(CHUNK_SECONDS / max(self._seconds, 1e-7))))
