"""Checkpoints: what is in the file, what is checked before anything is set, and runs that continue from one."""

from __future__ import annotations

import errno
import os
import sys

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella.callbacks import BackupAndRestore, Callback, History, LambdaCallback, ModelCheckpoint
from lamella.errors import FormatError
from lamella.files.tree import read_tree, write_tree
from lamella.layers import LSTM, BatchNormalization, Dense, Dropout, Input
from test_trees import equal

NEEDS_JAX = pytest.mark.skipif(not importable("jax"), reason="JAX is not importable")
X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X[:, :1] * 2


def model_of(*layers, optimizer="adam", seed=3):
    lamella.utils.set_random_seed(seed)
    model = lamella.Sequential([Input((3,)), *(layers or (Dense(4), Dropout(0.5), BatchNormalization(), Dense(1)))])
    model.compile(optimizer, "mse")
    return model


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def several(by_function):
    """A MultiOptimizer by map or by function."""
    made = lamella.optimizers
    chosen = made.OptimizerMap(made.Adam(0.01, use_ema=True), {"dense/.*": made.SGD(0.05, momentum=0.9)})
    return made.MultiOptimizer((lambda weight: chosen[weight.path]) if by_function else chosen)


@pytest.mark.parametrize("by_function", [False, True])
@pytest.mark.parametrize("ending", ["npz", "keras", "h5"])
def test_a_run_of_several_optimizers_goes_on_bit_by_bit(ending, by_function, tmp_path, backend):
    whole, model = model_of(optimizer=several(by_function)), model_of(optimizer=several(by_function))
    model.fit(X, Y, verbose=0)
    model.optimizer.optimizers[0].learning_rate = 0.02
    path = tmp_path / f"a.{ending}"
    whole.fit(X, Y, verbose=0)
    whole.optimizer.optimizers[0].learning_rate = 0.02
    if ending == "npz":
        model.save_checkpoint(path)
        again = model_of(optimizer=several(by_function), seed=4)
        again.load_checkpoint(path)
    elif by_function:
        with pytest.raises(ValueError, match="use an OptimizerMap"):
            model.save(path)
        assert list(tmp_path.iterdir()) == []
        return
    else:
        model.save(path)
        again = lamella.models.load_model(path)
        assert repr(again.optimizer.get_config()) == repr(model.optimizer.get_config())
    for each in (whole, again):
        each.fit(X, Y, epochs=2, verbose=0)
    assert_same(whole.get_weights(), again.get_weights())


# ---- models in files ----


def state_of(model):
    compiled = model._compiled.state
    slots = [np.asarray(a) for name in sorted(compiled.slots) for a in compiled.slots[name].values()]
    return [*model.get_weights(), *slots, compiled.steps, compiled.epochs, model.seed, model.optimizer.learning_rate]


def test_a_model_goes_on_from_its_checkpoint_to_the_bit(backend, tmp_path):
    first, second = model_of(), model_of(seed=99)
    first.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    first.optimizer.learning_rate = 0.1 + 0.2
    first.save_checkpoint(tmp_path / "a.npz", {"at": 2, "order": np.arange(3)})
    extra = second.load_checkpoint(tmp_path / "a.npz")
    assert equal(extra, {"at": 2, "order": np.arange(3)})
    assert_same(state_of(first), state_of(second))
    a = first.fit(X, Y, batch_size=4, epochs=2, verbose=0).history
    b = second.fit(X, Y, batch_size=4, epochs=2, verbose=0).history
    assert a == b
    assert_same(state_of(first), state_of(second))


def test_a_checkpoint_of_one_backend_is_read_by_the_other(both, tmp_path):
    first = model_of()
    first.to(both[1])
    first.fit(X, Y, epochs=2, verbose=0)
    first.save_checkpoint(tmp_path / "a.npz")
    second = model_of()
    second.to(both[0])
    second.load_checkpoint(tmp_path / "a.npz")
    assert_same(state_of(first), state_of(second))
    second.fit(X, Y, epochs=1, verbose=0)


def test_the_states_of_a_stateful_recurrent_layer_are_in_it(backend, tmp_path):
    def make():
        model = lamella.Sequential([Input(batch_shape=(2, 4, 3)), LSTM(3, stateful=True), Dense(1)])
        model.compile("sgd", "mse")
        return model

    x, first, second = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32"), make(), make()
    first.train_on_batch(x, x[:, 0, :1])
    first.save_checkpoint(tmp_path / "a.npz")
    second.load_checkpoint(tmp_path / "a.npz")
    assert any(np.abs(a).max() > 0 for a in first.get_weights()[-2:])
    np.testing.assert_array_equal(first.predict(x, batch_size=2, verbose=0), second.predict(x, batch_size=2, verbose=0))


