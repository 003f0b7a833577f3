"""Nested tuples, lists and dicts of leaves, flattened and rebuilt. None is an empty tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lamella.absent import refusing

_SEQUENCE = (tuple, list)
_NODES = (tuple, list, dict)


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of `tree`, in order.

    Args:
        tree: a leaf, or a nested list, tuple or dict of leaves. None is an empty tree.

    Returns:
        An iterator over the leaves; entries of a dict come in the order of insertion.

    Example:
        >>> from lamella import tree
        >>> list(tree.leaves({"a": [1, None], "b": (2, 3)}))
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
    """The structure of `tree` without its leaves; two trees of equal structure unflatten alike.

    Args:
        tree: a leaf, or a nested list, tuple or dict of leaves. None is an empty tree.

    Returns:
        A comparable description for `unflatten`.

    Example:
        >>> from lamella import tree
        >>> tree.structure({"a": 1, "b": [2, 3]}) == tree.structure({"a": 10, "b": [20, 30]})
        True
    """
    if tree is None:
        return None
    if isinstance(tree, _SEQUENCE):
        return (type(tree).__name__, tuple(structure(item) for item in tree))
    if isinstance(tree, dict):
        return ("dict", tuple(tree), tuple(structure(item) for item in tree.values()))
    return "leaf"


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of `tree` and its structure.

    Args:
        tree: a leaf, or a nested list, tuple or dict of leaves. None is an empty tree.

    Returns:
        The list of the leaves, in order, and the structure for `unflatten`.

    Example:
        >>> from lamella import tree
        >>> leaves, structure = tree.flatten({"a": 1, "b": [2, 3]})
        >>> leaves
        [1, 2, 3]
    """
    return list(leaves(tree)), structure(tree)


def paths(tree: Any, name: str) -> list[str]:
    """A name for each leaf of `tree`: `name`, followed by the keys and positions that lead to the leaf.

    Args:
        tree: a leaf, or a nested list, tuple or dict of leaves.
        name: the first part of every path.

    Returns:
        One path per leaf, its parts joined by "/".

    Example:
        >>> from lamella import tree
        >>> tree.paths({"a": [1, 2], "b": (3,)}, "x")
        ['x/a/0', 'x/a/1', 'x/b/0']
    """
    if isinstance(tree, _NODES):
        entries: Any = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return [path for key, item in entries for path in paths(item, f"{name}/{key}")]
    return [] if tree is None else [name]


def leaves_up_to(structure: Any, tree: Any) -> list[Any]:
    """The subtrees of `tree` at the places where `structure` has leaves.

    Args:
        structure: the structure of another tree, as `structure` returns it.
        tree: a tree with at least the nodes of that structure.

    Returns:
        One subtree of `tree` per leaf of the structure.

    Raises:
        KeyError: a key of the structure is missing in `tree`.
        ValueError: a list or tuple of `tree` has another length.

    Example:
        >>> from lamella import tree
        >>> tree.leaves_up_to(tree.structure({"a": 0, "b": 0}), {"a": [1, 2], "b": 3})
        [[1, 2], 3]
    """
    if structure is None:
        return []
    if structure == "leaf":
        return [tree]
    items = [tree[key] for key in structure[1]] if structure[0] == "dict" else tree
    return [leaf for part, item in zip(structure[-1], items, strict=True) for leaf in leaves_up_to(part, item)]


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """The tree of a structure with given leaves: the inverse of `flatten`.

    Args:
        structure: the structure, as `flatten` or `structure` returns it.
        leaves: one entry per leaf of the structure.

    Returns:
        A nested list, tuple or dict, or a single leaf.

    Example:
        >>> from lamella import tree
        >>> leaves, structure = tree.flatten([1, (2, None)])
        >>> tree.unflatten(structure, [10, 20])
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
    """`tree` with every leaf replaced by `function(leaf)`.

    Args:
        function: called with each leaf.
        tree: a leaf, or a nested list, tuple or dict of leaves.

    Returns:
        A tree of the same structure.

    Example:
        >>> from lamella import tree
        >>> tree.map_leaves(lambda x: 10 * x, {"a": 1, "b": (2, None)})
        {'a': 10, 'b': (20, None)}
    """
    if not isinstance(tree, _NODES):
        return None if tree is None else function(tree)
    return unflatten(structure(tree), [function(leaf) for leaf in leaves(tree)])


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
