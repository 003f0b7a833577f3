"""What `fit`, `evaluate` and `predict` take: arrays of every kind, and batches from anything that gives them."""

from __future__ import annotations

import itertools
import threading
from array import array

import numpy as np
import pytest

import lamella
from lamella.layers import BatchNormalization, Dense, Input
from lamella.training import arrays
from lamella.utils import PyDataset

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5]] + 0.1).astype("float32")
LABELS = (Y[:, 0] > 0).astype("int32")


def model_of(*layers, loss="mse", optimizer="adam", **kwargs):
    lamella.utils.set_random_seed(3)
    model = lamella.Sequential([Input((3,)), *(layers or (Dense(4, activation="tanh"), Dense(1)))])
    model.compile(optimizer, loss, **kwargs)
    return model


def trained(x, y=None, **kwargs):
    """The weights and logs after a fit, in the rows' own order."""
    model = model_of()
    history = model.fit(x, y, verbose=0, **{"epochs": 2, "shuffle": False, **kwargs})
    return [*model.get_weights(), *map(np.array, history.history.values())]


def assert_same(first, second, **tolerance):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 1e-5, "atol": 1e-6}))


def pairs(size=8, rows=40):
    return [(X[at : at + size], Y[at : at + size]) for at in range(0, rows, size)]


def generated(given):
    yield from given


