"""How often programs are compiled, what is kept of them, and what is told of each.

Compilations are counted by `compiling.recorded`, which on JAX hears of every program of XLA, and never by the clock.
"""

from __future__ import annotations

import gc
import itertools
import re
import time
import weakref
from collections import Counter

import numpy as np
import pytest

import lamella
from lamella import compiling
from lamella.compiling import Compilation, Reason, Recent, rounded_up
from lamella.layers import BatchNormalization, Dense, Dropout, Input
from lamella.training import loop as loops

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3008, 6)).astype("float32")
Y = (X @ RNG.normal(size=(6, 1)) + 1).astype("float32")
DATA = lamella.training.data.Data(X, Y)


def model_of(*layers, **kwargs):
    lamella.utils.set_random_seed(7)
    model = lamella.Sequential([Input((6,)), *(layers or (Dense(4, activation="tanh"), Dense(1)))])
    model.compile("sgd", "mse", **kwargs)
    return model


def counted(found):
    """How many programs there are of each kind and name; what is compiled for an operation on its own counts, too."""
    return Counter((made.kind, made.name) for made in found)


def fit(model, rows, validation=None, **kwargs):
    given = None if validation is None else (X[-validation:], Y[-validation:])
    return model.fit(X[:rows], Y[:rows], validation_data=given, verbose=0, **kwargs).history


def kind_of(backend):
    return {"numpy": "NumPy", "jax": "XLA"}[backend]


# ---- counts: docs/compilation.md states these numbers ----


