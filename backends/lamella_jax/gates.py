"""The gates of a recurrent turn, computed in one loop with vector instructions.

XLA on a CPU (jaxlib 0.10.2) computes the gates and the new state in one loop where nobody wants a gate itself, as in
`predict`. Such a loop reads several parts of one product and comes out without vector instructions: two sigmoids of 4096
numbers take 42 us, one takes 4. A sigmoid of the whole product has a loop of its own. In training the gates are kept for the
gradient, each in a loop of its own already.
"""

from __future__ import annotations

from lamella.ir.program import Equation, Program, Value
from lamella.ops import primitives as p
from lamella.passes import rewritten


def gates_together(body: Program) -> Program:
    """`body` with the parts of one sigmoid for sigmoids of parts, where most parts have one and none leaves the body."""
    results = set(body.outputs)
    sigmoids = {e.inputs[0]: e for e in body.equations if e.op is p.sigmoid and e.outputs[0] not in results}
    equations: list[Equation] = []
    gone: set[Equation] = set()
    for equation in body.equations:
        if equation in gone:
            continue
        equations.append(equation)
        gates = [sigmoids.get(part) for part in equation.outputs] if equation.op is p.split else []
        found = [gate for gate in gates if gate is not None]
        if len(found) > 1 and 2 * len(found) >= len(gates):
            whole = Value(equation.inputs[0].spec)
            parts = tuple(g.outputs[0] if g else Value(v.spec) for g, v in zip(gates, equation.outputs, strict=True))
            equations.append(Equation(p.sigmoid, equation.inputs, found[0].attrs, (whole,), found[0].where))
            equations.append(Equation(p.split, (whole,), equation.attrs, parts, equation.where))
            gone.update(found)
    return rewritten(body, equations) if gone else body
