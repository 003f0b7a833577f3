"""The training state: a tree of arrays and counters that training replaces, and never changes in place."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from lamella.backend_api import Backend, to_numpy
from lamella.core import freezing
from lamella.errors import ArgumentError
from lamella.optimizers.own_loop import merged

if TYPE_CHECKING:
    from lamella.core.variable import Variable
    from lamella.training.configuration import Configuration
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
        return self._replace(slots=merged(self.slots, slots), **changes)

    def on_host(self) -> TrainingState:
        """The state with the step and the slots as NumPy arrays, for another backend."""
        slots = {slot: {key: to_numpy(a) for key, a in held.items()} for slot, held in self.slots.items()}
        return self._replace(step=self.steps, slots=slots)


class Compiled:
    """The result of `compile`: a configuration, and the training state.

    The optimizer is updated with every new state, so that its `iterations` are current.

    Args:
        model: the model.
        configuration: what `compile` decided.
        state: the initial training state.

    Attributes:
        configuration: what `compile` decided.
        state: the training state.
        looked: `freezing.count` when the set of trained weights was last determined; -1 for never.
        checkpoint: the file that the training was last written to or read from, or None.
    """

    def __init__(self, model: TrainingModel, configuration: Configuration, state: TrainingState) -> None:
        self.configuration = configuration
        self._model = weakref.ref(model)
        self._state = state
        if not configuration.external:
            configuration.optimizer.follow(self)
        self.looked = -1
        self.checkpoint: str | None = None

    @property
    def state(self) -> TrainingState:
        """The training state."""
        return self._state

    @state.setter
    def state(self, state: TrainingState) -> None:
        before, self._state = self._state, state
        if not self.configuration.external and (state.step is not before.step or state.slots is not before.slots):
            self.configuration.optimizer.follow(self)

    def holds(self, variables: Sequence[Variable]) -> bool:
        """Whether all these variables are the model's."""
        model = self._model()
        known = set() if model is None else {id(v) for v in model.variables}
        return all(id(v) in known for v in variables)

    def trained(self) -> list[Variable]:
        """The variables that are trained."""
        model = self._model()
        return [] if model is None else self.configuration.trained(model)

    def follow(self, model: TrainingModel) -> bool:
        """Train what is trainable now, from the next run on; return whether that has changed.

        Raises:
            ValueError: it has changed, and an external optimizer has state for the previous set.
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


def state_for(model: TrainingModel, before: Compiled | None, configuration: Configuration) -> TrainingState:
    """The state that a model's training begins with: that of the last configuration, where it has the same optimizer.

    An optimizer that was used on the model's variables in a custom loop keeps its slots.
    """
    optimizer = configuration.optimizer
    if before is not None and before.configuration.optimizer is optimizer:
        trained = [list(map(id, each.trained(model))) for each in (before.configuration, configuration)]
        if configuration.external and trained[0] != trained[1]:
            return TrainingState()  # its arrays are those of the variables that were trained
        return before.state if before.configuration.backend is configuration.backend else before.state.on_host()
    if configuration.external:
        return TrainingState()
    held, own = optimizer.own_loop.state, {id(v) for v in model.variables}
    if held.variables and not any(id(v) in own for v in held.variables):
        return TrainingState()
    return TrainingState(step=held.step, slots=held.slots)
