"""Lowering rules of elementwise ops, comparisons, selection and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.ir.program import Equation, Op, Value
from lamella.ir.spec import is_float, numpy_dtype
from lamella.ops import primitives as p
from lamella_numpy import views
from lamella_numpy.kernels import UFUNCS
from lamella_numpy.lowering import Lowering, Rule, Scalar, dims
from lamella_numpy.products import LONGEST_DOT
from lamella_numpy.views import Ints, View

_OPERATORS: dict[Op, str] = {
    p.add: "+",
    p.subtract: "-",
    p.negative: "-",
    p.multiply: "*",
    p.divide: "/",
    p.remainder: "%",
    p.equal: "==",
    p.less: "<",
    p.less_equal: "<=",
    p.bitwise_and: "&",
    p.bitwise_or: "|",
    p.bitwise_xor: "^",
    p.left_shift: "<<",
    p.right_shift: ">>",
}
"""Python's operators on NumPy scalars of one dtype keep it and round as the ufunc does."""

_EXTREMA = ("maximum", "minimum")
_INTEGERS = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}
_SUM_TOGETHER = 4096
"""Numbers that a sum over rows adds up at once: a BLAS is fastest where its rows fill a few pages."""
_LARGE = 65536
"""Elements from which on it pays to arrange an operation's operands for it."""
_RUN = 32768
"""Elements at most of a run that stands for an operand which repeats: they stay in the caches."""
_NARROW = 512
"""Elements: NumPy starts again for every row, so where an operand repeats after fewer than these, that is the cost."""


def round_bfloat16(low: Lowering, value: Value) -> None:
    """A line that rounds a bfloat16 result in place."""
    if value.spec.dtype == "bfloat16":
        name = low.use(low.place(value))
        low.emit(f"bfloat16({name}, {name})")


def joint_shape(*shapes: Ints) -> Ints:
    """The stored shape that operands of stored `shapes` give."""
    shapes = tuple(s for s in shapes if s)
    if not shapes:
        return ()
    first = shapes[0]
    return first if all(s == first for s in shapes) else np.broadcast_shapes(*shapes)


def set_scalar(low: Lowering, value: Value, text: str) -> None:
    """A line that sets a new local variable to the scalar `value`."""
    name = low.fresh(low.hint)
    low.emit(f"{name} = {text}")
    low.environment[value] = Scalar(name, low.block, numpy_dtype(value.spec.dtype))


def is_number(low: Lowering, value: Value) -> bool:
    """Whether a line may set a variable to `value`: it is one number, and no consumer needs it in a buffer."""
    return not dims(value) and value.spec.dtype != "bfloat16" and value not in low.pins and value not in low.parts


def all_scalars(low: Lowering, equation: Equation) -> bool:
    """Whether the equation can be computed on NumPy scalars."""
    return equation.outputs[0].spec.dtype != "bfloat16" and all(low.is_scalar(v) for v in equation.inputs)


def _ufunc(name: str, operator: str | None) -> Rule:
    def rule(low: Lowering, equation: Equation) -> None:
        value = equation.outputs[0]
        if all_scalars(low, equation):
            operands = [low.scalar(v) for v in equation.inputs]
            if operator is None:
                text = f"{name}({', '.join(operands)})"
            else:
                text = f" {operator} ".join(operands) if len(operands) > 1 else operator + operands[0]
            set_scalar(low, value, text)
            return
        operands = [low.place(v) for v in equation.inputs]
        out = low.result(value, joint_shape(*[o.shape for o in operands]), operands)
        *operands, target = _in_runs(low, equation.inputs, operands, out, name)
        # two ufuncs refuse a third operand without its name
        named = "out=" if name in _EXTREMA else ""
        low.emit(f"{name}({', '.join([low.use(o) for o in operands])}, {named}{low.use(target)})")
        round_bfloat16(low, value)

    return rule


