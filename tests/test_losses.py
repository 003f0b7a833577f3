"""Losses: Keras's values and gradients, reductions over padded batches, and what is refused before training."""

import re

import numpy as np
import pytest

from lamella import losses, ops
from lamella.backend_api import load_backend
from lamella.errors import ShapeError, UnknownNameError
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.passes import differentiate
from layer_replay import loss_of
from oracle import cases, load


def close(a, b, tolerance):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.max(np.abs(a - b), initial=0) <= tolerance * max(np.max(np.abs(b), initial=0), 1e-30)


def gradient_of(loss, y_true, y_pred, sample_weight=None, cotangent=1.0):
    """The gradient of sum(loss * cotangent) by y_pred, by lamella's reverse mode on NumPy."""
    arrays = [np.asarray(y_pred), np.asarray(y_true)] + ([] if sample_weight is None else [np.asarray(sample_weight)])

    def total(y_pred, y_true, weight=None):
        return ops.sum(ops.multiply(loss(y_true, y_pred, weight), cotangent))

    program = differentiate(trace(total, *[Spec(a.shape, str(a.dtype)) for a in arrays]), [0])
    return load_backend("numpy").compile(program)(*arrays)[1]


@pytest.mark.parametrize("case", cases.LOSSES, ids=lambda case: case.id)
def test_against_keras(case):
    recorded = load.load("losses", case.id)
    loss = loss_of(case.name, case.kwargs)
    operands = recorded["y_true"], recorded["y_pred"], recorded.get("sample_weight")
    close(loss(*operands), recorded["value"], case.tolerance)
    close(gradient_of(loss, *operands, recorded["cotangent"]), recorded["gradient"], case.tolerance)


RANDOM = np.random.RandomState(0)
SIGNED = np.where(RANDOM.standard_normal((5, 3)) > 0, 1.0, -1.0)
NORMAL, OTHER = RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((5, 3))
SIMPLEX = RANDOM.dirichlet(np.ones(3), 5)
ONE_HOT = np.eye(3)[[0, 2, 1, 1, 0]]


def _huber(y, p):
    e = np.abs(y - p)
    return np.mean(np.where(e <= 1, e * e / 2, e - 0.5), -1)


# (class, y_true, y_pred, the formula of keras-facts 2.3 in float64)
FORMULAS = [
    ("MeanAbsolutePercentageError", NORMAL, OTHER, lambda y, p: 100 * np.mean(np.abs((y - p) / y), -1)),
    (
        "MeanSquaredLogarithmicError",
        SIMPLEX,
        SIMPLEX[::-1],
        lambda y, p: np.mean((np.log1p(y) - np.log1p(p)) ** 2, -1),
    ),
    ("Huber", NORMAL, OTHER, _huber),
    ("LogCosh", NORMAL, OTHER, lambda y, p: np.mean(np.log(np.cosh(p - y)), -1)),
    ("KLDivergence", SIMPLEX, SIMPLEX[::-1], lambda y, p: np.sum(y * np.log(y / p), -1)),
    ("Poisson", SIMPLEX, SIMPLEX[::-1], lambda y, p: np.mean(p - y * np.log(p + 1e-7), -1)),
    ("Hinge", SIGNED, NORMAL, lambda y, p: np.mean(np.maximum(1 - y * p, 0), -1)),
    ("Hinge", (SIGNED + 1) / 2, NORMAL, lambda y, p: np.mean(np.maximum(1 - (2 * y - 1) * p, 0), -1)),
    ("SquaredHinge", SIGNED, NORMAL, lambda y, p: np.mean(np.maximum(1 - y * p, 0) ** 2, -1)),
    (
        "CategoricalHinge",
        ONE_HOT,
        NORMAL,
        lambda y, p: np.maximum(1 - np.sum(y * p, -1) + np.max((1 - y) * p, -1), 0),
    ),
    (
        "CosineSimilarity",
        NORMAL,
        OTHER,
        lambda y, p: -np.sum(y * p, -1) / np.linalg.norm(y, axis=-1) / np.linalg.norm(p, axis=-1),
    ),
]


@pytest.mark.parametrize(("name", "y", "p", "formula"), FORMULAS, ids=[row[0] for row in FORMULAS])
def test_formulas(name, y, p, formula):
    loss = getattr(losses, name)(reduction="none")
    np.testing.assert_allclose(loss(y, p), formula(y, p), rtol=1e-6, atol=1e-9)
    close(gradient_of(loss, y, p), _differences(lambda p: float(np.sum(loss(y, p))), p), 1e-5)


