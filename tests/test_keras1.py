"""Words of Keras 1: each still works, and its DeprecationWarning names today's name. (The tutorials: test_examples.py.)"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

import lamella
import lamella as keras
from lamella.layers import (
    LSTM,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Convolution2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    MaxPooling2D,
    Reshape,
)

L2 = lamella.regularizers.L2(0.01)

# (layer with old arguments, the old word, today's name, the same layer in today's names)
LAYERS = [
    (lambda: Dense(output_dim=4), "output_dim", "units", lambda: Dense(4)),
    (lambda: Dense(4, init="uniform"), "init", "kernel_initializer", lambda: Dense(4, kernel_initializer="uniform")),
    (lambda: Dense(4, bias=False), "bias", "use_bias", lambda: Dense(4, use_bias=False)),
    (lambda: Dense(4, W_regularizer=L2), "W_regularizer", "kernel_regularizer", lambda: Dense(4, kernel_regularizer=L2)),
    (lambda: Dense(4, b_regularizer=L2), "b_regularizer", "bias_regularizer", lambda: Dense(4, bias_regularizer=L2)),
    (lambda: Dense(4, W_constraint="non_neg"), "W_constraint", "kernel_constraint", lambda: Dense(4, kernel_constraint="non_neg")),  # noqa: E501
    (lambda: Dense(4, b_constraint="non_neg"), "b_constraint", "bias_constraint", lambda: Dense(4, bias_constraint="non_neg")),  # noqa: E501
    (lambda: Conv2D(nb_filter=4, kernel_size=3), "nb_filter", "filters", lambda: Conv2D(4, 3)),
    (lambda: Conv2D(4, 3, subsample=(2, 2)), "subsample", "strides", lambda: Conv2D(4, 3, strides=(2, 2))),
    (lambda: Conv2D(4, 3, border_mode="same"), "border_mode", "padding", lambda: Conv2D(4, 3, padding="same")),
    (lambda: Conv2D(4, 3, dim_ordering="tf"), "dim_ordering", "data_format", lambda: Conv2D(4, 3, data_format="channels_last")),  # noqa: E501
    (lambda: Conv2D(4, 3, dim_ordering="th"), "dim_ordering", "data_format", lambda: Conv2D(4, 3, data_format="channels_first")),  # noqa: E501
    (lambda: Conv2D(4, 3, dim_ordering="default"), "dim_ordering", "data_format", lambda: Conv2D(4, 3)),
    (lambda: Conv2D(4, 3, atrous_rate=2), "atrous_rate", "dilation_rate", lambda: Conv2D(4, 3, dilation_rate=2)),
    (lambda: Conv2D(4, 3, init="he_normal"), "init", "kernel_initializer", lambda: Conv2D(4, 3, kernel_initializer="he_normal")),  # noqa: E501
    (lambda: Convolution2D(4, 3, 2), "Convolution2D(4, 3, 2)", "Conv2D(4, (3, 2))", lambda: Convolution2D(4, (3, 2))),
    (lambda: Convolution2D(4, 3, 3), "Convolution2D(4, 3, 3)", "Conv2D(4, (3, 3))", lambda: Convolution2D(4, (3, 3))),
    (lambda: Conv2D(4, 3, 3, border_mode="same"), "border_mode", "padding", lambda: Conv2D(4, (3, 3), padding="same")),
    (lambda: Convolution2D(4, nb_row=3, nb_col=2), "nb_row=, nb_col", "kernel_size", lambda: Convolution2D(4, (3, 2))),
    (lambda: MaxPooling2D(border_mode="same"), "border_mode", "padding", lambda: MaxPooling2D(padding="same")),
    (lambda: MaxPooling2D(dim_ordering="th"), "dim_ordering", "data_format", lambda: MaxPooling2D(data_format="channels_first")),  # noqa: E501
    (lambda: AveragePooling2D(2, border_mode="same"), "border_mode", "padding", lambda: AveragePooling2D(2, padding="same")),
    (lambda: GlobalAveragePooling2D(dim_ordering="tf"), "dim_ordering", "data_format", lambda: GlobalAveragePooling2D(data_format="channels_last")),  # noqa: E501
    (lambda: GlobalMaxPooling2D(dim_ordering="tf"), "dim_ordering", "data_format", lambda: GlobalMaxPooling2D(data_format="channels_last")),  # noqa: E501
    (lambda: Flatten(dim_ordering="tf"), "dim_ordering", "data_format", lambda: Flatten(data_format="channels_last")),
    (lambda: Dropout(p=0.25), "p", "rate", lambda: Dropout(0.25)),
    (lambda: Reshape(dims=(2, 2)), "dims", "target_shape", lambda: Reshape((2, 2))),
    (lambda: BatchNormalization(mode=0), "mode", "nothing", BatchNormalization),
    (lambda: BatchNormalization(beta_init="one"), "beta_init", "beta_initializer", lambda: BatchNormalization(beta_initializer="one")),  # noqa: E501
    (lambda: BatchNormalization(gamma_init="zero"), "gamma_init", "gamma_initializer", lambda: BatchNormalization(gamma_initializer="zero")),  # noqa: E501
    (lambda: LSTM(output_dim=4), "output_dim", "units", lambda: LSTM(4)),
    (lambda: LSTM(4, inner_init="orthogonal"), "inner_init", "recurrent_initializer", lambda: LSTM(4, recurrent_initializer="orthogonal")),  # noqa: E501
    (lambda: LSTM(4, inner_activation="tanh"), "inner_activation", "recurrent_activation", lambda: LSTM(4, recurrent_activation="tanh")),  # noqa: E501
    (lambda: LSTM(4, U_regularizer=L2), "U_regularizer", "recurrent_regularizer", lambda: LSTM(4, recurrent_regularizer=L2)),
    (lambda: LSTM(4, dropout_W=0.5), "dropout_W", "dropout", lambda: LSTM(4, dropout=0.5)),
    (lambda: LSTM(4, dropout_U=0.5), "dropout_U", "recurrent_dropout", lambda: LSTM(4, recurrent_dropout=0.5)),
    (lambda: LSTM(4, forget_bias_init="one"), "forget_bias_init", "unit_forget_bias", lambda: LSTM(4, unit_forget_bias=True)),
    (lambda: LSTM(4, forget_bias_init="zero"), "forget_bias_init", "unit_forget_bias", lambda: LSTM(4, unit_forget_bias=False)),  # noqa: E501
    (lambda: LSTM(4, consume_less="gpu"), "consume_less", "nothing", lambda: LSTM(4)),
]  # fmt: skip


def comparable(config):
    config.pop("name")
    return {key: (value if not isinstance(value, list) else tuple(value)) for key, value in config.items()}


@pytest.mark.parametrize(("old", "word", "new", "today"), LAYERS, ids=[f"{i}-{row[1]}" for i, row in enumerate(LAYERS)])
def test_an_old_word_makes_the_layer_of_today_s_word_and_says_so(old, word, new, today):
    with pytest.warns(DeprecationWarning) as caught:
        layer = old()
    told = [str(w.message) for w in caught]
    assert any(text.startswith(f"{word}") and f"write {new}" in text for text in told), told
    assert all(w.filename == __file__ for w in caught)
    assert comparable(layer.get_config()) == comparable(today().get_config())


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Dense(2, input_dim=3), (None, 3)),
        (lambda: Dense(2, input_shape=(3,)), (None, 3)),
        (lambda: Dense(2, batch_input_shape=(8, 3)), (8, 3)),
        (lambda: LSTM(2, input_dim=3, input_length=5), (None, 5, 3)),
        (lambda: LSTM(2, input_shape=(5, 3)), (None, 5, 3)),
        (lambda: Conv2D(2, 3, input_shape=(8, 8, 1)), (None, 8, 8, 1)),
        (lambda: Activation("relu", input_shape=(3,)), (None, 3)),
        (lambda: Flatten(input_shape=(2, 2)), (None, 2, 2)),
    ],
)
def test_a_first_layer_brings_its_input_shape_without_a_warning(make, shape):
    assert lamella.Sequential([make()]).input_shape == shape


def test_weights_may_be_given_to_the_layer():
    weights = [np.ones((3, 2), "float32"), np.full(2, 5, "float32")]
    model = lamella.Sequential([Dense(2, input_dim=3, weights=weights)])
    for now, given in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, given)


def test_weights_that_do_not_fit_the_layer_are_told_and_the_layer_is_not_added():
    model = lamella.Sequential([Input((3,))])
    with pytest.raises(ValueError, match=r"Layer 'dense'.*weight 'kernel' has shape \(3, 2\), got \(2, 3\)"):
        model.add(Dense(2, weights=[np.ones((2, 3)), np.ones(2)]))
    assert model.layers == []


def test_an_old_and_a_new_word_for_one_argument_are_refused():
    with pytest.raises(TypeError, match="Dense got both 'output_dim' and 'units', two names of one argument"):
        Dense(units=3, output_dim=3)
    with pytest.raises(ValueError, match="only mode 0"):
        BatchNormalization(mode=1)


INITIALIZERS = [
    "uniform",
    "normal",
    "zero",
    "one",
    "identity",
    "orthogonal",
    "glorot_uniform",
    "he_normal",
    "lecun_uniform",
]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_names_of_initializers_of_both_eras(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        kernel = lamella.Sequential([Dense(4, input_dim=4, kernel_initializer=name)]).get_weights()[0]
    expected = {"zero": np.zeros((4, 4)), "one": np.ones((4, 4)), "identity": np.eye(4)}
    if name in expected:
        np.testing.assert_array_equal(kernel, expected[name])
    else:
        assert 0 < np.abs(kernel).max() < 5
    if name == "uniform":
        assert np.abs(kernel).max() <= 0.05


OTHER_NAMES = [
    (lambda: keras.optimizers.SGD(lr=0.5).learning_rate, 0.5, "lr", "learning_rate"),
    (lambda: keras.optimizers.SGD(learning_rate=0.5, decay=1.0).learning_rate, 0.5, "decay", "InverseTimeDecay"),
    (lambda: keras.losses.get("kullback_leibler_divergence").name, "kl_divergence", "kullback", "kl_divergence"),
    (lambda: keras.losses.get("cosine_proximity").name, "cosine_similarity", "cosine_proximity", "cosine_similarity"),
    (lambda: type(keras.constraints.get("maxnorm")).__name__, "MaxNorm", "maxnorm", "max_norm"),
    (lambda: type(keras.constraints.get("nonneg")).__name__, "NonNeg", "nonneg", "non_neg"),
    (lambda: type(keras.constraints.get("unitnorm")).__name__, "UnitNorm", "unitnorm", "unit_norm"),
]


@pytest.mark.parametrize(("make", "value", "word", "new"), OTHER_NAMES, ids=[row[2] for row in OTHER_NAMES])
def test_old_names_of_optimizer_arguments_losses_and_constraints(make, value, word, new):
    with pytest.warns(DeprecationWarning, match=f"{word}.*{new}"):
        assert make() == value


# ---- compile, fit, predict ----


def regression(backend):
    model = keras.models.Sequential([keras.layers.Dense(1, input_dim=1)])
    model.compile(optimizer="sgd", loss="mse", backend=backend)
    return model


def test_nb_epoch_is_epochs(backend):
    model = regression(backend)
    x = np.linspace(-1, 1, 8)
    with pytest.warns(DeprecationWarning, match="nb_epoch= is a name of an earlier Keras; write epochs=") as caught:
        history = model.fit(x, x, nb_epoch=3, verbose=0)
    assert len(history.epoch) == 3
    assert caught[0].filename == __file__


def test_class_mode_and_show_accuracy():
    model = keras.Sequential([Dense(1, input_dim=2, activation="sigmoid")])
    with pytest.warns(DeprecationWarning, match=r"write metrics=\['accuracy'\]") as caught:
        model.compile("sgd", "binary_crossentropy", class_mode="binary", backend="numpy")
    assert caught[0].filename == __file__
    assert list(model.fit(np.eye(2), [0, 1], verbose=0).history) == ["accuracy", "loss"]
    with pytest.raises(TypeError, match=r"compile\(metrics=\['accuracy'\]\)"):
        model.fit(np.eye(2), [0, 1], show_accuracy=True)


def test_predict_classes_and_predict_proba(backend):
    model = keras.Sequential([Dense(3, input_dim=2, activation="softmax")])
    x = np.eye(2)
    y = model.predict(x, verbose=0)
    with pytest.warns(DeprecationWarning, match=r"write predict\(x\)\.argmax"):
        np.testing.assert_array_equal(model.predict_classes(x), y.argmax(-1))
    with pytest.warns(DeprecationWarning, match="predict_proba is a name of an earlier Keras; write predict"):
        np.testing.assert_array_equal(model.predict_proba(x), y)


def test_dense_before_flatten_on_images_works_as_in_keras(backend):
    model = keras.Sequential([Input((4, 4, 3)), Dense(2), Flatten(), Dense(1)])
    assert [w.shape for w in model.get_weights()] == [(3, 2), (2,), (32, 1), (1,)]
    model.compile("rmsprop", "mse")
    model.fit(np.ones((4, 4, 4, 3)), np.ones(4), verbose=0)
    assert model.predict(np.ones((2, 4, 4, 3)), verbose=0).shape == (2, 1)


def test_a_script_of_2016_with_only_the_import_lines_changed(backend):
    with pytest.warns(DeprecationWarning):
        model = keras.models.Sequential()
        model.add(Convolution2D(4, 3, 3, border_mode="same", input_shape=(8, 8, 1)))
        model.add(Activation("relu"))
        model.add(MaxPooling2D(pool_size=(2, 2)))
        model.add(Dropout(0.25))
        model.add(Flatten())
        model.add(Dense(8, init="uniform", activation="relu", W_regularizer="l2"))
        model.add(Dense(2))
        model.add(Activation("softmax"))
        model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.SGD(lr=0.1), metrics=["accuracy"])
        x = np.random.default_rng(0).normal(size=(12, 8, 8, 1)).astype("float32")
        y = keras.utils.to_categorical(np.arange(12) % 2, 2)
        history = model.fit(x, y, nb_epoch=2, batch_size=4, verbose=0, validation_data=(x, y))
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert [layer.name for layer in model.layers][:2] == ["conv2d", "activation"]
    score = model.evaluate(x, y, verbose=0)
    assert len(score) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "from lamella.models import Sequential",
        "from lamella.layers.core import Dense, Dropout, Activation, Flatten",
        "from lamella.layers import Convolution2D, MaxPooling2D",
        "from lamella.optimizers import SGD, RMSprop",
        "from lamella.regularizers import l2",
        "from lamella.callbacks import Callback, History, LambdaCallback",
        "from lamella.utils import to_categorical",
    ],
)
def test_import_lines_of_tutorials(statement):
    exec(statement, {})  # the statement is this file's own


def test_np_utils_of_old_imports_is_utils_today(monkeypatch):
    # where another test has imported it, it is an attribute, without a warning
    monkeypatch.delitem(sys.modules, "lamella.utils.np_utils", raising=False)
    monkeypatch.delitem(vars(lamella.utils), "np_utils", raising=False)
    with pytest.warns(DeprecationWarning, match="np_utils"):
        from lamella.utils import np_utils
    assert np_utils.to_categorical([0, 2]).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_the_arguments_of_a_model_and_those_of_a_class_of_ones_own():
    x = Input((2,))
    y = Dense(3)(x)
    with pytest.warns(DeprecationWarning, match="write (inputs|outputs)="):
        model = keras.Model(input=x, output=y)
    assert model.output_shape == (None, 3)

    class Own(keras.Model):
        def __init__(self, input):
            super().__init__()
            self.given = input

    assert Own(input=3).given == 3
