"""Models as graphs: Keras's recorded outputs, gradients and logs, on both backends, from the same weights."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import lamella
from conftest import BACKENDS
from layer_replay import difference
from oracle import cases, graphs, load

ROWS = {case.id: case for case in cases.GRAPHS}
NUMPY, JAX = BACKENDS

# XLA takes seconds over each model.
FAST_IN_FLOAT64 = {"siamese"}

BOUNDS = {"y": 1e-5, "loss": 1e-4, "gradient_": 1e-4, "logs": 1e-4, "state_": 1e-4}
"""Of max|a - b| / max|b|, by how a key begins."""


def rows(fast):
    return [
        pytest.param(case, id=id, marks=() if fast(case) and not case.slow else pytest.mark.slow)
        for id, case in ROWS.items()
    ]


PAIRS = [
    *(pytest.param(NUMPY, *row.values, id=f"numpy-{row.id}", marks=row.marks) for row in rows(lambda case: True)),
    *(
        pytest.param("jax", *row.values, id=f"jax-{row.id}", marks=[*JAX.marks, *row.marks])
        for row in rows(lambda case: case.fast)
    ),
]


def recorded(case):
    """What Keras answered, and what its model looks like."""
    entry = dict(load.load("graphs", case.id))
    return entry, json.loads(str(entry.pop("meta")))


def answers(case):
    """What the model says on the backend in force, by the keys of the recording; and the model."""
    model, names = graphs.built(case, graphs.Library(lamella))
    x = graphs.drawn_inputs(case)
    outputs = model.predict(x, verbose=0)
    y, sample_weight = graphs.drawn_targets(case, outputs), graphs.drawn_sample_weight(case, outputs)
    found = dict(graphs.named(outputs, "y"))
    found["loss"], gradients = model.value_and_grad(x, y)
    variables = dict(model.named_weights())
    for path, gradient in gradients.items():
        found[f"gradient_{names[id(variables[path])]}"] = graphs.sampled(np.asarray(gradient))
    found |= graphs.trained(case, model, names, x, y, sample_weight)
    return {key: np.asarray(value) for key, value in found.items()}, model


def differences(found, expected):
    """max|a - b| / max|b| by key; of a gradient that is zero but for rounding, of the largest gradient."""
    told = {key: difference(found[key], value) for key, value in expected.items()}
    sizes = {key: np.abs(value).max() for key, value in expected.items() if key.startswith("gradient")}
    largest = max(sizes.values())
    for key, size in sizes.items():
        if size < 1e-6 * largest:
            told[key] = float(np.abs(found[key] - expected[key]).max() / largest)
    return told


def assert_close(found, expected, bounds=BOUNDS):
    told = differences(found, expected)
    wrong = {k: v for k, v in told.items() if not v <= next(b for start, b in bounds.items() if k.startswith(start))}
    assert not wrong, f"max|a - b| / max|b| is {wrong}, allowed {bounds}"


@pytest.mark.parametrize("name, case", PAIRS)
def test_outputs_gradients_and_logs_are_those_of_keras(name, case):
    expected, meta = recorded(case)
    with lamella.backend_scope(name):
        found, model = answers(case)
    assert set(found) == set(expected)
    assert list(model.history.history) == meta["logs"]
    assert (model.count_params(), len(model.weights)) == (meta["count"], meta["weights"])
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    assert_close(found, expected)


@pytest.mark.parametrize("case", rows(lambda case: case.id in FAST_IN_FLOAT64))
def test_backends_agree_in_float64(case, both, float64):
    found = []
    for name in both:
        with lamella.backend_scope(name):
            found.append(answers(case)[0])
    assert all(value.dtype == np.float64 for value in found[0].values() if value.dtype.kind == "f")
    assert_close(found[1], found[0], dict.fromkeys(BOUNDS, 1e-9))


@pytest.mark.slow
def test_more_steps_of_what_is_trained_for_one_amplify_rounding(float64):
    """Why `one_step` is: a change of 1e-12 in the inputs, in float64, changes the loss of the second epoch."""
    (case,) = [case for case in cases.GRAPHS if case.one_step]
    case = dataclasses.replace(case, one_step=False)
    losses = []
    with lamella.backend_scope("numpy"):
        for change in (0.0, 1e-12):
            model, names = graphs.built(case, graphs.Library(lamella))
            x = graphs.drawn_inputs(case).astype("float64")
            y = graphs.drawn_targets(case, np.empty((len(x), 3)))
            x = x + change * np.random.RandomState(5).standard_normal(x.shape)
            losses.append(graphs.trained(case, model, names, x, y, None)["logs/loss"][1])
    assert difference(losses[1], losses[0]) > 10 * BOUNDS["logs"]


# ---- the rows ----


def test_a_small_error_is_noticed():
    expected, _ = recorded(ROWS["residual-dense"])
    assert_close(expected, expected)
    for key, bound in (("y", 1e-5), ("loss", 1e-4), ("gradient_1/0", 1e-4), ("logs/loss", 1e-4)):
        spoilt = expected | {key: expected[key] + 2 * bound * np.abs(expected[key]).max()}
        with pytest.raises(AssertionError, match=key):
            assert_close(spoilt, expected)


@pytest.mark.parametrize("case", rows(lambda case: True))
def test_every_row_learns_enough_to_tell_a_wrong_step(case):
    expected, meta = recorded(case)
    if case.one_step:
        assert any(key.startswith("state_") for key in expected)
    else:
        assert meta["count"] == 0 or difference(*expected["logs/loss"]) > 10 * BOUNDS["logs"]
    assert all(np.isfinite(value).all() for value in expected.values())


def test_there_are_at_least_sixty_graphs_and_every_family_runs_on_jax():
    assert len(ROWS) >= 60
    families = {}
    for case in cases.GRAPHS:
        families.setdefault(case.build.__module__, []).append(case.fast)
    assert len(families) == 4 and all(any(fast) for fast in families.values())
