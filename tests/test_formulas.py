"""Every loss and metric against the formula of its paper, written again in float64 NumPy, with options and weights.

Keras is not an oracle here: where it differs from the paper (docs/differences.md), the paper decides.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from lamella import losses, metrics

RNG = np.random.default_rng(7)
ROWS, CLASSES, STEPS = 8, 4, 5
Y, P = RNG.normal(size=(2, ROWS, CLASSES))
BINARY = (RNG.uniform(size=(ROWS, CLASSES)) < 0.4).astype("float64")
SIGNS = 2 * BINARY - 1
SCORES = RNG.uniform(0.05, 0.95, (ROWS, CLASSES))
SIMPLEX, OTHER_SIMPLEX = RNG.dirichlet(np.ones(CLASSES), (2, ROWS))
LABELS = RNG.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[LABELS]
# the classes along axis 1 of three
LABELS_1 = RNG.integers(0, CLASSES, (ROWS, STEPS))
ONE_HOT_1 = np.moveaxis(np.eye(CLASSES)[LABELS_1], -1, 1)
SIMPLEX_1 = np.moveaxis(RNG.dirichlet(np.ones(CLASSES), (ROWS, STEPS)), -1, 1)
LOGITS_1 = RNG.normal(size=(ROWS, CLASSES, STEPS))
WEIGHTS = np.array([1.0, 0.0, 2.5, 1.0, 0.5, 3.0, 0.0, 1.5])


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def smoothed(y, s, axis=-1):
    return y * (1 - s) + s / y.shape[axis]


def entropy(y, p):
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


def along(values, axis):
    """A vector along an axis of three."""
    return np.reshape(values, [-1 if i == axis else 1 for i in range(3)])


def tversky(y, p, alpha, beta, axes=None):
    tp, fp, fn = np.sum(y * p, axes), np.sum((1 - y) * p, axes), np.sum(y * (1 - p), axes)
    return 1 - tp / (tp + alpha * fp + beta * fn)


def circle(y, p, gamma, m):
    """Sun et al., equation 6, with O_p = 1 + m, O_n = -m, margins 1 - m and m."""
    s, values = p @ p.T, []
    for i in range(len(y)):
        same = [j for j in range(len(y)) if j != i and y[j] == y[i]]
        different = [j for j in range(len(y)) if y[j] != y[i]]
        pull = sum(math.exp(-gamma * max(1 + m - s[i, j], 0) * (s[i, j] - (1 - m))) for j in same)
        push = sum(math.exp(gamma * max(s[i, j] + m, 0) * (s[i, j] - m)) for j in different)
        values.append(math.log1p(pull * push) if same and different else 0.0)
    return np.array(values)


def ctc(labels, p):
    """Graves et al.: the probability of all paths that spell the labels, path by path."""
    values = []
    for label, steps in zip(labels, p, strict=True):
        total = 0.0
        for path in itertools.product(range(p.shape[-1]), repeat=len(steps)):
            spelt = [k for k, _ in itertools.groupby(path) if k]
            if spelt == [k for k in label if k]:
                total += math.prod(steps[t, k] for t, k in enumerate(path))
        values.append(-math.log(total))
    return np.array(values)


EMBEDDINGS = Y / np.linalg.norm(Y, axis=1, keepdims=True)
SPELT, PATHS = np.array([[1, 2], [1, 1], [2, 0]]), RNG.normal(size=(3, 4, 3))
FOCAL = np.array([0.1, 0.2, 0.3, 0.4])

LOSSES = [
    ("MeanSquaredError", {}, Y, P, np.mean((Y - P) ** 2, -1)),
    ("MeanAbsoluteError", {}, Y, P, np.mean(np.abs(Y - P), -1)),
    ("MeanAbsolutePercentageError", {}, Y, P, 100 * np.mean(np.abs((Y - P) / Y), -1)),
    ("MeanSquaredLogarithmicError", {}, SIMPLEX, SCORES, np.mean((np.log1p(SIMPLEX) - np.log1p(SCORES)) ** 2, -1)),
    ("Huber", {"delta": 0.7}, Y, P,
     np.mean(np.where(np.abs(Y - P) <= 0.7, (Y - P) ** 2 / 2, 0.7 * (np.abs(Y - P) - 0.35)), -1)),
    ("LogCosh", {}, Y, P, np.mean(np.log(np.cosh(Y - P)), -1)),
    ("KLDivergence", {}, SIMPLEX, OTHER_SIMPLEX, np.sum(SIMPLEX * np.log(SIMPLEX / OTHER_SIMPLEX), -1)),
    ("Poisson", {}, BINARY, SCORES, np.mean(SCORES - BINARY * np.log(SCORES), -1)),
    ("Hinge", {}, SIGNS, P, np.mean(np.maximum(1 - SIGNS * P, 0), -1)),
    ("SquaredHinge", {}, SIGNS, P, np.mean(np.maximum(1 - SIGNS * P, 0) ** 2, -1)),
    ("CategoricalHinge", {}, ONE_HOT, P, np.maximum(
        1 + np.where(ONE_HOT == 1, -np.inf, P).max(-1).clip(0) - np.sum(ONE_HOT * P, -1), 0)),
    ("CosineSimilarity", {"axis": 0}, Y, P,
     -np.sum(Y * P, 0) / np.linalg.norm(Y, axis=0) / np.linalg.norm(P, axis=0)),
    ("BinaryCrossentropy", {}, BINARY, SCORES, np.mean(entropy(BINARY, SCORES), -1)),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.3, "axis": 0}, BINARY, P,
     np.mean(entropy(BINARY * 0.7 + 0.15, 1 / (1 + np.exp(-P))), 0)),
    ("CategoricalCrossentropy", {}, ONE_HOT, SIMPLEX, -np.log(SIMPLEX[np.arange(ROWS), LABELS])),
    ("CategoricalCrossentropy", {"axis": 1, "label_smoothing": 0.2}, ONE_HOT_1, SIMPLEX_1,
     -np.sum(smoothed(ONE_HOT_1, 0.2, 1) * np.log(SIMPLEX_1), 1)),
    ("CategoricalCrossentropy", {"axis": 1, "label_smoothing": 0.2, "from_logits": True}, ONE_HOT_1, LOGITS_1,
     -np.sum(smoothed(ONE_HOT_1, 0.2, 1) * np.log(softmax(LOGITS_1, 1)), 1)),
    ("SparseCategoricalCrossentropy", {"axis": 1, "from_logits": True}, LABELS_1, LOGITS_1,
     -np.sum(ONE_HOT_1 * np.log(softmax(LOGITS_1, 1)), 1)),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, LABELS, SIMPLEX,
     np.where(LABELS == 2, 0, -np.log(SIMPLEX[np.arange(ROWS), LABELS]))),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}, BINARY, SCORES, np.mean(
        np.where(BINARY == 1, 0.3, 0.7)
        * (1 - np.where(BINARY == 1, SCORES, 1 - SCORES)) ** 1.5 * entropy(BINARY, SCORES), -1)),
    ("CategoricalFocalCrossentropy", {"axis": 1, "alpha": [*FOCAL], "gamma": 1.5, "label_smoothing": 0.2}, ONE_HOT_1,
     SIMPLEX_1, -np.sum(along(FOCAL, 1) * (1 - SIMPLEX_1) ** 1.5 * smoothed(ONE_HOT_1, 0.2, 1) * np.log(SIMPLEX_1), 1)),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.3}, LABELS, SIMPLEX,
     (1 - SIMPLEX[np.arange(ROWS), LABELS] ** 0.3) / 0.3),
    ("Dice", {"axis": 1}, BINARY + 0.01, SCORES,
     1 - 2 * np.sum((BINARY + 0.01) * SCORES, 1) / (np.sum(BINARY + 0.01, 1) + np.sum(SCORES, 1))),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, BINARY, SCORES, tversky(BINARY, SCORES, 0.3, 0.7)),
    ("Tversky", {"alpha": 2.0, "beta": 0.1, "axis": 1}, BINARY + 0.01, SCORES,
     tversky(BINARY + 0.01, SCORES, 2.0, 0.1, 1)),
    ("Circle", {"gamma": 4.0, "margin": 0.3}, LABELS, EMBEDDINGS, circle(LABELS, EMBEDDINGS, 4.0, 0.3)),
    ("CTC", {}, SPELT, PATHS, ctc(SPELT, softmax(PATHS))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "y", "p", "expected"), LOSSES, ids=[f"{r[0]}-{i}" for i, r in enumerate(LOSSES)]
)
def test_losses(name, options, y, p, expected):
    loss = getattr(losses, name)(**options, reduction="none", dtype="float64")
    np.testing.assert_allclose(loss(y, p), expected, rtol=2e-5, atol=1e-6)


def test_every_loss_has_a_formula():
    assert {losses.TABLE[name].__name__ for name in losses.TABLE} == {row[0] for row in LOSSES}


# ---- metrics: all batches at once, by the definition ------------------------------------------------------------------

TRUE = BINARY[:, 0]
SCORE = SCORES[:, 0]
CUTS = [0.2, 0.5, 0.8]
ALL_CUTS = [*np.linspace(0, 1, 21)]
CLASS = RNG.integers(0, 3, 30)
GUESS = np.where(RNG.uniform(size=30) < 0.6, CLASS, RNG.integers(0, 3, 30))
MANY_WEIGHTS = RNG.uniform(0.5, 2, 30)
TARGETS, PREDICTED = RNG.normal(size=(2, ROWS, 3))
PREDICTED = TARGETS + 0.5 * PREDICTED


def counts(y, p, w, cut):
    above = p > cut
    return [float(np.sum(w * c)) for c in (y * above, (1 - y) * above, (1 - y) * ~above, y * ~above)]  # tp fp tn fn


def rates(cut, y=TRUE, p=SCORE, w=WEIGHTS):
    tp, fp, tn, fn = counts(y, p, w, cut)
    return {"precision": tp / (tp + fp) if tp + fp else 0, "recall": tp / (tp + fn), "specificity": tn / (tn + fp)}


def best(wanted, where, least):
    found = [rates(cut) for cut in ALL_CUTS]
    return max((r[wanted] for r in found if r[where] >= least), default=0)


def mann_whitney(y, p, w):
    """The area under the ROC curve: how often a positive scores above a negative, ties by half."""
    pairs = [
        (w[i] * w[j], float(p[i] > p[j]) + 0.5 * (p[i] == p[j]))
        for i in np.flatnonzero(y)
        for j in np.flatnonzero(1 - y)
    ]
    return sum(a * b for a, b in pairs) / sum(a for a, _ in pairs)


def davis_goadrich(y, p, w, cuts):
    """The area under precision over recall, true positives growing linearly with false ones between two thresholds."""
    points = [counts(y, p, w, cut)[:2] for cut in sorted(cuts, reverse=True)]
    positives, area = float(np.sum(w * y)), 0.0
    for (tp0, fp0), (tp1, fp1) in itertools.pairwise(points):
        share = (np.arange(4000) + 0.5) / 4000
        tp, fp = tp0 + share * (tp1 - tp0), fp0 + share * (fp1 - fp0)
        area += float(np.mean(tp / np.maximum(tp + fp, 1e-30))) * (tp1 - tp0) / positives
    return area


def gain_area(y, p, w, cuts):
    """Flach and Kull: precision gain over recall gain, by trapezia from recall gain 0 on."""
    found = []
    for cut in sorted(cuts):
        tp, fp, tn, fn = counts(y, p, w, cut)
        odds = (tp + fn) / (fp + tn)
        found.append((max(1 - odds * fn / tp, 0), 1 - odds * fp / tp) if tp else (0, 1))
    return sum((x0 - x1) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(found))


def f_beta(y, chosen, w, beta):
    tp, fp, fn = ((w[:, None] * c).sum(0) for c in (y * chosen, (1 - y) * chosen, y * (1 - chosen)))
    return (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp), tp + fn


def iou(y, p, w, classes):
    return np.array([np.sum(w * ((y == c) & (p == c))) / np.sum(w * ((y == c) | (p == c))) for c in classes])


def r2(y, p, w):
    mean = np.sum(w[:, None] * y, 0) / np.sum(w)
    return 1 - np.sum(w[:, None] * (y - p) ** 2, 0) / np.sum(w[:, None] * (y - mean) ** 2, 0)


def adjusted(score, n, regressors):
    return 1 - (1 - score) * (n - 1) / (n - regressors - 1)


def weighted(values):
    return np.sum(WEIGHTS * values) / np.sum(WEIGHTS)


R2 = r2(TARGETS, PREDICTED, WEIGHTS)
TOP = np.eye(CLASSES)[SCORES.argmax(1)]
SCORES_F, SHARES_F = f_beta(BINARY, TOP, WEIGHTS, 2.0)
LIVE = int(np.count_nonzero(WEIGHTS))
VARIANCES = np.sum(WEIGHTS[:, None] * (TARGETS - np.sum(WEIGHTS[:, None] * TARGETS, 0) / np.sum(WEIGHTS)) ** 2, 0)
IN_TOP = np.array([LABELS[i] in np.argsort(-SCORES[i])[:2] for i in range(ROWS)], float)
CENTRED = [x - x.mean(-1, keepdims=True) for x in (Y, P)]
EDGES = [0.0, *sorted(SCORE), 1.0]
IDS = [0, 2]

METRICS = [
    ("Accuracy", {}, LABELS, LABELS * (np.arange(ROWS) % 2), weighted(LABELS == LABELS * (np.arange(ROWS) % 2))),
    ("BinaryAccuracy", {"threshold": 0.4}, BINARY, SCORES, weighted(np.mean(BINARY == (SCORES > 0.4), -1))),
    ("CategoricalAccuracy", {}, ONE_HOT, SCORES, weighted(LABELS == SCORES.argmax(1))),
    ("SparseCategoricalAccuracy", {}, LABELS, SCORES, weighted(LABELS == SCORES.argmax(1))),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, SCORES, weighted(IN_TOP)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, LABELS, SCORES, weighted(IN_TOP)),
    ("RootMeanSquaredError", {}, Y, P, np.sqrt(weighted(np.mean((Y - P) ** 2, -1)))),
    ("CosineSimilarity", {}, Y, P, weighted(np.sum(Y * P, -1) / np.linalg.norm(Y, axis=-1) / np.linalg.norm(P, axis=-1))),
    ("TruePositives", {"thresholds": CUTS}, TRUE, SCORE, [counts(TRUE, SCORE, WEIGHTS, c)[0] for c in CUTS]),
    ("FalsePositives", {"thresholds": CUTS}, TRUE, SCORE, [counts(TRUE, SCORE, WEIGHTS, c)[1] for c in CUTS]),
    ("TrueNegatives", {"thresholds": CUTS}, TRUE, SCORE, [counts(TRUE, SCORE, WEIGHTS, c)[2] for c in CUTS]),
    ("FalseNegatives", {"thresholds": CUTS}, TRUE, SCORE, [counts(TRUE, SCORE, WEIGHTS, c)[3] for c in CUTS]),
    ("Precision", {"thresholds": CUTS}, TRUE, SCORE, [rates(c)["precision"] for c in CUTS]),
    ("Recall", {"thresholds": CUTS}, TRUE, SCORE, [rates(c)["recall"] for c in CUTS]),
    ("Recall", {"top_k": 2}, ONE_HOT, SCORES, np.sum(WEIGHTS * IN_TOP) / np.sum(WEIGHTS)),
    ("Precision", {"class_id": 1, "thresholds": 0.3}, BINARY, SCORES,
     rates(0.3, BINARY[:, 1], SCORES[:, 1])["precision"]),
    ("PrecisionAtRecall", {"recall": 0.6, "num_thresholds": 21}, TRUE, SCORE, best("precision", "recall", 0.6)),
    ("RecallAtPrecision", {"precision": 0.6, "num_thresholds": 21}, TRUE, SCORE, best("recall", "precision", 0.6)),
    ("SensitivityAtSpecificity", {"specificity": 0.6, "num_thresholds": 21}, TRUE, SCORE,
     best("recall", "specificity", 0.6)),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 21}, TRUE, SCORE,
     best("specificity", "recall", 0.6)),
    ("AUC", {"thresholds": EDGES}, TRUE, SCORE, mann_whitney(TRUE, SCORE, WEIGHTS)),
    ("AUC", {"thresholds": EDGES, "curve": "PR"}, TRUE, SCORE, davis_goadrich(TRUE, SCORE, WEIGHTS, [-1, *EDGES])),
    ("AUC", {"thresholds": EDGES, "curve": "PRGAIN"}, TRUE, SCORE, gain_area(TRUE, SCORE, WEIGHTS, [-1, *EDGES])),
    ("FBetaScore", {"beta": 2.0}, BINARY, SCORES, SCORES_F),
    ("FBetaScore", {"beta": 2.0, "average": "weighted"}, BINARY, SCORES, np.sum(SCORES_F * SHARES_F) / SHARES_F.sum()),
    ("F1Score", {"average": "macro", "threshold": 0.5}, BINARY, SCORES,
     np.mean(f_beta(BINARY, SCORES > 0.5, WEIGHTS, 1.0)[0])),
    ("IoU", {"num_classes": 3, "target_class_ids": IDS}, CLASS, GUESS, np.mean(iou(CLASS, GUESS, MANY_WEIGHTS, IDS))),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, CLASS, GUESS,
     np.mean(iou(CLASS[CLASS != 1], GUESS[CLASS != 1], MANY_WEIGHTS[CLASS != 1], range(3)))),
    ("BinaryIoU", {"threshold": 0.4}, TRUE, SCORE, np.mean(iou(TRUE, SCORE >= 0.4, WEIGHTS, (0, 1)))),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": IDS}, np.eye(3)[CLASS], np.eye(3)[GUESS],
     np.mean(iou(CLASS, GUESS, MANY_WEIGHTS, IDS))),
    ("OneHotMeanIoU", {"num_classes": 3}, np.eye(3)[CLASS], np.eye(3)[GUESS],
     np.mean(iou(CLASS, GUESS, MANY_WEIGHTS, range(3)))),
    ("R2Score", {"class_aggregation": None}, TARGETS, PREDICTED, R2),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, TARGETS, PREDICTED,
     np.sum(R2 * VARIANCES) / VARIANCES.sum()),
    ("R2Score", {"num_regressors": 2}, TARGETS, PREDICTED, adjusted(np.mean(R2), LIVE, 2)),
    ("R2Score", {"num_regressors": 2, "class_aggregation": None}, TARGETS, PREDICTED, adjusted(R2, LIVE, 2)),
    ("PearsonCorrelation", {}, Y, P, weighted([np.corrcoef(a, b)[0, 1] for a, b in zip(Y, P, strict=True)])),
    ("ConcordanceCorrelation", {}, Y, P, weighted(
        2 * np.mean(CENTRED[0] * CENTRED[1], -1) / (Y.var(-1) + P.var(-1) + (Y.mean(-1) - P.mean(-1)) ** 2))),
    ("SparseCategoricalCrossentropy", {"axis": 1, "from_logits": True}, LABELS_1, LOGITS_1,
     weighted(np.mean(-np.sum(ONE_HOT_1 * np.log(softmax(LOGITS_1, 1)), 1), -1))),
    ("CategoricalCrossentropy", {"axis": 1, "label_smoothing": 0.2}, ONE_HOT_1, SIMPLEX_1,
     weighted(np.mean(-np.sum(smoothed(ONE_HOT_1, 0.2, 1) * np.log(SIMPLEX_1), 1), -1))),
    ("BinaryCrossentropy", {"label_smoothing": 0.3}, BINARY, SCORES,
     weighted(np.mean(entropy(BINARY * 0.7 + 0.15, SCORES), -1))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "y", "p", "expected"), METRICS, ids=[f"{r[0]}-{i}" for i, r in enumerate(METRICS)]
)
def test_metrics(name, options, y, p, expected):
    weights = MANY_WEIGHTS if len(y) == 30 else WEIGHTS
    metric = getattr(metrics, name)(**options, dtype="float64")
    for part in np.array_split(np.arange(len(y)), 3):
        metric.update_state(y[part], p[part], sample_weight=weights[part])
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-4, atol=1e-6)


MEANS_OF_LOSSES = """
    MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError LogCoshError KLDivergence
    Poisson Hinge SquaredHinge CategoricalHinge
""".split()


@pytest.mark.parametrize("name", MEANS_OF_LOSSES)
def test_a_metric_of_a_loss_is_its_weighted_mean(name):
    _, _, y, p, values = next(row for row in LOSSES if row[0] == name.removesuffix("Error") or row[0] == name)
    metric = getattr(metrics, name)(dtype="float64")
    metric.update_state(y, p, sample_weight=WEIGHTS)
    np.testing.assert_allclose(metric.result(), weighted(values), rtol=2e-5)


def test_every_metric_has_a_formula():
    classes = {metrics.TABLE[name] for name in metrics.TABLE}
    named = {made.__name__ for made in classes if isinstance(made, type)}
    assert named - {"Mean", "Sum"} == {row[0] for row in METRICS} | set(MEANS_OF_LOSSES)


def test_the_number_of_outputs_is_no_number_of_rows():
    """Adjusted R2 of several outputs: n counts rows, with weights and without."""
    metric = metrics.R2Score(num_regressors=2, dtype="float64")
    metric.update_state(TARGETS, PREDICTED)
    assert metric.result() == pytest.approx(adjusted(np.mean(r2(TARGETS, PREDICTED, np.ones(ROWS))), ROWS, 2))
