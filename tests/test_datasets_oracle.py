"""What the loaders of Keras and of lamella make of the same files is the same, bit by bit."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from conftest import importable
from lamella import datasets
from lamella.datasets import sources
from lamella.utils import get_file
from small_data_sets import archive, batch, small_files

KERAS = """
import importlib, json, pickle, sys, warnings
from pathlib import Path

folder, calls, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
warnings.simplefilter("ignore")
found = []
for name, words in calls:
    module = importlib.import_module(f"keras.src.datasets.{name}")

    def get_file(fname, origin=None, extract=False, cache_subdir="", **_):
        return str(Path(folder, fname))

    module.get_file = get_file
    found.append(module.load_data(**words))
Path(out).write_bytes(pickle.dumps(found))
"""

CALLS = [
    ("mnist", {}),
    ("fashion_mnist", {}),
    ("cifar100", {}),
    ("cifar100", {"label_mode": "coarse"}),
    ("imdb", {}),
    ("imdb", {"num_words": 700, "skip_top": 20, "maxlen": 20, "seed": 5}),
    ("imdb", {"start_char": None, "oov_char": None, "index_from": 0, "num_words": 900}),
    ("imdb", {"start_char": None, "index_from": 7}),
    ("reuters", {}),
    ("reuters", {"num_words": 700, "skip_top": 20, "maxlen": 20, "seed": 5, "test_split": 0.33}),
    ("reuters", {"start_char": None, "oov_char": None, "index_from": None}),
    ("california_housing", {}),
    ("california_housing", {"version": "small", "test_split": 0.3, "seed": 7}),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.0, "seed": 0}),
]


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
@pytest.mark.filterwarnings("ignore:the Boston housing data")
def test_the_arrays_are_those_of_keras(tmp_path, monkeypatch, run_python):
    """Both read the same files; CIFAR-10 in its full size, which Keras requires."""
    folder = tmp_path / "datasets"
    generator = np.random.default_rng(1)
    rows = batch(generator, 10_000, "labels")
    full = archive("cifar-10-batches-py", {**{f"data_batch_{n}": rows for n in range(1, 6)}, "test_batch": rows})
    for name, data in {**small_files(), "cifar-10-batches-py-target": full}.items():
        place = folder / ("fashion-mnist" if name.endswith(".gz") else "") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("target"):
            with tarfile.open(fileobj=io.BytesIO(data)) as file:
                for member in file:
                    (place / member.name).parent.mkdir(parents=True, exist_ok=True)
                    (place / member.name).write_bytes(file.extractfile(member).read())
            place = place.with_name(f"{name}_archive")
        place.write_bytes(data)
        if name.endswith(".gz"):
            (folder / name).write_bytes(data)
        address = sources.SOURCES[name].address
        monkeypatch.setitem(sources.SOURCES, name, sources.Source(address))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    calls = [*CALLS, ("cifar10", {})]
    out = tmp_path / "keras.pickle"
    run_python(folder, json.dumps(calls), out, code=KERAS, environment={"KERAS_BACKEND": "jax"})
    for (name, kwargs), told in zip(calls, pickle.loads(out.read_bytes()), strict=True):
        found = getattr(datasets, name).load_data(**kwargs)
        for part, told_part in zip(found, told, strict=True):
            for array, told_array in zip(part, told_part, strict=True):
                assert array.dtype == told_array.dtype, name
                assert array.shape == told_array.shape, name
                assert (
                    array.tolist() == told_array.tolist() if array.dtype == object else (array == told_array).all()
                ), name


GET_FILE = """
import json, sys
from pathlib import Path
from keras.utils import get_file

found = []
for number, words in enumerate(json.loads(sys.argv[2])):
    cache = Path(sys.argv[1], str(number))
    cache.mkdir(parents=True)
    path = Path(get_file(**words, cache_dir=str(cache)))
    found.append([path.relative_to(cache).as_posix(), *sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*"))])
Path(sys.argv[3]).write_text(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
def test_files_and_folders_of_downloads_are_named_as_in_keras(tmp_path, run_python):
    whole = archive("top", {"a.txt": b"a", "b/c.txt": b"c"})
    (tmp_path / "all.tar.gz").write_bytes(whole)
    digest = hashlib.md5(whole).hexdigest()
    calls = [
        {"origin": (tmp_path / "all.tar.gz").as_uri(), **kwargs}
        for kwargs in (
            {},
            {"fname": "x"},
            {"fname": "x.y.z", "cache_subdir": "models"},
            {"extract": True},
            {"fname": "x", "extract": True, "file_hash": digest},
            {"fname": "x.y.z", "extract": True, "archive_format": "tar"},
            {"fname": "x.tar.gz", "untar": True, "md5_hash": digest},
            {"fname": "x", "untar": True, "archive_format": ["zip"]},
            {"fname": ".x", "extract": True},
        )
    ]
    out = tmp_path / "told.json"
    run_python(tmp_path / "keras", json.dumps(calls), out, code=GET_FILE, environment={"KERAS_BACKEND": "jax"})
    for number, (kwargs, told) in enumerate(zip(calls, json.loads(out.read_text()), strict=True)):
        cache = tmp_path / "lamella" / str(number)
        path = Path(get_file(**kwargs, cache_dir=cache)).relative_to(cache).as_posix()
        assert [path, *sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*"))] == told, kwargs


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
def test_addresses_and_hashes_are_those_of_keras():
    folder = Path(importlib.util.find_spec("keras").origin).parent / "src" / "datasets"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for name, source in sources.SOURCES.items():
        place, _, file = source.address.rpartition("/")
        assert {f'"{name}"' in text, f"{place}/" in text, file in text, (source.hash or name) in text} == {True}, name
