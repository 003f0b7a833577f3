"""The processes that train one model together: which of them this one is, and what they tell each other.

There is one process until `lamella.distribution.initialize` connects several. Every one of them must reach each exchange.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lamella.errors import DataError

Exchange = Callable[[bytes], list[bytes]]
"""Gives every process the bytes of each, in the order of the processes; they may differ in length."""


class _Group:
    index = 0
    count = 1
    exchange: Exchange | None = None


def index() -> int:
    """The number of this process, from 0."""
    return _Group.index


def count() -> int:
    """How many processes there are."""
    return _Group.count


def join(index: int, count: int, exchange: Exchange) -> None:
    """This process is the one with `index` among `count`, which tell each other by `exchange`."""
    _Group.index, _Group.count, _Group.exchange = index, count, exchange


def told(value: Any) -> list[Any]:
    """What each process has for `value`, which JSON can hold, in the order of the processes."""
    if _Group.exchange is None:
        return [value]
    return [json.loads(text) for text in _Group.exchange(json.dumps(value).encode())]


def agree(facts: Mapping[str, Any], fix: str = "") -> None:
    """Refuse to continue where processes differ; every process raises, since each receives the difference.

    Raises:
        DataError: a fact differs: it is named, with what this and the first other process have.
    """
    if _Group.count == 1:
        return
    everyone = told(dict(facts))
    for name in dict.fromkeys(name for each in everyone for name in each):  # a process may have other facts
        first = everyone[0].get(name)
        for other, theirs in enumerate(everyone):
            if theirs.get(name) != first:
                raise DataError(
                    f"the processes of this run differ: {name} is {first} in process 0 and {theirs.get(name)} in "
                    f"process {other}; give every process the same{fix}."
                )


@contextmanager
def written_once() -> Iterator[bool]:
    """Around the writing of a file: whether this process writes it, process 0 alone; all continue when it is written.

    Raises:
        OSError: process 0 could not write it; in every process.
    """
    if _Group.count == 1:
        yield True
        return
    failed: str | None = "it was interrupted"
    try:
        yield _Group.index == 0
        failed = None
    except Exception as error:
        failed = str(error)
        raise
    finally:
        everyone = told(failed)
    if everyone[0] is not None:
        raise OSError(f"process 0 could not write a file: {everyone[0]}")


__all__ = ["Exchange", "agree", "count", "index", "join", "told", "written_once"]
