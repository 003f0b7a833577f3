"""Models written and read again: every layer, every format, Keras's own files."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from lamella.core import serialization
from lamella.files import text
from lamella.layers import Dense, configuration
from lamella.models import clone_model, load_model, model_from_json
from lamella.optimizers import schedules
from lamella.saving import FormatError, checking, layout
from layer_replay import difference
from oracle import cases
from oracle.build import constructed
from oracle.rows import RecurrentCase

DATA = Path(__file__).parent / "oracle" / "data" / "files"
ENDINGS = (".keras", ".h5", ".safetensors")


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):  # nothing here depends on the backend, and JAX compiles
        yield


def answers():
    with np.load(DATA / "answers.npz") as held:
        return dict(held)


def small(*, compiled=True, optimizer="adam"):
    lamella.utils.set_random_seed(3)
    inner = lamella.Sequential([Dense(3, "tanh")], name="inner")
    model = lamella.Sequential(
        [
            lamella.Input((4,)),
            Dense(5, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            inner,
        ],
        name="small",
    )
    if compiled:
        model.compile(optimizer, "mse", metrics=["mae"])
    return model


X = np.random.RandomState(0).standard_normal((12, 4)).astype("float32")
Y = np.random.RandomState(1).standard_normal((12, 3)).astype("float32")


def fitted(**kwargs):
    model = small(**kwargs)
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    return model


# ---- every layer ----


def sequentials():
    """One row of the oracle's tables for every layer that a Sequential takes."""
    seen = set()
    for kind in ("layers", "catalogue", "recurrent"):
        for case in cases.TABLES[kind]:
            if isinstance(case, RecurrentCase):
                several = (
                    len(case.inputs) > 1 or case.call != "one" or "state" in case.id.split("-") or case.call_kwargs
                )
                if several or case.layer[1].get("return_state") or case.layer[1].get("merge_mode", "") is None:
                    continue
                names, shape, dtype = {case.layer[0]}, case.inputs[0], "float32"
            else:
                names, shape, dtype = {name for name, _ in case.layers}, case.input_shape, case.input_dtype
            yield case, shape, dtype, not names <= seen
            seen |= names


def model_of(case, shape, dtype):
    if isinstance(case, RecurrentCase):
        held = [constructed(case.layer, layers)]
    else:
        inner = [] if case.wraps is None else [getattr(layers, case.wraps[0])(**case.wraps[1])]
        held = [getattr(layers, name)(*inner, **kwargs) for name, kwargs in case.layers]
    declared = lamella.Input(batch_shape=shape, dtype=None if dtype == "float32" else dtype)
    model = lamella.Sequential([declared, *held])
    if getattr(case, "adapt", None) is not None:  # built by the model, as what is read from a file is
        held[0].adapt(np.random.RandomState(5).standard_normal(case.adapt).astype("float32"))
    return model


def some(case, shape, dtype):
    random = np.random.RandomState(1)
    if getattr(case, "x_values", None) is not None:
        return np.array(case.x_values, dtype).reshape(shape)
    return (
        random.standard_normal(shape).astype(dtype)
        if dtype.startswith("float")
        else random.randint(0, 4, shape).astype(dtype)
    )


ROWS = [
    pytest.param(case, shape, dtype, id=case.id, marks=() if first else pytest.mark.slow)
    for case, shape, dtype, first in sequentials()
]


@pytest.mark.parametrize(("case", "shape", "dtype"), ROWS)
def test_every_layer_comes_back_to_the_bit(case, shape, dtype, tmp_path):
    model = model_of(case, shape, dtype)
    again = type(model).from_config(json.loads(model.to_json())["config"])
    assert again.to_json() == model.to_json()
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.to_json() == model.to_json() and loaded.seed == model.seed
    x = some(case, shape, dtype)
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


def test_every_argument_of_every_layer_has_a_check():
    for name in configuration.layer_table():
        if name not in ("InputLayer", "Lambda"):
            assert {"name", "trainable", "dtype"} <= set(checking._known(name))


# ---- everything else that has a configuration ----


