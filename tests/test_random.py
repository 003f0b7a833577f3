"""Host-side random numbers: the bits are those of the op, and everything repeats from a seed."""

import math
import random as python_random
import tracemalloc

import numpy as np
import pytest

from lamella import host_random, initializers, ops
from lamella.core.variable import Variable
from lamella.host_random import (
    bits,
    fold,
    key_from_seed,
    next_seed,
    normal,
    normal_quantile,
    permutation,
    set_random_seed,
    truncated_normal,
    uniform,
)
from lamella.ops.random_bits import threefry

KEY = key_from_seed(1234)


@pytest.fixture
def fresh_seeds(monkeypatch):
    monkeypatch.setattr(host_random, "_SEEDS", host_random._Seeds())


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        # Random123's known answers for threefry2x32, 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_published_vectors(key, counter, expected):
    words = threefry(*[np.array([word], np.uint32) for word in (*key, *counter)])
    assert tuple(int(w[0]) for w in words) == expected


@pytest.mark.parametrize("shape", [(), (1,), (7,), (4, 6), (0,)])
@pytest.mark.parametrize("step", [0, 5])
def test_bits_are_those_of_the_op(shape, step):
    expected = ops.random_bits.bind(KEY, np.asarray(step, np.uint32), shape=shape, bits=32)
    np.testing.assert_array_equal(bits(KEY, shape, step), expected)


def test_fold_is_the_op():
    np.testing.assert_array_equal(fold(KEY, 7), ops.fold_in.bind(KEY, data=7))
    assert not np.array_equal(fold(KEY, "dense/kernel"), fold(KEY, "dense/bias"))
    np.testing.assert_array_equal(fold(KEY, "dense"), fold(KEY, "dense"))


def test_an_element_depends_on_its_index_only():
    np.testing.assert_array_equal(bits(KEY, (9,))[:4], bits(KEY, (4,)))


@pytest.mark.parametrize(("seed", "words"), [(0, (0, 0)), (7, (0, 7)), (2**32 + 5, (1, 5)), (-1, (2**32 - 1,) * 2)])
def test_key_from_seed(seed, words):
    key = key_from_seed(seed)
    assert key.dtype == np.uint32 and tuple(int(w) for w in key) == words


def test_uniform_moments_and_bounds():
    x = uniform(KEY, (200_000,), -1.0, 3.0, "float32")
    assert x.dtype == np.float32 and x.min() >= -1.0 and x.max() < 3.0
    assert abs(x.mean(dtype=np.float64) - 1.0) < 0.02 and abs(x.var(dtype=np.float64) - 16 / 12) < 0.02


def test_uniform_stays_below_high_after_rounding():
    # an interval of two float32 numbers: half of the draws would round up to the end
    low, high = 1.0, float(np.nextafter(np.float32(1.0), np.float32(2.0)))
    assert np.all(uniform(KEY, (100,), low, high, "float32") == np.float32(1.0))


def test_normal_moments():
    x = normal(KEY, (200_000,), "float64")
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01 and abs((x**4).mean() - 3) < 0.08
    assert np.mean(np.abs(x) > 2) == pytest.approx(0.0455, abs=0.002)


def test_truncated_normal_moments():
    x = truncated_normal(KEY, (200_000,), "float64", mean=1.0, stddev=0.5)
    assert np.all(np.abs(x - 1.0) <= 1.0)
    assert x.std() == pytest.approx(0.5 * 0.87962566103423978, rel=0.01)


@pytest.mark.parametrize(
    ("p", "z"),
    [
        # to 17 digits, from R's qnorm
        (0.5, 0.0),
        (0.975, 1.959963984540054),
        (0.6, 0.25334710313579978),
        (1e-3, -3.0902323061678132),
        (1e-10, -6.3613409024040557),
        (1e-20, -9.2623400897985062),
    ],
)
def test_normal_quantile(p, z):
    assert float(normal_quantile(p)) == pytest.approx(z, rel=1e-12, abs=1e-15)


def test_normal_quantile_inverts_the_distribution_function():
    special = pytest.importorskip("scipy.special")
    p = np.concatenate([np.logspace(-300, -1, 500), np.linspace(0.01, 0.99, 999)])
    expected = special.ndtri(p)
    np.testing.assert_allclose(normal_quantile(p), expected, rtol=1e-12, atol=1e-15)


def test_float32_and_float64_draws_are_one_draw():
    np.testing.assert_array_equal(normal(KEY, (50,), "float32"), normal(KEY, (50,), "float64").astype("float32"))


