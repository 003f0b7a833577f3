"""Copies and pickles of a model: its configuration, its weights and its training state."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import host_random
from lamella.backend_api import is_external_optimizer, to_numpy
from lamella.core import serialization
from lamella.tracebacks import user_level
from lamella.training.state import TrainingState

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration

State = dict[str, Any]


def state_of(model: Any, *, pickled: bool = False) -> State:
    """Return the state for an equal model, with user-defined objects by reference and arrays as NumPy arrays.

    Args:
        model: the model.
        pickled: leave out how it is compiled where the optimizer cannot be pickled, with a warning.
    """
    compiled = model._compiled
    if pickled and compiled is not None and not _can_be_pickled(compiled.configuration):
        warnings.warn(
            f"model {model.name!r} is compiled with an optax transformation that cannot be pickled: the pickle holds the "
            "model as if it had not been compiled. Compile it again after loading.",
            UserWarning,
            stacklevel=user_level(),
        )
        compiled = None
    state: State = {
        "config": model.get_config(),
        "weights": [v.numpy() for _, v in model.named_weights()],
        "built": model.built,
        "input_shape": None if model._graph is not None or not model.has_input_shape else model.input_shape,
        "seed": model.seed,
        "calls": model.calls,
        "columns": dict(model._columns),
        "backend": model._chosen_backend,
        "frozen": [not layer._trainable for layer in _every(model)],
    }
    if compiled is not None:
        config, reached = compiled.configuration, compiled.state
        state["compiled"] = {
            "optimizer": config.optimizer if config.external else serialization.serialize(config.optimizer),
            "loss": serialization.plain(config.objective.loss_identifier),
            "loss_weights": serialization.plain(config.objective.loss_weights),
            "metrics": serialization.plain(config.objective.metrics),
            "weighted_metrics": serialization.plain(config.objective.weighted_metrics),
            "backend": config.backend.name,
            "frozen": [id(layer) in config.frozen for layer in _every(model)],
            "steps": reached.steps,
            "epochs": reached.epochs,
            "slots": _slots(model) if model.variables and not config.external else None,
            "foreign_state": None if reached.external is None else [to_numpy(a) for a in reached.external],
        }
    return state


def restored(cls: type, state: State) -> Any:
    """The model that `state_of` described."""
    model: Any = cls.from_config(state["config"])
    model.seed, model.calls, model._chosen_backend = state["seed"], state["calls"], state["backend"]
    model._columns = state["columns"]
    if state["built"]:
        if not model.built:
            model.build(state["input_shape"])
        for (_, variable), value in zip(model.named_weights(), state["weights"], strict=True):
            variable.assign(value)
    given = state.get("compiled")
    if given is not None:
        every, optimizer = _every(model), given["optimizer"]
        for layer, frozen in zip(every, given["frozen"], strict=True):
            layer._trainable = not frozen  # as it stood at `compile`
        model.compile(
            optimizer=optimizer if is_external_optimizer(optimizer) else serialization.deserialize(optimizer),
            loss=serialization.deserialize(given["loss"]),
            loss_weights=given.get("loss_weights"),
            metrics=serialization.deserialize(given["metrics"]),
            weighted_metrics=serialization.deserialize(given["weighted_metrics"]),
            backend=given["backend"],
        )
        external, trained = given["foreign_state"], model._compiled.configuration.trained(model)
        model._compiled.state = TrainingState(
            step=given["steps"],
            epochs=given["epochs"],
            slots={
                name: {0 if i < 0 else id(trained[i]): np.array(a) for i, a in held.items()}
                for name, held in (given["slots"] or {}).items()
            },
            external=None if external is None else tuple(external),
        )
    for layer, frozen in zip(_every(model), state["frozen"], strict=True):
        layer._trainable = not frozen
    return model


def started_again(model: Any) -> Any:
    """Return a model with the same layers and compile configuration, with newly drawn weights and no training state."""
    state = state_of(model)
    state |= {"built": False, "weights": [], "seed": host_random.next_seed(), "calls": 0}
    if "compiled" in state:
        state["compiled"] |= {"steps": 0, "epochs": 0, "slots": None, "foreign_state": None}
    return restored(type(model), copy.deepcopy(state))


def _can_be_pickled(config: Configuration) -> bool:
    """Whether the optimizer is one of lamella's, or can be pickled; optax's functions are closures."""
    if not config.external:
        return True
    try:
        pickle.dumps(config.optimizer)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _slots(model: Any) -> dict[str, dict[int, np.ndarray]]:
    """The optimizer's slots by the place of the weight, -1 where there is one for all."""
    places = {id(v): i for i, v in enumerate(model._compiled.configuration.trained(model))}
    return {
        name: {places.get(key, -1): np.array(to_numpy(a)) for key, a in held.items() if key in places or key == 0}
        for name, held in model._compiled.state.slots.items()
    }


def _every(model: Any) -> list[Any]:
    return [model, *[layer for _, layer in model.named_layers()]]
