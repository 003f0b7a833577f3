"""`compute_output_shape`: what a layer gives for inputs of a shape, without building it."""

import numpy as np
import pytest

import lamella
from lamella import layers as L  # noqa: N812 - named often

SHAPES = {
    "dense": (lambda: L.Dense(3), [(None, None, 5)], (None, None, 3)),
    "convolution": (lambda: L.Conv2D(4, 3, padding="same", strides=2), [(None, None, 9, 1)], (None, None, 5, 4)),
    "lstm with states": (
        lambda: L.LSTM(3, return_sequences=True, return_state=True),
        [(2, None, 4)],
        ((2, None, 3), (2, 3), (2, 3)),
    ),
    "embedding": (lambda: L.Embedding(10, 4), [(None, 7)], (None, 7, 4)),
    "several inputs": (lambda: L.Concatenate(), [[(None, 2), (None, 3)]], (None, 5)),
    "attention": (lambda: L.MultiHeadAttention(2, 3), [(None, 4, 6), (None, None, 6)], (None, 4, 6)),
    "flatten": (lambda: L.Flatten(), [(8, 2, 3)], (8, 6)),
    "model": (lambda: lamella.Sequential([L.Conv1D(4, 3), L.GlobalMaxPooling1D()]), [(None, None, 2)], (None, 4)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_the_outputs(name):
    make, given, expected = SHAPES[name]
    layer = make()
    assert layer.compute_output_shape(*given) == expected
    assert not layer.built and not layer.weights
    assert layer.compute_output_shape(*given) == expected


def test_nothing_is_drawn():
    lamella.utils.set_random_seed(1)
    layer = L.Dense(3)
    layer.compute_output_shape((None, 4))
    after = lamella.Sequential([L.Input((4,)), L.Dense(3)]).get_weights()[0]
    lamella.utils.set_random_seed(1)
    L.Dense(3)
    expected = lamella.Sequential([L.Input((4,)), L.Dense(3)]).get_weights()[0]
    np.testing.assert_array_equal(after, expected)


def test_a_built_layer_stays_built():
    model = lamella.Sequential([L.Input((None, 2)), L.Conv1D(3, 2)])
    before = model.get_weights()
    assert model.compute_output_shape((None, 6, 2)) == (None, 5, 3) and model.output_shape == (None, None, 3)
    assert model.layers[0].compute_output_shape((4, None, 2)) == (4, None, 3)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(lamella.errors.ShapeError, match="expected inputs with 4 dimensions"):
        L.Conv2D(4, 3).compute_output_shape((None, 3))
