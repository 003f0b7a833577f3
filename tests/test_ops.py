"""The friendly ops against NumPy: promotion, broadcasting, and everything that is more than one primitive."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import ops, passes
from lamella.backend_api import load_backend
from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir import settings, trace
from lamella.ir.spec import Spec, spec_of
from lamella.ops import primitives as p
from lamella.testing.equivalence import run_on
from lamella.testing.reference import REFERENCE

GENERATOR = np.random.default_rng(3)
A = GENERATOR.standard_normal((2, 3, 4))
B = GENERATOR.standard_normal((3, 4))
V = GENERATOR.standard_normal(4)
INTEGERS = GENERATOR.integers(0, 4, (2, 3))
MASK = GENERATOR.random((3, 4)) < 0.5


def traced(function, *arrays):
    """`function` traced for these arrays and run by the reference."""
    program = trace.trace(function, *[Spec(a.shape, a.dtype.name) for a in arrays])
    results = run_on(REFERENCE, program, arrays)
    return results[0] if len(results) == 1 else results


# what is called, on what, and what NumPy says
ROWS = {
    "add broadcasts": (lambda a, b: ops.add(a, b), (A, B), lambda a, b: a + b),
    "add stretches a 1": (lambda a, b: a + b, (A[:, :1], B), lambda a, b: a + b),
    "both are stretched": (lambda a, b: a * b, (A[:, :1], V[:, None]), lambda a, b: a * b),
    "scalar": (lambda a: 1 - a / 2, (A,), lambda a: 1 - a / 2),
    "clip": (lambda a: ops.clip(a, -0.5, 0.5), (A,), lambda a: np.clip(a, -0.5, 0.5)),
    "square": (ops.square, (A,), np.square),
    "rsqrt": (lambda a: ops.rsqrt(ops.abs(a)), (A,), lambda a: 1 / np.sqrt(np.abs(a))),
    "reciprocal": (ops.reciprocal, (A,), np.reciprocal),
    "ceil": (ops.ceil, (3 * A,), lambda a: np.ceil(3 * (a / 3))),
    "isnan": (ops.isnan, (np.array([1.0, np.nan, np.inf]),), np.isnan),
    "isfinite": (ops.isfinite, (np.array([1.0, np.nan, np.inf, -np.inf]),), np.isfinite),
    "where": (lambda m, a: ops.where(m, a, 0.0), (MASK, A), lambda m, a: np.where(m, a, 0)),
    "greater": (ops.greater, (A, B), np.greater),
    "greater_equal": (ops.greater_equal, (A, B), np.greater_equal),
    "not_equal": (ops.not_equal, (INTEGERS, INTEGERS.T.reshape(2, 3)), np.not_equal),
    "logical_and": (lambda m, a: ops.logical_and(m, a > 0), (MASK, A), lambda m, a: m & (a > 0)),
    "logical_or of numbers": (ops.logical_or, (INTEGERS, INTEGERS * 0), np.logical_or),
    "logical_xor": (lambda m, a: ops.logical_xor(m, a > 0), (MASK, A), lambda m, a: m ^ (a > 0)),
    "logical_not": (ops.logical_not, (INTEGERS,), np.logical_not),
    "sum": (ops.sum, (A,), np.sum),
    "sum over axes": (lambda a: ops.sum(a, (0, -1)), (A,), lambda a: a.sum((0, 2))),
    "sum keeps dimensions": (lambda a: ops.sum(a, 1, keepdims=True), (A,), lambda a: a.sum(1, keepdims=True)),
    "sum counts bool": (ops.sum, (MASK,), np.sum),
    "max": (lambda a: ops.max(a, -1), (A,), lambda a: a.max(-1)),
    "min": (lambda a: ops.min(a, 0, keepdims=True), (A,), lambda a: a.min(0, keepdims=True)),
    "mean": (lambda a: ops.mean(a, (0, 1)), (A,), lambda a: a.mean((0, 1))),
    "variance": (lambda a: ops.variance(a, -1, keepdims=True), (A + 1e4,), lambda a: a.var(-1, keepdims=True)),
    "std": (lambda a: ops.std(a, 1), (A,), lambda a: a.std(1)),
    "any": (lambda m: ops.any(m, 1), (MASK,), lambda m: m.any(1)),
    "all": (lambda m: ops.all(m, 0), (MASK,), lambda m: m.all(0)),
    "argmax": (lambda a: ops.argmax(a, -2), (A,), lambda a: a.argmax(-2)),
    "argmax of everything": (ops.argmax, (A,), np.argmax),
    "argmin": (lambda a: ops.argmin(a, 2), (A,), lambda a: a.argmin(2)),
    "count_nonzero": (lambda a: ops.count_nonzero(a, 0), (INTEGERS,), lambda a: np.count_nonzero(a, 0)),
    "logsumexp": (
        lambda a: ops.logsumexp(a, -1),
        (A * 300,),
        lambda a: np.log(np.exp(a - a.max(-1, keepdims=True)).sum(-1)) + a.max(-1),
    ),
    "logsumexp of minus infinity": (ops.logsumexp, (np.full(3, -np.inf),), lambda a: -np.inf),
    "norm": (lambda a: ops.norm(a, axis=1), (A,), lambda a: np.linalg.norm(a, axis=1)),
    "softmax": (lambda a: ops.softmax(a, 1), (A,), lambda a: np.exp(a) / np.exp(a).sum(1, keepdims=True)),
    "matmul 2-2": (ops.matmul, (A[0], B.T), np.matmul),
    "matmul 3-2": (ops.matmul, (A, B.T), np.matmul),
    "matmul 1-2": (ops.matmul, (V, B.T), np.matmul),
    "matmul 2-1": (ops.matmul, (B, V), np.matmul),
    "matmul 1-1": (ops.matmul, (V, V), np.matmul),
    "matmul 1-3": (ops.matmul, (B[:, 0], A), np.matmul),
    "matmul 3-1": (ops.matmul, (A, V), np.matmul),
    "matmul broadcasts": (ops.matmul, (A[:, None], A.reshape(2, 1, 4, 3)), np.matmul),
    "matmul broadcasts one": (ops.matmul, (B, A.reshape(2, 4, 3)), np.matmul),
    "tensordot": (lambda a, b: ops.tensordot(a, b, 2), (A, B), lambda a, b: np.tensordot(a, b, 2)),
    "tensordot of axes": (
        lambda a, b: ops.tensordot(a, b, ([2, 1], [1, 0])),
        (A, B),
        lambda a, b: np.tensordot(a, b, ([2, 1], [1, 0])),
    ),
    "outer": (ops.outer, (V, B), np.outer),
    "reshape": (lambda a: ops.reshape(a, (4, -1)), (A,), lambda a: a.reshape(4, -1)),
    "reshape to a vector": (lambda a: ops.reshape(a, -1), (A,), lambda a: a.reshape(-1)),
    "transpose": (ops.transpose, (A,), np.transpose),
    "transpose by axes": (lambda a: ops.transpose(a, (1, -1, 0)), (A,), lambda a: a.transpose(1, 2, 0)),
    "moveaxis": (lambda a: ops.moveaxis(a, 0, -1), (A,), lambda a: np.moveaxis(a, 0, -1)),
    "swapaxes": (lambda a: ops.swapaxes(a, 0, -1), (A,), lambda a: a.swapaxes(0, 2)),
    "expand_dims": (lambda a: ops.expand_dims(a, -1), (A,), lambda a: a[..., None]),
    "squeeze": (lambda a: ops.squeeze(a[:, :1], 1), (A,), lambda a: a[:, 0]),
    "broadcast_to": (lambda a: ops.broadcast_to(a, (2, 3, 4)), (V,), lambda a: np.broadcast_to(a, (2, 3, 4))),
    "pad": (
        lambda a: ops.pad(a, ((0, 1), (2, 0)), constant_values=3.0),
        (B,),
        lambda a: np.pad(a, ((0, 1), (2, 0)), constant_values=3.0),
    ),
    "concatenate": (lambda a, b: ops.concatenate([a, b], 0), (B, A[0]), lambda a, b: np.concatenate([a, b])),
    "stack": (lambda a, b: ops.stack([a, b], -1), (B, A[0]), lambda a, b: np.stack([a, b], -1)),
    "flip": (lambda a: ops.flip(a, (0, 2)), (A,), lambda a: np.flip(a, (0, 2))),
    "repeat": (lambda a: ops.repeat(a, 3, 1), (A,), lambda a: a.repeat(3, 1)),
    "tile": (lambda a: ops.tile(a, (2, 3)), (B,), lambda a: np.tile(a, (2, 3))),
    "take": (lambda a, i: ops.take(a, i, 1), (A, INTEGERS % 3), lambda a, i: np.take(a, i, 1)),
    "take flat": (lambda a, i: ops.take(a, i), (A, INTEGERS), lambda a, i: np.take(a, i)),
    "take_along_axis": (
        lambda a, i: ops.take_along_axis(a, i, -1),
        (B, np.array([[0, 3], [1, 1], [2, 0]])),
        lambda a, i: np.take_along_axis(a, i, -1),
    ),
    "one_hot": (lambda i: ops.one_hot(i, 4, dtype="int64"), (INTEGERS,), lambda i: np.eye(4, dtype=int)[i]),
    "one_hot outside": (lambda i: ops.one_hot(i, 2), (np.array([-1, 0, 5]),), lambda i: [[0, 0], [1, 0], [0, 0]]),
    "zeros_like": (ops.zeros_like, (A,), np.zeros_like),
    "ones_like": (ops.ones_like, (INTEGERS,), np.ones_like),
    "full_like": (lambda a: ops.full_like(a, 3), (A,), lambda a: np.full_like(a, 3)),
}


@pytest.mark.parametrize("name", ROWS)
def test_against_numpy(name):
    function, arrays, expected = ROWS[name]
    wanted = np.asarray(expected(*arrays))
    for result in (traced(function, *arrays), np.asarray(function(*arrays))):
        assert result.shape == wanted.shape
        np.testing.assert_allclose(
            result, wanted, rtol=1e-12, atol=1e-13 * np.abs(wanted[np.isfinite(wanted)]).max(initial=1)
        )


KEYS = [
    (0,), (-1,), (slice(None), 1), (..., 0), (slice(1, None),), (slice(None, None, -1),), (slice(2, 0, -1), slice(None)),
    (None,), (slice(None), None, 2), (..., None), (slice(0, 0),), (slice(5, 1, -2), ..., 1), (1, ..., slice(None, None, 2)),
    (slice(None), np.array([2, 0, 1])), (np.array([[0, 1], [1, 1]]),), (0, 1, 2), (slice(-2, None),),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_getitem(key):
    np.testing.assert_array_equal(traced(lambda a: a[key], A), A[key])


def test_getitem_refuses():
    with pytest.raises(ShapeError, match="out of range"):
        ops.getitem(A, 2)
    with pytest.raises(ShapeError, match="4 indices"):
        ops.getitem(A, (0, 0, 0, 0))
    with pytest.raises(ArgumentError, match="more than one array"):
        ops.getitem(A, (np.array([0]), np.array([0])))


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("...ij,jk->...ik", (2, 2, 3), (3, 2)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->", (3,), (3,)),
    ("bi,bi->b", (2, 3), (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)),
    ("...d,d->...", (2, 3, 4), (4,)),
    ("ab,c->cab", (2, 3), (2,)),
    ("abc,cb->a", (2, 3, 4), (4, 3)),
    ("aecd,abcd->acbe", (2, 5, 2, 4), (2, 3, 2, 4)),
    ("acbe,aecd->abcd", (2, 2, 3, 5), (2, 5, 2, 4)),
    ("bqk,bqd->kbd", (2, 3, 5), (2, 3, 4)),
    ("ij,kj->ki", (2, 3), (4, 3)),
    ("i,j->ji", (2,), (3,)),
    ("ij,jk,kl->li", (2, 3), (3, 2), (2, 4)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda c: c[0])
def test_einsum(case):
    subscripts, *shapes = case
    arrays = [GENERATOR.standard_normal(s) for s in shapes]
    expected = np.einsum(subscripts, *arrays)
    np.testing.assert_allclose(traced(lambda *x: ops.einsum(subscripts, *x), *arrays), expected, rtol=1e-12)


def test_attention_transposes_no_matrix_of_scores():
    """Forwards and backwards: the scores are the large operands."""

    def attention(q, k, v):
        scores = ops.softmax(ops.einsum("aecd,abcd->acbe", k, q))
        return ops.sum(ops.square(ops.einsum("acbe,aecd->abcd", scores, v)))

    program = trace.trace(attention, *[Spec((2, n, 3, 4), "float32") for n in (16, 20, 20)])
    derived = passes.simplify(passes.differentiate(program, [0, 1, 2]))
    moved = [e.inputs[0].spec.shape for e in derived.equations if e.op is p.transpose]
    assert moved and all(shape[-2:] not in ((16, 20), (20, 16)) for shape in moved)


@pytest.mark.parametrize(
    ("subscripts", "words"),
    [
        ("ij,jk->iz", "no operand has"),
        ("ij->ij", "names 1 operands"),
        ("ii,jk->k", "repeated"),
        ("i,jk->k", "describe"),
    ],
)
def test_einsum_refuses(subscripts, words):
    with pytest.raises((ArgumentError, ShapeError), match=words):
        ops.einsum(subscripts, B, B)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("int32", "float32", "float32"),
        ("int64", "float16", "float16"),
        ("uint8", "int8", "int16"),
        ("bool", "int32", "int32"),
        ("float32", 2, "float32"),
        ("float16", 2.5, "float16"),
        ("int8", 3, "int8"),
        ("int32", 2.5, "float32"),
        ("bool", 3, "int32"),
        ("float64", np.float32(2), "float64"),
    ],
)
def test_promotion(left, right, expected):
    x = np.ones(3, left)
    y = np.ones(3, right) if isinstance(right, str) else right
    assert spec_of(ops.add(x, y)).dtype == expected
    specs = [Spec((3,), left)] + ([Spec((3,), right)] if isinstance(right, str) else [])
    program = trace.trace(lambda a, b=y: a + b, *specs)
    assert program.output_specs[0].dtype == expected


def test_a_float64_array_meets_a_trace_as_floatx():
    constant = np.full((3,), 0.1)
    assert trace.trace(lambda x: x + constant, Spec((2, 3), "float32")).output_specs[0].dtype == "float32"
    assert trace.trace(lambda x: x @ constant, Spec((2, 3), "float32")).output_specs[0].dtype == "float32"
    program = trace.trace(lambda x: x + constant, Spec((2, 3), "float64"))
    assert program.output_specs[0].dtype == "float64"
    (y,) = run_on(REFERENCE, program, [np.zeros((2, 3))])
    assert (y == 0.1).all()  # and not float32's nearest


@pytest.mark.parametrize("function", [lambda x: x * 0.1, lambda x: ops.mean(x, 0), lambda x: ops.maximum(x, 0.1),
                                      lambda x: ops.where(x > 0.5, x, 0.1), lambda x: x @ np.full((3, 3), 0.1)])  # fmt: skip
def test_float64_programs_stay_float64(function):
    program = trace.trace(function, Spec((2, 3), "float64"))
    assert {v.dtype for e in program.equations for v in e.outputs} <= {"float64", "bool"}


def test_integers_become_floats_where_a_float_is_needed():
    assert spec_of(ops.divide(np.ones(2, np.int32), np.ones(2, np.int32))).dtype == settings.floatx()
    assert spec_of(ops.exp(np.ones(2, np.int32))).dtype == settings.floatx()
    assert spec_of(ops.mean(np.ones(2, np.int32))).dtype == settings.floatx()


def test_split():
    parts = ops.split(A, 2, axis=2)
    assert [q.shape for q in parts] == [(2, 3, 2)] * 2
    parts = ops.split(A, [1, 3], axis=2)
    for part, wanted in zip(parts, np.split(A, [1, 3], 2), strict=True):
        np.testing.assert_array_equal(part, wanted)
    with pytest.raises(ShapeError, match="does not divide"):
        ops.split(A, 3, axis=2)


def test_arange_eye_full():
    np.testing.assert_array_equal(ops.arange(5), np.arange(5, dtype=np.int32))
    np.testing.assert_array_equal(ops.arange(2, 11, 3), np.arange(2, 11, 3))
    np.testing.assert_array_equal(ops.arange(4, dtype="float32"), np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(ops.eye(3), np.eye(3))
    assert spec_of(ops.zeros((2, 2))) == Spec((2, 2), settings.floatx())
    np.testing.assert_array_equal(ops.full((2,), 3, "int32"), [3, 3])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ops.add(np.ones((2, 3)), np.ones((2, 4))), ShapeError, r"\(2, 3\) and \(2, 4\) do not broadcast"),
        (lambda: ops.matmul(np.ones((2, 3)), np.ones((2, 4))), ShapeError, "3 columns meet 2 rows"),
        (lambda: ops.matmul(np.ones(()), np.ones(2)), ShapeError, "at least one dimension"),
        (lambda: ops.reshape(A, (5, -1)), ShapeError, "cannot reshape"),
        (lambda: ops.reshape(A, (-1, -1)), ShapeError, "one -1"),
        (lambda: ops.squeeze(A, 0), ShapeError, "not all are 1"),
        (lambda: ops.sum(A, 3), ShapeError, "out of range"),
        (lambda: ops.max(np.ones((0, 2)), 0), ShapeError, "no entries"),
        (lambda: ops.mean(np.ones((0, 2)), 0), ShapeError, "no entries"),
        (lambda: ops.concatenate([]), ArgumentError, "at least one"),
        (lambda: ops.take(A, np.ones(2)), DTypeError, "indices must be integers"),
        (lambda: ops.cast(A, "complex64"), DTypeError, "not a dtype"),
        (lambda: ops.bitwise_and(A, A), DTypeError, "integers or bool"),
        (lambda: ops.convert_to_tensor(["a"]), DTypeError, "not a dtype|not numbers"),
        (lambda: ops.tanh(None), DTypeError, "expected an array"),
    ],
)  # fmt: skip
def test_refusals_say_what_came_and_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("dtype", ["float64", np.dtype("float64"), np.float64])
def test_a_dtype_of_numpy_is_what_it_says(dtype):
    assert ops.cast(np.float32([1, 2]), dtype).dtype == "float64"
    assert ops.zeros((2,), dtype).dtype == "float64"


@pytest.mark.parametrize("dtype, found", [("float", "float32"), (float, "float32"), ("int", "int32"), (int, "int32"),
                                          (np.dtype("int64"), "int64")])  # fmt: skip
def test_python_s_types_are_those_of_the_settings(dtype, found):
    assert ops.cast(np.float64([1, 2]), dtype).dtype == found


@pytest.mark.parametrize("bins", [[3.0, 2.0, 0.0], [0.0, 2.0, 2.0], [2.0, 2.0], [1.0], []])
def test_bins_ascend_or_descend(bins):
    x = np.array([-1.0, 0.0, 2.0, 2.5, 3.0, 4.0])
    np.testing.assert_array_equal(ops.digitize(x, bins), np.digitize(x, bins))
    np.testing.assert_array_equal(traced(lambda x: ops.digitize(x, bins), x), np.digitize(x, bins))


def test_bins_that_go_both_ways_are_refused():
    with pytest.raises(ValueError, match="ascend or descend"):
        ops.digitize(np.zeros(2), [0.0, 2.0, 1.0])


LARGE = np.random.default_rng(4).standard_normal((512, 512)).astype("float32")
LARGE[3, 200] = np.nan


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: ops.max(x, 1), 1),
        (lambda x: ops.min(x, 0), 1),
        (lambda x: ops.max(ops.relu(x), 1), 1),
        (lambda x: ops.max(ops.reshape(x, (8, 64, 64, 8)), (1, 2)), 1),
        (lambda x: ops.max_pool(ops.relu(ops.reshape(x, (8, 64, 64, 8))), 2), 1),
        (lambda x: ops.clip(x, -1.0, 1.0), 1),
        (lambda x: ops.softmax(x), 512),
        (lambda x: ops.logsumexp(x, 1), 1),
    ],
)
def test_a_nan_is_not_lost_in_large_arrays_either(function, expected, backend):
    """XLA's vectorized maxima on a CPU lose it, and only where there is something to vectorize."""
    running = load_backend(backend)
    program = trace.trace(function, Spec(LARGE.shape, "float32"))
    (result,) = running.compile(program)(running.asarray(LARGE))
    assert np.isnan(running.numpy(result)).sum() == expected


def test_an_array_that_its_owner_changes_at_once_was_taken_as_it_was(backend):
    """JAX reads a large NumPy array some time after it has returned."""
    running = load_backend(backend)
    model = lamella.Sequential([lamella.layers.Input((512,)), lamella.layers.Rescaling(2.0)])
    for _ in range(20):
        given = np.zeros((512, 512), "float32")
        taken, called, trained = running.asarray(given), model(given), model(given, training=True)
        given[:] = 1
        # NumPy's own arrays are not copied by `asarray`: there is nowhere to bring them
        assert backend == "numpy" or not running.numpy(taken).any()
        assert not running.numpy(called).any() and not running.numpy(trained).any()
