"""Archives of strangers: what is unpacked stays in its folder, within limits, and is whole or not there."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from lamella.errors import FormatError
from lamella.files import archives, atomic


def tar(*members, mode="w:gz", **options):
    """A tar archive of (name, data), or of members as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            about = tarfile.TarInfo(member[0])
            about.size = len(member[1])
            file.addfile(about, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name, kind, target=""):
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, target
    return about


def zipped(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def zip_link():
    about = zipfile.ZipInfo("a")
    about.create_system, about.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return zipped((about, "/etc/passwd"))


def encrypted():
    data = bytearray(zipped(("a", b"hello")))
    data[6] |= 1  # in the header of the member
    data[data.index(b"PK\x01\x02") + 8] |= 1  # in the directory
    return bytes(data)


def claiming(size):
    """A tar archive whose extended header claims so many bytes, in a file that has far less."""
    head = special("x", tarfile.XHDTYPE)
    head.size = size
    return head.tobuf(tarfile.USTAR_FORMAT) + bytes(10240)


X = ("a", b"x" * 1000)
HOSTILE = {
    "a path upwards": (tar(X, ("../b", b"1")), r"'\.\./b' is a path outside of the archive"),
    "a path upwards within": (tar(X, ("c/../../b", b"1")), "is a path outside"),
    "an absolute path": (tar(X, ("/elsewhere/b", b"1")), "'/elsewhere/b' is a path outside"),
    "a drive": (zipped(X, ("C:/b", b"1")), "is a path outside"),
    "backslashes": (tar(X, ("..\\b", b"1")), "is a path outside"),
    "a zip path upwards": (zipped(X, ("../b", b"1")), "is a path outside"),
    "a symbolic link outwards": (
        tar(special("a", tarfile.SYMTYPE, "/etc"), ("a/b", b"1")),
        "'a' is a link or a device",
    ),
    "a symbolic link inwards": (tar(X, special("b", tarfile.SYMTYPE, "a")), "'b' is a link or a device"),
    "a hard link": (tar(X, special("b", tarfile.LNKTYPE, "/etc/passwd")), "'b' is a link or a device"),
    "a device": (tar(X, special("b", tarfile.CHRTYPE)), "'b' is a link or a device"),
    "a pipe": (tar(X, special("b", tarfile.FIFOTYPE)), "'b' is a link or a device"),
    "a link in a zip": (zip_link(), "'a' is a link or a device"),
    "a folder in the place of a file": (tar(X, ("a/b", b"1")), "'a/b' is a file and a folder"),
    "a file in the place of a folder": (tar(("a/b", b"1"), X), "'a' is a file and a folder"),
    "a long name": (tar(X, ("n" * 300, b"1")), "is a name that is too long"),
    "a long path": (tar(X, ("d/" * 2000, b"1")), "is a name that is too long"),
    "encrypted": (encrypted(), "'a' is encrypted"),
    "cut short": (tar(X, mode="w")[:700], r"damaged or cut short \(unexpected end of data\)"),
    "compressed and cut short": (tar(X)[:-20], "damaged or cut short"),
    "a flipped byte": (tar(X)[:-6] + b"\1" + tar(X)[-5:], "damaged or cut short"),
    "a zip with a flipped byte": (zipped(X).replace(b"PK\x01\x02", b"PK\x01\x03"), "damaged or cut short"),
    "a long tail": (gzip.compress(tar(X, mode="w") + bytes(2**27), 1), "there is data after its end"),
    "a header of gigabytes": (claiming(2**33 - 1), "a header claims"),
    "nothing": (b"", "not a tar or zip archive"),
    "a text": (b"<html>404</html>" * 100, "not a tar or zip archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused_and_leaves_nothing(name, tmp_path):
    data, told = HOSTILE[name]
    source = tmp_path / "in" / "archive"
    source.parent.mkdir()
    source.write_bytes(data)
    with pytest.raises(FormatError, match=told) as caught:
        archives.unpack(source, tmp_path / "out" / "folder")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_folder_that_was_there_stays_as_it_was(tmp_path):
    source, folder = tmp_path / "archive", tmp_path / "folder"
    source.write_bytes(tar(X, ("../b", b"1")))
    folder.mkdir()
    (folder / "a").write_text("mine")
    with pytest.raises(FormatError):
        archives.unpack(source, folder)
    assert (folder / "a").read_text() == "mine"


@pytest.mark.parametrize("members", [[("a", "new"), ("b", "new")], [("a", "new"), ("b/c/d", "new")], "target"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_any_is_moved(members, tmp_path):
    source, folder = tmp_path / "archive", tmp_path / "folder"
    if members == "target":
        folder.write_text("mine")
        members = [("a", "new")]
    else:
        (folder / "b").mkdir(parents=True)
        (folder / "a").write_text("mine")
        (folder / "b" / "c").write_text("mine")
    source.write_bytes(zipped(*members))
    before = {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(FormatError, match=r"archive has a (file|folder) where '.*' is a (file|folder)\.$"):
        archives.unpack(source, folder)
    assert {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("links", [True, False])
def test_a_move_that_fails_is_undone(links, tmp_path, monkeypatch):
    source, folder = tmp_path / "archive", tmp_path / "folder"
    source.write_bytes(zipped(("a", "new"), ("b/c", "new"), ("d", "new")))
    folder.mkdir()
    for name in "ad":
        (folder / name).write_text("mine")
    replace = Path.replace

    def full(path, place):
        if place == folder / "d" and path.parent.name == "new":
            raise OSError(errno.ENOSPC, "no space left")
        return replace(path, place)

    monkeypatch.setattr(Path, "replace", full)
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (tmp_path / "absent").stat())
    with pytest.raises(OSError, match="no space left"):
        archives.unpack(source, folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "archive", "d", "folder"]
    assert {(folder / name).read_text() for name in "ad"} == {"mine"}
    monkeypatch.undo()
    archives.unpack(source, folder)
    assert {(folder / name).read_text() for name in ("a", "b/c", "d")} == {"new"}


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened there")
def test_folders_of_killed_processes_are_removed(tmp_path):
    source = tmp_path / "archive"
    source.write_bytes(zipped(("a", "1")))
    for name in (".f[1].12-ab.tmp", ".f[1].13-ab.tmp", ".f1.12-ab.tmp"):
        (tmp_path / name / "new").mkdir(parents=True)
    with atomic.locked(tmp_path / ".f[1].13-ab.tmp"):
        archives.unpack(source, tmp_path / "f[1]")
    left = [".f1.12-ab.tmp", ".f[1].13-ab.tmp", "archive", "f[1]"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


@pytest.mark.parametrize("make", [tar, zipped])
def test_limits_of_size_and_number(make, tmp_path, monkeypatch):
    source = tmp_path / "archive"
    source.write_bytes(make(("a", bytes(2**20)), ("b", bytes(2**20))))
    monkeypatch.setattr(archives, "SPARE_BYTES", 2**20)
    monkeypatch.setattr(archives, "BYTES_PER_BYTE", 1)
    with pytest.raises(FormatError, match=r"unpacks to more than 1,\d+,\d+ bytes"):
        archives.unpack(source, tmp_path / "folder")
    monkeypatch.setattr(archives, "SPARE_BYTES", 2**28)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    with pytest.raises(FormatError, match="has more than 1 members"):
        archives.unpack(source, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_members_are_of_their_own_folder_only(tmp_path):
    """Dots, listed folders, names in UTF-8 and old and new tar headers; a zip archive last in a tar archive."""
    source = tmp_path / "archive"
    folder = special("./", tarfile.DIRTYPE)
    for number, form in enumerate((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        inner = zipped(("never", b"1"))
        long = "b" * (90 if form == tarfile.USTAR_FORMAT else 120)
        source.write_bytes(tar(folder, ("./a/./é.txt", b"1"), (long, inner), mode="w", format=form))
        archives.unpack(source, tmp_path / str(number))
        found = sorted(
            path.relative_to(tmp_path / str(number)).as_posix() for path in (tmp_path / str(number)).rglob("*")
        )
        assert found == ["a", "a/é.txt", long]
    with pytest.raises(FormatError, match="is not a zip archive"):
        source.write_bytes(tar(X))
        archives.unpack(source, tmp_path / "z", ("zip",))
    with pytest.raises(FormatError, match="is not a tar archive"):
        source.write_bytes(zipped(X))
        archives.unpack(source, tmp_path / "z", ("tar",))


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_are_those_of_new_files(tmp_path):
    about = tarfile.TarInfo("a")
    about.mode = 0o6777
    (tmp_path / "archive").write_bytes(tar(about))
    archives.unpack(tmp_path / "archive", tmp_path / "folder")
    assert not (tmp_path / "folder" / "a").stat().st_mode & 0o6111
