"""`model.export(path)`: write a model to a file that runs without lamella, in the format that the ending selects."""

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
    """Write a model's prediction function to a file that runs without lamella; the same as `model.export`.

    Args:
        model: the model.
        path: path that ends in `.py` (one Python file that needs NumPy alone), `.onnx`, or `.stablehlo`.
        weights: for `.py`: "inside" the file (the default), or "beside" it: large weights in an `.npz` file.
        sample: for `.py`: the batch that the file records together with its output; by default a random one.

    Raises:
        ValueError: the ending is not supported, or the format cannot express the model; no file is written.
        TypeError: an option does not apply to the format.
        ImportError: a package that the format needs is not installed.

    Example:
        >>> import os, tempfile
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> model = lamella.Sequential([Input((2,)), Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, os.path.join(folder, "model.py"))
        ...     os.listdir(folder)
        ['model.py']
    """
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
