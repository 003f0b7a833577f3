"""The calls of a layer with declared values: its inputs and outputs, and their shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lamella.ir.dim import public_shape
from lamella.layers.naming import models_with
from lamella.tree import map_leaves

if TYPE_CHECKING:
    from lamella.ir.types import Tensor
    from lamella.layers.base import Layer

T = TypeVar("T")


class Calls(list[tuple[Any, Any]]):
    """The calls of one layer with declared values, each its first argument and its outputs. A copy of the layer has none."""

    def __reduce__(self) -> Any:
        return type(self), ()


class OfCall(Generic[T]):
    """An attribute that is derived from a layer's call, unless the layer sets an attribute of that name."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    def __get__(self, layer: Any, cls: type | None = None) -> T:
        return self if layer is None else self._read(layer)  # type: ignore[return-value]


def only_call(layer: Layer, what: str) -> tuple[Any, Any]:
    """The first argument and the outputs of the one call of `layer` with declared values.

    Raises:
        AttributeError: there is no call, or more than one.
    """
    if not layer._calls:
        for model in models_with(layer):
            model.declare()
    if not layer._calls:
        raise AttributeError(
            f"Layer {layer.name!r} has no {what} yet: it was not called with a declared value, and no model with a "
            "known input shape contains it."
        )
    if len(layer._calls) > 1:
        raise AttributeError(
            f"Layer {layer.name!r} is called {len(layer._calls)} times, so that it has several {what}s: keep the value that "
            "each call returns."
        )
    return layer._calls[0]


def _shapes(values: Tensor) -> Any:
    return map_leaves(lambda value: public_shape(value.shape), values)


def _input(layer: Layer) -> Any:
    """The declared value, or the structure of them, that the layer is called with."""
    return only_call(layer, "input")[0]


def _output(layer: Layer) -> Tensor:
    """The declared value, or the structure of them, that the layer returned."""
    return only_call(layer, "output")[1]


def _input_shape(layer: Layer) -> Any:
    """The shape of a batch of inputs, with None for sizes that are not fixed; nested like the inputs."""
    return _shapes(only_call(layer, "input")[0])


def _output_shape(layer: Layer) -> Any:
    """The shape of a batch of outputs, with None for sizes that are not fixed; nested like the outputs."""
    return _shapes(only_call(layer, "output")[1])


INPUT, OUTPUT = OfCall(_input), OfCall(_output)
INPUT_SHAPE, OUTPUT_SHAPE = OfCall(_input_shape), OfCall(_output_shape)
