"""Metrics: Keras's running values, padded batches, and which metric a name becomes."""

import re

import numpy as np
import pytest

from lamella import losses, metrics, ops
from lamella.errors import ShapeError, UnknownNameError
from lamella.ir.spec import Spec
from oracle import cases, load


def close(a, b, tolerance):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.max(np.abs(a - b)) <= tolerance * max(np.max(np.abs(b)), 1e-30), (a, b)


# Keras 3.15 takes the number of targets, not of rows, for n; test_formulas.py has the right value.
WRONG_IN_KERAS = {"r2-adjusted"}


@pytest.mark.parametrize("case", [c for c in cases.METRICS if c.id not in WRONG_IN_KERAS], ids=lambda case: case.id)
def test_against_keras(case):
    recorded = load.load("metrics", case.id)
    metric = getattr(metrics, case.name)(**case.kwargs)
    # Keras numbers what a process makes of one class; lamella does not
    assert re.fullmatch(rf"{metric.name}(_\d+)?", str(recorded["name"]))
    for i, expected in enumerate(load.series(recorded, "result")):
        metric.update_state(
            recorded[f"y_true/{i}"], recorded[f"y_pred/{i}"], sample_weight=recorded.get(f"sample_weight/{i}")
        )
        close(metric.result(), expected, case.tolerance)


@pytest.mark.parametrize("case", [c for c in cases.METRICS if c.y_true_values is None], ids=lambda case: case.id)
def test_padding_rows_count_for_nothing(case):
    recorded = load.load("metrics", case.id)
    metric = getattr(metrics, case.name)(**case.kwargs)
    y, p = recorded["y_true/0"], recorded["y_pred/0"]
    rows = np.array([1.0] * len(y) + [0.0] * 2, np.float32)
    metric.build(Spec(y.shape, str(y.dtype)), Spec(p.shape, str(p.dtype)))
    plain = metric.update(metric.initial_state(), y, p)
    padded = metric.update(metric.initial_state(), np.concatenate([y, y[:2]]), np.concatenate([p, p[:2]]), weight=rows)
    close(metric.read(padded), metric.read(plain), 1e-6)


@pytest.mark.parametrize("name", ["Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "TopKCategoricalAccuracy",
                                  "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "R2Score", "F1Score",
                                  "RootMeanSquaredError", "PearsonCorrelation"])  # fmt: skip
def test_targets_do_not_broadcast(name):
    metric = getattr(metrics, name)()
    with pytest.raises(ShapeError):
        metric(np.zeros((1, 1), "int32"), np.full((2, 3), 0.5, "float32"))


def test_an_update_is_pure():
    metric = metrics.MeanSquaredError()
    state = metric.initial_state()
    after = metric.update(state, np.zeros((2, 1)), np.ones((2, 1)))
    assert state["total"] == 0.0 and after["total"] == 2.0 and after["count"] == 2.0
    assert metric.result() == 0.0
    assert set(metric.state_specs()) == set(after)


def test_mean_and_sum():
    mean = metrics.Mean()
    mean.update_state([1.0, 3.0, 5.0, 7.0])
    assert mean.result() == 4.0
    mean.reset_state()
    mean.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1.0, 1.0, 0.0, 0.0])
    assert mean.result() == 2.0
    total = metrics.Sum()
    assert total([1.0, 3.0, 5.0, 7.0], sample_weight=[1.0, 1.0, 0.0, 0.0]) == 4.0


def test_keras_surface():
    metric = metrics.BinaryAccuracy()
    assert metric([1.0, 0.0], [0.9, 0.8]) == 0.5
    metric.update_state([1.0, 1.0], [0.9, 0.8], [1.0, 1.0])
    assert metric.result() == 0.75 and isinstance(metric.result(), float)
    metric.reset_state()
    assert metric.result() == 0.0


def test_root_mean_squared_error():
    metric = metrics.RootMeanSquaredError()
    metric.update_state(np.zeros(2), np.array([3.0, 4.0]))
    assert metric.result() == pytest.approx(np.sqrt(12.5))


@pytest.mark.parametrize(
    "name", ["bce", "kld", "poisson", "hinge", "squared_hinge", "mape", "msle", "huber", "log_cosh"]
)
def test_a_loss_as_a_metric_is_its_mean(name):
    random = np.random.RandomState(0)
    y, p = random.uniform(0.1, 0.9, (6, 3)), random.uniform(0.1, 0.9, (6, 3))
    metric = metrics.get(name)
    metric.update_state(y, p)
    close(metric.result(), losses.get(name)(y, p), 1e-5)


def test_cosine_similarity_grows_with_likeness():
    metric = metrics.CosineSimilarity()
    assert metric(np.ones((1, 2)), np.ones((1, 2))) == pytest.approx(1.0)


Y1, Y2, P = Spec((8,), "int32"), Spec((8, 4), "float32"), Spec((8, 4), "float32")


@pytest.mark.parametrize(
    ("y", "prediction", "made"),
    [
        (Y1, P, metrics.SparseCategoricalAccuracy),
        (Spec((8, 1), "int32"), P, metrics.SparseCategoricalAccuracy),
        (Y2, P, metrics.CategoricalAccuracy),
        (Y1, Spec((8, 1), "float32"), metrics.BinaryAccuracy),
        (Spec((8, 1), "float32"), Spec((8, 1), "float32"), metrics.BinaryAccuracy),
        (Spec((8, 5), "int32"), Spec((8, 5, 4), "float32"), metrics.SparseCategoricalAccuracy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_is_resolved_from_shapes(name, y, prediction, made):
    metric = metrics.resolve(name, y, prediction)
    assert type(metric) is made and metric.name == name


def test_log_keys():
    assert metrics.resolve("mse", Y2, P).name == "mse"
    assert metrics.resolve("MeanSquaredError", Y2, P).name == "MeanSquaredError"
    assert metrics.resolve(metrics.MeanSquaredError(), Y2, P).name == "mean_squared_error"
    assert metrics.resolve(metrics.MeanSquaredError(name="error"), Y2, P).name == "error"
    assert metrics.resolve(losses.mean_squared_error, Y2, P).name == "mean_squared_error"
    assert metrics.resolve("crossentropy", Y1, P).name == "crossentropy"

    def worst(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred), -1)

    metric = metrics.resolve(worst, Y2, P)
    assert metric.name == "worst"
    assert metric(np.zeros((1, 2)), np.array([[1.0, -3.0]])) == 3.0
    loss = metrics.resolve(losses.Huber(), Y2, P)
    assert loss.name == "huber_loss" and loss(np.zeros((1, 1)), np.ones((1, 1))) == 0.5


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="did you mean 'binary_accuracy'"):
        metrics.get("binary_acuracy")
    with pytest.raises(ValueError, match="None"):
        metrics.resolve(None, Y1, P)
    with pytest.raises(ValueError, match="threshold must be a number"):
        metrics.BinaryAccuracy(threshold="high")
    with pytest.warns(DeprecationWarning, match="log_cosh"):
        metrics.get("logcosh")


@pytest.mark.parametrize("name", ["Mean", "BinaryAccuracy", "TopKCategoricalAccuracy", "BinaryCrossentropy"])
def test_config_round_trip(name):
    made = metrics.TABLE[name](name="mine")
    assert type(made).from_config(made.get_config()).get_config() == made.get_config()
