"""What `compile` decides: optimizer, loss, metrics, and which weights are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import losses, metrics, optimizers
from lamella.backend_api import Backend, load_backend, to_numpy
from lamella.core.variable import Variable
from lamella.ir.spec import Spec
from lamella.ir.trace import trace

if TYPE_CHECKING:
    from lamella.training.layout import Layout
    from lamella.training.protocol import TrainingModel


class Compiled:
    """A model's training configuration, and the optimizer's state.

    Attributes:
        backend: where it trains.
        optimizer: an optimizer of lamella's, or one of the backend's framework (`foreign` is true then).
        loss: the loss, or None for a model that is only evaluated by its layers' penalties.
        loss_weight: what the loss, without penalties, is multiplied with; None leaves it as it is.
        loss_identifier: the loss as the user named it, for files.
        metric_identifiers: what the user named; metrics are chosen when the shapes are known.
        frozen: ids of the layers that were not trainable at `compile`; what is trained later stays as it stood then.
        run_eagerly: whether steps are traced anew each time, with every value computed as it is traced.
        steps_per_execution: how many steps run between two calls of a callback's batch hooks.
        epochs: the number of epochs whose rows were shuffled.
        orders: the orders of these epochs, and what they were made of; many are drawn at once, and the next run goes on
            with them.
        slots: for each slot of the optimizer, the array of each trained variable by id; under 0 where the slot belongs to
            the optimizer as a whole.
    """

    def __init__(
        self,
        model: TrainingModel,
        optimizer: Any,
        loss: Any,
        metric_identifiers: Any,
        backend: Any,
        weighted: Any,
        loss_weights: Any = None,
        *,
        auto_scale_loss: bool = True,
    ) -> None:
        self.backend: Backend = load_backend(backend)
        self.external = self.backend.supports_optimizer(optimizer)
        if not self.external and _looks_like_optax(optimizer):
            raise TypeError(
                f"an optax transformation needs the JAX backend; this model is compiled for {self.backend.name!r}. Pass "
                "`backend='jax'`, or use one of lamella.optimizers."
            )
        self.optimizer: Any = optimizer if self.external else optimizers.get(optimizer)
        scaled = auto_scale_loss and model.dtype_policy.name == "mixed_float16"
        if scaled and not self.external and not isinstance(self.optimizer, optimizers.LossScaleOptimizer):
            self.optimizer = optimizers.LossScaleOptimizer(self.optimizer)
        for schedule in [] if self.external else self.optimizer.schedules():
            self.backend.prepare(trace(lambda step, f=schedule: [f(step)], Spec((), "uint32")))
        self.loss: losses.Loss | None = losses.get(_only("loss", loss))
        self.loss_weight = _loss_weight(loss_weights, self.loss)
        self.loss_identifier = loss
        self.metric_identifiers = _listed(metric_identifiers)
        self.weighted_identifiers = _listed(weighted)
        for identifier in (*self.metric_identifiers, *self.weighted_identifiers):
            if not (isinstance(identifier, str) and identifier.lower() in metrics.AUTOMATIC):
                metrics.get(identifier)  # a misspelt name is told now, not in `fit`
        self.frozen = model.frozen_layers()
        self._untrained = {id(v) for v in model.variables if not v.trainable}
        self.run_eagerly = False
        self.steps_per_execution = 1
        self._steps: Any = 0
        self.epochs = 0
        self.orders: tuple[Any, Any] = (None, None)
        self.slots: dict[str, dict[int, Any]] = {}
        self.external_state: tuple[Any, ...] | None = None
        self._metrics: tuple[Any, list[tuple[str, Any, bool]]] | None = None

    def trained(self, model: TrainingModel) -> list[Variable]:
        """The variables a step changes, in the order of the model's weights."""
        found: dict[int, Variable] = {}

        def visit(layer: Any) -> None:
            if id(layer) in self.frozen:
                return
            for variable in layer._variables:
                if variable.trainable and id(variable) not in self._untrained:
                    found.setdefault(id(variable), variable)
            for child in layer.children.values():
                visit(child)

        visit(model)
        return [v for _, v in model.named_weights() if id(v) in found]

    def metrics_for(self, y: Spec | None, prediction: Spec) -> list[tuple[str, Any, bool]]:
        """(log key, metric, weighted) for each metric, chosen for targets and predictions of these specs."""
        key = (None if y is None else (len(y.shape), y.shape[1:], y.dtype), prediction.shape[1:])
        if self._metrics is None or self._metrics[0] != key:
            chosen: list[tuple[str, Any, bool]] = []
            if y is not None:
                for identifiers, weighted in ((self.metric_identifiers, False), (self.weighted_identifiers, True)):
                    for identifier in identifiers:
                        metric = metrics.resolve(identifier, y, prediction, self.loss)
                        metric.build(y, prediction, weighted)
                        chosen.append((_free(metric.name, [c[0] for c in chosen], weighted), metric, weighted))
            self._metrics = (key, chosen)
        return self._metrics[1]

    def is_per_example(self, y: Spec | None, prediction: Spec) -> bool:
        """Whether loss and metrics take a row of weight 0 for nothing, so that such rows may fill a short batch up."""
        if y is None:
            return True
        followers = [metric for _, metric, _ in self.metrics_for(y, prediction)]
        return all(f.is_per_example(y, prediction) for f in ([self.loss] if self.loss else []) + followers)

    def slot_arrays(self, layout: Layout) -> dict[str, dict[int, Any]]:
        """The optimizer's slots by variable, as `slots` holds them, with new ones where there are none yet."""
        variables = layout.variables[: layout.trained]
        missing = [k for name, keys in layout.slots.items() for k in keys if k not in self.slots.setdefault(name, {})]
        if missing:
            fresh = self.optimizer.initial_slots(layout.weights, [to_numpy(v.value) for _, v in variables])
            for name, arrays in fresh.items():
                keyed = (
                    zip([id(v) for _, v in variables], arrays, strict=True)
                    if isinstance(arrays, list)
                    else [(0, arrays)]
                )
                self.slots[name] = {**{k: a for k, a in keyed if a is not None}, **self.slots[name]}
        return self.slots

    @property
    def steps(self) -> int:
        """The number of optimizer steps taken; while `fit` runs this asks the device."""
        return int(to_numpy(self._steps))

    @steps.setter
    def steps(self, count: Any) -> None:
        self._steps = count

    @property
    def metric_labels(self) -> list[str]:
        """The log keys of the metrics, once the shapes that choose them are known."""
        return [] if self._metrics is None else [label for label, _, _ in self._metrics[1]]

    def move(self, backend: Backend) -> None:
        """Train on another backend from now on."""
        self.backend, self.steps = backend, self.steps
        for held in self.slots.values():
            held.update({key: to_numpy(array) for key, array in held.items()})

    def rates(self) -> dict[str, float]:
        """The learning rates that are numbers, by the names of their leaves; none of a foreign optimizer's."""
        return {} if self.external else {f"optimizer/{name}": rate for name, rate in self.optimizer.rates().items()}


