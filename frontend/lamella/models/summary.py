"""The summary of a model: a table of its layers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamella import console
from lamella.core.variable import Variable
from lamella.errors import ArgumentError, unknown_name
from lamella.ir.spec import DTYPES
from lamella.models.base import BaseModel
from lamella.models.parts import Part, Parts
from lamella.notebook import block, escaped, folded, html_table


def summary(
    model: BaseModel,
    *,
    line_length: int | None,
    print_fn: Callable[[str], Any] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
    positions: Sequence[float] | None,
) -> None:
    """Print the table, or pass its text to `print_fn`; see `Model.summary`."""
    parts = model.shown_parts()
    links = not _all_chains(parts, expand_nested)
    columns = _columns(links, show_trainable)
    rows = _rows(parts, expand_nested, links, show_trainable, layer_range)
    widths = None if positions is None else _widths(positions, line_length or 98, len(columns))
    console.table(
        f'Model: "{model.name}"',
        columns,
        rows,
        _footer(model),
        width=line_length,
        widths=widths,
        file=sys.stdout if print_fn is None else None,
        print_fn=print_fn,
    )


def summary_html(model: BaseModel, picture: str | None) -> str:
    """Return the summary for a notebook: counts, the diagram, and a foldable table of layers.

    Args:
        model: the model.
        picture: its diagram as SVG, or None.
    """
    parts = model.shown_parts()
    links = not _all_chains(parts, expand_nested=True)
    header = [column.header for column in _columns(links, show_trainable=True)]
    table = html_table(header, _rows(parts, expand_nested=True, links=links, show_trainable=True))
    counts = "".join(f"<li>{escaped(line)}</li>" for line in _footer(model))
    drawn = "" if picture is None else f'<div style="overflow:auto;max-height:40em">{picture}</div>'
    about = type(model).__name__
    return block(model.name, about, f"<ul>{counts}</ul>", drawn, folded("Layers", table) if parts.parts else "")


def _columns(links: bool, show_trainable: bool) -> list[console.Column]:
    columns = [console.Column("Layer (type)"), console.Column("Output shape", style="cyan")]
    columns.append(console.Column("Parameters", "right", "green"))
    if links:
        columns.append(console.Column("Connected to"))
    if show_trainable:
        columns.append(console.Column("Trainable"))
    return columns


def _widths(positions: Sequence[float], line_length: int, columns: int) -> list[int]:
    """The width of each column in characters, for columns that end at `positions`.

    Raises:
        ArgumentError: the number of positions is not the number of columns, or a column is too narrow.
    """
    if len(positions) != columns:
        raise ArgumentError(f"positions must have one entry per column ({columns}), got {list(positions)!r}.")
    ends = [round(p * line_length) if max(positions) <= 1 else round(p) for p in positions]
    widths = [end - start - 3 for start, end in zip([0, *ends], ends, strict=False)]
    if min(widths) < 1:
        raise ArgumentError(f"positions must increase by at least 4 characters, got {list(positions)!r}.")
    return widths


def _all_chains(parts: Parts, expand_nested: bool) -> bool:
    if not parts.is_chain:
        return False
    models = [part.layer for part in parts.parts if isinstance(part.layer, BaseModel)] if expand_nested else []
    return all(_all_chains(model.shown_parts(), expand_nested) for model in models)


def _rows(
    parts: Parts,
    expand_nested: bool,
    links: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None = None,
    level: int = 0,
) -> list[list[str]]:
    """One row per layer, for all its calls, and per operation."""
    grouped: dict[int, list[Part]] = {}
    for part in parts.parts:
        grouped.setdefault(id(part if part.layer is None else part.layer), []).append(part)
    groups = list(grouped.values())
    begin, end = _bounds([group[0].name for group in groups], layer_range)
    rows: list[list[str]] = []
    for group in groups[begin:end]:
        layer = group[0].layer
        indent = "   " * level + "└ " if level else ""
        kind = group[0].kind if layer else "operation"
        row = [f"{indent}{group[0].name} ({kind})", ", ".join(dict.fromkeys(p.output_shapes for p in group))]
        row.append(
            "not built" if layer and not layer.built else console.human_count(layer.count_params() if layer else 0)
        )
        if links:
            row.append(",\n".join(_told(parts, source) for part in group for source in part.sources) or "-")
        if show_trainable:
            row.append("-" if layer is None else "yes" if layer.trainable else "no")
        rows.append(row)
        if expand_nested and isinstance(layer, BaseModel):
            rows += _rows(layer.shown_parts(), expand_nested, links, show_trainable, level=level + 1)
    return rows


def _told(parts: Parts, source: tuple[int, int]) -> str:
    """An output of a layer call in Keras's notation: "name[call][output]"."""
    number, output = source
    part = parts.parts[number]
    return f"{part.name}[{part.call}][{output}]"


def _bounds(names: Sequence[str], layer_range: Sequence[str] | None) -> tuple[int, int]:
    """The indices at which a range of names begins and ends.

    Raises:
        ArgumentError: it is not a pair of strings.
        ValueError: no layer has such a name.
    """
    if layer_range is None:
        return 0, len(names)
    if isinstance(layer_range, str) or [isinstance(name, str) for name in layer_range] != [True, True]:
        raise ArgumentError(
            f"layer_range must be a pair of layer names such as ('conv2d', 'flatten'), got {layer_range!r}."
        )
    found = [[i for i, name in enumerate(names) if re.match(pattern, name)] for pattern in layer_range]
    for pattern, numbers in zip(layer_range, found, strict=True):
        if not numbers:
            raise unknown_name("layer", pattern, names)
    low, high = min(found[0]), max(found[1])
    return (low, high + 1) if low <= high else (min(found[1]), max(found[0]) + 1)


def _footer(model: BaseModel) -> list[str]:
    if not model.built:
        return ["The model is not built yet: its input shape is not known."]
    total = _count(model.weights)
    trained = _count(model.trainable_weights)
    return [
        f"Total parameters: {console.human_count(total[0])} ({console.human_bytes(total[1])})",
        f"Trainable parameters: {console.human_count(trained[0])} ({console.human_bytes(trained[1])})",
        f"Non-trainable parameters: {console.human_count(total[0] - trained[0])} "
        f"({console.human_bytes(total[1] - trained[1])})",
    ]


def _count(variables: Iterable[Variable]) -> tuple[int, int]:
    counted = [(int(np.prod(v.shape, dtype=np.int64)), max(1, DTYPES[v.dtype][1] // 8)) for v in variables]
    return sum(count for count, _ in counted), sum(count * octets for count, octets in counted)
