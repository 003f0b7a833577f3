"""Every derivative rule against central differences in float64, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from checked_passes import every_pass_is_checked  # noqa: F401
from lamella import ops
from lamella.backend_api import load_backend
from lamella.ir import trace
from lamella.ir.check import check
from lamella.ir.spec import Spec
from lamella.ops import primitives as p
from lamella.testing import cases
from lamella.testing.equivalence import assert_close, run_on
from lamella.testing.gradcheck import check_gradients, has_derivative
from lamella.testing.report import Tally
from lamella.testing.samples import KINKS, SAMPLES, kinks_of, ops_without_samples, samples_of

DIFFERENTIABLE = [name for name, op in p.every_op().items() if any(map(has_derivative, samples_of(op)))]


def hold(backend, rows):
    tally = Tally("derivatives")
    cases.run_cases(load_backend(backend), [(tally, row) for row in rows])
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.passed == len(rows)


def test_every_registered_op_has_rows():
    assert ops_without_samples() == []


def test_every_op_with_a_rule_is_differentiated_here():
    ruled = {name for name, op in p.every_op().items() if op.vjp is not None or op.linearize is not None}
    assert ruled - set(DIFFERENTIABLE) == set()


def test_labels_tell_rows_apart():
    labels = [s.label for s in SAMPLES]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_rules_against_differences(name, order):
    rows = [s for s in samples_of(p.every_op()[name]) if has_derivative(s)]
    made = [cases.case_of_derivative(row, order) for row in rows]
    for case in made:
        check(case.program)
    hold("numpy", made)


def on_jax(names, order, rows_each=None):
    rows = [s for n in names for s in [s for s in samples_of(p.every_op()[n]) if has_derivative(s)][:rows_each]]
    hold("jax", [cases.case_of_derivative(row, order) for row in rows])


# whose derivative on JAX is more than a few elementwise lowerings, all of which the conformance suite holds too
TRICKY = ["power", "select", "reduce_max", "contract", "scan", "take", "scatter_add", "softmax", "slice", "split"]


@pytest.mark.parametrize("name", [*TRICKY, "convolve", "max_pool", "average_pool"])
def test_rules_on_jax(jax, name):
    on_jax([name], 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_rule_on_jax(jax, name, order):
    on_jax([name], order)


@pytest.mark.parametrize("name", sorted({k.op.name for k in KINKS}))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kinks(name, dtype):
    hold("numpy", [case for kink in kinks_of(p.every_op()[name]) for case in cases.cases_of_kink(kink, dtype)])


def test_a_composite_is_differentiated_through_its_definition():
    def variance(x):
        return ops.sum(ops.variance(ops.log_softmax(x) * ops.sigmoid(x), axis=0))

    program = trace.trace(variance, Spec((3, 4), "float64"))
    check_gradients(program, [np.random.default_rng(0).standard_normal((3, 4))], [0])
    check_gradients(program, [np.random.default_rng(0).standard_normal((3, 4))], [0], order=2)


def test_rules_agree_with_jax_grad(jax):
    """The two derivations of one function: ours by equations, JAX's by its own rules."""
    from lamella.passes import differentiate

    def loss(x, w, k):
        h = ops.relu(ops.convolve.bind(x, k, strides=(2,), padding=((1, 0),), dilation=(1,), groups=1))
        h = ops.primitives.max_pool.bind(h, window=(2,), strides=(1,), padding=((0, 0),))
        y = ops.log_softmax(ops.reshape(h, (2, -1)) @ w)
        return ops.mean(ops.logsumexp(y * y, axis=1))

    specs = [Spec((2, 6, 2), "float64"), Spec((6, 3), "float64"), Spec((3, 2, 3), "float64")]
    program = trace.trace(loss, *specs)
    generator = np.random.default_rng(1)
    arguments = [generator.standard_normal(s.shape) for s in specs]
    ours = run_on("numpy", differentiate(program, [0, 1, 2]), arguments)
    backend = load_backend("jax")
    with backend.scope(program):
        function = backend.function(program)
        theirs = jax.grad(lambda *a: function(*a)[0], argnums=(0, 1, 2))(*arguments)
        for mine, other in zip(ours[1:], theirs, strict=True):
            assert_close(mine, np.asarray(other), 1e-9)
