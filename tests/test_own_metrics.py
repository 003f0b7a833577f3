"""Metrics that a model keeps, used in a separate step in the words of Keras's guides."""

import numpy as np
import pytest

import lamella
from lamella import layers, metrics, ops, utils
from lamella.errors import TraceError

X = np.random.RandomState(0).standard_normal((50, 6)).astype("float32")


class Error(metrics.Metric):
    """The mean absolute error, written with variables."""

    def __init__(self):
        super().__init__(name="error")
        self.total, self.count = self.add_variable(name="total"), self.add_variable(name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(ops.abs(y_true - y_pred)))
        self.count.assign_add(float(y_true.shape[0] * y_true.shape[1]))

    def result(self):
        return self.total / self.count


class Autoencoder(lamella.Sequential):
    def __init__(self, **kwargs):
        super().__init__([layers.Input((6,)), layers.Dense(4), layers.Dense(6)], **kwargs)
        self.loss_tracker = metrics.Mean(name="loss")
        self.rest = [metrics.MeanAbsoluteError(name="mae"), Error()]
        self.silent = metrics.Sum(name="silent")

    def update(self, loss, x, y):
        self.loss_tracker.update_state(loss)
        for metric in self.rest:
            metric.update_state(x, y)
        self.silent.update_state(loss)
        return {metric.name: metric.result() for metric in (self.loss_tracker, *self.rest)}

    def train_step(self, data):
        x, y = data

        def loss_of():
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred), y_pred

        (loss, y_pred), gradients = lamella.value_and_grad(loss_of, self.trainable_variables, has_aux=True)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.update(loss, y, y_pred)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.update(self.compute_loss(x, y, y_pred), y, y_pred)


def made(backend, cls=Autoencoder):
    utils.set_random_seed(0)
    model = cls()
    model.compile("adam", "mse", backend=backend)
    return model


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_logs_are_the_results_of_the_models_metrics(backend):
    model = made(backend)
    plain = lamella.Sequential([layers.Input((6,)), layers.Dense(4), layers.Dense(6)])
    plain.set_weights(model.get_weights())
    plain.compile("adam", "mse", backend=backend)
    batch_losses = []
    keep = lamella.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    history = model.fit(X, X, batch_size=20, epochs=2, shuffle=False, verbose=0, callbacks=[keep]).history
    for epoch in range(2):
        predictions = []
        for at in range(0, 50, 20):
            predictions.append(plain.predict(X[at : at + 20], verbose=0))
            batch_losses.append(plain.train_on_batch(X[at : at + 20], X[at : at + 20]))
        expected = np.mean(batch_losses[-3:])  # each batch counts once: one number was given
        np.testing.assert_allclose(history["loss"][epoch], expected, rtol=1e-5)
        absolute = np.abs(np.concatenate(predictions) - X).mean()
        np.testing.assert_allclose(history["mae"][epoch], absolute, rtol=1e-5)
        np.testing.assert_allclose(history["error"][epoch], absolute, rtol=1e-5)
    assert set(history) == {"loss", "mae", "error"}


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_an_evaluation_starts_from_nothing(backend):
    model = made(backend)
    model.fit(X, X, verbose=0)
    first = model.evaluate(X, X, verbose=0, return_dict=True, batch_size=25)
    again = model.evaluate(X, X, verbose=0, return_dict=True, batch_size=25)
    assert first == again
    difference = model.predict(X, verbose=0) - X
    np.testing.assert_allclose(first["loss"], (difference**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(first["error"], np.abs(difference).mean(), rtol=1e-5)


def test_the_model_lists_and_resets_its_metrics():
    model = made("numpy")
    assert [metric.name for metric in model.metrics] == ["loss", "mae", "error", "silent"]
    model.silent.update_state(3.0)
    model.reset_metrics()
    assert model.silent.result() == 0.0


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_metric_is_updated_where_gradients_are_taken(backend):
    class Inside(Autoencoder):
        def train_step(self, data):
            x, y = data

            def loss_of():
                loss = self.compute_loss(x, y, self(x, training=True))
                self.loss_tracker.update_state(loss)
                return loss

            _, gradients = lamella.value_and_grad(loss_of, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": self.loss_tracker.result()}

    inside = made(backend, Inside).fit(X, X, batch_size=20, epochs=2, verbose=0).history["loss"]
    outside = made(backend).fit(X, X, batch_size=20, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(inside, outside, rtol=1e-6)


def test_a_metric_that_the_model_does_not_keep_is_refused():
    elsewhere = metrics.Mean(name="elsewhere")

    class Careless(Autoencoder):
        def train_step(self, data):
            logs = super().train_step(data)
            elsewhere.update_state(logs["loss"])
            return logs

    with pytest.raises(TraceError, match="'elsewhere' is used in a model's step, but is not an attribute of the model"):
        made("numpy", Careless).fit(X, X, verbose=0)


def test_reset_within_a_step_begins_anew():
    class Forgetful(Autoencoder):
        def train_step(self, data):
            self.loss_tracker.reset_state()
            return super().train_step(data)

    model = made("numpy", Forgetful)
    history = model.fit(X[:40], X[:40], batch_size=20, shuffle=False, verbose=0).history
    plain = made("numpy")
    first = plain.train_on_batch(X[:20], X[:20], return_dict=True)["loss"]
    last = plain.train_on_batch(X[20:40], X[20:40], return_dict=True)["loss"]
    assert first != last
    np.testing.assert_allclose(history["loss"][0], last, rtol=1e-6)


class Largest(metrics.Metric):
    """The largest error; `result` returns the variable itself."""

    def __init__(self):
        super().__init__(name="largest")
        self.value = self.add_variable((), name="value")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(ops.maximum(self.value, ops.max(ops.abs(ops.subtract(y_true, y_pred)))))

    def result(self):
        return self.value


def test_a_result_that_is_a_variable_is_a_number():
    metric = Largest()
    metric.update_state([[1.0], [4.0]], [[2.0], [1.0]])
    assert float(metric.result()) == 3.0 and int(metric.result()) == 3
