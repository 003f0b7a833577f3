"""Passes keep what a program computes, and answer what is asked of one."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamella
from checked_passes import every_pass_is_checked  # noqa: F401
from lamella import ops, passes
from lamella.backend_api import load_backend
from lamella.errors import BackendError, DTypeError, ShapeError
from lamella.ir import trace
from lamella.ir.check import ProgramError, check
from lamella.ir.dim import symbol
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
from lamella.ops import primitives as p
from lamella.passes.peephole import peephole
from lamella.testing.equivalence import assert_close, run_on
from lamella.testing.gradcheck import number_of
from lamella.testing.reference import REFERENCE
from lamella.testing.samples import SAMPLES

X = Spec((2, 3), "float32")
PASSES = [passes.dead_code, passes.common_subexpressions, passes.fold_constants, peephole, passes.simplify]


def names(program):
    return [e.op.name for e in program.equations]


def test_every_pass_result_is_checked_here(every_pass_is_checked, monkeypatch):  # noqa: F811
    made = trace.trace(lambda x: ops.sum(ops.tanh(x)), X)
    passes.simplify(passes.differentiate(made, [0]))
    assert {"differentiate", "simplify", "dead_code", "fold_constants", "peephole"} <= set(every_pass_is_checked)
    # a pass that breaks a program fails inside whoever calls it
    broken = lambda program: Program(program.inputs, program.equations[:-1], program.outputs)  # noqa: E731
    monkeypatch.setattr(sys.modules["lamella.passes.simplify"], "fold_constants", broken)
    with pytest.raises(ProgramError):
        passes.simplify(made)


def test_dead_code():
    def f(x):
        ops.exp(x)
        return ops.tanh(x)

    assert names(passes.dead_code(trace.trace(f, X))) == ["tanh"]


def test_common_subexpressions():
    made = passes.common_subexpressions(trace.trace(lambda x: ops.tanh(x) + ops.tanh(x), X))
    assert names(made) == ["tanh", "add"]
    # equal numbers of two dtypes, and 0.0 and -0.0, are different constants
    made = trace.trace(lambda x: [x + np.float32(0.0), x * np.float32(-0.0), ops.cast(x, "int32") + np.int32(0)], X)
    assert names(passes.common_subexpressions(made)).count("constant") == 3


def test_constants_are_folded_and_neutral_elements_dropped():
    made = trace.trace(lambda x: (x + 0.0) * 1.0 / 1.0 - 0.0, X)
    assert names(passes.simplify(made)) == []
    made = trace.trace(lambda x: x * (ops.exp(np.float32(0.0) * ops.full((), 2.0)) + 1.0), X)
    simple = passes.simplify(made)
    assert sorted(names(simple)) == ["broadcast", "constant", "multiply"]
    (y,) = run_on(REFERENCE, simple, [np.ones((2, 3), np.float32)])
    assert (y == 2).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_number_among_the_factors_takes_a_two_or_a_sign(dtype):
    def build(n, x):
        y = n * x
        return y + y, -(n * ops.exp(x)), -(n * ops.sin(x) * ops.reshape(n * ops.tanh(x), (2, 3))), -ops.abs(y)

    made = trace.trace(build, Spec((), dtype), Spec((2, 3), dtype))
    simple = check(passes.simplify(made))
    sizes = [e.outputs[0].spec.size for e in simple.equations if e.op in (p.add, p.negative)]
    # |n * x| has no such factor; in float16 the number could leave the range
    assert sorted(sizes) == ([6, 6, 6, 6] if dtype == "float16" else [1, 1, 6])
    arguments = [np.array(-1.7, dtype), np.random.default_rng(0).standard_normal((2, 3)).astype(dtype)]
    for result, wanted in zip(run_on(REFERENCE, simple, arguments), run_on(REFERENCE, made, arguments), strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_what_must_not_be_dropped():
    made = passes.simplify(trace.trace(lambda x: [0.0 - x, 1.0 / x, x * 0.0], X))
    x = np.array([[np.nan, np.inf, -0.0], [1.0, -2.0, 3.0]], np.float32)
    with np.errstate(all="ignore"):
        for result, wanted in zip(run_on(REFERENCE, made, [x]), (0.0 - x, 1.0 / x, x * 0.0), strict=True):
            np.testing.assert_array_equal(result, wanted)


def test_loops_are_simplified_inside():
    def loop(xs):
        def step(h, x):
            ops.exp(x)
            return h + x * 1.0, (x, x * x)

        return ops.scan(step, ops.zeros((3,), "float32"), xs)[0]

    simple = passes.simplify(trace.trace(loop, X))
    (scan,) = [e for e in simple.equations if e.op is p.scan]
    assert names(scan.attrs["body"]) == ["add"] and len(scan.outputs) == 1


UNARY = ["tanh", "negative", "abs", "sin", "relu", "sigmoid", "square", "transpose", "ones_like", "stop_gradient"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum"]
REDUCTIONS = ["sum", "max", "mean"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("unary"), st.sampled_from(UNARY), st.integers(0, 9)),
        st.tuples(st.just("binary"), st.sampled_from(BINARY), st.integers(0, 9), st.integers(0, 9)),
        st.tuples(
            st.just("scalar"), st.sampled_from(BINARY), st.integers(0, 9), st.sampled_from([0.0, 1.0, -1.5, 2.0])
        ),
        st.tuples(st.just("reduce"), st.sampled_from(REDUCTIONS), st.integers(0, 9), st.sampled_from([None, 0, 1])),
        st.tuples(st.just("constant"), st.sampled_from([0.0, 1.0, 0.5]), st.booleans()),
        st.tuples(st.just("reshape"), st.integers(0, 9)),
        st.tuples(st.just("choose"), st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.just("loop"), st.sampled_from(UNARY[:4]), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=14,
)


def applied(step, values):
    kind, *rest = step
    pick = lambda i: values[i % len(values)]  # noqa: E731
    if kind == "unary":
        return [getattr(ops, rest[0])(pick(rest[1]))]
    if kind == "binary":
        a, b = pick(rest[1]), pick(rest[2])
        b = b if b.shape == a.shape else ops.broadcast_to(ops.sum(b), a.shape)
        return [getattr(ops, rest[0])(a, b)]
    if kind == "scalar":
        return [getattr(ops, rest[0])(pick(rest[1]), rest[2])]
    if kind == "reduce":
        return [getattr(ops, rest[0])(pick(rest[1]), rest[2], keepdims=True)]
    if kind == "constant":
        return [
            ops.full((3, 3), rest[0], "float32") if rest[1] else trace.as_value(np.full((3, 3), rest[0], "float32"))
        ]
    if kind == "reshape":
        x = pick(rest[0])
        return [ops.reshape(ops.reshape(x, (-1,)), x.shape)]
    if kind == "choose":
        a, b = pick(rest[0]), pick(rest[1])
        return [ops.where(a > 0.1, a, b if b.shape == a.shape else 0.0)]
    x = pick(rest[1])
    last, ys = ops.scan(lambda h, row: (getattr(ops, rest[0])(h) + row, h), ops.zeros_like(x[0]), x)
    return [ys, ops.expand_dims(last, 0)]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps=STEPS, outputs=st.lists(st.integers(0, 20), min_size=1, max_size=3))
def test_passes_keep_the_results_of_random_programs(steps, outputs):
    def build(x, y):
        values = [x, y]
        for step in steps:
            values += applied(step, values)
        return [values[-1], *[values[i % len(values)] for i in outputs]]

    program = trace.trace(build, Spec((3, 3), "float32"), Spec((3, 3), "float32"))
    generator = np.random.default_rng(len(steps))
    arguments = [generator.standard_normal((3, 3)).astype(np.float32) for _ in range(2)]
    with np.errstate(all="ignore"):
        expected = run_on(REFERENCE, program, arguments)
        for change in PASSES:
            changed = check(change(program))
            assert len(changed.equations) <= len(program.equations) + 2
            for result, wanted in zip(run_on(REFERENCE, changed, arguments), expected, strict=True):
                if np.isfinite(wanted).all() and np.abs(wanted).max(initial=0) < 1e6:
                    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def test_passes_keep_derivatives():
    for sample in [s for s in SAMPLES if s.op in (p.scan, p.convolve, p.log_softmax)][::3]:
        if not sample.active:
            continue
        derived = passes.differentiate(number_of(sample.program("float64")), sample.active)
        arguments = sample.arguments("float64")
        expected = run_on(REFERENCE, derived, arguments)
        for change in PASSES:
            for result, wanted in zip(run_on(REFERENCE, change(derived), arguments), expected, strict=True):
                assert_close(result, wanted, 1e-12, f"{sample.label} after {change.__name__}")


# ---- pool_first ----


IMAGES = Spec((2, 6, 6, 3), "float32")
BIAS = Spec((3,), "float32")


def pooled(x, window=2, strides=2, padding=((0, 0), (0, 0))):
    return p.max_pool.bind(x, window=(window, window), strides=(strides, strides), padding=padding)


def pictures():
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 3)).astype(np.float32)
    x[0, 0, 0], x[0, 2, 2], x[0, 4, 4], x[1, :2, :2] = np.nan, np.inf, -np.inf, -0.0
    return [x, np.array([0.5, -0.25, 3.0], np.float32)]


MOVED = {
    "relu(x + b)": (lambda x, b: pooled(ops.relu(x + b)), ["max_pool", "broadcast", "add", "relu"]),
    "relu6(x) - b": (
        lambda x, b: pooled(ops.minimum(ops.relu(x), 6.0) - b),
        ["constant", "max_pool", "relu", "broadcast", "minimum", "broadcast", "subtract"],
    ),
    "at the edge": (
        lambda x, b: pooled(ops.maximum(x, b), window=3, padding=((0, 1), (0, 1))),
        ["max_pool", "broadcast", "maximum"],
    ),
    "for a row": (
        lambda x, b: pooled(x + ops.broadcast_to(ops.reshape(ops.sum(x, (1, 2, 3)), (2, 1, 1, 1)), x.shape)),
        ["reduce_sum", "max_pool", "broadcast", "add"],
    ),
    "what is below": (lambda x, b: pooled(ops.relu(ops.tanh(x) + x)), ["tanh", "add", "max_pool", "relu"]),
}


@pytest.mark.parametrize("name", MOVED)
def test_pooling_comes_first(name):
    build, wanted = MOVED[name]
    program = trace.trace(build, IMAGES, BIAS)
    moved = check(passes.pool_first(passes.simplify(program)))
    assert names(moved) == wanted
    with np.errstate(all="ignore"):
        (before,), (after,) = run_on(REFERENCE, program, pictures()), run_on(REFERENCE, moved, pictures())
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "build",
    [
        lambda x, b: pooled(ops.tanh(x)),
        lambda x, b: pooled(b - x),
        lambda x, b: pooled(x + ops.sin(x)),
        lambda x, b: pooled(x + ops.broadcast_to(ops.reshape(ops.sum(x, 2), (2, 6, 1, 3)), x.shape)),
        lambda x, b: pooled(ops.relu(x), window=2, strides=1, padding=((0, 1), (0, 1))),
        lambda x, b: pooled(ops.relu(x), window=1, strides=2, padding=((1, 1), (1, 1))),
        lambda x, b: (lambda y: (pooled(y), y))(ops.relu(x)),
        lambda x, b: (lambda y: (pooled(y), ops.sum(y)))(ops.relu(x)),
    ],
)
def test_pooling_comes_last_where_that_would_change_or_cost_something(build):
    program = trace.trace(build, IMAGES, BIAS)
    assert passes.pool_first(program) is program


def test_the_gradient_of_what_was_pooled_first():
    def build(x, b):
        return ops.sum(ops.square(pooled(ops.relu(x + b), window=3)))

    spec = Spec((2, 6, 6, 3), "float64"), Spec((3,), "float64")
    program = trace.trace(build, *spec)
    found = passes.differentiate(passes.pool_first(program), [0, 1])
    plain = passes.differentiate(program, [0, 1])
    assert names(found).index("max_pool") < names(found).index("relu")
    # differentiation itself hoists nothing, and afterwards it is too late
    assert names(plain)[: len(program.equations)] == names(program)
    assert passes.pool_first(plain) is plain
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(s.shape) for s in spec]
    for result, wanted in zip(run_on(REFERENCE, found, arguments), run_on(REFERENCE, plain, arguments), strict=True):
        assert_close(result, wanted, 1e-12, "pooled first")


class SpelledOut(lamella.Sequential):
    def train_step(self, data):
        x, y, _ = lamella.utils.unpack_x_y_sample_weight(data)
        loss, gradients = lamella.value_and_grad(
            lambda: self.compute_loss(x, y, self(x, training=True)), self.trainable_variables
        )
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


@pytest.mark.parametrize(
    ("kind", "train"),
    [
        (lamella.Sequential, lambda model, x, y: model.fit(x, y, verbose=0)),
        (lamella.Sequential, lambda model, x, y: model.value_and_grad(x, y)),
        (SpelledOut, lambda model, x, y: model.fit(x, y, verbose=0)),
    ],
    ids=["fit", "value_and_grad", "train_step"],
)
def test_training_hoists_pooling_before_it_differentiates(kind, train, monkeypatch):
    backend, prepared = load_backend("numpy"), []
    prepare = type(backend).prepare
    monkeypatch.setattr(
        type(backend), "prepare", lambda self, program: prepared.append(program) or prepare(self, program)
    )
    layers = [Conv2D(4, 3, activation="relu"), MaxPooling2D(), Flatten(), Dense(1, activation="sigmoid")]
    with lamella.backend.backend_scope("numpy"):
        model = kind([Input((8, 8, 3)), *layers])
        model.compile("sgd", "binary_crossentropy")
        prepared.clear()
        train(model, np.ones((4, 8, 8, 3), np.float32), np.ones((4, 1), np.float32))
    (program,) = [found for found in prepared if "max_pool" in names(found)]
    makers = passes.makers_of(program)
    (pool,) = [e for e in program.equations if e.op is p.max_pool]
    assert makers[pool.inputs[0]].op is p.convolve
    (relu,) = [e for e in program.equations if e.op is p.relu]
    assert relu.outputs[0].spec.shape == (4, 3, 3, 4)


# ---- expand ----


def test_expand_takes_composites_apart_down_to_primitives():
    def f(x, w):
        return ops.scan(lambda h, row: (ops.softmax(ops.relu(h + row @ w)), h), ops.zeros((3,), "float32"), x)

    made = trace.trace(f, X, Spec((3, 3), "float32"), where="rnn")
    flat = passes.expand(made, lambda op: op.mandatory)
    assert {e.op.mandatory for e in flat.equations} == {True} and {e.where for e in flat.equations} == {"rnn"}
    inside = passes.expand(made, lambda op: op.mandatory or op is p.scan)
    (scan,) = [e for e in inside.equations if e.op is p.scan]
    assert {e.op.mandatory for e in scan.attrs["body"].equations} == {True}
    assert passes.expand(made, lambda op: True).output_specs == made.output_specs
    arguments = [np.full((2, 3), 0.5, np.float32), np.eye(3, dtype=np.float32)]
    for left, right in zip(run_on("numpy", made, arguments), run_on(REFERENCE, inside, arguments), strict=True):
        assert_close(left, right, 1e-6)


def test_expand_names_op_and_layer_of_a_missing_primitive():
    made = trace.trace(lambda x: ops.softmax(x), X, where="classifier")
    with pytest.raises(BackendError, match=r"'mine'.*'reduce_max'.*layer 'classifier'"):
        passes.expand(made, lambda op: op.mandatory and op is not p.reduce_max, "mine")


# ---- differentiate ----


def test_differentiate_refuses():
    with pytest.raises(ShapeError, match="scalar loss"):
        passes.differentiate(trace.trace(ops.tanh, X), [0])
    with pytest.raises(DTypeError, match="gradients are for floats"):
        passes.differentiate(trace.trace(lambda i: ops.sum(i * 1.5), Spec((3,), "int32")), [0])
    with pytest.raises(DTypeError, match="gradients are for floats"):
        passes.differentiate(trace.trace(lambda x: ops.argmax(x), X), [0])


def test_differentiate_keeps_outputs_names_and_inputs_and_gives_zeros_where_nothing_flows():
    made = trace.trace(lambda x, y: [ops.sum(x * x), x + y], X, X)
    made = Program(made.inputs, made.equations, made.outputs, ["x", "y"], ["loss", "sum"])
    derived = passes.differentiate(made, [0, 1])
    assert derived.output_names == ("loss", "sum", "gradient of x", "gradient of y")
    assert derived.input_names == ("x", "y")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    loss, total, dx, dy = run_on(REFERENCE, derived, [x, x])
    assert loss == (x * x).sum() and (total == 2 * x).all() and (dx == 2 * x).all() and (dy == 0).all()


def test_gradients_nobody_asked_for_are_not_computed():
    made = trace.trace(lambda x, w: ops.sum(ops.tanh(x @ w)), X, Spec((3, 4), "float32"))
    assert names(passes.differentiate(made, [1])).count("contract") == 2
    assert names(passes.differentiate(made, [0, 1])).count("contract") == 3


def test_gradient_equations_carry_the_layer():
    made = trace.trace(lambda x: ops.sum(ops.tanh(x)), X, where="dense")
    assert "dense (gradient)" in {e.where for e in passes.differentiate(made, [0]).equations}


# ---- which equation mixes the rows of a batch ----

BATCH = symbol("batch")


def mixing(function, *shapes):
    made = trace.trace(function, *[Spec(s, "float32") for s in shapes])
    found = {passes.find_cross_batch_op(made), passes.find_cross_batch_op(passes.simplify(made))}
    return {None if e is None else e.op.name for e in found}


WINDOW = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def batch_norm(x):
    mean = ops.mean(x, 0, keepdims=True)
    return (x - mean) * ops.rsqrt(ops.variance(x, 0, keepdims=True) + 1e-3)


def recurrent(x, w):
    h = ops.zeros((x.shape[0], 4), "float32")
    return ops.scan(lambda h, row: (ops.tanh(row @ w + h), h), h, ops.transpose(x, (1, 0, 2)))[1]


def time_distributed(x, w):
    flat = ops.reshape(x, (-1, 3))
    return ops.reshape(ops.tanh(flat @ w), (-1, 5, 4))


def time_first_and_back(x):
    flat = ops.reshape(ops.transpose(x, (1, 0, 2)), (5 * x.shape[0], 3))
    return ops.transpose(ops.reshape(ops.tanh(flat), (5, x.shape[0], 3)), (1, 0, 2))


APART = {
    "dense": (lambda x, w: ops.softmax(ops.relu(x @ w)), (BATCH, 3), (3, 4)),
    "convolution": (lambda x, k: ops.convolve.bind(x, k, **WINDOW), (BATCH, 4, 4, 2), (3, 3, 2, 5)),
    "pooling": (
        lambda x: ops.primitives.max_pool.bind(x, window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0))),
        (BATCH, 4, 4, 2),
    ),
    "time distributed": (time_distributed, (BATCH, 5, 3), (3, 4)),
    "recurrent": (recurrent, (BATCH, 5, 3), (3, 4)),
    "attention within a row": (
        lambda x: ops.softmax(ops.einsum("bqd,bkd->bqk", x, x)) @ x,
        (BATCH, 5, 3),
    ),
    "reversed in time": (lambda x: ops.flip(x, 1), (BATCH, 5, 3)),
    "normalized within a row": (lambda x: x - ops.mean(x, -1, keepdims=True), (BATCH, 5)),
    "flattened": (lambda x: ops.reshape(x, (BATCH, -1)), (BATCH, 2, 3)),
    "time first and back": (time_first_and_back, (BATCH, 5, 3)),
}
MIXED = {
    "batch normalization": (batch_norm, (BATCH, 3)),
    "a mean loss": (lambda x: ops.mean(ops.square(x)), (BATCH, 3)),
    "softmax over the batch": (lambda x: ops.softmax(x, axis=0), (BATCH, 3)),
    "similarities of rows": (lambda x: x @ ops.transpose(x), (BATCH, 3)),
    "reversed batch": (lambda x: ops.flip(x, 0), (BATCH, 3)),
    "running sum over the batch": (lambda x: ops.scan(lambda h, r: (h + r, h + r), ops.zeros((3,)), x)[1], (BATCH, 3)),
    "gather of rows": (lambda x: ops.take(x, np.array([1, 0]), 0), (BATCH, 3)),
    "shifted": (lambda x: ops.concatenate([x[1:], x[:1]], 0), (BATCH, 3)),
    "flattened into one": (lambda x: ops.reshape(x, (-1,)) * 2.0, (BATCH, 3)),
    "time first, folded with the batch": (
        lambda x: ops.softmax(ops.reshape(ops.transpose(x, (1, 0, 2)), (-1, 3)), axis=0), (BATCH, 5, 3)),
    "columns read as rows": (lambda x: ops.reshape(x, (6, -1)) * 2.0, (BATCH, 6)),
    "time and batch exchanged without moving": (
        lambda x: ops.reshape(ops.reshape(ops.transpose(x, (1, 0, 2)), (-1, 3)), (x.shape[0], 5, 3)), (BATCH, 5, 3)),
    "every other row": (lambda x: x[::2], (BATCH, 3)),
    "divided by the number of rows": (lambda x: x / x.shape[0], (BATCH, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_rows_stay_apart(name):
    assert mixing(*APART[name]) == {None}


@pytest.mark.parametrize("name", [n for n in MIXED if n != "flattened into one"])
def test_rows_are_mixed(name):
    assert None not in mixing(*MIXED[name])


def test_entries_of_a_row_that_became_rows_still_belong_to_it():
    assert mixing(*MIXED["flattened into one"]) == {None}


def test_looking_rows_up_in_a_table_keeps_them_apart():
    table, rows = Spec((7, 3), "float32"), Spec((BATCH,), "int32")
    assert passes.find_cross_batch_op(trace.trace(lambda w, i: ops.take(w, i, 0), table, rows)) is None
    of_rows = Spec((BATCH, 3), "float32")
    assert passes.find_cross_batch_op(trace.trace(lambda x, i: ops.take(x, i, 0), of_rows, rows)) is not None
