"""Distributions: their words, what they refuse, and what runs on virtual devices and in processes of this machine give."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import HAS_JAX
from lamella import distribution, host_random, initializers, layers, processes
from lamella.backend_api import load_backend, registry
from lamella.errors import ArgumentError, BackendError, DataError, UnknownNameError

TESTS = Path(__file__).resolve().parent
needs_jax = pytest.mark.skipif(not HAS_JAX, reason="jax is not importable")

# ---- words and refusals: nothing is computed on several devices here ----


@pytest.fixture
def four(monkeypatch):
    """A backend that says that it has four devices."""
    with registry.backend_scope("numpy"):
        names = [f"cpu:{i}" for i in range(4)]
        monkeypatch.setattr(type(load_backend()), "devices", lambda self, kind=None: names)
        yield distribution.DeviceMesh((2, 2), ["batch", "model"])


def model_parallel(mesh, **layouts):
    held = distribution.LayoutMap(mesh)
    for path, axes in layouts.items():
        held[path] = axes
    return distribution.ModelParallel(layout_map=held)


def small():
    model = lamella.Sequential([layers.Input((4,)), layers.Dense(6, name="first"), layers.Dense(3, name="last")])
    model.compile("sgd", "mse")
    return model


def test_one_device_of_numpy_trains_as_without_a_distribution():
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    losses = []
    with registry.backend_scope("numpy"):
        assert distribution.list_devices() == ["cpu:0"]
        assert distribution.device_count("gpu") == 0
        for scope in (None, distribution.DataParallel(), distribution.FullySharded()):
            lamella.utils.set_random_seed(1)
            distribution.set_distribution(scope)
            try:
                model = small()
                losses.append((model.fit(x, x[:, :3], verbose=0).history["loss"], model.predict(x, verbose=0).tolist()))
            finally:
                distribution.set_distribution(None)
    assert losses[0] == losses[1] == losses[2]


def test_numpy_refuses_several_devices_in_one_sentence():
    with (
        registry.backend_scope("numpy"),
        pytest.raises(ArgumentError, match=r"'cpu:1'; 'numpy' computes on one device"),
    ):
        distribution.DeviceMesh((2,), ["batch"], ["cpu:0", "cpu:1"])
    with registry.backend_scope("numpy"), pytest.raises(ArgumentError, match="The 'numpy' backend has 1; JAX divides"):
        distribution.DeviceMesh((2, 2), ["batch", "model"])
    with registry.backend_scope("numpy"), pytest.raises(BackendError, match="in one process"):
        distribution.initialize("127.0.0.1:1234", 2, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda mesh: distribution.DeviceMesh((3,), ["batch"]), "has 3 different devices, got 4"),
        (lambda mesh: distribution.DeviceMesh((2, 2), ["a", "a"]), "a different name for each axis"),
        (lambda mesh: distribution.DeviceMesh((1,), ["a"], ["cpu:9"]), "no device 'cpu:9'"),
        (lambda mesh: distribution.TensorLayout(("model", "model")), "may split one axis"),
        (lambda mesh: distribution.DataParallel("gpu:0"), "takes a DeviceMesh"),
        (lambda mesh: distribution.ModelParallel(layout_map={}), "takes a LayoutMap"),
        (lambda mesh: distribution.set_distribution("data"), "takes a Distribution or None"),
        (lambda mesh: distribution.list_devices("fpga"), "'cpu', 'gpu' or 'tpu'"),
        (lambda mesh: model_parallel(mesh, **{"(": (None,)}), "is not a regular expression"),
        (
            lambda mesh: distribution.distribute_tensor(np.ones(3), distribution.TensorLayout(("batch",), mesh)),
            "is not divisible",
        ),
        (
            lambda mesh: distribution.distribute_tensor(np.ones(3), distribution.TensorLayout(("batch",))),
            "has a device_m",
        ),
    ],
)
def test_what_cannot_be_is_refused(four, make, message):
    with pytest.raises(ArgumentError, match=message):
        make(four)


def test_an_unknown_axis_of_the_mesh_is_named(four):
    with pytest.raises(UnknownNameError, match=r"mesh axis 'modle'.*'model'"):
        distribution.LayoutMap(four)["kernel"] = (None, "modle")
    with pytest.raises(UnknownNameError, match="mesh axis 'rows'"):
        distribution.ModelParallel(layout_map=distribution.LayoutMap(four), batch_dim_name="rows")


@pytest.mark.parametrize(
    ("layouts", "message"),
    [
        ({"last/kernel": (None, "model")}, "axis 1 of the weight 'last/kernel', of size 3, is not divisible by the 2"),
        ({"first/bias": (None, "model")}, "is for 2 axes, and the weight 'first/bias' has shape"),
        ({".*kernel": (None,), "first.*": (None,)}, "'first/kernel' is matched by '.*kernel' and 'first.*'"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_when_the_model_is_built(four, layouts, message):
    with model_parallel(four, **layouts).scope(), pytest.raises(ValueError, match=message):
        small()


def test_a_path_as_it_is_comes_before_expressions(four):
    layouts = distribution.LayoutMap(four)
    layouts["dense.*kernel"] = (None, "model")
    layouts["dense_1/kernel"] = ("model", None)
    assert layouts["dense_1/kernel"].axes == ("model", None)
    assert layouts["dense_2/kernel"].axes == (None, "model")
    assert layouts["my/dense_2/kernel"] is None  # an expression matches the whole path
    with pytest.raises(ArgumentError, match="has the layout"):
        layouts["dense_1/kernel"] = (None, None)
    del layouts["dense_1/kernel"]
    assert list(layouts) == ["dense.*kernel"] and len(layouts) == 1


def test_a_distribution_is_set_before_the_model_is_built(four):
    before = small()
    x = np.ones((4, 4), "float32")
    with distribution.DataParallel().scope(), pytest.raises(ArgumentError, match="was built before this distribution"):
        before.fit(x, x[:, :3], verbose=0)
    with distribution.DataParallel().scope(), pytest.raises(ArgumentError, match="was built before"):
        before(x)
    with distribution.DataParallel().scope():
        part = layers.Dense(2)
        part.build((None, 4))
    mixed = lamella.Sequential([layers.Input((4,)), part, layers.Dense(2)])
    mixed.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="built for different distributions"):
        mixed.fit(x, x[:, :2], verbose=0)


@pytest.mark.parametrize("base", [distribution.Distribution, distribution.FullySharded])
def test_distributions_of_ones_own_are_equal_to_themselves_only(four, base):
    class Along(base):
        def __init__(self, axis):
            super().__init__(four)
            self.axis = axis

        def axes_of(self, path, shape):
            return tuple([self.rows if i == self.axis else None for i in range(len(shape))]) if len(shape) == 2 else ()

    rows, columns = Along(0), Along(1)
    assert rows == rows != columns
    with rows.scope():
        model = small()
    with columns.scope(), pytest.raises(ArgumentError, match="was built before this distribution was set"):
        model.predict(np.ones((4, 4), "float32"), verbose=0)


@pytest.mark.parametrize("call", ["predict", "predict_on_batch", "__call__"])
def test_a_distribution_that_is_set_after_a_prediction_is_refused_as_well(four, call):
    model, x = small(), np.ones((4, 4), "float32")
    kwargs = {"verbose": 0} if call == "predict" else {}
    getattr(model, call)(x, **kwargs)
    with distribution.DataParallel().scope(), pytest.raises(ArgumentError, match="was built before this distribution"):
        getattr(model, call)(x, **kwargs)


def test_equations_are_not_looked_at_on_several_devices(four):
    with distribution.DataParallel().scope():
        model = small()
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ArgumentError, match="run_eagerly=True computes on one device"):
        model.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0)


def test_a_model_runs_on_the_backend_of_its_devices(four):
    with distribution.DataParallel().scope():
        model = lamella.Sequential([layers.Input((4,)), layers.Dense(2)])
    if HAS_JAX:
        model.compile("sgd", "mse", backend="jax")
        with pytest.raises(BackendError, match="runs on backend 'jax', and its distribution has devices of 'numpy'"):
            model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)


def test_the_report_says_what_lies_where_and_what_no_pattern_matched(four):
    placed = model_parallel(four, **{"first/kernel": (None, "model"), "frist/bias": ("model",)})
    with placed.scope():
        model = small()
    report = placed.report(model)
    assert report.bytes_in_all == 4 * (4 * 6 + 6 + 6 * 3 + 3)
    assert report.bytes_per_device == 4 * (4 * 3 + 6 + 6 * 3 + 3)
    assert report.remarks == [
        "'frist/bias' matches no weight",
        "no expression matches first/bias, last/kernel, last/bias",
    ]
    assert "first/kernel  (4, 6)  1: model" in repr(report)
    with pytest.warns(UserWarning, match="'frist/bias' matches no weight"):
        placed.begins(model.variables)
    whole = distribution.FullySharded().report(model)
    assert whole.remarks == ["no axis of first/bias, last/kernel, last/bias divides by 4"]
    assert [axes for _, _, axes in whole.weights] == [("batch", None), (), (), ()]


def test_arguments_of_keras(four):
    data = distribution.DataParallel(devices=["cpu:0", "cpu:2"])
    assert data.device_mesh.devices.tolist() == ["cpu:0", "cpu:2"]
    assert data.get_data_layout((8, 3)).axes == ("batch", None)
    assert data.num_model_replicas == 2 and data.num_processes == 1
    placed = model_parallel(four, **{"first/kernel": (None, "model")})
    with placed.scope():
        assert distribution.distribution() is placed
        variable = lamella.Sequential([layers.Input((4,)), layers.Dense(6, name="first")]).weights[0]
    assert placed.get_variable_layout(variable).axes == (None, "model")
    assert placed.num_model_replicas == 2
    assert data == distribution.DataParallel(devices=["cpu:0", "cpu:2"]) != distribution.DataParallel()


# ---- drawing a part ----


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Zeros(),
        initializers.Ones(),
        initializers.Constant(2.0),
        initializers.Identity(),
        initializers.RandomNormal(1.0, 2.0),
        initializers.TruncatedNormal(seed=3),
        initializers.RandomUniform(),
        initializers.GlorotUniform(),
        initializers.HeNormal(),
        initializers.VarianceScaling(distribution="untruncated_normal"),
        initializers.Orthogonal(),
        lambda shape, dtype=None: np.arange(np.prod(shape), dtype="float32").reshape(shape),
    ],
    ids=lambda initializer: getattr(type(initializer), "__name__", ""),
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_part_of_a_weight_is_drawn_to_the_bit(initializer, dtype):
    variable = lamella.Variable(initializer, (6, 10), dtype)
    key = host_random.key_from_seed(5)
    whole, part = variable.draw(key), variable.parts(key)
    for index in ((slice(0, 3), slice(None)), (slice(None), slice(5, 10)), (slice(2, 4), slice(2, 3))):
        found = part(index)
        assert found.dtype == whole.dtype
        np.testing.assert_array_equal(found, whole[index])


def test_who_draws_otherwise_is_asked_for_the_whole():
    class Centred(initializers.RandomNormal):
        def draw(self, shape, dtype, key):
            values = super().draw(shape, dtype, key)
            return values - values.mean()

    assert initializers.HeNormal.by_entry and not Centred.by_entry and not initializers.Orthogonal.by_entry


# ---- several processes, as far as one can tell ----


@pytest.fixture
def second(monkeypatch):
    """This process is the second of two; the first says whatever `first` holds."""
    first = {"says": None}

    def exchange(payload):
        return [json.dumps(first["says"]).encode(), payload]

    monkeypatch.setattr(processes._Group, "index", 1)
    monkeypatch.setattr(processes._Group, "count", 2)
    monkeypatch.setattr(processes._Group, "exchange", staticmethod(exchange))
    return first


def test_processes_that_differ_are_refused(second):
    second["says"] = {"rows": 5}
    processes.agree({"rows": 5})
    with pytest.raises(DataError, match="rows is 5 in process 0 and 6 in process 1; give every process the same"):
        processes.agree({"rows": 6})
    second["says"] = {"rows": 5, "steps": 2}
    with pytest.raises(DataError, match="steps is 2 in process 0 and None in process 1"):
        processes.agree({"rows": 5})
    second["says"] = {"rows": 5}
    with pytest.raises(DataError, match="epochs is None in process 0 and 3 in process 1"):
        processes.agree({"rows": 5, "epochs": 3})


def test_processes_are_compared_before_any_prediction(second):
    with registry.backend_scope("numpy"):
        model = small()
        second["says"] = {"the model's seed": model.seed + 1}
        for rows in (1, 32, 33):
            with pytest.raises(DataError, match="the model's seed is"):
                model.predict(np.ones((rows, 4), "float32"), verbose=0)


@pytest.mark.parametrize("process_0", ["none", "another"])
def test_processes_go_on_from_one_checkpoint(process_0, tmp_path, request):
    x = np.ones((4, 4), "float32")
    with registry.backend_scope("numpy"):
        backup = lamella.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
        model = small()
        model.fit(x, x[:, :3], verbose=0, callbacks=[backup])
        request.getfixturevalue("second")["says"] = {
            "the SHA-256 of the checkpoint in backup_dir": None if process_0 == "none" else "0" * 64
        }
        with pytest.raises(
            DataError, match=r"is (None|0+) in process 0 and [0-9a-f]{64} .* backup_dir that all of them"
        ):
            backup.on_train_begin()


def test_the_second_process_writes_nothing(second, tmp_path, capsys):
    lamella.callbacks.CSVLogger(tmp_path / "log.csv").on_epoch_end(0, {"loss": 1.0})
    with registry.backend_scope("numpy"):
        small().save_weights(tmp_path / "weights.safetensors")
    assert list(tmp_path.iterdir()) == []
    second["says"] = "no space left"
    with (
        registry.backend_scope("numpy"),
        pytest.raises(OSError, match="process 0 could not write a file: no space left"),
    ):
        small().save_weights(tmp_path / "weights.safetensors")


def test_addresses_and_numbers_are_checked(monkeypatch):
    with pytest.raises(ArgumentError, match="'host:port'"):
        distribution.initialize("localhost", 2, 0)
    with pytest.raises(ArgumentError, match="from 0 to 1, got 2"):
        distribution.initialize("127.0.0.1:1", 2, 2)
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "two")
    with pytest.raises(ArgumentError, match="num_processes must be an integer, got 'two'"):
        distribution.initialize("127.0.0.1:1", process_id=0)


# ---- runs on several devices, each in a separate process ----


def started(script, *arguments, devices=1, **environment):
    flags = f"--xla_force_host_platform_device_count={devices}"
    command = [sys.executable, str(TESTS / script), *map(str, arguments)]
    environment = {**os.environ, "XLA_FLAGS": flags, "LAMELLA_BACKEND": "jax", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process, seconds=500):
    """What a process printed, and its exit status, within so many seconds."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it was not done after {seconds} s:\n{out}\n{err}") from None
    return out, err, process.returncode


