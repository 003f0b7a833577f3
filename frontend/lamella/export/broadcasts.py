"""Which `broadcast` equations a format with NumPy's broadcasting does not need."""

from __future__ import annotations

from collections.abc import Callable

from lamella.ir.program import Equation, Op, Program, Value
from lamella.ops import primitives as p


def implied(program: Program, is_elementwise: Callable[[Op], bool]) -> set[Value]:
    """The results of broadcasts whose every reader has another operand of the full shape.

    Args:
        program: its bodies are not looked into.
        is_elementwise: whether the operands of an op repeat by themselves where they meet.
    """
    readers: dict[Value, list[Equation]] = {}
    for equation in program.equations:
        for value in set(equation.inputs):
            readers.setdefault(value, []).append(equation)
    spread = {e.outputs[0] for e in program.equations if e.op is p.broadcast} - set(program.outputs)
    spread = {v for v in spread if all(is_elementwise(e.op) for e in readers.get(v, []))}
    for equation in program.equations:
        if equation.inputs and is_elementwise(equation.op) and all(v in spread for v in equation.inputs):
            spread.discard(equation.inputs[0])
    return spread
