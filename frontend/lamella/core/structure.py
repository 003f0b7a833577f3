"""The structures of a model's inputs and outputs: names for their leaves, and what a user gives in other forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lamella import tree
from lamella.errors import ArgumentError
from lamella.ir import settings
from lamella.ir.dim import named_shape
from lamella.ir.program import Value
from lamella.ir.spec import Spec

if TYPE_CHECKING:
    from typing import TypeGuard

    from lamella.core.protocol import Trainable
    from lamella.ir.types import Tensor, Tree


Names: TypeAlias = "str | list[Names] | tuple[Names, ...] | dict[Any, Names]"
"""The structure of inputs or outputs with a name for each leaf."""


def input_names(model: Trainable) -> Any:
    """The structure of the inputs of a built model, with each input's name."""
    return tree.unflatten(tree.structure(model.input_spec), model.input_names)


def output_names(model: Trainable, outputs: Any = None) -> Any:
    """The structure of `outputs`, or of the outputs of a built model, with each output's name.

    A `train_step` that the user writes may compute other outputs than the model's `call`: they are named by their places.
    """
    if outputs is None:
        structure = tree.structure(model.output_spec)
        return model.output_names[0] if structure == "leaf" else tree.unflatten(structure, model.output_names)
    structure, count = tree.structure(outputs), sum(1 for _ in tree.leaves(outputs))
    if model.built and count == len(model.output_names):
        return tree.unflatten(structure, model.output_names)
    return tree.unflatten(structure, [path.removeprefix("/") or "output" for path in tree.paths(outputs, "")])


def keys_of(values: Tree[Tensor]) -> dict[Any, str]:
    """The keys of the values of a dict; none of nested ones, whose leaves go by their own names in Keras as well."""
    if not isinstance(values, dict) or any(isinstance(value, list | tuple | dict) for value in values.values()):
        return {}
    return {value: str(key) for key, value in values.items()}


def names_of(specs: Tree[Spec], word: str) -> list[str]:
    """Names for the leaves of a structure without layers behind it: their keys, or `word` with their place."""
    names: list[str] = []

    def visit(part: Tree[Spec], path: tuple[str, ...]) -> None:
        if isinstance(part, dict):
            for key, item in part.items():
                visit(item, (*path, str(key)))
        elif isinstance(part, list | tuple):
            for i, item in enumerate(part):
                visit(item, (*path, f"{word}_{i}" if not path else str(i)))
        elif part is not None:
            names.append("_".join(path) or word)

    visit(specs, ())
    return names


def is_shape(given: Tree[int]) -> TypeGuard[Sequence[int | None]]:
    """Whether `given` is one shape, None in it for what is free, and no structure of shapes."""
    return isinstance(given, list | tuple) and all(d is None or isinstance(d, int | np.integer) for d in given)


def specs_of_shapes(shapes: Tree[int], like: Tree[Spec]) -> Any:
    """Specs of a structure of shapes, with the dtypes of `like`, or `floatx`."""
    dtypes = iter([spec.dtype for spec in tree.leaves(like)])

    def visit(part: Tree[int]) -> Any:
        if is_shape(part):
            return Spec(named_shape(part), next(dtypes, settings.floatx()))
        if isinstance(part, Mapping):
            return {key: visit(item) for key, item in part.items()}
        if isinstance(part, Sequence) and not isinstance(part, str):
            return [visit(item) for item in part]
        raise ArgumentError(f"a shape must be a tuple of sizes and None, got {part!r}.")

    return visit(shapes)


def flattened(given: Tree[Tensor], names: Names, what: str, kind: str, *, partial: bool = False) -> list[Any]:
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
        keyed: dict[Any, Names] = names if isinstance(names, dict) else {leaf: leaf for leaf in leaves}
        _check_keys(given, keyed, what, kind, names, partial=partial)
        parts = [(part, given.get(key), f"{what}/{key}") for key, part in keyed.items()]
    elif isinstance(given, list | tuple) and (len(leaves) > 1 or len(given) == 1):
        if isinstance(names, dict) and list(names) != sorted(names):  # Keras would take them in alphabetical order
            raise ArgumentError(
                f"{what} is a {type(given).__name__}, which leaves open what is for which {kind}: give a dict with the keys "
                f"{listed(names)}."
            )
        entries = list(names.values()) if isinstance(names, dict) else names
        if len(given) == len(leaves) != len(entries):
            entries = leaves
        if len(given) != len(entries):
            raise ArgumentError(
                f"{what} has {counted(given)}, and the model has {len(leaves)} {kind}s: {listed(leaves)}."
            )
        parts = [(part, item, f"{what}/{i}") for i, (part, item) in enumerate(zip(entries, given, strict=True))]
    elif len(leaves) == 1:
        return [given]
    else:
        found = "value" if isinstance(given, Value) else type(given).__name__
        raise ArgumentError(
            f"{what} is a single {found}, and the model has {len(leaves)} {kind}s: give a list or a dict of {listed(leaves)}."
        )
    return [leaf for part, item, path in parts for leaf in flattened(item, part, path, kind, partial=partial)]


def counted(given: Sized) -> str:
    """How many entries a list has, in words."""
    return "1 entry" if len(given) == 1 else f"{len(given)} entries"


def by_column(given: Any) -> Any:
    """The columns of a frame by their names; anything else as it is."""
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        return {column: given[column] for column in given.columns}
    return given


def _check_keys(
    given: Iterable[Any], expected: Iterable[Any], what: str, kind: str, names: Names, *, partial: bool
) -> None:
    missing = [] if partial else [key for key in expected if key not in given]
    unknown = [key for key in given if key not in expected]
    if missing or unknown:
        told = [f"lacks {listed(missing)}" if missing else "", f"has the unknown {_keys(unknown)}" if unknown else ""]
        keys = list(names) if isinstance(names, dict) else list(tree.leaves(names))
        raise ArgumentError(
            f"{what} {' and '.join(t for t in told if t)}; the model's {kind}{'s are' if len(keys) > 1 else ' is'} "
            f"{listed(keys)}."
        )


def _keys(keys: list[Any]) -> str:
    return f"{'keys' if len(keys) > 1 else 'key'} {listed(keys)}"


def listed(keys: Iterable[Any]) -> str:
    """Keys or names for a message."""
    return ", ".join(map(repr, keys))
