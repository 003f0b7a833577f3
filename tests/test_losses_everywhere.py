"""Every loss: a row for each, gradients by differences, one number on both backends, and what refuses to start."""

import numpy as np
import pytest

import lamella
from lamella import losses, ops
from lamella.backend_api import load_backend
from lamella.errors import UnknownNameError
from lamella.ir.dim import symbol
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.passes import differentiate
from lamella.testing.gradcheck import check_gradients
from oracle import cases, load

# Keras 3.15.1's names, and those of earlier releases that `losses.get` takes
NAMES = (
    "binary_crossentropy bce BCE binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy "
    "sparse_categorical_crossentropy mean_squared_error mse MSE mean_absolute_error mae MAE "
    "mean_absolute_percentage_error mape MAPE mean_squared_logarithmic_error msle MSLE cosine_similarity huber log_cosh "
    "kl_divergence kld KLD poisson hinge squared_hinge categorical_hinge ctc dice tversky circle "
    "categorical_generalized_cross_entropy crossentropy ce"
).split()
CLASSES = {made for made in (losses.TABLE[name] for name in losses.TABLE)}


def test_every_loss_has_a_row():
    rows = {case.name for case in cases.LOSSES}
    assert {made.__name__ for made in CLASSES} == rows
    for name in rows:
        reductions = {case.kwargs.get("reduction", "sum_over_batch_size") for case in cases.LOSSES if case.name == name}
        assert reductions >= {"sum_over_batch_size", "sum", "none", "mean_with_sample_weight"}, name
        assert {case.sample_weight for case in cases.LOSSES if case.name == name} >= {None, "row"}, name


def test_every_name_resolves():
    for name in NAMES:
        loss = losses.get(name)
        assert isinstance(loss, losses.Loss)
        assert losses.get(type(loss)).name
    for name in set(losses.TABLE) - {made.__name__ for made in CLASSES}:
        assert name in NAMES or name in ("log_cosh", "huber_loss"), f"{name} is in no list of Keras's names"
    for made in CLASSES:
        assert made.from_config(made().get_config()).get_config() == made().get_config()


OF_EACH = {case.name: case for case in reversed(cases.LOSSES) if case.y_true_values is None and not case.sample_weight}
# circle-diagonal compares rows with themselves: their distance of 0 is a non-differentiable point
SMOOTH = [
    case
    for case in cases.LOSSES
    if case.y_true_values is None and "reduction" not in case.kwargs and case.id != "circle-diagonal"
] + [case for case in cases.LOSSES if case.id.endswith("-none")]


def program_of(case):
    """sum of the loss of a row by (y_pred, y_true), in float64, and its operands."""
    entry = load.load("losses", case.id)
    y_true = entry["y_true"].astype("float64") if entry["y_true"].dtype.kind == "f" else entry["y_true"]
    operands = [entry["y_pred"].astype("float64"), y_true]
    loss = getattr(losses, case.name)(**case.kwargs)
    return trace(lambda p, y: ops.sum(loss(y, p)), *[Spec(a.shape, str(a.dtype)) for a in operands]), operands


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
def test_gradients_are_the_slopes(case):
    program, operands = program_of(case)
    check_gradients(program, operands, [0], step=1e-4)


@pytest.mark.parametrize("case", OF_EACH.values(), ids=OF_EACH)
def test_both_backends_give_one_number(case, both):
    program, operands = program_of(case)
    program = differentiate(program, [0])
    found = []
    for name in both:
        backend = load_backend(name)
        with backend.scope(program):
            arrays = [backend.asarray(a, s.dtype) for a, s in zip(operands, program.input_specs, strict=True)]
            found.append([backend.numpy(y) for y in backend.compile(program)(*arrays)])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype == np.float64
        assert np.max(np.abs(a - b)) <= 1e-9 * max(np.max(np.abs(b)), 1e-30)


def gradient_of(loss, y_true, y_pred):
    arrays = [np.asarray(y_pred), np.asarray(y_true)]
    program = differentiate(trace(lambda p, y: loss(y, p), *[Spec(a.shape, str(a.dtype)) for a in arrays]), [0])
    return load_backend("numpy").compile(program)(*arrays)


