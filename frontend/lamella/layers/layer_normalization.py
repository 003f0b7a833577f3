"""Normalizations of each example separately: over axes, over groups of channels, and to unit norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.ir.dim import differ, exceeds, public_shape, shapes_differ
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.layers.checks import number
from lamella.layers.making import WeightFields
from lamella.layers.normalization import centered_moments
from lamella.names import deprecated
from lamella.ops.coerce import normalize_axis

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def axes_of(axis: Any, layer: Layer) -> int | tuple[int, ...]:
    """An axis argument: an int, or a sorted tuple of ints.

    Raises:
        TypeError: it is neither an integer nor a list of integers.
    """
    if isinstance(axis, int) and not isinstance(axis, bool):
        return axis
    if isinstance(axis, list | tuple) and axis and all(isinstance(a, int) for a in axis):
        return tuple(sorted(axis))
    raise TypeError(f"{type(layer).__name__}: axis must be an integer or several of them, got {axis!r}.")


def wide(x: Tensor) -> Tensor:
    """`x`, cast to float32 if it has 16-bit floats, which are too imprecise for sums."""
    return ops.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x


class Affine(Layer):
    """The base of the normalizations with a trained scale (gamma) and offset (beta)."""

    supports_masking = True
    casts_integers = True

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon = number("epsilon", epsilon, self, minimum=0.0)
        self.center, self.scale = bool(center), bool(scale)
        self.gamma: Any = None
        self.beta: Any = None

    def add_gamma_and_beta(self, shape: Sequence[Any], *, gamma: bool, beta: bool) -> None:
        """Make gamma, beta, or both."""
        if gamma:
            self.gamma = self.add_field("gamma", shape)
        if beta:
            self.beta = self.add_field("beta", shape)

    def scaled(self, y: Tensor, shape: Sequence[int]) -> Tensor:
        """gamma * y + beta, both of `shape`."""
        if self.gamma is not None:
            y = ops.multiply(y, ops.reshape(ops.cast(self.gamma, y.dtype), shape))
        if self.beta is not None:
            y = ops.add(y, ops.reshape(ops.cast(self.beta, y.dtype), shape))
        return y


class LayerNormalization(Affine):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moments of each example over `axis`.

    Input and output shape `(batch, ..., features)`; gamma and beta have the shape of the normalized axes. A mask is
    passed on.

    Args:
        axis: the axis or axes to normalize over, not the batch axis.
        epsilon: added to the variance.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer, gamma_initializer: initializers of the weights, or their names.
        beta_regularizer, gamma_regularizer: penalties on the weights, added to the loss.
        beta_constraint, gamma_constraint: constraints applied to the weights after each optimizer step.
        rms_scaling: deprecated argument of Keras: y = gamma * x / sqrt(variance + epsilon), with the variance about the
            mean. `RMSNormalization` divides by the root of the mean square instead.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ArgumentError: in a call, if `axis` includes the batch axis.
        ShapeError: in a call, if the sizes along `axis` are not those the layer was built for.

    References:
        J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016, https://arxiv.org/abs/1607.06450

    Example:
        >>> import numpy as np
        >>> from lamella.layers import LayerNormalization
        >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0], [10.0, 30.0]]))
        array([[-1.,  1.],
               [-1.,  1.]], dtype=float32)
    """

    weight_fields = WeightFields(beta="zeros", gamma="ones")

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **kwargs)
        self.axis = axes_of(axis, self)
        self.rms_scaling = bool(rms_scaling)
        if self.rms_scaling:
            deprecated("rms_scaling=True", "RMSNormalization (which divides by the root of the mean square)")

    def places(self, ndim: int) -> tuple[int, ...]:
        """The normalized axes, counted from the front, in the order of the axes of gamma."""
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return tuple(normalize_axis(a, ndim) for a in axes)

    def check_input(self, spec: Spec) -> None:
        """Check that the axes exist, do not include the batch, and have the sizes of gamma and beta."""
        places = self.places(spec.ndim)
        if 0 in places:
            raise ArgumentError(f"axis {self.axis} is the batch axis, but each example is normalized separately.")
        weight = self.gamma if self.gamma is not None else self.beta
        if weight is not None and shapes_differ([spec.shape[a] for a in places], weight.shape):
            raise ShapeError(
                f"expected sizes {weight.shape} along axis {self.axis}, got shape {public_shape(spec.shape)}."
            )

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta, of the shape of the normalized axes."""
        shape = [input_shape[a] for a in self.places(len(input_shape))]
        self.add_gamma_and_beta(shape, gamma=self.scale or self.rms_scaling, beta=self.center and not self.rms_scaling)

    def call(self, inputs: Tensor) -> Tensor:
        """The normalized inputs."""
        x = wide(inputs)
        places = self.places(len(x.shape))
        d, r, _, variance = centered_moments(x, tuple(sorted(places)))
        centered = x if self.rms_scaling else ops.subtract(d, r)
        y = ops.multiply(centered, ops.rsqrt(ops.add(variance, self.epsilon)))
        shape = tuple(d if i in places else 1 for i, d in enumerate(x.shape))
        return ops.cast(self.scaled(y, shape), inputs.dtype)


class GroupNormalization(Affine):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moments of each example and group of channels.

    Input and output shape `(batch, ..., channels)`; gamma and beta `(channels,)`. A mask is passed on.

    Args:
        groups: number of groups of consecutive channels; -1 for one channel per group (instance normalization).
        axis: the channel axis.
        epsilon: added to the variance.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer, gamma_initializer: initializers of the weights, or their names.
        beta_regularizer, gamma_regularizer: penalties on the weights, added to the loss.
        beta_constraint, gamma_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `groups` is neither positive nor -1.
        ShapeError: in a call, if the channels cannot be divided into the groups.

    References:
        Y. Wu, K. He, "Group normalization", 2018, https://arxiv.org/abs/1803.08494

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GroupNormalization
        >>> GroupNormalization(groups=2, epsilon=0.0)(np.array([[1.0, 3.0, 10.0, 30.0]]))
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    weight_fields = WeightFields(beta="zeros", gamma="ones")

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **kwargs)
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            raise ValueError(f"GroupNormalization: groups must be a positive integer or -1, got {groups!r}.")
        self.groups, self.axis = groups, int(axis)

    def check_input(self, spec: Spec) -> None:
        """Check that the channel axis exists, can be divided into the groups, and has the size of gamma and beta."""
        axis = normalize_axis(self.axis, spec.ndim)
        channels = spec.shape[axis]
        if axis == 0:
            raise ArgumentError("the channel axis cannot be the batch axis.")
        if exceeds(self.groups, channels) or differ(channels % self.groups, 0):
            raise ShapeError(f"{channels} channels do not divide into {self.groups} groups.")
        weight = self.gamma if self.gamma is not None else self.beta
        if weight is not None and differ(channels, weight.shape[0]):
            raise ShapeError(f"expected {weight.shape[0]} channels in axis {self.axis}, got {channels}.")

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta, one entry per channel."""
        self.add_gamma_and_beta((input_shape[self.axis],), gamma=self.scale, beta=self.center)

    def call(self, inputs: Tensor) -> Tensor:
        """The normalized inputs."""
        x = wide(inputs)
        axis = normalize_axis(self.axis, len(x.shape))
        channels = x.shape[axis]
        groups = channels if self.groups == -1 else self.groups
        parts = (groups, channels // groups)
        grouped = ops.reshape(x, (*x.shape[:axis], *parts, *x.shape[axis + 1 :]))
        ndim = len(x.shape) + 1
        d, r, _, variance = centered_moments(grouped, tuple(a for a in range(1, ndim) if a != axis))
        y = ops.multiply(ops.subtract(d, r), ops.rsqrt(ops.add(variance, self.epsilon)))
        y = self.scaled(y, (*[1] * axis, *parts, *[1] * (ndim - axis - 2)))
        return ops.cast(ops.reshape(y, x.shape), inputs.dtype)


class RMSNormalization(Layer):
    """y = scale * x / sqrt(mean(x**2) + epsilon), with the mean of each example over `axis`.

    Input and output shape `(batch, ..., features)`; scale has the shape of the normalized axes.

    Args:
        axis: the axis or axes to normalize over, not the batch axis.
        epsilon: added to the mean square.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ArgumentError: in a call, if `axis` includes the batch axis.
        ShapeError: in a call, if the sizes along `axis` are not those the layer was built for.

    References:
        B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019, https://arxiv.org/abs/1910.07467

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RMSNormalization
        >>> RMSNormalization(epsilon=0.0)(np.array([[1.0, 7.0]]))
        array([[0.2, 1.4]], dtype=float32)
    """

    casts_integers = True

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes_of(axis, self)
        self.epsilon = number("epsilon", epsilon, self, minimum=0.0)

    def places(self, ndim: int) -> tuple[int, ...]:
        """The normalized axes, counted from the front."""
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return tuple(normalize_axis(a, ndim) for a in axes)

    def check_input(self, spec: Spec) -> None:
        """Check that the axes exist, do not include the batch, and have the sizes of the scale."""
        sizes = tuple(spec.shape[a] for a in self.places(spec.ndim))
        if 0 in self.places(spec.ndim):
            raise ArgumentError(f"axis {self.axis} is the batch axis, but each example is normalized separately.")
        if self.built and shapes_differ(sizes, self.scale.shape):
            raise ShapeError(f"expected sizes {self.scale.shape} along axis {self.axis}, got {sizes}.")

    def build(self, input_shape: Shape) -> None:
        """Make the scale."""
        self.scale = self.add_weight([input_shape[a] for a in self.places(len(input_shape))], "ones", name="scale")

    def call(self, inputs: Any) -> Tensor:
        """The scaled inputs."""
        x = wide(inputs)
        places = self.places(len(x.shape))
        square = ops.mean(ops.square(x), places, keepdims=True)
        y = ops.multiply(x, ops.rsqrt(ops.add(square, self.epsilon)))
        shape = tuple(d if i in places else 1 for i, d in enumerate(x.shape))
        return ops.cast(ops.multiply(y, ops.reshape(ops.cast(self.scale, x.dtype), shape)), inputs.dtype)


class UnitNormalization(Layer):
    """y = x / sqrt(sum(x**2)), with the sum over `axis`; zeros stay zeros.

    Input and output shape `(batch, ..., features)`. A mask is passed on.

    Args:
        axis: the axis or axes along which y has norm 1.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        TypeError: `axis` is neither an integer nor a list of integers.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import UnitNormalization
        >>> UnitNormalization()(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]], dtype=float32)
    """

    supports_masking = True
    casts_integers = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes_of(axis, self)

    def call(self, inputs: Tensor) -> Tensor:
        """The scaled inputs."""
        x = wide(inputs)
        total = ops.sum(ops.square(x), self.axis, keepdims=True)
        # as in Keras, at most 1e12 * x; the maximum avoids the infinite derivative of the root at 0
        return ops.cast(ops.multiply(x, ops.rsqrt(ops.maximum(total, 1e-24))), inputs.dtype)