def test_bfloat16_is_rounded_to_nearest_even():
    x = host_random.rounded(np.array([1.0, 1.00390625, 1.01171875, -3.3]), "bfloat16")
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[:3], np.array([1.0, 1.0, 1.015625], np.float32))
    assert not np.any(x.view(np.uint32) & np.uint32(0xFFFF))


def test_permutation():
    order = permutation(KEY, 100)
    assert order.dtype == np.int32 and sorted(order) == list(range(100))
    assert not np.array_equal(order, permutation(KEY, 100, step=1))
    np.testing.assert_array_equal(order, np.argsort(bits(KEY, (100,)), kind="stable"))


def test_orders_are_permutations_and_do_not_depend_on_who_asks_first():
    orders = host_random.Orders(KEY, 300)
    late = orders[200].copy()
    for step in range(3):
        assert sorted(orders[step]) == list(range(300))
        np.testing.assert_array_equal(orders[step], permutation(KEY, 300, step))
    np.testing.assert_array_equal(late, permutation(KEY, 300, 200))
    assert not np.array_equal(orders[0], orders[1])


def test_set_random_seed_repeats_everything(fresh_seeds):
    def draws():
        set_random_seed(3)
        return [next_seed(), next_seed()], python_random.random(), np.random.rand()  # noqa: NPY002 - it is what is tested

    first, second = draws(), draws()
    assert first == second and first[0][0] != first[0][1]


def test_without_set_random_seed_numpy_decides(fresh_seeds):
    np.random.seed(7)  # noqa: NPY002 - it is what is tested
    first = [next_seed() for _ in range(3)]
    np.random.seed(7)  # noqa: NPY002 - it is what is tested
    assert first == [next_seed() for _ in range(3)] and len(set(first)) == 3


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a", True])
def test_set_random_seed_refuses(seed, fresh_seeds):
    with pytest.raises(ValueError, match="integer from 0"):
        set_random_seed(seed)


def _polynomials(p):
    """Wichura's rational functions over the whole array, with NumPy's own polynomials: what pieces must agree with."""

    def ratio(table, x):
        top, bottom = (np.polynomial.polynomial.polyval(x, np.array(row)) for row in table)
        return top / bottom

    distance = p - 0.5
    root = np.sqrt(-np.log(np.minimum(p, 1.0 - p)))
    outer = np.where(root <= 5.0, ratio(host_random._MIDDLE, root - 1.6), ratio(host_random._TAIL, root - 5.0))
    inner = distance * ratio(host_random._CENTRAL, 0.180625 - distance * distance)
    return np.where(np.abs(distance) <= 0.425, inner, np.copysign(outer, distance))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 11_000)])
def test_pieces_give_the_same_values_as_whole_arrays(shape, dtype):
    unit = (bits(KEY, shape).astype(np.float64) + 0.5) * 2.0**-32
    within = math.erf(math.sqrt(2.0))
    expected = {
        normal: 0.25 + 0.7 * _polynomials(unit),
        truncated_normal: 0.25 + 0.7 * _polynomials(0.5 * (1.0 - within) + within * unit),
    }
    for draw, values in expected.items():
        drawn = draw(KEY, shape, dtype, mean=0.25, stddev=0.7)
        assert drawn.shape == shape
        np.testing.assert_array_equal(drawn, host_random.rounded(values, dtype))
    values = host_random.rounded(-0.3 + 0.4 * (bits(KEY, shape).astype(np.float64) * 2.0**-32), dtype)
    below = np.nextafter(values.dtype.type(0.1), values.dtype.type(-0.3))
    np.testing.assert_array_equal(uniform(KEY, shape, -0.3, 0.1, dtype), np.minimum(values, below))


def test_the_quantile_is_bitwise_that_of_the_polynomials():
    borders = [0.075, 0.925, 0.5 - 0.425, 0.5 + 0.425, np.exp(-25.0)]
    near = [np.nextafter(b, to) for b in borders for to in (0.0, 1.0)]
    p = np.concatenate([borders, near, np.logspace(-300, -0.31, 5000), 1 - np.logspace(-15, -0.31, 500)])
    np.testing.assert_array_equal(normal_quantile(p), _polynomials(p))


@pytest.mark.parametrize("name", ["he_normal", "random_normal", "glorot_uniform"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_weight_is_drawn_within_twice_its_memory(name, dtype):
    variable = Variable(initializers.TABLE[name](), (1000, 2000), dtype, name="kernel")
    variable.initialize(KEY, "kernel")
    tracemalloc.start()
    try:
        value = variable.value
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * value.nbytes + (2 << 20)
