"""Arithmetic, reductions, products, activations and crossentropies."""

from __future__ import annotations

import builtins
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops, random
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape
from lamella.ops import abs as abs
from lamella.ops import cos as cos
from lamella.ops import equal as equal
from lamella.ops import exp as exp
from lamella.ops import greater as greater
from lamella.ops import greater_equal as greater_equal
from lamella.ops import less as less
from lamella.ops import less_equal as less_equal
from lamella.ops import log as log
from lamella.ops import maximum as maximum
from lamella.ops import minimum as minimum
from lamella.ops import not_equal as not_equal
from lamella.ops import sigmoid as sigmoid
from lamella.ops import sign as sign
from lamella.ops import sin as sin
from lamella.ops import softplus as softplus
from lamella.ops import square as square
from lamella.ops import tanh as tanh
from lamella.ops.activation import softsign as softsign
from lamella.ops.arithmetic import round as round
from lamella.ops.statistics import cumprod as _cumprod
from lamella.ops.statistics import cumsum as _cumsum
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Axes = int | Sequence[int] | None


def _numbers(x: ArrayLike) -> Tensor:
    """`x`, with booleans as numbers."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, settings.floatx()) if ops.dtype(x) == "bool" else x


def sqrt(x: ArrayLike) -> Tensor:
    """The square root; of negative numbers it is 0, as in Keras 2.

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import backend as K
        >>> K.sqrt([4.0, -1.0])
        array([2., 0.], dtype=float32)
    """
    return ops.sqrt(ops.maximum(x, 0.0))


def pow(x: ArrayLike, a: Any) -> Tensor:
    """x ** a, of floats

    Args:
        x: array; integers and booleans are converted to `floatx`.
        a: the exponent, an array or number that broadcasts against `x`.

    Returns:
        An array of the broadcast shape in the promoted float dtype.

    Example:
        >>> from lamella import backend as K
        >>> K.pow([1.0, 2.0, 3.0], 2)
        array([1., 4., 9.], dtype=float32)
    """
    return ops.power(x, a)


def clip(x: ArrayLike, min_value: Any, max_value: Any) -> Any:
    """min(max(x, min_value), max_value)

    Of two numbers the upper bound is at least the lower one.

    Args:
        x: array of numbers.
        min_value: the lower bound, a number or array; None sets none.
        max_value: the upper bound, a number or array; None sets none.

    Returns:
        An array of the broadcast shape in the promoted dtype.

    Example:
        >>> from lamella import backend as K
        >>> K.clip([-3.0, 0.5, 3.0], -1.0, 1.0), K.clip([-3.0, 0.5, 3.0], None, 1.0)
        (array([-1. ,  0.5,  1. ], dtype=float32), array([-3. ,  0.5,  1. ], dtype=float32))
    """
    if isinstance(min_value, int | float) and isinstance(max_value, int | float):
        max_value = builtins.max(min_value, max_value)
    x = x if min_value is None else ops.maximum(x, min_value)
    return x if max_value is None else ops.minimum(x, max_value)


def stop_gradient(variables: Any) -> Any:
    """The same values, through which no gradient flows.

    Args:
        variables: an array, or a list of arrays.

    Returns:
        The array, or a list.

    Example:
        >>> from lamella import backend as K
        >>> K.stop_gradient([K.constant(1.0), K.constant([2.0])])
        [array(1., dtype=float32), array([2.], dtype=float32)]
    """
    if isinstance(variables, list | tuple):
        return [ops.stop_gradient(v) for v in variables]
    return ops.stop_gradient(variables)


def all(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether all entries along `axis` are true, or not 0.

    Args:
        x: array of bool or numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        A bool array without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.all([[1, 0], [2, 3]], axis=1)
        array([False,  True])
    """
    return ops.all(ops.cast(x, "bool"), axis, keepdims)


