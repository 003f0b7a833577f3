"""Updates of variables outside `fit`, in custom training loops, with or without a compiled model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella.backend_api import to_numpy
from lamella.core import context
from lamella.core.variable import Variable
from lamella.errors import ArgumentError, TraceError
from lamella.optimizers.state import Weight
from lamella.tracebacks import user_level

if TYPE_CHECKING:
    from lamella.optimizers.base import Optimizer

KeyedSlots = Mapping[str, Mapping[int, Any]]
"""For each slot the array of each variable by id; under 0 where it belongs to the optimizer as a whole."""


class Progress(NamedTuple):
    """The progress of an optimizer with variables that belong to no compiled model.

    Attributes:
        step: the number of steps taken.
        slots: the optimizer's slots.
        variables: the variables, kept so that no other object gets the id of one of them.
    """

    step: Any
    slots: KeyedSlots
    variables: tuple[Variable, ...]


class OwnLoop:
    """The training of variables that belong to no compiled model.

    Attributes:
        state: the progress so far.
    """

    def __init__(self) -> None:
        self.state = Progress(0, {}, ())

    def trained(self) -> list[Variable]:
        """The variables."""
        return list(self.state.variables)


def merged(held: KeyedSlots, new: KeyedSlots) -> dict[str, Mapping[int, Any]]:
    """Slots in which the arrays of some variables are replaced; those of other variables are unchanged."""
    return {**held, **{slot: {**held.get(slot, {}), **arrays} for slot, arrays in new.items()}}


def filled(optimizer: Optimizer, weights: Sequence[Weight], params: Sequence[Any], held: KeyedSlots) -> KeyedSlots:
    """The slots of some weights, with initial arrays where there are none yet.

    Args:
        optimizer: the optimizer.
        weights: the weights, with their variables.
        params: the values of the weights.
        held: the existing slots.
    """
    return {
        name: {**fresh, **held.get(name, {})}
        for name, fresh in _keyed(optimizer.initial_slots(weights, params), weights).items()
    }


def _keyed(slots: Mapping[str, Any], weights: Sequence[Weight]) -> dict[str, dict[int, Any]]:
    keys = [id(weight.variable) for weight in weights]
    return {
        name: {key: a for key, a in zip(keys, held, strict=True) if a is not None}
        if isinstance(held, list)
        else {0: held}
        for name, held in slots.items()
    }


def update_variables(
    optimizer: Optimizer, gradients: Sequence[Any], variables: Sequence[Variable], paths: Sequence[str] | None
) -> list[Any]:
    """Update variables and return their new values; in a `train_step` as part of the step.

    Slots and step count are those of the training of the variables' model, if that is compiled with the optimizer.

    Args:
        optimizer: the optimizer.
        gradients: one per variable; None leaves a variable unchanged.
        variables: the variables.
        paths: the paths of the variables; None uses their `path`.

    Raises:
        ValueError: no variable has a gradient.
        TraceError: the current trace is not a training step.
    """
    names = list(paths or [v.path for v in variables])
    without = [name for name, g in zip(names, gradients, strict=True) if g is None]
    if without and len(without) == len(names):
        raise ArgumentError(f"no variable has a gradient: got None for {', '.join(without)}.")
    if without:
        warnings.warn(f"no gradient for {', '.join(without)}: left unchanged.", UserWarning, stacklevel=user_level())
    running = context.current()
    if running is not None:
        if running.apply_gradients is None:
            raise TraceError("apply_gradients works in a model's `train_step`, or outside a model.")
        running.apply_gradients(optimizer, list(zip(gradients, variables, strict=True)))
        return [variable.value for variable in variables]
    if not variables:
        return []
    training = _training_of(optimizer, variables)
    state, params = training.state, [variable.value for variable in variables]
    weights = _weights(variables, names)
    slots = _listed(filled(optimizer, weights, params, state.slots), variables)
    step = int(to_numpy(state.step))
    updated, after = optimizer.apply_gradients_program(params, gradients, slots, np.uint32(step), weights=weights)
    for variable, value in zip(variables, updated, strict=True):
        variable.assign(value)
    training.state = state._replace(step=step + 1, slots=merged(state.slots, _keyed(after, weights)))
    optimizer.follow(training)
    return updated


def set_step(optimizer: Optimizer, step: int) -> None:
    """Set the step count of the training that the optimizer reports on, or of the next one."""
    training = (None if optimizer.training is None else optimizer.training()) or optimizer.own_loop
    training.state = training.state._replace(step=step)
    optimizer.follow(training)


def prepare(optimizer: Optimizer, variables: Sequence[Variable]) -> None:
    """Create the slots of variables before the first step."""
    training, params = _training_of(optimizer, variables), [variable.value for variable in variables]
    weights = _weights(variables, [v.path for v in variables])
    training.state = training.state._replace(slots=filled(optimizer, weights, params, training.state.slots))


def finalize_variables(optimizer: Optimizer, variables: Sequence[Variable]) -> list[Any]:
    """Set variables to their final values, which are returned: with `use_ema` their averages."""
    params, state = [v.value for v in variables], _training_of(optimizer, variables).state
    held = filled(optimizer, _weights(variables, [v.path for v in variables]), params, state.slots)
    final = optimizer.final_values(params, _listed(held, variables))
    for variable, value in zip(variables, final, strict=True):
        variable.assign(value)
    return final


def _weights(variables: Sequence[Variable], paths: Sequence[str]) -> list[Weight]:
    return [Weight(path, v.shape, v.dtype, v.constraint, v) for path, v in zip(paths, variables, strict=True)]


def _listed(slots: KeyedSlots, variables: Sequence[Variable]) -> dict[str, Any]:
    return {name: held[0] if 0 in held else [held.get(id(v)) for v in variables] for name, held in slots.items()}


def _training_of(optimizer: Optimizer, variables: Sequence[Variable]) -> Any:
    """The training that updates of these variables belong to: that of their model, or the custom loop."""
    training = None if optimizer.training is None else optimizer.training()
    own = optimizer.own_loop
    if training is not None and training is not own and training.holds(variables):
        return training
    known = {id(v): v for v in (*own.state.variables, *variables)}
    own.state = own.state._replace(variables=tuple(known.values()))
    return own
