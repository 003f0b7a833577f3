"""Options of metrics, with what Keras 3.15.1 or the formula gives, alone and in `fit` on both backends."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers, losses, metrics
from lamella.errors import ArgumentError

LOGITS = np.array([[-2.0], [0.3], [1.0], [-0.1]], "float32")
BITS = np.array([[0.0], [1.0], [0.0], [0.0]], "float32")


def evaluated(metric, x, y, loss="mse", last=None, **kwargs):
    model = lamella.Sequential([lamella.Input(x.shape[1:]), last or layers.Activation("linear")])
    model.compile("sgd", loss, metrics=[metric])
    return model.evaluate(x, y, verbose=0, batch_size=3, **kwargs)[1]


def test_logits_are_told_apart_at_0(backend):
    metric = metrics.BinaryAccuracy(threshold=0.0)
    metric.update_state(BITS, LOGITS)
    assert metric.result() == 0.75 == evaluated(metrics.BinaryAccuracy(threshold=0.0), LOGITS, BITS)
    assert metrics.BinaryAccuracy.from_config(metric.get_config()).get_config()["threshold"] == 0.0
    for bad in (None, "0.5", True, np.nan):
        with pytest.raises(ArgumentError, match="threshold must be a number"):
            metrics.BinaryAccuracy(threshold=bad)


def test_predictions_may_be_sorted_class_numbers(backend):
    labels, ids = np.array([2, 1, 0]), np.array([[2, 1, 0], [0, 2, 1], [0, 1, 2]])
    metric = metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)
    metric.update_state(labels, ids, sample_weight=np.array([1.0, 2.0, 3.0]))
    assert metric.result() == pytest.approx(2 / 3)  # Keras: 0.6666666865348816
    assert metric.get_config() == {"name": "sparse_top_k_categorical_accuracy", "dtype": "float32", "k": 2,
                                   "from_sorted_ids": True}  # fmt: skip
    found = metrics.sparse_top_k_categorical_accuracy(labels, ids, 2, from_sorted_ids=True)
    np.testing.assert_array_equal(found, [1, 0, 1])
    grid = metrics.sparse_top_k_categorical_accuracy(np.array([[2, 0]]), np.array([[[2, 1], [1, 0]]]), 1, True)
    np.testing.assert_array_equal(grid, [[1, 0]])


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_positions_of_an_ignored_class_do_not_count(shape, backend):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), shape).astype("float32")
    y = rng.integers(0, 3, shape).astype("int32")
    y.reshape(-1)[::3] = -1
    counted = y >= 0
    values = -np.log(np.take_along_axis(p, np.maximum(y, 0)[..., None], -1)[..., 0])
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    metric.update_state(y, p)
    assert metric.result() == pytest.approx(values[counted].mean(), rel=1e-5)
    weight = np.arange(1.0, 1 + shape[0])
    metric.reset_state()
    metric.update_state(y, p, sample_weight=weight)
    w = np.broadcast_to(weight.reshape(-1, *[1] * (len(shape) - 1)), shape) * counted
    assert metric.result() == pytest.approx((values * w).sum() / w.sum(), rel=1e-5)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    metric = metrics.SparseCategoricalCrossentropy.from_config(metric.get_config())
    assert evaluated(metric, p, y, loss) == pytest.approx(values[counted].mean(), rel=1e-5)


def test_functions_have_the_names_of_keras_2():
    for name in "mae MAE mape MAPE mse MSE msle MSLE kld KLD kullback_leibler_divergence logcosh".split():
        assert getattr(losses, name) is getattr(metrics, name)
    assert losses.mse is losses.mean_squared_error and losses.logcosh is losses.log_cosh
