"""Names as users write them: strings of every Keras era, resolved through one closed table a module."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from lamella.errors import unknown_name

T = TypeVar("T")


def snake_case(name: str) -> str:
    """`name` in Keras's snake case: "MeanSquaredError" is "mean_squared_error", "PReLU" is "p_re_lu"."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def deprecated(old: str, new: str, stacklevel: int | None = None) -> None:
    """Warn that `old` is a word of an earlier Keras, and name today's.

    Args:
        old: the word as it was written.
        new: what to write today.
        stacklevel: as in `warnings.warn`: 1 is this function, 2 its caller. None is the first frame outside lamella, so
            that the warning points at the user's line, however deep the word was understood.
    """
    if stacklevel is None:
        frame, level = sys._getframe(1), 2
        while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "lamella":
            frame, level = frame.f_back, level + 1
    else:
        level = stacklevel
    warnings.warn(f"{old} is a word of an earlier Keras; write {new}.", DeprecationWarning, stacklevel=level)


def by_name(kind: str, name: str, table: Mapping[str, T], old: Mapping[str, str] | None = None) -> T:
    """The entry of `table` that `name` stands for.

    Args:
        kind: the kind of thing, for the message ("optimizer").
        name: what the user wrote.
        table: every name of today.
        old: earlier spellings and today's; they resolve with a DeprecationWarning.

    Raises:
        UnknownNameError: the name is in neither; the message gives the nearest known one.
    """
    if name in table:
        return table[name]
    if old and name in old:
        deprecated(repr(name), repr(old[name]))
        return table[old[name]]
    raise unknown_name(kind, name, [*table, *(old or ())])


def from_identifier(kind: str, identifier: Any, table: Mapping[str, Any], old: Mapping[str, str] | None = None) -> Any:
    """What a string, a class or a `{"class_name": ..., "config": ...}` dict stands for; anything else is itself.

    Classes are called without arguments. Only names in `table` are ever called for a dict.

    Raises:
        UnknownNameError: the name is not in `table`.
    """
    if isinstance(identifier, dict) and "class_name" in identifier:
        made = getattr(identifier, "made", None)
        if made is not None:  # a configuration that never left this process
            return made.from_config(identifier.get("config") or {})
        entry = by_name(kind, identifier["class_name"], table, old)
        return entry(**identifier.get("config") or {})
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
    package: str, modules: Mapping[str, str], refuse: Callable[[str], Exception | None] = lambda name: None
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` of a package that imports its modules when one of their names is asked for.

    Args:
        package: the package's `__name__`.
        modules: for each module the names it gives the package, separated by spaces.
        refuse: what to raise for a name that is in no module; None leaves it to an AttributeError.
    """
    where = {name: f"{package}.{module}" for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in where:
            raise refuse(name) or AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(where[name]), name)
        setattr(sys.modules[package], name, found)  # the next look needs no `__getattr__`
        return found

    def names() -> list[str]:
        return sorted({*where, *vars(sys.modules[package])})

    return sorted(where), find, names
