"""Models that optax's transformations train: what a transformation gets, copies and files of the model, and refusals."""

from __future__ import annotations

import copy
import inspect
import pickle
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import lamella
from lamella.errors import BackendError
from lamella.layers import BatchNormalization, Dense, Input

optax = pytest.importorskip("optax")
jnp = pytest.importorskip("jax.numpy")

from optax import contrib  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = (X @ RNG.normal(size=(3, 1)) + 0.5).astype("float32")


@pytest.fixture(autouse=True)
def _on_jax(jax):
    """JAX is in force."""


def model_of(optimizer, *layers, **options):
    lamella.utils.set_random_seed(4)
    model = lamella.Sequential([Input((3,)), *layers, Dense(1)])
    model.compile(optimizer, "mse", **options)
    return model


def fitted(model, epochs=1, batch_size=12):
    return model.fit(X, Y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


class Sgd(NamedTuple):
    """A transformation that pickles: its functions are a module's."""

    init: Any
    update: Any


def no_state(params):
    return ()


def sgd_update(updates, state, params=None):
    return {name: -0.1 * g for name, g in updates.items()}, state


# ---- what a transformation gets ----


def test_multi_steps_updates_every_so_many_steps():
    accumulating, plain = model_of(optax.MultiSteps(optax.sgd(0.1), 3)), model_of(optax.sgd(0.1))
    before = accumulating.get_weights()
    accumulating.train_on_batch(X[:4], Y[:4])
    accumulating.train_on_batch(X[4:8], Y[4:8])
    assert_same(accumulating.get_weights(), before)
    accumulating.train_on_batch(X[8:], Y[8:])
    plain.train_on_batch(X, Y)
    for a, b in zip(accumulating.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def keeping(found):
    """A transformation without an effect whose state is what `found` makes of its arguments."""

    def update(updates, state, params=None, **given):
        return updates, found(params, **given)

    return optax.GradientTransformationExtraArgs(lambda params: jnp.zeros(2), update)


@pytest.mark.parametrize("eager", [False, True])
def test_a_transformation_gets_the_loss_and_functions_of_the_weights(jax, eager):
    layers = [Dense(4, activation="tanh", kernel_regularizer="l2"), BatchNormalization()]

    def of_loss(params, value, value_fn, obj_fn, **_):
        return jnp.stack([value, value_fn(params) + 0 * obj_fn(params)])

    model = model_of(keeping(of_loss), *layers, run_eagerly=eager)
    (wanted,) = fitted(model)
    np.testing.assert_allclose(model._compiled.state.external[0], [wanted, wanted], rtol=1e-5)

    def of_gradients(params, grad, value_fn, grad_fn, **_):
        elsewhere = {name: 0.5 * a for name, a in params.items()}
        directions = {name: jnp.cos(a) for name, a in params.items()}
        # its derivative both ways, and the gradients as they are
        reverse = jax.grad(value_fn)(elsewhere)
        _, forward = jax.jvp(value_fn, (elsewhere,), (directions,))
        here = sum(jnp.sum(grad_fn(params, 0)[name] - g) ** 2 for name, g in grad.items())
        there = sum(jnp.vdot(g, directions[name]) for name, g in reverse.items())
        return jnp.stack([here, (there - forward) / forward])

    model = model_of(keeping(of_gradients), *layers, run_eagerly=eager)
    fitted(model)
    np.testing.assert_allclose(model._compiled.state.external[0], [0, 0], atol=1e-5)


def test_the_loss_is_passed_on_through_a_chain():
    plateau = contrib.reduce_on_plateau(factor=0.5, patience=1, rtol=1.0)  # nothing is an improvement
    fast, slow = model_of(optax.sgd(0.01)), model_of(optax.chain(optax.sgd(0.01), plateau))
    fitted(fast, 8)
    fitted(slow, 8)
    assert any(np.size(a) == 1 and float(a) == pytest.approx(0.5**6, rel=0.9) for a in slow._compiled.state.external)
    assert fitted(slow)[0] > fitted(fast)[0]


def test_lbfgs_finds_the_minimum_of_a_quadratic():
    assert fitted(model_of(optax.lbfgs()), 12)[-1] < 1e-8


def test_a_transformation_that_names_what_it_takes_gets_that_alone():
    sam = contrib.sam(optax.sgd(0.05), optax.chain(contrib.normalize(), optax.sgd(0.01)), opaque_mode=True)
    losses = fitted(model_of(sam), 40)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("built", [False, True])
def test_the_weights_have_one_name_everywhere(built):
    seen = []

    def init(params):
        seen.append(sorted(params))
        return ()

    model = lamella.Sequential([*[Input((3,))][: int(built)], Dense(1)])
    model.compile(optax.GradientTransformation(init, sgd_update), "mse")
    fitted(model)
    assert len(seen) > 1
    assert all(names == ["params/dense/bias", "params/dense/kernel"] for names in seen)


# ---- copies ----


@pytest.mark.parametrize("make", [lambda: optax.adam(0.1), lambda: optax.MultiSteps(optax.adam(0.1), 2)])
def test_a_deep_copy_continues_like_the_original(make):
    model = model_of(make(), Dense(2))
    fitted(model, 3)
    twin = copy.deepcopy(model)
    assert fitted(model, 2) == fitted(twin, 2)
    assert_same(model.get_weights(), twin.get_weights())
    assert twin.optimizer.update is model.optimizer.update or isinstance(twin.optimizer, optax.MultiSteps)


def test_a_pickle_leaves_out_a_transformation_that_does_not_pickle():
    model = model_of(optax.adam(0.1))
    with pytest.warns(UserWarning, match=r"an optax transformation that cannot be pickled.*Compile it again") as told:
        data = pickle.dumps(model)
    assert told[0].filename == __file__
    again = pickle.loads(data)
    assert again.optimizer is None
    assert_same(again.get_weights(), model.get_weights())


def test_a_pickle_holds_a_transformation_that_pickles(recwarn):
    model = model_of(Sgd(no_state, sgd_update))
    fitted(model, 2)
    again = pickle.loads(pickle.dumps(model))
    assert not recwarn.list
    assert fitted(again) == fitted(model)
    assert again.optimizer.update is sgd_update


def test_a_file_is_written_without_the_transformation(tmp_path):
    model = model_of(optax.MultiSteps(optax.sgd(0.1), 2))
    with pytest.warns(UserWarning, match="without its optimizer") as told:
        model.save(tmp_path / "model.keras")
    assert told[0].filename == __file__
    again = lamella.models.load_model(tmp_path / "model.keras")
    assert again.optimizer is None
    assert_same(again.get_weights(), model.get_weights())


# ---- refused ----


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: contrib.differentially_private_aggregate(1.0, 0.1, 0), "`grads` to have a batch dimension"),
        (
            lambda: optax.stateless(lambda u, _: {n: jnp.sum(g) for n, g in u.items()}),
            "its updates are not of",
        ),
        (
            lambda: optax.GradientTransformation(lambda p: jnp.ones(2), lambda u, s, p: (u, s[:1])),
            "its state has other leaves",
        ),
        (
            lambda: optax.GradientTransformationExtraArgs(no_state, lambda u, s, p, *, hessian, **_: (u, s)),
            "missing 1 required keyword-only argument: 'hessian'",
        ),
    ],
)
def test_what_cannot_train_a_model_is_refused_before_any_work(make, words):
    with pytest.raises(BackendError, match=f"this optax transformation cannot train the model: .*{words}"):
        model_of(make())
    model = lamella.Sequential([Dense(1)])
    model.compile(make(), "mse")  # its weights are not known yet
    with pytest.raises(BackendError, match=words):
        fitted(model)


