"""Activation functions, with the formulas of Keras and, at non-differentiable points, its derivatives on JAX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Tensor:
    """x where x >= 0, else negative_slope * x; the derivative at 0 is 1

    Args:
        x: array; integers are converted to `floatx`.
        negative_slope: the factor of negative entries.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML
        workshop on deep learning for audio, speech and language processing, 2013.

    Example:
        >>> from lamella import ops
        >>> ops.leaky_relu([-10.0, 0.0, 10.0], negative_slope=0.1)
        array([-1.,  0., 10.], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater_equal(x, 0.0), x, ops.multiply(x, negative_slope))


def relu6(x: ArrayLike) -> Tensor:
    """min(max(x, 0), 6); the derivative at 0 and at 6 is 0

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    Example:
        >>> from lamella import ops
        >>> ops.relu6([-1.0, 3.0, 7.0])
        array([0., 3., 6.], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    # One non-differentiable point per select: at 6 the constant is chosen, so that no gradient passes.
    return ops.where(ops.less(x, 6.0), ops.relu(x), 6.0)


def elu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1); the derivative at 0 is alpha

    Args:
        x: array; integers are converted to `floatx`.
        alpha: minus the limit for large negative entries.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear
        units", ICLR 2016, https://arxiv.org/abs/1511.07289.

    Example:
        >>> from lamella import ops
        >>> ops.elu([-100.0, -1.0, 2.0]).round(4)
        array([-1.    , -0.6321,  2.    ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    positive = ops.greater(x, 0.0)
    # The exponential gets no positive entries, so that the branch that is not taken cannot overflow.
    return ops.where(positive, x, ops.multiply(ops.expm1(ops.where(positive, 0.0, x)), alpha))


def celu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1); the derivative at 0 is 1

    Args:
        x: array; integers are converted to `floatx`.
        alpha: minus the limit for large negative entries.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        J. T. Barron, "Continuously differentiable exponential linear units", 2017, https://arxiv.org/abs/1704.07483.

    Example:
        >>> from lamella import ops
        >>> ops.celu([-100.0, -1.0, 2.0], alpha=2.0).round(4)
        array([-2.    , -0.7869,  2.    ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    positive = ops.greater(x, 0.0)
    below = ops.multiply(ops.expm1(ops.divide(ops.where(positive, 0.0, x), alpha)), alpha)
    return ops.where(positive, x, below)


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: ArrayLike) -> Tensor:
    """1.0507 * elu(x, alpha=1.6733); the derivative at 0 is 1.7581

    With weights drawn by `lamella.initializers.LecunNormal` the activations keep mean 0 and variance 1 through the
    layers.

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks", NeurIPS 2017,
        https://arxiv.org/abs/1706.02515.

    Example:
        >>> from lamella import ops
        >>> ops.selu([-1.0, 0.0, 1.0]).round(4)
        array([-1.1113,  0.    ,  1.0507], dtype=float32)
    """
    return ops.multiply(elu(x, SELU_ALPHA), SELU_SCALE)


def softsign(x: ArrayLike) -> Tensor:
    """x / (1 + |x|)

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.softsign([-1.0, 0.0, 3.0])
        array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.divide(x, ops.add(ops.abs(x), 1.0))