def _differences(function, x, step=1e-6):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


def test_cosine_similarity_at_the_zero_vector():
    loss = losses.CosineSimilarity()
    zero, one = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    assert float(loss(one, zero)) == 0.0
    assert np.all(np.isfinite(gradient_of(loss, one, zero)))


def test_dtypes():
    y, p = np.zeros((2, 2)), np.ones((2, 2))
    assert losses.MeanSquaredError()(y, p.astype("float16")).dtype == np.float32
    assert losses.MeanSquaredError()(y, p).dtype == np.float64
    assert losses.MeanSquaredError(dtype="float32")(y, p).dtype == np.float32


ROWS = [None, (5,), (5, 4), (5, 1)]


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weight_shape", ROWS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_padding_rows_count_for_nothing(reduction, weight_shape, masked):
    values = RANDOM.standard_normal((5, 4))
    weight = None if weight_shape is None else RANDOM.uniform(0.5, 2.0, weight_shape)
    mask = RANDOM.uniform(size=(5, 4)) < 0.7 if masked else None
    expected = losses.reduce_weighted(values, weight, None, reduction, mask)

    def padded(x):
        return None if x is None else np.concatenate([x, x[-1:], x[-1:]])

    rows = np.array([1.0] * 5 + [0.0] * 2)
    found = losses.reduce_weighted(padded(values), padded(weight), rows, reduction, padded(mask))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_reductions():
    values, weight = np.array([1.0, 2.0, 6.0]), np.array([1.0, 0.0, 0.5])
    assert losses.reduce_weighted(values) == 3.0
    assert losses.reduce_weighted(values, weight) == pytest.approx(4.0 / 3)
    assert losses.reduce_weighted(values, weight, reduction="sum") == 4.0
    assert losses.reduce_weighted(values, weight, reduction="mean_with_sample_weight") == pytest.approx(4.0 / 1.5)
    np.testing.assert_array_equal(losses.reduce_weighted(values, weight, reduction=None), [1.0, 0.0, 3.0])
    assert losses.reduce_weighted(values, np.zeros(3), reduction="mean_with_sample_weight") == 0.0
    with pytest.raises(ValueError, match="sum_over_batch_size"):
        losses.reduce_weighted(values, reduction="average")


def test_a_mask_leaves_the_mean_of_what_counts():
    values, mask = np.array([[1.0, 2.0], [3.0, 50.0]]), np.array([[True, True], [True, False]])
    assert losses.reduce_weighted(values, mask=mask) == 2.0


