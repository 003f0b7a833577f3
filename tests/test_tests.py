"""Tests of the tests: a planted wrong kernel, shape rule or derivative must make the suite fail."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from lamella.errors import LamellaError
from lamella.ir import interpret
from lamella.ir.spec import Spec, is_float
from lamella.ops import primitives as p
from lamella.testing import conformance
from lamella.testing.__main__ import main
from lamella.testing.equivalence import assert_close, compare_backends, difference
from lamella.testing.gradcheck import gradcheck, has_derivative
from lamella.testing.reference import KERNELS, Reference
from lamella.testing.samples import SAMPLES, samples_of


class Planted(Reference):
    """The reference with some kernels replaced."""

    name = "planted"

    def __init__(self, kernels):
        super().__init__("planted", {**KERNELS, **kernels})


def off(kernel):
    """A kernel whose first result is wrong in one entry: by a thousandth, or by one."""

    def wrong(*operands, **attributes):
        result = np.array(kernel(*operands, **attributes))
        if result.size:
            entry = result.reshape(-1)[-1:]
            result.reshape(-1)[-1:] = (
                ~entry if result.dtype == bool else entry * 1.001 + (1e-3 if entry.dtype.kind == "f" else 1)
            )
        return result

    return wrong


def test_the_reference_conforms_to_itself():
    report = conformance.run(Planted({}), quick=True, derivatives=False)
    assert report.passed, report
    assert report.op("softmax").name not in report.kernels and "add" in report.kernels


@pytest.mark.parametrize("name", [name for name, op in p.every_op().items() if op in KERNELS])
def test_a_wrong_kernel_is_found(name):
    op = p.every_op()[name]
    report = conformance.run(Planted({op: off(KERNELS[op])}), only=[name], derivatives=False)
    assert not report.passed
    assert any(name in text for text in report.failures), report.failures


def test_a_kernel_of_the_wrong_dtype_or_shape_is_found():
    class Loose(Planted):
        def apply(self, equation, operands):
            if equation.op is p.tanh:
                return (np.tanh(np.asarray(operands[0], np.float64)),)
            return super().apply(equation, operands)

    report = conformance.run(Loose({}), only=["tanh"], derivatives=False)
    assert any("is float64, the shape rule says float32[2,3]" in text for text in report.failures), report.failures
    report = conformance.run(Planted({p.tanh: lambda x: np.tanh(x)[..., None]}), only=["tanh"], derivatives=False)
    assert any("has shape (2, 3, 1)" in text for text in report.failures), report.failures


def test_impure_kernels_are_found():
    class Plain(Planted):
        def compile(self, program):  # the reference, and the default, copy what they return
            prepared = self.prepare(program)
            return lambda *arrays: interpret.run(prepared, arrays, self.apply)

        def apply(self, equation, operands):
            if equation.op is not p.tanh:
                return super().apply(equation, operands)
            return (self.kernels[equation.op](*operands),)

    def changing(x):
        y = np.tanh(x)
        x += 1
        return y

    kept, calls = np.zeros((2, 3), np.float32), []

    def buffered(x):
        if x.shape != kept.shape or x.dtype != kept.dtype:
            return np.tanh(x)
        np.tanh(x, out=kept)
        calls.append(x)
        kept[...] += 1e-6 * len(calls)
        return kept

    for kernel, words in [
        (changing, "was changed by the call"),
        (buffered, "changed when the function was called again"),
        (lambda x: x, "shares memory with an operand"),
    ]:
        report = conformance.run(Plain({p.tanh: kernel}), only=["tanh"], derivatives=False)
        assert any(words in text for text in report.failures), (words, report.failures)


RULED = [name for name, op in p.every_op().items() if op.vjp is not None]


@pytest.mark.parametrize("name", RULED)
def test_a_wrong_derivative_is_found(name, monkeypatch):
    op = p.every_op()[name]
    rows = [s for s in samples_of(op) if has_derivative(s)]
    rule = op.vjp

    def wrong(*operands, **attributes):
        result = rule(*operands, **attributes)
        parts = list(result) if isinstance(result, tuple) else [result]
        for i, part in enumerate(parts):
            if part is not None and is_float(part.dtype):
                parts[i] = p.multiply(part, 1.001)
        return tuple(parts)

    monkeypatch.setattr(op, "vjp", wrong)
    found = 0
    for row in rows[:3]:
        try:
            gradcheck(row)
        except AssertionError as error:
            assert "central differences give" in str(error)
            found += 1
    assert found, f"no row of {name} notices a derivative that is a thousandth too large"


def test_a_derivative_of_the_wrong_shape_is_found(monkeypatch):
    monkeypatch.setattr(p.reduce_sum, "vjp", lambda g, y, x, *, axes: g)
    with pytest.raises(LamellaError, match="a derivative rule returned"):
        gradcheck(samples_of(p.reduce_sum)[0])


def test_a_derivative_that_should_not_be_is_found(monkeypatch):
    monkeypatch.setattr(p.stop_gradient, "differentiable", True)
    monkeypatch.setattr(p.stop_gradient, "vjp", lambda g, y, x: g)
    with pytest.raises(AssertionError, match="hides its derivative"):
        gradcheck(samples_of(p.stop_gradient)[0])


def test_a_wrong_kink_is_found(monkeypatch):
    monkeypatch.setattr(p.abs, "vjp", lambda g, y, x: p.multiply.bind(g, p.sign.bind(x)))
    report = conformance.run("numpy", only=["abs"], derivatives=False)
    assert any("abs at [0.0]" in text and "derivative" in text for text in report.failures)


@pytest.mark.parametrize("name", ["add", "transpose", "contract", "reduce_sum", "convolve", "argmax", "equal", "iota"])
def test_a_wrong_shape_rule_is_found(name, monkeypatch):
    op = p.every_op()[name]
    rule = op.shape

    def wrong(*specs, **attributes):
        right = rule(*specs, **attributes)
        return Spec((*right.shape[:-1], right.shape[-1] + 1) if right.shape else (1,), right.dtype)

    monkeypatch.setattr(op, "shape", wrong)
    report = conformance.run("numpy", only=[name], derivatives=False)
    assert not report.passed

    monkeypatch.setattr(op, "shape", lambda *s, **a: Spec(rule(*s, **a).shape, "int8"))
    report = conformance.run("numpy", only=[name], derivatives=False)
    assert not report.passed


def test_an_op_without_rows_is_found(monkeypatch):
    monkeypatch.setattr("lamella.testing.conformance.samples_of", lambda op: [])
    report = conformance.run("numpy", only=["add"], derivatives=False)
    assert report.failures == ["add: AssertionError: the op has no row in lamella.testing.samples."] or (
        len(report.failures) == 1 and "has no row" in report.failures[0]
    )


def test_a_wrong_runner_is_found():
    from lamella.backend_api import Runner

    class Forgetful(Runner):
        def run(self, state, data, indices, rows):
            return super().run(state, data, indices[:1], rows[:1])

    class Hasty(Runner):
        def run(self, state, data, indices, rows):
            result = super().run(state, data, indices, rows)
            state[0][...] = result[0]
            return result

    for runner, words in ((Forgetful, "after 5 steps"), (Hasty, "the state before the chunk")):
        backend = Planted({})
        backend.runner = functools.partial(runner, backend)
        with pytest.raises(AssertionError, match=words):
            conformance._TOPICS["five training steps"](backend)


def test_tensors_are_compared_in_their_own_size():
    assert_close([1000.0, 0.001], [1000.0, 0.0], 1e-5)
    with pytest.raises(AssertionError, match=r"above 1e-05.*at \(1,\)"):
        assert_close([1000.0, 0.1], [1000.0, 0.0], 1e-5)
    with pytest.raises(AssertionError):
        assert_close([1e-30], [0.0], 1e-5)
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_close([1.0], [[1.0]], 1.0)
    with pytest.raises(AssertionError):
        assert_close([np.nan, 1.0], [1.0, np.nan], 1.0)
    with pytest.raises(AssertionError):
        assert_close([np.inf], [-np.inf], 1.0)
    assert_close([np.nan, np.inf, 2.0], [np.nan, np.inf, 2.0], 0.0)
    assert difference([], []) == 0.0 and difference([1, 2], [1, 3]) == np.inf


def test_differing_backends_are_told_apart_by_equation():
    from lamella import ops
    from lamella.ir import trace

    program = trace.trace(lambda x: ops.exp(ops.sin(ops.tanh(x))), Spec((3,), "float32"), where="encoder")
    x = [np.array([0.1, 0.2, 0.3], np.float32)]
    assert compare_backends(program, ["numpy", Planted({})], x)["planted"] <= 1e-6
    with pytest.raises(AssertionError, match=r"equation 1 \(sin, layer 'encoder'\) on 'planted'"):
        compare_backends(program, ["numpy", Planted({p.sin: off(np.sin)})], x)


def test_command(capsys):
    assert main(["--backend", "numpy", "--only", "add,tanh", "--quick"]) == 0
    assert "conforms" in capsys.readouterr().out
    assert main(["--backend", "nunpy"]) == 2
    assert "did you mean 'numpy'?" in capsys.readouterr().err
    assert main(["--backend", "numpy", "--only", "sigmiod"]) == 2
    assert "did you mean 'sigmoid'?" in capsys.readouterr().err


def test_command_reports_failures(monkeypatch, capsys):
    monkeypatch.setattr(p.tanh, "vjp", lambda g, y, x: g)
    assert main(["--backend", "numpy", "--only", "tanh"]) == 1
    out = capsys.readouterr().out
    assert "does NOT conform" in out and "FAILED tanh" in out and "central differences" in out


def test_there_are_rows_enough():
    assert len(SAMPLES) > 300
