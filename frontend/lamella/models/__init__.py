"""Models: layers put together, and read from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lamella.absent import refusing
from lamella.core import serialization as _serialization
from lamella.layers.base import Layer
from lamella.layers.core import InputLayer
from lamella.models.base import BaseModel
from lamella.models.model import Model as Model
from lamella.models.persistence import Path as _Path
from lamella.models.sequential import Sequential as Sequential
from lamella.tracebacks import filtered as _filtered


@_filtered
def load_model(
    filepath: _Path, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Sequential:
    """The model of a file that `model.save` of lamella or of Keras wrote: ".keras", ".h5", ".safetensors".

    Nothing in the file is run, imported, unpickled or followed: layers come from lamella's catalogue, and from
    `custom_objects`.

    Args:
        filepath: the file.
        custom_objects: the classes and functions of your own that the model uses: {name: class}.
        compile: whether the model comes compiled, with its optimizer's state, where the file says how.
        safe_mode: True: files are data.

    Raises:
        ArgumentError: `safe_mode` is False.
        FormatError: the file is damaged, or describes what lamella does not have.
        FileNotFoundError: there is no such file.
    """
    from lamella import saving

    return saving.load_model(filepath, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)


@_filtered
def save_model(
    model: Sequential,
    filepath: _Path,
    overwrite: bool = True,
    include_optimizer: bool = True,
    save_format: str | None = None,
) -> None:
    """The same as `model.save`."""
    model.save(filepath, overwrite, include_optimizer, save_format)


@_filtered
def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """A model, with weights of its own, from what `model.to_json` of lamella or of Keras gave.

    Raises:
        FormatError: the text is no such configuration.
    """
    from lamella import saving

    return saving.model_from_json(json_string, custom_objects)


@_filtered
def clone_model(model: Any, *, clone_function: Callable[[Layer], Layer] | None = None, recursive: bool = False) -> Any:
    """A model of the same layers, not compiled, with weights of its own.

    >>> from lamella.layers import Dense, Input
    >>> model = Sequential([Input((2,)), Dense(3, activation="relu"), Dense(1)])
    >>> def linear(layer):
    ...     return type(layer).from_config({**layer.get_config(), "activation": None})
    >>> clone_model(model, clone_function=linear).layers[0].activation.__name__
    'linear'

    Args:
        model: the model.
        clone_function: makes the layer of the copy from a layer of the model; by default an equal one.
        recursive: whether it is called for the layers of a model among the layers, instead of for that model.
    """
    if clone_function is None:
        return type(model).from_config(model.get_config())
    made: dict[str, Layer] = {}
    for name, layer in model.children.items():
        if recursive and isinstance(layer, BaseModel):
            made[name] = clone_model(layer, clone_function=clone_function, recursive=True)
        elif not isinstance(layer, InputLayer):
            made[name] = clone_function(layer)
    with _serialization.replacing(made):
        return type(model).from_config(model.get_config())


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
