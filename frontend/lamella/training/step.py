"""The step programs: everything one step of `fit` or of `evaluate` computes, as one program for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.backend_api import StepProgram
from lamella.core import context
from lamella.core.variable import Variable
from lamella.errors import TraceError
from lamella.ir.program import Program, Value
from lamella.ir.spec import Rows, Spec
from lamella.ir.trace import Trace, as_value, at
from lamella.lowering.forward import KEY, call_model
from lamella.ops.control import replay
from lamella.passes import differentiate, pool_first
from lamella.training.layout import BatchSpecs, Layout
from lamella.training.train_step import run_step

if TYPE_CHECKING:
    from lamella.training.objectives import Compiled
    from lamella.training.protocol import TrainingModel


def build_step(
    model: TrainingModel,
    compiled: Compiled,
    layout: Layout,
    batch: BatchSpecs,
    *,
    training: bool,
    feed: Sequence[Any] | None = None,
) -> StepProgram:
    """The step program for batches of these specs.

    With `training` it returns new weights, optimizer state and metric accumulators; without, the accumulators and what layers
    assigned: the states of stateful layers.
    Given `feed`, an array for every input of the program, every value is known while it is traced, the outputs' too.
    """
    if layout.own_logs:
        return _own_step(model, compiled, layout, batch, training=training, feed=feed)
    fed = None
    if feed is not None:
        known = dict(zip(layout.names, feed, strict=False))
        fed = [*_forward_inputs(layout, known, training), *feed[len(layout.names) :]]
    forward, updated = _forward(model, compiled, layout, batch, training=training, feed=fed)
    if training and layout.trained:
        forward = differentiate(pool_first(forward), range(layout.trained))
    with Trace(feed=feed) as trace:
        leaves = {name: trace.input(spec) for name, spec in layout.specs.items()}
        data = [trace.input(spec) for _, spec in batch.named]
        rows = trace.input(Spec((Rows(batch.rows),), batch.row_dtype))
        results = replay(forward, [*_forward_inputs(layout, leaves, training), *data, rows])
        new = dict(leaves)
        new |= zip(updated, results[1:], strict=False)
        gradients = results[1 + len(updated) :] if training else []
        if layout.own:
            with at("optimizer"):
                new |= _optimizer_step(compiled, layout, leaves, gradients)
            gradients = []
        if training:
            new["step"] = ops.add(leaves["step"], np.uint32(1))
        names = [*layout.names, *[name for name, _ in batch.named], "rows"]
        program = trace.program(
            [as_value(new[n]) for n in layout.names] + list(gradients), names, layout.names if not gradients else ()
        )
    trained = [name for name, _ in layout.variables[: layout.trained]]
    return StepProgram(
        program,
        layout.names,
        tuple(name for name, _ in batch.named),
        tuple(trained) if gradients else (),
        compiled.optimizer if compiled.foreign and training else None,
    )


def _forward_inputs(layout: Layout, leaves: dict[str, Any], training: bool) -> list[Any]:
    names = [name for name, _ in layout.variables]
    names += [leaf for group in layout.metrics.values() for leaf, _ in group.values()]
    names += [group[0] for group in layout.slots.values() if 0 in group]
    return [leaves[n] for n in names] + ([leaves["step"], leaves["key"]] if training else [])


def _forward(
    model: TrainingModel,
    compiled: Compiled,
    layout: Layout,
    batch: BatchSpecs,
    *,
    training: bool,
    feed: Sequence[Any] | None,
) -> tuple[Program, list[str]]:
    """Loss, new layer state and new accumulators of one batch; and the names of the leaves after the loss."""
    with Trace(feed=feed) as trace:
        variables = {v: trace.input(v.spec) for _, v in layout.variables}
        accumulators = {
            label: {n: trace.input(layout.specs[leaf]) for n, (leaf, _) in group.items()}
            for label, group in layout.metrics.items()
        }
        whole = {slot: trace.input(layout.specs[group[0]]) for slot, group in layout.slots.items() if 0 in group}
        step = trace.input(Spec((), "uint32")) if training else None
        key = trace.input(KEY) if training else None
        given = {name: trace.input(spec) for name, spec in batch.named}
        rows = trace.input(Spec((Rows(batch.rows),), batch.row_dtype))
        scope = context.Scope(variables, training=training, key=key, step=step, frozen=compiled.frozen)
        scope.rows, scope.slots = rows, whole
        prediction, mask = call_model(model, scope, given["x"])
        trace.where = "loss"
        with context.entered(scope):
            loss = model.compute_loss(given["x"], given.get("y"), prediction, given.get("sample_weight"))
        count = ops.cast(ops.sum(rows), layout.specs["metrics/loss/count"].dtype)
        outputs: dict[str, Any] = {}
        names = {id(v): name for name, v in layout.variables}
        outputs |= {names[id(v)]: scope.bindings[v] for v in scope.assigned}
        totals = accumulators["loss"]
        loss_value = ops.cast(ops.stop_gradient(loss), layout.specs["metrics/loss/total"].dtype)
        outputs["metrics/loss/total"] = ops.add(totals["total"], ops.multiply(loss_value, count))
        outputs["metrics/loss/count"] = ops.add(totals["count"], count)
        for label, metric, weighted in layout.metric_rules:
            trace.where = f"metrics/{label}"
            weight = _metric_weight(rows, given.get("sample_weight") if weighted else None, mask, prediction)
            if metric.keras_words and mask is None and (not weighted or "sample_weight" not in given):
                weight = None  # no row fills the batch up, see `keeps_rows_apart`
            after = metric.update(accumulators[label], given["y"], ops.stop_gradient(prediction), weight=weight)
            for name, value in after.items():
                leaf = layout.metrics[label][name][0]
                outputs[leaf] = ops.cast(value, layout.specs[leaf].dtype)
        if layout.own:  # what is differentiated; the logs have the loss itself
            loss = compiled.optimizer.scale_loss(loss, whole)
        program = trace.program([as_value(loss), *[as_value(v) for v in outputs.values()]])
    return program, list(outputs)


def _metric_weight(rows: Value, sample_weight: Value | None, mask: Any, prediction: Value) -> Any:
    """What each row counts in a metric, or, where the predictions have a mask, each of its steps."""
    weight: Any = rows
    if sample_weight is not None:
        weight = ops.multiply(_stretched(rows, sample_weight), ops.cast(sample_weight, rows.dtype))
    if mask is None or len(mask.shape) >= len(prediction.shape):
        return weight
    return ops.multiply(_stretched(weight, mask), ops.cast(mask, rows.dtype))


def _stretched(weight: Value, like: Value) -> Value:
    """A weight with dimensions of 1 at its end, up to the rank of `like`."""
    return ops.reshape(weight, (*weight.shape, *[1] * (len(like.shape) - len(weight.shape))))


def own_labels(model: TrainingModel, compiled: Compiled, batch: BatchSpecs, *, training: bool) -> list[str]:
    """The names of the logs that the model's own step returns."""
    layout = Layout(model, compiled, batch.y, training=training, own_logs=())
    labels: list[str] = []
    _own_step(model, compiled, layout, batch, training=training, labels=labels)
    return sorted(labels)


