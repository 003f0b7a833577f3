"""The structures that a model takes and returns: names for their leaves, and specs for their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamella import tree
from lamella.errors import ArgumentError
from lamella.ir import settings
from lamella.ir.dim import named_shape
from lamella.ir.spec import Spec


def keys_of(values: Any) -> dict[Any, str]:
    """The keys of the values of a dict; none of nested ones, whose leaves go by their own names in Keras, too."""
    if not isinstance(values, dict) or any(isinstance(value, list | tuple | dict) for value in values.values()):
        return {}
    return {value: str(key) for key, value in values.items()}


def names_of(specs: Any, word: str) -> list[str]:
    """Names for the leaves of a structure without layers behind it: their keys, or `word` with their place."""
    names: list[str] = []

    def visit(part: Any, path: tuple[str, ...]) -> None:
        if isinstance(part, dict):
            for key, item in part.items():
                visit(item, (*path, str(key)))
        elif isinstance(part, list | tuple) and not isinstance(part, Spec):
            for i, item in enumerate(part):
                visit(item, (*path, f"{word}_{i}" if not path else str(i)))
        elif part is not None:
            names.append("_".join(path) or word)

    visit(specs, ())
    return names


def _is_shape(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(d is None or isinstance(d, int | np.integer) for d in given)


def specs_of_shapes(shapes: Any, like: Any) -> Any:
    """Specs of a structure of shapes, with the dtypes of `like`, or `floatx`."""
    dtypes = iter([spec.dtype for spec in tree.leaves(like)])

    def visit(part: Any) -> Any:
        if _is_shape(part):
            return Spec(named_shape(part), next(dtypes, settings.floatx()))
        if isinstance(part, Mapping):
            return {key: visit(item) for key, item in part.items()}
        if isinstance(part, Sequence) and not isinstance(part, str):
            return [visit(item) for item in part]
        raise ArgumentError(f"a shape is a tuple of sizes and None, got {part!r}.")

    return visit(shapes)


def in_order(given: Any, like: Any) -> Any:
    """`given` with the entries of dicts in the order of `like`; a tuple or list of inputs stays one."""
    if isinstance(given, dict) and isinstance(like, dict) and set(given) == set(like):
        return {key: in_order(given[key], part) for key, part in like.items()}
    if isinstance(given, list | tuple) and isinstance(like, list | tuple) and len(given) == len(like):
        return [in_order(item, part) for item, part in zip(given, like, strict=True)]
    return given
