"""The metrics beside the accuracies, each over three batches, with and without weights."""

from __future__ import annotations

from typing import Any

from .rows import EXACT, MetricCase

LOGITS = {"from_logits": True}
FLOAT = {"dtype": "float32"}

# (id, class, constructor arguments, shape of a row of y_pred, targets, predictions)
_ROWS: tuple[tuple[str, str, dict[str, Any], tuple[int, ...], str, str], ...] = (
    ("rmse", "RootMeanSquaredError", {}, (3,), "normal", "normal"),
    ("mape", "MeanAbsolutePercentageError", {}, (3,), "positive", "positive"),
    ("msle", "MeanSquaredLogarithmicError", {}, (3,), "positive", "positive"),
    ("cosine", "CosineSimilarity", {}, (3,), "normal", "normal"),
    ("cosine-axis-1", "CosineSimilarity", {"axis": 1}, (4, 2), "normal", "normal"),
    ("log-cosh-error", "LogCoshError", {}, (3,), "normal", "normal"),
    ("r2", "R2Score", {}, (3,), "normal", "normal"),
    ("r2-weighted", "R2Score", {"class_aggregation": "variance_weighted_average"}, (3,), "normal", "normal"),
    ("r2-each", "R2Score", {"class_aggregation": None}, (3,), "normal", "normal"),
    ("pearson", "PearsonCorrelation", {}, (6,), "normal", "normal"),
    ("pearson-axis-1", "PearsonCorrelation", {"axis": 1}, (4, 2), "normal", "normal"),
    ("concordance", "ConcordanceCorrelation", {}, (6,), "normal", "normal"),
    ("concordance-axis-1", "ConcordanceCorrelation", {"axis": 1}, (4, 2), "normal", "normal"),
    ("hinge", "Hinge", {}, (3,), "sign", "normal"),
    ("squared-hinge", "SquaredHinge", {}, (3,), "sign", "normal"),
    ("categorical-hinge", "CategoricalHinge", {}, (4,), "one_hot", "normal"),
    ("kld", "KLDivergence", {}, (4,), "soft", "simplex"),
    ("poisson", "Poisson", {}, (3,), "positive", "positive"),
    ("bce", "BinaryCrossentropy", {}, (3,), "binary", "probability"),
    ("bce-logits", "BinaryCrossentropy", {"label_smoothing": 0.1, **LOGITS}, (3,), "binary", "normal"),
    ("cce", "CategoricalCrossentropy", {}, (4,), "one_hot", "simplex"),
    ("cce-logits", "CategoricalCrossentropy", {"label_smoothing": 0.1, **LOGITS}, (4,), "one_hot", "normal"),
    ("cce-axis-1", "CategoricalCrossentropy", {"axis": 1}, (4, 2), "soft_binary", "probability"),
    ("scce", "SparseCategoricalCrossentropy", {}, (4,), "sparse", "simplex"),
    ("scce-logits", "SparseCategoricalCrossentropy", LOGITS, (4,), "sparse", "normal"),
    *(
        (f"{id}{suffix}", name, kwargs, shape, "binary", "probability")
        for id, name in (
            ("true-positives", "TruePositives"),
            ("true-negatives", "TrueNegatives"),
            ("false-positives", "FalsePositives"),
            ("false-negatives", "FalseNegatives"),
            ("precision", "Precision"),
            ("recall", "Recall"),
        )
        for suffix, kwargs, shape in (
            ("", {}, (1,)),
            ("-wide", {}, (3,)),
            ("-thresholds", {"thresholds": [0.6, 0.1, 0.75]}, (3,)),
            ("-even-thresholds", {"thresholds": [0.0, 0.5, 1.0]}, (2,)),
        )
    ),
    ("precision-top-2", "Precision", {"top_k": 2}, (5,), "binary", "probability"),
    ("precision-class", "Precision", {"class_id": 1}, (3,), "binary", "probability"),
    ("precision-top-2-class", "Precision", {"top_k": 2, "class_id": 2, "thresholds": 0.3}, (5,), "one_hot", "simplex"),
    ("recall-top-2", "Recall", {"top_k": 2}, (5,), "one_hot", "simplex"),
    ("recall-class", "Recall", {"class_id": 0}, (3,), "binary", "probability"),
    *(
        (f"{id}{suffix}", name, {word: 0.6, **kwargs}, shape, "binary", "probability")
        for id, name, word in (
            ("sensitivity-at-specificity", "SensitivityAtSpecificity", "specificity"),
            ("specificity-at-sensitivity", "SpecificityAtSensitivity", "sensitivity"),
            ("precision-at-recall", "PrecisionAtRecall", "recall"),
            ("recall-at-precision", "RecallAtPrecision", "precision"),
        )
        for suffix, kwargs, shape in (
            ("", {}, (1,)),
            ("-one", {"num_thresholds": 1}, (2,)),
            ("-class", {"num_thresholds": 7, "class_id": 1}, (3,)),
        )
    ),
    *(
        (f"auc-{curve.lower()}-{method}", "AUC", {"curve": curve, "summation_method": method}, (2,), "binary", "probability")
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    ("auc-vector", "AUC", {}, (), "binary", "probability"),
    ("auc-few", "AUC", {"num_thresholds": 4}, (1,), "binary", "probability"),
    ("auc-two", "AUC", {"num_thresholds": 2}, (1,), "binary", "probability"),
    ("auc-thresholds", "AUC", {"thresholds": [0.9, 0.1, 0.35]}, (2,), "binary", "probability"),
    ("auc-logits", "AUC", LOGITS, (1,), "binary", "normal"),
    ("auc-multi-label", "AUC", {"multi_label": True}, (3,), "binary", "probability"),
    ("auc-multi-label-pr", "AUC", {"multi_label": True, "curve": "PR", "num_labels": 3, "num_thresholds": 11}, (3,),
     "binary", "probability"),
    ("auc-multi-label-weights", "AUC", {"multi_label": True, "num_labels": 3, "label_weights": [0.5, 2.0, 1.0]}, (3,),
     "binary", "probability"),
    ("auc-label-weights", "AUC", {"label_weights": [0.5, 2.0, 1.0]}, (3,), "binary", "probability"),
    *(
        (f"{id}-{average}", name, {"average": average, **kwargs}, (3,), "one_hot", "simplex")
        for id, name, kwargs in (("f1", "F1Score", {}), ("fbeta", "FBetaScore", {"beta": 2.0}))
        for average in (None, "micro", "macro", "weighted")
    ),
    ("f1-threshold", "F1Score", {"threshold": 0.4, "average": "macro"}, (3,), "binary", "probability"),
    ("iou", "IoU", {"num_classes": 3, "target_class_ids": [0, 2], **FLOAT}, (), "class", "class"),
    ("iou-ignore", "IoU", {"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 1, **FLOAT}, (), "class", "class"),
    ("iou-out-of-range", "IoU", {"num_classes": 2, "target_class_ids": [0, 1], **FLOAT}, (), "class", "class"),
    ("iou-one-hot-predictions", "IoU", {"num_classes": 4, "target_class_ids": [1], "sparse_y_pred": False, **FLOAT}, (4,),
     "sparse", "simplex"),
    ("binary-iou", "BinaryIoU", {"target_class_ids": [1], "threshold": 0.3, **FLOAT}, (), "binary", "probability"),
    ("mean-iou", "MeanIoU", {"num_classes": 4, **FLOAT}, (), "class", "class"),
    ("one-hot-iou", "OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 3], **FLOAT}, (4,), "one_hot", "simplex"),
    ("one-hot-mean-iou", "OneHotMeanIoU", {"num_classes": 4, **FLOAT}, (4,), "one_hot", "simplex"),
)  # fmt: skip


def _tolerance(id: str) -> dict[str, Any]:
    if id.startswith("auc-prgain"):
        return {"tolerance": 3e-5, "reason": "pieces of either sign that add up to a hundredth of their size"}
    return {"tolerance": 3e-6}


MORE_METRICS: tuple[MetricCase, ...] = (
    *(MetricCase(*row, **_tolerance(row[0])) for row in _ROWS),
    *(
        MetricCase(
            f"{row[0]}-weight", *row[1:], sample_weight="column" if len(row[3]) == 2 else "row", **_tolerance(row[0])
        )
        for row in _ROWS
    ),
    MetricCase("r2-adjusted", "R2Score", {"num_regressors": 2}, (3,), "normal", "normal", tolerance=3e-6),
    MetricCase("binary-iou-rows", "BinaryIoU", {}, (2, 3), "binary", "probability"),
    MetricCase("mean-iou-int", "MeanIoU", {"num_classes": 3}, (2, 3), "class", "class"),
    MetricCase("precision-position-weight", "Precision", {}, (3, 2), "binary", "probability", "position", tolerance=3e-6),
    MetricCase("auc-ties", "AUC", {"num_thresholds": 5}, (1,), "binary", "normal", None,
               (1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0), tolerance=1e-7, reason=EXACT),
    MetricCase("recall-ties", "Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, (1,), "binary", "normal", None,
               (1.0, 1.0, 1.0, 1.0, 1.0, 1.0), (0.0, 0.25, 0.5, 0.75, 1.0, 0.6), tolerance=1e-7, reason=EXACT),
    MetricCase("f1-ties", "F1Score", {}, (3,), "binary", "normal", None,
               (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.5, 0.5, 0.0, 0.0, 0.0, 0.0), tolerance=1e-7, reason=EXACT),
)  # fmt: skip
