"""Programs as Python for people who read to learn: one line per equation, nothing folded, nothing planned.

Every line calls the op's plain kernel, or its definition where it has none; loops interpret their bodies.
"""

from __future__ import annotations

import keyword
from typing import Any

import numpy as np

from lamella.backend_api import own_results
from lamella.ir.program import OPS, Equation, Program, Value
from lamella.ir.spec import DTYPES
from lamella.ir.trace import constant
from lamella_numpy.elementwise import bfloat16
from lamella_numpy.kernels import KERNELS, constant_array
from lamella_numpy.writing import comment, identifier


class _Text:
    """The text of one program and the names it uses."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {name: KERNELS.get(op, op.definition) for name, op in OPS.items()}
        self.namespace |= {"constant": np.asarray, "bfloat16": bfloat16, "inf": float("inf"), "nan": float("nan")}
        self.namespace |= {name: np.dtype(name) for name in DTYPES if name != "bfloat16"}
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
            number = repr(array.tolist()) if array.size == 1 else self.keep("table", array)
            return f"{name} = constant({number}, {array.dtype.name})"
        layer = equation.where.rsplit("/", 1)[-1].replace("(gradient)", "gradient").strip()
        results = [
            self.fresh(f"{layer}_{equation.op.name}" if layer else f"{equation.op.name}_y") for _ in equation.outputs
        ]
        operands = [self.names[v] for v in equation.inputs]
        attributes = [f"{key}={self.attribute(key, value)}" for key, value in equation.attrs.items()]
        call = f"{equation.op.name}({', '.join([*operands, *attributes])})"
        if len(results) == 1 and equation.outputs[0].spec.dtype == "bfloat16":
            call = f"bfloat16({call})"
        self.names.update(zip(equation.outputs, results, strict=True))
        return f"{', '.join(results)}{',' if _is_tuple(equation) else ''} = {call}"

    def attribute(self, key: str, value: Any) -> str:
        if isinstance(value, Program):
            return self.keep(key, value)
        if isinstance(value, tuple):
            return "(" + "".join(f"{self.attribute(key, v)}, " for v in value).rstrip() + ")"
        if isinstance(value, int) and not isinstance(value, bool):
            return repr(int(value))
        if isinstance(value, bool | str | float) or value is None:
            return repr(value)
        return self.keep(key, value)


def _is_tuple(equation: Equation) -> bool:
    """Whether the kernel of an op with one output gives it in a tuple."""
    return len(equation.outputs) == 1 and equation.op.name in ("scan", "foreach", "switch", "split")


class Plain:
    """A program as a function of plain kernel calls: `plain(*arrays) -> tuple of arrays`.

    Attributes:
        program: what it computes.
        source: the text.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        text = _Text()
        self.source = "\n".join([*text.function("step", program), ""])
        exec(compile(self.source, "<lamella program>", "exec"), text.namespace)
        self._step = text.namespace["step"]

    def __call__(self, *arrays: Any) -> tuple[np.ndarray[Any, Any], ...]:
        """The outputs for `arrays`, one for every input of the program."""
        with np.errstate(all="ignore"):
            results = self._step(*arrays)
        constants = [a for a in self._step.__globals__.values() if isinstance(a, np.ndarray)]
        return tuple(own_results([np.asarray(y) for y in results], [*arrays, *constants]))
