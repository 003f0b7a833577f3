"""Sums of products as products of vectors: one call of BLAS for two passes over memory."""

from __future__ import annotations

from lamella.ir.program import Equation, Program, Value
from lamella.ir.trace import constant
from lamella.ops import primitives as p
from lamella.passes import makers_of, rewritten, uses_of

LONGEST_DOT = 65536
"""Elements: NumPy's pairwise addition, which rounds less, has longer sums of everything."""


def sums_of_products(program: Program) -> Program:
    """`program` with sum(x * y) over everything as the contraction of x and y, where nothing else reads x * y."""
    makers, uses = makers_of(program), uses_of(program)
    replaced: dict[Equation, Equation | None] = {}
    for equation in program.equations:
        product = makers.get(equation.inputs[0]) if equation.op is p.reduce_sum else None
        if product is None or product.op is not p.multiply or uses[product.outputs[0]] > 1:
            continue
        spec, axes = product.outputs[0].spec, equation.attrs["axes"]
        fits = len(axes) == spec.ndim and spec.dtype in ("float32", "float64") and 1 < spec.size <= LONGEST_DOT
        if fits and not any(_repeats(v, makers) for v in product.inputs):
            attrs = {"contracting": (axes, axes), "batch": ((), ())}
            replaced[product] = None  # unused now
            replaced[equation] = Equation(p.contract, product.inputs, attrs, equation.outputs, equation.where)
    if not replaced:
        return program
    found = (replaced.get(e, e) for e in program.equations)
    return rewritten(program, [e for e in found if e is not None])


def _repeats(value: Value, makers: dict[Value, Equation]) -> bool:
    """Whether `value` is stored smaller than it is, so that BLAS would need a copy."""
    maker = makers.get(value)
    return maker is not None and maker.op in (p.broadcast, constant)
