"""Objects of Keras or of lamella from a row's (class name, keyword arguments)."""

from __future__ import annotations

import functools
from typing import Any


def construct(optimizers: Any, name: str, kwargs: dict[str, Any]) -> Any:
    """The optimizer or schedule of a row; constructors among the arguments, at any depth of dicts, become objects first.

    Args:
        optimizers: `keras.optimizers` or `lamella.optimizers`.
        name: class name in it, or in its `schedules`.
        kwargs: its arguments.
    """

    def value(given: Any) -> Any:
        if isinstance(given, tuple):
            return construct(optimizers, *given)
        return {key: value(item) for key, item in given.items()} if isinstance(given, dict) else given

    made = getattr(optimizers, name, None) or getattr(optimizers.schedules, name)
    return made(**value(kwargs))


OWN_LAYERS = {"SelfAttention", "Branches"}
"""Layers of `constructed` that neither library has."""


def constructed(value: Any, layers: Any) -> Any:
    """`value` with every constructor in it made into a layer.

    Args:
        value: a constructor, (class name, keyword arguments), or a list or dict that may hold some.
        layers: `keras.layers` or `lamella.layers`; `SelfAttention` and `Branches` are made of its `Layer`.
    """
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        name, kwargs = value
        made = _own_layers(layers).get(name) or getattr(layers, name)
        return made(**constructed(kwargs, layers))
    if isinstance(value, dict):
        return {key: constructed(item, layers) for key, item in value.items()}
    return [constructed(item, layers) for item in value] if isinstance(value, list) else value


@functools.cache
def _own_layers(layers: Any) -> dict[str, Any]:
    """Layers that let a stack hold attention and layers over several inputs."""

    class SelfAttention(layers.Layer):
        """An attention layer whose query and value are the input."""

        def __init__(self, layer: Any, causal: bool = False, as_list: bool = False) -> None:
            super().__init__()
            self.layer, self.causal, self.as_list = layer, causal, as_list
            self.supports_masking = True

        def call(self, inputs: Any) -> Any:
            given = ([inputs, inputs],) if self.as_list else (inputs, inputs)
            return self.layer(*given, use_causal_mask=self.causal)

    class Branches(layers.Layer):
        """Two layers of the input, whose outputs a third layer merges."""

        def __init__(self, first: Any, second: Any, merge: Any) -> None:
            super().__init__()
            self.first, self.second, self.merge = first, second, merge
            self.supports_masking = True

        def call(self, inputs: Any) -> Any:
            return self.merge([self.first(inputs), self.second(inputs)])

    return {"SelfAttention": SelfAttention, "Branches": Branches}
