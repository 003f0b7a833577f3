"""Convolution where every channel is its own group: shift, multiply, accumulate; no matrix product.

There are two passes over memory for every cell of the window, so blocks are kept to what the cache holds. Each row of
positions is one contiguous run (positions times channels) of a ufunc: kernel entries are repeated along a row for it,
and strided operands are first taken apart into their phases.
"""

from __future__ import annotations

import math

import numpy as np

from lamella_numpy.patches import Array, Geometry, Scratch, blocks, kept, pad_into

BLOCK_BYTES = 1 << 18


def _rows_of(kernel: Array, windows: Geometry, scratch: Scratch | None) -> Array:
    """Kernel entries (window ..., 1, channels) repeated for a row of positions: (window ..., positions, channels)."""
    shape = (*kernel.shape[:-2], windows.out[-1], kernel.shape[-1])
    rows = kept(scratch, "rows", shape, kernel.dtype)
    np.copyto(rows, kernel)
    return rows


def _widened(x: Array, multiplier: int) -> Array:
    """Every channel repeated as often as the kernel has outputs for it."""
    return x if multiplier == 1 else np.repeat(x, multiplier, axis=-1)


def _block(x: Array, windows: Geometry, multiplier: int, padded: Array | None) -> Array:
    """Padded images, their channels repeated."""
    return _widened(x if padded is None else pad_into(padded, x, windows), multiplier)


def _plan(x: Array, windows: Geometry, multiplier: int, scratch: Scratch | None):
    channels, item = x.shape[-1], x.dtype.itemsize
    runs, length = blocks(len(x), math.prod(windows.padded) * channels * multiplier * item, BLOCK_BYTES)
    padded = None
    if windows.is_padded:
        padded = kept(scratch, "padded", (length, *windows.padded, channels), x.dtype, 0)
    return runs, length, padded


def depthwise(x: Array, kernel: Array, windows: Geometry, out: Array, scratch: Scratch | None) -> None:
    """y[o, c] = sum over taps of x[o * stride - low + tap * dilation, c // multiplier] * kernel[tap, 0, c]"""
    multiplier = kernel.shape[-1] // x.shape[-1]
    rows = _rows_of(kernel, windows, scratch)
    runs, length, padded = _plan(x, windows, multiplier, scratch)
    memory = kept(scratch, "product", (length, *out.shape[1:]), x.dtype)
    for images in runs:
        block = _block(x[images], windows, multiplier, padded)
        total, product = out[images], memory[: len(block)]
        for index, tap in enumerate(windows.taps()):
            part = block[(slice(None), *windows.slices(tap))]
            np.multiply(part, rows[tap], out=product if index else total)
            if index:
                np.add(total, product, out=total)


def depthwise_input_gradient(g: Array, kernel: Array, windows: Geometry, out: Array, scratch: Scratch | None) -> None:
    """Every entry of g times the kernel, added to the cells of its window."""
    channels = out.shape[-1]
    multiplier = kernel.shape[-1] // channels
    rows = _rows_of(kernel, windows, scratch)
    item = g.dtype.itemsize
    runs, length = blocks(len(g), math.prod(windows.padded) * channels * item, BLOCK_BYTES)
    memory = kept(scratch, "product", (length, *g.shape[1:]), g.dtype)
    padded = kept(scratch, "padded", (length, *windows.padded, channels), g.dtype) if windows.is_padded else None
    inside = tuple(slice(low, low + s) for s, (low, _) in zip(windows.size, windows.padding, strict=True))
    for images in runs:
        block = g[images]
        target = out[images] if padded is None else padded[: len(block)]
        target.fill(0)
        product = memory[: len(block)]
        for tap in windows.taps():
            np.multiply(block, rows[tap], out=product)
            place = target[(slice(None), *windows.slices(tap))]
            for copy in range(multiplier):
                np.add(place, product[..., copy::multiplier], out=place)
        if padded is not None:
            out[images] = target[(slice(None), *inside)]


def depthwise_kernel_gradient(x: Array, g: Array, windows: Geometry, out: Array, scratch: Scratch | None) -> None:
    """For every tap and channel the sum over all places of x times g."""
    multiplier = g.shape[-1] // x.shape[-1]
    runs, length, padded = _plan(x, windows, multiplier, scratch)
    memory = kept(scratch, "product", (length, *g.shape[1:]), g.dtype)
    out.fill(0)
    ones = np.ones((1, length * math.prod(windows.out)), g.dtype)
    for images in runs:
        block = _block(x[images], windows, multiplier, padded)
        product = memory[: len(block)]
        matrix = product.reshape(-1, g.shape[-1])
        for tap in windows.taps():
            np.multiply(block[(slice(None), *windows.slices(tap))], g[images], out=product)
            out[tap] += np.matmul(ones[:, : len(matrix)], matrix)
