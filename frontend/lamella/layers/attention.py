"""Attention of queries to keys: `Attention` and `AdditiveAttention`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError
from lamella.ir.dim import Dim
from lamella.ir.spec import Shape
from lamella.layers.checks import choice, fraction
from lamella.layers.merging import SeveralInputs

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Attention(SeveralInputs):
    """softmax(query @ key^T) @ value: attention with a dot product, or with the sum of tanh(query + key).

    Called as `layer([query, value])` or `layer([query, value, key])` with query `(batch, Tq, dim)`, value
    `(batch, Tv, dim)` and key `(batch, Tv, dim)`, which is the value if it is omitted. Output `(batch, Tq, dim)`; with
    `return_attention_scores=True` also the weights `(batch, Tq, Tv)`. `use_causal_mask=True` lets query t attend only
    to keys up to t. A mask is a list of one per input: values whose mask is False get no weight, and the outputs of
    queries whose mask is False are 0; the output has the mask of the query. Dropout is applied to the weights with
    `training=True`.

    Args:
        use_scale: whether to multiply the scores by a trained scalar, initially 1.
        score_mode: "dot" for query @ key^T, or "concat" for weight * sum(tanh(query + key)) with a trained scalar
            weight.
        dropout: fraction of the attention weights to drop in training.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if there are not 2 or 3 inputs.

    References:
        M.-T. Luong, H. Pham, C. D. Manning, "Effective approaches to attention-based neural machine translation", 2015,
        https://arxiv.org/abs/1508.04025

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Attention
        >>> query, key = np.array([[[100.0, 0.0]]]), np.array([[[1.0, 0.0], [0.0, 1.0]]])
        >>> Attention()([query, np.array([[[7.0], [8.0]]]), key])
        array([[[7.]]], dtype=float32)
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

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
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
        mask: Sequence[Tensor] | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The weighted values; with `return_attention_scores` also the weights.

        Args:
            inputs: `[query, value]` or `[query, value, key]`.
            mask: list of one mask per input, `(batch, Tq)` and `(batch, Tv)`; None entries for no mask.
            training: whether to apply the dropout.
            return_attention_scores: whether to return the weights as well.
            use_causal_mask: whether query t attends only to keys up to t.
        """
        if len(inputs) not in (2, 3):
            raise ArgumentError(f"expected [query, value] or [query, value, key], got {len(inputs)} inputs.")
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

    def _thinned(self, weights: Tensor) -> Tensor:
        if self.dropout == 1.0:
            return ops.zeros_like(weights)
        kept = self.keep_mask(tuple(weights.shape), 1.0 - self.dropout, seed=self.seed)
        return ops.where(kept, ops.multiply(weights, 1.0 / (1.0 - self.dropout)), 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The query's mask."""
        return None if mask is None else mask[0]


class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) @ value: additive attention.

    Called as `Attention`, with the same inputs, masks and outputs; scale `(dim,)`.

    Args:
        use_scale: whether to multiply by a trained vector before the sum.
        dropout: fraction of the attention weights to drop in training.
        score_mode: accepted and ignored; the score is always additive.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if there are not 2 or 3 inputs.

    References:
        D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and translate", 2014,
        https://arxiv.org/abs/1409.0473

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdditiveAttention
        >>> layer = AdditiveAttention(use_scale=False)
        >>> y, weights = layer([np.zeros((1, 2, 4)), np.ones((1, 3, 4))], return_attention_scores=True)
        >>> y.shape, weights.shape
        ((1, 2, 4), (1, 2, 3))
    """

    config_without = ("score_mode",)

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Make the scale `(dim,)`."""
        if self.use_scale:
            self.scale = self.add_weight((input_shape[-1],), "glorot_uniform", name="scale")

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """The scores `(batch, Tq, Tv)`."""
        total = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(ops.multiply(total, self.scale) if self.use_scale else total, -1)


def causal_mask(queries: Any, keys: Any) -> Tensor:
    """True where a query may attend to a key: at the same position or before; `(1, queries, keys)`."""
    if isinstance(queries, Dim) or isinstance(keys, Dim):
        return ops.expand_dims(ops.tri(queries, keys, dtype="bool"), 0)
    return np.tri(queries, keys, dtype=bool)[None]


def window_mask(queries: Any, keys: Any, width: int) -> Any:
    """True where query and key are less than `width` positions apart; `(1, queries, keys)`."""
    if isinstance(queries, Dim) or isinstance(keys, Dim):
        apart = ops.subtract(ops.expand_dims(ops.arange(queries), 1), ops.expand_dims(ops.arange(keys), 0))
        return ops.expand_dims(ops.less(ops.abs(apart), width), 0)
    return (np.abs(np.arange(queries)[:, None] - np.arange(keys)[None]) < width)[None]
