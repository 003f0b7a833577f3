"""Initial values of weights: NumPy arrays, drawn on the host once for every backend.

A layer passes the key of its weight; an initializer made with a `seed` ignores it and gives the same values every call.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella import host_random
from lamella.absent import no_attribute
from lamella.core import registration, serialization
from lamella.errors import unknown_name
from lamella.ir import settings
from lamella.ir.spec import dtype_name, numpy_dtype
from lamella.names import from_identifier, name_table


class Initializer:
    """Initial values as a function of (shape, dtype, key). Subclass it and write `__call__` and `get_config`.

    Attributes:
        takes_key: a variable calls it with the random key of the weight, after `check`.
        deferred: whether the values may be made when they are first read, and not at all where a file's take their place.
            True says that `check` finds every fault of a shape, and that the key, or a seed, decides every draw.
        by_entry: whether an entry is a function of its place, so that `part` need not make the others: each of several
            devices then draws its own.
    """

    takes_key = True
    deferred = False
    by_entry = False

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if not {"draw", "__call__"}.isdisjoint(cls.__dict__):  # other values, which may need each other
            cls.by_entry = cls.__dict__.get("by_entry", False)

    def check(self, shape: Sequence[int]) -> None:
        """Raise a ValueError where there are no values of this shape; asked when a layer is built."""

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """An array of `shape` and `dtype` (None: `floatx`).

        Args:
            shape: the shape of the weight.
            dtype: its dtype; bfloat16 comes rounded, in float32.
            key: uint32[2] that decides the draws; without one a random initializer asks `host_random.next_seed`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to make its values: write `__call__`.")

    def part(self, shape: Sequence[int], dtype: Any, index: tuple[slice, ...], *, key: host_random.Key | None) -> Any:
        """`self(shape, dtype, key=key)[index]`.

        Args:
            shape: the shape of the weight.
            dtype: its dtype.
            index: a slice for each axis.
            key: as for the call.
        """
        with host_random.drawing(index):
            return self(shape, dtype, key=key)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def _full(shape: Sequence[int], value: Any, dtype: Any) -> np.ndarray:
    name = settings.floatx() if dtype is None else dtype_name(dtype)
    if name == "bfloat16":
        return np.broadcast_to(host_random.rounded(np.asarray(value, np.float64), name), tuple(shape)).copy()
    return np.full(tuple(shape), value, numpy_dtype(name))


