"""Conversion of an optimizer's state to and from Keras's numbered arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamella.backend_api import to_numpy
from lamella.errors import FormatError
from lamella.ir.spec import numpy_dtype
from lamella.optimizers import LossScaleOptimizer, MultiOptimizer
from lamella.optimizers.base import Optimizer
from lamella.optimizers.state import Weight
from lamella.optimizers.variables import kind_of, places
from lamella.saving.arrays import fitting
from lamella.tracebacks import user_level
from lamella.training.state import Compiled

_VARYING = 2**16
"""The number of updates of Nadam's schedule that are computed one by one; after 900, u_t is beta_1 in float64."""

OWN_OF_LOSS_SCALE = 4
"""Arrays of a `LossScaleOptimizer` itself; after them come those of the inner optimizer."""


class Entry(NamedTuple):
    """An array of an optimizer's state.

    Attributes:
        name: its name, with the optimizer's before it ("adam/dense_kernel_momentum").
        shape: its shape.
        dtype: its dtype in a file.
        role: "slot", or what else it is: "steps", "rate", "product" (of Nadam's momenta), or "unused" by Keras, zeros.
        slot: the slot it belongs to.
        key: the id of the weight, or 0 where the slot belongs to the optimizer as a whole.
        owner: the optimizer that a rate or a product belongs to.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str = "slot"
    slot: str = ""
    key: int = 0
    owner: Any = None


def is_written(compiled: Compiled | None) -> bool:
    """Whether a file can hold the optimizer: one of lamella's."""
    return compiled is not None and not compiled.configuration.external


def entries(model: Any) -> list[Entry]:
    """Every array of the state in Keras's order; none without an optimizer that a file holds."""
    compiled: Compiled | None = model._compiled
    if compiled is None or not is_written(compiled) or not model.variables:
        return []
    optimizer = compiled.configuration.optimizer
    weights, trained = _weights(model), compiled.configuration.trained(model)
    if not isinstance(optimizer, LossScaleOptimizer):
        return _distinct(_held(optimizer, weights, trained, wrapped=False))
    name = optimizer.name
    outer = [
        Entry(f"{name}/iteration", (), "int32", "steps"),
        Entry(f"{name}/learning_rate", (), "float32", "unused"),
        Entry(f"{name}/step_counter", (), "int32", slot="step_counter"),
        Entry(f"{name}/dynamic_scale", (), "float32", slot="dynamic_scale"),
    ]
    return _distinct([*outer, *_held(optimizer.inner_optimizer, weights, trained, wrapped=True)])


def _held(optimizer: Optimizer, weights: list[Weight], trained: list[Any], *, wrapped: bool) -> Iterator[Entry]:
    """The state of an optimizer, or of the several of a `MultiOptimizer` one after another."""
    if not isinstance(optimizer, MultiOptimizer):
        yield from _of(optimizer, weights, trained, wrapped=wrapped)
        return
    counter = Entry(f"{optimizer.name}/iteration", (), "int32", "steps")
    yield counter._replace(role="slot", slot="iterations") if wrapped else counter
    yield Entry(f"{optimizer.name}/learning_rate", (), "float32", "unused")
    parts = dict(optimizer._parts(weights))
    for number, inner in enumerate(optimizer.optimizers):
        part = parts.get(number, [])
        yield from _of(inner, [weights[i] for i in part], [trained[i] for i in part], wrapped=False)


def _weights(model: Any) -> list[Weight]:
    """The trained weights as the optimizer knows them."""
    paths = {id(v): path for path, v in model.named_weights()}
    return [
        Weight(paths[id(v)], v.shape, v.dtype, v.constraint, v) for v in model._compiled.configuration.trained(model)
    ]


def _of(optimizer: Optimizer, weights: list[Weight], trained: list[Any], *, wrapped: bool) -> Iterator[Entry]:
    """The state of a plain optimizer.

    A `LossScaleOptimizer` counts the inner optimizer's steps in a slot, and in Keras a wrapped optimizer writes only those
    arrays that belong to a weight.
    """
    name = optimizer.name
    counter = Entry(f"{name}/iteration", (), "int32", "steps")
    yield counter._replace(role="slot", slot="iterations") if wrapped else counter
    if optimizer.schedule is None:
        yield Entry(f"{name}/learning_rate", (), "float32", "rate", owner=optimizer)
    specs = optimizer.slot_specs(weights)
    kind = kind_of(optimizer)
    for slot, i, spec in places(optimizer, specs, len(weights)):
        if i is None:  # of an optimizer written for Keras's API
            yield Entry(f"{name}/{slot}", tuple(spec.shape), spec.dtype, slot=slot)
            continue
        weight, label = weights[i], f"{name}/{weights[i].path.replace('/', '_')}"
        if spec is not None:
            yield Entry(f"{label}_{slot}", tuple(spec.shape), spec.dtype, "slot", slot, id(trained[i]))
        elif kind == "Adafactor" and slot in ("row", "column", "velocity"):
            yield from _unused_of_adafactor(weight, f"{label}_{slot}", wrapped)
    if kind == "Nadam" and not wrapped:
        yield Entry(f"{name}/variable", (), weights[0].dtype if weights else "float32", "product", owner=optimizer)


