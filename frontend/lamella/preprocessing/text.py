"""Conversion of text to sequences of word indices: Keras's `preprocessing.text`."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.absent import refusing
from lamella.errors import ArgumentError, DataError, FormatError, did_you_mean, unknown_name
from lamella.files.text import parsed
from lamella.names import deprecated, shown
from lamella.tracebacks import user_level

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "tfidf", "freq")

Analyzer = Callable[[str], Iterable[Any]]

_LARGEST = 1 << 28
_ENTRIES = 20_000_000
"""Bounds of what `tokenizer_from_json` reads: a vocabulary of some million words."""


def text_to_word_sequence(input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """Split a text into words.

    Args:
        input_text: the text.
        filters: characters that separate words, in addition to `split`.
        lower: whether words are converted to lower case.
        split: the separator of words.

    Returns:
        A list of words.

    Raises:
        ArgumentError: `split` is empty.
        DataError: `input_text` is not a string.

    Example:
        >>> text_to_word_sequence("The cat, the mat!")
        ['the', 'cat', 'the', 'mat']
    """
    if not split:
        raise ArgumentError("split must be the text between two words, got ''; for characters use char_level=True.")
    if not isinstance(input_text, str):
        raise _no_text("input_text", input_text)
    if lower:
        input_text = input_text.lower()
    separated = input_text.translate(str.maketrans(dict.fromkeys(filters, split)))
    return [word for word in separated.split(split) if word]


def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """Return the indices, from 1 to n - 1, of the words of a text: Python's `hash` of each word, so words may collide.

    Python's hash of strings differs between processes, unless the environment variable PYTHONHASHSEED is set;
    `hashing_trick(text, n, "md5")` is reproducible.

    Args:
        input_text: the text.
        n: the largest index plus 1.
        filters: characters that separate words, in addition to `split`.
        lower: whether words are converted to lower case.
        split: the separator of words.
        analyzer: a function from a text to its words, which replaces the last three arguments.

    Returns:
        A list of integers.

    Raises:
        ArgumentError: `n` is not an integer from 2, or `split` is empty.
        DataError: `input_text` is not a string.

    Example:
        >>> numbers = one_hot("the cat the mat", 50)
        >>> len(numbers), numbers[0] == numbers[2]
        (4, True)
    """
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


def hashing_trick(
    text: str,
    n: int,
    hash_function: str | Callable[[str], int] | None = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """Return the indices, from 1 to n - 1, of the words of a text: a hash of each word, so words may collide.

    Args:
        text: the text.
        n: the largest index plus 1.
        hash_function: "md5", which is reproducible, a function from a word to an integer, or None for Python's `hash`,
            which differs between processes.
        filters: characters that separate words, in addition to `split`.
        lower: whether words are converted to lower case.
        split: the separator of words.
        analyzer: a function from a text to its words, which replaces the last three arguments.

    Returns:
        A list of integers.

    Raises:
        ArgumentError: `n` is not an integer from 2, or `split` is empty.
        UnknownNameError: `hash_function` is another string.
        DataError: `text` is not a string.

    Example:
        >>> hashing_trick("the cat the mat", 50, "md5")
        [43, 32, 43, 29]
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise ArgumentError(f"n must be an integer from 2, one more than the largest number, got {n!r}.")
    if isinstance(hash_function, str) and hash_function not in ("md5", "hash"):
        raise unknown_name("hash_function", hash_function, ("md5", "hash"))
    hashed: Any = _md5 if hash_function == "md5" else hash if hash_function in (None, "hash") else hash_function
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [int(hashed(word)) % (int(n) - 1) + 1 for word in words]


