"""Progress in a notebook: a line that is drawn over itself in a cell's output, in colour, through rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any


class Line:
    """The line of the running epoch in a cell's output.

    Args:
        display: IPython's function of the name.
        text_of: rich's class `Text`, which a notebook shows as HTML.
    """

    def __init__(self, display: Any, text_of: Any) -> None:
        self._display, self._text_of = display, text_of
        self._handle: Any = None

    columns = int(os.environ.get("JUPYTER_COLUMNS") or 115)
    """The characters a line may take: rich's rule for notebooks."""

    def show(self, line: Iterable[tuple[str, str]], last: bool) -> None:
        """Put a line where the one before was; after the `last` of an epoch the next begins below."""
        text = self._text_of.assemble(*line, no_wrap=True, overflow="ignore", end="")
        if self._handle is None:
            self._handle = self._display(text, display_id=True)
        else:
            self._handle.update(text)
        if last:
            self._handle = None

    def leave(self) -> None:
        """Let the line of an epoch that did not end stay as it is."""
        self._handle = None


def line_of_a_cell() -> Line | None:
    """A line in the running cell; None outside of notebooks, or where rich is not installed."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or getattr(shell, "kernel", None) is None:  # IPython in a terminal has no kernel
        return None
    try:
        from IPython.display import display  # type: ignore[import-not-found]
        from rich.text import Text
    except ImportError:
        return None
    return Line(display, Text)
