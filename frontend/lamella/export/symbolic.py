"""The program of a model's prediction for any number of rows: what every export starts from.

A program has static shapes. So the model is traced for three large numbers of rows, and the three programs are laid over
each other: an integer that differs must be `multiple * rows + offset`, and everything else must be the same. That asks
nothing of the layers, and a model whose computation depends on the number of rows in any other way is found out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella.errors import LamellaError, ShapeError
from lamella.ir.program import Equation, Op, Program, Value
from lamella.lowering.forward import rows_spec, trace_forward
from lamella.ops import primitives as p
from lamella.passes import expand, simplify

_ROWS = (4099, 4111, 4127)
"""Primes above whatever `simplify` folds, so that nothing with rows in it becomes a constant."""


class ExportError(LamellaError, ValueError):
    """A model cannot be written in the format that was asked for; the layer or the op is named."""


@dataclass(frozen=True)
class Count:
    """A dimension that follows the number of rows: `multiple * rows + offset`."""

    multiple: int
    offset: int = 0

    def at(self, rows: Any) -> Any:
        """Its value for `rows`, which may be a symbolic dimension."""
        scaled = rows if self.multiple == 1 else self.multiple * rows
        return scaled + self.offset if self.offset else scaled

    def __str__(self) -> str:
        scaled = "rows" if self.multiple == 1 else f"{self.multiple} * rows"
        return f"{scaled} {'+' if self.offset > 0 else '-'} {abs(self.offset)}" if self.offset else scaled


Dim = int | Count
Dims = tuple[Dim, ...]


@dataclass
class Inference:
    """A model's prediction as a program.

    Attributes:
        program: its inputs are the weights that it reads, then the batch; its one output is the prediction. Attributes of
            its equations hold a `Count` where they follow the number of rows.
        weights: the values of the weights, in the order of the inputs.
        shapes: the shape of every value, bodies of loops included.
        rows: the one batch size that the model takes, or None for any.
        kinds: for the layers at the top of the model the class's name.
    """

    program: Program
    weights: list[np.ndarray]
    shapes: dict[Value, Dims]
    rows: int | None
    kinds: dict[str, str]

    @property
    def batch(self) -> Value:
        """The program's input for a batch."""
        return self.program.inputs[-1]

    @property
    def prediction(self) -> Value:
        """The program's output."""
        return self.program.outputs[0]


def inference_of(model: Any, has: Callable[[Op], bool] = lambda op: op is not p.foreach) -> Inference:
    """The prediction of a built `model`; layers that keep a state start every call from the one they have now.

    Args:
        model: a built `Sequential`.
        has: whether the format has a word for an op; the others are written as their definitions.

    Raises:
        BackendError: an op has neither.
        ExportError: the computation depends on the number of rows in a way that no formula tells.
    """
    fixed = model.input_shape[0]
    try:
        traced = [_traced(model, rows, has) for rows in _ROWS]
        shapes: dict[Value, Dims] = {}
        program = _overlaid(traced, shapes, "")
    except (_DifferError, ShapeError) as error:
        if fixed is None:
            raise ExportError(
                f"Model {model.name!r} computes something else for each number of rows ({error}), so no file can hold it "
                "for any number. Give the model a fixed one: Input(batch_shape=(rows, ...))."
            ) from None
        program, shapes = _traced(model, fixed, has), {}
        _note_shapes(program, shapes)
    else:
        fixed = fixed if fixed is not None and _keeps_state(model) else None
    values = {name: variable.numpy() for name, variable in model.named_weights()}
    read = {v for e in program.equations for v in e.inputs} | set(program.outputs)
    kept = [i for i, v in enumerate(program.inputs) if v in read or i == len(program.inputs) - 1]
    names = [program.input_names[i] for i in kept]
    program = Program(
        [program.inputs[i] for i in kept], program.equations, program.outputs, names, program.output_names
    )
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    return Inference(program, [values[n] for n in names[:-1]], shapes, fixed, kinds)


def sample_of(model: Any, rows: int) -> np.ndarray:
    """A batch to try a model on, the same at every call: sixteenths in [-2, 2), or small integers."""
    random = np.random.Generator(np.random.PCG64(2026))
    shape = (rows, *(int(d) for d in model.input_shape[1:]))
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
    spec = rows_spec((None, *x.shape[1:]), x.dtype.name, len(x))
    program = trace_forward(model, spec, training=False, keyed=False).program
    values = [variable.numpy() for _, variable in model.named_weights()]
    return np.array(backend.compile(program)(*values, x)[0])


