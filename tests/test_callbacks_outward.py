"""Callbacks that write to files, terminals and servers; learning rates; averages."""

from __future__ import annotations

import io
import json
import pickle
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import numpy as np
import pytest

import lamella
from lamella import callbacks, console
from lamella.callbacks import (
    BackupAndRestore,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
    SwapEMAWeights,
    TensorBoard,
)
from lamella.layers import Dense, Dropout, Input
from lamella.optimizers.schedules import ExponentialDecay

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X[:, :1] * 2


def model_of(optimizer="sgd", seed=3):
    lamella.utils.set_random_seed(seed)
    model = lamella.Sequential([Input((3,)), Dense(4), Dropout(0.2), Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


# ---- names ----


def test_every_callback_is_found_and_a_misspelt_one_gets_the_nearest_name():
    for name in callbacks.__all__:
        assert getattr(callbacks, name).__name__ == name
    assert set(dir(callbacks)) == set(callbacks.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'EarlyStoping': did you mean 'EarlyStopping'"):
        _ = callbacks.EarlyStoping


def test_callbacks_are_imported_when_they_are_asked_for(run_python):
    loaded = "print(*[m for m in sys.modules if m.startswith('lamella.callbacks')], 'csv' in sys.modules)"
    assert run_python(code=f"import sys, lamella; {loaded}").stdout.split() == ["False"]
    named = run_python(code=f"import sys, lamella; lamella.callbacks.Callback; {loaded}")
    assert named.stdout.split() == ["lamella.callbacks", "False"]


# ---- learning rates ----


def test_a_learning_rate_set_by_a_callback_is_trained_with_and_logged(backend):
    model, other = model_of(), model_of()
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(lambda e, rate: rate / 2)])
    assert history.history["learning_rate"] == [0.005, 0.0025, 0.00125]
    assert list(history.history) == ["loss", "mae", "learning_rate"]
    for rate in (0.005, 0.0025, 0.00125):
        other.optimizer.learning_rate = rate
        other.fit(X, Y, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [lambda: LearningRateScheduler(lambda e, r: r), lambda: ReduceLROnPlateau("loss")])
def test_a_rate_that_a_schedule_decides_cannot_be_set(make):
    model = model_of(lamella.optimizers.SGD(ExponentialDecay(0.1, 10, 0.9)))
    with pytest.raises(ValueError, match="the learning rate is a ExponentialDecay, a function of the step"):
        model.fit(X, Y, verbose=0, callbacks=[make()])


@pytest.mark.parametrize("make", [lambda: LearningRateScheduler(lambda e, r: r), lambda: ReduceLROnPlateau("loss")])
def test_several_rates_cannot_be_set_as_one(make, backend):
    made = lamella.optimizers
    model = model_of(made.MultiOptimizer(made.OptimizerMap("adam", {"dense/.*": made.SGD(0.1)})))
    model.build()
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=f"{type(make()).__name__}: a MultiOptimizer has one learning rate per optimizer"
    ):
        model.fit(X, Y, verbose=0, callbacks=[make()])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert int(model.optimizer.iterations) == 0


def test_the_rate_in_keras_s_words(backend):
    model, other = model_of(), model_of()

    class Halve(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            rate = self.model.optimizer.learning_rate
            rate.assign(rate * 0.5)

    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[Halve(), LearningRateScheduler(lambda e, r: r)])
    assert history.history["learning_rate"] == [0.005, 0.0025]
    assert all(type(rate) is float for rate in history.history["learning_rate"])
    other.fit(X, Y, epochs=2, verbose=0, callbacks=[LearningRateScheduler(lambda e, r: r / 2)])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    rate = model.optimizer.learning_rate
    assert (float(rate), rate.numpy().dtype, repr(rate), json.dumps(rate)) == (0.0025, "float32", "0.0025", "0.0025")
    assert type(pickle.loads(pickle.dumps(rate))) is float
    assert rate.assign(np.float32(0.5)) == model.optimizer.lr == 0.5
    assert type(model.optimizer.get_config()["learning_rate"]) is float
    scheduled = lamella.optimizers.SGD(ExponentialDecay(0.1, 10, 0.9))
    with pytest.raises(ValueError, match="a ExponentialDecay, a function of the step"):
        scheduled.learning_rate.assign(0.5)


