"""Constraints: functions that are applied to weights after every update, written in `lamella.ops`.

`axis` names the axes of a norm: 0 limits the weights into each unit of a dense kernel (in, out), (0, 1, 2) those into
each filter of a kernel of `Conv2D`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.absent import refusing
from lamella.core import registration, serialization
from lamella.ir import settings
from lamella.names import deprecated, from_identifier, name_table

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

Axis = int | Sequence[int]


class Constraint:
    """The base class of constraints: subclass it and write `__call__`.

    Example:
        >>> from lamella import constraints, ops
        >>> class Bounded(constraints.Constraint):
        ...     def __call__(self, w):
        ...         return ops.clip(w, -1.0, 1.0)
        >>> Bounded()([0.5, -3.0])
        array([ 0.5, -1. ], dtype=float32)
    """

    def __call__(self, w: Any) -> Any:
        """A weight of the same shape and dtype that satisfies the constraint."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _rescaled(w: Tensor, norms: Tensor, desired: Tensor) -> Tensor:
    """w * desired / (1e-7 + norms)"""
    return ops.multiply(w, ops.divide(desired, ops.add(norms, settings.epsilon())))


class MaxNorm(Constraint):
    """Limit norms over `axis` to `max_value`.

    Args:
        max_value: the largest norm.
        axis: the axes of a norm: 0 limits the weights into each unit of a dense kernel `(in, out)`, (0, 1, 2) those
            into each filter of a kernel of `Conv2D`.
        m: the name of `max_value` in Keras 1, deprecated.

    References:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014,
        https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> import numpy as np
        >>> from lamella.constraints import MaxNorm
        >>> MaxNorm(max_value=1.0)(np.array([[3.0, 0.3], [4.0, 0.4]])).round(3)
        array([[0.6, 0.3],
               [0.8, 0.4]])
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0, m: float | None = None) -> None:
        if m is not None:
            deprecated("'m'", "'max_value'")
        self.max_value = max_value if m is None else m
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, scaled down where its norms are larger."""
        norms = ops.norm(w, axis=self.axis, keepdims=True)
        return _rescaled(w, norms, ops.clip(norms, 0.0, float(self.max_value)))

    def get_config(self) -> dict[str, Any]:
        """Bound and axis."""
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Set negative entries to 0.

    Example:
        >>> import numpy as np
        >>> from lamella.constraints import NonNeg
        >>> NonNeg()(np.array([1.0, -2.0]))
        array([1., 0.])
    """

    def __call__(self, w: Tensor) -> Tensor:
        """The weight with 0 for negative entries."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """Scale norms over `axis` to 1.

    Args:
        axis: the axes of a norm: 0 limits the weights into each unit of a dense kernel `(in, out)`, (0, 1, 2) those
            into each filter of a kernel of `Conv2D`.

    Example:
        >>> import numpy as np
        >>> from lamella.constraints import UnitNorm
        >>> UnitNorm()(np.array([[3.0], [4.0]])).round(3)
        array([[0.6],
               [0.8]])
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """The weight divided by its norms."""
        return ops.divide(w, ops.add(ops.norm(w, axis=self.axis, keepdims=True), settings.epsilon()))

    def get_config(self) -> dict[str, Any]:
        """The axis."""
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Scale norms over `axis` into the range from `min_value` to `max_value`.

    Args:
        min_value: the least norm.
        max_value: the largest norm.
        rate: the fraction of the change that an update applies: norms become rate * clipped + (1 - rate) * norm.
        axis: the axes of a norm: 0 limits the weights into each unit of a dense kernel `(in, out)`, (0, 1, 2) those
            into each filter of a kernel of `Conv2D`.
        low: the name of `min_value` in Keras 1, deprecated.
        high: the name of `max_value` in Keras 1, deprecated.

    References:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014,
        https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> import numpy as np
        >>> from lamella.constraints import MinMaxNorm
        >>> MinMaxNorm(min_value=1.0, max_value=2.0)(np.array([[3.0, 0.3], [4.0, 0.4]])).round(3)
        array([[1.2, 0.6],
               [1.6, 0.8]])
    """

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

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, scaled up or down where its norms are out of range."""
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
"""Every string that a constraint argument accepts."""

serialization.register("keras.constraints", TABLE)

OLD = {"maxnorm": "max_norm", "nonneg": "non_neg", "unitnorm": "unit_norm"}
"""Earlier spellings, and the current ones."""


def get(identifier: Any) -> Any:
    """Return the constraint for a name, a config dict, a class, an instance or a function `w -> w`; None for None.

    Args:
        identifier: a name such as "max_norm", `{"class_name": ..., "config": ...}`, a `Constraint` class or instance,
            or a function.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: `identifier` is none of these.

    Example:
        >>> from lamella import constraints
        >>> constraints.get("max_norm")
        MaxNorm(max_value=2, axis=0)
    """
    made = from_identifier("constraint", identifier, TABLE, OLD)
    if made is None or callable(made):
        return made
    raise ValueError(f"a constraint must be a name, a Constraint or a function, got {type(made).__name__}: {made!r}.")


serialize, deserialize = registration.for_module("keras.constraints", get)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
