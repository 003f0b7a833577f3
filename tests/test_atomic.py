"""Atomic writes: whatever happens while a file is written, the old one or the new one is there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from lamella.files import atomic
from lamella.files.atomic import atomic_write, remove_leftovers, write_atomically


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("content", [b"new", lambda file: file.write(b"new")], ids=["bytes", "writer"])
@pytest.mark.parametrize("before", [None, b"a longer old file"])
def test_a_file_is_written_or_replaced(content, before, tmp_path):
    path = tmp_path / "file.bin"
    if before is not None:
        path.write_bytes(before)
    write_atomically(path, content)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file.bin"]


def test_a_text_path_and_a_library_that_opens_the_name_itself(tmp_path):
    with atomic_write(str(tmp_path / "file.bin")) as file:
        Path(file.name).write_bytes(b"by name")
    assert (tmp_path / "file.bin").read_bytes() == b"by name"


@pytest.mark.parametrize("error", [KeyError("in the middle"), KeyboardInterrupt()])
def test_an_exception_leaves_the_old_file_and_no_temporary_one(error, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


class Full:
    """A file on a disk with room for `room` bytes more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        taken = data[: self.room]
        self.file.write(taken)
        self.room -= len(taken)
        if len(taken) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("room", [0, 1, 7, 9])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_full_disk_is_one_clear_error(room, before, tmp_path):
    path = tmp_path / "file.bin"
    if before is not None:
        path.write_bytes(before)
    kept = "; the file that was there before is as it was" if before else ""
    with pytest.raises(OSError, match=rf"file.bin' was not written: no space left on device{kept}\.$") as caught:
        write_atomically(path, lambda file: Full(file, room).write(b"new content"))
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == (["file.bin"] if before else [])
    assert before is None or path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("size", [10, 100_000])
def test_what_the_buffer_cannot_write_any_more_is_the_same_error(size, tmp_path, run_python):
    (tmp_path / "file.bin").write_bytes(b"old")
    code = f"""
import resource
from lamella.files.atomic import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5))
try:
    write_atomically({str(tmp_path / "file.bin")!r}, bytes({size}))
except OSError as error:
    print(error)
"""
    assert "file.bin' was not written: file too large; the file that was" in run_python(code=code).stdout
    assert (tmp_path / "file.bin").read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_flush_or_rename_leaves_the_old_file(step, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (atomic.Path, "replace")), fail)
    with pytest.raises(OSError, match=r"file.bin' was not written: input/output error"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_missing_folder_and_a_folder_in_the_way_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"was not written: .*there is no folder '.*absent'"):
        write_atomically(tmp_path / "absent" / "file.bin", b"new")
    with pytest.raises(IsADirectoryError, match="was not written: is a directory"):
        write_atomically(tmp_path, b"new")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="was not written: permission denied"):
            write_atomically(tmp_path / "file.bin", b"new")
    finally:
        tmp_path.chmod(0o700)


def test_an_error_about_another_file_passes_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.csv"):
        with atomic_write(tmp_path / "file.bin"):
            (tmp_path / "data.csv").read_bytes()
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_permissions_and_links_are_kept(tmp_path):
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_gets_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain.bin").write_bytes(b"")
    write_atomically(tmp_path / "file.bin", b"")
    assert (tmp_path / "file.bin").stat().st_mode == (tmp_path / "plain.bin").stat().st_mode


def test_the_file_is_flushed_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, atomic.Path.replace

    def flushed(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(self, target):
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(atomic.Path, "replace", renamed)
    write_atomically(tmp_path / "file.bin", b"new")
    assert order == ["file", "rename", "folder"]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_what_is_being_written_is_not_left_over(tmp_path):
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"half")
        remove_leftovers(tmp_path / "*.bin")
        file.write(b" and half")
    assert (tmp_path / "a.bin").read_bytes() == b"half and half"


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    for name in (".file.bin.12-ab.tmp", "file.bin", "other.tmp", ".file.txt.12-ab.tmp"):
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path / "file.bin")
    assert names(tmp_path) == [".file.txt.12-ab.tmp", "file.bin", "other.tmp"]
