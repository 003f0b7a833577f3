"""The random draws of layers: the same on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lamella import ops
from lamella.core import context
from lamella.errors import TraceError

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Draws:
    """The part of a layer that draws random numbers inside its `call`."""

    name: str

    def random_bits(self, shape: Sequence[int], bits: int = 32, seed: int | None = None) -> Tensor:
        """Uniform random bits: the same on every backend for the same model seed, path and step.

        Args:
            shape: shape of the draw; its sizes may depend on those of the input.
            bits: 32 for uint32, 16 for uint16.
            seed: makes the draw depend on this integer instead of the layer's path.

        Raises:
            TraceError: the layer is not being called.
        """
        running = context.current()
        if running is None:
            raise TraceError(f"Layer {self.name!r}: random numbers can only be drawn inside a call.")
        key, step = running.random_key(seed)
        return ops.random_bits.bind(key, step, shape=tuple(shape), bits=bits)

    def random_uniform(
        self,
        shape: Sequence[int],
        low: float = 0.0,
        high: float = 1.0,
        seed: int | None = None,
        dtype: str = "float32",
    ) -> Tensor:
        """Uniform numbers in [low, high), with 24 random bits per number.

        Args:
            shape: shape of the draw.
            low: lower bound, included.
            high: upper bound, excluded.
            seed: makes the draw depend on this integer instead of the layer's path.
            dtype: "float32" or "float64".
        """
        bits = ops.right_shift(self.random_bits(shape, 32, seed), np.uint32(8))
        return ops.add(ops.multiply(ops.cast(bits, dtype), (high - low) * 2.0**-24), low)

    def keep_mask(self, shape: Sequence[int], probability: float, seed: int | None = None) -> Tensor:
        """A boolean mask that is True with a probability, exact to 2**-17.

        Args:
            shape: shape of the mask.
            probability: probability of True.
            seed: makes the draw depend on this integer instead of the layer's path.
        """
        threshold = round(probability * 65536)
        if threshold >= 65536:
            return ops.ones(shape, "bool")
        return ops.less(self.random_bits(shape, 16, seed), np.uint16(threshold))
