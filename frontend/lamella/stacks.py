"""The one helper for what is in force in a thread: a stack that each thread has for itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class ThreadStack(threading.local, Generic[T]):
    """A stack of items, one stack per thread, innermost last.

    >>> names: ThreadStack[str] = ThreadStack()
    >>> with names.pushed("numpy"):
    ...     names.top
    'numpy'
    >>> names.top is None
    True
    """

    def __init__(self) -> None:
        self.items: list[T] = []

    @property
    def top(self) -> T | None:
        """The innermost item, or None."""
        return self.items[-1] if self.items else None

    @contextmanager
    def pushed(self, item: T) -> Iterator[T]:
        """Put `item` on top inside a `with` block."""
        self.items.append(item)
        try:
            yield item
        finally:
            self.items.pop()

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Hide all items inside a `with` block."""
        before, self.items = self.items, []
        try:
            yield
        finally:
            self.items = before
