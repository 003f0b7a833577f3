"""Runs a callback over scripted logs, and writes down which hooks a run calls: the same for Keras and for lamella."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .rows import CallbackCase

SCHEDULES: dict[str, Any] = {"halve": lambda epoch, rate: rate * 0.5, "epoch alone": lambda epoch: 1.0 / (epoch + 1)}
X = np.arange(10, dtype="float32")[:, None] / 10
Y = 2 * X
FIT = {"batch_size": 4, "epochs": 2, "verbose": 0, "shuffle": False}


def decide(callbacks: Any, model: Any, case: CallbackCase) -> dict[str, np.ndarray]:
    """Drive one callback.

    Args:
        callbacks: the module of callbacks.
        model: a compiled model of one weight, of shape (1, 1), with a learning rate of 0.1.
        case: which callback, and the logs it gets.

    Returns:
        How many epochs it let run; the learning rate and the keys of the logs after each; the paths it saved to; the
        weight at the end, which is 1, 2 and so on in the epochs; how many warnings it gave; the text of a file it wrote.
    """
    saved: list[str] = []
    rates: list[float] = []
    model.save = model.save_weights = lambda path, **_: saved.append(str(path))
    model.stop_training = False
    kwargs, epochs = dict(case.kwargs), len(next(iter(case.curves.values())))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if "schedule" in kwargs:
            kwargs["schedule"] = SCHEDULES[kwargs["schedule"]]
        if "filename" in kwargs:
            file = kwargs["filename"] = str(Path(folder) / kwargs["filename"])
            Path(file).write_text("epoch,loss\n9,1.0\n")
        callback = getattr(callbacks, case.name)(**kwargs)
        callback.set_params({"epochs": epochs, "steps": case.steps, "verbose": 0})
        callback.set_model(model)
        callback.on_train_begin({})
        logs: dict[str, float] = {}
        done = 0
        for epoch in range(epochs):
            callback.on_epoch_begin(epoch, {})
            logs = {key: curve[epoch] for key, curve in case.curves.items()}
            for batch in range(case.steps):
                callback.on_train_batch_begin(batch, logs={})
                callback.on_train_batch_end(batch, logs=dict(logs))
            model.set_weights([np.full((1, 1), epoch + 1, "float32")])
            callback.on_epoch_end(epoch, logs)
            rates.append(float(np.asarray(model.optimizer.learning_rate)))
            done += 1
            if model.stop_training:
                break
        callback.on_train_end(dict(logs))
        text = Path(kwargs["filename"]).read_text() if "filename" in kwargs else ""
    return {
        "epochs": np.array(done),
        "rates": np.array(rates, "float32"),
        "keys": np.array(json.dumps(sorted(logs))),
        "saved": np.array(json.dumps(saved)),
        "weight": np.array(model.get_weights()[0]),
        "warnings": np.array(sum(w.category is UserWarning for w in caught)),
        "text": np.array(text),
    }


def hooks(callbacks: Any, model: Any, name: str) -> dict[str, np.ndarray]:
    """Every hook that `fit`, `evaluate` or `predict` calls: its name, its number, and the keys of its logs."""
    seen: list[list[Any]] = []

    def recorder(hook: str) -> Any:
        numbered = "epoch" in hook or "batch" in hook

        def record(self: Any, *args: Any, **kwargs: Any) -> None:
            logs = kwargs["logs"] if kwargs else args[-1]
            seen.append([hook, args[0] if numbered else None, sorted(kwargs), sorted(logs)])

        return record

    names = [n for n in dir(callbacks.Callback) if n.startswith("on_") and n not in ("on_batch_begin", "on_batch_end")]
    watcher = type("Watcher", (callbacks.Callback,), {n: recorder(n) for n in names})()
    if name == "fit":
        model.fit(X, Y, validation_data=(X[:6], Y[:6]), callbacks=[watcher], **FIT)
    elif name == "evaluate":
        model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[watcher])
    else:
        model.predict(X, batch_size=4, verbose=0, callbacks=[watcher])
    return {"hooks": np.array(json.dumps(seen))}
