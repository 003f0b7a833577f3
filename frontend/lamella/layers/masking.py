"""Masks made from the data."""

from __future__ import annotations

from typing import Any

from lamella import ops
from lamella.layers.base import Layer


class Masking(Layer):
    """Masks the steps of a sequence whose entries all equal `mask_value`, and zeros them.

    Input shape `(batch, time, features)`; layers that support masks skip the masked steps.
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = float(mask_value)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True for the steps in which one entry differs from `mask_value`."""
        return ops.any(ops.not_equal(inputs, self.mask_value), -1)

    def call(self, inputs: Any) -> Any:
        """The inputs, with masked steps zeroed."""
        kept = ops.any(ops.not_equal(inputs, self.mask_value), -1, keepdims=True)
        return ops.multiply(inputs, ops.cast(kept, inputs.dtype))
