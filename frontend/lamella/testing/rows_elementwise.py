"""Rows for elementwise ops, comparisons, selection, bits, conversion, and ops that read along one axis."""

from __future__ import annotations

import numpy as np

from lamella.ops import primitives as p
from lamella.testing.records import (
    Domain,
    Sample,
    away,
    bools,
    distinct,
    floats,
    fractional,
    integers,
    ints,
    normal,
    positive,
    uniform,
)

_UNARY: list[tuple[p.Op, Domain, str]] = [
    (p.negative, normal, ""),
    (p.exp, normal, ""),
    (p.expm1, normal, ""),
    (p.expm1, uniform(-1e-4, 1e-4), "near 0"),
    (p.log, positive, ""),
    (p.log1p, uniform(-0.5, 2.0), ""),
    (p.log1p, uniform(-1e-4, 1e-4), "near 0"),
    (p.sqrt, positive, ""),
    (p.tanh, normal, ""),
    (p.sin, uniform(-4.0, 4.0), ""),
    (p.cos, uniform(-4.0, 4.0), ""),
    (p.abs, away, "away from 0"),
    (p.sign, away, "away from 0"),
    (p.floor, fractional, "away from integers"),
    (p.round, fractional, "away from halves"),
    (p.relu, away, "away from 0"),
    (p.sigmoid, normal, ""),
    (p.sigmoid, uniform(-30.0, 30.0), "saturated"),
    (p.softplus, away, ""),
    (p.softplus, uniform(20.0, 60.0), "large"),
    (p.erf, uniform(-0.4, 0.4), "small range"),
    (p.erf, uniform(0.5, 3.9), "middle range"),
    (p.erf, uniform(-6.0, -4.1), "large range"),
    (p.erfc, uniform(-0.4, 0.4), "small range"),
    (p.erfc, uniform(0.5, 3.9), "middle range"),
    (p.erfc, uniform(4.1, 6.0), "large range"),
    (p.erfc, uniform(-5.0, -0.5), "below 0"),
    (p.erfinv, uniform(-0.95, 0.95), ""),
    (p.tan, uniform(-1.3, 1.3), ""),
    (p.sinh, uniform(-3.0, 3.0), ""),
    (p.sinh, uniform(-1e-3, 1e-3), "near 0"),
    (p.cosh, uniform(-3.0, 3.0), ""),
    (p.arcsin, uniform(-0.9, 0.9), ""),
    (p.arccos, uniform(-0.9, 0.9), ""),
    (p.arctan, uniform(-0.6, 0.6), "small range"),
    (p.arctan, uniform(0.7, 2.3), "middle range"),
    (p.arctan, uniform(-50.0, -2.5), "large range"),
    (p.arcsinh, normal, ""),
    (p.arcsinh, uniform(1e4, 1e6), "large"),
    (p.arccosh, uniform(1.2, 4.0), ""),
    (p.arctanh, uniform(-0.9, 0.9), ""),
]

_BINARY: list[tuple[p.Op, Domain, Domain, str]] = [
    (p.add, normal, normal, ""),
    (p.subtract, normal, normal, ""),
    (p.multiply, normal, normal, ""),
    (p.divide, normal, away, "divisor away from 0"),
    (p.power, positive, normal, "positive base"),
    (p.arctan2, away, away, "every quadrant"),
    (p.maximum, distinct(), distinct(0.5), "no ties"),
    (p.minimum, distinct(), distinct(0.5), "no ties"),
]

_COMPARISONS = [p.equal, p.less, p.less_equal]
_LEVELS = integers(-2, 3)


