"""Transformations of single images, as arrays: affine transformations, brightness, channel shifts and flips, with NumPy.

Every `random_*` function draws from the process's sequence of seeds, which `utils.set_random_seed` or `np.random.seed`
seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella import host_random
from lamella.errors import ArgumentError, ShapeError, unknown_name
from lamella.ir import settings


def _nearest(place: np.ndarray, size: int) -> np.ndarray:
    return np.clip(place, 0, size - 1)


def _reflect(place: np.ndarray, size: int) -> np.ndarray:
    """The image mirrored again and again, its outermost pixels twice: d c b a | a b c d | d c b a."""
    place = np.mod(place + 0.5, 2 * size) - 0.5
    return np.where(place > size - 0.5, 2 * size - 1 - place, place)


def _wrap(place: np.ndarray, size: int) -> np.ndarray:
    """The image again and again, its first pixel on top of its last: SciPy's "wrap" has this period of size - 1."""
    if size == 1:
        return np.zeros_like(place)
    period = size - 1
    before = place + period * (np.trunc(-place / period) + 1)
    behind = place - period * np.trunc(place / period)
    return np.where(place < 0, before, np.where(place > period, behind, place))


FILL_MODES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "constant": _nearest,
    "nearest": _nearest,
    "reflect": _reflect,
    "wrap": _wrap,
}
"""For each fill mode the place within the image whose value a place outside gets; "constant" replaces it afterwards."""


def check_filling(fill_mode: Any, order: Any) -> None:
    """Check arguments of `apply_affine_transform`.

    Args:
        fill_mode: see `apply_affine_transform`.
        order: see `apply_affine_transform`.

    Raises:
        ArgumentError: `order` is neither 0 nor 1.
        UnknownNameError: the fill mode is not known.
    """
    if fill_mode not in FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, FILL_MODES)
    if order not in (0, 1):
        raise ArgumentError(
            f"the interpolation order must be 0 (nearest) or 1 (linear), got {order!r}; for splines, call "
            "scipy.ndimage.affine_transform in a preprocessing_function."
        )


def _resampled(
    image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, order: int, fill_mode: str, cval: float
) -> np.ndarray:
    """A channels-last image whose pixel p is the value of the input at matrix @ p + offset, in float64."""
    height, width, channels = image.shape
    down, right = np.arange(height)[:, None], np.arange(width)
    cells: list[list[tuple[np.ndarray, Any]]] = []
    inside: Any = True
    for axis, size in enumerate((height, width)):
        place = (offset[axis] + matrix[axis, 0] * down) + matrix[axis, 1] * right
        inside = inside & (place >= 0) & (place <= size - 1)
        place = FILL_MODES[fill_mode](place, size)
        low = np.floor(place if order else place + 0.5)
        index, rest = low.astype(np.intp), place - low
        # a place of half a pixel outside, which reflection leaves there, is between two cells of the same value
        first = np.clip(index, 0, size - 1)
        cells.append([(first, 1.0 - rest), (np.clip(index + 1, 0, size - 1), rest)] if order else [(first, None)])
    pixels = image.reshape(-1, channels)
    total: Any = 0.0
    for row, row_weight in cells[0]:
        for column, column_weight in cells[1]:
            part = pixels.take(row * width + column, 0)
            total = total + (part * (row_weight * column_weight)[..., None] if order else part)
    if fill_mode == "constant":
        total = np.where(inside[..., None], total, cval)
    return total


