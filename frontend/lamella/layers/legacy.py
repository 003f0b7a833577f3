"""The words of Keras 1 (and 2) that old tutorials use, translated with a `DeprecationWarning` naming today's word."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import did_you_mean
from lamella.names import deprecated

_WEIGHTS = {
    "output_dim": "units",
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_WINDOW = {"border_mode": "padding", "dim_ordering": "data_format", "subsample": "strides"}
_RECURRENT = {
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "forget_bias_init": "unit_forget_bias",
}

WORDS: dict[str, dict[str, str]] = {
    "Dense": _WEIGHTS,
    "Conv2D": {**_WEIGHTS, **_WINDOW, "nb_filter": "filters", "atrous_rate": "dilation_rate"},
    "MaxPooling2D": _WINDOW,
    "AveragePooling2D": _WINDOW,
    "GlobalMaxPooling2D": {"dim_ordering": "data_format"},
    "GlobalAveragePooling2D": {"dim_ordering": "data_format"},
    "Flatten": {"dim_ordering": "data_format"},
    "Dropout": {"p": "rate"},
    "Reshape": {"dims": "target_shape"},
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    "LSTM": {**_WEIGHTS, **_RECURRENT},
}
"""For each layer the words of Keras 1 and what they are called today."""

_VALUES = {
    "data_format": {"tf": "channels_last", "th": "channels_first", "default": None},
    "unit_forget_bias": {"one": True, "zero": False},
}


def translate(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments in today's words.

    Raises:
        ValueError: `Conv2D(f, k, k)`, which means a kernel size in Keras 1 and strides today; both spellings are given.
        TypeError: an old and a new word for the same argument.
    """
    kwargs = dict(kwargs)
    words = _words(cls)
    old = [word for word in kwargs if word in words] + [w for w in ("nb_row", "nb_col") if w in kwargs]
    if "Conv2D" in _names(cls):
        args, kwargs = _kernel_rows_and_columns(cls, args, kwargs, bool(old))
    for word in old:
        if word not in kwargs:
            continue
        new, value = words[word], kwargs.pop(word)
        if new in kwargs:
            raise TypeError(f"{cls.__name__} got both {word!r} and {new!r}, two words for one argument.")
        if isinstance(value, str) and new in _VALUES:
            value = _VALUES[new].get(value, value)
        kwargs[new] = value
        deprecated(f"{word}=", f"{new}=")
    if "BatchNormalization" in _names(cls) and "mode" in kwargs:
        if kwargs.pop("mode") != 0:
            raise ValueError("BatchNormalization: only mode 0 of Keras 1 exists today; drop `mode=`.")
        deprecated("mode=", "nothing (mode 0 is the only one)")
    if "LSTM" in _names(cls) and "consume_less" in kwargs:
        kwargs.pop("consume_less")
        deprecated("consume_less=", "nothing (lamella chooses the fast way)")
    return args, kwargs


def hint(cls: type, kwargs: dict[str, Any]) -> str:
    """What to say about keyword arguments that the layer does not take."""
    from lamella.layers.base import parameters

    known = parameters(cls) | {"name", "trainable", "dtype", "input_shape"}
    unknown = [word for word in kwargs if word not in known]
    return f" {unknown[0]!r}: {did_you_mean(unknown[0], known)}" if unknown else ""


def _names(cls: type) -> set[str]:
    return {base.__name__ for base in cls.__mro__}


def _words(cls: type) -> dict[str, str]:
    return {old: new for base in reversed(cls.__mro__) for old, new in WORDS.get(base.__name__, {}).items()}


def _is_size(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _kernel_rows_and_columns(
    cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], old_words: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """`Convolution2D(filters, rows, columns)` of Keras 1 as `Conv2D(filters, (rows, columns))`."""
    if "nb_row" in kwargs or "nb_col" in kwargs:
        kwargs["kernel_size"] = (kwargs.pop("nb_row"), kwargs.pop("nb_col"))
        deprecated("nb_row=, nb_col=", "kernel_size=")
        return args, kwargs
    if len(args) < 3 or not (_is_size(args[1]) and _is_size(args[2])):
        return args, kwargs
    filters, rows, columns = args[:3]
    if old_words or cls.__name__ == "Convolution2D":
        deprecated(f"{cls.__name__}(filters, rows, columns)", f"Conv2D({filters}, ({rows}, {columns}))")
        return (filters, (rows, columns), *args[3:]), kwargs
    if rows == columns and rows > 1:
        raise ValueError(
            f"Conv2D({filters}, {rows}, {columns}) is a {rows}x{columns} kernel in Keras 1 and strides of {columns} today. "
            f"Write Conv2D({filters}, ({rows}, {columns})) for the kernel, or "
            f"Conv2D({filters}, {rows}, strides={columns}) for the strides."
        )
    return args, kwargs
