"""Rows for convolution in one to three dimensions, its two gradient ops, and pooling."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamella.ir.spec import Spec
from lamella.ops import primitives as p
from lamella.testing.records import Sample, distinct, floats
from lamella.testing.reference import REFERENCE

Pairs = tuple[tuple[int, int], ...]


class _Convolution(NamedTuple):
    size: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    channels: tuple[int, int]
    groups: int
    reason: str


_CONVOLUTIONS = [
    _Convolution((5,), (3,), (1,), ((0, 0),), (1,), (2, 3), 1, "1-d"),
    _Convolution((6,), (2,), (2,), ((1, 0),), (1,), (1, 2), 1, "1-d, strided, padded"),
    _Convolution((7,), (3,), (1,), ((4, 0),), (2,), (2, 2), 1, "1-d, dilated, causal"),
    _Convolution((5,), (3,), (3,), ((2, 2),), (1,), (4, 2), 2, "1-d, stride and groups"),
    _Convolution((4, 5), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), (2, 3), 1, "2-d"),
    _Convolution((4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 2), 1, "2-d, same"),
    _Convolution((5, 6), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1), (2, 2), 1, "2-d, strided, odd padding"),
    _Convolution((5, 4), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (3, 2), 1, "2-d, pointwise"),
    _Convolution((6, 5), (1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1), (2, 2), 1, "2-d, pointwise, strided"),
    _Convolution((6, 6), (2, 3), (1, 2), ((0, 1), (2, 2)), (2, 1), (2, 2), 1, "2-d, stride and dilation"),
    _Convolution((7, 6), (2, 2), (2, 1), ((1, 0), (0, 3)), (3, 2), (2, 2), 1, "2-d, stride with dilation"),
    _Convolution((4, 4), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), (4, 4), 2, "2-d, groups"),
    _Convolution((5, 4), (3, 2), (2, 2), ((1, 1), (1, 0)), (1, 1), (3, 6), 3, "2-d, depthwise"),
    _Convolution((4, 5), (2, 2), (2, 2), ((1, 1), (0, 2)), (1, 2), (4, 2), 2, "2-d, everything"),
    _Convolution((5, 5), (2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), (1, 1), 1, "2-d, stride above window"),
    _Convolution((3, 3, 3), (2, 2, 2), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), (1, 2), 1, "3-d"),
    _Convolution((4, 3, 4), (2, 1, 2), (2, 1, 2), ((1, 1), (0, 0), (0, 1)), (1, 1, 2), (2, 2), 2, "3-d, everything"),
]


def _convolutions() -> list[Sample]:
    rows = []
    for row in _CONVOLUTIONS:
        attributes: dict[str, Any] = {
            "strides": row.strides, "padding": row.padding, "dilation": row.dilation, "groups": row.groups,
        }  # fmt: skip
        x = (2, *row.size, row.channels[0])
        kernel = (*row.window, row.channels[0] // row.groups, row.channels[1])
        (y,) = p.convolve.result_specs([Spec(x, "float32"), Spec(kernel, "float32")], attributes)
        out = floats(*y.shape)
        rows += [
            Sample(p.convolve, (floats(*x), floats(*kernel)), attributes, row.reason),
            Sample(p.convolve_input_gradient, (out, floats(*kernel)), {"size": row.size, **attributes}, row.reason),
            Sample(p.convolve_kernel_gradient, (floats(*x), out), {"size": row.window, **attributes}, row.reason),
        ]
    same = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    larger = (floats(3, 17, 19, 8), floats(3, 3, 8, 16))
    rows += [
        Sample(p.convolve, larger, same, "larger", wrt=()),
        Sample(p.convolve_input_gradient, (floats(3, 17, 19, 16), larger[1]), {"size": (17, 19), **same}, "larger", wrt=()),
        Sample(p.convolve_kernel_gradient, (larger[0], floats(3, 17, 19, 16)), {"size": (3, 3), **same}, "larger", wrt=()),
        Sample(p.convolve, (floats(1, 4, 4, 2), floats(3, 3, 2, 2)), same, "half precision", dtypes=("float16",)),
    ]  # fmt: skip
    return rows


_POOLS: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pairs, str]] = [
    ((6,), (2,), (2,), ((0, 0),), "1-d"),
    ((5,), (3,), (1,), ((1, 1),), "1-d, overlapping, padded"),
    ((4, 6), (2, 2), (2, 2), ((0, 0), (0, 0)), "2-d"),
    ((5, 4), (3, 2), (1, 1), ((0, 0), (0, 0)), "2-d, overlapping"),
    ((5, 5), (2, 3), (2, 2), ((0, 1), (1, 1)), "2-d, odd padding"),
    ((5, 7), (2, 2), (3, 3), ((0, 0), (0, 0)), "2-d, stride above window"),
    ((3, 4, 3), (2, 2, 2), (1, 2, 1), ((0, 1), (0, 0), (1, 0)), "3-d"),
]


def _pools() -> list[Sample]:
    rows = []
    for size, window, strides, padding, reason in _POOLS:
        attributes: dict[str, Any] = {"window": window, "strides": strides, "padding": padding}
        x = (2, *size, 2)
        (y,) = p.max_pool.result_specs([Spec(x, "float32")], attributes)
        g = floats(*y.shape)
        rows += [
            Sample(p.max_pool, (floats(*x, domain=distinct()),), attributes, reason),
            Sample(
                p.max_pool_gradient,
                (g, floats(*x, domain=distinct()), g),
                attributes,
                reason,
                arrange=lambda arrays, attributes=attributes: _pooled(arrays, attributes),
                wrt=(0,),  # y is the pooled x: neither moves alone
            ),
            Sample(p.average_pool, (floats(*x),), attributes, reason),
            Sample(p.average_pool_gradient, (g,), {"size": size, **attributes}, reason),
        ]
    return rows


def _pooled(arrays: list[np.ndarray], attributes: dict[str, Any]) -> list[np.ndarray]:
    g, x, _ = arrays
    row = Sample(p.max_pool, (floats(*x.shape),), attributes)
    (y,) = REFERENCE.compile(row.program(x.dtype.name))(x)
    return [g, x, y]


ROWS = [*_convolutions(), *_pools()]
