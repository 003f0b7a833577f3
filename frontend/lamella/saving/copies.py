"""Copies and pickles of a model: its configuration, the values of its weights, and how far its training has come."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.backend_api import to_numpy
from lamella.core import serialization
from lamella.training.state import TrainingState

State = dict[str, Any]


def state_of(model: Any) -> State:
    """All that makes an equal model: objects of the user's own by reference, arrays as NumPy's."""
    compiled = model._compiled
    state: State = {
        "config": model.get_config(),
        "weights": [v.numpy() for _, v in model.named_weights()],
        "built": model.built,
        "seed": model.seed,
        "calls": model.calls,
        "backend": model._chosen_backend,
        "frozen": [not layer._trainable for layer in _every(model)],
    }
    if compiled is not None:
        config, reached = compiled.configuration, compiled.state
        state["compiled"] = {
            "optimizer": config.optimizer if config.external else serialization.serialize(config.optimizer),
            "loss": serialization.plain(config.loss_identifier),
            "metrics": serialization.plain(config.metrics.identifiers),
            "weighted_metrics": serialization.plain(config.metrics.weighted_identifiers),
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
    if state["built"]:
        for (_, variable), value in zip(model.named_weights(), state["weights"], strict=True):
            variable.assign(value)
    given = state.get("compiled")
    if given is not None:
        every = _every(model)
        for layer, frozen in zip(every, given["frozen"], strict=True):
            layer._trainable = not frozen  # as it stood at `compile`
        model.compile(
            optimizer=serialization.deserialize(given["optimizer"]),
            loss=serialization.deserialize(given["loss"]),
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


def _slots(model: Any) -> dict[str, dict[int, np.ndarray]]:
    """The optimizer's slots by the place of the weight, -1 where there is one for all."""
    places = {id(v): i for i, v in enumerate(model._compiled.configuration.trained(model))}
    return {
        name: {places.get(key, -1): np.array(to_numpy(a)) for key, a in held.items() if key in places or key == 0}
        for name, held in model._compiled.state.slots.items()
    }


def _every(model: Any) -> list[Any]:
    return [model, *[layer for _, layer in model.named_layers()]]
