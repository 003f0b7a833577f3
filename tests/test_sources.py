"""What `fit`, `evaluate` and `predict` take: arrays of every kind, and batches from anything that gives them."""

from __future__ import annotations

import itertools
import threading
from array import array

import numpy as np
import pytest

import lamella
from lamella.callbacks import LambdaCallback
from lamella.layers import BatchNormalization, Dense, Dropout, Input
from lamella.training import arrays, batches, sources
from lamella.utils import PyDataset

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5]] + 0.1).astype("float32")
LABELS = (Y[:, 0] > 0).astype("int32")


def model_of(*layers, loss="mse", optimizer="adam", **words):
    lamella.utils.set_random_seed(3)
    model = lamella.Sequential([Input((3,)), *(layers or (Dense(4, activation="tanh"), Dense(1)))])
    model.compile(optimizer, loss, **words)
    return model


def trained(x, y=None, **words):
    """The weights and logs after a fit, in the rows' own order."""
    model = model_of()
    history = model.fit(x, y, verbose=0, **{"epochs": 2, "shuffle": False, **words})
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

    def __init__(self, size=8, **words):
        super().__init__(**words)
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
    """Iterated anew for every epoch, as torch's and Grain's loaders are; it does not know its length."""

    def __init__(self, given):
        self.given, self.begun = given, 0

    def __iter__(self):
        self.begun += 1
        return iter(self.given)


# ---- arrays of every kind ----


class Holder:
    """Something of a stranger's with `__array__`."""

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


# ---- how long an epoch is ----


def seen_by(call):
    """The batches of each epoch that a run had, from its hooks."""
    epochs = []
    hooks = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(0),
        on_train_batch_end=lambda batch, logs: epochs.__setitem__(-1, batch + 1),
    )
    call(hooks)
    return epochs


STEPS = {
    "arrays go on": (lambda: (X, Y), {"batch_size": 8, "steps_per_epoch": 3, "epochs": 4}, [3, 3, 3, 3]),
    "arrays begin again": (lambda: (X, Y), {"batch_size": 8, "steps_per_epoch": 7, "epochs": 2}, [7, 7]),
    "ragged arrays": (lambda: (X, Y), {"batch_size": 16, "steps_per_epoch": 2, "epochs": 3}, [2, 2, 2]),
    "a list": (lambda: (pairs(), None), {"epochs": 2}, [5, 5]),
    "a list goes on": (lambda: (pairs(), None), {"steps_per_epoch": 3, "epochs": 3}, [3, 3, 3]),
    "a generator": (lambda: (generated(pairs()), None), {}, [5]),
    "a generator goes on": (lambda: (generated(pairs()), None), {"steps_per_epoch": 2, "epochs": 2}, [2, 2]),
    "initial_epoch": (lambda: (pairs(), None), {"initial_epoch": 2, "epochs": 3}, [5]),
}


@pytest.mark.parametrize("case", STEPS)
def test_the_steps_of_an_epoch(case, backend):
    made, words, expected = STEPS[case]
    x, y = made()
    assert seen_by(lambda hooks: model_of().fit(x, y, verbose=0, callbacks=[hooks], **words)) == expected
    x, y = made()
    history = model_of().fit(x, y, verbose=0, **words)
    assert len(history.epoch) == len(expected)


def test_epochs_of_some_steps_go_through_the_rows_in_order(backend):
    whole, cut = model_of(), model_of()
    whole.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    cut.fit(X, Y, batch_size=8, epochs=5, steps_per_epoch=3, shuffle=False, verbose=0)
    assert_same(whole.get_weights(), cut.get_weights(), rtol=0, atol=0)


@pytest.mark.parametrize("watched", [False, True])
def test_a_generator_is_asked_for_exactly_the_batches_of_its_epochs(watched, backend):
    given = generated(pairs() * 3)
    callbacks = [LambdaCallback(on_train_batch_end=lambda batch, logs: None)] if watched else None
    model_of().fit(given, steps_per_epoch=3, epochs=2, verbose=0, callbacks=callbacks)
    assert len(list(given)) == 15 - 6


def test_a_generator_that_ends_early_ends_training_with_a_warning(backend):
    model, shorter = model_of(), model_of()
    with pytest.warns(UserWarning, match=r"ended after 2 of 3 steps, and training ends with epoch 2"):
        history = model.fit(generated(pairs()), steps_per_epoch=3, epochs=4, verbose=0)
    assert history.epoch == [0, 1]
    shorter.fit(pairs(), verbose=0)
    assert_same(model.get_weights(), shorter.get_weights())
    with pytest.warns(UserWarning, match=r"ended after 0 of 5 steps, and training ends with epoch 1"):
        history = model.fit(generated(pairs()), steps_per_epoch=5, epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match=r"the evaluation of x ends"):
        model.evaluate(generated(pairs()), steps=9, verbose=0)


