"""The workarounds for XLA on a CPU: on a CPU alone, one table of them, and each with its releases and its benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import export  # noqa: E402

from lamella import ops  # noqa: E402
from lamella.backend_api import load_backend  # noqa: E402
from lamella.ir.spec import Spec  # noqa: E402
from lamella.ir.trace import trace  # noqa: E402
from lamella.ops import primitives as p  # noqa: E402
from lamella.passes import differentiate  # noqa: E402
from lamella_jax import LOWERINGS, kernels, windows  # noqa: E402
from lamella_jax.platform_choice import choose  # noqa: E402
from lamella_jax.xla_cpu import __main__ as command  # noqa: E402
from lamella_jax.xla_cpu import benchmarks, convolution  # noqa: E402
from lamella_jax.xla_cpu.table import OVERRIDES, kernels_with  # noqa: E402

backend = load_backend("jax")
PACKAGE = Path(kernels.__file__).parent
SAME = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
POOL = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}


def loss(x, kernel, deep, inward, recurrent, bias, dense):
    """Convolutions of RGB images, one of three dimensions, pooling, an LSTM over the rows of the images, a dense layer."""
    x = p.max_pool.bind(ops.relu(ops.convolve(x, kernel, **SAME)), **POOL)
    x = ops.convolve(
        ops.reshape(x, (2, 4, 4, 4, 6)), deep, strides=(1,) * 3, padding=((1, 1),) * 3, dilation=(1,) * 3, groups=1
    )
    states = benchmarks.lstm(ops.transpose(ops.reshape(x, (2, 16, 8)), (1, 0, 2)), inward, recurrent, bias)
    return ops.sum(ops.square(ops.matmul(states[-1], dense)))


SHAPES = [(2, 8, 8, 3), (3, 3, 3, 24), (3, 3, 3, 6, 2), (8, 8), (2, 8), (8,), (2, 3)]
SPECS = [Spec(s, "float32") for s in SHAPES]
PROGRAM = trace(loss, *SPECS)
STEP = differentiate(PROGRAM, range(1, 7))
POOLED = benchmarks.convolutions_and_poolings(2)


def arrays(program=PROGRAM):
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(0, 0.5, tuple(map(int, s.shape))), s.dtype) for s in program.input_specs]


FUNCTIONS = {
    "forward": lambda: (backend.function(PROGRAM), PROGRAM),
    "a training step": lambda: (backend.function(STEP), STEP),
    "compiled": lambda: (backend.compile(PROGRAM), PROGRAM),
    "a compiled training step": lambda: (backend.compile(STEP), STEP),
    "pooling after convolutions": lambda: (backend.compile(POOLED), POOLED),
    "recurrent inference": lambda: (backend.compile(at := benchmarks.recurrent_inference(2)), at),
    "an output of two": lambda: (lambda *xs: backend.function(STEP)(*xs)[1], STEP),
    "jax.grad of a convolution": lambda: (
        jax.grad(lambda *xs: (backend.function(POOLED)(*xs)[0] ** 2).sum(), (0, 1)),
        POOLED,
    ),
}


def module(make, platform):
    """The text of the StableHLO module for `platform`, without the places in the source that it comes from."""
    function, program = make()
    text = export.export(jax.jit(function), platforms=[platform])(*arrays(program)).mlir_module()
    return re.sub(r" loc\([^()]*\)", "", re.sub(r"(?m)^#loc.*\n", "", text))


@pytest.fixture
def overridden(monkeypatch):
    """Calls a function with the overrides on, whatever the environment says, then with the plain lowerings."""

    def both(function):
        found = []
        for used in (OVERRIDES, ()):
            monkeypatch.setattr(kernels, "_USED", used)
            monkeypatch.setattr(kernels, "KERNELS", kernels_with(used))
            found.append(function())
        return found

    return both


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_module_for_another_platform_holds_no_override(name, overridden):
    with_overrides, plain = overridden(lambda: module(FUNCTIONS[name], "cuda"))
    assert with_overrides == plain
    with_overrides, plain = overridden(lambda: module(FUNCTIONS[name], "cpu"))
    assert with_overrides != plain


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_override_on_every_platform_would_be_found(name, overridden, monkeypatch):
    for place in (kernels, convolution):
        monkeypatch.setattr(place, "choose", lambda cpu, plain, *operands: cpu(*operands))
    with_overrides, plain = overridden(lambda: module(FUNCTIONS[name], "cuda"))
    assert with_overrides != plain


@pytest.mark.parametrize("name", FUNCTIONS)
def test_both_forms_give_the_same_numbers(name, overridden):
    def results():
        function, program = FUNCTIONS[name]()
        return jax.jit(function)(*arrays(program))

    for a, b in zip(*overridden(results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_transformations_of_both_forms_agree(overridden):
    """Forward and reverse mode, second derivatives and `vmap` of a loop that is rewritten."""
    program = trace(
        lambda *xs: ops.sum(ops.square(benchmarks.lstm(*xs))),
        *[Spec(s, "float32") for s in [(3, 2, 5), (5, 8), (2, 8), (8,)]],
    )
    xs = arrays(program)

    def results():
        function = backend.function(program)
        of = lambda *xs: function(*xs)[0]  # noqa: E731
        return [
            *jax.jit(lambda *xs: jax.jvp(of, xs, tuple(xs)))(*xs),
            *jax.jit(jax.grad(of, (0, 1, 2, 3)))(*xs),
            *jax.grad(of, (2, 3))(*xs),
            jax.jit(jax.vmap(jax.grad(of, 3), (None, None, None, 0)))(*xs[:3], jnp.stack([xs[3], -xs[3]])),
            jax.jit(jax.hessian(of, 3))(*xs),
        ]

    for a, b in zip(*overridden(results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_choice_is_made_where_it_is_lowered():
    def function(x):
        return choose(lambda x: x + 1, lambda x: x * 2, x)

    x = jnp.full((3,), 5.0)
    wanted = 6.0 if jax.default_backend() == "cpu" else 10.0
    for call in (function, jax.jit(function), jax.vmap(function), jax.jit(jax.vmap(function))):
        np.testing.assert_array_equal(call(x), np.full(3, wanted))
    np.testing.assert_array_equal(jax.grad(lambda x: function(x).sum())(x), np.full(3, 2.0))
    assert "stablehlo.add" not in export.export(jax.jit(function), platforms=["cuda"])(x).mlir_module()
    everywhere = export.export(jax.jit(function), platforms=["cpu", "cuda"])(x)
    np.testing.assert_array_equal(everywhere.call(x), np.full(3, wanted))


def test_the_environment_turns_the_overrides_off(run_python):
    code = """
