"""Sorting, searching, segment reductions and scattering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import DTypeError, ShapeError
from lamella.ir.spec import is_integer, spec_of
from lamella.ops.coerce import common_dtype, full_of, normalize_axis
from lamella.ops.ordering import argsort_
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def argsort(x: ArrayLike, axis: int | None = -1) -> Tensor:
    """The int32 positions that sort `x` along `axis` (None: flattened) in ascending order.

    Equal entries keep their order; NaN comes last.

    Args:
        x: array of numbers.
        axis: the axis to sort along; None sorts the flattened array.

    Returns:
        An int32 array of the shape of `x`, or a vector for None.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.argsort([[30, 10, 20], [2, 2, 1]])
        array([[1, 2, 0],
               [2, 0, 1]], dtype=int32)
    """
    x, axis = _flattened(x, axis)
    return argsort_.bind(x, axis=axis)


def sort(x: ArrayLike, axis: int | None = -1) -> Tensor:
    """`x` in ascending order along `axis` (None: flattened); NaN comes last.

    Args:
        x: array of numbers.
        axis: the axis to sort along; None sorts the flattened array.

    Returns:
        An array of the shape and dtype of `x`, or a vector for None.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.sort([[30, 10, 20], [2, 3, 1]]), ops.sort([[30, 10, 20], [2, 3, 1]], axis=0)
        (array([[10, 20, 30],
               [ 1,  2,  3]], dtype=int32), array([[ 2,  3,  1],
               [30, 10, 20]], dtype=int32))
    """
    x, axis = _flattened(x, axis)
    return ops.take_along_axis(x, argsort_.bind(x, axis=axis), axis)


def _flattened(x: ArrayLike, axis: int | None) -> tuple[Any, int]:
    x = ops.convert_to_tensor(x)
    if axis is None or not spec_of(x).shape:
        return ops.reshape(x, (-1,)), 0
    return x, normalize_axis(axis, spec_of(x).ndim)


def argpartition(x: ArrayLike, kth: int, axis: int = -1) -> Tensor:
    """Positions with the `kth` smallest entry in its sorted place and smaller ones before it: those of `argsort`.

    Args:
        x: array of numbers.
        kth: the position that must be in order; a negative one counts from the end.
        axis: the axis to partition along.

    Returns:
        An int32 array of the shape of `x`.

    Raises:
        ShapeError: `axis` or `kth` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.argpartition([30, 10, 20], 1)
        array([1, 2, 0], dtype=int32)
    """
    x, axis = _flattened(x, axis)
    normalize_axis(kth, spec_of(x).shape[axis], "kth")
    return argsort_.bind(x, axis=axis)


def top_k(x: ArrayLike, k: int, sorted: bool = True) -> tuple[Any, Any]:
    """The `k` largest entries along the last axis, largest first, and their int32 positions.

    Among equal entries the first come first.

    Args:
        x: array `(..., n)`.
        k: how many entries.
        sorted: has no effect: the entries are always sorted.

    Returns:
        A tuple of two arrays `(..., k)`: the entries and their positions.

    Raises:
        ShapeError: there are fewer than `k` entries.

    Example:
        >>> from lamella import ops
        >>> ops.top_k([1, 7, 3, 7], 3)
        (array([7, 7, 3], dtype=int32), array([1, 3, 2], dtype=int32))
    """
    x = ops.convert_to_tensor(x)
    shape = spec_of(x).shape
    if not shape or not 0 <= k <= shape[-1]:
        raise ShapeError(f"top_k needs a last axis with at least {k} entries, got {spec_of(x)}.")
    # The reversed ascending order of the reversed entries: among equal entries the first comes first.
    last = len(shape) - 1
    backwards = argsort_.bind(ops.flip(x, last), axis=last)[..., shape[-1] - k :]
    places = ops.subtract(shape[-1] - 1, ops.flip(backwards, last))
    return ops.take_along_axis(x, places, -1), places


def in_top_k(targets: ArrayLike, predictions: ArrayLike, k: int) -> Tensor:
    """Whether class `targets[i]` is among the `k` largest of `predictions[i]`; a class that ties with the k-th is.

    Args:
        targets: integer array `(batch,)`.
        predictions: array `(batch, classes)`.
        k: how many classes count.

    Returns:
        A bool array `(batch,)`.

    Raises:
        ShapeError: there are fewer than `k` classes.

    Example:
        >>> from lamella import ops
        >>> ops.in_top_k([0, 1], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], 2)
        array([False,  True])
    """
    targets, predictions = ops.convert_to_tensor(targets), ops.convert_to_tensor(predictions)
    least = top_k(predictions, k)[0][..., -1]
    own = ops.squeeze(ops.take_along_axis(predictions, ops.expand_dims(targets, -1), -1), -1)
    return ops.greater_equal(own, least)


def searchsorted(sorted_sequence: ArrayLike, values: ArrayLike, side: str = "left") -> Tensor:
    """For every value the int32 number of entries of an ascending vector below it ("right": not above it).

    Args:
        sorted_sequence: a vector in ascending order.
        values: array of numbers.
        side: "left" inserts before equal entries, "right" after them.

    Returns:
        An int32 array of the shape of `values`.

    Raises:
        ShapeError: `sorted_sequence` does not have one dimension.
        ValueError: `side` is neither.

    Example:
        >>> from lamella import ops
        >>> ops.searchsorted([1, 3, 5], [0, 3, 9]), ops.searchsorted([1, 3, 5], [0, 3, 9], side="right")
        (array([0, 1, 3], dtype=int32), array([0, 2, 3], dtype=int32))
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', got {side!r}.")
    sequence, values = ops.convert_to_tensor(sorted_sequence), ops.convert_to_tensor(values)
    if spec_of(sequence).ndim != 1:
        raise ShapeError(f"searchsorted needs a vector, got {spec_of(sequence)}.")
    count = spec_of(sequence).shape[0]
    dtype = common_dtype(sequence, values)
    sequence, values = ops.cast(sequence, dtype), ops.cast(values, dtype)
    low = ops.zeros_like(values, "int32")
    if not count:
        return low
    high = ops.full_like(values, count, "int32")
    before = ops.less if side == "left" else ops.less_equal
    # A binary search for all values together.
    for _ in range(count.bit_length()):
        middle = ops.right_shift(ops.add(low, high), 1)
        going = ops.logical_and(ops.less(low, high), before(ops.take(sequence, ops.minimum(middle, count - 1)), values))
        high = ops.where(going, high, ops.minimum(middle, high))
        low = ops.where(going, ops.add(middle, 1), low)
    return low


