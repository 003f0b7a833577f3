"""What a person sees: tables, progress, numbers.

The text is laid out here, so it is the same with and without `rich`; where `rich` is installed (the `pretty` extra) a
terminal and a notebook show it in colour. A stream that is neither, such as a pipe or a log file, gets the plain text.
"""

from __future__ import annotations

import io
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

if TYPE_CHECKING:
    from lamella.notebook import Line

Justify = Literal["left", "center", "right"]
Segment = tuple[str, str]  # (text, style): the styles are rich's, and plain text leaves them out

# One character for one, so a table keeps its widths on a stream that can only write ASCII.
_ASCII_LINES = str.maketrans("┏━┳┓┃┡╇┩│└─┴┘", "+=++|+++|+-++")


class Column(NamedTuple):
    """A column of a table: its header, the side that its cells keep to, and rich's style for them."""

    header: str
    justify: Justify = "left"
    style: str = ""


def table(
    title: str,
    columns: Sequence[Column | tuple[str, Justify]],
    rows: Sequence[Sequence[str]],
    footer: Sequence[str] = (),
    *,
    width: int | None = None,
    widths: Sequence[int] | None = None,
    file: TextIO | None = None,
    print_fn: Callable[[str], Any] | None = None,
    plain: bool | None = None,
) -> str:
    """Lay out a table, and print it if told where.

    Args:
        title: The line above the table; empty for none.
        columns: The columns, from left to right.
        rows: The cells, one string per column in every row. Newlines are kept.
        footer: Lines below the table.
        width: The most characters a line of the table may take: cells that are too long are broken. By default it is
            the width of the terminal that `file` is, and no limit anywhere else.
        widths: The characters in each column; by default those of its longest cell.
        file: The stream to print to.
        print_fn: A function to call once with the whole text, instead of printing to a stream.
        plain: Whether to print without colours. By default a terminal gets colours and nothing else does; there are
            none in any case where rich is not installed.

    Returns:
        The text without colours, and without a newline at its end.

    Raises:
        ValueError: If a row has not one cell per column.
    """
    columns = [c if isinstance(c, Column) else Column(*c) for c in columns]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"A table of {len(columns)} columns cannot take a row of {len(row)} cells: {list(row)!r}.")
    if width is None and file is not None and _is_terminal(file):
        width = _terminal_columns()
    lines: list[list[Segment]] = [[(_printable(title), "italic")]] if title else []
    lines += _grid(columns, rows, width, widths)
    lines += [[(_printable(line), "")] for line in footer]
    text = "\n".join(map(_plain, lines))
    if print_fn is not None:
        print_fn(text)
    elif file is not None:
        colours = _is_terminal(file) if plain is None else not plain
        console = _rich_console(file) if colours else None
        for line in lines:
            _write_line(file, line, "\n", console)
    return text


LOGGED = False
"""Whether progress goes to the logger "lamella": `config.disable_interactive_logging`."""


class _Logger(io.StringIO):
    """A stream that gives each line to the logger "lamella"."""

    def write(self, text: str) -> int:
        import logging

        for line in text.splitlines():
            logging.getLogger("lamella").info("%s", line.rstrip())
        return len(text)


def _standard() -> TextIO:
    return _Logger() if LOGGED else sys.stdout


def say(text: str) -> None:
    """Write a line where progress goes: to `sys.stdout`, or to the logger "lamella".

    >>> say("Found 3 files belonging to 2 classes.")
    Found 3 files belonging to 2 classes.
    """
    file = _standard()
    _write_line(file, [(text, "")], "\n", None)
    file.flush()


