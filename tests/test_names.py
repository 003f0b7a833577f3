"""Names: what is refused is refused when the name is given, and what is taken is read again from every file and export."""

from __future__ import annotations

import importlib
import inspect
import pickle

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella import layers, losses, metrics, ops, optimizers
from lamella.callbacks import BackupAndRestore, ModelCheckpoint
from lamella.core.variable import Variable
from lamella.errors import FormatError
from lamella.layers import Dense, Dropout, Input
from lamella.metrics.variable import MetricVariable
from lamella.models import load_model
from lamella.names import Name
from lamella.optimizers.schedules import ExponentialDecay

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.ones((6, 3), "float32")

UNPRINTABLE = {
    "newline": "a\nb", "tab": "a\tb", "escape": "a\x1b[31mb", "nul": "a\0b", "delete": "a\x7fb", "next line": "a\x85b",
    "line separator": "a\u2028b", "bidirectional": "a\u202eb", "joiner": "a\u200db", "mark": "\ufeffa",
    "surrogate": "a\ud800b", "noncharacter": "a\ufffeb", "private": "a\ue000b", "too long": "n" * 1001,
    "too long in bytes": "\U0001f600" * 251, "integer": 7,
}  # fmt: skip
NO_PATH = {"slash": "a/b", "backslash": "a\\b", "dot": ".", "dots": ".."}
ACCEPTED = {
    "as long as may be": "n" * 1000, "as long in bytes": "\U0001f600" * 250, "accents": "e\u0301\u00e9", "space": " ",
    "quotes": 'a"""b\'', "braces": "{a}}", "percent": "%s%n", "mark of arrays": "$array", "metadata": "__metadata__",
    "input": "x", "output": "y", "rows": "rows", "key": "key", "step": "step", "vars": "vars", "layers": "layers",
    "loss": "loss", "epoch": "epoch", "batch": "batch", "number": "0", "keyword": "class", "wildcard": "*?[a]",
    "home": "~", "drive": "a:b", "group of HDF5": "top_level_model_weights", "optimizer": "optimizer",
}  # fmt: skip


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):  # nothing here depends on the backend, and JAX compiles
        yield


class Weighted(lamella.Layer):
    def __init__(self, weight, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[-1:], "ones", name=self.weight)
        self.offset = self.add_weight(input_shape[-1:], "ones", name="offset")

    def call(self, x):
        return x * self.factor + self.offset


class Error(metrics.Metric):
    def __init__(self, name=None, variable="total", dtype=None):
        super().__init__(name, dtype)
        self.variable = variable
        self.total = self.add_variable((), "zeros", name=variable)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(ops.abs(y_true - y_pred)))

    def result(self):
        return self.total.value

    def get_config(self):
        return {**super().get_config(), "variable": self.variable}


def named(name):
    """A compiled model in which everything that has a name has this one."""
    lamella.utils.set_random_seed(1)
    inner = lamella.Sequential([Dense(4, name=name)], name="inner")
    model = lamella.Sequential([Input((3,), name=name), Weighted(name, name=name), inner, Dense(3)], name=name)
    rate = ExponentialDecay(0.01, 10, 0.9, name=name)
    model.compile(optimizers.Adam(rate, name=name), losses.Huber(name=name), metrics=[Error(name, name)])
    return model


GIVEN = {
    "layer": lambda name: Dense(2, name=name),
    "layer afterwards": lambda name: setattr(Dense(2), "name", name),
    "model": lambda name: lamella.Sequential(name=name),
    "input": lambda name: Input((2,), name=name),
    "weight": lambda name: lamella.Sequential([Input((2,)), Weighted(name)]),
    "optimizer": lambda name: optimizers.SGD(name=name),
    "metric's variable": lambda name: Error(variable=name),
}
LABELLED = {
    "metric": lambda name: Error(name),
    "metric afterwards": lambda name: setattr(Error(), "name", name),
    "loss": lambda name: losses.Huber(name=name),
    "schedule": lambda name: ExponentialDecay(0.1, 1, 0.5, name=name),
}


