"""Learning rates as functions of the step, written in ops and computed by the compiled training step.

A schedule takes the number of previous updates (uint32 or any number) and returns a float of shape (), `floatx` but at
least float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.ir import settings
from lamella.ir.program import ForeignCallError, Value
from lamella.ir.spec import is_float, promote, spec_of
from lamella.names import Name, by_name
from lamella.optimizers.state import description

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _steps(step: ArrayLike) -> Tensor:
    """The step as a float."""
    step = ops.convert_to_tensor(step)
    dtype = spec_of(step).dtype
    return ops.cast(step, promote("float32", dtype if is_float(dtype) else settings.floatx()))


class LearningRateSchedule:
    """The base class of schedules: subclass it and write `__call__(step)` in `lamella.ops`, and `get_config`.

    Example:
        >>> from lamella import ops
        >>> from lamella.optimizers import SGD, schedules
        >>> class Warmup(schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return ops.multiply(0.1, ops.minimum(ops.divide(ops.cast(step, "float32"), 10.0), 1.0))
        >>> [round(float(Warmup()(step)), 3) for step in (0, 5, 20)]
        [0.0, 0.05, 0.1]
        >>> SGD(Warmup()).learning_rate
        0.0
    """

    name: str = Name("a learning rate schedule", label=True)  # type: ignore[assignment]

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` updates."""
        raise NotImplementedError(f"the schedule {type(self).__name__} does not define `__call__`.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return dict(vars(self))

    def to_config(self) -> dict[str, Any]:
        """The serialized schedule in an optimizer's configuration, as in Keras."""
        return description(self, "keras.optimizers.schedules")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value}.")


class ExponentialDecay(LearningRateSchedule):
    """Exponential decay: initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the number of steps over which the rate is multiplied by `decay_rate` once; positive.
        decay_rate: the factor; positive.
        staircase: whether to round step / decay_steps down, for a piecewise constant rate.
        name: the name in the configuration.

    Raises:
        ValueError: `decay_steps` or `decay_rate` is not positive.

    Example:
        >>> from lamella.optimizers.schedules import ExponentialDecay
        >>> rate = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
        >>> [round(float(rate(step)), 4) for step in (0, 50, 100, 200)]
        [0.1, 0.0707, 0.05, 0.025]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _positive("decay_steps", decay_steps)
        _positive("decay_rate", decay_rate)
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = decay_steps
        self.decay_rate = float(decay_rate)
        self.staircase = staircase
        self.name = name or type(self).__name__

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        exponent = ops.divide(_steps(step), float(self.decay_steps))
        if self.staircase:
            exponent = ops.floor(exponent)
        return ops.multiply(ops.exp(ops.multiply(exponent, math.log(self.decay_rate))), self.initial_learning_rate)


class InverseTimeDecay(LearningRateSchedule):
    """Hyperbolic decay: initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the unit of time, in steps; positive.
        decay_rate: how fast the rate decays.
        staircase: whether to round step / decay_steps down, for a piecewise constant rate.
        name: the name in the configuration.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
        >>> from lamella.optimizers.schedules import InverseTimeDecay
        >>> rate = InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)
        >>> [round(float(rate(step)), 4) for step in (0, 100, 300)]
        [0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = decay_steps
        self.decay_rate = float(decay_rate)
        self.staircase = staircase
        self.name = name or type(self).__name__

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        quotient = ops.divide(_steps(step), float(self.decay_steps))
        if self.staircase:
            quotient = ops.floor(quotient)
        return ops.divide(self.initial_learning_rate, ops.add(1.0, ops.multiply(quotient, self.decay_rate)))


class PolynomialDecay(LearningRateSchedule):
    """Polynomial decay: (initial - end) * (1 - step / decay_steps) ** power + end, constant from `decay_steps` on.

    With `cycle`, decay_steps is replaced by its smallest multiple that is at least the step, so that the rate rises
    again.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the number of steps to `end_learning_rate`; positive.
        end_learning_rate: the rate from `decay_steps` on.
        power: the exponent; 1 is a linear decay.
        cycle: whether the rate rises again after it has reached its end.
        name: the name in the configuration.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
        >>> from lamella.optimizers.schedules import PolynomialDecay
        >>> rate = PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)
        >>> [round(float(rate(step)), 4) for step in (0, 50, 100, 200)]
        [0.1, 0.05, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = decay_steps
        self.end_learning_rate = float(end_learning_rate)
        self.power = float(power)
        self.cycle = cycle
        self.name = name or type(self).__name__

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        t = _steps(step)
        fraction = ops.divide(t, float(self.decay_steps))
        if self.cycle:
            fraction = ops.divide(fraction, ops.maximum(ops.ceil(fraction), 1.0))
        else:
            fraction = ops.minimum(fraction, 1.0)
        scale = ops.power(ops.subtract(1.0, fraction), self.power)
        return ops.add(ops.multiply(scale, self.initial_learning_rate - self.end_learning_rate), self.end_learning_rate)


class PiecewiseConstantDecay(LearningRateSchedule):
    """A piecewise constant rate: values[i] up to and including step boundaries[i], then the last value.

    Args:
        boundaries: increasing step counts.
        values: learning rates, one more than `boundaries`.
        name: the name in the configuration.

    Raises:
        ValueError: `values` does not have one more element than `boundaries`.

    Example:
        >>> from lamella.optimizers.schedules import PiecewiseConstantDecay
        >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> [round(float(rate(step)), 4) for step in (0, 100, 101, 500)]
        [0.1, 0.1, 0.01, 0.001]
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay takes one more value than boundaries, got {len(boundaries)} boundaries and "
                f"{len(values)} values."
            )
        self.boundaries = list(boundaries)
        self.values = [float(v) for v in values]
        self.name = name or type(self).__name__

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        t = _steps(step)
        rate = ops.full_like(t, self.values[-1])
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1]), strict=True):
            rate = ops.where(ops.less_equal(t, float(boundary)), value, rate)
        return rate


