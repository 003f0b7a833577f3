"""The overrides: what XLA does on a CPU, what is done instead, and where that was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax

from lamella.ir.program import Op, Program
from lamella.ops import primitives as p
from lamella_jax import attention
from lamella_jax.lowerings import Kernels, outputs, table
from lamella_jax.xla_cpu import benchmarks, convolution, fused_pooling, heaps, pooling, scans


@dataclass(frozen=True)
class Override:
    """A workaround. It is one of `lowerings`, `rewrite`, `fuse` and `jit`.

    Attributes:
        name: what the command and the documentation call it.
        reason: what XLA does on a CPU, and what the override does instead.
        measured: for each jaxlib release that it was measured on, its time relative to the time without it.
        benchmark: makes what the command times.
        lowerings: ops with the functions that replace the plain lowerings; they choose their form by platform.
        rewrite: returns a program with the same results, or the program itself.
        fuse: returns a function that computes a program with branches on values, or None.
        jit: replaces `jax.jit` for a function that computes a program.
    """

    name: str
    reason: str
    measured: Mapping[str, float]
    benchmark: benchmarks.Benchmark
    lowerings: Mapping[Op, Callable[..., Any]] = field(default_factory=dict)
    rewrite: Callable[[Program], Program] | None = None
    fuse: Callable[[Kernels, Program], Callable[..., Any] | None] | None = None
    jit: Callable[[Callable[..., Any], Program], Callable[..., Any]] | None = None


def _rewritten(rewrite: Callable[[Program], Program]) -> Callable[..., Any]:
    return lambda kernels, program: jax.jit(partial(outputs, kernels, rewrite(program)))


def _fused(kernels: Kernels, program: Program) -> Callable[..., Any] | None:
    function = fused_pooling.fused(kernels, program)
    return function and jax.jit(function)


def _in_heaps(kernels: Kernels, program: Program) -> Callable[..., Any]:
    return heaps.jit(partial(outputs, kernels, program), program)


_CONVOLVE = {p.convolve: convolution.convolve}
_INPUT_GRADIENT = {p.convolve_input_gradient: convolution.convolve_input_gradient}
_KERNEL_GRADIENT = {p.convolve_kernel_gradient: convolution.convolve_kernel_gradient}

OVERRIDES = (
    Override(
        "convolution: RGB inputs zero-padded",
        "Sums of an odd number of products are slow; RGB inputs are zero-padded to four channels before 17 to 32 channels.",
        {"0.10.2": 0.28, "0.12.0.1": 1.10},  # the former with AVX-512, the latter with AVX2
        benchmarks.of_convolution(p.convolve, (32, 32, 3), (3, 3, 3, 32)),
        _CONVOLVE,
    ),
    Override(
        "convolution: longer output",
        "Only a result longer than its input is computed on all cores; it is lengthened by padding, which is cut off.",
        {"0.10.2": 0.47, "0.12.0.1": 1.14},
        benchmarks.of_convolution(p.convolve, (24, 24, 32), (3, 3, 32, 64), padding=((0, 0), (0, 0))),
        _CONVOLVE,
    ),
    Override(
        "convolution: one row of padding",
        "Only the entries of a padded input are copied into the order in which they are multiplied; one row is padded.",
        {"0.10.2": 0.80, "0.12.0.1": 0.93},
        benchmarks.of_convolution(p.convolve, (25, 25, 32), (3, 3, 32, 64), strides=(2, 2), padding=((0, 0), (0, 0))),
        _CONVOLVE,
    ),
    Override(
        "convolution: 3-D as 2-D",
        "3-D convolutions are slow; a 3-D one is a sum of 2-D ones over the kernel's planes.",
        {"0.10.2": 0.30, "0.12.0.1": 0.29},
        benchmarks.of_convolution(p.convolve, (8, 12, 12, 8), (3, 3, 3, 8, 16)),
        _CONVOLVE,
    ),
    Override(
        "convolution: input gradient",
        "JAX's transpose becomes a scalar loop inside a scan; it is one convolution with the reversed kernel per phase.",
        {"0.10.2": 0.12, "0.12.0.1": 0.22},
        benchmarks.of_convolution(p.convolve_input_gradient, (8, 8, 16), (3, 3, 16, 16), iterations=2),
        _INPUT_GRADIENT,
    ),
    Override(
        "convolution: kernel gradient",
        "JAX's transpose becomes a scalar loop inside a scan; it is products of patches with the cotangent, 1 MiB at a time.",
        {"0.10.2": 0.04, "0.12.0.1": 0.04},
        benchmarks.of_convolution(p.convolve_kernel_gradient, (8, 8, 16), (3, 3, 16, 16), iterations=2),
        _KERNEL_GRADIENT,
    ),
    Override(
        "convolution: grouped kernel gradient",
        "JAX's transpose becomes a scalar loop inside a scan; it is one product per kernel offset.",
        {"0.10.2": 0.13, "0.12.0.1": 0.13},
        benchmarks.of_convolution(p.convolve_kernel_gradient, (8, 8, 16), (3, 3, 1, 16), iterations=2, groups=16),
        _KERNEL_GRADIENT,
    ),
    Override(
        "pooling: gradient of disjoint windows",
        "Sums over kernel offsets pass through memory once per offset; each cell asks if it is the first maximum.",
        {"0.10.2": 0.60, "0.12.0.1": 0.71},
        benchmarks.of_op(
            p.max_pool_gradient,
            ((-1, 13, 13, 32), (-1, 26, 26, 32), (-1, 13, 13, 32)),
            {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))},
        ),
        {p.max_pool_gradient: pooling.max_pool_gradient},
    ),
    Override(
        "fused pooling",
        "A window maximum fused with a convolution loses NaNs; it is used where a bound proves that there are none.",
        {"0.10.2": 0.80, "0.12.0.1": 0.80},
        benchmarks.of_program(benchmarks.convolutions_and_poolings, _fused),
        fuse=fused_pooling.fused,
    ),
    Override(
        "scans: gates together",
        "Gates that are not live-out are computed without vector instructions; they are parts of one sigmoid.",
        {"0.10.2": 0.59, "0.12.0.1": 0.66},
        benchmarks.of_program(benchmarks.recurrent_inference, _rewritten(scans.with_gates_together)),
        rewrite=scans.with_gates_together,
    ),
    Override(
        "scans: bias inside",
        "A bias added to a whole stack passes through memory once more; it is added within the loop.",
        {"0.10.2": 0.60, "0.12.0.1": 0.60},
        benchmarks.of_program(benchmarks.recurrent_training, _rewritten(scans.with_biases_inside)),
        rewrite=scans.with_biases_inside,
    ),
    Override(
        "heaps",
        "Temporaries are reallocated on every call, and above 32 MiB mapped and cleared again; they come in heaps of 12 MiB.",
        {"0.10.2": 0.88, "0.12.0.1": 0.97},
        benchmarks.of_program(benchmarks.training_of_normalizations, _in_heaps),
        jit=heaps.jit,
    ),
)


def kernels_with(overrides: Sequence[Override]) -> Kernels:
    """The plain lowerings and attention, with those of `overrides` in their place."""
    return table({**attention.KERNELS, **{op: f for o in overrides for op, f in o.lowerings.items()}})


__all__ = ["OVERRIDES", "Override", "kernels_with"]