class Parts(PyDataset):
    """Batches of the rows, which notes who asked for what."""

    def __init__(self, size=8, **kwargs):
        super().__init__(**kwargs)
        self.size, self.asked, self.ends, self.threads = size, [], 0, set()

    def __len__(self):
        return -(-len(X) // self.size)

    def __getitem__(self, index):
        self.asked.append(index)
        self.threads.add(threading.get_ident())
        at = slice(index * self.size, (index + 1) * self.size)
        return X[at], Y[at]

    def on_epoch_end(self):
        self.ends += 1


class Loader:
    """Iterated again for every epoch, as torch's and Grain's loaders are; it does not know its length."""

    def __init__(self, given):
        self.given, self.begun = given, 0

    def __iter__(self):
        self.begun += 1
        return iter(self.given)


# ---- arrays of every kind ----


class Holder:
    """Something of a third party's with `__array__`."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def jax_array(x):
    return pytest.importorskip("jax.numpy").asarray(x)


def frame(x):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x, columns=list("abcd"[: x.shape[1]])) if x.shape[1] > 1 else pandas.Series(x[:, 0])


def torch_tensor(x):
    return pytest.importorskip("torch").tensor(x, requires_grad=x.shape[1] > 1)


KINDS = {
    "float64": lambda x: x.astype("float64"),
    "fortran": np.asfortranarray,
    "list": lambda x: x.tolist(),
    "list of one": lambda x: [x],
    "__array__": Holder,
    "jax": jax_array,
    "pandas": frame,
    "sparse": lambda x: pytest.importorskip("scipy.sparse").csr_matrix(x),
    "sparse coo": lambda x: pytest.importorskip("scipy.sparse").coo_array(x),
    "torch": torch_tensor,
}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_are_the_same_rows(kind):
    # they become NumPy's before a backend sees them, so one backend will do; its own arrays are given to it
    with lamella.backend_scope("jax" if kind == "jax" else "numpy"):
        made = KINDS[kind]
        x, y = made(X), made(Y)
        assert_same(trained(x, y), trained(X, Y))
        model = model_of()
        expected = [model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)]
        assert_same([model.evaluate(x, y, verbose=0), model.predict(x, verbose=0)], expected)


def test_numbers_that_are_iterated_are_arrays_and_no_batches(backend):
    model = lamella.Sequential([Input((1,)), Dense(1, kernel_initializer="ones")])
    for x in (range(4), array("f", [0, 1, 2, 3]), [0, 1, 2, 3], (0, 1, 2, 3)):
        np.testing.assert_array_equal(model.predict(x, verbose=0)[:, 0], [0, 1, 2, 3])


def test_a_frame_of_booleans_and_floats_is_numbers_and_one_of_text_is_refused_with_its_columns():
    pandas = pytest.importorskip("pandas")
    mixed = pandas.DataFrame({"a": [1.5, 2.5], "b": [True, False], "c": pandas.array([1, 2], dtype="Int64")})
    np.testing.assert_array_equal(arrays.as_array(mixed, "x"), [[1.5, 1, 1], [2.5, 0, 2]])
    mixed["town"] = ["Ulm", "Jena"]
    with pytest.raises(TypeError, match=r"'town'.*Encode them"):
        model_of().fit(mixed, Y[:2])


def test_several_arrays_are_several_inputs_and_refused(backend):
    with pytest.raises(ValueError, match=r"list of 2 arrays.*numpy\.stack\(x\)"):
        model_of().fit([X, X], Y)
    with pytest.raises(ValueError, match=r"y is a list of 40 arrays"):
        model_of().fit(X, list(Y))


# ---- batches of every kind ----

STREAMS = {
    "list": lambda given: given,
    "generator": lambda given: generated(given * 2),
    "loader": Loader,
    "py dataset": lambda given: Parts(),
    "threads": lambda given: Parts(workers=3, max_queue_size=2),
    "lists": lambda given: Loader([list(pair) for pair in given]),
    "torch": lambda given: torch_loader(),
}


def torch_loader():
    data = pytest.importorskip("torch.utils.data")
    import torch

    return data.DataLoader(data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=8)


@pytest.mark.parametrize("kind", STREAMS)
def test_batches_train_as_their_rows_do(kind, backend):
    given = STREAMS[kind](pairs())
    steps = 5 if kind == "generator" else None
    assert_same(trained(given, steps_per_epoch=steps), trained(X, Y, batch_size=8))
    model = model_of()
    given = STREAMS[kind](pairs())
    evaluated = model.evaluate(given, verbose=0, steps=steps)
    np.testing.assert_allclose(evaluated, model.evaluate(X, Y, verbose=0), rtol=1e-5)
    predicted = model.predict(STREAMS[kind](pairs()), verbose=0, steps=steps)
    np.testing.assert_allclose(predicted, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [(Dense(1),), (BatchNormalization(), Dense(1))], ids=["apart", "mixing"])
def test_batches_of_any_size_are_what_they_are(layers, backend):
    edges = [0, 7, 22, 28, 40]
    given = [(X[a:b], Y[a:b]) for a, b in itertools.pairwise(edges)]
    streamed, by_hand = (model_of(*[type(layer).from_config(layer.get_config()) for layer in layers]) for _ in "ab")
    logs = streamed.fit(given, epochs=2, verbose=0).history["loss"]
    losses = []
    for _ in range(2):
        losses.append(sum(by_hand.train_on_batch(x, y) * len(x) for x, y in given) / 40)
    assert_same(streamed.get_weights(), by_hand.get_weights())
    np.testing.assert_allclose(logs, losses, rtol=1e-5)
    np.testing.assert_allclose(streamed.predict(given, verbose=0), by_hand.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_weights_in_the_batches_and_weights_by_class(backend):
    def classifier():
        return model_of(
            Dense(2, activation="softmax"), loss="sparse_categorical_crossentropy", weighted_metrics=["acc"]
        )

    by_hand, weighted, classed, refused = (classifier() for _ in range(4))
    weight = np.where(LABELS == 1, 3.0, 1.0)
    logs = by_hand.fit(X, LABELS, batch_size=8, sample_weight=weight, shuffle=False, verbose=0).history
    triples = [(X[a : a + 8], LABELS[a : a + 8], weight[a : a + 8]) for a in range(0, 40, 8)]
    found = weighted.fit(triples, verbose=0).history
    assert_same(weighted.get_weights(), by_hand.get_weights())
    assert found.keys() == logs.keys()
    classed.fit([triple[:2] for triple in triples], class_weight={1: 3.0}, verbose=0)
    assert_same(classed.get_weights(), by_hand.get_weights())
    with pytest.raises(ValueError, match=r"batch 0 of x: .*class_weight"):
        refused.fit(triples, class_weight={1: 3.0}, verbose=0)


def test_a_py_dataset_is_shuffled_by_batches_the_same_on_every_backend(both):
    asked = []
    for name in both:
        given = Parts()
        model_of(backend=name).fit(given, epochs=3, verbose=0)
        assert given.ends == 3 and given.threads == {threading.get_ident()}
        asked.append(given.asked[1:])  # the first was looked at
    assert asked[0] == asked[1]
    epochs = [asked[0][at : at + 5] for at in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs) and len({tuple(e) for e in epochs}) > 1


@pytest.mark.slow
def test_a_py_dataset_in_processes(run_python, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        """
import os
import numpy as np
import lamella

class Parts(lamella.utils.PyDataset):
    scale = 1.0
    def __len__(self):
        return 4
    def __getitem__(self, index):
        assert os.getpid() != parent or index == 0
        return np.full((2, 3), index * self.scale, "float32"), np.zeros((2, 1), "float32")
    def on_epoch_end(self):
        self.scale += 1.0

if __name__ == "__main__":
    parent = os.getpid()
    model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(1, kernel_initializer="ones")])
    model.compile(lamella.optimizers.SGD(0.0), "mae", backend="numpy")
    given = Parts(workers=2, use_multiprocessing=True, max_queue_size=3)
    print(model.fit(given, epochs=2, verbose=0).history["loss"])
