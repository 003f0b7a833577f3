"""Every layer and option against Keras's recorded answers, on both backends, from the same weights."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import lamella
import test_recurrent_oracle
from conftest import BACKENDS
from lamella import layers
from lamella.backend_api import load_backend
from layer_replay import GivenMask, build, build_recorded, difference, gradient_program, recorded, run
from oracle import cases, load
from oracle.cases_layers import ACTIVATION_NAMES
from oracle.draw import generator

BOUND = 1e-5
ROWS = {case.id: case for case in cases.LAYERS}

# What JAX's compiler takes longest over, and what other rows cover too: an activation inside Dense is that of the
# Activation rows, and an LSTM row costs ten others.
SLOW_ON_JAX = {
    *(f"dense-{name}" for name in ACTIVATION_NAMES if name not in ("linear", "relu", "softmax")),
    *(id for id in ROWS if id.startswith("lstm-")),
    "stack-masking-value-lstm",
    "stack-masking-dropout-lstm",
} - {"lstm-return-sequences", "lstm-go-backwards", "lstm-mask-holes-sequences"}

# One row or two a layer, the hardest: enough to tell a wrong rule from a rounded sum.
TYPICAL = {
    "dense-rank-3", "activation-gelu", "conv2d-3x2-same", "conv2d-strides-2-same-even", "conv2d-groups-3-same",
    "conv2d-dilation-2x3-same", "conv2d-channels-first", "max-pooling2d-overlapping", "average-pooling2d-same",
    "global-average-pooling2d-default", "global-max-pooling2d-keepdims", "flatten-channels-first",
    "reshape-unknown-last", "dropout-rate-0", "batch-normalization-rank-4", "relu-all", "softmax-axis-1",
    "lstm-mask-holes-sequences", "stack-masking",
}  # fmt: skip

# Of these, one for each derivative that JAX finds by itself in another way.
DERIVED = {
    "activation-gelu", "conv2d-strides-2-same-even", "max-pooling2d-overlapping", "global-max-pooling2d-keepdims",
    "batch-normalization-rank-4", "relu-all", "lstm-mask-holes-sequences",
}  # fmt: skip


def rows(ids, fast=None):
    """Rows as parameters; those not in `fast` are slow."""
    slow = [] if fast is None else [id for id in ids if id not in fast]
    return [pytest.param(ROWS[id], id=id, marks=[pytest.mark.slow] if id in slow else []) for id in ids]


def on_both_backends(ids, slow_on_jax=()):
    numpy, jax = BACKENDS
    pairs = [pytest.param(numpy, ROWS[id], id=f"numpy-{id}") for id in ids]
    for id in ids:
        marks = [*jax.marks, *([pytest.mark.slow] if id in slow_on_jax else [])]
        pairs.append(pytest.param("jax", ROWS[id], id=f"jax-{id}", marks=marks))
    return pairs


def modes(case):
    """(training, prefix of the recording) for each mode that Keras was asked in."""
    return [(False, "inference"), (True, "training")] if case.training == "differs" else [(False, "inference")]


def assert_close(found, expected, tolerance, bound=BOUND):
    assert 0 < tolerance <= bound
    told = {key: difference(found[key], value) for key, value in expected.items()}
    wrong = {key: value for key, value in told.items() if not value <= tolerance}
    assert not wrong, f"max|a - b| / max|b| is {wrong}, allowed {tolerance}"


# ---- against Keras ----


@pytest.mark.parametrize("case", rows(ROWS))
def test_weights_are_those_of_keras(case):
    entry, described = recorded(case)
    model = build(case)
    made = [
        {"name": variable.name, "shape": list(variable.shape), "trainable": variable.trainable}
        for variable in model.weights
    ]
    assert made == described
    for i, value in enumerate(model.get_weights()):
        if f"initial/{i}" in entry:
            np.testing.assert_array_equal(value, entry[f"initial/{i}"], strict=True)


@pytest.mark.parametrize("name, case", on_both_backends(ROWS, SLOW_ON_JAX))
def test_outputs_gradients_and_state_are_those_of_keras(name, case):
    entry, _ = recorded(case)
    model = build_recorded(case)
    for training, mode in modes(case):
        expected = load.mapping(entry, mode)
        found = run(model, case, training, name)
        for key, value in expected.items():
            assert found[key].dtype == value.dtype, key
        assert_close(found, expected, case.tolerance)


@pytest.mark.parametrize("case", rows([id for id, case in ROWS.items() if case.training == "same"]))
def test_training_changes_nothing_where_it_changes_nothing_in_keras(case):
    model = build_recorded(case)
    assert str(gradient_program(model, case, True)[0]) == str(gradient_program(model, case, False)[0])


GIVEN_MASK = [id for id, case in ROWS.items() if case.mask is not None and case.mask_value is None]


@pytest.mark.parametrize("name, case", on_both_backends(GIVEN_MASK, set(GIVEN_MASK) - {"lstm-mask-right"}))
def test_a_mask_given_to_a_call_counts(name, case):
    entry, _ = recorded(case)
    [(kind, kwargs)] = case.layers
    layer = getattr(layers, kind)(**kwargs)
    layer.build((None, *case.input_shape[1:]))
    layer.set_weights(load.series(entry, "weights"))
    with lamella.backend_scope(name):
        backend = load_backend(name)
        found = {
            "layer": layer(entry["x"], mask=entry["mask"]),
            "model": lamella.Sequential([lamella.Input(case.input_shape[1:]), layer])(entry["x"], mask=entry["mask"]),
        }
        found = {key: backend.numpy(value) for key, value in found.items()}
    assert_close(found, dict.fromkeys(found, entry["inference/y"]), case.tolerance)


# ---- the backends, and the two derivations, against each other ----


@pytest.mark.parametrize("case", rows(ROWS, TYPICAL))
def test_backends_agree_in_float64(case, both, float64):
    model = build_recorded(case)
    for training, _ in modes(case):
        numpy, jax = (run(model, case, training, name) for name in both)
        assert {key: value.dtype for key, value in numpy.items()} == {key: value.dtype for key, value in jax.items()}
        assert_close(jax, numpy, 1e-9)


@pytest.mark.parametrize("case", rows([id for id, case in ROWS.items() if "int" not in case.input_dtype], DERIVED))
def test_grad_of_the_lowered_function_is_the_program_s_gradient(case, jax, float64):
    entry, _ = recorded(case)
    model = build_recorded(case)
    for training, _ in modes(case):
        expected = run(model, case, training, "numpy")
        function = model.lower("jax", training=training)

        def total(params, state, x, cotangent, function=function):
            y, new_state = function(params, state, x)
            return (y * cotangent).sum(), (y, new_state)

        with jax.enable_x64(True):
            x, cotangent = (jax.numpy.asarray(entry[key], "float64") for key in ("x", "cotangent"))
            differentiate = jax.jit(jax.grad(total, argnums=(0, 2), has_aux=True))
            (weights, gradient_x), (y, state) = differentiate(function.params, function.state, x, cotangent)
            found = {"y": np.asarray(y), "gradient_x": np.asarray(gradient_x)}
            found |= {f"gradient_weights/{i}": np.asarray(weights[name]) for i, name in enumerate(function.params)}
            found |= {f"state/{i}": np.asarray(state[name]) for i, name in enumerate(function.state)}
        assert_close(found, {key: value for key, value in expected.items() if key != "sum"}, 1e-9)


# ---- the rows cover the layers ----

# What needs no row: the base, the declaration of an input, and a layer that only calls the user's function. (The words of
# Keras 1 in `layers.aliases` make the layers of today.)
NO_ROWS = {"Layer", "InputLayer", "Lambda", "IntegerLookup", "StringLookup", "TextVectorization"}
# The layers that this file's rows are about; the arguments of the others: test_catalogue_oracle.py.
CORE = {
    "Activation", "AveragePooling2D", "BatchNormalization", "Conv2D", "Dense", "Dropout", "Flatten",
    "GlobalAveragePooling2D", "GlobalMaxPooling2D", "LSTM", "Masking", "MaxPooling2D", "ReLU", "Reshape", "Softmax",
}  # fmt: skip
# Arguments that no row sets, and why.
REASONS = {
    "name": "a name; tests of models",
    "trainable": "what an optimizer may change; rows of fits",
    "dtype": "mixed precision is not compared in float32",
    "seed": "the random numbers are lamella's own",
    "dropout": "depends on random numbers",
    "recurrent_dropout": "depends on random numbers",
    "activity_regularizer": "the base class's; a row of fits",
    "synchronized": "only False is taken",
    "cell": "what an LSTM is made of; no argument of a user's",
}
# That these reach the weight they are named for is a test below; what they do there is the same for every weight.
FOR_A_WEIGHT = ("_initializer", "_regularizer", "_constraint")


def exported():
    """The layers that a user can name, each once."""
    kinds = [getattr(layers, name) for name in layers.__all__ if name != "Input" and not name.islower()]
    named = {kind.__name__: kind for kind in kinds if kind.__module__ != "lamella.layers.aliases"}
    return {name: kind for name, kind in named.items() if name not in NO_ROWS}


def core():
    return {name: getattr(layers, name) for name in sorted(CORE)}


def layer_rows():
    """The rows of every table that asks about layers."""
    return [case for table in cases.TABLES.values() for case in table if isinstance(case, cases.LayerCase)]


def recurrent_rows():
    """The rows of recurrent layers, of layers over several inputs and of attention; test_recurrent_oracle.py replays them."""
    return [case for table in cases.TABLES.values() for case in table if isinstance(case, cases.RecurrentCase)]


def for_a_weight(word):
    return word.endswith(FOR_A_WEIGHT) and word not in REASONS


def arguments(kind):
    """Every argument of a layer's constructor, with those it passes on to its base."""
    own = inspect.signature(kind.__init__).parameters
    names = {name for name, parameter in own.items() if name != "self" and parameter.kind is not parameter.VAR_KEYWORD}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
        names |= arguments(kind.__mro__[1])
    return names


