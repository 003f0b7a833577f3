"""Convolution and pooling on JAX: right for every shape, and never on XLA's naive path inside a loop."""

from __future__ import annotations

import sys
from pathlib import Path

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
from lamella_jax.kernels import KERNELS, QUIRKS  # noqa: E402
from lamella_jax.xla_cpu import convolution  # noqa: E402

backend = load_backend("jax")
quirks = pytest.mark.skipif(not QUIRKS, reason="LAMELLA_XLA_QUIRKS=0 turns the workarounds off")


def native(x, kernel, at):
    """The convolution as JAX has it, whose own transposes are the oracle here."""
    letters = "DHW"[3 - len(at["strides"]) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        at["strides"],
        at["padding"],
        rhs_dilation=at["dilation"],
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=at["groups"],
    )


def shapes(count, seed=0):
    """Random convolutions: every combination of strides, dilation, padding, groups and dimensions, small."""
    generator = np.random.default_rng(seed)
    while count:
        n, groups = int(generator.integers(1, 4)), int(generator.choice([1, 1, 2, 3]))
        draw = lambda low, high, n=n: tuple(int(v) for v in generator.integers(low, high, n))  # noqa: E731
        at = {"strides": draw(1, 4 if n < 3 else 3), "dilation": draw(1, 3), "groups": groups}
        at["padding"] = tuple(zip(draw(0, 4), draw(0, 4), strict=True))
        size, window = draw(1, 8), draw(1, 4)
        if any(
            s + sum(pad) < (k - 1) * d + 1
            for s, pad, k, d in zip(size, at["padding"], window, at["dilation"], strict=True)
        ):
            continue
        count -= 1
        inner, outer = draw(1, 3, 2)
        x = generator.standard_normal((int(generator.integers(1, 3)), *size, inner * groups))
        yield x, generator.standard_normal((*window, inner, outer * groups)), at


def check_shape(x, kernel, at):
    size, window = x.shape[1:-1], kernel.shape[: len(at["strides"])]

    @jax.jit
    def both(x, kernel, g):
        y, transpose = jax.vjp(lambda x, k: native(x, k, at), x, kernel)
        found, own = jax.vjp(lambda x, k: KERNELS[p.convolve](x, k, **at), x, kernel)
        dx = KERNELS[p.convolve_input_gradient](g, kernel, size=size, **at)
        dk = KERNELS[p.convolve_kernel_gradient](x, g, size=window, **at)
        wanted = transpose(g)
        return (y, *wanted, *wanted), (found, *own(g), dx, dk)

    with jax.enable_x64(True):
        shape = jax.eval_shape(lambda x, k: native(x, k, at), x, kernel).shape
        wanted, found = both(x, kernel, np.random.default_rng(1).standard_normal(shape))
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


def test_convolutions_and_their_gradients():
    for x, kernel, at in shapes(6):
        check_shape(x, kernel, at)


@pytest.mark.parametrize("rows, window", [(12, (3, 3)), (7, (1, 3)), (6, (3, 1))])
def test_many_channels_and_many_pictures(rows, window):
    """Without padding, which has a form of its own, and with pictures for several turns of the gradient's loop."""
    generator = np.random.default_rng(0)
    for strides, dilation, outer in [((1, 1), (1, 1), 4), ((2, 3), (1, 2), 64)]:
        at = {"strides": strides, "dilation": dilation, "padding": ((0, 0), (0, 0)), "groups": 1}
        x, kernel = generator.standard_normal((rows, 9, 8, 64)), generator.standard_normal((*window, 64, outer))
        check_shape(x, kernel, at)


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 2), (2, 1))])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_a_convolution_lengthened_for_all_cores(padding, dilation):
    """So much work that it pays; what the lengthening adds is cut off."""
    generator = np.random.default_rng(0)
    at = {"strides": (1, 1), "dilation": dilation, "padding": padding, "groups": 1}
    x, kernel = generator.standard_normal((17, 14, 13, 32)), generator.standard_normal((3, 3, 32, 48))
    assert convolution._lengthened(((1, 1), padding, dilation, 1), x, kernel) is not None
    check_shape(x, kernel, at)


