"""What a file holds: groups of groups and datasets, with their attributes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lamella.files.hdf5 import header, links, values
from lamella.files.hdf5.heaps import GlobalHeap
from lamella.files.hdf5.source import MAX_DEPTH, Cursor, Source
from lamella.files.hdf5.types import Type, dataspace, datatype
from lamella.files.hdf5.values import Attribute


class Dataset:
    """An array in a file: shape and dtype are known, its bytes are checked to be in the file, nothing is allocated yet.

    Attributes:
        path: Where it is in the file, for instance "layers/dense/vars/0".
        shape: Tuple of ints.
        dtype: NumPy dtype in the machine's byte order. Raw bytes (how Keras stores bfloat16, with an attribute
            `dtype` = "bfloat16") have dtype V2; strings of fixed length have dtype S.
        nbytes: Size of the array in bytes.
        attrs: As in `Group`.
    """

    __slots__ = ("_data", "_source", "_type", "attrs", "path", "shape")

    def __init__(
        self,
        source: Source,
        path: str,
        kind: Type,
        shape: tuple[int, ...],
        data: memoryview,
        attrs: dict[str, Attribute],
    ):
        self.path = path
        self.shape = shape
        self.attrs = attrs
        self._source = source
        self._type = kind
        self._data = data

    @property
    def dtype(self) -> np.dtype:
        """The dtype of what `read` returns."""
        return np.dtype(np.bool_) if self._type.kind == "bool" else self._type.dtype.newbyteorder("=")

    @property
    def nbytes(self) -> int:
        """The size in bytes of what `read` returns."""
        return len(self._data)

    def read(self) -> np.ndarray:
        """A new array of `shape` and `dtype`.

        Raises:
            FormatError: A bool is neither 0 nor 1.
        """
        self._source.where = self.path
        return values.array(self._source, self._data, self._type, self.shape)

    def __repr__(self) -> str:
        return f"<Dataset {self.path!r}, shape {self.shape}, {self.dtype}>"


class Group:
    """Groups and datasets by name.

    Attributes:
        path: Where it is in the file; "" for the file itself.
        attrs: Name to value. A string is `str`; a row of strings is a list of `str`; a number is a NumPy scalar, an array
            of numbers a NumPy array (h5py writes an empty list as a float64 array of shape (0,)); an empty dataspace
            is None.
        members: Name to `Group` or `Dataset`, in the order of names.
    """

    __slots__ = ("attrs", "members", "path")

    def __init__(self, path: str, attrs: dict[str, Attribute], members: dict[str, Group | Dataset]):
        self.path = path
        self.attrs = attrs
        self.members = members

    def __getitem__(self, path: str) -> Group | Dataset:
        """The member at `path` ("layers/dense/vars/0"); KeyError where there is none."""
        found: Group | Dataset = self
        for part in path.split("/"):
            if not isinstance(found, Group) or part not in found.members:
                raise KeyError(path)
            found = found.members[part]
        return found

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, str) and bool(self[path])
        except KeyError:
            return False

    def __repr__(self) -> str:
        return f"<Group {self.path!r}: {', '.join(self.members)}>"


def read(buffer: bytes | memoryview, *, name: str) -> Group:
    """The whole tree of an HDF5 file, every object, link and attribute checked; datasets are copied by `Dataset.read`.

    Args:
        buffer: The file's bytes. Its length bounds everything that is read, and the work done.
        name: The file's name, for messages.

    Raises:
        FormatError: The file is damaged, or holds what is not read: soft and external links, two links to one object,
            external or virtual storage, chunked or compressed datasets, references, compound and other types.
    """
    source = Source(buffer, name)
    root = _Walk(source).object(header.root_address(source), "", 0)
    if isinstance(root, Dataset):
        raise source.fault("the file's root is a dataset, not a group")
    return root


class _Walk:
    """Goes through a file's objects, each once."""

    def __init__(self, source: Source):
        self.source = source
        self.heap = GlobalHeap(source)
        self.seen: set[int] = set()

    def object(self, address: int, path: str, depth: int) -> Group | Dataset:
        """The object whose header is at `address`, with everything under it."""
        source = self.source
        source.where = path
        if address in self.seen:
            raise source.fault("two links lead to one object, or a group holds itself")
        if depth > MAX_DEPTH:
            raise source.fault(f"groups are nested more than {MAX_DEPTH} deep")
        self.seen.add(address)
        attrs: dict[str, Attribute] = {}
        members: dict[str, int] = {}
        parts: dict[int, Cursor] = {}
        for kind, body in header.messages(source, address):
            if kind == header.ATTRIBUTE:
                self._add_attribute(attrs, body)
            elif kind == header.LINK:
                self._add_member(members, links.of_message(source, body))
            elif kind in parts:
                raise source.fault(f"an object's header has two messages of type {kind:#x}")
            else:
                parts[kind] = body
        if header.ATTRIBUTE_INFO in parts:
            for body in links.attributes_of_info(source, parts[header.ATTRIBUTE_INFO]):
                self._add_attribute(attrs, body)
        attrs = dict(sorted(attrs.items()))
        if header.LAYOUT in parts:
            return self._dataset(path, parts, attrs)
        for member in self._members(parts):
            self._add_member(members, member)
        found: dict[str, Group | Dataset] = {}
        for name in sorted(members):
            found[name] = self.object(members[name], f"{path}/{name}" if path else name, depth + 1)
        return Group(path, attrs, found)

    def _add_attribute(self, attrs: dict[str, Attribute], body: Cursor) -> None:
        name, value = values.attribute(self.source, body, self.heap)
        if name in attrs:
            raise self.source.fault(f"two attributes are called {name[:80]!r}")
        attrs[name] = value

    def _add_member(self, members: dict[str, int], member: tuple[str, int]) -> None:
        name, address = member
        self.source.count()
        if name in members:
            raise self.source.fault(f"two members are called {name[:80]!r}")
        members[name] = address

    def _members(self, parts: dict[int, Cursor]) -> Iterator[links.Member]:
        if header.SYMBOL_TABLE in parts:
            yield from links.of_symbol_table(self.source, parts[header.SYMBOL_TABLE])
        elif header.LINK_INFO in parts:
            yield from links.of_info(self.source, parts[header.LINK_INFO])
        else:
            raise self.source.fault("the object is neither a group nor a dataset, or damaged")

    def _dataset(self, path: str, parts: dict[int, Cursor], attrs: dict[str, Attribute]) -> Dataset:
        source = self.source
        source.where = path
        if header.DATASPACE not in parts or header.DATATYPE not in parts:
            raise source.fault("the dataset has no shape or no dtype")
        kind, shape = datatype(parts[header.DATATYPE]), dataspace(parts[header.DATASPACE])
        if shape is None:
            raise source.fault("the dataset is empty: it has neither a shape nor a value")
        if kind.kind == "text":
            raise source.fault("datasets of strings of variable length are not read")
        size = values.size_of(source, kind, shape)
        return Dataset(source, path, kind, shape, values.storage(source, parts[header.LAYOUT], size), attrs)
