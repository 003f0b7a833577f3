"""The epochs of `fit`: order, chunks, validation, callbacks, logs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamella import console
from lamella.errors import ShapeError
from lamella.training.history import CallbackList, History
from lamella.training.loop import Loop
from lamella.training.sources import Given, Source, open_source

if TYPE_CHECKING:
    from lamella.training.model import TrainableModel


def fit(
    model: TrainableModel,
    data: Given,
    validation: Given | None,
    *,
    batch: int,
    steps: int | None,
    validation_batch: int,
    validation_steps: int | None,
    validates: Callable[[int], bool],
    epochs: range,
    verbose: int,
    callbacks: Any,
    shuffle: bool | str,
) -> History:
    """Train `model` on checked data, as `Sequential.fit` says."""
    model.history = history = History()
    given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    parameters = {"epochs": epochs.stop, "steps": steps, "verbose": verbose}
    hooks = CallbackList([history, *given], model, parameters)
    run = _Run(model, hooks, data, batch, steps, shuffle)
    parameters["steps"] = run.source.steps
    check = None if validation is None else _Validation(model, validation, validation_batch, validation_steps)
    model.stop_training = False
    try:
        run.hook("on_train_begin", {})
        with console.Progress(epochs.stop, run.source.steps, verbose) as progress:
            for epoch in epochs:
                logs = run.epoch(epoch, progress)
                if logs is None:
                    break
                if check is not None and validates(epoch + 1):
                    logs = dict(sorted({**logs, **check.evaluate(run)}.items()))
                run.loop.commit()
                progress.end_epoch(logs)
                run.hook("on_epoch_end", epoch, logs)
                if run.source.ended or model.stop_training:
                    break
        run.loop.finalize()
        run.hook("on_train_end", {})
    finally:
        # after an exception, too: the model has the weights of the last whole chunk
        run.loop.commit()
        run.source.close()
        if check is not None:
            check.source.close()
    return history


class _Run:
    """One training run."""

    def __init__(
        self,
        model: TrainableModel,
        hooks: CallbackList,
        data: Given,
        batch: int,
        steps: int | None,
        shuffle: bool | str,
    ) -> None:
        self.model, self.hooks = model, hooks
        self.loop = model.loop_for(data.sample, training=True)
        self.loop.begin(batch)
        self.source = open_source(model, self.loop, data, batch, steps=steps, shuffle=shuffle)

    def epoch(self, epoch: int, progress: console.Progress) -> dict[str, float] | None:
        """Run one epoch and return its logs; None where the data had ended before it."""
        self.hook("on_epoch_begin", epoch, {})
        self.loop.start_epoch()
        steps = progress.steps = self.source.steps
        progress.begin_epoch(epoch)
        watched = self.hooks.watches_batches

        def before(done: int) -> None:
            self.hook("on_train_batch_begin", done, {})

        def after(done: int) -> bool:
            if watched:
                self.hook("on_train_batch_end", done - 1, self.loop.logs())
            progress.update(done, self.loop.logs)
            return not self.model.stop_training

        done = self.loop.run(self.source, single=watched, before=before if watched else None, after=after)
        if self.source.ended or not done:
            _warn_of_the_end(f"training ends with epoch {epoch + (done > 0)}", done, steps)
        return self.loop.logs() if done else None

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

    def __init__(self, model: TrainableModel, data: Given, batch: int, steps: int | None) -> None:
        self.loop: Loop = model.loop_for(data.sample, training=False)
        self.loop.begin(batch)
        self.source = open_source(model, self.loop, data, batch, steps=steps)

    def evaluate(self, run: _Run) -> dict[str, float]:
        """Loss and metrics with the weights that `run` has reached, as `val_` logs."""
        run.hook("on_test_begin", {})
        self.loop.take_weights(run.loop)
        found = evaluate(self.loop, self.source, what="validation_data")
        run.hook("on_test_end", found)
        return {f"val_{key}": value for key, value in found.items()}


def evaluate(loop: Loop, source: Source, progress: console.Progress | None = None, what: str = "x") -> dict[str, float]:
    """Loss and metrics over one epoch of the source.

    Raises:
        ShapeError: it has no batch left.
    """

    def after(done: int) -> bool:
        if progress is not None:
            progress.update(done, loop.logs)
        return True

    loop.start_epoch()
    done = loop.run(source, single=False, after=after)
    if not done:
        raise ShapeError(f"{what} has no batch left to evaluate: it was used up before. Give one that can begin again.")
    if source.ended:
        _warn_of_the_end(f"the evaluation of {what} ends", done, source.steps)
    return loop.logs()


def _warn_of_the_end(what: str, done: int, steps: int | None) -> None:
    warnings.warn(
        f"The data ended after {done}{'' if steps is None else f' of {steps}'} steps, and {what}: a generator gives its "
        "batches once; it needs steps times epochs of them.",
        stacklevel=2,
    )
