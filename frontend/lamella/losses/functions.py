"""The values of losses: functions `(y_true, y_pred) -> values`, one value a sample, the last axis gone.

Operands are computed in the prediction's float dtype, but at least float32. Where one of them has a trailing dimension
of 1 more than the other, it is squeezed or expanded as in Keras. The crossentropies themselves are ops, shared with layers.
"""

from __future__ import annotations

import math
from typing import Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.dim import public_shape, shapes_differ
from lamella.ir.spec import is_float, spec_of
from lamella.losses.base import operands
from lamella.ops.coerce import normalize_axis


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred)**2) over the last axis"""
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.square(ops.subtract(y_true, y_pred)), -1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|) over the last axis; where they tie the derivative by y_pred is -1, as in Keras on JAX"""
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.abs(ops.subtract(y_true, y_pred)), -1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis"""
    y_true, y_pred = operands(y_true, y_pred)
    scale = ops.maximum(ops.abs(y_true), settings.epsilon())
    return ops.multiply(100.0, ops.mean(ops.abs(ops.divide(ops.subtract(y_true, y_pred), scale)), -1))


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(1 + y_true) - log(1 + y_pred))**2) over the last axis, both at least 1e-7"""
    y_true, y_pred = operands(y_true, y_pred)
    first = ops.log(ops.add(ops.maximum(y_pred, settings.epsilon()), 1.0))
    second = ops.log(ops.add(ops.maximum(y_true, settings.epsilon()), 1.0))
    return ops.mean(ops.square(ops.subtract(first, second)), -1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean(e**2 / 2 where |e| <= delta, else delta |e| - delta**2 / 2) over the last axis, e = y_pred - y_true"""
    y_true, y_pred = operands(y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    size = ops.abs(error)
    near = ops.multiply(0.5, ops.square(error))
    far = ops.subtract(ops.multiply(delta, size), 0.5 * delta * delta)
    return ops.mean(ops.where(ops.less_equal(size, delta), near, far), -1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(e))) over the last axis, e = y_pred - y_true, as e + softplus(-2 e) - log(2), which never overflows"""
    y_true, y_pred = operands(y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    return ops.mean(ops.subtract(ops.add(error, ops.softplus(ops.multiply(-2.0, error))), math.log(2.0)), -1)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum(y_true log(y_true / y_pred)) over the last axis, both clipped to [1e-7, 1]"""
    y_true, y_pred = operands(y_true, y_pred)
    y_true = ops.clip(y_true, settings.epsilon(), 1.0)
    y_pred = ops.clip(y_pred, settings.epsilon(), 1.0)
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), -1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(y_pred - y_true log(y_pred + 1e-7)) over the last axis"""
    y_true, y_pred = operands(y_true, y_pred)
    logarithm = ops.log(ops.add(y_pred, settings.epsilon()))
    return ops.mean(ops.subtract(y_pred, ops.multiply(y_true, logarithm)), -1)


def _signed(y_true: Any) -> Any:
    """Labels -1 and 1: where every label of the batch is 0 or 1 they become 2 y - 1, as in Keras."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.where(binary, ops.subtract(ops.multiply(2.0, y_true), 1.0), y_true)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true y_pred, 0)) over the last axis, for labels -1 and 1 (or 0 and 1)"""
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.maximum(ops.subtract(1.0, ops.multiply(_signed(y_true), y_pred)), 0.0), -1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true y_pred, 0)**2) over the last axis, for labels -1 and 1 (or 0 and 1)"""
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(ops.subtract(1.0, ops.multiply(_signed(y_true), y_pred)), 0.0)), -1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(1 - sum(y_true y_pred) + max((1 - y_true) y_pred), 0) over the last axis"""
    y_true, y_pred = operands(y_true, y_pred)
    right = ops.sum(ops.multiply(y_true, y_pred), -1)
    wrong = ops.max(ops.multiply(ops.subtract(1.0, y_true), y_pred), -1)
    return ops.maximum(ops.add(ops.subtract(wrong, right), 1.0), 0.0)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-cos(y_true, y_pred) along `axis`: -1 for one direction, 1 for opposite ones; 0 where one is the zero vector.

    The gradient at the zero vector is 0 (Keras gives NaN).
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.negative(ops.sum(ops.multiply(_unit(y_true, axis), _unit(y_pred, axis)), axis))


