"""The derivative of `scan`: a forward loop that stacks residuals, and a backward loop in the opposite direction.

The joint program of one step (its outputs, and its gradients for given cotangents) is split in two. The forward part runs in
the forward loop and stacks the values that the backward part reads (the residuals). Some of these are rematerialised in the
backward loop instead: constants, broadcast scalars, whatever depends on loop-invariant operands only, and what a few cheap
equations compute from other residuals (the derivative y * (1 - y) of a sigmoid), which is faster than to write it to memory
and to read it back. A gradient that sums over the steps for a loop-invariant operand (a weight) is not added up inside the
loop where it is a contraction or a sum: its factors are stacked, and one contraction over steps and examples follows the
loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from lamella.ir.program import Equation, Program, Value, as_tuple
from lamella.ir.spec import is_float
from lamella.ir.trace import Trace, replay
from lamella.ops import primitives as p
from lamella.ops.coerce import full_of
from lamella.passes.analysis import makers_of
from lamella.passes.differentiate import Pullback, gradient_program
from lamella.passes.simplify import dead_code, simplify

_FREE = ("constant", "iota", "broadcast", "reshape", "transpose")
"""Ops whose results the backward loop always rematerialises."""

_CHEAP = (*_FREE, "add", "subtract", "multiply", "negative", "abs", "equal", "less", "less_equal", "select")
"""Ops that cost less than writing their results to a stack and reading them back."""

_MAX_REMATERIALISED = 4
"""The largest number of cheap equations that replace a residual."""


def linearize_scan(
    *operands: Value, is_active: Sequence[bool], body: Program, consts: int, carries: int, length: int, reverse: bool
) -> tuple[Sequence[Value], Pullback]:
    """The derivative of `scan`: its outputs, and the function that pulls their cotangents back to the operands."""
    body = simplify(body)
    step = _joint_step(body, _active_inputs(body, is_active, consts, carries), consts, carries)
    plan = _plan(step)
    forward = dead_code(Program(step.inputs, step.program.equations, [*step.outputs, *plan.residuals]))
    results = as_tuple(
        p.scan.bind(*operands, body=forward, consts=consts, carries=carries, length=length, reverse=reverse)
    )
    own, stacks = results[: len(step.outputs)], results[len(step.outputs) :]
    known = dict(zip(step.inputs, operands, strict=True)) | dict(zip(plan.residuals, stacks, strict=True))

    def pullback(gs: Sequence[Value | None]) -> Sequence[Value | None]:
        cotangents = {
            cotangent: full_of(y.spec, 0) if g is None else g
            for cotangent, y, g in zip(step.cotangents, own, gs, strict=True)
            if cotangent is not None
        }
        gradients = _backward_loop(plan, known, cotangents, length=length, reverse=not reverse)
        return [gradients.get(v) for v in step.inputs]

    return own, pullback


def _active_inputs(body: Program, is_active: Sequence[bool], consts: int, carries: int) -> list[int]:
    """Body inputs that a gradient reaches: the active operands, and every carry that comes to depend on one."""
    active = {i for i, live in enumerate(is_active) if live and is_float(body.inputs[i].spec.dtype)}
    while True:
        reached = _reached(body, active)
        more = {consts + c for c in range(carries) if body.outputs[c] in reached} - active
        if not more:
            return sorted(active)
        active |= more


def _reached(body: Program, active: AbstractSet[int]) -> set[Value]:
    """The values that depend differentiably on the inputs `active`."""
    reached = {body.inputs[i] for i in active}
    for equation in body.equations:
        if equation.op.differentiable and not reached.isdisjoint(equation.inputs):
            reached.update(v for v in equation.outputs if is_float(v.spec.dtype))
    return reached


class _JointStep(NamedTuple):
    """One step as a program from inputs and cotangents to outputs and gradients, with the role of each value.

    Attributes:
        program: the joint program; every value below belongs to it.
        consts: loop-invariant inputs.
        carries: the carries before the step.
        slices: one slice of each stacked operand.
        outputs: the carries after the step, then one slice of each stacked output.
        cotangents: one per output; None where the output is not a float.
        gradients: the gradient of each active input.
        makers: the equation that computes each value.
        backward: the values that depend on a cotangent.
        invariant: the values that depend on `consts` only.
    """

    program: Program
    consts: tuple[Value, ...]
    carries: tuple[Value, ...]
    slices: tuple[Value, ...]
    outputs: tuple[Value, ...]
    cotangents: tuple[Value | None, ...]
    gradients: Mapping[Value, Value]
    makers: Mapping[Value, Equation]
    backward: frozenset[Value]
    invariant: frozenset[Value]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The inputs of the loop's body."""
        return (*self.consts, *self.carries, *self.slices)

    @property
    def carry_cotangents(self) -> dict[Value, Value]:
        """The cotangent of each carry that is a float."""
        after = self.cotangents[: len(self.carries)]
        return {carry: g for carry, g in zip(self.carries, after, strict=True) if g is not None}

    @property
    def slice_cotangents(self) -> list[Value]:
        """The cotangents of the stacked outputs that are floats."""
        return [g for g in self.cotangents[len(self.carries) :] if g is not None]

    def active(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """Those of `inputs` that have a gradient."""
        return tuple(v for v in inputs if v in self.gradients)


def _joint_step(body: Program, active: Sequence[int], consts: int, carries: int) -> _JointStep:
    program = simplify(gradient_program(body, active))
    inputs, given = program.inputs[: len(body.inputs)], iter(program.inputs[len(body.inputs) :])
    outputs, gradients = program.outputs[: len(body.outputs)], program.outputs[len(body.outputs) :]
    cotangents = tuple(next(given) if is_float(v.spec.dtype) else None for v in outputs)
    backward, invariant = {g for g in cotangents if g is not None}, set(inputs[:consts])
    for equation in program.equations:
        if not backward.isdisjoint(equation.inputs):
            backward.update(equation.outputs)
        elif invariant.issuperset(equation.inputs):
            invariant.update(equation.outputs)
    return _JointStep(
        program=program,
        consts=inputs[:consts],
        carries=inputs[consts : consts + carries],
        slices=inputs[consts + carries :],
        outputs=outputs,
        cotangents=cotangents,
        gradients=dict(zip([inputs[i] for i in active], gradients, strict=True)),
        makers=makers_of(program),
        backward=frozenset(backward),
        invariant=frozenset(invariant),
    )


class _AfterLoop(NamedTuple):
    """A sum over all steps that is computed after the loop, from the stacks of `factors`."""

    factors: tuple[Value, ...]
    compute: Callable[[Mapping[Value, Value]], Value]


class _Plan(NamedTuple):
    """What the forward loop stacks, and what the backward loop computes for each input of a step.

    Attributes:
        step: the joint program; every value below belongs to it.
        residuals: forward values that the forward loop stacks for the backward loop.
        equations: the equations of the backward loop, with the forward ones that it rematerialises.
        carried: the active carries: the loop carries their cotangents.
        summed: the active consts whose gradients the loop adds up.
        contracted: the other active consts: their gradients are computed after the loop.
        sliced: the active slices: each step returns the slices of their gradients.
        read: the residuals and slices that a step reads.
        stacked: the values that the backward loop stacks for `contracted`.
        outputs: what a step computes: the gradients of `carried`, `summed` and `sliced`, then `stacked`.
    """

    step: _JointStep
    residuals: tuple[Value, ...]
    equations: tuple[Equation, ...]
    carried: tuple[Value, ...]
    summed: tuple[Value, ...]
    contracted: Mapping[Value, _AfterLoop]
    sliced: tuple[Value, ...]
    read: tuple[Value, ...]
    stacked: tuple[Value, ...]
    outputs: tuple[Value, ...]


def _plan(step: _JointStep) -> _Plan:
    reads = _reads(step, _cheap_to_rematerialise(step, _reads(step)))
    carried, sliced = step.active(step.carries), step.active(step.slices)
    summed, contracted = _sums_over_steps(step)
    # stacks that exist before the backward loop
    known = dict.fromkeys((*reads.residuals, *step.slices))
    factors = dict.fromkeys(v for found in contracted.values() for v in found.factors)
    stacked = tuple(v for v in factors if v not in known)
    outputs = (*[step.gradients[v] for v in (*carried, *summed, *sliced)], *stacked)
    # the loop is given a stack only where a step reads it: `contracted` may read it outside alone
    read = set(outputs).union(*[e.inputs for e in reads.equations])
    return _Plan(
        step=step,
        residuals=reads.residuals,
        equations=reads.equations,
        carried=carried,
        summed=summed,
        contracted=contracted,
        sliced=sliced,
        read=tuple(v for v in known if v in read),
        stacked=stacked,
        outputs=outputs,
    )


def _sums_over_steps(step: _JointStep) -> tuple[tuple[Value, ...], dict[Value, _AfterLoop]]:
    """The active consts whose gradients are added up inside the loop, and those whose are computed after it."""
    inside: list[Value] = []
    after: dict[Value, _AfterLoop] = {}
    for value in step.active(step.consts):
        found = _after_loop(step, step.gradients[value])
        if found is None:
            inside.append(value)
        else:
            after[value] = found
    return tuple(inside), after


class _Reads(NamedTuple):
    """What the backward part reads of the forward part.

    Attributes:
        residuals: the values that it reads from new stacks.
        slices: the slices of stacked operands that it reads.
        equations: its own, and those of the forward part that it computes again.
    """

    residuals: tuple[Value, ...]
    slices: frozenset[Value]
    equations: tuple[Equation, ...]


def _reads(step: _JointStep, cheap: AbstractSet[Value] = frozenset()) -> _Reads:
    """What the backward part reads when it rematerialises the values `cheap`."""
    carries, again = set(step.carries), step.invariant | cheap
    residuals: list[Value] = []
    equations = {e for e in step.program.equations if e.outputs[0] in step.backward}
    read_by_them = itertools.chain(*[e.inputs for e in step.program.equations if e in equations])
    seen = set(step.backward)

    def read(value: Value) -> None:
        if value in seen:
            return
        seen.add(value)
        equation = step.makers.get(value)
        if equation is None:
            if value in carries:
                residuals.append(value)
        elif equation.op.name in _FREE or value in again:
            equations.add(equation)
            for operand in equation.inputs:
                read(operand)
        else:
            residuals.append(value)

    for value in (*read_by_them, *step.gradients.values()):
        read(value)
    ordered = tuple(e for e in step.program.equations if e in equations)
    return _Reads(tuple(residuals), frozenset(seen.intersection(step.slices)), ordered)


def _cheap_to_rematerialise(step: _JointStep, reads: _Reads) -> set[Value]:
    """Residuals that a few cheap equations compute from the others, and the values on the way to them."""
    kept = set(reads.residuals)
    cheap: set[Value] = set()
    order = {v: i for i, e in enumerate(step.program.equations) for v in e.outputs}
    for value in sorted(reads.residuals, key=lambda v: order.get(v, -1), reverse=True):
        path = _cheap_path(step, value, (kept - {value}) | reads.slices)
        if path is not None and len(path) <= _MAX_REMATERIALISED:
            kept.discard(value)
            cheap |= path
    return cheap


def _cheap_path(step: _JointStep, value: Value, kept: AbstractSet[Value]) -> set[Value] | None:
    """The values that cheap equations compute on the way from `kept` to `value`; None where others are needed."""
    equation = step.makers.get(value)
    if equation is None or equation.op.name not in _CHEAP:
        return None
    path: set[Value] = set() if equation.op.name in _FREE else {value}
    for operand in equation.inputs:
        if operand in kept or operand in step.invariant:
            continue
        before = _cheap_path(step, operand, kept)
        if before is None:
            return None
        path |= before
    return path


def _after_loop(step: _JointStep, value: Value) -> _AfterLoop | None:
    """The sum of `value` over all steps, computed after the loop, or None where only adding up inside does it."""
    equation = step.makers.get(value)
    if equation is None:
        return None
    op, inputs = equation.op, equation.inputs
    if op in (p.add, p.transpose, p.reshape):
        return _after_linear(step, equation)
    if op not in (p.reduce_sum, p.contract) or not step.invariant.isdisjoint(inputs):
        return None
    attrs = _over_steps(equation)

    def compute(stacks: Mapping[Value, Value]) -> Value:
        return op.bind(*[stacks[v] for v in inputs], **attrs)

    return _AfterLoop(inputs, compute)


def _after_linear(step: _JointStep, equation: Equation) -> _AfterLoop | None:
    """The sum of a linear op's result: the op applied to the sums of its operands."""
    operands: list[_AfterLoop] = []
    for value in equation.inputs:
        found = _after_loop(step, value)
        if found is None:
            return None
        operands.append(found)
    factors = tuple(v for found in operands for v in found.factors)

    def compute(stacks: Mapping[Value, Value]) -> Value:
        return equation.op.bind(*[found.compute(stacks) for found in operands], **equation.attrs)

    return _AfterLoop(factors, compute)


def _over_steps(equation: Equation) -> dict[str, Any]:
    """The attributes with which a sum or a contraction of each step becomes one over the stacks of all steps."""
    attrs = equation.attrs
    if equation.op is p.reduce_sum:
        return {"axes": _with_steps(attrs["axes"])}
    left, right = attrs["contracting"]
    batch = tuple(tuple(a + 1 for a in axes) for axes in attrs["batch"])
    return {"contracting": (_with_steps(left), _with_steps(right)), "batch": batch}


def _with_steps(axes: Sequence[int]) -> tuple[int, ...]:
    """The axes of a stack that hold the steps and `axes` of each step."""
    return (0, *[a + 1 for a in axes])


def _backward_body(plan: _Plan) -> Program:
    """One step of the backward loop.

    Its inputs are the consts, the cotangents of `carried`, the totals of `summed`, one slice of the cotangent of each
    stacked output, and one slice of each stack that is read; it returns the outputs of the plan.
    """
    step = plan.step
    cotangents = step.carry_cotangents
    with Trace() as trace:
        inside = {v: trace.input(v.spec) for v in (*step.consts, *[cotangents[v] for v in plan.carried])}
        totals = [trace.input(v.spec) for v in plan.summed]
        inside |= {v: trace.input(v.spec) for v in (*step.slice_cotangents, *plan.read)}
        # a carry that no gradient reaches
        inside |= {g: full_of(g.spec, 0) for g in cotangents.values() if g not in inside}
        results = iter(replay(Program([*inside], plan.equations, plan.outputs), [*inside.values()]))
        carried = [next(results) for _ in plan.carried]
        summed = [p.add.bind(total, next(results)) for total in totals]
        return trace.program([*carried, *summed, *results])


def _backward_loop(
    plan: _Plan, known: Mapping[Value, Value], cotangents: Mapping[Value, Value], *, length: int, reverse: bool
) -> dict[Value, Value]:
    """Run the backward loop; the gradient of each active input of a step, stacked where the input is a slice.

    Args:
        plan: what the loop does.
        known: the operand of the forward loop for each input of a step, and the stack of each residual.
        cotangents: of the forward loop's outputs, for each cotangent of a step.
        length: the number of steps.
        reverse: the direction of this loop.
    """
    step = plan.step
    body = _backward_body(plan)
    start = [cotangents[step.carry_cotangents[v]] for v in plan.carried]
    start += [full_of(v.spec, 0) for v in plan.summed]
    stacks = [*[cotangents[v] for v in step.slice_cotangents], *[known[v] for v in plan.read]]
    fixed = [known[v] for v in step.consts]
    results = iter(
        as_tuple(
            p.scan.bind(
                *fixed,
                *start,
                *stacks,
                body=body,
                consts=len(fixed),
                carries=len(start),
                length=length,
                reverse=reverse,
            )
        )
    )
    gradients = {v: next(results) for v in (*plan.carried, *plan.summed, *plan.sliced)}
    stacked = {**known, **dict(zip(plan.stacked, results, strict=True))}
    return gradients | {v: rule.compute(stacked) for v, rule in plan.contracted.items()}
