"""Functions of neural networks: normalization, attention, crossentropies, patches and custom gradients."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape, shapes_differ
from lamella.ir.spec import Spec, spec_of
from lamella.ops.coerce import floating, in_float32, normalize_axes, normalize_axis
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def multi_hot(
    inputs: ArrayLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DTypeLike | None = None,
    sparse: bool = False,
) -> Tensor:
    """1 for every class among the integers of a row, 0 for the others

    Args:
        inputs: integer array `(..., length)`; an integer outside of 0 ... `num_classes` - 1 is left out.
        num_classes: the number of classes.
        axis: the position of the axis of the classes, before the axis of the integers is reduced.
        dtype: the dtype of the result; None is `floatx`.
        sparse: must be False; lamella has no sparse tensors.

    Returns:
        An array `(batch, num_classes)`, or `(num_classes,)` for a vector.

    Raises:
        DTypeError: `inputs` are not integers.
        ValueError: `sparse` is True, or `num_classes` is missing.

    Example:
        >>> from lamella import ops
        >>> ops.multi_hot([[0, 2], [1, 1]], num_classes=3)
        array([[1., 0., 1.],
               [0., 1., 0.]], dtype=float32)
    """
    if sparse:
        raise ValueError("multi_hot(sparse=True): lamella has no sparse tensors.")
    if num_classes is None:
        raise ValueError("multi_hot needs `num_classes`.")
    inputs = ops.convert_to_tensor(inputs)
    return ops.max(ops.one_hot(inputs, num_classes, axis, dtype), 1 if spec_of(inputs).ndim > 1 else 0)


@in_float32
def normalize(x: ArrayLike, axis: int | Sequence[int] = -1, order: Any = 2, epsilon: float | None = None) -> Tensor:
    """x / max(norm(x), epsilon) over `axis`

    The derivative at 0 is 1 / epsilon for order 2.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes of the norm.
        order: the order of the norm, see `norm`.
        epsilon: the least norm to divide by; None is `lamella.config.epsilon()`, 1e-7 by default.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: `axis` is out of range.
        ValueError: the order is not supported.

    Example:
        >>> from lamella import ops
        >>> ops.normalize([[3.0, 4.0], [0.0, 0.0]]), ops.normalize([3.0, 1.0], order=1)
        (array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32), array([0.75, 0.25], dtype=float32))
    """
    least = settings.epsilon() if epsilon is None else epsilon
    if order == 2:
        # The maximum is taken of the squares, because the square root has no finite derivative at 0.
        squares = ops.sum(ops.square(x), axis, keepdims=True)
        return ops.multiply(x, ops.rsqrt(ops.maximum(squares, least**2)))
    return ops.divide(x, ops.maximum(ops.norm(x, order, axis, keepdims=True), least))


def _as_axis(x: ArrayLike, like: ArrayLike, axes: tuple[int, ...]) -> Any:
    """A vector (or an array over `axes`) reshaped to broadcast along these axes of `like`; a scalar is unchanged."""
    x = ops.cast(x, spec_of(like).dtype)
    return ops.reshape(x, [d if i in axes else 1 for i, d in enumerate(spec_of(like).shape)]) if spec_of(x).shape else x


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with vectors along `axis`

    Args:
        x: array; integers and booleans are converted to `floatx`.
        mean: a vector along `axis`.
        variance: a vector along `axis`.
        axis: the axis of the channels.
        offset: a vector along `axis` that is added, or None.
        scale: a vector along `axis` that multiplies, or None.
        epsilon: is added to the variance, so that it is not 0.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: a vector does not have the size of `axis`, or `axis` is out of range.

    References:
        S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
        shift", ICML 2015, https://arxiv.org/abs/1502.03167.

    Example:
        >>> from lamella import ops
        >>> x = [[1.0, 10.0], [3.0, 30.0]]
        >>> ops.batch_normalization(x, [2.0, 20.0], [1.0, 100.0], axis=-1, scale=[1.0, 2.0], epsilon=0.0)
        array([[-1., -2.],
               [ 1.,  2.]], dtype=float32)
    """
    (x,) = floating(x)
    axes = (normalize_axis(axis, spec_of(x).ndim),)
    y = ops.subtract(x, _as_axis(mean, x, axes))
    factor = ops.rsqrt(ops.add(_as_axis(variance, x, axes), epsilon))
    y = ops.multiply(y, factor if scale is None else ops.multiply(factor, _as_axis(scale, x, axes)))
    return y if offset is None else ops.add(y, _as_axis(offset, x, axes))


