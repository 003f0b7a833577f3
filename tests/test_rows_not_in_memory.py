"""Rows that are not in memory, or not dense: mapped files, sparse matrices, rows that the device has no room for."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import lamella
from lamella.layers import Dense, Input
from lamella.training import arrays, batches, sources
from test_sources import X, Y, assert_same, model_of, trained


@pytest.fixture
def mapped(tmp_path):
    """The rows in files, mapped into memory; float64, as people store them."""
    made = []
    for name, values in (("x", X), ("y", Y)):
        path = tmp_path / f"{name}.npy"
        np.save(path, values.astype("float64"))
        made.append(np.load(path, mmap_mode="r"))
    return made


@pytest.mark.parametrize("shuffle", [False, True])
def test_mapped_rows_train_as_those_in_memory(shuffle, mapped, backend):
    kwargs = {"shuffle": shuffle, "batch_size": 7, "validation_split": 0.25, "epochs": 3}
    assert_same(trained(*mapped, **kwargs), trained(X, Y, **kwargs))
    assert_same(trained(mapped[0], Y, **kwargs), trained(X, Y, **kwargs))
    model = model_of()
    np.testing.assert_allclose(model.predict(mapped[0], verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        model.evaluate(*mapped, verbose=0, steps=1), model.evaluate(X[:32], Y[:32], verbose=0), rtol=1e-5
    )
    assert model.predict(mapped[0], batch_size=7, steps=2, verbose=0).shape == (14, 1)
    assert not [t for t in threading.enumerate() if t.name == "lamella-ahead"]


def test_mapped_labels_are_checked_when_they_are_read(tmp_path, both):
    np.save(tmp_path / "y.npy", np.array([0] * 30 + [7] * 10))
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    for name in both:
        model = model_of(Dense(2, activation="softmax"), loss="sparse_categorical_crossentropy", backend=name)
        with pytest.raises(ValueError, match="7"):
            model.fit(X, y, batch_size=8, shuffle=False, verbose=0)


def test_large_sparse_rows_are_made_dense_a_batch_at_a_time(monkeypatch, backend):
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse.csc_matrix(np.where(X > 0, X, 0))
    expected = trained(np.asarray(x.toarray()), Y, batch_size=8)
    monkeypatch.setattr(arrays, "DENSE_BYTES", 100)
    assert isinstance(arrays.as_rows(x, "x"), arrays.StoredRows)
    assert_same(trained(x, Y, batch_size=8), expected)


def test_rows_that_do_not_fit_the_device_are_streamed(monkeypatch):
    pytest.importorskip("jax")
    expected = trained(X, Y, batch_size=8, shuffle=True)
    with lamella.backend_scope("jax") as found:
        placed = trained(X, Y, batch_size=8, shuffle=True)
        monkeypatch.setattr(type(found), "room", lambda self: 100)
        opened = []
        original = sources.ReadBatches.__init__
        monkeypatch.setattr(sources.ReadBatches, "__init__", lambda self, *a: (opened.append(a), original(self, *a))[1])
        streamed = trained(X, Y, batch_size=8, shuffle=True)
    assert opened
    assert_same(streamed, placed)
    assert_same(streamed, expected)


def test_no_copy_of_a_mapped_file_is_made(tmp_path, backend):
    import tracemalloc

    path = tmp_path / "rows"
    rows = np.memmap(path, "float32", "w+", shape=(100_000, 128))  # 51 MB
    y = np.zeros((100_000, 1), "float32")
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([Input((128,)), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(rows[:64], y[:64], verbose=0)
    tracemalloc.start()
    try:
        model.fit(rows, y, batch_size=256, verbose=0)
        model.evaluate(rows, y, batch_size=256, verbose=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20, peak / 2**20


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
def test_four_gigabytes_train_in_less_than_half_a_gigabyte(shuffle, run_python, tmp_path, backend):
    code = f"""
import threading, time
import numpy as np
import lamella

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssAnon"))

rows = np.memmap({str(tmp_path / "rows")!r}, "float32", "w+", shape=(1 << 18, 1 << 12))
y = np.zeros((1 << 18, 1), "float32")
model = lamella.Sequential([lamella.Input((1 << 12,)), lamella.layers.Dense(1)])
model.compile("sgd", "mse", backend={backend!r})
model.fit(np.zeros((64, 1 << 12), "float32"), y[:64], verbose=0)
before, most, over = anonymous(), 0.0, threading.Event()

def watch():
    global most
    while not over.wait(0.02):
        most = max(most, anonymous())

thread = threading.Thread(target=watch)
thread.start()
model.fit(rows, y, batch_size=256, verbose=0, shuffle={shuffle})
over.set()
thread.join()
print(rows.nbytes >> 20, round(most - before))
"""
    size, grown = map(float, run_python(code=code).stdout.split())
    assert size == 4096 and grown < 500, (size, grown)


def test_the_thread_that_reads_ahead_ends_with_its_reader_and_passes_errors_on():
    def numbers():
        yield from range(5)
        raise OSError("disk")

    seen = []
    with pytest.raises(OSError, match="disk"):
        seen.extend(batches.ahead(numbers(), 2))
    reading = batches.ahead(iter(range(10_000)), 3)
    assert next(reading) == 0
    reading.close()
    assert not [t for t in threading.enumerate() if t.name == "lamella-ahead"]
