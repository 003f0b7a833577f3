"""The speed of lamella's two backends next to Keras, PyTorch and the same models written by hand.

    make bench                                   everything, about half an hour on two cores
    make bench ARGS="mlp cnn --rounds 3"         some workloads
    make bench ARGS="--peers lamella-jax,keras"  some peers
    make bench ARGS="--quick"                    whether everything runs, with next to no work
    make bench ARGS="--check"                    the first epoch's loss of every peer, instead of times

Every peer runs in a separate process, on the same data and initial weights. In each round every peer runs once, in
turning order, and ratios are taken within a round, so what disturbs a round disturbs both sides. A peer that cannot run
here is listed with its reason, and fails nothing. The record (JSON) and the charts (PNG) go to `--out`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import measure
import report
from peers import PEERS
from workloads import WORKLOADS

HERE = Path(__file__).parent


def check(names, peers, quick):
    """Every peer's loss over the first epoch, in the order of the rows, from the same weights."""
    for name in names:
        workload = WORKLOADS[name]
        if workload.action != "fit":
            continue
        print(f"\n{workload.title}: loss of the first epoch")
        for peer, times in measure.measure(name, workload, peers, 0, 0, quick).items():
            print(f"  {PEERS[peer][0]:38}{times.missing or f'{times.first_loss:.7f}'}", flush=True)


def grow(peers, out, quick):
    """Time against rows, steps and layers for lamella's backends."""
    series = {}
    for peer in peers:
        if not peer.startswith("lamella"):
            continue
        command = [sys.executable, str(HERE / "growth.py"), peer, *(["quick"] if quick else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"growth, {peer}: {done.stderr.strip().splitlines()[-1]}")
            continue
        for what, points in json.loads(done.stdout).items():
            series.setdefault(what, {})[peer] = points
    print("\ntime of an epoch against size")
    for what, lines in series.items():
        for peer, points in lines.items():
            listed = ", ".join(f"{n}: {report.seconds(t)}" for n, t in points)
            print(f"  {what:12}{PEERS[peer][0]:20}{listed}")
    draw(report.growth, series, out / "growth.png")
    return series


def draw(chart, what, path):
    if what:
        try:
            chart(what, path)
        except ImportError as error:
            print(f"no {path.name}: {error}")


def names_of(parser, text, known):
    names = text if isinstance(text, list) else [n for n in text.split(",") if n]
    for name in names:
        if name not in known:
            parser.error(f"unknown {name!r}; there are {', '.join(known)}")
    return names or list(known)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}, growth; all by default")
    parser.add_argument("--peers", default="", help=f"of {', '.join(PEERS)}, with commas; all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--budget", type=float, default=60, help="seconds of rounds for a workload (three rounds at least)"
    )
    parser.add_argument("--quick", action="store_true", help="see whether everything runs; the times mean nothing")
    parser.add_argument(
        "--clock",
        choices=["elapsed", "processor"],
        default="elapsed",
        help="processor: of all threads, for a busy machine",
    )
    parser.add_argument("--check", action="store_true", help="compare losses, measure nothing")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the record and the charts go")
    arguments = parser.parse_args()
    peers = names_of(parser, arguments.peers, PEERS)
    wanted = names_of(parser, arguments.workloads, [*WORKLOADS, "growth"])
    names, quick = [n for n in wanted if n in WORKLOADS], arguments.quick
    if arguments.check:
        check(names, peers, quick)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    around = measure.circumstances()
    rate = around["matmul_gflops"] * 1e9
    around["clock"] = arguments.clock
    print(json.dumps(around), flush=True)
    results, record = [], {"circumstances": around, "workloads": {}}
    for name in names:
        workload, load = WORKLOADS[name], measure.load()
        rounds = 1 if quick else arguments.rounds
        found = measure.measure(name, workload, peers, rounds, arguments.budget, quick, arguments.clock)
        print("\n" + report.text(workload, found, rate, load), flush=True)
        if any(times.seconds for times in found.values()):
            results.append((workload, found))
        record["workloads"][name] = {
            "title": workload.title,
            "load": load,
            "flops": workload.flops,
            "peers": {peer: asdict(times) for peer, times in found.items()},
        }
        # written after each workload: what was measured stays when the rest is interrupted
        (arguments.out / "record.json").write_text(json.dumps(record, indent=1) + "\n")
    (arguments.out / "table.md").write_text(report.markdown(results) + "\n")
    draw(report.bars, results, arguments.out / "bars.png")
    if "growth" in wanted:
        record["growth"] = grow(peers, arguments.out, quick)
        (arguments.out / "record.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
