"""The same seed gives the same numbers: on both backends, in a repeated script, in a second model."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import lamella
from lamella import initializers
from lamella.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D


def digits_model():
    model = lamella.Sequential(
        [
            Input((8, 8, 1)),
            Conv2D(8, 3, activation="relu"),
            MaxPooling2D(2),
            Dropout(0.25),
            Flatten(),
            Dense(32, activation="relu"),
            Dropout(0.5),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def weights_of(name):
    with lamella.backend_scope(name):
        lamella.utils.set_random_seed(11)
        return digits_model().get_weights()


def dropped(name, seed):
    model = lamella.Sequential([Input((50,)), Dropout(0.3), Dropout(0.6)])
    fn = model.lower(name, training=True)
    return np.asarray(fn(fn.params, fn.state, np.ones((40, 50), "float32"), seed=seed)[0])


def order_of_rows(name, rows, epochs, shuffle=True):
    """The targets in the order of training: each step sets the one weight to its row's target, exactly."""
    seen = []
    lamella.utils.set_random_seed(5)
    model = lamella.Sequential([Input((1,)), Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(lamella.optimizers.SGD(0.5), "mse", backend=name)
    watcher = lamella.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(int(model.get_weights()[0][0, 0]))
    )
    y = np.arange(rows, dtype="float32")
    model.fit(np.ones(rows), y, batch_size=1, epochs=epochs, shuffle=shuffle, verbose=0, callbacks=[watcher])
    return seen


def assert_identical(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- on both backends ----


def test_initial_weights_are_bit_identical(both):
    assert_identical(*map(weights_of, both))


def test_dropout_masks_are_bit_identical(both):
    numpy, jax = (dropped(name, seed=9) for name in both)
    np.testing.assert_array_equal(numpy, jax)
    assert 0.2 < np.mean(numpy != 0) < 0.36
    assert not np.array_equal(numpy, dropped("numpy", seed=10))


def test_dropout_masks_of_training_are_bit_identical_and_new_at_each_step(both):
    masks = {}
    for name in both:
        lamella.utils.set_random_seed(5)
        model = lamella.Sequential(
            [Input((20,)), Dense(20, use_bias=False, kernel_initializer="identity"), Dropout(0.5)]
        )
        model.compile(lamella.optimizers.SGD(1.0), "mse", backend=name)
        seen = []
        for _ in range(3):
            model.set_weights([np.eye(20)])
            model.train_on_batch(np.eye(20), np.zeros((20, 20)))
            seen.append(model.get_weights()[0] != np.eye(20))
        masks[name] = seen
    assert_identical(masks["numpy"], masks["jax"])
    assert not np.array_equal(masks["numpy"][0], masks["numpy"][1])


def test_the_order_of_the_rows_is_identical(both):
    numpy, jax = (order_of_rows(name, rows=13, epochs=2) for name in both)
    assert numpy == jax
    assert sorted(numpy[:13]) == sorted(numpy[13:]) == list(range(13))
    assert numpy[:13] != numpy[13:]


@pytest.mark.parametrize(
    ("floatx", "rows", "tolerance"), [("float32", 900, 1e-4), ("float64", 400, 1e-9)], ids=["float32", "float64"]
)
def test_loss_curves_on_digits_agree_over_ten_epochs(floatx, rows, tolerance, both):
    datasets = pytest.importorskip("sklearn.datasets")
    lamella.config.set_floatx(floatx)
    x, y = datasets.load_digits(return_X_y=True)
    x, y = x[:rows].reshape(-1, 8, 8, 1) / 16.0, y[:rows]
    curves = {}
    for name in both:
        lamella.utils.set_random_seed(7)
        with lamella.backend_scope(name):
            curves[name] = digits_model().fit(x, y, epochs=10, batch_size=32, verbose=0).history["loss"]
    assert len(curves["numpy"]) == 10
    assert curves["numpy"][-1] < 0.9 * curves["numpy"][0]
    difference = np.abs(np.subtract(curves["numpy"], curves["jax"])).max()
    print(f"largest difference of the {floatx} loss curves: {difference:.2e}")
    assert difference < tolerance


# ---- in one process ----


def test_two_models_in_a_row_differ_and_the_script_repeats():
    def script():
        lamella.utils.set_random_seed(3)
        return [lamella.Sequential([Input((4,)), Dense(3)]).get_weights()[0] for _ in range(2)]

    first, second = script(), script()
    assert not np.array_equal(first[0], first[1])
    assert_identical(first, second)


def test_numpys_seed_repeats_a_script_that_says_nothing_else(run_python):
    code = """
import sys
import numpy as np
from lamella import Sequential
from lamella.layers import Dense, Dropout

def script():
    np.random.seed(7)
    x = np.random.randn(20, 3)
    model = Sequential([Dense(4, input_dim=3), Dropout(0.5), Dense(1)])
    model.compile("sgd", "mse", backend="numpy")
    model.fit(x, x[:, 0], epochs=2, verbose=0)
    return [w.tobytes() for w in model.get_weights()]

once = script()
assert once == script()
np.random.seed(8)
assert Sequential([Dense(4, input_dim=3)]).get_weights()[0].tobytes() != once[0]
"""
    run_python(code=code)


def test_set_random_seed_also_seeds_python_and_numpy():
    import random

    draws = []
    for _ in range(2):
        lamella.utils.set_random_seed(3)
        draws.append((random.random(), np.random.rand()))  # noqa: NPY002 - the generator a tutorial uses
    assert draws[0] == draws[1]


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, "7", True])
def test_a_seed_is_a_small_integer(wrong):
    with pytest.raises(ValueError, match=r"integer from 0 to 2\*\*32 - 1"):
        lamella.utils.set_random_seed(wrong)


