"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import limits, settings
from lamella.ir.dim import public_shape
from lamella.ir.spec import Shape, Spec, is_float, spec_of
from lamella.losses.base import align_weight
from lamella.metrics.base import Metric, State

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class IoU(Metric):
    """Intersection over union: the mean of tp / (tp + fp + fn) over the target classes that occur.

    Args:
        num_classes: the number of classes. Labels and predictions outside 0 ... num_classes - 1 do not count.
        target_class_ids: the classes of the mean.
        name: the key in logs.
        dtype: the dtype of the confusion matrix; None is int32, which counts further than float32, or float32 if the
            first batch has weights. With an integer dtype weights must be integers.
        ignore_class: a label whose positions do not count; None for none.
        sparse_y_true: whether labels are class numbers, instead of one column per class.
        sparse_y_pred: whether predictions are class numbers, instead of one column per class.
        axis: the axis of the classes, if there is one.

    Raises:
        ValueError: `num_classes` or `target_class_ids` is out of range.

    Example:
        Class 1 has one true positive, one false positive and one false negative:

        >>> from lamella.metrics import IoU
        >>> round(IoU(num_classes=2, target_class_ids=[1])([0, 0, 1, 1], [0, 1, 0, 1]), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"num_classes must be a positive integer, got {num_classes!r}.")
        limits.reserve((num_classes, num_classes))
        wrong = [i for i in target_class_ids if not 0 <= i < num_classes]
        if wrong or not target_class_ids:
            raise ValueError(
                f"target_class_ids must be class indices from 0 to {num_classes - 1}, got {list(target_class_ids)}."
            )
        self.num_classes, self.target_class_ids = num_classes, [int(i) for i in target_class_ids]
        self._weighted = False
        self.ignore_class = ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis

    @property
    def dtype(self) -> str:
        """The dtype of the confusion matrix."""
        return self._dtype or ("float32" if self._weighted else "int32")

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Choose the dtype of the confusion matrix."""
        self._weighted = weighted

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """The confusion matrix: one row per label, one column per prediction."""
        return {"total_confusion_matrix": ((self.num_classes, self.num_classes), self.dtype, 0)}

    def update(self, state: State, y_true: ArrayLike, y_pred: ArrayLike, weight: Tensor | None = None) -> State:
        """Count a batch."""
        labels = self._classes(y_true, self.sparse_y_true)
        found = self._classes(y_pred, self.sparse_y_pred)
        if tuple(labels.shape) != tuple(found.shape):
            raise ShapeError(
                f"metric {self.name!r}: labels of shape {public_shape(labels.shape)} do not fit predictions of shape "
                f"{public_shape(found.shape)}."
            )
        counted = ops.logical_and(self._known(labels), self._known(found))
        if self.ignore_class is not None:
            counted = ops.logical_and(counted, ops.not_equal(labels, self.ignore_class))
        amount = ops.cast(counted, self.dtype)
        if weight is not None:
            amount = ops.multiply(amount, ops.cast(self._fitting(weight, labels), self.dtype))
        cells = ops.where(counted, ops.add(ops.multiply(labels, self.num_classes), found), 0)
        size = self.num_classes
        matrix = ops.scatter_add(ops.reshape(amount, (-1,)), ops.reshape(cells, (-1,)), axis=0, size=size * size)
        total = state["total_confusion_matrix"]
        return {"total_confusion_matrix": ops.add(total, ops.reshape(matrix, (size, size)))}

    def _classes(self, y: Any, sparse: bool) -> Any:
        y = ops.convert_to_tensor(y)
        if not sparse:
            return ops.argmax(y, self.axis)
        y = ops.cast(y, "int32")
        return ops.squeeze(y, -1) if len(y.shape) > 1 and y.shape[-1] == 1 else y

    def _known(self, classes: Tensor) -> Tensor:
        return ops.logical_and(ops.greater_equal(classes, 0), ops.less(classes, self.num_classes))

    def _fitting(self, weight: Tensor, labels: Tensor) -> Tensor:
        weight = ops.convert_to_tensor(weight)
        fractions = isinstance(weight, np.ndarray) and is_float(spec_of(weight).dtype) and np.any(np.mod(weight, 1))
        if fractions and not is_float(self.dtype):
            raise ValueError(
                f"metric {self.name!r} has an integer dtype; for weights that are not integers pass dtype='float32'."
            )
        return align_weight(weight, labels)[0] if weight.shape else weight

    def compute(self, state: State) -> Tensor:
        """The mean over the target classes that occur, and 0 if none does."""
        matrix = ops.cast(state["total_confusion_matrix"], "float64" if self.dtype == "float64" else "float32")
        hit = ops.sum(ops.multiply(matrix, np.eye(self.num_classes, dtype=spec_of(matrix).dtype)), 0)
        union = ops.subtract(ops.add(ops.sum(matrix, 0), ops.sum(matrix, 1)), hit)
        ids = np.asarray(self.target_class_ids, np.int32)
        hit, union = ops.take(hit, ids, 0), ops.take(union, ids, 0)
        occurs = ops.greater(union, 1e-9)
        shares = ops.where(occurs, ops.divide(hit, ops.add(union, settings.epsilon())), 0.0)
        count = ops.sum(ops.cast(occurs, spec_of(matrix).dtype))
        return ops.divide(ops.sum(shares), ops.add(count, settings.epsilon()))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        names = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {"name": self.name, "dtype": self._dtype, **{name: getattr(self, name) for name in names}}

    def _config_without(self, *names: str) -> dict[str, Any]:
        return {name: value for name, value in IoU.get_config(self).items() if name not in names}


