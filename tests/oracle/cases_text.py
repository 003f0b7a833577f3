"""What is asked of Keras's and of lamella's `preprocessing.text` and `preprocessing.sequence`, as plain data."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np

TEXTS = [
    "The cat sat on the mat!",
    "A dog; a cat?",
    "",
    ["The", "list", "of Words", "the"],
    "tab\tand\nline – ünïcode É",
]
MORE = ["the unknown cat dog", "", ["The", "zzz"]]

TOKENIZERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "limited": {"num_words": 4},
    "limited with unknown": {"num_words": 4, "oov_token": "<o>"},
    "an unknown word that is one": {"oov_token": "cat"},
    "characters": {"char_level": True},
    "characters with unknown": {"char_level": True, "oov_token": "?", "num_words": 6},
    "capitals": {"lower": False},
    "other separators": {"filters": "ae", "split": "t"},
    "analyzer": {"analyzer": lambda text: text.split("a")},
}

SKIPGRAMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "classes": {"window_size": 2, "negative_samples": 0.5, "categorical": True},
    "no negative ones": {"negative_samples": 0.0, "seed": 3},
    "sampled": {"seed": 4, "sampling_table": np.linspace(0.2, 1.0, 30)},
    "in order": {"shuffle": False},
}

GENERATORS: dict[str, dict[str, Any]] = {
    "plain": {"length": 5},
    "strides": {"length": 6, "sampling_rate": 2, "stride": 3, "batch_size": 4},
    "reversed": {"length": 3, "start_index": 10, "end_index": 30, "reverse": True, "batch_size": 7},
    "shuffled": {"length": 3, "shuffle": True, "batch_size": 5},
}


def answers(text: Any, sequence: Any) -> dict[str, Any]:
    """What the two modules answer, as JSON holds it."""
    found: dict[str, Any] = {}
    for name, options in TOKENIZERS.items():
        found[f"Tokenizer, {name}"] = _tokenizer(text, options)
    for phrase in ("The cat sat, on the mat", ""):
        found[f"words of {phrase!r}"] = [
            text.text_to_word_sequence(phrase),
            text.text_to_word_sequence(phrase, filters="ao", lower=False, split="t"),
            text.hashing_trick(phrase, 20, "md5"),
            text.hashing_trick(phrase, 20, len, lower=False),
        ]
    for name, options in SKIPGRAMS.items():
        for words in ([1, 5, 0, 7, 2, 29, 3, 3], [], [0, 0], [4]):
            random.seed(5)
            found[f"skipgrams of {words}, {name}"] = [sequence.skipgrams(words, 30, **options) for _ in range(2)]
    found["make_sampling_table"] = [sequence.make_sampling_table(size, 1e-3).tolist() for size in (1, 2, 30)]
    for name, options in GENERATORS.items():
        found[f"TimeseriesGenerator, {name}"] = _batches(sequence, options)
    return json.loads(json.dumps(found))


def _tokenizer(text: Any, options: dict[str, Any]) -> dict[str, Any]:
    tokenizer = text.Tokenizer(**options)
    tokenizer.fit_on_texts(TEXTS)
    tokenizer.fit_on_texts(["more cat words"])
    tokenizer.fit_on_sequences([[1, 2, 2], [3]])
    sequences = tokenizer.texts_to_sequences(MORE)
    config = json.loads(tokenizer.to_json())["config"]
    learned = [name for name in config if name.startswith(("word", "index"))]
    return {
        "config": config | {name: json.loads(config[name]) for name in learned},
        "order": [list(tokenizer.word_counts), list(tokenizer.word_index)],
        "sequences": sequences,
        "texts": tokenizer.sequences_to_texts([*sequences, [99, 1]]),
        "matrices": {
            mode: tokenizer.texts_to_matrix(MORE, mode).tolist() for mode in ("binary", "count", "tfidf", "freq")
        },
        "of numbers": tokenizer.sequences_to_matrix([[1, 500, 2, 2], [], [0]], "freq").tolist(),
    }


def _batches(sequence: Any, options: dict[str, Any]) -> list[Any]:
    data = np.arange(100.0).reshape(50, 2)
    batches = sequence.TimeseriesGenerator(data, data[:, 0] / 2, **options)
    np.random.seed(6)  # noqa: NPY002 - what is asked draws from it
    return [[part.tolist() for part in batches[number]] for number in range(len(batches))]
