"""The step programs: everything one step of `fit` or of `evaluate` computes, as one program for every backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops, tree
from lamella.backend_api import StepProgram
from lamella.core.context import ModelTrace, TraceContext, entered, tracing
from lamella.core.rematerialization import rematerialized
from lamella.core.structure import output_names
from lamella.core.variable import Variable
from lamella.errors import TraceError
from lamella.ir.program import Program, Value
from lamella.ir.spec import Spec
from lamella.ir.trace import Trace, as_value, at
from lamella.losses.base import with_rank_of
from lamella.lowering.forward import call_model
from lamella.ops.control import replay
from lamella.ops.operators import numpy_functions
from lamella.passes import differentiate, pool_first
from lamella.training.layout import BatchSpecs, Layout, layout_of
from lamella.training.train_step import holding, loss_of_batch, run_step

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel


def build_step(
    model: TrainingModel,
    config: Configuration,
    layout: Layout,
    batch: BatchSpecs,
    *,
    training: bool,
    concrete_inputs: Sequence[Any] | None = None,
) -> StepProgram:
    """The step program for batches of these specs.

    With `training` it returns new weights, optimizer state and metric accumulators; without, the accumulators and what layers
    assigned: the states of stateful layers.
    Given `concrete_inputs`, an array for every input of the program, every value is computed while it is traced.
    """
    if layout.own_logs:
        return _own_step(model, config, layout, batch, training=training, concrete_inputs=concrete_inputs)
    forward = _forward(model, config, layout, batch, training=training, concrete_inputs=concrete_inputs)
    trained = [name for name, _ in layout.trained_variables] if training else []
    if trained:
        forward = differentiate(pool_first(forward), range(layout.trained), remat=rematerialized(model))
    with Trace(concrete_inputs=concrete_inputs) as trace:
        inputs = [trace.input(spec) for spec in forward.input_specs]
        results = dict(zip(forward.output_names, replay(forward, inputs), strict=True))
        leaves = dict(zip(layout.names, inputs[: len(layout.names)], strict=True))
        gradients = [results[f"gradient of {name}"] for name in trained]
        new = leaves | {name: value for name, value in results.items() if name in leaves}
        if layout.own:
            with at("optimizer"):
                new |= _optimizer_step(config, layout, leaves, gradients)
            gradients, trained = [], []
        elif training:  # the backend finishes the step
            gradients.append(results["loss"])
        if training:
            new["step"] = ops.add(leaves["step"], np.uint32(1))
        program = trace.program(
            [as_value(new[n]) for n in layout.names] + gradients,
            forward.input_names,
            () if gradients else layout.names,
        )
    return StepProgram(
        program,
        layout.names,
        tuple(batch.named),
        tuple(trained),
        config.optimizer if config.external and training else None,
    )


def _inputs(layout: Layout, batch: BatchSpecs) -> dict[str, Spec]:
    """The inputs of a step after the model's variables: the other leaves, the batch, and the mask of real rows."""
    names = layout.names[len(layout.variables) :]
    rows = Spec((batch.rows,), batch.row_dtype)
    return {**{name: layout.specs[name] for name in names}, **batch.named, "rows": rows}


def _forward(
    model: TrainingModel,
    config: Configuration,
    layout: Layout,
    batch: BatchSpecs,
    *,
    training: bool,
    concrete_inputs: Sequence[Any] | None,
) -> Program:
    """Loss, new layer state and new accumulators of one batch: a program of the step's inputs, its outputs by name."""
    with tracing(
        layout.variables,
        _inputs(layout, batch),
        training=training,
        frozen=config.frozen,
        concrete_inputs=concrete_inputs,
        draws_without_key=not training,
    ) as traced:
        context, given = traced.context, traced.inputs
        context.rows = given["rows"]
        context.slots = {slot: given[group[0]] for slot, group in layout.slots.items() if 0 in group}
        x, y, weights = batch.parts(given)
        prediction, masks = call_model(model, context, x)
        traced.trace.where = "loss"
        with numpy_functions(config.run_eagerly):
            loss = loss_of_batch(model, x, y, prediction, weights, training=training)
        names = {variable: name for name, variable in layout.variables}
        outputs = {names[variable]: context.bindings[variable] for variable in context.assigned}
        with entered(None), numpy_functions(config.run_eagerly):  # a metric computes from the batch alone
            outputs |= _accumulated_losses(layout, traced, {"loss": loss, **context.loss_logs})
            names = output_names(model, prediction)
            targets, weights = config.objective.targets(y, names), config.objective.weights(weights, names)
            outputs |= _accumulated(layout, traced, targets, list(tree.leaves(prediction)), weights, masks)
        if layout.own:  # what is differentiated; the logs have the loss itself
            loss = config.optimizer.scale_loss(loss, context.slots)
        return traced.program([("loss", loss), *outputs.items()])


