"""The losses, their weights and the metrics of a file, checked: one for all outputs, or a list or an object of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamella.errors import FormatError
from lamella.saving import fields

Known = Callable[[str, Any, str], Any]
"""Checks an object of a kind: `("losses", value, place) -> checked`."""

_LONGEST = 1000


def loss(value: Any, place: str, known: Known) -> Any:
    """The loss, or the losses of the outputs."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _by_output(value, place, lambda item, where: _loss(item, where, known))


def weights(value: Any, place: str) -> Any:
    """The weight of the loss, or of the losses of the outputs."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _by_output(value, place, fields.optional(fields.number))


def metrics(value: Any, place: str, known: Known) -> Any:
    """The metrics, or those of the outputs, each one or a list."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # Keras 2: a list for every output
    if value is not None and not isinstance(value, list | dict):
        raise FormatError(f"{place} is not a list of metrics.")
    return _by_output(value, place, lambda item, where: _metric(item, where, known))


def _by_output(value: Any, place: str, check: fields.Check, depth: int = 8) -> Any:
    """`value` with everything checked that is in a list, or in an object by the outputs' names."""
    if isinstance(value, list | dict) and (not depth or len(value) > _LONGEST):
        raise FormatError(f"{place}: more than {_LONGEST} entries, or nested too deep.")
    if isinstance(value, list):
        return [_by_output(item, f"{place}[{i}]", check, depth - 1) for i, item in enumerate(value)]
    if isinstance(value, dict) and "class_name" not in value:
        return {
            fields.text(key, place): _by_output(item, f"{place}: {key[:100]}", check, depth - 1)
            for key, item in value.items()
        }
    return check(value, place)


def _loss(value: Any, place: str, known: Known) -> Any:
    if isinstance(value, str) and value.lower() in ("crossentropy", "ce"):
        return value
    return known("losses", value, place)


def _metric(value: Any, place: str, known: Known) -> Any:
    from lamella import metrics as every

    if isinstance(value, dict) and value.get("class_name") == "MeanMetricWrapper":
        value = _wrapped_function(value.get("config"), place)
    if isinstance(value, str) and value.lower() in every.AUTOMATIC:
        return value
    return known("metrics", value, place)


def _wrapped_function(config: Any, place: str) -> str:
    """The metric that Keras 2 had from a function: under the name that the user gave it, where that means the same."""
    from lamella import metrics as every

    if not isinstance(config, dict):
        raise FormatError(f"{place}: config is not an object.")
    name, function = (fields.text(config.get(word), f"{place}: {word}") for word in ("name", "fn"))
    same = name in every.TABLE and every.TABLE[name] is every.TABLE.get(function)
    return name if same or name.lower() in every.AUTOMATIC else function
