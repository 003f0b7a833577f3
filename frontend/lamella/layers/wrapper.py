"""The base of layers that hold another layer."""

from __future__ import annotations

from typing import Any

from lamella.errors import ArgumentError
from lamella.layers.base import Layer


class Wrapper(Layer):
    """The base of layers that hold another layer and build it; a subclass writes `call`.

    Args:
        layer: the layer to hold, as the attribute `layer`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ArgumentError: `layer` is not a layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Dense, Wrapper
        >>> class Twice(Wrapper):
        ...     def call(self, inputs):
        ...         return self.layer(self.layer(inputs))
        >>> Twice(Dense(2, use_bias=False, kernel_initializer="ones"))(np.ones((1, 2)))
        array([[4., 4.]], dtype=float32)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{type(self).__name__}: layer must be a layer, got {type(layer).__name__}.")
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        """Build the layer for the same inputs."""
        self.layer.build(input_shape)
