"""User-defined steps: the `train_step` and `test_step` of a subclass, traced into the step program.

Such steps are written with `value_and_grad` and `optimizer.apply_gradients`, which act on the current trace. A
user-defined step is therefore an ordinary program: it runs on every backend, many steps per call.
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
    """Return the value of `function()` and its gradients with respect to variables, inside a `train_step`.

    Args:
        function: computes a scalar from the model's variables and from values of the step, with `lamella.ops`, layers
            and `compute_loss`. Assignments of layers inside it (moving averages) take effect.
        variables: the variables, which the function reads directly or by calling layers.
        has_aux: whether the function returns `(scalar, aux)`, where `aux` is an array, or a list, tuple or dict of
            arrays.

    Returns:
        `(scalar, gradients)`, or `((scalar, aux), gradients)`, with one gradient per variable, of its shape.

    Raises:
        TraceError: it is called outside of a step; use `model.value_and_grad(x, y)` in custom training loops.
        ShapeError: the value is not a scalar.

    Example:
        >>> import numpy as np
        >>> import lamella
        >>> class Halved(lamella.Sequential):
        ...     def train_step(self, data):
        ...         x, y = data
        ...         def loss_of():
        ...             return 0.5 * lamella.ops.mean(lamella.ops.square(self(x) - y))
        ...         loss, gradients = lamella.value_and_grad(loss_of, self.trainable_variables)
        ...         self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        ...         return {"loss": loss}
        >>> model = Halved([lamella.layers.Input((1,)), lamella.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd")
        >>> model.fit(np.ones((2, 1)), np.full((2, 1), 2.0), verbose=0).history["loss"]
        [2.0]
    """
    running, outer = context.current(), current_trace()
    if running is None or outer is None:
        raise TraceError(
            "value_and_grad works inside a model's `train_step`. For a custom training loop use "
            "`model.value_and_grad(x, y)`, or `jax.value_and_grad` of `model.lower('jax')`."
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
    """The steps of `fit` and `evaluate`, which a subclass may override.

    They are traced once per shape of the batch. Without overrides, built-in steps compute the same.
    """

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the compiled loss of a batch, plus the penalties of regularizers and layers.

        Args:
            x: the inputs.
            y: the targets, or None.
            y_pred: the outputs of the model for `x`.
            sample_weight: one weight per example, or None; for several outputs one array for all, or a structure like
                `y`.
            training: whether it is the loss of a training step.

        Returns:
            A symbolic scalar.

        Raises:
            ValueError: there is no loss, or it is not a scalar.
            TraceError: it is called outside of a step.

        Example:
            >>> import numpy as np
            >>> import lamella
            >>> class Doubled(lamella.Sequential):
            ...     def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            ...         return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)
            >>> model = Doubled([lamella.layers.Input((1,)), lamella.layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> model.evaluate(np.ones((2, 1)), np.ones((2, 1)), verbose=0)
            2.0
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
        """Return the losses of the outputs and the compiled metrics of one batch, for the logs of a user-defined step.

        Args:
            x: the inputs.
            y: the targets.
            y_pred: the outputs of the model for `x`.
            sample_weight: one weight per example, or None.

        Returns:
            A dict from log key to symbolic scalar; the losses are included if there are several outputs and
            `compute_loss` was called.
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
        """Compute one step of `fit`, with `lamella.ops`, `lamella.value_and_grad` and `self.optimizer.apply_gradients`.

        Args:
            data: `(x,)`, `(x, y)` or `(x, y, sample_weight)`: symbolic arrays with the examples along the first axis,
                or structures of them.

        Returns:
            The logs of the batch, a dict of scalars; the logs of an epoch are their means over its examples.
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
        """Compute one step of `evaluate`, and of the validation in `fit`.

        Args:
            data: as for `train_step`.

        Returns:
            The logs of the batch, as for `train_step`.
        """
        model: Any = self
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = model(x, training=False)
        loss = loss_of_batch(model, x, y, y_pred, sample_weight, training=False)
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}


def loss_of_batch(model: Trainable, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, *, training: bool) -> Any:
    """Return the model's `compute_loss`, which a user may have overridden without the argument `training`."""
    parameters = inspect.signature(type(model).compute_loss).parameters
    told = "training" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return model.compute_loss(x, y, y_pred, sample_weight, **({"training": training} if told else {}))


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return `(x, y, sample_weight)` from the argument of a `train_step`.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        A tuple of three, with None for missing parts.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    parts = data if isinstance(data, list | tuple) else (data,)
    x, y, sample_weight = (*parts, None, None, None)[:3]
    return x, y, sample_weight


def kept_metrics(model: Any) -> list[Metric]:
    """Return the metrics in attributes of a model and of its layers."""
    from lamella.metrics import Metric

    found: dict[int, Metric] = {}
    for holder in (model, *[layer for _, layer in model.named_layers()]):
        for attribute, value in vars(holder).items():
            if attribute not in ("_compiled", "_loops", "functions", "_run", "history"):
                found.update((id(leaf), leaf) for leaf in tree.leaves(value) if isinstance(leaf, Metric))
    return list(found.values())


def own_metrics(model: Any) -> list[Metric]:
    """Return the metrics of a model that were not given to `compile`, including those of an overridden `metrics`."""
    compiled = set[int]()
    if model._compiled is not None:
        compiled = set(map(id, model._compiled.configuration.objective.known_metrics))
    kept = {id(metric): metric for metric in (*kept_metrics(model), *model.metrics)}
    return [metric for key, metric in kept.items() if key not in compiled]


@contextmanager
def holding(running: context.TraceContext, kept: Sequence[Metric]) -> Iterator[None]:
    """Context manager in which user-defined metrics hold the states of the current step."""
    own = [metric for metric in kept if metric.in_keras_style]
    with ExitStack() as stack:
        for metric in own:
            stack.enter_context(metric._holding((running.metrics or {})[id(metric)]))
        yield
        found = {id(metric): {v.name: v.value for v in metric.variables} for metric in own}
        running.metrics = {**(running.metrics or {}), **found}


def has_own_step(model: TrainingModel, *, training: bool) -> bool:
    """Return whether the model's class overrides `train_step` (or `test_step`)."""
    name = "train_step" if training else "test_step"
    return getattr(type(model), name) is not getattr(OwnSteps, name)


def has_own_loss(model: TrainingModel) -> bool:
    """Return whether the model's class overrides `compute_loss`."""
    return type(model).compute_loss is not OwnSteps.compute_loss


def has_any_own_step(model: TrainingModel) -> bool:
    """Return whether the model's class overrides `train_step`, `test_step` or `compute_loss`."""
    return has_own_loss(model) or has_own_step(model, training=True) or has_own_step(model, training=False)


def run_step(model: TrainingModel, running: context.TraceContext, data: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Call the model's `train_step` or `test_step` inside the current trace.

    Args:
        model: the model.
        running: the context of the trace.
        data: x, y and sample weights, each in its structure, or None.

    Returns:
        The logs, a dict of scalars.

    Raises:
        TypeError: the step does not return a dict.
        ShapeError: a log is not a scalar.
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
            raise ShapeError(
                f"{type(model).__name__}.{name}: the log {key!r} must be a scalar, got {as_value(value).spec}."
            )
    return logs
