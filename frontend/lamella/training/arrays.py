"""Conversion of array-like data to NumPy arrays of lamella's dtypes, or to rows that are read on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamella.backend_api import to_numpy
from lamella.errors import DataError, DTypeError, ShapeError
from lamella.ir import settings
from lamella.ir.spec import DTYPES, dtype_name, numpy_dtype

DENSE_BYTES = 256 << 20
"""A sparse matrix is made dense at once where that takes no more than this, else batch by batch."""


class StoredRows:
    """Rows that are not in memory as one array: of a file mapped into memory, or of a large sparse matrix.

    Args:
        source: what they are read from; slices of it are of its kind.
        read: gives the rows of an index array (or a slice) as a NumPy array.
        what: the name in error messages.

    Attributes:
        shape: `(rows, ...)`.
        dtype: the dtype of the rows when they are read.
    """

    def __init__(self, source: Any, read: Callable[[Any, Any], np.ndarray], what: str) -> None:
        self._source, self._read, self._what = source, read, what
        self.shape = tuple(int(d) for d in source.shape)
        self.dtype = canonical(np.empty(0, _known(source.dtype, what)), what).dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> Any:
        """Rows of a slice, as stored as these; or of an index array, as a NumPy array."""
        if isinstance(index, slice):
            return StoredRows(self._source[index], self._read, self._what)
        return canonical(self._read(self._source, index), self._what)

    def column(self) -> StoredRows:
        """A vector's entries as rows of one number."""
        return StoredRows(self._source[:, None], self._read, self._what)


Array = np.ndarray | StoredRows


def is_array(value: Any) -> bool:
    """Whether `value` is an array of any library, with at least one dimension; a list is not."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    shape = getattr(value, "shape", None)
    return bool(shape) and (hasattr(value, "__array__") or is_sparse(value))


def is_sparse(value: Any) -> bool:
    """Whether `value` is a sparse matrix like those of SciPy."""
    return hasattr(value, "tocsr") and hasattr(value, "toarray")


def as_rows(value: Any, what: str) -> Array:
    """`value` as an array, or as rows to be read where it is mapped from a file or large and sparse.

    Raises:
        DTypeError: it does not contain numbers.
        ShapeError: it is not an array, or has no rows.
    """
    value = _only(value, what)
    if is_sparse(value):
        rows = value.tocsr()
        if rows.shape[0] * rows.shape[1] * numpy_dtype(settings.floatx()).itemsize > DENSE_BYTES:
            return StoredRows(rows, _read_sparse, what)
        return as_array(rows.toarray(), what)
    if isinstance(value, np.ndarray) and value.ndim and _is_mapped(value):
        return StoredRows(value, _read_mapped, what)
    return as_array(value, what)


def as_array(value: Any, what: str) -> np.ndarray:
    """`value` as a NumPy array of a dtype lamella computes with: float64 becomes `floatx`, int64 int32 where it fits.

    Raises:
        DTypeError: it does not contain numbers.
        ShapeError: it is not an array, or has no rows.
    """
    if type(value) is np.ndarray and value.ndim and value.dtype == settings.floatx():
        return value
    value = _only(value, what)
    if value is None or isinstance(value, dict | str) or callable(value):
        raise DTypeError(
            f"{what} must be an array of numbers, got {'None' if value is None else type(value).__name__}."
        )
    array = _numbers(value, what)
    _known(array.dtype, what)
    if array.ndim == 0:
        raise ShapeError(f"{what} needs one entry per row, got a single number.")
    return canonical(array, what)


def as_tree(value: Any, what: str, taken: Callable[[Any, str], Array], parts: int = 1) -> Any:
    """Return the structure of `value` with `taken(leaf, name)` in place of each leaf.

    A dict is a structure, and a list or tuple where it holds arrays or structures; otherwise it holds the numbers of one
    array.

    Args:
        value: what the user gave.
        what: the name in error messages.
        taken: `as_rows` or `as_array`.
        parts: how many arrays are expected; a list or tuple of as many is a structure, whatever it holds.
    """
    if isinstance(value, dict):
        entries: dict[Any, Any] = value
        return {key: as_tree(item, f"{what}/{key}", taken) for key, item in entries.items() if item is not None}
    if isinstance(value, list | tuple) and (len(value) == parts > 1 or _holds_parts(value)):
        items: list[Any] = list(value)
        made = [None if item is None else as_tree(item, f"{what}/{i}", taken) for i, item in enumerate(items)]
        return made if isinstance(value, list) else tuple(made)
    return taken(value, what)


def _holds_parts(value: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list holds several arrays, or structures of arrays."""
    return any(
        isinstance(item, dict)
        or (is_array(item) and len(value) > 1)
        or (isinstance(item, list | tuple) and any(map(is_array, item)))
        for item in value[:2]
    )


