"""Adam and its variants: a mean gradient divided by the root of a mean square, both corrected for their start at 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.ir.spec import numpy_dtype, spec_of
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slots, Weight

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def updates(step: Tensor, like: Tensor) -> Tensor:
    """The number of updates including the current one, as a float in the dtype of `like`."""
    return ops.add(ops.cast(step, spec_of(like).dtype), 1.0)


def one_minus_power(base: float, t: Tensor) -> Tensor:
    """1 - base**t, as -expm1(t log(base)): accurate also where base**t is close to 1."""
    if base == 0.0:
        return ops.ones_like(t)
    return ops.negative(ops.expm1(ops.multiply(t, math.log(base))))


def moving(old: Tensor, new: Tensor, beta: float) -> Tensor:
    """old + (new - old) (1 - beta)"""
    return ops.add(old, ops.multiply(ops.subtract(new, old), 1.0 - beta))


def bias_corrected(rate: Tensor, step: Tensor, beta_1: float, beta_2: float) -> Tensor:
    """rate sqrt(1 - beta_2**t) / (1 - beta_1**t)"""
    t = updates(step, rate)
    return ops.multiply(rate, ops.divide(ops.sqrt(one_minus_power(beta_2, t)), one_minus_power(beta_1, t)))


def adam_step(
    w: Tensor, g: Tensor, slots: Slots, alpha: Tensor, beta_1: float, beta_2: float, epsilon: float
) -> tuple[Any, Slots]:
    """w - alpha m / (sqrt(v) + epsilon); with a slot "velocity_hat", the largest v so far replaces v."""
    m = moving(slots["momentum"], g, beta_1)
    v = moving(slots["velocity"], ops.square(g), beta_2)
    new = {"momentum": m, "velocity": v}
    if "velocity_hat" in slots:
        v = new["velocity_hat"] = ops.maximum(slots["velocity_hat"], v)
    step = ops.divide(ops.multiply(m, alpha), ops.add(ops.sqrt(v), epsilon))
    return ops.subtract(w, step), new


class Adam(Optimizer):
    """Adaptive moment estimation: w - lr sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + epsilon).

    m and v are exponential moving averages of g and g**2, and t counts updates from 1. As in Keras, epsilon is added
    outside the root and is not bias-corrected.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the decay rate of m, from 0 up to but not including 1.
        beta_2: the decay rate of v, from 0 up to but not including 1.
        epsilon: added to the root of v for numerical stability.
        amsgrad: whether to divide by the largest v so far (AMSGrad).
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
        D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
        S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR 2018,
        https://arxiv.org/abs/1904.09237.

    Example:
        The first step has the size of the learning rate, whatever the size of the gradient:

        >>> import numpy as np
        >>> from lamella.optimizers import Adam
        >>> [w] = Adam(0.1).apply([np.array([0.01, -100.0])], [np.zeros(2)])
        >>> w.round(4)
        array([-0.1,  0.1])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        self.beta_1 = fraction("beta_1", beta_1)
        self.beta_2 = fraction("beta_2", beta_2)
        self.epsilon = float(epsilon)
        self.amsgrad = bool(amsgrad)

    def slots(self) -> dict[str, float | None]:
        """The first and second moments; with amsgrad also the largest second moment."""
        kept: dict[str, float | None] = {"momentum": 0.0, "velocity": 0.0}
        return {**kept, "velocity_hat": 0.0} if self.amsgrad else kept

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The learning rate with both bias corrections."""
        return {"alpha": bias_corrected(learning_rate, step, self.beta_1, self.beta_2)}

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        return adam_step(w, g, slots, scalars["alpha"], self.beta_1, self.beta_2, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return {**super().get_config(), **own}


class AdamW(Adam):
    """Adam with decoupled weight decay: every update also subtracts lr weight_decay w.

    All weights decay, biases included; `exclude_from_weight_decay` leaves some out.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        weight_decay: the rate of the decay; 0 for none.
        beta_1: the decay rate of m, from 0 up to but not including 1.
        beta_2: the decay rate of v, from 0 up to but not including 1.
        epsilon: added to the root of v for numerical stability.
        amsgrad: whether to divide by the largest v so far (AMSGrad).
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
        ValueError: an argument is out of range, `weight_decay` is None, or more than one way of clipping is given.
        TypeError: an argument is unknown.

    References:
        I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, https://arxiv.org/abs/1711.05101.

    Example:
        Without a gradient, only the decay acts:

        >>> import numpy as np
        >>> from lamella.optimizers import AdamW
        >>> AdamW(0.1, weight_decay=0.5).apply([np.zeros(2)], [np.array([1.0, -2.0])])
        [array([ 0.95, -1.9 ])]
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
            ema_momentum, ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        if self.weight_decay is None:
            raise ValueError("AdamW requires a weight_decay: use Adam, or weight_decay=0, for none.")


