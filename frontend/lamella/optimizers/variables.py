"""The state of an optimizer as a list of variables, in the order of Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.backend_api import to_numpy
from lamella.core.held_variable import HeldVariable
from lamella.optimizers.own_loop import filled, merged
from lamella.optimizers.state import Weight

if TYPE_CHECKING:
    from lamella.ir.types import Tensor
    from lamella.optimizers.base import Optimizer

TOGETHER = {
    "Adam": [("momentum", "velocity"), ("velocity_hat",)],
    "Adamax": [("momentum", "norm")],
    "Nadam": [("momentum", "velocity")],
    "Adadelta": [("accumulated_grad", "accumulated_delta_var")],
    "Adafactor": [("row", "column", "velocity")],
    "Ftrl": [("accumulator", "linear")],
    "Lamb": [("momentum", "velocity")],
    "Muon": [("momentum", "velocity")],
    "ScheduleFreeAdamW": [("momentum", "velocity")],
}
"""The slots that Keras writes weight by weight: all of a group for the first weight, for the second, and so on.

Slots of other optimizers are written one after another, each for all weights.
"""


_COMMON = ("average", "gradient_accumulator")
"""Slots of every optimizer with such options, which come first."""


def kind_of(optimizer: Any) -> str:
    """The entry of `TOGETHER` that the optimizer belongs to, or ""."""
    return next((cls.__name__ for cls in type(optimizer).__mro__ if cls.__name__ in TOGETHER), "")


def places(optimizer: Any, specs: Mapping[str, Any], count: int) -> Iterator[tuple[str, int | None, Any]]:
    """Slot name, index of the weight and spec of each array in the order of Keras; the index is None for shared slots.

    Slots that Keras has and lamella does not have the spec None.

    Args:
        optimizer: the optimizer.
        specs: its slots, as returned by `slot_specs`.
        count: the number of weights.
    """
    order: list[tuple[str, int | None]] = [(slot, number) for slot in _COMMON for number in range(count)]
    if optimizer.in_keras_style:
        order += optimizer.made_order
    else:
        groups = list(TOGETHER.get(kind_of(optimizer), ()))
        known = {*_COMMON, *(slot for group in groups for slot in group)}
        groups += [(slot,) for slot, held in specs.items() if slot not in known and isinstance(held, list)]
        order += [(slot, number) for group in groups for number in range(count) for slot in group]
        order += [(slot, None) for slot, held in specs.items() if not isinstance(held, list)]
    for slot, number in order:
        held = specs.get(slot)
        yield slot, number, held[number] if isinstance(held, list) and number is not None else held


class StateVariable(HeldVariable):
    """One number or array of an optimizer's state; assignments change the state."""

    def __init__(self, name: str, shape: Sequence[int], dtype: str, read: Any, write: Any) -> None:
        self._read, self._write = read, write
        super().__init__(name, tuple(shape), dtype)

    @property
    def value(self) -> Tensor:
        """The current value, an array."""
        return self._read()

    @value.setter
    def value(self, value: Tensor | None) -> None:
        if value is not None:
            self._write(value)


def variables_of(optimizer: Optimizer) -> list[StateVariable]:
    """The step count, the learning rate if it is a number, and the slots of the weights that the optimizer updates."""
    found = [
        StateVariable(
            "iteration",
            (),
            "int32",
            lambda: np.asarray(optimizer.iterations, np.int32),
            lambda value: setattr(optimizer, "iterations", int(to_numpy(value))),
        )
    ]
    if optimizer.schedule is None:
        found.append(
            StateVariable(
                "learning_rate",
                (),
                "float32",
                lambda: np.asarray(optimizer.learning_rate, np.float32),
                lambda value: setattr(optimizer, "learning_rate", float(to_numpy(value))),
            )
        )
    training = (None if optimizer.training is None else optimizer.training()) or optimizer.own_loop
    weights = [Weight(v.path, v.shape, v.dtype, v.constraint, v) for v in training.trained()]
    specs = optimizer.slot_specs(weights) if weights else {}

    def slot(name: str, key: int, label: str, spec: Any) -> StateVariable:
        def read() -> Tensor:
            held = training.state.slots.get(name, {}).get(key)
            if held is not None:
                return held
            return filled(optimizer, weights, [w.variable.value for w in weights], training.state.slots)[name][key]

        def write(value: Tensor) -> None:
            training.state = training.state._replace(slots=merged(training.state.slots, {name: {key: value}}))

        return StateVariable(label, spec.shape, spec.dtype, read, write)

    for name, number, spec in places(optimizer, specs, len(weights)):
        if spec is not None and number is None:
            found.append(slot(name, 0, name, spec))
        elif spec is not None and number is not None:
            weight = weights[number]
            found.append(slot(name, id(weight.variable), f"{weight.path.replace('/', '_')}_{name}", spec))
    return found
