"""Replays the oracle's fit rows with lamella: the same layers, compiled alike, from the recorded initial weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

import lamella
from lamella import layers, metrics, optimizers
from layer_replay import difference, loss_of
from oracle import load
from oracle.rows import FitCase

FITS = "fits"


@dataclass(frozen=True)
class Fitted:
    """What a fit left behind: the model, its logs by epoch, and what `evaluate` and `predict` then say."""

    model: lamella.Sequential
    history: dict[str, list[float]]
    evaluated: dict[str, float]
    predicted: np.ndarray


def recorded(case: FitCase) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What Keras answered to a row; and the names of its weights and the order of its log keys."""
    entry = load.load(FITS, case.id)
    return entry, json.loads(str(entry["meta"]))


def _metrics(named: tuple[Any, ...]) -> list[Any]:
    return [given if isinstance(given, str) else getattr(metrics, given[0])(**given[1]) for given in named]


def build(case: FitCase, optimizer: Any = None) -> lamella.Sequential:
    """The row's model, compiled, with the recorded initial weights; another optimizer takes the place of the row's."""
    made = [getattr(layers, name)(**kwargs) for name, kwargs in case.layers]
    model = lamella.Sequential([lamella.Input(case.input_shape), *made])
    loss = case.loss if isinstance(case.loss, str) else loss_of(*case.loss)
    name, kwargs = case.optimizer
    model.compile(
        optimizer or getattr(optimizers, name)(**kwargs),
        loss,
        metrics=_metrics(case.metrics),
        weighted_metrics=_metrics(case.weighted_metrics) or None,
        loss_weights=case.loss_weights,
    )
    model.set_weights(load.series(load.load(FITS, case.id), "initial"))
    return model


def fit(model: lamella.Sequential, case: FitCase, **kwargs: Any) -> lamella.callbacks.History:
    """`fit` as the row says."""
    entry = load.load(FITS, case.id)
    if case.validation_rows:
        kwargs["validation_data"] = (entry["validation_x"], entry["validation_y"])
    return model.fit(
        entry["x"],
        entry["y"],
        **{
            "batch_size": case.batch_size,
            "epochs": case.epochs,
            "shuffle": False,
            "verbose": 0,
            "sample_weight": entry.get("sample_weight"),
            "class_weight": case.class_weight,
            "validation_split": case.validation_split,
        }
        | kwargs,
    )


def run(case: FitCase) -> Fitted:
    """Fit, evaluate and predict on the backend in force."""
    entry = load.load(FITS, case.id)
    model = build(case)
    history = fit(model, case).history
    kwargs = {"batch_size": case.batch_size, "verbose": 0}
    evaluated = model.evaluate(
        entry["x"], entry["y"], sample_weight=entry.get("sample_weight"), return_dict=True, **kwargs
    )
    return Fitted(model, history, evaluated, model.predict(entry["x"], **kwargs))


def differences(found: Fitted, entry: dict[str, np.ndarray]) -> dict[str, float]:
    """The relative difference of everything that was recorded, by the recording's keys."""
    told = {
        f"history/{key}": difference(found.history[key], value) for key, value in load.mapping(entry, "history").items()
    }
    told |= {
        f"evaluate/{key}": difference(found.evaluated[key], value)
        for key, value in load.mapping(entry, "evaluate").items()
    }
    weights = zip(found.model.get_weights(), load.series(entry, "weights"), strict=True)
    told |= {f"weights/{i}": difference(value, expected) for i, (value, expected) in enumerate(weights)}
    return told | {"predict": difference(found.predicted, entry["predict"])}
