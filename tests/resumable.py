"""A training that may be killed at any moment: run as a script by `test_resume.py`.

    python tests/resumable.py BACKEND FOLDER

Continues from FOLDER/backup, if that is there, and writes FOLDER/result.npz (weights, and the history as text).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import lamella
from lamella.callbacks import BackupAndRestore, CSVLogger, EarlyStopping, ReduceLROnPlateau
from lamella.files.atomic import atomic_write, remove_leftovers
from lamella.layers import BatchNormalization, Dense, Dropout, Input

STEPS = 3


def main(backend: str, folder: Path) -> None:
    lamella.set_backend(backend)
    # a run that continues has its seed from the checkpoint
    lamella.utils.set_random_seed(99 if (folder / "backup" / "latest.npz").exists() else 7)
    model = lamella.Sequential(
        [
            Input((5,)),
            Dense(16, activation="relu"),
            Dropout(0.4),
            BatchNormalization(),
            Dense(8),
            Dropout(0.1),
            Dense(1),
        ]
    )
    model.compile(lamella.optimizers.Adam(0.01, amsgrad=True), "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(120, 5)).astype("float32")
    y = x[:, :1] - x[:, 1:2] * x[:, 2:3]
    callbacks = [
        EarlyStopping("loss", patience=20, restore_best_weights=True),
        BackupAndRestore(folder / "backup", save_freq=STEPS, double_checkpoint=True),
        ReduceLROnPlateau("val_loss", patience=1, factor=0.8),
        CSVLogger(folder / "log.csv"),
    ]
    print("begin", flush=True)
    history = model.fit(
        x, y, batch_size=11, epochs=12, verbose=0, shuffle=True, validation_split=0.2, callbacks=callbacks
    )
    remove_leftovers(folder / "result.npz")  # of a run that was killed in the next lines
    with atomic_write(folder / "result.npz") as file:
        about = json.dumps({"history": history.history, "epoch": history.epoch, "steps": model._compiled.state.steps})
        arrays = {name: variable.numpy() for name, variable in model.named_weights()}
        np.savez(file, about=about, log=(folder / "log.csv").read_text(), **arrays)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
