"""Hostile HDF5 files are refused in words, in bounded time and memory; mutated ones never end in anything else."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("h5py")

import fuzz_files
import hdf5_files
import hdf5_hostile_files as files
from lamella.files import hdf5
from lamella.files.hdf5 import source
from lamella.saving import FormatError

EDITED = files.edited()


def refusal(data):
    """The message, after checking what it cost to come to it."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(FormatError) as caught:
            fuzz_files.read_whole(data)
        seconds, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * len(data) + fuzz_files.SPARE_BYTES
    assert seconds < fuzz_files.SECONDS + 1e-5 * len(data)
    return str(caught.value)


@pytest.mark.parametrize("version", hdf5_files.VERSIONS)
@pytest.mark.parametrize("name", files.REFUSED)
def test_what_weights_do_not_need_is_refused(name, version):
    fill, words = files.REFUSED[name]
    assert words in refusal(hdf5_files.made(fill, version))


@pytest.mark.parametrize("name", EDITED)
def test_a_file_that_lies_is_refused(name):
    data, words = EDITED[name]
    assert words in refusal(data)


def test_an_empty_array_of_giant_axes_costs_nothing():
    data = hdf5_files.made(lambda f: f.create_dataset("x", data=np.zeros((0, 999), "f4")))
    data = data.replace(files.u64(0, 999), files.u64(0, 1 << 40))
    assert hdf5.read(data, name="x")["x"].read().shape == (0, 1 << 40)


@pytest.mark.parametrize("full", [files.full_of_groups, files.full_of_attributes, files.full_of_strings])
def test_a_file_holds_so_many_things_and_no_more(full, monkeypatch):
    """What becomes Python objects is many times its bytes: a file at the limit stays below its share of the memory."""
    limit = 4096
    share = fuzz_files.SPARE_BYTES * limit // source.MAX_THINGS
    monkeypatch.setattr(source, "MAX_THINGS", limit)
    data = full(limit - 10)
    tracemalloc.start()
    try:
        held = fuzz_files.read_whole(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held and peak <= 2 * len(data) + share
    assert f"more than {limit} objects, attributes and strings" in refusal(full(limit + 1))


def test_two_thousand_mutations_end_in_a_tree_or_a_refusal():
    outcomes = dict(fuzz_files.Fuzz("hdf5", seed=1).outcomes(range(2000)))
    assert not {number: o.fault for number, o in outcomes.items() if o.fault}
    # so many of each that the mutations neither miss nor break everything
    assert 200 < sum(o.loaded for o in outcomes.values()) < 1800


def test_a_mutation_follows_from_its_number():
    fuzz = fuzz_files.Fuzz("hdf5", seed=3)
    assert fuzz.mutated(11) == fuzz.mutated(11) != fuzz.mutated(12)


def test_the_fuzz_finds_what_is_planted(monkeypatch):
    """An exception of another class, and memory out of proportion."""

    def careless(data):
        if data[:1] != b"\x89":
            raise IndexError("planted")
        return bytearray(2 * len(data) + fuzz_files.SPARE_BYTES + 1)

    kind = fuzz_files.KINDS["hdf5"]._replace(open=careless)
    monkeypatch.setitem(fuzz_files.KINDS, "hdf5", kind)
    faults = [o.fault for _, o in fuzz_files.Fuzz("hdf5", seed=0).outcomes(range(20), traced=1)]
    assert all(faults) and {f.split(":")[0] for f in faults if "bytes of memory" not in f} <= {"IndexError"}


@pytest.mark.slow
def test_the_fuzz_limits_what_it_does_not_trace(monkeypatch):
    kind = fuzz_files.KINDS["hdf5"]._replace(open=lambda data: bytearray(2 * fuzz_files.ADDRESS_BYTES))
    monkeypatch.setitem(fuzz_files.KINDS, "hdf5", kind)
    faults = [o.fault for _, o in fuzz_files.Fuzz("hdf5", seed=0).outcomes(range(1, 5))]
    assert {fault.partition(":")[0] for fault in faults} == {"MemoryError"}
