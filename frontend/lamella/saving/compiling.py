"""A model's training configuration and its optimizer's state, as Keras writes them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamella.backend import to_numpy
from lamella.errors import FormatError
from lamella.layers import configuration
from lamella.optimizers import LossScaleOptimizer, MultiOptimizer
from lamella.optimizers.base import Weight
from lamella.training.compiled import Compiled

Slot = tuple[str, tuple[int, ...], str]
"""The name of an array of an optimizer's state, its shape and its dtype."""

_TOGETHER = {
    "Adam": [("momentum", "velocity"), ("velocity_hat",)],
    "Adamax": [("momentum", "norm")],
    "Nadam": [("momentum", "velocity")],
    "Adadelta": [("accumulated_grad", "accumulated_delta_var")],
    "Ftrl": [("accumulator", "linear")],
    "Lamb": [("momentum", "velocity")],
    "ScheduleFreeAdamW": [("momentum", "velocity")],
}
"""The slots that Keras writes weight by weight: all of a group for the first weight, for the second, and so on.

Slots of other optimizers are written one after another, each for all weights.
"""


# ---- configuration ----


def compile_config(model: Any) -> dict[str, Any]:
    """{"compile_config": {...}} in Keras's words; nothing for a model that is not compiled, or whose optimizer is optax's."""
    compiled: Compiled | None = model._compiled
    if compiled is None or compiled.foreign:
        return {}
    return {
        "compile_config": {
            "optimizer": configuration.described(compiled.optimizer),
            "loss": configuration.plain(compiled.loss_identifier),
            "loss_weights": compiled.loss_weight,
            "metrics": _identifiers(compiled.metric_identifiers),
            "weighted_metrics": _identifiers(compiled.weighted_identifiers),
            "run_eagerly": compiled.run_eagerly,
            "steps_per_execution": 1,
            "jit_compile": "auto",
        }
    }


def _identifiers(given: Sequence[Any]) -> list[Any] | None:
    return [configuration.plain(identifier) for identifier in given] or None


def compile_from(model: Any, config: Mapping[str, Any]) -> None:
    """Compile a model as a configuration says; its descriptions become objects here."""
    model.compile(
        optimizer=configuration.revived(config["optimizer"]),
        loss=configuration.revived(config.get("loss")),
        metrics=configuration.revived(config.get("metrics")),
        weighted_metrics=configuration.revived(config.get("weighted_metrics")),
        loss_weights=config.get("loss_weights"),
        run_eagerly=bool(config.get("run_eagerly")),
    )


def warn_of_optax(model: Any) -> None:
    """Say that a file cannot hold the optax transformation a model is compiled with."""
    if model._compiled is not None and model._compiled.foreign:
        warnings.warn(
            f"model {model.name!r} is compiled with an optax transformation, which no file describes: it is written without "
            "its optimizer. Compile it again after loading.",
            UserWarning,
            stacklevel=5,
        )


# ---- the optimizer's state ----


def state_slots(model: Any) -> list[Slot]:
    """Name, shape and dtype of every array of the optimizer's state, in Keras's order; empty without an optimizer."""
    compiled = model._compiled
    if compiled is None or compiled.foreign or not model.variables:
        return []
    found: list[Slot] = [("iteration", (), "int32")]
    rated = _rated(model)
    found += [("learning_rate" if len(rated) == 1 else f"learning_rate_{i}", (), "float32") for i in range(len(rated))]
    found += [(name, tuple(spec.shape), spec.dtype) for name, _, _, spec in _ordered(model)]
    if type(compiled.optimizer).__name__ == "Nadam":
        found.append(("variable", (), "float32"))
    return found


def state_arrays(model: Any) -> list[np.ndarray]:
    """The arrays of `state_slots`."""
    compiled = model._compiled
    found: list[np.ndarray] = [np.asarray(compiled.steps, np.int32)]
    found += [np.asarray(optimizer.learning_rate, np.float32) for optimizer in _rated(model)]
    weights = _weights(model)
    fresh = compiled.optimizer.initial_slots(weights, [to_numpy(v.value) for v in compiled.trained(model)])
    places = {id(v): i for i, v in enumerate(compiled.trained(model))}
    for _, slot, key, _ in _ordered(model):
        held = compiled.slots.get(slot, {}).get(key)
        found.append(np.asarray(to_numpy((fresh[slot][places[key]] if key else fresh[slot]) if held is None else held)))
    if type(compiled.optimizer).__name__ == "Nadam":
        found.append(_nadam_product(compiled.optimizer, compiled.steps))
    return found


