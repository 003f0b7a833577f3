"""Training with several inputs and outputs: Keras's recorded answers, every source of data, and what does not match."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import lamella
from conftest import BACKENDS
from lamella import Input, Model, Sequential, callbacks, layers, losses, ops, tree, utils
from lamella.errors import ArgumentError, ShapeError
from layer_replay import difference
from oracle import cases, load, structures

NUMPY, JAX = BACKENDS
# XLA takes seconds over each row: one for each structure of outputs, and what is measured beside it
FAST_ON_JAX = {"dicts", "nested-lists", "weights-in-list", "masks-weights"}
PAIRS = [
    *(pytest.param(NUMPY, case, id=f"numpy-{case.id}") for case in cases.STRUCTURES),
    *(
        pytest.param(
            "jax",
            case,
            id=f"jax-{case.id}",
            marks=[*JAX.marks, *([] if case.id in FAST_ON_JAX else [pytest.mark.slow])],
        )
        for case in cases.STRUCTURES
    ),
]


@pytest.mark.parametrize("name, case", PAIRS)
def test_training_gives_the_logs_the_predictions_and_the_weights_of_keras(name, case):
    expected = load.load("structures", case.id)
    with lamella.backend_scope(name):
        found = structures.trained(lamella, case)
    assert json.loads(str(found["logs"])) == json.loads(str(expected["logs"]))
    assert set(found) == set(expected)
    wrong = {
        key: difference(value, expected[key])
        for key, value in found.items()
        if key != "logs" and not difference(value, expected[key]) <= case.tolerance
    }
    assert not wrong, f"max|a - b| / max|b| is {wrong}, allowed {case.tolerance}"


ROWS = 20
RANDOM = np.random.default_rng(0)
X = {"a": RANDOM.normal(size=(ROWS, 4)).astype("float32"), "b": RANDOM.normal(size=(ROWS, 1)).astype("float32")}
Y = {"price": RANDOM.normal(size=(ROWS, 1)).astype("float32"), "kind": RANDOM.integers(0, 3, ROWS)}
LOSS = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
FIT = {"batch_size": 8, "shuffle": False, "verbose": 0}


def model_of(outputs="dict", cls=Model, **kwargs):
    """A model with the inputs "a" and "b" and the outputs "price" and "kind", compiled with `kwargs`."""
    utils.set_random_seed(7)
    a, b = Input((4,), name="a"), Input((1,), name="b")
    h = layers.Dense(5, "tanh", name="hidden")(layers.Concatenate(name="joined")([a, b]))
    price, kind = layers.Dense(1, name="price")(h), layers.Dense(3, "softmax", name="kind")(h)
    ends = {"dict": ({"a": a, "b": b}, {"price": price, "kind": kind}), "list": ([a, b], [price, kind])}
    model = cls(*ends[outputs])
    model.compile("sgd", **{"loss": LOSS, **kwargs})
    return model


def batches(x=X, y=Y, size=8):
    for at in range(0, ROWS, size):
        yield tuple(tree.map_leaves(lambda a, at=at: a[at : at + size], part) for part in (x, y))


class Batches(utils.PyDataset):
    """The same batches by number."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return list(batches())[index]


def test_every_source_of_structures_gives_the_same_weights(tmp_path):
    pandas = pytest.importorskip("pandas")
    np.save(tmp_path / "a.npy", X["a"])
    mapped = {**X, "a": np.load(tmp_path / "a.npy", mmap_mode="r")}
    targets = pandas.DataFrame({"kind": Y["kind"], "price": Y["price"][:, 0]})
    wanted = model_of()
    wanted.fit(X, Y, **FIT)
    sources = {
        "list": ([X["a"], X["b"]], Y),
        "mapped": (mapped, Y),
        "vectors": ({"b": X["b"][:, 0], "a": X["a"]}, Y),
        "frame of targets": (X, targets),
        "numbers": (tree.map_leaves(np.ndarray.tolist, X), Y),
    }
    if pytest.importorskip("scipy"):
        import scipy.sparse

        sources["sparse"] = ({**X, "a": scipy.sparse.csr_matrix(X["a"])}, Y)
    found = {}
    for name, (x, y) in sources.items():
        found[name] = model_of()
        if name == "numbers":
            x = {key: np.array(rows, "float32") for key, rows in x.items()}
        found[name].fit(x, y, **FIT)
    for name, given in {
        "generator": batches(),
        "list of batches": list(batches()),
        "dataset": Batches(),
        "workers": Batches(workers=2),
    }.items():
        found[name] = model_of()
        found[name].fit(given, shuffle=False, verbose=0)
    for name, model in found.items():
        for weight, expected in zip(model.get_weights(), wanted.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected, err_msg=name)
    frame = pandas.DataFrame({"u": X["a"][:, 0], "v": X["b"][:, 0]})
    u, v = Input((1,), name="u"), Input((), name="v")
    by_column = Model([u, v], layers.Dense(1)(layers.Concatenate()([u, layers.Reshape((1,))(v)])))
    expected = by_column.predict([X["a"][:, :1], X["b"][:, 0]], verbose=0)
    for given in (frame, dict(frame), frame[["v", "u"]]):
        np.testing.assert_array_equal(by_column.predict(given, verbose=0), expected)