def _between_multiples(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The first operand moved between two multiples of the second, where a remainder has no jump."""
    parts, divisor = arrays
    return [parts * divisor, divisor]


def _clipped(*shape: int) -> list[Sample]:
    """Numbers below, between and above two bounds, on neither of them."""
    x, low, high = (floats(*shape, domain=d) for d in (fractional, uniform(-1.05, -0.95), uniform(0.95, 1.05)))
    return [
        Sample(p.clip, (x, low, high), reason="not on a bound"),
        Sample(p.clip_gradient, (floats(*shape), x, low, high), reason="not on a bound"),
    ]


def _elementwise() -> list[Sample]:
    rows = [
        Sample(op, (floats(*shape, domain=domain),), reason=reason)
        for op, domain, reason in _UNARY
        for shape in ((2, 3), ())
    ]
    rows += [
        Sample(op, (floats(*shape, domain=left), floats(*shape, domain=right)), reason=reason)
        for op, left, right, reason in _BINARY
        for shape in ((3, 2), (), (2, 0, 3))
    ]
    rows += [
        Sample(op, (floats(2, 3, domain=fractional), floats(2, 3, domain=away)), {}, "away from jumps", None,
               _between_multiples, smooth=op is p.remainder)
        for op in (p.remainder, p.floor_divide)
    ]  # fmt: skip
    rows += [
        Sample(op, (ints(2, 4), ints(2, 4)), reason="integers")
        for op in (p.add, p.subtract, p.multiply, p.maximum, p.minimum)
    ]
    rows += [
        Sample(op, (ints(12, low=-9, high=10), ints(12, low=low, high=low + 4)), reason=f"integers, {sign} divisor")
        for op in (p.remainder, p.floor_divide)
        for sign, low in (("positive", 1), ("negative", -4))
    ]
    rows += [Sample(op, (ints(7),), reason="integers") for op in (p.negative, p.abs, p.sign, p.relu)]
    wide = {"low": 0, "high": 2**32, "dtype": "uint32"}
    rows += [Sample(op, (ints(8, **wide), ints(8, **wide)), reason="wraps around") for op in (p.add, p.multiply)]
    rows += [Sample(op, (bools(6), bools(6)), reason="bool") for op in (p.maximum, p.minimum)]
    rows += [
        Sample(op, (floats(2, 3), floats(2, 3)), dtypes=("float16",), reason="half precision")
        for op in (p.add, p.multiply)
    ]
    rows += [
        Sample(p.tanh, (floats(2, 3),), dtypes=("float16",), reason="half precision"),
        # differences say little where a function is this steep
        Sample(p.erfinv, (floats(5, domain=uniform(0.995, 0.9999)),), reason="near 1", wrt=()),
        Sample(p.sinh, (floats(5, domain=uniform(30.0, 60.0)),), reason="large", wrt=()),
        # the differences of a function that hides its derivative are not zero
        Sample(p.stop_gradient, (floats(2, 3),), smooth=False),
        Sample(p.stop_gradient, (ints(3),), reason="integers"),
        Sample(p.relu_gradient, (floats(2, 3), floats(2, 3, domain=away)), reason="y away from 0"),
        Sample(p.relu_gradient, (floats(), floats(domain=away)), reason="y away from 0"),
        Sample(p.relu_gradient, (ints(4), ints(4)), reason="integers"),
        *_clipped(3, 4),
        *_clipped(),
    ]
    return rows


def _comparison() -> list[Sample]:
    rows = [
        Sample(op, (floats(4, 5, domain=_LEVELS), floats(4, 5, domain=_LEVELS)), reason="with ties")
        for op in _COMPARISONS
    ]
    rows += [Sample(op, (ints(3, 4, low=-2, high=3), ints(3, 4, low=-2, high=3))) for op in _COMPARISONS]
    rows += [Sample(op, (ints(9, low=0, high=3, dtype="uint8"),) * 2, reason="uint8") for op in _COMPARISONS]
    rows += [Sample(p.equal, (bools(8), bools(8)), reason="bool")]
    for op in (p.bitwise_and, p.bitwise_or, p.bitwise_xor):
        rows += [
            Sample(op, (bools(2, 4), bools(2, 4)), reason="bool"),
            Sample(op, (ints(6), ints(6)), reason="signed"),
            Sample(op, (ints(6, low=0, high=2**32, dtype="uint32"),) * 2, reason="unsigned"),
        ]
    rows += [
        Sample(p.bitwise_not, (bools(2, 4),), reason="bool"),
        Sample(p.bitwise_not, (ints(6),), reason="signed"),
        Sample(p.bitwise_not, (ints(6, low=0, high=256, dtype="uint8"),), reason="unsigned"),
    ]
    for op in (p.left_shift, p.right_shift):
        unsigned = (ints(8, low=0, high=2**32, dtype="uint32"), ints(8, low=0, high=32, dtype="uint32"))
        rows += [
            Sample(op, unsigned, reason="unsigned"),
            Sample(op, (ints(8, low=-1000, high=1000), ints(8, low=0, high=16)), reason="signed"),
        ]
    rows += [
        Sample(p.select, (bools(2, 3), floats(2, 3), floats(2, 3))),
        Sample(p.select, (bools(), floats(), floats())),
        Sample(p.select, (bools(5), ints(5), ints(5)), reason="integers"),
        Sample(p.select, (bools(5), bools(5), bools(5)), reason="bool"),
    ]
    return rows


def _conversion() -> list[Sample]:
    return [
        Sample(p.convert, (floats(2, 3),), lambda dtype: {"dtype": dtype}, "to its own dtype"),
        Sample(p.convert, (floats(2, 3),), {"dtype": "float64"}, "to float64"),
        # float32 has too few digits for differences
        Sample(p.convert, (floats(2, 3),), {"dtype": "float32"}, "to float32", wrt=()),
        Sample(p.convert, (floats(2, 3),), {"dtype": "float16"}, "to float16", dtypes=("float32",)),
        Sample(p.convert, (floats(2, 3),), {"dtype": "bfloat16"}, "to bfloat16", dtypes=("float32",)),
        Sample(p.convert, (floats(3, 3, domain=fractional),), {"dtype": "int32"}, "truncated"),
        Sample(p.convert, (floats(6, domain=_LEVELS),), {"dtype": "bool"}, "to bool"),
        Sample(p.convert, (ints(6),), lambda dtype: {"dtype": dtype}, "integers to floats"),
        Sample(p.convert, (bools(6),), lambda dtype: {"dtype": dtype}, "bool to floats"),
        Sample(p.convert, (bools(6),), {"dtype": "int32"}, "bool to integers"),
        Sample(p.convert, (ints(6, low=0, high=2**16, dtype="uint32"),), {"dtype": "uint16"}, "narrower"),
        Sample(p.convert, (ints(6),), {"dtype": "int64"}, "wider"),
        Sample(p.convert, (ints(6, low=0, high=256, dtype="uint8"),), {"dtype": "float32"}, "bytes"),
    ]


def _along_an_axis() -> list[Sample]:
    rows = []
    for op in (p.softmax, p.log_softmax):
        rows += [
            Sample(op, (floats(2, 4),), {"axis": 1}),
            Sample(op, (floats(3, 2, 2),), {"axis": 0}, "first axis"),
            Sample(op, (floats(2, 3, 2),), {"axis": 1}, "middle axis"),
            Sample(op, (floats(5),), {"axis": 0}, "vector"),
            Sample(op, (floats(2, 3, domain=uniform(500.0, 520.0)),), {"axis": 1}, "large"),
        ]
    return rows


ROWS = [*_elementwise(), *_comparison(), *_conversion(), *_along_an_axis()]