def test_folds_of_ten_sizes_share_their_programs(backend):
    model = model_of()
    with compiling.recorded() as found:
        for rows in range(330, 700, 37):
            fit(model, rows - rows // 10, validation=rows // 10)
    kind = kind_of(backend)
    assert counted(found) == {
        ("program", "train_step"): 1,
        (kind, "train_step"): 1,
        ("program", "test_step"): 1,
        (kind, "test_step"): 1,
    }


def test_data_that_grow_tenfold_share_one_program(backend):
    model = model_of()
    with compiling.recorded() as found:
        for rows in range(300, 3001, 32):
            fit(model, rows)
    assert counted(found) == {("program", "train_step"): 1, (kind_of(backend), "train_step"): 1}


def test_evaluation_and_validation_of_other_sizes_share_two_programs(backend):
    model = model_of()
    with compiling.recorded() as found:
        for rows in (32, 40, 311, 640, 999, 1000, 3000):  # a chunk of one step, or of several
            model.evaluate(X[:rows], Y[:rows], verbose=0)
            fit(model, 320, validation=rows)
    many = counted(found)
    assert many.pop((kind_of(backend), "test_step")) == (2 if backend == "jax" else 1)
    assert many == {
        ("program", "train_step"): 1,
        (kind_of(backend), "train_step"): 1,
        ("program", "test_step"): 1,
    }


def test_data_of_fewer_rows_than_a_batch_share_four_sizes_per_octave_on_jax(jax):
    model, exact = model_of(metrics=["mae"]), model_of(metrics=["mae"], backend="numpy")
    model.set_weights(exact.get_weights())
    with compiling.recorded() as found:
        for rows in (17, 18, 20, 25, 27, 28):
            kwargs = {"verbose": 0, "sample_weight": np.linspace(0, 1, rows)}
            expected = exact.evaluate(X[:rows], Y[:rows], **kwargs)
            np.testing.assert_allclose(model.evaluate(X[:rows], Y[:rows], **kwargs), expected, rtol=1e-5)
        with pytest.raises(lamella.errors.ShapeError):
            model.evaluate(X[:0], Y[:0], verbose=0)
    assert counted(found)["XLA", "test_step"] == 2
    mixing = model_of(BatchNormalization(), Dense(1))
    fit(mixing, 17)
    (specs,) = mixing._loops[next(iter(mixing._loops))]._runners
    assert specs[0].shape == (17, 6), "a batch's statistics are of the rows that are there"


def test_a_filled_batch_trains_as_the_rows_that_are_there(both):
    """On JAX 21 rows are filled up to 24, on NumPy they are not: the same masks and weights."""
    found = []
    for backend in both:
        with lamella.backend_scope(backend):
            model = model_of(Dense(8, activation="tanh"), Dropout(0.4), Dense(1))
            history = fit(model, 21, epochs=3)
            found.append([*model.get_weights(), np.array(history["loss"])])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_capacity_is_at_most_a_quarter_more_and_has_four_sizes_per_octave(jax):
    runner = model_of().loop_for(DATA, training=False).runner(32, DATA.row_specs)
    wide = np.zeros((3000, 512), "float32"), np.zeros((3000, 1), "float32")  # 128 rows are 256 KiB
    capacities = set()
    for rows in range(600, 3000, 100):
        x, y = runner.place_all([a[:rows] for a in wide])
        assert rows <= len(x) == len(y) <= 1.25 * rows
        capacities.add(len(x))
    assert capacities == {640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072}
    assert len({len(runner.place_all([a[:rows] for a in wide])[0]) for rows in (1, 10, 100, 125)}) == 1
    assert [rounded_up(n) for n in range(1, 10)] == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert all(n <= rounded_up(n) < 1.25 * n for n in range(9, 5000))


def test_the_capacity_changes_no_bit(jax):
    loop = model_of().loop_for(DATA, training=True)
    loop.begin(8, DATA)
    runner, (indices, rows) = (
        loop.runner(8, DATA.row_specs),
        (np.arange(40, dtype=np.int32).reshape(5, 8), np.ones((5, 8), np.float32)),
    )
    exact, roomy = runner.place([X[:40], Y[:40]]), runner.place_all([X[:40], Y[:40]])
    assert len(exact[0]) == 40 < len(roomy[0])
    for a, b in zip(*[runner.run(loop.state, data, indices, rows) for data in (exact, roomy)], strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_behind_the_real_ones_are_never_read(jax, monkeypatch):
    from lamella_jax import backend

    expected = fit(model_of(), 77, epochs=2)
    empty = np.empty
    monkeypatch.setattr(backend.np, "empty", lambda shape, dtype=float: np.full_like(empty(shape, dtype), 255))
    assert fit(model_of(), 77, epochs=2) == expected


# ---- chunks ----


def test_a_chunk_that_compiled_does_not_decide_how_long_the_next_one_is(monkeypatch):
    lengths = []
    with lamella.backend_scope("numpy"):
        model = model_of()
        loop = model.loop_for(DATA, training=True)
        runner = loop.runner(2, DATA.row_specs)
        run = runner.run

        def slow(state, data, indices, rows):
            if not lengths:  # as JAX compiles: in the first call
                time.sleep(1.0)
                compiling.report("XLA", Reason("train_step", "first batch"), 1.0)
            lengths.append(len(indices))
            return run(state, data, indices, rows)

        monkeypatch.setattr(runner, "run", slow)
        fit(model, 400, batch_size=2)
    assert lengths[:2] == [8, 8]
    assert lengths[2] > 8
    assert all(n & (n - 1) == 0 for n in lengths[:-1])


def test_the_lengths_of_chunks_are_powers_of_two():
    with lamella.backend_scope("numpy"):
        loop = model_of().loop_for(DATA, training=True)
    lengths = set()
    for seconds in np.geomspace(1e-9, 10, 500):
        loop._seconds = float(seconds)
        lengths.add(loop.chunk_size())
        assert loop.chunk_size() * seconds <= max(loops.CHUNK_SECONDS, seconds)
    assert lengths == {1 << n for n in range(14)}


# ---- what is told ----


def test_each_compilation_is_a_line_with_its_cause_where_that_is_asked_for(backend, monkeypatch, capsys):
    def act(model):
        fit(model, 64)
        fit(model, 64, batch_size=64)
        model.predict(X[:40], verbose=0)
        model.value_and_grad(X[:4], Y[:4])

    act(model_of())
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("LAMELLA_LOG_COMPILES", "1")
    act(model_of())
    lines = [re.sub(r"\d+\.\d{3} s", "T", line) for line in capsys.readouterr().err.splitlines()]
    kind = kind_of(backend)
    told = [line for line in lines if "an operation called on its own" not in line]
    first, second = "x float32[32,6], y float32[32,1]", "x float32[64,6], y float32[64,1]"
    assert told == [
        f"lamella compiled train_step (program) in T: first batch, {first}",
        f"lamella compiled train_step ({kind}) in T: first batch, {first}",
        f"lamella compiled train_step (program) in T: new batch size, {second}",
        f"lamella compiled train_step ({kind}) in T: new batch size, {second}",
        f"lamella compiled predict ({kind}) in T: first batch, x float32[32,6]",
        f"lamella compiled value_and_grad ({kind}) in T: first batch, x float32[4,6], y float32[4,1]",
    ]


def test_jax_tells_of_more_rows_of_other_dtypes_and_of_what_lamella_did_not_compile(jax):
    runner = model_of().loop_for(DATA, training=True).runner(8, DATA.row_specs)
    state = runner.load([np.zeros(s.shape, s.dtype) for s in runner.step.program.input_specs[:-3]])
    indices, rows = np.zeros((3, 8), np.int32), np.ones((3, 8), np.float32)
    with compiling.recorded() as found:
        for data, steps in (((X[:32], Y[:32]), 1), ((X[:32], Y[:32]), 3), ((X[:64], Y[:64]), 3)):
            runner.run(state, runner.place(data), indices[:steps], rows[:steps])
        runner.run(state, runner.place((X[:64].astype("float16"), Y[:64])), indices, rows)
        jax.jit(lambda x: x * 3)(X[:3])
    causes = [made.cause for made in found if made.kind == "XLA"]
    assert causes == [
        "first batch, x float32[8,6], y float32[8,1]",
        "another number of rows, room for 64",
        "data of another dtype, x float16",
        "an operation called on its own, or code outside lamella",
    ]


def test_seconds_and_names_reach_whoever_records():
    with compiling.recorded() as outer, compiling.because("f", "why"):
        with compiling.recorded() as inner, compiling.timed("NumPy"):
            time.sleep(0.01)
        with pytest.raises(KeyError), compiling.timed("NumPy"):
            raise KeyError
    assert outer == inner
    ((kind, name, cause, seconds),) = outer
    assert (kind, name, cause) == ("NumPy", "f", "why")
    assert seconds >= 0.01
    assert compiling.reason() == Reason("program", "compiled on its own")
    compiling.report("NumPy", Reason("g", "later"), 0.0)
    assert outer == [Compilation("NumPy", "f", "why", seconds)]


# ---- what is kept ----


def test_the_least_recently_used_entry_goes():
    held = Recent(2)
    held["a"], held["b"] = 1, 2
    assert held.get("a") == 1
    held["c"] = 3
    assert list(held) == ["a", "c"]
    assert held["a"] == 1
    held["c"] = 4
    held["d"] = 5
    assert list(held) == ["c", "d"]
    assert ("a" in held, held.get("a"), held.get("a", 9), len(held)) == (False, None, 9, 2)
    assert "c" in held  # looking is no use
    held["e"] = 6
    assert list(held) == ["d", "e"]
    with pytest.raises(KeyError):
        held["a"]
    held.clear()
    assert len(held) == 0


def test_a_loop_keeps_the_runners_used_last_and_makes_others_again(monkeypatch):
    monkeypatch.setattr(loops, "_RUNNERS", 3)
    with lamella.backend_scope("numpy"):
        model, other = (model_of(BatchNormalization(), Dense(1)) for _ in "ab")
        sizes = (9, 10, 11, 12, 10, 9)
        for rows in sizes:
            fit(model, rows)
        loop = model._loops[next(iter(model._loops))]
        assert [specs[0].shape[0] for specs in loop._runners] == [12, 10, 9]
        monkeypatch.undo()
        for rows in sizes:
            fit(other, rows)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_program_of_xla_that_is_no_longer_kept_is_freed(jax, monkeypatch):
    from lamella_jax import runner

    seen = []

    def reported(function, reason, original=runner.reported):
        traced = original(function, reason)
        seen.append(weakref.ref(traced))
        return traced

    monkeypatch.setattr(runner, "reported", reported)
    monkeypatch.setattr(runner, "_PROGRAMS", 2)
    monkeypatch.setattr(runner, "_LEAST", 0)
    model = model_of()
    for rows in (300, 600, 1200):
        fit(model, rows)
    gc.collect()
    assert [ref() is None for ref in seen] == [True, False, False]


def test_a_hundred_shapes_stay_within_the_bounds():
    with lamella.backend_scope("numpy"):
        model = model_of(Dense(1))
        lowered = model.lower("numpy")
        for rows in range(1, 101):
            model.predict_on_batch(X[:rows])
            lowered(lowered.params, lowered.state, X[:rows])
        assert len(model.functions) == len(lowered._cache) == 64
        dtypes = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64")
        for x, y in itertools.product(dtypes, dtypes[:3]):
            model.loop_for(lamella.training.data.Data(X[:2].astype(x), Y[:2].astype(y)), training=False)
        assert len(model._loops) == 16
