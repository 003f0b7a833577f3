"""Connectionist temporal classification: labels that are not aligned with the steps of the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.ir.spec import spec_of
from lamella.losses.base import FunctionLoss, operands
from lamella.losses.check import Targets, shown

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

IMPOSSIBLE = -1e5
"""The value used for log(0), as in Keras: finite, so that the recursion never computes inf - inf."""


def ctc(y_true: Any, y_pred: Any) -> Any:
    """CTC loss: -log of the probability that a path through the steps yields the labels, one value per sample.

    A path has one class per step; class 0 is the blank. A path yields the labels that remain when runs of one class are
    merged and blanks are removed. The forward recursion runs in log space, in one `scan` over the steps. Labels that no
    path yields have a value of about 1e5.

    Args:
        y_true: class numbers 1 ... classes - 1, `(batch, length)`, padded with zeros at the end.
        y_pred: logits, `(batch, steps, classes)`.

    Returns:
        `(batch,)`, in the float dtype of `y_pred`, but at least float32.

    References:
        A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification", ICML 2006,
        https://doi.org/10.1145/1143844.1143891.

    Example:
        >>> import numpy as np
        >>> from lamella.losses import ctc
        >>> ctc([[1, 2]], np.zeros((1, 3, 3), "float32")).round(4)
        array([1.6864], dtype=float32)
    """
    _, y_pred = operands(0.0, y_pred, squeeze=False)
    labels = ops.cast(y_true, "int32")
    length, dtype = labels.shape[1], spec_of(y_pred).dtype
    logarithm = ops.maximum(ops.log_softmax(y_pred, -1), IMPOSSIBLE)
    hot = ops.one_hot(labels, y_pred.shape[-1], dtype=dtype)
    emits = ops.einsum("btk,blk->tbl", logarithm, hot)
    blanks = ops.transpose(logarithm[:, :, :1], (1, 0, 2))
    repeated = ops.equal(labels[:, :-1], labels[:, 1:])
    repeated = ops.pad(ops.cast(repeated, dtype), ((0, 0), (0, 1)))
    straight, blocked = ops.multiply(repeated, IMPOSSIBLE), ops.multiply(ops.subtract(1.0, repeated), IMPOSSIBLE)

    # `between[n]`: paths that have emitted n labels and are at a blank; `on[n]`: those that are at label n
    nothing = ops.multiply(blanks[0], 0.0)  # (batch, 1)
    start = np.where(np.arange(length + 1) == 0, 0.0, IMPOSSIBLE)
    between = ops.add(nothing, ops.cast(start, dtype))
    on = ops.add(nothing, ops.full((length,), IMPOSSIBLE, dtype=dtype))

    def step(carry: tuple[Any, Any], scores: tuple[Any, Any]) -> tuple[tuple[Any, Any], None]:
        between, on = carry
        emit, blank = scores
        # from label n directly to label n + 1, unless they are equal: then a blank must separate them
        ready = _arrive(between, ops.add(on, straight))
        then_on = ops.add(_log_add(ready[:, :-1], on), emit)
        then_between = _arrive(ops.add(ready, blank), ops.add(ops.add(on, blank), blocked))
        return (then_between, then_on), None

    (between, on), _ = ops.scan(step, (between, on), (emits, blanks))
    ends = _arrive(between, on)
    lengths = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), 1)
    end = ops.one_hot(lengths, length + 1, dtype="bool")
    return ops.negative(ops.sum(ops.where(end, ends, 0.0), 1))


def _arrive(between: Tensor, on: Tensor) -> Tensor:
    """`between` with the paths that move from label n to the position after it."""
    return ops.concatenate([between[:, :1], _log_add(between[:, 1:], on)], 1)


def _log_add(a: ArrayLike, b: ArrayLike) -> Tensor:
    """log(exp(a) + exp(b)) of finite numbers"""
    peak = ops.stop_gradient(ops.maximum(a, b))
    return ops.add(peak, ops.log(ops.add(ops.exp(ops.subtract(a, peak)), ops.exp(ops.subtract(b, peak)))))


def spellings(t: Targets) -> None:
    """Check that targets are rows of class numbers that the steps of a prediction can yield.

    Raises:
        ValueError: the shapes are not `(batch, length)` and `(batch, steps, classes)`; or a label is not a class
            number, follows a 0, or does not fit into the steps.
    """
    if len(t.y.shape) != 2 or len(t.prediction.shape) != 3:
        raise ValueError(
            f"{t.loss}: y has shape {shown(t.y.shape)} and the model predicts {shown(t.prediction.shape)}; this loss takes "
            "labels (batch, length), padded with zeros, and logits (batch, steps, classes)."
        )
    if t.array is None or t.array.size == 0:
        return
    labels, (steps, classes) = t.array, (int(d) for d in t.prediction.shape[1:])
    if labels.min() < 0 or labels.max() >= classes or (labels.dtype.kind == "f" and np.any(np.mod(labels, 1))):
        raise ValueError(
            f"{t.loss}: labels must be class numbers 1 to {classes - 1} ({classes} outputs, of which 0 is the blank), "
            f"followed by zeros; y ranges from {labels.min():g} to {labels.max():g}."
        )
    real = labels != 0
    late = np.flatnonzero(np.any(real[:, 1:] & ~real[:, :-1], axis=1))
    if late.size:
        raise ValueError(f"{t.loss}: row {late[0]} of y has a label after a 0; zeros only pad the end of a row.")
    needed = real.sum(1) + np.sum(real[:, 1:] & (labels[:, 1:] == labels[:, :-1]), axis=1)
    if needed.max() > steps:
        row = int(needed.argmax())
        raise ValueError(
            f"{t.loss}: row {row} of y needs {needed[row]} steps (one per label, and a blank between equal ones); the model "
            f"predicts {steps}."
        )


class CTC(FunctionLoss):
    """Connectionist temporal classification: -log of the probability that the predictions yield the labels.

    Targets are class numbers 1 ... classes - 1, `(batch, length)`, padded with zeros; predictions are logits `(batch,
    steps, classes)`, of which class 0 is the blank. See `losses.ctc`.

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages and files.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    References:
        A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification", ICML 2006,
        https://doi.org/10.1145/1143844.1143891.

    Example:
        >>> from lamella.losses import CTC
        >>> round(float(CTC()([[1, 2]], [[[0.0] * 3] * 3])), 4)
        1.6864
    """

    function = staticmethod(ctc)
    targets = staticmethod(spellings)
    integer_targets = True
