"""What `compile` decides: optimizer, loss, metrics, and which weights are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import losses, metrics, optimizers
from lamella.backend_api import Backend, is_external_optimizer, load_backend
from lamella.core.variable import Variable
from lamella.errors import ArgumentError
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.ops.operators import numpy_functions
from lamella.training.options import whole

if TYPE_CHECKING:
    from lamella.training.protocol import TrainingModel


class CompiledMetrics:
    """The metrics given to `compile`; they are chosen when the shapes are known.

    Args:
        identifiers: what the user named as metrics.
        weighted_identifiers: what the user named as weighted metrics.
        loss: the compiled loss, which "accuracy" depends on.

    Attributes:
        chosen: (log key, metric, weighted) for each metric, for the specs of the last call of `for_specs`.
    """

    def __init__(self, identifiers: Any, weighted_identifiers: Any, loss: losses.Loss | None) -> None:
        self.identifiers, self.weighted_identifiers = _listed(identifiers), _listed(weighted_identifiers)
        self._loss = loss
        self._specs: Any = None
        self.chosen: list[tuple[str, Any, bool]] = []
        for identifier in (*self.identifiers, *self.weighted_identifiers):
            if not (isinstance(identifier, str) and identifier.lower() in metrics.AUTOMATIC):
                metrics.get(identifier)  # a misspelt name is told now, not in `fit`

    def for_specs(self, y: Spec | None, prediction: Spec) -> list[tuple[str, Any, bool]]:
        """(log key, metric, weighted) for each metric, chosen for targets and predictions of these specs."""
        specs = (None if y is None else (len(y.shape), y.shape[1:], y.dtype), prediction.shape[1:])
        if self._specs != specs:
            chosen: list[tuple[str, Any, bool]] = []
            if y is not None:
                for identifiers, weighted in ((self.identifiers, False), (self.weighted_identifiers, True)):
                    for identifier in identifiers:
                        metric = metrics.resolve(identifier, y, prediction, self._loss)
                        metric.build(y, prediction, weighted)
                        chosen.append((_free(metric.name, [c[0] for c in chosen], weighted), metric, weighted))
            self._specs, self.chosen = specs, chosen
        return self.chosen


@dataclass(frozen=True, eq=False)
class Configuration:
    """A model's training configuration.

    Attributes:
        backend: where it trains.
        optimizer: an optimizer of lamella's, or one of the backend's framework (`external` is true then).
        external: whether the optimizer is one of the backend's framework.
        loss: the loss, or None for a model that is only evaluated by its layers' penalties.
        loss_weight: what the loss, without penalties, is multiplied with; None leaves it as it is.
        loss_identifier: the loss as the user named it, for files.
        metrics: the metrics.
        frozen: ids of the layers that are not trained.
        untrained: ids of the variables that are not trained, whatever their layers.
        run_eagerly: whether steps are traced again each time, with every value computed as it is traced.
        steps_per_execution: how many steps run between two calls of a callback's batch hooks.
    """

    backend: Backend
    optimizer: Any
    external: bool
    loss: losses.Loss | None
    loss_weight: float | None
    loss_identifier: Any
    metrics: CompiledMetrics
    frozen: frozenset[int]
    untrained: frozenset[int]
    run_eagerly: bool
    steps_per_execution: int

    def trained(self, model: TrainingModel) -> list[Variable]:
        """The variables a step changes, in the order of the model's weights."""
        found: dict[int, Variable] = {}

        def visit(layer: Any) -> None:
            if id(layer) in self.frozen:
                return
            for variable in layer._variables:
                if variable.trainable and id(variable) not in self.untrained:
                    found.setdefault(id(variable), variable)
            for child in layer.children.values():
                visit(child)

        visit(model)
        return [v for _, v in model.named_weights() if id(v) in found]

    def as_frozen_now(self, model: TrainingModel) -> Configuration:
        """The configuration that trains what is trainable now; the same one where that is what it trains.

        A model that was frozen as a whole is trained as before: so old scripts train the discriminator of a GAN, which they
        freeze between compiling it and the model that it is a part of.
        """
        frozen, untrained = model.frozen_layers(), _untrained(model)
        if id(model) in frozen - self.frozen or (frozen, untrained) == (self.frozen, self.untrained):
            return self
        return replace(self, frozen=frozen, untrained=untrained)

    def is_per_example(self, y: Spec | None, prediction: Spec, rules: Sequence[tuple[str, Any, bool]]) -> bool:
        """Whether loss and metrics take a row of weight 0 for nothing, so that such rows may fill a short batch up."""
        if y is None:
            return True
        followers = [self.loss] if self.loss else []
        with numpy_functions(self.run_eagerly):
            return all(f.is_per_example(y, prediction) for f in [*followers, *[metric for _, metric, _ in rules]])

    def rates(self) -> dict[str, float]:
        """The learning rates that are numbers, by the names of their leaves; none of an external optimizer's."""
        return {} if self.external else {f"optimizer/{name}": rate for name, rate in self.optimizer.rates().items()}


