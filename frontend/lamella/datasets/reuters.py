"""Reuters: 11,228 news stories of 1987, words as numbers, in 46 topics.

Source: Reuters-21578, collected by D. D. Lewis; Keras's copy `reuters.npz`, one topic for each text.

License: free for research only; copyright Reuters Ltd. and Carnegie Group, Inc.

Citation: D. D. Lewis, Reuters-21578 text categorization test collection, distribution 1.0, 1997.

Known harms: news of one agency of 1987, with the names of people and companies. Most texts are of two topics, some topics
have a dozen; texts of several topics have lost all but one.

Checked with: files of the same layout. The genuine files cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.datasets import sources, tables, word_sequences
from lamella.datasets.word_sequences import Words

__all__ = ["get_label_names", "get_word_index", "load_data"]

_LABELS = """
cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass crude nat-gas
cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi iron-steel rubber heat jobs lei
bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """News of 46 topics: `(x_train, y_train), (x_test, y_test)`.

    Words are numbered by how often they occur: `index_from` + 1 is the most frequent one. 0 is left for padding.

    Args:
        path: the file's name in `~/.keras/datasets`, or an absolute path.
        num_words: numbers from here on become `oov_char`; by default only the largest number does.
        skip_top: numbers below become `oov_char`.
        maxlen: texts of as many words or more are left out.
        test_split: the part of the texts that are for tests, from 0 up to 1.
        seed: of the order of the texts.
        start_char: what begins each text; None begins it with its first word.
        oov_char: the number that replaces omitted words; None removes them.
        index_from: what is added to the number of each word.
        **kwargs: `nb_words`, Keras 1's name of `num_words`.

    Returns:
        Arrays of shapes (8982,) and (2246,) whose entries are lists of integers, and topics of the same shapes, int64 from 0
        to 45; `get_label_names` has their names.

    Raises:
        ArgumentError: an argument is not an integer or out of range, or no text is shorter than `maxlen`.
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged, or holds anything but lists of integers.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.reuters.load_data(num_words=1000, test_split=0.2)
    """
    words = Words(word_sequences.old_arguments(kwargs, num_words), skip_top, maxlen, start_char, oov_char, index_from)
    words.check()
    tables.check_split(test_split)
    x, y = sources.arrays("reuters.npz", path, "x", "y")
    word_sequences.check(x, y, path)
    x, y = tables.shuffled(np.random.RandomState(seed), x, y)
    texts, y = words.short(words.marked(x), y)
    texts = words.frequent(texts)
    count = int(len(texts) * (1 - test_split))
    x_train, x_test = word_sequences.ragged(texts[:count]), word_sequences.ragged(texts[count:])
    return (x_train, y[:count].copy()), (x_test, y[count:].copy())


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word, to which `load_data` adds its `index_from`.

    Args:
        path: the file's name in `~/.keras/datasets`, or an absolute path.

    Raises:
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged.

    Examples:
        words = {number + 3: word for word, number in lamella.datasets.reuters.get_word_index().items()}
        " ".join(words.get(number, "?") for number in x_train[0])
    """
    return sources.word_index("reuters_word_index.json", path)


def get_label_names() -> tuple[str, ...]:
    """The names of the 46 topics.

    >>> get_label_names()[3:5]
    ('earn', 'acq')
    """
    return tuple(_LABELS.split())
