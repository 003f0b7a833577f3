"""Which layer of a drawing each item is in, and the order of the items within a layer."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

_SWEEPS = 12


class Edge(NamedTuple):
    """A line from one of the exits of an item to one of the entries of another."""

    source: int
    target: int
    exit: int = 0
    entry: int = 0


class Layers(NamedTuple):
    """A graph in layers, in which every line leads from one layer to the next.

    Attributes:
        layers: the nodes of each layer in order. The items come first in the count of nodes, then the places at which longer
            lines pass through a layer.
        upper: for each node those of the layer before that lead to it.
        lower: for each node those of the layer behind that it leads to.
        paths: for each edge the nodes that it passes, its ends included.
        items: the number of items.
    """

    layers: list[list[int]]
    upper: list[list[int]]
    lower: list[list[int]]
    paths: list[list[int]]
    items: int


def in_layers(count: int, edges: Sequence[Edge], first: Sequence[int] = (), last: Sequence[int] = ()) -> Layers:
    """The layers of a graph without cycles, its lines crossing as little as a few sweeps can do.

    Args:
        count: the number of items.
        edges: the lines, from items to items with higher numbers.
        first: items that are alone in the first layer.
        last: items that are alone in the last layer.
    """
    ranks = _ranks(count, edges, set(first), set(last))
    upper: list[list[int]] = [[] for _ in range(count)]
    lower: list[list[int]] = [[] for _ in range(count)]
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for item, rank in enumerate(ranks):
        layers[rank].append(item)

    def joined(above: int, below: int) -> None:
        if below not in lower[above]:
            lower[above].append(below)
            upper[below].append(above)

    passed: dict[tuple[int, int], list[int]] = {}  # lines from one exit share their way
    paths: list[list[int]] = []
    for source, target, exit_, _ in edges:
        way = passed.setdefault((source, exit_), [source])
        while len(way) < ranks[target] - ranks[source]:
            layers[ranks[source] + len(way)].append(len(upper))
            upper.append([])
            lower.append([])
            way.append(len(upper) - 1)
            joined(*way[-2:])
        path = [*way[: ranks[target] - ranks[source]], target]
        joined(*path[-2:])
        paths.append(path)
    return Layers(_ordered(layers, upper, lower), upper, lower, paths, count)


def _ranks(count: int, edges: Sequence[Edge], first: set[int], last: set[int]) -> list[int]:
    """The number of each item's layer: as far up as lines allow, and what no line leads to just above what it leads to."""
    into: list[list[int]] = [[] for _ in range(count)]
    out: list[list[int]] = [[] for _ in range(count)]
    for edge in edges:
        into[edge.target].append(edge.source)
        out[edge.source].append(edge.target)
    ranks = [0] * count
    for item in range(count):
        free = 1 if first and item not in first else 0
        ranks[item] = max((ranks[source] + 1 for source in into[item]), default=free)
    for item in range(count):
        if not into[item] and out[item] and item not in first:
            ranks[item] = min(ranks[target] for target in out[item]) - 1
    end = max((ranks[item] for item in range(count) if item not in last), default=-1) + 1
    for item in last:
        ranks[item] = end
    return ranks


def in_rows(count: int, length: int) -> Layers:
    """Items without lines between them in rows of a length."""
    layers = [list(range(start, min(start + length, count))) for start in range(0, count, length)]
    return Layers(layers, [[] for _ in range(count)], [[] for _ in range(count)], [], count)


def _ordered(layers: list[list[int]], upper: list[list[int]], lower: list[list[int]]) -> list[list[int]]:
    """The layers, their nodes sorted by the middle of their neighbors, up and down in turn; the best order that was met."""
    best, fewest = [layer[:] for layer in layers], _crossings(layers, lower)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        neighbors = upper if down else lower
        for layer, fixed in _pairs(layers, down):
            places = {node: i for i, node in enumerate(fixed)}
            own = {node: i for i, node in enumerate(layer)}
            middle = {node: _middle([places[n] for n in neighbors[node]], own[node]) for node in layer}
            # where two have the same middle, every other pair of sweeps swaps them
            layer.sort(key=lambda n, m=middle, o=own: (m[n], o[n] if sweep % 4 < 2 else -o[n]))
        crossings = _crossings(layers, lower)
        if crossings < fewest:
            best, fewest = [layer[:] for layer in layers], crossings
    return best


def _pairs(layers: list[list[int]], down: bool) -> Iterator[tuple[list[int], list[int]]]:
    """Each layer with the one whose order it follows."""
    order = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
    for i in order:
        yield layers[i], layers[i - 1 if down else i + 1]


def _middle(places: list[int], own: int) -> float:
    return sum(places) / len(places) if places else own


def _crossings(layers: list[list[int]], lower: list[list[int]]) -> int:
    """How many pairs of lines cross."""
    total = 0
    for above, below in pairwise(layers):
        places = {node: i for i, node in enumerate(below)}
        met: list[int] = []
        for node in above:
            ends = sorted(places[n] for n in lower[node])
            total += sum(len(met) - bisect_right(met, end) for end in ends)
            for end in ends:
                insort(met, end)
    return total
