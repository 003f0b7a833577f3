"""`get_file`: download a file to the folder in which Keras caches downloads."""

from __future__ import annotations

import glob
import hashlib
import http.client
import os
import re
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from lamella.console import Transfer, say
from lamella.errors import ArgumentError, DownloadError, FormatError, did_you_mean
from lamella.files import archives
from lamella.files.atomic import lock, remove_leftovers, temporary_beside

_SCHEMES = ("https", "http", "ftp", "file")
_DIGITS = {"sha256": 64, "md5": 32}
_SECONDS = 60.0
"""The timeout of the server in seconds."""
_ATTEMPTS, _PAUSE = 5, 1.0
"""The number of attempts if a transfer is interrupted, and the pause between them in seconds."""
_CHUNK = 2**16
_FAILURES = (OSError, http.client.HTTPException)
_PARTIAL, _NOT_SATISFIABLE = 206, 416


class _Hash(NamedTuple):
    """The hash that a file must have."""

    algorithm: str
    value: str

    def of(self, path: Path) -> str:
        """The hash of a file."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(self.algorithm, usedforsecurity=False)).hexdigest()


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Download a file unless it is cached, and return its path.

    The file is written under a temporary name and renamed when it is complete and has the expected hash. An interrupted
    transfer is resumed, also by a later call, if the server can send a part of a file. Downloads are untrusted data:
    pass their hash if you know it.

    Args:
        fname: the name of the file in the cache; by default the last part of the address. With `extract=True` a name
            without a dot is that of the folder.
        origin: the address; the scheme is `https`, `http`, `ftp` or `file`.
        untar: deprecated; True is `extract=True, archive_format="tar"`.
        md5_hash: deprecated; the same as `file_hash`.
        file_hash: the SHA-256 or MD5 hash of the file, in hexadecimal digits. A cached file with another hash is
            downloaded again.
        cache_subdir: the folder within `cache_dir`; an absolute path is used as it is.
        hash_algorithm: "sha256", "md5" or "auto", which infers it from the number of digits.
        extract: whether to unpack the file, a zip or tar archive (also `.tar.gz`, `.tar.bz2`, `.tar.xz`), into a
            folder. No member of the archive may be a link or have a path outside of the folder.
        archive_format: "tar", "zip", a list of them, or "auto" for both.
        cache_dir: the cache; by default the folder in the environment variable KERAS_HOME, otherwise `~/.keras`, or
            `.keras` in the folder for temporary files if that is not writable. It is created if it does not exist.
        force_download: whether to download a file that is cached.

    Returns:
        The path of the file, or with `extract=True` of the folder with its content.

    Raises:
        ArgumentError: an argument is invalid; raised before anything is downloaded.
        DownloadError: there is no network, the server does not have the file, or it does not answer.
        FormatError: the file has another hash, or the archive is damaged, too large or unsafe to unpack. No file or
            folder is left behind.
        OSError: the cache cannot be written, or the disk is full.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     text = pathlib.Path(folder, "a.txt")
        ...     _ = text.write_text("hello")
        ...     path = get_file("b.txt", text.as_uri(), cache_dir=folder)  # doctest: +ELLIPSIS
        ...     pathlib.Path(path).relative_to(folder).as_posix()
        Downloading data from file://...
        5.00 B - ...
        'datasets/b.txt'
    """
    formats = _formats("tar" if untar else archive_format) if extract or untar else ()
    expected = _expected(file_hash, hash_algorithm) or _expected(md5_hash, "md5")
    name = _name(fname, origin)
    target_name, folder_name = name, None
    if formats:
        named = fname is not None and "." in name
        target_name = name if named else f"{name}_archive"
        folder_name = f"{name.partition('.')[0]}_extracted" if named else name
    cache = _cache(cache_dir, cache_subdir, target_name)
    target = cache / target_name
    wanted = force_download or not _is_sound(target, expected)
    if wanted:
        _Download(str(origin), target, expected).run()
    if folder_name is None:
        return str(target)
    archives.unpack(target, cache / folder_name, formats, again=wanted)
    return str(cache / folder_name)


def _formats(given: Any) -> tuple[str, ...]:
    formats = archives.FORMATS if given == "auto" else (given,) if isinstance(given, str) else tuple(given or ())
    if not formats or set(formats) - set(archives.FORMATS):
        raise ArgumentError(f"archive_format must be 'auto', 'tar', 'zip' or a list of them to unpack, got {given!r}.")
    return formats