class Progress:
    """The progress of an epoch, and one permanent line for every epoch done.

    On a terminal the line of the running epoch is drawn over itself, ten times a second at most, and so it is in a
    notebook's cell where rich is installed; anywhere else, and with `verbose=2`, only the permanent lines are written:

        Epoch 3/10 - 57/57 - 1.2s - 21ms/step - accuracy: 0.9713 - loss: 0.1021

    Args:
        epochs: How many epochs there will be; 0 leaves the epoch out of the lines, as for an evaluation.
        steps: How many steps an epoch has; `None` while nobody knows.
        verbose: 0 writes nothing; 1 draws the running epoch on a terminal or in a notebook; 2 writes one line per epoch,
            anywhere.
        file: The stream to write to, `sys.stdout` by default.
        width: The characters of the bar.
        interval: The least seconds between two drawings of the line, `redraw_seconds` by default.
        unit: What a step is called in the times per step.

    Raises:
        ValueError: If `verbose` is none of 0, 1 and 2.
    """

    redraw_seconds = 0.1

    def __init__(
        self,
        epochs: int,
        steps: int | None,
        verbose: int,
        file: TextIO | None = None,
        *,
        width: int = 30,
        interval: float | None = None,
        unit: str = "step",
    ) -> None:
        if verbose not in (0, 1, 2):
            raise ValueError(f"verbose must be 0 (silent), 1 (live line) or 2 (a line per epoch); got {verbose!r}.")
        self.epochs = epochs
        self.steps = steps
        self.verbose = int(verbose)
        self.file = _standard() if file is None else file
        terminal = self.verbose > 0 and _is_terminal(self.file)
        self._cell = _cell() if self.verbose == 1 and not terminal and file is None and not LOGGED else None
        live = self._cell or (self.verbose == 1 and terminal and os.environ.get("TERM") not in ("dumb", "unknown"))
        self._console = _rich_console(self.file) if terminal else None
        # A time that never comes spares update() a second question where nothing is ever drawn.
        self._next_draw = 0.0 if live else float("inf")
        self._drawn_width = 0
        self._bar_length = width
        self.unit = unit
        if interval is not None:
            self.redraw_seconds = interval
        self._epoch = 0
        self._step = 0
        self._epoch_start = 0.0
        self._first_draw: tuple[int, float] | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_epoch(self, epoch: int = 0) -> None:
        """Start the epoch of this index; the first is 0, as callbacks count."""
        self._epoch = epoch
        self._step = 0
        self._first_draw = None
        self._epoch_start = time.perf_counter()
        self._draw_if_due({})

    def update(self, step: int, logs: dict[str, float] | Callable[[], dict[str, float]]) -> None:
        """Note that `step` steps of the epoch are done; cheap enough to be called after every one.

        Args:
            step: The steps done so far, not the index of the last one.
            logs: The loss and the metrics so far, or a function that reads them: called only when the line is drawn.
        """
        self._step = step
        if time.perf_counter() >= self._next_draw:
            self._draw_if_due(logs() if callable(logs) else logs)

    def end_epoch(self, logs: dict[str, float], seconds: float | None = None) -> None:
        """Write the epoch's permanent line.

        Args:
            logs: What to report, in the order to report it in.
            seconds: How long the epoch took; by default the time since it began.
        """
        if self.verbose == 0:
            return
        if seconds is None:
            seconds = time.perf_counter() - self._epoch_start
        # Whoever runs a whole epoch at once may never have called update().
        done = self._step or self.steps or 0
        parts: list[Segment] = [(self._count(done), ""), (format_seconds(seconds), "cyan")]
        if done:
            parts.append((self._pace(seconds / done), "cyan"))
        self._write([*self._heading(" - "), *_joined([*parts, *_log_segments(logs)])], end="\n")

    def close(self) -> None:
        """Leave the line of an epoch that did not end as it is, and move below it."""
        if self._cell is not None:
            self._cell.leave()
        if self._drawn_width:
            self.file.write("\n")
            self.file.flush()
            self._drawn_width = 0

    def _draw_if_due(self, logs: dict[str, float]) -> None:
        now = time.perf_counter()
        if now < self._next_draw:
            return
        self._next_draw = now + self.redraw_seconds
        # The first steps compile the model, so the pace is taken from those after them, once there are some.
        pace = None
        if self._step:
            first_step, first_time = self._first_draw or (self._step, now)
            self._first_draw = (first_step, first_time)
            since = (first_step, first_time) if self._step > first_step else (0, self._epoch_start)
            pace = (now - since[1]) / (self._step - since[0])
        parts: list[Segment] = [(self._count(self._step), "")]
        if pace is not None:
            parts.append((self._pace(pace), "cyan"))
            if self.steps is not None:
                left = max(self.steps - self._step, 0) * pace
                # Parts of a second would only flicker here.
                parts.append((f"{left:.0f}s left" if left < 59.5 else f"{format_seconds(left)} left", "cyan"))
        parts += _log_segments(logs)
        heading = self._heading(" ")
        # A line that reached the last column would wrap, and the next one would be drawn below it.
        columns = _terminal_columns() if self._cell is None else self._cell.columns
        room = columns - 1 - _cells(_plain(heading))
        while _cells(_plain(_joined(parts))) > room and len(parts) > 1:
            parts.pop()
        tail = _joined(parts)
        self._write([*heading, *self._bar(room - _cells(_plain(tail))), *tail], end="")

    def _count(self, done: int) -> str:
        return f"{done} {self.unit}s" if self.steps is None else f"{done}/{self.steps}"

    def _pace(self, seconds: float) -> str:
        return f"{format_seconds(seconds)}/{self.unit}"

    def _heading(self, separator: str) -> list[Segment]:
        return [(f"Epoch {self._epoch + 1}/{self.epochs}", "bold"), (separator, "dim")] if self.epochs else []

    def _bar(self, room: int) -> list[Segment]:
        # It never grows back: numbers get longer and shorter all the time, and a bar that followed them would tremble.
        length = self._bar_length = min(room - 1, self._bar_length)
        if not self.steps or length < 5:
            return []
        filled = min(self._step, self.steps) * length // self.steps
        return [("━" * filled, "green"), ("─" * (length - filled), "dim"), (" ", "")]

    def _write(self, line: list[Segment], end: str) -> None:
        if self._cell is not None:
            self._cell.show(line, last=bool(end))
            return
        width = _cells(_plain(line))
        # Spaces wipe what a longer line left behind, on every terminal, without control sequences.
        padding = " " * (self._drawn_width - width)
        if self._drawn_width:
            self.file.write("\r")
        self._drawn_width = 0 if end else width
        _write_line(self.file, line, padding + end, self._console)
        self.file.flush()


