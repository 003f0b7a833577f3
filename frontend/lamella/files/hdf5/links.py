"""The members of a group, as old and as new files keep them. A member is an object of this file, or the file is refused."""

from __future__ import annotations

from collections.abc import Iterator

from lamella.files.hdf5.heaps import FractalHeap, LocalHeap
from lamella.files.hdf5.source import Cursor, Source
from lamella.files.hdf5.trees import leaves, records

Member = tuple[str, int]  # name, address of the header
KINDS = {1: "soft link", 64: "link to another file (external link)"}


def of_symbol_table(source: Source, body: Cursor) -> Iterator[Member]:
    """The members of a group of old files: a tree, whose leaves hold names by their place in a heap."""
    tree, heap = body.uint(8), body.uint(8)
    names = LocalHeap(source, heap)
    for address in leaves(source, tree):
        head = source.cursor(address, 8, "a table of members", b"SNOD")
        head.version(1)
        head.take(1)
        used = head.uint(2)
        entries = source.cursor(address + 8, 40 * used, "a table of members")
        for _ in range(used):
            offset, header, cached = entries.uint(8), entries.uint(8), entries.uint(4)
            entries.take(20)
            name = names.name(offset)
            if cached == 2:
                raise source.fault(f"{name!r} is a {KINDS[1]}, which is not followed")
            if cached > 2:
                raise source.fault(f"the entry of {name!r} is damaged")
            yield name, header


def of_message(source: Source, body: Cursor) -> Member:
    """The member of a link message."""
    body.version(1)
    flags = body.uint(1)
    kind = body.uint(1) if flags & 8 else 0
    body.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))  # order of creation, character set
    name = source.link_name(body.take(body.uint(1 << (flags & 3))))
    if kind:
        raise source.fault(f"{name!r} is a {KINDS.get(kind, 'link of an unknown kind')}, which is not followed")
    return name, body.uint(8)


def of_info(source: Source, body: Cursor) -> Iterator[Member]:
    """The members of a group that has so many that they are in a heap; none where they stand in the group's header."""
    body.version(0)
    if body.uint(1) & 1:
        body.take(8)  # the next number in order of creation
    heap, tree = body.address(), body.address()
    if heap is None:
        return
    objects = FractalHeap(source, heap)
    for record in _indexed(source, tree, 5, 11):
        record.take(4)  # the name's hash
        yield of_message(source, objects.object(record.part(7, "an identifier"), "a link"))


def attributes_of_info(source: Source, body: Cursor) -> Iterator[Cursor]:
    """The attribute messages of an object that has so many that they are in a heap."""
    body.version(0)
    if body.uint(1) & 1:
        body.take(2)  # the next number in order of creation
    heap, tree = body.address(), body.address()
    if heap is None:
        return
    objects = FractalHeap(source, heap)
    for record in _indexed(source, tree, 8, 17):
        identifier = record.part(8, "an identifier")
        if record.uint(1) & 2:
            raise source.fault("an attribute is shared between objects, which is not read")
        yield objects.object(identifier, "an attribute")


def _indexed(source: Source, tree: int | None, kind: int, width: int) -> Iterator[Cursor]:
    if tree is None:
        raise source.fault("a heap has no index")
    return records(source, tree, kind, width)
