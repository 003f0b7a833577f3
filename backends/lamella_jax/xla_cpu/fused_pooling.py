"""Pooling that XLA fuses with the convolution before it, in calls where no number can be NaN.

XLA on a CPU computes a convolution, the elementwise ops after it, and a maximum over windows in one kernel, on all cores: in
half of the time that they take apart. But it loses NaNs there. So a program that pools after a convolution, and needs no
gradient, is compiled in both forms, and every call bounds what it pools by its weights and inputs: no result of a
convolution is larger than the largest input times the largest sum of absolute weights, and so on from layer to layer. Under
a bound far below the largest float32 nothing can have overflowed, so there is no NaN, both forms give the same numbers, and
the fused one runs. Where a weight or an input is NaN or infinite, or the bound is too large, the other one runs.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from lamella.ir import interpret
from lamella.ir.program import Equation, Program, Value
from lamella.ops import primitives as p
from lamella.passes import makers_of, uses_of
from lamella_jax import lowerings
from lamella_jax.elementwise import like
from lamella_jax.lowerings import Kernels
from lamella_jax.windows import Array, Ints, Padding
from lamella_jax.xla_cpu import convolution

Pair = tuple[Equation, Equation]

_LIMIT = 1e30
_SMALL = 65536
"""At most so many numbers, computed from weights, are computed once more to bound them."""

_BETWEEN = {p.relu, p.add, p.subtract, p.multiply}
"""The ops that may be between a convolution and the pooling that is fused with it."""


def fused(kernels: Kernels, program: Program) -> Callable[..., tuple[Array, ...]] | None:
    """A function that computes `program` with poolings fused into the convolutions before them; None where there are none."""
    pairs = _pairs(program)
    return partial(_run, kernels, program, pairs) if pairs else None


def _run(kernels: Kernels, program: Program, pairs: Sequence[Pair], *arguments: Array) -> tuple[Array, ...]:
    bounds = _Bounds(kernels, program, arguments)
    known = [(bound, pair) for pair in pairs if (bound := bounds.of_operand(pair[1])) is not None]
    plain = partial(lowerings.outputs, kernels, program)
    if not known:
        return plain(*arguments)
    quick: set[Equation] = {equation for _, pair in known for equation in pair}

    def apply(equation: Equation, operands: Sequence[Array]) -> Sequence[Array]:
        return lowerings.apply(_FUSED if equation in quick else kernels, equation, operands)

    bounded = lax.lt(reduce(lax.add, [bound for bound, _ in known]), np.float32(_LIMIT))
    return lax.cond(
        bounded, lambda *arguments: tuple(map(jnp.asarray, interpret.run(program, arguments, apply))), plain, *arguments
    )


def _max_pool(x: Array, *, window: Ints, strides: Ints, padding: Padding) -> Array:
    """The maximum of every window of an x without NaNs."""
    edges = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, like(x, -math.inf), lax.max, (1, *window, 1), (1, *strides, 1), edges)


_FUSED: Kernels = {p.convolve: convolution.convolve_for_fusion, p.max_pool: _max_pool}


def _pairs(program: Program) -> list[Pair]:
    """The convolutions whose only consumer is a pooling, each with that pooling."""
    makers, uses = makers_of(program), uses_of(program)
    pairs = [(_convolution_of(e, makers, uses), e) for e in program.equations if _is_disjoint(e)]
    return [(c, e) for c, e in pairs if c is not None]


def _is_disjoint(equation: Equation) -> bool:
    """Whether it is a pooling of images by windows that neither overlap nor reach over the edge."""
    if equation.op is not p.max_pool or equation.inputs[0].spec.dtype != "float32":
        return False
    window, strides, padding = (equation.attrs[name] for name in ("window", "strides", "padding"))
    return len(window) == 2 and tuple(window) == tuple(strides) and not any(itertools.chain(*padding))


def _convolution_of(pool: Equation, makers: dict[Value, Equation], uses: Counter[Value]) -> Equation | None:
    value = pool.inputs[0]
    while uses[value] == 1 and value in makers:
        equation = makers[value]
        if equation.op is p.convolve:
            return equation if equation.attrs["groups"] == 1 else None
        if equation.op not in _BETWEEN:
            return None
        wide = [v for v in equation.inputs if v not in makers or makers[v].op is not p.broadcast]
        if len(wide) != 1:
            return None
        (value,) = wide
    return None


class _Bounds:
    """Bounds of the absolute values of a program's values, as scalars that are NaN where no bound holds."""

    def __init__(self, kernels: Kernels, program: Program, arguments: Sequence[Array]) -> None:
        self._kernels = kernels
        self._makers = makers_of(program)
        self._values = dict(zip(program.inputs, arguments, strict=True))
        self._bounds: dict[Value, Array] = {}

    def of_operand(self, equation: Equation) -> Array | None:
        """The bound of the operand of `equation`; None where an op before it has no rule."""
        try:
            return self._of(equation.inputs[0])
        except LookupError:
            return None

    def _of(self, value: Value) -> Array:
        if value not in self._bounds:
            equation = self._makers.get(value)
            rule = None if equation is None else _RULES.get(equation.op)
            if rule is None or equation is None:
                self._bounds[value] = _largest(self._value(value))
            elif value.spec.dtype in ("float32", "float64"):
                self._bounds[value] = rule(self, equation)
            else:  # float16 overflows long before the limit
                raise LookupError(value)
        return self._bounds[value]

    def _value(self, value: Value) -> Array:
        """An argument, or a small value computed from arguments."""
        if value not in self._values:
            if math.prod(value.spec.shape) > _SMALL:
                raise LookupError(value)
            equation = self._makers[value]
            results = lowerings.apply(self._kernels, equation, [self._value(v) for v in equation.inputs])
            self._values |= dict(zip(equation.outputs, results, strict=True))
        return self._values[value]

    def same(self, equation: Equation) -> Array:
        """Entries of the operand, or means of them."""
        return self._of(equation.inputs[0])

    def window(self, equation: Equation) -> Array:
        """The same, where every window meets an entry: the maximum of padding alone is -inf."""
        edges = zip(equation.attrs["window"], equation.attrs["padding"], strict=True)
        if any(max(padding) >= k for k, padding in edges):
            raise LookupError(equation.outputs[0])
        return self._of(equation.inputs[0])

    def sum(self, equation: Equation) -> Array:
        """Sums and differences."""
        return lax.add(*[self._of(v) for v in equation.inputs])

    def product(self, equation: Equation) -> Array:
        """Products."""
        return lax.mul(*[self._of(v) for v in equation.inputs])

    def convolution(self, equation: Equation) -> Array:
        """The largest input times the largest sum of absolute weights."""
        x, kernel = equation.inputs
        weights = lax.abs(jnp.asarray(self._value(kernel)))
        return lax.mul(self._of(x), _largest(lax.reduce_sum(weights, tuple(range(weights.ndim - 1)))))


def _largest(x: Array) -> Array:
    """The largest absolute value; NaN where one is NaN or infinite, which XLA's maximum on a CPU may lose."""
    sizes = lax.abs(lax.convert_element_type(x, np.float32))
    axes = tuple(range(sizes.ndim))
    return lax.add(lax.reduce_max(sizes, axes), lax.mul(np.float32(0), lax.reduce_sum(sizes, axes)))


_RULES: dict[Any, Callable[[_Bounds, Equation], Array]] = {
    **dict.fromkeys((p.relu, p.average_pool, p.reshape, p.transpose, p.broadcast, p.convert), _Bounds.same),
    p.max_pool: _Bounds.window,
    p.add: _Bounds.sum,
    p.subtract: _Bounds.sum,
    p.multiply: _Bounds.product,
    p.convolve: _Bounds.convolution,
}

__all__ = ["fused"]
