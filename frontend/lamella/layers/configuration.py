"""A layer's configuration: the arguments it was made with as plain data, and a layer made from them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from lamella import activations
from lamella.core.serialization import LAYERS, Config, deserialize, plain, register, serialize
from lamella.layers.base import Layer
from lamella.layers.making import KINDS, kind_of, parameters
from lamella.names import snake_case

_PLAIN = (bool, int, float, str)


def arguments_of(layer: Layer) -> Config:
    """The arguments that a layer was made with, as plain data, under the names of Keras.

    Objects and plain values are read from the attribute of the same name, if there is one, so that changes made after the
    layer was constructed are included.
    """
    config: Config = {"name": layer.name, "trainable": layer._trainable, "dtype": serialize(layer.dtype_policy)}
    for word, given in layer._arguments.items():
        if word not in config and word not in layer.config_without:
            config[word] = plain(_present(layer, word, given))
    return {word: value for word, value in config.items() if word not in layer.config_without}


def _present(layer: Layer, word: str, given: Any) -> Any:
    if word in layer.config_attributes:
        return getattr(layer, layer.config_attributes[word])
    held, kind = getattr(layer, word, None), kind_of(word)
    if word.endswith("activation"):
        return held if callable(held) else activations.get(given)
    if kind is not None:
        return KINDS[kind].get(given) if held is None else held
    if isinstance(held, Layer) and isinstance(given, Layer):
        return held
    if word == "data_format":
        return held or given  # the value of None when the layer was made
    # a plain argument may have been changed since
    return held if isinstance(held, _PLAIN) and isinstance(given, _PLAIN) else given


@functools.cache
def layer_table() -> dict[str, Callable[..., Layer]]:
    """The layers that a configuration may name, by class name: all built-in layers, without aliases."""
    from lamella import layers

    abstract = (layers.Layer, layers.Wrapper)
    found = {name: getattr(layers, name) for name in vars(layers)["__all__"]}
    classes = {
        name: cls
        for name, cls in found.items()
        if isinstance(cls, type) and issubclass(cls, layers.Layer) and cls not in abstract and not cls.prepares_data
    }
    return {name: cls for name, cls in classes.items() if cls.__name__ == name and "__new__" not in vars(cls)}


def layer_from(cls: type[Layer], config: Mapping[str, Any]) -> Layer:
    """Make a layer of class `cls` from its configuration, in which descriptions become objects first."""
    given = {key: deserialize(value) for key, value in config.items()}
    later: Config = {}
    accepted = parameters(cls)
    if "kwargs" not in accepted:
        # a user-defined class without **kwargs still keeps its name and whether it is trainable
        later = {
            word: given.pop(word) for word in ("name", "trainable", "dtype") if word in given and word not in accepted
        }
    layer = cls(**given)
    if later.get("name") is not None:
        layer.name = later["name"]
    # a model may renumber a name of the form that unnamed layers get
    layer._named = not re.fullmatch(rf"{snake_case(cls.__name__)}(_\d+)?", layer.name)
    if "trainable" in later:
        layer._trainable = bool(later["trainable"])
    return layer


register(LAYERS, layer_table)
