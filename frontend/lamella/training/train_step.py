"""Steps in a user's own words: the `train_step` and `test_step` of a subclass, traced into the step program.

`value_and_grad` and `optimizer.apply_gradients` are what such a step is written with. They work on the running trace, so a
step of one's own is one program like any other: it runs on every backend, many steps at a time.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops, tree
from lamella.core import context
from lamella.core.protocol import Trainable
from lamella.core.rematerialization import rematerialized
from lamella.core.structure import output_names
from lamella.core.variable import Variable
from lamella.errors import ShapeError, TraceError
from lamella.ir.program import ConcreteValue
from lamella.ir.spec import numpy_dtype, spec_of
from lamella.ir.trace import Trace, as_value, current_trace
from lamella.lowering.forward import cast_inputs, penalties_of
from lamella.ops.control import replay
from lamella.passes import differentiate, pool_first
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.metrics import Metric
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel


@filtered
def value_and_grad(
    function: Callable[[], Any], variables: Iterable[Variable], has_aux: bool = False
) -> tuple[Any, list[Any]]:
    """The value of `function()` and its gradients in `variables`, inside a `train_step`.

    Args:
        function: computes a scalar from the model's variables and from values of the step, with `lamella.ops`, layers and
            `compute_loss`. What layers assign inside it (moving averages) is kept.
        variables: the variables, which the function reads by calling layers, or directly.
        has_aux: whether the function returns `(scalar, more)`, where `more` is an array, or a list, tuple or dict of them.

    Returns:
        `(scalar, gradients)`, or `((scalar, more), gradients)`; one gradient a variable, of its shape.

    Raises:
        TraceError: it is called outside a step; `model.value_and_grad(x, y)` is for loops of one's own.
        ShapeError: the value is no scalar.
    """
    running, outer = context.current(), current_trace()
    if running is None or outer is None:
        raise TraceError(
            "value_and_grad works inside a model's `train_step`. For a loop of your own there are "
            "`model.value_and_grad(x, y)`, and `jax.value_and_grad` of `model.lower('jax')`."
        )
    chosen = list(variables)
    bindings, initial, losses = dict(running.bindings), dict(running.initial), len(running.losses)
    logged, states = dict(running.loss_logs), {key: dict(state) for key, state in (running.metrics or {}).items()}
    before = [bindings[v] for v in chosen]
    arrays = [v.data for v in before if isinstance(v, ConcreteValue)]
    with Trace(concrete_inputs=arrays if before and len(arrays) == len(before) else None) as trace:
        for variable in chosen:
            running.bindings[variable] = running.initial[variable] = trace.input(variable.spec)
        returned = function()
        value, more = returned if has_aux else (returned, None)
        found, structure = tree.flatten(more)
        leaves = [as_value(leaf) for leaf in found]
        masks = [running.mask_of(leaf) for leaf in leaves]
        assigned = [v for v in running.assigned if v not in bindings or running.bindings[v] is not bindings[v]]
        new_logs = [label for label, value in running.loss_logs.items() if logged.get(label) is not value]
        outputs = [value, *leaves, *[running.bindings[v] for v in assigned], *[m for m in masks if m is not None]]
        outputs += [running.loss_logs[label] for label in new_logs]
        after = running.metrics or {}
        counted = [
            (key, name) for key, state in states.items() for name in state if after[key][name] is not state[name]
        ]
        outputs += [after[key][name] for key, name in counted]
        program = trace.program([as_value(v) for v in outputs])
        captured = [outside for outside, _ in trace.captures]
    del running.losses[losses:]  # they are part of the value, where `compute_loss` made it
    running.bindings, running.initial = bindings, initial
    remat = rematerialized(running.layers[0]) if running.layers else None
    following = iter(replay(differentiate(pool_first(program), range(len(chosen)), remat=remat), [*before, *captured]))
    value, parts = next(following), list(itertools.islice(following, len(leaves)))
    for variable in assigned:
        running.bindings[variable] = next(following)
    for part, mask in zip(parts, masks, strict=True):
        if mask is not None:
            running.set_mask(part, next(following))
    for label in new_logs:
        running.loss_logs[label] = next(following)
    for key, name in counted:
        states[key][name] = next(following)
    running.metrics = None if running.metrics is None else states
    found = (value, tree.unflatten(structure, parts)) if has_aux else value
    return found, list(following)


class OwnSteps:
    """The steps of `fit` and `evaluate`, to be overridden in a subclass of `Sequential`.

    They are traced once for each shape of batch. Where a class brings none of its own, steps do the same without them.
    """

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The compiled loss of a batch, a scalar, with what regularizers and layers add to it.

        Args:
            x: the inputs.
            y: the targets, or None.
            y_pred: what the model made of x.
            sample_weight: a weight a row, or None; of several outputs one for all, or a structure like that of y.
            training: whether it is the loss of a training step.

        Raises:
            ValueError: there is no loss, or it is no scalar.
            TraceError: it is called outside a step.
        """
        model: Any = self
        config: Configuration = model._require_compiled().configuration
        running = context.current()
        if running is None:
            raise TraceError(
                "compute_loss works inside a step; `model.evaluate` and `model.value_and_grad` are for arrays."
            )
        loss: Any = None
        if y is not None:
            found = config.objective.losses(y, y_pred, sample_weight, output_names(model, y_pred), running)
            for term, value in found:
                if len(found) > 1:
                    running.loss_logs[term.label] = value
                weighted = value if term.weight is None else ops.multiply(value, term.weight)
                loss = weighted if loss is None else ops.add(loss, weighted)
        for penalty in penalties_of(model, running):
            loss = penalty if loss is None else ops.add(loss, ops.cast(penalty, loss.dtype))
        if loss is None:
            raise ValueError("there is nothing to train on: give `compile` a loss, or layers a regularizer.")
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The losses of the outputs and the compiled metrics of one batch, for the logs of a step of one's own.

        Returns:
            {log key: value}; the losses where there are several, and `compute_loss` computed them.
        """
        model: Any = self
        objective = model._require_compiled().configuration.objective
        running = context.current()
        found: dict[str, Any] = {} if running is None else dict(running.loss_logs)
        names, predictions = output_names(model, y_pred), list(tree.leaves(y_pred))
        targets = objective.targets(y, names)
        weights = objective.weights(sample_weight, names)
        specs = [None if target is None else spec_of(target) for target in targets]
        for rule in objective.rules(specs, [spec_of(p) for p in predictions], names):
            i, metric = rule.output, rule.metric
            start = {n: np.full(s, value, numpy_dtype(kind)) for n, (s, kind, value) in metric.state_specs().items()}
            weight = weights[i] if rule.weighted else None
            after = metric.update(start, targets[i], ops.stop_gradient(predictions[i]), weight=weight)
            found[rule.label] = metric.compute(after)
        return found

    def train_step(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """One step of `fit`, written in `lamella.ops`, `lamella.value_and_grad` and `self.optimizer.apply_gradients`.

        Args:
            data: `(x,)`, `(x, y)` or `(x, y, sample_weight)`: symbolic arrays, rows first, or structures of them.

        Returns:
            The logs of the batch, scalars; an epoch's logs are their means over its rows.
        """
        model: Any = self
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_of() -> Any:
            y_pred = model(x, training=True)
            loss = loss_of_batch(model, x, y, y_pred, sample_weight, training=True)
            return model.optimizer.scale_loss(loss), (loss, y_pred)

        (_, (loss, y_pred)), gradients = value_and_grad(loss_of, model.trainable_variables, has_aux=True)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}

    def test_step(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """One step of `evaluate`, and of the validation in `fit`; see `train_step`."""
        model: Any = self
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = model(x, training=False)
        loss = loss_of_batch(model, x, y, y_pred, sample_weight, training=False)
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}


def loss_of_batch(model: Trainable, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, *, training: bool) -> Any:
    """The model's `compute_loss`, which may be of the user's own and take no `training`."""
    parameters = inspect.signature(type(model).compute_loss).parameters
    told = "training" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return model.compute_loss(x, y, y_pred, sample_weight, **({"training": training} if told else {}))


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` from what a `train_step` is given, None for what is not there."""
    parts = data if isinstance(data, list | tuple) else (data,)
    x, y, sample_weight = (*parts, None, None, None)[:3]
    return x, y, sample_weight


