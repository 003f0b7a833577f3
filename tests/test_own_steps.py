"""`train_step`, `test_step` and `compute_loss` of your own: part of the step program, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import ops
from lamella.errors import TraceError
from lamella.layers import BatchNormalization, Dense, Dropout, Input

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = (X.sum(1, keepdims=True) > 0).astype("float32")


class Spelled(lamella.Sequential):
    """What `fit` does, spelled out."""

    def train_step(self, data):
        x, y, weight = lamella.utils.unpack_x_y_sample_weight(data)

        def loss_of():
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred, weight), y_pred

        (loss, y_pred), gradients = lamella.value_and_grad(loss_of, self.trainable_variables, has_aux=True)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, weight)}


class Inherited(lamella.Sequential):
    """What is there by default, reached through `super()`."""

    def train_step(self, data):
        return super().train_step(data)

    def test_step(self, data):
        return super().test_step(data)


def made(kind, *layers, **compiled):
    lamella.utils.set_random_seed(3)
    model = kind([Input((3,)), *layers, Dense(1, activation="sigmoid", kernel_regularizer="l2")])
    model.compile(**{"optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["accuracy"]} | compiled)
    return model


@pytest.mark.parametrize("kind", [Spelled, Inherited])
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"optimizer": "nadam"}])
def test_a_spelled_out_step_does_what_fit_does(backend, kind, options):
    results = []
    for cls in (lamella.Sequential, kind):
        model = made(cls, Dense(4, activation="tanh"), BatchNormalization(), Dropout(0.2), **options)
        history = model.fit(X, Y, batch_size=8, epochs=2, sample_weight=X[:, 0] ** 2, verbose=0).history
        results.append((history, model.get_weights(), model.evaluate(X, Y, verbose=0)))
    (history, weights, scores), (own_history, own_weights, own_scores) = results
    assert history.keys() == own_history.keys()
    for key, values in history.items():
        np.testing.assert_allclose(own_history[key], values, rtol=1e-4)
    for a, b in zip(weights, own_weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(own_scores, scores, rtol=1e-4)


def test_a_loss_of_ones_own_is_what_is_trained_and_logged(backend):
    class Doubled(lamella.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2.0 * ops.mean(ops.square(y - y_pred)) + 0.5

    model = made(Doubled)
    expected = 2 * np.mean((Y - model.predict(X, verbose=0)) ** 2) + 0.5
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(expected, rel=1e-5)
    assert float(model.value_and_grad(X, Y)[0]) == pytest.approx(expected, rel=1e-5)
    # 24 rows in batches of 10: the short one is not filled up, for nobody knows what the loss does with rows
    losses = model.fit(X, Y, batch_size=10, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_two_networks_in_one_step(backend):
    class Autoencoder(lamella.Sequential):
        """The last layer learns from the first one's codes, and the first from its own penalty: two updates a step."""

        def train_step(self, data):
            (x,) = data
            first, last = self.layers

            def reconstruction():
                return ops.mean(ops.square(last(ops.stop_gradient(first(x))) - x))

            def spread():
                return ops.mean(ops.square(first(x)))

            loss, gradients = lamella.value_and_grad(reconstruction, last.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, last.trainable_variables, strict=True))
            penalty, gradients = lamella.value_and_grad(spread, first.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, first.trainable_variables, strict=True))
            return {"reconstruction": loss, "spread": penalty}

    model = Autoencoder([Input((3,)), Dense(2), Dense(3)])
    model.compile("sgd")
    first, last = (layer.get_weights() for layer in model.layers)
    history = model.fit(X, batch_size=24, epochs=1, shuffle=False, verbose=0).history
    assert sorted(history) == ["reconstruction", "spread"]
    codes = X @ first[0]
    rest = codes @ last[0] - X
    assert history["reconstruction"][0] == pytest.approx(float(np.mean(rest**2)), rel=1e-5)
    slope = codes.T @ rest * 2 / rest.size
    np.testing.assert_allclose(model.layers[1].get_weights()[0], last[0] - 0.01 * slope, rtol=1e-4, atol=1e-6)
    slope = X.T @ codes * 2 / codes.size
    np.testing.assert_allclose(model.layers[0].get_weights()[0], first[0] - 0.01 * slope, rtol=1e-4, atol=1e-6)


