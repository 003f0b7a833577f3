"""Files, configurations and copies of models that are graphs: those that Keras wrote, and lamella's own."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")

import hostile_graphs
import lamella
from hostile_graphs import call, dense, entry, given, graph, value
from lamella import Input, Model, layers, models, ops, tree
from lamella.errors import FormatError
from lamella.graph import operations, sorted_leaves
from limited_reader import MEGABYTE, outcomes
from oracle.graph_models import GRAPHS, data

RECORDED = Path(__file__).parent / "oracle" / "data" / "graph_files"
ANSWERS = np.load(RECORDED / "answers.npz")
TRAINED = ("residual", "shared", "by_name")
WITH_OPERATIONS = ("arithmetic", "products")


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):
        yield


def answers(name):
    found = [key for key in ANSWERS.files if key.startswith(f"{name}/")]
    return [ANSWERS[f"{name}/{i}"] for i in range(len(found))]


def made(name):
    lamella.utils.set_random_seed(3)
    return GRAPHS[name].make(lamella)


def assert_equal(found, expected, bound=0.0):
    assert tree.structure(found) == tree.structure(expected)
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= bound


# ---- what Keras wrote ----


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_what_keras_wrote_predicts_what_keras_predicts(name, ending):
    if ending == "h5" and name in WITH_OPERATIONS:
        pytest.skip("Keras 3 reads operations in its own .h5 files as layers")
    graph = GRAPHS[name]
    model = models.load_model(RECORDED / f"{name}.{ending}")
    found = list(sorted_leaves(model.predict(data(graph), verbose=0)))
    assert_equal(found, answers(f"{name}/y"), 1e-5)
    if graph.free is not None:
        found = list(sorted_leaves(model.predict(data(graph, free=True), verbose=0)))
        assert_equal(found, answers(f"{name}/free"), 1e-5)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_training_goes_on_where_keras_left_it(name, ending):
    model = models.load_model(RECORDED / f"{name}.{ending}")
    x = data(GRAPHS[name])
    zeros = tree.map_leaves(np.zeros_like, model.predict(x, verbose=0))
    model.fit(x, zeros, batch_size=3, epochs=1, shuffle=False, verbose=0)
    # the gradient of a bias before a normalization is rounding alone, which Adam makes large
    assert_equal(model.get_weights(), answers(f"{name}/then"), 5e-4 if name == "residual" else 1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_layers_are_listed_as_keras_lists_them(name):
    config = json.loads(zipfile.ZipFile(RECORDED / f"{name}.keras").read("config.json"))["config"]
    listed = [e["class_name"] for e in config["layers"] if not operations.is_operation(e["module"])]
    written = json.loads(made(name).to_json())["config"]
    assert [e["class_name"] for e in written["layers"] if not operations.is_operation(e["module"])] == listed
    assert [e["class_name"] for e in written["layers"] if operations.is_operation(e["module"])] == [
        e["class_name"] for e in written["layers"] if e["module"].startswith("keras.src.ops.")
    ]  # each is an operation that Keras has
    assert tree.structure(written["output_layers"]) == tree.structure(config["output_layers"])


# ---- lamella's own ----


@pytest.mark.parametrize("name", GRAPHS)
def test_files_and_copies_are_the_same_model(name, tmp_path):
    model, x = made(name), data(GRAPHS[name])
    expected, text = model.predict(x, verbose=0), model.to_json()
    found = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for ending in ("keras", "h5", "safetensors"):
        model.save(tmp_path / f"net.{ending}")
        found.append(models.load_model(tmp_path / f"net.{ending}"))
    for ending in (".weights.h5", ".h5", ".safetensors"):
        model.save_weights(tmp_path / f"of{ending}")
        found.append(models.clone_model(model))
        found[-1].load_weights(tmp_path / f"of{ending}")
    for other in found:
        assert other.to_json() == text
        assert_equal(other.predict(x, verbose=0), expected)
        assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
        assert len(other.weights) == len(model.weights)


@pytest.mark.parametrize("name", ["residual", "by_name"])
def test_the_state_of_an_optimizer_is_in_files_and_copies(name, tmp_path):
    model, x = made(name), data(GRAPHS[name])
    zeros = tree.map_leaves(np.zeros_like, model.predict(x, verbose=0))
    losses = {key: "mse" for key in zeros} if isinstance(zeros, dict) else "mse"
    model.compile("adam", losses, metrics={"value": ["mae"]} if isinstance(zeros, dict) else ["mae"])
    model.fit(x, zeros, batch_size=3, epochs=1, shuffle=False, verbose=0)
    found = [copy.deepcopy(model)]
    for ending in ("keras", "h5"):
        model.save(tmp_path / f"net.{ending}")
        found.append(models.load_model(tmp_path / f"net.{ending}"))
    logs = model.fit(x, zeros, batch_size=3, epochs=1, shuffle=False, verbose=0).history
    for other in found:
        again = other.fit(x, zeros, batch_size=3, epochs=1, shuffle=False, verbose=0).history
        assert {key: values[-1:] for key, values in again.items()} == {key: v[-1:] for key, v in logs.items()}
        assert_equal(other.get_weights(), model.get_weights())


def test_a_layer_in_several_models_stays_one(tmp_path):
    model = made("tower")
    model.save(tmp_path / "net.keras")
    for other in (copy.deepcopy(model), models.load_model(tmp_path / "net.keras")):
        assert other.get_layer("whole").get_layer("step") is other.get_layer("part").get_layer("step")


def test_what_keras_has_no_operation_for_is_written_with_sizes_of_inputs(tmp_path):
    x = Input((None, 4), name="x")
    places = ops.broadcast_to(ops.expand_dims(ops.arange(x.shape[1]), 0), (x.shape[0], x.shape[1]))
    model = Model(x, layers.Dense(2)(ops.mean(x + layers.Embedding(9, 4)(places), axis=1)))
    described = {e["class_name"]: e for e in json.loads(model.to_json())["config"]["layers"]}
    assert described["iota"]["module"] == operations.OWN
    assert described["iota"]["config"]["shape"] == [{"class_name": "__dim__", "config": ["x", 1]}]
    model.save(tmp_path / "net.keras")
    other = models.load_model(tmp_path / "net.keras")
    for length in (3, 5):
        batch = np.random.RandomState(length).standard_normal((2, length, 4)).astype("float32")
        assert_equal(other.predict(batch, verbose=0), model.predict(batch, verbose=0))


def test_sizes_are_expressions_of_sums_products_quotients_and_maxima():
    from lamella.ir.dim import maximum, symbol

    a, b = symbol("a"), symbol("b")
    places = {"a": ("x", 0), "b": ("x", 1)}
    for dim in (a, 2 * a + 3, a * b - 1, (a - 1) // 2 + 1, (a + b) % 3, maximum(a, 2 * b) // 5, -a + 7):
        written = json.loads(json.dumps(operations.serialize_dim(dim, places)))["config"]
        again = operations.dim_from(written, lambda name, axis: (a, b)[axis])
        for sizes in ({"a": 7, "b": 4}, {"a": 12, "b": 9}):
            assert again.at(sizes) == dim.at(sizes)


def test_training_that_a_call_fixes_is_kept():
    x = Input((4,))
    h = layers.BatchNormalization()(x, training=False)
    model = Model(x, layers.BatchNormalization()(h, training=True))
    again = Model.from_config(json.loads(json.dumps(model.get_config())))
    fixed = [
        node["training"] for e in again.get_config()["layers"] for node in e["inbound_nodes"] if "training" in node
    ]
    assert fixed == [False, True]


class Shifted(Model):
    """Several inputs and outputs, layers in a list and a dict."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units, "relu")
        self.blocks = [layers.Dense(units), layers.Dense(units)]
        self.heads = {"a": layers.Dense(1), "b": layers.Dense(2)}

    def call(self, inputs, training=False):
        h = self.first(inputs["x"]) + inputs["z"]
        for block in self.blocks:
            h = block(h)
        return {name: head(h) for name, head in self.heads.items()}

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Named(Model):
    """A class of the user's own for a graph."""


