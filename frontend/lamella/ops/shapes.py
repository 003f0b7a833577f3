"""Functions of shapes: reshaping, transposing, repeating, slicing and joining, without arithmetic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir import limits, settings
from lamella.ir.dim import Dim, ceil_div, differ, exceeds, maximum, minimum, public_shape, shapes_differ
from lamella.ir.program import as_tuple, op
from lamella.ir.spec import Spec, size_of, spec_of
from lamella.ops import coerce
from lamella.ops.coerce import as_tensor, dtype_argument, full_of, normalize_axes, normalize_axis
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor

Ints = tuple[Any, ...]


@op(mandatory=True)
def reshape_(x: Spec, *, shape: Ints) -> Spec:
    """The same elements in row-major order under another shape."""
    if differ(size_of(shape), x.size):
        raise ShapeError(f"cannot reshape {x} ({x.size} elements) to {public_shape(shape)}.")
    return Spec(shape, x.dtype)


@reshape_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, shape: Ints) -> Tensor:
    return reshape_.bind(g, shape=spec_of(x).shape)


@op(mandatory=True)
def transpose_(x: Spec, *, permutation: Ints) -> Spec:
    """Axis i of the result is axis permutation[i] of x."""
    if sorted(permutation) != list(range(x.ndim)):
        raise ShapeError(f"expected a permutation of the {x.ndim} axes of {x}, got {permutation}.")
    return Spec(tuple(x.shape[a] for a in permutation), x.dtype)


@transpose_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, permutation: Ints) -> Tensor:
    return transpose_.bind(g, permutation=tuple(int(a) for a in np.argsort(permutation)))


@op(mandatory=True)
def broadcast(x: Spec, *, shape: Ints, axes: Ints) -> Spec:
    """Axis i of x becomes axis axes[i] of the result; x repeats along the others. No dimension of 1 is stretched."""
    if list(axes) != sorted(set(axes)) or len(axes) != x.ndim or any(not 0 <= a < len(shape) for a in axes):
        raise ShapeError(f"axes {axes} do not place the {x.ndim} axes of {x} in {len(shape)} dimensions.")
    if any(differ(x.shape[i], shape[a]) for i, a in enumerate(axes)):
        raise ShapeError(f"{x} does not fit axes {axes} of {public_shape(shape)}.")
    return Spec(shape, x.dtype)


@broadcast.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, shape: Ints, axes: Ints) -> Tensor:
    from lamella.ops.reduction import reduce_sum

    return reduce_sum.bind(g, axes=tuple(i for i in range(len(shape)) if i not in axes))


@op(mandatory=True)
def slice_(x: Spec, *, start: Ints, stop: Ints, strides: Ints) -> Spec:
    """Entries start, start + stride, ... below stop of every axis (all positive)."""
    if not len(start) == len(stop) == len(strides) == x.ndim:
        raise ShapeError(f"start {start}, stop {stop} and strides {strides} must have {x.ndim} entries for {x}.")
    shape = []
    for a, b, s, d in zip(start, stop, strides, x.shape, strict=True):
        if exceeds(0, a) or exceeds(a, b) or exceeds(b, d) or s < 1:
            raise ShapeError(f"slice {a}:{b}:{s} is not within a dimension of {d} of {x}.")
        shape.append(ceil_div(b - a, s))
    return Spec(tuple(shape), x.dtype)


@slice_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, start: Ints, stop: Ints, strides: Ints) -> Tensor:
    size = spec_of(g).shape
    covered = [0 if n == 0 else (n - 1) * s + 1 for n, s in zip(size, strides, strict=True)]
    high = tuple(d - a - c for d, a, c in zip(spec_of(x).shape, start, covered, strict=True))
    return pad_.bind(g, low=start, high=high, interior=tuple(s - 1 for s in strides), value=0.0)


@op(mandatory=True)
def pad_(x: Spec, *, low: Ints, high: Ints, interior: Ints, value: float) -> Spec:
    """x with `low` entries of `value` before, `high` after and `interior` between neighbors along each axis"""
    if not len(low) == len(high) == len(interior) == x.ndim or any(exceeds(0, n) for n in (*low, *high, *interior)):
        raise ShapeError(f"low {low}, high {high}, interior {interior} do not pad {x}.")
    shape = tuple(a + b + d + maximum(d - 1, 0) * i for d, a, b, i in zip(x.shape, low, high, interior, strict=True))
    return Spec(shape, x.dtype)


@pad_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, low: Ints, high: Ints, interior: Ints, value: float) -> Tensor:
    strides = tuple(i + 1 for i in interior)
    stop = tuple(
        a + maximum(d - 1, 0) * s + (0 if d == 0 else 1) for a, d, s in zip(low, spec_of(x).shape, strides, strict=True)
    )
    return slice_.bind(g, start=low, stop=stop, strides=strides)


@op(mandatory=True)
def concatenate_(*xs: Spec, axis: int) -> Spec:
    """The operands one after the other along `axis`."""
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
def _(g: Tensor, y: Tensor, *xs: Any, axis: int) -> tuple[Tensor, ...]:
    sizes = tuple(spec_of(x).shape[axis] for x in xs)
    return as_tuple(split_.bind(g, sizes=sizes, axis=axis))


@op
def split_(x: Spec, *, sizes: Ints, axis: int) -> tuple[Spec, ...]:
    """Consecutive parts of `sizes` along `axis`: the inverse of concatenate."""
    if not 0 <= axis < x.ndim or differ(sum(sizes), x.shape[axis]):
        raise ShapeError(f"parts {sizes} do not make up axis {axis} of {x}.")
    return tuple(Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes)


@split_.define
def _(x: Tensor, *, sizes: Ints, axis: int) -> tuple[Tensor, ...]:
    parts, offset = [], 0
    for n in sizes:
        parts.append(_cut(x, axis, offset, offset + n))
        offset += n
    return tuple(parts)


@split_.def_vjp
def _(g: ArrayLike, y: ArrayLike, x: Tensor, *, sizes: Ints, axis: int) -> Any:
    # A single part comes without a tuple.
    return concatenate_.bind(*g, axis=axis) if isinstance(g, tuple) else g


@op(mandatory=True, mixed_axes=lambda spec, attrs: attrs["axes"])
def reverse(x: Spec, *, axes: Ints) -> Spec:
    """x with the order along `axes` reversed"""
    if any(not 0 <= a < x.ndim for a in axes):
        raise ShapeError(f"axes {axes} are out of range for {x}.")
    return x


@reverse.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, axes: Ints) -> Tensor:
    return reverse.bind(g, axes=axes)


@op(differentiable=False)
def dimension_value(*, dim: Any, dtype: str) -> Spec:
    """The size of a free dimension as a scalar; programs with known sizes hold a constant instead."""
    return Spec((), dtype)


@dimension_value.define
def _(*, dim: Any, dtype: str) -> Tensor:
    return full_of(Spec((), dtype), int(dim))


@op(mandatory=True, differentiable=False)
def iota(*, shape: Ints, dtype: str, axis: int) -> Spec:
    """Every entry is its index along `axis`."""
    if not 0 <= axis < len(shape):
        raise ShapeError(f"axis {axis} is out of range for shape {shape}.")
    return Spec(shape, dtype)


def _cut(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    shape = spec_of(x).shape
    low = tuple(start if i == axis else 0 for i in range(len(shape)))
    high = tuple(stop if i == axis else d for i, d in enumerate(shape))
    return slice_.bind(x, start=low, stop=high, strides=(1,) * len(shape))


def reshape(x: Any, newshape: int | Sequence[int]) -> Any:
    """`x` in another shape; one entry may be -1 and is computed.

    Args:
        x: array.
        newshape: the new shape, an integer or a sequence of integers of which at most one is -1.

    Returns:
        An array of the new shape with the same entries in row-major order.

    Raises:
        ShapeError: the number of entries differs, or there is more than one -1.

    Example:
        >>> from lamella import ops
        >>> ops.reshape([[1, 2, 3], [4, 5, 6]], (3, -1))
        array([[1, 2],
               [3, 4],
               [5, 6]], dtype=int32)
    """
    x = as_tensor(x)
    shape = (newshape,) if isinstance(newshape, int | np.integer | Dim) else tuple(newshape)
    have = spec_of(x)
    if -1 in shape:
        if shape.count(-1) > 1 or any(exceeds(-1, d) for d in shape):
            raise ShapeError(f"a shape must have at most one -1, and no other negative size, got {shape}.")
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


def transpose(x: ArrayLike, axes: Sequence[int] | None = None) -> Tensor:
    """`x` with its axes in the order `axes` (None: reversed).

    Args:
        x: array.
        axes: a permutation: axis i of the result is axis `axes[i]` of `x`.

    Returns:
        An array with the permuted shape.

    Raises:
        ShapeError: `axes` is not a permutation of the axes.

    Example:
        >>> from lamella import ops
        >>> ops.transpose([[1, 2, 3], [4, 5, 6]])
        array([[1, 4],
               [2, 5],
               [3, 6]], dtype=int32)
        >>> ops.transpose(ops.ones((2, 3, 4)), (0, 2, 1)).shape
        (2, 4, 3)
    """
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    order = tuple(reversed(range(ndim))) if axes is None else tuple(normalize_axis(a, ndim) for a in axes)
    return x if order == tuple(range(ndim)) else transpose_.bind(x, permutation=order)


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """`x` with axis `source` at position `destination`, or several axes at as many positions.

    The other axes keep their order.

    Args:
        x: array.
        source: the axis or axes to move.
        destination: their positions in the result.

    Returns:
        An array with the permuted shape.

    Raises:
        ArgumentError: the numbers of axes and positions differ, or one is repeated.
        ShapeError: an axis is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.moveaxis(ops.ones((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    sources = [normalize_axis(a, ndim) for a in ([source] if isinstance(source, int) else source)]
    places = [normalize_axis(a, ndim) for a in ([destination] if isinstance(destination, int) else destination)]
    if len(set(sources)) != len(sources) or len(set(places)) != len(sources) or len(places) != len(sources):
        raise ArgumentError(f"moveaxis needs as many distinct destinations as axes, got {sources} and {places}.")
    order = [i for i in range(ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """`x` with two axes exchanged.

    Args:
        x: array.
        axis1: one axis.
        axis2: the other axis.

    Returns:
        An array with the two sizes exchanged.

    Raises:
        ShapeError: an axis is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.swapaxes(ops.ones((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    order = list(range(ndim))
    a, b = normalize_axis(axis1, ndim), normalize_axis(axis2, ndim)
    order[a], order[b] = order[b], order[a]
    return transpose(x, order)


def expand_dims(x: ArrayLike, axis: int | Sequence[int]) -> Any:
    """`x` with a new dimension of 1 at `axis`, or at each of several axes of the result.

    Args:
        x: array.
        axis: the position of the new axis in the result, or several.

    Returns:
        An array with the same entries.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.expand_dims([1, 2, 3], 0).shape, ops.expand_dims([1, 2, 3], (0, -1)).shape
        ((1, 3), (1, 3, 1))
    """
    x = as_tensor(x)
    shape = list(spec_of(x).shape)
    axes = [axis] if isinstance(axis, int | np.integer) else list(axis)
    for place in sorted(normalize_axis(int(a), len(shape) + len(axes)) for a in axes):
        shape.insert(place, 1)
    return reshape(x, shape)


def squeeze(x: ArrayLike, axis: int | Sequence[int] | None = None) -> Any:
    """`x` without its dimensions of 1 (or those at `axis`).

    Args:
        x: array.
        axis: the axis or axes to remove; None removes every dimension of 1.

    Returns:
        An array with the same entries.

    Raises:
        ShapeError: the size at `axis` is not 1, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> x = ops.ones((1, 3, 1))
        >>> ops.squeeze(x).shape, ops.squeeze(x, 0).shape
        ((3,), (3, 1))
    """
    x = as_tensor(x)
    shape = spec_of(x).shape
    axes = tuple(i for i, d in enumerate(shape) if d == 1) if axis is None else normalize_axes(axis, len(shape))
    if any(shape[a] != 1 for a in axes):
        raise ShapeError(f"cannot squeeze axes {axes} of {spec_of(x)}: not all are 1.")
    return reshape(x, tuple(d for i, d in enumerate(shape) if i not in axes))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` broadcast to `shape` by NumPy's rule.

    Args:
        x: array.
        shape: the shape of the result.

    Returns:
        An array of `shape`.

    Raises:
        ShapeError: the shape of `x` does not broadcast to `shape`.

    Example:
        >>> from lamella import ops
        >>> ops.broadcast_to([1, 2, 3], (2, 3)), ops.broadcast_to([[1], [2]], (2, 3))
        (array([[1, 2, 3],
               [1, 2, 3]], dtype=int32), array([[1, 1, 1],
               [2, 2, 2]], dtype=int32))
    """
    return coerce.broadcast_to(x, shape)


def pad(x: ArrayLike, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Tensor:
    """`x` padded: `pad_width` is a number, a pair, or a pair for every axis, as in NumPy.

    Args:
        x: array.
        pad_width: the number of entries before and after: one number, one pair for all axes, or one pair per axis.
        mode: "constant"; "edge", "reflect", "symmetric" and "wrap" (also "circular") repeat entries; "maximum", "mean",
            "median" and "minimum" pad with a statistic of each axis; "linear_ramp" goes down to 0; "empty" pads with
            zeros.
        constant_values: the value for mode "constant"; None is 0.

    Returns:
        An array in the dtype of `x`, larger by the padding.

    Raises:
        ShapeError: an axis without entries is padded with its own entries.
        ValueError: the mode is unknown, or `constant_values` is given with another mode than "constant".

    Example:
        >>> from lamella import ops
        >>> ops.pad([[1, 2]], ((1, 0), (0, 2)), constant_values=9)
        array([[9, 9, 9, 9],
               [1, 2, 9, 9]], dtype=int32)
        >>> ops.pad([1, 2, 3], 2, mode="reflect"), ops.pad([1, 2, 3], (0, 2), mode="edge")
        (array([3, 2, 1, 2, 3, 2, 1], dtype=int32), array([1, 2, 3, 3, 3], dtype=int32))
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
    """The operands, promoted, one after the other along `axis`.

    Args:
        xs: a sequence of arrays whose shapes agree outside of `axis`.
        axis: the axis along which they are joined.

    Returns:
        An array in the promoted dtype; its size along `axis` is the sum of theirs.

    Raises:
        ArgumentError: there are no operands.
        ShapeError: the shapes differ outside of `axis`, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.concatenate([[[1, 2]], [[3, 4]]], axis=0), ops.concatenate([[[1, 2]], [[3, 4]]], axis=1)
        (array([[1, 2],
               [3, 4]], dtype=int32), array([[1, 2, 3, 4]], dtype=int32))
    """
    if not xs:
        raise ArgumentError("concatenate needs at least one operand.")
    dtype = coerce.common_dtype(*xs)
    items = [as_tensor(x, dtype) for x in xs]
    return concatenate_.bind(*items, axis=normalize_axis(axis, spec_of(items[0]).ndim))


def stack(x: Sequence[Any], axis: int = 0) -> Tensor:
    """The operands, promoted, along a new axis.

    Args:
        x: a sequence of arrays of one shape.
        axis: the position of the new axis in the result.

    Returns:
        An array of one more dimension, in the promoted dtype.

    Raises:
        ArgumentError: there are no operands.
        ShapeError: the shapes differ, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.stack([[1, 2], [3, 4]]), ops.stack([[1, 2], [3, 4]], axis=1)
        (array([[1, 2],
               [3, 4]], dtype=int32), array([[1, 3],
               [2, 4]], dtype=int32))
    """
    return concatenate([expand_dims(part, axis) for part in x], axis)


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Equal parts (for a number) or parts between the given indices, along `axis`.

    Args:
        x: array.
        indices_or_sections: the number of equal parts, or the indices where a new part begins.
        axis: the axis to split.

    Returns:
        A list of arrays.

    Raises:
        ShapeError: the size does not divide into so many parts, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.split([1, 2, 3, 4], 2)
        [array([1, 2], dtype=int32), array([3, 4], dtype=int32)]
        >>> [part.tolist() for part in ops.split([1, 2, 3, 4], [1, 3])]
        [[1], [2, 3], [4]]
    """
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


def flip(x: ArrayLike, axis: int | Sequence[int] | None = None) -> Tensor:
    """`x` with the order along `axis` (None: all axes) reversed.

    Args:
        x: array.
        axis: the axis or axes to reverse.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.flip([[1, 2, 3], [4, 5, 6]], axis=1)
        array([[3, 2, 1],
               [6, 5, 4]], dtype=int32)
    """
    x = as_tensor(x)
    return reverse.bind(x, axes=normalize_axes(axis, spec_of(x).ndim))


def repeat(x: ArrayLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Every entry along `axis` (None: of the flattened array) repeated `repeats` times in a row.

    Args:
        x: array.
        repeats: one number for all entries, or a sequence with one number per entry.
        axis: the axis; None works on the flattened array.

    Returns:
        An array in the dtype of `x`, longer along `axis`.

    Raises:
        ShapeError: there is not one number per entry, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.repeat([[1, 2], [3, 4]], 2, axis=1), ops.repeat([1, 2, 3], [0, 1, 2])
        (array([[1, 1, 2, 2],
               [3, 3, 4, 4]], dtype=int32), array([2, 3, 3], dtype=int32))
    """
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
    """`x` repeated `repeats[i]` times along axis i, counted from the last one.

    Args:
        x: array.
        repeats: a number for the last axis, or one per axis. Where there are more than axes, dimensions of 1 are added
            in front of `x`.

    Returns:
        An array in the dtype of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.tile([[1, 2]], 2), ops.tile([1, 2], (2, 1))
        (array([[1, 2, 1, 2]], dtype=int32), array([[1, 2],
               [1, 2]], dtype=int32))
    """
    x = as_tensor(x)
    repeats = (repeats,) if isinstance(repeats, int | np.integer) else tuple(repeats)
    ndim = spec_of(x).ndim
    repeats = (*[1] * (ndim - len(repeats)), *repeats)
    x = reshape(x, (*[1] * (len(repeats) - ndim), *spec_of(x).shape))
    for axis, n in enumerate(repeats):
        x = x if n == 1 else concatenate([x] * n, axis) if n else x[(*[slice(None)] * axis, slice(0, 0))]
    return x


def zeros(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Any:
    """Zeros of `shape`.

    Args:
        shape: an integer or a sequence of integers.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array of `shape` in `dtype`.

    Example:
        >>> from lamella import ops
        >>> ops.zeros((2, 3)), ops.zeros(2, "int32")
        (array([[0., 0., 0.],
               [0., 0., 0.]], dtype=float32), array([0, 0], dtype=int32))
    """
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Ones of `shape`.

    Args:
        shape: an integer or a sequence of integers.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array of `shape` in `dtype`.

    Example:
        >>> from lamella import ops
        >>> ops.ones((2, 3)), ops.ones(2, "int32")
        (array([[1., 1., 1.],
               [1., 1., 1.]], dtype=float32), array([1, 1], dtype=int32))
    """
    return full(shape, 1, dtype)


def full(shape: int | Sequence[int], fill_value: ArrayLike, dtype: Any = None) -> Tensor:
    """`fill_value` broadcast to `shape`.

    Args:
        shape: an integer or a sequence of integers.
        fill_value: a number, or an array that broadcasts to `shape`.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array of `shape` in `dtype`.

    Raises:
        ShapeError: `fill_value` does not broadcast to `shape`.

    Example:
        >>> from lamella import ops
        >>> ops.full((2, 2), 7), ops.full((2, 2), [1, 2], "int32")
        (array([[7., 7.],
               [7., 7.]], dtype=float32), array([[1, 2],
               [1, 2]], dtype=int32))
    """
    sizes = (shape,) if isinstance(shape, int | np.integer | Dim) else tuple(shape)
    kind = dtype_argument(dtype, settings.floatx())
    if isinstance(fill_value, bool | int | float | np.generic):
        return full_of(Spec(sizes, kind), fill_value)
    return coerce.broadcast_to(as_tensor(fill_value, kind), sizes)


def arange(start: float | Dim, stop: float | Dim | None = None, step: float | None = None, dtype: Any = None) -> Any:
    """start, start + step, ... below stop

    With one argument it counts from 0 up to that number. Bounds are Python numbers or dimensions, because the size of
    the result is part of the program.

    Args:
        start: the first number, or the bound if it is the only argument.
        stop: the bound, which is not included.
        step: the distance between two numbers; None is 1.
        dtype: the dtype; None is int32, or `floatx` where an argument is a float.

    Returns:
        A vector, empty where `stop` is not beyond `start`.

    Example:
        >>> from lamella import ops
        >>> ops.arange(4), ops.arange(1, 2, 0.25)
        (array([0, 1, 2, 3], dtype=int32), array([1.  , 1.25, 1.5 , 1.75], dtype=float32))
    """
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


def getitem(x: Any, key: Any) -> Tensor:
    """`x[key]` for integers, slices, None, Ellipsis, and one array of integers.

    A negative integer counts from the end. Indices of an array that are outside are moved to the nearest end, as in
    `take`.

    Args:
        x: array.
        key: an index or a tuple of them, as in NumPy.

    Returns:
        An array in the dtype of `x`.

    Raises:
        ShapeError: there are more indices than axes, or an integer is out of range.
        ArgumentError: there is more than one array of indices.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 2, 3], [4, 5, 6]]
        >>> ops.getitem(x, (0, slice(None, None, -1))), ops.getitem(x, (..., [2, 0]))
        (array([3, 2, 1], dtype=int32), array([[3, 1],
               [6, 4]], dtype=int32))
    """
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
            count = maximum(ceil_div(stop - start, step), 0)
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
    """The index of an entry along a dimension, counted from its start."""
    if exceeds(index + 1, size) or exceeds(-index, size):
        raise ShapeError(f"index {index} is out of range for a dimension of {size}.")
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


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """A matrix with ones on diagonal `k`, zeros elsewhere; the identity for `N` alone.

    Args:
        N: the number of rows.
        M: the number of columns; None is `N`.
        k: the diagonal: 0 is the main one, positive numbers are above it and negative ones below.
        dtype: the dtype; None is `floatx`.

    Returns:
        An array `(N, M)` in `dtype`.

    Example:
        >>> from lamella import ops
        >>> ops.eye(2, 3), ops.eye(3, k=-1, dtype="int32")
        (array([[1., 0., 0.],
               [0., 1., 0.]], dtype=float32), array([[0, 0, 0],
               [1, 0, 0],
               [0, 1, 0]], dtype=int32))
    """
    from lamella.ops.comparison import equal
    from lamella.ops.elementwise import cast

    shape = (N, N if M is None else M)
    rows, columns = iota.bind(shape=shape, dtype="int32", axis=0), iota.bind(shape=shape, dtype="int32", axis=1)
    rows = rows if not k else rows + full_of(Spec(shape, "int32"), k)
    return cast(equal(rows, columns), dtype_argument(dtype, settings.floatx()))


filter_functions(__name__)
