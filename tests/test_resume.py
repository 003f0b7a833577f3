"""Runs that are killed with SIGKILL at random moments end as one that never was, to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import BACKENDS, ROOT

SCRIPT = Path(__file__).with_name("resumable.py")
NUMPY, JAX = BACKENDS
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")


def start(backend, folder):
    command = [sys.executable, str(SCRIPT), backend, str(folder)]
    paths = [str(ROOT / "frontend"), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(paths)},
    )
    line = process.stdout.readline()
    assert line == "begin\n", process.communicate()
    return process


def finish(process):
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, out) == (0, "done\n"), errors


def result(folder):
    with np.load(folder / "result.npz") as file:
        return {name: file[name] for name in file.files}


def killed_runs(backend, folder, kills, draw):
    """Kill runs at random moments until there were so many kills; returns the seconds of a whole run and each result."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    process, began = start(backend, whole), time.perf_counter()
    finish(process)
    seconds = time.perf_counter() - began
    count, ended = 0, []
    while count < kills:
        run = folder / f"run{len(ended)}"
        run.mkdir()
        while True:
            process = start(backend, run)
            if count < kills:
                try:
                    process.wait(draw.uniform(0.02, 0.9) * seconds)
                except subprocess.TimeoutExpired:
                    process.kill()
                    count += process.wait() == -signal.SIGKILL
                    process.communicate()
                    continue
            finish(process)
            ended.append(result(run))
            break
    return result(whole), ended


def check(backend, folder, kills):
    draw = random.Random(kills)
    expected, ended = killed_runs(backend, folder, kills, draw)
    history = json.loads(str(expected["about"]))
    assert len(history["epoch"]) == 12
    assert len(set(history["history"]["learning_rate"])) > 1  # a callback's state matters
    for found in ended:
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert found[name].tobytes() == array.tobytes(), f"{name}: {found[name]} is not {array}"
    for run in sorted(folder.iterdir()):
        assert sorted(p.name for p in run.iterdir()) == ["log.csv", "result.npz"]  # nothing is left behind


def test_a_run_killed_a_few_times_ends_as_one_that_never_was(tmp_path):
    check("numpy", tmp_path, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_runs_killed_many_times_end_as_one_that_never_was(name, tmp_path):
    check(name, tmp_path, 30)
