"""Activation functions, by name and as functions, written in `lamella.ops`.

Formulas, defaults and the derivatives at non-differentiable points are those of Keras on JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lamella import ops
from lamella.absent import refusing
from lamella.core import registration, serialization
from lamella.errors import ArgumentError
from lamella.names import by_name
from lamella.ops.activation import celu as celu
from lamella.ops.activation import elu as elu
from lamella.ops.activation import glu as glu
from lamella.ops.activation import hard_shrink as hard_shrink
from lamella.ops.activation import hard_sigmoid as hard_sigmoid
from lamella.ops.activation import hard_silu as hard_silu
from lamella.ops.activation import hard_swish as hard_swish
from lamella.ops.activation import hard_tanh as hard_tanh
from lamella.ops.activation import leaky_relu as leaky_relu
from lamella.ops.activation import log_sigmoid as log_sigmoid
from lamella.ops.activation import mish as mish
from lamella.ops.activation import relu6 as relu6
from lamella.ops.activation import selu as selu
from lamella.ops.activation import silu as silu
from lamella.ops.activation import soft_shrink as soft_shrink
from lamella.ops.activation import softsign as softsign
from lamella.ops.activation import sparse_plus as sparse_plus
from lamella.ops.activation import sparse_sigmoid as sparse_sigmoid
from lamella.ops.activation import sparsemax as sparsemax
from lamella.ops.activation import squareplus as squareplus
from lamella.ops.activation import swish as swish
from lamella.ops.activation import tanh_shrink as tanh_shrink
from lamella.ops.activation import threshold as threshold

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Activation: TypeAlias = Callable[..., Any]


def linear(x: ArrayLike) -> Any:
    """x, unchanged

    Args:
        x: array of any dtype.

    Returns:
        `x` itself.

    Example:
        >>> from lamella import activations
        >>> activations.linear(3.0)
        3.0
    """
    return x


def relu(x: ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x where x > threshold, else negative_slope * (x - threshold); at most max_value

    The derivative is 0 at the threshold, but 1 at 0 if only `negative_slope` is given (`leaky_relu`). At `max_value` it is
    1/2, and 0 for `max_value=6` and `threshold=0` (`relu6`). All of these are as in Keras on JAX.

    Args:
        x: array of numbers.
        negative_slope: the factor of entries below the threshold.
        max_value: the upper limit of the result; None sets none.
        threshold: entries above it pass.

    Returns:
        An array of the shape of `x`; integers become `floatx` unless all arguments have their defaults.

    Example:
        >>> from lamella import activations
        >>> activations.relu([-2.0, 0.5, 3.0], negative_slope=0.25, max_value=2.0)
        array([-0.5,  0.5,  2. ], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    if negative_slope and max_value is None and threshold == 0:
        return leaky_relu(x, negative_slope)
    below = None
    if negative_slope:
        below = ops.multiply(ops.relu(ops.subtract(threshold, x)), negative_slope)
    if threshold != 0:
        y = ops.where(ops.greater(x, threshold), x, 0.0)
    else:
        y = relu6(x) if max_value == 6 else ops.relu(x)
    if max_value is not None and (threshold != 0 or max_value != 6):
        y = ops.clip(y, 0.0, max_value)
    return y if below is None else ops.subtract(y, below)


def softmax(x: ArrayLike, axis: int | Sequence[int] = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`, or over several axes, shifted by the maximum

    Args:
        x: array; integers are converted to `floatx`.
        axis: the axis of the classes, or several axes.

    Returns:
        An array of the shape of `x` whose entries along `axis` sum to 1.

    Raises:
        ShapeError: `axis` is out of range, or has no entries.

    Example:
        >>> from lamella import activations
        >>> activations.softmax([[1.0, 1.0], [0.0, 1000.0]])
        array([[0.5, 0.5],
               [0. , 1. ]], dtype=float32)
    """
    return ops.softmax(x, axis)


def log_softmax(x: ArrayLike, axis: int | Sequence[int] = -1) -> Tensor:
    """x - log(sum(exp(x))) along `axis`, or over several axes, shifted by the maximum

    Args:
        x: array; integers are converted to `floatx`.
        axis: the axis of the classes, or several axes.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ShapeError: `axis` is out of range, or has no entries.

    Example:
        >>> from lamella import activations
        >>> activations.log_softmax([1.0, 1.0, 1000.0])
        array([-999., -999.,    0.], dtype=float32)
    """
    return ops.log_softmax(x, axis)


