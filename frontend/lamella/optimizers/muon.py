"""Muon: steps along orthogonalized momentum."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.optimizers.adam import adam_step, bias_corrected
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slot, Slots, Weight

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Muon(Optimizer):
    """Step along the orthogonalized momentum of matrices, and train all other weights with Adam.

    For matrices, m = momentum m + g; w - lr rms_rate sqrt(max(rows, columns)) orthogonal(g + momentum m). `orthogonal`
    brings the singular values near 1 by `ns_steps` Newton-Schulz iterations x = muon_a x + muon_b (x x') x + muon_c (x
    x')**2 x.

    Adam trains weights that are not matrices, embeddings (weights whose path contains "embedding") and weights whose
    path matches one of `exclude_layers`. The output layer should be among these.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        adam_beta_1: Adam's `beta_1`.
        adam_beta_2: Adam's `beta_2`.
        adam_weight_decay: the weight decay of the weights that Adam trains; None for none.
        epsilon: Adam's `epsilon`.
        weight_decay: the weight decay of the matrices; None for none.
        clipnorm: the largest Euclidean norm of the gradient of one weight.
        clipvalue: the largest absolute value of an element of a gradient.
        global_clipnorm: the largest Euclidean norm of all gradients together.
        use_ema: whether to keep moving averages of the weights, which replace the weights at the end of `fit`.
        ema_momentum: the decay rate of these averages, from 0 to 1.
        ema_overwrite_frequency: the number of updates after which the averages replace the weights during training.
        loss_scale_factor: multiplies the loss before differentiation; the gradients are divided by it.
        gradient_accumulation_steps: the number of steps whose gradients are averaged for one update.
        name: the name in files; None is the class name in snake case.
        exclude_layers: regular expressions, searched for in the paths of weights ("dense/kernel").
        exclude_embeddings: whether Adam trains embeddings.
        muon_a: the coefficient of x.
        muon_b: the coefficient of (x x') x.
        muon_c: the coefficient of (x x')**2 x.
        adam_lr_ratio: Adam's learning rate divided by that of the matrices.
        momentum: the decay rate of m, from 0 to 1.
        ns_steps: the number of Newton-Schulz iterations.
        nesterov: whether to orthogonalize g + momentum m; False orthogonalizes m.
        rms_rate: the factor of the step; None makes the step lr times the orthogonal matrix.
        **kwargs: `lr` and `decay`, deprecated arguments of earlier Keras versions.

    Raises:
        ValueError: an argument is out of range, or more than one way of clipping is given.
        TypeError: an argument is unknown.

    References:
        K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
        https://kellerjordan.github.io/posts/muon.
        J. Liu et al., "Muon is scalable for LLM training", 2025, https://arxiv.org/abs/2502.16982.

    Example:
        The singular values of the step are close to one another:

        >>> import numpy as np
        >>> from lamella.optimizers import Muon
        >>> [w] = Muon(1.0, rms_rate=None, weight_decay=None).apply([np.diag([5.0, 1.0])], [np.zeros((2, 2))])
        >>> np.linalg.svd(w, compute_uv=False).round(1)
        array([0.8, 0.7])
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
            raise ValueError(f"adam_weight_decay must not be negative, got {adam_weight_decay}.")
        if isinstance(exclude_layers, str):
            raise ValueError(f"exclude_layers must be a list of strings, got {exclude_layers!r}.")
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
        """The weight decay of Adam for the weights that it trains."""
        if not self._decays(weight):
            return None
        return self.adam_weight_decay if self.elementwise(weight) else self.weight_decay

    def slots_of(self, weight: Weight) -> dict[str, Slot]:
        """The momentum, and for weights that Adam trains the mean square."""
        kept = ("momentum", "velocity") if self.elementwise(weight) else ("momentum",)
        return {name: Slot(weight.shape, weight.dtype) for name in kept}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The learning rate of matrices, and that of Adam with its bias corrections."""
        of_adam = ops.multiply(learning_rate, self.adam_lr_ratio)
        return {
            "learning_rate": learning_rate,
            "alpha": bias_corrected(of_adam, step, self.adam_beta_1, self.adam_beta_2),
        }

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one matrix, or one element of a weight that Adam trains."""
        if "velocity" in slots:
            return adam_step(w, g, slots, scalars["alpha"], self.adam_beta_1, self.adam_beta_2, self.epsilon)
        m = ops.add(ops.multiply(slots["momentum"], self.momentum), g)
        direction = ops.add(g, ops.multiply(m, self.momentum)) if self.nesterov else m
        step = ops.multiply(self._orthogonal(direction), scalars["learning_rate"])
        if self.rms_rate is not None:
            step = ops.multiply(step, math.sqrt(max(w.shape)) * self.rms_rate)
        return ops.subtract(w, step), {"momentum": m}

    def _orthogonal(self, x: Tensor) -> Tensor:
        """Approximately U V' of x = U S V'."""
        tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if tall else x
        x = ops.divide(x, ops.add(ops.sqrt(ops.sum(ops.square(x))), 1e-7))
        for _ in range(self.ns_steps):
            a = ops.matmul(x, ops.transpose(x))
            b = ops.add(ops.multiply(a, self.muon_b), ops.matmul(ops.multiply(a, self.muon_c), a))
            x = ops.add(ops.multiply(x, self.muon_a), ops.matmul(b, x))
        return ops.transpose(x) if tall else x

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        names = (
            "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_layers", "exclude_embeddings", "muon_a",
            "muon_b", "muon_c", "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "rms_rate",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
