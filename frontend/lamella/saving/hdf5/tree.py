"""What a file holds: groups of groups and datasets, with their attributes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from lamella.saving.errors import FormatError

Attribute: TypeAlias = "str | list[str] | np.generic | np.ndarray | None"


class Dataset:
    """An array in a file: shape and dtype are known, its bytes are checked to lie in the file, nothing is allocated yet.

    Attributes:
        path: Where it stands in the file, for instance "layers/dense/vars/0".
        shape: Tuple of ints.
        dtype: NumPy dtype in the machine's byte order. Raw bytes (how Keras stores bfloat16, with an attribute
            `dtype` = "bfloat16") have dtype V2; strings of fixed length have dtype S.
        nbytes: Size of the array in bytes.
        attrs: As in `Group`.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    nbytes: int
    attrs: dict[str, Attribute]

    def read(self) -> np.ndarray:
        """A new array of `shape` and `dtype`."""
        raise FormatError("not yet")


class Group:
    """Groups and datasets by name.

    Attributes:
        path: Where it stands in the file; "" for the file itself.
        attrs: Name to value. A string is `str`; a row of strings is a list of `str`; a number is a NumPy scalar, an array
            of numbers a NumPy array (h5py writes an empty list as a float64 array of shape (0,)); an empty dataspace
            is None.
        members: Name to `Group` or `Dataset`, in the order of names.
    """

    path: str
    attrs: dict[str, Attribute]
    members: dict[str, Group | Dataset]

    def __getitem__(self, path: str) -> Group | Dataset:
        """The member at `path` ("layers/dense/vars/0"); KeyError where there is none."""
        raise KeyError(path)

    def __contains__(self, path: object) -> bool:
        return False


def read(buffer: bytes | memoryview, *, name: str) -> Group:
    """The whole tree of an HDF5 file, every object, link and attribute checked; datasets are copied by `Dataset.read`.

    Args:
        buffer: The file's bytes. Its length bounds everything that is read, and the work done.
        name: The file's name, for messages.

    Raises:
        FormatError: The file is damaged, or holds what is not read: soft and external links, two links to one object,
            external or virtual storage, chunked or compressed datasets, references, compound and other types.
    """
    raise FormatError(name)
