"""`preprocessing.text` and `preprocessing.sequence`: Keras's numbers, files both ways, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella import layers, utils
from lamella.errors import ArgumentError, DataError, FormatError, ShapeError, UnknownNameError
from lamella.preprocessing import sequence, text
from oracle.cases_text import MORE, answers

ORACLE = Path(__file__).parent / "oracle"
RECORDED = json.loads((ORACLE / "data" / "text.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found():
    return answers(text, sequence)


@pytest.mark.parametrize("name", RECORDED)
def test_numbers_are_those_of_keras(name, found):
    assert set(found) == set(RECORDED)
    _compare(found[name], RECORDED[name])


def _compare(one, other):
    if isinstance(other, dict):
        assert list(one) == list(other) or sorted(one) == sorted(other)
        for key in other:
            _compare(one[key], other[key])
    elif isinstance(other, list) and other and isinstance(other[0], list | dict):
        assert len(one) == len(other)
        for part, expected in zip(one, other, strict=True):
            _compare(part, expected)
    elif isinstance(other, list) and any(isinstance(entry, float) for entry in other):
        np.testing.assert_allclose(one, other, rtol=4e-16)
    else:
        assert one == other


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
def test_keras_still_answers_what_was_recorded():
    done = subprocess.run(
        [sys.executable, ORACLE / "record_text.py", "--check"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in RECORDED if name.startswith("Tokenizer") and "analyzer" not in name])
def test_a_tokenizer_is_read_from_keras_s_json(name):
    answer = RECORDED[name]
    config = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in answer["config"].items()}
    read = text.tokenizer_from_json(json.dumps({"class_name": "Tokenizer", "config": config}))
    assert read.texts_to_sequences(MORE) == answer["sequences"]
    again = text.tokenizer_from_json(read.to_json(indent=1))
    assert again.get_config() == read.get_config()
    again.fit_on_texts(["a new word"])
    assert again.document_count == read.document_count + 1


def test_python_s_hash_and_functions_number_words():
    assert text.one_hot("a b a", 10) == [hash(word) % 9 + 1 for word in "aba"]
    assert text.hashing_trick("a b", 10) == text.hashing_trick("a b", 10, "hash") == text.one_hot("a b", 10)
    assert text.hashing_trick("x-y", 5, lambda word: 7, analyzer=lambda t: t.split("-")) == [4, 4]


def test_texts_may_come_from_a_generator_and_one_at_a_time():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts(line for line in ("a b", "a c"))
    assert next(tokenizer.texts_to_sequences_generator(iter(["c a"]))) == [3, 1]
    assert next(tokenizer.sequences_to_texts_generator([np.array([1, 3])])) == "a c"


def test_one_string_is_a_text_per_character_with_a_warning():
    tokenizer = text.Tokenizer()
    with pytest.warns(UserWarning, match=r"write \[text\]") as warned:
        tokenizer.fit_on_texts("ab a")
    assert warned[0].filename == __file__
    assert tokenizer.word_counts == {"a": 2, "b": 1}
    letters = text.Tokenizer(char_level=True)
    letters.fit_on_texts("ab a")  # the same for characters
    assert letters.word_index == {"a": 1, "b": 2, " ": 3}


def test_keras_1_s_number_of_words():
    with pytest.warns(DeprecationWarning, match="num_words"):
        assert text.Tokenizer(nb_words=5).num_words == 5
    with pytest.raises(TypeError, match="'words'"):
        text.Tokenizer(words=5)


REFUSED = {
    "no word": (lambda t: t.fit_on_texts(["", "!?"]), DataError, "no word in 2 texts"),
    "no texts": (lambda t: t.fit_on_texts([]), DataError, "no word in 0 texts"),
    "a number": (lambda t: t.fit_on_texts(["a", float("nan")]), DataError, "text 1 of fit_on_texts must be a string"),
    "bytes": (lambda t: t.texts_to_sequences([b"a"]), DataError, "decode bytes first"),
    "a number in a list": (lambda t: t.fit_on_texts([["a", 3]]), DataError, "text 0 is a list with 3 in it"),
    "not a list": (lambda t: t.fit_on_texts(3), DataError, "takes a list of strings, got int"),
    "an unfitted matrix": (lambda t: t.texts_to_matrix(["a"]), DataError, "knows no words yet"),
    "an unfitted tfidf": (
        lambda t: text.Tokenizer(5).sequences_to_matrix([[1]], "tfidf"),
        DataError,
        "call fit_on_texts",
    ),
    "a mode": (lambda t: t.texts_to_matrix(["a"], "tfdif"), ArgumentError, "did you mean 'tfidf'"),
    "floats": (
        lambda t: text.Tokenizer(5).sequences_to_matrix([[1], [0.5]]),
        DataError,
        "sequence 1 must be a list of int",
    ),
    "negative": (lambda t: text.Tokenizer(5).sequences_to_matrix([[-1]]), DataError, "integers from 0"),
    "num_words": (lambda t: text.Tokenizer(2.5), ArgumentError, "num_words must be"),
    "split": (lambda t: text.Tokenizer(split=""), ArgumentError, "char_level=True"),
    "no string": (lambda t: text.text_to_word_sequence(None), DataError, "input_text must be a string, got None"),
    "no separator": (lambda t: text.text_to_word_sequence("a", split=""), ArgumentError, "split must be"),
    "n": (lambda t: text.one_hot("a", 1), ArgumentError, "n must be an integer from 2"),
    "a hash": (lambda t: text.hashing_trick("a", 9, "mda5"), UnknownNameError, "did you mean 'md5'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_text_is_refused_and_nothing_is_counted(case):
    ask, error, match = REFUSED[case]
    tokenizer = text.Tokenizer()
    with pytest.raises(error, match=match):
        ask(tokenizer)
    assert (tokenizer.document_count, tokenizer.word_counts, tokenizer.word_docs) == (0, {}, {})


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ("no json", "JSON of a Tokenizer"),
        ("[]", "an entry 'config'"),
        ({"word_index": "[1]"}, "word_index must be an object"),
        ({"word_index": '{"a": "b"}'}, "'b' of 'a' is not a number"),
        ({"index_word": '{"x": "a"}'}, "the key 'x' is not a number"),
        ({"index_word": '{"1": 2}'}, "not a word"),
        ({"word_counts": "{"}, "word_counts"),
        ({"lower": "yes"}, "lower cannot be 'yes'"),
        ({"num_words": -1}, "num_words must be"),
        ({"extra": 1}, "unknown entries"),
    ],
)
def test_a_damaged_description_is_refused(changed, match):
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts(["a b"])
    written = changed
    if isinstance(changed, dict):
        written = json.dumps({"config": {**tokenizer.get_config(), **changed}})
    with pytest.raises(FormatError, match=match):
        text.tokenizer_from_json(written)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: sequence.skipgrams([1, 9], 10, sampling_table=np.ones(5)), DataError, "5 entries.*numbered 1 to 9"),
        (lambda: sequence.skipgrams([1, 2], 1), ArgumentError, "vocabulary_size must be an integer from 2"),
        (lambda: sequence.skipgrams([1, 2], 9, window_size=-1), ArgumentError, "window_size"),
        (lambda: sequence.skipgrams([1, 2], 9, negative_samples=-1.0), ArgumentError, "negative_samples"),
        (lambda: sequence.make_sampling_table(0), ArgumentError, "size must be"),
        (lambda: sequence.make_sampling_table(3, 0.0), ArgumentError, "sampling_factor"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1], 1), ShapeError, "one length, got 2 and 1"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 2), ArgumentError, "no window is left"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 1, end_index=2), ArgumentError, "there are 2, got 2"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 0), ArgumentError, "length must be"),
        (lambda: sequence.timeseries_generator_from_json('{"config": {}}'), FormatError, "texts data and targets"),
        (
            lambda: sequence.timeseries_generator_from_json(
                '{"config": {"data": "[1]", "targets": "[1, 2]", "length": 1}}'
            ),
            FormatError,
            "one length",
        ),
    ],
)
def test_sequences_that_do_not_fit_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_generator_of_windows_is_written_and_read():
    data = np.random.default_rng(0).normal(size=(20, 2))
    batches = sequence.TimeseriesGenerator(data, data[:, 0], 4, start_index=2, stride=2, batch_size=3, reverse=True)
    again = sequence.timeseries_generator_from_json(batches.to_json())
    assert len(again) == len(batches) and again.get_config() == batches.get_config()
    for one, other in zip(batches, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    with pytest.raises(DataError, match="data cannot be written as JSON"):
        sequence.TimeseriesGenerator([{1}, {2}], [1, 2], 1).to_json()


def test_a_model_learns_from_words_and_from_windows(backend):
    utils.set_random_seed(1)
    tokenizer = text.Tokenizer(num_words=20)
    texts, y = ["good film", "bad film", "very good", "very bad"] * 4, np.array([1, 0, 1, 0] * 4)
    tokenizer.fit_on_texts(texts)
    x = sequence.pad_sequences(tokenizer.texts_to_sequences(texts), maxlen=3)
    model = lamella.Sequential([layers.Embedding(20, 4), layers.Flatten(), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    history = model.fit(x, y, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    series = np.sin(np.arange(40.0))[:, None]
    batches = sequence.TimeseriesGenerator(series, series, length=5, batch_size=8)
    model = lamella.Sequential([layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mse")
    assert np.isfinite(model.fit(batches, epochs=2, verbose=0).history["loss"]).all()
    assert model.predict(batches, verbose=0).shape == (35, 1)
