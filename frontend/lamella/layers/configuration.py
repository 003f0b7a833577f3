"""What layers, losses, optimizers and their arguments are made of, as plain data in Keras 3's schema, and back.

An object becomes `{"module": ..., "class_name": ..., "config": {...}, "registered_name": ...}`, whose config holds the
arguments it was made with. Such a dict is a `Described`: in memory it remembers the class, so that a copy needs no table;
once it has been through a file only the names of the closed table, and those the caller gives, are classes.
"""

from __future__ import annotations

import copy
import functools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamella import activations, constraints, initializers, losses, metrics, optimizers, regularizers
from lamella.errors import unknown_name
from lamella.layers.base import CONTAINERS, Layer
from lamella.layers.making import parameters
from lamella.layers.policy import Policy
from lamella.names import snake_case
from lamella.optimizers import schedules

Config = dict[str, Any]

TABLES: dict[str, Mapping[str, Any]] = {
    "keras.initializers": initializers.TABLE,
    "keras.regularizers": regularizers.TABLE,
    "keras.constraints": constraints.TABLE,
    "keras.losses": losses.TABLE,
    "keras.metrics": metrics.TABLE,
    "keras.optimizers": optimizers.CONFIGURABLE,
    "keras.optimizers.schedules": schedules.TABLE,
}
"""For every module of Keras whose objects have a configuration, the closed table of what may be made."""

_PLAIN = (bool, int, float, str)

_FROM_ATTRIBUTE = {
    "Bidirectional": {"layer": "forward_layer", "backward_layer": "backward_layer"},
    "RNN": {"cell": "cell"},
    "StackedRNNCells": {"cells": "cells"},
    "Discretization": {"bin_boundaries": "bin_boundaries"},
}
"""Arguments that stand for what the layer made of them: {class: {argument: attribute}}."""

_LEFT_OUT = {
    "Bidirectional": {"weights"},
    "Embedding": {"weights"},
    "InputLayer": {"shape", "batch_size", "batch_shape", "dtype", "trainable"},
    "AdditiveAttention": {"score_mode"},
    "SpatialDropout": {"trainable"},
    "Discretization": {"trainable"},
}
"""Arguments that are values, or that Keras's class of the name does not take."""


class Described(dict[str, Any]):
    """The description of an object, `{"module", "class_name", "config", "registered_name"}`, with its class.

    Attributes:
        made: the class.
    """

    made: Any = None

    def __reduce__(self) -> Any:
        return _described_again, (dict(self), self.made)


def _described_again(entries: Config, made: Any) -> Described:
    found = Described(entries)
    found.made = made
    return found


# ---- to plain data ----


def described(made: Any) -> Described:
    """The description of an object that has a `get_config`."""
    cls = type(made)
    module, name, registered = module_of(cls), "DTypePolicy" if cls is Policy else cls.__name__, None
    if module is None:
        module, registered = cls.__module__, name
    if cls is Policy:
        config: Config = {"name": made.name}
    else:
        config = {key: plain(value) for key, value in made.get_config().items()}
        if isinstance(made, optimizers.Optimizer) and "learning_rate" in config and made.schedule is not None:
            config["learning_rate"] = described(made.schedule)
    found = Described(module=module, class_name=name, config=config, registered_name=registered)
    found.made = cls
    if isinstance(made, Layer):
        found |= made._further_config()
    return found


def module_of(cls: type) -> str | None:
    """The module of Keras that has a class of lamella's; None for a user's own class."""
    if cls.__module__.partition(".")[0] != "lamella":
        return None
    if cls is Policy or not issubclass(cls, Layer):
        for module, table in TABLES.items():
            if table.get(cls.__name__) is cls:
                return module
        return "keras" if cls is Policy else None
    return "keras" if cls.__name__ == "Sequential" else "keras.layers"


