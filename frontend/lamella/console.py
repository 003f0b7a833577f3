"""Text output: tables, progress, numbers.

The layout is computed here, so the text is the same with and without `rich`; if `rich` is installed (the extra `pretty`),
terminals and notebooks show it in color. Other streams, such as pipes and log files, get the plain text.
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
Segment = tuple[str, str]  # (text, style of rich); plain text omits the styles

# One character per character, so that a table keeps its widths on a stream that can only write ASCII.
_ASCII_LINES = str.maketrans("┏━┳┓┃┡╇┩│└─┴┘", "+=++|+++|+-++")


class Column(NamedTuple):
    """A column of a table: its header, the alignment of its cells, and their style in rich."""

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
    """Return a table as text, and print it to a stream or a function.

    Args:
        title: the line above the table; empty for none.
        columns: the columns, from left to right.
        rows: the cells, one string per column in every row. Newlines are kept.
        footer: lines below the table.
        width: the maximum length of a line; longer cells are wrapped. By default the width of the terminal if `file` is one,
            and unlimited otherwise.
        widths: the width of each column in characters; by default that of its longest cell.
        file: the stream to print to.
        print_fn: a function that is called once with the whole text, instead of printing to a stream.
        plain: whether to print without color. By default only terminals get color, and only if rich is installed.

    Returns:
        The text without color, and without a newline at its end.

    Raises:
        ValueError: a row does not have one cell per column.

    Example:
        >>> text = table("", [Column("Name"), Column("Size", "right")], [["a", "10"]])
        >>> text.splitlines()[1]
        '┃ Name ┃ Size ┃'
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
        colored = _is_terminal(file) if plain is None else not plain
        console = _rich_console(file) if colored else None
        for line in lines:
            _write_line(file, line, "\n", console)
    return text


LOGGED = False
"""Whether progress goes to the logger "lamella": `config.disable_interactive_logging`."""


class _Logger(io.StringIO):
    """A stream that writes each line to the logger "lamella"."""

    def write(self, text: str) -> int:
        import logging

        for line in text.splitlines():
            logging.getLogger("lamella").info("%s", line.rstrip())
        return len(text)


def _standard() -> TextIO:
    return _Logger() if LOGGED else sys.stdout


def say(text: str) -> None:
    """Write a line to `sys.stdout`, or to the logger "lamella" if interactive logging is disabled.

    Example:
        >>> say("Found 3 files belonging to 2 classes.")
        Found 3 files belonging to 2 classes.
    """
    file = _standard()
    _write_line(file, [(text, "")], "\n", None)
    file.flush()


