"""`LAMELLA_JAX_CACHE`: off by default; set, a second process finds what the first has compiled."""

import os
import subprocess
import sys

import pytest

jax = pytest.importorskip("jax")
cache = pytest.importorskip("lamella_jax.cache")

SCRIPT = """
import lamella, numpy as np
from jax import monitoring
seen = []
monitoring.register_event_listener(lambda name, **_: seen.append(name))
model = lamella.Sequential([lamella.layers.Input((4,)), lamella.layers.Dense(3, "relu"), lamella.layers.Dense(1)])
model.compile("adam", "mse", backend="jax")
model.fit(np.ones((8, 4), "float32"), np.ones((8, 1), "float32"), verbose=0)
hits, misses = (seen.count("/jax/compilation_cache/cache_" + what) for what in ("hits", "misses"))
print(hits, misses)
"""


def counts(directory):
    environment = {**os.environ, "LAMELLA_JAX_CACHE": str(directory)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(n) for n in done.stdout.split()]


def test_a_second_process_compiles_nothing(tmp_path):
    assert counts(tmp_path)[1] > 0
    (place,) = tmp_path.iterdir()
    assert place.name.startswith("jaxlib-") and any(place.iterdir())
    hits, misses = counts(tmp_path)
    assert hits > 0 and misses == 0


def test_it_is_off_by_default(monkeypatch):
    monkeypatch.delenv("LAMELLA_JAX_CACHE", raising=False)
    before = jax.config.jax_compilation_cache_dir
    cache.use_what_is_asked_for()
    assert jax.config.jax_compilation_cache_dir == before


def test_the_directory_is_for_one_release_and_one_processor(tmp_path, monkeypatch):
    updated = {}
    monkeypatch.setattr(jax.config, "update", updated.__setitem__)
    place = cache.use(tmp_path)
    assert updated["jax_compilation_cache_dir"] == str(place)
    monkeypatch.setattr(cache, "processor", lambda: "another")
    assert cache.use(tmp_path) != place
