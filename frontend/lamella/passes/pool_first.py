"""The maximum of a window before what is done to each number: relu(x + bias) of a quarter of the numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from lamella.ir import interpret
from lamella.ir.program import Equation, Program, Value
from lamella.ir.trace import Trace, at, bind
from lamella.ops import primitives as p
from lamella.passes.simplify import dead_code, makers_of, uses_of

_RISING = {p.relu, p.add, p.subtract, p.maximum, p.minimum}
"""Ops that never fall where their first operand rises, rounding included."""


def pool_first(program: Program) -> Program:
    """`program` with max(f(x)) over windows as f(max(x)), for a rising f whose result nothing else reads.

    The numbers stay, to the bit, as long as what f takes beside x is finite. Of two numbers that a bias makes equal by
    rounding, the gradient goes to the larger one instead of the first.
    """
    pools = [e for e in program.equations if e.op is p.max_pool and _shrinks(e)]
    if not pools:
        return program
    makers, uses = makers_of(program), uses_of(program)
    chains = {pool: _chain(pool, makers, uses) for pool in pools}
    moved = set(itertools.chain(*chains.values()))
    if not moved:
        return program
    spread: dict[Value, Value] = {}

    def apply(equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        if equation in moved:
            return operands[:1]
        with at(equation.where):
            result = bind(equation.op, tuple(operands), equation.attrs)
        if equation.op is p.broadcast:
            spread[equation.outputs[0]] = operands[0]
        for link in chains.get(equation, ()):
            with at(link.where):
                shape = result.spec.shape
                others = [
                    p.broadcast.bind(spread[v], shape=shape, axes=makers[v].attrs["axes"]) for v in link.inputs[1:]
                ]
                result = link.op.bind(result, *others, **link.attrs)
        return result if isinstance(result, tuple) else (result,)

    with Trace() as trace:
        outputs = interpret.run(program, [trace.input(v.spec) for v in program.inputs], apply)
        return dead_code(trace.program(outputs, program.input_names, program.output_names))


def _shrinks(pool: Equation) -> bool:
    """Whether there are fewer windows than numbers, each with a number of its own."""
    before, after = (math.prod(v.spec.shape[1:-1]) for v in (pool.inputs[0], pool.outputs[0]))
    sides = zip(pool.attrs["window"], pool.attrs["padding"], strict=True)
    return after < before and all(max(padding) < size for size, padding in sides)


def _chain(pool: Equation, makers: Mapping[Value, Equation], uses: Mapping[Value, int]) -> list[Equation]:
    """What may be done after `pool` instead of before it, in order."""
    chain: list[Equation] = []
    value = pool.inputs[0]
    while uses[value] == 1 and value in makers:
        equation = makers[value]
        if equation.op not in _RISING or not all(_is_flat(v, makers) for v in equation.inputs[1:]):
            break
        chain.insert(0, equation)
        value = equation.inputs[0]
    return chain


def _is_flat(value: Value, makers: Mapping[Value, Equation]) -> bool:
    """Whether `value` depends on the row and the channel at most, so that it is one number all over a window."""
    maker = makers.get(value)
    return maker is not None and maker.op is p.broadcast and set(maker.attrs["axes"]) <= {0, value.spec.ndim - 1}
