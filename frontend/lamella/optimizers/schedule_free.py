"""Schedule-free AdamW: averages of iterates instead of a decaying learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.optimizers.adam import moving, one_minus_power, updates
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slots

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class ScheduleFreeAdamW(Optimizer):
    """AdamW that averages iterates instead of decaying the learning rate.

    z' = z - lr g / (sqrt(v / (1 - beta_2**t)) + epsilon); x' = x + (z' - x) / t; w = (1 - beta_1) z' + beta_1 x'. z
    starts as the weight and is kept in the slot "momentum", x = (w - (1 - beta_1) z) / beta_1 is not kept, v is an
    exponential moving average of g**2, and t counts updates from 1. As in Keras, weight decay acts on w, and the model
    is evaluated at w.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the weight of the average x in w, above 0 and up to 1.
        beta_2: the decay rate of v, from 0 up to but not including 1.
        epsilon: added to the root of v for numerical stability.
        warmup_steps: the number of updates over which the learning rate rises linearly; 0 for none.
        weight_decay: decoupled weight decay; every update first subtracts `learning_rate * weight_decay * w`.
        clipnorm: the largest Euclidean norm of the gradient of one weight.
        clipvalue: the largest absolute value of an element of a gradient.
        global_clipnorm: the largest Euclidean norm of all gradients together.
        use_ema: whether to keep moving averages of the weights, which replace the weights at the end of `fit`.
        ema_momentum: the decay rate of these averages, from 0 to 1.
        ema_overwrite_frequency: the number of updates after which the averages replace the weights during training.
        loss_scale_factor: multiplies the loss before differentiation; the gradients are divided by it.
        gradient_accumulation_steps: the number of steps whose gradients are averaged for one update.
        name: the name in files; None is the class name in snake case.
        **kwargs: `lr` and `decay`, deprecated arguments of earlier Keras versions.

    Raises:
        ValueError: an argument is out of range, or more than one way of clipping is given.
        TypeError: an argument is unknown.

    References:
        A. Defazio et al., "The road less scheduled", NeurIPS 2024, https://arxiv.org/abs/2405.15682.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import ScheduleFreeAdamW
        >>> optimizer, w = ScheduleFreeAdamW(0.1), np.zeros(2)
        >>> for _ in range(3):
        ...     [w] = optimizer.apply([np.array([0.01, -100.0])], [w])
        >>> w.round(3)
        array([-0.21,  0.21])
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
            raise ValueError("beta_1 must be positive: the weights are divided by it.")
        self.beta_2 = fraction("beta_2", beta_2)
        self.epsilon = float(epsilon)
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must not be negative, got {warmup_steps}.")
        self.warmup_steps = warmup_steps

    def slots(self) -> dict[str, float | None]:
        """The iterate z, and the mean square."""
        return {"momentum": None, "velocity": 0.0}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The warmed-up learning rate, the bias correction of the mean square, and the weight of the newest iterate."""
        t = updates(step, learning_rate)
        if self.warmup_steps:
            risen = ops.minimum(ops.divide(t, float(self.warmup_steps)), 1.0)
            learning_rate = ops.multiply(learning_rate, risen)
        return {
            "learning_rate": learning_rate,
            "correction": one_minus_power(self.beta_2, t),
            "newest": ops.divide(1.0, t),
        }

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        z = slots["momentum"]
        v = moving(slots["velocity"], ops.square(g), self.beta_2)
        spread = ops.add(ops.sqrt(ops.divide(v, scalars["correction"])), self.epsilon)
        x = ops.divide(ops.subtract(w, ops.multiply(z, 1.0 - self.beta_1)), self.beta_1)
        z = ops.subtract(z, ops.divide(ops.multiply(scalars["learning_rate"], g), spread))
        x = ops.add(ops.multiply(ops.subtract(1.0, scalars["newest"]), x), ops.multiply(scalars["newest"], z))
        w = ops.add(ops.multiply(z, 1.0 - self.beta_1), ops.multiply(x, self.beta_1))
        return w, {"momentum": z, "velocity": v}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        names = ("beta_1", "beta_2", "epsilon", "warmup_steps")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
