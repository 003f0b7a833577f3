"""The benchmark runs a small workload with whoever is installed, and names who is missing."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    peers = "lamella-numpy,numpy,torch"
    command = [sys.executable, BENCHMARKS / "run.py", "line", "batch-1-mlp", "--quick", "--peers", peers, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "bars.png").stat().st_size > 1000
    return json.loads((out / "record.json").read_text()), done.stdout


def test_every_peer_is_timed_or_named_as_missing(record):
    for workload in record[0]["workloads"].values():
        for name, peer in workload["peers"].items():
            assert bool(peer["seconds"]) != bool(peer["missing"]), name
            if peer["seconds"]:
                assert min(peer["seconds"]) > 0 and peer["peak_bytes"] > 2**20
        assert workload["peers"]["lamella-numpy"]["seconds"] and workload["peers"]["numpy"]["seconds"]


def test_peers_do_the_same_work(record):
    peers = record[0]["workloads"]["line"]["peers"]
    losses = [peer["first_loss"] for peer in peers.values() if peer["seconds"]]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)


def test_the_text_gives_ratios_and_the_arithmetic(record):
    assert "lamella-numpy takes" in record[1]
    assert "GFLOP/s" in record[1]
    assert "lamella-numpy against numpy" in record[1]


def test_a_worker_says_why_it_cannot_run():
    command = [sys.executable, BENCHMARKS / "worker.py", "numpy", "transformer", "quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert json.loads(done.stdout) == {"missing": "LookupError: not written by hand in NumPy"}


def test_large_models_are_measured_or_named_as_missing(tmp_path):
    command = [sys.executable, BENCHMARKS / "large.py", "embedding", "--quick", "--out", tmp_path]
    command += ["--peers", "lamella-numpy,torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peers = json.loads((tmp_path / "large.json").read_text())["models"]["embedding"]["peers"]
    (found,) = peers["lamella-numpy"]
    assert found["lines"] == 0 and 2**26 < found["peak"] < 2**31
    assert 0 < found["step"] < found["first"] and 0 < found["step_processor"]
    assert ("missing" in peers["torch"][0]) == (importlib.util.find_spec("torch") is None)
    assert "| lamella-numpy |" in done.stdout


@pytest.mark.slow
def test_the_gpu_benchmark_runs_with_tiny_sizes(tmp_path):
    pytest.importorskip("jax")
    command = [sys.executable, BENCHMARKS / "gpu.py", "attention", "--tiny", "--peers", "lamella", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "gpu.json").read_text())["found"]
    assert found.get("missing") is None and 0 < found["step"] < found["first"] and found["peak"] > 2**20
    assert "| 2048 tokens, one kernel | bfloat16 | lamella |" in done.stdout


def test_the_table_of_layouts_is_what_the_page_shows(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    distribution = importlib.import_module("distribution")
    page = (BENCHMARKS.parent / "docs" / "distribution.md").read_text(encoding="utf-8")
    assert "\n".join(distribution.table(1e14, 5e10)) in page
    assert distribution.convolutional().weights == 25_557_032


def test_threads_are_compared_with_one():
    command = [sys.executable, BENCHMARKS / "threads.py", "line", "--quick", "--rounds", "1", "--busy", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, row = done.stdout.splitlines()
    assert row.startswith("| linear regression") and all(float(cell) > 0 for cell in row.split(" | ")[2:4])