@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_three_colors_to_many_channels(strides):
    """A sum of an odd number of products, to which a channel of zeros is added."""
    generator = np.random.default_rng(0)
    at = {"strides": strides, "dilation": (1, 1), "padding": ((1, 1), (1, 0)), "groups": 1}
    x, kernel = generator.standard_normal((2, 7, 6, 3)), generator.standard_normal((3, 3, 3, 24))
    assert convolution._is_slowly_odd((strides, at["padding"], (1, 1), 1), kernel)
    check_shape(x, kernel, at)


def test_a_stride_beyond_the_window_that_meets_padding_only():
    at = {"strides": (5,), "dilation": (1,), "padding": ((1, 0),), "groups": 1}
    check_shape(np.ones((2, 3, 2)), np.ones((1, 2, 2)), at)


@pytest.mark.slow
def test_many_convolutions_and_their_gradients():
    for x, kernel, at in shapes(50, seed=1):
        check_shape(x, kernel, at)


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 0), (0, 1))])
@pytest.mark.parametrize("window", [(2, 2), (3, 2)])
@pytest.mark.parametrize("strides", [(2, 2), (3, 2), (1, 1)])
def test_pooling_agrees_with_the_definition(window, strides, padding):
    # few distinct numbers, so that windows have ties
    x = np.random.default_rng(0).integers(0, 3, (2, 7, 6, 2)).astype(np.float32)
    x[0, 3, 3, 0] = np.nan
    at = {"window": window, "strides": strides, "padding": padding}
    reference = load_backend("numpy")
    y = reference.evaluate(p.max_pool, [x], at)[0]
    g = np.random.default_rng(1).integers(-4, 5, y.shape).astype(np.float32)
    wanted = reference.evaluate(p.max_pool_gradient, [g, x, y], at)[0]

    def pool(x):
        return KERNELS[p.max_pool](x, **at)

    @jax.jit
    def on_jax(x, g):
        y, back = jax.vjp(pool, x)
        return y, back(g)[0], KERNELS[p.max_pool_gradient](g, x, y, **at), jax.jvp(pool, (x,), (jnp.ones_like(x),))[1]

    slope = np.where(np.isnan(y), 0, 1)  # no cell of a window with a NaN is its maximum
    for found, expected in zip(on_jax(x, g), (y, wanted, wanted, slope), strict=True):
        np.testing.assert_array_equal(found, expected)


# ---- XLA's naive convolution --------------------------------------------------------------------------------------------

PLAIN = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
LOOPS = {
    "same": ((2, 8, 8, 3), (3, 3, 3, 4), {}),
    "valid, strided": ((2, 9, 9, 3), (3, 3, 3, 4), {"strides": (2, 2), "padding": ((0, 0), (0, 0))}),
    "same, strided": ((2, 8, 8, 3), (3, 3, 3, 4), {"strides": (2, 2), "padding": ((0, 1), (0, 1))}),
    "dilated": ((2, 9, 9, 3), (3, 3, 3, 4), {"dilation": (2, 2), "padding": ((2, 2), (2, 2))}),
    "grouped": ((2, 8, 8, 4), (3, 3, 2, 6), {"groups": 2}),
    "grouped, strided": ((2, 8, 8, 4), (3, 3, 2, 6), {"groups": 2, "strides": (2, 2)}),
    "depthwise": ((2, 8, 8, 4), (3, 3, 1, 8), {"groups": 4}),
    "depthwise, strided": ((2, 8, 8, 4), (3, 3, 1, 4), {"groups": 4, "strides": (2, 2)}),
    "one dimension": (
        (2, 12, 3),
        (5, 3, 4),
        {"strides": (1,), "padding": ((2, 2),), "dilation": (1,)},
    ),
    "one dimension, strided, causal": (
        (2, 12, 3),
        (3, 3, 4),
        {"strides": (2,), "padding": ((2, 0),), "dilation": (1,)},
    ),
    "three dimensions": (
        (1, 5, 5, 5, 2),
        (3, 3, 3, 2, 3),
        {"strides": (1, 1, 1), "padding": ((1, 1),) * 3, "dilation": (1, 1, 1)},
    ),
}


