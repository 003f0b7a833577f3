"""HDF5 as it is written: what is read again is what was given, and the same tree gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import sys
import time

import numpy as np
import pytest

from lamella.files import hdf5
from lamella.files.hdf5.write import Array, Tree, to_bytes, write

pytest.importorskip("h5py")


def example():
    rng = np.random.default_rng(0)
    variables = {
        "0": rng.random((3, 2), dtype="float32"),
        "1": Array(np.zeros((2, 2), "V2"), {"dtype": "bfloat16"}),
        "2": np.int32(7),
        "3": np.array([True, False]),
        "4": np.zeros((0, 3)),
    }
    layers = {f"dense_{i}": Tree({"vars": Tree({"0": np.full(i, i)}, {"name": f"größe {i}"})}) for i in range(40)}
    attributes = {"names": ["kernel", "bias"], "none": [], "version": "3", "step": 4, "x" * 300: "long name"}
    return Tree({"vars": Tree(variables), "layers": Tree(layers)}, attributes)


def test_what_is_written_is_read_again():
    tree = hdf5.read(to_bytes(example()), name="written")
    attributes = {k: v for k, v in tree.attrs.items() if k != "none"}
    assert attributes == {"names": ["kernel", "bias"], "version": "3", "step": 4, "x" * 300: "long name"}
    assert tree.attrs["none"].shape == (0,)
    for name, node in example().members["vars"].members.items():
        expected = node.values if isinstance(node, Array) else np.asarray(node)
        found = tree["vars"].members[name]
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.read().tobytes() == expected.tobytes()
    assert tree["vars/1"].attrs == {"dtype": "bfloat16"}
    assert tree["layers/dense_39/vars"].attrs == {"name": "größe 39"} and len(tree["layers"].members) == 40


def test_the_order_in_which_a_tree_was_made_does_not_show():
    turned = Tree(dict(reversed(example().members.items())), dict(reversed(example().attrs.items())))
    assert to_bytes(turned) == to_bytes(example())


def test_another_process_at_another_time_writes_the_same_bytes(run_python, tmp_path):
    time.sleep(1.1)  # times in HDF5 are whole seconds
    path = tmp_path / "other.h5"
    code = (
        f"import sys, hashlib; sys.path.insert(0, {str(__file__).rpartition('/')[0]!r})\n"
        "import test_hdf5_write as t; from pathlib import Path\n"
        f"t.write({str(path)!r}, t.example())\n"
        f"print(hashlib.sha256(Path({str(path)!r}).read_bytes()).hexdigest())"
    )
    buffer = io.BytesIO()
    write(buffer, example())
    assert buffer.getvalue() == to_bytes(example())
    assert run_python(code=code).stdout.strip() == hashlib.sha256(to_bytes(example())).hexdigest()


@pytest.mark.parametrize("value", [["x"] * 5000, np.zeros(9000), np.array([b"x" * 70] * 1000)])
def test_an_attribute_that_does_not_fit_is_refused(value):
    with pytest.raises(ValueError, match=r"the root group: attribute 'a' has \d+ bytes.*split it"):
        to_bytes(Tree(attrs={"a": value}))


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", "a\0b"])
def test_a_name_that_is_a_path_is_refused(name):
    with pytest.raises(ValueError, match="may not be called"):
        to_bytes(Tree({"g": Tree({name: np.zeros(1)})}))


def test_without_h5py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install h5py"):
        to_bytes(Tree())
