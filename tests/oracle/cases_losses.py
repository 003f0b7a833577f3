"""The losses beside the crossentropies and the two means that `cases_functions` has: each with reductions and weights."""

from __future__ import annotations

from typing import Any

from .rows import EXACT, LossCase

LOGITS = {"from_logits": True}

# (id, class, constructor arguments, shape of y_pred, targets, predictions)
_ROWS: tuple[tuple[str, str, dict[str, Any], tuple[int, ...], str, str], ...] = (
    ("mape", "MeanAbsolutePercentageError", {}, (6, 3), "positive", "positive"),
    ("msle", "MeanSquaredLogarithmicError", {}, (6, 3), "positive", "positive"),
    ("huber", "Huber", {}, (6, 3), "normal", "normal"),
    ("log-cosh", "LogCosh", {}, (6, 3), "normal", "normal"),
    ("kld", "KLDivergence", {}, (6, 4), "soft", "simplex"),
    ("poisson", "Poisson", {}, (6, 3), "positive", "positive"),
    ("hinge", "Hinge", {}, (6, 3), "sign", "normal"),
    ("squared-hinge", "SquaredHinge", {}, (6, 3), "sign", "normal"),
    ("categorical-hinge", "CategoricalHinge", {}, (6, 4), "one_hot", "normal"),
    ("cosine", "CosineSimilarity", {}, (6, 3), "normal", "normal"),
    ("binary-focal", "BinaryFocalCrossentropy", {}, (6, 3), "binary", "probability"),
    ("categorical-focal", "CategoricalFocalCrossentropy", {}, (6, 4), "one_hot", "simplex"),
    ("generalized", "CategoricalGeneralizedCrossEntropy", {}, (6, 4), "sparse", "simplex"),
    ("dice", "Dice", {}, (6, 3), "binary", "probability"),
    ("dice-rows", "Dice", {"axis": [1, 2]}, (4, 5, 2), "binary", "probability"),
    ("tversky", "Tversky", {"alpha": 0.3, "beta": 0.7}, (6, 3), "binary", "probability"),
    ("tversky-rows", "Tversky", {"axis": [1]}, (6, 5), "binary", "probability"),
    ("circle", "Circle", {"gamma": 4.0}, (8, 3), "sparse", "unit"),
    ("ctc", "CTC", {}, (5, 8, 4), "spelling", "normal"),
)

# Options, with the default reduction and no weights.
_OPTIONS: tuple[tuple[str, str, dict[str, Any], tuple[int, ...], str, str], ...] = (
    ("huber-delta", "Huber", {"delta": 0.3}, (6, 3), "normal", "normal"),
    ("hinge-binary-labels", "Hinge", {}, (6, 3), "binary", "normal"),
    ("squared-hinge-binary-labels", "SquaredHinge", {}, (6, 3), "binary", "normal"),
    ("cosine-axis-1", "CosineSimilarity", {"axis": 1}, (4, 5, 2), "normal", "normal"),
    ("kld-rank-3", "KLDivergence", {}, (4, 5, 3), "soft", "simplex"),
    ("bce-axis-1", "BinaryCrossentropy", {"axis": 1}, (4, 5, 2), "binary", "probability"),
    ("cce-axis-1", "CategoricalCrossentropy", {"axis": 1}, (4, 5, 2), "soft_binary", "probability"),
    ("cce-logits-axis-1", "CategoricalCrossentropy", {"axis": 1, **LOGITS}, (4, 5, 2), "soft_binary", "normal"),
    ("scce-ignore", "SparseCategoricalCrossentropy", {"ignore_class": 1}, (8, 4), "sparse", "simplex"),
    ("scce-ignore-logits", "SparseCategoricalCrossentropy", {"ignore_class": 0, **LOGITS}, (4, 5, 3), "sparse", "normal"),
    ("binary-focal-balanced", "BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5},
     (6, 3), "binary", "probability"),
    ("binary-focal-logits", "BinaryFocalCrossentropy", LOGITS, (6, 3), "binary", "normal"),
    ("binary-focal-smoothing", "BinaryFocalCrossentropy", {"label_smoothing": 0.2}, (6, 3), "binary", "probability"),
    ("binary-focal-axis-1", "BinaryFocalCrossentropy", {"axis": 1}, (4, 5, 2), "binary", "probability"),
    ("binary-focal-gamma-0", "BinaryFocalCrossentropy", {"gamma": 0.0}, (6, 3), "soft_binary", "probability"),
    ("categorical-focal-options", "CategoricalFocalCrossentropy", {"alpha": 0.5, "gamma": 3.0}, (6, 4), "soft", "simplex"),
    ("categorical-focal-alphas", "CategoricalFocalCrossentropy", {"alpha": [0.1, 0.5, 0.25, 0.9]}, (6, 4), "one_hot",
     "probability"),
    ("categorical-focal-logits", "CategoricalFocalCrossentropy", LOGITS, (6, 4), "one_hot", "normal"),
    ("categorical-focal-smoothing", "CategoricalFocalCrossentropy", {"label_smoothing": 0.1}, (6, 4), "one_hot",
     "simplex"),
    ("categorical-focal-axis-1", "CategoricalFocalCrossentropy", {"axis": 1}, (4, 5, 2), "soft_binary", "probability"),
    ("generalized-q", "CategoricalGeneralizedCrossEntropy", {"q": 0.8}, (6, 4), "sparse", "simplex"),
    ("tversky-equal", "Tversky", {}, (4, 5, 2), "binary", "probability"),
    ("circle-margin", "Circle", {"margin": 0.2}, (8, 5), "sparse", "unit"),
    ("circle-diagonal", "Circle", {"remove_diagonal": False, "gamma": 8.0}, (8, 3), "sparse", "unit"),
    ("ctc-tight", "CTC", {}, (4, 6, 3), "spelling", "normal"),
)  # fmt: skip
_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none", "mean_with_sample_weight")


