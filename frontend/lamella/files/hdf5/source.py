"""The bytes of a file, with bounds: nothing outside them is read, and nothing in them is read more often than once.

Two rules keep a hostile file harmless, whatever its structures say. What the structures claim (headers, nodes, blocks,
datasets) may add up to the file's length and no more: the parts of a file never overlap, so a sound file stays below it,
while a file that uses its bytes twice, or runs in a circle, is refused before it has cost more than its own length. And
what becomes a Python object, which is larger than its bytes, is counted.

Checksums are not compared. The author of a hostile file makes its checksums too, and datasets have none.
"""

from __future__ import annotations

from lamella.errors import FormatError

UNDEFINED = (1 << 64) - 1  # an address that points nowhere
MAX_THINGS = 65_536  # objects, attributes and strings; a Keras file has about ten per layer
MAX_TEXT = 8 << 20  # bytes of names and of strings in attributes, all together; JSON of 1,000 layers is 1 MB
MAX_DEPTH = 64  # groups inside groups


class Source:
    """A file's bytes, the place being read (for messages), and what may still be claimed."""

    def __init__(self, buffer: bytes | memoryview, name: str):
        self.data = memoryview(buffer).cast("B")
        self.name = name
        self.where = ""
        self._unclaimed = len(self.data)
        self._things = MAX_THINGS
        self._text = MAX_TEXT

    def fault(self, text: str, where: str | None = None) -> FormatError:
        """The error that says `text` of the place being read."""
        where = self.where if where is None else where
        return FormatError(f"{self.name}: {where or 'the root group'!s}: {text}")

    def limit(self, end: int) -> None:
        """The file ends at `end`, says its superblock; what follows is not looked at."""
        if not 0 < end <= len(self.data):
            raise self.fault(f"the file should have {end} bytes and has {len(self.data)}: it is cut short")
        self.data = self.data[:end]

    def check(self, offset: int, size: int, what: str) -> None:
        """Refuse `size` bytes at `offset` that are not in the file."""
        if offset + size > len(self.data):
            raise self.fault(f"{what} of {size} bytes at {offset} is outside the file's {len(self.data)} bytes")

    def claim(self, offset: int, size: int, what: str) -> None:
        """Take `size` bytes at `offset` for one purpose."""
        self.check(offset, size, what)
        self._unclaimed -= size
        if self._unclaimed < 0:
            raise self.fault(f"{what} at {offset} uses bytes that something else uses: parts of a file do not overlap")

    def cursor(self, offset: int, size: int, what: str, signature: bytes = b"") -> Cursor:
        """A cursor over `size` claimed bytes, which begin with `signature`."""
        self.claim(offset, size, what)
        cursor = Cursor(self, self.data[offset : offset + size], what)
        if signature and cursor.take(len(signature)) != signature:
            raise self.fault(f"no {what} at {offset}: {signature.decode()} is missing")
        return cursor

    def count(self, things: int = 1) -> None:
        """Note that so many objects, attributes or strings are about to be made."""
        self._things -= things
        if self._things < 0:
            raise self.fault(f"the file holds more than {MAX_THINGS} objects, attributes and strings")

    def text(self, raw: memoryview | bytes, what: str) -> str:
        """UTF-8 bytes as a string."""
        self._text -= len(raw)
        if self._text < 0:
            raise self.fault(f"{what}: names and attributes of the file hold more than {MAX_TEXT} bytes of text")
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError:
            raise self.fault(f"{what} is not UTF-8") from None

    def link_name(self, raw: memoryview | bytes) -> str:
        """The name of a member: one part of a path."""
        name = self.text(raw, "the name of a member")
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise self.fault(f"a member may not be called {name[:80]!r}")
        return name


class Cursor:
    """Reads little-endian fields one after the other, inside its own bytes."""

    __slots__ = ("at", "data", "source", "what")

    def __init__(self, source: Source, data: memoryview, what: str):
        self.source = source
        self.data = data
        self.what = what
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.data) - self.at

    def take(self, size: int) -> memoryview:
        """The next `size` bytes."""
        end = self.at + size
        if end > len(self.data):
            raise self.source.fault(f"{self.what} ends early: {size} more bytes expected, {self.left} left")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def uint(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def address(self) -> int | None:
        """An address of 8 bytes; None where it points nowhere."""
        found = self.uint(8)
        return None if found == UNDEFINED else found

    def part(self, size: int, what: str) -> Cursor:
        """A cursor over the next `size` bytes."""
        return Cursor(self.source, self.take(size), what)

    def version(self, *known: int) -> int:
        """A version number of one byte, one of `known`."""
        found = self.uint(1)
        if found not in known:
            raise self.source.fault(f"{self.what} has version {found}; {' and '.join(map(str, known))} are read")
        return found
