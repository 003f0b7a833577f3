"""`serialize` and `deserialize` of every module, and classes and functions that the user registers, as in Keras."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers, saving
from lamella.errors import ArgumentError, UnknownNameError


@pytest.fixture(autouse=True)
def nothing_is_registered():
    yield
    saving.get_custom_objects().clear()


# what Keras 3.15.1 gives
KERAS = [
    (initializers, lambda: initializers.Constant(2.0), "Constant", {"value": 2.0}),
    (regularizers, lambda: regularizers.L2(0.5), "L2", {"l2": 0.5}),
    (constraints, lambda: constraints.MaxNorm(2), "MaxNorm", {"max_value": 2, "axis": 0}),
    (losses, lambda: losses.Poisson(name="p"), "Poisson", {"name": "p", "reduction": "sum_over_batch_size"}),
    (metrics, lambda: metrics.Precision(0.4, name="p"), "Precision",
     {"name": "p", "dtype": "float32", "thresholds": 0.4, "top_k": None, "class_id": None}),
    (optimizers, lambda: optimizers.SGD(0.25, momentum=0.5), "SGD",
     {"name": "sgd", "learning_rate": 0.25, "weight_decay": None, "clipnorm": None, "global_clipnorm": None,
      "clipvalue": None, "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
      "loss_scale_factor": None, "gradient_accumulation_steps": None, "momentum": 0.5, "nesterov": False}),
    (layers, lambda: layers.Rescaling(0.5, name="r"), "Rescaling",
     {"name": "r", "trainable": True, "dtype": {"module": "keras", "class_name": "DTypePolicy",
      "config": {"name": "float32"}, "registered_name": None}, "scale": 0.5, "offset": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "make", "name", "config"), KERAS, ids=[row[2] for row in KERAS])
def test_objects_are_described_as_in_keras(module, make, name, config):
    described = module.serialize(make())
    place = module.__name__.replace("lamella", "keras")
    assert dict(described) == {"module": place, "class_name": name, "config": config, "registered_name": None}
    assert saving.serialize_keras_object(make()) == described
    for given in (described, {"class_name": name, "config": config}):  # Keras 2 named no module
        found = module.deserialize(dict(given))
        assert type(found) is type(make()) and found.get_config() == make().get_config()
    with pytest.raises(UnknownNameError):
        module.deserialize({"class_name": "Nothing", "config": {}})
    found = module.deserialize({"class_name": "Own", "config": config}, custom_objects={"Own": type(make())})
    assert type(found) is type(make())


def test_names_stand_for_objects():
    assert activations.serialize(activations.relu) == "relu" and activations.deserialize("relu") is activations.relu
    assert losses.deserialize("mean_squared_error") is losses.mean_squared_error
    assert isinstance(losses.deserialize("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(metrics.deserialize("mse"), metrics.MeanSquaredError)
    assert isinstance(initializers.deserialize("he_normal"), initializers.HeNormal)
    assert isinstance(optimizers.deserialize({"class_name": "sgd", "config": {}}), optimizers.SGD)
    function = {
        "module": "builtins",
        "class_name": "function",
        "config": "mean_squared_error",
        "registered_name": "function",
    }
    assert losses.serialize(losses.mean_squared_error) == function
    assert losses.deserialize(function) is losses.mean_squared_error
    decay = optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    found = saving.deserialize_keras_object(saving.serialize_keras_object([1, (2, "a"), {"k": decay}]))
    assert found[:2] == [1, (2, "a")] and found[2]["k"].get_config() == decay.get_config()
    with pytest.raises(ArgumentError, match="define the function with `def`"):
        losses.serialize(lambda y, p: p)
    with pytest.raises(ArgumentError, match="give its class a `get_config`"):
        saving.serialize_keras_object(object())


def test_a_registered_layer_and_function_need_no_custom_objects(tmp_path, backend):
    @saving.register_keras_serializable("mine")
    def doubled(x):
        return 2 * x

    @saving.register_keras_serializable(name="Wide")
    class MyDense(layers.Dense):
        pass

    assert (
        saving.get_registered_name(doubled) == "mine>doubled" and saving.get_registered_name(MyDense) == "Custom>Wide"
    )
    assert saving.get_registered_object("Custom>Wide") is MyDense and saving.get_registered_object("Wide") is None
    described = layers.serialize(MyDense(2, activation=doubled))
    assert described["registered_name"] == "Custom>Wide"
    assert dict(described["config"]["activation"]) == {
        "module": "builtins", "class_name": "function", "config": "mine>doubled", "registered_name": "function"}  # fmt: skip
    model = lamella.Sequential(
        [lamella.Input((3,)), MyDense(2, activation=doubled), layers.Dense(1, kernel_initializer="ones")]
    )
    x = np.ones((2, 3), "float32")
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        found = lamella.models.load_model(tmp_path / name)
        assert type(found.layers[0]) is MyDense and found.layers[0].activation is doubled
        np.testing.assert_array_equal(found.predict(x, verbose=0), model.predict(x, verbose=0))
        assert lamella.models.load_model(tmp_path / name, safe_mode=True).built
        with pytest.raises(ArgumentError, match="safe_mode=False would run code of the file"):
            lamella.models.load_model(tmp_path / name, safe_mode=False)
    assert lamella.models.clone_model(model).layers[0].activation is doubled
    with pytest.raises(ArgumentError, match="no `get_config`"):
        saving.register_keras_serializable()(type("A", (), {}))


def test_names_of_the_callers_own_stand_for_objects_everywhere():
    def own(*arguments):
        return 0.5

    class OwnLoss(losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    objects = {"own": own, "OwnLoss": OwnLoss, "relu": own}
    with saving.custom_object_scope(objects):
        assert layers.Dense(2, activation="own").activation is own and activations.get("relu") is own
        assert isinstance(losses.get("OwnLoss"), OwnLoss)
        assert layers.Dense(2, kernel_initializer="own").kernel_initializer.wrapped_function is own
        assert layers.Dense(2, kernel_regularizer="own").kernel_regularizer is own
    assert activations.get("relu") is activations.relu
    with pytest.raises(UnknownNameError, match="'own'"):
        activations.get("own")
    lamella.utils.get_custom_objects().update(own=own, ReLU=layers.ReLU)  # Keras 2's way
    assert layers.Dense(2, activation=layers.ReLU()).get_config()["activation"]["class_name"] == "ReLU"
    assert activations.get("own") is own and saving.get_registered_object("own") is own


def test_policies_are_objects():
    policy = lamella.DTypePolicy("mixed_float16")
    assert (policy.variable_dtype, policy.compute_dtype) == ("float32", "float16")
    assert lamella.DTypePolicy() == lamella.dtype_policies.get(None) == lamella.FloatDTypePolicy("float32")
    assert lamella.DTypePolicy(policy) == policy and isinstance(layers.Dense(1).dtype_policy, lamella.DTypePolicy)
    described = lamella.dtype_policies.serialize(policy)
    assert described["class_name"] == "DTypePolicy" and lamella.dtype_policies.deserialize(described) == policy
    with pytest.raises(UnknownNameError, match="did you mean 'float32'"):
        lamella.DTypePolicy("flaot32")
