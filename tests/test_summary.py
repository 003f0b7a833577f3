"""The tables of models, and the printed programs of their training steps."""

import sys

import numpy as np
import pytest

from lamella import Input, Model, Sequential, layers, ops
from lamella.errors import ArgumentError
from test_console import Terminal, without_colors


def rows_of(model, **options):
    """The rows of the summary's table, each a list of cells; of a broken row the lines are joined."""
    told = []
    model.summary(print_fn=told.append, **options)
    assert len(told) == 1
    rows = []
    for line in told[0].splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line[1:-1].split("│")]
            if cells[0]:
                rows.append(cells)
            else:
                rows[-1] = [" ".join(filter(None, both)) for both in zip(rows[-1], cells, strict=True)]
    return rows


def siamese():
    tower = Sequential([Input((8,)), layers.Dense(4), layers.ReLU()], name="tower")
    left, right = Input((8,), name="left"), Input((8,), name="right")
    both = layers.Concatenate()([tower(left), tower(right)])
    return Model([left, right], layers.Dense(1)(both) * 2.0)


def test_a_graph_says_what_feeds_each_layer():
    assert rows_of(siamese()) == [
        ["left (InputLayer)", "(None, 8)", "0", "-"],
        ["right (InputLayer)", "(None, 8)", "0", "-"],
        ["tower (Sequential)", "(None, 4)", "36", "left[0][0], right[0][0]"],
        ["concatenate (Concatenate)", "(None, 8)", "0", "tower[0][0], tower[1][0]"],
        ["dense (Dense)", "(None, 1)", "9", "concatenate[0][0]"],
        ["multiply (operation)", "(None, 1)", "0", "dense[0][0]"],
    ]


def test_nested_models_are_expanded_with_what_feeds_their_layers():
    found = rows_of(siamese(), expand_nested=True, show_trainable=True)
    assert [row[0] for row in found[2:5]] == ["tower (Sequential)", "└ dense (Dense)", "└ re_lu (ReLU)"]
    assert found[4] == ["└ re_lu (ReLU)", "(None, 4)", "0", "dense[0][0]", "yes"]
    assert found[-1][-1] == "-", "operations are not trained"
    deep = Sequential([Input((8,)), siamese().get_layer("tower")])
    chain = rows_of(Sequential([Input((8,)), deep]), expand_nested=True)
    assert [len(row) for row in chain] == [3] * 4, "chains within chains have no such column"


def test_several_outputs_are_told_by_number():
    x = Input((5, 3))
    whole, _, state = layers.LSTM(4, return_sequences=True, return_state=True)(x)
    found = rows_of(Model(x, [whole, layers.Dense(2)(state)]))
    assert found[1][1] == "[(None, 5, 4), (None, 4), (None, 4)]"
    assert found[2][3] == "lstm[0][2]"


@pytest.mark.parametrize("functional", [False, True])
def test_a_chain_has_no_such_column(functional):
    model = Sequential([Input((3,), name="x"), layers.Dense(2), layers.ReLU()])
    if functional:
        model = Model(model.input, model.output)
    assert [row[0] for row in rows_of(model)] == ["x (InputLayer)"] * functional + ["dense (Dense)", "re_lu (ReLU)"]
    assert {len(row) for row in rows_of(model)} == {3}


def test_a_layer_that_a_sequential_applies_twice_has_one_row():
    shared = layers.Dense(3)
    model = Sequential([Input((3,)), shared, layers.ReLU(), shared])
    assert rows_of(model) == [
        ["dense (Dense)", "(None, 3)", "12", "re_lu[0][0]"],
        ["re_lu (ReLU)", "(None, 3)", "0", "dense[0][0]"],
    ]


class Own(Model):
    def __init__(self):
        super().__init__(name="own")
        self.wide, self.rest = layers.Dense(6), [layers.Dense(2), layers.LSTM(3, return_state=True)]

    def call(self, inputs):
        return self.rest[0](self.wide(inputs)), self.rest[1](ops.expand_dims(inputs, 1))


def test_a_subclass_shows_the_shapes_that_are_known():
    model = Own()
    assert [row[1:] for row in rows_of(model)] == [["?", "not built"]] * 3
    model.build((None, 5))
    shapes = ["(None, 6)", "(None, 2)", "[(None, 3), (None, 3), (None, 3)]"]
    assert [row[1] for row in rows_of(model)] == shapes
    x = Input((5,))
    whole = Model(x, Own()(x))
    assert [row[1] for row in rows_of(whole, expand_nested=True)][2:] == shapes


