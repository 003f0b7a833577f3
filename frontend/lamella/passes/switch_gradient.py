"""The derivative of `switch`: another switch, whose branches are the derivatives of the branches."""

from __future__ import annotations

from collections.abc import Sequence

from lamella.ir.program import Program, Value, as_tuple
from lamella.ir.spec import is_float
from lamella.ops import primitives as p
from lamella.ops.coerce import full_of
from lamella.passes.differentiate import Pullback, gradient_program
from lamella.passes.simplify import simplify


def linearize_switch(
    index: Value, *operands: Value, is_active: Sequence[bool], branches: tuple[Program, ...]
) -> tuple[Sequence[Value], Pullback]:
    """The derivative of `switch`: its outputs, and the function that pulls their cotangents back to the operands.

    The branches would save different residuals, so none are saved: the chosen branch is recomputed.
    """
    results = as_tuple(p.switch.bind(index, *operands, branches=branches))
    active = [i for i, (x, live) in enumerate(zip(operands, is_active[1:], strict=True)) if live and is_float(x.dtype)]
    backward = tuple(_gradients(branch, active) for branch in branches)

    def pullback(gs: Sequence[Value | None]) -> Sequence[Value | None]:
        cotangents = [
            full_of(y.spec, 0) if g is None else g for g, y in zip(gs, results, strict=True) if is_float(y.dtype)
        ]
        found = as_tuple(p.switch.bind(index, *operands, *cotangents, branches=backward))
        gradients = dict(zip(active, found, strict=True))
        return [None, *[gradients.get(i) for i in range(len(operands))]]

    return results, pullback


def _gradients(branch: Program, active: Sequence[int]) -> Program:
    """The program from the operands and a cotangent for every float output to the gradients of the operands `active`."""
    joint = gradient_program(branch, active)
    return simplify(Program(joint.inputs, joint.equations, joint.outputs[len(branch.outputs) :]))