def _md5(word: str) -> int:
    import hashlib

    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer:
    """A vocabulary that is learned from texts and maps words to indices from 1, by decreasing frequency.

    A text is a string, or a list of words. Index 0 is reserved for the padding of `pad_sequences`.

    Args:
        num_words: only the `num_words - 1` most frequent words are used, with indices below `num_words`. None uses all.
        filters: characters that separate words, in addition to `split`.
        lower: whether words are converted to lower case.
        split: the separator of words.
        char_level: whether every character is a word.
        oov_token: a word with index 1 that replaces unknown words; by default unknown words are omitted.
        analyzer: a function from a string to its words, which replaces `filters`, `lower` and `split`. `to_json` does
            not write it.
        document_count: the initial number of texts.
        **old: `nb_words`, Keras 1's name of `num_words`.

    Attributes:
        word_counts: the number of occurrences of each word.
        word_docs: the number of texts that contain each word.
        word_index: dict from word to index.
        index_word: dict from index to word.
        index_docs: the number of texts that contain the word of each index.
        document_count: the number of texts.

    Raises:
        ArgumentError: `num_words` is not a positive integer, or `split` is empty.

    Example:
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["the cat sat", "the mat"])
        >>> tokenizer.word_index
        {'the': 1, 'cat': 2, 'sat': 3, 'mat': 4}
        >>> tokenizer.texts_to_sequences(["the mat sat on the cat"])
        [[1, 4, 3, 1, 2]]
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Analyzer | None = None,
        document_count: int = 0,
        **old: Any,
    ) -> None:
        if "nb_words" in old:
            deprecated("nb_words", "num_words")
            num_words = old.pop("nb_words")
        if old:
            raise TypeError(f"Tokenizer() got an unexpected keyword argument {next(iter(old))!r}")
        if isinstance(num_words, bool) or not isinstance(num_words, int | np.integer | None) or (num_words or 0) < 0:
            raise ArgumentError(f"num_words must be a positive integer or None, got {num_words!r}.")
        if not split:
            raise ArgumentError("split must be the text between two words, got ''; for characters use char_level=True.")
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.document_count = document_count
        self.word_counts: dict[Any, int] = OrderedDict()
        self.word_docs: dict[Any, int] = defaultdict(int)
        self.word_index: dict[Any, int] = {}
        self.index_word: dict[int, Any] = {}
        self.index_docs: dict[int, int] = defaultdict(int)

    # ---- learning ----

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Add the words of texts to the vocabulary, and index all words again by frequency.

        Args:
            texts: an iterable of strings or lists of words.

        Raises:
            DataError: an element is not a text, or the texts contain no word; nothing is changed then.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a b", "b c"])
            >>> tokenizer.word_index, tokenizer.document_count
            ({'b': 1, 'a': 2, 'c': 3}, 2)
        """
        counts: dict[Any, int] = {}
        docs: dict[Any, int] = {}
        documents = 0
        for words in self._words(texts, "fit_on_texts"):
            documents += 1
            for word in words:
                counts[word] = counts.get(word, 0) + 1
            for word in dict.fromkeys(words):
                docs[word] = docs.get(word, 0) + 1
        if not counts and not self.word_counts:
            raise DataError(f"fit_on_texts found no word in {documents} texts: there is nothing to number.")
        self.document_count += documents
        for word, count in counts.items():
            self.word_counts[word] = self.word_counts.get(word, 0) + count
        for word, count in docs.items():
            self.word_docs[word] = self.word_docs.get(word, 0) + count
        ordered = sorted(self.word_counts, key=self.word_counts.__getitem__, reverse=True)
        if self.oov_token is not None:
            ordered.insert(0, self.oov_token)
        self.word_index = {word: number for number, word in enumerate(ordered, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]) -> None:
        """Count the sequences that contain each index, for `sequences_to_matrix(mode="tfidf")` without texts.

        Args:
            sequences: lists of word indices.
        """
        counted = [set(sequence) for sequence in sequences]
        self.document_count += len(counted)
        for numbers in counted:
            for number in numbers:
                self.index_docs[number] = self.index_docs.get(number, 0) + 1

    # ---- texts to numbers, and back ----

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """Return the word indices of each text; unknown words are omitted, or replaced by `oov_token`.

        Args:
            texts: strings or lists of words.

        Returns:
            A list of lists of integers.

        Raises:
            DataError: an element is not a text.

        Example:
            >>> tokenizer = Tokenizer(oov_token="?")
            >>> tokenizer.fit_on_texts(["a b"])
            >>> tokenizer.texts_to_sequences(["b a", "c"])
            [[3, 2], [1]]
        """
        return list(self._sequences(texts, "texts_to_sequences"))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """Yield the results of `texts_to_sequences` one by one.

        Args:
            texts: strings or lists of words.

        Raises:
            DataError: an element is not a text.
        """
        return self._sequences(texts, "texts_to_sequences_generator")

    def _sequences(self, texts: Iterable[Any], what: str) -> Iterator[list[int]]:
        known = self._limited(self.word_index, lambda word, number: number)
        unknown = self.word_index.get(self.oov_token)
        for words in self._words(texts, what):
            numbers = [known.get(word, unknown) for word in words]
            yield [number for number in numbers if number is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Return the words of each sequence of indices, separated by spaces.

        Args:
            sequences: lists of word indices; unknown ones are omitted, or replaced by `oov_token`.

        Returns:
            A list of strings.
        """
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Yield the results of `sequences_to_texts` one by one.

        Args:
            sequences: lists of word indices.
        """
        known = self._limited(self.index_word, lambda number, word: number)
        unknown = self.oov_token if self.oov_token in self.word_index else None
        for sequence in sequences:
            words = [known.get(number, unknown) for number in sequence]
            yield " ".join(str(word) for word in words if word is not None)

    def _limited(self, entries: dict[Any, Any], number_of: Callable[[Any, Any], int]) -> dict[Any, Any]:
        """The entries whose number is below `num_words`."""
        if not self.num_words:
            return entries
        return {key: value for key, value in entries.items() if number_of(key, value) < self.num_words}

    # ---- matrices ----

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """Return a float64 matrix of shape `(texts, num_words)`, with one row per text and one column per word index.

        Args:
            texts: strings or lists of words.
            mode: as for `sequences_to_matrix`.

        Raises:
            ArgumentError: the mode is unknown.
            DataError: an element is not a text, or the vocabulary is empty.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a b b"])
            >>> tokenizer.texts_to_matrix(["b b"], mode="count")
            array([[0., 2., 0.]])
        """
        self._check_matrix(mode)
        return self.sequences_to_matrix(list(self._sequences(texts, "texts_to_matrix")), mode)

    def sequences_to_matrix(self, sequences: Iterable[Iterable[int]], mode: str = "binary") -> np.ndarray:
        """Return a float64 matrix of shape `(sequences, num_words)`, with one column per word index.

        Args:
            sequences: lists of word indices.
            mode: "binary" for the presence of the word; "count" for its count; "freq" for its count divided by the
                length of the sequence; "tfidf" for (1 + log count) log(1 + texts / (1 + texts with the word)).

        Raises:
            ArgumentError: the mode is unknown.
            DataError: the vocabulary is empty, or indices are not integers from 0.
        """
        columns = self._check_matrix(mode)
        every = [np.asarray(sequence if hasattr(sequence, "__len__") else list(sequence)) for sequence in sequences]
        for place, numbers in enumerate(every):
            if numbers.size and (numbers.dtype.kind not in "iu" or numbers.ndim != 1 or numbers.min() < 0):
                raise DataError(f"sequence {place} must be a list of integers from 0, got {shown(numbers.tolist())}.")
        matrix = np.zeros((len(every), columns))
        for row, numbers in zip(matrix, every, strict=True):
            found, counts = np.unique(numbers[numbers < columns].astype(np.int64), return_counts=True)
            if mode == "binary":
                row[found] = 1
            elif mode == "count":
                row[found] = counts
            elif mode == "freq":
                row[found] = counts / max(len(numbers), 1)
            else:
                docs = np.array([self.index_docs.get(number, 0) for number in found.tolist()], np.float64)
                row[found] = (1 + np.log(counts)) * np.log(1 + self.document_count / (1 + docs))
        return matrix

    def _check_matrix(self, mode: str) -> int:
        """The columns of a matrix.

        Raises:
            ArgumentError: there is no such mode.
            DataError: nothing was learned yet.
        """
        if mode not in MODES:
            raise ArgumentError(f"mode={mode!r}: {did_you_mean(mode, MODES)}")
        if not self.num_words and not self.word_index:
            raise DataError("the Tokenizer knows no words yet: call fit_on_texts first, or give num_words=.")
        if mode == "tfidf" and not self.document_count:
            raise DataError(
                "mode='tfidf' needs the texts that words occur in: call fit_on_texts or fit_on_sequences first."
            )
        return self.num_words or len(self.word_index) + 1

    # ---- words ----

    def _words(self, texts: Iterable[Any], what: str) -> Iterator[list[Any]]:
        """The words of each text.

        Raises:
            DataError: something is not a text.
        """
        if isinstance(texts, str):
            if not self.char_level:
                warnings.warn(
                    f"{what} takes a list of texts and was given one string, of which each character counts as a text; write "
                    "[text] for one text.",
                    UserWarning,
                    stacklevel=user_level(),
                )
        elif not isinstance(texts, Iterable):
            raise DataError(f"{what} takes a list of strings, got {type(texts).__name__}.")
        for place, text in enumerate(texts):
            if isinstance(text, list):
                yield [_lowered(word, place) for word in text] if self.lower else text
            elif not isinstance(text, str):
                raise _no_text(f"text {place} of {what}", text)
            elif self.char_level:
                yield list(text.lower() if self.lower else text)
            elif self.analyzer is None:
                yield text_to_word_sequence(text, self.filters, self.lower, self.split)
            else:
                yield list(self.analyzer(text))

    # ---- JSON ----

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, and the vocabulary as JSON texts, in Keras's schema."""
        learned = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
        arguments = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        return {name: getattr(self, name) for name in arguments} | {
            name: json.dumps(getattr(self, name)) for name in learned
        }

    def to_json(self, **kwargs: Any) -> str:
        """Return the tokenizer as JSON, for `tokenizer_from_json` here and in Keras.

        Args:
            **kwargs: options of `json.dumps`.
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """Return the tokenizer that `Tokenizer.to_json` of lamella or of Keras described.

    Args:
        json_string: the JSON text.

    Returns:
        The tokenizer.

    Raises:
        FormatError: the text does not describe a tokenizer.

    Example:
        >>> tokenizer = Tokenizer(oov_token="?")
        >>> tokenizer.fit_on_texts(["a b a"])
        >>> tokenizer_from_json(tokenizer.to_json()).texts_to_sequences(["b c"])
        [[3, 1]]
    """
    where = "the JSON of a Tokenizer"
    found = parsed(json_string, where, largest=_LARGEST, entries=_ENTRIES)
    config = found.get("config") if isinstance(found, dict) else None
    if not isinstance(config, dict):
        raise FormatError(f"{where} must be an object with an entry 'config', got {shown(found)}.")
    config = dict(config)
    learned = {
        name: _table(config.pop(name, "{}"), f"{where}, {name}", of_numbers, to_words)
        for name, of_numbers, to_words in (
            ("word_counts", False, False),
            ("word_docs", False, False),
            ("index_docs", True, False),
            ("index_word", True, True),
            ("word_index", False, False),
        )
    }
    if unknown := set(config) - _ARGUMENTS.keys():
        raise FormatError(f"{where} has unknown entries: {', '.join(sorted(unknown))!r:.200}.")
    for name, value in config.items():
        if not isinstance(value, _ARGUMENTS[name]):
            raise FormatError(f"{where}: {name} cannot be {shown(value)}.")
    try:
        tokenizer = Tokenizer(**config)
    except ArgumentError as error:
        raise FormatError(f"{where}: {error}") from None
    for name, table in learned.items():
        getattr(tokenizer, name).update(table)
    return tokenizer


_ARGUMENTS: dict[str, Any] = {
    "num_words": int | None,
    "filters": str | list,
    "lower": bool | int,
    "split": str,
    "char_level": bool | int,
    "oov_token": str | None,
    "document_count": int,
}
"""What the entries of a tokenizer's JSON may be."""


def _table(text: Any, where: str, of_numbers: bool, to_words: bool) -> dict[Any, Any]:
    """A table of words and numbers from JSON within JSON, whose keys are always strings.

    Raises:
        FormatError: it is none.
    """
    found = parsed(text, where, largest=_LARGEST, entries=_ENTRIES) if isinstance(text, str) else text
    if not isinstance(found, dict):
        raise FormatError(f"{where} must be an object, got {shown(found)}.")
    for key, value in found.items():
        if of_numbers and not (key.isascii() and key.isdigit() and len(key) < 19):
            raise FormatError(f"{where}: the key {shown(key)} is not a number.")
        if isinstance(value, bool) or not isinstance(value, str if to_words else int):
            raise FormatError(
                f"{where}: the value {shown(value)} of {shown(key)} is not a {'word' if to_words else 'number'}."
            )
    return {int(key): value for key, value in found.items()} if of_numbers else found


def _lowered(word: Any, place: int) -> Any:
    if not isinstance(word, str):
        raise DataError(
            f"text {place} is a list with {shown(word)} in it, which has no small letters: give lists of strings, or "
            "lower=False."
        )
    return word.lower()


def _no_text(what: str, value: Any) -> DataError:
    hint = "; decode bytes first, as UTF-8 for instance" if isinstance(value, bytes) else ""
    return DataError(
        f"{what} must be a string{'' if what == 'input_text' else ' or a list of words'}, got {shown(value)}{hint}."
    )


__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