def test_equal_layers_of_one_model_and_equal_paths_of_two_models():
    model = lamella.Sequential([Input((4,)), Dense(4), Dense(4)])
    assert not np.array_equal(model.get_weights()[0], model.get_weights()[2])
    # a weight is a function of the model's seed and of its path: a layer added later changes none before it
    lamella.utils.set_random_seed(1)
    short = lamella.Sequential([Input((4,)), Dense(4)])
    lamella.utils.set_random_seed(1)
    long = lamella.Sequential([Input((4,)), Dense(4), BatchNormalization(), Dense(2)])
    assert_identical(short.get_weights(), long.get_weights()[:2])


def test_init_of_the_lowered_function_draws_the_models_own_weights(backend):
    model = digits_model()
    fn = model.lower(backend)
    drawn, state = fn.init(model.seed)
    assert state == {}
    assert list(drawn) == list(fn.params)
    for name, own in fn.params.items():
        np.testing.assert_array_equal(np.asarray(drawn[name]), np.asarray(own))
    other, _ = fn.init(model.seed + 1)
    assert not np.array_equal(np.asarray(other["dense/kernel"]), np.asarray(drawn["dense/kernel"]))


def test_init_of_a_nested_model_draws_its_own_weights(backend):
    inner = lamella.Sequential([Dense(4), BatchNormalization()])
    model = lamella.Sequential([Input((3,)), inner, Dense(2)])
    fn = model.lower(backend)
    params, state = fn.init(model.seed)
    for name, own in {**fn.params, **fn.state}.items():
        np.testing.assert_array_equal(np.asarray({**params, **state}[name]), np.asarray(own))


def test_training_repeats_itself_bit_for_bit(backend):
    x = np.random.default_rng(0).normal(size=(50, 6))
    runs = []
    for _ in range(2):
        lamella.utils.set_random_seed(2)
        model = lamella.Sequential([Input((6,)), Dense(8, activation="tanh"), Dropout(0.5), Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(x, x[:, 0], epochs=2, batch_size=16, verbose=0).history["loss"]
        runs.append([np.array(history), *model.get_weights()])
    assert_identical(*runs)


def test_weights_are_drawn_when_first_read():
    tracemalloc.start()
    try:
        model = lamella.Sequential([Input((100,)), Dense(10_000_000)])
        assert model.count_params() == 1_010_000_000 and model.output_shape == (None, 10_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_weights_read_late_are_those_read_early():
    lamella.utils.set_random_seed(3)
    early = lamella.Sequential([Input((4,)), Dense(3)])
    first = early.get_weights()
    lamella.utils.set_random_seed(3)
    late = lamella.Sequential([Input((4,)), Dense(3)])
    late.compile("sgd", "mse")
    late.evaluate(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    for a, b in zip(first, late.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("initializer", ["orthogonal", "identity", initializers.Constant([1.0, 2.0])])
def test_an_initializer_that_does_not_fit_says_so_when_the_layer_is_built(initializer):
    layer = Dense(3, bias_initializer=initializer)
    with pytest.raises(ValueError, match=r"shape|dimensions"):
        lamella.Sequential([Input((4,)), layer])
    assert not layer.built and not layer.weights
