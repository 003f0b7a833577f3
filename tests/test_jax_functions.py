"""Lowered programs and eager ops in JAX's hands: transformations, 64-bit types, meshes, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import export  # noqa: E402

from lamella import ops  # noqa: E402
from lamella.backend_api import load_backend  # noqa: E402
from lamella.errors import BackendError, DTypeError  # noqa: E402
from lamella.ir.spec import Spec  # noqa: E402
from lamella.ir.trace import trace  # noqa: E402
from lamella.ops import primitives as p  # noqa: E402

backend = load_backend("jax")
SAME = {"strides": (1,), "padding": ((1, 1),), "dilation": (1,), "groups": 1}
POOL = {"window": (2,), "strides": (2,), "padding": ((0, 0),)}


def network(x, kernel, weights):
    """A convolution, a pooling, a loop over time, a softmax: whatever needs more than one line to lower."""
    h = ops.primitives.max_pool.bind(ops.relu(ops.convolve(x, kernel, **SAME)), **POOL)

    def step(carry, now):
        carry = ops.tanh(ops.clip(ops.matmul(now, weights), -2.0, 2.0) + carry)
        return carry, carry

    last, _ = ops.scan(step, ops.zeros((x.shape[0], 5)), ops.transpose(h, (1, 0, 2)))
    return ops.mean(ops.square(ops.softmax(last)))


SPECS = (Spec((4, 8, 3), "float32"), Spec((3, 3, 4), "float32"), Spec((4, 5), "float32"))


def operands(seed=0):
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.standard_normal(s.shape), s.dtype) for s in SPECS]


@pytest.fixture(scope="module")
def function():
    return backend.function(trace(network, *SPECS))


# ---- transformations ----------------------------------------------------------------------------------------------------


def test_transformations_compose(function):
    x, kernel, weights = operands()
    pair = jnp.stack([x, x + 1])

    def loss(kernel, x):
        return function(x, kernel, weights)[0]

    gradient = jax.grad(loss)
    together = jax.jit(jax.vmap(gradient, (None, 0)))(kernel, pair)
    of_sum = jax.jit(jax.grad(lambda k: jax.vmap(loss, (None, 0))(k, pair).sum()))(kernel)
    for one, mapped in zip(pair, together, strict=True):
        np.testing.assert_allclose(jax.jit(gradient)(kernel, one), mapped, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(together.sum(0), of_sum, rtol=1e-4, atol=1e-6)
    checkpointed = jax.jit(jax.grad(jax.checkpoint(loss)))(kernel, x)
    np.testing.assert_allclose(checkpointed, together[0], rtol=1e-4, atol=1e-6)


def test_eager_ops_are_the_same_function(function):
    found = jax.jit(jax.value_and_grad(network, 1))(*operands())
    wanted = jax.jit(jax.value_and_grad(lambda *a: function(*a)[0], 1))(*operands())
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32"])
def test_eager_ops_take_scalars_and_keep_the_dtype(dtype):
    x = jnp.arange(3, dtype=dtype)
    for y in (ops.add(x, 1), ops.multiply(2, x), ops.maximum(x, np.float32(0) if dtype != "int32" else 0)):
        assert isinstance(y, jax.Array)
        assert y.dtype == x.dtype


def test_a_gradient_stops_where_it_is_told_to():
    program = trace(lambda x: ops.sum(ops.stop_gradient(x) * x), Spec((3,), "float32"))
    slope = jax.grad(lambda x: backend.function(program)(x)[0])(jnp.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(slope, [1.0, 2.0, 3.0])


def test_a_program_as_it_is_written_gives_the_same():
    program = trace(network, *SPECS)
    plain = jax.jit(backend.function(program, optimize=False))(*operands())
    np.testing.assert_allclose(plain[0], jax.jit(backend.function(program))(*operands())[0], rtol=1e-6)
    lacking = load_backend("jax").__class__(kernels={k: v for k, v in backend.kernels.items() if k is not p.tanh})
    with pytest.raises(BackendError, match="tanh"):
        lacking.function(program, optimize=False)


def test_constants_and_inputs_may_be_outputs():
    program = trace(lambda x: [x, ops.zeros((2, 2)), ops.full((), 3, "int32")], Spec((2,), "float32"))
    for results in (
        backend.compile(program)(np.ones(2, np.float32)),
        backend.function(program)(np.ones(2, np.float32)),
    ):
        assert all(isinstance(y, jax.Array) for y in results)
        assert [y.dtype.name for y in results] == ["float32", "float32", "int32"]


def test_an_eager_call_does_not_hand_out_the_callers_memory():
    x = np.ones(1024, np.float32)
    (y,) = backend.function(trace(lambda x: [x], Spec((1024,), "float32")))(x)
    x[:] = 0
    assert float(y.sum()) == 1024


# ---- 64-bit types -------------------------------------------------------------------------------------------------------


def test_a_64_bit_function_is_refused_while_64_bit_types_are_off():
    program = trace(lambda x: ops.sum(ops.square(x)), Spec((2,), "float64"))
    function = backend.function(program)
    for call in (function, jax.jit(function), jax.grad(lambda x: function(x)[0])):
        with pytest.raises(DTypeError, match=r"with jax\.enable_x64\(True\):"):
            call(jnp.ones(2))
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda x: function(x)[0]))(jnp.array([1 / 3, 2 / 3]))
    assert slope.dtype == np.float64
    np.testing.assert_array_equal(np.asarray(slope), [2 / 3, 4 / 3])


def test_64_bits_inside_a_loop_are_found():
    def total(x):
        def step(carry, now):
            return ops.cast(ops.cast(carry, "float64") + ops.cast(now, "float64"), "float32"), now

        return ops.scan(step, ops.zeros(()), x)[0]

    with pytest.raises(DTypeError, match="64"):
        backend.function(trace(total, Spec((3,), "float32")))(jnp.ones(3))


def test_eager_ops_refuse_64_bits_rather_than_drop_them():
    with pytest.raises(DTypeError, match="enable_x64"):
        ops.cast(jnp.ones(2), "float64")
    with pytest.raises(DTypeError, match="enable_x64"):
        ops.add(jnp.ones(2), np.ones(2, np.float64))
    with jax.enable_x64(True):
        assert ops.cast(jnp.ones(2), "float64").dtype == np.float64


def test_a_compiled_64_bit_program_needs_no_scope():
    program = trace(lambda x: x / 3.0, Spec((1,), "float64"))
    (y,) = backend.compile(program)(np.ones(1))
    assert backend.numpy(y)[0] == 1 / 3
    assert backend.numpy(backend.fresh(np.array([1 / 3]), "float64"))[0] == 1 / 3
    assert jnp.ones(1, float).dtype == np.float32


# ---- processes of their own ---------------------------------------------------------------------------------------------


def test_importing_changes_nothing_of_jax(run_python):
    code = """