def digitize(x: ArrayLike, bins: ArrayLike) -> Tensor:
    """The int32 number of the bin of every entry: bin i runs from `bins[i - 1]` to below `bins[i]`, as in NumPy.

    Args:
        x: array of numbers.
        bins: a vector that ascends or descends; for a descending one bin i runs from below `bins[i - 1]` down to
            `bins[i]`.

    Returns:
        An int32 array of the shape of `x`; 0 is before the first bin, and `len(bins)` after the last one.

    Raises:
        ShapeError: `bins` does not have one dimension.
        ValueError: the bins are known, and neither ascend nor descend.

    Example:
        >>> from lamella import ops
        >>> ops.digitize([-5.0, 0.0, 3.0, 20.0], [0.0, 1.0, 10.0])
        array([0, 1, 2, 3], dtype=int32)
    """
    known = np.asarray(bins) if isinstance(bins, list | tuple | np.ndarray) else None
    bins = ops.convert_to_tensor(bins)
    if spec_of(bins).ndim != 1:
        raise ShapeError(f"digitize needs a vector of bins, got {spec_of(bins)}.")
    if known is not None and np.any(known[1:] < known[:-1]) and np.any(known[1:] > known[:-1]):
        raise ValueError("digitize: the bins must ascend or descend, got bins that do both.")
    count = spec_of(bins).shape[0]
    if count < 2 or (known is not None and known[0] <= known[-1]):
        return searchsorted(bins, x, side="right")
    descending = ops.less(bins[count - 1], bins[0])
    found = searchsorted(ops.where(descending, ops.flip(bins), bins), x, side="right")
    return ops.where(descending, ops.subtract(count, found), found)


