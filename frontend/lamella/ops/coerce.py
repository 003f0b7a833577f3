"""Promotion and broadcasting of operands before a strict op; broadcasting is an explicit equation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import DTypeError, ShapeError
from lamella.ir import settings
from lamella.ir.declared import Declared, refuse_variables
from lamella.ir.dim import Dim, Dimension, differ, public_shape
from lamella.ir.program import Value
from lamella.ir.spec import DTYPES, Shape, Spec, dtype_name, is_float, numpy_dtype, promote, spec_of
from lamella.ir.trace import as_value, constant_value, current_trace, operand
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def is_weak(x: Any) -> bool:
    """Whether `x` is a scalar whose dtype gives way to that of the other operand."""
    return isinstance(x, bool | int | float | np.generic | Dim)


@filtered
def as_tensor(x: Any, dtype: DTypeLike | None = None) -> Tensor:
    """`x` as an operand: values, variables and arrays stay, lists and scalars become NumPy arrays.

    A Python float, and a NumPy float64 array that meets a trace, become `floatx`; Python integers become int32.

    Args:
        x: a value, a variable, an array, a number, or a nested list of numbers.
        dtype: the dtype of the result; None keeps that of `x`.

    Returns:
        A value or array of the shape of `x`.

    Raises:
        DTypeError: `x` has entries that are not numbers, or its dtype is not supported.

    Example:
        >>> from lamella import ops
        >>> ops.convert_to_tensor([[1, 2], [3, 4]], "float32")
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    x = operand(x)
    if dtype is not None and not isinstance(dtype, str):
        dtype = dtype_argument(dtype, settings.floatx())
    if isinstance(x, Value):
        return x if dtype is None or x.dtype == dtype else _convert(x, dtype)
    if isinstance(x, Dim):
        from lamella.ops.shapes import dimension_value

        return dimension_value.bind(dim=x, dtype=dtype or "int32")
    if isinstance(x, bool | int | float | list | tuple):
        items = np.asarray(x)
        if items.dtype == object:
            raise DTypeError(f"cannot make an array of {type(x).__name__} with entries that are not numbers.")
        kind = dtype or {"f": settings.floatx(), "i": "int32"}.get(items.dtype.kind) or dtype_name(items.dtype)
        return _held(items.astype(numpy_dtype(kind)), kind)
    spec = spec_of(x)
    if isinstance(x, np.ndarray | np.generic):
        x = np.asarray(x)
        if dtype is None and spec.dtype == "float64" and current_trace() is not None:
            dtype = settings.floatx()
    return _held(x if dtype is None or spec.dtype == dtype else _convert(x, dtype), dtype or spec.dtype)


def _held(x: Tensor, dtype: str) -> Tensor:
    """`x`, as a constant if a trace is running and its dtype could not be told from the array at its next use.

    A float64 array would be taken for `floatx`, and a bfloat16 array, which NumPy stores in float32, for float32.
    """
    trace = current_trace()
    if trace is None or not isinstance(x, np.ndarray) or dtype not in ("float64", "bfloat16"):
        return x
    return constant_value(trace, np.array(x), dtype)


def _convert(x: Tensor, dtype: str) -> Tensor:
    from lamella.ops.elementwise import convert

    return convert.bind(x, dtype=dtype)


def common_dtype(*xs: Any) -> str:
    """The dtype that the operands are promoted to; scalars give way to arrays."""
    xs = operands(xs)  # With mixed precision a variable is read in another dtype than it is stored in.
    symbolic = current_trace() is not None or any(isinstance(x, Declared) for x in xs)
    strong = [_strong_dtype(x, symbolic) for x in xs if not is_weak(x)]
    result = promote(*strong) if strong else None
    for x in xs:
        if is_weak(x):
            kind = "b" if isinstance(x, bool | np.bool_) else "f" if isinstance(x, float | np.floating) else "i"
            if kind == "f" and (result is None or not is_float(result)):
                result = settings.floatx()
            elif kind == "i" and (result is None or result == "bool"):
                result = "int32"
            elif result is None:
                result = "bool"
    assert result is not None  # noqa: S101 - there is at least one operand
    return result


def operands(xs: Sequence[Any]) -> tuple[Any, ...]:
    """The value of each of `xs`: that of a variable, and others unchanged.

    Raises:
        TraceError: a variable is among them beside a declared value.
    """
    found = tuple(operand(x) for x in xs)
    if any(isinstance(x, Declared) for x in found):
        refuse_variables(xs, found)
    return found


def _strong_dtype(x: ArrayLike, symbolic: bool) -> str:
    if isinstance(x, list | tuple):
        x = as_tensor(x)
    dtype = spec_of(x).dtype
    if dtype == "float64" and isinstance(x, np.ndarray) and symbolic:
        return settings.floatx()
    return dtype


def promoted(*xs: Any, dtype: str | None = None) -> list[Any]:
    """The operands in their common dtype, and all of their common shape."""
    items = operands(xs)
    dtype = dtype or common_dtype(*items)
    tensors = [as_tensor(x, dtype) for x in items]
    return stretched(*tensors)


