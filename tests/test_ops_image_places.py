"""The functions of `ops.image` that look at neighbors or at computed places, beside Keras's recorded answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella import layers, ops, random
from lamella.errors import ArgumentError, ShapeError, UnknownNameError
from lamella.ir import trace
from lamella.ir.spec import Spec
from lamella.testing.gradcheck import check_gradients
from oracle.cases_ops_image import CALLS, CORNERS, FIRST, LARGE, MOVED, X
from oracle.load import archive


@pytest.mark.parametrize("name", CALLS)
def test_answers_are_those_of_keras(name):
    expected = archive("ops_image")[name]
    found = np.asarray(CALLS[name](ops.image))
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_nothing_else_is_recorded():
    assert archive("ops_image").keys() == CALLS.keys()


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
def test_keras_still_answers_what_was_recorded(run_python):
    run_python(str(Path(__file__).parent / "oracle" / "record_ops_image.py"), "--check")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 2}, {"size": 2, "strides": 1}, {"size": 3, "padding": "same"}, {"size": (3, 2), "dilation_rate": (1, 2)},
        {"size": 2, "strides": 1, "data_format": "channels_first"}, {"size": (1, 2, 2), "strides": 1, "padding": "same"},
    ],
)  # fmt: skip
def test_patches_of_integers_are_integers(kwargs, backend):
    x = np.random.default_rng(7).integers(1, 2**8, (2, 5, 6, 3) if kwargs["size"] != (1, 2, 2) else (2, 3, 5, 6, 3))
    expected = np.asarray(ops.image.extract_patches(x.astype("float32"), **kwargs)).astype("int64")
    for dtype, more in (("uint8", 0), ("int32", 2**24), ("bool", 0)):
        values = (x + more).astype(dtype)
        found = ops.image.extract_patches(values, **kwargs)
        patches = layers.Lambda(lambda x: ops.image.extract_patches(x, **kwargs))
        inside = lamella.Sequential([lamella.Input(x.shape[1:], dtype=dtype), patches])
        for y in (found, inside.predict(values, verbose=0)):
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, np.where(expected == 0, 0, expected + more).astype(dtype))


def test_patches_of_integers_of_any_size():
    patches = layers.Lambda(lambda x: ops.image.extract_patches(x, 2, strides=1, padding="same"))
    model = lamella.Sequential([lamella.Input((None, None, 1), dtype="int32"), patches])
    for x in (np.arange(12).reshape(1, 3, 4, 1), np.arange(10).reshape(1, 5, 2, 1)):
        np.testing.assert_array_equal(model.predict(x, verbose=0), ops.image.extract_patches(x, 2, 1, padding="same"))


def test_patches_of_integers_are_refused_as_those_of_floats():
    for kwargs in (
        {"padding": "sam"},
        {"strides": -1},
        {"strides": 1, "dilation_rate": (1, 2, 3)},
        {"strides": 1, "size": 9},
    ):
        told = []
        for dtype in ("float32", "uint8"):
            with pytest.raises(ValueError) as caught:
                ops.image.extract_patches(X.astype(dtype), **{"size": 2, **kwargs})
            told.append(str(caught.value))
        assert told[0] == told[1]


def test_integers_between_pixels_are_rounded():
    x = np.random.default_rng(8).integers(0, 2**8, (2, 5, 6, 3)).astype("uint8")
    for call in (
        lambda x: ops.image.perspective_transform(x, CORNERS, MOVED),
        lambda x: ops.image.affine_transform(x, np.array([1, 0.1, 0.3, 0.05, 1, 0.2, 0, 0], "float32")),
        lambda x: ops.image.elastic_transform(x, 2.0, 1.0, seed=3),
    ):
        assert call(x).dtype == "uint8"
        np.testing.assert_array_equal(call(x), np.floor(np.asarray(call(x.astype("float32"))) + 0.5))


FUNCTIONS = {
    "extract_patches": lambda x: ops.image.extract_patches(x, 2, strides=1, padding="same"),
    "extract_patches-whole": lambda x: ops.image.extract_patches(x, (3, 2)),
    "extract_patches_3d": lambda x: ops.image.extract_patches_3d(ops.expand_dims(x, -1), 2),
    "gaussian_blur": lambda x: ops.image.gaussian_blur(x, (3, 5), (1.0, 2.0)),
    "sobel_edges": lambda x: ops.image.sobel_edges(x),
    "ssim": lambda x: ops.image.ssim(x, ops.flip(x, 1), filter_size=3),
    "perspective_transform": lambda x: ops.image.perspective_transform(x, CORNERS, MOVED),
    "elastic_transform": lambda x: ops.image.elastic_transform(x, 2.0, 1.0, seed=3),
    "scale_and_translate": lambda x: ops.image.scale_and_translate(
        x, (2, 5, 6, 3), np.array([0.7], "float32"), np.array([0.2], "float32"), [1], "cubic"
    ),
    "map_coordinates": lambda x: ops.image.map_coordinates(x, np.random.default_rng(2).uniform(0, 5, (4, 3, 2)), 1),
}  # fmt: skip


def test_programs_compute_what_calls_compute(backend):
    names = [name for name in FUNCTIONS if name != "map_coordinates"]
    inputs = lamella.Input(X.shape[1:])
    outputs = [layers.Lambda(lambda x, f=FUNCTIONS[name]: ops.reshape(f(x), (2, -1)))(inputs) for name in names]
    found = lamella.Model(inputs, outputs).predict(X, verbose=0, batch_size=2)
    for name, y in zip(names, found, strict=True):
        np.testing.assert_allclose(y, np.reshape(FUNCTIONS[name](X), (2, -1)), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_by_images(name):
    x = np.random.default_rng(3).normal(size=X.shape)
    program = trace.trace(lambda x: FUNCTIONS[name](x), Spec(x.shape, "float64"))
    check_gradients(program, [x], [0])


def test_derivatives_by_places():
    draw = np.random.default_rng(4)
    image, places = draw.normal(size=(5, 6)), draw.uniform(0.1, 3.9, (2, 7))
    program = trace.trace(lambda x, p: ops.image.map_coordinates(x, p, 1, "reflect"), *specs(image, places))
    check_gradients(program, [image, places], [0, 1])
    # a plane, so that places may pass from cell to cell
    image = (np.arange(6.0)[:, None] * 0.3 + np.arange(6.0) * 0.7).reshape(1, 6, 6, 1)
    starts = np.array([[1.3, 1.2], [4.1, 1.4], [1.1, 3.7], [3.9, 4.2]])
    ends = np.array([[-0.5, -0.4], [5.6, -0.3], [-0.6, 5.4], [5.3, 5.7]])
    program = trace.trace(lambda x, s, e: ops.image.perspective_transform(x, s, e), *specs(image, starts, ends))
    check_gradients(program, [image, starts, ends], [1, 2])


def test_derivatives_by_scale_are_those_of_jax(jax):
    def gradients(function):
        weights = np.random.default_rng(6).normal(size=(2, 9, 4, 3)).astype("float32")
        return jax.jit(jax.grad(lambda s, t: (function(X, (2, 9, 4, 3), s, t) * weights).sum(), (0, 1)))(*given)

    given = [np.array([1.317, 0.637], "float32"), np.array([0.213, 0.271], "float32")]
    for method in ("linear", "lanczos3"):
        found = gradients(lambda x, shape, s, t, m=method: ops.image.scale_and_translate(x, shape, s, t, (1, 2), m))
        expected = gradients(lambda x, shape, s, t, m=method: jax.image.scale_and_translate(x, shape, (1, 2), s, t, m))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def specs(*arrays):
    return [Spec(a.shape, a.dtype.name) for a in arrays]


def test_coordinates_are_those_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    draw = np.random.default_rng(5)
    x, places = draw.normal(size=(5, 1, 4)), draw.uniform(-3, 8, (3, 40))
    for mode, named in {"constant": "grid-constant", "nearest": "nearest", "mirror": "mirror", "reflect": "reflect",
                        "wrap": "grid-wrap"}.items():  # fmt: skip
        expected = ndimage.map_coordinates(x, places, order=1, mode=named, cval=0.5)
        np.testing.assert_allclose(ops.image.map_coordinates(x, places, 1, mode, 0.5), expected, atol=1e-5)


def test_edges_and_blurs_are_those_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    for channel in range(3):
        edges = [ndimage.sobel(X[0, :, :, channel], axis, mode="constant") for axis in (0, 1)]
        np.testing.assert_allclose(ops.image.sobel_edges(X[0])[:, :, channel], np.stack(edges, -1), atol=1e-5)
    blurred = ndimage.gaussian_filter(LARGE[0], 1.0, mode="constant", axes=(0, 1), radius=2)
    np.testing.assert_allclose(ops.image.gaussian_blur(LARGE[0], (5, 5), (1.0, 1.0)), blurred, atol=1e-5)
    np.testing.assert_allclose(ops.image.ssim(LARGE, LARGE), [1, 1], atol=1e-5)


def test_distortions_follow_the_seed(backend):
    def distorted(seed, x=LARGE, **kwargs):
        return np.asarray(ops.image.elastic_transform(x, 3.0, 1.5, seed=seed, **kwargs))

    first = distorted(1)
    np.testing.assert_array_equal(distorted(1), first)
    assert np.abs(distorted(2) - first).max() > 0.1 and np.abs(first - LARGE).max() > 0.1
    assert first.min() >= LARGE.min() - 1e-6 and first.max() <= LARGE.max() + 1e-6
    moved = distorted(1, LARGE.transpose(0, 3, 1, 2), data_format="channels_first")
    np.testing.assert_allclose(moved.transpose(0, 2, 3, 1), first, atol=1e-6)
    np.testing.assert_allclose(distorted(1, LARGE[0]), distorted(1, LARGE[:1])[0], atol=1e-6)
    np.testing.assert_array_equal(distorted(random.SeedGenerator(4)), distorted(random.SeedGenerator(4)))
    # rows and columns move independently
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0), indexing="ij"), -1)
    moves = distorted(5, grid, fill_mode="nearest")[3:-3, 3:-3] - grid[3:-3, 3:-3]
    assert abs(np.corrcoef(moves[..., 0].ravel(), moves[..., 1].ravel())[0, 1]) < 0.5
    lamella.utils.set_random_seed(3)
    drawn = distorted(None)
    assert not np.array_equal(distorted(None), drawn)
    lamella.utils.set_random_seed(3)
    np.testing.assert_array_equal(distorted(None), drawn)


def test_a_layer_distorts_anew_in_each_step(backend):
    lamella.utils.set_random_seed(1)
    model = lamella.Sequential(
        [lamella.Input((6, 6, 1)), layers.Lambda(lambda x: ops.image.elastic_transform(x, 5.0, 1.0))]
    )
    x = np.tile(np.random.default_rng(0).normal(size=(1, 6, 6, 1)).astype("float32"), (4, 1, 1, 1))
    y = model.predict(x, batch_size=2, verbose=0)
    assert all(np.abs(y[i] - y[j]).max() > 1e-3 for i in range(4) for j in range(i))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ops.image.extract_patches(X, (1, 2, 3, 4)), "size must be a positive integer or 2"),
        (lambda: ops.image.extract_patches(X[0, 0], 2), "images must have 3 dimensions, or 4"),
        (lambda: ops.image.extract_patches_3d(X[0], 2), "volumes must have 4 dimensions, or 5"),
        (lambda: ops.image.gaussian_blur(X, (3, 0)), "kernel_size must be two positive integers"),
        (lambda: ops.image.sobel_edges(X[0, 0]), "images must have 3 dimensions"),
        (lambda: ops.image.ssim(X, X[:1]), "must have one shape"),
        (lambda: ops.image.ssim(X, X), "smaller than the window of filter_size=11"),
        (lambda: ops.image.map_coordinates(X, np.zeros((3, 2)), 1), r"coordinates must be \(4, ...\)"),
        (lambda: ops.image.map_coordinates(X, np.zeros((4, 2)), 3), "order must be 0 .* got 3"),
        (lambda: ops.image.map_coordinates(X, np.zeros((4, 2)), 1, "grid-wrap"), "fill_mode 'grid-wrap'"),
        (lambda: ops.image.perspective_transform(X, CORNERS[:3], MOVED), r"must be \(4, 2\) or \(batch, 4, 2\)"),
        (lambda: ops.image.perspective_transform(X, CORNERS, MOVED, "bicubic"), "interpolation 'bicubic'"),
        (lambda: ops.image.elastic_transform(X, sigma=0), "sigma must be a positive number, got 0"),
        (lambda: ops.image.elastic_transform(X, seed="a"), "seed must be an integer"),
        (lambda: ops.image.elastic_transform(X, fill_mode="mirrored"), "fill_mode 'mirrored'"),
        (lambda: ops.image.scale_and_translate(X, (2, 9, 6, 3), [1.0], [0.0], [1], "nearest"), "method 'nearest'"),
        (lambda: ops.image.scale_and_translate(X, (2, 9, 6, 4), [1.0], [0.0], [1], "linear"), "output_shape must be"),
        (lambda: ops.image.scale_and_translate(X, (2, 9, 6, 3), [1.0], [0.0, 1.0], [1], "linear"), "an entry for each"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(call, match):
    with pytest.raises((ArgumentError, ShapeError, UnknownNameError), match=match):
        call()


def test_channels_first_is_the_same_by_the_setting():
    lamella.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(
            ops.image.gaussian_blur(FIRST), ops.image.gaussian_blur(FIRST, data_format="channels_first")
        )
    finally:
        lamella.config.set_image_data_format("channels_last")
