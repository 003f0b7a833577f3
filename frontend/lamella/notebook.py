"""Output for notebooks: a progress line in a cell, drawn through rich, and objects as HTML."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MOST_ROWS = 60
"""Rows of a table, the rest is counted; lines of a text likewise ten times as many."""

MOST_CHARACTERS = 200
"""Of a cell of a table or a line of text."""

_MOST_ENTRIES = 10_000_000
"""Entries of an array that its statistics take into account."""


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
        from IPython.display import display
        from rich.text import Text
    except ImportError:
        return None
    return Line(display, Text)


def escaped(text: object, most: int = MOST_CHARACTERS) -> str:
    """A text for HTML: cut off where it is long, with what is not a character to see as its code.

    Args:
        text: the text.
        most: the characters that are kept.
    """
    from html import escape

    shown = str(text)
    shown = shown if len(shown) <= most else f"{shown[: most - 1]}…"
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in shown))


def block(heading: str, about: str, *parts: str) -> str:
    """What a notebook shows of an object: a heading, and parts below it.

    Args:
        heading: the text in bold.
        about: the text behind it.
        *parts: HTML.
    """
    return f"<div><p><b>{escaped(heading)}</b> {escaped(about)}</p>{''.join(parts)}</div>"


def folded(title: str, part: str) -> str:
    """HTML below a title that opens it.

    Args:
        title: the text.
        part: HTML.
    """
    return f"<details><summary>{escaped(title)}</summary>{part}</details>"


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; of more than `MOST_ROWS` rows the first and the last.

    Args:
        header: the names of the columns.
        rows: the texts in each row.
    """

    def line(cells: Sequence[str], tag: str = "td") -> str:
        return f"<tr>{''.join(f'<{tag}>{escaped(cell)}</{tag}>' for cell in cells)}</tr>"

    body = list(map(line, rows[:MOST_ROWS]))
    if len(rows) > MOST_ROWS:
        half = MOST_ROWS // 2
        left = f'<tr><td colspan="{len(header)}">… {len(rows) - MOST_ROWS:,} more …</td></tr>'
        body = [*body[:half], left, *map(line, rows[-half:])]
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{''.join(body)}</tbody></table>"


def html_text(lines: Iterable[str]) -> str:
    """Lines in a fixed font; of more than 600 the first.

    Args:
        lines: the lines.
    """
    import itertools

    lines, most = iter(lines), 10 * MOST_ROWS
    kept = [escaped(line) for line in itertools.islice(lines, most)]
    more = sum(1 for _ in lines)
    return f"<pre>{chr(10).join([*kept, f'… {more:,} more lines'] if more else kept)}</pre>"


def html_array(array: np.ndarray) -> str:
    """The statistics of an array, and its first entries.

    Args:
        array: numbers or booleans.
    """
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    flat = array.reshape(-1)
    edge = 3 if array.ndim <= 3 else 1
    shown = html_text(np.array2string(array, threshold=60, edgeitems=edge, max_line_width=100).splitlines())
    if flat.size < 2 or flat.dtype.kind not in "fiu":
        return shown
    numbers = flat[:_MOST_ENTRIES].astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    cells = {"entries": f"{flat.size:,}"}
    if len(finite):
        with np.errstate(over="ignore", invalid="ignore"):
            found = {"min": finite.min(), "mean": finite.mean(), "max": finite.max(), "std": finite.std()}
        cells |= {name: f"{value:.4g}" for name, value in found.items()}
    if len(finite) < len(numbers):
        nan = int(np.isnan(numbers).sum())
        cells |= {"NaN": f"{nan:,}", "infinite": f"{len(numbers) - len(finite) - nan:,}"}
    if len(numbers) < flat.size:
        cells["counted"] = f"the first {len(numbers):,}"
    return html_table(list(cells), [list(cells.values())]) + shown
