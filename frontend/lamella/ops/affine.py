"""Affine transformations of images: every output pixel is gathered from a computed position of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamella.errors import ShapeError, unknown_name
from lamella.ir import settings
from lamella.ir.spec import is_float, spec_of
from lamella.ops.coerce import as_tensor
from lamella.ops.comparison import greater, greater_equal, less, logical_and, where
from lamella.ops.elementwise import (
    abs_,
    add,
    cast,
    clip,
    floor,
    floor_divide,
    maximum,
    multiply,
    remainder,
    sign,
    subtract,
)
from lamella.ops.indexing import take
from lamella.ops.shapes import expand_dims, iota, reshape, squeeze, transpose
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

INTERPOLATIONS = ("nearest", "bilinear")

_ROUNDING = 2.0**-22
"""The tolerance of positions for rounding errors, as a fraction of the size of the image."""


def _mirrored(index: Tensor, size: int) -> Tensor:
    """The index mirrored at the ends, the outermost pixels once: (d c b | a b c d | c b a)."""
    if size == 1:
        return multiply(index, 0)
    turn = size - 1
    return abs_(subtract(remainder(add(index, turn), 2 * turn), turn))


def _reflected(index: Tensor, size: int) -> Tensor:
    """The index mirrored at the ends, the outermost pixels twice: (b a | a b c d | d c)."""
    doubled = _mirrored(add(multiply(index, 2), 1), 2 * size + 1)
    return floor_divide(subtract(doubled, 1), 2)


FILL_MODES: dict[str, Callable[[Any, int], Any]] = {
    "constant": lambda index, size: clip(index, 0, size - 1),
    "nearest": lambda index, size: clip(index, 0, size - 1),
    "wrap": lambda index, size: remainder(index, size),
    "mirror": _mirrored,
    "reflect": _reflected,
}
"""For each fill mode the pixel inside the image that replaces a pixel outside."""

Cells = list[tuple[Any, Any]]
"""The pixels along one axis that a position is interpolated from: (index, weight), the weight None where it is 1."""


def _nearest(place: Tensor, size: int) -> Cells:
    """The nearest pixel; half-way the one farther from 0."""
    low = floor(place)
    rest = subtract(place, low)
    up = where(less(place, 0.0), greater(rest, 0.5), greater_equal(rest, 0.5))
    return [(add(cast(low, "int32"), cast(up, "int32")), None)]


def _linear(place: Tensor, size: int) -> Cells:
    """The pixels on both sides with their weights for linear interpolation.

    A position that rounding left just below a pixel counts as on it. XLA recomputes a position wherever it is needed,
    and not always to the same last bit: otherwise the index could be that of the pixel below, and the weight that of
    the pixel itself.
    """
    low = floor(add(place, size * _ROUNDING))
    rest = maximum(subtract(place, low), 0.0)
    index = cast(low, "int32")
    return [(index, subtract(1.0, rest)), (add(index, 1), rest)]


def affine_transform(
    images: ArrayLike,
    transform: ArrayLike,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixel (x, y) is that of the input at (a0 x + a1 y + a2, b0 x + b1 y + b2), as in `keras.ops.image`.

    Differentiable with respect to the images. The projective entries c0 and c1 are not applied.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        transform: (a0, a1, a2, b0, b1, b2, c0, c1) for each image, `(batch, 8)`, or once, `(8,)`; x counts columns.
        interpolation: "bilinear" or "nearest".
        fill_mode: how pixels outside are filled: "constant" (`fill_value`), "nearest" (the outermost pixel), "wrap"
            (the image again), "reflect" (the image mirrored, its outermost pixels twice) or "mirror" (once).
        fill_value: the value of pixels outside for the mode "constant".
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of the shape and dtype of `images`; integers are rounded.

    Raises:
        ShapeError: images or transform have another rank, or another number of entries.
        UnknownNameError: the interpolation or the fill mode is not known.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.arange(9.0, dtype="float32").reshape(3, 3, 1)
        >>> ops.image.affine_transform(x, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0], fill_value=-1.0)[:, :, 0]
        array([[ 1.,  2., -1.],
               [ 4.,  5., -1.],
               [ 7.,  8., -1.]], dtype=float32)
    """
    if interpolation not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    if fill_mode not in FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, list(FILL_MODES))
    x, entries = as_tensor(images), as_tensor(transform)
    if spec_of(x).ndim not in (3, 4):
        raise ShapeError(f"images must have 4 dimensions, or 3 for a single one, got {spec_of(x)}.")
    if spec_of(entries).ndim not in (1, 2) or spec_of(entries).shape[-1] != 8:
        raise ShapeError(f"transform must have 8 entries, once or per image, got {spec_of(entries)}.")
    single = spec_of(x).ndim == 3
    if single:
        x = expand_dims(x, 0)
    if spec_of(entries).ndim == 1:
        entries = expand_dims(entries, 0)
    first = settings.layout_of(data_format) == "channels_first"
    if first:
        x = transpose(x, (0, 2, 3, 1))
    y = _gathered(x, entries, interpolation, fill_mode, fill_value)
    if first:
        y = transpose(y, (0, 3, 1, 2))
    return squeeze(y, 0) if single else y


