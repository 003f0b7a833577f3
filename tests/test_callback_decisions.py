"""What callbacks decide over scripted logs, and which hooks a run calls, against Keras's recorded answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lamella
from lamella.layers import Dense, Input
from oracle import cases, drive, load

ROWS = {case.id: case for case in cases.CALLBACKS}
RUNS = [id for id, case in ROWS.items() if not case.curves]


def small_model():
    model = lamella.Sequential([Input((1,)), Dense(1, use_bias=False)])
    model.compile(lamella.optimizers.SGD(0.1), "mse", metrics=["mae", "accuracy"])
    return model


@pytest.mark.parametrize("id", [id for id in ROWS if id not in RUNS])
def test_a_callback_decides_as_keras_s(id):
    model = small_model()
    with lamella.backend_scope("numpy"):
        model.train_on_batch(drive.X, drive.Y)
    found, expected = drive.decide(lamella.callbacks, model, ROWS[id]), load.load("callbacks", id)
    np.testing.assert_allclose(found.pop("rates"), expected["rates"], rtol=1e-6)
    for key, value in found.items():
        assert value.tolist() == expected[key].tolist(), key


@pytest.mark.parametrize("id", RUNS)
def test_hooks_come_in_keras_s_order_with_keras_s_arguments(id, backend):
    found = drive.hooks(lamella.callbacks, small_model(), ROWS[id].name)["hooks"]
    assert json.loads(str(found)) == json.loads(str(load.load("callbacks", id)["hooks"]))