def any(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Any:
    """Whether any entry along `axis` is true, or not 0.

    Args:
        x: array of bool or numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        A bool array without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.any([[1, 0], [0, 0]], axis=1)
        array([ True, False])
    """
    return ops.any(ops.cast(x, "bool"), axis, keepdims)


def argmax(x: ArrayLike, axis: int = -1) -> Tensor:
    """The index (int32) of the first maximum along `axis`.

    Args:
        x: array of numbers.
        axis: the axis to reduce.

    Returns:
        An int32 array without the axis.

    Example:
        >>> from lamella import backend as K
        >>> K.argmax([[1, 5, 5], [4, 2, 6]])
        array([1, 2], dtype=int32)
    """
    return ops.argmax(x, axis)


def argmin(x: ArrayLike, axis: int = -1) -> Tensor:
    """The index (int32) of the first minimum along `axis`.

    Args:
        x: array of numbers.
        axis: the axis to reduce.

    Returns:
        An int32 array without the axis.

    Example:
        >>> from lamella import backend as K
        >>> K.argmin([[3, 1, 1], [4, 2, 6]])
        array([1, 1], dtype=int32)
    """
    return ops.argmin(x, axis)


def sum(x: Any, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.sum([[1, 2], [3, 4]], axis=0)
        array([4, 6], dtype=int32)
    """
    return ops.sum(x, axis, keepdims)


def prod(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.prod([[1, 2], [3, 4]], axis=0)
        array([3, 8], dtype=int32)
    """
    return ops.prod(x, axis, keepdims)


def mean(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Any:
    """The mean over `axis`; booleans count as 0 and 1.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.mean([True, False, True, True]), K.mean([[1.0, 3.0], [5.0, 5.0]], axis=1)
        (array(0.75, dtype=float32), array([2., 5.], dtype=float32))
    """
    return ops.mean(_numbers(x), axis, keepdims)


def max(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The maximum over `axis`.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.max([[1, 5], [4, 2]], axis=1)
        array([5, 4], dtype=int32)
    """
    return ops.max(x, axis, keepdims)


def min(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The minimum over `axis`.

    Args:
        x: array of numbers.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.min([[1, 5], [4, 2]], axis=1)
        array([1, 2], dtype=int32)
    """
    return ops.min(x, axis, keepdims)


def std(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The population standard deviation over `axis`; booleans count as 0 and 1.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.std([[1.0, 3.0], [10.0, 20.0]], axis=1)
        array([1., 5.], dtype=float32)
    """
    return ops.std(_numbers(x), axis, keepdims)


def var(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The population variance over `axis`; booleans count as 0 and 1.

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.var([[1.0, 3.0], [10.0, 20.0]], axis=1)
        array([ 1., 25.], dtype=float32)
    """
    return ops.var(_numbers(x), axis, keepdims)


def logsumexp(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow

    Args:
        x: array; integers and booleans are converted to `floatx`.
        axis: the axis or axes to reduce; None reduces all of them.
        keepdims: whether reduced axes are kept with size 1.

    Returns:
        An array of floats without the reduced axes.

    Example:
        >>> from lamella import backend as K
        >>> K.logsumexp([[0.0, 0.0], [100.0, -100.0]], axis=1).round(4)
        array([  0.6931, 100.    ], dtype=float32)
    """
    return ops.logsumexp(x, axis, keepdims)


def cumsum(x: ArrayLike, axis: int = 0) -> Tensor:
    """The sums of the entries up to each one along `axis`.

    Args:
        x: array of numbers.
        axis: the axis.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.cumsum([[1, 2, 3], [4, 5, 6]], axis=1)
        array([[ 1,  3,  6],
               [ 4,  9, 15]], dtype=int32)
    """
    return _cumsum(x, axis)


def cumprod(x: ArrayLike, axis: int = 0) -> Tensor:
    """The products of the entries up to each one along `axis`.

    Args:
        x: array of numbers.
        axis: the axis.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> from lamella import backend as K
        >>> K.cumprod([[1, 2, 3], [4, 5, 6]], axis=1)
        array([[  1,   2,   6],
               [  4,  20, 120]], dtype=int32)
    """
    return _cumprod(x, axis)


def dot(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The product over the last axis of `x` and the last but one of `y`, as `np.dot`.

    Args:
        x: array `(..., k)`.
        y: array `(..., k, m)`.

    Returns:
        An array with the other axes of `x`, then those of `y`.

    Raises:
        ShapeError: the sizes of the two axes differ.

    Example:
        >>> from lamella import backend as K
        >>> K.dot([[1, 2], [3, 4]], [[0, 1], [1, 0]]), K.dot(K.ones((2, 3, 4)), K.ones((4, 5))).shape
        (array([[2, 1],
               [4, 3]], dtype=int32), (2, 3, 5))
    """
    return ops.matmul(x, y) if ops.ndim(x) == ops.ndim(y) == 2 else ops.tensordot(x, y, ((-1,), (-2,)))


def batch_dot(x: Tensor, y: Tensor, axes: int | Sequence[int] | None = None) -> Tensor:
    """The product over an axis of each operand, for each entry of the batch.

    Args:
        x: array `(batch, ...)` of at least two dimensions.
        y: array `(batch, ...)` of at least two dimensions.
        axes: the axis of `x` and that of `y`, or one for both; None: the last of `x`, and of `y` the last but one, or
            its last where it has two dimensions.

    Returns:
        An array with the batch, then the other axes of `x`, then those of `y`; `(batch, 1)` where there are none.

    Raises:
        ShapeError: an operand has less than two dimensions, the sizes of the axes or the batches differ, or an axis is
            that of the batch.
        ArgumentError: `axes` is neither an integer, nor two, nor None.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.batch_dot(ops.ones((4, 3, 2)), ops.ones((4, 2, 5))).shape
        (4, 3, 5)
        >>> K.batch_dot(ops.ones((4, 3)), ops.ones((4, 3))).shape
        (4, 1)
    """
    shapes = [ops.shape(x), ops.shape(y)]
    if builtins.min(map(len, shapes)) < 2:
        raise ShapeError(f"K.batch_dot: x and y must have at least 2 dimensions, got {', '.join(map(_shown, shapes))}.")
    if axes is None:
        axes = (len(shapes[0]) - 1, builtins.max(len(shapes[1]) - 2, 1))
    pair = [axes, axes] if isinstance(axes, int) else [*axes]
    if len(pair) != 2 or not builtins.all(isinstance(axis, int) for axis in pair):
        raise ArgumentError(f"K.batch_dot: axes must be an integer, two integers or None, got {axes!r}.")
    a, b = (axis % len(shape) for axis, shape in zip(pair, shapes, strict=True))
    if 0 in (a, b) or differ(shapes[0][0], shapes[1][0]) or differ(shapes[0][a], shapes[1][b]):
        raise ShapeError(
            f"K.batch_dot: shapes {' and '.join(map(_shown, shapes))} do not fit axes {a} and {b}: these must be of one size "
            "and not 0, the batches equal."
        )
    letters = iter(string.ascii_letters)
    left = [next(letters) for _ in shapes[0]]
    right = [next(letters) for _ in shapes[1]]
    right[0], right[b] = left[0], left[a]
    kept = [*left[:a], *left[a + 1 :], *right[1:b], *right[b + 1 :]]
    found = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)
    return ops.expand_dims(found, 1) if len(kept) == 1 else found


def _shown(shape: Sequence[Any]) -> str:
    return str(public_shape(shape))


def relu(x: ArrayLike, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x above `threshold`, at most `max_value`; below it alpha * (x - threshold)

    Args:
        x: array of numbers.
        alpha: the factor below the threshold.
        max_value: the upper limit; None sets none.
        threshold: entries above it pass.

    Returns:
        An array of the shape of `x`; integers become `floatx` unless all arguments have their defaults.

    Example:
        >>> from lamella import backend as K
        >>> K.relu([-2.0, 0.5, 3.0], alpha=0.25, max_value=2.0)
        array([-0.5,  0.5,  2. ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    above = ops.relu(x) if threshold == 0 else ops.where(ops.greater(x, threshold), x, 0.0)
    above = above if max_value is None else ops.clip(above, 0.0, max_value)
    return above if alpha == 0 else ops.subtract(above, ops.multiply(alpha, ops.relu(ops.subtract(threshold, x))))


def elu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1)

    Args:
        x: array; integers and booleans are converted to `floatx`.
        alpha: minus the limit for large negative entries.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import backend as K
        >>> K.elu([-100.0, 2.0])
        array([-1.,  2.], dtype=float32)
    """
    return ops.elu(x, alpha)


def hard_sigmoid(x: ArrayLike) -> Tensor:
    """0.2 x + 0.5, limited to [0, 1]: the function of Keras 2

    Args:
        x: array; integers and booleans are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import backend as K
        >>> K.hard_sigmoid([-4.0, 0.0, 1.25])
        array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


def softmax(x: ArrayLike, axis: int | Sequence[int] = -1) -> Tensor:
    """exp(x) divided by its sum along `axis`

    Args:
        x: array of floats of at least two dimensions.
        axis: the axis of the classes, or several axes.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: `x` has less than two dimensions.

    Example:
        >>> from lamella import backend as K
        >>> K.softmax([[1.0, 1.0], [0.0, 1000.0]])
        array([[0.5, 0.5],
               [0. , 1. ]], dtype=float32)
    """
    if ops.ndim(x) <= 1:
        raise ShapeError(f"K.softmax: x must have at least 2 dimensions, got shape {_shown(ops.shape(x))}.")
    return ops.softmax(x, axis)


def l2_normalize(x: ArrayLike, axis: Axes = None) -> Tensor:
    """x / sqrt(max(sum(x ** 2), 1e-12)), with the sum over `axis`

    Args:
        x: array; integers are converted to `floatx`.
        axis: the axis or axes of the sum; None is all.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import backend as K
        >>> K.l2_normalize([[3.0, 4.0], [0.0, 0.0]], axis=1).round(4)
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    return ops.multiply(x, ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-12)))


def dropout(
    x: Tensor, level: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None
) -> Tensor:
    """`x` with a fraction `level` of the entries set to 0, and the others divided by 1 - level.

    Args:
        x: array of floats.
        level: the probability with which an entry becomes 0.
        noise_shape: the shape of the mask where it is smaller and broadcasts; None in it stands for the size of `x`.
        seed: an integer; None draws new numbers on each call.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ArgumentError: `level` is outside of [0, 1], or `noise_shape` has another number of dimensions than `x`.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.dropout(ops.ones((2, 4)), 0.5, seed=1)
        array([[2., 2., 2., 2.],
               [0., 2., 0., 0.]], dtype=float32)
    """
    return random.dropout(x, level, noise_shape, seed)


def batch_normalization(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    beta: Tensor | None,
    gamma: ArrayLike | None,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, with vectors along `axis`

    Args:
        x: array; integers and booleans are converted to `floatx`.
        mean: a vector along `axis`, or an array that broadcasts.
        var: the variance, likewise.
        beta: is added, likewise; None adds nothing.
        gamma: multiplies, likewise; None is 1.
        axis: the axis of the channels.
        epsilon: is added to the variance.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import backend as K
        >>> K.batch_normalization([[1.0], [3.0]], mean=[2.0], var=[1.0], beta=None, gamma=[10.0], epsilon=0.0)
        array([[-10.],
               [ 10.]], dtype=float32)
    """
    ndim = ops.ndim(x)

    def along(vector: ArrayLike) -> Any:
        size = [1] * ndim
        size[axis] = -1
        return ops.reshape(vector, size) if ops.ndim(vector) == 1 else vector

    scale = ops.rsqrt(ops.add(along(var), epsilon))
    scale = scale if gamma is None else ops.multiply(scale, along(gamma))
    y = ops.multiply(ops.subtract(x, along(mean)), scale)
    return y if beta is None else ops.add(y, along(beta))


def in_top_k(predictions: ArrayLike, targets: ArrayLike, k: int) -> Tensor:
    """Whether class `targets[i]` is among the `k` largest of `predictions[i]`.

    Args:
        predictions: array `(batch, classes)`.
        targets: integer array `(batch,)`.
        k: how many classes count.

    Returns:
        A bool array `(batch,)`.

    Example:
        >>> from lamella import backend as K
        >>> K.in_top_k([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], [0, 1], 2)
        array([False,  True])
    """
    return ops.in_top_k(targets, predictions, k)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """`then_expression` where the condition holds, else `else_expression`.

    Args:
        condition: a scalar, which chooses between the two; or an array, which chooses entry by entry and has the shape
            of their leading axes.
        then_expression: an array, or a function without arguments that returns one.
        else_expression: an array, or a function without arguments that returns one.

    Returns:
        The chosen array; for a scalar condition only the function that it chooses is computed.

    Raises:
        ShapeError: the condition has more dimensions than the arrays.

    Example:
        >>> from lamella import backend as K
        >>> K.switch(True, [1.0, 2.0], [3.0, 4.0]), K.switch([True, False], [1.0, 2.0], [3.0, 4.0])
        (array([1., 2.], dtype=float32), array([1., 4.], dtype=float32))
    """
    condition = ops.cast(condition, "bool")
    either = (then_expression, else_expression)
    if ops.ndim(condition) == 0:
        yes, no = (x if callable(x) else (lambda x=x: ops.convert_to_tensor(x)) for x in either)
        return ops.cond(condition, yes, no)
    yes, no = (x() if callable(x) else x for x in either)
    more = ops.ndim(yes) - ops.ndim(condition)
    if more < 0:
        raise ShapeError(
            f"K.switch: condition must have at most as many dimensions as what it chooses, got {ops.ndim(condition)} and "
            f"{ops.ndim(yes)}."
        )
    return ops.where(ops.reshape(condition, (*ops.shape(condition), *[1] * more)), yes, no)


def binary_crossentropy(target: ArrayLike, output: ArrayLike, from_logits: bool = False) -> Tensor:
    """-target log(p) - (1 - target) log(1 - p) entry by entry; p is output, clipped, or sigmoid(output)

    Args:
        target: probabilities, an array of the shape of `output`.
        output: probabilities, which are clipped to [epsilon, 1 - epsilon], or logits.
        from_logits: whether `output` are logits.

    Returns:
        An array of floats of the shape of `output`.

    Example:
        >>> from lamella import backend as K
        >>> K.binary_crossentropy([1.0, 0.0], [0.5, 0.2]).round(4)
        array([0.6931, 0.2231], dtype=float32)
    """
    if from_logits:
        return ops.binary_crossentropy(target, output, from_logits=True)
    tiny = settings.epsilon()
    p = ops.clip(output, tiny, 1.0 - tiny)
    yes = ops.multiply(target, ops.log(ops.add(p, tiny)))
    no = ops.multiply(ops.subtract(1.0, target), ops.log(ops.add(ops.subtract(1.0, p), tiny)))
    return ops.negative(ops.add(yes, no))


def binary_focal_crossentropy(
    target: ArrayLike,
    output: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
) -> Tensor:
    """(1 - p_t) ** gamma times `binary_crossentropy`, with p_t the probability of the true class

    Args:
        target: array of zeros and ones, of the shape of `output`.
        output: probabilities, or logits.
        apply_class_balancing: whether the loss of ones is multiplied by `alpha`, and that of zeros by 1 - alpha.
        alpha: the weight of the ones.
        gamma: the larger it is, the less count entries that are predicted well; 0 is `binary_crossentropy`.
        from_logits: whether `output` are logits.

    Returns:
        An array of floats of the shape of `output`.

    References:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal loss for dense object detection", ICCV 2017,
        https://arxiv.org/abs/1708.02002.

    Example:
        >>> from lamella import backend as K
        >>> K.binary_focal_crossentropy([1.0, 1.0], [0.5, 0.9]).round(4)
        array([0.1733, 0.0011], dtype=float32)
    """
    p, opposite = ops.sigmoid(output) if from_logits else output, ops.subtract(1.0, target)
    true = ops.add(ops.multiply(target, p), ops.multiply(opposite, ops.subtract(1.0, p)))
    loss = ops.multiply(
        ops.power(ops.subtract(1.0, true), gamma), binary_crossentropy(target, output, from_logits=from_logits)
    )
    if not apply_class_balancing:
        return loss
    return ops.multiply(ops.add(ops.multiply(target, alpha), ops.multiply(opposite, 1.0 - alpha)), loss)


def categorical_crossentropy(target: ArrayLike, output: ArrayLike, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-sum(target log(p)) over the classes along `axis`; p is output over its sum, clipped, or softmax(output)

    Args:
        target: probabilities, an array of the shape of `output`.
        output: probabilities, or logits.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.

    Returns:
        An array of floats without `axis`.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> from lamella import backend as K
        >>> K.categorical_crossentropy([[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.8, 0.2]]).round(4)
        array([0.6931, 0.2231], dtype=float32)
    """
    return ops.categorical_crossentropy(target, output, from_logits, axis)


def categorical_focal_crossentropy(
    target: ArrayLike,
    output: ArrayLike,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    axis: int = -1,
) -> Tensor:
    """-sum(alpha (1 - p) ** gamma target log(p)) over the classes along `axis`; p as in `categorical_crossentropy`

    Args:
        target: probabilities, an array of the shape of `output`.
        output: probabilities, or logits.
        alpha: the weight, a number or one per class.
        gamma: the larger it is, the less count entries that are predicted well.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.

    Returns:
        An array of floats without `axis`.

    References:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal loss for dense object detection", ICCV 2017,
        https://arxiv.org/abs/1708.02002.

    Example:
        >>> from lamella import backend as K
        >>> K.categorical_focal_crossentropy([[0.0, 1.0], [0.0, 1.0]], [[0.5, 0.5], [0.1, 0.9]]).round(4)
        array([0.0433, 0.0003], dtype=float32)
    """
    p = ops.softmax(output, axis) if from_logits else output
    p = ops.clip(ops.divide(p, ops.sum(p, axis, keepdims=True)), settings.epsilon(), 1.0 - settings.epsilon())
    weight = ops.multiply(alpha, ops.power(ops.subtract(1.0, p), gamma))
    return ops.negative(ops.sum(ops.multiply(weight, ops.multiply(target, ops.log(p))), axis))


def sparse_categorical_crossentropy(
    target: ArrayLike, output: ArrayLike, from_logits: bool = False, axis: int = -1, ignore_class: int | None = None
) -> Tensor:
    """-log(p[target]) over the classes along `axis`, for class indices

    Args:
        target: class indices, of the shape of `output` without `axis`, or with a size of 1 there.
        output: probabilities, which are clipped and normalized, or logits.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.
        ignore_class: a class index whose entries give 0; None is none.

    Returns:
        An array of floats without `axis`.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> from lamella import backend as K
        >>> K.sparse_categorical_crossentropy([1, 0], [[0.5, 0.5], [0.8, 0.2]], ignore_class=0).round(4)
        array([0.6931, 0.    ], dtype=float32)
    """
    ndim = ops.ndim(output)
    if axis % ndim != ndim - 1:
        output = ops.moveaxis(output, axis, -1)
    target = ops.cast(target, "int32")
    if ops.ndim(target) == ndim:
        target = ops.squeeze(target, axis if ops.shape(target)[axis] == 1 else -1)
    if not from_logits:
        output = ops.log(ops.clip(output, settings.epsilon(), 1.0 - settings.epsilon()))
    loss = ops.sparse_categorical_crossentropy(target, output, from_logits=True)
    return loss if ignore_class is None else ops.where(ops.equal(target, ignore_class), 0.0, loss)


filter_functions(__name__)
