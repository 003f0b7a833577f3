"""Attention with several heads."""

from __future__ import annotations

import string
from collections.abc import Sequence
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


class MultiHeadAttention(Heads):
    """Concatenation over heads of softmax(Q K^T / sqrt(key_dim)) V, projected; Q, K, V are projections of the inputs.

    Called as `layer(query, value, key=None)` with query `(batch, T, dim)`, value `(batch, S, dim)` and key
    `(batch, S, dim)`, which is the value if it is omitted. Output `(batch, T, output)`; with
    `return_attention_scores=True` also the attention weights `(batch, heads, T, S)` before dropout. A query attends to
    a key where the masks of query, value and key, `attention_mask` `(batch, T, S)` and, with `use_causal_mask=True`,
    the positions allow it. The output has the mask of the query. Dropout is applied with `training=True`.

    Args:
        num_heads: number of heads.
        key_dim: size of Q and K per head.
        value_dim: size of V per head; None for `key_dim`.
        dropout: fraction of the attention weights to drop in training.
        use_bias: whether the projections have biases.
        output_shape: the last axes of the output, an integer or several; None for the last axis of the query.
        attention_axes: the axes to attend over; None for all but the first and the last.
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
        ArgumentError: flash_attention=True with dropout, or in a call that the fused kernel does not support.
        ShapeError: in a call, if value and key do not match.

    References:
        A. Vaswani and others, "Attention is all you need", 2017, https://arxiv.org/abs/1706.03762

    Example:
        >>> import numpy as np
        >>> from lamella.layers import MultiHeadAttention
        >>> layer = MultiHeadAttention(num_heads=2, key_dim=4)
        >>> x = np.ones((1, 3, 8))
        >>> y, weights = layer(x, x, use_causal_mask=True, return_attention_scores=True)
        >>> y.shape, weights[0, 0].tolist()[:2]
        ((1, 3, 8), [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    """

    weight_fields = WeightFields(kernel="glorot_uniform", bias="zeros", activity_regularizer=True)

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        self.num_heads = positive_integer("num_heads", num_heads, self)
        self.key_dim = positive_integer("key_dim", key_dim, self)
        self.value_dim = self.key_dim if value_dim is None else positive_integer("value_dim", value_dim, self)
        self.attention_axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        given = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape or ())
        self.last_axes = tuple(positive_integer("output_shape", d, self) for d in given)

    def _value_heads(self) -> tuple[int, int]:
        return self.num_heads, self.value_dim

    def build(self, input_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None) -> None:
        """Make and build the projections; missing shapes are those of the first call."""
        query_shape, value_shape, key_shape = self._input_shapes(input_shape, value_shape, key_shape)
        rank = len(query_shape)
        if not rank == len(value_shape) == len(key_shape) or value_shape[1:-1] != key_shape[1:-1]:
            raise ShapeError(
                f"value and key must agree in all axes but the last, and query in rank, got {query_shape}, {value_shape} "
                f"and {key_shape}."
            )
        letters = string.ascii_lowercase
        free, last, heads = letters[: rank - 1], letters[rank - 1], letters[rank : rank + 2]
        into = f"{free}{last},{last}{heads}->{free}{heads}"
        between = [None] * (rank - 2)
        narrow, wide = (*between, self.num_heads, self.key_dim), (*between, self.num_heads, self.value_dim)
        self.query_dense = self._projection(into, narrow, heads, "query")
        self.key_dense = self._projection(into, narrow, heads, "key")
        if self.use_gate:
            self.gate_dense = self._projection(into, wide, heads, "gate", activation="sigmoid")
        self.value_dense = self._projection(into, wide, heads, "value")
        last_axes = self.last_axes or (int(query_shape[-1]),)
        out = letters[rank + 1 : rank + 1 + len(last_axes)]
        self.output_dense = self._projection(
            f"{free}{letters[rank - 1 : rank + 1]},{letters[rank - 1 : rank + 1]}{out}->{free}{out}",
            (*between, *last_axes), out, "attention_output",
        )  # fmt: skip
        self._build_projections(query_shape, value_shape, key_shape)
        axes = self.attention_axes
        self._axes = tuple(range(1, rank - 1)) if axes is None else tuple(a % rank for a in axes)
        self._product, self._combine = _equations(rank + 1, self._axes)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Any = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
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
        q, k, v = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        weights = None
        if self._runs_fused(q, v, return_attention_scores):
            outputs = self._fused(q, k, v, masks, attention_mask, use_causal_mask, self.key_dim**-0.5)
        else:
            seen = self._seen((query.shape[1], value.shape[1]), masks, attention_mask, use_causal_mask)
            scores = ops.einsum(self._product, k, ops.multiply(q, self.key_dim**-0.5))
            n = len(self._axes)
            weights = self._weights(
                scores, seen, tuple(range(len(scores.shape) - n, len(scores.shape))), return_attention_scores
            )
            outputs = ops.einsum(self._combine, self._thinned(weights, training), v)
        outputs = self.output_dense(outputs if gate is None else ops.multiply(outputs, gate))
        running = context.current()
        if running is not None:
            running.set_mask(outputs, query_mask)
        return (outputs, weights) if return_attention_scores else outputs


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """The equations for scores and outputs, of projections of `rank` axes, heads and features last, attended along `axes`.

    For rank 4 and axes (1,): "aecd,abcd->acbe" (key, query -> scores) and "acbe,aecd->abcd" (scores, value -> outputs).
    """
    target = string.ascii_lowercase[:rank]
    others = iter(string.ascii_lowercase[rank:])
    source = "".join(next(others) if i in axes else c for i, c in enumerate(target))
    batch = "".join(c for i, c in enumerate(target) if i not in axes and i != rank - 1)
    product = batch + "".join(target[i] for i in axes) + "".join(source[i] for i in axes)
    return f"{source},{target}->{product}", f"{product},{source}->{target}"
