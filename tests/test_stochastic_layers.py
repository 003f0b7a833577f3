"""Layers that draw in training: the same numbers on both backends, the moments they promise, and nothing in inference."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import host_random, layers, ops
from lamella.ir import settings

MASKS = {
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.4), (20, 3, 50)),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.4), (20, 3, 2, 50)),
    "SpatialDropout2D-channels-first": (lambda: layers.SpatialDropout2D(0.4, "channels_first"), (20, 50, 3, 2)),
    "SpatialDropout3D": (lambda: layers.SpatialDropout3D(0.4), (10, 2, 3, 2, 50)),
    "SpatialDropout3D-channels-first": (lambda: layers.SpatialDropout3D(0.4, "channels_first"), (10, 50, 2, 3, 2)),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.4), (60, 50)),
    "AlphaDropout-noise-shape": (lambda: layers.AlphaDropout(0.4, noise_shape=(None, 1, 40)), (60, 5, 40)),
}
NOISES = {
    "GaussianNoise": (lambda: layers.GaussianNoise(0.5), (60, 50)),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.3), (60, 50)),
}
EVERY = MASKS | NOISES


def drawn(make, shape, backend, seed=5, x=None, layer=None):
    """The outputs in training of a model of one layer, and their gradient's program run on a backend."""
    x = np.ones(shape, "float32") if x is None else x
    model = lamella.Sequential([lamella.Input(shape[1:]), layer or make()])
    function = model.lower(backend, training=True)
    return np.asarray(function(function.params, function.state, x, seed=seed)[0])


@pytest.mark.parametrize("name", EVERY)
def test_both_backends_draw_the_same(name, both):
    make, shape = EVERY[name]
    numpy, jax = (drawn(make, shape, backend) for backend in both)
    if name in MASKS:
        np.testing.assert_array_equal(numpy == numpy.max(), jax == jax.max())
    np.testing.assert_allclose(numpy, jax, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", EVERY)
def test_seeds_and_inference(name, backend):
    make, shape = EVERY[name]
    x = np.ones(shape, "float32")
    np.testing.assert_array_equal(drawn(make, shape, backend), drawn(make, shape, backend))
    assert not np.array_equal(drawn(make, shape, backend), drawn(make, shape, backend, seed=6))
    model = lamella.Sequential([lamella.Input(shape[1:]), make()])
    np.testing.assert_array_equal(np.asarray(model(x)), x)


@pytest.mark.parametrize("name", [n for n in MASKS if n.startswith("Spatial")])
def test_spatial_dropout_drops_whole_channels(name):
    make, shape = MASKS[name]
    y = drawn(make, shape, "numpy")
    axes = tuple(range(2, y.ndim)) if "first" in name else tuple(range(1, y.ndim - 1))
    np.testing.assert_array_equal(y.min(axes), y.max(axes))
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.6)}
    assert abs((y == 0).mean() - 0.4) < 0.05


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).standard_normal((400, 500)).astype("float32")
    y = drawn(lambda: layers.AlphaDropout(0.3), x.shape, "numpy", x=x)
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.01
    kept = drawn(lambda: layers.AlphaDropout(0.4, noise_shape=(None, 1, 40)), (60, 5, 40), "numpy")
    np.testing.assert_array_equal(kept.min(1), kept.max(1))


def test_gaussian_noise_has_its_moments():
    noise = drawn(lambda: layers.GaussianNoise(0.5), (400, 500), "numpy") - 1.0
    assert abs(noise.mean()) < 0.005
    assert abs(noise.std() - 0.5) < 0.003
    standard = noise / 0.5
    assert abs((standard**3).mean()) < 0.02
    assert abs((standard**4).mean() - 3) < 0.05
    for z, share in ((1.0, 0.6827), (2.0, 0.9545), (3.0, 0.9973)):
        assert abs((np.abs(standard) < z).mean() - share) < 0.004


def test_gaussian_dropout_has_its_moments():
    x = np.full((400, 500), 2.0, "float32")
    y = drawn(lambda: layers.GaussianDropout(0.3), x.shape, "numpy", x=x)
    assert abs(y.mean() - 2) < 0.01
    assert abs(y.std() - 2 * np.sqrt(0.3 / 0.7)) < 0.01


def test_noise_is_the_quantile_of_its_bits(backend):
    bits = np.concatenate(
        [host_random.bits(host_random.key_from_seed(3), (5000,)), np.array([0, 2**32 - 1, 2**31], "uint32")]
    )
    found = np.asarray(ops.normal_from_bits(bits))
    expected = host_random.normal_quantile(((bits >> np.uint32(9)).astype("float64") + 0.5) / 2**23)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_noise_in_other_dtypes(dtype):
    settings.set_floatx("float64" if dtype == "float64" else "float32")
    x = np.zeros((100, 50))
    layer = layers.GaussianNoise(1.0, seed=2, dtype=dtype)
    y = drawn(None, x.shape, "numpy", x=x.astype(settings.floatx()), layer=layer)
    assert abs(y.astype("float64").std() - 1) < 0.03


@pytest.mark.parametrize(
    "make", [lambda: layers.AlphaDropout(1.0), lambda: layers.GaussianDropout(1.0), lambda: layers.GaussianNoise(-0.1)]
)
def test_what_has_no_meaning_is_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()


def test_gradients_pass_what_was_kept(both):
    for backend in both:
        model = lamella.Sequential([lamella.Input((30,)), layers.Dense(20), layers.GaussianNoise(0.3), layers.Dense(1)])
        model.compile("sgd", "mse")
        x, y = np.ones((4, 30), "float32"), np.zeros((4, 1), "float32")
        loss, gradients = model.value_and_grad(x, y, training=True, seed=3, backend=backend)
        assert np.isfinite(float(loss)) and all(np.isfinite(np.asarray(g)).all() for g in gradients.values())
