"""Temporary memory on a CPU: XLA takes it anew for every call, and it matters in what pieces.

glibc maps what is larger than 32 MiB afresh each time, and the kernel clears it page by page: in a step with 90 MB of
temporaries that was a quarter of the time. Smaller pieces come back from what was freed after the last call.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import jax

from lamella.ir.program import Program
from lamella.ir.spec import numpy_dtype

_OPTIONS = {"xla_multiheap_size_constraint_per_heap": 12 << 20}
_MUCH = 256 << 20
"""From so many bytes of intermediate values on it is worth while: about a fifth of them are there at a time."""


def jit(function: Callable[..., Any], program: Program) -> Callable[..., Any]:
    """`function`, which computes `program`, jitted: where there is much between, with temporary memory in small pieces."""
    if sys.platform != "linux" or jax.default_backend() != "cpu" or _bytes_between(program) < _MUCH:
        return jax.jit(function)
    compiled: Callable[..., Any] | None = None

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        if compiled is not None:
            return compiled(*arguments)
        jitted = jax.jit(function, compiler_options=_OPTIONS)
        try:
            results = jitted(*arguments)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):  # of XLA's inner ones, which come and go
                raise
            jitted = jax.jit(function)
            results = jitted(*arguments)
        jax.block_until_ready(results)
        compiled = jitted
        _give_back()
        return results

    return call


def _bytes_between(program: Program) -> int:
    values = (v.spec for e in program.equations for v in e.outputs)
    return sum(math.prod(map(int, s.shape)) * numpy_dtype(s.dtype).itemsize for s in values)


def _give_back() -> None:
    """Let the C library return to the system what it keeps free: compiling leaves hundreds of megabytes."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


__all__ = ["jit"]
