"""`model.export("net.stablehlo")`: a model as a portable artifact of `jax.export`."""

from __future__ import annotations

import os
from typing import Any

from lamella.export.symbolic import inference_of
from lamella.files.atomic import write_atomically


def export_stablehlo(model: Any, path: str | os.PathLike[str]) -> None:
    """Write `model` as StableHLO; see `Sequential.export`."""
    from lamella.backend_api import load_backend
    from lamella.ops import primitives as p

    backend = load_backend("jax")
    inference = inference_of(model, lambda op: op is not p.attention and backend.has(op))  # a file is for every device
    write_atomically(path, backend.serialized(inference.program, inference.weights))
