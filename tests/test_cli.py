"""`python -m lamella`: its commands, its exit statuses, and one sentence where something is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lamella
from conftest import HAS_JAX, importable
from lamella import cli, layers

pytestmark = pytest.mark.skipif(not importable("h5py"), reason="files of models are written with h5py")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one model in every kind of file."""
    monkeypatch.chdir(tmp_path)
    model = lamella.Sequential(
        [
            lamella.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4, "softmax"),
        ],
        name="net",
    )
    model.save("net.keras")
    model.save("net.h5")
    model.save("net.safetensors")
    model.save_weights("net.weights.h5")
    return tmp_path


def answers(capsys, *words):
    """The exit status of a command, and what it printed and complained of."""
    status = cli.main(words)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert printed.err.count("\n") == (1 if status == 2 else 0)
    return status, printed.out, printed.err


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.safetensors", "net.weights.h5"])
def test_info_tells_what_is_in_a_file_without_building_a_model(name, folder, capsys, monkeypatch):
    monkeypatch.setattr(lamella.Sequential, "add", None)
    status, out, _ = answers(capsys, "info", name)
    assert status == 0
    assert "8 arrays, 478 numbers" in out
    assert f"{(folder / name).stat().st_size:,} bytes" in out
    if "weights" not in name:
        assert "4 (Conv2D, BatchNormalization, Flatten, Dense)" in out
        assert "net (Sequential)" in out


def test_info_of_several_files_and_of_exports(folder, capsys):
    assert answers(capsys, "convert", "net.keras", "net.py")[0] == 0
    status, out, _ = answers(capsys, "info", "net.keras", "net.py")
    assert status == 0
    assert "an exported Python file" in out
    assert out.count("8 arrays, 478 numbers") == 2


def test_what_a_file_says_is_not_obeyed_by_the_terminal(folder, capsys):
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(2)])
    vars(model)["name"] = "red\x1b[31m"  # past the check of names
    model.save("red.safetensors")
    _, out, _ = answers(capsys, "info", "red.safetensors")
    assert "\x1b" not in out
    assert "red?[31m" in out


def test_summary(folder, capsys):
    status, out, _ = answers(capsys, "summary", "net.keras")
    assert status == 0
    assert "conv2d (Conv2D)" in out
    assert "Total parameters: 478" in out


@pytest.mark.parametrize("source", ["net.keras", "net.h5", "net.safetensors"])
@pytest.mark.parametrize("target", ["out.keras", "out.h5", "out.safetensors"])
def test_convert_keeps_the_numbers(source, target, folder, capsys):
    assert answers(capsys, "convert", source, target)[0] == 0
    x = np.linspace(-1, 1, 128, dtype="float32").reshape(2, 8, 8, 1)
    with lamella.backend_scope("numpy"):
        before, after = (lamella.models.load_model(file).predict(x, verbose=0) for file in (source, target))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("target", "package"),
    [("out.py", "numpy"), ("out.weights.h5", "h5py"), ("out.onnx", "onnx"), ("out.stablehlo", "jax")],
)
def test_convert_to_what_lamella_does_not_load_as_a_model(target, package, folder, capsys):
    pytest.importorskip(package)
    status, out, _ = answers(capsys, "convert", "net.keras", target)
    assert status == 0
    assert out == f"{target}: {(folder / target).stat().st_size:,} bytes\n"
    assert answers(capsys, "info", target)[0] == 0


def test_convert_with_weights_beside(folder, capsys):
    assert answers(capsys, "convert", "net.keras", "out.py", "--weights-beside")[0] == 0
    assert len(list(folder.glob("out-*.npz"))) == 1


@pytest.mark.skipif(not HAS_JAX, reason="jax is not importable")
def test_verify_compares_every_layer_on_every_backend(folder, capsys):
    status, out, _ = answers(capsys, "verify", "net.keras")
    assert status == 0
    assert all(word in out for word in ("numpy", "jax", "conv2d", "batch_normalization", "flatten", "dense"))
    status, out, _ = answers(capsys, "verify", "net.keras", "--tolerance", "1e-15", "--rows", "3")
    assert status == 1
    assert "3 rows on numpy, jax" in out
    sizes = re.findall(r"^\W*(?:conv2d|batch_normalization|flatten|dense)\W+(\S+)", out, re.M)
    assert len(sizes) == 4 and all(float(size) > 0 for size in sizes)
    assert "allowed 1.0e-15" in out


def graphs():
    """Models of several and of named inputs, of a shared layer, and of a layer with several outputs."""
    a, b, steps = lamella.Input((4,), name="a"), lamella.Input((4,), name="b"), lamella.Input((3, 4))
    c, d = (lamella.Input(batch_shape=(5, 4)) for _ in "cd")
    dense = layers.Dense(2)
    return {
        "several": (lamella.Model([a, b], layers.Add()([dense(a), dense(b)])), 8),
        "named": (lamella.Model({"a": a, "b": b}, {"sum": layers.Add()([a, b]), "a": dense(a)}), 8),
        "fixed": (lamella.Model([c, d], layers.Add()([c, d])), 5),
        "states": (lamella.Model(steps, layers.LSTM(3, return_state=True)(steps)), 8),
        "free": (lamella.Sequential([lamella.Input((None, 4)), layers.GRU(3), layers.Dense(1)]), 8),
    }


@pytest.mark.parametrize("name", ["several", "named", "fixed", "states", "free"])
def test_graphs_are_verified_and_exported(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, rows = graphs()[name]
    model.save("graph.keras")
    status, out, err = answers(capsys, "verify", "graph.keras")
    assert (status, err) == (0, "")
    assert f"{rows} rows on numpy" in out
    assert answers(capsys, "convert", "graph.keras", "graph.py")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("info", "absent.keras"), "No such file or directory: absent.keras"),
        (("info", "."), "Is a directory"),
        (("info", "cut.keras"), "cut.keras"),
        (("info", "text.txt"), "neither a .keras archive"),
        (("info", "text.py"), "not a Python file that lamella exported"),
        (("summary", "net.weights.h5"), "weights alone"),
        (("verify", "text.py"), "an export"),
        (("verify", "net.keras", "--rows", "0"), "--rows must be at least 1"),
        (("convert", "net.keras", "net.h5"), "--overwrite replaces it"),
        (("convert", "net.keras", "net.keras", "--overwrite"), "is the file to be converted"),
        (("convert", "net.keras", "out.pb"), "the ending must be one of"),
        (("convert", "net.keras", "out.h5", "--weights-beside"), "for an OUT that ends in .py"),
        (("convert", "net.keras", "absent/out.py"), "there is no folder"),
    ],
)
def test_what_is_wrong_is_one_sentence(words, told, folder, capsys):
    (folder / "cut.keras").write_bytes((folder / "net.keras").read_bytes()[:200])
    (folder / "text.txt").write_text("no model")
    (folder / "text.py").write_text("raise SystemExit(9)\n")
    status, _, err = answers(capsys, *words)
    assert status == 2
    assert err.startswith("lamella: ")
    assert told in err


def test_the_version(run_python):
    assert run_python("-m", "lamella", "--version").stdout == f"lamella {lamella.__version__}\n"


def test_the_command_line_itself(run_python):
    done = run_python("-m", "lamella", "--help")
    assert all(word in done.stdout for word in ("info", "summary", "convert", "verify"))
    done = run_python("-m", "lamella", "frobnicate", check=False)
    assert done.returncode == 2
    assert "invalid choice" in done.stderr
