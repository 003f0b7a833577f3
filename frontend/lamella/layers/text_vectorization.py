"""Map texts to indices of words."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, ShapeError
from lamella.layers.checks import choice, positive_integer
from lamella.layers.vocabulary import Tokens, Vocabulary, decoded

_STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORDS = re.compile(r"[^ \t\n\r\f\v]+")


class TextVectorization(Vocabulary):
    """Map texts to the indices of words in a vocabulary, or to vectors.

    Input: strings or bytes `(batch,)` or `(batch, 1)`, or one string; output: `(batch, length)` for "int", padded with
    0, otherwise vectors `(batch, indices)`. It prepares data on the host and cannot be part of a model: call it with
    data, and give `fit` what it returns.

    Args:
        max_tokens: largest number of indices, including those of padding ("int") and of unknown words; None for no
            limit.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation" (of ASCII characters, as in Keras),
            None, or a function of an array of strings.
        split: "whitespace", "character", None (each text is one word), or a function from a vector of strings to one
            list of words per string.
        ngrams: n to include all sequences of 2 to n words, joined by spaces; a tuple of lengths for sequences of these
            lengths.
        output_mode: "int" (indices, int32), "multi_hot" (one vector per text, with 1 for every word that occurs),
            "count" (how often it occurs) or "tf_idf" (the count times the inverse document frequency).
        output_sequence_length: for "int", the number of indices per text, which is truncated or padded; None for the
            length of the longest text of the batch.
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many words there are.
        vocabulary: the words, in order, or the path of a text file with one per line; None to learn it by `adapt`.
        idf_weights: with `vocabulary` and "tf_idf", the weight of each word.
        encoding: encoding of bytes.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: an argument is out of range, or the vocabulary is empty or has duplicates.
        NotBuiltError: in a call, if there is no vocabulary yet.

    Example:
        >>> from lamella.layers import TextVectorization
        >>> layer = TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["foo bar", "bar baz!", "Baz bada boom"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'baz', 'bar', 'foo', 'boom', 'bada']
        >>> layer(["foo qux bar", "bar"])
        array([[4, 1, 3, 0],
               [3, 0, 0, 0]], dtype=int32)
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[Any], Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[[Any], Any] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        self.encoding = encoding
        super().__init__(max_tokens, 1, "", "[UNK]", vocabulary, idf_weights, output_mode, pad_to_max_tokens, **kwargs)
        if standardize is not None and not callable(standardize):
            standardize = choice("standardize", standardize, _STANDARDS, self)
        if split is not None and not callable(split):
            split = choice("split", split, ["whitespace", "character"], self)
        self.standardize, self.split = standardize, split
        lengths = range(1, ngrams + 1) if isinstance(ngrams, int) else ngrams
        self.ngrams = ngrams
        self._lengths = None if lengths is None else [positive_integer("ngrams", n, self) for n in lengths]
        if output_sequence_length is not None and self.output_mode != "int":
            raise ArgumentError(
                f"TextVectorization: output_sequence_length belongs to output_mode='int', got output_mode={output_mode!r}."
            )
        self.output_sequence_length = (
            None
            if output_sequence_length is None
            else positive_integer("output_sequence_length", output_sequence_length, self)
        )

    def _array(self, values: Any) -> np.ndarray:
        return decoded(values, self.encoding)

    def _texts(self, inputs: Any) -> np.ndarray:
        """The standardized texts: a vector; with split=None also a matrix of words."""
        texts = self._array(inputs)
        if callable(self.standardize):
            texts = decoded(self.standardize(texts), self.encoding)
        elif self.standardize is not None:
            flat = texts.reshape(-1).tolist()
            if self.standardize != "strip_punctuation":
                flat = [text.translate(_LOWER) for text in flat]
            if self.standardize != "lower":
                flat = [text.translate(_PUNCTUATION) for text in flat]
            texts = np.array(flat, object).reshape(texts.shape)
        if self.split is None:
            return texts
        if texts.ndim > 1 and texts.shape != (len(texts), 1):
            raise ShapeError(
                f"TextVectorization: texts must have shape (batch,) or (batch, 1), got {texts.shape}; split=None takes words."
            )
        return texts.reshape(-1)

    def _rows(self, data: Any) -> Iterator[Tokens]:
        """The words of each text."""
        texts = self._texts(data)
        if self.split is None:
            rows: Any = (row.reshape(-1).tolist() for row in texts.reshape(len(texts) if texts.ndim else 1, -1))
        elif callable(self.split):
            rows = ([str(word) for word in decoded(row, self.encoding)] for row in self.split(texts))
        elif self.split == "character":
            rows = map(list, texts.tolist())
        else:
            rows = (_WORDS.findall(text) for text in texts.tolist())
        return rows if self._lengths is None else (self._joined(row) for row in rows)

    def _joined(self, words: Tokens) -> Tokens:
        assert self._lengths is not None  # noqa: S101 - the caller has looked
        return [" ".join(words[i : i + length]) for length in self._lengths for i in range(len(words) - length + 1)]

    def call(self, inputs: Any) -> np.ndarray:
        """The indices `(batch, length)` or vectors `(batch, indices)`; for a single text without the batch axis.

        Args:
            inputs: texts `(batch,)` or `(batch, 1)`, strings or bytes, or one text.
        """
        rows = [*self._rows(inputs)]
        single = np.ndim(inputs) == 0
        if self.output_mode != "int":
            vectors = self._vectors(rows, len(rows))
            return vectors[0] if single else vectors
        length = self.output_sequence_length
        width = max(map(len, rows), default=0) if length is None else length
        indices = np.zeros((len(rows), width), np.int32)
        for line, words in zip(indices, rows, strict=True):
            for i, word in enumerate(itertools.islice(words, width)):
                line[i] = self._index(word)
        return indices[0] if single else indices