def asked():
    """(layer, argument) for every argument that a row sets, of layers or of fits."""
    stacks = [case.layers for case in (*layer_rows(), *cases.FITS)] + [(case.layer,) for case in recurrent_rows()]
    return {(name, word) for stack in stacks for name, kwargs in stack for word in kwargs}


def test_every_layer_has_a_row():
    assert set(exported()) >= CORE
    assert {name for case in cases.LAYERS for name, _ in case.layers} == CORE
    named = {name for case in layer_rows() for name, _ in case.layers}
    assert set(exported()) - named - set(test_recurrent_oracle.exported()) == {"InputSpec", "Wrapper"}  # no layers


@pytest.mark.parametrize("name", core())
def test_every_argument_is_in_a_row_or_has_a_reason(name):
    unasked = {word for word in arguments(core()[name]) if (name, word) not in asked()}
    assert {word for word in unasked if not for_a_weight(word)} <= set(REASONS)


def test_no_reason_is_out_of_date():
    every = {(name, word) for name, kind in core().items() for word in arguments(kind)}
    assert set(REASONS) <= {word for _, word in every - asked()}


@pytest.mark.parametrize(
    "name, word",
    sorted((name, word) for name, kind in core().items() for word in arguments(kind) if for_a_weight(word)),
)
def test_what_is_given_for_a_weight_reaches_it(name, word):
    case = next(case for case in layer_rows() if len(case.layers) == 1 and case.layers[0][0] == name)
    given = {"initializer": lamella.initializers.Constant(0.25), "regularizer": "l2", "constraint": "non_neg"}
    weight, _, what = word.rpartition("_")
    layer = core()[name](**case.layers[0][1], **{word: given[what]})
    layer.build((None, *case.input_shape[1:]))
    reached = {variable.name for variable in layer.weights if is_given(variable, what)}
    assert reached == {"recurrent_kernel" if weight == "recurrent" else weight}


