"""Functions of images that interpolate at computed positions: coordinates, perspective, distortion and scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError, unknown_name
from lamella.ir import limits, settings
from lamella.ir.dim import Dim, public_shape
from lamella.ir.spec import is_float, spec_of
from lamella.ops import affine, resizing
from lamella.ops.image_filters import batch_of, gaussian_kernel, image_axes, like, separable
from lamella.ops.random_bits import NEW_KEYS
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), "bilinear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "bicubic"),
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}
"""The interpolation for every `method` of `scale_and_translate`."""


def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Any:
    """The values of an array at given coordinates, as `scipy.ndimage.map_coordinates`.

    Differentiable with respect to the array and, for order 1, to the coordinates.

    Args:
        inputs: array of any number of dimensions.
        coordinates: `(dimensions of inputs, *shape)`: the coordinates along each dimension.
        order: 1 interpolates linearly, 0 takes the nearest value.
        fill_mode: how points outside are filled: "constant" (`fill_value`), "nearest", "wrap", "reflect" (the outermost
            values twice) or "mirror" (once).
        fill_value: the value of points outside for the mode "constant".

    Returns:
        An array of `shape`, in the dtype of `inputs`; integers are rounded.

    Raises:
        ArgumentError: `order` is neither 0 nor 1.
        ShapeError: `coordinates` does not have one entry per dimension, or has less than two dimensions.
        UnknownNameError: the fill mode is not known.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.array([[0.0, 1.0], [2.0, 3.0]])
        >>> ops.image.map_coordinates(x, [[0.5, 1.0], [0.5, 0.0]], order=1)
        array([1.5, 2. ])
    """
    if fill_mode not in affine.FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, list(affine.FILL_MODES))
    if order not in (0, 1):
        raise ArgumentError(f"order must be 0 (nearest) or 1 (linear), got {order!r}.")
    x = ops.convert_to_tensor(inputs)
    places = (
        ops.stack(list(coordinates)) if isinstance(coordinates, list | tuple) else ops.convert_to_tensor(coordinates)
    )
    if len(places.shape) < 2 or places.shape[0] != len(x.shape):
        raise ShapeError(
            f"coordinates must be ({len(x.shape)}, ...), one entry per dimension of the inputs of shape "
            f"{public_shape(x.shape)}, got shape {public_shape(places.shape)}."
        )
    wide = "float64" if "float64" in (spec_of(x).dtype, spec_of(places).dtype) else "float32"
    places = ops.cast(places, wide)
    cells = affine._linear if order else affine._nearest
    # For each combination of neighbors: the index in the flat array, whether it is inside, and the weight.
    corners: list[tuple[Any, Any, Any]] = [(0, None, None)]
    for axis, size in enumerate(x.shape):
        chosen = cells(places[axis], int(size))
        corners = [
            (
                ops.add(ops.multiply(start, int(size)), affine.FILL_MODES[fill_mode](cell, int(size))),
                _both(inside, affine._within(cell, int(size))),
                weight if before is None else before if weight is None else ops.multiply(before, weight),
            )
            for start, inside, before in corners
            for cell, weight in chosen
        ]
    values, total = ops.reshape(x, (-1,)), None
    for start, inside, weight in corners:
        part = ops.take(values, start, 0)
        if fill_mode == "constant":
            part = ops.where(inside, part, ops.cast(fill_value, spec_of(x).dtype))
        if weight is not None:
            part = ops.multiply(ops.cast(part, wide), weight)
        total = part if total is None else ops.add(total, part)
    return affine.as_pixels(total, spec_of(x).dtype) if order else ops.cast(total, spec_of(x).dtype)


def _both(first: Tensor | None, second: Tensor) -> Tensor:
    return second if first is None else ops.logical_and(first, second)


def perspective_transform(
    images: ArrayLike,
    start_points: Tensor,
    end_points: Tensor,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images in another perspective: the pixels at `start_points` move to `end_points`.

    Differentiable with respect to the images and the points.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        start_points: `(4, 2)`, or `(batch, 4, 2)`: four points (x, y), no three of them on a line; x counts columns.
        end_points: where they move to, in the same shape.
        interpolation: "bilinear" or "nearest".
        fill_value: the value of points outside the image.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of the shape and dtype of `images`; integers are rounded.

    Raises:
        ShapeError: images or points have another shape.
        UnknownNameError: the interpolation is not known.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> corners = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
        >>> shifted = corners + np.array([1.0, 0.0])
        >>> ops.image.perspective_transform(np.arange(9.0).reshape(3, 3, 1), corners, shifted)[:, :, 0].round(4)
        array([[0., 0., 1.],
               [0., 3., 4.],
               [0., 6., 7.]])
    """
    if interpolation not in affine.INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, affine.INTERPOLATIONS)
    x = batch_of(images, data_format)
    _, height, width, _ = x.shape
    wide = affine.place_dtype(x)
    starts, ends = (ops.cast(ops.convert_to_tensor(p), wide) for p in (start_points, end_points))
    for name, points in (("start_points", starts), ("end_points", ends)):
        if len(points.shape) not in (2, 3) or tuple(points.shape[-2:]) != (4, 2) or points.shape != starts.shape:
            raise ShapeError(
                f"{name} must be (4, 2) or (batch, 4, 2), with equal shapes, got shape {public_shape(points.shape)} beside "
                f"{public_shape(starts.shape)}."
            )
    if len(starts.shape) == 2:
        starts, ends = ops.expand_dims(starts, 0), ops.expand_dims(ends, 0)
    # Coordinates near 1 keep their precision in products of three.
    unit = float(max(height, width))
    to_start, to_end = (_basis(ops.divide(points, unit)) for points in (starts, ends))
    matrix = ops.matmul(to_start, _adjugate(to_end))
    entries = [[ops.reshape(matrix[:, i, j], (-1, 1, 1)) for j in range(3)] for i in range(3)]
    down, right = (ops.divide(a, unit) for a in affine.grid(int(height), int(width), wide))
    across, along, depth = (
        ops.add(ops.add(ops.multiply(right, row[0]), ops.multiply(down, row[1])), row[2]) for row in entries
    )
    rows, columns = (ops.multiply(ops.divide(a, depth), unit) for a in (along, across))
    y = affine.gather_at(x, rows, columns, interpolation, "constant", fill_value)
    return like(affine.as_pixels(y, spec_of(image_axes(images, data_format)[0]).dtype), images, data_format)


