"""Every option of every layer, away from its default: saved in every format, read, and the same layer again."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lamella
from lamella import constraints, initializers, layers, regularizers
from lamella.files import text
from lamella.layers import configuration
from lamella.layers.making import _signature, kind_of
from lamella.models import load_model
from lamella.saving import checking

ENDINGS = (".keras", ".h5", ".safetensors")


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):  # nothing here depends on the backend, and JAX compiles
        yield


class First(layers.Layer):
    """The first output of a layer that is given its input once, twice as arguments, or as a list of two."""

    def __init__(self, held, way="once", **kwargs):
        super().__init__(**kwargs)
        self.held, self.way = held, way

    def call(self, x):
        given = {"once": (x,), "twice": (x, x), "list": ([x, x],)}[self.way]
        found = self.held(*given)
        return found[0] if isinstance(found, list | tuple) else found


# ---- a layer of every class ----

JOINING = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
ATTENDING = ("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention")
CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells")

NEEDED = {
    "Activation": {"activation": "tanh"},
    "Bidirectional": {"layer": lambda: layers.GRU(3)},
    "CategoryEncoding": {"num_tokens": 5},
    "Dense": {"units": 3},
    "Discretization": {"bin_boundaries": [-1.0, 0.0, 1.0]},
    "Dot": {"axes": 2},
    "EinsumDense": {"equation": "abc,cd->abd", "output_shape": (None, 5)},
    "Embedding": {"input_dim": 5, "output_dim": 3},
    "GaussianNoise": {"stddev": 0.5},
    "GroupNormalization": {"groups": 2},
    "GroupQueryAttention": {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
    "Permute": {"dims": (2, 1)},
    "RNN": {"cell": lambda: layers.LSTMCell(3)},
    "RepeatVector": {"n": 3},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (9, 2)},
    "SpectralNormalization": {"layer": lambda: layers.Dense(3)},
    "StackedRNNCells": {"cells": lambda: [layers.LSTMCell(3), layers.GRUCell(2)]},
    "TimeDistributed": {"layer": lambda: layers.Dense(3)},
    **{f"Conv{n}D": {"filters": 4, "kernel_size": 3} for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": {"filters": 4, "kernel_size": 3} for n in (1, 2, 3)},
    **{f"ConvLSTM{n}D": {"filters": 2, "kernel_size": 2} for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": {"kernel_size": 3} for n in (1, 2)},
    **{f"SeparableConv{n}D": {"filters": 4, "kernel_size": 3} for n in (1, 2)},
    **{f"AveragePooling{n}D": {"pool_size": 2} for n in (1, 2, 3)},
    **{f"Adaptive{kind}Pooling{n}D": {"output_size": 2} for kind in ("Average", "Max") for n in (1, 2, 3)},
    **{f"{kind}Dropout": {"rate": 0.5} for kind in ("", "Alpha", "Gaussian")},
    **{f"SpatialDropout{n}D": {"rate": 0.5} for n in (1, 2, 3)},
    **{name: {"height": 3, "width": 4} for name in ("CenterCrop", "RandomCrop", "Resizing")},
    **{f"Random{name}": {"factor": 0.2} for name in ("Brightness", "Contrast", "Rotation")},
    **{f"Random{name}": {"height_factor": 0.2, "width_factor": 0.2} for name in ("Translation", "Zoom")},
    **{name: {"units": 3} for name in ("GRU", "LSTM", "SimpleRNN", "GRUCell", "LSTMCell", "SimpleRNNCell")},
}  # fmt: skip
"""What a layer of a class must be given."""

IMAGES = ("BatchNormalization", "CenterCrop", "GroupNormalization", "PReLU", "Resizing")


def shape_of(name):
    if name.startswith("ConvLSTM"):
        return (2, 3, *(5, 6, 4)[: int(name[8])], 2)
    if name.startswith("Random") or name in IMAGES:
        return (2, 7, 8, 4)
    if name in ("CategoryEncoding", "Embedding", "RepeatVector"):
        return (2, 6)
    rank = next((int(digit) for digit in name if digit.isdigit()), 1)
    return {1: (2, 6, 3), 2: (2, 7, 8, 4), 3: (2, 5, 6, 5, 4)}[rank]


# ---- a value away from the default for every option ----

AWAY = {
    "activation": lambda: layers.ReLU(max_value=0.5, negative_slope=0.25),
    "recurrent_activation": lambda: layers.LeakyReLU(0.125),
    "activity_regularizer": lambda: regularizers.L1L2(0.25, 0.125),
    "attention_axes": (1,),
    "axes": 1,
    "axis": 1,
    "backward_layer": lambda: layers.GRU(3, activation=layers.ELU(0.5), go_backwards=True),
    "bias_axes": "d",
    "bin_boundaries": [-0.5, 0.5],
    "cell": lambda: layers.GRUCell(2, activation=layers.ELU(0.5)),
    "cells": lambda: [layers.GRUCell(2, activation=layers.ELU(0.5)), layers.SimpleRNNCell(3)],
    "data_format": "channels_first",
    "dims": (1, 2),
    "dtype": "mixed_bfloat16",
    "equation": "xyz,zw->xyw",
    "fill_mode": "wrap",
    "flash_attention": False,
    "interpolation": "nearest",
    "layer": lambda: layers.Dense(2, activation=layers.ELU(0.5)),
    "max_value": 0.5,
    "mean": [1.0, 2.0, 3.0],
    "merge_mode": "sum",
    "mode": "vertical",
    "name": "another",
    "noise_shape": (2, 1, 3),
    "num_bins": 4,
    "output_mode": "one_hot",
    "output_padding": 1,
    "output_shape": (None, 4),
    "padding": "same",
    "renorm_clipping": {"rmin": 0.5, "rmax": 2.0, "dmax": 3.0},
    "score_mode": "concat",
    "seed": 7,
    "shared_axes": [1],
    "sliding_window": 2,
    "strides": 2,
    "target_shape": (6, 3),
    "use_cudnn": False,
    "value_dim": 5,
    "variance": [1.5, 2.5, 3.5],
}
OF_CLASS = {
    ("Bidirectional", "layer"): lambda: layers.LSTM(3, activation=layers.ELU(0.5)),
    ("Resizing", "interpolation"): "bicubic",
    ("UpSampling2D", "interpolation"): "bilinear",
    ("EinsumDense", "output_shape"): (None, 4),
    ("MultiHeadAttention", "output_shape"): 4,
    ("GroupQueryAttention", "num_query_heads"): 6,
    ("GroupQueryAttention", "num_key_value_heads"): 4,
    ("Discretization", "epsilon"): 0.5,
    ("RandomBrightness", "factor"): (-0.25, 0.5),
    ("CategoryEncoding", "output_mode"): "count",
    ("Normalization", "axis"): 1,
    **{(f"ZeroPadding{n}D", "padding"): 2 for n in (1, 2, 3)},
    **{(f"Conv{n}D", "groups"): 2 for n in (2, 3)},
    ("Conv1D", "groups"): 3,
    ("GroupNormalization", "axis"): 2,
    ("GroupNormalization", "groups"): 4,
}  # fmt: skip
BESIDE = {
    ("Conv1D", "groups"): {"filters": 6},
    "renorm_momentum": {"renorm": True},
    "renorm_clipping": {"renorm": True},
    "output_padding": {"strides": 2},
    "fill_value": {"fill_mode": "constant"},
    "mean": {"variance": [1.0, 1.0, 1.0]},
    "variance": {"mean": [0.0, 0.0, 0.0]},
    "invert": {"mean": [0.0, 0.0, 0.0], "variance": [1.0, 4.0, 9.0]},
    "num_bins": {"bin_boundaries": None},
}
"""Arguments that an option, of any class or of one, needs beside it."""

NOT_TRIED = {
    "InputLayer": "declares an input; tests of models",
    "Lambda": "its function comes from the caller; its own tests",
}
EXCLUDED = {
    ("BatchNormalization", "synchronized"): "only False is taken",
    ("Resizing", "fill_mode"): "only 'constant' is taken",
    ("ActivityRegularization", "activity_regularizer"): "the layer is one, made of l1 and l2",
    **{(name, "activity_regularizer"): "belongs to the layer that runs the cell" for name in CELLS[:3]},
    ("SpatialDropout1D", "data_format"): "fixed by the layer",
    ("AdditiveAttention", "score_mode"): "the layer has one score; Keras's configuration leaves it out, too",
    **{
        (name, "trainable"): "the layer has no weights; Keras's configuration leaves it out, too"
        for name in ("Discretization", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
    },
}  # fmt: skip
"""Classes, and options of a class, that are not tried here, with the reason."""

CLASSES = [name for name in configuration.layer_table() if name not in NOT_TRIED]


def options(name):
    """The options that a file may hold of a layer of a class, also those of a base."""
    return [word for word in sorted(checking._known(name)) if (name, word) not in EXCLUDED]


def made_of(value):
    return value() if callable(value) else value


def away_from(name, word, default):
    """A value of an option of a class that is not its default."""
    kind = kind_of(word)
    if kind == "initializer":
        return initializers.VarianceScaling(0.5, "fan_out", "uniform", seed=3)
    if kind == "regularizer":
        return regularizers.L1L2(0.25, 0.125)
    if kind == "constraint":
        return constraints.MaxNorm(1.5)
    if (name, word) in OF_CLASS or word in AWAY:
        return made_of(OF_CLASS.get((name, word), AWAY.get(word)))
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    if isinstance(default, float):
        return 0.5 * default + 0.125
    if isinstance(default, tuple) and default:
        return tuple(away_from(name, word, item) for item in default)
    raise LookupError(f"no value away from {default!r} for {word!r} of {name}: add one to AWAY or OF_CLASS")


def arguments(name, word=None):
    """What a layer of a class is made with, `word` away from its default."""
    found = {key: made_of(value) for key, value in NEEDED.get(name, {}).items()}
    if word is None:
        return found
    signature = _signature(getattr(layers, name))
    default = found.get(word, signature.parameters[word].default if word in signature.parameters else None)
    default = {"trainable": True, "unroll": False, "zero_output_for_mask": False}.get(word, default)
    beside = BESIDE.get((name, word), BESIDE.get(word, {}))
    return {**found, **beside, word: away_from(name, word, default)}


def model_of(name, given, x):
    """A model around one layer of a class, with weights of many values."""
    layer = getattr(layers, name)(**given)
    if given.get("num_bins"):
        layer.adapt(x)
    if name in CELLS:
        layer = layers.RNN(layer)
    elif name in ATTENDING:
        layer = First(layer, "twice" if name in ("GroupQueryAttention", "MultiHeadAttention") else "list")
    elif name in JOINING:
        layer = First(layer, "list")
    elif given.get("return_state"):
        layer = First(layer)
    lamella.utils.set_random_seed(1)
    model = lamella.Sequential([lamella.Input(batch_shape=x.shape), layer])
    random = np.random.RandomState(2)
    model.set_weights([random.uniform(0.1, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def x_for(name):
    random = np.random.RandomState(3)
    shape = shape_of(name)
    return random.randint(0, 5, shape) if name in ("CategoryEncoding", "Embedding") else random.normal(size=shape) * 2


def outputs(model, x):
    model.calls = 0
    model.reset_states()
    return [np.asarray(model(x, training=training)) for training in (False, True)]


def described(name, given):
    """The configuration of a layer as a file holds it."""
    return json.loads(text.written(getattr(layers, name)(**given).get_config(), name))


def wrong_with(name, words, folder):
    """What is wrong with the files of a layer of a class, one option after the other away from its default."""
    x, plain = x_for(name), described(name, arguments(name))
    for word in words:
        given = arguments(name, word)
        if described(name, given).get(word) == plain.get(word):
            yield f"{word}: no file holds it"
        model = model_of(name, given, x)
        model.reset_states()  # which `.h5` does not hold
        loaded = {}
        for ending in ENDINGS:
            model.save(folder / f"model{ending}")
            loaded[ending] = load_model(folder / f"model{ending}", custom_objects={"First": First})
            if loaded[ending].to_json() != model.to_json():
                yield f"{word}, {ending}: another configuration"
            for found, wanted in zip(loaded[ending].get_weights(), model.get_weights(), strict=True):
                if not np.array_equal(found, wanted):
                    yield f"{word}, {ending}: other weights"
        for found, wanted in zip(outputs(loaded[".keras"], x), outputs(model, x), strict=True):
            if not np.array_equal(found, wanted):
                yield f"{word}: other outputs"


@pytest.mark.parametrize("name", ["Activation", "Dense", "LSTM"])  # the sweep has them all
def test_an_activation_that_is_a_layer_keeps_its_options(name, tmp_path):
    words = [word for word in options(name) if word.endswith("activation")]
    assert list(wrong_with(name, words, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:rms_scaling=True:DeprecationWarning")
@pytest.mark.parametrize("name", CLASSES)
def test_every_option_of_every_layer_comes_back(name, tmp_path):
    assert list(wrong_with(name, options(name), tmp_path)) == []


def test_what_the_sweep_leaves_out_is_refused_or_in_no_file():
    for name, reason in NOT_TRIED.items():
        print(f"{name}: {reason}")
    for (name, word), reason in EXCLUDED.items():
        print(f"{name}, {word}: {reason}")
        assert word in checking._known(name)
        try:
            held = described(name, arguments(name, word))
        except (TypeError, ValueError):
            continue
        assert word not in held, f"{name}({word}=...) is in files, so the sweep can try it"