class Progress:
    """The progress of an epoch, and one permanent line per finished epoch.

    On a terminal the line of the current epoch is redrawn in place, at most ten times per second, and so it is in a notebook
    cell if rich is installed; elsewhere, and with `verbose=2`, only the permanent lines are written:

        Epoch 3/10 - 57/57 - 1.2s - 21ms/step - accuracy: 0.9713 - loss: 0.1021

    While an epoch is expected to take longer than `eta_seconds`, its line shows the remaining time after the pace:

        Epoch 3/10 ━━━━━━━━━━━━────────── 31/57 - 2.1s/step - ETA 55s - accuracy: 0.9611 - loss: 0.1205

    Args:
        epochs: the number of epochs; 0 omits the epoch from the lines, as for an evaluation.
        steps: the number of steps per epoch; None if it is not known yet.
        verbose: 0 writes nothing; 1 draws the current epoch on a terminal or in a notebook; 2 writes one line per epoch.
        file: the stream to write to, `sys.stdout` by default.
        width: the width of the bar in characters.
        interval: the minimum time between two updates of the line in seconds, `redraw_seconds` by default.
        unit: the unit of a step in the output.

    Raises:
        ValueError: `verbose` is none of 0, 1 and 2.
    """

    redraw_seconds = 0.1
    eta_seconds = 10.0

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
        # An infinite time saves update() a second check if the line is never drawn.
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
        """Report that `step` steps of the epoch are done; cheap enough to be called after every step.

        Args:
            step: the number of steps done so far, not the index of the last one.
            logs: the loss and the metrics so far, or a function that returns them, called only when the line is drawn.
        """
        self._step = step
        if time.perf_counter() >= self._next_draw:
            self._draw_if_due(logs() if callable(logs) else logs)

    def end_epoch(self, logs: dict[str, float], seconds: float | None = None) -> None:
        """Write the permanent line of the epoch.

        Args:
            logs: the loss and the metrics, in the order in which to print them.
            seconds: the duration of the epoch; by default the time since it began.
        """
        if self.verbose == 0:
            return
        if seconds is None:
            seconds = time.perf_counter() - self._epoch_start
        # update() is never called if a whole epoch runs at once.
        done = self._step or self.steps or 0
        parts: list[Segment] = [(self._count(done), ""), (format_seconds(seconds), "cyan")]
        if done:
            parts.append((self._pace(seconds / done), "cyan"))
        self._write([*self._heading(" - "), *_joined([*parts, *_log_segments(logs)])], end="\n")

    def close(self) -> None:
        """Keep the line of an unfinished epoch, and move below it."""
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
        # The first steps compile the model, so the pace is that of later steps, once there are any.
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
                # A short epoch is over before its remaining time is read.
                if now - self._epoch_start + left > self.eta_seconds:
                    # Fractions of a second would only flicker here.
                    parts.append((f"ETA {left:.0f}s" if left < 59.5 else f"ETA {format_seconds(left)}", "cyan"))
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
        # It only shrinks: the length of the numbers changes all the time, and a bar that followed it would flicker.
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
        # Spaces overwrite the rest of a longer line, on every terminal, without control sequences.
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
        size: the number of bytes; None if it is not known.
        verbose: as for `Progress`.
        file: as for `Progress`.
    """

    def __init__(self, size: int | None, verbose: int = 1, file: TextIO | None = None) -> None:
        super().__init__(0, size, verbose, file)

    def _count(self, done: int) -> str:
        whole = "" if self.steps is None or done == self.steps else f"/{human_bytes(self.steps)}"
        return human_bytes(done) + whole

    def _pace(self, seconds: float) -> str:
        return f"{human_bytes(round(1 / seconds)) if seconds else '-'}/s"


def _terminal_columns() -> int:
    import shutil  # slow to import, because of its archive formats

    return shutil.get_terminal_size().columns


def format_number(value: Any) -> str:
    """Return a loss or a metric as Keras prints it: four decimals, or a power of ten up to 0.001; lists in brackets."""
    if getattr(value, "ndim", 0):
        return "[" + " ".join(format_number(entry) for entry in value) + "]"
    value = float(value)
    return f"{value:.4e}" if abs(value) <= 1e-3 else f"{value:.4f}"


def format_seconds(seconds: float) -> str:
    """Return a time in a suitable unit: `350us`, `21ms`, `1.2s`, `2m05s`, `1h03m`."""
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
    """Return a count with thousands separators: `1,234`."""
    return f"{number:,}"


def human_bytes(number: int) -> str:
    """Return a size as Keras prints it, `6.79 KB`, where a KB is 1024 bytes."""
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
    """The lines of the table itself, all of the same width."""
    headers = [_printable(column.header).split("\n") for column in columns]
    body = [[_printable(cell).split("\n") for cell in row] for row in rows]
    longest = [max(_cells(line) for row in [headers, *body] for line in row[i]) for i in range(len(columns))]
    widths = longest if given is None else list(given)
    if width is not None and given is None:
        # One border and two spaces per cell, and the last border.
        room = width - 3 * len(columns) - 1
        # Narrower columns are not readable, so a table may be too wide for its terminal.
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
    """Wrap a line between words if possible, otherwise inside a word."""
    lines: list[str] = []
    while _cells(text) > width:
        cut = max(len(_fitting(text, width)), 1)
        # The space that the break replaces may be just after the width; never break inside the indentation.
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
    """The longest prefix of a text that fits into a width."""
    used = 0
    for i, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:i]
    return text


def _cells(text: str) -> int:
    """The number of columns of a text on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _printable(text: str) -> str:
    """Escape non-printable characters: a name from a file must not move the cursor or set colors."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


def _plain(line: Iterable[Segment]) -> str:
    return "".join(text for text, _ in line)


def _encodable(file: TextIO, text: str) -> str:
    """Replace characters that the stream cannot encode: a progress line must not interrupt training."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII_LINES).encode(encoding, "replace").decode(encoding)
    return text


def _is_terminal(file: TextIO) -> bool:
    # Replacements of sys.stdout often have only write().
    isatty = getattr(file, "isatty", None)
    return isatty is not None and isatty()


def _cell() -> Line | None:
    if "IPython" not in sys.modules:
        return None
    from lamella.notebook import line_of_a_cell

    return line_of_a_cell()


def _rich_console(file: TextIO) -> Any | None:
    """A console of rich that writes color; None if rich is not installed."""
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

    # The layout of the line is final: rich must neither wrap nor crop it.
    console.print(Text.assemble(*line, end=""), end=end, soft_wrap=True)
