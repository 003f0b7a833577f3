"""Attention of several heads."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.core import context
from lamella.errors import ShapeError
from lamella.ir.spec import Shape
from lamella.layers.attention_heads import Heads
from lamella.layers.checks import positive_integer
from lamella.layers.making import WeightFields


class MultiHeadAttention(Heads):
    """concatenation over heads of softmax(Q K^T / sqrt(key_dim)) V, projected; Q, K, V are projections of the inputs

    Args:
        num_heads: the number of heads.
        key_dim: the size of Q and K in each head.
        value_dim: the size of V in each head; `key_dim` where None.
        dropout: in training, the fraction of the attention weights dropped.
        use_bias: whether the projections have biases.
        output_shape: the last axes of the output; the query's last where None.
        attention_axes: the axes attended over; all but batch and last where None.
        sliding_window: a query sees the keys less than so many places away.
        flash_attention: whether attention runs in one kernel (cuDNN's, with JAX on a GPU), which needs float16 or bfloat16
            and no dropout. True refuses what cannot; None leaves it to `config.enable_flash_attention` and what there is.
        use_gate: multiply each head's output by the sigmoid of a projection of the query.
        seed: makes the dropout masks a function of this number instead of the layer's path.

    Called as `layer(query (batch, T, dim), value (batch, S, dim), key=None)`, it returns `(batch, T, output)`, and with
    `return_attention_scores=True` also the weights `(batch, heads, T, S)` before dropout. A key is seen where the masks of
    query, value and key, `attention_mask (batch, T, S)` and, with `use_causal_mask=True`, its place allow it.

    References:
        A. Vaswani and others, "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762
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
        """Make and build the projections; without the other shapes, those of the inputs of the first call."""
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
        query: Any,
        value: Any,
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