def test_arguments_about_learning_rates():
    with pytest.raises(ValueError, match="factor must be below 1, got 1"):
        ReduceLROnPlateau(factor=1.0)
    with pytest.warns(DeprecationWarning, match="epsilon"):
        assert ReduceLROnPlateau(epsilon=0.5).min_delta == 0.5
    with pytest.raises(TypeError, match="unexpected keyword argument 'epsilom'"):
        ReduceLROnPlateau(epsilom=0.5)
    with pytest.raises(ValueError, match="the schedule must return a float, got None for epoch 0"):
        model_of().fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda e, r: None)])
    with pytest.raises(TypeError, match="unsupported operand"):  # the user's own error, from the user's line
        model_of().fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda e, r: r + "x")])


def test_a_metric_without_a_direction_asks_for_the_mode():
    def own(y_true, y_pred):
        return lamella.ops.mean(y_pred, -1)

    model = model_of()
    model.compile("sgd", "mse", metrics=[own])
    with pytest.raises(ValueError, match=r"'own' is better is unknown. Pass mode='max' or mode='min'"):
        model.fit(X, Y, verbose=0, callbacks=[EarlyStopping("own")])
    metric = lamella.metrics.MeanMetricWrapper(own, "own")
    metric.direction = "up"
    model.compile("sgd", "mse", metrics=[metric])
    model.fit(X, Y, verbose=0, callbacks=[EarlyStopping("own")])


@pytest.mark.parametrize(
    ("identifier", "sign"),
    [("accuracy", 1), ("mae", -1), ("mse", -1), ("cosine_similarity", 1), ("huber", -1), ("log_cosh", -1)],
)
def test_the_direction_of_a_metric_by_name(identifier, sign):
    from lamella.callbacks.monitor import direction_of

    model = model_of()
    model.compile("sgd", "mse", metrics=[identifier])
    model.train_on_batch(X, Y)
    assert direction_of(model._compiled.configuration.objective.chosen[0].metric) == sign


# ---- averages ----


def averaged_fit(swap_on_epoch):
    """A fit with averages: the weights after each step, in each evaluation, and after each epoch's callbacks."""
    model = model_of(lamella.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5))
    stepped, tested, saved = [], [], []
    watch = LambdaCallback(
        on_train_batch_end=lambda batch, logs: stepped.append(model.get_weights()),
        on_test_batch_end=lambda batch, logs: tested.append(model.get_weights()),
        on_epoch_end=lambda epoch, logs: saved.append(model.get_weights()),
    )
    model.fit(
        X,
        Y,
        batch_size=8,
        epochs=2,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[SwapEMAWeights(swap_on_epoch), watch],
    )
    averages, average = [], stepped[0]
    for weights in stepped:
        average = [0.5 * a + 0.5 * w for a, w in zip(average, weights, strict=True)]
        averages.append(average)
    return model, stepped, averages, tested, saved


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averages_are_evaluated_and_weights_are_trained(swap_on_epoch, backend):
    model, stepped, averages, tested, saved = averaged_fit(swap_on_epoch)
    assert_close(tested[0], averages[2])
    assert_close(tested[-1], averages[5])
    assert_close(saved[0], averages[2] if swap_on_epoch else stepped[2])
    assert_close(model.get_weights(), averages[5])  # what `fit` ends with
    before = model.get_weights()
    model.predict(X, verbose=0, callbacks=[SwapEMAWeights()])
    assert_close(model.get_weights(), before)


def test_averages_need_an_optimizer_that_keeps_them():
    with pytest.raises(ValueError, match="requires an optimizer with use_ema=True"):
        model_of().fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[SwapEMAWeights()])


