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


_EXAMPLES = {
    "keras.layers": (
        "layers.serialize(layers.Dense(2))['class_name']", "'Dense'",
        "layers.deserialize({'class_name': 'Dense', 'config': {'units': 2}}).units", "2",
    ),
    "keras.losses": (
        "losses.serialize(losses.Huber(delta=2.0))['class_name']", "'Huber'",
        "losses.deserialize({'class_name': 'Huber', 'config': {'delta': 2.0}}).name", "'huber_loss'",
    ),
    "keras.metrics": (
        "metrics.serialize(metrics.Precision(top_k=3))['class_name']", "'Precision'",
        "metrics.deserialize({'class_name': 'Precision', 'config': {'top_k': 3}}).top_k", "3",
    ),
    "keras.optimizers": (
        "optimizers.serialize(optimizers.SGD(0.5))['class_name']", "'SGD'",
        "float(optimizers.deserialize({'class_name': 'SGD', 'config': {'learning_rate': 0.5}}).learning_rate)", "0.5",
    ),
    "keras.initializers": (
        "initializers.serialize(initializers.Constant(2.0))['config']", "{'value': 2.0}",
        "initializers.deserialize({'class_name': 'Constant', 'config': {'value': 2.0}})", "Constant(value=2.0)",
    ),
    "keras.regularizers": (
        "regularizers.serialize(regularizers.L2(0.5))['config']", "{'l2': 0.5}",
        "regularizers.deserialize({'class_name': 'L2', 'config': {'l2': 0.5}})", "L2(l2=0.5)",
    ),
    "keras.constraints": (
        "constraints.serialize(constraints.MaxNorm(2.0))['config']", "{'max_value': 2.0, 'axis': 0}",
        "constraints.deserialize({'class_name': 'MaxNorm', 'config': {'max_value': 2.0}})",
        "MaxNorm(max_value=2.0, axis=0)",
    ),
    "keras.activations": (
        "activations.serialize(activations.relu)", "'relu'",
        "activations.deserialize('relu') is activations.relu", "True",
    ),
    "keras": (
        "dtype_policies.serialize(dtype_policies.DTypePolicy('mixed_bfloat16'))['config']", "{'name': 'mixed_bfloat16'}",
        "dtype_policies.deserialize('mixed_bfloat16').compute_dtype", "'bfloat16'",
    ),
}  # fmt: skip
"""For each module what its `serialize` and its `deserialize` show in their docstrings: an expression and its value each."""


def for_module(
    module: str, named: Callable[[Any], Any], described: Callable[[Any], Any] = serialize_keras_object
) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """`serialize` and `deserialize` of a module of Keras.

    Args:
        module: the module, "keras.losses"; which has an entry in `_EXAMPLES`.
        named: returns the object for a name, or for a description that names no module.
        described: returns the description of an object.
    """
    described_example, described_value, revived_example, revived_value = _EXAMPLES[module]
    package = described_example.partition(".")[0]
    what = f"one of `lamella.{package}`"

    def serialize(obj: Any) -> Any:
        return described(obj)

    def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        with serialization.custom_objects(custom_objects):
            if isinstance(config, str):
                return named(config)
            if serialization.is_serialized(config) and config.get("module") is None:
                return named({**config, "config": serialization.deserialize(config["config"])})
            return serialization.deserialize(config)

    serialize.__doc__ = f"""Describe an object, {what}, as plain data that `deserialize` takes.

    Args:
        obj: the object or function.

    Returns:
        A dict that can be written as JSON, or a name.

    Raises:
        ArgumentError: the object cannot be described by plain data.

    Example:
        >>> from lamella import {package}
        >>> {described_example}
        {described_value}
    """
    deserialize.__doc__ = f"""Make an object, {what}, from its name or its description.

    Args:
        config: the name, or what `serialize` returned.
        custom_objects: user-defined classes and functions that the description names: {{name: class}}.

    Returns:
        The object or function.

    Raises:
        UnknownNameError: the description names a class or function that lamella does not know.

    Example:
        >>> from lamella import {package}
        >>> {revived_example}
        {revived_value}
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
