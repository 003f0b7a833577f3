"""The NumPy compiler computes what the interpreter computes, without allocating, aliasing or mixing up threads."""

from __future__ import annotations

import contextlib
import math
import threading
import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiled import assert_apart, assert_compiles, assert_same, draw_arrays, interpreted
from lamella import ops
from lamella.backend_api import load_backend
from lamella.ir.spec import Spec
from lamella.ir.trace import constant_value, current_trace, trace
from lamella.ops import primitives as p
from lamella.passes import differentiate
from lamella_numpy import BACKEND, products, rules_elementwise

UNARY = [ops.tanh, ops.negative, ops.abs, ops.relu, ops.sigmoid, ops.softplus, ops.sin, ops.square, ops.floor, ops.sign]
BINARY = [ops.add, ops.subtract, ops.multiply, ops.maximum, ops.minimum, ops.divide, ops.mod]


# ---- random programs ------------------------------------------------------------------------------------------------


def grow(draw, values, steps, depth=0):  # noqa: C901, PLR0912  one branch per kind of equation
    """Add random equations on `values` to the running trace."""
    values = list(values)
    for _ in range(steps):
        x = draw.choice(values)
        choice = draw.randrange(20)
        if choice < 4:
            values.append(draw.choice(UNARY)(x))
        elif choice < 8:
            repeated = [v for v in values if v.ndim <= x.ndim and v.shape == x.shape[x.ndim - v.ndim :]]
            partner = draw.choice([*repeated, 0.5, -2.0, 0.0, 1.0])
            values.append(draw.choice(BINARY)(*draw.sample([x, partner], 2)))
        elif choice == 8 and x.ndim:
            axes = tuple(sorted(draw.sample(range(x.ndim), draw.randint(1, x.ndim))))
            values.append(draw.choice([ops.sum, ops.max, ops.min, ops.mean])(x, axes, keepdims=draw.random() < 0.5))
        elif choice == 9:
            values.append(ops.transpose(x, draw.sample(range(x.ndim), x.ndim)))
        elif choice == 10:
            values.append(ops.reshape(x, draw.choice([(-1,), (1, -1), (*x.shape, 1), x.shape[::-1]])))
        elif choice == 11:
            values.append(ops.broadcast_to(x, (draw.randint(1, 3), *x.shape)) if x.size < 200 else x)
        elif choice == 12 and x.ndim:
            axis = draw.randrange(x.ndim)
            start = draw.randrange(x.shape[axis])
            key = [slice(None)] * x.ndim
            key[axis] = slice(start, draw.randint(start + 1, x.shape[axis]), draw.choice([None, 2]))
            values.append(x[tuple(key)])
        elif choice == 13 and x.ndim:
            width = [(draw.randint(0, 2), draw.randint(0, 2)) for _ in x.shape]
            values.append(ops.pad(x, width, constant_values=draw.choice([0.0, -1.5])) if x.size < 200 else x)
        elif choice == 14 and x.ndim:
            axis = draw.randrange(x.ndim)
            values.append(ops.concatenate([x, draw.choice([x, ops.tanh(x)])], axis) if x.size < 200 else x)
        elif choice == 15 and x.ndim:
            axis = draw.randrange(x.ndim)
            values.extend(ops.split(x, [draw.randrange(x.shape[axis] + 1)], axis)[1:] if x.shape[axis] > 1 else [])
            values.append(ops.flip(x, axis))
            values = [v for v in values if v.size]
        elif choice == 16:
            y = draw.choice([v for v in values if v.shape == x.shape])
            values.append(ops.where(ops.less(x, y), *draw.sample([x, y, 0.0], 2)))
        elif choice == 17 and x.ndim:
            partners = [v for v in values if v.ndim and v.shape[0] == x.shape[-1]]
            if partners:
                values.append(ops.tensordot(x, draw.choice(partners), 1))
            else:
                values.append(ops.tensordot(x, x, ([x.ndim - 1], [x.ndim - 1])) if x.size < 60 else x)
        elif choice == 18 and x.ndim:
            values.append(draw.choice([ops.softmax, ops.log_softmax])(x, draw.randrange(x.ndim)))
        elif choice == 19 and depth < 2 and x.ndim and x.size:
            values.extend(grow_scan(draw, values, x, depth))
        values = [v for v in values if v.ndim < 5 and v.size < 2000]
    return values


