"""Loss functions `(y_true, y_pred) -> values`, with one value per sample: the last axis is reduced.

Values are computed in the float dtype of the predictions, but at least in float32. Where one operand has one more
dimension of size 1 at its end, it is squeezed or expanded as in Keras. The crossentropies themselves are ops, shared
with layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import settings
from lamella.ir.dim import public_shape, shapes_differ
from lamella.ir.spec import is_float, spec_of
from lamella.losses.base import operands
from lamella.ops.coerce import normalize_axis

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Mean squared error: mean((y_true - y_pred)**2) over the last axis.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import mean_squared_error
        >>> mean_squared_error([[1.0, 2.0]], [[1.5, 1.0]])
        array([0.625], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.square(ops.subtract(y_true, y_pred)), -1)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Mean absolute error: mean(|y_true - y_pred|) over the last axis.

    Where the two are equal the derivative by `y_pred` is -1, as in Keras on JAX.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import mean_absolute_error
        >>> mean_absolute_error([[1.0, 2.0]], [[1.5, 1.0]])
        array([0.75], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.abs(ops.subtract(y_true, y_pred)), -1)


def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Mean absolute percentage error: 100 mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import mean_absolute_percentage_error
        >>> mean_absolute_percentage_error([[1.0, 2.0]], [[1.5, 1.0]])
        array([50.], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    scale = ops.maximum(ops.abs(y_true), settings.epsilon())
    return ops.multiply(100.0, ops.mean(ops.abs(ops.divide(ops.subtract(y_true, y_pred), scale)), -1))


def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Mean squared logarithmic error: mean((log(1 + y_true) - log(1 + y_pred))**2) over the last axis.

    Both operands are first raised to at least 1e-7.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import mean_squared_logarithmic_error
        >>> mean_squared_logarithmic_error([[1.0, 2.0]], [[1.5, 1.0]]).round(4)
        array([0.1071], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    first = ops.log(ops.add(ops.maximum(y_pred, settings.epsilon()), 1.0))
    second = ops.log(ops.add(ops.maximum(y_true, settings.epsilon()), 1.0))
    return ops.mean(ops.square(ops.subtract(first, second)), -1)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Tensor:
    """Huber loss: squared for small errors, linear for large ones, as a mean over the last axis.

    With e = y_pred - y_true: e**2 / 2 where |e| <= delta, else delta |e| - delta**2 / 2.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.
        delta: the error at which the loss becomes linear; positive.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964,
        https://doi.org/10.1214/aoms/1177703732.

    Example:
        >>> from lamella.losses import huber
        >>> huber([[0.0], [0.0]], [[0.5], [10.0]])
        array([0.125, 9.5  ], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    size = ops.abs(error)
    near = ops.multiply(0.5, ops.square(error))
    far = ops.subtract(ops.multiply(delta, size), 0.5 * delta * delta)
    return ops.mean(ops.where(ops.less_equal(size, delta), near, far), -1)


def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Logarithm of the hyperbolic cosine of the error: mean(log(cosh(y_pred - y_true))) over the last axis.

    Approximately e**2 / 2 for small and |e| - log(2) for large errors e. It is computed as e + softplus(-2 e) - log(2),
    which does not overflow.

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import log_cosh
        >>> log_cosh([[0.0], [0.0]], [[0.1], [2.0]]).round(3)
        array([0.005, 1.325], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    return ops.mean(ops.subtract(ops.add(error, ops.softplus(ops.multiply(-2.0, error))), math.log(2.0)), -1)


def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Kullback-Leibler divergence: sum(y_true log(y_true / y_pred)) over the last axis.

    Both operands are clipped to [1e-7, 1].

    Args:
        y_true: probabilities, `(batch, ..., classes)`.
        y_pred: predicted probabilities, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        S. Kullback, R. A. Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22, 1951,
        https://doi.org/10.1214/aoms/1177729694.

    Example:
        >>> from lamella.losses import kl_divergence
        >>> kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).round(4)
        array([0.1438], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    y_true = ops.clip(y_true, settings.epsilon(), 1.0)
    y_pred = ops.clip(y_pred, settings.epsilon(), 1.0)
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), -1)


