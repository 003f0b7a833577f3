"""Replace ops a backend has no kernel for by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lamella.errors import BackendError
from lamella.ir import interpret
from lamella.ir.program import Equation, Op, Program, as_tuple, with_bodies
from lamella.ir.trace import Trace, apply_equation, at


def refuse_fused(attrs: Mapping[str, Any], where: str, backend: str) -> None:
    """Refuse to take an op apart that asks for one kernel (`fused=True`).

    Raises:
        BackendError: it does.
    """
    if attrs.get("fused"):
        layer = f" (layer {where!r})" if where else ""
        raise BackendError(
            f"flash_attention=True{layer} asks for one kernel for attention, which backend {backend!r} does not have here; "
            "write flash_attention=None, which uses one where there is one."
        )


def expand(program: Program, has: Callable[[Op], bool], backend: str | None = "the backend") -> Program:
    """`program` with the definition in place of every op for which `has(op)` is false, in the bodies of loops as well.

    Args:
        program: any program.
        has: whether there is a kernel for an op.
        backend: a name for messages; None for a file, in which ops that ask for one kernel may be taken apart.

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
            who = repr(backend or "the exported file")
            raise BackendError(
                f"Backend {who} has no kernel for the mandatory op {equation.op.name!r}{where}. Add it to the backend's "
                "kernels; docs/backends.md lists what each op must do."
            )
        if backend is not None:
            refuse_fused(equation.attrs, equation.where, backend)
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
