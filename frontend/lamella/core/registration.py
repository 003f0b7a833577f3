"""Registration of user-defined classes and functions, and descriptions of objects as plain data, with Keras's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lamella.core import serialization
from lamella.errors import ArgumentError
from lamella.names import REGISTERED, custom_object

T = TypeVar("T")


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Register a class or a function, so that files and `get` functions find it without `custom_objects`.

    Args:
        package: the first part of the registered name.
        name: the second part; by default the name in the definition.

    Returns:
        A decorator that returns its argument unchanged.

    Raises:
        ArgumentError: a class has no `get_config`.

    Example:
        >>> @register_keras_serializable("mine")
        ... def halved(x):
        ...     return x / 2
        >>> get_registered_name(halved)
        'mine>halved'
        >>> from lamella import layers
        >>> layers.deserialize(layers.serialize(layers.Activation(halved))).activation is halved
        True
    """

    def registered(made: T) -> T:
        if isinstance(made, type) and not hasattr(made, "get_config"):
            raise ArgumentError(
                f"The class {made.__name__} has no `get_config`, so that no file could describe an object of it: write one "
                "that returns the arguments of its constructor as a dict."
            )
        REGISTERED[f"{package}>{getattr(made, '__name__', type(made).__name__) if name is None else name}"] = made
        return made

    return registered


def get_custom_objects() -> dict[str, Any]:
    """Return the classes and functions that are registered for the process; changes of the dict take effect.

    Returns:
        The dict from name to class or function.

    Example:
        >>> get_custom_objects()["triple"] = lambda x: 3 * x
        >>> from lamella import activations
        >>> activations.get("triple")(2)
        6
        >>> del get_custom_objects()["triple"]
    """
    return REGISTERED


def get_registered_name(obj: Any) -> str:
    """Return the name under which a class or function is registered, `package>name`.

    Args:
        obj: the class or function.

    Returns:
        The registered name; the name in the definition if `obj` is not registered.

    Example:
        >>> get_registered_name(print)
        'print'
    """
    return serialization.registered_name(obj)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """Return the class or function with a given name.

    Args:
        name: the name; `package>name` for objects registered with `register_keras_serializable`.
        custom_objects: dict that is searched after scopes and registered objects.
        module_objects: dict that is searched last.

    Returns:
        The class or function, or None if there is none.

    Example:
        >>> get_registered_object("a", {"a": 1}, {"a": 2, "b": 3}), get_registered_object("c")
        (1, None)
    """
    found = custom_object(name)
    if found is not None:
        return found
    return (custom_objects or {}).get(name, (module_objects or {}).get(name))


def serialize_keras_object(obj: Any) -> Any:
    """Return an object as plain data.

    Args:
        obj: a layer, an initializer, a loss or another object with a `get_config`, a function, plain data, or a list or
            dict of them.

    Returns:
        A dict with the keys `module`, `class_name`, `config` and `registered_name`; lists, dicts and plain data keep
        their structure.

    Raises:
        ArgumentError: plain data cannot describe the object.

    Example:
        >>> from lamella import regularizers
        >>> serialize_keras_object([1, regularizers.L2(0.5)])[1]["config"]
        {'l2': 0.5}
    """
    if _is_function(obj):
        name = serialization.name_of_function(obj) or serialization.registered_name(obj)
        if not name.rpartition(">")[2].isidentifier():
            raise ArgumentError(f"{obj!r} cannot be described by a name: define the function with `def`.")
        return serialization.description_of_function(name)
    described = serialization.plain(obj)
    if described is obj and not isinstance(obj, dict | bool | int | float | str | None):
        raise ArgumentError(f"{obj!r} cannot be described as plain data: give its class a `get_config`.")
    return described


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the object that `serialize_keras_object` described.

    Args:
        config: the description, or a structure with descriptions in it.
        custom_objects: dict from name to class or function, for the user-defined objects that it names.

    Returns:
        The object, or the structure of objects.

    Raises:
        UnknownNameError: it names a class or function that lamella does not know.

    Example:
        >>> from lamella import initializers
        >>> deserialize_keras_object(serialize_keras_object(initializers.Constant(2.0)))
        Constant(value=2.0)
    """
    with serialization.custom_objects(custom_objects):
        return serialization.deserialize(config)


def for_module(
    module: str, named: Callable[[Any], Any], described: Callable[[Any], Any] = serialize_keras_object
) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """`serialize` and `deserialize` of a module of Keras.

    Args:
        module: the module, "keras.losses".
        named: what a name, or a description that names no module, stands for in it.
        described: how its objects are described.
    """
    kind = module.rpartition(".")[2]

    def serialize(obj: Any) -> Any:
        return described(obj)

    def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        with serialization.custom_objects(custom_objects):
            if isinstance(config, str):
                return named(config)
            if serialization.is_serialized(config) and config.get("module") is None:
                return named({**config, "config": serialization.deserialize(config["config"])})
            return serialization.deserialize(config)

    serialize.__doc__ = f"""One of the {kind} as plain data, which `deserialize` takes.

    Args:
        obj: the object or function.

    Raises:
        ArgumentError: no plain data can describe it.
    """
    deserialize.__doc__ = f"""The one of the {kind} that a name or a description stands for.

    Args:
        config: the name, or what `serialize` gave.
        custom_objects: classes and functions of your own that it names: {{name: class}}.

    Raises:
        UnknownNameError: it names a class or function that lamella does not know.
    """
    for function in (serialize, deserialize):
        function.__module__ = module.replace("keras", "lamella", 1)
        function.__qualname__ = function.__name__
    return serialize, deserialize


def _is_function(obj: Any) -> bool:
    return callable(obj) and not isinstance(obj, type) and not hasattr(obj, "get_config")


def serialized_function(function: Any) -> Any:
    """Return an activation as plain data: the name of a function of lamella, otherwise a description."""
    return serialization.name_of_function(function) or serialize_keras_object(function)
