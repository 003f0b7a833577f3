"""Making, joining, cutting and rearranging arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import Dimension
from lamella.ir.interpret import to_numpy
from lamella.ir.program import Value
from lamella.ir.spec import is_float, promote, spec_of
from lamella.ir.trace import operand
from lamella.ops.coerce import common_dtype, dtype_argument, floating, normalize_axis
from lamella.tracebacks import filter_functions

span = slice  # Python's own: the name is a function's below


def is_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic value, a variable or an array (no list, no number)."""
    x = operand(x)
    return isinstance(x, Value) or (hasattr(x, "shape") and hasattr(x, "dtype"))


def convert_to_numpy(x: Any) -> np.ndarray:
    """The numbers of `x` as a NumPy array, a copy that may be written to.

    Raises:
        TraceError: `x` is symbolic.
    """
    return np.array(to_numpy(operand(x)))


def array(x: Any, dtype: Any = None) -> Any:
    """`x` as an array, of `dtype` where one is given."""
    return ops.convert_to_tensor(x, dtype)


def copy(x: Any) -> Any:
    """The numbers of `x`: values do not change, so it is `x` itself (of a NumPy array, a copy)."""
    x = ops.convert_to_tensor(x)
    return np.array(x) if isinstance(x, np.ndarray) else x


def shape(x: Any) -> tuple[int, ...]:
    """The shape: a tuple of integers, as shapes are static."""
    return tuple(spec_of(ops.convert_to_tensor(x)).shape)


def ndim(x: Any) -> int:
    """The number of dimensions."""
    return spec_of(ops.convert_to_tensor(x)).ndim


def size(x: Any) -> int:
    """The number of entries."""
    return spec_of(ops.convert_to_tensor(x)).size


def dtype(x: Any) -> str:
    """The name of the dtype."""
    return spec_of(ops.convert_to_tensor(x)).dtype


def empty(shape: Sequence[int], dtype: Any = None) -> Any:
    """An array of `shape`; its entries are zeros."""
    return ops.zeros(shape, dtype)


def empty_like(x: Any, dtype: Any = None) -> Any:
    """An array of the shape of `x`; its entries are zeros."""
    return ops.zeros_like(x, dtype)


def identity(n: int, dtype: Any = None) -> Any:
    """The identity matrix (n, n)."""
    return ops.eye(n, dtype=dtype)


def tri(N: Dimension, M: Dimension | None = None, k: int = 0, dtype: Any = None) -> Any:
    """(N, M) ones on and below diagonal `k`, zeros above."""
    kind = dtype_argument(dtype, settings.floatx())
    return ops.cast(_lower(N, N if M is None else M, k), kind)


def _lower(rows: Dimension, columns: Dimension, k: int) -> Any:
    i, j = ops.expand_dims(ops.arange(rows), 1), ops.expand_dims(ops.arange(columns), 0)
    return ops.less_equal(j, ops.add(i, k))


def tril(x: Any, k: int = 0) -> Any:
    """Matrices with zeros above diagonal `k`."""
    x = _matrices(x)
    return ops.where(_lower(x.shape[-2], x.shape[-1], k), x, ops.zeros((), spec_of(x).dtype))


def triu(x: Any, k: int = 0) -> Any:
    """Matrices with zeros below diagonal `k`."""
    x = _matrices(x)
    return ops.where(_lower(x.shape[-2], x.shape[-1], k - 1), ops.zeros((), spec_of(x).dtype), x)


def _matrices(x: Any) -> Any:
    x = ops.convert_to_tensor(x)
    if spec_of(x).ndim < 2:
        raise ShapeError(f"needs matrices, got {spec_of(x)}.")
    return x


def diag(x: Any, k: int = 0) -> Any:
    """A matrix with the vector `x` on diagonal `k`, or diagonal `k` of the matrix `x`."""
    x = ops.convert_to_tensor(x)
    if spec_of(x).ndim == 2:
        return diagonal(x, k)
    if spec_of(x).ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, got {spec_of(x)}.")
    n, extra = spec_of(x).shape[0], abs(k)
    row = ops.pad(x, ((max(k, 0), max(-k, 0)),)) if extra else x
    hit = ops.eye(n + extra, k=k, dtype="bool")
    # column j of diagonal k holds x[j - k]
    return ops.where(hit, ops.broadcast_to(row, (n + extra, n + extra)), ops.zeros((), spec_of(x).dtype))


