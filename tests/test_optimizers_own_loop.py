"""Optimizers outside `fit`: loops over variables, `compile` with the same optimizer again, and what a loaded one reports."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import lamella
from lamella import constraints, optimizers
from lamella.layers import Dense, Input
from lamella.models import clone_model, load_model
from lamella.optimizers import schedules

X = np.random.RandomState(0).standard_normal((8, 3)).astype("float32")
Y = np.random.RandomState(1).standard_normal((8, 2)).astype("float32")

MAKES = {
    "SGD": lambda: optimizers.SGD(0.1, momentum=0.5),
    "Adam": lambda: optimizers.Adam(schedules.ExponentialDecay(0.1, 3, 0.5), weight_decay=0.1),
    "Muon": lambda: optimizers.Muon(0.1),
    "accumulated": lambda: optimizers.Adam(0.1, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.5),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.Adam(schedules.ExponentialDecay(0.1, 3, 0.5)), 4.0),
    "several": lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(optimizers.Adam(0.1), {".*bias": optimizers.SGD(schedules.ExponentialDecay(0.1, 3, 0.5))})
    ),
}  # fmt: skip


ALL = [pytest.param(name, marks=() if name in ("Adam", "several") else pytest.mark.slow) for name in MAKES]
"""One optimizer with a schedule and one with optimizers in it are fast tests."""


def made(optimizer, **kwargs):
    lamella.utils.set_random_seed(4)
    model = lamella.Sequential([Input((3,)), Dense(4, "tanh", kernel_constraint=constraints.MaxNorm(0.5)), Dense(2)])
    model.compile(optimizer, "mse", **kwargs)
    return model


def fit(model, steps):
    model.fit(X, Y, batch_size=8, epochs=steps, shuffle=False, verbose=0)


def looped(model, steps, apply="apply_gradients"):
    """The same steps in a loop of the user's own."""
    for _ in range(steps):
        _, gradients = model.value_and_grad(X, Y, training=True)
        scale = model.optimizer.scale_loss(1.0)
        gradients = [g * np.float32(scale) for g in gradients.values()]
        if apply == "apply":
            model.optimizer.apply(gradients, model.trainable_variables)
        else:
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def assert_same(found, expected):
    for a, b in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def positions(optimizer):
    """Steps and learning rates of an optimizer and of those within it."""
    every = [optimizer, getattr(optimizer, "inner_optimizer", None), *getattr(optimizer, "optimizers", [])]
    return [
        (o.iterations, None if isinstance(o, optimizers.MultiOptimizer) else round(float(o.learning_rate), 6))
        for o in every
        if o is not None
    ]


# ---- a loop of the user's own does what `fit` does ----


@pytest.mark.parametrize("name", ALL)
def test_a_loop_over_variables_is_fit(name, backend):
    model, other = made(MAKES[name]()), made(MAKES[name]())
    for each in (model, other):
        each.optimizer.exclude_from_weight_decay(var_names=["dense_1/bias"])
    fit(model, 4)
    looped(other, 4, "apply")
    other.optimizer.finalize_variable_values(other.trainable_variables)
    assert_same(other, model)
    assert positions(other.optimizer) == positions(model.optimizer)


def test_constraints_and_exclusions_hold_without_a_model():
    optimizer = optimizers.SGD(1.0, weight_decay=0.5)
    layer = Dense(2, kernel_constraint=constraints.NonNeg(), name="it")
    layer.build((None, 2))
    layer.set_weights([np.full((2, 2), 0.25), np.ones(2)])
    optimizer.exclude_from_weight_decay(var_list=[layer.bias])
    optimizer.apply([np.full((2, 2), 0.5), np.zeros(2)], [layer.kernel, layer.bias])
    np.testing.assert_array_equal(layer.kernel.numpy(), np.zeros((2, 2)))  # 0.25 - 0.125 - 0.5, and not below 0
    np.testing.assert_array_equal(layer.bias.numpy(), np.ones(2))
    optimizer.exclude_from_weight_decay(var_names=["it/bias"])
    optimizer.apply({"a": np.zeros((2, 2)), "b": np.zeros(2)}, {"a": layer.kernel, "b": layer.bias})
    np.testing.assert_array_equal(layer.bias.numpy(), np.full(2, 0.5))  # the dict says what it is called


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", ALL)
def test_fit_and_the_loop_take_turns_and_files_hold_where_they_are(name, ending, tmp_path):
    model, other = made(MAKES[name]()), made(MAKES[name]())
    if name == "accumulated":
        model.optimizer.use_ema = other.optimizer.use_ema = False  # each `fit` ends with the averages
    fit(model, 5)
    fit(other, 2)
    looped(other, 2)
    other.save(tmp_path / f"model{ending}")
    loaded = load_model(tmp_path / f"model{ending}")
    assert positions(loaded.optimizer) == positions(other.optimizer)
    for each in (other, loaded):
        fit(each, 1)
        assert_same(each, model)
        assert positions(each.optimizer) == positions(model.optimizer)


