"""What a value is: its datatype (what one element is) and its dataspace (how many there are)."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from lamella.files.hdf5.source import Cursor, Source

# offset and precision in bits; position and size of exponent and mantissa; bias of the exponent: IEEE 754
FLOATS: dict[tuple[int, ...], str] = {
    (0, 16, 10, 5, 0, 10, 15): "f2",
    (0, 32, 23, 8, 0, 23, 127): "f4",
    (0, 64, 52, 11, 0, 52, 1023): "f8",
}
CLASSES = ("integer", "float", "time", "string", "bitfield", "opaque", "compound", "reference", "enumeration")
CLASSES += ("variable-length", "array", "complex")
MAX_RANK = 32
MAX_ELEMENTS = 1 << 48  # the axes of an empty array do not show in its size; no array of such axes can be made


class Type(NamedTuple):
    r"""What one element is.

    Attributes:
        kind: "number"; "bool"; "raw" bytes; "string" of fixed length; "text", a string kept elsewhere in the file.
        dtype: How the element is in the file.
        padding: What fills up a fixed string: b"\0" or b" "; b"" where the first NUL ends it.
    """

    kind: Literal["number", "bool", "raw", "string", "text"]
    dtype: np.dtype
    padding: bytes = b""


def datatype(body: Cursor) -> Type:
    """The type that a datatype message describes.

    Raises:
        FormatError: It is none of: integers of 8 to 64 bits, IEEE floats of 16, 32 and 64 bits, NumPy's bool, strings,
            and raw elements of one or two bytes, which is how bfloat16 is stored.
    """
    source = body.source
    first = body.uint(1)
    number, version = first & 15, first >> 4
    bits, size = body.uint(3), body.uint(4)
    name = CLASSES[number] if number < len(CLASSES) else f"class {number}"
    if not 1 <= version <= 5:
        raise source.fault(f"a datatype ({name}) of version {version} is not read")
    if name == "integer":
        return Type("number", _integer(body, bits, size))
    if name == "float":
        return Type("number", _float(body, bits, size))
    if name == "string":
        if size == 0 or bits & 15 > 2:
            raise source.fault("a damaged datatype: a string without length or with unknown padding")
        return Type("string", np.dtype(f"S{_small(source, size)}"), (b"", b"\0", b" ")[bits & 15])
    if name == "opaque" and size in (1, 2):
        return Type("raw", np.dtype(f"V{size}"))
    if name == "enumeration" and _is_bool(body, bits, size, version):
        return Type("bool", np.dtype("u1"))
    if name == "variable-length" and bits & 15 == 1:
        if size != 16:
            raise source.fault("a damaged datatype: a reference to a string has 16 bytes")
        return Type("text", np.dtype("V16"))
    raise source.fault(f"values of the type {name} ({size} bytes) are not read: numbers, bools and strings are")


def _small(source: Source, size: int) -> int:
    source.check(0, size, "a string")
    if size >= 1 << 31:
        raise source.fault(f"a string of {size} bytes is too long")
    return size


def _integer(body: Cursor, bits: int, size: int) -> np.dtype:
    if size not in (1, 2, 4, 8) or (body.uint(2), body.uint(2)) != (0, 8 * size):
        raise body.source.fault(f"integers of {size} bytes with unused bits are not read")
    return np.dtype(f"{'>' if bits & 1 else '<'}{'i' if bits & 8 else 'u'}{size}")


def _float(body: Cursor, bits: int, size: int) -> np.dtype:
    fields = tuple(body.uint(width) for width in (2, 2, 1, 1, 1, 1, 4))
    code = FLOATS.get(fields)
    if code is None or fields[1] != 8 * size or bits & 0x40 or bits >> 8 != 8 * size - 1:
        raise body.source.fault(f"a float of {size} bytes that is not IEEE half, single or double is not read")
    return np.dtype(f"{'>' if bits & 1 else '<'}{code}")


def _is_bool(body: Cursor, bits: int, size: int, version: int) -> bool:
    """NumPy's bool as h5py writes it: an enumeration of FALSE = 0 and TRUE = 1 in one byte."""
    if bits & 0xFFFF != 2 or size != 1:
        return False
    base = datatype(body.part(12, "the base of an enumeration"))
    names = b"FALSE\0\0\0TRUE\0\0\0\0" if version < 3 else b"FALSE\0TRUE\0"
    return base.dtype.itemsize == 1 and body.take(len(names)) == names and body.take(2) == b"\0\1"


def dataspace(body: Cursor) -> tuple[int, ...] | None:
    """The shape that a dataspace message describes; None for an empty one, which has no elements and no shape.

    Raises:
        FormatError: A damaged message, more than 32 axes, or axes of which no array can be made.
    """
    version = body.version(1, 2)
    rank, flags = body.uint(1), body.uint(1)
    form = body.uint(1)  # version 2: scalar, simple, null
    if version == 1:
        body.take(4)
        form = 1
    if rank > MAX_RANK or flags & 2 or form > 2 or (form != 1 and rank):
        raise body.source.fault(f"a damaged dataspace: rank {rank}, flags {flags}, form {form}")
    if form == 2:
        return None
    shape = tuple(body.uint(8) for _ in range(rank))
    if math.prod(max(n, 1) for n in shape) > MAX_ELEMENTS:
        raise body.source.fault(f"an array of shape {shape} is too large")
    return shape
