"""Follow the regularized leader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.optimizers.base import Optimizer
from lamella.optimizers.state import Slots

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Ftrl(Optimizer):
    """Follow the regularized leader: with L1 regularization, weights become exactly 0.

    n' = n + g**2; z' = z + g + 2 s w - (n'**p - n**p) / lr w; w = (clip(z', -l1, l1) - z') / q, where p is
    -learning_rate_power, s the shrinkage, and q = n'**p / lr + 2 l2 + beta / lr. n starts at
    `initial_accumulator_value` and z at 0. The new weight depends on z and n alone, and is 0 where |z| is below l1.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        learning_rate_power: how the learning rate decays with n; 0 keeps it constant. Not positive.
        initial_accumulator_value: the value of n before the first step; not negative.
        l1_regularization_strength: l1, not negative.
        l2_regularization_strength: l2, not negative.
        l2_shrinkage_regularization_strength: s, an L2 penalty on the gradient rather than on the weight; not negative.
        beta: the beta of the paper.
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
        H. B. McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013,
        https://research.google/pubs/pub41159.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import Ftrl
        >>> optimizer = Ftrl(1.0, l1_regularization_strength=0.5)
        >>> [w] = optimizer.apply([np.array([0.1, -2.0])], [np.zeros(2)])
        >>> w.round(3)
        array([0.   , 0.741])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
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
        if learning_rate_power > 0:
            raise ValueError(f"learning_rate_power must not be positive, got {learning_rate_power}.")
        self.learning_rate_power = float(learning_rate_power)
        self.initial_accumulator_value = _strength("initial_accumulator_value", initial_accumulator_value)
        self.l1_regularization_strength = _strength("l1_regularization_strength", l1_regularization_strength)
        self.l2_regularization_strength = _strength("l2_regularization_strength", l2_regularization_strength)
        self.l2_shrinkage_regularization_strength = _strength(
            "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength
        )
        self.beta = float(beta)

    def slots(self) -> dict[str, float | None]:
        """n and z."""
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def _power(self, n: Tensor) -> Tensor:
        return ops.sqrt(n) if self.learning_rate_power == -0.5 else ops.power(n, -self.learning_rate_power)

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        rate, old = scalars["learning_rate"], slots["accumulator"]
        new = ops.add(old, ops.square(g))
        raised = self._power(new)
        pull = g
        if self.l2_shrinkage_regularization_strength:
            pull = ops.add(g, ops.multiply(w, 2.0 * self.l2_shrinkage_regularization_strength))
        change = ops.divide(ops.subtract(raised, self._power(old)), rate)
        z = ops.add(slots["linear"], ops.subtract(pull, ops.multiply(change, w)))
        l2 = ops.add(ops.divide(self.beta / 2.0, rate), self.l2_regularization_strength)
        quadratic = ops.add(ops.divide(raised, rate), ops.multiply(l2, 2.0))
        l1 = self.l1_regularization_strength
        return ops.divide(ops.subtract(ops.clip(z, -l1, l1), z), quadratic), {"accumulator": new, "linear": z}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        names = (
            "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength",
            "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _strength(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}.")
    return float(value)
