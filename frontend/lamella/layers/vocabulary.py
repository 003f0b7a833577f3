"""Map strings and integers to indices in a vocabulary, which is given or learned from data by `adapt`.

These layers prepare data: they take arrays and lists, on the host. Programs hold no strings, so that the layers cannot be
part of a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lamella.core import context
from lamella.errors import ArgumentError, DataError, DTypeError, NotBuiltError, TraceError
from lamella.ir import settings
from lamella.ir.declared import is_declared
from lamella.ir.spec import numpy_dtype
from lamella.layers.base import Layer
from lamella.layers.checks import choice

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_MODES_BEFORE = {"binary": "multi_hot", "tf-idf": "tf_idf"}

Tokens = Sequence[Any]
"""The tokens of one example: words or integers."""


class Vocabulary(Layer):
    """The base of the layers with a vocabulary: how it is learned, and how tokens are looked up.

    The first index is that of the mask token, in mode "int" and if there is one; then come the indices of unknown
    tokens, then those of the vocabulary.

    Args:
        max_tokens: largest number of indices; None for no limit.
        num_oov_indices: number of indices for unknown tokens.
        mask_token: the token of index 0, or None.
        oov_token: the entry of the vocabulary for unknown tokens.
        vocabulary: the tokens, in order, or the path of a text file with one per line.
        idf_weights: for mode "tf_idf" the weight of each token.
        output_mode: what a call returns.
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many tokens there are.
    """

    prepares_data = True
    config_attributes: ClassVar[Mapping[str, str]] = {"vocabulary": "vocabulary", "idf_weights": "idf_weights"}
    config_without = ("trainable",)
    kind: ClassVar[type] = str

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        output_mode: str,
        pad_to_max_tokens: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_mode = choice("output_mode", _MODES_BEFORE.get(output_mode, output_mode), _MODES, self)
        what = type(self).__name__
        if max_tokens is not None and (isinstance(max_tokens, bool) or int(max_tokens) <= 1):
            raise ArgumentError(f"{what}: max_tokens must be greater than 1, got {max_tokens}.")
        if pad_to_max_tokens and max_tokens is None:
            raise ArgumentError(f"{what}: pad_to_max_tokens=True needs max_tokens.")
        if num_oov_indices < 0:
            raise ArgumentError(f"{what}: num_oov_indices must be 0 or more, got {num_oov_indices}.")
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ArgumentError(f"{what}: idf_weights belong to output_mode='tf_idf', got {output_mode!r}.")
        self.max_tokens, self.pad_to_max_tokens = max_tokens, bool(pad_to_max_tokens)
        self.num_oov_indices = int(num_oov_indices)
        self.mask_token, self.oov_token = mask_token, oov_token
        self.vocabulary, self.idf_weights = None, None
        self._given = vocabulary is not None
        self._indices: dict[Any, int] = {}
        self._tokens: list[Any] = []
        self._idf: np.ndarray | None = None
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    @property
    def _first_unknown(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _special(self) -> list[Any]:
        """The tokens of the indices before those of the vocabulary."""
        return [self.mask_token] * self._first_unknown + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The list of tokens, in the order of their indices.

        Args:
            include_special_tokens: whether to begin with the mask token and the tokens for unknown ones.
        """
        return [*(self._special if include_special_tokens else ()), *self._tokens]

    def vocabulary_size(self) -> int:
        """The number of indices, including those of the mask and of unknown tokens."""
        return len(self._special) + len(self._tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the vocabulary.

        Args:
            vocabulary: the tokens, in order, with or without the mask and unknown tokens in front; or the path of a text
                file with one per line.
            idf_weights: for mode "tf_idf" the weight of each token.

        Raises:
            ArgumentError: the vocabulary is empty, too long, has duplicates or misplaced special tokens, or the number of
                weights does not match.
        """
        what, special = type(self).__name__, self._special
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise ArgumentError(f"{what}: idf_weights must be given with output_mode='tf_idf', and only then.")
        if isinstance(vocabulary, str | Path):
            text = Path(vocabulary).read_text(encoding="utf-8")
            lines = text.removesuffix("\n").split("\n") if text else []  # a token may contain other line breaks
            vocabulary = [self.kind(line) for line in lines]
        given = [self.kind(token) for token in self._flat(vocabulary)]
        tokens = given[len(special) :] if special and given[: len(special)] == special else given
        if not tokens:
            raise ArgumentError(f"{what}: the vocabulary is empty.")
        repeated = [token for token, count in Counter(tokens).items() if count > 1]
        if repeated:
            raise ArgumentError(f"{what}: the vocabulary must not have {repeated[0]!r} more than once.")
        if self.mask_token in tokens or (self._inverts and self.oov_token in tokens):
            raise ArgumentError(f"{what}: mask and unknown tokens must be left out, or come first as {special}.")
        if self.max_tokens is not None and len(special) + len(tokens) > self.max_tokens:
            raise ArgumentError(
                f"{what}: a vocabulary of {len(special) + len(tokens)} indices is longer than max_tokens={self.max_tokens}."
            )
        weights = None
        if idf_weights is not None:
            weights = np.asarray(idf_weights, np.float64)
            if weights.shape != (len(given),):
                raise ArgumentError(f"{what}: idf_weights must be {len(given)} numbers, got shape {weights.shape}.")
        self._use(tokens, weights)
        self._given = True

    _inverts = False

    def _use(self, tokens: list[Any], weights: np.ndarray | None) -> None:
        start = len(self._special)
        self._tokens = tokens
        self._indices = {token: i for i, token in enumerate(tokens, start)}
        # as given: the tokens in front are included if they have weights
        front = self._special if weights is not None and len(weights) > len(tokens) else ()
        self.vocabulary = [*front, *tokens]
        self.idf_weights = None if weights is None else weights.tolist()
        if weights is not None and len(weights) == len(tokens):  # unknown tokens get the mean weight
            weights = np.concatenate([np.full(start, weights.mean()), weights])
        self._idf = weights

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary, by decreasing frequency; equally frequent tokens are in reverse alphabetical order.

        Args:
            data: an array or a list, or an iterable of batches; of a batch that is a tuple the first entry is used.
            steps: number of batches to use; None for all.

        Raises:
            ArgumentError: a vocabulary was given to the constructor.
            DataError: the data have no tokens.
        """
        self.reset_state()
        for number, batch in enumerate(_batches(data)):
            if steps is not None and number >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Reset the counts of `update_state`."""
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._seen = 0

    def update_state(self, data: Tensor) -> None:
        """Count the tokens of a batch.

        Args:
            data: an array or a list.

        Raises:
            ArgumentError: a vocabulary was given to the constructor.
        """
        if self._given:
            raise ArgumentError(f"{type(self).__name__}: a vocabulary was given, there is nothing to adapt.")
        for tokens in self._rows(data):
            self._counts.update(tokens)
            self._documents.update({*tokens})
            self._seen += 1

    def finalize_state(self) -> None:
        """Make the vocabulary from the counts.

        Raises:
            DataError: no tokens were counted.
        """
        for token in (self.mask_token, self.oov_token):
            self._counts.pop(token, None)
        if not self._counts:
            raise DataError(f"{type(self).__name__}: the data have no tokens.")
        room = None if self.max_tokens is None else self.max_tokens - len(self._special)
        ordered = sorted(self._counts, key=lambda token: (self._counts[token], token), reverse=True)[:room]
        weights = None
        if self.output_mode == "tf_idf":
            weights = np.array([math.log(1 + self._seen / (1 + self._documents[token])) for token in ordered])
        self._use(ordered, weights)
        self.reset_state()

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Look up the tokens of an array or a list, and return a NumPy array.

        Raises:
            TraceError: the inputs are symbolic values.
            NotBuiltError: there is no vocabulary.
        """
        if context.current() is not None or is_declared((inputs, args, kwargs)):
            raise TraceError(
                f"{type(self).__name__} prepares data and cannot be part of a model: programs hold no strings. Call it "
                "with the data, and give `fit` what it returns."
            )
        if not self._tokens:
            raise NotBuiltError(f"{type(self).__name__} has no vocabulary yet: call `adapt` with data first.")
        return self.call(inputs)

    def _rows(self, data: Any) -> Iterator[Tokens]:
        """The tokens of each example of a batch: the entries along its last axis."""
        array = self._array(data)
        yield from self._lists(array.reshape(-1, array.shape[-1] if array.ndim > 1 else array.size))

    def _lists(self, array: np.ndarray) -> Iterator[Tokens]:
        return (self._flat(row) for row in array)

    def _flat(self, values: Any) -> list[Any]:
        """The entries, as plain Python values."""
        return self._array(values).reshape(-1).tolist()

    def _array(self, values: Any) -> np.ndarray:
        raise NotImplementedError

    def _index(self, token: Any) -> int:
        """The index of a token; -1 for the mask in vectors.

        Raises:
            DataError: the token is unknown, and there is no index for unknown tokens.
        """
        if self.mask_token is not None and token == self.mask_token:
            return 0 if self.output_mode == "int" else -1
        found = self._indices.get(token)
        if found is None:
            if not self.num_oov_indices:
                raise DataError(
                    f"{type(self).__name__}: {token!r} is not in the vocabulary, and num_oov_indices=0 gives it no index."
                )
            found = self._first_unknown + (self._bucket(token) if self.num_oov_indices > 1 else 0)
        return found

    def _bucket(self, token: Any) -> int:
        """The number of an unknown token's index among those of unknown tokens."""
        raise NotImplementedError

    def _vectors(self, rows: Iterable[Tokens], count: int) -> np.ndarray:
        """One vector per example, for the modes of vectors."""
        depth = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self.vocabulary_size()
        vectors = np.zeros((count, depth), numpy_dtype(settings.floatx()))
        for vector, tokens in zip(vectors, rows, strict=True):
            indices = np.array([i for i in map(self._index, tokens) if i >= 0], np.intp)
            if self.output_mode in ("count", "tf_idf"):
                np.add.at(vector, indices, 1)
            else:
                vector[indices] = 1
        if self.output_mode == "tf_idf":
            assert self._idf is not None  # noqa: S101 - made with the vocabulary
            vectors[:, : len(self._idf)] *= self._idf
        return vectors

    def call(self, inputs: Any) -> np.ndarray:
        """The indices, with the shape of the inputs, or vectors.

        Args:
            inputs: tokens, of any shape.
        """
        array = self._array(inputs)
        if self.output_mode == "int":
            return np.array([*map(self._index, self._flat(array))], np.int32).reshape(array.shape)
        if self.output_mode == "one_hot":
            shape = array.shape[:-1] if array.ndim > 1 and array.shape[-1] == 1 else array.shape
            return self._vectors(self._lists(array.reshape(-1, 1)), array.size).reshape(*shape, -1)
        rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
        return self._vectors(self._lists(rows), len(rows)).reshape(*array.shape[:-1], -1)


def _batches(data: Any) -> Iterator[Any]:
    """The argument of `adapt` as batches; a vector becomes a column."""
    if hasattr(data, "shape") or hasattr(data, "__array__") or isinstance(data, list | tuple):
        array = np.asarray(data)
        return iter([array[:, None] if array.ndim == 1 else array])
    if not isinstance(data, Iterable):
        raise DTypeError(f"adapt: data must be an array, a list or an iterable of batches, got {type(data).__name__}.")
    return (batch[0] if isinstance(batch, tuple) else batch for batch in data)


def decoded(values: Any, encoding: str = "utf-8") -> np.ndarray:
    """Strings, or bytes of an encoding, as an array of strings.

    Raises:
        DTypeError: an entry is neither a string nor bytes.
    """
    array = np.asarray(values)
    if array.dtype.kind == "S":
        return np.char.decode(array, encoding)
    if array.dtype.kind == "O":
        flat = [x.decode(encoding) if isinstance(x, bytes) else x for x in array.reshape(-1)]
        if not all(isinstance(x, str) for x in flat):
            raise DTypeError("expected strings, got other objects.")
        return np.array(flat, object).reshape(array.shape)
    if array.dtype.kind not in "UT" and array.size:
        raise DTypeError(f"expected strings, got {array.dtype}.")
    return array


class StringLookup(Vocabulary):
    """Map strings to their indices in a vocabulary, or to vectors; inverted, map indices to strings.

    Input: strings or bytes of any shape; output: an array of the same shape for "int", otherwise of vectors. It
    prepares data on the host and cannot be part of a model: call it with data, and give `fit` what it returns.

    Args:
        max_tokens: largest number of indices, including those of the mask and of unknown strings; None for no limit.
        num_oov_indices: 1 for one index for all unknown strings; 0 to raise an error for them.
        mask_token: string with index 0, or None.
        oov_token: entry of the vocabulary for unknown strings.
        vocabulary: the strings, in order, or the path of a text file with one per line; None to learn it by `adapt`.
        idf_weights: with `vocabulary` and "tf_idf", the weight of each string.
        invert: whether to map indices to strings.
        output_mode: "int" (indices, int32), "one_hot" (one vector per string), "multi_hot" (one vector per example,
            with 1 for every string that occurs), "count" (how often it occurs) or "tf_idf" (the count times the inverse
            document frequency).
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many strings there are.
        encoding: encoding of bytes.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: an argument is out of range, or the vocabulary is empty or has duplicates.
        NotBuiltError: in a call, if there is no vocabulary yet.
        DataError: in a call, if a string is unknown and `num_oov_indices` is 0.

    Example:
        >>> from lamella.layers import StringLookup
        >>> layer = StringLookup(vocabulary=["a", "b"])
        >>> layer([["a", "c"], ["b", "b"]]).tolist(), layer.get_vocabulary()
        ([[1, 0], [2, 2]], ['[UNK]', 'a', 'b'])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        if num_oov_indices > 1:
            raise ArgumentError(
                f"StringLookup: num_oov_indices must be 0 or 1, got {num_oov_indices}: unknown strings are not hashed."
            )
        self._inverts, self.encoding = bool(invert), encoding
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            output_mode,
            pad_to_max_tokens,
            **kwargs,
        )
        self.invert = _inverting(self, invert)

    def _array(self, values: Any) -> np.ndarray:
        return decoded(values, self.encoding)

    def call(self, inputs: Any) -> np.ndarray:
        """The indices or vectors of strings, or, inverted, the strings of indices.

        Args:
            inputs: strings or bytes, of any shape; or integers.
        """
        return _tokens_of(self, inputs) if self.invert else super().call(inputs)


class IntegerLookup(Vocabulary):
    """Map integers to their indices in a vocabulary, or to vectors; inverted, map indices to integers.

    Input: integers of any shape; output: an array of the same shape for "int", otherwise of vectors. It prepares data
    on the host and cannot be part of a model: call it with data, and give `fit` what it returns.

    Args:
        max_tokens: largest number of indices, including those of the mask and of unknown integers; None for no limit.
        num_oov_indices: number of indices for unknown integers, which are distributed by their remainder; 0 to raise an
            error for them.
        mask_token: integer with index 0, or None.
        oov_token: entry of the vocabulary for unknown integers.
        vocabulary: the integers, in order, or the path of a text file with one per line; None to learn it by `adapt`.
        vocabulary_dtype: "int64" or "int32", dtype of the output of an inverted layer.
        idf_weights: with `vocabulary` and "tf_idf", the weight of each integer.
        invert: whether to map indices to integers of the vocabulary.
        output_mode: "int" (indices, int32), "one_hot" (one vector per integer), "multi_hot" (one vector per example,
            with 1 for every integer that occurs), "count" (how often it occurs) or "tf_idf" (the count times the
            inverse document frequency).
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many integers there are.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: an argument is out of range, or the vocabulary is empty or has duplicates.
        NotBuiltError: in a call, if there is no vocabulary yet.
        DataError: in a call, if an integer is unknown and `num_oov_indices` is 0.

    Example:
        >>> from lamella.layers import IntegerLookup
        >>> layer = IntegerLookup(vocabulary=[12, 36])
        >>> layer([[12, 7], [36, 36]]).tolist(), layer.get_vocabulary()
        ([[1, 0], [2, 2]], [-1, 12, 36])
    """

    kind = int

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        self._inverts = bool(invert)
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            output_mode,
            pad_to_max_tokens,
            **kwargs,
        )
        self.vocabulary_dtype = choice("vocabulary_dtype", vocabulary_dtype, ["int32", "int64"], self)
        self.invert = _inverting(self, invert)

    def _array(self, values: ArrayLike) -> np.ndarray:
        array = np.asarray(values)
        if array.dtype.kind not in "iu" and array.size:
            raise DTypeError(f"IntegerLookup: expected integers, got {array.dtype}.")
        return array.astype(np.int64)

    def _bucket(self, token: int) -> int:
        return token % self.num_oov_indices

    def call(self, inputs: Any) -> np.ndarray:
        """The indices or vectors of integers, or, inverted, the integers of indices.

        Args:
            inputs: integers, of any shape.
        """
        if not self.invert:
            return super().call(inputs)
        return _tokens_of(self, inputs).astype(self.vocabulary_dtype)


def _inverting(layer: Vocabulary, invert: bool) -> bool:
    if invert and layer.output_mode != "int":
        raise ArgumentError(f"{type(layer).__name__}: invert=True needs output_mode='int', got {layer.output_mode!r}.")
    return bool(invert)


def _tokens_of(layer: Vocabulary, indices: Any) -> np.ndarray:
    """The tokens of indices; the token for unknown ones for indices outside the vocabulary."""
    array = np.asarray(indices)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{type(layer).__name__}: expected integers, got {array.dtype}.")
    tokens = layer.get_vocabulary()
    known = [tokens[i] if 0 <= i < len(tokens) else layer.oov_token for i in array.reshape(-1).tolist()]
    return np.array(known).reshape(array.shape)
