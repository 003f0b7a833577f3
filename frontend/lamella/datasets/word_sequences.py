"""What IMDB and Reuters share: texts as lists of numbers of words, as they are stored and as scripts want them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamella.errors import ArgumentError, FormatError
from lamella.names import deprecated


class Words(NamedTuple):
    """Which words of a text are kept, and what replaces the others; the arguments of `load_data`."""

    num_words: int | None
    skip_top: int
    maxlen: int | None
    start_char: int | None
    oov_char: int | None
    index_from: int | None

    def check(self) -> None:
        """Refuse what is not an integer."""
        for name, value in self._asdict().items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer)):
                raise ArgumentError(f"{name} must be an integer or None, got {value!r}.")

    def marked(self, texts: np.ndarray) -> list[list[int]]:
        """The texts with the mark of their beginning, and room for the numbers below those of words."""
        start = [] if self.start_char is None else [self.start_char]
        shift = self.index_from or 0
        return [start + [word + shift for word in text] for text in texts]

    def short(self, texts: list[list[int]], labels: np.ndarray) -> tuple[list[list[int]], np.ndarray]:
        """The texts of fewer than `maxlen` words, marks counted, and their labels."""
        if not self.maxlen:
            return texts, labels
        kept = [number for number, text in enumerate(texts) if len(text) < self.maxlen]
        if not kept:
            raise ArgumentError(
                f"no text is shorter than maxlen={self.maxlen}; the shortest has {min(map(len, texts))}."
            )
        return [texts[number] for number in kept], labels[kept]

    def frequent(self, texts: list[list[int]]) -> list[list[int]]:
        """The texts with the words from `skip_top` up to `num_words`.

        Without a `num_words` the largest number is the limit, and itself left out: so Keras does.
        """
        least = self.skip_top or 0
        most = self.num_words or max((max(text) for text in texts if text), default=0)
        other = self.oov_char
        if other is None:
            return [[word for word in text if least <= word < most] for text in texts]
        return [[word if least <= word < most else other for word in text] for text in texts]


def old_arguments(given: dict[str, Any], num_words: int | None) -> int | None:
    """`num_words`, from `nb_words` where a Keras 1 script says so."""
    if "nb_words" in given:
        deprecated("nb_words=", "num_words=")
        num_words = given.pop("nb_words")
    if given:
        raise TypeError(f"load_data() got an unexpected keyword argument {min(given)!r}.")
    return num_words


def check(texts: np.ndarray, labels: np.ndarray, where: str) -> None:
    """Refuse what is not lists of integers, and an integer for each."""
    entries: list[Any] = texts.tolist() if texts.dtype == object and texts.ndim == 1 else [None]
    if set(map(type, entries)) - {list} or any(set(map(type, text)) - {int} for text in entries):
        raise FormatError(f"{where} does not hold texts as lists of integers.")
    if labels.dtype.kind not in "iu":
        raise FormatError(f"{where} does not hold integers as labels.")


def ragged(texts: list[list[int]]) -> np.ndarray:
    """An array of lists, of one axis whatever their lengths."""
    return np.fromiter(texts, object, len(texts))