def kept_metrics(model: Any) -> list[Metric]:
    """The metrics in the attributes of a model and of its layers."""
    from lamella.metrics import Metric

    found: dict[int, Metric] = {}
    for holder in (model, *[layer for _, layer in model.named_layers()]):
        for attribute, value in vars(holder).items():
            if attribute not in ("_compiled", "_loops", "functions", "_run", "history"):
                found.update((id(leaf), leaf) for leaf in tree.leaves(value) if isinstance(leaf, Metric))
    return list(found.values())


def own_metrics(model: Any) -> list[Metric]:
    """The metrics that a model keeps, also those that a subclass lists as `metrics`."""
    compiled = set[int]()
    if model._compiled is not None:
        compiled = set(map(id, model._compiled.configuration.objective.known_metrics))
    kept = {id(metric): metric for metric in (*kept_metrics(model), *model.metrics)}
    return [metric for key, metric in kept.items() if key not in compiled]


@contextmanager
def holding(running: context.TraceContext, kept: Sequence[Metric]) -> Iterator[None]:
    """Inside, metrics of the user's own have the states of the running step in their variables; afterwards it has theirs."""
    own = [metric for metric in kept if metric.keras_words]
    with ExitStack() as stack:
        for metric in own:
            stack.enter_context(metric._holding((running.metrics or {})[id(metric)]))
        yield
        found = {id(metric): {v.name: v.value for v in metric.variables} for metric in own}
        running.metrics = {**(running.metrics or {}), **found}