def _expected(value: str | None, algorithm: str) -> _Hash | None:
    if algorithm not in ("auto", *_DIGITS):
        raise ArgumentError(f"Unknown hash_algorithm {algorithm!r}: {did_you_mean(algorithm, ['auto', *_DIGITS])}")
    if value is None:
        return None
    text = str(value).strip().lower()
    fitting = [name for name, digits in _DIGITS.items() if algorithm in ("auto", name) and len(text) == digits]
    if not fitting or not re.fullmatch("[0-9a-f]+", text):
        lengths = " or ".join(f"{_DIGITS[name]} ({name})" for name in _DIGITS if algorithm in ("auto", name))
        raise ArgumentError(f"file_hash must have {lengths} hexadecimal digits, got {value!r}.")
    return _Hash(fitting[0], text)


def _name(fname: str | os.PathLike[str] | None, origin: Any) -> str:
    """The name of the file; also checks the address."""
    if not isinstance(origin, str):
        raise ArgumentError(f"origin must be the address of the file, got {origin!r}.")
    address = urllib.parse.urlsplit(origin)
    if address.scheme not in _SCHEMES:
        raise ArgumentError(f"origin must be an address of {', '.join(_SCHEMES)}, got {origin!r}.")
    name = os.path.basename(address.path) if fname is None or not os.fspath(fname) else os.fspath(fname)  # noqa: PTH119
    if not name:
        raise ArgumentError(f"the address {origin!r} does not end with the name of a file: give fname=.")
    if name in (".", "..") or {"/", "\0", os.sep, os.altsep} & set(name):
        raise ArgumentError(f"fname must be the name of a file, without folders (cache_dir= names one), got {name!r}.")
    return name


def _cache(cache_dir: str | os.PathLike[str] | None, subfolder: str, name: str) -> Path:
    """The folder of the file."""
    given = os.environ.get("KERAS_HOME") or None if cache_dir is None else cache_dir
    home = Path("~/.keras" if given is None else given)
    with suppress(RuntimeError):  # there is no home
        home = home.expanduser()
    if given is not None or os.access(home / subfolder / name, os.R_OK) or _is_writable(home / subfolder):
        return home / subfolder
    spare = Path(tempfile.gettempdir()) / ".keras"
    if spare.exists() and hasattr(os, "getuid") and spare.stat().st_uid != os.getuid():
        raise ArgumentError(
            f"there is no folder for downloads: {str(home)!r} cannot be written to, and {str(spare)!r} belongs to another "
            "user; give cache_dir=, or set the environment variable KERAS_HOME."
        )
    return spare / subfolder


def _is_writable(folder: Path) -> bool:
    there = next((path for path in (folder, *folder.parents) if os.access(path, os.F_OK)), folder)
    return os.access(there, os.W_OK)


def _is_sound(target: Path, expected: _Hash | None) -> bool:
    """Whether the file exists with the right hash."""
    if target.is_dir():
        raise ArgumentError(f"{str(target)!r} is a folder, so a file cannot be downloaded to it.")
    if not target.is_file():
        return False
    if expected is None or expected.of(target) == expected.value:
        return True
    say(f"{target} has another {expected.algorithm} than {expected.value}: it is downloaded again.")
    return False


class _Broken(Exception):  # noqa: N818 - it never leaves this page
    """A transfer that was interrupted, or could not be started."""


