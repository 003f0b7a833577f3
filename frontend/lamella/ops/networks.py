"""What networks are made of beyond elementwise functions: normalization, attention, losses entry by entry, patches."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape, shapes_differ
from lamella.ir.spec import Spec, spec_of
from lamella.ops.coerce import floating, in_float32, normalize_axes, normalize_axis
from lamella.tracebacks import filter_functions


def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Any:
    """1 for every class among the integers of a row, 0 for the others; an integer outside counts nowhere.

    Raises:
        ValueError: `sparse`, or `num_classes` is missing.
    """
    if sparse:
        raise ValueError("multi_hot(sparse=True): lamella has no sparse tensors.")
    if num_classes is None:
        raise ValueError("multi_hot needs `num_classes`.")
    inputs = ops.convert_to_tensor(inputs)
    return ops.max(ops.one_hot(inputs, num_classes, axis, dtype), 1 if spec_of(inputs).ndim > 1 else 0)


@in_float32
def normalize(x: Any, axis: int | Sequence[int] = -1, order: Any = 2, epsilon: float | None = None) -> Any:
    """x / max(norm(x), epsilon) over `axis`; order is that of `norm`, epsilon 1e-7 where none is given."""
    least = settings.epsilon() if epsilon is None else epsilon
    if order == 2:
        # the larger of two squares: the root of 0 has no derivative
        squares = ops.sum(ops.square(x), axis, keepdims=True)
        return ops.multiply(x, ops.rsqrt(ops.maximum(squares, least**2)))
    return ops.divide(x, ops.maximum(ops.norm(x, order, axis, keepdims=True), least))


def _as_axis(x: Any, like: Any, axes: tuple[int, ...]) -> Any:
    """A vector (or array over `axes`) shaped to stand along these axes of `like`; a number stays one."""
    x = ops.cast(x, spec_of(like).dtype)
    return ops.reshape(x, [d if i in axes else 1 for i, d in enumerate(spec_of(like).shape)]) if spec_of(x).shape else x


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, the statistics being vectors along `axis`."""
    (x,) = floating(x)
    axes = (normalize_axis(axis, spec_of(x).ndim),)
    y = ops.subtract(x, _as_axis(mean, x, axes))
    factor = ops.rsqrt(ops.add(_as_axis(variance, x, axes), epsilon))
    y = ops.multiply(y, factor if scale is None else ops.multiply(factor, _as_axis(scale, x, axes)))
    return y if offset is None else ops.add(y, _as_axis(offset, x, axes))