def has_own_step(model: TrainingModel, *, training: bool) -> bool:
    """Whether the model's class brings its own `train_step` (or `test_step`)."""
    name = "train_step" if training else "test_step"
    return getattr(type(model), name) is not getattr(OwnSteps, name)


def has_own_loss(model: TrainingModel) -> bool:
    """Whether the model's class brings its own `compute_loss`."""
    return type(model).compute_loss is not OwnSteps.compute_loss


def has_any_own_step(model: TrainingModel) -> bool:
    """Whether the model's class brings a `train_step`, `test_step` or `compute_loss` of its own."""
    return has_own_loss(model) or has_own_step(model, training=True) or has_own_step(model, training=False)


def run_step(model: TrainingModel, running: context.TraceContext, data: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Call the model's own step inside a running trace; its logs, each a scalar.

    Args:
        model: the model.
        running: the context of the trace.
        data: x, y and sample weights, each in its structure, or None.

    Raises:
        TypeError: it returns no dict.
        ShapeError: one of the logs is no scalar.
    """
    name = "train_step" if running.training else "test_step"
    x, y, sample_weight = data
    given = (y, sample_weight) if sample_weight is not None else () if y is None else (y,)
    with running.within(model):
        logs = getattr(model, name)((cast_inputs(model, x), *given))
    if not isinstance(logs, dict) or not all(isinstance(key, str) for key in logs):
        raise TypeError(f"{type(model).__name__}.{name} returns a dict of logs, {{name: scalar}}; got {logs!r}.")
    for key, value in logs.items():
        if tuple(as_value(value).shape) != ():
            raise ShapeError(f"{type(model).__name__}.{name}: the log {key!r} is a scalar, got {as_value(value).spec}.")
    return logs
