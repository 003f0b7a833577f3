"""Connectionist temporal classification: labels without a time, for predictions that have one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella import ops
from lamella.ir.spec import spec_of
from lamella.losses.base import FunctionLoss, operands
from lamella.losses.check import Targets, shown

IMPOSSIBLE = -1e5
"""What stands for log(0), as in Keras: finite, so that no step of the recursion meets inf - inf."""


def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability that a path through the steps spells y_true, one value a sample

    A path takes one class a step; class 0 is the blank, and a path spells what is left when runs of one class become one
    and blanks go. Computed by the forward recursion in log space, one `scan` over the steps. A label that no path spells
    has a value of about 1e5.

    Args:
        y_true: class numbers (batch, length), 1 ... classes - 1; zeros fill the end of a row up.
        y_pred: logits (batch, steps, classes).

    References:
        A. Graves et al., "Connectionist Temporal Classification", ICML 2006.
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

    # `between[n]`: paths that have spelt n labels and stand on a blank; `on[n]`: those that stand on label n
    nothing = ops.multiply(blanks[0], 0.0)  # (batch, 1)
    between = ops.add(nothing, np.where(np.arange(length + 1) == 0, 0.0, IMPOSSIBLE))
    on = ops.add(nothing, np.full(length, IMPOSSIBLE))

    def step(carry: tuple[Any, Any], scores: tuple[Any, Any]) -> tuple[tuple[Any, Any], None]:
        between, on = carry
        emit, blank = scores
        # from label n straight on to label n + 1, unless they are equal: then a blank must stand between
        ready = _arrive(between, ops.add(on, straight))
        then_on = ops.add(_log_add(ready[:, :-1], on), emit)
        then_between = _arrive(ops.add(ready, blank), ops.add(ops.add(on, blank), blocked))
        return (then_between, then_on), None

    (between, on), _ = ops.scan(step, (between, on), (emits, blanks))
    ends = _arrive(between, on)
    lengths = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), 1)
    end = ops.one_hot(lengths, length + 1, dtype="bool")
    return ops.negative(ops.sum(ops.where(end, ends, 0.0), 1))


def _arrive(between: Any, on: Any) -> Any:
    """`between` with the paths that leave label n for the place behind it."""
    return ops.concatenate([between[:, :1], _log_add(between[:, 1:], on)], 1)


def _log_add(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)) of finite numbers"""
    peak = ops.stop_gradient(ops.maximum(a, b))
    return ops.add(peak, ops.log(ops.add(ops.exp(ops.subtract(a, peak)), ops.exp(ops.subtract(b, peak)))))


def spellings(t: Targets) -> None:
    """Rows of class numbers that the steps of a prediction can spell.

    Raises:
        ValueError: the shapes are no labels (batch, length) and logits (batch, steps, classes); or a label is no class
            number, stands behind a 0, or is longer than the steps allow.
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
    """-log of the probability that the prediction spells y_true; see `losses.ctc` for what is expected

    >>> round(float(CTC()([[1, 2]], [[[0.0] * 3] * 3])), 4)
    1.6864
    """

    function = staticmethod(ctc)
    targets = staticmethod(spellings)
    integer_targets = True
