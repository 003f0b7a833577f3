"""Objects as plain data in Keras 3's schema, and back; and the registry of the classes that plain data may name.

An object becomes `{"module": ..., "class_name": ..., "config": {...}, "registered_name": ...}`, whose config holds the
arguments it was made with. Such a dict is a `Serialized`: in memory it remembers the class, so that a copy needs no table;
once it has been through a file, only the names in the registered tables, and those the caller gives, are classes. Each
package registers its own classes; this module knows none of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.core.dtype_policy import DTypePolicy
from lamella.errors import unknown_name
from lamella.names import REGISTERED
from lamella.names import custom_object as custom_object
from lamella.names import custom_objects as custom_objects
from lamella.stacks import ThreadStack

if TYPE_CHECKING:
    from lamella.ir.types import Plain

Config = dict[str, Any]
Table = Mapping[str, Any]

_PLAIN = (bool, int, float, str)


class Serialized(dict[str, Any]):
    """The description of an object, `{"module", "class_name", "config", "registered_name"}`, with its class.

    Attributes:
        made: the class.
    """

    made: Any = None

    def __reduce__(self) -> Any:
        return _serialized, (dict(self), self.made)


def _serialized(entries: Config, made: Any) -> Serialized:
    found = Serialized(entries)
    found.made = made
    return found


# ---- what a configuration may name ----

_TABLES: dict[str, Table | Callable[[], Table]] = {}
_FUNCTIONS: list[Table | Callable[[], Table]] = []

CONTAINERS, LAYERS = "keras", "keras.layers"
"""The modules of Keras whose classes a configuration without a module may name, before those of any other."""


def register(module: str, table: Table | Callable[[], Table]) -> None:
    """Let configurations name the classes of `table`, beside those registered for the module before.

    Args:
        module: the module of Keras that has them ("keras.initializers").
        table: {class name: class}, or a function that returns it when it is first needed.
    """
    held = _TABLES.get(module)
    _TABLES[module] = {**held, **table} if isinstance(held, dict) and isinstance(table, dict) else table


def register_functions(table: Table | Callable[[], Table]) -> None:
    """Let configurations name the functions of `table`, {name: function}, or what a call of `table` returns."""
    _FUNCTIONS.append(table)


def table_of(module: str | None) -> Table | None:
    """The registered table of a module of Keras, or None."""
    found = _TABLES.get(module) if module is not None else None
    return found() if callable(found) else found


def class_named(name: str, module: str | None) -> Any:
    """The class that a configuration names.

    Raises:
        UnknownNameError: it is in no table.
    """
    table = table_of(module)
    if table is not None and module not in (CONTAINERS, LAYERS):
        if name in table:
            return table[name]
        raise unknown_name(str(module).removeprefix("keras."), name, table)
    for each in (CONTAINERS, LAYERS, *_TABLES):  # Keras 2 names no module
        table = table_of(each) or {}
        if name in table:
            return table[name]
    raise unknown_name("class", name, table_of(LAYERS) or {})


def _functions() -> Iterator[Table]:
    return (table() if callable(table) else table for table in _FUNCTIONS)


# ---- one object in several places ----


class _Sharing:
    """The layers that are described in several places, while a model is written or read.

    Attributes:
        written: each layer with its first description, by the layer's id.
        read: what was made of a description, by its `shared_object_id`.
        alike: what was made last of a class and a configuration: of a layer in several models Keras marks all but the first.
    """

    def __init__(self) -> None:
        self.written: dict[int, tuple[Any, Config]] = {}
        self.read: dict[int, Any] = {}
        self.alike: dict[tuple[str, str], Any] = {}

    def note(self, made: Any, found: Config) -> None:
        """A description: where it is the second of a layer, both say so."""
        _, first = self.written.setdefault(id(made), (made, found))
        if first is not found:
            number = list(self.written).index(id(made)) + 1
            first["shared_object_id"] = found["shared_object_id"] = number

    def layer(self, described: Config, make: Callable[[], Any]) -> Any:
        """The layer of a description, the same one for all that are described as one."""
        number = described.get("shared_object_id")
        key = described["class_name"], repr(described["config"])
        if number is None:
            made = self.alike[key] = make()
            return made
        if number not in self.read:
            made = self.alike.get(key)
            self.read[number] = make() if made is None else made
        return self.read[number]


_SHARING: ThreadStack[_Sharing] = ThreadStack()


@contextmanager
def sharing() -> Generator[None]:
    """Inside, a layer that appears in several places is described as one, and descriptions of one make one layer."""
    with nullcontext() if _SHARING.items else _SHARING.pushed(_Sharing()):
        yield


_REPLACED: ThreadStack[dict[str, Any]] = ThreadStack()


@contextmanager
def replacing(layers: Mapping[str, Any]) -> Generator[None]:
    """Inside, the description of a layer of one of these names, once each, stands for the layer that is given."""
    with _REPLACED.pushed(dict(layers)):
        yield


# ---- to plain data ----


def serialize(made: Any) -> Serialized:
    """The description of an object that has a `get_config`."""
    with sharing():
        return _serialize(made)


def _serialize(made: Any) -> Serialized:
    cls: Any = made.__class__
    module, registered = module_of(cls), None
    if module is None:
        module, registered = cls.__module__, registered_name(cls)
    values = made.serialized_config() if hasattr(made, "serialized_config") else made.get_config()
    config: Config = {key: plain(value) for key, value in values.items()}
    found = Serialized(module=module, class_name=cls.__name__, config=config, registered_name=registered)
    found.made = cls
    if hasattr(made, "_further_config"):
        found |= made._further_config()
        _SHARING.items[-1].note(made, found)
    return found


def module_of(cls: type) -> str | None:
    """The module of Keras that has a class of lamella's; None for a user's own class."""
    if cls.__module__.partition(".")[0] != "lamella":
        return None
    declared = getattr(cls, "keras_module", None)
    if declared is not None:
        return declared
    found = (module for module in _TABLES if (table_of(module) or {}).get(cls.__name__) is cls)
    return next(found, None)


def plain(value: Plain) -> Any:
    """`value` as plain data; a function of the user's own, and what has no `get_config`, stays as it is."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value) if type(value) in (list, tuple) else [plain(v) for v in value]
    if isinstance(value, dict):
        if isinstance(value, Serialized):
            return value
        return {key: plain(item) for key, item in value.items()}
    wrapped = getattr(value, "wrapped_function", None)
    if wrapped is not None:
        return plain(wrapped)
    known = name_of_function(value)
    if known is not None:
        return known
    if callable(value) and not isinstance(value, type) and REGISTERED.get(registered_name(value)) is value:
        return description_of_function(registered_name(value))
    return value if isinstance(value, type) or not hasattr(value, "get_config") else serialize(value)


