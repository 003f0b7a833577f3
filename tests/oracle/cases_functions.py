"""Activation functions, losses and metrics."""

from __future__ import annotations

from typing import Any

from .cases_losses import MORE_LOSSES
from .cases_metrics import MORE_METRICS
from .rows import EXACT, ActivationCase, LossCase, MetricCase

ELEMENTWISE_NAMES = (
    "linear", "relu", "sigmoid", "tanh", "softplus", "softsign", "elu", "selu", "gelu", "silu", "exponential",
    "hard_sigmoid", "leaky_relu", "relu6", "mish",
)  # fmt: skip

# Steps of a quarter that miss every kink (-3, 0, 3 and 6).
GRID = tuple(-5.9 + 0.25 * step for step in range(49))
# 0.5 sets the scale of the comparison: the derivatives of saturated points alone are rounding noise.
FAR = (-80.0, -40.0, -20.0, 0.5, 20.0, 40.0, 80.0)

ACTIVATIONS: tuple[ActivationCase, ...] = (
    *(ActivationCase(f"{name}-grid", name, points=GRID) for name in ELEMENTWISE_NAMES),
    *(ActivationCase(f"{name}-far", name, points=FAR) for name in ELEMENTWISE_NAMES if name != "exponential"),
    # Kept below 20 because the largest value sets the scale of the comparison.
    ActivationCase("exponential-far", "exponential", points=(-80.0, -40.0, -20.0, 0.5, 2.0)),
    ActivationCase("softmax-rows", "softmax", shape=(6, 5)),
    ActivationCase("softmax-axis-0", "softmax", {"axis": 0}, shape=(4, 3)),
    ActivationCase("softmax-far", "softmax", points=(40.0, 0.0, -40.0, 80.0, 80.0, 0.0), shape=(2, 3)),
    ActivationCase("log-softmax-rows", "log_softmax", shape=(6, 5)),
    ActivationCase("log-softmax-axis-0", "log_softmax", {"axis": 0}, shape=(4, 3)),
    ActivationCase("log-softmax-far", "log_softmax", points=(40.0, 0.0, -40.0, 80.0, 80.0, 0.0), shape=(2, 3)),
    ActivationCase("elu-alpha", "elu", {"alpha": 0.5}, points=GRID),
    ActivationCase("gelu-approximate", "gelu", {"approximate": True}, points=GRID, tolerance=8e-6),
    ActivationCase("leaky-relu-slope", "leaky_relu", {"negative_slope": 0.05}, points=GRID),
    ActivationCase("relu-options", "relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}, points=GRID),
    # Kinks: the value and the subgradient at the point itself.
    *(
        ActivationCase(f"{name.replace('_', '-')}-kinks", name, kwargs, points, tolerance=1e-7, reason=EXACT)
        for name, kwargs, points in (
            ("relu", {}, (-1.0, 0.0, 1.0)),
            ("relu6", {}, (-1.0, 0.0, 1.0, 6.0, 7.0)),
            ("leaky_relu", {"negative_slope": 0.25}, (-1.0, 0.0, 1.0)),
            ("hard_sigmoid", {}, (-4.0, -3.0, 0.0, 3.0, 4.0)),
            ("elu", {}, (0.0, 1.0)),
            ("selu", {}, (0.0, 1.0)),
            ("softsign", {}, (-1.0, 0.0, 1.0)),
            ("linear", {}, (-1.0, 0.0, 1.0)),
        )
    ),
    *(
        ActivationCase(f"{name}-zero", name, points=(0.0,), tolerance=2e-7, reason=EXACT)
        for name in ("sigmoid", "tanh", "softplus", "gelu", "silu", "mish", "exponential")
    ),
    ActivationCase("relu-max-value-kinks", "relu", {"max_value": 4.0}, (-1.0, 0.0, 2.0, 4.0, 5.0), tolerance=1e-7,
                   reason=EXACT),
    ActivationCase("relu-threshold-kinks", "relu", {"threshold": 1.0}, (0.0, 0.5, 1.0, 2.0), tolerance=1e-7,
                   reason=EXACT),
)  # fmt: skip

MSE, MAE = "MeanSquaredError", "MeanAbsoluteError"
BCE, CCE, SCCE = "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"
LOGITS = {"from_logits": True}

# (id, class, constructor arguments, shape of y_pred, targets, predictions)
_LOSSES: tuple[tuple[str, str, dict[str, Any], tuple[int, ...], str, str], ...] = (
    ("mse", MSE, {}, (6, 3), "normal", "normal"),
    ("mse-rank-3", MSE, {}, (4, 5, 3), "normal", "normal"),
    ("mae", MAE, {}, (6, 3), "normal", "normal"),
    ("mae-rank-3", MAE, {}, (4, 5, 3), "normal", "normal"),
    ("bce", BCE, {}, (6, 1), "binary", "probability"),
    ("bce-wide", BCE, {}, (6, 3), "binary", "probability"),
    ("bce-soft", BCE, {}, (6, 3), "soft_binary", "probability"),
    ("bce-logits", BCE, LOGITS, (6, 1), "binary", "normal"),
    ("bce-logits-rank-3", BCE, LOGITS, (4, 5, 2), "binary", "normal"),
    ("bce-smoothing", BCE, {"label_smoothing": 0.2}, (6, 2), "binary", "probability"),
    ("bce-logits-smoothing", BCE, {"label_smoothing": 0.2, **LOGITS}, (6, 2), "binary", "normal"),
    ("cce", CCE, {}, (6, 4), "one_hot", "simplex"),
    ("cce-unnormalized", CCE, {}, (6, 4), "one_hot", "probability"),
    ("cce-soft", CCE, {}, (6, 4), "soft", "simplex"),
    ("cce-rank-3", CCE, {}, (4, 5, 3), "one_hot", "simplex"),
    ("cce-logits", CCE, LOGITS, (6, 4), "one_hot", "normal"),
    ("cce-logits-soft-rank-3", CCE, LOGITS, (4, 5, 3), "soft", "normal"),
    ("cce-smoothing", CCE, {"label_smoothing": 0.1}, (6, 4), "one_hot", "simplex"),
    ("cce-logits-smoothing", CCE, {"label_smoothing": 0.1, **LOGITS}, (6, 4), "one_hot", "normal"),
    ("scce", SCCE, {}, (6, 4), "sparse", "simplex"),
    ("scce-unnormalized", SCCE, {}, (6, 4), "sparse", "probability"),
    ("scce-column", SCCE, {}, (6, 4), "sparse_column", "simplex"),
    ("scce-rank-3", SCCE, {}, (4, 5, 3), "sparse", "simplex"),
    ("scce-logits", SCCE, LOGITS, (6, 4), "sparse", "normal"),
    ("scce-logits-column", SCCE, LOGITS, (6, 4), "sparse_column", "normal"),
    ("scce-logits-rank-3", SCCE, LOGITS, (4, 5, 3), "sparse", "normal"),
)
_REDUCED = ("mse", "mse-rank-3", "mae", "bce", "bce-logits", "cce", "cce-logits", "scce", "scce-logits-rank-3")
_REDUCTIONS = ("sum_over_batch_size", "sum", "none", "mean_with_sample_weight")


def _reduced_losses() -> tuple[LossCase, ...]:
    """Cross the losses worth it with the four reductions and every shape of sample weight the loss admits."""
    cases = []
    for id, name, kwargs, shape, y_true, y_pred in _LOSSES:
        if id not in _REDUCED:
            continue
        weights = (None, "row") if len(shape) == 2 else (None, "column", "position")
        for reduction in _REDUCTIONS:
            for weight in weights:
                # Without a weight, sum_over_batch_size is the default and already has its row.
                if weight is None and reduction == "sum_over_batch_size":
                    continue
                suffix = reduction.replace("_", "-") + (f"-{weight}-weight" if weight else "")
                options = {**kwargs, "reduction": reduction}
                cases.append(LossCase(f"{id}-{suffix}", name, options, shape, y_true, y_pred, weight))
    return tuple(cases)


def _literal_loss(
    id: str, name: str, kwargs: dict[str, Any], shape: tuple[int, ...], y_true: tuple[float, ...], *y_pred: float
) -> LossCase:
    kind = "sparse" if name == SCCE else "binary"
    options = {"reduction": "none", **kwargs}
    return LossCase(id, name, options, shape, kind, "normal", None, y_true, y_pred, tolerance=1e-6, reason=EXACT)


_EYE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_HARD = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5)
_FAR = (40.0, 0.0, 0.0, 40.0, 0.0, -40.0, -40.0, 40.0, 40.0)

