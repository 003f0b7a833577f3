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


@pytest.mark.parametrize(
    "work", [pytest.param(w, marks=() if w in ("fit", "predict") else pytest.mark.slow) for w in WORK]
)
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
