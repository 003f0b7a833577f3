"""Normalization layers."""

from __future__ import annotations

from typing import Any

from lamella import initializers, ops
from lamella.errors import ShapeError
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.ops.coerce import normalize_axis


def centred_moments(x: Any, axes: tuple[int, ...], weights: Any = None) -> tuple[Any, Any, Any, Any]:
    """Mean and variance of `x` over `axes`, exact far from zero.

    A mean of float32 numbers around 10,000 is itself wrong by a thousandth; subtracting it and taking the mean of what is
    left corrects that, and the variance is the mean of squares of small numbers.

    Args:
        x: the operand.
        axes: the axes reduced; they are kept with size 1.
        weights: of the shape of `x` with the last axis 1, or None: entries counted with 0 or 1.

    Returns:
        (d, r, mean, variance) with d = x - a first mean and r the mean of d, so that x - mean = d - r.
    """

    def average(v: Any) -> Any:
        if weights is None:
            return ops.mean(v, axes, keepdims=True)
        total = ops.sum(ops.multiply(ops.ones_like(v), weights), axes, keepdims=True)
        return ops.divide(ops.sum(ops.multiply(v, weights), axes, keepdims=True), ops.maximum(total, 1e-12))

    first = ops.stop_gradient(average(x))
    d = ops.subtract(x, first)
    r = average(d)
    variance = average(ops.square(ops.subtract(d, r)))
    return d, r, ops.add(first, r), variance


class BatchNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, each channel over the batch and all other axes.

    In training the moments are the batch's, and the moving averages move towards them:
    `moving = momentum * moving + (1 - momentum) * batch` (with the population variance). Otherwise, and when the layer
    is frozen (`trainable = False`), they are the moving averages.

    Args:
        axis: the channel axis.
        momentum: how slowly the moving averages move.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether to multiply by gamma.

    References:
        S. Ioffe, C. Szegedy, "Batch Normalization", 2015, https://arxiv.org/abs/1502.03167
    """

    supports_masking = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, list | tuple):
            if len(axis) != 1:
                raise ValueError(f"BatchNormalization: one axis, got {axis}.")
            axis = axis[0]
        self.axis = int(axis)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer, self.gamma_regularizer = beta_regularizer, gamma_regularizer
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint

    def check_input(self, spec: Spec) -> None:
        """The channel axis must exist, beside the batch, and have the size the layer was built for."""
        if spec.ndim < 2:
            raise ShapeError(f"expected at least 2 dimensions, got shape {tuple(map(int, spec.shape))}.")
        axis = normalize_axis(self.axis, spec.ndim)
        if axis == 0:
            raise ShapeError("the channel axis cannot be the batch axis.")
        if self.built and int(spec.shape[axis]) != self.moving_mean.shape[0]:
            raise ShapeError(
                f"expected {self.moving_mean.shape[0]} channels in axis {self.axis}, got {int(spec.shape[axis])} "
                f"(input shape {tuple(map(int, spec.shape))})."
            )

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta and the moving averages, one entry a channel."""
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                name="gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                name="beta",
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False
        )

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """The normalized inputs; in training the moving averages are updated."""
        ndim = len(inputs.shape)
        axis = normalize_axis(self.axis, ndim)
        shape = tuple(int(d) if i == axis else 1 for i, d in enumerate(inputs.shape))
        dtype = inputs.dtype
        # 16-bit floats have too few digits for sums over a batch
        x = ops.cast(inputs, "float32") if dtype in ("float16", "bfloat16") else inputs

        def spread(v: Any) -> Any:
            return ops.reshape(ops.cast(v, x.dtype), shape)

        if training and self.trains:
            axes = tuple(i for i in range(ndim) if i != axis)
            weights = None
            if mask is not None:
                full = ops.reshape(ops.cast(mask, x.dtype), (*mask.shape, *[1] * (ndim - len(mask.shape))))
                weights = full
            d, r, mean, variance = centred_moments(x, axes, weights)
            channels = (shape[axis],)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept = ops.multiply(moving, self.momentum)
                moving.assign(ops.add(kept, ops.multiply(ops.reshape(batch, channels), 1.0 - self.momentum)))
        else:
            d, r = ops.subtract(x, spread(self.moving_mean)), None
            variance = spread(self.moving_variance)
        factor = ops.rsqrt(ops.add(variance, self.epsilon))
        if self.scale:
            factor = ops.multiply(factor, spread(self.gamma))
        # d * factor + shift with a small shift: x * factor + (beta - mean * factor) would cancel far from zero
        shift = None if r is None else ops.negative(ops.multiply(r, factor))
        if self.center:
            beta = spread(self.beta)
            shift = beta if shift is None else ops.add(shift, beta)
        y = ops.multiply(d, factor)
        if shift is not None:
            y = ops.add(y, shift)
        return ops.cast(y, dtype)
