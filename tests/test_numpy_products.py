"""The NumPy compiler on what becomes one number: sums, products of vectors, and sums of products."""

from __future__ import annotations

import pytest

from compiled import assert_compiles
from lamella import ops
from lamella.ir.check import check
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella_numpy import BACKEND
from lamella_numpy.products import LONGEST_DOT


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sum_of_products_is_one_product_of_vectors(dtype):
    x, y = Spec((40, 30), dtype), Spec((30, 40), dtype)

    def passes_over_memory(build, *specs):
        program = trace(build, *specs)
        check(BACKEND.prepare(program))
        source = assert_compiles(program, dtype).source
        return source.count("multiply("), source.count(".dot(")

    assert passes_over_memory(lambda a, b: ops.sum(a * b), x, x) == (0, 1)
    assert passes_over_memory(lambda a: ops.sqrt(ops.sum(ops.square(a))), x) == (0, 1)
    assert passes_over_memory(lambda a, b: ops.sum(a * ops.transpose(b)), x, y) == (0, 1)
    assert passes_over_memory(lambda a, b: 2.0 * ops.sum(a * b, (0, 1), keepdims=True), x, x) == (0, 1)
    # the product itself is wanted, is a repeated row's, is not summed whole, or is too long for a rough sum
    assert passes_over_memory(lambda a, b: (ops.sum(a * b), a * b), x, x)[0] == 1
    assert passes_over_memory(lambda a, b: ops.exp(a * b) + ops.sum(a * b), x, x)[0] == 1
    assert passes_over_memory(lambda a, b: ops.sum(a * b), x, Spec((30,), dtype))[0] == 1
    assert passes_over_memory(lambda a, b: ops.sum(a * b, 0), x, x)[0] == 1
    long = Spec((LONGEST_DOT + 1,), dtype)
    assert passes_over_memory(lambda a, b: ops.sum(a * b), long, long) == (1, 0)
    empty = Spec((0, 3), dtype)
    assert passes_over_memory(lambda a, b: ops.sum(a * b), empty, empty)[0] == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
def test_one_number_from_a_sum_goes_on_as_a_number(dtype):
    def build(x, y):
        total, product = ops.sum(x), ops.sum(x * y)
        dot = ops.primitives.contract.bind(x, y, contracting=((0, 1), (0, 1)), batch=((), ()))
        last, all_totals = ops.scan(lambda h, row: (h + ops.sum(row * row), ops.sum(row)), total, x)
        return -total, product - total, dot, dot * x, last, all_totals, ops.reshape(product, (1, 1))

    spec = Spec((3, 4), dtype)
    assert_compiles(trace(build, spec, spec), dtype)
