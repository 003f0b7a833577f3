"""Models with free dimensions: Keras's recorded answers at two sizes, on both backends, from the same weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lamella
from conftest import BACKENDS
from lamella import layers
from lamella.ir.dim import public_shape
from lamella.models import load_model, model_from_json
from layer_replay import difference
from oracle import cases, draw, load
from oracle.build import OWN_LAYERS, constructed

ROWS = {case.id: case for case in cases.FREE}

# XLA takes seconds over each row: one for each kind of dependence on the size.
FAST_ON_JAX = {
    "embedding-mask-lstm", "conv1d-causal-dilation", "conv2d-same-strides", "attention-mask-causal", "resizing-bilinear",
}  # fmt: skip
# In float64 both backends run, so one: with random masks.
FAST_IN_FLOAT64 = {"spatial-dropout1d"}


def constructors(value):
    """The class name of every constructor in a row's layers."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        yield value[0]
        yield from (name for item in value[1].values() for name in constructors(item))
    elif isinstance(value, list | tuple):
        yield from (name for item in value for name in constructors(item))


def first_of_a_layer():
    """The rows that have a layer which no row before them has."""
    seen = set()
    for case in cases.FREE:
        names = set(constructors(case.layers))
        if not names <= seen:
            yield case.id
        seen |= names


FAST = list(first_of_a_layer())


def rows(fast, found=cases.FREE):
    return [pytest.param(c, id=c.id, marks=() if c.id in fast else pytest.mark.slow) for c in found]


def on_both_backends():
    numpy, jax = BACKENDS
    pairs = [
        pytest.param(numpy, c, id=f"numpy-{c.id}", marks=() if c.id in FAST else pytest.mark.slow) for c in cases.FREE
    ]
    for case in cases.FREE:
        slow = [] if case.id in FAST_ON_JAX else [pytest.mark.slow]
        pairs.append(pytest.param("jax", case, id=f"jax-{case.id}", marks=[*jax.marks, *slow]))
    return pairs


def recorded(case):
    """What Keras answered, beside the weights, inputs and targets that it was asked with; and what its model looks like."""
    entry = load.load("free", case.id)
    meta = json.loads(str(entry["meta"]))
    weights, xs, random = draw.free(case, meta["weights"])
    targets = [random.standard_normal(y.shape).astype("float32") for y in load.series(entry, "y")]
    given = {"weights": weights, "x": xs, "target": targets}
    return entry | {f"{key}/{i}": value for key, values in given.items() for i, value in enumerate(values)}, meta


def declared(case):
    """The row's model, from whose input nothing but the declaration is known."""
    dtype = None if case.input_dtype == "float32" else case.input_dtype
    return lamella.Sequential([lamella.Input(case.shape, dtype=dtype), *constructed(list(case.layers), layers)])


def build(case):
    """The row's model, compiled, with the recorded weights."""
    model = declared(case)
    model.compile(lamella.optimizers.SGD(0.05), "mse")
    model.set_weights(load.series(recorded(case)[0], "weights"))
    return model


def batches(entry):
    """Two epochs of four batches of either size."""
    for index in (0, 1, 1, 0) * 2:
        yield entry[f"x/{index}"], entry[f"target/{index}"]


def answers(case):
    """What a model says on the backend in force, by the keys of the recording."""
    entry, model = recorded(case)[0], build(case)
    found = {f"y/{i}": model.predict(entry[f"x/{i}"], verbose=0) for i in (0, 1)}
    found["loss"], gradients = model.value_and_grad(entry["x/1"], entry["target/1"])
    assert list(gradients) == [path for path, variable in model.named_weights() if variable.trainable]
    found |= {f"gradient_weights/{i}": gradient for i, gradient in enumerate(gradients.values())}
    found["losses"] = model.fit(batches(entry), steps_per_epoch=4, epochs=2, verbose=0).history["loss"]
    return {key: np.asarray(value) for key, value in found.items()}


def differences(found, expected):
    """max|a - b| / max|b| by key; of a gradient that is zero but for rounding, of the largest gradient."""
    largest = {key: np.abs(value).max() for key, value in expected.items() if key.startswith("gradient")}
    told = {key: difference(found[key], value) for key, value in expected.items()}
    for key, size in largest.items():
        if size < 1e-6 * max(largest.values()):
            told[key] = float(np.abs(found[key] - expected[key]).max() / max(largest.values()))
    return told


def assert_close(found, expected, tolerance, gradient_tolerance):
    told = differences(found, expected)
    wrong = {k: v for k, v in told.items() if not v <= (tolerance if k.startswith("y/") else gradient_tolerance)}
    assert not wrong, f"max|a - b| / max|b| is {wrong}, allowed {tolerance} and {gradient_tolerance}"


def compared(entry):
    return {key: value for key, value in entry.items() if key.startswith(("y/", "loss", "gradient"))}


@pytest.mark.parametrize("case", rows(ROWS))
def test_a_declared_model_is_built(case):
    meta, model = recorded(case)[1], declared(case)
    assert model.built and model.input_shape == (None, *case.shape)
    shapes = [public_shape(part.outputs[0].shape) for part in model.shown_parts().parts]
    assert [list(shape) for shape in (model.output_shape, *shapes)] == meta["shapes"]
    made = [{"name": v.name, "shape": list(v.shape), "trainable": v.trainable} for v in model.weights]
    assert made == meta["weights"] and model.count_params() == meta["count"]
    assert not any(np.isnan(value).any() for value in model.get_weights())
    lines = []
    model.summary(print_fn=lines.append, line_length=200)
    assert all(str(tuple(shape)) in "".join(lines) for shape in meta["shapes"])


