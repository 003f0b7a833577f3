"""Losses that become NaN or infinite: the warning of `fit`, and what `lamella.debug` finds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lamella
from lamella import debug, ops
from lamella.initializers import Constant
from lamella.ir.trace import recording_lines, trace
from lamella.layers import Dense, Input
from lamella.ops.control import replay
from lamella.passes import differentiate, simplify
from lamella.training.data import is_finite

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X[:, :1].copy()


def model_of(*layers, optimizer="sgd", loss="mse", **options):
    model = lamella.Sequential([Input((3,)), *layers, Dense(1)])
    model.compile(optimizer, loss, **options)
    return model


def holding(value, where="x", row=17):
    x, y = X.copy(), Y.copy()
    {"x": x, "y": y}[where][row] = value
    return x, y


def warned(model, *given, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*given, verbose=0, **options)
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


# ---- the warning of fit ----


def as_rows(x, y):
    return x, y


def as_batches(x, y):
    return ([(x[at : at + 8], y[at : at + 8]) for at in (0, 8, 16)],)


@pytest.mark.parametrize("given", [as_rows, as_batches])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "y"])
def test_the_epoch_and_the_array_are_named_once(given, value, where, backend):
    model = model_of()
    (message,) = warned(model, *given(*holding(value, where)), epochs=3)
    assert message.startswith("The loss became ")
    assert "in epoch 1. The data of the epoch hold NaN or infinite values, in " + where + "." in message


@pytest.mark.parametrize("given", [as_rows, as_batches])
def test_a_loss_that_diverges_is_told_of_when_it_does(given, backend):
    model = model_of(optimizer=lamella.optimizers.SGD(1e18))
    (message,) = warned(model, *given(X, Y), batch_size=24 if given is as_rows else None, epochs=9)
    first = int(np.argmax(~np.isfinite(model.history.history["loss"]))) + 1
    assert first > 1 or given is as_batches
    assert f"in epoch {first}. The data of the epoch are finite" in message
    assert "lamella.debug.first_nonfinite(model, x, y)" in message


def test_what_an_earlier_epoch_held_is_not_blamed_on_a_later_one(backend):
    class Batches(lamella.utils.PyDataset):
        epoch = 0

        def __len__(self):
            return 3

        def __getitem__(self, index):
            x = X[index * 8 : index * 8 + 8].copy()
            x[0] = np.nan if self.epoch == 1 else 0
            return x, Y[index * 8 : index * 8 + 8]

        def on_epoch_end(self):
            self.epoch += 1

    (message,) = warned(model_of(), Batches(), epochs=3)
    assert "in epoch 2. The data of the epoch hold" in message


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_large_numbers_are_finite(dtype):
    array = np.ones((3, 4), dtype)
    if dtype != "int32":
        array[1] = np.finfo(dtype).max  # its square is not
    assert is_finite(array)
    if dtype != "int32":
        array[2, 3] = np.nan
        assert not is_finite(array)


def test_rows_filled_up_and_rows_behind_are_not_looked_at(backend):
    # the arrays that batches are gathered in have room for more rows than come
    for _ in range(3):
        assert warned(model_of(), *as_batches(X[:20], Y[:20]), epochs=2) == []


# ---- lamella.debug ----


def line_of(found, text):
    """The line is that of this file with the text."""
    assert found.line.file == __file__
    assert text in str(found.line)
    return True


class Logarithm(lamella.Layer):
    def call(self, inputs):
        y = ops.log(inputs)
        return y * 0.0  # the infinity becomes NaN


class Loop(lamella.Layer):
    def call(self, inputs):
        def step(carry, x):
            carry = ops.sqrt(carry - x)
            return carry, carry

        return ops.scan(step, inputs[:, 0], ops.transpose(inputs, (1, 0, 2)))[0]


def rooted(y, prediction):
    return ops.sqrt(ops.sum(ops.square(y - prediction), axis=-1))


def positive(zero=True):
    x = np.abs(X) + 0.5
    x[5, 1] = 0.0 if zero else 1.0
    return x


def test_nothing_is_found_where_all_is_finite(backend):
    assert debug.first_nonfinite(model_of(Logarithm()), positive(zero=False), Y) is None
    assert debug.first_nonfinite(model_of(), X) is None


def test_inputs_targets_and_weights_come_first(backend):
    model = model_of()
    assert str(debug.first_nonfinite(model, *holding(np.nan))) == "input x holds NaN, 3 of 72 numbers"
    assert str(debug.first_nonfinite(model, *holding(np.inf, "y"))) == "target y holds inf, 1 of 24 numbers"
    model.set_weights([np.full((3, 1), np.inf), np.zeros(1)])
    assert str(debug.first_nonfinite(model, X, Y)) == "weight dense/kernel holds inf, 3 of 3 numbers"


def test_the_equation_the_layer_and_the_line_of_the_user_are_named(backend):
    found = debug.first_nonfinite(model_of(Dense(3, activation="relu"), Logarithm()), positive(), Y)
    assert (found.kind, found.layer, found.gradient) == ("inf", "logarithm", False)
    assert found.name.startswith("float32[24,3] = log(float32[24,3] from 0 to ")
    assert line_of(found, "y = ops.log(inputs)")
    assert (found.then.kind, found.then.layer) == ("NaN", "logarithm")
    assert line_of(found.then, "return y * 0.0")
    assert "\nthen float32[24,3] = multiply(" in str(found)
    assert "in layer 'logarithm'\n  " + __file__ in str(found)


def test_for_a_layer_of_lamella_s_the_line_where_it_was_made(backend):
    model = model_of(Dense(3, "exponential", kernel_initializer="ones", bias_initializer=Constant(99.0)))
    found = debug.first_nonfinite(model, X)
    assert (found.kind, found.layer) == ("inf", "dense")
    assert " = exp(" in found.name
    assert line_of(found, "model = model_of(Dense(3,")


def test_a_gradient_is_named_by_what_it_is_the_gradient_of(backend):
    model = model_of(loss=rooted)
    model.set_weights([np.array([[1.0], [0], [0]]), np.zeros(1)])  # predictions that are the targets
    found = debug.first_nonfinite(model, X, Y)
    assert (found.layer, found.gradient) == ("loss", True)
    assert line_of(found, "return ops.sqrt(")
    assert "in the gradient of the loss" in str(found)


def test_a_loop_is_looked_into(backend):
    model = lamella.Sequential([Input((5, 3)), Loop(), Dense(1)])
    model.compile("sgd", "mse")
    found = debug.first_nonfinite(model, np.ones((2, 5, 3)), np.ones((2, 1)))
    assert (found.kind, found.layer) == ("NaN", "loop")
    assert found.name == "float32[2,3] = sqrt(float32[2,3] from -1 to -1)"
    assert line_of(found, "carry = ops.sqrt(carry - x)")


def test_an_infinite_constant_is_meant_to_be(backend):
    class Masked(lamella.Layer):
        def call(self, inputs):
            hidden = ops.where(inputs > 100.0, inputs, -np.inf)  # everything
            return ops.softmax(hidden)

    found = debug.first_nonfinite(model_of(Masked()), X, Y)
    assert found.kind == "NaN"
    assert line_of(found, "return ops.softmax(hidden)")


def test_lines_are_recorded_when_they_are_asked_for(backend):
    model = model_of(Logarithm())
    assert all(equation.line is None for equation in model.program().equations)
    with recording_lines("lamella.debug"):
        program = model.program()
    told = {str(equation.line).partition(": ")[2] for equation in program.equations if equation.where == "logarithm"}
    assert told == {"y = ops.log(inputs)", "return y * 0.0  # the infinity becomes NaN"}
    simple = simplify(differentiate(reduced(program), [0]))
    assert {e.line.number for e in simple.equations if e.where.startswith("logarithm")} <= {
        e.line.number for e in program.equations
    }


def reduced(program):
    """The sum of a program's first output."""

    def total(*inputs):
        return ops.sum(replay(program, inputs)[0])

    return trace(total, *program.input_specs)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy, backend):
    with_policy = [Dense(3, dtype=policy, kernel_initializer=Constant(60000.0)), Dense(3, dtype=policy)]
    found = debug.first_nonfinite(model_of(*with_policy), np.full((2, 3), 50.0), np.ones((2, 1)))
    assert (found is None) == (policy == "mixed_bfloat16")
    assert found is None or (found.layer, found.kind) == ("dense", "inf")


def test_a_batch_that_does_not_fit(backend):
    with pytest.raises(ValueError, match="expected inputs of shape"):
        debug.first_nonfinite(model_of(), np.ones((2, 4)))
    with pytest.raises(ValueError, match="not compiled"):
        debug.first_nonfinite(lamella.Sequential([Input((3,)), Dense(1)]), X, Y)
