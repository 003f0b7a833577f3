"""Drawings of graphs: nothing overlaps, lines lead around boxes, and the file is valid and always the same."""

import random
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from lamella import Input, Model, Sequential, layers, ops, utils
from lamella.drawing import Box, Edge, Frame, Port, drawn
from lamella.drawing.layered import Item, layout
from lamella.drawing.picture import Line, Picture, Rectangle, Text
from lamella.errors import ArgumentError

SVG = "{http://www.w3.org/2000/svg}"


def some_graph(seed):
    """Items, and lines that lead from items to later ones."""
    draw = random.Random(seed)
    count = draw.randint(1, 25)
    items = [Item(draw.uniform(10, 200), draw.uniform(20, 80)) for _ in range(count)]
    edges = {Edge(draw.randrange(i), i) for i in range(1, count) for _ in range(draw.choice([0, 1, 1, 2, 4]))}
    return items, sorted(edges)


def crosses(begin, end, place, item):
    """Whether a line along an axis passes through the inside of an item."""
    (x1, y1), (x2, y2) = begin, end
    left, top = place
    return (
        max(x1, x2) > left + 0.01
        and min(x1, x2) < left + item.across - 0.01
        and max(y1, y2) > top + 0.01
        and min(y1, y2) < top + item.along - 0.01
    )


@pytest.mark.parametrize("seed", range(40))
def test_items_do_not_overlap_and_lines_lead_around_them(seed):
    items, edges = some_graph(seed)
    found = layout(items, edges)
    for i, (place, item) in enumerate(zip(found.places, items, strict=True)):
        assert place[0] >= -1e-6 and place[1] >= -1e-6
        assert place[0] + item.across <= found.size[0] + 1e-6 and place[1] + item.along <= found.size[1] + 1e-6
        for other, second in zip(found.places[:i], items[:i], strict=True):
            apart = max(place[0], other[0]) - min(place[0] + item.across, other[0] + second.across)
            assert apart > 10 or max(place[1], other[1]) >= min(place[1] + item.along, other[1] + second.along)
    for edge, route in zip(edges, found.routes, strict=True):
        (begin, end), source, target = (route[0], route[-1]), items[edge.source], items[edge.target]
        left, top = found.places[edge.source]
        assert begin == pytest.approx((left + source.across / 2, top + source.along))
        left, top = found.places[edge.target]
        assert left < end[0] < left + target.across and end[1] == top
        for one, two in pairwise(route):
            assert one[0] == two[0] or one[1] == two[1], "a line runs along an axis"
            assert not any(crosses(one, two, p, item) for p, item in zip(found.places, items, strict=True))


def test_a_chain_is_straight_and_a_diamond_symmetric():
    items = [Item(w, 20) for w in (50, 90, 30)]
    found = layout(items, [Edge(0, 1), Edge(1, 2)])
    assert all(len(route) == 2 for route in found.routes)
    items = [Item(60, 20) for _ in range(4)]
    found = layout(items, [Edge(0, 1), Edge(0, 2), Edge(1, 3), Edge(2, 3)])
    (top, _), (left, _), (right, _), (bottom, _) = found.places
    assert top == bottom == (left + right) / 2


def test_lines_that_can_be_drawn_without_crossings_are():
    # two chains beside each other, written down in turn
    items = [Item(60, 20) for _ in range(6)]
    found = layout(items, [Edge(0, 3), Edge(1, 2), Edge(2, 5), Edge(3, 4)])
    assert all(len(route) == 2 for route in found.routes)


def nested(direction="TB"):
    inner = Frame("within", "purple", [Port(True), Port(True), Box("a", "navy"), Box("b", "navy"), Port(False)],
                  [Edge(0, 2), Edge(1, 3), Edge(2, 3), Edge(3, 4)])  # fmt: skip
    outer = [Box("x", "teal"), Box("y", "teal"), inner, Box("z", "navy")]
    return drawn(Frame("m", "black", outer, [Edge(0, 2), Edge(1, 2, 0, 1), Edge(2, 3)]), direction)


def headings(picture):
    return {shape.text: shape for shape in picture.shapes if isinstance(shape, Text)}


