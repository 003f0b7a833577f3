"""Regularizers and constraints: their formulas on arrays, their names of every era, and their effect in `fit`."""

import numpy as np
import pytest

import lamella
from lamella import constraints, regularizers
from lamella.layers import Dense, Input

W = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)

PENALTIES = [
    (regularizers.L1(0.1), 0.1 * np.abs(W).sum()),
    (regularizers.L2(0.1), 0.1 * (W**2).sum()),
    (regularizers.L1L2(0.1, 0.2), 0.1 * np.abs(W).sum() + 0.2 * (W**2).sum()),
    (regularizers.get("l2"), 0.01 * (W**2).sum()),
    (regularizers.get("L1"), 0.01 * np.abs(W).sum()),
]


@pytest.mark.parametrize(("regularizer", "expected"), PENALTIES)
def test_a_penalty_is_its_formula(regularizer, expected):
    np.testing.assert_allclose(np.asarray(regularizer(W)), expected, rtol=1e-6)


def test_the_orthogonal_penalty_counts_pairs_of_rows_once():
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    dots = np.abs(rows @ rows.T)[np.triu_indices(5, 1)]
    found = np.asarray(regularizers.OrthogonalRegularizer(0.5)(W))
    np.testing.assert_allclose(found, 0.5 * dots.mean(), rtol=1e-5)


def norms(w, axis=0):
    return np.linalg.norm(w, axis=axis)


def test_constraints_hold_afterwards():
    np.testing.assert_allclose(norms(np.asarray(constraints.UnitNorm()(W))), 1.0, rtol=1e-5)
    assert (norms(np.asarray(constraints.MaxNorm(1.0)(W))) <= 1.0 + 1e-6).all()
    between = norms(np.asarray(constraints.MinMaxNorm(0.5, 0.8)(W)))
    assert ((between >= 0.5 - 1e-5) & (between <= 0.8 + 1e-5)).all()
    np.testing.assert_array_equal(np.asarray(constraints.NonNeg()(W)), np.where(W >= 0, W, 0))


@pytest.mark.parametrize(("old", "kind"), [("maxnorm", "MaxNorm"), ("nonneg", "NonNeg"), ("unitnorm", "UnitNorm")])
def test_old_names_of_constraints_warn(old, kind):
    with pytest.warns(DeprecationWarning, match=old):
        assert type(constraints.get(old)).__name__ == kind


def test_fit_adds_penalties_to_the_loss_and_applies_constraints(backend):
    model = lamella.Sequential(
        [
            Input((3,)),
            Dense(4, kernel_regularizer=regularizers.L2(0.5), kernel_constraint=constraints.NonNeg()),
            Dense(1),
        ]
    )
    model.compile("sgd", "mse", backend=backend)
    x = np.random.default_rng(1).normal(size=(32, 3)).astype(np.float32)
    y = np.zeros((32, 1), np.float32)
    kernel = model.layers[0].kernel.numpy()
    prediction = model.predict(x)
    expected = np.mean((prediction - y) ** 2) + 0.5 * (kernel**2).sum()
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-5)
    model.fit(x, y, epochs=1, verbose=0)
    assert model.layers[0].kernel.numpy().min() >= 0