def test_a_loop_before_compile_is_continued():
    expected = made(optimizers.Adam(0.1))
    fit(expected, 4)
    optimizer = optimizers.Adam(0.1)
    model = made("sgd")
    for _ in range(2):
        gradients = list(model.value_and_grad(X, Y)[1].values())
        optimizer.apply(gradients, model.trainable_variables)
    assert optimizer.iterations == 2
    model.compile(optimizer, "mse")
    fit(model, 2)
    assert_same(model, expected)
    assert optimizer.iterations == 4
    other = made(optimizer)  # the variables of another model
    assert optimizer.iterations == 0 and other._compiled.state.slots == {}


def test_variables_keep_their_slots_in_another_order_and_in_part():
    lamella.utils.set_random_seed(1)
    layers = [Dense(2, name=f"d{i}") for i in range(2)]
    for layer in layers:
        layer.build((None, 2))
    (a, _), (b, _) = (layer.variables for layer in layers)
    start = [a.numpy(), b.numpy()]
    optimizer = optimizers.SGD(1.0, momentum=0.5)
    one = np.ones((2, 2), "float32")
    optimizer.apply([one, 2 * one], [a, b])
    optimizer.apply([0 * one, 0 * one], [b, a])  # momenta alone move them
    optimizer.apply([0 * one], [b])
    np.testing.assert_allclose(a.numpy(), start[0] - 1.5, rtol=1e-6)
    np.testing.assert_allclose(b.numpy(), start[1] - 3.5, rtol=1e-6)
    optimizer.reset()
    optimizer.apply([0 * one], [b])
    np.testing.assert_allclose(b.numpy(), start[1] - 3.5, rtol=1e-6)
    assert optimizer.iterations == 1


def test_steps_that_are_set_count():
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.5, 2, 0.5))
    optimizer.iterations = 4
    assert optimizer.learning_rate == 0.125
    model = made(optimizer)
    assert optimizer.iterations == model._compiled.state.steps == 4
    fit(model, 2)
    assert optimizer.iterations == 6
    optimizer.iterations = 0
    before = model.layers[1].bias.numpy()
    slope = model.value_and_grad(X, Y)[1]["dense_1/bias"]
    fit(model, 1)
    np.testing.assert_allclose(model.layers[1].bias.numpy(), before - 0.5 * np.asarray(slope), rtol=1e-5)


# ---- what is missing is told ----


def test_variables_without_gradients():
    layer = Dense(2, name="it")
    layer.build((None, 2))
    before = layer.get_weights()
    optimizer = optimizers.SGD(1.0)
    with pytest.raises(ValueError, match="no variable has a gradient: got None for it/kernel, it/bias"):
        optimizer.apply_gradients([(None, layer.kernel), (None, layer.bias)])
    with pytest.warns(UserWarning, match="no gradient for it/kernel: left unchanged") as told:
        optimizer.apply_gradients([(None, layer.kernel), (np.ones(2, "float32"), layer.bias)])
    assert told[0].filename == __file__
    np.testing.assert_array_equal(layer.kernel.numpy(), before[0])
    np.testing.assert_array_equal(layer.bias.numpy(), before[1] - 1)
    with pytest.raises(ValueError, match="expected one gradient per weight, got 1 for 2 weights"):
        optimizer.apply([np.ones(2)], [layer.kernel, layer.bias])
    optimizer.apply_gradients([])
    assert optimizer.iterations == 1


class Applies(lamella.Sequential):
    """A step that is written with `apply`, as in Keras 3; without gradients where `missing` says so."""

    missing = False

    def train_step(self, data):
        x, y, _ = lamella.utils.unpack_x_y_sample_weight(data)
        loss, gradients = lamella.value_and_grad(lambda: self.compute_loss(x, y, self(x)), self.trainable_variables)
        self.optimizer.apply([None] * 2 if self.missing else gradients, self.trainable_variables)
        return {"loss": loss}


