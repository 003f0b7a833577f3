"""Reverse mode: from a program that computes a loss to one that also returns its gradients.

The derivative of an op is its VJP rule, or that of its definition. `scan` is differentiated by its body: the forward loop
also stacks the values that the backward loop needs, the backward loop runs in the opposite direction, and where the
gradient of a loop-invariant operand (a weight) is a sum of products, one contraction over all steps after the loop computes
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamella.errors import DTypeError, ShapeError
from lamella.ir import interpret
from lamella.ir.program import Equation, Program, Value, as_tuple, gradient_of
from lamella.ir.spec import is_float
from lamella.ir.trace import Trace, apply_equation, at, trace
from lamella.ops import primitives as p
from lamella.ops.coerce import full_of
from lamella.passes.simplify import dead_code

Pullback = Callable[[Sequence[Value | None]], Sequence[Value | None]]


def differentiate(
    program: Program, wrt: Sequence[int], loss: int = 0, remat: Mapping[str, int] | None = None
) -> Program:
    """The program that returns the outputs of `program` and then the gradient of output `loss` in each input of `wrt`.

    The forward part keeps the equations of `program`. To train, apply `pool_first` to it beforehand: afterwards the
    backward part reads the values that pooling would be moved past.

    Args:
        program: its output number `loss` is a float scalar.
        wrt: the numbers of float inputs.
        loss: the number of the output to differentiate.
        remat: paths of layers whose inner values are computed again in the backward part, each with a number: only where
            the layer returns more numbers for each example.

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
        tape = _Tape([inputs[i] for i in wrt], _large_enough(program, remat or {}))
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


class _Region(NamedTuple):
    """Consecutive equations of a layer that are computed again before cotangents are pulled back through them."""

    path: str
    equations: list[tuple[Equation, Sequence[Value], Sequence[Value]]]  # with operands and results


class _Tape:
    """The forward pass, recorded: the equations that depend on active values, each with its pullback.

    Args:
        active: the values whose gradients are wanted.
        remat: paths of layers whose equations are kept in regions.
    """

    def __init__(self, active: Iterable[Value], remat: Collection[str] = ()) -> None:
        self._active = set(active)
        self._wrt = frozenset(self._active)
        self._remat = remat
        self._steps: list[_Step | _Region] = []

    def apply(self, equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        """Apply `equation`, and remember how to pull a cotangent back through it where it depends on an active value."""
        path = _path_among(self._remat, equation.where)
        if path is not None:
            return self._apply_in_region(path, equation, operands)
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

    def _apply_in_region(self, path: str, equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
        results = apply_equation(equation, operands)
        last = self._steps[-1] if self._steps else None
        if not isinstance(last, _Region) or last.path != path:
            last = _Region(path, [])
            self._steps.append(last)
        last.equations.append((equation, operands, results))
        if equation.op.differentiable and any(v in self._active and is_float(v.spec.dtype) for v in operands):
            self._active.update(v for v in results if is_float(v.spec.dtype))
        return results

    def pull_back(self, seeds: Mapping[Value, Value], wrt: Sequence[Value]) -> list[Value]:
        """The cotangents of `wrt` for the cotangents `seeds` of results."""
        cotangents = dict(seeds)
        self._accumulate(cotangents)
        return [cotangents[v] if v in cotangents else full_of(v.spec, 0) for v in wrt]

    def _accumulate(self, cotangents: dict[Value, Value]) -> None:
        """Add the cotangents of all values to those of results."""
        for item in reversed(self._steps):
            if isinstance(item, _Region):
                self._pull_through_region(item, cotangents)
                continue
            results, operands, pullback, where = item
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

    def _pull_through_region(self, region: _Region, cotangents: dict[Value, Value]) -> None:
        """Compute the region's values again, from its operands, and pull the cotangents of its results back.

        Cotangents are added in the same order as without a region, so every sum is bitwise the same. A `switch` of one
        branch returns the operands: nothing is shared across it, else the values would be the first ones, kept until here.
        """
        made = [v for _, _, results in region.equations for v in results]
        reached = [v for v in made if v in cotangents]
        if not reached:
            return
        inside = set(made)
        outside = list(dict.fromkeys(v for _, operands, _ in region.equations for v in operands if v not in inside))
        # weights are there anyway; so are keys and steps, from which the same random numbers are drawn
        held = [v for v in outside if v not in self._wrt and v.spec.shape and v.spec.dtype != "uint32"]
        with at(f"{region.path} (gradient)"):
            again = _behind_a_barrier([*held, *[cotangents[v] for v in reached]])
        renamed = dict(zip(held, again, strict=False))
        inner = _Tape([renamed.get(v, v) for v in outside if v in self._active])
        values: dict[Value, Value] = dict(renamed)
        for equation, operands, results in region.equations:
            values |= zip(results, inner.apply(equation, [values.get(v, v) for v in operands]), strict=True)
        found = {values[v]: g for v, g in zip(reached, again[len(held) :], strict=True)}
        found |= {renamed.get(v, v): cotangents[v] for v in outside if v in cotangents}
        inner._accumulate(found)
        cotangents |= {v: found[renamed.get(v, v)] for v in outside if renamed.get(v, v) in found}


def _path_among(paths: Collection[str], where: str) -> str | None:
    """The outermost of `paths` that the path `where` is in."""
    if not paths:
        return None
    parts = where.split("/")
    outward = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((path for path in outward if path in paths), None)


def _large_enough(program: Program, remat: Mapping[str, int]) -> frozenset[str]:
    """The paths among `remat` whose layers return more numbers for each example than is said."""
    returned = dict.fromkeys(remat, 0)
    made: dict[Value, str] = {}
    for equation in program.equations:
        for path in remat:
            if _path_among((path,), equation.where) is not None:
                made |= dict.fromkeys(equation.outputs, path)
        for value in equation.inputs:
            path = made.get(value)
            if path is not None and _path_among((path,), equation.where) is None:
                size = math.prod(int(d) for d in value.spec.shape[1:])
                returned[path] = max(returned[path], size)
    return frozenset(path for path, least in remat.items() if least == 0 or returned[path] > least)


def _behind_a_barrier(values: Sequence[Value]) -> Sequence[Value]:
    """The same values, in a form that no pass and no compiler sees through."""
    inputs = [Value(v.spec) for v in values]
    return as_tuple(p.switch.bind(np.zeros((), np.int32), *values, branches=(Program(inputs, (), inputs),)))


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