def _unit(x: Any, axis: int) -> Any:
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    empty = ops.equal(squares, 0.0)
    return ops.where(empty, 0.0, ops.multiply(x, ops.rsqrt(ops.where(empty, 1.0, squares))))


def smooth_binary(y_true: Any, label_smoothing: float) -> Any:
    """Binary labels y moved to y (1 - s) + s / 2"""
    if not label_smoothing:
        return y_true
    return ops.add(ops.multiply(y_true, 1.0 - label_smoothing), 0.5 * label_smoothing)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """mean(-y log(p) - (1 - y) log(1 - p)) over `axis`

    Probabilities are clipped to [1e-7, 1 - 1e-7]; where one is clipped its gradient is 0. Logits stay in log space.

    Args:
        y_true: labels from 0 to 1.
        y_pred: probabilities, or logits.
        from_logits: predictions are logits: p = sigmoid(y_pred).
        label_smoothing: s moves labels to y (1 - s) + s / 2.
        axis: the axis of the mean.
    """
    y_true, y_pred = operands(y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis)


def smooth(y_true: Any, label_smoothing: float, axis: int = -1) -> Any:
    """One-hot labels y moved to y (1 - s) + s / classes, the classes along `axis`."""
    if not label_smoothing:
        return y_true
    return ops.add(ops.multiply(y_true, 1.0 - label_smoothing), label_smoothing / y_true.shape[axis])


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """-sum(y_true log(p)) over the classes along `axis`

    Args:
        y_true: one column a class, shaped like `y_pred`.
        y_pred: probabilities, divided by their sum, or logits.
        from_logits: predictions are logits: p = softmax(y_pred), computed in log space.
        label_smoothing: s moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.
    """
    y_true, y_pred = operands(y_true, y_pred, squeeze=False)
    return ops.categorical_crossentropy(smooth(y_true, label_smoothing, axis), y_pred, from_logits, axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """-log(p[y_true]) over the classes along `axis`

    Args:
        y_true: class numbers, shaped like `y_pred` without the class axis, or with 1 there. A number outside 0 ...
            classes - 1 gives 0, as in Keras on JAX; `Loss.check` refuses such labels before training.
        y_pred: probabilities, divided by their sum, or logits.
        from_logits: predictions are logits: p = softmax(y_pred), computed in log space.
        ignore_class: a label whose values are 0; the loss class leaves them out of the mean, too.
        axis: the axis of the classes.
    """
    _, y_pred = operands(0.0, y_pred, squeeze=False)
    y_true, ignored = class_numbers(y_true, y_pred, ignore_class, axis)
    if ignored is not None:
        # scores of ignored rows may hold anything; zeros keep NaN out of their gradient
        y_true = ops.where(ignored, 0, y_true)
        y_pred = ops.where(ops.expand_dims(ignored, axis), 0.0 if from_logits else 1.0, y_pred)
    values = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    return values if ignored is None else ops.where(ignored, 0.0, values)


def class_numbers(y_true: Any, y_pred: Any, ignore_class: int | None, axis: int = -1) -> tuple[Any, Any]:
    """Class numbers as int32 without a class axis of 1, and where they are `ignore_class` (None without one).

    Raises:
        ShapeError: they are not shaped as the predictions without the class axis.
    """
    y_true = ops.convert_to_tensor(y_true)
    given = public_shape(y_true.shape)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    along = normalize_axis(axis, len(y_pred.shape))
    expected = tuple(d for i, d in enumerate(y_pred.shape) if i != along)
    if shapes_differ(y_true.shape, expected):
        shapes = [public_shape(shape) for shape in (y_pred.shape, expected)]
        raise ShapeError(f"class numbers y_true have shape {given} and y_pred {shapes[0]}: expected {shapes[1]}.")
    if is_float(spec_of(y_true).dtype) or spec_of(y_true).dtype != "int32":
        y_true = ops.cast(y_true, "int32")
    return y_true, None if ignore_class is None else ops.equal(y_true, ignore_class)