def test_a_row_weight_counts_for_every_position():
    values, weight = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 0.0])
    np.testing.assert_array_equal(losses.reduce_weighted(values, weight, reduction="none"), [[1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(ShapeError, match="one weight per row"):
        losses.reduce_weighted(values, np.ones(3))


def test_ignore_class_is_left_out_of_the_mean():
    p = np.array([[0.5, 0.5], [0.25, 0.75], [np.nan, np.nan]], np.float32)
    y = np.array([0, 1, -1])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert float(loss(y, p)) == pytest.approx(expected, rel=1e-6)
    assert np.all(np.isfinite(gradient_of(loss, y, p)))
    rows = np.array([1.0, 1.0, 1.0, 0.0])
    assert float(loss(np.append(y, 0), np.vstack([p, p[:1]]), rows=rows)) == pytest.approx(expected, rel=1e-6)


PAIRS = [
    (name, (2, 1), (2, 3)) for name in sorted({losses.TABLE[n].__name__ for n in losses.TABLE} - {"Circle", "CTC"})
]
PAIRS += [("MeanSquaredError", (3,), (2, 3)), ("SparseCategoricalCrossentropy", (1,), (2, 3)), ("Circle", (1,), (3, 2))]
SPARSE = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy")


@pytest.mark.parametrize(("name", "y", "p"), PAIRS)
def test_a_loss_called_directly_does_not_broadcast(name, y, p):
    if name in SPARSE and y == (2, 1):
        y = (1, 1)  # (2, 1) are two class numbers
    loss = getattr(losses, name)()
    for call in (loss, loss.fn):
        with pytest.raises(ShapeError, match="one label" if name == "Circle" else re.escape(str(y))):
            call(np.zeros(y, "int32" if name in SPARSE else "float32"), np.full(p, 0.5, "float32"))


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_the_op_of_a_crossentropy_does_not_broadcast(name):
    with pytest.raises(ShapeError, match=r"shape of the output, \(2.*got \(1, 3\)"):
        getattr(ops, name)(np.ones((1, 3), "int32"), np.full((2, 3), 0.5, "float32"))


def test_one_number_stands_for_all_targets():
    p = np.array([[0.25], [0.5]], "float32")
    loss = losses.BinaryCrossentropy()
    assert float(loss(1.0, p)) == float(loss(np.ones_like(p), p))


def test_sparse_targets_along_another_axis_are_checked_there():
    loss = losses.SparseCategoricalCrossentropy(axis=1)
    loss.check(Spec((8, 5), "int32"), Spec((8, 3, 5), "float32"), np.full((8, 5), 2))
    with pytest.raises(ValueError, match=r"0 to 2 \(3 outputs\)"):
        loss.check(Spec((8, 5), "int32"), Spec((8, 3, 5), "float32"), np.full((8, 5), 3))


def test_vectors_and_columns_meet_without_broadcasting():
    y, p = np.arange(4.0), np.arange(4.0)[:, None]
    for name in ("mse", "mae", "bce", "huber", "hinge"):
        loss = losses.get(name)
        assert loss(y, p).shape == ()
        assert float(losses.get("mse")(y, p)) == 0.0


B = 8


def check(name, y_shape, p_shape, array=None, y_dtype="float32", **options):
    loss = losses.TABLE[name](**options) if options else losses.get(name)
    if array is not None:
        array = np.asarray(array)
        y_dtype = str(array.dtype)
    loss.check(Spec((B, *y_shape), y_dtype), Spec((B, *p_shape), "float32"), array)


@pytest.mark.parametrize(
    ("name", "y", "p", "array"),
    [
        ("mse", (3,), (3,), None),
        ("mse", (), (1,), None),
        ("mse", (1,), (), None),
        ("mse", (5, 3), (5, 3), None),
        ("bce", (), (1,), np.array([0, 1, 1])),
        ("bce", (3,), (3,), np.array([[0.0, 0.5, 1.0]])),
        ("categorical_crossentropy", (4,), (4,), None),
        ("sparse_categorical_crossentropy", (), (4,), np.array([0, 3, 2])),
        ("sparse_categorical_crossentropy", (1,), (4,), np.array([[0.0], [3.0]])),
        ("sparse_categorical_crossentropy", (5,), (5, 4), np.array([[0, 3, 2, 1, 1]])),
    ],
)
def test_good_targets(name, y, p, array):
    check(name, y, p, array)


@pytest.mark.parametrize(
    ("name", "y", "p", "array", "message"),
    [
        ("mse", (1,), (3,), None, r"\(batch, 1\).*\(batch, 3\).*1 units instead of 3"),
        ("mse", (), (3,), None, r"\(batch,\).*broadcasting"),
        ("mae", (3,), (1,), None, r"3 units instead of 1"),
        ("mse", (5,), (5, 3), None, "broadcasting"),
        ("bce", (), (1,), np.array([-1.0, 1.0]), r"hinge"),
        ("bce", (), (1,), np.array([0.0, 255.0]), r"scale y"),
        ("bce", (), (1,), np.array([0.0, np.nan]), r"NaN"),
        ("bce", (), (3,), np.array([0.0, 1.0]), r"sparse_categorical_crossentropy"),
        ("categorical_crossentropy", (), (4,), np.array([0, 3]), r"sparse_categorical_crossentropy"),
        ("categorical_crossentropy", (1,), (4,), np.array([[0], [3]]), r"sparse_categorical_crossentropy"),
        ("categorical_crossentropy", (5,), (4,), None, r"5 classes.*predicts 4"),
        ("categorical_crossentropy", (4, 4), (4,), None, "must be equal"),
        ("sparse_categorical_crossentropy", (4,), (4,), None, r"categorical_crossentropy.*argmax"),
        ("sparse_categorical_crossentropy", (), (4,), np.array([0, 9]), r"0 to 9.*at least 10 units"),
        ("sparse_categorical_crossentropy", (), (4,), np.array([1, 4]), r"start at 1.*y - 1"),
        ("sparse_categorical_crossentropy", (), (4,), np.array([-1, 3]), r"ignore_class"),
        ("sparse_categorical_crossentropy", (), (4,), np.array([0.5, 3]), r"0\.5.*not an integer"),
        ("sparse_categorical_crossentropy", (), (4,), np.array([np.nan, 3]), r"nan.*not an integer"),
        ("sparse_categorical_crossentropy", (2,), (4,), None, r"must have shape \(batch,\)"),
        ("sparse_categorical_crossentropy", (), (), None, "no axis of classes"),
    ],
)
def test_bad_targets(name, y, p, array, message):
    with pytest.raises(ValueError, match=message):
        check(name, y, p, array)


def test_ignored_labels_are_not_checked():
    check("sparse_categorical_crossentropy", (), (4,), np.array([-1, 3]), ignore_class=-1)


def test_names():
    for name, made in {
        "mse": losses.MeanSquaredError,
        "MAE": losses.MeanAbsoluteError,
        "bce": losses.BinaryCrossentropy,
        "BinaryCrossentropy": losses.BinaryCrossentropy,
        "sparse_categorical_crossentropy": losses.SparseCategoricalCrossentropy,
        "kl_divergence": losses.KLDivergence,
        "KLD": losses.KLDivergence,
        "huber": losses.Huber,
        "log_cosh": losses.LogCosh,
    }.items():
        assert type(losses.get(name)) is made
    assert losses.get(None) is None
    assert type(losses.get(losses.mean_squared_error)) is losses.MeanSquaredError
    assert type(losses.get(losses.Huber)) is losses.Huber
    config = {"class_name": "Huber", "config": {"delta": 2.0}}
    assert losses.get(config).get_config() == {"name": "huber_loss", "reduction": "sum_over_batch_size", "delta": 2.0}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("logcosh", "log_cosh"),
        ("kullback_leibler_divergence", "kl_divergence"),
        ("cosine_proximity", "cosine_similarity"),
    ],
)
def test_old_names_warn(old, new):
    with pytest.warns(DeprecationWarning, match=new) as record:
        losses.get(old)
    assert record[0].filename == __file__


def test_unknown_name():
    with pytest.raises(UnknownNameError, match="did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")


def test_crossentropy_is_resolved_from_shapes():
    y, p = Spec((8,), "int32"), Spec((8, 4), "float32")
    assert type(losses.get("crossentropy").chosen(y, p)) is losses.SparseCategoricalCrossentropy
    assert type(losses.get("ce").chosen(y, Spec((8, 1), "float32"))) is losses.BinaryCrossentropy
    assert type(losses.get("CE").chosen(p, p)) is losses.CategoricalCrossentropy


def test_a_function_of_ones_own():
    def worst(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred), -1)

    loss = losses.get(worst)
    assert loss.name == "worst"
    assert float(loss(np.zeros((2, 2)), np.array([[1.0, -3.0], [2.0, 0.0]]))) == 2.5
    assert float(loss(np.zeros((2, 2)), np.array([[1.0, -3.0], [2.0, 0.0]]), np.array([1.0, 0.0]))) == 1.5
    loss.check(Spec((8, 1), "float32"), Spec((8, 3), "float32"))  # nothing is known of it