class BinaryIoU(IoU):
    """Intersection over union of the classes y_pred < threshold (0) and y_pred >= threshold (1).

    Args:
        target_class_ids: the classes of the mean.
        threshold: predictions of at least this count as 1.
        name: the key in logs.
        dtype: the dtype of the confusion matrix; None is int32, or float32 if the first batch has weights.

    Raises:
        ValueError: a target class is neither 0 nor 1.

    Example:
        >>> from lamella.metrics import BinaryIoU
        >>> round(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 3)
        0.333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update(self, state: State, y_true: ArrayLike, y_pred: ArrayLike, weight: Tensor | None = None) -> State:
        """Count a batch."""
        return super().update(state, y_true, ops.cast(ops.greater_equal(y_pred, self.threshold), "int32"), weight)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        config = self._config_without("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**config, "threshold": self.threshold}


class MeanIoU(IoU):
    """Intersection over union, as a mean over all classes that occur.

    Args:
        num_classes: the number of classes. Labels and predictions outside 0 ... num_classes - 1 do not count.
        name: the key in logs.
        dtype: the dtype of the confusion matrix; None is int32, or float32 if the first batch has weights.
        ignore_class: a label whose positions do not count; None for none.
        sparse_y_true: whether labels are class numbers, instead of one column per class.
        sparse_y_pred: whether predictions are class numbers, instead of one column per class.
        axis: the axis of the classes, if there is one.

    Raises:
        ValueError: `num_classes` is not a positive integer.

    Example:
        >>> from lamella.metrics import MeanIoU
        >>> round(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1]), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        every = range(num_classes) if isinstance(num_classes, int) else ()
        super().__init__(num_classes, every, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return self._config_without("target_class_ids")


class OneHotIoU(IoU):
    """Intersection over union of one-hot labels and, unless `sparse_y_pred`, predictions with one column per class.

    Args:
        num_classes: the number of classes.
        target_class_ids: the classes of the mean.
        name: the key in logs.
        dtype: the dtype of the confusion matrix; None is int32, or float32 if the first batch has weights.
        ignore_class: a label whose positions do not count; None for none.
        sparse_y_pred: whether predictions are class numbers, instead of one column per class.
        axis: the axis of the classes.

    Raises:
        ValueError: `num_classes` or `target_class_ids` is out of range.

    Example:
        >>> from lamella.metrics import OneHotIoU
        >>> metric = OneHotIoU(num_classes=2, target_class_ids=[1])
        >>> round(metric([[1, 0], [0, 1], [0, 1]], [[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]), 3)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return self._config_without("sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """Intersection over union of one-hot labels and predictions, as a mean over all classes that occur.

    Args:
        num_classes: the number of classes.
        name: the key in logs.
        dtype: the dtype of the confusion matrix; None is int32, or float32 if the first batch has weights.
        ignore_class: a label whose positions do not count; None for none.
        sparse_y_pred: whether predictions are class numbers, instead of one column per class.
        axis: the axis of the classes.

    Raises:
        ValueError: `num_classes` is not a positive integer.

    Example:
        >>> from lamella.metrics import OneHotMeanIoU
        >>> metric = OneHotMeanIoU(num_classes=2)
        >>> round(metric([[1, 0], [0, 1], [0, 1]], [[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]), 3)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return self._config_without("target_class_ids", "sparse_y_true")
