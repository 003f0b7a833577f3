"""How far a model's training has come: a tree of arrays and counts that training replaces, and never changes in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from lamella.backend_api import Backend, to_numpy
from lamella.core import freezing
from lamella.errors import ArgumentError

if TYPE_CHECKING:
    from lamella.training.objectives import Configuration
    from lamella.training.protocol import TrainingModel

Slots = Mapping[str, Mapping[int, Any]]


class TrainingState(NamedTuple):
    """The state of a training beside the model's weights.

    Attributes:
        step: the number of optimizer steps taken; while `fit` runs a scalar on the device.
        epochs: the number of epochs whose rows were shuffled.
        orders: the orders of these epochs, and what they were made of; many are drawn at once, and the next run continues
            with them.
        slots: for each slot of the optimizer, the array of each trained variable by id; under 0 where the slot belongs to
            the optimizer as a whole.
        external: the arrays of an external optimizer's state, or None before its first step.
    """

    step: Any = 0
    epochs: int = 0
    orders: tuple[Any, Any] = (None, None)
    slots: Slots = MappingProxyType({})
    external: tuple[Any, ...] | None = None

    @property
    def steps(self) -> int:
        """The number of optimizer steps taken, read from the device."""
        return int(to_numpy(self.step))

    def with_slots(self, slots: Slots, **changes: Any) -> TrainingState:
        """The state with other arrays for some slots, and other `changes`; arrays of variables that are not given stay."""
        merged = {slot: {**self.slots.get(slot, {}), **arrays} for slot, arrays in slots.items()}
        return self._replace(slots={**self.slots, **merged}, **changes)

    def on_host(self) -> TrainingState:
        """The state with the step and the slots as NumPy arrays, for another backend."""
        slots = {slot: {key: to_numpy(a) for key, a in held.items()} for slot, held in self.slots.items()}
        return self._replace(step=self.steps, slots=slots)


class Compiled:
    """What `compile` makes of a model: a configuration, and the state that training replaces.

    Attributes:
        configuration: what `compile` decided.
        state: how far training has come.
        looked: `freezing.count` when it was last looked at what is trained; -1 for not yet.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.state = TrainingState()
        self.looked = -1

    def follow(self, model: TrainingModel) -> bool:
        """Train what is trainable now, from the next run on; whether that is something else than before.

        Raises:
            ValueError: it is, and an external optimizer has a state for what was trained before.
        """
        found = self.configuration.as_frozen_now(model)
        changes = found is not self.configuration
        if changes and self.state.external is not None:
            raise ArgumentError(
                f"Model {model.name!r}: layers were frozen or thawed, and the optimizer's state is for the weights trained "
                "before: compile the model again."
            )
        self.configuration, self.looked = found, freezing.count
        return changes

    def move(self, backend: Backend) -> None:
        """Train on another backend from now on."""
        self.configuration = replace(self.configuration, backend=backend)
        self.state = self.state.on_host()
