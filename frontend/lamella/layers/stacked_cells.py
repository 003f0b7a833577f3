"""Stacked cells, user-defined cells, and the interface of cells that recurrent layers use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.layers.cell_base import SequenceCell

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class StackedRNNCells(SequenceCell):
    """Stack cells: each cell receives the output of the one before as its input.

    Called as `cell(inputs, states)` with inputs `(batch, features)` and a list of the states of every cell; returns the
    output of the last cell and the list of new states of every cell.

    Args:
        cells: list of cells, the first one receives the inputs.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `cells` is not a list of cells, or is empty.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SimpleRNNCell, StackedRNNCells
        >>> cells = StackedRNNCells([SimpleRNNCell(4), SimpleRNNCell(2)])
        >>> y, states = cells(np.ones((1, 3)), cells.get_initial_state(1))
        >>> y.shape, cells.state_size
        ((1, 2), [4, 2])
    """

    config_attributes: ClassVar[Mapping[str, str]] = {"cells": "cells"}

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(cells, list | tuple) or not cells:
            raise ValueError(f"StackedRNNCells: cells must be a list of cells, got {cells!r}.")
        self.cells = list(cells)
        for cell in self.cells:
            check_cell(cell, self)

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:  # type: ignore[override]
        """The output size of the last cell."""
        return output_size(self.cells[-1])

    @property
    def repeats_state(self) -> bool:
        """Whether the last cell's output is its first state."""
        return engine_of(self.cells[-1]).repeats_state

    def build(self, input_shape: Shape) -> None:
        """Build every cell for the output of the one before."""
        for cell, shape in zip(self.cells, self._shapes(input_shape), strict=True):
            if isinstance(cell, Layer):
                cell.build(shape)

    def _shapes(self, shape: Shape) -> list[Shape]:
        """The shape of a step's inputs for every cell."""
        return [shape, *[(shape[0], output_size(cell)) for cell in self.cells[:-1]]]

    def get_initial_state(self, batch_size: int, dtype: str | None = None) -> list[Any]:
        """The cells' initial states."""
        return [engine_of(cell).get_initial_state(batch_size, dtype or self.compute_dtype) for cell in self.cells]

    def prepare(self, shape: Shape, dtype: str, training: bool) -> list[Any]:
        """What each cell prepares."""
        pairs = zip(self.cells, self._shapes(shape), strict=True)
        return [engine_of(cell).prepare(s, dtype, training) for cell, s in pairs]

    def project(self, inputs: Tensor, prepared: list[Any]) -> Tensor:
        """The first cell's projection."""
        return engine_of(self.cells[0]).project(inputs, prepared[0])

    def step(self, inputs: Tensor, states: list[Any], prepared: list[Any]) -> tuple[Any, list[Any]]:
        """The steps of all cells, in order."""
        new = []
        x = inputs
        for index, (cell, held, constants) in enumerate(zip(self.cells, states, prepared, strict=True)):
            engine = engine_of(cell)
            x = x if index == 0 else engine.project(x, constants)
            given = list(held) if isinstance(held, list | tuple) else [held]
            x, after = engine.step(x, given, constants)
            new.append(after)
        return x, new


class _OwnCell(SequenceCell):
    """A user-defined cell as a layer runs it: every step is a call."""

    repeats_state = False

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self._cell = (cell,)
        self.state_size = cell.state_size

    def prepare(self, shape: Shape, dtype: str, training: bool) -> None:
        """Nothing: the cell is opaque."""

    def project(self, inputs: Tensor, prepared: Any) -> Tensor:
        """The inputs."""
        return inputs

    def step(self, inputs: Tensor, states: list[Any], prepared: Any) -> tuple[Any, list[Any]]:
        """A call of the cell."""
        (cell,) = self._cell
        run: Any = cell if callable(cell) else cell.call
        output, new = run(inputs, states)
        return output, list(new) if isinstance(new, list | tuple) else [new]

    def get_initial_state(self, batch_size: int, dtype: str | None = None) -> list[Any]:
        """The initial state of the cell if it defines one, otherwise zeros."""
        (cell,) = self._cell
        if not hasattr(cell, "get_initial_state"):
            return super().get_initial_state(batch_size, dtype)
        states = cell.get_initial_state(batch_size=batch_size)
        return list(states) if isinstance(states, list | tuple) else [states]


def engine_of(cell: Any) -> SequenceCell:
    """The cell in its three parts; one with a user-defined `call` does everything in the step."""
    if isinstance(cell, SequenceCell) and type(cell).call is SequenceCell.call:
        return cell
    return _OwnCell(cell)


def check_cell(cell: Any, layer: Layer) -> None:
    """Raise a `ValueError` if `cell` is not a cell."""
    missing = [word for word in ("call", "state_size") if not hasattr(cell, word)]
    if missing:
        given = type(cell).__name__ if not isinstance(cell, type) else f"the class {cell.__name__}"
        raise ValueError(
            f"{type(layer).__name__}: a cell needs `call(inputs, states)` and `state_size`; {given} has no `{missing[0]}`."
        )


def output_size(cell: Any) -> int:
    """The size of a cell's output: its `output_size`, otherwise the size of its first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, list | tuple) else cell.state_size
    return int(size)


def state_shapes(cell: Any, batch: int, step: Shape) -> Any:
    """The specs of a cell's states, nested as in the cell."""
    shapes = getattr(cell, "state_shapes", None)
    if shapes is not None:
        return shapes(batch, step)
    if isinstance(cell, StackedRNNCells):
        return [state_shapes(c, batch, step) for c in cell.cells]
    sizes = cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size]
    return [Spec((batch, *(size if isinstance(size, list | tuple) else (int(size),))), "float32") for size in sizes]
