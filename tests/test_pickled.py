"""Pickles of data are read as `pickle` reads them; everything else in a pickle is refused, and nothing in it runs."""

from __future__ import annotations

import copy
import io
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest

from lamella.errors import FormatError
from lamella.files import npz, pickled

PROTOCOLS = [2, 3, 4, 5]


def batch():
    """A pickle of the kind that Python 2 wrote: a batch of CIFAR with two images of three bytes."""
    text = b"training batch 1 of 5"
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U"
        + bytes([len(text)])
        + text
        + b"q\x03U\x06labelsq\x04]q\x05(K\x06K\tM\x00\x01e"
        b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t(K\x01K\x02K\x03"
        b"\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x06"
        b"\x00\x00\x00\x01\x02\x03\x04\x05\xfftbU\tfilenamesq\r]q\x0e(U\x05a.pngq\x0fh\x0feu."
    )


def test_a_batch_of_python_2_is_read():
    found = pickled.read(batch(), "batch")
    told = pickle.loads(batch(), encoding="bytes")
    assert list(found) == list(told) == [b"batch_label", b"labels", b"data", b"filenames"]
    np.testing.assert_array_equal(found.pop(b"data"), [[1, 2, 3], [4, 5, 255]], strict=False)
    assert found == {key: value for key, value in told.items() if key != b"data"}


PLAIN = {
    "integers": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**62, -(2**63)],
    "a dict": {"a": [1, {"b": (True, None)}], 3: "é", "": []},
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "long texts": ["x" * 300, "y" * 300],
    "many": list(range(3000)),
    "one": 5,
    "empty": {},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_are_read(name, protocol):
    found = pickled.read(pickle.dumps(PLAIN[name], protocol), name)
    assert found == PLAIN[name]
    assert repr(found) == repr(PLAIN[name])


@pytest.mark.parametrize("protocol", [3, 4])
def test_bytes_are_read(protocol):
    values = [b"a", b"x" * 300, "a"]
    assert pickled.read(pickle.dumps(values, protocol), "bytes") == values


def ragged(*lists):
    return np.fromiter(lists, object, len(lists))


ARRAYS = {
    "bytes": np.arange(6, dtype="u1").reshape(2, 3),
    "big-endian floats": np.arange(6, dtype=">f4"),
    "by columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "truths": np.array([True, False]),
    "nothing": np.zeros((0, 3)),
    "one number": np.array(3.5),
    "lists": ragged([1, 2], [], [3]),
    "a table of lists": np.asfortranarray(ragged([1], [2], [3], [4]).reshape(2, 2)),
}


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read(name, protocol):
    array = ARRAYS[name]
    found = pickled.read(pickle.dumps({"first": array, "second": copy.deepcopy(array)}, protocol), name)
    for got in found.values():
        assert (got.dtype, got.shape) == (array.dtype, array.shape)
        assert got.tolist() == array.tolist()


class Runs:
    def __init__(self, function, *arguments):
        self.told = function, arguments

    def __reduce__(self):
        return self.told


def head(*opcodes):
    return b"\x80\x04" + b"".join(opcodes)


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
DTYPE = b"cnumpy\ndtype\nU\x02%bK\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array_of(shape, dtype=b"i4", values=b"C\x04abcd", fortran=b"\x89"):
    return head(ARRAY, b"(K\x01", shape, DTYPE % dtype, fortran, values, b"tb.")


