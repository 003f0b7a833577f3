"""The name of a layer, and the models that hold the layer by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from lamella.errors import ArgumentError
from lamella.names import Name

if TYPE_CHECKING:
    from lamella.layers.base import Layer


class LayerName(Name):
    """A layer's name; a new one holds in every model that has the layer."""

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
    """The models that one layer was added to. A copy of the layer is in none."""

    def __reduce__(self) -> Any:
        return type(self), ()


def models_with(layer: Layer) -> list[Any]:
    """The models that have `layer` among their layers, by its name."""
    return [model for model in layer._added_to if model.children.get(layer.name) is layer]
