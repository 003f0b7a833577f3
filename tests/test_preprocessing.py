"""What `adapt` learns, and what the preprocessing and image layers take and refuse."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers

RANDOM = np.random.default_rng(0)


def test_normalization_learns_from_batches_what_it_learns_at_once():
    data = (5 + 3 * RANDOM.standard_normal((100, 4))).astype("float32")
    whole, parts, generated = layers.Normalization(), layers.Normalization(), layers.Normalization()
    whole.adapt(data)
    parts.adapt([data[:30], data[30:31], data[31:]])
    generated.adapt((rows, None) for rows in (data[:50], data[50:]))
    for layer in (whole, parts, generated):
        np.testing.assert_allclose(layer.get_weights()[0], data.mean(0), rtol=1e-6)
        np.testing.assert_allclose(layer.get_weights()[1], data.var(0), rtol=1e-5)
    y = np.asarray(whole(data))
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-5)


def test_normalization_in_a_model_is_adapted_after_it_was_used(backend):
    layer = layers.Normalization()
    model = lamella.Sequential([lamella.Input((2,)), layer])
    x = np.array([[1.0, 10.0], [3.0, 30.0]], "float32")
    np.testing.assert_allclose(np.asarray(model(x)), x)
    layer.adapt(x)
    np.testing.assert_allclose(np.asarray(model(x)), [[-1, -1], [1, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), "must be given together"),
        (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0]), "one shape"),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(np.ones((2, 2))), "nothing to adapt"),
        (lambda: layers.Normalization().adapt([]), "at least one batch"),
        (lambda: layers.Discretization(), "one of bin_boundaries and num_bins"),
        (lambda: layers.Discretization([0.0], num_bins=3), "one of bin_boundaries and num_bins"),
        (lambda: layers.Discretization([1.0, 0.0]), "must increase"),
        (lambda: layers.Discretization([0.0]).adapt(np.ones(3)), "nothing to adapt"),
        (lambda: layers.Discretization([0.0], output_mode="one_hot", sparse=True), "no sparse tensors"),
        (lambda: layers.CategoryEncoding(), "num_tokens"),
        (lambda: layers.CategoryEncoding(3, output_mode="tf_idf"), "output_mode"),
        (lambda: layers.Resizing(3, 3, interpolation="area"), "interpolation"),
        (lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "not both"),
        (lambda: layers.Resizing(3, 3, fill_mode="reflect"), "fill_mode"),
        (lambda: layers.CenterCrop(0, 3), "height"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_discretization_adapts_also_inside_a_model(backend):
    layer = layers.Discretization(num_bins=4)
    model = lamella.Sequential([lamella.Input((1,)), layer])
    x = RANDOM.standard_normal((400, 1)).astype("float32")
    with pytest.raises(TypeError, match="call `adapt`"):
        model(x)
    for scale in (1.0, 10.0):
        layer.adapt(scale * x)
        counts = np.bincount(np.asarray(model(scale * x)).ravel(), minlength=4)
        assert counts.max() - counts.min() < 20


def test_discretization_of_nan_is_the_last_bin(backend):
    layer = layers.Discretization([0.0, 1.0])
    np.testing.assert_array_equal(np.asarray(layer(np.array([[np.nan, -1.0, 0.0]], "float32"))), [[2, 0, 1]])


def test_category_encoding_counts_weights(backend):
    layer = layers.CategoryEncoding(3, output_mode="count")
    x, weights = np.array([[0, 1, 1], [2, 2, 2]]), np.array([[0.5, 1.0, 2.0], [1.0, 1.0, 0.25]], "float32")
    np.testing.assert_allclose(np.asarray(layer(x, count_weights=weights)), [[0.5, 3.0, 0.0], [0.0, 0.0, 2.25]])
    np.testing.assert_allclose(np.asarray(layer(np.array([[5, -1, 1]]))), [[0, 1, 0]])


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_resizing_keeps_integers(dtype, backend):
    x = np.array([[0, 100], [200, 255]], dtype)[None, :, :, None]
    y = np.asarray(layers.Resizing(4, 4, interpolation="bicubic")(x))
    assert y.dtype == dtype
    assert y.min() >= (0 if dtype == "uint8" else -40)
    nearest = np.asarray(layers.Resizing(4, 4, interpolation="nearest")(x))
    np.testing.assert_array_equal(nearest, x.repeat(2, 1).repeat(2, 2))


def test_the_configuration_of_category_encoding_has_all_of_keras_s_arguments():
    layer = layers.CategoryEncoding(3, "count")
    config = layer.get_config()
    assert config["sparse"] is False
    assert layers.CategoryEncoding.from_config(config).get_config() == config
