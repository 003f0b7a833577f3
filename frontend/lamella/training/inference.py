"""Predictions: the model's call on arrays, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import console, ops, random
from lamella.backend import Backend, backend_of, load_backend, to_numpy
from lamella.ir import settings
from lamella.ir.builder import Trace, as_value
from lamella.ir.spec import Rows, Spec, spec_of
from lamella.layers import scope as scoping
from lamella.layers.variable import Variable
from lamella.models import lowering
from lamella.passes import mixing_equation
from lamella.training.batches import ReadBatches, in_order
from lamella.training.data import Data, prepare
from lamella.training.watched import known

if TYPE_CHECKING:
    from lamella.training.history import CallbackList
    from lamella.training.model import TrainableModel
    from lamella.training.sources import Given


def predict(
    model: TrainableModel, data: Given, batch: int, steps: int | None, verbose: int, hooks: CallbackList
) -> np.ndarray:
    """The predictions for all rows, or for `steps` batches; a short batch is filled up where rows do not mix."""
    backend = load_backend(model.backend_name)
    parts: list[np.ndarray] = []
    total = steps or (-(-data.rows // batch) if isinstance(data, Data) else data.steps)
    model.stop_predicting = False
    watched = hooks.around_steps("predict", hooks.call, lambda: {"outputs": parts[-1]})
    with console.Progress(0, total, verbose) as progress:
        progress.begin_epoch()
        for x in _inputs(model, data, batch, steps):
            if watched is not None:
                watched[0](len(parts))
            count = len(x)
            batch = max(batch, count)
            if count < batch and parts and keeps_rows_apart(model, x):
                x = np.concatenate([x, np.repeat(x[:1], batch - count, 0)])
            parts.append(predict_batch(model, backend, x)[:count])
            if watched is not None:
                watched[1](len(parts))
            progress.update(len(parts), {})
            if model.stop_predicting:
                break
        progress.end_epoch({})
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _inputs(model: TrainableModel, data: Given, batch: int, steps: int | None) -> Iterator[np.ndarray]:
    """The inputs of each batch."""
    if isinstance(data, Data) and not data.stored:
        stop = data.rows if steps is None else min(steps * batch, data.rows)
        for at in range(0, stop, batch):
            yield data.x[at : min(at + batch, stop)]
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


def keeps_rows_apart(model: TrainableModel, x: np.ndarray) -> bool:
    """Whether no operation of the model's inference lets rows influence each other."""
    cached = ("rows", x.shape[1:], x.dtype.name)
    if cached not in model.functions:
        spec = Spec((Rows(4), *x.shape[1:]), x.dtype.name)
        program = lowering.trace_forward(model, spec, training=False, keyed=False).program
        model.functions[cached] = mixing_equation(program) is None
    return model.functions[cached]


def predict_on_batch(model: TrainableModel, x: Any) -> np.ndarray:
    """The predictions for one batch; one like an earlier one is known to fit."""
    backend = load_backend(model.backend_name)
    quick = type(x) is np.ndarray and not model.runs_eagerly and not settings.checks_nan()
    cached = ("batch", backend.name, x.shape, x.dtype) if quick else None
    if cached in model.functions:
        forward, run = model.functions[cached]
        return _predict(backend, forward, run, x)
    with model.built_on_success():
        prepared = prepare(model, x).x
    y = predict_batch(model, backend, prepared)
    if cached is not None and prepared is x:
        spec = Spec((Rows(len(x)), *x.shape[1:]), x.dtype.name)
        model.functions[cached] = function_for(model, backend, spec, training=False)
    return y


def predict_batch(model: TrainableModel, backend: Backend, x: np.ndarray) -> np.ndarray:
    """The predictions for one batch; the states of stateful layers are kept for the next."""
    spec = Spec((Rows(len(x)), *x.shape[1:]), x.dtype.name)
    if model.runs_eagerly:
        feed = [*[v.numpy() for _, v in model.named_weights()], x]
        forward = lowering.trace_forward(model, spec, training=False, keyed=False, feed=feed)
        results = [array for array, _ in known(forward.program)]
        keep_assigned(forward, results)
        return results[0]
    forward, run = function_for(model, backend, spec, training=False)
    return _predict(backend, forward, run, x)


def _predict(backend: Backend, forward: lowering.Forward, run: Any, x: np.ndarray) -> np.ndarray:
    with backend.scope(forward.program):
        results = run(*values_on(forward.variables, backend), backend.argument(x, forward.dtype))
        keep_assigned(forward, results)
        return backend.numpy(results[0])


def keep_assigned(forward: lowering.Forward, results: Any) -> None:
    """Give the variables that layers assigned their new values."""
    for index, value in zip(forward.assigned, results[1:], strict=False):
        forward.variables[index]._value = value


def values_on(variables: Iterable[Variable], backend: Backend) -> list[Any]:
    """The values of variables as arrays of `backend`, moved there once."""
    values = []
    for variable in variables:
        value = variable._value
        placed = backend.asarray(value if backend.owns(value) else to_numpy(value), variable.dtype)
        if placed is not value:
            variable._value = placed
        values.append(placed)
    return values


def function_for(model: TrainableModel, backend: Backend, x: Spec, *, training: bool) -> tuple[lowering.Forward, Any]:
    """The model's call on batches of `x`, compiled once."""
    cached = (backend.name, x, model.frozen_layers() if training else None)
    if cached not in model.functions:
        forward = lowering.trace_forward(model, x, training=training, keyed=training)
        with backend.scope(forward.program):
            model.functions[cached] = (forward, backend.compile(forward.program))
    return model.functions[cached]


def call_on_arrays(model: TrainableModel, inputs: Any, training: bool) -> Any:
    """`model(x)`: the predictions as an array of the backend that owns x, else of the model's."""
    owner = backend_of(inputs)
    if owner is None:
        inputs = prepare(model, inputs).x
    elif not model.built:
        model.build((None, *inputs.shape[1:]))
    backend = owner or load_backend(model.backend_name)
    spec = model.check_batch(spec_of(inputs))
    forward, run = function_for(model, backend, spec, training=training)
    with backend.scope(forward.program):
        key = []
        if training:
            model.calls += 1
            key = [backend.asarray(random.fold(random.key_from_seed(model.seed), f"call {model.calls}"), "uint32")]
        results = run(*values_on(forward.variables, backend), backend.argument(inputs, spec.dtype), *key)
    keep_assigned(forward, results)
    return results[0]


def layer_outputs(model: TrainableModel, data: Data) -> dict[str, np.ndarray]:
    """The output of every layer for one batch, in inference mode."""
    backend = load_backend(model.backend_name)
    named = model.named_weights()
    with Trace() as trace:
        inputs = [trace.input(v.spec) for _, v in named]
        batch = trace.input(Spec((Rows(data.rows), *data.x.shape[1:]), data.x.dtype.name))
        scope = scoping.Scope(dict(zip([v for _, v in named], inputs, strict=True)))
        scope.layers.append(model)
        with scoping.entered(scope):
            value, outputs = ops.cast(batch, model.input_dtype), []
            for layer in model.layers:
                value = layer(value)
                outputs.append(value)
        program = trace.program([as_value(v) for v in outputs])
    with backend.scope(program):
        results = backend.compile(program)(
            *values_on([v for _, v in named], backend), backend.asarray(data.x, data.x.dtype.name)
        )
        return {name: np.array(backend.numpy(y)) for name, y in zip(model.children, results, strict=True)}
