"""Drawings as text for Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from lamella.drawing.boxes import Box, Frame, Port


def dot_of(frame: Frame, direction: str = "TB", splines: str = "ortho", dpi: float = 200) -> str:
    """A drawing in the DOT language: a box for each box, a cluster for each frame, a point where a line enters one.

    >>> from lamella.drawing.layered import Edge
    >>> print(dot_of(Frame("net", "#000000", [Box("a", "#000000"), Box("b", "#000000")], [Edge(0, 1)])))
    digraph "net" {
      graph [rankdir=TB, splines=ortho, dpi=200];
      node [shape=box];
      n0 [label="a"];
      n1 [label="b"];
      n0 -> n1;
    }

    Args:
        frame: the drawing.
        direction: where it begins and ends: "TB", "BT", "LR" or "RL".
        splines: how Graphviz draws lines: "ortho", "curved", "polyline", "spline" or "line".
        dpi: pixels per inch, where Graphviz makes an image of pixels.
    """
    lines = [f"digraph {_quoted(frame.heading)} {{", f"  graph [rankdir={direction}, splines={splines}, dpi={dpi:g}];"]
    return "\n".join([*lines, "  node [shape=box];", *_body(frame, "n", "  "), "}"])


def _body(frame: Frame, prefix: str, indent: str) -> Iterator[str]:
    for i, item in enumerate(frame.items):
        name = f"{prefix}{i}"
        if isinstance(item, Frame):
            yield f"{indent}subgraph cluster_{name} {{"
            yield f"{indent}  label={_quoted(item.heading)};"
            yield from _body(item, f"{name}_", f"{indent}  ")
            yield f"{indent}}}"
        elif isinstance(item, Port):
            yield f"{indent}{name} [shape=point];"
        else:
            rows = [f"{label}: {text}".removeprefix(": ") for label, text in item.rows]
            yield f"{indent}{name} [label={_quoted(chr(10).join([item.heading, *rows]))}];"
    for edge in dict.fromkeys(frame.edges):
        source = _port(frame.items[edge.source], f"{prefix}{edge.source}", edge.exit, first=False)
        target = _port(frame.items[edge.target], f"{prefix}{edge.target}", edge.entry, first=True)
        yield f"{indent}{source} -> {target};"


def _port(item: Box | Frame | Port, name: str, number: int, *, first: bool) -> str:
    """The node at which a line meets an item."""
    if not isinstance(item, Frame):
        return name
    ports = [i for i, inner in enumerate(item.items) if isinstance(inner, Port) and inner.first == first]
    return f"{name}_{ports[number]}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
