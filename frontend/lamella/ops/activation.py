"""Activation functions: formulas, and at every kink the derivative, of Keras on JAX."""

from __future__ import annotations

import math
from typing import Any

from lamella import ops
from lamella.tracebacks import filter_functions


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x where x >= 0, else negative_slope * x; the derivative at 0 is 1"""
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater_equal(x, 0.0), x, ops.multiply(x, negative_slope))


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6); the derivative at 0 and at 6 is 0"""
    x = ops.convert_to_tensor(x)
    # one kink in each select: at 6 the constant is chosen, so no gradient passes
    return ops.where(ops.less(x, 6.0), ops.relu(x), 6.0)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1); the derivative at 0 is alpha

    References:
        D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear
        units", ICLR 2016, https://arxiv.org/abs/1511.07289.
    """
    x = ops.convert_to_tensor(x)
    positive = ops.greater(x, 0.0)
    # the exponential sees nothing positive, so that the branch not taken cannot overflow
    return ops.where(positive, x, ops.multiply(ops.expm1(ops.where(positive, 0.0, x)), alpha))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x / alpha) - 1); the derivative at 0 is 1"""
    x = ops.convert_to_tensor(x)
    positive = ops.greater(x, 0.0)
    below = ops.multiply(ops.expm1(ops.divide(ops.where(positive, 0.0, x), alpha)), alpha)
    return ops.where(positive, x, below)


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: Any) -> Any:
    """1.0507 * elu(x, alpha=1.6733); the derivative at 0 is 1.7581

    References:
        G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks", NeurIPS 2017,
        https://arxiv.org/abs/1706.02515.
    """
    return ops.multiply(elu(x, SELU_ALPHA), SELU_SCALE)


def softsign(x: Any) -> Any:
    """x / (1 + |x|)"""
    x = ops.convert_to_tensor(x)
    return ops.divide(x, ops.add(ops.abs(x), 1.0))


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x - threshold where x > threshold, x + threshold where x < -threshold, else 0; the derivative at both is 0"""
    x = ops.convert_to_tensor(x)
    low = ops.where(ops.less(x, -threshold), ops.add(x, threshold), 0.0)
    return ops.where(ops.greater(x, threshold), ops.subtract(x, threshold), low)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x where |x| > threshold, else 0"""
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater(ops.abs(x), threshold), x, 0.0)


def tanh_shrink(x: Any) -> Any:
    """x - tanh(x)"""
    x = ops.convert_to_tensor(x)
    return ops.subtract(x, ops.tanh(x))


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """x where x > threshold, else default_value"""
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater(x, threshold), x, default_value)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, (x + 1)**2 / 4 up to 1, then x"""
    x = ops.convert_to_tensor(x)
    middle = ops.multiply(ops.square(ops.add(x, 1.0)), 0.25)
    return ops.where(ops.less_equal(x, -1.0), 0.0, ops.where(ops.greater_equal(x, 1.0), x, middle))


def sparse_sigmoid(x: Any) -> Any:
    """clip(x + 1, 0, 2) / 2; the derivative at -1 and at 1 is 1/4"""
    x = ops.convert_to_tensor(x)
    return ops.multiply(ops.clip(ops.add(x, 1.0), 0.0, 2.0), 0.5)


def silu(x: Any) -> Any:
    """x * sigmoid(x), also called swish"""
    x = ops.convert_to_tensor(x)
    return ops.multiply(x, ops.sigmoid(x))


def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x**2 + b)) / 2"""
    x = ops.convert_to_tensor(x)
    return ops.multiply(ops.add(x, ops.sqrt(ops.add(ops.square(x), float(b)))), 0.5)


def gelu(x: Any, approximate: bool = True) -> Any:
    """x * Phi(x), Phi the standard normal distribution function; `approximate` takes a tanh for it

    References:
        D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016, https://arxiv.org/abs/1606.08415.
    """
    x = ops.convert_to_tensor(x)
    if approximate:
        cubic = ops.multiply(ops.multiply(ops.square(x), x), 0.044715)
        bell = ops.tanh(ops.multiply(ops.add(x, cubic), math.sqrt(2.0 / math.pi)))
    else:
        bell = ops.erf(ops.multiply(x, math.sqrt(0.5)))
    return ops.multiply(ops.multiply(x, ops.add(bell, 1.0)), 0.5)


def glu(x: Any, axis: int = -1) -> Any:
    """a * sigmoid(b), where a and b are the halves of x along `axis`; the size there must be even"""
    a, b = ops.split(x, 2, axis)
    return ops.multiply(a, ops.sigmoid(b))


def hard_tanh(x: Any) -> Any:
    """x limited to [-1, 1]; the derivative at both ends is 1"""
    x = ops.convert_to_tensor(x)
    return ops.where(ops.greater(x, 1.0), 1.0, ops.where(ops.less(x, -1.0), -1.0, x))


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6; the derivative at -3 and at 3 is 0 (Keras 1 and 2 had 0.2 x + 0.5)"""
    x = ops.convert_to_tensor(x)
    return ops.divide(relu6(ops.add(x, 3.0)), 6.0)


def log_sigmoid(x: Any) -> Any:
    """log(1 / (1 + exp(-x)))"""
    x = ops.convert_to_tensor(x)
    return ops.negative(ops.softplus(ops.negative(x)))


def hard_silu(x: Any) -> Any:
    """x * hard_sigmoid(x), also called hard_swish"""
    x = ops.convert_to_tensor(x)
    return ops.multiply(x, hard_sigmoid(x))


def mish(x: Any) -> Any:
    """x * tanh(softplus(x))

    References:
        D. Misra, "Mish: a self regularized non-monotonic activation function", 2019, https://arxiv.org/abs/1908.08681.
    """
    x = ops.convert_to_tensor(x)
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The point of the probability simplex nearest to x along `axis`: max(x - tau, 0)

    An entry z is in the support where 1 + k z > s, k the count and s the sum of the entries not below z. Counting by
    comparison needs no sorting and n**2 memory along `axis`.

    References:
        A. F. T. Martins, R. F. Astudillo, "From softmax to sparsemax", ICML 2016, https://arxiv.org/abs/1602.02068.
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
