"""Both backends of this repository conform. Their derivatives are compared in test_vjps.py, op by op."""

from __future__ import annotations

import pytest

from lamella.testing import conformance

# what a lowering can get wrong: the others are one call of jax.numpy each, and take a second of compilation each
TRICKY = [
    "remainder", "floor_divide", "power", "maximum", "abs", "round", "convert", "pad", "broadcast", "slice", "reduce_max",
    "argmax", "contract", "scan", "foreach", "take", "scatter_add", "random_bits", "fold_in", "convolve", "max_pool",
    "sigmoid",
]  # fmt: skip


def test_numpy_conforms():
    report = conformance.run("numpy", derivatives=False)
    assert report.passed, report


def test_jax_conforms_where_it_is_tricky(jax):
    report = conformance.run("jax", only=TRICKY, quick=True, derivatives=False)
    assert report.passed, report


@pytest.mark.parametrize("topic", conformance._TOPICS)
def test_jax_keeps_the_promise(jax, topic):
    from lamella.backend_api import load_backend

    conformance._TOPICS[topic](load_backend("jax"))


@pytest.mark.slow
def test_jax_conforms(jax):
    report = conformance.run("jax")
    assert report.passed, report
