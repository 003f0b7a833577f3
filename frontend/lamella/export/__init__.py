"""`model.export(path)`: a model as something that runs without lamella. The ending of the path says what."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lamella.absent import refusing

_ENDINGS = {
    ".py": "one Python file that needs NumPy alone",
    ".onnx": "ONNX",
    ".stablehlo": "StableHLO, by jax.export",
}


def export(model: Any, path: str | os.PathLike[str], *, weights: str | None = None, sample: Any = None) -> None:
    """Write `model`; see `Sequential.export`."""
    name = os.fspath(path)
    ending = next((e for e in _ENDINGS if name.endswith(e)), None)
    if ending is None:
        known = ", ".join(f"{e!r} ({what})" for e, what in _ENDINGS.items())
        raise ValueError(
            f"export writes {known}; {name!r} ends in none of them. model.save writes '.keras' files, to be loaded again."
        )
    given = [word for word, value in (("weights", weights), ("sample", sample)) if value is not None]
    if given and ending != ".py":
        raise TypeError(f"an export to {ending!r} takes no option {', '.join(map(repr, given))}; they are for '.py'.")
    if ending == ".py":
        from lamella.export.to_numpy import export_numpy

        export_numpy(model, name, weights=weights or "inside", sample=sample)
    elif ending == ".onnx":
        from lamella.export.to_onnx import export_onnx

        export_onnx(model, name)
    else:
        from lamella.export.to_stablehlo import export_stablehlo

        export_stablehlo(model, name)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
