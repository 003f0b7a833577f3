"""Shapes: moving, repeating, cutting and joining, without arithmetic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir import limits, settings
from lamella.ir.dim import Dim, ceil_div, differ, exceeds, maximum, minimum, public_shape, shapes_differ
from lamella.ir.program import as_tuple, op
from lamella.ir.spec import Spec, size_of, spec_of
from lamella.ops import coerce
from lamella.ops.coerce import as_tensor, dtype_argument, full_of, normalize_axes, normalize_axis
from lamella.tracebacks import filter_functions

Ints = tuple[Any, ...]


@op(mandatory=True)
def reshape_(x: Spec, *, shape: Ints) -> Spec:
    """The same elements in row-major order under another shape"""
    if differ(size_of(shape), x.size):
        raise ShapeError(f"cannot reshape {x} ({x.size} elements) to {public_shape(shape)}.")
    return Spec(shape, x.dtype)


@reshape_.def_vjp
def _(g: Any, y: Any, x: Any, *, shape: Ints) -> Any:
    return reshape_.bind(g, shape=spec_of(x).shape)


@op(mandatory=True)
def transpose_(x: Spec, *, permutation: Ints) -> Spec:
    """Axis i of the result is axis permutation[i] of x"""
    if sorted(permutation) != list(range(x.ndim)):
        raise ShapeError(f"{permutation} is no permutation of the {x.ndim} axes of {x}.")
    return Spec(tuple(x.shape[a] for a in permutation), x.dtype)


@transpose_.def_vjp
def _(g: Any, y: Any, x: Any, *, permutation: Ints) -> Any:
    return transpose_.bind(g, permutation=tuple(int(a) for a in np.argsort(permutation)))


@op(mandatory=True)
def broadcast(x: Spec, *, shape: Ints, axes: Ints) -> Spec:
    """Axis i of x becomes axis axes[i] of the result; x repeats along the others. No dimension of 1 is stretched"""
    if list(axes) != sorted(set(axes)) or len(axes) != x.ndim or any(not 0 <= a < len(shape) for a in axes):
        raise ShapeError(f"axes {axes} do not place the {x.ndim} axes of {x} in {len(shape)} dimensions.")
    if any(differ(x.shape[i], shape[a]) for i, a in enumerate(axes)):
        raise ShapeError(f"{x} does not fit axes {axes} of {public_shape(shape)}.")
    return Spec(shape, x.dtype)


@broadcast.def_vjp
def _(g: Any, y: Any, x: Any, *, shape: Ints, axes: Ints) -> Any:
    from lamella.ops.reduction import reduce_sum

    return reduce_sum.bind(g, axes=tuple(i for i in range(len(shape)) if i not in axes))


@op(mandatory=True)
def slice_(x: Spec, *, start: Ints, stop: Ints, strides: Ints) -> Spec:
    """Entries start, start + stride, ... below stop of every axis (all positive)"""
    if not len(start) == len(stop) == len(strides) == x.ndim:
        raise ShapeError(f"start {start}, stop {stop} and strides {strides} must have {x.ndim} entries for {x}.")
    shape = []
    for a, b, s, d in zip(start, stop, strides, x.shape, strict=True):
        if exceeds(0, a) or exceeds(a, b) or exceeds(b, d) or s < 1:
            raise ShapeError(f"slice {a}:{b}:{s} does not lie within a dimension of {d} of {x}.")
        shape.append(ceil_div(b - a, s))
    return Spec(tuple(shape), x.dtype)


@slice_.def_vjp
def _(g: Any, y: Any, x: Any, *, start: Ints, stop: Ints, strides: Ints) -> Any:
    size = spec_of(g).shape
    covered = [0 if n == 0 else (n - 1) * s + 1 for n, s in zip(size, strides, strict=True)]
    high = tuple(d - a - c for d, a, c in zip(spec_of(x).shape, start, covered, strict=True))
    return pad_.bind(g, low=start, high=high, interior=tuple(s - 1 for s in strides), value=0.0)


@op(mandatory=True)
def pad_(x: Spec, *, low: Ints, high: Ints, interior: Ints, value: float) -> Spec:
    """x with `low` entries of `value` before, `high` after and `interior` between neighbours of each axis"""
    if not len(low) == len(high) == len(interior) == x.ndim or any(exceeds(0, n) for n in (*low, *high, *interior)):
        raise ShapeError(f"low {low}, high {high}, interior {interior} do not pad {x}.")
    shape = tuple(a + b + d + maximum(d - 1, 0) * i for d, a, b, i in zip(x.shape, low, high, interior, strict=True))
    return Spec(shape, x.dtype)


@pad_.def_vjp
def _(g: Any, y: Any, x: Any, *, low: Ints, high: Ints, interior: Ints, value: float) -> Any:
    strides = tuple(i + 1 for i in interior)
    stop = tuple(
        a + maximum(d - 1, 0) * s + (0 if d == 0 else 1) for a, d, s in zip(low, spec_of(x).shape, strides, strict=True)
    )
    return slice_.bind(g, start=low, stop=stop, strides=strides)


@op(mandatory=True)
def concatenate_(*xs: Spec, axis: int) -> Spec:
    """The operands one after the other along `axis`"""
    first = xs[0]
    if not 0 <= axis < first.ndim:
        raise ShapeError(f"axis {axis} is out of range for {first}.")
    for x in xs[1:]:
        if x.dtype != first.dtype:
            raise DTypeError(f"operands must have one dtype, got {first.dtype} and {x.dtype}.")
        if shapes_differ(x.shape[:axis] + x.shape[axis + 1 :], first.shape[:axis] + first.shape[axis + 1 :]):
            raise ShapeError(f"{first} and {x} differ outside axis {axis}.")
    shape = list(first.shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return Spec(tuple(shape), first.dtype)


@concatenate_.def_vjp
def _(g: Any, y: Any, *xs: Any, axis: int) -> Any:
    sizes = tuple(spec_of(x).shape[axis] for x in xs)
    return as_tuple(split_.bind(g, sizes=sizes, axis=axis))


@op
def split_(x: Spec, *, sizes: Ints, axis: int) -> tuple[Spec, ...]:
    """Consecutive parts of `sizes` along `axis`: the opposite of concatenate"""
    if not 0 <= axis < x.ndim or differ(sum(sizes), x.shape[axis]):
        raise ShapeError(f"parts {sizes} do not make up axis {axis} of {x}.")
    return tuple(Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes)


@split_.define
def _(x: Any, *, sizes: Ints, axis: int) -> Any:
    parts, offset = [], 0
    for n in sizes:
        parts.append(_cut(x, axis, offset, offset + n))
        offset += n
    return tuple(parts)


@split_.def_vjp
def _(g: Any, y: Any, x: Any, *, sizes: Ints, axis: int) -> Any:
    # a single part is no tuple of one
    return concatenate_.bind(*g, axis=axis) if isinstance(g, tuple) else g


@op(mandatory=True, mixed_axes=lambda spec, attrs: attrs["axes"])
def reverse(x: Spec, *, axes: Ints) -> Spec:
    """x with the order along `axes` reversed"""
    if any(not 0 <= a < x.ndim for a in axes):
        raise ShapeError(f"axes {axes} are out of range for {x}.")
    return x


@reverse.def_vjp
def _(g: Any, y: Any, x: Any, *, axes: Ints) -> Any:
    return reverse.bind(g, axes=axes)


@op(differentiable=False)
def dimension_value(*, dim: Any, dtype: str) -> Spec:
    """The size of a dimension as a number; in programs with free dimensions, where others hold a constant"""
    return Spec((), dtype)


@dimension_value.define
def _(*, dim: Any, dtype: str) -> Any:
    return full_of(Spec((), dtype), int(dim))


@op(mandatory=True, differentiable=False)
def iota(*, shape: Ints, dtype: str, axis: int) -> Spec:
    """Every entry is its index along `axis`"""
    if not 0 <= axis < len(shape):
        raise ShapeError(f"axis {axis} is out of range for shape {shape}.")
    return Spec(shape, dtype)


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    shape = spec_of(x).shape
    low = tuple(start if i == axis else 0 for i in range(len(shape)))
    high = tuple(stop if i == axis else d for i, d in enumerate(shape))
    return slice_.bind(x, start=low, stop=high, strides=(1,) * len(shape))


# ---- friendly functions ---------------------------------------------------------------------------------------------


def reshape(x: Any, newshape: int | Sequence[int]) -> Any:
    """`x` under another shape; one entry may be -1 and is worked out."""
    x = as_tensor(x)
    shape = (newshape,) if isinstance(newshape, int | np.integer | Dim) else tuple(newshape)
    have = spec_of(x)
    if -1 in shape:
        if shape.count(-1) > 1 or any(exceeds(-1, d) for d in shape):
            raise ShapeError(f"a shape may hold one -1, got {shape}.")
        rest = 1
        for d in shape:
            rest = rest * d if d != -1 else rest
        if rest == 0 or differ(have.size % rest, 0):
            raise ShapeError(f"cannot reshape {have} ({have.size} elements) to {public_shape(shape)}.")
        missing = have.size // rest
        shape = tuple(missing if d == -1 else d for d in shape)
    if shape == have.shape:
        return x
    return reshape_.bind(x, shape=shape)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """`x` with its axes in the order `axes` (None: reversed)."""
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    order = tuple(reversed(range(ndim))) if axes is None else tuple(normalize_axis(a, ndim) for a in axes)
    return x if order == tuple(range(ndim)) else transpose_.bind(x, permutation=order)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """`x` with axis `source` at place `destination`, or several axes at as many places."""
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    sources = [normalize_axis(a, ndim) for a in ([source] if isinstance(source, int) else source)]
    places = [normalize_axis(a, ndim) for a in ([destination] if isinstance(destination, int) else destination)]
    if len(set(sources)) != len(sources) or len(set(places)) != len(sources) or len(places) != len(sources):
        raise ArgumentError(f"moveaxis needs as many distinct places as axes, got {sources} and {places}.")
    order = [i for i in range(ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """`x` with two axes exchanged."""
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    order = list(range(ndim))
    a, b = normalize_axis(axis1, ndim), normalize_axis(axis2, ndim)
    order[a], order[b] = order[b], order[a]
    return transpose(x, order)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """`x` with a new dimension of 1 at `axis`, or at each of several axes of the result."""
    x = as_tensor(x)
    shape = list(spec_of(x).shape)
    axes = [axis] if isinstance(axis, int | np.integer) else list(axis)
    for place in sorted(normalize_axis(int(a), len(shape) + len(axes)) for a in axes):
        shape.insert(place, 1)
    return reshape(x, shape)


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """`x` without its dimensions of 1 (or those at `axis`)."""
    x = as_tensor(x)
    shape = spec_of(x).shape
    axes = tuple(i for i, d in enumerate(shape) if d == 1) if axis is None else normalize_axes(axis, len(shape))
    if any(shape[a] != 1 for a in axes):
        raise ShapeError(f"cannot squeeze axes {axes} of {spec_of(x)}: not all are 1.")
    return reshape(x, tuple(d for i, d in enumerate(shape) if i not in axes))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` stretched to `shape` by NumPy's rule."""
    return coerce.broadcast_to(x, shape)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Any:
    """`x` padded: `pad_width` is a number, a pair, or a pair for every axis, as in NumPy.

    Args:
        x: any value.
        pad_width: how many entries before and after.
        mode: "constant"; "edge", "reflect", "symmetric" and "wrap" (also "circular") repeat entries; "maximum", "mean",
            "median" and "minimum" those of each axis; "linear_ramp" goes down to 0; "empty" pads with zeros.
        constant_values: of "constant": the value, 0 where none is given.
    """
    if mode != "constant":
        from lamella.ops.padding import padded

        if constant_values is not None:
            raise ValueError(f"constant_values={constant_values} goes with mode 'constant', not with {mode!r}.")
        return padded(x, pad_width, mode)
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    low, high = _pad_widths(pad_width, ndim)
    if all(n == 0 for n in (*low, *high)):
        return x
    return pad_.bind(x, low=low, high=high, interior=(0,) * ndim, value=float(constant_values or 0))


