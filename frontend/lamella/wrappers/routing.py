"""Parameters by prefix, `optimizer__learning_rate`, and the objects that are made with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lamella import losses, metrics, optimizers
from lamella.errors import ArgumentError, unknown_name
from lamella.names import by_name

PREFIXES = ("callbacks", "compile", "fit", "loss", "metrics", "model", "optimizer", "predict", "score")
"""Where a parameter may be routed to."""


def destination(name: str) -> str | None:
    """Return the prefix of a routed parameter, None for any other name.

    Example:
        >>> destination("optimizer__learning_rate")
        'optimizer'
    """
    prefix, found, _ = name.partition("__")
    return prefix if found and prefix in PREFIXES else None


def routed(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the parameters with a prefix, without the prefix.

    Example:
        >>> routed({"fit__epochs": 3, "epochs": 1}, "fit")
        {'epochs': 3}
    """
    start = f"{prefix}__"
    return {name.removeprefix(start): value for name, value in params.items() if name.startswith(start)}


def made(kind: str, given: Any, params: Mapping[str, Any], known: Callable[[str], Any] | None = None) -> Any:
    """Return `given` with its parameters: classes, and names with parameters, become objects.

    Args:
        kind: the prefix of the parameters, for messages.
        given: a name, a class, an object, or a list or dict of these.
        params: the parameters without the prefix. `name` applies to every entry of a list or dict, `0__name` or
            `key__name` to one of them.
        known: returns the class of a name; None if names are not supported.

    Raises:
        ArgumentError: there are parameters for something that is neither a name nor a class, or for an entry that does
            not exist.

    Example:
        >>> from lamella.optimizers import SGD
        >>> made("optimizer", SGD, {"learning_rate": 0.5}).learning_rate
        0.5
    """
    if isinstance(given, Mapping | list | tuple):
        entries = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
        keys = [str(key) for key in entries]
        for name in params:
            if "__" in name and name.partition("__")[0] not in keys:
                raise unknown_name("parameter", f"{kind}__{name}", [f"{kind}__{key}__..." for key in keys])
        common = {name: value for name, value in params.items() if "__" not in name}
        found = {
            key: made(f"{kind}__{key}", entry, {**common, **routed(params, str(key))}, known)
            for key, entry in entries.items()
        }
        return found if isinstance(given, Mapping) else list(found.values())
    if isinstance(given, str) and params and known is not None:
        given = known(given)
    if isinstance(given, type):
        return given(**params)
    if params:
        raise ArgumentError(
            f"{kind}__{next(iter(params))} needs {kind} to be a {'class' if known is None else 'name or a class'}, "
            f"got {given!r}."
        )
    return given


CLASSES: Mapping[str, Callable[[str], Any]] = {
    "optimizer": lambda name: type(optimizers.get(name)),
    "loss": lambda name: by_name("loss", name, losses.TABLE, losses.OLD),
    "metrics": lambda name: by_name("metric", name, metrics.TABLE, metrics.OLD),
}
"""For the arguments of `compile` that take names the classes that these stand for."""
