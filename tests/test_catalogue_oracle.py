"""The catalogue's layers and options against Keras's recorded answers, on both backends, from the same weights."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from conftest import BACKENDS
from lamella import layers
from layer_replay import build, build_recorded, difference, gradient_program, run
from oracle import cases, load

BOUND = 1e-5
ROWS = {case.id: case for case in cases.CATALOGUE}


def family(case):
    """The layer a row is about: the longest family of its name, so that one row of each is in the fast tests."""
    return "-".join(name for name, _ in case.layers)


def one_a_family():
    """The last row of each family: the last ones have the rarest options."""
    return {family(case): id for id, case in ROWS.items()}.values()


FAST = set(one_a_family())


def on(backend, fast):
    marks = getattr(backend, "marks", [])
    name = getattr(backend, "values", [backend])[0]
    return [
        pytest.param(name, case, id=f"{name}-{id}", marks=[*marks, *([] if id in fast else [pytest.mark.slow])])
        for id, case in ROWS.items()
    ]


def modes(case):
    """(training, prefix of the recording) for each mode that Keras was asked in."""
    return [(False, "inference"), (True, "training")] if case.training == "differs" else [(False, "inference")]


def assert_close(found, expected, tolerance):
    assert 0 < tolerance <= BOUND
    told = {key: difference(found[key], value) for key, value in expected.items()}
    wrong = {key: value for key, value in told.items() if not value <= tolerance}
    assert not wrong, f"max|a - b| / max|b| is {wrong}, allowed {tolerance}"


# ---- against Keras ----


@pytest.mark.parametrize("case", [pytest.param(case, id=id) for id, case in ROWS.items()])
def test_weights_are_those_of_keras(case):
    entry = load.load("catalogue", case.id)
    model = build(case)
    made = [{"name": v.name, "shape": list(v.shape), "trainable": v.trainable} for v in model.weights]
    assert made == json.loads(str(entry["meta"]))["weights"]
    for i, value in enumerate(model.get_weights()):
        if f"initial/{i}" in entry:
            np.testing.assert_array_equal(value, entry[f"initial/{i}"], strict=True)


@pytest.mark.parametrize("case", [pytest.param(c, id=id) for id, c in ROWS.items() if c.adapt is not None])
def test_adapting_gives_the_weights_of_keras(case):
    entry = load.load("catalogue", case.id)
    for found, expected in zip(build(case).get_weights(), load.series(entry, "weights"), strict=True):
        assert difference(found, expected) <= case.tolerance


@pytest.mark.parametrize("name, case", [*on(BACKENDS[0], set(ROWS)), *on(BACKENDS[1], FAST)])
def test_outputs_gradients_and_state_are_those_of_keras(name, case):
    entry = load.load("catalogue", case.id)
    model = build_recorded(case)
    for training, mode in modes(case):
        expected = load.mapping(entry, mode)
        found = run(model, case, training, name)
        for key, value in expected.items():
            assert found[key].dtype == value.dtype, key
        assert_close(found, expected, case.tolerance)


@pytest.mark.parametrize("case", [pytest.param(c, id=id) for id, c in ROWS.items() if c.training == "same"])
def test_training_changes_nothing_where_it_changes_nothing_in_keras(case):
    model = build_recorded(case)
    assert str(gradient_program(model, case, True)[0]) == str(gradient_program(model, case, False)[0])


@pytest.mark.parametrize("name, case", on("both", FAST))
def test_backends_agree_in_float64(name, case, both, float64):
    model = build_recorded(case)
    for training, _ in modes(case):
        numpy, jax = (run(model, case, training, backend) for backend in both)
        assert {key: value.dtype for key, value in numpy.items()} == {key: value.dtype for key, value in jax.items()}
        told = {key: difference(jax[key], value) for key, value in numpy.items()}
        assert {key: value for key, value in told.items() if not value <= 1e-9} == {}


# ---- the rows cover the layers ----

REASONS = {
    "activity_regularizer": "a penalty on the output: tests of regularizers",
    "name": "a name; tests of models",
    "trainable": "what an optimizer may change, not what a call returns",
    "dtype": "mixed precision is not compared in float32",
    "seed": "the random numbers are lamella's own",
    "synchronized": "only False is taken",
    "function": "Lambda: its own tests",
    "mask": "Lambda: its own tests",
    "arguments": "Lambda: its own tests",
    "layer": "the wrapped layer is beside the row",
    "weights": "the rows set weights",
    "rms_scaling": "warns; a separate test",
}
SUFFIXES = ("_regularizer", "_constraint", "_initializer")
OTHERS = {"Layer", "InputLayer"}


def exported():
    """The layers of this catalogue: those that the table of the core has no row of."""
    core = {name for case in (*cases.LAYERS, *cases.FITS) for name, _ in case.layers}
    found = {name: getattr(layers, name) for name in layers.__all__ if name not in OTHERS | core}
    return {n: k for n, k in found.items() if isinstance(k, type) and issubclass(k, layers.Layer)}


# Layers of other tables and of other files, and Keras 1's names that Keras 3 does not have: tests of the words of Keras 1.
ELSEWHERE = {"AtrousConvolution1D", "AtrousConvolution2D", "Deconvolution2D", "Lambda"}
HERE = {
    name for name, kind in exported().items()
    if kind.__module__.rpartition(".")[2] in {
        "activation", "adaptive_pooling", "aliases", "convolution", "core", "einsum_dense", "embedding", "image",
        "lambda_layer", "layer_normalization", "normalization", "pooling", "preprocessing", "random_image",
        "regularization", "reshaping", "separable", "spectral_normalization", "transposed",
    }
}  # fmt: skip


def asked():
    stacks = [case.layers for case in (*cases.LAYERS, *cases.FITS, *cases.CATALOGUE)]
    return {(name, word) for stack in stacks for name, kwargs in stack for word in kwargs}


def arguments(kind):
    own = inspect.signature(kind.__init__).parameters
    names = {name for name, parameter in own.items() if name != "self" and parameter.kind is not parameter.VAR_KEYWORD}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
        names |= arguments(kind.__mro__[1])
    return names


# Arguments of a base that the layer fixes.
FIXED = {
    ("SpatialDropout1D", "data_format"),
    *((f"SpatialDropout{n}D", "noise_shape") for n in (1, 2, 3)),
}


@pytest.mark.parametrize("name, word", sorted(FIXED))
def test_what_a_layer_fixes_it_does_not_take(name, word):
    with pytest.raises(TypeError, match=word):
        getattr(layers, name)(0.5, **{word: None})


def test_every_layer_has_a_row():
    assert len(HERE) > 80
    assert HERE - ELSEWHERE - {name for case in cases.CATALOGUE for name, _ in case.layers} == set()


@pytest.mark.parametrize(
    "name",
    sorted(
        n
        for n in HERE - ELSEWHERE
        if exported()[n].__name__ == n
        and n not in ("Convolution2D", "Convolution3D", "Convolution2DTranspose", "SeparableConvolution2D")
    ),
)
def test_every_argument_is_in_a_row_or_has_a_reason(name):
    missing = {word for word in arguments(exported()[name]) if (name, word) not in asked() | FIXED}
    assert {word for word in missing if not word.endswith(SUFFIXES)} <= set(REASONS)


def test_recordings_belong_to_their_rows():
    assert {name.split("/")[0] for name in load.archive("catalogue")} - {"about"} == set(ROWS)
