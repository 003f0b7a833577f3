"""Gradients compared with central differences, in float64, on any backend.

The outputs of a program are reduced to a weighted sum. `passes.differentiate` computes its gradient, and Richardson
extrapolation of central differences (four evaluations per direction, with an error of fourth order in the step) the
directional derivatives along single entries, or along random directions of large arrays. For the second order the sum
is one of the first gradients, so that the derivative rules themselves are differentiated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lamella.backend_api import Backend, load_backend
from lamella.ir import trace
from lamella.ir.program import Program, Value
from lamella.ir.spec import is_float
from lamella.ops import primitives as p
from lamella.ops.control import replay
from lamella.passes import dead_code, differentiate
from lamella.testing.equivalence import run_on
from lamella.testing.records import Sample

STEP = 2e-3
"""The step of the differences; non-differentiable points must be farther away."""

TOLERANCE = 1e-6
"""The allowed difference, in units of max(1, |derivative|)."""

_ENTRIES, _DIRECTIONS = 12, 8
"""Entries that are varied one by one; larger arrays are varied along this many random directions."""


def _weighed(values: Sequence[Value], generator: np.random.Generator, *, squared: bool = False) -> Value:
    """A weighted sum of all entries of all float values."""
    total: Any = None
    for value in values:
        if not is_float(value.spec.dtype):
            continue
        weights = generator.uniform(0.5, 1.5, value.spec.shape) * generator.choice([-1.0, 1.0], value.spec.shape)
        weights = np.asarray(weights, value.spec.dtype)
        term = p.multiply.bind(p.multiply.bind(value, value) if squared else value, weights)
        term = p.reduce_sum.bind(term, axes=tuple(range(value.spec.ndim)))
        term = term if term.dtype == "float64" else p.convert.bind(term, dtype="float64")
        total = term if total is None else p.add.bind(total, term)
    return trace.as_value(np.zeros(())) if total is None else total


def number_of(program: Program, *, squared: bool = False, seed: int = 0) -> Program:
    """Return the program whose only output is a weighted sum of the outputs, in float64."""
    generator = np.random.default_rng(seed)
    return trace.trace(
        lambda *inputs: _weighed(replay(program, inputs), generator, squared=squared), *program.input_specs
    )


def derivative_of(program: Program, wrt: Sequence[int], order: int) -> Program:
    """Return a weighted sum of the outputs of a program (for order 2, of its gradients), and its gradient."""
    if order == 1:
        return differentiate(number_of(program), wrt)
    # squares make the first gradient depend on every output
    gradients = differentiate(number_of(program, squared=True), wrt)
    only = Program(gradients.inputs, gradients.equations, gradients.outputs[1:])
    return differentiate(number_of(only, seed=1), wrt)


def _directions(shape: tuple[int, ...], generator: np.random.Generator) -> Iterator[np.ndarray]:
    size = int(np.prod(shape, dtype=int))
    if size <= _ENTRIES:
        yield from np.eye(size).reshape(size, *shape)
    else:
        yield from generator.choice([-1.0, 1.0], (_DIRECTIONS, *shape))


def central_differences(
    number: Program, arguments: Sequence[np.ndarray], wrt: Sequence[int], backend: str | Backend, step: float = STEP
) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yield `(index of the input, direction, derivative)` of the directional derivatives of output 0."""
    chosen = load_backend(backend)
    only = dead_code(Program(number.inputs, number.equations, number.outputs[:1]))
    specs = only.input_specs
    generator = np.random.default_rng(2)
    with chosen.scope(only):
        compiled = chosen.compile(only)
        operands = [chosen.asarray(a, s.dtype) for a, s in zip(arguments, specs, strict=True)]

        def at(place: int, moved: np.ndarray) -> float:
            changed = list(operands)
            changed[place] = chosen.asarray(moved, specs[place].dtype)
            return float(chosen.numpy(compiled(*changed)[0]))

        for place in wrt:
            base = np.asarray(arguments[place])
            for direction in _directions(base.shape, generator):
                coarse, fine = (
                    (at(place, base + h * direction) - at(place, base - h * direction)) / (2 * h)
                    for h in (step, step / 2)
                )
                yield place, direction, (4 * fine - coarse) / 3