def test_predictions_have_the_structure_of_the_outputs(backend):
    model, one = model_of(), {key: rows[:1] for key, rows in X.items()}
    whole = model.predict(X, verbose=0)
    assert {key: value.shape for key, value in whole.items()} == {"price": (ROWS, 1), "kind": (ROWS, 3)}
    assert list(model_of("list").predict(X, verbose=0)[1].shape) == [ROWS, 3]
    for found in (
        model.predict(X, batch_size=8, verbose=0),
        model.predict((x for x, _ in batches()), verbose=0),
        model.predict(batches(), verbose=0),
        model.predict_on_batch(X),
        model(X),
        model(X, training=False),
        model.predict(X, batch_size=8, verbose=0, callbacks=[callbacks.Callback()]),
    ):
        assert list(found) == ["price", "kind"]
        for key, value in found.items():
            np.testing.assert_allclose(np.asarray(value), whole[key], rtol=1e-5, atol=1e-6)
    assert model.predict(X, verbose=0, batch_size=8, steps=1)["kind"].shape == (8, 3)
    outputs = model.layer_outputs(one)
    assert {key: value.shape for key, value in outputs.items()} == {
        "joined": (1, 5), "hidden": (1, 5), "price": (1, 1), "kind": (1, 3)
    }  # fmt: skip
    np.testing.assert_allclose(outputs["kind"], whole["kind"][:1], rtol=1e-5)


def test_a_shared_layer_has_an_output_for_each_call():
    a, b, shared = Input((3,)), Input((3,)), layers.Dense(2, name="shared")
    model = Model([a, b], layers.Subtract(name="difference")([shared(a), shared(b)]))
    x = [np.ones((4, 3), "float32"), np.zeros((4, 3), "float32")]
    found = model.layer_outputs(x)
    assert [part.shape for part in found["shared"]] == [(4, 2), (4, 2)]
    np.testing.assert_array_equal(found["difference"], found["shared"][0] - found["shared"][1])


def test_both_backends_compute_the_same_gradients(both, float64):
    found = []
    for name in both:
        with lamella.backend_scope(name):
            model = model_of(loss_weights={"price": 0.3, "kind": 2.0})
            found.append(model.value_and_grad(X, Y, training=True))
            assert list(found[-1][1]) == [path for path, _ in model.named_weights()]
    (loss, gradients), (other, others) = found
    np.testing.assert_allclose(np.asarray(loss), np.asarray(other), rtol=1e-9)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(np.asarray(gradient), np.asarray(others[path]), rtol=1e-9, atol=1e-12)


def test_running_eagerly_gives_the_same_logs():
    kwargs = {"metrics": {"kind": ["accuracy"]}, "loss_weights": {"price": 0.5, "kind": 1.0}}
    logs = [model_of(run_eagerly=eagerly, **kwargs).fit(X, Y, **FIT).history for eagerly in (False, True)]
    assert list(logs[0]) == list(logs[1]) == ["kind_accuracy", "kind_loss", "loss", "price_loss"]
    for key, values in logs[0].items():
        np.testing.assert_allclose(logs[1][key], values, rtol=1e-5)
    eager = model_of(run_eagerly=True)
    np.testing.assert_allclose(eager.predict_on_batch(X)["kind"], model_of().predict_on_batch(X)["kind"], rtol=1e-5)