def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> Tensor:
    """x - threshold where x > threshold, x + threshold where x < -threshold, else 0; the derivative at both is 0

    Args:
        x: array; integers are converted to `floatx`.
        threshold: how far entries are moved towards 0.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.soft_shrink([-2.0, 0.25, 1.0])
        array([-1.5,  0. ,  0.5], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    low = ops.where(ops.less(x, -threshold), ops.add(x, threshold), 0.0)
    return ops.where(ops.greater(x, threshold), ops.subtract(x, threshold), low)


def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, else 0; the derivative at both thresholds is 0

    Args:
        x: array; integers are converted to `floatx`.
        threshold: the largest magnitude that becomes 0.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.hard_shrink([-2.0, 0.25, 1.0])
        array([-2.,  0.,  1.], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater(ops.abs(x), threshold), x, 0.0)


def tanh_shrink(x: ArrayLike) -> Tensor:
    """x - tanh(x)

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.tanh_shrink([-1.0, 0.0, 3.0]).round(4)
        array([-0.2384,  0.    ,  2.0049], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.subtract(x, ops.tanh(x))


def threshold(x: ArrayLike, threshold: float, default_value: float) -> Tensor:
    """x where x > threshold, else default_value; the derivative at the threshold is 0

    Args:
        x: array of numbers.
        threshold: entries above it are kept.
        default_value: the result where an entry is not above the threshold.

    Returns:
        An array of the shape of `x`, in the promoted dtype of `x` and `default_value`.

    Example:
        >>> from lamella import ops
        >>> ops.threshold([0.5, 1.0, 1.5], 1.0, -9.0)
        array([-9. , -9. ,  1.5], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater(x, threshold), x, default_value)


def sparse_plus(x: ArrayLike) -> Tensor:
    """0 up to -1, (x + 1)**2 / 4 up to 1, then x

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sparse_plus([-2.0, 0.0, 2.0])
        array([0.  , 0.25, 2.  ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    middle = ops.multiply(ops.square(ops.add(x, 1.0)), 0.25)
    return ops.where(ops.less_equal(x, -1.0), 0.0, ops.where(ops.greater_equal(x, 1.0), x, middle))


def sparse_sigmoid(x: ArrayLike) -> Tensor:
    """clip(x + 1, 0, 2) / 2; the derivative at -1 and at 1 is 1/4

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.sparse_sigmoid([-2.0, 0.5, 2.0])
        array([0.  , 0.75, 1.  ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.multiply(ops.clip(ops.add(x, 1.0), 0.0, 2.0), 0.5)


def silu(x: ArrayLike) -> Tensor:
    """x * sigmoid(x), also called swish

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        P. Ramachandran, B. Zoph, Q. V. Le, "Searching for activation functions", 2017,
        https://arxiv.org/abs/1710.05941.

    Example:
        >>> from lamella import ops
        >>> ops.silu([-1.0, 0.0, 1.0]).round(4)
        array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.multiply(x, ops.sigmoid(x))


def squareplus(x: ArrayLike, b: float = 4) -> Tensor:
    """(x + sqrt(x**2 + b)) / 2

    Args:
        x: array; integers are converted to `floatx`.
        b: how smooth the bend at 0 is; with 0 it is `relu`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        J. T. Barron, "Squareplus: a softplus-like algebraic rectifier", 2021, https://arxiv.org/abs/2112.11687.

    Example:
        >>> from lamella import ops
        >>> ops.squareplus([-1.5, 0.0, 1.5])
        array([0.5, 1. , 2. ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.multiply(ops.add(x, ops.sqrt(ops.add(ops.square(x), float(b)))), 0.5)


def gelu(x: ArrayLike, approximate: bool = True) -> Tensor:
    """x * Phi(x), Phi the standard normal distribution function; `approximate` takes a tanh for it

    Args:
        x: array; integers are converted to `floatx`.
        approximate: whether Phi is (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3))) / 2; False computes the exact
            (1 + erf(x / sqrt(2))) / 2.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016, https://arxiv.org/abs/1606.08415.

    Example:
        >>> from lamella import ops
        >>> ops.gelu([-1.0, 0.0, 1.0]).round(4), ops.gelu([-1.0, 0.0, 1.0], approximate=False).round(4)
        (array([-0.1588,  0.    ,  0.8412], dtype=float32), array([-0.1587,  0.    ,  0.8413], dtype=float32))
    """
    x = ops.convert_to_tensor(x)
    if approximate:
        cubic = ops.multiply(ops.multiply(ops.square(x), x), 0.044715)
        bell = ops.tanh(ops.multiply(ops.add(x, cubic), math.sqrt(2.0 / math.pi)))
    else:
        bell = ops.erf(ops.multiply(x, math.sqrt(0.5)))
    return ops.multiply(ops.multiply(x, ops.add(bell, 1.0)), 0.5)


def glu(x: ArrayLike, axis: int = -1) -> Tensor:
    """a * sigmoid(b), where a and b are the halves of x along `axis`; the size there must be even

    Args:
        x: array; integers are converted to `floatx`.
        axis: the axis that is halved.

    Returns:
        An array of the shape of `x` with half its size along `axis`.

    Raises:
        ShapeError: the size along `axis` is odd, or `axis` is out of range.

    References:
        Y. N. Dauphin, A. Fan, M. Auli, D. Grangier, "Language modeling with gated convolutional networks", ICML 2017,
        https://arxiv.org/abs/1612.08083.

    Example:
        >>> from lamella import ops
        >>> ops.glu([3.0, 4.0, 0.0, 100.0])
        array([1.5, 4. ], dtype=float32)
    """
    a, b = ops.split(x, 2, axis)
    return ops.multiply(a, ops.sigmoid(b))


def hard_tanh(x: ArrayLike) -> Tensor:
    """x limited to [-1, 1]; the derivative at both ends is 1

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.hard_tanh([-2.0, 0.5, 2.0])
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater(x, 1.0), 1.0, ops.where(ops.less(x, -1.0), -1.0, x))


