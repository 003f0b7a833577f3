"""Settings of the process, names and dtypes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lamella.config import backend as backend
from lamella.config import epsilon as epsilon
from lamella.config import floatx as floatx
from lamella.config import image_data_format as image_data_format
from lamella.config import set_epsilon as set_epsilon
from lamella.config import set_floatx as set_floatx
from lamella.config import set_image_data_format as set_image_data_format
from lamella.core import context
from lamella.errors import ArgumentError
from lamella.ir.spec import DTYPES, is_float, promote
from lamella.names import deprecated
from lamella.utils.arrays import standardize_dtype as standardize_dtype
from lamella.utils.graphs import is_keras_tensor as is_keras_tensor

_ORDERINGS = {"tf": "channels_last", "th": "channels_first"}
_UIDS: Counter[str] = Counter()


def clear_session() -> None:
    """Begin the numbers of `get_uid` again; there is no graph to clear: names and weights belong to models."""
    reset_uids()


def get_uid(prefix: str = "") -> int:
    """A number that counts the calls with this prefix, from 1.

    >>> reset_uids()
    >>> get_uid("dense"), get_uid("dense"), get_uid("conv")
    (1, 2, 1)

    Args:
        prefix: any string.
    """
    _UIDS[prefix] += 1
    return _UIDS[prefix]


def reset_uids() -> None:
    """Begin the numbers of `get_uid` again."""
    _UIDS.clear()


def image_dim_ordering() -> str:
    """Keras 1's word for `image_data_format`: "tf" for channels last, "th" for channels first."""
    deprecated("image_dim_ordering", "image_data_format")
    return next(word for word, layout in _ORDERINGS.items() if layout == image_data_format())


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Keras 1's `set_image_data_format`.

    Args:
        dim_ordering: "tf" for channels last, "th" for channels first.

    Raises:
        ArgumentError: it is neither.
    """
    deprecated("set_image_dim_ordering", "set_image_data_format")
    if dim_ordering not in _ORDERINGS:
        raise ArgumentError(f"set_image_dim_ordering: dim_ordering must be 'tf' or 'th', got {dim_ordering!r}.")
    set_image_data_format(_ORDERINGS[dim_ordering])


def learning_phase() -> int:
    """1 where a layer is being called in training, else 0. Among the inputs of `function` it stands for that flag."""
    running = context.current()
    return int(bool(running is not None and running.training))


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, else `alt`; each may be a function without arguments, of which one alone is called.

    >>> in_train_phase(1, 2), in_train_phase(1, lambda: 3, training=0), in_train_phase(1, 2, training=1)
    (2, 3, 1)

    Args:
        x: what is returned in training.
        alt: what is returned otherwise.
        training: whether it is training; None asks `learning_phase`. It is known when a layer is traced.
    """
    chosen = x if (learning_phase() if training is None else training) else alt
    return chosen() if callable(chosen) and not hasattr(chosen, "shape") else chosen


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`alt` in training, else `x`: `in_train_phase` the other way round.

    Args:
        x: what is returned outside training.
        alt: what is returned in training.
        training: whether it is training; None asks `learning_phase`.
    """
    return in_train_phase(alt, x, training)


def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of floats.

    >>> is_float_dtype("bfloat16"), is_float_dtype("int32")
    (True, False)

    Args:
        dtype: a dtype or its name.
    """
    return is_float(standardize_dtype(dtype))


def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of integers, with or without sign.

    >>> is_int_dtype("uint8"), is_int_dtype("bool")
    (True, False)

    Args:
        dtype: a dtype or its name.
    """
    return DTYPES[standardize_dtype(dtype)][0] in "iu"


def is_sparse(tensor: Any) -> bool:
    """False: lamella has no sparse tensors.

    Args:
        tensor: anything.
    """
    return False


def result_type(*dtypes: Any) -> str:
    """The dtype in which operands of these dtypes meet; Python's `int` and `float` give way to any other.

    >>> result_type("int32", "float16"), result_type("int8", int), result_type(int, float)
    ('float16', 'int8', 'float32')

    Args:
        dtypes: dtypes, their names, or Python's `int`, `float` and `bool`.
    """
    weak = [kind for kind in dtypes if kind in (int, float, bool)]
    strong = [standardize_dtype(kind) for kind in dtypes if kind not in (int, float, bool)]
    if not strong:
        return floatx() if float in weak or not weak else "int32" if int in weak else "bool"
    found = promote(*strong)
    if float in weak and not is_float(found):
        return floatx()
    return "int32" if int in weak and found == "bool" else found
