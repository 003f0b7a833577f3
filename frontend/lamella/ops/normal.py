"""Normal random numbers from random bits, the same on every backend to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lamella.ir.spec import spec_of
from lamella.ops.coerce import as_tensor, full_of
from lamella.ops.comparison import less, right_shift, where
from lamella.ops.elementwise import add, cast, log, minimum, multiply, negative, sqrt, subtract
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

# Lowest power first; of w - 2.5, and of sqrt(w) - 3.
_CENTRAL = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06, -3.5233877e-06,
    3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
_TAIL = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322,
    0.000100950558, -0.000200214257,
)  # fmt: skip
_SQRT_TWO = 1.4142135623730951


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    result = full_of(spec_of(x), coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = add(multiply(result, x), c)
    return result


@filtered
def normal_from_bits(bits: Tensor, dtype: str = "float32") -> Tensor:
    """sqrt(2) * erfinv(u) for u = (bits // 2**9 + 1/2) / 2**22 - 1: a standard normal variate from each uint32

    The 23 bits give numbers up to 5.3 in magnitude; the mean is 0 and the variance 1, to 1e-6.

    Args:
        bits: a uint32 array, as `random_bits` returns it.
        dtype: a float dtype of at least 32 bits.

    Returns:
        An array of the shape of `bits` in `dtype`.

    References:
        M. Giles, "Approximating the erfinv function", GPU Computing Gems Jade Edition, 2011.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.normal_from_bits(np.array([0, 2**31, 2**32 - 1], "uint32")).round(3)
        array([-5.295,  0.   ,  5.295], dtype=float32)
    """
    places = cast(right_shift(as_tensor(bits), np.uint32(9)), dtype)
    u = add(multiply(places, 2.0**-22), 2.0**-23 - 1.0)
    w = negative(log(multiply(subtract(1.0, u), add(1.0, u))))
    near = _polynomial(_CENTRAL, subtract(minimum(w, 5.0), 2.5))
    far = _polynomial(_TAIL, subtract(sqrt(w), 3.0))
    return multiply(multiply(where(less(w, 5.0), near, far), u), _SQRT_TWO)