LOSSES: tuple[LossCase, ...] = (
    *(LossCase(*row) for row in _LOSSES),
    *_reduced_losses(),
    LossCase("mse-column-weight", MSE, {}, (6, 3), "normal", "normal", "column"),
    LossCase("cce-smoothing-row-weight", CCE, {"label_smoothing": 0.1}, (6, 4), "one_hot", "simplex", "row"),
    # Saturated probabilities and logits, and ties.
    _literal_loss("saturated-bce", BCE, {}, (4, 1), (0.0, 1.0, 0.0, 1.0), 0.0, 0.0, 1.0, 1.0),
    _literal_loss("saturated-bce-edge", BCE, {}, (4, 1), (0.0, 1.0, 0.0, 1.0), 5e-8, 5e-8, 2e-7, 2e-7),
    _literal_loss("saturated-bce-logits", BCE, LOGITS, (4, 1), (0.0, 1.0, 0.0, 1.0), -40.0, -40.0, 40.0, 40.0),
    _literal_loss("saturated-bce-logits-zero", BCE, LOGITS, (2, 1), (0.0, 1.0), 0.0, 0.0),
    _literal_loss("saturated-cce", CCE, {}, (3, 3), _EYE, *_HARD),
    _literal_loss("saturated-cce-smoothing", CCE, {"label_smoothing": 0.3}, (3, 3), _EYE, *_HARD),
    _literal_loss("saturated-cce-logits", CCE, LOGITS, (3, 3), _EYE, *_FAR),
    _literal_loss("saturated-scce", SCCE, {}, (3, 3), (0.0, 1.0, 2.0), *_HARD),
    _literal_loss("saturated-scce-logits", SCCE, LOGITS, (3, 3), (0.0, 1.0, 2.0), *_FAR),
    _literal_loss("tie-mae", MAE, {}, (2, 2), (1.0, 2.0, 3.0, 4.0), 1.0, 2.5, 3.0, 3.5),
    _literal_loss("tie-mse", MSE, {}, (2, 2), (1.0, 2.0, 3.0, 4.0), 1.0, 2.5, 3.0, 3.5),
    # All weights zero: the divisor of mean_with_sample_weight is zero too.
    LossCase("zero-weights-mse", MSE, {"reduction": "mean_with_sample_weight"}, (3, 2), "normal", "normal", "zero"),
    *MORE_LOSSES,
)

