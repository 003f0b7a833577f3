"""Zip and tar archives unpacked into a folder: nothing outside of it, no links, within limits, and whole or not at all."""

from __future__ import annotations

import glob
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from lamella.errors import FormatError
from lamella.files import atomic

FORMATS = ("tar", "zip")
MOST_MEMBERS = 500_000
SPARE_BYTES, BYTES_PER_BYTE = 2**28, 250
"""An archive unpacks to at most 250 times its size, and 256 MiB: texts unpack to ten times their size."""
_MOST_AT_ONCE = 2**22
"""Bytes that a header of a tar archive may ask for; extended ones give the length of the names that follow."""
_LONGEST_PATH, _LONGEST_NAME = 2000, 255
_CHUNK = 2**20
_LONGEST_TAIL = 64
"""Chunks after the last member of a tar archive, which are zeros."""
_COMPRESSED = _GZIP, _BZIP2, _XZ = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_HEAD = 262
"""Bytes of a tar archive up to the end of the word "ustar"."""
_OUTSIDE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")

# what the libraries raise over bytes that are not what they should be; gzip and bz2 raise an OSError without a number
_BROKEN = (EOFError, ValueError, LookupError, OverflowError, NotImplementedError, RuntimeError, RecursionError)
_BROKEN += (struct.error, zlib.error)


class _Member(NamedTuple):
    """A member: its path within the archive, its size, and how to read it; a folder has neither."""

    parts: tuple[str, ...]
    size: int
    file: IO[bytes] | None


def unpack(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    formats: Sequence[str] = FORMATS,
    *,
    again: bool = True,
) -> None:
    """Unpack a zip or tar archive, whose compression may be gzip, bzip2 or xz.

    Everything is unpacked beside `folder` first, and gets its place when all of it is there. Files that `folder` holds
    beside those of the archive stay. What a killed process left beside it is removed. Only folders and regular files are
    made, with the permissions of new files.

    Args:
        archive: the file.
        folder: where its members go; it need not exist.
        formats: which of "tar" and "zip" the file may be.
        again: whether files of the right size that are there already are also replaced; if not, and none is missing,
            nothing is written.

    Raises:
        FormatError: the file is no such archive, damaged or encrypted; a member's path leaves the folder, or it is a link or
            a device, or a file where `folder` has a folder, or the other way round; or there are more than 500,000 members,
            or more bytes than 256 MiB and 250 times the archive's size.
        OSError: the disk is full, or the folder is not writable. `folder` is as it was, as after a `FormatError`.
    """
    source, target = Path(archive), Path(os.path.realpath(folder))  # beside a link may be another disk
    if not again and target.is_dir():
        with _opened(source, formats) as members:
            if all(_is_there(target, member) for member in members):
                return
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_leftovers(glob.escape(str(target)))
    temporary = atomic.temporary_beside(target)
    new, old = temporary / "new", temporary / "old"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        temporary.mkdir()
        with suppress(OSError):  # not every file system has locks
            stack.enter_context(atomic.locked(temporary))
        for made in (new, old):
            made.mkdir()
        with _opened(source, formats) as members:
            for member in members:
                _write(new, member, source)
        _move(new, target, old, source)


def _is_there(folder: Path, member: _Member) -> bool:
    path = folder.joinpath(*member.parts)
    return path.is_dir() if member.file is None else path.is_file() and path.stat().st_size == member.size


