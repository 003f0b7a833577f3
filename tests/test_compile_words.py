"""`compile` takes its arguments in Keras's order, and the model says what was given."""

from __future__ import annotations

import inspect
import logging

import numpy as np
import pytest

import lamella
from lamella import layers, losses, metrics, regularizers


def net():
    return lamella.Sequential([lamella.Input((2,)), layers.Dense(1, kernel_initializer="ones")])


def test_the_order_is_that_of_keras():
    words = list(inspect.signature(lamella.Sequential.compile).parameters)
    assert words[1:10] == ["optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly",
                           "steps_per_execution", "jit_compile", "auto_scale_loss"]  # fmt: skip
    model = net()
    model.compile("sgd", "mse", [2.0], ["mae"])
    x, y = np.ones((2, 2), "float32"), np.zeros((2, 1), "float32")
    assert model.evaluate(x, y, verbose=0) == [8.0, 2.0]
    for given in (["mae"], ["mae", "mse"], "mae"):  # the third place of Keras 1 and 2
        with pytest.raises(ValueError, match=r"compile\(..., metrics=\[...\]\)"):
            model.compile("sgd", "mse", given)


def test_a_model_says_what_loss_and_metrics_it_was_given(backend):
    model = net()
    assert model.loss is None and model.metrics == []
    model.compile(loss="mse", metrics=["mae", metrics.AUC(name="a")])
    assert model.loss == "mse" and [m.name for m in model.metrics] == ["a"]
    model.evaluate(np.ones((2, 2)), np.zeros((2, 1)), verbose=0)
    assert [type(m) for m in model.metrics] == [metrics.MeanAbsoluteError, metrics.AUC]
    loss = losses.Huber()
    model.compile(loss=loss)
    assert model.loss is loss


def test_losses_are_the_penalties(backend):
    model = lamella.Sequential(
        [lamella.Input((2,)), layers.Dense(1, kernel_regularizer=regularizers.L2(0.5), kernel_initializer="ones")]
    )
    assert [float(x) for x in model.losses] == [1.0] == [float(x) for x in model.layers[0].losses]  # Keras: [1.0]
    model.layers[0].trainable = False
    assert model.losses == []


def test_progress_goes_to_the_logger(caplog, capsys):
    model = net()
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2)), np.ones((4, 1))
    try:
        lamella.utils.disable_interactive_logging()
        assert not lamella.config.is_interactive_logging_enabled()
        with caplog.at_level(logging.INFO, "lamella"):
            model.fit(x, y, epochs=2, verbose=1)
            model.evaluate(x, y, verbose=2)
    finally:
        lamella.utils.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    lines = [record.getMessage() for record in caplog.records if record.name == "lamella"]
    assert len(lines) == 3 and lines[0].startswith("Epoch 1/2") and "loss" in lines[2]
    model.fit(x, y, verbose=2)
    assert capsys.readouterr().out.startswith("Epoch 1/1")
