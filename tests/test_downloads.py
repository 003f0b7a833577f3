"""`utils.get_file`: what comes over the network is whole, has the right hash and the right place, or is not there."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from lamella.errors import ArgumentError, DownloadError, FormatError
from lamella.utils import downloads, get_file
from loopback import serving

DATA = bytes(range(256)) * 1000
SHA256, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    """Downloads go to a folder of the test, at once and past any proxy."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloads, "_PAUSE", 0.0)


@pytest.fixture
def server():
    with serving(files={"data.bin": DATA}) as running:
        yield running


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "datasets").glob("*"))


def test_a_file_is_downloaded_once(server, tmp_path, capsys):
    path = get_file("a.bin", server.address("data.bin"))
    assert path == str(tmp_path / "cache" / "datasets" / "a.bin")
    assert Path(path).read_bytes() == DATA
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"Downloading data from {server.address('data.bin')}"
    assert len(told) == 2
    assert told[1].startswith("250.00 KB - ")
    assert get_file("a.bin", server.address("data.bin")) == path
    assert len(server.asked) == 1
    assert kept(tmp_path) == ["a.bin"]
    get_file("a.bin", server.address("data.bin"), force_download=True)
    assert len(server.asked) == 2


def test_names_and_folders_are_those_of_keras(server, tmp_path, monkeypatch):
    address = server.address("data.bin")
    assert get_file(origin=f"{address}?x=1") == str(tmp_path / "cache/datasets/data.bin")
    assert get_file(Path("b"), address, cache_subdir="models") == str(tmp_path / "cache/models/b")
    assert get_file("b", address, cache_subdir=str(tmp_path / "x")) == str(tmp_path / "x/b")
    assert get_file("b", address, cache_dir=tmp_path / "new" / "er") == str(tmp_path / "new/er/datasets/b")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert get_file("b", address) == str(tmp_path / "home/.keras/datasets/b")


def test_what_cannot_be_written_to_is_replaced(server, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "_is_writable", lambda folder: False)
    monkeypatch.setattr(downloads.tempfile, "gettempdir", lambda: str(tmp_path / "spare"))
    assert get_file("b", server.address("data.bin")) == str(tmp_path / "spare/.keras/datasets/b")
    (tmp_path / ".keras/datasets").mkdir(parents=True)
    (tmp_path / ".keras/datasets/b").write_bytes(b"read only")
    assert get_file("b", server.address("data.bin")) == str(tmp_path / ".keras/datasets/b")
    monkeypatch.setattr(downloads.os, "getuid", lambda: -1)
    with pytest.raises(ArgumentError, match=r"belongs to another user; give cache_dir="):
        get_file("c", server.address("data.bin"))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"file_hash": SHA256},
        {"file_hash": SHA256.upper(), "hash_algorithm": "sha256"},
        {"file_hash": MD5},
        {"file_hash": MD5, "hash_algorithm": "md5"},
        {"md5_hash": MD5},
    ],
)
def test_the_right_hash_passes(kwargs, server):
    assert Path(get_file("a", server.address("data.bin"), **kwargs)).read_bytes() == DATA


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(FormatError, match=rf"has the sha256 {SHA256}, expected 0{{64}}; the file is damaged"):
        get_file("a", server.address("data.bin"), file_hash="0" * 64)
    assert kept(tmp_path) == []


def test_a_file_of_another_hash_is_replaced(server, tmp_path, capsys):
    folder = tmp_path / "cache" / "datasets"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"old")
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == b"old"
    with pytest.raises(DownloadError, match="404"):
        get_file("a", server.address("missing"), file_hash=SHA256)
    assert (folder / "a").read_bytes() == b"old"
    assert "it is downloaded again." in capsys.readouterr().out
    assert Path(get_file("a", server.address("data.bin"), file_hash=SHA256)).read_bytes() == DATA


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"origin": None}, "origin must be the address of the file, got None"),
        ({"origin": "/etc/passwd"}, "origin must be an address of https, http, ftp, file"),
        ({"origin": "data:,x"}, "origin must be an address of"),
        ({"fname": None, "origin": "http://host/"}, "give fname="),
        ({"fname": "../a"}, r"without folders \(cache_dir= names one\), got '../a'"),
        ({"fname": ".."}, "got '..'"),
        ({"file_hash": "12"}, r"64 \(sha256\) or 32 \(md5\) hexadecimal digits, got '12'"),
        ({"file_hash": SHA256, "hash_algorithm": "md5"}, r"32 \(md5\) hexadecimal digits"),
        ({"hash_algorithm": "sha257"}, "did you mean 'sha256'"),
        ({"extract": True, "archive_format": "rar"}, "archive_format must be 'auto', 'tar', 'zip'"),
        ({"extract": True, "archive_format": None}, "archive_format must be"),
    ],
)
def test_what_means_nothing_is_refused_before_any_work(kwargs, told, server, tmp_path):
    with pytest.raises(ArgumentError, match=told):
        get_file(**{"fname": "a", "origin": server.address("data.bin"), **kwargs})
    assert not server.asked
    assert not (tmp_path / "cache").exists()


