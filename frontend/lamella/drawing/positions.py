"""Where nodes are across the flow: the method of Brandes and Köpf (2001), which keeps long lines straight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from lamella.drawing.layers import Layers

Places = dict[int, float]


def positions(graph: Layers, widths: Sequence[float], gap: Callable[[int, int], float]) -> list[float]:
    """The middle of each node; none is less than 0 to the left of its left side.

    Args:
        graph: the layers.
        widths: the width of each node.
        gap: what is left free between two neighbors.
    """
    crossed = _crossed_long_lines(graph)
    found: list[Places] = []
    for down in (True, False):
        for left in (True, False):
            layers = [layer if left else layer[::-1] for layer in (graph.layers if down else graph.layers[::-1])]
            roots = _aligned(layers, graph.upper if down else graph.lower, crossed)
            places = _compact(layers, roots, widths, gap)
            found.append(places if left else {node: -x for node, x in places.items()})
    _bring_together(found, widths)
    middle = [sum(sorted(places[node] for places in found)[1:3]) / 2 for node in range(len(widths))]
    start = min((x - width / 2 for x, width in zip(middle, widths, strict=True)), default=0.0)
    return [x - start for x in middle]


def _crossed_long_lines(graph: Layers) -> set[tuple[int, int]]:
    """The pieces of lines that cross the inner piece of a longer one, which is kept straight instead."""
    found: set[tuple[int, int]] = set()
    for above, below in pairwise(graph.layers):
        places = {node: i for i, node in enumerate(above)}
        start, waiting = 0, 0
        for i, node in enumerate(below):
            inner = next((n for n in graph.upper[node] if n >= graph.items), None) if node >= graph.items else None
            if inner is None and i < len(below) - 1:
                continue
            end = len(above) - 1 if inner is None else places[inner]
            for other in below[waiting : i + 1]:
                for n in graph.upper[other]:
                    if not start <= places[n] <= end and not (other >= graph.items and n >= graph.items):
                        found.add((n, other))
            start, waiting = end, i + 1
    return found


def _aligned(layers: list[list[int]], neighbors: list[list[int]], crossed: set[tuple[int, int]]) -> dict[int, int]:
    """For each node the first of the nodes that are to be in one line with it: each takes one of its middle neighbors."""
    roots = {node: node for layer in layers for node in layer}
    places = {node: i for layer in layers for i, node in enumerate(layer)}
    taken: set[int] = set()
    for layer in layers:
        last = -1
        for node in layer:
            near = sorted(neighbors[node], key=places.__getitem__)
            half = (len(near) - 1) / 2
            for n in near[math.floor(half) : math.ceil(half) + 1] if near else ():
                free = n not in taken and places[n] > last and not {(n, node), (node, n)} & crossed
                if free and roots[node] == node:
                    taken.add(n)
                    roots[node], last = roots[n], places[n]
    return roots


def _compact(
    layers: list[list[int]], roots: dict[int, int], widths: Sequence[float], gap: Callable[[int, int], float]
) -> Places:
    """The nodes as far to the left as they can be, then as near to their right neighbors."""
    before: dict[int, dict[int, float]] = {root: {} for root in roots.values()}
    behind: dict[int, dict[int, float]] = {root: {} for root in roots.values()}
    for layer in layers:
        for one, other in pairwise(layer):
            apart = (widths[one] + widths[other]) / 2 + gap(one, other)
            left, right = roots[one], roots[other]
            behind[left][right] = before[right][left] = max(apart, behind[left].get(right, 0.0))
    order = _sorted_blocks(before, behind)
    xs: dict[int, float] = {}
    for block in order:
        xs[block] = max((xs[n] + apart for n, apart in before[block].items()), default=0.0)
    for block in reversed(order):
        if behind[block]:
            xs[block] = max(xs[block], min(xs[n] - apart for n, apart in behind[block].items()))
    return {node: xs[root] for node, root in roots.items()}


def _sorted_blocks(before: dict[int, dict[int, float]], behind: dict[int, dict[int, float]]) -> list[int]:
    """The blocks, each behind those to its left."""
    missing = {block: len(found) for block, found in before.items()}
    order = [block for block, count in missing.items() if not count]
    for block in order:
        for n in behind[block]:
            missing[n] -= 1
            if not missing[n]:
                order.append(n)
    return order


def _bring_together(found: list[Places], widths: Sequence[float]) -> None:
    """Move the four arrangements over the narrowest: two begin where it begins, two end where it ends."""

    def ends(places: Places) -> tuple[float, float]:
        return (
            min((x - widths[node] / 2 for node, x in places.items()), default=0.0),
            max((x + widths[node] / 2 for node, x in places.items()), default=0.0),
        )

    start, end = min((ends(places) for places in found), key=lambda both: both[1] - both[0])
    for i, places in enumerate(found):
        left, right = ends(places)
        shift = start - left if i % 2 == 0 else end - right
        for node in places:
            places[node] += shift