def _accumulated_losses(layout: Layout, traced: ModelTrace, losses: Mapping[str, Any]) -> dict[str, Any]:
    """The new accumulators of the losses, by leaf."""
    given, outputs = traced.inputs, dict[str, Any]()
    for label in layout.losses:
        total, counted = (layout.metrics[label][name][0] for name in ("total", "count"))
        count = ops.cast(ops.sum(given["rows"]), layout.specs[counted].dtype)
        value = ops.cast(ops.stop_gradient(losses[label]), layout.specs[total].dtype)
        outputs[total] = ops.add(given[total], ops.multiply(value, count))
        outputs[counted] = ops.add(given[counted], count)
    return outputs


def _accumulated(
    layout: Layout,
    traced: ModelTrace,
    targets: Sequence[Any],
    predictions: Sequence[Value],
    weights: Sequence[Any],
    masks: Sequence[Any],
) -> dict[str, Any]:
    """The new accumulators of the metrics, by leaf; of targets, predictions, weights and masks for each output."""
    given, rows, outputs = traced.inputs, traced.inputs["rows"], dict[str, Any]()
    for label, metric, weighted, i in layout.metric_rules:
        traced.trace.where = f"metrics/{label}"
        sample_weight, mask = weights[i] if weighted else None, masks[i]
        weight = _metric_weight(rows, sample_weight, mask, predictions[i])
        if metric.in_keras_style and mask is None and sample_weight is None:
            weight = None  # the batch is not padded, see `is_per_example`
        leaves = layout.metrics[label]
        before = {name: given[leaf] for name, (leaf, _) in leaves.items()}
        after = metric.update(before, targets[i], ops.stop_gradient(predictions[i]), weight=weight)
        for name, value in after.items():
            leaf = leaves[name][0]
            outputs[leaf] = ops.cast(value, layout.specs[leaf].dtype)
    return outputs


def _metric_weight(rows: Value, sample_weight: Value | None, mask: Any, prediction: Value) -> Any:
    """The weight of each row in a metric, or of each of its steps if the predictions have a mask."""
    weight: Any = rows
    if sample_weight is not None:
        weight = ops.multiply(with_rank_of(rows, sample_weight), ops.cast(sample_weight, rows.dtype))
    if mask is None or len(mask.shape) >= len(prediction.shape):
        return weight
    return ops.multiply(with_rank_of(weight, mask), ops.cast(mask, rows.dtype))


def own_labels(
    model: TrainingModel, config: Configuration, free: BatchSpecs, first: BatchSpecs, *, training: bool
) -> dict[str, Any]:
    """The names of the logs that the model's own step returns, each with the metric that it is the result of, or None.

    Args:
        model: the model.
        config: its training configuration.
        free: the specs of a batch, with what is left free.
        first: those of the first data, for a step whose code needs their numbers.
        training: whether it is the step of training or of an evaluation.
    """
    layout = layout_of(model, config, free.y, training=training, own_logs={})
    labels: dict[str, Any] = {}
    try:
        _own_step(model, config, layout, free, training=training, labels=labels)
    except Exception:  # user code may raise anything if it compares a free dimension with a number
        labels.clear()
        _own_step(model, config, layout, first, training=training, labels=labels)
    return dict(sorted(labels.items()))