def stretched(*tensors: Any) -> list[Any]:
    """The operands broadcast to their common shape.

    Next to a symbolic operand an array becomes a constant first, so that an equation repeats it: a scalar stays a
    scalar in the program, instead of a constant of the full shape.
    """
    trace = current_trace()
    if trace is not None and any(isinstance(t, Value) for t in tensors):
        # A value of another trace is reported before a shape that does not fit.
        tensors = tuple(trace.local(as_value(t)) for t in tensors)
    shape = broadcast_shape(*[tuple(t.shape) for t in tensors])
    return [broadcast_to(t, shape) for t in tensors]


def floating(x: ArrayLike) -> list[Any]:
    """The operand as a float: integers and booleans become `floatx`."""
    x = as_tensor(x)
    return [x if is_float(spec_of(x).dtype) else as_tensor(x, settings.floatx())]


def floating_pair(x: ArrayLike, y: Any) -> list[Any]:
    """Two operands promoted, and floats (division of integers is not an integer)."""
    items = operands((x, y))
    dtype = common_dtype(*items)
    return promoted(*items, dtype=dtype if is_float(dtype) else settings.floatx())


def sum_dtype(dtype: str) -> str:
    """The dtype of sums of `dtype`: integers of less than 32 bits, which would wrap around, become 32 bits wide."""
    kind, bits = DTYPES[dtype]
    if kind == "f" or bits >= 32:
        return dtype
    return "uint32" if kind == "u" else "int32"


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(x, ...)` computed in float32 where x is a 16-bit float, and its result rounded once.

    A sum of float16 numbers overflows long before their mean does.
    """

    @functools.wraps(function)
    def computed(x: Any, *args: Any, **kwargs: Any) -> Tensor:
        (x,) = floating(x)
        dtype = spec_of(x).dtype
        if DTYPES[dtype][1] > 16:
            return function(x, *args, **kwargs)
        return _convert(function(_convert(x, "float32"), *args, **kwargs), dtype)

    return computed


def same(x: ArrayLike) -> list[Any]:
    """The operand as it is."""
    return [as_tensor(x)]


def broadcast_shape(*shapes: Shape) -> Shape:
    """The shape that `shapes` broadcast to by NumPy's rule.

    Raises:
        ShapeError: two dimensions differ and neither is 1.
    """
    ndim = max(len(s) for s in shapes)
    result: list[Dimension] = [1] * ndim
    for shape in shapes:
        offset = ndim - len(shape)
        for i, dim in enumerate(shape):
            here = result[offset + i]
            if dim != 1 and here != 1 and differ(dim, here):
                listed = " and ".join(str(public_shape(s)) for s in shapes)
                raise ShapeError(f"shapes {listed} do not broadcast: dimensions {here} and {dim}.")
            # A known size wins over a free dimension, unless it is 1 and is broadcast.
            if here == 1 or (dim != 1 and isinstance(here, Dim) and not isinstance(dim, Dim)):
                result[offset + i] = dim
    return tuple(result)


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` broadcast to `shape` by NumPy's rule: a `broadcast` equation, after a `reshape` where a 1 is repeated."""
    from lamella.ops.shapes import broadcast, reshape

    x = as_tensor(x)
    shape = tuple(shape)
    have = tuple(x.shape)
    if have == shape:
        return x
    offset = len(shape) - len(have)
    if offset < 0 or any(d != 1 and differ(d, shape[offset + i]) for i, d in enumerate(have)):
        raise ShapeError(f"shape {public_shape(have)} does not broadcast to {public_shape(shape)}.")
    kept = [i for i, d in enumerate(have) if d != 1 or shape[offset + i] == 1]
    if len(kept) < len(have):
        x = reshape(x, tuple(have[i] for i in kept))
    return broadcast.bind(x, shape=shape, axes=tuple(offset + i for i in kept))


def normalize_axis(axis: int, ndim: int, what: str = "axis") -> int:
    """`axis` as a non-negative integer below `ndim`.

    Raises:
        ShapeError: it is out of range.
    """
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{what} {axis} is out of range for {ndim} dimensions.")
    return int(axis) % ndim


def normalize_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes as a sorted tuple; None means all."""
    if axis is None:
        return tuple(range(ndim))
    items = [axis] if isinstance(axis, int | np.integer) else list(axis)
    return tuple(sorted({normalize_axis(int(a), ndim) for a in items}))


def full_of(spec: Spec, value: Any) -> Any:
    """An array of `spec` filled with `value`."""
    scalar = np.asarray(value).astype(numpy_dtype(spec.dtype))
    trace = current_trace()
    if trace is not None:
        return broadcast_to(constant_value(trace, scalar, spec.dtype), spec.shape)
    if any(isinstance(d, Dim) for d in spec.shape):  # A size that the declared model leaves free.
        return broadcast_to(scalar, spec.shape)
    return np.broadcast_to(scalar, spec.shape)


def dtype_argument(dtype: DTypeLike, default: str) -> str:
    """The name of the requested dtype, or `default` for None; "float" is `floatx`, "int" int32."""
    if dtype is None:
        return default
    # By identity, because np.dtype("float64") == float, and it must not become `floatx`.
    if dtype is float or (isinstance(dtype, str) and dtype == "float"):
        return settings.floatx()
    return "int32" if dtype is int or (isinstance(dtype, str) and dtype == "int") else dtype_name(dtype)
