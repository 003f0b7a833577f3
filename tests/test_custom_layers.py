"""Layers of a user's own, and what the core does for any layer: state, losses, masks, random numbers, mixed precision."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import ops
from lamella.layers import LSTM, Dense, Dropout, Flatten, Input, Layer, Masking

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = X[:, :1]


class Scale(Layer):
    """y = x * factor"""

    def __init__(self, start=2.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.factor = self.add_weight((input_shape[-1],), lamella.initializers.Constant(self.start), name="factor")

    def call(self, inputs):
        return inputs * self.factor


class Counter(Layer):
    """Counts its calls in training; gives the count it has reached, so a read after `assign` sees the new value."""

    def build(self, input_shape):
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, inputs, training=False):
        if training:
            self.count.assign(self.count + 1)
            self.count.assign_add(1.0)
        return inputs * 0 + self.count


class Penalized(Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)) * 0.5)
        return inputs


class Block(Layer):
    """Holds layers in an attribute, a list and a dict."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Dense(4)
        self.more = [Dense(4, activation="tanh"), Dropout(0.5)]
        self.named = {"last": Scale(1.0), "out": Dense(1)}

    def call(self, inputs, training=False):
        x = self.first(inputs)
        for layer in self.more:
            x = layer(x)
        return self.named["out"](self.named["last"](x) + x)


class MaskedMean(Layer):
    """The mean over the steps that count."""

    def call(self, inputs, mask=None):
        weight = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)
        return ops.sum(inputs * weight, 1) / ops.sum(weight, 1)


class Noisy(Layer):
    def call(self, inputs, training=False):
        if not training:
            return inputs
        kept = ops.cast(self.keep_mask(inputs.shape, 0.75), inputs.dtype)
        return inputs * kept + self.random_uniform(inputs.shape, -1.0, 1.0)


def sequential(*layers, shape=(3,), **kwargs):
    model = lamella.Sequential([Input(shape), *layers])
    model.compile("sgd", "mse", **kwargs)
    return model


# ---- weights, state, losses, layers within layers ----


def test_a_layer_with_a_weight_trains(backend):
    model = sequential(Scale(), Dense(1))
    assert [path for path, _ in model.named_weights()] == ["scale/factor", "dense/kernel", "dense/bias"]
    np.testing.assert_allclose(model.layer_outputs(X)["scale"], X * 2, rtol=1e-6)
    before = model.get_weights()[0]
    model.fit(X, Y, epochs=2, verbose=0)
    assert np.all(model.get_weights()[0] != before)
    copy = Scale.from_config(model.layers[0].get_config())
    assert copy.start == 2.0 and copy.name == "scale" and not copy.built


def test_a_layer_works_on_arrays_at_once(backend):
    layer = Scale(3.0)
    y = layer(X)
    np.testing.assert_allclose(np.asarray(y), X * 3, rtol=1e-6)
    assert layer.built and [w.shape for w in layer.get_weights()] == [(3,)]


def test_assigned_state_is_kept_and_read_again_in_the_same_call(backend):
    model = sequential(Counter())
    fn = model.lower(backend)
    y, state = fn({}, fn.state, X, training=True)
    assert np.asarray(y).tolist() == [[2.0] * 3] * 10
    assert float(state["counter/count"]) == 2.0
    assert float(fn(fn.params, state, X, training=True)[1]["counter/count"]) == 4.0
    model.fit(X, X, batch_size=5, epochs=3, verbose=0)
    assert model.get_weights()[0] == 12.0
    model.predict(X, verbose=0)
    assert model.get_weights()[0] == 12.0
    model(X, training=True)
    assert model.get_weights()[0] == 14.0


def test_add_loss_is_part_of_what_is_trained_and_reported(backend):
    model = sequential(Penalized(), Dense(1, kernel_initializer="zeros"))
    penalty = 0.5 * np.mean(X**2)
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=10, verbose=0), np.mean(Y**2) + penalty, rtol=1e-5)
    fn = model.lower(backend)
    np.testing.assert_allclose(float(fn(fn.params, {}, X, return_losses=True)[2]), penalty, rtol=1e-5)


def test_an_activity_regularizer_counts_once_a_row(backend):
    model = sequential(Dense(2, kernel_initializer="ones", activity_regularizer=lamella.regularizers.L1(0.1)))
    model.compile("sgd", None)
    expected = 0.1 * np.abs(X.sum(1, keepdims=True).repeat(2, 1)).sum() / 10
    np.testing.assert_allclose(model.evaluate(X, batch_size=10, verbose=0), expected, rtol=1e-5)
    before = model.get_weights()[0]
    model.fit(X, verbose=0)
    assert np.all(model.get_weights()[0] != before)