def hard_sigmoid(x: ArrayLike) -> Tensor:
    """relu6(x + 3) / 6; the derivative at -3 and at 3 is 0 (Keras 1 and 2 had 0.2 x + 0.5)

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.hard_sigmoid([-4.0, 0.0, 1.5])
        array([0.  , 0.5 , 0.75], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.divide(relu6(ops.add(x, 3.0)), 6.0)


def log_sigmoid(x: ArrayLike) -> Tensor:
    """log(1 / (1 + exp(-x))), computed as -softplus(-x): without overflow

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import ops
        >>> ops.log_sigmoid([-200.0, 0.0, 200.0]).round(4)
        array([-200.    ,   -0.6931,   -0.    ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.negative(ops.softplus(ops.negative(x)))


def hard_silu(x: ArrayLike) -> Tensor:
    """x * hard_sigmoid(x), also called hard_swish; the derivative at -3 is 0 and at 3 is 1

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        A. Howard et al., "Searching for MobileNetV3", ICCV 2019, https://arxiv.org/abs/1905.02244.

    Example:
        >>> from lamella import ops
        >>> ops.hard_silu([-4.0, 1.5, 4.0])
        array([-0.   ,  1.125,  4.   ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.multiply(x, hard_sigmoid(x))


def mish(x: ArrayLike) -> Tensor:
    """x * tanh(softplus(x))

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    References:
        D. Misra, "Mish: a self regularized non-monotonic activation function", 2019, https://arxiv.org/abs/1908.08681.

    Example:
        >>> from lamella import ops
        >>> ops.mish([-1.0, 0.0, 1.0]).round(4)
        array([-0.3034,  0.    ,  0.8651], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The point of the probability simplex nearest to x along `axis`: max(x - tau, 0).

    Unlike `softmax` it gives exact zeros. An entry z is in the support where 1 + k z > s, with k the count and s the
    sum of the entries that are not below z. Counting by comparison needs no sorting, but n**2 memory along `axis`.

    Args:
        x: array; integers are converted to `floatx`.
        axis: the axis of the classes.

    Returns:
        An array of the shape of `x`; the entries along `axis` are not negative and sum to 1.

    Raises:
        ShapeError: `axis` is out of range.

    References:
        A. F. T. Martins, R. F. Astudillo, "From softmax to sparsemax", ICML 2016, https://arxiv.org/abs/1602.02068.

    Example:
        >>> from lamella import ops
        >>> ops.sparsemax([[1.0, 1.5, -2.0], [0.0, 0.0, 0.0]]).round(4)
        array([[0.25  , 0.75  , 0.    ],
               [0.3333, 0.3333, 0.3333]], dtype=float32)
    """
    x = ops.moveaxis(ops.convert_to_tensor(x), axis, -1)
    mine, others = ops.expand_dims(x, -1), ops.expand_dims(x, -2)
    above = ops.greater_equal(others, mine)
    count = ops.sum(ops.cast(above, x.dtype), -1)
    total = ops.sum(ops.where(above, others, 0.0), -1)
    support = ops.greater(ops.add(ops.multiply(count, x), 1.0), total)
    size = ops.sum(ops.cast(support, x.dtype), -1, keepdims=True)
    tau = ops.divide(ops.subtract(ops.sum(ops.where(support, x, 0.0), -1, keepdims=True), 1.0), size)
    return ops.moveaxis(ops.maximum(ops.subtract(x, tau), 0.0), -1, axis)


swish = silu
hard_swish = hard_silu

filter_functions(__name__)
