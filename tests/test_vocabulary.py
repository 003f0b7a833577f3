"""`TextVectorization`, `StringLookup` and `IntegerLookup`: what Keras's documentation and source say of them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import lamella
from lamella import Sequential, layers
from lamella.errors import ArgumentError, DataError, DTypeError, FormatError, NotBuiltError, ShapeError, TraceError
from lamella.layers import IntegerLookup, StringLookup, TextVectorization

TEXTS = ["foo bar", "bar baz!", "Baz bada boom"]


def adapted(data, cls=TextVectorization, **options):
    layer = cls(**options)
    layer.adapt(data)
    return layer


# ---- texts ----


def test_texts_as_indices():
    layer = adapted(TEXTS)
    assert layer.get_vocabulary() == ["", "[UNK]", "baz", "bar", "foo", "boom", "bada"]
    assert layer.get_vocabulary(include_special_tokens=False)[0] == "baz" and layer.vocabulary_size() == 7
    found = layer(np.array(["foo qux bar", "BAR"]))
    assert found.dtype == np.int32 and found.tolist() == [[4, 1, 3], [3, 0, 0]]
    assert layer([["foo"], ["bar baz"]]).tolist() == [[4, 0], [3, 2]]
    assert layer("foo  bar\n").tolist() == [4, 3]
    assert layer(np.array([b"foo", "bär".encode()])).tolist() == [[4], [1]]
    assert layer([]).shape == (0, 0)


def test_example_of_the_documentation_of_keras():
    layer = adapted(["foo bar", "bar baz", "baz bada boom"], max_tokens=5000, output_sequence_length=4)
    assert layer([["foo qux bar"], ["qux baz"]]).tolist() == [[4, 1, 3, 0], [1, 2, 0, 0]]
    layer = TextVectorization(max_tokens=5000, output_sequence_length=4, vocabulary=["earth", "wind", "and", "fire"])
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]
    assert layer(["earth wind and water fire"]).tolist() == [[2, 3, 4, 1]]


def test_texts_as_vectors():
    hot = adapted(TEXTS, output_mode="multi_hot")
    assert hot.get_vocabulary() == ["[UNK]", "baz", "bar", "foo", "boom", "bada"]
    assert hot(["foo bar bar x"]).tolist() == [[1, 0, 1, 1, 0, 0]] and hot(["a"]).dtype == np.float32
    assert adapted(TEXTS, output_mode="count")("foo bar bar x y").tolist() == [2, 0, 2, 1, 0, 0]
    weighted = adapted(TEXTS, output_mode="tf_idf", max_tokens=8, pad_to_max_tokens=True)
    documents = {"baz": 2, "bar": 2, "foo": 1, "boom": 1, "bada": 1}
    idf = [math.log(1 + 3 / (1 + n)) for n in documents.values()]
    expected = np.array([2 * np.mean(idf), 0, 2 * idf[1], idf[2], 0, 0, 0, 0])
    np.testing.assert_allclose(weighted(["foo bar bar x y"])[0], expected, rtol=1e-6)
    given = TextVectorization(output_mode="tf_idf", vocabulary=["a", "b"], idf_weights=[1.0, 3.0])
    assert given(["b a z b"]).tolist() == [[2, 1, 6]]


@pytest.mark.parametrize(
    "options, text, words",
    [
        ({"standardize": None}, "A b! A", ["A", "b!"]),
        ({"standardize": "lower"}, "A b!", ["b!", "a"]),
        ({"standardize": "strip_punctuation"}, "A-B, c's É", ["É", "cs", "AB"]),
        ({}, "É e\u00a0x", ["É", "e\u00a0x"]),  # ASCII alone is lowered and split at, as in Keras
        ({"standardize": lambda texts: np.char.replace(texts, "<br />", " ")}, "a<br />B", ["a", "B"]),
        ({"split": "character"}, "Aba", ["a", "b"]),
        ({"split": None}, "A b!", ["a b"]),
        ({"split": lambda texts: [text.split("-") for text in texts], "standardize": None}, "a-b-b", ["b", "a"]),
        ({"ngrams": 2}, "a b a", ["a", "b a", "b", "a b"]),
        ({"ngrams": (2, 3)}, "a b c", ["b c", "a b c", "a b"]),
    ],
)
def test_how_words_are_made(options, text, words):
    found = adapted([text], **options)
    assert set(found.get_vocabulary(False)) == set(words) and len(words) == found.vocabulary_size() - 2
    if "ngrams" in options:
        assert found.get_vocabulary(False)[0] == words[0]


def test_the_order_of_ngrams_is_by_length():
    layer = TextVectorization(ngrams=2, vocabulary=["a", "b", "a b"])
    assert layer(["a b"]).tolist() == [[2, 3, 4]]
    assert layer(["a"]).tolist() == [[2]]


def test_adapting_by_batches_and_to_a_limit():
    batches = [np.array([["a b"], ["a"]]), (np.array(["c c"]), np.array([1])), np.array(["d d d"])]
    assert adapted(iter(batches)).get_vocabulary(False) == ["d", "c", "a", "b"]
    layer = TextVectorization(max_tokens=4)
    layer.adapt(iter(batches), steps=2)
    assert layer.get_vocabulary(False) == ["c", "a"]
    layer.adapt(["z"])  # forgets what it knew
    assert layer.get_vocabulary(False) == ["z"]


def test_a_vocabulary_of_a_file(tmp_path):
    (tmp_path / "words.txt").write_text("earth\nwind\n", encoding="utf-8")
    layer = TextVectorization(vocabulary=str(tmp_path / "words.txt"))
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind"]
    assert layer.get_config()["vocabulary"] == ["earth", "wind"]  # a copy needs no file
    (tmp_path / "words.txt").write_bytes("a\u2028b\r\nc\x0bd\ne\x85\x1c".encode())
    assert StringLookup(vocabulary=str(tmp_path / "words.txt")).get_vocabulary(False) == [
        "a\u2028b",
        "c\x0bd",
        "e\x85\x1c",
    ]
    (tmp_path / "words.txt").write_bytes(b"")
    with pytest.raises(ArgumentError, match="the vocabulary is empty"):
        StringLookup(vocabulary=str(tmp_path / "words.txt"))


def test_a_network_on_texts(backend):
    texts = ["good movie", "bad movie", "so good", "so bad"] * 4
    y = np.array([1, 0, 1, 0] * 4, "float32")
    x = adapted(texts, output_sequence_length=3)(texts)
    lamella.utils.set_random_seed(1)
    model = Sequential([layers.Embedding(8, 4), layers.GlobalAveragePooling1D(), layers.Dense(1, "sigmoid")])
    model.compile(lamella.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    assert model.fit(x, y, epochs=20, verbose=0).history["accuracy"][-1] == 1


# ---- strings and integers ----


def test_strings_as_indices_and_back():
    layer = StringLookup(vocabulary=["a", "b", "c", "d"])
    assert layer(np.array([["a", "c", "d"], ["d", "z", "b"]])).tolist() == [[1, 3, 4], [4, 0, 2]]
    assert layer("a").shape == () and int(layer("a")) == 1
    masked = StringLookup(vocabulary=["", "[UNK]", "a"], mask_token="")
    assert masked(["", "a", "b"]).tolist() == [0, 2, 1] and masked.get_vocabulary() == ["", "[UNK]", "a"]
    back = StringLookup(vocabulary=["a", "b"], invert=True)
    assert back([[1, 2], [0, 9]]).tolist() == [["a", "b"], ["[UNK]", "[UNK]"]]
    assert adapted([["b", "a"], ["b", "c"]], StringLookup).get_vocabulary() == ["[UNK]", "b", "c", "a"]


def test_strings_as_vectors():
    one = StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
    assert one([["a"], ["z"]]).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert one([["a", "b"]]).shape == (1, 2, 3) and one(["a", "b"]).shape == (2, 3)
    rows = [["a", "b", "b"], ["z", "z", "z"]]
    assert StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(rows).tolist() == [[0, 1, 1], [1, 0, 0]]
    assert StringLookup(vocabulary=["a", "b"], output_mode="count")(rows).tolist() == [[0, 1, 2], [3, 0, 0]]
    masked = StringLookup(vocabulary=["a"], mask_token="", output_mode="count")
    assert masked([["a", "", "z"]]).tolist() == [[1, 1]]
    wide = StringLookup(max_tokens=5, vocabulary=["a"], output_mode="binary", pad_to_max_tokens=True)
    assert wide(["a"]).tolist() == [0, 1, 0, 0, 0]


def test_integers_as_indices_and_back():
    layer = IntegerLookup(vocabulary=[12, 36, 1138, 42])
    assert layer([[12, 1138, 42], [42, 1000, 36]]).tolist() == [[1, 3, 4], [4, 0, 2]]
    several = IntegerLookup(vocabulary=[12, 36, 1138, 42], num_oov_indices=2)
    assert several([[12, 1138, 42], [37, 1000, 36]]).tolist() == [[2, 4, 5], [1, 0, 3]]
    assert several.get_vocabulary() == [-1, -1, 12, 36, 1138, 42]
    back = IntegerLookup(vocabulary=[12, 36], invert=True, vocabulary_dtype="int32")
    assert back([1, 0, 2]).tolist() == [12, -1, 36] and back([1]).dtype == np.int32
    assert adapted([[12, 1138, 42], [42, 1000, 36]], IntegerLookup).get_vocabulary() == [-1, 42, 1138, 1000, 36, 12]
    masked = IntegerLookup(vocabulary=[5], mask_token=0)
    assert masked([0, 5, 6]).tolist() == [0, 2, 1]


def test_copies_have_the_vocabulary():
    for layer in (
        adapted(TEXTS, ngrams=2, output_sequence_length=3),
        adapted(TEXTS, output_mode="tf_idf"),
        adapted([["b", "a"]], StringLookup),
        IntegerLookup(vocabulary=[3, 4], num_oov_indices=2),
        StringLookup(vocabulary=["[UNK]", "a"], output_mode="tf_idf", idf_weights=[7.0, 1.0]),
        IntegerLookup(vocabulary=[-1, -1, 3], num_oov_indices=2, output_mode="tf_idf", idf_weights=[5.0, 6.0, 1.0]),
        TextVectorization(vocabulary=["[UNK]", "a"], output_mode="tf_idf", idf_weights=[7.0, 1.0]),
    ):
        config = json.loads(json.dumps(layer.get_config()))
        again = type(layer).from_config(config)
        x = [[3, 9]] if isinstance(layer, IntegerLookup) else ["baz bar x"]
        np.testing.assert_array_equal(again(x), layer(x))
        assert again.get_vocabulary() == layer.get_vocabulary()


# ---- what is refused ----


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: StringLookup(max_tokens=1), ArgumentError, "max_tokens must be greater than 1"),
        (lambda: StringLookup(pad_to_max_tokens=True), ArgumentError, "needs max_tokens"),
        (lambda: StringLookup(num_oov_indices=2), ArgumentError, "must be 0 or 1, got 2"),
        (lambda: IntegerLookup(num_oov_indices=-1), ArgumentError, "must be 0 or more, got -1"),
        (lambda: StringLookup(vocabulary=["a", "a"]), ArgumentError, "'a' more than once"),
        (lambda: StringLookup(vocabulary=[]), ArgumentError, "the vocabulary is empty"),
        (lambda: StringLookup(vocabulary=["a", "m"], mask_token="m"), ArgumentError, "must be left out, or come first"),
        (
            lambda: StringLookup(max_tokens=2, vocabulary=["a", "b"]),
            ArgumentError,
            "3 indices is longer than max_tokens=2",
        ),
        (lambda: StringLookup(idf_weights=[1.0]), ArgumentError, "belong to output_mode='tf_idf'"),
        (lambda: StringLookup(vocabulary=["a"], output_mode="tf_idf"), ArgumentError, "idf_weights must be given"),
        (
            lambda: StringLookup(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1, 2, 3]),
            ArgumentError,
            "1 numbers",
        ),
        (lambda: StringLookup(invert=True, output_mode="count"), ArgumentError, "invert=True needs"),
        (lambda: StringLookup(output_mode="sum"), ValueError, "output_mode"),
        (lambda: StringLookup(output_mode="count", sparse=True), ValueError, "no sparse tensors"),
        (lambda: TextVectorization(ragged=True), ValueError, "no ragged tensors"),
        (lambda: TextVectorization(standardize="upper"), ValueError, "standardize"),
        (lambda: TextVectorization(split="words"), ValueError, "split"),
        (lambda: TextVectorization(ngrams=(0,)), ValueError, "ngrams must be a positive integer"),
        (
            lambda: TextVectorization(output_mode="count", output_sequence_length=3),
            ArgumentError,
            "belongs to output_mode",
        ),
        (lambda: TextVectorization()(["a"]), NotBuiltError, "no vocabulary yet"),
        (lambda: TextVectorization(vocabulary=["a"]).adapt(["b"]), ArgumentError, "nothing to adapt"),
        (lambda: adapted(["", "  "]), DataError, "the data have no tokens"),
        (lambda: adapted(3), DTypeError, "array, a list or an iterable"),
        (lambda: adapted([1.0]), DTypeError, "expected strings, got float64"),
        (lambda: adapted(["a"])([["a", "b"]]), ShapeError, r"\(batch,\) or \(batch, 1\), got \(1, 2\)"),
        (lambda: StringLookup(vocabulary=["a"], num_oov_indices=0)(["z"]), DataError, "'z' is not in the vocabulary"),
        (lambda: IntegerLookup(vocabulary=[1])([1.5]), DTypeError, "expected integers, got float64"),
        (lambda: StringLookup(vocabulary=["a"], invert=True)(["a"]), DTypeError, "expected integers"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_it_is_no_part_of_a_model():
    layer = IntegerLookup(vocabulary=[1, 2])
    with pytest.raises(TraceError, match="prepares data and cannot be part of a model"):
        layer(lamella.Input((1,), dtype="int32"))
    with pytest.raises(TraceError, match="prepares data"):
        Sequential([lamella.Input((3,), dtype="int32"), layer]).predict(np.ones((1, 3), "int32"), verbose=0)
    text = Sequential([lamella.Input((3,)), layers.Dense(2)]).to_json().replace('"Dense"', '"StringLookup"')
    with pytest.raises(FormatError, match="StringLookup prepares data and cannot be part of a model"):
        lamella.models.model_from_json(text)
