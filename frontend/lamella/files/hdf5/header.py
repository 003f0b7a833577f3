"""Where a file begins, and the headers of its objects: a superblock, then lists of messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from lamella.files.hdf5.source import Cursor, Source

SIGNATURE = b"\x89HDF\r\n\x1a\n"

DATASPACE, LINK_INFO, DATATYPE, LINK, LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x08
GROUP_INFO, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x0A, 0x0C, 0x10, 0x11, 0x15
READ = frozenset(
    {DATASPACE, LINK_INFO, DATATYPE, LINK, LAYOUT, GROUP_INFO, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO}
)
# padding, fill values (every byte of a dataset is in the file), a comment, times, the sizes of nodes, a count of links
IGNORED = frozenset({0x00, 0x04, 0x05, 0x0D, 0x0E, 0x12, 0x13, 0x16})
REFUSED = {
    0x07: "keeps its data in another file (external storage)",
    0x0B: "is compressed or filtered; save it again without compression",
}


def root_address(source: Source) -> int:
    """The address of the root group's header; refuses what is not a whole HDF5 file.

    Raises:
        FormatError: No HDF5 file, a version of the superblock other than 0 to 3, addresses that are not 8 bytes wide, a
            file in several parts, or one that is cut short.
    """
    if bytes(source.data[:8]) != SIGNATURE:
        raise source.fault("this is not an HDF5 file")
    source.where = "the superblock"
    version = source.data[8] if len(source.data) > 8 else 0
    fields = source.cursor(0, {0: 96, 1: 100, 2: 48, 3: 48}.get(version, 9), "the superblock")
    fields.take(8)
    fields.version(0, 1, 2, 3)
    if version < 2:
        fields.take(4)
    if (fields.uint(1), fields.uint(1)) != (8, 8):
        raise source.fault("addresses and lengths are not 8 bytes wide")
    fields.take({0: 9, 1: 13}.get(version, 1))
    if fields.uint(8):
        raise source.fault("the file does not begin at its first byte")
    fields.take(8)  # free space, or an extension with hints for writing
    end = fields.uint(8)
    if version < 2:
        if fields.address() is not None:
            raise source.fault("the file is one of several parts")
        fields.take(8)
    root = fields.uint(8)
    source.limit(end)
    source.where = ""
    return root


def messages(source: Source, address: int) -> Iterator[tuple[int, Cursor]]:
    """The messages of the object whose header is at `address`: (type, body), those without a meaning for us left out.

    Raises:
        FormatError: The header is damaged, or says that the object is kept in a way that is not read.
    """
    source.check(address, 4, "an object's header")
    if source.data[address : address + 4] == b"OHDR":
        block, tracked = _block_2(source, address)
        head = (1, 2, 2 if tracked else 0)
        signature, tail = b"OCHK", 4
    else:
        block = _block_1(source, address)
        head = (2, 3, 0)
        signature, tail = b"", 0
    blocks = deque([block])
    while blocks:
        for kind, flags, body in _messages_of(blocks.popleft(), *head):
            if kind in REFUSED:
                raise source.fault(f"the dataset {REFUSED[kind]}")
            if kind in IGNORED:
                continue
            if kind not in READ:
                raise source.fault(f"messages of type {kind:#x} in an object's header are not read")
            if flags & 2:
                raise source.fault(
                    "a message is shared between objects (a named datatype, for instance), which is not read"
                )
            if kind == CONTINUATION:
                offset, size = body.uint(8), body.uint(8)
                more = source.cursor(offset, size, "the rest of an object's header", signature)
                blocks.append(more.part(more.left - tail, more.what) if more.left >= tail else more)
            else:
                yield kind, body


def _block_1(source: Source, address: int) -> Cursor:
    start = source.cursor(address, 16, "an object's header")
    start.version(1)
    start.take(7)
    return source.cursor(address + 16, start.uint(4), "an object's header")


def _block_2(source: Source, address: int) -> tuple[Cursor, bool]:
    start = source.cursor(address, 6, "an object's header", b"OHDR")
    start.version(2)
    flags = start.uint(1)
    skipped = (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    sizes = source.cursor(address + 6, skipped + width, "an object's header")
    sizes.take(skipped)
    size = sizes.uint(width)
    return source.cursor(address + 6 + skipped + width, size, "an object's header"), bool(flags & 4)


def _messages_of(block: Cursor, kind_width: int, reserved: int, order_width: int) -> Iterator[tuple[int, int, Cursor]]:
    """Version 1: type (2), size (2), flags (1), reserved (3). Version 2: type (1), size (2), flags (1), order (0 or 2)."""
    head = kind_width + 3 + (reserved if kind_width == 2 else order_width)
    while block.left >= head:
        kind, size, flags = block.uint(kind_width), block.uint(2), block.uint(1)
        block.take(head - kind_width - 3)
        yield kind, flags, block.part(size, "a message of an object's header")
