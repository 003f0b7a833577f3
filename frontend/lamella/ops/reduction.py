"""Reductions over axes."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella.errors import DTypeError, ShapeError
from lamella.ir.dim import Dim
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_integer, size_of, spec_of
from lamella.ops.coerce import as_tensor, full_of, in_float32, normalize_axes, normalize_axis, sum_dtype
from lamella.ops.comparison import bitwise_not, equal, select
from lamella.ops.elementwise import (
    abs_,
    add,
    cast,
    divide,
    exp,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sqrt,
    square,
    subtract,
)
from lamella.ops.shapes import broadcast, reshape
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Axis = int | Sequence[int] | None


def _reduced(x: Spec, axes: tuple[int, ...]) -> Spec:
    if list(axes) != sorted(set(axes)) or builtins.any(not 0 <= a < x.ndim for a in axes):
        raise ShapeError(f"axes {axes} must be sorted, distinct and within the {x.ndim} dimensions of {x}.")
    return Spec(tuple(d for i, d in enumerate(x.shape) if i not in axes), x.dtype)


def _spread(g: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """`g`, a reduction of `x` over `axes`, repeated along them."""
    spec = spec_of(x)
    return broadcast.bind(g, shape=spec.shape, axes=tuple(i for i in range(spec.ndim) if i not in axes))


@op(mandatory=True)
def reduce_sum(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    """The sum over `axes`, in x's dtype."""
    if x.dtype == "bool":
        raise DTypeError("a sum needs numbers, got bool: cast it first.")
    return _reduced(x, axes)


@reduce_sum.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    return _spread(g, x, axes)


