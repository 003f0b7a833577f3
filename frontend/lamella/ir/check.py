"""Re-type every equation of a program: the executable definition of a well-formed one."""

from __future__ import annotations

from lamella.errors import LamellaError
from lamella.ir.program import Program, Value


class ProgramError(LamellaError, ValueError):
    """A program is malformed; the message names the equation."""


def check(program: Program) -> Program:
    """Check definition before use, single definition, and every spec against its op's shape rule.

    Returns:
        the program itself, so that a pass can end in `return check(...)`.

    Raises:
        ProgramError: the first fault, with the equation's number, op and layer.
    """
    defined: set[Value] = set()
    for value in program.inputs:
        if value in defined:
            raise ProgramError("an input appears twice in the program's inputs.")
        defined.add(value)
    for number, equation in enumerate(program.equations):
        place = f"equation {number} ({equation.op.name}" + (f", layer {equation.where!r})" if equation.where else ")")
        for value in equation.inputs:
            if value not in defined:
                raise ProgramError(f"{place} uses a value of {value.spec} that nothing before it defines.")
        try:
            specs = equation.op.result_specs([v.spec for v in equation.inputs], equation.attrs)
        except (ValueError, TypeError) as error:
            raise ProgramError(f"{place} does not type-check: {error}") from error
        if specs != tuple(v.spec for v in equation.outputs):
            found = ", ".join(str(v.spec) for v in equation.outputs)
            raise ProgramError(f"{place} says {found}; its shape rule gives {', '.join(map(str, specs))}.")
        for value in equation.outputs:
            if value in defined:
                raise ProgramError(f"{place} defines a value that is already defined.")
            defined.add(value)
        for body in equation.bodies.values():
            check(body)
    for value in program.outputs:
        if value not in defined:
            raise ProgramError(f"an output of {value.spec} is defined by nothing in the program.")
    return program
