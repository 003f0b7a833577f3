"""Chunks of steps on the JAX backend: bit-equal however they are cut, few compilations, optax inside the loop."""

from __future__ import annotations

import math
import sys
import threading

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

from lamella import ops  # noqa: E402
from lamella.backend_api import Runner, StepProgram, load_backend  # noqa: E402
from lamella.ir.spec import Spec  # noqa: E402
from lamella.ir.trace import Trace, as_value, trace  # noqa: E402
from lamella.ops.control import replay  # noqa: E402
from lamella.passes import differentiate  # noqa: E402
from lamella_jax.kernels import QUIRKS  # noqa: E402
from lamella_jax.xla_cpu import heaps  # noqa: E402

backend = load_backend("jax")
WEIGHTS = {"kernel": (3, 3, 1, 4), "bias": (4,), "head": (36, 3)}
BATCH, ROWS = 8, 40
CONVOLUTION = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
POOL = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}


def loss(kernel, bias, head, key, step, x, y, rows):
    """A convolution, a pooling, dropout, a softmax."""
    h = ops.primitives.max_pool.bind(ops.relu(ops.add(ops.convolve(x, kernel, **CONVOLUTION), bias)), **POOL)
    h = ops.reshape(h, (BATCH, 36))
    keep = ops.less(ops.random_bits.bind(ops.fold_in.bind(key, data=1), step, shape=(BATCH, 36), bits=16), 50000)
    logits = ops.matmul(ops.where(keep, h, 0.0), head)
    losses = -ops.sum(ops.log_softmax(logits) * ops.one_hot(y, 3, dtype=logits.dtype), axis=-1)
    return ops.sum(losses * rows) / ops.sum(rows)


def adam(g, w, m, v, rate, alpha):
    m = m + (g - m) * 0.1
    v = v + (g * g - v) * 0.001
    return w - rate * alpha * m / (ops.sqrt(v) + 1e-7), m, v


def step_of(dtype="float32", external=None):
    """A training step with Adam, or one that hands its gradients to `external`; bias, rate and key never change with it."""
    shapes = [Spec(s, dtype) for s in WEIGHTS.values()]
    batch = [Spec((BATCH, 6, 6, 1), dtype), Spec((BATCH,), "int32"), Spec((BATCH,), dtype)]
    forward = trace(loss, *shapes, Spec((2,), "uint32"), Spec((), "uint32"), *batch)
    gradient = differentiate(forward, range(3))
    with Trace() as running:
        weights = [running.input(s) for s in shapes]
        m, v = ([running.input(s) for s in shapes] if external is None else [] for _ in range(2))
        rate, total = running.input(Spec((), dtype)), running.input(Spec((), dtype))
        key, step = running.input(Spec((2,), "uint32")), running.input(Spec((), "uint32"))
        data = [running.input(s) for s in batch]
        value, *gradients = replay(gradient, [*weights, key, step, *data])
        rest = [rate, total + value, key, ops.add(step, np.uint32(1))]
        if external is None:
            t = ops.cast(ops.add(step, np.uint32(1)), dtype)
            alpha = ops.sqrt(-ops.expm1(t * math.log(0.999))) / -ops.expm1(t * math.log(0.9))
            new, new_m, new_v = ops.foreach(adam, [gradients, weights, m, v], [rate, alpha])
            outputs = [*new, *new_m, *new_v, *rest]
        else:
            outputs = [*weights, *rest, *gradients, value]
        program = running.program([as_value(y) for y in outputs])
    slots = [f"{slot}/{name}" for slot in "mv" for name in WEIGHTS] if external is None else []
    names = (*WEIGHTS, *slots, "rate", "total", "key", "step")
    return StepProgram(program, names, ("x", "y"), () if external is None else tuple(WEIGHTS), external)


def start(step):
    generator = np.random.default_rng(0)
    leaves = []
    for name, spec in zip(step.state_names, step.program.input_specs, strict=False):
        drawn = (
            generator.normal(0, 0.3, spec.shape) if name in WEIGHTS else np.full(spec.shape, 0.01 * (name == "rate"))
        )
        leaves.append(np.array([1, 2], np.uint32) if name == "key" else drawn.astype(spec.dtype))
    return leaves


