"""Rows of recurrent layers, of layers over several inputs, and of attention.

A constructor inside keyword arguments, (class name, keyword arguments), is a layer or cell of its own.
"""

from __future__ import annotations

from typing import Any

from .rows import Kwargs, RecurrentCase

FIFTY_STEPS = "float32 differences carried through fifty steps"


def _one(id: str, name: str, kwargs: Kwargs, shape: tuple[int, ...] = (3, 5, 2), **row: Any) -> RecurrentCase:
    """A layer of one input, by default 3 sequences of 5 steps of 2 features."""
    mask = row.pop("mask", None)
    return RecurrentCase(id, (name, kwargs), (shape,), masks=(mask,), **row)


def _spread(name: str, word: str, extra: tuple[tuple[str, Kwargs], ...] = ()) -> tuple[RecurrentCase, ...]:
    """The options that SimpleRNN, LSTM and GRU share."""
    options: tuple[tuple[str, Kwargs], ...] = (
        ("default", {}),
        ("sequences", {"return_sequences": True}),
        ("backwards", {"go_backwards": True}),
        ("backwards-sequences", {"go_backwards": True, "return_sequences": True}),
        ("no-bias", {"use_bias": False}),
        ("relu", {"activation": "relu"}),
        ("unroll", {"unroll": True, "return_sequences": True}),
        ("unroll-backwards", {"unroll": True, "go_backwards": True, "return_sequences": True}),
        ("state", {"return_state": True}),
        ("state-sequences", {"return_state": True, "return_sequences": True}),
        ("stateful", {"stateful": True}),
        *extra,
    )
    masked: tuple[tuple[str, str, Kwargs], ...] = (
        ("right", "right", {}),
        ("left-sequences", "left", {"return_sequences": True}),
        ("holes-sequences", "holes", {"return_sequences": True}),
        ("row-sequences", "row", {"return_sequences": True}),
        ("holes-backwards", "holes", {"go_backwards": True}),
        ("holes-zero", "holes", {"return_sequences": True, "zero_output_for_mask": True}),
        ("right-zero-last", "right", {"zero_output_for_mask": True}),
        ("holes-unroll", "holes", {"unroll": True}),
    )
    return (
        *(_one(f"{word}-{id}", name, {"units": 3, **kwargs}) for id, kwargs in options),
        *(_one(f"{word}-mask-{id}", name, {"units": 3, **kwargs}, (4, 6, 2), mask=mask) for id, mask, kwargs in masked),
        _one(f"{word}-fifty-steps", name, {"units": 3}, (2, 50, 2), tolerance=2e-4, reason=FIFTY_STEPS),
    )


GATES: Kwargs = {"recurrent_activation": "hard_sigmoid"}
RECURRENT_LAYERS = (
    *_spread("SimpleRNN", "simple-rnn"),
    *_spread("GRU", "gru", (
        ("hard-sigmoid", GATES),
        ("reset-before", {"reset_after": False, "return_sequences": True}),
        ("reset-before-no-bias", {"reset_after": False, "use_bias": False}),
        ("no-cudnn", {"use_cudnn": False}),
    )),
    *_spread("LSTM", "lstm", (
        ("hard-sigmoid", GATES),
        ("no-unit-forget-bias", {"unit_forget_bias": False}),
        ("no-cudnn", {"use_cudnn": False}),
    )),
)  # fmt: skip


SIMPLE, GRU, LSTM = ("SimpleRNNCell", {"units": 3}), ("GRUCell", {"units": 3}), ("LSTMCell", {"units": 2})
BEFORE = ("GRUCell", {"units": 2, "reset_after": False})
CELLS = (
    _one("rnn-simple", "RNN", {"cell": SIMPLE, "return_sequences": True}),
    _one("rnn-gru", "RNN", {"cell": GRU, "go_backwards": True}),
    _one("rnn-lstm-state", "RNN", {"cell": LSTM, "return_state": True}),
    _one("rnn-list", "RNN", {"cell": [LSTM, GRU]}),
    _one("rnn-list-sequences", "RNN", {"cell": [GRU, LSTM], "return_sequences": True}),
    _one("rnn-list-unroll", "RNN", {"cell": [SIMPLE, BEFORE], "unroll": True, "return_sequences": True}),
    _one("rnn-list-backwards", "RNN", {"cell": [GRU, SIMPLE], "go_backwards": True, "return_sequences": True}),
    _one("rnn-stacked", "RNN", {"cell": ("StackedRNNCells", {"cells": [BEFORE, LSTM]})}),
    _one("rnn-stateful", "RNN", {"cell": GRU, "stateful": True}),
    _one("rnn-mask", "RNN", {"cell": LSTM, "return_sequences": True}, (4, 6, 2), mask="holes"),
    _one("rnn-mask-zero", "RNN", {"cell": GRU, "zero_output_for_mask": True, "return_sequences": True}, (4, 6, 2),
         mask="left"),
)  # fmt: skip

