"""Files of Keras 1 and 2, built with h5py as those releases wrote them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lamella
from lamella import layers
from lamella.models import load_model
from lamella.saving import FormatError

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):
        yield


def drawn(*shapes):
    random = np.random.RandomState(4)
    return [random.uniform(-0.5, 0.5, shape).astype("float32") for shape in shapes]


def write_weights(group, name, named, version):
    """The group of a model's only layer: names in attributes of fixed length, arrays by name."""
    if version is not None:
        group.attrs["keras_version"] = np.bytes_(version)
        group.attrs["backend"] = np.bytes_("tensorflow")
    group.attrs["layer_names"] = np.array([name.encode(), b"dropout_1"])
    held = group.create_group(name)
    held.attrs["weight_names"] = np.array([weight.encode() for weight, _ in named])
    for weight, array in named:
        held.create_dataset(weight, data=array)
    group.create_group("dropout_1").attrs["weight_names"] = np.zeros(0)


def gates(words, width, units, order):
    """Arrays of a recurrent layer as Keras 1 wrote them, gate by gate, and today's three."""
    by_gate = {word: drawn((width, units), (units, units), (units,)) for word in words}
    for i, word in enumerate(words):
        by_gate[word] = [array + i for array in by_gate[word]]
    named = [(f"_{kind}_{word}", by_gate[word][k]) for word in words for k, kind in enumerate("WUb")]
    return named, [np.concatenate([by_gate[word][k] for word in order], axis=-1) for k in range(3)]


LSTM, LSTM_NOW = gates("icfo", 3, 2, "ifco")
GRU, GRU_NOW = gates("zrh", 3, 2, "zrh")
KERNEL, BIAS = drawn((3, 3, 2, 4), (4,))
MATRIX, SHORT = drawn((5, 4), (4,))
LINE, LINE_BIAS = drawn((3, 1, 2, 4), (4,))
NORM = [array + 0.6 for array in drawn((5,), (5,), (5,), (5,))]
THEANO = np.ascontiguousarray(KERNEL[::-1, ::-1].transpose(3, 2, 0, 1))

