"""Replace ops a backend has no kernel for by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamella.errors import BackendError
from lamella.ir import interpret
from lamella.ir.program import Equation, Op, Program, as_tuple, with_bodies
from lamella.ir.trace import Trace, apply_equation, at


def expand(program: Program, has: Callable[[Op], bool], backend: str = "the backend") -> Program:
    """`program` with the definition in place of every op for which `has(op)` is false, in the bodies of loops as well.

    Raises:
        BackendError: a mandatory op is missing; the message names the op and its layer.
    """
    if all(has(e.op) and not e.bodies for e in program.equations):
        return program

    def apply(equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        attrs = with_bodies(equation.attrs, lambda body: expand(body, has, backend))
        if has(equation.op):
            return apply_equation(equation, operands, attrs)
        if equation.op.definition is None:
            where = f" (layer {equation.where!r})" if equation.where else ""
            raise BackendError(
                f"Backend {backend!r} has no kernel for the mandatory op {equation.op.name!r}{where}. Add it to the "
                "backend's kernels; docs/backends.md lists what each op must do."
            )
        with at(equation.where):
            start = len(trace.equations)
            results = as_tuple(equation.op.definition(*operands, **attrs))
            # the definition may itself use ops that have to be expanded
            inner = trace.equations[start:]
            if all(has(e.op) for e in inner):
                return results
            del trace.equations[start:]
            sub = Program(operands, inner, [trace.local(r) for r in results])
            return interpret.run(sub, operands, apply)

    with Trace() as trace:
        outputs = interpret.run(program, [trace.input(v.spec) for v in program.inputs], apply)
        return trace.program(outputs, program.input_names, program.output_names)
