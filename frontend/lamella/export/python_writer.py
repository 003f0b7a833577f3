"""A program as readable NumPy: one line per equation, with the names of the layers, for any batch size."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lamella.export.broadcasts import implied
from lamella.export.kernel_source import KernelSource
from lamella.export.symbolic import ExportError, Inference
from lamella.ir.dim import Dim, symbols_of
from lamella.ir.program import Equation, Op, Program, Value
from lamella.ir.spec import Spec, numpy_dtype
from lamella.ir.trace import constant, trace
from lamella.ops import primitives as p
from lamella.passes import expand, simplify
from lamella.passes.expressions import FORMS, INFIX, aligned_text, dtype_text, expression, literal, number

_DEFINED = (p.clip, p.floor_divide, p.erf, p.erfc, p.erfinv)
"""Elementwise ops that become functions, written as their definitions."""
_RESERVED = {
    "np",
    "base64",
    "sys",
    "zlib",
    "x",
    "y",
    "forward",
    "predict",
    "check",
    "batch_size",
    "range",
    "reversed",
    "max",
    "min",
}


class PythonWriter:
    """Writes the function `forward(x)`, and collects the arrays and the kernels that it needs.

    Attributes:
        arrays: the arrays that the function reads, by name: weights, and tables of constants.
        kernels: the functions it calls.
        parameters: for each input the name of the function's argument.
        functions: the lines of functions written from definitions.
    """

    def __init__(self, inference: Inference, kernels: Mapping[Op, Any]) -> None:
        self.inference = inference
        self.arrays: dict[str, np.ndarray] = {}
        self._table = kernels
        self._names: dict[Value, str] = {}
        self._inline: dict[Value, str] = {}  # broadcasts that NumPy does implicitly
        program = inference.program
        free = symbols_of(dim for value in inference.batches.values() for dim in value.shape)
        self._used = {*_RESERVED, *keyword.kwlist, *dir(builtins), *free}
        count = len(inference.weights)
        named = zip(program.inputs[:count], program.input_names[:count], inference.weights, strict=True)
        for value, name, array in named:
            self._names[value] = self._keep(name, array)
        self.kernels = KernelSource(self._used)
        # a local name must not hide a kernel that the function calls
        called = {getattr(kernels.get(op), "__name__", op.name) for op in _ops(program)}
        self._used = self._used | called | {op.name for op in _DEFINED} | {"bfloat16"}
        self.functions: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        batches = inference.batches
        self.parameters = {name: "x" if len(batches) == 1 else self.fresh(name) for name in batches}

    def _keep(self, hint: str, array: np.ndarray) -> str:
        """The name, in capitals, of an array that the function reads."""
        name = self.fresh(hint, str.upper)
        self.arrays[name] = array
        return name

    def fresh(self, hint: str, style: Callable[[str], str] = str.lower) -> str:
        """A unique name derived from `hint`."""
        base = style(re.sub(r"\W+", "_", hint, flags=re.ASCII).strip("_")) or "value"
        base = f"_{base}" if base[0].isdigit() else base
        name, number = base, 1
        while name in self._used:
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def forward(self) -> list[str]:
        """The lines of the function."""
        program = self.inference.program
        batches, predictions = self.inference.batches, self.inference.predictions
        self._names.update((value, self.parameters[name]) for name, value in batches.items())
        lines = self._body(program)
        told = "prediction for one batch, an array" if len(batches) == 1 else "predictions for one batch, arrays"
        head = [
            f"def forward({', '.join(self.parameters.values())}):",
            f'    """The {told} of the right shape and dtype."""',
        ]
        read = set()
        for name, value in batches.items():
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, Dim) and dim not in read and any(re.search(rf"\b{dim}\b", line) for line in lines):
                    read.add(dim)
                    head.append(f"    {dim} = {self.parameters[name]}.shape[{axis}]")
        results = ", ".join(map(self._of, predictions.values()))
        return [*head, *("    " + line for line in lines), f"    return {results}"]

    # ---- bodies ----

    def _body(self, program: Program, where: str = "") -> list[str]:
        self._inline.update(dict.fromkeys(implied(program, lambda op: _is_elementwise(op, self._table)), ""))
        lines = []
        for equation in program.equations:
            written = self._equation(equation)
            layer = equation.where.partition("/")[0]
            if written and layer and layer != where:
                where = layer
                kind = self.inference.kinds.get(layer)
                lines.append(f"# {harmless(layer)}" + (f": {harmless(kind)}" if kind else ""))
            lines += written
        return lines

    def _equation(self, equation: Equation) -> list[str]:
        op, attrs = equation.op, equation.attrs
        if op is constant:
            return self._constant(equation)
        if op is p.stop_gradient:
            self._names[equation.outputs[0]] = self._of(equation.inputs[0])
            return []
        if op is p.broadcast and equation.outputs[0] in self._inline:
            self._inline[equation.outputs[0]] = aligned_text(equation, self._of(equation.inputs[0]))
            return []
        if op is p.scan:
            return self._scan(equation)
        if op is p.switch:
            return self._switch(equation)
        written = self._written(equation, [self._of(v) for v in equation.inputs], attrs)
        if len(equation.outputs) == 1 and equation.outputs[0].dtype == "bfloat16":
            bfloat16 = self.kernels.add(_kernel_module(self._table).bfloat16)
            written = f"{bfloat16}({written})"
        names = [self._name(equation, v) for v in equation.outputs]
        return [f"{', '.join(names)}{',' if op is p.split and len(names) == 1 else ''} = {written}"]

    def _name(self, equation: Equation, value: Value) -> str:
        layer = equation.where.rpartition("/")[2]
        self._names[value] = self.fresh(f"{layer}_{equation.op.name}" if layer else f"{equation.op.name}_y")
        return self._names[value]

    def _of(self, value: Value) -> str:
        return self._inline.get(value) or self._names[value]

    def _constant(self, equation: Equation) -> list[str]:
        array = np.asarray(equation.attrs["value"], numpy_dtype(equation.attrs["dtype"]))
        if equation.attrs["dtype"] == "bfloat16":
            array = _kernel_module(self._table).bfloat16(array)
        if array.ndim == 0:
            self._inline[equation.outputs[0]] = number(array)
        else:
            self._names[equation.outputs[0]] = self._keep(f"{equation.where.rpartition('/')[2]}_table", array)
        return []

    def _scan(self, equation: Equation) -> list[str]:
        attrs = equation.attrs
        body, consts, carries = attrs["body"], attrs["consts"], attrs["carries"]
        operands = [self._of(v) for v in equation.inputs]
        layer = equation.where.rpartition("/")[2] or "loop"
        self._names.update(zip(body.inputs[:consts], operands[:consts], strict=True))
        state = [self.fresh(f"{layer}_state") for _ in range(carries)]
        slices = [self.fresh(f"{layer}_x") for _ in operands[consts + carries :]]
        stacks = [self.fresh(f"{layer}_outputs") for _ in body.outputs[carries:]]
        turn = self.fresh("t")
        lines = [f"{name} = {first}" for name, first in zip(state, operands[consts : consts + carries], strict=True)]
        for name, value in zip(stacks, body.outputs[carries:], strict=True):
            shape = literal((attrs["length"], *value.shape))
            lines.append(f"{name} = np.empty({shape}, {dtype_text(value.dtype)})")
        self._names.update(zip(body.inputs[consts:], [*state, *slices], strict=True))
        inner = []
        for name, whole, value in zip(
            slices, operands[consts + carries :], body.inputs[consts + carries :], strict=True
        ):
            inner.append(f"{name} = {whole}[{turn}]" if value.ndim else f"{name} = {whole}[{turn}, ...]")
        inner += self._body(body, equation.where.partition("/")[0])
        results = [self._of(v) for v in body.outputs]
        inner += [f"{name}[{turn}] = {y}" for name, y in zip(stacks, results[carries:], strict=True)]
        if carries:
            inner.append(f"{', '.join(state)} = {', '.join(results[:carries])}")
        turns = f"range({attrs['length']})"
        lines.append(f"for {turn} in {f'reversed({turns})' if attrs['reverse'] else turns}:")
        lines += ["    " + line for line in inner]
        self._names.update(zip(equation.outputs, [*state, *stacks], strict=True))
        return lines

    def _switch(self, equation: Equation) -> list[str]:
        index, *operands = [self._of(v) for v in equation.inputs]
        branches, lines = equation.attrs["branches"], []
        names = [self._name(equation, v) for v in equation.outputs]
        for i, branch in enumerate(branches):
            if i == len(branches) - 1:
                head = "else:"
            else:
                head = f"{'elif' if i else 'if'} {index} {'==' if i else '<='} {i}:"
            self._names.update(zip(branch.inputs, operands, strict=True))
            inner = self._body(branch, equation.where.partition("/")[0])
            inner += [f"{name} = {self._of(v)}" for name, v in zip(names, branch.outputs, strict=True)]
            lines += [head, *("    " + line for line in inner)] if len(branches) > 1 else inner
        return lines

    # ---- one equation ----

    def _written(self, equation: Equation, names: list[str], attrs: Mapping[str, Any]) -> str:
        op = equation.op
        written = expression(equation, names, attrs)
        if written is not None:
            return written
        if op in _DEFINED:
            return f"{self._defined(op, tuple(v.dtype for v in equation.inputs))}({', '.join(names)})"
        function = self._table.get(op)
        if isinstance(function, np.ufunc):
            return f"np.{function.__name__}({', '.join(names)})"
        try:
            called = self.kernels.add(function)  # type: ignore[arg-type]
        except (ValueError, OSError, TypeError) as error:
            where = f" of layer {equation.where!r}" if equation.where else ""
            raise ExportError(f"Op {op.name!r}{where} cannot be written as plain NumPy: {error}") from None
        given = [f"{key}={self._attribute(key, value)}" for key, value in attrs.items()]
        return f"{called}({', '.join([*names, *given])})"

    def _defined(self, op: Op, dtypes: tuple[str, ...]) -> str:
        """The name of the function that computes the definition of an elementwise op for arrays of any shape."""
        key = (op.name, dtypes)
        if key in self.functions:
            return self.functions[key][0][4:].partition("(")[0]
        first = all(name != op.name for name, _ in self.functions)
        name = op.name if first else self.fresh(f"{op.name}_{dtypes[0]}")
        self.functions[key] = [f"def {name}("]
        assert op.definition is not None  # noqa: S101 - the listed ops have one
        made = trace(op.definition, *[Spec((7,), dtype) for dtype in dtypes])
        program = simplify(expand(made, lambda o: o is constant or is_written(o, self._table), None))
        inputs = ["x", "low", "high"] if len(dtypes) == 3 else ["x", "y"][: len(dtypes)]
        self._names.update(zip(program.inputs, inputs, strict=True))
        lines = self._body(program)
        told = (op.__doc__ or "").strip().partition("\n")[0]
        self.functions[key] = [
            f"def {name}({', '.join(inputs)}):",
            f'    """{told}"""',
            *("    " + line for line in lines),
            f"    return {self._of(program.outputs[0])}",
        ]
        return name

    def _attribute(self, key: str, value: Any) -> str:
        text = literal(value)
        if text is not None:
            return text
        raise ExportError(f"attribute {key!r} ({type(value).__name__}) cannot be written into a file.")


def _is_elementwise(op: Op, table: Mapping[Op, Any]) -> bool:
    return op in INFIX or op is p.select or op in _DEFINED or isinstance(table.get(op), np.ufunc)


def is_written(op: Op, table: Mapping[Op, Any]) -> bool:
    """Whether the writer has an expression for `op`; others are written as their definitions."""
    return op is not p.foreach and (op in table or op in FORMS or op in _DEFINED or op is p.stop_gradient)


def _ops(program: Program) -> list[Op]:
    found = []
    for equation in program.equations:
        found.append(equation.op)
        for body in equation.bodies.values():
            found += _ops(body)
    return found


def harmless(text: str) -> str:
    """A name for a comment or a docstring: it may come from an untrusted file, and must not become code."""
    return "".join(c if c.isalnum() or c in " _-./" else "?" for c in text)


def _kernel_module(table: Mapping[Op, Any]) -> Any:
    import sys

    return sys.modules[table[p.convert].__module__]


__all__ = ["PythonWriter"]
