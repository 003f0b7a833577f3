"""Checks of docs/differences.md: models, optimizers, data, callbacks and files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lamella
from differences import X, Y, fit, model_of, refuses, row
from lamella import layers, losses, metrics, ops, optimizers
from lamella.layers import Dense, Input

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


@row("`Softmax` with several axes in a `.h5` file")
def _(tmp_path):
    pytest.importorskip("h5py")
    model = lamella.Sequential([Input((2, 3)), layers.Softmax(axis=(1, 2))])
    model.save(tmp_path / "model.h5")
    assert lamella.models.load_model(tmp_path / "model.h5").layers[0].axis == (1, 2)


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
