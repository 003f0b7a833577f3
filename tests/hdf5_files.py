"""Sound HDF5 files for the tests, with every structure that is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).parent / "oracle" / "data" / "hdf5"
# "earliest" is what h5py writes by default
VERSIONS = ("earliest", "v108", "latest")
DTYPES = ("f2", "f4", "f8", ">f4", ">f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", "?", "S5", "V2")


def made(fill: Callable, version: str = "earliest", *, ordered: bool = False) -> bytes:
    """The bytes of a file that `fill(file)` fills."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=version, track_order=ordered) as file:
        fill(file)
    return buffer.getvalue()


def attributes(file):
    file.attrs["text"] = "größe 😀 " * 20
    file.attrs["bytes"] = np.bytes_(b"abc")
    file.attrs["names"] = ["kernel", "", "bias"]
    file.attrs["fixed names"] = np.array([b"kernel", b"", b"bias"])
    file.attrs["none"] = []
    file.attrs["empty"] = ""
    file.attrs["null"] = np.array(0).dtype.type(0)
    file.attrs["flag"] = True
    file.attrs["flags"] = np.array([[True], [False]])
    for dtype in DTYPES[:-2]:
        file.attrs[f"scalar {dtype}"] = np.array(1, dtype)
        file.attrs[f"array {dtype}"] = np.ones((2, 3), dtype)


def null_dataspace(file):
    import h5py

    file.attrs["nothing"] = h5py.Empty("f4")


def datasets(file):
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        values = rng.integers(0, 2, (3, 4)).astype("u1")
        array = values.astype(dtype) if dtype != "V2" else np.repeat(values, 2).view("V2").reshape(3, 4)
        file.create_dataset(f"by dtype/{dtype}", data=array)
    file["scalar"] = np.float32(1.5)
    file["no rows"] = np.zeros((0, 5), "f4")
    file["cube"] = rng.random((2, 3, 4))
    file["cube"].attrs["dtype"] = "float64"


def compact(file):
    import h5py

    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3,))
    dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F64LE, space, properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1.0, 2.0, 3.0]))


def many_members(file):
    for i in range(700):
        file.create_group(f"layers/{'long_' * 8}{i * 7919 % 10_007}")
    for i in range(12):
        file[f"vars/{i}"] = np.arange(i)


def very_many_members(file):
    # more than fills the direct blocks of a heap, and trees of three levels
    for i in range(3000):
        file.create_group(f"{'x' * 250}{i * 7919 % 10_007}")


def many_attributes(file):
    for i in range(60):
        file.attrs[f"attribute {i}"] = np.arange(i)


def long_attributes(file):
    # Keras splits what does not fit into 64 KB
    file.attrs["layer_names0"] = np.array([b"x" * 60] * 1000)
    file.attrs["layer_names1"] = np.array([b"y" * 60] * 900)
    file.attrs["model_config"] = "{" + " " * 200_000 + "}"


def huge_attributes(file):
    file.attrs["huge"] = np.arange(50_000)
    file.attrs["large"] = np.arange(1000)
    for i in range(10):
        file.attrs[f"{i}"] = i


def deep(file):
    file["/".join(["group"] * 40) + "/x"] = np.arange(10.0)


def legacy(file):
    """A whole model of Keras 2, and the names that Keras 1 gave to weights."""
    file.attrs["backend"] = np.bytes_(b"tensorflow")
    file.attrs["keras_version"] = np.bytes_(b"2.2.4-tf")
    file.attrs["model_config"] = np.bytes_(b'{"class_name": "Sequential", "config": {"layers": []}}')
    group = file.create_group("model_weights")
    group.attrs["layer_names"] = [b"dense_1", b"dropout_1"]
    dense = group.create_group("dense_1")
    dense.attrs["weight_names"] = [b"dense_1/kernel:0", b"dense_1_W"]
    dense["dense_1/kernel:0"] = np.ones((3, 2), "f4")
    dense["dense_1_W"] = np.ones((3, 2), "f4")
    group.create_group("dropout_1").attrs["weight_names"] = []


SOUND = {
    f.__name__: f
    for f in (
        attributes,
        null_dataspace,
        datasets,
        compact,
        many_members,
        many_attributes,
        long_attributes,
        deep,
        legacy,
    )
}
# an attribute of more than 64 KB needs newer structures
SOUND_NEW = SOUND | {"huge_attributes": huge_attributes, "very_many_members": very_many_members}


def small_seeds() -> dict[str, bytes]:
    """Small sound files, to be mutated: what Keras wrote, and each structure in the fewest bytes."""

    def few(file):
        for i in range(12):
            file.attrs[f"a{i}"] = i
        file.attrs["names"] = ["kernel", "bias"]
        for i in range(20):
            file.create_group(f"layers/dense_{i}")
        file["vars/0"] = np.ones((2, 3), "f4")
        file["vars/1"] = np.ones(3, "?")
        file["vars/2"] = np.zeros((2, 2), "V2")

    def blocks(file):
        # a heap of several blocks, a tree of two levels, and an attribute with a place of its own
        for i in range(80):
            file.create_group(f"{'x' * 20}{i}")
        file.attrs["huge"] = np.zeros(5000, "u1")
        for i in range(9):
            file.attrs[f"a{i}"] = i

    seeds = {path.name: path.read_bytes() for path in sorted(RECORDED.glob("*.h5"))}
    for version in VERSIONS:
        for fill in (few, attributes, compact, legacy):
            seeds[f"{fill.__name__} {version}"] = made(fill, version)
    seeds["blocks latest"] = made(blocks, "latest")
    seeds["few latest ordered"] = made(few, "latest", ordered=True)
    return seeds
