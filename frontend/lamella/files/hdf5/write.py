"""Writing HDF5, with h5py: the same tree gives the same bytes, whenever and in whatever process."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np

LONGEST = 64_000  # bytes of an attribute; the format's bound of 64 KB holds its name and type too


class Array(NamedTuple):
    """A dataset to be written; raw bytes (dtype V2) hold bfloat16, with an attribute `dtype` = "bfloat16"."""

    values: np.ndarray
    attrs: Mapping[str, Any] = {}


class Tree(NamedTuple):
    """A group to be written: members and attributes, in any order; they are written in the order of names."""

    members: Mapping[str, Node] = {}
    attrs: Mapping[str, Any] = {}


Node: TypeAlias = "Tree | Array | np.ndarray"


def write(target: str | Path | IO[bytes], tree: Tree) -> None:
    """Write a tree in the oldest form of HDF5, which every reader knows.

    Args:
        target: A path, or a file open for writing. Nothing is done to keep an old file until the new one is whole.
        tree: What to write. Names of members have no slashes. Attributes are strings, lists of strings, numbers and arrays
            of numbers, each below 64 KB as NumPy holds it.

    Raises:
        ImportError: h5py is not installed.
        ValueError: A name with a slash, or an attribute that is too long.
    """
    data = to_bytes(tree)
    if isinstance(target, str | Path):
        Path(target).write_bytes(data)
    else:
        target.write(data)


def to_bytes(tree: Tree) -> bytes:
    """The file that `write` writes; raises what it raises."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("Writing HDF5 needs h5py: pip install h5py.") from error
    # in memory whatever the target: libhdf5 lays a file on disk out in another way
    buffer = BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as file:
        _write_group(file, tree, "")
    return buffer.getvalue()


def _write_group(group: Any, tree: Tree, path: str) -> None:
    _write_attributes(group, tree.attrs, path)
    for name, node in sorted(tree.members.items()):
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"{path or 'the root group'}: a member may not be called {name!r}: names have no slashes")
        inner = f"{path}/{name}" if path else name
        if isinstance(node, Tree):
            _write_group(group.create_group(name), node, inner)
            continue
        array = node if isinstance(node, Array) else Array(node)
        dataset = group.create_dataset(name, data=np.asarray(array.values), track_times=False)
        _write_attributes(dataset, array.attrs, inner)


def _write_attributes(where: Any, attrs: Mapping[str, Any], path: str) -> None:
    for name, value in sorted(attrs.items()):
        size = _size(value)
        if size > LONGEST:
            raise ValueError(
                f"{path or 'the root group'}: attribute {name!r} has {size} bytes, and the format holds {LONGEST} in one: "
                "split it, as Keras does with layer_names0, layer_names1 ..."
            )
        where.attrs[name] = value


def _size(value: Any) -> int:
    """What an attribute takes of its object's header: strings are elsewhere, and 16 bytes stand for each."""
    if isinstance(value, str):
        return 16
    return 16 * len(value) if isinstance(value, list | tuple) else np.asarray(value).nbytes
