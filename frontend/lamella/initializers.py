"""Initial values of weights: NumPy arrays, drawn on the host in the same way for every backend.

A layer passes the random key of its weight; an initializer with a `seed` ignores it and returns the same values on
every call.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import host_random
from lamella.absent import no_attribute
from lamella.core import registration, serialization
from lamella.errors import unknown_name
from lamella.ir import settings
from lamella.ir.spec import dtype_name, numpy_dtype
from lamella.names import from_identifier, name_table

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike


class Initializer:
    """The base class of initializers: subclass it and write `__call__` and `get_config`.

    Attributes:
        takes_key: whether a variable passes the random key of the weight, after `check`.
        deferred: whether the values may be computed on first access, or not at all if they are loaded from a file. True
            implies that `check` finds every error of a shape, and that the values depend on the key or seed alone.
        by_entry: whether each entry depends on its index alone, so that `part` need not compute the others: each of
            several devices then draws its part.

    Example:
        >>> import numpy as np
        >>> from lamella.initializers import Initializer
        >>> class Ramp(Initializer):
        ...     def __call__(self, shape, dtype=None, *, key=None):
        ...         return np.linspace(0.0, 1.0, int(np.prod(shape)), dtype=dtype or "float32").reshape(shape)
        >>> Ramp()((3,))
        array([0. , 0.5, 1. ], dtype=float32)
    """

    takes_key = True
    deferred = False
    by_entry = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not {"draw", "__call__"}.isdisjoint(cls.__dict__):  # whose entries may depend on each other
            cls.by_entry = cls.__dict__.get("by_entry", False)

    def check(self, shape: Sequence[int]) -> None:
        """Raise a ValueError if there are no values of this shape; called when a layer is built."""

    def __call__(
        self, shape: Sequence[int], dtype: DTypeLike | None = None, *, key: host_random.Key | None = None
    ) -> np.ndarray:
        """An array of `shape` and `dtype` (None: `floatx`).

        Args:
            shape: the shape of the weight.
            dtype: the dtype; bfloat16 values are returned in float32, rounded.
            key: uint32[2], the random key; None uses `host_random.next_seed`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `__call__`.")

    def part(
        self, shape: Sequence[int], dtype: DTypeLike, index: tuple[slice, ...], *, key: host_random.Key | None
    ) -> Any:
        """`self(shape, dtype, key=key)[index]`.

        Args:
            shape: the shape of the weight.
            dtype: the dtype.
            index: one slice per axis.
            key: as in `__call__`.
        """
        with host_random.drawing(index):
            return self(shape, dtype, key=key)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def _full(shape: Sequence[int], value: ArrayLike, dtype: DTypeLike) -> np.ndarray:
    name = settings.floatx() if dtype is None else dtype_name(dtype)
    if name == "bfloat16":
        return np.broadcast_to(host_random.rounded(np.asarray(value, np.float64), name), tuple(shape)).copy()
    return np.full(tuple(shape), value, numpy_dtype(name))