# (today's layer, the shape of its input, arrays by the ends of their old names, today's arrays)
KERAS_1 = {
    "Dense": (lambda: layers.Dense(4), (5,), [("_W", MATRIX), ("_b", SHORT)], [MATRIX, SHORT]),
    "Convolution2D": (lambda: layers.Conv2D(4, 3), (6, 6, 2), [("_W", KERNEL), ("_b", BIAS)], [KERNEL, BIAS]),
    "Convolution2D of Theano": (lambda: layers.Conv2D(4, 3), (6, 6, 2), [("_W", THEANO), ("_b", BIAS)], [KERNEL, BIAS]),
    "Convolution1D": (lambda: layers.Conv1D(4, 3), (7, 2), [("_W", LINE), ("_b", LINE_BIAS)], [LINE[:, 0], LINE_BIAS]),
    "BatchNormalization": (
        layers.BatchNormalization, (5,),
        list(zip(("_gamma", "_beta", "_running_mean", "_running_std"), NORM, strict=True)), NORM,
    ),
    "LSTM": (lambda: layers.LSTM(2), (4, 3), LSTM, LSTM_NOW),
    "GRU": (lambda: layers.GRU(2, reset_after=False), (4, 3), GRU, GRU_NOW),
    "Embedding": (lambda: layers.Embedding(5, 4), (3,), [("_W", MATRIX)], [MATRIX]),
    "Bidirectional": (
        lambda: layers.Bidirectional(layers.LSTM(2)), (4, 3),
        [(f"_forward{n}", a) for n, a in LSTM] + [(f"_backward{n}", -a) for n, a in LSTM],
        [*LSTM_NOW, *[-a for a in LSTM_NOW]],
    ),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(4)), (3, 5), [("_W", MATRIX), ("_b", SHORT)], [MATRIX, SHORT],
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", ["1.2.2", None], ids=["named", "unnamed"])
@pytest.mark.parametrize("name", KERAS_1)
def test_weights_of_keras_1(name, version, tmp_path):
    make, shape, named, expected = KERAS_1[name]
    layer = f"{name.split()[0].lower()}_1"
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_weights(file, layer, [(f"{layer}{end}", array) for end, array in named], version)
    model = lamella.Sequential([lamella.Input(shape), make()])
    report = model.load_weights(tmp_path / "w.h5")
    assert report.complete and not report.unused
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_gates_of_another_size_are_refused_and_nothing_is_set(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_weights(file, "lstm_1", [(f"lstm_1{end}", array) for end, array in LSTM], "1.2.2")
    model = lamella.Sequential([lamella.Input((4, 3)), layers.LSTM(3)])
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(FormatError, match=r"3 weights in layer 'lstm', 12 arrays in the file"):
        model.load_weights(tmp_path / "w.h5")
    for found, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def initializer():
    return {"class_name": "VarianceScaling",
            "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None}}  # fmt: skip


def recurrent(name, **more):
    return {
        "name": name, "trainable": True, "return_sequences": False, "return_state": False, "go_backwards": False,
        "stateful": False, "unroll": False, "units": 2, "activation": "tanh", "recurrent_activation": "sigmoid",
        "use_bias": True, "kernel_initializer": initializer(),
        "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
        "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None,
        "recurrent_regularizer": None, "bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None,
        "recurrent_constraint": None, "bias_constraint": None, "dropout": 0.0, "recurrent_dropout": 0.0,
        "implementation": 1, **more,
    }  # fmt: skip


GRU_3 = drawn((3, 6), (2, 6), (6,))
LSTM_3 = drawn((3, 8), (2, 8), (8,))

# (class, configuration of Keras 2, shape of a batch, arrays by the ends of their names, today's layer)
KERAS_2 = {
    "Dense": (
        {"units": 4, "activation": "relu", "use_bias": True, "kernel_initializer": initializer()},
        (None, 5), [("kernel:0", MATRIX), ("bias:0", SHORT)], lambda: layers.Dense(4, "relu"),
    ),
    "Conv2D": (
        {"filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_last",
         "dilation_rate": [1, 1], "activation": "linear", "use_bias": True},
        (None, 6, 6, 2), [("kernel:0", KERNEL), ("bias:0", BIAS)], lambda: layers.Conv2D(4, 3, padding="same"),
    ),
    "BatchNormalization": (
        {"axis": -1, "momentum": 0.99, "epsilon": 0.001, "center": True, "scale": True},
        (None, 5), list(zip(("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"), NORM, strict=True)),
        layers.BatchNormalization,
    ),
    "LSTM": (
        recurrent("lstm_1", unit_forget_bias=True), (None, 4, 3),
        list(zip(("kernel:0", "recurrent_kernel:0", "bias:0"), LSTM_3, strict=True)), lambda: layers.LSTM(2),
    ),
    "GRU": (
        recurrent("gru_1"), (None, 4, 3),
        list(zip(("kernel:0", "recurrent_kernel:0", "bias:0"), GRU_3, strict=True)),
        lambda: layers.GRU(2, reset_after=False),
    ),
    "Embedding": (
        {"input_dim": 5, "output_dim": 4, "mask_zero": False, "input_length": 3, "dtype": "float32",
         "embeddings_initializer": {"class_name": "RandomUniform",
                                    "config": {"minval": -0.05, "maxval": 0.05, "seed": None}}},
        (None, 3), [("embeddings:0", MATRIX)], lambda: layers.Embedding(5, 4),
    ),
    "Bidirectional": (
        {"merge_mode": "concat", "layer": {"class_name": "GRU", "config": recurrent("gru_1")}}, (None, 4, 3),
        [(f"{way}_gru_1/{end}", array * sign) for way, sign in (("forward", 1), ("backward", -1))
         for end, array in zip(("kernel:0", "recurrent_kernel:0", "bias:0"), GRU_3, strict=True)],
        lambda: layers.Bidirectional(layers.GRU(2, reset_after=False)),
    ),
}  # fmt: skip


def keras_2(path, cls, *, as_list, state=False):
    config, shape, named, _ = KERAS_2[cls]
    name = f"{cls.lower()}_1"
    held = {"name": name, "trainable": True, "batch_input_shape": shape, **config}
    entries = [
        {"class_name": cls, "config": {**held, "name": name}},
        {"class_name": "Dropout",
         "config": {"name": "dropout_1", "trainable": True, "rate": 0.5, "noise_shape": None, "seed": None}},
    ]  # fmt: skip
    inner = entries if as_list else {"name": "sequential_1", "layers": entries}
    training = {
        "optimizer_config": {"class_name": "SGD",
                             "config": {"lr": 0.125, "momentum": 0.5, "decay": 0.0, "nesterov": False}},
        "loss": "mean_squared_error", "metrics": ["mae"], "sample_weight_mode": None, "loss_weights": None,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = np.bytes_("2.2.4"), np.bytes_("tensorflow")
        file.attrs["model_config"] = np.bytes_(json.dumps({"class_name": "Sequential", "config": inner}))
        file.attrs["training_config"] = np.bytes_(json.dumps(training))
        write_weights(file.create_group("model_weights"), name, [(f"{name}/{end}", a) for end, a in named], "2.2.4")
        if state:
            group = file.create_group("optimizer_weights")
            group.attrs["weight_names"] = np.array([b"SGD/iterations:0"])
            group.create_dataset("SGD/iterations:0", data=np.int64(3))


@pytest.mark.parametrize("as_list", [False, True], ids=["2.2.4", "before 2.2.3"])
@pytest.mark.parametrize("cls", KERAS_2)
def test_models_of_keras_2(cls, as_list, tmp_path):
    _, shape, named, make = KERAS_2[cls]
    keras_2(tmp_path / "m.h5", cls, as_list=as_list)
    model = load_model(tmp_path / "m.h5")
    for found, (_, wanted) in zip(model.get_weights(), named, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert model.layers[0].name == f"{cls.lower()}_1" and model.input_shape == shape
    assert model.optimizer.learning_rate == 0.125 and model.optimizer.momentum == 0.5
    same = lamella.Sequential([lamella.Input(shape[1:]), make()])
    same.set_weights([array for _, array in named])
    x = np.random.RandomState(0).randint(0, 4, (2, *shape[1:])).astype("float32")
    np.testing.assert_array_equal(model.predict(x), same.predict(x))


def test_the_optimizer_s_state_of_keras_2_is_not_read_and_a_warning_says_so(tmp_path):
    keras_2(tmp_path / "m.h5", "Dense", as_list=False, state=True)
    with pytest.warns(UserWarning, match=r"the optimizer's state of Keras 2\.2\.4 is not read"):
        model = load_model(tmp_path / "m.h5")
    assert model._compiled.state.steps == 0