def test_callbacks_find_the_losses_of_outputs(tmp_path):
    stop = callbacks.EarlyStopping("val_price_loss", patience=1)
    best = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.weights.h5", monitor="kind_loss", save_best_only=True, save_weights_only=True
    )
    history = model_of().fit(X, Y, epochs=3, validation_split=0.2, callbacks=[stop, best], **FIT).history
    assert len(history["val_price_loss"]) >= 2
    assert list(tmp_path.iterdir())


def test_a_checkpoint_continues_the_training(tmp_path):
    whole, first, second = (model_of() for _ in range(3))
    whole.fit(X, Y, epochs=2, **FIT)
    first.fit(X, Y, epochs=1, **FIT)
    first.save_checkpoint(tmp_path / "c.npz")
    second.load_checkpoint(tmp_path / "c.npz")
    second.fit(X, Y, epochs=2, initial_epoch=1, **FIT)
    for weight, expected in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


# ---- steps of the user's own ----


class OwnStep(Model):
    """A step that looks at what it is given."""

    def train_step(self, data):
        x, y, sample_weight = data
        assert (list(x), list(y), list(sample_weight)) == (["a", "b"], ["kind", "price"], ["price"])

        def loss_of():
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred, sample_weight), y_pred

        (loss, y_pred), gradients = lamella.value_and_grad(loss_of, self.trainable_variables, has_aux=True)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}


