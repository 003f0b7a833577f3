"""Recurrent layers, layers over several inputs and attention: Keras's recorded answers, and what must hold beside them."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import recurrent_replay as replay
from conftest import BACKENDS
from lamella import layers
from layer_replay import difference
from oracle import cases, load

ROWS = {case.id: case for case in cases.RECURRENT}

# One or two a layer, the hardest; XLA takes seconds over each.
TYPICAL = {
    "simple-rnn-mask-holes-sequences", "gru-mask-holes-zero", "gru-reset-before", "lstm-mask-left-sequences",
    "lstm-state-sequences", "rnn-list", "bidirectional-mask-sequences", "time-distributed-batch-normalization",
    "multiply-masks", "maximum-three", "dot-rank-4", "attention-causal-mask", "additive-attention-masks",
    "multi-head-masks-scores", "group-query-gate", "conv-lstm2d-strides",
}  # fmt: skip


def rows(fast=None):
    slow = set() if fast is None else set(ROWS) - fast
    return [pytest.param(case, id=id, marks=[pytest.mark.slow] if id in slow else []) for id, case in ROWS.items()]


def on_both_backends():
    numpy, jax = BACKENDS
    pairs = [pytest.param(numpy, case, id=f"numpy-{id}") for id, case in ROWS.items()]
    for id, case in ROWS.items():
        marks = [*jax.marks, *([] if id in TYPICAL else [pytest.mark.slow])]
        pairs.append(pytest.param("jax", case, id=f"jax-{id}", marks=marks))
    return pairs


def modes(case):
    return [(False, "inference"), (True, "training")] if case.training == "differs" else [(False, "inference")]


def assert_close(case, found, expected, tolerance):
    if case.layer[0] in ("MultiHeadAttention", "GroupQueryAttention") and case.layer[1].get("use_bias", True):
        # the softmax does not feel the bias of the keys: its gradient is zero, and what is recorded is rounding
        scale = np.abs(expected["gradient_weights/2"]).max()
        assert np.abs(found["gradient_weights/3"]).max() <= 1e-5 * scale
        expected = {key: value for key, value in expected.items() if key != "gradient_weights/3"}
    told = {key: difference(found[key], value) for key, value in expected.items()}
    wrong = {key: value for key, value in told.items() if not value <= tolerance}
    assert not wrong, f"max|a - b| / max|b| is {wrong}, allowed {tolerance}"


@pytest.mark.parametrize("case", rows())
def test_weights_are_those_of_keras(case):
    _, described = replay.recorded(case)
    layer = replay.build(case)
    made = [{"name": v.name, "shape": list(v.shape), "trainable": v.trainable} for v in layer.variables]
    assert [w for w in made if w["name"].split("_")[0] != "state"] == described
    assert made[: len(described)] == described  # the states of a stateful layer, no weights in Keras, come last


@pytest.mark.parametrize("name, case", on_both_backends())
def test_outputs_and_gradients_are_those_of_keras(name, case):
    entry, _ = replay.recorded(case)
    layer = replay.build(case)
    assert 0 < case.tolerance <= (2e-4 if case.inputs[0][1:2] == (50,) else 1e-5)
    for training, mode in modes(case):
        expected = load.mapping(entry, mode)
        found = replay.run(layer, case, training, name)
        assert {found[key].dtype for key in expected} == {np.dtype("float32")}
        assert_close(case, found, expected, case.tolerance)


@pytest.mark.parametrize("case", rows(TYPICAL))
def test_backends_agree_in_float64(case, both, float64):
    layer = replay.build(case)
    for training, _ in modes(case):
        numpy, jax = (replay.run(layer, case, training, name) for name in both)
        assert {value.dtype for value in jax.values()} == {np.dtype("float64")}
        assert_close(case, jax, numpy, 1e-9)


# ---- the rows cover the layers ----

FAMILIES = (
    "attention", "bidirectional", "cells", "conv_lstm", "group_query_attention", "merging", "multi_head_attention",
    "recurrent", "rnn", "stacked_cells", "time_distributed",
)  # fmt: skip
# Arguments that no row sets, and why.
REASONS = {
    "seed": "the random numbers are lamella's own",
    "dropout": "depends on random numbers; tests of recurrent layers",
    "recurrent_dropout": "depends on random numbers; tests of recurrent layers",
    "weights": "set as by set_weights",
    "flash_attention": "the numbers are the same; tests/test_jax_cuda.py",
}
FOR_A_WEIGHT = ("_initializer", "_regularizer", "_constraint")


def exported():
    kinds = {getattr(layers, name) for name in layers.__all__ if name != "Input" and not name.islower()}
    return {kind.__name__: kind for kind in kinds if kind.__module__.rpartition(".")[2] in FAMILIES}


def constructors(value):
    """Every (class name, keyword arguments) in a row's layer."""
    if isinstance(value, tuple) and isinstance(value[0], str):
        yield value
        for item in value[1].values():
            yield from constructors(item)
    elif isinstance(value, list):
        for item in value:
            yield from constructors(item)


def test_every_layer_and_option_has_a_row_or_a_reason():
    asked = [made for case in cases.RECURRENT for made in constructors(case.layer)]
    assert set(exported()) == {name for name, _ in asked} & set(exported()) and len(exported()) == 25
    # the options that layers of a family share are asked of some of them
    words = {word for _, kwargs in asked for word in kwargs}
    own = {word for kind in exported().values() for word in inspect.signature(kind.__init__).parameters}
    own -= {"args", "kwargs", *inspect.signature(layers.Layer.__init__).parameters}
    missing = {word for word in own - words if not word.endswith(FOR_A_WEIGHT)}
    assert missing <= set(REASONS)
    assert set(REASONS) <= missing


def test_recordings_belong_to_their_rows():
    assert {name.split("/")[0] for name in load.archive("recurrent")} - {"about"} == set(ROWS)


def test_a_small_error_is_noticed():
    case = ROWS["gru-default"]
    expected = load.mapping(replay.recorded(case)[0], "inference")
    for key in ("y/0", "gradient_x/0", "gradient_weights/1"):
        spoilt = expected | {key: expected[key] + 2 * case.tolerance * np.abs(expected[key]).max()}
        with pytest.raises(AssertionError, match=key):
            assert_close(case, spoilt, expected, case.tolerance)
