"""`compile(run_eagerly=True)`: the same numbers, seen one by one."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import ops
from lamella.layers import LSTM, BatchNormalization, Dense, Dropout, Input, Layer, Reshape

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Watching(Layer):
    """Notes what it is called with."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = []

    def call(self, x):
        self.seen.append(x)
        return x * 2.0


def model_of(*layers, eager, **compiled):
    lamella.utils.set_random_seed(4)
    model = lamella.Sequential([Input(X.shape[1:]), *layers, Dense(1)])
    model.compile(**{"optimizer": "adam", "loss": "mse", "metrics": ["mae"], "run_eagerly": eager} | compiled)
    return model


def test_the_numbers_are_those_of_the_compiled_steps(backend):
    results = []
    for eager in (False, True):
        layers = [BatchNormalization(), Dropout(0.3), Dense(4), Reshape((2, 2)), LSTM(3, dropout=0.2)]
        model = model_of(*layers, eager=eager)
        history = model.fit(X, Y, batch_size=10, epochs=1, verbose=0).history
        results.append((history, model.get_weights(), model.predict(X, verbose=0), model.evaluate(X, Y, verbose=0)))
    compiled, watched = results
    assert compiled[0].keys() == watched[0].keys()
    for key, values in compiled[0].items():
        np.testing.assert_allclose(watched[0][key], values, rtol=1e-5)
    for a, b in zip(compiled[1], watched[1], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(watched[2], compiled[2], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(watched[3], compiled[3], rtol=1e-5)


def test_values_show_their_numbers(backend):
    layer = Watching()
    model = model_of(layer, eager=True)
    layer.seen.clear()
    model.train_on_batch(X[:4], Y[:4])
    assert not hasattr(layer.seen[0], "data")  # the shapes are worked out first
    value = layer.seen[-1]
    np.testing.assert_array_equal(value.numpy(), X[:4])
    np.testing.assert_array_equal(np.asarray(value), X[:4])
    assert repr(value) == f"<lamella value float32[4,3] =\n{X[:4]}>"
    model.train_on_batch(X[4:8], Y[4:8])
    np.testing.assert_array_equal(layer.seen[-1].numpy(), X[4:8])
    model.predict(X[:5], verbose=0)
    np.testing.assert_array_equal(layer.seen[-1].numpy(), X[:5])


def test_losses_and_metrics_see_numbers_too(backend):
    told = []

    def loss(y_true, y_pred):
        error = ops.mean(ops.square(y_true - y_pred), axis=-1)
        told.append(error)
        return error

    model = model_of(eager=True, loss=loss)
    told.clear()
    before = model.predict(X[:6], verbose=0)
    model.train_on_batch(X[:6], Y[:6])
    np.testing.assert_allclose(told[-1].numpy(), (before - Y[:6])[:, 0] ** 2, rtol=1e-4)


def test_numpy_functions_on_values_are_still_refused(backend):
    class Wrong(Layer):
        def call(self, x):
            return np.tanh(x)

    with pytest.raises(TypeError, match=r"ops\.tanh"):
        model_of(Wrong(), eager=True)


def squares(square, mean):
    return lambda y_true, y_pred: mean(square(y_true - y_pred), axis=-1)


def test_numpy_functions_in_losses_and_metrics_are_differentiated(backend):
    weights, logs = [], []
    for loss in (squares(ops.square, ops.mean), squares(np.square, np.mean)):
        model = model_of(eager=True, loss=loss, metrics=[lambda y, p: np.mean(np.abs(y - p), axis=-1)])
        history = model.fit(X, Y, epochs=1, batch_size=8, verbose=0).history
        weights.append(model.get_weights())
        logs.append([*history.values()])
    assert all(np.any(w) for w in weights[0])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert logs[0] == logs[1]


def test_a_numpy_function_without_a_counterpart_is_refused_in_a_loss(backend):
    model = model_of(eager=True, loss=lambda y, p: np.unwrap(y - p)[:, 0])
    with pytest.raises(TypeError, match=r"np\.unwrap has no counterpart"):
        model.fit(X, Y, verbose=0)


def test_an_optax_optimizer_runs_eagerly():
    optax = pytest.importorskip("optax")
    weights = []
    for eager in (False, True):
        model = model_of(Dense(4), eager=eager, optimizer=optax.adam(0.01), backend="jax")
        model.fit(X, Y, epochs=1, batch_size=8, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