def _own_step(
    model: TrainingModel,
    config: Configuration,
    layout: Layout,
    batch: BatchSpecs,
    *,
    training: bool,
    concrete_inputs: Sequence[Any] | None = None,
    labels: dict[str, Any] | None = None,
) -> StepProgram:
    """The step program around the model's own `train_step` or `test_step`; `labels` receives the names of its logs."""
    with tracing(
        layout.variables,
        _inputs(layout, batch),
        training=training,
        frozen=config.frozen,
        concrete_inputs=concrete_inputs,
        draws_without_key=not training,
    ) as traced:
        context, given = traced.context, traced.inputs
        context.rows = rows = given["rows"]
        context.slots = {slot: given[group[0]] for slot, group in layout.slots.items() if 0 in group}
        new: dict[str, Any] = {name: context.initial[variable] for name, variable in layout.variables} | given
        leaves = dict(new)
        context.apply_gradients = partial(_apply_gradients, config, layout, context, new)
        context.metrics = {
            id(m): {name: given[leaf] for name, leaf in group.items()} for m, group in layout.own_metrics
        }
        with holding(context, [metric for metric, _ in layout.own_metrics]):
            logs = run_step(model, context, batch.parts(given))
        for metric, group in layout.own_metrics:
            state = context.metrics[id(metric)]
            new |= {leaf: ops.cast(state[name], layout.specs[leaf].dtype) for name, leaf in group.items()}
        if labels is not None:
            labels |= {key: next((m for v, m in context.results if v is value), None) for key, value in logs.items()}
        names = {variable: name for name, variable in layout.variables}
        new |= {names[variable]: context.bindings[variable] for variable in context.assigned}
        count = ops.sum(rows)
        for label, rule_metric, _, _ in layout.metric_rules:
            if label in logs and any(rule_metric is held for held, _ in layout.own_metrics):
                continue
            if label not in logs:
                raise ValueError(f"the step of {type(model).__name__} returned the log {label!r} once, and not again.")
            total, counted = (layout.metrics[label][n][0] for n in ("total", "count"))
            value = ops.cast(ops.stop_gradient(logs[label]), layout.specs[total].dtype)
            n = ops.cast(count, layout.specs[counted].dtype)
            new |= {total: ops.add(leaves[total], ops.multiply(value, n)), counted: ops.add(leaves[counted], n)}
        if training:
            new["step"] = ops.add(leaves["step"], np.uint32(1))
        program = traced.program([(name, new[name]) for name in layout.names])
    return StepProgram(program, layout.names, tuple(batch.named))


def _apply_gradients(
    config: Configuration,
    layout: Layout,
    context: TraceContext,
    new: dict[str, Any],
    optimizer: Any,
    pairs: Sequence[tuple[Any, Variable]],
) -> None:
    """`optimizer.apply_gradients` of a user-defined step: new weights in the context, new slots in `new`."""
    if optimizer is not config.optimizer:
        raise TraceError(
            f"a train_step must apply gradients with the optimizer of `compile`, got another {type(optimizer).__name__}. "
            "Pass `MultiOptimizer(OptimizerMap(default, {'path/.*': optimizer}))` to `compile` to train weights with "
            "separate optimizers."
        )
    trained = layout.trained_variables
    gradients = {id(v): g for g, v in pairs}
    known = {id(v) for _, v in trained}
    for _, variable in pairs:
        if id(variable) not in known:
            raise TraceError(f"apply_gradients got the variable {variable.name!r}, which the model does not train.")
    present = {name: context.bindings[v] for name, v in trained}
    after = _optimizer_step(config, layout, new | present, [gradients.get(id(v)) for _, v in trained])
    for name, variable in trained:
        if id(variable) in gradients:
            context.assign(variable, after[name])
    new |= {leaf: value for leaf, value in after.items() if leaf not in present}


def _optimizer_step(
    config: Configuration, layout: Layout, leaves: dict[str, Any], gradients: Sequence[Any]
) -> dict[str, Any]:
    names = [name for name, _ in layout.trained_variables]
    if not names:
        return {}
    keys = [id(v) for _, v in layout.trained_variables]
    slots: dict[str, Any] = {}
    for slot, group in layout.slots.items():
        slots[slot] = leaves[group[0]] if 0 in group else [leaves[group[k]] if k in group else None for k in keys]
    params, after = config.optimizer.apply_gradients_program(
        [leaves[n] for n in names],
        list(gradients),
        slots,
        leaves["step"],
        {name.removeprefix("optimizer/"): leaves[name] for name in layout.rates},
        layout.weights,
    )
    new = dict(zip(names, params, strict=True))
    for slot, group in layout.slots.items():
        values = {0: after[slot]} if 0 in group else dict(zip(keys, after[slot], strict=True))
        new |= {leaf: values[key] for key, leaf in group.items()}
    return new
