"""The arrays of an `.npz` file, of numbers or of lists, read within bounds and without `pickle`."""

from __future__ import annotations

import math
import os
import struct
import zlib
from typing import IO, Any

import numpy as np

from lamella.errors import FormatError
from lamella.files import pickled

MOST_HEADER = 10_000
"""Bytes: no `.npy` header of an array is longer."""
_LARGEST = 2**30
"""Bytes of an array: images of MNIST have 47 million."""
_BEST_COMPRESSION = 1040
"""The most bytes that a byte of a deflated member may expand to."""
_KINDS = "biuf"
_CHUNK = 2**20


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis changes fastest, and dtype of the `.npy` file that `stream` is at the beginning of.

    Raises:
        ValueError: this is not the header of an `.npy` file.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the npy format is not known")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        return read(stream, max_header_size=MOST_HEADER)
    except Exception as error:  # NumPy tokenizes it as Python, and lets what the tokenizer raises through
        raise ValueError(f"its header is damaged: {error}") from None


def read_npz(path: str | os.PathLike[str] | IO[bytes], *names: str) -> list[np.ndarray]:
    """The arrays of an `.npz` file that have these names; arrays of objects hold what `files.pickled` reads.

    Args:
        path: the file, whose members may be compressed.
        names: which arrays to read; others are not looked at.

    Returns:
        Arrays that own their memory, in the order of `names`.

    Raises:
        FormatError: the file is not an archive or is damaged, an array is missing, larger than 2**30 bytes, or of
            neither numbers nor plain values.
        OSError: there is no such file, or it cannot be read.

    >>> import io
    >>> file = io.BytesIO()
    >>> np.savez_compressed(file, x=[1, 2], y=[3])
    >>> read_npz(file, "y")
    [array([3])]
    """
    import zipfile

    where = repr(os.fspath(path)) if isinstance(path, str | os.PathLike) else "the archive"
    # what zipfile raises over bytes that are not what they should be
    broken = (zipfile.BadZipFile, struct.error, zlib.error, EOFError, ValueError, LookupError, OverflowError)
    broken += (NotImplementedError, RuntimeError, UnicodeError)
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_array(archive, name, where) for name in names]
    except FormatError:
        raise
    except broken as error:
        raise FormatError(f"{where} is not an .npz file, or it is damaged or cut short ({error}).") from None


def _read_array(archive: Any, name: str, where: str) -> np.ndarray:
    if f"{name}.npy" not in archive.NameToInfo:
        others = ", ".join(repr(entry[:40]) for entry in archive.namelist()[:10])
        raise FormatError(f"{where} holds no array {name!r}; it holds {others or 'nothing'}.")
    info = archive.getinfo(f"{name}.npy")
    held = min(info.compress_size, archive.fp.seek(0, os.SEEK_END))
    if info.file_size > min(_LARGEST, held * (_BEST_COMPRESSION if info.compress_type else 1)):
        raise FormatError(f"{where}: {name!r} claims {info.file_size:,} bytes.")
    with archive.open(info) as member:
        shape, fortran, dtype = read_header(member)
        size = info.file_size - member.tell()
        if dtype.hasobject:
            data = bytearray(size)
            _fill(member, memoryview(data), name)
            array = pickled.read(bytes(data), f"{where}: {name!r}")
            if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (dtype, shape):
                raise FormatError(f"{where}: {name!r} is not the array that its header describes.")
            return array
        if dtype.kind not in _KINDS or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
            raise FormatError(f"{where}: {name!r} is described as {dtype} of shape {shape}, and has {size:,} bytes.")
        array = np.empty(shape[::-1] if fortran else shape, dtype)
        _fill(member, array.reshape(-1).view(np.uint8).data, name)
        return array.T if fortran else array


def _fill(member: IO[bytes], buffer: memoryview, name: str) -> None:
    """Fill a buffer with the rest of a member, whose checksum is compared at its end."""
    at = 0
    while at < len(buffer):
        chunk = member.read(min(_CHUNK, len(buffer) - at))
        if not chunk:
            raise ValueError(f"{name!r} is cut short")
        buffer[at : at + len(chunk)] = chunk
        at += len(chunk)
    if member.read(1):
        raise ValueError(f"{name!r} is longer than it says")
