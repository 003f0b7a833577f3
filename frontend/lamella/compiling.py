"""What keeps compilations few and visible: a bounded cache, the grid that sizes are rounded up on, and a log.

A backend reports every compilation here, with what was compiled, why, and for how long. `LAMELLA_LOG_COMPILES=1` in the
environment prints each as one line on stderr; `recorded` gives them to a program.
"""

from __future__ import annotations

import os
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, NamedTuple, TypeVar

from lamella.stacks import ThreadStack

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

VARIABLE = "LAMELLA_LOG_COMPILES"


class Recent(Generic[K, V]):
    """A mapping that holds at most `bound` entries: the least recently used one goes when another is added.

    Setting, `get` and `[]` count as use; `in` and iteration, from the least recently used on, do not. Threads may share it.

    >>> held: Recent[str, int] = Recent(2)
    >>> held["a"], held["b"] = 1, 2
    >>> held["a"]
    1
    >>> held["c"] = 3
    >>> list(held)
    ['a', 'c']
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._held: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, default: D = None) -> V | D:
        """The entry of `key`, else `default`."""
        try:
            value = self._held[key]
            self._held.move_to_end(key)
        except KeyError:  # another thread may have removed it between the two
            return default
        return value

    def __getitem__(self, key: K) -> V:
        value = self._held[key]
        self._held.move_to_end(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._held[key] = value
        self._held.move_to_end(key)
        while len(self._held) > self.bound:
            self._held.popitem(last=False)

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Remove every entry."""
        self._held.clear()


def rounded_up(rows: int) -> int:
    """`rows` rounded up to one of four sizes per octave, by less than a quarter: nearby sizes then share a program.

    >>> [rounded_up(n) for n in (3, 17, 33, 41, 65)]
    [3, 20, 40, 48, 80]
    """
    unit = 1 << max(rows.bit_length() - 3, 0)
    return -(-rows // unit) * unit


class Reason(NamedTuple):
    """What is being compiled, and why.

    Attributes:
        name: of the function: "train_step", "predict".
        cause: "first batch ...", "new batch size 48".
    """

    name: str
    cause: str


class Compilation(NamedTuple):
    """One compilation.

    Attributes:
        kind: what was made: "program" (a step traced and differentiated), or a backend's "XLA" or "NumPy".
        name: of the function.
        cause: why.
        seconds: how long it took.
    """

    kind: str
    name: str
    cause: str
    seconds: float


_REASONS: ThreadStack[Reason] = ThreadStack()
_RECORDS: list[list[Compilation]] = []
_TOTAL = [0]


def because(name: str, cause: str) -> AbstractContextManager[Reason]:
    """Give what this thread compiles inside a `with` block its name and its cause.

    >>> with because("predict", "first batch"):
    ...     reason()
    Reason(name='predict', cause='first batch')
    """
    return _REASONS.pushed(Reason(name, cause))


def reason() -> Reason:
    """The innermost `because` of this thread."""
    return _REASONS.top or Reason("program", "compiled on its own")


def report(kind: str, reason: Reason, seconds: float) -> None:
    """Tell of a compilation that has ended.

    Args:
        kind: what was made, see `Compilation`.
        reason: the function and the cause.
        seconds: how long it took.

    >>> with recorded() as found:
    ...     report("XLA", Reason("predict", "first batch"), 0.25)
    >>> found
    [Compilation(kind='XLA', name='predict', cause='first batch', seconds=0.25)]
    """
    made = Compilation(kind, *reason, seconds)
    _TOTAL[0] += 1
    for record in list(_RECORDS):
        record.append(made)
    if os.environ.get(VARIABLE) == "1":
        print(f"lamella compiled {made.name} ({kind}) in {seconds:.3f} s: {made.cause}", file=sys.stderr, flush=True)


@contextmanager
def timed(kind: str) -> Iterator[None]:
    """Report what is compiled inside a `with` block, with this thread's `reason`; nothing where it fails.

    >>> with recorded() as found, timed("NumPy"):
    ...     pass
    >>> found[0].kind
    'NumPy'
    """
    start = time.perf_counter()
    yield
    report(kind, reason(), time.perf_counter() - start)


def total() -> int:
    """How many compilations this process has reported.

    >>> before = total()
    >>> report("XLA", Reason("predict", "first batch"), 0.25)
    >>> total() - before
    1
    """
    return _TOTAL[0]


@contextmanager
def recorded() -> Iterator[list[Compilation]]:
    """A list that receives every compilation of the process while the `with` block runs.

    >>> with recorded() as found:
    ...     pass
    >>> found
    []
    """
    found: list[Compilation] = []
    _RECORDS.append(found)
    try:
        yield found
    finally:
        _RECORDS[:] = [record for record in _RECORDS if record is not found]
