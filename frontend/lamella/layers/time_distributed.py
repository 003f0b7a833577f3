"""A layer applied to every step of a sequence."""

from __future__ import annotations

import inspect
from typing import Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import Dim, public_shape, shapes_differ
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer


class TimeDistributed(Layer):
    """y[:, t] = layer(x[:, t]): apply a layer to every time step, with one set of weights.

    Input shape `(batch, time, ...)`, output shape `(batch, time, ...)`. A layer that treats examples independently is
    applied once, to `batch * time` examples; another one step by step, so that a `BatchNormalization` normalizes over
    the batch at each step. A mask is passed on, and to the layer if its `call` takes one.

    Args:
        layer: the layer to apply.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `layer` is not a layer.
        ShapeError: in a call, if the input has fewer than three axes.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Dense, TimeDistributed
        >>> TimeDistributed(Dense(4))(np.ones((2, 3, 5))).shape
        (2, 3, 4)
    """

    supports_masking = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(f"TimeDistributed: layer must be a layer, got {type(layer).__name__}.")
        self.layer = layer

    def check_input(self, spec: Spec) -> None:
        """Check for batch, time, and at least one more dimension."""
        if spec.ndim < 3:
            raise ShapeError(f"expected inputs of shape (batch, time, ...), got {public_shape(spec.shape)}.")

    def build(self, input_shape: Shape) -> None:
        """Build the layer for one step."""
        self.layer.build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The layer's outputs for every step."""
        batch, steps = inputs.shape[:2]
        if mask is not None and shapes_differ(mask.shape[:2], (batch, steps)):
            raise ShapeError(
                f"a mask for {steps} steps must have shape ({batch}, {steps}), got {public_shape(mask.shape)}."
            )
        masked = mask is not None and "mask" in inspect.signature(self.layer.call).parameters
        if not masked and _rows_apart(self.layer):
            rows = self.layer(ops.reshape(inputs, (batch * steps, *inputs.shape[2:])))
            return ops.reshape(rows, (batch, steps, *rows.shape[1:]))

        def step(x: Any, m: Any) -> Any:
            return self.layer(x, **({"mask": m} if masked else {}))

        if isinstance(steps, Dim):  # an unknown number of steps cannot be unrolled; the loop computes the same
            xs = [ops.swapaxes(x, 0, 1) for x in ((inputs, mask) if masked else (inputs,))]
            return ops.swapaxes(ops.scan(lambda _, xs: (None, step(xs[0], xs[-1])), None, xs)[1], 0, 1)
        outputs = [step(inputs[:, t], ops.getitem(mask, (slice(None), t)) if masked else None) for t in range(steps)]
        return ops.stack(outputs, 1)


def _rows_apart(layer: Layer) -> bool:
    """Whether a layer is known to treat all examples independently, without state between calls."""
    every = [layer, *[held for _, held in layer.named_layers()]]
    for held in every:
        own = type(held).__module__.startswith("lamella.")
        if not own or type(held).__name__ in ("Lambda", "ActivityRegularization"):
            return False
        if held.activity_regularizer is not None or getattr(held, "noise_shape", None) is not None:
            return False
    return all(v.trainable for v in layer.variables)