# where Keras gives NaN, or an infinite slope
CORNERS = [
    ("categorical_crossentropy", [[1.0, 0.0]], [[0.0, 0.0]]),
    ("sparse_categorical_crossentropy", [0], [[0.0, 0.0]]),
    ("categorical_focal_crossentropy", [[1.0, 0.0]], [[0.0, 0.0]]),
    ("categorical_focal_crossentropy", [[1.0, 0.0]], [[1.0, 0.0]]),
    ("binary_focal_crossentropy", [[1.0, 0.0]], [[1.0, 0.0]]),
    ("binary_focal_crossentropy", [[1.0, 0.0]], [[0.0, 1.0]]),
    ("categorical_generalized_cross_entropy", [0], [[0.0, 1.0]]),
    ("circle", [0, 1], [[1.0, 0.0], [0.0, 1.0]]),
    ("circle", [0, 0], [[1.0, 0.0], [0.0, 1.0]]),
    ("ctc", [[1, 1]], [[[-np.inf, 0.0, 1.0]] * 4]),
    ("ctc", [[0, 0]], [[[0.5, 0.0, 1.0]] * 4]),
    ("dice", [[0.0]], [[0.0]]),
    ("tversky", [[0.0]], [[0.0]]),
    ("kld", [[0.0, 1.0]], [[0.0, 0.0]]),
]


@pytest.mark.parametrize(("name", "y", "p"), CORNERS)
def test_corners_are_finite(name, y, p):
    for values in gradient_of(losses.get(name), np.asarray(y), np.asarray(p, np.float32)):
        assert np.all(np.isfinite(values))


def test_focal_losses_of_far_logits():
    """Keras goes through probabilities, which float32 rounds to 0 and 1; logits stay in log space here."""
    loss = losses.BinaryFocalCrossentropy(from_logits=True, gamma=0.0)
    assert float(loss(np.ones((1, 1)), np.full((1, 1), -60.0, np.float32))) == pytest.approx(60.0)
    loss = losses.CategoricalFocalCrossentropy(from_logits=True, alpha=1.0)
    assert float(loss(np.eye(2)[:1], np.array([[-60.0, 0.0]], np.float32))) == pytest.approx(60.0)


def spellings(steps, classes):
    """Every path through the steps, and what it spells."""
    for path in np.ndindex((classes,) * steps):
        runs = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        yield path, tuple(c for c in runs if c)


@pytest.mark.parametrize("label", [(1, 2), (1, 1), (2,), (), (2, 1, 2)])
def test_ctc_is_the_sum_over_all_paths(label):
    logits = np.random.RandomState(3).standard_normal((5, 3))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = sum(np.prod(p[range(5), path]) for path, spelt in spellings(5, 3) if spelt == label)
    y = np.array([[*label, *(0,) * (3 - len(label))]])
    assert float(losses.ctc(y, logits[None])[0]) == pytest.approx(-np.log(total), rel=1e-9)


def test_short_batches_are_filled_up_only_where_rows_stay_apart():
    y, p = Spec((symbol("batch"), 2), "float32"), Spec((symbol("batch"), 2), "float32")
    assert losses.get("mse").is_per_example(y, p)
    assert not losses.get("dice").is_per_example(y, p)
    assert losses.Tversky(axis=1).is_per_example(y, p)
    assert not losses.get("circle").is_per_example(Spec((symbol("batch"),), "int32"), p)
    assert not losses.get(lambda y, p: ops.mean(p - y)).is_per_example(y, p)


BAD_TARGETS = [
    ("circle", (2, 3), (2, 3), None, "one embedding per row"),
    ("ctc", (2, 3), (2, 3), None, "batch, steps, classes"),
    ("ctc", (1, 3), (1, 4, 3), [[1, 5, 0]], "1 to 2"),
    ("ctc", (1, 3), (1, 4, 3), [[1, 0, 2]], "row 0 of y has a label after a 0"),
    ("ctc", (1, 3), (1, 4, 3), [[1, 1, 1]], "needs 5 steps"),
    ("categorical_generalized_cross_entropy", (2,), (2, 3), [0, 7], "class numbers 0 to 2"),
    ("binary_focal_crossentropy", (2, 1), (2, 1), [[2.0], [0.0]], "from 0 to 1"),
    ("dice", (2, 1), (2, 3), None, "broadcasting"),
    ("crossentropy", (2,), (2, 3), [0, 7], "class numbers 0 to 2"),
]


