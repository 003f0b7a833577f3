"""Rows for shapes, reductions, contractions, indexing and random bits."""

from __future__ import annotations

import math

import numpy as np

from lamella.ops import primitives as p
from lamella.testing.records import Operand, Sample, bools, distinct, floats, given, ints


def _shape() -> list[Sample]:
    rows = [
        Sample(p.reshape, (floats(*have),), {"shape": want})
        for have, want in (((2, 3), (3, 2)), ((2, 3, 2), (12,)), ((), (1, 1)), ((1,), ()), ((0, 3), (3, 0)))
    ]
    rows += [
        Sample(p.transpose, (floats(*shape),), {"permutation": permutation})
        for shape, permutation in (((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 1, 3, 2), (0, 2, 3, 1)), ((3,), (0,)))
    ]
    rows += [
        Sample(p.broadcast, (floats(*have),), {"shape": shape, "axes": axes})
        for have, shape, axes in (
            ((), (2, 3), ()),
            ((3,), (2, 3, 4), (1,)),
            ((2, 3), (2, 4, 3), (0, 2)),
            ((1, 2), (1, 3, 2), (0, 2)),
            ((2,), (2, 0), (0,)),
        )
    ]
    rows += [
        Sample(p.slice, (floats(*shape),), {"start": start, "stop": stop, "strides": strides})
        for shape, start, stop, strides in (
            ((5, 4), (1, 0), (4, 4), (1, 1)),
            ((7, 5), (1, 0), (7, 4), (2, 3)),
            ((2, 6, 3), (0, 1, 2), (2, 6, 3), (1, 4, 1)),
            ((4,), (2,), (2,), (1,)),
        )
    ]
    rows += [
        Sample(p.pad, (floats(*shape),), {"low": low, "high": high, "interior": interior, "value": value})
        for shape, low, high, interior, value in (
            ((2, 3), (1, 0), (0, 2), (0, 0), 0.0),
            ((3, 2), (0, 1), (2, 0), (1, 2), 0.5),
            ((2, 2, 2), (1, 0, 2), (0, 1, 1), (2, 0, 1), -1.0),
            ((1,), (2,), (1,), (3,), 0.0),
            ((0, 2), (1, 0), (1, 0), (2, 0), 3.0),
        )
    ]
    rows += [
        Sample(p.pad, (ints(3),), {"low": (1,), "high": (1,), "interior": (1,), "value": 7.0}, "integers"),
        # the difference of two infinities is NaN
        Sample(
            p.pad, (floats(2),), {"low": (1,), "high": (0,), "interior": (0,), "value": -math.inf}, "infinity", wrt=()
        ),
        Sample(p.concatenate, (floats(2, 3),), {"axis": 1}, "one operand"),
        Sample(p.concatenate, (floats(2, 3), floats(1, 3)), {"axis": 0}),
        Sample(p.concatenate, (floats(2, 1, 2), floats(2, 3, 2), floats(2, 0, 2)), {"axis": 1}, "one is empty"),
        Sample(p.concatenate, (ints(2), ints(3)), {"axis": 0}, "integers"),
        Sample(p.split, (floats(5, 2),), {"sizes": (2, 3), "axis": 0}),
        Sample(p.split, (floats(2, 6),), {"sizes": (1, 2, 3), "axis": 1}, "three parts"),
        Sample(p.split, (floats(2, 3),), {"sizes": (3,), "axis": 1}, "one part"),
        Sample(p.split, (floats(3, 2),), {"sizes": (0, 3), "axis": 0}, "one is empty"),
        Sample(p.reverse, (floats(3, 2),), {"axes": (0,)}),
        Sample(p.reverse, (floats(2, 3, 2),), {"axes": (0, 2)}, "two axes"),
        Sample(p.reverse, (ints(4),), {"axes": (0,)}, "integers"),
    ]
    for dtype in ("int32", "uint32", "int64", "float32"):
        rows.append(Sample(p.iota, (), {"shape": (4,), "dtype": dtype, "axis": 0}, dtype))
    rows.append(Sample(p.iota, (), {"shape": (2, 3, 2), "dtype": "int32", "axis": 1}, "middle axis"))
    rows += [Sample(p.dimension_value, (), {"dim": 7, "dtype": dtype}, dtype) for dtype in ("int32", "float32")]
    values = np.arange(6.0).reshape(2, 3) / 3
    rows += [
        Sample(p.constant, (), lambda dtype: {"value": values.astype(dtype), "dtype": dtype}),
        Sample(p.constant, (), {"value": np.array(3, np.int32), "dtype": "int32"}, "integer scalar"),
        Sample(p.constant, (), {"value": np.array([True, False]), "dtype": "bool"}, "bool"),
    ]
    return rows


