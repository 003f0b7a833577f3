"""Every row of docs/differences.md, by the text of its first cell: a check of what lamella does, the tests that check it, or
why nothing does. What Keras does is recorded by the tests against its outputs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import layers, losses, metrics, ops, optimizers
from lamella.layers import Dense, Input

ROOT = Path(__file__).resolve().parents[1]
X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = X[:, :1].copy()

CHECKS: dict[str, Callable[[], None]] = {}
"""What lamella does, as the row says."""

TESTS = {
    "`Model(inputs, outputs)`": "test_graph::test_free_sizes_pass_through_operations_between_layers",
    "a variable in an operation between declared values": "test_graph::test_what_a_declared_value_cannot_do_is_said",
    "`utils.plot_model`": "test_drawing::test_a_subclass_shows_its_layers_and_an_unbuilt_chain_unknown_shapes",
    "`summary()` of operations between layers, such as `x * 2`": "test_summary::test_a_graph_says_what_feeds_each_layer",
    "subclassed models": "test_graph::test_a_subclass_is_built_for_a_shape",
    "hostile names": "test_names::test_a_name_that_no_file_can_hold_is_refused_when_it_is_given",
    "layers of two models in one, `layer.name = ...`": "test_names::test_a_new_name_holds_in_the_model_in_files_and_in_draws",
    "NumPy's functions in a loss or metric": (
        "test_run_eagerly::test_a_numpy_function_without_a_counterpart_is_refused_in_a_loss"
    ),
    "a function as learning rate": "test_optimizers_training::test_optax_schedules_on_jax",
    "`exclude_from_weight_decay(var_names=...)`": "test_optimizers_training::test_excluded_variables_in_fit",
    "constraints with `gradient_accumulation_steps`": (
        "test_optimizer_options::test_a_step_that_only_accumulates_changes_nothing_else"
    ),
    "`trainable` set between two `fit`s": (
        "test_shared_models::test_what_is_frozen_or_thawed_after_compile_is_so_when_training_begins_again"
    ),
    "stateful layers in `fit`, `evaluate`, `predict`": "test_stateful::test_every_way_of_running_rows_goes_on",
    "validation within `fit` of stateful layers": (
        "test_stateful::test_training_goes_on_and_validation_leaves_its_states_alone"
    ),
    "stateful layers, rows or `batch_size` that do not fit": (
        "test_stateful::test_rows_that_do_not_come_out_even_are_refused_before_any_work"
    ),
    "states of stateful layers": "test_recurrent::test_a_stateful_layer_keeps_its_state_through_fit",
    "`unroll=True` with a mask": "test_recurrent::test_an_unrolled_layer_is_the_loop",
    "`RandomContrast(0.4)`": "test_random_image::test_contrast_is_uniform_on_both_sides_of_one",
    "`RandomCrop` in inference": "test_random_image::test_a_crop_in_inference_is_the_largest_window_of_the_same_ratio",
    "`SpectralNormalization(Embedding(...))`": (
        "test_integers::test_spectral_normalization_of_an_embedding_keeps_its_fractions"
    ),
    "windows of the `STFT` initializer": "test_old_modules::test_stft_refuses_what_it_does_not_know",
    "focal losses `from_logits`": "test_losses_everywhere::test_focal_losses_of_far_logits",
    "`R2Score` of targets far from 0, or all equal; correlation of a constant row": (
        "test_metrics_everywhere::test_r2_far_from_zero"
    ),
    "a generator that ends early": "test_epochs::test_a_generator_that_ends_early_ends_training_with_a_warning",
    "processes of a `PyDataset`": "test_sources::test_a_py_dataset_in_processes",
    "`BackupAndRestore`": "test_resume::test_a_run_killed_a_few_times_ends_as_one_that_never_was",
    "`BackupAndRestore`, `ModelCheckpoint`": "test_atomic::test_a_failing_flush_or_rename_leaves_the_old_file",
    "`TerminateOnNaN`": "test_logs::test_a_loss_that_is_no_number_ends_the_run_with_the_weights_before_it",
    "`TensorBoard`": "test_callbacks_outward::test_what_tensorboard_here_cannot_do_is_refused",
    "files of tf.keras 2.3 to 2.15": "test_files_keras_2::test_a_file_of_tf_keras_predicts_what_it_predicted",
    "frames (pandas, polars, Arrow) whose columns are in another order than in `fit`": (
        "test_columns::test_a_frame_in_another_order_is_put_into_that_of_fit"
    ),
    "metrics of masked sequences on JAX": "test_fit_oracle::test_fit_evaluate_and_predict_are_those_of_keras",
}
"""Tests elsewhere, of the rows that take more than a few lines."""

UNCHECKED = {
    "NumPy backend": "the whole suite runs on it",
}
"""Rows without a check, and why."""


def row(title):
    def checked(function):
        assert title not in CHECKS
        CHECKS[title] = function
        return function

    return checked


def model_of(*made, optimizer="sgd", loss="mse", shape=(3,), **options):
    model = lamella.Sequential([Input(shape), *(made or [Dense(1)])])
    model.compile(optimizer, loss, **options)
    return model


def fit(model, *given, **options):
    return model.fit(*(given or (X, Y)), verbose=0, **options)


def refuses(function, match, error=(ValueError, TypeError)):
    with pytest.raises(error, match=match):
        function()


# ---- models and compile ----


@row("seeds")
def _():
    lamella.utils.set_random_seed(3)
    one = Dense(4)(X)
    lamella.utils.set_random_seed(3)
    np.testing.assert_array_equal(Dense(4)(X), one)


@row("layer names")
def _():
    for _ in range(2):
        assert [layer.name for layer in model_of(Dense(1), Dense(1)).layers] == ["dense", "dense_1"]


@row("`compile`")
def _():
    refuses(lambda: model_of(loss="msee"), "did you mean 'mse'")
    refuses(lambda: model_of(metrics=["accuracyy"]), "did you mean 'accuracy'")


@row("`compile(steps_per_execution=n)`")
def _():
    class Counting(lamella.callbacks.Callback):
        ended = 0

        def on_train_batch_end(self, batch, logs=None):
            self.ended += 1

    counting = Counting()
    fit(model_of(steps_per_execution=5), batch_size=1, callbacks=[counting])
    assert counting.ended == 2


@row("`compile(jit_compile=False)`")
def _():
    model_of(jit_compile=True)
    model_of(jit_compile="auto")
    refuses(lambda: model_of(jit_compile=False), "run_eagerly=True")


@row("`run_eagerly=True`")
def _():
    seen = []

    def loss(y, prediction):
        seen.append(getattr(prediction, "data", None))
        return ops.mean(ops.square(y - prediction), axis=-1)

    fit(model_of(loss=loss, run_eagerly=True))
    assert isinstance(seen[-1], np.ndarray)


@row("y of shape (n, 1) for predictions (n, 3), `mse` and the like, in `fit` and in a direct call of a loss or metric")
def _():
    model = model_of(Dense(3))
    refuses(lambda: fit(model), "broadcasting")
    refuses(lambda: losses.MeanSquaredError()(Y, X), ".")
    refuses(lambda: metrics.MeanSquaredError().update_state(Y, X), ".")


@row("sparse labels out of range")
def _():
    model = model_of(Dense(2, "softmax"), loss="sparse_categorical_crossentropy")
    refuses(lambda: fit(model, X, np.full(10, 7)), "7")


@row("`Conv2D(32, 3, 3)`")
def _():
    refuses(lambda: layers.Conv2D(32, 3, 3), "strides")


@row("`validation_split=0.9` of 10 rows")
def _():
    assert "val_loss" in fit(model_of(), validation_split=0.9).history


@row("learning rate")
def _():
    assert optimizers.SGD(1).learning_rate == optimizers.SGD(np.float64(1)).learning_rate == 1.0


@row("`optimizer.learning_rate`")
def _():
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == float(optimizer.learning_rate.numpy()) == 0.25


@row("`OptimizerMap`, `Muon(exclude_layers=...)`")
def _():
    chosen = optimizers.OptimizerMap(optimizers.SGD(0.0))
    chosen["dense/kernel"] = optimizers.SGD(0.1)
    model = model_of(optimizer=optimizers.MultiOptimizer(chosen))
    kernel, bias = model.get_weights()
    fit(model)
    assert np.any(model.get_weights()[0] != kernel)
    np.testing.assert_array_equal(model.get_weights()[1], bias)


@row("`use_ema` and a `fit` that ends in an exception")
def _():
    class Failing(lamella.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.reached = self.model.get_weights()
            raise RuntimeError("stopped")

    failing = Failing()
    model = model_of(optimizer=optimizers.SGD(0.1, use_ema=True))
    refuses(lambda: fit(model, callbacks=[failing]), "stopped", RuntimeError)
    np.testing.assert_array_equal(model.get_weights()[0], failing.reached[0])


@row("averages of `use_ema` before the first step")
def _():
    optimizer = optimizers.SGD(0.0, use_ema=True)
    optimizer.apply([np.zeros(2)], [np.ones(2)])
    np.testing.assert_array_equal(optimizer.finalize_variable_values([np.ones(2)])[0], np.ones(2))


@row('the string `"lamb"`')
def _():
    assert isinstance(optimizers.get("lamb"), optimizers.Lamb)


@row("`metrics_names`")
def _():
    model = model_of(metrics=["mae"])
    fit(model)
    assert model.metrics_names == ["loss", *[name for name in model.history.history if name != "loss"]]


@row("`evaluate(...)` as a list")
def _():
    model = model_of(metrics=["mae"], weighted_metrics=["mse"])
    assert len(model.evaluate(X, Y, verbose=0)) == 3


@row("`predict`, `evaluate`, failing `fit`")
def _():
    model = model_of()
    before = model.get_weights()
    refuses(lambda: fit(model, X, X), ".")
    refuses(lambda: model.predict(X[:, :2]), ".")
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@row("a layer's `sample_weight` of fewer dimensions than the loss")
def _():
    y, p = np.zeros((2, 2, 3)), np.ones((2, 2, 3))
    loss = losses.MeanSquaredError(reduction="none")(y, p, sample_weight=np.array([1.0, 5.0]))
    np.testing.assert_allclose(loss, [[1, 1], [5, 5]])


@row('the string `"l1_l2"`')
def _():
    with pytest.warns(DeprecationWarning):
        assert type(lamella.regularizers.get("l1_l2")).__name__ == "L1L2"


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
    for name in ("Hashing", "StringLookup", "TextVectorization"):
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


@row("`flash_attention=True`, `return_state` with `activity_regularizer`")
def _():
    refuses(lambda: layers.MultiHeadAttention(2, 4, flash_attention=True), "flash_attention")
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


# ---- data ----


@row("a Python list of numbers")
def _():
    model = model_of(shape=(1,))
    assert model.predict([1, 2, 3], verbose=0).shape == (3, 1)


@row("what can be iterated")
def _():
    fit(model_of(), [(X[:5], Y[:5]), (X[5:], Y[5:])])
    fit(model_of(), iter([(X[:5], Y[:5]), (X[5:], Y[5:])]))


@row("`fit(generator, epochs=3)` without `steps_per_epoch`")
def _():
    refuses(lambda: fit(model_of(), ((X, Y) for _ in range(3)), epochs=3), "steps_per_epoch")


@row("`steps_per_epoch` on arrays")
def _():
    model = model_of()
    fit(model, batch_size=4, steps_per_epoch=2, epochs=3)
    assert model.optimizer.iterations == 6


@row("`batch_size` beside batches")
def _():
    refuses(lambda: fit(model_of(), [(X, Y)], batch_size=3), "batch_size")


@row("`class_weight` with generators and loaders")
def _():
    y = (Y > 0).astype("int32")
    found = []
    for given in ((X, y), ([(X, y)],)):
        lamella.utils.set_random_seed(0)
        model = model_of(Dense(1, "sigmoid"), loss="binary_crossentropy")
        found.append(fit(model, *given, class_weight={0: 1.0, 1: 5.0}).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-5)


# ---- callbacks ----


@row("batch hooks")
def _():
    class Watching(lamella.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.logs = logs

    watching = Watching()
    fit(model_of(), callbacks=[watching])
    assert type(watching.logs) is not dict  # they are read when they are looked at
    assert float(watching.logs["loss"]) > 0


@row("`BackupAndRestore` and other files in its folder")
def _(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fit(model_of(), callbacks=[lamella.callbacks.BackupAndRestore(tmp_path)])
    assert (tmp_path / "notes.txt").exists()


@row("`ModelCheckpoint` of every epoch with a metric of unknown direction")
def _(tmp_path):
    path = tmp_path / "{epoch}.keras"
    fit(model_of(), epochs=2, callbacks=[lamella.callbacks.ModelCheckpoint(path, monitor="my_own_number")])
    assert (tmp_path / "2.keras").exists()


@row("`SwapEMAWeights` after `predict`")
def _():
    model = model_of(optimizer=optimizers.SGD(0.1, use_ema=True))
    swap = lamella.callbacks.SwapEMAWeights()
    fit(model, epochs=2)
    before = model.get_weights()
    model.predict(X, verbose=0, callbacks=[swap])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@row("`LearningRateScheduler`, `ReduceLROnPlateau` with a learning-rate schedule or a `MultiOptimizer`")
def _():
    scheduled = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
    callback = lamella.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    refuses(lambda: fit(model_of(optimizer=scheduled), callbacks=[callback]), "ExponentialDecay")


@row("a schedule function that raises `TypeError`")
def _():
    def schedule(epoch, rate):
        raise TypeError("my own")

    callback = lamella.callbacks.LearningRateScheduler(schedule)
    refuses(lambda: fit(model_of(), callbacks=[callback]), "my own", TypeError)


@row("`RemoteMonitor`")
def _():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model_of(), callbacks=[lamella.callbacks.RemoteMonitor(root="http://127.0.0.1:9")])
    assert any("could not reach" in str(w.message) for w in caught)


@row("`ProgbarLogger` given to `fit`")
def _():
    fit(model_of(), callbacks=[lamella.callbacks.ProgbarLogger()])


# ---- files ----


class Own(lamella.Layer):
    def call(self, inputs):
        return inputs


@row("files")
def _(tmp_path):
    model_of(Own(), Dense(1)).save(tmp_path / "model.keras")
    refuses(lambda: lamella.models.load_model(tmp_path / "model.keras"), "Own")
    lamella.models.load_model(tmp_path / "model.keras", custom_objects={"Own": Own})


@row('a `.h5` model with the loss `"mse"`')
def _(tmp_path):
    pytest.importorskip("h5py")
    model_of().save(tmp_path / "model.h5")
    assert lamella.models.load_model(tmp_path / "model.h5").loss is not None


@row("training a compiled `.h5` model that was loaded")
def _(tmp_path):
    pytest.importorskip("h5py")
    model = model_of(optimizer="adam")
    fit(model)
    model.save(tmp_path / "model.h5")
    again = lamella.models.load_model(tmp_path / "model.h5")
    np.testing.assert_allclose(fit(again).history["loss"], fit(model).history["loss"], rtol=1e-6)


@row("the optimizer's state within a `LossScaleOptimizer` or `MultiOptimizer` in a file of Keras's")
def _(tmp_path):
    model = model_of(optimizer=optimizers.LossScaleOptimizer(optimizers.Adam()))
    fit(model)
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(fit(again).history["loss"], fit(model).history["loss"], rtol=1e-6)


@row("two saves of one model")
def _(tmp_path):
    model = model_of()
    for name in ("a", "b"):
        model.save(tmp_path / f"{name}.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


@row("states of stateful layers in a file")
def _(tmp_path):
    model = lamella.Sequential([Input((3, 2), batch_size=1), layers.LSTM(2, stateful=True)])
    x = np.ones((1, 3, 2))
    model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


# ---- the page ----


def titles():
    lines = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").splitlines()
    return [line[2:].split(" | ")[0] for line in lines if line.startswith("| ") and not line.startswith("| where |")]


def test_every_row_of_the_page_is_checked_or_says_why_not():
    found = titles()
    assert len(set(found)) == len(found)
    listed = [*CHECKS, *TESTS, *UNCHECKED]
    assert len(set(listed)) == len(listed)
    assert set(found) == set(listed)


@pytest.mark.parametrize("title", CHECKS)
def test_a_row(title, tmp_path):
    function = CHECKS[title]
    with lamella.backend_scope("numpy"):
        function(*[tmp_path] * function.__code__.co_argcount)


@pytest.mark.parametrize("title", TESTS)
def test_the_test_of_a_row_exists(title):
    file, _, name = TESTS[title].partition("::")
    text = (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)