def _shape_of(shape: Sequence[int], index: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(len(range(*along.indices(int(size)))) for size, along in zip(shape, index, strict=True))


class Zeros(Initializer):
    """0 everywhere."""

    deferred = by_entry = True

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """Zeros of `shape`."""
        return _full(shape, 0, dtype)

    def part(self, shape: Sequence[int], dtype: Any, index: tuple[slice, ...], *, key: host_random.Key | None) -> Any:
        """Zeros of the part's shape."""
        return _full(_shape_of(shape, index), 0, dtype)


class Ones(Initializer):
    """1 everywhere."""

    deferred = by_entry = True

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """Ones of `shape`."""
        return _full(shape, 1, dtype)

    def part(self, shape: Sequence[int], dtype: Any, index: tuple[slice, ...], *, key: host_random.Key | None) -> Any:
        """Ones of the part's shape."""
        return _full(_shape_of(shape, index), 1, dtype)


class Constant(Initializer):
    """`value` everywhere; an array is broadcast to the shape.

    Raises:
        ValueError: the array does not broadcast to the shape.
    """

    deferred = True

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def check(self, shape: Sequence[int]) -> None:
        """The value broadcasts to `shape`."""
        np.broadcast_to(self.value, tuple(shape))

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """`value`, repeated to `shape`."""
        return _full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        """The value, as plain numbers."""
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Raises:
        ValueError: the shape has other than two dimensions.
    """

    deferred = True

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def check(self, shape: Sequence[int]) -> None:
        """The shape is a matrix's."""
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices (2 dimensions); the weight has shape {tuple(shape)}.")

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """The matrix."""
        self.check(shape)
        return host_random.rounded(self.gain * np.eye(int(shape[0]), int(shape[1])), dtype)

    def get_config(self) -> dict[str, Any]:
        """The gain."""
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """The base of the random ones.

    Args:
        seed: an integer gives the same values every call, whatever the key.
    """

    deferred = True

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ValueError(f"{type(self).__name__}: seed must be an integer or None, got {seed!r}.")
        self.seed = None if seed is None else int(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """The draws of `shape`."""
        if self.seed is not None:
            key = host_random.key_from_seed(self.seed)
        elif key is None:
            key = host_random.key_from_seed(host_random.next_seed())
        return self.draw(tuple(int(d) for d in shape), dtype, key)

    def draw(self, shape: tuple[int, ...], dtype: Any, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to draw its values: write `draw`.")

    def get_config(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self.seed}


class RandomNormal(RandomInitializer):
    """Normal with `mean` and `stddev`."""

    by_entry = True

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, shape: tuple[int, ...], dtype: Any, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        return host_random.normal(key, shape, dtype, mean=self.mean, stddev=self.stddev)

    def get_config(self) -> dict[str, Any]:
        """Mean, standard deviation and seed."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normal with `mean` and `stddev`, given that a value lies within two `stddev` of the mean."""

    by_entry = True

    def draw(self, shape: tuple[int, ...], dtype: Any, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        return host_random.truncated_normal(key, shape, dtype, mean=self.mean, stddev=self.stddev)


class RandomUniform(RandomInitializer):
    """Uniform from `minval` up to, not including, `maxval`."""

    by_entry = True

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def draw(self, shape: tuple[int, ...], dtype: Any, key: host_random.Key) -> np.ndarray:
        """The values for `key`."""
        return host_random.uniform(key, shape, self.minval, self.maxval, dtype)

    def get_config(self) -> dict[str, Any]:
        """Bounds and seed."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """How many inputs an output of the weight reads (fan in) and how many outputs an input feeds (fan out).

    A vector has its size for both, a matrix is (in, out), and of more dimensions the last two are in and out and the
    others a receptive field that multiplies both. `input_axes` and `output_axes`, given together, name them instead.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        size = int(shape[0]) if shape else 1
        return size, size
    field = math.prod(int(d) for d in shape[:-2])
    return int(shape[-2]) * field, int(shape[-1]) * field


class VarianceScaling(RandomInitializer):
    """Values of variance scale / fan, which keeps the spread of activations through layers.

    Args:
        scale: positive.
        mode: "fan_in", "fan_out" or "fan_avg" (the mean of both).
        distribution: "truncated_normal" (also "normal"), "untruncated_normal" or "uniform". A truncated normal is
            widened by 1 / 0.8796, its standard deviation, so that the variance is as said.
        seed: an integer gives the same values every call.
        input_axes: with `output_axes`, the axes whose sizes multiply to the fan in.
        output_axes: the axes whose sizes multiply to the fan out.

    Raises:
        ValueError: an argument is none of these.
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

    def draw(self, shape: tuple[int, ...], dtype: Any, key: host_random.Key) -> np.ndarray:
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
    """A variance scaling with a name of its own: it fixes scale, mode and distribution."""

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
    """Uniform within sqrt(6 / (fan in + fan out)) of 0.

    References:
        X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """

    law = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal of variance 2 / (fan in + fan out)."""

    law = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform within sqrt(6 / fan in) of 0.

    References:
        K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852.
    """

    law = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal of variance 2 / fan in."""

    law = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform within sqrt(3 / fan in) of 0."""

    law = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal of variance 1 / fan in."""

    law = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal rows or columns; more dimensions are folded into (all but last, last).

    Raises:
        ValueError: the shape has fewer than two dimensions.

    References:
        A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
        neural networks", ICLR 2014, https://arxiv.org/abs/1312.6120.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def check(self, shape: Sequence[int]) -> None:
        """The shape has two dimensions or more."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs at least two dimensions; the weight has shape {tuple(shape)}.")

    def draw(self, shape: tuple[int, ...], dtype: Any, key: host_random.Key) -> np.ndarray:
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
    """The kernel of a convolution that makes a short-time Fourier transform, `(frame length, 1, frequencies)`.

    The real part is cos(-2 pi t f / n), the imaginary one sin(-2 pi t f / n), with n = 2 (frequencies - 1), times the window.

    Args:
        side: "real" or "imag".
        window: "hann", "hamming", "blackman", "boxcar", "nuttall", "blackmanharris" or "flattop", its values, or None.
        scaling: what the window is divided by: the root of the sum of its squares ("density"), the sum of its sizes
            ("spectrum"), or 1 (None).
        periodic: whether a named window is one period, not symmetric.

    Raises:
        ValueError: an argument is none of these, or, when called, the window does not have the frame's length.
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
                raise ValueError(f"the window of STFT has shape {values.shape}, the frame {length} steps.")
            return values
        if length == 1:
            return np.ones(1)
        angle = 2.0 * np.pi * np.arange(length) / (length if self.periodic else length - 1)
        return sum(((-1) ** k * a * np.cos(k * angle) for k, a in enumerate(_WINDOWS[self.window])), np.zeros(length))

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """The kernel."""
        if len(shape) != 3:
            raise ValueError(f"STFT makes kernels (frame length, 1, frequencies); the weight has shape {tuple(shape)}.")
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
        """Every argument, the window's values as plain numbers."""
        window = self.window.tolist() if isinstance(self.window, np.ndarray) else self.window
        return {"side": self.side, "window": window, "scaling": self.scaling, "periodic": self.periodic}


def _words(function: Callable[..., Any]) -> set[str]:
    """The names of the arguments of a function, "**" among them where it takes any, or is not known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return {"**"}
    return {"**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters}


class FromFunction(Initializer):
    """A user's `function(shape, dtype)` as an initializer; Keras 1's were `function(shape, name=None)`.

    Attributes:
        wrapped_function: the function, which takes the initializer's place in a configuration.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.wrapped_function = function

    def __call__(self, shape: Sequence[int], dtype: Any = None, *, key: host_random.Key | None = None) -> np.ndarray:
        """What the function returns, checked for its shape."""
        shape = tuple(int(d) for d in shape)
        words = _words(self.wrapped_function)
        given = {"dtype": dtype or settings.floatx()} if "dtype" in words or "**" in words else {}
        made = np.asarray(self.wrapped_function(shape, **given))
        if made.shape != shape:
            raise ValueError(f"the initializer {self!r} was asked for shape {shape} and returned {made.shape}.")
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
"""Every string an initializer argument takes."""

serialization.register("keras.initializers", TABLE)


def __getattr__(name: str) -> Any:
    """`initializers.glorot_uniform(seed=1)`: each class under every name that Keras gives it."""
    if name in TABLE:
        return TABLE[name]
    raise no_attribute(__name__, name, TABLE)


def get(identifier: Any) -> Initializer | None:
    """The initializer that a name, a config dict, a class, an instance or a function `(shape, dtype)` stands for.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is nothing of these.
    """
    made = from_identifier("initializer", identifier, TABLE)
    if made is None or isinstance(made, Initializer):
        return made
    if callable(made):
        return FromFunction(made)
    raise ValueError(
        f"an initializer must be a name, an Initializer, or a function of (shape, dtype), got {type(made).__name__}: {made!r}."
    )


serialize, deserialize = registration.for_module("keras.initializers", get)
