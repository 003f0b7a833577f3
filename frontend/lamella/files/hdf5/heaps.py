"""The places where names, strings and many attributes are: local, global and fractal heaps."""

from __future__ import annotations

from collections.abc import Iterator

from lamella.files.hdf5.source import Cursor, Source
from lamella.files.hdf5.trees import records


class LocalHeap:
    """The names of a group's members, each ended by NUL."""

    def __init__(self, source: Source, address: int):
        head = source.cursor(address, 32, "a heap of names", b"HEAP")
        head.version(0)
        head.take(3)
        size = head.uint(8)
        head.take(8)  # free space
        self._start = head.uint(8)
        self._source = source
        source.check(self._start, size, "a heap of names")
        self._data = source.data[self._start : self._start + size]

    def name(self, offset: int) -> str:
        """The name at `offset`."""
        # as long as a name may be, and no further: names are searched for their end one after the other
        piece = bytes(self._data[offset : offset + 65_536])
        end = piece.find(b"\0")
        if end < 0:
            raise self._source.fault(
                f"the name of a member at {offset} of a heap of {len(self._data)} bytes has no end"
            )
        self._source.claim(self._start + offset, end + 1, "the name of a member")
        return self._source.link_name(piece[:end])


class GlobalHeap:
    """Strings of variable length, by the address of a collection and their number in it."""

    def __init__(self, source: Source):
        self._source = source
        self._collections: dict[int, dict[int, tuple[int, int]]] = {}

    def string(self, reference: Cursor, what: str) -> str:
        """The string that a reference (length, address of the collection, number) stands for."""
        length, address, number = reference.uint(4), reference.uint(8), reference.uint(4)
        if length == 0:
            return ""
        if address not in self._collections:
            self._collections[address] = dict(self._objects(address))
        offset, size = self._collections[address].get(number, (0, 0))
        if length > size:
            raise self._source.fault(
                f"{what}: {length} bytes expected in object {number} of the heap at {address}, {size} found"
            )
        return self._source.text(self._source.data[offset : offset + length], what)

    def _objects(self, address: int) -> Iterator[tuple[int, tuple[int, int]]]:
        what = "a heap of strings"
        head = self._source.cursor(address, 16, what, b"GCOL")
        head.version(1)
        head.take(3)
        size = head.uint(8)
        if size < 16:
            raise self._source.fault(f"{what} at {address} of {size} bytes is damaged")
        body = self._source.cursor(address + 16, size - 16, what)
        while body.left >= 16:
            number = body.uint(2)
            body.take(6)
            length = body.uint(8)
            if number == 0:  # the free space, which is last
                return
            self._source.count()
            yield number, (address + 16 + body.at, length)
            body.take(length)
            body.take(min(-length % 8, body.left))


class FractalHeap:
    """Links or attributes of an object that has many: blocks in rows, each row's twice the size of the one before.

    An object's identifier holds its offset in the heap's own address space, in which the blocks are stored end to end.
    """

    def __init__(self, source: Source, address: int):
        self._source = source
        head = source.cursor(address, 146, "a heap", b"FRHP")
        head.version(0)
        self.id_width, filters, flags, most = head.uint(2), head.uint(2), head.uint(1), head.uint(4)
        head.take(8)  # the next number of a huge object
        self._huge_tree = head.address()
        head.take(8 * 10)  # free space, and counts of what the heap holds
        self._columns, self._first = head.uint(2), head.uint(8)
        self._largest, bits = head.uint(8), head.uint(2)
        head.take(2)
        self._root, self._rows = head.address(), head.uint(2)
        sound = (
            0 < self._columns <= 1024
            and 0 < self._first <= self._largest <= 1 << 31
            and not any(n & (n - 1) for n in (self._columns, self._first, self._largest))
            and 0 < bits <= 64
            and 0 < most <= self._largest
            and flags < 4
        )
        if filters or not sound:
            raise source.fault(f"the heap at {address} is {'compressed, which is not read' if filters else 'damaged'}")
        self._offset_width = (bits + 7) // 8
        # H5HF__hdr_finish_init: the shorter of what a block's offset and what an object's length needs
        self._length_width = min((self._largest.bit_length() + 6) // 8, (most.bit_length() - 1) // 8 + 1)
        self._head_size = 13 + self._offset_width + (4 if flags & 2 else 0)
        self._huge: dict[int, tuple[int, int]] | None = None

    def object(self, identifier: Cursor, what: str) -> Cursor:
        """The object that an identifier of `id_width` bytes stands for."""
        first = identifier.uint(1)
        if first == 0x00:
            offset, size = identifier.uint(self._offset_width), identifier.uint(self._length_width)
            start, room = self._managed(offset)
            if size > room:
                raise self._source.fault(f"{what} of {size} bytes does not fit into its block of a heap")
            return self._source.cursor(start, size, what)
        if first == 0x10:
            return self._source.cursor(*self._huge_object(identifier.uint(identifier.left)), what)
        raise self._source.fault(f"{what} is stored in a way that is not read (first byte {first:#x})")

    def _huge_object(self, number: int) -> tuple[int, int]:
        """Address and size of an object that is stored separately."""
        if self._huge is None:
            if self._huge_tree is None:
                raise self._source.fault("a heap without large objects is asked for one")
            self._huge = {}
            for record in records(self._source, self._huge_tree, 1, 24):
                self._source.count()
                place = record.uint(8), record.uint(8)
                self._huge[record.uint(8)] = place
        if number not in self._huge:
            raise self._source.fault(f"a heap has no large object {number}")
        return self._huge[number]

    def _managed(self, offset: int) -> tuple[int, int]:
        """Address of what is at `offset`, and how many bytes its block still has there."""
        block, start, size, rows = self._root, 0, self._first, self._rows
        while rows and block is not None:
            # where in the rows: the first two are of blocks of the first size
            row_size = self._columns * self._first
            inner = offset - start
            row = 0 if inner < row_size else (inner // row_size).bit_length()
            size = self._first << max(row - 1, 0)
            column = (inner - (row_size << (row - 1) if row else 0)) // size
            if row >= rows:
                raise self._source.fault(f"offset {offset} is outside a heap")
            block = self._child(block, rows, row, column)
            start += (row_size << (row - 1) if row else 0) + column * size
            rows = 0 if size <= self._largest else (size // row_size).bit_length()
        if block is None or not self._head_size <= offset - start < size:
            raise self._source.fault(f"offset {offset} is outside a heap's blocks")
        self._source.check(block, size, "a block of a heap")
        if self._source.data[block : block + 4] != b"FHDB":
            raise self._source.fault(f"no block of a heap at {block}: FHDB is missing")
        return block + offset - start, size - (offset - start)

    def _child(self, block: int, rows: int, row: int, column: int) -> int | None:
        """The address of one of a block's blocks."""
        head = 13 + self._offset_width
        self._source.check(block, head + 8 * self._columns * rows, "a block of a heap")
        if self._source.data[block : block + 4] != b"FHIB":
            raise self._source.fault(f"no block of a heap at {block}: FHIB is missing")
        at = block + head + 8 * (self._columns * row + column)
        return Cursor(self._source, self._source.data[at : at + 8], "a block of a heap").address()
