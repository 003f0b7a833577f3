"""Lambda, Identity and activity regularization: what a table of rows cannot say."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers, ops


def applied(layer, x, backend, **call):
    with lamella.backend_scope(backend):
        return np.asarray(layer(np.asarray(x, "float32"), **call))


def test_lambda_applies_its_function(backend):
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(applied(layers.Lambda(lambda x: x * 2.0), x, backend), 2 * x)
    shifted = layers.Lambda(lambda x, by: ops.add(x, by), arguments={"by": 3.0})
    np.testing.assert_array_equal(applied(shifted, x, backend), x + 3)


def test_lambda_is_told_training_and_mask(backend):
    x = np.ones((2, 3))
    trained = layers.Lambda(lambda x, training: ops.multiply(x, 2.0 if training else 1.0))
    assert applied(trained, x, backend, training=True).max() == 2
    assert applied(trained, x, backend).max() == 1
    masked = layers.Lambda(lambda x, mask: ops.where(mask, x, 0.0))
    mask = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(applied(masked, x, backend, mask=mask), mask.astype("float32"))


def test_lambda_in_a_model_trains(backend):
    model = lamella.Sequential(
        [lamella.Input((3,)), layers.Dense(2), layers.Lambda(lambda x: ops.square(x), output_shape=(2,))]
    )
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=3, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before


def test_lambda_says_where_its_output_shape_is_wrong():
    wrong = layers.Lambda(lambda x: x, output_shape=(5,))
    with pytest.raises(ValueError, match=r"the function must return output_shape \(2, 5\), got shape \(2, 3\)"):
        wrong(np.ones((2, 3), "float32"))
    assert layers.Lambda(lambda x: x, output_shape=lambda shape: shape)(np.ones((2, 3), "float32")).shape == (2, 3)
    with pytest.raises(TypeError, match="callable"):
        layers.Lambda("square")


def test_lambda_hands_its_mask_on():
    model = lamella.Sequential(
        [
            lamella.Input((3, 2)),
            layers.Lambda(lambda x: x, mask=lambda x, mask: ops.not_equal(ops.sum(x, -1), 0.0)),
            layers.GlobalAveragePooling1D(),
        ]
    )
    x = np.array([[[1, 2], [0, 0], [3, 4]]], "float32")
    np.testing.assert_allclose(np.asarray(model(x)), [[2, 3]])


def test_activity_regularization_is_per_row(backend):
    model = lamella.Sequential([lamella.Input((3,)), layers.ActivityRegularization(l1=0.5, l2=0.25)])
    x = np.array([[1.0, -2.0, 3.0], [0.0, 1.0, -1.0]], "float32")
    function = model.lower(backend)
    _, _, penalty = function(function.params, function.state, x, return_losses=True)
    assert float(penalty) == pytest.approx((0.5 * 8 + 0.25 * 16) / 2)


def test_layer_normalization_with_rms_scaling(backend):
    with pytest.warns(DeprecationWarning, match="RMSNormalization"):
        layer = layers.LayerNormalization(rms_scaling=True)
    x = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")
    np.testing.assert_allclose(
        applied(layer, x, backend), x / np.sqrt(x.var(-1, keepdims=True) + 1e-3), rtol=1e-5, atol=1e-6
    )
    assert [v.name for v in layer.weights] == ["gamma"]


def test_lambda_of_several_inputs_says_its_output_shape():
    inputs = [np.ones((2, 3), "float32"), np.ones((2, 1), "float32")]
    for shape in ((3,), lambda shapes: (shapes[0][0], shapes[0][1])):
        assert layers.Lambda(lambda xs: xs[0] + xs[1], output_shape=shape)(inputs).shape == (2, 3)
    with pytest.raises(ValueError, match=r"must return output_shape \(2, 4\)"):
        layers.Lambda(lambda xs: xs[0] + xs[1], output_shape=(4,))(inputs)
