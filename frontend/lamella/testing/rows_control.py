"""Rows for the ops that hold programs: `scan`, `foreach` and `switch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.ops import primitives as p
from lamella.testing.records import Operand, Sample, bools, floats, given, ints, positive
from lamella.tree import flatten

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _flat(results: tuple[Any, Any]) -> tuple[Any, ...]:
    return tuple(flatten(results)[0])


def _cumulative(xs: Tensor) -> Any:
    def step(total: Tensor, x: Tensor) -> Any:
        total = total + x
        return total, total

    return _flat(ops.scan(step, ops.zeros_like(xs[0]), xs))


def _recurrent(xs: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor) -> Any:
    def step(h: Tensor, x: Tensor) -> Any:
        h = ops.tanh(x @ w + h @ u + b)
        return h, h

    return _flat(ops.scan(step, h, xs))


def _two_carries(xs: Tensor, zs: Tensor, h: Tensor, c: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    def step(carry: Sequence[Tensor], slices: Sequence[Tensor]) -> Any:
        (h, c), (x, z) = carry, slices
        c = ops.sigmoid(z) * c + ops.tanh(x @ w + h)
        h = ops.tanh(c) * x
        return (h, c), (c, h * z)

    return _flat(ops.scan(step, (h, c), (xs, zs), reverse=True))


def _map(xs: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    return _flat(ops.scan(lambda _, x: (None, ops.sin(x * w)), None, xs))


def _last_only(xs: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    return _flat(ops.scan(lambda h, x: (ops.tanh(h * x + x), None), h, xs))


def _iterated(x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    return _flat(ops.scan(lambda x, _: (ops.tanh(w @ x), x), x, length=3))


def _counted(xs: Tensor, h: Tensor, n: Tensor) -> tuple[Tensor, ...]:
    def step(carry: Sequence[Tensor], x: Tensor) -> Any:
        h, n = carry
        return (h * x + ops.cast(n, x.dtype), n + 1), (h, n)

    return _flat(ops.scan(step, (h, n), xs))


def _scaled(xs: Tensor, h: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    # elementwise uses of invariant operands: their gradients can only be added up
    return _flat(ops.scan(lambda h, x: (ops.sin(a * h) + ops.exp(b) * x, h * a), h, xs))


def _masked(xs: Any, mask: Any, h: Any, w: Tensor) -> Any:
    def step(h: Tensor, slices: Sequence[Tensor]) -> Any:
        x, keep = slices
        h = ops.where(ops.expand_dims(keep, 1), ops.tanh((h + x) @ w), h)
        return h, h

    return _flat(ops.scan(step, h, (xs, mask)))


def _swapped(xs: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    def step(carry: Sequence[Tensor], x: Tensor) -> Any:
        a, b, c = carry
        return (b, a * x, c), a + b

    return _flat(ops.scan(step, (a, b, c), xs))


def _nested(xs: Any, h: Any, w: Any) -> Any:
    def outer(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        h, inner = ops.scan(lambda h, x: (ops.tanh(w * h + x), h * x), h, row)
        return h, inner

    return _flat(ops.scan(outer, h, xs))


def _convolved(xs: Tensor, h: Tensor, kernel: Any) -> Any:
    def step(h: Tensor, x: Tensor) -> Any:
        window: dict[str, Any] = {"strides": (1,), "padding": ((1, 1),), "dilation": (1,), "groups": 1}
        h = ops.tanh(p.convolve.bind(h, kernel, **window) + x)
        return h, ops.mean(h, axis=1)

    return _flat(ops.scan(step, h, xs))


def _shared(xs: Tensor, w: Tensor) -> Any:
    # one weight read twice in a step and once outside
    def step(h: Tensor, x: Tensor) -> Any:
        h = ops.tanh((h @ w + x) @ w)
        return h, h

    h, ys = ops.scan(step, ops.zeros_like(xs[0]), xs)
    return h @ w, ys


def _flat_foreach(lists: list[list[Any]]) -> tuple[Any, ...]:
    return tuple(x for part in lists for x in part)


def _descent(w0: Tensor, w1: Tensor, g0: Tensor, g1: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
    return _flat_foreach(ops.foreach(lambda w, g, rate: [w - rate * g], [[w0, w1], [g0, g1]], [rate]))


def _momentum(
    w0: Tensor,
    w1: Tensor,
    w2: Tensor,
    g0: Tensor,
    g1: Tensor,
    g2: Tensor,
    m0: Tensor,
    m1: Tensor,
    m2: Tensor,
    rate: Tensor,
) -> tuple[Tensor, ...]:
    def rule(w: Tensor, g: Tensor, m: Tensor, rate: Tensor) -> Any:
        m = 0.9 * m - rate * g
        return [w + m, m / (ops.sqrt(ops.square(g) + rate) + 1e-3)]

    return _flat_foreach(ops.foreach(rule, [[w0, w1, w2], [g0, g1, g2], [m0, m1, m2]], [rate]))


def _captured(x0: Tensor, x1: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return _flat_foreach(ops.foreach(lambda x: [ops.tanh(x * a), ops.relu(x), x < a], [[x0, x1]]))


def _integers(x0: Any, x1: Any) -> Any:
    return _flat_foreach(ops.foreach(lambda x: [x + 1, ops.cast(x, "bool")], [[x0, x1]]))


def _branched(p: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    return ops.cond(p, lambda: (ops.tanh(x * w), ops.sum(w)), lambda: (x - w, ops.sum(x) * 2.0))


def _four_ways(i: Tensor, x: Tensor) -> Tensor:
    # the last returns its operand, the first something that does not depend on it
    branches = [lambda x: ops.ones_like(x), ops.sin, lambda x: x * x, lambda x: x]
    return ops.switch(i, branches, x)


def _counted_branches(i: Any, n: Any) -> Any:
    return ops.switch(i, [lambda n: (n + 1, n > 0), lambda n: (n * 2, n < 0)], n)


def _branches_in_a_loop(xs: Tensor, h: Tensor, w: Tensor) -> Any:
    def step(h: Tensor, x: Tensor) -> Any:
        h = ops.cond(ops.sum(x) > 0, lambda: ops.tanh(h * w + x), lambda: ops.sin(h) - x)
        return h, h * x

    return _flat(ops.scan(step, h, xs))


def _loop_in_a_branch(p: Tensor, x: Tensor, w: Tensor) -> Tensor:
    def loop() -> Tensor:
        return ops.scan(lambda h, _: (ops.tanh(h @ w), None), x, length=3)[0]

    return ops.cond(p, loop, lambda: ops.cond(ops.logical_not(p), lambda: x * 3.0, loop))


def _own_derivative(x: Tensor, w: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    # the captured c is a constant of it
    @ops.custom_gradient
    def product(x: Tensor, w: Tensor) -> Any:
        y = ops.tanh(x * w) + c
        slope = 1.0 - ops.square(y - c)
        return (y, ops.sum(x)), lambda g, h: (g * slope * w + h, g * slope * x)

    return product(x, w)


_SHAPES = ((2, 3), (), (4,))

ROWS = [
    Sample(p.scan, (floats(4, 3),), {}, "a running sum", _cumulative),
    Sample(p.scan, (floats(3, 2, 3), floats(2, 2), floats(3, 2), floats(2, 2), floats(2)), {}, "recurrent", _recurrent),
    Sample(
        p.scan,
        (floats(3, 2, 2), floats(3, 2, 2), floats(2, 2), floats(2, 2), floats(2, 2)),
        {},
        "two carries, two inputs, reversed",
        _two_carries,
    ),
    Sample(p.scan, (floats(4, 2), floats(2)), {}, "no carry", _map),
    Sample(p.scan, (floats(4, 2), floats(2)), {}, "no stacked output", _last_only),
    Sample(p.scan, (floats(2), floats(2, 2)), {}, "no stacked input", _iterated),
    Sample(p.scan, (floats(3, 2), floats(2), ints()), {}, "an integer carry", _counted),
    Sample(p.scan, (floats(3, 2), floats(2), floats(2), floats()), {}, "elementwise weights", _scaled),
    Sample(p.scan, (floats(4, 2, 2), bools(4, 2), floats(2, 2), floats(2, 2)), {}, "masked", _masked),
    Sample(p.scan, (floats(3, 2), floats(2), floats(2), floats(2)), {}, "carries change places", _swapped),
    Sample(p.scan, (floats(1, 3),), {}, "one step", _cumulative),
    Sample(p.scan, (floats(2, 3, 2), floats(2), floats(2)), {}, "nested", _nested),
    Sample(p.scan, (floats(2, 1, 4, 2), floats(1, 4, 2), floats(3, 2, 2)), {}, "a convolution inside", _convolved),
    Sample(p.scan, (floats(3, 2, 2), floats(2, 2)), {}, "one weight used three times", _shared),
    Sample(p.foreach, (floats(2, 3), floats(), floats(2, 3), floats(), floats()), {}, "gradient descent", _descent),
    Sample(
        p.foreach,
        (*[floats(*s) for s in _SHAPES * 3], floats(domain=positive)),
        {},
        "momentum, two results",
        _momentum,
    ),
    Sample(
        p.foreach,
        (floats(2, 2, domain=positive), floats(3, domain=positive), floats()),
        {},
        "three results of two dtypes",
        _captured,
        wrt=(0, 1, 2),
    ),
    Sample(p.foreach, (ints(3), ints(2, 2)), {}, "integers", _integers),
    *[
        Sample(p.switch, (Operand((), given(taken), "bool"), *operands), {}, f"{reason}, {taken}", build)
        for taken in (True, False)
        for operands, reason, build in (
            ((floats(2, 3), floats(2, 3)), "two results", _branched),
            ((floats(2, 2), floats(2, 2)), "a loop in a branch", _loop_in_a_branch),
        )
    ],
    *[
        Sample(p.switch, (Operand((), given(i), "int32"), floats(3)), {}, f"index {i} of four", _four_ways)
        for i in (-2, 0, 1, 2, 3, 9)
    ],
    Sample(
        p.custom_gradient, (floats(3), floats(3), floats(3)), {}, "the true derivative", _own_derivative, wrt=(0, 1)
    ),
    Sample(p.switch, (ints(low=1, high=2), ints(2, 2)), {}, "integers and bool", _counted_branches),
    Sample(p.switch, (floats(4, 2), floats(2), floats(2)), {}, "in a loop", _branches_in_a_loop),
]
