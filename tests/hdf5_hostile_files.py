"""Hostile HDF5 files, each with words of the message that refuses it."""

from __future__ import annotations

import struct

import numpy as np

from hdf5_files import made


def soft_link(file):
    import h5py

    file["x"] = np.zeros(3)
    file["y"] = h5py.SoftLink("/x")


def external_link(file):
    import h5py

    file["y"] = h5py.ExternalLink("/etc/passwd", "/x")


def external_storage(file):
    file.create_dataset("x", shape=(8,), dtype="u1", external=[("/etc/passwd", 0, 8)])


def virtual_dataset(file):
    import h5py

    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    file.create_virtual_dataset("x", layout)


def two_links(file):
    file["x"] = np.zeros(3)
    file["y"] = file["x"]


def cycle(file):
    file["a/b"] = file


def named_datatype(file):
    file["t"] = np.dtype("f4")


def shared_datatype(file):
    file["t"] = np.dtype("f4")
    file.create_dataset("a", data=np.zeros(3, "f4"), dtype=file["t"])


def reference(file):
    import h5py

    file.attrs["x"] = np.array([file.ref], h5py.ref_dtype)


def variable_strings(file):
    import h5py

    file.create_dataset("x", data=["a", "b"], dtype=h5py.string_dtype())


def never_written(file):
    import h5py

    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((1 << 40,)), properties)


def ragged(file):
    import h5py

    data = np.empty(1, object)
    data[0] = np.arange(3)
    file.create_dataset("x", data=data, dtype=h5py.vlen_dtype("i4"))


def empty_dataset(file):
    import h5py

    file["x"] = h5py.Empty("f4")


def too_deep(file):
    file.create_group("/".join(["g"] * 70))


def too_much_text(file):
    for i in range(9):
        file.attrs[f"{i}"] = "😀" * (1 << 18)


def too_many_strings(file):
    file.attrs["a"] = np.zeros(40_000, "S1")
    file["x"] = 0
    file["x"].attrs["a"] = np.zeros(40_000, "S1")


# refused by what h5py wrote
REFUSED = {
    "soft_link": (soft_link, "soft link"),
    "external_link": (external_link, "external link"),
    "external_storage": (external_storage, "external storage"),
    "virtual_dataset": (virtual_dataset, "a view of other datasets"),
    "chunks": (lambda f: f.create_dataset("x", (1 << 40,), "f4", chunks=(4,)), "chunks"),
    "gzip": (lambda f: f.create_dataset("x", data=np.zeros(1 << 20, "f4"), compression="gzip"), "without compression"),
    "two_links": (two_links, "two links lead to one object"),
    "cycle": (cycle, "holds itself"),
    "named_datatype": (named_datatype, "neither a group nor a dataset"),
    "shared_datatype": (shared_datatype, "shared between objects"),
    "reference": (reference, "reference"),
    "compound": (lambda f: f.create_dataset("x", data=np.zeros(2, "i4,f4")), "compound"),
    "complex": (lambda f: f.create_dataset("x", data=np.zeros(2, "c8")), "compound"),
    "array type": (lambda f: f.create_dataset("x", (2,), np.dtype("(3,)f4")), "array"),
    "long double": (lambda f: f.create_dataset("x", data=np.zeros(2, "g")), "not IEEE"),
    "opaque": (lambda f: f.create_dataset("x", data=np.zeros(2, "V7")), "opaque"),
    "variable_strings": (variable_strings, "variable length"),
    "ragged": (ragged, "variable-length"),
    "never_written": (never_written, "ask for 8796093022208 bytes, and the file holds 0"),
    "empty_dataset": (empty_dataset, "neither a shape nor a value"),
    "too_deep": (too_deep, "64 deep"),
    "too_much_text": (too_much_text, "bytes of text"),
}


def patched(data: bytes, old: bytes, new: bytes, count: int = 1) -> bytes:
    """`data` with `old`, which is in it `count` times, replaced."""
    assert data.count(old) == count and len(old) == len(new), (data.count(old), old)
    return data.replace(old, new)


