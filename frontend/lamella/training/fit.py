"""The epochs of `fit`: order, chunks, validation, callbacks, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import console, random
from lamella.training.history import CallbackList, History
from lamella.training.loop import Loop

if TYPE_CHECKING:
    from lamella.training.data import Data
    from lamella.training.model import TrainableModel


def fit(
    model: TrainableModel,
    data: Data,
    validation: Data | None,
    *,
    batch: int,
    validation_batch: int,
    validation_freq: int,
    epochs: range,
    verbose: int,
    callbacks: Any,
    shuffle: bool,
) -> History:
    """Train `model` on checked data, as `Sequential.fit` says."""
    steps = -(-data.rows // batch)
    model.history = history = History()
    given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    parameters = {"epochs": epochs.stop, "steps": steps, "verbose": verbose}
    run = _Run(model, CallbackList([history, *given], model, parameters), data, batch, shuffle)
    check = None if validation is None else _Validation(model, validation, min(validation_batch, validation.rows))
    model.stop_training = False
    try:
        run.hook("on_train_begin", {})
        with console.Progress(epochs.stop, steps, verbose) as progress:
            for epoch in epochs:
                logs = run.epoch(epoch, progress)
                if check is not None and (epoch + 1) % validation_freq == 0:
                    logs = dict(sorted({**logs, **check.evaluate(run)}.items()))
                run.loop.commit()
                progress.end_epoch(logs)
                run.hook("on_epoch_end", epoch, logs)
                if model.stop_training:
                    break
        run.loop.finalize()
        run.hook("on_train_end", {})
    finally:
        # after an exception, too: the model has the weights of the last whole chunk
        run.loop.commit()
    return history


class _Run:
    """One training run."""

    def __init__(self, model: TrainableModel, hooks: CallbackList, data: Data, batch: int, shuffle: bool) -> None:
        self.model, self.hooks, self.batch, self.shuffle = model, hooks, batch, shuffle
        self.rows = data.rows
        self.orders = random.Orders(random.fold(random.key_from_seed(model.seed), "shuffle"), data.rows)
        self.loop = model.loop_for(data, training=True)
        self.loop.begin(batch)
        self.placed = self.loop.place(data)

    def epoch(self, epoch: int, progress: console.Progress) -> dict[str, float]:
        """Run one epoch and return its logs."""
        self.hook("on_epoch_begin", epoch, {})
        self.loop.start_epoch()
        progress.begin_epoch(epoch)
        watched = self.hooks.watches_batches
        steps = -(-self.rows // self.batch)

        def between(done: int) -> bool:
            if watched and done:
                self.hook("on_train_batch_end", done - 1, self.loop.logs())
            if watched and done < steps and not self.model.stop_training:
                self.hook("on_train_batch_begin", done, {})
            if done:
                progress.update(done, self.loop.logs)
            return not self.model.stop_training

        self.loop.run(self.placed, self._order(), self.batch, single=watched, between=between)
        return self.loop.logs()

    def _order(self) -> np.ndarray:
        """The rows in the order of this epoch: a function of the model's seed and of how many epochs it has seen."""
        if not self.shuffle:
            return np.arange(self.rows, dtype=np.int32)
        self.loop.compiled.epochs += 1
        return self.orders[self.loop.compiled.epochs]

    def hook(self, name: str, *args: Any) -> None:
        """Call a hook with the model's weights up to date; weights it sets are trained on."""
        if len(self.hooks.items) > 1:
            self.loop.commit()
            self.hooks.call(name, *args)
            self.loop.adopt()
        else:
            self.hooks.call(name, *args)


class _Validation:
    """The evaluation after each epoch."""

    def __init__(self, model: TrainableModel, data: Data, batch: int) -> None:
        self.loop: Loop = model.loop_for(data, training=False)
        self.loop.begin(batch)
        self.placed, self.rows, self.batch = self.loop.place(data), data.rows, batch

    def evaluate(self, run: _Run) -> dict[str, float]:
        """Loss and metrics with the weights that `run` has reached, as `val_` logs."""
        run.hook("on_test_begin", {})
        self.loop.take_weights(run.loop)
        found = self.loop.evaluate(self.placed, self.rows, self.batch)
        run.hook("on_test_end", found)
        return {f"val_{key}": value for key, value in found.items()}
