"""Checks of targets before training: shapes and values that do not fit the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lamella.ir.dim import public_shape
from lamella.ir.spec import Spec, is_float


class Targets(NamedTuple):
    """The targets and predictions to check.

    Attributes:
        loss: the name of the loss.
        y: the spec of a batch of targets.
        prediction: the spec of a batch of predictions.
        array: all targets, if they are in host memory.
        options: the arguments of the loss.
    """

    loss: str
    y: Spec
    prediction: Spec
    array: np.ndarray | None
    options: Mapping[str, Any]


CheckTargets = Callable[[Targets], None]


def shown(shape: tuple[int, ...]) -> str:
    """A shape for a message, with "batch" as its first dimension."""
    return "(" + ", ".join(["batch", *map(str, public_shape(shape[1:]))]) + ("," if len(shape) == 1 else "") + ")"


def same_rank(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes that `squeeze_or_expand_to_same_rank` gives two operands."""
    if len(first) == len(second) + 1 and first[-1] == 1:
        return (first, (*second, 1)) if len(second) == 1 else (first[:-1], second)
    if len(second) == len(first) + 1 and second[-1] == 1:
        return ((*first, 1), second) if len(first) == 1 else (first, second[:-1])
    return first, second


def _same_rows(t: Targets) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of one row of targets and predictions, after a trailing 1 is squeezed as in Keras."""
    y, prediction = same_rank(t.y.shape, t.prediction.shape)
    return y[1:], prediction[1:]


def fraction(name: str, value: float) -> None:
    """Check that an option is a number from 0 to 1.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}.")


def no_check(t: Targets) -> None:
    """Check nothing: any targets may be valid for a custom loss."""


def same_shape(t: Targets) -> None:
    """Check that targets are shaped like predictions; y (n, 1) and predictions (n, 3) would broadcast silently.

    Raises:
        ValueError: the shapes differ.
    """
    y, prediction = _same_rows(t)
    if y == prediction and len(t.y.shape) > 0:
        return
    width = t.prediction.shape[-1] if len(t.prediction.shape) > 1 else 1
    mend = f"Give y the shape {shown(t.prediction.shape)}"
    if t.y.shape and len(t.y.shape) == len(t.prediction.shape) and t.y.shape[:-1] == t.prediction.shape[:-1]:
        mend += f", or end the model with {t.y.shape[-1]} units instead of {width}"
    elif len(t.y.shape) == 1:
        mend += ", or end the model with 1 unit"
    raise ValueError(
        f"{t.loss}: y has shape {shown(t.y.shape)} and the model predicts {shown(t.prediction.shape)}. "
        f"They would only meet by broadcasting, which compares every target with predictions it is not for. {mend}."
    )


def binary(t: Targets) -> None:
    """Check that targets are shaped like the predictions, and are from 0 to 1.

    Raises:
        ValueError: the shapes differ, or a label is out of range.
    """
    y, prediction = _same_rows(t)
    if y != prediction and len(prediction) == 1 and prediction[0] > 1 and _is_column(t, y):
        raise ValueError(
            f"{t.loss}: y has shape {shown(t.y.shape)} and the model predicts {shown(t.prediction.shape)}: one label per row "
            f"against {int(prediction[0])} outputs. For one of {int(prediction[0])} classes per row use "
            "loss='sparse_categorical_crossentropy' (and softmax); for a binary label end the model with Dense(1)."
        )
    same_shape(t)
    if t.array is None or t.array.size == 0:
        return
    low, high = _range(t)
    if low < 0 or high > 1:
        mend = (
            "use loss='hinge', or map the labels with (y + 1) / 2" if low >= -1 and high <= 1 else "scale y to [0, 1]"
        )
        raise ValueError(
            f"{t.loss}: labels must be probabilities from 0 to 1; y ranges from {low:g} to {high:g}: {mend}."
        )