def alone(what, folder=".", devices=1):
    out, err, status = ended(started("distribution_processes.py", 0, 1, 0, what, folder, devices=devices))
    assert status == 0, err
    return json.loads(out.splitlines()[-1])


def two(what, folder=".", devices=1, **environment):
    """What two processes printed, as (out, err, status)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [("distribution_processes.py", port, 2, i, what, folder) for i in range(2)]
    running = [started(*a, devices=devices, **environment) for a in arguments]
    try:
        return [ended(process) for process in running]
    finally:
        for process in running:
            process.kill()


def cases_pass(*pairs, **environment):
    out, err, status = ended(started("distribution_cases.py", *pairs, devices=4, **environment), 1500)
    assert status == 0, out + err
    counts = [len(argument.split(",")) for argument in pairs]
    assert len(out.splitlines()) == sum(a * b for a, b in zip(counts[::2], counts[1::2], strict=True))


@needs_jax
def test_four_devices_give_the_numbers_of_one():
    cases_pass("mlp", "data", "batches,masks", "model,sharded")


@needs_jax
def test_compiled_steps_and_what_each_device_holds():
    out, err, status = ended(started("distribution_compiled.py", devices=4))
    assert status == 0, err
    found = json.loads(out.splitlines()[-1])
    kinds, sizes = zip(*found["mlp"], strict=True)
    assert set(kinds) == {"all-reduce"} and len(kinds) <= 3  # gradients, loss and metrics, the number of rows
    assert 0 <= sum(sizes) - found["mlp weights"] <= 32
    kinds, sizes = zip(*found["cnn"], strict=True)
    assert set(kinds) == {"all-reduce"} and sum(sizes) < found["cnn weights"] + 256 < found["cnn batch"]
    assert {kind for kind, _ in found["large cnn"]} == {"all-reduce"}
    assert found["layouts"] == [[None, "model"], [], [], []]  # after training as before
    for held in found["sharded held"]:
        assert held <= 1.1 * found["sharded share"]


def cases_agree(what, devices=1, tolerance=1e-6):
    """Both processes have the same numbers, and those of one device."""
    (out, err, status), (other, _, _) = two(what, devices=devices)
    assert status == 0, err
    assert out.splitlines()[-1] == other.splitlines()[-1]
    found = json.loads(out.splitlines()[-1])
    for name, numbers in found.items():
        expected = np.array(found[f"{name.split()[0]} one"])
        difference = np.abs(np.array(numbers) - expected) / np.maximum(np.abs(expected), 1)
        assert difference.max() <= (0 if name.startswith("masks") else tolerance), name


@needs_jax
def test_two_processes_give_the_numbers_of_one():
    cases_agree("cases:batches,masks:one,data")


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize(
    "names", ["cnn,recurrent", "attention,lamb,optax", "batches,own_step,functional", "free,mixed,callbacks,donated"]
)
def test_every_case_on_four_devices(names):
    cases_pass(names, "data,model,sharded")


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("names", ["mlp,cnn", "recurrent,attention", "lamb,optax,own_step,functional"])
def test_every_case_on_four_devices_in_float64(names):
    cases_pass(names, "data,model,sharded", LAMELLA_FLOATX="float64")


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "devices"),
    [
        ("mlp,cnn,lamb,optax:one,data,sharded", 1),
        ("own_step,functional,callbacks,free:one,data,sharded", 1),
        ("recurrent,attention:one,data", 1),
        ("mlp,cnn,own_step:one,data,model,sharded", 2),
    ],
)
def test_every_case_in_two_processes(names, devices):
    cases_agree(f"cases:{names}", devices)


@needs_jax
@pytest.mark.slow
def test_processes_with_rows_of_their_own():
    (out, err, status), _ = two("cases:own_rows:data")
    assert status == 0, err
    wanted = alone("cases:own_rows:one")["own_rows one"]
    np.testing.assert_allclose(json.loads(out.splitlines()[-1])["own_rows data"], wanted, rtol=1e-6, atol=1e-6)


@needs_jax
@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path):
    whole = two("run", made(tmp_path / "whole"))
    assert [status for *_, status in whole] == [0, 0], whole[0][1]
    wanted = json.loads(whole[0][0].splitlines()[-1])
    killed = made(tmp_path / "killed")
    started_at = time.monotonic()
    (_, error, _), (_, _, status) = two("kill:1", killed)
    assert status == -9 and error.rstrip().splitlines()[-1].startswith(
        "lamella.errors.BackendError: another process of this"
    )
    assert time.monotonic() - started_at < 300
    assert (tmp_path / "killed" / "backup" / "latest.npz").exists()
    for folder in ("one", "devices"):
        shutil.copytree(killed, tmp_path / folder)
    again = two("run", killed)
    assert json.loads(again[0][0].splitlines()[-1]) == wanted  # bitwise
    rows = [(tmp_path / folder / "log.csv").read_text() for folder in ("whole", "killed")]
    assert rows[0] == rows[1] and len(rows[0].splitlines()) == 6
    for folder, devices in (("one", 1), ("devices", 2)):
        found = alone("run", tmp_path / folder, devices)
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-6)
        for a, b in zip(found["weights"], wanted["weights"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def made(folder):
    folder.mkdir()
    return folder


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "mine", "theirs"),
    [
        ("kill:0", "", "BackendError: another process of this run has ended"),
        ("fail:1", "BackendError: another process of this run has ended", "ValueError: this process fails"),
        ("seed", *["DataError: the processes of this run differ: the model's seed is "] * 2),
        (
            "length",
            *["DataError: the processes of this run differ: the number of rows of x is 54 in process 0 and 55"] * 2,
        ),
    ],
)
def test_processes_end_together_with_one_sentence(tmp_path, what, mine, theirs):
    (_, first, status), (_, second, other) = two(what, tmp_path)
    assert status and other
    assert mine in (first.rstrip().splitlines() or [""])[-1]
    assert theirs in second.rstrip().splitlines()[-1]


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "message"), [(0, "not all 2 processes came to the coordinator at 127.0.0.1:"), (1, "did not")]
)
def test_a_coordinator_without_the_others_says_so(index, message):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, err, status = ended(started("distribution_processes.py", port, 2, index, "join", "."), 200)
    assert status and message in err and f"127.0.0.1:{port}" in err and "within 3 s" in err
