"""The base of the attention layers with several heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops, regularizers
from lamella.core import context
from lamella.errors import ArgumentError
from lamella.ir import settings
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape
from lamella.layers.attention import causal_mask, window_mask
from lamella.layers.base import Layer
from lamella.layers.checks import fraction, positive_integer
from lamella.layers.einsum_dense import EinsumDense

if TYPE_CHECKING:
    from lamella.ir.types import Identifier, Tensor


class Heads(Layer):
    """The base of the attention layers with several heads: projections, masks, and the softmax between them."""

    supports_masking = True
    casts_integers = True

    def __init__(
        self,
        *,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        use_gate: bool,
        seed: int | None,
        activity_regularizer: Identifier | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dropout = fraction("dropout", dropout, self)
        self.use_bias, self.use_gate, self.seed = bool(use_bias), bool(use_gate), seed
        self.sliding_window = None
        if sliding_window is not None:
            self.sliding_window = positive_integer("sliding_window", sliding_window, self)
        self.flash_attention = None if flash_attention is None else bool(flash_attention)
        if flash_attention and self.dropout > 0:
            raise ArgumentError(
                f"{type(self).__name__}: flash_attention=True needs dropout=0.0: the fused kernel keeps no weights to drop."
            )
        self._options = {word: getattr(self, word) for word in self.weight_fields.defaults}
        self._options |= {"activity_regularizer": regularizers.get(activity_regularizer), "dtype": kwargs.get("dtype")}
        self._shapes: tuple[Any, Any, Any] | None = None
        self.query_dense: Any = None
        self.key_dense: Any = None
        self.gate_dense: Any = None
        self.value_dense: Any = None
        self.output_dense: Any = None

    def _input_shapes(self, query: Shape, value: Shape | None, key: Shape | None) -> tuple[Shape, Shape, Shape]:
        """The shapes of query, value and key: those given to `build`, else those of the call that builds."""
        if value is None:
            return self._shapes or (query, query, query)
        return query, value, value if key is None else key

    def _projection(self, equation: str, output_shape: Sequence[int | None], bias: str, name: str, **more: Any) -> Any:
        options = {**self._options, **more}
        return EinsumDense(
            equation, tuple(output_shape), bias_axes=bias if self.use_bias else None, name=name, **options
        )

    def _build_projections(self, query: Shape, value: Shape, key: Shape) -> None:
        """Build the projections for their inputs."""
        for held, shape in (
            (self.query_dense, query), (self.key_dense, key), (self.gate_dense, query), (self.value_dense, value),
        ):  # fmt: skip
            if held is not None:
                held.build(shape)
        self.output_dense.build((*query[:-1], *self._value_heads()))

    def _value_heads(self) -> tuple[int, int]:
        raise NotImplementedError

    def __call__(
        self,
        query: Tensor,
        value: Tensor,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        mask: Any = None,
    ) -> Any:
        """Apply the layer.

        Args:
            query: the queries, `(batch, T, dim)`.
            value: the values, `(batch, S, dim)`.
            key: the keys, `(batch, S, dim)`; None for the values.
            query_mask: mask `(batch, T)` of the queries; None for the mask that they carry.
            value_mask: mask `(batch, S)` of the values; None for the mask that they carry.
            key_mask: mask `(batch, S)` of the keys; None for the mask that they carry.
            attention_mask: mask `(batch, T, S)`, True where a query may attend to a key.
            return_attention_scores: whether to return the attention weights as well.
            training: whether to apply the dropout; None for the mode of the surrounding call.
            use_causal_mask: whether query t attends only to keys up to t.
            mask: the same as `query_mask`.

        Returns:
            The output, or `(output, weights)`.
        """
        running = context.current()
        query_mask = mask if query_mask is None else query_mask
        if running is not None:
            query_mask = running.mask_of(query) if query_mask is None else query_mask
            value_mask = running.mask_of(value) if value_mask is None else value_mask
            key_mask = running.mask_of(key) if key_mask is None and key is not None else key_mask
            if not self.built:
                q, v, k = [(None, *public_shape(x.shape[1:])) for x in (query, value, value if key is None else key)]
                self._shapes = q, v, k
        return super().__call__(
            query,
            value,
            key,
            query_mask,
            value_mask,
            key_mask,
            attention_mask,
            training=training,
            return_attention_scores=return_attention_scores,
            use_causal_mask=use_causal_mask,
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The query's mask."""
        return mask

    def _seen(self, sizes: tuple[Any, Any], masks: Sequence[Any], attention_mask: Any, causal: bool) -> Tensor | None:
        """The keys that each query attends to, `(batch, T, S)`, or None for all."""
        query_mask, value_mask, key_mask = masks
        found = [] if query_mask is None else [ops.expand_dims(query_mask, -1)]
        found += [ops.expand_dims(m, -2) for m in (value_mask, key_mask) if m is not None]
        if causal:
            found.append(causal_mask(*sizes))
        if self.sliding_window is not None:
            found.append(window_mask(*sizes, self.sliding_window))
        if attention_mask is not None:
            found.append(attention_mask)
        if not found:
            return None
        seen = [m if m.dtype == "bool" else ops.not_equal(m, 0) for m in found]
        result = seen[0]
        for m in seen[1:]:
            result = ops.logical_and(result, m)
        return result

    def _runs_fused(self, query: Any, value: Any, asked: bool) -> bool:
        """Whether attention runs as one op, for which a backend may have a fused kernel.

        It does with four axes, 16-bit floats and no dropout.

        Raises:
            ArgumentError: it cannot, and `flash_attention` is True.
        """
        chosen = self.flash_attention
        if chosen is False or (chosen is None and settings.is_flash_attention_enabled() is False):
            return False
        found = ""
        if asked:
            found = "does not compute the attention weights that `return_attention_scores=True` asks for"
        elif query.dtype not in ("float16", "bfloat16"):
            found = f"takes float16 and bfloat16, got {query.dtype}; give the layer dtype='mixed_bfloat16'"
        elif query.ndim != 4:
            found = f"takes inputs of 3 axes, got {query.ndim - 1}"
        elif differ(query.shape[-1], value.shape[-1]):
            found = f"takes values as large as the keys, got {value.shape[-1]} and {query.shape[-1]}"
        if found and chosen:
            raise ArgumentError(f"flash_attention=True {found}.")
        return not found and self.dropout == 0

    def _fused(
        self, query: Any, key: Any, value: Any, masks: Sequence[Any], attention_mask: Any, causal: bool, scale: float
    ) -> Any:
        """Attention of projected operands, as one op."""
        seen = self._seen((query.shape[1], value.shape[1]), masks, attention_mask, causal=False)
        mask = () if seen is None else (ops.expand_dims(seen, 1),)
        fused = self.flash_attention is True
        return ops.primitives.attention.bind(query, key, value, *mask, scale=scale, causal=causal, fused=fused)

    def _weights(self, scores: Any, seen: Any, axes: tuple[int, ...], asked: bool) -> Any:
        """softmax of the scores over `axes`, with weight 0 for keys that a query does not attend to.

        A query that attends to no key gives every key the same weight; or, as in Keras, weight 0 if the weights are
        dropped out, returned, or over several axes.
        """
        if seen is not None:
            heads = len(scores.shape) - len(seen.shape)
            at = len(seen.shape) - 2 * len(axes)
            seen = ops.reshape(seen, (*seen.shape[:at], *[1] * heads, *seen.shape[at:]))
            scores = ops.where(seen, scores, -30000.0 if scores.dtype == "float16" else -1e9)
        if len(axes) == 1:
            weights = ops.softmax(scores, axes[0])
        else:
            weights = ops.exp(ops.subtract(scores, ops.logsumexp(scores, axes, keepdims=True)))
        none = seen is not None and (asked or self.dropout > 0 or len(scores.shape) != 4)
        return ops.where(seen, weights, 0.0) if none else weights

    def _thinned(self, weights: Tensor, training: bool) -> Tensor:
        if not training or self.dropout == 0:
            return weights
        if self.dropout == 1.0:
            return ops.zeros_like(weights)
        kept = self.keep_mask(tuple(weights.shape), 1.0 - self.dropout, seed=self.seed)
        return ops.where(kept, ops.multiply(weights, 1.0 / (1.0 - self.dropout)), 0.0)
