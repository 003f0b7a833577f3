"""What attributes say, and where a dataset's bytes are."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from lamella.files.hdf5.heaps import GlobalHeap
from lamella.files.hdf5.source import Cursor, Source
from lamella.files.hdf5.types import Type, dataspace, datatype

Attribute: TypeAlias = "str | list[str] | np.generic | np.ndarray | None"
MAX_SIZE = 1 << 62


def size_of(source: Source, kind: Type, shape: tuple[int, ...]) -> int:
    """The size in bytes of an array, which is checked to be in memory's range even where an axis of it is empty."""
    if math.prod(max(n, 1) for n in shape) * kind.dtype.itemsize > MAX_SIZE:
        raise source.fault(f"an array of shape {shape} is too large")
    return math.prod(shape) * kind.dtype.itemsize


def attribute(source: Source, body: Cursor, heap: GlobalHeap) -> tuple[str, Attribute]:
    """Name and value of an attribute message.

    Raises:
        FormatError: A damaged message, or a value of a type that is not read.
    """
    source.count()
    version = body.version(1, 2, 3)
    flags = body.uint(1)
    name_size, type_size, space_size = body.uint(2), body.uint(2), body.uint(2)
    if version == 3:
        body.take(1)  # character set
    if version > 1 and flags:
        raise source.fault("an attribute's type is shared between objects, which is not read")

    def field(size: int, what: str) -> Cursor:
        part = body.part(size, what)
        if version == 1:
            body.take(-size % 8)
        return part

    raw = bytes(field(name_size, "an attribute's name").data)
    name = source.text(raw.removesuffix(b"\0"), "an attribute's name")
    where = source.where
    source.where = f"attribute {name[:80]!r} of {where or 'the root group'}"
    kind = datatype(field(type_size, "an attribute's type"))
    shape = dataspace(field(space_size, "an attribute's shape"))
    value = None if shape is None else _value(source, body, kind, shape, heap)
    source.where = where
    return name, value


def _value(source: Source, body: Cursor, kind: Type, shape: tuple[int, ...], heap: GlobalHeap) -> Attribute:
    size = size_of(source, kind, shape)
    if size > body.left:
        raise source.fault(f"values of {size} bytes expected, {body.left} found")
    if kind.kind in ("string", "text"):
        if len(shape) > 1:
            raise source.fault(f"strings of shape {shape} are not read: one, or a row of them")
        source.count(math.prod(shape))
        width = kind.dtype.itemsize
        strings = [_string(source, body.part(width, "a string"), kind, heap) for _ in range(math.prod(shape))]
        return strings if shape else strings[0]
    found = array(source, body.take(size), kind, shape)
    return found if shape else found[()]


def _string(source: Source, element: Cursor, kind: Type, heap: GlobalHeap) -> str:
    if kind.kind == "text":
        return heap.string(element, "a string")
    raw = bytes(element.data)
    return source.text(raw.rstrip(kind.padding) if kind.padding else raw.split(b"\0", 1)[0], "a string")


def array(source: Source, raw: memoryview, kind: Type, shape: tuple[int, ...]) -> np.ndarray:
    """A new array, in the machine's byte order, of bytes as they are in the file."""
    # an empty shape's bytes are not a buffer that NumPy takes
    stored = np.frombuffer(raw, kind.dtype).reshape(shape) if len(raw) else np.empty(shape, kind.dtype)
    if kind.kind == "bool":
        if stored.size and stored.max() > 1:
            raise source.fault("a bool that is neither 0 nor 1")
        return stored.astype(np.bool_)
    return stored.astype(kind.dtype.newbyteorder("="), copy=True)


def storage(source: Source, body: Cursor, size: int) -> memoryview:
    """The bytes of a dataset of `size` bytes, claimed; nothing is copied.

    Raises:
        FormatError: The bytes are not in the file, or not in one piece.
    """
    if body.version(3, 4, 5) == 5:
        raise source.fault("layouts of version 5 are not read")
    kind = body.uint(1)
    if kind == 0:
        stored = body.uint(2)
        data = body.take(stored)
        address = 0
    elif kind == 1:
        address, stored = body.address(), body.uint(8)
        data = memoryview(b"")
    else:
        kinds = {2: "stored in chunks; save it again without chunks or compression", 3: "a view of other datasets"}
        raise source.fault(f"the dataset is {kinds.get(kind, f'stored in an unknown way ({kind})')}, which is not read")
    if size == 0:
        return memoryview(b"")
    if stored != size or address is None:
        held = stored if address is not None else 0
        raise source.fault(f"the dataset's shape and dtype ask for {size} bytes, and the file holds {held}")
    if kind == 1:
        source.claim(address, size, "a dataset")
        data = source.data[address : address + size]
    return data
