"""Attention with several heads, in groups that share keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.core import context
from lamella.errors import ShapeError
from lamella.ir.spec import Shape
from lamella.layers.attention_heads import Heads
from lamella.layers.checks import positive_integer
from lamella.layers.making import WeightFields

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class GroupQueryAttention(Heads):
    """Multi-head attention in which groups of query heads share the heads of keys and values.

    Called as `MultiHeadAttention`, with query `(batch, T, dim)` and value `(batch, S, dim)`; output `(batch, T, dim)`.

    Args:
        head_dim: size of queries, keys and values per head.
        num_query_heads: number of query heads, a multiple of `num_key_value_heads`.
        num_key_value_heads: number of heads of keys and values.
        dropout: fraction of the attention weights to drop in training.
        use_bias: whether the projections have biases.
        sliding_window: a query attends only to keys less than this number of positions away; None for all keys.
        flash_attention: whether attention runs as one fused kernel (cuDNN's, with JAX on a GPU), which needs float16 or
            bfloat16 and no dropout. True raises an error if it cannot; None decides by `config.enable_flash_attention`
            and the inputs.
        use_gate: whether to multiply the output of each head by the sigmoid of a projection of the query.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ValueError: `num_query_heads` is not a multiple of `num_key_value_heads`.
        ArgumentError: flash_attention=True with dropout, or in a call that the fused kernel does not support.

    References:
        J. Ainslie and others, "GQA: training generalized multi-query transformer models from multi-head checkpoints",
        2023, https://arxiv.org/abs/2305.13245

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GroupQueryAttention
        >>> layer = GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)
        >>> x = np.ones((1, 3, 8))
        >>> layer(x, x).shape, [w.shape for w in layer.weights[:3:2]]
        ((1, 3, 8), [(8, 4, 4), (8, 2, 4)])
    """

    weight_fields = WeightFields(kernel="glorot_uniform", bias="zeros", activity_regularizer=True)

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        *,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dropout=dropout, use_bias=use_bias, sliding_window=sliding_window, flash_attention=flash_attention,
            use_gate=use_gate, seed=seed, **kwargs,
        )  # fmt: skip
        self.head_dim = positive_integer("head_dim", head_dim, self)
        self.num_query_heads = positive_integer("num_query_heads", num_query_heads, self)
        self.num_key_value_heads = positive_integer("num_key_value_heads", num_key_value_heads, self)
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"GroupQueryAttention: {num_query_heads} query heads do not divide into {num_key_value_heads} groups."
            )

    def _value_heads(self) -> tuple[int, int]:
        return self.num_query_heads, self.head_dim

    def build(self, input_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None) -> None:
        """Make and build the projections; missing shapes are those of the first call."""
        query_shape, value_shape, key_shape = self._input_shapes(input_shape, value_shape, key_shape)
        if not len(query_shape) == len(value_shape) == len(key_shape) == 3:
            raise ShapeError(f"expected inputs of shape (batch, time, features), got {query_shape} and {value_shape}.")
        many, few = (None, self.num_query_heads, self.head_dim), (None, self.num_key_value_heads, self.head_dim)
        self.query_dense = self._projection("bqm,muh->bquh", many, "uh", "query")
        self.key_dense = self._projection("bkm,mvh->bkvh", few, "vh", "key")
        if self.use_gate:
            self.gate_dense = self._projection("bqm,muh->bquh", many, "uh", "gate", activation="sigmoid")
        self.value_dense = self._projection("bkm,mvh->bkvh", few, "vh", "value")
        self.output_dense = self._projection("bquh,uhm->bqm", (None, int(query_shape[-1])), "m", "attention_output")
        self._build_projections(query_shape, value_shape, key_shape)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The output; with `return_attention_scores` also the attention weights."""
        key = value if key is None else key
        masks = query_mask, value_mask, key_mask
        gate = self.gate_dense(query) if self.use_gate else None
        group = self.num_query_heads // self.num_key_value_heads
        q, scale, weights = self.query_dense(query), self.head_dim**-0.5, None
        k, v = ops.repeat(self.key_dense(key), group, 2), ops.repeat(self.value_dense(value), group, 2)
        if self._runs_fused(q, v, return_attention_scores):
            outputs = self._fused(q, k, v, masks, attention_mask, use_causal_mask, scale)
        else:
            seen = self._seen((query.shape[1], value.shape[1]), masks, attention_mask, use_causal_mask)
            scores = ops.einsum("bquh,bkuh->buqk", ops.multiply(q, scale), k)
            weights = self._weights(scores, seen, (3,), return_attention_scores)
            outputs = ops.einsum("buqk,bkuh->bquh", self._thinned(weights, training), v)
        outputs = self.output_dense(outputs if gate is None else ops.multiply(outputs, gate))
        running = context.current()
        if running is not None:
            running.set_mask(outputs, query_mask)
        return (outputs, weights) if return_attention_scores else outputs