# ---- files ----


def test_a_csv_log_goes_on_after_the_epochs_of_the_checkpoint(tmp_path):
    def run(folder, stop=None, seed=3):
        def halt(batch, logs):
            if stop is not None and model._compiled.state.steps == stop:
                raise KeyboardInterrupt

        model = model_of(seed=seed)
        watch = [BackupAndRestore(folder / "backup", 2), CSVLogger(folder / "log.csv")]
        model.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=[*watch, LambdaCallback(on_batch_end=halt)])

    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text("an earlier log\n")
    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", 8)
    with (tmp_path / "broken" / "log.csv").open("a") as file:
        file.write("an epoch that the checkpoint does not know of\n")
    run(tmp_path / "broken", seed=99)
    text = (tmp_path / "whole" / "log.csv").read_text()
    assert (tmp_path / "broken" / "log.csv").read_text() == text
    assert text.startswith("epoch,loss,mae,val_loss,val_mae\n0,")
    assert len(text.splitlines()) == 5


def test_a_csv_file_that_cannot_be_written_is_told_before_training(tmp_path):
    model = model_of()
    with pytest.raises(FileNotFoundError):
        model.fit(X, Y, verbose=0, callbacks=[CSVLogger(tmp_path / "absent" / "log.csv")])
    assert model._compiled.state.steps == 0


def test_a_saver_of_epochs_and_a_plain_run_take_the_same_chunks(tmp_path):
    for item in (ModelCheckpoint(tmp_path / "a.npz"), BackupAndRestore(tmp_path)):
        assert not CallbackList([item]).watches_batches
    for item in (ModelCheckpoint(tmp_path / "a.npz", save_freq=3), BackupAndRestore(tmp_path, 3)):
        assert CallbackList([item]).watches_batches

    class Own(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)

    assert CallbackList([Own(tmp_path / "a.npz")]).watches_batches


# ---- a server ----