def _reduction() -> list[Sample]:
    places = (((2, 3), (1,)), ((2, 3, 2), (0, 2)), ((2, 3), (0, 1)), ((3, 2, 2), (1,)), ((2, 3), ()))
    rows = [Sample(p.reduce_sum, (floats(*shape),), {"axes": axes}, f"over {axes}") for shape, axes in places]
    rows += [
        Sample(op, (floats(*shape, domain=distinct()),), {"axes": axes}, f"over {axes}, no ties")
        for op in (p.reduce_max, p.reduce_min)
        for shape, axes in places
    ]
    rows += [Sample(op, (bools(3, 4),), {"axes": (1,)}, "bool") for op in (p.reduce_max, p.reduce_min)]
    rows += [Sample(op, (ints(3, 4),), {"axes": (0,)}, "integers") for op in (p.reduce_sum, p.reduce_max, p.reduce_min)]
    rows += [
        Sample(p.reduce_sum, (floats(0, 3),), {"axes": (0,)}, "over no entries"),
        Sample(p.reduce_sum, (ints(5, low=0, high=2**32, dtype="uint32"),), {"axes": (0,)}, "wraps around"),
        Sample(p.reduce_sum, (floats(40, 25),), {"axes": (0,)}, "many"),
        Sample(p.reduce_sum, (floats(2, 3),), {"axes": (1,)}, "half precision", dtypes=("float16",)),
    ]
    rows += [
        Sample(p.argmax, (operand,), {"axis": axis}, reason)
        for operand, axis, reason in (
            (floats(3, 4, domain=distinct()), 0, "first axis"),
            (floats(3, 4, domain=distinct()), 1, "last axis"),
            (floats(2, 3, 2, domain=distinct()), 1, "middle axis"),
            (ints(4, 6, low=0, high=3), 1, "integers with ties"),
            (floats(5, domain=distinct()), 0, "vector"),
        )
    ]
    return rows


_CONTRACTIONS = (
    ((2, 3), (3, 2), ((1,), (0,)), ((), ()), "matrix product"),
    ((3, 2), (4, 3), ((0,), (1,)), ((), ()), "both transposed"),
    ((3,), (3,), ((0,), (0,)), ((), ()), "inner product"),
    ((2,), (3,), ((), ()), ((), ()), "outer product"),
    ((), (2, 2), ((), ()), ((), ()), "scalar"),
    ((2, 3, 2), (2, 2, 3), ((2,), (1,)), ((0,), (0,)), "batched"),
    ((2, 3), (2, 3), ((1,), (1,)), ((0,), (0,)), "batched inner product"),
    ((3, 2), (2, 2, 3), ((), ()), ((1, 0), (0, 2)), "batch axes in another order"),
    ((2, 3, 4), (4, 3, 2), ((1, 2), (1, 0)), ((), ()), "two axes"),
    ((2, 2, 3, 2), (2, 3, 2, 2), ((3, 1), (0, 3)), ((0,), (2,)), "several axes, crossed, with a batch axis"),
    ((2, 3, 2, 2), (2, 3, 2), ((3,), (2,)), ((0, 1), (0, 1)), "two batch axes"),
    ((2, 3), (2, 3), ((0, 1), (0, 1)), ((), ()), "everything contracted"),
    ((2, 0), (0, 3), ((1,), (0,)), ((), ()), "over no entries"),
)


def _contraction() -> list[Sample]:
    rows = [
        Sample(p.contract, (floats(*left), floats(*right)), {"contracting": contracting, "batch": batch}, reason)
        for left, right, contracting, batch, reason in _CONTRACTIONS
    ]
    product = {"contracting": ((1,), (0,)), "batch": ((), ())}
    rows += [
        Sample(p.contract, (floats(17, 33), floats(33, 19)), product, "larger", wrt=()),
        Sample(p.contract, (ints(2, 3), ints(3, 2)), product, "integers"),
        Sample(p.contract, (floats(2, 3), floats(3, 2)), product, "half precision", dtypes=("float16",)),
    ]
    return rows


def _attention() -> list[Sample]:
    queries, keys, values = floats(2, 2, 2, 3), floats(2, 3, 2, 3), floats(2, 3, 2, 2)
    kwargs = {"scale": 0.5, "causal": False, "fused": False}
    cases: list[tuple[tuple[Operand, ...], bool, str]] = [
        ((), False, "every key seen"),
        ((), True, "causal"),
        ((bools(2, 1, 2, 3),), False, "a mask for all heads"),
        ((bools(2, 2, 1, 3),), True, "a mask of keys, causal"),
    ]
    rows = []
    for mask, causal, reason in cases:
        attributes = {**kwargs, "causal": causal}
        rows += [
            Sample(p.attention, (queries, keys, values, *mask), attributes, reason),
            Sample(p.attention_gradient, (floats(2, 2, 2, 2), queries, keys, values, *mask), attributes, reason),
        ]
    return rows


