"""What a user gets who runs `pip install lamella`: the wheel, NumPy, and nothing else."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import packaged
from packaged import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged.build(tmp_path_factory.mktemp("dist"), "--no-isolation")[0]


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
    packaged.train(packaged.install(wheel, tmp_path / "environment"), tmp_path)
