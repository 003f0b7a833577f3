"""Normalizations of inputs far from zero stay within 1e-4 of the float64 result on the same float32 inputs."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers
from lamella.ir import settings

SHAPE = (16, 6, 5, 8)
CASES = {
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "BatchNormalization-axis-1": lambda: layers.BatchNormalization(axis=1),
    "LayerNormalization": lambda: layers.LayerNormalization(),
    "LayerNormalization-axes": lambda: layers.LayerNormalization(axis=(1, 2, 3)),
    "LayerNormalization-no-scale": lambda: layers.LayerNormalization(scale=False, center=False),
    "GroupNormalization": lambda: layers.GroupNormalization(groups=2),
    "GroupNormalization-axis-1": lambda: layers.GroupNormalization(groups=3, axis=1),
    "RMSNormalization": lambda: layers.RMSNormalization(),
    "UnitNormalization": lambda: layers.UnitNormalization(),
    "Normalization": lambda: layers.Normalization(mean=10_000.0, variance=1.0, axis=None),
}


def outputs(make, x, floatx, backend):
    settings.set_floatx(floatx)
    model = lamella.Sequential([lamella.Input(SHAPE[1:]), make()])
    function = model.lower(backend, training=True)
    return np.asarray(function(function.params, function.state, x.astype(floatx))[0], "float64")


@pytest.mark.parametrize("name", CASES)
def test_inputs_around_ten_thousand(name, backend):
    x = (10_000 + np.random.default_rng(1).standard_normal(SHAPE)).astype("float32")
    found = outputs(CASES[name], x, "float32", backend)
    exact = outputs(CASES[name], x, "float64", "numpy")
    assert np.abs(found - exact).max() <= 1e-4 * np.abs(exact).max()


def test_renormalization_around_ten_thousand(backend):
    x = (10_000 + np.random.default_rng(1).standard_normal((64, 8))).astype("float32")
    results = []
    for floatx, on in (("float32", backend), ("float64", "numpy")):
        settings.set_floatx(floatx)
        layer = layers.BatchNormalization(renorm=True)
        model = lamella.Sequential([lamella.Input((8,)), layer])
        for variable in layer.weights:
            if variable.name in ("renorm_mean", "moving_mean"):
                variable.assign(np.full(8, 10_000.0, floatx))
        function = model.lower(on, training=True)
        results.append(np.asarray(function(function.params, function.state, x.astype(floatx))[0], "float64"))
    assert np.abs(results[0] - results[1]).max() <= 1e-3 * np.abs(results[1]).max()
