"""Random bits: the published vectors of Threefry-2x32, the layout of lanes, and independence of shape and blocks."""

import numpy as np
import pytest

from lamella.ops.random_bits import PARITY, ROTATIONS
from lamella_numpy import random_bits as kernels
from lamella_numpy.random_bits import fold_in, random_bits, threefry

ALL = 0xFFFFFFFF
# threefry2x32, 20 rounds, in the known-answer file of Random123 (J. K. Salmon et al.): counter, key, result
VECTORS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((ALL, ALL), (ALL, ALL), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]
KEY = np.array([0x13198A2E, 0x03707344], np.uint32)


def word(value):
    return np.array([value], np.uint32)


def loop_block(key, x0, x1):
    """One block, written out in plain integers from the paper."""
    keys = (*key, key[0] ^ key[1] ^ PARITY)
    x0, x1 = (x0 + keys[0]) & ALL, (x1 + keys[1]) & ALL
    for i in range(20):
        by = ROTATIONS[i // 4 % 2][i % 4]
        x0 = (x0 + x1) & ALL
        x1 = ((x1 << by | x1 >> (32 - by)) & ALL) ^ x0
        if i % 4 == 3:
            group = i // 4 + 1
            x0, x1 = (x0 + keys[group % 3]) & ALL, (x1 + keys[(group + 1) % 3] + group) & ALL
    return x0, x1


@pytest.mark.parametrize("counter, key, expected", VECTORS)
def test_published_vectors(counter, key, expected):
    words = threefry(*key, *map(word, counter))
    assert tuple(int(w[0]) for w in words) == expected
    assert loop_block(key, *counter) == expected


def test_threefry_is_elementwise_and_leaves_its_operands_alone():
    counters = np.arange(7, dtype=np.uint32), np.arange(7, dtype=np.uint32) * 3
    x0, x1 = threefry(*KEY, *counters)
    assert x0.dtype == x1.dtype == np.uint32
    for i in range(7):
        assert (x0[i], x1[i]) == loop_block(KEY.tolist(), i, 3 * i)
    np.testing.assert_array_equal(counters[1], np.arange(7) * 3)


@pytest.mark.parametrize("data", [0, 1, 12345, ALL])
def test_fold_in_is_a_block_with_the_highest_step(data):
    folded = fold_in(KEY, data=data)
    assert folded.dtype == np.uint32 and folded.shape == (2,)
    assert tuple(folded.tolist()) == loop_block(KEY.tolist(), ALL, data)


@pytest.mark.parametrize("step", [0, 1, 7, ALL - 1])
def test_layout_of_words_and_lanes(step):
    words = [w for j in range(8) for w in loop_block(KEY.tolist(), step, j)]
    bits = random_bits(KEY, np.uint32(step), shape=(16,), bits=32)
    assert bits.dtype == np.uint32
    assert bits.tolist() == words
    lanes = random_bits(KEY, np.uint32(step), shape=(32,), bits=16)
    assert lanes.dtype == np.uint16
    assert lanes.tolist() == [half for w in words for half in (w & 0xFFFF, w >> 16)]


@pytest.mark.parametrize("bits", [16, 32])
def test_an_element_depends_on_key_step_and_index_only(bits, monkeypatch):
    long = random_bits(KEY, np.uint32(3), shape=(1000,), bits=bits)
    for count in (0, 1, 2, 3, 4, 5, 97, 999):
        np.testing.assert_array_equal(random_bits(KEY, np.uint32(3), shape=(count,), bits=bits), long[:count])
    np.testing.assert_array_equal(random_bits(KEY, np.uint32(3), shape=(10, 5, 20), bits=bits).ravel(), long)
    assert random_bits(KEY, np.uint32(3), shape=(), bits=bits) == long[0]
    for block in (1, 7, 64):
        monkeypatch.setattr(kernels, "BLOCK", block)
        np.testing.assert_array_equal(random_bits(KEY, np.uint32(3), shape=(1000,), bits=bits), long)
    assert (random_bits(KEY, np.uint32(4), shape=(1000,), bits=bits) != long).mean() > 0.99
    assert (random_bits(KEY[::-1], np.uint32(3), shape=(1000,), bits=bits) != long).mean() > 0.99


@pytest.mark.parametrize("bits", [16, 32])
def test_blocks_meet(bits):
    count = 64 // bits * kernels.BLOCK + 5
    tail = random_bits(KEY, np.uint32(9), shape=(count,), bits=bits)[-5:]
    x0, x1 = loop_block(KEY.tolist(), 9, kernels.BLOCK)
    words = [x0, x1] if bits == 32 else [x0 & 0xFFFF, x0 >> 16, x1 & 0xFFFF, x1 >> 16]
    assert tail[: len(words)].tolist() == words


@pytest.mark.parametrize("bits", [16, 32])
def test_scratch_and_out_change_no_number(bits):
    scratch = {}
    out = np.empty((33, 5), f"uint{bits}")
    for step in (0, 1, 0):
        expected = random_bits(KEY, np.uint32(step), shape=(33, 5), bits=bits)
        assert random_bits(KEY, np.uint32(step), shape=(33, 5), bits=bits, out=out, scratch=scratch) is out
        np.testing.assert_array_equal(out, expected)
    larger = random_bits(KEY, np.uint32(0), shape=(1000,), bits=bits, scratch=scratch)
    np.testing.assert_array_equal(larger, random_bits(KEY, np.uint32(0), shape=(1000,), bits=bits))


def test_lanes_do_not_depend_on_byte_order(monkeypatch):
    expected = {bits: random_bits(KEY, np.uint32(0), shape=(101,), bits=bits) for bits in (16, 32)}
    monkeypatch.setattr(kernels.sys, "byteorder", "big")
    for bits, values in expected.items():
        np.testing.assert_array_equal(random_bits(KEY, np.uint32(0), shape=(101,), bits=bits), values)


def test_bits_are_uniform():
    lanes = random_bits(KEY, np.uint32(0), shape=(1 << 18,), bits=16)
    counts = np.bincount(lanes >> 8, minlength=256)
    chi_square = ((counts - 1024) ** 2 / 1024).sum()
    assert 160 < chi_square < 370  # 255 degrees of freedom: mean 255, deviation 22.6
