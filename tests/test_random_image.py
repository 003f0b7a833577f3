"""What the random image layers promise beside Keras's numbers: draws, pictures, inference, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers as L  # noqa: N812 - named often
from lamella import ops
from lamella.backend_api import load_backend
from lamella.errors import ShapeError, UnknownNameError

X = np.random.default_rng(0).uniform(0, 255, (6, 5, 7, 2)).astype("float32")

# every layer with draws of its own, and how close two backends are: 0 where values are only moved or chosen
LAYERS = {
    "flip": (lambda **w: L.RandomFlip(**w), 0.0),
    "flip-horizontal": (lambda **w: L.RandomFlip("horizontal", **w), 0.0),
    "rotation": (lambda **w: L.RandomRotation(0.4, **w), 1e-5),
    "translation": (lambda **w: L.RandomTranslation(0.4, (0.1, 0.5), "constant", fill_value=3.0, **w), 1e-5),
    "zoom": (lambda **w: L.RandomZoom((-0.5, 0.5), fill_mode="wrap", **w), 1e-5),
    "zoom-nearest": (lambda **w: L.RandomZoom((-0.5, 0.5), 0.3, interpolation="nearest", **w), 0.0),
    "contrast": (lambda **w: L.RandomContrast(0.5, **w), 1e-5),
    "brightness": (lambda **w: L.RandomBrightness(0.5, **w), 1e-5),
    "crop": (lambda **w: L.RandomCrop(3, 4, **w), 0.0),
}


def model_of(*stack, shape=X.shape[1:], seed=7, backend="numpy"):
    with lamella.backend_scope(backend):
        lamella.random.set_random_seed(seed)
        model = lamella.Sequential([L.Input(shape), *stack])
        model.build((None, *shape))
    return model.to(backend)


def trained(make, x=X, backend="numpy", **kwargs):
    return np.asarray(model_of(make(**kwargs), shape=x.shape[1:], backend=backend)(x, training=True))


def channels_first(x):
    return np.moveaxis(x, -1, 1)


@pytest.mark.parametrize("make, tolerance", LAYERS.values(), ids=LAYERS)
def test_the_same_seed_is_the_same_picture_on_both_backends(make, tolerance, both):
    numpy, jax = (trained(make, backend=name) for name in both)
    assert numpy.dtype == jax.dtype == np.float32
    assert np.abs(numpy - jax).max() <= tolerance * 255


def test_float64_layers_draw_in_float64(both):
    make = LAYERS["translation"][0]
    numpy, jax = (trained(make, X.astype("float64"), name, dtype="float64") for name in both)
    assert numpy.dtype == jax.dtype == np.float64
    np.testing.assert_allclose(jax, numpy, rtol=1e-11)


@pytest.mark.parametrize("make, tolerance", LAYERS.values(), ids=LAYERS)
def test_the_layout_moves_the_channels_only(make, tolerance):
    first = trained(lambda **w: make(data_format="channels_first", **w), channels_first(X))
    np.testing.assert_allclose(first, channels_first(trained(make)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", [make for make, _ in LAYERS.values()], ids=LAYERS)
def test_draws_are_new_in_every_call_and_follow_a_seed(make):
    model = model_of(make(seed=3))
    one, two = np.asarray(model(X, training=True)), np.asarray(model(X, training=True))
    assert np.abs(one - two).max() > 1
    np.testing.assert_array_equal(np.asarray(model_of(make(seed=3, name="other"))(X, training=True)), one)
    assert np.abs(trained(make, seed=4) - one).max() > 1


@pytest.mark.parametrize("make", [make for name, (make, _) in LAYERS.items() if name != "crop"], ids=lambda m: "")
def test_inference_hands_images_on_as_floats(make):
    model = model_of(make())
    np.testing.assert_array_equal(model.predict(X, verbose=0), X)
    whole = np.asarray(
        lamella.Sequential([L.Input(X.shape[1:], dtype="uint8"), make()])(X.astype("uint8"), training=False)
    )
    np.testing.assert_array_equal(whole, X.astype("uint8").astype("float32"))


@pytest.mark.parametrize("make", [make for make, _ in LAYERS.values()], ids=LAYERS)
def test_a_call_that_is_not_told_changes_images(make, backend):
    layer = make(seed=3)
    np.testing.assert_array_equal(np.asarray(model_of(layer)(X)), np.asarray(model_of(make(seed=3))(X, training=True)))
    first, second = np.asarray(layer(X)), np.asarray(layer(X))
    assert np.abs(first - second).max() > 1


@pytest.mark.parametrize("make", [make for name, (make, _) in LAYERS.items() if name != "crop"], ids=lambda m: "")
def test_the_images_of_a_batch_are_drawn_apart(make):
    same = np.repeat(X[:1], 16, 0)
    pictures = {picture.tobytes() for picture in trained(make, same)}
    assert len(pictures) == 2 if "Flip" in type(make()).__name__ else len(pictures) > 3


# ---- what is drawn ----

ROWS = np.zeros((4000, 1, 1, 1), "float32")


def test_half_of_the_images_are_flipped():
    x = np.tile(np.arange(6, dtype="float32").reshape(1, 2, 3, 1), (4000, 1, 1, 1))
    for mode, axes in (("horizontal", (2,)), ("vertical", (1,)), ("horizontal_and_vertical", (1, 2))):
        y = trained(lambda mode=mode, **w: L.RandomFlip(mode), x)
        flipped = (y == np.flip(x, axes)).all((1, 2, 3))
        assert ((y == x).all((1, 2, 3)) | flipped).all()
        assert abs(flipped.mean() - 0.5) < 0.04


@pytest.mark.parametrize(
    "factor, value_range, low, high",
    [(0.2, (0, 255), 0.0, 0.2), ((-0.5, 0.25), (-1, 1), -0.5, 0.25), (-0.3, (-2, 2), -0.3, 0.3)],
)
def test_brightness_is_uniform_within_its_bounds(factor, value_range, low, high):
    delta = trained(lambda **w: L.RandomBrightness(factor, value_range), ROWS).ravel()
    size = value_range[1] - value_range[0]
    if value_range[0] == 0:  # what would be darker than black is black
        assert 0.45 < (delta == 0).mean() < 0.55
        delta = delta[delta > 0]
    delta = delta / size
    assert delta.min() >= low - 1e-6 and delta.max() <= high + 1e-6
    assert abs(delta.mean() - (low + high) / 2) < 0.03 * (high - low)
    assert abs(delta.std() - (high - low) / 12**0.5) < 0.03 * (high - low)


@pytest.mark.parametrize("factor, low, high", [(0.4, 0.6, 1.4), ((0.1, 0.5), 0.9, 1.5), ((0.5, 0.1), 0.9, 1.5)])
def test_contrast_is_uniform_on_both_sides_of_one(factor, low, high):
    x = np.tile(np.array([-1.0, 1.0], "float32").reshape(1, 1, 2, 1), (4000, 1, 1, 1))
    contrast = trained(lambda **w: L.RandomContrast(factor, (-9, 9)), x)[:, 0, 1, 0]
    assert contrast.min() >= low - 1e-6 and contrast.max() <= high + 1e-6
    assert abs(contrast.mean() - (low + high) / 2) < 0.02


def test_a_crop_is_a_window_and_every_window_comes():
    x = np.arange(2 * 4 * 5, dtype="float32").reshape(2, 4, 5, 1)
    model, found = model_of(L.RandomCrop(3, 3), shape=(4, 5, 1)), set()
    for _ in range(60):
        y = np.asarray(model(x, training=True))
        top, left = divmod(int(y[0, 0, 0, 0]), 5)
        np.testing.assert_array_equal(y, x[:, top : top + 3, left : left + 3])
        found.add((top, left))
    assert found == {(i, j) for i in range(2) for j in range(3)}


def test_a_crop_in_inference_is_the_largest_window_of_the_same_ratio():
    x = np.random.default_rng(1).standard_normal((2, 6, 8, 3)).astype("float32")
    found = model_of(L.RandomCrop(3, 3), shape=(6, 8, 3)).predict(x, verbose=0)
    np.testing.assert_allclose(found, ops.resize(x[:, :, 1:7], (3, 3)), rtol=1e-6)


def test_a_crop_of_images_that_are_too_small_is_that_of_keras():
    # recorded: keras.layers.RandomCrop(4, 6)(arange(30).reshape(1, 6, 5, 1), training=True) cuts rows 1 to 5, resized
    x = np.arange(30, dtype="float32").reshape(1, 6, 5, 1)
    found = trained(lambda **w: L.RandomCrop(4, 6), x)
    np.testing.assert_allclose(found, ops.resize(x[:, 1:5], (4, 6)), rtol=1e-6)
    assert found.shape == (1, 4, 6, 1)
    np.testing.assert_allclose(found[0, 0, :, 0], [5.0, 5.75, 6.5833335, 7.4166665, 8.25, 9.0], rtol=1e-6)


def test_translation_down_and_to_the_right_is_positive():
    x = np.zeros((1, 4, 4, 1), "float32")
    x[0, 1, 1] = 1
    y = trained(lambda **w: L.RandomTranslation((0.25, 0.25), (0.5, 0.5), "constant"), x)
    assert y[0, 2, 3, 0] == 1 and y.sum() == 1


# ---- in a model ----


def test_augmentation_trains_to_the_same_curve_on_both_backends(both):
    def curve(name):
        stack = [
            L.RandomFlip(),
            L.RandomRotation(0.1),
            L.RandomZoom(0.2),
            L.RandomContrast(0.2),
            L.RandomTranslation(0.1, 0.1),
        ]
        model = model_of(*stack, L.Rescaling(1 / 255), L.Flatten(), L.Dense(1), backend=name)
        model.compile("sgd", "mse")
        return model.fit(X, X.mean((1, 2, 3)) / 255, batch_size=4, epochs=3, verbose=0).history["loss"]

    numpy, jax = (curve(name) for name in both)
    np.testing.assert_allclose(numpy, jax, rtol=1e-4)
    assert len(set(numpy)) == 3


def test_the_gradient_of_a_shift_is_the_shift_back(backend):
    from lamella.ir.spec import Spec
    from lamella.ir.trace import Trace
    from lamella.passes import differentiate

    with Trace() as trace:
        x = trace.input(Spec((1, 3, 3, 1), "float32"))
        shift = np.array([1, 0, 1, 0, 1, 0, 0, 0], "float32")
        y = ops.affine_transform(x, shift, "nearest")
        weights = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
        program = trace.program([ops.sum(ops.multiply(y, weights))])
    found = load_backend(backend)
    value = found.compile(differentiate(program, [0]))(found.asarray(np.ones((1, 3, 3, 1)), "float32"))
    assert np.asarray(value[1])[0, :, :, 0].tolist() == [[0, 0, 1], [0, 3, 4], [0, 6, 7]]


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_an_affine_transform_fills_as_numpy_pads(mode, backend):
    x = np.random.default_rng(2).standard_normal((2, 4, 5, 3)).astype("float32")
    padded = np.pad(
        x,
        ((0, 0), (3, 3), (3, 3), (0, 0)),
        {"nearest": "edge", "mirror": "reflect", "reflect": "symmetric"}.get(mode, mode),
    )
    found = load_backend(backend)
    for dx, dy in ((3, -2), (-3, 1)):
        transform = np.array([[1, 0, dx, 0, 1, dy, 0, 0]] * 2, "float32")
        y = ops.affine_transform(found.asarray(x, "float32"), found.asarray(transform, "float32"), fill_mode=mode)
        np.testing.assert_array_equal(np.asarray(y), padded[:, 3 + dy : 7 + dy, 3 + dx : 8 + dx])


# ---- refusals ----


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: L.RandomFlip("sideways"), UnknownNameError, "mode of RandomFlip"),
        (lambda: L.RandomRotation(1.5), ValueError, "RandomRotation: factor must be between -1 and 1, got 1.5"),
        (lambda: L.RandomRotation((0.1, 0.2, 0.3)), ValueError, "factor must be a number or a pair"),
        (lambda: L.RandomRotation("much"), ValueError, "factor must be a number, got 'much'"),
        (lambda: L.RandomRotation(0.1, fill_mode="mirrored"), UnknownNameError, "fill_mode of RandomRotation"),
        (lambda: L.RandomRotation(0.1, interpolation="bicubic"), UnknownNameError, "interpolation of RandomRotation"),
        (lambda: L.RandomRotation(0.1, fill_value="0"), ValueError, "fill_value must be a number"),
        (lambda: L.RandomTranslation(0.1, 2.0), ValueError, "width_factor must be between -1 and 1"),
        (lambda: L.RandomZoom(-1.0), ValueError, "height_factor must be between -1 and 1"),
        (lambda: L.RandomContrast(-0.1), ValueError, "RandomContrast: factor must be between 0 and 1"),
        (lambda: L.RandomContrast(0.1, value_range=1), ValueError, "value_range must be a pair of numbers, got 1"),
        (lambda: L.RandomBrightness(0.1, value_range=(0, 1, 2)), ValueError, "value_range must be a pair"),
        (lambda: L.RandomBrightness((0.1, 3)), ValueError, "factor must be between -1 and 1"),
        (lambda: L.RandomCrop(0, 2), ValueError, "RandomCrop: height must be a positive integer"),
        (lambda: L.RandomCrop(2, 2, data_format="rows"), UnknownNameError, "data_format of RandomCrop"),
        (lambda: L.RandomFlip(bounding_box_format="xyxy"), ValueError, "take images alone"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_when_the_layer_is_made(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_vector_is_no_image():
    with pytest.raises(ShapeError, match=r"random_flip.*expected images \(batch, height, width, channels\)"):
        lamella.Sequential([L.Input((4,)), L.RandomFlip()]).build((None, 4))


@pytest.mark.parametrize("transform, words", [(np.zeros(6), "8 entries"), (np.zeros((1, 1, 8)), "8 entries")])
def test_a_transform_has_eight_entries(transform, words):
    with pytest.raises(ShapeError, match=words):
        ops.affine_transform(X, transform)