def _unused_of_adafactor(weight: Weight, label: str, wrapped: bool) -> Iterator[Entry]:
    """The unused array that Keras stores beside a matrix's row and column, and in their place for a vector."""
    if weight.ndim >= 2:
        yield Entry(label, tuple(weight.shape), weight.dtype, "unused")
    elif not wrapped:
        yield Entry(label, (), "int32", "unused")


def _distinct(found: Any) -> list[Entry]:
    """The entries with unique names."""
    result: list[Entry] = []
    taken: set[str] = set()
    for entry in found:
        name, number = entry.name, 1
        while name in taken:
            name, number = f"{entry.name}_{number}", number + 1
        taken.add(name)
        result.append(entry._replace(name=name))
    return result


def values(model: Any) -> list[np.ndarray]:
    """The arrays of `entries`."""
    found = entries(model)
    if not found:
        return []
    compiled: Compiled = model._compiled
    config, state = compiled.configuration, compiled.state
    trained = config.trained(model)
    fresh = config.optimizer.initial_slots(_weights(model), [to_numpy(v._value) for v in trained])
    places = {id(v): i for i, v in enumerate(trained)}

    def value(entry: Entry) -> Any:
        if entry.role == "steps":
            return state.steps
        if entry.role == "rate":
            return entry.owner.learning_rate
        if entry.role == "product":
            return _nadam_product(entry.owner, state.steps)
        if entry.role == "unused":
            return np.zeros(entry.shape)
        held = state.slots.get(entry.slot, {}).get(entry.key)
        if held is not None:
            return to_numpy(held)
        return fresh[entry.slot][places[entry.key]] if entry.key else fresh[entry.slot]

    return [np.asarray(value(entry)).astype(numpy_dtype(entry.dtype)) for entry in found]


def restore(model: Any, given: Sequence[np.ndarray]) -> None:
    """Give the optimizer of a compiled model the state that `values` gave."""
    compiled: Compiled = model._compiled
    steps = 0
    held: dict[str, dict[int, Any]] = {}
    for entry, array in zip(entries(model), given, strict=True):
        if entry.role == "steps":
            steps = max(int(array), steps)
        elif entry.role == "rate":
            if np.float32(entry.owner.learning_rate) != np.float32(array):
                entry.owner.learning_rate = float(array)
        elif entry.slot == "iterations":
            # Keras's LossScaleOptimizer has no counter
            steps = max(int(array), steps)
            held["iterations"] = {0: np.asarray(max(int(array), 0), np.uint32)}
        elif entry.role == "slot":
            held.setdefault(entry.slot, {})[entry.key] = array
    compiled.state = compiled.state._replace(step=steps, slots=held)


def check(model: Any, shapes: Sequence[tuple[tuple[int, ...], str]], where: str) -> bool:
    """Whether a file holds the whole state of the optimizer; False where it holds one that was never used.

    Args:
        model: a compiled model.
        shapes: shape and dtype of each array of the file.
        where: the file and the place in it, for messages.

    Raises:
        FormatError: the arrays are those of another optimizer or model.
    """
    expected = entries(model)
    scalars = sum(entry.name.endswith(("/iteration", "/learning_rate")) for entry in expected)
    if len(shapes) <= scalars and len(shapes) < len(expected):
        return False
    rates = sum(entry.role == "rate" for entry in expected)
    if rates and len(shapes) == len(expected) - rates:  # tf.keras wrote none
        warn_of_keras_2(where)
        return False
    if len(shapes) != len(expected) and _wraps(model):
        warnings.warn(
            f"{where}: the optimizer's state is that of another arrangement of optimizers; training begins with a new one.",
            UserWarning,
            stacklevel=user_level(),
        )
        return False
    if len(shapes) != len(expected):
        raise FormatError(
            f"{where}: {len(shapes)} arrays of optimizer state, the model's optimizer has {len(expected)}."
        )
    for entry, (found, kind) in zip(expected, shapes, strict=True):
        if found != entry.shape or not fitting(kind, entry.dtype):
            raise FormatError(
                f"{where}: the optimizer's {entry.name} has shape {entry.shape} ({entry.dtype}), the file has {found} "
                f"({kind})."
            )
    return True


def warn_of_keras_2(where: str, version: str = "2") -> None:
    """Warn that the optimizer state in a file of Keras 1 or 2 is not read."""
    warnings.warn(
        f"{where}: the optimizer's state of Keras {version} is not read; training begins with a new one.",
        UserWarning,
        stacklevel=user_level(),
    )


def _wraps(model: Any) -> bool:
    """Whether the optimizer wraps others: in mixed_float16 it may although the file does not say so."""
    halved = any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers)
    return halved or isinstance(model._compiled.configuration.optimizer, LossScaleOptimizer | MultiOptimizer)


def _nadam_product(optimizer: Any, steps: int) -> np.ndarray:
    """The product of u_1 ... u_t that Keras keeps and lamella computes from the number of updates."""
    updates = steps // (optimizer.gradient_accumulation_steps or 1)
    t = np.arange(1.0, min(updates, _VARYING) + 1.0)
    product = np.prod(optimizer.beta_1 * (1.0 - 0.5 * 0.96**t))
    return np.asarray(product * optimizer.beta_1 ** max(updates - _VARYING, 0))
