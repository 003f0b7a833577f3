"""Composite ops for which a backend may have a fused kernel: softmax, its logarithm, and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.absent import forwarding
from lamella.errors import DTypeError, ShapeError
from lamella.ir.dim import differ
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, size_of, spec_of
from lamella.ops.coerce import floating, normalize_axis
from lamella.ops.elementwise import divide, exp, log, multiply, subtract
from lamella.ops.reduction import _spread, reduce_max, reduce_sum
from lamella.ops.shapes import reshape, transpose
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _normalized(x: Spec, axis: int) -> Spec:
    if not is_float(x.dtype):
        raise DTypeError(f"operands must be floats, got {x.dtype}.")
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"axis {axis} is out of range for {x}.")
    if x.shape[axis] == 0:
        raise ShapeError(f"a softmax over no entries: axis {axis} of {x}.")
    return x


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def softmax_(x: Spec, *, axis: int) -> Spec:
    """exp(x) / sum(exp(x)) along `axis`, shifted by the maximum"""
    return _normalized(x, axis)


@softmax_.define
def _(x: Tensor, *, axis: int) -> Tensor:
    shifted = exp(subtract(x, _spread(reduce_max.bind(x, axes=(axis,)), x, (axis,))))
    return divide(shifted, _spread(reduce_sum.bind(shifted, axes=(axis,)), x, (axis,)))


@softmax_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    total = reduce_sum.bind(multiply(g, y), axes=(axis,))
    return multiply(y, subtract(g, _spread(total, y, (axis,))))


@op(mixed_axes=lambda spec, attrs: (attrs["axis"],))
def log_softmax_(x: Spec, *, axis: int) -> Spec:
    """x - log(sum(exp(x))) along `axis`, shifted by the maximum"""
    return _normalized(x, axis)


@log_softmax_.define
def _(x: Tensor, *, axis: int) -> Tensor:
    shifted = subtract(x, _spread(reduce_max.bind(x, axes=(axis,)), x, (axis,)))
    total = log(reduce_sum.bind(exp(shifted), axes=(axis,)))
    return subtract(shifted, _spread(total, x, (axis,)))


@log_softmax_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    total = reduce_sum.bind(g, axes=(axis,))
    return subtract(g, multiply(exp(y), _spread(total, y, (axis,))))


def _check_attention(query: Spec, key: Spec, value: Spec, mask: tuple[Spec, ...]) -> None:
    if any(s.ndim != 4 for s in (query, key, value)):
        raise ShapeError(f"operands of attention must be (batch, length, heads, size), got {query}, {key} and {value}.")
    if not is_float(query.dtype) or not query.dtype == key.dtype == value.dtype:
        raise DTypeError(f"operands of attention must be floats of one dtype, got {query}, {key} and {value}.")
    (batch, _, heads, size), (b, sources, h, s) = query.shape, key.shape
    pairs = [(batch, b), (heads, h), (size, s), *zip(value.shape[:3], (b, sources, h), strict=True)]
    if any(differ(x, y) for x, y in pairs):
        raise ShapeError(f"batch, heads and sizes of attention must agree, got {query}, {key} and {value}.")
    if any(m.dtype != "bool" or m.ndim != 4 for m in mask):
        raise ShapeError(
            f"the mask must be bool (batch, heads, targets, sources), each size possibly 1, got {mask[0]}."
        )


@op(mixed_axes=lambda spec, attrs: (1, 2))
def attention(query: Spec, key: Spec, value: Spec, *mask: Spec, scale: float, causal: bool, fused: bool) -> Spec:
    """softmax(scale * query @ key^T) @ value per head, without the keys that a mask or, if causal, their position hides

    With `fused` a backend without a fused kernel raises an error.
    """
    _check_attention(query, key, value, mask)
    return Spec((*query.shape[:3], value.shape[3]), query.dtype)


def _attention_weights(
    query: Tensor, key: Tensor, mask: tuple[Any, ...], scale: float, causal: bool
) -> tuple[Any, Any]:
    """The weights (batch, heads, targets, sources), and the mask of the visible keys, or None."""
    scores = ops.einsum("bsnh,btnh->bnts", key, ops.multiply(query, scale))
    seen = mask[0] if mask else None
    if causal:
        before = ops.tri(*spec_of(scores).shape[-2:], dtype="bool")
        seen = before if seen is None else ops.logical_and(seen, before)
    if seen is not None:
        scores = ops.where(seen, scores, -30000.0 if spec_of(scores).dtype == "float16" else -1e9)
    return ops.softmax(scores), seen


@attention.define
def _(query: Tensor, key: Tensor, value: Tensor, *mask: Any, scale: float, causal: bool, fused: bool) -> Tensor:
    weights, _ = _attention_weights(query, key, mask, scale, causal)
    return ops.einsum("bnts,bsnh->btnh", weights, value)


@attention.def_vjp
def _(g: Tensor, y: Tensor, *operands: Any, **attrs: Any) -> Any:
    gradients = attention_gradient.bind(g, *operands, **attrs)
    return (*gradients, *[None] * (len(operands) - 3))


@op(mixed_axes=lambda spec, attrs: (1, 2))
def attention_gradient(
    g: Spec, query: Spec, key: Spec, value: Spec, *mask: Spec, scale: float, causal: bool, fused: bool
) -> tuple[Spec, Spec, Spec]:
    """The gradients of `attention` with respect to query, key and value; the weights are recomputed."""
    _check_attention(query, key, value, mask)
    return query, key, value


@attention_gradient.define
def _(
    g: Tensor, query: Tensor, key: Tensor, value: Tensor, *mask: Any, scale: float, causal: bool, fused: bool
) -> tuple[Any, Any, Any]:
    weights, seen = _attention_weights(query, key, mask, scale, causal)
    of_weights = ops.einsum("btnh,bsnh->bnts", g, value)
    total = ops.sum(ops.multiply(of_weights, weights), -1, keepdims=True)
    scores = ops.multiply(weights, ops.subtract(of_weights, total))
    scores = scores if seen is None else ops.where(seen, scores, 0.0)
    of_query = ops.multiply(ops.einsum("bnts,bsnh->btnh", scores, key), scale)
    of_key = ops.einsum("bnts,btnh->bsnh", scores, ops.multiply(query, scale))
    return of_query, of_key, ops.einsum("bnts,btnh->bsnh", weights, g)


def softmax(x: ArrayLike, axis: int | Sequence[int] = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`, or over several axes, shifted by the maximum

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis of the classes, or several axes.

    Returns:
        An array of the shape of `x`; its entries along `axis` sum to 1.

    Raises:
        ShapeError: `axis` is out of range, or has no entries.

    Example:
        >>> from lamella import ops
        >>> ops.softmax([[1.0, 1.0], [0.0, 1000.0]])
        array([[0.5, 0.5],
               [0. , 1. ]], dtype=float32)
    """
    return _along(softmax_, x, axis)


