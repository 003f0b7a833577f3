"""Hoist max pooling above elementwise monotone ops: relu(x + bias) is then computed once per window, not once per entry."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from lamella.ir import interpret
from lamella.ir.dim import exceeds
from lamella.ir.program import Equation, Program, Value
from lamella.ir.spec import size_of
from lamella.ir.trace import Trace, apply_equation, at
from lamella.ops import primitives as p
from lamella.passes.analysis import makers_of, uses_of
from lamella.passes.simplify import dead_code

_MONOTONE = {p.relu, p.add, p.subtract, p.maximum, p.minimum}
"""Ops that are nondecreasing in their first operand, rounding included."""


def pool_first(program: Program) -> Program:
    """`program` with f(max(x)) in place of max(f(x)) over windows, for a nondecreasing f whose result nothing else reads.

    The results are bitwise identical as long as the other operands of f are finite. Of two entries that a bias makes equal
    by rounding, the gradient goes to the larger one instead of the first.

    To train, apply it before `differentiate`: the backward part reads the result of f, so that afterwards nothing is hoisted.
    """
    pools = [e for e in program.equations if e.op is p.max_pool and _shrinks(e)]
    if not pools:
        return program
    makers, uses = makers_of(program), uses_of(program)
    chains = {pool: _chain(pool, makers, uses) for pool in pools}
    moved = set(itertools.chain(*chains.values()))
    if not moved:
        return program
    narrow: dict[Value, Value] = {}  # the operand of each broadcast

    def apply(equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        if equation in moved:
            return operands[:1]
        results = apply_equation(equation, operands)
        if equation.op is p.broadcast:
            narrow[equation.outputs[0]] = operands[0]
        for link in chains.get(equation, ()):
            with at(link.where):
                shape = results[0].spec.shape
                others = [
                    p.broadcast.bind(narrow[v], shape=shape, axes=makers[v].attrs["axes"]) for v in link.inputs[1:]
                ]
                results = apply_equation(link, [results[0], *others])
        return results

    with Trace() as trace:
        outputs = interpret.run(program, [trace.input(v.spec) for v in program.inputs], apply)
        return dead_code(trace.program(outputs, program.input_names, program.output_names))


def _shrinks(pool: Equation) -> bool:
    """Whether there are fewer windows than entries, and no window consists of padding only."""
    before, after = (size_of(v.spec.shape[1:-1]) for v in (pool.inputs[0], pool.outputs[0]))
    sides = zip(pool.attrs["window"], pool.attrs["padding"], strict=True)
    return exceeds(before, after) and all(exceeds(size, n) for size, padding in sides for n in padding)


def _chain(pool: Equation, makers: Mapping[Value, Equation], uses: Mapping[Value, int]) -> list[Equation]:
    """The equations before `pool` that may be applied after it instead, in order."""
    chain: list[Equation] = []
    value = pool.inputs[0]
    while uses[value] == 1 and value in makers:
        equation = makers[value]
        if equation.op not in _MONOTONE or not all(_is_constant_over_windows(v, makers) for v in equation.inputs[1:]):
            break
        chain.insert(0, equation)
        value = equation.inputs[0]
    return chain


def _is_constant_over_windows(value: Value, makers: Mapping[Value, Equation]) -> bool:
    """Whether `value` is broadcast from at most the batch and channel axes, and so is constant over a window."""
    maker = makers.get(value)
    return maker is not None and maker.op is p.broadcast and set(maker.attrs["axes"]) <= {0, value.spec.ndim - 1}
