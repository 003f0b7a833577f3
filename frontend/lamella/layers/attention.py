"""Attention of queries to keys: `Attention` and `AdditiveAttention`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError
from lamella.ir.dim import Dim
from lamella.ir.spec import Shape
from lamella.layers.checks import choice, fraction
from lamella.layers.merging import SeveralInputs


class Attention(SeveralInputs):
    """softmax(query @ key^T) @ value

    Args:
        use_scale: multiply the scores by a trained number, which starts at 1.
        score_mode: "dot" for query @ key^T, or "concat" for weight * sum(tanh(query + key)), with a trained weight.
        dropout: in training, the fraction of the attention weights dropped.
        seed: makes the masks a function of this number instead of the layer's path.

    Called with `[query (batch, Tq, dim), value (batch, Tv, dim)]` or `[query, value, key (batch, Tv, dim)]`; the key is the
    value where it is not given. Output `(batch, Tq, dim)`, and with `return_attention_scores=True` also the weights
    `(batch, Tq, Tv)`. Values whose mask is false get no weight, outputs whose query's mask is false are zero;
    `use_causal_mask=True` lets a query see only values up to its own place.

    References:
        M.-T. Luong and others, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
        https://arxiv.org/abs/1508.04025
    """

    supports_masking = True
    casts_integers = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = bool(use_scale)
        self.score_mode = choice("score_mode", score_mode, ["dot", "concat"], self)
        self.dropout = fraction("dropout", dropout, self)
        self.seed = seed

    def build(self, input_shape: Shape) -> None:
        """Make the scale, and the weight of "concat", both scalars."""
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def scores(self, query: Any, key: Any) -> Any:
        """The scores `(batch, Tq, Tv)`."""
        if self.score_mode == "dot":
            found = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return ops.multiply(found, self.scale) if self.use_scale else found
        total = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        total = ops.multiply(total, self.scale) if self.use_scale else total
        return ops.multiply(ops.sum(ops.tanh(total), -1), self.concat_score_weight)

    def call(
        self,
        inputs: Sequence[Any],
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The weighted values; with `return_attention_scores` also the weights."""
        if len(inputs) not in (2, 3):
            raise ArgumentError(f"takes [query, value] or [query, value, key], got {len(inputs)} inputs.")
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) == 3 else value
        query_mask, value_mask = mask[:2] if mask is not None else (None, None)
        scores = self.scores(query, key)
        seen = None if value_mask is None else ops.expand_dims(value_mask, -2)
        if use_causal_mask:
            causal = causal_mask(scores.shape[-2], scores.shape[-1])
            seen = causal if seen is None else ops.logical_and(seen, causal)
        if seen is not None:
            far = 65504.0 if scores.dtype == "float16" else 1e9
            scores = ops.where(seen, scores, ops.subtract(scores, far))
        weights = ops.softmax(scores, -1)
        if training and self.dropout > 0:
            weights = self._thinned(weights)
        outputs = ops.matmul(weights, value)
        if query_mask is not None:
            outputs = ops.where(ops.expand_dims(query_mask, -1), outputs, 0.0)
        return (outputs, weights) if return_attention_scores else outputs

    def _thinned(self, weights: Any) -> Any:
        if self.dropout == 1.0:
            return ops.zeros_like(weights)
        kept = self.keep_mask(tuple(weights.shape), 1.0 - self.dropout, seed=self.seed)
        return ops.where(kept, ops.multiply(weights, 1.0 / (1.0 - self.dropout)), 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The query's mask."""
        return None if mask is None else mask[0]


class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) @ value

    Args:
        use_scale: multiply by a trained vector `(dim,)` before summing.
        dropout: in training, the fraction of the attention weights dropped.

    Called as `Attention` is.

    References:
        D. Bahdanau, K. Cho, Y. Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", 2014,
        https://arxiv.org/abs/1409.0473
    """

    config_without = ("score_mode",)

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Make the scale `(dim,)`."""
        if self.use_scale:
            self.scale = self.add_weight((input_shape[-1],), "glorot_uniform", name="scale")

    def scores(self, query: Any, key: Any) -> Any:
        """The scores `(batch, Tq, Tv)`."""
        total = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(ops.multiply(total, self.scale) if self.use_scale else total, -1)


def causal_mask(queries: Any, keys: Any) -> Any:
    """True where a query may see a key: at its own place and before, `(1, queries, keys)`."""
    if isinstance(queries, Dim) or isinstance(keys, Dim):
        return ops.expand_dims(ops.tri(queries, keys, dtype="bool"), 0)
    return np.tri(queries, keys, dtype=bool)[None]


def window_mask(queries: Any, keys: Any, width: int) -> Any:
    """True where query and key are less than `width` places apart, `(1, queries, keys)`."""
    if isinstance(queries, Dim) or isinstance(keys, Dim):
        apart = ops.subtract(ops.expand_dims(ops.arange(queries), 1), ops.expand_dims(ops.arange(keys), 0))
        return ops.expand_dims(ops.less(ops.abs(apart), width), 0)
    return (np.abs(np.arange(queries)[:, None] - np.arange(keys)[None]) < width)[None]
