"""What is timed with and without each override: programs of the size at which the override was found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from lamella import ops
from lamella.ir.program import Op, Program
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.ops import primitives as p
from lamella.passes import differentiate, simplify
from lamella_jax import lowerings
from lamella_jax.lowerings import LOWERINGS, Kernels

Ints = tuple[int, ...]
Benchmark = Callable[[Kernels, int], "Case"]


class Case(NamedTuple):
    """One computation in two forms."""

    used: Callable[..., Any]  # with the override
    plain: Callable[..., Any]
    arguments: tuple[np.ndarray, ...]


def of_op(op: Op, shapes: tuple[Ints, ...], attrs: dict[str, Any], iterations: int = 0) -> Benchmark:
    """The benchmark of one op, within a loop over stacks of operands where there are iterations.

    Args:
        op: the op.
        shapes: the shapes of its operands but for the rows, which come first where a shape begins with -1.
        attrs: its attributes.
        iterations: how many the loop has.
    """

    def case(kernels: Kernels, rows: int) -> Case:
        sizes = [tuple(rows if d == -1 else d for d in shape) for shape in shapes]

        def form(kernels: Kernels) -> Callable[..., Any]:
            function = partial(kernels[op], **attrs)
            if not iterations:
                return jax.jit(function)
            return jax.jit(lambda *stacks: lax.scan(lambda _, xs: (None, function(*xs)), None, stacks)[1])

        stack = (iterations,) if iterations else ()
        return Case(form(kernels), form(LOWERINGS), tuple(_drawn([Spec((*stack, *s), "float32") for s in sizes])))

    return case


def of_convolution(op: Op, x: Ints, kernel: Ints, iterations: int = 0, groups: int = 1, **attrs: Any) -> Benchmark:
    """The benchmark of a convolution of images `(rows, *x)`, by default without strides, and of the size of its input."""
    n = len(kernel) - 2
    at = {"strides": (1,) * n, "padding": tuple((k // 2, k // 2) for k in kernel[:n]), "dilation": (1,) * n, **attrs}
    sizes = [
        (d + low + high - k) // s + 1
        for d, k, s, (low, high) in zip(x[:n], kernel[:n], at["strides"], at["padding"], strict=True)
    ]
    images, result = (-1, *x), (-1, *sizes, kernel[-1])
    shapes = {
        p.convolve: (images, kernel),
        p.convolve_input_gradient: (result, kernel),
        p.convolve_kernel_gradient: (images, result),
    }
    size = {p.convolve_input_gradient: {"size": x[:-1]}, p.convolve_kernel_gradient: {"size": kernel[:n]}}
    return of_op(op, shapes[op], {**at, "groups": groups, **size.get(op, {})}, iterations)


def of_program(
    make: Callable[[int], Program], change: Callable[[Kernels, Program], Callable[..., Any] | None]
) -> Benchmark:
    """The benchmark of `make(rows)` as `change` compiles it, or as it is where that returns None."""

    def case(kernels: Kernels, rows: int) -> Case:
        program = simplify(make(rows))
        plain = jax.jit(partial(lowerings.outputs, kernels, program))
        return Case(change(kernels, program) or plain, plain, tuple(_drawn(program.input_specs)))

    return case


def _drawn(specs: Any) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, tuple(map(int, s.shape))).astype(np.float32) for s in specs]


# ---- programs ---------------------------------------------------------------------------------------------------------


def _same(x: Any, kernel: Any) -> Any:
    edges = tuple((k // 2, k // 2) for k in kernel.shape[:2])
    return ops.convolve(x, kernel, strides=(1, 1), padding=edges, dilation=(1, 1), groups=1)


def convolutions_and_poolings(rows: int) -> Program:
    """The outputs of two convolutions, each followed by relu and max pooling, of images (28, 28, 1)."""

    def outputs(x: Any, first: Any, second: Any) -> Any:
        for kernel in (first, second):
            at = {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}
            x = p.max_pool.bind(ops.relu(_same(x, kernel)), **at)
        return x

    shapes = [(rows, 28, 28, 1), (3, 3, 1, 32), (3, 3, 32, 64)]
    return trace(outputs, *[Spec(s, "float32") for s in shapes])


def training_of_normalizations(rows: int) -> Program:
    """The gradients of normalizations of images (32, 32, 32): hundreds of megabytes of intermediate values."""

    def loss(x: Any, *scales: Any) -> Any:
        for scale in scales:
            centered = x - ops.mean(x, axis=(0, 1, 2))
            x = ops.relu(centered * scale / ops.sqrt(ops.mean(ops.square(centered), axis=(0, 1, 2)) + 1e-3))
        return ops.sum(ops.square(x))

    shapes = [(rows, 32, 32, 32), *[(32,)] * 8]
    return differentiate(trace(loss, *[Spec(s, "float32") for s in shapes]), range(1, 9))


def lstm(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """The states `(time, batch, units)` of an LSTM whose inputs are `(time, batch, features)`."""

    def step(states: Any, now: Any) -> Any:
        h, c = states
        i, f, g, o = ops.split(now + ops.matmul(h, recurrent), 4, 1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return (h, c), h

    zeros = ops.zeros((x.shape[1], recurrent.shape[0]), "float32")
    return ops.scan(step, (zeros, zeros), ops.matmul(x, kernel) + bias)[1]


def _lstm_specs(rows: int) -> list[Spec]:
    return [Spec(s, "float32") for s in ((100, rows, 32), (32, 256), (64, 256), (256,))]


def recurrent_inference(rows: int) -> Program:
    """The states of an LSTM of 64 units over 100 steps."""
    return trace(lstm, *_lstm_specs(rows))


def recurrent_training(rows: int) -> Program:
    """The gradients of an LSTM of 64 units over 100 steps."""

    def loss(*arguments: Any) -> Any:
        return ops.sum(ops.square(lstm(*arguments)))

    return differentiate(trace(loss, *_lstm_specs(rows)), range(1, 4))