SEQUENCES = ("LSTM", {"units": 2, "return_sequences": True})
BOTH = (
    *(_one(f"bidirectional-{mode}", "Bidirectional", {"layer": ("GRU", {"units": 2}), "merge_mode": mode})
      for mode in ("concat", "sum", "mul", "ave")),
    *(_one(f"bidirectional-{mode}-sequences", "Bidirectional", {"layer": SEQUENCES, "merge_mode": mode})
      for mode in ("concat", "sum", "mul", "ave")),
    _one("bidirectional-apart", "Bidirectional", {"layer": SEQUENCES, "merge_mode": None}),
    _one("bidirectional-state", "Bidirectional", {"layer": ("LSTM", {"units": 2, "return_state": True})}),
    _one("bidirectional-backward-layer", "Bidirectional",
         {"layer": SEQUENCES,
          "backward_layer": ("LSTM", {"units": 3, "return_sequences": True, "go_backwards": True, "activation": "relu"})}),
    _one("bidirectional-rnn", "Bidirectional", {"layer": ("RNN", {"cell": SIMPLE})}),
    _one("bidirectional-mask", "Bidirectional", {"layer": ("LSTM", {"units": 2})}, (4, 6, 2), mask="right"),
    _one("bidirectional-mask-sequences", "Bidirectional", {"layer": SEQUENCES}, (4, 6, 2), mask="holes"),
    _one("time-distributed-dense", "TimeDistributed", {"layer": ("Dense", {"units": 3, "activation": "tanh"})}),
    _one("time-distributed-convolution", "TimeDistributed",
         {"layer": ("Conv2D", {"filters": 2, "kernel_size": 2})}, (2, 3, 4, 4, 2)),
    _one("time-distributed-batch-normalization", "TimeDistributed", {"layer": ("BatchNormalization", {})}, (4, 3, 2),
         training="differs"),
    _one("time-distributed-gru", "TimeDistributed", {"layer": ("GRU", {"units": 2})}, (2, 3, 4, 2)),
    _one("time-distributed-mask", "TimeDistributed", {"layer": ("Dense", {"units": 2})}, (4, 5, 2), mask="right"),
)  # fmt: skip


def _several(id: str, name: str, kwargs: Kwargs, *inputs: tuple[int, ...], **row: Any) -> RecurrentCase:
    return RecurrentCase(id, (name, kwargs), inputs, **{"call": "list", **row})


