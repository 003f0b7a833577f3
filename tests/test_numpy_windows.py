"""The NumPy backend's window kernels against explicit loops over the ops' definitions."""

import itertools
import math

import numpy as np
import pytest

from lamella.ops import primitives
from lamella.ops.window import same_padding, window_counts
from lamella_numpy import depthwise, patches, pooling
from lamella_numpy.window import (
    average_pool,
    average_pool_gradient,
    convolve,
    convolve_input_gradient,
    convolve_kernel_gradient,
    max_pool,
    max_pool_gradient,
)

TOLERANCE = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-12}


# ---- the oracle: one place and one cell at a time -------------------------------------------------------------------


def places(size, window, strides, padding, dilation):
    counts = [
        (s + sum(p) - (w - 1) * d - 1) // t + 1
        for s, w, t, p, d in zip(size, window, strides, padding, dilation, strict=True)
    ]
    assert min(counts) > 0
    return tuple(counts)


def meetings(size, window, strides, padding, dilation):
    """Every (place, tap, cell) where the cell is real."""
    for place in np.ndindex(places(size, window, strides, padding, dilation)):
        for tap in np.ndindex(*window):
            cell = tuple(
                o * s - p[0] + t * d for o, s, p, t, d in zip(place, strides, padding, tap, dilation, strict=True)
            )
            if all(0 <= c < s for c, s in zip(cell, size, strict=True)):
                yield (slice(None), *place), tap, (slice(None), *cell)


def split(x, groups):
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


def loop_convolve(x, kernel, *, strides, padding, dilation, groups):
    size, window = x.shape[1:-1], kernel.shape[:-2]
    y = np.zeros((len(x), *places(size, window, strides, padding, dilation), kernel.shape[-1]), x.dtype)
    for place, tap, cell in meetings(size, window, strides, padding, dilation):
        y[place] += np.einsum("ngi,igo->ngo", split(x[cell], groups), split(kernel[tap], groups)).reshape(
            y[place].shape
        )
    return y


def loop_input_gradient(g, kernel, *, size, strides, padding, dilation, groups):
    x = np.zeros((len(g), *size, kernel.shape[-2] * groups), g.dtype)
    for place, tap, cell in meetings(size, kernel.shape[:-2], strides, padding, dilation):
        x[cell] += np.einsum("ngo,igo->ngi", split(g[place], groups), split(kernel[tap], groups)).reshape(x[cell].shape)
    return x