def grow_scan(draw, values, xs, depth):
    start = draw.choice(values)

    def step(carry, x):
        a, b = carry
        found = grow(draw, [a, x, draw.choice(values)], draw.randint(1, 4), depth + 1)
        fitting = [v for v in found if v.shape == start.shape]
        return (draw.choice(fitting or [a]), draw.choice([a, b, ops.multiply(b, 0.5)])), [draw.choice(found), x]

    (last, other), ys = ops.scan(step, (start, ops.zeros_like(start)), xs, reverse=draw.random() < 0.5)
    return [last, other, *ys]


SMALL_IS_LARGE = {"_LARGE": 1, "_NARROW": 4, "_RUN": 16, "_SUM_TOGETHER": 8, "LONGEST_DOT": 8}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from(["float32", "float64"]), st.booleans())
def test_random_programs(draw, dtype, large):
    shapes = [draw.choice([(), (3,), (2, 3), (3, 2), (3, 1, 2), (4, 3)]) for _ in range(draw.randint(1, 3))]

    def build(*inputs):
        table = constant_value(current_trace(), np.linspace(-1, 1, 6).astype(dtype).reshape(2, 3), dtype)
        values = grow(draw, [*inputs, table], draw.randint(1, 14))
        return [draw.choice(values) for _ in range(draw.randint(1, 4))] + [draw.choice(inputs)]

    program = trace(build, *[Spec(s, dtype) for s in shapes])
    with contextlib.ExitStack() as patches:
        if large:
            patches.enter_context(mock.patch.multiple(rules_elementwise, **SMALL_IS_LARGE))
            patches.enter_context(mock.patch.object(products, "LONGEST_DOT", 8))
        assert_compiles(program, dtype)


# ---- named cases ----------------------------------------------------------------------------------------------------