def _own_step(
    model: TrainingModel,
    compiled: Compiled,
    layout: Layout,
    batch: BatchSpecs,
    *,
    training: bool,
    feed: Sequence[Any] | None = None,
    labels: list[str] | None = None,
) -> StepProgram:
    """The step program around the model's own `train_step` or `test_step`; `labels` receives the names of its logs."""
    with Trace(feed=feed) as trace:
        leaves = {name: trace.input(spec) for name, spec in layout.specs.items()}
        data = [trace.input(spec) for _, spec in batch.named]
        rows = trace.input(Spec((Rows(batch.rows),), batch.row_dtype))
        variables = {v: leaves[name] for name, v in layout.variables}
        scope = context.Scope(
            variables, training=training, key=leaves.get("key"), step=leaves.get("step"), frozen=compiled.frozen
        )
        scope.rows = rows
        scope.slots = {slot: leaves[group[0]] for slot, group in layout.slots.items() if 0 in group}
        new: dict[str, Any] = dict(leaves)
        scope.apply_gradients = partial(_apply_gradients, compiled, layout, scope, new)
        logs = run_step(model, scope, data)
        if labels is not None:
            labels += logs
        names = {id(v): name for name, v in layout.variables}
        new |= {names[id(v)]: scope.bindings[v] for v in scope.assigned}
        count = ops.sum(rows)
        for label, _, _ in layout.metric_rules:
            if label not in logs:
                raise ValueError(f"the step of {type(model).__name__} returned the log {label!r} once, and not again.")
            total, counted = (layout.metrics[label][n][0] for n in ("total", "count"))
            value = ops.cast(ops.stop_gradient(logs[label]), layout.specs[total].dtype)
            n = ops.cast(count, layout.specs[counted].dtype)
            new |= {total: ops.add(leaves[total], ops.multiply(value, n)), counted: ops.add(leaves[counted], n)}
        if training:
            new["step"] = ops.add(leaves["step"], np.uint32(1))
        inputs = [*layout.names, *[name for name, _ in batch.named], "rows"]
        program = trace.program([as_value(new[n]) for n in layout.names], inputs, layout.names)
    return StepProgram(program, layout.names, tuple(name for name, _ in batch.named))


def _apply_gradients(
    compiled: Compiled,
    layout: Layout,
    scope: context.Scope,
    new: dict[str, Any],
    optimizer: Any,
    pairs: Sequence[tuple[Any, Variable]],
) -> None:
    """What `optimizer.apply_gradients` does in a step of the user's own: new weights in the scope, new slots in `new`."""
    if optimizer is not compiled.optimizer:
        raise TraceError(
            "a train_step applies gradients with the optimizer of `compile`; `optimizers.OptimizerMap` gives variables "
            "optimizers of their own."
        )
    trained = layout.variables[: layout.trained]
    slopes = {id(v): g for g, v in pairs}
    known = {id(v) for _, v in trained}
    for _, variable in pairs:
        if id(variable) not in known:
            raise TraceError(f"apply_gradients got the variable {variable.name!r}, which the model does not train.")
    present = {name: scope.bindings[v] for name, v in trained}
    after = _optimizer_step(compiled, layout, new | present, [slopes.get(id(v)) for _, v in trained])
    for name, variable in trained:
        if id(variable) in slopes:
            scope.assign(variable, after[name])
    new |= {leaf: value for leaf, value in after.items() if leaf not in present}


def _optimizer_step(
    compiled: Compiled, layout: Layout, leaves: dict[str, Any], gradients: Sequence[Any]
) -> dict[str, Any]:
    names = [name for name, _ in layout.variables[: layout.trained]]
    if not names:
        return {}
    keys = [id(v) for _, v in layout.variables[: layout.trained]]
    slots: dict[str, Any] = {}
    for slot, group in layout.slots.items():
        slots[slot] = leaves[group[0]] if 0 in group else [leaves[group[k]] if k in group else None for k in keys]
    params, after = compiled.optimizer.apply_gradients_program(
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
