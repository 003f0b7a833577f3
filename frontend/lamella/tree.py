"""Nested tuples, lists and dicts of leaves, flattened and rebuilt. None holds no leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lamella.absent import refusing


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of `tree`, in order.

    >>> list(leaves({"a": [1, None], "b": (2, 3)}))
    [1, 2, 3]
    """
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from leaves(item)
    elif tree is not None:
        yield tree


def structure(tree: Any) -> Any:
    """What is left of `tree` without its leaves; two trees of equal structure unflatten alike."""
    if tree is None:
        return None
    if isinstance(tree, tuple | list):
        return (type(tree).__name__, tuple(structure(item) for item in tree))
    if isinstance(tree, dict):
        return ("dict", tuple(tree), tuple(structure(item) for item in tree.values()))
    return "leaf"


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of `tree` and its structure."""
    return list(leaves(tree)), structure(tree)


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """The tree of a structure with other leaves: the inverse of `flatten`.

    >>> found, structure = flatten([1, (2, None)])
    >>> unflatten(structure, [10, 20])
    [10, (20, None)]
    """
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


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """`tree` with `function(leaf)` in the place of every leaf."""
    return unflatten(structure(tree), [function(leaf) for leaf in leaves(tree)])


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
