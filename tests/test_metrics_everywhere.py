"""Every metric: a row for each, one state on both backends, metrics of your own, and what logs and errors say."""

import warnings

import numpy as np
import pytest

import lamella
from lamella import losses, metrics, ops
from lamella.backend_api import load_backend
from lamella.errors import UnknownNameError
from lamella.ir.dim import symbol
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from oracle import cases, load

# Keras 3.15.1's classes; each also by its snake-case name
CLASSES = (
    "AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy CategoricalCrossentropy CategoricalHinge "
    "ConcordanceCorrelation CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives Hinge IoU KLDivergence "
    "LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanSquaredError MeanSquaredLogarithmicError "
    "OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision PrecisionAtRecall R2Score Recall RecallAtPrecision "
    "RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy SparseCategoricalCrossentropy "
    "SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives "
    "TruePositives"
).split()
SHORT = "bce BCE mse MSE mae MAE mape MAPE msle MSLE acc accuracy".split()
UGLY = {"io_u": "IoU", "mean_io_u": "MeanIoU", "log_cosh_error": "LogCoshError", "auc": "AUC", "f1_score": "F1Score",
        "f_beta_score": "FBetaScore", "r2_score": "R2Score", "one_hot_mean_io_u": "OneHotMeanIoU"}  # fmt: skip


def test_every_metric_has_a_row():
    known = {metrics.TABLE[name] for name in metrics.TABLE}
    made = {entry.__name__ for entry in known if isinstance(entry, type)}
    assert made == set(CLASSES)
    rows = {case.name for case in cases.METRICS}
    assert rows == made - {"Mean", "Sum"}  # of values, not of targets and predictions: test_metrics.py
    for name in rows:
        assert {case.sample_weight is None for case in cases.METRICS if case.name == name} == {True, False}, name


def test_every_name_resolves():
    for name in CLASSES:
        assert metrics.TABLE[name] is getattr(metrics, name)
        assert name in dir(metrics)
    for name, made in UGLY.items():
        assert metrics.TABLE[name] is getattr(metrics, made)
    for name in SHORT:
        assert isinstance(metrics.get(name), metrics.Metric)
    for name in ("binary_focal_crossentropy", "pearson_correlation", "concordance_correlation"):
        assert metrics.get(name).name == name and callable(getattr(metrics, name))
    with pytest.warns(DeprecationWarning, match="f_beta_score"):
        assert isinstance(metrics.get("fbeta_score"), metrics.FBetaScore)


OF_EACH = {case.name: case for case in reversed(cases.METRICS) if case.y_true_values is None and case.sample_weight}


def made(case):
    return getattr(metrics, case.name)(**case.kwargs)


@pytest.mark.parametrize("case", OF_EACH.values(), ids=OF_EACH)
def test_config_round_trip(case):
    metric = made(case)
    assert type(metric).from_config(metric.get_config()).get_config() == metric.get_config()


def test_both_backends_reach_one_state(both):
    """All metrics in one program of one weighted batch each, in float64; and their values."""
    listed, operands, states = [], [], []
    for case in OF_EACH.values():
        entry = load.load("metrics", case.id)
        metric = getattr(metrics, case.name)(**{**case.kwargs, "dtype": "float64"})
        arrays = [entry[f"{word}/0"] for word in ("y_true", "y_pred", "sample_weight")]
        arrays = [a.astype("float64") if a.dtype.kind == "f" else a for a in arrays]
        metric.build(*[Spec(a.shape, str(a.dtype)) for a in arrays[:2]], True)
        listed.append(metric)
        operands += arrays
        states += metric.initial_state().values()

    def update(*values):
        outputs, place = [], len(operands)
        for i, metric in enumerate(listed):
            names = list(metric.state_specs())
            state = dict(zip(names, values[place : place + len(names)], strict=True))
            place += len(names)
            y, p, weight = values[3 * i : 3 * i + 3]
            after = metric.update(state, y, p, weight=weight)
            outputs += [after[name] for name in names]
        return tuple(outputs)

    program = trace(update, *[Spec(a.shape, str(a.dtype)) for a in (*operands, *states)])
    found = []
    for name in both:
        backend = load_backend(name)
        with backend.scope(program):
            arrays = [
                backend.asarray(a, s.dtype) for a, s in zip((*operands, *states), program.input_specs, strict=True)
            ]
            found.append([backend.numpy(y) for y in backend.compile(program)(*arrays)])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype == np.float64
        assert np.max(np.abs(a - b)) <= 1e-9 * max(np.max(np.abs(b)), 1e-30)
    place = 0
    for metric in listed:
        names = list(metric.state_specs())
        values = [metric.read(dict(zip(names, leaves[place : place + len(names)], strict=True))) for leaves in found]
        place += len(names)
        np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12)


