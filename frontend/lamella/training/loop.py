"""Running steps: chunks of a compiled step program; the model has the weights of the last complete chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import compiling, host_random, processes
from lamella.backend_api import Runner, State, to_numpy
from lamella.compiling import Recent
from lamella.errors import BackendError
from lamella.ir.dim import BATCH, Dimension, symbol, symbols_of
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.lowering.forward import traced_for_any_batch
from lamella.passes import find_cross_batch_op
from lamella.training.data import FIRST_BATCH, Data, free_specs
from lamella.training.distributed import (
    check_own_rows,
    distribution_of,
    parts_given,
    placement_for,
    require_compiled_steps,
    steps_by_shape,
)
from lamella.training.donation import deferred_signals, lose
from lamella.training.eager_runner import EagerRunner
from lamella.training.layout import BatchSpecs, Layout, filled_slots, layout_of
from lamella.training.logs import Logs
from lamella.training.step import build_step, own_labels
from lamella.training.train_step import has_own_loss, has_own_step

if TYPE_CHECKING:
    from lamella.training.protocol import TrainingModel
    from lamella.training.sources import Given, Source
    from lamella.training.state import Compiled

CHUNK_SECONDS = 0.25
"""The approximate maximum duration of a chunk in seconds: Ctrl-C loses at most this, and progress is updated."""

_FIRST_CHUNK = 8
_LONGEST_CHUNK = 8192

_RUNNERS = 32
"""How many runners a loop keeps, each for batches of one shape."""


class Loop:
    """The state of a run on one backend: leaves in a layout, and the runners for each shape of batch.

    Args:
        model: a built model.
        compiled: its training configuration and state.
        data: the rows; only shapes and dtypes are used here.
        training: whether steps train or evaluate.

    Attributes:
        row_dtype: the dtype of the vector that tells real rows from padding.
        undoes_steps: whether `undo_step` may be called, so that no step may reuse the memory of the state before it.
    """

    def __init__(self, model: TrainingModel, compiled: Compiled, data: Data, *, training: bool) -> None:
        self.model, self.compiled, self.training = model, compiled, training
        config = compiled.configuration
        self.distribution = distribution_of(model)
        if self.distribution is not None:
            require_compiled_steps(config)
            self.distribution.begins(model.variables)
        self._given_parts = parts_given(self.distribution)
        self._specs, self._structure = free_specs(model, data), data.structure
        self.row_dtype = self._batch().row_dtype
        own_logs = None
        if has_own_step(model, training=training):
            if training and config.external:
                raise TypeError(
                    "a user-defined train_step needs one of lamella.optimizers; optax's are for `fit`'s step."
                )
            first = self._batch_of(min(data.rows, FIRST_BATCH), data.row_specs)
            own_logs = own_labels(model, config, self._batch(), first, training=training)
        self.layout = layout_of(model, config, self._batch().y, training=training, own_logs=own_logs)
        at = self._at = {name: i for i, name in enumerate(self.layout.names)}
        groups = self.layout.metrics.items()
        self._accumulators = {label: [(n, at[leaf]) for n, (leaf, _) in group.items()] for label, group in groups}
        self._runners: Recent[tuple[Spec, ...], Runner] = Recent(_RUNNERS)
        self._last: tuple[int, Any, Any] = (0, None, None)
        self._mixes: bool | None = None
        self._seconds: float | None = None
        self._rates: dict[str, float] = {}
        self.state: State = ()
        self._sound: State = ()
        self.undoes_steps = False
        self._donated: frozenset[int] = frozenset()
        self._template: Any = None
        self._cleared: dict[int, Any] = {}
        self._placed: dict[str, tuple[Any, Any]] = {}

    def _batch(self) -> BatchSpecs:
        """A batch, with what is left free."""
        return self._batch_of(symbol(BATCH), self._specs)

    def _batch_of(self, rows: Dimension, row_specs: Mapping[str, Spec]) -> BatchSpecs:
        named = {name: Spec((rows, *s.shape), s.dtype) for name, s in row_specs.items()}
        return BatchSpecs(rows, named, self._structure)

    def runner(self, rows: int, row_specs: Mapping[str, Spec]) -> Runner:
        """The runner for batches of `rows` rows with these specs."""
        if rows == self._last[0] and row_specs is self._last[1]:
            return self._last[2]
        batch = self._batch_of(rows * self._given_parts, row_specs)
        specs = tuple(batch.named.values())
        runner = self._runners.get(specs)
        if runner is None:
            if self.distribution is not None:
                check_own_rows(self.distribution, rows)
            config = self.compiled.configuration
            build = partial(build_step, self.model, config, self.layout, batch, training=self.training)
            with compiling.because("train_step" if self.training else "test_step", self._why(batch)):
                with compiling.timed("program"):
                    step = build()
                if self.distribution is not None:
                    step = step._replace(placement=placement_for(self.distribution, self.layout))
                runner = config.backend.runner(step)
            if config.run_eagerly:
                runner = EagerRunner(runner, lambda arrays: build(concrete_inputs=arrays))
            self._runners[specs] = runner
        self._last = (rows, row_specs, runner)
        return runner

    def program(self, rows: int, size: int) -> Program:
        """What a step computes for a batch of `rows` rows, other dimensions that are left free being of a `size`."""
        sizes = dict.fromkeys(symbols_of(d for spec in self._specs.values() for d in spec.shape), size)
        batch = self._batch_of(rows, {name: spec.at(sizes) for name, spec in self._specs.items()})
        return build_step(self.model, self.compiled.configuration, self.layout, batch, training=self.training).program

    def _why(self, batch: BatchSpecs) -> str:
        """The reason for which a runner for batches of these specs is created."""
        what = ", ".join(f"{name} {spec}" for name, spec in batch.named.items())
        if not self._runners:
            return f"first batch, {what}"
        inner = [spec.shape[1:] for spec in batch.named.values()]
        same = any([spec.shape[1:] for spec in specs] == inner for specs in self._runners)
        return f"{'new batch size' if same else 'batch of a new shape'}, {what}"

    def batch_size(self, given: Given, batch: int) -> int:
        """The batch size of a step: `batch`, or fewer if there are fewer rows.

        If examples are independent, fewer rows are padded to a size that many sizes share, if the backend asks for that.
        """
        if not isinstance(given, Data) or given.rows >= batch:
            return batch
        rows, config = given.rows, self.compiled.configuration
        size = min(config.backend.padded_rows(rows), batch)
        if size == rows or given.stored or config.run_eagerly or self.model.fixed_batch_size is not None:
            return rows
        return size if self.pads() else rows

    def pads(self) -> bool:
        """Whether a short batch may be padded: no operation of the model mixes examples."""
        if self.layout.own_logs or has_own_loss(self.model):
            return False  # a user-defined function may mix examples
        if self._mixes is None:
            config, batch = self.compiled.configuration, self._batch()
            # with the penalties: an activity regularizer sums over examples as well
            forward = traced_for_any_batch(
                self.model, batch.parts(self._specs)[0], training=self.training, losses=True, frozen=config.frozen
            )
            self._mixes = (
                forward is None
                or find_cross_batch_op(forward.program) is not None
                or not config.is_per_example(self.model, batch.y, forward, self.layout.metric_rules)
            )
        return not self._mixes

    # ---- the state ----

    def begin(self, batch: int, sample: Data) -> None:
        """Take the model's weights, the optimizer's slots and new accumulators as the state.

        Args:
            batch: the rows of a step.
            sample: rows like those of the first step.
        """
        compiled, layout = self.compiled, self.layout
        leaves: dict[str, Any] = {name: variable._value for name, variable in layout.variables}
        if self.training:
            leaves |= leaves_of(self.model, compiled, layout)
            self._rates = compiled.configuration.rates()
        for group in layout.metrics.values():
            leaves |= dict(group.values())
        leaves |= self._placed_before()
        values = [leaves[n] for n in layout.names]
        values += (compiled.state.external or ()) if self.training else ()
        self._template = self.runner(batch, sample.row_specs)
        self._donated = self._template.donated if self.training and not self.undoes_steps else frozenset()
        if self._donated:
            values = self._owned(values)
        self.state = self._template.load(values)
        if self._donated:
            self.commit()  # the arrays that the state was loaded from are not needed any more
        # leaves are never changed in place, so those an epoch starts from serve every epoch
        cleared = {leaf for group in layout.metrics.values() for leaf, _ in group.values()}
        self._cleared = {i: self.state[i] for i, name in enumerate(layout.names) if name in cleared}
        self._placed = {name: (value, self.state[self._at[name]]) for name, value in self._settings().items()}

    def _owned(self, leaves: Sequence[Any]) -> list[Any]:
        """The leaves, with the numbers of those that must not be donated in the place of the arrays themselves.

        These are the values of variables that a user may hold, and every second use of one array.
        """
        lent = {i for i, (_, variable) in enumerate(self.layout.variables) if variable.lent}
        seen: set[int] = set()
        owned = []
        for i, leaf in enumerate(leaves):
            shared = i in lent or id(leaf) in seen
            seen.add(id(leaf))
            owned.append(to_numpy(leaf) if i in self._donated and shared else leaf)
        return owned

    def _settings(self) -> dict[str, Any]:
        """The settings that determine the small leaves of the state."""
        return {"key": self.model.seed, **self._rates} if self.training else {}

    def _placed_before(self) -> dict[str, Any]:
        """The leaves that the last run began with and that are still right: copying a number to a device takes long.

        Accumulators start where they started, the key and the learning rates follow from settings, and the count of steps
        is the leaf of that state.
        """
        names = self.layout.names
        leaves = {names[i]: leaf for i, leaf in self._cleared.items()}
        for name, value in self._settings().items():
            held = self._placed.get(name)
            if held is not None and held[0] == value:
                leaves[name] = held[1]
        if self.training and self.state and self.compiled.state.step is self.state[self._at["step"]]:
            leaves["step"] = self.compiled.state.step
        return leaves

    def place(self, arrays: Sequence[np.ndarray]) -> Any:
        """Bring the rows of a few steps to where the steps run."""
        return self._template.place(arrays)

    def place_all(self, arrays: Sequence[np.ndarray]) -> Any:
        """Bring a whole data set to where the steps run."""
        return self._template.place_all(arrays)

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
        """The learning rates that were set since the state got them."""
        rates = self.compiled.configuration.rates() if self.layout.own else {}
        if rates == self._rates:
            return {}
        changed = {leaf: rate for leaf, rate in rates.items() if rate != self._rates.get(leaf)}
        self._rates |= changed
        return changed

    def replace(self, leaves: dict[str, Any]) -> None:
        """Set some leaves."""
        state = list(self.state)
        for name, value in leaves.items():
            state[self._at[name]] = self._template.leaf(self._at[name], value)
        self.state = tuple(state)

    def take_weights(self, other: Loop) -> None:
        """Evaluate with the weights that `other` has reached, without a copy."""
        theirs = {id(v): other.state[i] for i, (_, v) in enumerate(other.layout.variables)}
        state = list(self.state)
        for name, variable in self.layout.variables:
            state[self._at[name]] = theirs[id(variable)]
        self.state = tuple(state)

    def commit(self) -> None:
        """Give the model the state reached: weights, layer state, optimizer slots and the number of steps.

        After an evaluation only what layers assigned is new: the states of stateful layers.
        """
        if not self.state:
            return
        state, variables = self.state, self.layout.variables
        if not self.training:
            for i, (_, variable) in enumerate(variables):
                if not self._template.step.invariant[i]:
                    variable._value = state[i]
            return
        at, compiled = self._at, self.compiled
        for i, (_, variable) in enumerate(variables):
            if variable._held is not state[i]:
                variable.take(state[i])
        step, external = state[at["step"]], compiled.state.external
        if not self.layout.own:
            external = tuple(state[len(at) :])
        groups = self.layout.slots.items()
        slots = {slot: {key: state[at[leaf]] for key, leaf in group.items()} for slot, group in groups}
        compiled.state = compiled.state.with_slots(slots, step=step, external=external)

    def adopt(self) -> None:
        """Take over weights and slots that a callback has set since `commit`, and a new learning rate."""
        variables, names = self.layout.variables, self.layout.names
        now = {name: variable._value for name, variable in variables}
        for slot, group in self.layout.slots.items():
            now |= {leaf: self.compiled.state.slots[slot][key] for key, leaf in group.items()}
        changed = {name: now[name] for i, name in enumerate(names) if name in now and now[name] is not self.state[i]}
        changed |= {name: v._value for i, (name, v) in enumerate(variables) if v.lent and i in self._donated}
        changed |= self._new_rates()
        if changed:
            self.replace(changed)

    def finalize(self) -> None:
        """Give the weights the values that the optimizer wants them to end with (`use_ema`: their averages)."""
        layout = self.layout
        if not layout.own or not layout.trained or not self.state:
            return
        self.commit()
        variables = [v for _, v in layout.trained_variables]
        slots = {
            slot: held[0] if 0 in held else [held.get(id(v)) for v in variables]
            for slot, held in self.compiled.state.slots.items()
        }
        final = self.compiled.configuration.optimizer.final_values([v._value for v in variables], slots)
        state = list(self.state)
        for (name, _), value in zip(layout.trained_variables, final, strict=True):
            state[self._at[name]] = value
        self.state = tuple(state)

    def logs(self) -> dict[str, Any]:
        """Loss and metrics accumulated since the epoch began: floats, or an array where a metric has several values."""
        return self._read(self.state)

    def unread_logs(self) -> Logs:
        """The same, but fetched from the device only when a value is read."""
        # a view would keep the whole state for as long as the logs are kept
        positions = [i for group in self._accumulators.values() for _, i in group]
        leaves = ((i, self.state[i]) for i in positions)
        held = {i: a.copy() if isinstance(a, np.ndarray) else a for i, a in leaves}
        return Logs(
            sorted([*self.layout.losses, *[r.label for r in self.layout.metric_rules]]), lambda: self._read(held)
        )

    def accumulators(self) -> dict[str, Any]:
        """The leaves from which loss and metrics are computed, as they are now."""
        at = self._at
        return {leaf: self.state[at[leaf]] for group in self.layout.metrics.values() for leaf, _ in group.values()}

    def _read(self, state: Any) -> dict[str, Any]:
        """The logs of a state, or of its accumulators by position."""
        numpy, groups = self.compiled.configuration.backend.numpy, self._accumulators
        logs: dict[str, Any] = {}
        for label in self.layout.losses:
            totals = {n: float(numpy(state[i])) for n, i in groups[label]}
            logs[label] = totals["total"] / max(totals["count"], 1.0)
        for rule in self.layout.metric_rules:
            logs[rule.label] = rule.metric.read({n: numpy(state[i]) for n, i in groups[rule.label]})
        return dict(sorted(logs.items()))

    # ---- running ----

    def run(
        self,
        source: Source,
        *,
        stride: int | None,
        before: Callable[[int], None] | None = None,
        after: Callable[[int], bool] | None = None,
        done: int = 0,
    ) -> int:
        """Run the steps of one epoch, and return how many are done.

        Args:
            source: where they come from.
            stride: the number of steps per chunk, for callbacks with batch hooks (None: the loop decides). The device then
                computes the next steps while the host does something else.
            before: called before each chunk with the number of steps done.
            after: called after each chunk with the number of steps done; False ends the run.
            done: how many steps of the epoch were done before, in the run that this one continues.
        """
        ahead, runner = source.streams and stride is None, None
        chunks = source.chunks(stride, done)
        chunk, following = next(chunks, None), None
        while chunk is not None:
            if before is not None:
                before(done)
            runner = self.runner(chunk.indices.shape[1], chunk.specs)
            last, start = self.state, time.perf_counter()
            compiled = compiling.total()
            state = self._dispatch(runner, chunk.data, chunk.indices, chunk.real)
            steps = len(chunk.indices)
            if stride:
                self._wait(runner)
                self._sound, self.state = () if self._donated else last, state
            else:
                try:
                    # while a device computes, the next batches are read
                    following = next(chunks, None) if ahead else None
                finally:
                    self._wait(runner, state)
                    self._sound, self.state = () if self._donated else last, state
                if compiling.total() == compiled:  # compilation before the first step does not slow the steps down
                    self._seconds = (time.perf_counter() - start) / steps
            done += steps
            if after is not None and not after(done):
                break
            chunk = following if ahead else next(chunks, None)
        if stride and runner is not None:
            self._wait(runner)
        return done

    def _dispatch(self, runner: Runner, data: Any, indices: np.ndarray, real: np.ndarray) -> State:
        """The state after some steps, which may still be computed.

        Where leaves are donated, it is the loop's state and the model's at once, since the one before is gone.
        """
        last = self.state
        if not self._donated:
            return runner.run(last, data, indices, real)
        launch = runner.donating(last, data, indices, real)
        with deferred_signals():
            try:
                self.state = launch()
            except Exception as error:
                if runner.is_lost(last):
                    raise self._lose(error) from error
                raise
            self.commit()
        return self.state

    def _wait(self, runner: Runner, state: State | None = None) -> None:
        """Return when the state has been computed; where that fails, the state is the one before."""
        try:
            runner.wait(self.state if state is None else state)
        except Exception as error:
            if self._donated:
                raise self._lose(error) from error
            if state is None:
                self.state = self._sound
            raise

    def _lose(self, error: Exception) -> BackendError:
        """The error to raise after the device failed with the only copy of weights and slots."""
        self.state = self._sound = ()
        donated = [variable for i, (_, variable) in enumerate(self.layout.variables) if i in self._donated]
        return lose(self.compiled, donated, error)

    def undo_step(self) -> None:
        """The state before the last chunk, with the accumulators as they are; the model gets it, too."""
        state = list(self._sound)
        for name, leaf in self.accumulators().items():
            state[self._at[name]] = leaf
        self.state = tuple(state)
        self.commit()

    def single_step(self, batch: Data) -> None:
        """Run one step on one batch from the model's weights, filled up to a size that many sizes share.

        The size follows from the number of rows alone, so the numbers do not depend on what was run before. A model with
        a fixed batch size (a stateful one) has that one size.
        """
        count, arrays = batch.rows, batch.arrays
        size = compiling.rounded_up(count)
        if size > count and self.model.fixed_batch_size is None and self.pads():
            arrays = [np.concatenate([a, np.repeat(a[:1], size - count, 0)]) for a in arrays]
        else:
            size = count
        self.begin(size, batch)
        indices, real = np.arange(size, dtype=np.int32)[None], np.ones((1, size), self.row_dtype)
        real[:, count:] = 0
        runner = self._template
        state = self._dispatch(runner, runner.place(arrays), indices, real)
        self._wait(runner, state)
        self.state = state

    def release(self) -> None:
        """Free the memory that finished training does not need: the state before the last step, the runners' buffers."""
        self._sound = ()
        for specs in self._runners:
            self._runners[specs].release()

    def chunk_size(self, first: int | None = None) -> int:
        """The number of steps of the next chunk, a power of two, from the time of the last ones; at first `first`.

        A chunk in which something was compiled is ignored. Several processes must run the same number, which follows from
        shapes.
        """
        if processes.count() > 1:
            return steps_by_shape([v for _, v in self.layout.variables], self._last[0])
        if self._seconds is None:
            return first or _FIRST_CHUNK
        steps = int(CHUNK_SECONDS / max(self._seconds, 1e-7))
        return min(1 << max(steps.bit_length() - 1, 0), _LONGEST_CHUNK)


def leaves_of(model: TrainingModel, compiled: Compiled, layout: Layout) -> dict[str, Any]:
    """The leaves of a training state beside the variables and the accumulators, as they are between two steps."""
    state, config = compiled.state, compiled.configuration
    leaves: dict[str, Any] = {"step": np.uint32(state.steps), "key": host_random.key_from_seed(model.seed)}
    if layout.own:
        held = filled_slots(config, layout, state.slots)
        leaves |= {leaf: held[slot][key] for slot, group in layout.slots.items() for key, leaf in group.items()}
        leaves |= config.rates()
    return leaves