else:
    parent = None
""",
        encoding="utf-8",
    )
    assert run_python(script).stdout.strip() == "[4.5, 9.0]"


def test_what_a_worker_raises_keeps_its_traceback_and_the_model_its_chunks():
    class Broken(Parts):
        def __getitem__(self, index):
            if index == 3:
                raise KeyError("row 17 of the table")
            return super().__getitem__(index)

    for workers in (1, 2):
        model = model_of(backend="numpy")
        with pytest.raises(KeyError, match="row 17") as error:
            model.fit(Broken(workers=workers), shuffle=False, verbose=0)
        assert error.traceback[-1].name == "__getitem__"


# ---- weights by step ----


def test_a_weight_for_every_step_of_a_sequence(backend):
    x = RNG.normal(size=(12, 5, 3)).astype("float32")
    y, weight = x[..., :1] * 2, (RNG.random((12, 5)) > 0.4).astype("float32") * 2
    lamella.utils.set_random_seed(1)
    model = lamella.Sequential([Input((5, 3)), Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"])
    error = model.predict(x, verbose=0) - y
    told = model.evaluate(x, y, sample_weight=weight, batch_size=5, verbose=0, return_dict=True)
    np.testing.assert_allclose(told["loss"], np.sum(error[..., 0] ** 2 * weight) / 60, rtol=1e-5)
    np.testing.assert_allclose(told["mae"], np.abs(error).mean(), rtol=1e-5)
    np.testing.assert_allclose(told["weighted_mae"], np.sum(np.abs(error[..., 0]) * weight) / weight.sum(), rtol=1e-5)
    model.fit(x, y, sample_weight=weight, verbose=0)
    for wrong in (weight[:, :4], weight[:5], np.ones((12, 5, 3))):
        with pytest.raises(ValueError, match=r"sample_weight needs one number per row, shape \(12,\) \(or \(12, 5\)"):
            model.fit(x, y, sample_weight=wrong, verbose=0)


# ---- old names ----


def test_the_generator_methods_of_keras_1_and_2(backend):
    expected = trained(X, Y, batch_size=8, epochs=2)
    for kwargs in (
        {"steps_per_epoch": 5, "epochs": 2},
        {"samples_per_epoch": 40, "nb_epoch": 2},
        {"samples_per_epoch": 39, "nb_epoch": 2, "max_q_size": 2, "nb_worker": 1, "pickle_safe": False},
        {"steps_per_epoch": 5, "epochs": 2, "workers": 0},
    ):
        model = model_of()
        with pytest.warns(DeprecationWarning, match="fit_generator"):
            history = model.fit_generator(generated(pairs() * 3), verbose=0, **kwargs)
        assert_same([*model.get_weights(), *map(np.array, history.history.values())], expected)
    with pytest.warns(DeprecationWarning):
        told = model.fit_generator(
            Parts(), 5, 1, 0, validation_data=generated(pairs() * 2), nb_val_samples=24, workers=2, max_queue_size=3
        )
    assert list(told.history) == ["loss", "val_loss"]
    with pytest.warns(DeprecationWarning, match="evaluate_generator"):
        loss = model.evaluate_generator(generated(pairs()), val_samples=40)
    np.testing.assert_allclose(loss, model.evaluate(X, Y, verbose=0), rtol=1e-5)
    with pytest.warns(DeprecationWarning, match="predict_generator"):
        y = model.predict_generator(generated(pairs()), 3)
    np.testing.assert_allclose(y, model.predict(X[:24], verbose=0), rtol=1e-5, atol=1e-6)
    with pytest.warns(DeprecationWarning), pytest.raises(TypeError, match="nb_workers"):
        model.fit_generator(generated(pairs()), 2, nb_workers=2)


# ---- what is written, and the history ----


def test_progress_knows_the_length_after_the_first_epoch(capsys, backend):
    model_of().fit(Loader(pairs()), epochs=2, verbose=2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1/2 - 5 steps - ") and second.startswith("Epoch 2/2 - 5/5 - ")
    model_of().predict(Loader(pairs()), verbose=2)
    assert capsys.readouterr().out.startswith("5 steps")


def test_a_stream_of_unknown_length_is_drawn_without_a_bar(monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    file = Terminal()
    monkeypatch.setattr("sys.stdout", file)
    monkeypatch.setattr(lamella.console.Progress, "redraw_seconds", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    model_of(backend="numpy").fit(Loader(pairs()), epochs=2, verbose=1)
    first, second = file.getvalue().split("\n")[:2]
    assert "2 steps" in first and "━" not in first and "left" not in first
    assert "━" in second and "/5" in second


def test_the_history_as_a_frame_and_as_a_picture():
    history = model_of(metrics=["mae"], backend="numpy").fit(
        X, Y, epochs=4, validation_split=0.2, validation_freq=2, verbose=0
    )
    figure = history.plot()
    assert [axes.get_legend_handles_labels()[1] for axes in figure.axes] == [["loss", "val_loss"], ["mae", "val_mae"]]
    lines = figure.axes[0].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), history.history["loss"])
    np.testing.assert_array_equal(lines[1].get_xdata(), [2, 4])
    assert history.plot(figure.axes[0]) is figure
    pytest.importorskip("pandas")
    frame = history.to_frame()
    assert list(frame.columns) == ["loss", "mae", "val_loss", "val_mae"] or set(frame.columns) == set(history.history)
    assert list(frame.index) == [0, 1, 2, 3] and frame["val_loss"].isna().tolist() == [True, False, True, False]


def test_an_absent_extra_is_named(monkeypatch):
    import sys

    history = lamella.callbacks.History()
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install pandas"):
        history.to_frame()
    with pytest.raises(ImportError, match=r"pip install matplotlib"):
        history.plot()


def test_none_of_the_guests_is_imported(run_python):
    code = """
import sys
import numpy as np, lamella
model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(1)])
model.compile("sgd", "mse", backend="numpy")
model.fit([(np.ones((4, 3)), np.ones((4, 1)))], verbose=0)
print([m for m in ("pandas", "scipy", "torch", "matplotlib", "multiprocessing", "concurrent.futures") if m in sys.modules])
"""
    assert run_python(code=code).stdout.strip() == "[]"
