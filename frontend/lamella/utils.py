"""Small helpers for scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.absent import no_attribute
from lamella.config import disable_interactive_logging as disable_interactive_logging
from lamella.config import enable_interactive_logging as enable_interactive_logging
from lamella.config import is_interactive_logging_enabled as is_interactive_logging_enabled
from lamella.core.registration import deserialize_keras_object as deserialize_keras_object
from lamella.core.registration import get_custom_objects as get_custom_objects
from lamella.core.registration import get_registered_name as get_registered_name
from lamella.core.registration import get_registered_object as get_registered_object
from lamella.core.registration import register_keras_serializable as register_keras_serializable
from lamella.core.registration import serialize_keras_object as serialize_keras_object
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.files.atomic import write_atomically
from lamella.host_random import set_random_seed as set_random_seed
from lamella.ir import settings
from lamella.ir.spec import dtype_name, numpy_dtype
from lamella.names import custom_objects as custom_object_scope
from lamella.names import deprecated
from lamella.training.pydataset import PyDataset as PyDataset
from lamella.training.train_step import unpack_x_y_sample_weight as unpack_x_y_sample_weight

if TYPE_CHECKING:
    from lamella.drawing import Picture

CustomObjectScope = custom_object_scope

Sequence = PyDataset
"""Keras 2's name of `PyDataset`."""


def to_categorical(y: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows for integer labels: `(...)` to `(..., num_classes)`; a trailing axis of 1 goes.

    Args:
        y: integers from 0.
        num_classes: the number of classes; by default the largest label and one.

    Raises:
        ValueError: a label is negative or too large.
    """
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    labels = labels.astype(np.int64)
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        raise DataError(f"labels must lie in 0..{count - 1}, got {labels.min()}..{labels.max()}.")
    return np.eye(count, dtype=numpy_dtype(settings.floatx()))[labels]


def normalize(x: Any, axis: int = -1, order: int | float = 2) -> np.ndarray:
    """x / ||x||, the norm of each vector along `axis`; a vector of zeros stays.

    Args:
        x: numbers.
        axis: the axis of the vectors.
        order: of the norm: 2 for the Euclidean one, 1 for the sum of sizes, `inf` for the largest.
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array (sequences, maxlen, ...), filled up with `value`.

    Args:
        sequences: a list of sequences, whose entries are numbers or arrays of one shape.
        maxlen: the length; by default that of the longest sequence. Longer ones are cut.
        dtype: of the result; `object` for strings.
        padding: where a short sequence is filled up: "pre" or "post".
        truncating: where a long one is cut: "pre" or "post".
        value: what fills up.

    Raises:
        ValueError: something is no sequence, entries differ in shape, or an option is unknown.
    """
    for name, chosen in (("padding", padding), ("truncating", truncating)):
        if chosen not in ("pre", "post"):
            raise ValueError(f"{name} is 'pre' or 'post', got {chosen!r}.")
    longest = max(_lengths(sequences, "pad_sequences"), default=0)
    kind = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OSU":
        raise ValueError(f"the value {value!r} is no {kind.name}: use dtype=object for strings.")
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
    """A batch of sequences padded to one of few lengths, and the mask of the entries that were given.

    A model with a free dimension compiles its step once for each length, so batches padded to their own longest sequence
    compile as many steps as there are lengths. The mask is the `sample_weight` of targets with a time axis; `Embedding(...,
    mask_zero=True)` and `Masking` find the padding in the array itself.

    Args:
        sequences: a batch: a list of sequences, or an array (batch, time, ...).
        buckets: the lengths: all multiples of a number, or the numbers given. The shortest that holds every sequence
            of the batch is taken.
        dtype: of the array; by default that of the sequences.
        padding: where a short sequence is filled up: "pre" or "post", as in `pad_sequences`.
        value: what fills up.

    Returns:
        (padded, mask) of shapes (batch, length, ...) and (batch, length); the mask is False where `value` fills up.

    Raises:
        ValueError: `buckets` are not positive integers, a sequence is longer than all of them, or the sequences cannot be
            padded.

    Examples:
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
    """The lengths of sequences, or an error that names the function they were given to."""
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


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What `fit` takes for a batch: `x`, `(x, y)` or `(x, y, sample_weight)`, the shortest that holds all.

    >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2)
    (1, (1, 2))

    Args:
        x: the inputs; a tuple or list of inputs is put into a tuple.
        y: the targets, or None.
        sample_weight: the weights of the rows, or None.
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, tuple | list) else x


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given as a string, a NumPy dtype or a framework's; None is `floatx`.

    >>> standardize_dtype(np.float64), standardize_dtype(None)
    ('float64', 'float32')

    Args:
        dtype: the dtype.

    Raises:
        DTypeError: lamella does not compute with it.
    """
    return settings.floatx() if dtype is None else dtype_name(dtype)


def clear_session() -> None:
    """Nothing to clear: names and numbers belong to a model, not to the process. Kept so that old scripts run."""


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Picture:
    """Write a picture of a model to a file: a box for each call of a layer and each operation, and what feeds them.

    Nothing is computed, and Graphviz is not needed. A layer that is called several times has as many boxes. Of a subclass
    with its own `call` the layers are shown, and no lines.

    >>> import os, tempfile
    >>> from lamella import Sequential, utils
    >>> from lamella.layers import Dense, Input
    >>> model = Sequential([Input((3,)), Dense(2)], name="small")
    >>> utils.plot_model(model, os.path.join(tempfile.mkdtemp(), "small.svg"), show_shapes=True)
    <picture of 'small', 164 x 99>

    Args:
        model: the model.
        to_file: the file. ".svg" needs nothing, ".png" needs matplotlib.
        show_shapes: whether boxes tell the shapes of inputs and outputs.
        show_dtype: whether they tell the dtypes of the outputs.
        show_layer_names: whether they tell the layers' names beside their classes.
        rankdir: where the picture begins and ends: "TB" (top to bottom), "BT", "LR" or "RL".
        expand_nested: whether models within the model are frames around their own layers.
        dpi: pixels per inch, for PNG.
        show_layer_activations: whether boxes tell the layers' activations.
        show_trainable: whether boxes of layers with weights tell if these are trainable.

    Returns:
        The picture, which a notebook shows.

    Raises:
        ArgumentError: the ending is another, the direction is unknown, the model has no layers, or the PNG would be too
            large; nothing is written then.
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    from lamella.models.diagram import Options, picture_of

    ending = os.path.splitext(to_file)[1].lower()  # noqa: PTH122 - it may be a string
    if ending not in (".svg", ".png"):
        raise ArgumentError(f"to_file={os.fspath(to_file)!r}: the ending says what to write: .svg or .png.")
    picture = picture_of(
        model,
        Options(
            show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, show_layer_activations, show_trainable
        ),
    )
    write_atomically(to_file, picture.png(dpi) if ending == ".png" else picture.svg().encode())
    return picture


__path__: list[str] = []  # so that `import lamella.utils.np_utils` comes to `lamella.compat.modules`


def __getattr__(name: str) -> Any:
    """`from keras.utils import np_utils` of old tutorials: its functions are here today."""
    if name == "np_utils":
        deprecated("utils.np_utils", "lamella.utils")
        return sys.modules[__name__]
    raise no_attribute(__name__, name, __all__)


__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "is_interactive_logging_enabled",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "pad_to_buckets",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "standardize_dtype",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
