"""Process-wide settings that ops and training read, such as the default float dtype and `epsilon`."""

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
    """Return the default float dtype.

    Returns:
        "float32", unless `set_floatx` or the environment variable LAMELLA_FLOATX changed it.

    Example:
        >>> floatx()
        'float32'
    """
    return str(_SETTINGS["floatx"])


def set_floatx(dtype: str) -> None:
    """Set the default float dtype of layers and arrays that are created from now on.

    Args:
        dtype: "float16", "bfloat16", "float32" or "float64".

    Raises:
        DTypeError: `dtype` is none of these.

    Example:
        >>> set_floatx("float64")
        >>> floatx()
        'float64'
        >>> set_floatx("float32")
    """
    if dtype not in _FLOATX:
        raise DTypeError(f"set_floatx takes one of {', '.join(map(repr, _FLOATX))}, got {dtype!r}.")
    _SETTINGS["floatx"] = dtype


def epsilon() -> float:
    """Return the small constant that losses and normalizations use to avoid division by zero and log(0).

    Returns:
        1e-7, unless `set_epsilon` changed it.

    Example:
        >>> epsilon()
        1e-07
    """
    return float(_SETTINGS["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the value that `epsilon` returns.

    Args:
        value: the constant.

    Example:
        >>> set_epsilon(1e-5)
        >>> epsilon()
        1e-05
        >>> set_epsilon(1e-7)
    """
    _SETTINGS["epsilon"] = float(value)


def checks_nan() -> bool:
    """Return whether arrays passed to `fit`, `evaluate` and `predict` are checked for NaN and infinities."""
    return bool(_SETTINGS["check_nan"])


def set_check_nan(check: bool) -> None:
    """Set whether `fit`, `evaluate` and `predict` reject arrays that contain NaN or infinities.

    Args:
        check: whether to check; False by default.

    Example:
        >>> import numpy as np
        >>> import lamella
        >>> model = lamella.Sequential([lamella.layers.Input((1,)), lamella.layers.Dense(1)])
        >>> set_check_nan(True)
        >>> model.predict(np.array([[np.nan]]), verbose=0)
        Traceback (most recent call last):
        ...
        lamella.errors.DataError: ...
        >>> set_check_nan(False)
    """
    _SETTINGS["check_nan"] = bool(check)


_LAYOUTS = ("channels_last", "channels_first")


def image_data_format() -> str:
    """Return the image layout that `data_format=None` selects.

    Returns:
        "channels_last", unless `set_image_data_format` changed it.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return str(_SETTINGS["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the image layout that `data_format=None` selects in layers and functions from now on.

    Args:
        data_format: "channels_last", `(batch, height, width, channels)`, or "channels_first", `(batch, channels,
            height, width)`.

    Raises:
        ArgumentError: `data_format` is neither.

    Example:
        >>> set_image_data_format("channels_first")
        >>> image_data_format()
        'channels_first'
        >>> set_image_data_format("channels_last")
    """
    _SETTINGS["image_data_format"] = layout_of(data_format)


def layout_of(data_format: Any) -> str:
    """Return a `data_format`, with None replaced by `image_data_format()`.

    Args:
        data_format: "channels_last", "channels_first" or None.

    Raises:
        ArgumentError: `data_format` is something else.
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
    """Return the precision of matrix products and convolutions of float32 arrays.

    Returns:
        "highest", "high" or "default".

    Example:
        >>> matmul_precision()
        'highest'
    """
    return _SETTINGS["matmul_precision"] or "highest"


def _is_precision(given: object) -> bool:
    return isinstance(given, str) and given in _PRECISIONS


def set_matmul_precision(precision: str) -> None:
    """Set the precision of matrix products and convolutions of float32 arrays, on devices that have a choice.

    It applies from the next call on, also to models that have been trained or called. A function that you compiled with
    `jax.jit` keeps the precision that it was traced with. NumPy, and JAX on a CPU, always multiply in float32. Arrays
    stay float32; see `mixed_precision` for other dtypes.

    Args:
        precision: "highest" or "float32", the default (unless JAX's own `jax_default_matmul_precision` is set); "high"
            or "tensorfloat32", with 10 bits of fraction on NVIDIA GPUs and three passes of bfloat16 on TPUs; "default"
            or "bfloat16", the fastest of the device.

    Raises:
        ArgumentError: `precision` is none of these.

    Example:
        >>> set_matmul_precision("float32")
        >>> matmul_precision()
        'highest'
    """
    if not _is_precision(precision):
        listed = ", ".join(map(repr, _PRECISIONS))
        raise ArgumentError(f"set_matmul_precision takes one of {listed}, got {precision!r}.")
    before, _SETTINGS["matmul_precision"] = _SETTINGS["matmul_precision"], _PRECISIONS[precision]
    if before != _SETTINGS["matmul_precision"]:
        for changed in WHEN_PRECISION_CHANGES:
            changed()


def chosen_matmul_precision() -> str | None:
    """Return the precision that `set_matmul_precision` set, or None if it was not called."""
    return _SETTINGS["matmul_precision"]


def enable_flash_attention() -> None:
    """Let attention in float16 and bfloat16 use a fused kernel if the device has one (cuDNN with JAX); the default.

    Example:
        >>> enable_flash_attention()
        >>> is_flash_attention_enabled() is None
        True
    """
    _SETTINGS["flash_attention"] = None


def disable_flash_attention() -> None:
    """Compute attention as separate operations from now on, except in layers with `flash_attention=True`.

    Example:
        >>> disable_flash_attention()
        >>> is_flash_attention_enabled()
        False
        >>> enable_flash_attention()
    """
    _SETTINGS["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """Return whether attention may use a fused kernel.

    Returns:
        None if it is used where available, False after `disable_flash_attention`.

    Example:
        >>> is_flash_attention_enabled()
    """
    return _SETTINGS["flash_attention"]
