"""Which equations of a program let the rows of a batch influence each other."""

from __future__ import annotations

from lamella.ir.program import Equation, Program
from lamella.ir.spec import Rows, Spec


def _row_axes(spec: Spec) -> list[int]:
    return [i for i, d in enumerate(spec.shape) if isinstance(d, Rows)]


def mixing_equation(program: Program) -> Equation | None:
    """The first equation in which one batch row's entries reach another row's results, or None.

    A program is traced with the batch dimension as `Rows`. An equation keeps rows apart where every output still has its
    one row dimension; a reduction or contraction over rows loses it, an outer product has two, and ops that shuffle along
    an axis say so (`Op.mixed_axes`). Where None comes back, a short batch may be padded with repeated rows and its results
    cut off again.
    """
    for equation in program.equations:
        carrying = [v.spec for v in equation.inputs if _row_axes(v.spec)]
        if not carrying:
            continue
        if any(len(_row_axes(v.spec)) != 1 for v in equation.outputs):
            return equation
        if equation.op.mixed_axes is not None and set(_row_axes(equation.inputs[0].spec)) & set(
            equation.op.mixed_axes(equation.inputs[0].spec, equation.attrs)
        ):
            return equation
        # a table without rows may be looked up by every row
        taken = [equation.inputs[0].spec] if equation.op.name == "take" else carrying[:1]
        if equation.op.name in ("take", "scatter_add", "concatenate", "pad") and _row_axes(taken[0]) == [
            equation.attrs.get("axis")
        ]:
            return equation
        if equation.op.name == "scan":
            fixed = equation.attrs["consts"] + equation.attrs["carries"]
            if any(isinstance(v.spec.shape[0], Rows) for v in equation.inputs[fixed:]):
                return equation
        # a body's inputs have the specs of the operands, which say which dimensions are rows
        for body in equation.bodies.values():
            inner = mixing_equation(body)
            if inner is not None:
                return inner
    return None