def _in_runs(
    low: Lowering, values: Sequence[Value | Scalar], operands: Sequence[View], out: View, name: str
) -> list[View]:
    """The places of an operation's operands and of its result, seen so that it is done fastest.

    Where a short operand repeats along the leading axes of a large result (a bias of channels), a run of its repetitions
    is made once, and everything else is seen as rows as long as that. Maxima with one number are twice as fast with a run
    of it: NumPy has vector instructions for two arrays only.
    """
    given = [*operands, out]
    short = [i for i, x in enumerate(operands) if x.shape != out.shape]
    if len(short) != 1 or len(operands) != 2 or out.size < _LARGE or low.chunk is not None:
        return given
    place = operands[short[0]]
    repeats = place.shape == out.shape[len(out.shape) - len(place.shape) :] and 0 < place.size <= _NARROW
    if not repeats or not (place.shape or name in _EXTREMA) or not all(x.contiguous for x in given):
        return given
    count = out.size // place.size
    times = next(m for m in range(_RUN // place.size, 0, -1) if count % m == 0)
    length = times * place.size
    if length <= _NARROW:
        return given
    result = [views.shaped(x, (out.size // length, length)) for x in given if x is not place]
    result.insert(short[0], low.run(values[short[0]], times))
    return result


def _alias(low: Lowering, equation: Equation) -> None:
    low.bind(equation.outputs[0], low.environment[equation.inputs[0]])


def _convert(low: Lowering, equation: Equation) -> None:
    source, value = equation.inputs[0], equation.outputs[0]
    dtype = numpy_dtype(value.spec.dtype)
    truncates = is_float(source.spec.dtype) and dtype.kind in "iu"
    if all_scalars(low, equation):
        x = low.scalar(source)
        set_scalar(low, value, f"whole({x}, {dtype.name})" if truncates else f"{_scalar_type(dtype)}({x})")
        return
    place = low.place(source)
    if place.storage.dtype == dtype and value.spec.dtype != "bfloat16":  # bfloat16 to float32
        low.bind(value, place)
        return
    out = low.result(value, place.shape, [place])
    target, given = low.use(out), low.use(place)
    low.emit(f"{target}[...] = " + (f"whole({given}, {dtype.name})" if truncates else given))
    round_bfloat16(low, value)


def _scalar_type(dtype: np.dtype[Any]) -> str:
    return f"{dtype.name}.type"


def _relu(low: Lowering, equation: Equation) -> None:
    value = equation.outputs[0]
    zero = Scalar(None, low.static, numpy_dtype(value.spec.dtype), np.zeros((), numpy_dtype(value.spec.dtype)))
    if all_scalars(low, equation):
        set_scalar(low, value, f"maximum({low.scalar(equation.inputs[0])}, {low.use(low.place_of(zero))})")
        return
    x = low.place(equation.inputs[0])
    operands, out = [x, low.place_of(zero)], low.result(value, x.shape, [x])
    x, nothing, out = _in_runs(low, [equation.inputs[0], zero], operands, out, "maximum")
    low.emit(f"maximum({low.use(x)}, {low.use(nothing)}, out={low.use(out)})")


def _relu_gradient(low: Lowering, equation: Equation) -> None:
    g, y = equation.inputs
    value = equation.outputs[0]
    if all_scalars(low, equation):
        set_scalar(low, value, f"{low.scalar(g)} if {low.scalar(y)} > 0 else {_zero(value)}")
        return
    y_place, dtype = low.place(y), numpy_dtype(value.spec.dtype)
    zero = low.use(low.place_of(Scalar(None, low.static, dtype, np.zeros((), dtype))))
    mask = low.buffer(y_place.shape, np.dtype(bool), "mask")
    low.emit(f"greater({low.use(y_place)}, {zero}, {low.use(mask)})")
    _masked(low, value, low.place(g), mask)


def _zero(value: Value) -> str:
    return f"{_scalar_type(numpy_dtype(value.spec.dtype))}(0)"


def _integer_mask(low: Lowering, mask: View, width: int) -> View:
    """The bool `mask` as integers 0 and 1 of `width` bytes: bits times it are the bits or zero, exactly, NaN too.

    NumPy widens a large one as it multiplies, without writing it to memory; for a small one that is the greater cost.
    """
    integer = _INTEGERS[width]
    if width == 1:
        return views.bits(mask, integer)
    if mask.size >= _LARGE:
        return mask
    wide = low.buffer(mask.shape, np.dtype(integer), "mask")
    low.emit(f"{low.use(wide)}[...] = {low.use(mask)}")
    return wide


def _bits(place: View) -> View:
    integer = _INTEGERS[place.storage.dtype.itemsize]
    return place if place.storage.dtype == np.dtype(integer) else views.bits(place, integer)


def _masked(low: Lowering, value: Value, x: View, mask: View) -> None:
    """`value` is x where the mask holds, else 0."""
    wide = _integer_mask(low, mask, x.storage.dtype.itemsize)
    out = low.result(value, joint_shape(x.shape, mask.shape), [x])
    low.emit(f"multiply({low.use(_bits(x))}, {low.use(wide)}, {low.use(_bits(out))})")


def _select(low: Lowering, equation: Equation) -> None:
    condition, x, y = equation.inputs
    value = equation.outputs[0]
    if all_scalars(low, equation):
        set_scalar(low, value, f"{low.scalar(x)} if {low.scalar(condition)} else {low.scalar(y)}")
        return
    mask = low.place(condition)
    if _is_zero(low.constant_of(y)):
        _masked(low, value, low.place(x), mask)
        return
    if _is_zero(low.constant_of(x)):
        other = low.buffer(mask.shape, np.dtype(bool), "mask")
        low.emit(f"logical_not({low.use(mask)}, {low.use(other)})")
        _masked(low, value, low.place(y), other)
        return
    # y ^ ((x ^ y) & mask): the bits of x or those of y
    a, b = low.place(x), low.place(y)
    wide = _integer_mask(low, mask, a.storage.dtype.itemsize)
    shape = joint_shape(a.shape, b.shape, mask.shape)
    part = low.buffer(joint_shape(a.shape, b.shape), a.storage.dtype, "difference")
    low.emit(f"bitwise_xor({low.use(_bits(a))}, {low.use(_bits(b))}, {low.use(_bits(part))})")
    out = low.result(value, shape, [b])
    chosen = part if part.shape == shape else low.buffer(shape, a.storage.dtype, "difference")
    low.emit(f"multiply({low.use(_bits(part))}, {low.use(wide)}, {low.use(_bits(chosen))})")
    low.emit(f"bitwise_xor({low.use(_bits(chosen))}, {low.use(_bits(b))}, {low.use(_bits(out))})")


def _is_zero(number: Any) -> bool:
    return number is not None and number == 0 and not np.signbit(np.float64(number))


# ---- reductions -----------------------------------------------------------------------------------------------------


def _reduced_operand(low: Lowering, equation: Equation) -> tuple[View, Ints, Ints]:
    """The operand with its own number of axes, the axes that go, and the stored shape that stays."""
    source, axes = equation.inputs[0], equation.attrs.get("axes")
    axes = (equation.attrs["axis"],) if axes is None else axes
    place, shape = low.expanded(source), dims(source)
    if any(place.shape[a] != shape[a] for a in axes):
        place = low.full(source)
    return place, tuple(axes), tuple(d for i, d in enumerate(place.shape) if i not in axes)


def _reduce_sum(low: Lowering, equation: Equation) -> None:
    value = equation.outputs[0]
    place, axes, kept = _reduced_operand(low, equation)
    dtype = place.storage.dtype
    if not axes:
        _alias(low, equation)
        return
    if not place.contiguous:
        place, axes = _in_memory_order(place, axes)
    rows, columns = views.size(place.shape[: axes[0]]), views.size(place.shape[axes[-1] + 1 :])
    count = views.size(tuple(place.shape[a] for a in axes))
    together = axes == tuple(range(axes[0], axes[-1] + 1))
    exact = dtype.kind == "f" and dtype.itemsize > 2
    times = _together(place.size, count, columns) if rows == 1 else 1
    short = count <= LONGEST_DOT * times and place.contiguous and exact
    if short and count == place.size and count and is_number(low, value):
        set_scalar(low, value, f"{low.use(views.shaped(place, (count,)))}.dot({low.use(low.vector(1, count, dtype))})")
        return
    out = low.result(value, _trimmed(kept, dims(value)))
    whole = views.reshape(out, kept) or out
    if together and short and count and rows and columns and (rows == 1 or columns == 1):
        if times > 1:
            sums, ones = low.buffer((times * columns,), dtype), low.use(low.vector(1, count // times, dtype))
            low.emit(f"{ones}.dot({low.use(views.shaped(place, (count // times, sums.size)))}, {low.use(sums)})")
            place, count = sums, times
        ones = low.use(low.vector(1, count, dtype))
        if rows == columns == 1:
            first, second = low.use(views.shaped(place, (count,))), ones
        elif columns == 1:
            first, second = low.use(views.shaped(place, (rows, count))), ones
        else:
            first, second = ones, low.use(views.shaped(place, (count, columns)))
        flat = () if rows == columns == 1 else (rows * columns,)
        low.emit(f"{first}.dot({second}, {low.use(views.shaped(out, flat))})")
    elif dtype == np.float16:
        low.emit(f"{low.use(whole)}[...] = add.reduce({low.use(place)}, {views.written(axes)}, float32)")
    else:
        low.emit(f"add.reduce({low.use(place)}, {views.written(axes)}, {dtype.name}, {low.use(whole)})")
    round_bfloat16(low, value)


def _together(size: int, count: int, columns: int) -> int:
    """How many of `count` rows to see as one when they are added up first, for a sum over rows in two steps."""
    if size < _LARGE or columns < 2:
        return 1
    return next((m for m in range(_SUM_TOGETHER // columns, 1, -1) if count % m == 0), 1)


def _in_memory_order(place: View, axes: Ints) -> tuple[View, Ints]:
    """The axes that are summed over may stand in any order: where one makes the operand row-major, that one."""
    by_stride = sorted(axes, key=lambda a: -place.strides[a])
    rest = [a for a in range(len(place.shape)) if a not in axes]
    for order, first in (([*by_stride, *rest], 0), ([*rest, *by_stride], len(rest))):
        moved = views.transpose(place, tuple(order))
        if moved.contiguous:
            return moved, tuple(range(first, first + len(axes)))
    return place, axes


def _trimmed(stored: Ints, shape: Ints) -> Ints:
    """A stored shape without the leading axes along which a value of `shape` repeats."""
    while stored and stored[0] == 1 and shape[len(shape) - len(stored)] != 1:
        stored = stored[1:]
    return stored


def _extremum(name: str) -> Rule:
    def rule(low: Lowering, equation: Equation) -> None:
        value = equation.outputs[0]
        place, axes, kept = _reduced_operand(low, equation)
        if not axes:
            _alias(low, equation)
            return
        out = low.result(value, _trimmed(kept, dims(value)))
        whole = views.reshape(out, kept) or out
        low.emit(f"{name}.reduce({low.use(place)}, {views.written(axes)}, None, {low.use(whole)})")

    return rule


def _argmax(low: Lowering, equation: Equation) -> None:
    value, axis = equation.outputs[0], equation.attrs["axis"]
    place = low.full(equation.inputs[0])
    shape = dims(value)
    wide = low.buffer(shape, np.dtype(np.intp), "position")
    low.emit(f"{low.use(place)}.argmax({axis}, {low.use(wide)})")
    out = low.result(value)
    low.emit(f"{low.use(out)}[...] = {low.use(wide)}")


RULES: dict[Op, Rule] = {
    **{op: _ufunc(ufunc.__name__, _OPERATORS.get(op)) for op, ufunc in UFUNCS.items()},
    p.convert: _convert,
    p.relu: _relu,
    p.relu_gradient: _relu_gradient,
    p.select: _select,
    p.reduce_sum: _reduce_sum,
    p.reduce_max: _extremum("maximum"),
    p.reduce_min: _extremum("minimum"),
    p.argmax: _argmax,
}