@pytest.mark.parametrize(("name", "y", "p", "array", "message"), BAD_TARGETS)
def test_bad_targets_are_told_before_any_work(name, y, p, array, message):
    array = None if array is None else np.asarray(array)
    with pytest.raises(ValueError, match=message):
        losses.get(name).check(Spec(y, "float32"), Spec(p, "float32"), array)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("BinaryFocalCrossentropy", {"alpha": 2.0}, "alpha must be from 0 to 1"),
        ("BinaryFocalCrossentropy", {"gamma": -1.0}, "gamma"),
        ("CategoricalFocalCrossentropy", {"label_smoothing": 1.5}, "label_smoothing must be from 0 to 1"),
        ("CategoricalGeneralizedCrossEntropy", {"q": 1.0}, "between 0 and 1"),
        ("Huber", {"delta": 0.0}, "delta must be positive"),
        ("Tversky", {"alpha": -0.5}, "alpha must not be negative"),
        ("Circle", {"gamma": 0.0}, "gamma must be positive"),
        ("MeanSquaredError", {"reduction": "average"}, "sum_over_batch_size"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(losses, name)(**options)


def small(loss, units=1, activation=None, **kwargs):
    lamella.random.set_random_seed(0)
    model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(units, activation=activation)])
    model.compile("sgd", loss, **kwargs)
    return model


X = np.random.RandomState(0).standard_normal((10, 3)).astype("float32")


def test_loss_weights(backend):
    y = X[:, :1]
    plain = small("mse").evaluate(X, y, verbose=0)
    for given in (0.5, [0.5], np.float32(0.5)):
        assert small("mse", loss_weights=given).evaluate(X, y, verbose=0) == pytest.approx(plain / 2, rel=1e-6)
    weighed, _ = small(["mse"], loss_weights=[0.5]).value_and_grad(X, y)
    assert float(weighed) == pytest.approx(plain / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"loss": "mse", "loss_weights": [0.5, 0.5]}, "loss_weights has one entry, got 2"),
        ({"loss": ["mse", "mae"]}, "loss has one entry, got 2"),
        ({"loss": "mse", "loss_weights": "half"}, "is a number"),
        ({"loss": None, "loss_weights": 0.5}, "weighs nothing"),
    ],
)
def test_wrong_loss_weights(kwargs, message):
    with pytest.raises(ValueError, match=message):
        small(**kwargs)


def test_misspelt_losses_are_told_by_compile():
    for name, near in {
        "binary_focal": "binary_focal_crossentropy",
        "tverski": "tversky",
        "cross_entropy": "entropy",
    }.items():
        with pytest.raises(UnknownNameError, match=near):
            small(name)


@pytest.mark.parametrize("loss", ["dice", "circle", "ctc"])
def test_a_ragged_last_batch_counts_as_it_is(loss):
    """The loss of an epoch is that of its batches, each computed alone."""
    lamella.set_backend("numpy")
    random = np.random.RandomState(1)
    if loss == "ctc":
        model = lamella.Sequential([lamella.Input((6, 3)), lamella.layers.Dense(4)])
        x, y = random.standard_normal((10, 6, 3)).astype("float32"), random.randint(1, 4, (10, 2))
    else:
        model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(2, activation="sigmoid")])
        x, y = X, random.randint(0, 2, (10, 2)).astype("float32") if loss == "dice" else random.randint(0, 2, 10)
    model.compile("sgd", loss)
    found = model.evaluate(x, y, batch_size=4, verbose=0)
    parts = [
        (model.evaluate(x[i : i + 4], y[i : i + 4], batch_size=4, verbose=0), len(x[i : i + 4])) for i in (0, 4, 8)
    ]
    assert found == pytest.approx(sum(v * n for v, n in parts) / 10, rel=1e-5)


def test_functions_and_classes_of_ones_own_train(backend):
    def worst(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred), -1)

    def spread(y_true, y_pred):  # one number per batch
        return ops.mean(ops.square(y_true - y_pred)) + ops.var(y_pred)

    class Twice(losses.Loss):
        def call(self, y_true, y_pred):
            return 2.0 * ops.mean(ops.abs(y_true - y_pred), -1)

    for loss in (worst, spread, Twice(), Twice):
        history = small(loss, 2).fit(X, X[:, :2], epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]
        assert history[-1] < history[0]


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy", "mse", "poisson"])
def test_a_loss_of_each_row_lets_short_batches_be_filled_up(name):
    loss, p = losses.get(name), Spec((symbol("batch"), 4), "float32")
    y = Spec((symbol("batch"),), "int32") if name.startswith("sparse") else p
    assert loss.is_per_example(y, p)
