"""The few process-wide numbers that ops read: the default float dtype and the fuzz factor."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from lamella.errors import ArgumentError, DTypeError

_FLOATX = ("float16", "bfloat16", "float32", "float64")


def _from_environment() -> str:
    name = os.environ.get("LAMELLA_FLOATX", "float32")
    return name if name in _FLOATX else "float32"


_SETTINGS: dict[str, Any] = {
    "floatx": _from_environment(),
    "epsilon": 1e-7,
    "check_nan": False,
    "image_data_format": "channels_last",
    "matmul_precision": None,
    "flash_attention": None,
}


def floatx() -> str:
    """The default float dtype: "float32" unless `set_floatx` said otherwise."""
    return str(_SETTINGS["floatx"])


def set_floatx(dtype: str) -> None:
    """Make `dtype` ("float16", "bfloat16", "float32" or "float64") the default float dtype of what is built from now on.

    Raises:
        DTypeError: it is none of these.
    """
    if dtype not in _FLOATX:
        raise DTypeError(f"set_floatx takes one of {', '.join(map(repr, _FLOATX))}, got {dtype!r}.")
    _SETTINGS["floatx"] = dtype


def epsilon() -> float:
    """The fuzz factor of clipped losses and the like (1e-7)."""
    return float(_SETTINGS["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the fuzz factor."""
    _SETTINGS["epsilon"] = float(value)


def checks_nan() -> bool:
    """Whether arrays given to `fit`, `evaluate` and `predict` are searched for NaN and infinities."""
    return bool(_SETTINGS["check_nan"])


def set_check_nan(check: bool) -> None:
    """Search the arrays given to `fit`, `evaluate` and `predict` for NaN and infinities, and refuse them."""
    _SETTINGS["check_nan"] = bool(check)


_LAYOUTS = ("channels_last", "channels_first")


def image_data_format() -> str:
    """What `data_format=None` means: "channels_last" unless `set_image_data_format` said otherwise.

    >>> image_data_format()
    'channels_last'
    """
    return str(_SETTINGS["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set what `data_format=None` means for layers and functions from now on.

    Args:
        data_format: "channels_last", `(batch, height, width, channels)`, or "channels_first".

    Raises:
        ArgumentError: it is neither.
    """
    _SETTINGS["image_data_format"] = layout_of(data_format)


def layout_of(data_format: Any) -> str:
    """A `data_format`; None is `image_data_format()`.

    Raises:
        ArgumentError: it is neither "channels_last" nor "channels_first".
    """
    if data_format is None:
        return image_data_format()
    if not isinstance(data_format, str) or data_format.lower() not in _LAYOUTS:
        raise ArgumentError(f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}.")
    return data_format.lower()


_PRECISIONS = {
    **dict.fromkeys(("highest", "float32"), "highest"),
    **dict.fromkeys(("high", "tensorfloat32"), "high"),
    **dict.fromkeys(("default", "bfloat16"), "default"),
}
WHEN_PRECISION_CHANGES: list[Callable[[], None]] = []
"""What backends that compile a precision in have called when it changes."""


def matmul_precision() -> str:
    """How exactly float32 numbers are multiplied in matrix products and convolutions: "highest", "high" or "default".

    >>> matmul_precision()
    'highest'
    """
    return _SETTINGS["matmul_precision"] or "highest"


def _is_precision(given: object) -> bool:
    return isinstance(given, str) and given in _PRECISIONS


def set_matmul_precision(precision: str) -> None:
    """Set how exactly float32 numbers are multiplied in matrix products and convolutions, on devices that have a choice.

    It counts from the next call on, of models that have been trained or called as well. A function that you put under
    `jax.jit` yourself keeps what was set when JAX traced it. NumPy multiplies in float32 whatever is set, and so does JAX on
    a CPU. The numbers stay float32: `mixed_precision` is about those.

    Args:
        precision: "highest" or "float32", what holds until something is set (unless you told JAX otherwise by
            `jax_default_matmul_precision`); "high" or "tensorfloat32", with 10 bits of fraction on NVIDIA's GPUs, three
            passes of bfloat16 on TPUs; "default" or "bfloat16", the device's fastest.

    Raises:
        ArgumentError: it is none of these.

    >>> set_matmul_precision("float32")
    """
    if not _is_precision(precision):
        listed = ", ".join(map(repr, _PRECISIONS))
        raise ArgumentError(f"set_matmul_precision takes one of {listed}, got {precision!r}.")
    before, _SETTINGS["matmul_precision"] = _SETTINGS["matmul_precision"], _PRECISIONS[precision]
    if before != _SETTINGS["matmul_precision"]:
        for changed in WHEN_PRECISION_CHANGES:
            changed()


def chosen_matmul_precision() -> str | None:
    """What `set_matmul_precision` set; None where it was not called."""
    return _SETTINGS["matmul_precision"]


def enable_flash_attention() -> None:
    """Let attention of float16 and bfloat16 run in one kernel where the device has one (cuDNN's, with JAX): the default."""
    _SETTINGS["flash_attention"] = None


def disable_flash_attention() -> None:
    """Let attention called from now on run as separate operations, but where a layer asks for `flash_attention=True`."""
    _SETTINGS["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """None where one kernel is used for attention when there is one, False after `disable_flash_attention`.

    >>> is_flash_attention_enabled()
    """
    return _SETTINGS["flash_attention"]