def test_apply_in_a_train_step(backend):
    models = []
    for cls in (Applies, lamella.Sequential):
        lamella.utils.set_random_seed(4)
        models.append(cls([Input((3,)), Dense(2)]))
        models[-1].compile(optimizers.Adam(0.1), "mse")
        fit(models[-1], 3)
    assert_same(*models)
    model = type("Missing", (Applies,), {"missing": True})([Input((3,)), Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no variable has a gradient: got None for dense/kernel, dense/bias"):
        fit(model, 1)


# ---- the same optimizer again ----


@pytest.mark.parametrize("name", ALL)
def test_compiling_with_the_same_optimizer_goes_on(name, backend):
    model, other = made(MAKES[name]()), made(MAKES[name]())
    if name == "accumulated":
        model.optimizer.use_ema = other.optimizer.use_ema = False  # each `fit` ends with the averages
    fit(model, 4)
    fit(other, 2)
    other.compile(other.optimizer, "mse", metrics=["mae"])
    assert positions(other.optimizer)[0][0] == 2
    fit(other, 2)
    assert_same(other, model)
    assert positions(other.optimizer) == positions(model.optimizer)
    other.compile(MAKES[name](), "mse")
    assert {steps for steps, _ in positions(other.optimizer)} == {0}


def test_freezing_between_keeps_the_moments_of_the_rest():
    model = made(optimizers.Adam(0.1))
    fit(model, 2)
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    kept = {slot: dict(held) for slot, held in model._compiled.state.slots.items()}
    before = model.get_weights()
    fit(model, 1)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    for slot, held in kept.items():
        for variable in model.layers[0].variables:
            assert model._compiled.state.slots[slot][id(variable)] is held[id(variable)]
    model.layers[0].trainable = True
    model.compile(model.optimizer, "mse")
    fit(model, 1)
    assert model.optimizer.iterations == 4 and not np.array_equal(model.get_weights()[0], before[0])


def test_mixed_float16_scales_the_same_optimizer_once():
    with_policy = lamella.config.dtype_policy()
    lamella.config.set_dtype_policy("mixed_float16")
    try:
        model = lamella.Sequential([Input((3,)), Dense(2)])
    finally:
        lamella.config.set_dtype_policy(with_policy)
    optimizer = optimizers.Adam(0.1)
    model.compile(optimizer, "mse")
    scaled = model.optimizer
    fit(model, 2)
    state = model._compiled.state
    assert optimizer.iterations == int(np.asarray(state.slots["iterations"][0])) > 0
    model.compile(optimizer, "mae")
    assert model.optimizer is scaled and scaled.inner_optimizer is optimizer and scaled.iterations == 2
    assert model._compiled.state is state


def test_optax_goes_on_while_the_same_weights_are_trained():
    optax = pytest.importorskip("optax")
    transformation = optax.adam(0.1)
    model, other = made(transformation, backend="jax"), made(transformation, backend="jax")
    fit(model, 4)
    fit(other, 2)
    other.compile(transformation, "mse", backend="jax")
    fit(other, 2)
    assert_same(other, model)
    other.layers[0].trainable = False
    other.compile(transformation, "mse", backend="jax")
    fit(other, 1)
    assert other._compiled.state.steps == 1


def test_models_that_share_an_optimizer_keep_their_own_training():
    optimizer = optimizers.Adam(0.1)
    models = [made(optimizer), made(optimizer)]
    expected = made(optimizers.Adam(0.1))
    fit(expected, 4)
    for steps in (3, 1):
        for model in models:
            fit(model, steps)
    for model in models:
        assert_same(model, expected)


# ---- what a model that was loaded, copied or restored reports ----


@pytest.mark.parametrize("name", ALL)
def test_where_the_training_stands_is_known_at_once(name, tmp_path):
    model = made(MAKES[name]())
    fit(model, 3)
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.save_weights(tmp_path / "model.weights.h5")
    model.save_checkpoint(tmp_path / "model.npz")
    weights, checkpoint = made(MAKES[name]()), made(MAKES[name]())
    weights.load_weights(tmp_path / "model.weights.h5")
    checkpoint.load_checkpoint(tmp_path / "model.npz")
    found = {
        "keras": load_model(tmp_path / "model.keras"),
        "h5": load_model(tmp_path / "model.h5"),
        "weights": weights,
        "checkpoint": checkpoint,
        "copy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
    }
    expected = positions(model.optimizer)
    assert expected[0][0] == 3
    assert {way: positions(each.optimizer) for way, each in found.items()} == dict.fromkeys(found, expected)
    clone = clone_model(model)
    clone.compile(MAKES[name](), "mse")
    assert positions(clone.optimizer)[0][0] == 0


def test_a_copy_of_an_optimizer_is_of_no_training():
    model = made(optimizers.Adam(0.1))
    fit(model, 2)
    for twin in (
        copy.copy(model.optimizer),
        copy.deepcopy(model.optimizer),
        pickle.loads(pickle.dumps(model.optimizer)),
    ):
        before = model._compiled.state
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            twin.apply([np.zeros_like(v.numpy()) for v in model.trainable_variables], model.trainable_variables)
        assert model._compiled.state is before
        assert twin.own_loop.state.step == 1 and model.optimizer.own_loop.state.step == 0
