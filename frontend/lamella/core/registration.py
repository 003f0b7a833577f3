"""Keras's functions that register classes and functions of the user's own, and that describe objects as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lamella.core import serialization
from lamella.errors import ArgumentError
from lamella.names import REGISTERED, custom_object

T = TypeVar("T")


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Register a class or a function, so that files and `get` functions find it without `custom_objects`.

    >>> @register_keras_serializable("mine")
    ... def halved(x):
    ...     return x / 2
    >>> get_registered_name(halved)
    'mine>halved'
    >>> from lamella import layers
    >>> layers.deserialize(layers.serialize(layers.Activation(halved))).activation is halved
    True

    Args:
        package: the first part of the name.
        name: the second part; by default the name that the class or function was defined with.

    Returns:
        A decorator, which returns what it registers.

    Raises:
        ArgumentError: a class has no `get_config`.
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
    """The classes and functions registered for the process, by name; the dict may be changed.

    >>> get_custom_objects()["triple"] = lambda x: 3 * x
    >>> from lamella import activations
    >>> activations.get("triple")(2)
    6
    >>> del get_custom_objects()["triple"]
    """
    return REGISTERED


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function is registered ("package>name"); else the one it was defined with.

    >>> get_registered_name(print)
    'print'

    Args:
        obj: the class or function.
    """
    return serialization.registered_name(obj)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """The class or function of a name: that of a scope, a registered one, or one of the two dicts; else None.

    >>> get_registered_object("a", {"a": 1}, {"a": 2, "b": 3}), get_registered_object("c")
    (1, None)

    Args:
        name: the name, "package>name" for what `register_keras_serializable` registered.
        custom_objects: searched after what is registered.
        module_objects: searched last.
    """
    found = custom_object(name)
    if found is not None:
        return found
    return (custom_objects or {}).get(name, (module_objects or {}).get(name))


def serialize_keras_object(obj: Any) -> Any:
    """An object as plain data: {"module": ..., "class_name": ..., "config": {...}, "registered_name": ...}.

    >>> from lamella import regularizers
    >>> serialize_keras_object([1, regularizers.L2(0.5)])[1]["config"]
    {'l2': 0.5}

    Args:
        obj: a layer, an initializer, a loss ..., a function, plain data, or a list or dict of them.

    Raises:
        ArgumentError: no plain data can describe it.
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
    """What `serialize_keras_object` described.

    >>> from lamella import initializers
    >>> deserialize_keras_object(serialize_keras_object(initializers.Constant(2.0)))
    Constant(value=2.0)

    Args:
        config: the description, or data with descriptions in it.
        custom_objects: classes and functions of your own that it names: {name: class}.

    Raises:
        UnknownNameError: it names a class or function that lamella does not know.
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
        module: the module, "keras.losses"; one with an entry in `_EXAMPLES`.
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
    """An activation as plain data: the name of one of lamella's, else a description."""
    return serialization.name_of_function(function) or serialize_keras_object(function)
