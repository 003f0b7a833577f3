"""Convolution and its gradients as `jax.lax` has them, and slices of windows by kernel offset."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax import lax

from lamella_jax.elementwise import aligned, like
from lamella_jax.precision import precision_for

Array = Any
Ints = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]


def convolve(x: Array, kernel: Array, *, strides: Ints, padding: Padding, dilation: Ints, groups: int) -> Array:
    """y[o] = sum over kernel offsets k of x[o * stride - low + k * dilation] @ kernel[k]"""
    n = len(strides)
    if not all(isinstance(side, int) for side in itertools.chain(*padding)):  # symbolic, which `lax.pad` alone takes
        x, padding = padded_with(x, [(low, high, 0) for low, high in padding], 0.0), ((0, 0),) * n
    return lax.conv_general_dilated(
        x,
        kernel,
        tuple(map(int, strides)),
        list(padding),
        rhs_dilation=tuple(map(int, dilation)),
        dimension_numbers=lax.ConvDimensionNumbers(
            (0, n + 1, *range(1, n + 1)), (n + 1, n, *range(n)), (0, n + 1, *range(1, n + 1))
        ),
        feature_group_count=int(groups),
        precision=precision_for(x.dtype),
        preferred_element_type=x.dtype,
    )


def convolve_input_gradient(g: Array, kernel: Array, *, size: Ints, groups: int, **window: Any) -> Array:
    """The gradient of convolve in x"""
    x = lax.full((g.shape[0], *size, kernel.shape[-2] * int(groups)), 0, g.dtype)
    g, kernel, x = aligned(g, kernel, x)
    return jax.linear_transpose(lambda x: convolve(x, kernel, groups=groups, **window), x)(g)[0]


def convolve_kernel_gradient(x: Array, g: Array, *, size: Ints, groups: int, **window: Any) -> Array:
    """The gradient of convolve in the kernel"""
    kernel = lax.full((*size, x.shape[-1] // int(groups), g.shape[-1]), 0, x.dtype)
    x, g, kernel = aligned(x, g, kernel)
    return jax.linear_transpose(lambda kernel: convolve(x, kernel, groups=groups, **window), kernel)(g)[0]


def kernel_offsets(window: Ints) -> Iterator[Ints]:
    """The offsets within a window, in row-major order."""
    return itertools.product(*[range(int(k)) for k in window])


def padded_with(x: Array, edges: Sequence[tuple[int, int, int]], value: float) -> Array:
    """`x` with entries of `value` before, after and between those of each spatial dimension."""
    if all(isinstance(n, int) and n == 0 for n in itertools.chain(*edges)):
        return x
    return lax.pad(x, like(x, value), [(0, 0, 0), *edges, (0, 0, 0)])


def at_offset(x: Array, offset: Ints, out: Ints, strides: Ints, dilation: Ints) -> Array:
    """The entries of the padded `x` at one kernel offset, one for each output position."""
    start = [t * d for t, d in zip(offset, dilation, strict=True)]
    stop = [a + (o - 1) * s + 1 for a, o, s in zip(start, out, strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))
