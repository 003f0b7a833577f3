"""Large states: their memory is reused by the next steps, and a model never loses what it should still have."""

from __future__ import annotations

import signal
import tracemalloc
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import lamella  # noqa: E402
from lamella import optimizers  # noqa: E402
from lamella.callbacks import Callback, LambdaCallback, ModelCheckpoint, SwapEMAWeights, TerminateOnNaN  # noqa: E402
from lamella.errors import BackendError  # noqa: E402
from lamella.layers import BatchNormalization, Dense, Dropout, Input  # noqa: E402
from lamella.training.data import prepare  # noqa: E402
from lamella.training.donation import deferred_signals  # noqa: E402
from lamella.training.loop import Loop  # noqa: E402
from lamella_jax import runner as jax_runner  # noqa: E402
from lamella_numpy import runner as numpy_runner  # noqa: E402

X = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
Y = X[:, :1] * 2
MODES = ["donated", "not donated"]
WATCH = LambdaCallback(on_train_batch_end=lambda *_: None)

pytestmark = pytest.mark.usefixtures("interrupts_as_in_a_terminal")


def model_of(optimizer: Any = "adam", backend="jax", **kwargs):
    lamella.utils.set_random_seed(3)
    model = lamella.Sequential([Input((6,)), Dense(8, "relu"), BatchNormalization(), Dropout(0.2), Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"], backend=backend, **kwargs)
    return model


def every_state_is_large(monkeypatch, donate=True):
    monkeypatch.setattr(jax_runner, "_LARGE", -1)
    monkeypatch.setattr(
        Loop, "undoes_steps", property(lambda loop: not donate, lambda loop, value: None), raising=False
    )


@pytest.fixture(params=MODES)
def mode(request, monkeypatch):
    every_state_is_large(monkeypatch, request.param == "donated")
    return request.param


@pytest.fixture
def donated(monkeypatch):
    monkeypatch.setattr(jax_runner, "_LARGE", -1)


def loop_of(model, training):
    (key,) = (key for key in model._loops if key[0] == training)
    return model._loops[key]


def runner_of(model):
    return loop_of(model, training=True)._template


def fit(model, epochs=2, **kwargs):
    return model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, **kwargs)


def everything(model):
    """Weights, and the optimizer's slots in order."""
    slots = [np.array(a) for held in model._compiled.state.slots.values() for a in held.values()]
    return [*model.get_weights(), *slots, *map(np.array, model._compiled.state.external or ())]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def after(steps, monkeypatch, **kwargs):
    """What a model holds after so many single steps without donation."""
    every_state_is_large(monkeypatch, donate=False)
    model, count = model_of(**kwargs), [0]

    def stop(*_):
        count[0] += 1
        model.stop_training = count[0] == steps

    fit(model, 9, callbacks=LambdaCallback(on_train_batch_end=stop))
    return everything(model)


# ---- what is donated ----------------------------------------------------------------------------------------------------


def test_weights_and_slots_are_donated_and_nothing_else(donated):
    model = model_of()
    fit(model, 1)
    runner = runner_of(model)
    names = runner.step.state_names
    given = {names[i] for i in runner.donated}
    kinds = {name.split("/")[0] for name in given}
    assert kinds == {"params", "state", "optimizer"}
    assert not any("learning_rate" in name for name in given)
    assert {name for name in names if name not in given} == {
        *[n for n in names if n.startswith("metrics/")], "step", "key", *[n for n in names if "learning_rate" in n]
    }  # fmt: skip


def test_a_state_counts_as_large_from_64_mib_on():
    for width, large in ((3300, False), (3400, True)):  # with Adam's slots 62.3 and 66.2 MiB
        model = lamella.Sequential([Input((width,)), Dense(width // 2)])
        model.compile("adam", "mse", backend="jax")
        x = np.zeros((2, width), "float32")
        loop = model.loop_for(prepare(model, x, x[:, : width // 2]), training=True)
        runner = loop.runner(2, loop._specs)
        assert bool(runner.donated) == large


def keeps_the_weights():
    """A transformation whose state is the very arrays that it is given."""

    def update(gradients, state, params):
        return jax.tree.map(lambda g, s: -0.01 * g - 0.001 * s, gradients, state), params

    return optax.GradientTransformation(lambda params: params, update)


@pytest.mark.parametrize(
    ("optimizer", "single"),
    [
        pytest.param(lambda: "adam", False, id="chunks", marks=pytest.mark.slow),
        pytest.param(lambda: "adam", True, id="single steps"),
        pytest.param(
            lambda: optimizers.SGD(0.05, momentum=0.9, use_ema=True), True, id="averages", marks=pytest.mark.slow
        ),
        pytest.param(keeps_the_weights, False, id="optax keeps the weights"),
        pytest.param(lambda: optax.adamw(0.01), False, id="optax", marks=pytest.mark.slow),
    ],
)
def test_donation_changes_no_number(optimizer, single, monkeypatch):
    found = []
    for donate in (True, False):
        every_state_is_large(monkeypatch, donate)
        model = model_of(optimizer())
        kwargs = {"callbacks": [WATCH]} if single else {}
        history = fit(model, 3, validation_data=(X, Y), **kwargs).history
        model.train_on_batch(X[:8], Y[:8])
        fit(model, 1, **kwargs)
        found.append(([*everything(model), model.predict(X, verbose=0)], history))
        assert bool(loop_of(model, training=True)._donated) == donate
    assert_same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_the_loop_is_compiled_once(donated):
    model = model_of()
    fit(model, 3)
    runner = runner_of(model)
    with lamella.compiling.recorded() as seen:
        fit(model, 2)
    assert list(runner._programs) and not seen


# ---- what others hold ---------------------------------------------------------------------------------------------------


class Keeps(Callback):
    """Keeps arrays and logs of every step."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_train_batch_end(self, batch, logs=None):
        layer = self.model.layers[0]
        self.kept.append((layer.kernel.value, layer.kernel.numpy(), logs))


def test_what_a_callback_holds_stays(mode):
    model, keeps = model_of(), Keeps()
    fit(model, 2, callbacks=keeps)
    assert bool(loop_of(model, training=True)._donated) == (mode == "donated")
    assert len(keeps.kept) == 14
    for array, copied, logs in keeps.kept:
        np.testing.assert_array_equal(np.asarray(array), copied)
        assert np.isfinite(logs["loss"])
    assert not np.array_equal(keeps.kept[0][1], keeps.kept[-1][1])


def test_arrays_of_the_users_own_stay(mode):
    model = model_of()
    mine, alias = jnp.full((8, 1), 0.1), []
    kernels = [model.layers[i].kernel for i in (0, 3)]
    kernels[1].assign(mine)
    fit(model, 1)
    alias.append(jax.device_put(kernels[0].value))
    fit(model, 1)
    kernels[1].assign(mine)
    model.train_on_batch(X, Y)
    assert np.all(np.asarray(mine) == np.float32(0.1))
    assert np.isfinite(np.asarray(alias[0])).all()
    assert not np.array_equal(np.asarray(alias[0]), np.asarray(kernels[0].value))


def test_one_array_in_two_weights_is_two_weights(mode, monkeypatch):
    found = []
    for shares in (True, False):
        lamella.utils.set_random_seed(1)
        model = lamella.Sequential([Input((6,)), Dense(6), Dense(6), Dense(1)])
        model.compile("adam", "mse", backend="jax")
        shared = jnp.asarray(np.eye(6, dtype="float32"))
        for layer in model.layers[:2]:
            layer.kernel.assign(shared if shares else np.eye(6, dtype="float32"))
        fit(model, 2)
        found.append(everything(model))
    assert_same(*found)


@pytest.mark.slow
def test_averaged_weights_are_swapped(monkeypatch):
    found = []
    for donate in (True, False):
        every_state_is_large(monkeypatch, donate)
        model, held = model_of(optimizers.Adam(0.01, use_ema=True)), []
        read = LambdaCallback(on_epoch_end=lambda *_, m=model, h=held: h.append(m.layers[0].kernel.value))
        fit(model, 3, validation_data=(X, Y), callbacks=[SwapEMAWeights(swap_on_epoch=True), read])
        fit(model, 1)
        found.append([*everything(model), *map(np.asarray, held)])
    assert_same(*found)


@pytest.mark.filterwarnings("ignore:The loss became nan:UserWarning")
def test_going_back_before_a_step_needs_the_state_before_it(donated):
    x = X.copy()
    model = model_of()
    before = []
    spy = LambdaCallback(on_train_batch_begin=lambda batch, logs: before.append(model.get_weights()))
    x[:] = np.where(np.arange(50)[:, None] < 16, x, np.float32(1e30))  # the third step overflows
    model.fit(x, Y, batch_size=8, epochs=1, verbose=0, shuffle=False, callbacks=[spy, TerminateOnNaN()])
    assert_same(model.get_weights(), before[-1])


# ---- exceptions ---------------------------------------------------------------------------------------------------------


def test_an_exception_in_a_callback_leaves_the_steps_before_it(mode, monkeypatch):
    model = model_of()

    def fail(batch, logs):
        if batch == 4:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(model, callbacks=LambdaCallback(on_train_batch_end=fail))
    found = everything(model)
    fit(model, 1)  # it trains on
    assert_same(found, after(5, monkeypatch))


def test_an_exception_in_the_data_leaves_the_steps_before_it(mode, monkeypatch):
    def batches():
        for start in range(0, 40, 8):
            yield X[start : start + 8], Y[start : start + 8]
        raise RuntimeError("mine")

    found = []
    for donate in (mode == "donated", False):
        every_state_is_large(monkeypatch, donate)
        model = model_of()
        with pytest.raises(RuntimeError, match="mine"):
            model.fit(batches(), epochs=1, steps_per_epoch=9, verbose=0)
        found.append(everything(model))
    assert_same(*found)
    assert model._compiled.state.steps > 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_around_a_dispatch_waits_for_the_new_state(donated, monkeypatch, when):
    model = model_of()
    plain = jax_runner.JaxRunner.donating
    count = [0]

    def donating(self, *arguments):
        launch = plain(self, *arguments)

        def interrupted():
            count[0] += 1
            if count[0] == 3 and when == "before":
                signal.raise_signal(signal.SIGINT)
            state = launch()
            if count[0] == 3 and when == "after":
                signal.raise_signal(signal.SIGINT)
            return state

        return interrupted

    with monkeypatch.context() as patch:
        patch.setattr(jax_runner.JaxRunner, "donating", donating)
        with pytest.raises(KeyboardInterrupt):
            fit(model, callbacks=WATCH)
    found = everything(model)
    assert model._compiled.state.steps == 3
    fit(model, 1)
    assert_same(found, after(3, monkeypatch))


def test_signals_are_handled_after_the_block():
    seen = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            with deferred_signals():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
                assert not seen
        assert seen == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, old)


def failing(monkeypatch, *, consumes=True, at=3, late=False):
    """Let the device fail in the dispatch number `at`, having reused the memory of the state or not."""
    plain, wait, count = jax_runner.JaxRunner.donating, jax_runner.JaxRunner.wait, [0]
    error = jax.errors.JaxRuntimeError("INTERNAL: the device is on fire")

    def donating(self, state, *arguments):
        count[0] += 1
        launch = plain(self, state, *arguments)

        def failed():
            if consumes:
                for i in self.donated:
                    state[i].delete()
            raise error

        return failed if count[0] == at and not late else launch

    def waited(self, state):
        wait(self, state)
        if late and count[0] == at:
            raise error

    monkeypatch.setattr(jax_runner.JaxRunner, "donating", donating)
    monkeypatch.setattr(jax_runner.JaxRunner, "wait", waited)


@pytest.mark.parametrize("late", [False, True], ids=["at the dispatch", "while it computes"])
def test_a_device_that_fails_with_the_only_copy_is_reported(donated, monkeypatch, tmp_path, late):
    model = model_of()
    path = str(tmp_path / "saved.npz")
    fit(model, 1)
    model.save_checkpoint(path)
    saved = everything(model)
    with monkeypatch.context() as patch:
        failing(patch, late=late)
        with pytest.raises(BackendError, match=r"on fire.*last checkpoint, '.*saved\.npz'"):
            fit(model, callbacks=WATCH)
    for read in (model.get_weights, lambda: model.predict(X, verbose=0), lambda: fit(model)):
        with pytest.raises(BackendError, match=r"saved\.npz"):
            read()
    model.load_checkpoint(path)
    assert_same(everything(model), saved)
    fit(model, 1)


def test_without_a_checkpoint_that_is_said(donated, monkeypatch):
    model = model_of()
    failing(monkeypatch, at=1)
    with pytest.raises(BackendError, match="No checkpoint was written"):
        fit(model)


def test_a_checkpoint_of_the_callback_is_named(donated, monkeypatch, tmp_path):
    model = model_of()
    failing(monkeypatch, at=9)
    with pytest.raises(BackendError, match=r"'.*epoch1\.npz'"):
        fit(model, callbacks=[WATCH, ModelCheckpoint(tmp_path / "epoch{epoch}.npz")])


def test_a_device_that_fails_before_it_begins_loses_nothing(donated, monkeypatch):
    model = model_of()
    with monkeypatch.context() as patch:
        failing(patch, consumes=False)
        with pytest.raises(jax.errors.JaxRuntimeError, match="on fire"):
            fit(model, callbacks=WATCH)
    found = everything(model)
    fit(model, 1)
    assert_same(found, after(2, monkeypatch))


# ---- evaluation, and NumPy ----------------------------------------------------------------------------------------------


def test_an_evaluation_carries_no_optimizer_state(mode):
    model = model_of(optax.adam(0.01))
    fit(model, 1)
    model.evaluate(X, Y, verbose=0)
    loop = loop_of(model, training=False)
    assert len(loop.state) == len(loop.layout.names)
    assert not any(name.startswith(("optimizer/", "foreign/")) for name in loop.layout.names)


def test_numpy_frees_its_buffers_after_fit(monkeypatch):
    monkeypatch.setattr(numpy_runner, "_KEPT", 0)
    x = np.zeros((8, 600), "float32")
    model = lamella.Sequential([Input((600,)), Dense(600), Dense(1)])
    model.compile("adam", "mse", backend="numpy")
    tracemalloc.start()
    try:
        model.fit(x, x[:, :1], verbose=0)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    state = 3 * 4 * (600 * 600 + 600 + 601)
    assert held < 1.2 * state < 2 * state < peak


def test_buffers_that_were_freed_change_no_number(monkeypatch):
    found = []
    for kept in (0, 1 << 60):
        monkeypatch.setattr(numpy_runner, "_KEPT", kept)
        model = model_of(backend="numpy")
        for _ in range(3):
            fit(model, 2, validation_data=(X, Y))
        found.append(everything(model))
    assert_same(*found)