def objects():
    needs = {
        "FBetaScore": {}, "IoU": {"num_classes": 2, "target_class_ids": [0]}, "MeanIoU": {"num_classes": 2},
        "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]}, "OneHotMeanIoU": {"num_classes": 2},
        "PrecisionAtRecall": {"recall": 0.5}, "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5}, "SpecificityAtSensitivity": {"sensitivity": 0.5},
        "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
        "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
        "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
        "PiecewiseConstantDecay": {"boundaries": [1, 2], "values": [0.1, 0.2, 0.3]},
        "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
        "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    }  # fmt: skip
    for module in (initializers, regularizers, constraints, losses, metrics, optimizers, schedules):
        for cls in {id(c): c for c in module.TABLE.values() if isinstance(c, type)}.values():
            if cls.__name__ not in ("LossScaleOptimizer", "MultiOptimizer"):
                yield pytest.param(
                    cls, needs.get(cls.__name__, {}), id=f"{module.__name__.split('.')[-1]}-{cls.__name__}"
                )


@pytest.mark.parametrize(("cls", "kwargs"), list(objects()))
def test_every_object_comes_back_from_its_configuration(cls, kwargs):
    described = json.loads(text.written(serialization.serialize(cls(**kwargs)), "it"))
    assert described["module"].startswith("keras.") and described["class_name"] == cls.__name__
    checked = checking.anything(described, "it")
    again = serialization.deserialize(checked)
    assert type(again) is cls
    assert json.loads(text.written(serialization.serialize(again), "it")) == described


# ---- formats ----


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_trained_model_comes_back(ending, tmp_path):
    model = fitted()
    model.save(tmp_path / f"model{ending}")
    loaded = load_model(tmp_path / f"model{ending}")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.name == "small" and [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert loaded.history.history == model.history.history
    if ending != ".safetensors":
        expected = model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history
        assert loaded.fit(X, Y, batch_size=5, epochs=2, verbose=0).history == expected
        for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


OPTIMIZERS = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Lion"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_exactly_whatever_the_optimizer(name, tmp_path):
    options = {"momentum": 0.5} if name in ("SGD", "RMSprop") else {"amsgrad": True} if name == "Adam" else {}
    model = fitted(optimizer=getattr(optimizers, name)(schedules.ExponentialDecay(0.01, 5, 0.9), **options))
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(X, Y, batch_size=5, epochs=1, verbose=0)
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_frozen_after_compile_is_the_same_in_a_file(whole, tmp_path):
    model = fitted()
    (model if whole else model.layers[0]).trainable = False
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert not loaded.layers[0].trainable
    before = model.get_weights()[0]
    for one in (model, loaded):
        one.fit(X, Y, batch_size=5, epochs=1, verbose=0)
        assert np.array_equal(one.get_weights()[0], before) is not whole  # as a whole: trained as compiled
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_model_gives_the_same_bytes_in_every_process(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hashlib, pathlib, test_files as t\n"
        "for e in ('.keras', '.h5', '.safetensors'):\n"
        "    p = pathlib.Path(sys.argv[2]) / ('other' + e); t.fitted().save(p)\n"
        "    print(hashlib.sha256(p.read_bytes()).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7", "LAMELLA_BACKEND": "numpy"},
    )  # fmt: skip
    here = []
    for ending in ENDINGS:
        fitted().save(tmp_path / f"one{ending}")
        here.append(hashlib.sha256((tmp_path / f"one{ending}").read_bytes()).hexdigest())
    assert done.stdout.split() == here


def test_the_date_is_the_one_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    small().save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        about = json.loads(archive.read("metadata.json"))
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert about["date_saved"] == "1970-01-02@00:00:00" and about["keras_version"] == "3.15.1"


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.keras"
    small().save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="which no file can describe: give the lambda a name"):
        lamella.Sequential([lamella.Input((2,)), Dense(1, lambda x: x)]).save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        small().save(path, overwrite=False)
    with pytest.raises(ValueError, match=r"ends in one of .keras, .h5"):
        small().save(tmp_path / "model.pkl")
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["model.keras"]


# ---- copies ----


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_go_on_alone(copied):
    model = fitted()
    other = copied(model)
    expected = [w.copy() for w in model.get_weights()]
    other.fit(X, Y, batch_size=5, epochs=1, verbose=0)
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, batch_size=5, epochs=1, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clone_has_weights_of_its_own():
    model = small()
    other = clone_model(model)
    assert other.get_config() == model.get_config()
    assert other.optimizer is None and np.any(other.get_weights()[0] != model.get_weights()[0])


# ---- classes of your own ----


