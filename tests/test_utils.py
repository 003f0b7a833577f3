"""`lamella.utils`: small helpers, with the answers Keras 3.15.1 gives."""

from __future__ import annotations

import numpy as np
import pytest

from lamella import utils

SEQUENCES = [[1], [2, 3], [4, 5, 6], []]

PADDED = {
    "as it is": ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6], [0, 0, 0]]),
    "after": ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6], [0, 0, 0]]),
    "cut before": ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6], [0, 0]]),
    "cut after": ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5], [0, 0]]),
    "longer": ({"maxlen": 4, "value": -1}, [[-1, -1, -1, 1], [-1, -1, 2, 3], [-1, 4, 5, 6], [-1] * 4]),
}


@pytest.mark.parametrize("case", PADDED)
def test_sequences_are_padded_and_cut(case):
    words, expected = PADDED[case]
    found = utils.pad_sequences(SEQUENCES, **words)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)


def test_sequences_of_vectors_and_of_strings():
    found = utils.pad_sequences([np.ones((1, 2)), np.full((2, 2), 3)], dtype="float32", padding="post")
    np.testing.assert_array_equal(found, [[[1, 1], [0, 0]], [[3, 3], [3, 3]]])
    found = utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="-")
    assert found.tolist() == [["-", "a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("sequences", "words", "pattern"),
    [
        ([1, 2], {}, "1 in it is none"),
        (iter([]), {}, "takes a list"),
        ([[1]], {"padding": "left"}, "padding is 'pre' or 'post'"),
        ([[1]], {"truncating": "left"}, "truncating is 'pre' or 'post'"),
        ([["a"]], {"value": "-"}, "dtype=object"),
        ([[[1, 2]], [[1]]], {}, "sequence 1 has entries of shape"),
    ],
)
def test_what_cannot_be_padded_is_refused(sequences, words, pattern):
    with pytest.raises(ValueError, match=pattern):
        utils.pad_sequences(sequences, **words)


def test_vectors_are_divided_by_their_norm():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 1.0]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0, 0], [-(0.5**0.5), 0.5**0.5]])
    np.testing.assert_allclose(utils.normalize(x, order=1), [[3 / 7, 4 / 7], [0, 0], [-0.5, 0.5]])
    np.testing.assert_allclose(utils.normalize(x, axis=0)[:, 0], [3 / 10**0.5, 0, -1 / 10**0.5])


def test_labels_as_rows_of_classes():
    np.testing.assert_array_equal(utils.to_categorical([[2], [0]]), [[0, 0, 1], [1, 0, 0]])
    assert utils.to_categorical([0, 1], 4).shape == (2, 4)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
        utils.to_categorical([0, 2], 2)


def test_the_old_name_of_a_data_set():
    assert utils.Sequence is utils.PyDataset
    with pytest.raises(NotImplementedError, match="write `__len__`"):
        len(utils.PyDataset())
