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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamella.ir import settings
from lamella.ir.spec import dtype_name
from lamella.ops.random_bits import fold_in, random_bits, threefry
from lamella.stacks import ThreadStack

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


_PART: ThreadStack[tuple[slice, ...]] = ThreadStack()


@contextmanager
def drawing(part: tuple[slice, ...]) -> Iterator[None]:
    """Inside a `with` block `uniform`, `normal` and `truncated_normal` return a part of what they draw, and draw no more."""
    with _PART.pushed(part):
        yield


def bits_of(key: Key, shape: Sequence[int], part: tuple[slice, ...]) -> np.ndarray:
    """`bits(key, shape)[part]`; no other words are computed.

    >>> key, part = key_from_seed(1), (slice(1, 3), slice(2, 5))
    >>> bool((bits_of(key, (4, 5), part) == bits(key, (4, 5))[part]).all())
    True
    """
    place = np.zeros((), np.int64)
    for size, along in zip(shape, part, strict=True):
        place = place[..., None] * int(size) + np.arange(*along.indices(int(size)))
    words = np.empty(place.size, np.uint32)
    for start in range(0, place.size, _PIECE):
        index = place.reshape(-1)[start : start + _PIECE]
        first, second, step = (np.full(index.size, word, np.uint32) for word in (*key, 0))
        both = threefry(first, second, step, (index // 2).astype(np.uint32))
        words[start : start + _PIECE] = np.where(index % 2, both[1], both[0])
    return words.reshape(place.shape)


def uniform(key: Key, shape: Sequence[int], low: float = 0.0, high: float = 1.0, dtype: Any = None) -> np.ndarray:
    """low + (high - low) * bits / 2**32, computed in float64 and rounded once; below `high` also after rounding."""
    kind = rounded(np.zeros(0), dtype).dtype.type
    below = np.nextafter(kind(high), kind(low)) if high > low else kind(high)

    def values(unit: np.ndarray) -> np.ndarray:
        unit *= 2.0**-32
        unit *= high - low
        unit += low
        return np.minimum(rounded(unit, dtype), below)

    return _drawn(key, shape, dtype, values)


def normal(key: Key, shape: Sequence[int], dtype: Any = None, *, mean: float = 0.0, stddev: float = 1.0) -> np.ndarray:
    """mean + stddev * Phi^-1((bits + 1/2) / 2**32): a normal variate from one word; float64 until the last rounding."""

    def values(unit: np.ndarray) -> np.ndarray:
        unit += 0.5
        unit *= 2.0**-32
        return rounded(_scaled(_quantile(unit), mean, stddev), dtype)

    return _drawn(key, shape, dtype, values)


def truncated_normal(
    key: Key, shape: Sequence[int], dtype: Any = None, *, mean: float = 0.0, stddev: float = 1.0
) -> np.ndarray:
    """A normal variate given that it is within two `stddev` of `mean`, by its inverse distribution function."""
    within = math.erf(math.sqrt(2.0))  # the probability of two standard deviations

    def values(unit: np.ndarray) -> np.ndarray:
        unit += 0.5
        unit *= within * 2.0**-32
        unit += 0.5 * (1.0 - within)
        return rounded(_scaled(_quantile(unit), mean, stddev), dtype)

    return _drawn(key, shape, dtype, values)


_PIECE = 1 << 14
"""Draws computed together: few enough for the second-level cache, many enough to make light of the calls of ufuncs."""


def _drawn(key: Key, shape: Sequence[int], dtype: Any, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`values` of the words of `bits(key, shape)`, which it is given a piece at a time, as float64, to overwrite.

    Results of 16 and 32 bits replace the words in memory: float32 values take no more than their own.
    """
    part = _PART.top
    found = bits(key, shape) if part is None else bits_of(key, shape, part)
    words = found.reshape(-1)
    kind, count = rounded(np.zeros(0), dtype).dtype, words.size
    drawn = words.view(kind)[:count] if kind.itemsize <= words.itemsize else np.empty(count, kind)
    for start in range(0, count, _PIECE):
        stop = start + _PIECE
        drawn[start:stop] = values(words[start:stop].astype(np.float64))
    if kind.itemsize < words.itemsize:
        drawn = drawn.copy()
    return drawn.reshape(found.shape)


def _scaled(x: np.ndarray, mean: float, stddev: float) -> np.ndarray:
    """mean + stddev * x, in the place of x."""
    x *= stddev
    x += mean
    return x


def permutation(key: Key, n: int, step: int = 0) -> np.ndarray:
    """A random order of 0 ... n - 1 (int32), one for each step; `Orders` draws many of them for the price of one."""
    return Orders(key, n)[step]


class Orders:
    """Random orders of 0 ... n - 1, one per step: the stable sort of n words.

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
    """The quotient of two polynomials by Horner's rule."""
    top, bottom = np.empty_like(x), np.empty_like(x)
    for result, coefficients in zip((top, bottom), table, strict=True):
        np.multiply(x, coefficients[-1], result)
        for coefficient in coefficients[-2:0:-1]:
            np.add(result, coefficient, result)
            np.multiply(result, x, result)
        np.add(result, coefficients[0], result)
    return np.divide(top, bottom, top)


def normal_quantile(p: Any) -> np.ndarray:
    """Phi^-1(p), the inverse of the standard normal distribution function, for 0 < p < 1, to 1e-15 relative.

    References:
        M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37, 1988.
    """
    p = np.asarray(p, dtype=np.float64)
    return _quantile(p.reshape(-1)).reshape(p.shape)


def _quantile(p: np.ndarray) -> np.ndarray:
    """`normal_quantile` of a vector; most values are near the middle, and only the others are computed as tails."""
    distance = p - 0.5
    square = np.abs(distance)
    far = np.flatnonzero(square > 0.425)
    np.multiply(distance, distance, square)
    np.subtract(0.180625, square, square)
    result = _ratio(_CENTRAL, square)
    np.multiply(result, distance, result)
    if far.size:
        p, distance = p[far], distance[far]
        root = np.sqrt(-np.log(np.minimum(p, 1.0 - p)))
        outer = _ratio(_MIDDLE, root - 1.6)
        extreme = np.flatnonzero(root > 5.0)
        if extreme.size:
            outer[extreme] = _ratio(_TAIL, root[extreme] - 5.0)
        result[far] = np.copysign(outer, distance)
    return result


class _Seeds:
    """The process's sequence of seeds: none until `set_random_seed` starts it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.scope = threading.RLock()  # one `seeded` block at a time
        self.key: Key | None = None
        self.drawn = 0


_SEEDS = _Seeds()


def set_random_seed(seed: int) -> None:
    """Seed the sequence that models draw their seeds from, and the generators of Python and NumPy.

    Args:
        seed: an integer from 0 to 2**32 - 1.

    Raises:
        ValueError: `seed` is not such an integer.

    Example:
        >>> import lamella
        >>> lamella.utils.set_random_seed(0)
        >>> first = lamella.random.uniform((2,))
        >>> lamella.utils.set_random_seed(0)
        >>> bool((lamella.random.uniform((2,)) == first).all())
        True
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed takes an integer from 0 to 2**32 - 1, got {seed!r}.")
    import random as python_random

    seed = int(seed)
    python_random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the user's own draws shall repeat too
    start_seeds(seed)


def start_seeds(seed: int) -> None:
    """Start the sequence that models without a seed draw from, and leave other generators alone.

    Args:
        seed: any integer.
    """
    with _SEEDS.lock:
        _SEEDS.key, _SEEDS.drawn = key_from_seed(seed), 0


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, draws are as after `set_random_seed(seed)`; the sequences of before continue behind it.

    >>> with seeded(3):
    ...     first = next_seed()
    >>> with seeded(3):
    ...     print(next_seed() == first)
    True

    Args:
        seed: an integer from 0 to 2**32 - 1.

    Raises:
        ValueError: it is no such integer.
    """
    import random as python_random

    with _SEEDS.scope:
        # no generator of NumPy's new kind: it is the process's own that is put back
        before = (python_random.getstate(), np.random.get_state(), _SEEDS.key, _SEEDS.drawn)  # noqa: NPY002
        try:
            set_random_seed(seed)
            yield
        finally:
            python_random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            with _SEEDS.lock:
                _SEEDS.key, _SEEDS.drawn = before[2:]


def begin_with(seed: int) -> None:
    """Start the sequence of seeds without touching Python's and NumPy's generators, unless it was started before."""
    with _SEEDS.lock:
        if _SEEDS.key is None:
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
