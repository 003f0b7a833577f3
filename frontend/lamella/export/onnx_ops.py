"""Every op as ONNX nodes. Ops that are missing here are written as their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.export.onnx_graph import Graph, Names, Translation, Window
from lamella.export.onnx_windows import average_pool, convolve, convolve_input_gradient, max_pool
from lamella.ir.dim import Dim
from lamella.ir.program import Equation, Op
from lamella.ir.spec import is_float, size_of
from lamella.ops import primitives as p


class _Transpose(Translation):
    """A transposition between the two layouts needs no node."""

    def emit(self, graph: Graph, equation: Equation) -> None:
        """Add the nodes for `equation`, if any."""
        (x,), (y,), order = equation.inputs, equation.outputs, tuple(equation.attrs["permutation"])
        n = x.ndim
        if order == (0, n - 1, *range(1, n - 1)) and n > 2 and graph.is_first(x):
            graph.bind(y, graph.first_of(x))
        elif order == (0, *range(2, n), 1) and n > 2:
            graph.bind_first(y, graph.name_of(x))
        else:
            super().emit(graph, equation)


def _like(graph: Graph, e: Equation, value: float) -> str:
    return graph.constant(value, e.inputs[0].dtype)


# ---- arithmetic -------------------------------------------------------------------------------------------------------


def _simple(kind: str, **attributes: Any) -> Translation:
    return Translation(lambda g, e, names: g.node(kind, *names, **attributes))


def _logical(on_bool: str, on_bits: str) -> Translation:
    return Translation(lambda g, e, names: g.node(on_bool if e.inputs[0].dtype == "bool" else on_bits, *names))


def _extremum(kind: str, on_bool: str) -> Translation:
    return Translation(lambda g, e, names: g.node(on_bool if e.inputs[0].dtype == "bool" else kind, *names))


def _expm1(g: Graph, e: Equation, names: Names) -> str:
    """2t / (1 - t) with t = tanh(x / 2) where |x| < 1, which keeps the digits that exp(x) - 1 loses near 0"""
    (x,), one = names, _like(g, e, 1)
    t = g.node("Tanh", g.node("Mul", x, _like(g, e, 0.5)))
    near = g.node("Div", g.node("Add", t, t), g.node("Sub", one, t))
    return g.node("Where", g.node("Less", g.node("Abs", x), one), near, g.node("Sub", g.node("Exp", x), one))


def _log1p(g: Graph, e: Equation, names: Names) -> str:
    """log(u) x / (u - 1) with u = 1 + x where |x| < 1: the error of u cancels"""
    (x,), one = names, _like(g, e, 1)
    u = g.node("Add", x, one)
    is_one = g.node("Equal", u, one)
    low = g.node("Where", is_one, one, g.node("Sub", u, one))
    near = g.node("Where", is_one, x, g.node("Div", g.node("Mul", g.node("Log", u), x), low))
    return g.node("Where", g.node("Less", g.node("Abs", x), one), near, g.node("Log", u))


def _remainder(g: Graph, e: Equation, names: Names) -> str:
    if not is_float(e.inputs[0].dtype):
        return g.node("Mod", *names)
    x, y = names
    rest, zero = g.node("Mod", x, y, fmod=1), _like(g, e, 0)
    other_sign = g.node("Xor", g.node("Less", rest, zero), g.node("Less", y, zero))
    moved = g.node("And", other_sign, g.node("Not", g.node("Equal", rest, zero)))
    return g.node("Where", moved, g.node("Add", rest, y), rest)


def _shift(direction: str) -> Translation:
    return Translation(lambda g, e, names: g.node("BitShift", *names, direction=direction))


def _clip(g: Graph, e: Equation, names: Names) -> str:
    return g.node("Min", g.node("Max", names[0], names[1]), names[2])


def _convert(g: Graph, e: Equation, names: Names) -> str:
    return g.cast(names[0], e.attrs["dtype"]) if e.attrs["dtype"] != "bfloat16" else names[0]


# ---- reductions and products ------------------------------------------------------------------------------------------


def _reduction(kind: str) -> Translation:
    def rule(g: Graph, e: Equation, names: Names) -> str:
        (x,), dtype = names, e.inputs[0].dtype
        axes = g.constant(e.attrs["axes"], np.int64)
        if dtype != "bool":
            return g.node(kind, x, axes, keepdims=0)
        return g.cast(g.node(kind, g.cast(x, "int32"), axes, keepdims=0), "bool")

    return Translation(rule)


def _argmax(g: Graph, e: Equation, names: Names) -> str:
    x = g.cast(names[0], "int32") if e.inputs[0].dtype == "bool" else names[0]
    return g.cast(g.node("ArgMax", x, axis=e.attrs["axis"], keepdims=0), "int32")


def _along(kind: str) -> Translation:
    return Translation(lambda g, e, names: g.node(kind, names[0], axis=e.attrs["axis"]))


def _contract(g: Graph, e: Equation, names: Names) -> str:
    (x, y), (cx, cy), (bx, by) = e.inputs, e.attrs["contracting"], e.attrs["batch"]
    fx = [a for a in range(x.ndim) if a not in cx and a not in bx]
    fy = [a for a in range(y.ndim) if a not in cy and a not in by]
    left, right = g.transpose(names[0], [*bx, *fx, *cx]), g.transpose(names[1], [*by, *cy, *fy])
    sx, sy = x.shape, y.shape
    lead = [sx[a] for a in bx]
    done = len(cx) == len(fy) == 1 and (len(fx) == 1 or (fx and not lead))
    if len(cx) != 1 or not (len(fx) == 1 or (fx and not lead and len(fy) == 1)):
        left = g.reshape(left, [*lead, size_of([sx[a] for a in fx]), size_of([sx[a] for a in cx])])
        done = False
    if len(cy) != 1 or len(fy) != 1:
        right = g.reshape(right, [*lead, size_of([sy[a] for a in cy]), size_of([sy[a] for a in fy])])
    result = g.node("MatMul", left, right)
    return result if done else g.reshape(result, e.outputs[0].shape)


# ---- shapes -----------------------------------------------------------------------------------------------------------


def _broadcast(g: Graph, e: Equation, names: Names) -> str:
    shape, axes = e.attrs["shape"], e.attrs["axes"]
    dims = [d if i in axes else 1 for i, d in enumerate(shape)]
    if len(axes) == len(shape):
        return g.node("Identity", names[0])
    x = g.reshape(names[0], dims) if dims and len(axes) else names[0]
    return g.node("Expand", x, g.dims(shape))


def _slice(g: Graph, e: Equation, names: Names) -> str:
    rows = zip(
        e.attrs["start"],
        e.attrs["stop"],
        e.attrs["strides"],
        e.inputs[0].shape,
        range(e.inputs[0].ndim),
        strict=True,
    )
    cut = [(a, b, s, axis) for a, b, s, d, axis in rows if (a, b, s) != (0, d, 1)]
    if not cut:
        return g.node("Identity", names[0])
    start, stop, steps, axes = zip(*cut, strict=True)
    return g.node(
        "Slice", names[0], g.dims(start), g.dims(stop), g.constant(axes, np.int64), g.constant(steps, np.int64)
    )


def _pad(g: Graph, e: Equation, names: Names) -> str:
    (x,), dtype = names, e.inputs[0].dtype
    size: list[Any] = list(e.inputs[0].shape)
    x = g.cast(x, "int32") if dtype == "bool" else x
    value = g.constant(e.attrs["value"], "int32" if dtype == "bool" else dtype)
    for axis, gap in enumerate(e.attrs["interior"]):
        if gap and (n := size[axis]) not in (0, 1):
            # every entry with its gap behind it, without the last gap
            apart = g.reshape(x, [*size[: axis + 1], 1, *size[axis + 1 :]])
            pads = [0] * (2 * len(size) + 2)
            pads[len(size) + 1 + axis + 1] = gap
            apart = g.node("Pad", apart, g.constant(pads, np.int64), value)
            size[axis] = n * (gap + 1)
            ends = g.dims([size[axis] - gap])
            x = g.node("Slice", g.reshape(apart, size), g.constant([0], np.int64), ends, g.constant([axis], np.int64))
            size[axis] -= gap
    if any(n != 0 for n in (*e.attrs["low"], *e.attrs["high"])):
        x = g.node("Pad", x, g.dims([*e.attrs["low"], *e.attrs["high"]]), value)
    return g.cast(x, "bool") if dtype == "bool" else g.node("Identity", x)


def _split(g: Graph, e: Equation, names: Names) -> Any:
    sizes = e.attrs["sizes"]
    return g.node("Split", names[0], g.dims(sizes), outputs=len(sizes), axis=e.attrs["axis"])


def _dimension_value(g: Graph, e: Equation, names: Names) -> str:
    return g.cast(g.reshape(g.dims([e.attrs["dim"]]), ()), e.attrs["dtype"])


def _iota(g: Graph, e: Equation, names: Names) -> str:
    shape, axis, dtype = e.attrs["shape"], e.attrs["axis"], e.attrs["dtype"]
    n = shape[axis]
    if isinstance(n, Dim):
        limit = g.reshape(g.dims([n]), ())
        line = g.cast(g.node("Range", g.constant(0, np.int64), limit, g.constant(1, np.int64)), dtype)
    else:
        line = g.constant(np.arange(n), dtype)
    column = g.reshape(line, [d if i == axis else 1 for i, d in enumerate(shape)])
    return g.node("Expand", column, g.dims(shape))


def _inside(g: Graph, indices: str, dtype: str, size: Any) -> str:
    """Indices moved to the nearest end, as int64."""
    indices = indices if dtype == "int64" else g.cast(indices, "int64")
    if isinstance(size, Dim):
        last = g.reshape(g.dims([size - 1]), ())
    else:
        last = g.constant(size - 1, np.int64)
    return g.node("Max", g.node("Min", indices, last), g.constant(0, np.int64))


def _take(g: Graph, e: Equation, names: Names) -> str:
    x, indices = e.inputs
    axis = e.attrs["axis"]
    return g.node("Gather", names[0], _inside(g, names[1], indices.dtype, x.shape[axis]), axis=axis)


def _scatter_add(g: Graph, e: Equation, names: Names) -> str:
    updates, indices = e.inputs
    axis, n, size = e.attrs["axis"], indices.ndim, e.attrs["size"]
    shape = updates.shape
    rest = [*shape[:axis], *shape[axis + n :]]
    ahead = g.transpose(names[0], [*range(axis, axis + n), *range(axis), *range(axis + n, updates.ndim)])
    places = g.reshape(_inside(g, names[1], indices.dtype, size), [*indices.shape, 1])
    zeros = g.node("Expand", g.constant(0, updates.dtype), g.dims([size, *rest]))
    total = g.node("ScatterND", zeros, places, ahead, reduction="add")
    return g.transpose(total, [*range(1, axis + 1), 0, *range(axis + 1, len(rest) + 1)])


ELEMENTWISE: dict[Op, Translation] = {
    p.add: _simple("Add"),
    p.subtract: _simple("Sub"),
    p.multiply: _simple("Mul"),
    p.divide: _simple("Div"),
    p.power: _simple("Pow"),
    p.maximum: _extremum("Max", "Or"),
    p.minimum: _extremum("Min", "And"),
    p.remainder: Translation(_remainder),
    p.negative: _simple("Neg"),
    p.exp: _simple("Exp"),
    p.expm1: Translation(_expm1),
    p.log: _simple("Log"),
    p.log1p: Translation(_log1p),
    p.sqrt: _simple("Sqrt"),
    p.tanh: _simple("Tanh"),
    p.sin: _simple("Sin"),
    p.cos: _simple("Cos"),
    p.tan: _simple("Tan"),
    p.sinh: _simple("Sinh"),
    p.cosh: _simple("Cosh"),
    p.arcsin: _simple("Asin"),
    p.arccos: _simple("Acos"),
    p.arctan: _simple("Atan"),
    p.arcsinh: _simple("Asinh"),
    p.arccosh: _simple("Acosh"),
    p.arctanh: _simple("Atanh"),
    p.abs: _simple("Abs"),
    p.sign: _simple("Sign"),
    p.floor: _simple("Floor"),
    p.round: _simple("Round"),
    p.relu: _simple("Relu"),
    p.sigmoid: _simple("Sigmoid"),
    p.softplus: _simple("Softplus"),
    p.erf: _simple("Erf"),
    p.clip: Translation(_clip),
    p.equal: _simple("Equal"),
    p.less: _simple("Less"),
    p.less_equal: _simple("LessOrEqual"),
    p.bitwise_and: _logical("And", "BitwiseAnd"),
    p.bitwise_or: _logical("Or", "BitwiseOr"),
    p.bitwise_xor: _logical("Xor", "BitwiseXor"),
    p.bitwise_not: _logical("Not", "BitwiseNot"),
    p.left_shift: _shift("LEFT"),
    p.right_shift: _shift("RIGHT"),
    p.select: _simple("Where"),
}
"""Ops whose operands repeat where they meet, by NumPy's rule."""

