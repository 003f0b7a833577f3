"""`ops.image` beside Keras's recorded answers and the mathematics, on arrays and in a program, on both backends."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

import lamella
from lamella import layers, ops
from lamella.errors import ArgumentError, DTypeError, ShapeError

RGB = np.array(
    [[[0.2, 0.5, 0.1], [0.9, 0.9, 0.9]], [[0.1, 0.2, 0.8], [0.7, 0.1, 0.1]], [[0.7, 0.1, 0.6], [0, 0, 0]]], "float32"
)
# what Keras 3.15.1 answers
HSV = [[[0.2916666865348816, 0.800000011920929, 0.5], [0, 0, 0.8999999761581421]],
       [[0.6428571343421936, 0.875, 0.800000011920929], [0, 0.8571428060531616, 0.699999988079071]],
       [[0.8611111044883728, 0.8571428060531616, 0.699999988079071], [0, 0, 0]]]  # fmt: skip
GRAY = [0.3646800220012665, 0.8999099731445312, 0.2384900003671646, 0.2793300151824951, 0.33632999658584595, 0.0]
IMAGES = np.arange(2 * 5 * 4 * 3, dtype="float32").reshape(2, 5, 4, 3)


def in_program(function, x):
    """What a function makes of images in a compiled model."""
    model = lamella.Sequential([lamella.Input(x.shape[1:]), layers.Lambda(function)])
    return model.predict(x, verbose=0)


def test_colors_are_keras_s(backend):
    for found in (ops.image.rgb_to_hsv(RGB), in_program(ops.image.rgb_to_hsv, RGB[None])[0]):
        np.testing.assert_allclose(found, HSV, atol=1e-6)
    for found in (ops.image.rgb_to_grayscale(RGB), in_program(ops.image.rgb_to_grayscale, RGB[None])[0]):
        np.testing.assert_allclose(np.ravel(found), GRAY, atol=1e-6)
    np.testing.assert_allclose(in_program(ops.image.hsv_to_rgb, np.array([HSV], "float32"))[0], RGB, atol=1e-6)
    first = np.moveaxis(RGB, -1, 0)
    np.testing.assert_allclose(ops.image.rgb_to_hsv(first, "channels_first"), np.moveaxis(HSV, -1, 0), atol=1e-6)


def test_colors_are_those_of_colorsys():
    x = np.random.default_rng(0).uniform(size=(1, 40, 5, 3))
    hsv = np.apply_along_axis(lambda c: colorsys.rgb_to_hsv(*c), -1, x)
    np.testing.assert_allclose(ops.image.rgb_to_hsv(x), hsv, atol=1e-12)
    np.testing.assert_allclose(ops.image.hsv_to_rgb(hsv), x, atol=1e-12)
    np.testing.assert_allclose(ops.image.hsv_to_rgb(hsv + np.array([2.0, 0, 0])), x, atol=1e-12)
    assert ops.image.rgb_to_grayscale(np.full((2, 2, 3), 255, "uint8")).dtype == "uint8"
    assert ops.image.rgb_to_grayscale(x[..., :1]).shape == (1, 40, 5, 1)


@pytest.mark.parametrize(
    ("kwargs", "around"),
    [
        ({"top_padding": 1, "bottom_padding": 2, "left_padding": 0, "right_padding": 3}, ((1, 2), (0, 3))),
        ({"top_padding": 1, "target_height": 9, "right_padding": 3, "target_width": 8}, ((1, 3), (1, 3))),
        ({"bottom_padding": 4, "target_height": 9, "left_padding": 0, "target_width": 4}, ((0, 4), (0, 0))),
    ],
)
def test_padding(kwargs, around, backend):
    expected = np.pad(IMAGES, ((0, 0), *around, (0, 0)))
    np.testing.assert_array_equal(ops.image.pad_images(IMAGES, **kwargs), expected)
    np.testing.assert_array_equal(ops.image.pad_images(IMAGES[0], **kwargs), expected[0])
    np.testing.assert_array_equal(in_program(lambda x: ops.image.pad_images(x, **kwargs), IMAGES), expected)


@pytest.mark.parametrize(
    ("kwargs", "kept"),
    [
        (
            {"top_cropping": 1, "bottom_cropping": 2, "left_cropping": 0, "right_cropping": 3},
            (slice(1, 3), slice(0, 1)),
        ),
        ({"top_cropping": 1, "target_height": 3, "right_cropping": 1, "target_width": 2}, (slice(1, 4), slice(1, 3))),
        ({"bottom_cropping": 0, "target_height": 5, "left_cropping": 2, "target_width": 2}, (slice(0, 5), slice(2, 4))),
    ],
)
def test_cropping(kwargs, kept, backend):
    expected = IMAGES[:, kept[0], kept[1]]
    np.testing.assert_array_equal(ops.image.crop_images(IMAGES, **kwargs), expected)
    np.testing.assert_array_equal(in_program(lambda x: ops.image.crop_images(x, **kwargs), IMAGES), expected)
    first = ops.image.crop_images(np.moveaxis(IMAGES, -1, 1), **kwargs, data_format="channels_first")
    np.testing.assert_array_equal(first, np.moveaxis(expected, -1, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.image.pad_images(IMAGES, top_padding=1, left_padding=1, right_padding=1),
            ArgumentError,
            "exactly two",
        ),
        (lambda: ops.image.crop_images(IMAGES, 1, 1, 1, 1, 1), ArgumentError, "exactly two of top_cropping"),
        (lambda: ops.image.pad_images(IMAGES, 0, -1, 0, 0), ArgumentError, "integers from 0"),
        (lambda: ops.image.pad_images(IMAGES, 0, 0, target_height=4, right_padding=0), ArgumentError, "do not fit"),
        (lambda: ops.image.crop_images(IMAGES, 4, 0, 3, 0), ArgumentError, "smaller than"),
        (lambda: ops.image.rgb_to_hsv(np.zeros((2, 2, 3), "int32")), DTypeError, "divide by 255"),
        (lambda: ops.image.hsv_to_rgb(np.zeros((2, 2, 4))), ShapeError, "3 channels"),
        (lambda: ops.image.rgb_to_grayscale(np.zeros((2, 3))), ShapeError, "3 dimensions"),
    ],
)
def test_what_does_not_fit_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_second_places():
    assert ops.image.resize is ops.resize and ops.image.affine_transform is ops.affine_transform
