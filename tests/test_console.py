from __future__ import annotations

import io
import re
import subprocess
import sys
import time
import timeit

import pytest

from lamella import console
from lamella.console import Column, Progress, Transfer, format_number, format_seconds, human_bytes, human_count, table

COLUMNS = [Column("Layer (type)"), ("Output Shape", "left"), Column("Param #", "right")]
ROWS = [["conv2d (Conv2D)", "(None, 26, 26, 32)", "320"], ["dense (Dense)", "(None, 10)", "54,090"]]
FOOTER = [" Total params: 54,410 (212.54 KB)"]

SUMMARY = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)    ┃ Output Shape       ┃ Param # ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ conv2d (Conv2D) │ (None, 26, 26, 32) │     320 │
│ dense (Dense)   │ (None, 10)         │  54,090 │
└─────────────────┴────────────────────┴─────────┘
 Total params: 54,410 (212.54 KB)"""

SUMMARY_IN_ASCII = """\
Model: "sequential"
+=================+====================+=========+
| Layer (type)    | Output Shape       | Param # |
+=================+====================+=========+
| conv2d (Conv2D) | (None, 26, 26, 32) |     320 |
| dense (Dense)   | (None, 10)         |  54,090 |
+-----------------+--------------------+---------+
 Total params: 54,410 (212.54 KB)"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines_on_screen(self) -> list[str]:
        """What a person reads in the end: later text is over earlier text of the same line."""
        screen = []
        for line in without_colors(self.getvalue()).split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            screen.append(shown.rstrip())
        return screen


class AsciiFile(io.StringIO):
    encoding = "ascii"


