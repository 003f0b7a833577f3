"""Dead-code elimination, common subexpressions and constant folding: each returns a program with the same results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.ir.dim import Dim
from lamella.ir.program import Equation, Program, Value, with_bodies
from lamella.ir.spec import numpy_dtype
from lamella.ir.trace import constant
from lamella.passes.peephole import peephole

if TYPE_CHECKING:
    from lamella.ir.types import Attribute

_FOLD_LIMIT = 4096
"""In elements: a larger constant costs more to store than to compute."""


def rewritten(program: Program, equations: Sequence[Equation], outputs: Sequence[Value] | None = None) -> Program:
    """`program` with other equations (and outputs)."""
    return Program(
        program.inputs,
        equations,
        program.outputs if outputs is None else outputs,
        program.input_names,
        program.output_names,
    )


def dead_code(program: Program) -> Program:
    """`program` without the equations that no output depends on."""
    needed = set(program.outputs)
    kept: list[Equation] = []
    for equation in reversed(program.equations):
        if any(v in needed for v in equation.outputs):
            kept.append(equation)
            needed.update(equation.inputs)
    return program if len(kept) == len(program.equations) else rewritten(program, kept[::-1])


def _key(value: Attribute) -> Any:
    if isinstance(value, np.ndarray):
        # large constants are compared by identity: hashing them would cost more than it saves
        content = value.tobytes() if value.size <= _FOLD_LIMIT else id(value)
        return (value.shape, value.dtype.str, content)
    if isinstance(value, float):
        return ("float", np.float64(value).tobytes())
    return (type(value).__name__, value)


def common_subexpressions(program: Program) -> Program:
    """`program` with each distinct computation once."""
    seen: dict[Any, tuple[Value, ...]] = {}
    renamed: dict[Value, Value] = {}
    kept: list[Equation] = []
    for equation in program.equations:
        inputs = tuple(renamed.get(v, v) for v in equation.inputs)
        key = (
            equation.op.name,
            tuple(map(id, inputs)),
            tuple((k, _key(v)) for k, v in sorted(equation.attrs.items())),
        )
        found = seen.get(key)
        if found is not None:
            renamed.update(zip(equation.outputs, found, strict=True))
            continue
        if any(a is not b for a, b in zip(inputs, equation.inputs, strict=True)):
            equation = Equation(equation.op, inputs, equation.attrs, equation.outputs, equation.where)
        seen[key] = equation.outputs
        kept.append(equation)
    if not renamed:
        return program
    return rewritten(program, kept, [renamed.get(v, v) for v in program.outputs])


def fold_constants(program: Program) -> Program:
    """`program` with small equations of constants computed, and without those that change nothing (x + 0, x * 1)."""
    from lamella.ir import interpret

    known: dict[Value, np.ndarray] = {}
    spread: dict[Value, np.ndarray] = {}  # broadcast scalars: known, but not worth storing at full size
    renamed: dict[Value, Value] = {}
    kept: list[Equation] = []
    for equation in program.equations:
        op, attrs = equation.op, equation.attrs
        inputs = tuple(renamed.get(v, v) for v in equation.inputs)
        if op is constant:
            known[equation.outputs[0]] = attrs["value"]
            kept.append(equation)
            continue
        same = _identity(op.name, inputs, attrs, known, spread)
        if same is not None:
            renamed[equation.outputs[0]] = same
            continue
        if any(a is not b for a, b in zip(inputs, equation.inputs, strict=True)):
            equation = Equation(op, inputs, attrs, equation.outputs, equation.where)
        foldable = (
            inputs
            and all(v in known for v in inputs)
            and not any(isinstance(v.spec.size, Dim) or v.spec.size > _FOLD_LIMIT for v in (*inputs, *equation.outputs))
            and all(v.spec.dtype != "bfloat16" for v in (*inputs, *equation.outputs))
            and op.name not in ("broadcast", "random_bits")
            and not equation.bodies
        )
        if foldable:
            with np.errstate(all="ignore"):
                results = interpret.evaluate(op, [known[v] for v in inputs], attrs)
            for value, result in zip(equation.outputs, results, strict=True):
                array = np.array(result, numpy_dtype(value.spec.dtype))
                known[value] = array
                kept.append(
                    Equation(constant, (), {"value": array, "dtype": value.spec.dtype}, (value,), equation.where)
                )
            continue
        if op.name == "broadcast" and inputs[0] in known and known[inputs[0]].size == 1:
            spread[equation.outputs[0]] = known[inputs[0]].reshape(())
        kept.append(equation)
    outputs = [renamed.get(v, v) for v in program.outputs]
    return rewritten(program, kept, outputs)


_NEUTRAL = {"add": (0.0, True), "subtract": (0.0, False), "multiply": (1.0, True), "divide": (1.0, False)}


def _identity(
    name: str,
    inputs: Sequence[Value],
    attrs: dict[str, Any],
    known: dict[Value, np.ndarray],
    spread: dict[Value, np.ndarray],
) -> Value | None:
    """The operand that the equation returns unchanged, or None.

    `stop_gradient` is not among them: bodies of loops, and programs that `jax.grad` is applied to, are simplified first.
    """
    if name in _NEUTRAL:
        neutral, commutes = _NEUTRAL[name]
        left, right = (known.get(v, spread.get(v)) for v in inputs)
        if _is_everywhere(right, neutral):
            return inputs[0]
        if commutes and _is_everywhere(left, neutral):
            return inputs[1]
    elif name == "convert":
        return inputs[0] if attrs["dtype"] == inputs[0].spec.dtype else None
    elif name == "reshape":
        return inputs[0] if attrs["shape"] == inputs[0].spec.shape else None
    elif name == "reduce_sum":
        return inputs[0] if not attrs["axes"] else None
    elif name == "concatenate":
        return inputs[0] if len(inputs) == 1 else None
    return None


def _is_everywhere(array: np.ndarray | None, value: float) -> bool:
    # x + 0.0 differs from x in the sign of a zero alone
    if array is None or array.size == 0:
        return False
    first = array.flat[0]
    return bool(first == value) and bool((array == value).all())


def simplify(program: Program) -> Program:
    """`program` with constants folded, peephole rewrites, shared subexpressions and no dead code, bodies included."""
    equations: list[Equation] = []
    renamed: dict[Value, Value] = {}
    used = {v for e in program.equations for v in e.inputs} | set(program.outputs)
    changed = False
    for equation in program.equations:
        if equation.bodies:
            attrs = with_bodies(equation.attrs, simplify)
            equation = Equation(equation.op, equation.inputs, attrs, equation.outputs, equation.where)
            if equation.op.name == "scan":
                equation, same = _pruned_scan(equation, used)
                renamed |= same
            changed = True
        equations.append(equation)
    if changed:
        outputs = [renamed.get(v, v) for v in program.outputs]
        program = rewritten(program, [_renamed(e, renamed) for e in equations], outputs)
    return dead_code(common_subexpressions(peephole(fold_constants(dead_code(program)))))


def _renamed(equation: Equation, renamed: dict[Value, Value]) -> Equation:
    if not any(v in renamed for v in equation.inputs):
        return equation
    inputs = tuple(renamed.get(v, v) for v in equation.inputs)
    return Equation(equation.op, inputs, equation.attrs, equation.outputs, equation.where)


def _pruned_scan(equation: Equation, used: set[Value]) -> tuple[Equation, dict[Value, Value]]:
    """A scan without unused and duplicate stacks; and for each output that was a duplicate, the output that replaces it."""
    carries = equation.attrs["carries"]
    body: Program = equation.attrs["body"]
    kept: dict[Value, Value] = {}
    same: dict[Value, Value] = {}
    results, outputs = list(body.outputs[:carries]), list(equation.outputs[:carries])
    for result, output in zip(body.outputs[carries:], equation.outputs[carries:], strict=True):
        if output not in used:
            continue
        if result in kept:
            same[output] = kept[result]
            continue
        kept[result] = output
        results.append(result)
        outputs.append(output)
    if len(outputs) == len(equation.outputs):
        return equation, {}
    attrs = {**equation.attrs, "body": dead_code(Program(body.inputs, body.equations, results))}
    return Equation(equation.op, equation.inputs, attrs, tuple(outputs), equation.where), same
