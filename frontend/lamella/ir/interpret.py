"""The loop over the equations of a program, and the registry of evaluators of eager ops.

`run` executes a program on anything its `apply` function understands: arrays of any framework, tracers, or symbolic
values of another trace. The passes, every backend without a compiler and the JAX lowering use this loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lamella.ir.program import Equation, Op, Program, Value

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

Apply = Callable[[Equation, Sequence[Any]], Sequence[Any]]


def run(program: Program, arguments: Sequence[Tensor], apply: Apply) -> list[Any]:
    """Execute `program`: `apply(equation, operands)` gives the outputs of one equation.

    Operands are dropped after their last use, so an eager run holds no more than it needs.
    """
    last: dict[Value, int] = {}
    for index, equation in enumerate(program.equations):
        for value in equation.inputs:
            last[value] = index
    for value in program.outputs:
        last[value] = len(program.equations)
    environment: dict[Value, Any] = dict(zip(program.inputs, arguments, strict=True))
    for index, equation in enumerate(program.equations):
        results = apply(equation, [environment[v] for v in equation.inputs])
        for value in equation.inputs:
            if last[value] == index:
                environment.pop(value, None)
        for value, result in zip(equation.outputs, results, strict=True):
            if value in last:
                environment[value] = result
    return [environment[v] for v in program.outputs]


class Evaluator(Protocol):
    """A backend's interface for ops that run eagerly on its arrays."""

    def owns(self, array: object) -> bool:
        """Whether `array` is one of this backend's arrays."""
        ...

    def evaluate(self, op: Op, arrays: Sequence[Tensor], attrs: dict[str, Any]) -> Sequence[Any]:
        """The outputs of `op` on arrays."""
        ...

    def numpy(self, array: Tensor) -> np.ndarray:
        """The numbers of one of its arrays as a NumPy array."""
        ...


_EVALUATORS: list[Evaluator] = []
_DEFAULT: list[Callable[[Sequence[Any]], Evaluator]] = []


def register_evaluator(evaluator: Evaluator) -> None:
    """Let `evaluator` compute ops whose operands it owns."""
    if evaluator not in _EVALUATORS:
        _EVALUATORS.append(evaluator)


def register_default(load: Callable[[Sequence[Any]], Evaluator]) -> None:
    """Set what finds the evaluator of operands that no registered one owns: NumPy arrays, none, or a new framework's."""
    _DEFAULT[:] = [load]


def evaluate(op: Op, operands: Sequence[Tensor], attrs: dict[str, Any]) -> Sequence[Any]:
    """Compute `op` at once on the backend that owns one of the operands, or on the default one for NumPy arrays."""
    return _evaluator_of(operands).evaluate(op, operands, attrs)


def to_numpy(array: Any) -> np.ndarray:
    """Return the numbers of an array of any backend as a NumPy array.

    Args:
        array: an array of NumPy or of a backend, a number, or a list of numbers.

    Example:
        >>> from lamella.backend import to_numpy
        >>> to_numpy([1.0, 2.0])
        array([1., 2.])
    """
    if isinstance(array, np.ndarray | np.generic | bool | int | float | list | tuple):
        return np.asarray(array)
    return _evaluator_of((array,)).numpy(array)


def _evaluator_of(operands: Sequence[Tensor]) -> Evaluator:
    for evaluator in _EVALUATORS:
        if any(evaluator.owns(x) for x in operands):
            return evaluator
    return _DEFAULT[0](operands)