class Transfer(Progress):
    """The progress of a download, whose steps are bytes:

        10.96 MB - 1.2s - 9.13 MB/s

    Args:
        size: How many bytes there will be; `None` if unknown.
        verbose: As for `Progress`.
        file: As for `Progress`.
    """

    def __init__(self, size: int | None, verbose: int = 1, file: TextIO | None = None) -> None:
        super().__init__(0, size, verbose, file)

    def _count(self, done: int) -> str:
        whole = "" if self.steps is None or done == self.steps else f"/{human_bytes(self.steps)}"
        return human_bytes(done) + whole

    def _pace(self, seconds: float) -> str:
        return f"{human_bytes(round(1 / seconds)) if seconds else '-'}/s"


def _terminal_columns() -> int:
    import shutil  # with its archive formats more to import than all of this page

    return shutil.get_terminal_size().columns


def format_number(value: Any) -> str:
    """Write a loss or a metric as Keras does: four decimals, and a power of ten from 0.001 down; or several in brackets."""
    if getattr(value, "ndim", 0):
        return "[" + " ".join(format_number(entry) for entry in value) + "]"
    value = float(value)
    return f"{value:.4e}" if abs(value) <= 1e-3 else f"{value:.4f}"


def format_seconds(seconds: float) -> str:
    """Write a time in the unit that suits it: `350us`, `21ms`, `1.2s`, `2m05s`, `1h03m`."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f}us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes:02d}m"


def human_count(number: int) -> str:
    """Write a count with its thousands apart: `1,234`."""
    return f"{number:,}"


def human_bytes(number: int) -> str:
    """Write a size as Keras does, `6.79 KB`, where a KB is 1024 bytes."""
    size = float(number)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(size) < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"


def _log_segments(logs: dict[str, float]) -> list[Segment]:
    return [(f"{name}: {format_number(value)}", "") for name, value in logs.items()]


def _joined(parts: Iterable[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    for part in parts:
        joined += [(" - ", "dim"), part] if joined else [part]
    return joined


def _grid(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, given: Sequence[int] | None
) -> list[list[Segment]]:
    """The lines of the table itself, every one of them as wide as the others."""
    headers = [_printable(column.header).split("\n") for column in columns]
    body = [[_printable(cell).split("\n") for cell in row] for row in rows]
    longest = [max(_cells(line) for row in [headers, *body] for line in row[i]) for i in range(len(columns))]
    widths = longest if given is None else list(given)
    if width is not None and given is None:
        # A border and a space on both sides of every cell, and the last border.
        room = width - 3 * len(columns) - 1
        # Narrower than this a column is a stack of letters, so a table may stay too wide for its terminal.
        least = 6
        while sum(widths) > room and max(widths) > least:
            widths[widths.index(max(widths))] -= 1

    def rule(left: str, line: str, middle: str, right: str) -> list[Segment]:
        return [(left + middle.join(line * (size + 2) for size in widths) + right, "dim")]

    def cells(row: Sequence[list[str]], edge: str, style: str | None = None) -> list[list[Segment]]:
        wrapped = [
            [part for line in cell for part in _wrap(line, size)] for cell, size in zip(row, widths, strict=True)
        ]
        lines: list[list[Segment]] = []
        for i in range(max(map(len, wrapped), default=0)):
            line: list[Segment] = []
            for column, size, parts in zip(columns, widths, wrapped, strict=True):
                text = _justified(parts[i] if i < len(parts) else "", size, column.justify)
                line += [(edge, "dim"), (f" {text} ", column.style if style is None else style)]
            lines.append([*line, (edge, "dim")])
        return lines

    return [
        rule("┏", "━", "┳", "┓"),
        *cells(headers, "┃", "bold"),
        rule("┡", "━", "╇", "┩"),
        *(line for row in body for line in cells(row, "│")),
        rule("└", "─", "┴", "┘"),
    ]


def _wrap(text: str, width: int) -> list[str]:
    """Break a line between words where it can be, inside a word where it must be."""
    lines: list[str] = []
    while _cells(text) > width:
        cut = max(len(_fitting(text, width)), 1)
        # The space that the break replaces may be the one just after the width; an indentation is no place for it.
        space = text.rfind(" ", 1, cut + 1)
        if text[: max(space, 0)].strip():
            cut = space
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*lines, text]


def _justified(text: str, width: int, justify: Justify) -> str:
    space = width - _cells(text)
    left = {"left": 0, "center": space // 2, "right": space}[justify]
    return " " * left + text + " " * (space - left)


def _fitting(text: str, width: int) -> str:
    """As many of a text's first characters as fit into a width."""
    used = 0
    for i, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:i]
    return text


