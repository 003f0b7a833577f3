"""Objects of Keras or of lamella from a row's (class name, keyword arguments)."""

from __future__ import annotations

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


def constructed(value: Any, layers: Any) -> Any:
    """`value` with every constructor in it made into a layer.

    Args:
        value: a constructor, (class name, keyword arguments), or a list that may hold some.
        layers: `keras.layers` or `lamella.layers`.
    """
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        return getattr(layers, value[0])(**{key: constructed(item, layers) for key, item in value[1].items()})
    return [constructed(item, layers) for item in value] if isinstance(value, list) else value
