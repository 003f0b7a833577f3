"""`fit`, `evaluate` and `predict` against Keras's recorded answers, on both backends, from the same initial weights."""

from __future__ import annotations

import numpy as np
import pytest

import fit_replay
import lamella
from conftest import BACKENDS
from fit_replay import differences
from layer_replay import difference
from oracle import cases, load

ROWS = {case.id: case for case in cases.FITS}
# Keras takes 1 - beta ** t in float32, which costs Adam's steps digits that no other optimizer loses.
BOUND, ADAM_BOUND = 1e-5, 3e-5

# XLA takes seconds over each row: one for each layer, each kind of target, each way to weight and to validate.
FAST_ON_JAX = {
    "regression-rmsprop", "binary-adagrad", "cnn-adam", "masking-lstm", "logits", "l2",
    "sample-weight", "sample-weight-split", "class-weight-one-hot", "clipnorm-weight-decay",
    "masked-sequence", "metrics-one-hot",
}  # fmt: skip

# docs/differences.md: Keras's JAX trainer loses the mask on the way to the training metrics, not to those of `evaluate`.
DIFFERENT = {"masked-sequence": {"history/mae"}}

NUMPY, JAX = BACKENDS
PAIRS = [
    *(pytest.param(NUMPY, case, id=f"numpy-{id}") for id, case in ROWS.items()),
    *(
        pytest.param(
            "jax", case, id=f"jax-{id}", marks=[*JAX.marks, *([] if id in FAST_ON_JAX else [pytest.mark.slow])]
        )
        for id, case in ROWS.items()
    ),
]


def tolerance(case):
    bound = ADAM_BOUND if case.optimizer[0] in ("Adam", "AdamW") else BOUND
    assert 0 < case.tolerance <= ADAM_BOUND
    return min(case.tolerance, bound)


@pytest.mark.parametrize("name, case", PAIRS)
def test_fit_evaluate_and_predict_are_those_of_keras(name, case):
    entry, meta = fit_replay.recorded(case)
    with lamella.backend_scope(name):
        found = fit_replay.run(case)
    assert list(found.history) == meta["logs"]
    assert {key: len(values) for key, values in found.history.items()} == dict.fromkeys(meta["logs"], case.epochs)
    assert set(found.evaluated) == set(load.mapping(entry, "evaluate"))
    trained = {id(variable) for variable in found.model.trainable_weights}
    described = [{"name": variable.name, "trainable": id(variable) in trained} for variable in found.model.weights]
    assert described == meta["weights"]
    assert found.predicted.dtype == entry["predict"].dtype
    wrong = {key: value for key, value in differences(found, entry).items() if not value <= tolerance(case)}
    assert set(wrong) == DIFFERENT.get(case.id, set()), f"max|a - b| / max|b| is {wrong}, allowed {tolerance(case)}"


@pytest.mark.parametrize("case", [pytest.param(case, id=id) for id, case in ROWS.items()])
def test_every_row_learns_enough_to_tell_a_wrong_step(case):
    entry, _ = fit_replay.recorded(case)
    before, after = load.series(entry, "initial"), load.series(entry, "weights")
    moved = [difference(new, old) for new, old in zip(after, before, strict=True)]
    # Some rows end nearly where they began in one bias, none in all weights; what is frozen must not move.
    assert max(moved) > 100 * tolerance(case)
    assert len(entry["x"]) % case.batch_size, "the last batch is ragged"


def test_one_step_more_is_noticed():
    case = ROWS["softmax-sgd"]
    entry, _ = fit_replay.recorded(case)
    with lamella.backend_scope("numpy"):
        found = fit_replay.run(case)
        assert max(differences(found, entry).values()) <= tolerance(case)
        found.model.train_on_batch(entry["x"], entry["y"])
    assert max(v for k, v in differences(found, entry).items() if k.startswith("weights")) > tolerance(case)


def test_fast_rows_on_jax_are_rows_and_cover_what_fit_can_do():
    fast = [ROWS[id] for id in FAST_ON_JAX]
    assert {case.optimizer[0] for case in fast} >= {"SGD", "RMSprop", "Adagrad", "Adam"}
    assert {case.target for case in fast} == {case.target for case in ROWS.values()}
    assert {name for case in fast for name, _ in case.layers} == {
        name for case in ROWS.values() for name, _ in case.layers
    }
    for choice in ("sample_weight", "class_weight", "validation_split", "validation_rows", "weighted_metrics"):
        assert any(getattr(case, choice) for case in fast), choice


def test_recordings_belong_to_their_rows():
    assert {name.split("/")[0] for name in load.archive("fits")} - {"about"} == set(ROWS)
    assert all(np.isfinite(value).all() for value in load.archive("fits").values() if value.dtype.kind == "f")
