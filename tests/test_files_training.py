"""Training that continues from a file: the optimizer's state in Keras's order, and the compile configuration."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import lamella
from lamella import optimizers
from lamella.files import hdf5
from lamella.layers import BatchNormalization, Dense
from lamella.models import load_model
from lamella.saving import FormatError, optimizer_state

pytest.importorskip("h5py")

X = np.random.RandomState(0).standard_normal((12, 4)).astype("float32")
Y = np.random.RandomState(1).standard_normal((12, 2)).astype("float32")


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):
        yield


def model_with(optimizer, **kwargs):
    lamella.utils.set_random_seed(2)
    model = lamella.Sequential(
        [lamella.Input((4,)), Dense(3, "tanh", name="a"), BatchNormalization(), Dense(2, name="b")]
    )
    model.compile(optimizer, "mse", **kwargs)
    return model


def scaled(inner):
    return optimizers.LossScaleOptimizer(inner, initial_scale=64.0, dynamic_growth_steps=2)


OPTIMIZERS = {
    "adam amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "nadam, accumulated and averaged": lambda: optimizers.Nadam(0.01, use_ema=True, gradient_accumulation_steps=2),
    "adafactor": lambda: optimizers.Adafactor(0.01),
    "muon": lambda: optimizers.Muon(0.01),
    "schedule free": lambda: optimizers.ScheduleFreeAdamW(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.05),
    "several": lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap("nadam", {"a/.*": "adam"})),
    "loss scaled": lambda: scaled(optimizers.Adam(0.01)),
    "loss scaled, schedule": lambda: scaled(optimizers.Nadam(optimizers.schedules.ExponentialDecay(0.01, 2, 0.9))),
    "loss scaled adafactor": lambda: scaled(optimizers.Adafactor(0.01, gradient_accumulation_steps=2)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_training_goes_on_to_the_bit(name, ending, tmp_path):
    model = model_with(OPTIMIZERS[name]())
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / f"m{ending}")
    loaded = load_model(tmp_path / f"m{ending}")
    assert loaded._compiled.state.steps == 3
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for one in (model, loaded):
        one.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


WEIGHTS = ("a_kernel", "a_bias", "b_kernel", "b_bias")


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (
            optimizers.Adam(amsgrad=True, name="o"),
            [f"{w}_{s}" for w in WEIGHTS for s in ("momentum", "velocity")] + [f"{w}_velocity_hat" for w in WEIGHTS],
        ),
        (
            optimizers.RMSprop(momentum=0.5, centered=True, name="o"),
            [f"{w}_{s}" for s in ("velocity", "momentum", "average_gradient") for w in WEIGHTS],
        ),
        (
            optimizers.Muon(name="o", use_ema=True, gradient_accumulation_steps=2),
            [f"{w}_{s}" for s in ("average", "gradient_accumulator") for w in WEIGHTS]
            + ["a_kernel_momentum", "a_bias_momentum", "a_bias_velocity"]
            + ["b_kernel_momentum", "b_bias_momentum", "b_bias_velocity"],
        ),
        (optimizers.Adafactor(name="o"), [f"{w}_{s}" for w in WEIGHTS for s in ("row", "column", "velocity")]),
        (optimizers.Nadam(name="o"), [f"{w}_{s}" for w in WEIGHTS for s in ("momentum", "velocity")] + ["variable"]),
    ],
    ids=["adam", "rmsprop", "muon", "adafactor", "nadam"],
)
def test_the_order_is_keras_s(optimizer, expected):
    model = lamella.Sequential([lamella.Input((4,)), Dense(3, name="a"), Dense(2, name="b")])
    model.compile(optimizer, "mse")
    found = [entry.name.removeprefix("o/") for entry in optimizer_state.entries(model)]
    assert found == ["iteration", "learning_rate", *expected]


def test_a_loss_scale_optimizer_writes_its_own_arrays_and_the_inner_ones_twice(tmp_path):
    model = model_with(scaled(optimizers.Nadam()))
    model.fit(X, Y, batch_size=4, verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    tree = hdf5.read((tmp_path / "m.weights.h5").read_bytes(), name="it")
    inner, whole = tree["optimizer/inner_optimizer/vars"], tree["optimizer/vars"]
    # Keras leaves the product of Nadam's momenta out where another optimizer holds it
    assert len(inner.members) == 2 + 2 * 6 and len(whole.members) == 4 + 2 + 2 * 6
    values = [whole[str(i)].read() for i in range(6)]
    assert [float(v) for v in values] == [3.0, 0.0, 1.0, 128.0, 3.0, np.float32(0.001)]
    np.testing.assert_array_equal(inner["5"].read(), whole["9"].read())


def test_what_keras_does_not_look_at_has_its_shapes():
    model = lamella.Sequential([lamella.Input((4,)), Dense(3, name="a")])
    model.compile(optimizers.Adafactor(name="o"), "mse")
    shapes = [(a.shape, a.dtype.name) for a in optimizer_state.values(model)]
    assert shapes[2:] == [
        ((4,), "float32"), ((3,), "float32"), ((4, 3), "float32"), ((), "int32"), ((), "int32"), ((3,), "float32"),
    ]  # fmt: skip


def test_a_policy_s_loss_scale_optimizer_is_not_wrapped_again(tmp_path):
    model = lamella.Sequential([lamella.Input((4,)), Dense(2, dtype="mixed_float16")], name="m")
    model.compile(scaled(optimizers.SGD()), "mse")
    model.save(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras")
    assert isinstance(loaded.optimizer, optimizers.LossScaleOptimizer)
    assert isinstance(loaded.optimizer.inner_optimizer, optimizers.SGD)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("given", [0.25, [0.25]])
def test_loss_weights_and_run_eagerly_come_back(ending, given, tmp_path):
    model = model_with("sgd", loss_weights=given, run_eagerly=True)
    model.save(tmp_path / f"m{ending}")
    loaded = load_model(tmp_path / f"m{ending}")
    assert loaded._compiled.configuration.objective.loss_weights == 0.25 and loaded.runs_eagerly
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def edited(path, change):
    """The archive at `path` with its compile configuration changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["compile_config"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("weights", ["2", [1.0, 2.0], {"c": 1.0}, True, []])
def test_loss_weights_of_another_kind_are_refused(weights, tmp_path):
    model = model_with("sgd")
    model.save(tmp_path / "m.keras")
    edited(tmp_path / "m.keras", lambda config: config.update(loss_weights=weights))
    with pytest.raises(FormatError, match="loss_weights"):
        load_model(tmp_path / "m.keras")


def test_a_loss_scale_optimizer_of_another_kind_is_refused(tmp_path):
    model = model_with(scaled(optimizers.SGD()))
    model.save(tmp_path / "m.keras")

    def nested(config):
        config["optimizer"]["config"]["inner_optimizer"] = json.loads(json.dumps(config["optimizer"]))

    edited(tmp_path / "m.keras", nested)
    with pytest.raises(FormatError, match=r"inner_optimizer"):
        load_model(tmp_path / "m.keras")


def test_a_state_of_another_optimizer_is_refused(tmp_path):
    model = model_with("adam")
    model.save_weights(tmp_path / "m.weights.h5")
    other = model_with(optimizers.Adafactor())
    with pytest.raises(FormatError, match="arrays of optimizer state"):
        other.load_weights(tmp_path / "m.weights.h5")
