"""Where arrays are: a mesh of devices, a layout for each array, and the distribution that is in force."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lamella.stacks import ThreadStack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamella.ir.spec import Spec

Layout = tuple[str | None, ...]
"""For each axis of an array the axis of the mesh that it is split along, None where it is whole; () for whole everywhere."""

Index = tuple[slice, ...]
"""A part of an array, with a slice for each axis."""


class Mesh(NamedTuple):
    """Devices of one backend, in a grid.

    Attributes:
        shape: the size of the grid along each axis.
        axes: the name of each axis.
        devices: the names of the devices, `Backend.devices` has them, in row-major order.

    Example:
        >>> from lamella.backend import Mesh
        >>> mesh = Mesh((2, 2), ("batch", "model"), ("cpu:0", "cpu:1", "cpu:2", "cpu:3"))
        >>> mesh.parts("model"), mesh.share((8, 6), (None, "model"))
        (2, 24)
    """

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    devices: tuple[str, ...]

    def parts(self, axis: str | None) -> int:
        """Into how many parts an axis of an array is split along `axis`."""
        return 1 if axis is None else self.shape[self.axes.index(axis)]

    def share(self, shape: Sequence[int], layout: Layout) -> int:
        """How many entries of an array of `shape` each device holds."""
        return math.prod(int(d) for d in shape) // math.prod(map(self.parts, layout))


class Placement(NamedTuple):
    """Where a step program computes.

    Attributes:
        mesh: the devices.
        rows: the axis of the mesh along which the rows of a batch are split; where they do not divide, they are whole.
        leaves: the layout of every state leaf, before and after the step.
        own_rows: whether each process gives the rows of its own devices only; concatenated they are the batch.

    Example:
        >>> from lamella.backend import Mesh, Placement
        >>> mesh = Mesh((2,), ("batch",), ("cpu:0", "cpu:1"))
        >>> Placement(mesh, "batch", leaves=((), ())).own_rows
        False
    """

    mesh: Mesh
    rows: str | None
    leaves: tuple[Layout, ...]
    own_rows: bool = False


class Distributes(Protocol):
    """What is asked of the distribution in force; `lamella.distribution` has those that there are."""

    @property
    def mesh(self) -> Mesh:
        """The devices."""
        ...

    @property
    def rows(self) -> str | None:
        """The axis of the mesh along which the rows of a batch are split."""
        ...

    @property
    def auto_shard_dataset(self) -> bool:
        """Whether every process is given all rows; False says that each is given its own."""
        ...

    @property
    def backend_name(self) -> str:
        """The backend whose devices they are."""
        ...

    def layout_of(self, variable: Any) -> Layout:
        """The layout of a weight."""
        ...

    def slot_layout(self, variable: Any, spec: Spec) -> Layout:
        """The layout of what an optimizer keeps for a weight."""
        ...

    def placed(self, variable: Any, value: Any) -> Any:
        """An array with the numbers of `value`, in the layout of a weight."""
        ...

    def drawn(self, variable: Any, key: Any) -> Any:
        """The first value of a weight in its layout, each part drawn for itself."""
        ...

    def begins(self, variables: Sequence[Any]) -> None:
        """Warn of what will hardly be meant, before a model with these weights is used for the first time."""
        ...


_CHOSEN: list[Distributes] = []
_SCOPES: ThreadStack[Distributes | None] = ThreadStack()


def distribution_in_force() -> Distributes | None:
    """Return the distribution of the innermost scope of this thread, else the one that was set, else None.

    Example:
        >>> from lamella.backend import distribution_in_force
        >>> distribution_in_force() is None
        True
    """
    if _SCOPES.items:
        return _SCOPES.items[-1]
    return _CHOSEN[0] if _CHOSEN else None


def set_distribution_in_force(distribution: Distributes | None) -> None:
    """Place the weights that are made from now on as a distribution says, in every thread.

    Args:
        distribution: the distribution, or None for one device.

    Example:
        >>> from lamella.backend import set_distribution_in_force
        >>> set_distribution_in_force(None)
    """
    _CHOSEN[:] = [] if distribution is None else [distribution]


@contextmanager
def distribution_scope(distribution: Distributes | None) -> Generator[None]:
    """Place the weights that are made inside a `with` block as a distribution says, in this thread.

    Args:
        distribution: the distribution, or None for one device.

    Example:
        >>> from lamella.backend import distribution_in_force, distribution_scope
        >>> with distribution_scope(None):
        ...     distribution_in_force() is None
        True
    """
    with _SCOPES.pushed(distribution):
        yield


__all__ = [
    "Distributes",
    "Index",
    "Layout",
    "Mesh",
    "Placement",
    "distribution_in_force",
    "distribution_scope",
    "set_distribution_in_force",
]