class Scaled(layers.Layer):
    def __init__(self, units, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = inner if inner is not None else Dense(units)

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def doubled(x):
    return x * 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_own_classes_and_functions_come_from_the_caller_alone(ending, tmp_path):
    model = lamella.Sequential(
        [lamella.Input((4,)), Scaled(3, inner=Dense(3, doubled)), layers.Lambda(doubled, name="twice")], name="own"
    )
    path = tmp_path / f"own{ending}"
    model.save(path)
    with pytest.raises(FormatError, match=r"Scaled"):
        load_model(path)
    with pytest.raises(FormatError, match=r"doubled"):
        load_model(path, custom_objects={"Scaled": Scaled})
    loaded = load_model(path, custom_objects={"Scaled": Scaled, "doubled": doubled})
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(model(X)))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(np.asarray(other(X)), np.asarray(model(X)))


# ---- weights alone ----


@pytest.mark.parametrize("ending", [*ENDINGS, ".hdf5"])
def test_a_model_is_written_without_its_optimizer(ending, tmp_path):
    model = fitted()
    model.save(tmp_path / f"a{ending}", include_optimizer=False)
    assert model.optimizer is not None and model._compiled.state.steps == 6
    again = load_model(tmp_path / f"a{ending}")
    assert again.optimizer is None
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert again.history.history == model.history.history


def test_save_format_is_what_the_name_says_already(tmp_path):
    model = small()
    for name, format in (("a.h5", "h5"), ("a.hdf5", "h5"), ("a.keras", "keras")):
        with pytest.warns(DeprecationWarning, match="save_format"):
            model.save(tmp_path / name, save_format=format)
        assert load_model(tmp_path / name).get_config() == model.get_config()
    for format, words in (("tf", "SavedModel"), ("h5", "does not go with"), ("zip", "must be one of 'keras', 'h5'")):
        with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match=words):
            lamella.models.save_model(model, tmp_path / "b.keras", save_format=format)
    assert not (tmp_path / "b.keras").exists()


@pytest.mark.parametrize("ending", [".h5", ".hdf5"])
def test_weights_alone_in_the_older_format(ending, tmp_path):
    model = fitted()
    model.save_weights(tmp_path / f"w{ending}")
    for kwargs in ({}, {"by_name": True}):
        other = small()
        assert other.load_weights(tmp_path / f"w{ending}", **kwargs).complete
        np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises(FormatError, match="weights alone"):
        load_model(tmp_path / f"w{ending}")


