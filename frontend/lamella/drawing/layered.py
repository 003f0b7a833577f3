"""A layered drawing: where items are, and how the lines between them run, from the first layer to the last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from lamella.drawing.layers import Edge as Edge
from lamella.drawing.layers import Layers, in_layers, in_rows
from lamella.drawing.positions import positions

_BETWEEN_ITEMS, _BETWEEN_LINES = 26.0, 16.0
_BEFORE_TRACKS, _TRACK, _BEHIND_TRACKS = 14.0, 10.0, 20.0
_ROW = 4
"""So many items are in a row where no lines join them."""

Point = tuple[float, float]


class Item(NamedTuple):
    """What has a place in a drawing.

    Attributes:
        across: its size across the flow.
        along: its size along the flow.
        entries: where lines enter it, across from its start; none: wherever they come from.
        exits: where lines leave it; none: in the middle.
    """

    across: float
    along: float
    entries: tuple[float, ...] = ()
    exits: tuple[float, ...] = ()


class Layout(NamedTuple):
    """A finished drawing; points are (across, along).

    Attributes:
        size: of the whole.
        places: where each item begins.
        routes: the corners of each edge's line.
    """

    size: Point
    places: list[Point]
    routes: list[list[Point]]


def layout(items: Sequence[Item], edges: Sequence[Edge], first: Sequence[int] = (), last: Sequence[int] = ()) -> Layout:
    """Place items in layers, with lines that run along the flow, and across it between two layers only.

    Args:
        items: the items.
        edges: the lines, from items to items with higher numbers.
        first: items that are alone in the first layer.
        last: items that are alone in the last layer.
    """
    joined = in_layers(len(items), edges, first, last) if edges or first else in_rows(len(items), _ROW)
    widths = [item.across for item in items] + [0.0] * (len(joined.upper) - len(items))
    passing = range(len(items), len(widths))

    def gap(one: int, other: int) -> float:
        return _BETWEEN_LINES if one in passing or other in passing else _BETWEEN_ITEMS

    middles = positions(joined, widths, gap)
    starts = [middle - width / 2 for middle, width in zip(middles, widths, strict=True)]
    pieces = _pieces(items, edges, joined, starts)
    tracks = [_tracks(piece) for piece in pieces]
    tops, heights, at = list[float](), list[float](), 0.0
    for layer, used in zip(joined.layers, [*tracks, {}], strict=False):
        tops.append(at)
        heights.append(max((items[node].along for node in layer if node < len(items)), default=0.0))
        at += heights[-1] + _BEFORE_TRACKS + _TRACK * max(used.values(), default=0) + _BEHIND_TRACKS
    rank = {node: i for i, layer in enumerate(joined.layers) for node in layer}
    places = [(starts[i], tops[rank[i]] + (heights[rank[i]] - item.along) / 2) for i, item in enumerate(items)]
    ways = {(r, n): (begin, end) for r, found in enumerate(pieces) for begin, end, _, numbers in found for n in numbers}
    routes: list[list[Point]] = []
    for number, (edge, path) in enumerate(zip(edges, joined.paths, strict=True)):
        points = [(ways[rank[path[0]], number][0], places[edge.source][1] + items[edge.source].along)]
        for above in path[:-1]:
            begin, end = ways[rank[above], number]
            if begin != end:
                net = (above, edge.exit if above == edge.source else 0)
                track = tops[rank[above]] + heights[rank[above]] + _BEFORE_TRACKS + _TRACK * tracks[rank[above]][net]
                points += [(begin, track), (end, track)]
        routes.append([*points, (points[-1][0], places[edge.target][1])])
    across = max((start + width for start, width in zip(starts, widths, strict=True)), default=0.0)
    return Layout((across, tops[-1] + heights[-1] if tops else 0.0), places, routes)


Net = tuple[int, int]
"""What leaves one exit of a node: (node, exit)."""

Piece = tuple[float, float, Net, list[int]]
"""A line between two layers: where it begins and where it ends, its net, and the numbers of the edges it is a piece of."""


def _pieces(items: Sequence[Item], edges: Sequence[Edge], joined: Layers, starts: list[float]) -> list[list[Piece]]:
    """For each layer but the last the lines to the next."""
    rank = {node: i for i, layer in enumerate(joined.layers) for node in layer}
    found: list[dict[tuple[Net, int, int], Piece]] = [{} for _ in joined.layers[1:]]
    arriving: dict[int, dict[tuple[float, Net], list[int]]] = defaultdict(dict)
    for number, (edge, path) in enumerate(zip(edges, joined.paths, strict=True)):
        for above, below in pairwise(path):
            net = (above, edge.exit if above == edge.source else 0)
            begin = starts[above]
            if above < len(items):
                exits = items[above].exits
                begin += exits[min(edge.exit, len(exits) - 1)] if exits else items[above].across / 2
            if below < len(items) and not items[below].entries:
                arriving[below].setdefault((begin, net), []).append(number)
                continue
            end = starts[below]
            if below < len(items):
                end += items[below].entries[min(edge.entry, len(items[below].entries) - 1)]
            key = (net, below, edge.entry if below < len(items) else 0)
            found[rank[above]].setdefault(key, (begin, end, net, []))[3].append(number)
    for item, lines in arriving.items():
        ordered = sorted(lines)
        ends = _entries(starts[item], items[item].across, [begin for begin, _ in ordered])
        for (begin, net), end in zip(ordered, ends, strict=True):
            found[rank[item] - 1][net, item, 0] = (begin, end, net, lines[begin, net])
    return [list(pieces.values()) for pieces in found]


def _entries(start: float, width: float, origins: list[float]) -> list[float]:
    """Where lines that come from `origins`, in order, enter an item: straight on where they can, apart from each other."""
    margin = min(12.0, width / 4)
    apart = min(14.0, (width - 2 * margin) / max(len(origins) - 1, 1))
    low, high = start + margin, start + width - margin
    wanted = [min(max(x, low), high) for x in origins]
    # the least squares fit that keeps the order; lines that come straight hardly move
    groups: list[tuple[float, float, int]] = []  # (sum of weighted places, sum of weights, number of lines)
    for i, (origin, x) in enumerate(zip(origins, wanted, strict=True)):
        weight = 100.0 if origin == x else 1.0
        group = (weight * (x - i * apart), weight, 1)
        while groups and groups[-1][0] / groups[-1][1] > group[0] / group[1]:
            last = groups.pop()
            group = (last[0] + group[0], last[1] + group[1], last[2] + group[2])
        groups.append(group)
    places = [total / weight for total, weight, count in groups for _ in range(count)]
    most = high - apart * (len(origins) - 1)
    ends = [min(max(place, low), most) + i * apart for i, place in enumerate(places)]
    return [origin if abs(origin - x) < 1 else x for origin, x in zip(origins, ends, strict=True)]


def _tracks(pieces: list[Piece]) -> dict[Net, int]:
    """For each net that runs across the flow the number of its track between two layers.

    Nets that are at one place across have different tracks, and where one begins above the end of another, it turns first.
    """
    spans: dict[Net, list[float]] = {}
    for begin, end, net, _ in pieces:
        if begin != end:
            spans.setdefault(net, [begin]).append(end)

    def wish(net: Net) -> tuple[float, Net]:
        """Nets that run to the right turn one after another from the right, those to the left from the left."""
        begin, *ends = spans[net]
        return (-begin if sum(ends) / len(ends) > begin else begin, net)

    # net -> those that must turn before it, or two lines would be one above the other at its end
    earlier = {
        net: {other for other in spans if other != net and any(abs(spans[other][0] - end) < 1 for end in ends[1:])}
        for net, ends in spans.items()
    }
    waiting, order = sorted(spans, key=wish), list[Net]()
    while waiting:
        ready = next((net for net in waiting if not earlier[net] & set(waiting)), waiting[0])
        waiting.remove(ready)
        order.append(ready)
    tracks: dict[Net, int] = {}
    for net in order:
        low, high = min(spans[net]), max(spans[net])
        met = [tracks[n] for n in tracks if min(spans[n]) < high + 4 and low < max(spans[n]) + 4]
        tracks[net] = max(met, default=-1) + 1
    return tracks
