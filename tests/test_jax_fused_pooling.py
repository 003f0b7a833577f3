"""Pooling merged with the convolution before it on JAX: the same numbers, and no NaN lost."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import lamella  # noqa: E402
from lamella import layers  # noqa: E402
from lamella.backend_api import load_backend  # noqa: E402
from lamella_jax.kernels import QUIRKS, function_of  # noqa: E402

SHAPE = (20, 20, 2)
quirks = pytest.mark.skipif(not QUIRKS, reason="LAMELLA_XLA_QUIRKS=0 turns the fusion off")


def convolutions(last=None):
    return [
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(48, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        last or layers.MaxPooling2D(3),
    ]


def model_of(parts, backend="jax"):
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([layers.Input(SHAPE), *parts, layers.Flatten(), layers.Dense(4, "softmax")])
    model.compile("sgd", "mse", metrics=["mae"], backend=backend)
    return model


def pictures(rows=64):
    return np.random.default_rng(0).normal(size=(rows, *SHAPE)).astype(np.float32)


def merged(model, rows=128):
    """How many poolings of the compiled inference program are merged with the convolution before."""
    program = load_backend("jax").prepare(model.program(rows))
    specs = [jax.ShapeDtypeStruct(tuple(map(int, s.shape)), np.dtype(s.dtype)) for s in program.input_specs]
    return str(jax.make_jaxpr(function_of(program, alone=True))(*specs)).count(" reduce_window_max[")


def spoilt(kind):
    """Pictures with a NaN or an infinity, or so large that something overflows."""
    x = pictures()
    if kind == "nan":
        x[3, 5, 6, 1] = np.nan
    elif kind == "infinity":
        x[3, 5, 6, 1] = np.inf
    elif kind == "overflow":
        x *= np.float32(1e37)
    elif kind == "large":
        x *= np.float32(1e28)
    return x


@pytest.mark.parametrize("kind", ["as they are", "nan", "infinity", "overflow", "large", "nan weight", "zeros"])
def test_the_numbers_are_those_of_numpy(kind):
    x = np.zeros_like(pictures()) if kind == "zeros" else spoilt(kind)
    found = {}
    for backend in ("numpy", "jax"):
        model = model_of(convolutions(), backend)
        if kind == "nan weight":
            weights = model.get_weights()
            weights[0][1, 1, 0, 7] = np.nan
            model.set_weights(weights)
        with np.errstate(all="ignore"):
            found[backend] = (
                model.predict(x, batch_size=64, verbose=0),
                model.evaluate(x, x[:, 0, :2, :].reshape(64, 4), verbose=0),
            )
    for a, b in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    if "nan" in kind:
        assert np.isnan(found["jax"][0]).any()


@quirks
def test_pooling_after_a_convolution_is_merged():
    assert merged(model_of(convolutions())) == 2


@quirks
@pytest.mark.parametrize("last", [layers.MaxPooling2D(3, strides=2), layers.MaxPooling2D(2, padding="same")])
def test_windows_that_overlap_or_reach_over_the_edge_are_not(last):
    assert merged(model_of(convolutions(last))) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [layers.Conv2D(32, 3, activation="tanh"), layers.MaxPooling2D(2)],
        [layers.MaxPooling2D(2), layers.Conv2D(32, 3)],
        [layers.Conv2D(32, 3, groups=2), layers.MaxPooling2D(2)],
        [layers.LayerNormalization(), layers.Conv2D(32, 3), layers.MaxPooling2D(2)],
        [layers.Conv2D(8, 3, dtype="mixed_float16"), layers.Conv2D(32, 3, dtype="float32"), layers.MaxPooling2D(2)],
    ],
    ids=["another activation", "no convolution before", "groups", "an op without a bound", "float16 overflows early"],
)
def test_what_is_not_known_to_be_bounded_stays_as_it_was(parts):
    model = model_of(parts)
    assert merged(model) == 0
    assert np.isfinite(model.predict(pictures(), verbose=0)).all()


def test_a_convolution_that_is_seen_elsewhere_is_not_merged():
    class Twice(lamella.Layer):
        def call(self, x):
            return lamella.ops.concatenate([lamella.ops.max_pool(x, 2), x[:, ::2, ::2]], axis=-1)

    model = model_of([layers.Conv2D(8, 3), Twice()])
    assert merged(model) == 0


def test_training_keeps_what_its_gradients_read():
    model = model_of(convolutions())
    x = pictures()
    losses = model.fit(x, np.zeros((64, 4), np.float32), batch_size=32, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