def _gathered(x: Tensor, entries: Tensor, interpolation: str, fill_mode: str, fill_value: float) -> Tensor:
    """The pixels of channels-last images at the transformed positions."""
    _, height, width, _ = spec_of(x).shape
    wide = place_dtype(x)
    entries = cast(entries, wide)
    a0, a1, a2, b0, b1, b2 = (reshape(take(entries, i, 1), (-1, 1, 1)) for i in range(6))
    down, right = grid(int(height), int(width), wide)
    rows = add(add(multiply(down, b1), multiply(right, b0)), b2)
    columns = add(add(multiply(down, a1), multiply(right, a0)), a2)
    return gather_at(x, rows, columns, interpolation, fill_mode, fill_value)


def place_dtype(x: ArrayLike) -> str:
    """The dtype of positions in images: at least float32, because 16-bit floats cannot represent every column."""
    return "float64" if spec_of(x).dtype == "float64" else "float32"


def grid(height: int, width: int, dtype: str) -> tuple[Any, Any]:
    """The rows and the columns of all pixels, both `(1, height, width)`."""
    down, right = (iota.bind(shape=(1, height, width), dtype=dtype, axis=axis) for axis in (1, 2))
    return down, right


def gather_at(x: Any, rows: Any, columns: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
    """Pixels of channels-last images at given positions.

    Args:
        x: `(batch, height, width, channels)`.
        rows: the rows of the positions, `(batch or 1, new height, new width)`, in `place_dtype(x)`.
        columns: the columns of the positions, likewise.
        interpolation: "bilinear" or "nearest".
        fill_mode: one of `FILL_MODES`.
        fill_value: the value of pixels outside for the mode "constant".
    """
    batch, height, width, channels = spec_of(x).shape
    dtype, wide = spec_of(x).dtype, place_dtype(x)
    cells = _nearest if interpolation == "nearest" else _linear
    pixels = reshape(x, (batch * height * width, channels))
    image = multiply(iota.bind(shape=(batch, 1, 1), dtype="int32", axis=0), int(height) * int(width))
    total = None
    for row, row_weight in cells(rows, int(height)):
        start = add(image, multiply(FILL_MODES[fill_mode](row, int(height)), int(width)))
        for column, column_weight in cells(columns, int(width)):
            part = take(pixels, add(start, FILL_MODES[fill_mode](column, int(width))), 0)
            if fill_mode == "constant":
                inside = logical_and(_within(row, int(height)), _within(column, int(width)))
                part = where(expand_dims(inside, -1), part, fill_value)
            if row_weight is not None:
                part = multiply(expand_dims(multiply(row_weight, column_weight), -1), cast(part, wide))
            total = part if total is None else add(total, part)
    return cast(total, dtype) if interpolation == "nearest" else as_pixels(total, dtype)


def as_pixels(values: Any, dtype: str) -> Any:
    """Interpolated values in the dtype of the pixels, rounded for integers, halves away from zero."""
    if not is_float(dtype):
        values = multiply(sign(values), floor(add(abs_(values), 0.5)))
    return cast(values, dtype)


def _within(index: Tensor, size: int) -> Tensor:
    """Whether a pixel is inside the image."""
    return logical_and(greater_equal(index, 0), less(index, size))


filter_functions(__name__)
