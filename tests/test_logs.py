"""Logs that are read when somebody looks at them, and steps that nobody waits for."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import lamella
from lamella.backend_api import Runner, load_backend
from lamella.callbacks import Callback, LambdaCallback, TerminateOnNaN
from lamella.layers import Dense, Input
from lamella.training.data import Data
from lamella.training.logs import Logs

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X[:, :1] * 2


def model_of(optimizer="adam"):
    lamella.utils.set_random_seed(3)
    model = lamella.Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


@pytest.fixture
def logs():
    fetched = []

    def fetch():
        fetched.append(1)
        return {"loss": 0.5, "mae": 0.25}

    made = Logs(["loss", "mae"], fetch)
    made.fetched = fetched  # type: ignore[attr-defined]
    return made


PLAIN = {"loss": 0.5, "mae": 0.25}
READS = {
    "index": (lambda d: d["mae"], 0.25),
    "get": (lambda d: d.get("loss"), 0.5),
    "dict": (dict, PLAIN),
    "stars": (lambda d: {**d}, PLAIN),
    "keywords": (lambda d: (lambda **k: k)(**d), PLAIN),
    "items": (lambda d: list(d.items()), list(PLAIN.items())),
    "values": (lambda d: list(d.values()), [0.5, 0.25]),
    "copy": (lambda d: d.copy(), PLAIN),
    "copy.copy": (copy.copy, PLAIN),
    "deepcopy": (copy.deepcopy, PLAIN),
    "pickle": (lambda d: pickle.loads(pickle.dumps(d)), PLAIN),
    "json": (json.dumps, json.dumps(PLAIN)),
    "format": (lambda d: "{loss:.1f} {mae}".format(**d), "0.5 0.25"),
    "format_map": ("{loss}".format_map, "0.5"),
    "repr": (repr, repr(PLAIN)),
    "equal": (lambda d: (d == PLAIN, PLAIN == d, d != PLAIN), (True, True, False)),
    "or": (lambda d: d | {"x": 1.0}, {**PLAIN, "x": 1.0}),
    "ror": (lambda d: {"x": 1.0} | d, {"x": 1.0, **PLAIN}),
    "update of another": (lambda d: _updated(d), PLAIN),
    "pop": (lambda d: (d.pop("loss"), dict(d)), (0.5, {"mae": 0.25})),
    "pop default": (lambda d: d.pop("x", 3), 3),
    "popitem": (lambda d: d.popitem(), ("mae", 0.25)),
    "setdefault": (lambda d: d.setdefault("loss", 9.0), 0.5),
    "sorted": (lambda d: sorted(d.items()), sorted(PLAIN.items())),
    "for": (lambda d: [d[k] for k in d], [0.5, 0.25]),
}


def _updated(d):
    other = {}
    other.update(d)
    return other


@pytest.mark.parametrize("name", READS)
def test_logs_read_like_a_dict(name, logs):
    read, expected = READS[name]
    assert read(logs) == expected
    assert logs.fetched == [1]
    assert isinstance(logs, dict)


UNREAD = {
    "length": (len, 2),
    "truth": (bool, True),
    "or nothing": (lambda d: bool(d or {}), True),
    "in": (lambda d: ("loss" in d, "x" in d), (True, False)),
    "keys": (list, ["loss", "mae"]),
    "keys method": (lambda d: list(d.keys()), ["loss", "mae"]),
    "reversed": (lambda d: list(reversed(d)), ["mae", "loss"]),
    "get of nothing": (lambda d: d.get("x", 1), 1),
    "type": (lambda d: isinstance(d, dict), True),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_needs_no_value_fetches_none(name, logs):
    look, expected = UNREAD[name]
    assert look(logs) == expected
    assert logs.fetched == []


def test_what_is_set_and_deleted_stays_so(logs):
    logs["loss"], logs["own"] = 9.0, 1.0
    del logs["mae"]
    assert logs.fetched == []
    assert dict(logs) == {"loss": 9.0, "own": 1.0}
    with pytest.raises(KeyError):
        logs["mae"]


# ---- reads from the device ----


@pytest.fixture
def reads(backend, monkeypatch):
    """Counts every array that comes from the device to the host, by the backend or by NumPy."""
    count = []
    found = load_backend(backend)
    original = type(found).numpy
    monkeypatch.setattr(type(found), "numpy", lambda self, array: (count.append(1), original(self, array))[1])
    if backend == "jax":
        import jax

        kind = type(jax.numpy.zeros(()))
        value = kind._value.fget
        monkeypatch.setattr(kind, "_value", property(lambda self: (count.append(1), value(self))[1]))
    return count


def test_a_hook_that_does_not_read_its_logs_makes_no_host_read(reads, backend):
    def reads_of(**hooks):
        model = model_of()
        kwargs = {"batch_size": 4, "epochs": 3, "verbose": 0, "validation_data": (X, Y)}
        model.fit(X, Y, **kwargs, callbacks=[LambdaCallback(**hooks)])  # compiled, and traced
        reads.clear()
        model.fit(X, Y, **kwargs, callbacks=[LambdaCallback(**hooks)])
        return len(reads)

    unwatched = reads_of()
    kept = []
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end")
    watched = reads_of(**{name: lambda batch, logs: kept.append(("loss" in logs, len(logs), logs)) for name in hooks})
    assert len(kept) == 2 * 3 * 4 * 6  # two runs of three epochs, four hooks, six batches
    assert watched == unwatched
    read = reads_of(on_train_batch_end=lambda batch, logs: logs["loss"])
    assert read >= unwatched + 3 * 6


def test_logs_kept_and_read_later_are_those_of_their_batch(backend):
    kept, seen = [], []
    model_of().fit(
        X,
        Y,
        batch_size=4,
        verbose=0,
        callbacks=[LambdaCallback(on_train_batch_end=lambda batch, logs: kept.append(logs))],
    )
    model_of().fit(
        X, Y, batch_size=4, verbose=0,
        callbacks=[LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(dict(logs)))],
    )  # fmt: skip
    assert [dict(logs) for logs in kept] == seen
    assert len({logs["loss"] for logs in seen}) == 6


def test_steps_are_dispatched_before_the_last_one_is_done(jax, monkeypatch):
    """The device gets step k + 1 while it works on step k: what is waited for is always one step behind."""
    from lamella_jax.runner import JaxRunner

    order, numbers = [], {}
    run, wait = JaxRunner.run, JaxRunner.wait

    def ran(self, state, *rest):
        after = run(self, state, *rest)
        numbers[id(after[0])] = len(numbers)
        order.append(("run", numbers[id(after[0])]))
        alive.append(after)
        return after

    def waited(self, state):
        order.append(("wait", numbers.get(id(state[0]))))
        wait(self, state)

    alive = []
    monkeypatch.setattr(JaxRunner, "run", ran)
    monkeypatch.setattr(JaxRunner, "wait", waited)
    nothing = LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    model_of().fit(X, Y, batch_size=8, verbose=0, callbacks=[nothing])
    assert order == [("run", 0), ("wait", None), ("run", 1), ("wait", 0), ("run", 2), ("wait", 1), ("wait", 2)]


def test_a_step_that_fails_on_the_device_after_its_dispatch_has_never_happened(backend, monkeypatch):
    model = model_of()
    waited = []

    def waits(self, state):
        if len(waited) == 2:
            raise OSError("the device is out of memory")
        waited.append(1)

    for kind in (Runner, type(model.loop_for(Data(X, Y), training=True).runner(8, Data(X, Y).row_specs))):
        monkeypatch.setattr(kind, "wait", waits)
    nothing = LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    with pytest.raises(OSError, match="out of memory"):
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[nothing])
    assert model._compiled.state.steps == 1  # the second was dispatched, and failed


# ---- NaN ----


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:The loss became")
def test_a_loss_that_is_no_number_ends_the_run_with_the_weights_before_it(raises, bad, backend, capsys):
    y = Y.copy()
    y[9] = bad
    model = model_of("sgd")
    callbacks = [TerminateOnNaN(raise_error=raises)]
    kwargs = {"batch_size": 8, "shuffle": False, "verbose": 0, "epochs": 3, "callbacks": callbacks}
    if raises:
        with pytest.raises(RuntimeError, match=r"the loss of batch 1 is (nan|inf); training stopped, with the weights"):
            model.fit(X, y, **kwargs)
    else:
        history = model.fit(X, y, **kwargs).history["loss"]
        assert len(history) == 1
        assert not np.isfinite(history[0])
        assert "Batch 1: Invalid loss" in capsys.readouterr().out
    exact = model_of("sgd")
    exact.train_on_batch(X[:8], Y[:8])
    for a, b in zip(model.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert model._compiled.state.steps == 1


def test_found_problems_inside_a_callback_keep_the_user_s_traceback(backend):
    class Broken(Callback):
        def on_test_batch_end(self, batch, logs=None):
            return logs["accuracy"]

    with pytest.raises(KeyError, match="accuracy") as caught:
        model_of().fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[Broken()])
    assert any(entry.name == "on_test_batch_end" for entry in caught.traceback)
    assert caught.value.__cause__ is None