def test_an_optax_transformation_s_state_is_in_it(jax, tmp_path):
    optax = pytest.importorskip("optax")
    make = lambda seed=3: model_of(Dense(4), Dense(1), optimizer=optax.adamw(0.01), seed=seed)  # noqa: E731
    first, second = make(), make(99)
    first.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    first.save_checkpoint(tmp_path / "a.npz")
    second.load_checkpoint(tmp_path / "a.npz")
    for model in (first, second):
        model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    assert_same(first.get_weights(), second.get_weights())
    other = model_of(Dense(4), Dense(1), optimizer=optax.sgd(0.01, momentum=0.9))
    before = other.get_weights()
    with pytest.raises(FormatError, match=r"is of another model: among its .* slots"):
        other.load_checkpoint(tmp_path / "a.npz")
    assert_same(other.get_weights(), before)


def test_a_model_that_is_not_compiled_saves_its_weights(tmp_path):
    first = lamella.Sequential([Input((3,)), Dense(2)])
    first.save_checkpoint(tmp_path / "a.npz")
    second = lamella.Sequential([Input((3,)), Dense(2)])
    assert second.load_checkpoint(tmp_path / "a.npz") is None
    assert_same(first.get_weights(), second.get_weights())
    with pytest.raises(ValueError, match="no input shape yet"):
        lamella.Sequential([Dense(2)]).save_checkpoint(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: model_of(Dense(5), Dense(1)), r"weight 'dense/kernel' is float32\[3, 4\], expected float32\[3, 5\]"),
        (lambda: model_of(Dense(4)), r"among its 4 weights \(expected 2\) it has 'dense_1/kernel'"),
        (lambda: model_of(Dense(4), Dense(1), Dense(1)), r"it lacks 'dense_2/kernel'"),
        (
            lambda: model_of(Dense(4), Dense(1), optimizer="sgd"),
            "while training with Adam; this model is compiled with SGD",
        ),
        (lambda: lamella.Sequential([Input((3,)), Dense(4), Dense(1)]), "holds a training; compile the model"),
    ],
)
def test_a_checkpoint_of_another_model_changes_nothing(other, words, tmp_path):
    model = model_of(Dense(4), Dense(1))
    model.fit(X, Y, verbose=0)
    model.save_checkpoint(tmp_path / "a.npz")
    model = other()
    before = model.get_weights()
    with pytest.raises(FormatError, match=words):
        model.load_checkpoint(tmp_path / "a.npz")
    assert_same(model.get_weights(), before)


@pytest.mark.parametrize("lost", ["model", "training", "extra"])
def test_a_checkpoint_without_a_part_changes_nothing(lost, tmp_path):
    model = model_of(Dense(1))
    model.save_checkpoint(tmp_path / "a.npz")
    found = read_tree(tmp_path / "a.npz", "lamella checkpoint", 1)
    write_tree(tmp_path / "a.npz", {k: v for k, v in found.items() if k != lost}, "lamella checkpoint", 1)
    with pytest.raises(FormatError, match="lacks what a lamella checkpoint holds"):
        model.load_checkpoint(tmp_path / "a.npz")


# ---- runs that continue ----


class Stop(Exception):  # noqa: N818 - no error
    pass


class Counting(Callback):
    """Remembers how many batches it saw, and breaks the run off at one of them."""

    def __init__(self, stop=None):
        super().__init__()
        self.count, self.stop, self.restored = 0, stop, None

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == self.stop:
            raise Stop

    def get_state(self):
        return {"count": self.count, "array": np.arange(self.count)}

    def set_state(self, state):
        self.count, self.restored = state["count"], state


def fit(model, folder, stop=None, freq: int | str = 2, **kwargs):
    counting, history = Counting(stop), History()
    callbacks = [BackupAndRestore(folder / "backup", freq, delete_checkpoint=False), counting, history]
    kwargs = {"batch_size": 4, "epochs": 3, "verbose": 0, "validation_split": 0.2, **kwargs}
    try:
        model.fit(X, Y, callbacks=callbacks, **kwargs)
    except Stop:
        pass
    return counting, history.history


