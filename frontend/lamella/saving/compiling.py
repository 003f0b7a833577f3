"""A model's training configuration, as Keras writes it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lamella.core import serialization
from lamella.errors import FormatError
from lamella.optimizers.multi import MultiOptimizer, OptimizerMap
from lamella.saving import optimizer_state
from lamella.tracebacks import user_level
from lamella.training.state import Compiled

_MOST_STARS = 3
"""The maximum number of stars in an expression of a file, as in `checking`."""
_MOST_STEPS = 2 * 10**8
"""The maximum number of steps of Python's matcher: a few seconds."""


def compile_config(model: Any) -> dict[str, Any]:
    """{"compile_config": {...}} in Keras's schema; empty without an optimizer, or with one that no file can describe."""
    compiled: Compiled | None = model._compiled
    if compiled is None or not optimizer_state.is_written(compiled):
        return {}
    config = compiled.configuration
    return {
        "compile_config": {
            "optimizer": serialization.serialize(config.optimizer),
            "loss": serialization.plain(config.objective.loss_identifier),
            "loss_weights": _listed(serialization.plain(config.objective.loss_weights)),
            "metrics": _listed(serialization.plain(config.objective.metrics)),
            "weighted_metrics": _listed(serialization.plain(config.objective.weighted_metrics)),
            "run_eagerly": config.run_eagerly,
            "steps_per_execution": 1,
            "jit_compile": "auto",
        }
    }


def _listed(given: Any) -> Any:
    """The argument of one output as a list, as Keras expects it; None for an empty one."""
    if isinstance(given, list | tuple):
        return list(given) or None
    return given if given is None or (isinstance(given, dict) and "class_name" not in given) else [given]


def compile_from(model: Any, config: Mapping[str, Any]) -> None:
    """Compile a model as a configuration says; its descriptions become objects here.

    Raises:
        FormatError: the expressions of a `MultiOptimizer` would take long to match.
    """
    optimizer = serialization.deserialize(config["optimizer"])
    _check_expressions(model, getattr(optimizer, "inner_optimizer", optimizer))
    model.compile(
        optimizer=optimizer,
        loss=serialization.deserialize(config.get("loss")),
        loss_weights=config.get("loss_weights"),
        metrics=serialization.deserialize(config.get("metrics")),
        weighted_metrics=serialization.deserialize(config.get("weighted_metrics")),
        run_eagerly=bool(config.get("run_eagerly")),
    )


def _check_expressions(model: Any, optimizer: Any) -> None:
    """Bound the steps of matching every path of a weight against every expression: one star more, one power more."""
    if not isinstance(optimizer, MultiOptimizer) or not isinstance(optimizer.optimizer_map, OptimizerMap):
        return
    lengths = [len(path) for path, _ in model.named_weights()]
    stars = Counter(min(key.count("*"), _MOST_STARS) for key in optimizer.optimizer_map)
    steps = sum(count * sum(length**power for length in lengths) for power, count in stars.items())
    if steps > _MOST_STEPS:
        raise FormatError(
            f"the {len(optimizer.optimizer_map):,} expressions of the OptimizerMap may take {steps:,} steps to match the "
            f"paths of {len(lengths):,} weights; at most {_MOST_STEPS:,} are allowed in a file."
        )


def warn_of_optimizer(model: Any) -> None:
    """Warn that a file cannot store the optimizer that a model is compiled with."""
    compiled: Compiled | None = model._compiled
    if compiled is None or optimizer_state.is_written(compiled):
        return
    warnings.warn(
        f"model {model.name!r} is compiled with an optax transformation, which no file describes: it is written without "
        "its optimizer. Compile it again after loading.",
        UserWarning,
        stacklevel=user_level(),
    )