def isin(x1: ArrayLike, x2: ArrayLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where an entry of `x1` is among those of `x2`.

    Args:
        x1: array of numbers.
        x2: array of numbers, which is flattened.
        assume_unique: has no effect.
        invert: True gives where it is not.

    Returns:
        A bool array of the shape of `x1`.

    Example:
        >>> from lamella import ops
        >>> ops.isin([[1, 2], [3, 4]], [2, 4, 6])
        array([[False,  True],
               [False,  True]])
    """
    x1, x2 = ops.convert_to_tensor(x1), ops.reshape(ops.convert_to_tensor(x2), (-1,))
    if not spec_of(x2).shape[0]:
        return ops.full_like(x1, invert, "bool")
    found = ops.any(ops.equal(ops.expand_dims(x1, -1), x2), -1)
    return ops.logical_not(found) if invert else found


def unravel_index(indices: ArrayLike, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The positions along every axis of entries that are counted in row-major order.

    Args:
        indices: integer array; a negative index counts from the end, one outside is moved to the nearest end.
        shape: the shape of the array whose entries are counted.

    Returns:
        A tuple with one integer array of the shape of `indices` per axis.

    Raises:
        DTypeError: `indices` are not integers.

    Example:
        >>> from lamella import ops
        >>> ops.unravel_index([0, 4, -1], (2, 3))
        (array([0, 1, 1], dtype=int32), array([0, 1, 2], dtype=int32))
    """
    indices = ops.convert_to_tensor(indices)
    if not is_integer(spec_of(indices).dtype):
        raise DTypeError(f"indices must be integers, got {spec_of(indices)}.")
    size = math.prod(shape)
    rest = ops.clip(ops.where(ops.less(indices, 0), ops.add(indices, size), indices), 0, size - 1)
    found = []
    for i in range(len(shape)):
        below = math.prod(shape[i + 1 :])
        found.append(ops.floor_divide(rest, below))
        rest = ops.mod(rest, below)
    return tuple(found)


def segment_sum(
    data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sums of the rows of each segment; an empty one has 0.

    Args:
        data: rows, `(n, ...)`.
        segment_ids: integers `(n,)`, the segment of each row; a row outside of 0 ... `num_segments` - 1 is left out.
        num_segments: the number of segments; needed in a trace, where the largest id is not known.
        sorted: has no effect: whether the ids ascend.

    Returns:
        An array `(num_segments, ...)` in the dtype of `data`.

    Raises:
        ShapeError: there is not one id per row.
        DTypeError: `segment_ids` are not integers.
        TraceError: `num_segments` is missing in a trace.

    Example:
        >>> from lamella import ops
        >>> ops.segment_sum([[1, 2], [3, 4], [5, 6]], [0, 2, 0])
        array([[6, 8],
               [0, 0],
               [3, 4]], dtype=int32)
    """
    data, ids, count = _segments(data, segment_ids, num_segments)
    return ops.scatter_add.bind(data, ids, axis=0, size=count + 1)[:count]


def segment_max(
    data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The maxima of the rows of each segment; an empty one has minus infinity, or the least integer.

    Ties share the gradient equally.

    Args:
        data: rows, `(n, ...)`.
        segment_ids: integers `(n,)`, the segment of each row; a row outside of 0 ... `num_segments` - 1 is left out.
        num_segments: the number of segments; needed in a trace, where the largest id is not known.
        sorted: has no effect: whether the ids ascend.

    Returns:
        An array `(num_segments, ...)` in the dtype of `data`.

    Raises:
        ShapeError: there is not one id per row.
        DTypeError: `segment_ids` are not integers.
        TraceError: `num_segments` is missing in a trace.

    Example:
        >>> from lamella import ops
        >>> ops.segment_max([1.0, 7.0, 3.0], [0, 0, 2])
        array([  7., -inf,   3.], dtype=float32)
    """
    from lamella.ops.ordering import scatter_max

    data, ids, count = _segments(data, segment_ids, num_segments)
    return scatter_max.bind(data, ids, axis=0, size=count + 1)[:count]


def segment_min(
    data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The minima of the rows of each segment; an empty one has infinity, or the largest integer.

    Ties share the gradient equally.

    Args:
        data: rows, `(n, ...)`.
        segment_ids: integers `(n,)`, the segment of each row; a row outside of 0 ... `num_segments` - 1 is left out.
        num_segments: the number of segments; needed in a trace, where the largest id is not known.
        sorted: has no effect: whether the ids ascend.

    Returns:
        An array `(num_segments, ...)` in the dtype of `data`.

    Raises:
        ShapeError: there is not one id per row.
        DTypeError: `segment_ids` are not integers.
        TraceError: `num_segments` is missing in a trace.

    Example:
        >>> from lamella import ops
        >>> ops.segment_min([1.0, 7.0, 3.0], [0, 0, 2])
        array([ 1., inf,  3.], dtype=float32)
    """
    data = ops.convert_to_tensor(data)
    turn = ops.bitwise_not if is_integer(spec_of(data).dtype) else ops.negative
    return turn(segment_max(turn(data), segment_ids, num_segments, sorted))


def segment_prod(
    data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The products of the rows of each segment; an empty one has 1.

    Args:
        data: rows, `(n, ...)`.
        segment_ids: integers `(n,)`, the segment of each row; a row outside of 0 ... `num_segments` - 1 is left out.
        num_segments: the number of segments; needed in a trace, where the largest id is not known.
        sorted: has no effect: whether the ids ascend.

    Returns:
        An array `(num_segments, ...)` in the dtype of `data`.

    Raises:
        ShapeError: there is not one id per row.
        DTypeError: `segment_ids` are not integers.
        TraceError: `num_segments` is missing in a trace.

    Example:
        >>> from lamella import ops
        >>> ops.segment_prod([2, 3, 5], [0, 2, 0])
        array([10,  1,  3], dtype=int32)
    """
    data, ids, count = _segments(data, segment_ids, num_segments)
    total = spec_of(ids).shape[0]
    one = full_of(spec_of(ops.zeros((count, *spec_of(data).shape[1:]), spec_of(data).dtype)), 1)
    if not total:
        return one
    order = argsort_.bind(ids, axis=0)
    ids, data = ops.take(ids, order, 0), ops.take(data, order, 0)
    wide = ops.reshape(ids, (total, *[1] * (spec_of(data).ndim - 1)))

    def combine(left: Sequence[Tensor], right: Sequence[Tensor]) -> tuple[Tensor, ...]:
        same = ops.equal(left[1], right[1])
        return ops.where(same, ops.multiply(left[0], right[0]), right[0]), right[1]

    running, _ = ops.associative_scan(combine, (data, ops.broadcast_to(wide, spec_of(data).shape)))
    ends = searchsorted(ids, ops.arange(count), side="right")
    begins = searchsorted(ids, ops.arange(count), side="left")
    filled = ops.reshape(ops.less(begins, ends), (count, *[1] * (spec_of(data).ndim - 1)))
    return ops.where(filled, ops.take(running, ops.maximum(ops.subtract(ends, 1), 0), 0), one)


def _segments(data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None) -> tuple[Any, Any, int]:
    """The rows, their segments (one more for ids outside of the range), and the number of segments."""
    data, ids = ops.convert_to_tensor(data), ops.convert_to_tensor(segment_ids)
    if spec_of(ids).ndim != 1 or not spec_of(data).ndim or spec_of(data).shape[0] != spec_of(ids).shape[0]:
        raise ShapeError(f"segment_ids must have one integer per row of {spec_of(data)}, got {spec_of(ids)}.")
    if not is_integer(spec_of(ids).dtype):
        raise DTypeError(f"segment_ids must be integers, got {spec_of(ids)}.")
    if num_segments is None:
        num_segments = int(ops.convert_to_numpy(ids).max(initial=-1)) + 1
    outside = ops.logical_or(ops.less(ids, 0), ops.greater_equal(ids, num_segments))
    return data, ops.where(outside, num_segments, ids), num_segments


def scatter(indices: ArrayLike, values: ArrayLike, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape`, to which `values[i]` is added at the position `indices[i]`.

    Args:
        indices: integers `(..., k)`: positions along the first k axes; a negative one counts from the end, and a
            position outside is left out.
        values: array `(..., *shape[k:])`.
        shape: the shape of the result.

    Returns:
        An array of `shape` in the dtype of `values`.

    Raises:
        ShapeError: `indices` are not integers, k is larger than the number of axes, or `values` do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.scatter([[0], [2], [0]], [1.0, 2.0, 4.0], (4,))
        array([5., 0., 2., 0.], dtype=float32)
    """
    values = ops.convert_to_tensor(values)
    zeros = ops.zeros(shape, spec_of(values).dtype)
    return scatter_update(zeros, indices, values, "add")


def scatter_update(inputs: ArrayLike, indices: ArrayLike, updates: ArrayLike, reduction: str | None = None) -> Tensor:
    """`inputs` with `updates[i]` at the position `indices[i]`; an index outside changes nothing.

    Args:
        inputs: array.
        indices: integers `(..., k)`: positions along the first k axes; a negative one counts from the end.
        updates: array `(..., *inputs.shape[k:])`; it is converted to the dtype of `inputs`.
        reduction: None sets entries (of several updates of one entry the last wins); "add", "mul", "max" and "min"
            combine with the present entries.

    Returns:
        An array of the shape and dtype of `inputs`.

    Raises:
        ShapeError: `indices` are not integers, k is larger than the number of axes, or `updates` do not broadcast.
        ValueError: `reduction` is none of these.

    Example:
        >>> from lamella import ops
        >>> ops.scatter_update([0, 0, 0], [[1], [-1]], [5, 7])
        array([0, 5, 7], dtype=int32)
        >>> ops.scatter_update([10, 10, 10], [[1], [1]], [5, 7], reduction="add")
        array([10, 22, 10], dtype=int32)
    """
    inputs, indices = ops.convert_to_tensor(inputs), ops.convert_to_tensor(indices)
    spec, given = spec_of(inputs), spec_of(indices)
    updates = ops.cast(updates, spec.dtype)
    if not is_integer(given.dtype) or not given.ndim or given.shape[-1] > spec.ndim:
        raise ShapeError(f"indices of {spec} must be integers (..., k) with k up to {spec.ndim}, got {given}.")
    if reduction not in (None, "add", "mul", "max", "min"):
        raise ValueError(f"reduction must be None, 'add', 'mul', 'max' or 'min', got {reduction!r}.")
    k = given.shape[-1]
    cells, inner = spec.shape[:k], spec.shape[k:]
    size, count = math.prod(map(int, cells)), int(given.size) // max(k, 1)
    updates = ops.reshape(ops.broadcast_to(updates, (*given.shape[:-1], *inner)), (count, *inner))
    places = ops.reshape(indices, (count, k))
    place, inside = ops.zeros((count,), "int32"), ops.ones((count,), "bool")
    for axis, dim in enumerate(cells):
        at = ops.cast(places[:, axis], "int32")
        at = ops.where(ops.less(at, 0), ops.add(at, int(dim)), at)
        inside = ops.logical_and(inside, ops.logical_and(ops.greater_equal(at, 0), ops.less(at, int(dim))))
        place = ops.add(ops.multiply(place, int(dim)), at)
    place = ops.where(inside, place, size)
    flat = ops.reshape(inputs, (size, *inner))
    if reduction == "add":
        result = ops.add(flat, segment_sum(updates, place, size))
    elif reduction == "mul":
        result = ops.multiply(flat, segment_prod(updates, place, size))
    elif reduction == "max":
        result = ops.maximum(flat, segment_max(updates, place, size))
    elif reduction == "min":
        result = ops.minimum(flat, segment_min(updates, place, size))
    else:
        winner = segment_max(ops.arange(1, count + 1), place, size) if count else ops.zeros((size,), "int32")
        hit = ops.reshape(ops.greater(winner, 0), (size, *[1] * len(inner)))
        chosen = ops.take(updates, ops.maximum(ops.subtract(winner, 1), 0), 0) if count else flat
        result = ops.where(hit, chosen, flat)
    return ops.reshape(result, spec.shape)


filter_functions(__name__)
