"""Names for the types of arguments, for type checkers: import them under `TYPE_CHECKING`, so that nothing is loaded.

A parameter of one of these types is narrowed by `isinstance`, which one of type `Any` is not: its items are unknown then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from lamella.ir.dim import Dim
    from lamella.ir.program import Program

Leaf = TypeVar("Leaf")


class Tensor(Protocol):
    """What ops compute with: a symbolic value, an array of NumPy or of a backend, a tracer of JAX, a variable."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """The size of each dimension; of a symbolic value it may be a `Dim`."""
        ...

    @property
    def dtype(self) -> Any:
        """The dtype: its name, or an object of the framework."""
        ...


Number: TypeAlias = "bool | int | float | np.generic[Any]"

ArrayLike: TypeAlias = "Tensor | Number | Sequence[ArrayLike]"
"""What becomes an array: a tensor, a number, or nested lists of them."""

Tree: TypeAlias = "Leaf | Sequence[Tree[Leaf]] | Mapping[Any, Tree[Leaf]] | None"
"""A leaf, or lists, tuples and dicts of leaves, nested; None holds no leaf. See `lamella.tree`."""

Attribute: TypeAlias = "Program | Dim | np.ndarray | Number | str | Sequence[Attribute] | None"
"""A static attribute of an equation."""


class Configurable(Protocol):
    """What describes itself as the arguments that it was made with."""

    def get_config(self) -> Mapping[str, Any]:
        """The arguments."""
        ...


Plain: TypeAlias = "Tree[Configurable | Number | str]"
"""What a configuration holds: plain data, and the objects that become plain data."""
