"""The program of a model's prediction for any sizes of what the model leaves free: what every export starts from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella.errors import LamellaError, ShapeError
from lamella.ir.dim import BATCH, Dim, FreeDimensionError, settled, symbol, symbols_of
from lamella.ir.program import Op, Program, Value
from lamella.ir.spec import Spec
from lamella.lowering.forward import trace_forward
from lamella.ops import primitives as p
from lamella.passes import expand, simplify


class ExportError(LamellaError, ValueError):
    """A model cannot be written in the format that was asked for; the layer or the op is named."""


@dataclass
class Inference:
    """A model's prediction as a program.

    Attributes:
        program: its inputs are the weights that it reads, then the batch; its one output is the prediction. What depends on
            a size that the model leaves free is a `Dim`.
        weights: the values of the weights, in the order of the inputs.
        kinds: for the layers at the top of the model the class's name.
    """

    program: Program
    weights: list[np.ndarray]
    kinds: dict[str, str]

    @property
    def batch(self) -> Value:
        """The program's input for a batch."""
        return self.program.inputs[-1]

    @property
    def rows(self) -> int | None:
        """The one batch size that the model takes, or None for any."""
        size = self.batch.shape[0]
        return None if isinstance(size, Dim) else size

    @property
    def prediction(self) -> Value:
        """The program's output."""
        return self.program.outputs[0]


def inference_of(model: Any, has: Callable[[Op], bool] = lambda op: op is not p.foreach) -> Inference:
    """The prediction of a built `model`; layers that keep a state start every call from the one they have now.

    A model with a batch size of its own that its layers do not depend on is written for any.

    Args:
        model: a built `Sequential`.
        has: whether the format has a word for an op; the others are written as their definitions.

    Raises:
        BackendError: an op has neither.
        ExportError: the computation depends on a size that the model leaves free in a way that no formula tells.
    """
    # a bfloat16 batch comes as float32, which is how NumPy holds it; the program rounds it
    spec = model.input_spec
    spec = Spec(spec.shape, "float32" if spec.dtype == "bfloat16" else spec.dtype)
    try:
        program = _for_any_batch(model, spec, has) or _traced(model, spec, has)
    except FreeDimensionError as error:
        raise ExportError(
            f"Model {model.name!r} computes something else for each size of a dimension that it leaves free ({error}), so "
            "no file can hold it for any. Give the sizes: Input(batch_shape=(rows, ...))."
        ) from None
    values = {name: variable.numpy() for name, variable in model.named_weights()}
    read = {v for e in program.equations for v in e.inputs} | set(program.outputs)
    kept = [i for i, v in enumerate(program.inputs) if v in read or i == len(program.inputs) - 1]
    names = [program.input_names[i] for i in kept]
    program = Program(
        [program.inputs[i] for i in kept], program.equations, program.outputs, names, program.output_names
    )
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    return Inference(program, [values[n] for n in names[:-1]], kinds)


_SAMPLE = 16
"""The size of a free dimension in a batch to try a model on."""


def sample_of(model: Any, rows: int) -> np.ndarray:
    """A batch to try a model on, the same at every call: sixteenths in [-2, 2), or small integers."""
    random = np.random.Generator(np.random.PCG64(2026))
    free = dict.fromkeys(symbols_of(model.input_spec.shape), _SAMPLE)
    shape = model.input_spec.at(free | {BATCH: rows}).shape
    words = getattr(next(iter(model.layers), None), "input_dim", None)
    if words is not None:
        return random.integers(0, int(words), shape).astype(model.input_dtype)
    if model.input_dtype == "bool" or "int" in model.input_dtype:
        return random.integers(0, 2 if model.input_dtype == "bool" else 10, shape).astype(model.input_dtype)
    stored = "float32" if model.input_dtype == "bfloat16" else model.input_dtype
    return (random.integers(-32, 32, shape) / 16).astype(stored)


def answer_of(model: Any, x: np.ndarray) -> np.ndarray:
    """What the NumPy backend predicts for the batch `x`, from the state that the model has now, which stays as it is."""
    from lamella.backend_api import load_backend

    backend = load_backend("numpy")
    program = trace_forward(model, Spec(x.shape, x.dtype.name), training=False, keyed=False).program
    values = [variable.numpy() for _, variable in model.named_weights()]
    return np.array(backend.compile(program)(*values, x)[0])


def _for_any_batch(model: Any, spec: Spec, has: Callable[[Op], bool]) -> Program | None:
    """The program for any number of rows of a model that declares one; None where its layers need that number."""
    if isinstance(spec.shape[0], Dim) or trace_forward(model, spec, training=False, keyed=False).assigned:
        return None
    try:
        with settled(BATCH):
            return _traced(model, Spec((symbol(BATCH), *spec.shape[1:]), spec.dtype), has)
    except (FreeDimensionError, ShapeError):
        return None


def _traced(model: Any, spec: Spec, has: Callable[[Op], bool]) -> Program:
    program = trace_forward(model, spec, training=False, keyed=False).program
    one = Program(program.inputs, program.equations, program.outputs[:1], program.input_names, ("y",))
    known = (p.constant, p.dimension_value)
    return simplify(expand(simplify(one), lambda op: op in known or has(op), "the exported file"))


def version() -> str:
    """lamella's version; the package is loaded by whoever has a model."""
    return str(sys.modules["lamella"].__version__)
