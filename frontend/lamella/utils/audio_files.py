"""Data sets of the WAV files in a folder."""

from __future__ import annotations

import math
import os
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError
from lamella.utils.datasets import checked_batch_size, checked_count
from lamella.utils.directories import Files, LabeledFiles, Options, datasets_of

MOST_TIMES = 256
"""How many times as many samples per second a resampled file may have, or as few."""


class AudioFiles(LabeledFiles):
    """WAV files, read when their batch is needed.

    Args:
        files: the files.
        label_mode: how labels are encoded.
        batch_size: files per batch, or None.
        sampling_rate: samples per second of the result, or None for those of the files.
        length: samples of the result, or None for those of the longest file of the batch.
        shuffle: whether each pass takes the files in another order.
        seed: of the orders.

    Attributes:
        file_paths: the paths, in the order before shuffling.
        class_names: the names of the classes, or None.
    """

    def __init__(
        self,
        files: Files,
        label_mode: str | None,
        batch_size: int | None,
        sampling_rate: int | None,
        length: int | None,
        shuffle: bool,
        seed: int,
    ) -> None:
        super().__init__(files, label_mode, batch_size, shuffle, seed)
        self._sampling_rate, self._length = sampling_rate, length

    def read(self, paths: list[str]) -> np.ndarray:
        """These files, float32 `(batch, samples, channels)`, zeros behind shorter ones."""
        sounds = [self._sound(path) for path in paths]
        channels = sounds[0].shape[1]
        x = np.zeros((len(sounds), self._length or max(map(len, sounds)), channels), np.float32)
        for path, row, sound in zip(paths, x, sounds, strict=True):
            if sound.shape[1] != channels:
                raise DataError(
                    f"the audio file {path!r} has {sound.shape[1]} channels, and {paths[0]!r} in the same batch {channels}; "
                    "they must be alike."
                )
            row[: len(sound)] = sound[: len(row)]
        return x

    def _sound(self, path: str) -> np.ndarray:
        sound, rate = read_wav(path)
        wanted = rate if self._sampling_rate is None else self._sampling_rate
        if max(rate, wanted) > MOST_TIMES * min(rate, wanted):  # a header of a few bytes would ask for hours
            raise DataError(
                f"the WAV file {path!r} has {rate} samples per second, and sampling_rate={wanted}: one may be at most "
                f"{MOST_TIMES} times the other."
            )
        return resampled(sound, rate, wanted)


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Return a data set of the `.wav` files in a folder, by default with one class per subfolder.

    Files of PCM samples with 8, 16, 24 or 32 bits are read when their batch is needed.

    Args:
        directory: the folder.
        labels: "inferred" numbers the subfolders in alphabetical order; None for no labels; or a list of one integer
            per file, in alphabetical order of the paths.
        label_mode: "int" for int32 labels of shape `(batch,)`, "categorical" for one-hot float32 `(batch, classes)`,
            "binary" for float32 `(batch, 1)` of 0 and 1, None for no labels.
        class_names: the subfolders to use, in the order of their class indices.
        batch_size: sounds per batch; None yields single sounds.
        sampling_rate: the sampling rate in Hz to which files are resampled; None keeps the rate of each file.
        output_sequence_length: the number of samples of each sound, which is truncated or padded with zeros; None is
            that of the longest sound of the batch.
        ragged: must be False; ragged arrays are not supported.
        shuffle: whether each pass shuffles the files; otherwise they are in alphabetical order.
        seed: the integer seed of the shuffling and of the split; required to split shuffled files.
        validation_split: the fraction of the files for validation.
        subset: "training", "validation", or "both" for a list of two data sets; only with `validation_split`.
        follow_links: whether symbolic links to folders are followed.
        verbose: whether to print the numbers of files and classes.

    Returns:
        A `PyDataset` with an attribute `class_names` and methods `map`, `take` and `skip`, or a list of two. Its
        batches are `(sounds, labels)`, or the sounds alone: float32 `(batch, samples, channels)` from -1 to 1.

    Raises:
        ArgumentError: an option is unknown or contradicts another one, or `directory` is not a folder.
        DataError: the folder has no WAV files, labels do not match, or (when it is read) a file is damaged or has
            another number of channels than the previous ones in its batch, or `sampling_rate` differs from that of a
            file by a factor of more than 256.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with wave.open(str(pathlib.Path(folder.name, "a.wav")), "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", None))
        ...     file.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
        >>> dataset = audio_dataset_from_directory(folder.name, labels=None)
        Found 1 files.
        >>> dataset[0].tolist()
        [[[0.0], [0.5], [-1.0]]]
        >>> folder.cleanup()
    """
    if ragged:
        raise ArgumentError(
            "ragged=True needs arrays of rows of several lengths, which lamella does not have: leave it out, and the shorter "
            "sounds of a batch are filled up with zeros."
        )
    size = checked_batch_size(batch_size)
    rate = None if sampling_rate is None else checked_count("sampling_rate", sampling_rate)
    length = None if output_sequence_length is None else checked_count("output_sequence_length", output_sequence_length)
    options = Options(labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, verbose)

    def made(part: Files, shuffled: bool, seed: int) -> AudioFiles:
        return AudioFiles(part, label_mode, size, rate, length, shuffled, seed)

    return datasets_of(directory, (".wav",), options, "WAV files", made)


def read_wav(path: str) -> tuple[np.ndarray, int]:
    """Return the samples of a WAV file, float32 `(samples, channels)` from -1 to 1, and its sampling rate in Hz.

    Args:
        path: the path of the file.

    Raises:
        DataError: the file is damaged, or not PCM.
    """
    try:
        with wave.open(path, "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
            octets = frames * channels * width
            if octets > os.path.getsize(path) or not rate:  # noqa: PTH202 - the path is a string
                raise EOFError(f"it has no {octets} bytes of samples")
            raw = file.readframes(frames)
    except (wave.Error, EOFError, RuntimeError, ValueError) as error:  # what `wave` says of damaged chunks
        raise DataError(f"{path!r} is not a WAV file of PCM samples: {str(error) or 'it ends early'}.") from None
    if len(raw) != octets or width > 4:
        raise DataError(
            f"the WAV file {path!r} has {len(raw)} bytes of samples of {8 * width} bits, expected {octets}."
        )
    if width == 1:  # the only width without a sign
        samples = np.frombuffer(raw, np.uint8).astype(np.float32) - 128.0
    elif width == 3:
        # the upper three bytes of 32 bits
        words = np.zeros((len(raw) // 3, 4), np.uint8)
        words[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        samples, width = words.view("<i4")[:, 0].astype(np.float32), 4
    else:
        samples = np.frombuffer(raw, f"<i{width}").astype(np.float32)
    return (samples / 2.0 ** (8 * width - 1)).astype(np.float32).reshape(-1, channels), rate


_CROSSINGS = 16
"""Zeros of the filter on each side."""
_AT_ONCE = 2**20
"""Weights of the filter in memory."""


def resampled(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Return a sound at another sampling rate, by a band-limited filter.

    Args:
        sound: the samples, of shape `(samples, channels)`.
        rate: the sampling rate in Hz.
        wanted: the sampling rate of the result.

    References:
        J. O. Smith, "Digital audio resampling", https://ccrma.stanford.edu/~jos/resample/

    Example:
        >>> resampled(np.ones((8, 1), "float32"), 8000, 4000).shape
        (4, 1)
    """
    if rate == wanted or not len(sound):
        return sound
    cutoff = min(1.0, wanted / rate)
    half = math.ceil(_CROSSINGS / cutoff)
    result = np.empty((math.ceil(len(sound) * wanted / rate), sound.shape[1]), np.float32)
    step = max(_AT_ONCE // (2 * half), 1)
    for start in range(0, len(result), step):
        numbers = np.arange(start, min(start + step, len(result)), dtype=np.int64)
        first = numbers * rate // wanted
        taps = np.arange(1 - half, half + 1)
        # how far each sample is from the time of the result, without rounding of large numbers
        away = (numbers * rate % wanted / wanted)[:, None] - taps
        window = np.i0(8.6 * np.sqrt(np.maximum(1 - (away / half) ** 2, 0)))
        weights = np.sinc(cutoff * away) * window * (np.abs(away) < half)
        weights /= weights.sum(1, keepdims=True)
        at = np.clip(first[:, None] + taps, 0, len(sound) - 1)  # edge values are repeated
        for channel in range(sound.shape[1]):
            result[numbers, channel] = np.einsum("nt,nt->n", weights, sound[at, channel].astype(np.float64))
    return result