def _pad_widths(pad_width: Any, ndim: int) -> tuple[Ints, Ints]:
    """The entries before and after each axis, by NumPy's rule."""
    free = isinstance(pad_width, list | tuple) and any(isinstance(n, Dim) for pair in pad_width for n in (*pair,))
    pairs = pad_width if free else np.broadcast_to(np.asarray(pad_width, int), (ndim, 2)).tolist()
    low, high = zip(*pairs, strict=True) if ndim else ((), ())
    return low, high


def concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    """The operands, promoted, one after the other along `axis`."""
    if not xs:
        raise ArgumentError("concatenate needs at least one operand.")
    dtype = coerce.common_dtype(*xs)
    items = [as_tensor(x, dtype) for x in xs]
    return concatenate_.bind(*items, axis=normalize_axis(axis, spec_of(items[0]).ndim))


def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """The operands along a new axis."""
    return concatenate([expand_dims(part, axis) for part in x], axis)


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Equal parts (a number) or parts between the given indices, along `axis`."""
    x = as_tensor(x)
    axis = normalize_axis(axis, spec_of(x).ndim)
    size = spec_of(x).shape[axis]
    if isinstance(indices_or_sections, int):
        if differ(size % indices_or_sections, 0):
            raise ShapeError(f"axis {axis} of {spec_of(x)} does not divide into {indices_or_sections} equal parts.")
        sizes = (size // indices_or_sections,) * indices_or_sections
    else:
        edges = [0, *(int(i) for i in indices_or_sections), size]
        sizes = tuple(b - a for a, b in itertools.pairwise(edges))
    parts = split_.bind(x, sizes=sizes, axis=axis)
    return list(parts) if isinstance(parts, tuple) else [parts]


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """`x` with the order along `axis` (None: all) reversed."""
    x = as_tensor(x)
    return reverse.bind(x, axes=normalize_axes(axis, spec_of(x).ndim))


def repeat(x: Any, repeats: int | Sequence[int], axis: int | None = None) -> Any:
    """Every entry along `axis` (None: of the flattened operand) `repeats` times in a row: a number, or one an entry."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    shape = spec_of(x).shape
    if not isinstance(repeats, int | np.integer):
        from lamella.ops.indexing import take

        counts = [int(n) for n in repeats]
        if len(counts) == 1:
            return repeat(x, counts[0], axis)
        size = shape[normalize_axis(axis, len(shape))]
        if differ(len(counts), size):
            raise ShapeError(f"repeat needs one number for each of {size} entries, got {len(counts)}.")
        limits.reserve((sum(counts),))
        return take(x, np.repeat(np.arange(size), counts), axis)
    repeats = int(repeats)
    axis = normalize_axis(axis, len(shape))
    wide = coerce.broadcast_to(expand_dims(x, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return reshape(wide, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))


def tile(x: Any, repeats: int | Sequence[int]) -> Any:
    """`x` repeated `repeats[i]` times along axis i, counted from the last one; dimensions of 1 are added in front."""
    x = as_tensor(x)
    repeats = (repeats,) if isinstance(repeats, int | np.integer) else tuple(repeats)
    ndim = spec_of(x).ndim
    repeats = (*[1] * (ndim - len(repeats)), *repeats)
    x = reshape(x, (*[1] * (len(repeats) - ndim), *spec_of(x).shape))
    for axis, n in enumerate(repeats):
        x = x if n == 1 else concatenate([x] * n, axis) if n else x[(*[slice(None)] * axis, slice(0, 0))]
    return x


def zeros(shape: int | Sequence[int], dtype: Any = None) -> Any:
    """Zeros of `shape` (dtype: `floatx`)."""
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = None) -> Any:
    """Ones of `shape` (dtype: `floatx`)."""
    return full(shape, 1, dtype)


