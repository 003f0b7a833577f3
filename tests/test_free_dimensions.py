"""Dimensions declared as None: any mixture of sizes, in everything that a model does with data."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lamella
from conftest import BACKENDS
from lamella import layers as L  # noqa: N812 - named often
from lamella import ops
from lamella.models import clone_model, load_model


def words(length=None):
    return lamella.Sequential(
        [
            L.Input((length,), dtype="int32"),
            L.Embedding(7, 3, mask_zero=True),
            L.LSTM(3),
            L.Dense(1),
        ]
    )


def images(size=(None, None)):
    return lamella.Sequential(
        [
            L.Input((*size, 3)),
            L.Conv2D(4, 3, strides=2, padding="same", activation="tanh"),
            L.MaxPooling2D(padding="same"),
            L.GlobalAveragePooling2D(),
            L.Dense(1),
        ]
    )


def tags(length=None):
    """One output per step, and cheap to compile."""
    return lamella.Sequential([L.Input((length, 2)), L.Dense(3, activation="tanh"), L.Conv1D(1, 2, padding="same")])


MODELS = {"words": (words, (5, 9, 4)), "images": (images, ((6, 7), (8, 5), (9, 9))), "tags": (tags, (5, 9, 4))}


@pytest.fixture(params=["numpy", pytest.param("jax", marks=[*BACKENDS[1].marks, pytest.mark.slow])])
def backend(request):
    """The name of a backend, in force for the test; `kinds` has what is quick on JAX."""
    with lamella.backend_scope(request.param):
        yield request.param


def kinds(*names, quick="tags"):
    """Models on both backends; JAX compiles the smallest quickly enough, and where `quick` is None nothing."""
    numpy, jax = BACKENDS
    pairs = [pytest.param(numpy, kind, id=f"numpy-{kind}") for kind in names]
    for kind in names:
        marks = [*jax.marks, *([] if kind == quick else [pytest.mark.slow])]
        pairs.append(pytest.param("jax", kind, id=f"jax-{kind}", marks=marks))
    return pytest.mark.parametrize("name, kind", pairs)


@pytest.fixture
def on_backend(name):
    with lamella.backend_scope(name):
        yield


def batch(kind, size, rows=4):
    """Inputs and targets of a size."""
    random = np.random.default_rng([rows, *np.atleast_1d(size)])
    if kind == "words":
        x = random.integers(1, 7, (rows, size)).astype("int32")
        x[0, -2:] = 0
        return x, random.normal(size=(rows, 1)).astype("float32")
    if kind == "images":
        return random.normal(size=(rows, *size, 3)).astype("float32"), random.normal(size=(rows, 1)).astype("float32")
    return random.normal(size=(rows, size, 2)).astype("float32"), random.normal(size=(rows, size, 1)).astype("float32")


def compiled(model, **options):
    model.compile(lamella.optimizers.SGD(0.05), "mse", metrics=["mae"], **options)
    return model


def fixed(kind, size, like):
    """The model declared for one size, with the weights of another."""
    model = compiled(MODELS[kind][0](size))
    model.set_weights(like.get_weights())
    return model


def assert_same(found, expected):
    """Equal bit by bit on NumPy, but for rounding on JAX."""
    exact = lamella.backend_api.current_backend() == "numpy"
    for a, b in zip(found, expected, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# ---- declared ----


def test_a_model_is_built_when_it_is_declared():
    model = lamella.Sequential(
        [L.Input((None,), dtype="int32"), L.Embedding(1000, 32, mask_zero=True), L.LSTM(64), L.Dense(1)]
    )
    assert model.built and model.input_shape == (None, None) and model.output_shape == (None, 1)
    assert model.count_params() == 1000 * 32 + 4 * 64 * (32 + 64 + 1) + 65
    assert [w.shape for w in model.weights][:2] == [(1000, 32), (32, 256)]
    text = []
    model.summary(print_fn=text.append, line_length=120)
    assert all(shape in "".join(text) for shape in ("(None, None, 32)", "(None, 64)", "(None, 1)"))
    assert "not built" not in "".join(text)


DECLARED = {
    "Input": lambda: lamella.Sequential([L.Input((None, 2)), L.LSTM(3)]),
    "batch_shape": lambda: lamella.Sequential([L.Input(batch_shape=(None, None, 2)), L.LSTM(3)]),
    "input_shape": lambda: lamella.Sequential([L.LSTM(3, input_shape=(None, 2))]),
    "build": lambda: built(lamella.Sequential([L.LSTM(3)]), (None, None, 2)),
    "add": lambda: added(L.Input((None, 2)), L.LSTM(3)),
    "nested": lambda: lamella.Sequential([lamella.Sequential([L.Input((None, 2)), L.LSTM(3)])]),
}


def built(model, shape):
    model.build(shape)
    return model


def added(*layers):
    model = lamella.Sequential()
    for layer in layers:
        model.add(layer)
    return model


@pytest.mark.parametrize("way", DECLARED)
def test_every_way_to_declare_a_free_length(way):
    model = DECLARED[way]()
    assert model.built and model.input_shape == (None, None, 2) and model.output_shape == (None, 3)
    assert model.count_params() == 72
    model.set_weights([np.ones_like(w) for w in model.get_weights()])


def test_weights_are_those_of_a_model_of_a_fixed_length():
    for kind, (make, sizes) in MODELS.items():
        lamella.utils.set_random_seed(3)
        free = make().get_weights()
        lamella.utils.set_random_seed(3)
        for a, b in zip(free, make(sizes[0]).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=kind)


def test_copies_keep_what_is_free(tmp_path):
    model = compiled(words(), backend="numpy")
    model.fit(*batch("words", 5), verbose=0)
    model.save(tmp_path / "m.keras")
    for other in (
        clone_model(model),
        copy.copy(model),
        pickle.loads(pickle.dumps(model)),
        load_model(tmp_path / "m.keras"),
    ):
        assert other.built and other.input_shape == (None, None)
        other.to("numpy").set_weights(model.get_weights())
        x = batch("words", 9)[0]
        np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


# ---- data of several sizes ----


@kinds(*MODELS)
def test_every_size_gets_the_numbers_of_a_model_declared_for_it(name, kind, on_backend):
    make, sizes = MODELS[kind]
    model = compiled(make())
    for size in sizes:
        x, y = batch(kind, size)
        expected = fixed(kind, size, model)
        assert_same([model.predict(x, verbose=0)], [expected.predict(x, verbose=0)])
        assert_same([model.predict_on_batch(x), model(x)], [expected.predict_on_batch(x), expected(x)])
        assert_same(model.layer_outputs(x).values(), expected.layer_outputs(x).values())
        assert_same(model.evaluate(x, y, verbose=0), expected.evaluate(x, y, verbose=0))
        assert_same(model.test_on_batch(x, y), expected.test_on_batch(x, y))
        loss, gradients = model.value_and_grad(x, y, training=True)
        expected_loss, expected_gradients = expected.value_and_grad(x, y, training=True)
        assert_same([loss, *gradients.values()], [expected_loss, *expected_gradients.values()])


@kinds("words", "tags", quick=None)
def test_training_goes_on_at_another_size(name, kind, on_backend):
    make, sizes = MODELS[kind]
    model = compiled(make())
    for size in (*sizes, sizes[0]):
        x, y = batch(kind, size, 8)
        expected = fixed(kind, size, model)
        found = [m.fit(x, y, batch_size=4, shuffle=False, verbose=0).history["loss"] for m in (model, expected)]
        assert_same([found[0], *model.get_weights()], [found[1], *expected.get_weights()])
    assert int(model.optimizer.iterations) == 2 * (len(sizes) + 1)


def sequence(kind, count=9):
    """Batches of every size, in turn."""
    sizes = MODELS[kind][1]
    return [batch(kind, sizes[i % len(sizes)]) for i in range(count)]


class Numbered(lamella.utils.PyDataset):
    def __init__(self, batches, **options):
        super().__init__(**options)
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


SOURCES = {
    "list": lambda batches: batches,
    "generator": lambda batches: (b for b in batches),
    "data set": Numbered,
    "workers": lambda batches: Numbered(batches, workers=2),
}


def one_by_one(model, batches):
    """The weights after a step for each batch, taken by itself."""
    for x, y in batches:
        model.train_on_batch(x, y)
    return model.get_weights()


@kinds("words", "tags")
@pytest.mark.parametrize("source", SOURCES)
def test_batches_of_mixed_sizes_train_as_one_by_one(source, name, kind, on_backend):
    batches, first, second = sequence(kind), compiled(MODELS[kind][0]()), compiled(MODELS[kind][0]())
    second.set_weights(first.get_weights())
    history = first.fit(SOURCES[source](batches), shuffle=False, verbose=0).history
    losses = []
    for x, y in batches:
        losses.append(second.train_on_batch(x, y)[0])
    assert_same(first.get_weights(), second.get_weights())
    np.testing.assert_allclose(history["loss"], [np.mean(losses)], rtol=1e-5)


def test_rows_and_lengths_vary_together(backend):
    batches = [batch("tags", length, rows) for length, rows in ((5, 4), (9, 4), (9, 3), (5, 2), (4, 4))]
    first, second = compiled(tags()), compiled(tags())
    second.set_weights(first.get_weights())
    first.fit(batches, verbose=0)
    assert_same(first.get_weights(), one_by_one(second, batches))


def test_weights_of_steps_go_with_the_lengths(backend):
    first, second = compiled(tags()), compiled(tags())
    second.set_weights(first.get_weights())
    batches = [
        (x, y, np.linspace(0, 1, y[..., 0].size).reshape(y.shape[:2]).astype("float32")) for x, y in sequence("tags", 4)
    ]
    first.fit(batches, verbose=0)
    for x, y, weight in batches:
        second.train_on_batch(x, y, sample_weight=weight)
    assert_same(first.get_weights(), second.get_weights())


def test_validation_data_of_another_size(backend):
    model = compiled(tags())
    x, y = batch("tags", 5, 8)
    for validation in (batch("tags", 9, 6), sequence("tags", 4)):
        history = model.fit(x, y, batch_size=4, validation_data=validation, verbose=0).history
        told = (
            model.evaluate(*validation, verbose=0)
            if isinstance(validation, tuple)
            else model.evaluate(validation, verbose=0)
        )
        np.testing.assert_allclose([history["val_loss"][0], history["val_mae"][0]], told, rtol=1e-5)


def test_evaluate_and_predict_on_batches_of_mixed_sizes(backend):
    """Predictions are one array where they have no free dimension; others are refused."""
    model = compiled(lamella.Sequential([L.Input((None, 2)), L.GlobalAveragePooling1D(), L.Dense(1)]))
    batches = [(x, y[:, 0]) for x, y in sequence("tags")]
    told = [model.test_on_batch(x, y) for x, y in batches]
    np.testing.assert_allclose(model.evaluate(batches, verbose=0), np.mean(told, axis=0), rtol=1e-5)
    outputs = [model.predict(x, verbose=0) for x, _ in batches]
    assert_same([model.predict((x for x, _ in batches), verbose=0)], [np.concatenate(outputs)])
    with pytest.raises(ValueError, match=r"\(None, 4, 1\).*not one array"):
        tags().predict((x for x, _ in batches), verbose=0)


def test_eager_training_on_mixed_sizes(backend):
    eager, usual = compiled(tags(), run_eagerly=True), compiled(tags())
    usual.set_weights(eager.get_weights())
    for model in (eager, usual):
        model.fit(sequence("tags", 4), verbose=0)
    for a, b in zip(eager.get_weights(), usual.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@kinds(*MODELS)
def test_the_lowered_function_takes_any_size(name, kind, on_backend):
    make, sizes = MODELS[kind]
    model = make()
    fn = model.lower(name)
    for size in sizes:
        x = batch(kind, size, 2)[0]
        assert_same([fn(fn.params, fn.state, x)[0]], [model.predict(x, verbose=0)])


TEXTS = [[1, 2, 3], [4, 5, 6, 1, 2], [3, 3]]


def test_padding_to_a_bucket_changes_nothing_where_the_mask_counts(backend):
    model = lamella.Sequential(
        [L.Input((None,), dtype="int32"), L.Embedding(7, 3, mask_zero=True), L.LSTM(3), L.Dense(1)]
    )
    expected = model.predict(lamella.utils.pad_sequences(TEXTS), verbose=0)
    for padding in ("pre", "post"):
        tokens, _ = lamella.utils.pad_to_buckets(TEXTS, 8, padding=padding)
        assert tokens.shape == (3, 8)
        np.testing.assert_allclose(model.predict(tokens, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_the_mask_of_a_bucket_is_the_weight_of_its_steps(backend):
    model = lamella.Sequential([L.Input((None,), dtype="int32"), L.Embedding(7, 3), L.Dense(1)])
    model.compile("sgd", "mse")
    targets = [np.sin(np.array(text, "float32"))[:, None] for text in TEXTS]

    class Padded(lamella.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            step = (5, 8)[index]
            return lamella.utils.pad_to_buckets(TEXTS, step)[0], *lamella.utils.pad_to_buckets(targets, step)

    # a mean over all steps, of which those of the padding count nothing
    sums = [model.test_on_batch(*Padded()[i]) * (5, 8)[i] for i in (0, 1)]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-5)
    before = model.evaluate(Padded(), verbose=0)
    model.fit(Padded(), epochs=3, verbose=0)
    assert model.evaluate(Padded(), verbose=0) < before


# ---- a declared batch ----


def test_states_go_on_across_lengths(backend):
    model = lamella.Sequential([L.Input(batch_shape=(2, None, 2)), L.LSTM(3, stateful=True), L.Dense(1)])
    assert model.built and model.input_shape == (2, None, 2) and model.output_shape == (2, 1)
    whole = lamella.Sequential([L.Input((None, 2)), L.LSTM(3), L.Dense(1)])
    whole.set_weights([v.numpy() for v in model.trainable_weights])
    x = np.random.default_rng(1).normal(size=(2, 9, 2)).astype("float32")
    for start, stop in ((0, 4), (4, 5), (5, 9)):
        found = model.predict(x[:, start:stop], verbose=0)
        np.testing.assert_allclose(found, whole.predict(x[:, :stop], verbose=0), rtol=1e-5, atol=1e-6)
    model.reset_states()
    model.compile("sgd", "mse")
    model.fit([(x[:, :4], x[:, 0, :1]), (x[:, 4:], x[:, 1, :1])], verbose=0)
    with pytest.raises(ValueError, match="2"):
        model.predict(x[:1], verbose=0)


# ---- layers of your own ----


class Positions(L.Layer):
    """Adds a vector for each position."""

    def build(self, input_shape):
        self.table = self.add_weight((16, input_shape[-1]), "normal", name="table")

    def call(self, x):
        return x + ops.take(self.table, ops.arange(ops.shape(x)[1]), axis=0)


class Pairs(L.Layer):
    """Joins the features of two neighbors."""

    def call(self, x):
        return ops.reshape(x, (x.shape[0], -1, 2 * x.shape[2]))


class Centred(L.Layer):
    """Divides by a size that is used as a number."""

    def call(self, x):
        return x - ops.sum(x, axis=1, keepdims=True) / ops.cast(ops.shape(x)[1], x.dtype)


class Reversed(L.Layer):
    """Needs the length as a number: a Python loop over the steps."""

    def call(self, x):
        return ops.stack([x[:, i] for i in reversed(range(x.shape[1]))], axis=1)


def pairs(x):
    return x.reshape(len(x), x.shape[1] // 2, -1)


SYMBOLIC = {
    "positions": (Positions, lambda x, table: x + table[: x.shape[1]]),
    "pairs": (Pairs, pairs),
    "centered": (Centred, lambda x: x - x.mean(axis=1, keepdims=True)),
    "lambda": (lambda: L.Lambda(lambda x: x[:, ::2] * 2.0), lambda x: x[:, ::2] * 2),
    "differences": (lambda: L.Lambda(lambda x: x[:, 1:] - x[:, :-1]), lambda x: x[:, 1:] - x[:, :-1]),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_layers_of_one_s_own_take_a_free_length(name, backend):
    make, function = SYMBOLIC[name]
    model = lamella.Sequential([L.Input((None, 2)), make()])
    assert model.built
    for length in (4, 8, 6):
        x = batch("tags", length)[0]
        np.testing.assert_allclose(model.predict(x, verbose=0), function(x, *model.get_weights()), rtol=1e-5, atol=1e-6)


def test_a_layer_that_needs_the_length_as_a_number_is_traced_with_the_data(backend):
    model = compiled(lamella.Sequential([L.Input((None, 2)), Reversed(), L.LSTM(3), L.Dense(1)]))
    assert not model.built and model.input_shape == (None, None, 2)
    x = batch("tags", 5)[0]
    y = np.ones((4, 1), "float32")
    first = model.fit(x, y, verbose=0).history["loss"][0]
    assert model.built and np.isfinite(first) and model.fit(x, y, verbose=0).history["loss"][0] < first
    plain = lamella.Sequential([L.Input((5, 2)), L.LSTM(3), L.Dense(1)])
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(x, verbose=0), plain.predict(x[:, ::-1], verbose=0), rtol=1e-5, atol=1e-6)
