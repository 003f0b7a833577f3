"""Random numbers with the functions of Keras, `random.normal(shape, seed=...)`, in the `call` of a layer and on arrays.

Without a `seed` each call gives new numbers: in the call of a layer they follow from the model's seed, the layer's path
and the step, elsewhere from `set_random_seed`. An integer gives the same numbers each time. A `SeedGenerator` gives new
numbers each time, which depend on its seed only: in the call of a layer together with the model's seed and the step,
elsewhere in order.

The numbers are computed from `ops.random_bits` and equal on every backend up to rounding; they are not those of Keras.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import host_random, ops
from lamella.absent import refusing
from lamella.core import context
from lamella.errors import ArgumentError, DTypeError
from lamella.host_random import Key as Key
from lamella.host_random import Orders as Orders
from lamella.host_random import bits as bits
from lamella.host_random import fold as fold
from lamella.host_random import key_from_seed as key_from_seed
from lamella.host_random import next_seed as next_seed
from lamella.host_random import normal_quantile as normal_quantile
from lamella.host_random import permutation as permutation
from lamella.host_random import rounded as rounded
from lamella.host_random import set_random_seed as set_random_seed
from lamella.ir import settings
from lamella.ir.spec import dtype_name, is_float, spec_of
from lamella.names import Name

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]

_STEP = context.STEP
_CANDIDATES = 12
"""Candidates that `gamma` draws per number: all of them are rejected with a probability below 1e-15."""


class SeedGenerator:
    """A stream of random numbers, for the `seed` of the functions here.

    In the call of a layer each draw follows from the seed of the model, that of the generator, the step, and the number
    of earlier draws from the generator in the same call, so that a compiled step draws new numbers each time. Outside
    of a layer the generator counts its draws.

    Args:
        seed: an integer. None takes a new one, and in the call of a layer the layer's path.
        name: the name of the generator; None is "seed_generator".

    Raises:
        ArgumentError: `seed` is neither an integer nor None.

    Example:
        >>> from lamella import random
        >>> generator = random.SeedGenerator(7)
        >>> random.randint((4,), 0, 10, seed=generator), random.randint((4,), 0, 10, seed=generator)
        (array([5, 5, 6, 6], dtype=int32), array([7, 3, 8, 6], dtype=int32))
    """

    name: str = Name("a seed generator")  # type: ignore[assignment]

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ArgumentError(f"SeedGenerator: seed must be an integer or None, got {seed!r}.")
        self.name = name or "seed_generator"
        self.seed = None if seed is None else int(seed)
        self._key = host_random.key_from_seed(host_random.next_seed() if self.seed is None else self.seed)
        self._drawn = 0

    def next(self, ordered: bool = True) -> Tensor:
        """The key of the next draw, which the functions here take as their `seed`.

        Args:
            ordered: has no effect; every key is independent of the others.

        Returns:
            A uint32 array `(2,)`.

        Example:
            >>> from lamella import random
            >>> key = random.SeedGenerator(7).next()
            >>> key.shape, key.dtype.name
            ((2,), 'uint32')
        """
        key, step = self._next()
        return key if step is _STEP else ops.random_bits.bind(key, step, shape=(2,), bits=32)

    def _next(self) -> tuple[Any, Any]:
        running = context.current()
        if running is not None:
            return running.random_key(self.seed, None if self.seed is None else self)
        self._drawn += 1
        return host_random.fold(self._key, self._drawn), _STEP

    def get_config(self) -> dict[str, Any]:
        """The seed and the name, as keyword arguments of the class.

        Returns:
            A dict with "seed" and "name".

        Example:
            >>> from lamella import random
            >>> random.SeedGenerator(7).get_config()
            {'seed': 7, 'name': 'seed_generator'}
        """
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """The generator that `get_config` describes.

        Args:
            config: a dict with "seed" and "name".

        Returns:
            A new generator at the start of its stream.

        Example:
            >>> from lamella import random
            >>> random.SeedGenerator.from_config({"seed": 7, "name": "noise"}).seed
            7
        """
        return cls(**config)


def _source(seed: Any) -> tuple[Any, Any]:
    """The key and the step of a draw."""
    if isinstance(seed, SeedGenerator):
        return seed._next()
    if seed is None:
        return context.new_key()
    if type(seed) is not bool and isinstance(seed, int | np.integer):
        return host_random.key_from_seed(int(seed)), _STEP
    if (
        not isinstance(seed, bool)
        and hasattr(seed, "shape")
        and tuple(seed.shape) == (2,)
        and spec_of(seed).dtype == "uint32"
    ):
        return seed, _STEP
    raise ArgumentError(f"seed must be an integer, a SeedGenerator, one of its keys, or None; got {seed!r}.")


def _bits(shape: Sequence[Any], seed: Any, bits: int = 32) -> Tensor:
    key, step = _source(seed)
    return ops.random_bits.bind(key, step, shape=tuple(shape), bits=bits)


def _floats(dtype: DTypeLike, what: str) -> tuple[str, str]:
    """The float dtype of a draw, and the one that it is computed in."""
    name = settings.floatx() if dtype is None else dtype_name(dtype)
    if not is_float(name):
        raise DTypeError(
            f"random.{what}: dtype must be a float dtype, got {name!r}."
            + (" Use randint." if what == "uniform" else "")
        )
    return name, "float64" if name == "float64" else "float32"


def _unit(bits: Tensor, wide: str) -> Tensor:
    """Numbers in (0, 1), of 23 bits each: half an odd multiple of 2**-23."""
    return ops.multiply(ops.add(ops.cast(ops.right_shift(bits, np.uint32(9)), wide), 0.5), 2.0**-23)


def normal(shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers from the normal distribution.

    Args:
        shape: the shape of the result.
        mean: the mean of the distribution.
        stddev: the standard deviation of the distribution.
        dtype: a float dtype; None is `floatx`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`.

    Raises:
        DTypeError: `dtype` is not a float dtype.
        ArgumentError: `seed` is none of these.

    Example:
        >>> from lamella import random
        >>> random.normal((3,), mean=10.0, seed=1).round(3)
        array([8.816, 9.827, 9.884], dtype=float32)
    """
    name, wide = _floats(dtype, "normal")
    drawn = ops.normal_from_bits(_bits(shape, seed), wide)
    return ops.cast(ops.add(ops.multiply(drawn, stddev), mean), name)


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers from the normal distribution restricted to two `stddev` around `mean`.

    Args:
        shape: the shape of the result.
        mean: the mean of the normal distribution.
        stddev: the standard deviation of the normal distribution, before the restriction.
        dtype: a float dtype; None is `floatx`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`.

    Raises:
        DTypeError: `dtype` is not a float dtype.
        ArgumentError: `seed` is none of these.

    Example:
        >>> from lamella import random
        >>> x = random.truncated_normal((1000,), stddev=0.5, seed=1)
        >>> bool((abs(x) <= 1.0).all())
        True
    """
    name, wide = _floats(dtype, "truncated_normal")
    within = math.erf(2.0**0.5)  # the probability of two standard deviations
    places = ops.subtract(ops.multiply(_unit(_bits(shape, seed), wide), 2.0), 1.0)
    drawn = ops.multiply(ops.erfinv(ops.multiply(places, within)), 2.0**0.5)
    return ops.cast(ops.add(ops.multiply(ops.clip(drawn, -2.0, 2.0), stddev), mean), name)


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Uniform numbers from `minval` up to, not including, `maxval`.

    Args:
        shape: the shape of the result.
        minval: the lower bound.
        maxval: the upper bound.
        dtype: a float dtype; None is `floatx`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`.

    Raises:
        DTypeError: `dtype` is not a float dtype.
        ArgumentError: `seed` is none of these.

    Example:
        >>> from lamella import random
        >>> random.uniform((3,), 2.0, 3.0, seed=1).round(4)
        array([2.1182, 2.4315, 2.4538], dtype=float32)
    """
    name, wide = _floats(dtype, "uniform")
    unit = ops.multiply(ops.cast(ops.right_shift(_bits(shape, seed), np.uint32(9)), wide), 2.0**-23)
    drawn = ops.cast(ops.add(ops.multiply(unit, ops.subtract(maxval, minval)), minval), name)
    low, high = ops.cast(minval, name), ops.cast(maxval, name)
    return ops.where(ops.greater_equal(drawn, high), low, drawn)  # Rounding may have reached the upper bound.


def randint(shape: Sequence[int], minval: int, maxval: int, dtype: DTypeLike = "int32", seed: Any = None) -> Tensor:
    """Integers from `minval` up to, not including, `maxval`.

    Their probabilities are equal to within (maxval - minval) / 2**32.

    Args:
        shape: the shape of the result.
        minval: the lower bound.
        maxval: the upper bound.
        dtype: an integer dtype.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`.

    Raises:
        DTypeError: `dtype` is not an integer dtype.
        ArgumentError: there is no integer between the bounds, they are more than 2**32 - 1 apart, or `seed` is none of
            these.

    Example:
        >>> from lamella import random
        >>> random.randint((6,), 0, 10, seed=1)
        array([5, 4, 6, 8, 1, 3], dtype=int32)
    """
    name = dtype_name(dtype)
    if is_float(name) or name == "bool":
        raise DTypeError(f"random.randint: dtype must be an integer dtype, got {name!r}. Use uniform.")
    low, high = int(minval), int(maxval)
    if not 0 < high - low < 2**32:
        raise ArgumentError(
            f"random.randint: maxval must be above minval, by less than 2**32, got {minval} and {maxval}."
        )
    drawn = ops.mod(_bits(shape, seed), np.uint32(high - low))
    return ops.add(ops.cast(drawn, name), np.asarray(low).astype(name))


def categorical(logits: Tensor, num_samples: int, dtype: DTypeLike = "int32", seed: Any = None) -> Tensor:
    """Class indices, drawn with the probabilities softmax(logits).

    Args:
        logits: `(batch, classes)`, the logarithms of the probabilities up to a constant per row.
        num_samples: the number of draws per row.
        dtype: an integer dtype.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array `(batch, num_samples)` in `dtype`.

    Raises:
        ArgumentError: `logits` does not have two dimensions, or `seed` is none of these.

    Example:
        >>> import numpy as np
        >>> from lamella import random
        >>> random.categorical(np.log(np.array([[0.9, 0.1], [0.1, 0.9]], "float32")), 6, seed=1)
        array([[0, 1, 0, 0, 1, 0],
               [1, 1, 1, 1, 1, 1]], dtype=int32)
    """
    logits = ops.convert_to_tensor(logits)
    if len(logits.shape) != 2:
        raise ArgumentError(f"random.categorical: logits must be (batch, classes), got shape {tuple(logits.shape)}.")
    wide = "float64" if spec_of(logits).dtype == "float64" else "float32"
    batch, classes = logits.shape
    gumbel = ops.negative(ops.log(ops.negative(ops.log(_unit(_bits((batch, num_samples, classes), seed), wide)))))
    drawn = ops.argmax(ops.add(ops.expand_dims(ops.cast(logits, wide), 1), gumbel), axis=-1)
    return ops.cast(drawn, dtype_name(dtype))


def dropout(inputs: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None) -> Tensor:
    """`inputs` with a fraction `rate` of the entries set to 0, and the others divided by 1 - rate.

    Args:
        inputs: array of floats.
        rate: the probability with which an entry becomes 0, from 0 to 1.
        noise_shape: the shape of the mask where it is smaller and broadcasts; None in it stands for the size of
            `inputs`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of the shape and dtype of `inputs`.

    Raises:
        ArgumentError: `rate` is outside of [0, 1], `noise_shape` has another number of dimensions than `inputs`, or
            `seed` is none of these.

    References:
        N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a simple way to prevent
        neural networks from overfitting", Journal of Machine Learning Research 15, 2014,
        https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> import numpy as np
        >>> from lamella import random
        >>> random.dropout(np.ones((2, 4), "float32"), 0.5, seed=1)
        array([[2., 2., 2., 2.],
               [0., 2., 0., 0.]], dtype=float32)
    """
    inputs = ops.convert_to_tensor(inputs)
    if not 0 <= rate <= 1:
        raise ArgumentError(f"random.dropout: rate must be a number from 0 to 1, got {rate!r}.")
    if rate == 0:
        return inputs
    if rate == 1:
        return ops.zeros_like(inputs)
    shape = tuple(inputs.shape)
    if noise_shape is not None:
        if len(noise_shape) != len(shape):
            raise ArgumentError(
                f"random.dropout: noise_shape {tuple(noise_shape)} does not fit inputs of shape {shape}."
            )
        shape = tuple(size if given is None else given for given, size in zip(noise_shape, shape, strict=True))
    kept = ops.less(_bits(shape, seed, 16), np.uint16(min(round((1.0 - rate) * 65536), 65535)))
    return ops.where(kept, ops.divide(inputs, 1.0 - rate), ops.zeros_like(inputs))


def shuffle(x: Tensor, axis: int = 0, seed: Any = None) -> Tensor:
    """`x` with the entries of each vector along `axis` in a random order.

    Every vector gets a separate order, as in Keras on JAX: the rows of a matrix do not stay together.

    Args:
        x: array.
        axis: the axis along which entries are reordered.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ShapeError: `axis` is out of range.
        ArgumentError: `seed` is none of these.

    Example:
        >>> import numpy as np
        >>> from lamella import random
        >>> random.shuffle(np.arange(6, dtype="int32"), seed=3)
        array([4, 2, 3, 5, 1, 0], dtype=int32)
    """
    x = ops.convert_to_tensor(x)
    return ops.take_along_axis(x, ops.argsort(_bits(x.shape, seed), axis=axis), axis=axis)


def _log_gamma(shape: Sequence[Any], alpha: ArrayLike, seed: Any, wide: str) -> Tensor:
    """Logarithms of gamma variates, which do not underflow where `alpha` is small."""
    words = _bits((2 * _CANDIDATES + 1, *shape), seed)
    alpha = ops.broadcast_to(ops.cast(ops.convert_to_tensor(alpha), wide), tuple(shape))
    small = ops.less(alpha, 1.0)
    d = ops.subtract(ops.where(small, ops.add(alpha, 1.0), alpha), 1.0 / 3.0)
    x = ops.normal_from_bits(words[:_CANDIDATES], wide)
    v = ops.power(ops.add(1.0, ops.divide(x, ops.sqrt(ops.multiply(d, 9.0)))), 3.0)
    positive = ops.greater(v, 0.0)
    log_v = ops.log(ops.where(positive, v, 1.0))
    bound = ops.add(ops.multiply(ops.square(x), 0.5), ops.multiply(d, ops.add(ops.subtract(1.0, v), log_v)))
    log_u = ops.log(_unit(words[_CANDIDATES : 2 * _CANDIDATES], wide))
    accepted = ops.logical_and(positive, ops.less(log_u, bound))
    first = ops.expand_dims(ops.argmax(ops.cast(accepted, "int32"), axis=0), 0)
    drawn = ops.add(ops.log(d), ops.take_along_axis(log_v, first, axis=0)[0])
    boost = ops.divide(ops.log(_unit(words[-1], wide)), alpha)
    return ops.where(small, ops.add(drawn, boost), drawn)


def gamma(shape: Sequence[int], alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers from the gamma distribution with shape `alpha` and scale 1.

    Args:
        shape: the shape of the result.
        alpha: positive, a number or an array that broadcasts to `shape`.
        dtype: a float dtype; None is `floatx`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`, with positive entries.

    Raises:
        DTypeError: `dtype` is not a float dtype.
        ShapeError: `alpha` does not broadcast to `shape`.
        ArgumentError: `seed` is none of these.

    References:
        G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical
        Software 26, 2000, https://doi.org/10.1145/358407.358414.

    Example:
        >>> from lamella import random
        >>> x = random.gamma((2000,), 3.0, seed=1)
        >>> bool((x > 0).all()), round(float(x.mean()), 1)
        (True, 3.0)
    """
    name, wide = _floats(dtype, "gamma")
    return ops.cast(ops.exp(_log_gamma(shape, alpha, seed, wide)), name)


def beta(shape: Sequence[int], alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers from the beta distribution, between 0 and 1.

    Args:
        shape: the shape of the result.
        alpha: positive, a number or an array that broadcasts to `shape`.
        beta: the same.
        dtype: a float dtype; None is `floatx`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`, with the mean alpha / (alpha + beta).

    Raises:
        DTypeError: `dtype` is not a float dtype.
        ShapeError: `alpha` or `beta` does not broadcast to `shape`.
        ArgumentError: `seed` is none of these.

    Example:
        >>> from lamella import random
        >>> x = random.beta((2000,), 2.0, 6.0, seed=1)
        >>> bool((x > 0).all() and (x < 1).all()), round(float(x.mean()), 2)
        (True, 0.25)
    """
    name, wide = _floats(dtype, "beta")
    both = [ops.broadcast_to(ops.cast(ops.convert_to_tensor(x), wide), tuple(shape)) for x in (alpha, beta)]
    logs = _log_gamma((2, *shape), ops.stack(both), seed, wide)
    return ops.cast(ops.sigmoid(ops.subtract(logs[0], logs[1])), name)