class _Download:
    """The download of one file: `own` is the received part, `part` what an interrupted call has left."""

    def __init__(self, origin: str, target: Path, expected: _Hash | None) -> None:
        self.origin, self.target, self.expected = origin, target, expected
        self.own = temporary_beside(target)
        self.part: Path | None = None
        self.version = ""  # the server's identifier of the file's version
        self.continued = False  # from what another call has left

    def run(self) -> None:
        """Download, compare the hash, and give the file its name."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        here = self.target.parent / glob.escape(self.target.name)
        remove_leftovers(here)
        try:
            self._transfer()
            if self.continued and self._wrong_hash():  # the part was of another file
                self.own.unlink()
                self._transfer()
            if wrong := self._wrong_hash():
                self.own.unlink()
                raise FormatError(f"{self.origin} {wrong}; the file is damaged or another one, and was not kept.")
            self.own.replace(self.target)
        finally:
            self._leave()
        for part in self.target.parent.glob(f".{glob.escape(self.target.name)}.*.part"):
            part.unlink(missing_ok=True)

    def _wrong_hash(self) -> str:
        """What is wrong with the hash of the received file; empty if nothing is."""
        if self.expected is None or (found := self.expected.of(self.own)) == self.expected.value:
            return ""
        return f"has the {self.expected.algorithm} {found}, expected {self.expected.value}"

    def _leave(self) -> None:
        """Keep the received part for the next call, if it can be continued."""
        with suppress(OSError):
            if self.part is not None and self._size():
                self.own.replace(self.part)
            else:
                self.own.unlink(missing_ok=True)

    def _size(self) -> int:
        return self.own.stat().st_size if self.own.exists() else 0

    def _transfer(self) -> None:
        """Download in several attempts, as long as each receives something."""
        say(f"Downloading data from {self.origin}")
        for attempt in range(1, _ATTEMPTS + 1):
            before = self._size()
            try:
                self._receive()
                return
            except _Broken as error:
                if attempt == _ATTEMPTS or self._size() == before:
                    raise self._failed(error) from error.__cause__
            if not (self.version or self.expected):  # the rest might be of another file
                self.own.unlink()
            time.sleep(_PAUSE)

    def _failed(self, why: object) -> DownloadError:
        return DownloadError(
            f"{self.origin} could not be downloaded ({why}): try again, or get the file by another way and put it at "
            f"{str(self.target)!r}."
        )

    def _request(self, start: int) -> Any:
        """The server's response: the file from byte `start` on, or all of it if the server does not support ranges."""
        headers = {"User-Agent": "lamella", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self.version:
                headers["If-Range"] = self.version
        try:
            return urllib.request.urlopen(urllib.request.Request(self.origin, headers=headers), timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _NOT_SATISFIABLE and start:  # the file is shorter today
                self.own.unlink()
                return self._request(0)
            raise self._failed(f"the server answers {error.code} {error.reason}") from None
        except _FAILURES as error:
            raise _Broken(getattr(error, "reason", None) or error) from error

    def _receive(self) -> None:
        """Append the server's response to the received part."""
        response = self._request(self._size())
        try:
            if not self._size() and self._adopt(response):
                response.close()
                response = self._request(self._size())
            start = self._size()
            if getattr(response, "status", None) != _PARTIAL:
                start, self.continued = 0, False
            elif response.headers.get("Content-Range", "").partition("-")[0] != f"bytes {start}":
                raise self._failed("the server sends another part of the file than the one asked for")
            with self.own.open("r+b" if start else "wb") as file:
                with suppress(OSError):  # not every file system has locks
                    lock(file)
                file.seek(start)
                self._copy(response, file, start)
                file.flush()
                os.fsync(file.fileno())
        finally:
            response.close()

    def _copy(self, response: Any, file: IO[bytes], done: int) -> None:
        """Write the response of a file whose first `done` bytes have been received."""
        length = _length(response, done)
        with Transfer(length) as progress:
            progress.begin_epoch()
            while chunk := self._read(response):
                file.write(chunk)
                done += len(chunk)
                progress.update(done, {})
            if length is not None and done != length:
                raise _Broken(f"{done:,} of {length:,} bytes came")
            progress.end_epoch({})

    def _read(self, response: Any) -> bytes:
        try:
            return response.read(_CHUNK)
        except _FAILURES as error:
            raise _Broken(error) from error

    def _adopt(self, response: Any) -> bool:
        """Note the version of the file on the server, and adopt the part that another call has left."""
        headers = response.headers
        tag = headers.get("ETag", "")
        self.version = tag if tag.startswith('"') else headers.get("Last-Modified", "")
        length = _length(response, 0)
        known = self.version or (self.expected.value if self.expected else "")
        if not known or length is None or getattr(response, "status", None) is None:  # not of http
            return False
        digest = hashlib.sha256(f"{self.origin} {known} {length}".encode()).hexdigest()[:16]
        self.part = self.target.with_name(f".{self.target.name}.{digest}.part")
        with suppress(OSError):  # there is none, or another process was quicker
            if 0 < self.part.stat().st_size < length:
                self.part.replace(self.own)
                self.continued = True
                return True
        return False


def _length(response: Any, start: int) -> int | None:
    """The size of a file whose response starts at byte `start`."""
    text = response.headers.get("Content-Length", "")
    return start + int(text) if text.isdigit() else None