_METRICS: tuple[tuple[str, str, dict[str, Any], tuple[int, ...], str, str], ...] = (
    ("accuracy", "Accuracy", {}, (), "class", "class"),
    ("accuracy-column", "Accuracy", {}, (1,), "class", "class"),
    ("binary-accuracy", "BinaryAccuracy", {}, (1,), "binary", "probability"),
    ("binary-accuracy-wide", "BinaryAccuracy", {}, (3,), "binary", "probability"),
    ("binary-accuracy-threshold", "BinaryAccuracy", {"threshold": 0.3}, (1,), "binary", "probability"),
    ("categorical-accuracy", "CategoricalAccuracy", {}, (4,), "one_hot", "simplex"),
    ("categorical-accuracy-rank-3", "CategoricalAccuracy", {}, (5, 3), "one_hot", "simplex"),
    ("sparse-categorical-accuracy", "SparseCategoricalAccuracy", {}, (4,), "sparse", "simplex"),
    ("sparse-categorical-accuracy-column", "SparseCategoricalAccuracy", {}, (4,), "sparse_column", "simplex"),
    ("sparse-categorical-accuracy-rank-3", "SparseCategoricalAccuracy", {}, (5, 3), "sparse", "simplex"),
    ("mse", "MeanSquaredError", {}, (3,), "normal", "normal"),
    ("mse-rank-3", "MeanSquaredError", {}, (4, 2), "normal", "normal"),
    ("mae", "MeanAbsoluteError", {}, (3,), "normal", "normal"),
    ("top-k-categorical-accuracy", "TopKCategoricalAccuracy", {}, (8,), "one_hot", "simplex"),
    ("top-2-categorical-accuracy", "TopKCategoricalAccuracy", {"k": 2}, (6,), "one_hot", "simplex"),
    ("sparse-top-k-categorical-accuracy", "SparseTopKCategoricalAccuracy", {}, (8,), "sparse", "simplex"),
    ("sparse-top-2-categorical-accuracy", "SparseTopKCategoricalAccuracy", {"k": 2}, (6,), "sparse", "simplex"),
    ("sparse-top-2-column", "SparseTopKCategoricalAccuracy", {"k": 2}, (6,), "sparse_column", "simplex"),
)


