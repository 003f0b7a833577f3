"""Arithmetic, reductions, products, activations and crossentropies."""

from __future__ import annotations

import builtins
import string
from collections.abc import Sequence
from typing import Any

from lamella import ops, random
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape
from lamella.ops import abs as abs
from lamella.ops import cos as cos
from lamella.ops import equal as equal
from lamella.ops import exp as exp
from lamella.ops import greater as greater
from lamella.ops import greater_equal as greater_equal
from lamella.ops import less as less
from lamella.ops import less_equal as less_equal
from lamella.ops import log as log
from lamella.ops import maximum as maximum
from lamella.ops import minimum as minimum
from lamella.ops import not_equal as not_equal
from lamella.ops import sigmoid as sigmoid
from lamella.ops import sign as sign
from lamella.ops import sin as sin
from lamella.ops import softplus as softplus
from lamella.ops import square as square
from lamella.ops import tanh as tanh
from lamella.ops.activation import softsign as softsign
from lamella.ops.arithmetic import round as round
from lamella.ops.statistics import cumprod as _cumprod
from lamella.ops.statistics import cumsum as _cumsum
from lamella.tracebacks import filter_functions

Axes = int | Sequence[int] | None


def _numbers(x: Any) -> Any:
    """`x`, with booleans as numbers."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, settings.floatx()) if ops.dtype(x) == "bool" else x


def sqrt(x: Any) -> Any:
    """The square root; of negative numbers it is 0."""
    return ops.sqrt(ops.maximum(x, 0.0))


def pow(x: Any, a: Any) -> Any:
    """x ** a"""
    return ops.power(x, a)


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """min(max(x, min_value), max_value); None is no bound, and an upper bound below the lower one becomes that."""
    if isinstance(min_value, int | float) and isinstance(max_value, int | float):
        max_value = builtins.max(min_value, max_value)
    x = x if min_value is None else ops.maximum(x, min_value)
    return x if max_value is None else ops.minimum(x, max_value)


def stop_gradient(variables: Any) -> Any:
    """The same numbers, through which no gradient passes; of a list a list."""
    if isinstance(variables, list | tuple):
        return [ops.stop_gradient(v) for v in variables]
    return ops.stop_gradient(variables)


# ---- reductions ----


def all(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """Whether all entries along the axes are true, or not 0."""
    return ops.all(ops.cast(x, "bool"), axis, keepdims)


def any(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """Whether any entry along the axes is true, or not 0."""
    return ops.any(ops.cast(x, "bool"), axis, keepdims)


def argmax(x: Any, axis: int = -1) -> Any:
    """The place of the largest entry along an axis, int32; the first of equal ones."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """The place of the smallest entry along an axis, int32; the first of equal ones."""
    return ops.argmin(x, axis)


def sum(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The sum along the axes."""
    return ops.sum(x, axis, keepdims)


