"""How many programs free dimensions take: one for each size, and never more than the caches hold."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import numpy as np
import pytest

import lamella
from conftest import BACKENDS
from lamella import layers as L  # noqa: N812 - named often
from lamella.backend_api import Runner
from lamella.ir.program import Program

LENGTHS = 20
ON_BOTH = ["numpy", pytest.param("jax", marks=[*BACKENDS[1].marks, pytest.mark.slow])]
"""JAX compiles for seconds what one test on both backends counts already."""


KINDS = {"numpy": "NumPy", "jax": "XLA"}


@contextmanager
def compilations():
    """A list that gets (what was made, of which function) of every compilation; see LAMELLA_LOG_COMPILES."""
    from lamella import compiling

    found = []
    with compiling.recorded() as held:
        yield found
    found += [(made.kind, made.name) for made in held]


def model_of(backend):
    model = lamella.Sequential([L.Input((None, 2)), L.GlobalAveragePooling1D(), L.Dense(1)])
    model.compile("sgd", "mse", backend=backend)
    return model


def batches(lengths, rows=4):
    return [(np.full((rows, length, 2), 0.01 * length, "float32"), np.ones((rows, 1), "float32")) for length in lengths]


def mixed(count, lengths=LENGTHS):
    return batches(np.random.default_rng(0).permutation(np.arange(count) % lengths + 3))


@pytest.mark.parametrize("backend", ["numpy", pytest.param("jax", marks=pytest.mark.slow)], indirect=True)
def test_a_thousand_batches_of_twenty_lengths_make_twenty_programs(backend):
    model, given = model_of(backend), mixed(1000)
    with compilations() as found:
        model.fit(given, verbose=0)
    assert int(model.optimizer.iterations) == 1000
    assert found.count(("program", "train_step")) == LENGTHS
    assert found.count((KINDS[backend], "train_step")) == LENGTHS
    with compilations() as again:
        model.fit(given[:100], verbose=0)
    assert again == []


@pytest.mark.parametrize("name", ON_BOTH)
def test_evaluate_and_predict_compile_once_for_a_length(name):
    model, given = model_of(name), mixed(30, 6)
    for work, function in (
        (lambda: model.evaluate(given, verbose=0), "test_step"),
        (lambda: predicted(model, given), "predict"),
    ):
        with compilations() as found:
            work()
        assert found.count((KINDS[name], function)) == 6
        with compilations() as again:
            work()
        assert again == []


def predicted(model, given):
    return [model.predict(x, verbose=0) for x, _ in given]


@pytest.mark.parametrize("verbose", [0, "auto"])
def test_predictions_of_fewer_rows_than_a_batch_share_programs(verbose, backend):
    model = lamella.Sequential([L.Input((3,)), L.Dense(4, "tanh"), L.Dense(2)])
    x = np.random.RandomState(0).standard_normal((32, 3)).astype("float32")
    whole = model.predict(x, verbose=0)
    with compilations() as found:
        parts = {n: model.predict(x[:n], verbose=verbose) for n in range(1, 32)}
    assert found.count((KINDS[backend], "predict")) == (5 if backend == "jax" else 31)
    for n, part in parts.items():
        assert part.shape == (n, 2) and part.flags.writeable
        if backend == "numpy":
            assert np.array_equal(part, model.predict_on_batch(x[:n]))
        np.testing.assert_allclose(part, whole[:n], rtol=1e-5, atol=1e-6)
    with compilations() as again:
        model.predict(x[:5], batch_size=5, verbose=0)
        model.predict(x[:30], batch_size=32, verbose=0)
    assert again.count((KINDS[backend], "predict")) == (1 if backend == "jax" else 0)


def test_rows_that_mix_or_draw_are_predicted_as_they_are(jax):
    x = np.random.RandomState(0).standard_normal((5, 3)).astype("float32")
    for layer in (
        L.Lambda(lambda x: x - lamella.ops.mean(x, axis=0)),
        L.Lambda(lambda x: lamella.random.normal((2,)) + x[:, :2]),
    ):
        model = lamella.Sequential([L.Input((3,)), layer])
        with compilations() as found:
            for n in (3, 5):
                assert len(model.predict(x[:n], verbose=0)) == n
        assert found.count(("XLA", "predict")) == 2
    mixing = lamella.Sequential([L.Input((3,)), L.Lambda(lambda x: x - lamella.ops.mean(x, axis=0))])
    np.testing.assert_allclose(mixing.predict(x, verbose=0), x - x.mean(0), atol=1e-6)


def test_jax_itself_compiles_nothing_for_a_length_seen_before(jax):
    """Counted by JAX and not by lamella, whatever the function."""
    model, given, events = model_of("jax"), mixed(200), []
    model.fit(given[:100], verbose=0)
    assert {x.shape[1] for x, _ in given[:100]} == {x.shape[1] for x, _ in given[100:]}

    def seen(name, seconds, **_):
        events.append(name)

    jax.monitoring.register_event_duration_secs_listener(seen)
    try:
        model.fit(given[100:], verbose=0)
        assert not [name for name in events if "compile" in name]
        model.fit(batches([50]), verbose=0)
        assert [name for name in events if "backend_compile" in name]
    finally:
        jax.monitoring.unregister_event_duration_listener(seen)


@pytest.mark.parametrize("name", ON_BOTH)
def test_buckets_make_as_many_programs_as_lengths(name):
    model, random = model_of(name), np.random.default_rng(0)
    texts = [[random.normal(size=(n, 2)) for n in random.integers(1, 60, 4)] for _ in range(50)]
    given = [(lamella.utils.pad_to_buckets(text, 16, "float32")[0], np.ones((4, 1), "float32")) for text in texts]
    lengths = {x.shape[1] for x, _ in given}
    assert lengths <= {16, 32, 48, 64} and len(lengths) > 1
    with compilations() as found:
        model.fit(given, verbose=0)
    assert found.count(("program", "train_step")) == len(lengths)


def alive(kind):
    gc.collect()
    return sum(isinstance(found, kind) for found in gc.get_objects())


WORK = {
    "fit": lambda model, given: model.fit(given, verbose=0),
    "evaluate": lambda model, given: model.evaluate(given, verbose=0),
    "predict": predicted,
    "value_and_grad": lambda model, given: [model.value_and_grad(x, y) for x, y in given],
    "lower": lambda model, given: called(model, given),
}


def called(model, given):
    fn = model.lower(model.backend_name)
    return [fn(fn.params, fn.state, x)[0] for x, _ in given]


@pytest.mark.parametrize("work", [pytest.param(w, marks=() if w == "predict" else pytest.mark.slow) for w in WORK])
@pytest.mark.parametrize("name", ON_BOTH)
def test_a_hundred_lengths_keep_no_more_programs_than_the_caches_hold(work, name):
    with lamella.backend_scope(name):
        model = model_of(name)
        before = alive(Program), alive(Runner)
        WORK[work](model, batches(range(1, 81)))
        kept = alive(Program), alive(Runner)
        assert kept[1] - before[1] <= 64
        WORK[work](model, batches(range(81, 101)))
        assert alive(Program) <= kept[0] + 8 and alive(Runner) <= kept[1] + 8
        WORK[work](model, batches([1, 100, 2]))  # what was evicted comes back
