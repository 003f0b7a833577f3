"""Reverse mode: from a program that computes a loss to one that also returns its gradients.

The derivative of an op is its VJP rule, or that of its definition. `scan` is differentiated by its body: the forward loop
also stacks the values the backward loop needs, the backward loop runs in the opposite direction, and what it adds up for a
loop-invariant operand (a weight) leaves the loop as one contraction over all steps wherever it is a sum of products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lamella.errors import DTypeError, ShapeError
from lamella.ir.program import Equation, Program, Value
from lamella.ir.spec import is_float
from lamella.ir.trace import Trace, at, bind
from lamella.ops import primitives as p
from lamella.ops.coerce import full_of
from lamella.passes.pool_first import pool_first
from lamella.passes.simplify import dead_code

Pullback = Callable[[Sequence[Value | None]], Sequence[Value | None]]
Step = tuple[Sequence[Value], Sequence[Value], Pullback, str]


def differentiate(program: Program, wrt: Sequence[int], loss: int = 0) -> Program:
    """The program that returns the outputs of `program` and then the gradient of output `loss` in each input of `wrt`.

    Args:
        program: its output number `loss` is a float scalar.
        wrt: numbers of float inputs.
        loss: the number of the output to differentiate.

    Returns:
        A program with the same inputs; the gradients have the specs of the inputs they belong to. An input that the loss
        does not depend on gets zeros.

    Raises:
        ShapeError: the loss is no scalar.
        DTypeError: the loss or an input of `wrt` is no float.
    """
    target = program.outputs[loss].spec
    if target.shape != ():
        raise ShapeError(f"only a scalar loss has a gradient, got {target}.")
    for spec in (target, *[program.inputs[i].spec for i in wrt]):
        if not is_float(spec.dtype):
            raise DTypeError(f"gradients are for floats, got {spec}.")
    program = pool_first(program)
    with Trace() as trace:
        inputs = [trace.input(v.spec) for v in program.inputs]
        outputs, tape = _forward(trace, program, inputs, {inputs[i] for i in wrt})
        seed = {outputs[loss]: full_of(target, 1)}
        gradients = _backward(trace, tape, seed, [inputs[i] for i in wrt])
        names = [*program.output_names, *[f"gradient of {program.input_names[i]}" for i in wrt]]
        return dead_code(trace.program([*outputs, *gradients], program.input_names, names))


def gradient_program(program: Program, active: Sequence[int]) -> Program:
    """The vector-Jacobian product of a program, as a program.

    Its inputs are the program's own and a cotangent for every float output; it returns the outputs and the gradients of
    the inputs `active`.
    """
    with Trace() as trace:
        inputs = [trace.input(v.spec) for v in program.inputs]
        outputs, tape = _forward(trace, program, inputs, {inputs[i] for i in active})
        seeds: dict[Value, Value] = {}
        for value in outputs:
            if is_float(value.spec.dtype):
                cotangent = trace.input(value.spec)
                seeds[value] = p.add.bind(seeds[value], cotangent) if value in seeds else cotangent
        gradients = _backward(trace, tape, seeds, [inputs[i] for i in active])
        return dead_code(trace.program([*outputs, *gradients]))


def _forward(
    trace: Trace, program: Program, inputs: Sequence[Value], active: set[Value]
) -> tuple[list[Value], list[Step]]:
    """Replay `program`, remembering how to pull a cotangent back through every equation that depends on `active`."""
    tape: list[Step] = []
    outputs = _replay(trace, program, inputs, active, tape)
    return outputs, tape


def _replay(
    trace: Trace, program: Program, inputs: Sequence[Value], active: set[Value], tape: list[Step]
) -> list[Value]:
    environment: dict[Value, Value] = dict(zip(program.inputs, inputs, strict=True))
    for equation in program.equations:
        operands = [environment[v] for v in equation.inputs]
        with at(equation.where):
            results = _apply(trace, equation, operands, active, tape)
        environment.update(zip(equation.outputs, results, strict=True))
    return [environment[v] for v in program.outputs]


def _apply(
    trace: Trace, equation: Equation, operands: list[Value], active: set[Value], tape: list[Step]
) -> Sequence[Value]:
    op, attrs = equation.op, equation.attrs
    live = op.differentiable and any(v in active and is_float(v.spec.dtype) for v in operands)
    if live and op.vjp is None and op.linearize is None:
        if op.definition is None:
            return _bound(equation, operands)
        with Trace() as inner:
            symbols = [inner.input(v.spec) for v in operands]
            result = op.definition(*symbols, **attrs)
            definition = inner.program(list(result) if isinstance(result, tuple) else [result])
        return _replay(trace, definition, operands, active, tape)
    if not live:
        return _bound(equation, operands)
    if op.linearize is not None:
        results, pullback = op.linearize(*operands, is_active=[v in active for v in operands], **attrs)
    else:
        results = _bound(equation, operands)
        pullback = _rule(equation, operands, results)
    active.update(v for v in results if is_float(v.spec.dtype))
    tape.append((results, operands, pullback, equation.where))
    return results


def _bound(equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
    result = bind(equation.op, tuple(operands), equation.attrs)
    return result if isinstance(result, tuple) else (result,)


def _rule(equation: Equation, operands: Sequence[Value], results: Sequence[Value]) -> Pullback:
    def pullback(gs: Sequence[Value | None]) -> Sequence[Value | None]:
        assert equation.op.vjp is not None  # noqa: S101 - _apply came here because there is a rule
        if len(results) == 1:
            gradients = equation.op.vjp(gs[0], results[0], *operands, **equation.attrs)
        else:
            filled = tuple(full_of(y.spec, 0) if g is None else g for g, y in zip(gs, results, strict=True))
            gradients = equation.op.vjp(filled, tuple(results), *operands, **equation.attrs)
        return gradients if isinstance(gradients, tuple) else (gradients,)

    return pullback


def _backward(trace: Trace, tape: list[Step], seeds: dict[Value, Value], wrt: Sequence[Value]) -> list[Value]:
    cotangents = dict(seeds)
    for results, operands, pullback, where in reversed(tape):
        gs = [cotangents.get(v) for v in results]
        if all(g is None for g in gs):
            continue
        with at(f"{where} (gradient)" if where else "(gradient)"):
            for value, gradient in zip(operands, pullback(gs), strict=True):
                if gradient is None or not is_float(value.spec.dtype):
                    continue
                if gradient.spec != value.spec:
                    raise ShapeError(
                        f"a derivative rule returned {gradient.spec} for an operand of {value.spec}"
                        + (f" (layer {where!r})." if where else ".")
                    )
                have = cotangents.get(value)
                cotangents[value] = gradient if have is None else p.add.bind(have, gradient)
    return [cotangents[v] if v in cotangents else full_of(v.spec, 0) for v in wrt]
