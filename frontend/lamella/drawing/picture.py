"""A picture: rectangles, texts and lines, written as SVG or, with matplotlib, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from lamella.errors import ArgumentError

FONT_SIZE = 13.0
_FONTS = "'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif"
_UNITS_PER_INCH = 96.0
_MOST_PIXELS = 1 << 16
"""matplotlib draws fewer pixels than this along each side."""

Point = tuple[float, float]


class Rectangle(NamedTuple):
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    edge: str = "none"
    radius: float = 0.0


class Text(NamedTuple):
    """One line of text; x is its start, or its middle, and y its base line."""

    x: float
    y: float
    text: str
    color: str
    bold: bool = False
    middle: bool = False


class Line(NamedTuple):
    """A line through points, with an arrowhead at its end where it has one.

    Its pieces are along an axis, and corners are rounded, unless it is `straight`: then it goes through each point.
    """

    points: Sequence[Point]
    color: str
    arrow: bool = True
    straight: bool = False
    dashed: bool = False


class Picture(NamedTuple):
    """What is drawn, in the order in which it is. In a notebook it is shown.

    Attributes:
        title: what it shows.
        width, height: its size, in units of 1/96 inch.
        shapes: rectangles, texts and lines.
    """

    title: str
    width: float
    height: float
    shapes: Sequence[Rectangle | Text | Line]

    def __repr__(self) -> str:
        return f"<picture of {self.title!r}, {self.width:.0f} x {self.height:.0f}>"

    def _repr_svg_(self) -> str:
        return self.svg()

    def svg(self) -> str:
        """The picture as the text of an SVG file, the same for the same picture."""
        size = f'width="{_number(self.width)}" height="{_number(self.height)}"'
        box = f'viewBox="0 0 {_number(self.width)} {_number(self.height)}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} font-family="{_FONTS}" font-size="{_number(FONT_SIZE)}">',
            f"<title>{_escaped(self.title)}</title>",
            *map(_svg_of, self.shapes),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def png(self, dpi: float = 200) -> bytes:
        """The picture as a PNG file, on white.

        Args:
            dpi: pixels per inch.

        Raises:
            ImportError: matplotlib is not installed.
            ArgumentError: the picture would have too many pixels.
        """
        largest = max(self.width, self.height) / _UNITS_PER_INCH * dpi
        if not 0 < largest < _MOST_PIXELS:
            fitting = int(_MOST_PIXELS / max(self.width, self.height) * _UNITS_PER_INCH)
            raise ArgumentError(
                f"dpi={dpi!r} makes the picture {largest:.0f} pixels long, and a PNG can have {_MOST_PIXELS - 1}: give a dpi "
                f"from 1 to {fitting}, or write an SVG."
            )
        return _png_of(self, dpi)


def text_width(text: str, bold: bool = False) -> float:
    """About how wide a text is in the widest of the fonts, so that it fits where another is taken."""
    narrow = sum(character in " .,:;!|()[]'/ijlt" for character in text)
    wide = sum(character in "MW@%mw" or ord(character) > 0x2E7F for character in text)
    units = 0.64 * (len(text) - narrow - wide) + 0.4 * narrow + 1.0 * wide
    return FONT_SIZE * units * (1.12 if bold else 1.0)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _printable(text: str) -> str:
    """A text with what is not a character to see escaped: XML has no place for control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _escaped(text: str) -> str:
    return escape(_printable(text), {'"': "&quot;"})


def _svg_of(shape: Rectangle | Text | Line) -> str:
    if isinstance(shape, Rectangle):
        at = " ".join(f'{name}="{_number(getattr(shape, name))}"' for name in ("x", "y", "width", "height"))
        return f'<rect {at} rx="{_number(shape.radius)}" fill="{shape.fill}" stroke="{shape.edge}"/>'
    if isinstance(shape, Text):
        options = (' font-weight="bold"' if shape.bold else "") + (' text-anchor="middle"' if shape.middle else "")
        at = f'x="{_number(shape.x)}" y="{_number(shape.y)}"'
        return f'<text {at} fill="{shape.color}"{options} xml:space="preserve">{_escaped(shape.text)}</text>'
    dashes = ' stroke-dasharray="5 3"' if shape.dashed else ""
    path = f'<path d="{_path(shape)}" fill="none" stroke="{shape.color}" stroke-width="1.5"{dashes}/>'
    if not shape.arrow:
        return path
    tip = " ".join(f"{_number(x)},{_number(y)}" for x, y in _arrowhead(shape.points))
    return f'{path}<polygon points="{tip}" fill="{shape.color}"/>'


