"""A tree of plain values and arrays in one `.npz` file: what checkpoints are made of.

The file is a zip archive, not compressed, of one `.npy` file an array, and of `tree.json`, which holds everything else and
says which array belongs where. `numpy.load(path)` opens it. Nothing is ever pickled, and the same tree gives the same
bytes. On reading, every array must have the shape and dtype that `tree.json` declares, every checksum must be right, and
no member may claim more bytes than the file has.
"""

from __future__ import annotations

import errno
import math
import os
import struct
import zlib
from typing import IO, Any

import numpy as np

from lamella.errors import FormatError
from lamella.files import text
from lamella.files.atomic import atomic_write
from lamella.files.npz import MOST_HEADER, read_header

_TREE = "tree.json"
_MARK = "$array"
_KINDS = "biufc"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LONGEST_PATH = 10_000
"""Characters of an array's path that become its name in the archive, which holds 65,535 bytes of a name."""
_LARGEST, _ENTRIES = 2**28, 10_000_000
"""Bytes and entries of `tree.json`: seven entries for each array, and what the caller adds."""


def write_tree(path: str | os.PathLike[str], tree: dict[str, Any], format: str, version: int) -> None:
    """Write `tree` to `path`, atomically.

    Args:
        path: where the file goes.
        tree: dicts with text keys, lists, text, numbers, booleans, None and arrays of numbers (no objects). Tuples come
            back as lists, and arrays of shape () as NumPy scalars.
        format: what kind of file it is; reading asks for the same.
        version: the version of what the tree holds.

    Raises:
        TypeError: the tree holds something else; where in the tree is said.
        ValueError: it is larger or nested deeper than `read_tree` reads.
        OSError: the file cannot be written; the one there before stays as it was.
    """
    import zipfile

    arrays: dict[str, np.ndarray] = {}
    packed = _packed(tree, "", arrays)
    table = {name: [a.dtype.str, list(a.shape)] for name, a in arrays.items()}
    about = {"format": format, "version": version, "arrays": table, "tree": packed}
    described = text.written(about, f"a {format}", largest=_LARGEST, entries=_ENTRIES, finite=False, ensure_ascii=False)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with _member(archive, _TREE, 0) as member:
            member.write(described.encode())
        for name, array in arrays.items():
            with _member(archive, f"{name}.npy", array.nbytes) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_tree(path: str | os.PathLike[str], format: str, version: int) -> dict[str, Any]:
    """The tree that `write_tree` wrote to `path`.

    Raises:
        FormatError: the file is damaged, cut short, of another kind or of a later version.
        OSError: there is no such file, or it cannot be read.
    """
    import zipfile

    named = os.fspath(path)
    # what zipfile and NumPy raise over bytes that are not what they should be
    broken = (zipfile.BadZipFile, struct.error, zlib.error, EOFError, ValueError, OverflowError, LookupError)
    broken += (TypeError, AttributeError, RuntimeError, MemoryError)
    with open(named, "rb") as file:  # noqa: PTH123 - a path of any kind
        try:
            with zipfile.ZipFile(file) as archive:
                about = text.parsed(
                    _read_member(archive, _TREE),
                    f"{named!r}: {_TREE}",
                    largest=_LARGEST,
                    entries=_ENTRIES,
                    finite=False,
                )
                if not isinstance(about, dict) or about.get("format") != format:
                    raise FormatError(f"{named!r} is not a {format}.")
                if not isinstance(about["version"], int) or about["version"] > version:
                    raise FormatError(
                        f"{named!r} is a {format} of version {about['version']}, this lamella reads up to {version}."
                    )
                arrays = {name: _read_array(archive, name, *spec) for name, spec in about["arrays"].items()}
                if len(archive.namelist()) != len(arrays) + 1:
                    raise ValueError("it holds other files, too")
                return _unpacked(about["tree"], arrays)
        except FormatError:
            raise
        except (*broken, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which a seek to nowhere gives
                raise
            cause = f"{type(error).__name__}: {error}".rstrip(": ")
            raise FormatError(f"{named!r} is not a {format}, or it is damaged or cut short ({cause}).") from None


def _packed(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and not isinstance(value, np.generic):
        return value
    if isinstance(value, list | tuple):
        return [_packed(item, f"{where}/{i}" if where else str(i), arrays) for i, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value) and not _is_mark(value):
        return {key: _packed(item, f"{where}/{key}" if where else key, arrays) for key, item in value.items()}
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = np.asarray(value, order="C")
        if array.dtype.kind in _KINDS and "\0" not in where:
            where = where[:_LONGEST_PATH]
            while where in arrays:  # keys with a slash may meet: {"a/b": ..., "a": {"b": ...}}
                where += "_"
            arrays[where] = array
            return {_MARK: where}
    raise TypeError(
        f"{where!r} cannot go into a file: it takes text, numbers, booleans, None, arrays of numbers, and lists and dicts "
        f"(with text keys) of them; got {value!r}."
    )


def _unpacked(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, arrays) for item in value]
    if isinstance(value, dict):
        if _is_mark(value):
            return arrays[value[_MARK]][()]
        return {key: _unpacked(item, arrays) for key, item in value.items()}
    return value


def _is_mark(value: dict[str, Any]) -> bool:
    """Whether a dict stands for an array; one that only has the key, as a metric's logs may, does not."""
    return len(value) == 1 and isinstance(value.get(_MARK), str)


def _member(archive: Any, name: str, size: int) -> IO[bytes]:
    import zipfile

    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # whatever wrote it: the same bytes everywhere
    return archive.open(info, "w", force_zip64=size > 2**31 - MOST_HEADER)


def _read_member(archive: Any, name: str) -> bytes:
    """The bytes of a member, their checksum compared; no more of them than the file has."""
    import zipfile

    info = archive.getinfo(name)
    if info.file_size > os.fstat(archive.fp.fileno()).st_size:
        raise ValueError(f"{name!r} is longer than the file")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"{name!r} is compressed")
    return archive.read(info)


def _read_array(archive: Any, name: str, dtype: str, shape: list[int]) -> np.ndarray:
    import io

    data = _read_member(archive, f"{name}.npy")
    stream = io.BytesIO(data)
    try:
        found = read_header(stream)
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from None
    kind, count, at = found[2], math.prod(found[0]), stream.tell()
    if (list(found[0]), found[1], kind.str) != (shape, False, dtype) or kind.kind not in _KINDS:
        raise ValueError(f"{name!r} is not what {_TREE} says of it")
    if at + count * kind.itemsize != len(data):
        raise ValueError(f"{name!r} has {len(data) - at} bytes, expected {count * kind.itemsize}")
    return np.ndarray(found[0], kind, data, at).copy()