def description_of_function(name: str) -> Serialized:
    """The description of a function of the user's own."""
    return Serialized(module="builtins", class_name="function", config=name, registered_name="function")


def name_of_function(value: Any) -> str | None:
    """The name under which Keras's tables know a function of lamella's."""
    if not callable(value):
        return None
    return next((name for table in _functions() for name in _names_for(table, value)), None)


def _names_for(table: Table, value: Any) -> Iterator[str]:
    """The names of a function in a table, which may load an entry when it is read."""
    if isinstance(table, dict):
        yield from (name for name, known in table.items() if known is value)
        return
    own = str(getattr(value, "__name__", ""))
    if own in table and table[own] is value:
        yield own


# ---- back ----


def registered_name(made: Any) -> str:
    """The name under which a class or function is registered ("package>name"); else the one it was defined with."""
    registered = (name for name, held in REGISTERED.items() if held is made and ">" in name)
    return next(registered, getattr(made, "__name__", type(made).__name__))


def is_serialized(value: Any) -> bool:
    """Whether `value` is the description of an object."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def deserialize(value: Plain) -> Any:
    """`value` with every description in it replaced by the object it describes.

    Raises:
        UnknownNameError: a class is in no table and was not given by the caller.
    """
    if isinstance(value, list | tuple):
        kind: Any = type(value)
        return kind(deserialize(v) for v in value)
    if isinstance(value, dict) and not is_serialized(value):
        return {key: deserialize(item) for key, item in value.items()}
    if not isinstance(value, dict):
        # a cell that is not a layer: every layer needs its own
        return copy.deepcopy(value) if hasattr(value, "state_size") else value
    return _object(value)


def _object(value: Config) -> Any:
    """The object of a description."""
    name, module = value["class_name"], value.get("module")
    if name == "function":
        return _function(value["config"])
    config: Config | None = value["config"]
    if _REPLACED.items and isinstance(config, dict) and config.get("name") in _REPLACED.items[-1]:
        return _REPLACED.items[-1].pop(config["name"])
    if name in ("DTypePolicy", "Policy"):
        return DTypePolicy.from_config(value["config"])
    cls = getattr(value, "made", None) or custom_object(value.get("registered_name")) or custom_object(name)
    if cls is None:
        cls = class_named(name, module)
    if getattr(cls, "deserializes_config", False):
        with sharing():
            return _SHARING.items[-1].layer(value, lambda: cls.from_config(config))
    made = {key: deserialize(item) for key, item in (config or {}).items()}
    return cls.from_config(made) if hasattr(cls, "from_config") else cls(**made)


def _function(name: str) -> Any:
    found = custom_object(name)
    if found is not None:
        return found
    tables = list(_functions())
    for table in tables:
        if name in table:
            return table[name]
    raise unknown_name("function", name, tables[0] if tables else {})


register(CONTAINERS, {"DTypePolicy": DTypePolicy})
