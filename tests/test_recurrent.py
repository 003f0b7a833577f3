"""What recurrent layers promise beside Keras's numbers: states, dropout, loops, cells of your own, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
import recurrent_replay as replay
from lamella import layers, ops, passes
from lamella.errors import ArgumentError, ShapeError
from lamella.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    GRUCell,
    Input,
    Layer,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
)
from lamella.ops import primitives as p
from layer_replay import difference
from oracle import cases
from test_scan import loops

ROWS = {case.id: case for case in cases.RECURRENT}
X = np.random.default_rng(0).standard_normal((2, 6, 3)).astype("float32")


def sequential(*stack, batch=None, steps=6):
    return lamella.Sequential([Input(batch_shape=(batch, steps, 3)), *stack])


# ---- loops ----


@pytest.mark.parametrize("name", ["simple-rnn", "gru", "lstm"])
def test_weight_gradients_leave_the_loop(name):
    case = ROWS[f"{name}-sequences"]
    layer = replay.build(case)
    derived = passes.simplify(replay.gradient_program(layer, case, True)[0])
    weights = {v.shape for v in layer.variables}
    found = list(loops(derived))
    assert len(found) == 2  # forward and backward
    for loop in found:
        n, m = loop.attrs["consts"], loop.attrs["carries"]
        assert {v.shape for v in loop.inputs[n : n + m]} == {(3, 3)}, "a carry that is not a state"
        assert loop.inputs[n].shape not in weights or name == "simple-rnn"
        assert m == (2 if name == "lstm" else 1), "a weight's gradient is added up in the loop"


@pytest.mark.parametrize("make", [SimpleRNN, GRU, LSTM])
def test_inputs_are_projected_before_the_loop(make):
    program = passes.simplify(sequential(make(4)).program(batch_size=5))
    (loop,) = loops(program)
    inside = [e for e in loop.attrs["body"].equations if e.op is p.contract]
    assert len(inside) == 1
    # of the layout of the loop, too: the inputs are turned, which are smaller than what they are projected to
    (outside,) = [e.outputs[0].shape for e in program.equations if e.op is p.contract]
    assert outside == (6, 5, inside[0].outputs[0].shape[1])


@pytest.mark.parametrize("make", [SimpleRNN, GRU, LSTM])
def test_an_unrolled_layer_is_the_loop(make, backend):
    for kwargs in ({}, {"return_sequences": True, "go_backwards": True}, {"dropout": 0.5, "recurrent_dropout": 0.5}):
        models = [sequential(make(4, unroll=unroll, name="same", **kwargs)) for unroll in (False, True)]
        models[1].set_weights(models[0].get_weights())
        looped, written = (
            np.asarray(m.lower(backend)(*weights_of(m, backend), X, training=True, seed=3)[0]) for m in models
        )
        assert not list(loops(models[1].program(batch_size=2)))
        np.testing.assert_allclose(looped, written, rtol=2e-5, atol=1e-6)


def weights_of(model, backend):
    fn = model.lower(backend)
    return fn.params, fn.state


# ---- dropout ----


@pytest.mark.parametrize("make", [SimpleRNN, GRU, LSTM])
@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.5, 0.25)])
def test_dropout_masks_are_the_same_on_both_backends(make, rates, both):
    model = sequential(make(4, dropout=rates[0], recurrent_dropout=rates[1], return_sequences=True))
    answers = [np.asarray(model.lower(name)(*weights_of(model, name), X, training=True, seed=7)[0]) for name in both]
    assert difference(*answers) <= 1e-5
    quiet = np.asarray(model.lower("numpy")(*weights_of(model, "numpy"), X)[0])
    assert difference(answers[0], quiet) > 1e-2


def test_an_input_mask_is_the_same_at_every_step(backend):
    layer = SimpleRNN(3, activation=None, use_bias=False, dropout=0.5, return_sequences=True,
                      kernel_initializer="identity", recurrent_initializer="zeros")  # fmt: skip
    model = sequential(layer)
    y = np.asarray(model.lower(backend)(*weights_of(model, backend), np.ones_like(X), training=True, seed=1)[0])
    assert set(np.unique(y)) <= {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))


# ---- states ----


@pytest.mark.parametrize("make", [SimpleRNN, GRU, LSTM, lambda u, **w: RNN([LSTMCell(u), GRUCell(u)], **w)])
def test_batches_of_a_stateful_layer_continue_one_sequence(make, backend):
    whole = sequential(make(4, return_sequences=True))
    parts = sequential(make(4, return_sequences=True, stateful=True), batch=2, steps=3)
    parts.set_weights([*whole.get_weights(), *parts.get_weights()[len(whole.weights) :]])
    first, second = np.asarray(parts(X[:, :3])), np.asarray(parts(X[:, 3:]))
    expected = np.asarray(whole(X))
    np.testing.assert_allclose(np.concatenate([first, second], 1), expected, rtol=1e-5, atol=1e-6)
    parts.layers[0].reset_states()
    np.testing.assert_allclose(np.asarray(parts(X[:, :3])), expected[:, :3], rtol=1e-5, atol=1e-6)


def test_a_stateful_layer_keeps_its_state_through_fit(backend):
    model = sequential(LSTM(4, stateful=True), Dense(1), batch=2)
    model.compile("sgd", "mse")
    model.fit(np.tile(X, (3, 1, 1)), np.zeros((6, 1), "float32"), batch_size=2, epochs=1, shuffle=False, verbose=0)
    assert all(np.any(state.numpy() != 0) for state in model.layers[0].states)
    assert model.layers[0].trainable_variables == model.layers[0].variables[:3]


def test_a_stateful_layer_within_another(backend):
    model = sequential(Bidirectional(GRU(2, stateful=True)), batch=2)
    one, two = np.asarray(model(X)), np.asarray(model(X))
    assert difference(one, two) > 1e-3
    model.layers[0].reset_states()
    np.testing.assert_array_equal(np.asarray(model(X)), one)


def test_a_stateful_layer_needs_a_batch_size():
    with pytest.raises(
        ValueError, match=r"'lstm': stateful=True needs the batch size; declare it with Input\(batch_shape"
    ):
        sequential(LSTM(2, stateful=True))
    layer = LSTM(2, stateful=True)
    layer.build((2, 6, 3))
    with pytest.raises(ShapeError, match="stateful for batches of 2 rows, got 1 rows"):
        layer(X[:1])


def test_initial_and_last_states(backend):
    layer = GRU(4, return_state=True)
    _, state = layer(X[:, :3])
    y, last = layer(X[:, 3:], initial_state=state)
    np.testing.assert_allclose(np.asarray(y), np.asarray(layer(X)[0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(y), np.asarray(last))


def test_return_state_has_no_place_in_a_sequential():
    with pytest.raises(ShapeError, match=r"Layer 'lstm' returned tuple; in a Sequential it must return one array\."):
        sequential(LSTM(2, return_state=True))
    with pytest.raises(ShapeError, match="returned tuple"):
        sequential(Bidirectional(LSTM(2), merge_mode=None))


def test_a_masked_step_of_a_conv_lstm_changes_nothing(backend):
    """Keras 3.15.1 cannot take a mask here."""
    layer = layers.ConvLSTM1D(2, 2, return_sequences=True)
    x, mask = X[..., None], np.array([[True] * 4 + [False] * 2] * 2)
    y, short = np.asarray(layer(x, mask=mask)), np.asarray(layer(x[:, :4]))
    np.testing.assert_allclose(y[:, :4], short, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y[:, 4:], np.broadcast_to(short[:, 3:], y[:, 4:].shape), rtol=1e-5, atol=1e-6)


# ---- cells ----


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_gru_whose_gate_is_open_keeps_its_state_to_the_bit(reset_after, backend):
    layer = GRU(4, reset_after=reset_after, activation="linear")
    layer.build((2, 6, 3))
    kernel, recurrent, bias = layer.get_weights()
    kernel[:, 8:] *= 1000  # n is far larger than the state
    bias[..., :4] = 40  # z is 1
    layer.set_weights([kernel, recurrent, bias])
    state = np.array([[1e-3, -0.7, 0.1, 3.0], [1.1, 1e-9, -2.0, 0.3]], "float32")
    np.testing.assert_array_equal(np.asarray(layer(X, initial_state=state)), state)


@pytest.mark.parametrize(("cell", "states"), [(SimpleRNNCell, 1), (GRUCell, 1), (LSTMCell, 2)])
def test_a_cell_is_one_step(cell, states, backend):
    made = cell(4)
    zero = [np.zeros((2, 4), "float32")] * states
    y, after = made(X[:, 0], zero)
    assert len(after) == states
    np.testing.assert_allclose(np.asarray(y), np.asarray(RNN(made)(X[:, :1])), rtol=1e-5, atol=1e-6)


class Leaky(Layer):
    """A cell whose output is not its state."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.output_size = 1

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        h = 0.5 * states[0] + ops.matmul(inputs, self.kernel)
        return ops.sum(h, 1, keepdims=True), [h]


