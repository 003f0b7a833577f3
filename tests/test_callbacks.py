"""Callbacks, and what a `fit` that fails or is interrupted leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella.callbacks import Callback, LambdaCallback
from lamella.layers import Dense, Dropout, Input
from lamella.training import loop as loops

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X[:, :1] * 2


def model_of(*layers, optimizer="adam"):
    lamella.utils.set_random_seed(3)
    model = lamella.Sequential([Input((3,)), *(layers or (Dense(4, activation="tanh"), Dense(1)))])
    model.compile(optimizer, "mse")
    return model


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


class Recorder(Callback):
    """Writes down every hook; `Recorder.HOOKS` are all there are."""

    HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_") and "batch" not in name)

    def __init__(self):
        super().__init__()
        self.seen = []
        for name in self.HOOKS:
            setattr(self, name, lambda *args, name=name: self.seen.append((name, *args[:-1])))


# ---- hooks ----


def test_hooks_come_in_keras_s_order(backend):
    recorder = Recorder()
    model = model_of()
    model.fit(X, Y, epochs=2, verbose=0, validation_split=0.3, callbacks=[recorder])
    epoch = [("on_test_begin",), ("on_test_end",)]
    assert recorder.seen == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        *epoch,
        ("on_epoch_end", 0),
        ("on_epoch_begin", 1),
        *epoch,
        ("on_epoch_end", 1),
        ("on_train_end",),
    ]
    recorder.seen.clear()
    model.evaluate(X, Y, verbose=0, callbacks=[recorder])
    model.predict(X, verbose=0, callbacks=[recorder])
    assert [name for name, *_ in recorder.seen] == [
        "on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end"
    ]  # fmt: skip


@pytest.mark.parametrize("words", ["on_train_batch", "on_batch"])
def test_batch_hooks_come_around_every_step_in_both_words(words, backend):
    seen = []
    hooks = {
        f"{words}_begin": lambda batch, logs: seen.append(("begin", batch)),
        f"{words}_end": lambda batch, logs: seen.append(("end", batch, sorted(logs))),
    }
    model_of().fit(X, Y, batch_size=8, verbose=0, callbacks=[LambdaCallback(**hooks)])
    assert seen == [item for batch in range(3) for item in (("begin", batch), ("end", batch, ["loss"]))]


def test_weights_are_up_to_date_in_every_batch_hook(backend):
    seen = []
    model = model_of()
    watcher = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()))
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[watcher])
    exact = model_of()
    for weights, at in zip(seen, (0, 8, 16), strict=True):
        exact.train_on_batch(X[at : at + 8], Y[at : at + 8])
        for a, b in zip(weights, exact.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_watching_batches_changes_no_number(backend):
    watched, unwatched = model_of(Dropout(0.5), Dense(1)), model_of(Dropout(0.5), Dense(1))
    nothing = LambdaCallback(on_batch_end=lambda batch, logs: None)
    a = watched.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[nothing])
    b = unwatched.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-6)
    for first, second in zip(watched.get_weights(), unwatched.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-7)


ZEROS = [np.zeros((3, 1), "float32"), np.zeros(1, "float32")]


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_batch_begin", "on_train_batch_begin"])
def test_weights_a_callback_sets_before_steps_are_trained_on(hook, backend):
    model, other = (model_of(Dense(1), optimizer="sgd") for _ in range(2))
    reset = LambdaCallback(**{hook: lambda *_: model.set_weights(ZEROS)})
    model.fit(X, Y, batch_size=22, verbose=0, callbacks=[reset])
    other.set_weights(ZEROS)
    other.fit(X, Y, batch_size=22, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("hook", ["on_batch_end", "on_train_batch_end", "on_epoch_end", "on_train_end", "on_test_end"])
def test_weights_a_callback_sets_after_steps_stay(hook, backend):
    model = model_of(Dense(1))
    reset = LambdaCallback(**{hook: lambda *_: model.set_weights(ZEROS)})
    model.fit(X, Y, batch_size=22, verbose=0, callbacks=[reset], validation_data=(X, Y))
    assert_same(model.get_weights(), ZEROS)


@pytest.mark.parametrize(("hook", "epochs", "steps"), [("on_epoch_end", 1, 3), ("on_train_batch_end", 1, 1)])
def test_stop_training_ends_the_run_where_it_is(hook, epochs, steps, backend):
    model = model_of()
    stop = LambdaCallback(**{hook: lambda *_: setattr(model, "stop_training", True)})
    history = model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[stop])
    assert len(history.epoch) == epochs
    assert model._compiled.state.steps == steps
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


@pytest.mark.parametrize(
    ("callbacks", "error", "words"),
    [
        ([print], TypeError, "callbacks must be instances of lamella.callbacks.Callback"),
        ([Callback], TypeError, "callbacks must be instances of lamella.callbacks.Callback"),
    ],
)
def test_what_is_no_callback_is_refused_before_training(callbacks, error, words):
    model = model_of()
    before = model.get_weights()
    with pytest.raises(error, match=words):
        model.fit(X, Y, verbose=0, callbacks=callbacks)
    assert_same(model.get_weights(), before)


def test_an_unknown_hook_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)


# ---- a fit that does not end ----


class StopError(Exception):
    pass


def after_whole_steps(count):
    """Weights and optimizer steps after the first `count` batches of 8, unshuffled."""
    model = model_of()
    for at in range(0, 8 * count, 8):
        model.train_on_batch(X[at : at + 8], Y[at : at + 8])
    return model.get_weights()


def assert_after_whole_steps(model, count):
    assert model._compiled.state.steps == count
    for now, then in zip(model.get_weights(), after_whole_steps(count), strict=True):
        np.testing.assert_allclose(now, then, rtol=1e-5, atol=1e-6)
    # and it continues from there
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    assert model._compiled.state.steps == count + 3


@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt])
def test_an_error_in_a_callback_leaves_the_weights_of_the_steps_done(error, backend):
    def fail(batch, logs):
        if batch == 1:
            raise error

    model = model_of()
    with pytest.raises(error):
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=fail)])
    assert_after_whole_steps(model, 2)


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_test_begin", "on_train_end"])
def test_an_error_in_any_hook_leaves_a_whole_model(hook, backend):
    def fail(*_):
        raise StopError

    model = model_of()
    kwargs = {"batch_size": 8, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
    with pytest.raises(StopError):
        model.fit(X, Y, callbacks=[LambdaCallback(**{hook: fail})], **kwargs)
    assert_after_whole_steps(model, 0 if hook in ("on_train_begin", "on_epoch_begin") else 3)


@pytest.mark.parametrize("error", [OSError("row 16 cannot be read"), KeyboardInterrupt()], ids=["bad data", "Ctrl-C"])
def test_a_chunk_that_fails_in_the_middle_of_an_epoch_is_as_if_it_had_not_begun(error, backend, monkeypatch):
    monkeypatch.setattr(loops, "_FIRST_CHUNK", 1)
    monkeypatch.setattr(loops, "CHUNK_SECONDS", 0.0)
    model = model_of()
    model._require_compiled()
    ran = []
    original = loops.Loop.runner

    def runner(self, rows, specs):
        real = original(self, rows, specs)

        class Fails:
            def __getattr__(self, name):
                return getattr(real, name)

            def run(self, *arguments):
                ran.append(rows)
                if len(ran) == 3:
                    real.run(*arguments)  # computed, but the exception comes before it is taken
                    raise error
                return real.run(*arguments)

        return Fails()

    monkeypatch.setattr(loops.Loop, "runner", runner)
    with pytest.raises(type(error)):
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    monkeypatch.setattr(loops.Loop, "runner", original)
    assert_after_whole_steps(model, 2)


def test_data_that_cannot_be_read_at_all_leave_the_model_untouched(backend):
    class Unreadable:
        dtype, shape = np.dtype("float32"), (22, 3)

        def __array__(self, *_, **__):
            raise OSError("the file is gone")

    model = model_of()
    before = model.get_weights()
    with pytest.raises(OSError, match="the file is gone"):
        model.fit(Unreadable(), Y, verbose=0)
    assert_same(model.get_weights(), before)
    assert model._compiled.state.steps == 0


def test_steps_per_execution_is_the_stride_of_batch_hooks(backend):
    class Seen(lamella.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.began, self.ended = [], []

        def on_train_batch_begin(self, batch, logs=None):
            self.began.append(batch)

        def on_train_batch_end(self, batch, logs=None):
            self.ended.append(batch)

    x, y = np.ones((70, 2), "float32"), np.ones((70, 1), "float32")
    results = []
    for stride in (1, 3):
        lamella.utils.set_random_seed(1)
        model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
        model.compile("adam", "mse", steps_per_execution=stride, jit_compile=True)
        seen = Seen()
        model.fit(x, y, batch_size=10, verbose=0, callbacks=[seen])
        results.append((seen.began, seen.ended, model.get_weights()))
    assert results[0][:2] == (list(range(7)), list(range(7)))
    assert results[1][:2] == ([0, 3, 6], [2, 5, 6])
    np.testing.assert_array_equal(results[0][2][0], results[1][2][0])
    for kwargs in ({"steps_per_execution": 0}, {"jit_compile": False}):
        with pytest.raises(ValueError, match=next(iter(kwargs))):
            model.compile("adam", "mse", **kwargs)
