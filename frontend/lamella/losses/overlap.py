"""Losses of segmentation: how little two sets of pixels overlap. By default they look at the whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.ir import settings
from lamella.losses import check
from lamella.losses.base import MEAN, LossFunctionWrapper, operands

Axes = int | Sequence[int] | None


def dice(y_true: Any, y_pred: Any, axis: Axes = None) -> Any:
    """1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred) + 1e-7), the sums over `axis`

    Args:
        y_true: labels from 0 to 1, shaped like `y_pred`.
        y_pred: probabilities.
        axis: what is summed over; None is everything, the batch included, and gives one number. All axes but the first
            give one value a sample.

    References:
        F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net", 2016, https://arxiv.org/abs/1606.04797
    """
    y_true, y_pred = operands(y_true, y_pred)
    common = ops.sum(ops.multiply(y_true, y_pred), axis)
    total = ops.add(ops.sum(y_true, axis), ops.sum(y_pred, axis))
    return ops.subtract(1.0, ops.divide(ops.multiply(2.0, common), ops.add(total, settings.epsilon())))


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> Any:
    """1 - TP / (TP + alpha FP + beta FN + 1e-7): TP = sum(y p), FP = sum((1 - y) p), FN = sum(y (1 - p)) over `axis`

    This is the formula of the paper; Keras 3.15 exchanges `alpha` and `beta`.

    Args:
        y_true: labels y from 0 to 1, shaped like `y_pred`.
        y_pred: probabilities p.
        alpha: the weight of false positives.
        beta: the weight of false negatives.
        axis: what is summed over; None is everything, the batch included, and gives one number.

    References:
        S. S. M. Salehi, D. Erdogmus, A. Gholipour, "Tversky loss function for image segmentation", 2017,
        https://arxiv.org/abs/1706.05721
    """
    y_true, y_pred = operands(y_true, y_pred)
    common = ops.sum(ops.multiply(y_true, y_pred), axis)
    false_positives = ops.sum(ops.multiply(ops.subtract(1.0, y_true), y_pred), axis)
    false_negatives = ops.sum(ops.multiply(y_true, ops.subtract(1.0, y_pred)), axis)
    wrong = ops.add(ops.multiply(false_positives, alpha), ops.multiply(false_negatives, beta))
    total = ops.add(common, wrong)
    return ops.subtract(1.0, ops.divide(common, ops.add(total, settings.epsilon())))


def _axes(axis: Axes) -> Axes:
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


class Dice(LossFunctionWrapper):
    """1 - 2 sum(y p) / (sum(y) + sum(p)); see `losses.dice` for the arguments"""

    targets = staticmethod(check.same_shape)

    def __init__(self, reduction: str | None = MEAN, name: str = "dice", axis: Axes = None, dtype: Any = None) -> None:
        super().__init__(dice, reduction, name, dtype, axis=_axes(axis))


class Tversky(LossFunctionWrapper):
    """1 - TP / (TP + alpha FP + beta FN); see `losses.tversky` for the arguments"""

    targets = staticmethod(check.same_shape)

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "tversky",
        axis: Axes = None,
        dtype: Any = None,
    ) -> None:
        for label, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise ValueError(f"Tversky: {label} must not be negative, got {value!r}.")
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=_axes(axis))
