"""Kernels for pooling and its gradients, over blocks of images."""

from __future__ import annotations

import math

import numpy as np

from lamella.ops.window import window_counts
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
    pad_into,
)

BLOCK_BYTES = 1 << 20
"""Of the operand: small enough for the cache, large enough that the calls of a block cost nothing beside its runs."""


def _pool(x: Array, windows: Geometry, combine: np.ufunc, border: float, out: Array, scratch: Scratch | None) -> None:
    """Combine the cells of every window, one dimension after the other."""
    channels = x.shape[-1]
    runs, length = blocks(len(x), math.prod(windows.padded) * channels * x.dtype.itemsize, BLOCK_BYTES)
    padded = None
    if windows.is_padded:
        padded = kept(scratch, "padded", (length, *windows.padded, channels), x.dtype, border)
    n = len(windows.out)
    for images in runs:
        part = x[images] if padded is None else pad_into(padded, x[images], windows)
        for axis in range(n):
            shape = (len(part), *windows.out[: axis + 1], *windows.padded[axis + 1 :], channels)
            if axis == n - 1:
                result = out[images]
            else:
                result = kept(scratch, f"axis {axis}", (length, *shape[1:]), x.dtype)[: len(part)]
            before = (slice(None),) * (axis + 1)
            stride, places = windows.strides[axis], windows.out[axis]
            cells = [
                part[(*before, slice(t, t + (places - 1) * stride + 1, stride))] for t in range(windows.window[axis])
            ]
            if len(cells) == 1:
                np.copyto(result, cells[0])
            else:
                combine(cells[0], cells[1], out=result)
            for cell in cells[2:]:
                combine(result, cell, out=result)
            part = result


@halves_in_single
def max_pool(
    x: Array,
    *,
    window: Ints,
    strides: Ints,
    padding: Padding,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """The maximum of every window; padding counts as minus infinity."""
    windows = geometry(x.shape[1:-1], window, strides, padding)
    if out is None:
        out = np.empty((len(x), *windows.out, x.shape[-1]), x.dtype)
    _pool(x, windows, np.maximum, -math.inf, out, scratch)
    return out


@halves_in_single
def average_pool(
    x: Array,
    *,
    window: Ints,
    strides: Ints,
    padding: Padding,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """The mean of every window over its real cells."""
    windows = geometry(x.shape[1:-1], window, strides, padding)
    if out is None:
        out = np.empty((len(x), *windows.out, x.shape[-1]), x.dtype)
    _pool(x, windows, np.add, 0.0, out, scratch)
    return np.divide(out, _counts(windows, x.dtype, scratch), out=out)


def _counts(windows: Geometry, dtype: np.dtype, scratch: Scratch | None) -> Array:
    """How many real cells every window has: one number where they all have the same, else (1, places ..., 1)."""
    if not windows.is_padded:
        return np.asarray(math.prod(windows.window), dtype)
    counts = None if scratch is None else scratch.get("counts")
    if counts is None:
        counts = window_counts(windows.size, windows.window, windows.strides, windows.padding).astype(dtype)
        if scratch is not None:
            scratch["counts"] = counts
    return counts


def _covers(windows: Geometry) -> bool:
    """Whether the windows tile the whole operand without overlap or gap."""
    return windows.window == windows.strides and windows.padded == tuple(
        o * s for o, s in zip(windows.out, windows.strides, strict=True)
    )


def _inside(windows: Geometry) -> tuple[slice, ...]:
    return tuple(slice(low, low + s) for s, (low, _) in zip(windows.size, windows.padding, strict=True))


@halves_in_single
def max_pool_gradient(
    g: Array,
    x: Array,
    y: Array,
    *,
    window: Ints,
    strides: Ints,
    padding: Padding,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """g moved back to the first maximum of every window of x, whose pooled value is y.

    The choice is made on the bits of g: an infinite or missing gradient stays where it belongs.
    """
    windows = geometry(x.shape[1:-1], window, strides, padding)
    if out is None:
        out = np.empty(x.shape, x.dtype)
    g = np.ascontiguousarray(g)
    integer = np.dtype(f"u{x.dtype.itemsize}")
    channels = x.shape[-1]
    runs, length = blocks(len(x), math.prod(windows.padded) * channels * x.dtype.itemsize, BLOCK_BYTES)
    small = (length, *g.shape[1:])
    hits, free = kept(scratch, "hits", small, np.bool_), kept(scratch, "free", small, np.bool_)
    shares = kept(scratch, "shares", small, x.dtype)
    padded = spread = None
    if windows.is_padded:
        padded = kept(scratch, "padded", (length, *windows.padded, channels), x.dtype, -math.inf)
        spread = kept(scratch, "spread", padded.shape, x.dtype)
    side_by_side = all(w <= s for w, s in zip(windows.window, windows.strides, strict=True))
    last = math.prod(windows.window) - 1
    for images in runs:
        count = len(out[images])
        part = x[images] if padded is None else pad_into(padded, x[images], windows)
        target = out[images] if spread is None else spread[:count]
        if not _covers(windows):
            target.fill(0)
        hit, left, share = hits[:count], free[:count], shares[:count]
        bits, result = g[images].view(integer), share.view(integer)
        for index, tap in enumerate(windows.taps()):
            place = (slice(None), *windows.slices(tap))
            np.equal(part[place], y[images], out=hit)
            if index == 0:
                np.logical_not(hit, out=left)
            else:
                np.logical_and(hit, left, out=hit)
                if index < last:
                    np.logical_xor(left, hit, out=left)
            if side_by_side:
                np.multiply(bits, hit, out=target.view(integer)[place])
            else:
                np.multiply(bits, hit, out=result)
                np.add(target[place], share, out=target[place])
        if spread is not None:
            out[images] = target[(slice(None), *_inside(windows))]
    return out


@halves_in_single
def average_pool_gradient(
    g: Array,
    *,
    size: Ints,
    window: Ints,
    strides: Ints,
    padding: Padding,
    out: Array | None = None,
    scratch: Scratch | None = None,
) -> Array:
    """g shared equally among the real cells of every window of an operand of spatial `size`."""
    windows = geometry(size, window, strides, padding)
    channels = g.shape[-1]
    if out is None:
        out = np.empty((len(g), *windows.size, channels), g.dtype)
    counts = _counts(windows, g.dtype, scratch)
    runs, length = blocks(len(g), math.prod(windows.padded) * channels * g.dtype.itemsize, BLOCK_BYTES)
    shares = kept(scratch, "shares", (length, *g.shape[1:]), g.dtype)
    spread = kept(scratch, "spread", (length, *windows.padded, channels), g.dtype) if windows.is_padded else None
    side_by_side = all(w <= s for w, s in zip(windows.window, windows.strides, strict=True))
    for images in runs:
        share = np.divide(g[images], counts, out=shares[: len(g[images])])
        target = out[images] if spread is None else spread[: len(share)]
        if not _covers(windows):
            target.fill(0)
        for tap in windows.taps():
            place = target[(slice(None), *windows.slices(tap))]
            if side_by_side:
                np.copyto(place, share)
            else:
                np.add(place, share, out=place)
        if spread is not None:
            out[images] = target[(slice(None), *_inside(windows))]
    return out
