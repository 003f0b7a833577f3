"""What a notebook shows of models, programs, variables and histories: well-formed, escaped, bounded."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamella
from lamella import Model, Sequential, layers, notebook
from lamella.callbacks import Callback, History
from lamella.core.held_variable import HeldVariable
from lamella.drawing import Curve, plotted
from lamella.drawing.curves import _PANEL, _ticks
from lamella.drawing.picture import Line, Rectangle
from lamella.layers import Dense, Input

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('&\"')</script>"


def parsed(shown):
    """The elements of what an object shows; nothing but its own markup is in it."""
    root = ET.fromstring(shown._repr_html_())
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= set(
        "div p b ul li details summary table thead tbody tr th td pre svg title rect text path polygon".split()
    )
    return root


def texts(root, tag):
    return ["".join(e.itertext()) for e in root.iter(tag)]


def history_of(rows, first=0):
    history = History()
    history.on_train_begin()
    for epoch, row in enumerate(rows, first):
        history.on_epoch_end(epoch, row)
    return history


# ---- models ----


def test_a_model_shows_its_picture_its_counts_and_its_layers():
    model = Sequential([Input((3,)), Dense(2, name="first"), Sequential([Dense(1)], name="inner")], name="small")
    root = parsed(model)
    assert texts(root, "p") == ["small Sequential"]
    assert texts(root, "li")[0] == "Total parameters: 11 (44.00 B)"
    assert len(list(root.iter(f"{SVG}svg"))) == 1
    assert texts(root, "th") == ["Layer (type)", "Output shape", "Parameters", "Trainable"]
    assert texts(root, "td")[:4] == ["first (Dense)", "(None, 2)", "8", "yes"] and len(texts(root, "tr")) == 4
    assert all(variable._held is None for variable in model.variables), "no weight was drawn"
    x = Input((3,))
    assert "Connected to" in texts(parsed(Model(x, Dense(2)(x) + Dense(2)(x))), "th")


def test_models_without_layers_or_shapes_or_with_many_layers():
    assert texts(parsed(Sequential()), "li") == ["The model is not built yet: its input shape is not known."]
    assert "not built" in texts(parsed(Sequential([Dense(2)])), "td")
    long = Sequential([Input((2,)), *[layers.ReLU() for _ in range(500)]])
    root = parsed(long)
    assert not list(root.iter(f"{SVG}svg")) and len(list(root.iter("tr"))) == notebook.MOST_ROWS + 2
    assert "… 440 more …" in texts(root, "td") and "re_lu_499 (ReLU)" in texts(root, "td")


def test_a_subclass_shows_its_layers():
    class Own(Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    assert texts(parsed(model), "p") == ["own Own"]
    model(np.ones((2, 4), "float32"))
    assert "dense (Dense)" in texts(parsed(model), "td")


def test_names_are_escaped_and_cut_off():
    name = "<b>&'\"" + "x" * 500
    model = Sequential([Input((3,)), Dense(2, name=name)], name="<i>a")
    root = parsed(model)
    assert texts(root, "p") == ["<i>a Sequential"] and len(list(root.iter("b"))) == 1 and not list(root.iter("i"))
    assert texts(root, "td")[0] == f"{name} (Dense)"[: notebook.MOST_CHARACTERS - 1] + "…"
    assert notebook.escaped("a\x00\u202e\ud800<") == "a\\x00\\u202e\\ud800&lt;"


# ---- programs ----


def test_a_program_shows_its_text():
    program = Sequential([Input((3,)), Dense(2)], name="small").program()
    root = parsed(program)
    assert texts(root, "p") == ["Program 3 inputs, 3 equations, 1 outputs"]
    assert texts(root, "pre") == [str(program)]


def test_of_a_long_program_the_first_lines():
    program = Sequential([Input((2,)), *[layers.Activation("tanh") for _ in range(400)]]).program()
    (text,) = texts(parsed(program), "pre")
    lines = str(program).splitlines()
    assert text.splitlines() == [*lines[:600], f"… {len(lines) - 600} more lines"]


# ---- variables ----


def test_a_variable_shows_its_path_and_a_summary_of_its_values(backend):
    model = Sequential([Input((30,)), Dense(20, kernel_initializer="ones")])
    model.build()
    kernel = model.layers[0].kernel
    root = parsed(kernel)
    assert texts(root, "p") == ["dense/kernel float32[30,20]"]
    assert dict(zip(texts(root, "th"), texts(root, "td"), strict=True)) == {
        "entries": "600", "min": "1", "mean": "1", "max": "1", "std": "0",
    }  # fmt: skip
    assert "..." in texts(root, "pre")[0] and len(texts(root, "pre")[0]) < 1000
    state = lamella.Variable([1, 5], trainable=False, name="state")
    assert texts(parsed(state), "p") == ["state int32[2], not trainable"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint8", "bool"])
def test_variables_of_every_kind(dtype, backend):
    root = parsed(lamella.Variable(np.array([1, 0, 1], "float32"), dtype=dtype))
    assert texts(root, "pre")
    assert ("min" in texts(root, "th")) is (dtype != "bool")


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (9, 9, 9, 9, 9), (1000, 1000)])
def test_arrays_of_every_shape_are_bounded(shape):
    html = lamella.Variable(np.zeros(shape, "float32"))._repr_html_()
    assert len(html) < 20_000


def test_nan_and_infinities_are_counted():
    values = np.array([np.nan, np.inf, -np.inf, 1, 3], "float32")
    root = parsed(lamella.Variable(values, name="<v>"))
    found = dict(zip(texts(root, "th"), texts(root, "td"), strict=True))
    assert found == {"entries": "5", "min": "1", "mean": "2", "max": "3", "std": "1", "NaN": "1", "infinite": "2"}
    assert "NaN" in texts(parsed(lamella.Variable(np.array([np.nan, np.nan], "float32"))), "th")
    assert texts(root, "p")[0].startswith("<v>")


def test_the_state_of_a_metric_shows_itself():
    held = HeldVariable("<total>", (2,), "float32", np.array([1.0, 2.0], "float32"))
    assert texts(parsed(held), "p") == ["<total> float32[2]"]
    assert texts(parsed(HeldVariable("total", (2,), "float32")), "pre") == []


# ---- histories ----


def test_a_history_shows_curves_and_a_table():
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    root = parsed(model.fit(x, x[:, :1], epochs=4, validation_split=0.5, validation_freq=2, verbose=0))
    assert texts(root, "p") == ["History of 4 epochs"]
    labels = texts(root, f"{SVG}text")
    assert [label for label in labels if label[0].isalpha()] == ["loss", "val_loss", "mae", "val_mae"]
    lines = [path.get("stroke-dasharray") for path in root.iter(f"{SVG}path") if path.get("stroke") != "#e2e8f0"]
    assert lines == [None, "5 3", None, "5 3"]
    assert texts(root, "th") == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert len(list(root.iter("tr"))) == 5 and texts(root, "td")[0] == "1" and texts(root, "td")[3] == ""


def test_epochs_are_numbered_as_they_ran_and_no_epoch_shows_nothing():
    root = parsed(history_of([{"loss": 1.0}], first=4))
    assert texts(root, "td") == ["5", "1.0000"] and "5" in texts(root, f"{SVG}text")
    root = parsed(History())
    assert texts(root, "p") == ["History of 0 epochs"] and not list(root.iter("table"))


def test_what_callbacks_log_is_escaped_and_shown_as_it_is():
    rows = [
        {HOSTILE: 1.0, "loss": float("nan"), "note": HOSTILE, "f1": np.array([0.5, 0.25]), "none": None, "huge": 1e308},
        {HOSTILE: 2.0, "loss": 1.0, "note": "", "f1": np.array([1.0, 1.0]), "none": None, "huge": 10**400},
    ]
    root = parsed(history_of(rows))
    assert HOSTILE in texts(root, "th") and HOSTILE in texts(root, "td") and HOSTILE in texts(root, f"{SVG}text")
    assert not list(root.iter("script")) and "<script" not in history_of(rows)._repr_html_()
    assert "[0.5000 0.2500]" in texts(root, "td") and "nan" in texts(root, "td")
    assert "None" in texts(root, "td") and "note" not in texts(root, f"{SVG}text")


def test_a_long_history_is_bounded():
    rng = np.random.default_rng(0)
    rows = [{f"metric_{key}{'x' * 300}": float(v) for key, v in enumerate(rng.normal(size=30))} for _ in range(1000)]
    history = history_of(rows)
    assert len(history._repr_html_()) < 1_500_000
    root = parsed(history)
    assert len(list(root.iter("tr"))) == notebook.MOST_ROWS + 2


def test_a_history_in_a_callback_shows_what_there_is_so_far():
    class Watching(Callback):
        shown = ()

        def on_epoch_end(self, epoch, logs=None):
            self.shown += (texts(parsed(history_of([logs])), "p")[0],)

    watching = Watching()
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=[watching])
    assert watching.shown == ("History of 1 epochs",) * 2


# ---- curves ----


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.floats(), min_size=1, max_size=40))
def test_curves_of_any_numbers_stay_within_their_panel(values):
    picture = plotted("curves", [[Curve("y", list(enumerate(values, 1)))]])
    root = ET.fromstring(picture.svg())
    assert "nan" not in picture.svg() and "inf" not in picture.svg() and root.tag == f"{SVG}svg"
    for shape in picture.shapes:
        points = shape.points if isinstance(shape, Line) else [(shape.x, shape.y)]
        for x, y in points:
            assert -60 <= x <= _PANEL[0] and -3 <= y <= _PANEL[1]
    drawn = [
        shape
        for shape in picture.shapes
        if (isinstance(shape, Line) and shape.straight) or isinstance(shape, Rectangle)
    ]
    assert len(drawn) > 1 or not any(abs(value) < 1e300 for value in values)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(-1e299, 1e299), st.floats(-1e299, 1e299))
def test_ticks_are_few_and_round(one, other):
    low, high = sorted((one, other))
    ticks = _ticks(low, high)
    assert 2 <= len(ticks) <= 12 and ticks == sorted(set(ticks))
    slack = 1e-9 * max(abs(low), abs(high))
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack


def test_many_points_keep_their_extremes():
    values = np.sin(np.arange(50_000) / 3)
    values[777], values[40_001] = 9.0, -9.0
    picture = plotted("curves", [[Curve("y", list(enumerate(values.tolist())))]])
    (line,) = [shape for shape in picture.shapes if isinstance(shape, Line) and shape.straight]
    assert len(line.points) < 700
    assert [x for x, _ in line.points] == sorted(x for x, _ in line.points)
    spread = max(y for _, y in line.points) - min(y for _, y in line.points)
    assert spread == pytest.approx(110 * 18 / 20, rel=0.2)


def test_curves_are_drawn_as_png():
    pytest.importorskip("matplotlib")
    picture = plotted("curves", [[Curve("y", [(1, 1.0), (2, 3.0), (3, 2.0)], dashed=True)], [Curve("z", [(1, 0.0)])]])
    assert picture.png(40).startswith(b"\x89PNG")
