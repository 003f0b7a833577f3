"""Attributes of layers that may be changed after the layer was made."""

from __future__ import annotations

from typing import Any

from lamella import activations
from lamella.layers.naming import models_with


class ActivationAttribute:
    """An activation function; setting it to a name or None (no activation) stores the function.

    >>> from lamella.layers import Dense
    >>> layer = Dense(2, activation="relu")
    >>> layer.activation = None
    >>> layer.activation.__name__
    'linear'
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        if owner is None:
            return self
        if self.name not in owner.__dict__:
            raise AttributeError(f"{type(owner).__name__!r} object has no attribute {self.name!r}")
        return owner.__dict__[self.name]

    def __set__(self, owner: Any, value: Any) -> None:
        found = activations.get(value)
        again = owner.__dict__.get(self.name, found) is not found
        owner.__dict__[self.name] = found
        if again:
            _forget_programs(owner)


def _forget_programs(layer: Any) -> None:
    """Make every model that has the layer trace it again."""
    for model in models_with(layer):
        model._forget_programs()
        _forget_programs(model)
