"""Losses that weight examples by their difficulty, or by the reliability of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.ir import settings
from lamella.ir.spec import spec_of
from lamella.losses import check
from lamella.losses.base import MEAN, LossFunctionWrapper, operands
from lamella.losses.functions import class_numbers, smooth, smooth_binary
from lamella.ops.coerce import normalize_axis
from lamella.ops.networks import probabilities

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _focus(rest: Tensor, gamma: float) -> Tensor:
    """rest**gamma for rest = 1 - probability, at least 1e-7: for gamma below 1 the derivative at 0 is infinite."""
    return ops.power(ops.maximum(rest, settings.epsilon()), float(gamma))


def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary focal crossentropy, with less weight for easy examples: mean((1 - q)**gamma crossentropy) over `axis`.

    q = y p + (1 - y) (1 - p) is the probability of the label. Probabilities are clipped to [1e-7, 1 - 1e-7]. Logits
    stay in log space (Keras clips their probabilities, too).

    Args:
        y_true: labels y from 0 to 1, `(batch, ..., outputs)`.
        y_pred: probabilities p, or logits, of the same shape.
        apply_class_balancing: whether to weight values by y alpha + (1 - y) (1 - alpha).
        alpha: the weight of class 1.
        gamma: how much less easy examples count; 0 is the plain crossentropy.
        from_logits: whether predictions are logits: p = sigmoid(y_pred).
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / 2.
        axis: the axis of the mean.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, https://arxiv.org/abs/1708.02002.

    Example:
        >>> from lamella.losses import binary_focal_crossentropy
        >>> binary_focal_crossentropy([[1.0], [1.0]], [[0.5], [0.9]]).round(4)
        array([0.1733, 0.0011], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    opposite = ops.subtract(1.0, y_true)
    if from_logits:
        p, q = ops.sigmoid(y_pred), ops.sigmoid(ops.negative(y_pred))
        yes, no = ops.softplus(ops.negative(y_pred)), ops.softplus(y_pred)
    else:
        p = ops.clip(y_pred, settings.epsilon(), 1.0 - settings.epsilon())
        q = ops.subtract(1.0, p)
        yes, no = ops.negative(ops.log(p)), ops.negative(ops.log(q))
    values = ops.add(ops.multiply(y_true, yes), ops.multiply(opposite, no))
    values = ops.multiply(values, _focus(ops.add(ops.multiply(y_true, q), ops.multiply(opposite, p)), gamma))
    if apply_class_balancing:
        weight = ops.add(ops.multiply(y_true, alpha), ops.multiply(opposite, 1.0 - alpha))
        values = ops.multiply(values, weight)
    return ops.mean(values, axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Focal crossentropy of one-hot labels: -sum(alpha (1 - p)**gamma y_true log(p)) over the classes along `axis`.

    Args:
        y_true: one column per class, `(batch, ..., classes)`.
        y_pred: probabilities, which are divided by their sum and clipped to [1e-7, 1 - 1e-7], or logits, which stay in
            log space; of the same shape.
        alpha: a weight, or one per class along `axis`.
        gamma: how much less easy examples count; 0 is the plain crossentropy.
        from_logits: whether predictions are logits: p = softmax(y_pred).
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, https://arxiv.org/abs/1708.02002.

    Example:
        >>> from lamella.losses import categorical_focal_crossentropy
        >>> categorical_focal_crossentropy([[0.0, 1.0], [0.0, 1.0]], [[0.5, 0.5], [0.1, 0.9]], alpha=1.0).round(4)
        array([0.1733, 0.0011], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred, squeeze=False)
    y_true = smooth(y_true, label_smoothing, axis)
    if from_logits:
        logarithm = ops.log_softmax(y_pred, axis)
        rest = ops.negative(ops.expm1(logarithm))
    else:
        p = probabilities(y_pred, axis)
        logarithm, rest = ops.log(p), ops.subtract(1.0, p)
    if not isinstance(alpha, int | float):
        along = normalize_axis(axis, len(y_pred.shape))
        alpha = ops.cast(
            ops.reshape(ops.convert_to_tensor(alpha), (-1, *[1] * (len(y_pred.shape) - 1 - along))),
            spec_of(y_pred).dtype,
        )
    values = ops.multiply(ops.multiply(alpha, _focus(rest, gamma)), ops.multiply(y_true, logarithm))
    return ops.negative(ops.sum(values, axis))


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> Any:
    """Generalized crossentropy of class numbers, robust to wrong labels: (1 - p**q) / q, where p = y_pred[y_true].

    It approaches the crossentropy for q near 0, and the mean absolute error for q near 1. The gradient at p = 0, where
    it would be infinite, is 0.

    Args:
        y_true: class numbers, integers `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: probabilities, `(batch, ..., classes)`.
        q: between 0 and 1; the nearer to 1, the less wrong labels count.

    Returns:
        `(batch, ...)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the class numbers do not have the shape of the predictions without the last axis.

    References:
        Z. Zhang, M. R. Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
        NeurIPS 2018, https://arxiv.org/abs/1805.07836.

    Example:
        >>> from lamella.losses import categorical_generalized_cross_entropy
        >>> categorical_generalized_cross_entropy([1, 1], [[0.75, 0.25], [0.0, 1.0]])
        array([1., 0.], dtype=float32)
    """
    _, y_pred = operands(0.0, y_pred, squeeze=False)
    labels, _ = class_numbers(y_true, y_pred, None)
    hit = ops.one_hot(labels, y_pred.shape[-1], dtype="bool")
    p = ops.sum(ops.where(hit, y_pred, 0.0), -1)
    some = ops.greater(p, 0.0)
    powered = ops.where(some, ops.power(ops.where(some, p, 1.0), float(q)), 0.0)
    return ops.divide(ops.subtract(1.0, powered), float(q))


def _gamma(gamma: float) -> None:
    if not gamma >= 0:
        raise ValueError(f"gamma must not be negative, got {gamma!r}.")


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary focal crossentropy: mean((1 - q)**gamma crossentropy), which gives less weight to easy examples.

    q = y p + (1 - y) (1 - p) is the probability of the label. Targets are labels y from 0 to 1, of the shape of the
    predictions.

    Args:
        apply_class_balancing: whether to weight values by y alpha + (1 - y) (1 - alpha).
        alpha: the weight of class 1, from 0 to 1.
        gamma: how much less easy examples count; 0 is the plain crossentropy.
        from_logits: whether predictions are logits, p = sigmoid(y_pred), instead of probabilities.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / 2.
        axis: the axis of the mean.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `alpha`, `gamma` or `label_smoothing` is out of range, or `reduction` is unknown.

    References:
        T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, https://arxiv.org/abs/1708.02002.

    Example:
        >>> from lamella.losses import BinaryFocalCrossentropy
        >>> BinaryFocalCrossentropy(reduction="none")([[1.0], [1.0]], [[0.5], [0.9]]).round(4)
        array([0.1733, 0.0011], dtype=float32)
    """

    targets = staticmethod(check.binary)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        check.fraction("alpha", alpha)
        check.fraction("label_smoothing", label_smoothing)
        _gamma(gamma)
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Focal crossentropy of one-hot labels: -sum(alpha (1 - p)**gamma y_true log(p)).

    Targets and predictions have one column per class, `(batch, ..., classes)`.

    Args:
        alpha: a weight, or one per class along `axis`.
        gamma: how much less easy examples count; 0 is the plain crossentropy.
        from_logits: whether predictions are logits, p = softmax(y_pred), instead of probabilities.
        label_smoothing: s from 0 to 1 moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `gamma` or `label_smoothing` is out of range, or `reduction` is unknown.

    References:
        T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, https://arxiv.org/abs/1708.02002.

    Example:
        >>> from lamella.losses import CategoricalFocalCrossentropy
        >>> loss = CategoricalFocalCrossentropy(alpha=[0.5, 1.0], reduction="none")
        >>> loss([[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]).round(4)
        array([0.0866, 0.1733], dtype=float32)
    """

    targets = staticmethod(check.categorical)

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        check.fraction("label_smoothing", label_smoothing)
        _gamma(gamma)
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """Generalized crossentropy of class numbers, robust to wrong labels: (1 - p**q) / q, where p = y_pred[y_true].

    Targets are integers `(batch, ...)` or `(batch, ..., 1)`, predictions probabilities `(batch, ..., classes)`.

    Args:
        q: between 0 and 1; the nearer to 1, the less wrong labels count.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `q` is out of range, or `reduction` is unknown.

    References:
        Z. Zhang, M. R. Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
        NeurIPS 2018, https://arxiv.org/abs/1805.07836.

    Example:
        >>> from lamella.losses import CategoricalGeneralizedCrossEntropy
        >>> CategoricalGeneralizedCrossEntropy(reduction="none")([1, 1], [[0.75, 0.25], [0.0, 1.0]])
        array([1., 0.], dtype=float32)
    """

    targets = staticmethod(check.sparse)
    integer_targets = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"q must be between 0 and 1, got {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
