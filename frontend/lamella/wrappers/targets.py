"""Encoding of an estimator's targets for a model, and decoding of its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from lamella import losses
from lamella.errors import ArgumentError


def check_two_classes(classes: np.ndarray) -> None:
    """Reject targets with fewer than two classes.

    Raises:
        ArgumentError: there are fewer than two classes.
    """
    if len(classes) < 2:
        raise ArgumentError("a classifier needs at least two classes, and y has only one class.")


def check_weighted_classes(y: np.ndarray, weights: np.ndarray) -> None:
    """Reject weights that leave only one class.

    Raises:
        ArgumentError: all examples with a weight have the same class.
    """
    if len(y) == len(weights) and y.ndim == 1 and len(np.unique(y[weights != 0])) < 2:
        raise ArgumentError(
            "a classifier needs at least two classes, and sample_weight is zero for all rows but those of one class."
        )


def by_number(class_weight: Any, classes: np.ndarray) -> Any:
    """Return the weights by class index instead of by label; class indices that are not labels are kept.

    Raises:
        ArgumentError: a weight is given for an unknown label, and a label has none.
    """
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    if not isinstance(class_weight, Mapping):
        return class_weight
    if not numbers.keys() & class_weight and {*class_weight} <= {*numbers.values()}:
        return class_weight
    unknown = [label for label in class_weight if label not in numbers]
    if unknown and numbers.keys() - class_weight:
        raise ArgumentError(f"class_weight has the class {unknown[0]!r}, which is not one of the classes {classes}.")
    return {numbers[label]: weight for label, weight in class_weight.items() if label in numbers}


class RegressorTargets:
    """Numbers, which are unchanged; predictions get their number of dimensions and dtype, float64 for integers.

    Example:
        >>> targets = RegressorTargets().fit(np.zeros(3))
        >>> targets.inverse_transform(np.zeros((3, 1))).shape
        (3,)
    """

    def fit(self, y: np.ndarray) -> Self:
        """Remember the number of dimensions."""
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self._one_column, self._dtype = y.ndim == 1, y.dtype if y.dtype.kind == "f" else np.float64
        return self

    def get_metadata(self) -> dict[str, Any]:
        """What the estimator knows of the targets."""
        return {"n_outputs_": self.n_outputs_}

    def transform(self, y: np.ndarray) -> np.ndarray:
        """The targets for the model."""
        return y

    def inverse_transform(self, predictions: np.ndarray) -> np.ndarray:
        """The predictions as targets."""
        found = predictions[:, 0] if self._one_column and predictions.shape[1:] == (1,) else predictions
        return found.astype(self._dtype)


class ClassTargets:
    """Labels, encoded as class indices or one-hot as the model's outputs and loss require.

    Attributes:
        target_type_: "binary", "multiclass", "multiclass-onehot" (exactly one 1 per row), or "multilabel-indicator".
        classes_: the sorted labels; for rows the indices of their columns.

    Example:
        >>> targets = ClassTargets().fit(np.array(["no", "yes", "no"]))
        >>> targets.transform(np.array(["yes", "no"])).tolist()
        [1, 0]
        >>> targets.inverse_transform(np.array([[0.2], [0.9]])).tolist()
        ['no', 'yes']
    """

    def __init__(self, classes: Any = None) -> None:
        self.classes = classes
        self._one_hot = False
        self._activation = "none"

    def fit(self, y: np.ndarray) -> Self:
        """Find the classes.

        Raises:
            ValueError: the targets are numbers of a regression.
            ArgumentError: several columns of classes, or one class only.
        """
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ArgumentError(
                f"y has shape {y.shape} and more than two values: give one label per row, or write a subclass with a "
                "`target_encoder` for several outputs."
            )
        if kind == "multilabel-indicator":
            self.target_type_ = "multiclass-onehot" if (y.sum(1) == 1).all() else kind
            self.classes_ = np.arange(y.shape[1])
        else:
            self.target_type_, self.classes_ = kind, np.unique(y if self.classes is None else self.classes)
        check_two_classes(self.classes_)
        return self

    def get_metadata(self) -> dict[str, Any]:
        """What the estimator knows of the targets."""
        return {
            "target_type_": self.target_type_,
            "classes_": self.classes_,
            "n_classes_": len(self.classes_),
            "n_outputs_": 1,
        }

    def follow(self, model: Any) -> None:
        """Choose the form of the targets by the model's outputs and its loss.

        Raises:
            ArgumentError: the number of outputs is not that of the classes.
        """
        shape = model.output_shape
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise ArgumentError(
                f"a classifier needs a model with one output (rows, classes), got {shape}; a subclass with a "
                "`target_encoder` may have others."
            )
        classes, units = len(self.classes_), shape[1]
        if units != classes and (units != 1 or classes > 2 or self.target_type_.startswith("multi")):
            raise ArgumentError(
                f"y has {classes} classes, and the model has {units} output{'s' if units > 1 else ''}: give its last layer "
                f"{classes} units."
            )
        loss = losses.get(model.loss) if not isinstance(model.loss, list | dict) else None
        name = "" if loss is None else loss.name
        self._one_hot = units > 1 and not name.startswith("sparse") and not self.target_type_.startswith("multil")
        self._one_hot = self._one_hot and self.target_type_ != "multiclass-onehot"
        self._activation = "none"
        if loss is not None and loss.get_config().get("from_logits"):
            self._activation = "sigmoid" if units == 1 or name.startswith("binary") else "softmax"
        elif name in ("hinge", "squared_hinge") and units == 1:
            self._activation = "hinge"

    def transform(self, y: np.ndarray) -> np.ndarray:
        """The targets for the model.

        Raises:
            ArgumentError: a label that was not there in `fit`.
        """
        if self.target_type_ in ("multiclass-onehot", "multilabel-indicator"):
            return y
        y = y.reshape(-1)
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ArgumentError(
                f"y has the class {unknown[0].item()!r}, which is not one of the classes {self.classes_}."
            )
        numbers = np.searchsorted(self.classes_, y)
        return np.eye(len(self.classes_), dtype=np.float32)[numbers] if self._one_hot else numbers

    def probabilities(self, predictions: np.ndarray) -> np.ndarray:
        """The probability of each class, `(rows, classes)`."""
        if self._activation == "sigmoid":
            predictions = 0.5 + 0.5 * np.tanh(0.5 * predictions)
        elif self._activation == "softmax":
            powers = np.exp(predictions - predictions.max(-1, keepdims=True))
            predictions = powers / powers.sum(-1, keepdims=True)
        elif self._activation == "hinge":
            predictions = np.clip(0.5 + 0.5 * predictions, 0, 1)
        return np.hstack([1 - predictions, predictions]) if predictions.shape[1] == 1 else predictions

    def inverse_transform(self, predictions: np.ndarray) -> np.ndarray:
        """The predictions as targets: labels, or rows of zeros and ones."""
        chances = self.probabilities(predictions)
        if self.target_type_ == "multilabel-indicator":
            return (chances > 0.5).astype(np.int64)
        numbers = chances.argmax(-1)
        if self.target_type_ == "multiclass-onehot":
            return np.eye(len(self.classes_), dtype=np.int64)[numbers]
        return self.classes_[numbers]