def _literal_metric(
    id: str, name: str, kwargs: dict[str, Any], shape: tuple[int, ...], y_true: tuple[float, ...], *y_pred: float
) -> MetricCase:
    kind = "sparse" if name.startswith("Sparse") else "binary"
    return MetricCase(id, name, kwargs, shape, kind, "normal", None, y_true, y_pred, tolerance=1e-7, reason=EXACT)


METRICS: tuple[MetricCase, ...] = (
    *(MetricCase(*row) for row in _METRICS),
    *(
        MetricCase(f"{row[0]}-weight", *row[1:], sample_weight="column" if len(row[3]) == 2 else "row")
        for row in _METRICS
    ),
    MetricCase("categorical-accuracy-rank-3-position-weight", "CategoricalAccuracy", {}, (5, 3), "one_hot", "simplex",
               "position"),
    # At the threshold itself, and where several classes hold the largest value.
    _literal_metric("tie-binary-accuracy", "BinaryAccuracy", {}, (1,), (0.0, 1.0, 1.0, 0.0), 0.5, 0.5, 0.75, 0.25),
    _literal_metric("tie-categorical-accuracy", "CategoricalAccuracy", {}, (3,),
                    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 0.5, 0.5, 0.0, 0.5, 0.5, 0.0),
    _literal_metric("tie-sparse-categorical-accuracy", "SparseCategoricalAccuracy", {}, (3,), (0.0, 1.0),
                    0.5, 0.5, 0.0, 0.5, 0.5, 0.0),
    _literal_metric("tie-sparse-top-1", "SparseTopKCategoricalAccuracy", {"k": 1}, (3,), (0.0, 1.0, 2.0),
                    0.5, 0.5, 0.0, 0.5, 0.5, 0.0, 0.5, 0.5, 0.0),
    _literal_metric("tie-sparse-top-2", "SparseTopKCategoricalAccuracy", {"k": 2}, (3,), (0.0, 1.0, 2.0),
                    0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25),
    _literal_metric("top-k-over-classes", "SparseTopKCategoricalAccuracy", {"k": 5}, (3,), (0.0, 2.0),
                    0.5, 0.25, 0.125, 0.5, 0.25, 0.125),
    *MORE_METRICS,
)  # fmt: skip