def prod(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The product along the axes."""
    return ops.prod(x, axis, keepdims)


def mean(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The mean along the axes; booleans count as 0 and 1."""
    return ops.mean(_numbers(x), axis, keepdims)


def max(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The largest entry along the axes."""
    return ops.max(x, axis, keepdims)


def min(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The smallest entry along the axes."""
    return ops.min(x, axis, keepdims)


def std(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The standard deviation along the axes; booleans count as 0 and 1."""
    return ops.std(_numbers(x), axis, keepdims)


def var(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The variance along the axes; booleans count as 0 and 1."""
    return ops.var(_numbers(x), axis, keepdims)


def logsumexp(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along the axes"""
    return ops.logsumexp(x, axis, keepdims)


def cumsum(x: Any, axis: int = 0) -> Any:
    """The sums of the first entries along an axis."""
    return _cumsum(x, axis)


def cumprod(x: Any, axis: int = 0) -> Any:
    """The products of the first entries along an axis."""
    return _cumprod(x, axis)


# ---- products ----


def dot(x: Any, y: Any) -> Any:
    """The product over the last axis of `x` and the last but one of `y`, as `np.dot`; the axes of `x` come first."""
    return ops.matmul(x, y) if ops.ndim(x) == ops.ndim(y) == 2 else ops.tensordot(x, y, ((-1,), (-2,)))


def batch_dot(x: Any, y: Any, axes: int | Sequence[int] | None = None) -> Any:
    """The product over an axis of each, row by row of the batch.

    >>> import numpy as np
    >>> batch_dot(np.ones((4, 3, 2)), np.ones((4, 2, 5))).shape, batch_dot(np.ones((4, 3)), np.ones((4, 3))).shape
    ((4, 3, 5), (4, 1))

    Args:
        x: `(batch, ...)`, of two dimensions or more.
        y: likewise.
        axes: the axis of `x` and that of `y`, or one for both; None: the last of `x`, and of `y` the last but one, or
            the last where it has two.

    Returns:
        The axes of `x`, and then those of `y` but for the batch, without the ones summed over; `(batch, 1)` of two
        matrices.

    Raises:
        ShapeError: an operand has fewer than two dimensions, the batches or the two axes differ, or an axis is that of the
            batch.
    """
    shapes = [ops.shape(x), ops.shape(y)]
    if builtins.min(map(len, shapes)) < 2:
        raise ShapeError(f"K.batch_dot: x and y must have at least 2 dimensions, got {', '.join(map(_shown, shapes))}.")
    if axes is None:
        axes = (len(shapes[0]) - 1, builtins.max(len(shapes[1]) - 2, 1))
    pair = [axes, axes] if isinstance(axes, int) else [*axes]
    if len(pair) != 2 or not builtins.all(isinstance(axis, int) for axis in pair):
        raise ArgumentError(f"K.batch_dot: axes must be an integer, two integers or None, got {axes!r}.")
    a, b = (axis % len(shape) for axis, shape in zip(pair, shapes, strict=True))
    if 0 in (a, b) or differ(shapes[0][0], shapes[1][0]) or differ(shapes[0][a], shapes[1][b]):
        raise ShapeError(
            f"K.batch_dot: shapes {' and '.join(map(_shown, shapes))} do not fit axes {a} and {b}: these must be of one size "
            "and not 0, the batches equal."
        )
    letters = iter(string.ascii_letters)
    left = [next(letters) for _ in shapes[0]]
    right = [next(letters) for _ in shapes[1]]
    right[0], right[b] = left[0], left[a]
    kept = [*left[:a], *left[a + 1 :], *right[1:b], *right[b + 1 :]]
    found = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)
    return ops.expand_dims(found, 1) if len(kept) == 1 else found


def _shown(shape: Sequence[Any]) -> str:
    return str(public_shape(shape))


# ---- activations and normalizations ----


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """x above `threshold`, at most `max_value`; below it alpha * (x - threshold)."""
    x = ops.convert_to_tensor(x)
    above = ops.relu(x) if threshold == 0 else ops.where(ops.greater(x, threshold), x, 0.0)
    above = above if max_value is None else ops.clip(above, 0.0, max_value)
    return above if alpha == 0 else ops.subtract(above, ops.multiply(alpha, ops.relu(ops.subtract(threshold, x))))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha * (exp(x) - 1)."""
    return ops.elu(x, alpha)


def hard_sigmoid(x: Any) -> Any:
    """0.2 x + 0.5 between 0 and 1: the function of Keras 2."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


def softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """exp(x) over its sum along the axes.

    Raises:
        ShapeError: `x` has one dimension.
    """
    if ops.ndim(x) <= 1:
        raise ShapeError(f"K.softmax: x must have at least 2 dimensions, got shape {_shown(ops.shape(x))}.")
    return ops.softmax(x, axis)


def l2_normalize(x: Any, axis: Axes = None) -> Any:
    """x / sqrt(max(sum(x ** 2), 1e-12)), the sum along the axes"""
    return ops.multiply(x, ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-12)))


def dropout(x: Any, level: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None) -> Any:
    """`x` with a fraction `level` of the entries set to 0, and the others divided by 1 - level."""
    return random.dropout(x, level, noise_shape, seed)


def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, vectors along an axis of `x`; `beta` or `gamma` may be None."""
    ndim = ops.ndim(x)

    def along(vector: Any) -> Any:
        size = [1] * ndim
        size[axis] = -1
        return ops.reshape(vector, size) if ops.ndim(vector) == 1 else vector

    scale = ops.rsqrt(ops.add(along(var), epsilon))
    scale = scale if gamma is None else ops.multiply(scale, along(gamma))
    y = ops.multiply(ops.subtract(x, along(mean)), scale)
    return y if beta is None else ops.add(y, along(beta))


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """Whether each target is among the k classes of the largest predictions: `(batch, classes)`, `(batch,)` to `(batch,)`."""
    return ops.in_top_k(targets, predictions, k)


# ---- choice ----


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """`then_expression` where the condition holds, else `else_expression`.

    Args:
        condition: a scalar, which chooses between the two; or an array of no more dimensions than they have, which chooses
            entry by entry, its shape that of their leading axes.
        then_expression: an array, or a function without arguments that returns one.
        else_expression: likewise.

    Raises:
        ShapeError: the condition has more dimensions than what it chooses from.
    """
    condition = ops.cast(condition, "bool")
    either = (then_expression, else_expression)
    if ops.ndim(condition) == 0:
        yes, no = (x if callable(x) else (lambda x=x: ops.convert_to_tensor(x)) for x in either)
        return ops.cond(condition, yes, no)
    yes, no = (x() if callable(x) else x for x in either)
    more = ops.ndim(yes) - ops.ndim(condition)
    if more < 0:
        raise ShapeError(
            f"K.switch: condition must have at most as many dimensions as what it chooses, got {ops.ndim(condition)} and "
            f"{ops.ndim(yes)}."
        )
    return ops.where(ops.reshape(condition, (*ops.shape(condition), *[1] * more)), yes, no)


# ---- crossentropies ----


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-target log(p) - (1 - target) log(1 - p) entry by entry; p is output, clipped, or sigmoid(output)."""
    if from_logits:
        return ops.binary_crossentropy(target, output, from_logits=True)
    tiny = settings.epsilon()
    p = ops.clip(output, tiny, 1.0 - tiny)
    yes = ops.multiply(target, ops.log(ops.add(p, tiny)))
    no = ops.multiply(ops.subtract(1.0, target), ops.log(ops.add(ops.subtract(1.0, p), tiny)))
    return ops.negative(ops.add(yes, no))


def binary_focal_crossentropy(
    target: Any,
    output: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
) -> Any:
    """(1 - p_t) ** gamma times `binary_crossentropy`, p_t the probability of the truth; if balanced, alpha weights ones."""
    p, opposite = ops.sigmoid(output) if from_logits else output, ops.subtract(1.0, target)
    true = ops.add(ops.multiply(target, p), ops.multiply(opposite, ops.subtract(1.0, p)))
    loss = ops.multiply(
        ops.power(ops.subtract(1.0, true), gamma), binary_crossentropy(target, output, from_logits=from_logits)
    )
    if not apply_class_balancing:
        return loss
    return ops.multiply(ops.add(ops.multiply(target, alpha), ops.multiply(opposite, 1.0 - alpha)), loss)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target log(p)) over the classes along an axis; p is output over its sum, clipped, or softmax(output)."""
    return ops.categorical_crossentropy(target, output, from_logits, axis)


def categorical_focal_crossentropy(
    target: Any, output: Any, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, axis: int = -1
) -> Any:
    """-sum(alpha (1 - p) ** gamma target log(p)) over the classes along an axis; p as in `categorical_crossentropy`."""
    p = ops.softmax(output, axis) if from_logits else output
    p = ops.clip(ops.divide(p, ops.sum(p, axis, keepdims=True)), settings.epsilon(), 1.0 - settings.epsilon())
    weight = ops.multiply(alpha, ops.power(ops.subtract(1.0, p), gamma))
    return ops.negative(ops.sum(ops.multiply(weight, ops.multiply(target, ops.log(p))), axis))


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1, ignore_class: int | None = None
) -> Any:
    """-log(p[target]) of class numbers, over the classes along an axis.

    Args:
        target: class numbers, of the shape of `output` without `axis`, or with a size of 1 there.
        output: probabilities, which are clipped, or logits. Probabilities need not sum to 1: they are normalized.
        from_logits: whether they are logits.
        axis: the axis of the classes.
        ignore_class: a class number whose entries give 0.
    """
    ndim = ops.ndim(output)
    if axis % ndim != ndim - 1:
        output = ops.moveaxis(output, axis, -1)
    target = ops.cast(target, "int32")
    if ops.ndim(target) == ndim:
        target = ops.squeeze(target, axis if ops.shape(target)[axis] == 1 else -1)
    if not from_logits:
        output = ops.log(ops.clip(output, settings.epsilon(), 1.0 - settings.epsilon()))
    loss = ops.sparse_categorical_crossentropy(target, output, from_logits=True)
    return loss if ignore_class is None else ops.where(ops.equal(target, ignore_class), 0.0, loss)


filter_functions(__name__)
