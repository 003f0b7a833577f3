"""Adam and its kin: a mean gradient over the root of a mean square, both corrected for their start at 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamella import ops
from lamella.ir.spec import numpy_dtype, spec_of
from lamella.optimizers.base import Optimizer, fraction
from lamella.optimizers.state import Slots, Weight


def updates(step: Any, like: Any) -> Any:
    """How many updates there are with this one, as a float in the dtype of `like`."""
    return ops.add(ops.cast(step, spec_of(like).dtype), 1.0)


def one_minus_power(base: float, t: Any) -> Any:
    """1 - base**t, as -expm1(t log(base)): full relative accuracy also where base**t is close to 1."""
    if base == 0.0:
        return ops.ones_like(t)
    return ops.negative(ops.expm1(ops.multiply(t, math.log(base))))


def moving(old: Any, new: Any, beta: float) -> Any:
    """old + (new - old) (1 - beta)"""
    return ops.add(old, ops.multiply(ops.subtract(new, old), 1.0 - beta))


def bias_corrected(rate: Any, step: Any, beta_1: float, beta_2: float) -> Any:
    """rate sqrt(1 - beta_2**t) / (1 - beta_1**t)"""
    t = updates(step, rate)
    return ops.multiply(rate, ops.divide(ops.sqrt(one_minus_power(beta_2, t)), one_minus_power(beta_1, t)))


def adam_step(
    w: Any, g: Any, slots: Slots, alpha: Any, beta_1: float, beta_2: float, epsilon: float
) -> tuple[Any, Slots]:
    """w - alpha m / (sqrt(v) + epsilon); with a slot "velocity_hat" its largest v takes the place of v"""
    m = moving(slots["momentum"], g, beta_1)
    v = moving(slots["velocity"], ops.square(g), beta_2)
    new = {"momentum": m, "velocity": v}
    if "velocity_hat" in slots:
        v = new["velocity_hat"] = ops.maximum(slots["velocity_hat"], v)
    step = ops.divide(ops.multiply(m, alpha), ops.add(ops.sqrt(v), epsilon))
    return ops.subtract(w, step), new


class Adam(Optimizer):
    """w - lr sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + epsilon)

    m and v are moving means of g and g**2, t counts from 1. Keras's form: epsilon stands outside the root and is not
    corrected. With `amsgrad` the largest v so far takes the place of v.

    References:
        D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
        S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR 2018,
        https://arxiv.org/abs/1904.09237.
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
        """The two means; with amsgrad the largest of the second."""
        kept: dict[str, float | None] = {"momentum": 0.0, "velocity": 0.0}
        return {**kept, "velocity_hat": 0.0} if self.amsgrad else kept

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The learning rate times both corrections."""
        return {"alpha": bias_corrected(learning_rate, step, self.beta_1, self.beta_2)}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        return adam_step(w, g, slots, scalars["alpha"], self.beta_1, self.beta_2, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return {**super().get_config(), **own}


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default.

    References:
        I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, https://arxiv.org/abs/1711.05101.
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
            raise ValueError("AdamW takes a weight_decay; for none use Adam, or weight_decay=0.")


class TwoBetas(Optimizer):
    """What Adamax, Nadam and Lamb share: the arguments."""

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
        """Every argument."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adamax(TwoBetas):
    """u = max(beta_2 u, |g|); w - lr m / ((1 - beta_1**t) (u + epsilon))

    References:
        D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", section 7, ICLR 2015,
        https://arxiv.org/abs/1412.6980.
    """

    def slots(self) -> dict[str, float | None]:
        """The mean gradient and its largest size."""
        return {"momentum": 0.0, "norm": 0.0}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The corrected learning rate."""
        return {"alpha": ops.divide(learning_rate, one_minus_power(self.beta_1, updates(step, learning_rate)))}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        m = moving(slots["momentum"], g, self.beta_1)
        u = ops.maximum(ops.multiply(slots["norm"], self.beta_2), ops.abs(g))
        step = ops.divide(ops.multiply(scalars["alpha"], m), ops.add(u, self.epsilon))
        return ops.subtract(w, step), {"momentum": m, "norm": u}


# Products of 1 - 0.96**i / 2 for i = 1 ... n: after 1024 factors the next is 1 to the last bit of a float64.
_NADAM_PRODUCTS = np.concatenate([[1.0], np.cumprod(1.0 - 0.5 * 0.96 ** np.arange(1.0, 1024.0))])


class Nadam(TwoBetas):
    """Adam with Nesterov's momentum: u_t = beta_1 (1 - 0.96**t / 2)

    m' = u_{t+1} m / (1 - P_{t+1}) + (1 - u_t) g / (1 - P_t), P_t the product of u_1 ... u_t, takes the place of the
    corrected m. P is no state here: it is beta_1**t times a product that settles after a thousand factors.

    References:
        T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """

    def slots(self) -> dict[str, float | None]:
        """The two means."""
        return {"momentum": 0.0, "velocity": 0.0}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """Factors of mean and gradient, and the correction of the mean square."""
        dtype = spec_of(learning_rate).dtype
        t = updates(step, learning_rate)
        now, following = (self._u(x) for x in (t, ops.add(t, 1.0)))
        settled = ops.cast(ops.minimum(t, float(len(_NADAM_PRODUCTS) - 1)), "int32")
        # beta_1**t as 1 minus its complement, which is exact for large t
        power = ops.subtract(1.0, one_minus_power(self.beta_1, t))
        product = ops.multiply(power, ops.take(_NADAM_PRODUCTS.astype(numpy_dtype(dtype)), settled, axis=0))
        return {
            "learning_rate": learning_rate,
            "of_mean": ops.divide(following, ops.subtract(1.0, ops.multiply(product, following))),
            "of_gradient": ops.divide(ops.subtract(1.0, now), ops.subtract(1.0, product)),
            "correction": one_minus_power(self.beta_2, t),
        }

    def _u(self, t: Any) -> Any:
        decayed = ops.exp(ops.multiply(t, math.log(0.96)))
        return ops.multiply(ops.subtract(1.0, ops.multiply(0.5, decayed)), self.beta_1)

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        m = moving(slots["momentum"], g, self.beta_1)
        v = moving(slots["velocity"], ops.square(g), self.beta_2)
        mean = ops.add(ops.multiply(scalars["of_mean"], m), ops.multiply(scalars["of_gradient"], g))
        spread = ops.sqrt(ops.divide(v, scalars["correction"]))
        step = ops.divide(ops.multiply(mean, scalars["learning_rate"]), ops.add(spread, self.epsilon))
        return ops.subtract(w, step), {"momentum": m, "velocity": v}


class Lamb(TwoBetas):
    """u = m' / (sqrt(v') + epsilon), m' and v' the corrected means of Adam; w - lr |w| / |u| u

    The ratio of the Euclidean norms is taken for each weight as a whole, and is 1 where one of them is 0.

    References:
        Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020,
        https://arxiv.org/abs/1904.00962.
    """

    def slots(self) -> dict[str, float | None]:
        """The two means."""
        return {"momentum": 0.0, "velocity": 0.0}

    def elementwise(self, weight: Weight) -> bool:
        """The rule looks at whole weights."""
        return False

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """The corrections of the means."""
        t = updates(step, learning_rate)
        corrections = {"of_mean": one_minus_power(self.beta_1, t), "of_square": one_minus_power(self.beta_2, t)}
        return {"learning_rate": learning_rate, **corrections}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One weight's update."""
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
    """w - lr sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g

    References:
        X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, https://arxiv.org/abs/2302.06675.
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
        """The mean gradient."""
        return {"momentum": 0.0}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """One number's update."""
        m = slots["momentum"]
        direction = ops.sign(ops.add(ops.multiply(m, self.beta_1), ops.multiply(g, 1.0 - self.beta_1)))
        w = ops.subtract(w, ops.multiply(scalars["learning_rate"], direction))
        return w, {"momentum": ops.add(ops.multiply(m, self.beta_2), ops.multiply(g, 1.0 - self.beta_2))}

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
