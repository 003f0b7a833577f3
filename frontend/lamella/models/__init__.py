"""Models: `Sequential`, `Model`, and functions that load, save and clone them."""

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
    """Return the model stored in a file that `model.save` of lamella or of Keras wrote.

    Nothing in the file is executed, imported, unpickled or followed: layers come from lamella's own classes and from
    `custom_objects`.

    Args:
        filepath: path of a `.keras`, `.h5`, `.hdf5` or `.safetensors` file.
        custom_objects: dict from name to class or function, for the user-defined objects that the model uses.
        compile: whether to compile the model, and to restore its optimizer state, if the file describes both.
        safe_mode: must be True; files are treated as data only.

    Returns:
        The model, a `Sequential` or a `Model`.

    Raises:
        ArgumentError: `safe_mode` is False.
        FormatError: the file is damaged, or describes something that lamella does not implement.
        FileNotFoundError: the file does not exist.

    Example:
        >>> import os, tempfile
        >>> from lamella.layers import Dense, Input
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "small.safetensors")
        >>> Sequential([Input((2,)), Dense(3)], name="small").save(path)
        >>> load_model(path).output_shape
        (None, 3)
        >>> folder.cleanup()
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
    """Write a model to a file; the same as `model.save`.

    Args:
        model: the model to write.
        filepath: path whose ending selects the format: `.keras`, `.h5`, `.hdf5` or `.safetensors`.
        overwrite: whether an existing file is replaced.
        include_optimizer: whether the compile configuration and the optimizer state are written.
        save_format: deprecated, "keras" or "h5"; the ending of `filepath` selects the format.

    Raises:
        ValueError: the ending is not supported, or the model contains something that a file cannot describe.
        FileExistsError: the file exists and `overwrite` is False.
        ImportError: the format needs h5py, which is not installed.

    Example:
        >>> import os, tempfile
        >>> from lamella.layers import Dense, Input
        >>> model = Sequential([Input((2,)), Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(model, os.path.join(folder, "small.safetensors"))
        ...     os.listdir(folder)
        ['small.safetensors']
    """
    model.save(filepath, overwrite, include_optimizer, save_format)


@_filtered
def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """Return a model with newly drawn weights from the JSON text that `model.to_json` of lamella or of Keras returned.

    Args:
        json_string: the JSON text.
        custom_objects: dict from name to class or function, for the user-defined objects that the model uses.

    Returns:
        The model, not compiled.

    Raises:
        FormatError: the text does not describe a model.

    Example:
        >>> from lamella.layers import Dense, Input
        >>> text = Sequential([Input((2,)), Dense(3)]).to_json()
        >>> model_from_json(text).output_shape
        (None, 3)
    """
    from lamella import saving

    return saving.model_from_json(json_string, custom_objects)


@_filtered
def clone_model(model: Any, *, clone_function: Callable[[Layer], Layer] | None = None, recursive: bool = False) -> Any:
    """Return a model with the same layers and newly drawn weights, not compiled.

    Args:
        model: the model to clone.
        clone_function: function from a layer of `model` to the layer that replaces it; by default every layer is
            rebuilt from its configuration.
        recursive: whether `clone_function` is called for the layers inside a nested model, instead of for the nested
            model itself.

    Returns:
        The clone, of the same class as `model`.

    Raises:
        ValueError: the layers that `clone_function` returns do not fit together.

    Example:
        >>> from lamella.layers import Dense, Input
        >>> model = Sequential([Input((2,)), Dense(3, activation="relu"), Dense(1)])
        >>> def linear(layer):
        ...     return type(layer).from_config({**layer.get_config(), "activation": None})
        >>> clone_model(model, clone_function=linear).layers[0].activation.__name__
        'linear'
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
