"""A table of the placement of a model's weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamella.backend_api import Layout, Mesh
from lamella.ir.spec import Spec, numpy_dtype


class Report:
    """The placement of a model's weights; `print` shows it as a table.

    Args:
        mesh: the mesh.
        weights: path, spec and layout of each weight.
        remarks: probable mistakes: expressions that match no weight, weights that are replicated on every device.

    Example:
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> with lamella.backend_scope("numpy"):
        ...     sharded = lamella.distribution.FullySharded()
        >>> sharded.report(lamella.Sequential([Input((3,)), Dense(4)]))
        weight        shape   split along
        dense/kernel  (3, 4)  1: batch
        dense/bias    (4,)    0: batch
        64 of 64 bytes on each of 1 devices
    """

    def __init__(self, mesh: Mesh, weights: Sequence[tuple[str, Spec, Layout]], remarks: Sequence[str]) -> None:
        self._mesh, self.weights, self.remarks = mesh, list(weights), list(remarks)

    @property
    def bytes_in_all(self) -> int:
        """The size of all weights in bytes."""
        return sum(int(np.prod(spec.shape)) * numpy_dtype(spec.dtype).itemsize for _, spec, _ in self.weights)

    @property
    def bytes_per_device(self) -> int:
        """The size of the weights on each device in bytes."""
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