def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Negative log likelihood of a Poisson distribution, up to a constant: mean(y_pred - y_true log(y_pred + 1e-7)).

    The mean is over the last axis.

    Args:
        y_true: counts, `(batch, ..., outputs)`.
        y_pred: predicted rates, positive, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import poisson
        >>> poisson([[1.0, 2.0]], [[1.5, 1.0]]).round(4)
        array([1.0473], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    logarithm = ops.log(ops.add(y_pred, settings.epsilon()))
    return ops.mean(ops.subtract(y_pred, ops.multiply(y_true, logarithm)), -1)


def _signed(y_true: ArrayLike) -> Tensor:
    """Labels -1 and 1; if every label of the batch is 0 or 1, they are mapped to 2 y - 1, as in Keras."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.where(binary, ops.subtract(ops.multiply(2.0, y_true), 1.0), y_true)


def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Hinge loss: mean(max(1 - y_true y_pred, 0)) over the last axis.

    Args:
        y_true: labels -1 and 1 (or 0 and 1), `(batch, ..., outputs)`.
        y_pred: scores, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import hinge
        >>> hinge([[-1.0, 1.0]], [[0.5, 0.75]])
        array([0.875], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.maximum(ops.subtract(1.0, ops.multiply(_signed(y_true), y_pred)), 0.0), -1)


def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Squared hinge loss: mean(max(1 - y_true y_pred, 0)**2) over the last axis.

    Args:
        y_true: labels -1 and 1 (or 0 and 1), `(batch, ..., outputs)`.
        y_pred: scores, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import squared_hinge
        >>> squared_hinge([[-1.0, 1.0]], [[0.5, 0.75]])
        array([1.15625], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(ops.subtract(1.0, ops.multiply(_signed(y_true), y_pred)), 0.0)), -1)


def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Multiclass hinge loss: max(1 - sum(y_true y_pred) + max((1 - y_true) y_pred), 0) over the last axis.

    Args:
        y_true: one-hot labels, `(batch, ..., classes)`.
        y_pred: scores, of the same shape.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import categorical_hinge
        >>> categorical_hinge([[0.0, 1.0], [0.0, 1.0]], [[0.5, 0.25], [0.0, 2.0]])
        array([1.25, 0.  ], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    right = ops.sum(ops.multiply(y_true, y_pred), -1)
    wrong = ops.max(ops.multiply(ops.subtract(1.0, y_true), y_pred), -1)
    return ops.maximum(ops.add(ops.subtract(wrong, right), 1.0), 0.0)


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Negative cosine similarity along `axis`: -1 for equal directions, 1 for opposite ones.

    The value and the gradient are 0 where one operand is the zero vector (the gradient of Keras is NaN there).

    Args:
        y_true: the targets, `(batch, ..., outputs)`.
        y_pred: the predictions, of the same shape.
        axis: the axis of the vectors.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import cosine_similarity
        >>> cosine_similarity([[0.0, 1.0], [0.0, 1.0]], [[0.0, 5.0], [0.0, -3.0]])
        array([-1.,  1.], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.negative(ops.sum(ops.multiply(_unit(y_true, axis), _unit(y_pred, axis)), axis))


def _unit(x: ArrayLike, axis: int) -> Tensor:
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    empty = ops.equal(squares, 0.0)
    return ops.where(empty, 0.0, ops.multiply(x, ops.rsqrt(ops.where(empty, 1.0, squares))))


def smooth_binary(y_true: ArrayLike, label_smoothing: float) -> Any:
    """Binary labels y moved towards 1/2: y (1 - s) + s / 2."""
    if not label_smoothing:
        return y_true
    return ops.add(ops.multiply(y_true, 1.0 - label_smoothing), 0.5 * label_smoothing)


def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Binary crossentropy: mean(-y log(p) - (1 - y) log(1 - p)) over `axis`.

    Probabilities are clipped to [1e-7, 1 - 1e-7]; the gradient of a clipped probability is 0. Logits stay in log space.

    Args:
        y_true: labels y from 0 to 1, `(batch, ..., outputs)`.
        y_pred: probabilities p, or logits, of the same shape.
        from_logits: whether predictions are logits: p = sigmoid(y_pred).
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / 2.
        axis: the axis of the mean.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import binary_crossentropy
        >>> binary_crossentropy([[1.0], [1.0]], [[0.5], [0.9]]).round(4)
        array([0.6931, 0.1054], dtype=float32)
        >>> binary_crossentropy([[1.0]], [[0.0]], from_logits=True).round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis)


def smooth(y_true: Any, label_smoothing: float, axis: int = -1) -> Any:
    """One-hot labels y moved towards the uniform distribution: y (1 - s) + s / classes, with classes along `axis`."""
    if not label_smoothing:
        return y_true
    return ops.add(ops.multiply(y_true, 1.0 - label_smoothing), label_smoothing / y_true.shape[axis])


def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Categorical crossentropy of one-hot labels: -sum(y_true log(p)) over the classes along `axis`.

    Args:
        y_true: one column per class, `(batch, ..., classes)`.
        y_pred: probabilities, which are divided by their sum, or logits; of the same shape.
        from_logits: whether predictions are logits: p = softmax(y_pred), computed in log space.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    Example:
        >>> from lamella.losses import categorical_crossentropy
        >>> categorical_crossentropy([[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]]).round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred, squeeze=False)
    return ops.categorical_crossentropy(smooth(y_true, label_smoothing, axis), y_pred, from_logits, axis)


def sparse_categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """Categorical crossentropy of class numbers: -log(p[y_true]) over the classes along `axis`.

    Args:
        y_true: class numbers, integers of the shape of `y_pred` without `axis`, or with size 1 there. A number outside
            0 ... classes - 1 gives 0, as in Keras on JAX; `Loss.check` raises for such labels before training.
        y_pred: probabilities, which are divided by their sum, or logits; `(batch, ..., classes)`.
        from_logits: whether predictions are logits: p = softmax(y_pred), computed in log space.
        ignore_class: a label whose values are 0; the loss class also leaves them out of the mean.
        axis: the axis of the classes.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the class numbers do not have the shape of the predictions without `axis`.

    Example:
        >>> from lamella.losses import sparse_categorical_crossentropy
        >>> sparse_categorical_crossentropy([1, -1], [[0.25, 0.5, 0.25]] * 2, ignore_class=-1).round(4)
        array([0.6931, 0.    ], dtype=float32)
    """
    _, y_pred = operands(0.0, y_pred, squeeze=False)
    y_true, ignored = class_numbers(y_true, y_pred, ignore_class, axis)
    if ignored is not None:
        # scores of ignored rows may be anything; constants keep NaN out of their gradient

        y_true = ops.where(ignored, 0, y_true)
        y_pred = ops.where(ops.expand_dims(ignored, axis), 0.0 if from_logits else 1.0, y_pred)
    values = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    return values if ignored is None else ops.where(ignored, 0.0, values)


def class_numbers(y_true: Any, y_pred: Any, ignore_class: int | None, axis: int = -1) -> tuple[Any, Any]:
    """Class numbers as int32 without a class axis of 1, and a mask of those equal to `ignore_class` (None without one).

    Raises:
        ShapeError: they do not have the shape of the predictions without the class axis.
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
