"""Large arrays on the NumPy backend, whose operands are seen in other shapes than their own: exactly the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from compiled import assert_compiles, draw_arrays, interpreted
from lamella import ops
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.ops import primitives as p
from lamella_numpy import BACKEND


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(16, 26, 26, 8), (16, 65537), (12007, 7), (4, 9, 90, 101)])
def test_a_bias_and_maxima_of_large_arrays_are_exact(shape, dtype):
    def build(x, bias, one):
        y = ops.subtract(bias, ops.add(x, bias))
        return y, ops.relu(y), ops.maximum(one, x), ops.minimum(x, 1), p.relu_gradient.bind(x, ops.relu(y))

    program = trace(build, Spec(shape, dtype), Spec(shape[-1:], dtype), Spec((), dtype))
    arrays = draw_arrays(program)
    if dtype.startswith("float"):
        with np.errstate(all="ignore"):
            arrays[0].flat[:6] = [np.nan, -0.0, 0.0, np.inf, -np.inf, -np.nan]
    for found, wanted in zip(BACKEND.compile(program)(*arrays), interpreted(program, arrays), strict=True):
        np.testing.assert_array_equal(found, wanted)
        if dtype.startswith("float"):
            np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"]
)
def test_a_choice_between_large_arrays_is_exact(dtype):
    def build(c, x, y):
        zero = ops.zeros_like(x)
        return p.select.bind(c, x, y), p.select.bind(c, x, zero), p.select.bind(c, zero, x)

    shape = (300, 401)
    program = trace(build, Spec(shape, "bool"), Spec(shape, dtype), Spec(shape, dtype))
    c, x, y = draw_arrays(program)
    if x.dtype.kind == "f":
        x[1], y[2] = np.nan, np.inf
    both, first, second = BACKEND.compile(program)(c, x, y)
    np.testing.assert_array_equal(both, np.where(c, x, y))
    np.testing.assert_array_equal(first, np.where(c, x, x.dtype.type(0)))
    np.testing.assert_array_equal(second, np.where(c, x.dtype.type(0), x))


def test_a_bias_of_two_large_arrays_is_repeated_once():
    def build(x, bias, steps):
        y = ops.multiply(ops.add(x, bias), bias)
        last, sums = ops.scan(lambda carry, b: (carry * b, ops.sum(carry - b)), y, steps)
        return y, last, sums

    program = trace(build, Spec((80, 30, 30), "float32"), Spec((30,), "float32"), Spec((3, 30), "float32"))
    source = assert_compiles(program).source
    before, inside = source.split("        for ")
    assert before.count("[...] = x1") == 1
    assert inside.count("[...] = x2") == 1


@pytest.mark.parametrize("shape", [(86528, 32), (8191, 11), (262144, 1), (1, 90000), (300, 3, 80)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
def test_sums_over_many_rows(shape, dtype):
    rows = tuple(range(len(shape) - 1))
    program = trace(lambda x: (ops.sum(x, rows), ops.sum(x, -1), ops.sum(x)), Spec(shape, dtype))
    (x,) = draw_arrays(program)
    wide = x.astype("int64" if dtype == "int32" else "float64")
    tolerance = {"float16": 1e-3, "bfloat16": 1e-2, "float64": 1e-13}.get(dtype, 1e-5)
    for found, axes in zip(BACKEND.compile(program)(x), (rows, -1, None), strict=True):
        scale = np.abs(wide).sum(axes).max()
        np.testing.assert_allclose(found, wide.sum(axes), rtol=tolerance, atol=tolerance * scale)
