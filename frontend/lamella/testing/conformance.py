"""The conformance suite: whether a backend computes every op, and satisfies the backend API.

`python -m lamella.testing --backend NAME` prints the report; `run(backend)` returns it. Results are compared with
`lamella.testing.reference`, derivatives with central differences, and training with that of the reference.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.backend_api import API_VERSION, Backend, Runner, StepProgram, load_backend
from lamella.errors import BackendError, unknown_name
from lamella.ir import trace
from lamella.ir.program import Op, Program
from lamella.ir.spec import Spec
from lamella.ir.trace import constant
from lamella.ops import primitives as p
from lamella.ops.control import replay
from lamella.passes import differentiate
from lamella.testing.cases import (
    Case,
    case_of_derivative,
    case_of_sample,
    cases_of_kink,
    require_spec,
    run_cases,
)
from lamella.testing.equivalence import assert_close, run_on
from lamella.testing.gradcheck import has_derivative, number_of
from lamella.testing.records import TOLERANCE, Sample
from lamella.testing.reference import REFERENCE
from lamella.testing.report import Report, Tally
from lamella.testing.samples import SAMPLES, kinks_of, samples_of


def run(backend: str | Backend, *, only: Sequence[str] = (), quick: bool = False, derivatives: bool = True) -> Report:
    """Check a backend against the definition of every op and against the backend API.

    Args:
        backend: the backend, or its name.
        only: names of ops to check; empty for all ops and for the checks that are not about one op.
        quick: whether to check one sample per op, in one dtype, and first derivatives only.
        derivatives: whether to compare derivatives with central differences.

    Returns:
        The report; `report.passed` is True if all checks passed, and `print(report)` shows it.

    Raises:
        UnknownNameError: `only` contains an unknown op.
        BackendError: the backend cannot be loaded.

    Example:
        >>> run("numpy", only=["add", "exp"], quick=True).passed
        True
    """
    chosen = load_backend(backend)
    every = p.every_op()
    unknown = [name for name in only if name not in every]
    if unknown:
        raise unknown_name("op", unknown[0], every)
    report = Report(
        chosen.name,
        kernels=frozenset(name for name, op in every.items() if chosen.has(op)),
        mandatory=frozenset(name for name, op in every.items() if op.mandatory),
    )
    _check_ops(report, chosen, [every[name] for name in only or every], quick, derivatives)
    if not only:
        for topic, verify in _TOPICS.items():
            with report.topic(topic).check(topic):
                verify(chosen)
    return report


# ---- one op ---------------------------------------------------------------------------------------------------------


_TOGETHER = 40
"""So many rows are compiled as one program: enough to spare a slow compiler, few enough to find a fault among them."""


def _check_ops(report: Report, backend: Backend, every: Sequence[Op], quick: bool, derivatives: bool) -> None:
    cases: dict[str, list[tuple[Tally, Case]]] = {"float16": [], "float32": [], "float64": []}
    kink_dtypes = ("float64",) if quick else ("float32", "float64")
    for op in every:
        tally = report.op(op.name)
        rows = samples_of(op)[: 1 if quick else None]
        with tally.check(op.name):
            if not rows:
                raise AssertionError("the op has no row in lamella.testing.samples.")
            if not backend.has(op) and op.definition is None:
                raise BackendError(f"the mandatory op {op.name!r} has no kernel.")
        for dtype, found in cases.items():
            for row in rows:
                if dtype in (row.dtypes[:1] if quick else row.dtypes):
                    add_case(found, tally, row.label, lambda row=row, dtype=dtype: [case_of_sample(row, dtype)])
            for kink in kinks_of(op) if dtype in kink_dtypes else ():
                add_case(found, tally, kink.label, lambda kink=kink, dtype=dtype: cases_of_kink(kink, dtype))
        for row in filter(has_derivative, rows if derivatives else ()):
            for order in (1,) if quick else (1, 2):
                add_case(
                    cases["float64"],
                    tally,
                    f"{row.label}, derivative of order {order}",
                    lambda row=row, order=order: [case_of_derivative(row, order)],
                )
        for row in rows[:1]:
            with tally.check(f"{row.label} at once"):
                check_eager(backend, row, row.dtypes[0])
    for found in cases.values():
        for start in range(0, len(found), _TOGETHER):
            run_cases(backend, found[start : start + _TOGETHER])


def add_case(cases: list[tuple[Tally, Case]], tally: Tally, label: str, make: Callable[[], Sequence[Case]]) -> None:
    """Add the cases that `make` returns; if it raises, the check counts as failed."""
    try:
        cases += [(tally, case) for case in make()]
    except Exception:
        with tally.check(label):
            make()


def check_eager(backend: Backend, sample: Sample, dtype: str) -> None:
    """Check that `evaluate` computes the op, for ops without a program as attribute."""
    if sample.build is not None or sample.op is constant:
        return
    program = sample.program(dtype)
    arguments = sample.arguments(dtype)
    expected = run_on(REFERENCE, program, arguments)
    attributes = sample.attributes(dtype) if callable(sample.attributes) else sample.attributes
    with backend.scope(program):
        operands = [backend.asarray(a, s.dtype) for a, s in zip(arguments, program.input_specs, strict=True)]
        results = backend.evaluate(sample.op, operands, dict(attributes))
        for i, (value, result) in enumerate(zip(program.outputs, results, strict=True)):
            array = np.asarray(backend.numpy(result))
            require_spec(array, value.spec, f"output {i}")
            assert_close(array, expected[i], sample.close_within(value.spec.dtype), f"output {i}")
            if any(backend.shares_memory(result, x) for x in operands):
                raise AssertionError(f"output {i} shares memory with an operand.")


# ---- promises that are not about one op ------------------------------------------------------------------------------


def _version(backend: Backend) -> None:
    if not (isinstance(backend, Backend) and isinstance(backend.name, str) and backend.name):
        raise AssertionError("a backend is a lamella.backend.Backend with a name.")
    if backend.api_version != API_VERSION:
        raise AssertionError(
            f"the backend is written for version {backend.api_version} of the backend API, this is version {API_VERSION}."
        )


def _network(x: Any, w: Any, u: Any) -> Any:
    h = ops.relu(x @ w)
    return ops.softmax(h @ u), ops.sum(ops.square(h), axis=1)


_NETWORK_SPECS = (Spec((5, 3), "float32"), Spec((3, 4), "float32"), Spec((4, 2), "float32"))


def _network_program() -> Program:
    return trace.trace(_network, *_NETWORK_SPECS, where="network")


def _network_arguments(seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(s.shape).astype(s.dtype) for s in _NETWORK_SPECS]


def _outputs_that_are_inputs(backend: Backend) -> None:
    program = trace.trace(lambda x: [x, x + 1.0, x, np.float32(2.0)], Spec((3,), "float32"))
    given = np.arange(3, dtype=np.float32)
    with backend.scope(program):
        compiled = backend.compile(program)
        operand = backend.asarray(given, "float32")
        results = list(compiled(operand))
        for result, expected in zip(results, (given, given + 1, given, 2.0), strict=True):
            assert_close(backend.numpy(result), expected, 0.0, "a result")
        for result in results:
            if backend.shares_memory(result, operand):
                raise AssertionError("a result that is an input unchanged shares memory with it.")
        if any(backend.shares_memory(a, b) for a, b in itertools.combinations(results, 2)):
            raise AssertionError("two results share memory.")
        if isinstance(results[3], np.ndarray) and results[3].flags.writeable:
            results[3][...] = 7.0
            assert_close(compiled(operand)[3], 2.0, 0.0, "a constant, after the first result was written into")


def _side_by_side(backend: Backend) -> None:
    program = _network_program()
    with backend.scope(program):
        compiled = backend.compile(program)
        results, copies = [], []
        for seed in range(3):
            arguments = [backend.asarray(a, a.dtype.name) for a in _network_arguments(seed)]
            results.append(compiled(*arguments))
            copies.append([np.array(backend.numpy(y)) for y in results[-1]])
        for result, copied in zip(results, copies, strict=True):
            for y, was in zip(result, copied, strict=True):
                assert_close(backend.numpy(y), was, 0.0, "an earlier result, after later calls")


def _threads(backend: Backend) -> None:
    program = _network_program()
    with backend.scope(program):
        compiled = backend.compile(program)
    expected = [run_on(REFERENCE, program, _network_arguments(seed)) for seed in range(4)]
    faults: list[BaseException] = []
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        try:
            with backend.scope(program):
                arguments = [backend.asarray(a, a.dtype.name) for a in _network_arguments(seed)]
                start.wait(60)
                for _ in range(25):
                    for y, wanted in zip(compiled(*arguments), expected[seed], strict=True):
                        assert_close(backend.numpy(y), wanted, TOLERANCE["float32"], f"a result in thread {seed}")
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def training_step(dtype: str = "float32") -> StepProgram:
    """A tiny step: one hidden layer, squared error over the real rows, momentum, and a frozen learning rate."""

    def loss(w: Any, u: Any, x: Any, y: Any, rows: Any) -> Any:
        error = ops.square(ops.tanh(x @ w) @ u - y)
        return ops.sum(ops.sum(error, axis=1) * rows) / ops.sum(rows)

    shapes = [(3, 4), (4, 2), (4, 3), (4, 2), (4,)]
    specs = [Spec(shape, dtype) for shape in shapes]
    derived = differentiate(trace.trace(loss, *specs, where="loss"), [0, 1])

    def step(w: Any, u: Any, mw: Any, mu: Any, rate: Any, count: Any, x: Any, y: Any, rows: Any) -> Any:
        _, dw, du = replay(derived, [w, u, x, y, rows])
        mw, mu = 0.9 * mw - rate * dw, 0.9 * mu - rate * du
        return w + mw, u + mu, mw, mu, rate, count + 1

    state = [*specs[:2], *specs[:2], Spec((), dtype), Spec((), "int32")]
    program = trace.trace(step, *state, *specs[2:], where="step")
    names = ("params/w", "params/u", "optimizer/m/w", "optimizer/m/u", "optimizer/rate", "step")
    return StepProgram(program, names, ("x", "y"))


def _trained(runner: Runner, backend: Backend, dtype: str) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    leaves: list[Any] = [generator.standard_normal(s).astype(dtype) for s in ((3, 4), (4, 2))]
    leaves += [np.zeros_like(a) for a in leaves] + [np.asarray(0.05, dtype), np.asarray(0, np.int32)]
    x, y = generator.standard_normal((10, 3)).astype(dtype), generator.standard_normal((10, 2)).astype(dtype)
    data = runner.place([x, y])
    state = runner.load(leaves)
    first = [np.array(backend.numpy(leaf)) for leaf in state]
    indices = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9], [3, 1, 4, 0], [5, 9, 2, 6]], np.int32)
    rows = np.ones(indices.shape, dtype)
    rows[2, 2:] = 0
    done = runner.run(state, data, indices[:2], rows[:2])
    done = runner.run(done, data, indices[2:], rows[2:])
    for leaf, was in zip(state, first, strict=True):
        assert_close(backend.numpy(leaf), was, 0.0, "the state before the chunk, after it")
    for array, was in zip((x, y), (x.copy(), y.copy()), strict=True):
        assert_close(array, was, 0.0, "the data after a chunk")
    return [np.array(backend.numpy(leaf)) for leaf in done]


def _training(backend: Backend) -> None:
    for dtype in ("float32", "float64"):
        step = training_step(dtype)
        expected = _trained(Runner(REFERENCE, step), REFERENCE, dtype)
        for kind, runner in (("the default runner", Runner(backend, step)), ("its runner", backend.runner(step))):
            found = _trained(runner, backend, dtype)
            for name, spec, array, wanted in zip(
                step.state_names, step.program.output_specs, found, expected, strict=True
            ):
                require_spec(array, spec, f"{name} after training with {kind}")
                assert_close(array, wanted, 10 * TOLERANCE[dtype], f"{name} in {dtype} after 5 steps with {kind}")


def without(backend: Backend, op: Op) -> Backend:
    """A copy of a backend that has no kernel for `op`."""
    lacking = copy.copy(backend)
    lacking.kernels = {key: kernel for key, kernel in backend.kernels.items() if key is not op}
    has = backend.has
    lacking.has = lambda other: other is not op and has(other)  # type: ignore[method-assign]
    return lacking


def _missing_primitive(backend: Backend) -> None:
    program = trace.trace(lambda x: ops.exp(ops.tanh(x)), Spec((2,), "float32"), where="encoder/dense")
    try:
        without(backend, p.tanh).prepare(program)
    except BackendError as error:
        text = str(error)
        missing = [word for word in ("tanh", "encoder/dense", backend.name) if word not in text]
        if missing:
            raise AssertionError(f"the error for a missing op does not name {', '.join(missing)}: {text}") from None
    else:
        raise AssertionError("prepare accepted a program with a mandatory op that has no kernel.")


def _missing_composite(backend: Backend) -> None:
    composite = [s for s in SAMPLES if s.op in (p.softmax, p.convolve, p.max_pool, p.scan, p.foreach, p.random_bits)]
    for op in dict.fromkeys(s.op for s in composite):
        row = next(s for s in composite if s.op is op)
        tally = Tally(op.name)
        run_cases(without(backend, op), [(tally, case_of_sample(row, row.dtypes[0]))])
        if tally.failures:
            raise AssertionError(f"without a kernel for {op.name!r}: {tally.failures[0]}")


def _gradient_programs(backend: Backend) -> None:
    program = differentiate(number_of(_network_program()), [1, 2])
    found = run_on(backend, program, _network_arguments(0))
    for i, (y, wanted) in enumerate(zip(found, run_on(REFERENCE, program, _network_arguments(0)), strict=True)):
        assert_close(y, wanted, TOLERANCE["float32"], f"output {i}")


_TOPICS: dict[str, Callable[[Backend], None]] = {
    "version of the backend API": _version,
    "outputs that are inputs or constants": _outputs_that_are_inputs,
    "results kept side by side": _side_by_side,
    "four threads": _threads,
    "gradients of a small network": _gradient_programs,
    "five training steps": _training,
    "a missing mandatory op": _missing_primitive,
    "ops without a kernel": _missing_composite,
}