def _indexing() -> list[Sample]:
    rows = []
    for shape, places, axis in (
        ((4, 2), (3,), 0),
        ((2, 4), (3,), 1),
        ((4, 3), (), 0),
        ((2, 4, 2), (2, 2), 1),
        ((3,), (2, 3), 0),
        ((2, 3), (0,), 1),
    ):
        size = shape[axis]
        moved = (*shape[:axis], *places, *shape[axis + 1 :])
        indices = ints(*places, low=0, high=size)
        rows += [
            Sample(p.take, (floats(*shape), indices), {"axis": axis}, f"axis {axis}"),
            Sample(p.scatter_add, (floats(*moved), indices), {"axis": axis, "size": size}, f"axis {axis}"),
        ]
    for dtype in ("uint8", "int64"):
        rows.append(Sample(p.take, (floats(4), ints(3, low=0, high=4, dtype=dtype)), {"axis": 0}, f"{dtype} indices"))
    repeated = Operand((6,), given([1, 1, 0, 1, 3, 3]), "int32")
    outside = Operand((4,), given([-3, 0, 2, 9]), "int32")
    rows += [
        Sample(p.take, (ints(5), ints(3, low=0, high=5)), {"axis": 0}, "of integers"),
        Sample(p.take, (bools(5), ints(3, low=0, high=5)), {"axis": 0}, "of bool"),
        Sample(p.take, (floats(3, 2), outside), {"axis": 0}, "outside"),
        Sample(p.scatter_add, (floats(4, 2), outside), {"axis": 0, "size": 3}, "outside"),
        Sample(p.scatter_add, (floats(6, 2), repeated), {"axis": 0, "size": 4}, "repeated indices"),
        Sample(p.scatter_add, (ints(6), repeated), {"axis": 0, "size": 4}, "of integers"),
        Sample(p.scatter_max, (floats(4, 2, domain=distinct()), outside), {"axis": 0, "size": 3}, "outside", wrt=()),
        Sample(p.scatter_max, (ints(6), repeated), {"axis": 0, "size": 4}, "of integers, one index unused"),
        Sample(p.scatter_max, (floats(2, 6, 2, domain=distinct()), Operand((6,), given([1, 1, 0, 1, 2, 2]), "int32")),
               {"axis": 1, "size": 3}, "in the middle"),
    ]  # fmt: skip
    return rows


def _along_an_axis() -> list[Sample]:
    rows = []
    for shape, axis, count in (((4, 3), 0, 2), ((2, 3, 4), 1, 5), ((5,), 0, 5), ((2, 0), 0, 1)):
        places = ints(*shape[:axis], count, *shape[axis + 1 :], low=-1, high=shape[axis] + 1)
        rows += [
            Sample(p.cumsum, (floats(*shape),), {"axis": axis}),
            Sample(p.argsort, (floats(*shape),), {"axis": axis}),
            Sample(p.take_along_axis, (floats(*shape), places), {"axis": axis}, "some outside"),
            Sample(p.scatter_along_axis, (floats(*places.shape), places), {"axis": axis, "size": shape[axis]}),
        ]
    special = [2.0, np.nan, 0.0, np.inf, -0.0, np.nan, -np.inf, 2.0]
    return [
        *rows,
        Sample(p.cumsum, (ints(7),), {"axis": 0}, "integers"),
        Sample(p.argsort, (ints(3, 9, low=-2, high=3),), {"axis": 1}, "ties"),
        Sample(p.argsort, (bools(6),), {"axis": 0}, "bool"),
        Sample(p.argsort, (Operand((8,), given(special)),), {"axis": 0}, "infinities, zeros and NaN"),
        Sample(p.take_along_axis, (bools(2, 3), ints(2, 2, low=0, high=3)), {"axis": 1}, "of bool"),
        Sample(p.scatter_along_axis, (ints(2, 3), ints(2, 3, low=0, high=2)), {"axis": 1, "size": 4}, "of integers"),
    ]


def _random() -> list[Sample]:
    key = Operand((2,), given([0x13198A2E, 0x03707344]), "uint32")
    rows = [
        Sample(
            p.random_bits,
            (key, Operand((), given(step), "uint32")),
            {"shape": shape, "bits": bits},
            f"{bits} bits, step {step}",
        )
        for bits in (16, 32)
        for shape, step in (((7,), 0), ((3, 5), 1), ((), 2), ((2, 2, 3), 2**32 - 2))
    ]
    rows += [Sample(p.fold_in, (key,), {"data": data}, f"number {data}") for data in (0, 1, 2**32 - 1)]
    return rows


ROWS = [*_shape(), *_reduction(), *_contraction(), *_attention(), *_indexing(), *_along_an_axis(), *_random()]
