"""Steps in a user's own words: the `train_step` and `test_step` of a subclass, traced into the step program.

`value_and_grad` and `optimizer.apply_gradients` are what such a step is written with. They work on the running trace, so a
step of one's own is one program like any other: it runs on every backend, many steps at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops, tree
from lamella.core import context
from lamella.core.variable import Variable
from lamella.errors import ShapeError, TraceError
from lamella.ir.dim import public_shape
from lamella.ir.program import ConcreteValue
from lamella.ir.spec import numpy_dtype, spec_of
from lamella.ir.trace import Trace, as_value, current_trace
from lamella.lowering.forward import penalties_of
from lamella.ops.control import replay
from lamella.passes import differentiate, pool_first
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.training.objectives import Configuration
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
        outputs = [value, *leaves, *[running.bindings[v] for v in assigned], *[m for m in masks if m is not None]]
        program = trace.program([as_value(v) for v in outputs])
        captured = [outside for outside, _ in trace.captures]
    del running.losses[losses:]  # they are part of the value, where `compute_loss` made it
    running.bindings, running.initial = bindings, initial
    following = iter(replay(differentiate(pool_first(program), range(len(chosen))), [*before, *captured]))
    value, parts = next(following), list(itertools.islice(following, len(leaves)))
    for variable in assigned:
        running.bindings[variable] = next(following)
    for part, mask in zip(parts, masks, strict=True):
        if mask is not None:
            running.set_mask(part, next(following))
    found = (value, tree.unflatten(structure, parts)) if has_aux else value
    return found, list(following)


class OwnSteps:
    """The steps of `fit` and `evaluate`, to be overridden in a subclass of `Sequential`.

    They are traced once for each shape of batch. Where a class brings none of its own, steps do the same without them.
    """

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        """The compiled loss of a batch, a scalar, with what regularizers and layers add to it.

        Args:
            x: the inputs.
            y: the targets, or None.
            y_pred: what the model made of x.
            sample_weight: a weight a row, or None.

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
        if config.loss is not None and y is not None:
            loss = config.loss(y, y_pred, sample_weight, rows=running.rows, mask=running.mask_of(y_pred))
            if tuple(loss.shape):
                raise ValueError(
                    f"the loss {config.loss.name!r} gives {public_shape(loss.shape)} values, training needs one number: "
                    "use a reduction other than 'none'."
                )
            if config.loss_weight is not None:
                loss = ops.multiply(loss, config.loss_weight)
        for penalty in penalties_of(model, running):
            loss = penalty if loss is None else ops.add(loss, ops.cast(penalty, loss.dtype))
        if loss is None:
            raise ValueError("there is nothing to train on: give `compile` a loss, or layers a regularizer.")
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The compiled metrics of one batch, for the logs of a step of one's own: {log key: value}."""
        model: Any = self
        config: Configuration = model._require_compiled().configuration
        found: dict[str, Any] = {}
        for label, metric, weighted in config.metrics.for_specs(None if y is None else spec_of(y), spec_of(y_pred)):
            start = {n: np.full(s, value, numpy_dtype(kind)) for n, (s, kind, value) in metric.state_specs().items()}
            after = metric.update(start, y, ops.stop_gradient(y_pred), weight=sample_weight if weighted else None)
            found[label] = metric.compute(after)
        return found

    def train_step(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """One step of `fit`, written in `lamella.ops`, `lamella.value_and_grad` and `self.optimizer.apply_gradients`.

        Args:
            data: `(x,)`, `(x, y)` or `(x, y, sample_weight)`: symbolic arrays, rows first.

        Returns:
            The logs of the batch, scalars; an epoch's logs are their means over its rows.
        """
        model: Any = self
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_of() -> Any:
            y_pred = model(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
            return model.optimizer.scale_loss(loss), (loss, y_pred)

        (_, (loss, y_pred)), gradients = value_and_grad(loss_of, model.trainable_variables, has_aux=True)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}

    def test_step(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """One step of `evaluate`, and of the validation in `fit`; see `train_step`."""
        model: Any = self
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = model(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` from what a `train_step` is given, None for what is not there."""
    parts = data if isinstance(data, list | tuple) else (data,)
    x, y, sample_weight = (*parts, None, None, None)[:3]
    return x, y, sample_weight


def has_own_step(model: TrainingModel, *, training: bool) -> bool:
    """Whether the model's class brings its own `train_step` (or `test_step`)."""
    name = "train_step" if training else "test_step"
    return getattr(type(model), name) is not getattr(OwnSteps, name)


def has_own_loss(model: TrainingModel) -> bool:
    """Whether the model's class brings its own `compute_loss`."""
    return type(model).compute_loss is not OwnSteps.compute_loss


def run_step(model: TrainingModel, running: context.TraceContext, data: Sequence[Any]) -> dict[str, Any]:
    """Call the model's own step inside a running trace; its logs, each a scalar.

    Raises:
        TypeError: it returns no dict.
        ShapeError: one of the logs is no scalar.
    """
    name = "train_step" if running.training else "test_step"
    x, *rest = data
    with running.within(model):
        logs = getattr(model, name)((ops.cast(x, model.input_dtype), *rest))
    if not isinstance(logs, dict) or not all(isinstance(key, str) for key in logs):
        raise TypeError(f"{type(model).__name__}.{name} returns a dict of logs, {{name: scalar}}; got {logs!r}.")
    for key, value in logs.items():
        if tuple(as_value(value).shape) != ():
            raise ShapeError(f"{type(model).__name__}.{name}: the log {key!r} is a scalar, got {as_value(value).spec}.")
    return logs