class TwoBetas(Optimizer):
    """The constructor that Adamax, Nadam and Lamb share.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the decay rate of the first moment, from 0 up to but not including 1.
        beta_2: the decay rate of the second moment, from 0 up to but not including 1.
        epsilon: added to the denominator for numerical stability.
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
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
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
        self.beta_1 = fraction("beta_1", beta_1)
        self.beta_2 = fraction("beta_2", beta_2)
        self.epsilon = float(epsilon)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adamax(TwoBetas):
    """Adam with the infinity norm: u = max(beta_2 u, |g|); w - lr m / ((1 - beta_1**t) (u + epsilon)).

    m is an exponential moving average of g, and t counts updates from 1.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the decay rate of m, from 0 up to but not including 1.
        beta_2: the decay rate of u, from 0 up to but not including 1.
        epsilon: added to u for numerical stability.
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
        D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", section 7, ICLR 2015,
        https://arxiv.org/abs/1412.6980.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import Adamax
        >>> [w] = Adamax(0.1).apply([np.array([0.01, -100.0])], [np.zeros(2)])
        >>> w.round(4)
        array([-0.1,  0.1])
    """

    def slots(self) -> dict[str, float | None]:
        """The first moment and the infinity norm."""
        return {"momentum": 0.0, "norm": 0.0}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The bias-corrected learning rate."""
        return {"alpha": ops.divide(learning_rate, one_minus_power(self.beta_1, updates(step, learning_rate)))}

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        m = moving(slots["momentum"], g, self.beta_1)
        u = ops.maximum(ops.multiply(slots["norm"], self.beta_2), ops.abs(g))
        step = ops.divide(ops.multiply(scalars["alpha"], m), ops.add(u, self.epsilon))
        return ops.subtract(w, step), {"momentum": m, "norm": u}


# Products of 1 - 0.96**i / 2 for i = 1 ... n; in float64 all factors after 1024 are exactly 1.
_NADAM_PRODUCTS = np.concatenate([[1.0], np.cumprod(1.0 - 0.5 * 0.96 ** np.arange(1.0, 1024.0))])