def canonical(array: np.ndarray, what: str) -> np.ndarray:
    """The dtypes programs are traced with: one float dtype, and int32 for 64-bit integers.

    Raises:
        ValueError: an integer does not fit into int32.
    """
    name = dtype_name(array.dtype)
    kind, bits = DTYPES[name]
    if kind == "f":
        target = settings.floatx()
        return array if name == target else array.astype(numpy_dtype(target))
    if (kind in "iu" and bits > 32) or name == "uint32":
        if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
            raise DataError(f"{what} holds integers beyond 32 bits.")
        return array.astype(np.int32)
    return array


def _known(dtype: Any, what: str) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if dtype.name not in DTYPES:
        raise DTypeError(f"{what} must hold numbers, got dtype {dtype}.")
    return dtype


def _only(value: Any, what: str) -> Any:
    """The one array of a list of arrays; anything else as it is.

    Raises:
        ShapeError: there are several.
    """
    if not isinstance(value, list | tuple):
        return value
    entries: list[Any] = list(value)
    if not entries or not is_array(entries[0]):
        return entries
    if len(entries) > 1:
        raise ShapeError(
            f"{what} is a {type(value).__name__} of {len(entries)} arrays, which means that many inputs or targets, and here "
            f"the model has one: give one array, numpy.stack({what.partition(' ')[0]}) where they are its rows."
        )
    return entries[0]


def _numbers(value: Any, what: str) -> np.ndarray:
    if is_sparse(value):
        return np.asarray(value.toarray())
    if hasattr(value, "iloc"):
        return _of_frame(value, what)
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype):
            value = value.float()
    try:
        return to_numpy(value) if hasattr(value, "dtype") else np.asarray(value)
    except (ValueError, TypeError):
        raise ShapeError(f"{what} is not a rectangular array of numbers: its rows differ in length.") from None


def _of_frame(frame: Any, what: str) -> np.ndarray:
    """The numbers of a frame (rows, columns), or of a series as a column (rows, 1)."""
    array = np.asarray(frame.to_numpy())
    if array.dtype == object:
        # columns of numbers of several kinds, missing values, booleans among floats
        if not _converts(array):
            names = (
                [name for name, column in frame.items() if not _converts(column.to_numpy())] if array.ndim > 1 else []
            )
            columns = f" in columns {', '.join(map(repr, names))}" if names else ""
            raise DTypeError(f"{what} must hold numbers, got text or objects{columns}. Encode them as numbers.")
        array = array.astype(np.float64)
    return array[:, None] if array.ndim == 1 else array


def _converts(array: np.ndarray) -> bool:
    try:
        array.astype(np.float64)
    except (ValueError, TypeError):
        return False
    return True


def _is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def _read_mapped(source: np.ndarray, index: Any) -> np.ndarray:
    plain = source.view(np.ndarray)
    if plain.flags.c_contiguous:
        # `take` lets other threads run while the pages come from the disk, indexing does not
        return plain.take(index, 0, mode="clip")
    return plain[index]


def _read_sparse(source: Any, index: Any) -> np.ndarray:
    return np.asarray(source[index].toarray())