def _cells(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _printable(text: str) -> str:
    """Escape what is no character to see: a name from a file must not move the cursor or set colours."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


def _plain(line: Iterable[Segment]) -> str:
    return "".join(text for text, _ in line)


def _encodable(file: TextIO, text: str) -> str:
    """Replace what the stream's encoding has no character for: a progress line is no reason to stop a training."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII_LINES).encode(encoding, "replace").decode(encoding)
    return text


def _is_terminal(file: TextIO) -> bool:
    # What people put in the place of sys.stdout often has no more than write().
    isatty = getattr(file, "isatty", None)
    return isatty is not None and isatty()


def _cell() -> Line | None:
    if "IPython" not in sys.modules:
        return None
    from lamella.notebook import line_of_a_cell

    return line_of_a_cell()


def _rich_console(file: TextIO) -> Any | None:
    """A console of rich that writes colours; `None` where rich is not installed."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=file, force_terminal=True, force_jupyter=False, highlight=False, markup=False, emoji=False)


def _write_line(file: TextIO, line: Iterable[Segment], end: str, console: Any | None) -> None:
    line = [(_encodable(file, text), style) for text, style in line]
    if console is None:
        file.write(_plain(line) + end)
        return
    from rich.text import Text

    # The line is laid out already: rich is neither to break nor to crop it.
    console.print(Text.assemble(*line, end=""), end=end, soft_wrap=True)
