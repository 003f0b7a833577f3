"""Products, cumulative sums, averages, quantiles and counts; and reductions that ignore NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.program import Value
from lamella.ir.spec import is_float, is_integer, promote, spec_of
from lamella.ir.trace import current_trace
from lamella.ops.coerce import (
    dtype_argument,
    floating,
    full_of,
    in_float32,
    normalize_axes,
    normalize_axis,
    sum_dtype,
)
from lamella.ops.ordering import cumsum_
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor

Axis = int | Sequence[int] | None


def _countable(x: ArrayLike, dtype: Any = None) -> Tensor:
    x = ops.convert_to_tensor(x)
    have = spec_of(x).dtype
    return ops.cast(x, dtype_argument(dtype, "int32" if have == "bool" else have))


def _one_axis(x: Tensor, axis: Axis) -> tuple[Any, int, tuple[int, ...]]:
    """`x` with `axis` (None: all) merged into the last axis, its position, and the axes that it replaces."""
    spec = spec_of(x)
    axes = normalize_axes(axis, spec.ndim)
    rest = [i for i in range(spec.ndim) if i not in axes]
    moved = ops.transpose(x, (*rest, *axes))
    count = math.prod(spec.shape[a] for a in axes)
    return ops.reshape(moved, (*[spec.shape[i] for i in rest], count)), len(rest), axes


def _kept(y: Tensor, x: Tensor, axes: tuple[int, ...], keepdims: bool, leading: int = 0) -> Tensor:
    """A reduction of `x` over `axes`, with sizes of 1 for `keepdims`; it has `leading` new axes in front."""
    if not keepdims:
        return y
    shape = [1 if i in axes else d for i, d in enumerate(spec_of(x).shape)]
    return ops.reshape(y, (*spec_of(y).shape[:leading], *shape))


def prod(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product over `axis` (None: all).

    It is computed as a tree of products, whose derivative is exact where entries are 0. Booleans and integers of less
    than 32 bits are multiplied in 32 bits where no `dtype` is given.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.
        dtype: the dtype that `x` is converted to first; None keeps it, or widens it as described.

    Returns:
        An array without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.prod([[1, 2, 3], [4, 5, 6]], axis=1)
        array([  6, 120], dtype=int32)
    """
    x = ops.convert_to_tensor(x)
    x = ops.cast(x, dtype_argument(dtype, sum_dtype(spec_of(x).dtype)))
    y, place, axes = _one_axis(x, axis)
    while (count := spec_of(y).shape[place]) > 1:
        half = count // 2
        pairs = ops.multiply(y[..., :half], y[..., half : 2 * half])
        y = ops.concatenate([pairs, y[..., 2 * half :]], place) if count % 2 else pairs
    y = y[..., 0] if count else full_of(spec_of(ops.sum(y, -1)), 1)
    return _kept(y, x, axes, keepdims)


