"""Optimizers that scale the gradient by its history: SGD, RMSprop, Adagrad and Adadelta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slots

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, w - lr g, optionally with momentum.

    With momentum, m = momentum m - lr g and w + m; with `nesterov`, w + momentum m - lr g instead. As in Keras, the
    learning rate is part of m.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        momentum: the decay rate of past steps, from 0 to 1; 0 keeps no momentum.
        nesterov: whether to use Nesterov's form of the momentum.
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
        I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
        learning", ICML 2013, https://proceedings.mlr.press/v28/sutskever13.html.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import SGD
        >>> w, g = np.array([1.0, 2.0], "float32"), np.array([1.0, -1.0], "float32")
        >>> SGD(0.5).apply([g], [w])
        [array([0.5, 2.5], dtype=float32)]
        >>> optimizer = SGD(0.5, momentum=0.5)
        >>> for _ in range(2):
        ...     [w] = optimizer.apply([g], [w])
        >>> w
        array([-0.25,  3.25], dtype=float32)
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
        """The momentum, if any."""
        return {"momentum": 0.0} if self.momentum else {}

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        step = ops.multiply(scalars["learning_rate"], g)
        if not self.momentum:
            return ops.subtract(w, step), {}
        m = ops.subtract(ops.multiply(slots["momentum"], self.momentum), step)
        if self.nesterov:
            return ops.add(w, ops.subtract(ops.multiply(m, self.momentum), step)), {"momentum": m}
        return ops.add(w, m), {"momentum": m}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """Scale gradients by a moving root mean square: v = rho v + (1 - rho) g**2; w - lr g / sqrt(v + epsilon).

    With `centered`, the square of the moving mean gradient is subtracted from v. With `momentum`, the step is first
    added to m = momentum m + step.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        rho: the decay rate of v, from 0 to 1.
        momentum: the decay rate of past steps, from 0 to 1; 0 keeps no momentum.
        epsilon: added to v for numerical stability.
        centered: whether to divide by the standard deviation of the gradient instead of its root mean square.
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
        G. Hinton, N. Srivastava, K. Swersky, "Neural networks for machine learning, lecture 6e", 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.

    Example:
        Gradients of any size make steps of the same size:

        >>> import numpy as np
        >>> from lamella.optimizers import RMSprop
        >>> [w] = RMSprop(0.1, rho=0.0).apply([np.array([0.01, -100.0])], [np.zeros(2)])
        >>> w.round(3)
        array([-0.1,  0.1])
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
        """The mean square; momentum and mean gradient if they are used."""
        kept: dict[str, float | None] = {"velocity": 0.0}
        if self.momentum:
            kept["momentum"] = 0.0
        if self.centered:
            kept["average_gradient"] = 0.0
        return kept

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
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
        """The constructor's arguments, as JSON values."""
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return {**super().get_config(), **own}


class Adagrad(Optimizer):
    """Scale gradients by the sum of their squares: a = a + g**2; w - lr g / sqrt(a + epsilon).

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        initial_accumulator_value: the value of a before the first step.
        epsilon: added to a for numerical stability.
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
        J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
        JMLR 12, 2011, https://jmlr.org/papers/v12/duchi11a.html.

    Example:
        Steps get smaller as squares accumulate:

        >>> import numpy as np
        >>> from lamella.optimizers import Adagrad
        >>> optimizer, w = Adagrad(0.5, initial_accumulator_value=0.0), np.zeros(1)
        >>> for _ in range(3):
        ...     [w] = optimizer.apply([np.ones(1)], [w])
        ...     print(w.round(3))
        [-0.5]
        [-0.854]
        [-1.142]
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

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        a = ops.add(slots["accumulator"], ops.square(g))
        step = ops.divide(ops.multiply(scalars["learning_rate"], g), ops.sqrt(ops.add(a, self.epsilon)))
        return ops.subtract(w, step), {"accumulator": a}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adadelta(Optimizer):
    """Scale gradients by the ratio of the root mean squares of past steps and of gradients.

    G = rho G + (1 - rho) g**2; d = -sqrt(D + epsilon) g / sqrt(G + epsilon); D = rho D + (1 - rho) d**2; w + lr d.

    Args:
        learning_rate: as for all optimizers; the paper uses 1.
        rho: the decay rate of both means, from 0 to 1.
        epsilon: added to both means; it also sets the size of the first step.
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
        M. D. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, https://arxiv.org/abs/1212.5701.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import Adadelta
        >>> optimizer, w = Adadelta(1.0, epsilon=1e-2), np.zeros(1)
        >>> for _ in range(3):
        ...     [w] = optimizer.apply([np.ones(1)], [w])
        ...     print(w.round(3))
        [-0.408]
        [-0.821]
        [-1.237]
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

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
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
        """The constructor's arguments, as JSON values."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
