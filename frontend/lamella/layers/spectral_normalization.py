"""A wrapper that keeps the kernel of a layer at spectral norm 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import initializers, ops
from lamella.core.variable import Variable
from lamella.ir.spec import Shape
from lamella.layers.base import Layer
from lamella.layers.checks import positive_integer

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class SpectralNormalization(Layer):
    """Wrap a layer and divide its kernel by its largest singular value in every training step.

    The kernel counts as a matrix `(..., last axis)`. A power iteration estimates its largest singular value sigma: v =
    normalize(u @ W^T), u = normalize(v @ W), sigma = v @ W @ u^T; u is kept from step to step. With `training=True` the
    kernel is replaced by kernel / sigma; otherwise it is used as it is. A kernel of zeros is not changed.

    Input and output shape as those of `layer`; vector_u `(1, last axis of the kernel)`.

    Args:
        layer: a layer with the weight `kernel` or `embeddings`.
        power_iterations: number of power iterations per step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        TypeError: `layer` is not a layer.
        ValueError: the layer has neither `kernel` nor `embeddings`.

    References:
        T. Miyato and others, "Spectral normalization for generative adversarial networks", 2018,
        https://arxiv.org/abs/1802.05957

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Dense, SpectralNormalization
        >>> layer = SpectralNormalization(Dense(2, weights=[np.diag([4.0, 0.0]), np.zeros(2)]))
        >>> layer(np.ones((1, 2)), training=True)
        array([[1., 0.]], dtype=float32)
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise TypeError(f"SpectralNormalization: layer must be a layer, got {type(layer).__name__}.")
        self.layer = layer
        self.power_iterations = positive_integer("power_iterations", power_iterations, self)

    def build(self, input_shape: Shape) -> None:
        """Build the layer, and make u, `(1, last axis of the kernel)`."""
        self.layer.build(input_shape)
        kernel = getattr(self.layer, "kernel", None)
        kernel = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if kernel is None:
            raise ValueError(
                f"SpectralNormalization: layer must have kernel or embeddings, got {type(self.layer).__name__}."
            )
        self.kernel: Variable = kernel
        self._variables.append(kernel)  # first among the weights, as in Keras
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            name="vector_u",
            trainable=False,
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The layer's outputs, in training with the kernel normalized."""
        if training:
            self._normalize()
        return ops.cast(self.layer(inputs), self.compute_dtype)

    def _normalize(self) -> None:
        kernel = ops.convert_to_tensor(self.kernel)
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        before = ops.convert_to_tensor(self.vector_u)
        u, v = before, None
        for _ in range(self.power_iterations):
            v = unit(ops.matmul(u, ops.transpose(matrix)))
            u = unit(ops.matmul(v, matrix))
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.reshape(ops.matmul(ops.matmul(v, matrix), ops.transpose(u)), ())
        zero = ops.all(ops.equal(kernel, 0.0))
        self.vector_u.assign(ops.where(zero, before, u))
        self.kernel.assign(ops.divide(kernel, ops.where(zero, 1.0, sigma)))


def unit(x: Tensor) -> Tensor:
    """x / sqrt(sum(x**2)), at most 1e7 times x."""
    return ops.multiply(x, ops.rsqrt(ops.maximum(ops.sum(ops.square(x)), 1e-14)))
