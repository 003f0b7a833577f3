"""Checks of docs/differences.md: layers, ops, losses and metrics."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from differences import X, Y, fit, model_of, refuses, row
from lamella import layers, losses, metrics, ops
from lamella.layers import Dense, Input

# ---- layers ----


@row("cosine similarity at the zero vector")
def _():
    model = model_of(Dense(3, use_bias=False, kernel_initializer="zeros"), loss="cosine_similarity")
    fit(model, X, X)
    assert np.isfinite(model.get_weights()[0]).all()


@row("`RMSNormalization` with axes that are not last")
def _():
    layer = layers.RMSNormalization(axis=1)
    y = layer(np.arange(1.0, 13).reshape(1, 3, 4))
    np.testing.assert_allclose(np.mean(np.square(y), axis=1), 1, rtol=1e-3)


@row("`UnitNormalization` of a zero row")
def _():
    model = model_of(Dense(3, use_bias=False, kernel_initializer="zeros"), layers.UnitNormalization())
    fit(model, X, X)
    assert np.isfinite(model.get_weights()[0]).all()


@row("`AlphaDropout`, `GaussianDropout` with rate 1")
def _():
    refuses(lambda: layers.AlphaDropout(1.0), "rate")
    refuses(lambda: layers.GaussianDropout(1.0), "rate")


@row("decreasing `bin_boundaries` of `Discretization`, `renorm_clipping` without `renorm`")
def _():
    refuses(lambda: layers.Discretization(bin_boundaries=[2.0, 1.0]), ".")
    refuses(lambda: layers.BatchNormalization(renorm_clipping={"rmax": 3.0}), "renorm")


@row("`Lambda(output_shape=...)`")
def _():
    refuses(lambda: model_of(layers.Lambda(lambda x: x, output_shape=(7,))), "output_shape")


@row("layers that need TensorFlow, several devices or strings")
def _():
    for name in ("Hashing", "HashedCrossing", "TFSMLayer"):
        refuses(lambda name=name: getattr(layers, name)(), name, Exception)


@row("random image layers on integers")
def _():
    assert layers.RandomBrightness(0.5)(np.full((1, 4, 4, 3), 200, "uint8"), training=True).dtype == "float32"


@row(
    "integers into poolings, transposed and depthwise convolutions, `RMSNormalization`, `UnitNormalization`, `PReLU`, "
    "`Softmax`"
)
def _():
    image = np.ones((1, 4, 4, 2), "int32")
    for layer in (
        layers.AveragePooling2D(2),
        layers.Conv2DTranspose(2, 3),
        layers.DepthwiseConv2D(3),
        layers.RMSNormalization(),
        layers.UnitNormalization(),
        layers.PReLU(),
        layers.Softmax(),
    ):
        assert layer(image).dtype == "float32"


@row("factors outside the documented range")
def _():
    refuses(lambda: layers.RandomContrast(-1.0), "factor")


@row("dropout rate 1 of `LSTM`, `GRU`, `ConvLSTM`")
def _():
    x = np.ones((2, 3, 4), "float32")
    for made in (layers.LSTM, layers.GRU):
        layer = made(2, dropout=1.0)
        layer(x)
        np.testing.assert_array_equal(layer(x, training=True), layer(np.zeros_like(x), training=False))


@row("`MultiHeadAttention` with a `query_mask` given by hand")
def _():
    layer, x = layers.MultiHeadAttention(2, 4), np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    mask = np.array([[True, False, True]])
    assert not np.allclose(layer(x, x, query_mask=mask), layer(x, x))


@row("`return_state` with `activity_regularizer`")
def _():
    refuses(lambda: layers.LSTM(2, return_state=True, activity_regularizer="l2"), "activity_regularizer")


# ---- ops ----


@row("`take` outside the range")
def _():
    np.testing.assert_array_equal(ops.take(np.array([1, 2, 3]), np.array([7, -9])), [3, 1])


@row("`ops.while_loop` in a layer")
def _():
    def counted(x, **options):
        return ops.while_loop(lambda i, x: ops.sum(x) * 0.0 + i < 3, lambda i, x: (i + 1, x * 2.0), (0, x), **options)[
            1
        ]

    refuses(lambda: model_of(layers.Lambda(counted)), "maximum_iterations")
    model = model_of(layers.Lambda(lambda x: counted(x, maximum_iterations=5)))
    np.testing.assert_allclose(model.predict(X, verbose=0), X * 8, rtol=1e-6)


@row("`ops.take_along_axis`, `ops.scatter_update` outside the range")
def _():
    np.testing.assert_array_equal(ops.take_along_axis(np.array([1, 2, 3]), np.array([9]), 0), [3])
    np.testing.assert_array_equal(ops.scatter_update(np.zeros(2), np.array([[7]]), np.array([1.0])), [0, 0])


@row("`ops.cdist`, `ops.hypot` where a root has no derivative")
def _():
    model = model_of(
        Dense(1, use_bias=False, kernel_initializer="zeros"), layers.Lambda(lambda x: ops.hypot(x, x)), loss="mae"
    )
    assert not np.any(next(iter(model.value_and_grad(X, Y)[1].values())))


@row("`ops.sparsemax` of several rows, or of large numbers")
def _():
    for dtype in ("float32", "float64"):
        for x in (X.astype(dtype) * 3, np.full((2, 4), 1e4, dtype)):
            y = ops.sparsemax(x)
            assert y.dtype == dtype
            np.testing.assert_allclose(np.sum(y, -1), 1, rtol=1e-6)


@row("`ops.vectorized_map`")
def _():
    np.testing.assert_array_equal(ops.vectorized_map(lambda x: x + 1, np.arange(3.0)), [1, 2, 3])


@row("`ops.digitize` with bins that go both ways")
def _():
    refuses(lambda: ops.digitize(np.ones(3), np.array([1.0, 3.0, 2.0])), ".")


@row("`ops.bincount` in a traced layer")
def _():
    model = lamella.Sequential([Input((3,), dtype="int32"), layers.Lambda(lambda x: ops.bincount(x, minlength=4))])
    np.testing.assert_array_equal(model(np.array([[0, 1, 1]])), [[1, 2, 0, 0]])


@row("sums of products of integers of 8 and 16 bits (`ops.matmul`, `dot`, `tensordot`, `einsum`)")
def _():
    for dtype, wide in (("int8", "int32"), ("uint16", "uint32")):
        x = np.full((2, 2), 100, dtype)
        for y in (ops.matmul(x, x), ops.dot(x, x), ops.tensordot(x, x, 1), ops.einsum("ij,jk->ik", x, x)):
            assert y.dtype == wide
            assert np.all(np.asarray(y) == 20_000)


@row("float16 `ops.norm`, `normalize`, `nanmean`, `corrcoef`, `cdist`, `average_pool`")
def _():
    x = np.full(4, 40_000, "float16")
    assert float(ops.nanmean(x)) == 40_000
    np.testing.assert_allclose(ops.normalize(x), 0.5, rtol=1e-3)


@row("floats outside the range of an integer dtype, in `ops.cast` and `Embedding`")
def _():
    np.testing.assert_array_equal(
        ops.cast(np.array([np.inf, -np.inf, np.nan, 1e12]), "int32"), [2**31 - 1, -(2**31), 0, 2**31 - 1]
    )


@row("softmax over an axis of no entries")
def _():
    refuses(lambda: ops.softmax(np.ones((2, 0))), ".")


# ---- losses and metrics ----


@row("crossentropy of a row of zeros")
def _():
    loss = losses.CategoricalCrossentropy()(np.array([[1.0, 0]]), np.zeros((1, 2)))
    assert float(loss) == pytest.approx(-np.log(1e-7), rel=1e-2)


@row("`Tversky(alpha, beta)`")
def _():
    y, p = np.array([[1.0, 0, 0]]), np.array([[0.5, 0.25, 0.25]])  # TP 0.5, FP 0.5, FN 0.5
    y2, p2 = np.array([[1.0, 1, 0]]), np.array([[0.5, 0.5, 0]])  # TP 1, FP 0, FN 1
    assert float(losses.Tversky(alpha=0.9, beta=0.1)(y, p)) == pytest.approx(0.5, abs=1e-4)
    assert float(losses.Tversky(alpha=0.9, beta=0.1)(y2, p2)) == pytest.approx(1 - 1 / 1.1, abs=1e-4)


@row(
    "`label_smoothing` of categorical losses whose classes are not on the last axis; `alpha` of "
    "`CategoricalFocalCrossentropy` there"
)
def _():
    y, p = np.eye(3)[None, :, :2], np.full((1, 3, 2), 1 / 3)
    first = losses.CategoricalCrossentropy(label_smoothing=0.3, axis=1)(y, p)
    last = losses.CategoricalCrossentropy(label_smoothing=0.3)(np.swapaxes(y, 1, 2), np.swapaxes(p, 1, 2))
    assert float(first) == pytest.approx(float(last), rel=1e-5)


@row("`CategoricalGeneralizedCrossEntropy`")
def _():
    assert losses.get("categorical_generalized_cross_entropy") is not None
    loss = losses.CategoricalGeneralizedCrossEntropy(q=0.5, reduction="none")
    assert np.shape(loss(np.array([[0], [1]]), np.array([[0.9, 0.1], [0.5, 0.5]]))) == (2,)


@row("`ctc` labels that no path can spell")
def _():
    model = model_of(Dense(4), loss="ctc", shape=(3, 2))
    refuses(lambda: fit(model, np.ones((1, 3, 2)), np.array([[1, 1, 1]])), "row")


@row("rows without a partner in `circle`")
def _():
    value = losses.Circle()(np.array([0, 1]), np.eye(2))
    assert np.isfinite(float(value))


@row("weights in `IoU` and its kind")
def _():
    metric = metrics.IoU(num_classes=2, target_class_ids=[1])
    metric.update_state([1, 1, 0], [1, 0, 0], sample_weight=[0.9, 0.3, 1.0])
    assert float(metric.result()) == pytest.approx(0.9 / 1.2, rel=1e-5)


@row("`R2Score(num_regressors=p)` of several outputs, or with weights of 0")
def _():
    y = np.random.default_rng(1).normal(size=(8, 2))
    p = y + 0.1
    plain, adjusted = metrics.R2Score(), metrics.R2Score(num_regressors=2)
    for metric in (plain, adjusted):
        metric.update_state(y, p)
    expected = 1 - (1 - float(plain.result())) * 7 / (8 - 2 - 1)
    assert float(adjusted.result()) == pytest.approx(expected, rel=1e-4)


@row("names of metrics")
def _():
    assert [metrics.AUC().name, metrics.AUC().name] == ["auc", "auc"]
