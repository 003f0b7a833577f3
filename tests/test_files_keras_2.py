"""Files of tf.keras 2.3 to 2.15: recorded ones with what tf.keras predicted, and the fields that they hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import layers, metrics
from lamella.core import serialization
from lamella.models import load_model, model_from_json
from lamella.saving import FormatError, checking

DATA = Path(__file__).parent / "oracle" / "data" / "files"
NOT_READ = "the optimizer's state of Keras 2[.0-9]* is not read"


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):  # nothing here depends on the backend, and JAX compiles
        yield


@pytest.mark.parametrize("name", ["images.h5", "sequences.h5", "archive.keras", "cudnn.h5"])
@pytest.mark.filterwarnings(f"ignore:.*{NOT_READ}:UserWarning")
def test_a_file_of_tf_keras_predicts_what_it_predicted(name, tmp_path):
    path = DATA / f"keras_2_{name}"
    model = load_model(path)
    with np.load(path.with_suffix(".npz")) as answers:
        x, expected = answers["x"], answers["predictions"]
    found = model.predict(x, verbose=0)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max() + 1e-7
    model.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "again.keras").predict(x, verbose=0), found)


def test_a_trained_file_of_tf_keras_says_what_it_was_compiled_with():
    with pytest.warns(UserWarning, match=NOT_READ) as warned:
        model = load_model(DATA / "keras_2_images.h5")
    assert warned[0].filename == __file__
    assert type(model.optimizer).__name__ == "RMSprop" and model.optimizer.ema_overwrite_frequency is None
    assert model.optimizer.learning_rate == pytest.approx(0.01)
    assert model.loss.get_config()["from_logits"] is True and model.loss.reduction == "sum_over_batch_size"
    assert model._compiled.configuration.objective.metrics == ["accuracy"]


def test_weights_of_tf_keras_are_taken_without_the_optimizer_s_state():
    with pytest.warns(UserWarning, match=NOT_READ):
        model = load_model(DATA / "keras_2_archive.keras")
    other = lamella.models.clone_model(model)
    other.compile("adam", "mse")
    with pytest.warns(UserWarning, match=NOT_READ) as warned:
        assert other.load_weights(DATA / "keras_2_archive.keras").complete
    assert warned[0].filename == __file__
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


# ---- fields ----


def text_of(name, config, shape, version="2.11.0"):
    first = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, *shape], "dtype": "float32", "name": "x"},
    }
    layer = {"class_name": name, "config": {"name": "it", "trainable": True, "dtype": "float32", **config}}
    config = {"name": "old", "layers": [first, layer]}
    return json.dumps({"class_name": "Sequential", "config": config, "keras_version": version, "backend": "tensorflow"})


def read(name, config, shape, **kwargs):
    return model_from_json(text_of(name, config, shape, **kwargs)).layers[0]


CONV = {
    "kernel_size": [2, 2],
    "strides": [1, 1],
    "padding": "valid",
    "dilation_rate": [1, 1],
    "groups": 1,
    "use_bias": True,
}
GLOROT = {"class_name": "GlorotUniform", "config": {"seed": None}}
KERNEL = {"kernel_initializer": GLOROT, "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.5}}}

FIELDS = {
    "DepthwiseConv2D": ({**CONV, "depth_multiplier": 1}, (6, 6, 2)),
    "Conv2DTranspose": ({**CONV, "filters": 2, "output_padding": None}, (6, 6, 2)),
    "SeparableConv2D": ({**CONV, **KERNEL, "filters": 2, "depth_multiplier": 1}, (6, 6, 2)),
    "SpatialDropout2D": ({"rate": 0.5, "noise_shape": None, "seed": None}, (6, 6, 2)),
    "LSTM": ({"units": 2, "time_major": False, "implementation": 2}, (5, 3)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_did_nothing_are_read(name):
    config, shape = FIELDS[name]
    assert type(read(name, config, shape)).__name__ == name


@pytest.mark.parametrize(
    ("name", "changed"), [("DepthwiseConv2D", {"groups": 2}), ("SpatialDropout2D", {"noise_shape": [None, 1, 1, 2]})]
)
def test_the_same_fields_with_another_value_are_refused(name, changed):
    config, shape = FIELDS[name]
    with pytest.raises(FormatError, match=f"{next(iter(changed))} = .* is not a field of lamella's {name}"):
        read(name, {**config, **changed}, shape)


def test_flags_may_be_one_and_zero():
    layer = read("BatchNormalization", {"scale": 1, "center": 0, "synchronized": True}, (4,))
    assert layer.scale is True and layer.center is False
    with pytest.raises(FormatError, match="scale is true or false, got 2"):
        read("BatchNormalization", {"scale": 2}, (4,))


@pytest.mark.parametrize(
    "number",
    [
        0.125,
        {"type": "ndarray", "value": 0.125},
        {"class_name": "__numpy__", "config": {"value": 0.125, "dtype": "float32"}},
    ],
)
def test_numbers_of_numpy(number):
    assert read("LeakyReLU", {"alpha": number}, (4,)).negative_slope == 0.125
    for wrong in ({"value": 0.125}, {"class_name": "__numpy__", "value": 0.125, "dtype": "float32"}):
        with pytest.raises(FormatError, match="negative_slope is a finite number"):
            read("LeakyReLU", {"alpha": wrong}, (4,))


GONE = {
    "CuDNNLSTM": ({"units": 2}, (5, 3), lambda: layers.LSTM(2)),
    "CuDNNGRU": ({"units": 2}, (5, 3), lambda: layers.GRU(2, reset_after=True)),
    "SyncBatchNormalization": ({"momentum": 0.5}, (4,), lambda: layers.BatchNormalization(momentum=0.5)),
    "ThresholdedReLU": ({"theta": 0.5}, (4,), lambda: layers.ReLU(threshold=0.5)),
}


@pytest.mark.parametrize("name", GONE)
def test_classes_that_are_gone_are_those_of_today(name):
    config, shape, make = GONE[name]
    expected = {**make().get_config(), "name": "it"}
    found = read(name, config, shape)
    assert type(found).__name__ == type(make()).__name__ and {**found.get_config(), "name": "it"} == expected


@pytest.mark.parametrize("version", ["1.2.2", "2.2.4", "2.15.0"])
def test_hard_sigmoid_is_the_one_of_its_release(version):
    x = np.linspace(-4, 4, 33, dtype="float32")[:, None]
    old = model_from_json(text_of("Activation", {"activation": "hard_sigmoid"}, (1,), version=version))
    np.testing.assert_allclose(np.asarray(old(x)), np.clip(0.2 * x + 0.5, 0, 1), atol=1e-7)
    new = model_from_json(text_of("Activation", {"activation": "hard_sigmoid"}, (1,), version="3.0.0"))
    np.testing.assert_allclose(np.asarray(new(x)), np.clip(x / 6 + 0.5, 0, 1), atol=1e-7)


def test_a_gru_of_a_release_without_reset_after():
    assert read("GRU", {"units": 2}, (5, 3), version="2.2.4").reset_after is False
    assert read("GRU", {"units": 2}, (5, 3), version="3.0.0").reset_after is True


# ---- what they were compiled with ----


def compiled(**config):
    return checking.compilation({"optimizer": "adam", "loss": "mse", **config}, "it")


ADAM = {"name": "Adam", "learning_rate": 0.5, "jit_compile": False, "is_legacy_optimizer": False, "beta_1": 0.5}


@pytest.mark.parametrize("name", ["Adam", "Custom>Adam"])
def test_optimizers_of_tf_keras(name):
    optimizer = serialization.deserialize(compiled(optimizer={"class_name": name, "config": ADAM})["optimizer"])
    assert type(optimizer).__name__ == "Adam" and optimizer.learning_rate == 0.5 and optimizer.beta_1 == 0.5


@pytest.mark.parametrize("name", ["LossScaleOptimizer", "LossScaleOptimizerV3"])
def test_a_loss_scale_optimizer_of_tf_keras(name):
    inner = {"class_name": "Custom>Adam", "config": ADAM}
    config = {"inner_optimizer": inner, "dynamic": True, "initial_scale": 64.0, "dynamic_growth_steps": 7}
    optimizer = serialization.deserialize(compiled(optimizer={"class_name": name, "config": config})["optimizer"])
    assert optimizer.inner_optimizer.beta_1 == 0.5 and optimizer.initial_scale == 64.0
    with pytest.raises((FormatError, TypeError)):
        serialization.deserialize(
            compiled(optimizer={"class_name": name, "config": {**config, "dynamic": False}})["optimizer"]
        )


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"name": "mae", "dtype": "float32", "fn": "mean_absolute_error"}, "mae"),
        ({"name": "accuracy", "dtype": "float32", "fn": "sparse_categorical_accuracy"}, "accuracy"),
        ({"name": "mine", "dtype": "float32", "fn": "mean_absolute_error"}, "mean_absolute_error"),
    ],
)
def test_metrics_that_were_functions(config, label):
    found = compiled(metrics=[[{"class_name": "MeanMetricWrapper", "config": config}]])["metrics"]
    assert found == [label] and (label == "accuracy" or metrics.get(label).name == "mean_absolute_error")
