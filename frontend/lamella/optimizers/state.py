"""What an optimizer knows of a weight, and what it keeps: the vocabulary that rules, wrappers and training share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamella.ir.spec import Shape, numpy_dtype, spec_of

Slots = dict[str, Any]
"""An optimizer's state: for every slot a list, one entry a weight (None where that weight has none), or one array of shape
() for a slot that belongs to the optimizer as a whole."""

Rates = dict[str, Any]
"""The learning rates that are numbers, by the name of their leaf: one, or one an inner optimizer."""


class Weight(NamedTuple):
    """A weight, but for its numbers.

    Attributes:
        path: its path in the model ("dense/kernel"); "" where nobody named it.
        shape: its shape.
        dtype: its dtype.
        constraint: a function of its new value, or None.
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
    """An array that an optimizer keeps.

    Attributes:
        shape: its shape.
        dtype: its dtype.
        initial: the number that fills it before the first step; None: it starts as a copy of the weight.
    """

    shape: Shape
    dtype: str
    initial: float | None = 0.0

    def array(self, weight: Any = None) -> Any:
        """The array before the first step, for a weight of value `weight`."""
        if self.initial is not None:
            # one number in memory, repeated: a device fills its own memory with it
            return np.broadcast_to(np.asarray(self.initial, numpy_dtype(self.dtype)), self.shape)
        return np.array(weight, numpy_dtype(self.dtype)) if isinstance(weight, np.ndarray) else weight


def described(params: Sequence[Any], paths: Sequence[str] | None = None) -> list[Weight]:
    """The arrays `params` as weights; without `paths` they have no names."""
    specs = [spec_of(w) for w in params]
    names = [""] * len(specs) if paths is None else paths
    return [Weight(path, tuple(map(int, s.shape)), s.dtype) for path, s in zip(names, specs, strict=True)]


def description(made: Any, module: str = "keras.optimizers") -> dict[str, Any]:
    """An optimizer, a map of some or a schedule in a configuration of another, as Keras writes it."""
    own = type(made).__module__.startswith("lamella.")
    name = type(made).__name__
    return {
        "module": module if own else type(made).__module__,
        "class_name": name,
        "config": made.get_config(),
        "registered_name": None if own else name,
    }


class LearningRate(float):
    """A learning rate as `optimizer.learning_rate` gives it: a number, with the words of Keras's variables.

    It is the rate at the time it was asked for. What is set goes to the optimizer, and the next look sees it.
    """

    __slots__ = ("_set",)

    def __new__(cls, rate: Any, set_rate: Callable[[Any], None]) -> LearningRate:
        """The number `rate`; `set_rate` gives the optimizer another."""
        made = super().__new__(cls, rate)
        made._set = set_rate
        return made

    def assign(self, value: Any) -> LearningRate:
        """Give the optimizer another rate, as `optimizer.learning_rate = value` does."""
        rate = float(value)
        self._set(rate)
        return LearningRate(rate, self._set)

    @property
    def value(self) -> np.ndarray:
        """The number as an array of shape (), float32: what a variable's `value` is."""
        return self.numpy()

    def numpy(self) -> np.ndarray:
        """The number as an array of shape (), float32."""
        return np.asarray(self, np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and files hold the number alone."""
        return float, (float(self),)
