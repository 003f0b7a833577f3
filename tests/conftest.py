"""What every test file shares: the backends to run on, and the process as it was after each test."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from lamella import host_random, tracebacks
from lamella.backend_api import registry
from lamella.core import dtype_policy
from lamella.ir import settings

ROOT = Path(__file__).resolve().parents[1]

tracebacks.disable_traceback_filtering()  # a test that fails shows all of it

# Tests build the same small programs again and again: XLA compiles each once a session (and xdist worker).
_COMPILED = tempfile.TemporaryDirectory(prefix="lamella-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _COMPILED.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


HAS_JAX = importable("jax")
BACKENDS = [
    "numpy",
    pytest.param("jax", marks=pytest.mark.skipif(not HAS_JAX, reason="jax is not importable")),
]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """The name of a backend, in force for the test."""
    with registry.backend_scope(request.param):
        yield request.param


@pytest.fixture
def jax():
    """JAX itself, in force as the backend for the test."""
    module = pytest.importorskip("jax")
    with registry.backend_scope("jax"):
        yield module


@pytest.fixture
def both():
    """The names of both backends, for tests that compare them."""
    pytest.importorskip("jax")
    return ("numpy", "jax")


@pytest.fixture
def float64():
    """`set_floatx("float64")` for the test."""
    settings.set_floatx("float64")


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch):
    """Seeds are fixed before each test; settings, policy, chosen backend and seeds are restored after it."""
    monkeypatch.setattr(settings, "_SETTINGS", dict(settings._SETTINGS))
    monkeypatch.setattr(dtype_policy, "_GLOBAL", dict(dtype_policy._GLOBAL))
    monkeypatch.setattr(registry, "_CHOSEN", dict(registry._CHOSEN))
    monkeypatch.setattr(host_random, "_SEEDS", host_random._Seeds())
    state = np.random.get_state()  # noqa: NPY002 - the generator that users' scripts seed
    host_random.set_random_seed(1234)
    yield
    np.random.set_state(state)  # noqa: NPY002


@pytest.fixture
def run_python():
    """Runs Python code, or a script with arguments, in a separate process; returns what it printed."""

    def run(*arguments, code=None, environment=None, check=True):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LAMELLA_")}
        command = [sys.executable, *(["-c", code] if code is not None else []), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=ROOT, env={**inherited, **(environment or {})}
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def interrupts_as_in_a_terminal():
    """SIGINT raises KeyboardInterrupt, which a process that is started in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
