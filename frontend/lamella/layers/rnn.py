"""Run a cell over time: the base of the recurrent layers."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lamella import ops
from lamella.core import context
from lamella.core.variable import Variable
from lamella.errors import ShapeError
from lamella.ir import limits
from lamella.ir.dim import Dim, differ, public_shape, shapes_differ
from lamella.ir.spec import Shape, Spec, is_float, size_of, spec_of
from lamella.layers.base import Layer
from lamella.layers.cell_base import SequenceCell
from lamella.layers.naming import unique_name
from lamella.layers.stacked_cells import StackedRNNCells, check_cell, engine_of, state_shapes
from lamella.tree import flatten, unflatten

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class RNN(Layer):
    """Apply a cell step by step: output, states = cell(inputs[:, t], states).

    Input shape `(batch, time, ...)`; output shape `(batch, ...)`, or `(batch, time, ...)` with `return_sequences`.
    `initial_state` may be given to the call. A masked step keeps the states and repeats the last output; with
    `return_sequences` the mask is passed on. `training=True` applies the dropouts. Gradients do not flow into the
    previous batch.

    Args:
        cell: a cell, or a list of cells to stack (`StackedRNNCells`). A user-defined cell has `state_size`, an integer
            or a list of them, and `call(inputs, states)`, which returns the output of a step and the list of new
            states; optionally `output_size` and `get_initial_state(batch_size)`.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last states as well: `(output, *states)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `cell` is not a cell; or, when the layer is built, `stateful` without a fixed batch size.
        ShapeError: in a call, if the input does not have the shape the layer was built for.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RNN, SimpleRNNCell
        >>> layer = RNN([SimpleRNNCell(4), SimpleRNNCell(2)], return_sequences=True)
        >>> layer(np.ones((1, 3, 5))).shape
        (1, 3, 2)
    """

    supports_masking = True
    config_attributes: ClassVar[Mapping[str, str]] = {"cell": "cell"}
    step_ndim: int | None = None
    """The rank of the inputs of a step; None if the cell checks it."""

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, list | tuple) else cell
        check_cell(self.cell, self)
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful, self.unroll = bool(go_backwards), bool(stateful), bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.states: list[Any] | None = None
        self._batch: int | None = None
        self._states_structure: Any = None
        if self.return_state and self.activity_regularizer is not None:
            raise ValueError(
                f"{type(self).__name__}: activity_regularizer needs one output, but return_state=True gives several."
            )

    @property
    def children(self) -> dict[str, Layer]:
        """The cell first; a list of cells that the layer was made with is inside `cell`."""
        given, _ = flatten(self._arguments.get("cell"))
        seen = set(map(id, given)) - {id(self.cell)}
        found: dict[str, Layer] = {}
        for layer in [self.cell, *super().children.values()]:
            if isinstance(layer, Layer) and id(layer) not in seen:
                seen.add(id(layer))
                found[unique_name(layer, found)] = layer
        return found

    def named_variables(self, prefix: str = "") -> Iterator[tuple[str, Variable]]:
        """The cell's variables, then the states of a stateful layer."""
        own = {id(v) for v in self._variables}
        found = list(super().named_variables(prefix))
        yield from [(path, v) for path, v in found if id(v) not in own]
        yield from [(path, v) for path, v in found if id(v) in own]

    def shape_of_input_dim(self, input_dim: int, length: int | None, has_length: bool) -> tuple[int | None, ...]:
        """`input_length` steps of `input_dim` features."""
        return (length, input_dim)

    def check_input(self, spec: Spec) -> None:
        """Check for `(batch, time, ...)` with the features that the kernel of the cell was built for."""
        shape = public_shape(spec.shape)
        if self.step_ndim is not None and spec.ndim != self.step_ndim + 1:
            words = "features" if self.step_ndim == 2 else f"{self.step_ndim - 1} dimensions of a step"
            raise ShapeError(f"expected inputs of shape (batch, time, {words}), got {shape}.")
        if spec.ndim < 2:
            raise ShapeError(f"expected inputs of shape (batch, time, ...), got {shape}.")
        kernel = getattr(self.cell, "kernel", None)
        if self.built and self.step_ndim == 2 and kernel is not None and differ(spec.shape[-1], kernel.shape[0]):
            raise ShapeError(f"expected {kernel.shape[0]} features per step, got {shape[-1]} (input shape {shape}).")

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; a stateful one stores the batch size that it is built for."""
        if self.stateful and not self.built:
            self._batch = declared_batch(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Build the cell for the inputs of a step; a stateful layer makes its states."""
        step = (input_shape[0], *input_shape[2:])
        if isinstance(self.cell, Layer):
            self.cell.build(step)
        if self.stateful:
            batch = self._batch if input_shape[0] is None else input_shape[0]
            if batch is None:
                raise ValueError(
                    f"Layer {self.name!r}: stateful=True needs the batch size; declare it with "
                    f"Input(batch_shape=(rows, {', '.join(map(str, input_shape[1:]))})) or batch_input_shape=."
                )
            self._batch = batch
            self._make_states(batch, step)

    def _make_states(self, batch: int, step: Shape) -> None:
        shapes, self._states_structure = flatten(state_shapes(self.cell, batch, step))
        self.states = [self.add_weight(s.shape, "zeros", trainable=False, name="state") for s in shapes]

    def reset_states(self) -> None:
        """Set the states that the next batch starts with to 0."""
        for state in self.states or []:
            state.assign(ops.zeros(state.shape, state.dtype))

    def reset_state(self) -> None:
        """The same as `reset_states`."""
        self.reset_states()

    @property
    def casts_integers(self) -> bool:
        """Whether the cell does arithmetic with its inputs; a user-defined cell may look integers up."""
        return getattr(self.cell, "casts_integers", False)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the input if sequences are returned, otherwise None."""
        return mask if self.return_sequences else None

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """The last output, or the outputs of all steps; with `return_state` followed by the last states.

        Args:
            sequences: the inputs, `(batch, time, ...)`.
            initial_state: the states before the first step, one or a list; None for zeros, or for the stored states of a
                stateful layer.
            mask: mask `(batch, time)`, False for steps to skip.
            training: whether to apply the dropouts.
        """
        engine = engine_of(self.cell)
        shape = (sequences.shape[0], *sequences.shape[2:])
        dtype = sequences.dtype if is_float(sequences.dtype) else self.compute_dtype
        states = self._first_states(engine, shape, dtype, initial_state)
        prepared = engine.prepare(shape, dtype, training)
        steps = engine.project(time_first(sequences), prepared)
        keeps = None if mask is None else _kept(mask)
        held = self.return_sequences or not engine.repeats_state

        def step(states: Any, x: Any) -> Any:
            x, keep = x if keeps is not None else (x, None)
            output, new = engine.step(x, states, prepared)
            if keep is not None:
                new = choose(keep, new, states)
                output = self._masked(engine, keep, output, states, new)
            return new, output if held else None

        xs = steps if keeps is None else (steps, keeps)
        # an unknown number of steps cannot be unrolled; the loop computes the same
        unrolled = self.unroll and not isinstance(sequences.shape[1], Dim)
        states, outputs = (_unrolled if unrolled else ops.scan)(step, states, xs, reverse=self.go_backwards)
        if self.stateful:
            for variable, state in zip(self.states or [], flatten(states)[0], strict=True):
                variable.assign(ops.stop_gradient(state))
        last = first_of(states)
        if not engine.repeats_state and not self.return_sequences:
            last = outputs[0 if self.go_backwards else -1]
        elif self.zero_output_for_mask and keeps is not None:
            last = choose(keeps[0 if self.go_backwards else -1], last, ops.zeros_like(last))
        if self.return_sequences:
            outputs = time_first(ops.flip(outputs, 0) if self.go_backwards else outputs)
        result = outputs if self.return_sequences else last
        if not self.return_state:
            return result
        running = context.current()
        if running is not None and self.return_sequences:
            running.set_mask(result, mask)
        return (result, *states)

    def _first_states(self, engine: SequenceCell, shape: Shape, dtype: str, given: Any) -> list[Any]:
        if self.stateful and differ(shape[0], self._batch):
            raise ShapeError(f"stateful for batches of {self._batch} rows, got {shape[0]} rows.")
        if given is not None:
            states = list(given) if isinstance(given, list | tuple) else [given]
            count, found = (len(flatten(s)[0]) for s in (state_shapes(self.cell, shape[0], shape), states))
            if found != count:
                raise ShapeError(f"initial_state takes {count} states, got {found}.")
        elif self.stateful:
            # the first dimension of the states is the batch dimension
            kept = [ops.reshape(ops.convert_to_tensor(s), (shape[0], *s.shape[1:])) for s in self.states or []]
            states = unflatten(self._states_structure, kept)
        else:
            states = engine.initial_state(shape, dtype)
        leaves, structure = flatten(states)
        return unflatten(structure, [ops.cast(s, dtype) for s in leaves])

    def _masked(self, engine: SequenceCell, keep: Any, output: Tensor, before: Any, after: Sequence[Tensor]) -> Any:
        """The output of a step that is masked for some examples."""
        if self.zero_output_for_mask:
            return choose(keep, output, ops.zeros_like(output))
        if engine.repeats_state:
            return first_of(after)
        previous = first_of(before)
        if shapes_differ(previous.shape, output.shape):
            raise ShapeError(
                f"a masked step repeats the first state, of shape {public_shape(previous.shape)}, but the output has "
                f"shape {public_shape(output.shape)}; give zero_output_for_mask=True."
            )
        return choose(keep, output, previous)


def declared_batch(inputs: Tensor) -> int | None:
    """The batch size of arrays, or the one that the model being built or traced declares."""
    given = flatten(inputs)[0][0]
    rows = spec_of(given).shape[0]
    running = context.current()
    if running is None or isinstance(rows, int):
        return rows
    shape = getattr(running.layers[0], "input_shape", None) if running.layers else None
    return None if shape is None or shape[0] is None else shape[0]


def time_first(x: Tensor) -> Tensor:
    """Swap the batch and time axes."""
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))


def first_of(states: Any) -> Any:
    """The state that a masked step repeats: the first one of the (last) cell."""
    return states[-1][0] if isinstance(states[0], list | tuple) else states[0]


def choose(keep: Any, new: Any, old: Any) -> Any:
    """The entries of `new` for the examples where `keep` `(batch,)` is True, otherwise those of `old`; may be nested."""
    fresh, structure = flatten(new)
    chosen = []
    for a, b in zip(fresh, flatten(old)[0], strict=True):
        rows = ops.reshape(keep, (keep.shape[0], *[1] * (len(a.shape) - 1)))
        chosen.append(ops.where(rows, a, b))
    return unflatten(structure, chosen)


def _kept(mask: Tensor) -> Tensor:
    """The mask as booleans `(time, batch)`."""
    if size_of(mask.shape[2:]) != 1:
        raise ShapeError(f"a mask must have the shape (batch, time), got {public_shape(mask.shape)}.")
    flat = ops.reshape(mask, tuple(mask.shape[:2])) if len(mask.shape) > 2 else mask
    return ops.transpose(flat if flat.dtype == "bool" else ops.not_equal(flat, 0), (1, 0))


def _unrolled(step: Any, states: Sequence[Tensor], xs: Any, reverse: bool) -> tuple[Any, Any]:
    """`ops.scan` unrolled; random draws inside the cell are the same at every step, as in the loop."""
    running = context.current()
    leaves, structure = flatten(xs)
    count = operator.index(leaves[0].shape[0])
    before = {} if running is None else dict(running.draws)
    limits.reserve((count,))
    outputs: list[Any] = [None] * count
    for t in reversed(range(count)) if reverse else range(count):
        if running is not None:
            running.draws = dict(before)
        states, outputs[t] = step(states, unflatten(structure, [x[t] for x in leaves]))
    return states, None if outputs[0] is None else ops.stack(outputs, 0)
