"""Large work on NumPy: the same bits on any number of threads, and BLAS as it was when a program is done."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamella
from lamella import Input, Sequential, callbacks, config, layers, ops
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.ops import primitives as p
from lamella_numpy import BACKEND, blas, pieces, window

pytestmark = pytest.mark.skipif(blas.control() is None, reason="a BLAS whose threads cannot be set")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def on_numpy():
    before = config.backend()
    config.set_backend("numpy")
    yield
    config.set_backend(before)


@pytest.fixture
def threads():
    """BLAS with two threads; after the test it must have them again."""
    get, put = blas.control()
    before = get()
    put(2)
    yield get
    assert get() == 2 and not blas._INSIDE
    put(before)


HASHES = """
import hashlib, numpy as np
from lamella import Input, Sequential, layers, utils
for shape, stack in (
    ((300,), [layers.Dense(512, "relu"), layers.Dense(10, "softmax")]),
    ((20, 20, 8), [layers.Conv2D(32, 3, strides=1), layers.MaxPooling2D(), layers.AveragePooling2D(2), layers.Flatten(),
                   layers.Dense(10, "softmax")]),
):
    utils.set_random_seed(0)
    model = Sequential([Input(shape), *stack])
    model.compile("adam", "sparse_categorical_crossentropy")
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(256, *shape)).astype("float32"), draw.integers(0, 10, 256)
    model.fit(x, y, batch_size=128, verbose=0)
    arrays = [*model.get_weights(), model.predict(x, batch_size=128, verbose=0)]
    print(hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest())
