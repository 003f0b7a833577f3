"""Variables, their values, and random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def variable(
    value: ArrayLike,
    dtype: DTypeLike | None = None,
    name: str | None = None,
    constraint: Callable[[Any], Any] | None = None,
) -> Variable:
    """A variable with an initial value.

    Args:
        value: a number, a list or an array.
        dtype: the dtype; None is `floatx`.
        name: the name of the variable.
        constraint: a function that the variable is passed through after each update, or None.

    Returns:
        A `Variable`.

    Example:
        >>> from lamella import backend as K
        >>> x = K.variable([1.0, 2.0], name="x")
        >>> x.name, K.get_value(x)
        ('x', array([1., 2.], dtype=float32))
    """
    return Variable(np.asarray(to_numpy(value)), dtype=dtype or settings.floatx(), name=name, constraint=constraint)


def constant(
    value: ArrayLike, dtype: DTypeLike | None = None, shape: Sequence[int] | None = None, name: str | None = None
) -> Tensor:
    """An array of `value`; a single number fills `shape`.

    Args:
        value: a number, a list or an array.
        dtype: the dtype; None is `floatx`.
        shape: the shape of the result; None is that of `value`.
        name: has no effect.

    Returns:
        An array.

    Raises:
        ShapeError: `value` has neither one entry nor as many as `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.constant(3, shape=(2, 2)), K.constant([1, 2, 3, 4], shape=(2, 2))
        (array([[3., 3.],
               [3., 3.]], dtype=float32), array([[1., 2.],
               [3., 4.]], dtype=float32))
    """
    found = ops.convert_to_tensor(value, dtype or settings.floatx())
    if shape is None:
        return found
    size = math.prod(found.shape)
    if size not in (1, math.prod(shape)):
        raise ShapeError(f"K.constant: shape {tuple(shape)} holds {math.prod(shape)} numbers, got {size}.")
    return ops.broadcast_to(ops.reshape(found, ()), shape) if size == 1 else ops.reshape(found, shape)


def _made(make: Callable[..., Any], shape: Any, dtype: DTypeLike, name: str | None) -> Any:
    """A variable; an array in a trace, where a model cannot track variables, and where a size is 0."""
    made = make(shape, dtype=dtype or settings.floatx())
    if current_trace() is not None or 0 in public_shape(made.shape):
        return made
    return variable(made, dtype, name)


def zeros(shape: Sequence[int], dtype: Any = None, name: str | None = None) -> Any:
    """A variable of zeros; within a layer's `call` an array.

    Args:
        shape: an integer or a sequence of integers.
        dtype: the dtype; None is `floatx`.
        name: the name of the variable.

    Returns:
        A `Variable`, or an array.

    Example:
        >>> from lamella import backend as K
        >>> K.get_value(K.zeros((2, 2)))
        array([[0., 0.],
               [0., 0.]], dtype=float32)
    """
    return _made(ops.zeros, shape, dtype, name)


def ones(shape: Sequence[int], dtype: Any = None, name: str | None = None) -> Tensor:
    """A variable of ones; within a layer's `call` an array.

    Args:
        shape: an integer or a sequence of integers.
        dtype: the dtype; None is `floatx`.
        name: the name of the variable.

    Returns:
        A `Variable`, or an array.

    Example:
        >>> from lamella import backend as K
        >>> K.get_value(K.ones((2, 2)))
        array([[1., 1.],
               [1., 1.]], dtype=float32)
    """
    return _made(ops.ones, shape, dtype, name)


def eye(size: int, dtype: Any = None, name: str | None = None) -> Tensor:
    """A variable that holds the identity matrix; within a layer's `call` an array.

    Args:
        size: the number of rows and columns.
        dtype: the dtype; None is `floatx`.
        name: the name of the variable.

    Returns:
        A `Variable`, or an array.

    Example:
        >>> from lamella import backend as K
        >>> K.get_value(K.eye(2))
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    return _made(ops.eye, size, dtype, name)


def placeholder(
    shape: Sequence[int | None] | None = None,
    ndim: int | None = None,
    dtype: DTypeLike | None = None,
    sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """A declared value, as `Input(batch_shape=shape)` returns, for the inputs of `function`.

    Args:
        shape: the shape, the batch first; None in it is a size that is left free.
        ndim: the number of dimensions, where no shape is given.
        dtype: the dtype; None is `floatx`.
        sparse: must be False; lamella has no sparse tensors.
        name: the name of the value.

    Returns:
        A declared value.

    Raises:
        ArgumentError: neither a shape nor a number of dimensions is given, or `sparse` is True.

    Example:
        >>> from lamella import backend as K
        >>> x = K.placeholder((None, 3))
        >>> K.int_shape(x), K.function([x], [K.sum(x, axis=1)])([[[1.0, 2.0, 3.0]]])
        ((None, 3), [array([6.], dtype=float32)])
    """
    if sparse:
        raise ArgumentError("K.placeholder: sparse must be False: lamella has no sparse tensors.")
    if shape is None and ndim is None:
        raise ArgumentError("K.placeholder: shape or ndim must be given.")
    return Input(batch_shape=tuple(shape if shape is not None else [None] * (ndim or 0)), dtype=dtype, name=name)


def get_value(x: ArrayLike) -> Any:
    """The entries of a variable or an array, as a NumPy array; a number stays as it is.

    Args:
        x: a variable, an array or a number.

    Returns:
        A NumPy array, or the number.

    Example:
        >>> from lamella import backend as K
        >>> K.get_value(K.variable([1.0, 2.0]))
        array([1., 2.], dtype=float32)
    """
    if isinstance(x, Variable):
        return x.numpy()
    return np.array(to_numpy(x)) if hasattr(x, "shape") else x


def eval(x: Tensor) -> Tensor:
    """The entries of a variable or an array, as a NumPy array; declared values are computed by `function`.

    Args:
        x: a variable, an array or a number.

    Returns:
        A NumPy array, or the number.

    Example:
        >>> from lamella import backend as K
        >>> K.eval(K.constant([1.0, 2.0]))
        array([1., 2.], dtype=float32)
    """
    return get_value(x)


def batch_get_value(tensors: Iterable[Any]) -> list[Any]:
    """`get_value` of each.

    Args:
        tensors: variables or arrays.

    Returns:
        A list of NumPy arrays.

    Example:
        >>> from lamella import backend as K
        >>> K.batch_get_value([K.variable(1.0), K.variable([2.0])])
        [array(1., dtype=float32), array([2.], dtype=float32)]
    """
    return [get_value(x) for x in tensors]


def set_value(x: Variable, value: ArrayLike) -> None:
    """Set a variable, whose shape and dtype stay.

    Args:
        x: a variable.
        value: its new value, of the same shape.

    Raises:
        ShapeError: the value has another shape.

    Example:
        >>> from lamella import backend as K
        >>> x = K.variable([1.0, 2.0])
        >>> K.set_value(x, [3.0, 4.0])
        >>> K.get_value(x)
        array([3., 4.], dtype=float32)
    """
    x.assign(ops.convert_to_tensor(value, x.dtype))


def batch_set_value(tuples: Iterable[tuple[Variable, Any]]) -> None:
    """Set several variables.

    Args:
        tuples: pairs `(variable, value)`.

    Raises:
        ShapeError: a value has another shape than its variable.

    Example:
        >>> from lamella import backend as K
        >>> x, y = K.variable(1.0), K.variable(2.0)
        >>> K.batch_set_value([(x, 3.0), (y, 4.0)])
        >>> K.batch_get_value([x, y])
        [array(3., dtype=float32), array(4., dtype=float32)]
    """
    for x, value in tuples:
        set_value(x, value)


def update(x: Variable, new_x: ArrayLike) -> Tensor:
    """Set a variable; in a layer's `call` the variable changes in every step that is run.

    Args:
        x: a variable.
        new_x: its new value, of the same shape.

    Returns:
        The new value.

    Example:
        >>> from lamella import backend as K
        >>> x = K.variable([1.0, 2.0])
        >>> y = K.update(x, [3.0, 4.0])
        >>> K.get_value(x)
        array([3., 4.], dtype=float32)
    """
    return x.assign(new_x)


def update_add(x: Variable, increment: ArrayLike) -> Tensor:
    """Add to a variable.

    Args:
        x: a variable.
        increment: what is added, of the same shape.

    Returns:
        The new value.

    Example:
        >>> from lamella import backend as K
        >>> x = K.variable([1.0, 2.0])
        >>> y = K.update_add(x, [10.0, 10.0])
        >>> K.get_value(x)
        array([11., 12.], dtype=float32)
    """
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: ArrayLike) -> Tensor:
    """Subtract from a variable.

    Args:
        x: a variable.
        decrement: what is subtracted, of the same shape.

    Returns:
        The new value.

    Example:
        >>> from lamella import backend as K
        >>> x = K.variable([1.0, 2.0])
        >>> y = K.update_sub(x, [10.0, 10.0])
        >>> K.get_value(x)
        array([-9., -8.], dtype=float32)
    """
    return x.assign_sub(decrement)


def moving_average_update(x: Variable, value: ArrayLike, momentum: Any) -> Tensor:
    """Set a variable to momentum * x + (1 - momentum) * value.

    Args:
        x: a variable.
        value: the new contribution, of the same shape.
        momentum: the weight of the present value, from 0 to 1.

    Returns:
        The new value.

    Example:
        >>> from lamella import backend as K
        >>> x = K.variable([4.0])
        >>> y = K.moving_average_update(x, [8.0], 0.75)
        >>> K.get_value(x)
        array([5.], dtype=float32)
    """
    return x.assign(x * momentum + ops.multiply(ops.cast(value, x.dtype), 1.0 - momentum))


def int_shape(x: Tensor) -> tuple[int | None, ...]:
    """The shape, with None for a size that is left free.

    Args:
        x: an array, a variable or a value.

    Returns:
        A tuple of integers and None.

    Example:
        >>> from lamella import backend as K, layers
        >>> K.int_shape(layers.Input((3,)))
        (None, 3)
    """
    return public_shape(ops.shape(x))


def shape(x: ArrayLike) -> tuple[Any, ...]:
    """The shape; sizes that are left free are dimensions, with which sizes can be computed.

    Args:
        x: an array, a variable or a value.

    Returns:
        A tuple of integers and dimensions.

    Example:
        >>> from lamella import backend as K
        >>> K.shape([[1, 2, 3]])
        (1, 3)
    """
    return ops.shape(x)


def ndim(x: Any) -> int:
    """The number of dimensions.

    Args:
        x: an array, a variable or a value.

    Returns:
        A Python integer.

    Example:
        >>> from lamella import backend as K
        >>> K.ndim([[1, 2, 3]])
        2
    """
    return ops.ndim(x)


def dtype(x: ArrayLike) -> str:
    """The name of the dtype.

    Args:
        x: an array, a variable or a value.

    Returns:
        A name such as "float32".

    Example:
        >>> from lamella import backend as K
        >>> K.dtype([1.5, 2.5])
        'float32'
    """
    return ops.dtype(x)


def count_params(x: Tensor) -> int:
    """The number of entries.

    Args:
        x: an array, a variable or a value.

    Returns:
        A Python integer.

    Raises:
        ShapeError: a size is left free.

    Example:
        >>> from lamella import backend as K
        >>> K.count_params(K.zeros((3, 4)))
        12
    """
    sizes = ops.shape(x)
    if any(isinstance(size, Dim) for size in sizes):
        raise ShapeError(f"K.count_params: shape {public_shape(sizes)} has a size that is left free.")
    return math.prod(sizes)


def random_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike | None = None,
    seed: int | None = None,
) -> Tensor:
    """Numbers from the normal distribution, as `lamella.random.normal`.

    Args:
        shape: the shape of the result.
        mean: the mean of the distribution.
        stddev: the standard deviation of the distribution.
        dtype: a float dtype; None is `floatx`.
        seed: an integer; None draws new numbers on each call.

    Returns:
        An array of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.random_normal((3,), mean=10.0, seed=1).round(3)
        array([8.816, 9.827, 9.884], dtype=float32)
    """
    return random.normal(shape, mean, stddev, dtype, seed)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike | None = None,
    seed: int | None = None,
) -> Tensor:
    """Numbers from the normal distribution restricted to two standard deviations around the mean.

    Args:
        shape: the shape of the result.
        mean: the mean of the normal distribution.
        stddev: the standard deviation of the normal distribution, before the restriction.
        dtype: a float dtype; None is `floatx`.
        seed: an integer; None draws new numbers on each call.

    Returns:
        An array of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> bool((abs(K.truncated_normal((1000,), seed=1)) <= 2).all())
        True
    """
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DTypeLike | None = None,
    seed: int | None = None,
) -> Tensor:
    """Uniform numbers from `minval` up to, not including, `maxval`.

    Args:
        shape: the shape of the result.
        minval: the lower bound.
        maxval: the upper bound.
        dtype: a float dtype; None is `floatx`.
        seed: an integer; None draws new numbers on each call.

    Returns:
        An array of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.random_uniform((3,), seed=1).round(4)
        array([0.1182, 0.4315, 0.4538], dtype=float32)
    """
    return random.uniform(shape, minval, maxval, dtype, seed)


def random_bernoulli(
    shape: Sequence[int], p: float = 0.0, dtype: DTypeLike | None = None, seed: int | None = None
) -> Tensor:
    """Numbers that are 1 with probability `p`, else 0.

    Args:
        shape: the shape of the result.
        p: the probability of 1.
        dtype: the dtype; None is `floatx`.
        seed: an integer; None draws new numbers on each call.

    Returns:
        An array of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.random_bernoulli((6,), 0.5, seed=1)
        array([1., 1., 1., 0., 0., 0.], dtype=float32)
    """
    return ops.cast(ops.less(random.uniform(shape, seed=seed), p), dtype or settings.floatx())


def random_binomial(
    shape: Sequence[int], p: float = 0.0, dtype: DTypeLike | None = None, seed: int | None = None
) -> Tensor:
    """`random_bernoulli` under the name that it has in Keras 2.0.

    Args:
        shape: the shape of the result.
        p: the probability of 1.
        dtype: the dtype; None is `floatx`.
        seed: an integer; None draws new numbers on each call.

    Returns:
        An array of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.random_binomial((6,), 0.5, seed=1)
        array([1., 1., 1., 0., 0., 0.], dtype=float32)
    """
    return random_bernoulli(shape, p, dtype, seed)


def random_normal_variable(
    shape: Sequence[int],
    mean: float,
    scale: float,
    dtype: DTypeLike | None = None,
    name: str | None = None,
    seed: int | None = None,
) -> Variable:
    """A variable of numbers from the normal distribution.

    Args:
        shape: the shape of the result.
        mean: the mean of the distribution.
        scale: the standard deviation of the distribution.
        dtype: a float dtype; None is `floatx`.
        name: the name of the variable.
        seed: an integer; None draws new numbers on each call.

    Returns:
        A `Variable` of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.get_value(K.random_normal_variable((3,), 10.0, 1.0, seed=1)).round(3)
        array([8.816, 9.827, 9.884], dtype=float32)
    """
    return variable(random.normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Sequence[int],
    low: float,
    high: float,
    dtype: DTypeLike | None = None,
    name: str | None = None,
    seed: int | None = None,
) -> Variable:
    """A variable of uniform numbers from `low` up to, not including, `high`.

    Args:
        shape: the shape of the result.
        low: the lower bound.
        high: the upper bound.
        dtype: a float dtype; None is `floatx`.
        name: the name of the variable.
        seed: an integer; None draws new numbers on each call.

    Returns:
        A `Variable` of `shape`.

    Example:
        >>> from lamella import backend as K
        >>> K.get_value(K.random_uniform_variable((3,), 0.0, 1.0, seed=1)).round(4)
        array([0.1182, 0.4315, 0.4538], dtype=float32)
    """
    return variable(random.uniform(shape, low, high, dtype, seed), dtype, name)


filter_functions(__name__)
