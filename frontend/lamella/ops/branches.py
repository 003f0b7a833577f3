"""`switch`: an op that holds one program per branch and computes the one that an index selects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.program import Program, Value, as_tuple, op
from lamella.ir.spec import Spec, is_integer, spec_of
from lamella.ir.trace import Trace, as_value, replay
from lamella.ops.coerce import as_tensor, broadcast_to, full_of
from lamella.ops.comparison import equal, logical, select
from lamella.ops.elementwise import cast, maximum, minimum
from lamella.tracebacks import filter_functions
from lamella.tree import flatten, unflatten

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


@op
def switch_(index: Spec, *operands: Spec, branches: tuple[Program, ...]) -> tuple[Spec, ...]:
    """The outputs of the branch that `index` (int32, clipped to the valid range) selects; no other is computed.

    Every branch takes the operands and returns the same specs. The definition computes all branches and selects one.
    Common subexpressions are not shared between the inside and the outside of a branch, even if it is the only branch.
    """
    if index != Spec((), "int32"):
        raise DTypeError(f"the index of a switch must be an int32 scalar, got {index}.")
    for branch in branches:
        if branch.input_specs != operands:
            raise ShapeError("the inputs of a branch do not fit the operands.")
    first = branches[0].output_specs
    for i, branch in enumerate(branches):
        if branch.output_specs != first:
            raise ShapeError(
                f"the branches must return the same: branch 0 returns {_listed(first)}, branch {i} "
                f"{_listed(branch.output_specs)}."
            )
    return first


def _listed(specs: Sequence[Spec]) -> str:
    return ", ".join(map(str, specs)) or "nothing"


@switch_.define
def _(index: Any, *operands: Any, branches: tuple[Program, ...]) -> Any:
    last = full_of(spec_of(index), len(branches) - 1)
    index = minimum(maximum(index, full_of(spec_of(index), 0)), last)
    chosen = replay(branches[0], operands)
    for i, branch in enumerate(branches[1:], start=1):
        here = equal(index, full_of(spec_of(index), i))
        chosen = [
            select.bind(broadcast_to(here, spec_of(y).shape), y, other)
            for y, other in zip(replay(branch, operands), chosen, strict=True)
        ]
    return tuple(chosen)


def switch(index: ArrayLike, branches: Sequence[Callable[..., Any]], *operands: Any) -> Tensor:
    """`branches[index](*operands)`; only that branch is computed, and it is differentiable.

    The branches are traced once each, are written in `lamella.ops`, and return values of the same shapes and dtypes;
    values of the surrounding code may be used inside. A branch must not change anything outside (no `assign`, no
    `add_loss`).

    Args:
        index: an integer scalar; one outside is moved to the nearest branch.
        branches: functions of the operands.
        *operands: values or nested tuples, lists or dicts of them.

    Returns:
        The result of the branch.

    Raises:
        ShapeError: the branches return different structures, shapes or dtypes.
        DTypeError: the index is not an integer scalar.
        ArgumentError: there are no branches.

    Example:
        >>> from lamella import ops
        >>> ops.switch(1, [lambda x: x + 1.0, lambda x: x * 10.0], 5.0)
        array(50., dtype=float32)
    """
    index = as_tensor(index)
    if not is_integer(spec_of(index).dtype) or spec_of(index).shape != ():
        raise DTypeError(f"the index of a switch must be an integer scalar, got {spec_of(index)}.")
    if not branches:
        raise ArgumentError("a switch needs at least one branch.")
    return _chosen(cast(index, "int32"), branches, operands, [f"branch {i}" for i in range(len(branches))])


def cond(pred: ArrayLike, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` if the scalar `pred` holds, else `false_fn()`; only that function is computed.

    The result is differentiable. Both functions are traced, are written in `lamella.ops`, and return values of the same
    shapes and dtypes; values of the surrounding code may be used inside. Neither must change anything outside (no
    `assign`, no `add_loss`).

    Args:
        pred: a scalar; a number holds if it is not 0.
        true_fn: a function without arguments.
        false_fn: a function without arguments.

    Returns:
        The result of the function: a value, or a nested tuple, list or dict of values.

    Raises:
        ShapeError: `pred` is not a scalar, or the functions return different structures, shapes or dtypes.

    Example:
        >>> from lamella import ops
        >>> x = ops.array([1.0, -3.0])
        >>> ops.cond(ops.sum(x) > 0, lambda: ops.sqrt(x), lambda: ops.abs(x))
        array([1., 3.], dtype=float32)
    """
    pred = logical(pred)
    if spec_of(pred).shape != ():
        raise ShapeError(
            f"the condition of a cond must be a scalar, got {spec_of(pred)}; `where` chooses entry by entry."
        )
    return _chosen(cast(pred, "int32"), (false_fn, true_fn), (), ["false_fn", "true_fn"])


def _chosen(
    index: Tensor, functions: Sequence[Callable[..., Any]], operands: Sequence[Any], names: Sequence[str]
) -> Any:
    flat, structure = flatten(tuple(operands))
    flat = [as_tensor(x) for x in flat]
    traced = [_traced(function, flat, structure) for function in functions]
    tree = traced[0][1]
    for name, (program, other, _) in zip(names, traced, strict=True):
        if other != tree or program.output_specs != traced[0][0].output_specs:
            raise ShapeError(
                f"the branches must return the same structure, shapes and dtypes: {names[0]} returns "
                f"{_listed(traced[0][0].output_specs)}, {name} returns {_listed(program.output_specs)}"
                + (" in another structure." if other != tree else "; `ops.cast` or `ops.reshape` one of them.")
            )
    # The values that any branch captured become operands of all of them.
    captured: dict[int, Any] = {id(outer): outer for _, _, outers in traced for outer in outers}
    branches = [_widened(program, len(flat), outers, captured) for program, _, outers in traced]
    results = switch_.bind(index, *flat, *captured.values(), branches=tuple(branches))
    return unflatten(tree, as_tuple(results))


def _traced(function: Callable[..., Any], flat: Sequence[Any], structure: Any) -> tuple[Program, Any, list[Any]]:
    """The program of one branch, the structure of its result, and the values that it captured."""
    with Trace(captures_arrays=True) as inner:
        inputs = [inner.input(spec_of(x)) for x in flat]
        leaves, tree = flatten(function(*unflatten(structure, inputs)))
        program = inner.program([as_value(as_tensor(y)) for y in leaves])
    return program, tree, [outer for outer, _ in inner.captures]


def _widened(program: Program, given: int, outers: Sequence[Any], captured: dict[int, Any]) -> Program:
    """`program` with one input per value that any branch captured."""
    own = dict(zip(map(id, outers), program.inputs[given:], strict=True))
    extra = [own[key] if key in own else Value(spec_of(outer)) for key, outer in captured.items()]
    return Program((*program.inputs[:given], *extra), program.equations, program.outputs)


filter_functions(__name__)
