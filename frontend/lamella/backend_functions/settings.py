"""Settings of the process, names and dtypes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike

_ORDERINGS = {"tf": "channels_last", "th": "channels_first"}
_UIDS: Counter[str] = Counter()


def clear_session() -> None:
    """Restart the counters of `get_uid`; there is no graph to clear, because names and weights belong to models.

    Example:
        >>> from lamella import backend as K
        >>> K.clear_session()
        >>> K.get_uid("dense")
        1
    """
    reset_uids()


def get_uid(prefix: str = "") -> int:
    """The number of calls with this prefix so far, from 1.

    Args:
        prefix: any string.

    Returns:
        A Python integer.

    Example:
        >>> from lamella import backend as K
        >>> K.reset_uids()
        >>> K.get_uid("dense"), K.get_uid("dense"), K.get_uid("conv")
        (1, 2, 1)
    """
    _UIDS[prefix] += 1
    return _UIDS[prefix]


def reset_uids() -> None:
    """Restart the counters of `get_uid`.

    Example:
        >>> from lamella import backend as K
        >>> K.reset_uids()
        >>> K.get_uid("dense")
        1
    """
    _UIDS.clear()


def image_dim_ordering() -> str:
    """The name that Keras 1 has for `image_data_format`: "tf" for channels last, "th" for channels first.

    It warns that the name is deprecated.

    Returns:
        "tf" or "th".

    Example:
        >>> import warnings
        >>> from lamella import backend as K
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     K.image_dim_ordering()
        'tf'
    """
    deprecated("image_dim_ordering", "image_data_format")
    return next(word for word, layout in _ORDERINGS.items() if layout == image_data_format())


def set_image_dim_ordering(dim_ordering: str) -> None:
    """`set_image_data_format` under the name that it has in Keras 1.

    It warns that the name is deprecated.

    Args:
        dim_ordering: "tf" for channels last, "th" for channels first.

    Raises:
        ArgumentError: it is neither.

    Example:
        >>> import warnings
        >>> from lamella import backend as K
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     K.set_image_dim_ordering("tf")
        >>> K.image_data_format()
        'channels_last'
    """
    deprecated("set_image_dim_ordering", "set_image_data_format")
    if dim_ordering not in _ORDERINGS:
        raise ArgumentError(f"set_image_dim_ordering: dim_ordering must be 'tf' or 'th', got {dim_ordering!r}.")
    set_image_data_format(_ORDERINGS[dim_ordering])


def learning_phase() -> int:
    """1 inside the `call` of a layer in training, else 0.

    Among the inputs of `function` it stands for the flag of training.

    Returns:
        A Python integer.

    Example:
        >>> from lamella import backend as K
        >>> K.learning_phase()
        0
    """
    running = context.current()
    return int(bool(running is not None and running.training))


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, else `alt`; of functions without arguments only the chosen one is called.

    Args:
        x: an array, or a function without arguments, for training.
        alt: an array, or a function without arguments, otherwise.
        training: whether it is training; None takes `learning_phase`. It is known when a layer is traced.

    Returns:
        The chosen array, or what the chosen function returns.

    Example:
        >>> from lamella import backend as K
        >>> K.in_train_phase(1, 2), K.in_train_phase(1, lambda: 3, training=0), K.in_train_phase(1, 2, training=1)
        (2, 3, 1)
    """
    chosen = x if (learning_phase() if training is None else training) else alt
    return chosen() if callable(chosen) and not hasattr(chosen, "shape") else chosen


def in_test_phase(x: ArrayLike, alt: ArrayLike, training: Any = None) -> Any:
    """`alt` in training, else `x`: `in_train_phase` with its arguments exchanged.

    Args:
        x: an array, or a function without arguments, outside of training.
        alt: an array, or a function without arguments, in training.
        training: whether it is training; None takes `learning_phase`.

    Returns:
        The chosen array, or what the chosen function returns.

    Example:
        >>> from lamella import backend as K
        >>> K.in_test_phase(1, 2), K.in_test_phase(1, 2, training=1)
        (1, 2)
    """
    return in_train_phase(alt, x, training)


def is_float_dtype(dtype: DTypeLike) -> bool:
    """Whether a dtype is a float dtype.

    Args:
        dtype: a dtype or its name.

    Returns:
        A Python bool.

    Example:
        >>> from lamella import backend as K
        >>> K.is_float_dtype("bfloat16"), K.is_float_dtype("int32")
        (True, False)
    """
    return is_float(standardize_dtype(dtype))


def is_int_dtype(dtype: DTypeLike) -> bool:
    """Whether a dtype is an integer dtype, signed or unsigned.

    Args:
        dtype: a dtype or its name.

    Returns:
        A Python bool.

    Example:
        >>> from lamella import backend as K
        >>> K.is_int_dtype("uint8"), K.is_int_dtype("bool")
        (True, False)
    """
    return DTYPES[standardize_dtype(dtype)][0] in "iu"


def is_sparse(tensor: ArrayLike) -> bool:
    """False: lamella has no sparse tensors.

    Args:
        tensor: any object.

    Returns:
        False.

    Example:
        >>> from lamella import backend as K
        >>> K.is_sparse([1, 2])
        False
    """
    return False


def result_type(*dtypes: Any) -> str:
    """The dtype that operands of these dtypes are promoted to; Python's `int` and `float` give way to any other.

    Args:
        *dtypes: dtypes, their names, or Python's `int`, `float` and `bool`.

    Returns:
        The name of a dtype; `floatx` without arguments.

    Example:
        >>> from lamella import backend as K
        >>> K.result_type("int32", "float16"), K.result_type("int8", int), K.result_type(int, float)
        ('float16', 'int8', 'float32')
    """
    weak = [kind for kind in dtypes if kind in (int, float, bool)]
    strong = [standardize_dtype(kind) for kind in dtypes if kind not in (int, float, bool)]
    if not strong:
        return floatx() if float in weak or not weak else "int32" if int in weak else "bool"
    found = promote(*strong)
    if float in weak and not is_float(found):
        return floatx()
    return "int32" if int in weak and found == "bool" else found
