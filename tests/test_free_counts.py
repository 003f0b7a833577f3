"""How many programs free dimensions take: one for each size, and never more than the caches hold."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import numpy as np
import pytest

import lamella
from lamella import layers as L  # noqa: N812 - named often
from lamella.backend_api import Runner
from lamella.ir.program import Program

LENGTHS = 20


@contextmanager
def compilations():
    """A list that gets (what was made, of which function) of every compilation; see LAMELLA_LOG_COMPILES."""
    from lamella import compiling

    found = []
    with compiling.recorded() as held:
        yield found
    found += [(made.kind, made.name) for made in held]


def model_of(backend):
    model = lamella.Sequential(
        [L.Input((None, 2)), L.Dense(3, activation="tanh"), L.GlobalAveragePooling1D(), L.Dense(1)]
    )
    model.compile("sgd", "mse", backend=backend)
    return model


def batches(lengths, rows=4):
    return [(np.full((rows, length, 2), 0.01 * length, "float32"), np.ones((rows, 1), "float32")) for length in lengths]


def mixed(count):
    return batches(np.random.default_rng(0).permutation(np.arange(count) % LENGTHS + 3))


def test_a_thousand_batches_of_twenty_lengths_make_twenty_programs(backend):
    model, given = model_of(backend), mixed(1000)
    with compilations() as found:
        model.fit(given, verbose=0)
    assert int(model.optimizer.iterations) == 1000
    assert found.count(("program", "train_step")) == LENGTHS
    assert found.count(({"numpy": "NumPy", "jax": "XLA"}[backend], "train_step")) == LENGTHS
    with compilations() as again:
        model.fit(given[:100], verbose=0)
    assert again == []


def test_evaluate_and_predict_compile_once_for_a_length(backend):
    model, given = model_of(backend), mixed(60)
    for work, name in (
        (lambda: model.evaluate(given, verbose=0), "test_step"),
        (lambda: predicted(model, given), "predict"),
    ):
        with compilations() as found:
            work()
        assert found.count(({"numpy": "NumPy", "jax": "XLA"}[backend], name)) == LENGTHS
        with compilations() as again:
            work()
        assert again == []


def predicted(model, given):
    return [model.predict(x, verbose=0) for x, _ in given]


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


def test_buckets_make_as_many_programs_as_lengths(backend):
    model, random = model_of(backend), np.random.default_rng(0)
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


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("name", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_a_hundred_lengths_keep_no_more_programs_than_the_caches_hold(work, name):
    if name == "jax":
        pytest.importorskip("jax")
    with lamella.backend_scope(name):
        model = model_of(name)
        before = alive(Program), alive(Runner)
        WORK[work](model, batches(range(1, 101)))
        kept = alive(Program), alive(Runner)
        assert kept[1] - before[1] <= 64
        WORK[work](model, batches(range(101, 151)))
        assert alive(Program) <= kept[0] + 8 and alive(Runner) <= kept[1] + 8
        WORK[work](model, batches([1, 150, 2]))  # what was evicted comes back
