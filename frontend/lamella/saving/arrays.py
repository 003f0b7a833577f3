"""Arrays between a file and a model: dtypes, bfloat16, and the comparison of all shapes before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lamella.core.variable import Variable
from lamella.errors import FormatError
from lamella.files.hdf5 import Dataset, Group

_EARLY = "_layer_checkpoint_dependencies"
_EARLY_GROUP = re.compile(rf"{_EARLY}/(?P<name>[^/]+?)(_(?P<number>\d{{1,6}}))?(?=/)")
_OTHERS = ("optimizer", "metrics", "lamella")
"""Groups beside those of layers."""
_BYTES = {"V2": "bfloat16"}


def dtype_of(dataset: Dataset) -> str:
    """The dtype of the numbers in a dataset; "bfloat16" where Keras wrote raw pairs of bytes and said so."""
    if dataset.dtype.kind == "V":
        return "bfloat16" if dataset.dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16" else "raw bytes"
    return dataset.dtype.name


def values_of(dataset: Dataset) -> np.ndarray:
    """The numbers of a dataset; those of bfloat16 in float32."""
    array = dataset.read()
    return widened(array) if array.dtype.kind == "V" else array


def widened(pairs: np.ndarray) -> np.ndarray:
    """bfloat16, as raw pairs of bytes, in float32."""
    return (pairs.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(pairs.shape)


def stored(variable: Variable) -> tuple[np.ndarray, str]:
    """The array a file gets for a variable, and its dtype's name; bfloat16 is raw pairs of bytes."""
    value = variable.numpy()
    if variable.dtype == "bfloat16":
        bits = np.ascontiguousarray(value.astype(np.float32)).view(np.uint32) >> 16
        return bits.astype("<u2").view("V2").reshape(variable.shape), "bfloat16"
    return value, variable.dtype


def members(group: Group, prefix: str = "") -> Iterable[tuple[str, Dataset]]:
    """Every dataset under a group, with its path."""
    for name, member in group.members.items():
        path = f"{prefix}/{name}" if prefix else name
        if isinstance(member, Dataset):
            yield path, member
        else:
            yield from members(member, path)


def refusal(variable: Variable, shape: tuple[int, ...], dtype: str) -> str | None:
    """Why an array of a file is none for a variable; None where it is."""
    if tuple(shape) != tuple(variable.shape):
        return f"shape {tuple(variable.shape)} in the model, {tuple(shape)} in the file"
    if not fitting(dtype, variable.dtype):
        return f"dtype {variable.dtype} in the model, {dtype} in the file"
    return None


def compare(expected: Mapping[str, Variable], found: Mapping[str, tuple[tuple[int, ...], str]], where: str) -> None:
    """Every variable has an array of its shape, and every array a variable.

    Args:
        expected: the variables by their paths in the file.
        found: shape and dtype of the arrays of the file.
        where: the file and the place in it, for messages.

    Raises:
        FormatError: it is not so; nothing has been read.
    """
    missing = [path for path in expected if path not in found]
    extra = [path for path in found if path not in expected]
    if missing or extra:
        named = f"{missing[0]!r} is missing" if missing else f"{extra[0][:200]!r} belongs to no layer"
        raise FormatError(
            f"{where}: the model has {len(expected)} weights, the file {len(found)} arrays for it: {named}."
        )
    for path, variable in expected.items():
        reason = refusal(variable, *found[path])
        if reason is not None:
            raise FormatError(f"{where}: {path} ({variable.name!r}): {reason}.")


def layer_datasets(tree: Group) -> dict[str, Dataset]:
    """The datasets of a file in Keras 3's layout that belong to layers; that of tf.keras 2.12 is understood."""
    found = {}
    for path, dataset in members(tree):
        first = path.partition("/")[0]
        if first == _EARLY:
            found[_EARLY_GROUP.sub(_todays_group, path)] = dataset
        elif first not in _OTHERS:  # layers of a graph, or attributes of a model of the user's own
            found[path] = dataset
    return found


def _todays_group(group: re.Match[str]) -> str:
    """The group of a layer in the early layout as today's: there, layers with weights counted twice."""
    name, number = group["name"], int(group["number"] or 0) // 2
    return f"layers/{name}_{number}" if number else f"layers/{name}"


def assign(pairs: Iterable[tuple[Variable, Any]]) -> None:
    """Set variables from datasets or arrays, all of which have been compared."""
    read = [(variable, values_of(item) if isinstance(item, Dataset) else item) for variable, item in pairs]
    for variable, value in read:
        variable.assign(value)


def fitting(found: str, wanted: str) -> bool:
    """Whether an array of dtype `found` in a file can be a variable of dtype `wanted`."""
    kinds = {"float": "f", "bfloat": "f", "int": "i", "uint": "i", "bool": "b"}

    def kind(name: str) -> str:
        return kinds.get(name.rstrip("0123456789"), name)

    return kind(found) == kind(wanted)
