"""Comparison of arrays, and of programs on several backends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.backend_api import Backend, load_backend
from lamella.ir.program import Program
from lamella.ir.spec import is_float
from lamella.testing.records import TOLERANCE

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


def difference(a: Tensor, b: Tensor) -> float:
    """Return max|a - b| / max|b| over the finite entries.

    It is infinite if the shapes differ, or if NaN and infinities are at different positions.
    """
    left, right = np.asarray(a), np.asarray(b)
    if left.shape != right.shape:
        return np.inf
    if left.dtype.kind in "biu" and right.dtype.kind in "biu":
        return 0.0 if np.array_equal(left, right) else np.inf
    left, right = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(right)
    if not np.array_equal(np.isfinite(left), finite) or not np.array_equal(
        left[~finite], right[~finite], equal_nan=True
    ):
        return np.inf
    if not finite.any():
        return 0.0
    largest, apart = np.abs(right[finite]).max(), np.abs(left[finite] - right[finite]).max()
    return float(apart / largest) if largest > 0 else (0.0 if apart == 0 else np.inf)


def assert_close(a: ArrayLike, b: ArrayLike, tolerance: float, what: str = "arrays") -> None:
    """Assert that max|a - b| <= tolerance * max|b|, and that NaN and infinities are at the same positions.

    An array of zeros must be matched exactly.

    Args:
        a: an array.
        b: the expected array.
        tolerance: the allowed difference, relative to the largest entry of `b`.
        what: the name of the arrays in the message.

    Raises:
        AssertionError: they differ; the message contains the shapes, the largest difference and its position.

    Example:
        >>> assert_close([1.0, 2.0], [1.0, 2.0001], tolerance=1e-3)
        >>> assert_close([1.0, 2.0], [1.0, 3.0], tolerance=1e-3)
        Traceback (most recent call last):
        ...
        AssertionError: arrays: the largest difference is 0.333 of the largest entry, above 0.001: ...
    """
    left, right = np.asarray(a), np.asarray(b)
    if left.shape != right.shape:
        raise AssertionError(f"{what}: shapes differ, {left.shape} and {right.shape}.")
    apart = difference(left, right)
    if apart <= tolerance:
        return
    wide = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.nan_to_num(np.abs(wide[0] - wide[1]), nan=np.inf)
        gap[(wide[0] == wide[1]) | (np.isnan(wide[0]) & np.isnan(wide[1]))] = 0.0
    at = np.unravel_index(int(gap.argmax()), gap.shape)
    raise AssertionError(
        f"{what}: the largest difference is {apart:.3g} of the largest entry, above {tolerance:.3g}: "
        f"{wide[0][at]!r} and {wide[1][at]!r} at {tuple(map(int, at))} of shape {left.shape}."
    )


def run_on(backend: str | Backend, program: Program, arguments: Sequence[Any]) -> list[np.ndarray]:
    """Return the outputs of a program on a backend, as NumPy arrays."""
    chosen = load_backend(backend)
    with chosen.scope(program):
        compiled = chosen.compile(program)
        operands = [chosen.asarray(a, s.dtype) for a, s in zip(arguments, program.input_specs, strict=True)]
        return [np.array(chosen.numpy(y)) for y in compiled(*operands)]


@dataclass(frozen=True)
class Divergence:
    """The difference between two backends in one value of a program.

    Attributes:
        equation: the number of the equation that computes the value.
        op: the op of the equation.
        where: the layer that the equation belongs to.
        backend: the backend that was compared with the first one.
        relative: max|a - b| / max|b|.
    """

    equation: int
    op: str
    where: str
    backend: str
    relative: float

    def __str__(self) -> str:
        layer = f", layer {self.where!r}" if self.where else ""
        return f"equation {self.equation} ({self.op}{layer}) on {self.backend!r}: {self.relative:.3g}"


def trace_differences(
    program: Program, backends: Sequence[str | Backend], arguments: Sequence[Any]
) -> list[Divergence]:
    """Return the differences between the first backend and the others at every equation, in the program's order."""
    values = [(i, e, v) for i, e in enumerate(program.equations) for v in e.outputs]
    opened = Program(program.inputs, program.equations, [v for _, _, v in values], program.input_names)
    first, *others = [load_backend(b) for b in backends]
    expected = run_on(first, opened, arguments)
    return [
        Divergence(number, equation.op.name, equation.where, other.name, difference(result, wanted))
        for other in others
        for (number, equation, _), result, wanted in zip(
            values, run_on(other, opened, arguments), expected, strict=True
        )
    ]


def compare_backends(
    program: Program,
    backends: Sequence[str | Backend],
    arguments: Sequence[Any],
    tolerance: float | None = None,
) -> dict[str, float]:
    """Run a program on several backends and assert that all agree with the first.

    Args:
        program: the program.
        backends: two or more backends, or their names.
        arguments: one array per input.
        tolerance: as for `assert_close`; None for the tolerance of each output's dtype.

    Returns:
        A dict from the name of each backend after the first to its largest relative difference.

    Raises:
        AssertionError: two backends differ; the message names the output and the first equation that differs.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.layers.Input((2,)), lamella.layers.Flatten()])
        >>> compare_backends(model.program(batch_size=1), ["numpy", "numpy"], [np.ones((1, 2), "float32")])
        {'numpy': 0.0}
    """
    first, *others = [load_backend(b) for b in backends]
    expected = run_on(first, program, arguments)
    largest: dict[str, float] = {}
    for other in others:
        apart = [difference(a, b) for a, b in zip(run_on(other, program, arguments), expected, strict=True)]
        largest[other.name] = max(apart, default=0.0)
        for i, (value, found) in enumerate(zip(program.outputs, apart, strict=True)):
            dtype = value.spec.dtype
            allowed = TOLERANCE.get(dtype, 0.0) if tolerance is None or not is_float(dtype) else tolerance
            if found > allowed:
                label = program.output_names[i] or f"number {i}"
                steps = trace_differences(program, [first, other], arguments)
                parting = next((str(d) for d in steps if d.relative > allowed), "no single equation")
                raise AssertionError(
                    f"{other.name!r} and {first.name!r} differ by {found:.3g} (allowed {allowed:.3g}) in output {label}, "
                    f"{value.spec}. They part at {parting}."
                )
    return largest