class OwnLoss(Model):
    """A loss with a term of its own."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + 0.5 * ops.mean(y_pred["price"]) + (1.0 if training else 0.0)


def test_an_own_step_gets_the_structures_and_gives_the_same_logs(backend):
    y, weights = {"kind": Y["kind"], "price": Y["price"]}, {"price": np.linspace(0, 1, ROWS)}
    kwargs = {"metrics": {"kind": ["accuracy"]}}
    models = [model_of(cls=cls, **kwargs) for cls in (Model, OwnStep)]
    logs = [m.fit(X, y, sample_weight=weights, batch_size=10, shuffle=False, verbose=0).history for m in models]
    assert list(logs[0]) == list(logs[1])
    for key, values in logs[0].items():
        np.testing.assert_allclose(logs[1][key], values, rtol=1e-5)
    for weight, expected in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_an_own_loss_sees_all_outputs():
    model, plain = model_of(cls=OwnLoss), model_of()
    expected = (
        plain.evaluate(X, Y, verbose=0, return_dict=True)["loss"] + 0.5 * plain.predict(X, verbose=0)["price"].mean()
    )
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert float(model.value_and_grad(X, Y, training=True)[0]) == pytest.approx(expected + 1.0, rel=1e-5)


class Autoencoder(Model):
    """A subclass whose step computes other outputs than its call."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = layers.Dense(2), layers.Dense(4)

    def call(self, inputs):
        code = self.encoder(inputs)
        return {"code": code, "norm": ops.sum(ops.square(code), -1)}

    def train_step(self, data):
        (x,) = data

        def loss_of():
            return self.compute_loss(x, x, self.decoder(self(x)["code"]))

        loss, gradients = lamella.value_and_grad(loss_of, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def test_a_step_may_compute_the_loss_of_other_outputs():
    model = Autoencoder()
    model.decoder.build((None, 2))
    model.compile("adam", "mse")
    history = model.fit(X["a"], epochs=3, verbose=0).history
    assert history["loss"][2] < history["loss"][0]
    assert {key: value.shape for key, value in model.predict(X["a"], verbose=0).items()} == {
        "code": (ROWS, 2), "norm": (ROWS,)
    }  # fmt: skip


# ---- compile ----


def test_losses_and_metrics_are_objects_by_output():
    model = model_of(
        loss={"price": losses.Huber(delta=0.5), "kind": losses.SparseCategoricalCrossentropy()},
        metrics={"price": [lambda y, p: ops.abs(y - p)], "kind": None},
    )
    assert list(model.fit(X, Y, **FIT).history) == ["kind_loss", "loss", "price_<lambda>", "price_loss"]
    assert model.metrics_names == ["loss", "price_loss", "kind_loss", "price_<lambda>"]
    assert isinstance(model.loss["price"], losses.Huber)


def test_one_metric_is_for_all_outputs():
    for metrics in ("mae", ["mae"]):
        model = model_of("list", loss="mse", metrics=metrics)
        assert list(model.evaluate(X, [Y["price"], np.eye(3)[Y["kind"]]], verbose=0, return_dict=True)) == [
            "kind_loss", "kind_mae", "loss", "price_loss", "price_mae"
        ]  # fmt: skip


def test_a_copy_keeps_the_weights_of_losses():
    model = Sequential([Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", loss_weights=0.25)
    assert copy.deepcopy(model).evaluate(X["a"], Y["price"], verbose=0) == model.evaluate(X["a"], Y["price"], verbose=0)


def test_a_model_with_one_output_takes_targets_by_name():
    model = Sequential([Input((4,), name="x"), layers.Dense(1, name="y")])
    model.compile("sgd", {"y": "mse"}, metrics={"y": ["mae"]}, loss_weights={"y": 0.5})
    expected = model.evaluate(X["a"], Y["price"], verbose=0)
    assert model.evaluate({"x": X["a"]}, {"y": Y["price"]}, verbose=0) == expected
    assert model.evaluate([X["a"]], [Y["price"]], verbose=0) == expected
    assert model.metrics_names == ["loss", "mae"]


# ---- what does not match ----

BAD_DATA = {
    "missing input": (({"a": X["a"]}, Y), "x lacks 'b'; the model's inputs are 'a', 'b'."),
    "unknown input": (({**X, "c": X["a"]}, Y), "x has the unknown key 'c'; the model's inputs are 'a', 'b'."),
    "both": (({"a": X["a"], "B": X["b"]}, Y), "x lacks 'b' and has the unknown key 'B'"),
    "one array": ((X["a"], Y), "x is a single ndarray, and the model has 2 inputs: give a list or a dict of 'a', 'b'."),
    "too many": (([X["a"]] * 3, Y), "x has 3 entries, and the model has 2 inputs: 'a', 'b'."),
    "rows of inputs": (({**X, "b": X["b"][:3]}, Y), "x/a has 20 rows and x/b has 3"),
    "text": (({**X, "b": np.array(["u"] * ROWS)}, Y), "x/b must hold numbers"),
    "no targets": ((X, None), "loss 'mean_squared_error' for output 'price', which needs targets: give y."),
    "missing target": ((X, {"price": Y["price"]}), "for output 'kind', which needs targets: give them in y."),
    "unknown target": ((X, {**Y, "c": X["a"]}), "y has the unknown key 'c'; the model's outputs are 'price', 'kind'."),
    "one target": ((X, Y["price"]), "y is a single ndarray, and the model has 2 outputs"),
    "order": ((X, [Y["price"], Y["kind"]]), "y is a list, which leaves open what is for which output: give a dict"),
    "rows of targets": ((X, {**Y, "kind": Y["kind"][:3]}), "x has 20 rows and y/kind has 3"),
    "labels": (
        (X, {**Y, "kind": Y["kind"] + 1}),
        "output of layer 'kind': sparse_categorical_crossentropy: labels must be",
    ),
    "weights": ((X, Y, {"prize": X["b"]}), "sample_weight has the unknown key 'prize'"),
    "rows of weights": (
        (X, Y, {"price": X["b"][:3, 0]}),
        "sample_weight/price needs one number per row, shape (20,), got (3,)",
    ),
}


@pytest.mark.parametrize("given, told", BAD_DATA.values(), ids=BAD_DATA)
def test_data_that_do_not_match_are_refused_in_one_sentence(backend, given, told):
    model = model_of()
    before = model.get_weights()
    x, y, weights = (*given, None)[:3]
    with pytest.raises(Exception) as caught:
        model.fit(x, y, sample_weight=weights, verbose=0)
    assert isinstance(caught.value, ArgumentError | ShapeError | ValueError | TypeError)
    assert told in str(caught.value)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_batch_says_which_and_what(backend):
    def bad():
        yield X, Y
        yield X, {"price": Y["price"]}

    with pytest.raises(ValueError, match=r"batch 1 of x: .* for output 'kind', which needs targets: give them in y"):
        model_of().fit(bad(), verbose=0)
    with pytest.raises(ShapeError, match=r"batch 1 of x: it holds .*sample_weight/price, and the first batch x/a"):
        model_of().fit([(X, Y), (X, Y, {"price": np.ones(ROWS)})], verbose=0)


@pytest.mark.parametrize(
    "outputs, kwargs, told",
    [
        (
            "dict",
            {"loss": {"prize": "mse"}},
            "loss names the unknown output 'prize'; the model's outputs are 'price', 'kind'.",
        ),
        (
            "list",
            {"loss": {"prize": "mse"}},
            "loss names the unknown output 'prize'; the model's outputs are 'price', 'kind'.",
        ),
        ("dict", {"loss_weights": {"prize": 1.0}}, "loss_weights names the unknown output 'prize'"),
        ("dict", {"metrics": {"kind": "mae", "prize": "mae"}}, "metrics names the unknown output 'prize'"),
        ("dict", {"weighted_metrics": {"prize": "mae"}}, "weighted_metrics names the unknown output 'prize'"),
        ("dict", {"loss": ["mse", "mse"]}, "loss is a list, which leaves open what is for which output"),
        ("list", {"loss": ["mse"]}, "loss has 1 entry, and the model has 2 outputs: 'price', 'kind'."),
        ("list", {"metrics": ["mae", "mse", "mae"]}, "metrics has 3 entries, and the model has 2 outputs"),
        ("list", {"loss": [["mse", "mae"], "mse"]}, "loss has one entry, got 2: the model has one output, 'price'."),
        ("list", {"loss_weights": ["much", 1.0]}, "loss_weights is a number, or a list or dict of numbers"),
    ],
)
def test_compile_refuses_what_does_not_match_the_outputs(outputs, kwargs, told):
    with pytest.raises(ValueError) as caught:
        model_of(outputs, **kwargs)
    assert told in str(caught.value)


def test_what_is_for_one_output_is_refused_for_several():
    with pytest.raises(ArgumentError, match="class_weight is for a model with one output: give sample_weight"):
        model_of().fit(X, Y, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ArgumentError, match="the metrics of output 'kind' need targets: give them in y"):
        model_of(loss={"price": "mse"}, metrics={"kind": ["accuracy"]}).fit(X, {"price": Y["price"]}, verbose=0)
    with pytest.raises(ArgumentError, match="is a Sequential, which has one input: pass one array"):
        model = Sequential([layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit([X["a"], X["b"]], Y["price"], verbose=0)


def test_a_loss_of_declared_values_is_added(backend):
    """As the variational autoencoders of Keras 2 are written; the same as the layer that adds it in its call."""

    class Adding(layers.Layer):
        def call(self, inputs):
            hidden, y = inputs
            self.add_loss(ops.mean(ops.square(hidden)))
            return y

    data = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    logs = []
    for declared in (True, False):
        utils.set_random_seed(3)
        x = Input((3,))
        hidden = layers.Dense(4, "tanh", name="hidden")(x)
        y = layers.Dense(1, name="y")(hidden)
        model = Model(x, y if declared else Adding()([hidden, y]))
        if declared:
            model.add_loss(ops.mean(ops.square(hidden)))
        model.compile("sgd", "mse")
        log = model.fit(
            data, data[:, :1], epochs=2, batch_size=4, verbose=0, validation_data=(data, data[:, :1])
        ).history
        logs.append([*log.values(), *model.get_weights()])
    for a, b in zip(*logs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_loss_of_a_part_of_a_nested_model_alone_trains():
    x = Input((3,))
    hidden = layers.Dense(2)(x)
    encoder = Model(x, hidden)
    model = Model(x, layers.Dense(3)(encoder(x)))
    model.add_loss(ops.square(hidden))  # of each entry: their mean counts
    model.add_loss(ops.mean(ops.abs(model.output - x)))
    model.compile("sgd")
    data = np.ones((4, 3), "float32")
    expected = np.mean(encoder.predict(data, verbose=0) ** 2) + np.mean(np.abs(model.predict(data, verbose=0) - data))
    assert model.evaluate(data, verbose=0) == pytest.approx(float(expected), rel=1e-5)
    before = encoder.get_weights()
    model.fit(data, verbose=0)
    assert not np.array_equal(before[0], encoder.get_weights()[0])


def test_a_declared_loss_that_is_not_the_models_is_refused():
    x, other = Input((3,)), Input((3,))
    model = Model(x, layers.Dense(2)(x))
    with pytest.raises(ArgumentError, match="depend on the input"):
        model.add_loss(ops.mean(other))
    with pytest.raises(ArgumentError, match="depends on weights of 'apart', which the model does not contain"):
        model.add_loss(ops.mean(layers.Dense(1, name="apart")(x)))
    with pytest.raises(ArgumentError, match=r"needs Model\(inputs, outputs\)"):
        Sequential([Input((3,)), layers.Dense(1)]).add_loss(ops.mean(x))