def test_a_compile_that_is_refused_changes_nothing():
    model = model_of("sgd")
    optimizer = model.optimizer
    with pytest.raises(BackendError):
        model.compile(contrib.differentially_private_aggregate(1.0, 0.1, 0), "mse")
    assert model.optimizer is optimizer


def test_multi_steps_on_numpy_says_where_it_runs():
    model = lamella.Sequential([Input((3,)), Dense(1)])
    with pytest.raises(TypeError, match="needs the JAX backend"):
        model.compile(optax.MultiSteps(optax.sgd(0.1), 2), "mse", backend="numpy")


# ---- all of them ----

NAMES = {name: getattr(module, name) for module in (contrib, optax) for name in dir(module) if name[0] != "_"}


def with_a_rate_at_most(function):
    """The transformation of a public function that needs no arguments, or a learning rate alone; else None."""
    if inspect.isclass(function) or not callable(function):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    required = [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    if "GradientTransformation" not in str(signature.return_annotation) or required not in ([], ["learning_rate"]):
        return None
    return partial(function, *[0.01 for _ in required])


ALL = {name: made for name, function in NAMES.items() if (made := with_a_rate_at_most(function))} | {
    "add_noise": lambda: optax.add_noise(0.1, 0.5, 0),
    "apply_if_finite": lambda: optax.apply_if_finite(optax.sgd(0.1), 3),
    "backtracking": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5, store_grad=True)),
    "chain": lambda: optax.chain(optax.clip(1.0), optax.adamw(0.01)),
    "conditionally_mask": lambda: optax.conditionally_mask(optax.sgd(0.1), lambda step, *_, **__: step < 3),
    "flatten": lambda: optax.flatten(optax.adam(0.1)),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(0.1, 0, 9)),
    "masked": lambda: optax.masked(optax.sgd(0.1), lambda params: {name: "kernel" in name for name in params}),
    "mechanize": lambda: contrib.mechanize(optax.sgd(1.0)),
    "monitor": lambda: optax.monitor({"norm": lambda updates, **_: optax.global_norm(updates)}),
    "partition": lambda: optax.partition(
        {True: optax.sgd(0.1), False: optax.adam(0.1)}, lambda params: {name: "bias" in name for name in params}
    ),
    "noisy_sgd": lambda: optax.noisy_sgd(0.1, key=1),
}
"""Transformations by name: those of optax's public functions that ask for little, and some of the others."""

REFUSED = {"monitor", "scale_by_muon"}
"""`monitor` has no measurements in its first state; optax cannot apply `scale_by_muon` to a vector."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(ALL))
def test_every_transformation_trains_or_is_refused(name, tmp_path):
    if name in REFUSED:
        with pytest.raises(BackendError):
            model_of(ALL[name]())
        return
    model = model_of(ALL[name]())
    for _ in range(3):
        assert np.isfinite(model.train_on_batch(X, Y))
    twin = copy.deepcopy(model)
    assert_same(twin._compiled.state.external, model._compiled.state.external)
    model.save_checkpoint(tmp_path / "model.npz")
    loss, weights = model.train_on_batch(X, Y), model.get_weights()
    model.load_checkpoint(tmp_path / "model.npz")
    assert model.train_on_batch(X, Y) == loss
    assert_same(model.get_weights(), weights)
