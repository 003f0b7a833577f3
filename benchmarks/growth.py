"""How time grows with rows, steps in time and layers: `python growth.py PEER`, one line of JSON."""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np

SIZES = {"rows": [1000, 2000, 4000, 8000], "time steps": [25, 50, 100, 200], "layers": [4, 8, 16, 32]}
QUICK = {"rows": [64, 128], "time steps": [4, 8], "layers": [1, 2]}


def model_of(k, what, size):
    if what == "rows":
        return [k.Input((20,)), k.Dense(64, "relu"), k.Dense(64, "relu"), k.Dense(1, "sigmoid")]
    if what == "time steps":
        return [k.Input((size, 32)), k.LSTM(64), k.Dense(1, "sigmoid")]
    return [k.Input((20,)), *[k.Dense(64, "relu") for _ in range(size)], k.Dense(1, "sigmoid")]


def epoch_seconds(lamella, backend, what, size, rounds=5):
    rng = np.random.default_rng(0)
    rows = size if what == "rows" else 256 if what == "time steps" else 2000
    x = rng.standard_normal((rows, size, 32) if what == "time steps" else (rows, 20), np.float32)
    y = rng.integers(0, 2, (rows, 1)).astype(np.float32)
    model = lamella.Sequential(model_of(lamella.layers, what, size))
    model.compile("adam", "binary_crossentropy", backend=backend)
    model.fit(x, y, batch_size=32, verbose=0)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        model.fit(x, y, batch_size=32, verbose=0)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    backend = sys.argv[1].removeprefix("lamella-")
    import lamella

    sizes = QUICK if sys.argv[2:] else SIZES
    rounds = 1 if sys.argv[2:] else 5
    found = {what: [(n, epoch_seconds(lamella, backend, what, n, rounds)) for n in ns] for what, ns in sizes.items()}
    print(json.dumps(found), file=answers)


if __name__ == "__main__":
    main()