def _basis(points: Tensor) -> Tensor:
    """Matrices `(batch, 3, 3)` that map three unit vectors and their sum to four points, in homogeneous coordinates."""
    ones = ops.ones_like(points[:, :, :1])
    corners = ops.transpose(ops.concatenate([points, ones], -1), (0, 2, 1))  # one point per column
    shares = ops.matmul(_adjugate(corners[:, :, :3]), corners[:, :, 3:])
    return ops.multiply(corners[:, :, :3], ops.transpose(shares, (0, 2, 1)))


def _adjugate(matrix: Tensor) -> Tensor:
    """The adjugates of matrices `(batch, 3, 3)`: their inverses times their determinants."""
    rows = [[matrix[:, i, j] for j in range(3)] for i in range(3)]

    def minor(i: int, j: int) -> Tensor:
        a, b = [k for k in range(3) if k != i]
        c, d = [k for k in range(3) if k != j]
        value = ops.subtract(ops.multiply(rows[a][c], rows[b][d]), ops.multiply(rows[a][d], rows[b][c]))
        return value if (i + j) % 2 == 0 else ops.negative(value)

    return ops.stack([ops.stack([minor(j, i) for j in range(3)], -1) for i in range(3)], -2)


def elastic_transform(
    images: ArrayLike,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixels move by random distances that are similar for neighbors.

    The distances down and across are drawn independently: normal numbers of the deviation `sigma`, blurred with
    `sigma`, times `alpha`.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        alpha: the factor of the distances.
        sigma: the width in pixels of the blur of the distances, a positive number.
        interpolation: "bilinear" or "nearest".
        fill_mode: how points outside are filled: "reflect", "constant" (`fill_value`), "nearest", "wrap" or "mirror".
        fill_value: the value of points outside for the mode "constant".
        seed: an integer or a `random.SeedGenerator`. None gives other numbers for each call: in the `call` of a layer a
            function of the model's seed, the layer's path and the step.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of the shape and dtype of `images`; integers are rounded.

    Raises:
        ArgumentError: `sigma` is not positive, or `seed` is none of these.
        ShapeError: `images` has another number of dimensions.
        UnknownNameError: the interpolation or the fill mode is not known.

    References:
        P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional neural networks applied to visual
        document analysis", ICDAR 2003, https://doi.org/10.1109/ICDAR.2003.1227801.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.tile(np.arange(8.0), (8, 1))[..., None]
        >>> y = ops.image.elastic_transform(x, alpha=5.0, sigma=2.0, seed=1)
        >>> y.shape, bool(abs(y - x).max() > 0.1)
        ((8, 8, 1), True)
    """
    if interpolation not in affine.INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, affine.INTERPOLATIONS)
    if fill_mode not in affine.FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, list(affine.FILL_MODES))
    if not float(sigma) > 0:
        raise ArgumentError(f"sigma must be a positive number, got {sigma!r}.")
    x = batch_of(images, data_format)
    batch, height, width, _ = x.shape
    wide = affine.place_dtype(x)
    key, step = _key(seed)
    drawn = ops.random_bits.bind(key, step, shape=(batch, height, width, 2), bits=32)
    weights = gaussian_kernel(int(6 * sigma) | 1, float(sigma), wide)
    moved = separable(ops.normal_from_bits(drawn, wide), weights, weights, "same")
    moved = ops.multiply(moved, ops.multiply(ops.cast(alpha, wide), float(sigma)))
    down, right = affine.grid(int(height), int(width), wide)
    rows, columns = ops.add(down, moved[..., 0]), ops.add(right, moved[..., 1])
    y = affine.gather_at(x, rows, columns, interpolation, fill_mode, fill_value)
    return like(affine.as_pixels(y, spec_of(image_axes(images, data_format)[0]).dtype), images, data_format)


def _key(seed: Any) -> tuple[Any, Any]:
    """The key and the step of a draw."""
    if seed is None:
        return NEW_KEYS[0]()
    key: Any = seed.next() if hasattr(seed, "next") else seed
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        key = np.array([int(key) >> 32 & 0xFFFFFFFF, int(key) & 0xFFFFFFFF], np.uint32)
    if tuple(getattr(key, "shape", ())) != (2,) or spec_of(key).dtype != "uint32":
        raise ArgumentError(f"seed must be an integer, a random.SeedGenerator, one of its keys, or None; got {seed!r}.")
    return key, np.zeros((), np.uint32)


def scale_and_translate(
    images: ArrayLike,
    output_shape: Sequence[int],
    scale: ArrayLike,
    translation: ArrayLike,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """An array scaled and shifted along some of its dimensions, as `jax.image.scale_and_translate`.

    Entry j of the result is centered at (j + 1/2 - translation) / scale - 1/2 of the input; it is 0 where that is
    outside. Differentiable with respect to the images, the scale and the translation.

    Args:
        images: array of any number of dimensions.
        output_shape: the shape of the result; it differs from that of `images` in `spatial_dims` only. Dimensions that
            are left free, such as the batch, stay as they are.
        scale: one factor per entry of `spatial_dims`.
        translation: one shift per entry of `spatial_dims`, in entries of the result.
        spatial_dims: the dimensions.
        method: "linear", "bilinear", "trilinear" or "triangle"; "cubic", "bicubic" or "tricubic"; "lanczos3" or
            "lanczos5".
        antialias: whether the kernel is widened where the array shrinks.

    Returns:
        An array of floats of `output_shape`.

    Raises:
        ShapeError: the shapes do not fit, or there is not one scale and translation per dimension.
        UnknownNameError: the method is not known.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.image.scale_and_translate(np.array([[1.0, 2.0, 3.0]]), (1, 3), [1.0], [1.0], [1], "linear")
        array([[0., 1., 2.]])
    """
    if method not in _METHODS:
        raise unknown_name("method", method, _METHODS)
    x = ops.convert_to_tensor(images)
    x = x if is_float(spec_of(x).dtype) else ops.cast(x, settings.floatx())
    rank, count = len(x.shape), len(spatial_dims)
    axes = [int(d) % rank if -rank <= d < rank else rank for d in spatial_dims]
    kept = [axis for axis in range(rank) if axis not in axes]
    scales, shifts = (ops.convert_to_tensor(v) for v in (scale, translation))
    if tuple(scales.shape) != (count,) or tuple(shifts.shape) != (count,):
        raise ShapeError(
            f"scale and translation must have an entry for each of the {count} spatial_dims, got shapes "
            f"{public_shape(scales.shape)} and {public_shape(shifts.shape)}."
        )
    if (
        len(output_shape) != rank
        or rank in axes
        or len(set(axes)) != count
        or any(x.shape[axis] != output_shape[axis] for axis in kept if not isinstance(x.shape[axis], Dim))
    ):
        raise ShapeError(
            f"output_shape must be that of the images, {public_shape(x.shape)}, but for the dimensions "
            f"{tuple(spatial_dims)}; got {tuple(output_shape)}."
        )
    for i, axis in enumerate(axes):
        weights = _weights(int(x.shape[axis]), int(output_shape[axis]), scales[i], shifts[i], method, antialias)
        x = ops.moveaxis(ops.tensordot(x, ops.cast(weights, spec_of(x).dtype), ((axis,), (0,))), -1, axis)
    return x


def _weights(
    size: int, new_size: int, scale: ArrayLike, translation: ArrayLike, method: str, antialias: bool
) -> Tensor:
    """The weight of every input entry in every output entry, `(size, new_size)`."""
    limits.reserve((size, new_size))
    wide = "float64" if "float64" in (spec_of(scale).dtype, spec_of(translation).dtype) else "float32"
    step = ops.divide(1.0, ops.cast(scale, wide))
    places = np.arange(new_size) + 0.5
    centers = ops.subtract(ops.multiply(ops.subtract(ops.cast(places, wide), ops.cast(translation, wide)), step), 0.5)
    cells = ops.cast(np.arange(size)[:, None], wide)
    distance = ops.abs(ops.subtract(ops.expand_dims(centers, 0), cells))
    distance = ops.divide(distance, ops.maximum(step, 1.0)) if antialias else distance
    weights = resizing.KERNELS[_METHODS[method]](distance, ops)
    total = ops.sum(weights, 0, keepdims=True)
    some = ops.greater(ops.abs(total), 1000.0 * float(np.finfo(np.float32).eps))
    weights = ops.where(some, ops.divide(weights, ops.where(some, total, 1.0)), 0.0)
    inside = ops.logical_and(ops.greater_equal(centers, -0.5), ops.less_equal(centers, size - 0.5))
    return ops.where(ops.expand_dims(inside, 0), weights, 0.0)


filter_functions(__name__)
