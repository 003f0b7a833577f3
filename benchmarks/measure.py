"""Fair timing on a machine that is not quiet: a process for every contender, rounds in which each runs once, and ratios
within a round."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
REST = 0.2
"""Seconds before each run: the threads of the previous peer look for more work for a while, on the same cores."""
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
"""Of every process: what runs first may write bytecode, as installing a package does."""

IMPORTS = {
    "lamella-jax": "import lamella; lamella.backend.load_backend('jax')",
    "lamella-numpy": "import lamella",
    "keras": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras",
    "jax-step": "import jax, optax",
    "torch": "import torch",
    "numpy": "import numpy",
}
"""What the workload "import" times for each peer."""


@dataclass
class Times:
    """What one peer showed in one workload, by the clock "elapsed" or "processor" (the time of all its threads)."""

    peer: str
    clock: str = "elapsed"
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    first_loss: float | None = None
    missing: str = ""

    @property
    def median(self):
        return float(np.median(self.seconds))

    @property
    def spread(self):
        """The quartiles."""
        return [float(q) for q in np.percentile(self.seconds, [25, 75])]


def ratio(one, other):
    """How much of `other`'s time `one` takes, round by round: median and quartiles."""
    rounds = min(len(one.seconds), len(other.seconds))
    middle, low, high = np.percentile(np.divide(one.seconds[:rounds], other.seconds[:rounds]), [50, 25, 75])
    return float(middle), float(low), float(high)


class Process:
    """A worker with one peer, and with what its environment has besides."""

    def __init__(self, peer, workload, quick, env=None):
        command = [sys.executable, str(HERE / "worker.py"), peer, workload, *(["quick"] if quick else [])]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT | (env or {}),
        )

    def answer(self):
        """The next line the worker writes; {"missing": ...} where it has died."""
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        return {"missing": f"the process ended with status {self.process.wait()}"}

    def round(self):
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"missing": f"the process ended with status {self.process.wait()}"}
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def one_round(process, times):
    answer = process.round()
    if "missing" in answer:
        times.missing = answer["missing"]
        return
    times.seconds.append(answer[times.clock])
    times.peak_bytes = answer["peak_bytes"]


def turns(items, number):
    """The items in another order each round, so that no item always runs after the same one; between them, a rest."""
    for item in random.Random(number).sample(items, len(items)):
        time.sleep(REST)
        yield item


def measure(name, workload, names, rounds, budget, quick=False, clock="elapsed"):
    """The times of every peer, in interleaved rounds until `rounds` or `budget` seconds (three rounds at least) are over."""
    if workload.action == "import":
        return import_times(names, rounds, clock)
    if workload.fresh:
        return fresh_times(name, names, rounds, quick, clock)
    found = {peer: Times(peer, clock) for peer in names}
    # nothing is timed before all of them are ready
    processes = {peer: Process(peer, name, quick) for peer in names}
    for peer, process in processes.items():
        answer = process.answer()
        found[peer].missing = answer.get("missing", "")
        found[peer].first_loss = answer.get("ready", {}).get("first_loss")
    end = time.perf_counter() + budget
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() > end:
            break
        for peer in turns([p for p in names if not found[p].missing], turn):
            one_round(processes[peer], found[peer])
    for process in processes.values():
        process.close()
    return found


def fresh_times(name, names, rounds, quick, clock):
    """Every round in a separate process."""
    found = {peer: Times(peer, clock) for peer in names}
    for turn in range(rounds):
        for peer in turns([p for p in names if not found[p].missing], turn):
            process = Process(peer, name, quick)
            answer = process.answer()
            if "missing" in answer:
                found[peer].missing = answer["missing"]
            else:
                one_round(process, found[peer])
            process.close()
    return found


def import_times(names, rounds, clock):
    """Seconds that an import takes in a new process, the interpreter's own start left out."""
    found = {peer: Times(peer, clock) for peer in names if peer in IMPORTS}
    now = "time.perf_counter()" if clock == "elapsed" else "time.process_time()"
    code = f"import time; start = {now}; {{}}; print({now} - start)"
    for turn in range(-1, rounds):  # the first brings the files into memory
        for peer in turns([p for p in found if not found[p].missing], turn):
            command = [sys.executable, "-c", code.format(IMPORTS[peer])]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
            if done.returncode:
                found[peer].missing = done.stderr.strip().splitlines()[-1][:160]
            elif turn >= 0:
                found[peer].seconds.append(float(done.stdout))
    return found


def matmul_rate(size=1024, repeat=5):
    """Floating-point operations a second of NumPy's float32 matrix product, the best of some."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    best = np.inf
    for _ in range(repeat + 1):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def load():
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def circumstances():
    """What the times depend on."""
    from importlib import metadata

    versions = {}
    for package in ("numpy", "jax", "jaxlib", "optax", "keras", "torch"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
        "matmul_gflops": matmul_rate() / 1e9,
        "load": load(),
    }


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
