"""Activations: Keras's values and its derivatives at every non-differentiable point."""

import numpy as np
import pytest

from lamella import activations, ops
from lamella.backend_api import load_backend
from lamella.errors import UnknownNameError
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.passes import differentiate
from oracle import cases, load


def value_and_gradient(function, x, cotangent):
    """function(x) and the gradient of sum(function(x) * cotangent), by lamella's reverse mode on NumPy."""

    def weighted(x, cotangent):
        y = function(x)
        return ops.sum(ops.multiply(y, cotangent)), y

    spec = Spec(x.shape, str(x.dtype))
    y_spec = Spec(np.shape(cotangent), str(x.dtype))
    program = differentiate(trace(weighted, spec, y_spec), [0])
    _, y, gradient = load_backend("numpy").compile(program)(x, cotangent)
    return y, gradient


def close(a, b, tolerance):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.max(np.abs(a - b)) <= tolerance * max(np.max(np.abs(b)), 1e-30)


@pytest.mark.parametrize("case", cases.ACTIVATIONS, ids=lambda case: case.id)
def test_against_keras(case):
    recorded = load.load("activations", case.id)

    def function(x):
        return activations.get(case.name)(x, **case.kwargs)

    close(function(recorded["x"]), recorded["y"], case.tolerance)
    y, gradient = value_and_gradient(function, recorded["x"], recorded["cotangent"])
    close(y, recorded["y"], case.tolerance)
    close(gradient, recorded["gradient"], case.tolerance)


# The activations without their own rows in the oracle; jax.nn is what Keras calls for them.
JAX_NN = [
    "celu",
    "hard_silu",
    "hard_tanh",
    "log_sigmoid",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "selu",
    "relu6",
]
POINTS = np.array([-7, -3, -2.5, -1, -0.7, 0, 0.3, 1, 2, 3, 5.5, 6, 8], np.float32)


@pytest.mark.parametrize("name", JAX_NN)
def test_against_jax_nn(name):
    jax = pytest.importorskip("jax")
    y, pullback = jax.vjp(getattr(jax.nn, name), POINTS)
    (gradient,) = pullback(np.ones_like(POINTS))
    ours, our_gradient = value_and_gradient(activations.get(name), POINTS, np.ones_like(POINTS))
    close(ours, y, 1e-6)
    close(our_gradient, gradient, 1e-6)


@pytest.mark.parametrize(
    ("name", "point", "slope"),
    [
        ("soft_shrink", 0.5, 0.0),
        ("soft_shrink", -0.5, 0.0),
        ("hard_shrink", 0.5, 0.0),
        ("hard_tanh", 1.0, 1.0),
        ("hard_tanh", -1.0, 1.0),
        ("hard_sigmoid", 3.0, 0.0),
        ("celu", 0.0, 1.0),
        ("selu", 0.0, 1.7580993),
        ("leaky_relu", 0.0, 1.0),
        ("relu", 0.0, 0.0),
        ("sparse_sigmoid", 1.0, 0.25),
    ],
)
def test_kinks(name, point, slope):
    _, gradient = value_and_gradient(activations.get(name), np.array([point], np.float32), np.ones(1, np.float32))
    assert float(gradient[0]) == pytest.approx(slope, rel=1e-6)


def test_shrinks_and_threshold():
    x = np.array([-2.0, -0.5, 0.2, 0.5, 2.0], np.float32)
    np.testing.assert_array_equal(activations.soft_shrink(x), np.array([-1.5, 0, 0, 0, 1.5], np.float32))
    np.testing.assert_array_equal(activations.hard_shrink(x), np.array([-2, 0, 0, 0, 2], np.float32))
    np.testing.assert_allclose(activations.tanh_shrink(x), x - np.tanh(x), rtol=1e-6)
    np.testing.assert_array_equal(activations.threshold(x, 0.3, -9.0), np.array([-9, -9, -9, 0.5, 2], np.float32))


def test_glu():
    x = np.array([[1.0, 2.0, 0.0, 100.0]], np.float32)
    np.testing.assert_allclose(activations.glu(x), [[0.5, 2.0]], rtol=1e-6)


@pytest.mark.parametrize("axis", [-1, 0])
def test_sparsemax_is_the_projection_onto_the_simplex(axis):
    x = np.random.RandomState(0).standard_normal((6, 5)).astype("float32")
    x[:, 1] = x[:, 0]  # ties
    y = np.moveaxis(activations.sparsemax(x, axis), axis, -1)
    np.testing.assert_allclose(y.sum(-1), 1.0, rtol=1e-5)
    for row, z in zip(y, np.moveaxis(x, axis, -1), strict=True):
        ordered = np.sort(z)[::-1]
        sums = np.cumsum(ordered)
        k = np.max(np.nonzero(1 + np.arange(1, len(z) + 1) * ordered > sums)[0]) + 1
        np.testing.assert_allclose(row, np.maximum(z - (sums[k - 1] - 1) / k, 0), atol=1e-6)


def test_sparsemax_gradient_by_differences():
    x = np.array([[0.3, -0.2, 0.9, 0.15]])
    cotangent = np.array([[1.0, -2.0, 0.5, 3.0]])
    _, gradient = value_and_gradient(activations.sparsemax, x, cotangent)
    for i in range(4):
        step = np.zeros_like(x)
        step[0, i] = 1e-6
        difference = (activations.sparsemax(x + step) - activations.sparsemax(x - step)) / 2e-6
        assert float((difference * cotangent).sum()) == pytest.approx(float(gradient[0, i]), abs=1e-6)


NAMES = (
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid "
    "log_softmax mish relu relu6 selu sigmoid silu swish soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid "
    "sparsemax squareplus tanh tanh_shrink threshold"
).split()


def test_every_keras_name_resolves():
    assert len(NAMES) == 32
    assert set(NAMES) == set(activations.TABLE)
    for name in NAMES:
        assert activations.get(activations.name_of(activations.get(name))) is activations.get(name)


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get(np.tanh) is np.tanh
    assert activations.name_of(activations.swish) == "silu"
    with pytest.raises(UnknownNameError, match="did you mean 'softmax'"):
        activations.get("sofmax")
    with pytest.raises(ValueError, match="a name or a function"):
        activations.get(3)