class ScaledModel(lamella.Sequential):
    """A model with a weight of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = self.add_weight((3,), "ones", name="$array")

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask) * self.scale


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_model_s_own_weights_come_back(ending, tmp_path):
    model = ScaledModel([lamella.Input((4,)), Dense(3)])
    model.scale.assign([1.0, 2.0, 3.0])
    model.save(path := tmp_path / f"a{ending}")
    again, other = (
        load_model(path, custom_objects={"ScaledModel": ScaledModel}),
        ScaledModel([lamella.Input((4,)), Dense(3)]),
    )
    other.load_weights(path, by_name=ending == ".h5")
    for each in (again, other):
        np.testing.assert_array_equal(each.predict(X, verbose=0), model.predict(X, verbose=0))
    if ending == ".h5":
        model.layers[0].name = "top_level_model_weights"
        with pytest.raises(ValueError, match=r"for which \.h5 needs the name of its layer 'top_level_model_weights'"):
            model.save(path)


def test_weights_go_by_place_or_by_name_with_a_report(tmp_path):
    model = fitted()
    for ending in (".weights.h5", ".safetensors"):
        model.save_weights(tmp_path / f"w{ending}")
        other = clone_model(model)
        report = other.load_weights(tmp_path / f"w{ending}")
        assert report.complete and not report.unused and len(report.taken) == len(model.weights)
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
    wider = lamella.Sequential([lamella.Input((4,)), Dense(7), layers.BatchNormalization()])
    before = [w.copy() for w in wider.get_weights()]
    with pytest.raises(FormatError, match="skip_mismatch=True"):
        wider.load_weights(tmp_path / "w.weights.h5")
    for a, b in zip(wider.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "m.h5")
    named = lamella.Sequential([lamella.Input((4,)), Dense(5, name="dense"), Dense(2, name="new")])
    for file in ("w.weights.h5", "m.h5"):
        report = named.load_weights(tmp_path / file, by_name=True)
        assert report.taken == ["dense/kernel", "dense/bias"] and set(report.kept) == {"new/kernel", "new/bias"}
        assert report.unused and "2 weights taken, 2 kept" in str(report)
        np.testing.assert_array_equal(named.get_weights()[0], model.get_weights()[0])
    report = wider.load_weights(tmp_path / "w.safetensors", skip_mismatch=True)
    assert "shape (4, 7) in the model, (4, 5) in the file" in report.kept["dense/kernel"]


# ---- Keras's own files ----


@pytest.mark.parametrize("name", ["dense", "convolution", "recurrent", "sequences"])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_keras_s_models_predict_and_train_as_in_keras(name, ending):
    held = answers()
    x, y = held[f"{name}/x"], held[f"{name}/y"]
    model = load_model(DATA / f"{name}{ending}")
    expected = [held[f"{name}/weights/{i}"] for i in range(len(model.get_weights()))]
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert difference(model.predict(x), held[f"{name}/predictions"]) < 1e-5
    assert model.optimizer is not None and model._compiled.state.steps in (6, 8, 4)
    if f"{name}/trained/0" in held:
        model.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0)
        for i, found in enumerate(model.get_weights()):
            assert difference(found, held[f"{name}/trained/{i}"]) < 1e-5


def test_keras_s_weights_fit_a_model_of_the_same_layers():
    held = answers()
    model = load_model(DATA / "dense.keras", compile=False)
    other = clone_model(model)
    assert other.load_weights(DATA / "dense.weights.h5").complete
    assert difference(other.predict(held["dense/x"]), held["dense/predictions"]) < 1e-5
    assert clone_model(model).load_weights(DATA / "dense.h5", by_name=True).complete


def test_a_size_that_is_free_stays_free():
    model = load_model(DATA / "convolution.keras")
    assert model.input_shape == (None, None, None, 2) and len(model.weights) == 9
    assert model.predict(np.zeros((2, 9, 8, 2), "float32")).shape == (2, 2)
    held = answers()
    for ending in (".keras", ".h5"):
        model = load_model(DATA / f"sequences{ending}")
        assert model.built and model.input_shape == (None, None) and model.optimizer is not None
        for x in ("x", "longer"):
            expected = held["sequences/" + ("predictions" if x == "x" else "longer_predictions")]
            assert difference(model.predict(held[f"sequences/{x}"]), expected) < 1e-5


def test_the_layout_is_keras_s():
    model = load_model(DATA / "recurrent.keras")
    with zipfile.ZipFile(DATA / "recurrent.keras") as archive:
        from lamella.files import hdf5
        from lamella.saving import arrays

        tree = hdf5.read(archive.read("model.weights.h5"), name="it")
    assert dict.fromkeys(p for p, _ in layout.datasets(model)).keys() == arrays.layer_datasets(tree).keys()


def test_json_of_keras_and_of_lamella():
    with zipfile.ZipFile(DATA / "recurrent.keras") as archive:
        model = model_from_json(archive.read("config.json").decode())
    assert model.built and model.name == "recurrent" and model.optimizer is None
    assert model_from_json(model.to_json(indent=1)).to_json() == model.to_json()


@pytest.mark.skipif(not importable("h5py"), reason="h5py is not importable")
def test_reading_needs_numpy_alone():
    script = (
        "import sys; sys.modules['h5py'] = None; sys.modules['jax'] = None\n"
        "import lamella; m = lamella.models.load_model(sys.argv[1]); print(len(m.weights))\n"
        "try: m.save('never.keras')\n"
        "except ImportError as e: print(e)\n"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", script, str(DATA / "dense.keras")],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path, "LAMELLA_BACKEND": "numpy"},
    )  # fmt: skip
    count, message = done.stdout.splitlines()
    assert count == "8" and "pip install h5py" in message and not Path("never.keras").exists()


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_what_compile_was_told_comes_back(ending, tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(1)])
    model.compile(optimizers.LossScaleOptimizer("adam"), "mse", loss_weights=[2.0], run_eagerly=True)
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / f"a.{ending}")
    again = lamella.models.load_model(tmp_path / f"a.{ending}")
    assert again.runs_eagerly
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for each in (model, again):
        each.fit(x, x[:, :1], verbose=0)
    assert again.evaluate(x, x[:, :1], verbose=0) == model.evaluate(x, x[:, :1], verbose=0)


@pytest.mark.parametrize("expression", ["(a+)+b", "a**", ".*.*.*.*.*x", "[", "*a", "|*", "x" * 300])
def test_a_file_gives_no_expression_that_is_slow_to_match(expression):
    chosen = optimizers.OptimizerMap("adam")
    chosen._entries[expression] = optimizers.SGD()
    described = serialization.serialize(optimizers.MultiOptimizer(chosen))
    with pytest.raises(FormatError, match="is none that is taken from a file"):
        checking.compilation({"optimizer": described}, "it")
