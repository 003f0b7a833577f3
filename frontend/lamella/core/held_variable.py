"""A variable of a metric or an optimizer of the user's own: it holds what the running step knows of it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.interpret import to_numpy
from lamella.ir.spec import Shape
from lamella.ir.trace import operand
from lamella.names import Name

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class HeldVariable:
    """One array of the state of a metric or an optimizer.

    Attributes:
        name: its name.
        shape: its shape.
        dtype: its dtype.
        value: the present value: a symbolic one while a training step is traced, else an array.
    """

    name: str = Name("a variable", label=True)  # type: ignore[assignment]

    def __init__(self, name: str, shape: Shape, dtype: str, value: Tensor | None = None) -> None:
        self.name, self.shape, self.dtype = name, tuple(shape), dtype
        self.value: Any = value

    def assign(self, value: ArrayLike) -> Tensor:
        """Set the value; a single number fills the shape.

        Raises:
            ShapeError: the shape does not fit.
        """
        new: Any = ops.cast(operand(value), self.dtype)
        if tuple(new.shape) not in ((), self.shape):
            raise ShapeError(f"the variable {self.name!r} has shape {self.shape}, got {tuple(new.shape)}.")
        self.value = ops.broadcast_to(new, self.shape)
        return self.value

    def assign_add(self, value: Any) -> Any:
        """Add `value` to the variable."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract `value` from the variable."""
        return self.assign(self - value)

    def numpy(self) -> np.ndarray:
        """The value as a NumPy array (a copy)."""
        return np.array(to_numpy(self.value))

    def __lamella_operand__(self) -> Tensor:
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(to_numpy(self.value), dtype)

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.dtype}{list(self.shape)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of the variable: its name, statistics of its value and the first entries."""
        from lamella.notebook import block, html_array

        value = "" if self.value is None else html_array(self.numpy())
        return block(self.name, f"{self.dtype}{list(self.shape)}", value)


def _forward(apply: Any) -> Any:
    def forward(self: HeldVariable, *others: Any) -> Any:
        return apply(self.value, *map(operand, others))

    return forward


def _backward(apply: Any) -> Any:
    def backward(self: HeldVariable, other: Any) -> Tensor:
        return apply(operand(other), self.value)

    return backward


for _word in "add sub mul truediv floordiv mod pow matmul".split():
    setattr(HeldVariable, f"__{_word}__", _forward(getattr(operator, _word)))
    setattr(HeldVariable, f"__r{_word}__", _backward(getattr(operator, _word)))
for _word in "neg abs lt le gt ge getitem".split():
    setattr(HeldVariable, f"__{_word}__", _forward(getattr(operator, _word)))
