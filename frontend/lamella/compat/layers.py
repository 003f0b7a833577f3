"""Translation of the layer arguments of Keras 1 and 2, with a `DeprecationWarning` that contains the current name."""

from __future__ import annotations

import inspect
from collections.abc import Collection
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

_CONVOLUTION = {**_WEIGHTS, **_WINDOW, "nb_filter": "filters", "atrous_rate": "dilation_rate"}
_DEPTHWISE = {**_CONVOLUTION, "init": "depthwise_initializer"}
_LENGTHS = {"filter_length": "kernel_size", "subsample_length": "strides"}
_POOL_LENGTHS = {"pool_length": "pool_size", "stride": "strides"}
_ORDER = {"dim_ordering": "data_format"}

WORDS: dict[str, dict[str, str]] = {
    "Dense": _WEIGHTS,
    "Conv": _CONVOLUTION,
    "Conv1D": _LENGTHS,
    "ConvTranspose": _CONVOLUTION,
    "Conv1DTranspose": _LENGTHS,
    "Depthwise": _DEPTHWISE,
    "SeparableConv1D": _LENGTHS,
    "Pooling": _WINDOW,
    "MaxPooling1D": _POOL_LENGTHS,
    "AveragePooling1D": _POOL_LENGTHS,
    "GlobalPooling": _ORDER,
    "Spatial": _ORDER,
    "UpSampling1D": {"length": "size"},
    "Flatten": _ORDER,
    "Dropout": {"p": "rate"},
    "SpatialDropout": _ORDER,
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "PReLU": {"init": "alpha_initializer"},
    "Embedding": {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "Reshape": {"dims": "target_shape"},
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    **{name: {**_WEIGHTS, **_RECURRENT} for name in ("CellRNN", "KernelCell")},
    "ConvLSTM": {**_CONVOLUTION, **_RECURRENT},
    "Model": {"input": "inputs", "output": "outputs"},
}
"""For each layer or base class the arguments of Keras 1 and their current names."""

_VALUES = {
    "data_format": {"tf": "channels_last", "th": "channels_first", "default": None},
    "unit_forget_bias": {"one": True, "zero": False},
}


_KERNEL_SIDES = {
    "Conv2D": ("nb_row", "nb_col"),
    "Conv2DTranspose": ("nb_row", "nb_col"),
    "SeparableConv2D": ("nb_row", "nb_col"),
    "ConvLSTM2D": ("nb_row", "nb_col"),
    "Conv3D": ("kernel_dim1", "kernel_dim2", "kernel_dim3"),
}
"""The convolutions with one argument per side of the kernel, which could also be passed by position."""

_OLD_NAMES = frozenset(
    ("Convolution2D", "Convolution2DTranspose", "Deconvolution2D", "SeparableConvolution2D", "AtrousConvolution2D")
)
"""The classes that always interpret `(filters, rows, columns)` as in Keras 1."""

REFUSED = {
    "lora_rank": "lamella has no low-rank adaptation (LoRA)",
    "lora_alpha": "lamella has no low-rank adaptation (LoRA)",
    "quantization_config": "lamella does not quantize",
    "gptq_unpacked_column_size": "lamella does not quantize",
    "sparse": "lamella has no sparse tensors",
    "ragged": "lamella has no ragged tensors",
    "bounding_box_format": "lamella's image layers take images alone, without boxes, labels or masks",
}
"""Unsupported arguments of Keras, and the reasons; their defaults (None, False) are accepted."""


def translate(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with their current names.

    Raises:
        ValueError: `Conv2D(f, k, k)`, which is a kernel size in Keras 1 and strides today; the message has both spellings.
        TypeError: an argument is given under its former and under its current name.
    """
    kwargs = dict(kwargs)
    for word in [word for word in kwargs if word in REFUSED]:
        if kwargs.pop(word):
            raise ValueError(f"{cls.__name__}: `{word}` is not supported: {REFUSED[word]}.")
    words = _words(cls)
    old = [word for word in kwargs if word in words and word not in inspect.signature(cls.__init__).parameters]
    for name, sides in _KERNEL_SIDES.items():
        if name in _names(cls):
            args, kwargs = _kernel_sides(cls, name, sides, args, kwargs, bool(old))
    for word in old:
        if word not in kwargs:
            continue
        new, value = words[word], kwargs.pop(word)
        if new in kwargs:
            raise TypeError(f"{cls.__name__} got both {word!r} and {new!r}, two names of one argument.")
        if isinstance(value, str) and new in _VALUES:
            value = _VALUES[new].get(value, value)
        kwargs[new] = value
        deprecated(f"{word}=", f"{new}=")
    args = _special(cls, args, kwargs)
    return args, kwargs


def _special(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Translate arguments that became values of others or disappeared; changes `kwargs`, returns positional ones."""
    names = _names(cls)
    if "BatchNormalization" in names and "mode" in kwargs:
        if kwargs.pop("mode") != 0:
            raise ValueError("BatchNormalization: only mode 0 of Keras 1 exists today; drop `mode=`.")
        deprecated("mode=", "nothing (mode 0 is the only one)")
    if names & {"CellRNN", "KernelCell", "ConvLSTM"}:
        for word in [word for word in ("consume_less", "implementation") if word in kwargs]:
            kwargs.pop(word)
            deprecated(f"{word}=", "nothing (lamella chooses the fastest implementation)")
    if "ZeroPadding" in names and "padding" in kwargs:
        kwargs["padding"] = _sides(kwargs["padding"])
    elif "ZeroPadding" in names and args:
        args = (_sides(args[0]), *args[1:])
    if "Conv2DTranspose" in names and "output_shape" in kwargs:
        kwargs.pop("output_shape")
        deprecated("output_shape=", "output_padding= if the computed shape is not the expected one")
    if "Embedding" in names and kwargs.get("input_length") is not None:
        length = kwargs.pop("input_length")
        deprecated("input_length=", "Input((length,)) before it, or nothing")
        if not any(word in kwargs for word in ("input_shape", "batch_input_shape", "batch_shape")):
            kwargs["input_shape"] = tuple(length) if isinstance(length, list | tuple) else (length,)
    if "Embedding" in names and "dropout" in kwargs:
        raise ValueError("Embedding: `dropout` of Keras 1 is a separate layer today: add SpatialDropout1D after it.")
    return args


def _sides(padding: Any) -> Any:
    """The padding of Keras 1, a dict or four numbers (top, bottom, left, right), as pairs."""
    new = padding
    if isinstance(padding, dict):
        known = {"left_pad", "right_pad", "top_pad", "bottom_pad"}
        if set(padding) - known:
            raise ValueError(f"ZeroPadding: padding must have the keys {sorted(known)}, got {sorted(padding)}.")
        across = (padding.get("left_pad", 0), padding.get("right_pad", 0))
        down = (padding.get("top_pad", 0), padding.get("bottom_pad", 0))
        new = (down, across) if {"top_pad", "bottom_pad"} & set(padding) else across
    elif isinstance(padding, list | tuple) and len(padding) == 4 and all(_is_size(p) for p in padding):
        new = ((padding[0], padding[1]), (padding[2], padding[3]))
    if new is not padding:
        deprecated(f"padding={padding!r}", f"padding={new!r}")
    return new


def hint(kwargs: dict[str, Any], known: Collection[str]) -> str:
    """The hint about keyword arguments that a layer does not take."""
    unknown = [word for word in kwargs if word not in known]
    return f" {unknown[0]!r}: {did_you_mean(unknown[0], known)}" if unknown else ""


def _names(cls: type) -> set[str]:
    return {base.__name__ for base in cls.__mro__}


def _words(cls: type) -> dict[str, str]:
    return {old: new for base in reversed(cls.__mro__) for old, new in WORDS.get(base.__name__, {}).items()}


def _is_size(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _kernel_sides(
    cls: type, name: str, sides: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any], old_arguments: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """`Convolution2D(filters, rows, columns)` of Keras 1 as `Conv2D(filters, (rows, columns))`."""
    if any(side in kwargs for side in sides):
        missing = [side for side in sides if side not in kwargs]
        if missing:
            raise TypeError(f"{cls.__name__}: {', '.join(sides)} must be given together; {missing[0]} is missing.")
        kwargs["kernel_size"] = tuple(kwargs.pop(side) for side in sides)
        deprecated("=, ".join(sides) + "=", "kernel_size=")
        return args, kwargs
    n = len(sides)
    if len(args) < n + 1 or not all(_is_size(a) for a in args[1 : n + 1]):
        return args, kwargs
    filters, kernel = args[0], tuple(args[1 : n + 1])
    given = f"{cls.__name__}({', '.join(map(str, args[: n + 1]))})"
    # the fourth argument of today, the padding, is not a number
    if old_arguments or n == 3 or cls.__name__ in _OLD_NAMES:
        deprecated(given, f"{name}({filters}, {kernel})")
        rest = args[n + 1 :]
        if cls.__name__ == "Deconvolution2D" and rest:
            kwargs["output_shape"], rest = rest[0], rest[1:]
        return (filters, kernel, *rest), kwargs
    rows, columns = kernel
    if rows == columns and rows > 1:
        raise ValueError(
            f"{given} is a {rows}x{columns} kernel in Keras 1 and strides of {columns} today. "
            f"Write {name}({filters}, ({rows}, {columns})) for the kernel, or "
            f"{name}({filters}, {rows}, strides={columns}) for the strides."
        )
    return args, kwargs
