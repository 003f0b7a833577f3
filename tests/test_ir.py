"""The program: tracing, the checker, the printer, and what a symbolic value refuses."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

from lamella import ops
from lamella.errors import DTypeError, LamellaError, ShapeError, TraceError
from lamella.ir import trace
from lamella.ir.check import ProgramError, check
from lamella.ir.program import Equation, Program, Value, op_named
from lamella.ir.spec import Spec, promote
from lamella.ops import primitives as p
from lamella.testing.equivalence import run_on
from lamella.testing.reference import REFERENCE

X = Spec((2, 3), "float32")


def dense(x, w):
    return ops.tanh(x @ w)


def program():
    return trace.trace(dense, X, Spec((3, 4), "float32"), where="dense")


def test_trace_writes_down_equations_with_their_layer():
    made = program()
    assert [e.op.name for e in made.equations] == ["contract", "tanh"]
    assert {e.where for e in made.equations} == {"dense"}
    assert made.output_specs == (Spec((2, 4), "float32"),)
    assert check(made) is made


def test_printer():
    assert str(program()) == (
        "program(\n"
        "    %0: float32[2,3]\n"
        "    %1: float32[3,4]\n"
        ") {\n"
        "  # dense\n"
        "    %2: float32[2,4] = contract(%0, %1, contracting=((1,), (0,)), batch=((), ()))\n"
        "    %3: float32[2,4] = tanh(%2)\n"
        "    return %3\n"
        "}"
    )
    assert repr(program()) == "<Program: 2 inputs, 2 equations, 1 outputs>"


def test_printer_shows_bodies_names_and_constants():
    def loop(xs):
        return ops.scan(lambda h, x: (h + x * np.float32(2), None), ops.zeros((3,), "float32"), xs)[0]

    made = trace.trace(loop, X)
    text = str(Program(made.inputs, made.equations, made.outputs, ["x"], ["total"]))
    assert "# x" in text and "(total)" in text and "body:" in text and "value=2.0" in text
    assert "reverse=False" in text


def planted(change):
    """`program()` with one fault."""
    made = program()
    first, second = made.equations
    stranger = Value(Spec((2, 4), "float32"))
    faults = {
        "undefined operand": ((first, Equation(second.op, (stranger,), {}, second.outputs)), made.outputs),
        "order": ((second, first), made.outputs),
        "wrong spec": ((Equation(first.op, first.inputs, first.attrs, (stranger,)), second), made.outputs),
        "wrong attributes": (
            (Equation(first.op, first.inputs, {"contracting": ((0,), (0,)), "batch": ((), ())}, first.outputs), second),
            made.outputs,
        ),
        "defined twice": ((first, second, second), made.outputs),
        "undefined output": ((first, second), (stranger,)),
    }
    if change == "wrong spec":
        stranger.spec = Spec((4, 2), "float32")
    equations, outputs = faults[change]
    return Program(made.inputs, equations, outputs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("undefined operand", r"equation 1 \(tanh.*nothing before it defines"),
        ("order", r"equation 0 \(tanh, layer 'dense'\).*nothing before it defines"),
        ("wrong spec", r"equation 0 \(contract\) says float32\[4,2\]; its shape rule gives float32\[2,4\]"),
        ("wrong attributes", r"equation 0 \(contract\) does not type-check: contracting axes"),
        ("defined twice", "already defined"),
        ("undefined output", "defined by nothing"),
    ],
)
def test_checker_finds_a_planted_fault(change, words):
    with pytest.raises(ProgramError, match=words):
        check(planted(change))


def test_checker_looks_into_bodies_and_at_inputs():
    made = trace.trace(lambda xs: ops.scan(lambda h, x: (h + x, None), ops.zeros((3,), "float32"), xs)[0], X)
    (loop,) = [e for e in made.equations if e.op is p.scan]
    body = loop.attrs["body"]
    broken = Program(body.inputs, (), body.outputs)
    equations = [
        Equation(e.op, e.inputs, {**e.attrs, "body": broken}, e.outputs) if e is loop else e for e in made.equations
    ]
    with pytest.raises(ProgramError):
        check(Program(made.inputs, equations, made.outputs))
    x = Value(X)
    with pytest.raises(ProgramError, match="twice"):
        check(Program([x, x], [], [x]))


def test_arrays_and_scalars_become_constants():
    w = np.ones((3, 4), np.float32)
    made = trace.trace(lambda x: (x @ w) * 2.0, X)
    w[...] = 7  # the program keeps the numbers of the moment
    (y,) = run_on(REFERENCE, made, [np.ones((2, 3), np.float32)])
    np.testing.assert_array_equal(y, np.full((2, 4), 6.0, np.float32))
    assert y.dtype == np.float32


def test_values_of_an_enclosing_trace_are_captured():
    def outer(x, w):
        return ops.scan(lambda h, row: (h + row * w, h), w, x)

    made = trace.trace(outer, X, Spec((3,), "float32"))
    (loop,) = [e for e in made.equations if e.op is p.scan]
    assert loop.attrs["consts"] == 1 and loop.inputs[0] is made.inputs[1]
    x, w = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    last, stacked = run_on(REFERENCE, made, [x, w])
    np.testing.assert_array_equal(last, w + x.sum(0))
    np.testing.assert_array_equal(stacked, [w, w + x[0]])


def test_a_value_of_an_old_trace_is_refused_with_advice():
    kept = []
    trace.trace(lambda x: kept.append(x) or x, X)
    with pytest.raises(TraceError, match="do not keep it on `self`"):
        trace.trace(lambda x: x + kept[0], X)
    with pytest.raises(TraceError, match="after its trace ended"):
        kept[0] + 1.0


def test_a_value_of_an_inner_trace_is_refused_outside():
    kept = []

    def leak(xs):
        ops.scan(lambda h, x: (kept.append(x) or h, None), ops.zeros((3,), "float32"), xs)
        return kept[0] + 1.0

    with pytest.raises(TraceError, match="earlier trace"):
        trace.trace(leak, X)


def test_traces_of_two_threads_do_not_meet():
    results, barrier = {}, threading.Barrier(2)

    def work(name):
        def body(x):
            barrier.wait(30)
            y = ops.tanh(x)
            barrier.wait(30)
            return y + 1.0

        results[name] = trace.trace(body, X, where=name)

    threads = [threading.Thread(target=work, args=(n,)) for n in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, made in results.items():
        check(made)
        assert {e.where for e in made.equations} == {name}


OPERATORS = {
    "x + y": ("add", np.add),
    "x - y": ("subtract", np.subtract),
    "x * y": ("multiply", np.multiply),
    "x / y": ("divide", np.divide),
    "x // y": ("floor_divide", np.floor_divide),
    "x % y": ("remainder", np.remainder),
    "x ** y": ("power", np.power),
    "2.0 - x": ("subtract", lambda x, y: 2 - x),
    "1 / x": ("divide", lambda x, y: 1 / x),
    "2.0 ** x": ("power", lambda x, y: 2**x),
    "5.0 % x": ("remainder", lambda x, y: 5 % x),
    "7.0 // x": ("floor_divide", lambda x, y: 7 // x),
    "-x": ("negative", lambda x, y: -x),
    "abs(-x)": ("abs", lambda x, y: abs(x)),
    "x < y": ("less", np.less),
    "x <= y": ("less_equal", np.less_equal),
    "x > y": ("less", np.greater),
    "x >= y": ("less_equal", np.greater_equal),
    "x == y": ("equal", np.equal),
    "x != y": ("bitwise_not", np.not_equal),
    "(x < y) & (y < x)": ("bitwise_and", lambda x, y: (x < y) & (y < x)),
    "(x < y) | (y < x)": ("bitwise_or", lambda x, y: (x < y) | (y < x)),
    "(x < y) ^ (y < x)": ("bitwise_xor", lambda x, y: (x < y) ^ (y < x)),
    "~(x < y)": ("bitwise_not", lambda x, y: ~(x < y)),
    "x @ y.T": ("contract", lambda x, y: x @ y.T),
    "x[1]": ("slice", lambda x, y: x[1]),
    "np.float32(2) * x": ("multiply", lambda x, y: 2 * x),
    "np.ones(3, 'float32') + x": ("add", lambda x, y: 1 + x),
    "np.ones((2, 2), 'float32') @ x": ("contract", lambda x, y: np.ones((2, 2)) @ x),
}


@pytest.mark.parametrize("text", OPERATORS)
def test_operators(text):
    name, expected = OPERATORS[text]
    made = trace.trace(lambda x, y: eval(text, {"np": np, "x": x, "y": y}), X, X)
    assert name in [e.op.name for e in made.equations]
    generator = np.random.default_rng(0)
    x, y = (generator.uniform(0.5, 3.0, (2, 3)).astype(np.float32) for _ in range(2))
    (result,) = run_on(REFERENCE, made, [x, y])
    np.testing.assert_allclose(result, expected(x, y), rtol=1e-6)


def test_a_value_has_a_shape_and_no_numbers():
    def look(x):
        assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((2, 3), "float32", 2, 6, 2)
        assert repr(x) == "<lamella value float32[2,3]>"
        assert len(list(x)) == 2 and x.T.shape == (3, 2)
        assert {x: 1}[x] == 1  # hashed by identity
        return x

    trace.trace(look, X)
    with pytest.raises(TypeError, match="no length"):
        trace.trace(lambda x: len(x), Spec((), "float32"))


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda x: x if x > 0 else -x, "no truth value.*ops.where"),
        (lambda x: float(x), "no number"),
        (lambda x: range(x), "no number"),
        (lambda x: np.tanh(x), "NumPy function.*ops.tanh"),
        (lambda x: np.asarray(x), "NumPy function"),
        (lambda x: np.sum(x), "NumPy function"),
    ],
)
def test_what_a_value_refuses(misuse, words):
    with pytest.raises(TraceError, match=words):
        trace.trace(misuse, Spec((), "float32"))


def test_a_jax_function_on_a_value_gets_our_message(jax):
    for function in (jax.numpy.tanh, jax.numpy.sum, jax.numpy.asarray):
        with pytest.raises(LamellaError, match="JAX function"):
            trace.trace(function, X)


def test_what_jax_asks_of_a_value():
    with pytest.raises(ValueError, match=r"JAX function.*ops.tanh\(x\).*jnp.tanh"):
        trace.trace(lambda x: x.__jax_array__(), X)


def test_strict_primitives_refuse_what_the_friendly_ops_repair():
    def bind(x, y):
        return p.add.bind(x, y)

    with pytest.raises(ShapeError, match="one shape"):
        trace.trace(bind, X, Spec((3,), "float32"))
    with pytest.raises(DTypeError, match="one dtype"):
        trace.trace(bind, X, Spec((2, 3), "float64"))
    made = trace.trace(lambda x, y: ops.add(x, y), X, Spec((3,), "float64"))
    assert [e.op.name for e in made.equations] == ["convert", "broadcast", "add"]


def test_ops_are_registered_once_and_survive_pickling():
    assert op_named("tanh") is p.tanh and pickle.loads(pickle.dumps(p.tanh)) is p.tanh
    assert copy.deepcopy(p.tanh) is p.tanh
    with pytest.raises(ValueError, match="exists already"):
        from lamella.ir.program import op

        @op
        def tanh(x):
            return x


def test_every_op_has_what_its_kind_needs():
    for name, op in p.every_op().items():
        assert op.__doc__, f"{name} has no docstring"
        assert op.mandatory == (op.definition is None), f"{name} is mandatory or has a definition"
        if op.differentiable:
            assert op.vjp or op.linearize or op.definition, f"{name} cannot be differentiated"


PROMOTIONS = [
    (("float32", "float32"), "float32"),
    (("bool", "int8"), "int8"),
    (("int64", "float16"), "float16"),
    (("uint8", "int8"), "int16"),
    (("uint32", "int32"), "int64"),
    (("uint64", "int64"), "int64"),
    (("uint8", "int32"), "int32"),
    (("float16", "bfloat16"), "float32"),
    (("float32", "float64"), "float64"),
    (("bool", "bool"), "bool"),
    (("bool", "uint8", "float32"), "float32"),
]


@pytest.mark.parametrize(("dtypes", "expected"), PROMOTIONS)
def test_promotion_table(dtypes, expected):
    assert promote(*dtypes) == expected
    assert promote(*dtypes[::-1]) == expected