def data_of(dtype="float32"):
    generator = np.random.default_rng(1)
    return [generator.normal(size=(ROWS, 6, 6, 1)).astype(dtype), generator.integers(0, 3, ROWS)]


def order(steps, seed=2):
    indices = np.random.default_rng(seed).integers(0, ROWS, (steps, BATCH)).astype(np.int32)
    rows = np.ones((steps, BATCH), np.float32)
    rows[-1, 5:] = 0
    return indices, rows


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def run_in_chunks(runner, state, placed, indices, rows, lengths):
    done = 0
    for length in lengths:
        state = runner.run(state, placed, indices[done : done + length], rows[done : done + length])
        done += length
    return state


@pytest.fixture(scope="module")
def trained():
    """A runner that took 171 steps at once: (runner, state before, placed data, indices, rows, state after)."""
    step = step_of()
    runner = backend.runner(step)
    state, placed = runner.load(start(step)), runner.place(data_of())
    indices, rows = order(171)
    return runner, state, placed, indices, rows, runner.run(state, placed, indices, rows)


def test_it_computes_what_the_default_runner_computes(trained):
    runner, state, _, indices, rows, _ = trained
    plain = Runner(backend, runner.step)
    wanted = plain.run(plain.load(start(runner.step)), data_of(), indices[:6], rows[:6])
    found = runner.run(state, trained[2], indices[:6], rows[:6])
    for name, a, b in zip(runner.step.state_names, found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("lengths", [(57, 57, 56, 1), (1, 170), (100, 71)])
def test_every_chunking_is_bit_equal(trained, lengths):
    runner, state, placed, indices, rows, wanted = trained
    assert_same(run_in_chunks(runner, state, placed, indices, rows, lengths), wanted)


def test_single_steps_are_bit_equal_to_chunks(trained):
    runner, state, _, indices, rows, wanted = trained
    alone = backend.runner(runner.step)  # it has never seen a chunk, and compiles for single steps
    assert_same(run_in_chunks(alone, state, alone.place_all(data_of()), indices, rows, [1] * 171), wanted)
    assert [height for height, _ in alone._programs] == [2]


@pytest.mark.skipif(not QUIRKS, reason="LAMELLA_XLA_QUIRKS=0 turns the heaps off")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory comes as XLA asks for it")
@pytest.mark.parametrize("options", [None, {"xla_no_such_option": 1}], ids=["in pieces", "an option that is gone"])
def test_temporary_memory_in_pieces_changes_no_number(trained, monkeypatch, options):
    runner, state, placed, indices, rows, wanted = trained
    monkeypatch.setattr(heaps, "_MUCH", 0)
    if options is not None:
        monkeypatch.setattr(heaps, "_OPTIONS", options)
    inside = backend.runner(runner.step)
    assert_same(run_in_chunks(inside, state, placed, indices, rows, [100, 71]), wanted)
    assert not any(hasattr(inside._programs[key], "_cache_size") for key in inside._programs)


def compiled_loops(runner):
    """How often each loop of a runner was compiled."""
    return [runner._programs[key]._cache_size() for key in runner._programs]


def test_chunks_of_any_length_share_one_compilation(trained):
    runner, state, placed, indices, rows, _ = trained
    before = compiled_loops(runner)
    for length in (57, 56, 2, 1):
        runner.run(state, placed, indices[:length], rows[:length])
    assert compiled_loops(runner) == before == [1]


def test_a_chunk_longer_than_the_matrix_takes_several_dispatches(trained):
    runner, state, placed, *_ = trained
    indices, rows = order(1100)
    whole = runner.run(state, placed, indices, rows)
    assert_same(run_in_chunks(runner, state, placed, indices, rows, (511, 589)), whole)
    assert compiled_loops(runner) == [1]


def test_the_state_before_stays_whole(trained, monkeypatch):
    runner, state, placed, indices, rows, wanted = trained
    before = [np.array(x) for x in state]

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runner.run(state, placed, indices, rows)
    assert_same(state, before)
    assert_same(runner.run(state, placed, indices, rows), wanted)


def test_leaves_that_never_change_stay_the_same_arrays(trained):
    runner, state, *_, after = trained
    for name in ("rate", "key"):
        at = runner.step.state_names.index(name)
        assert after[at] is state[at]


def test_data_comes_in_any_dtype_and_is_not_shared(trained):
    runner, state, placed, indices, rows, _ = trained
    wanted = runner.run(state, placed, indices[:3], rows[:3])
    x, y = data_of("float64")
    narrowed = runner.place([x, y.astype(np.float64)])
    assert [a.dtype.name for a in narrowed] == ["float32", "int32"]
    x[:] = 0  # the device holds a copy
    assert_same(runner.run(state, narrowed, indices[:3], rows[:3]), wanted)
    pictures = np.random.default_rng(0).integers(0, 255, (ROWS, 6, 6, 1)).astype(np.uint8)
    small, large = runner.place([pictures, y]), runner.place([pictures.astype(np.float32), y])
    assert small[0].dtype == np.uint8
    assert_same(runner.run(state, small, indices[:3], rows[:3]), runner.run(state, large, indices[:3], rows[:3]))


def test_float64_is_float64_while_64_bit_types_are_off():
    step = step_of("float64")
    runner = backend.runner(step)
    indices, rows = order(20)
    state, placed = runner.load(start(step)), runner.place(data_of("float64"))
    after = runner.run(state, placed, indices, rows)
    assert [a.dtype.name for a in after] == [s.dtype for s in step.program.input_specs[: len(after)]]
    reference = load_backend("numpy").runner(step)
    wanted = reference.run(reference.load(start(step)), reference.place(data_of("float64")), indices, rows)
    for a, b in zip(after, wanted, strict=True):
        np.testing.assert_allclose(backend.numpy(a), np.asarray(b), rtol=1e-9, atol=1e-12)


# ---- optax --------------------------------------------------------------------------------------------------------------


def test_optax_inside_the_loop_is_optax_outside(trained):
    tx = optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(0.01, weight_decay=0.1))
    step = step_of(external=tx)
    runner = backend.runner(step)
    state, placed = runner.load(start(step)), runner.place(data_of())
    count = len(step.state_names)
    assert len(state) == count + len(runner.external_names)
    assert any(name.endswith("mu/kernel") for name in runner.external_names)
    indices, rows = order(5)
    after = runner.run(state, placed, indices, rows)

    x, y = data_of()
    function = backend.function(trace(loss, *step.program.input_specs[:3], *step.program.input_specs[5:]))

    @jax.jit
    def one(params, slots, *batch):
        value, gradients = jax.value_and_grad(lambda p: function(*[p[n] for n in WEIGHTS], *batch)[0])(params)
        updates, slots = tx.update(gradients, slots, params)
        return optax.apply_updates(params, updates), slots, value

    params = dict(zip(WEIGHTS, map(jnp.asarray, start(step)), strict=False))
    slots, total = tx.init(params), 0.0
    for n in range(5):
        key_and_step = (np.array([1, 2], np.uint32), np.uint32(n))
        params, slots, value = one(params, slots, *key_and_step, x[indices[n]], y[indices[n]].astype(np.int32), rows[n])
        total += value
    wanted = [*[params[n] for n in WEIGHTS], *jax.tree.leaves(slots)]
    for a, b in zip([*after[:3], *after[count:]], wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after[step.state_names.index("total")], total, rtol=1e-5)