def test_a_range_of_layers():
    model = siamese()
    assert [row[0].split()[0] for row in rows_of(model, layer_range=("tower", "dense"))] == [
        "tower",
        "concatenate",
        "dense",
    ]
    assert len(rows_of(model, layer_range=["concat.*", "mult"])) == 3
    with pytest.raises(ValueError, match=r"layer 'tomer'.*'tower'"):
        model.summary(layer_range=("tomer", "dense"))
    for wrong in ("dense", ("dense",), ("left", 2)):
        with pytest.raises(ArgumentError, match="layer_range must be a pair of layer names"):
            model.summary(layer_range=wrong)


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal_gets_its_width_and_colors(rich, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if rich:
        pytest.importorskip("rich")
    else:
        for name in [name for name in sys.modules if name.startswith("rich")] + ["rich", "rich.console"]:
            monkeypatch.setitem(sys.modules, name, None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    siamese().summary()
    shown = terminal.getvalue()
    assert ("\x1b" in shown) == rich
    lines = without_colors(shown).splitlines()
    assert {len(line) for line in lines if line[0] in "┏┃┡│└"} == {60}
    siamese().summary(line_length=48)
    last = without_colors(terminal.getvalue()[len(shown) :]).splitlines()
    assert {len(line) for line in last if line[0] in "┏┃┡│└"} == {48}


# ---- the program of a step ----


def parts_of(program):
    return {equation.where.split("/")[0] for equation in program.equations}


def small(*more):
    return Sequential([Input((3,)), layers.Dense(2, "relu"), layers.Dropout(0.5), *more])


def test_a_model_that_is_not_compiled_has_the_sum_of_its_outputs_as_loss():
    model = small()
    program = model.program(4, backward=True)
    assert program.output_names == ("sum of the outputs", "gradient of dense/kernel", "gradient of dense/bias")
    assert parts_of(program) == {"", "dense", "sum of the outputs", "sum of the outputs (gradient)", "dense (gradient)"}
    assert "dropout (gradient)" in parts_of(model.program(4, training=True, backward=True))
    x = Input((3,))
    two = Model(x, {"a": layers.Dense(2, kernel_regularizer="l2", name="a")(x), "b": layers.Dense(1, name="b")(x)})
    two.get_layer("b").trainable = False
    program = two.program(backward=True)
    assert program.output_names[1:] == ("gradient of a/kernel", "gradient of a/bias")
    assert any(e.where == "a" and e.op.name == "reduce_sum" for e in program.equations), "the penalty is a part of it"


def test_the_sum_of_the_outputs_is_differentiated():
    from lamella.backend_api import load_backend

    model = Sequential([Input((3,)), layers.Dense(2)])
    x = np.arange(12.0, dtype="float32").reshape(4, 3)
    run = load_backend("numpy").compile(model.program(4, backward=True))
    kernel, bias = model.get_weights()
    total, of_kernel, of_bias = run(kernel, bias, x)
    np.testing.assert_allclose(total, (x @ kernel + bias).sum(), rtol=1e-5)
    np.testing.assert_allclose(of_kernel, np.repeat(x.sum(0)[:, None], 2, 1))
    np.testing.assert_allclose(of_bias, [4, 4])


def test_a_compiled_model_shows_its_whole_step():
    model = small()
    model.compile("adam", "mse", metrics=["mae"])
    step = model.program(4, training=True, backward=True)
    told = str(step)
    for words in (
        "# optimizer",
        "# loss",
        "# metrics/",
        "# dropout (gradient)",
        "foreach",
        "# params/dense/kernel",
        "# rows",
    ):
        assert words in told
    assert step.output_names[:2] == ("params/dense/kernel", "params/dense/bias")
    model.get_layer("dense").trainable = False
    assert "optimizer" not in parts_of(model.program(4, training=False, backward=True))


@pytest.mark.parametrize(
    ("loss", "activation", "target"),
    [
        ("mse", None, "float32[32,5]"),
        ("categorical_crossentropy", "softmax", "float32[32,5]"),
        ("sparse_categorical_crossentropy", "softmax", "int32[32]"),
        (lambda y_true, y_pred: ops.mean(y_true - y_pred), None, "float32[32,5]"),
    ],
)
def test_targets_are_those_that_the_loss_takes(loss, activation, target):
    model = Sequential([Input((None, 3)), layers.GlobalAveragePooling1D(), layers.Dense(5, activation)])
    model.compile("sgd", loss)
    step = model.program(training=True, backward=True)
    specs = dict(zip(step.input_names, step.input_specs, strict=True))
    assert f"{specs['y'].dtype}[{','.join(map(str, specs['y'].shape))}]" == target
    assert specs["x"].shape == (32, 32, 3)


def test_a_model_that_was_trained_shows_the_step_for_its_data():
    model = Sequential([Input((3,)), layers.Dense(5)])
    model.compile("sgd", lambda y_true, y_pred: ops.mean(ops.square(y_true)[:, :1] - y_pred))
    model.fit(np.ones((8, 3)), np.ones((8, 7)), sample_weight=np.ones(8), verbose=0)
    step = model.program(6, training=True, backward=True)
    specs = dict(zip(step.input_names, step.input_specs, strict=True))
    assert specs["y"].shape == (6, 7) and specs["sample_weight"].shape == (6,)


def test_a_fixed_batch_size_stays():
    model = Sequential([Input(batch_shape=(5, 2, 3)), layers.LSTM(2, stateful=True)])
    assert model.program(backward=True).input_specs[-1].shape == (5, 2, 3)


def test_columns_end_where_positions_say():
    model = Sequential([Input((3,)), layers.Dense(2)])
    found = []
    model.summary(line_length=60, positions=[0.4, 0.7, 1.0], print_fn=found.append)
    line = next(line for line in found[0].splitlines() if "dense (Dense)" in line)
    assert [i for i, c in enumerate(line) if c == "│"] == [0, 24, 42, 60]
    with pytest.raises(ValueError, match="positions must have one entry per column"):
        model.summary(positions=[0.5, 1.0])
    with pytest.raises(ValueError, match="increase by at least 4"):
        model.summary(line_length=60, positions=[0.5, 0.5, 1.0])
