"""Plain kernels of the ops that hold a program: the body is interpreted step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella.ir import interpret
from lamella.ir.program import Equation, Program
from lamella.ir.spec import numpy_dtype

Apply = Callable[[Equation, Sequence[Any]], Sequence[Any]]


def make_scan(apply: Apply) -> Callable[..., Any]:
    """The kernel of `scan` that computes the equations of the body with `apply`."""

    def scan(*operands: Any, body: Program, consts: int, carries: int, length: int, reverse: bool) -> Any:
        """A loop over the leading axis of the stacked operands; slices of the results are written in place."""
        fixed, carry = operands[:consts], list(operands[consts : consts + carries])
        stacked = operands[consts + carries :]
        stacks = [np.empty((length, *s.shape), numpy_dtype(s.dtype)) for s in body.output_specs[carries:]]
        for t in reversed(range(length)) if reverse else range(length):
            results = interpret.run(body, [*fixed, *carry, *[x[t, ...] for x in stacked]], apply)
            carry = results[:carries]
            for stack, y in zip(stacks, results[carries:], strict=True):
                stack[t] = y
        return (*carry, *stacks)

    return scan


def make_switch(apply: Apply) -> Callable[..., Any]:
    """The kernel of `switch` that computes the equations of the branch with `apply`."""

    def switch(index: Any, *operands: Any, branches: Sequence[Program]) -> Any:
        """The outputs of one branch; copies where it returns an operand."""
        branch = branches[min(max(int(index), 0), len(branches) - 1)]
        return tuple(np.array(y) for y in interpret.run(branch, operands, apply))

    return switch


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