def _listed(identifiers: Any) -> list[Any]:
    if identifiers is None:
        return []
    if not isinstance(identifiers, list | tuple):
        return [identifiers]
    return [found for identifier in identifiers for found in _listed(identifier) or [identifier]]


def _only(what: str, given: Any) -> Any:
    """The one entry of a list, which is how Keras writes what belongs to a model's outputs; anything else is itself.

    Raises:
        ValueError: the list has not one entry.
    """
    if not isinstance(given, list | tuple):
        return given
    if len(given) != 1:
        raise ValueError(f"a model of layers one after another has one output: {what} has one entry, got {len(given)}.")
    return given[0]


def _loss_weight(given: Any, loss: Any) -> float | None:
    weight = _only("loss_weights", given)
    if weight is None:
        return None
    if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
        raise ValueError(f"loss_weights is a number, or a list of one, got {given!r}.")
    if loss is None:
        raise ValueError(f"loss_weights={given!r} weighs nothing: give `compile` a loss.")
    return float(weight)


def _free(label: str, taken: list[str], weighted: bool) -> str:
    """A log key that is not taken: Keras prefixes a weighted duplicate and numbers the rest."""
    if label not in taken and label != "loss":
        return label
    if weighted and f"weighted_{label}" not in taken:
        return f"weighted_{label}"
    number = 1
    while f"{label}_{number}" in taken:
        number += 1
    return f"{label}_{number}"


def _looks_like_optax(optimizer: Any) -> bool:
    return isinstance(optimizer, tuple) and hasattr(optimizer, "init") and hasattr(optimizer, "update")
