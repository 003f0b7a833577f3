"""Which vectors of a training state may be updated in place: what reads the old contents comes before the new ones."""

from __future__ import annotations

from collections.abc import Mapping

from lamella.ir.program import Program
from lamella.ops import primitives as p
from lamella_numpy.lowering import Lowering
from lamella_numpy.views import View

_ONE_LINE = {p.add, p.subtract, p.multiply, p.divide}
"""Ops of one line that may write over an operand, and whose result is never a view of one."""


def read_before(rule: Program, g: int, r: int) -> bool:
    """Whether input `g` of a rule over vectors has been read when output `r` is written, or is read by the same line."""
    operand, equations = rule.inputs[g], list(enumerate(rule.equations))
    made = next((i for i, e in equations if rule.outputs[r] in set(e.outputs)), -1)
    reads = [(i, e.op) for i, e in equations if operand in set(e.inputs)]
    return operand not in set(rule.outputs) and all(i <= made and op in _ONE_LINE for i, op in reads)


def in_place(low: Lowering, program: Program, vectors: Mapping[tuple[str, int], View]) -> frozenset[int]:
    """The vectors whose old contents are unused once a `foreach` writes the new ones, element by element.

    Args:
        low: what `program` was lowered by.
        program: a step.
        vectors: by ("given" or "new", number) the whole vector.
    """
    values = [*program.inputs, *(v for e in program.equations for v in e.outputs)]
    position = {id(e): i for i, e in enumerate(program.equations)}
    found: set[int] = set()
    for (side, number), given in vectors.items():
        new = vectors.get(("new", number))
        if side == "new" or new is None:
            continue
        places = [(v, low.environment.get(v)) for v in values]
        # whatever is there, views included
        old = {v for v, place in places if isinstance(place, View) and place.storage is given.storage}
        for equation, result, operands in low.updates:
            index, tensors = position.get(id(equation), -1), equation.attrs["tensors"]
            if result.storage is not new.storage or result.size != new.size or any(low.last[v] > index for v in old):
                continue
            aligned = [x for x in operands if x.storage is given.storage and (x.offset, x.size) == (0, new.size)]
            # the equation reads it as whole groups, and in no other way
            if sum(v in old for v in equation.inputs) == len(aligned) * tensors:
                found.add(number)
    return frozenset(found)
