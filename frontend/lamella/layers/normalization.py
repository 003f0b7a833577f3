"""Normalization layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.compat import modules
from lamella.core.variable import Variable
from lamella.errors import ArgumentError, ShapeError, unknown_name
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.layers.making import WeightFields
from lamella.ops.coerce import normalize_axis

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def centered_moments(x: Tensor, axes: tuple[int, ...], weights: Any = None) -> tuple[Any, Any, Any, Any]:
    """Mean and variance of `x` over `axes`, accurate far from zero.

    The mean of float32 numbers around 10,000 has an error of about 0.001; subtracting it and taking the mean of the
    differences corrects that, and the variance is the mean of squares of small numbers.

    Args:
        x: the operand.
        axes: the axes to reduce; they are kept with size 1.
        weights: 0 or 1 per entry, of the shape of `x` with a last axis of size 1; None to include all entries.

    Returns:
        (d, r, mean, variance) where d = x - a first mean and r is the mean of d, so that x - mean = d - r.
    """

    def average(v: Tensor) -> Tensor:
        if weights is None:
            return ops.mean(v, axes, keepdims=True)
        total = ops.sum(ops.multiply(ops.ones_like(v), weights), axes, keepdims=True)
        return ops.divide(ops.sum(ops.multiply(v, weights), axes, keepdims=True), ops.maximum(total, 1e-12))

    first = ops.stop_gradient(average(x))
    d = ops.subtract(x, first)
    r = average(d)
    variance = average(ops.square(ops.subtract(d, r)))
    return d, r, ops.add(first, r), variance


def move(average: Any, batch: Tensor, momentum: float) -> Any:
    """Update a moving average to momentum * average + (1 - momentum) * batch, and return it."""
    moved = ops.add(ops.multiply(average, momentum), ops.multiply(batch, 1.0 - momentum))
    average.assign(moved)
    return moved


def check_clipping(clipping: Mapping[str, float]) -> None:
    """Check the limits of batch renormalization.

    Raises:
        ValueError: a limit is unknown, or the limits contradict each other.
    """
    known = ("rmax", "rmin", "dmax")
    for name in clipping:
        if name not in known:
            raise unknown_name("limit in renorm_clipping", name, known)
    if clipping.get("rmax", 1.0) < clipping.get("rmin", 0.0) or clipping.get("dmax", 0.0) < 0:
        raise ValueError(f"renorm_clipping must have rmin <= rmax and dmax >= 0, got {dict(clipping)}.")


class BatchNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel, with moments over all other axes.

    Input and output shape `(batch, ..., channels)`; gamma, beta, moving_mean and moving_variance `(channels,)`. With
    `training=True` the moments are those of the batch, without the entries that a mask excludes, and the moving
    averages are updated: `moving = momentum * moving + (1 - momentum) * batch`, with the population variance.
    Otherwise, and if the layer is frozen (`trainable = False`), the moments are the moving averages. A mask is passed
    on.

    Args:
        axis: the channel axis.
        momentum: weight of the old value in an update of the moving averages.
        epsilon: added to the variance.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer, gamma_initializer: initializers of the weights, or their names.
        beta_regularizer, gamma_regularizer: penalties on the weights, added to the loss.
        beta_constraint, gamma_constraint: constraints applied to the weights after each optimizer step.
        moving_mean_initializer, moving_variance_initializer: initializers of the moving averages, or their names.
        renorm: batch renormalization: in training, y before gamma is also multiplied by r = sqrt(variance + epsilon) /
            renorm_stddev and shifted by d = (mean - renorm_mean) / renorm_stddev, both without gradient, so that
            training computes what inference will. Adds the weights moving_stddev, renorm_mean and renorm_stddev.
        renorm_clipping: limits "rmin" and "rmax" of r, and "dmax" of |d|, as a dict.
        renorm_momentum: weight of the old value in an update of renorm_mean and renorm_stddev.
        synchronized: must be False: with a distribution the moments are those of the whole batch anyway.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `axis` is not one integer, `synchronized` is True, or the limits of `renorm_clipping` do not fit.
        ShapeError: in a call, if the number of channels is not the one the layer was built for.

    References:
        S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
        shift", 2015, https://arxiv.org/abs/1502.03167
        S. Ioffe, "Batch renormalization: towards reducing minibatch dependence in batch-normalized models", 2017,
        https://arxiv.org/abs/1702.03275

    Example:
        >>> import numpy as np
        >>> from lamella.layers import BatchNormalization
        >>> layer = BatchNormalization(momentum=0.5, epsilon=0.0)
        >>> layer(np.array([[1.0], [3.0]]), training=True)
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> layer.moving_mean.numpy(), layer.moving_variance.numpy()
        (array([1.], dtype=float32), array([1.], dtype=float32))
    """

    supports_masking = True
    casts_integers = True
    weight_fields = WeightFields(beta="zeros", gamma="ones", state={"moving_mean": "zeros", "moving_variance": "ones"})

    moving_stddev: Variable
    renorm_mean: Variable
    renorm_stddev: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if synchronized:
            raise ValueError(
                "BatchNormalization: synchronized must be False: the moments across several devices are those of the batch."
            )
        if isinstance(axis, list | tuple):
            if len(axis) != 1:
                raise ValueError(f"BatchNormalization: axis must be one integer, got {axis}.")
            axis = axis[0]
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
            raise ValueError(f"BatchNormalization: axis must be an integer, got {axis!r}.")
        self.axis = int(axis)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.center, self.scale = bool(center), bool(scale)
        self.renorm, self.renorm_momentum = bool(renorm), float(renorm_momentum)
        self.renorm_clipping = dict(renorm_clipping or {})
        check_clipping(self.renorm_clipping)
        if self.renorm_clipping and not renorm:
            raise ValueError(f"{type(self).__name__}: renorm_clipping needs renorm=True.")

    def check_input(self, spec: Spec) -> None:
        """Check that the channel axis exists, is not the batch axis, and has the size that the layer was built for."""
        if spec.ndim < 2:
            raise ShapeError(f"expected at least 2 dimensions, got shape {public_shape(spec.shape)}.")
        axis = normalize_axis(self.axis, spec.ndim)
        if axis == 0:
            raise ArgumentError("the channel axis cannot be the batch axis.")
        if self.built and differ(spec.shape[axis], self.moving_mean.shape[0]):
            raise ShapeError(
                f"expected {self.moving_mean.shape[0]} channels in axis {self.axis}, got {spec.shape[axis]} "
                f"(input shape {public_shape(spec.shape)})."
            )

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta and the moving averages, one entry per channel."""
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = self.add_field("gamma", shape)
        if self.center:
            self.beta = self.add_field("beta", shape)
        self.moving_mean = self.add_field("moving_mean", shape)
        self.moving_variance = self.add_field("moving_variance", shape)
        if self.renorm:
            # a standard deviation starts as the root of the initial variance
            def deviation(shape: Shape, dtype: str) -> np.ndarray:
                return np.sqrt(self.moving_variance.numpy())

            def mean(shape: Shape, dtype: str) -> np.ndarray:
                return self.moving_mean.numpy()

            starts = {"moving_stddev": deviation, "renorm_mean": mean, "renorm_stddev": deviation}
            for name, start in starts.items():
                setattr(self, name, self.add_weight(shape, start, name=name, trainable=False))

    def _renormalized(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """(r, d) of batch renormalization for the moments of the batch, per channel; updates the moving averages."""
        stddev = ops.sqrt(ops.add(variance, self.epsilon))
        floor = ops.maximum(self.renorm_stddev, self.epsilon**0.5)
        r = ops.divide(stddev, floor)
        d = ops.divide(ops.subtract(mean, self.renorm_mean), floor)
        limits = self.renorm_clipping
        if "rmin" in limits:
            r = ops.maximum(r, limits["rmin"])
        if "rmax" in limits:
            r = ops.minimum(r, limits["rmax"])
        if "dmax" in limits:
            d = ops.clip(d, -limits["dmax"], limits["dmax"])
        move(self.renorm_mean, mean, self.renorm_momentum)
        move(self.renorm_stddev, stddev, self.renorm_momentum)
        move(self.moving_mean, mean, self.momentum)
        moved = move(self.moving_stddev, stddev, self.momentum)
        self.moving_variance.assign(ops.relu(ops.subtract(ops.square(moved), self.epsilon)))
        return ops.stop_gradient(r), ops.stop_gradient(d)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """The normalized inputs; in training the moving averages are updated."""
        ndim = len(inputs.shape)
        axis = normalize_axis(self.axis, ndim)
        shape = tuple(d if i == axis else 1 for i, d in enumerate(inputs.shape))
        dtype = inputs.dtype
        correction = None
        # 16-bit floats are too imprecise for sums over a batch
        x = ops.cast(inputs, "float32") if dtype in ("float16", "bfloat16") else inputs

        def spread(v: Any) -> Any:
            return ops.reshape(ops.cast(v, x.dtype), shape)

        if training and self.trains:
            axes = tuple(i for i in range(ndim) if i != axis)
            weights = None
            if mask is not None:
                full = ops.reshape(ops.cast(mask, x.dtype), (*mask.shape, *[1] * (ndim - len(mask.shape))))
                weights = full
            d, r, mean, variance = centered_moments(x, axes, weights)
            of_channel = [ops.reshape(v, (shape[axis],)) for v in (mean, variance)]
            if self.renorm:
                correction = self._renormalized(*of_channel)
            else:
                move(self.moving_mean, of_channel[0], self.momentum)
                move(self.moving_variance, of_channel[1], self.momentum)
        else:
            d, r = ops.subtract(x, spread(self.moving_mean)), None
            variance = spread(self.moving_variance)
        factor = ops.rsqrt(ops.add(variance, self.epsilon))
        if correction is not None:
            factor = ops.multiply(factor, spread(correction[0]))
        if self.scale:
            factor = ops.multiply(factor, spread(self.gamma))
        # d * factor + shift with a small shift: x * factor + (beta - mean * factor) would cancel far from zero
        shift = None if r is None else ops.negative(ops.multiply(r, factor))
        if correction is not None:
            moved = spread(correction[1])
            shift = ops.add(shift, ops.multiply(moved, spread(self.gamma)) if self.scale else moved)
        if self.center:
            beta = spread(self.beta)
            shift = beta if shift is None else ops.add(shift, beta)
        y = ops.multiply(d, factor)
        if shift is not None:
            y = ops.add(y, shift)
        return ops.cast(y, dtype)


if not TYPE_CHECKING:
    __getattr__ = modules.names_of_today(__name__)
