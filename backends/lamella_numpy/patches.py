"""What the window kernels share: geometry, temporaries that live between calls, padded blocks, patches.

A window kernel works through its operand in blocks whose patches fit into a core's share of the cache. Patches are
rebuilt where they are needed, not kept from forward to backward: copying them costs less than storing and fetching an
array that is as many times larger than the operand as the window has cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from lamella.ops.window import window_positions

Array = np.ndarray[Any, Any]
Ints = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
Scratch = dict[str, Any]
"""Temporaries of one call site: its kernel finds there what it left at the last call."""

BLOCK_BYTES = 1 << 21
"""Patches of a block. Half of it is no slower on an idle machine; but a BLAS with threads waits for them at the end of
every product, and where the cores are busy with other work few long products lose far less than many short ones."""
SHORT_RUN = 16
"""Kernel rows below this many numbers are copied tap by tap: NumPy pays for every contiguous run, not for its length."""


class Geometry(NamedTuple):
    """Where windows are over the n spatial dimensions; every field has one entry for each."""

    size: Ints
    """Of the operand, without padding."""
    padded: Ints
    window: Ints
    strides: Ints
    padding: Padding
    """May be negative: cells cut away, as the gradient of a convolution with wide padding needs."""
    dilation: Ints
    out: Ints
    """How many places the window has."""

    @property
    def is_padded(self) -> bool:
        """Whether the windows see anything but the operand itself."""
        return self.padded != self.size or any(low for low, _ in self.padding)

    def slices(self, tap: Ints) -> tuple[slice, ...]:
        """The cells of the padded operand that meet `tap`, one for each place."""
        return tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(tap, self.dilation, self.out, self.strides, strict=True)
        )

    def taps(self) -> Iterator[Ints]:
        """The cells of the window, last dimension fastest."""
        return product(*map(range, self.window))


@lru_cache(maxsize=4096)
def geometry(size: Ints, window: Ints, strides: Ints, padding: Padding, dilation: Ints | None = None) -> Geometry:
    """The geometry of windows over an operand of spatial `size`."""
    size, window = tuple(map(int, size)), tuple(map(int, window))
    dilation = dilation or (1,) * len(window)
    padded = tuple(s + low + high for s, (low, high) in zip(size, padding, strict=True))
    out = tuple(map(window_positions, size, window, strides, padding, dilation))
    return Geometry(size, padded, window, strides, padding, dilation, out)


def kept(scratch: Scratch | None, name: str, shape: Ints, dtype: Any, fill: float | None = None) -> Array:
    """An array that `scratch` keeps under `name`; without scratch, or for another shape, a new one filled with `fill`."""
    array = None if scratch is None else scratch.get(name)
    if array is None or array.shape != shape or array.dtype != dtype:
        array = np.empty(shape, dtype) if fill is None else np.full(shape, fill, dtype)
        if scratch is not None:
            scratch[name] = array
    return array


def halves_in_single(kernel: Callable[..., Array]) -> Callable[..., Array]:
    """Let `kernel` compute float16 operands in float32: NumPy has no fast float16 arithmetic, and no BLAS for it."""

    @wraps(kernel)
    def compute(*operands: Array, out: Array | None = None, scratch: Scratch | None = None, **attrs: Any) -> Array:
        if operands[0].dtype != np.float16:
            return kernel(*operands, out=out, scratch=scratch, **attrs)
        result = kernel(*[x.astype(np.float32) for x in operands], scratch=scratch, **attrs)
        if out is None:
            return result.astype(np.float16)
        np.copyto(out, result, casting="same_kind")
        return out

    return compute


def blocks(count: int, bytes_each: int, limit: int | None = None) -> tuple[Iterator[slice], int]:
    """Runs of images that stay below `limit` (BLOCK_BYTES) together, nearly equal in length; and the longest run's length."""
    pieces = max(1, min(count, math.ceil(count * bytes_each / (limit or BLOCK_BYTES))))
    length = math.ceil(count / pieces) if count else 1
    return (slice(start, min(start + length, count)) for start in range(0, count, length)), length


def pad_into(padded: Array, x: Array, windows: Geometry) -> Array:
    """The images `x` written between the borders of `padded`, which are there already; the part that was written."""
    target, source = [slice(0, len(x))], [slice(None)]
    for size, (low, high) in zip(windows.size, windows.padding, strict=True):
        source.append(slice(max(0, -low), size - max(0, -high)))
        target.append(slice(max(0, low), max(0, low) + size - max(0, -low) - max(0, -high)))
    part = padded[: len(x)]
    part[tuple(target)] = x[tuple(source)]
    return part


def windows_of(x: Array, windows: Geometry) -> Array:
    """A view of the contiguous, padded `x`: (images, places ..., window ..., channels)."""
    images, *spatial, channels = x.strides
    return np.ndarray(
        (len(x), *windows.out, *windows.window, x.shape[-1]),
        x.dtype,
        buffer=x,
        strides=(
            images,
            *[step * stride for step, stride in zip(spatial, windows.strides, strict=True)],
            *[step * dilation for step, dilation in zip(spatial, windows.dilation, strict=True)],
            channels,
        ),
    )


def patch_blocks(x: Array, windows: Geometry, scratch: Scratch | None) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """The patches of x, block by block.

    A block is a run of images or, where one image is too large, a run of positions along its first dimension.

    Yields:
        `(images, first positions)` to index an array of results, and the patches as a matrix: a row for each place,
        a column for each cell of the window and channel. Its memory is used again for the next block.
    """
    channels, item, n = x.shape[-1], x.dtype.itemsize, len(windows.out)
    columns = math.prod(windows.window) * channels
    row_bytes = columns * math.prod(windows.out[1:]) * item
    runs, length = blocks(len(x), row_bytes * windows.out[0])
    rows = windows.out[0]
    if length == 1:
        rows = max(1, min(rows, math.ceil(rows / math.ceil(rows * row_bytes / BLOCK_BYTES))))
    padded = None
    if windows.is_padded:
        padded = kept(scratch, "padded", (length, *windows.padded, channels), x.dtype, 0)
    # by tap: the positions of the last dimension run fastest, and BLAS takes the transposed matrix as it is
    by_tap = windows.window[-1] * channels < SHORT_RUN and channels < windows.out[-1]
    memory = kept(scratch, "patches", (length * rows * math.prod(windows.out[1:]) * columns,), x.dtype)
    for images in runs:
        part = x[images] if padded is None else pad_into(padded, x[images], windows)
        view = windows_of(part, windows)
        for start in range(0, windows.out[0], rows):
            places = slice(start, min(start + rows, windows.out[0]))
            source = view[:, places]
            if by_tap:
                source = source.transpose(*range(n + 1, 2 * n + 2), *range(n + 1))
            block = memory[: source.size].reshape(source.shape)
            np.copyto(block, source)
            yield (images, places), block.reshape(columns, -1).T if by_tap else block.reshape(-1, columns)