def test_the_external_state_travels_with_the_chunks_and_can_be_loaded():
    step = step_of(external=optax.adam(0.01))
    runner = backend.runner(step)
    state, placed = runner.load(start(step)), runner.place(data_of())
    indices, rows = order(12)
    whole = runner.run(state, placed, indices, rows)
    half = runner.run(state, placed, indices[:6], rows[:6])
    again = backend.runner(step)
    resumed = again.load([np.asarray(leaf) for leaf in half])
    assert_same(again.run(resumed, placed, indices[6:], rows[6:]), whole)


def test_an_optax_transformation_is_recognised():
    assert backend.supports_optimizer(optax.sgd(0.1))
    assert backend.supports_optimizer(optax.chain(optax.clip(1.0), optax.adam(0.1)))
    for other in ("adam", None, (1, 2), object()):
        assert not backend.supports_optimizer(other)


# ---- threads ------------------------------------------------------------------------------------------------------------


def test_threads_share_a_runner_and_a_compiled_program(trained):
    runner, state, placed, indices, rows, wanted = trained
    program = trace(lambda x: ops.softmax(ops.matmul(x, x)), Spec((16, 16), "float64"))
    compiled = backend.compile(program)
    x = np.random.default_rng(0).normal(size=(16, 16))
    expected = np.asarray(compiled(x)[0])
    failures = []

    def work(wide):
        try:
            for _ in range(5):
                if wide:  # 64-bit types are on in this thread only, and only inside the call
                    assert_same(compiled(x), [expected])
                    assert jnp.zeros(1, float).dtype == np.float32
                else:
                    assert_same(runner.run(state, placed, indices, rows), wanted)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_many_arrays_are_loaded_without_compiling_for_their_shapes(caplog):
    mine = jnp.arange(3.0)
    given = [np.full((7, n), n, "float64") for n in range(5)] + [mine, mine, np.int32(4)]
    dtypes = [*["float32"] * 4, "bfloat16", None, "float32", "int32"]
    with jax.log_compiles(), caplog.at_level("WARNING"):
        loaded = backend.asarrays(given, dtypes)
    assert "ompil" not in caplog.text
    assert loaded[5] is mine and loaded[6] is mine
    assert [a.dtype for a in loaded] == [*["float32"] * 4, jnp.bfloat16, "float32", "float32", "int32"]
    for array, source in zip(loaded, given, strict=True):
        np.testing.assert_array_equal(np.asarray(array, "float64"), np.asarray(source, "float64"))
    given[3][...] = -1
    assert (np.asarray(loaded[3]) == 3).all()  # a copy


