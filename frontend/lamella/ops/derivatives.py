"""`custom_gradient`: an op that holds a program and the program of its derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.program import Program, as_tuple, op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ir.trace import Trace, as_value, replay
from lamella.ops.coerce import as_tensor, full_of
from lamella.tree import flatten, unflatten

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


@op
def custom_gradient_(*operands: Spec, body: Program, gradient: Program) -> tuple[Spec, ...]:
    """The outputs of `body`; its derivative is the program `gradient`, from operands and cotangents to gradients."""
    if body.input_specs != operands or gradient.input_specs != (*operands, *body.output_specs):
        raise ShapeError("the inputs of the programs of a custom_gradient must match its operands.")
    return body.output_specs


@custom_gradient_.define
def _(*operands: Any, body: Program, gradient: Program) -> tuple[Tensor, ...]:
    return tuple(replay(body, operands))


@custom_gradient_.def_vjp
def _(g: Any, y: ArrayLike, *operands: Any, body: Program, gradient: Program) -> Any:
    found = iter(replay(gradient, (*operands, *as_tuple(g))))
    # The outputs are the gradients of the arguments; captured values have none.
    count = len(gradient.outputs)
    return tuple(next(found) if i < count else None for i in range(len(operands)))


def with_gradient(f: Callable[..., Any], xs: Sequence[Any]) -> Any:
    """The value of `f(*xs) -> (value, grad)`, differentiated by `grad`."""
    xs = [as_tensor(x) for x in xs]
    for x in xs:
        if not is_float(spec_of(x).dtype):
            raise DTypeError(f"arguments of a custom_gradient must be floats, got {spec_of(x)}.")
    with Trace(captures_arrays=True) as inner:
        inputs = [inner.input(spec_of(x)) for x in xs]
        value, rule = f(*inputs)
        leaves, structure = flatten(value)
        outputs = [inner.local(as_value(as_tensor(y))) for y in leaves]
        cotangents = [inner.input(spec_of(y)) for y in outputs]
        found = rule(*cotangents)
        found = list(found) if isinstance(found, tuple | list) else [found]
        if len(found) != len(xs):
            raise ArgumentError(f"grad must return one gradient for each of {len(xs)} arguments, got {len(found)}.")
        gradients = [
            inner.local(as_value(full_of(spec_of(x), 0) if g is None else as_tensor(g, spec_of(x).dtype)))
            for x, g in zip(xs, found, strict=True)
        ]
    for i, (x, g) in enumerate(zip(xs, gradients, strict=True)):
        if spec_of(g) != spec_of(x):
            raise ShapeError(f"grad must return {spec_of(x)} for argument {i}, got {spec_of(g)}.")
    captured = [value for _, value in inner.captures]
    before = (*inputs, *captured)
    body = _needed(before, inner, outputs)
    gradient = _needed((*before, *cotangents), inner, gradients)
    result = custom_gradient_.bind(*xs, *[outer for outer, _ in inner.captures], body=body, gradient=gradient)
    return unflatten(structure, as_tuple(result))


def _needed(inputs: Sequence[Any], inner: Trace, outputs: Sequence[Any]) -> Program:
    """The program from `inputs` to `outputs`, of the equations these depend on."""
    needed, kept = set(outputs), []
    for equation in reversed(inner.equations):
        if any(v in needed for v in equation.outputs):
            kept.append(equation)
            needed.update(equation.inputs)
    return Program(inputs, kept[::-1], outputs)
