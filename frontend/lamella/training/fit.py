"""The epochs of `fit`: order, chunks, validation, callbacks, logs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamella import console
from lamella.errors import ArgumentError, FormatError
from lamella.tracebacks import user_level
from lamella.training.callback_list import CallbackList
from lamella.training.data import Data
from lamella.training.history import History
from lamella.training.loop import Loop
from lamella.training.options import FitOptions, level
from lamella.training.sources import Given, Source, open_source

if TYPE_CHECKING:
    from lamella.training.checkpoint import Checkpoint
    from lamella.training.protocol import TrainingModel


def fit(
    model: TrainingModel, data: Given, validation: Given | None, batch: int, validation_batch: int, options: FitOptions
) -> History:
    """Train `model` on checked data, as `Sequential.fit` says."""
    hooks = CallbackList(options.callbacks, add_history=True, model=model, drawn=True)
    run = Run(model, hooks, data, batch, options)
    epochs, verbose = options.epoch_numbers, level(options.verbose)
    hooks.set_params({"epochs": epochs.stop, "steps": run.source.steps, "verbose": verbose})
    check = None if validation is None else _Validation(model, validation, validation_batch, options.validation_steps)
    model.stop_training = False
    model._run = run
    try:
        run.hook("on_train_begin", {})
        with console.Progress(epochs.stop, run.source.steps, verbose) as progress:
            for epoch in run.resumed(epochs):
                logs = run.epoch(epoch, progress)
                if logs is None:
                    break
                if check is not None and options.validates(epoch + 1):
                    logs = dict(sorted({**logs, **check.evaluate(run)}.items()))
                progress.end_epoch(logs)
                run.end_epoch(epoch, logs)
                if run.source.ended or model.stop_training:
                    break
        run.loop.finalize()
        run.hook("on_train_end", run.logs)
    finally:
        # after an exception, too: the model has the weights of the last whole chunk
        model._run = None
        run.loop.commit()
        run.loop.release()
        run.source.close()
        if check is not None:
            check.loop.release()
            check.source.close()
    assert hooks.history is not None  # noqa: S101 - asked for above
    return hooks.history


class Run:
    """A training run; the model's `_run` while it lasts.

    Attributes:
        hooks: the callbacks.
        source: the source of the steps.
        at: the epoch, and the number of its finished steps.
        logs: the logs of the last whole epoch.
    """

    def __init__(self, model: TrainingModel, hooks: CallbackList, data: Given, batch: int, options: FitOptions) -> None:
        self.model, self.hooks = model, hooks
        self._only_records, self._stepwise = hooks.only_records, None
        self.rows = data.rows if isinstance(data, Data) else None
        self.at = (0, 0)
        self.logs: dict[str, float] = {}
        self._checkpoint: Checkpoint | None = None
        self._afterwards: list[Callable[[], None]] = []
        self._told_of_nonfinite = False
        self.loop = model.loop_for(data.sample, training=True)
        self.loop.undoes_steps = hooks.undoes_steps
        self.batch = batch = self.loop.batch_size(data, batch)
        self.sample = data.sample
        self.loop.begin(batch, self.sample)
        self.source = open_source(model, self.loop, data, batch, steps=options.steps_per_epoch, shuffle=options.shuffle)

    def epoch(self, epoch: int, progress: console.Progress) -> dict[str, float] | None:
        """Run one epoch and return its logs; None if the data ended before it."""
        self.hook("on_epoch_begin", epoch, {})
        self.loop.start_epoch()
        first = self._in_epoch()
        steps = progress.steps = self.source.steps
        progress.begin_epoch(epoch)
        if self._stepwise is None:  # a callback may set a hook on itself in `on_train_begin`
            self._stepwise = self.hooks.watches_batches
        stepwise = self._stepwise
        # as in Keras, a callback that stops before the first step gets that step
        again, stride = first is not None, None
        if stepwise or self.model.stop_training:
            stride = self.loop.compiled.configuration.steps_per_execution

        def before(done: int) -> None:
            self.hook("on_train_batch_begin", done, {})

        def after(done: int) -> bool:
            self.at = (epoch, done)
            if stepwise:
                self.hook("on_train_batch_end", done - 1, self.loop.unread_logs())
            progress.update(done, self.loop.logs)
            return not self.model.stop_training

        done = first or 0
        if not (again and self.model.stop_training):
            done = self.loop.run(
                self.source, stride=stride, before=before if stepwise else None, after=after, done=done
            )
        if self.source.ended or not done:
            _warn_of_the_end(f"training ends with epoch {epoch + (done > 0)}", done, steps)
        return self.loop.logs() if done else None

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Call `on_epoch_end` of the callbacks; entries that they add to the logs go into the history only."""
        if not self._told_of_nonfinite and not math.isfinite(logs.get("loss", 0.0)):
            self._told_of_nonfinite = True
            _warn_of_nonfinite(epoch, logs["loss"], self.source.nonfinite())
        self.at, self.logs = (epoch + 1, 0), dict(logs)
        self.hook("on_epoch_end", epoch, logs)

    def hook(self, name: str, *args: Any) -> None:
        """Call a hook with the model's weights up to date; weights it sets are trained on."""
        if self._only_records:
            self.hooks.call(name, *args)
            return
        self.loop.commit()
        self.hooks.call(name, *args)
        self.loop.adopt()
        while self._afterwards:
            self._afterwards.pop(0)()

    def undo_step(self) -> None:
        """In `on_train_batch_end`: restore the state before the step, except loss and metrics."""
        self.loop.undo_step()

    def afterwards(self, action: Callable[[], None]) -> None:
        """Call a function after the current hook of all callbacks."""
        self._afterwards.append(action)

    # ---- crash and resume ----

    def state(self) -> dict[str, Any]:
        """The state of the run in a checkpoint: its position, and the states of the callbacks."""
        return {
            "epoch": self.at[0],
            "done": self.at[1],
            "steps": self.source.steps,
            "rows": self.rows,
            "source": self.source.position(),
            "logs": self.logs,
            "stop": bool(self.model.stop_training),
            "callbacks": {name: item.get_state() for name, item in self._named_callbacks()},
            "accumulators": self.loop.accumulators() if self.at[1] else {},
        }

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint that contains the `state` of a run; called in `on_train_begin`.

        Raises:
            FormatError: it is in the middle of an epoch of another length.
        """
        state = checkpoint.extra
        steps, rows = self.source.steps, self.rows
        if state["done"] and (state["steps"], state["rows"]) != (steps, rows):
            raise FormatError(
                f"{checkpoint.path}: the run was interrupted after {state['done']} of {state['steps']} steps over "
                f"{state['rows']} rows; this one has {steps} steps over {rows} rows, so it cannot continue in the middle of "
                "the epoch. Give it the same data and batch size, or remove the file to start again."
            )
        self._checkpoint = checkpoint

    def resumed(self, epochs: range) -> range:
        """The epochs that are left to run; between two epochs the state is restored here."""
        if self._checkpoint is None:
            return epochs
        state = self._checkpoint.extra
        self.logs = dict(state["logs"])
        epochs = range(max(epochs.start, state["epoch"]), epochs.stop)
        if not state["done"] or not epochs:
            self._restore()
        return range(0) if state["stop"] and not state["done"] else epochs

    def _in_epoch(self) -> int | None:
        """After `on_epoch_begin`: the number of steps done before the run was interrupted in the middle of an epoch."""
        return None if self._checkpoint is None else self._restore()

    def _restore(self) -> int:
        checkpoint, self._checkpoint = self._checkpoint, None
        assert checkpoint is not None  # noqa: S101 - asked by both callers
        checkpoint.restore()
        state = checkpoint.extra
        self.source.resume(state["source"])
        self.loop.begin(self.batch, self.sample)
        self.loop.replace(state["accumulators"])
        self.model.stop_training = state["stop"]
        for name, item in self._named_callbacks():
            if name in state["callbacks"]:
                item.set_state(state["callbacks"][name])
        return state["done"]

    def _named_callbacks(self) -> list[tuple[str, Any]]:
        """The callbacks by class, numbered from the second of a class on."""
        seen: dict[str, int] = {}
        named = []
        for item in self.hooks.callbacks:
            name = type(item).__name__
            seen[name] = seen.get(name, 0) + 1
            named.append((name if seen[name] == 1 else f"{name}_{seen[name] - 1}", item))
        return named


class _Validation:
    """The evaluation after each epoch."""

    def __init__(self, model: TrainingModel, data: Given, batch: int, steps: int | None) -> None:
        self.loop: Loop = model.loop_for(data.sample, training=False)
        batch = self.loop.batch_size(data, batch)
        self.loop.begin(batch, data.sample)
        self.source = open_source(model, self.loop, data, batch, steps=steps)

    def evaluate(self, run: Run) -> dict[str, float]:
        """Loss and metrics with the weights that `run` has reached, as `val_` logs."""
        run.hook("on_test_begin", {})
        self.loop.take_weights(run.loop)
        found = evaluate(self.loop, self.source, run.hooks, run.hook, what="validation_data")
        run.hook("on_test_end", found)
        return {f"val_{key}": value for key, value in found.items()}


def evaluate(
    loop: Loop,
    source: Source,
    hooks: CallbackList,
    call: Callable[..., None],
    progress: console.Progress | None = None,
    what: str = "x",
) -> dict[str, float]:
    """Loss and metrics over one epoch of the source; `call` calls a hook of all callbacks.

    Raises:
        ShapeError: it has no batch left.
    """
    loop.model.stop_evaluating = False
    around = hooks.around_steps("test", call, loop.unread_logs)

    def after(done: int) -> bool:
        if around is not None:
            around[1](done)
        if progress is not None:
            progress.update(done, loop.logs)
        return not loop.model.stop_evaluating

    loop.start_epoch()
    done = loop.run(source, stride=1 if around is not None else None, before=around and around[0], after=after)
    if not done:
        raise ArgumentError(
            f"{what} has no batch left to evaluate: it was used up before. Give one that can begin again."
        )
    if source.ended:
        _warn_of_the_end(f"the evaluation of {what} ends", done, source.steps)
    return loop.logs()


def _warn_of_nonfinite(epoch: int, loss: float, names: list[str]) -> None:
    if names:
        cause = f"The data of the epoch hold NaN or infinite values, in {' and in '.join(names)}."
    else:
        cause = (
            "The data of the epoch are finite: try a lower learning rate or clipnorm=1.0, and look where it begins with "
            "`lamella.debug.first_nonfinite(model, x, y)`."
        )
    warnings.warn(f"The loss became {loss} in epoch {epoch + 1}. {cause}", stacklevel=user_level())


def _warn_of_the_end(what: str, done: int, steps: int | None) -> None:
    warnings.warn(
        f"The data ended after {done}{'' if steps is None else f' of {steps}'} steps, and {what}: a generator gives its "
        "batches once; it needs steps times epochs of them.",
        stacklevel=user_level(),
    )
