"""The name of a layer, and the models that contain the layer by that name."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from lamella.errors import ArgumentError
from lamella.names import Name, snake_case

if TYPE_CHECKING:
    from lamella.layers.base import Layer


class LayerName(Name):
    """A layer's name; changing it renames the layer in every model that contains it."""

    def __set__(self, owner: Layer, value: Any) -> None:
        models = [] if owner.__dict__.get("name", value) == value else models_with(owner)
        for model in models:
            if value in model.children:
                raise ArgumentError(
                    f"Layer {owner.name!r} cannot be called {value!r}: model {model.name!r} has another layer of that name."
                )
        super().__set__(owner, value)
        owner._named = True
        for model in models:
            model._rename_layers()


class Models(WeakSet[Any]):
    """The models that a layer was added to; a copy of the layer belongs to none."""

    def __reduce__(self) -> Any:
        return type(self), ()


def models_with(layer: Layer) -> list[Any]:
    """The models that have `layer` among their layers, by its name."""
    return [model for model in layer._added_to if model.children.get(layer.name) is layer]


DEEPEST = 24
"""How deep layers may be nested in a model: what every file format and Python's stack support."""


def check_depth(layer: Layer) -> None:
    """Raise an `ArgumentError` if a layer to be added to a model contains layers more than `DEEPEST` levels deep."""
    level = [layer]
    for _ in range(DEEPEST):
        level = list({id(child): child for held in level for child in held.children.values()}.values())
        if not level:
            return
    raise ArgumentError(
        f"Layer {layer.name!r} holds layers that are nested more than {DEEPEST} deep, which no file can hold. Add the inner "
        "layers to the model one after another."
    )


def unique_name(layer: Layer, taken: Container[str]) -> str:
    """The layer's name, numbered if it is taken; a name that the user gave is not changed.

    Raises:
        ValueError: the user gave two layers the same name.
    """
    if layer._named:
        if layer.name not in taken:
            return layer.name
        raise ValueError(
            f"Two layers are called {layer.name!r}: names are unique within a model. Give one of them another `name=`."
        )
    return first_free(snake_case(type(layer).__name__), taken)


def first_free(base: str, taken: Container[str]) -> str:
    """`base`, numbered if it is taken, with the first free number.

    Above 16 the number is found by doubling and bisection, so that a gap between numbers in use may be missed.
    """
    low, high = -1, 0
    while (f"{base}_{high}" if high else base) in taken:
        low, high = high, high + 1 if high < 16 else 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if f"{base}_{middle}" in taken else (low, middle)
    return f"{base}_{high}" if high else base