def _write(folder: Path, member: _Member, source: Path) -> None:
    path = folder.joinpath(*member.parts)
    try:
        (path if member.file is None else path.parent).mkdir(parents=True, exist_ok=True)
        if member.file is None:
            return
        file = path.open("wb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise FormatError(f"{source}: {'/'.join(member.parts)[:200]!r} is a file and a folder.") from None
    with file:
        left = member.size
        while left and (chunk := member.file.read(min(left, _CHUNK))):
            left -= file.write(chunk)
        if left or member.file.read(1):
            raise FormatError(
                f"{source}: {'/'.join(member.parts)[:200]!r} has not the {member.size:,} bytes it claims."
            )


def _move(new: Path, target: Path, old: Path, source: Path) -> None:
    """Give the unpacked files their places: all at once, or one by one where the folder exists, or none.

    Args:
        new: the folder of the unpacked files.
        target: where they go.
        old: a folder for the files that they replace.
        source: the archive.
    """
    if not os.path.lexists(target):
        new.rename(target)
        return
    paths = [new, *sorted(new.rglob("*"))]
    places = [target / path.relative_to(new) for path in paths]
    for path, place in zip(paths, places, strict=True):
        if os.path.lexists(place) and path.is_dir() != place.is_dir():
            kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            raise FormatError(f"{source} has {kinds[0]} where {str(place)!r} is {kinds[1]}.")
    with ExitStack() as undo:
        for number, (path, place) in enumerate(zip(paths, places, strict=True)):
            if path.is_dir():
                if not place.exists():
                    place.mkdir()
                    undo.callback(place.rmdir)
                continue
            if os.path.lexists(place):
                kept = old / str(number)
                try:
                    os.link(place, kept)
                except OSError:  # not every file system has hard links
                    place.rename(kept)
                undo.callback(kept.replace, place)
            else:
                undo.callback(place.unlink, missing_ok=True)
            path.replace(place)
        undo.pop_all()


@contextmanager
def _opened(source: Path, formats: Sequence[str]) -> Iterator[Iterator[_Member]]:
    """The members of an archive, each of which can be read until the next is asked for."""
    import tarfile
    import zipfile

    broken = (*_BROKEN, tarfile.TarError, zipfile.BadZipFile)
    with suppress(ImportError):  # not every Python has it
        import lzma

        broken += (lzma.LZMAError,)
    try:
        with source.open("rb") as file:
            limit = SPARE_BYTES + BYTES_PER_BYTE * source.stat().st_size
            start = file.read(_HEAD)
            file.seek(0)
            # a tar archive may end with a zip archive
            as_tar = "tar" in formats and (start.startswith(_COMPRESSED) or start[_HEAD - 5 :] == b"ustar")
            if "zip" in formats and not as_tar and zipfile.is_zipfile(file):
                yield _bounded(_zip_members(file), limit, source)
            elif "tar" in formats:
                file.seek(0)
                yield _bounded(_tar_members(file, start), limit, source)
            else:
                raise FormatError(f"{source} is not a zip archive.")
    except FormatError:
        raise
    except (*broken, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        kind = " or ".join(formats)
        raise FormatError(f"{source} is not a {kind} archive, or it is damaged or cut short ({error}).") from None


def _bounded(members: Iterator[tuple[str, int, str, Any]], limit: int, source: Path) -> Iterator[_Member]:
    """The members, where none leaves the folder and all of them together stay within the limits."""
    total = 0
    for count, (name, size, kind, opened) in enumerate(members, start=1):
        parts = tuple(part for part in re.split(r"[/\\]" if os.name == "nt" else "/", name) if part not in ("", "."))
        place = f"{source}: {name[:200]!r}"
        total += size
        if count > MOST_MEMBERS:
            raise FormatError(f"{source} has more than {MOST_MEMBERS:,} members.")
        if _OUTSIDE.match(name) or ".." in re.split(r"[/\\]", name) or not name or "\0" in name:
            raise FormatError(f"{place} is a path outside of the archive.")
        if len(name) > _LONGEST_PATH or any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in parts):
            raise FormatError(f"{place} is a name that is too long for a file.")
        if kind:
            raise FormatError(f"{place} is {kind}; only files and folders are unpacked.")
        if size < 0 or total > limit:
            raise FormatError(f"{source} unpacks to more than {limit:,} bytes.")
        if parts:
            yield _Member(parts, size, opened and opened())
        elif opened:
            raise FormatError(f"{place} is not the name of a file.")


def _zip_members(file: IO[bytes]) -> Iterator[tuple[str, int, str, Any]]:
    import stat
    import zipfile

    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = "a link or a device" if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR) else ""
            kind = "encrypted" if info.flag_bits & 1 else kind
            opened = None if info.is_dir() else lambda info=info: archive.open(info)
            yield info.filename, info.file_size, kind, opened


def _tar_members(file: IO[bytes], start: bytes) -> Iterator[tuple[str, int, str, Any]]:
    import tarfile

    plain: Any = file
    if start.startswith(_GZIP):
        import gzip

        plain = gzip.GzipFile(fileobj=file)
    elif start.startswith(_BZIP2):
        import bz2

        plain = bz2.BZ2File(file)
    elif start.startswith(_XZ):
        import lzma

        plain = lzma.LZMAFile(file)
    with plain, tarfile.open(fileobj=_Plain(plain), mode="r:") as archive:  # type: ignore[arg-type]
        while (info := archive.next()) is not None:
            kind = "" if info.isreg() or info.isdir() else "a link or a device"
            opened = None if info.isdir() else lambda info=info: archive.extractfile(info)
            yield info.name, 0 if info.isdir() else info.size, kind, opened
        for _ in range(_LONGEST_TAIL):  # at the end of the file its checksum is compared
            if not plain.read(_CHUNK):
                return
        raise ValueError("there is data after its end")


class _Plain:
    """A file for `tarfile`, without compression, of which no header can ask for more than a few megabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if not 0 <= size <= _MOST_AT_ONCE:
            raise ValueError(f"a header claims {size:,} bytes")
        return self.file.read(size)