def log_softmax(x: ArrayLike, axis: int | Sequence[int] = -1) -> Tensor:
    """The logarithm of softmax along `axis`, or over several axes: x - log(sum(exp(x))).

    It stays finite where the softmax itself rounds to 0.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis of the classes, or several axes.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: `axis` is out of range, or has no entries.

    Example:
        >>> from lamella import ops
        >>> ops.log_softmax([1.0, 1.0, 1000.0])
        array([-999., -999.,    0.], dtype=float32)
    """
    return _along(log_softmax_, x, axis)


def _along(op: Any, x: ArrayLike, axis: int | Sequence[int]) -> Tensor:
    (x,) = floating(x)
    shape = spec_of(x).shape
    if not isinstance(axis, Sequence):
        return op.bind(x, axis=normalize_axis(axis, len(shape)))
    axes = [normalize_axis(a, len(shape)) for a in axis]
    order = [a for a in range(len(shape)) if a not in axes] + axes
    kept = tuple(shape[a] for a in order[: len(shape) - len(axes)])
    rows = reshape(transpose(x, order), (*kept, size_of(shape[a] for a in axes)))
    y = reshape(op.bind(rows, axis=len(kept)), tuple(shape[a] for a in order))
    return transpose(y, [order.index(a) for a in range(len(shape))])


filter_functions(__name__)

if not TYPE_CHECKING:
    __getattr__ = forwarding(__name__, ops)  # `ops.nn.relu` is `ops.relu`, as in Keras
