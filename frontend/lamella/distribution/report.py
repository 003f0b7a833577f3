"""Where the weights of a model lie, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamella.backend_api import Layout, Mesh
from lamella.ir.spec import Spec, numpy_dtype


class Report:
    """Where the weights of a model lie; printed, a table.

    Attributes:
        weights: path, spec and layout of each weight.
        remarks: what may not be meant: expressions that match nothing, weights that are whole everywhere.
    """

    def __init__(self, mesh: Mesh, weights: Sequence[tuple[str, Spec, Layout]], remarks: Sequence[str]) -> None:
        self._mesh, self.weights, self.remarks = mesh, list(weights), list(remarks)

    @property
    def bytes_in_all(self) -> int:
        """The bytes of all weights."""
        return sum(int(np.prod(spec.shape)) * numpy_dtype(spec.dtype).itemsize for _, spec, _ in self.weights)

    @property
    def bytes_per_device(self) -> int:
        """The bytes of weights that each device holds."""
        return sum(
            self._mesh.share(spec.shape, layout) * numpy_dtype(spec.dtype).itemsize for _, spec, layout in self.weights
        )

    def __repr__(self) -> str:
        rows = [("weight", "shape", "split along")]
        rows += [
            (path, str(spec.shape), " ".join(f"{i}: {a}" for i, a in enumerate(axes) if a is not None) or "-")
            for path, spec, axes in self.weights
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.append(
            f"{self.bytes_per_device:,} of {self.bytes_in_all:,} bytes on each of {len(self._mesh.devices)} devices"
        )
        return "\n".join([*lines, *self.remarks])
