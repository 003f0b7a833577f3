"""A backend whose arrays have their own dtypes and can be written into: what it declares is all that lamella asks."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

import lamella
import lamella.backend as api
from lamella import layers, ops
from lamella.backend_api import registry
from lamella.errors import DTypeError
from lamella.ir import interpret, spec, trace
from lamella.ir.spec import DTYPES, Spec, dtype_name, spec_of
from lamella.ops import primitives as p
from lamella.testing import conformance

FRAMEWORK = '''
"""A framework that knows nothing of lamella, and a backend for it."""
import numpy as np

from lamella.backend import Backend
from lamella.ops.primitives import convert
from lamella.testing.reference import KERNELS

NAMES = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


class Dtype:
    pass


class Tensor:
    def __init__(self, data, dtype):
        self.data, self.dtype, self.shape = data, DTYPES[dtype], data.shape

    def __array__(self, *_, **__):
        raise TypeError("no implicit conversion")


DTYPES = {name: Dtype() for name in NAMES}
UNDECLARED = Dtype()


def wrapped(kernel):
    def run(*tensors, **attributes):
        result = np.asarray(kernel(*[x.data for x in tensors], **attributes))
        half = result.dtype == np.float32 and any(x.dtype is DTYPES["bfloat16"] for x in tensors)
        return Tensor(result, "bfloat16" if half else result.dtype.name)

    return run


class Own(Backend):
    kernels = {op: wrapped(kernel) for op, kernel in KERNELS.items() if op.mandatory}
    kernels[convert] = lambda x, *, dtype: BACKEND.asarray(x, dtype)
    dtypes = {dtype: name for name, dtype in DTYPES.items()}

    def asarray(self, array, dtype=None):
        array = array.data if isinstance(array, Tensor) else array
        stored = None if dtype is None else "float32" if dtype == "bfloat16" else dtype
        data = np.asarray(array, stored)
        return Tensor(data, dtype or data.dtype.name)

    def numpy(self, array):
        return array.data

    def owns(self, array):
        return isinstance(array, Tensor)

    def fresh(self, array, dtype):
        return self.asarray(np.array(getattr(array, "data", array)), dtype)

    def shares_memory(self, array, other):
        return isinstance(array, Tensor) and isinstance(other, Tensor) and np.may_share_memory(array.data, other.data)


BACKEND = Own("framework")
'''


@pytest.fixture
def framework(tmp_path, monkeypatch):
    """The module, installed with an entry point; its backend is not loaded."""
    monkeypatch.setattr(registry, "_LOADED", dict(registry._LOADED))
    monkeypatch.setattr(interpret, "_EVALUATORS", list(interpret._EVALUATORS))
    monkeypatch.setattr(spec, "_NAMES", dict(spec._NAMES))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "framework.py").write_text(FRAMEWORK, encoding="utf-8")
    information = tmp_path / "framework-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: framework\nVersion: 1.0\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(f"[{api.GROUP}]\nframework = framework:BACKEND\n", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "framework", raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("framework")


def tensor(framework, numbers, dtype="float32"):
    return framework.BACKEND.asarray(np.array(numbers), dtype)


def test_a_dtype_loads_the_backend_that_declares_it(framework):
    assert "framework" not in registry._LOADED
    assert spec_of(tensor(framework, [1, 2])) == Spec((2,), "float32")
    assert "framework" in registry._LOADED
    assert [dtype_name(framework.DTYPES[name]) for name in DTYPES] == list(DTYPES)


def test_a_dtype_that_no_backend_declares(framework):
    for _ in range(2):  # before the backend is loaded, and after
        with pytest.raises(DTypeError, match="is not a dtype lamella computes with"):
            dtype_name(framework.UNDECLARED)
    with pytest.raises(DTypeError, match="is not a dtype lamella computes with"):
        dtype_name([])


def test_a_declaration_of_unknown_names_is_refused(framework):
    wrong = framework.Own("wrong")
    wrong.dtypes = {framework.UNDECLARED: "float8"}
    with pytest.raises(DTypeError, match="'float8' is not a dtype"):
        api.register_backend(wrong)
    assert "wrong" not in registry._LOADED


def test_its_dtypes_are_arguments(framework):
    api.load_backend("framework")
    wide, own = framework.DTYPES["float64"], tensor(framework, [1, 2])
    assert ops.cast(own, wide).dtype is wide
    assert ops.convert_to_tensor([1, 2], wide).dtype == np.float64
    assert ops.convert_to_tensor([1, 2], np.float64).dtype == np.float64
    assert layers.Dense(1, dtype=wide).compute_dtype == "float64"
    # in a trace a float64 that was asked for is not taken for floatx
    program = trace.trace(lambda x: ops.convert_to_tensor([1.0], np.float64), Spec((1,), "float32"))
    assert program.output_specs[0].dtype == "float64"


def test_ops_at_once_give_its_arrays(framework):
    own = tensor(framework, [1, 2])
    assert ops.add(own, 1.0).data.tolist() == [2.0, 3.0]
    assert ops.add(np.ones(2, np.float32), own).data.tolist() == [2.0, 3.0]
    half = ops.multiply(tensor(framework, [1, 2], "bfloat16"), 0.5)  # NumPy's 0.5 of bfloat16 is a float32
    assert half.dtype is framework.DTYPES["bfloat16"] and half.data.tolist() == [0.5, 1.0]
    (size,) = framework.BACKEND.evaluate(p.dimension_value, [], {"dim": 3, "dtype": "int32"})
    assert framework.BACKEND.owns(size)
    (value,) = framework.BACKEND.evaluate(trace.constant, [], {"value": np.ones(2), "dtype": "float64"})
    assert framework.BACKEND.owns(value)


def test_an_evaluator_may_return_a_list(framework, monkeypatch):
    evaluate = framework.Own.evaluate
    monkeypatch.setattr(framework.Own, "evaluate", lambda *given: list(evaluate(*given)))
    parts = p.split.bind(tensor(framework, [1, 2]), sizes=(1, 1), axis=0)
    assert isinstance(parts, tuple) and [x.data.tolist() for x in parts] == [[1.0], [2.0]]


def test_results_share_no_memory_with_operands(framework):
    own = tensor(framework, [1, 2])
    api.load_backend("framework")
    for op, attributes in ((p.reshape, {"shape": (2, 1)}), (p.stop_gradient, {})):
        result = op.bind(own, **attributes)
        result.data[...] = 7.0
        assert own.data.tolist() == [1.0, 2.0]
    program = trace.trace(lambda x: [x, ops.reshape(x, (2, 1)), x], Spec((2,), "float32"))
    for result in framework.BACKEND.compile(program)(own):
        result.data[...] += 7.0
    assert own.data.tolist() == [1.0, 2.0]


def test_conformance_finds_results_that_share_memory(framework, monkeypatch):
    conformance._outputs_that_are_inputs(framework.BACKEND)
    keep = lambda self, results, operands: tuple(results)  # noqa: E731
    monkeypatch.setattr(framework.Own, "_owned", keep)
    with pytest.raises(AssertionError, match="an input unchanged shares memory"):
        conformance._outputs_that_are_inputs(framework.BACKEND)
    report = conformance.run(framework.BACKEND, only=["transpose"], quick=True, derivatives=False)
    assert "shares memory with an operand" in str(report)
    once = lambda self, results, operands: tuple([self.fresh(results[0], "float32")] * len(results))  # noqa: E731
    monkeypatch.setattr(framework.Own, "_owned", once)
    with pytest.raises(AssertionError):
        conformance._outputs_that_are_inputs(framework.BACKEND)


def test_its_numbers_come_from_its_own_conversion(framework):
    own = tensor(framework, [[1], [2]], "bfloat16")  # np.asarray of it raises
    assert ops.convert_to_numpy(own).tolist() == [[1.0], [2.0]]
    assert ops.convert_to_numpy(own) is not own.data
    program = trace.trace(lambda x: x + own, Spec((2, 1), "bfloat16"))
    assert [e.attrs["dtype"] for e in program.equations if e.op is trace.constant] == ["bfloat16"]
    model = lamella.Sequential([layers.Input((2,)), layers.Dense(1, use_bias=False)])
    model.set_weights([own])
    assert model.get_weights()[0].tolist() == [[1.0], [2.0]]


def test_a_lowered_function_takes_numpy_arrays(framework):
    fn = lamella.Sequential([layers.Input((2,)), layers.Dropout(0.5)]).lower(backend="framework", training=True)
    y, _ = fn({}, {}, np.ones((1, 2), np.float32), seed=3)
    wanted, _ = fn({}, {}, tensor(framework, [[1.0, 1.0]]), seed=3)
    assert framework.BACKEND.owns(y) and y.data.tolist() == wanted.data.tolist()