@in_float32
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the moments of x over `axis`; epsilon 1e-7 if None."""
    axes = normalize_axes(axis, spec_of(x).ndim)
    mean, variance = ops.moments(x, axes, keepdims=True)
    least = settings.epsilon() if epsilon is None else epsilon
    y = ops.multiply(ops.subtract(x, mean), ops.rsqrt(ops.add(variance, least)))
    y = y if gamma is None else ops.multiply(y, _as_axis(gamma, x, axes))
    return y if beta is None else ops.add(y, _as_axis(beta, x, axes))


@in_float32
def rms_normalization(x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None) -> Any:
    """x / sqrt(mean(x**2) + epsilon) * scale over `axis`; epsilon is 1e-7 where none is given."""
    axes = normalize_axes(axis, spec_of(x).ndim)
    least = settings.epsilon() if epsilon is None else epsilon
    y = ops.multiply(x, ops.rsqrt(ops.add(ops.mean(ops.square(x), axes, keepdims=True), least)))
    return y if scale is None else ops.multiply(y, _as_axis(scale, x, axes))


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(query keys' * scale + bias) values, head by head.

    Args:
        query: `(batch, targets, heads, size)`.
        key: `(batch, sources, key_heads, size)`; `heads` is a multiple of `key_heads`, each serving its share in a row.
        value: `(batch, sources, key_heads, value_size)`.
        bias: added to the logits; broadcasts to `(batch, heads, targets, sources)`.
        mask: bool, broadcasts likewise: where it does not hold nothing is attended to.
        scale: 1 / sqrt(size) where none is given.
        is_causal: target t attends to sources up to t.
        flash_attention: whether it runs in one kernel (cuDNN's, with JAX on a GPU), which needs float16 or bfloat16, values
            as large as the queries, no bias and no soft cap. True refuses what cannot; None leaves it to
            `config.enable_flash_attention` and what there is.
        attn_logits_soft_cap: c turns the logits z into c tanh(z / c).

    Returns:
        `(batch, targets, heads, value_size)`.
    """
    query, key, value = (floating(x)[0] for x in (query, key, value))
    if any(spec_of(x).ndim != 4 for x in (query, key, value)):
        listed = ", ".join(str(spec_of(x)) for x in (query, key, value))
        raise ShapeError(f"query, key and value are (batch, length, heads, size), got {listed}.")
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
    """Whether `dot_product_attention` is one op, for which a backend may have one kernel.

    Raises:
        ArgumentError: it is not, and `flash_attention=True` asks for it.
    """
    if chosen is False or (chosen is None and settings.is_flash_attention_enabled() is False):
        return False
    found = "" if plain else "takes no bias and no soft cap"
    if not found and not query.dtype == key.dtype == value.dtype in ("float16", "bfloat16"):
        found = f"takes float16 or bfloat16, got {query}, {key} and {value}"
    if not found and differ(query.shape[-1], value.shape[-1]):
        found = f"takes values as large as the queries, got {value} and {query}"
    if found and chosen:
        raise ArgumentError(f"flash_attention=True {found}.")
    return not found


def probabilities(output: Any, axis: int) -> Any:
    """p / sum(p) clipped to [1e-7, 1 - 1e-7]; a row of zeros stays one, where dividing by its sum would make it NaN."""
    total = ops.sum(output, axis, keepdims=True)
    p = ops.divide(output, ops.where(ops.equal(total, 0.0), 1.0, total))
    return ops.clip(p, settings.epsilon(), 1.0 - settings.epsilon())


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    """log(p) of class scores: log_softmax of logits, or the logarithm of `probabilities`."""
    (output,) = floating(output)
    return ops.log_softmax(output, axis) if from_logits else ops.log(probabilities(output, axis))


def _check_shape(target: Any, shape: Sequence[int]) -> None:
    """Refuse targets that would only meet the outputs by broadcasting; a single number may stand for all."""
    given = tuple(ops.shape(target))
    if given and shapes_differ(given, shape):
        raise ShapeError(
            f"the target has shape {public_shape(given)}, expected {public_shape(shape)} as of the output."
        )


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target log(p)) over the classes along `axis`; p is output over its sum, or softmax(output)."""
    _check_shape(target, ops.shape(output))
    return ops.negative(ops.sum(ops.multiply(target, _log_probabilities(output, from_logits, axis)), axis))


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-log(p[target]) over the classes along `axis`, of class numbers; one outside gives 0."""
    target, p = ops.convert_to_tensor(target), _log_probabilities(output, from_logits, axis)
    if spec_of(target).ndim == spec_of(p).ndim and spec_of(target).shape[axis] == 1:
        target = ops.squeeze(target, axis)
    along = normalize_axis(axis, spec_of(p).ndim)
    _check_shape(target, [d for i, d in enumerate(spec_of(p).shape) if i != along])
    hit = ops.one_hot(ops.cast(target, "int32"), spec_of(p).shape[axis], axis, "bool")
    return ops.negative(ops.sum(ops.where(hit, p, 0.0), axis))


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-target log(p) - (1 - target) log(1 - p) entry by entry; p is output, or sigmoid(output), clipped to its range."""
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


def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """20 log10(max_val) - 10 log10(mean((x1 - x2)**2)), the peak signal-to-noise ratio in decibels."""
    if ops.shape(x1) != ops.shape(x2):
        raise ShapeError(f"psnr compares equal shapes, got {ops.shape(x1)} and {ops.shape(x2)}.")
    (apart,) = floating(ops.subtract(x1, x2))
    return ops.subtract(20.0 * math.log10(max_val), ops.multiply(10.0, ops.log10(ops.mean(ops.square(apart)))))


def _last(x: Any, data_format: str) -> Any:
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format is 'channels_last' or 'channels_first', got {data_format!r}.")
    x = ops.convert_to_tensor(x)
    if spec_of(x).ndim != 4:
        raise ShapeError(f"expected images with 4 dimensions, got {spec_of(x)}.")
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Groups of `block_size`**2 channels laid out as blocks of cells."""
    y = _last(x, data_format)
    batch, height, width, channels = spec_of(y).shape
    if differ(channels % block_size**2, 0):
        raise ShapeError(f"{channels} channels do not divide into blocks of {block_size} x {block_size}.")
    depth = channels // block_size**2
    # channels first, the block is the inner index of a channel
    y = ops.reshape(y, (batch, height, width, block_size, block_size, depth))
    y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (batch, height * block_size, width * block_size, depth))
    return ops.moveaxis(y, -1, 1) if data_format == "channels_first" else y


