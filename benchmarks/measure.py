"""Fair timing on a machine that is not quiet: rounds in which every contender runs once, and ratios within a round."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Contender:
    """Something to time; `seconds` is filled, one entry for each round."""

    name: str
    run: object
    seconds: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self):
        return float(np.median(self.seconds))

    @property
    def best(self):
        return min(self.seconds)

    def ratio(self, other):
        """How many times `other` takes this one's time: median, and the quartiles around it."""
        return np.percentile(np.divide(other.seconds, self.seconds), [50, 25, 75])


def interleave(contenders, rounds, budget=60.0, clock=time.perf_counter):
    """Run every contender once untimed (compilation), then in rounds until `rounds` or `budget` seconds are over.

    `clock=time.process_time` counts the processor's time of all threads: steadier on a busy machine, and fair only
    between contenders that use one thread each.
    """
    for contender in contenders:
        contender.run()
    end = time.perf_counter() + budget
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() > end:
            break
        # the order turns, so that nobody always runs after the same neighbour
        for contender in contenders[turn % len(contenders) :] + contenders[: turn % len(contenders)]:
            start = clock()
            contender.run()
            contender.seconds.append(clock() - start)


def table(title, contenders, missing, unit, scale, reference):
    """Lines: medians in `unit` (seconds times `scale`), the best round, and the speed relative to `reference`."""
    lines = [f"{title}, {unit}", f"  {'':47}{'median':>9}{'best':>9}   times as fast as {reference.name} (quartiles)"]
    for contender in contenders:
        middle, low, high = contender.ratio(reference)
        speed = "" if contender is reference else f"{middle:.2f} ({low:.2f}-{high:.2f})"
        figures = f"{contender.median * scale:9.3g}{contender.best * scale:9.3g}"
        lines.append(f"  {contender.name:47}{figures}   {speed}".rstrip())
    lines += [f"  {name:47}{'-':>9}{'-':>9}   {why}" for name, why in missing]
    return "\n".join(lines)


def circumstances():
    """One line on what the times depend on."""
    try:
        import threadpoolctl

        pools = threadpoolctl.threadpool_info()
        blas = ", ".join(f"{p['internal_api']} {p['version']} with {p['num_threads']} threads" for p in pools)
    except ImportError:
        blas = f"OPENBLAS_NUM_THREADS={os.environ.get('OPENBLAS_NUM_THREADS', 'unset')}"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"NumPy {np.__version__}, {blas}; {os.cpu_count()} cores{load}"
