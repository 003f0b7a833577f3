"""Twenty steps of every optimizer inside `fit`: NumPy against JAX in float64. (Against Keras: test_fit_oracle.py.)"""

from __future__ import annotations

import numpy as np
import pytest

import fit_replay
import lamella
from lamella import optimizers
from lamella.backend_api import to_numpy
from layer_replay import difference
from oracle import cases

OPTIMIZERS = {case.id: case for case in cases.OPTIMIZERS}
FIT = next(case for case in cases.FITS if case.id == "regression-sgd")
STEPS = FIT.epochs * -(-FIT.rows // FIT.batch_size)

# XLA compiles each for seconds; the rules themselves are compared row by row in test_optimizers.py.
FAST = {
    "sgd-nesterov", "rmsprop-centered-momentum", "adagrad-default", "adam-amsgrad", "adam-global-clipnorm-at-times",
}  # fmt: skip


def run(name, case):
    """(logs by epoch, weights, optimizer slots) after the steps on a backend."""
    with lamella.backend_scope(name):
        model = fit_replay.build(FIT, getattr(optimizers, case.name)(**case.kwargs))
        history = fit_replay.fit(model, FIT).history
    weights = [to_numpy(variable.value) for variable in model.weights]
    held = model._compiled.state.slots
    slots = {
        f"{slot}/{i}": to_numpy(arrays[id(variable)])
        for slot, arrays in held.items()
        for i, variable in enumerate(model.trainable_weights)
        if id(variable) in arrays
    }
    return history, weights, slots


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=id, marks=[] if id in FAST else [pytest.mark.slow]) for id, case in OPTIMIZERS.items()],
)
def test_twenty_steps_agree_in_float64(case, both, float64):
    assert STEPS == 20
    (history, weights, slots), (history_jax, weights_jax, slots_jax) = (run(name, case) for name in both)
    assert list(history) == list(history_jax)
    assert list(slots) == list(slots_jax)
    for key, values in history.items():
        assert difference(history_jax[key], values) <= 1e-9, key
    for ours, theirs in ((weights, weights_jax), (list(slots.values()), list(slots_jax.values()))):
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype == np.float64
            assert difference(b, a) <= 1e-9


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam"])
def test_every_optimizer_trains_in_every_kind_of_fit_row(name):
    rows = [case for case in cases.FITS if case.optimizer[0] == name]
    assert {"regression", "softmax", "binary", "cnn", "lstm"} <= {case.id.split("-")[0] for case in rows}


def test_every_optimizer_has_rows():
    kinds = [getattr(optimizers, name) for name in dir(optimizers) if name[0].isupper()]
    rules = {
        kind.__name__
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, optimizers.Optimizer) and kind is not optimizers.Optimizer
    }
    wrappers = {"LossScaleOptimizer", "MultiOptimizer"}  # in test_optimizers_training.py
    assert rules - wrappers == {case.name for case in cases.OPTIMIZERS}
    assert rules - wrappers == {case.optimizer[0] for case in cases.FITS}
