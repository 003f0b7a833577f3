"""The archives that a user installs: how the tests and the check of a release build, install and try them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TRAINING = """
import importlib.util

for name in ("jax", "rich"):
    assert importlib.util.find_spec(name) is None, f"{name} is installed, so this environment shows nothing"

import numpy as np

import lamella
from lamella.layers import Dense
from lamella.models import Sequential

assert "numpy" in lamella.available_backends(), lamella.available_backends()
assert lamella.config.backend() == "numpy", lamella.config.backend()

(digits, _), _ = lamella.datasets.digits.load_data()
assert digits.shape == (1437, 8, 8)

lamella.utils.set_random_seed(0)
generator = np.random.default_rng(0)
x = generator.normal(size=(256, 8)).astype("float32")
y = np.tanh(x @ generator.normal(size=(8, 1))).astype("float32")

model = Sequential([lamella.Input((8,)), Dense(16, activation="tanh"), Dense(1)])
model.compile(optimizer="sgd", loss="mse")
model.summary()
history = model.fit(x, y, batch_size=32, epochs=10, verbose=2)
losses = history.history["loss"]
assert len(losses) == 10 and losses[-1] < 0.5 * losses[0], losses

prediction = model.predict(x, verbose=0)
assert prediction.shape == (256, 1) and prediction.dtype == np.float32, (prediction.shape, prediction.dtype)
assert np.isclose(np.mean((prediction - y) ** 2), model.evaluate(x, y, verbose=0), rtol=1e-4)
print("TRAINED", lamella.__file__)
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command outside this environment's settings, and show what it printed if it fails."""
    hidden = ("LAMELLA_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, encoding="utf-8", env=environment, cwd=cwd
    )
    assert result.returncode == 0, f"{command} exited with {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def build(folder: Path, *options: str) -> tuple[Path, Path]:
    """Build the source archive, and the wheel from it: what the archive lacks is missing in the wheel as well.

    Returns:
        The paths of the wheel and of the source archive.
    """
    run(sys.executable, "-m", "build", *options, "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def install(archive: Path, folder: Path) -> Path:
    """Install an archive and what it requires into a new environment in `folder`.

    Returns:
        The environment's interpreter.
    """
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", archive)
    return python


def train(python: Path, folder: Path) -> None:
    """Train a model in an environment where lamella was installed; `folder` is empty."""
    script = folder / "train.py"
    script.write_text(TRAINING, encoding="utf-8")
    # -I keeps everything but the installed packages off the path, and a warning is an error here too.
    printed = run(python, "-I", "-W", "error", script, cwd=folder)
    status, location = printed.splitlines()[-1].split(maxsplit=1)
    assert status == "TRAINED"
    assert Path(location).is_relative_to(python.parents[1])
