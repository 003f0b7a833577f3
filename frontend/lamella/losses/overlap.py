"""Losses of segmentation: the overlap of two sets of pixels, by default over the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.ir import settings
from lamella.losses import check
from lamella.losses.base import MEAN, LossFunctionWrapper, operands

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Axes = int | Sequence[int] | None


def dice(y_true: ArrayLike, y_pred: ArrayLike, axis: Axes = None) -> Tensor:
    """Dice loss: 1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred) + 1e-7), with sums over `axis`.

    Args:
        y_true: labels from 0 to 1, `(batch, ...)`.
        y_pred: probabilities, of the same shape.
        axis: the axes of the sums; None is all axes, the batch included. All axes but the first give one value per
            sample.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net: fully convolutional neural networks for volumetric medical image
        segmentation", 3DV 2016, https://arxiv.org/abs/1606.04797.

    Example:
        >>> from lamella.losses import dice
        >>> dice([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 1.0, 0.0]], axis=1)
        array([0.5], dtype=float32)
    """
    y_true, y_pred = operands(y_true, y_pred)
    common = ops.sum(ops.multiply(y_true, y_pred), axis)
    total = ops.add(ops.sum(y_true, axis), ops.sum(y_pred, axis))
    return ops.subtract(1.0, ops.divide(ops.multiply(2.0, common), ops.add(total, settings.epsilon())))


def tversky(y_true: ArrayLike, y_pred: ArrayLike, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> Tensor:
    """Tversky loss: 1 - TP / (TP + alpha FP + beta FN + 1e-7).

    TP = sum(y p), FP = sum((1 - y) p) and FN = sum(y (1 - p)), with sums over `axis`. This is the formula of the paper;
    Keras 3.15 exchanges `alpha` and `beta`.

    Args:
        y_true: labels y from 0 to 1, `(batch, ...)`.
        y_pred: probabilities p, of the same shape.
        alpha: the weight of false positives.
        beta: the weight of false negatives.
        axis: the axes of the sums; None is all axes, the batch included. All axes but the first give one value per
            sample.

    Returns:
        The shape of `y_pred` without `axis`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the shapes differ, so that they would only meet by broadcasting.

    References:
        S. S. M. Salehi, D. Erdogmus, A. Gholipour, "Tversky loss function for image segmentation using 3D fully
        convolutional
        deep networks", 2017, https://arxiv.org/abs/1706.05721.

    Example:
        >>> from lamella.losses import tversky
        >>> tversky([[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]], alpha=1.0, beta=0.0, axis=1)
        array([0.5], dtype=float32)
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
    """Dice loss: 1 - 2 sum(y p) / (sum(y) + sum(p)), by default over the whole batch.

    Targets are labels y from 0 to 1, of the shape of the predictions.

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        axis: the axes of the sums; None is all axes, the batch included. All axes but the first give one value per
            sample.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    References:
        F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net: fully convolutional neural networks for volumetric medical image
        segmentation", 3DV 2016, https://arxiv.org/abs/1606.04797.

    Example:
        >>> from lamella.losses import Dice
        >>> float(Dice()([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 1.0, 0.0]]))
        0.5
    """

    targets = staticmethod(check.same_shape)

    def __init__(self, reduction: str | None = MEAN, name: str = "dice", axis: Axes = None, dtype: Any = None) -> None:
        super().__init__(dice, reduction, name, dtype, axis=_axes(axis))


class Tversky(LossFunctionWrapper):
    """Tversky loss: 1 - TP / (TP + alpha FP + beta FN), by default over the whole batch.

    TP, FP and FN are the sums of true positives, false positives and false negatives. Targets are labels from 0 to 1,
    of the shape of the predictions. With alpha = beta = 0.5 this is the Dice loss.

    Args:
        alpha: the weight of false positives; not negative.
        beta: the weight of false negatives; not negative.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        axis: the axes of the sums; None is all axes, the batch included. All axes but the first give one value per
            sample.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `alpha` or `beta` is negative, or `reduction` is unknown.

    References:
        S. S. M. Salehi, D. Erdogmus, A. Gholipour, "Tversky loss function for image segmentation using 3D fully
        convolutional
        deep networks", 2017, https://arxiv.org/abs/1706.05721.

    Example:
        >>> from lamella.losses import Tversky
        >>> float(Tversky(alpha=1.0, beta=0.0)([[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]))
        0.5
    """

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