@pytest.mark.parametrize(
    ("freq", "stop"),
    [(1, 1), (1, 5), (2, 4), (2, 9), (3, 5), (3, 11), (4, 5), ("epoch", 4), ("epoch", 5), ("epoch", 11)],
)
def test_a_run_broken_off_goes_on_with_its_callbacks(freq, stop, tmp_path):
    with lamella.backend_scope("numpy"):
        whole = model_of()
        _, expected = fit(whole, tmp_path / "whole", freq=freq)
        fit(model_of(), tmp_path, stop, freq)
        saved = (stop - 1) // 4 * 4 if freq == "epoch" else (stop - 1) // freq * freq
        model = model_of(seed=99 if saved else 3)
        counting, found = fit(model, tmp_path, freq=freq)
        assert counting.count == 12
        assert (counting.restored is None) == (saved == 0)
        assert counting.restored is None or equal(counting.restored, {"count": saved, "array": np.arange(saved)})
        assert found == expected
        assert_same(state_of(model), state_of(whole))


def test_a_run_goes_on_on_jax_and_with_numbers_of_numpy_s_checkpoint(both, tmp_path):
    with lamella.backend_scope("jax"):
        whole = model_of()
        _, expected = fit(whole, tmp_path / "whole")
        fit(model_of(), tmp_path, 7)
        model = model_of(seed=99)
        _, found = fit(model, tmp_path)
        assert found == expected
        assert_same(state_of(model), state_of(whole))


def test_a_run_that_ended_has_nothing_left_to_do(tmp_path):
    model = model_of()
    _, expected = fit(model, tmp_path, freq="epoch")
    again = model_of(seed=99)
    ends = []
    counting, found = fit(again, tmp_path, freq="epoch")
    assert counting.count == 12
    assert found == expected
    assert_same(state_of(again), state_of(model))
    more = model_of(seed=99)
    _, longer = fit(more, tmp_path, freq="epoch", epochs=4)
    assert longer["loss"][:3] == expected["loss"]
    assert len(longer["loss"]) == 4
    assert ends == []


def test_a_run_that_was_stopped_stays_stopped(tmp_path):
    def stopper(model):
        return LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))

    def run(seed):
        model = model_of(seed=seed)
        backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
        return model, model.fit(X, Y, epochs=5, verbose=0, callbacks=[backup, stopper(model)])

    first, expected = run(3)
    again, found = run(99)
    assert found.history == expected.history
    assert len(found.epoch) == 2
    assert_same(state_of(first), state_of(again))


def test_other_data_cannot_be_gone_on_with_in_the_middle_of_an_epoch(tmp_path):
    fit(model_of(), tmp_path, 7)
    model = model_of()
    before = model.get_weights()
    with pytest.raises(
        FormatError, match="interrupted after 2 of 4 steps over 16 rows; this one has 8 steps over 16 rows"
    ):
        fit(model, tmp_path, batch_size=2)
    assert_same(model.get_weights(), before)


@pytest.mark.parametrize("left", ["damaged", "none"])
def test_the_last_checkpoint_but_one_serves_where_the_last_is_lost(left, tmp_path):
    def run(model, stop):
        callbacks = [BackupAndRestore(tmp_path, 1, double_checkpoint=True, delete_checkpoint=True), Counting(stop)]
        model.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=callbacks)

    whole = model_of()
    whole.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    with pytest.raises(Stop):
        run(model_of(), 7)
    latest = tmp_path / "latest.npz"
    if left == "damaged":
        latest.write_bytes(latest.read_bytes()[:1000])
    else:
        latest.unlink()  # killed between the two renames
    model = model_of(seed=99)
    if left == "damaged":
        with pytest.warns(UserWarning, match=r"damaged or cut short .* Continuing from .*previous\.npz"):
            run(model, None)
    else:
        run(model, None)
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert not tmp_path.exists()


def test_a_damaged_checkpoint_alone_is_told_and_nothing_is_trained(tmp_path):
    fit(model_of(), tmp_path, 7)
    latest = tmp_path / "backup" / "latest.npz"
    latest.write_bytes(latest.read_bytes()[:-10])
    model = model_of()
    before = model.get_weights()
    with pytest.raises(FormatError, match=r"latest\.npz' is not a lamella checkpoint, or it is damaged"):
        fit(model, tmp_path)
    assert_same(model.get_weights(), before)


