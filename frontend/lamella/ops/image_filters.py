"""Functions of images that combine neighboring pixels: patches, blurring, edges and structural similarity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import Dim, public_shape
from lamella.ir.spec import is_float, spec_of
from lamella.ops import spatial
from lamella.ops import window as windows
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def image_axes(images: ArrayLike, data_format: str | None) -> tuple[Any, int, int]:
    """The images, and the axes of their rows and of their channels."""
    x = ops.convert_to_tensor(images)
    rank = len(x.shape)
    if rank not in (3, 4):
        raise ShapeError(f"images must have 3 dimensions, or 4 with the batch, got shape {public_shape(x.shape)}.")
    last = settings.layout_of(data_format) == "channels_last"
    return x, rank - (3 if last else 2), rank - (1 if last else 3)


def batch_of(images: ArrayLike, data_format: str | None) -> Tensor:
    """Images as floats `(batch, height, width, channels)`."""
    x, _, channel = image_axes(images, data_format)
    x = x if is_float(spec_of(x).dtype) else ops.cast(x, settings.floatx())
    x = ops.moveaxis(x, channel, -1)
    return ops.expand_dims(x, 0) if len(x.shape) == 3 else x


def like(y: ArrayLike, images: ArrayLike, data_format: str | None) -> Tensor:
    """The result `y` for images that `batch_of` transposed, in the layout of `images`."""
    x, _, channel = image_axes(images, data_format)
    y = ops.squeeze(y, 0) if len(x.shape) == 3 else y
    return ops.moveaxis(y, -1, channel)


def extract_patches(
    images: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The patches of images, with the values of each patch along the last axis.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            `(batch, channels, height, width)`. Or volumes, with a size of three numbers, see `extract_patches_3d`.
        size: (height, width) of a patch, or one number for both.
        strides: the distance between patches; None is their size.
        dilation_rate: the distance between the pixels of a patch.
        padding: "valid" (none) or "same" (zeros on both sides, for ceil(size / stride) patches).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array `(batch, rows, columns, patch height * patch width * channels)`, or with the last axis where the
        channels are.

    Raises:
        ArgumentError: `size` is neither one number nor two (or three).
        ShapeError: `images` has another number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.image.extract_patches(np.arange(16).reshape(4, 4, 1), 2)[0]
        array([[0, 1, 4, 5],
               [2, 3, 6, 7]])
    """
    if not isinstance(size, int) and len(size) == 3:
        return extract_patches_3d(images, size, strides, dilation_rate, padding, data_format)
    return _patches(images, 2, size, strides, dilation_rate, padding, data_format)


