"""The few process-wide numbers that ops read: the default float dtype and the fuzz factor."""

from __future__ import annotations

import os
from typing import Any

from lamella.errors import DTypeError

_FLOATX = ("float16", "bfloat16", "float32", "float64")


def _from_environment() -> str:
    name = os.environ.get("LAMELLA_FLOATX", "float32")
    return name if name in _FLOATX else "float32"


_SETTINGS: dict[str, Any] = {"floatx": _from_environment(), "epsilon": 1e-7, "check_nan": False}


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