def loop_kernel_gradient(x, g, *, size, strides, padding, dilation, groups):
    kernel = np.zeros((*size, x.shape[-1] // groups, g.shape[-1]), x.dtype)
    for place, tap, cell in meetings(x.shape[1:-1], size, strides, padding, dilation):
        part = np.einsum("ngi,ngo->igo", split(x[cell], groups), split(g[place], groups))
        kernel[tap] += part.reshape(kernel[tap].shape)
    return kernel


def loop_max_pool(x, *, window, strides, padding):
    ones = (1,) * len(window)
    y = np.full((len(x), *places(x.shape[1:-1], window, strides, padding, ones), x.shape[-1]), -math.inf, dtype=x.dtype)
    for place, _, cell in meetings(x.shape[1:-1], window, strides, padding, ones):
        y[place] = np.maximum(y[place], x[cell])
    return y


def loop_max_pool_gradient(g, x, y, *, window, strides, padding):
    result, taken = np.zeros_like(x), np.zeros(y.shape, bool)
    for place, _, cell in meetings(x.shape[1:-1], window, strides, padding, (1,) * len(window)):
        first = (x[cell] == y[place]) & ~taken[place]
        taken[place] |= first
        result[cell] += np.where(first, g[place], 0)
    return result


def loop_average_pool(x, *, window, strides, padding):
    ones = (1,) * len(window)
    total = np.zeros((len(x), *places(x.shape[1:-1], window, strides, padding, ones), x.shape[-1]), x.dtype)
    count = np.zeros_like(total)
    for place, _, cell in meetings(x.shape[1:-1], window, strides, padding, ones):
        total[place] += x[cell]
        count[place] += 1
    return total / count


def loop_average_pool_gradient(g, *, size, window, strides, padding):
    result = np.zeros((len(g), *size, g.shape[-1]), g.dtype)
    share = g / window_counts(size, window, strides, padding).astype(g.dtype)
    for place, _, cell in meetings(size, window, strides, padding, (1,) * len(window)):
        result[cell] += share[place]
    return result


# ---- tables ---------------------------------------------------------------------------------------------------------


def same(size, window, strides, dilation):
    return tuple(map(same_padding, size, window, strides, dilation))


def convolution_cases():
    """(batch, size, window, channels in, out, strides, padding, dilation, groups)"""
    for size, window in [((9,), (3,)), ((7, 6), (3, 2)), ((6, 5), (1, 1)), ((4, 5), (4, 5)), ((5, 4, 4), (2, 3, 2))]:
        n = len(size)
        for stride, dilation, kind in itertools.product((1, 2, 3), (1, 2), ("valid", "same", "causal")):
            strides, dilations = (stride,) * n, (dilation,) * n
            padding = ((0, 0),) * n if kind == "valid" else same(size, window, strides, dilations)
            if kind == "causal":
                padding = tuple(((w - 1) * dilation, 0) for w in window)
            if any(s + sum(p) <= (w - 1) * dilation for s, p, w in zip(size, padding, window, strict=True)):
                continue
            for inner, outer, groups in [(1, 4, 1), (6, 4, 1), (6, 4, 2), (4, 4, 4), (3, 6, 3)]:
                yield 3, size, window, inner, outer, strides, padding, dilations, groups
    yield 2, (7, 6), (3, 3), 2, 3, (1, 2), ((0, 1), (2, 0)), (2, 1), 1  # every dimension its own way
    yield 2, (5,), (2,), 2, 3, (1,), ((4, 3),), (1,), 1  # padding wider than the window reaches: g is cut
    yield 2, (5,), (2,), 2, 3, (2,), ((4, 3),), (1,), 1
    yield 2, (6,), (2,), 4, 4, (3,), ((0, 0),), (1,), 4  # strides past the window: cells no window sees
    yield 0, (5, 5), (3, 3), 2, 3, (1, 1), ((1, 1), (1, 1)), (1, 1), 1  # no images


def pooling_cases():
    """(batch, size, window, channels, strides, padding)"""
    for size, window in [((9,), (3,)), ((6, 8), (2, 2)), ((7, 6), (3, 2)), ((5, 4, 4), (2, 3, 2))]:
        for stride, kind in itertools.product((1, 2, 3), ("valid", "same")):
            strides = (stride,) * len(size)
            padding = ((0, 0),) * len(size) if kind == "valid" else same(size, window, strides, (1,) * len(size))
            yield 3, size, window, 5, strides, padding
    yield 2, (6, 4), (6, 4), 3, (1, 1), ((0, 0), (0, 0))


CONVOLUTIONS = {"-".join(map(str, case)).replace(" ", ""): case for case in convolution_cases()}
POOLINGS = {"-".join(map(str, case)).replace(" ", ""): case for case in pooling_cases()}


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def close(actual, expected, dtype=None):
    """Equal up to rounding in `dtype` (None: that of `expected`)."""
    dtype = np.dtype(dtype or expected.dtype)
    assert actual.dtype == dtype and actual.shape == expected.shape
    tolerance = TOLERANCE[dtype.name] * max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def convolution(case, dtype, seed=0):
    """Operands x, kernel, g and the attributes of a row."""
    batch, size, window, inner, outer, strides, padding, dilation, groups = case
    x = normal((batch, *size, inner), dtype, seed)
    kernel = normal((*window, inner // groups, outer), dtype, seed + 1)
    g = normal((batch, *places(size, window, strides, padding, dilation), outer), dtype, seed + 2)
    return x, kernel, g, {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


def pooled(case, dtype, seed=0):
    """Operands x and g and the attributes of a row; x has few values, so that maxima tie."""
    batch, size, window, channels, strides, padding = case
    x = np.round(normal((batch, *size, channels), dtype, seed) * 2) / 2
    g = normal((batch, *places(size, window, strides, padding, (1,) * len(size)), channels), dtype, seed + 1)
    return x.astype(dtype), g, {"window": window, "strides": strides, "padding": padding}


SMALL_BLOCKS = 400
"""Bytes: a few rows or images. Blocks as they are hold the small operands here whole."""


@pytest.fixture
def each_way(monkeypatch):
    """`(dtype, block size)` by turns, with the block size in force."""

    def ways(*dtypes):
        usual = {module: module.BLOCK_BYTES for module in (depthwise, patches, pooling)}
        for dtype, small in itertools.product(dtypes, (False, True)):
            for module, size in usual.items():
                monkeypatch.setattr(module, "BLOCK_BYTES", SMALL_BLOCKS if small else size)
            yield dtype

    return ways


# ---- tests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution_and_its_gradients_are_the_loops(case, each_way):
    *operands, attrs = convolution(case, "float64")
    x, kernel, g = operands
    window, size = kernel.shape[:-2], x.shape[1:-1]
    expected = loop_convolve(x, kernel, **attrs)
    of_input = loop_input_gradient(g, kernel, size=size, **attrs)
    of_kernel = loop_kernel_gradient(x, g, size=window, **attrs)
    for dtype in each_way("float32", "float64"):
        x, kernel, g = (a.astype(dtype) for a in operands)
        close(convolve(x, kernel, **attrs), expected, dtype)
        close(convolve_input_gradient(g, kernel, size=size, **attrs), of_input, dtype)
        close(convolve_kernel_gradient(x, g, size=window, **attrs), of_kernel, dtype)


@pytest.mark.parametrize("case", list(CONVOLUTIONS.values())[::7], ids=list(CONVOLUTIONS)[::7])
def test_convolution_and_its_gradients_are_the_definitions(case):
    x, kernel, g, attrs = convolution(case, "float64")
    window, size = kernel.shape[:-2], x.shape[1:-1]
    close(convolve(x, kernel, **attrs), primitives.convolve.definition(x, kernel, **attrs))
    close(
        convolve_input_gradient(g, kernel, size=size, **attrs),
        primitives.convolve_input_gradient.definition(g, kernel, size=size, **attrs),
    )
    close(
        convolve_kernel_gradient(x, g, size=window, **attrs),
        primitives.convolve_kernel_gradient.definition(x, g, size=window, **attrs),
    )


@pytest.mark.parametrize("case", list(POOLINGS.values())[::3], ids=list(POOLINGS)[::3])
def test_pooling_and_its_gradients_are_the_definitions(case):
    x, g, attrs = pooled(case, "float64")
    y, size = max_pool(x, **attrs), x.shape[1:-1]
    np.testing.assert_array_equal(y, primitives.max_pool.definition(x, **attrs))
    close(max_pool_gradient(g, x, y, **attrs), primitives.max_pool_gradient.definition(g, x, y, **attrs))
    close(average_pool(x, **attrs), primitives.average_pool.definition(x, **attrs))
    close(
        average_pool_gradient(g, size=size, **attrs),
        primitives.average_pool_gradient.definition(g, size=size, **attrs),
    )


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution_and_its_gradients_are_adjoint(case):
    x, kernel, g, attrs = convolution(case, "float64")
    product = np.vdot(convolve(x, kernel, **attrs), g)
    of_input = np.vdot(x, convolve_input_gradient(g, kernel, size=x.shape[1:-1], **attrs))
    of_kernel = np.vdot(kernel, convolve_kernel_gradient(x, g, size=kernel.shape[:-2], **attrs))
    assert product == pytest.approx(of_input, rel=1e-10, abs=1e-10)
    assert product == pytest.approx(of_kernel, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("case", POOLINGS.values(), ids=POOLINGS)
def test_pooling_and_its_gradients_are_the_loops(case, each_way):
    *operands, attrs = pooled(case, "float64")
    x, g = operands
    y, size = loop_max_pool(x, **attrs), x.shape[1:-1]
    of_largest, mean = loop_max_pool_gradient(g, x, y, **attrs), loop_average_pool(x, **attrs)
    of_mean = loop_average_pool_gradient(g, size=size, **attrs)
    for dtype in each_way("float32", "float64"):
        x, g = (a.astype(dtype) for a in operands)
        np.testing.assert_array_equal(max_pool(x, **attrs), y)
        close(max_pool_gradient(g, x, y.astype(dtype), **attrs), of_largest, dtype)
        close(average_pool(x, **attrs), mean, dtype)
        close(average_pool_gradient(g, size=size, **attrs), of_mean, dtype)


def kernels_of_convolution(case, dtype):
    """Each kernel as a function of (seed, **options)."""

    def forward(seed, **options):
        x, kernel, _, attrs = convolution(case, dtype, seed)
        return convolve(x, kernel, **attrs, **options)

    def of_input(seed, **options):
        x, kernel, g, attrs = convolution(case, dtype, seed)
        return convolve_input_gradient(g, kernel, size=x.shape[1:-1], **attrs, **options)

    def of_kernel(seed, **options):
        x, kernel, g, attrs = convolution(case, dtype, seed)
        return convolve_kernel_gradient(x, g, size=kernel.shape[:-2], **attrs, **options)

    return forward, of_input, of_kernel


def kernels_of_pooling(case, dtype):
    """Each kernel as a function of (seed, **options)."""

    def largest(seed, **options):
        x, _, attrs = pooled(case, dtype, seed)
        return max_pool(x, **attrs, **options)

    def of_largest(seed, **options):
        x, g, attrs = pooled(case, dtype, seed)
        return max_pool_gradient(g, x, max_pool(x, **attrs), **attrs, **options)

    def mean(seed, **options):
        x, _, attrs = pooled(case, dtype, seed)
        return average_pool(x, **attrs, **options)

    def of_mean(seed, **options):
        x, g, attrs = pooled(case, dtype, seed)
        return average_pool_gradient(g, size=x.shape[1:-1], **attrs, **options)

    return largest, of_largest, mean, of_mean


def check_scratch_and_out(call):
    scratch = {}
    out = np.full_like(call(0), np.nan)
    for seed in (0, 10, 0):
        expected = call(seed)
        assert call(seed, out=out, scratch=scratch) is out
        np.testing.assert_array_equal(out, expected)
        assert not any(np.shares_memory(array, out) for array in scratch.values())
    kept = {key: id(array) for key, array in scratch.items()}
    assert not np.shares_memory(call(0, scratch=scratch), out)
    assert kept == {key: id(array) for key, array in scratch.items()}, "a later call allocates"


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_scratch_and_out_change_no_number_of_a_convolution(case, each_way):
    for dtype in each_way("float32"):
        for call in kernels_of_convolution(case, dtype):
            check_scratch_and_out(call)


@pytest.mark.parametrize("case", POOLINGS.values(), ids=POOLINGS)
def test_scratch_and_out_change_no_number_of_a_pooling(case, each_way):
    for dtype in each_way("float32"):
        for call in kernels_of_pooling(case, dtype):
            check_scratch_and_out(call)


def test_scratch_follows_another_batch_size():
    scratch, (x, kernel, _, attrs) = {}, convolution((5, (6, 5), (3, 3), 4, 3, (1, 1), ((1, 1),) * 2, (1, 1), 1), "f8")
    for batch in (5, 2, 5):
        close(convolve(x[:batch], kernel, scratch=scratch, **attrs), loop_convolve(x[:batch], kernel, **attrs))


def test_operands_need_not_be_contiguous():
    case = (4, (6, 5), (3, 3), 4, 4, (1, 1), ((0, 0),) * 2, (1, 1), 1)
    x, kernel, g, attrs = convolution(case, "float64")
    turned = [np.asfortranarray(a) for a in (x, kernel, g)]
    close(convolve(turned[0], turned[1], **attrs), convolve(x, kernel, **attrs))
    close(
        convolve_input_gradient(turned[2], turned[1], size=(6, 5), **attrs),
        convolve_input_gradient(g, kernel, size=(6, 5), **attrs),
    )
    close(
        convolve_kernel_gradient(turned[0], turned[2], size=(3, 3), **attrs),
        convolve_kernel_gradient(x, g, size=(3, 3), **attrs),
    )
    x.flags.writeable = False
    pool = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}
    close(max_pool(turned[0], **pool), max_pool(x, **pool))
    close(convolve(x, kernel, **attrs), loop_convolve(x, kernel, **attrs))


def test_float16_is_computed_in_float32():
    x, kernel, g, attrs = convolution((2, (6, 5), (3, 3), 4, 4, (1, 1), ((1, 1),) * 2, (1, 1), 1), "float16")
    exact = convolve(x.astype("float32"), kernel.astype("float32"), **attrs).astype("float16")
    out = np.empty_like(exact)
    np.testing.assert_array_equal(convolve(x, kernel, **attrs), exact)
    assert convolve(x, kernel, out=out, **attrs) is out
    np.testing.assert_array_equal(out, exact)
    close(
        convolve_input_gradient(g, kernel, size=(6, 5), **attrs), loop_input_gradient(g, kernel, size=(6, 5), **attrs)
    )
    pool = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 1))}
    np.testing.assert_array_equal(max_pool(x, **pool), loop_max_pool(x, **pool))


@pytest.mark.parametrize("strides", [(2, 2), (1, 1)], ids=["side by side", "overlapping"])
def test_the_first_maximum_takes_the_whole_gradient(strides):
    x = np.ones((1, 4, 4, 1))
    attrs = {"window": (2, 2), "strides": strides, "padding": ((0, 0), (0, 0))}
    y = max_pool(x, **attrs)
    g = np.ones_like(y)
    expected = np.zeros_like(x)
    expected[:, : y.shape[1] * strides[0] : strides[0], : y.shape[2] * strides[1] : strides[1]] = 1
    np.testing.assert_array_equal(max_pool_gradient(g, x, y, **attrs), expected)


def test_max_pool_gradient_is_exact_with_nan_and_infinity():
    x = np.array([[np.nan, 1.0, 2.0, 3.0, -np.inf, -np.inf]])[..., None]
    attrs = {"window": (2,), "strides": (2,), "padding": ((0, 0),)}
    y = max_pool(x, **attrs)
    np.testing.assert_array_equal(y.ravel(), [np.nan, 3.0, -np.inf])
    gradient = max_pool_gradient(np.array([[[5.0], [np.nan], [np.inf]]]), x, y, **attrs)
    np.testing.assert_array_equal(gradient.ravel(), [0.0, 0.0, 0.0, np.nan, np.inf, 0.0])