@pytest.mark.parametrize("unroll", [False, True])
def test_a_cell_of_one_s_own(unroll, backend):
    for kwargs in ({}, {"return_sequences": True}, {"go_backwards": True}):
        model = sequential(RNN(Leaky(4), unroll=unroll, **kwargs))
        assert [path for path, _ in model.named_weights()] == ["rnn/leaky/kernel"]
        projected, h, outputs = X @ model.get_weights()[0], np.zeros((2, 4)), []
        for t in range(6)[:: -1 if "go_backwards" in kwargs else 1]:
            h = 0.5 * h + projected[:, t]
            outputs.append(h.sum(1, keepdims=True))
        expected = np.stack(outputs, 1) if "return_sequences" in kwargs else outputs[-1]
        np.testing.assert_allclose(np.asarray(model(X)), expected, rtol=1e-4, atol=1e-5)
    model.compile("adam", "mse")
    model.fit(X, np.zeros((2, 1), "float32"), verbose=0)


class Halving(LSTMCell):
    """A cell that changes what its parent's call returns."""

    def call(self, inputs, states, training=False):
        y, after = super().call(inputs, states, training)
        return y * 0.5, after


def test_a_cell_whose_call_is_overridden_is_called(backend):
    plain, halved = sequential(RNN(LSTMCell(3))), sequential(RNN(Halving(3)))
    halved.set_weights(plain.get_weights())
    np.testing.assert_allclose(np.asarray(halved(X)), np.asarray(plain(X)) * 0.5, rtol=1e-5, atol=1e-6)