@pytest.mark.parametrize("direction", ["TB", "BT", "LR", "RL"])
def test_a_frame_holds_its_boxes_and_lines_go_on_at_its_border(direction):
    picture = nested(direction)
    frame = next(s for s in picture.shapes if isinstance(s, Rectangle) and s.edge == "purple")
    texts = headings(picture)
    for name in "ab":
        assert frame.x < texts[name].x < frame.x + frame.width and frame.y < texts[name].y < frame.y + frame.height
    for name in "xyz":
        assert not (
            frame.x < texts[name].x < frame.x + frame.width and frame.y < texts[name].y < frame.y + frame.height
        )
    axis = 1 if direction in ("TB", "BT") else 0
    order = [(texts[name].x, texts[name].y)[axis] for name in "xaz"]
    assert order == sorted(order, reverse=direction in ("BT", "RL"))
    lines = [shape.points for shape in picture.shapes if isinstance(shape, Line)]
    heading = 28 if direction in ("TB", "BT") else 0  # a line continues behind the heading
    for line in (
        points for points, arrow in ((s.points, s.arrow) for s in picture.shapes if isinstance(s, Line)) if not arrow
    ):
        last = line[-1]
        assert any(
            abs(last[0] - other[0][0]) < 0.01 and abs(last[1] - other[0][1]) <= heading + 0.01 for other in lines
        ), "the line to the border continues there"


def test_the_svg_is_valid_and_its_text_is_escaped():
    name = 'a<b>&"c"\x00\u202e'
    picture = drawn(Frame(name, "black", [Box(name, "navy", [("output", "<script>")])], []))
    root = ET.fromstring(picture.svg())
    assert root.tag == f"{SVG}svg" and root.find(f"{SVG}title").text == 'a<b>&"c"\\x00\\u202e'
    assert [text.text for text in root.iter(f"{SVG}text")] == ['a<b>&"c"\\x00\\u202e', "output", "<script>"]
    assert not list(root.iter("script")) and picture._repr_svg_() == picture.svg()


def test_the_same_picture_gives_the_same_bytes():
    pytest.importorskip("matplotlib")
    assert nested().svg() == nested().svg()
    assert nested().png(50) == nested().png(50)
    assert nested().png(50).startswith(b"\x89PNG")


def test_a_png_that_would_be_too_large_is_refused():
    with pytest.raises(ArgumentError, match=r"dpi=200 makes the picture 208333 pixels.*from 1 to 62"):
        Picture("long", 10.0, 100_000.0, []).png()


def test_text_fits_into_its_box():
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    from lamella.drawing.picture import FONT_SIZE, text_width

    assert matplotlib
    for text in ("global_average_pooling2d (GlobalAveragePooling2D)", "(None, 224, 224, 64)", "WWWmmm", "[(None, 8)]"):
        for bold in (False, True):
            font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=FONT_SIZE)
            wide = TextPath((0, 0), text, prop=font).get_extents().width
            assert wide <= text_width(text, bold) <= 1.4 * wide + 10


# ---- models ----


def siamese():
    tower = Sequential([Input((8,)), layers.Dense(4, "tanh"), layers.ReLU()], name="tower")
    left, right = Input((8,), name="left"), Input((8,), name="right")
    return Model([left, right], layers.Dense(1, "sigmoid")(tower(left) - tower(right)))


def texts_of(path):
    return [text.text for text in ET.parse(path).getroot().iter(f"{SVG}text")]


def test_plot_model_shows_what_is_asked_for(tmp_path):
    model, file = siamese(), tmp_path / "m.svg"
    assert isinstance(utils.plot_model(model, file), Picture)
    assert texts_of(file) == [
        "InputLayer", "InputLayer", "Sequential", "shared", "call 1 of 2", "Sequential", "shared", "call 2 of 2",
        "subtract", "Dense",
    ]  # fmt: skip
    utils.plot_model(model, file, show_shapes=True, show_dtype=True, show_layer_names=True, show_trainable=True)
    found = texts_of(file)
    assert found[:6] == ["left (InputLayer)", "output", "(None, 8)", "dtype", "float32", "right (InputLayer)"]
    assert found[-9:] == [
        "dense (Dense)",
        "input",
        "(None, 4)",
        "output",
        "(None, 1)",
        "dtype",
        "float32",
        "trainable",
        "yes",
    ]
    utils.plot_model(model, file, show_layer_activations=True)
    assert texts_of(file)[-3:] == ["Dense", "activation", "sigmoid"]
    utils.plot_model(model, str(file), expand_nested=True, show_layer_names=True)
    found = texts_of(file)
    assert found.count("dense (Dense)") == 3 and found.count("re_lu (ReLU)") == 2
    assert "tower (Sequential), call 2 of 2" in found


