"""The derivative of `scan`: a forward loop that keeps what is needed, and a backward loop in the opposite direction.

The joint program of one step (its outputs, and its gradients for given cotangents) is cut in two. The forward part runs in
the forward loop and stacks the values the backward part reads (the residuals); constants, spread scalars and whatever
depends on loop-invariant operands only are made again instead, and so is what little arithmetic makes from other residuals
(the slope y * (1 - y) of a sigmoid): that is faster than to write it to memory and read it back. A gradient that the steps
add up for an invariant operand (a weight) is, where it is a contraction or a sum, not added up inside the loop at all: its
factors are stacked, and one contraction over steps and rows follows the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lamella.ir.program import Equation, Program, Value
from lamella.ir.spec import Spec, is_float
from lamella.ir.trace import Trace, at, bind
from lamella.ops import primitives as p
from lamella.ops.coerce import full_of
from lamella.passes.differentiate import Pullback, gradient_program
from lamella.passes.simplify import dead_code, simplify

_FREE = ("constant", "iota", "broadcast", "reshape", "transpose")
"""Ops whose results the backward loop makes again rather than reading them from a stack."""

_CHEAP = (*_FREE, "add", "subtract", "multiply", "negative", "abs", "equal", "less", "less_equal", "select")
"""Ops that cost less than the way of their results to a stack and back."""

_FEW = 4
"""So many cheap equations at most take the place of a residual."""

After = Callable[[Callable[[Value], Value]], Value]
"""What follows the loop: given the stack of a step's value, the gradient."""


def linearize_scan(
    *operands: Value, is_active: Sequence[bool], body: Program, consts: int, carries: int, length: int, reverse: bool
) -> tuple[Sequence[Value], Pullback]:
    """The derivative of `scan`: its outputs, and the function that pulls their cotangents back to the operands."""
    body = simplify(body)
    active = _active_inputs(body, is_active, consts, carries)
    parts = _Parts(simplify(gradient_program(body, active)), body, active, consts, carries)
    forward = dead_code(Program(parts.inputs, parts.joint.equations, [*parts.outputs, *parts.residuals]))
    results = p.scan.bind(*operands, body=forward, consts=consts, carries=carries, length=length, reverse=reverse)
    results = results if isinstance(results, tuple) else (results,)
    own, stacks = results[: len(body.outputs)], results[len(body.outputs) :]

    def pullback(gs: Sequence[Value | None]) -> Sequence[Value | None]:
        return _backward_loop(parts, operands, stacks, own, gs, length, reverse)

    return own, pullback


def _active_inputs(body: Program, is_active: Sequence[bool], consts: int, carries: int) -> list[int]:
    """Body inputs a gradient flows through: the active operands, and every carry that comes to depend on one."""
    active = {i for i, live in enumerate(is_active) if live and is_float(body.inputs[i].spec.dtype)}
    while True:
        reached = {body.inputs[i] for i in active}
        for equation in body.equations:
            if any(v in reached for v in equation.inputs) and equation.op.differentiable:
                reached.update(v for v in equation.outputs if is_float(v.spec.dtype))
        more = {consts + c for c in range(carries) if body.outputs[c] in reached} - active
        if not more:
            return sorted(active)
        active |= more


