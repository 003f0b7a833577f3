"""What a model looks like: a table of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import console
from lamella.ir.spec import DTYPES
from lamella.models.trainer import TrainableModel


def summary(
    model: TrainableModel,
    shapes: Sequence[tuple[int | None, ...] | None],
    *,
    line_length: int | None,
    print_fn: Any,
    show_trainable: bool,
) -> None:
    """Print the table, or hand its text to `print_fn`."""
    rows = []
    for name, shape, layer in zip(model.children, shapes, model.layers, strict=True):
        count = console.human_count(layer.count_params()) if layer.built else "not built"
        row = [f"{name} ({type(layer).__name__})", "?" if shape is None else str(shape), count]
        rows.append([*row, "yes" if layer.trainable else "no"] if show_trainable else row)
    columns: list[tuple[str, console.Justify]] = [
        ("Layer (type)", "left"),
        ("Output shape", "left"),
        ("Parameters", "right"),
    ]
    if show_trainable:
        columns.append(("Trainable", "left"))
    console.table(
        f'Model: "{model.name}"', columns, rows, _footer(model), width=line_length, print_fn=print_fn or print
    )


def _footer(model: TrainableModel) -> list[str]:
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


def _count(variables: Any) -> tuple[int, int]:
    sizes = [int(np.prod(v.shape, dtype=np.int64)) for v in variables]
    octets = [n * max(1, DTYPES[v.dtype][1] // 8) for n, v in zip(sizes, variables, strict=True)]
    return sum(sizes), sum(octets)
