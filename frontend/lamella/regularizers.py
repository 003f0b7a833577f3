"""Penalties on weights (or activities), added to the loss. Written in `lamella.ops`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.absent import refusing
from lamella.core import registration, serialization
from lamella.errors import ShapeError
from lamella.ir.dim import public_shape
from lamella.names import deprecated, from_identifier, name_table


def _factor(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a number that is not negative, got {value!r}.")
    return float(value)


class Regularizer:
    """The base of all regularizers. Subclass it and write `__call__` and `get_config`."""

    def __call__(self, x: Any) -> Any:
        """The penalty of `x`: a scalar."""
        raise NotImplementedError(f"the regularizer {type(self).__name__} does not say its penalty: write `__call__`.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal regularizer."""
        raise NotImplementedError(f"the regularizer {type(self).__name__} has no `get_config`.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x**2); the derivative of |x| at 0 is +1, as in Keras on JAX"""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        """The penalty of `x`."""
        x = ops.convert_to_tensor(x)
        total: Any = None
        if self.l1:
            total = ops.multiply(ops.sum(ops.abs(x)), self.l1)
        if self.l2:
            squares = ops.multiply(ops.sum(ops.square(x)), self.l2)
            total = squares if total is None else ops.add(total, squares)
        return ops.multiply(ops.sum(x), 0.0) if total is None else total

    def get_config(self) -> dict[str, Any]:
        """Both factors."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum(|x|)"""

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(0.01 if l1 is None else l1, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum(x**2), without the 1/2 of some texts"""

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(0.0, 0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor * mean over pairs of |cosine| of the rows (or columns) of a matrix: 0 where all are orthogonal

    Raises:
        ValueError: the mode is neither "rows" nor "columns", or the weight is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode must be 'rows' or 'columns', got {mode!r}.")
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        """The penalty of the matrix `x`."""
        x = ops.convert_to_tensor(x)
        if len(x.shape) != 2:
            raise ShapeError(f"OrthogonalRegularizer is for matrices; the weight has shape {public_shape(x.shape)}.")
        rows = x if self.mode == "rows" else ops.transpose(x)
        squares = ops.sum(ops.square(rows), 1, keepdims=True)
        # Keras's normalize: a row shorter than 1e-12 is taken as it is
        rows = ops.multiply(rows, ops.rsqrt(ops.maximum(squares, 1e-24)))
        size = rows.shape[0]
        products = ops.matmul(rows, ops.transpose(rows))
        apart = ops.multiply(products, ops.subtract(1.0, ops.eye(size, dtype=x.dtype)))
        pairs = max(size * (size - 1) / 2.0, 1.0)
        return ops.multiply(ops.sum(ops.abs(apart)), 0.5 * self.factor / pairs)

    def get_config(self) -> dict[str, Any]:
        """Factor and mode."""
        return {"factor": self.factor, "mode": self.mode}


def l1(l1: float = 0.01, l: float | None = None) -> L1:  # noqa: E741 - Keras 1 and 2 called it so
    """`L1(l1)`; `l` is Keras 1's word for it."""
    if l is not None:
        deprecated("'l'", "'l1'")
    return L1(l1 if l is None else l)


def l2(l2: float = 0.01, l: float | None = None) -> L2:  # noqa: E741 - Keras 1 and 2 called it so
    """`L2(l2)`; `l` is Keras 1's word for it."""
    if l is not None:
        deprecated("'l'", "'l2'")
    return L2(l2 if l is None else l)


def l1_l2(l1: float = 0.0, l2: float = 0.0) -> L1L2:
    """`L1L2(l1, l2)`. Both factors are 0 unless given, as in Keras 3; Keras 1 and 2 had 0.01."""
    return L1L2(l1, l2)


orthogonal_regularizer = OrthogonalRegularizer


def l1l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Keras 1's `l1l2(l1, l2)`, with its factors of 0.01."""
    deprecated("regularizers.l1l2", "regularizers.L1L2")
    return L1L2(l1, l2)


def WeightRegularizer(l1: float = 0.0, l2: float = 0.0) -> L1L2:  # noqa: N802 - a class in Keras 1
    """Keras 1's `WeightRegularizer(l1, l2)`: `L1L2`."""
    deprecated("regularizers.WeightRegularizer", "regularizers.L1L2")
    return L1L2(l1, l2)


def ActivityRegularizer(l1: float = 0.0, l2: float = 0.0) -> L1L2:  # noqa: N802 - a class in Keras 1
    """Keras 1's `ActivityRegularizer(l1, l2)`: `L1L2`, given as `activity_regularizer=`."""
    deprecated("regularizers.ActivityRegularizer", "regularizers.L1L2")
    return L1L2(l1, l2)


def activity_l1(l: float = 0.01) -> L1:  # noqa: E741 - Keras 1 called it so
    """Keras 1's `activity_l1(l)`: `L1`, given as `activity_regularizer=`."""
    deprecated("regularizers.activity_l1", "regularizers.L1")
    return L1(l)


def activity_l2(l: float = 0.01) -> L2:  # noqa: E741 - Keras 1 called it so
    """Keras 1's `activity_l2(l)`: `L2`, given as `activity_regularizer=`."""
    deprecated("regularizers.activity_l2", "regularizers.L2")
    return L2(l)


def activity_l1l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Keras 1's `activity_l1l2(l1, l2)`: `L1L2`, given as `activity_regularizer=`."""
    deprecated("regularizers.activity_l1l2", "regularizers.L1L2")
    return L1L2(l1, l2)


TABLE: dict[str, Any] = {
    **name_table({made.__name__: made for made in (L1, L2, L1L2, OrthogonalRegularizer)}),
    "l1l2": L1L2,
}
"""Every string a regularizer argument takes."""

serialization.register("keras.regularizers", TABLE)

OLD = {"l1_l2": "l1l2"}
"""Earlier spellings, and today's."""


def get(identifier: Any) -> Any:
    """The regularizer that a name, a config dict, a class, an instance or a function `x -> penalty` stands for.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is nothing of these.
    """
    made = from_identifier("regularizer", identifier, TABLE, OLD)
    if made is None or callable(made):
        return made
    raise ValueError(f"a regularizer must be a name, a Regularizer or a function, got {type(made).__name__}: {made!r}.")


serialize, deserialize = registration.for_module("keras.regularizers", get)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