def test_a_folder_in_the_place_of_the_file_is_told(server, tmp_path):
    (tmp_path / "cache/datasets/a").mkdir(parents=True)
    with pytest.raises(ArgumentError, match="is a folder"):
        get_file("a", server.address("data.bin"))


def test_without_a_network_the_message_says_where_to_put_the_file(tmp_path):
    with serving() as gone:
        address = gone.address("data.bin")
    with pytest.raises(DownloadError) as caught:
        get_file("a", address)
    place = tmp_path / "cache/datasets/a"
    assert str(caught.value).startswith(f"{address} could not be downloaded (")
    assert str(caught.value).endswith(f": try again, or get the file by another way and put it at {str(place)!r}.")
    assert isinstance(caught.value, OSError)
    assert kept(tmp_path) == []


def test_the_server_refuses(server, tmp_path):
    with pytest.raises(DownloadError, match=r"the server answers 404 Not Found\): try again"):
        get_file("a", server.address("missing"))
    assert len(server.asked) == 1
    assert kept(tmp_path) == []


def test_a_redirect_is_followed_but_not_to_a_file(server, tmp_path):
    server.redirects = {"moved": "/data.bin", "inside": "file:///etc/passwd"}
    assert Path(get_file("a", server.address("moved"))).read_bytes() == DATA
    with pytest.raises(DownloadError, match="302"):
        get_file("b", server.address("inside"))
    assert kept(tmp_path) == ["a"]


def test_a_transfer_that_breaks_off_is_continued(server):
    server.cut = [100_000, 50_000]
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == DATA
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert server.asked[1]["If-Range"] == '"1"'


def test_the_next_call_continues(server, tmp_path):
    server.cut = [100_000, 0]
    with pytest.raises(DownloadError, match=r"100,000 of 256,000 bytes came"):
        get_file("a", server.address("data.bin"))
    (part,) = kept(tmp_path)
    assert part.startswith(".a.")
    assert part.endswith(".part")
    assert Path(get_file("a", server.address("data.bin"), file_hash=SHA256)).read_bytes() == DATA
    assert server.asked[-1]["Range"] == "bytes=100000-"
    assert kept(tmp_path) == ["a"]


def test_a_file_that_has_changed_begins_anew(server, tmp_path):
    server.cut = [100_000, 0]
    with pytest.raises(DownloadError):
        get_file("a", server.address("data.bin"))
    server.version, server.files["data.bin"] = '"2"', DATA[::-1]
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == DATA[::-1]
    assert "Range" not in server.asked[-1]
    assert kept(tmp_path) == ["a"]


def test_a_part_of_another_file_is_dropped(server, tmp_path):
    """The server says that nothing has changed, and the hash tells."""
    server.cut = [100_000, 0]
    with pytest.raises(DownloadError):
        get_file("a", server.address("data.bin"))
    (part,) = (tmp_path / "cache/datasets").iterdir()
    part.write_bytes(b"x" * 100_000)
    with pytest.raises(FormatError, match=f"expected {'0' * 64}"):
        get_file("a", server.address("data.bin"), file_hash="0" * 64)
    assert kept(tmp_path) == []
    part.write_bytes(b"x" * 100_000)
    assert Path(get_file("a", server.address("data.bin"), file_hash=SHA256)).read_bytes() == DATA
    assert kept(tmp_path) == ["a"]


@pytest.mark.parametrize("version", ['"1"', ""])
def test_a_server_without_ranges_sends_all_of_it(version, server):
    server.ranges, server.cut, server.version = False, [100_000], version
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == DATA
    assert len(server.asked) == 2


def test_a_part_that_the_server_does_not_have_begins_anew(server):
    server.cut = [100_000]
    asked, whole = server.asked, DATA

    class Shrinking(list):
        def append(self, item):
            super().append(item)
            if len(self) == 2:
                server.files["data.bin"] = whole[:1000]

    server.asked = Shrinking(asked)
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == DATA[:1000]


