"""Questions asked of a program: where a value is computed, how often it is read, what mixes the examples of a batch."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from lamella.ir.program import Equation, Program, Value
from lamella.ir.spec import Rows, Spec


def makers_of(program: Program) -> dict[Value, Equation]:
    """The equation that computes each value; the program's inputs have none."""
    return {value: e for e in program.equations for value in e.outputs}


def uses_of(program: Program) -> Counter[Value]:
    """How often each value is read; being an output of the program counts as one read."""
    return Counter(itertools.chain(program.outputs, *[e.inputs for e in program.equations]))


def find_cross_batch_op(program: Program) -> Equation | None:
    """The first equation in which entries of one example of the batch reach the results of another, or None.

    A program is traced with the batch dimension as `Rows`. An equation is per example where every output still has exactly
    one batch dimension: a reduction or contraction over the batch loses it, an outer product has two, and ops that mix
    entries along an axis declare it (`Op.mixed_axes`). Where the answer is None, a short batch may be padded with repeated
    examples and the results truncated.
    """
    for equation in program.equations:
        batched = [v.spec for v in equation.inputs if _batch_axes(v.spec)]
        if not batched:
            continue
        if _mixes_examples(equation, batched):
            return equation
        # a body's inputs have the specs of the operands, batch dimensions included
        for body in equation.bodies.values():
            inner = find_cross_batch_op(body)
            if inner is not None:
                return inner
    return None


def _mixes_examples(equation: Equation, batched: Sequence[Spec]) -> bool:
    """Whether the equation, apart from the programs in its attributes, mixes examples; `batched`: its batched operands."""
    op, attrs, first = equation.op, equation.attrs, equation.inputs[0].spec
    if any(len(_batch_axes(v.spec)) != 1 for v in equation.outputs):
        return True
    if op.mixed_axes is not None and not set(_batch_axes(first)).isdisjoint(op.mixed_axes(first, attrs)):
        return True
    if op.name in ("take", "scatter_add", "concatenate", "pad"):
        # any example may look up a table that has no batch dimension
        along = first if op.name == "take" else batched[0]
        return _batch_axes(along) == [attrs.get("axis")]
    if op.name == "scan":
        stacked = equation.inputs[attrs["consts"] + attrs["carries"] :]
        return any(isinstance(v.spec.shape[0], Rows) for v in stacked)
    return False


def _batch_axes(spec: Spec) -> list[int]:
    return [i for i, d in enumerate(spec.shape) if isinstance(d, Rows)]