def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """`fill_value` everywhere, a number or something that broadcasts (dtype: `floatx`)."""
    sizes = (shape,) if isinstance(shape, int | np.integer | Dim) else tuple(shape)
    kind = dtype_argument(dtype, settings.floatx())
    if isinstance(fill_value, bool | int | float | np.generic):
        return full_of(Spec(sizes, kind), fill_value)
    return coerce.broadcast_to(as_tensor(fill_value, kind), sizes)


def arange(start: float | Dim, stop: float | Dim | None = None, step: float | None = None, dtype: Any = None) -> Any:
    """start, start + step, ... below stop (of Python numbers or dimensions; int32, or `floatx` where one is a float)."""
    begin, end = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    whole = all(isinstance(n, int | np.integer | Dim) for n in (begin, end, step))
    count = maximum(ceil_div(end - begin, step) if whole else math.ceil((end - begin) / step), 0)
    kind = dtype_argument(dtype, "int32" if whole else settings.floatx())
    index = iota.bind(shape=(count,), dtype=kind, axis=0)
    if begin == 0 and step == 1:
        return index
    from lamella.ops.elementwise import add, multiply

    return add(multiply(index, as_tensor(step, kind)), as_tensor(begin, kind))


def getitem(x: Any, key: Any) -> Any:
    """`x[key]` for integers, slices, None, Ellipsis, and one array of integers."""
    from lamella.ops.indexing import take

    x = as_tensor(x)
    keys = list(key) if isinstance(key, tuple) else [key]
    consumed = sum(1 for k in keys if k is not None and k is not Ellipsis)
    ndim = spec_of(x).ndim
    if consumed > ndim:
        raise ShapeError(f"{consumed} indices for {spec_of(x)}.")
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    place = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[place : place + 1] = [slice(None)] * (ndim - consumed)
    axis, arrays, flips, shape = 0, [], [], []
    cuts: list[tuple[Any, Any, int]] = []
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        size = spec_of(x).shape[axis]
        if isinstance(k, int | np.integer):
            index = _position(int(k), size)
            cuts.append((index, index + 1, 1))
        elif isinstance(k, slice):
            start, stop, step = _bounds_of(k, size)
            count = maximum(ceil_div(stop - start, step) if step > 0 else ceil_div(start - stop, -step), 0)
            if step < 0:
                flips.append(axis)
                start, stop, step = (0, 0, 1) if count == 0 else (start + (count - 1) * step, start + 1, -step)
            stop = maximum(start, stop)
            cuts.append((start, stop, step))
            shape.append(count)
        else:
            arrays.append((len(shape), k))
            cuts.append((0, size, 1))
            shape.append(size)
        axis += 1
    if any(cut != (0, size, 1) for cut, size in zip(cuts, spec_of(x).shape, strict=True)):
        starts, stops, steps = zip(*cuts, strict=True)
        x = slice_.bind(x, start=starts, stop=stops, strides=steps)
    if flips:
        x = reverse.bind(x, axes=tuple(flips))
    x = reshape(x, tuple(shape))
    if len(arrays) > 1:
        raise ArgumentError("indexing by more than one array: use `ops.take` axis by axis.")
    for at, indices in arrays:
        x = take(x, indices, axis=at)
    return x


