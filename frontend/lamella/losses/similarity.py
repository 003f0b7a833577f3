"""Circle loss: embeddings near those of the same class and far from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import differ
from lamella.ir.spec import spec_of
from lamella.losses.base import MEAN, LossFunctionWrapper, operands
from lamella.losses.check import Targets, shown

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Any:
    """Circle loss of embeddings, one value per row.

    softplus(log(sum(exp(gamma a (d - m)))) + log(sum(exp(gamma b (1 - m - d))))), where d is the cosine distance max(1
    - <x, x'>, 0) of two rows and m the margin. The first sum is over rows of the same class, with a = m + d; the second
    over rows of other classes, with b = max(1 + m - d, 0). A row without another of its class, or without one of
    another class, has the value 0 and the gradient 0.

    Args:
        y_true: class numbers, `(batch,)` or `(batch, 1)`.
        y_pred: embeddings of length 1, `(batch, features)`.
        ref_labels: the class numbers of `ref_embeddings`; None is `y_true`.
        ref_embeddings: the embeddings to compare with, `(others, features)`; None is `y_pred`.
        remove_diagonal: whether to leave out the pairs of rows with the same index.
        gamma: the scale.
        margin: the margin m between the distances within and between classes.

    Returns:
        `(batch,)`, in the float dtype of `y_pred`, but at least float32.

    Raises:
        ShapeError: the numbers of labels and embeddings differ.

    References:
        Y. Sun et al., "Circle loss: a unified perspective of pair similarity optimization", CVPR 2020,
        https://arxiv.org/abs/2002.10857.

    Example:
        >>> from lamella.losses import circle
        >>> circle([0, 0, 1], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], gamma=1.0).round(3)
        array([0.563, 0.734, 0.   ], dtype=float32)
    """
    _, y_pred = operands(0.0, y_pred, squeeze=False)
    labels = _column(y_true)
    others = y_pred if ref_embeddings is None else ops.cast(ref_embeddings, spec_of(y_pred).dtype)
    other_labels = labels if ref_labels is None else _column(ref_labels)
    for given, rows in ((labels, y_pred), (other_labels, others)):
        if differ(given.shape[0], rows.shape[0]):
            raise ShapeError(f"expected one label per embedding, got {given.shape[0]} and {rows.shape[0]}.")
    distance = ops.maximum(ops.subtract(1.0, ops.matmul(y_pred, ops.transpose(others))), 0.0)
    same = ops.equal(labels, ops.transpose(other_labels))
    different = ops.logical_not(same)
    if remove_diagonal:
        rows, columns = distance.shape
        itself = ops.equal(ops.reshape(ops.arange(rows), (-1, 1)), ops.arange(columns))
        same = ops.logical_and(same, ops.logical_not(itself))
    pull = ops.multiply(ops.add(margin, distance), ops.subtract(distance, margin))
    push = ops.multiply(ops.maximum(ops.subtract(1.0 + margin, distance), 0.0), ops.subtract(1.0 - margin, distance))
    near = _log_sum_exp(ops.multiply(gamma, pull), same)
    far = _log_sum_exp(ops.multiply(gamma, push), different)
    compared = ops.logical_and(ops.any(same, 1), ops.any(different, 1))
    return ops.where(compared, ops.softplus(ops.add(near, far)), 0.0)


def _column(labels: ArrayLike) -> Tensor:
    return ops.reshape(ops.cast(labels, "int32"), (-1, 1))


def _log_sum_exp(x: ArrayLike, mask: Tensor) -> Tensor:
    """log(sum(exp(x))) per row over the masked entries; 0 where there are none, with a finite gradient."""
    peak = ops.stop_gradient(ops.max(ops.where(mask, x, -1e30), 1, keepdims=True))
    terms = ops.where(mask, ops.exp(ops.where(mask, ops.subtract(x, peak), 0.0)), 0.0)
    total = ops.sum(terms, 1)
    some = ops.any(mask, 1)
    logarithm = ops.add(ops.log(ops.where(some, total, 1.0)), ops.squeeze(peak, 1))
    return ops.where(some, logarithm, 0.0)


def embeddings(t: Targets) -> None:
    """Check that there is one class number and one embedding per row.

    Raises:
        ValueError: the shapes do not fit.
    """
    if len(t.prediction.shape) != 2 or tuple(t.y.shape[1:]) not in ((), (1,)):
        raise ValueError(
            f"{t.loss}: y has shape {shown(t.y.shape)} and the model predicts {shown(t.prediction.shape)}; this loss takes "
            "one class number per row, (batch,), and one embedding per row, (batch, features)."
        )


class Circle(LossFunctionWrapper):
    """Circle loss of embeddings of length 1; see `losses.circle` for the formula.

    Rows whose value is 0 are left out of the mean. Targets are class numbers `(batch,)` or `(batch, 1)`, predictions
    embeddings `(batch, features)`.

    Args:
        gamma: the scale; positive.
        margin: the margin between the distances within and between classes.
        remove_diagonal: whether to leave out the pairs of a row with itself.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `gamma` is not positive, or `reduction` is unknown.

    References:
        Y. Sun et al., "Circle loss: a unified perspective of pair similarity optimization", CVPR 2020,
        https://arxiv.org/abs/2002.10857.

    Example:
        >>> from lamella.losses import Circle
        >>> round(float(Circle(gamma=1.0)([0, 0, 1], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])), 3)
        0.648
    """

    targets = staticmethod(embeddings)
    integer_targets = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = MEAN,
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        if not gamma > 0:
            raise ValueError(f"Circle: gamma must be positive, got {gamma!r}.")
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)

    def mask(self, y_true: ArrayLike, y_pred: ArrayLike, values: ArrayLike) -> Tensor:
        """True where the value is above 0, as in Keras: the mean is over rows with a nonzero gradient."""
        return ops.greater(values, 0.0)