class _Parts:
    """A step's joint program, cut into what runs forward and what needs a cotangent and so runs backward.

    Attributes:
        inputs: the body's inputs; `outputs`: its outputs.
        cotangents: a value for each float output; `gradients`: a value for each number in `active`.
        residuals: forward values that the backward part reads and the forward loop stacks.
        backward: the equations of the backward part, with those it makes again for itself.
    """

    def __init__(self, joint: Program, body: Program, active: Sequence[int], consts: int, carries: int) -> None:
        self.joint, self.active, self.consts, self.carries = joint, active, consts, carries
        count, results = len(body.inputs), len(body.outputs)
        self.inputs, cotangents = joint.inputs[:count], iter(joint.inputs[count:])
        self.outputs, gradients = joint.outputs[:results], joint.outputs[results:]
        self.cotangents = {i: next(cotangents) for i, v in enumerate(self.outputs) if is_float(v.spec.dtype)}
        self.gradients = dict(zip(active, gradients, strict=True))
        self.late = set(self.cotangents.values())
        self.invariant = set(self.inputs[:consts])
        for equation in joint.equations:
            if any(v in self.late for v in equation.inputs):
                self.late.update(equation.outputs)
            elif all(v in self.invariant for v in equation.inputs):
                self.invariant.update(equation.outputs)
        self.made = {v: e for e in joint.equations for v in e.outputs}
        self.slices = self.inputs[consts + carries :]
        self._carried = set(self.inputs[consts : consts + carries])
        self.residuals: list[Value] = []
        self._again: set[int] = set()
        self._seen: set[Value] = set()
        self._remade: set[Value] = set()
        self._read_all()
        self._remade = self._made_of_others()
        self._read_all()
        self.backward = [e for e in joint.equations if id(e) in self._again or e.outputs[0] in self.late]

    def _read_all(self) -> None:
        """Provide the backward part with all that it reads."""
        self.residuals.clear()
        self._again.clear()
        self._seen.clear()
        for equation in self.joint.equations:
            if equation.outputs[0] in self.late:
                for value in equation.inputs:
                    self._read(value)
        for value in self.gradients.values():
            self._read(value)

    def _read(self, value: Value) -> None:
        """Provide the backward part with a forward value: again, from a stack that exists, or from a new one."""
        if value in self._seen or value in self.late:
            return
        self._seen.add(value)
        equation = self.made.get(value)
        if equation is not None and (equation.op.name in _FREE or value in self.invariant or value in self._remade):
            self._again.add(id(equation))
            for operand in equation.inputs:
                self._read(operand)
        elif equation is not None or value in self._carried:
            self.residuals.append(value)

    def _made_of_others(self) -> set[Value]:
        """What the backward part had better make again: residuals, and what leads to them from those that are left."""
        kept, remade = set(self.residuals), set()
        read = self._seen.intersection(self.slices)
        place = {v: i for i, e in enumerate(self.joint.equations) for v in e.outputs}
        for value in sorted(self.residuals, key=lambda v: place.get(v, -1), reverse=True):
            path = self._path(value, (kept - {value}) | read)
            if path is not None and len(path) <= _FEW:
                kept.discard(value)
                remade |= path
        return remade

    def _path(self, value: Value, kept: set[Value]) -> set[Value] | None:
        """The values that cheap equations make on the way from `kept` to `value`; None where there is no such way."""
        equation = self.made.get(value)
        if equation is None or equation.op.name not in _CHEAP:
            return None
        path = set() if equation.op.name in _FREE else {value}
        for operand in equation.inputs:
            if operand in kept or operand in self.invariant:
                continue
            before = self._path(operand, kept)
            if before is None:
                return None
            path |= before
        return path

    def after(self, value: Value) -> After | None:
        """How to get the sum of `value` over all steps from stacks after the loop, or None where only adding up does."""
        equation = self.made.get(value)
        if equation is None:
            return None
        op, attrs, inputs = equation.op, equation.attrs, equation.inputs
        if op is p.add:
            left, right = self.after(inputs[0]), self.after(inputs[1])
            return None if left is None or right is None else lambda stack: p.add.bind(left(stack), right(stack))
        if op is p.transpose:
            inner = self.after(inputs[0])
            return None if inner is None else lambda stack: p.transpose.bind(inner(stack), **attrs)
        if op is p.reshape:
            inner = self.after(inputs[0])
            return None if inner is None else lambda stack: p.reshape.bind(inner(stack), **attrs)
        if any(v in self.invariant for v in inputs):
            return None
        if op is p.reduce_sum:
            axes = (0, *[a + 1 for a in attrs["axes"]])
            return lambda stack: p.reduce_sum.bind(stack(inputs[0]), axes=axes)
        if op is p.contract:
            (left, right), batch = attrs["contracting"], attrs["batch"]
            contracting = ((0, *[a + 1 for a in left]), (0, *[a + 1 for a in right]))
            shifted = tuple(tuple(a + 1 for a in axes) for axes in batch)
            return lambda stack: p.contract.bind(
                stack(inputs[0]), stack(inputs[1]), contracting=contracting, batch=shifted
            )
        return None


