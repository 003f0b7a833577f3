"""Adafactor: the mean square of a matrix kept as a row and a column."""

from __future__ import annotations

from typing import Any

from lamella import ops
from lamella.optimizers.adam import updates
from lamella.optimizers.base import Optimizer
from lamella.optimizers.state import Slot, Slots, Weight


def _root_mean_square(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))


class Adafactor(Optimizer):
    """u = g / sqrt(v); w - max(epsilon_2, rms(w)) min(lr, 1 / sqrt(t)) u / max(1, rms(u) / clip_threshold)

    v is a moving mean of g**2 + epsilon_1 with beta_2 = 1 - t**beta_2_decay, t counted from 1. Of a weight with two or more
    dimensions only its means along the last and along the last but one dimension are kept, r and c, and
    v = r c / mean(r): a row and a column in the place of a matrix.

    As in Keras 3.15 the step is never above 1 / sqrt(t), so `relative_step` changes nothing.

    References:
        N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018,
        https://arxiv.org/abs/1804.04235.
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
            raise ValueError(f"clip_threshold is positive, got {clip_threshold}.")
        self.beta_2_decay = float(beta_2_decay)
        self.epsilon_1 = float(epsilon_1)
        self.epsilon_2 = float(epsilon_2)
        self.clip_threshold = float(clip_threshold)
        self.relative_step = bool(relative_step)

    def slots_of(self, weight: Weight) -> dict[str, Slot]:
        """A row and a column of means, or for a vector all of them."""
        shape, dtype = weight.shape, weight.dtype
        if weight.ndim < 2:
            return {"velocity": Slot(shape, dtype)}
        return {"row": Slot(shape[:-1], dtype), "column": Slot((*shape[:-2], shape[-1]), dtype)}

    def elementwise(self, weight: Weight) -> bool:
        """The rule looks at whole weights."""
        return False

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The bounded learning rate, and what the means forget."""
        t = updates(step, learning_rate)
        return {
            "rho": ops.minimum(learning_rate, ops.divide(1.0, ops.sqrt(t))),
            "forgotten": ops.power(t, self.beta_2_decay),
        }

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One weight's update."""
        squares = ops.add(ops.square(g), self.epsilon_1)
        kept = ops.subtract(1.0, scalars["forgotten"])

        def moved(old: Any, new: Any) -> Any:
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
        """Every argument."""
        names = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