X = np.random.RandomState(0).standard_normal((10, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


def small(watched, units=1, weighted=None, loss="mse", activation="sigmoid"):
    lamella.random.set_random_seed(0)
    model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(units, activation=activation)])
    model.compile("sgd", loss, metrics=watched, weighted_metrics=weighted)
    return model


class Errors(metrics.Metric):
    """The mean distance, in Keras's API."""

    def __init__(self, name="errors", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.rows = self.add_variable((), "zeros", name="rows")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = ops.mean(ops.abs(y_true - y_pred), -1)
        if sample_weight is not None:
            values = values * sample_weight
        self.total.assign_add(ops.sum(values))
        self.rows.assign(self.rows + y_true.shape[0])

    def result(self):
        return self.total / self.rows


def test_a_metric_in_keras_style_alone():
    metric = Errors()
    assert metric(np.zeros((2, 1)), np.array([[1.0], [3.0]])) == 2.0
    metric.update_state(np.zeros((1, 1)), np.array([[5.0]]), sample_weight=np.array([0.4]))
    assert float(metric.result()) == 2.0
    assert [v.name for v in metric.variables] == ["total", "rows"] and metric.total.numpy() == 6.0
    metric.reset_state()
    assert metric.rows.numpy() == 0.0
    assert metric.get_config() == {"name": "errors", "dtype": "float32"}


def test_a_metric_in_keras_style_is_compiled_with_the_step(backend):
    """It is told no weights without a need, and no row that only fills a batch up: the last batch has two rows."""
    model = small([Errors(), "mae"])
    metric = Errors()
    logs = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    assert logs["errors"] == pytest.approx(logs["mae"], rel=1e-6)
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False).history
    np.testing.assert_allclose(history["errors"], history["mae"], rtol=1e-5)
    weights = np.arange(10, dtype="float32")
    model = small(None, weighted=[metric])
    logs = model.evaluate(X, Y, sample_weight=weights, batch_size=4, verbose=0, return_dict=True)
    expected = np.sum(np.abs(model.predict(X, verbose=0) - Y)[:, 0] * weights) / 10
    assert logs["errors"] == pytest.approx(expected, rel=1e-5)
    assert metric.total.numpy() == 0.0  # a trace leaves nothing behind


def test_variables_of_a_metric():
    metric = metrics.Metric("mine")
    first = metric.add_variable(shape=(2,), initializer="ones", dtype="int32")
    second = metric.add_weight("named", initializer="zeros")
    assert (first.name, second.name) == ("variable_0", "named")
    first.assign(3)
    first.assign_sub([1, 2])
    np.testing.assert_array_equal(first, [2, 1])
    assert (2 * first)[0] == 4 and (first > 1)[0]
    with pytest.raises(ValueError, match=r"has shape \(2,\), got \(3,\)"):
        first.assign([1, 2, 3])


def test_what_a_metric_must_say():
    with pytest.raises(NotImplementedError, match="add_variable"):
        metrics.Metric().state_specs()
    with pytest.raises(NotImplementedError, match="update_state"):
        metrics.Metric().update({})
    with pytest.raises(NotImplementedError, match="result"):
        metrics.Metric().compute({})


def test_a_function_of_the_whole_batch(backend):
    """One number per batch counts once per batch, as in Keras, and a short batch is not filled up for it."""

    def mean_pred(y_true, y_pred):
        return ops.mean(y_pred)

    model = small([mean_pred])
    found = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)["mean_pred"]
    p = model.predict(X, verbose=0)
    assert found == pytest.approx(np.mean([p[:4].mean(), p[4:8].mean(), p[8:].mean()]), rel=1e-5)


def test_which_metrics_take_a_row_of_weight_0_for_nothing():
    y, p = Spec((symbol("batch"), 2), "float32"), Spec((symbol("batch"), 2), "float32")
    assert metrics.AUC().is_per_example(y, p)
    assert metrics.get("mse").is_per_example(y, p)
    assert not metrics.get(losses.Dice()).is_per_example(y, p)
    assert not Errors().is_per_example(y, p)


def test_several_values_in_logs(backend, capsys):
    model = small([metrics.F1Score(), metrics.Recall(thresholds=[0.2, 0.8])], units=2, activation="softmax")
    targets = np.eye(2, dtype="float32")[Y[:, 0].astype(int)]
    history = model.fit(X, targets, epochs=2, batch_size=4, verbose=2).history
    assert np.shape(history["f1_score"]) == (2, 2) and np.shape(history["recall"]) == (2, 2)
    assert "f1_score: [" in capsys.readouterr().out
    logs = model.evaluate(X, targets, verbose=0)
    assert isinstance(logs[0], float) and logs[1].shape == (2,)


