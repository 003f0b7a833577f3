"""How often `trainable` was set, of any layer or variable: where that has grown, a compiled model looks what it trains."""

from __future__ import annotations

count = 0
"""The number of changes so far."""


def changed() -> None:
    """Note that `trainable` was set somewhere."""
    global count
    count += 1