def without_colors(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(params=["rich", "no rich"])
def rich_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if request.param == "rich":
        pytest.importorskip("rich")
    else:
        for name in {"rich", "rich.console", "rich.text", *(name for name in sys.modules if name.startswith("rich."))}:
            monkeypatch.setitem(sys.modules, name, None)
    return request.param


def test_the_table_has_the_same_text_with_and_without_rich(rich_or_not: str) -> None:
    terminal, pipe, printed = Terminal(), io.StringIO(), []
    assert table('Model: "sequential"', COLUMNS, ROWS, FOOTER) == SUMMARY
    assert table('Model: "sequential"', COLUMNS, ROWS, FOOTER, file=terminal) == SUMMARY
    assert table('Model: "sequential"', COLUMNS, ROWS, FOOTER, file=pipe) == SUMMARY
    assert table('Model: "sequential"', COLUMNS, ROWS, FOOTER, print_fn=printed.append) == SUMMARY
    assert without_colors(terminal.getvalue()) == SUMMARY + "\n"
    assert ("\x1b" in terminal.getvalue()) == (rich_or_not == "rich")
    assert pipe.getvalue() == SUMMARY + "\n"
    assert printed == [SUMMARY]


def test_colors_can_be_asked_for_and_refused(rich_or_not: str) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    table("", COLUMNS, ROWS, file=terminal, plain=True)
    table("", COLUMNS, ROWS, file=pipe, plain=False)
    assert "\x1b" not in terminal.getvalue()
    assert ("\x1b" in pipe.getvalue()) == (rich_or_not == "rich")
    assert without_colors(pipe.getvalue()) == terminal.getvalue()


def test_a_stream_without_box_characters_gets_ascii() -> None:
    file = AsciiFile()
    table('Model: "sequential"', COLUMNS, ROWS, FOOTER, file=file)
    assert file.getvalue() == SUMMARY_IN_ASCII + "\n"


def test_a_narrow_table_breaks_its_cells() -> None:
    rows = [["  a_long_name (TimeDistributed)", "two\nlines"], ["層層層層層層層層 x", "[bold]"]]
    assert table("", [("Layer", "left"), ("Note", "center")], rows, width=27).split("\n") == [
        "┏━━━━━━━━━━━━━━━━┳━━━━━━━━┓",
        "┃ Layer          ┃  Note  ┃",
        "┡━━━━━━━━━━━━━━━━╇━━━━━━━━┩",
        "│   a_long_name  │  two   │",
        "│ (TimeDistribut │ lines  │",
        "│ ed)            │        │",
        "│ 層層層層層層層 │ [bold] │",
        "│ 層 x           │        │",
        "└────────────────┴────────┘",
    ]


def test_a_terminal_limits_the_width_of_a_table(rich_or_not: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    terminal = Terminal()
    table('Model: "sequential"', COLUMNS, ROWS, FOOTER, file=terminal)
    assert {len(line) for line in terminal.lines_on_screen()[1:7]} == {44}
    assert "(None, 26," in terminal.getvalue()


def test_cells_cannot_steer_the_terminal() -> None:
    text = table("\x1b[2J", [("a\rb", "left")], [["\x1b]0;title\x07"]])
    assert text.isascii() is False
    assert all(character.isprintable() for character in text.replace("\n", ""))


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 columns cannot take a row of 2 cells: \\['a', 'b'\\]"):
        table("", COLUMNS, [["a", "b"]])


def train(file: io.StringIO | None, verbose: int, epochs: int = 3, steps: int | None = 4) -> None:
    with Progress(epochs, steps, verbose, file) as progress:
        for epoch in range(epochs):
            progress.begin_epoch(epoch)
            for step in range(1, 5):
                progress.update(step, {"accuracy": 0.25 * step, "loss": 1e-4})
            progress.end_epoch({"accuracy": 0.9713, "loss": 1e-4, "val_loss": 12.34567}, seconds=1.2 + epoch)


PERMANENT_LINES = [
    "Epoch 1/3 - 4/4 - 1.2s - 300ms/step - accuracy: 0.9713 - loss: 1.0000e-04 - val_loss: 12.3457",
    "Epoch 2/3 - 4/4 - 2.2s - 550ms/step - accuracy: 0.9713 - loss: 1.0000e-04 - val_loss: 12.3457",
    "Epoch 3/3 - 4/4 - 3.2s - 800ms/step - accuracy: 0.9713 - loss: 1.0000e-04 - val_loss: 12.3457",
]


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_pipe_gets_one_line_per_epoch(rich_or_not: str, verbose: int) -> None:
    pipe = io.StringIO()
    train(pipe, verbose)
    assert pipe.getvalue().split("\n") == [*PERMANENT_LINES, ""]


class Cell:
    """IPython as it is in a notebook's kernel: every display has a handle that puts something else in its place."""

    def __init__(self, kernel: object = "a kernel") -> None:
        self.kernel, self.shown, self.updates = kernel, [], 0

    def get_ipython(self) -> Cell:
        return self

    def display(self, what: object, display_id: bool) -> Handle:
        assert display_id
        self.shown.append(what)
        return Handle(self, len(self.shown) - 1)

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Cell:
        monkeypatch.setitem(sys.modules, "IPython", self)
        monkeypatch.setitem(sys.modules, "IPython.display", self)
        return self


class Handle:
    def __init__(self, cell: Cell, place: int) -> None:
        self.cell, self.place = cell, place

    def update(self, what: object) -> None:
        self.cell.shown[self.place] = what
        self.cell.updates += 1


def test_a_notebook_shows_a_line_that_is_drawn_over_itself(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    pytest.importorskip("rich")
    cell = Cell().installed(monkeypatch)
    monkeypatch.setattr(Progress, "redraw_seconds", 0.0)
    train(None, 1)
    bundles = [text._repr_mimebundle_([], []) for text in cell.shown]
    assert [without_colors(bundle["text/plain"]) for bundle in bundles] == PERMANENT_LINES
    assert all(bundle["text/html"].startswith("<pre") for bundle in bundles)
    assert cell.updates == 3 * 5  # the beginning is the first display of an epoch; four steps and the end follow
    progress = Progress(3, 4, 1)
    progress.begin_epoch(0)
    progress.update(2, {"loss": 0.5})
    drawn = cell.shown[-1]._repr_mimebundle_([], [])
    assert without_colors(drawn["text/plain"]).startswith("Epoch 1/3 ━")
    assert "</span>" in drawn["text/html"] and len(drawn["text/plain"].split("\n")) == 1
    progress.close()
    progress.begin_epoch(0)
    assert len(cell.shown) == 5  # below the line that was left
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("case", ["a terminal's IPython", "verbose=2", "no rich"])
def test_elsewhere_ipython_gets_plain_lines(case: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    cell = Cell(None if case == "a terminal's IPython" else "a kernel").installed(monkeypatch)
    if case == "no rich":
        for name in {"rich", "rich.text", *(name for name in sys.modules if name.startswith("rich."))}:
            monkeypatch.setitem(sys.modules, name, None)
    train(None, 2 if case == "verbose=2" else 1)
    assert capsys.readouterr().out.split("\n") == [*PERMANENT_LINES, ""]
    assert cell.shown == []


@pytest.mark.parametrize("terminal", [True, False])
def test_verbose_0_is_silent(rich_or_not: str, terminal: bool) -> None:
    file = Terminal() if terminal else io.StringIO()
    train(file, verbose=0)
    assert file.getvalue() == ""


def test_a_terminal_keeps_one_line_per_epoch(rich_or_not: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "redraw_seconds", 0.0)
    terminal = Terminal()
    train(terminal, verbose=1)
    drawn = without_colors(terminal.getvalue()).replace("\n", "\r").split("\r")
    assert terminal.lines_on_screen() == [*PERMANENT_LINES, ""]
    assert drawn[0] == "Epoch 1/3 ────────────────────────────── 0/4"
    assert re.fullmatch(r"Epoch 1/3 ━+─+ 2/4 - \w+/step - accuracy: 0.5000 - loss: 1.0000e-04 *", drawn[2])
    assert len(drawn) == 3 * 6 + 1
    assert ("\x1b" in terminal.getvalue()) == (rich_or_not == "rich")


def test_with_and_without_rich_the_live_line_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Progress, "redraw_seconds", 0.0)
    clock = iter(range(1000))
    monkeypatch.setattr(console.time, "perf_counter", lambda: next(clock))
    rich_terminal = Terminal()
    train(rich_terminal, verbose=1)
    clock = iter(range(1000))
    monkeypatch.setattr(console, "_rich_console", lambda file: None)
    plain_terminal = Terminal()
    train(plain_terminal, verbose=1)
    assert without_colors(rich_terminal.getvalue()) == plain_terminal.getvalue() != rich_terminal.getvalue()


def test_a_live_line_never_wraps_and_is_redrawn_ten_times_a_second_at_most(
    rich_or_not: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    now = 0.0
    monkeypatch.setattr(console.time, "perf_counter", lambda: now)
    terminal = Terminal()
    progress = Progress(1, 1000, 1, terminal)
    progress.begin_epoch(0)
    for step in range(1, 1001):
        now = step / 64
        progress.update(step, {"a_metric_with_a_long_name": 0.5, "loss": 0.5})
    progress.close()
    drawn = without_colors(terminal.getvalue()).rstrip("\n").split("\r")
    assert 100 < len(drawn) <= 10 * 1000 / 64 + 1
    assert max(map(len, drawn)) <= 39
    assert drawn[-1].rstrip() == "Epoch 1/1 994/1000 - 16ms/step - ETA 0s"


def test_an_interrupted_epoch_leaves_its_line(rich_or_not: str) -> None:
    terminal = Terminal()
    with pytest.raises(KeyboardInterrupt), Progress(1, 4, 1, terminal) as progress:
        progress.begin_epoch(0)
        raise KeyboardInterrupt
    progress.close()
    assert terminal.lines_on_screen() == ["Epoch 1/1 ────────────────────────────── 0/4", ""]


def test_the_first_step_does_not_spoil_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    now = 0.0
    monkeypatch.setattr(console.time, "perf_counter", lambda: now)
    terminal = Terminal()
    progress = Progress(1, 101, 1, terminal)
    progress.begin_epoch(0)
    now = 30.0
    progress.update(1, {})
    now = 31.0
    progress.update(2, {})
    progress.close()
    assert "2/101 - 1.0s/step - ETA 1m39s" in terminal.lines_on_screen()[0]


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, ""), (1.0, " - ETA 15s")])
def test_the_remaining_time_is_shown_for_epochs_over_ten_seconds(
    seconds: float, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    now = 0.0
    monkeypatch.setattr(console.time, "perf_counter", lambda: now)
    terminal = Terminal()
    progress = Progress(1, 20, 1, terminal)
    progress.begin_epoch(0)
    for step in range(1, 6):
        now = step * seconds
        progress.update(step, {"loss": 0.5})
    progress.close()
    pace = console.format_seconds(seconds)
    assert terminal.lines_on_screen()[0].rstrip().endswith(f"5/20 - {pace}/step{shown} - loss: 0.5000")


def test_steps_may_be_unknown_cut_short_or_never_reported() -> None:
    pipe = io.StringIO()
    train(pipe, verbose=1, epochs=1, steps=None)
    train(pipe, verbose=1, epochs=1, steps=8)
    whole_epoch = Progress(1, 8, 1, pipe)
    whole_epoch.begin_epoch(0)
    whole_epoch.end_epoch({}, seconds=0.008)
    evaluation = Progress(0, 8, 1, pipe)
    evaluation.begin_epoch()
    evaluation.end_epoch({"loss": 0.5}, seconds=80)
    assert pipe.getvalue().split("\n") == [
        "Epoch 1/1 - 4 steps - 1.2s - 300ms/step - accuracy: 0.9713 - loss: 1.0000e-04 - val_loss: 12.3457",
        "Epoch 1/1 - 4/8 - 1.2s - 300ms/step - accuracy: 0.9713 - loss: 1.0000e-04 - val_loss: 12.3457",
        "Epoch 1/1 - 8/8 - 8ms - 1ms/step",
        "8/8 - 1m20s - 10.0s/step - loss: 0.5000",
        "",
    ]


@pytest.mark.parametrize("verbose", [-1, 3, "auto", None])
def test_other_verbosities_are_refused(verbose: object) -> None:
    with pytest.raises(ValueError, match=f"got {verbose!r}"):
        Progress(1, 1, verbose)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_update_that_draws_nothing_costs_under_two_microseconds(terminal: bool) -> None:
    progress = Progress(1, 10**9, 1, Terminal() if terminal else io.StringIO())
    progress.begin_epoch(0)
    progress._next_draw = time.perf_counter() + 3600
    logs = {"loss": 0.5}
    seconds = min(timeit.repeat(lambda: progress.update(7, logs), number=2000, repeat=20)) / 2000
    assert seconds < 2e-6


def test_rich_is_not_imported_before_a_terminal_needs_it() -> None:
    # A fresh interpreter: this one may have imported rich for another test.
    script = """if True:
        import io, sys
        from lamella.console import Progress, table
        before = set(sys.modules)
        table("", [("a", "left")], [["b"]], file=io.StringIO())
        Progress(1, 1, 1, io.StringIO()).end_epoch({}, 1.0)
        print(sorted(name for name in sys.modules if name.partition(".")[0] == "rich"))"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97131, "0.9713"),
        (12345.678, "12345.6780"),
        (1.01e-3, "0.0010"),
        (1e-3, "1.0000e-03"),
        (0, "0.0000e+00"),
        (-0.5, "-0.5000"),
        (-1e-5, "-1.0000e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_look_like_those_of_keras(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0us"),
        (3.5e-4, "350us"),
        (9.996e-4, "1ms"),
        (0.021, "21ms"),
        (0.9996, "1.0s"),
        (1.23, "1.2s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3599.6, "1h00m"),
        (3780, "1h03m"),
        (90000, "25h00m"),
    ],
)
def test_times_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_counts_and_sizes() -> None:
    assert [human_count(number) for number in (0, 999, 1234, 1234567)] == ["0", "999", "1,234", "1,234,567"]
    sizes = [0, 1023, 1024, 6952, 3 * 1024**2, 5 * 1024**3, 7 * 1024**5]
    expected = ["0.00 B", "1023.00 B", "1.00 KB", "6.79 KB", "3.00 MB", "5.00 GB", "7.00 PB"]
    assert [human_bytes(size) for size in sizes] == expected


def test_a_download_counts_bytes(rich_or_not: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transfer, "redraw_seconds", 0.0)
    terminal, pipe = Terminal(), io.StringIO()
    for file in (terminal, pipe):
        with Transfer(2**21, file=file) as transfer:
            transfer.begin_epoch()
            transfer.update(2**20, {})
            transfer.update(2**21, {})
            transfer.end_epoch({}, seconds=2.0)
    assert "1.00 MB/2.00 MB - " in without_colors(terminal.getvalue())
    for lines in (terminal.lines_on_screen(), pipe.getvalue().split("\n")):
        assert lines == ["2.00 MB - 2.0s - 1.00 MB/s", ""]
    unknown = io.StringIO()
    with Transfer(None, file=unknown) as transfer:
        transfer.begin_epoch()
        transfer.update(1024, {})
        transfer.end_epoch({}, seconds=0.5)
    assert unknown.getvalue() == "1.00 KB - 500ms - 2.00 KB/s\n"
