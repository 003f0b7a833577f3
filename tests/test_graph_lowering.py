"""The lowered function of models with several inputs and outputs, keys for `init`, and parameters in half precision."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import Input, Model, Sequential, layers
from lamella.errors import ArgumentError, TraceError

X = {"a": np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4), "b": np.ones((2, 3), "float32")}


def model_of(outputs="dict"):
    """Two inputs and two outputs, with states and random draws between."""
    a, b = Input((4,), name="a"), Input((3,), name="b")
    h = layers.Dense(5, "tanh")(layers.Concatenate()([a, b]))
    h = layers.Dropout(0.5, name="dropout")(layers.BatchNormalization()(h))
    p, k = layers.Dense(1, name="p")(h), layers.Dense(3, "softmax", name="k")(h)
    return Model({"a": a, "b": b}, {"p": p, "k": k}) if outputs == "dict" else Model([a, b], (p, k))


def test_a_lowered_function_takes_and_returns_the_structures(backend):
    model = model_of()
    expected, fn = model.predict(X, verbose=0), model.lower()
    for x in (X, {"b": X["b"], "a": X["a"]}, [X["a"], X["b"]]):
        y, state = fn(fn.params, fn.state, x)
        assert list(y) == ["p", "k"]
        assert set(state) == set(fn.state)
        for key, value in y.items():
            np.testing.assert_allclose(np.asarray(value), expected[key], rtol=1e-5, atol=1e-6)
    assert fn.input_shape == {"a": (None, 4), "b": (None, 3)}
    assert fn.program.input_names[-2:] == ("x/a", "x/b")
    assert fn.program.output_names[:2] == ("y/p", "y/k")
    fn = model_of("list").lower(training=True)
    y, state, penalty = fn(fn.params, fn.state, [X["a"], X["b"]], seed=1, return_losses=True)
    assert [type(y), *(part.shape for part in y), penalty] == [tuple, (2, 1), (2, 3), 0.0]
    assert any(not np.array_equal(np.asarray(state[n]), np.asarray(value)) for n, value in fn.state.items())


def test_a_lowered_function_says_what_is_missing(backend):
    fn = model_of().lower()
    with pytest.raises(ArgumentError, match="x lacks 'b'; the model's inputs are 'a', 'b'"):
        fn(fn.params, fn.state, {"a": X["a"]})
    with pytest.raises(TraceError, match=r"Layer 'dropout' draws random numbers .* pass `seed=`"):
        fn(fn.params, fn.state, X, training=True)


def test_jax_transforms_a_function_of_structures(jax):
    fn = model_of().lower("jax", training=True)
    params, state = fn.params, fn.state

    def loss(params):
        y, _ = fn(params, state, X, seed=jax.random.key(1))
        return (y["p"] ** 2).mean() - y["k"][:, 0].mean()

    gradients = jax.jit(jax.grad(loss))(params)
    assert set(gradients) == set(params)
    epsilon = 1e-2
    moved = params | {"p/bias": params["p/bias"] + epsilon}
    back = params | {"p/bias": params["p/bias"] - epsilon}
    assert float(gradients["p/bias"][0]) == pytest.approx(float(loss(moved) - loss(back)) / (2 * epsilon), rel=1e-3)


def test_init_takes_keys_of_jax(jax):
    fn = model_of().lower("jax")
    drawn, _ = fn.init(jax.random.key(5))
    for other in (jax.random.PRNGKey(5), jax.random.key_data(jax.random.key(5))):
        for name, value in fn.init(other)[0].items():
            np.testing.assert_array_equal(value, drawn[name])
    for name, value in jax.jit(fn.init)(jax.random.key(5))[0].items():
        np.testing.assert_array_equal(value, drawn[name])
    many, _ = jax.vmap(fn.init)(jax.random.split(jax.random.key(0), 3))
    assert many["p/kernel"].shape == (3, 5, 1)
    assert len(np.unique(np.asarray(many["p/kernel"])[:, 0, 0])) == 3


def test_init_with_an_integer_draws_what_a_model_with_that_seed_draws(backend):
    model = Sequential([Input((4,)), layers.Dense(3, name="d")])
    fn = model.lower()
    for name, value in fn.init(model.seed)[0].items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(fn.params[name]))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_as_in_a_function_written_by_hand(jax, dtype):
    jnp = jax.numpy
    model = Sequential([Input((4,)), layers.Dense(8, "relu", name="one"), layers.Dense(3, name="two")])
    fn = model.lower("jax")
    params = jax.tree.map(lambda a: a.astype(dtype), fn.params)

    def by_hand(params, x):
        h = jax.nn.relu(x @ params["one/kernel"] + params["one/bias"])
        return h @ params["two/kernel"] + params["two/bias"]

    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), dtype)
    for given in (x, x.astype("float32")):  # float32 inputs make float32 of the products, as JAX promotes
        found, expected = fn(params, {}, given)[0], by_hand(params, given)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(np.asarray(found, "float32"), np.asarray(expected, "float32"))
    gradients = jax.grad(lambda p: fn(p, {}, x)[0].astype("float32").sum())(params)
    assert {str(g.dtype) for g in gradients.values()} == {dtype}
    assert fn(fn.params, {}, x)[0].dtype == "float32"  # float32 parameters: as ever


def test_states_keep_the_half_precision_they_are_given_in(jax):
    fn = model_of().lower("jax", training=True)
    params, state = (jax.tree.map(lambda a: a.astype("bfloat16"), tree) for tree in (fn.params, fn.state))
    x = jax.tree.map(lambda a: jax.numpy.asarray(a, "bfloat16"), X)
    y, after = jax.jit(fn)(params, state, x, seed=1)
    assert {str(part.dtype) for part in y.values()} == {"bfloat16"}
    assert {name: str(value.dtype) for name, value in after.items()} == dict.fromkeys(state, "bfloat16")


def test_half_precision_on_numpy():
    fn = model_of().lower("numpy")
    half = [{name: value.astype("float16") for name, value in tree.items()} for tree in (fn.params, fn.state, X)]
    y, _ = fn(*half)
    expected, _ = fn(fn.params, fn.state, X)
    for key, value in y.items():
        assert value.dtype == np.float16
        np.testing.assert_allclose(value, expected[key], rtol=2e-2, atol=2e-2)


def test_variables_are_arrays_to_jax(jax):
    layer = layers.Dense(2)
    layer.build((None, 3))
    kernel = jax.numpy.asarray(layer.kernel)
    assert isinstance(kernel, jax.Array)
    np.testing.assert_array_equal(kernel, layer.kernel.numpy())
    with lamella.backend_scope("numpy"):
        half = layers.Dense(2, dtype="bfloat16")
        half.build((None, 3))
        assert jax.numpy.asarray(half.kernel).dtype == "bfloat16"


def test_exporting_a_function_of_structures_with_free_dimensions(jax):
    from jax import export

    fn = model_of().lower("jax")
    shape = jax.ShapeDtypeStruct
    params, state = (jax.tree.map(lambda a: shape(a.shape, a.dtype), tree) for tree in (fn.params, fn.state))
    (rows,) = export.symbolic_shape("rows")
    x = {"a": shape((rows, 4), "float32"), "b": shape((rows, 3), "float32")}
    exported = export.export(jax.jit(lambda p, s, x: fn(p, s, x)[0]))(params, state, x)
    for count in (1, 2):
        given = {key: value[:count] for key, value in X.items()}
        found, expected = exported.call(fn.params, fn.state, given), fn(fn.params, fn.state, given)[0]
        for key, value in found.items():
            np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-6)