# ---- standard error -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not QUIRKS, reason="LAMELLA_XLA_QUIRKS=0 turns the heaps off")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory comes as XLA asks for it")
@pytest.mark.parametrize(("width", "inside"), [(512, True), (2048, False)])
def test_heaps_are_not_asked_for_what_does_not_fit_into_one(monkeypatch, width, inside):
    monkeypatch.setattr(heaps, "_MUCH", 0)
    program = trace(
        lambda x, w: ops.matmul(ops.tanh(x), w), Spec((8, width), "float32"), Spec((width, width), "float32")
    )
    made = heaps.jit(lambda x, w: (x, w), program)
    assert hasattr(made, "lower") != inside  # a plain jitted function, or one that asks for heaps


SILENT = """
import numpy as np
import lamella
from lamella.layers import BatchNormalization, Conv2D, Dense, Flatten, GlobalAveragePooling2D, Input, MaxPooling2D

def run(layers, x, y):
    model = lamella.Sequential([Input(x.shape[1:]), *layers])
    model.compile("adam", "mse", backend="jax")
    model.fit(x, y, batch_size=len(x) // 2, epochs=1, verbose=0, validation_data=(x, y))
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    [runner] = [loop._template for loop in map(model._loops.__getitem__, model._loops) if loop.training]
    return bool(runner.donated)

x, y = np.zeros((8, 2000), "float32"), np.zeros((8, 1), "float32")
assert run([Dense(2900), Dense(1)], x, y)  # 66.5 MiB with Adam's slots: donated
assert not run([Dense(2000), Dense(1)], x, y)
x, y = np.zeros((32, 96, 96, 3), "float32"), np.zeros((32, 1), "float32")
layers = [Conv2D(24, 3, padding="same"), BatchNormalization(), Conv2D(24, 3, padding="same"), MaxPooling2D(2)]
assert not run([*layers, GlobalAveragePooling2D(), Dense(1)], x, y)  # values of more than a heap, 300 MB of them
"""


@pytest.mark.slow
def test_nothing_is_written_to_standard_error(run_python):
    done = run_python(code=SILENT)
    assert (done.stdout, done.stderr) == ("", "")