def lstm_like(x, w, u, b):
    def step(carry, z):
        h, c = carry
        i, f, o, g = ops.split(ops.add(z, ops.matmul(h, u)), 4, axis=1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return (h, c), h

    zeros = ops.zeros((x.shape[0], u.shape[0]), x.dtype)
    z = ops.transpose(ops.matmul(x, w) + b, (1, 0, 2))
    (h, c), hs = ops.scan(step, (zeros, zeros), z)
    return ops.sum(h) + ops.mean(ops.square(hs)), h, c


LSTM = [(3, 5, 2), (2, 16), (4, 16), (16,)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_scan_and_its_gradient(dtype):
    program = trace(lstm_like, *[Spec(s, dtype) for s in LSTM])
    assert_compiles(program, dtype)
    assert_compiles(differentiate(program, [0, 1, 2, 3]), dtype)


def test_reverse_scan_with_changing_order_of_carries():
    def build(xs, a):
        def step(carry, x):
            first, second = carry
            return (second, first + x), [first, ops.sum(x), second * a, ops.ones((2,))]

        carry, ys = ops.scan(step, (a, ops.zeros_like(a)), xs, reverse=True)
        return [*carry, *ys]

    assert_compiles(trace(build, Spec((5, 3), "float32"), Spec((3,), "float32")))


def test_nested_scans():
    def build(xs, a):
        def inner(c, x):
            return c * 0.9 + x, c

        def outer(carry, x):
            last, ys = ops.scan(inner, carry, x)
            return last, [ys, ops.sum(ys)]

        last, (ys, sums) = ops.scan(outer, a, xs)
        return last, ys, sums

    program = trace(build, Spec((4, 3, 2), "float32"), Spec((2,), "float32"))
    assert_compiles(program)
    total = trace(lambda *a: ops.sum(build(*a)[1] * 1.5) + ops.sum(build(*a)[0]), *program.input_specs)
    assert_compiles(differentiate(total, [0, 1]))


def adam(parameters, gradients, m, v, step):
    t = ops.cast(step + 1, "float32")
    alpha = 1e-3 * ops.sqrt(-ops.expm1(t * math.log(0.999))) / -ops.expm1(t * math.log(0.9))

    def rule(w, g, m, v, alpha):
        m = m + (g - m) * 0.1
        v = v + (g * g - v) * 0.001
        return w - m * alpha / (ops.sqrt(v) + 1e-7), m, v

    return ops.foreach(rule, [parameters, gradients, m, v], [alpha])


@pytest.mark.parametrize("shapes", [[(3, 4), (4,), (4, 1), ()], [(230, 300), (300,), (1,)]])
def test_foreach(shapes):
    """Small, and over several pieces of which the last is shorter."""
    n = len(shapes)
    step = Spec((), "uint32")

    def build(*a):
        w, g, m, v = (a[i * n : (i + 1) * n] for i in range(4))
        g = [ops.tanh(x) for x in g]
        return [y for group in adam(w, g, m, v, a[-1]) for y in group] + g

    def build_positive(*a):
        a = [*a[: 3 * n], *[ops.square(x) for x in a[3 * n : 4 * n]], a[-1]]
        return build(*a)

    assert_compiles(trace(build_positive, *[Spec(s, "float32") for s in shapes] * 4, step))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
@pytest.mark.parametrize(
    ("x", "y", "contracting", "batch"),
    [
        ((3, 4), (4, 5), ((1,), (0,)), ((), ())),
        ((4, 3), (4, 5), ((0,), (0,)), ((), ())),
        ((3, 4), (5, 4), ((1,), (1,)), ((), ())),
        ((2, 3, 4), (4, 5), ((2,), (0,)), ((), ())),
        ((2, 3, 4), (2, 3, 5), ((0, 1), (0, 1)), ((), ())),
        ((2, 3, 4), (3, 2, 5), ((0, 1), (1, 0)), ((), ())),
        ((2, 3, 4), (2, 4, 5), ((2,), (1,)), ((0,), (0,))),
        ((3, 2, 4), (2, 4, 5), ((2,), (1,)), ((1,), (0,))),
        ((2, 3, 4, 5), (2, 3, 5, 6), ((3,), (2,)), ((0, 1), (0, 1))),
        ((4,), (4,), ((0,), (0,)), ((), ())),
        ((4,), (5,), ((), ()), ((), ())),
        ((3, 4), (3, 4), ((1,), (1,)), ((0,), (0,))),
        ((3, 4), (3, 4), ((0, 1), (0, 1)), ((), ())),
        ((2, 3, 4), (3, 5), ((1,), (0,)), ((), ())),
        ((3, 1), (1, 4), ((1,), (0,)), ((), ())),
    ],
)
def test_contract(dtype, x, y, contracting, batch):
    program = trace(
        lambda a, b: p.contract.bind(a, b, contracting=contracting, batch=batch), Spec(x, dtype), Spec(y, dtype)
    )
    assert_compiles(program, dtype)


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int8", "int32", "uint8", "int64", "bool"]
)
def test_select_is_exact_beside_nan(dtype):
    def build(c, x, y):
        zero = ops.zeros_like(x)
        where = p.select.bind
        return where(c, x, y), where(c, x, zero), where(c, zero, x), where(c, x, x), where(c, zero, zero)

    program = trace(build, Spec((4, 5), "bool"), Spec((4, 5), dtype), Spec((4, 5), dtype))
    assert_compiles(program)
    compiled = BACKEND.compile(program)
    c, x, y = draw_arrays(program, 1)
    if x.dtype.kind == "f":
        x[~c], y[c] = np.nan, np.inf
        first, second, *_ = compiled(c, x, y)
        assert np.isfinite(first).all() and np.isfinite(second).all()
        np.testing.assert_array_equal(second, np.where(c, x, 0))


def test_relu_gradient_is_exact_beside_nan():
    program = trace(lambda g, y: p.relu_gradient.bind(g, y), Spec((4,), "float32"), Spec((4,), "float32"))
    g, y = np.array([np.nan, 1, 2, np.inf], np.float32), np.array([0, 1, -0.0, -3], np.float32)
    (found,) = BACKEND.compile(program)(g, y)
    np.testing.assert_array_equal(found, [0, 1, 0, 0])


def test_scalars_keep_their_dtype():
    def build(x, n):
        t = ops.cast(n + 1, "float32")
        y = ops.sqrt(1.0 - ops.exp(t * -0.1)) / (x % 0.7 + 2.0)
        return (
            y,
            ops.cast(y * 100, "int32"),
            ops.less(y, x),
            ops.where(x < y, x, y),
            n * 3,
            ops.maximum(x, y),
            ops.relu(x),
        )

    compiled = assert_compiles(trace(build, Spec((), "float32"), Spec((), "uint32")))
    assert "add(" not in compiled.source  # NumPy scalars, not 0-d arrays


def test_big_vectors_are_summed_and_picked():
    def build(x, i):
        return ops.sum(x), ops.sum(x, 0), ops.sum(x, 1), ops.take(x, i, axis=0), ops.argmax(x, 1), ops.max(x, (0, 1))

    program = trace(build, Spec((300, 400), "float32"), Spec((7,), "int32"))
    assert_compiles(program)


def test_window_ops_and_random_bits():
    def build(x, k, key, step):
        y = ops.convolve(x, k, strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1)
        y = ops.primitives.max_pool.bind(ops.relu(y), window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))
        bits = ops.random_bits(ops.fold_in(key, data=3), step, shape=y.shape, bits=16)
        y = ops.where(ops.less(bits, 30000), y, 0.0)
        y = ops.primitives.average_pool.bind(y, window=(2, 2), strides=(1, 1), padding=((0, 0), (0, 0)))
        return ops.sum(ops.square(y)), y

    specs = [Spec((2, 6, 6, 3), "float32"), Spec((3, 3, 3, 4), "float32"), Spec((2,), "uint32"), Spec((), "uint32")]
    program = trace(build, *specs)
    assert_compiles(program)
    assert_compiles(differentiate(program, [0, 1]))


