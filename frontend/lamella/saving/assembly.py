"""Building a model from a checked configuration, within bounds and without drawing weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from lamella.core import serialization
from lamella.core.variable import Variable
from lamella.errors import FormatError
from lamella.ir import limits
from lamella.layers.base import Layer
from lamella.layers.building import specs_only
from lamella.saving import arrays, layout

T = TypeVar("T")

LARGEST_DRAWN = 2**28
"""The largest number of weights that are drawn for a configuration without a file: a gigabyte of float32."""

_EQUATIONS = 50_000
_ENTRIES = 2**21
_LARGEST_STATE = 2**22
"""Entries of a state that starts as zeros: what a Keras file does not hold."""


def guarded(make: Callable[[], T], where: str) -> T:
    """Return the result of `make`, within the bounds for files; any error in it is an error of the file.

    Raises:
        FormatError: something went wrong.
    """
    try:
        with limits.limited(_EQUATIONS, _ENTRIES):
            return make()
    except FormatError:
        raise
    # A checked configuration may still be invalid for a layer, and layers raise various errors.
    except Exception as error:
        raise FormatError(f"{where}: {type(error).__name__}: {error}") from error


def built(checked: Mapping[str, Any], where: str, parameters: int | None = None) -> Any:
    """The model of a checked configuration, its weights specs without values.

    Args:
        checked: from `checking.model`.
        where: the file and the place in it, for messages.
        parameters: the number of weights in the file; a model with more is rejected while it is built.

    Raises:
        FormatError: the layers do not fit together, or the model is larger than a file may ask for.
    """

    def make() -> Any:
        with specs_only():
            model = serialization.deserialize(checked)
            if not model.built and model.has_input_shape:
                _build_waiting(model, checked)
            elif not model.built and checked.get("built_for") is not None:
                model.build(checked["built_for"])
            return model

    model = guarded(make, where)
    if parameters is not None:
        states = {id(v) for _, v in layout.states(model)}
        wanted = sum(math.prod(v.shape) for v in model.variables if id(v) not in states)
        if wanted > parameters:
            raise FormatError(f"{where}: the model has {wanted:,} parameters, the file holds {parameters:,}.")
    return model


def _build_waiting(model: Any, checked: Mapping[str, Any]) -> None:
    """Build the layers that wait for the number of a free dimension, for the shapes that the file gives of them."""
    entries = [entry for entry in checked["config"]["layers"] if entry["class_name"] != "InputLayer"]
    for layer, entry in zip(model.layers, entries, strict=True):
        if getattr(layer, "described_by_layers", False):
            _build_waiting(layer, entry)
        elif not layer.built and entry.get("built_for") is not None:
            layer.build(entry["built_for"])


def complete(model: Layer, states: Mapping[str, Any], where: str) -> list[tuple[Variable, Any]]:
    """The states of stateful layers with their arrays in the file; zeros where it holds none.

    Raises:
        FormatError: an array is none for its state.
    """
    pairs: list[tuple[Variable, Any]] = []
    for path, variable in layout.states(model):
        if path in states:
            reason = arrays.refusal(variable, states[path].shape, arrays.dtype_of(states[path]))
            if reason is not None:
                raise FormatError(f"{where}: {path}: {reason}.")
            pairs.append((variable, states[path]))
        elif math.prod(variable.shape) <= _LARGEST_STATE:
            pairs.append((variable, np.zeros(variable.shape, np.float32)))
        else:
            raise FormatError(f"{where}: a state of shape {variable.shape} that the file does not hold.")
    return pairs
