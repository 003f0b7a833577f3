"""What threads gain and cost on NumPy: `python benchmarks/threads.py`.

    python benchmarks/threads.py                         training of every workload, seven rounds
    python benchmarks/threads.py cnn lstm --rounds 3     some
    python benchmarks/threads.py --busy 2                how many busy processes run beside the second half

Every workload runs in two processes in turns, one with `LAMELLA_THREADS=1` and one with the default: first on the idle
machine, then beside processes that multiply matrices. Ratios are to one thread, within a round; medians.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from large import busy
from measure import Process, turns
from workloads import WORKLOADS

WAYS = {"one": {"LAMELLA_THREADS": "1"}, "default": {}}


def ratios(processes: dict[str, Process], rounds: int) -> dict[str, float]:
    """Seconds with one thread, and the ratios of the default to it: by the clock and of the processor."""
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in turns(list(WAYS), number):
            answer = processes[way].round()
            found[way].append((answer["elapsed"], answer["processor"]))
    one, default = (np.array(found[way]) for way in ("one", "default"))
    elapsed, processor = np.median(default / one, axis=0)
    return {"seconds": float(np.median(one[:, 0])), "elapsed": float(elapsed), "processor": float(processor)}


def main() -> None:
    training = [name for name, workload in WORKLOADS.items() if workload.action == "fit"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "workloads", nargs="*", default=training, help=f"of {', '.join(WORKLOADS)}; training by default"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--busy", type=int, default=2, help="processes that keep cores busy in the second half")
    parser.add_argument("--quick", action="store_true", help="see whether everything runs; the times mean nothing")
    arguments = parser.parse_args()
    print("| | one thread | default / one | processor | one thread, busy | default / one, busy |")
    print("|---|---|---|---|---|---|")
    for name in arguments.workloads:
        processes = {way: Process("lamella-numpy", name, arguments.quick, env) for way, env in WAYS.items()}
        for process in processes.values():
            process.answer()
        idle = ratios(processes, arguments.rounds)
        with busy(arguments.busy):
            beside = ratios(processes, arguments.rounds)
        for process in processes.values():
            process.close()
        print(
            f"| {WORKLOADS[name].title} | {idle['seconds'] * 1e3:.3g} ms | {idle['elapsed']:.2f} | {idle['processor']:.2f} "
            f"| {beside['seconds'] * 1e3:.3g} ms | {beside['elapsed']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
