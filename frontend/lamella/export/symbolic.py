"""The program of a model's prediction for all sizes of its free dimensions, from which every export starts."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella import tree
from lamella.errors import LamellaError, ShapeError
from lamella.ir.dim import BATCH, Dim, FreeDimensionError, settled, symbol, symbols_of
from lamella.ir.program import Op, Program, Value
from lamella.ir.spec import Spec
from lamella.layers.naming import first_free
from lamella.lowering.forward import trace_forward
from lamella.ops import primitives as p
from lamella.passes import expand, simplify


class ExportError(LamellaError, ValueError):
    """A model cannot be written in the requested format; the message names the layer or the op."""


@dataclass
class Inference:
    """A model's prediction as a program.

    Attributes:
        program: its inputs are the weights that it reads, then the batch, or the batches of several inputs; its outputs the
            predictions. What depends on a size that the model leaves free is a `Dim`. Inputs and outputs have names: "x" and
            "y" where there is one, else those that the model gives them.
        weights: the values of the weights, in the order of the inputs.
        kinds: for the layers at the top of the model the class's name.
    """

    program: Program
    weights: list[np.ndarray]
    kinds: dict[str, str]

    @property
    def batches(self) -> dict[str, Value]:
        """The program's inputs for batches, by name."""
        count = len(self.weights)
        return dict(zip(self.program.input_names[count:], self.program.inputs[count:], strict=True))

    @property
    def rows(self) -> int | None:
        """The one batch size that the model takes, or None for any."""
        size = next(iter(self.batches.values())).shape[0]
        return None if isinstance(size, Dim) else size

    @property
    def predictions(self) -> dict[str, Value]:
        """The program's outputs, by name."""
        return dict(zip(self.program.output_names, self.program.outputs, strict=True))


def inference_of(model: Any, has: Callable[[Op], bool] = lambda op: op is not p.foreach) -> Inference:
    """The prediction of a built `model`; layers that keep a state start every call from the one they have now.

    A model with a fixed batch size that its layers do not depend on is written for any batch size.

    Args:
        model: a built model.
        has: whether the format supports an op; others are written as their definitions.

    Raises:
        BackendError: an op has neither.
        ExportError: the computation depends on a free dimension in a way that cannot be expressed symbolically.
    """
    # a bfloat16 batch comes as float32, which is how NumPy holds it; the program rounds it
    spec = tree.map_leaves(lambda s: Spec(s.shape, stored_dtype(s.dtype)), model.input_spec)
    try:
        program = _for_any_batch(model, spec, has) or _traced(model, spec, has)
    except FreeDimensionError as error:
        raise ExportError(
            f"Model {model.name!r} computes something else for each size of a dimension that it leaves free ({error}), so "
            "no file can hold it for any. Give the sizes: Input(batch_shape=(rows, ...))."
        ) from None
    values = {name: variable.numpy() for name, variable in model.named_weights()}
    read = {v for e in program.equations for v in e.inputs} | set(program.outputs)
    batches = list(tree.leaves(spec))
    count = len(program.inputs) - len(batches)
    kept = [i for i, v in enumerate(program.inputs[:count]) if v in read]
    names = [program.input_names[i] for i in kept]
    program = Program(
        [*[program.inputs[i] for i in kept], *program.inputs[count:]],
        program.equations,
        program.outputs,
        [*names, *(["x"] if len(batches) == 1 else _distinct(model.input_names))],
        ["y"] if len(program.outputs) == 1 else _distinct(model.output_names),
    )
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    return Inference(program, [values[n] for n in names], kinds)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where one comes twice."""
    found: list[str] = []
    for name in names:
        found.append(first_free(name, found))
    return found


def stored_dtype(dtype: str) -> str:
    """The dtype in which NumPy holds numbers of a dtype."""
    return "float32" if dtype == "bfloat16" else dtype


_SAMPLE = 16
"""The size of a free dimension in a batch to try a model on."""


def sample_specs(model: Any, rows: int) -> Any:
    """The specs of the batch that `sample_of` makes: every free dimension of a row has one size."""
    return tree.map_leaves(
        lambda spec: spec.at(dict.fromkeys(symbols_of(spec.shape), _SAMPLE) | {BATCH: rows}), model.input_spec
    )


def sample_of(model: Any, rows: int) -> Any:
    """A deterministic sample batch in the structure of the model's inputs.

    Its numbers are sixteenths in [-2, 2), or small integers.
    """
    random = np.random.Generator(np.random.PCG64(2026))
    places = itertools.count()

    def batch(spec: Spec) -> np.ndarray:
        shape, words = spec.shape, _words(model, next(places))
        if words is not None:
            return random.integers(0, int(words), shape).astype(spec.dtype)
        if spec.dtype == "bool" or "int" in spec.dtype:
            return random.integers(0, 2 if spec.dtype == "bool" else 10, shape).astype(spec.dtype)
        return (random.integers(-32, 32, shape) / 16).astype(stored_dtype(spec.dtype))

    return tree.map_leaves(batch, sample_specs(model, rows))


def _words(model: Any, place: int) -> Any:
    """The number of integers that the layer after an input accepts, if it takes integers."""
    graph = model._graph
    if graph is None:
        return getattr(next(iter(model.layers), None), "input_dim", None)
    behind = [e.attrs["layer"] for e in graph.calls if graph.inputs[place] in set(e.inputs)]
    return next((layer.input_dim for layer in behind if hasattr(layer, "input_dim")), None)


def answer_of(model: Any, x: Any) -> Any:
    """The prediction of the NumPy backend for the batch `x`, from the model's current state, which is unchanged."""
    from lamella.backend_api import load_backend

    backend = load_backend("numpy")
    specs = tree.map_leaves(lambda array: Spec(array.shape, array.dtype.name), x)
    forward = trace_forward(model, specs, training=False, keyed=False)
    values = [variable.numpy() for _, variable in model.named_weights()]
    results = backend.compile(forward.program)(*values, *tree.leaves(x))
    return tree.map_leaves(np.array, forward.prediction(results))


def _for_any_batch(model: Any, spec: Any, has: Callable[[Op], bool]) -> Program | None:
    """The program for any number of rows of a model that declares one; None where its layers need that number."""
    free = any(isinstance(leaf.shape[0], Dim) for leaf in tree.leaves(spec))
    if free or trace_forward(model, spec, training=False, keyed=False).assigned:
        return None
    try:
        with settled(BATCH):
            any_rows = tree.map_leaves(lambda leaf: Spec((symbol(BATCH), *leaf.shape[1:]), leaf.dtype), spec)
            return _traced(model, any_rows, has)
    except (FreeDimensionError, ShapeError):
        return None


def _traced(model: Any, spec: Any, has: Callable[[Op], bool]) -> Program:
    forward = trace_forward(model, spec, training=False, keyed=False)
    program, count = forward.program, forward.predicted
    one = Program(
        program.inputs, program.equations, program.outputs[:count], program.input_names, program.output_names[:count]
    )
    known = (p.constant, p.dimension_value)
    return simplify(expand(simplify(one), lambda op: op in known or has(op), None))


def version() -> str:
    """The version of lamella, whose package is loaded if there is a model."""
    return str(sys.modules["lamella"].__version__)