def test_outputs_that_are_inputs_constants_and_each_other():
    def build(x):
        table = constant_value(current_trace(), np.arange(3, dtype=np.float32), "float32")
        y = ops.tanh(x)
        return (
            x,
            x,
            y,
            y,
            ops.reshape(y, (3, 1)),
            ops.broadcast_to(y[0], (2, 2)),
            ops.zeros((2,)),
            table,
            ops.stop_gradient(x),
        )

    assert_compiles(trace(build, Spec((3,), "float32")))


def test_wrong_shapes_are_refused():
    compiled = BACKEND.compile(trace(lambda x: x + 1.0, Spec((3,), "float32")))
    with pytest.raises(ValueError, match="has shape"):
        compiled(np.ones(4, np.float32))
    with pytest.raises(ValueError, match="takes 1 arrays"):
        compiled()
    np.testing.assert_array_equal(compiled(np.ones(6)[::2])[0], np.full(3, 2.0, np.float32))


# ---- running --------------------------------------------------------------------------------------------------------


def mlp(x, y, *weights):
    for w, b in zip(weights[::2], weights[1::2], strict=True):
        x = ops.matmul(x, w) + b
        x = ops.relu(x) if w is not weights[-2] else x
    return ops.mean(ops.square(x - y))


MLP = [(32, 20), (32, 1), (20, 64), (64,), (64, 64), (64,), (64, 1), (1,)]


def test_four_threads_share_one_compiled_program():
    program = differentiate(trace(mlp, *[Spec(s, "float32") for s in MLP]), range(2, 8))
    compiled = BACKEND.compile(program)
    arrays = [draw_arrays(program, seed) for seed in range(4)]
    wanted = [[y.copy() for y in compiled(*a)] for a in arrays]
    faults = []

    def work(number):
        for _ in range(150):
            for y, z in zip(compiled(*arrays[number]), wanted[number], strict=True):
                if not np.array_equal(y, z):
                    faults.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_steady_call_allocates_its_results_only():
    program = trace(
        lambda x, w: ops.sum(ops.softmax(ops.relu(ops.tanh(x @ w) * 2.0 - x) @ w)),
        Spec((256, 256), "float32"),
        Spec((256, 256), "float32"),
    )
    program = differentiate(program, [])
    compiled = BACKEND.compile(program)
    arrays = draw_arrays(program)
    compiled(*arrays)
    tracemalloc.start()
    compiled(*arrays)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000  # one intermediate is 256 KiB; NumPy's own casting buffers are 8192 elements


def test_buffers_share_memory():
    def chain(x):
        for _ in range(50):
            x = ops.tanh(ops.transpose(x) @ x)
        return ops.sum(x)

    compiled = BACKEND.compile(trace(chain, Spec((64, 64), "float32")))
    assert compiled._generated.arena <= 4 * 64 * 64 * 4


def test_unoptimized_source_has_one_line_an_equation():
    program = differentiate(trace(lstm_like, *[Spec(s, "float32") for s in LSTM]), [1])
    plain = BACKEND.function(program, optimize=False)
    assert len(plain.source.strip().splitlines()) == len(program.equations) + 2
    arrays = draw_arrays(program)
    assert_same(plain(*arrays), interpreted(program, arrays))
    assert_apart(plain(*arrays), arrays)


