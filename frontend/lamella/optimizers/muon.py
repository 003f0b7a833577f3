"""Muon: steps along orthogonalized momentum."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.optimizers.adam import adam_step, bias_corrected
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slot, Slots, Weight


class Muon(Optimizer):
    """m = momentum m + g; w - lr rms_rate sqrt(max(rows, columns)) orthogonal(g + momentum m) for matrices

    `orthogonal` brings the singular values near 1 by `ns_steps` Newton-Schulz iterations with the coefficients muon_a,
    muon_b and muon_c. Weights that are no matrices, those of embeddings (`exclude_embeddings`: "embedding" stands in their
    path) and those in whose path a regular expression of `exclude_layers` is found are trained by Adam, with
    adam_beta_1, adam_beta_2, epsilon, learning_rate * adam_lr_ratio and adam_weight_decay. Name the last layer there.

    Args:
        learning_rate: see `Optimizer`.
        adam_beta_1: Adam's, for the weights it trains.
        adam_beta_2: likewise.
        adam_weight_decay: likewise.
        epsilon: likewise.
        weight_decay: of the matrices.
        *common: the options of `Optimizer` from `clipnorm` on.
        exclude_layers: regular expressions.
        exclude_embeddings: whether Adam trains embeddings.
        muon_a: coefficient of x.
        muon_b: coefficient of (x x') x.
        muon_c: coefficient of (x x')**2 x.
        adam_lr_ratio: Adam's learning rate over Muon's.
        momentum: from 0 to 1.
        ns_steps: the number of iterations.
        nesterov: False orthogonalizes m itself.
        rms_rate: None for a step of lr times the orthogonal matrix.
        **options: the options of `Optimizer`.

    References:
        K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
        https://kellerjordan.github.io/posts/muon.
        J. Liu et al., "Muon is scalable for LLM training", 2025, https://arxiv.org/abs/2502.16982.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        if adam_weight_decay is not None and adam_weight_decay < 0:
            raise ValueError(f"adam_weight_decay is not negative, got {adam_weight_decay}.")
        if isinstance(exclude_layers, str):
            raise ValueError(f"exclude_layers is a list of strings, got {exclude_layers!r}.")
        self.adam_beta_1 = fraction("adam_beta_1", adam_beta_1)
        self.adam_beta_2 = fraction("adam_beta_2", adam_beta_2)
        self.adam_weight_decay = None if adam_weight_decay is None else float(adam_weight_decay)
        self.epsilon = float(epsilon)
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = bool(exclude_embeddings)
        self.muon_a, self.muon_b, self.muon_c = float(muon_a), float(muon_b), float(muon_c)
        self.adam_lr_ratio = float(adam_lr_ratio)
        self.momentum = fraction("momentum", momentum, closed=True)
        self.ns_steps = int(ns_steps)
        self.nesterov = bool(nesterov)
        self.rms_rate = None if rms_rate is None else float(rms_rate)

    def elementwise(self, weight: Weight) -> bool:
        """Whether Adam trains the weight."""
        if weight.ndim != 2 or (self.exclude_embeddings and "embedding" in weight.path.lower()):
            return True
        return any(re.search(expression, weight.path) for expression in self.exclude_layers)

    def decay_of(self, weight: Weight) -> float | None:
        """Adam's for the weights it trains."""
        if not self._decays(weight):
            return None
        return self.adam_weight_decay if self.elementwise(weight) else self.weight_decay

    def slots_of(self, weight: Weight) -> dict[str, Slot]:
        """The momentum, and for Adam's weights the mean square."""
        kept = ("momentum", "velocity") if self.elementwise(weight) else ("momentum",)
        return {name: Slot(weight.shape, weight.dtype) for name in kept}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """Muon's learning rate, and Adam's with its corrections."""
        of_adam = ops.multiply(learning_rate, self.adam_lr_ratio)
        return {
            "learning_rate": learning_rate,
            "alpha": bias_corrected(of_adam, step, self.adam_beta_1, self.adam_beta_2),
        }

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One weight's update; one number's for a weight that Adam trains."""
        if "velocity" in slots:
            return adam_step(w, g, slots, scalars["alpha"], self.adam_beta_1, self.adam_beta_2, self.epsilon)
        m = ops.add(ops.multiply(slots["momentum"], self.momentum), g)
        direction = ops.add(g, ops.multiply(m, self.momentum)) if self.nesterov else m
        step = ops.multiply(self._orthogonal(direction), scalars["learning_rate"])
        if self.rms_rate is not None:
            step = ops.multiply(step, math.sqrt(max(w.shape)) * self.rms_rate)
        return ops.subtract(w, step), {"momentum": m}

    def _orthogonal(self, x: Any) -> Any:
        """About U V' of x = U S V'."""
        tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if tall else x
        x = ops.divide(x, ops.add(ops.sqrt(ops.sum(ops.square(x))), 1e-7))
        for _ in range(self.ns_steps):
            a = ops.matmul(x, ops.transpose(x))
            b = ops.add(ops.multiply(a, self.muon_b), ops.matmul(ops.multiply(a, self.muon_c), a))
            x = ops.add(ops.multiply(x, self.muon_a), ops.matmul(b, x))
        return ops.transpose(x) if tall else x

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        names = (
            "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_layers", "exclude_embeddings", "muon_a",
            "muon_b", "muon_c", "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "rms_rate",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