def configure(
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
) -> Configuration:
    """The configuration that the arguments of `compile` ask for, as `Model.compile` says."""
    steps_per_execution = whole("steps_per_execution", steps_per_execution, 1)
    if jit_compile not in (True, "auto"):
        raise ValueError(
            f"jit_compile is True or 'auto', got {jit_compile!r}: every step is compiled. `run_eagerly=True` is for "
            "looking at steps one equation at a time."
        )
    found = load_backend(backend)
    external = found.supports_optimizer(optimizer)
    if not external:
        scaled = auto_scale_loss and model.dtype_policy.name == "mixed_float16"
        optimizer = _optimizer(model, optimizer, found, scaled=scaled)
    resolved = losses.get(_only("loss", loss))
    configuration = Configuration(
        backend=found,
        optimizer=optimizer,
        external=external,
        loss=resolved,
        loss_weight=_loss_weight(loss_weights, resolved),
        loss_identifier=loss,
        metrics=CompiledMetrics(metrics, weighted_metrics, resolved),
        frozen=model.frozen_layers(),
        untrained=_untrained(model),
        run_eagerly=bool(run_eagerly),
        steps_per_execution=steps_per_execution,
    )
    if external and model.built:
        trained = set(map(id, configuration.trained(model)))
        params = {f"params/{path}": v.spec for path, v in model.named_weights() if id(v) in trained}
        found.check_optimizer(optimizer, params)
    return configuration


def _untrained(model: TrainingModel) -> frozenset[int]:
    return frozenset(id(v) for v in model.variables if not v.trainable)


def _optimizer(model: TrainingModel, given: Any, backend: Backend, *, scaled: bool) -> optimizers.Optimizer:
    """One of lamella's optimizers, its schedules prepared; with `scaled` one that scales the loss.

    An optimizer that the model's own scales the loss for is given that one again.

    Raises:
        TypeError: it is an optax transformation, and the backend is not JAX.
    """
    if is_external_optimizer(given):
        raise TypeError(
            f"an optax transformation needs the JAX backend; this model is compiled for {backend.name!r}. Pass "
            "`backend='jax'`, or use one of lamella.optimizers."
        )
    optimizer = optimizers.get(given)
    if scaled and not isinstance(optimizer, optimizers.LossScaleOptimizer):
        held = None if model._compiled is None else model._compiled.configuration.optimizer
        if isinstance(held, optimizers.LossScaleOptimizer) and held.inner_optimizer is optimizer:
            optimizer = held
        else:
            optimizer = optimizers.LossScaleOptimizer(optimizer)
    for schedule in optimizer.schedules():
        backend.prepare(trace(lambda step, f=schedule: [f(step)], Spec((), "uint32")))
    return optimizer


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
    entries = given if isinstance(given, list | tuple) else [given]
    if any(isinstance(entry, str) for entry in entries):  # metrics had this place in Keras 2
        raise ArgumentError(
            f"loss_weights must be a number, got {given!r}: metrics go by name, compile(..., metrics=[...])."
        )
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