def test_source_names_inputs_and_layers():
    def build(x, w):
        return ops.tanh(x @ w)

    program = trace(build, Spec((2, 3), "float32"), Spec((3, 4), "float32"), where="net/dense")
    named = type(program)(program.inputs, program.equations, program.outputs, ("x", "dense/kernel"), ("y",))
    source = load_backend("numpy").compile(named).source
    assert "x.dot(dense_kernel, dense_contract)  # net/dense: contract" in source
    assert "tanh(dense_contract, y)  # net/dense: tanh" in source


def test_two_loops_may_share_one_body():
    from lamella.ops.control import replay

    def step(carry, x):
        h = ops.tanh(ops.concatenate([carry[:2], x]) + carry)
        return h, ops.concatenate([h * 2.0, ops.square(x)])

    inner = trace(lambda a, xs: [*ops.scan(step, a, xs)], Spec((3,), "float32"), Spec((4, 1), "float32"))

    def build(a, xs):
        first, ys = replay(inner, [a, xs])
        second, zs = replay(inner, [first, xs * 0.5])
        return first, ys, second, zs

    assert_compiles(trace(build, Spec((3,), "float32"), Spec((4, 1), "float32")))


@pytest.mark.parametrize("optimize", [True, False])
def test_what_a_layer_is_called_cannot_become_code(optimize):
    """Names come from files that strangers wrote: they end no comment, and make no bad identifier."""
    names = ("x\nraise SystemExit", "x²", "new", "given", "lambda", "7")
    where = "net\nraise SystemExit\r\x0c\u2028/dense\ud800"
    program = trace(lambda *xs: [ops.tanh(x) for x in xs], *[Spec((2,), "float32")] * len(names), where=where)
    program = type(program)(program.inputs, program.equations, program.outputs, names, names)
    compiled = BACKEND.function(program, optimize=optimize)
    arrays = draw_arrays(program)
    assert_same(compiled(*arrays), interpreted(program, arrays))


def test_an_operand_of_two_products_is_copied_once():
    def both(x, w, d):
        rows = ops.transpose(x, (1, 0, 2))
        return [
            p.contract.bind(rows, w, contracting=((2,), (0,)), batch=((), ())),
            p.contract.bind(rows, d, contracting=((0, 1), (0, 1)), batch=((), ())),
        ]

    program = trace(both, *[Spec(shape, "float32") for shape in [(4, 5, 3), (3, 2), (5, 4, 6)]])
    compiled, arrays = BACKEND.compile(program), draw_arrays(program)
    assert compiled.source.count("[...] = ") == 1
    assert_same(compiled(*arrays), interpreted(program, arrays))


def test_a_copy_of_a_repeated_operand_is_not_taken_for_one_of_all_its_rows():
    def both(x, w, d):
        rows = ops.broadcast_to(ops.transpose(x[::2, ::2]), (4, 5, 3))
        return [
            p.contract.bind(rows, w, contracting=((2,), (1,)), batch=((0,), (0,))),
            p.contract.bind(rows, d, contracting=((0, 2), (0, 1)), batch=((), ())),
        ]

    program = trace(both, *[Spec(shape, "float32") for shape in [(6, 10), (4, 3, 2), (4, 3, 6)]])
    arrays = draw_arrays(program)
    assert_same(BACKEND.compile(program)(*arrays), interpreted(program, arrays))


@pytest.mark.parametrize("reverse", [False, True])
def test_what_every_turn_multiplies_by_is_laid_in_rows_before(reverse):
    """Whoever else reads it in the loop finds the same numbers; a short loop reads them as they are."""

    def build(xs, w):
        def turn(h, x):
            product = p.contract.bind(h + x, w, contracting=((1,), (1,)), batch=((), ()))
            return ops.tanh(product), [product * w[0], x @ w]

        h, ys = ops.scan(turn, ops.zeros((2, 3)), xs, reverse=reverse)
        return [h, *ys, w @ w]

    def before(turns):
        program = trace(build, Spec((turns, 2, 3), "float32"), Spec((3, 3), "float32"))
        compiled, arrays = BACKEND.compile(program), draw_arrays(program)
        assert_same(compiled(*arrays), interpreted(program, arrays))
        return compiled.source.partition(" turns_")[0].count("[...] = ")

    assert before(16) == before(15) + 1