def _keeps_state(model: Any) -> bool:
    spec = rows_spec(model.input_shape, model.input_dtype, model.input_shape[0])
    return bool(trace_forward(model, spec, training=False, keyed=False).assigned)


def _traced(model: Any, rows: int, has: Callable[[Op], bool]) -> Program:
    # a bfloat16 batch comes as float32, which is how NumPy holds it; the program rounds it
    dtype = "float32" if model.input_dtype == "bfloat16" else model.input_dtype
    program = trace_forward(model, rows_spec(model.input_shape, dtype, rows), training=False, keyed=False).program
    one = Program(program.inputs, program.equations, program.outputs[:1], program.input_names, ("y",))
    return simplify(expand(simplify(one), lambda op: op is p.constant or has(op), "the exported file"))


class _DifferError(Exception):
    """Two traces differ in something that is not a multiple of the rows."""


def _overlaid(programs: Sequence[Program], shapes: dict[Value, Dims], where: str) -> Program:
    first = programs[0]
    number: list[dict[Value, int]] = [{} for _ in programs]

    def meet(values: Sequence[Value]) -> None:
        for names, value in zip(number, values, strict=True):
            names[value] = len(names)
        shapes[values[0]] = tuple(_integer([v.spec.shape[i] for v in values], where) for i in range(values[0].ndim))

    def together(columns: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        if len({len(c) for c in columns}) > 1:
            raise _DifferError(_told(where))
        return list(zip(*columns, strict=True))

    for values in together([q.inputs for q in programs]):
        meet(values)
    equations = []
    for same in together([q.equations for q in programs]):
        where = same[0].where or where
        operands = together([e.inputs for e in same])
        if any(e.op is not same[0].op for e in same) or any(
            len({names[v] for names, v in zip(number, vs, strict=True)}) > 1 for vs in operands
        ):
            raise _DifferError(_told(where))
        attrs = {k: _attribute([e.attrs[k] for e in same], shapes, where) for k in same[0].attrs}
        for values in together([e.outputs for e in same]):
            if len({v.ndim for v in values}) > 1:
                raise _DifferError(_told(where))
            meet(values)
        equations.append(Equation(same[0].op, same[0].inputs, attrs, same[0].outputs, same[0].where))
    return Program(first.inputs, equations, first.outputs, first.input_names, first.output_names)


def _attribute(values: Sequence[Any], shapes: dict[Value, Dims], where: str) -> Any:
    first = values[0]
    if isinstance(first, Program):
        return _overlaid(values, shapes, where)
    if isinstance(first, np.ndarray):
        if all(v.shape == first.shape and np.array_equal(v, first, equal_nan=v.dtype.kind == "f") for v in values):
            return first
        raise _DifferError(_told(where))
    if isinstance(first, tuple | list):
        if len({len(v) for v in values}) > 1:
            raise _DifferError(_told(where))
        return tuple(_attribute(column, shapes, where) for column in zip(*values, strict=True))
    if isinstance(first, int) and not isinstance(first, bool):
        return _integer(values, where)
    if any(v != first for v in values) and not all(v != v for v in values):
        raise _DifferError(_told(where))
    return first


def _integer(values: Sequence[int], where: str) -> Dim:
    a, b, c = map(int, values)
    if a == b == c:
        return a
    multiple, rest = divmod(b - a, _ROWS[1] - _ROWS[0])
    count = Count(multiple, a - multiple * _ROWS[0])
    if rest or count.at(_ROWS[2]) != c:
        raise _DifferError(_told(where))
    return count


def _told(where: str) -> str:
    return f"in layer {where!r}" if where else "in the model"


def _note_shapes(program: Program, shapes: dict[Value, Dims]) -> None:
    values = [*program.inputs, *[v for e in program.equations for v in e.outputs]]
    shapes.update((v, tuple(map(int, v.spec.shape))) for v in values)
    for equation in program.equations:
        for body in equation.bodies.values():
            _note_shapes(body, shapes)


def version() -> str:
    """lamella's version; the package is loaded by whoever has a model."""
    return str(sys.modules["lamella"].__version__)
