"""Which `broadcast` equations a format with NumPy's broadcasting does not need."""

from __future__ import annotations

from collections.abc import Callable

from lamella.ir.dim import Dimension
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


def aligned(equation: Equation) -> tuple[Dimension, ...] | None:
    """The shape under which the operand of a broadcast is repeated by NumPy's rule; None where it has it already."""
    axes, rank = equation.attrs["axes"], len(equation.attrs["shape"])
    if tuple(axes) == tuple(range(rank - len(axes), rank)):
        return None
    dims: list[Dimension] = [1] * rank
    for axis, d in zip(axes, equation.inputs[0].shape, strict=True):
        dims[axis] = d
    return tuple(dims[axes[0] :])