def binomial(
    shape: Sequence[int], counts: ArrayLike, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Tensor:
    """The number of successes among `counts` independent trials.

    The trials are drawn one after another, so that the largest count must be known.

    Args:
        shape: the shape of the result.
        counts: the numbers of trials, integers that are not negative: a number or an array that broadcasts to `shape`.
        probabilities: the probability of success, a number or an array that broadcasts to `shape`.
        dtype: a float dtype; None is `floatx`.
        seed: an integer gives the same numbers on each call, a `SeedGenerator` new ones; None draws from the sequence
            that `set_random_seed` starts, and in a layer's `call` from the model's seed.

    Returns:
        An array of `shape` in `dtype`, with entries from 0 to `counts`.

    Raises:
        ArgumentError: a count is negative, the counts are values of a trace, or `seed` is none of these.
        DTypeError: `dtype` is not a float dtype.

    Example:
        >>> from lamella import random
        >>> random.binomial((6,), 10, 0.5, seed=1)
        array([5., 4., 3., 3., 5., 7.], dtype=float32)
        >>> random.binomial((3,), [2, 3, 4], 1.0, seed=1)
        array([2., 3., 4.], dtype=float32)
    """
    name, wide = _floats(dtype, "binomial")
    try:
        trials = np.asarray(counts)
    except Exception:
        raise ArgumentError("random.binomial: counts must be numbers, got a value of a trace.") from None
    if trials.size and trials.min() < 0:
        raise ArgumentError(f"random.binomial: counts must not be negative, got {trials.min()}.")
    key, step = _source(seed)
    if step is not _STEP:
        key = ops.random_bits.bind(key, step, shape=(2,), bits=32)
    shape = tuple(shape)
    chance = ops.broadcast_to(ops.cast(ops.convert_to_tensor(probabilities), wide), shape)

    def trial(i: Tensor, successes: Tensor) -> Tensor:
        bits = ops.random_bits.bind(key, ops.cast(i, "uint32"), shape=shape, bits=32)
        wins = ops.logical_and(ops.less(_unit(bits, wide), chance), ops.less(i, trials.astype(np.int32)))
        return ops.add(successes, ops.cast(wins, wide))

    most = int(trials.max(initial=0))
    return ops.cast(ops.fori_loop(0, most, trial, ops.zeros(shape, wide)), name)


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
