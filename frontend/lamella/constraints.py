"""What a weight is made to satisfy after every step. Written in `lamella.ops`.

`axis` names the axes a norm runs over: 0 for a dense kernel (in, out) limits the weights into each unit, (0, 1, 2) for a
convolution kernel those into each filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.absent import refusing
from lamella.core import registration, serialization
from lamella.ir import settings
from lamella.names import deprecated, from_identifier, name_table

Axis = int | Sequence[int]


class Constraint:
    """The base of all constraints. Subclass it and write `__call__`."""

    def __call__(self, w: Any) -> Any:
        """The weight nearest to `w` that satisfies the constraint, of the same shape and dtype."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _rescaled(w: Any, norms: Any, desired: Any) -> Any:
    """w * desired / (1e-7 + norms)"""
    return ops.multiply(w, ops.divide(desired, ops.add(norms, settings.epsilon())))


class MaxNorm(Constraint):
    """Norms over `axis` at most `max_value`.

    References:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0, m: float | None = None) -> None:
        if m is not None:
            deprecated("'m'", "'max_value'")
        self.max_value = max_value if m is None else m
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """The weight with its long vectors shortened."""
        norms = ops.norm(w, axis=self.axis, keepdims=True)
        return _rescaled(w, norms, ops.clip(norms, 0.0, float(self.max_value)))

    def get_config(self) -> dict[str, Any]:
        """Bound and axis."""
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """No entry below 0."""

    def __call__(self, w: Any) -> Any:
        """The weight with 0 for what is negative."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """Norms over `axis` equal to 1."""

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """The weight divided by its norms."""
        return ops.divide(w, ops.add(ops.norm(w, axis=self.axis, keepdims=True), settings.epsilon()))

    def get_config(self) -> dict[str, Any]:
        """The axis."""
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Norms over `axis` from `min_value` to `max_value`; `rate` is how much of the way a step goes (1: all)."""

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        if low is not None:
            deprecated("'low'", "'min_value'")
            min_value = low
        if high is not None:
            deprecated("'high'", "'max_value'")
            max_value = high
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """The weight with its vectors lengthened or shortened."""
        norms = ops.norm(w, axis=self.axis, keepdims=True)
        clipped = ops.clip(norms, float(self.min_value), float(self.max_value))
        desired = ops.add(ops.multiply(clipped, float(self.rate)), ops.multiply(norms, 1.0 - self.rate))
        return _rescaled(w, norms, desired)

    def get_config(self) -> dict[str, Any]:
        """Bounds, rate and axis."""
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


max_norm = maxnorm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = nonneg = NonNeg
unit_norm = unitnorm = UnitNorm

TABLE: dict[str, Any] = name_table({made.__name__: made for made in (MaxNorm, MinMaxNorm, NonNeg, UnitNorm)})
"""Every string a constraint argument takes."""

serialization.register("keras.constraints", TABLE)

OLD = {"maxnorm": "max_norm", "nonneg": "non_neg", "unitnorm": "unit_norm"}
"""Earlier spellings, and today's."""


def get(identifier: Any) -> Any:
    """The constraint that a name, a config dict, a class, an instance or a function `w -> w` stands for.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is nothing of these.
    """
    made = from_identifier("constraint", identifier, TABLE, OLD)
    if made is None or callable(made):
        return made
    raise ValueError(f"a constraint must be a name, a Constraint or a function, got {type(made).__name__}: {made!r}.")


serialize, deserialize = registration.for_module("keras.constraints", get)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
