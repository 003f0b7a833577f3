"""Losses that weigh examples by how hard they are, or by how far their labels can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.ir import settings
from lamella.ir.spec import spec_of
from lamella.losses import check
from lamella.losses.base import MEAN, LossFunctionWrapper, operands
from lamella.losses.functions import class_numbers, smooth, smooth_binary
from lamella.ops.coerce import normalize_axis
from lamella.ops.networks import probabilities


def _focus(rest: Any, gamma: float) -> Any:
    """rest**gamma, where `rest` is what a prediction lacks to certainty; at least 1e-7, for its slope at 0 is infinite."""
    return ops.power(ops.maximum(rest, settings.epsilon()), float(gamma))


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """mean((1 - q)**gamma binary_crossentropy) over `axis`, where q = y p + (1 - y)(1 - p) is what the label's side gets

    Probabilities are clipped to [1e-7, 1 - 1e-7]. Logits stay in log space, where Keras clips them, too.

    Args:
        y_true: labels from 0 to 1.
        y_pred: probabilities, or logits.
        apply_class_balancing: weigh values by y alpha + (1 - y)(1 - alpha).
        alpha: the weight of class 1.
        gamma: how much easy examples lose; 0 is the plain crossentropy.
        from_logits: predictions are logits: p = sigmoid(y_pred).
        label_smoothing: s moves labels to y (1 - s) + s / 2.
        axis: the axis of the mean.

    References:
        T.-Y. Lin et al., "Focal Loss for Dense Object Detection", 2017, https://arxiv.org/abs/1708.02002
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
    """-sum(alpha (1 - p)**gamma y_true log(p)) over the classes along `axis`

    Args:
        y_true: one column a class, shaped like `y_pred`.
        y_pred: probabilities, divided by their sum and clipped to [1e-7, 1 - 1e-7], or logits, which stay in log space.
        alpha: a weight, or one for each class along `axis`.
        gamma: how much easy examples lose; 0 is the plain crossentropy.
        from_logits: predictions are logits: p = softmax(y_pred).
        label_smoothing: s moves labels to y (1 - s) + s / classes.
        axis: the axis of the classes.

    References:
        T.-Y. Lin et al., "Focal Loss for Dense Object Detection", 2017, https://arxiv.org/abs/1708.02002
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
    """(1 - p**q) / q, where p is the probability of the class that y_true numbers: crossentropy for q near 0, MAE for 1

    At p = 0 the gradient is 0 (it would be infinite).

    Args:
        y_true: class numbers, shaped like `y_pred` without the last axis, or with 1 there.
        y_pred: probabilities, one column a class.
        q: between 0 and 1; the nearer to 1, the less wrong labels count.

    References:
        Z. Zhang, M. R. Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
        2018, https://arxiv.org/abs/1805.07836
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
    """mean((1 - q)**gamma binary_crossentropy); see `losses.binary_focal_crossentropy` for the arguments"""

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
    """-sum(alpha (1 - p)**gamma y_true log(p)); see `losses.categorical_focal_crossentropy` for the arguments"""

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
    """(1 - p[y_true]**q) / q, class numbers; see `losses.categorical_generalized_cross_entropy` for the arguments"""

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
