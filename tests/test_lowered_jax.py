"""The lowered function in JAX's hands: jit, grad, vmap, donation, optax, export."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella.layers import BatchNormalization, Dense, Dropout, Input

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")


@pytest.fixture(autouse=True)
def on_jax():
    with lamella.backend_scope("jax"):
        yield


def regression(*layers, optimizer="sgd"):
    model = lamella.Sequential([Input((3,)), *(layers or (Dense(4, activation="tanh"), Dense(1)))])
    model.compile(optimizer, "mse")
    return model


def squared_error(fn):
    def loss(params, state, x, y):
        prediction, new = fn(params, state, x)
        return jnp.mean((prediction - y) ** 2), new

    return loss


# ---- jit, seeds, donation ----


def test_a_plain_jit_takes_a_function_with_training_fixed():
    fn = regression(Dense(4), BatchNormalization(), Dropout(0.5), Dense(1)).lower("jax", training=True)
    y, state = jax.jit(fn)(fn.params, fn.state, X, seed=3)
    expected, _ = fn(fn.params, fn.state, X, seed=3)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(state["batch_normalization/moving_mean"], fn.state["batch_normalization/moving_mean"])


def test_compiled_ahead_of_time_it_takes_shapes_for_arrays():
    fn = regression().lower("jax")
    params = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), fn.params)
    batch = jax.ShapeDtypeStruct((8, 3), "float32")
    step = jax.value_and_grad(lambda p, x, y: squared_error(fn)(p, {}, x, y)[0])
    compiled = jax.jit(step).lower(params, batch, jax.ShapeDtypeStruct((8, 1), "float32")).compile()
    loss, gradients = compiled(fn.params, X, Y)
    expected, gradients = step(fn.params, X, Y)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), gradients, gradients)


def test_a_traced_training_says_how_to_fix_it():
    fn = regression().lower("jax")
    with pytest.raises(TypeError, match=r"lower\('jax', training=True\)"):
        jax.jit(fn)(fn.params, fn.state, X, True)


SEEDS = {
    "an int": lambda: 3,
    "a numpy integer": lambda: np.int64(3),
    "a jax integer": lambda: jnp.int32(3),
    "an unsigned jax integer": lambda: jnp.uint32(3),
    "a typed key": lambda: jax.random.key(3),
    "a raw key": lambda: jax.random.PRNGKey(3),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_every_kind_of_seed_gives_the_same_masks_traced_or_not(kind):
    fn = lamella.Sequential([Input((3,)), Dropout(0.5)]).lower("jax", training=True)
    x = np.ones((40, 3), "float32")
    expected = np.asarray(fn({}, {}, x, seed=3)[0])
    np.testing.assert_array_equal(fn({}, {}, x, seed=SEEDS[kind]())[0], expected)
    np.testing.assert_array_equal(jax.jit(lambda seed: fn({}, {}, x, seed=seed)[0])(SEEDS[kind]()), expected)


def test_a_negative_seed_is_one_seed_traced_or_not():
    fn = lamella.Sequential([Input((3,)), Dropout(0.5)]).lower("jax", training=True)
    expected = np.asarray(fn({}, {}, np.ones((40, 3), "float32"), seed=-1)[0])
    np.testing.assert_array_equal(fn({}, {}, np.ones((40, 3), "float32"), seed=jnp.int32(-1))[0], expected)


def test_params_and_state_are_fresh_and_may_be_donated():
    model = regression(Dense(4), BatchNormalization(), Dense(1))
    fn = model.lower("jax", training=True)
    before = model.get_weights()
    params, state = fn.params, fn.state
    held = fn.params

    def step(params, state):
        (_, state), g = jax.value_and_grad(squared_error(fn), has_aux=True)(params, state, X, Y)
        return {k: params[k] - 0.1 * g[k] for k in params}, state

    new, _ = jax.jit(step, donate_argnums=(0, 1))(params, state)
    assert all(a.is_deleted() for a in params.values())
    for name, array in fn.params.items():
        np.testing.assert_array_equal(array, held[name])
        assert not np.array_equal(array, new[name]) or name == "batch_normalization/beta"
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, verbose=0)
    model.predict(X, verbose=0)


# ---- vmap ----


def test_an_ensemble_is_drawn_and_called_in_one_vmapped_call():
    model = regression()
    fn = model.lower("jax")
    seeds = jnp.arange(4)
    params, state = jax.vmap(fn.init)(seeds)
    assert params["dense/kernel"].shape == (4, 3, 4)
    y, _ = jax.jit(jax.vmap(fn, in_axes=(0, 0, None)))(params, state, X)
    assert y.shape == (4, 8, 1)
    for i in range(4):
        alone, _ = fn.init(i)
        np.testing.assert_array_equal(params["dense/kernel"][i], alone["dense/kernel"])
        np.testing.assert_allclose(y[i], fn(alone, {}, X)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(jax.jit(fn.init)(2)[0]["dense/kernel"], fn.init(2)[0]["dense/kernel"])


def test_gradients_of_single_rows_by_vmap():
    fn = regression(Dense(1)).lower("jax")
    loss = squared_error(fn)
    by_row = jax.vmap(jax.grad(lambda p, x, y: loss(p, {}, x[None], y[None])[0]), in_axes=(None, 0, 0))
    rows = jax.jit(by_row)(fn.params, X, Y)
    whole = jax.jit(jax.grad(lambda p: loss(p, {}, X, Y)[0]))(fn.params)
    np.testing.assert_allclose(rows["dense/kernel"].mean(0), whole["dense/kernel"], rtol=1e-5, atol=1e-6)


# ---- gradients and optax ----


def test_jax_s_gradient_is_the_model_s_own():
    model = regression(Dense(4, activation="tanh"), BatchNormalization(), Dense(1))
    fn = model.lower("jax", training=True)
    (loss, _), gradients = jax.jit(jax.value_and_grad(squared_error(fn), has_aux=True))(fn.params, fn.state, X, Y)
    own_loss, own = model.value_and_grad(X, Y, training=True)
    np.testing.assert_allclose(loss, own_loss, rtol=1e-5)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(own[name], gradient, rtol=1e-4, atol=1e-5)


def optax_loop(model, transformation, steps):
    optax = pytest.importorskip("optax")
    fn = model.lower("jax", training=True)
    params, state = fn.params, fn.state
    optimizer_state = transformation.init(params)
    loss = squared_error(fn)

    @jax.jit
    def step(params, state, optimizer_state):
        (value, state), g = jax.value_and_grad(loss, has_aux=True)(params, state, X, Y)
        updates, optimizer_state = transformation.update(g, optimizer_state, params)
        return optax.apply_updates(params, updates), state, optimizer_state, value

    values = []
    for _ in range(steps):
        params, state, optimizer_state, value = step(params, state, optimizer_state)
        values.append(float(value))
    model.assign(params, state)
    return values


def test_a_training_loop_by_hand_with_optax_is_what_fit_does_with_the_same_transformation():
    optax = pytest.importorskip("optax")
    by_hand, by_fit = regression(), regression(optimizer=optax.adam(0.05))
    by_fit.set_weights(by_hand.get_weights())
    values = optax_loop(by_hand, optax.adam(0.05), 5)
    losses = by_fit.fit(X, Y, batch_size=8, epochs=5, verbose=0).history["loss"]
    np.testing.assert_allclose(values, losses, rtol=1e-4)
    for a, b in zip(by_hand.get_weights(), by_fit.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_optimizer_as_optax_is_the_optimizer():
    by_hand, by_fit = regression(), regression(optimizer=lamella.optimizers.Adam(0.05))
    by_fit.set_weights(by_hand.get_weights())
    values = optax_loop(by_hand, lamella.optimizers.Adam(0.05).as_optax(), 5)
    losses = by_fit.fit(X, Y, batch_size=8, epochs=5, verbose=0).history["loss"]
    np.testing.assert_allclose(values, losses, rtol=1e-4)


def test_an_optax_transformation_keeps_its_state_between_fits():
    optax = pytest.importorskip("optax")
    twice, once = (regression(Dense(1), optimizer=optax.sgd(0.05, momentum=0.9)) for _ in range(2))
    once.set_weights(twice.get_weights())
    for _ in range(2):
        twice.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    once.fit(X, Y, batch_size=8, epochs=4, verbose=0)
    for a, b in zip(twice.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_optax_transformation_on_numpy_says_where_it_runs():
    optax = pytest.importorskip("optax")
    model = lamella.Sequential([Input((3,)), Dense(1)])
    with pytest.raises(TypeError, match=r"an optax transformation needs the JAX backend; .*'numpy'.*backend='jax'"):
        model.compile(optax.adam(1e-3), "mse", backend="numpy")
    assert model.optimizer is None
    model.compile(optax.adam(1e-3), "mse", backend="jax")
    with pytest.raises(TypeError, match="does not run on 'numpy'"):
        model.to("numpy")
    model.fit(X, Y, verbose=0)


# ---- export, 64 bits ----


def test_an_exported_function_comes_back():
    pytest.importorskip("flatbuffers", reason="jax.export needs it to serialize")
    from jax import export

    model = regression()
    fn = model.lower("jax", training=False)
    exported = export.export(jax.jit(fn))(fn.params, fn.state, jax.ShapeDtypeStruct((8, 3), jnp.float32))
    back = export.deserialize(exported.serialize())
    y, _ = back.call(fn.params, fn.state, jnp.asarray(X))
    np.testing.assert_allclose(y, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_float64_function_without_64_bit_jax_says_what_to_write(float64):
    model = regression()
    model.fit(X, Y, verbose=0)
    fn = model.lower("jax")
    params = fn.params
    assert all(a.dtype == jnp.float64 for a in params.values())
    for call in (fn, jax.jit(fn)):
        with pytest.raises(TypeError, match=r"with jax\.enable_x64\(True\):"):
            call(params, fn.state, X)
    with jax.enable_x64(True):
        y, _ = jax.jit(fn)(params, fn.state, jnp.asarray(X, jnp.float64))
        gradient = jax.jit(jax.grad(lambda p: jnp.sum(fn(p, fn.state, jnp.asarray(X, jnp.float64))[0])))(params)
    assert y.dtype == jnp.float64
    assert gradient["dense/kernel"].dtype == jnp.float64


def test_nothing_in_the_function_is_visible_to_jax_but_jax():
    fn = regression().lower("jax")
    text = str(jax.make_jaxpr(fn)(fn.params, fn.state, X))
    assert "dot_general" in text and "callback" not in text