def diagflat(x: Any, k: int = 0) -> Any:
    """A matrix with the entries of `x` on diagonal `k`."""
    return diag(ops.reshape(x, (-1,)), k)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Diagonal `offset` of the matrices along two axes, as the last axis."""
    x = _matrices(x)
    a, b = normalize_axis(axis1, spec_of(x).ndim), normalize_axis(axis2, spec_of(x).ndim)
    if a == b:
        raise ArgumentError(f"axis1 and axis2 are both {a}.")
    x = ops.moveaxis(x, (a, b), (-2, -1))
    *lead, rows, columns = spec_of(x).shape
    count = max(0, min(int(rows), int(columns) - offset) if offset >= 0 else min(int(rows) + offset, int(columns)))
    start = offset if offset >= 0 else -offset * int(columns)
    places = start + (int(columns) + 1) * np.arange(count)
    return ops.take(ops.reshape(x, (*lead, int(rows) * int(columns))), places, -1)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return ops.sum(diagonal(x, offset, axis1, axis2), -1)


def ravel(x: Any) -> Any:
    """`x` as a vector."""
    return ops.reshape(x, (-1,))


def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """`x2` after `x1` along `axis` (None: both flattened)."""
    return ops.concatenate([ravel(x1), ravel(x2)], 0) if axis is None else ops.concatenate([x1, x2], axis)


def fliplr(x: Any) -> Any:
    """`x` with the order along axis 1 reversed."""
    return ops.flip(x, 1)


def flipud(x: Any) -> Any:
    """`x` with the order along axis 0 reversed."""
    return ops.flip(x, 0)


def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """`array` turned by `k` quarters from the first of two axes towards the second."""
    a, b = axes
    for _ in range(k % 4):
        array = ops.swapaxes(ops.flip(array, b), a, b)
    return ops.convert_to_tensor(array)


def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """`x` moved by `shift` along `axis` (None: flattened); what leaves one end enters at the other."""
    x = ops.convert_to_tensor(x)
    if axis is None:
        return ops.reshape(roll(ravel(x), shift, 0), spec_of(x).shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    for a, s in zip(axes, shifts, strict=True):
        a = normalize_axis(a, spec_of(x).ndim)
        count = spec_of(x).shape[a]
        cut = -s % count if count else 0
        if cut:
            before = (span(None),) * a
            x = ops.concatenate([x[(*before, span(cut, None))], x[(*before, span(None, cut))]], a)
    return x


def _at_least(x: Any, ndim: int) -> Any:
    x = ops.convert_to_tensor(x)
    have = spec_of(x).shape
    if ndim == 3:
        return ops.reshape(x, {0: (1, 1, 1), 1: (1, *have, 1), 2: (*have, 1)}.get(len(have), have))
    return ops.reshape(x, (*[1] * (ndim - len(have)), *have))


def hstack(xs: Sequence[Any]) -> Any:
    """The operands one after the other along axis 1 (vectors: axis 0)."""
    items = [_at_least(x, 1) for x in xs]
    return ops.concatenate(items, 0 if spec_of(items[0]).ndim == 1 else 1)


def vstack(xs: Sequence[Any]) -> Any:
    """The operands one below the other, vectors as rows."""
    return ops.concatenate([_at_least(x, 2) for x in xs], 0)


def dstack(xs: Sequence[Any]) -> Any:
    """The operands one behind the other along axis 2."""
    return ops.concatenate([_at_least(x, 3) for x in xs], 2)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """The slices along `axis`, as a list of `num`."""
    x = ops.convert_to_tensor(x)
    axis = normalize_axis(axis, spec_of(x).ndim)
    count = spec_of(x).shape[axis]
    if num not in (None, count):
        raise ShapeError(f"axis {axis} of {spec_of(x)} has {count} slices, not {num}.")
    return [x[(*[span(None)] * axis, i)] for i in range(count)]


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """`split` into parts that need not be equal: the first ones are longer by one."""
    if not isinstance(indices_or_sections, int):
        return ops.split(x, indices_or_sections, axis)
    x, n = ops.convert_to_tensor(x), indices_or_sections
    count = spec_of(x).shape[normalize_axis(axis, spec_of(x).ndim)]
    lengths = [count // n + (i < count % n) for i in range(n)]
    return ops.split(x, [sum(lengths[:i]) for i in range(1, n)], axis)


def hsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """`split` along axis 1 (a vector: axis 0)."""
    return ops.split(x, indices_or_sections, 0 if ndim(x) == 1 else 1)


def vsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """`split` along axis 0."""
    return ops.split(x, indices_or_sections, 0)


def dsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """`split` along axis 2."""
    return ops.split(x, indices_or_sections, 2)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Any]:
    """For every vector an array over the grid of them all that holds its entry ("xy": the first two axes exchanged)."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing is 'xy' or 'ij', got {indexing!r}.")
    vectors = [ravel(v) for v in x]
    full = [spec_of(v).shape[0] for v in vectors]
    grids = [
        ops.broadcast_to(ops.reshape(v, [n if i == j else 1 for j, n in enumerate(full)]), full)
        for i, v in enumerate(vectors)
    ]
    return [ops.swapaxes(g, 0, 1) for g in grids] if indexing == "xy" and len(grids) > 1 else grids


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """`num` numbers equally far apart from `start` to `stop` (without it, where not `endpoint`), along a new `axis`.

    Returns:
        The numbers, and with `retstep` their distance, too.
    """
    kind = common_dtype(start, stop)
    kind = kind if is_float(kind) else settings.floatx()
    start, stop = (ops.cast(start, kind), ops.cast(stop, kind))
    parts = num - 1 if endpoint else num
    width = ops.subtract(stop, start)
    step = ops.divide(width, float(parts)) if parts > 0 else ops.full_like(width, math.nan)
    shape = spec_of(width).shape
    along = ops.reshape(ops.cast(ops.arange(num), kind), (num, *[1] * len(shape)))
    fraction = ops.divide(along, float(max(parts, 1)))
    # from either end, so that both are exact
    near, far = ops.add(start, ops.multiply(fraction, width)), ops.subtract(stop, ops.multiply(1.0 - fraction, width))
    y = ops.where(ops.less(fraction, 0.5), near, far)
    want = dtype_argument(dtype, kind)
    y = ops.floor(y) if is_float(kind) and not is_float(want) else y
    y = ops.moveaxis(ops.cast(y, want), 0, axis)
    return (y, step) if retstep else y


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> Any:
    """`base` to the powers `linspace(start, stop, num, endpoint)`."""
    y = linspace(start, stop, num, endpoint, axis=axis)
    y = ops.power(ops.cast(base, spec_of(y).dtype), y)
    return ops.cast(y, dtype_argument(dtype, spec_of(y).dtype))


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`num` numbers from `start` to `stop`, each the same multiple of the one before; both of one sign."""
    kind = common_dtype(start, stop)
    kind = kind if is_float(kind) else settings.floatx()
    start, stop = (ops.cast(start, kind), ops.cast(stop, kind))
    logs = linspace(ops.log(ops.abs(start)), ops.log(ops.abs(stop)), num, endpoint, axis=0)
    y = ops.multiply(ops.sign(start), ops.exp(logs))
    place = ops.reshape(ops.arange(num), (num, *[1] * (spec_of(y).ndim - 1)))
    y = ops.where(ops.equal(place, 0), start, y)
    y = ops.where(ops.equal(place, num - 1), stop, y) if endpoint and num > 1 else y
    return ops.moveaxis(ops.cast(y, dtype_argument(dtype, kind)), 0, axis)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers 0 ... N - 1 of the entries of a vector, one row each, highest first unless `increasing`."""
    x = ops.convert_to_tensor(x)
    count = spec_of(x).shape[0] if N is None else N
    columns = [ops.ones_like(x)]
    for _ in range(count - 1):
        columns.append(ops.multiply(columns[-1], x))
    y = ops.stack(columns[:count], 1) if count else ops.zeros((spec_of(x).shape[0], 0), spec_of(x).dtype)
    return y if increasing else ops.flip(y, 1)


