"""`python -m lamella_jax.xla_cpu`: which overrides still pay with the installed jaxlib."""

from __future__ import annotations

import statistics
import time
from importlib import metadata
from typing import Any

import jax

from lamella_jax.xla_cpu.benchmarks import Case
from lamella_jax.xla_cpu.table import OVERRIDES, kernels_with

ROWS = 64
_PAIRS = 15
_SECONDS = 2.5
PAYS = 0.95


def measured(case: Case) -> tuple[float, float, float]:
    """The median times in seconds with and without an override, and the median ratio of pairs of calls that take turns."""
    for form in (case.used, case.plain, case.used, case.plain):
        jax.block_until_ready(form(*case.arguments))
    pairs = []
    end = time.perf_counter() + _SECONDS
    while len(pairs) < 3 or (len(pairs) < _PAIRS and time.perf_counter() < end):
        pairs.append((_seconds(case.used, case.arguments), _seconds(case.plain, case.arguments)))
    used, plain = zip(*pairs, strict=True)
    return statistics.median(used), statistics.median(plain), statistics.median(a / b for a, b in pairs)


def _seconds(form: Any, arguments: Any) -> float:
    start = time.perf_counter()
    jax.block_until_ready(form(*arguments))
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    kernels = kernels_with(OVERRIDES)
    width = max(len(o.name) for o in OVERRIDES)
    print(f"jaxlib {metadata.version('jaxlib')} on {jax.default_backend()}, {ROWS} rows; milliseconds, medians")
    print(f"{'override':{width}}  {'with':>8}  {'without':>8}  {'ratio':>5}")
    for override in OVERRIDES:
        case = override.benchmark(kernels, ROWS)
        used, plain, ratio = measured(case._replace(arguments=jax.device_put(case.arguments)))
        verdict = "pays" if ratio < PAYS else "does not pay"
        print(f"{override.name:{width}}  {used * 1e3:8.2f}  {plain * 1e3:8.2f}  {ratio:5.2f}  {verdict}", flush=True)


if __name__ == "__main__":
    main()
