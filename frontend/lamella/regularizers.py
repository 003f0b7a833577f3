"""Regularizers: penalties on weights or activities that are added to the loss, written in `lamella.ops`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.absent import refusing
from lamella.core import registration, serialization
from lamella.errors import ShapeError
from lamella.ir.dim import public_shape
from lamella.names import deprecated, from_identifier, name_table

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def _factor(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a non-negative number, got {value!r}.")
    return float(value)


class Regularizer:
    """The base class of regularizers: subclass it and write `__call__` and `get_config`.

    Example:
        >>> from lamella import ops, regularizers
        >>> class Centered(regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return ops.square(ops.mean(x))
        >>> float(Centered()([1.0, 3.0]))
        4.0
    """

    def __call__(self, x: Any) -> Any:
        """The penalty of `x`, a scalar."""
        raise NotImplementedError(f"the regularizer {type(self).__name__} does not define `__call__`.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        raise NotImplementedError(f"the regularizer {type(self).__name__} has no `get_config`.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class L1L2(Regularizer):
    """L1 and L2 penalty: l1 * sum(|x|) + l2 * sum(x**2).

    The derivative of |x| at 0 is +1, as in Keras on JAX.

    Args:
        l1: the factor of the sum of absolute values; not negative. None is 0.
        l2: the factor of the sum of squares; not negative. None is 0.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> from lamella.regularizers import L1L2
        >>> float(L1L2(l1=1.0, l2=0.5)([1.0, -2.0]))
        5.5
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("l2", 0.0 if l2 is None else l2)

    def __call__(self, x: ArrayLike) -> Tensor:
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
    """L1 penalty: l1 * sum(|x|).

    Args:
        l1: the factor; not negative. None is 0.01.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> from lamella.regularizers import L1
        >>> float(L1(0.5)([1.0, -2.0]))
        1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(0.01 if l1 is None else l1, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l1": self.l1}


class L2(L1L2):
    """L2 penalty: l2 * sum(x**2), without a factor of 1/2.

    Args:
        l2: the factor; not negative. None is 0.01.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> from lamella.regularizers import L2
        >>> float(L2(0.5)([1.0, -2.0]))
        2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(0.0, 0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Penalty on rows (or columns) of a matrix that are not orthogonal: factor * mean over pairs of |cosine|.

    Args:
        factor: the factor of the penalty; not negative.
        mode: "rows" or "columns".

    Raises:
        ValueError: an argument is unknown or out of range; when called, if the weight is not a matrix.

    Example:
        >>> from lamella.regularizers import OrthogonalRegularizer
        >>> penalty = OrthogonalRegularizer(factor=1.0)
        >>> float(penalty([[1.0, 0.0], [0.0, 2.0]])), round(float(penalty([[1.0, 0.0], [1.0, 1.0]])), 3)
        (0.0, 0.707)
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode must be 'rows' or 'columns', got {mode!r}.")
        self.mode = mode

    def __call__(self, x: ArrayLike) -> Tensor:
        """The penalty of the matrix `x`."""
        x = ops.convert_to_tensor(x)
        if len(x.shape) != 2:
            raise ShapeError(f"OrthogonalRegularizer requires a matrix, got shape {public_shape(x.shape)}.")
        rows = x if self.mode == "rows" else ops.transpose(x)
        squares = ops.sum(ops.square(rows), 1, keepdims=True)
        # as in Keras's normalize, a row with a norm below 1e-12 is not normalized
        rows = ops.multiply(rows, ops.rsqrt(ops.maximum(squares, 1e-24)))
        size = rows.shape[0]
        products = ops.matmul(rows, ops.transpose(rows))
        apart = ops.multiply(products, ops.subtract(1.0, ops.eye(size, dtype=x.dtype)))
        pairs = max(size * (size - 1) / 2.0, 1.0)
        return ops.multiply(ops.sum(ops.abs(apart)), 0.5 * self.factor / pairs)

    def get_config(self) -> dict[str, Any]:
        """Factor and mode."""
        return {"factor": self.factor, "mode": self.mode}


def l1(l1: float = 0.01, l: float | None = None) -> L1:  # noqa: E741 - the name in Keras 1 and 2
    """Return `L1(l1)`.

    Args:
        l1: the factor; not negative.
        l: the name of `l1` in Keras 1 and 2, deprecated.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> from lamella import regularizers
        >>> regularizers.l1(0.1)
        L1(l1=0.1)
    """
    if l is not None:
        deprecated("'l'", "'l1'")
    return L1(l1 if l is None else l)


def l2(l2: float = 0.01, l: float | None = None) -> L2:  # noqa: E741 - the name in Keras 1 and 2
    """Return `L2(l2)`.

    Args:
        l2: the factor; not negative.
        l: the name of `l2` in Keras 1 and 2, deprecated.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> from lamella import regularizers
        >>> regularizers.l2(0.1)
        L2(l2=0.1)
    """
    if l is not None:
        deprecated("'l'", "'l2'")
    return L2(l2 if l is None else l)


def l1_l2(l1: float = 0.0, l2: float = 0.0) -> L1L2:
    """Return `L1L2(l1, l2)`. As in Keras 3 the default of both factors is 0; in Keras 1 and 2 it was 0.01.

    Args:
        l1: the factor of the sum of absolute values; not negative.
        l2: the factor of the sum of squares; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> from lamella import regularizers
        >>> regularizers.l1_l2(l2=0.1)
        L1L2(l1=0.0, l2=0.1)
    """
    return L1L2(l1, l2)


orthogonal_regularizer = OrthogonalRegularizer


def l1l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Return `L1L2(l1, l2)`; the function of Keras 1, with its default factors of 0.01. Deprecated.

    Args:
        l1: the factor of the sum of absolute values; not negative.
        l2: the factor of the sum of squares; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> import warnings
        >>> from lamella import regularizers
        >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        ...     regularizers.l1l2()
        L1L2(l1=0.01, l2=0.01)
    """
    deprecated("regularizers.l1l2", "regularizers.L1L2")
    return L1L2(l1, l2)


def WeightRegularizer(l1: float = 0.0, l2: float = 0.0) -> L1L2:  # noqa: N802 - a class in Keras 1
    """Return `L1L2(l1, l2)`; a class of Keras 1. Deprecated.

    Args:
        l1: the factor of the sum of absolute values; not negative.
        l2: the factor of the sum of squares; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> import warnings
        >>> from lamella import regularizers
        >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        ...     regularizers.WeightRegularizer(l2=0.1)
        L1L2(l1=0.0, l2=0.1)
    """
    deprecated("regularizers.WeightRegularizer", "regularizers.L1L2")
    return L1L2(l1, l2)


def ActivityRegularizer(l1: float = 0.0, l2: float = 0.0) -> L1L2:  # noqa: N802 - a class in Keras 1
    """Return `L1L2(l1, l2)`, for the argument `activity_regularizer` of a layer; a class of Keras 1. Deprecated.

    Args:
        l1: the factor of the sum of absolute values; not negative.
        l2: the factor of the sum of squares; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> import warnings
        >>> from lamella import regularizers
        >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        ...     regularizers.ActivityRegularizer(l1=0.1)
        L1L2(l1=0.1, l2=0.0)
    """
    deprecated("regularizers.ActivityRegularizer", "regularizers.L1L2")
    return L1L2(l1, l2)


def activity_l1(l: float = 0.01) -> L1:  # noqa: E741 - the name in Keras 1
    """Return `L1(l)`, for the argument `activity_regularizer` of a layer; a function of Keras 1. Deprecated.

    Args:
        l: the factor of the sum of absolute values; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> import warnings
        >>> from lamella import regularizers
        >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        ...     regularizers.activity_l1(0.1)
        L1(l1=0.1)
    """
    deprecated("regularizers.activity_l1", "regularizers.L1")
    return L1(l)


def activity_l2(l: float = 0.01) -> L2:  # noqa: E741 - the name in Keras 1
    """Return `L2(l)`, for the argument `activity_regularizer` of a layer; a function of Keras 1. Deprecated.

    Args:
        l: the factor of the sum of squares; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> import warnings
        >>> from lamella import regularizers
        >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        ...     regularizers.activity_l2(0.1)
        L2(l2=0.1)
    """
    deprecated("regularizers.activity_l2", "regularizers.L2")
    return L2(l)


def activity_l1l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Return `L1L2(l1, l2)`, for the argument `activity_regularizer` of a layer; a function of Keras 1. Deprecated.

    Args:
        l1: the factor of the sum of absolute values; not negative.
        l2: the factor of the sum of squares; not negative.

    Raises:
        ValueError: a factor is not a finite number, or is negative.

    Example:
        >>> import warnings
        >>> from lamella import regularizers
        >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        ...     regularizers.activity_l1l2()
        L1L2(l1=0.01, l2=0.01)
    """
    deprecated("regularizers.activity_l1l2", "regularizers.L1L2")
    return L1L2(l1, l2)


TABLE: dict[str, Any] = {
    **name_table({made.__name__: made for made in (L1, L2, L1L2, OrthogonalRegularizer)}),
    "l1l2": L1L2,
}
"""Every string that a regularizer argument accepts."""

serialization.register("keras.regularizers", TABLE)

OLD = {"l1_l2": "l1l2"}
"""Earlier spellings, and the current ones."""


def get(identifier: Any) -> Any:
    """Return the regularizer for a name, a config dict, a class, an instance or a function; None for None.

    Args:
        identifier: a name such as "l2", `{"class_name": ..., "config": ...}`, a `Regularizer` class or instance, or a
            function.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: `identifier` is none of these.

    Example:
        >>> from lamella import regularizers
        >>> regularizers.get("l2")
        L2(l2=0.01)
    """
    made = from_identifier("regularizer", identifier, TABLE, OLD)
    if made is None or callable(made):
        return made
    raise ValueError(f"a regularizer must be a name, a Regularizer or a function, got {type(made).__name__}: {made!r}.")


serialize, deserialize = registration.for_module("keras.regularizers", get)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