def test_layers_within_a_layer_are_found_built_and_trained(backend):
    model = sequential(Block())
    paths = [path for path, _ in model.named_weights()]
    assert paths == [
        "block/dense/kernel",
        "block/dense/bias",
        "block/dense_1/kernel",
        "block/dense_1/bias",
        "block/scale/factor",
        "block/dense_2/kernel",
        "block/dense_2/bias",
    ]
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    assert all(np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True))
    model.layers[0].trainable = False
    assert model.trainable_weights == []


def test_a_printed_call_shows_the_symbolic_value(capsys):
    class Talks(Layer):
        def call(self, inputs):
            print("here:", inputs)
            return inputs

    sequential(Talks())
    assert "here: <lamella value float32[" in capsys.readouterr().out


# ---- masks ----


def padded_sequences(extra):
    x = np.random.default_rng(1).normal(size=(4, 5, 2)).astype("float32")
    return np.concatenate([x, np.zeros((4, extra, 2), "float32")], 1)


def test_a_layer_with_a_mask_argument_gets_the_mask_that_travels(backend):
    model = sequential(Masking(), Dense(2), MaskedMean(), shape=(None, 2))
    short = model.predict(padded_sequences(0), verbose=0)
    longer = lamella.Sequential([Input((8, 2)), *model.layers])
    np.testing.assert_allclose(longer.predict(padded_sequences(3), verbose=0), short, rtol=1e-5, atol=1e-6)


class ByDefault(lamella.Layer):
    """Adds 1 in training, and calls what it holds."""

    def __init__(self, inner=None):
        super().__init__()
        self.inner = inner

    def result(self, x, training):
        return (x if self.inner is None else self.inner(x)) + (1.0 if training else 0.0)


class Trains(ByDefault):
    def call(self, x, training=True):
        return self.result(x, training)


class Infers(ByDefault):
    def call(self, x, training=False):
        return self.result(x, training)


class Silent(ByDefault):
    def call(self, x, training=None):
        return self.result(x, training)


class Unaware(ByDefault):
    def call(self, x):
        return self.result(x, False)


class TrainsWhole(lamella.Sequential):
    def call(self, inputs, training=True, mask=None):
        return super().call(inputs, training=training, mask=mask)


@pytest.mark.parametrize(
    ("make", "untold", "trained"),
    [  # what Keras 3.15 gives
        (lambda: Trains(), 1, 1),
        (lambda: Infers(), 0, 1),
        (lambda: Silent(), 0, 1),
        (lambda: Trains(Silent()), 2, 2),
        (lambda: Trains(Infers()), 2, 2),
        (lambda: Infers(Trains()), 0, 2),
        (lambda: Unaware(Trains()), 1, 1),
        (lambda: Unaware(Infers()), 0, 1),
        (lambda: lamella.Sequential([Infers(), Trains()]), 1, 2),
        (lambda: lamella.Sequential([lamella.Sequential([Trains()])]), 1, 1),
        (lambda: TrainsWhole([Silent()]), 1, 1),
    ],
)
def test_a_call_that_is_not_told_takes_the_default_of_each_layer(make, untold, trained, backend):
    x = np.zeros((2, 3), "float32")
    model = lamella.Sequential([Input((3,)), make()])
    for called in (make(), model):
        assert np.asarray(called(x)).max() == untold
        assert np.asarray(called(x, training=False)).max() == 0
        assert np.asarray(called(x, training=True)).max() == trained
    model.compile("sgd", "mse")
    assert model.predict(x, verbose=0).max() == 0 and model.evaluate(x, x, verbose=0) == 0


