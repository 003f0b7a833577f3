"""Ops that hold a program: `scan`, a loop over time, and `foreach`, one elementwise rule over many tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError, ShapeError
from lamella.ir import interpret
from lamella.ir.dim import differ, shapes_differ
from lamella.ir.program import Equation, Program, as_tuple, op
from lamella.ir.spec import Spec, spec_of, specs_differ
from lamella.ir.trace import Trace, as_value, bind, replay
from lamella.ops.coerce import as_tensor
from lamella.ops.shapes import concatenate_, reshape_, slice_
from lamella.tracebacks import filtered
from lamella.tree import flatten, unflatten

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


@op
def scan_(*operands: Spec, body: Program, consts: int, carries: int, length: int, reverse: bool) -> tuple[Spec, ...]:
    """A loop over `consts`, initial carries and stacked inputs (time first) that applies the body once per step.

    The body's inputs are the consts, the carries and one slice of each stacked input; its outputs the new carries and
    one slice of each stacked output. Returns the last carries and the stacked outputs. With `reverse` time runs from
    the last slice to the first; slice t of an output still belongs to slice t of the inputs.
    """
    fixed, stacked = operands[: consts + carries], operands[consts + carries :]
    slices = tuple(Spec(s.shape[1:], s.dtype) for s in stacked)
    if any(s.ndim < 1 or differ(s.shape[0], length) for s in stacked):
        raise ShapeError(f"stacked inputs must have {length} steps first, got {', '.join(map(str, stacked))}.")
    if specs_differ(body.input_specs, (*fixed, *slices)):
        raise ShapeError("the body's inputs do not fit the operands.")
    results = body.output_specs
    if specs_differ(results[:carries], fixed[consts:]):
        came, given = ", ".join(map(str, results[:carries])), ", ".join(map(str, fixed[consts:]))
        raise ShapeError(
            f"a carry must keep its spec through a step: it starts as {given} and the body returns {came}."
        )
    return (*results[:carries], *[Spec((length, *s.shape), s.dtype) for s in results[carries:]])


def _step_slice(x: Tensor, t: int) -> Tensor:
    shape = spec_of(x).shape
    part = slice_.bind(x, start=(t, *[0] * (len(shape) - 1)), stop=(t + 1, *shape[1:]), strides=(1,) * len(shape))
    return reshape_.bind(part, shape=shape[1:])


@scan_.define
def _(*operands: Any, body: Program, consts: int, carries: int, length: int, reverse: bool) -> tuple[Tensor, ...]:
    fixed, carry = list(operands[:consts]), list(operands[consts : consts + carries])
    stacked = operands[consts + carries :]
    steps: list[list[Any]] = [[] for _ in body.outputs[carries:]]
    for t in reversed(range(length)) if reverse else range(length):
        results = replay(body, [*fixed, *carry, *[_step_slice(x, t) for x in stacked]])
        carry = results[:carries]
        for slices, y in zip(steps, results[carries:], strict=True):
            slices.append(reshape_.bind(y, shape=(1, *spec_of(y).shape)))
    joined = [concatenate_.bind(*(slices[::-1] if reverse else slices), axis=0) for slices in steps]
    return (*carry, *joined)


@filtered
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """The last carry and the stacked ys of `carry, y = f(carry, x)` over the leading axis of `xs`, as `jax.lax.scan`.

    Args:
        f: the step, written in `lamella.ops`; values of the surrounding code may be used inside.
        init: the first carry: a value or a nested tuple, list or dict of values. Every step must keep its shapes and
            dtypes.
        xs: stacked inputs (time first), nested likewise, or None.
        length: the number of steps, needed when `xs` is None.
        reverse: whether to run from the last step to the first; ys stay in the order of `xs`.
        unroll: with True every step is written into the program, without a loop; a number of steps is a hint that no
            backend uses, and changes no result.

    Returns:
        A tuple of the last carry and the ys with a leading axis.

    Raises:
        ArgumentError: the number of steps is not known, or the leading axes differ in length.
        ShapeError: the step changes the structure, a shape or a dtype of the carry.

    Example:
        >>> from lamella import ops
        >>> ops.scan(lambda total, x: (total + x, total + x), 0.0, ops.array([1.0, 2.0, 3.0]))
        (array(6., dtype=float32), array([1., 3., 6.], dtype=float32))
    """
    first, carry_tree = flatten(init)
    stacked, xs_tree = flatten(xs)
    first, stacked = [as_tensor(c) for c in first], [as_tensor(x) for x in stacked]
    steps = [*({length} if length is not None else ()), *[spec_of(x).shape[0] for x in stacked]]
    if not steps or any(differ(n, steps[0]) for n in steps):
        raise ArgumentError(f"scan needs one number of steps, got {sorted(set(steps), key=str)}.")
    count = steps[0]
    with Trace(captures_arrays=True) as inner:
        carry_in = [inner.input(spec_of(c)) for c in first]
        slices = [inner.input(Spec(spec_of(x).shape[1:], spec_of(x).dtype)) for x in stacked]
        carry_out, ys = f(unflatten(carry_tree, carry_in), unflatten(xs_tree, slices))
        flat_carry, out_tree = flatten(carry_out)
        flat_ys, ys_tree = flatten(ys)
        if out_tree != carry_tree:
            raise ShapeError("the step must return a carry of the structure it was given.")
        outputs = [as_value(v) for v in (*flat_carry, *flat_ys)]
        body = inner.program(outputs)
    consts = [outer for outer, _ in inner.captures]
    n = len(consts)
    # Captured values are the last inputs of the trace's program; the op expects them first.
    ordered = Program(
        (*body.inputs[len(body.inputs) - n :], *body.inputs[: len(body.inputs) - n]), body.equations, body.outputs
    )
    loop: dict[str, Any] = {"consts": n, "carries": len(first), "length": count, "reverse": reverse}
    apply = scan_.definition if unroll is True and scan_.definition is not None and count != 0 else scan_.bind
    results = as_tuple(apply(*consts, *first, *stacked, body=ordered, **loop))
    return unflatten(carry_tree, results[: len(first)]), unflatten(ys_tree, results[len(first) :])


@op
def foreach_(*operands: Spec, body: Program, tensors: int, groups: int) -> tuple[Spec, ...]:
    """One elementwise rule over many tensors: the operands are `groups` lists of `tensors` operands each, then scalars.

    The body is a program of scalars: one input per group, then the scalar operands; one output per result list. Element
    by element, result list r of tensor i is output r of the body at the i-th operands of every group. A backend may run
    the rule over the concatenation of all tensors.
    """
    shapes = [s.shape for s in operands[:tensors]]
    for group in range(groups):
        part = operands[group * tensors : (group + 1) * tensors]
        if any(map(shapes_differ, [s.shape for s in part], shapes)) or len({s.dtype for s in part}) > 1:
            raise ShapeError(f"group {group} of a foreach does not match the first: {', '.join(map(str, part))}.")
    if any(s.shape != () for s in (*body.input_specs, *body.output_specs)):
        raise ShapeError("the body of a foreach is a program of scalars.")
    return tuple(Spec(shape, out.dtype) for out in body.output_specs for shape in shapes)


@foreach_.define
def _(*operands: Any, body: Program, tensors: int, groups: int) -> tuple[Tensor, ...]:
    scalars = operands[groups * tensors :]
    columns = [
        elementwise_replay(body, [*[operands[g * tensors + i] for g in range(groups)], *scalars])
        for i in range(tensors)
    ]
    return tuple(column[r] for r in range(len(body.outputs)) for column in columns)


def elementwise_replay(body: Program, arguments: Sequence[Any]) -> list[Any]:
    """A program of scalars applied element by element; operands broadcast, and results have the full shape."""
    from lamella.ops.coerce import broadcast_shape, broadcast_to
    from lamella.ops.elementwise import convert

    def apply(equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        if equation.op is convert:
            return (convert.bind(operands[0], **equation.attrs),)
        shape = broadcast_shape(*[tuple(spec_of(x).shape) for x in operands]) if operands else ()
        return as_tuple(bind(equation.op, tuple(broadcast_to(x, shape) for x in operands), equation.attrs))

    shape = broadcast_shape(*[tuple(spec_of(x).shape) for x in arguments])
    return [broadcast_to(y, shape) for y in interpret.run(body, arguments, apply)]


@filtered
def foreach(
    rule: Callable[..., Sequence[Any]], groups: Sequence[Sequence[Any]], scalars: Sequence[Any] = ()
) -> list[list[Any]]:
    """Lists of the results of an elementwise `rule(*one of each group, *scalars)` for every tensor.

    A backend may run the rule once over the concatenation of all tensors (multi-tensor apply), which saves the overhead
    of many small operations, for example in an optimizer.

    Args:
        rule: written in elementwise ops on scalars; returns a sequence of results.
        groups: lists of equally many tensors; the i-th tensors of all groups have one shape.
        scalars: values of shape () that every tensor shares.

    Returns:
        One list of tensors per result of the rule.

    Raises:
        ShapeError: the shapes or dtypes within the groups do not match.

    Example:
        >>> from lamella import ops
        >>> weights, gradients = [ops.ones(2), ops.ones((1, 3))], [ops.full(2, 4.0), ops.full((1, 3), 8.0)]
        >>> ops.foreach(lambda w, g, rate: [w - rate * g], [weights, gradients], [0.125])
        [[array([0.5, 0.5], dtype=float32), array([[0., 0., 0.]], dtype=float32)]]
    """
    tensors = len(groups[0])
    if tensors == 0:
        return []
    flat = [as_tensor(x) for group in groups for x in group]
    shared = [as_tensor(s) for s in scalars]
    with Trace(captures_arrays=True) as inner:
        inputs = [inner.input(Spec((), spec_of(flat[g * tensors]).dtype)) for g in range(len(groups))]
        inputs += [inner.input(Spec((), spec_of(s).dtype)) for s in shared]
        body = inner.program([as_value(v) for v in rule(*inputs)])
    captured = [outer for outer, _ in inner.captures]
    results = as_tuple(foreach_.bind(*flat, *shared, *captured, body=body, tensors=tensors, groups=len(groups)))
    return [list(results[r * tensors : (r + 1) * tensors]) for r in range(len(body.outputs))]
