"""Models that share layers: a GAN of two Sequentials, an encoder cut out of a trained autoencoder."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella.layers import BatchNormalization, Dense, Input

RNG = np.random.default_rng(0)


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def differs(first, second):
    return all(np.any(a != b) for a, b in zip(first, second, strict=True))


def gan():
    generator = lamella.Sequential([Input((2,)), Dense(8, activation="tanh"), BatchNormalization(), Dense(3)])
    discriminator = lamella.Sequential([Input((3,)), Dense(8, activation="tanh"), Dense(1, activation="sigmoid")])
    discriminator.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    discriminator.trainable = False
    both = lamella.Sequential([generator, discriminator])
    both.compile("sgd", "binary_crossentropy")
    return generator, discriminator, both


def test_a_gan_trains_each_half_as_it_stood_at_compile(backend):
    generator, discriminator, both = gan()
    noise, real = RNG.normal(size=(16, 2)), RNG.normal(size=(16, 3))
    ones, zeros = np.ones(16), np.zeros(16)
    for _ in range(2):
        before = generator.get_weights(), discriminator.get_weights()
        discriminator.train_on_batch(real, ones)
        discriminator.train_on_batch(generator.predict(noise, verbose=0), zeros)
        # frozen now, but trained as it stood when it was compiled
        assert differs(before[1], discriminator.get_weights())
        assert_same(before[0], generator.get_weights())
        before = discriminator.get_weights()
        both.train_on_batch(noise, ones)
        assert_same(before, discriminator.get_weights())
    before = generator.get_weights()
    both.fit(noise, ones, epochs=1, verbose=0)
    assert np.any(before[0] != generator.get_weights()[0])
    # the moving averages of a BatchNormalization that was trainable at compile move as well
    assert np.any(before[4] != generator.get_weights()[4])


def test_freezing_the_whole_model_after_compile_changes_nothing_until_it_is_compiled_again(backend):
    model = lamella.Sequential([Input((3,)), BatchNormalization(), Dense(1)])
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(8, 3)), np.ones(8)
    model.trainable = False
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert differs(before, model.get_weights())
    model.layers[1].trainable = True
    model.layers[1].bias.trainable = False
    model._trainable = True
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    changed = [bool(np.any(a != b)) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * 4 + [True, False]


def test_what_is_frozen_or_thawed_after_compile_is_so_when_training_begins_again(backend):
    model = lamella.Sequential([Input((3,)), Dense(4), BatchNormalization(), Dense(1)])
    model.compile("adam", "mse")
    x, y = RNG.normal(size=(8, 3)), np.ones(8)

    def moved(train):
        before = model.get_weights()
        train(x, y)
        return [bool(np.any(a != b)) for a, b in zip(before, model.get_weights(), strict=True)]

    def fit(x, y):
        model.fit(x, y, verbose=0)

    dense, normalization, last = model.layers
    dense.trainable = False
    assert moved(fit) == [False] * 2 + [True] * 6
    dense.trainable = True
    normalization.trainable = False
    for train in (fit, model.train_on_batch):
        assert moved(train) == [True] * 2 + [False] * 4 + [True] * 2
    last.bias.trainable = False
    assert moved(model.train_on_batch) == [True] * 2 + [False] * 4 + [True, False]
    assert len(model.value_and_grad(x, y)[1]) == 3
    normalization.trainable = last.bias.trainable = True
    assert moved(fit) == [True] * 8
    model.add(Dense(1, trainable=False))
    assert moved(fit) == [True] * 8 + [False] * 2


def test_an_external_optimizer_asks_for_a_new_compile(jax):
    optax = pytest.importorskip("optax")
    model = lamella.Sequential([Input((3,)), Dense(4), Dense(1)])
    model.compile(optax.adam(0.1), "mse")
    model.layers[0].trainable = False
    x, y = RNG.normal(size=(8, 3)), np.ones(8)
    before = model.get_weights()[0]
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(before, model.get_weights()[0])
    model.layers[0].trainable = True
    for _ in range(2):
        with pytest.raises(ValueError, match=r"were frozen or thawed, .* compile the model again"):
            model.fit(x, y, verbose=0)
    model.compile(optax.adam(0.1), "mse")
    model.fit(x, y, verbose=0)


def test_an_encoder_cut_out_of_a_trained_autoencoder_is_its_first_half(backend):
    x = RNG.normal(size=(40, 6)).astype("float32")
    autoencoder = lamella.Sequential(
        [Input((6,)), Dense(8, activation="tanh"), Dense(2, name="code"), Dense(8, activation="tanh"), Dense(6)]
    )
    autoencoder.compile("adam", "mse")
    autoencoder.fit(x, x, epochs=2, verbose=0)
    encoder = lamella.Sequential([Input((6,)), *autoencoder.layers[:2]])
    decoder = lamella.Sequential([Input((2,)), *autoencoder.layers[2:]])
    code = encoder.predict(x, verbose=0)
    np.testing.assert_allclose(code, autoencoder.layer_outputs(x)["code"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        decoder.predict(code, verbose=0), autoencoder.predict(x, verbose=0), rtol=1e-4, atol=1e-5
    )
    autoencoder.fit(x, x, epochs=1, verbose=0)
    assert np.abs(encoder.predict(x, verbose=0) - code).max() > 0
    assert_same(encoder.get_weights(), autoencoder.get_weights()[:4])
    # trained on its own, the encoder moves the autoencoder too
    encoder.compile("sgd", "mse")
    before = autoencoder.get_weights()
    encoder.fit(x, np.zeros((40, 2)), verbose=0)
    after = autoencoder.get_weights()
    assert differs(before[:4], after[:4])
    assert_same(before[4:], after[4:])


def test_one_layer_may_be_in_models_on_two_backends(both):
    shared = Dense(3)
    models = [lamella.Sequential([Input((4,)), shared, Dense(1)]) for _ in both]
    x, y = RNG.normal(size=(16, 4)), np.ones(16)
    for model, name in zip(models, both, strict=True):
        model.compile("sgd", "mse", backend=name)
    for _ in range(2):
        for model in models:
            before = shared.get_weights()
            model.fit(x, y, verbose=0)
            assert np.any(before[0] != shared.get_weights()[0])
    np.testing.assert_allclose(models[0].layer_outputs(x)["dense"], models[1].layer_outputs(x)["dense"], rtol=1e-5)
