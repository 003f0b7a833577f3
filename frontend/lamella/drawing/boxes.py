"""Boxes with a heading and lines of text, and frames around their own drawings, laid out and put into a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lamella.drawing.layered import Edge, Item, Layout, layout
from lamella.drawing.picture import FONT_SIZE, Line, Picture, Point, Rectangle, Text, text_width

_HEADING, _ROW, _PADDING, _MARGIN = 28.0, 19.0, 12.0, 12.0
_LINES, _BORDER, _WHITE, _LABEL, _TEXT, _FRAME = "#64748b", "#94a3b8", "#ffffff", "#64748b", "#0f172a", "#f1f5f9"

DIRECTIONS = ("TB", "BT", "LR", "RL")
"""Where a drawing begins and where it ends: top, bottom, left, right."""


class Box(NamedTuple):
    """A box.

    Attributes:
        heading: the text above, in bold.
        color: that of the heading's ground.
        rows: pairs of a label and a text.
    """

    heading: str
    color: str
    rows: Sequence[tuple[str, str]] = ()


class Port(NamedTuple):
    """A place at the border of a frame, where a line continues within it.

    Attributes:
        first: whether lines enter there; else they leave.
    """

    first: bool


class Frame(NamedTuple):
    """A drawing within a frame.

    Attributes:
        heading: the text above.
        color: that of the heading's ground.
        items: what is in it.
        edges: the lines, from items to items with higher numbers. The ports of entries come first, those of exits last.
    """

    heading: str
    color: str
    items: Sequence[Box | Frame | Port]
    edges: Sequence[Edge]


@dataclass
class _Placed:
    """A box or a frame with its size, and for a frame what is in it."""

    what: Box | Frame | Port
    width: float = 0.0
    height: float = 0.0
    inner: Layout | None = None
    held: Sequence[_Placed] = ()
    origin: Point = (0.0, 0.0)


def drawn(frame: Frame, direction: str = "TB") -> Picture:
    """A picture of what is in a frame, without the frame itself.

    >>> from lamella.drawing import Box, Edge, Frame, drawn
    >>> picture = drawn(Frame("two", "black", [Box("a", "navy"), Box("b", "navy")], [Edge(0, 1)]))
    >>> picture.svg().count("<rect")
    4

    Args:
        frame: the items and the lines between them.
        direction: where it begins and ends: "TB", "BT", "LR" or "RL".
    """
    held = [_sized(item, direction) for item in frame.items]
    inner = _laid_out(frame, held, direction)
    width, height = _true(inner.size, direction)
    shapes: list[Rectangle | Text | Line] = []
    _draw(inner, held, frame, direction, (_MARGIN, _MARGIN), shapes)
    return Picture(frame.heading, width + 2 * _MARGIN, height + 2 * _MARGIN, shapes)


def _flows_down(direction: str) -> bool:
    return direction in ("TB", "BT")


def _true(point: Point, direction: str) -> Point:
    """(x, y) of (across, along), for sizes."""
    return point if _flows_down(direction) else (point[1], point[0])


def _sized(item: Box | Frame | Port, direction: str) -> _Placed:
    if isinstance(item, Port):
        return _Placed(item)
    wide = text_width(item.heading, bold=True) + 2 * _PADDING
    if isinstance(item, Box):
        wide = max([wide, *[_label_width(item) + text_width(text) + 2 * _PADDING for _, text in item.rows]])
        return _Placed(item, wide, _HEADING + (len(item.rows) * _ROW + 9 if item.rows else 0.0))
    held = [_sized(part, direction) for part in item.items]
    inner = _laid_out(item, held, direction)
    width, height = _true(inner.size, direction)
    # the lines of ports reach the border: there is no padding along the flow
    beside, above = (_PADDING, 0.0) if _flows_down(direction) else (0.0, _PADDING)
    if not any(isinstance(part, Port) for part in item.items):
        beside = above = _PADDING
    whole = max(width + 2 * beside, wide)
    origin = ((whole - width) / 2, _HEADING + above)
    return _Placed(item, whole, height + _HEADING + 2 * above, inner, held, origin)


def _label_width(box: Box) -> float:
    return max((text_width(label) + 10 for label, _ in box.rows if label), default=0.0)


def _laid_out(frame: Frame, held: Sequence[_Placed], direction: str) -> Layout:
    items = [_item(placed, direction) for placed in held]
    first = [i for i, placed in enumerate(held) if isinstance(placed.what, Port) and placed.what.first]
    last = [i for i, placed in enumerate(held) if isinstance(placed.what, Port) and not placed.what.first]
    return layout(items, frame.edges, first, last)


def _item(placed: _Placed, direction: str) -> Item:
    across, along = _true((placed.width, placed.height), direction)
    if placed.inner is None:
        return Item(across, along)
    start = placed.origin[0 if _flows_down(direction) else 1]
    ports = [
        (part.what.first, start + placed.inner.places[i][0])
        for i, part in enumerate(placed.held)
        if isinstance(part.what, Port)
    ]
    return Item(across, along, tuple(x for first, x in ports if first), tuple(x for first, x in ports if not first))


def _draw(
    inner: Layout,
    held: Sequence[_Placed],
    frame: Frame,
    direction: str,
    origin: Point,
    shapes: list[Rectangle | Text | Line],
    reach: float = 0.0,
) -> None:
    """Add what is in a frame whose content begins at `origin`: its lines, then its boxes.

    The border, to which the lines of ports lead, is `reach` away from the content.
    """
    whole = inner.size[1]

    def at(point: Point, along: float = 0.0) -> Point:
        """Where a point is in the picture; of an item that begins there, whose size is `along`, its corner."""
        across, flow = point
        if direction in ("BT", "RL"):
            flow = whole - flow - along
        x, y = (across, flow) if _flows_down(direction) else (flow, across)
        return origin[0] + x, origin[1] + y

    for edge, route in zip(frame.edges, inner.routes, strict=True):
        from_border, to_border = (isinstance(held[end].what, Port) for end in (edge.source, edge.target))
        if from_border:
            route = [(route[0][0], route[0][1] - reach), *route]
        if to_border:
            route = [*route, (route[-1][0], route[-1][1] + reach)]
        shapes.append(Line([at(point) for point in route], _LINES, not to_border))
    for placed, point in zip(held, inner.places, strict=True):
        x, y = at(point, _true((placed.width, placed.height), direction)[1])
        if isinstance(placed.what, Box):
            _draw_box(placed, placed.what, x, y, shapes)
        elif isinstance(placed.what, Frame):
            shapes.append(Rectangle(x, y, placed.width, placed.height, _FRAME, placed.what.color, 5.0))
            _draw_heading(placed, placed.what, x, y, shapes)
            assert placed.inner is not None  # noqa: S101 - a frame has been laid out
            within = (x + placed.origin[0], y + placed.origin[1])
            reach = 0.0 if _flows_down(direction) else placed.origin[0]
            _draw(placed.inner, placed.held, placed.what, direction, within, shapes, reach)


def _draw_heading(
    placed: _Placed, what: Box | Frame, x: float, y: float, shapes: list[Rectangle | Text | Line]
) -> None:
    shapes.append(Rectangle(x, y, placed.width, _HEADING, what.color, what.color, 5.0))
    base = y + _HEADING / 2 + FONT_SIZE * 0.36
    shapes.append(Text(x + placed.width / 2, base, what.heading, _WHITE, bold=True, middle=True))


def _draw_box(placed: _Placed, box: Box, x: float, y: float, shapes: list[Rectangle | Text | Line]) -> None:
    shapes.append(Rectangle(x, y, placed.width, placed.height, _WHITE, _BORDER, 5.0))
    _draw_heading(placed, box, x, y, shapes)
    for number, (label, text) in enumerate(box.rows):
        base = y + _HEADING + number * _ROW + 17
        if label:
            shapes.append(Text(x + _PADDING, base, label, _LABEL))
        shapes.append(Text(x + _PADDING + _label_width(box), base, text, _TEXT))
