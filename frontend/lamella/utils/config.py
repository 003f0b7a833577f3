"""A dict whose entries are also attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from lamella.errors import ArgumentError, did_you_mean


class Config(MutableMapping[str, Any]):
    """A dict whose entries are also attributes, and which can be frozen.

    Args:
        **kwargs: the initial entries.

    Raises:
        ArgumentError: an entry has the name of a method, or an entry is changed while the configuration is frozen.

    Example:
        >>> config = Config(learning_rate=0.1)
        >>> config.seed = 3
        >>> config["seed"], config.learning_rate, config.to_json()
        (3, 0.1, '{"learning_rate": 0.1, "seed": 3}')
    """

    _entries: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_entries", {})
        object.__setattr__(self, "_frozen", False)
        self.update(kwargs)

    @property
    def frozen(self) -> bool:
        """Whether the configuration is frozen."""
        return self._frozen

    def freeze(self) -> None:
        """Reject all further changes with an `ArgumentError`."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self) -> dict[str, Any]:
        """Return the entries as a new dict."""
        return dict(self._entries)

    def to_json(self) -> str:
        """Return the entries as JSON text."""
        return json.dumps(self._entries)

    def __getitem__(self, name: str) -> Any:
        """The entry of a name."""
        return self._entries[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Set an entry."""
        self._changing(name)
        if hasattr(type(self), name):
            raise ArgumentError(f"an entry of a Config cannot be called {name!r}, which is a method of it.")
        self._entries[name] = value

    def __delitem__(self, name: str) -> None:
        """Remove an entry."""
        self._changing(name)
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._entries)

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def __getattr__(self, name: str) -> Any:
        entries = self.__dict__.get("_entries", {})  # there is none while it is unpickled
        if name in entries:
            return entries[name]
        hint = f": {did_you_mean(name, entries)}" if entries and not name.startswith("__") else "."
        raise AttributeError(f"the Config has no entry {name!r}{hint}", name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def _changing(self, name: str) -> None:
        if self._frozen:
            raise ArgumentError(f"the entry {name!r} cannot be changed: the Config is frozen; call unfreeze() first.")

    def __repr__(self) -> str:
        return f"<Config {self._entries!r}>"
