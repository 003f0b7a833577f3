"""What computes programs: the plain lowerings and, on a CPU, the overrides of `xla_cpu`, which this module alone reads.

With `LAMELLA_XLA_QUIRKS=0` in the environment (read once; 1 by default) the plain lowerings are used on a CPU as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax

from lamella.ir.program import Program
from lamella_jax import lowerings
from lamella_jax.platform_choice import choose
from lamella_jax.xla_cpu.convolution import ROWS_TOGETHER
from lamella_jax.xla_cpu.table import OVERRIDES, kernels_with

QUIRKS = os.environ.get("LAMELLA_XLA_QUIRKS", "1") != "0"

_USED = OVERRIDES if QUIRKS else ()

KERNELS = kernels_with(_USED)
"""What computes each op, on every platform."""


def function_of(program: Program, alone: bool = False, split: bool = False) -> Callable[..., tuple[Any, ...]]:
    """`program` as a function of arrays to the tuple of its outputs, in the form that suits the platform it is lowered for.

    Args:
        program: a prepared program.
        alone: whether the function is compiled as it is, under no transformation of JAX. Only then may it branch on values:
            `vmap` would compute both branches.
        split: whether the rows of a batch are on several devices, so that nothing may take them a few at a time.
    """
    if split:
        return _with_rows_together(function_of(program))
    plain = partial(lowerings.outputs, KERNELS, program)
    rewritten = reduce(lambda program, o: o.rewrite(program) if o.rewrite else program, _USED, program)
    fused = [f for o in _USED if alone and o.fuse and (f := o.fuse(KERNELS, rewritten))]
    if rewritten is program and not fused:
        return plain
    cpu = fused[0] if fused else partial(lowerings.outputs, KERNELS, rewritten)

    def outputs(*arrays: Any) -> tuple[Any, ...]:
        return choose(cpu, plain, *arrays)

    return outputs


def _with_rows_together(function: Callable[..., Any]) -> Callable[..., Any]:
    def outputs(*arrays: Any) -> Any:
        with ROWS_TOGETHER.pushed(True):
            return function(*arrays)

    return outputs


def jit(function: Callable[..., Any], program: Program) -> Callable[..., Any]:
    """`function`, which computes `program`, jitted. It donates nothing."""
    found = [o.jit for o in _USED if o.jit and jax.default_backend() == "cpu"]
    return found[0](function, program) if found else jax.jit(function)


__all__ = ["KERNELS", "QUIRKS", "function_of", "jit"]