def test_a_class_of_ones_own():
    class Twice(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.mean(ops.multiply(2.0, ops.abs(ops.subtract(y_true, y_pred))), -1)

    assert float(Twice()(np.zeros((2, 1), int), np.ones((2, 1)))) == 2.0
    assert Twice().name == "twice"


@pytest.mark.parametrize("from_logits", [False, True])
def test_a_crossentropy_is_its_op(from_logits):
    p = np.random.default_rng(0).random((4, 3)).astype("float32") + 0.1
    y, classes = np.eye(3, dtype="float32")[[0, 2, 1, 1]], np.array([0, 2, 1, 1])
    for loss, op, labels in (
        (losses.categorical_crossentropy, ops.categorical_crossentropy, y),
        (losses.sparse_categorical_crossentropy, ops.sparse_categorical_crossentropy, classes),
    ):
        np.testing.assert_array_equal(loss(labels, p, from_logits), op(labels, p, from_logits))
    p /= 2
    entries = ops.binary_crossentropy(y, p, from_logits)
    np.testing.assert_array_equal(losses.binary_crossentropy(y, p, from_logits), ops.mean(entries, -1))
    np.testing.assert_allclose(ops.categorical_crossentropy(y, 0 * p), -np.log(1e-7), rtol=1e-6)  # a row of zeros


def test_names_of_reductions():
    names = losses.Reduction
    assert names.all() == (names.AUTO, names.NONE, names.SUM, names.SUM_OVER_BATCH_SIZE)
    x, y = np.ones((3, 2), "float32"), np.zeros((3, 2), "float32")
    assert np.shape(losses.MeanSquaredError(reduction=names.NONE)(y, x)) == (3,)
    assert losses.MeanSquaredError(reduction=names.AUTO).reduction == "sum_over_batch_size"