def _shape_of(shape: Sequence[int], index: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(len(range(*along.indices(int(size)))) for size, along in zip(shape, index, strict=True))


class Zeros(Initializer):
    """Zeros.

    Example:
        >>> from lamella.initializers import Zeros
        >>> Zeros()((2, 2))
        array([[0., 0.],
               [0., 0.]], dtype=float32)
    """

    deferred = by_entry = True

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """Zeros of `shape`."""
        return _full(shape, 0, dtype)

    def part(
        self, shape: Sequence[int], dtype: DTypeLike, index: tuple[slice, ...], *, key: host_random.Key | None
    ) -> Any:
        """Zeros of the shape of the part."""
        return _full(_shape_of(shape, index), 0, dtype)


class Ones(Initializer):
    """Ones.

    Example:
        >>> from lamella.initializers import Ones
        >>> Ones()((2,), dtype="float64")
        array([1., 1.])
    """

    deferred = by_entry = True

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """Ones of `shape`."""
        return _full(shape, 1, dtype)

    def part(
        self, shape: Sequence[int], dtype: DTypeLike, index: tuple[slice, ...], *, key: host_random.Key | None
    ) -> Any:
        """Ones of the shape of the part."""
        return _full(_shape_of(shape, index), 1, dtype)


class Constant(Initializer):
    """A constant value.

    Args:
        value: a number, or an array, which is broadcast to the shape of the weight.

    Raises:
        ValueError: when called, if the array does not broadcast to the shape.

    Example:
        >>> from lamella.initializers import Constant
        >>> Constant([1.0, 2.0])((2, 2))
        array([[1., 2.],
               [1., 2.]], dtype=float32)
    """

    deferred = True

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def check(self, shape: Sequence[int]) -> None:
        """Check that the value broadcasts to `shape`."""
        np.broadcast_to(self.value, tuple(shape))

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """`value`, broadcast to `shape`."""
        return _full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        """The value, as Python numbers."""
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Identity(Initializer):
    """The identity matrix times `gain`.

    Args:
        gain: the value on the diagonal; other entries are 0.

    Raises:
        ValueError: when called, if the shape does not have two dimensions.

    Example:
        >>> from lamella.initializers import Identity
        >>> Identity(gain=2.0)((2, 3))
        array([[2., 0., 0.],
               [0., 2., 0.]], dtype=float32)
    """

    deferred = True

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def check(self, shape: Sequence[int]) -> None:
        """Check that the shape is that of a matrix."""
        if len(shape) != 2:
            raise ValueError(f"Identity requires a matrix (2 dimensions), got shape {tuple(shape)}.")

    def __call__(
        self, shape: Sequence[int], dtype: DTypeLike | None = None, *, key: host_random.Key | None = None
    ) -> np.ndarray:
        """The matrix."""
        self.check(shape)
        return host_random.rounded(self.gain * np.eye(int(shape[0]), int(shape[1])), dtype)

    def get_config(self) -> dict[str, Any]:
        """The gain."""
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """The base class of random initializers: subclass it and write `draw`.

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.

    Raises:
        ValueError: `seed` is not an integer.

    Example:
        >>> from lamella import host_random
        >>> from lamella.initializers import RandomInitializer
        >>> class Signs(RandomInitializer):
        ...     def draw(self, shape, dtype, key):
        ...         return 2 * (host_random.uniform(key, shape, 0.0, 1.0, dtype) < 0.5).astype("float32") - 1
        >>> sorted(set(Signs(seed=1)((100,)).tolist()))
        [-1.0, 1.0]
    """

    deferred = True

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ValueError(f"{type(self).__name__}: seed must be an integer or None, got {seed!r}.")
        self.seed = None if seed is None else int(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """The values of `shape`, drawn with the seed or the key."""
        if self.seed is not None:
            key = host_random.key_from_seed(self.seed)
        elif key is None:
            key = host_random.key_from_seed(host_random.next_seed())
        return self.draw(tuple(int(d) for d in shape), dtype, key)

    def draw(self, shape: tuple[int, ...], dtype: DTypeLike, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        raise NotImplementedError(f"{type(self).__name__} does not define `draw`.")

    def get_config(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self.seed}


class RandomNormal(RandomInitializer):
    """Normal distribution with `mean` and `stddev`.

    Args:
        mean: the mean.
        stddev: the standard deviation.
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.

    Raises:
        ValueError: `seed` is not an integer.

    Example:
        >>> from lamella.initializers import RandomNormal
        >>> values = RandomNormal(stddev=0.05, seed=1)((1000,))
        >>> round(float(values.std()), 2)
        0.05
    """

    by_entry = True

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, shape: tuple[int, ...], dtype: DTypeLike, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        return host_random.normal(key, shape, dtype, mean=self.mean, stddev=self.stddev)

    def get_config(self) -> dict[str, Any]:
        """Mean, standard deviation and seed."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normal distribution with `mean` and `stddev`, restricted to values within two `stddev` of the mean.

    Args:
        mean: the mean.
        stddev: the standard deviation before the restriction.
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.

    Raises:
        ValueError: `seed` is not an integer.

    Example:
        >>> from lamella.initializers import TruncatedNormal
        >>> values = TruncatedNormal(stddev=0.05, seed=1)((1000,))
        >>> bool((abs(values) <= 0.1).all())
        True
    """

    by_entry = True

    def draw(self, shape: tuple[int, ...], dtype: DTypeLike, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        return host_random.truncated_normal(key, shape, dtype, mean=self.mean, stddev=self.stddev)


class RandomUniform(RandomInitializer):
    """Uniform distribution on [minval, maxval).

    Args:
        minval: the lower bound.
        maxval: the upper bound, excluded.
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.

    Raises:
        ValueError: `seed` is not an integer.

    Example:
        >>> from lamella.initializers import RandomUniform
        >>> values = RandomUniform(0.0, 1.0, seed=1)((1000,))
        >>> round(float(values.mean()), 1)
        0.5
    """

    by_entry = True

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def draw(self, shape: tuple[int, ...], dtype: DTypeLike, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        return host_random.uniform(key, shape, self.minval, self.maxval, dtype)

    def get_config(self) -> dict[str, Any]:
        """Bounds and seed."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return the fan in and the fan out: the numbers of inputs per output and of outputs per input of a weight.

    Both are the size of a vector. A matrix is (in, out); with more dimensions the last two are in and out, and the
    others are a receptive field that multiplies both.

    Args:
        shape: the shape of the weight.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in, instead of the rule above.
        output_axes: the axes whose sizes multiply to the fan out.

    Example:
        >>> from lamella.initializers import compute_fans
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        size = int(shape[0]) if shape else 1
        return size, size
    field = math.prod(int(d) for d in shape[:-2])
    return int(shape[-2]) * field, int(shape[-1]) * field


class VarianceScaling(RandomInitializer):
    """Random values with the variance scale / fan, which preserves the variance of activations from layer to layer.

    Args:
        scale: the factor of the variance; positive.
        mode: "fan_in", "fan_out" or "fan_avg" (their mean).
        distribution: "truncated_normal" (also "normal"), "untruncated_normal" or "uniform". The standard deviation of
            the truncated normal distribution, 0.8796, is compensated.
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: an argument is unknown or out of range.

    References:
        K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> from lamella.initializers import VarianceScaling
        >>> kernel = VarianceScaling(2.0, mode="fan_in", distribution="untruncated_normal", seed=1)((50, 200))
        >>> round(float(kernel.var() * 50), 1)
        2.0
    """

    by_entry = True

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        distribution = {"normal": "truncated_normal"}.get(distribution.lower(), distribution.lower())
        if scale <= 0.0:
            raise ValueError(f"VarianceScaling: scale must be positive, got {scale}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: mode must be 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}.")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                "VarianceScaling: distribution must be 'truncated_normal', 'untruncated_normal' or 'uniform', got "
                f"{distribution!r}."
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes

    def draw(self, shape: tuple[int, ...], dtype: DTypeLike, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return host_random.uniform(key, shape, -limit, limit, dtype)
        if self.distribution == "untruncated_normal":
            return host_random.normal(key, shape, dtype, stddev=math.sqrt(variance))
        return host_random.truncated_normal(key, shape, dtype, stddev=math.sqrt(variance) / 0.87962566103423978)

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **super().get_config(),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Named(VarianceScaling):
    """A variance scaling with a fixed scale, mode and distribution."""

    law: tuple[float, str, str]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        scale, mode, distribution = self.law
        super().__init__(scale, mode, distribution, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Seed and axes."""
        return {"seed": self.seed, "input_axes": self.input_axes, "output_axes": self.output_axes}


class GlorotUniform(_Named):
    """Uniform distribution within sqrt(6 / (fan in + fan out)) of 0; the default of most kernels.

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: `seed` is not an integer.

    References:
        X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
        https://proceedings.mlr.press/v9/glorot10a.html.

    Example:
        >>> from lamella.initializers import GlorotUniform
        >>> kernel = GlorotUniform(seed=1)((2, 4))
        >>> kernel.shape, bool((abs(kernel) <= 1.0).all())
        ((2, 4), True)
    """

    law = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal distribution with the variance 2 / (fan in + fan out).

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: `seed` is not an integer.

    References:
        X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
        https://proceedings.mlr.press/v9/glorot10a.html.

    Example:
        >>> from lamella.initializers import GlorotNormal
        >>> kernel = GlorotNormal(seed=1)((100, 100))
        >>> round(float(kernel.var() * 100), 1)
        1.0
    """

    law = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform distribution within sqrt(6 / fan in) of 0, for layers with ReLU.

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: `seed` is not an integer.

    References:
        K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> from lamella.initializers import HeUniform
        >>> kernel = HeUniform(seed=1)((6, 4))
        >>> kernel.shape, bool((abs(kernel) <= 1.0).all())
        ((6, 4), True)
    """

    law = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal distribution with the variance 2 / fan in, for layers with ReLU.

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: `seed` is not an integer.

    References:
        K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> from lamella.initializers import HeNormal
        >>> kernel = HeNormal(seed=1)((100, 100))
        >>> round(float(kernel.var() * 100), 1)
        2.0
    """

    law = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform distribution within sqrt(3 / fan in) of 0.

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: `seed` is not an integer.

    References:
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient backprop", Neural networks: tricks of the trade, 1998,
        https://doi.org/10.1007/3-540-49430-8_2.

    Example:
        >>> from lamella.initializers import LecunUniform
        >>> kernel = LecunUniform(seed=1)((3, 4))
        >>> kernel.shape, bool((abs(kernel) <= 1.0).all())
        ((3, 4), True)
    """

    law = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal distribution with the variance 1 / fan in, for layers with SELU.

    Args:
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in; None for those of `compute_fans`.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: `seed` is not an integer.

    References:
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient backprop", Neural networks: tricks of the trade, 1998,
        https://doi.org/10.1007/3-540-49430-8_2.

    Example:
        >>> from lamella.initializers import LecunNormal
        >>> kernel = LecunNormal(seed=1)((100, 100))
        >>> round(float(kernel.var() * 100), 1)
        1.0
    """

    law = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random orthogonal matrix times `gain`: rows or columns, whichever are fewer, are orthonormal.

    More than two dimensions are reshaped to a matrix of (all but the last, last).

    Args:
        gain: the factor of the matrix.
        seed: an integer draws the same values on every call; None draws by the weight's key, which depends on
            `set_random_seed`.

    Raises:
        ValueError: `seed` is not an integer; when called, if the shape has fewer than two dimensions.

    References:
        A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
        neural
        networks", ICLR 2014, https://arxiv.org/abs/1312.6120.

    Example:
        >>> import numpy as np
        >>> from lamella.initializers import Orthogonal
        >>> q = Orthogonal(seed=1)((3, 2))
        >>> np.allclose(q.T @ q, np.eye(2), atol=1e-6)
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def check(self, shape: Sequence[int]) -> None:
        """Check that the shape has at least two dimensions."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal requires at least two dimensions, got shape {tuple(shape)}.")

    def draw(self, shape: tuple[int, ...], dtype: DTypeLike, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        self.check(shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = host_random.normal(key, (max(rows, columns), min(rows, columns)), "float64")
        q, r = np.linalg.qr(drawn)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # unique, and uniform over the orthogonal matrices
        return host_random.rounded(self.gain * (q.T if rows < columns else q).reshape(shape), dtype)

    def get_config(self) -> dict[str, Any]:
        """Gain and seed."""
        return {"gain": self.gain, **super().get_config()}


_WINDOWS: dict[str, tuple[float, ...]] = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
"""The coefficients a of the windows sum((-1)**k * a[k] * cos(2 pi k n / size))."""


class STFT(Initializer):
    """The kernel of a convolution that computes a short-time Fourier transform, `(frame length, 1, frequencies)`.

    The real part is cos(-2 pi t f / n) and the imaginary part sin(-2 pi t f / n), with n = 2 (frequencies - 1), times a
    window.

    Args:
        side: "real" or "imag".
        window: "hann", "hamming", "blackman", "boxcar", "nuttall", "blackmanharris" or "flattop", the values of a
            window, or None.
        scaling: the divisor of the window: the root of its sum of squares ("density"), its sum of absolute values
            ("spectrum"), or 1 (None).
        periodic: whether a named window is periodic instead of symmetric.

    Raises:
        ValueError: an argument is unknown; when called, if the window does not have the length of the frame.

    Example:
        >>> from lamella.initializers import STFT
        >>> STFT("real", window=None)((4, 1, 3))[:, 0].round(3) + 0.0
        array([[ 1.,  1.,  1.],
               [ 1.,  0., -1.],
               [ 1., -1.,  1.],
               [ 1.,  0., -1.]], dtype=float32)
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: side must be 'real' or 'imag', got {side!r}.")
        if isinstance(window, str) and window not in _WINDOWS:
            raise unknown_name("window of STFT", window, list(_WINDOWS))
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(f"STFT: scaling must be 'density', 'spectrum' or None, got {scaling!r}.")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, bool(periodic)

    def _window(self, length: int) -> np.ndarray:
        if not isinstance(self.window, str):
            values = np.asarray(self.window, np.float64)
            if values.shape != (length,):
                raise ValueError(f"the window of STFT must have shape ({length},), got {values.shape}.")
            return values
        if length == 1:
            return np.ones(1)
        angle = 2.0 * np.pi * np.arange(length) / (length if self.periodic else length - 1)
        return sum(((-1) ** k * a * np.cos(k * angle) for k, a in enumerate(_WINDOWS[self.window])), np.zeros(length))

    def __call__(
        self, shape: Sequence[int], dtype: DTypeLike | None = None, *, key: host_random.Key | None = None
    ) -> np.ndarray:
        """The kernel."""
        if len(shape) != 3:
            raise ValueError(f"STFT requires a shape (frame length, 1, frequencies), got {tuple(shape)}.")
        length, _, frequencies = (int(d) for d in shape)
        angle = -2.0 * np.pi * np.arange(length)[:, None, None] * np.arange(frequencies) / (2 * (frequencies - 1))
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            window = self._window(length)
            scale = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window))}.get(
                self.scaling or "", 1.0
            )
            kernel = kernel * window[:, None, None] / scale
        return host_random.rounded(kernel, dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the window's values as Python numbers."""
        window = self.window.tolist() if isinstance(self.window, np.ndarray) else self.window
        return {"side": self.side, "window": window, "scaling": self.scaling, "periodic": self.periodic}


def _words(function: Callable[..., Any]) -> set[str]:
    """The names of a function's parameters, with "**" if it takes any, or if they are unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return {"**"}
    return {"**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters}


class FromFunction(Initializer):
    """A function `(shape, dtype)` as an initializer; functions of Keras 1, `(shape, name=None)`, are accepted.

    Args:
        function: the function, which returns an array of `shape`.

    Attributes:
        wrapped_function: the function, which represents the initializer in a configuration.

    Example:
        >>> import numpy as np
        >>> from lamella import initializers
        >>> initializers.get(lambda shape, dtype: np.full(shape, 0.5, dtype))((2,))
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.wrapped_function = function

    def __call__(
        self, shape: Sequence[int], dtype: DTypeLike | None = None, *, key: host_random.Key | None = None
    ) -> np.ndarray:
        """The array that the function returns.

        Raises:
            ValueError: it does not have `shape`.
        """
        shape = tuple(int(d) for d in shape)
        words = _words(self.wrapped_function)
        given = {"dtype": dtype or settings.floatx()} if "dtype" in words or "**" in words else {}
        made = np.asarray(self.wrapped_function(shape, **given))
        if made.shape != shape:
            raise ValueError(f"the initializer {self!r} must return shape {shape}, got {made.shape}.")
        return host_random.rounded(made, dtype)

    def __repr__(self) -> str:
        return getattr(self.wrapped_function, "__name__", repr(self.wrapped_function))


TABLE: dict[str, Any] = {
    **name_table(
        {
            made.__name__: made
            for made in (
                Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling,
                GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal,
                STFT,
            )
        }
    ),
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
    "stft": STFT,
}  # fmt: skip
"""Every string that an initializer argument accepts."""

serialization.register("keras.initializers", TABLE)


def __getattr__(name: str) -> Any:
    """`initializers.glorot_uniform(seed=1)`: each class by every name that it has in Keras."""
    if name in TABLE:
        return TABLE[name]
    raise no_attribute(__name__, name, TABLE)


def get(identifier: Any) -> Initializer | None:
    """Return the initializer for a name, a config dict, a class, an instance or a function; None for None.

    Args:
        identifier: a name such as "he_normal", `{"class_name": ..., "config": ...}`, an `Initializer` class or
            instance, or a function.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: `identifier` is none of these.

    Example:
        >>> from lamella import initializers
        >>> initializers.get("he_normal")
        HeNormal(seed=None, input_axes=None, output_axes=None)
    """
    made = from_identifier("initializer", identifier, TABLE)
    if made is None or isinstance(made, Initializer):
        return made
    if callable(made):
        return FromFunction(made)
    raise ValueError(
        f"an initializer must be a name, an Initializer, or a function of (shape, dtype), got {type(made).__name__}: "
        f"{made!r}."
    )


serialize, deserialize = registration.for_module("keras.initializers", get)
