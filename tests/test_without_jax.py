"""Life without JAX: everything on NumPy, nothing heavy imported."""

from __future__ import annotations

import statistics

BLOCKED = "import sys\nsys.modules.update(dict.fromkeys(('jax', 'jaxlib', 'optax', 'rich', 'scipy', 'h5py')))\n"


def test_without_jax_the_default_backend_trains(run_python):
    code = """
import numpy as np
import lamella
from lamella.layers import LSTM, BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D

assert lamella.config.backend() == "numpy"
assert lamella.available_backends() == ["numpy"]
lamella.utils.set_random_seed(0)
x = np.random.rand(40, 8, 8, 1)
y = (x.mean((1, 2, 3)) > 0.5).astype(int)
model = lamella.Sequential(
    [Input((8, 8, 1)), Conv2D(4, 3, activation="relu"), BatchNormalization(), MaxPooling2D(), Flatten(), Dropout(0.1)]
)
model.add(Dense(2, activation="softmax"))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()
history = model.fit(x, y, epochs=12, batch_size=8, validation_split=0.2, verbose=2).history
assert history["loss"][-1] < history["loss"][0], history
assert model.predict(x, verbose=0).shape == (40, 2)
fn = model.lower()
fn(fn.params, fn.state, x, training=True, seed=1)
loss, gradients = model.value_and_grad(x, y)
assert list(gradients) == list(fn.params)
sequence = lamella.Sequential([Input((5, 2)), LSTM(3), Dense(1)])
sequence.compile("sgd", "mse")
sequence.fit(np.ones((8, 5, 2)), np.ones(8), verbose=0)
assert not any(name.partition(".")[0] in ("jax", "rich") and module for name, module in sys.modules.items())
"""
    out = run_python(code=BLOCKED + code).stdout
    assert "conv2d (Conv2D)" in out and "Epoch 12/12" in out


def test_importing_lamella_imports_numpy_and_the_standard_library_only(run_python):
    code = """
import sys
import lamella
loaded = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
assert not any(name.startswith("lamella_") for name in loaded), loaded
print(*sorted(name for name in loaded if not name.startswith(("_", "sitecustomize", "cython"))))
for heavy in ("zipfile", "importlib.metadata", "asyncio", "unittest", "multiprocessing", "sqlite3"):
    assert heavy not in sys.modules, heavy
"""
    loaded = run_python(code=code).stdout.split()
    assert set(loaded) <= {"lamella", "numpy"}, loaded


def test_what_importing_costs_is_measured(run_python, capsys):
    code = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import lamella
print(middle - start, time.perf_counter() - middle)
"""
    times = [tuple(map(float, run_python(code=code).stdout.split())) for _ in range(3)]
    numpy, own = (statistics.median(column) for column in zip(*times, strict=True))
    with capsys.disabled():
        print(
            f"\nimport numpy {1e3 * numpy:.0f} ms, then import lamella {1e3 * own:.0f} ms (at most 50 on a quiet machine)"
        )
    assert own > 0
