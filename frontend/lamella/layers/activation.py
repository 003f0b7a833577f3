"""Activations as layers."""

from __future__ import annotations

from typing import Any

from lamella import ops
from lamella.layers.base import Layer


class ReLU(Layer):
    """max(x, 0), with a slope below a threshold and a maximum.

    y = max_value where x >= max_value, x where threshold <= x < max_value, negative_slope * (x - threshold) elsewhere.
    """

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0:
            raise ValueError(f"ReLU: max_value must not be negative, got {max_value}.")
        if negative_slope is None or negative_slope < 0:
            raise ValueError(f"ReLU: negative_slope must not be negative, got {negative_slope}.")
        if threshold is None or threshold < 0:
            raise ValueError(f"ReLU: threshold must not be negative, got {threshold}.")
        self.max_value = None if max_value is None else float(max_value)
        self.negative_slope, self.threshold = float(negative_slope), float(threshold)

    def call(self, inputs: Any) -> Any:
        """The rectified inputs."""
        from lamella import activations

        return activations.relu(
            inputs, negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold
        )


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along `axis`; entries whose mask is false get probability 0."""

    supports_masking = True

    def __init__(self, axis: int | tuple[int, ...] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The probabilities."""
        if mask is not None and tuple(mask.shape) == tuple(inputs.shape):
            inputs = ops.add(inputs, ops.multiply(ops.cast(ops.logical_not(mask), inputs.dtype), -3e38))
        if isinstance(self.axis, int):
            return ops.softmax(inputs, self.axis)
        return ops.exp(ops.subtract(inputs, ops.logsumexp(inputs, self.axis, keepdims=True)))
