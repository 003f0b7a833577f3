"""Loops rearranged for XLA: gates by one sigmoid, a bias added within the loop."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from lamella import ops  # noqa: E402
from lamella.ir.check import check  # noqa: E402
from lamella.ir.spec import Spec  # noqa: E402
from lamella.ir.trace import trace  # noqa: E402
from lamella.ops import primitives as p  # noqa: E402
from lamella.passes import simplify  # noqa: E402
from lamella_jax import LOWERINGS, lowerings  # noqa: E402
from lamella_jax.xla_cpu import scans  # noqa: E402


def looped(gates, keeps=False, bias=None, after=None):
    """A program whose loop parts a product and takes sigmoids of the parts `gates`, and that loop."""

    def outputs(xs, w, *b):
        def turn(h, x):
            parts = ops.split(x + ops.matmul(h, w), 4, 1)
            parts = [ops.sigmoid(part) if i in gates else ops.tanh(part) for i, part in enumerate(parts)]
            return parts[0] * h + parts[1] * parts[2] - parts[3], parts if keeps else parts[0] * 2.0

        xs = sum(b, xs)
        return [ops.scan(turn, ops.zeros((2, 3), "float32"), xs), after(xs) if after else w]

    shapes = [(5, 2, 12), (3, 12), *([] if bias is None else [bias])]
    program = simplify(trace(lambda *xs: tuple(jax.tree.leaves(outputs(*xs))), *[Spec(s, "float32") for s in shapes]))
    (loop,) = [e for e in program.equations if e.op is p.scan]
    return program, loop


def numbers(program):
    arrays = [np.random.default_rng(0).standard_normal(s.shape).astype(np.float32) for s in program.input_specs]
    return jax.jit(lambda *xs: lowerings.outputs(LOWERINGS, program, *xs))(*arrays)


def arranged(program):
    return scans.with_biases_inside(scans.with_gates_together(program))


def ops_of(program):
    return [e.op for e in program.equations]


@pytest.mark.parametrize("gates", [{0, 1}, {0, 1, 3}, {0, 1, 2, 3}, {1, 3}])
def test_gates_are_computed_together(gates):
    program, loop = looped(gates)
    assert ops_of(scans.gates_together(loop.attrs["body"])).count(p.sigmoid) == 1
    for y, wanted in zip(numbers(check(arranged(program))), numbers(program), strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("gates", "keeps"), [({0, 1, 3}, True), ({2}, False), (set(), False)])
def test_gates_that_are_kept_or_few_stay_apart(gates, keeps):
    _, loop = looped(gates, keeps)
    assert scans.gates_together(loop.attrs["body"]) is loop.attrs["body"]


@pytest.mark.parametrize("shape", [(12,), (2, 12), (), (1, 12)])
def test_a_bias_is_added_within_the_loop(shape):
    program, _ = looped({0, 1, 3}, keeps=True, bias=shape)
    inside = check(arranged(program))
    assert p.add in ops_of(program) and p.add not in ops_of(inside)
    for y, wanted in zip(numbers(inside), numbers(program), strict=True):
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(("shape", "after"), [((12,), ops.tanh), ((5, 1, 12), None), ((5, 2, 12), None)])
def test_what_others_read_or_differs_by_turn_is_added_outside(shape, after):
    program, _ = looped({0, 1, 3}, keeps=True, bias=shape, after=after)
    assert p.add in ops_of(arranged(program))