@pytest.mark.filterwarnings("ignore:lamella.optimizers.legacy:DeprecationWarning")
def test_every_public_object_with_a_name_has_a_checked_one():
    classes = {lamella.Sequential, lamella.Layer, layers.InputLayer, Variable, MetricVariable}
    modules = (
        "layers losses metrics optimizers optimizers.schedules callbacks initializers regularizers constraints models"
    )
    for module in modules.split():
        found = importlib.import_module(f"lamella.{module}")
        public = (getattr(found, name) for name in dir(found) if not name.startswith("_"))
        classes |= {
            c
            for c in public
            if isinstance(c, type)
            and not issubclass(c, Exception)
            and (hasattr(c, "name") or "name" in inspect.signature(c).parameters)
        }
    assert len(classes) > 200
    assert [c for c in classes if not isinstance(inspect.getattr_static(c, "name", None), Name)] == []


@pytest.mark.parametrize("name", UNPRINTABLE.values(), ids=UNPRINTABLE.keys())
def test_a_name_that_no_file_can_hold_is_refused_when_it_is_given(name):
    for give in (GIVEN | LABELLED).values():
        with pytest.raises(ValueError, match=r"The name of an? .* must be a string of at most 1,000 bytes") as caught:
            give(name)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", NO_PATH.values(), ids=NO_PATH.keys())
def test_a_part_of_a_path_is_no_path(name):
    for give in GIVEN.values():
        with pytest.raises(ValueError, match=r"must be .* without '/'"):
            give(name)
    for give in LABELLED.values():
        give(name)


def test_an_empty_name_is_refused_or_the_default():
    for make in (Dense, lambda units, name: Input((units,), name=name)):
        with pytest.raises(ValueError, match=r"must be .* not empty"):
            make(2, name="")
    assert Error("").name == "error"


@pytest.mark.parametrize("name", [*UNPRINTABLE.values(), *NO_PATH.values()], ids=[*UNPRINTABLE, *NO_PATH])
def test_the_same_names_are_refused_in_files(name, tmp_path):
    model = lamella.Sequential([Input((3,)), Dense(2)])
    vars(model.layers[0])["name"] = name  # past the check
    model.save(tmp_path / "a.safetensors")
    with pytest.raises(FormatError, match=r"name is a string of at most 1,000 bytes"):
        load_model(tmp_path / "a.safetensors")


SLOW = pytest.mark.slow
ONNX = importable("onnx")


@pytest.mark.parametrize(
    "name", [pytest.param(n, id=i, marks=() if i == "mark of arrays" else SLOW) for i, n in ACCEPTED.items()]
)
def test_a_name_that_is_taken_comes_back_from_every_file_and_export(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, custom = named(name), {"Weighted": Weighted, "Error": Error}
    backup = BackupAndRestore("backup", delete_checkpoint=False)
    savers = [ModelCheckpoint(f"{{epoch}}.{ending}") for ending in ("keras", "h5", "safetensors", "npz")]
    run = {"batch_size": 4, "verbose": 0, "validation_data": (X, Y)}
    model.fit(X, Y, callbacks=[backup, *savers], **run)
    expected, measured = model.predict(X, verbose=0), model.evaluate(X, Y, verbose=0)
    paths = [path for path, _ in model.named_weights()]
    for ending in ("keras", "h5", "safetensors"):
        again = load_model(f"1.{ending}", custom_objects=custom)
        np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
        assert [path for path, _ in again.named_weights()] == paths and again.name == name
        assert again.to_json() == model.to_json() or ending == "safetensors"
        if ending != "safetensors":
            assert again.evaluate(X, Y, verbose=0) == measured and again.optimizer.name == name
            again.fit(X, Y, verbose=0)
        if ending != "keras":
            other = named(name)
            other.load_weights(f"1.{ending}", by_name=ending == "h5")
            np.testing.assert_array_equal(other.predict(X, verbose=0), expected)
    model.save_weights("a.weights.h5")
    for load in (lambda m: m.load_weights("a.weights.h5"), lambda m: m.load_checkpoint("1.npz")):
        load(other := named(name))
        np.testing.assert_array_equal(other.predict(X, verbose=0), expected)
    resumed = named(name)
    resumed.fit(X, Y, callbacks=[backup], **run)
    np.testing.assert_array_equal(resumed.predict(X, verbose=0), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X, verbose=0), expected)
    model.export("net.py")
    namespace = {"__name__": "net", "__file__": str(tmp_path / "net.py")}
    exec(compile((tmp_path / "net.py").read_text("utf-8"), "net.py", "exec"), namespace)
    np.testing.assert_allclose(namespace["predict"](X), expected, atol=1e-5)
    if ONNX:
        onnx, reference = importlib.import_module("onnx"), importlib.import_module("onnx.reference")
        model.export("net.onnx")
        graph = onnx.load("net.onnx")
        onnx.checker.check_model(graph)
        np.testing.assert_allclose(reference.ReferenceEvaluator(graph).run(None, {"x": X})[0], expected, atol=1e-5)