def _backward_loop(
    parts: _Parts,
    operands: Sequence[Value],
    stacks: Sequence[Value],
    own: Sequence[Value],
    gs: Sequence[Value | None],
    length: int,
    reverse: bool,
) -> Sequence[Value | None]:
    consts, carries = parts.consts, parts.carries
    given = {i: full_of(own[i].spec, 0) if gs[i] is None else gs[i] for i in parts.cotangents}
    moving = [i - consts for i in parts.active if consts <= i < consts + carries]
    sliced = [i for i in parts.active if i >= consts + carries]
    afters = {i: parts.after(parts.gradients[i]) for i in parts.active if i < consts}
    adding = [i for i, rule in afters.items() if rule is None]
    # stacks that exist before the backward loop: residuals, and the stacked operands themselves
    known = dict(zip(parts.residuals, stacks, strict=True))
    known |= dict(zip(parts.slices, operands[consts + carries :], strict=True))
    wanted: dict[Value, None] = {}  # an ordered set

    def want(value: Value) -> Value:
        if value not in known:
            wanted[value] = None
        return value

    for rule in afters.values():
        if rule is not None:
            _collect(rule, want)
    outputs_given = [i for i in given if i >= carries]
    # a stack is handed to the loop only where a step reads it: `after` may want it outside alone
    read = {v for e in parts.backward for v in e.inputs} | {parts.gradients[i] for i in (*sliced, *adding)}
    read |= {parts.gradients[consts + c] for c in moving} | set(wanted)
    handed = [v for v in known if v in read]

    with Trace() as inner:
        environment: dict[Value, Value] = {}
        # the order of a scan's operands: consts, carries, stacked inputs
        for value in parts.inputs[:consts]:
            environment[value] = inner.input(value.spec)
        for c in moving:
            environment[parts.cotangents[c]] = inner.input(parts.cotangents[c].spec)
        sums = [inner.input(parts.inputs[i].spec) for i in adding]
        for i in outputs_given:
            environment[parts.cotangents[i]] = inner.input(parts.cotangents[i].spec)
        for value in handed:
            environment[value] = inner.input(value.spec)
        for i, value in parts.cotangents.items():
            if i < carries and i not in moving:
                environment[value] = full_of(value.spec, 0)
        _replay_into(environment, parts.backward)
        results = [
            *[environment[parts.gradients[consts + c]] for c in moving],
            *[p.add.bind(total, environment[parts.gradients[i]]) for total, i in zip(sums, adding, strict=True)],
            *[environment[parts.gradients[i]] for i in sliced],
            *[environment[v] for v in wanted],
        ]
        step = inner.program(results)

    fixed = operands[:consts]
    start = [*[given[c] for c in moving], *[full_of(parts.inputs[i].spec, 0) for i in adding]]
    stacked = [*[given[i] for i in outputs_given], *[known[v] for v in handed]]
    out = p.scan.bind(
        *fixed, *start, *stacked, body=step, consts=consts, carries=len(start), length=length, reverse=not reverse
    )
    flat = list(out) if isinstance(out, tuple) else [out]
    known |= dict(zip(wanted, flat[len(start) + len(sliced) :], strict=True))
    gradients: dict[int, Value | None] = {}
    gradients |= {consts + c: flat[k] for k, c in enumerate(moving)}
    gradients |= {i: flat[len(moving) + k] for k, i in enumerate(adding)}
    gradients |= {i: flat[len(start) + k] for k, i in enumerate(sliced)}
    for i, rule in afters.items():
        if rule is not None:
            gradients[i] = rule(known.__getitem__)
    return [gradients.get(i) for i in range(len(operands))]


def _collect(rule: After, want: Callable[[Value], Value]) -> None:
    """Find which stacks `rule` asks for, by running it in a trace that is thrown away."""
    with Trace() as scratch:

        def stack(value: Value) -> Value:
            want(value)
            return scratch.input(Spec((1, *value.spec.shape), value.spec.dtype))

        rule(stack)


def _replay_into(environment: dict[Value, Value], equations: Sequence[Equation]) -> None:
    for equation in equations:
        with at(equation.where):
            result = bind(equation.op, tuple(environment[v] for v in equation.inputs), equation.attrs)
        results = result if isinstance(result, tuple) else (result,)
        environment.update(zip(equation.outputs, results, strict=True))
