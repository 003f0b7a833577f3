"""The NumPy backend's plain kernels: composites against their definitions, primitives against NumPy, dtypes kept."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from lamella import ops
from lamella.backend_api import Backend
from lamella.ir import interpret
from lamella.ir.trace import constant
from lamella.ops import primitives as p
from lamella.passes import expand
from lamella.testing.samples import SAMPLES
from lamella_numpy import BACKEND, kernels
from lamella_numpy.compiler import RULES
from lamella_numpy.elementwise import bfloat16

COMPOSITES = [s for s in SAMPLES if s.op in BACKEND.kernels and s.op.definition is not None]
EVERY = [(s, d) for s in SAMPLES for d in s.dtypes]


def label(value):
    return getattr(value, "label", None)


def computed(program, arrays):
    with np.errstate(all="ignore"):
        return interpret.run(program, arrays, kernels.apply)


def assert_close(found, wanted, tolerance):
    for y, z in zip(found, wanted, strict=True):
        assert (np.shape(y), np.asarray(y).dtype) == (np.shape(z), np.asarray(z).dtype)
        np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sample", COMPOSITES, ids=label)
def test_a_kernel_is_its_definition(sample, dtype):
    """The definition is run through mandatory kernels only."""
    program, arrays = sample.program(dtype), sample.arguments(dtype)
    simple = expand(program, lambda op: op.mandatory, "numpy")
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    assert_close(computed(program, arrays), computed(simple, arrays), tolerance)


@pytest.mark.parametrize(("sample", "dtype"), EVERY, ids=label)
def test_compiled_is_interpreted(sample, dtype):
    program, arrays = Backend.prepare(BACKEND, sample.program(dtype)), sample.arguments(dtype)
    arrays = [BACKEND.asarray(a, s.dtype) for a, s in zip(arrays, program.input_specs, strict=True)]
    tolerance = {"float64": 1e-11, "float32": 2e-5, "float16": 1e-2, "bfloat16": 4e-2}[dtype]
    assert_close(BACKEND.compile(program)(*arrays), computed(program, arrays), tolerance)


def test_every_op_has_a_kernel_or_a_definition_and_a_rule():
    for op in p.every_op().values():
        assert op is constant or op in BACKEND.kernels or op.definition is not None, op
        assert op is constant or op in RULES or op.definition is not None, op
    assert set(p.mandatory_ops().values()) <= set(BACKEND.kernels)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_are_kept_without_promotion(dtype):
    x = np.linspace(0.1, 2, 12).astype(dtype).reshape(3, 4)
    scalar = x[0, 0:1].reshape(())
    for op, ufunc in kernels.UFUNCS.items():
        if op.name.startswith(("bitwise", "left", "right")):
            continue
        for operand in (x, scalar):
            y = BACKEND.evaluate(op, [operand] * ufunc.nin, {})[0]
            assert isinstance(y, np.ndarray) and y.shape == operand.shape
            assert y.dtype == (np.bool_ if op.name in ("equal", "less", "less_equal") else dtype), op
    for function in (ops.relu, ops.sigmoid, ops.softplus, ops.softmax, ops.log_softmax, ops.erf, ops.mean, ops.sum):
        assert function(x).dtype == dtype, function


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "int64"])
def test_integer_sums_stay_in_their_dtype(dtype):
    x = np.arange(6, dtype=dtype).reshape(2, 3)
    for axes in ((0,), (1,), (0, 1), ()):
        assert BACKEND.evaluate(p.reduce_sum, [x], {"axes": axes})[0].dtype == dtype
    assert BACKEND.evaluate(p.contract, [x, x], {"contracting": ((1,), (1,)), "batch": ((), ())})[0].dtype == dtype


def test_remainder_has_the_sign_of_the_divisor():
    x, y = np.array([5, -5, 5, -5], np.int32), np.array([3, 3, -3, -3], np.int32)
    np.testing.assert_array_equal(p.remainder.bind(x, y), [2, 1, -1, -2])
    np.testing.assert_array_equal(p.remainder.bind(x * 1.0, y * 1.0), [2, 1, -1, -2])


def test_conversions_truncate_and_compare_with_zero():
    x = np.array([-1.7, -0.2, 0.0, 0.2, 1.7], np.float32)
    np.testing.assert_array_equal(p.convert.bind(x, dtype="int32"), [-1, 0, 0, 0, 1])
    np.testing.assert_array_equal(p.convert.bind(x, dtype="bool"), [True, True, False, True, True])
    assert p.convert.bind(np.array(np.nan), dtype="bool")


def test_extrema_spread_nan():
    x, y = np.array([np.nan, 1.0, 2.0]), np.array([0.0, np.nan, 1.0])
    np.testing.assert_array_equal(p.maximum.bind(x, y), [np.nan, np.nan, 2])
    np.testing.assert_array_equal(p.minimum.bind(x, y), [np.nan, np.nan, 1])
    assert np.isnan(p.reduce_max.bind(x, axes=(0,)))


def test_take_clamps_every_integer():
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(p.take.bind(x, np.array([-5, 0, 7]), axis=0), [1, 1, 3])
    np.testing.assert_array_equal(p.take.bind(x, np.array([0, 2**63], np.uint64), axis=0), [1, 3])


def test_bfloat16_rounds_ties_to_even():
    base = np.float32(1.0)
    step = np.float32(2.0**-7)
    x = np.array([base + step / 2, base + step * 1.5, base + step * 0.51, 1e-40, -3.3e38, np.inf, -np.inf], np.float32)
    wanted = np.array([base, base + 2 * step, base + step], np.float32)
    y = bfloat16(x)
    np.testing.assert_array_equal(y[:3], wanted)
    assert y.dtype == np.float32 and not (y.view(np.uint32) & 0xFFFF).any()
    assert abs(y[4] / x[4] - 1) < 2**-8
    np.testing.assert_array_equal(y[5:], [np.inf, -np.inf])
    odd = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)  # NaN, whatever its mantissa
    assert np.isnan(bfloat16(odd)).all()
    inside = x.copy()
    assert bfloat16(inside, inside) is inside
    np.testing.assert_array_equal(inside, y)


def test_no_warning_escapes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.array([0.0, -1.0, np.inf, np.nan, 1e30], np.float32)
        for op in (ops.log, ops.sqrt, ops.exp, ops.reciprocal, ops.square, ops.softplus, ops.softmax, ops.log1p):
            op(x)
        p.convert.bind(x, dtype="int32")


def test_eager_results_are_arrays_of_their_own():
    x = np.arange(6.0).reshape(2, 3)
    for y in (ops.transpose(x), ops.reshape(x, (3, 2)), ops.getitem(x, 0), ops.broadcast_to(x, (2, 2, 3))):
        assert y.flags.writeable and not np.shares_memory(x, y)
    assert isinstance(ops.sum(x), np.ndarray)


def test_a_backend_with_mandatory_kernels_only_computes_the_same():
    simple = Backend("simple", {op: k for op, k in BACKEND.kernels.items() if op.mandatory})
    for sample in COMPOSITES[::7]:
        program, arrays = sample.program("float32"), sample.arguments("float32")
        with np.errstate(all="ignore"):
            assert_close(simple.compile(program)(*arrays), computed(program, arrays), 2e-5)
