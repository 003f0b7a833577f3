"""NumPy's BLAS on one thread while large programs run: its own threads wait for work by spinning."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

Control = tuple[Callable[[], int], Callable[[int], object]]
"""How the number of a BLAS's threads is asked for, and how it is set."""

_NAMES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")


@cache
def control() -> Control | None:
    """The BLAS that NumPy brought along, else what threadpoolctl finds; None where its threads cannot be set."""
    return _bundled() or _found()


def _bundled() -> Control | None:
    import ctypes

    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            try:
                library = ctypes.CDLL(str(path))
            except OSError:
                continue
            for name in _NAMES:
                get, put = (getattr(library, name.format(f"{verb}_num_threads"), None) for verb in ("get", "set"))
                if get is not None and put is not None:
                    get.restype, put.argtypes, put.restype = ctypes.c_int, [ctypes.c_int], None
                    return get, put
    return None


def _found() -> Control | None:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    libraries = [c for c in ThreadpoolController().lib_controllers if c.user_api == "blas"]
    if len(libraries) != 1 or libraries[0].num_threads is None:
        return None
    return libraries[0].get_num_threads, libraries[0].set_num_threads


_LOCK = threading.RLock()
_INSIDE: set[object] = set()
_BEFORE: int | None = None
"""How many threads BLAS gets back; None when it has them."""


def _enter(token: object, control: Control) -> None:
    global _BEFORE
    get, put = control
    with _LOCK:
        if _BEFORE is None:
            _BEFORE = get()
        _INSIDE.add(token)
        if _BEFORE != 1:
            put(1)


def _leave(token: object, control: Control) -> None:
    global _BEFORE
    _, put = control
    with _LOCK:
        _INSIDE.discard(token)
        if not _INSIDE and _BEFORE is not None:
            if _BEFORE != 1:
                put(_BEFORE)
            _BEFORE = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it BLAS computes each product on the thread that asks for it; the last one to leave restores its threads."""
    found, token = control(), object()
    if found is None:
        yield
        return
    try:
        _enter(token, found)
        yield
    finally:  # an interrupt may come at any line, also here
        try:
            _leave(token, found)
        except BaseException:
            _leave(token, found)
            raise


def cores() -> int:
    """How many threads compute: `LAMELLA_THREADS`, else what the user told BLAS, else the cores of this process."""
    for name in ("LAMELLA_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        text = os.environ.get(name, "").strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_child() -> None:
    """A process forked while a program runs has no such program: its BLAS gets its threads back."""
    global _LOCK
    _LOCK = threading.RLock()
    found = control() if _BEFORE is not None else None
    _INSIDE.clear()
    if found is not None:
        _leave(None, found)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

__all__ = ["control", "cores", "one_thread"]
