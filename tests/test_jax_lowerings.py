"""The JAX lowerings: complete, strict about dtypes, and differentiated by JAX as lamella differentiates the ops."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from lamella import ops  # noqa: E402
from lamella.backend_api import load_backend  # noqa: E402
from lamella.ir.spec import Spec  # noqa: E402
from lamella.ir.trace import trace  # noqa: E402
from lamella.ops import primitives as p  # noqa: E402
from lamella.passes import differentiate  # noqa: E402
from lamella.testing.cases import joined  # noqa: E402
from lamella.testing.gradcheck import has_derivative, number_of  # noqa: E402
from lamella.testing.kinks import KINKS  # noqa: E402
from lamella.testing.samples import SAMPLES  # noqa: E402
from lamella_jax import LOWERINGS, elementwise  # noqa: E402

backend = load_backend("jax")


def test_every_op_has_a_lowering():
    assert [name for name, op in p.mandatory_ops().items() if op not in LOWERINGS] == []
    kept = [name for name, op in p.every_op().items() if op not in LOWERINGS and op.definition is None]
    assert kept == ["constant"]


# ---- derivatives: jax.grad of the lowered function against lamella's own ------------------------------------------------


def rows_with_derivatives(every=False):
    """(label, program, arguments, operands to differentiate in) of one or all rows of each op,
    and all non-differentiable points, in float64."""
    seen = set()
    for sample in SAMPLES:
        if has_derivative(sample) and (every or sample.op not in seen):
            seen.add(sample.op)
            yield sample.label, sample.program("float64"), sample.arguments("float64"), list(sample.active)
    for kink in KINKS:
        program = kink.program("float64")
        wrt = [i for i, spec in enumerate(program.input_specs) if spec.dtype == "float64"]
        if wrt and any(spec.dtype == "float64" for spec in program.output_specs):
            yield kink.label, program, kink.arguments("float64"), wrt


def disagreements(rows):
    """The rows whose gradients differ by more than 1e-9 of their size."""
    program = number_of(joined([program for _, program, _, _ in rows]))
    arguments = [a for _, _, arguments, _ in rows for a in arguments]
    wrt, labels, start = [], [], 0
    for label, own, _, active in rows:
        wrt += [start + i for i in active]
        labels += [f"{label}, operand {i}" for i in active]
        start += len(own.inputs)
    with jax.enable_x64(True):
        function = backend.function(program)
        own = backend.compile(differentiate(program, wrt))(*arguments)[1:]
        found = jax.jit(jax.grad(lambda *xs: function(*xs)[0], wrt))(*map(jnp.asarray, arguments))
        wrong = []
        for label, a, b in zip(labels, map(np.asarray, found), map(np.asarray, own), strict=True):
            assert a.dtype == b.dtype == np.float64
            bound = 1e-9 * max(1.0, float(np.nanmax(np.abs(np.where(np.isfinite(b), b, 0.0)), initial=0.0)))
            if not np.allclose(a, b, rtol=0, atol=bound, equal_nan=True):
                wrong.append(f"{label}: jax.grad {a.tolist()}, lamella {b.tolist()}")
    return wrong


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_jax_grad_is_lamellas_derivative_for_every_op(every):
    rows = list(rows_with_derivatives(every))
    assert len(rows) > 60
    wrong = []
    for start in range(0, len(rows), 60):
        wrong += disagreements(rows[start : start + 60])
    assert wrong == []


def test_a_planted_wrong_derivative_is_found(monkeypatch):
    monkeypatch.setitem(backend.kernels, p.relu, lambda x: lax.max(x, jnp.zeros_like(x)))
    rows = [row for row in rows_with_derivatives() if row[0].startswith("relu at")]
    assert disagreements(rows) != []


# ---- values the tables do not reach -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "float32", "float16", "bfloat16"])
def test_remainder_and_floor_divide_are_pythons(dtype):
    x = np.array([7, -7, 7, -7, 6, -6, 0], np.float32)
    y = np.array([3, 3, -3, -3, 3, -3, 5], np.float32)
    if dtype == "uint8":
        x, y = np.abs(x), np.abs(y)
    a, b = backend.asarray(x, dtype), backend.asarray(y, dtype)
    rest, quotient = ops.remainder(a, b), ops.floor_divide(a, b)
    assert rest.dtype == quotient.dtype == a.dtype
    np.testing.assert_array_equal(backend.numpy(rest), np.remainder(x, y))
    np.testing.assert_array_equal(backend.numpy(quotient), np.floor_divide(x, y))


def test_take_clamps_whatever_the_index_dtype():
    x = jnp.arange(200, dtype=jnp.float32)
    for dtype, indices in (("int8", [-128, -1, 0, 127]), ("uint8", [0, 199, 255]), ("int32", [-5, 3, 2**31 - 1])):
        found = p.take.bind(x, jnp.asarray(np.array(indices, dtype)), axis=0)
        np.testing.assert_array_equal(found, np.clip(indices, 0, 199))
        added = ops.scatter_add(found, jnp.asarray(np.array(indices, dtype)), axis=0, size=200)
        assert float(added.sum()) == float(found.sum())


def test_small_negative_indices_count_from_the_end():
    found = ops.take(jnp.arange(200), jnp.asarray(np.array([-128, -1, 127], "int8")))
    np.testing.assert_array_equal(found, [72, 199, 127])


def test_shifts_follow_the_sign():
    assert int(ops.right_shift(jnp.int32(-8), jnp.int32(1))) == -4
    assert int(ops.right_shift(jnp.uint32(0xFFFFFFF8), jnp.uint32(1))) == 0x7FFFFFFC


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (0,), (64, 33)])
def test_random_bits_are_the_definitions(bits, shape):
    key, step = np.array([0x1234ABCD, 0xFFFF0001], np.uint32), np.uint32(3_000_000_000)
    wanted = load_backend("numpy").evaluate(p.random_bits, [key, np.asarray(step)], {"shape": shape, "bits": bits})[0]
    found = jax.jit(lambda k, s: ops.random_bits.bind(k, s, shape=shape, bits=bits))(key, step)
    assert found.dtype == f"uint{bits}"
    np.testing.assert_array_equal(found, wanted)


def test_fold_in_is_the_definition():
    key = np.array([1, 2], np.uint32)
    wanted = load_backend("numpy").evaluate(p.fold_in, [key], {"data": 2**32 - 2})[0]
    np.testing.assert_array_equal(jax.jit(lambda k: ops.fold_in.bind(k, data=2**32 - 2))(key), wanted)


def test_outputs_have_the_programs_dtypes():
    def body(x, i):
        return [
            ops.sum(x),
            ops.argmax(x, 0),
            ops.cast(x, "bfloat16"),
            ops.one_hot(i, 4, dtype="float16"),
            ops.less(x, x),
        ]

    program = trace(body, Spec((3, 2), "float16"), Spec((3,), "uint8"))
    results = backend.compile(program)(np.ones((3, 2), np.float16), np.ones(3, np.uint8))
    assert [r.dtype.name for r in results] == [s.dtype for s in program.output_specs]


def test_sums_of_16_bit_floats_do_not_stall():
    ones = jnp.ones(4096, jnp.bfloat16)
    assert float(ops.sum(ones)) == 4096.0


def test_power_of_a_negative_number_has_a_finite_gradient():
    slope = jax.grad(elementwise.power, (0, 1))(jnp.float32(-2.0), jnp.float32(3.0))
    assert [float(g) for g in slope] == [12.0, 0.0]


def test_layers_name_their_part_of_the_compiled_program():
    program = trace(lambda x: ops.tanh(x), Spec((2,), "float32"), where="encoder/dense")
    text = jax.jit(backend.function(program)).lower(jnp.ones(2)).compile().as_text()
    assert "encoder/dense" in text