def test_a_full_disk_leaves_the_checkpoint_and_the_model(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = model_of()
    model.save_checkpoint(tmp_path / "a.npz")
    old = (tmp_path / "a.npz").read_bytes()
    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(
        OSError, match=r"a\.npz' was not written: no space left on device; the file that was there before"
    ):
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "a.npz", save_freq=2)])
    assert (tmp_path / "a.npz").read_bytes() == old
    assert model._compiled.state.steps == 2  # a whole model, two steps on
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_callback_s_state_may_not_hold_is_told_with_its_name(tmp_path):
    class Holds(Callback):
        def get_state(self):
            return {"file": object()}

    with pytest.raises(TypeError, match="'extra/callbacks/Holds/file' cannot go into a file"):
        model_of().fit(X, Y, verbose=0, callbacks=[BackupAndRestore(tmp_path), Holds()])


def test_model_checkpoint_writes_what_numpy_alone_reads(tmp_path):
    model = model_of()
    path = tmp_path / "new" / "{epoch}-{val_loss:.2f}.npz"
    model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[ModelCheckpoint(path)])
    first, last = sorted((tmp_path / "new").iterdir())
    other = model_of(seed=99)
    extra = other.load_checkpoint(last)
    assert extra["epoch"] == 2
    assert_same(state_of(other), state_of(model))
    assert first.name == f"1-{model.history.history['val_loss'][0]:.2f}.npz"


FILES = [
    ("m.keras", {}), ("m.h5", {}), ("m.safetensors", {}), ("m.npz", {}),
    ("m.hdf5", {}), ("w.h5", {"save_weights_only": True}), ("w.hdf5", {"save_weights_only": True}),
    ("m.weights.h5", {"save_weights_only": True}), ("w.safetensors", {"save_weights_only": True}),
]  # fmt: skip


@pytest.mark.parametrize("on", ["numpy", pytest.param("jax", marks=NEEDS_JAX)])
@pytest.mark.parametrize(("name", "kwargs"), FILES, ids=[name for name, _ in FILES])
def test_model_checkpoint_keeps_the_best_in_every_kind_of_file(on, name, kwargs, tmp_path):
    if name.endswith((".keras", ".h5", ".hdf5")):
        pytest.importorskip("h5py")
    with lamella.backend_scope(on):
        model = model_of(Dense(1))
        kept = []

        class Worse(Callback):
            """Makes the second epoch the best."""

            def on_epoch_end(self, epoch, logs=None):
                logs["score"] = (2.0, 1.0, 3.0)[epoch]
                kept.append(([w.copy() for w in self.model.get_weights()], self.model._compiled.state.steps))

        saving = ModelCheckpoint(tmp_path / name, monitor="score", mode="min", save_best_only=True, **kwargs)
        model.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[Worse(), saving])
        assert saving.best == 1.0 and [p.name for p in tmp_path.iterdir()] == [name]
        other = model_of(Dense(1), seed=8)
        if name.endswith(".npz"):
            other.load_checkpoint(tmp_path / name)
        elif kwargs:
            assert other.load_weights(tmp_path / name).complete
        else:
            other = lamella.models.load_model(tmp_path / name)
        assert_same(other.get_weights(), kept[1][0])
        if name in ("m.keras", "m.h5", "m.hdf5", "m.npz", "m.weights.h5"):  # those hold the optimizer's state, too
            assert other._compiled.state.steps == kept[1][1] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"filepath": "a.pkl"},
            r"filepath must end in \.keras or \.h5 or \.hdf5 or \.safetensors or \.npz, got 'a\.pkl'",
        ),
        ({"filepath": "a.weights.h5"}, "save_weights_only=False"),
        (
            {"filepath": "a.keras", "save_weights_only": True},
            r"must end in \.weights\.h5 or \.h5 or \.hdf5 or \.safetensors, got",
        ),
        ({"filepath": "a.npz", "save_freq": 0}, "save_freq must be 'epoch' or a positive integer, got 0"),
        ({"filepath": "{epoch.npz"}, r"filepath must be a format string, got '\{epoch\.npz' \(.*'\{\{' for a brace"),
        ({"filepath": "a.npz", "save_freq": True}, "save_freq must be 'epoch' or a positive integer, got True"),
    ],
)
def test_arguments_of_model_checkpoint_are_checked_when_it_is_made(arguments, words):
    with pytest.raises(ValueError, match=words):
        ModelCheckpoint(**arguments)


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.hdf5", "a.weights.h5"])
def test_a_file_that_needs_h5py_is_refused_when_the_callback_is_made(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install h5py"):
        ModelCheckpoint(name, save_weights_only=".weights" in name)
    for needless in ("a.npz", "a.safetensors"):
        assert ModelCheckpoint(needless).filepath == needless


def test_a_path_that_names_what_the_logs_lack_is_told(tmp_path):
    with pytest.raises(KeyError, match="contains 'val_loss', which is not in the logs: loss"):
        model_of().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{val_loss}.npz")])


@pytest.mark.parametrize("freq", ["epoch", 1])
def test_the_epoch_of_a_path_is_its_number_whatever_the_metrics_are_called(freq, tmp_path):
    model = model_of(Dense(1))
    model.compile("sgd", "mse", metrics=[lamella.metrics.MeanAbsoluteError(name=n) for n in ("epoch", "self", "batch")])
    path = tmp_path / ("{epoch}-{self:.0f}.npz" if freq == "epoch" else "{epoch}-{batch}.npz")
    logs = model.fit(
        X, Y, epochs=2, batch_size=10, verbose=0, callbacks=[ModelCheckpoint(path, save_freq=freq)]
    ).history
    assert {"epoch", "batch", "self"} <= set(logs)
    if freq == "epoch":
        assert sorted(p.name for p in tmp_path.iterdir()) == [f"{i + 1}-{logs['self'][i]:.0f}.npz" for i in (0, 1)]
    else:
        assert sorted(p.name for p in tmp_path.iterdir()) == [f"{e}-{b}.npz" for e in (1, 2) for b in (1, 2)]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["[best].npz", "{epoch}-{loss:.2f}.npz", "{epoch:02d}/m.npz"])
