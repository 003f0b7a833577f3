"""`lamella.utils`: small helpers, with the answers Keras 3.15.1 gives."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from lamella import Model, layers, utils

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
    kwargs, expected = PADDED[case]
    found = utils.pad_sequences(SEQUENCES, **kwargs)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)


def test_sequences_of_vectors_and_of_strings():
    found = utils.pad_sequences([np.ones((1, 2)), np.full((2, 2), 3)], dtype="float32", padding="post")
    np.testing.assert_array_equal(found, [[[1, 1], [0, 0]], [[3, 3], [3, 3]]])
    found = utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="-")
    assert found.tolist() == [["-", "a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("sequences", "kwargs", "pattern"),
    [
        ([1, 2], {}, "1 in it is none"),
        (iter([]), {}, "takes a list"),
        ([[1]], {"padding": "left"}, "padding is 'pre' or 'post'"),
        ([[1]], {"truncating": "left"}, "truncating is 'pre' or 'post'"),
        ([["a"]], {"value": "-"}, "dtype=object"),
        ([[[1, 2]], [[1]]], {}, "sequence 1 has entries of shape"),
    ],
)
def test_what_cannot_be_padded_is_refused(sequences, kwargs, pattern):
    with pytest.raises(ValueError, match=pattern):
        utils.pad_sequences(sequences, **kwargs)


BUCKETED = {
    "multiples": ([[1], [2, 3, 4]], {"buckets": 2}, [[0, 0, 0, 1], [0, 2, 3, 4]], [[0, 0, 0, 1], [0, 1, 1, 1]]),
    "after": ([[1], [2, 3]], {"buckets": 3, "padding": "post"}, [[1, 0, 0], [2, 3, 0]], [[1, 0, 0], [1, 1, 0]]),
    "exactly": ([[1, 2], [3]], {"buckets": 2, "value": 9}, [[1, 2], [9, 3]], [[1, 1], [0, 1]]),
    "given lengths": ([[1, 2, 3]], {"buckets": (5, 2, 4)}, [[0, 1, 2, 3]], [[0, 1, 1, 1]]),
    "an empty one": ([[], [7]], {"buckets": [2]}, [[0, 0], [0, 7]], [[0, 0], [0, 1]]),
    "empty ones": ([[], []], {"buckets": 2}, [[0, 0], [0, 0]], [[0, 0], [0, 0]]),
    "zeros that were given": ([[0, 0, 1]], {"buckets": 4}, [[0, 0, 0, 1]], [[0, 1, 1, 1]]),
}


@pytest.mark.parametrize("case", BUCKETED)
def test_sequences_are_padded_to_a_bucket_with_their_mask(case):
    sequences, kwargs, expected, given = BUCKETED[case]
    found, mask = utils.pad_to_buckets(sequences, **kwargs)
    assert found.dtype.kind == "i" and mask.dtype == bool
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(mask, np.array(given, bool))


def test_an_array_keeps_its_dtype_and_further_axes():
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    found, mask = utils.pad_to_buckets(x, 4, padding="post")
    assert found.dtype == np.float32 and found.shape == (2, 8, 3)
    np.testing.assert_array_equal(found[:, :5], x)
    assert not found[:, 5:].any() and mask[:, :5].all() and not mask[:, 5:].any()
    assert utils.pad_to_buckets([[1], [0.5, 2]])[0].dtype == np.float64
    assert utils.pad_to_buckets([[1], [0.5, 2]], dtype="float32")[0].shape == (2, 32)


@pytest.mark.parametrize(
    ("sequences", "kwargs", "pattern"),
    [
        ([1, 2], {}, "pad_to_buckets takes a list of sequences, and 1 in it"),
        (iter([]), {}, "pad_to_buckets takes a list"),
        ([[1]], {"padding": "left"}, "padding is 'pre' or 'post'"),
        ([[1]], {"buckets": 0}, "buckets must be a positive integer or a list of them, got 0"),
        ([[1]], {"buckets": True}, "buckets must be"),
        ([[1]], {"buckets": 2.5}, "buckets must be"),
        ([[1]], {"buckets": []}, "buckets must be"),
        ([[1]], {"buckets": [4, -1]}, "buckets must be"),
        ([[1], [1, 2, 3]], {"buckets": [1, 2]}, "sequence 1 has 3 entries, and the longest bucket holds 2: .*maxlen=2"),
        ([[[1, 2]], [[1]]], {}, "sequence 1 has entries of shape"),
    ],
)
def test_what_has_no_bucket_is_refused(sequences, kwargs, pattern):
    with pytest.raises(ValueError, match=pattern):
        utils.pad_to_buckets(sequences, **kwargs)


def test_vectors_are_divided_by_their_norm():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 1.0]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0, 0], [-(0.5**0.5), 0.5**0.5]])
    np.testing.assert_allclose(utils.normalize(x, order=1), [[3 / 7, 4 / 7], [0, 0], [-0.5, 0.5]])
    np.testing.assert_allclose(utils.normalize(x, axis=0)[:, 0], [3 / 10**0.5, 0, -1 / 10**0.5])


def test_labels_as_rows_of_classes():
    np.testing.assert_array_equal(utils.to_categorical([[2], [0]]), [[0, 0, 1], [1, 0, 0]])
    assert utils.to_categorical([0, 1], 4).shape == (2, 4)
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.1"):
        utils.to_categorical([0, 2], 2)


def test_the_old_name_of_a_data_set():
    assert utils.Sequence is utils.PyDataset
    with pytest.raises(NotImplementedError, match="write `__len__`"):
        len(utils.PyDataset())


def test_a_configuration_is_a_dict_with_attributes():
    config = utils.Config(rate=0.1)
    config.seed, config["steps"] = 3, 4
    assert (config.rate, config["seed"], config.get("none", 5), len(config)) == (0.1, 3, 5, 3)
    assert config.as_dict() == {"rate": 0.1, "seed": 3, "steps": 4} == dict(config)
    assert list(config.keys()) == ["rate", "seed", "steps"] and "seed" in config
    assert utils.Config(**json.loads(config.to_json())) == config == copy.deepcopy(config)
    assert pickle.loads(pickle.dumps(config)).steps == 4
    assert config.pop("steps") == 4 and repr(config) == "<Config {'rate': 0.1, 'seed': 3}>"
    del config.seed
    config.freeze()
    assert config.frozen and config.rate == 0.1
    for change in (lambda: setattr(config, "rate", 1), lambda: config.update(a=1), lambda: config.pop("rate")):
        with pytest.raises(ValueError, match="the Config is frozen"):
            change()
    config.unfreeze()
    config.rate = 1
    with pytest.raises(AttributeError, match="did you mean 'rate'"):
        _ = config.rates
    with pytest.raises(ValueError, match="cannot be called 'keys'"):
        config.keys = 3


def test_where_declared_values_come_from():
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    inner = Model(a, layers.Dense(3)(a))
    x = inner(b) * 2 + layers.Dropout(0.5)(a)
    assert utils.is_keras_tensor(x) and not utils.is_keras_tensor(np.ones(3))
    assert utils.get_source_inputs(x) == [b, a] and utils.get_source_inputs(a) == [a]
    with pytest.raises(TypeError, match="takes what Input or a layer returned, got ndarray"):
        utils.get_source_inputs(np.ones(3))
