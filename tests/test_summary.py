"""The tables of models."""

import sys

import pytest

from lamella import Input, Model, Sequential, layers, ops
from lamella.errors import ArgumentError
from test_console import Terminal, without_colours


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
        with pytest.raises(ArgumentError, match="layer_range must be the names of two layers"):
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
    lines = without_colours(shown).splitlines()
    assert {len(line) for line in lines if line[0] in "┏┃┡│└"} == {60}
    siamese().summary(line_length=48)
    last = without_colours(terminal.getvalue()[len(shown) :]).splitlines()
    assert {len(line) for line in last if line[0] in "┏┃┡│└"} == {48}
