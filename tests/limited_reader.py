"""Reads files under limits of CPU time and memory, each alone: run as a script, with jobs on standard input.

A job is [what, path or arguments, seconds, bytes]. For each a line of JSON is printed: "loaded", or what was raised. A file
that takes longer than its seconds ends the process by SIGXCPU; one that asks for more memory ends in a MemoryError.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

MEGABYTE = 2**20


def outcomes(jobs: list[tuple[str, Any, float, int]]) -> list[str]:
    """What became of each job, in a separate process; the last is "killed" where the limit of time ended it."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        env={**os.environ, "LAMELLA_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return found if len(found) == len(jobs) else [*found, f"killed: {done.returncode} {done.stderr[-500:]}"]


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


@contextlib.contextmanager
def _limits(seconds: float, memory: int):
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 1, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _read(what: str, given: Any) -> str:
    from lamella import cli, models

    if what == "command":
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            code = cli.main(given)
        return "loaded" if code == 0 else f"FormatError: {told.getvalue().strip()}"
    if what == "json":
        models.model_from_json(Path(given).read_text())
    else:
        models.load_model(given)
    return "loaded"


def _main() -> None:
    import lamella

    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1), lamella.layers.ReLU()])
    model.compile("adam", "mse", metrics=["mae"])  # what is imported at first use belongs to no file
    lamella.models.model_from_json(model.to_json())
    for what, given, seconds, memory in json.loads(sys.stdin.read()):
        with _limits(seconds, memory):
            try:
                told = _read(what, given)
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
        print(json.dumps(told[:2000]), flush=True)


if __name__ == "__main__":
    _main()