def _position(index: int, size: Any) -> Any:
    """The place of an entry along a dimension, counted from its start."""
    if exceeds(index + 1, size) or exceeds(-index, size):
        raise ShapeError(f"index {index} is out of range for {size} dimensions.")
    return index + size if index < 0 else index


def _bounds_of(key: slice, size: Any) -> tuple[Any, Any, int]:
    """Start, stop and step of a slice of a dimension, as `slice.indices` gives them."""
    if not isinstance(size, Dim) and not any(isinstance(end, Dim) for end in (key.start, key.stop)):
        return key.indices(size)
    step = 1 if key.step is None else int(key.step)

    def end(given: Any, default: Any) -> Any:
        if given is None:
            return default
        place = given + size if exceeds(0, given) else given
        return minimum(maximum(place, 0 if step > 0 else -1), size if step > 0 else size - 1)

    return end(key.start, 0 if step > 0 else size - 1), end(key.stop, size if step > 0 else -1), step


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """An (N, M) matrix with ones on diagonal `k`, zeros elsewhere; without the others the identity."""
    from lamella.ops.comparison import equal
    from lamella.ops.elementwise import cast

    shape = (N, N if M is None else M)
    rows, columns = iota.bind(shape=shape, dtype="int32", axis=0), iota.bind(shape=shape, dtype="int32", axis=1)
    rows = rows if not k else rows + full_of(Spec(shape, "int32"), k)
    return cast(equal(rows, columns), dtype_argument(dtype, settings.floatx()))


filter_functions(__name__)
