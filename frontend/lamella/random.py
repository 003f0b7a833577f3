"""Random numbers drawn on the host, from the bits of `ops.random_bits`.

Initial weights and orders are drawn here, once, for every backend. Everything but the process's own sequence of seeds
is a pure function of a key: `uint32[2]`, made by `key_from_seed` and `fold`.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.ir import settings
from lamella.ir.spec import dtype_name
from lamella.ops.random_bits import fold_in, random_bits

Key = np.ndarray
"""uint32[2]"""


def key_from_seed(seed: int) -> Key:
    """The key of an integer: its upper and lower 32 bits; a negative seed wraps at 64 bits."""
    seed = int(seed) & 0xFFFFFFFFFFFFFFFF
    return np.array([seed >> 32, seed & 0xFFFFFFFF], dtype=np.uint32)


def fold(key: Key, data: int | str) -> Key:
    """A new key from a key and a number below 2**32, or a text (its CRC-32): `ops.fold_in` on the host."""
    number = zlib.crc32(data.encode()) if isinstance(data, str) else int(data) & 0xFFFFFFFF
    return np.asarray(fold_in.bind(np.asarray(key, np.uint32), data=number))


def bits(key: Key, shape: Sequence[int], step: int = 0) -> np.ndarray:
    """Uniform random bits: uint32 of `shape`, the numbers `ops.random_bits(key, step, shape=shape, bits=32)` gives.

    Element i is word i % 2 of the block threefry(key, (step, i // 2)); it depends on its index only.
    """
    dims = tuple(int(d) for d in shape)
    return np.asarray(random_bits.bind(np.asarray(key, np.uint32), np.asarray(step, np.uint32), shape=dims, bits=32))


def uniform(key: Key, shape: Sequence[int], low: float = 0.0, high: float = 1.0, dtype: Any = None) -> np.ndarray:
    """low + (high - low) * bits / 2**32, computed in float64 and rounded once; below `high` also after rounding."""
    unit = bits(key, shape).astype(np.float64) * 2.0**-32
    drawn = rounded(low + (high - low) * unit, dtype)
    below = np.nextafter(drawn.dtype.type(high), drawn.dtype.type(low)) if high > low else drawn.dtype.type(high)
    return np.minimum(drawn, below)


def normal(key: Key, shape: Sequence[int], dtype: Any = None, *, mean: float = 0.0, stddev: float = 1.0) -> np.ndarray:
    """mean + stddev * Phi^-1((bits + 1/2) / 2**32): a normal variate from one word; float64 until the last rounding."""
    unit = (bits(key, shape).astype(np.float64) + 0.5) * 2.0**-32
    return rounded(mean + stddev * normal_quantile(unit), dtype)


def truncated_normal(
    key: Key, shape: Sequence[int], dtype: Any = None, *, mean: float = 0.0, stddev: float = 1.0
) -> np.ndarray:
    """A normal variate given that it lies within two `stddev` of `mean`, by its inverse distribution function."""
    unit = (bits(key, shape).astype(np.float64) + 0.5) * 2.0**-32
    within = math.erf(math.sqrt(2.0))  # the probability of two standard deviations
    return rounded(mean + stddev * normal_quantile(0.5 * (1.0 - within) + within * unit), dtype)


def permutation(key: Key, n: int, step: int = 0) -> np.ndarray:
    """A random order of 0 ... n - 1 (int32), one for each step; `Orders` draws many of them for the price of one."""
    return Orders(key, n)[step]


class Orders:
    """Random orders of 0 ... n - 1, one a step: the stable sort of n words.

    Orders of few rows are drawn many steps at a time: order `step` sorts row `step % k` of `bits(key, (k, n), step // k)`,
    where k orders make up about 16,384 words.
    """

    def __init__(self, key: Key, n: int) -> None:
        self.key, self.n = key, n
        self.together = max(1, 16_384 // max(n, 1))
        self._block: int | None = None
        self._orders = np.zeros((0, n), np.int32)

    def __getitem__(self, step: int) -> np.ndarray:
        """The order of `step`, int32 of length n."""
        block, row = divmod(step, self.together)
        if block != self._block:
            words = bits(self.key, (self.together, self.n), block).astype(np.uint64)
            # a word and its row number in one integer: any sort then gives the stable order, and the fastest may be used
            words = (words << np.uint64(32)) | np.arange(self.n, dtype=np.uint64)
            self._orders = (np.sort(words, axis=1) & np.uint64(0xFFFFFFFF)).astype(np.int32)
            self._block = block
        return self._orders[row]


def rounded(x: np.ndarray, dtype: Any = None) -> np.ndarray:
    """A float64 array as `dtype` (None: `floatx`), rounded once; bfloat16 is stored, rounded, in float32."""
    name = settings.floatx() if dtype is None else dtype_name(dtype)
    if name != "bfloat16":
        return np.asarray(x).astype(name)
    words = np.asarray(x, dtype=np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + ((words >> np.uint32(16)) & np.uint32(1))  # to nearest, ties to even
    return ((words + half) & np.uint32(0xFFFF0000)).view(np.float32)


# Wichura's PPND16: numerator and denominator of the three ranges, lowest power first.
_CENTRAL = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
_MIDDLE = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
_TAIL = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
        2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
    ),
)  # fmt: skip


def _ratio(table: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    top, bottom = (np.polynomial.polynomial.polyval(x, np.array(row)) for row in table)
    return top / bottom


def normal_quantile(p: Any) -> np.ndarray:
    """Phi^-1(p), the inverse of the standard normal distribution function, for 0 < p < 1, to 1e-15 relative.

    References:
        M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37, 1988.
    """
    p = np.asarray(p, dtype=np.float64)
    distance = p - 0.5
    central = np.abs(distance) <= 0.425
    near = np.where(central, distance, 0.0)
    inner = near * _ratio(_CENTRAL, 0.180625 - near * near)
    root = np.sqrt(-np.log(np.where(central, 0.25, np.minimum(p, 1.0 - p))))
    outer = np.where(
        root <= 5.0, _ratio(_MIDDLE, np.minimum(root, 5.0) - 1.6), _ratio(_TAIL, np.maximum(root, 5.0) - 5.0)
    )
    return np.where(central, inner, np.copysign(outer, distance))


class _Seeds:
    """The process's sequence of seeds: none until `set_random_seed` starts it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.key: Key | None = None
        self.drawn = 0


_SEEDS = _Seeds()


def set_random_seed(seed: int) -> None:
    """Start the sequence that models without a seed of their own draw from; also seeds Python's and NumPy's generators.

    Args:
        seed: an integer from 0 to 2**32 - 1 (what NumPy's generator takes).

    Raises:
        ValueError: it is no such integer.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed takes an integer from 0 to 2**32 - 1, got {seed!r}.")
    import random as python_random

    seed = int(seed)
    python_random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the user's own draws shall repeat too
    with _SEEDS.lock:
        _SEEDS.key, _SEEDS.drawn = key_from_seed(seed), 0


def next_seed() -> int:
    """The next seed of the process (31 bits): of the sequence `set_random_seed` started, else of NumPy's generator.

    So a program that only says `np.random.seed(7)` repeats as well.
    """
    with _SEEDS.lock:
        if _SEEDS.key is None:
            return int(np.random.randint(0, 2**31 - 1))  # noqa: NPY002 - the generator np.random.seed sets
        drawn = bits(_SEEDS.key, (1,), _SEEDS.drawn)
        _SEEDS.drawn += 1
        return int(drawn[0] >> np.uint32(1))