def softplus(x: ArrayLike) -> Tensor:
    """log(1 + exp(x)), without overflow

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import activations
        >>> activations.softplus([-200.0, 0.0, 200.0]).round(4)
        array([  0.    ,   0.6931, 200.    ], dtype=float32)
    """
    return ops.softplus(x)


def gelu(x: ArrayLike, approximate: bool = False) -> Tensor:
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
        >>> from lamella import activations
        >>> activations.gelu([-1.0, 0.0, 1.0]).round(4)
        array([-0.1587,  0.    ,  0.8413], dtype=float32)
    """
    return ops.gelu(x, approximate)


def tanh(x: ArrayLike) -> Tensor:
    """tanh(x)

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import activations
        >>> activations.tanh([-10.0, 0.0, 0.5]).round(4)
        array([-1.    ,  0.    ,  0.4621], dtype=float32)
    """
    return ops.tanh(x)


def sigmoid(x: ArrayLike) -> Tensor:
    """1 / (1 + exp(-x))

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import activations
        >>> activations.sigmoid([-1.0, 0.0, 1.0]).round(4)
        array([0.2689, 0.5   , 0.7311], dtype=float32)
    """
    return ops.sigmoid(x)


def exponential(x: ArrayLike) -> Tensor:
    """exp(x)

    Args:
        x: array; integers are converted to `floatx`.

    Returns:
        An array of the shape of `x`, and of its dtype if that is a float.

    Example:
        >>> from lamella import activations
        >>> activations.exponential([0.0, 1.0]).round(4)
        array([1.    , 2.7183], dtype=float32)
    """
    return ops.exp(x)


TABLE: dict[str, Activation] = {
    function.__name__: function
    for function in (
        celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear,
        log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign,
        sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink, threshold,
    )
} | {"hard_swish": hard_silu, "swish": silu}  # fmt: skip
"""The function for every name that an `activation` argument accepts."""

serialization.register_functions(TABLE)


def get(identifier: Any) -> Activation:
    """The activation function for a name or a function; None gives `linear`.

    Args:
        identifier: a name such as "relu", a function, a function's config in a .keras file, or None.

    Returns:
        A function of one array.

    Raises:
        UnknownNameError: the name is not known.
        ArgumentError: `identifier` is a function of another framework.
        ValueError: `identifier` is none of these.

    Example:
        >>> from lamella import activations
        >>> activations.get("relu")([-1.0, 2.0])
        array([0., 2.], dtype=float32)
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return by_name("activation", identifier, TABLE)
    if isinstance(identifier, dict) and isinstance(identifier.get("config"), str):
        return by_name("activation", identifier["config"], TABLE)  # the form of a function in a .keras file
    if callable(identifier):
        _refuse_foreign(identifier)
        return identifier
    raise ValueError(f"an activation must be a name or a function, got {type(identifier).__name__}: {identifier!r}.")


_ELSEWHERE = ("tensorflow", "keras", "tf_keras", "torch", "jax")
"""Packages whose functions cannot compute with lamella's symbolic values."""


def _refuse_foreign(function: Any) -> None:
    """Raise for a function of another framework that lamella has under the same name.

    Raises:
        ArgumentError: the function is another framework's; the message has the name to use.
    """
    module = getattr(function, "__module__", None) or type(function).__module__
    package, name = module.partition(".")[0], getattr(function, "__name__", "")
    if package in _ELSEWHERE and name in TABLE:
        raise ArgumentError(
            f"activation is {package}'s function {name!r}, which cannot compute with lamella's values: write "
            f"activation={name!r} (or lamella.activations.{TABLE[name].__name__})."
        )


def name_of(function: Activation) -> str:
    """The name under which `get` finds `function`; for a custom function its `__name__`.

    Args:
        function: an activation function.

    Returns:
        The name.

    Example:
        >>> from lamella import activations
        >>> activations.name_of(activations.hard_silu)
        'hard_silu'
    """
    for name, known in TABLE.items():
        if known is function:
            return name
    return getattr(function, "__name__", type(function).__name__)


serialize, deserialize = registration.for_module("keras.activations", get, registration.serialized_function)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