def test_names_of_weights():
    model = sequential(Bidirectional(LSTM(2, return_sequences=True)), RNN([GRUCell(2), GRUCell(2)]))
    assert [path for path, _ in model.named_weights()][::3] == [
        "bidirectional/forward_lstm/lstm_cell/kernel",
        "bidirectional/backward_lstm/lstm_cell/kernel",
        "rnn/stacked_rnn_cells/gru_cell/kernel",
        "rnn/stacked_rnn_cells/gru_cell_1/kernel",
    ]
    copy = layers.Bidirectional.from_config(model.layers[0].get_config())
    assert copy.forward_layer.name == "forward_lstm" and not copy.built


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RNN(Dense(3)), "a cell needs `call.*` and `state_size`; Dense has no `state_size`"),
        (lambda: layers.StackedRNNCells([]), "cells must be a list of cells"),
        (lambda: Bidirectional(Dense(3)), "layer must be a recurrent layer, got Dense"),
        (lambda: Bidirectional(LSTM(3), merge_mode="max"), "merge_mode must be one of"),
        (lambda: Bidirectional(LSTM(3), backward_layer=LSTM(3)), "go_backwards=False"),
        (lambda: Bidirectional(LSTM(3), backward_layer=LSTM(3, go_backwards=True, stateful=True)), "stateful"),
        (lambda: LSTM(0), "LSTM: units must be a positive integer"),
        (lambda: GRU(3, dropout=2), "GRU: dropout must be a number from 0 to 1"),
        (lambda: GRU(3, use_cudnn="yes"), "use_cudnn"),
        (lambda: layers.TimeDistributed(3), "layer must be a layer"),
        (lambda: layers.MultiHeadAttention(2, 3, dropout=0.5, flash_attention=True), "flash_attention"),
        (lambda: layers.GroupQueryAttention(2, 3, 2), "do not divide"),
        (lambda: layers.Attention(score_mode="sum"), "score_mode"),
        (lambda: layers.Dot(axes=(1, 2, 3)), "axes must be"),
    ],
)
def test_refusals(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "words"),
    [
        (layers.Add(), [X, X[:, :2]], "do not broadcast"),
        (layers.Subtract(), [X], "takes 2 inputs, got 1"),
        (layers.Add(), X, "called with a list of inputs"),
        (layers.Concatenate(), [X, X[:, :2]], "differ in more than axis 2"),
        (layers.Dot(axes=0), [X, X], "after the batch"),
        (layers.Attention(), [X], r"expected \[query, value\]"),
    ],
)
def test_inputs_that_do_not_fit(layer, inputs, words):
    with pytest.raises((ArgumentError, ShapeError), match=words):
        layer(inputs)


