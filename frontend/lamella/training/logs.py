"""Logs whose values are fetched on first access."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, ValuesView
from typing import Any

_UNREAD: Any = object()


class Logs(dict[str, float]):
    """A dict of floats whose keys are known and whose values are fetched together on first access.

    Its length, its keys and `in` fetch nothing, so that a hook that does not read the logs does not make the host wait for
    the device. Otherwise it behaves as a dict: values may be set and deleted, and `dict(logs)` and `{**logs}` are plain
    dicts.

    Args:
        keys: the keys, in order.
        fetch: returns the values; called at most once.
    """

    def __init__(self, keys: Iterable[str], fetch: Callable[[], dict[str, float]]) -> None:
        super().__init__()
        super().update((key, _UNREAD) for key in keys)
        self._fetch: Callable[[], dict[str, float]] | None = fetch

    def _read(self) -> None:
        if self._fetch is None:
            return
        for key, value in self._fetch().items():
            if super().get(key) is _UNREAD:  # not set or deleted since
                super().__setitem__(key, value)
        self._fetch = None

    def __getitem__(self, key: str) -> float:
        """The value of a key."""
        if super().__getitem__(key) is _UNREAD:
            self._read()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` where there is none."""
        return self[key] if key in self else default

    def __iter__(self) -> Iterator[str]:
        """The keys. (That there is such a method makes `dict(logs)` go through `__getitem__`.)"""
        return super().__iter__()

    def values(self) -> ValuesView[float]:  # type: ignore[override]
        """The values."""
        self._read()
        return super().values()

    def items(self) -> ItemsView[str, float]:  # type: ignore[override]
        """Keys and values."""
        self._read()
        return super().items()

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value."""
        self._read()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, float]:
        """Remove the last key and return it with its value."""
        self._read()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is `default` from now on where there was none."""
        self._read()
        return super().setdefault(key, default)

    def copy(self) -> dict[str, float]:
        """A plain dict."""
        return dict(self)

    def __or__(self, other: Any) -> Any:
        """A plain dict, with what `other` holds besides or instead."""
        return dict(self) | other

    def __ror__(self, other: Any) -> Any:
        """A plain dict: `other`, with these logs besides or instead."""
        return other | dict(self)

    def __eq__(self, other: object) -> bool:
        """Whether the keys and values are those of another dict."""
        self._read()
        return super().__eq__(other)

    __hash__ = None

    def __ne__(self, other: object) -> bool:
        """Whether the keys or values differ from those of another dict."""
        return not self == other

    def __repr__(self) -> str:
        self._read()
        return super().__repr__()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