HOSTILE = {
    "eval": (
        pickle.dumps(Runs(eval, "1")),
        r"it names 'builtins\.eval', and no file may name code to run \(byte \d+ of",
    ),
    "os.system": (b"\x80\x02cos\nsystem\nU\x02ls\x85R.", r"it names 'os\.system'"),
    "a name by parts": (head(b"\x8c\x02os\x8c\x06system\x93."), r"it names 'os\.system'"),
    "codecs": (pickle.dumps([b"a"], 2), r"it names '_codecs\.encode'"),
    "numpy's loader": (head(b"cnumpy\nload\n."), r"it names 'numpy\.load'"),
    "a name without an end": (head(b"c" + b"x" * 500), "a name in it does not end"),
    "a float": (pickle.dumps(1.5), "it holds the opcode b'G'"),
    "a set": (pickle.dumps({1}), r"it holds the opcode b'\\x8f'"),
    "an object": (pickle.dumps(Runs(Runs, 1)), "it names"),
    "NEWOBJ": (head(b"cnumpy\nndarray\n)\x81."), r"it holds the opcode b'\\x81'"),
    "INST": (b"(ios\nsystem\n.", "it holds the opcode b'i'"),
    "a persistent id": (b"Pabc\n.", "it holds the opcode b'P'"),
    "an extension": (head(b"\x82\x01."), "it holds the opcode"),
    "a text of Python 1": (b"S'a'\n.", "it holds the opcode b'S'"),
    "protocol 6": (b"\x80\x06N.", "it is of protocol 6"),
    "a name alone": (head(b"cnumpy\nndarray\n."), "an array or a dtype that is not finished"),
    "a name in a list": (head(b"]cnumpy\nndarray\na."), "an array or a dtype that is not finished"),
    "an array without values": (head(ARRAY, b"."), "an array or a dtype that is not finished"),
    "a call of a class": (head(b"cnumpy\nndarray\n)R."), "it calls 'ndarray' with arguments that make no array"),
    "a call of a text": (head(b"\x8c\x01a)R."), "it has a str where"),
    "a dtype of objects with a name": (head(b"cnumpy\ndtype\n\x8c\x02V8\x85R."), "neither numbers nor lists"),
    "a dtype of fields": (head(DTYPE % b"i4", b"(K\x03U\x01<N(U\x01at}NNtb."), "a dtype of several fields"),
    "a dtype of arrays": (
        head(DTYPE % b"i4", b"(K\x03U\x01<", ARRAY, b"(K\x01K\x02\x85", DTYPE % b"u1", b"\x89C\x02abtbNNtb."),
        "a dtype of several fields",
    ),
    "a shape that is too large": (array_of(b"M\xff\xffM\xff\xff\x86"), "with more or fewer values"),
    "a negative shape": (array_of(b"J\xff\xff\xff\xff\x85"), "an array without a shape"),
    "a shape of 0 and more": (
        array_of(b"K\x00\x8a\x08" + b"\xff" * 7 + b"\x7f\x86", values=b"C\x00"),
        "array of shape",
    ),
    "33 axes": (array_of(b"(" + b"K\x01" * 33 + b"t"), "an array without a shape"),
    "texts as values": (array_of(b"K\x01\x85", values=b"\x8c\x04abcd"), "with more or fewer values"),
    "objects for numbers": (array_of(b"K\x01\x85", values=b"]K\x01a"), "with more or fewer values"),
    "bytes for objects": (array_of(b"K\x01\x85", b"O8", b"C\x08abcdefgh"), "with more or fewer values"),
    "a state that is not a tuple": (head(ARRAY, b"]b."), "it has a list where a tuple belongs"),
    "a list twice": (pickle.dumps([[1]] * 2), "or that holds others and is in another place already"),
    "a list in itself": (head(b"]\x94h\x00a."), "that holds others and is in another place"),
    "an array in itself": (head(ARRAY, b"\x94(K\x01K\x01\x85", DTYPE % b"O8", b"\x89]h\x00atb."), "in another place"),
    "a dict as a key": (head(b"}}K\x01s."), "the keys of a dict are not texts or integers"),
    "a tuple as a key": (head(b"}", b")" + b"\x85" * 10**5, b"K\x01s."), "the keys of a dict are not texts"),
    "a key alone": (head(b"}(K\x01u."), "the keys of a dict"),
    "deep lists": (head(b"]" * 10**5, b"a" * (10**5 - 1), b"."), "nested deeper than 8 levels"),
    "deep tuples": (head(b")", b"\x85" * 10**5, b"."), "nested deeper than 8 levels"),
    "deep marks": (b"(" * 10**5, "nested deeper than 8 levels"),
    "an integer of 2040 bits": (head(b"\x8a\xff" + b"\x01" * 255 + b"."), "more than 64 bits"),
    "not UTF-8": (head(b"\x8c\x01\xff."), "a text in it is not UTF-8"),
    "a text of exabytes": (head(b"\x8d" + struct.pack("<Q", 2**60) + b"a."), r"it is cut short"),
    "a frame of exabytes": (head(b"\x95" + struct.pack("<Q", 2**60) + b"N."), "it is cut short"),
    "no end": (head(b"N"), "it is cut short"),
    "half an integer": (head(b"J\x01"), "it is cut short"),
    "nothing": (b"", "it is cut short"),
    "an empty stack": (head(b"."), "more or less than one value"),
    "two values": (head(b"NN."), "more or less than one value"),
    "an open mark": (head(b"N(."), "more or less than one value"),
    "a tail": (head(b"N.N"), "1 bytes follow its end"),
    "no mark": (head(b"]e."), "a mark is missing"),
    "no value": (head(b"\x85."), "a value is missing"),
    "no value to note": (head(b"\x94."), "a value is missing"),
    "nothing noted": (head(b"h\x00."), "it refers to a value that is not there"),
    "no list": (head(b"}K\x01a."), "it has a dict where a list belongs"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_is_refused(name):
    data, told = HOSTILE[name]
    with pytest.raises(FormatError, match=told) as caught:
        pickled.read(data, "file")
    assert str(caught.value).startswith("file: ")
    assert len(str(caught.value)) < 250


def test_nothing_is_imported_or_called(monkeypatch):
    monkeypatch.setattr("builtins.__import__", lambda *_, **__: pytest.fail("something was imported"))
    pickled.read(batch(), "batch")


def test_numbers_of_values_are_limited(monkeypatch):
    monkeypatch.setattr(pickled, "_MOST_INTEGERS", 100)
    monkeypatch.setattr(pickled, "_MOST_OPCODES", 50)
    assert len(pickled.read(pickle.dumps(list(range(100))), "x")) == 100
    with pytest.raises(FormatError, match="more than 100 integers"):
        pickled.read(pickle.dumps(list(range(101))), "x")
    with pytest.raises(FormatError, match="more than 50 values"):
        pickled.read(pickle.dumps([""] * 60), "x")


def test_work_and_memory_follow_the_size():
    """Four times the values take about four times as long, with room for noise; numbers take memory as lists do."""

    def seconds(count):
        data = pickle.dumps(ragged(*[list(range(n, n + 50)) for n in range(count)]), 4)
        begun = time.process_time()
        pickled.read(data, "x")
        return time.process_time() - begun

    seconds(100)
    assert seconds(4000) < 40 * max(seconds(1000), 1e-3)
    data = pickle.dumps(ARRAYS["bytes"].repeat(10**6, axis=0), 4)
    tracemalloc.start()
    try:
        pickled.read(data, "x")
        assert tracemalloc.get_traced_memory()[1] < 1.1 * len(data) + 2**20
    finally:
        tracemalloc.stop()


def saved(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_arrays_of_an_archive_are_those_of_numpy(tmp_path):
    for save in (np.savez, np.savez_compressed):
        given = {name.replace(" ", "_"): array for name, array in ARRAYS.items()}
        save(tmp_path / "a.npz", **given)
        for name, array in zip(given, npz.read_npz(tmp_path / "a.npz", *given), strict=True):
            assert (array.dtype, array.shape) == (given[name].dtype, given[name].shape)
            assert array.tolist() == given[name].tolist()
            assert array.flags.writeable or array.dtype.hasobject


def test_what_an_archive_may_not_hold_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz", x=np.arange(1000), t=np.array(["text"]), c=np.zeros(3, complex), o=ragged(1.5))
    for name, told in (
        ("y", "holds no array 'y'; it holds 'x.npy', 't.npy'"),
        ("t", "'t' is described as <U4"),
        ("c", "complex128"),
        ("o", "'o': it holds the opcode b'G'"),
    ):
        with pytest.raises(FormatError, match=told):
            npz.read_npz(path, name)
    data = path.read_bytes()
    for bad in (data[:-30], data[:200] + b"\xff\xff" + data[202:], b"hello", b""):
        (tmp_path / "b.npz").write_bytes(bad)
        with pytest.raises(FormatError, match=r"b\.npz' is not an \.npz file, or it is damaged or cut short"):
            npz.read_npz(tmp_path / "b.npz", "x")
    stored = io.BytesIO()
    np.savez(stored, x=np.zeros(1000, np.uint8))
    size = struct.pack("<2I", 1128, 1128)
    assert stored.getvalue().count(size) in (
        1,
        2,
    )  # in the directory, and before the member with some releases of Python
    (tmp_path / "b.npz").write_bytes(stored.getvalue().replace(size, struct.pack("<2I", 2**29, 2**29)))
    with pytest.raises(FormatError, match="'x' claims 536,870,912 bytes"):
        npz.read_npz(tmp_path / "b.npz", "x")
    with pytest.raises(FileNotFoundError):
        npz.read_npz(tmp_path / "c.npz", "x")
