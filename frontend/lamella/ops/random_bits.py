"""Random bits as a pure function of (key, step, index): Threefry-2x32 with 20 rounds.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError, DTypeError
from lamella.ir.dim import ceil_div, maximum
from lamella.ir.program import op
from lamella.ir.spec import Spec, size_of, spec_of
from lamella.ops.coerce import full_of
from lamella.ops.comparison import bitwise_and, bitwise_or, bitwise_xor, left_shift, right_shift
from lamella.ops.elementwise import add, convert
from lamella.ops.shapes import broadcast, concatenate_, iota, reshape_, slice_

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
FOLD = 0xFFFFFFFF
"""The upper 32 bits of the counter in `fold_in`; steps are smaller, so that keys differ from draws."""


NEW_KEYS: list[Callable[[], tuple[Any, Any]]] = []
"""The function that returns the key and the step of a draw without a seed; `core.context` sets it."""


def _key(key: Spec) -> None:
    if key != Spec((2,), "uint32"):
        raise DTypeError(f"a key must be uint32[2], got {key}.")


@op(differentiable=False)
def random_bits(key: Spec, step: Spec, *, shape: tuple[int, ...], bits: int) -> Spec:
    """Uniform random bits: uint32 (bits=32) or uint16 (bits=16) of `shape`.

    The 64-bit block with index j is threefry(key, (step, j)); element i is word i % 2 of block i // 2, or for bits=16
    the 16-bit lane i % 4 of block i // 4, low lane first. So an element depends on its index only, not on the shape.

    Args:
        key: a uint32 array `(2,)`.
        step: a uint32 scalar.
        shape: the shape of the result.
        bits: 32 or 16.

    Returns:
        An array of `shape`.

    Raises:
        DTypeError: the key or the step has another shape or dtype.
        ArgumentError: `bits` is neither 16 nor 32.

    References:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
        https://doi.org/10.1145/2063384.2063405.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> ops.random_bits(np.array([0, 1], "uint32"), np.array(0, "uint32"), shape=(4,), bits=16)
        array([ 6197,  7743,  8322, 28277], dtype=uint16)
    """
    _key(key)
    if step != Spec((), "uint32"):
        raise DTypeError(f"step must be uint32[], got {step}.")
    if bits not in (16, 32):
        raise ArgumentError(f"bits must be 16 or 32, got {bits}.")
    return Spec(shape, f"uint{bits}")


@op(differentiable=False)
def fold_in(key: Spec, *, data: int) -> Spec:
    """A new key from a key and a number below 2**32: threefry(key, (2**32 - 1, data)).

    Args:
        key: a uint32 array `(2,)`.
        data: a Python integer from 0 to 2**32 - 1.

    Returns:
        A uint32 array `(2,)`, whose numbers are independent of those of `key`.

    Raises:
        DTypeError: the key has another shape or dtype.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> key = np.array([0, 1], "uint32")
        >>> ops.fold_in(key, data=1), ops.fold_in(key, data=2)
        (array([2951458035, 1344942095], dtype=uint32), array([1794465123, 1911866576], dtype=uint32))
    """
    _key(key)
    return key


def _like(x: Tensor, value: int) -> Tensor:
    return full_of(spec_of(x), value)


def _rotate(x: Tensor, by: int) -> Tensor:
    return bitwise_or(left_shift(x, _like(x, by)), right_shift(x, _like(x, 32 - by)))


def _entry(key: Any, i: int) -> Any:
    return reshape_.bind(slice_.bind(key, start=(i,), stop=(i + 1,), strides=(1,)), shape=())


def threefry(key0: Tensor, key1: Tensor, x0: Tensor, x1: ArrayLike) -> tuple[Any, Any]:
    """One block per pair of counter words; all operands are uint32 arrays of one shape."""
    keys = (key0, key1, bitwise_xor(bitwise_xor(key0, key1), _like(key0, PARITY)))
    x0, x1 = add(x0, keys[0]), add(x1, keys[1])
    for group in range(5):
        for by in ROTATIONS[group % 2]:
            x0 = add(x0, x1)
            x1 = bitwise_xor(_rotate(x1, by), x0)
        x0 = add(x0, keys[(group + 1) % 3])
        x1 = add(add(x1, keys[(group + 2) % 3]), _like(x1, group + 1))
    return x0, x1


@random_bits.define
def _(key: Any, step: Any, *, shape: tuple[int, ...], bits: int) -> Any:
    count = size_of(shape)
    lanes = 64 // bits
    blocks = maximum(1, ceil_div(count, lanes))

    def spread(x: Any) -> Any:
        return broadcast.bind(x, shape=(blocks,), axes=())

    index = iota.bind(shape=(blocks,), dtype="uint32", axis=0)
    words = threefry(spread(_entry(key, 0)), spread(_entry(key, 1)), spread(step), index)
    if bits == 16:
        low = full_of(spec_of(index), 0xFFFF)
        words = tuple(
            half for w in words for half in (bitwise_and(w, low), right_shift(w, full_of(spec_of(index), 16)))
        )
    columns = [reshape_.bind(convert.bind(w, dtype=f"uint{bits}"), shape=(blocks, 1)) for w in words]
    flat = reshape_.bind(concatenate_.bind(*columns, axis=1), shape=(blocks * lanes,))
    return reshape_.bind(slice_.bind(flat, start=(0,), stop=(count,), strides=(1,)), shape=shape)


@fold_in.define
def _(key: Any, *, data: int) -> Any:
    key0, key1 = _entry(key, 0), _entry(key, 1)
    words = threefry(key0, key1, _like(key0, FOLD), _like(key1, data))
    return concatenate_.bind(*[reshape_.bind(w, shape=(1,)) for w in words], axis=0)