def compare_slopes(
    gradients: Sequence[np.ndarray],
    wrt: Sequence[int],
    differences: Iterable[tuple[int, np.ndarray, float]],
    tolerance: float = TOLERANCE,
) -> None:
    """Assert that gradients have the given directional derivatives.

    Raises:
        AssertionError: they differ; the message contains the input, the direction and both values.
    """
    by_place = dict(zip(wrt, gradients, strict=True))
    for place, direction, expected in differences:
        gradient = by_place[place]
        if gradient.shape != direction.shape or gradient.dtype != np.float64:
            raise AssertionError(f"the gradient of operand {place} is {gradient.dtype}{list(gradient.shape)}.")
        found = float((gradient * direction).sum())
        if not abs(found - expected) <= tolerance * max(1.0, abs(expected)):
            moved = np.argwhere(direction)
            entry = f"entry {tuple(map(int, moved[0]))}" if len(moved) == 1 else "all entries"
            raise AssertionError(
                f"operand {place}, moving {entry}: the derivative is {found!r}, central differences give {expected!r}, "
                f"off by {abs(found - expected):.3g}."
            )


def check_gradients(
    program: Program,
    arguments: Sequence[np.ndarray],
    wrt: Sequence[int],
    backend: str | Backend = "numpy",
    *,
    order: int = 1,
    tolerance: float = TOLERANCE,
    step: float = STEP,
) -> None:
    """Assert that the gradients of a program agree with central differences.

    Args:
        program: the program; the inputs to differentiate are float64.
        arguments: one NumPy array per input, farther than `step` from non-differentiable points.
        wrt: the indices of the inputs to differentiate.
        backend: the backend that computes gradients and differences.
        order: 1, or 2 for second derivatives.
        tolerance: the allowed difference, in units of max(1, |derivative|).
        step: the step of the differences.

    Raises:
        AssertionError: they differ; the message contains the input, the direction and both values.

    Example:
        >>> from lamella import ops
        >>> from lamella.ir.spec import Spec
        >>> square = trace.trace(ops.square, Spec((3,), "float64"))
        >>> check_gradients(square, [np.array([1.0, 2.0, 3.0])], wrt=[0])
    """
    derived = derivative_of(program, wrt, order)
    gradients = run_on(backend, derived, arguments)[1:]
    compare_slopes(gradients, wrt, central_differences(derived, arguments, wrt, backend, step), tolerance)


def has_derivative(sample: Sample) -> bool:
    """Return whether a sample has differentiable float64 operands and results."""
    if "float64" not in sample.dtypes or not sample.active:
        return False
    return any(v.spec.dtype == "float64" for v in sample.program("float64").outputs)


def gradcheck(sample: Sample, backend: str | Backend = "numpy", *, order: int = 1) -> None:
    """Check the derivatives of an op at a sample, in float64; for an op without derivative, that the gradient is zero.

    Args:
        sample: the sample, one of `testing.SAMPLES`.
        backend: the backend that computes gradients and differences.
        order: 1, or 2 for second derivatives.

    Raises:
        AssertionError: a derivative is wrong.

    Example:
        >>> from lamella import testing
        >>> gradcheck(next(sample for sample in testing.SAMPLES if sample.op.name == "exp"))
    """
    if not has_derivative(sample):
        return
    program, arguments = sample.program("float64"), sample.arguments("float64")
    if sample.smooth:
        check_gradients(program, arguments, sample.active, backend, order=order)
    else:
        require_zero(run_on(backend, derivative_of(program, sample.active, 1), arguments)[1:])


def require_zero(gradients: Sequence[np.ndarray]) -> None:
    """Assert that gradients are zero.

    Raises:
        AssertionError: a gradient is not zero.
    """
    for place, gradient in enumerate(gradients):
        if np.any(gradient != 0):
            raise AssertionError(f"gradient number {place} is not zero, and the op hides its derivative.")