_ROUNDING = 5.0


def _corners(line: Line) -> list[tuple[Point, Point, Point]]:
    """For each corner of a line where its rounding begins, the corner itself, and where the rounding ends."""
    found: list[tuple[Point, Point, Point]] = []
    for before, at, behind in zip(line.points, line.points[1:], line.points[2:], strict=False):
        radius = 0.0 if line.straight else min(_ROUNDING, _distance(before, at) / 2, _distance(at, behind) / 2)
        found.append((_towards(at, before, radius), at, _towards(at, behind, radius)))
    return found


def _path(line: Line) -> str:
    def told(point: Point) -> str:
        return f"{_number(point[0])} {_number(point[1])}"

    if line.straight:
        return f"M{'L'.join(map(told, line.points))}"
    curves = [f"L{told(begin)}Q{told(at)} {told(end)}" for begin, at, end in _corners(line)]
    return f"M{told(line.points[0])}{''.join(curves)}L{told(line.points[-1])}"


def _arrowhead(points: Sequence[Point]) -> list[Point]:
    tip, before = points[-1], points[-2]
    base = _towards(tip, before, 8.0)
    dx, dy = (tip[0] - base[0]) / 8.0 * 3.5, (tip[1] - base[1]) / 8.0 * 3.5
    return [tip, (base[0] - dy, base[1] + dx), (base[0] + dy, base[1] - dx)]


def _distance(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])  # all pieces are along an axis


def _towards(begin: Point, end: Point, length: float) -> Point:
    whole = _distance(begin, end) or 1.0
    return (begin[0] + (end[0] - begin[0]) * length / whole, begin[1] + (end[1] - begin[1]) * length / whole)


def _png_of(picture: Picture, dpi: float) -> bytes:
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
        from matplotlib.path import Path
    except ImportError:
        raise ImportError("PNG needs matplotlib: `pip install matplotlib`. An SVG needs nothing.") from None
    figure: Any = Figure(figsize=(picture.width / _UNITS_PER_INCH, picture.height / _UNITS_PER_INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for order, shape in enumerate(picture.shapes):
        if isinstance(shape, Rectangle):
            style = f"round,pad=0,rounding_size={shape.radius}" if shape.radius else "square,pad=0"
            colors = {"facecolor": shape.fill, "edgecolor": shape.edge, "linewidth": 0.75}
            at = (shape.x, shape.y)
            axes.add_patch(FancyBboxPatch(at, shape.width, shape.height, boxstyle=style, zorder=order, **colors))
        elif isinstance(shape, Text):
            options = {"weight": "bold" if shape.bold else "normal", "ha": "center" if shape.middle else "left"}
            size = FONT_SIZE * 72 / _UNITS_PER_INCH
            text = _printable(shape.text).replace("$", r"\$")  # no mathematics
            axes.text(shape.x, shape.y, text, color=shape.color, fontsize=size, va="baseline", zorder=order, **options)
        else:
            vertices, codes = [shape.points[0]], [Path.MOVETO]
            for begin, at, end in _corners(shape):
                vertices += [begin, at, end]
                codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
            path = Path([*vertices, shape.points[-1]], [*codes, Path.LINETO])
            style = "dashed" if shape.dashed else "solid"
            axes.add_patch(PathPatch(path, fc="none", ec=shape.color, lw=1.1, ls=style, zorder=order))
            if shape.arrow:
                axes.add_patch(Polygon(_arrowhead(shape.points), color=shape.color, linewidth=0, zorder=order))
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=dpi, metadata={"Software": None})
    return written.getvalue()
