"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError, ShapeError


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Pad or truncate sequences of different lengths, and return them as one array.

    Args:
        sequences: a list of sequences whose elements are numbers or arrays of one shape.
        maxlen: the length of the result; by default the length of the longest sequence.
        dtype: the dtype of the result; `object` for strings.
        padding: where short sequences are padded: "pre" (at the start) or "post" (at the end).
        truncating: where long sequences are truncated: "pre" or "post".
        value: the padding value.

    Returns:
        An array of shape `(len(sequences), maxlen, ...)`.

    Raises:
        ValueError: an element is not a sequence, elements differ in shape, or an option is unknown.

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, chosen in (("padding", padding), ("truncating", truncating)):
        if chosen not in ("pre", "post"):
            raise ValueError(f"{name} is 'pre' or 'post', got {chosen!r}.")
    longest = max(_lengths(sequences, "pad_sequences"), default=0)
    kind = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OSU":
        raise ValueError(f"the value {value!r} is not of dtype {kind.name}: use dtype=object for strings.")
    maxlen = longest if maxlen is None else int(maxlen)
    entries = [np.asarray(entry, kind) for entry in sequences]
    shape = next((entry.shape[1:] for entry in entries if len(entry)), ())
    padded = np.full((len(entries), maxlen, *shape), value, kind)
    for number, entry in enumerate(entries):
        if not len(entry) or not maxlen:
            continue
        if entry.shape[1:] != shape:
            raise ShapeError(f"sequence {number} has entries of shape {entry.shape[1:]}, those before it {shape}.")
        kept = entry[-maxlen:] if truncating == "pre" else entry[:maxlen]
        if padding == "pre":
            padded[number, maxlen - len(kept) :] = kept
        else:
            padded[number, : len(kept)] = kept
    return padded


def pad_to_buckets(
    sequences: Any,
    buckets: int | Iterable[int] = 32,
    dtype: Any = None,
    padding: str = "pre",
    value: Any = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Pad a batch of sequences to one of a few lengths; return it with the mask of entries that are not padding.

    A model with a free dimension compiles its step once per length, so batches that are padded to their longest
    sequence compile as many steps as there are lengths. The mask can be the `sample_weight` of targets with a time
    axis; `Embedding(..., mask_zero=True)` and `Masking` derive the mask from the array.

    Args:
        sequences: a batch: a list of sequences, or an array of shape `(batch, time, ...)`.
        buckets: the allowed lengths: all multiples of an integer, or a list of lengths. The shortest that fits every
            sequence of the batch is used.
        dtype: the dtype of the array; by default that of the sequences.
        padding: where short sequences are padded: "pre" or "post", as in `pad_sequences`.
        value: the padding value.

    Returns:
        `(padded, mask)` of shapes `(batch, length, ...)` and `(batch, length)`; the mask is False for padding.

    Raises:
        ValueError: `buckets` are not positive integers, a sequence is longer than all of them, or the sequences cannot
            be padded.

    Example:
        >>> padded, mask = pad_to_buckets([[1], [2, 3, 4], [5, 6]], buckets=4, padding="post")
        >>> padded.tolist()
        [[1, 0, 0, 0], [2, 3, 4, 0], [5, 6, 0, 0]]
        >>> mask.sum(axis=1).tolist()
        [1, 3, 2]
        >>> pad_to_buckets([[1] * 20], buckets=[8, 16, 32])[0].shape
        (1, 32)
    """
    lengths = _lengths(sequences, "pad_to_buckets")
    length = _bucket(lengths, buckets)
    if dtype is None:
        kinds = {np.asarray(entry).dtype for entry in sequences if len(entry)}
        dtype = np.result_type(*kinds) if kinds else "int32"
    padded = pad_sequences(sequences, length, dtype, padding, value=value)
    places, given = np.arange(length), np.array(lengths, int)[:, None]
    return padded, places < given if padding == "post" else places >= length - given


def _lengths(sequences: Any, what: str) -> list[int]:
    """The lengths of sequences.

    Raises:
        ArgumentError: an element is not a sequence; the message names the function `what`.
    """
    if not hasattr(sequences, "__len__"):
        raise ArgumentError(f"{what} takes a list of sequences, got {type(sequences).__name__}.")
    for entry in sequences:
        if not hasattr(entry, "__len__"):
            raise ArgumentError(f"{what} takes a list of sequences, and {entry!r} in it is none.")
    return [len(entry) for entry in sequences]


def _bucket(lengths: list[int], buckets: int | Iterable[int]) -> int:
    """The shortest bucket that holds sequences of these lengths."""
    longest = max(lengths, default=0)
    sizes = list(buckets) if isinstance(buckets, Iterable) else [buckets]
    if not sizes or any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in sizes):
        raise ArgumentError(f"buckets must be a positive integer or a list of them, got {buckets!r}.")
    if not isinstance(buckets, Iterable):
        return max(-(-longest // int(buckets)), 1) * int(buckets)
    if longest > max(sizes):
        raise DataError(
            f"sequence {lengths.index(longest)} has {longest} entries, and the longest bucket holds {max(sizes)}: add a "
            f"longer bucket, or cut the sequences with pad_sequences(sequences, maxlen={max(sizes)})."
        )
    return min(int(n) for n in sizes if n >= longest)
