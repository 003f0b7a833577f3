"""The lowered function as a contract: pure, keyed within the model, and JAX's own where the backend is JAX."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def classifier(*layers, **kwargs):
    model = lamella.Sequential(
        [Input((3,)), *(layers or (Dense(4, activation="tanh"), Dense(3, activation="softmax")))]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", **kwargs)
    return model


def with_state():
    return lamella.Sequential([Input((3,)), Dense(4), BatchNormalization(), Dropout(0.5), Dense(2)])


def mean_log_loss(np_like, y, labels):
    return -np_like.mean(np_like.log(y[np.arange(len(labels)), labels]))


# ---- the contract, on both backends ----


def test_it_takes_an_unbuilt_model_and_a_shape(backend):
    fn = lamella.Sequential([Dense(4), Dense(2)]).lower(backend, (None, 3))
    assert {name: np.shape(a) for name, a in fn.params.items()} == {
        "dense/kernel": (3, 4),
        "dense/bias": (4,),
        "dense_1/kernel": (4, 2),
        "dense_1/bias": (2,),
    }
    y, state = fn(fn.params, fn.state, X)
    assert np.shape(y) == (6, 2) and state == {}


def test_params_are_the_trainable_weights_and_state_is_the_rest(backend):
    model = with_state()
    fn = model.lower(backend)
    assert list(fn.params) == [
        "dense/kernel",
        "dense/bias",
        "batch_normalization/gamma",
        "batch_normalization/beta",
        "dense_1/kernel",
        "dense_1/bias",
    ]
    assert list(fn.state) == ["batch_normalization/moving_mean", "batch_normalization/moving_variance"]
    model.layers[0].trainable = False
    frozen = model.lower(backend)
    assert "dense/kernel" in frozen.state and "dense/kernel" not in frozen.params


def test_keys_are_numbered_within_the_model_whatever_else_was_built(backend):
    Dense(3), Dense(4)
    first = lamella.Sequential([Input((3,)), Dense(4), Dense(2)]).lower(backend)
    second = lamella.Sequential([Input((3,)), Dense(4), Dense(2)]).lower(backend)
    assert list(first.params) == list(second.params)


def test_it_predicts_what_the_model_predicts_and_keeps_nothing_of_it(backend):
    model = classifier()
    fn = model.lower(backend)
    params = fn.params
    y = np.array(fn(params, fn.state, X)[0])
    np.testing.assert_allclose(y, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    model.fit(X, LABELS, epochs=3, verbose=0)
    np.testing.assert_array_equal(np.asarray(fn(params, fn.state, X)[0]), y)
    np.testing.assert_array_equal(np.asarray(fn.params["dense/kernel"]), np.asarray(params["dense/kernel"]))
    assert not np.array_equal(
        np.asarray(model.lower(backend).params["dense/kernel"]), np.asarray(params["dense/kernel"])
    )


def test_training_returns_the_new_state_and_leaves_the_given_one(backend):
    fn = with_state().lower(backend)
    params, state = fn.params, fn.state
    before = {name: np.array(a) for name, a in state.items()}
    _, same = fn(params, state, X)
    _, new = fn(params, state, X, training=True, seed=1)
    for name, array in before.items():
        np.testing.assert_array_equal(np.asarray(state[name]), array)
        np.testing.assert_array_equal(np.asarray(same[name]), array)
        assert not np.array_equal(np.asarray(new[name]), array)


def test_dropout_depends_on_the_seed_only(backend):
    fn = lamella.Sequential([Input((3,)), Dropout(0.5)]).lower(backend, training=True)
    one, again, other = (np.asarray(fn({}, {}, np.ones((50, 3), "float32"), seed=s)[0]) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_training_a_random_layer_without_a_seed_names_the_layer(backend):
    model = lamella.Sequential([Input((3,)), Dense(3), Dropout(0.5, name="thin"), Dense(1)])
    fn = model.lower(backend)
    with pytest.raises(TypeError, match=r"'thin'.*no seed was given: pass `seed=`"):
        fn(fn.params, fn.state, X, training=True)
    fn(fn.params, fn.state, X)
    without = classifier().lower(backend)
    without(without.params, without.state, X, training=True)


@pytest.mark.parametrize(
    ("training", "error", "words"),
    [
        (1, TypeError, "`training` must be a Python bool, got int"),
        ("yes", TypeError, "`training` must be a Python bool, got str"),
        (np.array(True), TypeError, "`training` must be a Python bool, got ndarray"),
    ],
)
def test_training_is_a_python_bool(training, error, words, backend):
    fn = classifier().lower(backend)
    with pytest.raises(error, match=words):
        fn(fn.params, fn.state, X, training=training)


def test_training_fixed_at_lower_cannot_be_changed(backend):
    fn = classifier().lower(backend, training=True)
    fn(fn.params, fn.state, X, training=True)
    with pytest.raises(ValueError, match="lowered with training=True, it was called with False"):
        fn(fn.params, fn.state, X, training=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, s: p.pop("dense/bias"), r"params of .*missing \['dense/bias'\].*fn\.params"),
        (lambda p, s: p.update(mine=1), r"params of .*unknown \['mine'\]"),
        (lambda p, s: s.update(mine=1), r"state of .*unknown \['mine'\]"),
    ],
)
def test_wrong_keys_are_named(change, words, backend):
    fn = classifier().lower(backend)
    params, state = fn.params, fn.state
    change(params, state)
    with pytest.raises(ValueError, match=words):
        fn(params, state, X)


@pytest.mark.parametrize("seed", [1.5, "7", np.array([1, 2], "int32"), True])
def test_what_is_no_seed_is_refused(seed, backend):
    fn = lamella.Sequential([Input((3,)), Dropout(0.5)]).lower(backend)
    with pytest.raises(TypeError, match="a seed must be an integer or a key"):
        fn({}, {}, X, training=True, seed=seed)


def test_return_losses_adds_the_penalties(backend):
    model = classifier(Dense(3, kernel_regularizer=lamella.regularizers.L2(0.1), activity_regularizer="l2"))
    fn = model.lower(backend)
    y, _, penalty = fn(fn.params, fn.state, X, return_losses=True)
    kernel = model.get_weights()[0]
    expected = 0.1 * np.sum(kernel**2) + 0.01 * np.sum(np.asarray(y) ** 2) / len(X)
    np.testing.assert_allclose(float(penalty), expected, rtol=1e-5)
    plain = classifier().lower(backend)
    assert float(plain(plain.params, plain.state, X, return_losses=True)[2]) == 0.0


def test_assign_puts_a_pair_back(backend):
    model = with_state()
    fn = model.lower(backend)
    params, state = fn.init(99)
    model.assign(params, state)
    np.testing.assert_array_equal(model.get_weights()[0], np.asarray(params["dense/kernel"]))
    y = fn(params, state, X)[0]
    np.testing.assert_allclose(model.predict(X, verbose=0), np.asarray(y), rtol=1e-5, atol=1e-6)
    before = model.get_weights()
    for wrong, words in (
        ({**params, "dense/kernels": params["dense/kernel"]}, "did you mean 'dense/kernel'"),
        ({"dense/bias": np.ones(4), "dense/kernel": np.ones((4, 3))}, r"must have shape \(3, 4\), got \(4, 3\)"),
    ):
        with pytest.raises(ValueError, match=words):
            model.assign(wrong)
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- gradients ----


def test_value_and_grad_is_the_compiled_loss_with_its_penalties(backend):
    model = classifier(Dense(3, activation="softmax", kernel_regularizer=lamella.regularizers.L2(0.1)))
    loss, gradients = model.value_and_grad(X, LABELS)
    kernel, _ = model.get_weights()
    y = model.predict(X, verbose=0)
    np.testing.assert_allclose(float(loss), mean_log_loss(np, y, LABELS) + 0.1 * np.sum(kernel**2), rtol=1e-5)
    one_hot = np.eye(3, dtype="float32")[LABELS]
    np.testing.assert_allclose(
        np.asarray(gradients["dense/kernel"]), X.T @ (y - one_hot) / 6 + 0.2 * kernel, rtol=1e-4, atol=1e-6
    )
    assert list(gradients) == ["dense/kernel", "dense/bias"]


def test_three_derivations_of_one_gradient_agree_in_float64(jax, float64):
    import jax.numpy as jnp

    model = lamella.Sequential(
        [Input((6, 6, 2)), Conv2D(3, 3, activation="tanh"), BatchNormalization(), Flatten(), Dropout(0.3)]
    )
    model.add(Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.random.default_rng(1).normal(size=(6, 6, 6, 2))
    gradients = {
        name: model.value_and_grad(x, LABELS, training=True, seed=5, backend=name) for name in ("numpy", "jax")
    }
    fn = model.lower("jax", training=True)
    with jax.enable_x64(True):

        def loss(params):
            y, _ = fn(params, fn.state, jnp.asarray(x), seed=5)
            return mean_log_loss(jnp, y, LABELS)

        value, found = jax.jit(jax.value_and_grad(loss))(fn.params)
    for own_value, own in gradients.values():
        assert abs(float(own_value) - float(value)) < 1e-9
        assert sorted(own) == sorted(found)
        for name, gradient in found.items():
            assert np.asarray(own[name]).dtype == np.float64
            np.testing.assert_allclose(np.asarray(own[name]), np.asarray(gradient), rtol=1e-9, atol=1e-9)


def test_float64_is_float64_everywhere(backend, float64):
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    assert all(w.dtype == np.float64 for w in model.get_weights())
    assert model.predict(X, verbose=0).dtype == np.float64
    assert str(np.asarray(model.lower(backend).params["dense/kernel"]).dtype) == "float64"
    x = X.astype("float64") + 1e-12
    assert np.abs(model.predict(x, verbose=0) - model.predict(X, verbose=0)).max() > 0


# ---- NumPy: the generated source ----


def test_the_readable_source_has_a_line_for_every_equation():
    model = classifier()
    fn = model.lower("numpy", optimize=False)
    y, _ = fn(fn.params, fn.state, X)
    np.testing.assert_allclose(y, model.predict(X, verbose=0), rtol=1e-6)
    lines = [line for line in fn.source.splitlines() if line.startswith("    ") and "return" not in line]
    assert len(lines) == len(fn.program.equations)
    for line, equation in zip(lines, fn.program.equations, strict=True):
        assert " = " in line and line.endswith(f"# {equation.where}")


def test_the_readable_source_has_the_expressions_of_an_exported_file(tmp_path):
    model = classifier(Dense(8, activation="tanh"), Dense(3))
    model.export(tmp_path / "model.py")
    source = model.lower("numpy", optimize=False).source
    exported = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert "contract(" not in source
    for expression in ("x @ ", "np.tanh(", "dense_1_contract + "):
        assert expression in source and expression in exported


def test_the_fast_source_folds_broadcasts_and_has_no_where():
    model = classifier(Dense(8, activation="relu"), Dropout(0.5), Dense(3))
    for training in (False, True):
        source = model.lower("numpy", training=training).source
        assert "out=" in source
        assert "where=" not in source
        assert "broadcast" not in source


def test_jax_generates_no_source(jax):
    with pytest.raises(TypeError, match="backend 'jax' generates no source"):
        classifier().lower("jax").source  # noqa: B018
