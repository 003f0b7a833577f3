"""The implementation of `fit`, `evaluate`, `predict` and related methods: check arguments, convert data, run steps.

Their signatures and documentation are in `models/trainer.py`. This module, and with it losses, metrics and optimizers, is
imported at the first call of one of them, so that defining or loading a model does not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import console, processes
from lamella.backend_api import load_backend
from lamella.errors import ArgumentError, ShapeError
from lamella.training import gradients, inference
from lamella.training.callback_list import CallbackList
from lamella.training.columns import kept_on_success
from lamella.training.data import Data, check_targets, prepare
from lamella.training.distributed import agree_on_run
from lamella.training.fit import evaluate as evaluated
from lamella.training.fit import fit as trained
from lamella.training.history import History
from lamella.training.inputs import refuse_used_up, split_validation, take, take_validation
from lamella.training.options import FitOptions, PassOptions, level, whole
from lamella.training.sources import Given, open_source

if TYPE_CHECKING:
    from lamella.training.loop import Loop
    from lamella.training.protocol import TrainingModel


def fit(
    model: TrainingModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: dict[int, float] | None,
    options: FitOptions,
) -> History:
    """Check everything, then train, as `Model.fit` says."""
    options = options.checked()
    config, batch_size = model._require_compiled().configuration, options.batch_size
    validation: Given | None = None
    with model.built_on_success(), kept_on_success(model):
        data = take(model, config, x, y, sample_weight, class_weight, batch_size=batch_size)
        model._columns = {**data.sample.columns, **model._columns}
        if options.validation_data is not None:
            validation = take_validation(model, config, options.validation_data, options.validation_batch_size)
        elif options.validation_split:
            data, validation = split_validation(data, options.validation_split)
        elif options.validation_steps or options.validation_batch_size:
            raise ArgumentError("validation_steps and validation_batch_size need validation_data or validation_split.")
        batch = validation_batch = _batch_of(model, batch_size, data)
        if validation is not None:
            validation_batch = _batch_of(model, options.validation_batch_size or batch_size, validation)
        numbers = options.epoch_numbers
        validations = sum(options.validates(epoch + 1) for epoch in numbers)
        refuse_used_up(
            data, "x", "epochs", options.epochs - options.initial_epoch, "steps_per_epoch", options.steps_per_epoch
        )
        refuse_used_up(
            validation, "validation_data", "validations", validations, "validation_steps", options.validation_steps
        )
    agree_on_run(
        model,
        x=data,
        validation_data=validation,
        batch_size=batch,
        validation_batch_size=validation_batch,
        epochs=options.epochs,
        initial_epoch=options.initial_epoch,
        steps_per_epoch=options.steps_per_epoch,
        validation_steps=options.validation_steps,
    )
    return trained(model, data, validation, batch, validation_batch, options)


def evaluate(
    model: TrainingModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    options: PassOptions,
    *,
    return_dict: bool,
) -> Any:
    """Loss and metrics over all batches, as `Model.evaluate` says."""
    config, options = model._require_compiled().configuration, options.checked()
    with model.built_on_success():
        data = take(model, config, x, y, sample_weight, batch_size=options.batch_size)
        batch = _batch_of(model, options.batch_size, data)
    agree_on_run(model, x=data, batch_size=batch, steps=options.steps)
    hooks = CallbackList(options.callbacks, model=model, drawn=True)
    verbose = level(options.verbose)
    loop = model.loop_for(data.sample, training=False)
    batch = loop.batch_size(data, batch)
    loop.begin(batch, data.sample)
    source = open_source(model, loop, data, batch, steps=options.steps)
    hooks.set_params({"epochs": 1, "steps": source.steps, "verbose": verbose})
    try:
        hooks.call("on_test_begin", {})
        if hooks.callbacks:
            loop.begin(batch, data.sample)  # with weights that callbacks may have set
        with console.Progress(0, source.steps, verbose) as progress:
            progress.begin_epoch(0)
            logs = evaluated(loop, source, hooks, hooks.call, progress)
            progress.end_epoch(logs)
    finally:
        source.close()
    loop.commit()
    hooks.call("on_test_end", logs)
    return _results(logs, loop, return_dict)


def predict(model: TrainingModel, x: Any, options: PassOptions) -> Any:
    """The predictions for all rows, as `Model.predict` says."""
    options = options.checked()
    batch_size, steps = options.batch_size, options.steps
    silent = options.verbose == 0 and options.callbacks is None and steps is None and model.stateful_path is None
    silent = silent and processes.count() == 1  # several are compared
    if silent and type(x) is np.ndarray and x.ndim and 0 < len(x) <= _batch_size(batch_size):
        model.stop_predicting = False
        return inference.predict_rows(model, x, batch_size)  # one batch, without a callback or a progress bar
    with model.built_on_success():
        data = take(model, None, x, batch_size=batch_size)
        batch = _batch_of(model, batch_size, data)
    agree_on_run(model, x=data, batch_size=batch, steps=steps)
    known = steps or (-(-data.rows // batch) if isinstance(data, Data) else data.steps)
    verbose = level(options.verbose)
    hooks = CallbackList(options.callbacks, model=model, drawn=True, epochs=1, steps=known, verbose=verbose)
    hooks.call("on_predict_begin", {})
    predictions = inference.predict(model, data, batch, steps, verbose, hooks)
    hooks.call("on_predict_end", {})
    return predictions


def layer_outputs(model: TrainingModel, x: Any) -> dict[str, Any]:
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
    if training:
        model._columns = {**data.columns, **model._columns}
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
    config = model._require_compiled().configuration
    return gradients.value_and_grad(model, config, data, found, training=training, seed=number)


def _checked(model: TrainingModel, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Data:
    """Arrays that fit the model and its loss; if they do not, the model is unchanged."""
    config = model._require_compiled().configuration
    with model.built_on_success():
        data = prepare(model, x, y, sample_weight, class_weight)
        check_targets(model, config, data)
    return data


def _batch_of(model: TrainingModel, batch_size: int | None, data: Given) -> int:
    """The batch size; for a model with stateful layers that of their states.

    Raises:
        ShapeError: the number of rows is not divisible, or a stateful layer has another batch size.
    """
    rows = data.sample.rows
    batch = _batch_size(batch_size) if isinstance(data, Data) else rows
    fixed, path = model.fixed_batch_size, model.stateful_path
    if path is None or fixed is None:
        return batch
    if batch_size not in (None, fixed) or rows % fixed or (batch != fixed and not isinstance(data, Data)):
        raise ShapeError(
            f"Layer {path!r} is stateful for batches of {fixed} rows, got {rows} rows in batches of "
            f"{fixed if batch_size is None else batch_size}: give batch_size={fixed} and a multiple of {fixed} rows."
        )
    return fixed


def _batch_size(batch_size: int | None) -> int:
    return 32 if batch_size is None else whole("batch_size", batch_size, 1)


def _results(logs: dict[str, float], loop: Loop, return_dict: bool) -> Any:
    if return_dict:
        return logs
    layout = loop.layout
    labels = [rule.label for rule in layout.metric_rules]
    if len(loop.model.output_names) > 1:
        labels.sort()  # as Keras orders the metrics of several outputs
    found = [logs[label] for label in dict.fromkeys(["loss", *layout.losses, *labels]) if label in logs]
    return found if len(found) > 1 else found[0]