# ---- inside a layer of your own ----


class Encoder(Layer):
    """A transformer block over an embedding with a mask."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4, dropout=0.1)
        self.add = layers.Add()
        self.memory = LSTM(4, return_state=True, return_sequences=True)
        self.join = layers.Concatenate()

    def call(self, inputs):
        x = self.add([inputs, self.attention(inputs, inputs, use_causal_mask=True)])
        y, _, _ = self.memory(x)
        return self.join([x, y])


def test_several_inputs_inside_a_layer(backend):
    model = sequential(layers.Masking(), Encoder(), LSTM(2), Dense(1))
    model.compile("adam", "mse")
    data = np.concatenate([X, np.zeros_like(X)], 1)[:, :6]
    before = model.get_weights()
    model.fit(data, np.ones((2, 1), "float32"), epochs=2, verbose=0)
    changed = [bool(np.any(a != b)) for a, b in zip(before, model.get_weights(), strict=True)]
    assert sum(changed) >= len(changed) - 1  # the softmax does not feel the bias of the keys
    longer = sequential(layers.Masking(), Encoder(), LSTM(2), Dense(1), steps=9)
    longer.set_weights(model.get_weights())
    padded = np.concatenate([data, np.zeros((2, 3, 3), "float32")], 1)
    np.testing.assert_allclose(longer.predict(padded, verbose=0), model.predict(data, verbose=0), rtol=1e-4, atol=1e-6)


def test_attention_drops_weights_alike_on_both_backends(both):
    class Self(Layer):
        def __init__(self):
            super().__init__()
            self.held = [layers.MultiHeadAttention(1, 2, dropout=0.5), layers.Attention(dropout=0.5)]

        def call(self, inputs):
            return self.held[1]([inputs, self.held[0](inputs, inputs)])

    model = sequential(Self())
    answers = [np.asarray(model.lower(name)(*weights_of(model, name), X, training=True, seed=7)[0]) for name in both]
    assert difference(*answers) <= 1e-5


@pytest.mark.parametrize("make", [SimpleRNN, GRU, LSTM])
def test_arguments_of_keras_1(make):
    with pytest.warns(DeprecationWarning):
        layer = make(
            output_dim=4, init="he_normal", inner_init="zeros", dropout_W=0.5, dropout_U=0.25, consume_less="mem"
        )
    assert (layer.units, layer.dropout, layer.recurrent_dropout) == (4, 0.5, 0.25)
    with pytest.warns(DeprecationWarning, match="implementation="):
        make(4, implementation=1)


def test_arguments_of_keras_1_of_a_conv_lstm():
    with pytest.warns(DeprecationWarning):
        layer = layers.ConvLSTM2D(nb_filter=2, nb_row=3, nb_col=2, border_mode="same", inner_activation="hard_sigmoid")
    assert (layer.filters, layer.cell.kernel_size, layer.cell.padding) == (2, (3, 2), "same")


@pytest.mark.parametrize(("layer", "taken", "given"), [(layers.LSTM, 2, 1), (layers.LSTM, 2, 3), (layers.GRU, 1, 2)])
def test_another_number_of_initial_states_is_refused(layer, taken, given):
    states = [np.zeros((2, 5), "float32")] * given
    with pytest.raises(ShapeError, match=f"initial_state takes {taken} states, got {given}"):
        layer(5)(np.ones((2, 3, 4), "float32"), initial_state=states)


def test_states_of_a_cell_may_be_matrices():
    class Summing:
        state_size, output_size = [(3, 4)], 4

        def get_initial_state(self, batch_size):
            return [ops.zeros((batch_size, 3, 4))]

        def call(self, inputs, states):
            total = states[0] + ops.expand_dims(inputs, 1)
            return total[:, 0], [total]

    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    layer = layers.RNN(Summing())
    np.testing.assert_array_equal(layer(x), x.sum(1))
    np.testing.assert_array_equal(layer(x, initial_state=[np.ones((2, 3, 4), "float32")]), x.sum(1) + 1)
