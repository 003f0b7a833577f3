"""The two kinds of search tree, walked in order from end to end; nothing is searched for."""

from __future__ import annotations

from collections.abc import Iterator

from lamella.files.hdf5.source import Cursor, Source

MAX_LEVELS = 16


def leaves(source: Source, address: int) -> Iterator[int]:
    """The addresses that the leaves of a version 1 tree of a group's symbols hold.

    Raises:
        FormatError: A damaged tree, or one of more than 16 levels.
    """
    yield from _leaves(source, address, None)


def _leaves(source: Source, address: int, level: int | None) -> Iterator[int]:
    head = source.cursor(address, 24, "a node of a group's tree", b"TREE")
    kind, found, used = head.uint(1), head.uint(1), head.uint(2)
    if kind != 0 or found > MAX_LEVELS or (level is not None and found != level):
        raise source.fault(f"a damaged node of a group's tree at {address}: type {kind}, level {found}")
    body = source.cursor(address + 24, 16 * used + 8, "a node of a group's tree")
    for _ in range(used):
        body.take(8)  # the name that the next part of the tree begins after
        child = body.uint(8)
        if found:
            yield from _leaves(source, child, found - 1)
        else:
            yield child


def records(source: Source, address: int, kind: int, width: int) -> Iterator[Cursor]:
    """The records, each of `width` bytes, of the version 2 tree of type `kind` whose header is at `address`.

    Raises:
        FormatError: A damaged tree, one of other records, or one of more than 16 levels.
    """
    head = source.cursor(address, 38, "a tree's header", b"BTHD")
    head.version(0)
    found_kind, node_size, found_width, depth = head.uint(1), head.uint(4), head.uint(2), head.uint(2)
    head.take(2)  # how full a node is when it is split or merged
    root, used = head.address(), head.uint(2)
    if (found_kind, found_width) != (kind, width) or depth > MAX_LEVELS or node_size < 64:
        raise source.fault(
            f"a damaged tree at {address}: type {found_kind}, records of {found_width} bytes, depth {depth}"
        )
    if root is not None:
        pointers = _pointers(source, node_size, width, depth)
        yield from _records(source, (root, used), kind, width, depth, pointers)


def _pointers(source: Source, node_size: int, width: int, depth: int) -> tuple[int, list[int]]:
    """How wide the counts beside a child's address are: of its records, and of all those under it, by depth.

    Neither is in the file: they follow from how many records fit into a node (H5B2hdr.c, H5B2__hdr_init).
    """
    per_leaf = (node_size - 10) // width
    count_width = _width(source, per_leaf)
    all_widths, most = [0], per_leaf
    for _ in range(depth):
        pointer = 8 + count_width + all_widths[-1]
        per_node = (node_size - 10 - pointer) // (width + pointer)
        most = (per_node + 1) * most + per_node
        all_widths.append(_width(source, most))
    return count_width, all_widths


def _width(source: Source, most: int) -> int:
    if most < 1:
        raise source.fault("a damaged tree: no record fits into a node")
    return (most.bit_length() - 1) // 8 + 1


def _records(
    source: Source, node: tuple[int, int], kind: int, width: int, depth: int, pointers: tuple[int, list[int]]
) -> Iterator[Cursor]:
    address, used = node
    count_width, all_widths = pointers
    pointer = 8 + count_width + all_widths[depth - 1] if depth else 0
    size = 6 + used * width + (used + 1) * pointer
    body = source.cursor(address, size, "a node of a tree", b"BTIN" if depth else b"BTLF")
    body.version(0)
    if body.uint(1) != kind:
        raise source.fault(f"a damaged node of a tree at {address}")
    own = body.part(used * width, "the records of a tree")
    for i in range(used + 1):
        if depth:
            child = body.uint(8), body.uint(count_width)
            body.take(all_widths[depth - 1])
            yield from _records(source, child, kind, width, depth - 1, pointers)
        if i < used:
            yield own.part(width, "a record of a tree")
