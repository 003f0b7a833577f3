"""Stateful layers: which calls continue from the last state, and which keep a new one."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers as L  # noqa: N812 - named often
from lamella.errors import ShapeError

X = np.sin(np.arange(48, dtype="float32")).reshape(6, 4, 2)
Y = np.cos(np.arange(6, dtype="float32")).reshape(6, 1)

# Keras 3.15.1: a Sequential of the layer and Dense(1), called on two rows at a time, with weights sin(k (i + 1)) / 2
KERAS = {
    "lstm": (
        lambda: L.LSTM(3, stateful=True),
        [-0.12176810, -0.04111027, -0.13105504, -0.15256888, -0.07890368, -0.07817384],
    ),
    "gru": (
        lambda: L.GRU(3, stateful=True),
        [-0.22826494, -0.22288912, -0.24623069, -0.21739809, -0.26281703, -0.25787283],
    ),
    "simple": (
        lambda: L.SimpleRNN(3, stateful=True),
        [-0.16780666, 0.12029769, -0.02303939, -0.29072991, -0.06754807, 0.13336852],
    ),
    "bidirectional": (
        lambda: L.Bidirectional(L.LSTM(3, stateful=True)),
        [-0.08165254, 0.01796463, -0.10049257, -0.12559151, -0.02209825, -0.02692917],
    ),
    "nested": (
        lambda: lamella.Sequential([L.Input(batch_shape=(2, 4, 2)), L.LSTM(3, stateful=True)]),
        [-0.12176810, -0.04111027, -0.13105504, -0.15256888, -0.07890368, -0.07817384],
    ),
}


def model_of(make, backend):
    model = lamella.Sequential([L.Input(batch_shape=(2, 4, 2)), make(), L.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], backend=backend)
    for i, variable in enumerate(model.trainable_weights):
        size = int(np.prod(variable.shape))
        variable.assign((np.sin(np.arange(size, dtype="float32") * (i + 1)) / 2).reshape(variable.shape))
    return model


def states(model):
    return [v.numpy() for v in model.non_trainable_weights]


@pytest.mark.parametrize("make, expected", KERAS.values(), ids=KERAS)
def test_predict_goes_on_from_batch_to_batch_and_call_to_call(make, expected, backend):
    model = model_of(make, backend)
    np.testing.assert_allclose(model.predict(X, verbose=0).ravel(), expected, rtol=1e-5, atol=1e-6)
    kept = states(model)
    assert all(np.any(state != 0) for state in kept)
    on = model.predict(X, batch_size=2, verbose=0).ravel()
    assert np.abs(on[:2] - expected[:2]).max() > 1e-4
    model.reset_states()
    assert all(np.all(state == 0) for state in states(model))
    np.testing.assert_allclose(model.predict(X, verbose=0).ravel(), expected, rtol=1e-5, atol=1e-6)
    for found, first in zip(states(model), kept, strict=True):
        np.testing.assert_array_equal(found, first)


@pytest.mark.parametrize("make, expected", KERAS.values(), ids=KERAS)
def test_every_way_of_running_rows_goes_on(make, expected, backend):
    expected = np.asarray(expected, "float32")
    parts = [slice(0, 2), slice(2, 4), slice(4, 6)]
    model = model_of(make, backend)
    found = np.concatenate([model.predict_on_batch(X[p]) for p in parts]).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    model.reset_states()
    errors = [model.test_on_batch(X[p], Y[p])[1] for p in parts]
    np.testing.assert_allclose(errors, np.abs(expected - Y.ravel()).reshape(3, 2).mean(1), rtol=1e-5)
    kept = states(model)
    model.reset_states()
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], ((expected - Y.ravel()) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["mae"], np.abs(expected - Y.ravel()).mean(), rtol=1e-5)
    for state, first in zip(states(model), kept, strict=True):
        np.testing.assert_allclose(state, first, rtol=1e-6)
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] != logs["loss"]


def test_training_goes_on_and_validation_leaves_its_states_alone(backend):
    plain, watched = (model_of(lambda: L.LSTM(3, stateful=True), backend) for _ in "ab")
    kwargs = {"batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0}
    one = plain.fit(X, Y, **kwargs)
    two = watched.fit(X, Y, validation_data=(X[:4], Y[:4]), **kwargs)
    assert one.history["loss"] == two.history["loss"]
    for a, b in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.any(state != 0) for state in states(plain))
    by_hand = model_of(lambda: L.LSTM(3, stateful=True), backend)
    for _ in range(2):
        for at in (0, 2, 4):
            by_hand.train_on_batch(X[at : at + 2], Y[at : at + 2])
    for a, b in zip(plain.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_one_layer_is_reset_alone(backend):
    model = lamella.Sequential(
        [L.Input(batch_shape=(2, 4, 2)), L.GRU(3, stateful=True, return_sequences=True), L.SimpleRNN(2, stateful=True)]
    ).to(backend)
    first = model.predict(X, verbose=0)
    model.layers[0].reset_states()
    assert not np.any(states(model)[0]) and np.any(states(model)[1])
    model.layers[1].reset_state()
    np.testing.assert_array_equal(model.predict(X, verbose=0), first)


def test_a_counter_of_ones_own_counts_in_inference(backend):
    class Counter(L.Layer):
        def build(self, input_shape):
            self.count = self.add_weight((), "zeros", trainable=False, name="count")

        def call(self, inputs):
            self.count.assign(self.count + 1.0)
            return inputs

    model = lamella.Sequential([L.Input((2,)), Counter(), L.Dense(1)])
    model.compile("sgd", "mse", backend=backend)
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    model.predict(x, batch_size=3, verbose=0)
    assert model.layers[0].count.numpy() == 3
    model.evaluate(x, y, batch_size=4, verbose=0)
    model.test_on_batch(x, y)
    model.predict_on_batch(x)
    assert model.layers[0].count.numpy() == 7


@pytest.mark.parametrize(
    "run",
    [
        lambda m: m.predict(X[:3], verbose=0),
        lambda m: m.predict(X, batch_size=3, verbose=0),
        lambda m: m.evaluate(X[:5], Y[:5], verbose=0),
        lambda m: m.fit(X, Y, batch_size=4, verbose=0),
        lambda m: m.fit(X, Y, validation_data=(X[:3], Y[:3]), verbose=0),
    ],
)
def test_rows_that_do_not_come_out_even_are_refused_before_any_work(run, backend):
    model = model_of(lambda: L.LSTM(3, stateful=True), backend)
    before = model.get_weights()
    with pytest.raises(ShapeError, match=r"Layer 'lstm' is stateful for batches of 2 rows, got \d rows in batches of"):
        run(model)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