def get_item(x: Any, key: Any) -> Any:
    """`x[key]`"""
    return ops.getitem(x, key)


def slice(inputs: Any, start_indices: Any, shape: Sequence[int]) -> Any:
    """The part of `shape` that begins at `start_indices`, moved inside where it would reach over an end."""
    inputs = ops.convert_to_tensor(inputs)
    for axis, (start, count, dim) in enumerate(zip(_starts(start_indices), shape, spec_of(inputs).shape, strict=True)):
        if not 0 <= count <= dim:
            raise ShapeError(f"a slice of shape {tuple(shape)} does not fit into {spec_of(inputs)}.")
        if count == dim:
            continue
        if isinstance(start, int):
            start = min(max(start, 0), int(dim) - count)
            inputs = inputs[(*[span(None)] * axis, span(start, start + count))]
        else:
            inside = ops.clip(start, 0, int(dim) - count)
            inputs = ops.primitives.take.bind(inputs, ops.add(inside, ops.arange(count)), axis=axis)
    return inputs


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """`inputs` with `updates` in the place that begins at `start_indices`, moved inside where it would reach over."""
    inputs = ops.convert_to_tensor(inputs)
    spec = spec_of(inputs)
    updates = ops.cast(updates, spec.dtype)
    inside, moved = ops.ones((), "bool"), updates
    for axis, start in enumerate(_starts(start_indices)):
        dim, count = spec.shape[axis], spec_of(updates).shape[axis]
        if count > dim:
            raise ShapeError(f"updates {spec_of(updates)} do not fit into {spec}.")
        if not count:
            return inputs
        place = ops.subtract(ops.arange(dim), ops.cast(ops.clip(start, 0, dim - count), "int32"))
        here = ops.logical_and(ops.greater_equal(place, 0), ops.less(place, count))
        inside = ops.logical_and(inside, ops.reshape(here, [dim if i == axis else 1 for i in range(spec.ndim)]))
        moved = ops.primitives.take.bind(moved, ops.clip(place, 0, count - 1), axis=axis)
    return ops.where(inside, moved, inputs)


