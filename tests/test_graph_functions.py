"""Operations that take functions, applied to declared values: `scan`, loops, `cond`, `switch`, `map`, `custom_gradient`."""

import copy
import pickle

import numpy as np
import pytest

import lamella
from lamella import Input, Model, Variable, layers, ops
from lamella.errors import ShapeError, TraceError
from lamella.models import clone_model


def some(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype("float32")


@ops.custom_gradient
def tripled(x):
    return 2 * x, lambda upstream: 3 * upstream


def steps_first(x):
    return ops.transpose(x, (1, 0, 2))


USES = {
    "scan": lambda x: ops.scan(lambda c, a: (c + a, c * a), ops.zeros_like(x[:, 0]), steps_first(x))[0],
    "scan-of-rows": lambda x: ops.scan(lambda c, a: (c + a, c * a), x[0], x)[1],
    "map": lambda x: steps_first(ops.map(lambda a: a * ops.sum(a, axis=1, keepdims=True), steps_first(x))),
    "map-of-rows": lambda x: ops.vectorized_map(lambda row: row * ops.sum(row), x),
    "fori_loop": lambda x: ops.fori_loop(0, 3, lambda i, v: 1.5 * v + ops.cast(i, "float32"), x),
    "fori_loop-with-sizes": lambda x: ops.fori_loop(0, 2, lambda i, v: ops.cumsum(v, 1) / v.shape[1], x),
    "while_loop": lambda x: ops.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, 2 * v), (0, x))[1],
    "while_loop-of-values": lambda x: ops.while_loop(
        lambda v: ops.max(v) < 9, lambda v: 2 * v, x, maximum_iterations=5
    ),
    "switch": lambda x: ops.switch(1, [lambda v: 2 * v, lambda v: v + 1], x),
    "cond": lambda x: ops.cond(ops.sum(x) > 0, lambda: 2 * x, lambda: x - 1),
    "custom_gradient": tripled,
    "associative_scan": lambda x: ops.associative_scan(lambda a, b: a + b, x, axis=2),
    "foreach": lambda x: ops.foreach(lambda a, s: [a * s], [[x, 2 * x]], [2.0])[0][1],
    "nested": lambda x: ops.fori_loop(0, 2, lambda i, v: ops.cond(ops.sum(x) > i, lambda: v + x, lambda: v), x),
}


def with_dense_layers(applied, length):
    lamella.utils.set_random_seed(1)
    value = Input((length, 3))
    return Model(value, layers.Dense(2)(applied(layers.Dense(3)(value))))


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_they_compute_what_they_do_within_a_layer(use):
    x = some(6, 4, 3)
    found = []
    with lamella.backend_scope("numpy"):
        for applied in (use, layers.Lambda(use)):
            model = with_dense_layers(applied, None)
            model.compile("sgd", "mse")
            first = model.predict(x, verbose=0)
            history = model.fit(x, some(*first.shape), batch_size=4, epochs=2, shuffle=False, verbose=0).history
            found.append([first, history["loss"], model.predict(some(3, 5, 3), verbose=0)])
    for between, within in zip(*found, strict=True):
        np.testing.assert_allclose(between, within, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [4, None])
def test_they_compute_the_same_on_jax(length, both):
    x, found = some(6, 4, 3), []
    for name in both:
        with lamella.backend_scope(name):
            value = Input((length, 3))
            model = Model(value, {word: use(value) for word, use in USES.items()})
            found.append(model.predict(x, verbose=0))
    for word in USES:
        np.testing.assert_allclose(found[1][word], found[0][word], rtol=1e-5, atol=1e-6, err_msg=word)


@pytest.mark.parametrize("use", ["scan", "fori_loop-with-sizes", "nested"])
def test_such_models_are_copied_and_lowered(use):
    x = some(5, 4, 3)
    value = Input((None, 3))
    model = Model(value, layers.Dense(2)(USES[use](layers.Dense(3)(value))))
    y = model.predict(x, verbose=0)
    clone = clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (clone, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(x, verbose=0), y)
    lowered = model.lower(backend="numpy")
    assert np.allclose(lowered(lowered.params, lowered.state, x)[0], y, atol=1e-6)


def test_files_do_not_describe_functions(tmp_path):
    value = Input((3,))
    model = Model(value, ops.fori_loop(0, 2, lambda i, v: 2 * v, layers.Dense(3)(value)))
    with pytest.raises(ValueError, match=r"`ops.scan`, or a loop that is one, .* no file can describe: put .*`call`"):
        model.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda x: ops.map(lambda row: layers.Dense(2, name="d")(row), x), TraceError, "Layer 'd' .*`ops.map`.*`call`"),
        (lambda x: ops.map(lambda row: row * Variable(np.ones(3), name="v"), x), TraceError, "'v'.*not be trained"),
        (lambda x: Variable(np.ones(3), name="v") * x, TraceError, "'v'.*not be trained"),
        (lambda x: ops.while_loop(lambda v: ops.sum(v) < 3, lambda v: 2 * v, x), TraceError, "`maximum_iterations`"),
        (
            lambda x: ops.fori_loop(0, x.shape[0], lambda i, v: 2 * v, x),
            TraceError,
            "fori_loop must be Python integers",
        ),
        (lambda x: ops.fori_loop(0, 2, lambda i, v: ops.sum(v), x), ShapeError, "must keep its spec"),
        (lambda x: ops.cond(x, lambda: x, lambda: x), ShapeError, "a cond must be a scalar"),
    ],
    ids=["layer", "variable", "variable on the left", "unbounded", "free bound", "another shape", "no scalar"],
)
def test_what_cannot_be_is_said(use, error, words, backend):
    with pytest.raises(error, match=words):
        use(Input((3,)))


def test_a_variable_is_read_when_an_operation_on_arrays_runs(backend):
    variable = Variable(np.ones(3, "float32"))
    for factor in (1, 2):
        variable.assign(factor * np.ones(3, "float32"))
        found = ops.fori_loop(0, 2, lambda i, v: v * variable, ops.ones((3,)))
        assert np.allclose(found, factor**2)
