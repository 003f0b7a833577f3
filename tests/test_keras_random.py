"""`lamella.random` as Keras's: distributions by their moments, seeds, and draws in the call of a layer, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers, ops, random
from lamella.errors import ArgumentError, DTypeError

N = 40_000
# what is drawn, its mean and its variance
DRAWS = {
    "normal": (lambda s: random.normal((N,), 1.0, 2.0, seed=s), 1.0, 4.0),
    "truncated": (lambda s: random.truncated_normal((N,), 1.0, 2.0, seed=s), 1.0, 4 * 0.7737),
    "uniform": (lambda s: random.uniform((N,), -1.0, 3.0, seed=s), 1.0, 16 / 12),
    "randint": (lambda s: random.randint((N,), -3, 4, seed=s), 0.0, 48 / 12),
    "gamma": (lambda s: random.gamma((N,), 2.5, seed=s), 2.5, 2.5),
    "gamma small": (lambda s: random.gamma((N,), 0.3, seed=s), 0.3, 0.3),
    "beta": (lambda s: random.beta((N,), 2.0, 3.0, seed=s), 0.4, 0.04),
    "beta small": (lambda s: random.beta((N,), 0.1, 0.1, seed=s), 0.5, 0.25 / 1.2),
    "binomial": (lambda s: random.binomial((N,), 9, 0.3, seed=s), 2.7, 1.89),
    "categorical": (lambda s: random.categorical(np.log([[0.2, 0.3, 0.5]]), N, seed=s), 1.3, 0.61),
    "dropout": (lambda s: random.dropout(np.ones(N, "float32"), 0.25, seed=s), 1.0, 1 / 3),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_have_the_mean_and_variance_of_their_distribution(name):
    draw, mean, variance = DRAWS[name]
    x = np.asarray(draw(5), "float64")
    error = np.sqrt(variance / N)
    assert abs(x.mean() - mean) < 5 * error
    kurtosis = np.mean((x - x.mean()) ** 4) / x.var() ** 2
    assert abs(x.var() - variance) < 6 * variance * np.sqrt((kurtosis - 1) / N)
    np.testing.assert_array_equal(draw(5), draw(5))
    assert not np.array_equal(draw(5), draw(6))


def test_draws_keep_to_their_limits():
    assert abs(random.truncated_normal((N,), seed=1)).max() <= 2
    for dtype in ("float32", "float64", "float16"):
        x = random.uniform((N,), 1.0, 2.0, dtype=dtype, seed=1)
        assert x.dtype == dtype and x.min() >= 1 and x.max() < 2
    assert set(np.unique(random.randint((N,), 2, 5, dtype="uint8", seed=1))) == {2, 3, 4}
    assert set(np.unique(random.binomial((500,), np.repeat([0, 2], 250), 1.0, seed=1))) == {0, 2}
    small = random.beta((N,), 0.01, 0.01, seed=1)
    assert np.isfinite(small).all() and small.min() >= 0 and small.max() <= 1


def test_dropout_takes_a_noise_shape():
    x = random.dropout(np.ones((6, 4, 8), "float32"), 0.5, noise_shape=(None, 1, 8), seed=1)
    np.testing.assert_array_equal(x, np.broadcast_to(x[:, :1], x.shape))
    assert set(np.unique(x)) == {0, 2}
    np.testing.assert_array_equal(random.dropout(np.ones(3), 0.0), np.ones(3))
    np.testing.assert_array_equal(random.dropout(np.ones(3), 1.0), np.zeros(3))


def test_shuffle_keeps_the_entries_of_each_vector():
    x = np.arange(60).reshape(20, 3)
    y = random.shuffle(x, seed=2)
    np.testing.assert_array_equal(np.sort(y, 0), x)
    assert not np.array_equal(y, x)
    np.testing.assert_array_equal(np.sort(random.shuffle(x, axis=1, seed=2), 1), x)


def test_seeds_outside_of_layers():
    lamella.utils.set_random_seed(1)
    a, b = random.normal((3,)), random.normal((3,))
    lamella.utils.set_random_seed(1)
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, random.normal((3,)))
    first, second = random.SeedGenerator(7), random.SeedGenerator.from_config({"seed": 7, "name": "other"})
    one, two = random.normal((3,), seed=first), random.normal((3,), seed=first)
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal([one, two], [random.normal((3,), seed=second) for _ in range(2)])
    key = random.SeedGenerator(7).next()
    np.testing.assert_array_equal(random.normal((3,), seed=key), one)
    assert second.get_config() == {"seed": 7, "name": "other"}


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: random.SeedGenerator(1.5), ArgumentError, "seed must be an integer or None, got 1.5"),
        (lambda: random.normal((2,), seed="a"), ArgumentError, "seed must be an integer, a SeedGenerator"),
        (lambda: random.normal((2,), dtype="int32"), DTypeError, "dtype must be a float dtype"),
        (lambda: random.uniform((2,), dtype="int32"), DTypeError, "Use randint"),
        (lambda: random.randint((2,), 0, 3, dtype="float32"), DTypeError, "Use uniform"),
        (lambda: random.randint((2,), 3, 3), ArgumentError, "maxval must be above minval"),
        (lambda: random.categorical(np.ones(3), 2), ArgumentError, r"logits must be \(batch, classes\)"),
        (lambda: random.dropout(np.ones(3), 2.0), ArgumentError, "rate must be a number from 0 to 1"),
        (lambda: random.binomial((2,), -1, 0.5), ArgumentError, "must not be negative"),
    ],
)
def test_bad_arguments_are_told(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


class Noise(layers.Layer):
    def __init__(self, seed, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def call(self, x):
        return ops.add(ops.multiply(x, 0.0), random.normal(ops.shape(x), seed=self.seed))


class Two(layers.Layer):
    """Two layers that draw from one stream."""

    def __init__(self, seed):
        super().__init__()
        self.first, self.second = Noise(seed), Noise(seed)

    def call(self, x):
        return ops.concatenate([self.first(x), self.second(x)])


def drawn_in_training(layer):
    """What a layer returns in two steps of training, by a model that has it and by its equal."""
    seen = []
    for _ in range(2):
        model = lamella.Sequential([lamella.Input((4,)), layer()])
        model.seed = 11
        seen.append([np.asarray(model(np.zeros((3, 4)), training=True)) for _ in range(2)])
    return seen


@pytest.mark.parametrize("seed", [None, 5, "generator"])
def test_draws_in_a_layer_follow_its_seed(seed, backend):
    made = lambda: random.SeedGenerator(5) if seed == "generator" else seed  # noqa: E731
    (one, two), again = drawn_in_training(lambda: Noise(made()))
    np.testing.assert_array_equal([one, two], again)  # the same seeds, the same numbers
    assert np.array_equal(one, two) == (seed == 5)  # an integer gives the same in every step, as in Keras


def test_layers_that_share_a_generator_draw_other_numbers(backend):
    generator = random.SeedGenerator(5)
    (x, _), _ = drawn_in_training(lambda: Two(generator))
    assert not np.array_equal(x[:3], x[3:])


@pytest.mark.parametrize("eagerly", [False, True])
def test_predictions_of_a_layer_that_always_draws_are_new_ones(eagerly, backend, tmp_path):
    """As of a variational autoencoder's sampling, or of dropout that stays on."""
    model = lamella.Sequential([lamella.Input((4,)), Noise(random.SeedGenerator(5))])
    model.compile(loss="mse", run_eagerly=eagerly)
    x = np.zeros((6, 4), "float32")
    first = model.predict(x, batch_size=3, verbose=0)
    assert not np.array_equal(first[:3], first[3:])
    assert not np.array_equal(first, model.predict(x, batch_size=3, verbose=0))
    assert not np.array_equal(model.predict_on_batch(x), model.predict_on_batch(x))
    assert abs(np.asarray(model(x))).max() > 0
    assert 0.2 < model.evaluate(x, x, verbose=0) < 5
    with pytest.raises(lamella.errors.TraceError, match="draws random numbers"):
        model.export(tmp_path / "net.py")


def test_both_backends_draw_the_same():
    found = []
    for name in ("numpy", "jax"):
        pytest.importorskip("jax")
        with lamella.backend_scope(name):
            found.append(drawn_in_training(lambda: Noise(random.SeedGenerator(5)))[0])
    np.testing.assert_allclose(found[0], found[1], rtol=2e-6)