TRANSLATIONS: dict[Op, Translation] = {
    **ELEMENTWISE,
    p.stop_gradient: _simple("Identity"),
    p.convert: Translation(_convert),
    p.reduce_sum: _reduction("ReduceSum"),
    p.reduce_max: _reduction("ReduceMax"),
    p.reduce_min: _reduction("ReduceMin"),
    p.argmax: Translation(_argmax),
    p.softmax: _along("Softmax"),
    p.log_softmax: _along("LogSoftmax"),
    p.contract: Translation(_contract),
    p.reshape: Translation(lambda g, e, names: g.reshape(names[0], e.attrs["shape"])),
    p.transpose: _Transpose(lambda g, e, names: g.transpose(names[0], e.attrs["permutation"])),
    p.broadcast: Translation(_broadcast),
    p.slice: Translation(_slice),
    p.pad: Translation(_pad),
    p.concatenate: Translation(lambda g, e, names: g.node("Concat", *names, axis=e.attrs["axis"])),
    p.split: Translation(_split),
    p.reverse: Translation(lambda g, e, names: g.reverse(names[0], e.attrs["axes"])),
    p.iota: Translation(_iota),
    p.cumsum: Translation(lambda g, e, names: g.node("CumSum", names[0], g.constant(e.attrs["axis"], np.int64))),
    p.dimension_value: Translation(_dimension_value),
    p.take: Translation(_take),
    p.scatter_add: Translation(_scatter_add),
    p.convolve: Window(convolve),
    p.convolve_input_gradient: Window(convolve_input_gradient),
    p.max_pool: Window(max_pool),
    p.average_pool: Window(average_pool),
}
