"""IMDB: 50,000 film reviews, words as numbers, with what their authors thought of them.

Source: A. L. Maas et al., https://ai.stanford.edu/~amaas/data/sentiment/; Keras's copy `imdb.npz`.

License: none is stated; the reviews belong to those who wrote them for IMDb.

Citation: A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts, Learning word vectors for sentiment analysis,
Proceedings of ACL, 2011.

Known harms: opinions of strangers, with offensive words and the names of real people. Only strong opinions are in it, of
English reviews of one site, so that a model of it says little about other texts.

Checked with: files of the same layout. The genuine files cannot be downloaded where lamella is tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.datasets import sources, tables, word_sequences
from lamella.datasets.word_sequences import Words

__all__ = ["get_word_index", "load_data"]


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Reviews of films: `(x_train, y_train), (x_test, y_test)`.

    Words are numbered by how often they occur: `index_from` + 1 is the most frequent one. 0 is left for padding.

    Args:
        path: the file's name in `~/.keras/datasets`, or an absolute path.
        num_words: numbers from here on become `oov_char`; by default only the largest number does.
        skip_top: numbers below become `oov_char`.
        maxlen: reviews of as many words or more are left out.
        seed: of the order of the reviews.
        start_char: what begins each review; None begins it with its first word.
        oov_char: the number that replaces omitted words; None removes them.
        index_from: what is added to the number of each word.
        **kwargs: `nb_words`, Keras 1's name of `num_words`.

    Returns:
        Arrays of shape (25000,) whose entries are lists of integers, and labels of shape (25000,), int64: 1 for praise, 0 for
        blame.

    Raises:
        ArgumentError: an argument is not an integer, or no review is shorter than `maxlen`.
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged, or holds anything but lists of integers.

    Examples:
        (x_train, y_train), (x_test, y_test) = lamella.datasets.imdb.load_data(num_words=20000)
        x_train = lamella.utils.pad_sequences(x_train, maxlen=80)
    """
    words = Words(word_sequences.old_arguments(kwargs, num_words), skip_top, maxlen, start_char, oov_char, index_from)
    words.check()
    x_train, y_train, x_test, y_test = sources.arrays("imdb.npz", path, "x_train", "y_train", "x_test", "y_test")
    generator, parts = np.random.RandomState(seed), []
    for x, y in ((x_train, y_train), (x_test, y_test)):
        word_sequences.check(x, y, path)
        x, y = tables.shuffled(generator, x, y)
        parts.append(words.short(words.marked(x), y))
    (train, y_train), (test, y_test) = parts
    texts = words.frequent(train + test)
    x_train, x_test = word_sequences.ragged(texts[: len(train)]), word_sequences.ragged(texts[len(train) :])
    return (x_train, y_train), (x_test, y_test)


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word, to which `load_data` adds its `index_from`.

    Args:
        path: the file's name in `~/.keras/datasets`, or an absolute path.

    Raises:
        DownloadError: the file is not in the cache and cannot be downloaded.
        FormatError: the file is damaged.

    Examples:
        words = {number + 3: word for word, number in lamella.datasets.imdb.get_word_index().items()}
        " ".join(words.get(number, "?") for number in x_train[0])
    """
    return sources.word_index("imdb_word_index.json", path)
