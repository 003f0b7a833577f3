"""Noise and dropout layers, and a penalty as a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops, regularizers
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import fraction, layout, number
from lamella.layers.core import Dropout
from lamella.layers.pooling import check_rank
from lamella.ops.activation import SELU_ALPHA, SELU_SCALE

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class SpatialDropout(Dropout):
    """Dropout of whole channels: the base of the layers over `spatial` dimensions."""

    spatial = 2
    config_without = ("trainable",)

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, None, seed, **kwargs)
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """Check the rank."""
        check_rank(spec, self.spatial)

    def mask_shape(self, inputs: Tensor) -> tuple[int, ...]:
        """One entry per example and channel."""
        ones = (1,) * self.spatial
        if self.data_format == "channels_first":
            return (*inputs.shape[:2], *ones)
        return (inputs.shape[0], *ones, inputs.shape[-1])


class SpatialDropout1D(SpatialDropout):
    """In training, zero whole channels of a sequence and scale the rest by 1 / (1 - rate); otherwise the identity.

    Input and output shape `(batch, steps, channels)`. The mask is drawn with `training=True`, one entry per example and
    channel. A mask of the input is passed on.

    Args:
        rate: fraction of the channels to drop, from 0 to 1.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `rate` is not between 0 and 1.
        ShapeError: in a call, if the rank does not match.

    References:
        J. Tompson and others, "Efficient object localization using convolutional networks", 2014,
        https://arxiv.org/abs/1411.4280

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SpatialDropout1D
        >>> y = SpatialDropout1D(0.5, seed=1)(np.ones((1, 4, 100)), training=True)
        >>> sorted(set(y.mean(1)[0].tolist()))
        [0.0, 2.0]
    """

    spatial = 1

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", seed, **kwargs)


class SpatialDropout2D(SpatialDropout):
    """In training, zero whole channels of an image and scale the rest by 1 / (1 - rate); otherwise the identity.

    Input and output shape `(batch, height, width, channels)`. The mask is drawn with `training=True`, one entry per
    example and channel. A mask of the input is passed on.

    Args:
        rate: fraction of the channels to drop, from 0 to 1.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `rate` is not between 0 and 1.
        ShapeError: in a call, if the rank does not match.

    References:
        J. Tompson and others, "Efficient object localization using convolutional networks", 2014,
        https://arxiv.org/abs/1411.4280

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SpatialDropout2D
        >>> y = SpatialDropout2D(0.5, seed=1)(np.ones((1, 2, 2, 100)), training=True)
        >>> sorted(set(y.mean((1, 2))[0].tolist()))
        [0.0, 2.0]
    """

    spatial = 2


class SpatialDropout3D(SpatialDropout):
    """In training, zero whole channels of a volume and scale the rest by 1 / (1 - rate); otherwise the identity.

    Input and output shape `(batch, depth, height, width, channels)`. The mask is drawn with `training=True`, one entry
    per example and channel. A mask of the input is passed on.

    Args:
        rate: fraction of the channels to drop, from 0 to 1.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `rate` is not between 0 and 1.
        ShapeError: in a call, if the rank does not match.

    References:
        J. Tompson and others, "Efficient object localization using convolutional networks", 2014,
        https://arxiv.org/abs/1411.4280

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SpatialDropout3D
        >>> y = SpatialDropout3D(0.5, seed=1)(np.ones((1, 2, 2, 2, 100)), training=True)
        >>> sorted(set(y.mean((1, 2, 3))[0].tolist()))
        [0.0, 2.0]
    """

    spatial = 3


def below_one(rate: Any, layer: Layer) -> float:
    """`rate` as a float from 0 up to, not including, 1.

    Raises:
        ValueError: it is out of range.
    """
    rate = fraction("rate", rate, layer)
    if rate == 1.0:
        raise ValueError(f"{type(layer).__name__}: rate must be below 1, where the scale would be infinite.")
    return rate


class AlphaDropout(Dropout):
    """In training, set a fraction `rate` of the entries to -1.7581 and rescale, so that mean 0 and variance 1 are kept.

    y = a * (x where kept, else p) + b with p = -1.7581, the lower limit of selu, a = ((1 - rate) (1 + rate
    p**2))**(-1/2) and b = -a p rate; for networks with `selu` activations. Input and output shape `(batch, ...)`. With
    `training=False` the identity. A mask of the input is passed on.

    Args:
        rate: fraction of the entries to replace, from 0 up to, not including, 1.
        noise_shape: shape of the dropout mask, if entries share a draw: 1 for an axis to broadcast along, None for the
            size of the input.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `rate` is out of range.

    References:
        G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks", 2017,
        https://arxiv.org/abs/1706.02515

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AlphaDropout
        >>> layer, x = AlphaDropout(0.2, seed=1), np.random.default_rng(0).normal(size=(1, 10_000))
        >>> bool(abs(layer(x, training=True).std() - 1.0) < 0.05)
        True
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, noise_shape, seed, **kwargs)
        self.rate = below_one(rate, self)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The inputs, with noise in training."""
        if not training or self.rate == 0.0:
            return inputs
        low = -SELU_ALPHA * SELU_SCALE
        a = ((1.0 - self.rate) * (1.0 + self.rate * low**2)) ** -0.5
        kept = self.keep_mask(self.mask_shape(inputs), 1.0 - self.rate, seed=self.seed)
        return ops.add(ops.multiply(ops.where(kept, inputs, low), a), -a * low * self.rate)


class Noise(Layer):
    """The base of the layers that draw one normal number per entry in training."""

    supports_masking = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def normal(self, inputs: Tensor) -> Tensor:
        """Standard normal numbers of the shape and dtype of `inputs`: the same on every backend up to rounding."""
        bits = self.random_bits(tuple(inputs.shape), 32, self.seed)
        wide = "float64" if inputs.dtype == "float64" else "float32"
        return ops.cast(ops.normal_from_bits(bits, wide), inputs.dtype)


class GaussianNoise(Noise):
    """In training, y = x + stddev * normal; otherwise the identity.

    Input and output shape `(batch, ...)`. The noise is drawn with `training=True`, one standard normal number per
    entry. A mask of the input is passed on.

    Args:
        stddev: standard deviation of the noise, at least 0.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `stddev` is negative.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GaussianNoise
        >>> y = GaussianNoise(0.5, seed=1)(np.zeros((1, 10_000)), training=True)
        >>> bool(abs(y.std() - 0.5) < 0.02)
        True
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.stddev = number("stddev", stddev, self, minimum=0.0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The inputs, with noise in training."""
        if not training or self.stddev == 0.0:
            return inputs
        return ops.add(inputs, ops.multiply(self.normal(inputs), self.stddev))


class GaussianDropout(Noise):
    """In training, y = x * (1 + sqrt(rate / (1 - rate)) * normal); otherwise the identity.

    The noise has the mean and the variance of `Dropout(rate)`. Input and output shape `(batch, ...)`. It is drawn with
    `training=True`, one standard normal number per entry. A mask of the input is passed on.

    Args:
        rate: drop rate that determines the variance, from 0 up to, not including, 1.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `rate` is out of range.

    References:
        N. Srivastava and others, "Dropout: a simple way to prevent neural networks from overfitting", Journal of
        Machine Learning Research 15, 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GaussianDropout
        >>> y = GaussianDropout(0.2, seed=1)(np.ones((1, 10_000)), training=True)
        >>> bool(abs(y.std() - 0.5) < 0.02)
        True
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = below_one(rate, self)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The inputs, with noise in training."""
        if not training or self.rate == 0.0:
            return inputs
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return ops.multiply(inputs, ops.add(ops.multiply(self.normal(inputs), stddev), 1.0))


class ActivityRegularization(Layer):
    """y = x, with (l1 * sum(|x|) + l2 * sum(x**2)) / batch size added to the loss.

    Input and output shape `(batch, ...)`. A mask is passed on.

    Args:
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.
        name, trainable, dtype, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ActivityRegularization
        >>> layer = ActivityRegularization(l1=0.5)
        >>> y, _, losses = layer.stateless_call([], [], np.array([[1.0, -3.0]]), return_losses=True)
        >>> y, losses[0].item()
        (array([[ 1., -3.]], dtype=float32), 2.0)
    """

    supports_masking = True
    casts_integers = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = float(l1), float(l2)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs as they are."""
        return inputs
