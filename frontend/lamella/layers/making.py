"""How a layer is made from what it is called with: the words of Keras 1, the words of a first layer, its arguments kept."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.compat import layers as compat

if TYPE_CHECKING:
    from lamella.layers.base import Layer

_INPUT_WORDS = (
    "input_shape",
    "input_dim",
    "batch_input_shape",
    "batch_shape",
    "input_length",
    "input_dtype",
    "batch_size",
)


class LayerMeta(type):
    """Makes layers: translates the words of Keras 1 and remembers the arguments a layer was made with."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """A new layer; Keras 1 spellings are accepted with a `DeprecationWarning`."""
        args, kwargs = compat.translate(cls, args, kwargs)
        given = {word: kwargs.pop(word) for word in _INPUT_WORDS if word in kwargs and word not in parameters(cls)}
        weights = kwargs.pop("weights", None) if "weights" not in parameters(cls) else None
        try:
            arguments = _bind(cls, args, kwargs)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}.{_hint(cls, kwargs)}") from None
        try:
            layer = super().__call__(*args, **kwargs)
        except TypeError as error:
            if not str(error).startswith("Layer.__init__() got an unexpected keyword argument"):
                raise
            raise TypeError(f"{cls.__name__} takes no such argument:{_hint(cls, kwargs)}") from None
        layer._arguments = arguments
        if weights is not None:
            layer._initial_weights = list(weights)
        shape = _input_shape(layer, given)
        if shape is not None:
            layer._declared_input = (shape, given.get("input_dtype"))
        return layer


@functools.cache
def _signature(cls: type) -> inspect.Signature:
    signature = inspect.signature(cls.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@functools.cache
def parameters(cls: type) -> frozenset[str]:
    """The names of the arguments that `cls(...)` takes."""
    return frozenset(_signature(cls).parameters)


def _hint(cls: type, kwargs: dict[str, Any]) -> str:
    known = {word for base in cls.__mro__[:-1] for word in parameters(base)} - {"args", "kwargs"} | {"input_shape"}
    return compat.hint(kwargs, known)


def _bind(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = _signature(cls).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments: dict[str, Any] = {}
    for name, parameter in _signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(bound.arguments.get(name, {}))
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            arguments[name] = bound.arguments[name]
    return arguments


def _input_shape(layer: Layer, given: dict[str, Any]) -> tuple[int | None, ...] | None:
    """The batch shape that the input words of a first layer describe."""
    if given.get("batch_input_shape") is not None or given.get("batch_shape") is not None:
        batch = given.get("batch_input_shape") or given["batch_shape"]
        return tuple(None if d is None else int(d) for d in batch)
    shape = given.get("input_shape")
    if shape is None and given.get("input_dim") is not None:
        length = given.get("input_length")
        shape = layer.shape_of_input_dim(int(given["input_dim"]), length, "input_length" in given)
    if shape is None:
        return None
    shape = (shape,) if isinstance(shape, int | np.integer) else shape
    return (given.get("batch_size"), *[None if d is None else int(d) for d in shape])
