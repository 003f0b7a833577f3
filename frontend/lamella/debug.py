"""Finding the first NaN or infinity that a model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import host_random
from lamella.ir import interpret
from lamella.ir.program import Equation, Program, Value, as_tuple
from lamella.ir.spec import Spec
from lamella.ir.trace import constant, eagerly, recording_lines, trace
from lamella.lowering.forward import trace_forward
from lamella.passes import differentiate
from lamella.tracebacks import Line
from lamella.training.data import check_targets, prepare
from lamella.training.gradients import loss_program

if TYPE_CHECKING:
    from lamella.training.protocol import TrainingModel


@dataclass(frozen=True)
class NonFinite:
    """The origin of NaN or infinite values, in a form to print.

    Attributes:
        name: the array that contains them: "input x", "weight dense/kernel", "output y", or the equation with the
            ranges of its operands.
        kind: "NaN" or "inf".
        count: the number of its elements that are not finite.
        size: the number of its elements.
        layer: the path of the layer that the equation belongs to, "loss" for the loss; None for inputs and weights.
        gradient: whether the equation belongs to the backward pass.
        line: the line of user code: within a user-defined layer, loss or function, otherwise where the layer was
            created.
        then: the equation that turns an infinity into NaN, if the first values are infinite.

    Example:
        >>> print(NonFinite("weight dense/kernel", "NaN", count=1, size=6))
        weight dense/kernel holds NaN, 1 of 6 numbers
    """

    name: str
    kind: str
    count: int
    size: int
    layer: str | None = None
    gradient: bool = False
    line: Line | None = None
    then: NonFinite | None = None

    def __str__(self) -> str:
        text = f"{self.name} holds {self.kind}, {self.count} of {self.size} numbers"
        if self.layer is not None:
            text += f", in {'the gradient of ' if self.gradient else ''}"
            text += "the loss" if self.layer == "loss" else f"layer {self.layer!r}" if self.layer else "the model"
        if self.line is not None:
            text += f"\n  {self.line}"
        return text if self.then is None else f"{text}\nthen {self.then}"


def first_nonfinite(model: TrainingModel, x: Any, y: Any = None, *, training: bool | None = None) -> NonFinite | None:
    """Find the first NaN or infinity that affects the loss of a batch and its gradients, or the predictions.

    Every equation of the model is computed separately, with NumPy. Infinite constants of the program, such as the -inf
    of a mask, are ignored; NaN computed from them is not.

    Args:
        model: the model; it must be compiled if `y` is given.
        x: a batch of inputs, as for `train_on_batch`.
        y: the targets; without them only the predictions are checked.
        training: whether layers behave as in training; by default whether `y` is given.

    Returns:
        A `NonFinite`, or None if all values are finite.

    Raises:
        ValueError: the batch does not fit the model.

    Example:
        >>> import lamella
        >>> from lamella.layers import Dense, Input, Lambda
        >>> model = lamella.Sequential([Input((2,)), Lambda(lamella.ops.log, name="logarithm")])
        >>> found = first_nonfinite(model, np.array([[1.0, 0.0]]))
        >>> found.kind, found.layer, found.name
        ('inf', 'logarithm', 'float32[1,2] = log(float32[1,2] from 0 to 1)')
    """
    training = y is not None if training is None else training
    with model.built_on_success():
        data = prepare(model, x, y)
        config = None if y is None else model._require_compiled().configuration
        if config is not None:
            check_targets(model, config, data)
    weights = model.named_weights()
    inputs = [*[(f"input {n}" if n == "x" else f"target {n}", a) for n, a in zip(data.names, data.arrays, strict=True)]]
    for name, array in [*inputs, *[(f"weight {path}", v.numpy()) for path, v in weights]]:
        if not np.isfinite(array).all():
            return NonFinite(name, *_counted(array))
    arguments = [v.numpy() for _, v in weights] + [array for _, array in inputs]
    with recording_lines(__name__):
        if config is None:
            batch = model.check_batch(Spec(data.x.shape, data.x.dtype.name))
            program = trace_forward(model, batch, training=training, keyed=training).program
        else:
            trained = {id(v) for v in config.trained(model)}
            program = loss_program(model, config, data, training=training)
            program = differentiate(program, [i for i, (_, v) in enumerate(weights) if id(v) in trained])
        if training:
            arguments.append(host_random.key_from_seed(model.seed))
        found = _Values(program, arguments).first()
    if found is None:
        return None
    first, then = (None if part is None else _described(model, *part) for part in found)
    return first if first is None or then is None else replace(first, then=then)


_Found = tuple[Equation, list[np.ndarray], np.ndarray]
"""An equation, its operands, and the output that is not finite."""


class _Values:
    """All values of a program, computed equation by equation.

    Args:
        program: the program.
        arguments: its inputs.
    """

    def __init__(self, program: Program, arguments: Sequence[Any]) -> None:
        self._program = program
        self._arrays: dict[Value, np.ndarray] = dict(zip(program.inputs, map(np.asarray, arguments), strict=True))
        self._makers: dict[Value, Equation] = {}
        with eagerly(), np.errstate(all="ignore"):
            for equation in program.equations:
                operands, attrs = [self._arrays[v] for v in equation.inputs], equation.attrs
                made = [attrs["value"]] if equation.op is constant else interpret.evaluate(equation.op, operands, attrs)
                for value, array in zip(equation.outputs, made, strict=True):
                    self._arrays[value], self._makers[value] = np.asarray(array), equation

    def first(self) -> tuple[_Found, _Found | None] | None:
        """The equation with the first NaN or infinity of the outputs, and the one that turns an infinity into NaN."""
        bad = next((v for v in self._program.outputs if not np.isfinite(self._arrays[v]).all()), None)
        if bad is None:
            return None
        if not np.isnan(self._arrays[bad]).any():
            begin = self._begin(bad, np.isinf)
            return None if begin is None else _within(begin) or (begin, None)
        nan = self._begin(bad, np.isnan)
        if nan is None:
            return None
        if inner := _within(nan):
            return inner
        for value in nan[0].inputs:
            begin = (
                self._begin(value, np.isinf) if value in self._arrays and np.isinf(self._arrays[value]).any() else None
            )
            if begin is not None and begin[0].op is not constant:
                return begin, nan
        return nan, None

    def _begin(self, value: Value, test: Callable[[np.ndarray], np.ndarray]) -> _Found | None:
        """The equation on the way to `value` whose output matches `test` and whose operands do not."""
        equation = self._makers.get(value)
        while equation is not None:
            before = next((v for v in equation.inputs if test(self._arrays[v]).any()), None)
            if before is None:
                return equation, [self._arrays[v] for v in equation.inputs], self._arrays[value]
            value, equation = before, self._makers.get(before)
        return None


def _within(found: _Found) -> tuple[_Found, _Found | None] | None:
    """The same within the body of an equation that has one, such as a loop, if its op has a definition."""
    equation, operands, _ = found
    define = equation.op.definition
    if define is None or not equation.bodies:
        return None
    definition = trace(lambda *xs: as_tuple(define(*xs, **equation.attrs)), *[v.spec for v in equation.inputs])
    return _Values(definition, operands).first()


def _counted(array: np.ndarray) -> tuple[str, int, int]:
    """The kind of the non-finite values of an array, their number, and the size of the array."""
    bad = np.isnan(array) if np.isnan(array).any() else np.isinf(array)
    return "NaN" if np.isnan(array).any() else "inf", int(bad.sum()), int(array.size)


def _described(model: Any, equation: Equation, operands: list[np.ndarray], output: np.ndarray) -> NonFinite:
    given = ", ".join(f"{v.spec}{_range(a)}" for v, a in zip(equation.inputs, operands, strict=True))
    path, gradient = equation.where.removesuffix("(gradient)").rstrip(), equation.where.endswith("(gradient)")
    made = dict(model.named_layers()).get(path)
    return NonFinite(
        f"{equation.outputs[0].spec} = {equation.op.name}({given})",
        *_counted(output),
        layer=path,
        gradient=gradient,
        line=equation.line or (None if made is None else made._made_at),
    )


def _range(array: np.ndarray) -> str:
    finite = array[np.isfinite(array)]
    return f" from {finite.min():.4g} to {finite.max():.4g}" if finite.size and array.dtype.kind in "fiu" else ""


__all__ = ["NonFinite", "first_nonfinite"]
