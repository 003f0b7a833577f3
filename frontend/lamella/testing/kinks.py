"""Exact values and derivatives at non-differentiable points, ties, jumps and infinities, which random points miss."""

from __future__ import annotations

import math

import numpy as np

from lamella.ops import primitives as p
from lamella.testing.records import Kink

NAN, INF = math.nan, math.inf


def _int(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


_POOL = {"window": (2,), "strides": (1,), "padding": ((0, 0),)}
_PADDED = {"window": (2,), "strides": (2,), "padding": ((1, 1),)}

KINKS = [
    Kink(p.relu, ([0.0, -0.0],), [0.0, 0.0], ([0.0, 0.0],), reason="the derivative at 0 is 0"),
    Kink(p.relu, ([NAN],), [NAN], reason="NaN stays"),
    Kink(p.relu_gradient, ([3.0, 3.0], [0.0, 1.0]), [0.0, 3.0], ([0.0, 1.0], [0.0, 0.0]), reason="nothing passes at 0"),
    Kink(p.abs, ([0.0],), [0.0], ([1.0],), reason="the derivative at 0 is +1, as in Keras on JAX"),
    Kink(p.sign, ([0.0, -3.0, NAN],), [0.0, -1.0, NAN], ([0.0, 0.0, 0.0],), reason="no derivative"),
    Kink(p.floor, ([1.0, -0.5],), [1.0, -1.0], ([0.0, 0.0],), reason="no derivative at a jump"),
    Kink(p.round, ([0.5, 1.5, 2.5, -0.5, -1.5],), [0.0, 2.0, 2.0, 0.0, -2.0], ([0.0] * 5,), reason="halves to even"),
    Kink(p.maximum, ([1.0, 2.0], [1.0, 1.0]), [1.0, 2.0], ([0.5, 1.0], [0.5, 0.0]), reason="a tie is shared"),
    Kink(p.minimum, ([1.0, 2.0], [1.0, 1.0]), [1.0, 1.0], ([0.5, 0.0], [0.5, 1.0]), reason="a tie is shared"),
    Kink(p.maximum, ([NAN, 1.0, INF], [1.0, NAN, 1.0]), [NAN, NAN, INF], reason="NaN wins"),
    Kink(p.minimum, ([NAN, 1.0, -INF], [1.0, NAN, 1.0]), [NAN, NAN, -INF], reason="NaN wins"),
    Kink(
        p.clip, ([-1.0, 1.0, 0.0, 3.0, NAN], [-1.0] * 5, [1.0] * 5), [-1.0, 1.0, 0.0, 1.0, NAN],
        reason="NaN stays",
    ),
    Kink(
        p.clip, ([-1.0, 1.0, 0.0, 3.0], [-1.0] * 4, [1.0] * 4), [-1.0, 1.0, 0.0, 1.0], ([0.5, 0.5, 1.0, 0.0], None, None),
        reason="half of the gradient passes on a bound",
    ),
    Kink(
        p.clip_gradient, ([4.0, 4.0, 4.0], [-1.0, 0.0, 2.0], [-1.0] * 3, [1.0] * 3), [2.0, 4.0, 0.0],
        reason="half of the gradient passes on a bound",
    ),
    Kink(
        p.reduce_max, ([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]],), [3.0, 2.0],
        ([[0.0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]],), {"axes": (1,)}, "ties share equally", 1e-7,
    ),
    Kink(p.reduce_max, ([[1.0, NAN]],), [NAN], (), {"axes": (1,)}, "NaN wins"),
    Kink(
        p.reduce_min, ([[1.0, 1.0, 3.0], [2.0, 0.0, 2.0]],), [1.0, 0.0],
        ([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]],), {"axes": (1,)}, "ties share equally",
    ),
    Kink(p.reduce_min, ([[NAN, 1.0]],), [NAN], (), {"axes": (1,)}, "NaN wins"),
    Kink(p.argmax, ([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]],), _int(1, 0), (), {"axis": 1}, "the first of a tie"),
    Kink(
        p.max_pool, ([[[1.0], [1.0], [0.0]]],), [[[1.0], [1.0]]], ([[[1.0], [1.0], [0.0]]],), _POOL,
        "the first of a tie takes the whole gradient",
    ),
    Kink(
        p.max_pool, ([[[2.0], [2.0], [2.0], [2.0]]],), [[[2.0], [2.0], [2.0]]], ([[[1.0], [1.0], [1.0], [0.0]]],), _POOL,
        "the first of a tie, window by window",
    ),
    Kink(
        p.max_pool, ([[[-5.0], [-7.0]]],), [[[-5.0], [-7.0]]], ([[[1.0], [1.0]]],), _PADDED,
        "padding never wins",
    ),
    Kink(
        p.max_pool_gradient, ([[[3.0]]], [[[4.0], [4.0]]], [[[4.0]]]), [[[3.0], [0.0]]], ([[[1.0]]],), _POOL,
        "the first of a tie takes the whole gradient",
    ),
    Kink(
        p.average_pool, ([[[2.0], [4.0]]],), [[[2.0], [4.0]]], ([[[1.0], [1.0]]],), _PADDED,
        "padding does not count",
    ),
    Kink(p.power, ([0.0, 0.0, 3.0], [0.0, 2.0, 0.0]), [1.0, 0.0, 1.0], ([0.0, 0.0, 0.0],), reason="exponent 0"),
    Kink(p.power, ([0.0, 0.0], [1.0, 3.0]), [0.0, 0.0], ([1.0, 0.0], [0.0, 0.0]), reason="base 0"),
    Kink(p.power, ([-2.0], [3.0]), [-8.0], ([12.0], [0.0]), reason="negative base", tolerance=1e-6),
    Kink(p.power, ([-8.0], [0.5]), [NAN], reason="no real root"),
    Kink(p.sqrt, ([0.0, 4.0, -1.0],), [0.0, 2.0, NAN], ([INF, 0.25, NAN],), reason="the derivative at 0 is infinite"),
    Kink(p.log, ([0.0, 1.0, -1.0],), [-INF, 0.0, NAN], ([INF, 1.0, -1.0],), reason="the edge of the domain"),
    Kink(p.divide, ([1.0, -1.0, 0.0], [0.0, 0.0, 0.0]), [INF, -INF, NAN], reason="division by 0"),
    Kink(p.log1p, ([1e-20, -1.0],), [1e-20, -INF], reason="exact near 0", tolerance=1e-7),
    Kink(p.expm1, ([1e-20, -800.0],), [1e-20, -1.0], reason="exact near 0", tolerance=1e-7),
    Kink(p.exp, ([0.0, -INF, 1000.0],), [1.0, 0.0, INF], reason="the ends of the number line"),
    Kink(p.tanh, ([0.0, 50.0, -50.0],), [0.0, 1.0, -1.0], ([1.0, 0.0, 0.0],), reason="saturated"),
    Kink(p.sigmoid, ([0.0, 800.0, -800.0],), [0.5, 1.0, 0.0], ([0.25, 0.0, 0.0],), reason="no overflow"),
    Kink(
        p.sigmoid, ([-30.0],), [9.357622968839299e-14], reason="all digits far below 0",
        tolerance=1e-6,
    ),
    Kink(
        p.softplus, ([0.0, 800.0, -800.0],), [math.log(2), 800.0, 0.0], ([0.5, 1.0, 0.0],),
        reason="no overflow; the derivative at 0 is 1/2", tolerance=1e-7,
    ),
    Kink(
        p.erf, ([0.0, 7.0, -7.0, INF, 1.0, 0.5, 4.0],),
        [0.0, 1.0, -1.0, 1.0, 0.84270079294971487, 0.52049987781304654, 0.99999998458274210],
        reason="published values", tolerance=1e-6,
    ),
    Kink(p.erf, ([NAN],), [NAN], reason="NaN stays"),
    Kink(
        p.remainder, ([-7.0, 7.0, -7.5, 6.0], [3.0, -3.0, 2.0, 3.0]), [2.0, -2.0, 0.5, 0.0],
        ([1.0, 1.0, 1.0, 1.0], [3.0, 3.0, 4.0, -2.0]), reason="the sign of the divisor",
    ),
    Kink(p.remainder, (_int(-7, 7, 6), _int(3, -3, 3)), _int(2, -2, 0), reason="the sign of the divisor"),
    Kink(p.floor_divide, (_int(-7, 7, 6), _int(3, -3, 3)), _int(-3, -3, 2), reason="rounds down"),
    Kink(p.floor_divide, ([-7.0, 7.0, 6.0], [3.0, -3.0, 3.0]), [-3.0, -3.0, 2.0], ([0.0] * 3,) * 2, reason="rounds down"),
    Kink(p.convert, ([1.9, -1.9, 0.5],), _int(1, -1, 0), (), {"dtype": "int32"}, "truncated"),
    Kink(
        p.convert, ([1e20, -1e20, INF, -INF, NAN],), _int(2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 0), (),
        {"dtype": "int32"}, "the nearest end, and 0 for NaN",
    ),
    Kink(
        p.convert, ([0.0, -0.0, 0.25, NAN],), np.array([False, False, True, True]), (), {"dtype": "bool"}, "x != 0",
    ),
    Kink(p.equal, ([NAN, 0.0, INF], [NAN, -0.0, INF]), np.array([False, True, True]), reason="NaN equals nothing"),
    Kink(p.less, ([NAN, 0.0, -INF], [1.0, NAN, INF]), np.array([False, False, True]), reason="NaN is in no order"),
    Kink(p.less_equal, ([NAN, 1.0], [NAN, 1.0]), np.array([False, True]), reason="NaN is in no order"),
    Kink(
        p.select, (np.array([True, False]), [1.0, NAN], [NAN, 2.0]), [1.0, 2.0], (None, [1.0, 0.0], [0.0, 1.0]),
        reason="NaN in the branch not taken stays there",
    ),
    Kink(p.right_shift, (_int(-8, 8), _int(1, 1)), _int(-4, 4), reason="filled with the sign"),
    Kink(
        p.left_shift, (np.array([0x80000001], np.uint32), np.array([1], np.uint32)), np.array([2], np.uint32),
        reason="the highest bit falls off",
    ),
    Kink(p.bitwise_not, (np.array([0, 1], np.uint8),), np.array([255, 254], np.uint8), reason="of unsigned integers"),
    Kink(
        p.take, ([[1.0], [2.0], [3.0]], _int(-5, 0, 99)), [[1.0], [1.0], [3.0]], ([[2.0], [0.0], [1.0]], None),
        {"axis": 0}, "an index outside is moved to the nearest end",
    ),
    Kink(
        p.scatter_add, ([1.0, 2.0, 4.0, 8.0], _int(1, 1, -4, 7)), [4.0, 3.0, 8.0], ([1.0, 1.0, 1.0, 1.0], None),
        {"axis": 0, "size": 3}, "repeated indices add up; one outside is moved to the nearest end, as in take",
    ),
    Kink(p.reduce_sum, (np.zeros((0, 2)),), [0.0, 0.0], (np.zeros((0, 2)),), {"axes": (0,)}, "the sum of nothing"),
    Kink(
        p.softmax, ([[1e4, 1e4, -1e4]],), [[0.5, 0.5, 0.0]], ([[0.0, 0.0, 0.0]],), {"axis": 1}, "no overflow",
    ),
    Kink(
        p.log_softmax, ([[0.0, 1e4]],), [[-1e4, 0.0]], ([[1.0, -1.0]],), {"axis": 1}, "no overflow, no log of 0",
    ),
    Kink(p.softmax, ([[0.0, -INF]],), [[1.0, 0.0]], (), {"axis": 1}, "a class ruled out"),
    # published vectors of Threefry-2x32 with 20 rounds (Random123's kat_vectors), as draws of a key at a step
    Kink(
        p.random_bits, (np.zeros(2, np.uint32), np.zeros((), np.uint32)), np.array([0x6B200159, 0x99BA4EFE], np.uint32),
        (), {"shape": (2,), "bits": 32}, "key 0, counter 0",
    ),
    Kink(
        p.random_bits, (np.zeros(2, np.uint32), np.zeros((), np.uint32)),
        np.array([0x0159, 0x6B20, 0x4EFE, 0x99BA], np.uint16), (), {"shape": (4,), "bits": 16}, "low lane first",
    ),
    Kink(
        p.fold_in, (np.full(2, 0xFFFFFFFF, np.uint32),), np.array([0x1CB996FC, 0xBB002BE7], np.uint32),
        (), {"data": 0xFFFFFFFF}, "all bits set",
    ),
]  # fmt: skip
