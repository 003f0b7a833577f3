"""Equations as NumPy expressions: what an exported Python file and the NumPy backend's readable source have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from lamella.ir.dim import Dim, Dimension
from lamella.ir.program import Equation, Op
from lamella.ir.spec import is_float, is_integer, numpy_dtype
from lamella.ops import primitives as p

INFIX: Mapping[Op, str] = {
    p.add: "+",
    p.subtract: "-",
    p.multiply: "*",
    p.divide: "/",
    p.equal: "==",
    p.less: "<",
    p.less_equal: "<=",
    p.bitwise_and: "&",
    p.bitwise_or: "|",
    p.bitwise_xor: "^",
}
"""Ops that are operators of Python."""

_WIDE = ("float32", "float64")
"""Dtypes whose sums NumPy computes in the same dtype."""


def expression(equation: Equation, operands: Sequence[str], attributes: Mapping[str, Any] | None = None) -> str | None:
    """Return an equation as an expression of NumPy.

    Args:
        equation: the equation.
        operands: the names of its operands.
        attributes: its attributes, by default those of the equation.

    Returns:
        The text; None if only a call of the op's kernel computes the same.

    Example:
        >>> from lamella.ir.spec import Spec
        >>> from lamella.ir.trace import trace
        >>> program = trace(lambda x, w: x @ w, Spec((2, 3), "float32"), Spec((3, 4), "float32"))
        >>> expression(program.equations[0], ["x", "kernel"])
        'x @ kernel'
    """
    op = equation.op
    if op in INFIX:
        return f" {INFIX[op]} ".join(operands)
    form = FORMS.get(op)
    return None if form is None else form(equation, operands, equation.attrs if attributes is None else attributes)


def literal(value: Any) -> str | None:
    """Return an attribute of an equation as text, or None if it has no literal.

    Args:
        value: the attribute.

    Example:
        >>> literal((2, None)), literal(float("inf")), literal(object())
        ('(2, None)', "float('inf')", None)
    """
    if isinstance(value, tuple):
        items = list(map(literal, cast("tuple[Any, ...]", value)))
        return None if None in items else f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"
    if isinstance(value, Dim):
        return str(value)
    if isinstance(value, bool | str) or value is None:
        return repr(value)
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(value) if np.isfinite(value) else f"float({str(value)!r})"
    return None


def dtype_text(dtype: str) -> str:
    """Return a dtype as text; bfloat16 is stored in float32."""
    return "bool" if dtype == "bool" else f"np.{numpy_dtype(dtype).name}"


def number(array: np.ndarray) -> str:
    """Return a scalar as text that evaluates to exactly this scalar."""
    if array.dtype == np.bool_:
        return f"np.bool_({bool(array)})"
    value = array.item()
    if isinstance(value, float):
        if not np.isfinite(value):
            return f"np.{array.dtype.name}({'np.nan' if value != value else '-np.inf' if value < 0 else 'np.inf'})"
        short = float(str(array[()]))
        value = short if array.dtype.type(short) == array else value
    return f"np.{array.dtype.name}({value!r})"


def aligned(equation: Equation) -> tuple[Dimension, ...] | None:
    """Return the shape in which NumPy broadcasts the operand of a `broadcast`; None if the operand has it already."""
    axes, rank = equation.attrs["axes"], len(equation.attrs["shape"])
    if tuple(axes) == tuple(range(rank - len(axes), rank)):
        return None
    dims: list[Dimension] = [1] * rank
    for axis, d in zip(axes, equation.inputs[0].shape, strict=True):
        dims[axis] = d
    return tuple(dims[axes[0] :])


def aligned_text(equation: Equation, operand: str) -> str:
    """Return the operand of a `broadcast` in the shape in which NumPy broadcasts it."""
    shape = aligned(equation)
    return operand if shape is None else f"{operand}.reshape({literal(shape)})"


Form = Callable[[Equation, Sequence[str], Mapping[str, Any]], "str | None"]


def _contract(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str | None:
    x, y = e.inputs
    plain = x.ndim == y.ndim == 2 and attrs["contracting"] == ((1,), (0,)) and attrs["batch"] == ((), ())
    return f"{names[0]} @ {names[1]}" if plain and x.dtype in _WIDE else None


def _broadcast(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str:
    return f"np.broadcast_to({aligned_text(e, names[0])}, {literal(attrs['shape'])})"


def _slice(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str | None:
    parts: list[str] = []
    rows = zip(attrs["start"], attrs["stop"], attrs["strides"], e.inputs[0].shape, strict=True)
    for start, stop, step, size in rows:
        begin, end = "" if start == 0 else str(start), "" if stop == size else str(stop)
        parts.append(f"{begin}:{end}" + (f":{step}" if step != 1 else ""))
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    return f"{names[0]}[{', '.join(parts)}]" if parts else None


def _pad(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str | None:
    if any(n != 0 for n in attrs["interior"]):
        return None
    widths, value = literal(tuple(zip(attrs["low"], attrs["high"], strict=True))), literal(attrs["value"])
    return None if value is None else f'np.pad({names[0]}, {widths}, "constant", constant_values={value})'


def _iota(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str:
    shape, axis = attrs["shape"], attrs["axis"]
    line = f"np.arange({literal(shape[axis])}).astype({dtype_text(attrs['dtype'])})"
    if len(shape) == 1:
        return line
    dims = tuple(shape[axis] if i == axis else 1 for i in range(axis, len(shape)))
    return f"np.broadcast_to({line}.reshape({literal(dims)}), {literal(shape)})"


def _split(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str | None:
    sizes = attrs["sizes"]
    if any(isinstance(n, Dim) for n in sizes):
        return None
    ends = np.cumsum(sizes)[:-1].tolist()
    return f"np.split({names[0]}, {ends}, axis={attrs['axis']})"


def _convert(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str | None:
    if is_float(e.inputs[0].dtype) and is_integer(attrs["dtype"]):
        return None  # `astype` does not define the result of numbers out of range; the kernel does
    return f"{names[0]}.astype({dtype_text(attrs['dtype'])})"


def _reduction(name: str) -> Form:
    def form(e: Equation, names: Sequence[str], attrs: Mapping[str, Any]) -> str | None:
        if name == "sum" and e.inputs[0].dtype not in _WIDE:
            return None
        axes = attrs["axes"]
        return f"np.{name}({names[0]}, axis={axes[0] if len(axes) == 1 else axes})"

    return form


FORMS: Mapping[Op, Form] = {
    p.contract: _contract,
    p.broadcast: _broadcast,
    p.slice: _slice,
    p.pad: _pad,
    p.iota: _iota,
    p.dimension_value: lambda e, names, attrs: f"{dtype_text(attrs['dtype'])}({attrs['dim']})",
    p.split: _split,
    p.convert: _convert,
    p.reduce_sum: _reduction("sum"),
    p.reduce_max: _reduction("max"),
    p.reduce_min: _reduction("min"),
    p.negative: lambda e, names, attrs: f"-{names[0]}",
    p.select: lambda e, names, attrs: f"np.where({', '.join(names)})",
    p.reshape: lambda e, names, attrs: f"{names[0]}.reshape({literal(attrs['shape'])})",
    p.transpose: lambda e, names, attrs: f"{names[0]}.transpose({literal(attrs['permutation'])})",
    p.concatenate: lambda e, names, attrs: f"np.concatenate([{', '.join(names)}], axis={attrs['axis']})",
    p.reverse: lambda e, names, attrs: f"np.flip({names[0]}, {literal(attrs['axes'])})",
    p.argmax: lambda e, names, attrs: f"np.argmax({names[0]}, axis={attrs['axis']}).astype(np.int32)",
}
"""How an op is written if NumPy has an expression for it; None leaves the equation to the kernel."""
