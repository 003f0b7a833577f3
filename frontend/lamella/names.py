"""Names as users write them: which ones an object may have, and strings of every Keras era, resolved in closed tables."""

from __future__ import annotations

import functools
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from lamella.absent import no_attribute
from lamella.errors import ArgumentError, unknown_name
from lamella.stacks import ThreadStack
from lamella.tracebacks import user_level

T = TypeVar("T")

REGISTERED: dict[str, Any] = {}
"""The caller's classes and functions by name, for the whole process: `saving.get_custom_objects()`."""

_SCOPES: ThreadStack[Mapping[str, Any]] = ThreadStack()

LONGEST_NAME = 1000
"""Bytes of a name in UTF-8: the paths of nested models then fit into an attribute of HDF5."""

LABEL = f"a string of at most {LONGEST_NAME:,} bytes, all of it printable"
PATH_PART = f"{LABEL}, not empty, without '/' and '\\', and not '.' or '..'"


def is_label(value: object) -> bool:
    """Whether `value` is a string that every file can hold and every console can show: what `LABEL` says."""
    return isinstance(value, str) and value.isprintable() and len(value.encode()) <= LONGEST_NAME


def is_path_part(value: object) -> bool:
    """Whether `value` is a label that can be a part of a path in a file, as a layer's name is: what `PATH_PART` says."""
    return is_label(value) and value not in ("", ".", "..") and not set(str(value)) & {"/", "\\"}


def shown(value: object) -> str:
    """`value` for a message, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Name:
    """An attribute that takes only names that a file can hold, so that whatever is saved can be read.

    >>> from lamella.layers import Dense
    >>> Dense(2, name="a/b")
    Traceback (most recent call last):
    ...
    lamella.errors.ArgumentError: The name of a layer must be a string ..., got 'a/b'.

    Args:
        kind: what has the name, for the message ("a layer").
        label: whether any label will do; else it must be a part of a path.
    """

    def __init__(self, kind: str, *, label: bool = False) -> None:
        self.kind, self.label = kind, label

    def check(self, value: Any) -> str:
        """`value`, which is a name.

        Raises:
            ArgumentError: it is not.
        """
        if not (is_label(value) if self.label else is_path_part(value)):
            rule = LABEL if self.label else PATH_PART
            raise ArgumentError(f"The name of {self.kind} must be {rule}, got {shown(value)}.")
        return value

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        if owner is None:
            return self
        if "name" not in owner.__dict__:
            raise AttributeError(f"{type(owner).__name__!r} object has no attribute 'name'")
        return owner.__dict__["name"]

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__["name"] = self.check(value)


@functools.cache
def snake_case(name: str) -> str:
    """`name` in Keras's snake case: "MeanSquaredError" is "mean_squared_error", "PReLU" is "p_re_lu"."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def deprecated(old: str, new: str, stacklevel: int | None = None) -> None:
    """Warn that `old` is a name of an earlier Keras, and suggest the current one.

    Args:
        old: the name as the user wrote it.
        new: what to write instead.
        stacklevel: as in `warnings.warn`: 1 is this function, 2 its caller. None is the first frame outside lamella, so
            that the warning points at the user's line.
    """
    level = user_level() if stacklevel is None else stacklevel
    warnings.warn(f"{old} is a name of an earlier Keras; write {new}.", DeprecationWarning, stacklevel=level)


@contextmanager
def custom_objects(names: Mapping[str, Any] | None) -> Iterator[None]:
    """Context manager in which these names refer to these classes and functions, in preference to those of lamella.

    Args:
        names: dict from name to class or function.

    Yields:
        None.

    Example:
        >>> from lamella import activations
        >>> with custom_objects({"double": lambda x: 2 * x}):
        ...     activations.get("double")(3)
        6
    """
    with _SCOPES.pushed(dict(names or {})):
        yield


def custom_object(name: Any) -> Any:
    """What the caller gave under a name, in a scope or for the whole process, or None."""
    if not isinstance(name, str):
        return None
    return next((names[name] for names in (*reversed(_SCOPES.items), REGISTERED) if name in names), None)


def by_name(kind: str, name: str, table: Mapping[str, T], old: Mapping[str, str] | None = None) -> T:
    """The entry of `table` that `name` stands for, or what the caller gave under that name.

    Args:
        kind: the kind of thing, for the message ("optimizer").
        name: what the user wrote.
        table: every name of today.
        old: earlier spellings and today's; they resolve with a DeprecationWarning.

    Raises:
        UnknownNameError: the name is in neither; the message gives the nearest known one.
    """
    given = custom_object(name)
    if given is not None:
        return given
    if name in table:
        return table[name]
    if old and name in old:
        deprecated(repr(name), repr(old[name]))
        return table[old[name]]
    raise unknown_name(kind, name, [*table, *(old or ())])


def from_identifier(kind: str, identifier: Any, table: Mapping[str, Any], old: Mapping[str, str] | None = None) -> Any:
    """What a string, a class or a `{"class_name": ..., "config": ...}` dict stands for; anything else is itself.

    Classes are called without arguments. Only names in `table`, and those of the caller, are ever called for a dict.

    Raises:
        UnknownNameError: the name is not in `table`.
    """
    if isinstance(identifier, dict) and "class_name" in identifier:
        made = getattr(identifier, "made", None)
        if made is not None:  # a configuration that never left this process
            return made.from_config(identifier.get("config") or {})
        config = identifier.get("config") or {}
        given = custom_object(identifier.get("registered_name")) or custom_object(identifier["class_name"])
        if given is not None:
            return given.from_config(config) if hasattr(given, "from_config") else given(**config)
        return by_name(kind, identifier["class_name"], table, old)(**config)
    if isinstance(identifier, str):
        identifier = by_name(kind, identifier, table, old)
    return identifier() if isinstance(identifier, type) else identifier


def lazy_exports(package: str, modules: Mapping[str, str]) -> dict[str, str]:
    """{name: "package.module:name"} for every name of a package's lazy `modules`: the entries of a `LazyTable`."""
    return {name: f"{package}.{module}:{name}" for module, names in modules.items() for name in names.split()}


class LazyTable(Mapping[str, Any]):
    """A table whose entries may be strings "module:name": such an entry is imported when it is first read.

    No dict: whatever a dict hands out past `__getitem__` (`get`, `values`) would be the string.
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(importlib.import_module(module), attribute)
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def name_table(classes: Mapping[str, Any]) -> dict[str, Any]:
    """`classes` by class name, with the snake-case spelling of each beside it."""
    table: dict[str, Any] = {}
    for name, made in classes.items():
        table[name] = made
        table.setdefault(snake_case(name), made)
    return table


def lazily(
    package: str, modules: Mapping[str, str], own: Sequence[str] = ()
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` of a package that imports its modules when one of their names is asked for.

    Args:
        package: the package's `__name__`.
        modules: for each module the names it gives the package, separated by spaces.
        own: modules that are names of the package themselves.
    """
    where = {name: f"{package}.{module}" for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name in own:
            return importlib.import_module(f"{package}.{name}")
        if name not in where:
            raise no_attribute(package, name, names())
        found = getattr(importlib.import_module(where[name]), name)
        setattr(sys.modules[package], name, found)  # the next look needs no `__getattr__`
        return found

    def names() -> list[str]:
        return sorted({*where, *own, *vars(sys.modules[package])})

    return sorted(where), find, names