class Nadam(TwoBetas):
    """Adam with Nesterov momentum, whose rate u_t = beta_1 (1 - 0.96**t / 2) rises with the update t.

    The bias-corrected m of Adam is replaced by u_{t+1} m / (1 - P_{t+1}) + (1 - u_t) g / (1 - P_t), where P_t is the
    product of u_1 ... u_t. P is computed from t and is not part of the state: it is beta_1**t times a product that is
    constant in float64 after a thousand factors.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the decay rate of m, from 0 up to but not including 1.
        beta_2: the decay rate of v, from 0 up to but not including 1.
        epsilon: added to the root of v for numerical stability.
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
        T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016,
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import Nadam
        >>> [w] = Nadam(0.1).apply([np.array([0.01, -100.0])], [np.zeros(2)])
        >>> w.round(3)
        array([-0.106,  0.106])
    """

    def slots(self) -> dict[str, float | None]:
        """The first and second moments."""
        return {"momentum": 0.0, "velocity": 0.0}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The factors of momentum and gradient, and the bias correction of the mean square."""
        dtype = spec_of(learning_rate).dtype
        t = updates(step, learning_rate)
        now, following = (self._u(x) for x in (t, ops.add(t, 1.0)))
        settled = ops.cast(ops.minimum(t, float(len(_NADAM_PRODUCTS) - 1)), "int32")
        # beta_1**t as 1 - (1 - beta_1**t), whose error is small for large t
        power = ops.subtract(1.0, one_minus_power(self.beta_1, t))
        product = ops.multiply(power, ops.take(_NADAM_PRODUCTS.astype(numpy_dtype(dtype)), settled, axis=0))
        return {
            "learning_rate": learning_rate,
            "of_mean": ops.divide(following, ops.subtract(1.0, ops.multiply(product, following))),
            "of_gradient": ops.divide(ops.subtract(1.0, now), ops.subtract(1.0, product)),
            "correction": one_minus_power(self.beta_2, t),
        }

    def _u(self, t: Tensor) -> Tensor:
        decayed = ops.exp(ops.multiply(t, math.log(0.96)))
        return ops.multiply(ops.subtract(1.0, ops.multiply(0.5, decayed)), self.beta_1)

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        m = moving(slots["momentum"], g, self.beta_1)
        v = moving(slots["velocity"], ops.square(g), self.beta_2)
        mean = ops.add(ops.multiply(scalars["of_mean"], m), ops.multiply(scalars["of_gradient"], g))
        spread = ops.sqrt(ops.divide(v, scalars["correction"]))
        step = ops.divide(ops.multiply(mean, scalars["learning_rate"]), ops.add(spread, self.epsilon))
        return ops.subtract(w, step), {"momentum": m, "velocity": v}


class Lamb(TwoBetas):
    """Layerwise adaptive moments: w - lr |w| / |u| u, where u = m / (sqrt(v) + epsilon) is the step of Adam.

    m and v are bias-corrected. The ratio of the Euclidean norms is computed per weight, and is 1 where one of them is
    0.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the decay rate of m, from 0 up to but not including 1.
        beta_2: the decay rate of v, from 0 up to but not including 1.
        epsilon: added to the root of v for numerical stability.
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
        Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020,
        https://arxiv.org/abs/1904.00962.

    Example:
        The step has `learning_rate` times the norm of the weight:

        >>> import numpy as np
        >>> from lamella.optimizers import Lamb
        >>> [w] = Lamb(0.1).apply([np.ones(2)], [np.array([3.0, 4.0])])
        >>> w.round(3), float(np.linalg.norm(w - [3.0, 4.0]).round(3))
        (array([2.646, 3.646]), 0.5)
    """

    def slots(self) -> dict[str, float | None]:
        """The first and second moments."""
        return {"momentum": 0.0, "velocity": 0.0}

    def elementwise(self, weight: Weight) -> bool:
        """False: the rule uses norms of whole weights."""
        return False

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The learning rate and the bias corrections."""
        t = updates(step, learning_rate)
        corrections = {"of_mean": one_minus_power(self.beta_1, t), "of_square": one_minus_power(self.beta_2, t)}
        return {"learning_rate": learning_rate, **corrections}

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one weight."""
        m = moving(slots["momentum"], g, self.beta_1)
        v = moving(slots["velocity"], ops.square(g), self.beta_2)
        spread = ops.add(ops.sqrt(ops.divide(v, scalars["of_square"])), self.epsilon)
        u = ops.divide(ops.divide(m, scalars["of_mean"]), spread)
        length, size = (ops.sqrt(ops.sum(ops.square(x))) for x in (w, u))
        neither = ops.logical_or(ops.equal(length, 0.0), ops.equal(size, 0.0))
        ratio = ops.where(neither, 1.0, ops.divide(length, ops.where(neither, 1.0, size)))
        step = ops.multiply(ops.multiply(scalars["learning_rate"], ratio), u)
        return ops.subtract(w, step), {"momentum": m, "velocity": v}


class Lion(Optimizer):
    """Step by the sign of an interpolated momentum: w - lr sign(beta_1 m + (1 - beta_1) g).

    After the step, m = beta_2 m + (1 - beta_2) g.
    All elements of a weight change by the same amount, so smaller learning rates than Adam's are common.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step; see `Optimizer`.
        beta_1: the share of the momentum in the step, from 0 to 1.
        beta_2: the decay rate of the momentum, from 0 to 1.
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
        X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, https://arxiv.org/abs/2302.06675.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import Lion
        >>> Lion(0.1).apply([np.array([0.01, -100.0, 0.0])], [np.zeros(3)])
        [array([-0.1,  0.1,  0. ])]
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
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
        self.beta_2 = fraction("beta_2", beta_2, closed=True)

    def slots(self) -> dict[str, float | None]:
        """The momentum."""
        return {"momentum": 0.0}

    def rule(self, w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """Update one element of a weight."""
        m = slots["momentum"]
        direction = ops.sign(ops.add(ops.multiply(m, self.beta_1), ops.multiply(g, 1.0 - self.beta_1)))
        w = ops.subtract(w, ops.multiply(scalars["learning_rate"], direction))
        return w, {"momentum": ops.add(ops.multiply(m, self.beta_2), ops.multiply(g, 1.0 - self.beta_2))}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