@pytest.mark.parametrize("name, case", on_both_backends())
def test_outputs_gradients_and_losses_are_those_of_keras(name, case):
    entry = recorded(case)[0]
    assert 0 < case.tolerance <= 1e-5 and 0 < case.gradient_tolerance <= 1e-4
    with lamella.backend_scope(name):
        assert_close(answers(case), compared(entry), case.tolerance, case.gradient_tolerance)


@pytest.mark.parametrize("case", rows(FAST_IN_FLOAT64))
def test_backends_agree_in_float64(case, both, float64):
    found = []
    for name in both:
        lamella.utils.set_random_seed(7)  # the same masks
        with lamella.backend_scope(name):
            found.append(answers(case))
    assert found[0]["y/0"].dtype == found[1]["y/0"].dtype == np.float64
    assert_close(found[1], found[0], 1e-9, 1e-9)


STOCK = [case for case in cases.FREE if not {name for name, _ in case.layers} & OWN_LAYERS]
"""The rows that a file can hold."""


@pytest.fixture
def on_numpy():
    with lamella.backend_scope("numpy"):  # nothing in a file depends on the backend, and JAX compiles
        yield


@pytest.mark.parametrize("ending", [".keras", pytest.param(".h5", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", rows(FAST[::4], STOCK))
def test_a_file_keeps_what_is_free(case, ending, tmp_path, on_numpy):
    entry, model = recorded(case)[0], build(case)
    model.save(tmp_path / f"m{ending}")
    model.predict(entry["x/1"], verbose=0)
    model.save(tmp_path / f"again{ending}")
    assert (tmp_path / f"m{ending}").read_bytes() == (tmp_path / f"again{ending}").read_bytes()
    for other in (load_model(tmp_path / f"m{ending}"), model_from_json(model.to_json())):
        assert other.built and other.input_shape == (None, *case.shape) and other.output_shape == model.output_shape
        other.set_weights(model.get_weights())
        for i in (0, 1):
            x = entry[f"x/{i}"]
            np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


# ---- the rows ----

OTHERS_NAMES = (
    "AtrousConvolution1D AtrousConvolution2D AvgPool1D AvgPool2D AvgPool3D Convolution1D Convolution1DTranspose "
    "Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose CuDNNGRU CuDNNLSTM Deconvolution2D "
    "GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D MaxPool1D MaxPool2D "
    "MaxPool3D SeparableConvolution1D SeparableConvolution2D"
)
# Layers without a row, and why.
REASONS = {
    **dict.fromkeys(OTHERS_NAMES.split(), "another name of a layer"),
    "Input": "begins every row",
    "InputLayer": "begins every row",
    "Layer": "the base class",
    "Wrapper": "the base class of layers around a layer",
    "InputSpec": "is not a layer",
    **dict.fromkeys(
        ("IntegerLookup", "StringLookup", "TextVectorization"), "prepares data and cannot be part of a model"
    ),
    "Lambda": "Keras's files of one hold code; tests of free training",
    "RepeatVector": "takes (batch, features)",
    "RandomBrightness": "as RandomFlip in inference",
    "RandomContrast": "as RandomFlip in inference",
    "RandomCrop": "differs from Keras in inference: docs/differences.md",
    "Maximum": "as Add",
    "Minimum": "as Add",
    "Subtract": "as Add",
    "AdaptiveMaxPooling1D": "as AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D": "as AdaptiveMaxPooling2D",
    "SpectralNormalization": "as the layer in it",
}


def test_every_layer_has_a_row_or_a_reason():
    asked = {name for case in cases.FREE for name in constructors(case.layers)} - OWN_LAYERS
    assert asked | set(REASONS) == {name for name in layers.__all__ if not name.islower()} and not asked & set(REASONS)


def test_recordings_belong_to_their_rows():
    assert {name.split("/")[0] for name in load.archive("free")} - {"about"} == set(ROWS)


@pytest.mark.parametrize("case", rows(ROWS))
def test_every_row_learns_enough_to_tell_a_wrong_step(case):
    entry = recorded(case)[0]
    shapes = {tuple(entry[f"x/{i}"].shape[1:]) for i in (0, 1)}
    assert shapes == {case.at(size) for size in case.sizes} and len(shapes) == 2
    if "losses" in entry:
        assert difference(entry["losses"][0], entry["losses"][1]) > 10 * case.gradient_tolerance


def test_a_small_error_is_noticed():
    case = ROWS["conv1d-causal-dilation"]
    expected = compared(recorded(case)[0])
    assert_close(expected, expected, case.tolerance, case.gradient_tolerance)
    for key, bound in (("y/0", 1e-5), ("y/1", 1e-5), ("gradient_weights/0", 1e-4), ("losses", 1e-4)):
        spoilt = expected | {key: expected[key] + 2 * bound * np.abs(expected[key]).max()}
        with pytest.raises(AssertionError, match=key):
            assert_close(spoilt, expected, case.tolerance, case.gradient_tolerance)
