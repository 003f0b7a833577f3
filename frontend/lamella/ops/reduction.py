"""Reductions: axes go, and their dimensions with them."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from lamella.errors import DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, size_of, spec_of
from lamella.ops.coerce import as_tensor, floating, full_of, normalize_axes, normalize_axis
from lamella.ops.comparison import equal, select
from lamella.ops.elementwise import add, cast, divide, exp, log, multiply, negative, sqrt, square, subtract
from lamella.ops.shape import broadcast, reshape

Axis = int | Sequence[int] | None


def _reduced(x: Spec, axes: tuple[int, ...]) -> Spec:
    if list(axes) != sorted(set(axes)) or builtins.any(not 0 <= a < x.ndim for a in axes):
        raise ShapeError(f"axes {axes} must be sorted, distinct and within the {x.ndim} dimensions of {x}.")
    return Spec(tuple(d for i, d in enumerate(x.shape) if i not in axes), x.dtype)


def _spread(g: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """`g`, a reduction of `x` over `axes`, repeated along them."""
    spec = spec_of(x)
    return broadcast.bind(g, shape=spec.shape, axes=tuple(i for i in range(spec.ndim) if i not in axes))


@op(mandatory=True)
def reduce_sum(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    """The sum over `axes`, in x's dtype"""
    if x.dtype == "bool":
        raise DTypeError("a sum of bool: convert it to a number first.")
    return _reduced(x, axes)


@reduce_sum.def_vjp
def _(g: Any, y: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    return _spread(g, x, axes)


@op(mandatory=True)
def reduce_max(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    """The maximum over `axes`; ties share the gradient equally; a NaN gives NaN"""
    _nonempty(x, axes)
    return _reduced(x, axes)


@op(mandatory=True)
def reduce_min(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    """The minimum over `axes`; ties share the gradient equally; a NaN gives NaN"""
    _nonempty(x, axes)
    return _reduced(x, axes)


def _nonempty(x: Spec, axes: tuple[int, ...]) -> None:
    if builtins.any(x.shape[a] == 0 for a in axes if a < x.ndim):
        raise ShapeError(f"an extremum over no entries: axes {axes} of {x}.")


def _extremum_vjp(g: Any, y: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    hit = equal(x, _spread(y, x, axes))
    ones, zeros = full_of(spec_of(x), 1), full_of(spec_of(x), 0)
    count = reduce_sum.bind(select.bind(hit, ones, zeros), axes=axes)
    return select.bind(hit, _spread(divide(g, count), x, axes), zeros)


reduce_max.def_vjp(_extremum_vjp)
reduce_min.def_vjp(_extremum_vjp)


@op(mandatory=True, differentiable=False)
def argmax_(x: Spec, *, axis: int) -> Spec:
    """The int32 index of the first maximum along `axis`"""
    _nonempty(x, (axis,))
    return Spec(_reduced(x, (axis,)).shape, "int32")


# ---- friendly functions ---------------------------------------------------------------------------------------------


def _keep(y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not keepdims:
        return y
    return reshape(y, tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def _countable(x: Any) -> Any:
    x = as_tensor(x)
    return cast(x, "int32") if spec_of(x).dtype == "bool" else x


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over `axis` (None: all); booleans are counted in int32."""
    x = _countable(x)
    axes = normalize_axes(axis, spec_of(x).ndim)
    return _keep(reduce_sum.bind(x, axes=axes), x, axes, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The maximum over `axis` (None: all)."""
    x = as_tensor(x)
    axes = normalize_axes(axis, spec_of(x).ndim)
    return _keep(reduce_max.bind(x, axes=axes), x, axes, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The minimum over `axis` (None: all)."""
    x = as_tensor(x)
    axes = normalize_axes(axis, spec_of(x).ndim)
    return _keep(reduce_min.bind(x, axes=axes), x, axes, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over `axis` (None: all); integers become `floatx`."""
    (x,) = floating(x)
    axes = normalize_axes(axis, spec_of(x).ndim)
    count = size_of(x.shape[a] for a in axes)
    if count == 0:
        raise ShapeError(f"a mean over no entries: axes {axes} of {spec_of(x)}.")
    return _keep(multiply(reduce_sum.bind(x, axes=axes), 1.0 / int(count)), x, axes, keepdims)


def variance(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The population variance over `axis`, in two passes: the mean of the squared distances from the mean."""
    (x,) = floating(x)
    return mean(square(subtract(x, mean(x, axis, keepdims=True))), axis, keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The population standard deviation over `axis`."""
    return sqrt(variance(x, axis, keepdims))


def argmax(x: Any, axis: int | None = None) -> Any:
    """The index (int32) of the first maximum along `axis` (None: of the flattened operand)."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return argmax_.bind(x, axis=normalize_axis(axis, spec_of(x).ndim))


def argmin(x: Any, axis: int | None = None) -> Any:
    """The index (int32) of the first minimum along `axis` (None: of the flattened operand)."""
    return argmax(negative(_countable(x)), axis)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether one entry along `axis` holds."""
    return max(as_tensor(x, "bool"), axis, keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether every entry along `axis` holds."""
    return min(as_tensor(x, "bool"), axis, keepdims)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over `axis`, shifted by the maximum so that it never overflows."""
    from lamella.ops.comparison import where
    from lamella.ops.elementwise import isfinite, stop_gradient

    (x,) = floating(x)
    peak = stop_gradient(max(x, axis, keepdims=True))
    peak = where(isfinite(peak), peak, 0.0)
    total = log(sum(exp(subtract(x, peak)), axis, keepdims=True))
    axes = normalize_axes(axis, spec_of(x).ndim)
    y = add(total, peak)
    return y if keepdims else reshape(y, tuple(d for i, d in enumerate(x.shape) if i not in axes))


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The Euclidean norm over `axis`."""
    (x,) = floating(x)
    return sqrt(sum(square(x), axis, keepdims))


def count_nonzero(x: Any, axis: Axis = None) -> Any:
    """How many entries along `axis` are not zero (int32)."""
    return sum(as_tensor(x, "bool"), axis)