"""


def test_results_do_not_depend_on_the_number_of_threads(run_python):
    environments = [{"LAMELLA_THREADS": n} for n in ("1", "2", "3")] + [{"OPENBLAS_NUM_THREADS": "1"}]
    found = {run_python(code=HASHES, environment={"LAMELLA_BACKEND": "numpy", **e}).stdout for e in environments}
    assert len(found) == 1 and len(found.pop().split()) == 2


@pytest.mark.parametrize("value", ["1", "3", "", "many", "0"])
def test_the_environment_says_how_many_threads(value, monkeypatch):
    for name in ("LAMELLA_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    default = blas.cores()
    assert default >= 1
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    monkeypatch.setenv("LAMELLA_THREADS", value)
    assert blas.cores() == (int(value) if value in ("1", "3") else 5)


# ---- how work is cut ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(128, 784, 512), (784, 128, 512), (32, 1024, 1024), (6400, 40, 256), (64, 64, 256)])
def test_pieces_cover_the_product(sizes):
    rows, inner, columns = sizes
    axis, spans = pieces.cut(*sizes)
    size = (rows, columns)[axis]
    assert [i for s in spans for i in range(s.start, s.stop)] == list(range(size))
    assert len(spans) <= pieces.MOST and (len(spans) > 1) == (rows * inner * columns >= pieces.LEAST)
    x, y = RNG.normal(size=(rows, inner)).astype("float32"), RNG.normal(size=(inner, columns)).astype("float32")
    out = np.empty((rows, columns), "float32")
    pieces.product(x, y, out)
    np.testing.assert_allclose(out, x @ y, rtol=1e-3, atol=1e-3)


def test_stacks_of_products_are_cut_along_the_stack():
    x, y = RNG.normal(size=(9, 128, 128)).astype("float32"), RNG.normal(size=(9, 128, 128)).astype("float32")
    out = np.empty_like(x)
    assert pieces.is_cut(x.shape, y.shape) and not pieces.is_cut((9, 64, 64), (9, 64, 64))
    pieces.product(x, y, out)
    np.testing.assert_allclose(out, x @ y, rtol=1e-4, atol=1e-4)


STACKS = [
    ((16, 256, 256), (1, 256, 256)),
    ((1, 256, 256), (16, 256, 256)),
    ((1, 512, 512), (1, 512, 512)),
    ((1, 8, 256, 64), (1, 8, 64, 256)),
    ((16, 2, 128, 256), (1, 2, 256, 256)),
    ((16, 1, 128, 256), (1, 2, 256, 256)),
    ((1, 9, 1, 128, 128), (2, 1, 1, 128, 128)),
]


@pytest.mark.parametrize(("left", "right"), STACKS)
def test_stacks_that_repeat_are_cut(left, right):
    program = trace(ops.matmul, Spec(left, "float32"), Spec(right, "float32"))
    compiled = BACKEND.compile(program)
    assert "product(" in compiled.source
    x, y = RNG.normal(size=left).astype("float32"), RNG.normal(size=right).astype("float32")
    np.testing.assert_allclose(compiled(x, y)[0], x @ y, rtol=1e-3, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_stacks_of_any_shape(data):
    size = st.integers(0, 5)
    lead = data.draw(st.lists(size, max_size=3))
    left, right = ([1 if data.draw(st.booleans()) else d for d in lead] for _ in "xy")
    rows, inner, columns = (data.draw(size) for _ in range(3))
    x, y = RNG.normal(size=(*left, rows, inner)), RNG.normal(size=(*right, inner, columns))
    whole = np.full((*lead, rows, columns), np.nan)  # along some axes both may repeat
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_cut_stack", pieces._cut_stack.__wrapped__)
        patch.setattr(pieces, "LEAST", 2)
        patch.setattr(pieces, "PIECE", 1)
        pieces.product(x, y, whole)
    np.testing.assert_allclose(whole, np.broadcast_to(x @ y, whole.shape), atol=1e-12)


SAME = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
POOL = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}
X, K = RNG.normal(size=(33, 32, 32, 16)).astype("float32"), RNG.normal(size=(3, 3, 16, 32)).astype("float32")
G, HALF = RNG.normal(size=(33, 32, 32, 32)).astype("float32"), X[:, ::2, ::2].copy()
WINDOWS = {
    "convolve": ((X, K), SAME),
    "convolve_input_gradient": ((G, K), {**SAME, "size": (32, 32)}),
    "convolve_kernel_gradient": ((X, G), {**SAME, "size": (3, 3)}),
    "max_pool": ((X,), POOL),
    "max_pool_gradient": ((HALF, X, window.max_pool(X, **POOL)), POOL),
    "average_pool": ((X,), POOL),
    "average_pool_gradient": ((HALF,), {**POOL, "size": (32, 32)}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_in_pieces(name):
    operands, attrs = WINDOWS[name]
    whole = getattr(window, name)(*operands, **attrs)
    out, scratch = np.empty_like(whole), {}
    for _ in range(2):
        pieces.KERNELS[name](*operands, out=out, scratch=scratch, **attrs)
        if "convolve" in name:
            np.testing.assert_allclose(out, whole, rtol=1e-3, atol=1e-3 * np.abs(whole).max())
        else:
            np.testing.assert_array_equal(out, whole)
    assert "piece 1" in scratch


def program_of(rows):
    return trace(lambda x, y: p.contract.bind(x, y, contracting=((1,), (0,)), batch=((), ())), *[
        Spec((rows, rows), "float32")
    ] * 2)  # fmt: skip


def test_small_programs_are_as_they_were():
    assert not pieces.is_large(program_of(32)) and pieces.is_large(program_of(64))
    assert ".dot(" in BACKEND.compile(program_of(64)).source
    assert "product(" in BACKEND.compile(program_of(512)).source


# ---- BLAS gets its threads back -----------------------------------------------------------------------------------------


def model_of(*more):
    model = Sequential([Input((256,)), *more, layers.Dense(256, "relu"), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


DATA = RNG.normal(size=(64, 256)).astype("float32")


class Looks(callbacks.Callback):
    """Calls a function at the end of the first batch."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def on_train_batch_end(self, batch, logs=None):
        self.function()


def test_the_threads_come_back(threads):
    model = model_of()
    model.fit(DATA, DATA[:, :1], verbose=0)
    model.predict(DATA, verbose=0)
    assert threads() == 2


def test_fits_within_fits(threads):
    inner = model_of()
    model_of().fit(DATA, DATA[:, :1], verbose=0, callbacks=[Looks(lambda: inner.fit(DATA, DATA[:, :1], verbose=0))])


def test_exceptions_and_interrupts(threads):
    for error in (ValueError, KeyboardInterrupt):

        def broken(error=error):
            raise error

        with pytest.raises(error), blas.one_thread():
            assert threads() == 1
            with blas.one_thread():
                broken()
        with pytest.raises(error):
            model_of().fit(DATA, DATA[:, :1], verbose=0, callbacks=[Looks(broken)])