def restore_state(model: Any, arrays: Sequence[np.ndarray]) -> None:
    """Give the optimizer of a compiled model the state that `state_arrays` gave."""
    compiled = model._compiled
    given = list(arrays)
    compiled.steps = max(int(given.pop(0)), 0)
    for optimizer in _rated(model):
        rate = given.pop(0)
        if np.float32(optimizer.learning_rate) != np.float32(rate):
            optimizer.learning_rate = float(rate)
    held: dict[str, dict[int, Any]] = {}
    for (_, slot, key, _), array in zip(_ordered(model), given, strict=False):
        held.setdefault(slot, {})[key] = array
    compiled.slots = held


def check_state(model: Any, shapes: Sequence[tuple[tuple[int, ...], str]], where: str) -> bool:
    """Whether a file holds the whole state of the optimizer; False where it holds one that was never used.

    Args:
        model: a compiled model.
        shapes: shape and dtype of each array of the file.
        where: the file and the place in it, for messages.

    Raises:
        FormatError: the arrays are those of another optimizer or model.
    """
    expected = state_slots(model)
    scalars = 1 + len(_rated(model))
    if len(shapes) in (0, scalars) and len(shapes) < len(expected):
        return False
    if len(shapes) != len(expected) and _wraps(model):
        warnings.warn(
            f"{where}: the state of optimizers within a LossScaleOptimizer or MultiOptimizer is not read as Keras writes it; "
            "training begins with a new one.",
            UserWarning,
            stacklevel=6,
        )
        return False
    if len(shapes) != len(expected):
        raise FormatError(
            f"{where}: {len(shapes)} arrays of optimizer state, the model's optimizer has {len(expected)}."
        )
    for (name, shape, dtype), (found, kind) in zip(expected, shapes, strict=True):
        if found != shape or not fitting(kind, dtype):
            raise FormatError(
                f"{where}: the optimizer's {name} has shape {shape} ({dtype}), the file has {found} ({kind})."
            )
    return True


def _wraps(model: Any) -> bool:
    """Whether the optimizer holds others, in Keras: it wraps that of a model in mixed_float16, which a file does not say."""
    halved = any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers)
    return halved or isinstance(model._compiled.optimizer, LossScaleOptimizer | MultiOptimizer)


def fitting(found: str, wanted: str) -> bool:
    """Whether an array of dtype `found` in a file can be a variable of dtype `wanted`."""
    kinds = {"float": "f", "bfloat": "f", "int": "i", "uint": "i", "bool": "b"}

    def kind(name: str) -> str:
        return kinds.get(name.rstrip("0123456789"), name)

    return kind(found) == kind(wanted)


def _rated(model: Any) -> list[Any]:
    """The optimizers whose learning rate is a number; those of a function are known once they have their weights."""
    optimizer = model._compiled.optimizer
    optimizer.slot_specs(_weights(model))
    return [one for one in optimizer.rated() if one.schedule is None]


def _weights(model: Any) -> list[Weight]:
    """The trained weights as the optimizer knows them."""
    paths = {id(v): path for path, v in model.named_weights()}
    return [Weight(paths[id(v)], v.shape, v.dtype, v.constraint, v) for v in model._compiled.trained(model)]


def _ordered(model: Any) -> list[tuple[str, str, int, Any]]:
    """(name, slot, id of the weight or 0, spec) in the order in which Keras numbers an optimizer's state."""
    compiled: Compiled = model._compiled
    weights, trained = _weights(model), compiled.trained(model)
    specs = compiled.optimizer.slot_specs(weights)
    together = next((_TOGETHER[c.__name__] for c in type(compiled.optimizer).__mro__ if c.__name__ in _TOGETHER), [])
    first = [("average",), ("gradient_accumulator",)]
    groups = [[slot for slot in group if slot in specs] for group in [*first, *together]]
    groups += [[slot] for slot in specs if not any(slot in group for group in groups)]
    found: list[tuple[str, str, int, Any]] = []
    for group in groups:
        for i, (weight, variable) in enumerate(zip(weights, trained, strict=True)):
            for slot in group:
                if isinstance(specs[slot], list) and specs[slot][i] is not None:
                    found.append((f"{_flat(weight.path)}_{slot}", slot, id(variable), specs[slot][i]))
        found += [(slot, slot, 0, specs[slot]) for slot in group if not isinstance(specs[slot], list)]
    return found


def _flat(path: str) -> str:
    return path.replace("/", "_")


def _nadam_product(optimizer: Any, steps: int) -> np.ndarray:
    """The product of u_1 ... u_t that Keras keeps and lamella computes from the step."""
    t = np.arange(1.0, steps + 1.0)
    return np.asarray(np.prod(optimizer.beta_1 * (1.0 - 0.5 * 0.96**t)), np.float32)
