"""Every example is a test: it runs on both backends, small, and says what it should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *arguments, backend, folder):
    environment = {**os.environ, "LAMELLA_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FAST_ON_NUMPY = ["numpy", pytest.param("jax", marks=pytest.mark.slow)]  # XLA takes seconds over each script


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_first_regression_finds_the_slope(backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax")
    out = run("first_regression.py", backend=backend, folder=tmp_path)
    assert len(re.findall(r"^Epoch \d+/200 - .* - loss: ", out, re.M)) == 200
    before = re.search(r"before: w = (-?[\d.]+), b = (-?[\d.]+)", out)
    assert abs(float(before[1])) <= 0.05
    assert float(before[2]) == 0
    assert abs(float(re.search(r"after: w = (-?[\d.]+)", out)[1]) - 3) < 0.15


@pytest.mark.parametrize("backend", FAST_ON_NUMPY)
def test_the_first_convnet_tells_stripes_apart(backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax")
    out = run("first_convnet.py", "--size", "40", "--rows", "64", "--epochs", "3", backend=backend, folder=tmp_path)
    assert "val_accuracy" in out
    assert float(re.search(r"test accuracy ([\d.]+)", out)[1]) >= 0.75


@pytest.mark.parametrize("backend", FAST_ON_NUMPY)
@pytest.mark.parametrize(
    ("script", "least"),
    [
        ("mlp_softmax.py", 0.95),
        ("mlp_binary.py", 0.92),
        ("vgg_like.py", 0.75),
        ("lstm_classifier.py", 0.85),
        ("conv1d_classifier.py", 0.9),
        ("stacked_lstm.py", 0.95),
        ("stateful_lstm.py", 0.95),
    ],
)
def test_the_classic_set_learns(script, least, backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax")
    if script == "mlp_binary.py":
        pytest.importorskip("sklearn")
    out = run(script, backend=backend, folder=tmp_path)
    assert float(re.search(r"^(?:test loss [\d.]+, )?test accuracy ([\d.]+)$", out, re.M)[1]) >= least
    if script == "stateful_lstm.py":  # what was only in the first piece cannot be told from the last one
        assert float(re.search(r"last piece alone: accuracy ([\d.]+)", out)[1]) < 0.5


@pytest.mark.parametrize("backend", FAST_ON_NUMPY)
def test_the_transformer_learns_to_write(backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax")
    out = run("character_transformer.py", backend=backend, folder=tmp_path)
    assert float(re.search(r"accuracy of the next letter ([\d.]+)", out)[1]) >= 0.85
    assert "twinkle twinkle little star" in out


@pytest.mark.parametrize("backend", FAST_ON_NUMPY)
@pytest.mark.parametrize(
    ("script", "told", "least"),
    [
        ("tabular.py", "test accuracy", 0.93),
        ("unet.py", "test overlap", 0.65),
        ("resnet_digits.py", "test accuracy", 0.8),
        ("siamese.py", "test accuracy", 0.85),
        ("date_translation.py", "right letters", 0.95),
        ("transformer_classifier.py", "test accuracy", 0.85),
    ],
)
def test_graphs_learn(script, told, least, backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax")
    out = run(script, "--quick", backend=backend, folder=tmp_path)
    assert float(re.search(rf"{told} ([\d.]+)", out)[1]) >= least


@pytest.mark.parametrize("backend", FAST_ON_NUMPY)
def test_the_variational_autoencoder_learns_by_a_step_of_its_own(backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax")
    out = run("variational_autoencoder.py", "--quick", backend=backend, folder=tmp_path)
    first, last = map(float, re.search(r"^loss ([\d.]+) -> ([\d.]+)$", out, re.M).groups())
    assert last < 0.8 * first
    assert float(re.search(r"error of reconstruction ([\d.]+)", out)[1]) < 0.2


def test_the_demo_shows_one_curve_on_two_backends(tmp_path):
    pytest.importorskip("jax")
    pytest.importorskip("matplotlib")
    out = run("demo.py", "--picture", "digits.png", backend="numpy", folder=tmp_path)
    assert float(re.search(r"largest difference of the two curves: ([\d.e+-]+)", out)[1]) < 1e-4
    accuracies = [
        float(a) for a in re.findall(r"^ *(?:jax|numpy): test accuracy ([\d.]+), [\d.]+ s an epoch$", out, re.M)
    ]
    assert len(accuracies) == 2
    assert min(accuracies) >= 0.97
    assert (tmp_path / "digits.png").stat().st_size > 20_000


@pytest.mark.slow
def test_data_parallel_training_gives_the_losses_of_one_device(tmp_path, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    out = run("data_parallel.py", "--quick", backend="jax", folder=tmp_path)
    assert "4 devices: loss" in out
    assert float(re.search(r"difference of the losses: (\S+)", out)[1]) < 1e-6


@pytest.mark.slow
def test_a_transformer_learns_with_its_weights_split(tmp_path, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    out = run("tensor_parallel_transformer.py", "--quick", backend="jax", folder=tmp_path)
    assert "58,372 of 108,420 bytes on each of 4 devices" in out
    assert float(re.search(r"accuracy on new sentences: ([\d.]+)", out)[1]) > 0.8