@pytest.mark.parametrize("function", [blas._enter, blas._leave])
def test_an_interrupt_at_any_line_of_the_change(threads, function):
    def interrupted(at):
        """Whether there was a line number `at` to be interrupted at."""
        lines = []

        def line(frame, event, arg):
            if event == "line" and frame.f_lineno not in lines:  # the end of `with` takes no interrupts
                lines.append(frame.f_lineno)
                if len(lines) == at:
                    raise KeyboardInterrupt
            return line

        before = sys.gettrace()
        sys.settrace(lambda frame, event, arg: line if frame.f_code is function.__code__ else None)
        try:
            with blas.one_thread():
                pass
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    at = 1
    while interrupted(at):
        assert threads() == 2 and not blas._INSIDE and blas._BEFORE is None
        at += 1
    assert at > 4


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
@pytest.mark.usefixtures("interrupts_as_in_a_terminal")
def test_an_interrupt_waits_for_the_pieces_that_run(threads):
    begun, ended = [], []
    pool = pieces._Pool()
    pool._helpers = 1
    threading.Thread(target=pool._serve, daemon=True).start()
    at_work = threading.Event()

    def compute(number):
        begun.append(number)
        if threading.current_thread() is threading.main_thread():
            at_work.wait(5)
            signal.raise_signal(signal.SIGINT)
        else:
            at_work.set()
            threading.Event().wait(0.2)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt), blas.one_thread():
        pool.run(compute, 8)
    assert len(begun) - len(ended) == 1 and len(ended) < 8


def test_an_interrupt_while_the_work_is_given_out():
    begun, ended = [], []
    pool = pieces._Pool()
    pool._helpers = 2
    at_work = threading.Event()

    class Queue(pieces.SimpleQueue):
        def put(self, work):
            super().put(work)
            at_work.wait(5)
            raise KeyboardInterrupt

    pool._queue = Queue()
    threading.Thread(target=pool._serve, daemon=True).start()

    def compute(number):
        begun.append(number)
        at_work.set()
        threading.Event().wait(0.2)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        pool.run(compute, 8)
    assert begun == ended and len(ended) < 8


@pytest.mark.parametrize("possible", [0, 1])
def test_threads_that_cannot_start_are_done_without(possible, monkeypatch):
    start, started = threading.Thread.start, []

    def limited(thread):
        if len(started) == possible:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    monkeypatch.setattr(blas, "cores", lambda: 4)
    pool, done = pieces._Pool(), []
    for _ in range(2):
        pool.run(done.append, 8)
    assert sorted(done) == sorted([*range(8)] * 2) and len(started) == pool._helpers == possible


def test_an_error_in_a_piece_is_raised():
    pool = pieces._Pool()

    def compute(number):
        if number == 3:
            raise ValueError("of a piece")

    for helpers in (0, 1):
        pool._helpers = helpers
        if helpers:
            threading.Thread(target=pool._serve, daemon=True).start()
        with pytest.raises(ValueError, match="of a piece"):
            pool.run(compute, 8)
        pool.run(lambda number: None, 8)


def test_two_threads_train(threads):
    lamella.utils.set_random_seed(0)
    models = [model_of() for _ in range(2)]
    for model in models[1:]:
        model.set_weights(models[0].get_weights())
    workers = [
        threading.Thread(target=m.fit, args=(DATA, DATA[:, :1]), kwargs={"verbose": 0, "epochs": 3, "shuffle": False})
        for m in models
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_pool_and_a_blas_of_its_own(run_python):
    code = """
import os, sys, numpy as np
from lamella_numpy import blas, pieces
x = np.ones((512, 512), "float32")
out = np.empty_like(x)
get, put = blas.control()
put(2)
pieces.product(x, x, out)
with blas.one_thread():
    child = os.fork()
    if child == 0:
        assert get() == 2 and not blas._INSIDE
        out[...] = 0
        with blas.one_thread():
            pieces.product(x, x, out)
        os._exit(0 if (out == 512).all() and get() == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
assert get() == 2
print("done")
"""
    done = run_python(code=code, environment={"LAMELLA_THREADS": "2"})
    assert "done" in done.stdout


def test_an_unknown_blas_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "control", lambda: None)
    with blas.one_thread():
        pass
    assert ".dot(" in BACKEND.compile(program_of(512)).source
    assert not pieces.is_cut((512, 512), (512, 512))


def test_threadpoolctl_finds_the_same_blas(threads):
    pytest.importorskip("threadpoolctl")
    found = blas._found()
    if found is None:
        pytest.skip("several libraries, or none")
    assert found[0]() == 2 == threads() and sys.modules["threadpoolctl"]