def test_the_lines_are_those_of_the_graph(tmp_path):
    x = Input((4,))
    h = layers.Dense(4)(x)
    model = Model(x, ops.relu(layers.Add()([x, h, h])) * 2.0)
    utils.plot_model(model, tmp_path / "m.svg")
    root = ET.parse(tmp_path / "m.svg").getroot()
    assert texts_of(tmp_path / "m.svg") == ["InputLayer", "Dense", "Add", "relu", "multiply"]
    assert len(list(root.iter(f"{SVG}polygon"))) == 5  # equal lines are one, numbers and broadcasting none


def test_a_subclass_shows_its_layers_and_an_unbuilt_chain_unknown_shapes(tmp_path):
    utils.plot_model(Sequential([layers.Dense(2), layers.Dense(3)]), tmp_path / "m.svg", show_shapes=True)
    assert texts_of(tmp_path / "m.svg").count("?") == 2
    utils.plot_model(Own(), tmp_path / "m.svg", show_layer_names=True)
    assert texts_of(tmp_path / "m.svg") == ["dense (Dense)", "dropout (Dropout)"]


class Own(Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense, self.more = layers.Dense(3), [layers.Dropout(0.5)]

    def call(self, inputs, training=False):
        return self.more[0](self.dense(inputs), training=training)


def test_png_needs_matplotlib_and_the_ending_says_what_is_written(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    utils.plot_model(siamese(), tmp_path / "m.png", dpi=50, rankdir="LR")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ArgumentError, match=r"'m.dot': the ending says what to write: .svg or .png"):
        utils.plot_model(siamese(), "m.dot")
    with pytest.raises(ValueError, match="direction 'UP'"):
        utils.plot_model(siamese(), tmp_path / "n.svg", rankdir="UP")
    with pytest.raises(ArgumentError, match="'empty' has no layers"):
        utils.plot_model(Sequential(name="empty"), tmp_path / "n.svg")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install matplotlib"):
        utils.plot_model(siamese(), tmp_path / "n.png")
    assert [path.name for path in tmp_path.iterdir()] == ["m.png"]


def test_a_notebook_shows_models_without_drawing_weights():
    model = siamese()
    assert ET.fromstring(model._repr_svg_()).tag == f"{SVG}svg" and "tower (Sequential)" in model._repr_svg_()
    assert all(variable._held is None for variable in model.variables)
    assert Sequential()._repr_svg_() is None
    long = Sequential([Input((2,)), *[layers.ReLU() for _ in range(201)]])
    assert long._repr_svg_() is None and long.pop() is not None and long._repr_svg_() is not None


def test_a_model_as_text_for_graphviz(tmp_path):
    model = siamese()
    dot = utils.model_to_dot(model, show_shapes=True, expand_nested=True, rankdir="LR", splines="line", dpi=96)
    lines = dot.to_string().splitlines()
    assert lines[0] == f'digraph "{model.name}" {{' and lines[-1] == "}"
    assert lines[1] == "  graph [rankdir=LR, splines=line, dpi=96];"
    assert sum("subgraph cluster_" in line for line in lines) == 2
    defined = {line.split()[0] for line in lines if "[label=" in line or "[shape=point]" in line}
    ends = [end.strip(" ;") for line in lines if "->" in line for end in line.split("->")]
    assert len(ends) > 10 and set(ends) <= defined
    assert any(r"Dense)\ninput: " in line for line in lines)
    picture = dot.create(prog="dot", format="svg")
    assert (
        picture == dot.create_svg() == dot._repr_svg_().encode() and ET.fromstring(picture.decode()).tag == f"{SVG}svg"
    )
    assert dot.write(tmp_path / "m.dot") and (tmp_path / "m.dot").read_text() == dot.to_string() + "\n"
    assert dot.write_svg(tmp_path / "m.svg") and (tmp_path / "m.svg").read_bytes() == picture
    for options, match in (
        ({"subgraph": True}, "subgraph"),
        ({"splines": "wavy"}, "splines"),
        ({"rankdir": "UP"}, "UP"),
    ):
        with pytest.raises(ValueError, match=match):
            utils.model_to_dot(model, **options)
    with pytest.raises(ArgumentError, match="format must be 'svg', 'png', 'dot' or 'raw', got 'pdf'"):
        dot.create(format="pdf")
    pytest.importorskip("matplotlib")
    assert dot.create_png().startswith(b"\x89PNG") and dot.write_png(tmp_path / "m.png")
