"""Checks that a program compiled by the NumPy backend computes what the interpreter computes."""

from __future__ import annotations

import numpy as np

from lamella.backend_api import Backend
from lamella.ir import interpret
from lamella.ir.check import check
from lamella.ir.spec import numpy_dtype
from lamella_numpy import BACKEND, kernels


def interpreted(program, arrays):
    with np.errstate(all="ignore"):
        return [np.array(y) for y in interpret.run(Backend.prepare(BACKEND, program), arrays, kernels.apply)]


def draw_arrays(program, seed=0):
    rng = np.random.default_rng(seed)
    arrays = []
    for spec in program.input_specs:
        if spec.dtype == "bool":
            arrays.append(rng.random(spec.shape) < 0.5)
        elif spec.dtype.startswith(("int", "uint")):
            arrays.append(rng.integers(0, 5, spec.shape).astype(spec.dtype))
        else:
            arrays.append(np.asarray(rng.normal(size=spec.shape), numpy_dtype(spec.dtype)))
    return [BACKEND.asarray(a, s.dtype) for a, s in zip(arrays, program.input_specs, strict=True)]


def assert_same(found, wanted, dtype="float32"):
    tolerance = {"float16": 2e-2, "bfloat16": 3e-2, "float64": 1e-12}.get(dtype, 2e-5)
    assert len(found) == len(wanted)
    for y, z in zip(found, wanted, strict=True):
        assert isinstance(y, np.ndarray)
        assert (y.dtype, y.shape) == (z.dtype, z.shape)
        if y.dtype.kind == "f":
            np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(y, z)


def assert_apart(results, arrays):
    """No result shares memory with another, nor with an argument."""
    for i, y in enumerate(results):
        assert y.flags.writeable
        for other in (*results[:i], *arrays):
            assert not np.shares_memory(y, other)


def assert_compiles(program, dtype="float32"):
    check(program)
    compiled = BACKEND.compile(program)
    arrays = draw_arrays(program)
    before = [a.copy() for a in arrays]
    first = compiled(*arrays)
    assert_same(first, interpreted(program, arrays), dtype)
    assert_apart(first, arrays)
    kept = [y.copy() for y in first]
    for y in first:  # a caller may do with results what it likes
        y[...] = 7
    for y, z in zip(compiled(*arrays), kept, strict=True):
        np.testing.assert_array_equal(y, z)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)
    return compiled
