"""What the checks of docs/differences.md share: the table of them, by the first cells of the rows, and short models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lamella
from lamella.layers import Dense, Input

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = X[:, :1].copy()

CHECKS: dict[str, Callable[..., None]] = {}
"""What lamella does, as the row says; a check may take a folder to write to."""


def row(title):
    def checked(function):
        assert title not in CHECKS
        CHECKS[title] = function
        return function

    return checked


def model_of(*made, optimizer="sgd", loss="mse", shape=(3,), **options):
    model = lamella.Sequential([Input(shape), *(made or [Dense(1)])])
    model.compile(optimizer, loss, **options)
    return model


def fit(model, *given, **options):
    return model.fit(*(given or (X, Y)), verbose=0, **options)


def refuses(function, match, error=(ValueError, TypeError)):
    with pytest.raises(error, match=match):
        function()