def test_classes_of_the_users_own_come_in_custom_objects(tmp_path):
    random = np.random.RandomState(0)
    x = {"x": random.standard_normal((6, 3)).astype("float32"), "z": np.ones((6, 1), "float32")}
    model = Shifted(4)
    model.compile("adam", "mse")
    model.fit(x, {"a": np.zeros((6, 1)), "b": np.zeros((6, 2))}, verbose=0)
    source = Input((3,), name="source")
    graph = Named(source, layers.Dense(2)(model({"x": source, "z": source[:, :1]})["b"]), name="graph")
    for made, batch in ((model, x), (graph, x["x"])):
        expected = made.predict(batch, verbose=0)
        found = [copy.deepcopy(made), pickle.loads(pickle.dumps(made))]
        for ending in ("keras", "h5", "safetensors"):
            path = tmp_path / f"{made.name}.{ending}"
            made.save(path)
            found.append(models.load_model(path, custom_objects={"Shifted": Shifted, "Named": Named}))
            with pytest.raises(FormatError, match="custom_objects"):
                models.load_model(path)
        for other in found:
            assert type(other) is type(made)
            assert_equal(other.predict(batch, verbose=0), expected)


# ---- Keras 2 ----


def read(config):
    return models.model_from_json(json.dumps(config))


def old(*nodes):
    """A call as Keras 2 wrote it."""
    return [[name, number, place, keywords] for name, number, place, keywords in nodes]


