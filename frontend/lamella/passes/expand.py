"""Replace ops a backend has no kernel for by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamella.errors import BackendError
from lamella.ir import interpret
from lamella.ir.program import Equation, Op, Program, with_bodies
from lamella.ir.trace import Trace, at, bind


def expand(program: Program, has: Callable[[Op], bool], backend: str = "the backend") -> Program:
    """`program` with every op for which `has(op)` is false taken apart, bodies of loops included.

    Raises:
        BackendError: a mandatory op is missing; the message names it and the layer it came from.
    """
    if all(has(e.op) and not e.bodies for e in program.equations):
        return program

    def apply(equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        attrs = with_bodies(equation.attrs, lambda body: expand(body, has, backend))
        with at(equation.where):
            if has(equation.op):
                result = bind(equation.op, tuple(operands), attrs)
                return result if isinstance(result, tuple) else (result,)
            if equation.op.definition is None:
                where = f" (layer {equation.where!r})" if equation.where else ""
                raise BackendError(
                    f"Backend {backend!r} has no kernel for the mandatory op {equation.op.name!r}{where}. Add it to the "
                    "backend's kernels; docs/backends.md lists what each op must do."
                )
            start = len(trace.equations)
            result = equation.op.definition(*operands, **attrs)
            results = result if isinstance(result, tuple) else (result,)
            # the definition may itself use ops that need taking apart
            inner = trace.equations[start:]
            if all(has(e.op) for e in inner):
                return results
            del trace.equations[start:]
            sub = Program(operands, inner, [trace.local(r) for r in results])
            return interpret.run(sub, operands, apply)

    with Trace() as trace:
        outputs = interpret.run(program, [trace.input(v.spec) for v in program.inputs], apply)
        return trace.program(outputs, program.input_names, program.output_names)
