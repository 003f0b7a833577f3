"""Reverse mode: from a program that computes a loss to one that also returns its gradients.

The derivative of an op is its VJP rule, or that of its definition. `scan` is differentiated by its body: the forward loop
also stacks the values that the backward loop needs, the backward loop runs in the opposite direction, and where the
gradient of a loop-invariant operand (a weight) is a sum of products, one contraction over all steps after the loop computes
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lamella.errors import DTypeError, ShapeError
from lamella.ir import interpret
from lamella.ir.program import Equation, Program, Value, as_tuple, gradient_of
from lamella.ir.spec import is_float
from lamella.ir.trace import Trace, apply_equation, at, trace
from lamella.ops import primitives as p
from lamella.ops.coerce import full_of
from lamella.passes.simplify import dead_code

Pullback = Callable[[Sequence[Value | None]], Sequence[Value | None]]


def differentiate(program: Program, wrt: Sequence[int], loss: int = 0) -> Program:
    """The program that returns the outputs of `program` and then the gradient of output `loss` in each input of `wrt`.

    The forward part keeps the equations of `program`. To train, apply `pool_first` to it beforehand: afterwards the
    backward part reads the values that pooling would be moved past.

    Args:
        program: its output number `loss` is a float scalar.
        wrt: the numbers of float inputs.
        loss: the number of the output to differentiate.

    Returns:
        A program with the same inputs. A gradient has the spec of its input; it is zero where the loss does not depend on
        the input.

    Raises:
        ShapeError: the loss is not a scalar.
        DTypeError: the loss or an input of `wrt` is not a float.
    """
    target = program.outputs[loss].spec
    if target.shape != ():
        raise ShapeError(f"only a scalar loss has a gradient, got {target}.")
    for spec in (target, *[program.inputs[i].spec for i in wrt]):
        if not is_float(spec.dtype):
            raise DTypeError(f"gradients are for floats, got {spec}.")
    with Trace() as running:
        inputs = [running.input(v.spec) for v in program.inputs]
        tape = _Tape(inputs[i] for i in wrt)
        outputs = interpret.run(program, inputs, tape.apply)
        gradients = tape.pull_back({outputs[loss]: full_of(target, 1)}, [inputs[i] for i in wrt])
        names = [*program.output_names, *[f"gradient of {program.input_names[i]}" for i in wrt]]
        return dead_code(running.program([*outputs, *gradients], program.input_names, names))


def gradient_program(program: Program, active: Sequence[int]) -> Program:
    """The vector-Jacobian product of a program, as a program.

    Its inputs are those of `program` and a cotangent for every float output; it returns the outputs and the gradients of
    the inputs `active`.
    """
    with Trace() as running:
        inputs = [running.input(v.spec) for v in program.inputs]
        tape = _Tape(inputs[i] for i in active)
        outputs = interpret.run(program, inputs, tape.apply)
        seeds: dict[Value, Value] = {}
        for value in outputs:
            if is_float(value.spec.dtype):
                cotangent = running.input(value.spec)
                seeds[value] = p.add.bind(seeds[value], cotangent) if value in seeds else cotangent
        gradients = tape.pull_back(seeds, [inputs[i] for i in active])
        return dead_code(running.program([*outputs, *gradients]))


class _Step(NamedTuple):
    """One equation of the forward pass: how cotangents of `results` become cotangents of `operands`."""

    results: Sequence[Value]
    operands: Sequence[Value]
    pullback: Pullback
    where: str


class _Tape:
    """The forward pass, recorded: the equations that depend on active values, each with its pullback."""

    def __init__(self, active: Iterable[Value]) -> None:
        self._active = set(active)
        self._steps: list[_Step] = []

    def apply(self, equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        """Apply `equation`, and remember how to pull a cotangent back through it where it depends on an active value."""
        op, attrs = equation.op, equation.attrs
        if not op.differentiable or not any(v in self._active and is_float(v.spec.dtype) for v in operands):
            return apply_equation(equation, operands)
        if op.linearize is not None:
            with at(equation.where):
                results, pullback = op.linearize(*operands, is_active=[v in self._active for v in operands], **attrs)
        elif op.vjp is not None:
            results = apply_equation(equation, operands)
            pullback = _pullback(equation, op.vjp, operands, results)
        else:
            return self._apply_definition(equation, operands)
        self._active.update(v for v in results if is_float(v.spec.dtype))
        self._steps.append(_Step(results, operands, pullback, equation.where))
        return results

    def _apply_definition(self, equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        """Apply the equations of the op's definition, one by one; without a definition no gradient passes the equation."""
        define = equation.op.definition
        if define is None:
            return apply_equation(equation, operands)
        with at(equation.where):
            definition = trace(lambda *xs: as_tuple(define(*xs, **equation.attrs)), *[v.spec for v in operands])
            return interpret.run(definition, operands, self.apply)

    def pull_back(self, seeds: Mapping[Value, Value], wrt: Sequence[Value]) -> list[Value]:
        """The cotangents of `wrt` for the cotangents `seeds` of results."""
        cotangents = dict(seeds)
        for results, operands, pullback, where in reversed(self._steps):
            gs = [cotangents.get(v) for v in results]
            if all(g is None for g in gs):
                continue
            with at(gradient_of(where)):
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


def _pullback(
    equation: Equation, vjp: Callable[..., Any], operands: Sequence[Value], results: Sequence[Value]
) -> Pullback:
    """The pullback of an equation by the VJP rule of its op."""

    def pullback(gs: Sequence[Value | None]) -> Sequence[Value | None]:
        if len(results) == 1:
            return as_tuple(vjp(gs[0], results[0], *operands, **equation.attrs))
        filled = tuple(full_of(y.spec, 0) if g is None else g for g, y in zip(gs, results, strict=True))
        return as_tuple(vjp(filled, tuple(results), *operands, **equation.attrs))

    return pullback
