"""Replays the oracle's layer rows with lamella: builds them, traces outputs and gradients, runs them on a backend."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import lamella
from lamella import layers, losses, ops
from lamella.backend_api import load_backend
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.ir.trace import Trace
from lamella.lowering.forward import trace_forward
from lamella.ops.control import replay
from lamella.passes import differentiate, pool_first
from oracle import load
from oracle.rows import LayerCase

Answers = dict[str, np.ndarray]


class GivenMask(layers.Layer):
    """Hands its input on with a given mask, as a caller who passes `mask=` would."""

    supports_masking = True

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__(name="given_mask")
        self.mask = mask

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask


def loss_of(name: str, kwargs: dict[str, Any]) -> Any:
    """The loss that computes what Keras's of this name did: Keras 3.15 exchanges Tversky's alpha and beta."""
    if name == "Tversky":
        kwargs = {**kwargs, "alpha": kwargs.get("beta", 0.5), "beta": kwargs.get("alpha", 0.5)}
    return getattr(losses, name)(**kwargs)


def recorded(case: LayerCase) -> tuple[Answers, list[dict[str, Any]]]:
    """What Keras answered to a row, and its weights' names, shapes and trainability."""
    entry = load.load(case.kind, case.id)
    return entry, json.loads(str(entry["meta"]))["weights"]


def build(case: LayerCase) -> lamella.Sequential:
    """The row's layers as a model, with weights as they were first drawn."""
    inner = [] if case.wraps is None else [getattr(layers, case.wraps[0])(**case.wraps[1])]
    made = [getattr(layers, name)(*inner, **kwargs) for name, kwargs in case.layers]
    if case.adapt is not None:
        made[0].adapt(load.load(case.kind, case.id)["adapt"])
    if case.mask is not None and case.mask_value is None:
        made.insert(0, GivenMask(load.load(case.kind, case.id)["mask"]))
    dtype = None if case.input_dtype == "float32" else case.input_dtype
    return lamella.Sequential([lamella.Input(batch_shape=case.input_shape, dtype=dtype), *made])


def build_recorded(case: LayerCase) -> lamella.Sequential:
    """The row's layers as a model, with the recorded weights."""
    model = build(case)
    model.set_weights(load.series(load.load(case.kind, case.id), "weights"))
    return model


def gradient_program(model: lamella.Sequential, case: LayerCase, training: bool) -> tuple[Program, list[str]]:
    """Outputs of the model and gradients of sum(y * cotangent), as a program and the keys of its outputs.

    The program's inputs are the weights, x, and the cotangent where the output is a float.
    """
    named = model.named_weights()
    spec = Spec(case.input_shape, model.input_dtype)
    forward = trace_forward(model, spec, training=training, keyed=False)
    state = [path for path, variable in named if not variable.trainable]
    updated = {forward.program.output_names[1 + i]: i for i in range(len(forward.assigned))}
    with Trace() as trace:
        inputs = [trace.input(v.spec) for v in forward.program.inputs]
        y, *new = replay(forward.program, inputs)
        states = [
            new[updated[path]] if path in updated else inputs[[n for n, _ in named].index(path)] for path in state
        ]
        keys = ["y", *[f"state/{i}" for i in range(len(states))]]
        if not y.dtype.startswith("float"):
            return trace.program([y, *states]), keys
        cotangent = trace.input(y.spec)
        program = trace.program([ops.sum(ops.multiply(y, cotangent)), y, *states])
    wrt = [i for i, (_, variable) in enumerate(named) if variable.trainable]
    keys = ["sum", *keys, *[f"gradient_weights/{i}" for i in range(len(wrt))]]
    if case.input_dtype.startswith("float"):
        wrt.append(len(named))
        keys.append("gradient_x")
    return differentiate(pool_first(program), wrt), keys


def run(model: lamella.Sequential, case: LayerCase, training: bool, backend: str) -> Answers:
    """The model's outputs, new state and gradients on a backend, by the keys of the recording."""
    entry = load.load(case.kind, case.id)
    program, keys = gradient_program(model, case, training)
    given = [*model.get_weights(), entry["x"], *([entry["cotangent"]] if "cotangent" in entry else [])]
    found = load_backend(backend)
    with found.scope(program):
        arrays = [found.asarray(a, spec.dtype) for a, spec in zip(given, program.input_specs, strict=True)]
        results = found.compile(program)(*arrays)
        return {key: found.numpy(value) for key, value in zip(keys, results, strict=True)}


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """max|found - expected| / max|expected|; infinite where shapes or non-finite entries differ."""
    found, expected = np.asarray(found, "float64"), np.asarray(expected, "float64")
    if found.shape != expected.shape or not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return float("inf")
    if not np.isfinite(expected).all():
        return 0.0 if np.array_equal(found, expected, equal_nan=True) else float("inf")
    error, scale = np.abs(found - expected).max(initial=0.0), np.abs(expected).max(initial=0.0)
    return 0.0 if error == 0 else float(error / scale) if scale > 0 else float("inf")
