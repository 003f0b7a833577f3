"""The sources of the data sets: Keras's addresses, names and hashes of files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamella.errors import FormatError
from lamella.files import npz, text
from lamella.utils.downloads import get_file

_STORE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_MOST_WORDS = 1_000_000


class Source(NamedTuple):
    """An address, and the hash of the file behind it where Keras has one."""

    address: str
    hash: str | None = None


SOURCES = {
    "boston_housing.npz": Source(
        f"{_STORE}boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
    ),
    "california_housing.npz": Source(
        f"{_STORE}california_housing.npz", "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
    ),
    "cifar-10-batches-py-target": Source(
        f"{_TORONTO}cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    ),
    "cifar-100-python-target": Source(
        f"{_TORONTO}cifar-100-python.tar.gz", "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
    ),
    **{
        name: Source(f"{_STORE}{name}")  # gzip has a checksum
        for name in (
            "train-labels-idx1-ubyte.gz",
            "train-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
        )
    },
    "imdb.npz": Source(f"{_STORE}imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"),
    "imdb_word_index.json": Source(f"{_STORE}imdb_word_index.json", "bfafd718b763782e994055a2d397834f"),
    "mnist.npz": Source(f"{_STORE}mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"),
    "reuters.npz": Source(f"{_STORE}reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"),
    "reuters_word_index.json": Source(f"{_STORE}reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921"),
}


def fetch(name: str, path: str = "", subfolder: str = "datasets", *, extract: bool = False) -> Path:
    """Return the path of a file of `SOURCES`, or of the folder with its content; download it if it is not cached.

    Args:
        name: which one.
        path: the name to give it in the cache, or an absolute path; by default its own.
        subfolder: of the cache.
        extract: whether to unpack it.
    """
    source = SOURCES[name]
    given = Path(path or name)
    where: dict[str, Any] = {"cache_subdir": subfolder}
    if given.is_absolute():
        path, where = given.name, {"cache_dir": given.parent, "cache_subdir": ""}
    return Path(get_file(path or name, source.address, file_hash=source.hash, extract=extract, **where))


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Context manager that adds to a `FormatError` how to replace the file."""
    try:
        yield
    except FormatError as error:
        told = str(error).removesuffix(".")
        raise FormatError(f"{told}; remove {str(file)!r}, and it is downloaded again.") from None


def arrays(name: str, path: str, *names: str) -> list[np.ndarray]:
    """The arrays with these names in an `.npz` file of `SOURCES`, inputs and labels in turn, each with as many rows."""
    file = fetch(name, path)
    with reading(file):
        found = npz.read_npz(file, *names)
        for x, y, x_name, y_name in zip(found[::2], found[1::2], names[::2], names[1::2], strict=True):
            if not x.ndim or y.ndim != 1 or len(x) != len(y):
                raise FormatError(f"{str(file)!r}: {x_name!r} has the shape {x.shape}, and {y_name!r} {y.shape}.")
        return found


def word_index(name: str, path: str) -> dict[str, int]:
    """The numbers of words in a JSON file of `SOURCES`."""
    file = fetch(name, path)
    with reading(file):
        found = text.parsed(file.read_bytes(), repr(str(file)), entries=_MOST_WORDS)
        if not isinstance(found, dict) or set(map(type, found.values())) - {int}:
            raise FormatError(f"{str(file)!r} does not hold the numbers of words.")
        return found
