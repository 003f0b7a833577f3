"""Plain kernels of the ops that hold a program: the body is interpreted step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella.ir import interpret
from lamella.ir.program import Equation, Program

Apply = Callable[[Equation, Sequence[Any]], Sequence[Any]]


def make_scan(apply: Apply) -> Callable[..., Any]:
    """The kernel of `scan` that computes the equations of the body with `apply`."""

    def scan(*operands: Any, body: Program, consts: int, carries: int, length: int, reverse: bool) -> Any:
        """A loop over the leading axis of the stacked operands; slices of the results are written in place."""
        fixed, carry = operands[:consts], list(operands[consts : consts + carries])
        stacked = operands[consts + carries :]
        specs = body.output_specs[carries:]
        stacks = [apply_empty(length, spec) for spec in specs]
        for t in reversed(range(length)) if reverse else range(length):
            results = interpret.run(body, [*fixed, *carry, *[x[t, ...] for x in stacked]], apply)
            carry = results[:carries]
            for stack, y in zip(stacks, results[carries:], strict=True):
                stack[t] = y
        return (*carry, *stacks)

    return scan


def apply_empty(length: int, spec: Any) -> np.ndarray[Any, Any]:
    """Room for `length` arrays of `spec`."""
    from lamella.ir.spec import numpy_dtype

    return np.empty((length, *spec.shape), numpy_dtype(spec.dtype))


def make_foreach(apply: Apply) -> Callable[..., Any]:
    """The kernel of `foreach` that computes the equations of the body with `apply`."""

    def foreach(*operands: Any, body: Program, tensors: int, groups: int) -> Any:
        """The scalar rule on whole tensors, one after the other: NumPy's broadcasting repeats the scalars."""
        scalars = operands[groups * tensors :]
        columns = []
        for i in range(tensors):
            group = [operands[g * tensors + i] for g in range(groups)]
            results = interpret.run(body, [*group, *scalars], apply)
            columns.append([np.broadcast_to(y, group[0].shape) for y in results])
        return tuple(column[r] for r in range(len(body.outputs)) for column in columns)

    return foreach
