"""Nested tuples, lists and dicts of leaves, flattened and rebuilt. None holds no leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lamella.absent import refusing

_SEQUENCE = (tuple, list)
_NODES = (tuple, list, dict)


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of `tree`, in order.

    >>> list(leaves({"a": [1, None], "b": (2, 3)}))
    [1, 2, 3]
    """
    found: list[Any] = []
    _gather(tree, found)
    return iter(found)


def _gather(tree: Any, found: list[Any]) -> None:
    if isinstance(tree, _SEQUENCE):
        for item in tree:
            _gather(item, found)
    elif isinstance(tree, dict):
        for item in tree.values():
            _gather(item, found)
    elif tree is not None:
        found.append(tree)


def structure(tree: Any) -> Any:
    """What is left of `tree` without its leaves; two trees of equal structure unflatten alike."""
    if tree is None:
        return None
    if isinstance(tree, _SEQUENCE):
        return (type(tree).__name__, tuple(structure(item) for item in tree))
    if isinstance(tree, dict):
        return ("dict", tuple(tree), tuple(structure(item) for item in tree.values()))
    return "leaf"


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of `tree` and its structure."""
    return list(leaves(tree)), structure(tree)


def paths(tree: Any, name: str) -> list[str]:
    """A name for each leaf of `tree`: `name`, followed by the keys and positions that lead to the leaf.

    >>> paths({"a": [1, 2], "b": (3,)}, "x")
    ['x/a/0', 'x/a/1', 'x/b/0']
    """
    if isinstance(tree, _NODES):
        entries: Any = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return [path for key, item in entries for path in paths(item, f"{name}/{key}")]
    return [] if tree is None else [name]


def leaves_up_to(structure: Any, tree: Any) -> list[Any]:
    """What `tree` holds where `structure` has leaves; it may be a tree itself.

    >>> leaves_up_to(structure({"a": 0, "b": 0}), {"a": [1, 2], "b": 3})
    [[1, 2], 3]
    """
    if structure is None:
        return []
    if structure == "leaf":
        return [tree]
    items = [tree[key] for key in structure[1]] if structure[0] == "dict" else tree
    return [leaf for part, item in zip(structure[-1], items, strict=True) for leaf in leaves_up_to(part, item)]


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
    if not isinstance(tree, _NODES):
        return None if tree is None else function(tree)
    return unflatten(structure(tree), [function(leaf) for leaf in leaves(tree)])


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