def test_calls_of_keras_2_are_understood():
    inner = graph(given("j"), dense("e", old(("j", 0, 0, {}))), inputs=[["j", 0, 0]], outputs=[["e", 0, 0]])["config"]
    nested = {**entry("m", "Functional", inner), "inbound_nodes": [old(("i", 0, 0, {})), old(("m", 1, 0, {}))]}
    drop = entry("r", "BatchNormalization", {}, old(("m", 2, 0, {"training": True})))
    add = entry("d", "Add", {}, old(("m", 1, 0, {}), ("r", 0, 0, {})))
    config = graph(given(), nested, drop, add, inputs=[["i", 0, 0]], outputs=[["d", 0, 0], ["m", 2, 0]])
    model = read({**config, "class_name": "Model", "keras_version": "2.4.0"})
    assert [layer.name for layer in model.layers] == ["i", "m", "r", "d"]
    nodes = {e["name"]: e["inbound_nodes"] for e in model.get_config()["layers"]}
    history = [n["args"][0]["config"]["keras_history"] for n in nodes["m"]]
    assert history == [["i", 0, 0], ["m", 0, 0]] and nodes["r"][0]["training"] is True
    assert model.get_config()["output_layers"] == [["d", 0, 0], ["m", 2, 0]]


def test_values_among_the_keywords_of_keras_2():
    steps = given("i", (None, 3, 4))
    encoder = entry("e", "GRU", {"units": 4, "return_state": True}, old(("i", 0, 0, {})))
    decoder = entry("d", "GRU", {"units": 4}, old(("i", 0, 0, {"initial_state": [["e", 0, 1]]})))
    model = read(
        graph(steps, encoder, decoder, inputs=[["i", 0, 0]], outputs=[["d", 0, 0]]) | {"keras_version": "2.4.0"}
    )
    assert model.output_shape == (None, 4)
    x = np.random.RandomState(0).standard_normal((2, 3, 4)).astype("float32")
    plain = models.clone_model(model)
    plain.set_weights([w * 0 if i < 3 else w for i, w in enumerate(model.get_weights())])
    plain.get_layer("d").set_weights(model.get_layer("d").get_weights())
    assert np.abs(model.predict(x, verbose=0) - plain.predict(x, verbose=0)).max() > 1e-4


# ---- graphs that hurt ----


@pytest.mark.parametrize("kind", ["broken", "operations"])
def test_hostile_graphs_end_in_a_format_error_in_time(kind, tmp_path):
    jobs = []
    for i, config in enumerate(getattr(hostile_graphs, kind)().values()):
        path = tmp_path / f"{i}.json"
        path.write_text(json.dumps(config))
        jobs.append(("json", str(path), 5, 300 * MEGABYTE))
    found = outcomes(jobs)
    assert len(found) == len(jobs), found[-1]
    wrong = [told for told in found if not told.startswith("FormatError: ")]
    assert not wrong


def test_graphs_of_many_edges_are_refused_and_deep_ones_read(tmp_path):
    jobs = []
    for i, (name, text) in enumerate(hostile_graphs.large(100).items()):
        if name != "models in models, each twice":
            path = tmp_path / f"{i}.json"
            path.write_bytes(text)
            jobs.append(("json", str(path), 20, 500 * MEGABYTE))
    assert [told.partition(":")[0] for told in outcomes(jobs)] == ["FormatError", "FormatError", "loaded", "loaded"]


@pytest.mark.slow
def test_the_largest_graphs_are_built_in_time_of_their_calls(tmp_path):
    texts = hostile_graphs.large()
    jobs = []
    for name in ("many calls", "a long chain backwards", "models in models, each twice"):
        (tmp_path / f"{name}.json").write_bytes(texts[name])
        jobs.append(("json", str(tmp_path / f"{name}.json"), 120, 1000 * MEGABYTE))
    assert [told.partition(":")[0] for told in outcomes(jobs)] == ["loaded", "loaded", "FormatError"]


def test_a_wrong_reference_is_named():
    with pytest.raises(FormatError, match="'nobody' is not in the model"):
        read(graph(given(), dense("d", call(value("nobody")))))
    with pytest.raises(FormatError, match="the graph has a cycle"):
        read(graph(given(), dense("d", call(value("d")))))


class Keeper(layers.Layer):
    """A layer with the names of attributes that models have."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._nodes, self._graph, self._places = [layers.Dense(2), layers.Dense(2)], "drawn", [1]

    def call(self, x):
        return self._nodes[1](self._nodes[0](x))


@pytest.mark.parametrize("ending", [".keras", ".h5", ".safetensors"])
def test_a_layer_may_have_attributes_of_the_names_that_models_use(ending, tmp_path):
    x = Input((2,))
    for model in (lamella.Sequential([Input((2,)), Keeper()]), Model(x, Keeper()(x))):
        model.save(tmp_path / f"model{ending}")
        again = models.load_model(tmp_path / f"model{ending}", custom_objects={"Keeper": Keeper})
        np.testing.assert_array_equal(*[m.predict(np.ones((1, 2)), verbose=0) for m in (model, again)])
        model.summary(print_fn=lambda text: None)
