"""Loops: values and derivatives against the loop written out, and where gradients of weights are computed."""

from __future__ import annotations

import numpy as np
import pytest

from checked_passes import every_pass_is_checked  # noqa: F401
from lamella import ops, passes
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import trace
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.ops import primitives as p
from lamella.testing.equivalence import assert_close, run_on
from lamella.testing.gradcheck import check_gradients, number_of
from lamella.testing.reference import REFERENCE
from lamella.testing.samples import samples_of

ROWS = {s.reason: s for s in samples_of(p.scan)}


def loops(program):
    """All scans of a program, those inside bodies too."""
    for equation in program.equations:
        if equation.op is p.scan:
            yield equation
        for attribute in equation.attrs.values():
            if isinstance(attribute, Program):
                yield from loops(attribute)


def unrolled(program):
    return passes.expand(program, lambda op: op is not p.scan)


@pytest.mark.parametrize("reason", ROWS)
def test_values_of_the_unrolled_loop(reason, backend):
    sample = ROWS[reason]
    program, arguments = sample.program("float64"), sample.arguments("float64")
    assert list(loops(program)) and not list(loops(unrolled(program)))
    expected = run_on("numpy", unrolled(program), arguments)
    for result, wanted in zip(run_on(backend, program, arguments), expected, strict=True):
        assert_close(result, wanted, 1e-12)


@pytest.mark.parametrize("reason", ROWS)
def test_gradients_of_the_unrolled_loop(reason):
    sample = ROWS[reason]
    number, arguments = number_of(sample.program("float64")), sample.arguments("float64")
    looped = passes.differentiate(number, sample.active)
    assert list(loops(looped))
    expected = run_on(REFERENCE, passes.differentiate(unrolled(number), sample.active), arguments)
    for chosen in (REFERENCE, "numpy"):
        for result, wanted in zip(run_on(chosen, looped, arguments), expected, strict=True):
            assert_close(result, wanted, 1e-11)
    for result, wanted in zip(run_on("numpy", passes.simplify(looped), arguments), expected, strict=True):
        assert_close(result, wanted, 1e-11)


STEPS, BATCH, WIDTH, UNITS = 4, 2, 3, 5


def recurrent(xs, w, u, b):
    def step(h, x):
        h = ops.tanh(x @ w + h @ u + b)
        return h, h

    return ops.sum(ops.square(ops.scan(step, ops.zeros((BATCH, UNITS), xs.dtype), xs)[1]))


