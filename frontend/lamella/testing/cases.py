"""Programs with a question about their results, run many at a time: a backend compiles few programs, not hundreds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella.backend_api import Backend
from lamella.ir import trace
from lamella.ir.check import check
from lamella.ir.program import Program
from lamella.ir.spec import Spec, numpy_dtype
from lamella.ops import primitives as p
from lamella.ops.control import replay
from lamella.passes import differentiate
from lamella.testing.equivalence import assert_close, run_on
from lamella.testing.gradcheck import central_differences, compare_slopes, derivative_of, require_zero
from lamella.testing.records import Kink, Sample
from lamella.testing.reference import REFERENCE
from lamella.testing.report import Tally


@dataclass(frozen=True)
class Case:
    """A program, numbers for it, and what must hold of its results (NumPy arrays, in the order of its outputs)."""

    label: str
    program: Program
    arguments: Sequence[np.ndarray]
    verify: Callable[[Sequence[np.ndarray]], None]


def require_spec(array: np.ndarray, spec: Spec, what: str) -> None:
    """Require the shape and the dtype that the shape rule gives.

    Raises:
        AssertionError: it has others.
    """
    if tuple(array.shape) != tuple(spec.shape):
        raise AssertionError(f"{what} has shape {array.shape}, the shape rule says {spec}.")
    if array.dtype != numpy_dtype(spec.dtype) and (spec.dtype, array.dtype.name) != ("bfloat16", "bfloat16"):
        raise AssertionError(f"{what} is {array.dtype.name}, the shape rule says {spec}.")


def case_of_sample(sample: Sample, dtype: str) -> Case:
    """That a row gives what the op means."""
    program, arguments = check(sample.program(dtype)), sample.arguments(dtype)

    def verify(results: Sequence[np.ndarray]) -> None:
        for i, (value, array, wanted) in enumerate(
            zip(program.outputs, results, run_on(REFERENCE, program, arguments), strict=True)
        ):
            require_spec(wanted, value.spec, f"output {i} of the reference")
            assert_close(array, wanted, sample.close_within(value.spec.dtype), f"output {i}")

    return Case(f"{sample.label} in {dtype}", program, arguments, verify)


def cases_of_kink(kink: Kink, dtype: str) -> list[Case]:
    """The cases that check the exact value at a non-differentiable point, and the exact derivative if there is one."""
    program, arguments = kink.program(dtype), kink.arguments(dtype)
    wanted = [i for i, g in enumerate(kink.gradients) if g is not None]

    def value(results: Sequence[np.ndarray]) -> None:
        assert_close(results[0], kink.value, kink.tolerance, "the value")

    def derivative(results: Sequence[np.ndarray]) -> None:
        for i, gradient in zip(wanted, results[1:], strict=True):
            assert_close(gradient, kink.gradients[i], kink.tolerance, f"the derivative in operand {i}")

    cases = [Case(f"{kink.label} in {dtype}", program, arguments, value)]
    if wanted:
        axes = tuple(range(program.outputs[0].spec.ndim))
        total = trace.trace(
            lambda *x: p.reduce_sum.bind(kink.op.bind(*x, **kink.attributes), axes=axes), *program.input_specs
        )
        derived = differentiate(total, wanted)
        cases.append(Case(f"{kink.label} in {dtype}, derivative", derived, arguments, derivative))
    return cases


def case_of_derivative(sample: Sample, order: int) -> Case:
    """That a row's derivative agrees with central differences, which the NumPy backend computes."""
    program, arguments = sample.program("float64"), sample.arguments("float64")
    derived = derivative_of(program, sample.active, order)

    def verify(results: Sequence[np.ndarray]) -> None:
        if not sample.smooth:
            require_zero(results[1:])
            return
        differences = central_differences(derived, arguments, sample.active, "numpy")
        compare_slopes(results[1:], sample.active, differences)

    return Case(f"{sample.label}, derivative of order {order}", derived, arguments, verify)


def joined(programs: Sequence[Program]) -> Program:
    """One program that computes all of them: their inputs one after the other, and their outputs."""

    def every(*inputs: Any) -> list[Any]:
        rest, outputs = list(inputs), []
        for program in programs:
            count = len(program.inputs)
            outputs += replay(program, rest[:count])
            rest = rest[count:]
        return outputs

    return trace.trace(every, *[s for program in programs for s in program.input_specs])


def run_cases(backend: Backend, cases: Sequence[tuple[Tally, Case]]) -> None:
    """Compile the cases as one program, run it twice and check each case; in halves where they do not run together."""
    try:
        found = _run(backend, [case for _, case in cases])
    except Exception:
        if len(cases) > 1:
            half = len(cases) // 2
            run_cases(backend, cases[:half])
            run_cases(backend, cases[half:])
            return
        ((tally, case),) = cases
        with tally.check(case.label):
            _run(backend, [case])
        return
    for (tally, case), (results, faults) in zip(cases, found, strict=True):
        with tally.check(case.label):
            for i, (value, array) in enumerate(zip(case.program.outputs, results, strict=True)):
                require_spec(array, value.spec, f"output {i}")
            if faults:
                raise AssertionError(faults[0])
            case.verify(results)


def _run(backend: Backend, cases: Sequence[Case]) -> list[tuple[list[np.ndarray], list[str]]]:
    """For every case its results, and what was not pure about them."""
    program = joined([case.program for case in cases])
    arguments = [a for case in cases for a in case.arguments]
    # rows at the ends of the number line divide by 0 on purpose
    with np.errstate(all="ignore"), backend.scope(program):
        compiled = backend.compile(program)
        operands = [backend.asarray(a.copy(), s.dtype) for a, s in zip(arguments, program.input_specs, strict=True)]
        before = [np.array(backend.numpy(x)) for x in operands]
        results = list(compiled(*operands))
        if len(results) != len(program.outputs):
            raise AssertionError(f"{len(results)} results for {len(program.outputs)} outputs.")
        arrays = [np.array(backend.numpy(y)) for y in results]
        again = [np.array(backend.numpy(y)) for y in compiled(*operands)]
        after = [np.array(backend.numpy(x)) for x in operands]
        kept = [np.array(backend.numpy(y)) for y in results]
    found, given, made = [], 0, 0
    for case in cases:
        faults: list[str] = []
        inputs = range(given, given := given + len(case.program.inputs))
        outputs = range(made, made := made + len(case.program.outputs))
        for i, k in enumerate(inputs):
            if not np.array_equal(after[k], before[k], equal_nan=after[k].dtype.kind == "f"):
                faults.append(f"operand {i} was changed by the call.")
        for i, k in enumerate(outputs):
            if any(backend.shares_memory(results[k], x) for x in operands):
                faults.append(f"output {i} shares memory with an operand.")
            if not np.array_equal(kept[k], arrays[k], equal_nan=kept[k].dtype.kind == "f"):
                faults.append(f"output {i} changed when the function was called again.")
            if not np.array_equal(again[k], arrays[k], equal_nan=again[k].dtype.kind == "f"):
                faults.append(f"output {i} differs at a second call.")
        found.append(([arrays[k] for k in outputs], faults))
    return found