@pytest.fixture
def server():
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, self.headers["Content-Type"], self.headers.get("X-Key"), body))
            self.send_response(500 if "broken" in self.path else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", received
        running.shutdown()
        thread.join()


def test_logs_are_posted_as_a_form_or_as_json(server):
    root, received = server
    monitors = [
        RemoteMonitor(root), RemoteMonitor(root, "/other/", send_as_json=True, headers={"X-Key": "7"}),
        RemoteMonitor(root, "/broken/", field="f"),
    ]  # fmt: skip
    history = model_of().fit(X, Y, verbose=0, callbacks=monitors).history
    expected = {"epoch": 0, "loss": history["loss"][0], "mae": history["mae"][0]}
    (path, kind, _, form), (other, json_kind, key, body), (_, _, _, third) = received
    assert (path, kind) == ("/publish/epoch/end/", "application/x-www-form-urlencoded")
    assert json.loads(parse_qs(form)["data"][0]) == expected
    assert (other, json_kind, key, json.loads(body)) == ("/other/", "application/json", "7", expected)
    assert json.loads(parse_qs(third)["f"][0]) == expected


@pytest.mark.parametrize("root", ["http://127.0.0.1:9", "nonsense"])
def test_a_server_that_cannot_be_reached_is_a_warning(root):
    with pytest.warns(UserWarning, match=f"RemoteMonitor: could not reach {root}"):
        model_of().fit(X, Y, verbose=0, callbacks=[RemoteMonitor(root)])


# ---- the progress bar ----


def test_a_loop_of_one_s_own_calls_callbacks_and_shows_progress(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(console.sys, "stdout", stream)
    model = model_of()
    hooks = CallbackList([], add_history=True, add_progbar=True, model=model, epochs=2, steps=3, verbose=1)
    hooks.on_train_begin()
    for epoch in range(2):
        hooks.on_epoch_begin(epoch)
        for batch, at in enumerate(range(0, 22, 8)):
            hooks.on_train_batch_begin(batch)
            logs = model.train_on_batch(X[at : at + 8], Y[at : at + 8], return_dict=True)
            hooks.on_train_batch_end(batch, logs)
        hooks.on_test_begin()
        hooks.on_test_batch_begin(0)
        hooks.on_test_batch_end(0, logs)
        hooks.on_test_end(logs)
        hooks.on_epoch_end(epoch, logs)
    hooks.on_train_end()
    lines = stream.getvalue().splitlines()
    assert [line[:16] for line in lines] == ["Epoch 1/2 - 3/3 ", "Epoch 2/2 - 3/3 "]
    assert model.history is hooks.history
    assert len(hooks.history.history["loss"]) == 2
    hooks.on_predict_begin()
    hooks.on_predict_batch_end(2, {"outputs": None})
    hooks.on_predict_end()
    assert stream.getvalue().splitlines()[2].startswith("3/3")


def test_fit_draws_once_where_a_progress_bar_is_among_the_callbacks(capsys):
    model_of().fit(X, Y, epochs=2, callbacks=[[ProgbarLogger()], CallbackList([])])
    assert len(capsys.readouterr().out.splitlines()) == 2
    bar = ProgbarLogger()
    assert not CallbackList([bar], drawn=True).watches_batches


# ---- TensorBoard ----


def events(folder):
    """{tag: [(step, value)]} of the event files in a folder."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in sorted(folder.glob("events*")):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                found.setdefault(value.tag, []).append((event.step, getattr(value, kind)))
    return found


@pytest.fixture
def tensorboard():
    pytest.importorskip("tensorboardX")


def test_logs_weights_and_summary_go_to_tensorboard(tensorboard, tmp_path):
    model = model_of()
    callback = TensorBoard(
        tmp_path, histogram_freq=2, write_images=True, update_freq=2, write_steps_per_second=True, write_graph=True
    )
    history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[callback]).history
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    np.testing.assert_allclose([v for _, v in train["epoch_loss"]], history["loss"], rtol=1e-6)
    np.testing.assert_allclose([v for _, v in validation["epoch_mae"]], history["val_mae"], rtol=1e-6)
    assert [s for s, _ in train["epoch_learning_rate"]] == [0, 1, 2]
    assert [s for s, _ in train["batch_loss"]] == [2, 4, 6, 8]
    assert [s for s, _ in train["batch_steps_per_second"]] == list(range(1, 10))
    assert [s for s, _ in validation["evaluation_loss_vs_iterations"]] == [3, 6, 9]
    assert [s for s, _ in train["dense/kernel/histogram"]] == [0, 2]
    assert train["dense/kernel/histogram"][1][1].num == 12
    assert "dense/kernel/image" in train or "dense/kernel/image/0" in train
    assert {"epoch_steps_per_second", "dense_1/bias/histogram"} <= set(train)
    ((_, text),) = [entries[0] for tag, entries in train.items() if tag.startswith("model")]
    assert b"Dropout" in text.string_val[0]


def test_by_epoch_nothing_is_called_around_batches(tensorboard, tmp_path):
    assert not CallbackList([TensorBoard(tmp_path)]).watches_batches
    assert CallbackList([TensorBoard(tmp_path, update_freq="batch")]).watches_batches


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"profile_batch": 2}, "profile_batch=2 is not supported"),
        ({"embeddings_freq": 1}, "embeddings for the projector are not supported"),
        ({"embeddings_metadata": "a.tsv"}, "embeddings for the projector are not supported"),
        ({"update_freq": "step"}, "update_freq must be 'epoch', 'batch' or a positive integer, got 'step'"),
        ({"update_freq": 0}, "update_freq must be 'epoch', 'batch' or a positive integer, got 0"),
    ],
)
def test_what_tensorboard_here_cannot_do_is_refused(arguments, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        TensorBoard(tmp_path, **arguments)


def test_without_tensorboardx_the_callback_says_so_when_it_is_made(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install tensorboardX"):
        TensorBoard(tmp_path)
