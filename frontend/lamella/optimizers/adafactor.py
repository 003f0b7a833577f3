"""Adafactor: second moments of a matrix kept as one row and one column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.optimizers.adam import updates
from lamella.optimizers.base import Optimizer
from lamella.optimizers.state import Slot, Slots, Weight

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _root_mean_square(x: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(x)))


class Adafactor(Optimizer):
    """Adam with factored second moments: per matrix, one mean per row and one per column instead of one per element.

    u = g / sqrt(v); w - max(epsilon_2, rms(w)) min(lr, 1 / sqrt(t)) u / max(1, rms(u) / clip_threshold). v is a moving
    mean of g**2 + epsilon_1 with the decay rate 1 - t**beta_2_decay, t counted from 1. For weights with two or more
    dimensions only the means of v over the last axis, r, and over the last but one, c, are kept, and v = r c / mean(r).

    Args:
        learning_rate: as for all optimizers; the step is at most 1 / sqrt(t).
        beta_2_decay: the exponent of the decay rate, negative.
        epsilon_1: added to g**2.
        epsilon_2: the least factor by which the learning rate is scaled.
        clip_threshold: the largest root mean square of u; positive.
        relative_step: accepted for compatibility; as in Keras 3.15, the step is at most 1 / sqrt(t) in any case.
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
        N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018,
        https://arxiv.org/abs/1804.04235.

    Example:
        >>> import lamella
        >>> optimizer, w = lamella.optimizers.Adafactor(0.1), lamella.Variable([[1.0, 2.0], [3.0, 4.0]], name="w")
        >>> optimizer.build([w])
        >>> [(v.name, v.shape) for v in optimizer.variables if v.name.startswith("w")]
        [('w_row', (2,)), ('w_column', (2,))]
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
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
        if not clip_threshold > 0:
            raise ValueError(f"clip_threshold must be positive, got {clip_threshold}.")
        self.beta_2_decay = float(beta_2_decay)
        self.epsilon_1 = float(epsilon_1)
        self.epsilon_2 = float(epsilon_2)
        self.clip_threshold = float(clip_threshold)
        self.relative_step = bool(relative_step)

    def slots_of(self, weight: Weight) -> dict[str, Slot]:
        """One row and one column of means, or for a vector one mean per element."""
        shape, dtype = weight.shape, weight.dtype
        if weight.ndim < 2:
            return {"velocity": Slot(shape, dtype)}
        return {"row": Slot(shape[:-1], dtype), "column": Slot((*shape[:-2], shape[-1]), dtype)}

    def elementwise(self, weight: Weight) -> bool:
        """False: the rule uses means over whole weights."""
        return False

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The bounded learning rate, and the weight of new values in the means."""
        t = updates(step, learning_rate)
        return {
            "rho": ops.minimum(learning_rate, ops.divide(1.0, ops.sqrt(t))),
            "forgotten": ops.power(t, self.beta_2_decay),
        }

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one weight."""
        squares = ops.add(ops.square(g), self.epsilon_1)
        kept = ops.subtract(1.0, scalars["forgotten"])

        def moved(old: Tensor, new: Tensor) -> Tensor:
            return ops.add(ops.multiply(old, kept), ops.multiply(new, scalars["forgotten"]))

        if "velocity" in slots:
            new = {"velocity": moved(slots["velocity"], squares)}
            v = new["velocity"]
        else:
            row = moved(slots["row"], ops.mean(squares, axis=-1))
            column = moved(slots["column"], ops.mean(squares, axis=-2))
            new = {"row": row, "column": column}
            share = ops.divide(row, ops.mean(row, axis=-1, keepdims=True))
            v = ops.multiply(ops.expand_dims(share, -1), ops.expand_dims(column, -2))
        u = ops.divide(g, ops.sqrt(v))
        u = ops.divide(u, ops.maximum(ops.divide(_root_mean_square(u), self.clip_threshold), 1.0))
        alpha = ops.multiply(ops.maximum(_root_mean_square(w), self.epsilon_2), scalars["rho"])
        return ops.subtract(w, ops.multiply(alpha, u)), new

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        names = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