def is_given(variable, what):
    if what == "initializer":
        return bool((variable.numpy() == 0.25).any())
    return getattr(variable, what) is not None


# ---- the test bites ----


@pytest.mark.parametrize("key", ["y", "gradient_x", "gradient_weights/0"])
def test_a_small_error_is_noticed(key):
    case = ROWS["conv2d-same"]
    entry, _ = recorded(case)
    expected = load.mapping(entry, "inference")
    spoilt = expected | {key: expected[key] + 2 * case.tolerance * np.abs(expected[key]).max()}
    assert_close(expected, expected, case.tolerance)
    with pytest.raises(AssertionError, match=key):
        assert_close(spoilt, expected, case.tolerance)
    with pytest.raises(AssertionError, match=key):
        assert_close(expected | {key: expected[key][:1]}, expected, case.tolerance)


def test_a_row_without_its_mask_is_noticed(monkeypatch):
    monkeypatch.setattr(GivenMask, "compute_mask", lambda self, inputs, mask=None: None)
    case = ROWS["lstm-mask-holes-sequences"]
    entry, _ = recorded(case)
    with pytest.raises(AssertionError):
        assert_close(run(build_recorded(case), case, False, "numpy"), load.mapping(entry, "inference"), case.tolerance)


def test_recordings_belong_to_their_rows():
    recordings = {name.split("/")[0] for name in load.archive("layers")} - {"about"}
    assert recordings == set(ROWS)
    for case in cases.LAYERS[::10]:
        weights = load.series(load.load("layers", case.id), "weights")
        if weights and weights[0].ndim == 2:
            drawn = generator(case.id).standard_normal(weights[0].shape) / np.sqrt(weights[0].shape[0])
            np.testing.assert_array_equal(weights[0], drawn.astype("float32"))