def categorical(t: Targets) -> None:
    """Check that targets have one column per class, like the predictions.

    Raises:
        ValueError: y holds class numbers, or another number of classes.
    """
    y, prediction = t.y.shape[1:], t.prediction.shape[1:]
    if y == prediction and prediction:
        return
    classes = int(prediction[-1]) if prediction else 1
    whole = not is_float(t.y.dtype) or t.array is None or bool(np.all(np.mod(t.array, 1) == 0))
    if y in (prediction[:-1], (*prediction[:-1], 1)) and whole and prediction:
        raise ValueError(
            f"{t.loss}: y has shape {shown(t.y.shape)}, one class number per row, and this loss takes one column per class, "
            f"{shown(t.prediction.shape)}. Use loss='sparse_categorical_crossentropy', or one-hot y with "
            f"lamella.utils.to_categorical(y, {classes})."
        )
    if len(y) == len(prediction) and y[:-1] == prediction[:-1]:
        raise ValueError(
            f"{t.loss}: y has {int(y[-1])} classes (shape {shown(t.y.shape)}) and the model predicts {classes} "
            f"({shown(t.prediction.shape)}): end the model with {int(y[-1])} units, or give y {classes} columns."
        )
    raise ValueError(
        f"{t.loss}: y has shape {shown(t.y.shape)} and the model predicts {shown(t.prediction.shape)}; they must be equal."
    )


def sparse(t: Targets) -> None:
    """Check that targets are class numbers 0 ... classes - 1, in the shape of the predictions without the class axis.

    Raises:
        ValueError: y is one-hot, has another shape, or a label is not a class number.
    """
    y, prediction = t.y.shape[1:], t.prediction.shape[1:]
    if not prediction:
        raise ValueError(
            f"{t.loss}: the model predicts {shown(t.prediction.shape)}: there is no axis of classes. End it with one unit "
            "per class."
        )
    along = t.options.get("axis", -1) % (len(prediction) + 1) - 1
    classes, kept = int(prediction[along]), (*prediction[:along], *prediction[along + 1 :])
    if y not in (kept, (*prediction[:along], 1, *prediction[along + 1 :])):
        if y == prediction:
            raise ValueError(
                f"{t.loss}: y has shape {shown(t.y.shape)}, one column per class, and this loss takes class numbers "
                f"{shown((0, *kept))}. Use loss='categorical_crossentropy', or y.argmax(axis={t.options.get('axis', -1)})."
            )
        raise ValueError(
            f"{t.loss}: y has shape {shown(t.y.shape)} and the model predicts {shown(t.prediction.shape)}; class numbers "
            f"must have shape {shown((0, *kept))}."
        )
    if t.array is None or t.array.size == 0:
        return
    array = t.array
    ignored = t.options.get("ignore_class")
    if ignored is not None:
        array = array[array != ignored]
        if array.size == 0:
            return
    if array.dtype.kind == "f" and not np.all(np.mod(array, 1) == 0):
        odd = array[~(np.mod(array, 1) == 0)].reshape(-1)[0]
        raise ValueError(
            f"{t.loss}: labels must be class numbers 0 to {classes - 1}; y contains {odd:g}, which is not an integer. "
            "For regression use loss='mse'."
        )
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high < classes:
        return
    found = f"y ranges from {low} to {high}" if low != high else f"y contains {low}"
    if low == 1 and high == classes:
        mend = "the labels seem to start at 1: pass y - 1"
    elif low < 0:
        mend = "map the labels to 0 ... classes - 1, or pass ignore_class for a label without a class"
    else:
        mend = f"end the model with at least {high + 1} units, or map the labels to 0 ... {classes - 1}"
    raise ValueError(f"{t.loss}: labels must be class numbers 0 to {classes - 1} ({classes} outputs); {found}: {mend}.")


def _is_column(t: Targets, y: tuple[int, ...]) -> bool:
    return y in ((), (1,)) or len(t.y.shape) == 1


def _range(t: Targets) -> tuple[float, float]:
    assert t.array is not None  # noqa: S101 - the caller checked
    low, high = float(t.array.min()), float(t.array.max())
    if np.isnan(low) or np.isnan(high):
        raise ValueError(f"{t.loss}: y contains NaN; remove those rows or give them a label.")
    return low, high
