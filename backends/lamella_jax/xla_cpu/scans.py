"""Loops over time in the form that XLA runs best on a CPU. Nothing is computed in another order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lamella.ir.program import Equation, Program, Value, bodies_of, with_bodies
from lamella.ops import primitives as p
from lamella.passes import dead_code, makers_of, rewritten, uses_of

Uses = Counter[Value]
Makers = dict[Value, Equation]


def with_gates_together(program: Program) -> Program:
    """`program` with `gates_together` applied to the body of every scan; itself where that changes nothing."""

    def change(scan: Equation, _: Makers, __: Uses) -> Equation:
        body = gates_together(scan.attrs["body"])
        return scan if body is scan.attrs["body"] else _with_attrs(scan, {**scan.attrs, "body": body})

    return _with_scans(program, change)


def with_biases_inside(program: Program) -> Program:
    """`program` with `bias_inside` applied to every scan; itself where that changes nothing."""
    return _with_scans(program, bias_inside)


def _with_scans(program: Program, change: Callable[[Equation, Makers, Uses], Equation]) -> Program:
    """`program` with every scan changed, those within loops and branches too; itself where nothing changes."""
    makers, uses = makers_of(program), uses_of(program)
    equations = []
    for equation in program.equations:
        new = equation
        if equation.bodies:
            attrs = with_bodies(equation.attrs, lambda body: _with_scans(body, change))
            if any(a is not b for a, b in zip(bodies_of(attrs).values(), equation.bodies.values(), strict=True)):
                new = _with_attrs(equation, attrs)
        equations.append(change(new, makers, uses) if new.op is p.scan else new)
    if all(new is old for new, old in zip(equations, program.equations, strict=True)):
        return program
    return dead_code(rewritten(program, equations))


def _with_attrs(equation: Equation, attrs: dict[str, object]) -> Equation:
    return Equation(equation.op, equation.inputs, attrs, equation.outputs, equation.where)


def bias_inside(scan: Equation, makers: Makers, uses: Uses) -> Equation:
    """`scan` with a bias added to each iteration's slice, where it was added to the whole stack for this loop alone.

    An iteration adds it in a fused loop that exists anyway; the addition to the whole stack goes through memory once more.
    """
    body, consts = scan.attrs["body"], scan.attrs["consts"]
    first = consts + scan.attrs["carries"]
    operands, inputs = list(scan.inputs), list(body.inputs)
    biases: list[Value] = []
    fixed: list[Value] = []
    added: list[Equation] = []
    for i in range(first, len(operands)):
        addition = makers.get(operands[i])
        if addition is None or addition.op is not p.add or uses[operands[i]] > 1:
            continue
        stack, spread = addition.inputs
        broadcast = makers.get(spread)
        if broadcast is None or broadcast.op is not p.broadcast or 0 in broadcast.attrs["axes"]:
            continue
        operands[i] = stack
        biases.append(broadcast.inputs[0])
        where, total = addition.where, inputs[i]
        inputs[i], bias, row = Value(total.spec), Value(broadcast.inputs[0].spec), Value(total.spec)
        fixed.append(bias)
        axes = tuple(a - 1 for a in broadcast.attrs["axes"])
        added.append(Equation(p.broadcast, (bias,), {"shape": total.spec.shape, "axes": axes}, (row,), where))
        added.append(Equation(p.add, (inputs[i], row), addition.attrs, (total,), where))
    if not added:
        return scan
    inputs[consts:consts], operands[consts:consts] = fixed, biases
    body = Program(inputs, [*added, *body.equations], body.outputs)
    attrs = {**scan.attrs, "body": body, "consts": consts + len(fixed)}
    return Equation(scan.op, tuple(operands), attrs, scan.outputs, scan.where)


def gates_together(body: Program) -> Program:
    """`body` with the parts of one sigmoid instead of sigmoids of parts, where most parts have one and none is live-out.

    XLA fuses the gates and the new state into one loop where no gate is live-out, as in `predict`. Such a loop reads several
    parts of one product and is compiled without vector instructions: two sigmoids of 4096 numbers take 42 us, one takes 4. A
    sigmoid of the whole product has a separate loop. In training the gates are live-out, for the gradient, and each has a
    separate loop already.
    """
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