from lamella.ops import primitives as p
from lamella_jax import kernels, windows
print(kernels.QUIRKS, kernels.KERNELS[p.convolve] is windows.convolve)
"""
    for value, wanted in (("0", "False True"), ("1", "True False")):
        assert run_python(code=code, environment={"LAMELLA_XLA_QUIRKS": value}).stdout.strip() == wanted


# ---- the table ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda o: o.name)
def test_every_override_has_a_reason_its_releases_and_a_benchmark(override):
    assert override.reason.endswith(".") and len(override.measured) >= 2
    assert all(re.fullmatch(r"\d+\.\d+\.\d+(\.\d+)?", release) for release in override.measured)
    assert any(ratio < command.PAYS for ratio in override.measured.values())
    assert sum(map(bool, (override.lowerings, override.rewrite, override.fuse, override.jit))) == 1
    case = override.benchmark(kernels_with(OVERRIDES), 2)
    for a, b in zip(
        jax.tree.leaves(case.used(*case.arguments)), jax.tree.leaves(case.plain(*case.arguments)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * float(jnp.abs(b).max()))


def test_the_command_prints_a_line_for_every_override(monkeypatch, capsys):
    monkeypatch.setattr(command, "OVERRIDES", OVERRIDES[:2])
    monkeypatch.setattr(command, "ROWS", 2)
    monkeypatch.setattr(command, "_SECONDS", 0.0)
    command.main()
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("jaxlib ") and [
        line.startswith(o.name) for line, o in zip(lines, OVERRIDES[:2], strict=True)
    ]
    assert all(line.endswith("pays") or line.endswith("does not pay") for line in lines)


def test_the_table_has_one_reader():
    readers = {
        path.stem for path in PACKAGE.glob("*.py") if re.search(r"^\s*(from|import) .*xla_cpu", path.read_text(), re.M)
    }
    assert readers == {"kernels"}
    assert LOWERINGS[p.convolve] is windows.convolve