def test_an_lstm_skips_masked_steps_in_prediction_and_in_training(backend):
    lamella.utils.set_random_seed(1)
    short = sequential(Masking(), LSTM(4), Dense(1), shape=(5, 2))
    long = sequential(Masking(), LSTM(4), Dense(1), shape=(8, 2))
    long.set_weights(short.get_weights())
    y = np.ones((4, 1), "float32")
    np.testing.assert_allclose(
        long.predict(padded_sequences(3), verbose=0),
        short.predict(padded_sequences(0), verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )
    for model, extra in ((short, 0), (long, 3)):
        model.fit(padded_sequences(extra), y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(short.get_weights(), long.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# ---- mistakes that get an answer ----


def test_a_value_kept_on_self_and_used_in_the_next_trace_is_refused(backend):
    class Keeps(Layer):
        kept = None

        def call(self, inputs):
            if self.kept is None:
                self.kept = inputs
            return inputs + self.kept

    with pytest.raises(TypeError, match=r"'keeps'.*do not keep it on `self`"):
        sequential(Keeps()).predict(X, verbose=0)


def test_a_variable_the_model_does_not_track_is_refused(backend):
    hidden = []

    class Hides(Layer):
        def call(self, inputs):
            if not hidden:
                other = Scale()
                other.build(inputs.shape)
                hidden.append(other)
            return hidden[0](inputs)

    with pytest.raises(TypeError, match=r"'hides.*which the model does not track.*add_weight"):
        sequential(Hides()).predict(X, verbose=0)


@pytest.mark.parametrize(
    "function",
    [
        np.tanh,
        np.sum,
        lambda x: np.concatenate([x, x]),
        float,
        bool,
        np.asarray,
    ],
    ids=["np.tanh", "np.sum", "np.concatenate", "float", "bool", "np.asarray"],
)
def test_numpy_s_functions_on_a_value_say_what_to_write(function):
    class Uses(Layer):
        def call(self, inputs):
            return function(inputs)

    with pytest.raises(TypeError, match=r"Layer 'uses'.*lamella\.ops"):
        sequential(Uses())


def test_jax_s_functions_on_a_value_say_what_to_write(jax):
    class Uses(Layer):
        def call(self, inputs):
            return jax.numpy.tanh(inputs)

    with pytest.raises(ValueError, match=r"Layer 'uses'.*lamella\.ops.*ops\.tanh"):
        sequential(Uses())


def test_an_error_of_one_s_own_in_call_reaches_the_user_as_it_is(backend):
    class Fails(Layer):
        def call(self, inputs):
            raise RuntimeError("my own words")

    model = lamella.Sequential([Input((3,)), Dense(2)])
    with pytest.raises(RuntimeError, match="my own words"):
        model.add(Fails())
    assert model.output_shape == (None, 2)


# ---- random numbers ----


def test_random_draws_of_one_s_own_layer_are_identical_on_both_backends(both):
    results = []
    for name in both:
        fn = lamella.Sequential([Input((3,)), Noisy(), Noisy()]).lower(name, training=True)
        results.append(np.asarray(fn({}, {}, np.ones((50, 3), "float32"), seed=4)[0]))
    np.testing.assert_array_equal(*results)


def test_a_layer_called_twice_draws_twice_and_a_seed_of_its_own_fixes_the_draw(backend):
    class Twice(Layer):
        def __init__(self, seed=None, **kwargs):
            super().__init__(**kwargs)
            self.noise = Dropout(0.5, seed=seed)

        def call(self, inputs, training=False):
            return ops.stack([self.noise(inputs), self.noise(inputs)], 1)

    ones = np.ones((20, 3), "float32")
    fn = lamella.Sequential([Input((3,)), Twice()]).lower(backend, training=True)
    y = np.asarray(fn({}, {}, ones, seed=1)[0])
    assert not np.array_equal(y[:, 0], y[:, 1])
    seeded = [
        np.asarray(
            lamella.Sequential([Input((3,)), *before, Dropout(0.5, seed=3)]).lower(backend)({}, {}, ones, True, 1)[0]
        )
        for before in ([], [Flatten()])
    ]
    np.testing.assert_array_equal(*seeded)


# ---- mixed precision ----


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_mixed_precision_layer_computes_in_16_bits_and_keeps_float32_weights(policy, backend):
    lamella.utils.set_random_seed(2)
    model = sequential(Dense(8, activation="tanh", dtype=policy), Dense(1, dtype="float32"))
    assert [w.dtype for w in model.get_weights()] == [np.float32] * 4
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    hidden = np.asarray(model.layer_outputs(X)["dense"], "float32")
    digits = 8 if policy == "mixed_bfloat16" else 11
    mantissa, _ = np.frexp(hidden)
    assert np.array_equal(mantissa * 2**digits, np.round(mantissa * 2**digits))
    kernel, bias = model.layers[0].get_weights()
    np.testing.assert_allclose(hidden, np.tanh(X @ kernel + bias), atol=0.03)
    history = model.fit(X, Y, epochs=20, batch_size=5, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
    assert [w.dtype for w in model.get_weights()] == [np.float32] * 4


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_the_same_on_both_backends(policy, both):
    predictions = {}
    for name in both:
        lamella.utils.set_random_seed(2)
        with lamella.backend_scope(name):
            model = sequential(Dense(8, activation="tanh", dtype=policy), Dense(1, dtype="float32"))
            model.fit(X, Y, epochs=3, batch_size=5, verbose=0)
            predictions[name] = model.predict(X, verbose=0)
    np.testing.assert_allclose(predictions["numpy"], predictions["jax"], atol=0.02)


def test_the_global_policy_holds_for_layers_made_from_then_on():
    lamella.config.set_dtype_policy("mixed_bfloat16")
    assert Dense(2).compute_dtype == "bfloat16" and Dense(2).dtype == "float32"
    lamella.config.set_dtype_policy(None)
    assert Dense(2).compute_dtype == "float32"
    with pytest.raises(ValueError, match="did you mean 'mixed_float16'"):
        Dense(2, dtype="mixed_float_16")
