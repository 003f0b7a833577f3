"""Calls on one batch, one after another: what a call may take over from the last one, and what it may not."""

import numpy as np
import pytest

import lamella
from lamella import layers

BACKENDS = ["numpy", "jax"]
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "jax":
        pytest.importorskip("jax")
    return request.param


def trained(backend):
    model = lamella.Sequential([layers.Input((3,)), layers.Dropout(0.5), layers.Dense(1)])
    model.seed = 3
    model.compile(lamella.optimizers.SGD(0.1), "mse", metrics=["mae"], backend=backend)
    model.train_on_batch(X, Y)
    return model


def test_a_rate_set_between_calls_is_taken_and_the_old_one_comes_back(backend):
    model = trained(backend)
    before = model.get_weights()
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(X, Y)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.optimizer.learning_rate = 0.1
    model.train_on_batch(X, Y)
    assert np.abs(model.get_weights()[0] - before[0]).max() > 1e-4
    assert model.optimizer.iterations == 3


def test_every_call_clears_the_logs_and_draws_another_mask(backend):
    model = trained(backend)
    model.optimizer.learning_rate = 0.0
    losses = {model.train_on_batch(X, Y)[0] for _ in range(3)}
    assert len(losses) == 3  # the count of steps continues
    expected = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    for _ in range(3):
        assert model.test_on_batch(X, Y)[0] == pytest.approx(expected, rel=1e-5)


def test_another_seed_draws_other_masks(backend):
    losses = []
    for seed in (3, 4):
        model = trained(backend)
        model.optimizer.learning_rate = 0.0
        model.seed = seed
        model.train_on_batch(X, Y)
        losses.append(model.train_on_batch(X, Y)[0])
    assert losses[0] != losses[1]


def test_results_do_not_share_memory_with_the_batch(backend):
    model = lamella.Sequential([layers.Input((3,)), layers.Flatten()])
    model.compile("sgd", "mse", backend=backend)
    x = X.copy()
    results = [model.predict(x, verbose=0), model.predict_on_batch(x), model(x)]
    x[...] = 7.0
    for result in results:
        np.testing.assert_array_equal(np.asarray(result), X)


def test_predictions_are_those_of_the_batch_though_its_array_is_used_again(backend):
    model = lamella.Sequential([layers.Input((64,)), layers.Dense(1, kernel_initializer="ones")])
    model.to(backend)
    batch = np.empty((8192, 64), np.float32)

    def batches():
        for number in range(6):
            batch[:] = number
            yield (batch,)

    found = model.predict(batches(), steps=6, verbose=0)
    np.testing.assert_array_equal(found[:, 0], np.repeat(64.0 * np.arange(6), 8192))
    rows = np.repeat(np.arange(100, dtype=np.float32), 64).reshape(100, 64)
    np.testing.assert_array_equal(model.predict(rows, batch_size=7, verbose=0)[:, 0], 64 * np.arange(100))


@pytest.mark.parametrize("predict", ["predict", "predict_on_batch"])
def test_a_batch_like_an_earlier_one_meets_what_changed_in_between(backend, predict):
    model = trained(backend)
    kwargs = {"verbose": 0} if predict == "predict" else {}
    first = getattr(model, predict)(X, **kwargs)
    np.testing.assert_array_equal(getattr(model, predict)(X, **kwargs), first)

    model.set_weights([w + 1 for w in model.get_weights()])
    moved = getattr(model, predict)(X, **kwargs)
    np.testing.assert_allclose(moved, first + X.sum(1, keepdims=True) + 1, rtol=1e-5, atol=1e-6)

    model.compile("sgd", "mse", backend=backend, run_eagerly=True)
    np.testing.assert_allclose(getattr(model, predict)(X, **kwargs), moved, rtol=1e-5, atol=1e-6)
    model.compile("sgd", "mse", backend=backend)
    model.add(layers.Dense(2))
    assert getattr(model, predict)(X, **kwargs).shape == (8, 2)
    model.to("numpy")
    assert getattr(model, predict)(X, **kwargs).shape == (8, 2)

    lamella.config.set_check_nan(True)
    try:
        with pytest.raises(ValueError, match="NaN"):
            getattr(model, predict)(np.full_like(X, np.nan), **kwargs)
    finally:
        lamella.config.set_check_nan(False)


@pytest.mark.parametrize("wrong", [0, True, 2.5, -1])
def test_a_wrong_batch_size_is_refused_for_a_batch_like_an_earlier_one(backend, wrong):
    model = trained(backend)
    model.predict(X, verbose=0)
    model.predict_on_batch(X)
    with pytest.raises(ValueError, match="batch_size"):
        model.predict(X, batch_size=wrong, verbose=0)


@pytest.mark.parametrize("rows", [3, 4, 8])
def test_predictions_nobody_watches_are_those_that_somebody_does(backend, rows):
    model = trained(backend)
    quiet = model.predict(X, batch_size=rows, verbose=0)
    np.testing.assert_array_equal(quiet, model.predict(X, batch_size=rows, verbose=2))
    np.testing.assert_allclose(quiet, model.predict(X, verbose=0), rtol=1e-6)
