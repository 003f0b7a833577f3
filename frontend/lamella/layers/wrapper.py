"""The base of layers that wrap another one."""

from __future__ import annotations

from typing import Any

from lamella.errors import ArgumentError
from lamella.layers.base import Layer


class Wrapper(Layer):
    """A layer that holds another one, which it builds: subclass it and write `call`.

    >>> class Twice(Wrapper):
    ...     def call(self, inputs):
    ...         return self.layer(self.layer(inputs))
    >>> from lamella.layers import Dense
    >>> import numpy as np
    >>> Twice(Dense(2, use_bias=False, kernel_initializer="ones"))(np.ones((1, 2))).tolist()
    [[4.0, 4.0]]

    Args:
        layer: the layer.

    Raises:
        ArgumentError: it is not a layer.
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{type(self).__name__}: layer must be a layer, got {type(layer).__name__}.")
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        """Build the layer for the same inputs."""
        self.layer.build(input_shape)