class CosineDecay(LearningRateSchedule):
    """Cosine decay, optionally after a linear warmup, to alpha times the initial rate.

    initial * ((1 - alpha) * (1 + cos(pi step / decay_steps)) / 2 + alpha), constant from `decay_steps` on. With
    `warmup_target`, the rate first rises from `initial_learning_rate` to the target, linearly over `warmup_steps`, and
    then decays from there.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the number of steps of the decay; positive.
        alpha: the last rate, as a fraction of the first (of `warmup_target`, if given).
        name: the name in the configuration.
        warmup_target: the rate at the end of the warmup; None for no warmup.
        warmup_steps: the number of steps of the warmup.

    Raises:
        ValueError: `decay_steps` is not positive.

    References:
        I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
        https://arxiv.org/abs/1608.03983.

    Example:
        >>> from lamella.optimizers.schedules import CosineDecay
        >>> rate = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
        >>> [round(float(rate(step)), 4) for step in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = decay_steps
        self.alpha = float(alpha)
        self.name = name or type(self).__name__
        self.warmup_target = None if warmup_target is None else float(warmup_target)
        self.warmup_steps = warmup_steps

    def _decay(self, t: Tensor, start: float) -> Tensor:
        fraction = ops.minimum(ops.divide(t, float(self.decay_steps)), 1.0)
        cosine = ops.multiply(ops.add(ops.cos(ops.multiply(fraction, math.pi)), 1.0), 0.5)
        return ops.multiply(ops.add(ops.multiply(cosine, 1.0 - self.alpha), self.alpha), start)

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        t = _steps(step)
        if self.warmup_target is None:
            return self._decay(t, self.initial_learning_rate)
        length = float(self.warmup_steps)
        rise = self.warmup_target - self.initial_learning_rate
        warming = ops.add(ops.multiply(ops.divide(t, max(length, 1.0)), rise), self.initial_learning_rate)
        decaying = self._decay(ops.maximum(ops.subtract(t, length), 0.0), self.warmup_target)
        return ops.where(ops.less(t, length), warming, decaying)


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay with warm restarts.

    initial * ((1 - alpha) * m_mul**i * (1 + cos(pi f)) / 2 + alpha), where f rises from 0 to 1 within period i = 0, 1,
    ... The first period has `first_decay_steps` steps, and every later one is `t_mul` times as long as the one before
    it.

    Args:
        initial_learning_rate: the rate at step 0.
        first_decay_steps: the number of steps of the first period; positive.
        t_mul: the ratio of the lengths of successive periods, at least 1.
        m_mul: the ratio of the initial rates of successive periods; positive.
        alpha: the lowest rate, as a fraction of the first.
        name: the name in the configuration.

    Raises:
        ValueError: `first_decay_steps` or `m_mul` is not positive, or `t_mul` is below 1 (the sum of all periods is
            finite).

    References:
        I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
        https://arxiv.org/abs/1608.03983.

    Example:
        >>> from lamella.optimizers.schedules import CosineDecayRestarts
        >>> rate = CosineDecayRestarts(0.1, first_decay_steps=10, m_mul=0.5)
        >>> [round(float(rate(step)), 4) for step in (0, 5, 10, 20, 30)]
        [0.1, 0.05, 0.05, 0.025, 0.025]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _positive("first_decay_steps", first_decay_steps)
        _positive("m_mul", m_mul)
        if not t_mul >= 1:
            raise ValueError(f"t_mul must be at least 1, got {t_mul}.")
        self.initial_learning_rate = float(initial_learning_rate)
        self.first_decay_steps = first_decay_steps
        self.t_mul = float(t_mul)
        self.m_mul = float(m_mul)
        self.alpha = float(alpha)
        self.name = name or type(self).__name__

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        done = ops.divide(_steps(step), float(self.first_decay_steps))
        if self.t_mul == 1.0:
            period = ops.floor(done)
            fraction = ops.subtract(done, period)
        else:
            growth = self.t_mul - 1.0
            scaled = ops.log(ops.add(ops.multiply(done, growth), 1.0))
            period = ops.floor(ops.divide(scaled, math.log(self.t_mul)))
            length = ops.exp(ops.multiply(period, math.log(self.t_mul)))
            # rounding may assign the step of a restart to the end of the period before, or make the fraction -0
            early = ops.divide(ops.subtract(done, ops.divide(ops.subtract(length, 1.0), growth)), length)
            late = ops.greater_equal(early, 1.0 - 1e-6)
            period = ops.where(late, ops.add(period, 1.0), period)
            fraction = ops.where(late, 0.0, ops.maximum(early, 0.0))
        height = ops.exp(ops.multiply(period, math.log(self.m_mul)))
        cosine = ops.multiply(ops.multiply(ops.add(ops.cos(ops.multiply(fraction, math.pi)), 1.0), 0.5), height)
        factor = ops.add(ops.multiply(cosine, 1.0 - self.alpha), self.alpha)
        return ops.multiply(factor, self.initial_learning_rate)


class FunctionOfStep(LearningRateSchedule):
    """A function of the step as a schedule, written in `lamella.ops`, or on JAX in JAX (such as a schedule of optax).

    Optimizers wrap such a function themselves: `SGD(function)` is enough.

    Args:
        function: `(step) -> learning rate`; the step is int32[].

    Example:
        >>> from lamella.optimizers.schedules import FunctionOfStep
        >>> rate = FunctionOfStep(lambda step: 0.1 / (1 + step))
        >>> [round(float(rate(step)), 3) for step in (0, 1, 4)]
        [0.1, 0.05, 0.02]
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    @staticmethod
    def where_it_is_one(value: Any) -> Any:
        """`value` as a schedule if it is a function with a required argument; anything else unchanged."""
        if not callable(value) or isinstance(value, LearningRateSchedule | type):
            return value
        import inspect

        try:
            parameters = inspect.signature(value).parameters.values()
        except (TypeError, ValueError):  # a builtin without a signature
            return value
        wanted = [
            p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        return FunctionOfStep(value) if wanted else value

    def __call__(self, step: ArrayLike) -> Tensor:
        """The learning rate at `step`."""
        step = ops.cast(step, "int32")
        if not isinstance(step, Value):
            rate = self.function(step)
            return np.asarray(rate) if isinstance(step, np.ndarray | np.generic) else rate
        try:
            return self.function(step)
        except ForeignCallError:
            from lamella.ops.framework import framework_call

            dtype = promote("float32", settings.floatx())
            return framework_call.bind(step, function=self.function, dtype=dtype)

    def to_config(self) -> Any:
        """The function itself, which has no serialized form."""
        return self.function


TABLE: dict[str, type[LearningRateSchedule]] = {
    made.__name__: made
    for made in (
        ExponentialDecay, InverseTimeDecay, PolynomialDecay, PiecewiseConstantDecay, CosineDecay, CosineDecayRestarts,
    )
}  # fmt: skip
"""The schedules a configuration may name."""


def get(config: dict[str, Any]) -> LearningRateSchedule:
    """Return the schedule of a configuration `{"class_name": ..., "config": {...}}`.

    Args:
        config: the configuration.

    Raises:
        UnknownNameError: the class is unknown.

    Example:
        >>> from lamella.optimizers import schedules
        >>> config = {"initial_learning_rate": 0.1, "decay_steps": 10}
        >>> rate = schedules.get({"class_name": "CosineDecay", "config": config})
        >>> round(float(rate(5)), 3)
        0.05
    """
    return by_name("learning rate schedule", str(config.get("class_name")), TABLE)(**config.get("config", {}))


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return the class name and the arguments of a schedule as a dict.

    Args:
        learning_rate_schedule: the schedule.

    Example:
        >>> from lamella.optimizers import schedules
        >>> config = schedules.serialize(schedules.PiecewiseConstantDecay([5], [0.1, 0.01]))
        >>> config["class_name"], config["config"]["boundaries"]
        ('PiecewiseConstantDecay', [5])
    """
    return learning_rate_schedule.to_config()


def deserialize(config: dict[str, Any]) -> LearningRateSchedule:
    """Return the schedule that `serialize` described.

    Args:
        config: the configuration.

    Raises:
        UnknownNameError: the class is unknown.

    Example:
        >>> from lamella.optimizers import schedules
        >>> rate = schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
        >>> again = schedules.deserialize(schedules.serialize(rate))
        >>> round(float(again(10)), 3)
        0.05
    """
    return get(config)
