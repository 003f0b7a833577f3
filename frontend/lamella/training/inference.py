"""Predictions: the model's call on arrays, batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from lamella import compiling, console, host_random, tree
from lamella.backend_api import Backend, backend_of, distribution_in_force, load_backend, to_numpy
from lamella.core.context import tracing
from lamella.core.variable import Variable
from lamella.errors import ShapeError
from lamella.ir.spec import Spec, spec_of
from lamella.lowering.forward import Forward, call_model, trace_forward, traced_for_any_batch
from lamella.passes import find_cross_batch_op
from lamella.training.arrays import as_array
from lamella.training.batches import ReadBatches, in_order
from lamella.training.data import Data, prepare
from lamella.training.distributed import distribution_of, rows_placed
from lamella.training.eager_runner import computed_outputs

if TYPE_CHECKING:
    from lamella.training.callback_list import CallbackList
    from lamella.training.protocol import TrainingModel
    from lamella.training.sources import Given


_AHEAD = 1 << 23
"""The approximate size in bytes of batches and predictions on the device before the oldest are read back.

At least one batch is, of any size, so that the device computes while the next one is transferred.
"""


def predict(model: TrainingModel, data: Given, batch: int, steps: int | None, verbose: int, hooks: CallbackList) -> Any:
    """Return the predictions for all rows, or for `steps` batches, in the structure of the model's outputs.

    A short batch is padded if the model treats examples independently; a single one as far as the backend asks for.
    The next batch is transferred before a batch has been computed, unless a callback reads each. An iterator may reuse an
    array for its next batch: a device that reads it later reads a copy.
    """
    backend = load_backend(model.backend_name)
    parts: list[Any] = []
    waiting: deque[tuple[Any, int]] = deque()
    total = steps or (-(-data.rows // batch) if isinstance(data, Data) else data.steps)
    model.stop_predicting = False
    around = hooks.around_steps("predict", hooks.call, lambda: {"outputs": parts[-1]})

    def read(ahead: int) -> None:
        while len(waiting) > ahead:
            parts.append(_read_back(backend, *waiting.popleft()))

    runs_ahead = around is None
    lent = runs_ahead and not isinstance(data, Data) and backend.room() is not None
    call: Call | None = None
    start, most = 0, batch
    batch = min(batch, data.rows) if isinstance(data, Data) else batch
    if runs_ahead and batch == most and verbose == 0 and steps is None and not model.runs_eagerly and _in_memory(data):
        call = Call(model, backend, data[:batch].x)
        if call.steady:
            for y in call.each(data.x):
                waiting.append((y, batch))
                read(call.ahead)
            start = data.rows // batch * batch
    with console.Progress(0, total, verbose) as progress:
        progress.begin_epoch()
        for done, x in enumerate(_inputs(model, data, batch, steps, start), start // batch):
            if around is not None:
                around[0](done)
            count = _rows(x)
            batch = max(batch, count)
            if not done and not model.runs_eagerly:
                call, x = _call_filled(model, backend, x, most)
            elif count < batch and done and is_per_example(model, x):
                x = _filled(x, batch)
            if lent:
                x = tree.map_leaves(np.copy, x)
            if model.runs_eagerly:
                waiting.append((_predict_eagerly(model, x), count))
            else:
                if call is None or not call.fits(x):
                    call = Call(model, backend, x)
                waiting.append((call(x), count))
            read(call.ahead if call is not None and runs_ahead else 0)
            if around is not None:
                around[1](len(parts))
            progress.update(done + 1, {})
            if model.stop_predicting:
                break
        read(0)
        progress.end_epoch({})
    return _together(model, parts)


def _read_back(backend: Backend, y: Any, count: int) -> Any:
    """The first `count` rows of the predictions for a batch as NumPy arrays."""
    if isinstance(y, list | tuple | dict):
        return tree.map_leaves(lambda leaf: backend.numpy(leaf)[:count], y)
    return backend.numpy(y)[:count]


def _together(model: TrainingModel, parts: Sequence[Any]) -> Any:
    """The predictions of all batches, joined leaf by leaf."""
    if isinstance(parts[0], np.ndarray):
        return _joined(model, parts)
    leaves = zip(*[tree.leaves(part) for part in parts], strict=True)
    return tree.unflatten(tree.structure(parts[0]), [_joined(model, arrays) for arrays in leaves])


def _joined(model: TrainingModel, parts: Sequence[np.ndarray]) -> np.ndarray:
    """The predictions of all batches as one array.

    Raises:
        ShapeError: they have different shapes.
    """
    if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        shapes = " and ".join(sorted({str((None, *part.shape[1:])) for part in parts}))
        raise ShapeError(
            f"Model {model.name!r}: the batches have predictions of shapes {shapes}, which are not one array: call `predict` "
            "or `predict_on_batch` for each, or pad the inputs to one length."
        )
    return writable(parts[0]) if len(parts) == 1 else np.concatenate(parts)


def _rows(x: Any) -> int:
    return len(next(tree.leaves(x)))


def writable(array: np.ndarray) -> np.ndarray:
    """`array`, or a copy where it is read-only, as a view of a backend's own array is: predictions are the caller's."""
    return array if array.flags.writeable else array.copy()


def _in_memory(data: Given) -> TypeGuard[Data]:
    """Whether a batch is a slice of an array."""
    return isinstance(data, Data) and not data.stored


def _inputs(model: TrainingModel, data: Given, batch: int, steps: int | None, start: int = 0) -> Iterator[Any]:
    """The inputs of each batch, from row `start` on."""
    if _in_memory(data):
        stop = data.rows if steps is None else min(steps * batch, data.rows)
        for at in range(start, stop, batch):
            yield data[at : min(at + batch, stop)].x
        return
    batches = ReadBatches(model, None, data, batch) if isinstance(data, Data) else data
    reading = batches.read(in_order)
    try:
        for number, part in enumerate(reading, 1):
            yield part.x
            if number == steps:
                break
    finally:
        reading.close()
        batches.close()


def is_per_example(model: TrainingModel, x: Any) -> bool:
    """Whether no operation of the model's inference lets rows influence each other."""
    cached = ("rows", *[(a.shape[1:], a.dtype.name) for a in tree.leaves(x)])
    if cached not in model.functions:
        row = tree.map_leaves(lambda a: Spec(a.shape[1:], a.dtype.name), x)
        forward = traced_for_any_batch(model, row, training=False)
        model.functions[cached] = forward is not None and find_cross_batch_op(forward.program) is None
    return model.functions[cached]


