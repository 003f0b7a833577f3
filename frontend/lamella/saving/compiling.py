"""A model's training configuration, as Keras writes it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lamella.core import serialization
from lamella.saving import optimizer_state
from lamella.training.state import Compiled


def compile_config(model: Any) -> dict[str, Any]:
    """{"compile_config": {...}} in Keras's words; nothing without an optimizer, or with one that no file holds."""
    compiled: Compiled | None = model._compiled
    if compiled is None or not optimizer_state.is_written(compiled):
        return {}
    config = compiled.configuration
    return {
        "compile_config": {
            "optimizer": serialization.serialize(config.optimizer),
            "loss": serialization.plain(config.loss_identifier),
            "loss_weights": None if config.loss_weight is None else [config.loss_weight],
            "metrics": _identifiers(config.metrics.identifiers),
            "weighted_metrics": _identifiers(config.metrics.weighted_identifiers),
            "run_eagerly": config.run_eagerly,
            "steps_per_execution": 1,
            "jit_compile": "auto",
        }
    }


def _identifiers(given: Sequence[Any]) -> list[Any] | None:
    return [serialization.plain(identifier) for identifier in given] or None


def compile_from(model: Any, config: Mapping[str, Any]) -> None:
    """Compile a model as a configuration says; its descriptions become objects here."""
    model.compile(
        optimizer=serialization.deserialize(config["optimizer"]),
        loss=serialization.deserialize(config.get("loss")),
        loss_weights=config.get("loss_weights"),
        metrics=serialization.deserialize(config.get("metrics")),
        weighted_metrics=serialization.deserialize(config.get("weighted_metrics")),
        run_eagerly=bool(config.get("run_eagerly")),
    )


def warn_of_optimizer(model: Any) -> None:
    """Say that a file cannot hold the optimizer a model is compiled with."""
    compiled: Compiled | None = model._compiled
    if compiled is None or optimizer_state.is_written(compiled):
        return
    warnings.warn(
        f"model {model.name!r} is compiled with an optax transformation, which no file describes: it is written without "
        "its optimizer. Compile it again after loading.",
        UserWarning,
        stacklevel=5,
    )