# ---- names in models ----


def kept_together(model):
    for layer in model.layers:
        assert model.get_layer(layer.name) is layer
    assert list(model.children) == [layer.name for layer in model.layers]


def test_a_joined_model_has_unique_names_and_can_be_read(tmp_path):
    first = lamella.Sequential([Input((3,)), Dense(4), Dense(3)])
    second = lamella.Sequential([Input((3,)), Dense(5), Dropout(0.5), Dense(1)])
    expected = second.predict(first.predict(X, verbose=0), verbose=0)
    joined = lamella.Sequential([Input((3,)), *first.layers, *second.layers])
    assert [layer.name for layer in joined.layers] == ["dense", "dense_1", "dense_2", "dropout", "dense_3"]
    assert [layer.name for layer in second.layers] == ["dense_2", "dropout", "dense_3"]
    for model in (first, second, joined):
        kept_together(model)
    assert next(path for path, _ in second.named_weights()) == "dense_2/kernel"
    for ending in ("keras", "h5", "safetensors"):
        joined.save(tmp_path / f"a.{ending}")
        again = load_model(tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
        twice = lamella.Sequential([Input((3,)), *again.layers[:2], *load_model(tmp_path / f"a.{ending}").layers[:2]])
        assert [layer.name for layer in twice.layers] == ["dense", "dense_1", "dense_2", "dense_3"]


def test_a_layer_of_two_models_gets_a_name_that_is_free_in_both():
    first = lamella.Sequential([Input((3,)), Dense(3), Dense(3), Dense(3)])
    second = lamella.Sequential([Input((3,)), Dense(3)])
    second.add(first.layers[0])
    assert [layer.name for layer in second.layers] == ["dense", "dense_3"]
    assert [layer.name for layer in first.layers] == ["dense_3", "dense_1", "dense_2"]
    kept_together(first)
    second.add(first.layers[2])
    assert second.layers[-1].name == "dense_2"


def test_joining_that_fails_gives_the_names_back():
    first, second = (lamella.Sequential([Input((3,)), Dense(3)]) for _ in range(2))
    wide = lamella.Sequential([Input((5,)), Dense(3)])
    with pytest.raises(ValueError, match="expected"):
        lamella.Sequential([Input((3,)), *first.layers, *wide.layers])
    assert wide.layers[0].name == "dense"
    named = Dense(2, name="dense")
    with pytest.raises(ValueError, match="Two layers are called 'dense'"):
        second.add(named)
    assert named.name == "dense" and second.get_layer("dense") is second.layers[0]
    kept_together(second)


def test_a_new_name_holds_in_the_model_in_files_and_in_draws(tmp_path):
    lamella.utils.set_random_seed(1)
    layer = Dense(4)
    inner = lamella.Sequential([layer, Dropout(0.5)])
    model = lamella.Sequential([Input((3,)), inner, Dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    layer.name, inner.layers[1].name, inner.name = "first", "noise", "body"
    assert [path for path, _ in model.named_weights()][:2] == ["body/first/kernel", "body/first/bias"]
    kept_together(model)
    kept_together(inner)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "a.keras")
    again = load_model(tmp_path / "a.keras")
    assert again.layers[0].layers[0].name == "first"
    for each in (model, again):  # one that was trained under the old names, and one that never had them
        each.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))
    with pytest.raises(ValueError, match="'dense' cannot be called 'body': model 'sequential' has another layer"):
        model.layers[1].name = "body"
    assert model.layers[1].name == "dense"
    popped = model.pop()
    popped.name = "body"  # it is in no model now


def test_a_copy_of_a_layer_has_a_name_of_its_own():
    model = lamella.Sequential([Input((3,)), Dense(3)])
    copy = pickle.loads(pickle.dumps(model.layers[0]))
    copy.name = "other"
    assert model.layers[0].name == "dense"
    kept_together(model)
