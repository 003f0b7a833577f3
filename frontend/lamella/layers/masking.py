"""Masks computed from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.layers.base import Layer

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Masking(Layer):
    """Mask the steps of a sequence whose entries all equal `mask_value`, and set them to 0.

    Input and output shape `(batch, time, features)`; the mask of the output is `(batch, time)`, False for masked steps.
    Layers that support masks skip these steps.

    Args:
        mask_value: value of the entries of a step to mask.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Masking
        >>> layer, x = Masking(9.0), np.array([[[9.0, 9.0], [9.0, 2.0]]])
        >>> layer(x).tolist(), layer.compute_mask(x).tolist()
        ([[[0.0, 0.0], [9.0, 2.0]]], [[False, True]])
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = float(mask_value)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True for the steps in which an entry differs from `mask_value`."""
        return ops.any(ops.not_equal(inputs, self.mask_value), -1)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs, with masked steps zeroed."""
        kept = ops.any(ops.not_equal(inputs, self.mask_value), -1, keepdims=True)
        return ops.multiply(inputs, ops.cast(kept, inputs.dtype))
