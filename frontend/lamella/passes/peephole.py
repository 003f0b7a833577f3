"""Peephole rewrites of one or two adjacent equations. Each keeps the results, up to the order of a sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamella.ir import interpret
from lamella.ir.program import Equation, Op, Program, Value
from lamella.ir.trace import Trace, apply_equation, at
from lamella.ops import primitives as p

Producer = Callable[[Value], "Equation | None"]
Rule = Callable[[Sequence[Value], dict[str, Any], Producer], "Value | None"]


def _producer_of(op: Op, value: Value, producer: Producer) -> Equation | None:
    equation = producer(value)
    return equation if equation is not None and equation.op is op else None


def _reshape(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
    """A reshape of a reshape becomes a single reshape."""
    inner = _producer_of(p.reshape, operands[0], producer)
    if inner is None:
        return None
    (x,) = inner.inputs
    return x if x.spec.shape == attrs["shape"] else p.reshape.bind(x, **attrs)


def _transpose(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
    """A transpose of a transpose becomes a single transpose, or none."""
    inner = _producer_of(p.transpose, operands[0], producer)
    if inner is None:
        return None
    order = tuple(inner.attrs["permutation"][a] for a in attrs["permutation"])
    (x,) = inner.inputs
    return x if order == tuple(range(len(order))) else p.transpose.bind(x, permutation=order)


def _scaled(value: Value, scale: Callable[[Value], Value], producer: Producer, depth: int = 4) -> Value | None:
    """`value` doubled or negated by way of a scalar among its factors: (n * x) * y becomes (scale(n) * x) * y.

    The result is bitwise identical as long as no product overflows or underflows; float16, whose range is small, is left as
    it is.
    """
    equation = producer(value) if depth else None
    if equation is None or equation.op not in (p.broadcast, p.reshape, p.multiply):
        return None
    if equation.op is p.broadcast and equation.inputs[0].spec.shape == ():
        (number,) = equation.inputs
        return None if number.spec.dtype == "float16" else p.broadcast.bind(scale(number), **equation.attrs)
    for i, factor in enumerate(equation.inputs):
        scaled = _scaled(factor, scale, producer, depth - 1)
        if scaled is not None:
            return equation.op.bind(*equation.inputs[:i], scaled, *equation.inputs[i + 1 :], **equation.attrs)
    return None


def _negative(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
    """-(-x) becomes x, -(a - b) becomes b - a, -(n * x) becomes (-n) * x for a scalar n."""
    inner = _producer_of(p.negative, operands[0], producer)
    if inner is not None:
        return inner.inputs[0]
    inner = _producer_of(p.subtract, operands[0], producer)
    if inner is not None:
        return p.subtract.bind(inner.inputs[1], inner.inputs[0])
    return _scaled(operands[0], p.negative.bind, producer)


def _add(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
    """a + (-b) becomes a - b, n * x + n * x becomes (n + n) * x for a scalar n."""
    a, b = operands
    if a is b:
        return _scaled(a, lambda n: p.add.bind(n, n), producer)
    inner = _producer_of(p.negative, b, producer)
    if inner is not None:
        return p.subtract.bind(a, inner.inputs[0])
    inner = _producer_of(p.negative, a, producer)
    return None if inner is None else p.subtract.bind(b, inner.inputs[0])


def _subtract(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
    """a - (-b) becomes a + b."""
    inner = _producer_of(p.negative, operands[1], producer)
    return None if inner is None else p.add.bind(operands[0], inner.inputs[0])


def _reduction(op: Op) -> Rule:
    def rule(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
        (x,) = operands
        axes: tuple[int, ...] = attrs["axes"]
        shape = x.spec.shape
        long = tuple(a for a in axes if shape[a] != 1)
        if len(long) < len(axes):  # an axis of length 1 need not be reduced
            kept = tuple(d for i, d in enumerate(shape) if i not in axes)
            y = op.bind(x, axes=long) if long else x
            return y if y.spec.shape == kept else p.reshape.bind(y, shape=kept)
        # a sum of sums becomes a single sum; a maximum of maxima does not: its derivative is shared among ties
        inner = _producer_of(op, x, producer) if op is p.reduce_sum else None
        if inner is not None:
            inner_axes: tuple[int, ...] = inner.attrs["axes"]
            left: list[int] = [i for i in range(inner.inputs[0].spec.ndim) if i not in inner_axes]
            return op.bind(inner.inputs[0], axes=tuple(sorted({*inner_axes, *(left[a] for a in axes)})))
        inner = _producer_of(p.reshape, x, producer)
        if inner is not None and len(axes) == len(shape):  # a reduction over all axes does not depend on the shape
            return op.bind(inner.inputs[0], axes=tuple(range(inner.inputs[0].spec.ndim)))
        return None

    return rule


def _select(operands: Sequence[Value], attrs: dict[str, Any], producer: Producer) -> Value | None:
    """A choice between a value and itself becomes the value."""
    return operands[1] if operands[1] is operands[2] else None


RULES: dict[Op, Rule] = {
    p.reshape: _reshape,
    p.transpose: _transpose,
    p.negative: _negative,
    p.add: _add,
    p.subtract: _subtract,
    p.reduce_sum: _reduction(p.reduce_sum),
    p.reduce_max: _reduction(p.reduce_max),
    p.reduce_min: _reduction(p.reduce_min),
    p.select: _select,
}
"""For each op the rule that returns the replacement of an equation, or None."""


def _rewritten(value: Value, producer: Producer) -> Value:
    """`value`, rewritten until no rule fits the equation that computes it."""
    while True:
        equation = producer(value)
        rule = None if equation is None else RULES.get(equation.op)
        found = None if rule is None or equation is None else rule(equation.inputs, equation.attrs, producer)
        if found is None:
            return value
        value = found


def peephole(program: Program) -> Program:
    """`program` with every rule applied wherever it fits."""
    if not any(e.op in RULES for e in program.equations):
        return program
    made: dict[Value, Equation] = {}
    seen = 0

    def producer(value: Value) -> Equation | None:
        nonlocal seen
        for equation in trace.equations[seen:]:
            made.update((v, equation) for v in equation.outputs)
        seen = len(trace.equations)
        return made.get(value)

    def apply(equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        with at(equation.where):
            rule = RULES.get(equation.op)
            found = None if rule is None else rule(operands, equation.attrs, producer)
            return apply_equation(equation, operands) if found is None else (_rewritten(found, producer),)

    with Trace() as trace:
        outputs = interpret.run(program, [trace.input(v.spec) for v in program.inputs], apply)
        return trace.program(outputs, program.input_names, program.output_names)