def extract_patches_3d(
    volumes: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The patches of volumes, with the values of each patch along the last axis.

    Args:
        volumes: `(batch, depth, height, width, channels)`, or one volume without the batch; with data_format
            "channels_first" the channels come before the depth.
        size: (depth, height, width) of a patch, or one number for all.
        strides: the distance between patches; None is their size.
        dilation_rate: the distance between the values of a patch.
        padding: "valid" (none) or "same" (zeros on both sides, for ceil(size / stride) patches).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array `(batch, planes, rows, columns, values of a patch)`, or with the last axis where the channels are.

    Raises:
        ArgumentError: `size` is neither one number nor three.
        ShapeError: `volumes` has another number of dimensions.

    Example:
        >>> from lamella import ops
        >>> ops.image.extract_patches_3d(ops.zeros((2, 4, 4, 6, 3)), (2, 2, 3)).shape
        (2, 2, 2, 2, 36)
    """
    return _patches(volumes, 3, size, strides, dilation_rate, padding, data_format)


def _patches(
    images: Any, count: int, size: Any, strides: Any, dilation_rate: Any, padding: str, data_format: str | None
) -> Any:
    x = ops.convert_to_tensor(images)
    if len(x.shape) not in (count + 1, count + 2):
        what = "images" if count == 2 else "volumes"
        raise ShapeError(
            f"{what} must have {count + 1} dimensions, or {count + 2} with the batch, got shape {public_shape(x.shape)}."
        )
    window = (size,) * count if isinstance(size, int) else tuple(size)
    if len(window) != count or any(n < 1 for n in window):
        raise ArgumentError(f"size must be a positive integer or {count} of them, got {size!r}.")
    steps = window if not strides else (strides,) * count if isinstance(strides, int) else tuple(strides)
    single, first = len(x.shape) == count + 1, settings.layout_of(data_format) == "channels_first"
    x = ops.expand_dims(x, 0) if single else x
    x = ops.moveaxis(x, 1, -1) if first else x
    batch, *sizes, channels = x.shape
    dense = steps == window and padding == "valid" and dilation_rate in (1, (1,) * count, [1] * count)
    if dense and not any(isinstance(n, Dim) for n in sizes):
        # Adjacent whole patches are a reshape and a transposition.
        counts = [n // w for n, w in zip(sizes, window, strict=True)]
        x = x[(slice(None), *(slice(n * w) for n, w in zip(counts, window, strict=True)))]
        x = ops.reshape(x, (batch, *(n for pair in zip(counts, window, strict=True) for n in pair), channels))
        order = (0, *range(1, 2 * count, 2), *range(2, 2 * count + 1, 2), 2 * count + 1)
        y = ops.reshape(ops.transpose(x, order), (batch, *counts, math.prod(window) * channels))
    elif not is_float(spec_of(x).dtype):
        steps, dilation = spatial._each("strides", steps, count), spatial._each("dilation_rate", dilation_rate, count)
        y = _taken(x, window, steps, dilation, spatial._word(padding, "valid", "same"))
    else:
        values = math.prod(window) * channels
        kernel = ops.reshape(ops.eye(values, dtype=spec_of(x).dtype), (*window, channels, values))
        y = ops.conv(x, kernel, steps, padding, "channels_last", dilation_rate)
    y = ops.moveaxis(y, -1, 1) if first else y
    return ops.squeeze(y, 0) if single else y


def _taken(
    x: Tensor, window: tuple[Any, ...], steps: tuple[Any, ...], dilation: tuple[Any, ...], padding: str
) -> Tensor:
    """The patches of channels-last integers, gathered: a convolution would round them as floats."""
    batch, *size, channels = x.shape
    around, count = spatial.window_padding(padding, size, window, steps, dilation), len(size)
    places = windows._positions(tuple(size), window, steps, around, dilation)
    x = ops.pad(x, ((0, 0), *around, (0, 0)))
    for i, (n, w, s, d) in enumerate(zip(places, window, steps, dilation, strict=True)):
        cells = ops.add(ops.expand_dims(ops.multiply(ops.arange(n), s), 1), np.arange(w, dtype=np.int32) * d)
        x = ops.take(x, cells, 1 + 2 * i)
    order = (0, *range(1, 2 * count, 2), *range(2, 2 * count + 1, 2), 2 * count + 1)
    return ops.reshape(ops.transpose(x, order), (batch, *places, math.prod(window) * channels))


def gaussian_kernel(size: int, sigma: Any, dtype: str) -> Tensor:
    """exp(-x**2 / (2 sigma**2)) at `size` points around 0, normalized to the sum 1."""
    places = np.arange(size) - (size - 1) / 2
    values = ops.exp(ops.multiply(ops.square(ops.divide(ops.cast(places, dtype), ops.cast(sigma, dtype))), -0.5))
    return ops.divide(values, ops.sum(values))


def separable(x: Any, down: Any, across: Any, padding: str) -> Any:
    """Every channel of channels-last images convolved with a column and with a row."""
    channels = x.shape[-1]
    for kernel, shape in ((down, (-1, 1, 1, 1)), (across, (1, -1, 1, 1))):
        kernel = ops.repeat(ops.reshape(kernel, shape), channels, 2)
        x = ops.depthwise_conv(x, kernel, 1, padding, "channels_last")
    return x


def gaussian_blur(
    images: ArrayLike,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixels are Gaussian-weighted means of those around them, with zeros outside.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        kernel_size: (width, height) of the window, as in Keras.
        sigma: the standard deviations of the weights in pixels, (across, down).
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of floats of the shape of `images`.

    Raises:
        ArgumentError: `kernel_size` is not two positive integers.
        ShapeError: `images` has another number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.zeros((3, 3, 1), "float32")
        >>> x[1, 1] = 1.0
        >>> ops.image.gaussian_blur(x)[:, :, 0].round(3)
        array([[0.075, 0.124, 0.075],
               [0.124, 0.204, 0.124],
               [0.075, 0.124, 0.075]], dtype=float32)
    """
    if len(kernel_size) != 2 or any(int(n) < 1 for n in kernel_size):
        raise ArgumentError(f"kernel_size must be two positive integers, (width, height), got {kernel_size!r}.")
    x = batch_of(images, data_format)
    sigmas = ops.convert_to_tensor(sigma)
    across, down = (gaussian_kernel(int(kernel_size[i]), sigmas[i], spec_of(x).dtype) for i in range(2))
    return like(separable(x, down, across, "same"), images, data_format)


def sobel_edges(images: ArrayLike, data_format: str | None = None) -> Tensor:
    """The differences down and across each pixel, smoothed over three columns or rows: Sobel's operator.

    Args:
        images: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        An array of floats of the shape of `images` with a last axis of 2: (down, across). There are zeros outside the
        images.

    Raises:
        ShapeError: `images` has another number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.tile(np.arange(4.0), (4, 1))[..., None]
        >>> ops.image.sobel_edges(x)[1, 1, 0]
        array([0., 8.])
    """
    x = batch_of(images, data_format)
    dtype = spec_of(x).dtype
    smooth, difference = (ops.convert_to_tensor(np.array(v, dtype)) for v in ([1, 2, 1], [-1, 0, 1]))
    edges = (separable(x, difference, smooth, "same"), separable(x, smooth, difference, "same"))
    return ops.stack([like(e, images, data_format) for e in edges], -1)


def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """The structural similarity of images: 1 where they are the same.

    Args:
        image1: `(batch, height, width, channels)`, or one image without the batch; with data_format "channels_first"
            the channels come before the height.
        image2: images of the same shape.
        max_val: the largest value that a pixel can have: 1, or 255.
        filter_size: the size of the Gaussian window.
        filter_sigma: the standard deviation of its weights.
        k1: stabilizes the comparison of brightness; (k1 * max_val)**2 is added to both sides of the fraction.
        k2: stabilizes the comparison of contrast, likewise.
        data_format: "channels_last" or "channels_first"; None uses `lamella.config.image_data_format()`.

    Returns:
        One number per pair of images, `(batch,)` or `()`.

    Raises:
        ShapeError: the shapes differ, or the images are smaller than the window.

    References:
        Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error visibility to
        structural similarity", IEEE Transactions on Image Processing 13, 2004, https://doi.org/10.1109/TIP.2003.819861.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> x = np.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
        >>> round(float(ops.image.ssim(x, x)), 4), round(float(ops.image.ssim(x, 1 - x)), 2)
        (1.0, -0.83)
    """
    x, y = batch_of(image1, data_format), batch_of(image2, data_format)
    if x.shape != y.shape:
        raise ShapeError(f"both images must have one shape, got {public_shape(x.shape)} and {public_shape(y.shape)}.")
    if any(not isinstance(n, Dim) and n < filter_size for n in x.shape[1:3]):
        raise ShapeError(
            f"images of shape {public_shape(x.shape)} are smaller than the window of filter_size={filter_size}."
        )
    weights = gaussian_kernel(filter_size, filter_sigma, spec_of(x).dtype)

    def mean(values: ArrayLike) -> Any:
        return separable(values, weights, weights, "valid")

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    of_x, of_y = mean(x), mean(y)
    product = ops.multiply(of_x, of_y)
    squares = ops.add(ops.square(of_x), ops.square(of_y))
    variances = ops.subtract(ops.add(mean(ops.square(x)), mean(ops.square(y))), squares)
    covariance = ops.subtract(mean(ops.multiply(x, y)), product)
    top = ops.multiply(ops.add(ops.multiply(product, 2.0), c1), ops.add(ops.multiply(covariance, 2.0), c2))
    bottom = ops.multiply(ops.add(squares, c1), ops.add(variances, c2))
    similarity = ops.mean(ops.divide(top, bottom), (1, 2, 3))
    return ops.squeeze(similarity, 0) if len(image_axes(image1, data_format)[0].shape) == 3 else similarity


filter_functions(__name__)