def cumsum(x: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the entries up to each one along `axis` (None: of the flattened array).

    Args:
        x: array of numbers.
        axis: the axis; None works on the flattened array.
        dtype: the dtype that `x` is converted to first; None keeps it, and makes bool int32.

    Returns:
        An array of the shape of `x`, or a vector for None.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.cumsum([[1, 2, 3], [4, 5, 6]], axis=1)
        array([[ 1,  3,  6],
               [ 4,  9, 15]], dtype=int32)
    """
    x = _countable(x, dtype)
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    return cumsum_.bind(x, axis=normalize_axis(axis, spec_of(x).ndim))


def cumprod(x: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """The products of the entries up to each one along `axis` (None: of the flattened array).

    Args:
        x: array of numbers.
        axis: the axis; None works on the flattened array.
        dtype: the dtype that `x` is converted to first; None keeps it, and makes bool int32.

    Returns:
        An array of the shape of `x`, or a vector for None.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.cumprod([[1, 2, 3], [4, 5, 6]], axis=1)
        array([[  1,   2,   6],
               [  4,  20, 120]], dtype=int32)
    """
    x = _countable(x, dtype)
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    return ops.associative_scan(ops.multiply, x, axis=axis)


def ptp(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The maximum minus the minimum over `axis` (None: all).

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes, in the dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.ptp([[1, 9, 3], [4, 5, 6]], axis=1)
        array([8, 2], dtype=int32)
    """
    return ops.subtract(ops.max(x, axis, keepdims), ops.min(x, axis, keepdims))


def diff(a: ArrayLike, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbors along `axis`, `n` times.

    For bool it is whether neighbors differ.

    Args:
        a: array of numbers.
        n: how often differences are taken.
        axis: the axis.

    Returns:
        An array in the dtype of `a`, shorter by `n` along `axis`.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.diff([1, 4, 9, 16]), ops.diff([1, 4, 9, 16], n=2)
        (array([3, 5, 7], dtype=int32), array([2, 2], dtype=int32))
    """
    a = ops.convert_to_tensor(a)
    axis = normalize_axis(axis, spec_of(a).ndim)
    before = (slice(None),) * axis
    for _ in range(n):
        high, low = a[(*before, slice(1, None))], a[(*before, slice(None, -1))]
        a = ops.not_equal(high, low) if spec_of(a).dtype == "bool" else ops.subtract(high, low)
    return a


def average(x: Any, axis: Axis = None, weights: Any = None) -> Any:
    """The mean over `axis`, weighted by `weights`.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        weights: an array of the shape of `x`, or a vector along a single `axis`; None weights all entries equally.

    Returns:
        An array of floats without the reduced axes: sum(x * weights) / sum(weights).

    Raises:
        ShapeError: `weights` have another shape, or `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.average([[1.0, 2.0], [3.0, 5.0]], axis=1, weights=[3.0, 1.0])
        array([1.25, 3.5 ], dtype=float32)
    """
    (x,) = floating(x)
    if weights is None:
        return ops.mean(x, axis)
    (weights,) = floating(weights)
    if spec_of(weights).shape != spec_of(x).shape:
        if not isinstance(axis, int) or spec_of(weights).ndim != 1:
            raise ShapeError(
                f"weights must be a vector along one axis or have the shape of {spec_of(x)}, got {spec_of(weights)}."
            )
        shape = [1] * spec_of(x).ndim
        shape[normalize_axis(axis, len(shape))] = spec_of(weights).shape[0]
        weights = ops.broadcast_to(ops.reshape(weights, shape), spec_of(x).shape)
    dtype = promote(spec_of(x).dtype, spec_of(weights).dtype)
    x, weights = (ops.cast(v, promote(dtype, "float32")) for v in (x, weights))
    return ops.cast(ops.divide(ops.sum(ops.multiply(x, weights), axis), ops.sum(weights, axis)), dtype)


def moments(x: ArrayLike, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> tuple[Any, Any]:
    """The mean and the population variance over `axes`.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axes: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.
        synchronized: must be False.

    Returns:
        A tuple of two arrays of floats without the reduced axes.

    Raises:
        ShapeError: an axis is out of range, or there are no entries.
        ValueError: `synchronized` is True.

    Example:
        >>> from lamella import ops
        >>> ops.moments([[1.0, 3.0], [10.0, 20.0]], axes=1)
        (array([ 2., 15.], dtype=float32), array([ 1., 25.], dtype=float32))
    """
    if synchronized:
        raise ValueError("moments(synchronized=True): lamella computes on one device.")
    return ops.mean(x, axes, keepdims), ops.var(x, axes, keepdims)


def quantile(x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value that a fraction `q` of the entries over `axis` does not exceed; a NaN gives NaN.

    The sorted entries are at the positions 0 ... n - 1, and the quantile is at position q (n - 1).

    Args:
        x: array; integers and booleans are converted to `floatx`.
        q: numbers from 0 to 1: a scalar or an array.
        axis: the axis or axes to reduce; None reduces all of them.
        method: how to choose between two entries: "linear" interpolates, "lower" and "higher" take one of them,
            "midpoint" their mean, "nearest" the nearer one.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats: the shape of `q`, then the axes that are not reduced.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.
        ValueError: the method is unknown.

    Example:
        >>> from lamella import ops
        >>> ops.quantile([1.0, 2.0, 3.0, 10.0], 0.5), ops.quantile([1.0, 2.0, 3.0, 10.0], [0.0, 1.0])
        (array(2.5, dtype=float32), array([ 1., 10.], dtype=float32))
    """
    (x,) = floating(x)
    missing = ops.any(ops.isnan(x), axis, keepdims)
    return ops.where(missing, math.nan, _quantile(x, q, axis, method, keepdims))


def nanquantile(x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` of the entries that are not NaN; NaN where there are none.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        q: numbers from 0 to 1: a scalar or an array.
        axis: the axis or axes to reduce; None reduces all of them.
        method: how to choose between two entries: "linear", "lower", "higher", "midpoint" or "nearest", as in
            `quantile`.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats: the shape of `q`, then the axes that are not reduced.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.
        ValueError: the method is unknown.

    Example:
        >>> from lamella import ops
        >>> ops.nanquantile([1.0, float("nan"), 2.0, 10.0], 0.5)
        array(2., dtype=float32)
    """
    (x,) = floating(x)
    return _quantile(x, q, axis, method, keepdims)


def _quantile(x: Tensor, q: ArrayLike, axis: Axis, method: str, keepdims: bool) -> Tensor:
    methods = ("linear", "lower", "higher", "midpoint", "nearest")
    if method not in methods:
        raise ValueError(f"method must be one of {', '.join(methods)}, got {method!r}.")
    y, _, axes = _one_axis(x, axis)
    if not spec_of(y).shape[-1]:
        raise ShapeError(f"a quantile over no entries: axes {axes} of {spec_of(x)}.")
    dtype = spec_of(x).dtype
    y = ops.sort(y, -1)
    q = ops.cast(q, dtype)
    shape = spec_of(q).shape
    # NaN are sorted last; positions refer to the numbers before them.
    last = ops.cast(ops.sum(ops.logical_not(ops.isnan(y)), -1, keepdims=True), dtype) - 1.0
    at = ops.multiply(ops.maximum(last, 0.0), ops.reshape(q, (-1,)))
    low, high = ops.floor(at), ops.ceil(at)
    if method == "nearest":
        low = high = ops.round(at)
    below, above = (ops.take_along_axis(y, ops.cast(i, "int32"), -1) for i in (low, high))
    part = {"linear": ops.subtract(at, low), "midpoint": 0.5, "lower": 0.0, "higher": 1.0, "nearest": 0.0}[method]
    # Two equal neighbors may be infinite, with a difference of NaN.
    apart = ops.where(ops.equal(below, above), 0.0, ops.subtract(above, below))
    found = above if method == "higher" else ops.add(below, ops.multiply(apart, part))
    found = ops.reshape(ops.moveaxis(found, -1, 0), (*shape, *spec_of(y).shape[:-1]))
    return _kept(found, x, axes, keepdims, len(shape))


def percentile(x: ArrayLike, q: ArrayLike, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` with `q` in percent.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        q: numbers from 0 to 100: a scalar or an array.
        axis: the axis or axes to reduce; None reduces all of them.
        method: how to choose between two entries: "linear", "lower", "higher", "midpoint" or "nearest", as in
            `quantile`.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats: the shape of `q`, then the axes that are not reduced.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.
        ValueError: the method is unknown.

    Example:
        >>> from lamella import ops
        >>> ops.percentile([1.0, 2.0, 3.0, 5.0, 10.0], [25, 75])
        array([2., 5.], dtype=float32)
    """
    return quantile(x, ops.divide(q, 100.0), axis, method, keepdims)


def nanpercentile(x: ArrayLike, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`nanquantile` with `q` in percent.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        q: numbers from 0 to 100: a scalar or an array.
        axis: the axis or axes to reduce; None reduces all of them.
        method: how to choose between two entries: "linear", "lower", "higher", "midpoint" or "nearest", as in
            `quantile`.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats: the shape of `q`, then the axes that are not reduced.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.
        ValueError: the method is unknown.

    Example:
        >>> from lamella import ops
        >>> ops.nanpercentile([1.0, float("nan"), 2.0, 10.0], 50)
        array(2., dtype=float32)
    """
    return nanquantile(x, ops.divide(q, 100.0), axis, method, keepdims)


def median(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle entry over `axis`, or the mean of the two middle ones; a NaN gives NaN.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.median([[1.0, 100.0, 3.0], [4.0, 6.0, 5.0]], axis=1)
        array([3., 5.], dtype=float32)
    """
    return quantile(x, 0.5, axis, keepdims=keepdims)


def nanmedian(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The median of the entries over `axis` that are not NaN; NaN where there are none.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.nanmedian([[1.0, float("nan"), 3.0], [4.0, 6.0, 5.0]], axis=1)
        array([2., 5.], dtype=float32)
    """
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


def _without_nan(x: ArrayLike, value: float) -> tuple[Any, Any]:
    """`x` with every NaN replaced by `value`, and where `x` is not NaN."""
    x = ops.convert_to_tensor(x)
    if not is_float(spec_of(x).dtype):
        return x, ops.ones_like(x, "bool")
    there = ops.logical_not(ops.isnan(x))
    return ops.where(there, x, value), there


def nansum(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of the entries over `axis` that are not NaN; 0 where there are none.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nansum([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        array([1., 7.], dtype=float32)
    """
    return ops.sum(_without_nan(x, 0.0)[0], axis, keepdims)


def nanprod(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product of the entries over `axis` that are not NaN; 1 where there are none.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nanprod([[2.0, float("nan")], [3.0, 4.0]], axis=1)
        array([ 2., 12.], dtype=float32)
    """
    return prod(_without_nan(x, 1.0)[0], axis, keepdims)


def nancumsum(x: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`cumsum` with NaN counted as 0.

    Args:
        x: array of numbers.
        axis: the axis; None works on the flattened array.
        dtype: the dtype that `x` is converted to first; None keeps it, and makes bool int32.

    Returns:
        An array of the shape of `x`, or a vector for None.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nancumsum([1.0, float("nan"), 3.0])
        array([1., 1., 4.], dtype=float32)
    """
    return cumsum(_without_nan(x, 0.0)[0], axis, dtype)


def nancumprod(x: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`cumprod` with NaN counted as 1.

    Args:
        x: array of numbers.
        axis: the axis; None works on the flattened array.
        dtype: the dtype that `x` is converted to first; None keeps it, and makes bool int32.

    Returns:
        An array of the shape of `x`, or a vector for None.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nancumprod([2.0, float("nan"), 3.0])
        array([2., 2., 6.], dtype=float32)
    """
    return cumprod(_without_nan(x, 1.0)[0], axis, dtype)


@in_float32
def nanmean(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of the entries over `axis` that are not NaN; NaN where there are none.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nanmean([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        array([1. , 3.5], dtype=float32)
    """
    filled, there = _without_nan(x, 0.0)
    count = ops.cast(ops.sum(there, axis, keepdims), spec_of(filled).dtype)
    return ops.divide(ops.sum(filled, axis, keepdims), count)


@in_float32
def nanvar(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The population variance of the entries over `axis` that are not NaN; NaN where there are none.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nanvar([[1.0, float("nan"), 3.0], [4.0, 4.0, 4.0]], axis=1)
        array([1., 0.], dtype=float32)
    """
    return nanmean(ops.square(ops.subtract(x, nanmean(x, axis, keepdims=True))), axis, keepdims)


@in_float32
def nanstd(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The population standard deviation of the entries over `axis` that are not NaN; NaN where there are none.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.nanstd([[10.0, float("nan"), 20.0], [4.0, 4.0, 4.0]], axis=1)
        array([5., 0.], dtype=float32)
    """
    return ops.sqrt(nanvar(x, axis, keepdims))


def nanmax(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The maximum of the entries over `axis` that are not NaN; NaN where there are none.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes, in the dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.nanmax([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        array([1., 4.], dtype=float32)
    """
    filled, there = _without_nan(x, -math.inf)
    return _or_nan(ops.max(filled, axis, keepdims), ops.any(there, axis, keepdims))


def nanmin(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The minimum of the entries over `axis` that are not NaN; NaN where there are none.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes, in the dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.nanmin([[1.0, float("nan")], [3.0, 4.0]], axis=1)
        array([1., 3.], dtype=float32)
    """
    filled, there = _without_nan(x, math.inf)
    return _or_nan(ops.min(filled, axis, keepdims), ops.any(there, axis, keepdims))


def _or_nan(y: Tensor, found: Tensor) -> Tensor:
    return ops.where(found, y, math.nan) if is_float(spec_of(y).dtype) else y


def nanargmax(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index (int32) of the first maximum among the entries that are not NaN; -1 where there are none.

    Args:
        x: array of numbers.
        axis: the axis to reduce; None reduces the flattened array.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An int32 array without the reduced axis; a scalar for None.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.nanargmax([[1.0, float("nan"), 3.0], [float("nan")] * 3], axis=1)
        array([ 2, -1], dtype=int32)
    """
    return _nanarg(ops.argmax, -math.inf, x, axis, keepdims)


def nanargmin(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index (int32) of the first minimum among the entries that are not NaN; -1 where there are none.

    Args:
        x: array of numbers.
        axis: the axis to reduce; None reduces the flattened array.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An int32 array without the reduced axis; a scalar for None.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.nanargmin([[1.0, float("nan"), 3.0], [float("nan")] * 3], axis=1)
        array([ 0, -1], dtype=int32)
    """
    return _nanarg(ops.argmin, math.inf, x, axis, keepdims)


def _nanarg(find: Callable[..., Any], fill: float, x: ArrayLike, axis: int | None, keepdims: bool) -> Tensor:
    filled, there = _without_nan(x, fill)
    return ops.where(ops.any(there, axis, keepdims), find(filled, axis, keepdims), -1)


@in_float32
def corrcoef(x: ArrayLike) -> Tensor:
    """The correlation of every two rows: their covariance divided by the product of their standard deviations.

    Args:
        x: array `(variables, observations)`, or a vector; integers are converted to `floatx`.

    Returns:
        An array of floats `(variables, variables)` with entries from -1 to 1; a scalar for a single variable.

    Example:
        >>> from lamella import ops
        >>> ops.corrcoef([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]]).round(4)
        array([[ 1.,  1., -1.],
               [ 1.,  1., -1.],
               [-1., -1.,  1.]], dtype=float32)
    """
    x = ops.reshape(x, (1, -1)) if spec_of(x).ndim < 2 else x
    apart = ops.subtract(x, ops.mean(x, -1, keepdims=True))
    unit = ops.divide(apart, ops.sqrt(ops.sum(ops.square(apart), -1, keepdims=True)))
    result = ops.clip(ops.matmul(unit, ops.swapaxes(unit, -1, -2)), -1.0, 1.0)
    return ops.reshape(result, ()) if spec_of(result).shape == (1, 1) else result


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """The sums of x1[n + k] x2[n] of two vectors, for a range of shifts k.

    Args:
        x1: a vector; integers are converted to `floatx`.
        x2: a vector; integers are converted to `floatx`.
        mode: "full" gives every shift at which the vectors overlap, "same" as many as the longer vector has entries,
            "valid" those at which the shorter one is inside the longer one.

    Returns:
        A vector of floats.

    Raises:
        ValueError: the mode is unknown.

    Example:
        >>> from lamella import ops
        >>> ops.correlate([1, 2, 3], [0, 1, 0.5]), ops.correlate([1, 2, 3], [0, 1, 0.5], mode="same")
        (array([3.5], dtype=float32), array([2. , 3.5, 3. ], dtype=float32))
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"mode must be 'valid', 'same' or 'full', got {mode!r}.")
    x1, x2 = (floating(x)[0] for x in (x1, x2))
    dtype = ops.convert_to_tensor(ops.multiply(x1[:1], x2[:1])).dtype
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    n, m = (spec_of(x).shape[0] for x in (x1, x2))
    swapped = n < m
    if swapped:
        x1, x2, n, m = x2, x1, m, n
    low = {"full": m - 1, "valid": 0, "same": m // 2}[mode]
    high = {"full": m - 1, "valid": 0, "same": m - 1 - m // 2}[mode]
    if swapped and mode == "same":
        low, high = high, low
    padded = ops.pad(x1, ((low, high),))
    count = n + low + high - m + 1
    windows = ops.take(padded, np.arange(count)[:, None] + np.arange(m), 0)
    result = ops.matmul(windows, x2)
    return ops.flip(result) if swapped else result


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """The integral of `y` along `axis` by the trapezoidal rule: at the points `x`, or `dx` apart.

    Args:
        y: array of the values; integers are converted to `floatx`.
        x: the points: a vector along `axis`, or an array of the shape of `y`; None spaces them by `dx`.
        dx: the distance of the points.
        axis: the axis to integrate along.

    Returns:
        An array of floats without `axis`.

    Raises:
        ShapeError: `axis` is out of range, or the number of points is not that of the values.

    Example:
        >>> from lamella import ops
        >>> ops.trapezoid([1.0, 2.0, 3.0]), ops.trapezoid([1.0, 2.0, 3.0], x=[4.0, 6.0, 8.0])
        (array(4., dtype=float32), array(8., dtype=float32))
    """
    (y,) = floating(y)
    y = ops.moveaxis(y, axis, -1)
    if x is None:
        width: Any = dx
    else:
        (x,) = floating(x)
        width = diff(ops.moveaxis(x, axis, -1) if spec_of(x).ndim > 1 else x)
    return ops.sum(ops.multiply(ops.multiply(ops.add(y[..., 1:], y[..., :-1]), 0.5), width), -1)


def bincount(x: Any, weights: ArrayLike | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """The number of times that each integer occurs, or the sum of its weights, in a vector or in every row of a matrix.

    Args:
        x: integers that are not negative, a vector or a matrix.
        weights: an array of the shape of `x`; None counts 1 for each.
        minlength: the least number of entries of the result. In a trace, where the largest integer is not known, it is
            the number of entries, and larger integers are left out.
        sparse: must be False; lamella has no sparse tensors.

    Returns:
        A vector, or one row per row of `x`; int32, or in the dtype of `weights`.

    Raises:
        DTypeError: `x` is not a vector or matrix of integers.
        ArgumentError: `minlength` is missing in a trace.
        ValueError: `sparse` is True.

    Example:
        >>> from lamella import ops
        >>> ops.bincount([1, 1, 3]), ops.bincount([1, 1, 3], weights=[0.5, 0.25, 2.0], minlength=5)
        (array([0, 2, 0, 1], dtype=int32), array([0.  , 0.75, 0.  , 2.  , 0.  ], dtype=float32))
    """
    if sparse:
        raise ValueError("bincount(sparse=True): lamella has no sparse tensors.")
    x = ops.convert_to_tensor(x)
    spec = spec_of(x)
    if not is_integer(spec.dtype) or spec.ndim not in (1, 2):
        raise DTypeError(f"bincount needs a vector or matrix of integers, got {spec}.")
    if isinstance(x, Value) or current_trace() is not None:
        if not minlength:
            raise ArgumentError("bincount in a trace needs `minlength`: the largest integer is not known.")
        size = minlength
    else:
        size = max(minlength, int(ops.convert_to_numpy(x).max()) + 1 if x.size else 0)
    weights = ops.ones_like(x, "int32") if weights is None else ops.convert_to_tensor(weights)
    if spec.ndim == 1:
        return ops.segment_sum(weights, x, size)
    rows = spec.shape[0]
    inside = ops.less(x, size)
    places = ops.add(ops.multiply(ops.expand_dims(ops.arange(rows), 1), size), ops.cast(x, "int32"))
    places = ops.where(inside, places, rows * size)
    return ops.reshape(
        ops.segment_sum(ops.reshape(weights, (-1,)), ops.reshape(places, (-1,)), rows * size), (rows, size)
    )


def histogram(x: ArrayLike, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Any, Any]:
    """The number of entries in each of `bins` equal intervals of `range`, and the edges of the intervals.

    An interval includes its lower edge, and the last one its upper edge, too. Entries outside of `range` are left out.

    Args:
        x: array of numbers, which is flattened; integers are converted to `floatx`.
        bins: the number of intervals.
        range: the lower and the upper end; None takes the minimum and the maximum of `x`.

    Returns:
        A tuple of the int32 counts `(bins,)` and the edges `(bins + 1,)`.

    Example:
        >>> from lamella import ops
        >>> ops.histogram([1.0, 2.0, 2.0, 5.0], bins=4)
        (array([1, 2, 0, 1], dtype=int32), array([1., 2., 3., 4., 5.], dtype=float32))
    """
    (x,) = floating(ops.reshape(x, (-1,)))
    dtype = spec_of(x).dtype
    low, high = (ops.min(x), ops.max(x)) if range is None else (ops.cast(range[0], dtype), ops.cast(range[1], dtype))
    same = ops.equal(low, high)
    low, high = ops.where(same, low - 0.5, low), ops.where(same, high + 0.5, high)
    edges = ops.cast(ops.linspace(low, high, bins + 1), dtype)
    places = ops.subtract(ops.searchsorted(edges, x, side="right"), 1)
    # The last interval includes its upper edge.
    places = ops.where(ops.equal(x, edges[-1]), bins - 1, places)
    return ops.segment_sum(ops.ones_like(places), places, bins), edges


filter_functions(__name__)
