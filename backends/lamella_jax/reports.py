"""XLA's compilations, reported to `lamella.compiling` with their causes.

JAX compiles when a jitted function is first called for arrays of a shape. Just before, and at no other time, it traces the
function: there the cause is noted, so that later calls pay nothing. JAX's monitoring events give the seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax

from lamella import compiling
from lamella.compiling import Reason

_PREFIX = "/jax/core/compile/"
_COMPILED = "backend_compile_duration"
_ALONE = "an operation called on its own, or code outside lamella"


class _Noted(threading.local):
    """What this thread's next compilation is known to be.

    Attributes:
        reason: why the function traced last is compiled; None once that is done.
        seconds: how long each stage before the compilation took, the last time.
    """

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.seconds: dict[str, float] = {}


_NOTED = _Noted()


def reported(function: Callable[..., Any], reason: Reason) -> Callable[..., Any]:
    """`function` under the name of `reason`, to be jitted; its compilations are reported with that cause."""

    def traced(*arguments: Any) -> Any:
        results = function(*arguments)
        _NOTED.reason = reason  # behind what the trace itself computes and compiles
        return results

    traced.__name__ = traced.__qualname__ = reason.name
    return traced


def _heard(event: str, duration_secs: float, **about: str | int) -> None:
    """Note the stages of a compilation as JAX tells of them, and report it with the last one."""
    if not event.startswith(_PREFIX):
        return
    stage, fun_name = event.removeprefix(_PREFIX), str(about.get("fun_name", ""))
    _NOTED.seconds[stage] = duration_secs
    if stage != _COMPILED:
        return
    total, _NOTED.seconds = sum(_NOTED.seconds.values()), {}
    reason, _NOTED.reason = _NOTED.reason, None
    if reason is None or fun_name not in ("", reason.name, f"jit({reason.name})"):  # traced inside another function
        reason = Reason(fun_name or "a function", _ALONE)
    compiling.report("XLA", reason, total)


jax.monitoring.register_event_duration_secs_listener(_heard)
