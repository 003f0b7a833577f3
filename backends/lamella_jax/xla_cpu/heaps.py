"""Temporaries on a CPU: XLA reallocates them on every call, and the size of the allocations matters.

glibc maps what is larger than 32 MiB again each time, and the kernel clears it page by page: in a step with 90 MB of
temporaries that was a quarter of the time. Smaller allocations reuse what was freed after the last call.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import jax

from lamella.ir.program import Program
from lamella.ir.spec import Spec, numpy_dtype

_HEAP = 12 << 20
_OPTIONS = {"xla_multiheap_size_constraint_per_heap": _HEAP}
_MUCH = 256 << 20
"""From so many bytes of intermediate values on it pays: about a fifth of them are live at a time."""


def jit(function: Callable[..., Any], program: Program) -> Callable[..., Any]:
    """`function`, which computes `program`, jitted: with small allocations where it has many bytes of intermediate values.

    Not where one value is larger than a heap: XLA gives it a separate one, and warns about that on standard error.
    """
    if sys.platform != "linux" or _bytes_between(program) < _MUCH or _largest(program) > _HEAP:
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
            if "No such compile option" not in str(error):  # XLA's internal options come and go
                raise
            jitted = jax.jit(function)
            results = jitted(*arguments)
        jax.block_until_ready(results)
        compiled = jitted
        _give_back()
        return results

    return call


def _bytes_between(program: Program) -> int:
    return sum(_bytes(v.spec) for e in program.equations for v in e.outputs)


def _largest(program: Program) -> int:
    """Bytes of the largest value; a copy of an input, of a batch above all, counts like any other."""
    return max(_bytes(v.spec) for v in (*program.inputs, *(v for e in program.equations for v in e.outputs)))


def _bytes(spec: Spec) -> int:
    return math.prod(map(int, spec.shape)) * numpy_dtype(spec.dtype).itemsize


def _give_back() -> None:
    """Return the C library's free memory to the system: compiling leaves hundreds of megabytes."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


__all__ = ["jit"]
