"""Descriptions of weights and of optimizer state, shared by update rules, wrappers and training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella.ir.spec import Shape, numpy_dtype, spec_of

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

Slots = dict[str, Any]
"""An optimizer's state: for every slot a list with one entry per weight (None if the weight does not have the slot), or for
a slot shared by all weights one array of shape ()."""

Rates = dict[str, Any]
"""The learning rates that are numbers, by the name of their leaf: one, or one per inner optimizer."""


class Weight(NamedTuple):
    """The description of a weight, without its values.

    Attributes:
        path: the path in the model ("dense/kernel"); "" if the weight has no name.
        shape: the shape.
        dtype: the dtype.
        constraint: a function of the new value, or None.
        variable: the model's variable, or None.
    """

    path: str
    shape: Shape
    dtype: str
    constraint: Callable[[Any], Any] | None = None
    variable: Any = None

    @property
    def name(self) -> str:
        """The last part of the path ("kernel")."""
        return self.path.rpartition("/")[2]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


class Slot(NamedTuple):
    """The description of an array that an optimizer keeps.

    Attributes:
        shape: the shape.
        dtype: the dtype.
        initial: the number that fills the array before the first step; None: the array starts as a copy of the weight.
    """

    shape: Shape
    dtype: str
    initial: float | None = 0.0

    def array(self, weight: Tensor | None = None) -> Any:
        """The array before the first step, for a weight with the value `weight`."""
        if self.initial is not None:
            # a broadcast view of one number: the device fills its memory without a copy from the host
            return np.broadcast_to(np.asarray(self.initial, numpy_dtype(self.dtype)), self.shape)
        return np.array(weight, numpy_dtype(self.dtype)) if isinstance(weight, np.ndarray) else weight


def weights_of(params: Sequence[Any], paths: Sequence[str] | None = None) -> list[Weight]:
    """The arrays `params` as weights; without `paths` they have no names."""
    specs = [spec_of(w) for w in params]
    names = [""] * len(specs) if paths is None else paths
    return [Weight(path, tuple(map(int, s.shape)), s.dtype) for path, s in zip(names, specs, strict=True)]


def description(made: Any, module: str = "keras.optimizers") -> dict[str, Any]:
    """The serialized form of an optimizer, an `OptimizerMap` or a schedule in another configuration, as in Keras."""
    own = type(made).__module__.startswith("lamella.")
    name = type(made).__name__
    return {
        "module": module if own else type(made).__module__,
        "class_name": name,
        "config": made.get_config(),
        "registered_name": None if own else name,
    }


class LearningRate(float):
    """The value of `optimizer.learning_rate`: a float with the methods of a Keras variable.

    The number does not change after it was read; a value that is assigned is set on the optimizer.
    """

    __slots__ = ("_set",)

    def __new__(cls, rate: Any, set_rate: Callable[[Any], None]) -> LearningRate:
        """The number `rate`; `set_rate` sets another rate on the optimizer."""
        made = super().__new__(cls, rate)
        made._set = set_rate
        return made

    def assign(self, value: Any) -> LearningRate:
        """Set the optimizer's learning rate, as `optimizer.learning_rate = value` does."""
        rate = float(value)
        self._set(rate)
        return LearningRate(rate, self._set)

    @property
    def value(self) -> np.ndarray:
        """The number as a float32 array of shape (), like the `value` of a variable."""
        return self.numpy()

    def numpy(self) -> np.ndarray:
        """The number as a float32 array of shape ()."""
        return np.asarray(self, np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles contain the number alone."""
        return float, (float(self),)
