"""The random draws of layers: the same on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.core import context
from lamella.errors import TraceError


class Draws:
    """The part of a layer that draws random numbers within its `call`."""

    name: str

    def random_bits(self, shape: Sequence[int], bits: int = 32, seed: int | None = None) -> Any:
        """Uniform random bits for this draw: the same on every backend for the same model seed, path and step.

        Args:
            shape: the shape; its last axes may depend on the input's.
            bits: 32 for uint32, 16 for uint16.
            seed: makes the draw a function of this number instead of the layer's path.
        """
        running = context.current()
        if running is None:
            raise TraceError(f"Layer {self.name!r}: random draws happen inside a call.")
        key, step = running.random_key(seed)
        return ops.random_bits.bind(key, step, shape=tuple(shape), bits=bits)

    def random_uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0, seed: int | None = None) -> Any:
        """Uniform numbers in [low, high), float32, of 24 random bits each."""
        bits = ops.right_shift(self.random_bits(shape, 32, seed), np.uint32(8))
        return ops.add(ops.multiply(ops.cast(bits, "float32"), (high - low) * 2.0**-24), low)

    def keep_mask(self, shape: Sequence[int], probability: float, seed: int | None = None) -> Any:
        """A boolean mask that is true with `probability`, to 2**-17."""
        threshold = round(probability * 65536)
        if threshold >= 65536:
            return ops.ones(shape, "bool")
        return ops.less(self.random_bits(shape, 16, seed), np.uint16(threshold))
