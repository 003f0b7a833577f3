"""Scripts in the style of Keras 1, 2 and 3, of tf.keras and scikeras run unchanged, and train as Keras does."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import script_runs
from lamella.backend import backend_scope

LOSSES = json.loads((Path(__file__).parent / "oracle" / "data" / "script_losses.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def data_sets():
    with script_runs.data_sets():
        yield


def require(name):
    source = script_runs.SCRIPTS[name].read_text()
    wanted = {
        "sklearn": "sklearn",
        "scikeras": "sklearn",
        "keras2_image_folders": "PIL",
        ".h5": "h5py",
        ".hdf5": "h5py",
    }
    for word, package in wanted.items():
        if word in source or word in name:
            pytest.importorskip(package)


@pytest.mark.parametrize("name", script_runs.SCRIPTS)
@pytest.mark.parametrize("backend", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_a_script_runs_unchanged(name, backend):
    require(name)
    pytest.importorskip(backend)
    with backend_scope(backend):
        printed = script_runs.run(name)
    assert printed and "nan" not in printed.lower().split()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in script_runs.SCRIPTS if name not in script_runs.NOT_COMPARED])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_loss_of_a_script_is_that_of_keras(name, backend):
    require(name)
    pytest.importorskip(backend)
    with backend_scope(backend), script_runs.repeatable_fits() as fits:
        script_runs.run(name)
    assert [fit.loss for fit in fits] == pytest.approx(LOSSES[name]["losses"], rel=1e-3)


def test_every_script_is_compared_or_says_why_not():
    assert set(LOSSES) | set(script_runs.NOT_COMPARED) == set(script_runs.SCRIPTS)
    assert len(LOSSES) >= 30


def test_scripts_know_nothing_of_lamella():
    for path in script_runs.SCRIPTS.values():
        assert "lamella" not in path.read_text()
        ast.parse(path.read_text())