def u64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def edited() -> dict[str, tuple[bytes, str]]:
    """Files that h5py would not write: fields of sound ones replaced."""
    old, new = made(_pair), made(_pair, "latest")
    x = old.index(b"\7" * 777)
    return {
        "giant shape": (old.replace(_axis(777), _axis(1 << 40)), "ask for 1099511627776 bytes, and the file holds 777"),
        "giant shape, agreeing": (old.replace(u64(777), u64(1 << 40)), "outside the file"),
        "shape of no array": (old.replace(_axis(777), _axis(1 << 62)), "too large"),
        "larger than the file": (old.replace(u64(777), u64(len(old))), "outside the file"),
        "smaller shape": (old.replace(_axis(777), _axis(776)), "ask for 776 bytes, and the file holds 777"),
        "overlapping": (_overlapping(), "parts of a file do not overlap"),
        "an address beyond": (patched(old, u64(x, 777), u64(1 << 63, 777)), "outside the file"),
        "no address": (patched(old, u64(x, 777), u64((1 << 64) - 1, 777)), "the file holds 0"),
        "too many names": (patched(old, b"SNOD\1\0\2\0", b"SNOD\1\0\xff\xff"), "outside the file"),
        "a tree that holds itself": (_tree_loop(), "damaged node"),
        "levels that do not fall": (patched(old, b"TREE\0\0", b"TREE\0\1"), "missing"),
        "too many levels": (patched(old, b"TREE\0\0", b"TREE\0\xff"), "damaged node"),
        "a header that continues for ever": (_header_loop(), "parts of a file do not overlap"),
        "the same name twice": (patched(made(_names), b"bbbbbb", b"aaaaaa"), "two members are called"),
        "a name with slashes": (patched(made(_names), b"aaaaaa", b"../../"), "may not be called '../../'"),
        "a name not in UTF-8": (patched(made(_names), b"aaaaaa", b"\xff" * 6), "not UTF-8"),
        "a bool of 7": (patched(made(_bools), b"\1" * 777, b"\7" * 777), "neither 0 nor 1"),
        "cut short": (old[:-1], "cut short"),
        "no HDF5": (b"PK\3\4" + old[4:], "not an HDF5 file"),
        "nothing": (b"", "not an HDF5 file"),
        "a signature alone": (old[:8], "outside the file"),
        "behind other bytes": (b"\0" * 512 + old, "not an HDF5 file"),
        "short addresses": (old[:13] + b"\4" + old[14:], "8 bytes wide"),
        "an unknown superblock": (old[:8] + b"\4" + old[9:], "version 4"),
        "a root elsewhere": (new[:36] + u64(len(new)) + new[44:], "outside the file"),
    }


def _pair(file):
    file.create_dataset("x", data=np.full(777, 7, "u1"))
    file.create_dataset("y", data=np.full(777, 9, "u1"))


def _bools(file):
    file["x"] = np.ones(777, "?")


def _names(file):
    file.create_group("aaaaaa")
    file.create_group("bbbbbb")


def _axis(n: int) -> bytes:
    """An axis and its maximum, as a dataspace holds them."""
    return u64(n, n)


def _overlapping() -> bytes:
    """100 datasets of 9 KB each, all of the same bytes, in a file of 60 KB."""

    def fill(file):
        file["data"] = np.full(9000, 9, "u1")
        for i in range(100):
            file[f"x{i}"] = np.full(77, 7, "u1")

    data = made(fill)
    address = data.index(b"\x09" * 9000)
    for _ in range(100):
        at = data.index(b"\7" * 77)
        data = data[:at] + bytes(77) + data[at + 77 :]
        data = patched(data, u64(at, 77), u64(address, 9000))
    return data.replace(_axis(77), _axis(9000))


def _tree_loop() -> bytes:
    """A node of a group's tree that is its own child."""
    data = made(_pair)
    at = data.index(b"TREE")
    child = struct.unpack_from("<Q", data, at + 32)[0]
    return patched(data[: at + 5] + b"\1" + data[at + 6 :], u64(child), u64(at))


def _header_loop() -> bytes:
    """The rest of an object's header says that it continues where it begins."""

    def fill(file):
        file["x"] = 1
        for i in range(4):
            file.attrs[f"a{i}"] = i

    data = made(fill, "latest")
    at = data.index(b"OCHK")
    place = data.index(u64(at))
    size = struct.unpack_from("<Q", data, place + 8)[0]
    again = struct.pack("<BHB", 0x10, 16, 0) + data[place : place + 16]
    return data[: at + 4] + again.ljust(size - 4, b"\0") + data[at + size :]


# ---- files made by hand, of as many things as fit into as few bytes


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("<BHB", kind, len(body), 0) + body


def _object(messages: bytes) -> bytes:
    return b"OHDR\2\2" + struct.pack("<I", len(messages)) + messages + bytes(4)


def _file(root: bytes, rest: bytes = b"") -> bytes:
    end = 48 + len(root) + len(rest)
    return b"\x89HDF\r\n\x1a\n\3\x08\x08\0" + u64(0, (1 << 64) - 1, end, 48) + bytes(4) + root + rest


GROUP = _message(0x02, b"\0\0" + b"\xff" * 16)


def full_of_groups(count: int) -> bytes:
    """A file of empty groups."""
    empty = _object(GROUP)

    def root(first: int) -> bytes:
        links = (_message(0x06, b"\1\0\4" + f"{i:04x}".encode() + u64(first + i * len(empty))) for i in range(count))
        return _object(GROUP + b"".join(links))

    return _file(root(48 + len(root(0))), empty * count)


def full_of_attributes(count: int) -> bytes:
    """A file of attributes that are one number each."""
    byte = b"\x10\0\0\0\1\0\0\0\0\0\x08\0"
    scalar = b"\2\0\0\0"
    body = b"\3\0" + struct.pack("<3HB", 4, len(byte), len(scalar), 0) + b"%04x" + byte + scalar + b"\7"
    return _file(_object(GROUP + b"".join(_message(0x0C, body % i) for i in range(count))))


def full_of_strings(count: int) -> bytes:
    """A file of attributes that are rows of short strings."""
    messages, kind = [], b"\x13\0\0\0\2\0\0\0"
    for i in range(0, count, 30_000):
        space = b"\2\1\0\1" + u64(min(30_000, count - i))
        body = b"\3\0" + struct.pack("<3HB", 4, len(kind), len(space), 0) + b"%04x" % (i // 30_000) + kind + space
        messages.append(_message(0x0C, body + b"ab" * min(30_000, count - i)))
    return _file(_object(GROUP + b"".join(messages)))
