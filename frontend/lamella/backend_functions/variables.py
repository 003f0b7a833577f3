"""Variables, their values, and random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamella import ops, random
from lamella.backend_api import to_numpy
from lamella.core.variable import Variable as Variable
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import Dim, public_shape
from lamella.ir.trace import current_trace
from lamella.layers import Input
from lamella.tracebacks import filter_functions


def variable(
    value: Any, dtype: Any = None, name: str | None = None, constraint: Callable[[Any], Any] | None = None
) -> Variable:
    """A variable with a first value, in `floatx` unless `dtype` is another."""
    return Variable(np.asarray(to_numpy(value)), dtype=dtype or settings.floatx(), name=name, constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str | None = None) -> Any:
    """An array of `value`, in `floatx` unless `dtype` is another; a number fills `shape`.

    Raises:
        ShapeError: there are neither one value nor as many as `shape` holds.
    """
    found = ops.convert_to_tensor(value, dtype or settings.floatx())
    if shape is None:
        return found
    size = math.prod(found.shape)
    if size not in (1, math.prod(shape)):
        raise ShapeError(f"K.constant: shape {tuple(shape)} holds {math.prod(shape)} numbers, got {size}.")
    return ops.broadcast_to(ops.reshape(found, ()), shape) if size == 1 else ops.reshape(found, shape)


def _made(make: Callable[..., Any], shape: Any, dtype: Any, name: str | None) -> Any:
    """A variable; in a trace, where a model could not know it, and where a size is 0, an array."""
    made = make(shape, dtype=dtype or settings.floatx())
    if current_trace() is not None or 0 in public_shape(made.shape):
        return made
    return variable(made, dtype, name)


def zeros(shape: Sequence[int], dtype: Any = None, name: str | None = None) -> Any:
    """A variable of zeros; within a layer's `call` an array."""
    return _made(ops.zeros, shape, dtype, name)


def ones(shape: Sequence[int], dtype: Any = None, name: str | None = None) -> Any:
    """A variable of ones; within a layer's `call` an array."""
    return _made(ops.ones, shape, dtype, name)


def eye(size: int, dtype: Any = None, name: str | None = None) -> Any:
    """A variable that holds the identity matrix; within a layer's `call` an array."""
    return _made(ops.eye, size, dtype, name)


def placeholder(
    shape: Sequence[int | None] | None = None,
    ndim: int | None = None,
    dtype: Any = None,
    sparse: bool = False,
    name: str | None = None,
) -> Any:
    """A declared value, as `Input(batch_shape=shape)` returns, for the inputs of `function`.

    Args:
        shape: its shape, the batch first; None for a size that is left free.
        ndim: its number of dimensions, where no shape is given.
        dtype: its dtype; by default `floatx`.
        sparse: False: there are no sparse tensors.
        name: its name.

    Raises:
        ArgumentError: neither a shape nor a number of dimensions is given, or `sparse` is True.
    """
    if sparse:
        raise ArgumentError("K.placeholder: sparse must be False: lamella has no sparse tensors.")
    if shape is None and ndim is None:
        raise ArgumentError("K.placeholder: shape or ndim must be given.")
    return Input(batch_shape=tuple(shape if shape is not None else [None] * (ndim or 0)), dtype=dtype, name=name)


# ---- what they hold ----


def get_value(x: Any) -> Any:
    """The numbers of a variable or an array, as a NumPy array; a number stays.

    >>> get_value(variable([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    if isinstance(x, Variable):
        return x.numpy()
    return np.array(to_numpy(x)) if hasattr(x, "shape") else x


def eval(x: Any) -> Any:
    """The numbers of a variable or an array, as a NumPy array; `function` computes what is declared."""
    return get_value(x)


def batch_get_value(tensors: Iterable[Any]) -> list[Any]:
    """`get_value` of each."""
    return [get_value(x) for x in tensors]


def set_value(x: Variable, value: Any) -> None:
    """Set a variable, whose shape and dtype stay."""
    x.assign(ops.convert_to_tensor(value, x.dtype))


def batch_set_value(tuples: Iterable[tuple[Variable, Any]]) -> None:
    """Set several variables, given as `(variable, value)`."""
    for x, value in tuples:
        set_value(x, value)


def update(x: Variable, new_x: Any) -> Any:
    """Set a variable; in a layer's `call` the step that is being traced does it. Returns the new value."""
    return x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Any:
    """Add to a variable. Returns the new value."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: Any) -> Any:
    """Subtract from a variable. Returns the new value."""
    return x.assign_sub(decrement)


def moving_average_update(x: Variable, value: Any, momentum: Any) -> Any:
    """Set x to momentum * x + (1 - momentum) * value, and return that."""
    return x.assign(x * momentum + ops.multiply(ops.cast(value, x.dtype), 1.0 - momentum))


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape, with None for a size that is left free."""
    return public_shape(ops.shape(x))


def shape(x: Any) -> tuple[Any, ...]:
    """The shape; sizes that are left free are numbers to compute with and to make shapes of."""
    return ops.shape(x)


def ndim(x: Any) -> int:
    """The number of dimensions."""
    return ops.ndim(x)


def dtype(x: Any) -> str:
    """The name of the dtype."""
    return ops.dtype(x)


def count_params(x: Any) -> int:
    """The number of entries.

    Raises:
        ShapeError: a size is left free.
    """
    sizes = ops.shape(x)
    if any(isinstance(size, Dim) for size in sizes):
        raise ShapeError(f"K.count_params: shape {public_shape(sizes)} has a size that is left free.")
    return math.prod(sizes)


# ---- random numbers ----


def random_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Normal numbers; without a seed new ones for each call, as `random.normal`."""
    return random.normal(shape, mean, stddev, dtype, seed)


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Normal numbers within two standard deviations of their mean."""
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Uniform numbers from `minval` up to, not including, `maxval`."""
    return random.uniform(shape, minval, maxval, dtype, seed)


def random_bernoulli(shape: Sequence[int], p: float = 0.0, dtype: Any = None, seed: int | None = None) -> Any:
    """Numbers that are 1 with probability `p`, else 0."""
    return ops.cast(ops.less(random.uniform(shape, seed=seed), p), dtype or settings.floatx())


def random_binomial(shape: Sequence[int], p: float = 0.0, dtype: Any = None, seed: int | None = None) -> Any:
    """Keras 2.0's name of `random_bernoulli`."""
    return random_bernoulli(shape, p, dtype, seed)


def random_normal_variable(
    shape: Sequence[int], mean: float, scale: float, dtype: Any = None, name: str | None = None, seed: int | None = None
) -> Variable:
    """A variable of normal numbers, `scale` their standard deviation."""
    return variable(random.normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Sequence[int], low: float, high: float, dtype: Any = None, name: str | None = None, seed: int | None = None
) -> Variable:
    """A variable of uniform numbers from `low` up to, not including, `high`."""
    return variable(random.uniform(shape, low, high, dtype, seed), dtype, name)


filter_functions(__name__)
