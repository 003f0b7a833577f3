"""Trees of text, numbers and arrays in files: they come back as they were, and no damage goes unnoticed."""

from __future__ import annotations

import errno
import os
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest

from lamella.errors import FormatError
from lamella.files import tree
from lamella.files.tree import read_tree, write_tree

TREE = {
    "text": "grün", "none": None, "flag": True, "count": 3, "nan": float("nan"), "small": 5e-324,
    "list": [1, [2.5, {"deep": np.arange(6, dtype="int16").reshape(2, 3)}]],
    "a/b": np.float32(0.1), "a": {"b": np.zeros((0, 4))}, "column": np.asfortranarray(np.ones((2, 3))),
    "bool": np.array(True),
}  # fmt: skip


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return type(a) is type(b) and repr(a) == repr(b)


def test_a_tree_comes_back_as_it_was_and_gives_the_same_bytes(tmp_path):
    write_tree(tmp_path / "a.npz", TREE, "sample", 1)
    write_tree(tmp_path / "b.npz", TREE, "sample", 1)
    assert equal(read_tree(tmp_path / "a.npz", "sample", 1), {**TREE, "bool": np.True_})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:  # NumPy alone reads it
        np.testing.assert_array_equal(file["list/1/1/deep"], TREE["list"][1][1]["deep"])


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, {"$array": "a"}, np.array(["text"]), np.array([None]), b"bytes", {2}]
)
def test_what_cannot_go_into_a_file_is_told_with_its_place(value, tmp_path):
    with pytest.raises(TypeError, match="'outer/inner/0' cannot go into a file: it takes text, numbers"):
        write_tree(tmp_path / "a.npz", {"outer": {"inner": [value]}}, "sample", 1)
    assert list(tmp_path.iterdir()) == []


def small_file(folder):
    path = folder / "a.npz"
    write_tree(path, {"a": np.arange(3.0), "b": [1, "x"]}, "sample", 1)
    return path


def test_a_file_cut_short_anywhere_is_one_clear_error(tmp_path):
    path = small_file(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=r"a\.npz' is not a sample, or it is damaged or cut short"):
            read_tree(path, "sample", 1)


def test_a_changed_byte_anywhere_is_an_error_or_changes_nothing(tmp_path):
    path = small_file(tmp_path)
    whole, expected = path.read_bytes(), read_tree(path, "sample", 1)
    found = 0
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ (0xFF if i % 2 else 0x81)]) + whole[i + 1 :])
        try:
            assert equal(read_tree(path, "sample", 1), expected)
        except FormatError:
            found += 1
    assert found > len(whole) // 2  # what is left are dates, permissions and the like


def rewritten(path, name, data, compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path) as old:
        members = {n: old.read(n) for n in old.namelist()} | {name: data}
    with zipfile.ZipFile(path, "w", compress) as new:
        for n, content in members.items():
            new.writestr(n, content)


def array_of(header):
    text = header.encode() + b" " * ((-len(header) - 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.npy", array_of("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + bytes(8)),
        ("a.npy", array_of("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }")),
        ("a.npy", array_of("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }") + bytes(8)),
        ("a.npy", array_of("{'descr': '<f8', 'fortran_order': True, 'shape': (3,), }") + bytes(24)),
        ("a.npy", b""),
        ("more.npy", b""),
        ("tree.json", b'{"format": "sample", "version": 1, "arrays": {"a": ["|O", [3]]}, "tree": {}}'),
        ("tree.json", b'{"format": "sample", "version": 1, "arrays": {"a": 3}, "tree": {}}'),
        ("tree.json", b'{"format": "sample", "version": 1, "arrays": {"missing": ["<f8", [3]]}, "tree": {}}'),
        ("tree.json", b'{"format": "sample", "version": 1, "arrays": [], "tree": {}}'),
        ("tree.json", b'{"format": "sample", "version": 1}'),
        ("tree.json", b'{"format": "sample", "version": 2, "arrays": {}, "tree": {}}'),
        ("tree.json", b'{"format": "other", "version": 1, "arrays": {}, "tree": {}}'),
        ("tree.json", b"[" * 100_000),
        ("tree.json", b"[]"),
        ("tree.json", b"\xff"),
    ],
)
def test_a_made_up_file_is_one_clear_error(name, data, tmp_path):
    path = small_file(tmp_path)
    rewritten(path, name, data)
    with pytest.raises(FormatError, match=r"sample|tree\.json"):
        read_tree(path, "sample", 1)


def test_a_compressed_file_and_another_kind_of_file_are_refused(tmp_path):
    path = small_file(tmp_path)
    rewritten(path, "a.npy", bytes(10_000), zipfile.ZIP_DEFLATED)
    with pytest.raises(FormatError, match="compressed"):
        read_tree(path, "sample", 1)
    np.savez(path, a=np.ones(3))
    with pytest.raises(FormatError, match="is not a sample"):
        read_tree(path, "sample", 1)
    with pytest.raises(FileNotFoundError):
        read_tree(tmp_path / "absent.npz", "sample", 1)


def test_a_writer_that_dies_anywhere_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_tree(path, {"old": np.arange(3)}, "sample", 1)
    old = path.read_bytes()
    original = tree.atomic_write

    class Dies:
        def __init__(self, file, room):
            self.file, self.room = file, room

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            data = bytes(data)
            self.file.write(data[: self.room])
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return len(data)

    for room in range(0, 1500, 7):
        monkeypatch.setattr(tree, "atomic_write", lambda p, room=room: wrapped(original(p), lambda f: Dies(f, room)))
        try:
            write_tree(path, {"new": np.arange(50)}, "sample", 1)
        except OSError as error:
            assert "a.npz' was not written: no space left" in str(error)
            assert path.read_bytes() == old
            assert len(list(tmp_path.iterdir())) == 1
        else:
            break
    assert "new" in read_tree(path, "sample", 1)


@contextmanager
def wrapped(inner, wrap):
    with inner as file:
        yield wrap(file)
