"""Optimizers that scale the gradient by its history: SGD, RMSprop, Adagrad, Adadelta and Ftrl."""

from __future__ import annotations

from typing import Any

from lamella import ops
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slots


class SGD(Optimizer):
    """w - lr g; with momentum m = momentum m - lr g and w + m

    With `nesterov` the step is w + momentum m - lr g, after m. The learning rate is inside the momentum, as in Keras.
    """

    default_learning_rate = 0.01

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        self.momentum = fraction("momentum", momentum, closed=True)
        self.nesterov = bool(nesterov)

    def slots(self) -> dict[str, float | None]:
        """The momentum, where there is one."""
        return {"momentum": 0.0} if self.momentum else {}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        step = ops.multiply(scalars["learning_rate"], g)
        if not self.momentum:
            return ops.subtract(w, step), {}
        m = ops.subtract(ops.multiply(slots["momentum"], self.momentum), step)
        if self.nesterov:
            return ops.add(w, ops.subtract(ops.multiply(m, self.momentum), step)), {"momentum": m}
        return ops.add(w, m), {"momentum": m}

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g**2; w - lr g / sqrt(v + epsilon)

    `centered` takes the square of the mean gradient from v; with momentum the step goes into m = momentum m + step first.

    References:
        G. Hinton, "Neural networks for machine learning, lecture 6e", 2012.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = fraction("rho", rho, closed=True)
        self.momentum = fraction("momentum", momentum, closed=True)
        self.epsilon = float(epsilon)
        self.centered = bool(centered)

    def slots(self) -> dict[str, float | None]:
        """The mean square; momentum and mean gradient where they are asked for."""
        kept: dict[str, float | None] = {"velocity": 0.0}
        if self.momentum:
            kept["momentum"] = 0.0
        if self.centered:
            kept["average_gradient"] = 0.0
        return kept

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        v = ops.add(ops.multiply(slots["velocity"], self.rho), ops.multiply(ops.square(g), 1.0 - self.rho))
        new: Slots = {"velocity": v}
        spread = v
        if self.centered:
            mean = ops.add(ops.multiply(slots["average_gradient"], self.rho), ops.multiply(g, 1.0 - self.rho))
            new["average_gradient"] = mean
            spread = ops.subtract(v, ops.square(mean))
        step = ops.divide(ops.multiply(scalars["learning_rate"], g), ops.sqrt(ops.add(spread, self.epsilon)))
        if self.momentum:
            step = new["momentum"] = ops.add(ops.multiply(slots["momentum"], self.momentum), step)
        return ops.subtract(w, step), new

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return {**super().get_config(), **own}


class Adagrad(Optimizer):
    """a = a + g**2; w - lr g / sqrt(a + epsilon)

    References:
        J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
        Journal of Machine Learning Research 12, 2011.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
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
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.epsilon = float(epsilon)

    def slots(self) -> dict[str, float | None]:
        """The sum of squares."""
        return {"accumulator": self.initial_accumulator_value}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        a = ops.add(slots["accumulator"], ops.square(g))
        step = ops.divide(ops.multiply(scalars["learning_rate"], g), ops.sqrt(ops.add(a, self.epsilon)))
        return ops.subtract(w, step), {"accumulator": a}

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adadelta(Optimizer):
    """G = rho G + (1 - rho) g**2; d = -sqrt(D + epsilon) g / sqrt(G + epsilon); D = rho D + (1 - rho) d**2; w + lr d

    References:
        M. D. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, https://arxiv.org/abs/1212.5701.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
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
        self.rho = fraction("rho", rho, closed=True)
        self.epsilon = float(epsilon)

    def slots(self) -> dict[str, float | None]:
        """The mean squares of gradients and of steps."""
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        squares = ops.add(
            ops.multiply(slots["accumulated_grad"], self.rho), ops.multiply(ops.square(g), 1.0 - self.rho)
        )
        before = slots["accumulated_delta_var"]
        ratio = ops.divide(ops.sqrt(ops.add(before, self.epsilon)), ops.sqrt(ops.add(squares, self.epsilon)))
        step = ops.multiply(ratio, g)
        steps = ops.add(ops.multiply(before, self.rho), ops.multiply(ops.square(step), 1.0 - self.rho))
        w = ops.subtract(w, ops.multiply(scalars["learning_rate"], step))
        return w, {"accumulated_grad": squares, "accumulated_delta_var": steps}

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