def test_a_bare_string_and_nested_lists():
    assert small("mae").evaluate(X, Y, verbose=0)[1] == small([["mae"]]).evaluate(X, Y, verbose=0)[1]


def test_an_instance_serves_models_of_other_shapes():
    metric = metrics.F1Score()
    for units in (2, 3):
        targets = np.eye(units, dtype="float32")[np.arange(10) % units]
        assert small([metric], units).evaluate(X, targets, verbose=0)[1].shape == (units,)


def test_confusion_counts_integers_beyond_float32():
    metric = metrics.MeanIoU(2)
    state = {"total_confusion_matrix": np.full((2, 2), 2**24, np.int32)}
    after = metric.update(state, np.array([0]), np.array([0]), weight=np.ones(1, np.float32))
    assert after["total_confusion_matrix"][0, 0] == 2**24 + 1


def test_r2_far_from_zero():
    """Sums of squares less the square of the sum, in float32, would leave nothing of it."""
    random = np.random.RandomState(0)
    y = (10_000 + random.standard_normal((300, 1))).astype("float32")
    p = (y + 0.5 * random.standard_normal((300, 1))).astype("float32")
    metric = metrics.R2Score()
    for part in range(0, 300, 100):
        metric.update_state(y[part : part + 100], p[part : part + 100])
    y, p = y.astype("float64"), p.astype("float64")
    assert metric.result() == pytest.approx(1 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2), abs=1e-4)


def test_r2_with_too_many_regressors():
    metric = metrics.R2Score(num_regressors=5)
    with pytest.warns(UserWarning, match="needs more than 6 rows"):
        assert metric(np.arange(3.0)[:, None], np.arange(3.0)[:, None]) == 1.0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("AUC", {"num_thresholds": 1}, "num_thresholds must be an integer of at least 2"),
        ("AUC", {"curve": "RCO"}, "did you mean 'ROC'"),
        ("AUC", {"summation_method": "minorin"}, "did you mean 'minoring'"),
        ("AUC", {"num_labels": 2}, "multi_label=True"),
        ("AUC", {"thresholds": [0.5, 1.5]}, r"from 0 to 1, got \[1.5\]"),
        ("Precision", {"thresholds": []}, "from 0 to 1"),
        ("Precision", {"top_k": 0}, "top_k must be an integer of at least 1"),
        ("Recall", {"class_id": -1}, "class_id must be an integer of at least 0"),
        ("PrecisionAtRecall", {"recall": 1.5}, "recall must be from 0 to 1"),
        (
            "SensitivityAtSpecificity",
            {"specificity": 0.5, "num_thresholds": 0},
            "num_thresholds must be a positive integer",
        ),
        ("F1Score", {"average": "mean"}, "'micro'"),
        ("FBetaScore", {"beta": 0.0}, "beta must be positive"),
        ("F1Score", {"threshold": 0.0}, "threshold must be above 0"),
        ("IoU", {"num_classes": 2, "target_class_ids": [2]}, "0 to 1"),
        ("MeanIoU", {"num_classes": 0}, "num_classes"),
        ("R2Score", {"class_aggregation": "mean"}, "uniform_average"),
        ("R2Score", {"num_regressors": -1}, "must not be negative"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(**options)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (metrics.F1Score(), r"takes targets and predictions \(batch, classes\)"),
        (metrics.R2Score(), r"takes targets and predictions \(batch, outputs\)"),
        (metrics.Precision(class_id=3), "class_id=3 does not fit"),
        (metrics.Recall(top_k=9), "top_k=9 does not fit"),
        (metrics.AUC(multi_label=True, num_labels=5), "multi_label=True"),
        (metrics.AUC(label_weights=[1.0] * 5), "5 label_weights"),
    ],
)
def test_shapes_that_do_not_fit_are_told_before_any_work(metric, message):
    model = small([metric], 3, loss="sparse_categorical_crossentropy", activation="softmax")
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.arange(10) % 3, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_metrics_that_need_arguments_are_told_by_compile():
    with pytest.raises(ValueError, match=r"'num_classes'; pass an instance, metrics.MeanIoU"):
        small(["mean_io_u"])
    with pytest.raises(UnknownNameError, match="did you mean 'precision'"):
        small(["precison"])


def test_whole_weights_in_an_integer_matrix():
    metric = metrics.MeanIoU(2, dtype="int32")
    metric.update_state([0, 1], [0, 1], sample_weight=np.array([2.0, 1.0]))
    with pytest.raises(ValueError, match="dtype='float32'"):
        metric.update_state([0, 1], [0, 1], sample_weight=np.array([0.5, 1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.MeanIoU(2)([0, 1, 1], [0, 1, 0], sample_weight=np.array([0.5, 1.0, 0.5])) == pytest.approx(
            7 / 12
        )
