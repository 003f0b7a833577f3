"""Curves over whole numbers, in small panels side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lamella.drawing.picture import Line, Picture, Point, Rectangle, Text, text_width

_PANEL, _PLOT = (380.0, 190.0), (290.0, 110.0)
_LEFT, _TOP = 70.0, 34.0
_COLUMNS = 2
_MOST_PANELS, _MOST_LABEL = 12, 40
_GRID, _TEXT, _LABEL = "#e2e8f0", "#0f172a", "#64748b"
_COLORS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea")


class Curve(NamedTuple):
    """A curve.

    Attributes:
        label: what it shows.
        points: pairs (x, y), x increasing; a y that is not a number, or has more than 300 digits, interrupts it.
        dashed: whether the line is dashed.
    """

    label: str
    points: Sequence[Point]
    dashed: bool = False


def plotted(title: str, panels: Sequence[Sequence[Curve]]) -> Picture:
    """A picture of panels, each with curves that share its axes; of more than twelve panels the first.

    A curve is drawn through at most two points per unit of its width: the smallest and the largest value there.

    >>> plotted("losses", [[Curve("loss", [(1, 0.5), (2, 0.25)])]])
    <picture of 'losses', 380 x 190>

    Args:
        title: what the picture shows.
        panels: the curves of each panel.
    """
    panels = panels[:_MOST_PANELS]
    columns = min(len(panels), _COLUMNS)
    size = (_PANEL[0] * columns, _PANEL[1] * -(-len(panels) // max(columns, 1)))
    shapes: list[Rectangle | Text | Line] = [Rectangle(0, 0, *size, "#ffffff")]
    for number, curves in enumerate(panels):
        row, column = divmod(number, columns)
        shapes += _panel(curves, (column * _PANEL[0] + _LEFT, row * _PANEL[1] + _TOP))
    return Picture(title, *size, shapes)


def _panel(curves: Sequence[Curve], origin: Point) -> Iterator[Rectangle | Text | Line]:
    """The shapes of one panel, whose upper left corner of the axes is `origin`."""
    points = [point for curve in curves for point in curve.points if _is_drawn(point[1])]
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    low_x, high_x = min(xs), max(xs)
    ticks = _ticks(min(ys), max(ys))
    low, high = min(ticks[0], *ys), max(ticks[-1], *ys)

    def place(x: float, y: float) -> Point:
        across = (x - low_x) / (high_x - low_x) if high_x > low_x else 0.5
        # halves, so that the difference of two large numbers is finite
        up = (y / 2 - low / 2) / (high / 2 - low / 2)
        return origin[0] + across * _PLOT[0], origin[1] + (1 - up) * _PLOT[1]

    for tick in ticks:
        y = place(low_x, tick)[1]
        yield Line([(origin[0], y), (origin[0] + _PLOT[0], y)], _GRID, arrow=False)
        label = f"{tick:.4g}"
        yield Text(origin[0] - 8 - text_width(label), y + 4, label, _LABEL)
    for x in dict.fromkeys((low_x, high_x)):
        yield Text(place(x, low)[0], origin[1] + _PLOT[1] + 20, f"{x:.6g}", _LABEL, middle=True)
    start = origin[0]
    for curve, color in zip(curves, _COLORS, strict=False):
        label = curve.label if len(curve.label) <= _MOST_LABEL else f"{curve.label[: _MOST_LABEL - 1]}…"
        yield Text(start, origin[1] - 12, label, color, bold=True)
        start += text_width(label, bold=True) + 14
        for part in _parts(curve.points):
            placed = [place(x, y) for x, y in _thinned(part)]
            if len(placed) > 1:
                yield Line(placed, color, arrow=False, straight=True, dashed=curve.dashed)
            else:
                yield Rectangle(placed[0][0] - 2.5, placed[0][1] - 2.5, 5, 5, color, radius=2.5)


def _is_drawn(y: float) -> bool:
    """Whether a value is a number, of a size that axes can have."""
    return abs(y) < 1e300


def _parts(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Successive points with finite values."""
    part: list[Point] = []
    for x, y in points:
        if _is_drawn(y):
            part.append((x, y))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _thinned(points: list[Point]) -> list[Point]:
    """Of many points the lowest and the highest of each unit of the width."""
    size = math.ceil(len(points) / _PLOT[0])
    if size <= 2:
        return points
    kept: list[Point] = []
    for start in range(0, len(points), size):
        group = points[start : start + size]
        kept += sorted({min(group, key=lambda p: p[1]), max(group, key=lambda p: p[1])})
    return [points[0], *[point for point in kept if points[0][0] < point[0] < points[-1][0]], points[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers, the first not above `low`, the last not below `high` as far as floats go."""
    spread = high / 2 - low / 2
    if not spread > 1e-12 * max(abs(low), abs(high)):
        spread = abs(high) / 4 or 0.5
        low, high = low - spread, high + spread
    raw = spread / 2  # four steps
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1, 2, 2.5, 5) if m * power >= raw), 10 * power)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [n * step for n in range(first, last + 1)]
