"""What `compile`, `fit`, `evaluate`, `predict` and their kin do: arguments checked, data taken, steps run.

Their signatures and what they promise stand in `model.py`. This module, and with it the losses, metrics and optimizers, is
imported when the first of them is called: who only describes a model, or reads one, does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import console
from lamella.backend_api import load_backend
from lamella.errors import ShapeError
from lamella.training import gradients, inference
from lamella.training.callback_list import CallbackList
from lamella.training.data import Data, check_targets, prepare
from lamella.training.fit import evaluate as evaluated
from lamella.training.fit import fit as trained
from lamella.training.history import History
from lamella.training.inputs import refuse_used_up, split_validation, take, take_validation
from lamella.training.objectives import Compiled
from lamella.training.sources import Given, open_source

if TYPE_CHECKING:
    from lamella.training.loop import Loop
    from lamella.training.protocol import TrainingModel


def compiled(
    model: TrainingModel,
    optimizer: Any,
    loss: Any,
    metrics: Any,
    weighted_metrics: Any,
    loss_weights: Any,
    *,
    backend: Any,
    run_eagerly: bool,
    auto_scale_loss: bool,
    steps_per_execution: int,
    jit_compile: bool | str,
) -> Compiled:
    """What `compile` found out, as `Model.compile` says."""
    steps_per_execution = _whole("steps_per_execution", steps_per_execution, 1)
    if jit_compile not in (True, "auto"):
        raise ValueError(
            f"jit_compile is True or 'auto', got {jit_compile!r}: every step is compiled. `run_eagerly=True` is for "
            "looking at steps one equation at a time."
        )
    found = Compiled(
        model, optimizer, loss, metrics, backend, weighted_metrics, loss_weights, auto_scale_loss=auto_scale_loss
    )
    found.run_eagerly = bool(run_eagerly)
    found.steps_per_execution = steps_per_execution
    return found


def fit(
    model: TrainingModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: dict[int, float] | None,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: int | str,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool | str,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
) -> History:
    """Check everything, then train, as `Model.fit` says."""
    epochs = _whole("epochs", epochs, 0)
    initial_epoch = _whole("initial_epoch", initial_epoch, 0)
    validates = _validates(validation_freq)
    if validation_batch_size is not None:
        validation_batch_size = _whole("validation_batch_size", validation_batch_size, 1)
    steps_per_epoch = _steps("steps_per_epoch", steps_per_epoch)
    validation_steps = _steps("validation_steps", validation_steps)
    if shuffle not in (True, False, "batch"):
        raise ValueError(f"shuffle is True, False or 'batch', got {shuffle!r}.")
    compiled = model._require_compiled()
    validation: Given | None = None
    with model.built_on_success():
        data = take(model, compiled, x, y, sample_weight, class_weight, batch_size=batch_size)
        if validation_data is not None:
            validation = take_validation(model, compiled, validation_data, validation_batch_size)
        elif validation_split:
            data, validation = split_validation(data, validation_split)
        elif validation_steps or validation_batch_size:
            raise ShapeError("validation_steps and validation_batch_size need validation_data or validation_split.")
        batch = validation_batch = _batch_of(model, batch_size, data)
        if validation is not None:
            validation_batch = _batch_of(model, validation_batch_size or batch_size, validation)
        count = sum(validates(epoch + 1) for epoch in range(initial_epoch, epochs))
        refuse_used_up(data, "x", "epochs", epochs - initial_epoch, "steps_per_epoch", steps_per_epoch)
        refuse_used_up(validation, "validation_data", "validations", count, "validation_steps", validation_steps)
    return trained(
        model,
        data,
        validation,
        batch=batch,
        steps=steps_per_epoch,
        validation_batch=validation_batch,
        validation_steps=validation_steps,
        validates=validates,
        epochs=range(initial_epoch, epochs),
        verbose=_level(verbose),
        callbacks=callbacks,
        shuffle=shuffle,
    )


def evaluate(
    model: TrainingModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    batch_size: int | None,
    verbose: int | str,
    steps: int | None,
    callbacks: Any,
    return_dict: bool,
) -> Any:
    """Loss and metrics over all batches, as `Model.evaluate` says."""
    compiled, steps = model._require_compiled(), _steps("steps", steps)
    with model.built_on_success():
        data = take(model, compiled, x, y, sample_weight, batch_size=batch_size)
        batch = _batch_of(model, batch_size, data)
    hooks = CallbackList(callbacks, model=model, drawn=True)
    loop = model.loop_for(data.sample, training=False)
    loop.begin(batch)
    source = open_source(model, loop, data, batch, steps=steps)
    hooks.set_params({"epochs": 1, "steps": source.steps, "verbose": _level(verbose)})
    try:
        hooks.call("on_test_begin", {})
        if hooks.callbacks:
            loop.begin(batch)  # with the weights that they may have set
        with console.Progress(0, source.steps, _level(verbose)) as progress:
            progress.begin_epoch(0)
            logs = evaluated(loop, source, hooks, hooks.call, progress)
            progress.end_epoch(logs)
    finally:
        source.close()
    loop.commit()
    hooks.call("on_test_end", logs)
    return _results(logs, loop, return_dict)


def predict(
    model: TrainingModel, x: Any, *, batch_size: int | None, verbose: int | str, steps: int | None, callbacks: Any
) -> np.ndarray:
    """The predictions for all rows, as `Model.predict` says."""
    steps = _steps("steps", steps)
    unwatched = verbose == 0 and callbacks is None and steps is None and model.stateful_path is None
    if unwatched and type(x) is np.ndarray and x.ndim and 0 < len(x) <= _batch_size(batch_size):
        model.stop_predicting = False
        return inference.predict_on_batch(model, x)  # one batch, and nobody to tell about it
    with model.built_on_success():
        data = take(model, None, x, batch_size=batch_size)
        batch = _batch_of(model, batch_size, data)
    known = steps or (-(-data.rows // batch) if isinstance(data, Data) else data.steps)
    level = _level(verbose)
    hooks = CallbackList(callbacks, model=model, drawn=True, epochs=1, steps=known, verbose=level)
    hooks.call("on_predict_begin", {})
    predictions = inference.predict(model, data, batch, steps, level, hooks)
    hooks.call("on_predict_end", {})
    return predictions


def layer_outputs(model: TrainingModel, x: Any) -> dict[str, np.ndarray]:
    """The output of every layer for a batch."""
    return inference.layer_outputs(model, prepare(model, x))


def on_batch(
    model: TrainingModel,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    *,
    return_dict: bool,
    training: bool,
) -> Any:
    """One step of training, or of evaluation, on one batch."""
    data = _checked(model, x, y, sample_weight, class_weight)
    loop = model.loop_for(data, training=training)
    loop.single_step(data)
    loop.commit()
    return _results(loop.logs(), loop, return_dict)


def value_and_grad(
    model: TrainingModel, x: Any, y: Any, *, training: bool, seed: int | None, backend: Any
) -> tuple[Any, dict[str, Any]]:
    """The loss of a batch and its gradients, as `Model.value_and_grad` says."""
    data = _checked(model, x, y)
    found = load_backend(backend or model.backend_name)
    number = model.seed if seed is None else seed
    return gradients.value_and_grad(model, model._require_compiled(), data, found, training=training, seed=number)


def _checked(model: TrainingModel, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Data:
    """Arrays that fit the model and its loss; where they do not, the model stays as it was, unbuilt if need be."""
    compiled = model._require_compiled()
    with model.built_on_success():
        data = prepare(model, x, y, sample_weight, class_weight)
        check_targets(model, compiled, data)
    return data


def _batch_of(model: TrainingModel, batch_size: int | None, data: Given) -> int:
    """How many rows a step takes; a model with stateful layers takes just as many as their states are for.

    Raises:
        ShapeError: the rows do not come out even, or a stateful layer is asked for batches of another size.
    """
    rows = data.sample.rows
    batch = min(_batch_size(batch_size), rows) if isinstance(data, Data) else rows
    fixed, path = model.input_shape[0], model.stateful_path
    if path is None or fixed is None:
        return batch
    if batch_size not in (None, fixed) or rows % fixed or (batch != fixed and not isinstance(data, Data)):
        raise ShapeError(
            f"Layer {path!r} is stateful for batches of {fixed} rows, got {rows} rows in batches of "
            f"{fixed if batch_size is None else batch_size}: give batch_size={fixed} and a multiple of {fixed} rows."
        )
    return fixed


def _level(verbose: int | str) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _batch_size(batch_size: int | None) -> int:
    return 32 if batch_size is None else _whole("batch_size", batch_size, 1)


def _steps(name: str, steps: Any) -> int | None:
    return None if steps is None else _whole(name, steps, 1)


def _validates(frequency: Any) -> Callable[[int], bool]:
    """Whether to evaluate after an epoch, by its number from 1."""
    if isinstance(frequency, Iterable) and not isinstance(frequency, str):
        epochs = {_whole("an epoch of validation_freq", epoch, 1) for epoch in frequency}
        return lambda epoch: epoch in epochs
    every = _whole("validation_freq", frequency, 1)
    return lambda epoch: epoch % every == 0


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} is {'a positive integer' if least else 'an integer from 0'}, got {value!r}.")
    return int(value)


def _results(logs: dict[str, float], loop: Loop, return_dict: bool) -> Any:
    if return_dict:
        return logs
    labels = ["loss", *[label for label, _, _ in loop.layout.metric_rules if label != "loss"]]
    found = [logs[label] for label in labels if label in logs]
    return found if len(found) > 1 else found[0]