def test_what_a_killed_process_had_written_is_removed_when_training_begins_again(name, tmp_path, run_python):
    path = str(tmp_path / name)
    code = f"""
import os, signal
import numpy as np, lamella
model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(1)])
model.compile("sgd", "mse")
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)  # when all is written and nothing renamed
model.fit(np.ones((4, 3)), np.ones(4), verbose=0, callbacks=[lamella.callbacks.ModelCheckpoint({path!r})])
"""
    assert run_python(code=code, environment={"LAMELLA_BACKEND": "numpy"}, check=False).returncode == -9
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 1 and files[0].suffix == ".tmp"
    other = tmp_path / ".notes.npz.12-0123abcd.tmp"  # of another path
    other.write_bytes(b"")
    model_of().fit(X, Y, epochs=2, verbose=0, callbacks=[ModelCheckpoint(path)])
    left = [p for p in tmp_path.rglob("*") if p.suffix == ".tmp"]
    assert left == [other]
    assert any(p.suffix == ".npz" for p in tmp_path.rglob("*"))


def test_period_counts_epochs_and_warns(tmp_path):
    with pytest.warns(DeprecationWarning, match="period"):
        callback = ModelCheckpoint(tmp_path / "{epoch}.npz", period=2)
    model_of().fit(X, Y, epochs=5, verbose=0, callbacks=[callback])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.npz", "4.npz"]


@pytest.mark.parametrize("freq", [0, -1, "batch", 2.5, False])
def test_arguments_of_backup_and_restore_are_checked_when_it_is_made(freq, tmp_path):
    with pytest.raises(ValueError, match="save_freq"):
        BackupAndRestore(tmp_path, freq)
    with pytest.raises(ValueError, match="backup_dir must not be empty"):
        BackupAndRestore("")


class Pairs(lamella.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


@pytest.mark.parametrize("steps", [None, 3, 7])
@pytest.mark.parametrize("kind", ["rows", "mapped", "numbered"])
def test_a_run_goes_on_where_it_was_in_its_data(kind, steps, tmp_path):
    def data():
        if kind == "numbered":
            return {"x": Pairs()}
        if kind == "rows":
            return {"x": X, "y": Y, "batch_size": 3}
        np.save(tmp_path / "x.npy", X)
        return {"x": np.load(tmp_path / "x.npy", mmap_mode="r"), "y": Y, "batch_size": 3}

    def run(folder, stop=None, seed=3):
        model = model_of(seed=seed)
        try:
            callbacks = [BackupAndRestore(folder, 2), Counting(stop)]
            model.fit(**data(), epochs=3, steps_per_epoch=steps, verbose=0, callbacks=callbacks)
        except Stop:
            pass
        return state_of(model)

    with lamella.backend_scope("numpy"):
        expected = run(tmp_path / "whole")
        for stop in (4, 8):
            run(tmp_path / f"run{stop}", stop)
            assert_same(run(tmp_path / f"run{stop}", seed=99), expected)
