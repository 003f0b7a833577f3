"""What a user gets who runs `pip install lamella`: the wheel, NumPy, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # Without --wheel the wheel is built from the source archive, so a file that the archive lacks is missed here.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (information,) = {name.split("/")[0] for name in names if name.split("/")[0].endswith(".dist-info")}
        metadata = Parser().parsestr(archive.read(f"{information}/METADATA").decode())
        entry_points = archive.read(f"{information}/entry_points.txt").decode()

    packages = {"lamella": "frontend", "lamella_jax": "backends", "lamella_numpy": "backends"}
    sources = {
        path.relative_to(ROOT / root).as_posix()
        for package, root in packages.items()
        for path in (ROOT / root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.split("/")[0] in packages} == sources
    assert {name.split("/")[0] for name in names} == {*packages, information}
    assert {f"{package}/py.typed" for package in packages} <= names
    assert f"{information}/licenses/LICENSE" in names
    assert f"{information}/licenses/frontend/lamella/datasets/digits.NOTICE.txt" in names
    assert "lamella/datasets/digits.npz" in names

    required = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert required == ["numpy>=2.0"]
    assert "numpy = lamella_numpy:BACKEND" in entry_points
    assert "jax = lamella_jax:BACKEND" in entry_points


def test_with_numpy_alone_the_wheel_trains(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel)

    script = tmp_path / "train.py"
    script.write_text(TRAINING, encoding="utf-8")
    # -I keeps everything but the installed packages off the path, and a warning is an error here too.
    printed = run(python, "-I", "-W", "error", script, cwd=tmp_path)
    status, location = printed.splitlines()[-1].split(maxsplit=1)
    assert status == "TRAINED"
    assert Path(location).is_relative_to(environment)
