"""Copies and pickles of a model: its configuration, the values of its weights, and how far its training has come."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.backend_api import to_numpy
from lamella.core import serialization

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
        state["compiled"] = {
            "optimizer": compiled.optimizer if compiled.external else serialization.serialize(compiled.optimizer),
            "loss": serialization.plain(compiled.loss_identifier),
            "metrics": serialization.plain(compiled.metric_identifiers),
            "weighted_metrics": serialization.plain(compiled.weighted_identifiers),
            "backend": compiled.backend.name,
            "frozen": [id(layer) in compiled.frozen for layer in _every(model)],
            "steps": compiled.steps,
            "epochs": compiled.epochs,
            "slots": _slots(model) if model.variables and not compiled.external else None,
            "foreign_state": None
            if compiled.external_state is None
            else [to_numpy(a) for a in compiled.external_state],
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
        compiled = model._compiled
        compiled.steps, compiled.epochs = given["steps"], given["epochs"]
        if given["foreign_state"] is not None:
            compiled.external_state = tuple(given["foreign_state"])
        if given["slots"] is not None:
            trained = compiled.trained(model)
            compiled.slots = {
                name: {0 if i < 0 else id(trained[i]): np.array(a) for i, a in held.items()}
                for name, held in given["slots"].items()
            }
    for layer, frozen in zip(_every(model), state["frozen"], strict=True):
        layer._trainable = not frozen
    return model


def _slots(model: Any) -> dict[str, dict[int, np.ndarray]]:
    """The optimizer's slots by the place of the weight, -1 where there is one for all."""
    places = {id(v): i for i, v in enumerate(model._compiled.trained(model))}
    return {
        name: {places.get(key, -1): np.array(to_numpy(a)) for key, a in held.items() if key in places or key == 0}
        for name, held in model._compiled.slots.items()
    }


def _every(model: Any) -> list[Any]:
    return [model, *[layer for _, layer in model.named_layers()]]