def gated(xs, w, u, b):
    """An LSTM: one wide product each of the input and the state, cut into gates."""

    def step(carry, x):
        h, c = carry
        i, f, g, o = ops.split(x @ w + h @ u + b, 4, axis=1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        return (ops.sigmoid(o) * ops.tanh(c),) * 1 + (c,), c

    zero = ops.zeros((BATCH, UNITS), xs.dtype)
    (h, _), cs = ops.scan(step, (zero, zero), xs)
    return ops.sum(h * h) + ops.mean(cs)


@pytest.mark.parametrize(("cell", "gates"), [(recurrent, 1), (gated, 4)])
def test_weight_gradients_leave_the_loop(cell, gates):
    specs = [
        Spec((STEPS, BATCH, WIDTH), "float64"),
        Spec((WIDTH, gates * UNITS), "float64"),
        Spec((UNITS, gates * UNITS), "float64"),
        Spec((gates * UNITS,), "float64"),
    ]
    derived = passes.simplify(passes.differentiate(trace.trace(cell, *specs), [1, 2, 3]))
    weights = {s.shape for s in specs[1:]}
    found = list(loops(derived))
    assert len(found) == 2  # forward and backward
    for loop in found:
        n, m = loop.attrs["consts"], loop.attrs["carries"]
        assert not weights & {v.shape for v in loop.inputs[n : n + m]}, "a weight's gradient is added up in the loop"
        # no product of the backward body has the shape of a weight either
        assert not weights & {v.shape for e in loop.attrs["body"].equations for v in e.outputs if e.op is p.contract}
    after = [e for e in derived.equations if e.op is p.contract]
    assert sorted(e.outputs[0].shape for e in after) == sorted(s.shape for s in specs[1:3])
    assert all(len(e.attrs["contracting"][0]) == 2 for e in after)  # over steps and rows at once
    arguments = [np.random.default_rng(0).standard_normal(s.shape) for s in specs]
    check_gradients(trace.trace(cell, *specs), arguments, [0, 1, 2, 3])


def test_nested_loops_are_differentiated_twice():
    sample = ROWS["nested"]
    check_gradients(sample.program("float64"), sample.arguments("float64"), sample.active)
    check_gradients(sample.program("float64"), sample.arguments("float64"), sample.active, order=2)


def test_only_what_the_backward_loop_reads_is_stacked():
    def linear(x, w):
        return ops.sum(ops.scan(lambda h, _: (h @ w, None), x, length=3)[0])

    specs = [Spec((2, 2), "float32"), Spec((2, 2), "float32")]
    derived = passes.simplify(passes.differentiate(trace.trace(linear, *specs), [0]))
    for loop in loops(derived):
        assert len(loop.outputs) == loop.attrs["carries"], "the gradient of a linear step needs no stack"


def test_what_little_arithmetic_makes_from_other_stacks_has_none():
    def gated_step(x, w):
        return ops.sum(ops.scan(lambda h, _: (ops.sigmoid(h @ w) * h, None), x, length=3)[0])

    specs = [Spec((2, 2), "float64"), Spec((2, 2), "float64")]
    derived = passes.simplify(passes.differentiate(trace.trace(gated_step, *specs), [0, 1]))
    forward, backward = loops(derived)
    # the carry before the step and its gate y; the slope y * (1 - y) is made again
    assert len(forward.outputs) == 1 + 2
    assert not [e for e in forward.attrs["body"].equations if e.op is p.subtract]
    assert [e for e in backward.attrs["body"].equations if e.op is p.subtract]
    check_gradients(trace.trace(gated_step, *specs), [np.eye(2) + 0.1, np.eye(2) - 0.2], [0, 1], order=2)


def test_captured_integers_and_bools_have_no_gradient():
    def f(xs, mask, n):
        def step(h, x):
            return ops.where(mask, h + x * ops.cast(n, "float64"), h), None

        return ops.sum(ops.square(ops.scan(step, ops.zeros((3,), "float64"), xs)[0]))

    specs = [Spec((2, 3), "float64"), Spec((3,), "bool"), Spec((), "int32")]
    arguments = [np.arange(6.0).reshape(2, 3), np.array([True, False, True]), np.array(2, np.int32)]
    check_gradients(trace.trace(f, *specs), arguments, [0])


def test_reverse_belongs_to_the_same_slices():
    def f(xs):
        return ops.scan(lambda h, x: (h + x, h + x), ops.zeros((), "float32"), xs, reverse=True)

    last, sums = run_on("numpy", trace.trace(f, Spec((4,), "float32")), [np.arange(4, dtype=np.float32)])
    assert last == 6
    np.testing.assert_array_equal(sums, [6, 6, 5, 3])


def test_eager_loop():
    last, sums = ops.scan(lambda h, x: (h + x, h * x), np.zeros(2), np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(last, [6, 9])
    np.testing.assert_array_equal(sums, [[0, 0], [0, 3], [8, 20]])


def test_structures_of_carries_and_outputs():
    def f(xs):
        def step(carry, x):
            return {"total": carry["total"] + x, "last": x}, [x, (carry["last"],)]

        return ops.scan(step, {"total": ops.zeros((), "float32"), "last": ops.zeros((), "float32")}, xs)

    with trace.Trace() as running:
        carry, ys = f(running.input(Spec((3,), "float32")))
    assert set(carry) == {"total", "last"} and isinstance(ys, list) and isinstance(ys[1], tuple)
    assert ys[0].shape == (3,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.scan(lambda h, r: (ops.sum(h), None), x[0], x), "a carry must keep its spec"),
        (lambda x: ops.scan(lambda h, r: ((h, h), None), x[0], x), "structure"),
        (lambda x: ops.scan(lambda h, r: (h, None), x[0], (x, x[:1])), "one number of steps"),
        (lambda x: ops.scan(lambda h, r: (h, None), x[0]), "one number of steps"),
    ],
)
def test_refusals(call, words):
    with pytest.raises((ArgumentError, ShapeError), match=words):
        trace.trace(call, Spec((2, 3), "float32"))