def test_a_body_that_is_cut_short_each_time_is_refused(server, tmp_path):
    server.ranges, server.version, server.cut = False, "", [1000, 0]
    with pytest.raises(DownloadError, match="0 of 256,000 bytes came"):
        get_file("a", server.address("data.bin"))
    assert kept(tmp_path) == []


def test_a_file_of_unknown_length(server, capsys):
    server.announce = False
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == DATA
    assert "250.00 KB" in capsys.readouterr().out


def test_a_user_who_stops_it_loses_nothing(server, tmp_path, monkeypatch):
    def stop(self, step, logs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads.Transfer, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            get_file("a", server.address("data.bin"))
    assert len(kept(tmp_path)) == 1
    assert Path(get_file("a", server.address("data.bin"))).read_bytes() == DATA
    assert "Range" in server.asked[-1]


def test_what_a_killed_process_has_left_is_removed(server, tmp_path):
    folder = tmp_path / "cache/datasets"
    folder.mkdir(parents=True)
    (folder / ".a.123-0badcafe.tmp").write_bytes(b"half")
    get_file("a", server.address("data.bin"))
    assert kept(tmp_path) == ["a"]


def test_a_disk_that_is_full_is_not_the_networks_fault(server, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        get_file("a", server.address("data.bin"))
    assert not isinstance(caught.value, DownloadError)
    assert not (tmp_path / "cache/datasets/a").exists()


def archive(kind, members):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)
    else:
        with tarfile.open(fileobj=buffer, mode=kind) as file:
            for name, data in members.items():
                about = tarfile.TarInfo(name)
                about.size = len(data)
                file.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


MEMBERS = {"top/a.txt": b"hello", "top/b/c.bin": DATA}


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_archives_are_unpacked(kind, server, tmp_path):
    server.files["all.tgz"] = archive(kind, MEMBERS)
    folder = get_file(origin=server.address("all.tgz"), extract=True)
    assert folder == str(tmp_path / "cache/datasets/all.tgz")
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }
    assert found == MEMBERS
    assert kept(tmp_path) == ["all.tgz", "all.tgz_archive"]


def test_folders_of_archives_are_named_as_in_keras(server, tmp_path):
    server.files["all.tar.gz"] = archive("w:gz", MEMBERS)
    address = server.address("all.tar.gz")
    assert get_file("all.tar.gz", address, extract=True) == str(tmp_path / "cache/datasets/all_extracted")
    assert get_file("other", address, untar=True) == str(tmp_path / "cache/datasets/other")
    assert kept(tmp_path) == ["all.tar.gz", "all_extracted", "other", "other_archive"]


def test_what_is_unpacked_is_unpacked_again_where_it_misses_something(server, tmp_path):
    server.files["all"] = archive("w:gz", MEMBERS)
    folder = Path(get_file("x", server.address("all"), extract=True))
    (folder / "mine.txt").write_text("mine")
    (folder / "top/a.txt").unlink()
    before = (folder / "top/b/c.bin").stat().st_mtime_ns
    get_file("x", server.address("all"), extract=True)
    assert (folder / "top/a.txt").read_bytes() == b"hello"
    assert (folder / "mine.txt").read_text() == "mine"
    again = (folder / "top/b/c.bin").stat().st_mtime_ns
    get_file("x", server.address("all"), extract=True)
    assert (folder / "top/b/c.bin").stat().st_mtime_ns == again >= before
    assert len(server.asked) == 1
    server.files["all"] = archive("w:gz", {"top/a.txt": b"HELLO"})
    get_file("x", server.address("all"), extract=True, force_download=True)
    assert (folder / "top/a.txt").read_bytes() == b"HELLO"


def test_an_archive_that_is_none_leaves_no_folder(server, tmp_path):
    with pytest.raises(FormatError, match="is not a tar or zip archive, or it is damaged"):
        get_file("x", server.address("data.bin"), extract=True)
    assert kept(tmp_path) == ["x_archive"]


def test_a_file_on_this_machine(tmp_path):
    (tmp_path / "here.txt").write_bytes(b"hello")
    assert Path(get_file(origin=(tmp_path / "here.txt").as_uri())).read_bytes() == b"hello"
    with pytest.raises(DownloadError, match="could not be downloaded"):
        get_file(origin=(tmp_path / "gone.txt").as_uri())
