"""Replays the oracle's recurrent rows with lamella: traces a layer on its inputs, and runs outputs and gradients."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from lamella import layers, ops
from lamella.backend_api import load_backend
from lamella.core import context
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.ir.trace import Trace, as_value
from lamella.passes import differentiate
from oracle import load
from oracle.build import constructed
from oracle.rows import RecurrentCase

Answers = dict[str, np.ndarray]


def recorded(case: RecurrentCase) -> tuple[Answers, list[dict[str, Any]]]:
    entry = load.load("recurrent", case.id)
    return entry, json.loads(str(entry["meta"]))["weights"]


def masks_of(case: RecurrentCase, entry: Answers) -> list[Any]:
    return [entry.get(f"mask/{i}") for i in range(len(case.inputs))]


def apply(layer: Any, case: RecurrentCase, xs: list[Any], masks: list[Any]) -> list[Any]:
    """The outputs of a call inside a trace."""
    running = context.current()
    assert running is not None
    for x, mask in zip(xs, masks, strict=True):
        running.set_mask(x, mask)
    given = xs if case.call == "list" else xs[0]
    y = layer(given, *(xs[1:] if case.call == "arguments" else []), **case.call_kwargs)
    return list(y) if isinstance(y, list | tuple) else [y]


def build(case: RecurrentCase, weights: bool = True) -> Any:
    """The row's layer, built, with the recorded weights; states, which Keras does not count, stay zero."""
    entry, _ = recorded(case)
    layer = constructed(case.layer, layers)
    with Trace() as trace:
        xs = [trace.input(Spec(shape, "float32")) for shape in case.inputs]
        with context.entered(context.TraceContext({}, trace=trace)):
            apply(layer, case, xs, masks_of(case, entry))
    if weights:
        given = load.series(entry, "weights")
        layer.set_weights([*given, *layer.get_weights()[len(given) :]])
    return layer


def gradient_program(
    layer: Any, case: RecurrentCase, training: bool, seeded: bool = False
) -> tuple[Program, list[str]]:
    """Outputs and gradients of sum(y * cotangent): inputs are the weights, the xs, the cotangents and perhaps a key."""
    entry, _ = recorded(case)
    variables = layer.variables
    with Trace() as trace:
        bound = {v: trace.input(v.spec) for v in variables}
        dtype = variables[0].dtype if variables else ops.zeros(()).dtype
        xs = [trace.input(Spec(shape, dtype)) for shape in case.inputs]
        cotangents = [trace.input(Spec(c.shape, dtype)) for c in load.series(entry, "cotangent")]
        key = trace.input(Spec((2,), "uint32")) if seeded else None
        scope = context.TraceContext(bound, training=training, key=key, step=as_value(np.uint32(0)))
        with context.entered(scope):
            ys = apply(layer, case, xs, masks_of(case, entry))
        total: Any = 0.0
        for y, c in zip(ys, cotangents, strict=True):
            total = ops.add(total, ops.sum(ops.multiply(y, c)))
        states = [scope.bindings[v] for v in variables if not v.trainable]
        program = trace.program([as_value(total), *ys, *states])
    trained = [i for i, v in enumerate(variables) if v.trainable]
    wrt = [*trained, *range(len(variables), len(variables) + len(xs))]
    keys = ["sum", *[f"y/{i}" for i in range(len(ys))], *[f"state/{i}" for i in range(len(states))]]
    keys += [f"gradient_weights/{i}" for i in range(len(trained))] + [f"gradient_x/{i}" for i in range(len(xs))]
    return differentiate(program, wrt), keys


def run(layer: Any, case: RecurrentCase, training: bool, backend: str, key: Any = None) -> Answers:
    """What `gradient_program` gives for the recorded inputs, on a backend."""
    entry, _ = recorded(case)
    program, keys = gradient_program(layer, case, training, key is not None)
    given = [*layer.get_weights(), *load.series(entry, "x"), *load.series(entry, "cotangent")]
    given += [] if key is None else [key]
    found = load_backend(backend)
    with found.scope(program):
        arrays = [found.asarray(a, spec.dtype) for a, spec in zip(given, program.input_specs, strict=True)]
        results = found.compile(program)(*arrays)
        return {name: np.array(found.numpy(value)) for name, value in zip(keys, results, strict=True)}