@in_float32
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the moments of x over `axis`

    16-bit floats are computed in float32.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        gamma: multiplies, an array over the axes, or None.
        beta: is added, an array over the axes, or None.
        axis: the axis or axes of the moments.
        epsilon: is added to the variance; None is `lamella.config.epsilon()`, 1e-7 by default.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: `axis` is out of range.

    References:
        J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016, https://arxiv.org/abs/1607.06450.

    Example:
        >>> from lamella import ops
        >>> ops.layer_normalization([[1.0, 3.0], [10.0, 30.0]], beta=[0.0, 5.0]).round(4)
        array([[-1.,  6.],
               [-1.,  6.]], dtype=float32)
    """
    axes = normalize_axes(axis, spec_of(x).ndim)
    mean, variance = ops.moments(x, axes, keepdims=True)
    least = settings.epsilon() if epsilon is None else epsilon
    y = ops.multiply(ops.subtract(x, mean), ops.rsqrt(ops.add(variance, least)))
    y = y if gamma is None else ops.multiply(y, _as_axis(gamma, x, axes))
    return y if beta is None else ops.add(y, _as_axis(beta, x, axes))


@in_float32
def rms_normalization(
    x: ArrayLike, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Tensor:
    """x / sqrt(mean(x**2) + epsilon) * scale, with the mean over `axis`

    16-bit floats are computed in float32.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        scale: multiplies, an array over the axes, or None.
        axis: the axis or axes of the mean.
        epsilon: is added to the mean square; None is `lamella.config.epsilon()`, 1e-7 by default.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: `axis` is out of range.

    References:
        B. Zhang, R. Sennrich, "Root mean square layer normalization", NeurIPS 2019, https://arxiv.org/abs/1910.07467.

    Example:
        >>> from lamella import ops
        >>> ops.rms_normalization([[1.0, 7.0], [-10.0, 70.0]]).round(4)
        array([[ 0.2,  1.4],
               [-0.2,  1.4]], dtype=float32)
    """
    axes = normalize_axes(axis, spec_of(x).ndim)
    least = settings.epsilon() if epsilon is None else epsilon
    y = ops.multiply(x, ops.rsqrt(ops.add(ops.mean(ops.square(x), axes, keepdims=True), least)))
    return y if scale is None else ops.multiply(y, _as_axis(scale, x, axes))


def dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(scale * query @ key^T + bias) @ value, head by head

    Args:
        query: `(batch, targets, heads, size)`, floats.
        key: `(batch, sources, key_heads, size)`; `heads` is a multiple of `key_heads`, and consecutive heads share one.
        value: `(batch, sources, key_heads, value_size)`.
        bias: is added to the logits; broadcasts to `(batch, heads, targets, sources)`.
        mask: bool, broadcasts to `(batch, heads, targets, sources)`: sources where it is False are not attended to.
        scale: the factor of the logits; None is 1 / sqrt(size).
        is_causal: whether target t attends to sources up to t only.
        flash_attention: whether it runs in one kernel (cuDNN's, with JAX on a GPU), which needs float16 or bfloat16,
            values as large as the queries, no bias and no soft cap. True refuses what cannot; None decides by
            `lamella.config.enable_flash_attention` and what is available.
        attn_logits_soft_cap: replaces the logits z by c tanh(z / c) for this c.

    Returns:
        An array of floats `(batch, targets, heads, value_size)`.

    Raises:
        ShapeError: an operand does not have four dimensions, or the numbers of heads do not divide.
        ArgumentError: `flash_attention` is True and the operands do not allow it.

    References:
        A. Vaswani et al., "Attention is all you need", NeurIPS 2017, https://arxiv.org/abs/1706.03762.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> query, key = np.zeros((1, 2, 1, 4), "float32"), np.zeros((1, 2, 1, 4), "float32")
        >>> value = np.array([1.0, 3.0], "float32").reshape(1, 2, 1, 1)
        >>> ops.dot_product_attention(query, key, value).ravel()
        array([2., 2.], dtype=float32)
        >>> ops.dot_product_attention(query, key, value, is_causal=True).ravel()
        array([1., 2.], dtype=float32)
    """
    query, key, value = (floating(x)[0] for x in (query, key, value))
    if any(spec_of(x).ndim != 4 for x in (query, key, value)):
        listed = ", ".join(str(spec_of(x)) for x in (query, key, value))
        raise ShapeError(f"query, key and value must be (batch, length, heads, size), got {listed}.")
    heads, sources = spec_of(query).shape[2], spec_of(key).shape[2]
    if heads % sources:
        raise ShapeError(f"{heads} heads of queries do not share {sources} heads of keys evenly.")
    key, value = (x if heads == sources else ops.repeat(x, heads // sources, 2) for x in (key, value))
    factor = 1.0 / math.sqrt(spec_of(query).shape[-1]) if scale is None else scale
    plain = bias is None and attn_logits_soft_cap is None
    if _runs_fused(flash_attention, plain, *[spec_of(x) for x in (query, key, value)]):
        masks = (
            () if mask is None else (ops.broadcast_to(mask, (*[1] * (4 - spec_of(mask).ndim), *spec_of(mask).shape)),)
        )
        return ops.primitives.attention.bind(
            query, key, value, *masks, scale=float(factor), causal=bool(is_causal), fused=flash_attention is True
        )
    logits = ops.multiply(ops.einsum("btnh,bsnh->bnts", query, key), factor)
    if attn_logits_soft_cap is not None:
        logits = ops.multiply(ops.tanh(ops.divide(logits, attn_logits_soft_cap)), attn_logits_soft_cap)
    logits = logits if bias is None else ops.add(logits, bias)
    if is_causal:
        causal = ops.tri(*spec_of(logits).shape[-2:], dtype="bool")
        mask = causal if mask is None else ops.logical_and(mask, causal)
    if mask is not None:
        least = -65504.0 / 2 if spec_of(logits).dtype == "float16" else -0.7 * float(np.finfo(np.float32).max)
        logits = ops.where(mask, logits, least)
    return ops.einsum("bnts,bsnh->btnh", ops.softmax(logits), value)


def _runs_fused(chosen: bool | None, plain: bool, query: Spec, key: Spec, value: Spec) -> bool:
    """Whether `dot_product_attention` becomes one op, for which a backend may have a fused kernel.

    Raises:
        ArgumentError: `flash_attention=True` asks for it, but the operands do not allow it.
    """
    if chosen is False or (chosen is None and settings.is_flash_attention_enabled() is False):
        return False
    found = "" if plain else "does not support a bias or a soft cap"
    if not found and not query.dtype == key.dtype == value.dtype in ("float16", "bfloat16"):
        found = f"needs float16 or bfloat16, got {query}, {key} and {value}"
    if not found and differ(query.shape[-1], value.shape[-1]):
        found = f"needs values as large as the queries, got {value} and {query}"
    if found and chosen:
        raise ArgumentError(f"flash_attention=True {found}.")
    return not found


def probabilities(output: Tensor, axis: int) -> Tensor:
    """p / sum(p) clipped to [epsilon, 1 - epsilon]; rows of zeros are not divided, which would give NaN."""
    total = ops.sum(output, axis, keepdims=True)
    p = ops.divide(output, ops.where(ops.equal(total, 0.0), 1.0, total))
    return ops.clip(p, settings.epsilon(), 1.0 - settings.epsilon())


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Tensor:
    """log(p) of class scores: log_softmax of logits, or the logarithm of `probabilities`."""
    (output,) = floating(output)
    return ops.log_softmax(output, axis) if from_logits else ops.log(probabilities(output, axis))


def _check_shape(target: ArrayLike, shape: Sequence[int]) -> None:
    """Raise for targets whose shape differs from that of the outputs; only a scalar may broadcast."""
    given = tuple(ops.shape(target))
    if given and shapes_differ(given, shape):
        raise ShapeError(
            f"the target must have the shape of the output, {public_shape(shape)}, got {public_shape(given)}."
        )


def categorical_crossentropy(target: ArrayLike, output: ArrayLike, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-sum(target log(p)) over the classes along `axis`; p is output over its sum, or softmax(output)

    Args:
        target: probabilities, of the shape of `output`.
        output: probabilities, which are normalized and clipped to [epsilon, 1 - epsilon], or logits.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.

    Returns:
        An array of floats without `axis`.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> from lamella import ops
        >>> target = [[0.0, 1.0], [1.0, 0.0]]
        >>> ops.categorical_crossentropy(target, [[0.5, 0.5], [0.8, 0.2]]).round(4)
        array([0.6931, 0.2231], dtype=float32)
        >>> ops.categorical_crossentropy(target, [[0.0, 0.0], [20.0, 0.0]], from_logits=True).round(4)
        array([ 0.6931, -0.    ], dtype=float32)
    """
    _check_shape(target, ops.shape(output))
    return ops.negative(ops.sum(ops.multiply(target, _log_probabilities(output, from_logits, axis)), axis))


def sparse_categorical_crossentropy(
    target: ArrayLike, output: ArrayLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(p[target]) over the classes along `axis`, for class indices

    Args:
        target: class indices, of the shape of `output` without `axis`, or with a size of 1 there; an index outside
            gives 0.
        output: probabilities, which are normalized and clipped to [epsilon, 1 - epsilon], or logits.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.

    Returns:
        An array of floats without `axis`.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> from lamella import ops
        >>> ops.sparse_categorical_crossentropy([1, 0], [[0.5, 0.5], [0.8, 0.2]]).round(4)
        array([0.6931, 0.2231], dtype=float32)
    """
    target, p = ops.convert_to_tensor(target), _log_probabilities(output, from_logits, axis)
    if spec_of(target).ndim == spec_of(p).ndim and spec_of(target).shape[axis] == 1:
        target = ops.squeeze(target, axis)
    along = normalize_axis(axis, spec_of(p).ndim)
    _check_shape(target, [d for i, d in enumerate(spec_of(p).shape) if i != along])
    hit = ops.one_hot(ops.cast(target, "int32"), spec_of(p).shape[axis], axis, "bool")
    return ops.negative(ops.sum(ops.where(hit, p, 0.0), axis))


def binary_crossentropy(target: ArrayLike, output: ArrayLike, from_logits: bool = False) -> Tensor:
    """-target log(p) - (1 - target) log(1 - p) entry by entry; p is output, or sigmoid(output)

    Args:
        target: probabilities, of the shape of `output`, or a single number.
        output: probabilities, which are clipped to [epsilon, 1 - epsilon], or logits.
        from_logits: whether `output` are logits.

    Returns:
        An array of floats of the shape of `output`.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> from lamella import ops
        >>> ops.binary_crossentropy([1.0, 0.0], [0.5, 0.2]).round(4)
        array([0.6931, 0.2231], dtype=float32)
        >>> ops.binary_crossentropy([1.0, 0.0], [0.0, -30.0], from_logits=True).round(4)
        array([0.6931, 0.    ], dtype=float32)
    """
    (output,) = floating(output)
    _check_shape(target, ops.shape(output))
    opposite = ops.subtract(1.0, target)
    if from_logits:
        yes, no = ops.softplus(ops.negative(output)), ops.softplus(output)
        return ops.add(ops.multiply(target, yes), ops.multiply(opposite, no))
    p = ops.clip(output, settings.epsilon(), 1.0 - settings.epsilon())
    return ops.negative(
        ops.add(ops.multiply(target, ops.log(p)), ops.multiply(opposite, ops.log(ops.subtract(1.0, p))))
    )


def psnr(x1: ArrayLike, x2: ArrayLike, max_val: float) -> Tensor:
    """20 log10(max_val) - 10 log10(mean((x1 - x2)**2)), the peak signal-to-noise ratio in decibels

    Args:
        x1: array of numbers.
        x2: array of the same shape.
        max_val: the largest value that a signal can have: 1, or 255.

    Returns:
        A scalar float; infinite where the arrays are equal.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> from lamella import ops
        >>> round(float(ops.psnr([[0.0, 1.0]], [[0.1, 0.9]], max_val=1.0)), 3)
        20.0
    """
    if ops.shape(x1) != ops.shape(x2):
        raise ShapeError(f"psnr: x1 and x2 must have one shape, got {ops.shape(x1)} and {ops.shape(x2)}.")
    (apart,) = floating(ops.subtract(x1, x2))
    return ops.subtract(20.0 * math.log10(max_val), ops.multiply(10.0, ops.log10(ops.mean(ops.square(apart)))))


def _last(x: ArrayLike, data_format: str) -> Tensor:
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}.")
    x = ops.convert_to_tensor(x)
    if spec_of(x).ndim != 4:
        raise ShapeError(f"expected images with 4 dimensions, got {spec_of(x)}.")
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def depth_to_space(x: ArrayLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Groups of `block_size`**2 channels rearranged as blocks of pixels.

    Args:
        x: `(batch, height, width, channels)`, or with data_format "channels_first" `(batch, channels, height, width)`.
        block_size: the height and width of a block; its square divides the number of channels.
        data_format: "channels_last" or "channels_first".

    Returns:
        An array `(batch, height * block_size, width * block_size, channels / block_size**2)`, or with channels first.

    Raises:
        ShapeError: `x` does not have four dimensions, or the channels do not divide.
        ValueError: the data format is unknown.

    References:
        W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
        neural network", CVPR 2016, https://arxiv.org/abs/1609.05158.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.depth_to_space(np.arange(4).reshape(1, 1, 1, 4), 2)[0, :, :, 0]
        array([[0, 1],
               [2, 3]])
    """
    y = _last(x, data_format)
    batch, height, width, channels = spec_of(y).shape
    if differ(channels % block_size**2, 0):
        raise ShapeError(f"{channels} channels do not divide into blocks of {block_size} x {block_size}.")
    depth = channels // block_size**2
    # With channels first, the position in the block is the inner index of a channel.
    y = ops.reshape(y, (batch, height, width, block_size, block_size, depth))
    y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (batch, height * block_size, width * block_size, depth))
    return ops.moveaxis(y, -1, 1) if data_format == "channels_first" else y


def space_to_depth(x: ArrayLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks of `block_size` x `block_size` pixels rearranged as channels: the inverse of `depth_to_space`.

    Args:
        x: `(batch, height, width, channels)`, or with data_format "channels_first" `(batch, channels, height, width)`.
        block_size: the height and width of a block, which divides those of the images.
        data_format: "channels_last" or "channels_first".

    Returns:
        An array `(batch, height / block_size, width / block_size, channels * block_size**2)`, or with channels first.

    Raises:
        ShapeError: `x` does not have four dimensions, or the height or width does not divide.
        ValueError: the data format is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.space_to_depth(np.arange(8).reshape(1, 2, 4, 1), 2)[0, 0]
        array([[0, 1, 4, 5],
               [2, 3, 6, 7]])
    """
    y = _last(x, data_format)
    batch, height, width, channels = spec_of(y).shape
    if differ(height % block_size, 0) or differ(width % block_size, 0):
        raise ShapeError(f"{height} x {width} cells do not divide into blocks of {block_size}.")
    y = ops.reshape(y, (batch, height // block_size, block_size, width // block_size, block_size, channels))
    y = ops.transpose(y, (0, 1, 3, 2, 4, 5))
    y = ops.reshape(y, (batch, height // block_size, width // block_size, channels * block_size**2))
    return ops.moveaxis(y, -1, 1) if data_format == "channels_first" else y


def _pair(n: int | Sequence[int]) -> tuple[int, int]:
    return (n, n) if isinstance(n, int) else (int(n[0]), int(n[1]))


def _patch_places(
    size: Sequence[int], kernel: tuple[int, int], dilation: Any, padding: Any, stride: Any
) -> tuple[np.ndarray, tuple[int, int]]:
    """For every kernel offset and patch the pixel of the padded image, `(offsets, patches)`; and the padded size."""
    dilation, padding, stride = _pair(dilation), _pair(padding), _pair(stride)
    padded = tuple(int(s) + 2 * p for s, p in zip(size, padding, strict=True))
    rows, columns = (
        np.arange(k)[:, None] * d + np.arange((n - (k - 1) * d - 1) // s + 1) * s
        for n, k, d, s in zip(padded, kernel, dilation, stride, strict=True)
    )
    places = rows[:, None, :, None] * padded[1] + columns[None, :, None, :]
    return places.reshape(kernel[0] * kernel[1], -1), (padded[0], padded[1])


def unfold(x: ArrayLike, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The patches of images as columns.

    Args:
        x: `(batch, channels, height, width)`.
        kernel_size: (height, width) of a patch, or one number for both.
        dilation: the distance between the pixels of a patch, one number or (down, across).
        padding: rows and columns of zeros on each side, one number or (down, across).
        stride: the distance between patches, one number or (down, across).

    Returns:
        An array `(batch, channels * pixels of a patch, patches)`.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.unfold(np.arange(9).reshape(1, 1, 3, 3), 2)[0]
        array([[0, 1, 3, 4],
               [1, 2, 4, 5],
               [3, 4, 6, 7],
               [4, 5, 7, 8]])
    """
    x = ops.convert_to_tensor(x)
    batch, channels, *size = spec_of(x).shape
    places, padded = _patch_places(size, _pair(kernel_size), dilation, padding, stride)
    (high, wide) = _pair(padding)
    x = ops.reshape(ops.pad(x, ((0, 0), (0, 0), (high, high), (wide, wide))), (batch, channels, padded[0] * padded[1]))
    return ops.reshape(ops.take(x, places, 2), (batch, channels * places.shape[0], places.shape[1]))


def fold(
    x: ArrayLike, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Images that are the sums of the patches in the columns of `x`: the transpose of `unfold`.

    Args:
        x: `(batch, channels * pixels of a patch, patches)`.
        output_size: (height, width) of the images, or one number for both.
        kernel_size: (height, width) of a patch, or one number for both.
        dilation: the distance between the pixels of a patch, one number or (down, across).
        padding: rows and columns that `unfold` pads on each side, one number or (down, across).
        stride: the distance between patches, one number or (down, across).

    Returns:
        An array `(batch, channels, height, width)`.

    Raises:
        ShapeError: `x` does not hold the patches of images of this size.

    Example:
        >>> from lamella import ops
        >>> ops.fold(ops.ones((1, 4, 4)), output_size=3, kernel_size=2)[0, 0]
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    height, width = _pair(output_size)
    places, padded = _patch_places((height, width), _pair(kernel_size), dilation, padding, stride)
    (high, wide) = _pair(padding)
    batch, columns, patches = spec_of(x).shape
    if columns % places.shape[0] or patches != places.shape[1]:
        raise ShapeError(f"{spec_of(x)} does not hold {places.shape[1]} patches of {places.shape[0]} cells.")
    channels = columns // places.shape[0]
    x = ops.reshape(x, (batch, channels, *places.shape))
    y = ops.scatter_add.bind(x, places.astype(np.int32), axis=2, size=padded[0] * padded[1])
    y = ops.reshape(y, (batch, channels, *padded))
    return y[:, :, high : high + height, wide : wide + width]


def extract_sequences(x: ArrayLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """Windows of `sequence_length` entries of the last axis, `sequence_stride` apart, along a new axis before it.

    Args:
        x: array `(..., n)`.
        sequence_length: the number of entries of a window.
        sequence_stride: the distance between the starts of two windows.

    Returns:
        An array `(..., windows, sequence_length)` in the dtype of `x`; entries that do not fill a window are left out.

    Example:
        >>> from lamella import ops
        >>> ops.extract_sequences([1, 2, 3, 4, 5], 3, 2)
        array([[1, 2, 3],
               [3, 4, 5]], dtype=int32)
    """
    x = ops.convert_to_tensor(x)
    count = (spec_of(x).shape[-1] - sequence_length) // sequence_stride + 1
    starts = np.arange(max(count, 0)) * sequence_stride
    return ops.take(x, starts[:, None] + np.arange(sequence_length), -1)


def rearrange(tensor: ArrayLike, pattern: str, **axes_lengths: int) -> Tensor:
    """`tensor` with its axes split, reordered and merged, as in "b (h p) c -> b h (p c)".

    Args:
        tensor: array of any dtype.
        pattern: names of axes before and after "->"; parentheses hold the factors of one axis, "1" is an axis of length
            1 and "..." any number of axes.
        **axes_lengths: the lengths of factors by name; one in each parenthesis may be left out.

    Returns:
        An array with the same entries.

    Raises:
        ArgumentError: the pattern has no "->", or its sides do not name the same axes.
        ShapeError: the pattern does not describe the shape of `tensor`.

    References:
        A. Rogozhnikov, "Einops: clear and reliable tensor manipulations with Einstein-like notation", ICLR 2022,
        https://openreview.net/forum?id=oapKSVM2bcj.

    Example:
        >>> from lamella import ops
        >>> ops.rearrange([[1, 2, 3, 4]], "b (h p) -> b p h", p=2)
        array([[[1, 3],
                [2, 4]]], dtype=int32)
        >>> ops.rearrange(ops.ones((2, 4, 6, 3)), "b h w c -> b (h w) c").shape
        (2, 24, 3)
    """
    tensor = ops.convert_to_tensor(tensor)
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ArgumentError(f"a pattern must have '->' between its sides, got {pattern!r}.")
    before, after = _groups(left), _groups(right)
    dots = spec_of(tensor).ndim - sum(group != ["..."] for group in before)
    hidden = [f"...{i}" for i in range(max(dots, 0))] if ["..."] in before else []
    if dots != len(hidden):
        raise ShapeError(f"pattern {pattern!r} does not describe {spec_of(tensor)}.")

    def spread(groups: list[list[str]]) -> list[list[str]]:
        return [part for group in groups for part in ([[h] for h in hidden] if group == ["..."] else [group])]

    before, after = spread(before), spread(after)
    lengths = dict(axes_lengths)
    for group, dim in zip(before, spec_of(tensor).shape, strict=True):
        known = math.prod(lengths[name] for name in group if name in lengths)
        free = [name for name in group if name not in lengths]
        if len(free) > 1 or differ(dim % known, 0) or (not free and differ(known, dim)):
            raise ShapeError(f"pattern {pattern!r}: {' '.join(group) or '1'} does not fit a dimension of {dim}.")
        lengths.update((name, dim // known) for name in free)
    names, wanted = [n for g in before for n in g], [n for g in after for n in g]
    if sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        raise ArgumentError(f"pattern {pattern!r} must name the same axes on both sides, each once.")
    y = ops.transpose(ops.reshape(tensor, [lengths[n] for n in names]), [names.index(n) for n in wanted])
    return ops.reshape(y, [math.prod([lengths[n] for n in group]) for group in after])


def _groups(side: str) -> list[list[str]]:
    found = []
    for part in re.findall(r"\([^)]*\)|\S+", side):
        names = part.strip("()").split()
        found.append([n for n in names if n != "1"])
    return found


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a custom derivative: `f(*xs)` returns a value and `grad`, which takes the cotangent of the value.

    `grad(upstream)` returns one gradient per argument (not in a tuple for a single one), or None for an argument
    without a gradient. The value may be a tuple or list; `grad` then takes one cotangent per entry.

    Args:
        f: a function of float arrays, written in `lamella.ops`, that returns `(value, grad)`.

    Returns:
        A function of the same arguments that returns the value.

    Raises:
        DTypeError: (when called) an argument is not a float.
        ArgumentError: (when called) `grad` does not return one gradient per argument.
        ShapeError: (when called) a gradient does not have the shape and dtype of its argument.

    Example:
        >>> from lamella import ops
        >>> @ops.custom_gradient
        ... def clipped_log(x):
        ...     return ops.log(x), lambda g: g / ops.maximum(x, 1e-3)
        >>> clipped_log([1.0, 10.0]).round(4)
        array([0.    , 2.3026], dtype=float32)
    """
    from lamella.ops.derivatives import with_gradient

    def wrapped(*xs: Any) -> Any:
        return with_gradient(f, xs)

    wrapped.__name__, wrapped.__doc__ = getattr(f, "__name__", "wrapped"), f.__doc__
    return wrapped


filter_functions(__name__)
