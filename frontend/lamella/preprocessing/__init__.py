"""Images, sequences and text as arrays, under the names of Keras's `preprocessing`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lamella.absent import no_attribute

if TYPE_CHECKING:
    from lamella.preprocessing import sequence as sequence

_MODULES = ("sequence",)
"""Modules that are imported when they are first asked for."""

__all__ = ["sequence"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"lamella.preprocessing.{name}")
    raise no_attribute(__name__, name, __all__)
