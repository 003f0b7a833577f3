"""Numeric preprocessing: scaling, standardizing, binning and encoding, learned from data by `adapt` where needed."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lamella import ops
from lamella.core import context
from lamella.errors import ShapeError, TraceError
from lamella.ir import limits
from lamella.ir.dim import shapes_differ
from lamella.ir.spec import Shape, Spec, is_float, numpy_dtype
from lamella.layers.base import Layer
from lamella.layers.checks import choice, number, positive_integer
from lamella.ops.coerce import normalize_axis

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

_LEAST_DEVIATION = 1e-7


class Rescaling(Layer):
    """y = x * scale + offset.

    Input and output shape `(batch, ...)`, the output in the compute dtype. A mask is passed on.

    Args:
        scale: number, or array that broadcasts to the input; 1 / 255 maps bytes to [0, 1].
        offset: number, or array that broadcasts to the input.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Rescaling
        >>> Rescaling(1 / 127.5, offset=-1.0)(np.array([[0, 255]], "uint8"))
        array([[-1.,  1.]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        """The rescaled inputs, in the compute dtype."""
        dtype = self.compute_dtype
        scale, offset = (ops.cast(np.asarray(v, np.float64), dtype) for v in (self.scale, self.offset))
        return ops.add(ops.multiply(ops.cast(inputs, dtype), scale), offset)


def batches_of(data: Any) -> Iterator[np.ndarray]:
    """Iterate over the argument of `adapt` as arrays, one per batch; of a batch that is a tuple the first entry.

    Raises:
        TypeError: it is neither an array nor an iterable of arrays.
        ValueError: it has no batches.
    """
    if hasattr(data, "shape") or hasattr(data, "__array__"):
        return iter([np.asarray(data)])
    if not isinstance(data, Iterable):
        raise TypeError(f"adapt: data must be an array or an iterable of batches, got {type(data).__name__}.")
    arrays = (batch[0] if isinstance(batch, tuple) else batch for batch in data)
    first = next(arrays, None)
    if first is None:
        raise ValueError("adapt: data must have at least one batch.")
    if not hasattr(first, "shape"):
        raise TypeError(f"adapt: batches must be arrays, got {type(first).__name__}.")
    return (np.asarray(batch) for batch in itertools.chain([first], arrays))


class Normalization(Layer):
    """y = (x - mean) / max(sqrt(variance), 1e-7), with mean and variance given or computed from data by `adapt`.

    Input and output shape `(batch, ...)`, the output in the compute dtype. The weights mean and variance, with the
    sizes of `axis`, and count are not trained. A mask is passed on.

    Args:
        axis: the axis or axes with a separate mean and variance per index; None for one mean and variance of all
            entries.
        mean: the mean, a number or an array with the sizes of `axis`; needs `variance`. None to compute both by
            `adapt`.
        variance: the variance, of the same shape as `mean`.
        invert: whether to compute y = x * max(sqrt(variance), 1e-7) + mean instead.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: only one of `mean` and `variance` is given, or their shapes do not match.
        ShapeError: in a call, if the sizes along `axis` are not those the layer was built for.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Normalization
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[1.0], [3.0]]))
        >>> layer(np.array([[5.0]]))
        array([[3.]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"Normalization: mean and variance must be given together, got mean={mean}, variance={variance}."
            )
        if mean is not None and (np.shape(mean) != np.shape(variance) or np.ndim(mean) > len(self.axis)):
            raise ValueError(
                f"Normalization: mean and variance must have one shape, of at most {len(self.axis)} dimensions, got "
                f"{np.shape(mean)} and {np.shape(variance)}."
            )
        self.input_mean, self.input_variance = mean, variance
        self.invert = bool(invert)

    def kept(self, ndim: int) -> tuple[int, ...]:
        """The axes with a separate mean per index, counted from the front."""
        return tuple(sorted(normalize_axis(a, ndim) for a in self.axis))

    def check_input(self, spec: Spec) -> None:
        """Check that the sizes along `axis` are those that the layer was built for."""
        sizes = tuple(spec.shape[a] for a in self.kept(spec.ndim))
        if self.built and shapes_differ(sizes, self.sizes):
            raise ShapeError(f"expected sizes {self.sizes} along axes {self.axis}, got {sizes}.")

    def build(self, input_shape: Shape) -> None:
        """Make mean, variance and count, unless mean and variance were given."""
        kept = self.kept(len(input_shape))
        if any(input_shape[a] is None for a in kept):
            raise ShapeError(f"axis {self.axis} of inputs of shape {input_shape} must have a fixed size.")
        self.sizes = tuple(int(input_shape[a]) for a in kept)
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(self.sizes, "zeros", name="mean", trainable=False)
            self.adapt_variance = self.add_weight(self.sizes, "ones", name="variance", trainable=False)
            self.count = self.add_weight((), "zeros", "int32", name="count", trainable=False)

    @property
    def mean(self) -> Any:
        """The mean that is subtracted, which broadcasts to the inputs: the given one, or that of `adapt`; None before."""
        return self._moment("mean")

    @property
    def variance(self) -> Tensor | None:
        """The variance, which broadcasts to the inputs: the given one, or that of `adapt`; None before."""
        return self._moment("variance")

    def _moment(self, name: str) -> Tensor | None:
        given = getattr(self, f"input_{name}")
        if given is not None:
            given = np.asarray(given, numpy_dtype(self.compute_dtype))
        elif not self.built:
            return None
        held = getattr(self, f"adapt_{name}").value if given is None else given
        if self.build_shape is None:
            return held
        kept = self.kept(len(self.build_shape))
        own = kept[len(kept) - len(held.shape) :]
        sizes = dict(zip(own, held.shape, strict=True))
        return ops.reshape(held, tuple(sizes.get(axis, 1) for axis in range(len(self.build_shape))))

    def adapt(self, data: Any) -> None:
        """Compute mean and variance from data, and replace the previous ones.

        Args:
            data: an array, or an iterable of batches; of a batch that is a tuple the first entry is used.

        Raises:
            ValueError: mean and variance were given to the constructor.
            ShapeError: the sizes along `axis` differ between batches.
        """
        if self.input_mean is not None:
            raise ValueError("Normalization: mean and variance were given, there is nothing to adapt.")
        total, mean, variance = 0, np.zeros(()), np.zeros(())
        for batch in batches_of(data):
            kept = self.kept(batch.ndim)
            if not self.built:
                rows: Any = batch.shape[0] if 0 in kept else None
                self.build((rows, *batch.shape[1:]))
            if tuple(batch.shape[a] for a in kept) != self.sizes:
                raise ShapeError(f"expected sizes {self.sizes} along axes {self.axis}, got shape {batch.shape}.")
            axes = tuple(a for a in range(batch.ndim) if a not in kept)
            values = batch.astype(np.float64)
            batch_mean, batch_variance = values.mean(axes), values.var(axes)
            count = int(np.prod([batch.shape[a] for a in axes], dtype=np.int64))
            total += count
            share = count / total
            merged = mean * (1.0 - share) + batch_mean * share
            variance = (variance + (mean - merged) ** 2) * (1.0 - share)
            variance = variance + (batch_variance + (batch_mean - merged) ** 2) * share
            mean = merged
        self.adapt_mean.assign(np.asarray(mean))
        self.adapt_variance.assign(np.asarray(variance))

    def call(self, inputs: Any) -> Any:
        """The normalized inputs, in the compute dtype."""
        ndim, dtype = len(inputs.shape), self.compute_dtype
        kept = self.kept(ndim)
        if self.input_mean is None:
            mean, variance = ops.cast(self.adapt_mean, dtype), ops.cast(self.adapt_variance, dtype)
        else:
            mean, variance = (
                ops.cast(np.asarray(v, np.float64), dtype) for v in (self.input_mean, self.input_variance)
            )
        own = kept[len(kept) - len(mean.shape) :]
        sizes = dict(zip(own, (int(d) for d in mean.shape), strict=True))
        shape = tuple(sizes.get(a, 1) for a in range(ndim))
        mean, variance = ops.reshape(mean, shape), ops.reshape(variance, shape)
        deviation = ops.maximum(ops.sqrt(variance), _LEAST_DEVIATION)
        x = ops.cast(inputs, dtype)
        if self.invert:
            return ops.add(mean, ops.multiply(x, deviation))
        return ops.divide(ops.subtract(x, mean), deviation)


def encode(indices: Tensor, depth: int, mode: str, dtype: str, weights: Tensor | None = None) -> Tensor:
    """Integers as vectors of `depth` entries.

    Args:
        indices: the integers; those outside 0 to depth - 1 are not encoded.
        depth: number of classes.
        mode: "one_hot" (one vector per integer; a last axis of size 1 is removed), "multi_hot" (one vector per example,
            with 1 for every class that occurs along axis 1) or "count" (how often it occurs).
        dtype: dtype of the vectors.
        weights: for "count", the weight of each integer.
    """
    ndim = len(indices.shape)
    if mode == "one_hot" and ndim > 1 and indices.shape[-1] == 1:
        indices = ops.reshape(indices, indices.shape[:-1])
    limits.reserve((depth,))
    classes = np.arange(depth, dtype=np.float32 if is_float(indices.dtype) else np.int32)
    hot = ops.cast(ops.equal(ops.expand_dims(indices, -1), ops.cast(classes, indices.dtype)), dtype)
    if mode == "one_hot":
        return hot
    axis = 1 if ndim > 1 else 0
    if mode == "multi_hot":
        return ops.max(hot, axis)
    if weights is not None:
        hot = ops.multiply(hot, ops.expand_dims(ops.cast(weights, dtype), -1))
    return ops.sum(hot, axis)


class CategoryEncoding(Layer):
    """Encode integers from 0 to `num_tokens - 1` as vectors.

    Input shape `(batch, length)`, output shape `(batch, num_tokens)`; with "one_hot" input shape `(batch, ...)` and
    output shape `(batch, ..., num_tokens)`. With "count" the call takes `count_weights` of the shape of the input.

    Args:
        num_tokens: number of integers; integers outside the range are not encoded.
        output_mode: "multi_hot" (1 for every integer that occurs in the example), "count" (how often it occurs) or
            "one_hot" (one vector per integer).
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `num_tokens` is not positive; or, in a call, `count_weights` is given and the mode is not "count".

    Example:
        >>> import numpy as np
        >>> from lamella.layers import CategoryEncoding
        >>> CategoryEncoding(num_tokens=4, output_mode="count")(np.array([[0, 2, 2]]))
        array([[1., 0., 2., 0.]], dtype=float32)
    """

    def __init__(self, num_tokens: int | None = None, output_mode: str = "multi_hot", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = positive_integer("num_tokens", num_tokens, self)
        mode = "multi_hot" if output_mode == "binary" else output_mode
        self.output_mode = choice("output_mode", mode, ["multi_hot", "count", "one_hot"], self)

    def call(self, inputs: Tensor, count_weights: Tensor | None = None) -> Tensor:
        """The vectors.

        Args:
            inputs: the integers.
            count_weights: with "count", the weight of each integer, of the shape of the inputs.
        """
        if count_weights is not None and self.output_mode != "count":
            raise ValueError("count_weights need output_mode='count'.")
        return encode(inputs, self.num_tokens, self.output_mode, self.compute_dtype, count_weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments, and `sparse`, which the class of Keras has as well."""
        return {**super().get_config(), "sparse": False}


class Discretization(Layer):
    """Map numbers to the index of their bin: the number of boundaries that are not above the number.

    Input shape `(batch, ...)`; output of the same shape for "int", otherwise as for `CategoryEncoding`.

    Args:
        bin_boundaries: the boundaries in increasing order; n boundaries separate n + 1 bins.
        num_bins: number of bins that `adapt` makes, with about equally many entries; instead of `bin_boundaries`.
        epsilon: accuracy of `adapt`, which keeps about 1 / epsilon points of the data.
        output_mode: "int" (indices, int32), "one_hot", "multi_hot" or "count", as in `CategoryEncoding`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: neither or both of `bin_boundaries` and `num_bins` are given, or the boundaries do not increase.
        TraceError: in a call, if there are no boundaries yet.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Discretization
        >>> Discretization([0.0, 1.0])(np.array([[-0.5, 0.0, 3.0]]))
        array([[0, 1, 2]], dtype=int32)
    """

    config_attributes: ClassVar[Mapping[str, str]] = {"bin_boundaries": "bin_boundaries"}
    config_without = ("trainable",)

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError("Discretization: exactly one of bin_boundaries and num_bins must be given.")
        self.num_bins = None if num_bins is None else positive_integer("num_bins", num_bins, self)
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        if any(b < a for a, b in itertools.pairwise(self.bin_boundaries or ())):
            raise ValueError(f"Discretization: bin_boundaries must increase, got {self.bin_boundaries}.")
        self.epsilon = number("epsilon", epsilon, self, minimum=1e-6)
        self.output_mode = choice("output_mode", output_mode, ["int", "one_hot", "multi_hot", "count"], self)
        # models whose programs hold the boundaries: `adapt` makes them trace again
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make a layer from `get_config`; that of an adapted layer has both boundaries and their number."""
        config = dict(config)
        boundaries = config.pop("bin_boundaries", None) if config.get("num_bins") is not None else None
        layer: Any = super().from_config(config)
        if boundaries is not None:
            layer.bin_boundaries = [float(b) for b in boundaries]
        return layer

    def adapt(self, data: Tensor, steps: int | None = None) -> None:
        """Choose the boundaries so that the bins have about equally many entries, and replace the previous ones.

        Args:
            data: an array, or an iterable of batches; of a batch that is a tuple the first entry is used.
            steps: number of batches to use; None for all.

        Raises:
            ValueError: the boundaries were given to the constructor.
        """
        if self.num_bins is None:
            raise ValueError("Discretization: bin_boundaries were given, there is nothing to adapt.")
        kept = np.zeros((2, 0), np.float32)
        for batch in itertools.islice(batches_of(data), steps):
            kept = merged(summary(batch.astype(np.float32), self.epsilon), kept, self.epsilon)
        self.bin_boundaries = [float(b) for b in compressed(kept, 1.0 / self.num_bins)[0, :-1]]
        for model in self._users:
            model._forget_programs()

    def call(self, inputs: Tensor) -> Tensor:
        """The bins."""
        running = context.current()
        if running is not None and hasattr(running.layers[0], "_forget_programs"):
            self._users.add(running.layers[0])
        boundaries = self.bin_boundaries
        if boundaries is None:
            if running is None or running.build_key is None:
                raise TraceError("has no boundaries yet: call `adapt` with data first.")
            boundaries = [0.0] * ((self.num_bins or 1) - 1)  # a model is being built: only the shape matters
        x = inputs if is_float(inputs.dtype) else ops.cast(inputs, "float32")
        edges = ops.cast(np.asarray(boundaries, np.float64), x.dtype)
        # `not less` instead of `greater_equal`: a NaN falls into the last bin, as in NumPy
        passed = ops.logical_not(ops.less(ops.expand_dims(x, -1), edges))
        indices = ops.sum(passed, -1) if boundaries else ops.zeros_like(x, "int32")
        if self.output_mode == "int":
            return indices
        return encode(indices, len(boundaries) + 1, self.output_mode, self.compute_dtype)


def summary(values: np.ndarray, epsilon: float) -> np.ndarray:
    """About 1 / epsilon points of the sorted values, and the number of values that each represents; `(2, points)`."""
    ordered = np.sort(values.reshape(-1))
    step = max(ordered.size / (1.0 / epsilon), 1.0)
    points = ordered[int(step - 1) :: int(step)]
    return np.stack([points, np.ones_like(points) * step])


def merged(first: np.ndarray, second: np.ndarray, epsilon: float) -> np.ndarray:
    """Merge two summaries."""
    both = np.concatenate((first, second), axis=1)
    return compressed(both[:, np.argsort(both[0])], epsilon)


def compressed(points: np.ndarray, epsilon: float) -> np.ndarray:
    """Reduce a summary to about 1 / epsilon points, by linear interpolation of the cumulative weights."""
    if points.shape[1] * epsilon < 1:
        return points
    percents = epsilon + np.arange(0.0, 1.0, epsilon)
    total = points[1].cumsum()
    share = total / total[-1]
    places = np.interp(percents, share, points[0])
    weights = np.interp(percents, share, total)
    return np.stack((places, np.diff(weights, prepend=0.0))).astype(np.float32)
