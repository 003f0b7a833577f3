"""Kernels for convolution and its two gradients; pooling's stand in `pooling`, depthwise ones in `depthwise`.

Operands are (batch, spatial ..., channels), kernels (spatial ..., channels in / groups, channels out), for any number of
spatial dimensions. The work is left to matrix products over patches (see `patches`), in blocks, straight into `out`.
The three functions take the attributes of the ops of the same names and two options: `out`, a contiguous array to write
into and return, and `scratch`, a dict that belongs to one call site and keeps temporaries between its calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lamella_numpy.depthwise import depthwise, depthwise_input_gradient, depthwise_kernel_gradient
from lamella_numpy.patches import (
    Array,
    Geometry,
    Ints,
    Padding,
    Scratch,
    blocks,
    geometry,
    halves_in_single,
    kept,
    patch_blocks,
)
from lamella_numpy.pooling import average_pool, average_pool_gradient, max_pool, max_pool_gradient

__all__ = [
    "average_pool",
    "average_pool_gradient",
    "convolve",
    "convolve_input_gradient",
    "convolve_kernel_gradient",
    "max_pool",
    "max_pool_gradient",
]


def _is_matrix_product(windows: Geometry) -> bool:
    """Whether the operand, reshaped, is the matrix of patches: a pointwise kernel, or one as large as the operand."""
    if windows.is_padded:
        return False
    pointwise = max(windows.window) == 1 and max(windows.strides) == 1
    return pointwise or (windows.window == windows.size and max(windows.dilation) == 1)


def _by_group(kernel: Array, groups: int) -> Array:
    """(spatial ..., in, groups * out) as matrices (groups, spatial * in, out)."""
    matrix = kernel.reshape(-1, groups, kernel.shape[-1] // groups)
    return np.ascontiguousarray(matrix.transpose(1, 0, 2))


def _group_patches(
    x: Array, windows: Geometry, groups: int, scratch: Scratch | None
) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """Blocks of patches as matrices (groups, places, window * channels in a group)."""
    cells, channels = math.prod(windows.window), x.shape[-1]
    memory = None
    for block, patches in patch_blocks(x, windows, scratch):
        split = patches.reshape(-1, cells, groups, channels // groups).transpose(2, 0, 1, 3)
        if memory is None:
            memory = kept(scratch, "grouped", (patches.size,), x.dtype)
        grouped = memory[: patches.size].reshape(split.shape)
        np.copyto(grouped, split)
        yield block, grouped.reshape(groups, len(patches), -1)


@halves_in_single
def convolve(
    x: Array,
    kernel: Array,
    *,
    strides: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """y[o] = sum over taps of x[o * stride - low + tap * dilation] @ kernel[tap]"""
    n = len(strides)
    windows = geometry(x.shape[1:-1], kernel.shape[:n], strides, padding, dilation)
    if out is None:
        out = np.empty((len(x), *windows.out, kernel.shape[-1]), x.dtype)
    _convolve(np.ascontiguousarray(x), kernel, windows, groups, out, scratch)
    return out


def _convolve(x: Array, kernel: Array, windows: Geometry, groups: int, out: Array, scratch: Scratch | None) -> None:
    channels = kernel.shape[-1]
    if groups > 1:
        if groups == x.shape[-1]:
            depthwise(x, kernel, windows, out, scratch)
            return
        matrices = _by_group(kernel, groups)
        for block, patches in _group_patches(x, windows, groups, scratch):
            results = np.matmul(patches, matrices)
            out[block].reshape(-1, groups, channels // groups)[...] = results.transpose(1, 0, 2)
        return
    matrix = kernel.reshape(-1, channels)
    if _is_matrix_product(windows):
        np.matmul(x.reshape(-1, len(matrix)), matrix, out=out.reshape(-1, channels))
        return
    for block, patches in patch_blocks(x, windows, scratch):
        np.matmul(patches, matrix, out=out[block].reshape(-1, channels))


@halves_in_single
def convolve_input_gradient(
    g: Array,
    kernel: Array,
    *,
    size: Ints,
    strides: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """The gradient of `convolve` in x, whose spatial dimensions are `size`.

    With unit strides it is itself a convolution, of g with the kernel flipped; otherwise every place's patch of
    gradients is one row of a matrix product, added where the patch came from.
    """
    n = len(strides)
    windows = geometry(size, kernel.shape[:n], strides, padding, dilation)
    g = np.ascontiguousarray(g)
    if out is None:
        out = np.empty((len(g), *windows.size, kernel.shape[-2] * groups), g.dtype)
    if _is_matrix_product(windows) and groups == 1:
        matrix = kernel.reshape(-1, kernel.shape[-1])
        np.matmul(g.reshape(-1, kernel.shape[-1]), matrix.T, out=out.reshape(-1, len(matrix)))
    elif 1 < groups == out.shape[-1] and (groups < g.shape[-1] or max(strides) > 1):
        depthwise_input_gradient(g, kernel, windows, out, scratch)
    elif max(strides) == 1:
        _convolve(g, _flipped(kernel, groups, scratch), _flipped_windows(windows), groups, out, scratch)
    else:
        _add_back(g, kernel, windows, groups, out, scratch)
    return out


def _flipped(kernel: Array, groups: int, scratch: Scratch | None) -> Array:
    """The kernel that takes gradients back: flipped, channels in and out exchanged within every group."""
    *window, inner, outer = kernel.shape
    n = len(window)
    turned = kernel[(slice(None, None, -1),) * n].reshape(*window, inner, groups, outer // groups)
    turned = turned.transpose(*range(n), n + 2, n + 1, n)
    result = kept(scratch, "flipped", (*window, outer // groups, groups * inner), kernel.dtype)
    np.copyto(result.reshape(turned.shape), turned)
    return result


def _flipped_windows(windows: Geometry) -> Geometry:
    """The windows of the convolution of g with the flipped kernel, for unit strides."""
    reach = [(w - 1) * d for w, d in zip(windows.window, windows.dilation, strict=True)]
    padding = tuple(
        (r - low, size - out + low)
        for r, size, out, (low, _) in zip(reach, windows.size, windows.out, windows.padding, strict=True)
    )
    return geometry(windows.out, windows.window, windows.strides, padding, windows.dilation)


def _add_back(g: Array, kernel: Array, windows: Geometry, groups: int, out: Array, scratch: Scratch | None) -> None:
    """Every place's row `g @ kernel.T` added to the cells of its window."""
    channels, cells, item = out.shape[-1], math.prod(windows.window), g.dtype.itemsize
    matrices = _by_group(kernel, groups)
    places = math.prod(windows.out)
    runs, length = blocks(len(g), places * cells * channels * item)
    memory = kept(scratch, "patches", (groups, length * places, cells * channels // groups), g.dtype)
    padded = kept(scratch, "padded", (length, *windows.padded, channels), g.dtype) if windows.is_padded else None
    inside = tuple(slice(low, low + s) for s, (low, _) in zip(windows.size, windows.padding, strict=True))
    for images in runs:
        block = g[images]
        rows = block.reshape(-1, groups, g.shape[-1] // groups).transpose(1, 0, 2)
        patches = memory[:, : rows.shape[1]]
        np.matmul(rows, matrices.transpose(0, 2, 1), out=patches)
        split = patches.reshape(groups, len(block), *windows.out, *windows.window, channels // groups)
        target = out[images] if padded is None else padded[: len(block)]
        target.fill(0)
        grouped = target.reshape(*target.shape[:-1], groups, channels // groups)
        n = len(windows.out)
        for tap in windows.taps():
            part = split[(slice(None),) * (n + 2) + tap]
            place = grouped[(slice(None), *windows.slices(tap))]
            np.add(place, part.transpose(*range(1, n + 2), 0, n + 2), out=place)
        if padded is not None:
            out[images] = target[(slice(None), *inside)]


@halves_in_single
def convolve_kernel_gradient(
    x: Array,
    g: Array,
    *,
    size: Ints,
    strides: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """The gradient of `convolve` in the kernel, whose spatial dimensions are `size`: patches.T @ g over the blocks."""
    windows = geometry(x.shape[1:-1], size, strides, padding, dilation)
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    inner, outer = x.shape[-1] // groups, g.shape[-1]
    if out is None:
        out = np.empty((*windows.window, inner, outer), x.dtype)
    if groups > 1:
        if groups == x.shape[-1]:
            depthwise_kernel_gradient(x, g, windows, out, scratch)
        else:
            total = np.zeros((groups, math.prod(windows.window) * inner, outer // groups), x.dtype)
            for block, patches in _group_patches(x, windows, groups, scratch):
                rows = g[block].reshape(-1, groups, outer // groups).transpose(1, 0, 2)
                total += np.matmul(patches.transpose(0, 2, 1), rows)
            out.reshape(-1, groups, outer // groups)[...] = total.transpose(1, 0, 2)
        return out
    matrix = out.reshape(-1, outer)
    if _is_matrix_product(windows):
        np.matmul(x.reshape(-1, len(matrix)).T, g.reshape(-1, outer), out=matrix)
        return out
    matrix.fill(0)
    product = kept(scratch, "product", matrix.shape, x.dtype)
    for block, patches in patch_blocks(x, windows, scratch):
        np.matmul(patches.T, g[block].reshape(-1, outer), out=product)
        np.add(matrix, product, out=matrix)
    return out
