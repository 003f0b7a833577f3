"""Loops written with `scan` and `cond`: differentiable, and the same on every backend."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lamella.errors import ShapeError, TraceError
from lamella.ir.program import Value
from lamella.ir.spec import spec_of
from lamella.ir.trace import operand
from lamella.ops.branches import cond
from lamella.ops.coerce import as_tensor, normalize_axis
from lamella.ops.comparison import logical, logical_and
from lamella.ops.control import scan
from lamella.ops.shapes import arange, concatenate, expand_dims, flip, getitem, reshape
from lamella.tracebacks import filter_functions
from lamella.tree import flatten, unflatten

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """The last v of `v = init_val`, then `v = body_fun(i, v)` for i from `lower` to below `upper`.

    It is a `scan`: differentiable, and executed one step at a time on every backend.

    Args:
        lower: a Python integer, because the number of steps is part of the program.
        upper: a Python integer; not above `lower` means no step.
        body_fun: takes an int32 scalar and v, and returns a v of the same structure, shapes and dtypes.
        init_val: a value, or a nested tuple, list or dict of values.

    Returns:
        A v of the structure of `init_val`.

    Raises:
        TraceError: a bound is not known when the program is traced.
        ShapeError: `body_fun` returns another structure, shape or dtype.

    Example:
        >>> from lamella import ops
        >>> ops.fori_loop(1, 5, lambda i, v: v * i, 1)
        array(24, dtype=int32)
    """
    try:
        first, last = operator.index(lower), operator.index(upper)
    except (TypeError, TraceError):
        raise TraceError(
            "the bounds of a fori_loop must be Python integers; for a computed number of steps use "
            "`while_loop(..., maximum_iterations=n)`."
        ) from None
    start, structure = flatten(init_val)
    if last <= first:
        return unflatten(structure, [as_tensor(x) for x in start])
    return scan(lambda v, i: (body_fun(i, v), None), init_val, arange(first, last))[0]


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """The last `loop_vars` of `loop_vars = body(*loop_vars)`, repeated as long as `cond(*loop_vars)` holds.

    With `maximum_iterations` it is a `scan` of that many steps, of which those after the end do nothing: it can be used
    in a layer, and it is differentiable. Without a maximum it is a Python loop over arrays and cannot be traced.

    Args:
        cond: returns a scalar.
        body: returns new variables of the same structure, shapes and dtypes: a tuple or list, or one value for a single
            one.
        loop_vars: a tuple or list of values (or of nested ones), or a single value.
        maximum_iterations: the largest number of steps, a Python integer.

    Returns:
        The variables in the structure of `loop_vars`.

    Raises:
        TraceError: a loop without `maximum_iterations` in a layer's `call`, or under `jax.jit`.
        ShapeError: `body` returns another structure, shape or dtype.

    Example:
        >>> from lamella import ops
        >>> ops.while_loop(lambda x: x < 100, lambda x: 2 * x, 3)
        array(192, dtype=int32)
        >>> ops.while_loop(lambda x, n: x < 100, lambda x, n: (2 * x, n + 1), (3, 0), maximum_iterations=10)
        (array(192, dtype=int32), array(6, dtype=int32))
    """
    single = not isinstance(loop_vars, tuple | list)
    start = (loop_vars,) if single else tuple(loop_vars)
    leaves, structure = flatten(start)
    state = unflatten(structure, [as_tensor(x) for x in leaves])

    def step(variables: tuple[Any, ...]) -> tuple[Any, ...]:
        result = body(*variables)
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    if maximum_iterations is None:
        while _decided(cond(*state)):
            state = step(state)
        leaves, structure = flatten(state)
        state = unflatten(structure, [as_tensor(x) for x in leaves])
    elif maximum_iterations > 0:
        state = _bounded(cond, step, state, maximum_iterations)
    return state[0] if single else type(loop_vars)(state)


def _decided(condition: ArrayLike) -> bool:
    condition = operand(condition)
    try:
        if not isinstance(condition, Value):
            return bool(condition)
    except Exception as error:  # A tracer raises an exception of its framework.
        raise TraceError(f"{_UNBOUNDED} ({type(error).__name__})") from error
    raise TraceError(_UNBOUNDED)


_UNBOUNDED = (
    "A while_loop that is traced needs `maximum_iterations`: the number of steps of a traced condition is not known, and the "
    "loop becomes a `scan` of at most that many steps."
)


def _bounded(
    proceed: Callable[..., Any], step: Callable[[tuple[Any, ...]], tuple[Any, ...]], start: tuple[Any, ...], most: int
) -> tuple[Any, ...]:
    def turn(carry: Any, _: Any) -> tuple[Any, None]:
        going, state = carry

        def once() -> tuple[Any, Any]:
            new = step(state)
            return logical_and(going, logical(proceed(*new))), new

        return cond(going, once, lambda: (going, state)), None

    return scan(turn, (logical(proceed(*start)), start), length=most)[0][1]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` applied to every entry of the leading axis of `xs`, one after the other, and the results stacked.

    Args:
        f: takes a slice (nested as `xs` is) and returns a value or a nested tuple, list or dict of values.
        xs: a value, or a nested tuple, list or dict of values with equally long leading axes.

    Returns:
        The results of `f` with a leading axis.

    Raises:
        ArgumentError: the leading axes differ in length.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.map(lambda row: ops.sum(row), np.array([[1.0, 2.0], [3.0, 4.0]], "float32"))
        array([3., 7.], dtype=float32)
    """
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Tensor:
    """`function` applied to every entry of the leading axis of `elements`, and the results stacked.

    It is `map`: one entry after the other. A function that takes a whole batch is faster.

    Args:
        function: takes a slice (nested as `elements` is) and returns a value or a nested tuple, list or dict of values.
        elements: a value, or a nested tuple, list or dict of values with equally long leading axes.

    Returns:
        The results of `function` with a leading axis.

    Raises:
        ArgumentError: the leading axes differ in length.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.vectorized_map(lambda row: ops.max(row), np.array([[1, 2], [5, 4]], "int32"))
        array([2, 5], dtype=int32)
    """
    return map(function, elements)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results `x0`, `f(x0, x1)`, `f(f(x0, x1), x2)` ... of an associative `f`.

    It takes about 2 log2(n) calls of `f`.

    Args:
        f: takes and returns entries nested as `elems` is, many at once along `axis`; it works entry by entry.
        elems: a value, or a nested tuple, list or dict of values, equally long along `axis`.
        reverse: whether to begin at the last entry.
        axis: the axis to scan along.

    Returns:
        The partial results in the structure and the shapes of `elems`.

    Raises:
        ShapeError: the lengths along `axis` differ, or `f` returns another structure.

    References:
        G. E. Blelloch, "Prefix sums and their applications", Carnegie Mellon University, CMU-CS-90-190, 1990.

    Example:
        >>> from lamella import ops
        >>> x = ops.array([1, 3, 2, 5])
        >>> ops.associative_scan(ops.maximum, x), ops.associative_scan(ops.add, x)
        (array([1, 3, 3, 5], dtype=int32), array([ 1,  4,  6, 11], dtype=int32))
    """
    leaves, structure = flatten(elems)
    leaves = [as_tensor(x) for x in leaves]
    axis = normalize_axis(axis, spec_of(leaves[0]).ndim)
    sizes = {spec_of(x).shape[axis] for x in leaves}
    if len(sizes) != 1:
        raise ShapeError(f"associative_scan needs operands equally long along axis {axis}, got {sorted(sizes)}.")
    leaves = [flip(x, axis) for x in leaves] if reverse else leaves

    def combine(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
        found, made = flatten(f(unflatten(structure, left), unflatten(structure, right)))
        if made != structure:
            raise ShapeError("the function of an associative_scan must return the structure it was given.")
        return found

    found = _prefixes(combine, leaves, axis)
    return unflatten(structure, [flip(x, axis) for x in found] if reverse else found)


def _prefixes(combine: Callable[[Any, Any], list[Any]], xs: list[Any], axis: int) -> list[Any]:
    count = spec_of(xs[0]).shape[axis]
    if count < 2:
        return xs
    odd = _prefixes(combine, combine(_every(xs, axis, 0, count - 1), _every(xs, axis, 1, count)), axis)
    even = [_cut(x, axis, slice(0, 1)) for x in xs]
    if count > 2:
        left = odd if count % 2 else [_cut(x, axis, slice(0, -1)) for x in odd]
        rest = combine(left, _every(xs, axis, 2, count))
        even = [concatenate([a, b], axis) for a, b in zip(even, rest, strict=True)]
    return [_interleaved(a, b, axis) for a, b in zip(even, odd, strict=True)]


def _cut(x: Tensor, axis: int, part: slice) -> Tensor:
    return getitem(x, (slice(None),) * axis + (part,))


def _every(xs: list[Any], axis: int, start: int, stop: int) -> list[Any]:
    return [_cut(x, axis, slice(start, stop, 2)) for x in xs]


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """The entries of `even` and `odd` alternately; `even` may have one more."""
    shape = list(spec_of(even).shape)
    extra = shape[axis] - spec_of(odd).shape[axis]
    short = _cut(even, axis, slice(0, -1)) if extra else even
    pairs = concatenate([expand_dims(short, axis + 1), expand_dims(odd, axis + 1)], axis + 1)
    shape[axis] = 2 * (shape[axis] - extra)
    joined = reshape(pairs, shape)
    return concatenate([joined, _cut(even, axis, slice(-1, None))], axis) if extra else joined


filter_functions(__name__)