def test_validation_on_batches_and_on_some_of_them(backend):
    words = {"verbose": 0, "shuffle": False, "batch_size": 8}
    logs = model_of().fit(X, Y, epochs=2, validation_data=(X[:16], Y[:16]), **words).history
    for given in (pairs(rows=16), Loader(pairs(rows=16)), Parts()):
        steps = 2 if isinstance(given, Parts) else None
        model = model_of()
        found = model.fit(X, Y, epochs=2, validation_data=given, validation_steps=steps, **words).history
        if isinstance(given, Parts):  # goes on with batches 2 and 3
            np.testing.assert_allclose(found["val_loss"][0], logs["val_loss"][0], rtol=1e-5)
            again = model.evaluate(X[16:32], Y[16:32], verbose=0)
            np.testing.assert_allclose(found["val_loss"][1], again, rtol=1e-5)
        else:
            assert_same(list(found.values()), list(logs.values()))
    given = generated(pairs(rows=16) * 2)
    found = model_of().fit(X, Y, epochs=2, validation_data=given, validation_steps=2, **words).history
    assert_same(list(found.values()), list(logs.values()))
    assert list(given) == []


def test_validation_after_the_epochs_of_a_list(backend):
    history = model_of().fit(X, Y, epochs=5, validation_split=0.2, validation_freq=[1, 4], verbose=0)
    assert len(history.history["val_loss"]) == 2
    frame = history._rows
    assert [i for i, row in enumerate(frame) if "val_loss" in row] == [0, 3]


def test_shuffling_within_batches_leaves_rows_in_their_batch(both):
    # a model that adds up its batch does not see the order inside it
    for name in both:
        model, plain = model_of(Dense(1), backend=name), model_of(Dense(1), backend=name)
        model.fit(X, Y, batch_size=8, shuffle="batch", epochs=2, verbose=0)
        plain.fit(X, Y, batch_size=8, shuffle=False, epochs=2, verbose=0)
        assert_same(model.get_weights(), plain.get_weights(), rtol=1e-4, atol=1e-5)
    order = sources.Shuffle(model, model._compiled, 40, "batch", 8)()
    assert (np.sort(order.reshape(5, 8), 1) == np.arange(40).reshape(5, 8)).all()
    assert (order != np.arange(40)).any()