import jax
before = dict(jax.config.values)
import lamella_jax
assert dict(jax.config.values) == before
"""
    run_python(code=code)


def on_two_devices():
    """Each device takes half of the rows; what a device has alone must stay apart, and gradients are summed."""
    from jax.sharding import Mesh, PartitionSpec

    function = backend.function(trace(network, *SPECS))
    x, kernel, weights = operands()
    rows = jnp.concatenate([x, x + 1])
    whole, share = PartitionSpec(), PartitionSpec("rows")

    def local(kernel, weights, x):
        value, gradients = jax.value_and_grad(lambda k, w: function(x, k, w)[0], (0, 1))(kernel, weights)
        return jax.lax.psum(value, "rows"), gradients

    mesh = Mesh(np.array(jax.devices()[:2]), ("rows",))
    mapped = jax.shard_map(local, mesh=mesh, in_specs=(whole, whole, share), out_specs=(whole, whole))
    value, gradients = jax.jit(mapped)(kernel, weights, rows)
    wanted, expected = jax.jit(
        jax.value_and_grad(lambda k, w: function(rows[:4], k, w)[0] + function(rows[4:], k, w)[0], (0, 1))
    )(kernel, weights)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    for a, b in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_shard_map(run_python):
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_jax_functions as t; t.on_two_devices()"
    run_python(code=code, environment={"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"})


def test_one_export_serves_several_platforms(function):
    gradient = jax.jit(jax.grad(lambda k, x, w: function(x, k, w)[0]))
    x, kernel, weights = operands()
    exported = export.export(gradient, platforms=["cpu", "cuda", "tpu"])(kernel, x, weights)
    np.testing.assert_allclose(exported.call(kernel, x, weights), gradient(kernel, x, weights), rtol=1e-5, atol=1e-7)