def plain(value: Any) -> Any:
    """`value` as plain data; a function of the user's own, and what has no `get_config`, stays as it is."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value) if type(value) in (list, tuple) else [plain(v) for v in value]
    if isinstance(value, dict):
        if isinstance(value, Described):
            return value
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, initializers.FromFunction):
        return value.function
    known = _name_of_function(value)
    if known is not None:
        return known
    if isinstance(value, type) or not hasattr(value, "get_config"):
        return value if not isinstance(value, Policy) else described(value)
    return described(value)


def _name_of_function(value: Any) -> str | None:
    """The name under which Keras's tables know a function of lamella's."""
    for name, known in activations.TABLE.items():
        if known is value:
            return name
    name = getattr(value, "__name__", None)
    return name if name is not None and getattr(losses, name, None) is value else None


def arguments_of(layer: Layer) -> Config:
    """The arguments a layer was made with, as plain data, in Keras's words.

    Objects and plain values are read from the attribute of the argument's name, where there is one, so that what was
    changed after the layer was made counts.
    """
    cls = type(layer)
    names = {base.__name__ for base in cls.__mro__}
    special = {k: v for name in names for k, v in _FROM_ATTRIBUTE.get(name, {}).items()}
    left_out = {word for name in names for word in _LEFT_OUT.get(name, ())}
    config: Config = {"name": layer.name, "trainable": layer._trainable, "dtype": described(layer.dtype_policy)}
    for word, given in layer._arguments.items():
        if word not in config and word not in left_out:
            config[word] = plain(_present(layer, word, given, special))
    return {word: value for word, value in config.items() if word not in left_out}


def _present(layer: Layer, word: str, given: Any, special: Mapping[str, str]) -> Any:
    if word in special:
        return getattr(layer, special[word])
    held = getattr(layer, word, None)
    if word.endswith("activation"):
        return held if callable(held) else activations.get(given)
    for suffix, module in (
        ("_initializer", initializers),
        ("_regularizer", regularizers),
        ("_constraint", constraints),
    ):
        if word.endswith(suffix):
            return module.get(given) if held is None else held
    if isinstance(held, Layer) and isinstance(given, Layer):
        return held
    # a plain argument may have been changed since
    return held if isinstance(held, _PLAIN) and isinstance(given, _PLAIN) else given


# ---- back ----


class _Custom(threading.local):
    def __init__(self) -> None:
        self.names: list[Mapping[str, Any]] = []


_CUSTOM = _Custom()


@contextmanager
def custom_objects(names: Mapping[str, Any] | None) -> Iterator[None]:
    """Inside, these names stand for these classes and functions, before those of lamella."""
    _CUSTOM.names.append(dict(names or {}))
    try:
        yield
    finally:
        _CUSTOM.names.pop()


def custom(name: Any) -> Any:
    """What the caller gave under a name, or None."""
    for names in reversed(_CUSTOM.names):
        if isinstance(name, str) and name in names:
            return names[name]
    return None


@functools.cache
def layer_table() -> dict[str, Callable[..., Layer]]:
    """Every layer a configuration may name, by class name: the closed table of the catalogue, without second names."""
    from lamella import layers

    found = {name: getattr(layers, name) for name in vars(layers)["__all__"] if name not in ("Input", "Layer")}
    return {name: cls for name, cls in found.items() if cls.__name__ == name and "__new__" not in vars(cls)}


def is_described(value: Any) -> bool:
    """Whether `value` is the description of an object."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def revived(value: Any) -> Any:
    """`value` with every description in it replaced by the object it describes.

    Raises:
        UnknownNameError: a class is in no table and was not given by the caller.
    """
    if isinstance(value, list | tuple):
        return type(value)(revived(v) for v in value)
    if isinstance(value, dict) and not is_described(value):
        return {key: revived(item) for key, item in value.items()}
    if not isinstance(value, dict):
        # a cell that is no layer: every layer has one of its own
        return copy.deepcopy(value) if hasattr(value, "state_size") else value
    name, config, module = value["class_name"], value["config"], value.get("module")
    if name == "function":
        return _function(config)
    if name in ("DTypePolicy", "Policy"):
        return Policy.of(config["name"])
    cls = getattr(value, "made", None) or custom(value.get("registered_name")) or custom(name)
    if cls is None:
        cls = _known(name, module)
    if isinstance(cls, type) and issubclass(cls, Layer):
        return cls.from_config(config)
    config = {key: revived(item) for key, item in (config or {}).items()}
    return cls.from_config(config) if hasattr(cls, "from_config") else cls(**config)


def _known(name: str, module: str | None) -> Any:
    if module in TABLES:
        if name in TABLES[module]:
            return TABLES[module][name]
        raise unknown_name(module.removeprefix("keras."), name, TABLES[module])
    if name in CONTAINERS:
        return CONTAINERS[name]
    layers = layer_table()
    if name in layers:
        return layers[name]
    for table in TABLES.values():  # Keras 2 names no module
        if name in table:
            return table[name]
    raise unknown_name("class", name, layers)


def _function(name: str) -> Any:
    found = custom(name)
    if found is None:
        found = activations.TABLE.get(name)
    if found is None:
        known = losses.TABLE.get(name)
        found = None if known is None else getattr(losses, name, None)
    if found is None:
        raise unknown_name("function", name, activations.TABLE)
    return found


def layer_from(cls: type[Layer], config: Mapping[str, Any]) -> Layer:
    """A layer of class `cls` from its configuration; descriptions in it become objects first."""
    given = {key: revived(value) for key, value in config.items()}
    later: Config = {}
    accepted = parameters(cls)
    if "kwargs" not in accepted:
        # a class of the user's own that takes no words but its own keeps name and state all the same
        later = {
            word: given.pop(word) for word in ("name", "trainable", "dtype") if word in given and word not in accepted
        }
    layer = cls(**given)
    if later.get("name") is not None:
        layer.name = later["name"]
    # a name of the pattern that unnamed layers get may be numbered anew by who holds the layer
    layer._named = not re.fullmatch(rf"{snake_case(cls.__name__)}(_\d+)?", layer.name)
    if "trainable" in later:
        layer._trainable = bool(later["trainable"])
    return layer
