"""Trained vectors for integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.core import context
from lamella.ir.spec import spec_of
from lamella.layers.base import Layer
from lamella.layers.checks import positive_integer
from lamella.layers.making import WeightFields

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class Embedding(Layer):
    """y = embeddings[x]: a trained vector for each of `input_dim` integers.

    Input shape `(batch, ...)` of integers, or of floats that hold integers; output shape `(batch, ..., output_dim)`;
    embeddings `(input_dim, output_dim)`. Integers outside the table are clipped to the nearest valid one, NaN is 0.

    Args:
        input_dim: number of integers, which are 0 to `input_dim - 1`.
        output_dim: size of the vectors.
        embeddings_initializer: initializer of the weight, or its name.
        embeddings_regularizer: penalty on the weight, added to the loss.
        embeddings_constraint: constraint applied to the weight after each optimizer step.
        mask_zero: whether 0 marks padding; the mask of the output is then False where the input is 0.
        weights: the initial vectors, an array `(input_dim, output_dim)` or a list of that one array.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Embedding
        >>> layer = Embedding(3, 2, weights=np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]))
        >>> layer(np.array([[2, 1]]))
        array([[[3., 4.],
                [1., 2.]]], dtype=float32)
    """

    weight_fields = WeightFields(embeddings="uniform")
    config_without = ("weights",)

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        mask_zero: bool = False,
        weights: ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_dim = positive_integer("input_dim", input_dim, self)
        self.output_dim = positive_integer("output_dim", output_dim, self)
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        if weights is not None:
            self._initial_weights = list(weights) if isinstance(weights, list) and len(weights) == 1 else [weights]

    def build(self, input_shape: Any = None) -> None:
        """Make the vectors."""
        self.embeddings = self.add_field("embeddings", (self.input_dim, self.output_dim))

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Apply the layer; unlike in other layers, integers are not cast to the compute dtype."""
        if context.current() is not None and hasattr(inputs, "shape"):
            if spec_of(inputs).dtype not in ("int32", "int64", "uint32", "uint64"):
                inputs = ops.cast(inputs, "int32")
        return super().__call__(inputs, *args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """With `mask_zero`, True where the input is not 0."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def call(self, inputs: Tensor) -> Tensor:
        """The vectors of the inputs.

        Args:
            inputs: integers of any shape.
        """
        # the primitive op, which clips a negative index instead of counting from the end
        return ops.primitives.take.bind(ops.convert_to_tensor(self.embeddings), inputs, axis=0)
