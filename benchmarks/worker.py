"""A process with one peer and one workload: `python worker.py PEER WORKLOAD [QUICK]`.

It answers every line on its standard input by a line of JSON: "run" with the times of one round, anything else ends it.
The first line it writes says that it is ready, or why it is not. Importing, making the model and one untimed run (which
compiles) come before, so that rounds time only the work itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace

import peers
import workloads


def peak_bytes():
    """The most memory that this process has had, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def smaller(workload):
    """The same workload with little to do, for a look at whether it runs."""
    rows = min(workload.rows, 2 * workload.batch + 3 if workload.action == "fit" else workload.batch)
    return replace(workload, rows=rows, epochs=min(workload.epochs, 2), repeat=min(workload.repeat, 2))


def rounds(peer, workload):
    """Make the peer; returns a function that runs one round and gives its seconds, and what is known so far."""
    start = time.perf_counter()
    load = peers.PEERS[peer][1]
    make = load()
    imported = time.perf_counter() - start
    model = workloads.MODELS[workload.model]
    x, y = model.data(workload.rows)
    start, busy = time.perf_counter(), time.process_time()
    one = make(workload.model, model, model.initial_weights(), workload.batch)
    if workload.action == "first step":
        finished(one.step(x, y))
        taken = time.perf_counter() - start, time.process_time() - busy
        return lambda: taken, {"import_seconds": imported}
    run, loss = work(one, workload, x, y)
    return run, {"import_seconds": imported, "first_loss": loss}


def finished(result):
    """Wait for a device."""
    return getattr(result, "block_until_ready", lambda: result)()


def work(one, workload, x, y):
    """A function that times a round, after an untimed one; and the first epoch's loss in the order of the rows."""
    loss = None
    if workload.action == "fit":
        loss = float(one.fit(x, y, 1, False))

        def task():
            one.fit(x, y, workload.epochs, True)

    elif workload.action == "new batch size":
        finished(one.step(x, y))
        sizes = iter(range(len(x) - 1, 1, -1))

        def task():
            size = next(sizes)
            finished(one.step(x[:size], y[:size]))

        return lambda: seconds_of(task, 1), None
    else:
        call = getattr(one, workload.action)
        arguments = (x, y) if workload.action == "evaluate" else (x,)

        def task():
            call(*arguments)

    task()
    return lambda: seconds_of(task, workload.repeat), loss


def seconds_of(task, repeat):
    """Elapsed seconds, and the processor's seconds in all threads, of one of `repeat` calls."""
    start, busy = time.perf_counter(), time.process_time()
    for _ in range(repeat):
        task()
    return (time.perf_counter() - start) / repeat, (time.process_time() - busy) / repeat


def main():
    # whatever a framework prints goes to standard error: standard output is for answers
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer, name, *quick = sys.argv[1:]
    workload = workloads.WORKLOADS[name]
    try:
        run, known = rounds(peer, smaller(workload) if quick else workload)
    except Exception as error:
        text = str(error).splitlines()
        print(json.dumps({"missing": f"{type(error).__name__}: {text[0] if text else ''}"[:160]}), file=answers)
        return
    print(json.dumps({"ready": known}), file=answers)
    for line in sys.stdin:
        if line.strip() != "run":
            break
        elapsed, busy = run()
        print(json.dumps({"elapsed": elapsed, "processor": busy, "peak_bytes": peak_bytes()}), file=answers)


if __name__ == "__main__":
    main()