def _call_filled(model: TrainingModel, backend: Backend, x: Any, batch: int) -> tuple[Call, Any]:
    """How `x`, at most a batch of rows, is predicted, and the rows that it is computed with."""
    rows = _rows(x)
    size = backend.rows_to_predict(rows, batch) if rows < batch else rows
    if size != rows and model.fixed_batch_size is None and is_per_example(model, x):
        filled = _filled(x, size)
        call = FilledCall(model, backend, filled)
        if call.steady:
            return call, filled
    return Call(model, backend, x), x


def _filled(x: Any, rows: int) -> Any:
    """The batch, padded with copies of its first row."""

    def fill(array: np.ndarray) -> np.ndarray:
        found = np.empty((rows, *array.shape[1:]), array.dtype)
        found[: len(array)], found[len(array) :] = array, array[0]
        return found

    return tree.map_leaves(fill, x) if rows > _rows(x) else x


class Call:
    """The model's prediction of batches of one spec.

    Attributes:
        ahead: the number of batches that may wait to be read back.
        rows: the batch size.
        steady: whether batches are independent: no layer keeps states or assigns variables.
    """

    def __init__(self, model: TrainingModel, backend: Backend, x: Any) -> None:
        leaves = list(tree.leaves(x))
        self._backend, self._kinds = backend, [(a.shape, a.dtype) for a in leaves]
        specs = tree.map_leaves(lambda a: Spec(a.shape, a.dtype.name), x)
        self._forward, self._run = function_for(model, backend, specs, training=False)
        predictions = [v.spec for v in self._forward.program.outputs[: self._forward.predicted]]
        size = sum(a.nbytes for a in leaves) + sum(4 * int(np.prod(y.shape)) for y in predictions)
        self.ahead = max(_AHEAD // max(size, 1), 1)
        self._model, self.rows = model, len(leaves[0])
        self._argument = argument_for(model, backend)
        self.steady = not self._forward.assigned and not self._forward.keyed and model.stateful_path is None
        self._simple = isinstance(specs, Spec) and self._forward.structure == "leaf"

    def fits(self, x: Any) -> bool:
        """Whether `x` is of that spec."""
        return [(a.shape, a.dtype) for a in tree.leaves(x)] == self._kinds

    def __call__(self, x: Any) -> Any:
        """The predictions, on the backend; the states of stateful layers are kept for the next batch."""
        # every avoided call counts: single rows are predicted in microseconds
        forward, backend = self._forward, self._backend
        key = [_next_key(self._model, backend)] if forward.keyed else []
        if self._simple:
            results = self._run(*self._values(), self._argument(x, forward.dtypes[0]), *key)
        else:
            results = self._run(*self._values(), *arguments(self._argument, x, forward), *key)
        if forward.assigned:
            keep_assigned(forward, results)
        return results[0] if self._simple else forward.prediction(results)

    def each(self, x: Any) -> Iterator[Any]:
        """The predictions of whole batches of consecutive rows of `x`, by the weights as they are now."""
        run, values, rows, forward = self._run, self._values(), self.rows, self._forward
        if self._simple:
            argument, dtype = self._argument, forward.dtypes[0]
            for at in range(0, len(x) // rows * rows, rows):
                yield run(*values, argument(x[at : at + rows], dtype))[0]
            return
        for at in range(0, _rows(x) // rows * rows, rows):
            batch = tree.map_leaves(lambda a, at=at: a[at : at + rows], x)
            yield forward.prediction(run(*values, *arguments(self._argument, batch, forward)))

    def _values(self) -> list[Any]:
        place, variables = self._backend.name, self._forward.variables
        values = [v._held for v in variables if v.place == place]
        if len(values) == len(variables):
            return values
        with self._backend.scope(self._forward.program):
            return values_on(variables, self._backend)

    def numpy(self, x: Any) -> Any:
        """The predictions as NumPy arrays."""
        if self._simple:
            return writable(self._backend.numpy(self(x)))
        return tree.map_leaves(lambda y: writable(self._backend.numpy(y)), self(x))


class FilledCall(Call):
    """The model's prediction of fewer rows, which are padded to a batch of one spec."""

    def numpy(self, x: Any) -> Any:
        """The predictions for the rows of `x` as NumPy arrays."""
        count = _rows(x)
        return tree.map_leaves(lambda y: y[:count], super().numpy(_filled(x, self.rows)))


def argument_for(model: TrainingModel, backend: Backend) -> Callable[[Any, str], Any]:
    """The function that places an array of a batch, in a dtype, on the model's device."""
    key = ("argument", backend.name, distribution_in_force())
    found = model.functions.get(key)
    if found is None:
        distribution = distribution_of(model)
        found = backend.argument
        if distribution is not None and distribution.backend_name == backend.name:
            found = partial(rows_placed, distribution, backend)
        model.functions[key] = found
    return found


def arguments(argument: Callable[[Any, str], Any], x: Any, forward: Forward) -> list[Any]:
    """The arrays of a batch as a compiled call takes them."""
    return [argument(a, dtype) for a, dtype in zip(tree.leaves(x), forward.dtypes, strict=True)]


def _call_for(model: TrainingModel, backend: Backend, x: Any) -> tuple[Call, Any]:
    """The function that predicts one batch, and the batch as an array; cached by the model."""
    known = model.known_call(x)
    if known is not None:
        return known, x
    with model.built_on_success():
        batch = prepare(model, x).x
    call = Call(model, backend, batch)
    if batch is x and not model.runs_eagerly:
        model.functions[("batch",), backend.name, x.shape, x.dtype, distribution_in_force()] = call
    return call, batch


def predict_rows(model: TrainingModel, x: np.ndarray, batch_size: int | None) -> Any:
    """The predictions for rows that are at most a batch, as `predict` gives them."""
    if model.runs_eagerly:
        return predict_on_batch(model, x)
    backend = load_backend(model.backend_name)
    with model.built_on_success():
        given = prepare(model, x).x
    call, _ = _call_filled(model, backend, given, 32 if batch_size is None else batch_size)
    if given is x and call.steady:
        model.functions[("rows", batch_size), backend.name, x.shape, x.dtype, distribution_in_force()] = call
    return call.numpy(given)


def predict_on_batch(model: TrainingModel, x: Any) -> Any:
    """The predictions for one batch."""
    if model.runs_eagerly:
        with model.built_on_success():
            return _predict_eagerly(model, prepare(model, x).x)
    call, batch = _call_for(model, load_backend(model.backend_name), x)
    return call.numpy(batch)


def _predict_eagerly(model: TrainingModel, x: Any) -> Any:
    """The predictions for one batch, computed equation by equation."""
    specs = tree.map_leaves(lambda a: Spec(a.shape, a.dtype.name), x)
    arrays = [*[v.numpy() for _, v in model.named_weights()], *tree.leaves(x), _next_key(model)]
    forward = trace_forward(model, specs, training=False, keyed=None, concrete_inputs=arrays)
    results = [array for array, _ in computed_outputs(forward.program)]
    keep_assigned(forward, results)
    return forward.prediction(results)


def keep_assigned(forward: Forward, results: Any) -> None:
    """Set the variables that layers assigned."""
    for path, value in forward.results(results).assigned.items():
        forward.assigned[path]._value = value


def values_on(variables: Iterable[Variable], backend: Backend) -> list[Any]:
    """The values of variables as arrays of `backend`, moved there once."""
    variables, name = list(variables), backend.name
    away = [v for v in variables if v.place != name]
    for variable in away:
        if variable.distribution is not None and variable.distribution.backend_name == name:
            variable._held = variable.distribution.placed(variable, variable._value)
            variable.place = name
    away = [v for v in away if v.place != name]
    if away:
        values = [v._value if backend.owns(v._value) else to_numpy(v._value) for v in away]
        for variable, moved in zip(away, backend.asarrays(values, [v.dtype for v in away]), strict=True):
            variable._held, variable.place = moved, name
    return [v._held for v in variables]


def function_for(model: TrainingModel, backend: Backend, x: Any, *, training: bool | None) -> tuple[Forward, Any]:
    """The model's call on batches of the specs `x`, compiled once."""
    specs = tuple(tree.leaves(x))
    cached = (backend.name, specs, None if training is False else (training, model.frozen_layers()))
    found = model.functions.get(cached)
    if found is None:
        forward = trace_forward(model, x, training=training, keyed=training is not False or None)
        name = "predict" if training is False else "model call"
        what = ", ".join(f"{path} {spec}" for path, spec in zip(tree.paths(x, "x"), specs, strict=True))
        with compiling.because(name, f"first batch, {what}"), backend.scope(forward.program):
            found = model.functions[cached] = (forward, backend.compile(forward.program))
    return found


def call_on_arrays(model: TrainingModel, inputs: Any, training: bool | None) -> Any:
    """`model(x)`: the predictions as an array of the backend that owns x, else of the model's.

    Args:
        model: the model.
        inputs: a batch.
        training: whether layers behave as in training; None leaves it to the defaults of their `call`s.
    """
    owner = _owner(inputs)
    if owner is None and training is False:
        call, batch = _call_for(model, load_backend(model.backend_name), inputs)
        # the call may return before it has computed, and the caller may then change its array
        return call(tree.map_leaves(lambda a: a.copy(), batch))
    if owner is None:
        inputs = tree.map_leaves(lambda a: a.copy(), prepare(model, inputs).x)
    else:
        inputs = tree.map_leaves(lambda a: as_array(a, "x") if type(a) is np.ndarray else a, model.arranged(inputs))
    specs = tree.map_leaves(spec_of, inputs)
    if not model.built:
        model.build_for(specs)
    backend = owner or load_backend(model.backend_name)
    specs = model.check_batch(specs)
    forward, run = function_for(model, backend, specs, training=training)
    with backend.scope(forward.program):
        key = [_next_key(model, backend)] if forward.keyed else []
        argument = argument_for(model, backend)
        results = run(*values_on(forward.variables, backend), *arguments(argument, inputs, forward), *key)
    keep_assigned(forward, results)
    return forward.prediction(results)


def _next_key(model: TrainingModel, backend: Backend | None = None) -> Any:
    """The random key of the next call of a model that draws random numbers outside of training, or is called in it."""
    model.calls += 1
    key = host_random.fold(host_random.key_from_seed(model.seed), f"call {model.calls}")
    return key if backend is None else backend.asarray(key, "uint32")


def _owner(inputs: Any) -> Backend | None:
    """The backend whose array the inputs hold, None where they hold NumPy's alone, or numbers."""
    if type(inputs) is np.ndarray:
        return None
    if not isinstance(inputs, list | tuple | dict):
        return backend_of(inputs)
    leaves = tree.leaves(inputs)
    first = next(leaves, None)
    if isinstance(first, int | float):  # the numbers of an array
        return None
    return next((owner for a in (first, *leaves) if (owner := backend_of(a)) is not None), None)


def layer_outputs(model: TrainingModel, data: Data) -> dict[str, Any]:
    """The output of every layer for one batch, in inference mode; a list of them where a layer is called several times."""
    backend = load_backend(model.backend_name)
    batch = dict(zip(data.names, [Spec(a.shape, a.dtype.name) for a in data.arrays], strict=True))
    named = model.named_weights()
    with tracing(named, batch, draws_without_key=True) as traced:
        traced.context.outputs = calls = dict[str, list[Any]]()
        call_model(model, traced.context, tree.unflatten(data.structure, list(traced.inputs.values()))[0])
        outputs = {name: found if len(found) > 1 else found[0] for name, found in calls.items()}
        program = traced.program((str(i), value) for i, value in enumerate(tree.leaves(outputs)))
    with compiling.because("layer_outputs", "compiled at each call"), backend.scope(program):
        argument = argument_for(model, backend)
        arrays = [argument(a, a.dtype.name) for a in data.arrays]
        results = backend.compile(program)(*values_on([v for _, v in named], backend), *arrays)
    return tree.unflatten(tree.structure(outputs), [np.array(backend.numpy(y)) for y in results])