def test_a_stream_s_history_is_the_same_on_both_backends_with_shuffling_and_dropout(both):
    found = []
    for name in both:
        model = model_of(Dense(8, activation="relu"), Dropout(0.5), Dense(1), backend=name)
        found.append(model.fit(Parts(), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-4)


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
        with pytest.raises(ValueError, match=r"sample_weight needs one number a row, shape \(12,\) \(or \(12, 5\)"):
            model.fit(x, y, sample_weight=wrong, verbose=0)


# ---- what is refused ----


BAD = {
    "an empty generator": (lambda: generated([]), {}, "x is a generator without a batch"),
    "an empty data set": (lambda: Empty(), {}, "x is a Empty without a batch"),
    "a tuple of four": (lambda: Loader([(X, Y, Y, Y)]), {}, "batch 0 of x: it is a tuple of 4; a batch is"),
    "an empty tuple": (lambda: Loader([()]), {}, "it is a tuple of 0"),
    "no targets": (lambda: Loader([(X,)]), {}, "batch 0 of x: .*needs targets"),
    "lengths": (lambda: Loader([(X, Y[:5])]), {}, "batch 0 of x: x has 40 rows and y has 5"),
    "broadcasting": (lambda: Loader([(X, X)]), {}, "batch 0 of x: .*broadcasting"),
    "weights": (lambda: Loader([(X, Y, Y[:5, 0])]), {}, r"batch 0 of x: sample_weight .*got \(5,\)"),
    "features": (lambda: Loader([(X[:, :2], Y)]), {}, r"batch 0 of x: .*expected inputs of shape \(None, 3\)"),
    "ragged": (lambda: Loader([([[1.0, 2.0, 3.0], [1.0]], Y[:2])]), {}, "batch 0 of x: .*rectangular"),
    "a dict": (lambda: Loader([{"x": X}]), {}, "batch 0 of x: .*got dict"),
    "y beside batches": (pairs, {"y": Y}, "no argument y"),
    "weights beside batches": (pairs, {"sample_weight": Y}, "no argument sample_weight"),
    "batch_size beside batches": (pairs, {"batch_size": 4}, "no argument batch_size"),
    "validation_split": (pairs, {"validation_split": 0.5}, "validation_split needs rows"),
    "a generator twice": (lambda: generated(pairs()), {"epochs": 2}, "steps_per_epoch="),
    "a validation generator twice": (
        pairs,
        {"epochs": 2, "validation_data": generated(pairs())},
        "validation_data is a generator.*validation_steps=",
    ),
    "validation of no kind": (pairs, {"validation_data": X}, "validation_data is"),
    "validation_steps alone": (pairs, {"validation_steps": 2}, "need validation_data"),
    "steps_per_epoch": (pairs, {"steps_per_epoch": 0}, "steps_per_epoch is a positive integer"),
    "validation_freq": (pairs, {"validation_freq": [0]}, "validation_freq is a positive"),
    "shuffle": (pairs, {"shuffle": "rows"}, "shuffle is"),
    "class_weight": (lambda: X, {"y": LABELS, "class_weight": [1.0, 2.0]}, "class_weight is a dict"),
}


class Empty(PyDataset):
    def __len__(self):
        return 0


@pytest.mark.parametrize("case", BAD)
def test_bad_batches_get_one_sentence_and_change_nothing(case, both):
    made, words, pattern = BAD[case]
    told = []
    for name in both:
        model = model_of(backend=name)
        before = model.get_weights()
        with pytest.raises((ValueError, TypeError), match=pattern) as error:
            if "validation_data" in words and not isinstance(words["validation_data"], np.ndarray):
                words = {**words, "validation_data": generated(pairs())}
            model.fit(made(), verbose=0, **words)
        told.append((type(error.value), str(error.value)))
        assert_same(model.get_weights(), before, rtol=0, atol=0)
        assert model._compiled.steps == 0
    assert told[0] == told[1]


LATER = {
    "features": ((X[:8, :2], Y[:8]), "batch 2 of x: .*expected inputs"),
    "targets": ((X[:8],), "batch 2 of x: .*needs targets"),
    "kind": ((X[:8], Y[:8].astype("int32")), "batch 2 of x: its rows are .*they must be alike"),
    "rows": ((X[:8], Y[:7]), "batch 2 of x: x has 8 rows and y has 7"),
}


@pytest.mark.parametrize("case", LATER)
def test_a_bad_batch_later_leaves_the_chunks_before_it(case, both):
    bad, pattern = LATER[case]
    told = []
    for name in both:
        model, expected = model_of(backend=name), model_of(backend=name)
        with pytest.raises((ValueError, TypeError), match=pattern) as error:
            model.fit([*pairs()[:2], bad], verbose=0)
        told.append(str(error.value))
        expected.fit(pairs()[: model._compiled.steps], verbose=0) if model._compiled.steps else None
        assert model._compiled.steps in (0, 2)
        assert_same(model.get_weights(), expected.get_weights(), rtol=0, atol=0)
    assert told[0] == told[1]


def test_what_a_generator_raises_comes_through_as_it_is(backend):
    def breaks():
        yield from pairs()[:3]
        raise RuntimeError("the camera is off")

    model = model_of()
    with pytest.raises(RuntimeError, match="the camera is off") as error:
        model.fit(breaks(), verbose=0)
    assert error.traceback[-1].name == "breaks"


def test_a_generator_may_use_its_arrays_again(backend):
    def same():
        x, y = np.empty((8, 3), "float32"), np.empty((8, 1), "float32")
        for a, b in pairs():
            x[...], y[...] = a, b
            yield x, y
            x[...], y[...] = np.nan, np.nan

    assert_same(trained(same(), epochs=1), trained(X, Y, epochs=1, batch_size=8))


# ---- rows that are not in memory ----


@pytest.fixture
def mapped(tmp_path):
    """The rows in files, mapped into memory; float64, as people store them."""
    made = []
    for name, values in (("x", X), ("y", Y)):
        path = tmp_path / f"{name}.npy"
        np.save(path, values.astype("float64"))
        made.append(np.load(path, mmap_mode="r"))
    return made


@pytest.mark.parametrize("shuffle", [False, True])
def test_mapped_rows_train_as_those_in_memory(shuffle, mapped, backend):
    words = {"shuffle": shuffle, "batch_size": 7, "validation_split": 0.25, "epochs": 3}
    assert_same(trained(*mapped, **words), trained(X, Y, **words))
    assert_same(trained(mapped[0], Y, **words), trained(X, Y, **words))
    model = model_of()
    np.testing.assert_allclose(model.predict(mapped[0], verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        model.evaluate(*mapped, verbose=0, steps=1), model.evaluate(X[:32], Y[:32], verbose=0), rtol=1e-5
    )
    assert model.predict(mapped[0], batch_size=7, steps=2, verbose=0).shape == (14, 1)
    assert not [t for t in threading.enumerate() if t.name.startswith("lamella")]


def test_mapped_labels_are_checked_when_they_are_read(tmp_path, both):
    np.save(tmp_path / "y.npy", np.array([0] * 30 + [7] * 10))
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    for name in both:
        model = model_of(Dense(2, activation="softmax"), loss="sparse_categorical_crossentropy", backend=name)
        with pytest.raises(ValueError, match="7"):
            model.fit(X, y, batch_size=8, shuffle=False, verbose=0)


def test_large_sparse_rows_are_made_dense_a_batch_at_a_time(monkeypatch, backend):
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse.csc_matrix(np.where(X > 0, X, 0))
    expected = trained(np.asarray(x.toarray()), Y, batch_size=8)
    monkeypatch.setattr(arrays, "DENSE_BYTES", 100)
    assert isinstance(arrays.as_rows(x, "x"), arrays.StoredRows)
    assert_same(trained(x, Y, batch_size=8), expected)


def test_rows_that_do_not_fit_the_device_are_streamed(monkeypatch):
    pytest.importorskip("jax")
    expected = trained(X, Y, batch_size=8, shuffle=True)
    with lamella.backend_scope("jax") as found:
        placed = trained(X, Y, batch_size=8, shuffle=True)
        monkeypatch.setattr(type(found), "room", lambda self: 100)
        opened = []
        original = sources.ReadBatches.__init__
        monkeypatch.setattr(sources.ReadBatches, "__init__", lambda self, *a: (opened.append(a), original(self, *a))[1])
        streamed = trained(X, Y, batch_size=8, shuffle=True)
    assert opened
    assert_same(streamed, placed)
    assert_same(streamed, expected)


def test_no_copy_of_a_mapped_file_is_made(tmp_path, backend):
    import tracemalloc

    path = tmp_path / "rows"
    rows = np.memmap(path, "float32", "w+", shape=(100_000, 128))  # 51 MB
    y = np.zeros((100_000, 1), "float32")
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([Input((128,)), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(rows[:64], y[:64], verbose=0)
    tracemalloc.start()
    try:
        model.fit(rows, y, batch_size=256, verbose=0)
        model.evaluate(rows, y, batch_size=256, verbose=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20, peak / 2**20


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
def test_four_gigabytes_train_in_less_than_half_a_gigabyte(shuffle, run_python, tmp_path, backend):
    code = f"""
import threading, time
import numpy as np
import lamella

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssAnon"))

rows = np.memmap({str(tmp_path / "rows")!r}, "float32", "w+", shape=(1 << 18, 1 << 12))
y = np.zeros((1 << 18, 1), "float32")
model = lamella.Sequential([lamella.Input((1 << 12,)), lamella.layers.Dense(1)])
model.compile("sgd", "mse", backend={backend!r})
model.fit(np.zeros((64, 1 << 12), "float32"), y[:64], verbose=0)
before, most, over = anonymous(), 0.0, threading.Event()

def watch():
    global most
    while not over.wait(0.02):
        most = max(most, anonymous())

thread = threading.Thread(target=watch)
thread.start()
model.fit(rows, y, batch_size=256, verbose=0, shuffle={shuffle})
over.set()
thread.join()
print(rows.nbytes >> 20, round(most - before))
"""
    size, grown = map(float, run_python(code=code).stdout.split())
    assert size == 4096 and grown < 500, (size, grown)


def test_the_thread_that_reads_ahead_ends_with_its_reader_and_passes_errors_on():
    def numbers():
        yield from range(5)
        raise OSError("disk")

    seen = []
    with pytest.raises(OSError, match="disk"):
        seen.extend(batches.ahead(numbers(), 2))
    reading = batches.ahead(iter(range(10_000)), 3)
    assert next(reading) == 0
    reading.close()
    assert not [t for t in threading.enumerate() if t.name == "lamella-ahead"]


# ---- old names ----


def test_the_generator_methods_of_keras_1_and_2(backend):
    expected = trained(X, Y, batch_size=8, epochs=2)
    for words in (
        {"steps_per_epoch": 5, "epochs": 2},
        {"samples_per_epoch": 40, "nb_epoch": 2},
        {"samples_per_epoch": 39, "nb_epoch": 2, "max_q_size": 2, "nb_worker": 1, "pickle_safe": False},
        {"steps_per_epoch": 5, "epochs": 2, "workers": 0},
    ):
        model = model_of()
        with pytest.warns(DeprecationWarning, match="fit_generator"):
            history = model.fit_generator(generated(pairs() * 3), verbose=0, **words)
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
    with pytest.raises(ImportError, match=r"lamella\[pandas\]"):
        history.to_frame()
    with pytest.raises(ImportError, match=r"lamella\[plot\]"):
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
