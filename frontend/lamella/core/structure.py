"""What a user gives for the inputs or outputs of a model, brought into their structure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import tree
from lamella.errors import ArgumentError

if TYPE_CHECKING:
    from lamella.core.protocol import Trainable


def input_names(model: Trainable) -> Any:
    """The structure of the inputs of a built model, with each input's name."""
    return tree.unflatten(tree.structure(model.input_spec), model.input_names)


def output_names(model: Trainable, outputs: Any = None) -> Any:
    """The structure of `outputs`, or of the outputs of a built model, with each output's name.

    A step of the user's own may compute other outputs than those of the model's `call`: they are named by their places.
    """
    if outputs is None:
        structure = tree.structure(model.output_spec)
        return model.output_names[0] if structure == "leaf" else tree.unflatten(structure, model.output_names)
    structure, count = tree.structure(outputs), sum(1 for _ in tree.leaves(outputs))
    if model.built and count == len(model.output_names):
        return tree.unflatten(structure, model.output_names)
    return tree.unflatten(structure, [path.removeprefix("/") or "output" for path in tree.paths(outputs, "")])


def flattened(given: Any, names: Any, what: str, kind: str, *, partial: bool = False) -> list[Any]:
    """What was given for each leaf of `names`, in their order.

    Where there are several, a dict gives them by the keys of the structure or by the leaves' names, a frame by its columns,
    and a list or tuple in their order, nested as they are or flat.

    >>> flattened({"b": 2, "a": 1}, ["a", "b"], "x", "input")
    [1, 2]
    >>> flattened([1, [2, 3]], {"a": "a", "b": ["b", "c"]}, "x", "input")
    [1, 2, 3]

    Args:
        given: what was given.
        names: the structure, with a name for each leaf.
        what: what messages call it.
        kind: what its leaves are for, "input" or "output".
        partial: whether some may be missing; there is None in their place then.

    Raises:
        ArgumentError: the structures do not match; missing and unknown keys are named.
    """
    if given is None and partial:
        return [None] * len(tree.paths(names, ""))
    if isinstance(names, str):
        if not isinstance(given, dict):
            return [given]
        _check_keys(given, {names: names}, what, kind, names, partial=partial)
        return [given.get(names)]
    leaves = list(tree.leaves(names))
    if len(leaves) > 1 or isinstance(names, dict):
        given = by_column(given)
    if isinstance(given, dict):
        parts = names if isinstance(names, dict) else {leaf: leaf for leaf in leaves}
        _check_keys(given, parts, what, kind, names, partial=partial)
        parts = [(part, given.get(key), f"{what}/{key}") for key, part in parts.items()]
    elif isinstance(given, list | tuple) and (len(leaves) > 1 or len(given) == 1):
        if isinstance(names, dict) and list(names) != sorted(names):  # Keras would take them in alphabetical order
            raise ArgumentError(
                f"{what} is a {type(given).__name__}, which leaves open what is for which {kind}: give a dict with the keys "
                f"{_listed(names)}."
            )
        entries = list(names.values()) if isinstance(names, dict) else names
        if len(given) == len(leaves) != len(entries):
            entries = leaves
        if len(given) != len(entries):
            raise ArgumentError(
                f"{what} has {counted(given)}, and the model has {len(leaves)} {kind}s: {_listed(leaves)}."
            )
        parts = [(part, item, f"{what}/{i}") for i, (part, item) in enumerate(zip(entries, given, strict=True))]
    elif len(leaves) == 1:
        return [given]
    else:
        raise ArgumentError(
            f"{what} is a single {type(given).__name__}, and the model has {len(leaves)} {kind}s: give a list or a dict of "
            f"{_listed(leaves)}."
        )
    return [leaf for part, item, path in parts for leaf in flattened(item, part, path, kind, partial=partial)]


def counted(given: Any) -> str:
    """How many entries a list has, in words."""
    return "1 entry" if len(given) == 1 else f"{len(given)} entries"


def by_column(given: Any) -> Any:
    """The columns of a frame by their names; anything else as it is."""
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        return {column: given[column] for column in given.columns}
    return given


def _check_keys(given: Any, expected: Any, what: str, kind: str, names: Any, *, partial: bool) -> None:
    missing = [] if partial else [key for key in expected if key not in given]
    unknown = [key for key in given if key not in expected]
    if missing or unknown:
        told = [f"lacks {_listed(missing)}" if missing else "", f"has the unknown {_keys(unknown)}" if unknown else ""]
        keys = list(names) if isinstance(names, dict) else list(tree.leaves(names))
        raise ArgumentError(
            f"{what} {' and '.join(t for t in told if t)}; the model's {kind}{'s are' if len(keys) > 1 else ' is'} "
            f"{_listed(keys)}."
        )


def _keys(keys: list[Any]) -> str:
    return f"{'keys' if len(keys) > 1 else 'key'} {_listed(keys)}"


def _listed(keys: Any) -> str:
    return ", ".join(map(repr, keys))
