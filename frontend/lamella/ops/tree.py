"""Nested tuples, lists and dicts of operands, taken apart and put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of `tree` and its structure; None holds no leaf."""
    if tree is None:
        return [], None
    if isinstance(tree, tuple | list):
        parts = [flatten(item) for item in tree]
        return [leaf for leaves, _ in parts for leaf in leaves], (type(tree).__name__, tuple(s for _, s in parts))
    if isinstance(tree, dict):
        parts = [flatten(tree[key]) for key in tree]
        return [leaf for leaves, _ in parts for leaf in leaves], ("dict", tuple(tree), tuple(s for _, s in parts))
    return [tree], "leaf"


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """The opposite of `flatten`."""
    items = iter(leaves)

    def build(s: Any) -> Any:
        if s is None:
            return None
        if s == "leaf":
            return next(items)
        if s[0] == "dict":
            return {key: build(part) for key, part in zip(s[1], s[2], strict=True)}
        made = [build(part) for part in s[1]]
        return made if s[0] == "list" else tuple(made)

    return build(structure)