def _starts(start_indices: Any) -> list[Any]:
    """The start along every axis: an integer where it is known."""
    if isinstance(start_indices, Value):
        return [start_indices[i] for i in range(len(start_indices))]
    found = []
    for start in start_indices:
        try:
            found.append(operator.index(start))
        except Exception:  # a traced one refuses in the words of its framework
            found.append(ops.cast(start, "int32"))
    return found


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Entry by entry the choice of the first condition that holds, or `default`."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ArgumentError(f"select needs one choice a condition, got {len(condlist)} and {len(choicelist)}.")
    dtype = common_dtype(*choicelist, default)
    y = ops.cast(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        y = ops.where(condition, ops.cast(choice, dtype), y)
    return y


def kron(x1: Any, x2: Any) -> Any:
    """The Kronecker product: every entry of `x1` times the whole of `x2`, laid out side by side."""
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    n = max(ndim(x1), ndim(x2))
    x1, x2 = _at_least_all(x1, n), _at_least_all(x2, n)
    wide = ops.multiply(
        ops.reshape(x1, [d for s in spec_of(x1).shape for d in (s, 1)]),
        ops.reshape(x2, [d for s in spec_of(x2).shape for d in (1, s)]),
    )
    return ops.reshape(wide, [int(a) * int(b) for a, b in zip(shape(x1), shape(x2), strict=True)])


def _at_least_all(x: Any, n: int) -> Any:
    return ops.reshape(x, (*[1] * (n - spec_of(x).ndim), *spec_of(x).shape))


def inner(x1: Any, x2: Any) -> Any:
    """Sums of products over the last axes (a number multiplies)."""
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    if not ndim(x1) or not ndim(x2):
        return ops.multiply(x1, x2)
    return ops.tensordot(x1, x2, ((-1,), (-1,)))


def vdot(x1: Any, x2: Any) -> Any:
    """The sum of the products of all entries, of equally many."""
    return ops.dot(ravel(x1), ravel(x2))


def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector products of vectors of 3 or 2 entries along `axisa` and `axisb`, along `axisc` of the result.

    Of two vectors in the plane it is a number: the third entry. `axis` stands for all three axes.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = ops.moveaxis(x1, axisa, -1), ops.moveaxis(x2, axisb, -1)
    n, m = spec_of(a).shape[-1], spec_of(b).shape[-1]
    if n not in (2, 3) or m not in (2, 3):
        raise ShapeError(f"cross takes vectors of 2 or 3 entries, got {n} and {m}.")
    a0, a1, b0, b1 = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    third = ops.subtract(ops.multiply(a0, b1), ops.multiply(a1, b0))
    if n == m == 2:
        return third
    a2 = a[..., 2] if n == 3 else ops.zeros_like(a0)
    b2 = b[..., 2] if m == 3 else ops.zeros_like(b0)
    first = ops.subtract(ops.multiply(a1, b2), ops.multiply(a2, b1))
    second = ops.subtract(ops.multiply(a2, b0), ops.multiply(a0, b2))
    return ops.moveaxis(ops.stack([first, second, third], -1), -1, axisc)


def cdist(x: Any, y: Any) -> Any:
    """The Euclidean distances of every row of `x` and every row of `y`; the derivative where they are equal is 0."""
    x, y = floating(x)[0], floating(y)[0]
    dtype = promote(spec_of(x).dtype, spec_of(y).dtype)
    x, y = (ops.cast(v, promote(dtype, "float32")) for v in (x, y))
    apart = ops.subtract(ops.expand_dims(x, -2), ops.expand_dims(y, -3))
    squares = ops.sum(ops.square(apart), -1)
    zero = ops.equal(squares, 0.0)
    return ops.cast(ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, squares))), dtype)


def _window(values: np.ndarray) -> Any:
    return ops.convert_to_tensor(values, settings.floatx())


def bartlett(x: Any) -> Any:
    """The Bartlett window of `x` entries: a triangle."""
    return _window(np.bartlett(int(x)))


def blackman(x: Any) -> Any:
    """The Blackman window of `x` entries."""
    return _window(np.blackman(int(x)))


def hamming(x: Any) -> Any:
    """The Hamming window of `x` entries."""
    return _window(np.hamming(int(x)))


def hanning(x: Any) -> Any:
    """The Hann window of `x` entries."""
    return _window(np.hanning(int(x)))


def kaiser(x: Any, beta: float) -> Any:
    """The Kaiser window of `x` entries and shape `beta`."""
    return _window(np.kaiser(int(x), float(beta)))


filter_functions(__name__)
