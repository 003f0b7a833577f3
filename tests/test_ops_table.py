"""Every function of `lamella.ops` against NumPy and Keras's recorded answers, on both backends, with derivatives."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import re
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import lamella
from lamella import ops, passes
from lamella.errors import ArgumentError, DTypeError, ShapeError, TraceError
from lamella.ir import settings, trace
from lamella.ir.dim import symbol
from lamella.ir.program import Op
from lamella.ir.spec import Spec
from lamella.testing.cases import joined
from lamella.testing.equivalence import run_on
from lamella.testing.gradcheck import check_gradients
from lamella.tree import flatten
from ops_table import ELSEWHERE, KERAS, ROWS
from oracle.load import DATA, archive

ANSWERS = archive("ops")


@pytest.fixture(autouse=True)
def _double():
    before = settings.floatx()
    lamella.config.set_floatx("float64")
    yield
    lamella.config.set_floatx(before)


def public():
    return [n for n in dir(ops) if not n.startswith("_") and not isinstance(getattr(ops, n), ModuleType)
            and n not in ("TYPE_CHECKING",)]  # fmt: skip


def wanted(row):
    if row.reference == KERAS:
        return [ANSWERS[f"{row.label}/{i}"] for i in itertools.takewhile(
            lambda i: f"{row.label}/{i}" in ANSWERS, itertools.count())]  # fmt: skip
    with np.errstate(all="ignore"):
        return [np.asarray(x) for x in flatten(row.expected())[0]]


def program(row):
    specs = [Spec(x.shape, x.dtype.name) for x in row.operands()]

    def call(*values):
        return flatten(row.apply(ops, list(values)))[0]

    return trace.trace(call, *specs)


def compare(row, results):
    expected = wanted(row)
    assert len(results) == len(expected), row.label
    for found, want in zip(results, expected, strict=True):
        found = np.asarray(found)
        assert found.shape == want.shape, f"{row.label}: {found.shape}, not {want.shape}"
        assert (found.dtype.kind == "f") == (want.dtype.kind == "f"), f"{row.label}: {found.dtype}, not {want.dtype}"
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(found, want, row.label)
            continue
        tolerance = max(row.tolerance, 1e-10) if row.reference == KERAS else row.tolerance
        finite = np.isfinite(want)
        scale = np.abs(want[finite]).max(initial=1e-300)
        np.testing.assert_array_equal(np.isfinite(found), finite, row.label)
        np.testing.assert_array_equal(found[~finite], want[~finite], row.label)
        assert np.abs(found[finite] - want[finite]).max(initial=0.0) <= tolerance * scale, (
            f"{row.label}:\n{found}\n{want}"
        )


def test_every_function_has_a_row():
    tried = {row.name for row in ROWS}
    assert set(public()) - tried - set(ELSEWHERE) == set()
    assert not tried & set(ELSEWHERE)
    assert (tried | set(ELSEWHERE)) - set(public()) == set()


def test_labels_are_distinct():
    recorded = [row.label for row in ROWS if row.reference == KERAS]
    assert len(set(recorded)) == len(recorded)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_on_arrays(row):
    compare(row, flatten(row.apply(ops, row.operands()))[0])


def on(backend, rows):
    programs = [program(row) for row in rows]
    whole = joined(programs)
    results = iter(run_on(backend, whole, [x for row in rows for x in row.operands()]))
    for row, part in zip(rows, programs, strict=True):
        compare(row, [next(results) for _ in part.outputs])


@pytest.mark.parametrize("first", range(0, len(ROWS), 60))
def test_compiled_by_numpy(first):
    on("numpy", ROWS[first : first + 60])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(ROWS), 60))
def test_compiled_by_jax(first):
    on("jax", ROWS[first : first + 60])


def test_one_of_each_family_compiled_by_jax():
    names = ["arctan2", "erfinv", "top_k", "segment_max", "scatter_update", "quantile", "cumsum", "cond", "while_loop"]
    on("jax", [next(row for row in ROWS if row.name == name) for name in names])


SMOOTH = [row for row in ROWS if row.gradients]


def check_slopes(row):
    given = row.operands()
    check_gradients(program(row), given, [i for i, x in enumerate(given) if x.dtype.kind == "f"])


@pytest.mark.parametrize("row", SMOOTH[::4], ids=lambda row: row.label)
def test_derivatives(row):
    check_slopes(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for i, r in enumerate(SMOOTH) if i % 4], ids=lambda row: row.label)
def test_more_derivatives(row):
    check_slopes(row)


def test_questions_about_a_value():
    seen = []

    def call(x):
        seen.append((ops.shape(x), ops.ndim(x), ops.size(x), ops.dtype(x), ops.is_tensor(x)))
        return x

    trace.trace(call, Spec((2, 3), "float32"))
    assert seen == [((2, 3), 2, 6, "float32", True)]
    assert ops.shape(np.zeros((4, 1))) == (4, 1)
    assert ops.dtype(np.zeros(2, np.int8)) == "int8"
    assert not ops.is_tensor([1.0])
    assert not ops.is_tensor(2.0)
    assert isinstance(ops.convert_to_numpy([1.0, 2.0]), np.ndarray)


KERAS_SIGNATURES = {
    line.partition("(")[0]: line for line in (DATA / "keras_ops.txt").read_text(encoding="utf-8").splitlines()
}

OTHER_WORDS = {
    "convert_to_tensor": "no sparse or ragged tensors",
    "einsum": "takes no further words",
    "layer_normalization": "Keras takes any further word, and ignores it",
    "multi_hot": "Keras takes any further word, and ignores it",
}


def words_of(function):
    if isinstance(function, Op):
        return list(function.operand_names), []
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found], [repr(p.default) for p in found if p.default is not p.empty]


@pytest.mark.parametrize("name", sorted(set(KERAS_SIGNATURES) & set(public())))
def test_arguments_are_keras(name):
    namespace = {}
    exec(f"def f{KERAS_SIGNATURES[name].removeprefix(name)}: pass", {}, namespace)
    names, defaults = words_of(namespace["f"])
    have, values = words_of(getattr(ops, name))
    if name not in OTHER_WORDS:
        assert have == names
        assert values == defaults


def test_the_lazy_names_are_those_for_the_type_checker():
    text = Path(inspect.getsourcefile(ops)).read_text(encoding="utf-8")
    block = text.partition("if TYPE_CHECKING:")[2].partition("_FAMILIES")[0]
    lines = re.findall(r"from lamella\.ops\.(\w+) import (\w+) as (\w+)", block)
    homes = {name: family for family, names in ops._FAMILIES.items() for name in names.split()}
    assert {name: family for family, _, name in lines} == homes
    assert all(getattr(ops, name).__module__ == f"lamella.ops.{homes[name]}" for _, _, name in lines)


def test_the_page_is_up_to_date():
    docs = DATA.parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("make_ops", docs / "make_ops.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert (docs / "ops.md").read_text(encoding="utf-8") == maker.page(), "run `python docs/make_ops.py`"


def f(x):
    return x * 2.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: ops.cond(x > 0, lambda: x, lambda: x), ShapeError, "scalar"),
        (lambda x: ops.cond(True, lambda: x, lambda: ops.sum(x)), ShapeError, "false_fn returns float64"),
        (lambda x: ops.cond(True, lambda: x, lambda: (x, x)), ShapeError, "another structure"),
        (lambda x: ops.cond(True, lambda: x, lambda: ops.cast(x, "float32")), ShapeError, "float32"),
        (lambda x: ops.switch(1.5, [f, f], x), DTypeError, "integer scalar"),
        (lambda x: ops.switch(0, [], x), ArgumentError, "at least one"),
        (lambda x: ops.fori_loop(0, ops.sum(x), lambda i, v: v, x), TraceError, "maximum_iterations"),
        (lambda x: ops.fori_loop(0, 3, lambda i, v: ops.sum(v), x), ShapeError, "keep its spec"),
        (lambda x: ops.while_loop(lambda v: ops.sum(v) > 0, f, (x,)), TraceError, "maximum_iterations"),
        (lambda x: ops.top_k(x, 9), ShapeError, "at least 9"),
        (lambda x: ops.where(x > 0), ArgumentError, "both x1 and x2"),
        (lambda x: ops.norm(x, "nuc"), ValueError, "singular values"),
        (lambda x: ops.pad(x, 1, mode="mirror"), ValueError, "mode must be one of"),
        (lambda x: ops.one_hot(ops.cast(x, "int32"), 3, sparse=True), ValueError, "sparse"),
        (lambda x: ops.bincount(ops.cast(x, "int32")), DTypeError, "vector or matrix"),
        (lambda x: ops.quantile(x, 0.5, method="median"), ValueError, "method must be one of"),
        (
            lambda x: ops.custom_gradient(lambda x: (x, lambda g: (g, g)))(x),
            ArgumentError,
            "one gradient for each of 1",
        ),
        (lambda x: ops.rearrange(x, "a b -> b a"), ShapeError, "does not describe"),
        (lambda x: ops.conv(x, ops.ones((3, 3, 4)), padding="full"), ValueError, "padding must be one of"),
        (lambda x: ops.dot_product_attention(x, x, x), ShapeError, "batch, length, heads"),
        (lambda x: ops.add(x1=x), TypeError, "operands x1, x2"),
    ],
)
def test_bad_operands(call, error, words):
    with pytest.raises(error, match=words):
        trace.trace(call, Spec((2, 3, 4), "float64"))


def test_only_the_taken_branch_is_computed():
    def dangerous():
        return ops.scan(lambda h, _: (h @ h, None), ops.ones((400, 400)), length=2000)[0]

    def call(x):
        return ops.cond(ops.sum(x) > 0, lambda: ops.ones((400, 400)), dangerous)

    traced = trace.trace(call, Spec((2,), "float64"))
    start = time.perf_counter()
    for backend in ("numpy", "jax"):
        run_on(backend, traced, [np.ones(2)])
    assert time.perf_counter() - start < 10  # the other branch takes minutes


def test_rows_are_seen_through_branches():
    apart = trace.trace(
        lambda x: ops.cond(True, lambda: x * 2.0, lambda: ops.sin(x)), Spec((symbol("batch"), 3), "float32")
    )
    assert passes.find_cross_batch_op(apart) is None
    mixed = trace.trace(
        lambda x: ops.cond(True, lambda: ops.flip(x, 0), lambda: x), Spec((symbol("batch"), 3), "float32")
    )
    assert passes.find_cross_batch_op(mixed) is not None


def test_under_jax():
    import jax
    import jax.numpy as jnp

    lamella.set_backend("jax")
    lamella.config.set_floatx("float32")
    x = jnp.asarray([0.5, -1.0, 2.0])
    branch = lambda x: ops.cond(x[0] > 0, lambda: ops.sum(x * x), lambda: ops.sum(x))  # noqa: E731
    assert np.allclose(jax.jit(jax.grad(branch))(x), 2 * x)
    assert np.allclose(jax.vmap(branch)(jnp.stack([x, -x])), [5.25, -1.5])
    loop = lambda x: ops.fori_loop(0, 3, lambda i, v: v * x, x)  # noqa: E731
    assert np.allclose(jax.jit(jax.grad(lambda x: ops.sum(loop(x))))(x), 4 * x**3)
    shown = ops.while_loop(lambda v: ops.sum(v) > 1, lambda v: v * 0.5, jnp.asarray([8.0]))
    assert float(shown[0]) == 1.0
    with pytest.raises(TraceError, match="maximum_iterations"):
        jax.jit(lambda x: ops.while_loop(lambda v: ops.sum(v) > 1, lambda v: v * 0.5, x))(x)
    doubled = ops.custom_gradient(lambda x: (ops.sum(x), lambda g: g * 2.0 * ops.ones_like(x)))
    assert np.allclose(jax.grad(doubled)(x), 2.0)
    assert np.allclose(jax.jit(lambda x: ops.sort(x))(x), np.sort(x))
