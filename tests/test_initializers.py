"""Initial values: moments, repetition, fans, names."""

import math

import numpy as np
import pytest

from lamella import initializers
from lamella.errors import UnknownNameError
from lamella.host_random import key_from_seed
from lamella.initializers import compute_fans, get

KEY = key_from_seed(11)
SHAPE = (200, 300)
FAN_IN, FAN_OUT = SHAPE

# (name, standard deviation, bound or None) on a (200, 300) matrix
MOMENTS = [
    ("random_normal", 0.05, None),
    ("random_uniform", 0.05 / math.sqrt(3), 0.05),
    ("truncated_normal", 0.05 * 0.8796, 0.1),
    ("glorot_uniform", math.sqrt(2 / 500), math.sqrt(6 / 500)),
    ("glorot_normal", math.sqrt(2 / 500), None),
    ("he_uniform", math.sqrt(2 / 200), math.sqrt(6 / 200)),
    ("he_normal", math.sqrt(2 / 200), None),
    ("lecun_uniform", math.sqrt(1 / 200), math.sqrt(3 / 200)),
    ("lecun_normal", math.sqrt(1 / 200), None),
    ("variance_scaling", math.sqrt(1 / 200), None),
]


@pytest.mark.parametrize(("name", "stddev", "bound"), MOMENTS, ids=[row[0] for row in MOMENTS])
def test_moments(name, stddev, bound):
    x = get(name)(SHAPE, "float32", key=KEY)
    assert x.shape == SHAPE and x.dtype == np.float32
    assert abs(x.mean(dtype=np.float64)) < 4 * stddev / math.sqrt(x.size)
    assert x.std(dtype=np.float64) == pytest.approx(stddev, rel=0.02)
    if bound is not None:
        assert 0.95 * bound < np.abs(x).max() <= bound


RANDOM = [name for name, _, _ in MOMENTS] + ["orthogonal"]


@pytest.mark.parametrize("name", RANDOM)
def test_the_key_decides(name):
    first, second = get(name)((6, 4), key=KEY), get(name)((6, 4), key=key_from_seed(12))
    np.testing.assert_array_equal(first, get(name)((6, 4), key=KEY))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_gives_the_same_values_every_call(name):
    made = initializers.TABLE[name](seed=5)
    np.testing.assert_array_equal(made((6, 4), key=KEY), made((6, 4), key=key_from_seed(99)))
    np.testing.assert_array_equal(made((6, 4)), made((6, 4)))


def test_without_key_or_seed_every_call_draws_anew():
    made = get("glorot_uniform")
    assert not np.array_equal(made((6, 4)), made((6, 4)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ["zeros", "ones", "glorot_normal", "orthogonal", "identity"])
def test_dtypes(name, dtype):
    x = get(name)((4, 4), dtype, key=KEY)
    assert x.dtype == ("float32" if dtype == "bfloat16" else dtype)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 3, 4)])
def test_orthogonal(shape):
    q = initializers.Orthogonal(gain=2.0)(shape, "float64", key=KEY).reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, 4.0 * np.eye(len(product)), atol=1e-12)


def test_constants():
    np.testing.assert_array_equal(get("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(get("one")((2,)), np.ones(2))
    np.testing.assert_array_equal(initializers.Constant(2.5)((2, 2)), np.full((2, 2), 2.5))
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), 3.0 * np.eye(2, 3))
    np.testing.assert_array_equal(get("zeros")((2,), "int32"), np.zeros(2, "int32"))


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((4,), (4, 4)), ((3, 5), (3, 5)), ((3, 3, 4, 8), (36, 72)), ((3, 3, 4, 2), (36, 18))],
)
def test_fans(shape, fans):
    assert compute_fans(shape) == fans
    if len(shape) > 2:
        assert compute_fans(shape, input_axes=(0, 1), output_axes=(3,)) == (9, shape[3])


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("glorot_uniform", initializers.GlorotUniform),
        ("GlorotUniform", initializers.GlorotUniform),
        ("uniform", initializers.RandomUniform),
        ("normal", initializers.RandomNormal),
        ("zero", initializers.Zeros),
        ("one", initializers.Ones),
        ("lecun_uniform", initializers.LecunUniform),
        ("OrthogonalInitializer", initializers.Orthogonal),
        ("identity", initializers.Identity),
    ],
)
def test_names(name, made):
    assert type(get(name)) is made


def test_uniform_of_keras_1_has_scale_005():
    assert np.abs(get("uniform")(SHAPE, key=KEY)).max() <= 0.05


def test_unknown_name():
    with pytest.raises(UnknownNameError, match="did you mean 'glorot_uniform'"):
        get("glorot_unifrom")


def test_other_identifiers():
    assert get(None) is None
    assert type(get(initializers.Zeros)) is initializers.Zeros
    made = get({"class_name": "RandomNormal", "config": {"stddev": 0.5}})
    assert made.get_config() == {"mean": 0.0, "stddev": 0.5, "seed": None}
    with pytest.raises(ValueError, match="function of"):
        get(3)


def test_a_function_is_taken():
    made = get(lambda shape, dtype=None: np.full(shape, 2.0, dtype))
    np.testing.assert_array_equal(made((2, 2), "float32", key=KEY), np.full((2, 2), 2.0))
    with pytest.raises(ValueError, match=r"must return shape \(3,\), got \(2,\)"):
        get(lambda shape, dtype=None: np.zeros(2))((3,))


@pytest.mark.parametrize("name", sorted({made.__name__ for made in initializers.TABLE.values()}))
def test_config_round_trip(name):
    made = initializers.TABLE[name]()
    again = type(made).from_config(made.get_config())
    shape = (4, 1, 4) if name == "STFT" else (4, 4)
    np.testing.assert_array_equal(made(shape, key=KEY), again(shape, key=KEY))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.VarianceScaling(scale=0), "scale must be positive"),
        (lambda: initializers.VarianceScaling(mode="fan"), "fan_in"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "truncated_normal"),
        (lambda: initializers.RandomNormal(seed=1.5), "seed must be an integer"),
        (lambda: initializers.Identity()((2, 2, 2)), "2 dimensions"),
        (lambda: initializers.Orthogonal()((2,)), "two dimensions"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
