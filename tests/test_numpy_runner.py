"""Chunks of steps on the NumPy backend: exact under every chunking, whole after an interruption."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import lamella
from lamella import layers, ops
from lamella.backend_api import Runner, StepProgram
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.ir.trace import Trace, as_value, trace
from lamella.passes import differentiate
from lamella_numpy import BACKEND, pieces
from lamella_numpy.runner import NumpyRunner

WEIGHTS = {"a/kernel": (6, 8), "a/bias": (8,), "b/kernel": (8, 1), "b/bias": (1,)}
BATCH, STEPS = 5, 7


def loss(w, b, v, c, x, y, rows, key, step):
    h = ops.relu(ops.matmul(x, w) + b)
    keep = ops.less(ops.random_bits(ops.fold_in(key, data=1), step, shape=h.shape, bits=16), 50000)
    z = ops.matmul(ops.where(keep, h, 0.0), v) + c
    return ops.sum(ops.mean(ops.square(z - y), axis=1) * rows) / ops.sum(rows)


def adam_step(dtype="float32", frozen=()):
    """A training step: dropout, mean squared error, Adam on the weights that are not frozen, one metric."""
    shapes = [Spec(s, dtype) for s in WEIGHTS.values()]
    data = [Spec((BATCH, 6), dtype), Spec((BATCH, 1), dtype), Spec((BATCH,), dtype)]
    forward = trace(loss, *shapes, *data, Spec((2,), "uint32"), Spec((), "uint32"))
    trained = [i for i, name in enumerate(WEIGHTS) if name not in frozen]
    gradient = differentiate(forward, trained)
    names = list(WEIGHTS)
    with Trace() as running:
        weights = [running.input(s) for s in shapes]
        m = [running.input(shapes[i]) for i in trained]
        v = [running.input(shapes[i]) for i in trained]
        rate, total = running.input(Spec((), dtype)), running.input(Spec((), dtype))
        step, key = running.input(Spec((), "uint32")), running.input(Spec((2,), "uint32"))
        batch = [running.input(s) for s in data]
        value, *gradients = replayed(gradient, [*weights, *batch, key, step])
        t = ops.cast(step + 1, dtype)
        alpha = rate * ops.sqrt(-ops.expm1(t * math.log(0.999))) / -ops.expm1(t * math.log(0.9))

        def rule(w, g, m, v, alpha):
            m = m + (g - m) * 0.1
            v = v + (g * g - v) * 0.001
            return w - m * alpha / (ops.sqrt(v) + 1e-7), m, v

        new, new_m, new_v = ops.foreach(rule, [[weights[i] for i in trained], gradients, m, v], [alpha])
        updated = dict(zip(trained, new, strict=True))
        outputs = [updated.get(i, w) for i, w in enumerate(weights)]
        outputs += [*new_m, *new_v, rate, total + value, ops.add(step, np.uint32(1)), key]
        program = running.program([as_value(y) for y in outputs])
    state = names + [f"{s}/{names[i]}" for s in "mv" for i in trained] + ["rate", "total", "step", "key"]
    labels = [*state, "x", "y", "rows"]
    program = Program(program.inputs, program.equations, program.outputs, labels, state)
    return StepProgram(program, tuple(state), ("x", "y"))


def replayed(program, arguments):
    from lamella.ops.control import replay

    return replay(program, arguments)


def start(step, seed=0):
    rng = np.random.default_rng(seed)
    leaves = []
    for name, spec in zip(step.state_names, step.program.input_specs, strict=False):
        if name in WEIGHTS:
            leaves.append(rng.normal(size=spec.shape).astype(spec.dtype))
        elif name == "key":
            leaves.append(np.array([1, 2], np.uint32))
        else:
            leaves.append(np.full(spec.shape, 0.01 if name == "rate" else 0, spec.dtype))
    return tuple(leaves)


def draw_data(dtype="float32", seed=1):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(40, 6)).astype(dtype), rng.normal(size=(40, 1)).astype(dtype)
    indices = rng.integers(0, 40, (STEPS, BATCH)).astype(np.int32)
    rows = np.ones((STEPS, BATCH), dtype)
    rows[-1, 3:] = 0
    return (x, y), indices, rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("frozen", [(), ("a/kernel",)])
def test_it_computes_what_the_default_runner_computes(dtype, frozen):
    step = adam_step(dtype, frozen)
    data, indices, rows = draw_data(dtype)
    own, plain = BACKEND.runner(step), Runner(BACKEND, step)
    assert isinstance(own, NumpyRunner)
    found = own.run(own.load(start(step)), own.place(data), indices, rows)
    wanted = plain.run(plain.load(start(step)), plain.place(data), indices, rows)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for y, z, spec in zip(found, wanted, step.program.input_specs, strict=False):
        assert (y.shape, y.dtype) == (spec.shape, np.dtype(spec.dtype))
        np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance)


def momentum_step(case):
    """w and m are updated from x; what else reads the old ones depends on the case."""
    with Trace() as running:
        w = [running.input(Spec(s, "float32")) for s in ((2, 3), (6,))]
        m = [running.input(Spec(s, "float32")) for s in ((2, 3), (6,))]
        other, x = running.input(Spec((6,), "float32")), running.input(Spec((2, 6), "float32"))
        rows = running.input(Spec((2,), "float32"))
        gradients = [ops.reshape(x[0], (2, 3)), x[1] * ops.sum(rows)]
        view = ops.reshape(w[0], (6,))

        def rule(w, m, g):
            new = m * 0.5 + g
            return (w - new * 0.1, new) if case != "in the rule" else (w - g * 0.1, new + w)

        def loss():
            if case == "a view, later":
                return ops.sum(view * x[0])
            return ops.sum(w[1] if case in ("before", "later") else other)

        seen = loss() if case == "before" else None
        new, new_m = ops.foreach(rule, [w, m, gradients])
        seen = loss() if seen is None else seen
        if case == "exchanged":
            new = [ops.reshape(new[1], (2, 3)), ops.reshape(new[0], (6,))]
        outputs = [*new, *new_m, w[1] if case == "kept" else other + seen]
        program = running.program([as_value(y) for y in outputs])
    state = ("w0", "w1", "m0", "m1", "other")
    program = Program(program.inputs, program.equations, program.outputs, [*state, "x", "rows"], state)
    return StepProgram(program, state, ("x",))


@pytest.mark.parametrize("chunk", [5, 32768])
@pytest.mark.parametrize("case", ["before", "later", "a view, later", "in the rule", "exchanged", "kept"])
def test_a_vector_is_updated_in_place_only_where_nobody_reads_it_afterwards(case, chunk, monkeypatch):
    monkeypatch.setattr("lamella_numpy.rules_control.CHUNK", chunk)
    step = momentum_step(case)
    own, plain = BACKEND.runner(step), Runner(BACKEND, step)
    weights, momenta = (own._vectors.stretches[i].vector in own._generated.in_place for i in (0, 2))
    assert momenta
    assert weights == (case == "before")
    rng = np.random.default_rng(0)
    state = tuple(rng.normal(size=s.shape).astype("float32") for s in step.program.input_specs[:5])
    x, indices = rng.normal(size=(7, 6)).astype("float32"), rng.integers(0, 7, (4, 2)).astype(np.int32)
    rows = np.ones((4, 2), "float32")
    found, wanted = (r.run(r.load(state), r.place((x,)), indices, rows) for r in (own, plain))
    for y, z in zip(found, wanted, strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-6)


def test_every_chunking_is_bit_equal():
    step = adam_step()
    data, indices, rows = draw_data()
    together = BACKEND.runner(step)
    wanted = together.run(start(step), together.place(data), indices, rows)
    for cuts in ([1] * STEPS, [3, 4], [6, 1]):
        runner = BACKEND.runner(step)
        state, placed, at = start(step), runner.place(data), 0
        for n in cuts:
            state = runner.run(state, placed, indices[at : at + n], rows[at : at + n])
            at += n
        for y, z in zip(state, wanted, strict=True):
            np.testing.assert_array_equal(y, z)


def test_states_are_never_changed_and_may_be_returned_to():
    step = adam_step()
    data, indices, rows = draw_data()
    runner = BACKEND.runner(step)
    placed, first = runner.place(data), start(step)
    kept = [leaf.copy() for leaf in first]
    second = runner.run(first, placed, indices, rows)
    second_kept = [leaf.copy() for leaf in second]
    third = runner.run(second, placed, indices, rows)
    again = runner.run(second, placed, indices, rows)
    for y, z in zip(third, again, strict=True):
        np.testing.assert_array_equal(y, z)
    for leaf, copy in zip((*first, *second), (*kept, *second_kept), strict=True):
        np.testing.assert_array_equal(leaf, copy)
    changing = [i for i, same in enumerate(step.invariant) if not same]
    for i in changing:
        assert not any(np.shares_memory(third[i], other[j]) for other in (first, second) for j in changing)
        assert not any(np.shares_memory(third[i], third[j]) for j in changing if j != i)


def test_one_leaf_may_be_replaced():
    step = adam_step()
    data, indices, rows = draw_data()
    runner, fresh = BACKEND.runner(step), BACKEND.runner(step)
    placed = runner.place(data)
    state = list(runner.run(start(step), placed, indices, rows))
    state[step.state_names.index("rate")] = np.array(0.5, np.float32)
    state[step.state_names.index("a/bias")] = np.zeros(8, np.float32)
    found = runner.run(tuple(state), placed, indices, rows)
    wanted = fresh.run(tuple(state), placed, indices, rows)
    for y, z in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(y, z)


def test_data_of_other_dtypes_and_layouts_is_converted_batch_by_batch():
    step = adam_step()
    (x, y), indices, rows = draw_data()
    x = np.round(x * 10)
    runner = BACKEND.runner(step)
    wanted = runner.run(start(step), runner.place((x, y)), indices, rows)
    other = runner.place((np.asfortranarray(x.astype(np.int8)), y.astype(np.float64)))
    for a, b in zip(runner.run(start(step), other, indices, rows), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_an_interruption_leaves_the_state_whole(stop):
    step = adam_step()
    data, indices, rows = draw_data()
    runner = BACKEND.runner(step)
    placed = runner.place(data)
    state = runner.run(start(step), placed, indices, rows)
    kept = [leaf.copy() for leaf in state]
    wanted = runner.run(state, placed, indices, rows)
    frames, calls = runner._frames, []

    def interrupted(step):
        def run():
            step()
            calls.append(1)
            if len(calls) > stop:
                raise KeyboardInterrupt

        return run

    runner._frames = [(once, interrupted(step)) for once, step in frames]
    with pytest.raises(KeyboardInterrupt):
        runner.run(wanted, placed, indices, rows)
    runner._frames = frames
    for leaf, copy in zip(state, kept, strict=True):
        np.testing.assert_array_equal(leaf, copy)
    for y, z in zip(runner.run(state, placed, indices, rows), wanted, strict=True):
        np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("where", ["_load", "_turn", "_result"])
def test_an_interruption_between_the_parts_of_a_run_is_harmless(where):
    step = adam_step()
    data, indices, rows = draw_data()
    runner = BACKEND.runner(step)
    placed = runner.place(data)
    state = runner.run(start(step), placed, indices, rows)
    wanted = runner.run(state, placed, indices, rows)
    original = getattr(runner, where)

    def interrupted(*arguments):
        if where != "_result":
            original(*arguments)
        raise KeyboardInterrupt

    setattr(runner, where, interrupted)
    for before in (wanted, state, start(step)):
        with pytest.raises(KeyboardInterrupt):
            runner.run(before, placed, indices, rows)
    setattr(runner, where, original)
    for y, z in zip(runner.run(state, placed, indices, rows), wanted, strict=True):
        np.testing.assert_array_equal(y, z)


def test_wrong_states_are_refused_before_any_work():
    step = adam_step()
    data, indices, rows = draw_data()
    runner = BACKEND.runner(step)
    state = list(start(step))
    with pytest.raises(ValueError, match="leaves"):
        runner.run(tuple(state[1:]), runner.place(data), indices, rows)
    state[0] = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match="a/kernel"):
        runner.run(tuple(state), runner.place(data), indices, rows)


def test_what_no_step_changes_is_computed_once():
    source = BACKEND.runner(adam_step()).source
    once = source[source.index("def once") : source.index("def step")]
    assert "fold_in(" in once and "fold_in(" not in source[source.index("def step") :]


def test_parameters_gradients_and_slots_are_updated_as_vectors():
    """Adam writes twelve lines over whole vectors, whatever the number of tensors, and copies nothing together."""
    source = BACKEND.runner(adam_step()).source
    body = source[source.index("def step") :]
    assert body.count("sqrt(") == 2  # the step size's and the rule's
    assert "[...]" not in body[body.index("expm1(") :]


def test_runners_work_in_threads():
    step = adam_step()
    data, indices, rows = draw_data()
    runner = BACKEND.runner(step)
    placed = runner.place(data)
    wanted = runner.run(start(step), placed, indices, rows)
    faults = []

    def work():
        for _ in range(20):
            found = runner.run(start(step), placed, indices, rows)
            faults.extend(1 for y, z in zip(found, wanted, strict=True) if not np.array_equal(y, z))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


NETWORKS = {
    "convolutions": (
        (28, 28, 1),
        lambda: [
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
        ],
    ),
    "lstm": ((50, 16), lambda: [layers.LSTM(32, dropout=0.2)]),
    "gru": ((50, 16), lambda: [layers.GRU(32, return_sequences=True), layers.GlobalAveragePooling1D()]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_steady_step_allocates_its_new_state_only(name, monkeypatch):
    monkeypatch.setattr(pieces._POOL, "_helpers", 0)  # each thread that takes pieces has its temporary memory
    shape, stack = NETWORKS[name]
    with lamella.backend_scope("numpy"):
        model = lamella.Sequential([layers.Input(shape), *stack(), layers.Dense(1)])
        model.compile("adam", "mse")
        x, y = np.ones((64, *shape), "float32"), np.ones((64, 1), "float32")
        for _ in range(2):
            model.train_on_batch(x, y)
        tracemalloc.start()
        model.train_on_batch(x, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    state = 3 * sum(w.nbytes for w in model.get_weights())  # weights and Adam's two moments
    assert peak < state + 50_000  # the stack of a loop is eight times that


def test_the_backend_imports_numpy_only():
    code = "import sys, lamella_numpy; print([m for m in ('jax', 'scipy', 'keras', 'h5py') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("bits", [16, 32])
def test_bits_drawn_ahead_are_the_same_bits(bits):
    from lamella_numpy.lookahead import random_bits_ahead
    from lamella_numpy.random_bits import random_bits

    scratch, shape = {}, (3, 7)
    order = [0, 1, 2, 3, 70, 71, 72, 5, 2**32 - 2, 2**32 - 1, *range(10, 150)]
    for key in (np.array([1, 2], np.uint32), np.array([3, 4], np.uint32)):
        for step in order:
            out = np.empty(shape, f"uint{bits}")
            random_bits_ahead(key, np.array(step, np.uint32), shape=shape, bits=bits, out=out, scratch=scratch)
            np.testing.assert_array_equal(out, random_bits(key, np.array(step, np.uint32), shape=shape, bits=bits))
