"""The reader of HDF5 files gives what h5py gives, and says so of every structure that Keras's files have."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("h5py")

import io

import h5py

import hdf5_files as files
from lamella.files import hdf5
from lamella.saving import FormatError

MODELS = sorted(path.name for path in files.RECORDED.glob("*.h5"))


def same_value(ours, theirs):
    if isinstance(theirs, h5py.Empty):
        return ours is None
    if isinstance(theirs, str | bytes):
        return ours == (theirs if isinstance(theirs, str) else theirs.decode())
    if isinstance(theirs, np.ndarray) and theirs.dtype.kind in "OS":
        return ours == [t if isinstance(t, str) else t.decode() for t in theirs.tolist()]
    theirs = np.asarray(theirs)
    native = theirs.dtype.newbyteorder("=")
    return ours.dtype == native and ours.shape == theirs.shape and ours.tobytes() == theirs.astype(native).tobytes()


def compare(ours, theirs, path=""):
    """Check a group against h5py's, and return how many attributes and members were compared."""
    assert isinstance(ours, hdf5.Group), path
    compared = compare_attributes(ours, theirs, path)
    assert list(ours.members) == sorted(theirs), path
    for name, member in ours.members.items():
        inner = f"{path}/{name}" if path else name
        assert member.path == inner
        if isinstance(theirs[name], h5py.Group):
            compared += 1 + compare(member, theirs[name], inner)
            continue
        array = member.read()
        assert (member.shape, member.dtype, member.nbytes) == (array.shape, array.dtype, array.nbytes), inner
        expected = theirs[name][...]
        native = expected.dtype.newbyteorder("=")
        assert (array.shape, array.dtype) == (expected.shape, native), inner
        assert array.tobytes() == expected.astype(native).tobytes(), inner
        compared += 1 + compare_attributes(member, theirs[name], inner)
    return compared


def compare_attributes(ours, theirs, path):
    assert list(ours.attrs) == sorted(theirs.attrs), path
    for name, value in theirs.attrs.items():
        assert same_value(ours.attrs[name], value), (path, name)
    return len(ours.attrs)


def compare_bytes(data):
    with h5py.File(io.BytesIO(data)) as theirs:
        return compare(hdf5.read(data, name="file.h5"), theirs)


CASES = [(name, version) for name in files.SOUND for version in files.VERSIONS]
CASES += [(name, version) for name in files.SOUND_NEW if name not in files.SOUND for version in files.VERSIONS[1:]]
CASES += [("very_many_members", "earliest")]


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_file_reads_as_h5py_reads_it(name, version):
    assert compare_bytes(files.made(files.SOUND_NEW[name], version)) > 0


@pytest.mark.parametrize("name", ["attributes", "many_members", "many_attributes"])
def test_the_order_of_creation_may_be_kept_too(name):
    for version in ("earliest", "latest"):
        assert compare_bytes(files.made(files.SOUND[name], version, ordered=True)) > 0


@pytest.mark.parametrize("name", MODELS)
def test_a_file_of_keras_reads_as_h5py_reads_it(name):
    assert compare_bytes((files.RECORDED / name).read_bytes()) > 5


def test_the_weights_of_keras_stand_where_its_layout_says():
    tree = hdf5.read((files.RECORDED / "keras3.weights.h5").read_bytes(), name="keras3.weights.h5")
    kernel = tree["layers/conv2d/vars/0"]
    assert (kernel.shape, kernel.dtype, kernel.read().dtype) == ((3, 3, 1, 2), np.float32, np.float32)
    assert tree["layers/dense/vars"].attrs["name"] == "dense"
    assert tree["optimizer/vars/0"].read() == 1  # steps taken
    assert "layers/dense/vars/1" in tree and "layers/dense/vars/2" not in tree and "layers/dense/vars/1/0" not in tree


def test_bfloat16_comes_as_two_raw_bytes():
    tree = hdf5.read((files.RECORDED / "keras3_bfloat16.weights.h5").read_bytes(), name="b")
    dataset = tree["layers/dense/vars/0"]
    assert (dataset.dtype, dataset.attrs) == (np.dtype("V2"), {"dtype": "bfloat16"})
    values = (dataset.read().view("u2").astype("u4") << 16).view("f4")
    assert values.shape == (4, 2) and 0 < np.abs(values).max() < 2  # drawn by Glorot's rule


def test_the_json_of_a_whole_model_is_a_string():
    tree = hdf5.read((files.RECORDED / "keras3_legacy.h5").read_bytes(), name="k")
    assert json.loads(tree.attrs["model_config"])["class_name"] == "Sequential"
    assert tree["model_weights"].attrs["layer_names"] == ["conv2d", "batch_normalization", "flatten", "dense"]
    assert tree["model_weights/dense"].attrs["weight_names"] == ["small/dense/kernel", "small/dense/bias"]
    assert tree["model_weights/dense/small/dense/kernel"].shape == (32, 3)


def test_an_array_is_a_copy_of_its_own():
    data = bytearray(files.made(files.datasets))
    dataset = hdf5.read(memoryview(data), name="x")["scalar"]
    first = dataset.read()
    first += 1
    data[:] = bytes(len(data))
    assert first == 2.5 and dataset.read() == 0


def test_reading_needs_neither_h5py_nor_anything_but_numpy(run_python):
    path = files.RECORDED / "keras3.weights.h5"
    code = (
        "import sys; from pathlib import Path; from lamella.files import hdf5\n"
        f"print(hdf5.read(Path({str(path)!r}).read_bytes(), name='k')['layers/dense/vars/0'].read().shape)\n"
        "print('h5py' in sys.modules)"
    )
    assert run_python(code=code).stdout.split("\n")[:2] == ["(32, 3)", "False"]


def test_importing_lamella_does_not_import_the_reader(run_python):
    assert run_python(code="import sys, lamella; print('lamella.files.hdf5' in sys.modules)").stdout.strip() == "False"


def test_a_missing_member_is_a_key_error():
    tree = hdf5.read(files.made(files.legacy), name="x")
    with pytest.raises(KeyError, match="nowhere"):
        tree["nowhere"]
    assert 3 not in tree and "model_weights/dense_1" in tree


def test_the_message_names_the_file_the_place_and_the_fault():
    data = files.made(lambda f: f.create_dataset("layers/dense/vars/0", data=np.zeros(2, "i4,f4")))
    with pytest.raises(
        FormatError, match=r"^model\.weights\.h5: layers/dense/vars/0: values of the type compound .8 bytes"
    ):
        hdf5.read(data, name="model.weights.h5")
    data = files.made(lambda f: f.create_group("a").attrs.create("b", np.zeros(2, "i4,f4")))
    with pytest.raises(FormatError, match="attribute 'b' of a: values of the type compound"):
        hdf5.read(data, name="model.h5")