def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of `block_size` x `block_size` cells laid out as channels: the opposite of `depth_to_space`."""
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
    """For every tap and patch the cell of the padded image it reads, `(taps, patches)`; and the padded size."""
    dilation, padding, stride = _pair(dilation), _pair(padding), _pair(stride)
    padded = tuple(int(s) + 2 * p for s, p in zip(size, padding, strict=True))
    rows, columns = (
        np.arange(k)[:, None] * d + np.arange((n - (k - 1) * d - 1) // s + 1) * s
        for n, k, d, s in zip(padded, kernel, dilation, stride, strict=True)
    )
    places = rows[:, None, :, None] * padded[1] + columns[None, :, None, :]
    return places.reshape(kernel[0] * kernel[1], -1), (padded[0], padded[1])


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The patches of images `(batch, channels, height, width)` as columns: `(batch, channels * cells, patches)`."""
    x = ops.convert_to_tensor(x)
    batch, channels, *size = spec_of(x).shape
    places, padded = _patch_places(size, _pair(kernel_size), dilation, padding, stride)
    (high, wide) = _pair(padding)
    x = ops.reshape(ops.pad(x, ((0, 0), (0, 0), (high, high), (wide, wide))), (batch, channels, padded[0] * padded[1]))
    return ops.reshape(ops.take(x, places, 2), (batch, channels * places.shape[0], places.shape[1]))


def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Images `(batch, channels, height, width)` whose cells are the sums of the patches' that `unfold` takes."""
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


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """The stretches of `sequence_length` entries of the last axis, `sequence_stride` apart, along a new axis before it."""
    x = ops.convert_to_tensor(x)
    count = (spec_of(x).shape[-1] - sequence_length) // sequence_stride + 1
    starts = np.arange(max(count, 0)) * sequence_stride
    return ops.take(x, starts[:, None] + np.arange(sequence_length), -1)


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """`tensor` with its axes taken apart, reordered and joined, as in "b (h p) c -> b h (p c)".

    Args:
        tensor: any value.
        pattern: names of axes before and after "->"; parentheses hold the parts of one axis, "1" is an axis of length 1
            and "..." any number of axes.
        axes_lengths: the lengths of parts; one of each parenthesis may be left out.
    """
    tensor = ops.convert_to_tensor(tensor)
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ArgumentError(f"a pattern has '->' between its sides, got {pattern!r}.")
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
    """A function whose derivative you give: `f(*xs)` returns a value and `grad`, which takes its cotangent.

    `grad(upstream)` returns one gradient an argument (alone for one). The value may be a tuple or list; `grad` then gets
    a cotangent for each. The arguments are floats.
    """
    from lamella.ops.derivatives import with_gradient

    def wrapped(*xs: Any) -> Any:
        return with_gradient(f, xs)

    wrapped.__name__, wrapped.__doc__ = getattr(f, "__name__", "wrapped"), f.__doc__
    return wrapped


filter_functions(__name__)
