"""Sequences as arrays."""

from typing import Any

from lamella.absent import no_attribute
from lamella.utils.sequences import pad_sequences as pad_sequences

__all__ = ["pad_sequences"]


def __getattr__(name: str) -> Any:
    raise no_attribute(__name__, name, __all__)
