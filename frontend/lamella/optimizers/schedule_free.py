"""Schedule-free AdamW: averaging in the place of a decaying learning rate."""

from __future__ import annotations

from typing import Any

from lamella import ops
from lamella.optimizers.adam import moving, one_minus_power, updates
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slots


class ScheduleFreeAdamW(Optimizer):
    """z' = z - lr g / (sqrt(v / (1 - beta_2**t)) + epsilon); x' = x + (z' - x) / t; w = (1 - beta_1) z' + beta_1 x'

    z starts as the weight and is kept in the slot "momentum", x = (w - (1 - beta_1) z) / beta_1 is not kept, v is a moving
    mean of g**2, t counts from 1. Over the first `warmup_steps` the learning rate rises linearly. As in Keras, weight decay
    acts on w, and the model is evaluated at w.

    References:
        A. Defazio et al., "The road less scheduled", NeurIPS 2024, https://arxiv.org/abs/2405.15682.
    """

    default_learning_rate = 0.0025

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        self.beta_1 = fraction("beta_1", beta_1, closed=True)
        if not self.beta_1:
            raise ValueError("beta_1 is positive: the weights are divided by it.")
        self.beta_2 = fraction("beta_2", beta_2)
        self.epsilon = float(epsilon)
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps is not negative, got {warmup_steps}.")
        self.warmup_steps = warmup_steps

    def slots(self) -> dict[str, float | None]:
        """The point that gradient steps move, and the mean square."""
        return {"momentum": None, "velocity": 0.0}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The warmed learning rate, the correction of the mean square, and the weight of the newest point."""
        t = updates(step, learning_rate)
        if self.warmup_steps:
            risen = ops.minimum(ops.divide(t, float(self.warmup_steps)), 1.0)
            learning_rate = ops.multiply(learning_rate, risen)
        return {
            "learning_rate": learning_rate,
            "correction": one_minus_power(self.beta_2, t),
            "newest": ops.divide(1.0, t),
        }

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        z = slots["momentum"]
        v = moving(slots["velocity"], ops.square(g), self.beta_2)
        spread = ops.add(ops.sqrt(ops.divide(v, scalars["correction"])), self.epsilon)
        x = ops.divide(ops.subtract(w, ops.multiply(z, 1.0 - self.beta_1)), self.beta_1)
        z = ops.subtract(z, ops.divide(ops.multiply(scalars["learning_rate"], g), spread))
        x = ops.add(ops.multiply(ops.subtract(1.0, scalars["newest"]), x), ops.multiply(scalars["newest"], z))
        w = ops.add(ops.multiply(z, 1.0 - self.beta_1), ops.multiply(x, self.beta_1))
        return w, {"momentum": z, "velocity": v}

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        names = ("beta_1", "beta_2", "epsilon", "warmup_steps")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
