"""Writing a file so that a crash at any moment leaves the old file or the new one, never a part of either.

The content goes to a temporary file in the same folder, which is flushed to the disk and then renamed over the old file;
the folder is flushed, too, so that the new name outlives a loss of power.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lamella import processes

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed
    fcntl = None

_TEMPORARY = re.compile(r"\.\d+-[0-9a-f]+\.tmp$")
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
"""What file systems answer that cannot flush a folder, or a folder that may be written to but not read."""


def temporary_beside(target: Path) -> Path:
    """A new name beside `target` for what is being written, which `remove_leftovers` knows."""
    return target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file, open for writing and reading, which becomes the file at `path` when the block ends.

    Where the block raises, the file at `path` stays as it was and the temporary file is removed. A file that is replaced
    hands on its permissions; a symbolic link stays a link, and what it points to is replaced. The file's `name` is the
    temporary path, for libraries that open a path themselves: close nothing, and what they wrote is flushed as well.

    Of several processes that train together each must come here; process 0 writes, and the others wait until it has.

    Args:
        path: where the file goes; its folder must exist.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or `path` is a folder. The message names the path
            and the cause, and the error keeps its number (`errno.ENOSPC`) and class (`PermissionError`).
    """
    with processes.written_once() as mine:
        if mine:
            with _replacing(path) as file:
                yield file
        else:
            from tempfile import NamedTemporaryFile

            with NamedTemporaryFile() as nowhere:
                yield nowhere


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise _told(IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), path, kept=False)
    temporary = temporary_beside(target)
    with _explained(path, target, temporary):
        file = temporary.open("x+b")
    try:
        # outside of the file: closing it writes what a full disk would not take, and fails again
        with _explained(path, target, temporary), file:
            with suppress(OSError):  # not every file system has locks
                lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _explained(path, target, temporary):
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    with _explained(path, target, temporary):
        _sync_folder(target.parent)


def write_atomically(
    path: str | os.PathLike[str], content: bytes | Callable[[IO[bytes]], object], *, together: bool = True
) -> None:
    """Write `content`, or what the function `content` writes to the file it is given; see `atomic_write`.

    Args:
        path: where the file goes.
        content: the bytes, or what writes them.
        together: of several processes process 0 writes for all, and each must come here; else every process for itself.
    """
    with atomic_write(path) if together else _replacing(path) as file:
        if callable(content):
            content(file)
        else:
            file.write(content)


def remove_leftovers(pattern: str | os.PathLike[str]) -> None:
    """Remove the temporary files and folders of writers that were killed; one that is being written now stays.

    Args:
        pattern: the path that they wrote to, or a pattern of `glob` for several.
    """
    if processes.index():
        return
    folder, name = os.path.split(os.path.realpath(pattern))
    for left in glob.iglob(os.path.join(folder, f".{name}.*.tmp")):  # noqa: PTH118, PTH207 - a pattern, not a path
        if _TEMPORARY.search(left):
            with suppress(OSError):
                with locked(left):
                    folder_left = stat.S_ISDIR(os.lstat(left).st_mode)
                if folder_left:
                    shutil.rmtree(left)
                else:
                    Path(left).unlink()


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Lock a file or folder; raise OSError where another has it locked, or the system opens no folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def lock(file: IO[bytes] | int) -> None:
    """Lock a file while it is open; raise OSError where another has it open and locked."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _explained(path: str | os.PathLike[str], target: Path, temporary: Path) -> Iterator[None]:
    """Errors of the disk, told with the path that was to be written; errors about other files pass as they are."""
    try:
        yield
    except OSError as error:
        names = {None, str(target), str(temporary), str(target.parent)}
        if error.errno is None or {_name(error.filename), _name(error.filename2)} - names:
            raise
        raise _told(error, path, kept=target.exists()) from error


def _name(filename: object) -> str | None:
    # of an open descriptor only the number is known
    return None if filename is None or isinstance(filename, int) else os.fsdecode(filename)  # type: ignore[arg-type]


def _told(error: OSError, path: str | os.PathLike[str], *, kept: bool) -> OSError:
    cause = error.strerror or "unknown error"
    text = f"{os.fspath(path)!r} was not written: {cause[:1].lower()}{cause[1:]}"
    if error.errno == errno.ENOENT:
        text += f" (there is no folder {str(Path(path).parent)!r})"
    text += "; the file that was there before is as it was." if kept else "."
    return OSError(error.errno, text)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and a rename is written through
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