def compile_loops(gradients):
    """Compile three steps of gradient descent as a loop on the device, for (gradient, shape of x, shape of the kernel)s."""

    def descend(gradient, x, kernel):
        def step(carry, _):
            dx, dk = gradient(*carry)
            return (carry[0] - 0.1 * dx, carry[1] - 0.1 * dk), None

        return lax.scan(step, (x, kernel), None, length=3)[0]

    operands = [[jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes] for _, *shapes in gradients]
    jax.jit(lambda operands: [descend(g, *pair) for (g, *_), pair in zip(gradients, operands, strict=True)]).lower(
        operands
    ).compile()


def compile_every_loop():
    """What the subprocess runs: every case by JAX's derivative and by lamella's own, then a loop that must be found."""
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    by_jax, own = [], []
    for x, kernel, changes in LOOPS.values():
        at = {**PLAIN, **changes}
        program = trace(
            lambda x, k, at=at: ops.sum(ops.square(ops.convolve(x, k, **at))),
            Spec(x, "float32"),
            Spec(kernel, "float32"),
        )
        function, gradient = backend.function(program), backend.function(differentiate(program, [0, 1]))
        by_jax.append((jax.grad(lambda x, k, f=function: f(x, k)[0], (0, 1)), x, kernel))
        own.append((lambda x, k, f=gradient: f(x, k)[1:], x, kernel))
    say("CASE jax.grad")
    compile_loops(by_jax)
    say("CASE differentiate")
    compile_loops(own)
    say("CASE native")
    x, kernel, _ = LOOPS["same"]
    compile_loops([(jax.grad(lambda x, k: (native(x, k, PLAIN) ** 2).sum(), (0, 1)), x, kernel)])
    say("CASE end")


@quirks
@pytest.mark.skipif(jax.__version_info__ >= (0, 12), reason="XLA no longer logs the path")
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the path is that of XLA on a CPU")
def test_no_convolution_of_a_training_loop_is_naive(run_python):
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_jax_convolution as t; t.compile_every_loop()"
    log = {"TF_CPP_VMODULE": "thunk_emitter=3", "TF_CPP_MIN_LOG_LEVEL": "0", "JAX_PLATFORMS": "cpu"}
    lines = run_python(code=code, environment=log).stderr.splitlines()
    found, case = {}, ""
    for line in lines:
        case = line.removeprefix("CASE ") if line.startswith("CASE ") else case
        if "unoptimized convolution" in line:
            found.setdefault(case, []).append(line)
    assert case == "end"
    assert list(found) == ["native"]  # the log would say so


@quirks
def test_forward_mode_stops_at_a_convolution():
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    with pytest.raises(TypeError, match="forward-mode autodiff"):
        jax.jvp(lambda x: KERNELS[p.convolve](x, kernel, **PLAIN), (x,), (x,))


def test_vmap_over_both_operands():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2, 5, 5, 2)))
    kernel = jnp.asarray(np.random.default_rng(1).standard_normal((3, 3, 3, 2, 4)))

    def loss(x, k):
        return (KERNELS[p.convolve](x, k, **PLAIN) ** 2).sum()

    gradient = jax.grad(loss, (0, 1))
    together = jax.jit(jax.vmap(gradient))(x, kernel)
    for i in range(3):
        for mapped, one in zip(together, jax.jit(gradient)(x[i], kernel[i]), strict=True):
            np.testing.assert_allclose(mapped[i], one, rtol=1e-4, atol=1e-4)