def affine_matrix(theta: float, tx: float, ty: float, shear: float, zx: float, zy: float) -> np.ndarray | None:
    """The 3 x 3 matrix of a rotation, then a shift, a shear and a zoom, angles in degrees; None where nothing is to do."""
    theta, shear = np.deg2rad(theta), np.deg2rad(shear)
    parts = []
    if theta:
        parts.append([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    if tx or ty:
        parts.append([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    if shear:
        parts.append([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    if (zx, zy) != (1, 1):
        parts.append([[zx, 0, 0], [0, zy, 0], [0, 0, 1]])
    matrix = None
    for part in parts:
        matrix = np.array(part) if matrix is None else matrix @ np.array(part)
    return matrix


def apply_affine_transform(
    x: Any,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> np.ndarray:
    """Rotate, shift, shear and zoom an image about its center, with the same results as Keras and SciPy.

    Coordinates are (x, y) where the columns follow the rows: `tx` shifts along the columns, `ty` along the rows, as in
    Keras 2 and 3.

    >>> x = np.arange(6.0).reshape(2, 3, 1)
    >>> apply_affine_transform(x, tx=1, row_axis=0, col_axis=1, channel_axis=2)[:, :, 0].tolist()
    [[1.0, 2.0, 2.0], [4.0, 5.0, 5.0]]

    Args:
        x: one image, of three dimensions.
        theta: the angle of the rotation in degrees.
        tx: the shift along the first axis, in pixels.
        ty: the shift along the second.
        shear: the angle of the shear in degrees.
        zx: the zoom along the first axis; above 1 zooms out.
        zy: the zoom along the second.
        row_axis: the axis of the rows.
        col_axis: the axis of the columns.
        channel_axis: the axis of the channels, 0 or 2.
        fill_mode: how points outside are filled: "nearest" (the outermost pixel), "constant" (`cval`), "reflect" (the image
            mirrored) or "wrap" (the image again).
        cval: for "constant".
        order: 1 interpolates linearly, 0 takes the nearest pixel.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ArgumentError: the axes are not 0, 1 and 2 in some order with the channels first or last, or the order is another.
        ShapeError: `x` does not have three dimensions.
        UnknownNameError: the fill mode is not known.
    """
    if {row_axis, col_axis, channel_axis} != {0, 1, 2} or channel_axis == 1:
        raise ArgumentError(
            "row_axis, col_axis and channel_axis must be 0, 1 and 2 in some order, channels first or last; got "
            f"{row_axis}, {col_axis} and {channel_axis}."
        )
    check_filling(fill_mode, order)
    x = np.asarray(x)
    if x.ndim != 3:
        raise ShapeError(f"an image must have 3 dimensions, got shape {x.shape}.")
    matrix = affine_matrix(theta, tx, ty, shear, zx, zy)
    if matrix is None:
        return x
    to_middle = np.eye(3)
    to_middle[:2, 2] = x.shape[row_axis] / 2 - 0.5, x.shape[col_axis] / 2 - 0.5
    from_middle = np.array([[1, 1, -1], [1, 1, -1], [1, 1, 1]]) * to_middle
    matrix = to_middle @ matrix @ from_middle
    linear, offset = matrix[:2, :2], matrix[:2, 2]
    if col_axis > row_axis:
        linear, offset = linear[::-1, ::-1], offset[::-1]
    # the matrix is for the two axes in their order in memory
    planes = x.transpose(1, 2, 0) if channel_axis == 0 else x
    moved = _rounded(_resampled(planes, linear, offset, order, fill_mode, cval), x.dtype)
    return moved.transpose(2, 0, 1) if channel_axis == 0 else moved


def _rounded(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """float64 as another dtype; integers are rounded and stay within their bounds."""
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        values = np.clip(np.copysign(np.floor(np.abs(values) + 0.5), values), bounds.min, bounds.max)
    return values.astype(dtype)


def apply_channel_shift(x: Any, intensity: float, channel_axis: int = 0) -> np.ndarray:
    """Add `intensity` to the values of an image, clipped to its original range.

    >>> apply_channel_shift(np.array([[[1.0, 2.0, 3.0]]]), 1.5).tolist()
    [[[2.5, 3.0, 3.0]]]

    Args:
        x: one image, of three dimensions.
        intensity: what is added.
        channel_axis: the axis of the channels; every channel is shifted alike.
    """
    x = np.asarray(x)
    if not -x.ndim <= channel_axis < x.ndim:
        raise ArgumentError(f"channel_axis must be an axis of an image of shape {x.shape}, got {channel_axis}.")
    return np.clip(x + intensity, np.min(x), np.max(x))


def apply_brightness_shift(x: Any, brightness: float, scale: bool = True, channel_axis: int = -1) -> np.ndarray:
    """Make an 8-bit image darker (below 1) or brighter (above 1), like Pillow's `ImageEnhance.Brightness`.

    Values become whole numbers from 0 to 255, fractions cut off, so that an image in the range 0 to 1 gets black without
    `scale`; one with values below 0 or above 255 is brought into that range, and back. Transparency stays.

    >>> apply_brightness_shift(np.array([[[0.0, 100.0, 255.0]]]), 0.5, scale=False).tolist()
    [[[0.0, 50.0, 127.0]]]

    Args:
        x: one image, of three dimensions.
        brightness: the factor; 1 leaves the image as it is.
        scale: whether the values are scaled first, so that they reach from 0 to 255.
        channel_axis: the axis of the channels.

    Returns:
        float32 (`config.floatx()`) of the shape of `x`.
    """
    x = np.asarray(x, settings.floatx())
    low, high = np.min(x), np.max(x)
    beyond = bool(low < 0 or high > 255)
    if beyond or scale:
        shifted = x - low
        highest = np.max(shifted)
        whole = shifted / (highest if highest else 1) * 255
    else:
        whole = x
    whole = whole.astype(np.uint8)
    brighter = np.clip(whole * np.float32(brightness), 0, 255).astype(np.uint8)
    if x.shape[channel_axis] == 4:
        alpha = [slice(None)] * x.ndim
        alpha[channel_axis] = slice(3, 4)
        brighter[tuple(alpha)] = whole[tuple(alpha)]
    y = brighter.astype(x.dtype)
    return y / 255 * (high - low) + low if beyond and not scale else y


def flip_axis(x: Any, axis: int) -> np.ndarray:
    """Reverse an array along one axis.

    >>> flip_axis(np.array([[1, 2]]), 1).tolist()
    [[2, 1]]
    """
    return np.flip(np.asarray(x), axis)


def _draws(count: int) -> np.ndarray:
    """Uniform numbers from -1 to 1, of the process's sequence of seeds."""
    key = host_random.key_from_seed(host_random.next_seed())
    return host_random.uniform(key, (count,), -1.0, 1.0, "float64")


def pair(name: str, value: Any) -> list[float]:
    """The two numbers that `value` has.

    Raises:
        ArgumentError: it is not a pair of numbers.
    """
    numbers = isinstance(value, list | tuple | np.ndarray) and len(value) == 2
    if not numbers or not all(isinstance(v, int | float | np.number) for v in value):
        raise ArgumentError(f"{name} must be a pair of numbers (lower, upper), got {value!r}.")
    return [value[0], value[1]]


def _between(bounds: Sequence[float], name: str, count: int) -> np.ndarray:
    """Uniform numbers between two bounds."""
    lower, upper = pair(name, bounds)
    return lower + (upper - lower) * (_draws(count) + 1.0) / 2.0


def random_rotation(
    x: Any, rg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Rotate an image by a random angle between `-rg` and `rg` degrees.

    >>> random_rotation(np.ones((3, 4, 4)), 20).shape
    (3, 4, 4)

    Args:
        x: one image, of three dimensions.
        rg: the largest angle.
        row_axis: as for `apply_affine_transform`, like the other arguments.
        col_axis: the axis of the columns.
        channel_axis: the axis of the channels.
        fill_mode: how points outside are filled.
        cval: for "constant".
        interpolation_order: 0 or 1.
    """
    return apply_affine_transform(
        x, theta=rg * _draws(1)[0], row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_shift(
    x: Any, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Shift an image by random fractions of its size, like Keras's `random_shift`.

    >>> random_shift(np.ones((3, 4, 4)), 0.5, 0.5).shape
    (3, 4, 4)

    Args:
        x: one image, of three dimensions.
        wrg: the largest fraction of the width, for `ty`.
        hrg: the largest fraction of the height, for `tx`.
        row_axis: as for `apply_affine_transform`, like the other arguments.
        col_axis: the axis of the columns.
        channel_axis: the axis of the channels.
        fill_mode: how points outside are filled.
        cval: for "constant".
        interpolation_order: 0 or 1.
    """
    x = np.asarray(x)
    tx, ty = _draws(2) * (hrg * x.shape[row_axis], wrg * x.shape[col_axis])
    return apply_affine_transform(
        x, tx=tx, ty=ty, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_shear(
    x: Any, intensity: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Shear an image by a random angle between `-intensity` and `intensity` degrees.

    >>> random_shear(np.ones((3, 4, 4)), 20).shape
    (3, 4, 4)

    Args:
        x: one image, of three dimensions.
        intensity: the largest angle.
        row_axis: as for `apply_affine_transform`, like the other arguments.
        col_axis: the axis of the columns.
        channel_axis: the axis of the channels.
        fill_mode: how points outside are filled.
        cval: for "constant".
        interpolation_order: 0 or 1.
    """
    return apply_affine_transform(
        x, shear=intensity * _draws(1)[0], row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_zoom(
    x: Any, zoom_range: Sequence[float], row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Zoom an image by two random factors, one per axis.

    >>> random_zoom(np.ones((3, 4, 4)), (0.5, 1.5)).shape
    (3, 4, 4)

    Args:
        x: one image, of three dimensions.
        zoom_range: the bounds (lower, upper) of the factors.
        row_axis: as for `apply_affine_transform`, like the other arguments.
        col_axis: the axis of the columns.
        channel_axis: the axis of the channels.
        fill_mode: how points outside are filled.
        cval: for "constant".
        interpolation_order: 0 or 1.
    """
    zx, zy = _between(zoom_range, "zoom_range", 2)
    return apply_affine_transform(
        x, zx=zx, zy=zy, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis,
        fill_mode=fill_mode, cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    """Shift the values of an image by a random amount between `-intensity_range` and `intensity_range`.

    >>> random_channel_shift(np.ones((3, 2, 2)), 10.0).tolist() == np.ones((3, 2, 2)).tolist()
    True

    Args:
        x: one image, of three dimensions.
        intensity_range: the largest amount.
        channel_axis: the axis of the channels.
    """
    return apply_channel_shift(x, intensity_range * _draws(1)[0], channel_axis)


def random_brightness(x: Any, brightness_range: Sequence[float], scale: bool = True) -> np.ndarray:
    """Make an image darker or brighter by a random factor.

    >>> random_brightness(np.ones((2, 2, 3)), (0.5, 1.5)).shape
    (2, 2, 3)

    Args:
        x: one image, of three dimensions.
        brightness_range: the bounds (lower, upper) of the factor.
        scale: as for `apply_brightness_shift`.
    """
    return apply_brightness_shift(x, _between(brightness_range, "brightness_range", 1)[0], scale)
