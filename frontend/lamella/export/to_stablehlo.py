"""`model.export("net.stablehlo")`: a model as a portable artifact of `jax.export`."""

from __future__ import annotations

import os
from typing import Any

from lamella.export.symbolic import Count, inference_of
from lamella.files.atomic import write_atomically
from lamella.ir.program import Equation, Program
from lamella.ir.spec import Spec


def export_stablehlo(model: Any, path: str | os.PathLike[str]) -> None:
    """Write `model` as StableHLO; see `Sequential.export`."""
    from lamella.backend_api import load_backend

    backend = load_backend("jax")
    inference = inference_of(model, backend.has)
    dtype = inference.batch.dtype
    batch = Spec(inference.batch.shape, dtype)
    data = backend.serialized(inference.program, inference.weights, batch, inference.rows, at)
    write_atomically(path, data)


def at(attribute: Any, rows: Any) -> Any:
    """An attribute of an equation for a number of rows, bodies of loops included."""
    if isinstance(attribute, Count):
        return attribute.at(rows)
    if isinstance(attribute, tuple):
        return tuple(at(item, rows) for item in attribute)
    if isinstance(attribute, Program):
        # a body is computed as it stands, so its numbers are filled in now
        equations = [
            Equation(e.op, e.inputs, {k: at(v, rows) for k, v in e.attrs.items()}, e.outputs, e.where)
            for e in attribute.equations
        ]
        return Program(attribute.inputs, equations, attribute.outputs, attribute.input_names, attribute.output_names)
    return attribute