@op(mandatory=True)
def reduce_max(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    """The maximum over `axes`; ties share the gradient equally; a NaN gives NaN."""
    _nonempty(x, axes)
    return _reduced(x, axes)


@op(mandatory=True)
def reduce_min(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    """The minimum over `axes`; ties share the gradient equally; a NaN gives NaN."""
    _nonempty(x, axes)
    return _reduced(x, axes)


def _nonempty(x: Spec, axes: tuple[int, ...]) -> None:
    if builtins.any(x.shape[a] == 0 for a in axes if a < x.ndim):
        raise ShapeError(f"an extremum over no entries: axes {axes} of {x}.")


def _extremum_vjp(g: Tensor, y: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    hit = equal(x, _spread(y, x, axes))
    ones, zeros = full_of(spec_of(x), 1), full_of(spec_of(x), 0)
    count = reduce_sum.bind(select.bind(hit, ones, zeros), axes=axes)
    return select.bind(hit, _spread(divide(g, count), x, axes), zeros)


reduce_max.def_vjp(_extremum_vjp)
reduce_min.def_vjp(_extremum_vjp)


@op(mandatory=True, differentiable=False)
def argmax_(x: Spec, *, axis: int) -> Spec:
    """The int32 index of the first maximum along `axis`."""
    _nonempty(x, (axis,))
    return Spec(_reduced(x, (axis,)).shape, "int32")


def _keep(y: Tensor, x: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if not keepdims:
        return y
    return reshape(y, tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def _countable(x: ArrayLike) -> Tensor:
    x = as_tensor(x)
    return cast(x, sum_dtype(spec_of(x).dtype))


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (None: all).

    Booleans and integers of less than 32 bits are added up in 32 bits.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes, in the dtype of `x` or the wider integer.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 2, 3], [4, 5, 6]]
        >>> ops.sum(x), ops.sum(x, axis=0), ops.sum(x, axis=1, keepdims=True)
        (array(21, dtype=int32), array([5, 7, 9], dtype=int32), array([[ 6],
               [15]], dtype=int32))
    """
    x = _countable(x)
    axes = normalize_axes(axis, spec_of(x).ndim)
    return _keep(reduce_sum.bind(x, axes=axes), x, axes, keepdims)


def max(x: ArrayLike, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The maximum over `axis` (None: all), and of `initial`; a NaN gives NaN.

    Ties share the gradient equally.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.
        initial: a lower bound of the result; it is the result where there are no entries.

    Returns:
        An array without the reduced axes, in the dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries and no `initial`.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 5, 3], [4, 2, 6]]
        >>> ops.max(x), ops.max(x, axis=1), ops.max(x, axis=0, initial=5)
        (array(6, dtype=int32), array([5, 6], dtype=int32), array([5, 5, 6], dtype=int32))
    """
    return _extreme(reduce_max, maximum, x, axis, keepdims, initial)


def _extreme(reduce: Any, combine: Any, x: Any, axis: Axis, keepdims: bool, initial: Any) -> Tensor:
    x = as_tensor(x)
    axes = normalize_axes(axis, spec_of(x).ndim)
    if initial is not None and x.size == 0:
        kept = _reduced(spec_of(x), axes)
        return _keep(full_of(kept, initial), x, axes, keepdims)
    y = _keep(reduce.bind(x, axes=axes), x, axes, keepdims)
    return y if initial is None else combine(y, initial)


def min(x: ArrayLike, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The minimum over `axis` (None: all), and of `initial`; a NaN gives NaN.

    Ties share the gradient equally.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.
        initial: an upper bound of the result; it is the result where there are no entries.

    Returns:
        An array without the reduced axes, in the dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries and no `initial`.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 5, 3], [4, 2, 6]]
        >>> ops.min(x), ops.min(x, axis=1), ops.min(x, axis=0, initial=2)
        (array(1, dtype=int32), array([1, 2], dtype=int32), array([1, 2, 2], dtype=int32))
    """
    return _extreme(reduce_min, minimum, x, axis, keepdims, initial)


def amax(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The maximum over `axis` (None: all); a NaN gives NaN.

    Ties share the gradient equally. It is `max` without an `initial`.

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
        >>> ops.amax([[1, 5, 3], [4, 2, 6]], axis=0)
        array([4, 5, 6], dtype=int32)
    """
    return max(x, axis, keepdims)


def amin(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The minimum over `axis` (None: all); a NaN gives NaN.

    Ties share the gradient equally. It is `min` without an `initial`.

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
        >>> ops.amin([[1, 5, 3], [4, 2, 6]], axis=0)
        array([1, 2, 3], dtype=int32)
    """
    return min(x, axis, keepdims)


@in_float32
def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over `axis` (None: all).

    16-bit floats are added up in float32.

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
        >>> x = [[1, 2, 3], [4, 5, 6]]
        >>> ops.mean(x), ops.mean(x, axis=1, keepdims=True)
        (array(3.5, dtype=float32), array([[2.],
               [5.]], dtype=float32))
    """
    axes = normalize_axes(axis, spec_of(x).ndim)
    count = size_of(x.shape[a] for a in axes)
    if count == 0:
        raise ShapeError(f"a mean over no entries: axes {axes} of {spec_of(x)}.")
    total = reduce_sum.bind(x, axes=axes)
    return _keep(divide(total, count) if isinstance(count, Dim) else multiply(total, 1.0 / count), x, axes, keepdims)


@in_float32
def variance(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The population variance over `axis`, in two passes: the mean of the squared distances from the mean.

    The sum of squares is divided by the number of entries, not by one less. 16-bit floats are computed in float32.

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
        >>> ops.var([[1.0, 3.0], [10.0, 20.0]], axis=1)
        array([ 1., 25.], dtype=float32)
    """
    return mean(square(subtract(x, mean(x, axis, keepdims=True))), axis, keepdims)


@in_float32
def std(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The population standard deviation over `axis`: the square root of `variance`.

    The derivative is NaN where all entries are equal.

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
        >>> ops.std([[1.0, 3.0], [10.0, 20.0]], axis=1)
        array([1., 5.], dtype=float32)
    """
    return sqrt(variance(x, axis, keepdims))


def argmax(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index (int32) of the first maximum along `axis` (None: of the flattened array).

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
        >>> x = [[1, 5, 5], [4, 2, 6]]
        >>> ops.argmax(x, axis=1), ops.argmax(x)
        (array([1, 2], dtype=int32), array(5, dtype=int32))
    """
    x = as_tensor(x)
    ndim = spec_of(x).ndim
    axes = normalize_axes(axis, ndim)
    flat = reshape(x, (-1,)) if axis is None else x
    return _keep(argmax_.bind(flat, axis=0 if axis is None else normalize_axis(axis, ndim)), x, axes, keepdims)


def argmin(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index (int32) of the first minimum along `axis` (None: of the flattened array).

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
        >>> x = [[3, 1, 1], [4, 2, 6]]
        >>> ops.argmin(x, axis=1), ops.argmin(x)
        (array([1, 1], dtype=int32), array(1, dtype=int32))
    """
    x = _countable(x)
    # Negation overflows for the least integer, and wraps around for unsigned ones.
    return argmax(bitwise_not(x) if is_integer(spec_of(x).dtype) else negative(x), axis, keepdims)


def any(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether an entry along `axis` holds (None: an entry of the whole array).

    Args:
        x: bool array; numbers hold where they are not 0.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        A bool array without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.any([[True, False], [False, False]], axis=1)
        array([ True, False])
    """
    return max(as_tensor(x, "bool"), axis, keepdims)


def all(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every entry along `axis` holds (None: every entry of the whole array).

    Args:
        x: bool array; numbers hold where they are not 0.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        A bool array without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.all([[True, False], [True, True]], axis=1)
        array([False,  True])
    """
    return min(as_tensor(x, "bool"), axis, keepdims)


@in_float32
def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over `axis`, shifted by the maximum so that it never overflows

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes; minus infinity where all entries are.

    Raises:
        ShapeError: `axis` is out of range, or there are no entries.

    Example:
        >>> from lamella import ops
        >>> ops.logsumexp([[0.0, 0.0], [100.0, -100.0]], axis=1).round(4)
        array([  0.6931, 100.    ], dtype=float32)
    """
    from lamella.ops.comparison import where
    from lamella.ops.elementwise import isfinite, stop_gradient

    peak = stop_gradient(max(x, axis, keepdims=True))
    peak = where(isfinite(peak), peak, 0.0)
    total = log(sum(exp(subtract(x, peak)), axis, keepdims=True))
    axes = normalize_axes(axis, spec_of(x).ndim)
    y = add(total, peak)
    return y if keepdims else reshape(y, tuple(d for i, d in enumerate(x.shape) if i not in axes))


@in_float32
def norm(x: ArrayLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm over `axis`: Euclidean, or of order `ord`.

    The derivative of the Euclidean norm at 0 is NaN; `normalize` has a finite one.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        ord: for vectors (one axis) any number, plus or minus infinity; for matrices (two axes) "fro", 1, -1 and plus or
            minus infinity. None takes the root of the sum of squares over all of `axis`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.
        ValueError: the order needs singular values (2, -2 and "nuc" of matrices), or is unknown.

    Example:
        >>> from lamella import ops
        >>> x = [[3.0, 4.0], [6.0, -8.0]]
        >>> ops.norm(x, axis=1), ops.norm(x, ord=1, axis=1), ops.norm(x, ord=float("inf"), axis=1)
        (array([ 5., 10.], dtype=float32), array([ 7., 14.], dtype=float32), array([4., 8.], dtype=float32))
    """
    axes = tuple(range(spec_of(x).ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        return sqrt(sum(square(x), axis, keepdims))
    if len(axes) == 1 and not isinstance(ord, str):
        return _vector_norm(abs_(x), float(ord), axes[0], keepdims)
    if len(axes) == 2 and ord in (1, -1, math.inf, -math.inf):
        over, within = (axes[0], axes[1]) if builtins.abs(ord) == 1 else (axes[1], axes[0])
        best = max if ord > 0 else min
        return _drop(best(sum(abs_(x), over, keepdims=True), within, keepdims=True), x, axes, keepdims)
    raise ValueError(f"norm: order {ord!r} over {len(axes)} axes is not supported; singular values are out of scope.")


def _vector_norm(size: Tensor, order: float, axis: int, keepdims: bool) -> Tensor:
    if order == math.inf:
        return max(size, axis, keepdims)
    if order == -math.inf:
        return min(size, axis, keepdims)
    if order == 0:
        return cast(sum(as_tensor(size, "bool"), axis, keepdims), spec_of(size).dtype)
    if order == 1:
        return sum(size, axis, keepdims)
    return power(sum(power(size, order), axis, keepdims), 1.0 / order)


def _drop(y: Tensor, x: Any, axes: Sequence[int], keepdims: bool) -> Tensor:
    if keepdims:
        return y
    gone = normalize_axes(axes, spec_of(x).ndim)
    return reshape(y, tuple(d for i, d in enumerate(x.shape) if i not in gone))


def count_nonzero(x: ArrayLike, axis: Axis = None) -> Tensor:
    """The number of entries along `axis` (None: all) that are not zero.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.

    Returns:
        An int32 array without the reduced axes.

    Raises:
        ShapeError: `axis` is out of range.

    Example:
        >>> from lamella import ops
        >>> ops.count_nonzero([[1, 0, 3], [0, 0, 6]], axis=1)
        array([2, 1], dtype=int32)
    """
    return sum(as_tensor(x, "bool"), axis)


filter_functions(__name__)
