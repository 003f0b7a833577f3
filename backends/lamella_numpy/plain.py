"""Programs as Python code to read: one line per equation, without optimization.

A line is the NumPy expression that an exported file has for the op, a call of its kernel, or a call of its definition if it
has no kernel; loops interpret their bodies.
"""

from __future__ import annotations

import keyword
from typing import Any

import numpy as np

from lamella.backend_api import own_results
from lamella.ir.program import OPS, Equation, Program, Value
from lamella.ir.trace import constant
from lamella.passes.expressions import dtype_text, expression, literal, number
from lamella_numpy.elementwise import bfloat16
from lamella_numpy.kernels import KERNELS, constant_array
from lamella_numpy.writing import comment, identifier


class _Text:
    """The text of one program and the names it uses."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {name: KERNELS.get(op, op.definition) for name, op in OPS.items()}
        self.namespace |= {"np": np, "bfloat16": bfloat16, "bool": bool, "float": float}
        self.namespace |= {"inf": float("inf"), "nan": float("nan")}
        self.used = {*self.namespace, *keyword.kwlist}
        self.names: dict[Value, str] = {}

    def fresh(self, hint: str) -> str:
        base, number = identifier(hint), 1
        name = base
        while name in self.used:
            number += 1
            name = f"{base}_{number}"
        self.used.add(name)
        return name

    def keep(self, hint: str, thing: Any) -> str:
        name = self.fresh(hint)
        self.namespace[name] = thing
        return name

    def function(self, name: str, program: Program) -> list[str]:
        """The lines of `program` as a function."""
        for i, value in enumerate(program.inputs):
            self.names[value] = self.fresh(program.input_names[i] or f"x{i}")
        lines = [f"def {name}({', '.join(self.names[v] for v in program.inputs)}):"]
        for equation in program.equations:
            lines.append(f"    {self.line(equation)}" + (f"  # {comment(equation.where)}" if equation.where else ""))
        lines.append(f"    return ({''.join(f'{self.names[v]}, ' for v in program.outputs).rstrip()})")
        return lines

    def line(self, equation: Equation) -> str:
        if equation.op is constant:
            array = constant_array(equation)
            self.names[equation.outputs[0]] = name = self.fresh("constant_y")
            if array.ndim == 0:
                return f"{name} = {number(array)}"
            if array.size == 1:
                return f"{name} = np.array({array.tolist()!r}, {dtype_text(array.dtype.name)})"
            return f"{name} = {self.keep('table', array)}"
        layer = equation.where.rsplit("/", 1)[-1].replace("(gradient)", "gradient").strip()
        results = [
            self.fresh(f"{layer}_{equation.op.name}" if layer else f"{equation.op.name}_y") for _ in equation.outputs
        ]
        operands = [self.names[v] for v in equation.inputs]
        call = expression(equation, operands) or self.call(equation, operands)
        if len(results) == 1 and equation.outputs[0].spec.dtype == "bfloat16":
            call = f"bfloat16({call})"
        self.names.update(zip(equation.outputs, results, strict=True))
        return f"{', '.join(results)}{',' if _is_tuple(equation) else ''} = {call}"

    def call(self, equation: Equation, operands: list[str]) -> str:
        """A call of the op's kernel."""
        kernel = self.namespace[equation.op.name]
        name = f"np.{kernel.__name__}" if isinstance(kernel, np.ufunc) else equation.op.name
        attributes = [f"{key}={self.attribute(key, value)}" for key, value in equation.attrs.items()]
        return f"{name}({', '.join([*operands, *attributes])})"

    def attribute(self, key: str, value: Any) -> str:
        text = literal(value)
        if text is not None:
            return text
        if isinstance(value, tuple):
            return "(" + "".join(f"{self.attribute(key, v)}, " for v in value).rstrip() + ")"
        return self.keep(key, value)


def _is_tuple(equation: Equation) -> bool:
    """Whether an op with one output returns it in a tuple."""
    return len(equation.outputs) == 1 and equation.op.name in ("scan", "foreach", "switch", "split")


class Plain:
    """A program as an unoptimized function: `plain(*arrays) -> tuple of arrays`.

    Attributes:
        program: the program that it computes.
        source: the Python code.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        text = _Text()
        self.source = "\n".join([*text.function("step", program), ""])
        exec(compile(self.source, "<lamella program>", "exec"), text.namespace)
        self._step = text.namespace["step"]

    def __call__(self, *arrays: Any) -> tuple[np.ndarray[Any, Any], ...]:
        """The outputs for `arrays`, one per input of the program."""
        with np.errstate(all="ignore"):
            results = self._step(*arrays)
        constants = [a for a in self._step.__globals__.values() if isinstance(a, np.ndarray)]
        return tuple(own_results([np.asarray(y) for y in results], [*arrays, *constants]))
