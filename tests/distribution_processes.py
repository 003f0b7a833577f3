"""One of the processes of a run, as a script: `python tests/distribution_processes.py PORT COUNT INDEX WHAT [FOLDER]`.

With COUNT 1 it runs alone, on the devices that XLA_FLAGS asks for. Its last line is what it found, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import distribution_cases as cases
import lamella
from lamella import distribution, layers


def joined(port, count, index, seconds):
    lamella.set_backend("jax")
    if count > 1:
        distribution.initialize(
            f"127.0.0.1:{port}", count, index, initialization_timeout=seconds, heartbeat_timeout_seconds=10
        )


def trained(folder, kill=None, wrong=None, index=0):
    """Five epochs of four steps, backed up after every three; killed, or given something else, on the way."""
    lamella.utils.set_random_seed(7 + (index if wrong == "seed" else 0))
    x, y = cases._data((8,), rows=54 + (index if wrong == "length" else 0))
    placed = distribution.FullySharded() if distribution.device_count() > 1 else cases.ONE
    with placed.scope():
        model = lamella.Sequential(
            [
                layers.Input((8,)),
                layers.Dense(16, activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(4),
                layers.Dense(1),
            ]
        )
        model.compile("adam", "mse", metrics=["mae"])

        class Ends(lamella.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if kill is not None and int(self.model.optimizer.iterations) == 10:
                    os.kill(os.getpid(), signal.SIGKILL) if kill == "kill" else self.fail()

            def fail(self):
                raise ValueError("this process fails")

        callbacks = [lamella.callbacks.CSVLogger(Path(folder) / "log.csv", append=True)]
        callbacks += [
            lamella.callbacks.BackupAndRestore(Path(folder) / "backup", save_freq=3, delete_checkpoint=False),
            Ends(),
        ]
        history = model.fit(x, y, batch_size=16, epochs=5, verbose=2, callbacks=callbacks)
        model.save_weights(Path(folder) / "end.safetensors")
    weights = [w.tolist() for w in model.get_weights()]
    return {"loss": history.history["loss"], "weights": weights, "mae": model.evaluate(x, y, verbose=0)[1]}


def main(port, count, index, what, folder="."):
    joined(port, count, index, 3 if what == "join" else 100)
    what, *detail = what.split(":")
    if what == "cases":
        made = {"one": cases.ONE, **cases.distributions()}
        found = {f"{n} {k}": cases.run(n, made[k]).tolist() for n in detail[0].split(",") for k in detail[1].split(",")}
    else:
        mine = what if [str(index)] == detail else None
        wrong = what if what in ("seed", "length") else None
        found = trained(folder, kill=mine if what in ("kill", "fail") else None, wrong=wrong, index=index)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