def _tolerance(name: str) -> dict[str, Any]:
    if name == "CTC":
        return {"tolerance": 5e-6, "reason": "float32 sums of exponentials, carried through the steps"}
    return {"tolerance": 3e-6}


def _crossed() -> tuple[LossCase, ...]:
    cases = []
    for id, name, kwargs, *rest in _ROWS:
        for reduction in _REDUCTIONS:
            for weight in (None, "row"):
                suffix = f"-{reduction.replace('_', '-')}" + ("-row-weight" if weight else "")
                options = {**kwargs, "reduction": reduction}
                cases.append(LossCase(id + suffix, name, options, *rest, weight, **_tolerance(name)))
    return tuple(cases)


def _exact(id: str, name: str, y_true: tuple[float, ...], *y_pred: float, **kwargs: Any) -> LossCase:
    options = {"reduction": "none", **kwargs}
    shape = (len(y_pred) // 2, 2)
    return LossCase(id, name, options, shape, "binary", "normal", None, y_true, y_pred, tolerance=2e-6, reason=EXACT)


MORE_LOSSES: tuple[LossCase, ...] = (
    *_crossed(),
    *(LossCase(*row, **_tolerance(row[1])) for row in _OPTIONS),
    # Kinks and ends: the slope of the hinges at 1, of Huber's loss at delta, of clipped probabilities.
    _exact("kink-hinge", "Hinge", (1.0, -1.0, 1.0, -1.0), 1.0, -1.0, 0.5, 2.0),
    _exact("kink-squared-hinge", "SquaredHinge", (1.0, -1.0, 1.0, -1.0), 1.0, -1.0, 0.5, 2.0),
    _exact("kink-categorical-hinge", "CategoricalHinge", (1.0, 0.0, 0.0, 1.0), 1.0, 0.0, 2.0, 1.0),
    _exact("kink-huber", "Huber", (0.0, 0.0, 0.0, 0.0), 1.0, -1.0, 0.5, 3.0),
    _exact("far-log-cosh", "LogCosh", (0.0, 0.0, 0.0, 0.0), 100.0, -100.0, 0.5, 0.0),
    _exact("edge-kld", "KLDivergence", (0.0, 1.0, 0.5, 0.5), 1.0, 0.0, 0.5, 0.5),
    _exact("edge-poisson", "Poisson", (0.0, 1.0, 2.0, 3.0), 0.0, 1.0, 2.0, 0.5),
    _exact("edge-mape", "MeanAbsolutePercentageError", (1.0, 2.0, -4.0, 0.5), 1.5, 2.5, 4.0, 1.0),
    _exact("edge-msle", "MeanSquaredLogarithmicError", (0.0, 1.0, -2.0, 3.0), 0.5, -1.0, 2.0, 3.0),
    _exact("edge-dice", "Dice", (0.0, 0.0, 0.0, 0.0), 0.25, 0.5, 0.0, 1.0),
)