MERGES = (
    *(_several(f"{name.lower()}-two", name, {}, (3, 4), (3, 4))
      for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    *(_several(f"{name.lower()}-three", name, {}, (2, 3, 4), (2, 1, 4), (2, 3, 1))
      for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")),
    *(_several(f"{name.lower()}-masks", name, {}, (4, 3, 2), (4, 3, 2), masks=("right", "left"))
      for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    _several("add-ranks", "Add", {}, (2, 3, 4), (2, 4)),
    _several("multiply-one-mask", "Multiply", {}, (4, 3, 2), (4, 3, 2), masks=(None, "right")),
    _several("maximum-one-mask", "Maximum", {}, (4, 3, 2), (4, 3, 2), masks=("left", None)),
    _several("concatenate-last", "Concatenate", {}, (3, 2), (3, 4), (3, 1)),
    _several("concatenate-axis", "Concatenate", {"axis": 1}, (2, 2, 3), (2, 4, 3)),
    _several("dot-vectors", "Dot", {"axes": 1}, (3, 4), (3, 4)),
    _several("dot-normalized", "Dot", {"axes": -1, "normalize": True}, (3, 4), (3, 4)),
    _several("dot-matrices", "Dot", {"axes": (2, 1)}, (2, 3, 4), (2, 4, 5)),
    _several("dot-first-axes", "Dot", {"axes": 1}, (2, 3, 4), (2, 3, 2)),
    _several("dot-matrix-vector", "Dot", {"axes": (2, 1)}, (2, 3, 4), (2, 4)),
    _several("dot-vector-matrix", "Dot", {"axes": (1, 2), "normalize": True}, (2, 4), (2, 3, 4)),
    _several("dot-rank-4", "Dot", {"axes": (2, 3)}, (2, 3, 4, 2), (2, 2, 3, 4)),
)  # fmt: skip

SCORES: Kwargs = {"return_attention_scores": True}
CAUSAL: Kwargs = {"use_causal_mask": True}
QV = ((4, 3, 2), (4, 5, 2))
ATTENTION = (
    *(
        case
        for name, word in (("Attention", "attention"), ("AdditiveAttention", "additive-attention"))
        for case in (
            _several(f"{word}-default", name, {}, *QV),
            _several(f"{word}-key", name, {}, (2, 3, 4), (2, 5, 3), (2, 5, 4)),
            _several(f"{word}-scale", name, {"use_scale": name == "Attention"}, *QV),
            _several(f"{word}-scores", name, {}, *QV, call_kwargs=SCORES),
            _several(f"{word}-causal", name, {}, *QV, call_kwargs=CAUSAL),
            _several(f"{word}-masks", name, {}, *QV, masks=("right", "left")),
            _several(f"{word}-causal-mask", name, {}, *QV, masks=(None, "right"), call_kwargs=CAUSAL),
        )
    ),
    _several("attention-concat", "Attention", {"score_mode": "concat"}, *QV),
    _several("attention-concat-scale", "Attention", {"score_mode": "concat", "use_scale": True}, *QV),
    *(
        case
        for name, word, sizes in (
            ("MultiHeadAttention", "multi-head", {"num_heads": 2, "key_dim": 3}),
            ("GroupQueryAttention", "group-query", {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2}),
        )
        for case in (
            _several(f"{word}-default", name, sizes, *QV, call="arguments"),
            _several(f"{word}-key", name, sizes, (2, 3, 4), (2, 5, 3), (2, 5, 2), call="arguments"),
            _several(f"{word}-scores", name, sizes, *QV, call="arguments", call_kwargs=SCORES),
            _several(f"{word}-causal", name, sizes, *QV, call="arguments", call_kwargs=CAUSAL),
            _several(f"{word}-gate", name, {**sizes, "use_gate": True}, *QV, call="arguments"),
            _several(f"{word}-no-bias", name, {**sizes, "use_bias": False}, *QV, call="arguments"),
            _several(f"{word}-window", name, {**sizes, "sliding_window": 2}, *QV, call="arguments"),
            _several(f"{word}-masks", name, sizes, *QV, call="arguments", masks=("right", "left")),
            _several(f"{word}-masks-scores", name, sizes, *QV, call="arguments", masks=("right", "row"),
                     call_kwargs={**SCORES, **CAUSAL}),
        )
    ),
    # Keras takes another value_dim only where the scores are asked for or dropped.
    _several("multi-head-value-dim", "MultiHeadAttention",
             {"num_heads": 2, "key_dim": 3, "value_dim": 4, "use_gate": True}, *QV, call="arguments", call_kwargs=SCORES),
    _several("multi-head-output-shape", "MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "output_shape": 5}, *QV,
             call="arguments"),
    _several("multi-head-two-axes", "MultiHeadAttention", {"num_heads": 2, "key_dim": 2}, (2, 2, 3, 2), (2, 2, 2, 2),
             call="arguments"),
    _several("multi-head-one-of-two-axes", "MultiHeadAttention", {"num_heads": 2, "key_dim": 2, "attention_axes": 2},
             (2, 2, 3, 2), (2, 2, 4, 2), call="arguments"),
)  # fmt: skip

PICTURE: Kwargs = {"filters": 2, "kernel_size": 2}
CONVOLUTIONS = (
    _one("conv-lstm1d", "ConvLSTM1D", PICTURE, (2, 3, 5, 2)),
    _one("conv-lstm1d-sequences", "ConvLSTM1D", {**PICTURE, "return_sequences": True, "padding": "same"}, (2, 3, 5, 2)),
    _one("conv-lstm1d-dilation", "ConvLSTM1D", {**PICTURE, "dilation_rate": 2, "use_bias": False}, (2, 3, 5, 2)),
    _one("conv-lstm1d-channels-first", "ConvLSTM1D", {**PICTURE, "data_format": "channels_first", "return_state": True},
         (2, 3, 2, 5)),
    _one("conv-lstm2d", "ConvLSTM2D", {**PICTURE, "go_backwards": True}, (2, 2, 4, 3, 1)),
    _one("conv-lstm2d-strides", "ConvLSTM2D", {**PICTURE, "strides": 2, "padding": "same", "unit_forget_bias": False},
         (2, 2, 4, 3, 1)),
    _one("conv-lstm2d-stateful", "ConvLSTM2D", {**PICTURE, "stateful": True, "activation": "relu"}, (2, 2, 3, 3, 1)),
    _one("conv-lstm3d", "ConvLSTM3D", PICTURE, (2, 2, 3, 3, 3, 1)),
)  # fmt: skip

RECURRENT: tuple[RecurrentCase, ...] = (*RECURRENT_LAYERS, *CELLS, *BOTH, *MERGES, *ATTENTION, *CONVOLUTIONS)