def test_gradients_of_variables_read_in_a_step_are_those_of_value_and_grad(backend):
    seen = {}

    class Watched(lamella.Sequential):
        def train_step(self, data):
            x, y, _ = lamella.utils.unpack_x_y_sample_weight(data)
            loss, gradients = lamella.value_and_grad(lambda: self.compute_loss(x, y, self(x)), self.trainable_variables)
            seen.update(zip(["kernel", "bias"], gradients, strict=True))
            return {"loss": loss}

    model = made(Watched, run_eagerly=True)
    _, gradients = model.value_and_grad(X, Y)
    model.train_on_batch(X, Y)
    for name, slope in seen.items():
        np.testing.assert_allclose(slope.numpy(), np.asarray(gradients[f"dense/{name}"]), rtol=1e-4, atol=1e-6)


def test_an_own_test_step(backend):
    class Counting(lamella.Sequential):
        def test_step(self, data):
            x, _, _ = lamella.utils.unpack_x_y_sample_weight(data)
            return {"mean": ops.mean(self(x))}

    model = made(Counting)
    found = model.evaluate(X, Y, batch_size=10, return_dict=True, verbose=0)
    assert found == {"mean": pytest.approx(float(model.predict(X, verbose=0).mean()), rel=1e-5)}
    assert "val_mean" in model.fit(X, Y, validation_data=(X, Y), verbose=0).history


def test_own_steps_and_optax():
    optax = pytest.importorskip("optax")
    test_step = {"test_step": lambda self, data: {"mean": ops.mean(self(data[0]))}}
    model = made(type("Tested", (lamella.Sequential,), test_step), optimizer=optax.sgd(0.1), backend="jax")
    assert "val_mean" in model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    model = made(Spelled, optimizer=optax.sgd(0.1), backend="jax")
    with pytest.raises(TypeError, match=r"lamella\.optimizers"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda self, data: 3.0, TypeError, "dict of logs"),
        (lambda self, data: {"x": data[0]}, ValueError, "must be a scalar"),
        (lambda self, data: lamella.optimizers.SGD().apply_gradients([]) or {}, TraceError, "optimizer of `compile`"),
    ],
)
def test_a_wrong_step_says_so_and_changes_nothing(backend, step, error, words):
    model = made(type("Wrong", (lamella.Sequential,), {"train_step": step}))
    before = model.get_weights()
    with pytest.raises(error, match=words):
        model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_second_optimizer_is_refused_with_the_one_that_trains_all():
    class Two(lamella.Sequential):
        def train_step(self, data):
            x, y, _ = lamella.utils.unpack_x_y_sample_weight(data)
            loss, gradients = lamella.value_and_grad(lambda: self.compute_loss(x, y, self(x)), self.trainable_variables)
            self.second.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    model = Two([Input((3,)), Dense(1)])
    model.compile("sgd", "mse", backend="numpy")
    model.second = lamella.optimizers.Adam()
    with pytest.raises(TraceError, match=r"got another Adam\. Pass `MultiOptimizer\(OptimizerMap\("):
        model.fit(X, Y, verbose=0)


def test_outside_a_step():
    with pytest.raises(TraceError, match="train_step"):
        lamella.value_and_grad(lambda: 1.0, [])
    model = made(lamella.Sequential)
    optimizer = lamella.optimizers.SGD(0.5)
    before = model.get_weights()
    _, gradients = model.value_and_grad(X, Y)
    pairs = zip(gradients.values(), model.trainable_variables, strict=True)
    optimizer.apply_gradients(pairs)
    np.testing.assert_allclose(
        model.get_weights()[0], before[0] - 0.5 * np.asarray(gradients["dense/kernel"]), rtol=1e-5
    )


def test_the_optimizer_counts_the_steps_of_fit(backend):
    model = made(lamella.Sequential)
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    assert model.optimizer.iterations == 6
