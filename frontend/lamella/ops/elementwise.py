"""Elementwise arithmetic. Every primitive takes operands of one spec; promotion and broadcasting happen before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import DTypeError, ShapeError
from lamella.ir.program import op
from lamella.ir.spec import Spec, is_float, spec_of
from lamella.ops.coerce import as_tensor, broadcast_to, dtype_argument, floating, floating_pair, full_of, promoted, same
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def _equal_specs(x: Spec, y: Spec) -> Spec:
    if x.dtype != y.dtype:
        raise DTypeError(f"operands must have one dtype, got {x.dtype} and {y.dtype}.")
    if x.shape != y.shape:
        raise ShapeError(f"operands must have one shape, got {x} and {y}.")
    return x


def _number(x: Spec) -> Spec:
    if x.dtype == "bool":
        raise DTypeError("arithmetic needs numbers, got bool: cast it first.")
    return x


def _float(x: Spec) -> Spec:
    if not is_float(x.dtype):
        raise DTypeError(f"operands must be floats, got {x.dtype}.")
    return x


def _like(x: Tensor, value: float) -> Tensor:
    return full_of(spec_of(x), value)


@op(mandatory=True, prepare=promoted)
def add(x1: Spec, x2: Spec) -> Spec:
    """x1 + x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> ops.add([[1, 2], [3, 4]], [0.5, 1.0])
        array([[1.5, 3. ],
               [3.5, 5. ]], dtype=float32)
    """
    return _number(_equal_specs(x1, x2))


@add.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return g, g


@op(mandatory=True, prepare=promoted)
def subtract(x1: Spec, x2: Spec) -> Spec:
    """x1 - x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> ops.subtract([[5], [7]], [1, 2])
        array([[4, 3],
               [6, 5]], dtype=int32)
    """
    return _number(_equal_specs(x1, x2))


@subtract.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return g, negative(g)


@op(mandatory=True, prepare=promoted)
def multiply(x1: Spec, x2: Spec) -> Spec:
    """x1 * x2

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> ops.multiply([[1], [2]], [10, 20, 30])
        array([[10, 20, 30],
               [20, 40, 60]], dtype=int32)
    """
    return _number(_equal_specs(x1, x2))


@multiply.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return multiply(g, b), multiply(g, a)


@op(mandatory=True, prepare=floating_pair)
def divide(x1: Spec, x2: Spec) -> Spec:
    """x1 / x2, of floats

    Integers are converted to `floatx` first. Division by zero gives an infinity, 0 / 0 gives NaN.

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.divide([1, 2, 3], 2)
        array([0.5, 1. , 1.5], dtype=float32)
    """
    return _float(_equal_specs(x1, x2))


@divide.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    over = divide(g, b)
    return over, negative(multiply(over, y))


@op(mandatory=True, prepare=promoted)
def remainder(x1: Spec, x2: Spec) -> Spec:
    """x1 modulo x2, with the sign of x2 (Python's rule)

    The derivative with respect to x1 is 1 and with respect to x2 is -floor(x1 / x2), at the jumps as well.

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> ops.remainder([-7, 7], 3), ops.remainder(7, -3)
        (array([2, 1], dtype=int32), array(-2, dtype=int32))
    """
    return _number(_equal_specs(x1, x2))


@remainder.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return g, negative(multiply(g, floor(divide(a, b))))


@op(prepare=promoted)
def floor_divide(x1: Spec, x2: Spec) -> Spec:
    """floor(x1 / x2); exact for integers

    The derivative is 0 everywhere.

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> ops.floor_divide([-7, 7], 2)
        array([-4,  3], dtype=int32)
    """
    return _number(_equal_specs(x1, x2))


@floor_divide.define
def _(x: Tensor, y: Tensor) -> Tensor:
    dtype = spec_of(x).dtype
    exact = subtract(x, remainder(x, y))
    if is_float(dtype):
        return round_(divide(exact, y))
    return convert(divide(convert(exact, dtype="float64"), convert(y, dtype="float64")), dtype=dtype)


floor_divide.differentiable = False


@op(mandatory=True, prepare=floating_pair)
def power(x1: Spec, x2: Spec) -> Spec:
    """x1 ** x2, of floats

    Integers are converted to `floatx` first. A negative base with a fractional exponent gives NaN. The derivative with
    respect to x1 is 0 where x2 is 0; the derivative with respect to x2 is 0 where x1 is not positive.

    Args:
        x1: the base, an array or number.
        x2: the exponent, an array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.power([1.0, 2.0, 3.0], 2)
        array([1., 4., 9.], dtype=float32)
    """
    return _float(_equal_specs(x1, x2))


@power.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    from lamella.ops.comparison import equal, less_equal, where

    zero, one = _like(a, 0), _like(a, 1)
    # x**0 is constant; the guard keeps 0 * inf (a NaN) out of the gradient at x = 0.
    slope = where(equal(b, zero), zero, multiply(b, power(a, where(equal(b, zero), one, subtract(b, one)))))
    positive = less_equal(a, zero)
    logarithm = where(positive, zero, multiply(y, log(where(positive, one, a))))
    return multiply(g, slope), multiply(g, logarithm)


@op(mandatory=True, prepare=promoted)
def maximum(x1: Spec, x2: Spec) -> Spec:
    """max(x1, x2); the gradient is shared equally where they tie; a NaN operand gives NaN

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.maximum([1.0, 5.0, 3.0], 3.0)
        array([3., 5., 3.], dtype=float32)
    """
    return _equal_specs(x1, x2)


@maximum.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return _extremum(g, y, a, b)


@op(mandatory=True, prepare=promoted)
def minimum(x1: Spec, x2: Spec) -> Spec:
    """min(x1, x2); the gradient is shared equally where they tie; a NaN operand gives NaN

    Args:
        x1: array or number.
        x2: array or number; it broadcasts against `x1`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.minimum([1.0, 5.0, 3.0], 3.0)
        array([1., 3., 3.], dtype=float32)
    """
    return _equal_specs(x1, x2)


@minimum.def_vjp
def _(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return _extremum(g, y, a, b)


def _extremum(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    from lamella.ops.comparison import equal, where

    zero = _like(g, 0)
    shared = where(equal(a, b), multiply(g, _like(g, 0.5)), g)
    return where(equal(a, y), shared, zero), where(equal(b, y), shared, zero)


@op(mandatory=True, prepare=same)
def negative(x: Spec) -> Spec:
    """-x

    Args:
        x: array of numbers.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        DTypeError: `x` is bool.

    Example:
        >>> from lamella import ops
        >>> ops.negative([1, -2])
        array([-1,  2], dtype=int32)
    """
    return _number(x)


@negative.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return negative(g)


@op(mandatory=True, prepare=floating)
def exp(x: Spec) -> Spec:
    """e ** x

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.exp([0.0, 1.0]).round(4)
        array([1.    , 2.7183], dtype=float32)
    """
    return _float(x)


@exp.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, y)


@op(mandatory=True, prepare=floating)
def expm1(x: Spec) -> Spec:
    """e ** x - 1, exact near 0

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.expm1([0.0, 1.0]).round(4)
        array([0.    , 1.7183], dtype=float32)
    """
    return _float(x)


@expm1.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, add(y, _like(y, 1)))


@op(mandatory=True, prepare=floating)
def log(x: Spec) -> Spec:
    """The natural logarithm; minus infinity at 0 and NaN below 0.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.log([1.0, 10.0]).round(4)
        array([0.    , 2.3026], dtype=float32)
    """
    return _float(x)


@log.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(g, x)


@op(mandatory=True, prepare=floating)
def log1p(x: Spec) -> Spec:
    """log(1 + x), exact near 0

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.log1p([-1.0, 0.0, 1.0]).round(4)
        array([  -inf, 0.    , 0.6931], dtype=float32)
    """
    return _float(x)


@log1p.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(g, add(x, _like(x, 1)))


@op(mandatory=True, prepare=floating)
def sqrt(x: Spec) -> Spec:
    """The square root; NaN below 0, and an infinite derivative at 0.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sqrt([4, 9])
        array([2., 3.], dtype=float32)
    """
    return _float(x)


@sqrt.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return divide(multiply(g, _like(g, 0.5)), y)


@op(mandatory=True, prepare=floating)
def tanh(x: Spec) -> Spec:
    """The hyperbolic tangent of x.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.tanh([-10.0, 0.0, 0.5]).round(4)
        array([-1.    ,  0.    ,  0.4621], dtype=float32)
    """
    return _float(x)


@tanh.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, subtract(_like(y, 1), multiply(y, y)))


@op(mandatory=True, prepare=floating)
def sin(x: Spec) -> Spec:
    """The sine of x.

    Args:
        x: array of angles in radians; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sin([0.0, 0.5]).round(4)
        array([0.    , 0.4794], dtype=float32)
    """
    return _float(x)


@sin.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, cos(x))


@op(mandatory=True, prepare=floating)
def cos(x: Spec) -> Spec:
    """The cosine of x.

    Args:
        x: array of angles in radians; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.cos([0.0, 0.5]).round(4)
        array([1.    , 0.8776], dtype=float32)
    """
    return _float(x)


@cos.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return negative(multiply(g, sin(x)))


@op(mandatory=True, prepare=same)
def abs_(x: Spec) -> Spec:
    """|x|; the derivative at 0 is +1, as in Keras on JAX

    Args:
        x: array of numbers.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        DTypeError: `x` is bool.

    Example:
        >>> from lamella import ops
        >>> ops.abs([-2, 0, 3])
        array([2, 0, 3], dtype=int32)
    """
    return _number(x)


@abs_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    from lamella.ops.comparison import less_equal, where

    return where(less_equal(_like(x, 0), x), g, negative(g))


@op(mandatory=True, prepare=same, differentiable=False)
def sign(x: Spec) -> Spec:
    """-1, 0 or 1; its derivative is 0 everywhere

    Args:
        x: array of numbers.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        DTypeError: `x` is bool.

    Example:
        >>> from lamella import ops
        >>> ops.sign([-2.5, 0.0, 3.0])
        array([-1.,  0.,  1.], dtype=float32)
    """
    return _number(x)


@op(mandatory=True, prepare=floating, differentiable=False)
def floor(x: Spec) -> Spec:
    """The largest integer not above x, as a float; its derivative is 0 everywhere.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.floor([-1.5, 1.5])
        array([-2.,  1.], dtype=float32)
    """
    return _float(x)


@op(mandatory=True, prepare=floating, differentiable=False)
def round_(x: Spec) -> Spec:
    """The nearest integer, halves to even, as a float; its derivative is 0 everywhere."""
    return _float(x)


@op(prepare=same)
def stop_gradient(variable: Spec) -> Spec:
    """variable itself, through which no gradient flows

    Args:
        variable: array of any dtype.

    Returns:
        The array unchanged; its derivative is 0.

    Example:
        >>> from lamella import ops
        >>> ops.stop_gradient([1.0, 2.0])
        array([1., 2.], dtype=float32)
    """
    return variable


@stop_gradient.define
def _(x: Tensor) -> Tensor:
    return x


stop_gradient.differentiable = False


@op(mandatory=True)
def convert_(x: Spec, *, dtype: str) -> Spec:
    """x in another dtype; floats become integers by truncation, numbers booleans by `x != 0`.

    A float outside the integers' range becomes the nearest end of it, NaN becomes 0.
    """
    return Spec(x.shape, dtype)


@convert_.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, *, dtype: str) -> Any:
    return convert_.bind(g, dtype=spec_of(x).dtype) if is_float(spec_of(x).dtype) and is_float(dtype) else None


convert = convert_


def cast(x: Any, dtype: Any) -> Any:
    """`x` in `dtype`; unchanged if it already has that dtype.

    Floats become integers by truncation towards 0; a float outside the range of the integers becomes the nearest end of
    that range, and NaN becomes 0. Numbers become bool by `x != 0`. Only casts between floats pass gradients.

    Args:
        x: array of any dtype.
        dtype: the new dtype or its name; "float" stands for `floatx`, "int" for int32, None for the dtype of `x`.

    Returns:
        An array of the shape of `x` in `dtype`.

    Raises:
        DTypeError: `dtype` is not a supported dtype.

    Example:
        >>> from lamella import ops
        >>> ops.cast([-1.7, 0.0, 2.9], "int32"), ops.cast([0.0, 0.5], "bool")
        (array([-1,  0,  2], dtype=int32), array([False,  True]))
    """
    x = as_tensor(x)
    dtype = dtype_argument(dtype, spec_of(x).dtype)
    return x if spec_of(x).dtype == dtype else convert_.bind(x, dtype=dtype)


@op(prepare=same)
def relu(x: Spec) -> Spec:
    """max(x, 0); the derivative at 0 is 0

    Args:
        x: array of numbers.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        DTypeError: `x` is bool.

    Example:
        >>> from lamella import ops
        >>> ops.relu([-1.0, 0.0, 2.0])
        array([0., 0., 2.], dtype=float32)
    """
    return _number(x)


@relu.define
def _(x: Tensor) -> Tensor:
    return maximum(x, _like(x, 0))


@relu.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    # A function of y, so that the backward pass need not keep x.
    return relu_gradient.bind(g, y)


@op
def relu_gradient(g: Spec, y: Spec) -> Spec:
    """g where y > 0, else 0"""
    return _equal_specs(g, y)


@relu_gradient.define
def _(g: Tensor, y: Tensor) -> Tensor:
    from lamella.ops.comparison import less, where

    return where(less(_like(y, 0), y), g, _like(g, 0))


@relu_gradient.def_vjp
def _(h: Tensor, out: Tensor, g: Tensor, y: Tensor) -> Any:
    return relu_gradient.bind(h, y), None


@op(prepare=floating)
def sigmoid(x: Spec) -> Spec:
    """1 / (1 + exp(-x)); where exp(-x) is beyond the dtype's range the result is 0

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sigmoid([-1.0, 0.0, 1.0]).round(4)
        array([0.2689, 0.5   , 0.7311], dtype=float32)
    """
    return _float(x)


@sigmoid.define
def _(x: Tensor) -> Tensor:
    # (1 + tanh(x / 2)) / 2 would lose all digits far below 0, and is slower.
    one = _like(x, 1)
    return divide(one, add(exp(negative(x)), one))


@sigmoid.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, multiply(y, subtract(_like(y, 1), y)))


@op(prepare=promoted)
def clip(x: Spec, x_min: Spec, x_max: Spec) -> Spec:
    """min(max(x, x_min), x_max); at a bound x and the bound get half of the gradient each, as in Keras on JAX

    Args:
        x: array of numbers.
        x_min: the lower bound, an array or number that broadcasts against `x`.
        x_max: the upper bound, likewise; where it is below `x_min` the result is `x_max`.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> from lamella import ops
        >>> ops.clip([-3.0, 0.5, 3.0], -1.0, 1.0)
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    _equal_specs(x, x_min)
    return _equal_specs(x, x_max)


@clip.define
def _(x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    return minimum(maximum(x, x_min), x_max)


@clip.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor, x_min: Tensor, x_max: Tensor) -> tuple[Tensor, ...]:
    from lamella.ops.comparison import equal, less, where

    zero, half = _like(g, 0), multiply(g, _like(g, 0.5))
    low = where(less(x, x_min), g, where(equal(x, x_min), half, zero))
    high = where(less(x_max, x), g, where(equal(x, x_max), half, zero))
    return clip_gradient.bind(g, x, x_min, x_max), low, high


@op
def clip_gradient(g: Spec, x: Spec, x_min: Spec, x_max: Spec) -> Spec:
    """g where x is between its bounds, half of it on a bound, 0 outside"""
    _equal_specs(g, x)
    _equal_specs(x, x_min)
    return _equal_specs(x, x_max)


@clip_gradient.define
def _(g: Tensor, x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    from lamella.ops.comparison import bitwise_and, bitwise_or, equal, less, where

    half = where(bitwise_or(equal(x, x_min), equal(x, x_max)), multiply(g, _like(g, 0.5)), _like(g, 0))
    return where(bitwise_and(less(x_min, x), less(x, x_max)), g, half)


@op(prepare=floating)
def softplus(x: Spec) -> Spec:
    """log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)): stable for every x

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.softplus([-100.0, 0.0, 100.0]).round(4)
        array([  0.    ,   0.6931, 100.    ], dtype=float32)
    """
    return _float(x)


@softplus.define
def _(x: Tensor) -> Tensor:
    return add(maximum(x, _like(x, 0)), log1p(exp(negative(abs_(x)))))


@softplus.def_vjp
def _(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    return multiply(g, sigmoid(x))


def square(x: ArrayLike) -> Tensor:
    """x * x

    Args:
        x: array of numbers.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        DTypeError: `x` is bool.

    Example:
        >>> from lamella import ops
        >>> ops.square([-3, 2])
        array([9, 4], dtype=int32)
    """
    x = as_tensor(x)
    return multiply(x, x)


def rsqrt(x: ArrayLike) -> Tensor:
    """1 / sqrt(x); infinite at 0, and NaN below 0

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.rsqrt([0.25, 4.0])
        array([2. , 0.5], dtype=float32)
    """
    return divide(1.0, sqrt(x))


def reciprocal(x: ArrayLike) -> Tensor:
    """1 / x

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.reciprocal([2, -4])
        array([ 0.5 , -0.25], dtype=float32)
    """
    return divide(1.0, x)


def ceil(x: ArrayLike) -> Tensor:
    """The smallest integer not below x, as a float; its derivative is 0 everywhere.

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.ceil([-1.5, 1.5])
        array([-1.,  2.], dtype=float32)
    """
    return negative(floor(negative(x)))


def zeros_like(x: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of the shape of `x`.

    Args:
        x: array.
        dtype: the dtype of the result; None takes that of `x`.

    Returns:
        An array of zeros of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.zeros_like([[1.5, 2.5]]), ops.zeros_like([[1.5, 2.5]], "int32")
        (array([[0., 0.]], dtype=float32), array([[0, 0]], dtype=int32))
    """
    return full_like(x, 0, dtype)


def ones_like(x: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of the shape of `x`.

    Args:
        x: array.
        dtype: the dtype of the result; None takes that of `x`.

    Returns:
        An array of ones of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.ones_like([[1, 2], [3, 4]])
        array([[1, 1],
               [1, 1]], dtype=int32)
    """
    return full_like(x, 1, dtype)


def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: Any = None) -> Tensor:
    """`fill_value` broadcast to the shape of `x`.

    Args:
        x: array.
        fill_value: a number, or an array that broadcasts to the shape of `x`.
        dtype: the dtype of the result; None takes that of `x`.

    Returns:
        An array of the shape of `x`.

    Raises:
        ShapeError: `fill_value` does not broadcast to the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.full_like([[1, 2], [3, 4]], [5, 6])
        array([[5, 6],
               [5, 6]], dtype=int32)
    """
    spec = spec_of(as_tensor(x))
    kind = dtype_argument(dtype, spec.dtype)
    if isinstance(fill_value, bool | int | float | np.generic):
        return full_of(Spec(spec.shape, kind), fill_value)
    return broadcast_to(as_tensor(fill_value, kind), spec.shape)


def isfinite(x: ArrayLike) -> Tensor:
    """Where `x` is neither infinite nor NaN.

    Args:
        x: array of numbers.

    Returns:
        A bool array of the shape of `x`.

    Example:
        >>> from lamella import ops
        >>> ops.isfinite([1.0, float("inf"), float("nan")])
        array([ True, False, False])
    """
    from lamella.ops.comparison import less

    x = as_tensor(x)
    return less(abs_(x), full_of(spec_of(x), np.inf))


filter_functions(__name__)
