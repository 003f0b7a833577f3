"""Dynamic loss scaling, for gradients in float16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.core import context
from lamella.ir.spec import spec_of
from lamella.optimizers.base import Optimizer
from lamella.optimizers.state import Rates, Slot, Slots, Weight, description
from lamella.optimizers.update import selected

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class LossScaleOptimizer(Optimizer):
    """Scale the loss for float16 gradients, dynamically, around an inner optimizer that gets the unscaled gradients.

    A step with a gradient that is not finite changes no weight and no slot, is not counted by the inner optimizer, and
    halves the scale. After `dynamic_growth_steps` consecutive finite steps the scale doubles.

    Args:
        inner_optimizer: an optimizer, or an argument of `lamella.optimizers.get`. Its options (clipping, weight decay
            ...) apply; its `loss_scale_factor` is set to None, since the loss is scaled here.
        initial_scale: the first scale; positive.
        dynamic_growth_steps: the number of consecutive finite steps after which the scale doubles, at least 1.
        name: the name in files; None is "loss_scale_optimizer".

    Raises:
        ValueError: an argument is out of range, or the inner optimizer is a LossScaleOptimizer itself.

    References:
        P. Micikevicius et al., "Mixed precision training", ICLR 2018, https://arxiv.org/abs/1710.03740.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import SGD, LossScaleOptimizer
        >>> optimizer = LossScaleOptimizer(SGD(1.0), initial_scale=4.0)
        >>> optimizer.apply([np.array([8.0])], [np.zeros(1)])  # the gradient of the scaled loss
        [array([-2.])]
        >>> optimizer.apply([np.array([np.inf])], [np.zeros(1)])  # not finite: the step is skipped
        [array([0.])]
        >>> float(optimizer.scale_loss(1.0))
        2.0
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        from lamella.optimizers import get  # the table of optimizers names this class

        self.inner_optimizer: Optimizer = get(inner_optimizer)
        if not isinstance(self.inner_optimizer, Optimizer) or isinstance(self.inner_optimizer, LossScaleOptimizer):
            raise ValueError(
                "inner_optimizer must be an optimizer of lamella that does not scale the loss dynamically, got "
                f"{self.inner_optimizer!r}."
            )
        super().__init__(self.inner_optimizer.default_learning_rate, name=name)
        if not initial_scale > 0:
            raise ValueError(f"initial_scale must be positive, got {initial_scale}.")
        if dynamic_growth_steps < 1:
            raise ValueError(f"dynamic_growth_steps must be an integer of at least 1, got {dynamic_growth_steps}.")
        self.inner_optimizer.loss_scale_factor = None
        self.initial_scale = float(initial_scale)
        self.dynamic_growth_steps = int(dynamic_growth_steps)

    # ---- what is the inner optimizer's ----

    @property
    def learning_rate(self) -> Any:
        """Forwarded to the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if hasattr(self, "initial_scale"):  # the base constructor sets a rate, which is unused
            self.inner_optimizer.learning_rate = value

    @property
    def schedule(self) -> Any:
        """Forwarded to the inner optimizer."""
        return self.inner_optimizer.schedule

    def schedules(self) -> list[Any]:
        """Forwarded to the inner optimizer."""
        return self.inner_optimizer.schedules()

    def with_learning_rate(self) -> list[Optimizer]:
        """Forwarded to the inner optimizer."""
        return self.inner_optimizer.with_learning_rate()

    def rates(self) -> Rates:
        """Forwarded to the inner optimizer."""
        return self.inner_optimizer.rates()

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Forwarded to the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    # ---- state ----

    def _reached(self, step: ArrayLike, scalars: Mapping[str, Any]) -> None:
        super()._reached(step, scalars)
        self.inner_optimizer._reached(scalars.get("iterations", 0), {})

    def scalar_slots(self) -> dict[str, Slot]:
        """The scale, the number of finite steps since it changed, and the number of steps that were not skipped."""
        return {
            "dynamic_scale": Slot((), "float32", self.initial_scale),
            "step_counter": Slot((), "int32"),
            "iterations": Slot((), "uint32"),
        }

    def slot_specs(self, weights: Sequence[Weight]) -> dict[str, Any]:
        """The state of the inner optimizer, and the scale."""
        return {**self.inner_optimizer.slot_specs(weights), **self.scalar_slots()}

    def scale_loss(self, loss: ArrayLike, slots: Mapping[str, Any] | None = None) -> Tensor:
        """The loss times the current scale, in the dtype of the loss."""
        running = context.current()
        kept = slots if slots is not None else self._applied if running is None else running.slots
        scale = self.initial_scale if kept is None else kept["dynamic_scale"]
        return ops.multiply(loss, ops.cast(scale, spec_of(ops.convert_to_tensor(loss)).dtype))

    # ---- one update of all weights ----

    def apply_gradients_program(
        self,
        params: Sequence[Any],
        gradients: Sequence[Any],
        slots: Slots,
        step: Any,
        rates: Mapping[str, Any] | None = None,
        weights: Sequence[Weight] | None = None,
    ) -> tuple[list[Any], Slots]:
        """One step of the inner optimizer if all gradients are finite; see `Optimizer.apply_gradients_program`.

        The inner optimizer counts the finite steps only, so `step` is ignored.
        """
        scale, counter, counted = (slots[name] for name in self.scalar_slots())
        finite: Any = None
        for g in gradients:
            if g is not None:
                whole = ops.all(ops.isfinite(g))
                finite = whole if finite is None else ops.logical_and(finite, whole)
        if finite is None:
            return list(params), dict(slots)
        unscaled = [g if g is None else ops.divide(g, ops.cast(scale, spec_of(g).dtype)) for g in gradients]
        before = {name: held for name, held in slots.items() if name not in self.scalar_slots()}
        new, after = self.inner_optimizer.apply_gradients_program(params, unscaled, before, counted, rates, weights)
        result: Slots = {}
        for name, held in before.items():
            if isinstance(held, list):
                result[name] = selected(finite, after[name], held)
            else:
                result[name] = ops.where(finite, after[name], held)
        grown = ops.equal(counter, np.int32(self.dynamic_growth_steps - 1))
        factor = ops.cast(ops.where(finite, ops.where(grown, 2.0, 1.0), 0.5), "float32")
        stopped = ops.logical_or(grown, ops.logical_not(finite))
        result["dynamic_scale"] = ops.multiply(scale, factor)
        result["step_counter"] = ops.where(stopped, np.int32(0), ops.add(counter, np.int32(1)))
        result["iterations"] = ops.add(counted, ops.cast(finite, "uint32"))
        return selected(finite, new, params), result

    def final_values(self, params: Sequence[Any], slots: Slots) -> list[Any]:
        """Forwarded to the inner optimizer."""
        return self.inner_optimizer.final_values(params, slots)

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {
            "name": self.name,
            "inner_optimizer": description(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }
