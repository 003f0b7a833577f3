"""What `compile` decides: optimizer, losses and metrics, and which weights are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lamella import optimizers
from lamella.backend_api import Backend, is_external_optimizer, load_backend
from lamella.core.structure import output_names
from lamella.core.variable import Variable
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.ops.operators import numpy_functions
from lamella.training.objectives import Objective, Rule
from lamella.training.options import whole

if TYPE_CHECKING:
    from lamella.lowering.forward import Forward
    from lamella.training.protocol import TrainingModel


@dataclass(frozen=True, eq=False)
class Configuration:
    """A model's training configuration.

    Attributes:
        backend: where it trains.
        optimizer: an optimizer of lamella's, or one of the backend's framework (`external` is true then).
        external: whether the optimizer is one of the backend's framework.
        objective: losses and metrics.
        frozen: ids of the layers that are not trained.
        untrained: ids of the variables that are not trained, whatever their layers.
        run_eagerly: whether steps are traced again each time, with every value computed as it is traced.
        steps_per_execution: how many steps run between two calls of a callback's batch hooks.
    """

    backend: Backend
    optimizer: Any
    external: bool
    objective: Objective
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
        """Return the configuration that trains what is trainable now, or the same one if that has not changed.

        A model that was frozen as a whole is trained as before, because scripts of GANs freeze the discriminator after
        compiling it, before they compile the combined model.
        """
        frozen, untrained = model.frozen_layers(), _untrained(model)
        if id(model) in frozen - self.frozen or (frozen, untrained) == (self.frozen, self.untrained):
            return self
        return replace(self, frozen=frozen, untrained=untrained)

    def is_per_example(self, model: TrainingModel, y: Any, forward: Forward, rules: Sequence[Rule]) -> bool:
        """Whether losses and metrics ignore rows of weight 0, so that short batches may be padded with them.

        Args:
            model: the model.
            y: the specs of the targets, in their structure.
            forward: the model traced for a batch of any number of rows.
            rules: the metrics.
        """
        if y is None:
            return True
        names = output_names(model)
        predictions = [value.spec for value in forward.program.outputs[: forward.predicted]]
        with numpy_functions(self.run_eagerly):
            return self.objective.is_per_example(self.objective.targets(y, names), predictions, names, rules)

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
    objective = Objective(loss, loss_weights, metrics, weighted_metrics)
    if model.built:
        objective.terms(output_names(model))
    configuration = Configuration(
        backend=found,
        optimizer=optimizer,
        external=external,
        objective=objective,
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
