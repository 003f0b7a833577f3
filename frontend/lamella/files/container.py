"""The zip archive of a `.keras` file: stored members, written to the byte the same, and read with every number checked.

References:
    PKWARE, .ZIP File Format Specification, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from lamella.errors import FormatError

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 65_535
_MOST_MEMBERS = 1000
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


def write(file: IO[bytes], members: Mapping[str, bytes]) -> None:
    """Write an archive of stored members, dated 1980-01-01, in their order."""
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            about.create_system, about.external_attr = 3, 0o600 << 16
            archive.writestr(about, data)


@dataclass(frozen=True)
class _Member:
    name: str
    start: int
    size: int
    crc: int


def read(data: bytes, where: str) -> dict[str, memoryview]:
    """The members of an archive by name, as views of `data`.

    Args:
        data: the whole file.
        where: the file's name, for messages.

    Raises:
        FormatError: the archive is damaged; a member is compressed, encrypted, appears twice or has a path that leaves the
            archive; sizes disagree with the file or with each other.
    """
    view = memoryview(data)
    found: dict[str, memoryview] = {}
    taken: list[tuple[int, int]] = []
    for member in _directory(view, where):
        place = f"{where}: member {member.name[:200]!r}"
        if member.name in found:
            raise FormatError(f"{place} appears twice in the archive.")
        content = view[member.start : member.start + member.size]
        if zlib.crc32(content) != member.crc:
            raise FormatError(f"{place} is damaged: its checksum does not fit.")
        taken.append((member.start, member.start + member.size))
        found[member.name] = content
    taken.sort()
    if any(stop > start for (_, stop), (start, _) in itertools.pairwise(taken)):
        raise FormatError(f"{where}: members of the archive overlap.")
    return found


def _directory(view: memoryview, where: str) -> list[_Member]:
    start, size, count = _end(view, where)
    if count > _MOST_MEMBERS:
        raise FormatError(f"{where}: an archive of {count:,} members; at most {_MOST_MEMBERS} are read.")
    members, place, stop = [], start, start + size
    for _ in range(count):
        if place + _CENTRAL.size > stop:
            raise FormatError(f"{where}: the archive's directory is cut short.")
        entry = _CENTRAL.unpack_from(view, place)
        if entry[0] != b"PK\x01\x02":
            raise FormatError(f"{where}: the archive's directory is damaged.")
        name_end = place + _CENTRAL.size + entry[10]
        extra_end = name_end + entry[11]
        following = extra_end + entry[12]
        if following > stop:
            raise FormatError(f"{where}: the archive's directory is cut short.")
        name = _name(bytes(view[place + _CENTRAL.size : name_end]), entry[3], where)
        members.append(_member(view, name, entry, bytes(view[name_end:extra_end]), start, where))
        place = following
    if place != stop:
        raise FormatError(f"{where}: the archive's directory has {stop - place} bytes too many.")
    return members


def _end(view: memoryview, where: str) -> tuple[int, int, int]:
    """Start and size of the directory, and its number of entries."""
    tail_start = max(0, len(view) - _END.size - _LONGEST_COMMENT)
    tail = bytes(view[tail_start:])
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            record = _END.unpack_from(tail, at)
            if at + _END.size + record[7] == len(tail):
                break
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        raise FormatError(f"{where}: no zip archive, or one that is cut short.")
    position = tail_start + at
    _, disk, first_disk, here, count, size, start, _ = _END.unpack_from(tail, at)
    if disk or first_disk or here != count:
        raise FormatError(f"{where}: the archive is one of several parts.")
    if count == _FULL16 or size == _FULL32 or start == _FULL32:
        position, size, start, count = _end64(view, position, where)
    if start + size != position:
        raise FormatError(f"{where}: the archive's directory is not where its end says.")
    return start, size, count


def _end64(view: memoryview, position: int, where: str) -> tuple[int, int, int, int]:
    at = position - _LOCATOR64.size
    locator = _LOCATOR64.unpack_from(view, at) if at >= 0 else (b"", 0, 0, 0)
    record_at = locator[2]
    if locator[0] != b"PK\x06\x07" or record_at + _END64.size > at:
        raise FormatError(f"{where}: the archive's end is damaged.")
    record = _END64.unpack_from(view, record_at)
    if record[0] != b"PK\x06\x06" or record[6] != record[7]:
        raise FormatError(f"{where}: the archive's end is damaged.")
    return record_at, record[8], record[9], record[7]


def _name(raw: bytes, flags: int, where: str) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise FormatError(f"{where}: a member's name is not readable: {raw[:80]!r}.") from None
    parts = name.removesuffix("/").split("/")
    if not name.isprintable() or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
        raise FormatError(f"{where}: a member's name leaves the archive: {name[:80]!r}.")
    return name


def _member(view: memoryview, name: str, entry: tuple[int, ...], extra: bytes, limit: int, where: str) -> _Member:
    place = f"{where}: member {name[:200]!r}"
    flags, method, crc, packed, size, header = entry[3], entry[4], entry[7], entry[8], entry[9], entry[16]
    if flags & _ENCRYPTED:
        raise FormatError(f"{place} is encrypted.")
    size, packed, header = _extended(extra, size, packed, header, place)
    if method != 0 or size != packed:
        raise FormatError(f"{place} is compressed; Keras and lamella store members as they are.")
    if (entry[15] >> 16) & 0o170000 == 0o120000:
        raise FormatError(f"{place} is a symbolic link.")
    if header + _LOCAL.size > limit:
        raise FormatError(f"{place} is outside of the file.")
    local = _LOCAL.unpack_from(view, header)
    start = header + _LOCAL.size + local[9] + local[10]
    own_name = bytes(view[header + _LOCAL.size : header + _LOCAL.size + local[9]])
    if local[0] != b"PK\x03\x04" or own_name != name.encode() or local[3] != method:
        raise FormatError(f"{place}: its header does not fit the directory.")
    if start + size > limit:
        raise FormatError(f"{place} says it has {size:,} bytes, which the file has not.")
    known = not flags & _DESCRIPTOR and local[8] != _FULL32
    if known and (local[7] != size or local[8] != size):
        raise FormatError(f"{place} says it has {local[8]:,} bytes, and {size:,} in the directory.")
    return _Member(name, start, size, crc)


def _extended(extra: bytes, size: int, packed: int, header: int, place: str) -> tuple[int, int, int]:
    """Sizes and offset, those that need 64 bits from the extra field."""
    if _FULL32 not in (size, packed, header):
        return size, packed, header
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = [v for (v,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8])]
            wide = []
            for value in (size, packed, header):
                if value == _FULL32 and values:
                    value = values.pop(0)
                wide.append(value)
            return wide[0], wide[1], wide[2]
        at += 4 + length
    raise FormatError(f"{place}: its size is missing.")
