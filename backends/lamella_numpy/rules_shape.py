"""Lowering rules of ops that move entries, of the sums of products, and of the kernels that come whole."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.ir.program import Equation, Op, Value
from lamella.ir.spec import numpy_dtype
from lamella.ops import primitives as p
from lamella_numpy import pieces, views
from lamella_numpy.kernels import KERNELS, UFUNCS
from lamella_numpy.lowering import Lowering, Rule, Scalar, dims
from lamella_numpy.rules_elementwise import is_number, round_bfloat16, set_scalar
from lamella_numpy.shaping import interior_slices
from lamella_numpy.views import Ints, View


def _bind_view(low: Lowering, value: Value, place: View) -> None:
    """`value` is the view `place`, which has all its axes; a view of a single repeated number is that number."""
    shape = dims(value)
    if place.shape and views.size(place.shape) == 1 and views.size(shape) != 1:
        place = views.derive(place, "{}.reshape(())", (), (), place.offset)
    low.bind(value, place)


def _only_number(low: Lowering, equation: Equation) -> bool:
    """Views of a number repeated everywhere are the number."""
    found = low.environment[equation.inputs[0]]
    if isinstance(found, Scalar) or (found.shape == () and equation.inputs[0].spec.shape):
        for value in equation.outputs:
            low.bind(value, found)
        return True
    return False


def _broadcast(low: Lowering, equation: Equation) -> None:
    value = equation.outputs[0]
    if _only_number(low, equation):
        return
    place, axes = low.expanded(equation.inputs[0]), equation.attrs["axes"]
    if not axes:
        low.bind(value, place)
        return
    sizes = dict(zip(axes, place.shape, strict=True))
    strides = dict(zip(axes, place.strides, strict=True))
    kept = range(axes[0], len(equation.attrs["shape"]))
    shape = tuple(sizes.get(i, 1) for i in kept)
    if shape == place.shape:
        low.bind(value, place)
        return
    template = "{}[" + ", ".join(":" if i in sizes else "None" for i in kept) + "]"
    low.bind(value, views.derive(place, template, shape, tuple(strides.get(i, 0) for i in kept), place.offset))


def _reshape(low: Lowering, equation: Equation) -> None:
    source, value = equation.inputs[0], equation.outputs[0]
    shape = dims(value)
    found = low.environment[source]
    if isinstance(found, Scalar) or (found.shape == () and source.spec.shape):
        low.bind(value, found)
        return
    place = low.expanded(source)
    stored = None if place.shape == dims(source) else _stored_reshape(dims(source), place, shape)
    if stored is None:
        place = low.full(source)
        stored = shape
    view = views.reshape(place, stored)
    if view is None:
        view = views.shaped(low.contiguous(place), stored)
    _bind_view(low, value, view)


def _stored_reshape(old: Ints, place: View, new: Ints) -> Ints | None:
    """The stored shape of a repeated value after a reshape, or None where repetition no longer fills whole axes."""
    strides = tuple(0 if d != n else s for d, s, n in zip(place.shape, place.strides, old, strict=True))
    after = views.reshaped_strides(old, strides, new)
    return None if after is None else tuple(1 if s == 0 else d for d, s in zip(new, after, strict=True))


def _transpose(low: Lowering, equation: Equation) -> None:
    if not _only_number(low, equation):
        place = low.expanded(equation.inputs[0])
        _bind_view(low, equation.outputs[0], views.transpose(place, equation.attrs["permutation"]))


def _slice(low: Lowering, equation: Equation) -> None:
    if not _only_number(low, equation):
        a = equation.attrs
        _bind_slice(low, equation.inputs[0], equation.outputs[0], a["start"], a["stop"], a["strides"])


def _bind_slice(low: Lowering, source: Value, value: Value, start: Ints, stop: Ints, steps: Ints) -> None:
    place, shape = low.expanded(source), dims(source)
    if 0 in dims(value):
        place = low.full(source)
    repeated = [d != n for d, n in zip(place.shape, shape, strict=True)]
    start = tuple(0 if r else int(a) for a, r in zip(start, repeated, strict=True))
    stop = tuple(1 if r else int(b) for b, r in zip(stop, repeated, strict=True))
    steps = tuple(1 if r else int(s) for s, r in zip(steps, repeated, strict=True))
    _bind_view(low, value, views.sliced(place, start, stop, steps))


def _split(low: Lowering, equation: Equation) -> None:
    if _only_number(low, equation):
        return
    source, axis, begin = equation.inputs[0], equation.attrs["axis"], 0
    shape = dims(source)
    for value, width in zip(equation.outputs, equation.attrs["sizes"], strict=True):
        start = tuple(begin if i == axis else 0 for i in range(len(shape)))
        begin += int(width)
        stop = tuple(begin if i == axis else d for i, d in enumerate(shape))
        _bind_slice(low, source, value, start, stop, (1,) * len(shape))


def _reverse(low: Lowering, equation: Equation) -> None:
    if not _only_number(low, equation):
        place = low.expanded(equation.inputs[0])
        _bind_view(low, equation.outputs[0], views.reverse(place, equation.attrs["axes"]))


def _pad(low: Lowering, equation: Equation) -> None:
    a, value = equation.attrs, equation.outputs[0]
    out, source = low.result(value), equation.inputs[0]
    low.emit(f"{low.use(out)}.fill({_number(a['value'])})")
    spans = interior_slices(dims(source), a["low"], a["interior"])[:-1]
    if 0 in dims(source):
        return
    start, stop, steps = zip(*[(s.start, s.stop, s.step) for s in spans], strict=True) if spans else ((), (), ())
    low.copy(views.sliced(out, tuple(map(int, start)), tuple(map(int, stop)), tuple(map(int, steps))), source)


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "nan" if value != value else "inf" if value > 0 else "-inf"


def _concatenate(low: Lowering, equation: Equation) -> None:
    for source, part in zip(equation.inputs, concatenated(low, equation), strict=True):
        if part.size and low.environment[source] is not part:
            low.copy(part, source)


def concatenated(low: Lowering, equation: Equation) -> list[View]:
    """The parts of the result of a concatenation, in the order of its operands; its place is made at the first call."""
    value, axis, begin, parts = equation.outputs[0], equation.attrs["axis"], 0, []
    found, shape = low.environment.get(value), dims(value)
    out = found if isinstance(found, View) else low.result(value)
    for source in equation.inputs:
        start = tuple(begin if i == axis else 0 for i in range(len(shape)))
        begin += int(source.spec.shape[axis])
        stop = tuple(begin if i == axis else d for i, d in enumerate(shape))
        parts.append(views.sliced(out, start, stop, (1,) * len(shape)))
    return parts


def aim_at_parts(low: Lowering, equations: Sequence[Equation]) -> None:
    """Let elementwise operands of concatenations be computed where they will stand.

    Args:
        low: the compilation.
        equations: those of one block, which all run before or after each other.
    """
    made = {e.outputs[0]: e for e in equations if e.op in UFUNCS}
    for equation in equations:
        if equation.op is p.concatenate:
            for i, source in enumerate(equation.inputs):
                if source in made and source not in low.pins and source not in low.parts:
                    low.parts[source] = lambda equation=equation, i=i: concatenated(low, equation)[i]


def _iota(low: Lowering, equation: Equation) -> None:
    shape, axis = equation.attrs["shape"], equation.attrs["axis"]
    line = np.arange(int(shape[axis])).astype(numpy_dtype(equation.attrs["dtype"]))
    stored = (len(line), *[1] * (len(shape) - axis - 1))
    low.environment[equation.outputs[0]] = low.known(line.reshape(stored), "index")


def _take(low: Lowering, equation: Equation) -> None:
    source, indices = equation.inputs
    if indices.spec.dtype == "uint64":  # has no signed type to go to
        generic(low, equation)
        return
    x, places_ = low.compact(source), low.full(indices)
    if places_.storage.dtype != np.dtype(np.intp):
        wide = low.buffer(places_.shape, np.dtype(np.intp), "rows")
        low.emit(f"{low.use(wide)}[...] = {low.use(places_)}")
        places_ = wide
    out = low.result(equation.outputs[0])
    low.emit(f"{low.use(x)}.take({low.use(places_)}, {equation.attrs['axis']}, {low.use(out)}, 'clip')")


# ---- sums of products -----------------------------------------------------------------------------------------------


def _contract(low: Lowering, equation: Equation) -> None:
    """One matrix product; operands are seen as matrices without a copy wherever their strides allow."""
    x, y = equation.inputs
    value = equation.outputs[0]
    (left, right), (batch_x, batch_y) = equation.attrs["contracting"], equation.attrs["batch"]
    free_x = [a for a in range(x.spec.ndim) if a not in left and a not in batch_x]
    free_y = [a for a in range(y.spec.ndim) if a not in right and a not in batch_y]
    x_place, y_place = _factor(low, x, batch_x), _factor(low, y, batch_y)
    # the order of the summed axes is free: the one that copies least
    best: tuple[int, _Factor, _Factor] | None = None
    pairs = list(zip(left, right, strict=True))
    orders = [
        sorted(pairs, key=lambda pair: pair[0]),
        sorted(pairs, key=lambda pair: pair[1]),
        sorted(pairs, key=lambda pair: -x_place.strides[pair[0]]),
        sorted(pairs, key=lambda pair: -y_place.strides[pair[1]]),
    ]
    for pairs in orders:
        first = _Factor(x, x_place, batch_x, free_x, [a for a, _ in pairs])
        second = _Factor(y, y_place, batch_y, [b for _, b in pairs], free_y)
        if best is None or first.copied + second.copied < best[0]:
            best = (first.copied + second.copied, first, second)
    assert best is not None  # noqa: S101 - two orders were tried
    x_view, y_view = best[1].matrix(low), best[2].matrix(low)
    wide = x_view.storage.dtype.itemsize > 2
    if wide and is_number(low, value) and x_view.contiguous and y_view.contiguous:
        one, other = (low.use(views.shaped(v, (v.size,))) for v in (x_view, y_view))
        set_scalar(low, value, f"{one}.dot({other})")
        return
    out = low.result(value)
    lead = dims(value)[: len(batch_x)]
    target = views.shaped(out, (*lead, x_view.shape[-2], y_view.shape[-1]))
    _product(low, x_view, y_view, target, bool(batch_x))
    round_bfloat16(low, value)


def _factor(low: Lowering, value: Value, batch: Ints) -> View:
    """An operand that repeats along batch axes at most (a matrix product repeats along those by itself)."""
    place, shape = low.expanded(value), dims(value)
    if all(d == n or i in batch for i, (d, n) in enumerate(zip(place.shape, shape, strict=True))):
        return place
    return low.full(value)


class _Factor:
    """An operand seen as matrices (batch ..., rows, columns).

    Attributes:
        copied: how many elements must be copied for BLAS to take it; 0 where a view does.
    """

    def __init__(self, value: Value, place: View, batch: Ints, rows: list[int], columns: list[int]) -> None:
        self._value, self._place = value, place
        self._lead = tuple(place.shape[a] for a in batch)
        self._by_rows, self._by_columns = (*batch, *rows, *columns), (*batch, *columns, *rows)
        self._count, self._width = (views.size(tuple(place.shape[a] for a in axes)) for axes in (rows, columns))
        view = views.reshape(views.transpose(place, self._by_rows), (*self._lead, self._count, self._width))
        self._view = view if view is not None and _blas_takes(view) else None
        self.copied = 0 if self._view is not None else place.size

    def matrix(self, low: Lowering) -> View:
        """The view; of a copy where need be: of one that exists, or of the one that is read in the order it is written."""
        if self._view is not None:
            return self._view
        value, place, orders = self._value, self._place, (self._by_rows, self._by_columns)
        order = min(orders, key=lambda order: (not low.has_moved(value, place, order), place.strides[order[-1]]))
        by_rows, lead = order == self._by_rows, self._lead
        shape = (self._count, self._width) if by_rows else (self._width, self._count)
        view = views.shaped(low.moved(value, place, order), (*lead, *shape))
        return view if by_rows else views.transpose(view, (*range(len(lead)), len(lead) + 1, len(lead)))


def _blas_takes(view: View) -> bool:
    """Whether rows or columns stand in memory without gaps (for integers, which have no BLAS, anything does)."""
    count, width = view.shape[-2:]
    down, across = view.strides[-2:]
    by_rows = (across == 1 or width <= 1) and (down >= width or count <= 1)
    by_columns = (down == 1 or count <= 1) and (across >= count or width <= 1)
    return view.storage.dtype.kind != "f" or by_rows or by_columns or 0 in view.shape


def _product(low: Lowering, x: View, y: View, out: View, batched: bool) -> None:
    if x.storage.dtype == np.float16:  # has no BLAS
        single = np.dtype(np.float32)
        a, b, c = (low.buffer(v.shape, single, v.hint) for v in (x, y, out))
        low.emit(f"{low.use(a)}[...] = {low.use(x)}")
        low.emit(f"{low.use(b)}[...] = {low.use(y)}")
        _product(low, a, b, c, batched)
        low.emit(f"{low.use(out)}[...] = {low.use(c)}")
        return
    a, b, c = (low.use(v) for v in (x, y, out))
    # the method: np.dot is looked up for other kinds of arrays first, which takes as long as a small product
    if x.storage.dtype.kind == "f" and pieces.is_cut(x.shape, y.shape):
        low.emit(f"product({a}, {b}, {c})")
    else:
        low.emit(f"matmul({a}, {b}, {c})" if batched else f"{a}.dot({b}, {c})")


# ---- kernels that come whole ----------------------------------------------------------------------------------------


def generic(low: Lowering, equation: Equation) -> None:
    """A call of the op's plain kernel, with `out=` and `scratch=` where it takes them."""
    kernel = KERNELS[equation.op]
    takes = inspect.signature(kernel).parameters
    operands = [low.compact(v) for v in equation.inputs]
    call = [low.use(o) for o in operands]
    call += [f"{key}={_attribute(low, v)}" for key, v in equation.attrs.items()]
    name = equation.op.name
    if "scratch" in takes:
        call.append(f"scratch={low.scratch()}")
    if "out" in takes and len(equation.outputs) == 1:
        out = low.result(equation.outputs[0])
        low.emit(f"{name}({', '.join([*call, f'out={low.use(out)}'])})")
    else:
        outs = [low.result(v) for v in equation.outputs]
        if len(outs) == 1:
            low.emit(f"{low.use(outs[0])}[...] = {name}({', '.join(call)})")
        else:
            made = low.fresh("results")
            low.emit(f"{made} = {name}({', '.join(call)})")
            for i, out in enumerate(outs):
                low.emit(f"{low.use(out)}[...] = {made}[{i}]")
    for value in equation.outputs:
        round_bfloat16(low, value)


def _attribute(low: Lowering, value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + "".join(f"{_attribute(low, v)}, " for v in value).rstrip() + ")"
    if isinstance(value, bool | str) or value is None:
        return repr(value)
    if isinstance(value, float):
        return _number(value)
    return repr(int(value))


_WHOLE = (
    p.random_bits,
    p.fold_in,
    p.scatter_add,
    p.scatter_max,
    p.argsort,
    p.cumsum,
    p.convolve,
    p.convolve_input_gradient,
    p.convolve_kernel_gradient,
    p.max_pool,
    p.max_pool_gradient,
    p.average_pool,
    p.average_pool_gradient,
)

RULES: dict[Op, Rule] = {
    p.broadcast: _broadcast,
    p.reshape: _reshape,
    p.transpose: _transpose,
    p.slice: _slice,
    p.split: _split,
    p.reverse: _reverse,
    p.pad: _pad,
    p.concatenate: _concatenate,
    p.iota: _iota,
    p.take: _take,
    p.contract: _contract,
    **{op: generic for op in _WHOLE if op in KERNELS},
}
