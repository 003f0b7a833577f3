"""Tracebacks: the user's lines and one frame of lamella's, unless filtering is turned off."""

from __future__ import annotations

import traceback
from types import FunctionType

import numpy as np
import pytest

import lamella
from lamella import config, ops
from lamella.layers import LSTM, Activation, Conv2D, Dense, Input
from lamella.tracebacks import METHODS

X, Y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")


@pytest.fixture(autouse=True)
def _filtering():
    config.enable_traceback_filtering()
    yield
    config.disable_traceback_filtering()


class Mine(lamella.Layer):
    def call(self, inputs):
        return ops.matmul(inputs, np.ones((7, 2), "float32"))


class Failing(lamella.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("mine")


def wrong_loss(y, prediction):
    return ops.reshape(prediction, (7,))


def wrong_body(carry, x):
    return ops.add(carry, np.ones(9)), x


def model_of(*layers, loss="mse", **options):
    model = lamella.Sequential([Input((3,)), *(layers or [Dense(2)])])
    model.compile("sgd", loss, **options)
    return model


CASES = {
    # what fails, and the functions of the user's that its traceback shows behind the caller
    "fit": (lambda: model_of().fit(np.ones((8, 4)), Y, verbose=0), []),
    "targets": (lambda: model_of().fit(X, X, verbose=0), []),
    "an argument": (lambda: model_of().fit(X, Y, epoch=3), []),
    "evaluate": (lambda: model_of().evaluate(np.ones((8, 4)), Y, verbose=0), []),
    "predict": (lambda: model_of().predict(np.ones((8, 4)), verbose=0), []),
    "predict_on_batch": (lambda: model_of().predict_on_batch(np.ones((8, 4))), []),
    "train_on_batch": (lambda: model_of().train_on_batch(np.ones((8, 4)), Y), []),
    "call": (lambda: model_of()(np.ones((8, 4))), []),
    "compile": (lambda: model_of(loss="msee"), []),
    "add": (lambda: model_of().add(Conv2D(3, 3)), []),
    "build": (lambda: lamella.Sequential([Conv2D(3, 3)]).build((None, 3)), []),
    "save": (lambda: model_of().save("model.txt"), []),
    "load_weights": (lambda: model_of().load_weights("missing.txt"), []),
    "from_config": (lambda: lamella.Sequential.from_config({"layers": [{"class_name": "Dens", "config": {}}]}), []),
    "model_from_json": (lambda: lamella.models.model_from_json("{"), []),
    "a layer's argument": (lambda: Dense("two"), []),
    "a layer's call": (lambda: LSTM(3)(X), []),
    "compute_output_shape": (lambda: LSTM(3).compute_output_shape((None, 3)), []),
    "an op": (lambda: ops.add(np.ones(3), np.ones(4)), []),
    "a composed op": (lambda: ops.softsign("text"), []),
    "an operand": (lambda: ops.convert_to_tensor("text"), []),
    "a loss": (lambda: lamella.losses.MeanSquaredError()(X, Y), []),
    "a metric": (lambda: lamella.metrics.MeanSquaredError().update_state(X, Y), []),
    "an optimizer's step": (lambda: lamella.optimizers.SGD().apply([X], []), []),
    "a layer of the user's": (lambda: model_of(Mine()), ["call"]),
    "the same, called on arrays": (lambda: Mine()(X), ["call"]),
    "a function of the user's": (lambda: model_of(Activation(lambda x: ops.dot(x, np.ones(7)))), ["<lambda>"]),
    "a loss of the user's": (lambda: model_of(loss=wrong_loss).fit(X, Y, verbose=0), ["wrong_loss"]),
    "the same, run eagerly": (lambda: model_of(loss=wrong_loss, run_eagerly=True).fit(X, Y, verbose=0), ["wrong_loss"]),
    "the body of a loop": (lambda: ops.scan(wrong_body, np.ones(3), np.ones((2, 3))), ["wrong_body"]),
    "a callback": (lambda: model_of().fit(X, Y, verbose=0, callbacks=[Failing()]), ["on_epoch_end"]),
}


def frames_of(error):
    """The functions of a traceback, those of lamella's marked."""
    own = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        package = frame.f_globals["__name__"].partition(".")[0]
        if package in ("lamella", "lamella_jax", "lamella_numpy", __name__.rpartition(".")[2], __name__):
            own.append(("lamella" if package.startswith("lamella") else "user", frame.f_code.co_name))
    return own


@pytest.mark.parametrize("name", CASES)
def test_a_traceback_shows_the_user_s_lines_and_one_of_lamella_s(name, backend):
    function, inner = CASES[name]
    with pytest.raises(Exception) as raised:
        function()
    frames = frames_of(raised.value)
    assert [f for kind, f in frames if kind == "user" and f != "model_of"][1:] == ["<lambda>", *inner]
    assert [kind for kind, _ in frames].count("lamella") == 1


def test_all_frames_are_there_when_filtering_is_off(backend):
    assert config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()
    with pytest.raises(ValueError) as raised:
        CASES["a layer of the user's"][0]()
    frames = frames_of(raised.value)
    assert ("user", "call") in frames
    assert [kind for kind, _ in frames].count("lamella") > 3


def test_what_stands_behind_an_error_is_shortened_too():
    class Chained(lamella.Layer):
        def call(self, inputs):
            try:
                return ops.matmul(inputs, np.ones((7, 2), "float32"))
            except ValueError as error:
                raise RuntimeError("mine") from error

    with pytest.raises(RuntimeError) as raised:
        model_of(Chained())
    assert [kind for kind, _ in frames_of(raised.value.__cause__)] == ["user", "lamella"]


def test_an_error_that_is_caught_and_raised_again_keeps_its_frames():
    def again():
        try:
            ops.add(np.ones(3), np.ones(4))
        except ValueError:
            model_of()  # makes and catches its own errors
            raise

    with pytest.raises(ValueError, match="do not broadcast") as raised:
        again()
    assert [f for kind, f in frames_of(raised.value) if kind == "user"][1:] == ["again"]


def test_every_public_function_of_ops_filters():
    functions = {name: f for name in dir(ops) if name[0] != "_" and isinstance(f := getattr(ops, name), FunctionType)}
    assert len(functions) > 150
    assert [name for name, f in functions.items() if not hasattr(f, "__wrapped__")] == []


def test_a_function_of_two_names_stays_one():
    assert ops.hard_swish is ops.hard_silu


def test_every_method_that_filters_is_one():
    model = model_of()
    assert [name for name in METHODS if not callable(getattr(model, name, None))] == []
    assert [name for name in METHODS - {"from_config"} if not hasattr(getattr(type(model), name), "__wrapped__")] == []


def test_a_class_s_attributes_are_left_alone():
    class Adding(lamella.Layer):
        add = Dense(2)

        @property
        def program(self):
            return 3

        def call(self, inputs):
            return inputs

    assert isinstance(Adding.add, Dense)
    assert Adding().program == 3


SCRIPT = """
import numpy as np
import lamella
from lamella.layers import Dense, Input
model = lamella.Sequential([Input((3,)), Dense(2)])
{setting}
model.predict(np.ones((2, 4)))
"""


def test_in_a_terminal(run_python):
    short = run_python(code=SCRIPT.format(setting=""), check=False).stderr
    whole = run_python(code=SCRIPT.format(setting="lamella.config.disable_traceback_filtering()"), check=False).stderr
    assert short.count("  File ") == 2
    assert 'File "<string>", line 7, in <module>' in short
    assert "expected inputs of shape (None, 3), got (2, 4)" in short
    assert whole.count("  File ") > 3
